/* http2_message.c - header fields and content into exchanges
 *
 * Pseudo-headers come first (RFC 9113 8.3), so that a response's status is known before its other fields are.
 */
#include "coding.h"
#include "http2.h"

#include "../capture/hash.h"
#include "../capture/limits.h"
#include "fields.h"

enum { REQUEST_HEAD_TEXT = 2048, LINE_TEXT = 512 };

/* What a block's fields are handed on with. */
struct taker { struct reader *r; struct block *b; struct stream *s; };

static struct message *taker_message(const struct taker *t)
{
	return stream_message(t->s, t->b->kind == BLOCK_REQUEST || (t->b->kind == BLOCK_TRAILERS && t->r->from == CLIENT) ?
	                            CLIENT : SERVER);
}

static void broken(const struct taker *t, enum violation rule, struct span name, struct span value)
{
	uint8_t line[64];
	size_t n = name.len < sizeof line ? name.len : sizeof line, v;

	memcpy(line, name.at, n);
	if (n != 0 && n + 2 < sizeof line) {
		line[n++] = ':';
		line[n++] = ' ';
	}
	v = value.len < sizeof line - n ? value.len : sizeof line - n;
	memcpy(line + n, value.at, v);
	exchange_broken(taker_message(t), rule, t->b->at, t->b->offset, span_of(line, n + v));
}

/* ---- the head as text ----------------------------------------------------------------------- */

/* An error, an odd one, or all are listed: as with HTTP/1. */
static bool head_kept(const struct taker *t)
{
	const struct exchange_facts *f = &t->s->x->f;

	return t->b->kind == BLOCK_REQUEST || f->status < 200 || f->status >= 400 || f->response.violations != 0 ||
	       conn_listing(t->r->h->conn);
}

static void keep_line(const struct taker *t, struct span name, struct span value)
{
	struct exchange *x = t->s->x;
	bool request = t->b->kind == BLOCK_REQUEST;
	struct text *text = request ? &x->f.request_head : &x->f.response_head;
	size_t limit = request ? REQUEST_HEAD_TEXT : LIMIT_HEAD_TEXT;
	uint8_t line[LINE_TEXT];
	size_t n = name.len;

	if (name.len + value.len + 3 > sizeof line) {
		if (exchange_text_more(x, text, name, limit) && exchange_text_more(x, text, span_text(": "), limit) &&
		    exchange_text_more(x, text, value, limit))
			exchange_text_more(x, text, span_text("\n"), limit);
		return;
	}
	memcpy(line, name.at, name.len);
	line[n++] = ':';
	line[n++] = ' ';
	memcpy(line + n, value.at, value.len);
	n += value.len;
	line[n++] = '\n';
	exchange_text_more(x, text, span_of(line, n), limit);
}

/* ---- pseudo-headers ------------------------------------------------------------------------- */

static void take_method(struct taker *t, struct span value)
{
	struct exchange *x = t->s->x;

	x->f.method = (uint8_t)method_of(value);
	exchange_text(x, &x->f.method_text, value, LIMIT_STRING);
	if (!is_token(value))
		broken(t, VIOLATION_H2_PSEUDO, span_text(":method"), value);
}

static void take_path(struct taker *t, struct span value)
{
	if (value.len == 0)             /* "MUST NOT be empty for http or https URIs". RFC 9113 8.3.1 */
		broken(t, VIOLATION_H2_PSEUDO, span_text(":path"), value);
	fields_target(t->s->x, value);
}

static void take_authority(struct taker *t, struct span value)
{
	fields_authority(t->s->x, value);
}

static void take_scheme(struct taker *t, struct span value)
{
	(void)t, (void)value;
}

static void take_protocol(struct taker *t, struct span value)          /* RFC 8441 4 */
{
	exchange_text(t->s->x, &t->s->x->f.upgrade, value, LIMIT_STRING);
}

static bool status_of(struct span value, uint16_t *status)
{
	uint64_t n;

	if (value.len != 3 || !fields_number(value, &n) || n < 100 || n > 599)
		return false;
	*status = (uint16_t)n;
	return true;
}

static void take_interim(struct taker *t, uint16_t status)
{
	struct exchange *x = t->s->x;

	t->b->interim = true;
	if (x->f.n_interim == 0)
		x->f.interim_at = t->b->at;
	if (x->f.n_interim < LIMIT_INTERIM)
		x->f.interim[x->f.n_interim++] = status;
	else
		conn_limit(t->r->h->conn, "interim_cut");
}

