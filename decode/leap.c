#include "leap.h"

#include "clock.h"
#include "segment.h"

#include <stdlib.h>

enum {
	DOUBT = 8,              /* a tick learnt from some ten may be off by one (measured: a telephone's, 9.4 ms for 10) */
	BEFORE = 16,            /* packets remembered */
	HEAD = 128,             /* bytes of each: link layer, a tag or two, IPv6, TCP with its timestamps */
	HOSTS = 8
};

#define TICK_LEAST_NS NS_PER_MS         /* RFC 7323 5.4 */
#define TICK_MOST_NS  (500 * NS_PER_MS) /* the slowest that is known: 2 Hz, nmap's "OS Detection", TS */
/* Two segments may be captured that much nearer to each other than they were stamped. */
#define JITTER_NS CLOCK_JITTER_NS
/* Beyond that no step is looked for: it bounds all sums below, too. */
#define FAR_NS (24 * 3600 * NS_PER_S)

struct head { struct packet packet; uint8_t bytes[HEAD]; };

struct leap {
	struct ip_decoder *ip;          /* of its own: asking changes nothing */
	struct head heads[BEFORE];
	unsigned next, n;
};

struct leap *leap_new(void)
{
	struct leap *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->ip = ip_decoder_new();
	if (l->ip == NULL) {
		free(l);
		return NULL;
	}
	return l;
}

void leap_free(struct leap *l)
{
	if (l == NULL)
		return;
	ip_decoder_free(l->ip);
	free(l);
}

void leap_remember(struct leap *l, const struct packet *packets, unsigned n)
{
	for (unsigned i = n > BEFORE ? n - BEFORE : 0; i < n; i++) {
		struct head *h = &l->heads[l->next];

		l->next = (l->next + 1) % BEFORE;
		l->n += l->n < BEFORE;
		h->packet = packets[i];
		h->packet.caplen = packets[i].caplen < HEAD ? packets[i].caplen : HEAD;
		memcpy(h->bytes, packets[i].bytes, h->packet.caplen);
	}
}

void leap_forget(struct leap *l)
{
	l->n = l->next = 0;
}

/* ---- what the packets say ----------------------------------------------------------------- */

struct stamp { struct tuple tuple; uint32_t tsval; int64_t time_ns; uint8_t from; bool after, syn; };
struct stamps { struct stamp at[BEFORE + LEAP_AFTER]; unsigned n; };

static void stamp_add(struct leap *l, struct stamps *all, const struct packet *p, int64_t time_ns, bool after)
{
	struct datagram d;
	struct segment s;
	struct tcp_options o;

	if (p->caplen == 0 || ip_decode(l->ip, p, &d) != IP_DATAGRAM || d.reassembled || d.protocol != 6 || !segment_parse(&d, &s))
		return;
	segment_options(s.options, &o);
	if (o.timestamps)
		all->at[all->n++] = (struct stamp){ s.tuple, o.tsval, time_ns, s.from, after, (s.flags & TCP_SYN) != 0 };
}

/* Times are input: what is far off is not looked at. */
static bool is_near(int64_t a_ns, int64_t b_ns)
{
	int64_t apart;

	return !__builtin_sub_overflow(a_ns, b_ns, &apart) && apart < FAR_NS && apart > -FAR_NS;
}

static void stamps_take(struct leap *l, struct stamps *all, const struct packet *after, unsigned n, int64_t shift_ns, int64_t newest_ns)
{
	int64_t last = after[0].time_ns;

	for (unsigned i = 0; i < l->n; i++) {
		struct head *h = &l->heads[(l->next + BEFORE - l->n + i) % BEFORE];

		h->packet.bytes = h->bytes;
		if (h->packet.file == after[0].file && is_near(h->packet.time_ns, newest_ns))
			stamp_add(l, all, &h->packet, h->packet.time_ns, false);
	}
	for (unsigned i = 0; i < n && i < LEAP_AFTER; i++) {
		if (after[i].file != after[0].file)
			continue;
		if (!is_near(after[i].time_ns, last) || llabs(after[i].time_ns - last) >= CLOCK_STEP_NS)
			break;                  /* the next silence */
		last = after[i].time_ns;
		stamp_add(l, all, &after[i], after[i].time_ns + shift_ns, true);
	}
}

static bool same_flow(const struct stamp *a, const struct stamp *b)
{
	return a->from == b->from && memcmp(&a->tuple, &b->tuple, sizeof a->tuple) == 0;
}

/* A host's clock: how long its ticks are, and how long it says that the silence was; both from below and from above. */
struct host {
	uint8_t  address[16];
	bool     alone;                 /* it speaks to itself: all that can be asked here */
	int64_t  tick_least_ns, tick_most_ns;
	uint32_t tsval;
	int64_t  least_ns, most_ns, beside_ns;  /* of the silence; most -1: no flow of its was seen on both sides */
};

static struct host *host_of(struct host hosts[static HOSTS], unsigned *n, const struct stamp *s)
{
	const uint8_t *address = s->tuple.end[s->from].address;

