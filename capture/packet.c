/* packet.c - references to chunks, and batches that hold one */
#include "packet.h"

#include <stdlib.h>

void chunk_ref(struct chunk *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

void chunk_unref(struct chunk *c)
{
	if (c == NULL)
		return;
	/* Release: what this thread read is read before another may write there or free it. */
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(c->bytes);
	free(c);
}

void batch_clear(struct packet_batch *b)
{
	chunk_unref(b->chunk);
	b->chunk = NULL;
	b->n = 0;
}
