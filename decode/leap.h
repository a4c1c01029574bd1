/* leap.h - how long a silence of the capture really was, by the TCP timestamps on either side of it
 *
 * A clock that is set forward while capturing looks as if all had been silent. The hosts' own clocks know better: a segment
 * carries its sender's (TSval, RFC 7323 3), so the last one of a flow before the silence and its first one after it say how
 * many ticks passed. A tick lasts 1 ms to 1 s (RFC 7323 5.4); how long at most, and at least, the segments near by show.
 * Two hosts must agree (one, where it speaks to itself), and none contradict: one alone may have been suspended. Where all
 * packets that can be waited for are of one host, it is believed: what is judged across a step is of low confidence anyway.
 *
 *     leap_remember(l, packets, n);                           of each batch, once its times are set right
 *     if (leap_elapsed(l, after, n, true, shift, newest, &ns))   that much time passed between `newest` and after[0]
 */
#ifndef WHY502_LEAP_H
#define WHY502_LEAP_H

#include "../capture/packet.h"

enum { LEAP_AFTER = 32 };       /* packets after a silence that are asked at most */

enum leap_answer {
	LEAP_NO,                /* the time did pass */
	LEAP_YES,               /* the clock was set: elapsed_ns is how much passed */
	LEAP_UNKNOWN            /* these packets cannot tell */
};

struct leap;

struct leap *leap_new(void);            /* NULL: no memory */
void leap_free(struct leap *l);

void leap_remember(struct leap *l, const struct packet *packets, unsigned n);
void leap_forget(struct leap *l);

/* `after` are the packets from the silence on, their times still `shift_ns` behind those before it, the newest of which was
 * `newest_ns`. A clock that was set back has been set, whatever the timestamps say: LEAP_YES where they tell how long it took. `final`: no more packets will come. */
enum leap_answer leap_elapsed(struct leap *l, const struct packet *after, unsigned n, bool final, int64_t shift_ns, int64_t newest_ns, int64_t *elapsed_ns);

#endif
