/* http2.c - reads the frames of both sides of an HTTP/2 connection
 *
 * Each side is a machine of its own:
 *
 *     PREFACE ──▶ HEAD ──▶ PREFIX ──▶ CONTENT ──▶ PADDING ──▶ HEAD …
 *                  ▲   a hole that framing does not survive, or a late start
 *                 LOST ◀── from each of them
 *
 * PREFIX is what a frame's handler wants in one piece (an error code, the pad length); CONTENT may come cut
 * anywhere, or, of DATA, be skipped.
 */
#include "http2.h"

#include "../capture/limits.h"

enum { SURE_AFTER = 4, GOAWAY_PREFIX = 8 + 63, STREAMS_AHEAD = 2000 };

/* ---- SETTINGS ------------------------------------------------------------------------------- */

enum { SETTINGS_HEADER_TABLE_SIZE = 1, SETTINGS_MAX_CONCURRENT_STREAMS = 3, SETTINGS_INITIAL_WINDOW_SIZE = 4, SETTINGS_MAX_FRAME_SIZE = 5 };

static void settings_begin(struct reader *r)
{
	struct h2_side *side = r->side;

	if ((side->frame.flags & FLAG_ACK) != 0) {
		r->h->side[side_other(r->from)].settings_unacked = false;
		return;
	}
	if (side->settings.packet == 0) {
		side->settings = side->frame_at;
		if (!r->h->late)
			r->h->side[side_other(r->from)].hpack.allowed = HPACK_TABLE_DEFAULT;
	}
	side->settings_unacked = true;
}

/* RFC 9113 6.5.2 */
static void setting(struct reader *r, struct span entry)
{
	struct h2_side *side = r->side;
	struct cursor c = cursor_of(entry);
	unsigned id = cur_u16(&c);
	uint32_t value = cur_u32(&c);

	if (id == SETTINGS_HEADER_TABLE_SIZE) {
		uint32_t *allowed = &r->h->side[side_other(r->from)].hpack.allowed;

		if (value > *allowed)           /* a smaller one takes effect only once it is acknowledged */
			*allowed = value;
	} else if (id == SETTINGS_MAX_CONCURRENT_STREAMS) {
		side->max_concurrent = value;
	} else if (id == SETTINGS_INITIAL_WINDOW_SIZE) {
		if (value <= WINDOW_MAX)
			side->initial_window = value;
		else
			http2_fault(r, NULL, VIOLATION_H2_WINDOW, entry);
	} else if (id == SETTINGS_MAX_FRAME_SIZE) {
		if (value < FRAME_MAX_LENGTH || value > 0xffffff)
			http2_fault(r, NULL, VIOLATION_H2_FRAME, entry);
		else if (value > side->max_frame)
			side->max_frame = value;
	}
}

/* ---- header blocks -------------------------------------------------------------------------- */

/* Pad length, where there is one, is the prefix's first byte. False: more padding than frame. RFC 9113 6.1 */
static bool take_padding(struct reader *r, struct cursor *prefix)
{
	struct h2_side *side = r->side;
	uint32_t padding = (side->frame.flags & FLAG_PADDED) != 0 ? cur_u8(prefix) : 0;

	if (padding > side->rest) {
		http2_fault(r, NULL, VIOLATION_H2_FRAME, prefix->rest);
		side->ignored = true;
		return false;
	}
	side->padding = padding;
	return true;
}

static void block_start(struct reader *r, uint32_t owner, enum block_kind kind, bool orphan)
{
	struct h2_side *side = r->side;

	side->block = (struct block){
		.at = side->frame_at, .offset = side->frame_offset, .stream = side->frame.stream, .owner = owner, .kind = (uint8_t)kind, .orphan = orphan,
		.end_stream = side->frame.type == FRAME_HEADERS && (side->frame.flags & FLAG_END_STREAM) != 0,
	};
}

static struct stream *request_open(struct reader *r, uint32_t id)
{
	struct stream *s = stream_open(r->h, id, r->side->frame_at);

	if (s != NULL) {
		s->x->f.request.first = r->side->frame_at;
		s->x->f.request.version = VERSION_2;
	}
	return s;
}

