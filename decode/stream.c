/* stream.c - one direction of a connection as bytes in order, and which protocol gets them
 *
 * Segments come late, twice or never. Each byte is handed on once, in sequence; where bytes are missing
 * the protocol is told, since a gap and a stall are different findings. What the protocol does not want
 * (a body) is passed over by sequence number and never copied.
 */
#include "decoder.h"

#include "../capture/hash.h"
#include "../capture/limits.h"

/* A hole that nobody's acknowledgement explains (one direction captured) is given up after this long: above
 * Linux's least retransmission time-out of 200 ms, three times over. */
#define HOLE_NS   (1000 * NS_PER_MS)

enum { EARLY_BYTES = 2048, PROBE_ENOUGH = 24 };

/* ---- which protocol ----------------------------------------------------------------------- */

static const struct protocol *protocol_of(unsigned speaks)
{
	switch (speaks) {
	case SPEAKS_HTTP1: return &http1_protocol;
	case SPEAKS_HTTP2: return &http2_protocol;
	case SPEAKS_TLS:   return &tls_protocol;
	case SPEAKS_FOREIGN_FIRST + FOREIGN_FASTCGI: return &fastcgi_protocol;
	case SPEAKS_FOREIGN_FIRST + FOREIGN_UWSGI:   return &uwsgi_protocol;
	case SPEAKS_FOREIGN_FIRST + FOREIGN_SCGI:    return &scgi_protocol;
	case SPEAKS_FOREIGN_FIRST + FOREIGN_AJP:     return &ajp_protocol;
	default:           return NULL;
	}
}

static bool protocol_begin(struct conn *c, bool late)
{
	c->detail->self = c->protocol->begin(c, late);
	return c->detail->self != NULL;
}

static void protocol_end(struct conn *c)
{
	if (c->detail->self != NULL)
		c->protocol->free(c->detail->self);
	c->detail->self = NULL;
}

/* The protocol asked to be followed by another: the rest of the piece is the next one's. */
static void protocol_switch(struct decoder *d, struct conn *c, enum side from, const struct piece *p)
{
	struct detail *t = c->detail;
	const struct protocol *next = t->switch_to;
	struct piece rest = *p;
	size_t used = t->switch_used;
	uint64_t want;

	t->switch_to = NULL;
	protocol_end(c);
	c->protocol = next;
	if (!protocol_begin(c, false) || used >= p->bytes.len)
		return;
	rest.bytes = span_from(p->bytes, used);
	rest.offset += used;
	rest.skipped = rest.missing = 0;
	want = next->bytes(c->detail->self, from, &rest);
	c->flow[from].skip_until = want == WANT_NONE ? UINT64_MAX : rest.offset + rest.bytes.len + want;
	(void)d;
}

/* The protocol found that the sides are the wrong way round: it begins anew. Not twice. */
static bool give_swapped(struct conn *c, enum side *from)
{
	if (!c->joined_late || c->swapped_once)
		return false;
	c->swapped_once = true;
	protocol_end(c);
	conn_swap(c);
	*from = side_other(*from);
	return protocol_begin(c, true);
}

static void give(struct decoder *d, struct conn *c, enum side from, const struct piece *p)
{
	struct flow *f = &c->flow[from];
	uint64_t want, end = p->offset + p->bytes.len;

	if (c->detail->self == NULL && !protocol_begin(c, false))
		return;
	want = c->protocol->bytes(c->detail->self, from, p);
	if (want == WANT_SWAP && give_swapped(c, &from))
		want = c->protocol->bytes(c->detail->self, from, p);
	f = &c->flow[from];
	if (c->detail->switch_to != NULL)
		protocol_switch(d, c, from, p);
	else if (want == WANT_NONE || want > UINT64_MAX - end)
		f->skip_until = UINT64_MAX;
	else
		f->skip_until = end + want;
}

static void note_head(struct conn *c, enum side from, struct span bytes)
{
	struct span_copy *h = &c->detail->note.head[from];

	if (h->len != 0)
		return;
	bytes = span_first(bytes, sizeof h->bytes);
	h->len = (uint8_t)bytes.len;
	memcpy(h->bytes, bytes.at, bytes.len);
}

static struct span other_head(const struct conn *c, enum side from)
{
	const struct span_copy *h = &c->detail->note.head[side_other(from)];

	return span_of(h->bytes, h->len);
}

