/* tcp.c - what each segment says about its connection. RFC 9293; marks for MECHANISMS.md's signatures */
#include "decoder.h"

/* Further than any window on a path that is captured: 16 MiB. */
enum { FAR = 1 << 24 };

/* ---- detail: there while something is open ------------------------------------------------ */

bool tcp_detail(struct decoder *d, struct conn *c)
{
	uint32_t index;
	struct detail *t;

	if (c->detail != NULL)
		return true;
	if (d->memory + sizeof *t > d->max_memory)
		return false;
	t = slab_take(&d->detail_slab, &index);
	if (t == NULL) {
		decoder_limit(d, LIMIT_NAME_MEMORY);
		return false;
	}
	*t = (struct detail){ .decoder = d, .index = index, .flow = { { .facts = &t->note.side[0] }, { .facts = &t->note.side[1] } } };
	/* At rest before its first byte, the last that it saw was the handshake's end. */
	if (c->handshake && c->payload_packet == 0)
		t->syn_ack_acked = (struct mark){ conn_last_packet(c), c->last_ns };
	d->memory += sizeof *t;
	if (d->memory > d->memory_peak)
		d->memory_peak = d->memory;
	c->detail = t;
	return true;
}

void tcp_forget_detail(struct decoder *d, struct conn *c)
{
	struct detail *t = c->detail;

	if (t == NULL)
		return;
	if (t->self != NULL)
		c->protocol->free(t->self);
	t->self = NULL;
	exchange_end_all(d, c, END_EVICTED, d->now);
	if (t->note.keep_alive_s != 0)
		c->keep_alive_s = t->note.keep_alive_s;
	stream_drop_waiting(d, c);
	ahead_drop(d, c);
	for (unsigned i = 0; i < 2; i++)
		decoder_release(d, t->flow[i].early, t->flow[i].early_size);
	decoder_release(d, t->tls, sizeof *t->tls);
	d->memory -= sizeof *t;
	c->detail = NULL;
	slab_give(&d->detail_slab, t->index);
}

/* Both ends change places: joined late, and the first request came from the side taken for the server. */
void conn_swap(struct conn *c)
{
	struct endpoint e = c->tuple.end[CLIENT];
	struct flow f = c->flow[CLIENT];
	uint8_t speaks = c->speaks[CLIENT];

	c->tuple.end[CLIENT] = c->tuple.end[SERVER];
	c->tuple.end[SERVER] = e;
	c->flow[CLIENT] = c->flow[SERVER];
	c->flow[SERVER] = f;
	c->speaks[CLIENT] = c->speaks[SERVER];
	c->speaks[SERVER] = speaks;
	c->swapped = !c->swapped;
	if (c->detail != NULL) {
		struct flow_detail t = c->detail->flow[CLIENT];
		struct tcp_side side;

		c->detail->flow[CLIENT] = c->detail->flow[SERVER];
		c->detail->flow[SERVER] = t;
		side = *t.facts;
		*t.facts = *c->detail->flow[CLIENT].facts;
		*c->detail->flow[CLIENT].facts = side;
		c->detail->flow[SERVER].facts = c->detail->flow[CLIENT].facts;
		c->detail->flow[CLIENT].facts = t.facts;
	}
}

static bool flow_is_quiet(const struct conn *c, enum side s)
{
	const struct flow *f = &c->flow[s];
	const struct flow_detail *t = &c->detail->flow[s];

	return t->waiting == NULL && t->early_len == 0 && (!f->acked_known || f->acked == f->top);
}

/* Opened and not asked yet: nothing came since the handshake, which was in order. */
static bool conn_is_fresh(const struct conn *c)
{
	const struct detail *t = c->detail;

	return c->handshake && !c->joined_late && c->payload_packet == 0 && t->syn_ack_acked.packet == conn_last_packet(c) &&
	       t->flow[CLIENT].facts->syns <= 1 && t->flow[SERVER].facts->syns <= 1 && t->note.icmp.at.packet == 0;
}

