/* pool.c - chunks that are used again */
#include "pool.h"

#include <stdlib.h>

static struct chunk *chunk_new(size_t size)
{
	struct chunk *c = malloc(sizeof *c);

	if (c == NULL)
		return NULL;
	*c = (struct chunk){ .size = size, .bytes = malloc(size) };
	if (c->bytes == NULL) {
		free(c);
		return NULL;
	}
	atomic_init(&c->refs, 1);
	return c;
}

/* Acquire: goes with the release in chunk_unref(). */
static bool is_free(struct chunk *c)
{
	return c == NULL || atomic_load_explicit(&c->refs, memory_order_acquire) == 1;
}

/* The current slot if its chunk is free, else another free one, else the next in turn. */
static unsigned choose(const struct chunk_pool *pool)
{
	for (unsigned i = 0; i < POOL_CHUNKS; i++) {
		unsigned slot = (pool->current + i) % POOL_CHUNKS;

		if (is_free(pool->kept[slot]))
			return slot;
	}
	return (pool->current + 1) % POOL_CHUNKS;
}

struct chunk *pool_next(struct chunk_pool *pool, size_t size, struct span keep)
{
	unsigned slot = choose(pool);
	struct chunk *old = pool->kept[slot], *c = old;

	if (c == NULL || c->size != size || !is_free(c)) {
		c = chunk_new(size);
		if (c == NULL)
			return NULL;
	}
	memmove(c->bytes, keep.at, keep.len);   /* keep may lie in this very chunk */
	if (c != old)
		chunk_unref(old);
	pool->kept[slot] = c;
	pool->current = slot;
	return c;
}

void pool_clear(struct chunk_pool *pool)
{
	for (unsigned i = 0; i < POOL_CHUNKS; i++) {
		chunk_unref(pool->kept[i]);
		pool->kept[i] = NULL;
	}
	pool->current = 0;
}
