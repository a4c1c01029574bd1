/* recognise.c - which product is it? By what it writes into answers and requests
 *
 * Clues are rows of gateways/clues.def. A product is told by a fragment of its page, by a field, or by a shape: the order and
 * case of fields, which survive a page of somebody's own.
 */
#include "gateways.h"

#include "../capture/limits.h"
#include "../decode/foreign.h"
#include "learn.h"

#include <stdio.h>

/* ---- header sections ------------------------------------------------------------------------ */

struct field { struct span name, value; };

static struct span trimmed(struct span s)
{
	while (s.len != 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
		s = span_from(s, 1);
	while (s.len != 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t' || s.at[s.len - 1] == '\r'))
		s.len--;
	return s;
}

/* The next field of a header section as sent; the start line and what has no colon in it are passed over. */
static bool next_field(struct span *rest, struct field *f)
{
	while (rest->len != 0) {
		size_t end = span_index(*rest, '\n');
		struct span line = span_first(*rest, end);
		size_t colon = span_index(line, ':');
		size_t space = span_index(line, ' ');

		*rest = span_from(*rest, end + 1);
		if (colon == line.len || space < colon || (line.len != 0 && line.at[0] == ':'))
			continue;
		f->name = span_first(line, colon);
		f->value = trimmed(span_from(line, colon + 1));
		return true;
	}
	return false;
}

static bool has_no_capital(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] >= 'A' && s.at[i] <= 'Z')
			return false;
	return true;
}

static bool find_field(struct span head, const char *name, struct field *found)
{
	struct field f;

	while (next_field(&head, &f))
		if (span_equal_nocase(f.name, span_text(name))) {
			*found = f;
			return true;
		}
	return false;
}

/* HTTP/1 with every field name in lower case: HAProxy writes them so on both sides; so do servers made with hyper or
 * h11, so in an answer this alone proves nothing. In HTTP/2 names always are. */
static bool all_lower(struct span head)
{
	struct field f;
	unsigned n = 0;

	for (; next_field(&head, &f); n++)
		if (!has_no_capital(f.name))
			return false;
	return n != 0;
}

/* "/1.22.1", "1.22.1" or "/v2" as a version; NULL where there is none. */
static const char *version_in(struct span s, struct arena *a)
{
	size_t n = 0;
	char text[24];

	if (s.len != 0 && s.at[0] == '/')
		s = span_from(s, 1);
	if (s.len != 0 && s.at[0] == 'v')
		s = span_from(s, 1);
	while (n < s.len && n + 1 < sizeof text && ((s.at[n] >= '0' && s.at[n] <= '9') || s.at[n] == '.' ||
	       (n != 0 && ((s.at[n] >= 'a' && s.at[n] <= 'z') || s.at[n] == '-')))) {
		text[n] = (char)s.at[n];
		n++;
	}
	text[n] = '\0';
	return n != 0 && text[0] >= '0' && text[0] <= '9' && a != NULL ? arena_text(a, "%s", text) : NULL;
}

/* ---- shapes of answers ------------------------------------------------------------------------ */

typedef bool shape_fn(const struct exchange_fact *x, struct span head);

static bool has_field(struct span head, const char *name)
{
	struct field f;

	return find_field(head, name, &f);
}

static bool shape_no_server(const struct exchange_fact *x, struct span head)
{
	(void)x;
	return head.len != 0 && !has_field(head, "Server") && !has_field(head, "Via");
}

static bool shape_no_body(const struct exchange_fact *x, struct span head)
{
	(void)head;
	return x->x.response.body_bytes == 0;
}

/* Apache-Coyote is Tomcat's, ApacheTrafficServer another one's. */
static bool shape_no_coyote(const struct exchange_fact *x, struct span head)
{
	struct field f;

	(void)x;
	return find_field(head, "Server", &f) && span_find(f.value, "Coyote") == f.value.len && span_find(f.value, "TrafficServer") == f.value.len;
}

