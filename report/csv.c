/* csv.c - one row an incident, for spreadsheets (RFC 4180, but that lines end in a line feed alone), as they close where the
 * capture is live
 *
 * Every cell is quoted, and one that a spreadsheet would take for a formula has an apostrophe before it.
 */
#include "phrases.h"
#include "escape.h"
#include "redact.h"
#include "writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct csv { struct out *out; struct writer_options o; bool any; };

static const char columns[] =
	"id,time,cause,family,fault,confidence,symptom,status,status_source,client,gateway,product,upstream,method,authority,target,version,"
	"attempts,packet,summary,advice,filter,group\n";

static void cell(struct csv *w, struct span s, unsigned flags)
{
	struct escaped e;
	bool first = true;

	out_text(w->out, w->any ? ",\"" : "\"");
	w->any = true;
	while (escape_next(&s, flags, &e)) {
		if (first && strchr("=+-@", e.bytes[0]) != NULL)
			out_char(w->out, '\'');
		if (e.len == 1 && e.bytes[0] == '"')
			out_char(w->out, '"');
		out_bytes(w->out, span_of(e.bytes, e.len));
		first = false;
	}
	out_char(w->out, '"');
}

static void wire(struct csv *w, struct span raw)
{
	cell(w, raw, 0);
}

static void words(struct csv *w, const char *text)
{
	cell(w, span_text(text != NULL ? text : ""), ESCAPE_OWN_WORDS);
}

/* 0 is none. */
static void number(struct csv *w, uint64_t n)
{
	char text[32] = "";

	if (n != 0)
		(void)snprintf(text, sizeof text, "%" PRIu64, n);
	words(w, text);
}

static void endpoint(struct csv *w, bool has, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT] = "";

	words(w, has ? endpoint_text(e, text) : "");
}

static void request(struct csv *w, const struct incident *i)
{
	struct redacted r;

	wire(w, i->method);
	redact_authority(&r, i->authority, w->o.show_secrets);
	wire(w, redacted_span(&r));
	redact_target(&r, i->target, w->o.show_secrets);
	wire(w, redacted_span(&r));
	words(w, i->method.len > 0 ? version_name(i->version) : "");
}

static void row(void *self, const struct incident *i, const struct run_info *run)
{
	struct csv *w = self;
	const struct cause_row *cause = cause_row(i->cause);
	char when[WHEN_TEXT];

	(void)run;
	w->any = false;
	number(w, i->id);
	words(w, when_rfc3339(i->time_ns, when));
	words(w, cause->name);
	words(w, family_name(cause->family));
	words(w, fault_name(i->fault));
	words(w, confidence_name(i->confidence));
	words(w, symptom_name(i->symptom));
	number(w, i->status);
	words(w, i->predicted ? "predicted" : "observed");
	endpoint(w, i->client.port != 0, &i->client);
	endpoint(w, i->has_gateway, &i->gateway);
	words(w, i->product);
	endpoint(w, i->has_upstream, &i->upstream);
	request(w, i);
	number(w, i->n_attempts);
	number(w, i->n_evidence > 0 ? i->evidence[0].at.packet : 0);
	words(w, i->summary);
	words(w, i->n_advice > 0 ? i->advice[0] : "");
	words(w, i->filter);
	number(w, i->group);
	out_char(w->out, '\n');
	if (w->o.flush)
		out_flush(w->out);
}

static void *csv_begin(const struct writer_options *o, struct out *out)
{
	struct csv *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	w->out = out;
	out_text(out, columns);
	return w;
}

static void csv_incident(void *self, const struct incident *i)
{
	struct csv *w = self;

	incident_closed(&w->o, i, row, w);
}

static void csv_end(void *self, const struct report *r, const struct run_info *run)
{
	struct csv *w = self;

	incidents_at_end(&w->o, r, run, row, w);
	free(w);
}

const struct writer_ops writer_csv = { .begin = csv_begin, .incident = csv_incident, .end = csv_end, .machine = true };