/* The final response begins with this block. */
static void response_begins(struct taker *t)
{
	struct exchange *x = t->s->x;
	struct message *m = &x->f.response;

	if (t->s->response_head)
		return;
	t->s->response_head = true;
	m->first = t->b->at;
	m->version = VERSION_2;
	m->early = !x->f.request.complete && !t->s->from_before;
	m->head_bytes = t->b->bytes;
	m->fields = t->b->fields;
}

static void take_status(struct taker *t, struct span value)
{
	uint16_t status = 0;

	if (!status_of(value, &status))
		broken(t, VIOLATION_STATUS_CODE, span_text(":status"), value);
	if (status >= 100 && status < 200) {
		take_interim(t, status);
		return;
	}
	response_begins(t);
	t->s->x->f.status = status;
}

enum { PSEUDO_METHOD = 1, PSEUDO_PATH = 2, PSEUDO_AUTHORITY = 4, PSEUDO_SCHEME = 8, PSEUDO_PROTOCOL = 16, PSEUDO_STATUS = 32 };

static const struct pseudo { const char *name; uint8_t bit, kind; void (*take)(struct taker *t, struct span value); } pseudos[] = {
	{ ":method",    PSEUDO_METHOD,    BLOCK_REQUEST,  take_method },
	{ ":path",      PSEUDO_PATH,      BLOCK_REQUEST,  take_path },
	{ ":authority", PSEUDO_AUTHORITY, BLOCK_REQUEST,  take_authority },
	{ ":scheme",    PSEUDO_SCHEME,    BLOCK_REQUEST,  take_scheme },
	{ ":status",    PSEUDO_STATUS,    BLOCK_RESPONSE, take_status },
	{ ":protocol",  PSEUDO_PROTOCOL,  BLOCK_REQUEST,  take_protocol },
};

static const struct pseudo *pseudo_of(struct span name)
{
	for (size_t i = 0; i < sizeof pseudos / sizeof pseudos[0]; i++)
		if (span_is(name, pseudos[i].name))
			return &pseudos[i];
	return NULL;
}

static void take_pseudo(struct taker *t, struct span name, struct span value)
{
	const struct pseudo *p = pseudo_of(name);
	bool ours = p != NULL && p->kind == t->b->kind && (t->b->pseudo & p->bit) == 0;

	/* Unknown, in the wrong kind of block, twice, or behind a regular field: malformed. RFC 9113 8.3 */
	if (!ours || t->b->regular)
		broken(t, VIOLATION_H2_PSEUDO, name, value);
	if (!ours)
		return;
	t->b->pseudo |= p->bit;
	p->take(t, value);
	if (!t->b->interim && head_kept(t))
		keep_line(t, name, value);
}

/* ---- other fields --------------------------------------------------------------------------- */

/* "MUST NOT contain characters in the ranges 0x00-0x20, 0x41-0x5a, or 0x7f-0xff", nor a colon. RFC 9113 8.2.1 */
static bool name_allowed(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.at[i];

		if (c <= 0x20 || c >= 0x7f || c == ':' || (c >= 'A' && c <= 'Z'))
			return false;
	}
	return name.len != 0;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* No NUL, CR, LF, and no white space at either end. RFC 9113 8.2.1 */
static bool value_allowed(struct span v)
{
	if (v.len == 0)
		return true;
	return !is_blank(v.at[0]) && !is_blank(v.at[v.len - 1]) && span_index(v, 0) == v.len &&
	       span_index(v, '\r') == v.len && span_index(v, '\n') == v.len;
}

/* RFC 9113 8.2.2 */
static bool connection_specific(struct span name, struct span value)
{
	switch (name.len) {
	case 2:  return span_is(name, "te") && !span_equal_nocase(value, span_text("trailers"));
	case 7:  return span_is(name, "upgrade");
	case 10: return span_is(name, "connection") || span_is(name, "keep-alive");
	case 16: return span_is(name, "proxy-connection");
	case 17: return span_is(name, "transfer-encoding");
	default: return false;
	}
}

static void take_length(struct taker *t, struct span name, struct span value)
{
	struct message *m = taker_message(t);
	uint64_t n;

	if (!fields_number(value, &n))
		broken(t, VIOLATION_LENGTH_GARBAGE, name, value);
	else if (m->declared != UINT64_MAX)
		broken(t, m->declared == n ? VIOLATION_LENGTH_TWICE : VIOLATION_LENGTH_CONFLICT, name, value);
	else
		m->declared = n;
}

