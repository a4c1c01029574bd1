/* http1.c - requests and their responses on a connection: pairing, pipelining, early and unsolicited answers,
 * holes, and what each exchange came to when its connection ended (RFC 9112 9)
 *
 * Responses answer requests in order. `answering` is the oldest exchange whose response has not ended; those
 * before it are done and belong to the connection layer, which settles them in its own time, so nothing here
 * points to an exchange that is done.
 */
#include "http1.h"

#include "../capture/limits.h"

/* ---- memory -------------------------------------------------------------------------------- */

struct h1_held *h1_hold(struct h1 *h, struct h1_side *s)
{
	if (s->held == NULL) {
		s->held = conn_alloc(h->c, sizeof *s->held);
		if (s->held != NULL)
			*s->held = (struct h1_held){ 0 };
	}
	return s->held;
}

bool h1_buffer_add(struct h1 *h, struct h1_buffer *b, struct span bytes, size_t limit)
{
	struct span part = span_first(bytes, b->len < limit ? limit - b->len : 0);

	if (part.len > b->size - b->len) {
		size_t size = b->size != 0 ? b->size : 512;
		uint8_t *bigger;

		while (size < b->len + part.len)
			size *= 2;
		bigger = b->bytes != NULL ? conn_grow(h->c, b->bytes, b->size, size) : conn_alloc(h->c, size);
		if (bigger == NULL)
			return false;
		b->bytes = bigger;
		b->size = size;
	}
	if (part.len != 0)
		memcpy(b->bytes + b->len, part.at, part.len);
	b->len += part.len;
	return part.len == bytes.len;
}

void h1_buffer_clear(struct h1 *h, struct h1_buffer *b)
{
	if (b->bytes != NULL)
		conn_release(h->c, b->bytes, b->size);
	*b = (struct h1_buffer){ 0 };
}

void h1_release(struct h1 *h, struct h1_side *s)
{
	if (s->held == NULL)
		return;
	h1_unpack_stop(s);
	h1_buffer_clear(h, &s->held->line);
	h1_buffer_clear(h, &s->held->head);
	h1_buffer_clear(h, &s->held->body);
	conn_release(h->c, s->held, sizeof *s->held);
	s->held = NULL;
}

/* ---- exchanges ----------------------------------------------------------------------------- */

void h1_broken(struct h1_side *s, enum violation v, const struct h1_in *in, uint64_t offset, struct span excerpt)
{
	exchange_broken(h1_message(s), v, in->p->at, offset, excerpt);
}

static struct h1_side *side_of(struct h1 *h, enum side from)
{
	return &h->side[from];
}

/* The connection layer may free x from here on. */
static void forget(struct h1 *h, struct exchange *x)
{
	for (int i = 0; i < 2; i++)
		if (h->side[i].x == x)
			h->side[i].x = NULL;
	if (h->early == x)
		h->early = NULL;
	if (h->answering == x)
		h->answering = x->next;
}

static void done_if_over(struct h1 *h, struct exchange *x)
{
	if ((x->own[0] & OWN_ANSWERED) == 0 || (x->own[0] & OWN_EARLY) != 0)
		return;
	if (!x->f.request.complete && (x->own[0] & (OWN_REQUEST_LOST | OWN_ORPHAN)) == 0)
		return;
	forget(h, x);
	exchange_done(x);
}

static struct exchange *open_exchange(struct h1 *h, struct mark at)
{
	struct exchange *x = exchange_open(h->c, 0, at);

	if (x == NULL) {
		h1_opaque(h);
		return NULL;
	}
	x->f.request.declared = x->f.response.declared = UINT64_MAX;
	x->f.grpc_status = -1;
	if (h->answering == NULL)
		h->answering = x;
	return x;
}

static void message_begin(struct h1_side *s, struct exchange *x, const struct h1_in *in)
{
	s->x = x;
	s->message_at = h1_offset(in);
	s->flags = FLAG_FIRST_LINE | FLAG_SEEN;
	h1_message(s)->first = h1_message(s)->last = in->p->at;
}

/* A response came first, and this is taken for its request: they crossed, or the server spoke unasked. */
static struct exchange *adopt_early(struct h1 *h, const struct h1_in *in)
{
	struct exchange *x = h->early;

