#include "left_out.h"

enum { TABLE_FIRST = 1024, SLAB_BLOCK = 256 };

void left_outs_clear(struct left_outs *l)
{
	table_clear(&l->table);
	slab_clear(&l->slab);
	*l = (struct left_outs){ .table = { .slots = NULL } };
}

struct left_out *left_outs_find(const struct left_outs *l, const struct segment *s, uint32_t *index)
{
	size_t at = 0;

	while ((*index = table_find(&l->table, s->hash, &at)) != UINT32_MAX) {
		struct left_out *o = slab_at(&l->slab, *index);

		if (endpoint_equal(&o->tuple.end[0], &s->tuple.end[0]) && endpoint_equal(&o->tuple.end[1], &s->tuple.end[1]))
			return o;
	}
	return NULL;
}

static bool left_outs_begin(struct left_outs *l)
{
	if (l->table.slots != NULL)
		return true;
	slab_init(&l->slab, sizeof(struct left_out), SLAB_BLOCK);
	return table_init(&l->table, TABLE_FIRST);
}

struct left_out *left_outs_add(struct left_outs *l, const struct segment *s, uint32_t id)
{
	struct left_out *o;
	uint32_t index;

	if (!left_outs_begin(l) || (o = slab_take(&l->slab, &index)) == NULL)
		return NULL;
	if (!table_add(&l->table, s->hash, index)) {
		slab_give(&l->slab, index);
		return NULL;
	}
	*o = (struct left_out){ .tuple = s->tuple, .id = id, .hash_low = (uint32_t)s->hash };
	left_out_note(o, s);
	return o;
}

void left_outs_remove(struct left_outs *l, uint32_t index)
{
	const struct left_out *o = slab_at(&l->slab, index);

	table_remove(&l->table, o->hash_low, index);
	slab_give(&l->slab, index);
}

bool left_out_reused(const struct left_out *o, const struct segment *s)
{
	return (s->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && o->known[s->from] && o->isn[s->from] != s->seq;
}

void left_out_note(struct left_out *o, const struct segment *s)
{
	if (o->known[s->from] || s->malformed)
		return;
	o->isn[s->from] = (s->flags & TCP_SYN) != 0 ? s->seq : s->seq - 1;
	o->known[s->from] = true;
}
