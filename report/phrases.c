#include "phrases.h"

#include "escape.h"
#include "redact.h"

#include <inttypes.h>
#include <stdio.h>

enum { STATUSES_SHOWN = 8 };

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

void say_statuses(struct page *p, const struct report *r)
{
	bool incidents = r->total_incidents > 0;
	unsigned n = incidents ? r->n_by_status : r->n_seen_status;
	char count[WHEN_TEXT];

	for (unsigned i = 0; i < n && i < STATUSES_SHOWN; i++) {
		unsigned status = incidents ? r->by_status[i].status : r->seen_status[i].status;

		page_say(p, i == 0 ? ": " : ", ");
		page_say(p, count_text(incidents ? r->by_status[i].count : r->seen_status[i].count, count));
		if (status == 0)
			page_say(p, " without an answer");
		else
			page_format(p, " × %u%s", status, incidents && status < 400 ? " cut or garbled" : "");
	}
}

const struct endpoint *proxied_for(const struct incident *i)
{
	const struct exchange_fact *f = i->client_exchange != NULL ? i->client_exchange->full : NULL;

	return f != NULL && f->conn.proxied ? &f->conn.proxied_for : NULL;
}

/* ---- spreads ------------------------------------------------------------------------------- */

/* "idle_s" is "idle" to people. */
static const char *spread_name(const char *name, char text[static WHEN_TEXT])
{
	size_t n = strlen(name);

	if (n >= 2 && strcmp(name + n - 2, "_s") == 0)
		n -= 2;
	if (n >= WHEN_TEXT)
		n = WHEN_TEXT - 1;
	for (size_t i = 0; i < n; i++)
		text[i] = name[i] == '_' ? ' ' : name[i];
	text[n] = '\0';
	return text;
}

/* To the millisecond: "4.998 s" and "5.003 s" are what tells a limit from chance. */
static const char *measured(int64_t ns, char text[static WHEN_TEXT])
{
	if (ns < NS_PER_S)
		return duration_text(ns, text);
	(void)snprintf(text, WHEN_TEXT, "%" PRId64 ".%03u s", (int64_t)(ns / NS_PER_S), (unsigned)(ns / NS_PER_MS % 1000));
	return text;
}

void say_spread(struct page *p, const struct spread *s)
{
	char name[WHEN_TEXT], low[WHEN_TEXT], mid[WHEN_TEXT], high[WHEN_TEXT];

	page_format(p, "%s: %s to %s, median %s", spread_name(s->name, name), measured(s->min_ns, low), measured(s->max_ns, high),
	            measured(s->median_ns, mid));
}

/* ---- capture quality ------------------------------------------------------------------------ */

unsigned quality_notes(const struct report *r, const struct run_info *run, struct quality_note notes[static QUALITY_NOTES])
{
	const struct source_counters *c = &run->counters;
	const struct quality_note all[] = {
		{ c->kernel_dropped + c->interface_dropped, "dropped", "dropped" },
		{ c->truncated, "truncated", "truncated" },
		{ r->decode.left_out, "packet left out, as asked", "packets left out, as asked" },
		{ r->decode.joined_late, "connection began before the capture", "connections began before the capture" },
		{ r->decode.encrypted_without_keys, "TLS connection without keys (--keylog)", "TLS connections without keys (--keylog)" },
		{ r->decode.tcp_gaps, "byte acknowledged but never captured", "bytes acknowledged but never captured" },
		{ r->decode.undecodable_packets, "packet undecodable", "packets undecodable" },
		{ r->decode.conflicting_segments, "TCP segment with other bytes than before", "TCP segments with other bytes than before" },
		{ c->time_went_back, "time stamp out of order", "time stamps out of order" },
		{ c->seconds_blind, "second without the interface", "seconds without the interface" },
		{ r->decode.evicted, "connection given up for want of memory", "connections given up for want of memory" },
	};
	unsigned n = 0;

	_Static_assert(sizeof all / sizeof all[0] == QUALITY_NOTES, "a row a note");
	for (unsigned i = 0; i < QUALITY_NOTES; i++)
		if (i < 2 || all[i].n > 0)              /* that nothing was lost is worth a word too */
			notes[n++] = all[i];
	return n;
}

const char *quality_text(const struct quality_note *note, char text[static QUALITY_TEXT])
{
	char count[WHEN_TEXT];

	(void)snprintf(text, QUALITY_TEXT, "%s %s", count_text(note->n, count), note->n == 1 ? note->one : note->many);
	return text;
}

static void limit(struct limit_counter hit[static LIMITS_SHOWN], unsigned *n, const char *name, uint64_t count)
{
	if (count > 0 && *n < LIMITS_SHOWN)
		hit[(*n)++] = (struct limit_counter){ name, count };
}

unsigned report_limits(const struct report *r, struct limit_counter hit[static LIMITS_SHOWN])
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->decode.n_limits; i++)
		limit(hit, &n, r->decode.limits[i].name, r->decode.limits[i].count);
	limit(hit, &n, "incidents_cut", r->incidents_cut);
	limit(hit, &n, "names_dropped", r->names_dropped);
	return n;
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

void say_exchange_text(struct page *p, const struct exchange_view *v, const struct writer_options *o)
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
}

void say_exchange(struct page *p, const struct exchange_view *v, const struct writer_options *o)
{
	say_exchange_text(p, v, o);
	page_line(p);
}