	h->early = NULL;
	x->own[0] &= ~(uint64_t)OWN_EARLY;
	x->f.response.early = true;
	exchange_broken(&x->f.response, VIOLATION_RESPONSE_EARLY, in->p->at, 0, span_none());
	return x;
}

static void request_ended_at(struct h1 *h, struct h1_side *s, uint64_t wire_offset)
{
	struct exchange *x = s->x;
	struct message *m = &x->f.request;

	m->complete = true;
	exchange_request_sent(x, wire_offset);
	h1_release(h, s);
	s->x = NULL;
	done_if_over(h, x);
}

void h1_request_end(struct h1 *h, struct h1_side *s, const struct h1_in *in)
{
	request_ended_at(h, s, in != NULL ? piece_wire_at(in->p, in->p->bytes.len - in->cur.rest.len) : s->next);
}

static void answered(struct h1 *h, struct exchange *x)
{
	x->own[0] |= OWN_ANSWERED;
	if (h->answering == x)
		h->answering = x->next;
	done_if_over(h, x);
}

void h1_response_end(struct h1 *h, struct h1_side *s)
{
	struct exchange *x = s->x;
	struct message *m = &x->f.response;

	h1_tap_end(h, s);
	h1_unpack_end(s);
	h1_release(h, s);
	m->complete = true;
	if (x->f.outcome == OUTCOME_IN_PROGRESS)
		x->f.outcome = OUTCOME_COMPLETE;
	s->x = NULL;
	answered(h, x);
}

void h1_leave_open(struct h1 *h, struct h1_side *s)
{
	h1_release(h, s);
	forget(h, s->x);
}

enum step h1_message_end(struct h1 *h, struct h1_side *s, const struct h1_in *in)
{
	s->state = H1_START;
	if (s->from == CLIENT)
		h1_request_end(h, s, in);
	else
		h1_response_end(h, s);
	return STEP_ON;
}

void h1_opaque(struct h1 *h)
{
	for (size_t i = 0; i < 2; i++) {
		h1_release(h, &h->side[i]);
		h->side[i].x = NULL;
		h->side[i].state = H1_OPAQUE;
	}
}

/* ---- holes --------------------------------------------------------------------------------- */

void h1_lose(struct h1 *h, struct h1_side *s)
{
	struct exchange *x = s->x;

	if (s->state == H1_HEAD)
		h1_head_cut(h, s);
	s->state = H1_SYNC;
	h1_release(h, s);
	if (s->from == CLIENT && x == NULL)
		h->uncertain = true;
	else if (s->from == SERVER && x == NULL && h->answering == NULL)
		h->uncertain = true;
	else if (s->from == SERVER)
		(x != NULL ? x : h->answering)->own[0] |= OWN_RESPONSE_LOST;
	if (s->from == CLIENT && x != NULL) {
		x->own[0] |= OWN_REQUEST_LOST;
		done_if_over(h, x);
	}
}

static bool framing_broken(const struct message *m)
{
	return (m->violations & (violation_bit(VIOLATION_CHUNK_SIZE) | violation_bit(VIOLATION_CHUNK_END))) != 0;
}

/* The next response has begun, so the one that was lost is over: it had been whole, as far as anyone can tell. */
static void lost_response_over(struct h1 *h, struct exchange *x)
{
	struct message *m = &x->f.response;

	if (framing_broken(m)) {
		x->f.outcome = OUTCOME_PARTIAL_BODY;
	} else if (x->f.status >= 200) {
		m->complete = true;
		x->f.outcome = OUTCOME_COMPLETE;
	}
	side_of(h, SERVER)->x = NULL;
	answered(h, x);
}

/* Whose answer can begin here, after a hole? A client that does not pipeline had acknowledged the answer before when it
 * asked: so the last who asked with no more than what lies before this. NULL: it pipelines. */
static struct exchange *asked_by(const struct h1 *h, const struct piece *p)
{
	struct exchange *x = h->answering, *last = NULL;

	for (; x != NULL && x->peer_acked <= p->offset; x = x->next) {
		if (last != NULL && x->peer_acked == last->peer_acked)
			return NULL;
		last = x;
	}
	return last;
}