static void take_regular(struct taker *t, struct span name, struct span value)
{
	struct exchange *x = t->s->x;
	bool request = t->b->kind == BLOCK_REQUEST;

	t->b->regular = true;
	if (!name_allowed(name) || !value_allowed(value) || connection_specific(name, value)) {
		broken(t, VIOLATION_H2_FIELD, name, value);
	} else if (name.len == 14 && span_is(name, "content-length")) {
		take_length(t, name, value);
	} else if (request) {
		if (name.len == 4 && span_is(name, "host") && (t->b->pseudo & PSEUDO_AUTHORITY) == 0)
			fields_authority(x, value);
		fields_request(x, name, value);
	} else {
		fields_response(x, name, value);
	}
	if (head_kept(t))
		keep_line(t, name, value);
}

static void take_trailer(struct taker *t, struct span name, struct span value)
{
	t->b->regular = true;
	if (!name_allowed(name) || !value_allowed(value) || connection_specific(name, value))
		broken(t, VIOLATION_H2_FIELD, name, value);
	else if (t->r->from == SERVER && span_starts(name, "grpc-"))
		fields_response(t->s->x, name, value);
}

/* ---- a field -------------------------------------------------------------------------------- */

/* A block on a stream that began before the capture, or in a hole, is a message's head if it has one of the pseudo-headers
 * of its side: they are in the static table, so that a head without any that we know is rare. */
static bool shows_head(struct taker *t, struct span name)
{
	const struct pseudo *p = span_at(name, 0) == ':' ? pseudo_of(name) : NULL;

	if (p == NULL)
		return false;
	if (p->kind != t->b->kind && t->r->side->frame.type != FRAME_PUSH_PROMISE)
		t->r->h->wrong_way |= t->r->h->list[CLIENT].first == 0;
	return p->kind == t->b->kind;
}

static bool open_orphan(struct taker *t)
{
	struct reader *r = t->r;

	t->b->orphan = false;
	t->s = stream_open(r->h, t->b->owner, t->b->at);
	if (t->s == NULL) {
		t->b->kind = BLOCK_ANY;
		return false;
	}
	if (t->b->kind == BLOCK_RESPONSE) {
		t->s->from_before = true;
		return true;
	}
	t->s->x->f.request.first = t->b->at;
	t->s->x->f.request.version = VERSION_2;
	return true;
}

/* Counted to the end, kept to a limit. */
static bool count_field(struct taker *t, struct span name, struct span value)
{
	struct message *m = taker_message(t);
	uint32_t line = (uint32_t)(name.len + value.len) + 4;   /* as HTTP/1 would have it */
	struct block *b = t->b;

	b->fields++;
	b->bytes += line;
	if (b->kind != BLOCK_TRAILERS && !b->interim) {
		m->fields = b->fields;
		m->head_bytes = b->bytes;
		if (line > m->longest_line)
			m->longest_line = line;
	}
	if (b->fields <= LIMIT_FIELDS && b->bytes <= LIMIT_HEAD_BYTES)
		return true;
	if (!b->cut)
		conn_limit(t->r->h->conn, b->fields > LIMIT_FIELDS ? "header_fields_cut" : "header_bytes_cut");
	b->cut = true;
	return false;
}

static void take_field(void *ctx, struct span name, struct span value, bool unknown)
{
	struct taker *t = ctx;
	struct block *b = t->b;

	b->unknown |= unknown;
	if (b->kind == BLOCK_ANY)
		return;
	if (t->s == NULL && !(b->orphan && shows_head(t, name) && open_orphan(t)))
		return;
	t->s->x->h2.fields_unknown |= b->unknown;
	if (!count_field(t, name, value) || unknown)
		return;
	if (span_at(name, 0) == ':')
		take_pseudo(t, name, value);
	else if (b->kind == BLOCK_TRAILERS)
		take_trailer(t, name, value);
	else if (!b->interim)
		take_regular(t, name, value);
}

/* ---- a block's end -------------------------------------------------------------------------- */

/* RFC 9113 8.3.1, 8.5 and RFC 8441 4. */
static bool request_whole(const struct taker *t)
{
	uint8_t have = t->b->pseudo;

	if ((have & PSEUDO_METHOD) == 0)
		return false;
	if (t->s->x->f.method == METHOD_CONNECT && (have & PSEUDO_PROTOCOL) == 0)
		return (have & (PSEUDO_SCHEME | PSEUDO_PATH)) == 0 && (have & PSEUDO_AUTHORITY) != 0;
	return (have & PSEUDO_SCHEME) != 0 && (have & PSEUDO_PATH) != 0;
}

