/* mix.h - lanes of packets put in one order, by time stamp (inside capture/ only)
 *
 * A lane is what one file or interface has next. A batch has one chunk, so packets of several lanes
 * are copied into the mix's own.
 */
#ifndef WHY502_MIX_H
#define WHY502_MIX_H

#include "pool.h"

struct lane { struct packet_batch batch; unsigned at; };       /* handed on up to `at` */

struct mix { struct chunk_pool pool; struct chunk *chunk; size_t used; };

static inline bool lane_is_empty(const struct lane *l)
{
	return l->at == l->batch.n;
}

static inline int64_t lane_next_ns(const struct lane *l)
{
	return l->batch.packets[l->at].time_ns;
}

void lane_clear(struct lane *l);

/* The whole batch as it is, if nothing of it was handed on and all of it is before limit_ns. */
bool lane_hand_on(struct lane *l, int64_t limit_ns, struct packet_batch *to);

/* The lane whose next packet is the earliest, of equal ones the first; NULL: all are empty. */
struct lane *lanes_earliest(struct lane *const *lanes, unsigned n);

/* Packets before limit_ns in order of time, until the batch is full or a lane becomes empty. False: no memory. */
bool mix_lanes(struct mix *m, struct lane *const *lanes, unsigned n, int64_t limit_ns, struct packet_batch *to);
void mix_clear(struct mix *m);

#endif
