/* http1_stub.c - see http1_stub.h */
#include "http1_stub.h"

#include "../capture/limits.h"

#include <stdlib.h>

/* ---- exchange.h ---------------------------------------------------------------------------- */

static void unlink_exchange(struct conn *c, struct exchange *x)
{
	struct exchange **link = &c->first;

	while (*link != x)
		link = &(*link)->next;
	*link = x->next;
	c->open--;
}

/* Told: copied, so that the slot itself can be freed. */
static void tell(struct exchange *x)
{
	struct conn *c = x->conn;
	struct exchange *copy = malloc(sizeof *copy);

	unlink_exchange(c, x);
	*copy = *x;
	copy->text = malloc(x->text_len + 1);
	memcpy(copy->text, x->text != NULL ? x->text : (const uint8_t *)"", x->text_len);
	if (c->n_told < WIRE_TOLD) {
		c->told[c->n_told++] = copy;
	} else {
		free(copy->text);
		free(copy);
	}
	free(x->text);
	free(x);
}

struct exchange *exchange_open(struct conn *c, uint32_t stream, struct mark at)
{
	struct exchange *x, **link;

	(void)at;
	while (c->first != NULL && c->first->done)
		tell(c->first);
	if (c->open_max != 0 && c->open >= c->open_max)
		return NULL;
	c->open++;
	x = calloc(1, sizeof *x);
	x->conn = c;
	x->f.stream = stream;
	x->f.ordinal = c->joined_late ? 0 : ++c->opened;
	x->f.reused = x->f.ordinal > 1;
	for (link = &c->first; *link != NULL; link = &(*link)->next)
		;
	*link = x;
	return x;
}

void exchange_text(struct exchange *x, struct text *t, struct span s, size_t limit)
{
	x->f.limited = x->f.limited || s.len > limit;
	s = span_first(s, limit);
	*t = (struct text){ x->text_len, (uint32_t)s.len };
	if (s.len == 0)
		return;
	x->text = realloc(x->text, x->text_len + s.len);
	memcpy(x->text + x->text_len, s.at, s.len);
	x->text_len += (uint32_t)s.len;
}

bool exchange_text_more(struct exchange *x, struct text *t, struct span s, size_t limit)
{
	s = span_first(s, limit - t->len);
	if (t->at + t->len != x->text_len || s.len == 0)
		return false;
	x->text = realloc(x->text, x->text_len + s.len);
	memcpy(x->text + x->text_len, s.at, s.len);
	x->text_len += (uint32_t)s.len;
	t->len += (uint32_t)s.len;
	return t->len < limit;
}

struct span exchange_span(const struct exchange *x, struct text t)
{
	return t.len != 0 ? span_of(x->text + t.at, t.len) : span_none();
}

void exchange_request_sent(struct exchange *x, uint64_t wire_offset)
{
	x->request_end = wire_offset;
	x->request_sent = true;
}

void exchange_done(struct exchange *x)
{
	x->done = true;
	if (x->conn->free_at_once)
		tell(x);
}

void exchange_tell(struct exchange *x)
{
	(void)x;
}

void exchange_settle(struct exchange *x)
{
	tell(x);
}

void exchange_broken(struct message *m, enum violation v, struct mark at, uint64_t offset, struct span excerpt)
{
	m->violations |= violation_bit(v);
	if (m->n_broken == 4)
		return;
	excerpt = span_first(excerpt, 63);
	m->broken[m->n_broken] = (struct broken){ .rule = (uint8_t)v, .at = at, .offset = offset };
	m->broken[m->n_broken].excerpt.len = (uint8_t)excerpt.len;
	memcpy(m->broken[m->n_broken++].excerpt.bytes, excerpt.at, excerpt.len);
}

struct exchange *conn_exchanges(struct conn *c)
{
	return c->first;
}

bool conn_listing(const struct conn *c)
{
	return c->listing;
}

bool conn_checks_coding(const struct conn *c)
{
	return c->checks_coding;
}

bool conn_charge(struct conn *c, size_t bytes)
{
	c->allocated += bytes;
	return true;
}

void conn_uncharge(struct conn *c, size_t bytes)
{
	c->allocated -= bytes;
}

void conn_switch(struct conn *c, const struct protocol *next, enum side from, const struct piece *p, size_t used)
{
	(void)p;
	c->switched_to = next;
	c->switched = true;
	c->switched_from_server = from == SERVER;
	c->switch_used = used;
}

const struct protocol *conn_switch_taken(struct conn *c, size_t *used)
{
	const struct protocol *next = c->switched_to;

	*used = c->switch_used;
	c->switched_to = NULL;
	return next;
}

struct conn_facts *conn_note(struct conn *c)
{
	return &c->note;
}

struct tls_facts *conn_tls(struct conn *c)
{
	(void)c;
	return NULL;
}

struct secrets *conn_secrets(struct conn *c)
{
	(void)c;
	return NULL;
}

void *conn_inner(struct conn *c, const struct protocol *p, bool late)
{
	return p->begin(c, late);
}

void conn_limit(struct conn *c, const char *name)
{
	if (c->n_limits < WIRE_LIMITS)
		c->limits[c->n_limits++] = name;
}

void conn_passed_limit(struct conn *c, const char *name)
{
	c->passed = name;
}

