/* table.h - a keyed hash table of indices, and the slab that they point into
 *
 * Open addressing, linear probing, 8 bytes a slot (32 bits of the hash, index + 1), at most half full;
 * deletion shifts back, so there are no tombstones. The table does not compare keys: table_find() walks
 * the candidates of a hash.
 */
#ifndef WHY502_TABLE_H
#define WHY502_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot { uint32_t tag, index_plus_1; };
struct table { struct table_slot *slots; size_t size, n; };

bool table_init(struct table *t, size_t size);                  /* size: a power of two */
void table_clear(struct table *t);
static inline void table_prefetch(const struct table *t, uint64_t hash)
{
	__builtin_prefetch(&t->slots[(uint32_t)hash & (t->size - 1)]);
}
/* Next candidate index for this hash, or UINT32_MAX. *at: 0 at first, then as it was left. */
static inline uint32_t table_find(const struct table *t, uint64_t hash, size_t *at)
{
	uint32_t tag = (uint32_t)hash;

	for (size_t i = *at; i < t->size; i++) {
		const struct table_slot *s = &t->slots[(tag + i) & (t->size - 1)];

		if (s->index_plus_1 == 0)
			return UINT32_MAX;
		if (s->tag == tag) {
			*at = i + 1;
			return s->index_plus_1 - 1;
		}
	}
	return UINT32_MAX;
}
bool table_add(struct table *t, uint64_t hash, uint32_t index); /* grows; false: no memory */
void table_remove(struct table *t, uint64_t hash, uint32_t index);
static inline size_t table_bytes(const struct table *t) { return t->size * sizeof *t->slots; }

/* Pieces of one size, numbered, in blocks of memory that never move. */
struct slab { unsigned char **blocks; size_t n_blocks, piece, per_block; uint32_t made, n_free, *free; size_t free_size; };
void slab_init(struct slab *s, size_t piece, size_t per_block);
void slab_clear(struct slab *s);
void *slab_take(struct slab *s, uint32_t *index);               /* not zeroed when used before; NULL: no memory */
void slab_give(struct slab *s, uint32_t index);
static inline void *slab_at(const struct slab *s, uint32_t index)
{
	return s->blocks[index / s->per_block] + (index % s->per_block) * s->piece;
}

#endif
