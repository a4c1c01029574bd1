/* clock.h - the clocks of a capture's taps, made to go on
 *
 * Everything behind compares times. A clock that is set back while capturing would put answers before their questions, one
 * that is set forward would let everybody have waited. So from there on all times of that file are moved: the first packet
 * after the step is taken to have come as long after the newest before it as is known (leap.h; else at the same time).
 * FACT_CLOCK_STEP says that durations across it are not the capture's own.
 * Packets that come a little out of order (several queues, several interfaces) are no step.
 *
 *     if (clock_ahead(c, p) != CLOCK_GOES_ON)         ask before
 *             clock_step(c, p, elapsed_ns);           where it was set
 *     clock_set_right(c, p);                          p->time_ns, then
 */
#ifndef WHY502_CLOCK_H
#define WHY502_CLOCK_H

#include "../capture/packet.h"

/* ntpd slews a clock by less and steps it by more: ntpd(8), -x and `tinker step`, 128 ms. */
#define CLOCK_STEP_NS (128 * NS_PER_MS)
/* A tap's own packets are out of order by less: as in ahead.c. */
#define CLOCK_JITTER_NS (3 * NS_PER_MS)

struct clock_seen { int64_t newest_ns, shift_ns; bool any; };   /* newest: set right */

struct clock {
	struct clock_seen *taps;        /* by interface: each comes to the step in its own turn */
	struct clock_seen *files;       /* their shift is that of the newest step */
	unsigned n_taps, n_files;
};

/* DOUBTFUL: none of the file's packets for CLOCK_STEP_NS, or it was set forward; or a little back, perhaps after a silence. */
enum clock_goes { CLOCK_GOES_ON, CLOCK_SET_BACK, CLOCK_DOUBTFUL };

enum clock_goes clock_ahead(const struct clock *c, const struct packet *p);
int64_t clock_shift(const struct clock *c, const struct packet *p);
int64_t clock_newest(const struct clock *c, const struct packet *p);    /* the time of its file's newest so far; 0: none */
void clock_step(struct clock *c, const struct packet *p, int64_t elapsed_ns);
void clock_set_right(struct clock *c, struct packet *p);
/* The same where clock_ahead() says CLOCK_GOES_ON; else false, and nothing is done. */
bool clock_goes_on(struct clock *c, struct packet *p);
int64_t clock_now(const struct clock *c, int64_t now_ns);       /* of a tick: no packet, as late as any file's clock says */
void clock_clear(struct clock *c);

#endif
