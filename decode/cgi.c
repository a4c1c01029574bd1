#include "cgi.h"

#include "../capture/limits.h"
#include "fields.h"

void cgi_init(struct cgi *g, struct conn *c)
{
	*g = (struct cgi){ .c = c };
}

/* ---- HTTP/1 within ------------------------------------------------------------------------- */

static void inner_forget(struct cgi *g)
{
	if (g->inner != NULL)
		http1_protocol.free(g->inner);
	g->inner = NULL;
}

static bool inner_begin(struct cgi *g)
{
	inner_forget(g);
	g->inner = conn_inner(g->c, &http1_protocol, false);
	g->side[CLIENT] = g->side[SERVER] = (struct cgi_side){ 0 };
	g->status_given = false;
	g->line_len = 0;
	return g->inner != NULL;
}

void cgi_clear(struct cgi *g)
{
	inner_forget(g);
	conn_release(g->c, g->block, g->block_size);
	g->block = NULL;
	g->block_len = g->block_size = 0;
}

/* As a stream does: what HTTP/1 does not want is counted and passed over. */
static void give(struct cgi *g, enum side from, struct span bytes, struct mark at, uint64_t wire_end)
{
	struct cgi_side *s = &g->side[from];
	struct piece p = { .nested = true, .wire_end = wire_end, .at = at };
	size_t n = s->skip < bytes.len ? (size_t)s->skip : bytes.len, used;
	uint64_t want;

	if (g->inner == NULL || bytes.len == 0)
		return;
	s->offset += n;
	if (n != 0) {
		s->skipped += n;
		s->skip_last = at;
		s->skip -= s->skip != WANT_NONE ? n : 0;
		if (s->skip != 0)
			return;
	}
	p.bytes = span_from(bytes, n);
	p.offset = s->offset;
	p.skipped = s->skipped;
	p.missing = s->missing;
	p.skip_last = s->skip_last;
	s->skipped = s->missing = 0;
	s->offset += p.bytes.len;
	want = http1_protocol.bytes(g->inner, from, &p);
	s->skip = want >= WANT_SWAP ? WANT_NONE : want;
	if (conn_switch_taken(g->c, &used) != NULL)     /* none of the four can change to another protocol */
		s->skip = WANT_NONE;
}

/* ---- the request --------------------------------------------------------------------------- */

bool cgi_collect(struct cgi *g, struct span bytes)
{
	size_t need = g->block_len + bytes.len, size = g->block_size != 0 ? g->block_size : 1024;
	uint8_t *bigger;

	if (need > LIMIT_HEAD_BYTES) {
		conn_limit(g->c, "header_bytes_cut");
		return false;
	}
	while (size < need)
		size *= 2;
	if (size != g->block_size) {
		bigger = conn_grow(g->c, g->block, g->block_size, size);
		if (bigger == NULL)
			return false;
		g->block = bigger;
		g->block_size = size;
	}
	memcpy(g->block + g->block_len, bytes.at, bytes.len);
	g->block_len = need;
	return true;
}

struct writing { uint8_t *at; size_t len, size; };

/* What would end a line is no part of a variable that a gateway took from a request. */
static void put(struct writing *w, struct span s)
{
	for (size_t i = 0; i < s.len && w->len < w->size; i++)
		w->at[w->len++] = s.at[i] < ' ' || s.at[i] == 0x7f ? ' ' : s.at[i];
}

static void put_line(struct writing *w)
{
	if (w->len + 2 > w->size)
		return;
	w->at[w->len++] = '\r';
	w->at[w->len++] = '\n';
}

/* HTTP_X_REQUEST_ID is X-Request-Id. */
static void put_name(struct writing *w, struct span name)
{
	bool first = true;

	for (size_t i = 0; i < name.len && w->len < w->size; i++) {
		uint8_t c = name.at[i];

		w->at[w->len++] = c == '_' ? '-' : first ? c : ascii_lower(c);
		first = c == '_';
	}
}

struct variables { struct span method, uri, document, query, host, server, length; };

static const struct { const char *name; size_t at; } known[] = {
	{ "REQUEST_METHOD", offsetof(struct variables, method) }, { "REQUEST_URI", offsetof(struct variables, uri) },
	{ "SCRIPT_NAME", offsetof(struct variables, document) },  { "QUERY_STRING", offsetof(struct variables, query) },
	{ "HTTP_HOST", offsetof(struct variables, host) },        { "SERVER_NAME", offsetof(struct variables, server) },
	{ "CONTENT_LENGTH", offsetof(struct variables, length) },
};

