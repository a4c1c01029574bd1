/* connect.c - what goes through a tunnel that CONNECT opened (RFC 9110 9.3.6)
 *
 * Anything may; what begins with HTTP/2's preface is followed, since a proxy that tunnels h2 without TLS is
 * one of the places where gRPC dies. The server may speak first (its SETTINGS, RFC 9113 3.4): what it says is
 * held until the client's first bytes tell.
 */
#include "exchange.h"
#include "http2_frame.h"

enum { HELD_BYTES = 512 };              /* SETTINGS and WINDOW_UPDATE take less */

struct connect_side { struct mark at; uint64_t offset; uint16_t n; uint8_t bytes[HELD_BYTES]; };

struct connect {
	struct conn *c;
	void *inner;                    /* HTTP/2; NULL: not yet, or never */
	bool  other;                    /* it is something else */
	struct connect_side held[2];
};

static void *connect_begin(struct conn *c, bool late)
{
	struct connect *t = conn_alloc(c, sizeof *t);

	if (t == NULL)
		return NULL;
	*t = (struct connect){ .c = c, .other = late };
	return t;
}

/* Takes the first bytes of a piece, as many as there is room for below `limit`; returns how many. */
static size_t hold(struct connect_side *s, const struct piece *p, size_t limit)
{
	struct span part = span_first(p->bytes, limit - s->n);

	if (s->n == 0) {
		s->at = p->at;
		s->offset = p->offset;
	}
	memcpy(s->bytes + s->n, part.at, part.len);
	s->n = (uint16_t)(s->n + part.len);
	return part.len;
}

static uint64_t inner_bytes(struct connect *t, enum side from, const struct piece *p)
{
	uint64_t want = http2_protocol.bytes(t->inner, from, p);

	return want == WANT_SWAP ? WANT_NONE : want;
}

/* All of it in the packet that it began in. */
static void give_held(struct connect *t, enum side from, const struct piece *like)
{
	const struct connect_side *s = &t->held[from];
	struct piece p = { .bytes = span_of(s->bytes, s->n), .offset = s->offset, .nested = like->nested, .at = s->at };

	p.wire_end = like->nested ? like->wire_end : s->offset + s->n;
	if (s->n != 0)
		(void)inner_bytes(t, from, &p);
}

/* The preface is whole: HTTP/2 gets what both sides have said, and the rest of the piece. */
static uint64_t begin_inner(struct connect *t, const struct piece *p, size_t used)
{
	struct piece rest = *p;

	t->inner = conn_inner(t->c, &http2_protocol, false);
	t->other = t->inner == NULL;
	if (t->other)
		return WANT_NONE;
	give_held(t, SERVER, p);
	give_held(t, CLIENT, p);
	rest.bytes = span_from(p->bytes, used);
	rest.offset += used;
	return inner_bytes(t, CLIENT, &rest);
}

static uint64_t connect_bytes(void *self, enum side from, const struct piece *p)
{
	struct connect *t = self;
	struct connect_side *s = &t->held[from];
	size_t used;

	if (t->inner != NULL)
		return inner_bytes(t, from, p);
	if (t->other)
		return WANT_NONE;
	used = hold(s, p, from == CLIENT ? PREFACE_LENGTH : HELD_BYTES);
	t->other = from == CLIENT ? memcmp(s->bytes, http2_preface, s->n) != 0 : used < p->bytes.len;
	if (t->other)
		return WANT_NONE;
	return from == CLIENT && s->n == PREFACE_LENGTH ? begin_inner(t, p, used) : 0;
}

static void connect_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct connect *t = self;

	if (t->inner != NULL)
		http2_protocol.gap(t->inner, from, missing, why, at);
	else
		t->other = true;
}

static void connect_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	struct connect *t = self;

	if (t->inner != NULL)
		http2_protocol.end(t->inner, from, how, offset, at);
}

static void connect_free(void *self)
{
	struct connect *t = self;

	if (t->inner != NULL)
		http2_protocol.free(t->inner);
	conn_release(t->c, t, sizeof *t);
}

const struct protocol connect_protocol = {
	.name = "connect", .speaks = SPEAKS_HTTP1, .begin = connect_begin, .bytes = connect_bytes, .gap = connect_gap,
	.end = connect_end, .free = connect_free,
};