static void request_headers(struct reader *r, uint32_t id)
{
	struct stream *s = stream_find(r->h, id);

	if (s != NULL && (s->request_ended || stream_opener(id) == SERVER)) {
		http2_fault(r, s, VIOLATION_H2_FRAME, span_none());      /* half-closed (remote). RFC 9113 5.1 */
		block_start(r, id, BLOCK_ANY, false);
	} else if (s != NULL) {
		block_start(r, id, s->from_before ? BLOCK_ANY : BLOCK_TRAILERS, false);
	} else if (stream_opener(id) == SERVER) {
		http2_fault(r, NULL, VIOLATION_H2_FRAME, span_none());   /* clients use odd numbers. 5.1.1 */
		block_start(r, id, BLOCK_ANY, false);
	} else if (id <= r->h->list[CLIENT].highest) {
		block_start(r, id, BLOCK_ANY, false);                   /* closed: on its way when it was reset */
	} else if (r->h->late || r->h->holes) {
		block_start(r, id, BLOCK_REQUEST, true);
	} else {
		s = request_open(r, id);
		block_start(r, id, s != NULL ? BLOCK_REQUEST : BLOCK_ANY, false);
	}
}

static void response_headers(struct reader *r, uint32_t id)
{
	struct http2 *h = r->h;
	struct stream *s = stream_find(h, id);
	const struct stream_list *l = &h->list[stream_opener(id)];

	if (s != NULL && s->response_ended) {
		http2_fault(r, s, VIOLATION_H2_FRAME, span_none());
		block_start(r, id, BLOCK_ANY, false);
	} else if (s != NULL) {
		block_start(r, id, s->response_head ? BLOCK_TRAILERS : BLOCK_RESPONSE, false);
	} else if (stream_idle(h, id)) {
		http2_fault(r, NULL, VIOLATION_H2_FRAME, span_none());
		block_start(r, id, BLOCK_ANY, false);
	} else {
		bool before = (h->late || h->holes) && (id > l->highest || id < l->first);

		block_start(r, id, before ? BLOCK_RESPONSE : BLOCK_ANY, before);
	}
}

static void headers_begin(struct reader *r, struct span prefix)
{
	struct cursor c = cursor_of(prefix);

	if (!take_padding(r, &c)) {
		hpack_lost(&r->side->hpack);
		return;
	}
	if (r->from == CLIENT)
		request_headers(r, r->side->frame.stream);
	else
		response_headers(r, r->side->frame.stream);
}

/* RFC 9113 6.6, 8.4 */
static void promise_begin(struct reader *r, struct span prefix)
{
	struct cursor c = cursor_of(prefix);
	uint32_t promised;
	struct stream *s = NULL;

	if (!take_padding(r, &c)) {
		hpack_lost(&r->side->hpack);
		return;
	}
	promised = cur_u32(&c) & 0x7fffffff;
	if (r->from == CLIENT || stream_opener(promised) == CLIENT || promised == 0)
		http2_fault(r, NULL, VIOLATION_H2_FRAME, prefix);
	else if (promised > r->h->list[SERVER].highest)
		s = request_open(r, promised);
	block_start(r, promised, s != NULL ? BLOCK_REQUEST : BLOCK_ANY, false);
}

static void continuation_begin(struct reader *r, struct span prefix)
{
	struct h2_side *side = r->side;

	(void)prefix;
	side->padding = 0;
	if (side->block.kind == BLOCK_NONE) {           /* what it continues was lost, or never sent */
		if (!r->h->holes && !r->h->late)
			http2_fault(r, NULL, VIOLATION_H2_FRAME, span_none());
		side->ignored = true;
		hpack_lost(&side->hpack);
		return;
	}
	if (++side->block.frames > LIMIT_H2_CONTINUATIONS) {
		conn_limit(r->h->conn, "h2_continuations_cut");
		r->h->opaque = true;
	}
}

static void fragment_content(struct reader *r, struct span bytes)
{
	struct h2_side *side = r->side;

	message_fragment(r, bytes, side->rest == side->padding && (side->frame.flags & FLAG_END_HEADERS) != 0);
}

/* An empty fragment has no content. */
static void fragment_end(struct reader *r)
{
	if ((r->side->frame.flags & FLAG_END_HEADERS) != 0 && r->side->block.kind != BLOCK_NONE)
		message_fragment(r, span_none(), true);
}

/* ---- DATA ----------------------------------------------------------------------------------- */

