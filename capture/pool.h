/* pool.h - chunks that are used again (inside capture/ only)
 *
 * A pool holds one reference to each of its chunks. When that is the only one left, nobody reads the
 * chunk any more and it is filled anew: a file of any size is read through the same few chunks. If
 * all are in use the pool lets go of one, which its last reader frees, and takes a new one.
 */
#ifndef WHY502_POOL_H
#define WHY502_POOL_H

#include "packet.h"
#include "span.h"

enum { CHUNK_BYTES = 256 << 10, POOL_CHUNKS = 32 };  /* 256 KiB: stays in the second-level cache */

struct chunk_pool {
	struct chunk *kept[POOL_CHUNKS];
	unsigned current;               /* the one handed out last */
};

/* A chunk of size bytes that nobody else reads, and at its start a copy of `keep`, bytes of the chunk
 * handed out before (at most size; may be none). Preferably it is that same chunk. The pool owns it;
 * NULL: no memory, all is as before. */
struct chunk *pool_next(struct chunk_pool *pool, size_t size, struct span keep);
void pool_clear(struct chunk_pool *pool);

#endif