void conn_said_close(struct conn *c)
{
	c->said_close = true;
}

void *conn_alloc(struct conn *c, size_t size)
{
	if (++c->allocations == c->fail_at)
		return NULL;
	c->allocated += size;
	return calloc(1, size);
}

void *conn_grow(struct conn *c, void *p, size_t old_size, size_t new_size)
{
	if (++c->allocations == c->fail_at)
		return NULL;
	c->allocated += new_size - old_size;
	return realloc(p, new_size);
}

void conn_release(struct conn *c, void *p, size_t size)
{
	c->allocated -= size;
	free(p);
}

const struct protocol http2_protocol = { .name = "http2" }, connect_protocol = { .name = "connect" };

/* ---- the wire ------------------------------------------------------------------------------ */

struct wire *wire_new(bool late)
{
	struct wire *w = calloc(1, sizeof *w);

	w->protocol = &http1_protocol;
	w->c.joined_late = late;
	return w;
}

static struct mark wire_mark(const struct wire *w)
{
	return (struct mark){ w->packet, (int64_t)w->packet * 1000 };
}

static bool wire_begin(struct wire *w)
{
	if (w->self == NULL)
		w->self = w->protocol->begin(&w->c, w->c.joined_late);
	return w->self != NULL;
}

/* As the stream does: what is unwanted is passed over, and told with the rest of the packet in which it ends. */
static void wire_packet(struct wire *w, enum side from, struct span bytes)
{
	uint64_t skip = 0, want;
	size_t n;
	struct piece p;

	w->packet++;
	if (w->side[from].skip_until > w->side[from].offset)
		skip = w->side[from].skip_until - w->side[from].offset;
	n = skip < bytes.len ? (size_t)skip : bytes.len;
	w->side[from].skipped += n;
	w->side[from].skip_last = wire_mark(w);
	w->side[from].offset += n;
	if (n < skip || w->c.switched || !wire_begin(w))
		return;
	bytes = span_from(bytes, n);
	p = (struct piece){ .bytes = bytes, .offset = w->side[from].offset, .at = wire_mark(w), .skipped = w->side[from].skipped,
	                    .missing = w->side[from].missing, .skip_last = w->side[from].skip_last };
	p.wire_end = p.offset + bytes.len;
	w->side[from].skipped = w->side[from].missing = 0;
	w->side[from].offset += bytes.len;
	w->given[from] += bytes.len;
	want = w->protocol->bytes(w->self, from, &p);
	w->side[from].skip_until = want > UINT64_MAX - p.wire_end ? UINT64_MAX : p.wire_end + want;
}

void wire_send(struct wire *w, enum side from, struct span bytes)
{
	size_t first = w->split != 0 && w->split < bytes.len ? w->split : 0;

	/* A copy of just its size, so that a read beyond its end is seen. */
	for (size_t n; bytes.len != 0; bytes = span_from(bytes, n)) {
		uint8_t *copy;

		n = first != 0 ? first : w->cut != 0 && w->cut < bytes.len ? w->cut : bytes.len;
		first = 0;
		copy = malloc(n);
		memcpy(copy, bytes.at, n);
		wire_packet(w, from, span_of(copy, n));
		free(copy);
	}
}

void wire_gap(struct wire *w, enum side from, uint64_t missing, enum why why)
{
	uint64_t skip = 0;

	w->packet++;
	if (w->side[from].skip_until > w->side[from].offset)
		skip = w->side[from].skip_until - w->side[from].offset;
	skip = skip < missing ? skip : missing;
	w->side[from].skipped += skip;
	w->side[from].missing += skip;
	w->side[from].offset += missing;
	if (missing > skip && wire_begin(w))
		w->protocol->gap(w->self, from, missing - skip, why, wire_mark(w));
}

void wire_end(struct wire *w, enum side from, enum ending how)
{
	w->packet++;
	if (!wire_begin(w))
		return;
	w->protocol->end(w->self, from, how, w->side[from].offset, wire_mark(w));
	if (how == END_FIN)
		return;
	how = how == END_RST ? END_PEER_RST : how;
	w->protocol->end(w->self, side_other(from), how, w->side[side_other(from)].offset, wire_mark(w));
}

struct exchange *wire_told(struct wire *w, unsigned i)
{
	struct exchange *x = w->c.first;

	if (i < w->c.n_told)
		return w->c.told[i];
	for (i -= w->c.n_told; x != NULL && i != 0; i--)
		x = x->next;
	return x != NULL ? x : &w->none;
}

struct span wire_text(struct wire *w, unsigned i, struct text t)
{
	return exchange_span(wire_told(w, i), t);
}

void wire_free(struct wire *w)
{
	if (w->self != NULL)
		w->protocol->free(w->self);
	while (w->c.first != NULL)
		tell(w->c.first);
	for (unsigned i = 0; i < w->c.n_told; i++) {
		free(w->c.told[i]->text);
		free(w->c.told[i]);
	}
	free(w);
}

void wire_finish(struct wire *w)
{
	for (const struct exchange *x = w->c.first; x != NULL; x = x->next)
		if (!x->done && w->self != NULL)
			abort();
	if (w->self != NULL)
		w->protocol->free(w->self);
	w->self = NULL;
	if (w->c.allocated != 0)
		abort();
	wire_free(w);
}