static struct stream *data_stream(struct reader *r)
{
	struct stream *s = stream_find(r->h, r->side->frame.stream);

	if (s == NULL || (r->from == CLIENT ? s->request_ended : s->response_ended || !s->response_head))
		return NULL;
	return s;
}

/* DATA without a head that may have been in a hole: there was one. */
static bool head_missed(struct reader *r, struct stream *s)
{
	struct message *m = &s->x->f.response;

	if (r->from == CLIENT || s->response_head || (r->side->lost == s->lost[SERVER] && r->side->doubt == 0))
		return false;
	s->response_head = true;
	s->x->h2.fields_unknown = true;
	m->first = r->side->frame_at;
	m->version = VERSION_2;
	m->head_complete = true;
	return true;
}

static void data_begin(struct reader *r, struct span prefix)
{
	struct cursor c = cursor_of(prefix);
	uint32_t id = r->side->frame.stream;
	struct stream *s = stream_find(r->h, id);

	window_spend(r, s, r->side->frame.length);
	if (!take_padding(r, &c))
		return;
	if (s == NULL) {
		if (stream_idle(r->h, id))
			http2_fault(r, NULL, VIOLATION_H2_FRAME, span_none());
		r->side->ignored = true;
	} else if (data_stream(r) == NULL && !head_missed(r, s)) {      /* before its head, or behind END_STREAM */
		http2_fault(r, s, VIOLATION_H2_FRAME, span_none());
		r->side->ignored = true;
	}
}

static void data_content(struct reader *r, struct span bytes)
{
	struct stream *s = data_stream(r);

	if (s != NULL)
		message_content(r, s, bytes, bytes.len, 0);
}

static void data_end(struct reader *r)
{
	struct stream *s = data_stream(r);

	if (s != NULL && (r->side->frame.flags & FLAG_END_STREAM) != 0)
		stream_half_ended(r, s);
}

/* ---- the others ----------------------------------------------------------------------------- */

static void reset_begin(struct reader *r, struct span prefix)
{
	struct cursor c = cursor_of(prefix);
	struct stream *s = stream_find(r->h, r->side->frame.stream);

	if (s != NULL)
		stream_reset(r, s, cur_u32(&c));
	else if (stream_idle(r->h, r->side->frame.stream))
		http2_fault(r, NULL, VIOLATION_H2_FRAME, prefix);
}

static void update_begin(struct reader *r, struct span prefix)
{
	struct cursor c = cursor_of(prefix);
	uint32_t id = r->side->frame.stream;

	window_update(r, id != 0 ? stream_find(r->h, id) : NULL, cur_u32(&c) & 0x7fffffff, id == 0);
}

static void goaway_begin(struct reader *r, struct span prefix)
{
	struct cursor c = cursor_of(prefix);
	uint32_t last = cur_u32(&c) & 0x7fffffff, code = cur_u32(&c);

	goaway_take(r, last, code, c.rest);
}

/* ---- a frame -------------------------------------------------------------------------------- */

static const struct frame_ops {
	void (*begin)(struct reader *r, struct span prefix);    /* NULL: nothing in it is of interest */
	void (*content)(struct reader *r, struct span bytes);
	void (*end)(struct reader *r);
} frame_ops[FRAME_TYPES] = {
	[FRAME_DATA]          = { data_begin, data_content, data_end },
	[FRAME_HEADERS]       = { headers_begin, fragment_content, fragment_end },
	[FRAME_RST_STREAM]    = { reset_begin, NULL, NULL },
	[FRAME_SETTINGS]      = { setting, NULL, NULL },
	[FRAME_PUSH_PROMISE]  = { promise_begin, fragment_content, fragment_end },
	[FRAME_GOAWAY]        = { goaway_begin, NULL, NULL },
	[FRAME_WINDOW_UPDATE] = { update_begin, NULL, NULL },
	[FRAME_CONTINUATION]  = { continuation_begin, fragment_content, fragment_end },
};

