/* tls_inner.c - plaintext handed on to the protocol inside
 *
 * Which one ALPN says, else the first bytes do. It is told packets and TCP offsets as if it were outside; what it does not
 * want is dropped here.
 */
#include "tls.h"

#include "foreign.h"

/* ---- which one ----------------------------------------------------------------------------- */

static const struct protocol *by_alpn(const struct tls *t)
{
	const char *name = t->facts->alpn_chosen;

	if (strcmp(name, "h2") == 0)
		return &http2_protocol;
	return strncmp(name, "http/", 5) == 0 ? &http1_protocol : NULL;
}

static const struct protocol *by_bytes(unsigned speaks)
{
	return speaks == SPEAKS_HTTP1 ? &http1_protocol : speaks == SPEAKS_HTTP2 ? &http2_protocol : NULL;
}

static struct span early_of(const struct tls_side *s)
{
	return span_of(s->early, s->n_early);
}

static void note_speaks(struct tls *t, const struct tls_side *s, struct span first)
{
	if (t->facts->inner[s->from] == SPEAKS_NOTHING && first.len != 0)
		t->facts->inner[s->from] = (uint8_t)foreign_probe((enum side)s->from, first, early_of(tls_other(t, s)));
}

/* ---- handing on ---------------------------------------------------------------------------- */

static void inner_forget(struct tls *t)
{
	if (t->inner_self != NULL)
		t->inner->free(t->inner_self);
	t->inner_self = NULL;
}

static bool inner_begin(struct tls *t, const struct protocol *p)
{
	t->inner = p;
	t->inner_self = conn_inner(t->c, p, false);
	t->inner_over = t->inner_self == NULL;
	return !t->inner_over;
}

static uint64_t inner_call(struct tls *t, struct tls_side *s, const struct piece *p)
{
	uint64_t want = t->inner->bytes(t->inner_self, (enum side)s->from, p);
	size_t used;
	const struct protocol *next = conn_switch_taken(t->c, &used);
	struct piece rest = *p;

	if (next == NULL)
		return want;
	inner_forget(t);
	if (!inner_begin(t, next))
		return WANT_NONE;
	rest.bytes = span_from(p->bytes, used);
	rest.offset += used < p->bytes.len ? used : p->bytes.len;
	rest.skipped = rest.missing = 0;
	return rest.bytes.len != 0 ? t->inner->bytes(t->inner_self, (enum side)s->from, &rest) : 0;
}

/* `plain` begins at s->plain_offset. */
static void give(struct tls *t, struct tls_side *s, struct span plain, struct mark at, uint64_t wire_end)
{
	struct piece p = { .nested = true, .wire_end = wire_end, .at = at };
	uint64_t want;

	if (t->inner_over || s->inner_skip == UINT64_MAX) {
		s->plain_offset += plain.len;
		return;
	}
	if (s->inner_skip != 0) {
		uint64_t n = s->inner_skip < plain.len ? s->inner_skip : plain.len;

		tls_inner_pass(t, s, n, 0, at);
		plain = span_from(plain, (size_t)n);
		if (s->inner_skip != 0)
			return;
	} else if (plain.len == 0) {
		return;
	}
	p.bytes = plain;
	p.offset = s->plain_offset;
	p.skipped = s->inner_skipped;
	p.missing = s->inner_missing;
	p.skip_last = s->inner_skip_last;
	s->inner_skipped = s->inner_missing = 0;
	s->plain_offset += plain.len;
	want = inner_call(t, s, &p);
	s->inner_skip = want >= WANT_SWAP ? UINT64_MAX : want;
}

void tls_inner_pass(struct tls *t, struct tls_side *s, uint64_t n, uint64_t missing, struct mark at)
{
	(void)t;
	s->plain_offset += n;
	s->inner_skipped += n;
	s->inner_missing += missing < n ? missing : n;
	s->inner_skip_last = at;
	if (s->inner_skip != UINT64_MAX)
		s->inner_skip -= n < s->inner_skip ? n : s->inner_skip;
}

/* A skip that ended with a record: the protocol learns the packet of its last byte. */
static void give_skip_end(struct tls *t, struct tls_side *s, struct mark at, uint64_t wire_end)
{
	struct piece p = { .bytes = span_none(), .offset = s->plain_offset, .wire_end = wire_end, .nested = true, .at = at,
	                   .skipped = s->inner_skipped, .missing = s->inner_missing, .skip_last = s->inner_skip_last };
	uint64_t want;

	if (t->inner_over || t->inner_self == NULL || s->inner_skip != 0 || s->inner_skipped == 0)
		return;
	s->inner_skipped = s->inner_missing = 0;
	want = inner_call(t, s, &p);
	s->inner_skip = want >= WANT_SWAP ? UINT64_MAX : want;
}

