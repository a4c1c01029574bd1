/* http2_resync.c - where do frames begin again?
 *
 * After a hole, or joined late, a side's bytes are looked through for something that looks like a frame, and is followed by
 * such. The first frames found are doubted: one that does not fit, and the search goes on.
 */
#include "http2.h"

enum { SURE_AFTER = 4, STREAMS_AHEAD = 2000 };

/* Numbers far above those in use are no streams, but bytes of something else. */
static bool stream_near(const struct reader *r, const struct frame *f)
{
	uint32_t highest = r->h->list[stream_opener(f->stream)].highest;

	return f->stream == 0 || highest == 0 || f->stream <= highest + STREAMS_AHEAD;
}

bool resync_head_fits(const struct reader *r, struct span head)
{
	struct frame f;

	if (!frame_plausible(head, r->from))
		return false;
	f = frame_of(head);
	return stream_near(r, &f);
}

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

	if (!resync_head_fits(r, s))
		return false;
	n = frame_chain(s, r->from, &exact);
	return n >= (piece_start ? 1 : 2) || (n == 1 && (exact || stream_is_open(r, s)));
}

static bool found(struct reader *r)
{
	r->side->state = H2_HEAD;
	r->side->doubt = SURE_AFTER;
	r->side->spoke = true;
	conn_note(r->h->conn)->speaks[r->from] = SPEAKS_HTTP2;
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
	uint8_t head[FRAME_HEAD] = { 0 };
	size_t n = FRAME_HEAD - side->n_held;
	struct span whole = span_of(head, sizeof head), next;

	memcpy(head, side->held, side->n_held);
	memcpy(head + side->n_held, r->rest.at, n);
	next = span_from(r->rest, n + frame_of(whole).length);
	return resync_head_fits(r, whole) && (next.len < FRAME_HEAD || frame_plausible(next, r->from));
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

bool resync_step(struct reader *r)
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
