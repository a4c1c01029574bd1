/* clock.h - the clocks of a capture's taps, made to go on
 *
 * Everything behind compares times. A clock that is set back while capturing would put answers before their questions, so
 * from there on all times of that file are moved on: the first packet after the step is taken to have come at the time of
 * the newest before it. How long it really took is not known: where that matters, FACT_CLOCK_STEP says so.
 * Packets that come a little out of order (several queues, several interfaces) are no step.
 *
 *     if (clock_would_step(c, p)) …                   ask before
 *     clock_set_right(c, p);                          p->time_ns, then
 */
#ifndef WHY502_CLOCK_H
#define WHY502_CLOCK_H

#include "../capture/packet.h"

/* ntpd slews a clock by less and steps it by more: ntpd(8), -x and `tinker step`, 128 ms. */
#define CLOCK_STEP_NS (128 * NS_PER_MS)

struct clock_seen { int64_t newest_ns; bool any; };

struct clock {
	struct clock_seen *taps;        /* by interface: times set right */
	struct clock_tuned { int64_t newest_ns, shift_ns; bool any; } *files;
	unsigned n_taps, n_files;
};

bool clock_would_step(const struct clock *c, const struct packet *p);
void clock_set_right(struct clock *c, struct packet *p);
int64_t clock_now(const struct clock *c, int64_t now_ns);       /* of a tick: no packet, as late as any file's clock says */
void clock_clear(struct clock *c);

#endif
