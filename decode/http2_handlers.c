/* http2_handlers.c - what each frame means
 *
 * A frame is taken in three parts: `begin` gets a prefix in one piece, `content` the rest as it comes (of DATA, not at all
 * where it is skipped), `end` nothing.
 */
#include "http2.h"

#include "../capture/limits.h"

enum { GOAWAY_PREFIX = 8 + 63 };

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

struct stream *data_stream(struct reader *r)
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
	else
		stream_reset_late(r, cur_u32(&c));
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

const struct frame_ops frame_ops[FRAME_TYPES] = {
	[FRAME_DATA]          = { data_begin, data_content, data_end },
	[FRAME_HEADERS]       = { headers_begin, fragment_content, fragment_end },
	[FRAME_RST_STREAM]    = { reset_begin, NULL, NULL },
	[FRAME_SETTINGS]      = { setting, NULL, NULL },
	[FRAME_PUSH_PROMISE]  = { promise_begin, fragment_content, fragment_end },
	[FRAME_GOAWAY]        = { goaway_begin, NULL, NULL },
	[FRAME_WINDOW_UPDATE] = { update_begin, NULL, NULL },
	[FRAME_CONTINUATION]  = { continuation_begin, fragment_content, fragment_end },
};

uint32_t frame_prefix(const struct frame *f)
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

void block_abort(struct h2_side *side)
{
	side->block = (struct block){ .kind = BLOCK_NONE };
	hpack_lost(&side->hpack);
}

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

void frame_begin(struct reader *r, struct span head)
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
		if (rule != VIOLATION_COUNT || !resync_head_fits(r, head)) {
			reader_lose(r, FRAME_HEAD);
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
	if (!side->ignored && frame_prefix(&side->frame) > side->frame.length) {
		http2_fault(r, NULL, VIOLATION_H2_FRAME_SIZE, head);
		side->ignored = true;
	}
	side->state = side->ignored ? H2_CONTENT : H2_PREFIX;
}