/* The first fields are these, in this order. */
static bool begins_with(struct span head, const char *const names[], size_t n)
{
	struct field f;

	for (size_t i = 0; i < n; i++)
		if (!next_field(&head, &f) || !span_is(f.name, names[i]))
			return false;
	return true;
}

/* HAProxy's own pages, whatever their text: these fields in this order (http_err_msgs of src/http.c). */
static bool shape_haproxy(const struct exchange_fact *x, struct span head)
{
	static const char *const order[] = { "content-length", "cache-control", "content-type" };

	return x->x.stream == 0 && all_lower(head) && begins_with(head, order, sizeof order / sizeof order[0]);
}

/* Go's server writes these last, and in this order: net/http server.go, extraHeader.Write(). Nothing else is there. */
static bool go_alone(struct span head, bool with_type)
{
	static const char *const order[] = { "Date", "Content-Length", "Content-Type" };
	struct field f;
	unsigned n = 0;

	for (struct span rest = head; next_field(&rest, &f); n++)
		if (n == 2 && !span_is(f.value, "text/plain; charset=utf-8"))   /* as it guesses of a body that says nothing else */
			return false;
	return (n == 2 || (n == 3 && with_type)) && begins_with(head, order, n);
}

/* The body is the reason phrase alone: pkg/proxy/httputil/proxy.go, ErrorHandler(). */
static bool shape_traefik(const struct exchange_fact *x, struct span head)
{
	struct span body = fact_text(x, x->x.body);

	return go_alone(head, true) && ((x->x.status == 502 && span_is(body, "Bad Gateway")) || (x->x.status == 504 && span_is(body, "Gateway Timeout")));
}

/* No body: net/http/httputil/reverseproxy.go, defaultErrorHandler(). */
static bool shape_go_proxy(const struct exchange_fact *x, struct span head)
{
	return x->x.status == 502 && x->x.response.body_bytes == 0 && x->x.response.declared == 0 && go_alone(head, false);
}

/* Where a test of a page as short as its heading is all there is. */
static bool shape_page_is_its_title(const struct exchange_fact *x, struct span head)
{
	char title[32];

	(void)head;
	(void)snprintf(title, sizeof title, "<h1>%u ", x->x.status);
	return span_find(fact_text(x, x->x.body), title) < fact_text(x, x->x.body).len;
}

/* lib/core/proxy.c, lib/common/http1client.c: text/plain, one of its messages. */
static bool shape_h2o_words(const struct exchange_fact *x, struct span head)
{
	static const char *const words[] = { "connection failed", "connection timeout", "I/O error", "I/O timeout", "failed to parse the response",
	                                     "invalid response from upstream", "ssl handshake failure", "socket closed by peer", "certificate" };
	struct span body = fact_text(x, x->x.body);

	(void)head;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (span_starts(body, words[i]))
			return true;
	return span_find(body, "certificate") < body.len && body.len < 100;
}

/* ---- shapes of requests ----------------------------------------------------------------------- */

static bool shape_forwarded_server(const struct exchange_fact *x, struct span head)
{
	return x->x.stream == 0 && has_field(head, "X-Forwarded-Server") && has_field(head, "X-Forwarded-Host") && has_field(head, "X-Forwarded-For");
}

/* Go writes Host, User-Agent, then the other fields sorted: Caddy adds X-Forwarded-For, -Host, -Proto so (2.6). */
static bool shape_caddy_request(const struct exchange_fact *x, struct span head)
{
	struct field f;
	struct span last = span_none();
	unsigned forwarded = 0;

	if (x->x.stream != 0)
		return false;
	for (unsigned n = 0; next_field(&head, &f); n++) {
		if (n == 0 && !span_is(f.name, "Host"))
			return false;
		if (n < 2)
			continue;
		if (span_is(f.name, "Accept-Encoding"))         /* the transport's own, last */
			continue;
		if (last.len != 0 && memcmp(last.at, f.name.at, last.len < f.name.len ? last.len : f.name.len) > 0)
			return false;
		last = f.name;
		forwarded += span_is(f.name, "X-Forwarded-For") || span_is(f.name, "X-Forwarded-Host") || span_is(f.name, "X-Forwarded-Proto");
	}
	return forwarded == 3;
}

