/* otlp.c - one line an incident: OpenTelemetry's logs data as JSON, as its file exporter writes and collectors read
 *
 * Names of attributes are the semantic conventions' (1.26); what these have no word for begins with "why502.".
 * (OpenTelemetry protocol, "JSON Protobuf Encoding": 64-bit integers are strings, enums are numbers.)
 */
#include "json_emit.h"
#include "redact.h"
#include "writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEVERITY_ERROR = 17 };   /* SEVERITY_NUMBER_ERROR */

struct otlp { struct json j; struct writer_options o; };

static void begin_value(struct json *j, const char *key)
{
	json_object(j, NULL);
	json_text(j, "key", key);
	json_object(j, "value");
}

static void end_value(struct json *j)
{
	json_close(j);
	json_close(j);
}

static void word(struct json *j, const char *key, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	begin_value(j, key);
	json_text(j, "stringValue", text);
	end_value(j);
}

static void wire(struct json *j, const char *key, struct span raw)
{
	if (raw.len == 0)
		return;
	begin_value(j, key);
	json_bytes(j, "stringValue", raw);
	end_value(j);
}

static void number(struct json *j, const char *key, uint64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%" PRIu64, n);
	begin_value(j, key);
	json_text(j, "intValue", text);
	end_value(j);
}

static void endpoint(struct json *j, const char *address, const char *port, bool has, const struct endpoint *e)
{
	struct endpoint alone = *e;
	char text[ENDPOINT_TEXT];

	if (!has)
		return;
	alone.port = 0;
	word(j, address, endpoint_text(&alone, text));
	if (e->port != 0)
		number(j, port, e->port);
}

static void request(struct otlp *w, const struct incident *i)
{
	struct json *j = &w->j;
	const char *version = version_name(i->version);
	struct redacted r;
	struct span target;
	size_t query;

	wire(j, "http.request.method", i->method);
	if (version != NULL && strncmp(version, "HTTP/", 5) == 0 && i->method.len > 0)
		word(j, "network.protocol.version", version + 5);
	redact_authority(&r, i->authority, w->o.show_secrets);
	wire(j, "why502.request.authority", redacted_span(&r));
	redact_target(&r, i->target, w->o.show_secrets);
	target = redacted_span(&r);
	query = span_index(target, '?');
	wire(j, "url.path", span_first(target, query));
	wire(j, "url.query", span_from(target, query + 1));
}

static void packets(struct json *j, const struct incident *i)
{
	begin_value(j, "why502.packets");
	json_object(j, "arrayValue");
	json_array(j, "values");
	for (unsigned n = 0; n < i->n_evidence; n++) {
		char text[32];

		(void)snprintf(text, sizeof text, "%" PRIu64, i->evidence[n].at.packet);
		json_object(j, NULL);
		json_text(j, "intValue", text);
		json_close(j);
	}
	json_close(j);
	json_close(j);
	end_value(j);
}

static void attributes(struct otlp *w, const struct incident *i)
{
	struct json *j = &w->j;

	json_array(j, "attributes");
	word(j, "error.type", cause_row(i->cause)->name);
	word(j, "network.protocol.name", "http");
	word(j, "network.transport", "tcp");
	if (i->status != 0)
		number(j, "http.response.status_code", i->status);
	request(w, i);
	endpoint(j, "client.address", "client.port", i->client.port != 0, &i->client);
	endpoint(j, "server.address", "server.port", i->has_gateway, &i->gateway);
	endpoint(j, "network.peer.address", "network.peer.port", i->has_upstream, &i->upstream);
	number(j, "http.request.resend_count", i->n_attempts > 0 ? i->n_attempts - 1 : 0);
	number(j, "why502.incident", i->id);
	word(j, "why502.family", family_name(cause_row(i->cause)->family));
	word(j, "why502.fault", fault_name(i->fault));
	word(j, "why502.confidence", confidence_name(i->confidence));
	word(j, "why502.symptom", symptom_name(i->symptom));
	word(j, "why502.status_source", i->predicted ? "predicted" : "observed");
	word(j, "why502.gateway.product", i->product);
	word(j, "why502.advice", i->n_advice > 0 ? i->advice[0] : NULL);
	word(j, "why502.filter", i->filter);
	packets(j, i);
	json_close(j);
}

static void record(struct otlp *w, const struct incident *i)
{
	struct json *j = &w->j;
	char ns[32];

	(void)snprintf(ns, sizeof ns, "%" PRId64, i->time_ns > 0 ? i->time_ns : 0);
	json_object(j, NULL);
	json_text(j, "timeUnixNano", ns);
	json_text(j, "observedTimeUnixNano", ns);
	json_number(j, "severityNumber", SEVERITY_ERROR);
	json_text(j, "severityText", "ERROR");
	json_object(j, "body");
	json_text(j, "stringValue", i->summary != NULL ? i->summary : "");
	json_close(j);
	attributes(w, i);
	json_close(j);
}

static void line(void *self, const struct incident *i, const struct run_info *run)
{
	struct otlp *w = self;
	struct json *j = &w->j;

	(void)run;
	json_init(j, j->out, 0);
	j->no_hex = true;
	json_object(j, NULL);
	json_array(j, "resourceLogs");
	json_object(j, NULL);
	json_object(j, "resource");
	json_array(j, "attributes");
	word(j, "service.name", "why502");
	word(j, "service.version", w->o.version);
	json_close(j);
	json_close(j);
	json_array(j, "scopeLogs");
	json_object(j, NULL);
	json_object(j, "scope");
	json_text(j, "name", "why502");
	json_text(j, "version", w->o.version);
	json_close(j);
	json_array(j, "logRecords");
	record(w, i);
	while (j->depth > 0)
		json_close(j);
	out_char(j->out, '\n');
	if (w->o.flush)
		out_flush(j->out);
}

static void *otlp_begin(const struct writer_options *o, struct out *out)
{
	struct otlp *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	json_init(&w->j, out, 0);
	return w;
}

static void otlp_incident(void *self, const struct incident *i)
{
	struct otlp *w = self;

	incident_closed(&w->o, i, line, w);
}

static void otlp_end(void *self, const struct report *r, const struct run_info *run)
{
	struct otlp *w = self;

	incidents_at_end(&w->o, r, run, line, w);
	free(w);
}

const struct writer_ops writer_otlp = { .begin = otlp_begin, .incident = otlp_incident, .end = otlp_end, .machine = true };
