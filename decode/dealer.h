/* dealer.h - N decoders in threads of their own, and the merge of their facts
 *
 *     packets ─▶ dealer ─┬─▶ work ─▶ decoder 0 ─▶ facts ─┐
 *    (caller's thread)   ├─▶ work ─▶ decoder 1 ─▶ facts ─┼─▶ merge ─▶ sink   (caller's thread again)
 *                        └─▶ ...                         ┘
 *
 * Every decoder gets its connections' segments in order, and every tick. The merge hands on facts by
 * (packet, order) up to the slowest decoder, and counts conversations as they are announced.
 */
#ifndef WHY502_DEALER_H
#define WHY502_DEALER_H

#include "decoder.h"

enum work_kind { WORK_SEGMENT, WORK_ICMP, WORK_CONTROL, WORK_TICK, WORK_END };

struct work_icmp { struct icmp_fact fact; struct tuple tuple; uint64_t hash; uint32_t seq; uint8_t from; };

struct dealer;

struct dealer *dealer_new(const struct decode_options *o, struct fact_sink sink);
void dealer_segment(struct dealer *w, const struct segment *s, struct chunk *chunk, bool copied);
void dealer_icmp(struct dealer *w, const struct work_icmp *i);
void dealer_control(struct dealer *w, const struct fact *f);
void dealer_tick(struct dealer *w, struct mark now);
void dealer_sync(struct dealer *w);             /* hand out what is filled, hand on what is ready */
void dealer_end(struct dealer *w, struct mark last);
void dealer_counters(struct dealer *w, struct decode_counters *c);
void dealer_free(struct dealer *w);

#endif