static void request_head_end(struct taker *t)
{
	struct exchange *x = t->s->x;
	struct message *m = &x->f.request;

	m->head_complete = true;
	m->head_end = m->last = t->r->at;
	if (!t->b->unknown && !t->b->cut && !request_whole(t))
		broken(t, VIOLATION_H2_PSEUDO, span_none(), span_none());
	if (x->f.pushed) {                              /* a promise is a whole request. RFC 9113 8.4 */
		m->complete = t->s->request_ended = true;
		return;
	}
	if (t->b->end_stream)
		return;
	window_check(t->r->h, t->s, CLIENT, t->r->at);
	if (x->f.method == METHOD_CONNECT)              /* nothing more comes until it is granted */
		exchange_request_sent(x, reader_wire(t->r));
}

static bool body_forbidden(const struct exchange_facts *f)
{
	return f->method == METHOD_HEAD || f->status == 204 || f->status == 304;
}

static void unpack_begin(struct taker *t)
{
	struct stream *s = t->s;
	const struct coding *coding;

	if (t->b->end_stream || t->b->unknown || t->b->cut || s->unpacking != NULL || !conn_checks_coding(t->r->h->conn) ||
	    body_forbidden(&s->x->f))
		return;
	coding = coding_of(s->x);
	if (coding != NULL)
		s->unpacking = unpacking_new(t->r->h->conn, coding);
}

static void response_head_end(struct taker *t)
{
	struct exchange *x = t->s->x;
	struct message *m = &x->f.response;

	if (t->b->interim) {
		/* "MUST be treated as malformed": an interim response that ends the stream. RFC 9113 8.1 */
		if (t->b->end_stream)
			broken(t, VIOLATION_H2_FRAME, span_none(), span_none());
		return;
	}
	response_begins(t);
	m->head_complete = true;
	m->head_end = m->last = t->r->at;
	if ((t->b->pseudo & PSEUDO_STATUS) == 0 && !t->b->unknown && !t->b->cut)
		broken(t, VIOLATION_H2_PSEUDO, span_none(), span_none());
	/* "Trailers-Only": head and trailers of a gRPC error in one block. */
	if (t->b->end_stream && x->f.grpc_status >= 0)
		x->h2.trailers = true;
	if (!t->b->end_stream)
		window_check(t->r->h, t->s, SERVER, t->r->at);
	unpack_begin(t);
	if (x->f.method == METHOD_CONNECT && x->f.status >= 200 && x->f.status < 300 && !t->b->end_stream) {
		stream_tunnel(t->r->h, t->s);
		t->s = NULL;
	}
}

static void trailers_end(struct taker *t)
{
	if (t->r->from == SERVER)
		t->s->x->h2.trailers = true;
	if (!t->b->end_stream)                          /* RFC 9113 8.1 */
		broken(t, VIOLATION_H2_FRAME, span_none(), span_none());
}

static void block_end(struct taker *t)
{
	static void (*const ends[])(struct taker *t) = {
		[BLOCK_REQUEST] = request_head_end, [BLOCK_RESPONSE] = response_head_end, [BLOCK_TRAILERS] = trailers_end,
	};

	if (t->s != NULL && t->b->kind > BLOCK_ANY)
		ends[t->b->kind](t);
	if (t->s != NULL && t->b->end_stream && t->b->kind > BLOCK_ANY)
		stream_half_ended(t->r, t->s);
	*t->b = (struct block){ .kind = BLOCK_NONE };
}

/* The rest of this side's header blocks cannot be read. */
static void undecodable(struct taker *t, enum hpack_result result, struct span fragment)
{
	struct http2 *h = t->r->h;

	t->b->unknown = true;
	if (t->s != NULL && result != HPACK_BAD)
		t->s->x->h2.fields_unknown = true;
	switch (result) {
	case HPACK_BAD:
		if (t->s != NULL && t->b->kind > BLOCK_ANY) {
			struct message *m = taker_message(t);

			if (m->first.packet == 0)
				m->first = t->b->at;
			http2_fault(t->r, t->s, VIOLATION_H2_HPACK, span_first(fragment, 32));
		}
		http2_fault(t->r, NULL, VIOLATION_H2_HPACK, span_first(fragment, 32));
		t->b->kind = BLOCK_ANY;                 /* its message has no head that anybody could read */
		break;
	case HPACK_TOO_LONG:
		conn_limit(h->conn, "hpack_bytes_cut");
		h->opaque = true;
		break;
	case HPACK_TABLE:
		conn_limit(h->conn, "hpack_table_capped");
		h->opaque = true;
		break;
	case HPACK_UNKNOWN:
		http2_suspect(t->r, t->b->owner, VIOLATION_H2_HPACK, span_first(fragment, 32));
		break;
	default:
		break;
	}
}