static void note_variable(struct variables *v, struct span name, struct span value)
{
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (span_is(name, known[i].name))
			memcpy((uint8_t *)v + known[i].at, &value, sizeof value);
}

/* Of the client's connection to the gateway, or framing that CGI replaces: they say nothing of this one. */
static bool is_passed(struct span name)
{
	static const char *const hop[] = { "HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_LENGTH", "HTTP_UPGRADE",
	                                   "HTTP_EXPECT", "HTTP_HOST", "HTTP_HTTP2_SETTINGS", "HTTP_TE" };

	for (size_t i = 0; i < sizeof hop / sizeof hop[0]; i++)
		if (span_is(name, hop[i]))
			return false;
	return span_starts(name, "HTTP_") && name.len > 5;
}

static void put_field(struct writing *w, struct span name, struct span value)
{
	put_name(w, name);
	put(w, span_text(": "));
	put(w, value);
	put_line(w);
}

static void put_start_line(struct writing *w, const struct variables *v)
{
	put(w, v->method);
	put(w, span_text(" "));
	put(w, v->uri.len != 0 ? v->uri : v->document);
	if (v->uri.len == 0 && v->query.len != 0) {
		put(w, span_text("?"));
		put(w, v->query);
	}
	put(w, span_text(" HTTP/1.1"));
	put_line(w);
	put_field(w, span_text("HOST"), v->host.len != 0 ? v->host : v->server);
}

static void put_fields(struct writing *w, struct span block, cgi_pair_fn *next)
{
	struct cursor in = cursor_of(block);
	struct span name, value;

	while (next(&in, &name, &value)) {
		if (is_passed(name))
			put_field(w, span_from(name, 5), value);
		else if (span_is(name, "CONTENT_TYPE") && value.len != 0)
			put_field(w, name, value);
		else if (span_is(name, "SERVER_SOFTWARE"))      /* the gateway's own name */
			put_field(w, name, value);
	}
}

/* Variables come in any order, a request's method and target first. */
static bool tell_request(struct cgi *g, cgi_pair_fn *next, const struct variables *v, struct mark at, uint64_t wire_end)
{
	size_t size = 2 * g->block_len + 256;           /* a pair of two bytes and lengths becomes `X: y` and an end of line */
	struct writing w = { conn_alloc(g->c, size), 0, size };
	bool has_body = fields_number(v->length, &g->body_left) && g->body_left != 0;

	if (w.at == NULL)
		return false;
	if (!has_body)
		g->body_left = 0;
	put_start_line(&w, v);
	if (has_body)
		put_field(&w, span_text("CONTENT_LENGTH"), v->length);
	put_fields(&w, span_of(g->block, g->block_len), next);
	put_line(&w);
	give(g, CLIENT, span_of(w.at, w.len), at, wire_end);
	conn_release(g->c, w.at, size);
	return true;
}

bool cgi_request(struct cgi *g, cgi_pair_fn *next, struct mark at, uint64_t wire_end)
{
	struct cursor in = cursor_of(span_of(g->block, g->block_len));
	struct variables v = { span_none(), span_none(), span_none(), span_none(), span_none(), span_none(), span_none() };
	struct span name, value;
	bool told;

	while (next(&in, &name, &value))
		note_variable(&v, name, value);
	if (!is_token(v.method) || (v.uri.len == 0 && v.document.len == 0))
		return false;
	cgi_end(g, SERVER, END_RST, false, at);         /* of one before it that never ended */
	cgi_end(g, CLIENT, END_RST, false, at);
	told = inner_begin(g) && tell_request(g, next, &v, at, wire_end);
	g->block_len = 0;
	return told;
}

void cgi_body(struct cgi *g, struct span bytes, struct mark at, uint64_t wire_end)
{
	bytes = span_first(bytes, g->body_left < SIZE_MAX ? (size_t)g->body_left : SIZE_MAX);
	g->body_left -= bytes.len;
	give(g, CLIENT, bytes, at, wire_end);
}

/* ---- the answer ---------------------------------------------------------------------------- */