/* h2o writes its own fields in lower case (x-forwarded-proto, x-forwarded-for, via) and leaves the client's as they are. */
static bool shape_h2o_request(const struct exchange_fact *x, struct span head)
{
	static const char *const names[] = { "x-forwarded-proto", "x-forwarded-for", "via", "connection" };
	struct field f;

	if (x->x.stream != 0)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (!find_field(head, names[i], &f) || !span_is(f.name, names[i]))
			return false;
	return true;
}

/* nginx without settings: HTTP/1.0, Host first, then Connection: close (ngx_http_proxy_headers). */
static bool shape_nginx_default(const struct exchange_fact *x, struct span head)
{
	struct field f;

	return x->x.request.version == VERSION_1_0 && next_field(&head, &f) && span_is(f.name, "Host") && next_field(&head, &f) &&
	       span_is(f.name, "Connection") && span_is(f.value, "close");
}

/* Clients that write lower case themselves: undici (Node) names itself; hyper does not begin with host. */
static bool shape_haproxy_request(const struct exchange_fact *x, struct span head)
{
	struct field f;
	struct span rest = head;

	if (x->x.stream != 0 || !all_lower(head) || !next_field(&rest, &f) || !span_is(f.name, "host"))
		return false;
	return !find_field(head, "user-agent", &f) || (!span_is(f.value, "node") && !span_is(f.value, "undici"));
}

/* ---- clues ------------------------------------------------------------------------------------ */

enum proves { AUTHOR, ORIGIN, PATH };

struct clue { const char *product; uint8_t proves; const char *field, *value, *page; shape_fn *shape; };

static const struct clue answers[] = {
#define ANSWER(product, proves, field, value, page, shape) { product, proves, field, value, page, shape },
#include "gateways/clues.def"
};

static const struct clue requests[] = {
#define REQUEST(product, field, value, shape) { product, PATH, field, value, NULL, shape },
#include "gateways/clues.def"
};

/* Some hundred rows ask for fields: they are found once. */
struct looked_at { const struct exchange_fact *x; struct span head, body; unsigned n; struct field fields[LIMIT_FIELDS]; };

static void look_at(struct looked_at *l, const struct exchange_fact *x, struct text head, struct text body)
{
	struct span rest;

	l->x = x;
	l->head = rest = fact_text(x, head);
	l->body = fact_text(x, body);
	l->n = 0;
	while (l->n < LIMIT_FIELDS && next_field(&rest, &l->fields[l->n]))
		l->n++;
}

static const struct field *field_named(const struct looked_at *l, const char *name)
{
	struct span wanted = span_text(name);

	for (unsigned i = 0; i < l->n; i++)
		if (l->fields[i].name.len == wanted.len && span_equal_nocase(l->fields[i].name, wanted))
			return &l->fields[i];
	return NULL;
}

/* What follows what was found may be a version. */
static bool value_fits(const char *wanted, struct span value, struct span *behind)
{
	size_t n;

	if (wanted == NULL)
		return true;
	if (wanted[0] == '^') {
		n = strlen(wanted + 1);
		if (!span_equal_nocase(span_first(value, n), span_text(wanted + 1)))
			return false;
		*behind = span_from(value, n);
		return true;
	}
	n = span_find(value, wanted);
	return n < value.len;
}

static bool fits(const struct clue *c, const struct looked_at *l, struct span *behind)
{
	const struct field *f = c->field != NULL ? field_named(l, c->field) : NULL;
	size_t at;

	if (c->field != NULL && (f == NULL || !value_fits(c->value, f->value, behind)))
		return false;
	if (c->page != NULL) {
		at = span_find(l->body, c->page);
		if (at >= l->body.len)
			return false;
		if (c->field == NULL)
			*behind = span_from(l->body, at + strlen(c->page));
	}
	return c->shape == NULL || c->shape(l->x, l->head);
}