/* Back to what an idle connection keeps, where all that was open ended well. */
void tcp_rest(struct decoder *d, struct conn *c)
{
	struct detail *t = c->detail;

	if (t == NULL || t->odd || t->first != NULL || t->held != NULL || c->flow[CLIENT].fin_seen || c->flow[SERVER].fin_seen ||
	    t->tls != NULL || (c->exchanges == 0 && !conn_is_fresh(c)) ||
	    !flow_is_quiet(c, CLIENT) || !flow_is_quiet(c, SERVER))
		return;
	if (t->self != NULL && (c->protocol->idle == NULL || !c->protocol->idle(t->self)))
		return;
	tcp_forget_detail(d, c);
}

/* ---- facts -------------------------------------------------------------------------------- */

static void side_facts(const struct conn *c, enum side s, struct tcp_side *f)
{
	const struct flow *w = &c->flow[s];

	f->isn = w->seq_known ? flow_isn(w) : 0;
	f->mss = w->mss;
	f->window_scale = w->window_scale;
	f->sack = w->sack;
	f->timestamps = w->timestamps;
	f->ttl_syn = w->ttl_syn;
	f->ttl_min = w->ttl_min;
	f->ttl_max = w->ttl_max;
	f->bytes = w->offset;
	if (w->seq_known)
		f->bytes = w->offset + conn_seq_after(w->top - w->fin_seen, w->next);
	f->bytes_acked = f->bytes;
	if (w->acked_known)
		f->bytes_acked -= conn_seq_after(w->top, w->acked) < f->bytes ? conn_seq_after(w->top, w->acked) : f->bytes;
}

void tcp_facts(struct decoder *d, struct conn *c, struct conn_facts *f)
{
	struct detail *t = c->detail;

	if (t != NULL) {
		if (t->note.keep_alive_s != 0)
			c->keep_alive_s = t->note.keep_alive_s;
		*f = t->note;
		f->handshake = t->syn_ack_acked;
	}
	memcpy(f->end, c->tuple.end, sizeof f->end);
	side_facts(c, CLIENT, &f->side[CLIENT]);
	side_facts(c, SERVER, &f->side[SERVER]);
	if (!c->joined_late)
		f->side[CLIENT].syn = c->first;
	f->side[SERVER].syn = c->syn_ack;
	if (f->side[SERVER].syns == 0 && c->syn_ack.packet != 0)
		f->side[SERVER].syns = 1;
	if (f->side[CLIENT].syns == 0 && !c->joined_late)
		f->side[CLIENT].syns = 1;
	f->first = c->first;
	f->last = (struct mark){ conn_last_packet(c), c->last_ns };
	f->rtt_ns = c->rtt_ns;
	f->joined_late = c->joined_late;
	f->one_way = !c->flow[CLIENT].seq_known || !c->flow[SERVER].seq_known;
	f->exchanges = c->exchanges;
	f->keep_alive_s = c->keep_alive_s;
	for (unsigned i = 0; i < 2; i++)
		if (c->speaks[i] > SPEAKS_UNKNOWN || f->speaks[i] == SPEAKS_NOTHING)
			f->speaks[i] = c->speaks[i];
	f->proxied = c->proxied;
	if (c->proxied)
		f->proxied_for = d->proxied[c->index];
	f->copies = c->copies;
	f->limited = c->limited;
}

/* ---- copies ------------------------------------------------------------------------------- */

/* The same segment from another interface, or within 1 ms with another TTL (routed twice past the tap), or with
 * the same IP ID (mirrored twice), is a copy: it has a number and is otherwise unseen. */
static bool segment_is_copy(struct flow_detail *t, const struct segment *s)
{
	uint32_t tsval = segment_tsval(s);
	struct seen_segment *n;

	for (unsigned i = 0; i < SEEN_SEGMENTS; i++) {
		const struct seen_segment *o = &t->seen[i];
		int64_t apart = s->at.time_ns - o->time_ns;

		if (!o->used || o->seq != s->seq || o->ack != s->ack || o->len != s->wire_len || o->flags != s->flags || o->tsval != tsval)
			continue;
		if (o->tap != s->tap && apart < 20 * NS_PER_MS && apart > -20 * NS_PER_MS)
			return true;
		if (apart < NS_PER_MS && (o->ttl != s->ttl || (o->ip_id == s->ip_id && s->ip_id != 0)))
			return true;
	}
	n = &t->seen[t->seen_at];
	t->seen_at = (uint8_t)((t->seen_at + 1) % SEEN_SEGMENTS);
	*n = (struct seen_segment){ s->at.time_ns, s->seq, s->ack, s->wire_len, tsval, s->tap, s->ip_id, s->flags, s->ttl, true };
	return false;
}

