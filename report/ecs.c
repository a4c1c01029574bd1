/* ecs.c - one line an incident in the Elastic Common Schema, which Elastic's shippers and OpenSearch take as it is
 *
 * Field names are the schema's (8.11); what it has no word for lies under "why502".
 */
#include "json_emit.h"
#include "redact.h"
#include "writer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define ECS_VERSION "8.11.0"

struct ecs { struct json j; struct writer_options o; };

/* {"ip": "10.0.0.7", "port": 8080, "address": "10.0.0.7"} */
static void endpoint(struct json *j, const char *key, bool has, const struct endpoint *e)
{
	struct endpoint alone = *e;
	char text[ENDPOINT_TEXT];

	if (!has)
		return;
	alone.port = 0;
	json_object(j, key);
	json_text(j, "ip", endpoint_text(&alone, text));
	json_text(j, "address", text);
	if (e->port != 0)
		json_number(j, "port", e->port);
	json_close(j);
}

static void names(struct json *j, const char *key, const char *first, const char *second)
{
	json_array(j, key);
	json_text(j, NULL, first);
	if (second != NULL)
		json_text(j, NULL, second);
	json_close(j);
}

static void event(struct json *j, const struct ecs *w, const struct incident *i)
{
	char id[64];

	(void)w;
	(void)snprintf(id, sizeof id, "%lld-%llu", (long long)i->time_ns, (unsigned long long)i->id);
	json_object(j, "event");
	json_text(j, "kind", "event");
	names(j, "category", "network", "web");
	names(j, "type", "error", "connection");
	json_text(j, "outcome", "failure");
	json_text(j, "module", "why502");
	json_text(j, "dataset", "why502.incident");
	json_text(j, "id", id);
	json_text(j, "code", cause_row(i->cause)->name);
	json_text(j, "reason", i->summary != NULL ? i->summary : "");
	json_close(j);
}

/* The parts of a target that begins with a slash (RFC 9112 3.2.1). */
static void url(struct ecs *w, const struct incident *i)
{
	struct json *j = &w->j;
	struct redacted r;
	struct span target;
	size_t query;

	if (i->target.len == 0 && i->authority.len == 0)
		return;
	json_object(j, "url");
	redact_authority(&r, i->authority, w->o.show_secrets);
	if (i->authority.len > 0)
		json_bytes(j, "domain", redacted_span(&r));
	redact_target(&r, i->target, w->o.show_secrets);
	target = redacted_span(&r);
	query = span_index(target, '?');
	if (target.len > 0)
		json_bytes(j, "original", target);
	if (span_at(target, 0) == '/')
		json_bytes(j, "path", span_first(target, query));
	if (span_at(target, 0) == '/' && query < target.len)
		json_bytes(j, "query", span_from(target, query + 1));
	json_close(j);
}

static void http(struct json *j, const struct incident *i)
{
	const char *version = version_name(i->version);

	json_object(j, "http");
	if (version != NULL && strncmp(version, "HTTP/", 5) == 0 && i->method.len > 0)
		json_text(j, "version", version + 5);
	if (i->method.len > 0) {
		json_object(j, "request");
		json_bytes(j, "method", i->method);
		json_close(j);
	}
	if (i->status != 0) {
		json_object(j, "response");
		json_number(j, "status_code", i->status);
		json_close(j);
	}
	json_close(j);
}

static void own(struct json *j, const struct incident *i)
{
	json_object(j, "why502");
	json_number(j, "incident", i->id);
	json_text(j, "cause", cause_row(i->cause)->name);
	json_text(j, "family", family_name(cause_row(i->cause)->family));
	json_text(j, "fault", fault_name(i->fault));
	json_text(j, "confidence", confidence_name(i->confidence));
	json_text(j, "symptom", symptom_name(i->symptom));
	json_text(j, "status_source", i->predicted ? "predicted" : "observed");
	json_number(j, "attempts", i->n_attempts);
	json_array(j, "packets");
	for (unsigned n = 0; n < i->n_evidence; n++)
		json_number(j, NULL, i->evidence[n].at.packet);
	json_close(j);
	json_array(j, "advice");
	for (unsigned n = 0; n < i->n_advice; n++)
		json_text(j, NULL, i->advice[n]);
	json_close(j);
	json_text(j, "filter", i->filter);
	json_close(j);
}

static void line(void *self, const struct incident *i, const struct run_info *run)
{
	struct ecs *w = self;
	struct json *j = &w->j;

	(void)run;
	json_init(j, j->out, 0);
	j->no_hex = true;
	json_object(j, NULL);
	json_time(j, "@timestamp", i->time_ns);
	json_object(j, "ecs");
	json_text(j, "version", ECS_VERSION);
	json_close(j);
	json_text(j, "message", i->summary != NULL ? i->summary : "");
	json_object(j, "log");
	json_text(j, "level", "error");
	json_close(j);
	event(j, w, i);
	json_object(j, "error");
	json_text(j, "type", cause_row(i->cause)->name);
	json_text(j, "message", i->summary != NULL ? i->summary : "");
	json_close(j);
	http(j, i);
	url(w, i);
	endpoint(j, "client", i->client.port != 0, &i->client);
	endpoint(j, "source", i->client.port != 0, &i->client);
	endpoint(j, "server", i->has_gateway, &i->gateway);
	endpoint(j, "destination", i->has_upstream, &i->upstream);
	json_object(j, "network");
	json_text(j, "transport", "tcp");
	json_text(j, "protocol", "http");
	json_close(j);
	json_object(j, "observer");
	json_text(j, "vendor", "why502");
	json_text(j, "type", "packet-analyzer");
	json_text(j, "version", w->o.version);
	json_close(j);
	own(j, i);
	json_close(j);
	out_char(j->out, '\n');
	if (w->o.flush)
		out_flush(j->out);
}

static void *ecs_begin(const struct writer_options *o, struct out *out)
{
	struct ecs *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	json_init(&w->j, out, 0);
	return w;
}

static void ecs_incident(void *self, const struct incident *i)
{
	struct ecs *w = self;

	incident_closed(&w->o, i, line, w);
}

static void ecs_end(void *self, const struct report *r, const struct run_info *run)
{
	struct ecs *w = self;

	incidents_at_end(&w->o, r, run, line, w);
	free(w);
}

const struct writer_ops writer_ecs = { .begin = ecs_begin, .incident = ecs_incident, .end = ecs_end, .machine = true };
