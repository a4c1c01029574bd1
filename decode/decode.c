#include "decode.h"

#include "clock.h"
#include "control.h"
#include "dealer.h"
#include "leap.h"
#include "link.h"

#include <stdlib.h>

struct decode {
	struct decode_options options;
	struct hash_key key;
	struct tuple *only;             /* in order; n_only of them, 0: all there are */
	struct ip_decoder *ip;
	struct clock clock;
	struct leap *leap;
	struct { struct packet packets[LEAP_AFTER]; unsigned n; struct chunk *chunk; } held;    /* a silence, and too few packets after it yet */
	struct decoder *one;            /* one thread */
	struct dealer *many;            /* or several */
	struct mark last;               /* newest packet that is judged */
	uint64_t left_out;              /* packets that are not */
	int64_t  now_ns, next_tick_ns;
};

/* ---- connections that are followed -------------------------------------------------------- */

static int compare_tuples(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct tuple));
}

static bool copy_only(struct decode *d)
{
	const struct decode_options *o = &d->options;
	struct segment s = { 0 };

	if (o->n_only == 0)
		return true;
	d->only = calloc(o->n_only, sizeof *d->only);
	for (size_t i = 0; d->only != NULL && i < o->n_only; i++) {
		segment_tuple(&s, &o->only[i][0], &o->only[i][1]);
		d->only[i] = s.tuple;
	}
	if (d->only != NULL)
		qsort(d->only, o->n_only, sizeof *d->only, compare_tuples);
	return d->only != NULL;
}

static bool followed(const struct decode *d, const struct tuple *t)
{
	return d->only == NULL || bsearch(t, d->only, d->options.n_only, sizeof *t, compare_tuples) != NULL;
}

/* ---- beginning and ending ----------------------------------------------------------------- */

struct decode *decode_new(const struct decode_options *o, struct fact_sink sink, struct err *e)
{
	struct decode *d = calloc(1, sizeof *d);

	if (d == NULL)
		goto no_memory;
	d->options = *o;
	d->key = hash_key_random();
	d->now_ns = d->next_tick_ns = INT64_MIN;
	d->ip = ip_decoder_new();
	d->leap = leap_new();
	if (o->threads > 1)
		d->many = dealer_new(&d->options, sink);
	else
		d->one = decoder_new(&d->options, sink, true);
	if (copy_only(d) && d->ip != NULL && d->leap != NULL && (d->one != NULL || d->many != NULL))
		return d;
no_memory:
	decode_free(d);
	(void)err_set(e, ERR_MEMORY, "out of memory");
	return NULL;
}

void decode_free(struct decode *d)
{
	if (d == NULL)
		return;
	ip_decoder_free(d->ip);
	leap_free(d->leap);
	clock_clear(&d->clock);
	chunk_unref(d->held.chunk);
	decoder_free(d->one);
	dealer_free(d->many);
	free(d->only);
	free(d);
}

/* ---- time --------------------------------------------------------------------------------- */

/* Capture time never goes back here; a tick is due when it passes a multiple of TICK_NS. */
static void advance(struct decode *d, struct mark at, bool left_out)
{
	if (left_out)                           /* nor does it say how long anybody waited */
		return;
	if (at.time_ns <= d->now_ns)
		return;
	d->now_ns = at.time_ns;
	if (d->now_ns < d->next_tick_ns)
		return;
	d->next_tick_ns = d->now_ns - d->now_ns % TICK_NS + TICK_NS;
	if (d->one != NULL)
		decoder_tick(d->one, at);
	else
		dealer_tick(d->many, at);
}

/* ---- packets ------------------------------------------------------------------------------ */

static uint64_t tuple_hash(const struct decode *d, const struct tuple *t)
{
	return hash_bytes(&d->key, span_of(t, sizeof *t));
}

static void deal_control(struct decode *d, struct fact *f, enum fact_kind kind, size_t size, const struct packet *p, struct mark at)
{
	f->kind = (uint16_t)kind;
	f->size = (uint32_t)((size + 7) & ~(size_t)7);
	f->at = at;
	f->tap = p->interface;
	if (d->one != NULL)
		decoder_control(d->one, f);
	else
		dealer_control(d->many, f);
}