/* ---- parts of a segment ------------------------------------------------------------------- */

static void note_ttl(struct flow *f, uint8_t ttl)
{
	if (f->ttl_min == 0 || ttl < f->ttl_min)
		f->ttl_min = ttl;
	if (ttl > f->ttl_max)
		f->ttl_max = ttl;
}

static void note_rtt(struct conn *c, int64_t ns)
{
	uint32_t clipped = ns < 0 ? 0 : ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;

	if (clipped > c->rtt_ns)
		c->rtt_ns = clipped;
}

static void segment_syn(struct conn *c, const struct segment *s, enum side from)
{
	struct flow *f = &c->flow[from];
	struct tcp_side *side = c->detail->flow[from].facts;
	struct tcp_options o;

	if (f->syn_seen && flow_isn(f) == s->seq) {
		side->syns++;
		side->syn_last = s->at;
		if (from == SERVER && c->handshake)
			side->syn_resends_after_ack++;
		c->detail->odd |= from == SERVER && c->handshake;
		return;
	}
	if (from == CLIENT && c->syn_ack.packet != 0 && c->joined_late && f->offset == 0) {
		c->joined_late = false;         /* the capture has SYN-ACK and SYN in the wrong order */
		c->first = s->at;
		note_rtt(c, c->syn_ack.time_ns - s->at.time_ns);
	}
	segment_options(s->options, &o);
	f->next = f->top = s->seq + 1;
	f->offset = 0;
	f->acked = s->seq;
	f->seq_known = f->acked_known = f->syn_seen = true;
	f->mss = o.mss;
	f->window_scale = o.window_scale;
	f->sack = o.sack_permitted;
	f->timestamps = o.timestamps;
	f->ttl_syn = s->ttl;
	side->syns = 1;
	side->syn_last = s->at;
	if (from == SERVER) {
		c->syn_ack = s->at;
		if (!c->joined_late && c->detail->flow[CLIENT].facts->syns == 1)
			note_rtt(c, s->at.time_ns - c->first.time_ns);
	}
}

/* The other side's acknowledgement of `side`'s data advances, or stands. */
static void flow_acked(struct decoder *d, struct conn *c, enum side side, const struct segment *s)
{
	struct flow *f = &c->flow[side];
	struct flow_detail *t = &c->detail->flow[side];
	uint32_t advance;

	if (!f->seq_known) {                    /* nothing of this side captured yet: its acknowledgements tell where it is */
		f->seq_known = f->acked_known = true;
		f->next = f->top = f->acked = s->ack;
		return;
	}
	if (!f->acked_known) {
		f->acked = s->ack;
		f->acked_known = true;
		t->facts->acked = s->at;
	}
	advance = conn_seq_after(s->ack, f->acked);
	if (advance == 0 || advance > UINT32_C(1) << 30)
		return;
	f->acked = s->ack;
	t->facts->acked = s->at;
	if (conn_seq_after(s->ack, f->top) != 0)
		f->top = s->ack;                /* sent, and not captured (yet) */
	if (t->oldest_known && conn_seq_after(s->ack, t->oldest_seq) != 0) {
		uint32_t len = t->facts->unacked_len;

		if (len > t->facts->acked_len)
			t->facts->acked_len = len;
		t->oldest_known = false;
		t->facts->unacked = (struct mark){ 0, 0 };
		t->facts->unacked_len = 0;
		t->facts->resends_unacked = 0;
		t->facts->later_acked = false;
		t->facts->smaller_passed = 0;
	}
	if (f->fin_seen && s->ack == t->fin_seq + 1 && t->facts->fin_acked.packet == 0)
		t->facts->fin_acked = s->at;
	if (side == CLIENT && c->detail->first != NULL)
		exchange_acked(c, f->offset - conn_seq_after(f->next, s->ack), s->at);
	(void)d;
}