/* All answers before that one were lost in the hole. */
static bool sync_behind_lost(struct h1 *h, const struct piece *p)
{
	const struct exchange *x = p->nested ? NULL : asked_by(h, p);

	if (x == NULL || x == h->answering || (h->answering->own[0] & OWN_RESPONSE_LOST) == 0)
		return false;
	while (h->answering != x)
		lost_response_over(h, h->answering);
	h->answering->own[0] &= ~(uint64_t)OWN_RESPONSE_LOST;
	return true;
}

/* A start line stands at the start of a piece: whose is it? False: nobody's. */
static bool sync_pair(struct h1 *h, struct h1_side *s, const struct h1_in *in)
{
	struct exchange *x = s->x;

	s->x = NULL;
	if (s->from == CLIENT && x != NULL && !x->request_sent)
		exchange_request_sent(x, piece_wire_at(in->p, 0));      /* it ended before this at the latest */
	if (s->from == CLIENT)
		return true;
	if (h->answering != NULL && sync_behind_lost(h, in->p))
		return true;
	if (x == NULL && h->answering != NULL && (h->answering->own[0] & OWN_RESPONSE_LOST) != 0)
		x = h->answering;
	if (x != NULL && (x->f.status >= 200 || x->next != NULL))
		lost_response_over(h, x);
	else if (x != NULL)
		x->own[0] &= ~(uint64_t)OWN_RESPONSE_LOST;
	return h->answering != NULL || h->uncertain;
}

/* After a hole in a chunked body: the last chunk at the end of a packet ends it. */
static bool is_chunked_end(const struct h1_side *s, struct span rest)
{
	const struct message *m = h1_message(s);

	return m->framing == FRAMING_CHUNKED && m->missing != 0 && m->head_complete &&
	       (span_is(rest, "0\r\n\r\n") || (rest.len > 7 && span_is(span_from(rest, rest.len - 7), "\r\n0\r\n\r\n")));
}

static enum step sync(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	struct span rest = in->cur.rest;

	if (rest.len == 0)
		return STEP_MORE;
	if (rest.len == in->p->bytes.len && h1_plausible(s->from, rest) && sync_pair(h, s, in)) {
		s->state = H1_START;
		return STEP_ON;
	}
	cur_skip(&in->cur, rest.len);
	if (s->x == NULL)
		return STEP_MORE;
	h1_message(s)->last = in->p->at;
	h1_message(s)->body_bytes += rest.len;
	if (is_chunked_end(s, rest))
		return h1_message_end(h, s, in);
	return STEP_MORE;
}

/* ---- the first bytes of a message ---------------------------------------------------------- */

/* Empty lines before a start line (RFC 9112 2.2). */
static bool skip_blank(struct h1_in *in)
{
	bool any = false;

	while (span_at(in->cur.rest, 0) == '\r' || span_at(in->cur.rest, 0) == '\n') {
		cur_skip(&in->cur, 1);
		any = true;
	}
	return any;
}

static enum step start_request(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	struct exchange *x;

	(void)skip_blank(in);
	if (in->cur.rest.len == 0)
		return STEP_MORE;
	x = h->early != NULL ? adopt_early(h, in) : open_exchange(h, in->p->at);
	if (x == NULL)
		return STEP_ON;
	h->uncertain = false;
	message_begin(s, x, in);
	s->state = H1_HEAD;
	return STEP_ON;
}

/* Bytes of a server that nobody asked for, while the exchange before is still known. RFC 9112 9.2 */
static enum step unsolicited(struct h1_side *s, struct h1_in *in, struct exchange *before)
{
	struct message *m = &before->f.response;
	bool body = (before->own[0] & OWN_NO_BODY) != 0 && !span_starts(in->cur.rest, "HTTP/");

	exchange_broken(m, body ? VIOLATION_BODY_FORBIDDEN : VIOLATION_UNSOLICITED, in->p->at, m->head_bytes + m->body_bytes,
	                in->cur.rest);
	s->state = H1_SYNC;
	return STEP_ON;
}

static struct exchange *last_exchange(struct conn *c)
{
	struct exchange *x = conn_exchanges(c);

	while (x != NULL && x->next != NULL)
		x = x->next;
	return x;
}

/* A response without its request: joined late, or too early. */
static struct exchange *open_orphan(struct h1 *h, const struct h1_in *in)
{
	struct exchange *x = open_exchange(h, in->p->at);