/* Bytes that the handler wants in one piece. */
static uint32_t prefix_length(const struct frame *f)
{
	uint32_t padded = (f->flags & FLAG_PADDED) != 0;

	switch (f->type) {
	case FRAME_DATA:          return padded;
	case FRAME_HEADERS:       return padded + ((f->flags & FLAG_PRIORITY) != 0 ? 5 : 0);
	case FRAME_PUSH_PROMISE:  return padded + 4;
	case FRAME_RST_STREAM:
	case FRAME_WINDOW_UPDATE: return 4;
	case FRAME_SETTINGS:      return f->length != 0 ? 6 : 0;
	case FRAME_GOAWAY:        return f->length < GOAWAY_PREFIX ? f->length : GOAWAY_PREFIX;
	default:                  return 0;
	}
}

static bool is_block_frame(unsigned type)
{
	return type == FRAME_HEADERS || type == FRAME_PUSH_PROMISE || type == FRAME_CONTINUATION;
}

/* What the receiver may be sent. Where its SETTINGS were not captured: anything. */
static uint32_t max_length(const struct reader *r)
{
	const struct h2_side *receiver = &r->h->side[side_other(r->from)];

	return r->h->late || r->h->holes || receiver->settings.packet == 0 ? 0xffffff : receiver->max_frame;
}

/* The header block that is under way must be ended by CONTINUATION first. RFC 9113 6.2 */
static bool breaks_block(const struct h2_side *side)
{
	return side->block.kind != BLOCK_NONE &&
	       (side->frame.type != FRAME_CONTINUATION || side->frame.stream != side->block.stream);
}

static void block_abort(struct h2_side *side)
{
	side->block = (struct block){ .kind = BLOCK_NONE };
	hpack_lost(&side->hpack);
}

static void lose(struct reader *r, uint64_t bytes);

/* A side's first bytes, as far as they are known. */
static struct span first_bytes(struct reader *r, struct span head)
{
	const struct span_copy *c = &conn_note(r->h->conn)->head[r->from];

	return c->len > head.len ? span_of(c->bytes, c->len) : head;
}

/* The first frame of a side is SETTINGS (RFC 9113 3.4): if it is no frame at all, another protocol answers. */
static bool first_frame_fits(struct reader *r, struct span head)
{
	struct h2_side *side = r->side;

	side->spoke = true;
	if (side->frame.type == FRAME_SETTINGS && side->frame.stream == 0) {
		conn_note(r->h->conn)->speaks[r->from] = SPEAKS_HTTP2;
		return true;
	}
	http2_fault(r, NULL, VIOLATION_H2_PREFACE, first_bytes(r, head));
	if (frame_plausible(head, r->from))
		return true;
	side->garbage = true;
	return false;
}

/* Numbers far above those in use are no streams, but bytes of something else. */
static bool stream_near(const struct reader *r, const struct frame *f)
{
	uint32_t highest = r->h->list[stream_opener(f->stream)].highest;

	return f->stream == 0 || highest == 0 || f->stream <= highest + STREAMS_AHEAD;
}

static bool head_fits(const struct reader *r, struct span head)
{
	struct frame f;

	if (!frame_plausible(head, r->from))
		return false;
	f = frame_of(head);
	return stream_near(r, &f);
}

static void frame_begin(struct reader *r, struct span head)
{
	struct h2_side *side = r->side;
	enum violation rule;

	side->frame = frame_of(head);
	side->rest = side->frame.length;
	side->padding = 0;
	side->ignored = false;
	if (!side->spoke && !first_frame_fits(r, head))
		return;
	rule = frame_fault(&side->frame, max_length(r));
	if (rule == VIOLATION_COUNT && breaks_block(side))
		rule = VIOLATION_H2_FRAME;
	if (side->doubt != 0) {
		if (rule != VIOLATION_COUNT || !head_fits(r, head)) {
			lose(r, FRAME_HEAD);
			return;
		}
		side->doubt--;
	}
	if (rule != VIOLATION_COUNT) {
		http2_fault(r, NULL, rule, head);
		side->ignored = true;
		if (side->block.kind != BLOCK_NONE)
			block_abort(side);
		if (is_block_frame(side->frame.type))
			hpack_lost(&side->hpack);
	}
	if (side->frame.type >= FRAME_TYPES || frame_ops[side->frame.type].begin == NULL)
		side->ignored = true;
	if (!side->ignored && side->frame.type == FRAME_SETTINGS)
		settings_begin(r);
	if (!side->ignored && prefix_length(&side->frame) > side->frame.length) {
		http2_fault(r, NULL, VIOLATION_H2_FRAME_SIZE, head);
		side->ignored = true;
	}
	side->state = side->ignored ? H2_CONTENT : H2_PREFIX;
}

