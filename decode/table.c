#include "table.h"

#include <stdlib.h>
#include <string.h>

bool table_init(struct table *t, size_t size)
{
	t->slots = calloc(size, sizeof *t->slots);
	t->size = t->slots != NULL ? size : 0;
	t->n = 0;
	return t->slots != NULL;
}

void table_clear(struct table *t)
{
	free(t->slots);
	*t = (struct table){ 0 };
}

static void table_put(struct table *t, uint32_t tag, uint32_t index_plus_1)
{
	size_t i = tag & (t->size - 1);

	while (t->slots[i].index_plus_1 != 0)
		i = (i + 1) & (t->size - 1);
	t->slots[i] = (struct table_slot){ tag, index_plus_1 };
}

static bool table_grow(struct table *t)
{
	struct table bigger;

	if (!table_init(&bigger, t->size * 2))
		return false;
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].index_plus_1 != 0)
			table_put(&bigger, t->slots[i].tag, t->slots[i].index_plus_1);
	bigger.n = t->n;
	free(t->slots);
	*t = bigger;
	return true;
}

bool table_add(struct table *t, uint64_t hash, uint32_t index)
{
	if (t->n * 2 >= t->size && !table_grow(t))
		return false;
	table_put(t, (uint32_t)hash, index + 1);
	t->n++;
	return true;
}

/* Knuth 6.4 R: entries behind the hole whose home is not behind it move up. */
static void table_close_hole(struct table *t, size_t hole)
{
	size_t mask = t->size - 1;

	for (size_t i = (hole + 1) & mask; t->slots[i].index_plus_1 != 0; i = (i + 1) & mask) {
		size_t home = t->slots[i].tag & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	t->slots[hole] = (struct table_slot){ 0, 0 };
}

void table_remove(struct table *t, uint64_t hash, uint32_t index)
{
	uint32_t tag = (uint32_t)hash;

	for (size_t i = tag & (t->size - 1); t->slots[i].index_plus_1 != 0; i = (i + 1) & (t->size - 1)) {
		if (t->slots[i].tag == tag && t->slots[i].index_plus_1 == index + 1) {
			table_close_hole(t, i);
			t->n--;
			return;
		}
	}
}

void slab_init(struct slab *s, size_t piece, size_t per_block)
{
	*s = (struct slab){ .piece = (piece + 7) & ~(size_t)7, .per_block = per_block };
}

void slab_clear(struct slab *s)
{
	for (size_t i = 0; i < s->n_blocks; i++)
		free(s->blocks[i]);
	free(s->blocks);
	free(s->free);
	*s = (struct slab){ .piece = s->piece, .per_block = s->per_block };
}

static bool slab_more(struct slab *s)
{
	unsigned char **blocks = realloc(s->blocks, (s->n_blocks + 1) * sizeof *blocks);

	if (blocks == NULL)
		return false;
	s->blocks = blocks;
	blocks[s->n_blocks] = calloc(s->per_block, s->piece);
	if (blocks[s->n_blocks] == NULL)
		return false;
	s->n_blocks++;
	return true;
}

void *slab_take(struct slab *s, uint32_t *index)
{
	if (s->n_free != 0) {
		*index = s->free[--s->n_free];
		return slab_at(s, *index);
	}
	if (s->made == s->n_blocks * s->per_block && !slab_more(s))
		return NULL;
	*index = s->made++;
	return slab_at(s, *index);
}

void slab_give(struct slab *s, uint32_t index)
{
	if (s->n_free == s->free_size) {
		size_t size = s->free_size != 0 ? s->free_size * 2 : 256;
		uint32_t *bigger = realloc(s->free, size * sizeof *bigger);

		if (bigger == NULL)     /* the piece is lost until slab_clear() */
			return;
		s->free = bigger;
		s->free_size = size;
	}
	s->free[s->n_free++] = index;
}