/* Wireshark opens a conversation for a TCP header quoted in an ICMP error, also where the error is not judged. */
static void deal_left_out_quote(struct decode *d, struct segment *s, uint32_t seq, const struct datagram *g)
{
	s->at = g->at;
	s->seq = seq;
	s->flags = TCP_SYN | TCP_ACK;           /* seq is where it began; it is no SYN that would begin another one */
	s->filtered = true;
	s->payload = s->options = span_none();
	s->hash = tuple_hash(d, &s->tuple);
	if (d->one != NULL)
		decoder_segment(d->one, s);
	else
		dealer_segment(d->many, s, NULL, false);
}

static void deal_icmp(struct decode *d, const struct datagram *g)
{
	struct work_icmp w = { 0 };
	struct segment s = { 0 };

	if (!control_icmp(g, &w.fact, &w.seq))
		return;
	segment_tuple(&s, &w.fact.from, &w.fact.to);
	if (g->packet->filtered) {
		if (w.fact.protocol == 6)
			deal_left_out_quote(d, &s, w.seq, g);
		return;
	}
	w.fact.head.at = g->at;
	w.fact.head.tap = g->packet->interface;
	w.tuple = s.tuple;
	w.from = s.from;
	w.hash = tuple_hash(d, &w.tuple);
	if (d->one != NULL)
		decoder_icmp(d->one, &w.fact, &w.tuple, w.hash, w.from, w.seq);
	else
		dealer_icmp(d->many, &w);
}

enum { DNS_TRUNCATED = 0x8200 };        /* an answer, and TC. RFC 1035 4.1.1 */

static void deal_dns(struct decode *d, const struct datagram *g, const struct packet *p)
{
	struct { struct dns_fact f; char name[DNS_NAME_MAX + 1]; } w = { 0 };
	struct cursor c = cursor_of(g->payload);
	uint16_t from = cur_u16(&c), to = cur_u16(&c);
	size_t len = 0;

	cur_skip(&c, 4);                        /* length, checksum */
	if ((span_u16(c.rest, 2) & DNS_TRUNCATED) == DNS_TRUNCATED)
		return;                         /* no answer: the question comes again over TCP. RFC 7766 5 */
	if (c.failed || (from != 53 && to != 53) || !control_dns(c.rest, &w.f, w.name, &len))
		return;
	memcpy(w.f.answer ? w.f.server.address : w.f.asker.address, g->src, 16);
	memcpy(w.f.answer ? w.f.asker.address : w.f.server.address, g->dst, 16);
	w.f.server.port = w.f.answer ? from : to;
	w.f.asker.port = w.f.answer ? to : from;
	w.f.name = (struct text){ (uint32_t)sizeof w.f, (uint32_t)len };
	deal_control(d, &w.f.head, FACT_DNS, sizeof w.f + len, p, g->at);
}

static void deal_other(struct decode *d, enum ip_verdict verdict, const struct datagram *g, const struct packet *p)
{
	struct arp_fact arp = { 0 };

	if (p->filtered && (verdict != IP_DATAGRAM || (g->protocol != 1 && g->protocol != 58)))
		return;
	if (verdict == IP_ARP) {
		if (control_arp(g->payload, &arp))
			deal_control(d, &arp.head, FACT_ARP, sizeof arp, p, (struct mark){ p->number, p->time_ns });
		return;
	}
	if (verdict != IP_DATAGRAM)
		return;
	switch (g->protocol) {
	case 1:
		deal_icmp(d, g);
		break;
	case 17:
		deal_dns(d, g, p);
		break;
	case 58:
		if (!p->filtered && control_neighbour(g, &arp))
			deal_control(d, &arp.head, FACT_ARP, sizeof arp, p, g->at);
		else
			deal_icmp(d, g);
		break;
	default:
		break;
	}
}

