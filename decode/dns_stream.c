/* dns_stream.c - DNS over TCP: messages with their length in two bytes before each (RFC 1035 4.2.2, RFC 7766) */
#include "control.h"
#include "exchange.h"
#include "link.h"

enum { PREFIX = 2, DNS_PORT = 53, HEADER = 12, PROBE_BYTES = 8,
       HELD_BYTES = 4096 };             /* of a message: the question and the addresses come first; the rest is passed over */

struct dns_side {
	uint8_t *bytes; size_t size;    /* prefix and message so far; NULL between messages */
	size_t n;
	uint32_t rest;                  /* of the message, beyond HELD_BYTES: not wanted */
	bool lost;                      /* a hole: where messages begin is not known any more */
};

struct dns_stream { struct conn *c; struct dns_side side[2]; };

int dns_stream_probe(uint16_t port, struct span first)
{
	if (port != DNS_PORT)
		return 0;
	if (first.len < PROBE_BYTES)
		return PROBE_MORE;
	/* Opcode QUERY and one question, as control_dns() wants them. */
	return span_u16(first, 0) >= HEADER && (span_u16(first, 4) & 0x7800) == 0 && span_u16(first, 6) == 1 ? 100 : 0;
}

static void *dns_begin(struct conn *c, bool late)
{
	struct dns_stream *d = conn_alloc(c, sizeof *d);

	(void)late;                     /* joined late, a segment still begins with a message, or the probe fails */
	if (d != NULL)
		*d = (struct dns_stream){ .c = c };
	return d;
}

static void forget(struct dns_stream *d, struct dns_side *s)
{
	if (s->bytes != NULL)
		conn_release(d->c, s->bytes, s->size);
	s->bytes = NULL;
	s->n = s->size = 0;
}

static void tell(struct dns_stream *d, struct dns_side *s)
{
	struct dns_fact f = { .n_addresses = 0 };
	char name[DNS_NAME_MAX + 1];
	size_t len;

	if (control_dns(span_of(s->bytes + PREFIX, s->n - PREFIX), &f, name, &len))
		conn_tell_dns(d->c, &f, span_of(name, len));
	forget(d, s);
}

/* Room for `n` bytes more; grows as they come. */
static bool room(struct dns_stream *d, struct dns_side *s, size_t n)
{
	size_t size = s->size != 0 ? s->size : 128;
	uint8_t *bigger;

	while (size < s->n + n)
		size *= 2;
	if (size == s->size)
		return true;
	bigger = s->bytes != NULL ? conn_grow(d->c, s->bytes, s->size, size) : conn_alloc(d->c, size);
	if (bigger == NULL)
		return false;
	s->bytes = bigger;
	s->size = size;
	return true;
}

static bool take(struct dns_stream *d, struct dns_side *s, struct cursor *c, size_t upto)
{
	size_t want = upto - s->n;
	struct span part = span_first(c->rest, want);

	if (!room(d, s, part.len)) {
		s->lost = true;
		return false;
	}
	memcpy(s->bytes + s->n, part.at, part.len);
	s->n += part.len;
	cur_skip(c, part.len);
	return part.len == want;
}

static uint64_t dns_bytes(void *self, enum side from, const struct piece *p)
{
	struct dns_stream *d = self;
	struct dns_side *s = &d->side[from];
	struct cursor c = cursor_of(p->bytes);

	if (p->skipped != 0 && s->rest != 0) {
		s->rest -= p->skipped < s->rest ? (uint32_t)p->skipped : s->rest;
		if (s->rest == 0)
			tell(d, s);
	}
	while (!s->lost && s->rest == 0 && c.rest.len != 0) {
		uint32_t whole;

		if (s->n < PREFIX && !take(d, s, &c, PREFIX))
			break;
		whole = PREFIX + (uint32_t)span_u16(span_of(s->bytes, PREFIX), 0);
		if (!take(d, s, &c, whole < HELD_BYTES ? whole : HELD_BYTES))
			break;
		s->rest = whole - (uint32_t)s->n;
		if (s->rest != 0) {
			uint32_t here = c.rest.len < s->rest ? (uint32_t)c.rest.len : s->rest;

			cur_skip(&c, here);
			s->rest -= here;
		}
		if (s->rest == 0)
			tell(d, s);
	}
	return s->lost ? WANT_NONE : s->rest;
}

static void dns_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct dns_stream *d = self;

	(void)missing, (void)why, (void)at;
	forget(d, &d->side[from]);
	d->side[from].rest = 0;
	d->side[from].lost = true;
}

static void dns_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	(void)self, (void)from, (void)how, (void)offset, (void)at;
}

static void dns_free(void *self)
{
	struct dns_stream *d = self;

	forget(d, &d->side[CLIENT]);
	forget(d, &d->side[SERVER]);
	conn_release(d->c, d, sizeof *d);
}

const struct protocol dns_protocol = {
	.name = "dns", .speaks = SPEAKS_UNKNOWN, .begin = dns_begin, .bytes = dns_bytes, .gap = dns_gap, .end = dns_end, .free = dns_free,
};
