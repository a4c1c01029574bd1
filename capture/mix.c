/* mix.c - lanes of packets put in one order, by time stamp */
#include "mix.h"

void lane_clear(struct lane *l)
{
	batch_clear(&l->batch);
	l->at = 0;
}

bool lane_hand_on(struct lane *l, int64_t limit_ns, struct packet_batch *to)
{
	if (l->at != 0 || l->batch.n == 0)
		return false;
	for (unsigned i = 0; i < l->batch.n; i++)
		if (l->batch.packets[i].time_ns >= limit_ns)
			return false;
	*to = l->batch;
	l->batch.chunk = NULL;          /* the reference went along */
	l->batch.n = 0;
	return true;
}

struct lane *lanes_earliest(struct lane *const *lanes, unsigned n)
{
	struct lane *best = NULL;

	for (unsigned i = 0; i < n; i++)
		if (!lane_is_empty(lanes[i]) && (best == NULL || lane_next_ns(lanes[i]) < lane_next_ns(best)))
			best = lanes[i];
	return best;
}

/* Room for n bytes in the chunk of the batch. False: the batch ends here, or there is no memory. */
static bool has_room(struct mix *m, const struct packet_batch *b, size_t n)
{
	if (m->chunk != NULL && m->chunk->size - m->used >= n)
		return true;
	if (b->n > 0)
		return false;
	m->chunk = pool_next(&m->pool, CHUNK_BYTES, span_none());
	m->used = 0;
	return m->chunk != NULL;
}

static void copy_packet(struct mix *m, const struct packet *from, struct packet_batch *b)
{
	struct packet *to = &b->packets[b->n++];

	*to = *from;
	to->bytes = m->chunk->bytes + m->used;
	memcpy(m->chunk->bytes + m->used, from->bytes, from->caplen);
	m->used += from->caplen;
	b->now_ns = to->time_ns;
}

bool mix_lanes(struct mix *m, struct lane *const *lanes, unsigned n, int64_t limit_ns, struct packet_batch *to)
{
	struct lane *l;

	while (to->n < PACKETS_PER_BATCH && (l = lanes_earliest(lanes, n)) != NULL && lane_next_ns(l) < limit_ns) {
		if (!has_room(m, to, l->batch.packets[l->at].caplen))
			break;
		copy_packet(m, &l->batch.packets[l->at++], to);
		if (lane_is_empty(l))
			break;
	}
	if (to->n == 0)
		return m->chunk != NULL;
	to->chunk = m->chunk;
	chunk_ref(to->chunk);
	return true;
}

void mix_clear(struct mix *m)
{
	pool_clear(&m->pool);
	m->chunk = NULL;
}
