/* har.c - the exchanges of the incidents as an HTTP Archive (1.2), which browsers' tools and proxies open
 *
 * One entry for what the client said and got, and one for each request to an upstream, in the order of the incidents. Bodies are
 * not kept, and values of cookies and of fields that look secret are masked. Fields of our own begin with an underscore, as the
 * format has it.
 */
#include "json_emit.h"
#include "redact.h"
#include "writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct har { struct json j; struct writer_options o; };

/* Milliseconds with their fraction; what is not known is -1. */
static void milliseconds(struct json *j, const char *key, bool known, int64_t ns)
{
	if (known)
		json_seconds(j, key, ns < INT64_MAX / 1000 ? ns * 1000 : INT64_MAX);
	else
		json_signed(j, key, -1);
}

static void empty_array(struct json *j, const char *key)
{
	json_array(j, key);
	json_close(j);
}

static struct span line_take(struct span *s)
{
	size_t n = span_index(*s, '\n');
	struct span line = span_first(*s, n);

	*s = span_from(*s, n + 1);
	while (line.len > 0 && (line.at[line.len - 1] == '\r' || line.at[line.len - 1] == ' '))
		line = span_first(line, line.len - 1);
	return line;
}

/* Where the name of a field ends; a name of HTTP/2 may begin with a colon. line.len: it is no field. */
static size_t name_end(struct span line)
{
	size_t from = span_at(line, 0) == ':' ? 1 : 0, n = from + span_index(span_from(line, from), ':');

	return n <= from || span_index(line, ' ') < n ? line.len : n;
}

static void fields(struct har *w, struct span head)
{
	struct json *j = &w->j;
	struct redacted r;

	json_array(j, "headers");
	while (head.len > 0) {
		struct span line = line_take(&head);
		size_t n;

		redact_line(&r, line, w->o.show_secrets);
		line = redacted_span(&r);
		n = name_end(line);
		if (n >= line.len)
			continue;
		json_object(j, NULL);
		json_bytes(j, "name", span_first(line, n));
		line = span_from(line, n + 1);
		json_bytes(j, "value", span_at(line, 0) == ' ' ? span_from(line, 1) : line);
		json_close(j);
	}
	json_close(j);
}

static void query(struct json *j, struct span target)
{
	size_t at = span_index(target, '?');

	json_array(j, "queryString");
	for (target = span_from(target, at + 1); target.len > 0; ) {
		size_t n = span_index(target, '&');
		struct span one = span_first(target, n);
		size_t eq = span_index(one, '=');

		json_object(j, NULL);
		json_bytes(j, "name", span_first(one, eq));
		json_bytes(j, "value", span_from(one, eq + 1));
		json_close(j);
		target = span_from(target, n + 1);
	}
	json_close(j);
}

/* "http://shop.example/cart": the format wants it whole. */
static void url(struct har *w, const struct exchange_fact *f)
{
	struct redacted authority, target;
	struct out *o = out_memory();
	struct err ignored = { 0 };
	char server[ENDPOINT_TEXT];

	if (o == NULL) {
		json_text(&w->j, "url", "");
		return;
	}
	redact_authority(&authority, fact_text(f, f->x.authority), w->o.show_secrets);
	redact_target(&target, fact_text(f, f->x.target), w->o.show_secrets);
	if (span_at(redacted_span(&target), 0) == '/' || target.len == 0) {
		out_text(o, f->x.tls ? "https://" : "http://");
		if (authority.len > 0)
			out_bytes(o, redacted_span(&authority));
		else
			out_text(o, endpoint_text(&f->conn.end[SERVER], server));
	}
	out_bytes(o, redacted_span(&target));
	out_flush(o);
	json_bytes(&w->j, "url", out_written(o));
	(void)out_close(o, &ignored);
}

static const char *version(const struct message *m)
{
	const char *name = m->first.packet != 0 ? version_name(m->version) : NULL;

	return name != NULL ? name : "unknown";
}

static void request(struct har *w, const struct exchange_fact *f)
{
	struct json *j = &w->j;
	struct span method = fact_text(f, f->x.method_text);
	struct redacted target;

	redact_target(&target, fact_text(f, f->x.target), w->o.show_secrets);
	json_object(j, "request");
	json_bytes(j, "method", method.len > 0 ? method : span_text(method_name(f->x.method) != NULL ? method_name(f->x.method) : ""));
	url(w, f);
	json_text(j, "httpVersion", version(&f->x.request));
	empty_array(j, "cookies");
	fields(w, fact_text(f, f->x.request_head));
	query(j, redacted_span(&target));
	json_number(j, "headersSize", f->x.request.head_bytes);
	json_number(j, "bodySize", f->x.request.body_bytes);
	json_close(j);
}