static void deal_one(struct decode *d, const struct packet *p, const struct datagram *g, enum ip_verdict verdict, struct chunk *chunk)
{
	struct segment s;

	if (verdict == IP_DATAGRAM && g->protocol == 6) {
		if (!segment_parse(g, &s) || !followed(d, &s.tuple))
			return;
		s.hash = tuple_hash(d, &s.tuple);
		if (d->one != NULL)
			decoder_segment(d->one, &s);
		else
			dealer_segment(d->many, &s, chunk, g->reassembled);
		return;
	}
	if (d->only == NULL)
		deal_other(d, verdict, g, p);
}

enum { AHEAD = 16 };

/* Single decoder: headers of AHEAD packets are parsed and their table slots asked for before the first is processed,
 * since a cold look-up costs as much as all the rest. */
struct ahead { struct segment s; const struct packet *p; bool tcp; };

static void decode_ahead(struct decode *d, const struct packet *packets, unsigned n, struct chunk *chunk)
{
	struct ahead a[AHEAD];
	struct datagram g;

	for (unsigned i = 0; i < n; i++) {
		enum ip_verdict v = ip_decode(d->ip, &packets[i], &g);

		a[i].tcp = v == IP_DATAGRAM && g.protocol == 6 && !g.reassembled && segment_parse(&g, &a[i].s);
		a[i].p = &packets[i];
		if (a[i].tcp) {
			a[i].s.hash = tuple_hash(d, &a[i].s.tuple);
			decoder_prefetch(d->one, &a[i].s);
		} else if (v != IP_DATAGRAM || g.protocol != 6 || g.reassembled) {
			/* Rare: what came before it goes first, then it. */
			for (unsigned j = 0; j < i; j++)
				if (a[j].tcp) {
					advance(d, a[j].s.at, a[j].s.filtered);
					decoder_segment(d->one, &a[j].s);
					a[j].tcp = false;
				}
			advance(d, (struct mark){ packets[i].number, packets[i].time_ns }, packets[i].filtered);
			deal_one(d, &packets[i], &g, v, chunk);
		}
	}
	for (unsigned i = 0; i < n; i++)
		if (a[i].tcp)
			decoder_conn_prefetch(d->one, &a[i].s);
	for (unsigned i = 0; i < n; i++)
		if (a[i].tcp) {
			advance(d, a[i].s.at, a[i].s.filtered);
			decoder_segment(d->one, &a[i].s);
		}
}

static void decode_dealt(struct decode *d, const struct packet *p, struct chunk *chunk)
{
	struct datagram g;
	enum ip_verdict v = ip_decode(d->ip, p, &g);

	advance(d, (struct mark){ p->number, p->time_ns }, p->filtered);
	deal_one(d, p, &g, v, chunk);
}

static void note_last(struct decode *d, const struct packet *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (p[i].filtered)
			d->left_out++;
		else
			d->last = (struct mark){ p[i].number, p[i].time_ns };
	}
}

/* ---- a clock that is set ------------------------------------------------------------------ */

/* Of each batch, for a silence at the beginning of the next: each costs some 10 ns. */
enum { REMEMBERED = 4 };

/* `n` packets from the silence, or the step back, on. */
static enum leap_answer clock_was_set(struct decode *d, const struct packet *p, unsigned n, bool final, enum clock_goes goes, int64_t *elapsed_ns)
{
	enum leap_answer answer = leap_elapsed(d->leap, p, n, final, clock_shift(&d->clock, p), clock_newest(&d->clock, p), elapsed_ns);

	return goes == CLOCK_SET_BACK ? LEAP_YES : answer;
}

static void set_clock(struct decode *d, struct packet *p, int64_t elapsed_ns)
{
	struct tick_fact step = { 0 };
	struct packet first = *p;
	struct mark at;

	clock_step(&d->clock, p, elapsed_ns);
	leap_forget(d->leap);
	clock_set_right(&d->clock, &first);
	at = (struct mark){ first.number, first.time_ns };
	advance(d, at, p->filtered);            /* a packet's tick is before its facts */
	deal_control(d, &step.head, FACT_CLOCK_STEP, sizeof step, p, at);
}