/* ---- steps: true if there is more to do with what is there -------------------------------------- */

static bool going_on(const struct reader *r)
{
	return !r->h->opaque && !r->h->wrong_way;
}

static struct span take(struct reader *r, size_t n)
{
	struct span s = span_first(r->rest, n);

	r->rest = span_from(r->rest, n);
	return s;
}

static uint64_t reader_offset(const struct reader *r)
{
	return r->piece->offset + (r->piece->bytes.len - r->rest.len);
}

/* n bytes in one piece. False: not yet; what there is has been held. */
static bool take_whole(struct reader *r, size_t n, struct span *s)
{
	struct h2_side *side = r->side;

	if (side->n_held == 0 && r->rest.len >= n) {
		*s = take(r, n);
		return true;
	}
	*s = take(r, n - side->n_held);
	memcpy(side->held + side->n_held, s->at, s->len);
	side->n_held = (uint8_t)(side->n_held + s->len);
	if (side->n_held < n)
		return false;
	*s = span_of(side->held, n);
	side->n_held = 0;
	return true;
}

static bool step_preface(struct reader *r)
{
	struct h2_side *side = r->side;
	size_t n = side->n_held;

	if (r->rest.len == 0)
		return false;
	if (n == 0) {
		side->frame_at = r->at;
		side->frame_offset = reader_offset(r);
	}
	while (n < PREFACE_LENGTH && r->rest.len != 0) {
		if (r->rest.at[0] != (uint8_t)http2_preface[n]) {
			http2_fault(r, NULL, VIOLATION_H2_PREFACE, r->rest);
			side->garbage = true;
			return false;
		}
		take(r, 1);
		n++;
	}
	side->n_held = (uint8_t)n;
	if (n < PREFACE_LENGTH)
		return false;
	side->n_held = 0;
	side->state = H2_HEAD;
	return true;
}

static bool step_head(struct reader *r)
{
	struct h2_side *side = r->side;
	struct span head;

	if (r->rest.len == 0)
		return false;
	if (side->n_held == 0) {
		side->frame_at = r->at;
		side->frame_offset = reader_offset(r);
	}
	if (!take_whole(r, FRAME_HEAD, &head))
		return false;
	frame_begin(r, head);
	return !side->garbage && going_on(r);
}

static bool step_prefix(struct reader *r)
{
	struct h2_side *side = r->side;
	uint32_t n = prefix_length(&side->frame);
	struct span prefix = span_none();

	if (n != 0 && !take_whole(r, n, &prefix))
		return false;
	side->rest -= n;
	side->state = H2_CONTENT;
	if (side->frame.type == FRAME_SETTINGS) {
		if (n != 0)
			setting(r, prefix);
		if (side->rest >= 6)
			side->state = H2_PREFIX;
		return true;
	}
	frame_ops[side->frame.type].begin(r, prefix);
	return going_on(r);
}

static bool step_content(struct reader *r)
{
	struct h2_side *side = r->side;
	struct span bytes;

	if (side->rest == side->padding) {
		side->state = H2_PADDING;
		return true;
	}
	if (r->rest.len == 0)
		return false;
	bytes = take(r, side->rest - side->padding);
	side->rest -= (uint32_t)bytes.len;
	if (!side->ignored && frame_ops[side->frame.type].content != NULL)
		frame_ops[side->frame.type].content(r, bytes);
	return going_on(r);
}

static bool step_padding(struct reader *r)
{
	struct h2_side *side = r->side;

	if (side->rest != 0 && r->rest.len == 0)
		return false;
	side->rest -= (uint32_t)take(r, side->rest).len;
	side->padding = side->rest;
	if (side->rest != 0)
		return false;
	side->state = H2_HEAD;
	if (!side->ignored && frame_ops[side->frame.type].end != NULL)
		frame_ops[side->frame.type].end(r);
	return going_on(r);
}

/* ---- in step again -------------------------------------------------------------------------- */

static bool stream_is_open(struct reader *r, struct span head)
{
	struct frame f = frame_of(head);

	return (f.type == FRAME_DATA || f.type == FRAME_HEADERS) && stream_find(r->h, f.stream) != NULL;
}