/* Bytes that must wait until it is known what they are. */
static void early_keep(struct decoder *d, struct conn *c, enum side from, const struct piece *p)
{
	struct flow_detail *t = &c->detail->flow[from];
	struct span s = p->bytes;

	if (t->early == NULL) {
		t->early = decoder_alloc(d, EARLY_BYTES);
		if (t->early == NULL)
			return;
		t->early_size = EARLY_BYTES;
	}
	if (t->early_len == 0) {
		t->early_at = p->at;
		t->early_offset = p->offset;
	}
	s = span_first(s, (size_t)(EARLY_BYTES - t->early_len));
	memcpy(t->early + t->early_len, s.at, s.len);
	t->early_len = (uint16_t)(t->early_len + s.len);
}

static void early_give(struct decoder *d, struct conn *c, enum side from, size_t skip)
{
	struct flow_detail *t = &c->detail->flow[from];
	size_t len = t->early_len;
	struct piece p = { .bytes = span_from(span_of(t->early, len), skip), .offset = t->early_offset + skip, .at = t->early_at };

	if (len <= skip)
		return;
	p.wire_end = p.offset + p.bytes.len;
	t->early_len = 0;
	give(d, c, from, &p);
}

/* Joined late and the other way round: a request from the side taken for the server. */
static bool looks_swapped(const struct conn *c, enum side from, struct span bytes, unsigned speaks)
{
	if (speaks == SPEAKS_TLS && c->joined_late && bytes.len > 5 && span_at(bytes, 0) == 22)         /* ClientHello 1, ServerHello 2 */
		return span_at(bytes, 5) == (from == CLIENT ? 2 : 1);
	if (!c->joined_late || speaks != SPEAKS_HTTP1 || c->exchanges != 0)
		return false;
	return span_starts(bytes, "HTTP/") == (from == CLIENT);
}

static void begin_with(struct decoder *d, struct conn *c, enum side from, const struct protocol *p, const struct piece *piece, size_t skip)
{
	struct piece rest = *piece;

	c->protocol = p;
	if (!protocol_begin(c, c->joined_late || c->flow[from].gap_told)) {
		c->protocol = NULL;
		return;
	}
	early_give(d, c, side_other(from), 0);
	if (c->detail->flow[from].early_len != 0) {
		uint64_t held = c->detail->flow[from].early_offset + c->detail->flow[from].early_len;

		early_give(d, c, from, skip);
		skip = held > piece->offset ? (size_t)(held - piece->offset) : 0;       /* the piece is its tail, and may go on */
	}
	rest.bytes = span_from(piece->bytes, skip);
	rest.offset += skip;
	if (rest.bytes.len != 0)
		give(d, c, from, &rest);
}

/* A PROXY preface at the front: how many bytes it takes; -1: not whole yet. */
static int preface_bytes(struct conn *c, enum side from, struct span first)
{
	int n = from == CLIENT ? proxy_preface(first) : 0;
	struct endpoint client;

	if (n <= 0)
		return n;
	c->detail->note.proxy_preface = true;
	if (!c->proxied && proxy_client(span_first(first, (size_t)n), &client))
		decoder_proxied(c->detail->decoder, c, &client);
	return n;
}

/* What `first` begins, a PROXY preface of `*skip` bytes left out; NULL: nothing we follow, or nothing yet. */
static const struct protocol *recognise(struct conn *c, enum side from, struct span first, unsigned *speaks, int *skip)
{
	const struct protocol *p;

	*skip = preface_bytes(c, from, first);
	if (*skip < 0) {
		*speaks = SPEAKS_PROXY;
		return NULL;
	}
	*speaks = foreign_probe(from, span_from(first, (size_t)*skip), other_head(c, from));
	p = protocol_of(*speaks);
	if (p == NULL && dns_stream_probe(c->tuple.end[SERVER].port, span_from(first, (size_t)*skip)) == 100)
		p = &dns_protocol;
	if (p == NULL && c->joined_late && *speaks == SPEAKS_UNKNOWN && http2_protocol.probe(from, first) == 100)
		p = &http2_protocol;
	return p;
}

static void early_drop(struct conn *c)
{
	c->detail->flow[CLIENT].early_len = c->detail->flow[SERVER].early_len = 0;
}