/* The first of these packets comes after all that went before, however much later it says to be. The others, up to AHEAD, until one jumps. */
static unsigned set_right(struct decode *d, struct packet *p, unsigned n)
{
	unsigned i = 1;

	clock_set_right(&d->clock, p);
	while (i < n && i < AHEAD && clock_goes_on(&d->clock, &p[i]))
		i++;
	return i;
}

static void hold(struct decode *d, const struct packet *p, unsigned n, struct chunk *chunk)
{
	memcpy(d->held.packets, p, n * sizeof *p);
	d->held.n = n;
	d->held.chunk = chunk;
	chunk_ref(chunk);
}

/* `beyond` more packets lie behind these, to be looked at only. Without, some may wait for those that come next. */
static void take_packets(struct decode *d, struct packet *p, unsigned n, unsigned beyond, struct chunk *chunk, bool may_hold)
{
	unsigned told = 0;                      /* to d->leap */

	for (unsigned i = 0, run; i < n; i += run) {
		enum clock_goes goes = clock_ahead(&d->clock, &p[i]);
		unsigned seen = n + beyond - i;
		bool wait = seen < LEAP_AFTER && may_hold && chunk != NULL;

		if (goes != CLOCK_GOES_ON) {
			int64_t elapsed_ns = 0;
			enum leap_answer answer;

			leap_remember(d->leap, &p[told], i - told);
			told = i;
			answer = clock_was_set(d, &p[i], seen, !wait, goes, &elapsed_ns);
			if (answer == LEAP_UNKNOWN && wait) {
				hold(d, &p[i], n - i, chunk);
				n = i;
				break;
			}
			if (answer == LEAP_YES)
				set_clock(d, &p[i], elapsed_ns);
		}
		run = set_right(d, &p[i], n - i);
		if (d->one != NULL && d->only == NULL)
			decode_ahead(d, &p[i], run, chunk);
		else
			for (unsigned j = i; j < i + run; j++)
				decode_dealt(d, &p[j], chunk);
	}
	told = n - told > REMEMBERED ? n - REMEMBERED : told;
	leap_remember(d->leap, &p[told], n - told);
	note_last(d, p, n);
}

/* Those that waited go first; `next` are those behind them. */
static void take_held(struct decode *d, const struct packet *next, unsigned n)
{
	struct packet window[2 * LEAP_AFTER];
	struct chunk *chunk = d->held.chunk;
	unsigned held = d->held.n;

	if (held == 0)
		return;
	n = n < LEAP_AFTER ? n : LEAP_AFTER;
	memcpy(window, d->held.packets, held * sizeof *window);
	if (n != 0)
		memcpy(window + held, next, n * sizeof *window);
	d->held.n = 0;
	d->held.chunk = NULL;
	take_packets(d, window, held, n, chunk, false);
	chunk_unref(chunk);
}

void decode_packets(struct decode *d, struct packet_batch *b)
{
	take_held(d, b->packets, b->n);
	take_packets(d, b->packets, b->n, 0, b->chunk, true);
	if (b->n == 0)
		advance(d, (struct mark){ d->last.packet, clock_now(&d->clock, b->now_ns) }, false);
	if (d->many != NULL)
		dealer_sync(d->many);
	else if (b->n == 0)
		decoder_flush(d->one);
}

void decode_end(struct decode *d)
{
	struct mark last;

	take_held(d, NULL, 0);
	last = (struct mark){ d->last.packet, d->now_ns != INT64_MIN ? d->now_ns : 0 };
	if (d->one != NULL)
		decoder_end(d->one, last);
	else
		dealer_end(d->many, last);
}

void decode_counters(struct decode *d, struct decode_counters *c)
{
	struct ip_counters ip;

	if (d->one != NULL)
		*c = d->one->counters;
	else
		dealer_counters(d->many, c);
	ip_counters(d->ip, &ip);
	c->undecodable_packets = ip.undecodable;
	counters_limit(c, "fragments_dropped", ip.fragments_dropped);
	counters_limit(c, "encapsulation_depth", ip.encapsulation_depth);
	c->left_out = d->left_out;
}