	for (unsigned i = 0; i < *n; i++)
		if (address_equal(hosts[i].address, address))
			return &hosts[i];
	if (*n == HOSTS)
		return NULL;
	hosts[*n] = (struct host){ .alone = address_equal(address, s->tuple.end[!s->from].address), .tick_least_ns = TICK_LEAST_NS,
	                           .tick_most_ns = TICK_MOST_NS, .most_ns = -1 };
	memcpy(hosts[*n].address, address, sizeof hosts[*n].address);
	return &hosts[(*n)++];
}

/* n ticks were counted within `span_ns`: fewer than n + 1 and more than n - 1 of them passed. */
static void learn_tick(struct host *h, int64_t n, int64_t span_ns)
{
	int64_t least = (span_ns - JITTER_NS) / (n + 1), most = n > 1 ? (span_ns + JITTER_NS) / (n - 1) : 0;

	most += most / DOUBT;

	if (least > h->tick_least_ns)           /* more than TICK_MOST_NS: that clock stands still, or is none */
		h->tick_least_ns = least <= TICK_MOST_NS ? least : TICK_MOST_NS + 1;
	if (most > 0 && most < h->tick_most_ns)
		h->tick_most_ns = most > TICK_LEAST_NS ? most : TICK_LEAST_NS;
}

/* `beside_ns` of what the ticks counted lay before or after the silence: the nearest pair says most. */
static void measure(struct host *h, int64_t n, int64_t beside_ns, const struct stamp *a, const struct stamp *b)
{
	int64_t most = (n + 1) * h->tick_most_ns - beside_ns + JITTER_NS;

	if (h->tick_most_ns < h->tick_least_ns || (h->most_ns >= 0 && beside_ns >= h->beside_ns))
		return;
	h->beside_ns = beside_ns;
	h->tsval = b->tsval;
	h->least_ns = a->syn ? -FAR_NS : (n - 1) * h->tick_least_ns - beside_ns;        /* it may have waited for ARP, stamped */
	h->most_ns = most > 0 ? most : 0;
}

/* Ticks from a to b; negative: one of them came late. */
static int64_t ticks(const struct stamp *a, const struct stamp *b)
{
	return (int32_t)(b->tsval - a->tsval);
}

static unsigned ask_hosts(const struct stamps *all, struct host hosts[static HOSTS], int64_t newest_ns, int64_t first_ns)
{
	unsigned n = 0;

	for (unsigned pass = 0; pass < 2; pass++)       /* ticks are known before silences are measured */
		for (unsigned i = 0; i < all->n; i++)
			for (unsigned k = i + 1; k < all->n; k++) {
				const struct stamp *a = &all->at[i], *b = &all->at[k];
				struct host *h = same_flow(a, b) && ticks(a, b) >= 0 ? host_of(hosts, &n, a) : NULL;

				if (h != NULL && pass == 0 && a->after == b->after && !a->syn)
					learn_tick(h, ticks(a, b), b->time_ns - a->time_ns);
				if (h != NULL && pass == 1 && a->after != b->after)
					measure(h, ticks(a, b), newest_ns - a->time_ns + b->time_ns - first_ns, a, b);
			}
	return n;
}

/* ---- the verdict -------------------------------------------------------------------------- */

/* Behind a translation of addresses it is the same host's again. */
static unsigned voice(const struct host hosts[static HOSTS], unsigned which)
{
	for (unsigned i = 0; i < which; i++)
		if (hosts[i].most_ns >= 0 && hosts[i].tsval == hosts[which].tsval)
			return 0;
	return hosts[which].alone ? 2 : 1;
}

enum leap_answer leap_elapsed(struct leap *l, const struct packet *after, unsigned n, bool final, int64_t shift_ns, int64_t newest_ns, int64_t *elapsed_ns)
{
	struct stamps all = { .n = 0 };
	struct host hosts[HOSTS];
	int64_t first, silence, least = 0, most = INT64_MAX;
	unsigned n_hosts, say_forward = 0, say_back = 0;

	if (__builtin_add_overflow(after[0].time_ns, shift_ns, &first) || !is_near(first, newest_ns))
		return LEAP_UNKNOWN;
	silence = first - newest_ns;
	stamps_take(l, &all, after, n, shift_ns, newest_ns);
	n_hosts = ask_hosts(&all, hosts, newest_ns, first);
	for (unsigned i = 0; i < n_hosts; i++) {
		bool forward = hosts[i].most_ns <= silence - CLOCK_STEP_NS, back = hosts[i].least_ns >= silence + CLOCK_STEP_NS;

		if (hosts[i].most_ns < 0)
			continue;
		if (!forward && !back && hosts[i].least_ns >= silence / 2)
			return LEAP_NO;
		if (!forward && !back)
			continue;               /* its ticks are too coarse to say */
		say_forward += forward ? voice(hosts, i) : 0;
		say_back += back ? voice(hosts, i) : 0;
		least = hosts[i].least_ns > least ? hosts[i].least_ns : least;
		most = hosts[i].most_ns < most ? hosts[i].most_ns : most;
	}
	if (say_forward + say_back < (final && (say_back == 0 || silence <= -CLOCK_STEP_NS) ? 1 : 2) || (say_forward != 0 && say_back != 0) ||
	    least - most >= CLOCK_STEP_NS)
		return LEAP_UNKNOWN;
	*elapsed_ns = least < most ? least : most;
	return LEAP_YES;
}