	if (x == NULL)
		return NULL;
	if (h->uncertain) {
		x->own[0] |= OWN_ORPHAN;
		x->f.ordinal = 0;
		x->f.reused = false;
	} else {
		x->own[0] |= OWN_EARLY;
		h->early = x;
	}
	return x;
}

static enum step start_response(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	bool blank = skip_blank(in), http;
	struct span rest = in->cur.rest;
	struct exchange *x = h->answering;

	if (rest.len == 0)
		return STEP_MORE;
	http = memcmp(rest.at, "HTTP/", rest.len < 5 ? rest.len : 5) == 0;
	h->uncertain = h->uncertain || conn_note(h->c)->one_way;
	if (x == NULL && h->uncertain && !http) {
		s->state = H1_SYNC;
		return STEP_ON;
	}
	if (x == NULL && !h->uncertain && conn_exchanges(h->c) != NULL)
		return unsolicited(s, in, last_exchange(h->c));
	if (x == NULL)
		x = open_orphan(h, in);
	if (x == NULL)
		return STEP_ON;
	message_begin(s, x, in);
	if (!http)
		return h1_garbled(h, s, in, span_none());
	if (blank)
		h1_broken(s, VIOLATION_STATUS_LINE, in, 0, rest);
	s->state = H1_HEAD;
	return STEP_ON;
}

static enum step start(struct h1 *h, struct h1_side *s, struct h1_in *in)
{
	return s->from == CLIENT ? start_request(h, s, in) : start_response(h, s, in);
}

/* ---- the decoder --------------------------------------------------------------------------- */

typedef enum step h1_step_fn(struct h1 *h, struct h1_side *s, struct h1_in *in);

static h1_step_fn *const steps[H1_STATE_COUNT] = {
	[H1_SYNC]       = sync,                 /* waits for a piece that begins with a start line */
	[H1_START]      = start,                /* waits for the first byte of a message. RFC 9112 2.2 */
	[H1_HEAD]       = h1_head,              /* waits for the end of a line. RFC 9112 3 to 5 */
	[H1_LENGTH]     = h1_length,            /* waits for `left` bytes. RFC 9112 6.2 */
	[H1_CLOSE]      = h1_close,             /* waits for the server's FIN. RFC 9112 6.3, rule 8 */
	[H1_CHUNK_SIZE] = h1_chunk_size,        /* waits for the end of a line. RFC 9112 7.1 */
	[H1_CHUNK_DATA] = h1_chunk_data,        /* waits for `left` bytes */
	[H1_CHUNK_END]  = h1_chunk_end,         /* waits for CRLF, or the half of it */
	[H1_TRAILER]    = h1_trailer,           /* waits for the end of a line. RFC 9112 7.1.2 */
	[H1_GARBLED]    = h1_take_garbage,      /* waits for the end of the connection */
};                                              /* H1_OPAQUE has none: nothing is wanted any more */

static void *http1_begin(struct conn *c, bool late)
{
	struct h1 *h = conn_alloc(c, sizeof *h);

	if (h == NULL)
		return NULL;
	*h = (struct h1){ .c = c, .uncertain = late, .listing = conn_listing(c) };
	for (int i = 0; i < 2; i++) {
		h->side[i].from = (uint8_t)i;
		h->side[i].state = late ? H1_SYNC : H1_START;
	}
	return h;
}

/* How many of the bytes to come are not worth a call. */
static uint64_t unwanted(const struct h1_side *s)
{
	switch (s->state) {
	case H1_LENGTH:
	case H1_CHUNK_DATA:
		if ((s->flags & (FLAG_TAP | FLAG_MAGIC)) != 0 || h1_unpacks(s))
			return 0;
		if ((s->x->own[0] & OWN_ORPHAN) != 0 && h1_message(s)->body_bytes == 0)
			return 0;
		return s->left;
	case H1_GARBLED:
		return s->x->f.body.len >= LIMIT_BODY_TEXT ? WANT_NONE : 0;
	case H1_OPAQUE:
		return WANT_NONE;
	default:
		return 0;
	}
}

