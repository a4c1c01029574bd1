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
#include "coding.h"
#include "http2.h"

#include "../capture/limits.h"

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
	if (r->h->upgraded != NULL && !side->garbage)
		stream_adopt(r->h, r->at);
	return !side->garbage && going_on(r);
}

static bool step_prefix(struct reader *r)
{
	struct h2_side *side = r->side;
	uint32_t n = frame_prefix(&side->frame);
	struct span prefix = span_none();

	if (n != 0 && !take_whole(r, n, &prefix))
		return false;
	side->rest -= n;
	side->state = H2_CONTENT;
	if (side->frame.type != FRAME_SETTINGS || n != 0)
		frame_ops[side->frame.type].begin(r, prefix);
	if (side->frame.type == FRAME_SETTINGS && side->rest != 0)
		side->state = H2_PREFIX;        /* a list of entries, each a prefix */
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

static bool (*const steps[H2_STATES])(struct reader *r) = {
	[H2_PREFACE] = step_preface,    /* waits for "PRI * …". RFC 9113 3.4 */
	[H2_HEAD]    = step_head,
	[H2_PREFIX]  = step_prefix,
	[H2_CONTENT] = step_content,
	[H2_PADDING] = step_padding,
	[H2_LOST]    = resync_step,     /* waits for something that looks like a frame */
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
void reader_lose(struct reader *r, uint64_t bytes)
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
	reader_lose(r, jump);
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

/* The request of an h2c upgrade is stream 1, half-closed, and its response comes there (RFC 7540 3.2). */
static struct exchange *upgraded(struct conn *c)
{
	struct exchange *x = conn_exchanges(c), *found = NULL;

	for (; x != NULL; x = x->next)
		if (x->f.stream == 0 && x->f.outcome == OUTCOME_UPGRADED && x->f.status == 101)
			found = x;
	return found;
}

static void *http2_begin(struct conn *c, bool late)
{
	struct http2 *h = conn_alloc(c, sizeof *h);

	if (h == NULL)
		return NULL;
	*h = (struct http2){ .conn = c, .late = late, .windows_known = !late };
	side_init(h, CLIENT, late);
	side_init(h, SERVER, late);
	if (late)
		return h;
	h->upgraded = upgraded(c);
	if (h->upgraded != NULL)
		h->list[CLIENT].highest = h->list[CLIENT].first = 1;
	if (h->upgraded != NULL && h->upgraded->done)   /* its request had not ended: no stream can be told of */
		h->upgraded = NULL;
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
		reader_lose(&r, missing);
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
	for (uint32_t i = 0; i < l->n; i++) {
		if (!l->at[i].live)
			continue;
		if (l->at[i].body != NULL)
			conn_release(h->conn, l->at[i].body, l->at[i].body_size);
		unpacking_free(l->at[i].unpacking);
	}
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