/* Does a frame begin at s? Where a piece begins one plausible head is enough; elsewhere what follows must fit, too. */
static bool frame_starts(struct reader *r, struct span s, bool piece_start)
{
	bool exact;
	unsigned n;

	if (!head_fits(r, s))
		return false;
	n = frame_chain(s, r->from, &exact);
	return n >= (piece_start ? 1 : 2) || (n == 1 && (exact || stream_is_open(r, s)));
}

static bool found(struct reader *r)
{
	r->side->state = H2_HEAD;
	r->side->doubt = SURE_AFTER;
	r->side->spoke = true;
	return true;
}

/* The connection's first bytes after all: nothing has gone before them. */
static bool found_preface(struct reader *r)
{
	struct http2 *h = r->h;

	if (r->from != CLIENT || r->side->started || !span_starts(r->rest, "PRI * HTTP/2.0"))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		if (h->side[i].started && i != CLIENT)
			continue;
		h->side[i].hpack.stale = false;
		h->side[i].state = i == CLIENT ? H2_PREFACE : H2_HEAD;
	}
	h->windows_known = !h->side[SERVER].started;
	h->late = h->side[SERVER].started;
	return true;
}

/* A piece too short for a head may begin one. True: with this piece it is whole, and a frame's. */
static bool held_starts(struct reader *r)
{
	struct h2_side *side = r->side;
	uint8_t head[FRAME_HEAD];
	size_t n = FRAME_HEAD - side->n_held;
	struct span whole = span_of(head, sizeof head), next;

	memcpy(head, side->held, side->n_held);
	memcpy(head + side->n_held, r->rest.at, n);
	next = span_from(r->rest, n + frame_of(whole).length);
	return head_fits(r, whole) && (next.len < FRAME_HEAD || frame_plausible(next, r->from));
}

static void hold_piece(struct reader *r)
{
	struct h2_side *side = r->side;

	if (side->n_held == 0) {
		side->frame_at = r->at;
		side->frame_offset = reader_offset(r);
	}
	memcpy(side->held + side->n_held, r->rest.at, r->rest.len);
	side->n_held = (uint8_t)(side->n_held + r->rest.len);
	r->rest = span_none();
}

static bool step_lost(struct reader *r)
{
	struct span s = r->rest;
	bool start = s.len == r->piece->bytes.len;

	if (start && found_preface(r))
		return true;
	if (start && r->side->n_held + s.len < FRAME_HEAD) {
		hold_piece(r);
		return false;
	}
	if (start && r->side->n_held != 0) {
		if (held_starts(r))
			return found(r);
		r->side->n_held = 0;
	}
	while (s.len >= FRAME_HEAD) {
		size_t zero = start ? 0 : span_index(s, 0);     /* every plausible head begins with 0 */

		s = span_from(s, zero);
		if (frame_starts(r, s, start)) {
			r->side->lost += r->rest.len - s.len;
			r->rest = s;
			return found(r);
		}
		s = span_from(s, 1);
		start = false;
	}
	r->side->lost += r->rest.len;
	r->rest = span_none();
	return false;
}

static bool (*const steps[H2_STATES])(struct reader *r) = {
	[H2_PREFACE] = step_preface,    /* waits for "PRI * …". RFC 9113 3.4 */
	[H2_HEAD]    = step_head,
	[H2_PREFIX]  = step_prefix,
	[H2_CONTENT] = step_content,
	[H2_PADDING] = step_padding,
	[H2_LOST]    = step_lost,       /* waits for something that looks like a frame */
};

static void run(struct reader *r)
{
	while (steps[r->side->state](r))
		;
}

/* ---- holes ---------------------------------------------------------------------------------- */

/* Frames of this side may have gone unseen: among them SETTINGS and WINDOW_UPDATE. */
static void note_hole(struct reader *r)
{
	r->h->holes = true;
	r->h->windows_known = false;
	r->h->side[side_other(r->from)].hpack.allowed = UINT32_MAX;
}

/* Framing is lost: `bytes` that may have held frames are missing, or were none. */
static void lose(struct reader *r, uint64_t bytes)
{
	struct h2_side *side = r->side;

	side->state = H2_LOST;
	side->n_held = 0;
	side->rest = side->padding = 0;
	side->lost += bytes;
	block_abort(side);
	note_hole(r);
}