/* Bytes of a body that passed without being given. */
static void note_skipped(struct h1_side *s, uint64_t skipped, uint64_t missing, struct mark last)
{
	struct message *m;

	if (s->x == NULL || s->state == H1_OPAQUE)
		return;
	if (skipped != 0)
		h1_unpack_stop(s);
	m = h1_message(s);
	m->body_bytes += skipped;
	m->missing += missing;
	if (last.packet != 0)
		m->last = last;
	s->left -= skipped < s->left ? skipped : s->left;
}

static uint64_t http1_bytes(void *self, enum side from, const struct piece *p)
{
	struct h1 *h = self;
	struct h1_side *s = side_of(h, from);
	struct h1_in in = { p, cursor_of(p->bytes) };
	enum step step = STEP_ON;

	s->flags |= FLAG_SEEN;
	if (p->skipped != 0)
		note_skipped(s, p->skipped, p->missing, p->skip_last);
	s->next = p->offset + p->bytes.len;
	while (step == STEP_ON && steps[s->state] != NULL)
		step = steps[s->state](h, s, &in);
	return step == STEP_GONE ? 0 : unwanted(s);
}

/* Lost within a body whose end is known: no harm. Beyond it: what was lost of the next message is lost. */
static bool within_body(struct h1 *h, struct h1_side *s, uint64_t missing, struct mark at)
{
	uint64_t known = missing < s->left ? missing : s->left;

	if (s->state == H1_CLOSE) {
		note_skipped(s, missing, missing, at);
		return true;
	}
	if (s->state != H1_LENGTH && s->state != H1_CHUNK_DATA)
		return false;
	note_skipped(s, known, known, at);
	s->flags &= (uint16_t)~FLAG_MAGIC;              /* its first bytes may have been among them */
	if (s->left != 0)
		return true;
	if (s->state == H1_LENGTH) {
		(void)h1_message_end(h, s, NULL);
	} else {
		s->left = 2;
		s->state = H1_CHUNK_END;
	}
	return missing == known;
}

/* A request without a body, cut by snaplen in its head, ended with its packet, or nearly so. */
static bool ends_with_packet(const struct h1_side *s, enum why why)
{
	return why == WHY_CUT && s->from == CLIENT && s->state == H1_HEAD && s->x != NULL &&
	       (s->x->f.method == METHOD_GET || s->x->f.method == METHOD_HEAD || s->x->f.method == METHOD_DELETE ||
	        s->x->f.method == METHOD_OPTIONS) && (s->flags & (FLAG_LENGTH | FLAG_CODING)) == 0;
}

static void http1_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct h1 *h = self;
	struct h1_side *s = side_of(h, from);
	bool whole_request;

	s->next += missing;
	if (s->state == H1_OPAQUE || within_body(h, s, missing, at))
		return;
	if (s->x != NULL)
		h1_message(s)->missing += missing;
	else if (from == SERVER && h->answering != NULL)
		h->answering->f.response.missing += missing;
	if (s->state == H1_GARBLED)
		return;
	if (s->state == H1_HEAD && why != WHY_CUT && from == SERVER && (s->flags & FLAG_FIRST_LINE) != 0)
		h1_release(h, s);               /* half a status line: its message is lost */
	if (s->state == H1_HEAD)
		h1_head_cut(h, s);
	whole_request = ends_with_packet(s, why);
	h1_lose(h, s);
	if (whole_request && s->x != NULL)
		request_ended_at(h, s, s->next);
}

/* ---- the end ------------------------------------------------------------------------------- */

/* A response cut by snaplen in its head: whether its body can have been whole, its Content-Length tells. */
static enum outcome lost_outcome(const struct h1 *h, const struct exchange *x)
{
	const struct message *m = &x->f.response;
	const struct h1_side *s = &h->side[SERVER];

	if (framing_broken(m))
		return OUTCOME_PARTIAL_BODY;
	if (x->f.status >= 200 && m->declared != UINT64_MAX && s->x == x)
		return s->next - s->message_at >= m->head_bytes + m->declared ? OUTCOME_COMPLETE : OUTCOME_PARTIAL_BODY;
	return OUTCOME_IN_PROGRESS;
}

static enum outcome outcome_of(const struct h1 *h, const struct exchange *x, enum ending how)
{
	const struct message *m = &x->f.response;

