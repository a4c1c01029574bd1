/* left_out.h - conversations of which no packet is judged: a filter, --since or --until left them out
 *
 * They are numbered as all others, so that the numbers of those that are judged agree with Wireshark's. What
 * is kept of one is its number and the sequence numbers that tell when its ends begin a new one. The first
 * packet that is judged takes the number over: from there on it is a connection joined late.
 */
#ifndef WHY502_LEFT_OUT_H
#define WHY502_LEFT_OUT_H

#include "segment.h"
#include "table.h"

struct left_out {
	struct tuple tuple;
	uint32_t isn[2];                /* by index into tuple.end; where known */
	uint32_t id, hash_low;
	bool known[2];
};

struct left_outs { struct table table; struct slab slab; };     /* all zero: empty, and costs nothing */

void left_outs_clear(struct left_outs *l);
struct left_out *left_outs_find(const struct left_outs *l, const struct segment *s, uint32_t *index);
struct left_out *left_outs_add(struct left_outs *l, const struct segment *s, uint32_t id);      /* NULL: no memory */
void left_outs_remove(struct left_outs *l, uint32_t index);

/* A SYN with another sequence number: a new conversation, as in Wireshark. */
bool left_out_reused(const struct left_out *o, const struct segment *s);
void left_out_note(struct left_out *o, const struct segment *s);

#endif