static const char *reason(const struct clue *c)
{
	if (c->proves == ORIGIN)
		return "its page says that the server behind it reported the error";
	if (c->page != NULL)
		return "its error page";
	return c->field != NULL ? c->field : "the order and case of its fields";
}

static bool find_clue(const struct clue *rows, size_t n, bool path, const struct looked_at *l, struct arena *a, struct recognised *r)
{
	for (size_t i = 0; i < n; i++) {
		struct span behind = span_none();

		if ((rows[i].proves == PATH) != path || !fits(&rows[i], l, &behind))
			continue;
		*r = (struct recognised){ gateway_model_named(rows[i].product), version_in(behind, a), reason(&rows[i]) };
		return true;
	}
	return false;
}

static struct recognised find_author(const struct looked_at *l, struct arena *a)
{
	struct recognised r = { NULL, NULL, NULL }, passed = r;

	if (l->x->x.status < 400 || !find_clue(answers, sizeof answers / sizeof answers[0], false, l, a, &r))
		return r;
	/* A page seldom tells the version where the Server field does. */
	if (r.model != NULL && r.version == NULL && find_clue(answers, sizeof answers / sizeof answers[0], true, l, a, &passed) && passed.model == r.model)
		r.version = passed.version;
	return r;
}

struct recognised author_of_answer(const struct exchange_fact *answer, struct arena *a)
{
	struct looked_at l;

	look_at(&l, answer, answer->x.response_head, answer->x.body);
	return find_author(&l, a);
}

struct recognised gateway_of_answer(const struct exchange_fact *answer, struct arena *a)
{
	struct looked_at l;
	struct recognised r = { NULL, NULL, NULL }, author;

	look_at(&l, answer, answer->x.response_head, answer->x.body);
	author = find_author(&l, a);
	if (!find_clue(answers, sizeof answers / sizeof answers[0], true, &l, a, &r) || r.model == author.model)
		return author;
	return r;
}

struct recognised gateway_of_request(const struct exchange_fact *request)
{
	struct looked_at l;
	struct recognised r = { NULL, NULL, NULL };

	look_at(&l, request, request->x.request_head, (struct text){ 0, 0 });
	(void)find_clue(requests, sizeof requests / sizeof requests[0], true, &l, NULL, &r);
	return r;
}

/* ---- servers ---------------------------------------------------------------------------------- */

struct software { const char *product, *begins; unsigned speaks; uint32_t signs, not_signs; };

static const struct software softwares[] = {
#define SOFTWARE(product, begins, speaks, signs, not_signs) { product, begins, speaks, signs, not_signs },
#include "gateways/clues.def"
};

const struct gateway_model *server_of_answers(const struct server_seen *seen)
{
	for (size_t i = 0; i < sizeof softwares / sizeof softwares[0]; i++) {
		const struct software *s = &softwares[i];
		size_t n = strlen(s->begins);

		if (s->speaks != 0 ? seen->foreign == s->speaks
		                   : (n != 0 ? span_equal_nocase(span_of(seen->software, n), span_text(s->begins)) : seen->software[0] == 0) &&
		                     (seen->signs & s->signs) == s->signs && (seen->signs & s->not_signs) == 0)
			return gateway_model_named(s->product);
	}
	return NULL;
}

/* A brief has no text, only signs of the request's field names. In HTTP/2 names are always lower case. */
const struct gateway_model *gateway_of_brief(const struct brief_fact *b)
{
	if ((b->signs & SIGN_X_VARNISH) != 0)
		return gateway_model_named("varnish");
	if ((b->signs & SIGN_LOWER_NAMES) != 0 && b->stream == 0)
		return gateway_model_named("haproxy");
	return NULL;
}
