#include "phrases.h"

#include "escape.h"
#include "redact.h"

#include <inttypes.h>
#include <stdio.h>

static unsigned left_of(const struct page *p, unsigned end)
{
	return end > p->column ? end - p->column : 1;
}

void say_request(struct page *p, struct span method, struct span authority, struct span target, bool show_secrets,
                 unsigned columns)
{
	struct redacted r;
	unsigned end = p->column + columns;

	if (method.len == 0 && target.len == 0) {
		page_say(p, "(no request)");
		return;
	}
	page_wire(p, method, 20);
	page_say(p, " ");
	if (target.len == 0 || span_at(target, 0) == '/' || span_at(target, 0) == '*') {
		redact_authority(&r, authority, show_secrets);
		page_wire(p, redacted_span(&r), left_of(p, end) < 40 ? left_of(p, end) : 40);
	}
	redact_target(&r, target, show_secrets);
	page_wire(p, redacted_span(&r), left_of(p, end));
}

const char *status_phrase(const struct incident *i, char text[static 64])
{
	switch ((enum symptom)i->symptom) {
	case SYMPTOM_ERROR_STATUS:
		(void)snprintf(text, 64, "%u%s", i->status, i->predicted ? " (predicted)" : "");
		break;
	case SYMPTOM_NO_RESPONSE:
		(void)snprintf(text, 64, "no answer%s", i->predicted ? " (predicted)" : "");
		break;
	case SYMPTOM_TRUNCATED:
		(void)snprintf(text, 64, "%u, cut short%s", i->status, i->predicted ? " (predicted)" : "");
		break;
	case SYMPTOM_GARBLED:
		if (i->status != 0)
			(void)snprintf(text, 64, "%u, garbled%s", i->status, i->predicted ? " (predicted)" : "");
		else
			(void)snprintf(text, 64, "no HTTP answer%s", i->predicted ? " (predicted)" : "");
		break;
	case SYMPTOM_CLIENT_ABORT:
		(void)snprintf(text, 64, "the client went away");
		break;
	}
	return text;
}

const char *percent_text(uint64_t part, uint64_t whole, char text[static WHEN_TEXT])
{
	uint64_t basis;                 /* of 10,000 */

	if (whole == 0)
		whole = 1;
	basis = part > UINT64_MAX / 10000 ? part / (whole / 10000 + 1) : part * 10000 / whole;
	if (part > 0 && basis == 0)
		(void)snprintf(text, WHEN_TEXT, "below 0.01 %%");
	else if (basis < 1000)
		(void)snprintf(text, WHEN_TEXT, "%u.%02u %%", (unsigned)(basis / 100), (unsigned)(basis % 100));
	else
		(void)snprintf(text, WHEN_TEXT, "%" PRIu64 " %%", (basis + 50) / 100);
	return text;
}

/* ---- an address and its name ---------------------------------------------------------------- */

enum { NAME_LEAST = 8, NAME_MOST = 64 };

/* How much of a name is said before an address of `address` columns; 0: nothing. */
static unsigned name_columns(const struct page *p, struct span name, size_t address, unsigned columns)
{
	size_t room = columns > address + 3 ? columns - address - 3 : 0, most = room < NAME_MOST ? room : NAME_MOST;
	size_t whole = escape_columns(name, p->ascii ? ESCAPE_ASCII : 0);

	if (whole <= most)
		return (unsigned)whole;
	return most >= NAME_LEAST ? (unsigned)most : 0;
}

void say_endpoint(struct page *p, const struct names *names, const struct endpoint *e, unsigned columns)
{
	struct span name = e != NULL ? names_of(names, e->address) : span_none();
	char text[ENDPOINT_TEXT] = "-";
	unsigned n = e != NULL ? name_columns(p, name, strlen(endpoint_text(e, text)), columns) : 0;

	if (n == 0) {
		page_say(p, text);
		return;
	}
	page_wire(p, name, n);
	page_format(p, " (%s)", text);
}

unsigned endpoint_columns(const struct page *p, const struct names *names, const struct endpoint *e, unsigned columns)
{
	char text[ENDPOINT_TEXT];
	unsigned address, n;

	if (e == NULL)
		return 1;
	address = (unsigned)strlen(endpoint_text(e, text));
	n = name_columns(p, names_of(names, e->address), address, columns);
	return n != 0 ? n + 3 + address : address;
}

/* ---- one exchange on one line -------------------------------------------------------------- */

struct exchange_line {
	struct span method, authority, target;
	const struct endpoint *client, *server;
	struct mark first, last, response;
	unsigned status;
	uint8_t outcome;
	uint32_t conn;
};

static struct exchange_line line_of_full(const struct exchange_fact *f)
{
	const struct message *q = &f->x.request, *a = &f->x.response;
	struct span method = fact_text(f, f->x.method_text);

	return (struct exchange_line){
		.method = method.len > 0 ? method : span_text(method_name(f->x.method)),
		.authority = fact_text(f, f->x.authority), .target = fact_text(f, f->x.target),
		.client = &f->conn.end[CLIENT], .server = &f->conn.end[SERVER],
		.first = q->first.packet != 0 ? q->first : a->first, .last = a->first.packet != 0 ? a->last : q->last,
		.response = a->first, .status = f->x.status, .outcome = f->x.outcome, .conn = f->head.conn,
	};
}

static struct exchange_line line_of_brief(const struct brief_fact *b)
{
	return (struct exchange_line){
		.method = span_text(method_name(b->method)), .authority = span_none(), .target = span_text("?"),
		.client = &b->end[CLIENT], .server = &b->end[SERVER],
		.first = b->request, .last = b->response, .response = b->response_first,
		.status = b->status, .outcome = b->outcome, .conn = b->head.conn,
	};
}

void say_exchange(struct page *p, const struct exchange_view *v, const struct writer_options *o)
{
	struct exchange_line x = v->full != NULL ? line_of_full(v->full) : line_of_brief(v->brief);
	char when[WHEN_TEXT], took[WHEN_TEXT];

	page_say(p, when_text(&o->when, x.first.time_ns, 3, when));
	page_say(p, "  ");
	say_request(p, x.method, x.authority, x.target, o->show_secrets, 60);
	if (x.status != 0)
		page_format(p, " → %u", x.status);
	if (x.outcome != OUTCOME_COMPLETE)
		page_format(p, " %s", outcome_name(x.outcome));
	if (x.response.packet != 0)
		page_format(p, "  in %s", duration_text(since_ns(x.first.time_ns, x.response.time_ns), took));
	page_say(p, "  ");
	say_endpoint(p, o->names, x.client, UINT32_MAX);
	page_say(p, " → ");
	say_endpoint(p, o->names, x.server, UINT32_MAX);
	page_format(p, "  [connection %" PRIu32 ", packets %" PRIu64 "-%" PRIu64 "]", x.conn, x.first.packet, x.last.packet);
	page_line(p);
}