/* SACK blocks say that something after the oldest unacknowledged segment got through. RFC 2018 3 */
static void flow_sacked(struct flow_detail *t, const struct segment *s)
{
	struct tcp_options o;

	if (s->options.len < 10)                /* one block; without time stamps it may be all there is */
		return;
	segment_options(s->options, &o);
	for (unsigned i = 0; i < o.n_sack; i++) {
		uint32_t len = o.sack[i].right - o.sack[i].left;

		if (conn_seq_after(o.sack[i].left, s->ack) == 0)
			continue;               /* D-SACK, RFC 2883 */
		t->facts->later_acked = true;
		if (len > t->facts->smaller_passed)
			t->facts->smaller_passed = len;
	}
}

static void note_window(struct conn *c, const struct segment *s, enum side from)
{
	struct tcp_side *side = c->detail->flow[from].facts;

	c->flow[from].window = s->window;
	if (s->window == 0) {
		if (side->window_zero.packet == 0)
			side->window_zero = s->at;
	} else if (side->window_zero.packet != 0) {
		side->window_zero = (struct mark){ 0, 0 };
		side->zero_probes = 0;
	}
}

static void segment_ack(struct decoder *d, struct conn *c, const struct segment *s, enum side from)
{
	enum side other = side_other(from);

	if (from == CLIENT && !c->handshake && c->syn_ack.packet != 0 && s->ack == flow_isn(&c->flow[SERVER]) + 1 && (s->flags & TCP_SYN) == 0) {
		c->handshake = true;
		decoder_met(d, c);
		c->detail->syn_ack_acked = s->at;
		if (!c->joined_late)            /* else half of the path's round trip is not known */
			note_rtt(c, s->at.time_ns - c->syn_ack.time_ns < NS_PER_S ? s->at.time_ns - c->syn_ack.time_ns : 0);
	}
	flow_acked(d, c, other, s);
	if (c->detail->flow[other].oldest_known && s->wire_len == 0)
		flow_sacked(&c->detail->flow[other], s);
	if ((s->flags & TCP_SYN) == 0)
		note_window(c, s, from);
}

/* A SYN was answered by a bare ACK that acknowledges neither it nor what followed it: the other end still has an older
 * connection on these ports. RFC 9293 3.10.7.4, RFC 5961 4. Where the client has acknowledged something there was a
 * SYN-ACK, which the capture lacks. */
static bool segment_is_strange_ack(struct conn *c, const struct segment *s, enum side from)
{
	struct tcp_side *side = c->detail->flow[from].facts;

	if (from != SERVER || c->joined_late || c->syn_ack.packet != 0 || (s->flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK ||
	    c->flow[SERVER].seq_known || s->ack - flow_isn(&c->flow[CLIENT]) - 1 <= c->flow[CLIENT].top - flow_isn(&c->flow[CLIENT]) - 1)
		return false;
	if (side->strange_ack.packet == 0)
		side->strange_ack = s->at;
	c->detail->odd = true;
	return true;
}

/* ---- payload ------------------------------------------------------------------------------ */

static bool is_probe(struct conn *c, const struct segment *s, enum side from)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];
	struct tcp_side *peer = c->detail->flow[side_other(from)].facts;

	if (s->wire_len > 1)
		return false;
	if (s->seq + 1 == f->top && s->seq == f->acked - 1 && f->acked_known) {
		t->facts->keepalive_probes++;    /* RFC 9293 3.8.4; RFC 1122 4.2.3.6 */
		if (peer->window_zero.packet != 0)
			peer->zero_probes++;
		return true;
	}
	if (peer->window_zero.packet != 0 && s->wire_len == 1) {
		peer->zero_probes++;
		return false;
	}
	return false;
}

static void note_resend(struct conn *c, const struct segment *s, enum side from)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];

	t->facts->resends++;
	t->facts->last_resend = s->at;
	if (t->facts->first_resend.packet == 0)
		t->facts->first_resend = s->at;
	if (!t->oldest_known && f->acked_known && s->seq == f->acked) {
		t->oldest_known = true;
		t->oldest_seq = s->seq;
		t->facts->unacked = s->at;
		t->facts->unacked_len = s->wire_len;
	}
	if (t->oldest_known && s->seq == t->oldest_seq) {
		t->facts->resends_unacked++;
		if (s->wire_len < t->facts->unacked_len && s->wire_len != 0)
			t->facts->unacked_len = s->wire_len;     /* a GSO segment sent again in its real size */
	}
}

