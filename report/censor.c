#include "censor.h"

#include "../decode/disguise.h"

struct text_bytes { uint8_t *at; size_t n; };

static void hide(struct text_bytes t, size_t from, size_t to)
{
	if (from < to)
		memset(t.at + from, '*', to - from);
}

static struct span span_at_text(struct text_bytes t, size_t from)
{
	return span_from(span_of(t.at, t.n), from);
}

/* ---- queries ------------------------------------------------------------------------------- */

/* From a question mark to what ends a target or a URL within a line. */
static void hide_queries(struct text_bytes t)
{
	bool inside = false;

	for (size_t i = 0; i < t.n; i++) {
		uint8_t c = t.at[i];

		if (c <= ' ' || c == '"' || c == '>' || c == '<')
			inside = false;
		else if (inside)
			t.at[i] = '*';
		else
			inside = c == '?' || c == '#';
	}
}

/* ---- fields -------------------------------------------------------------------------------- */

static const struct { const char *name; unsigned redact; } fields[] = {
	{ "cookie", REDACT_COOKIES }, { "set-cookie", REDACT_COOKIES }, { "cookie2", REDACT_COOKIES }, { "set-cookie2", REDACT_COOKIES },
	{ "authorization", REDACT_AUTHORIZATION }, { "proxy-authorization", REDACT_AUTHORIZATION },
	{ "authentication-info", REDACT_AUTHORIZATION }, { "proxy-authentication-info", REDACT_AUTHORIZATION },
};

/* Its name may stand before a colon, a space or at the line's end: malformed lines have secrets too. */
static bool hidden_field(struct span line, unsigned redact, size_t *value)
{
	size_t n = 0;

	while (n < line.len && line.at[n] > ' ' && line.at[n] != ':' && line.at[n] != '=')
		n++;
	*value = n + 1;
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		if ((fields[i].redact & redact) != 0 && span_equal_nocase(span_first(line, n), span_text(fields[i].name)))
			return true;
	return false;
}

/* A line that begins with a space goes on with the field before it (obsolete folding, RFC 9112 5.2). */
static void hide_fields(struct text_bytes t, unsigned redact)
{
	bool hidden = false;

	for (size_t from = 0; from < t.n; ) {
		struct span rest = span_at_text(t, from);
		size_t end = from + span_index(rest, '\n'), value = 0;

		if (t.at[from] != ' ' && t.at[from] != '\t')
			hidden = hidden_field(span_first(rest, end - from), redact, &value);
		if (hidden)
			hide(t, from + value, end > from && t.at[end - 1] == '\r' ? end - 1 : end);
		from = end + 1;
	}
}

/* ---- facts --------------------------------------------------------------------------------- */

static void censor(struct text_bytes t, unsigned redact)
{
	if ((redact & REDACT_QUERY) != 0)
		hide_queries(t);
	if ((redact & (REDACT_COOKIES | REDACT_AUTHORIZATION)) != 0)
		hide_fields(t, redact);
	if ((redact & REDACT_ADDRESSES) != 0)
		disguise_text(t.at, t.n);
}

/* A piece cut out of the middle does not say what it is of. */
static void censor_excerpt(struct span_copy *s, unsigned redact)
{
	struct text_bytes t = { s->bytes, s->len };

	if ((redact & ~(unsigned)REDACT_ADDRESSES) != 0)
		hide(t, 0, t.n);
	else
		censor(t, redact);
}

static void censor_message(struct message *m, unsigned redact)
{
	for (unsigned i = 0; i < m->n_broken; i++)
		censor_excerpt(&m->broken[i].excerpt, redact);
}

/* The beginning of a conversation is a request line, and lines after it. */
static void censor_conn(struct conn_facts *c, unsigned redact)
{
	for (int side = CLIENT; side <= SERVER; side++)
		censor((struct text_bytes){ c->head[side].bytes, c->head[side].len }, redact);
}

static void censor_exchange(struct exchange_fact *f, unsigned redact)
{
	struct exchange_facts *x = &f->x;
	const struct text texts[] = { x->target, x->authority, x->reason, x->server, x->request_head, x->response_head, x->body };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (texts[i].len != 0)
			censor((struct text_bytes){ (uint8_t *)f + texts[i].at, texts[i].len }, redact);
	censor_message(&x->request, redact);
	censor_message(&x->response, redact);
	censor_conn(&f->conn, redact);
}

void censor_facts(const struct fact_batch *b, unsigned redact)
{
	for (const struct fact *f = fact_next(b, NULL); redact != 0 && f != NULL; f = fact_next(b, f)) {
		void *own = b->bytes + ((const uint8_t *)f - b->bytes);

		if (f->kind == FACT_EXCHANGE)
			censor_exchange(own, redact);
		else if (f->kind == FACT_CONN)
			censor_conn(&((struct conn_fact *)own)->conn, redact);
	}
}