/* n bytes of the frame under way are not to be seen: skipped as wanted, or missing. */
static void pass_content(struct reader *r, uint64_t n, uint64_t missing)
{
	struct h2_side *side = r->side;
	uint32_t content = side->rest - side->padding;
	uint32_t part = n < content ? (uint32_t)n : content;
	struct stream *s;

	side->rest -= (uint32_t)n;
	if (side->padding > side->rest)
		side->padding = side->rest;
	if (side->ignored || part == 0)
		return;
	if (is_block_frame(side->frame.type)) {
		block_abort(side);
		side->ignored = true;
		return;
	}
	s = side->frame.type == FRAME_DATA ? data_stream(r) : NULL;
	if (s != NULL)
		message_content(r, s, span_none(), part, missing < part ? missing : part);
}

/* A hole in a prefix: the frame's bounds are known still. */
static void prefix_missing(struct reader *r)
{
	struct h2_side *side = r->side;

	side->rest -= side->n_held;
	side->n_held = 0;
	side->ignored = true;
	side->state = H2_CONTENT;
	note_hole(r);
	if (is_block_frame(side->frame.type))
		block_abort(side);
	side->lost += side->rest;
}

/* Bytes between the last call and this: `jump` of them, `missing` not in the capture. */
static void catch_up(struct reader *r, uint64_t jump, uint64_t missing)
{
	struct h2_side *side = r->side;

	if (jump == 0)
		return;
	if (side->state == H2_LOST) {
		side->lost += jump;
		side->n_held = 0;
		return;
	}
	if (side->state == H2_PREFIX && jump <= side->rest - side->n_held)
		prefix_missing(r);
	if ((side->state == H2_CONTENT || side->state == H2_PADDING) && jump <= side->rest) {
		pass_content(r, jump, missing);
		if (side->rest == 0)
			run(r);
		return;
	}
	lose(r, jump);
}

/* ---- struct protocol -------------------------------------------------------------------------- */

static void side_init(struct http2 *h, enum side from, bool late)
{
	struct h2_side *s = &h->side[from];

	s->state = late ? H2_LOST : from == CLIENT ? H2_PREFACE : H2_HEAD;
	s->initial_window = WINDOW_DEFAULT;
	s->window = WINDOW_DEFAULT;
	s->max_frame = FRAME_MAX_LENGTH;
	s->max_concurrent = NO_MAXIMUM;
	hpack_init(&s->hpack, h->conn, late);
}

/* The request of an h2c upgrade is stream 1, half-closed, and its response comes there (RFC 7540 3.2): http1.c leaves its
 * exchange open. */
static struct exchange *upgraded(struct conn *c)
{
	struct exchange *x = conn_exchanges(c), *found = NULL;

	for (; x != NULL; x = x->next)
		if (x->f.stream == 0 && x->f.outcome == OUTCOME_UPGRADED && x->f.status == 101)
			found = x;
	return found;
}

static void adopt_upgrade(struct http2 *h)
{
	struct stream_list *l = &h->list[CLIENT];
	struct exchange *x = upgraded(h->conn);

	if (x == NULL)
		return;
	l->highest = l->first = 1;
	if (x->done || (l->at = conn_alloc(h->conn, sizeof *l->at)) == NULL)
		return;
	l->n = l->size = l->live = 1;
	l->at[0] = (struct stream){ .id = 1, .live = true, .request_ended = true, .x = x };
	x->f.stream = x->h2.stream = 1;
	x->h2.h2c_upgrade = true;
	x->h2.max_concurrent[CLIENT] = x->h2.max_concurrent[SERVER] = NO_MAXIMUM;
	x->h2.open_streams = 1;
	if (x->f.n_interim == 0)
		x->f.interim_at = x->f.response.first;
	if (x->f.n_interim < LIMIT_INTERIM)
		x->f.interim[x->f.n_interim++] = 101;
	x->f.response = (struct message){ .declared = UINT64_MAX, .framing = FRAMING_H2 };
	x->f.status = 0;
	x->f.reason = x->f.upgrade = (struct text){ 0, 0 };
	x->f.outcome = OUTCOME_IN_PROGRESS;
}