static void note_new_data(struct conn *c, const struct segment *s, enum side from)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];

	if (t->facts->first_data.packet == 0)
		t->facts->first_data = s->at;
	t->facts->last_data = s->at;
	if (!t->oldest_known && (!f->acked_known || conn_seq_after(s->seq, f->acked) == 0)) {
		t->oldest_known = true;
		t->oldest_seq = s->seq;
		t->facts->unacked = s->at;
		t->facts->unacked_len = s->wire_len;
	}
}

/* Where in its stream a segment's first byte lies, relative to what has been handed on: negative before it. */
static void segment_payload(struct decoder *d, struct conn *c, const struct segment *s, enum side from)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];
	uint32_t seq = s->seq + ((s->flags & TCP_SYN) != 0), end = seq + s->wire_len;  /* data may come with a SYN: RFC 7413 */
	int32_t ahead;
	struct mark before;

	if (!f->seq_known) {
		f->seq_known = true;
		f->next = f->top = seq;
	}
	if (is_probe(c, s, from))
		return;
	if (t->facts->rst.at.packet != 0 && t->facts->data_after_rst.packet == 0) {
		t->facts->data_after_rst = s->at;
		c->detail->odd = true;
	}
	if (c->joined_late && t->facts->first_data.packet == 0 && f->offset == 0 && (int32_t)(end - f->next) <= 0)
		f->next = seq;                  /* acknowledged before it was captured (out of order), or sent again: still the first seen */
	ahead = (int32_t)(seq - f->next);
	if ((int32_t)(end - f->top) <= 0 && conn_seq_after(f->top, seq) != 0 && (ahead < 0 || t->waiting != NULL || t->facts->last_data.packet != 0)) {
		if (ahead != 0 || (t->oldest_known && seq == t->oldest_seq))
			note_resend(c, s, from);
		if (ahead < 0 && (int32_t)(end - f->next) <= 0) {
			stream_resend(d, c, from, s, f->offset + (uint64_t)(int64_t)ahead);
			return;
		}
	} else {
		note_new_data(c, s, from);
	}
	before = (struct mark){ c->payload_packet, c->payload_ns };
	c->detail->idle_ns = c->payload_packet != 0 ? s->at.time_ns - before.time_ns : -1;
	c->detail->before = before;
	if (conn_seq_after(end, f->top) != 0)
		f->top = end;
	stream_data(d, c, from, s, f->offset + (uint64_t)(int64_t)ahead);
	c->payload_packet = s->at.packet;
	c->payload_ns = s->at.time_ns;
	c->last_after = 0;
	c->detail->last_payload = s->at;
}

/* ---- ends --------------------------------------------------------------------------------- */

static void conn_over(struct decoder *d, struct conn *c)
{
	struct detail *t = c->detail;

	if (c->state == CONN_OPEN)
		c->state = CONN_ENDED;
	if (t->closed_armed)
		return;
	t->closed_armed = true;
	decoder_arm(d, TIMER_CLOSE, c, c->generation);
}

static void note_closing(struct conn *c, const struct segment *s, enum side from, enum closing how)
{
	struct conn_facts *n = &c->detail->note;

	if (n->closing != CLOSING_NONE)
		return;
	n->closing = (uint8_t)how;
	n->closer = (uint8_t)from;
	n->closed = s->at;
	n->idle_ns = c->payload_packet != 0 && s->wire_len == 0 ? s->at.time_ns - c->payload_ns : 0;
}