/* The first line decides: a status line (uwsgi), `Status: 404 Not Found`, or a field: then it is 200 (RFC 3875 6.3.3). */
static void give_first_line(struct cgi *g, uint64_t wire_end)
{
	struct span line = span_of(g->line, g->line_len), value;
	uint8_t text[CGI_LINE + 16];
	struct writing w = { text, 0, sizeof text };

	g->status_given = true;
	if (span_starts(line, "HTTP/")) {
		give(g, SERVER, line, g->line_at, wire_end);
		return;
	}
	put(&w, span_text("HTTP/1.1 "));
	if (span_equal_nocase(span_first(line, 7), span_text("Status:"))) {
		value = span_from(line, 7);
		value = fields_trim(span_first(value, span_index(value, '\r') < span_index(value, '\n') ? span_index(value, '\r') : span_index(value, '\n')));
		put(&w, value);
		put(&w, span_text(span_index(value, ' ') == value.len ? " " : ""));
		line = span_none();
	} else {
		put(&w, span_text("200 OK"));
	}
	put_line(&w);
	give(g, SERVER, span_of(w.at, w.len), g->line_at, wire_end);
	give(g, SERVER, line, g->line_at, wire_end);
}

void cgi_answer(struct cgi *g, struct span bytes, struct mark at, uint64_t wire_end)
{
	if (g->inner == NULL)
		return;
	if (!g->status_given && bytes.len != 0) {
		size_t end = span_index(bytes, '\n');
		size_t n = end < bytes.len ? end + 1 : bytes.len, room = sizeof g->line - g->line_len;

		n = n < room ? n : room;
		if (g->line_len == 0)
			g->line_at = at;
		memcpy(g->line + g->line_len, bytes.at, n);
		g->line_len = (uint16_t)(g->line_len + n);
		bytes = span_from(bytes, n);
		if (g->line[g->line_len - 1] != '\n' && g->line_len < sizeof g->line)
			return;
		give_first_line(g, wire_end);
	}
	give(g, SERVER, bytes, at, wire_end);
}

static struct exchange *in_hand(const struct cgi *g)
{
	struct exchange *x = g->inner != NULL ? conn_exchanges(g->c) : NULL;

	while (x != NULL && x->next != NULL)
		x = x->next;
	return x;
}

bool cgi_answer_begun(const struct cgi *g)
{
	const struct exchange *x = in_hand(g);

	return x != NULL && x->f.response.head_complete;
}

void cgi_answered(struct cgi *g, struct mark at)
{
	cgi_end(g, CLIENT, END_FIN, true, at);
	cgi_end(g, SERVER, END_FIN, true, at);
	inner_forget(g);
}

/* A skip that ended where bytes are missing. */
static void tell_skipped(struct cgi *g, enum side from, struct mark at)
{
	struct cgi_side *s = &g->side[from];
	struct piece p = { .bytes = span_none(), .nested = true, .offset = s->offset, .at = at,
	                   .skipped = s->skipped, .missing = s->missing, .skip_last = s->skip_last };

	if (s->skipped == 0)
		return;
	s->skipped = s->missing = 0;
	(void)http1_protocol.bytes(g->inner, from, &p);
}

/* ---- what is missing, and the end ------------------------------------------------------------ */

void cgi_gap(struct cgi *g, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct cgi_side *s = &g->side[from];

	uint64_t n = s->skip < missing ? s->skip : missing;

	if (g->inner == NULL)
		return;
	if (from == CLIENT)
		g->body_left -= missing < g->body_left ? missing : g->body_left;
	s->offset += n;
	s->skipped += n;
	s->missing += n;
	s->skip_last = at;
	s->skip -= s->skip != WANT_NONE ? n : 0;
	if (n == missing)
		return;
	tell_skipped(g, from, at);
	s->offset += missing - n;
	http1_protocol.gap(g->inner, from, missing - n, why, at);
}

void cgi_end(struct cgi *g, enum side from, enum ending how, bool closes, struct mark at)
{
	if (g->inner == NULL)
		return;
	if (from == SERVER && !g->status_given && g->line_len != 0)
		give_first_line(g, g->side[SERVER].offset);
	/* HTTP/1 takes a FIN for the end of an answer without a length; here it broke off. */
	if (from == SERVER && how == END_FIN && !closes)
		how = END_RST;
	http1_protocol.end(g->inner, from, how, g->side[from].offset, at);
}