static void probe(struct decoder *d, struct conn *c, enum side from, const struct piece *p)
{
	struct flow_detail *t = &c->detail->flow[from];
	struct span first = p->bytes;
	const struct protocol *next;
	unsigned speaks;
	int skip;

	if (t->early_len != 0) {
		next = recognise(c, from, first, &speaks, &skip);
		if (next != NULL) {             /* what came before it was something else (SOCKS, say) */
			early_drop(c);
		} else {
			early_keep(d, c, from, p);
			first = span_of(t->early, t->early_len);
			next = recognise(c, from, first, &speaks, &skip);
		}
	} else {
		next = recognise(c, from, first, &speaks, &skip);
	}
	if (looks_swapped(c, from, first, speaks)) {
		conn_swap(c);
		from = side_other(from);
		t = &c->detail->flow[from];
	}
	if (speaks != SPEAKS_UNKNOWN || first.len >= PROBE_ENOUGH)
		c->speaks[from] = (uint8_t)speaks;
	if (next != NULL && (from == CLIENT || c->joined_late || c->speaks[CLIENT] != SPEAKS_NOTHING)) {
		begin_with(d, c, from, next, p, (size_t)skip);
		return;
	}
	if (t->early_len == 0 && (from == SERVER ? c->speaks[CLIENT] == SPEAKS_NOTHING : first.len < PROBE_ENOUGH || skip < 0))
		early_keep(d, c, from, p);
	else if (from == CLIENT && first.len >= PROBE_ENOUGH && skip == 0)
		early_drop(c);                  /* nothing known: try again where the next segment begins */
}

static void hand_on_piece(struct decoder *d, struct conn *c, enum side from, struct piece *p)
{
	if (p->bytes.len != 0)
		note_head(c, from, p->bytes);
	if (c->protocol == NULL) {
		probe(d, c, from, p);
		return;
	}
	if (c->speaks[from] == SPEAKS_NOTHING && p->bytes.len != 0)
		c->speaks[from] = (uint8_t)foreign_probe(from, p->bytes, other_head(c, from));
	give(d, c, from, p);
}

/* ---- in order ----------------------------------------------------------------------------- */

static void tell_gap(struct conn *c, enum side from, uint64_t missing, enum why why, struct mark at)
{
	c->flow[from].gap_told = true;
	if (c->protocol != NULL && c->detail->self != NULL)
		c->protocol->gap(c->detail->self, from, missing, why, at);
	else if (c->protocol != NULL && protocol_begin(c, true))
		c->protocol->gap(c->detail->self, from, missing, why, at);
}

/* wire_len bytes are next, of which `bytes` were captured: skip, hand on, tell what snaplen cut. */
static void hand_on(struct decoder *d, struct conn *c, enum side from, struct span bytes, uint32_t wire_len, struct mark at)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];
	uint64_t start = f->offset, end = f->offset + wire_len;
	bool skip_ended = false, was;

	f->offset = end;
	f->next += wire_len;
	while (start < end || skip_ended) {
		uint64_t skip = f->skip_until > start ? f->skip_until - start : 0;

		skip_ended = false;
		if (skip != 0) {
			uint64_t n = skip < end - start ? skip : end - start;

			t->skipped += n;
			t->missing += n > bytes.len ? n - bytes.len : 0;
			t->skip_last = at;
			bytes = span_from(bytes, (size_t)n);
			start += n;
			skip_ended = start == f->skip_until;
			if (!skip_ended)
				return;
		}
		if (bytes.len != 0 || start == end) {
			struct piece p = { .bytes = bytes, .offset = start, .wire_end = start + bytes.len, .at = at,
			                   .skipped = t->skipped, .missing = t->missing, .skip_last = t->skip_last };

			t->skipped = t->missing = 0;
			start += bytes.len;
			bytes = span_none();
			was = c->swapped;
			hand_on_piece(d, c, from, &p);
			if (was != c->swapped) {
				from = side_other(from);
				f = &c->flow[from];
				t = &c->detail->flow[from];
			}
			if (start == end)
				return;
			continue;
		}
		t->facts->cut_bytes += end - start;
		d->counters.bytes_cut += c->protocol != NULL || c->speaks[from] == SPEAKS_NOTHING ? end - start : 0;
		tell_gap(c, from, end - start, WHY_CUT, at);
		return;
	}
}

static void drain(struct decoder *d, struct conn *c, enum side from)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];

	while (t->waiting != NULL && t->waiting->offset <= f->offset) {
		struct waiting_segment *w = t->waiting;
		uint64_t old = f->offset - w->offset;

		t->waiting = w->next;
		t->waiting_bytes -= w->kept;
		t->waiting_segments--;
		d->waiting_bytes -= w->kept;
		if (old < w->len)
			hand_on(d, c, from, span_from(span_of(w->bytes, w->kept), (size_t)old), w->len - (uint32_t)old, w->at);
		decoder_release(d, w, sizeof *w + w->kept);
	}
	if (f->fin_seen && f->next == t->fin_seq && !f->ended) {
		f->ended = true;
		stream_fin(d, c, from, t->facts->fin);
	}
}