static void segment_fin(struct decoder *d, struct conn *c, const struct segment *s, enum side from)
{
	struct flow *f = &c->flow[from], *other = &c->flow[side_other(from)];
	struct flow_detail *t = &c->detail->flow[from];
	uint32_t at = s->seq + s->wire_len;

	if (f->fin_seen)
		return;
	if (!f->seq_known) {
		f->seq_known = true;
		f->next = f->top = at;
	}
	f->fin_seen = true;
	t->fin_seq = at;
	t->facts->fin = s->at;
	t->facts->fin_behind = other->acked_known && (s->flags & TCP_ACK) != 0 && conn_seq_after(other->acked, s->ack) != 0;
	if (conn_seq_after(at + 1, f->top) != 0)
		f->top = at + 1;
	note_closing(c, s, from, CLOSING_FIN);
	if (f->next == at && !f->ended) {
		f->ended = true;
		stream_fin(d, c, from, s->at);
	}
	if (c->flow[CLIENT].fin_seen && c->flow[SERVER].fin_seen)
		conn_over(d, c);
	else if (from == CLIENT && c->detail->waiting_told && conn_unanswered(c->detail))
		decoder_conn_fact(d, c, CONN_WAITING, false);   /* it waits no longer; who is silent may not close for long */
}

/* Genuine ones are at the next expected byte, or at the ACK field of the segment that they answer. RFC 9293 3.5.2 */
static bool rst_fits(const struct conn *c, const struct segment *s, enum side from)
{
	const struct flow *f = &c->flow[from], *o = &c->flow[side_other(from)];

	if (!f->seq_known || c->joined_late)
		return true;
	if (!f->syn_seen && (s->flags & TCP_ACK) != 0)
		return !o->seq_known || conn_seq_after(s->ack, o->top) == 0;
	return s->seq == f->next || s->seq == f->top || (f->acked_known && s->seq == f->acked) ||
	       (conn_seq_after(s->seq, f->acked) != 0 && conn_seq_after(s->seq, f->top) == 0);
}

static void note_rst(struct conn *c, const struct segment *s, enum side from, bool fits)
{
	struct flow *f = &c->flow[from], *o = &c->flow[side_other(from)];
	struct rst *r = &c->detail->flow[from].facts->rst;
	struct tcp_options options;

	r->count++;
	if (r->at.packet != 0 && (r->fits || !fits))
		return;
	segment_options(s->options, &options);
	r->at = s->at;
	r->kind = (s->flags & TCP_ACK) != 0 ? RST_WITH_ACK : RST_ALONE;
	r->ttl = s->ttl;
	r->fits = fits;
	r->window = s->window;
	r->ip_id = s->ip_id;
	r->ip_id_follows = s->ip_id != 0 && f->ip_id != 0 && (uint16_t)(s->ip_id - f->ip_id) - 1u < 16;
	r->ip_id_copied = s->ip_id != 0 && s->ip_id == o->ip_id && !r->ip_id_follows;
	r->timestamps = options.timestamps;
}

static void segment_rst(struct decoder *d, struct conn *c, const struct segment *s, enum side from)
{
	struct detail *t = c->detail;
	bool fits = rst_fits(c, s, from);
	/* A client that answers a strange ACK by RST goes on connecting. */
	bool connecting = from == CLIENT && !c->joined_late && c->syn_ack.packet == 0 && t->flow[SERVER].facts->strange_ack.packet != 0;

	note_rst(c, s, from, fits);
	if (!fits || connecting) {
		t->odd = true;
		if (connecting)
			decoder_conn_fact(d, c, CONN_WAITING, false);
		return;
	}
	if (t->first != NULL || c->exchanges == 0 || from == SERVER)
		t->odd = true;
	note_closing(c, s, from, (s->flags & TCP_ACK) != 0 ? CLOSING_RST_ACK : CLOSING_RST);
	if (!c->flow[CLIENT].ended || !c->flow[SERVER].ended) {
		stream_check_hole(d, c, CLIENT, s->at, true);
		stream_check_hole(d, c, SERVER, s->at, true);
		c->flow[CLIENT].ended = c->flow[SERVER].ended = true;
		stream_rst(d, c, from, s->at);
	}
	conn_over(d, c);
}

/* ---- all of it ---------------------------------------------------------------------------- */