/* status 0: no answer, as browsers have it. */
static void response(struct har *w, const struct exchange_fact *f)
{
	struct json *j = &w->j;

	json_object(j, "response");
	json_number(j, "status", f->x.status);
	json_bytes(j, "statusText", fact_text(f, f->x.reason));
	json_text(j, "httpVersion", version(&f->x.response));
	empty_array(j, "cookies");
	fields(w, fact_text(f, f->x.response_head));
	json_object(j, "content");
	json_number(j, "size", f->x.response.body_bytes);
	json_text(j, "mimeType", "");
	json_close(j);
	json_text(j, "redirectURL", "");
	json_number(j, "headersSize", f->x.response.head_bytes);
	json_number(j, "bodySize", f->x.response.body_bytes);
	json_close(j);
}

static void timings(struct json *j, const struct exchange_fact *f)
{
	const struct message *q = &f->x.request, *a = &f->x.response;
	bool answered = a->first.packet != 0;

	json_object(j, "timings");
	milliseconds(j, "send", true, since_ns(q->first.time_ns, q->last.time_ns));
	milliseconds(j, "wait", true, answered ? since_ns(q->last.time_ns, a->first.time_ns) : 0);
	milliseconds(j, "receive", true, answered ? since_ns(a->first.time_ns, a->last.time_ns) : 0);
	json_close(j);
}

static void entry(struct har *w, const struct incident *i, const struct exchange_view *v, const char *side)
{
	const struct exchange_fact *f = v != NULL ? v->full : NULL;
	const struct message *a;
	struct endpoint server;
	struct json *j = &w->j;
	char text[ENDPOINT_TEXT];

	if (f == NULL || f->x.request.first.packet == 0)
		return;
	a = f->x.response.first.packet != 0 ? &f->x.response : &f->x.request;
	server = f->conn.end[SERVER];
	server.port = 0;
	json_object(j, NULL);
	json_time(j, "startedDateTime", f->x.request.first.time_ns);
	milliseconds(j, "time", true, since_ns(f->x.request.first.time_ns, a->last.time_ns));
	request(w, f);
	response(w, f);
	json_object(j, "cache");
	json_close(j);
	timings(j, f);
	json_text(j, "serverIPAddress", endpoint_text(&server, text));
	(void)snprintf(text, sizeof text, "%" PRIu32, f->head.conn);
	json_text(j, "connection", text);
	json_text(j, "comment", i->summary != NULL ? i->summary : "");
	json_number(j, "_incident", i->id);
	json_text(j, "_cause", cause_row(i->cause)->name);
	json_text(j, "_side", side);
	json_text(j, "_client", endpoint_text(&f->conn.end[CLIENT], text));
	json_text(j, "_server", endpoint_text(&f->conn.end[SERVER], text));
	json_text(j, "_outcome", outcome_name(f->x.outcome));
	json_number(j, "_first_packet", f->x.request.first.packet);
	json_close(j);
}

static void entries(void *self, const struct incident *i, const struct run_info *run)
{
	struct har *w = self;

	(void)run;
	entry(w, i, i->client_exchange, "client");
	for (unsigned n = 0; n < i->n_attempts; n++)
		entry(w, i, i->attempts[n].view, "upstream");
}

static void *har_begin(const struct writer_options *o, struct out *out)
{
	struct har *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	json_init(&w->j, out, 3);
	w->j.no_hex = true;
	json_object(&w->j, NULL);
	json_object(&w->j, "log");
	json_text(&w->j, "version", "1.2");
	json_object(&w->j, "creator");
	json_text(&w->j, "name", "why502");
	json_text(&w->j, "version", o->version);
	json_close(&w->j);
	json_array(&w->j, "entries");
	return w;
}

static void har_incident(void *self, const struct incident *i)
{
	struct har *w = self;

	incident_closed(&w->o, i, entries, w);
}

static void har_end(void *self, const struct report *r, const struct run_info *run)
{
	struct har *w = self;

	incidents_at_end(&w->o, r, run, entries, w);
	json_close(&w->j);
	json_close(&w->j);
	json_close(&w->j);
	out_char(w->j.out, '\n');
	free(w);
}

const struct writer_ops writer_har = { .begin = har_begin, .incident = har_incident, .end = har_end, .machine = true };
