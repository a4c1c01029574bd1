/* http2_stub.c - see http2_stub.h */
#include "http2_stub.h"

#include "../capture/limits.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- exchange.h ---------------------------------------------------------------------------- */

static void tell(struct exchange *x)
{
	struct conn *c = x->conn;
	struct exchange **link = &c->first, *copy;

	while (*link != x)
		link = &(*link)->next;
	*link = x->next;
	c->open--;
	c->n_told_all++;
	if (c->n_told < H2_TOLD) {
		copy = malloc(sizeof *copy);
		*copy = *x;
		copy->text = malloc(x->text_len + 1);
		memcpy(copy->text, x->text != NULL ? x->text : (const uint8_t *)"", x->text_len);
		c->told[c->n_told++] = copy;
	}
	free(x->text);
	free(x);
}

struct exchange *exchange_open(struct conn *c, uint32_t stream, struct mark at)
{
	struct exchange *x;

	(void)at;
	if (c->open_max != 0 && c->open >= c->open_max)
		return NULL;
	c->open++;
	x = calloc(1, sizeof *x);
	x->conn = c;
	x->f.stream = stream;
	x->f.ordinal = ++c->opened;
	x->f.grpc_status = -1;
	x->f.request.declared = x->f.response.declared = UINT64_MAX;
	x->next = c->first;
	c->first = x;
	return x;
}

void exchange_text(struct exchange *x, struct text *t, struct span s, size_t limit)
{
	s = span_first(s, limit);
	*t = (struct text){ s.len != 0 ? x->text_len : 0, (uint32_t)s.len };
	if (s.len == 0)
		return;
	x->text = realloc(x->text, x->text_len + s.len);
	memcpy(x->text + x->text_len, s.at, s.len);
	x->text_len += (uint32_t)s.len;
}