/* ---- out of order ------------------------------------------------------------------------- */

static void conflict(struct decoder *d, struct conn *c, enum side from)
{
	c->detail->flow[from].facts->conflicting++;
	d->counters.conflicting_segments++;
	c->detail->odd = true;
}

/* Bodies are passed over unread and large segments are mostly bodies: what may be a message's head is worth a sum. */
enum { SUMMED_BYTES = 2048 };

static void remember_handed(struct conn *c, enum side from, struct span bytes, uint32_t len, uint64_t offset)
{
	struct flow_detail *t = &c->detail->flow[from];

	t->handed_len = len == bytes.len && len <= SUMMED_BYTES && offset + len > c->flow[from].skip_until ? len : 0;
	t->handed_offset = offset;
	t->handed_sum = t->handed_len != 0 ? fingerprint(bytes) : 0;
}

static void overlap_check(struct decoder *d, struct conn *c, enum side from, const struct waiting_segment *w, struct span bytes, uint64_t offset)
{
	if (w->offset == offset && w->kept != 0 && memcmp(w->bytes, bytes.at, bytes.len < w->kept ? bytes.len : w->kept) != 0)
		conflict(d, c, from);
}

static void wait_for_hole(struct decoder *d, struct conn *c, enum side from, struct span bytes, uint32_t len, uint64_t offset, struct mark at)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];
	struct waiting_segment **link = &t->waiting, *w;
	uint32_t keep = offset + len <= f->skip_until ? 0 : (uint32_t)bytes.len;

	if (t->waiting_segments >= LIMIT_REASSEMBLY_SEGMENTS) {
		conn_limit(c, "segments_dropped");
		return;
	}
	if (t->waiting_bytes + keep > LIMIT_REASSEMBLY_BYTES || d->waiting_bytes + keep > d->waiting_bytes_max) {
		conn_limit(c, "reassembly_bytes_dropped");
		return;
	}
	if (t->waiting_last != NULL && t->waiting != NULL && t->waiting_last->offset <= offset)
		link = &t->waiting_last->next;          /* the usual case: behind the last */
	while (*link != NULL && (*link)->offset < offset)
		link = &(*link)->next;
	if (*link != NULL && (*link)->offset == offset && (*link)->len >= len) {
		overlap_check(d, c, from, *link, bytes, offset);
		return;                                 /* a resend of what waits already */
	}
	w = decoder_alloc(d, sizeof *w + keep);
	if (w == NULL) {
		conn_limit(c, "reassembly_bytes_dropped");
		return;
	}
	*w = (struct waiting_segment){ *link, offset, len, keep, at };
	memcpy(w->bytes, bytes.at, keep);
	*link = w;
	if (w->next == NULL)
		t->waiting_last = w;
	t->waiting_bytes += keep;
	t->waiting_segments++;
	d->waiting_bytes += keep;
}

void stream_drop_waiting(struct decoder *d, struct conn *c)
{
	for (unsigned i = 0; i < 2; i++) {
		struct flow_detail *t = &c->detail->flow[i];

		while (t->waiting != NULL) {
			struct waiting_segment *w = t->waiting;

			t->waiting = w->next;
			d->waiting_bytes -= w->kept;
			decoder_release(d, w, sizeof *w + w->kept);
		}
		t->waiting_last = NULL;
		t->waiting_bytes = t->waiting_segments = 0;
	}
}

/* Which of two versions the receiver took, nobody can tell who did not see it take one: looked at for the last segment alone. */
void stream_resend(struct decoder *d, struct conn *c, enum side from, const struct segment *s, uint64_t offset)
{
	const struct flow_detail *t = &c->detail->flow[from];

	if (s->wire_len == t->handed_len && offset == t->handed_offset && s->payload.len == t->handed_len && fingerprint(s->payload) != t->handed_sum)
		conflict(d, c, from);
}

void stream_data(struct decoder *d, struct conn *c, enum side from, const struct segment *s, uint64_t offset)
{
	struct flow *f = &c->flow[from];
	int64_t old = (int64_t)(f->offset - offset);
	struct span bytes = s->payload;
	uint32_t len = s->wire_len;

	if (f->ended || -old > INT64_C(1) << 30)
		return;
	if (old > 0) {
		if (old >= len)
			return;
		bytes = span_from(bytes, (size_t)old);
		len -= (uint32_t)old;
	} else if (old < 0) {
		wait_for_hole(d, c, from, bytes, len, offset, s->at);
		return;
	}
	remember_handed(c, from, bytes, len, f->offset);
	hand_on(d, c, from, bytes, len, s->at);
	from = segment_side(c, s);
	if (c->detail->flow[from].waiting != NULL)
		drain(d, c, from);
}