	if (x->f.outcome != OUTCOME_IN_PROGRESS || (x->own[0] & OWN_ANSWERED) != 0)
		return (enum outcome)x->f.outcome;
	if (how == END_CAPTURE || how == END_EVICTED)
		return OUTCOME_IN_PROGRESS;
	if ((x->own[0] & OWN_RESPONSE_LOST) != 0)
		return lost_outcome(h, x);
	if (m->first.packet == 0)
		return OUTCOME_NO_RESPONSE;
	return m->head_complete ? OUTCOME_PARTIAL_BODY : OUTCOME_PARTIAL_HEADERS;
}

static void settle(struct h1 *h, struct exchange *x)
{
	struct message *m = &x->f.response;

	if ((x->own[0] & OWN_EARLY) != 0)               /* its request never came */
		exchange_broken(m, VIOLATION_UNSOLICITED, m->first, 0, exchange_span(x, x->f.response_head));
	forget(h, x);
	exchange_settle(x);
}

/* Decides what can be decided; settles those that cannot go on. */
static void server_ended(struct h1 *h, enum ending how, bool all)
{
	struct exchange *x = conn_exchanges(h->c), *next;

	for (; x != NULL; x = next) {
		next = x->next;
		if (x->done && !all)
			continue;
		if (!x->done)
			x->f.outcome = (uint8_t)outcome_of(h, x, how);
		if (all || x->f.request.complete || (x->own[0] & (OWN_REQUEST_LOST | OWN_ORPHAN)) != 0)
			settle(h, x);
	}
}

/* Bytes that passed in a skip, or were lost, before the end. */
static void account(struct h1 *h, struct h1_side *s, uint64_t offset, struct mark at)
{
	uint64_t more = (s->flags & FLAG_SEEN) != 0 && offset > s->next ? offset - s->next : 0;

	if (more == 0 || s->state == H1_OPAQUE || s->state == H1_GARBLED)
		return;
	if (s->state != H1_LENGTH && s->state != H1_CHUNK_DATA) {
		http1_gap(h, s->from, more, WHY_LOST, at);
		return;
	}
	s->next = offset;
	note_skipped(s, more < s->left ? more : s->left, 0, conn_note(h->c)->side[s->from].last_data);
	if (s->state == H1_LENGTH && s->left == 0)
		(void)h1_message_end(h, s, NULL);
}

/* No more bytes of this side: what is half a head or a body to the close is all there is. */
static void close_side(struct h1 *h, struct h1_side *s, enum ending how)
{
	if (s->x == NULL)
		return;
	if (s->state == H1_HEAD)
		h1_head_cut(h, s);
	if (s->state == H1_CLOSE && how == END_FIN)
		(void)h1_message_end(h, s, NULL);
}

static void http1_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	struct h1 *h = self;
	struct h1_side *s = side_of(h, from);
	bool first = !s->ended;

	if (first) {
		account(h, s, offset, at);
		close_side(h, s, how);
		s->ended = true;
		s->how = (uint8_t)how;
	}
	if (h->side[CLIENT].ended && h->side[SERVER].ended)
		server_ended(h, (enum ending)h->side[SERVER].how, true);
	else if (first && from == SERVER && how == END_FIN)
		server_ended(h, how, false);
	h1_release(h, s);
	s->state = H1_OPAQUE;
}

static bool http1_idle(const void *self)
{
	const struct h1 *h = self;

	return h->answering == NULL && h->early == NULL && !h->uncertain && h->side[CLIENT].state == H1_START &&
	       h->side[SERVER].state == H1_START && h->side[CLIENT].x == NULL && h->side[SERVER].x == NULL &&
	       !h->side[CLIENT].ended && !h->side[SERVER].ended;
}

static void http1_free(void *self)
{
	struct h1 *h = self;

	h1_release(h, &h->side[CLIENT]);
	h1_release(h, &h->side[SERVER]);
	conn_release(h->c, h, sizeof *h);
}

const struct protocol http1_protocol = {
	.name = "http1",
	.speaks = SPEAKS_HTTP1,
	.probe = h1_probe,
	.begin = http1_begin,
	.bytes = http1_bytes,
	.gap = http1_gap,
	.end = http1_end,
	.free = http1_free,
	.idle = http1_idle,
};