void tls_inner_passed(struct tls *t, struct tls_side *s, struct mark at, uint64_t wire_end)
{
	give_skip_end(t, s, at, wire_end);
}

/* ---- the first bytes ----------------------------------------------------------------------- */

static void keep_early(struct tls_side *s, struct span plain, struct mark at)
{
	plain = span_first(plain, sizeof s->early - s->n_early);
	if (s->n_early == 0)
		s->early_at = at;
	memcpy(s->early + s->n_early, plain.at, plain.len);
	s->n_early = (uint8_t)(s->n_early + plain.len);
}

static void give_early(struct tls *t, struct tls_side *s, uint64_t wire_end)
{
	uint8_t copy[TLS_EARLY_INNER];
	uint8_t n = s->n_early;

	memcpy(copy, s->early, n);
	s->n_early = 0;
	give(t, s, span_of(copy, n), s->early_at, wire_end);
}

/* Nothing is begun until the client's first bytes say what; a server that speaks first waits. */
static void probe(struct tls *t, struct tls_side *s, struct span plain, struct mark at, uint64_t wire_end)
{
	const struct protocol *p = by_alpn(t);
	struct tls_side *other = tls_other(t, s);
	struct span first = plain;
	uint8_t held = s->n_early;
	unsigned speaks;

	if (held != 0 || p == NULL) {
		keep_early(s, plain, at);
		first = held != 0 ? early_of(s) : plain;
	}
	speaks = foreign_probe((enum side)s->from, first, early_of(other));
	if (p == NULL)
		p = by_bytes(speaks);
	if (p == NULL) {
		if (s->from == CLIENT && (first.len >= sizeof s->early || speaks >= SPEAKS_FOREIGN_FIRST)) {
			note_speaks(t, s, first);
			t->inner_over = true;
		}
		return;
	}
	note_speaks(t, s, first);
	if (!inner_begin(t, p))
		return;
	if (other->n_early != 0)
		give_early(t, other, other->good_end);
	if (held != 0) {
		size_t kept = (size_t)s->n_early - held;

		give_early(t, s, wire_end);
		plain = span_from(plain, kept);
	}
	s->n_early = 0;
	give(t, s, plain, at, wire_end);
}

void tls_inner_bytes(struct tls *t, struct tls_side *s, struct span plain, struct mark at, uint64_t wire_end)
{
	if (t->inner_over)
		return;
	if (t->inner_self == NULL) {
		if (plain.len != 0)
			probe(t, s, plain, at, wire_end);
		return;
	}
	note_speaks(t, s, plain);
	give(t, s, plain, at, wire_end);
}

/* ---- holes and ends ------------------------------------------------------------------------ */

void tls_inner_gap(struct tls *t, struct tls_side *s, uint64_t missing, enum why why, struct mark at)
{
	uint64_t skip = missing < s->inner_skip ? missing : s->inner_skip;

	if (t->inner_over || missing == 0)
		return;
	if (t->inner_self == NULL) {            /* its first bytes are lost */
		t->inner_over = true;
		return;
	}
	if (skip != 0)
		tls_inner_pass(t, s, skip, skip, at);
	if (skip == missing || s->inner_skip == UINT64_MAX) {
		give_skip_end(t, s, at, s->good_end);
		return;
	}
	give_skip_end(t, s, at, s->good_end);
	if (t->inner_over || t->inner_self == NULL)
		return;
	s->plain_offset += missing - skip;
	t->inner->gap(t->inner_self, (enum side)s->from, missing - skip, why, at);
}

void tls_inner_end(struct tls *t, struct tls_side *s, enum ending how, struct mark at)
{
	if (t->inner_over || t->inner_self == NULL)
		return;
	t->inner->end(t->inner_self, (enum side)s->from, how, s->plain_offset, at);
}

void tls_inner_stop(struct tls *t, struct mark at)
{
	tls_inner_end(t, &t->side[CLIENT], END_EVICTED, at);
	tls_inner_end(t, &t->side[SERVER], END_EVICTED, at);
	inner_forget(t);
	t->inner_over = true;
}

bool tls_inner_idle(const struct tls *t)
{
	return t->inner_self == NULL || (t->inner->idle != NULL && t->inner->idle(t->inner_self));
}

void tls_inner_free(struct tls *t)
{
	inner_forget(t);
}