/* ---- holes -------------------------------------------------------------------------------- */

/* What a time-out or the end of the capture brings to light was last seen in a packet of this connection, not in the one that moved the clock. */
static struct mark own_mark(const struct conn *c, struct mark at)
{
	uint64_t last = conn_last_packet(c);

	return last != 0 && at.packet != last ? (struct mark){ last, c->last_ns } : at;
}

void stream_flush(struct decoder *d, struct conn *c, enum side from, uint64_t to_offset, enum why why, struct mark at)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];
	uint64_t missing = to_offset - f->offset, skip;
	bool was = c->swapped;

	if (to_offset <= f->offset)
		return;
	at = own_mark(c, at);
	t->facts->gap_bytes += missing;
	d->counters.tcp_gaps++;
	skip = f->skip_until > f->offset ? f->skip_until - f->offset : 0;
	if (skip > missing)
		skip = missing;
	t->skipped += skip;
	t->missing += skip;
	if (skip != 0)
		t->skip_last = at;
	f->offset += skip;
	f->next += (uint32_t)skip;
	if (skip != 0 && f->skip_until == f->offset && c->protocol != NULL) {   /* the skip ended within the hole */
		struct piece p = { .bytes = span_none(), .offset = f->offset, .wire_end = f->offset, .at = at,
		                   .skipped = t->skipped, .missing = t->missing, .skip_last = t->skip_last };

		t->skipped = t->missing = 0;
		give(d, c, from, &p);
		if (c->swapped != was) {
			from = side_other(from);
			f = &c->flow[from];
		}
	}
	if (skip < missing) {
		f->offset = to_offset;
		f->next += (uint32_t)(missing - skip);
		tell_gap(c, from, missing - skip, why, at);
	}
	drain(d, c, from);
}

static uint64_t acked_offset(const struct conn *c, enum side from)
{
	const struct flow *f = &c->flow[from];
	uint32_t beyond = f->acked_known ? conn_seq_after(f->acked, f->next) : 0;

	if (beyond != 0 && f->fin_seen && f->acked == c->detail->flow[from].fin_seq + 1)
		beyond--;
	return f->offset + beyond;
}

/* The receiver has been heard since and acknowledges nothing beyond the hole: it lacks the bytes, too, and they are to come. */
static bool peer_waits(const struct conn *c, enum side from)
{
	const struct detail *t = c->detail;

	return t->flow[side_other(from)].facts->last_seen.time_ns > t->flow[from].waiting->at.time_ns && c->flow[from].acked_known;
}

void stream_check_hole(struct decoder *d, struct conn *c, enum side from, struct mark at, bool now)
{
	struct flow *f = &c->flow[from];
	struct flow_detail *t = &c->detail->flow[from];

	for (;;) {
		uint64_t acked = acked_offset(c, from);
		bool beyond = acked > f->offset && !f->ended;
		bool old = t->waiting != NULL && at.time_ns - t->waiting->at.time_ns > HOLE_NS && !peer_waits(c, from);

		if (beyond)                     /* nor will they come: ahead.c has waited for them */
			stream_flush(d, c, from, t->waiting != NULL && t->waiting->offset < acked ? t->waiting->offset : acked, WHY_LOST, at);
		else if (t->waiting != NULL && (now || old))
			stream_flush(d, c, from, t->waiting->offset, WHY_LOST, at);
		else
			return;
	}
}

/* ---- ends --------------------------------------------------------------------------------- */

static void tell_end(struct conn *c, enum side from, enum ending how, struct mark at)
{
	if (c->protocol == NULL || c->detail->self == NULL)
		return;
	c->protocol->end(c->detail->self, from, how, c->flow[from].offset, own_mark(c, at));
}

void stream_fin(struct decoder *d, struct conn *c, enum side from, struct mark at)
{
	(void)d;
	tell_end(c, from, END_FIN, at);
	if (from == CLIENT && !c->flow[SERVER].ended)
		exchange_tell_open(c);
}

void stream_rst(struct decoder *d, struct conn *c, enum side from, struct mark at)
{
	tell_end(c, from, END_RST, at);
	tell_end(c, side_other(from), END_PEER_RST, at);
	protocol_end(c);
	exchange_end_all(d, c, END_RST, at);
}

void stream_end(struct decoder *d, struct conn *c, enum ending how, struct mark at)
{
	(void)d;
	tell_end(c, CLIENT, how, at);
	tell_end(c, SERVER, how, at);
	protocol_end(c);
}