bool exchange_text_more(struct exchange *x, struct text *t, struct span s, size_t limit)
{
	if (t->len != 0 && t->at + t->len != x->text_len) {
		uint32_t at = x->text_len;

		x->text = realloc(x->text, x->text_len + t->len);
		memcpy(x->text + at, x->text + t->at, t->len);
		x->text_len += t->len;
		t->at = at;
	}
	s = span_first(s, limit - t->len);
	if (s.len == 0)
		return t->len < limit;
	if (t->len == 0)
		t->at = x->text_len;
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

struct exchange *conn_exchanges(struct conn *c) { return c->first; }
bool conn_listing(const struct conn *c) { return c->listing; }
bool conn_checks_coding(const struct conn *c) { return c->checks_coding; }
void conn_uncharge(struct conn *c, size_t bytes) { c->allocated -= bytes; }

bool conn_charge(struct conn *c, size_t bytes)
{
	c->allocated += bytes;
	return true;
}

struct conn_facts *conn_note(struct conn *c) { return &c->note; }
void conn_said_close(struct conn *c) { c->said_close = true; }

struct exchange *exchange_of_ended_stream(struct conn *c, uint32_t stream) { (void)c; (void)stream; return NULL; }
void conn_passed_limit(struct conn *c, const char *name) { (void)c; (void)name; }
void conn_limit(struct conn *c, const char *name)
{
	if (c->n_limits < H2_LIMITS)
		c->limits[c->n_limits++] = name;
}

void *conn_alloc(struct conn *c, size_t size)
{
	if (++c->allocations == c->fail_at)
		return NULL;
	c->allocated += size;
	if (c->allocated > c->allocated_most)
		c->allocated_most = c->allocated;
	return calloc(1, size);
}

void *conn_grow(struct conn *c, void *p, size_t old_size, size_t new_size)
{
	void *larger = conn_alloc(c, new_size);

	if (larger == NULL)
		return NULL;
	if (p != NULL)
		memcpy(larger, p, old_size);
	conn_release(c, p, old_size);
	return larger;
}

void conn_release(struct conn *c, void *p, size_t size)
{
	c->allocated -= size;
	free(p);
}

/* ---- the wire ------------------------------------------------------------------------------ */

struct h2_wire *h2_new(bool late)
{
	struct h2_wire *w = calloc(1, sizeof *w);

	for (unsigned i = 0; i < 2; i++)
		nghttp2_hd_deflate_new(&w->deflater[i], 4096);
	w->self = http2_protocol.begin(&w->c, late);
	return w;
}

static struct mark now(const struct h2_wire *w)
{
	return (struct mark){ w->packet, (int64_t)w->packet * 1000 };
}

/* As the stream does: what is unwanted is passed over, and told with the rest of the packet in which it ends. */
static void packet(struct h2_wire *w, enum side from, struct span bytes)
{
	uint64_t skip = 0, want;
	enum side told_from;
	size_t n;
	struct piece p;

	w->packet++;
	if (w->side[from].skip_until > w->side[from].offset)
		skip = w->side[from].skip_until - w->side[from].offset;
	n = skip < bytes.len ? (size_t)skip : bytes.len;
	if (n != 0) {
		w->side[from].skipped += n;
		w->side[from].skip_last = now(w);
		w->side[from].offset += n;
	}
	if (n < skip)
		return;
	bytes = span_from(bytes, n);
	p = (struct piece){ .bytes = bytes, .offset = w->side[from].offset, .at = now(w), .skipped = w->side[from].skipped,
	                    .missing = w->side[from].missing, .skip_last = w->side[from].skip_last };
	p.wire_end = p.offset + bytes.len;
	w->side[from].skipped = w->side[from].missing = 0;
	w->side[from].skip_last = (struct mark){ 0, 0 };
	w->side[from].offset += bytes.len;
	w->given[from] += bytes.len;
	if (w->self == NULL)
		return;
	told_from = w->swapped ? side_other(from) : from;
	want = http2_protocol.bytes(w->self, told_from, &p);
	if (want == WANT_SWAP && !w->swapped) {         /* as the stream does: the other way round from here on */
		w->swapped = true;
		http2_protocol.free(w->self);
		w->self = http2_protocol.begin(&w->c, true);
		want = http2_protocol.bytes(w->self, side_other(told_from), &p);
	}
	w->side[from].skip_until = want > UINT64_MAX - p.wire_end ? UINT64_MAX : p.wire_end + want;
}

static void send_cut(struct h2_wire *w, enum side from, struct span bytes)
{
	size_t first = w->split != 0 && w->split < bytes.len ? w->split : 0;

	/* A copy of just its size, so that a read beyond its end is seen. */
	for (size_t n; bytes.len != 0; bytes = span_from(bytes, n)) {
		uint8_t *copy;

		n = first != 0 ? first : w->cut != 0 && w->cut < bytes.len ? w->cut : bytes.len;
		first = 0;
		copy = malloc(n);
		memcpy(copy, bytes.at, n);
		packet(w, from, span_of(copy, n));
		free(copy);
	}
}

void h2_flush(struct h2_wire *w)
{
	uint8_t *out = w->out;
	size_t n = w->n_out;

	w->out = NULL;
	w->n_out = 0;
	if (n != 0)
		send_cut(w, w->writing, span_of(out, n));
	free(out);
}

void h2_unseen(struct h2_wire *w)
{
	size_t n = w->n_out;

	free(w->out);
	w->out = NULL;
	w->n_out = 0;
	h2_gap(w, w->writing, n);
}

void h2_gap(struct h2_wire *w, enum side from, uint64_t missing)
{
	uint64_t skip = 0;

	h2_flush(w);
	w->packet++;
	if (w->side[from].skip_until > w->side[from].offset)
		skip = w->side[from].skip_until - w->side[from].offset;
	if (skip > missing)
		skip = missing;
	w->side[from].skipped += skip;
	w->side[from].missing += skip;
	if (skip != 0)
		w->side[from].skip_last = now(w);
	w->side[from].offset += missing;
	if (w->self != NULL && skip < missing)
		http2_protocol.gap(w->self, from, missing - skip, WHY_LOST, now(w));
	else if (w->side[from].skip_until == w->side[from].offset)
		packet(w, from, span_none());
}

void h2_end(struct h2_wire *w, enum side from, enum ending how)
{
	h2_flush(w);
	w->packet++;
	if (w->self == NULL)
		return;
	http2_protocol.end(w->self, from, how, w->side[from].offset, now(w));
	if (how == END_FIN)
		return;
	how = how == END_RST ? END_PEER_RST : how;
	http2_protocol.end(w->self, side_other(from), how, w->side[side_other(from)].offset, now(w));
}

void h2_free(struct h2_wire *w)
{
	h2_flush(w);
	if (w->self != NULL)
		http2_protocol.free(w->self);
	while (w->c.first != NULL)
		tell(w->c.first);
	for (unsigned i = 0; i < w->c.n_told; i++) {
		free(w->c.told[i]->text);
		free(w->c.told[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		nghttp2_hd_deflate_del(w->deflater[i]);
	if (w->c.allocated != 0) {
		printf("# %zu bytes not given back\n", w->c.allocated);
		abort();
	}
	free(w);
}

/* ---- frames -------------------------------------------------------------------------------- */

void h2_bytes(struct h2_wire *w, enum side from, struct span bytes)
{
	if (w->n_out != 0 && w->writing != from)
		h2_flush(w);
	w->writing = from;
	w->out = realloc(w->out, w->n_out + bytes.len + 1);
	memcpy(w->out + w->n_out, bytes.at, bytes.len);
	w->n_out += bytes.len;
}

void h2_frame(struct h2_wire *w, enum side from, unsigned type, unsigned flags, uint32_t stream, struct span payload)
{
	uint8_t head[FRAME_HEAD] = {
		(uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8), (uint8_t)payload.len, (uint8_t)type, (uint8_t)flags,
		(uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream
	};

	h2_bytes(w, from, span_of(head, sizeof head));
	h2_bytes(w, from, payload);
}

void h2_u32(struct h2_wire *w, enum side from, unsigned type, uint32_t stream, uint32_t value)
{
	uint8_t b[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value };

	h2_frame(w, from, type, 0, stream, span_of(b, 4));
}

void h2_setting(struct h2_wire *w, enum side from, unsigned id, uint32_t value)
{
	uint8_t b[6] = { (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value };

	h2_frame(w, from, FRAME_SETTINGS, 0, 0, span_of(b, 6));
}

void h2_goaway(struct h2_wire *w, enum side from, uint32_t last, uint32_t code, const char *debug)
{
	uint8_t b[128] = { (uint8_t)(last >> 24), (uint8_t)(last >> 16), (uint8_t)(last >> 8), (uint8_t)last,
	                   (uint8_t)(code >> 24), (uint8_t)(code >> 16), (uint8_t)(code >> 8), (uint8_t)code };
	size_t n = strlen(debug);

	memcpy(b + 8, debug, n);
	h2_frame(w, from, FRAME_GOAWAY, 0, 0, span_of(b, 8 + n));
}

void h2_open(struct h2_wire *w)
{
	h2_bytes(w, CLIENT, span_of(http2_preface, PREFACE_LENGTH));
	h2_frame(w, CLIENT, FRAME_SETTINGS, 0, 0, span_none());
	h2_frame(w, SERVER, FRAME_SETTINGS, 0, 0, span_none());
	h2_frame(w, SERVER, FRAME_SETTINGS, FLAG_ACK, 0, span_none());
	h2_frame(w, CLIENT, FRAME_SETTINGS, FLAG_ACK, 0, span_none());
	h2_flush(w);
}

size_t h2_block(struct h2_wire *w, enum side from, const char *lines, uint8_t *at, size_t size)
{
	nghttp2_nv nv[256];
	size_t n = 0;
	ssize_t len;

	for (const char *p = lines; *p != '\0' && n < 256; n++) {
		const char *end = strchr(p, '\n'), *colon = strstr(p, ": ");

		nv[n] = (nghttp2_nv){ (uint8_t *)(uintptr_t)p, (uint8_t *)(uintptr_t)(colon + 2), (size_t)(colon - p), (size_t)(end - colon - 2), 0 };
		p = end + 1;
	}
	len = nghttp2_hd_deflate_hd(w->deflater[from], at, size, nv, n);
	return len > 0 ? (size_t)len : 0;
}

void h2_headers(struct h2_wire *w, enum side from, unsigned flags, uint32_t stream, const char *lines)
{
	uint8_t block[65536];
	size_t n = h2_block(w, from, lines, block, sizeof block);

	h2_frame(w, from, FRAME_HEADERS, flags | FLAG_END_HEADERS, stream, span_of(block, n));
}

void h2_get(struct h2_wire *w, uint32_t stream, const char *path)
{
	char lines[4096];

	snprintf(lines, sizeof lines, ":method: GET\n:scheme: http\n:authority: shop.example\n:path: %s\nuser-agent: test\nx-request-id: id-%u\n",
	         path, stream);
	h2_headers(w, CLIENT, FLAG_END_STREAM, stream, lines);
}

/* ---- what was told ------------------------------------------------------------------------- */

struct exchange *h2_told(struct h2_wire *w, unsigned i)
{
	static struct exchange none;
	struct exchange *x = w->c.first;

	h2_flush(w);
	if (i < w->c.n_told)
		return w->c.told[i];
	for (i -= w->c.n_told; x != NULL && i != 0; i--)
		x = x->next;
	return x != NULL ? x : &none;
}

struct exchange *h2_stream(struct h2_wire *w, uint32_t stream)
{
	static struct exchange none;

	h2_flush(w);
	for (unsigned i = 0; i < w->c.n_told; i++)
		if (w->c.told[i]->f.stream == stream)
			return w->c.told[i];
	for (struct exchange *x = w->c.first; x != NULL; x = x->next)
		if (x->f.stream == stream)
			return x;
	return &none;
}

struct span h2_text(const struct exchange *x, struct text t)
{
	return exchange_span(x, t);
}

bool h2_limit(struct h2_wire *w, const char *name)
{
	h2_flush(w);
	for (unsigned i = 0; i < w->c.n_limits; i++)
		if (strcmp(w->c.limits[i], name) == 0)
			return true;
	return false;
}