static void *http2_begin(struct conn *c, bool late)
{
	struct http2 *h = conn_alloc(c, sizeof *h);

	if (h == NULL)
		return NULL;
	*h = (struct http2){ .conn = c, .late = late, .windows_known = !late };
	side_init(h, CLIENT, late);
	side_init(h, SERVER, late);
	if (!late)
		adopt_upgrade(h);
	return h;
}

/* How many of the next bytes are of no interest. */
static uint64_t unwanted(struct reader *r)
{
	struct h2_side *side = r->side;
	struct stream *s;

	if (r->h->opaque || side->garbage)
		return WANT_NONE;
	if (side->state == H2_PADDING || (side->state == H2_CONTENT && side->ignored))
		return side->rest;
	if (side->state != H2_CONTENT || side->frame.type != FRAME_DATA)
		return 0;
	s = data_stream(r);
	return s != NULL && message_wants_content(s, r->from) ? 0 : side->rest;
}

static uint64_t http2_bytes(void *self, enum side from, const struct piece *p)
{
	struct http2 *h = self;
	struct h2_side *side = &h->side[from];
	struct reader r = { h, side, from, p, span_none(), p->skip_last.packet != 0 ? p->skip_last : p->at };

	if (h->opaque || side->garbage)
		return WANT_NONE;
	h->wrong_way = false;
	if (side->started && p->offset != side->at) {
		struct piece before = { .offset = p->offset, .wire_end = p->nested ? p->wire_end : p->offset, .nested = p->nested };
		uint64_t jump = p->offset - side->at;

		r.piece = &before;
		catch_up(&r, jump, p->missing + (jump > p->skipped ? jump - p->skipped : 0));
		r.piece = p;
	}
	r.rest = p->bytes;
	r.at = p->at;
	if (!h->opaque && !side->garbage)
		run(&r);
	side->started = true;
	side->at = p->offset + p->bytes.len;
	return h->wrong_way ? WANT_SWAP : unwanted(&r);
}

/* What is missing shows in the next piece's offset; before the first it must be noted. */
static void http2_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct http2 *h = self;
	struct piece none = { .bytes = span_none(), .at = at };
	struct reader r = { h, &h->side[from], from, &none, span_none(), at };

	(void)why;
	if (!r.side->started && r.side->state != H2_LOST)
		lose(&r, missing);
}

static void http2_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	struct http2 *h = self;
	struct h2_side *side = &h->side[from];
	struct piece last = { .bytes = span_none(), .offset = offset, .wire_end = offset, .at = at };
	struct reader r = { h, side, from, &last, span_none(), at };

	if (side->started && !side->ended && offset > side->at && !h->opaque && !side->garbage)
		catch_up(&r, offset - side->at, 0);
	side->at = offset;
	side->ended = true;
	if (how == END_CAPTURE || how == END_EVICTED)
		stream_settle_all(h, STREAM_UNFINISHED);
	else if (how != END_FIN || from == SERVER || h->side[SERVER].ended)
		stream_settle_all(h, STREAM_CONNECTION);
}

/* Of streams that nobody settled: the connection speaks another protocol now, or memory ran out. */
static void bodies_release(struct http2 *h, struct stream_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->at[i].live && l->at[i].body != NULL)
			conn_release(h->conn, l->at[i].body, l->at[i].body_size);
}

static void http2_free(void *self)
{
	struct http2 *h = self;
	struct conn *c = h->conn;

	for (unsigned i = 0; i < 2; i++) {
		struct h2_side *s = &h->side[i];

		hpack_clear(&s->hpack);
		if (s->fault != NULL)
			conn_release(c, s->fault, sizeof *s->fault);
		if (s->suspect != NULL)
			conn_release(c, s->suspect, sizeof *s->suspect);
		if (s->goaway != NULL)
			conn_release(c, s->goaway, sizeof *s->goaway);
		bodies_release(h, &h->list[i]);
		if (h->list[i].at != NULL)
			conn_release(c, h->list[i].at, h->list[i].size * sizeof *h->list[i].at);
	}
	conn_release(c, h, sizeof *h);
}

const struct protocol http2_protocol = {
	.name = "http2", .speaks = SPEAKS_HTTP2, .probe = http2_probe, .begin = http2_begin, .bytes = http2_bytes,
	.gap = http2_gap, .end = http2_end, .free = http2_free,
};
