/* http2_stream.c - open streams, their windows, and how each ends */
#include "http2.h"

#include "../capture/limits.h"

enum { FEW_STREAMS = 4, ORPHANS_MAX = 256 };

enum h2_error { NO_ERROR = 0, FLOW_CONTROL_ERROR = 3, COMPRESSION_ERROR = 9 };  /* RFC 9113 7 */

/* ---- the list ------------------------------------------------------------------------------- */

/* Index of the first stream whose number is not below id. */
static uint32_t list_index(const struct stream_list *l, uint32_t id)
{
	uint32_t low = 0, high = l->n;

	if (high != 0 && l->at[high - 1].id < id)
		return high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (l->at[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct stream *stream_find(struct http2 *h, uint32_t id)
{
	struct stream_list *l = &h->list[stream_opener(id)];
	uint32_t i = list_index(l, id);

	return i < l->n && l->at[i].id == id && l->at[i].live ? &l->at[i] : NULL;
}

bool stream_idle(const struct http2 *h, uint32_t id)
{
	return !h->late && !h->holes && id > h->list[stream_opener(id)].highest;
}

static void list_tidy(struct stream_list *l)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < l->n; i++)
		if (l->at[i].live)
			l->at[kept++] = l->at[i];
	l->n = kept;
}

/* Room for one more. Graves are swept when they are a quarter, so that each stream is moved a few times at most. */
static bool list_room(struct http2 *h, struct stream_list *l)
{
	uint32_t size = l->size != 0 ? l->size * 2 : FEW_STREAMS;
	struct stream *larger;

	if (l->n < l->size)
		return true;
	if (l->size != 0 && l->live <= l->size - l->size / 4) {
		list_tidy(l);
		return true;
	}
	larger = conn_grow(h->conn, l->at, l->size * sizeof *l->at, size * sizeof *l->at);
	if (larger == NULL)
		return false;
	l->at = larger;
	l->size = size;
	return true;
}

static void list_remove(struct stream_list *l, struct stream *s)
{
	s->live = false;
	s->x = NULL;
	l->live--;
	while (l->n != 0 && !l->at[l->n - 1].live)
		l->n--;
}

static struct stream *list_insert(struct stream_list *l, uint32_t id)
{
	uint32_t i = list_index(l, id);

	if (i < l->n && l->at[i].id == id) {
		l->at[i] = (struct stream){ .id = id, .live = true };
	} else {
		memmove(&l->at[i + 1], &l->at[i], (l->n - i) * sizeof *l->at);
		l->at[i] = (struct stream){ .id = id, .live = true };
		l->n++;
	}
	l->live++;
	return &l->at[i];
}

/* ---- opening -------------------------------------------------------------------------------- */

static void exchange_begin(const struct http2 *h, struct exchange *x, uint32_t id)
{
	x->f.stream = x->h2.stream = id;
	x->f.pushed = stream_opener(id) == SERVER;
	x->f.grpc_status = -1;
	x->f.request.framing = x->f.response.framing = FRAMING_H2;
	x->f.request.declared = x->f.response.declared = UINT64_MAX;
	x->h2.joined_late = h->late;
	x->h2.open_streams = h->list[CLIENT].live + h->list[SERVER].live;
	for (unsigned i = 0; i < 2; i++) {
		x->h2.settings[i] = h->side[i].settings;
		x->h2.max_concurrent[i] = h->side[i].max_concurrent;
	}
}

struct stream *stream_open(struct http2 *h, uint32_t id, struct mark at)
{
	struct stream_list *l = &h->list[stream_opener(id)];
	struct exchange *x;
	struct stream *s;

	if (id < l->highest && h->orphans++ >= ORPHANS_MAX)
		return NULL;
	if (id > l->highest)
		l->highest = id;
	if (l->first == 0)
		l->first = id;
	if (l->live >= LIMIT_H2_STREAMS) {
		conn_limit(h->conn, "h2_streams_dropped");
		return NULL;
	}
	if (!list_room(h, l))
		return NULL;
	x = exchange_open(h->conn, id, at);
	if (x == NULL)
		return NULL;
	s = list_insert(l, id);
	s->x = x;
	for (unsigned i = 0; i < 2; i++)
		s->lost[i] = h->side[i].lost;
	exchange_begin(h, x, id);
	return s;
}

void stream_adopt(struct http2 *h, struct mark at)
{
	struct exchange *before = h->upgraded, *x;
	struct stream *s = stream_open(h, 1, at);
	struct text all;

	h->upgraded = NULL;
	if (s != NULL) {
		x = s->x;
		s->request_ended = true;
		/* Where the texts lie stays as it is, so all of f may be taken over. */
		exchange_text(x, &all, span_of(before->text, before->text_len), before->text_len);
		x->f = before->f;
		x->f.response = (struct message){ .declared = UINT64_MAX };
		x->f.status = 0;
		x->f.reason = x->f.server = x->f.upgrade = x->f.response_head = (struct text){ 0, 0 };
		x->f.outcome = OUTCOME_IN_PROGRESS;
		x->request_sent = before->request_sent;
		x->request_end = before->request_end;
		exchange_begin(h, x, 1);
		x->h2.h2c_upgrade = true;
	}
	exchange_done(before);
}

/* ---- windows -------------------------------------------------------------------------------- */

static int64_t stream_window(const struct http2 *h, const struct stream *s, enum side from)
{
	return (int64_t)h->side[side_other(from)].initial_window + s->delta[from];
}

void window_check(struct http2 *h, struct stream *s, enum side from, struct mark at)
{
	if (h->windows_known && stream_window(h, s, from) <= 0 && s->dry[from].packet == 0)
		s->dry[from] = at;
}

/* Order in the capture alone proves nothing: a WINDOW_UPDATE may have been lost to it. */
static void note_overflow(struct reader *r, uint32_t id)
{
	if (r->h->windows_known && !r->h->side[side_other(r->from)].settings_unacked)
		http2_suspect(r, id, VIOLATION_H2_WINDOW, span_none());
}

void window_spend(struct reader *r, struct stream *s, uint32_t length)
{
	struct h2_side *side = r->side;
	int64_t before = side->window;

	if (length == 0)
		return;
	if ((int64_t)length > before)
		note_overflow(r, side->frame.stream);
	side->window -= length;
	if (before > 0 && side->window <= 0)
		side->dry = side->frame_at;
	if (s == NULL)
		return;
	before = stream_window(r->h, s, r->from);
	if ((int64_t)length > before)
		note_overflow(r, s->id);
	s->delta[r->from] -= length;
	if (before - (int64_t)length <= 0 && (before > 0 || s->dry[r->from].packet == 0))
		s->dry[r->from] = side->frame_at;
}

void window_update(struct reader *r, struct stream *s, uint32_t increment, bool connection)
{
	enum side sender = side_other(r->from);         /* of DATA */
	int64_t window;

	if (increment == 0) {                           /* RFC 9113 6.9 */
		http2_fault(r, s, VIOLATION_H2_FRAME, span_none());
		return;
	}
	if (connection) {
		window = r->h->side[sender].window += increment;
	} else {
		if (s == NULL)
			return;
		s->delta[sender] += increment;
		window = stream_window(r->h, s, sender);
		if (window > 0)
			s->dry[sender] = (struct mark){ 0 };
	}
	if (window > WINDOW_MAX && r->h->windows_known)
		http2_fault(r, s, VIOLATION_H2_WINDOW, span_none());
}

/* ---- faults --------------------------------------------------------------------------------- */

void http2_fault(struct reader *r, struct stream *s, enum violation rule, struct span excerpt)
{
	struct h2_side *side = r->side;

	if (s != NULL) {
		r->h->malformed = true;
		exchange_broken(stream_message(s, r->from), rule, side->frame_at, side->frame_offset, excerpt);
		return;
	}
	if (side->fault != NULL)
		return;
	side->fault = conn_alloc(r->h->conn, sizeof *side->fault);
	if (side->fault != NULL)
		*side->fault = (struct fault){ side->frame_at, side->frame_offset, side->frame.stream, (uint8_t)rule,
		                               span_copied(excerpt) };
}

static void tell_fault(struct stream *s, enum side from, const struct fault *f)
{
	struct message *m = stream_message(s, from);

	if ((m->violations & violation_bit(f->rule)) == 0)
		exchange_broken(m, f->rule, f->at, f->offset, span_of(f->excerpt.bytes, f->excerpt.len));
}

void http2_suspect(struct reader *r, uint32_t id, enum violation rule, struct span excerpt)
{
	struct h2_side *side = r->side;

	if (side->suspect == NULL)
		side->suspect = conn_alloc(r->h->conn, sizeof *side->suspect);
	if (side->suspect != NULL)
		*side->suspect = (struct fault){ side->frame_at, side->frame_offset, id, (uint8_t)rule, span_copied(excerpt) };
}

/* The other side's error code, on s (NULL: on the connection), names what was suspected. */
static void suspect_proved(struct http2 *h, enum side accuser, struct stream *s, uint32_t code)
{
	enum side accused = side_other(accuser);
	struct h2_side *side = &h->side[accused];
	uint32_t means;

	if (side->suspect == NULL)
		return;
	means = side->suspect->rule == VIOLATION_H2_HPACK ? COMPRESSION_ERROR : FLOW_CONTROL_ERROR;
	if (code != means)
		return;
	if (s != NULL) {
		if (side->suspect->stream == s->id)
			tell_fault(s, accused, side->suspect);
	} else if (side->fault == NULL) {
		side->fault = side->suspect;
		side->suspect = NULL;
	}
}

/* ---- ends ----------------------------------------------------------------------------------- */

static enum outcome stream_outcome(const struct http2 *h, const struct stream *s, enum stream_end how)
{
	const struct message *m = &s->x->f.response;

	if (s->response_ended)
		return OUTCOME_COMPLETE;
	if (how == STREAM_RESET)
		return OUTCOME_RESET;
	if (how == STREAM_UNFINISHED)
		return OUTCOME_IN_PROGRESS;
	if (h->side[SERVER].garbage)
		return OUTCOME_GARBLED;
	if (m->first.packet == 0)
		return OUTCOME_NO_RESPONSE;
	if (s->x->f.status == 0 && (m->violations & violation_bit(VIOLATION_H2_HPACK)) != 0)
		return OUTCOME_GARBLED;
	return m->head_complete ? OUTCOME_PARTIAL_BODY : OUTCOME_PARTIAL_HEADERS;
}

/* The GOAWAY that says most about a stream: of its opener's peer, below it. */
static void tell_goaway(struct stream *s, enum side from, const struct goaway *g)
{
	struct h2_facts *f = &s->x->h2;

	f->goaway_graceful[from] = g->graceful;
	if (g->at.packet == 0)
		return;
	f->goaway[from] = g->at;
	f->goaway_code[from] = g->code;
	f->goaway_last[from] = g->last;
	f->goaway_debug[from] = g->debug;
}

static struct mark earlier(struct mark a, struct mark b)
{
	return a.packet == 0 || (b.packet != 0 && b.packet < a.packet) ? b : a;
}

/* Does `from` owe DATA that it has no window for? */
static bool tell_stall(const struct http2 *h, const struct stream *s, enum side from, bool ended)
{
	struct h2_facts *f = &s->x->h2;
	const struct message *m = from == CLIENT ? &s->x->f.request : &s->x->f.response;
	bool stream = stream_window(h, s, from) <= 0, connection = h->side[from].window <= 0;

	/* Ended short of its content-length: it gave up waiting. */
	if (ended && (m->declared == UINT64_MAX || m->body_bytes >= m->declared))
		return false;
	if (!m->head_complete || !(stream || connection) || m->body_bytes >= m->declared)
		return false;
	f->stalled_side = (uint8_t)from;
	f->stalled_stream = stream;
	f->stalled_connection = connection;
	f->stalled = earlier(stream ? s->dry[from] : (struct mark){ 0 }, connection ? h->side[from].dry : (struct mark){ 0 });
	if (f->stalled.packet == 0)             /* SETTINGS took the window away */
		f->stalled = h->side[side_other(from)].settings;
	if (f->stalled.packet < m->head_end.packet)     /* it was empty before this stream owed anything */
		f->stalled = m->head_end;
	return true;
}

static void tell_facts(const struct http2 *h, struct stream *s)
{
	struct h2_facts *f = &s->x->h2;

	for (unsigned i = 0; i < 2; i++) {
		const struct h2_side *side = &h->side[i];
		struct message *m = stream_message(s, i == CLIENT ? CLIENT : SERVER);

		f->settings[i] = side->settings;
		f->max_concurrent[i] = side->max_concurrent;
		m->missing += side->lost - s->lost[i];
		if (side->goaway != NULL)
			tell_goaway(s, i == CLIENT ? CLIENT : SERVER, side->goaway);
	}
	if (s->response_ended)
		return;
	if (h->windows_known && !tell_stall(h, s, SERVER, s->response_ended))
		tell_stall(h, s, CLIENT, s->request_ended);
	for (unsigned i = 2; i-- != 0; ) {      /* the server's first */
		const struct fault *fault = h->side[i].fault;

		if (fault == NULL)
			continue;
		tell_fault(s, i == CLIENT ? CLIENT : SERVER, fault);
		if (f->error_at.packet == 0) {
			f->error_at = fault->at;
			f->error_rule = fault->rule;
		}
	}
}

void stream_settle(struct http2 *h, struct stream *s, enum stream_end how)
{
	struct exchange *x = s->x;

	message_body_end(h, s);
	tell_facts(h, s);
	x->f.outcome = (uint8_t)stream_outcome(h, s, how);
	list_remove(&h->list[stream_opener(s->id)], s);
	exchange_settle(x);
}

void stream_settle_all(struct http2 *h, enum stream_end how)
{
	for (unsigned opener = 0; opener < 2; opener++) {
		struct stream_list *l = &h->list[opener];

		for (uint32_t i = 0; i < l->n; i++)
			if (l->at[i].live)
				stream_settle(h, &l->at[i], how);
		l->n = 0;
	}
}

static void stream_done(struct http2 *h, struct stream *s, enum outcome outcome)
{
	struct exchange *x = s->x;

	x->f.outcome = (uint8_t)outcome;
	message_body_end(h, s);
	tell_facts(h, s);
	list_remove(&h->list[stream_opener(s->id)], s);
	exchange_done(x);
}

void stream_tunnel(struct http2 *h, struct stream *s)
{
	s->x->f.response.complete = true;
	stream_done(h, s, s->x->f.upgrade.len != 0 ? OUTCOME_UPGRADED : OUTCOME_TUNNEL);
}

/* "the value of a content-length header field does not equal the sum of the DATA": malformed. RFC 9113 8.1.1.
 * The answer to HEAD, and 304, say what would have been sent. */
static void check_length(struct reader *r, struct stream *s)
{
	struct message *m = stream_message(s, r->from);
	bool none = r->from == SERVER && (s->x->f.method == METHOD_HEAD || s->x->f.status == 304 || s->from_before);

	if (m->declared == UINT64_MAX || m->declared == m->body_bytes || m->missing != 0)
		return;
	if (!(none && m->body_bytes == 0) && r->side->lost == s->lost[r->from])
		http2_fault(r, s, VIOLATION_H2_LENGTH, span_none());
}

void stream_half_ended(struct reader *r, struct stream *s)
{
	struct exchange *x = s->x;
	struct message *m = stream_message(s, r->from);

	m->complete = true;
	m->last = r->at;
	check_length(r, s);
	if (r->from == CLIENT) {
		s->request_ended = true;
		if (!x->request_sent)
			exchange_request_sent(x, reader_wire(r));
	} else {
		s->response_ended = true;
		message_coding_end(r, s);
	}
	if (s->response_ended && (s->request_ended || s->from_before || x->f.pushed))
		stream_done(r->h, s, OUTCOME_COMPLETE);
}

void stream_reset(struct reader *r, struct stream *s, uint32_t code)
{
	struct exchange *x = s->x;

	x->h2.rst_stream[r->from] = r->side->frame_at;
	x->h2.rst_code[r->from] = code;
	suspect_proved(r->h, r->from, s, code);
	/* "a server MAY request that the client abort … by sending a RST_STREAM with NO_ERROR after sending a complete
	 * response" (RFC 9113 8.1); whoever resets later does no harm either. */
	if (s->response_ended)
		stream_done(r->h, s, OUTCOME_COMPLETE);
	else
		stream_settle(r->h, s, STREAM_RESET);
}

/* An endpoint that finds an answer malformed at its very end resets a stream that is closed already (RFC 9113 8.1.1). */
void stream_reset_late(struct reader *r, uint32_t code)
{
	struct exchange *x = r->h->malformed ? exchange_of_ended_stream(r->h->conn, r->side->frame.stream) : NULL;

	if (x == NULL || x->h2.rst_stream[r->from].packet != 0)
		return;
	x->h2.rst_stream[r->from] = r->side->frame_at;
	x->h2.rst_code[r->from] = code;
}

/* ---- GOAWAY --------------------------------------------------------------------------------- */

static struct goaway *side_goaway(struct reader *r)
{
	struct h2_side *side = r->side;

	if (side->goaway != NULL)
		return side->goaway;
	side->goaway = conn_alloc(r->h->conn, sizeof *side->goaway);
	if (side->goaway != NULL)
		*side->goaway = (struct goaway){ .last = INT32_MAX };
	return side->goaway;
}

/* Streams above `last` were not and will not be processed (RFC 9113 6.8): nothing can come on them. */
static void refuse_above(struct http2 *h, enum side opener, uint32_t last)
{
	struct stream_list *l = &h->list[opener];

	for (uint32_t i = list_index(l, last + 1); i < l->n; i++)
		if (l->at[i].live)
			stream_settle(h, &l->at[i], STREAM_REFUSED);
}

void goaway_take(struct reader *r, uint32_t last, uint32_t code, struct span debug)
{
	struct goaway *g = side_goaway(r);

	conn_said_close(r->h->conn);
	suspect_proved(r->h, r->from, NULL, code);
	if (g == NULL)
		return;
	if (last == INT32_MAX && code == NO_ERROR) {    /* "shutting down soon": the number follows */
		if (g->graceful.packet == 0)
			g->graceful = r->side->frame_at;
		return;
	}
	/* One that says more than the last: other code, or fewer streams. */
	if (g->at.packet == 0 || last < g->last || (code != g->code && g->code == NO_ERROR)) {
		g->at = r->side->frame_at;
		g->code = code;
		g->last = last < g->last ? last : g->last;
		g->debug = span_copied(debug);
		refuse_above(r->h, side_other(r->from), g->last);
	}
}