static void watch_waiting(struct decoder *d, struct conn *c, const struct segment *s, enum side from)
{
	struct detail *t = c->detail;

	if (from == CLIENT && s->wire_len != 0 && t->first == NULL && !t->waiting_armed && !t->waiting_told) {
		t->waiting_armed = true;
		decoder_arm(d, TIMER_CONN_WAITING, c, c->generation);
	}
	decoder_arm_rest(d, c);
}

/* Joined late, a side's place was taken from the other's acknowledgement. Where the side itself is far from there, that was wrong. */
static void flow_place(struct flow *f, uint32_t seq)
{
	int32_t off = (int32_t)(seq - f->next);

	if (!f->seq_known || f->offset != 0 || (off < FAR && off > -FAR))
		return;
	f->next = f->top = seq;
	f->acked_known = false;
}

void tcp_segment(struct decoder *d, struct conn *c, const struct segment *s, enum side from)
{
	struct flow_detail *t;

	if (!tcp_detail(d, c)) {
		c->limited = true;
		return;
	}
	t = &c->detail->flow[from];
	if (segment_is_copy(t, s)) {
		c->copies = true;
		return;
	}
	if (c->detail->held != NULL) {          /* those that have waited long enough go first */
		ahead_release(d, c, false);
		if (!tcp_detail(d, c))
			return;
		from = segment_side(c, s);
	}
	if (ahead_hold(d, c, s, from))
		decoder_arm_rest(d, c);
	else
		tcp_take(d, c, s, from);
	if (c->detail != NULL && c->detail->held != NULL)
		ahead_release(d, c, false);
}

void tcp_take(struct decoder *d, struct conn *c, const struct segment *taken, enum side from)
{
	struct segment in_turn = *taken;
	const struct segment *s = &in_turn;
	struct flow_detail *t = &c->detail->flow[from];

	/* On one connection what is taken later came later, whatever a late tap says; but for a SYN behind its SYN-ACK. */
	if (s->at.time_ns < c->last_ns && (s->flags & TCP_SYN) == 0)
		in_turn.at.time_ns = c->last_ns;
	if (s->at.packet > conn_last_packet(c))
		conn_note_last(c, s->at.packet);
	c->last_ns = s->at.time_ns > c->last_ns ? s->at.time_ns : c->last_ns;
	if (c->joined_late && t->facts->last_seen.packet == 0)
		flow_place(&c->flow[from], s->seq);
	t->facts->last_seen = s->at;
	if ((s->flags & TCP_RST) != 0) {
		if ((s->flags & TCP_ACK) != 0)
			flow_acked(d, c, side_other(from), s);
		segment_rst(d, c, s, from);
		return;
	}
	note_ttl(&c->flow[from], s->ttl);
	if (segment_is_strange_ack(c, s, from))
		return;
	if ((s->flags & TCP_SYN) != 0)
		segment_syn(c, s, from);
	if ((s->flags & TCP_ACK) != 0) {
		segment_ack(d, c, s, from);
		stream_check_hole(d, c, side_other(from), s->at, false);       /* before what knows of it */
	}
	if (s->wire_len != 0) {
		segment_payload(d, c, s, from);
		from = segment_side(c, s);      /* the sides may have been told apart by it */
		t = &c->detail->flow[from];
	} else if ((s->flags & (TCP_SYN | TCP_FIN)) == 0) {
		(void)is_probe(c, s, from);     /* Linux probes a closed window, and an idle peer, with no byte at all */
	}
	c->flow[from].ip_id = s->ip_id;
	if (t->waiting != NULL)
		stream_check_hole(d, c, from, s->at, false);
	if (c->detail->flow[side_other(from)].waiting != NULL)
		stream_check_hole(d, c, side_other(from), s->at, false);
	if ((s->flags & TCP_FIN) != 0)
		segment_fin(d, c, s, from);
	watch_waiting(d, c, s, from);
}

void tcp_end(struct decoder *d, struct conn *c, enum ending how, struct mark at)
{
	if (c->detail == NULL)
		return;
	ahead_release(d, c, true);
	if (!tcp_detail(d, c))
		return;
	stream_check_hole(d, c, CLIENT, at, true);
	stream_check_hole(d, c, SERVER, at, true);
	stream_end(d, c, how, at);
	exchange_end_all(d, c, how, at);
	c->state = CONN_ENDED;
}