void message_fragment(struct reader *r, struct span fragment, bool last)
{
	struct block *b = &r->side->block;
	struct taker t = { r, b, b->kind > BLOCK_ANY && !b->orphan ? stream_find(r->h, b->owner) : NULL };
	enum hpack_result result;

	r->side->hpack.sure = r->side->doubt == 0;
	result = b->dead ? HPACK_OK : hpack_block(&r->side->hpack, fragment, last, take_field, &t);
	if (result != HPACK_OK) {
		b->dead = true;
		undecodable(&t, result, fragment);
	}
	if (last)
		block_end(&t);
}

/* ---- content -------------------------------------------------------------------------------- */

static bool keeps_body(const struct stream *s, enum side from)
{
	return from == SERVER && s->x->f.status >= 400 && s->x->f.response.body_bytes < LIMIT_BODY_HASH;
}

bool message_wants_content(const struct stream *s, enum side from)
{
	return keeps_body(s, from) || (from == SERVER && s->unpacking != NULL);
}

/* The first bytes of an error's body, for its fingerprint: is the client's page the upstream's? */
static void body_keep(struct reader *r, struct stream *s, struct span bytes)
{
	uint32_t room = LIMIT_BODY_HASH - s->body_len, size = s->body_size != 0 ? s->body_size : 1024;
	uint8_t *larger;

	bytes = span_first(bytes, room);
	while (size < s->body_len + bytes.len)
		size *= 2;
	if (size != s->body_size) {
		larger = conn_grow(r->h->conn, s->body, s->body_size, size);
		if (larger == NULL)
			return;
		s->body = larger;
		s->body_size = size;
	}
	memcpy(s->body + s->body_len, bytes.at, bytes.len);
	s->body_len += (uint32_t)bytes.len;
}

/* ---- its coding ----------------------------------------------------------------------------- */

static void unpack_stop(struct stream *s)
{
	unpacking_free(s->unpacking);
	s->unpacking = NULL;
}

/* May DATA of this stream have been in a hole? */
static bool data_missed(const struct reader *r, const struct stream *s)
{
	return r->side->lost != s->lost[r->from] || r->side->doubt != 0;
}

static void unpack(struct reader *r, struct stream *s, struct span bytes, uint64_t n)
{
	if (bytes.len != n || data_missed(r, s) || !coding_follow(s->unpacking, &s->x->f.response, bytes))
		unpack_stop(s);
}

void message_coding_end(struct reader *r, struct stream *s)
{
	if (s->unpacking != NULL && !data_missed(r, s))
		coding_end(s->unpacking, &s->x->f.response);
	unpack_stop(s);
}

/* ---- its end -------------------------------------------------------------------------------- */

void message_body_end(struct http2 *h, struct stream *s)
{
	struct message *m = &s->x->f.response;

	unpack_stop(s);
	if (s->body == NULL)
		return;
	if (m->missing == 0 && s->body_len == (m->body_bytes < LIMIT_BODY_HASH ? m->body_bytes : LIMIT_BODY_HASH))
		m->body_hash = fingerprint(span_of(s->body, s->body_len));
	conn_release(h->conn, s->body, s->body_size);
	s->body = NULL;
}

void message_content(struct reader *r, struct stream *s, struct span bytes, uint64_t n, uint64_t missing)
{
	struct message *m = stream_message(s, r->from);
	struct exchange *x = s->x;

	if (n == 0)
		return;
	if (m->body_bytes == 0 && r->from == SERVER && body_forbidden(&x->f))
		exchange_broken(m, VIOLATION_BODY_FORBIDDEN, r->side->frame_at, r->side->frame_offset, bytes);
	if (keeps_body(s, r->from)) {
		if (bytes.len != 0)
			body_keep(r, s, bytes);
		if (m->body_bytes < LIMIT_BODY_TEXT)
			exchange_text_more(x, &x->f.body, bytes, LIMIT_BODY_TEXT);
	}
	m->body_bytes += n;
	m->missing += missing;
	m->last = r->at;
	if (r->from == SERVER && s->unpacking != NULL)
		unpack(r, s, bytes, n);
}
