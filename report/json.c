/* json.c - the report as JSON (REPORT.md is the contract): one object, or one a line
 *
 * Exchanges are written as they settle, so they come first; the rest once the capture has ended.
 */
#include "../capture/limits.h"
#include "command.h"
#include "json_embed.h"
#include "json_emit.h"
#include "redact.h"
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPORT_SCHEMA = 1 };

struct json_writer {
	struct json j;
	struct writer_options o;
	bool exchanges_open;
	bool listing;           /* an entry of `exchanges` is being written */
	bool named[LIMIT_NAMES];        /* these names' addresses stand in the report */
};

/* ---- pieces -------------------------------------------------------------------------------- */

static void endpoint(struct json *j, const char *key, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT];

	json_text(j, key, endpoint_text(e, text));
}

static void endpoint_or_null(struct json *j, const char *key, bool has, const struct endpoint *e)
{
	if (has)
		endpoint(j, key, e);
	else
		json_null(j, key);
}

static void bytes_or_null(struct json *j, const char *key, struct span s)
{
	if (s.len > 0)
		json_bytes(j, key, s);
	else
		json_null(j, key);
}

static void text_or_null(struct json *j, const char *key, const char *text)
{
	json_text(j, key, text != NULL && text[0] != '\0' ? text : NULL);
}

static void status(struct json *j, const char *key, unsigned n)
{
	if (n != 0)
		json_number(j, key, n);
	else
		json_null(j, key);
}

static void target(struct json_writer *w, struct span s)
{
	struct redacted r;

	/* --exchanges asks for the traffic as it was, to be compared with other readers of it: there alone targets are
	 * whole. Header fields, user information and bodies stay hidden. */
	if (w->listing && !w->o.show_secrets)
		redact_user_information(&r, s);
	else
		redact_target(&r, s, w->o.show_secrets);
	bytes_or_null(&w->j, "target", redacted_span(&r));
}

static void authority(struct json_writer *w, struct span s)
{
	struct redacted r;

	redact_authority(&r, s, w->o.show_secrets);
	bytes_or_null(&w->j, "authority", redacted_span(&r));
}

static void marks(struct json *j, struct mark first, struct mark last)
{
	if (last.packet == 0)           /* no more of it was understood than that it began */
		last = first;
	json_number(j, "first_packet", first.packet);
	json_number(j, "last_packet", last.packet);
	json_time(j, "first", first.time_ns);
	json_time(j, "last", last.time_ns);
}

enum { DETAIL_NAME = 64 };

/* A measured quantity of seconds ends in _s, whatever the rule called it. */
static const char *detail_key(const struct detail *d, char key[static DETAIL_NAME])
{
	size_t n = strlen(d->name);
	bool ends = n >= 2 && strcmp(d->name + n - 2, "_s") == 0;

	(void)snprintf(key, DETAIL_NAME, "%s%s", d->name, d->kind == DETAIL_SECONDS && !ends ? "_s" : "");
	return key;
}

/* A key twice in an object is no JSON to many readers (RFC 8259 4). */
static bool detail_again(const struct detail *d, unsigned i)
{
	char this[DETAIL_NAME], other[DETAIL_NAME];

	detail_key(&d[i], this);
	for (unsigned k = 0; k < i; k++)
		if (strcmp(detail_key(&d[k], other), this) == 0)
			return true;
	return false;
}

static void details(struct json *j, const char *key, const struct detail *d, unsigned n)
{
	char name[DETAIL_NAME];

	json_object(j, key);
	for (unsigned i = 0; i < n; i++) {
		if (detail_again(d, i))
			continue;
		detail_key(&d[i], name);
		switch ((enum detail_kind)d[i].kind) {
		case DETAIL_SECONDS: json_seconds(j, name, d[i].ns); break;
		case DETAIL_COUNT:   json_signed(j, name, d[i].count); break;
		case DETAIL_WORD:    json_text(j, name, d[i].word); break;
		case DETAIL_BOOL:    json_bool(j, name, d[i].yes); break;
		}
	}
	json_close(j);
}

/* ---- EXCHANGE ------------------------------------------------------------------------------ */

static void roles(struct json *j, const struct exchange_view *v)
{
	json_array(j, "roles");
	for (unsigned i = 0; i < v->n_roles; i++) {
		json_object(j, NULL);
		endpoint(j, "gateway", &v->roles[i].gateway);
		json_text(j, "side", v->roles[i].client_side ? "client" : "upstream");
		json_close(j);
	}
	json_close(j);
}

static void stream_id(struct json *j, uint32_t stream)
{
	if (stream != 0)
		json_number(j, "stream", stream);
	else
		json_null(j, "stream");
}

static void full_request(struct json_writer *w, const struct exchange_fact *f)
{
	const struct message *m = &f->x.request;
	struct json *j = &w->j;

	if (m->first.packet == 0) {             /* the capture began after it */
		json_null(j, "request");
		return;
	}
	json_object(j, "request");
	if (f->x.method_text.len > 0)
		json_bytes(j, "method", fact_text(f, f->x.method_text));
	else
		text_or_null(j, "method", method_name(f->x.method));
	authority(w, fact_text(f, f->x.authority));
	target(w, fact_text(f, f->x.target));
	text_or_null(j, "version", version_name(m->version));
	json_number(j, "bytes", m->head_bytes + m->body_bytes);
	marks(j, m->first, m->last);
	json_close(j);
}

static void full_response(struct json *j, const struct exchange_fact *f)
{
	const struct message *m = &f->x.response;

	if (m->first.packet == 0) {
		json_null(j, "response");
		return;
	}
	json_object(j, "response");
	status(j, "status", f->x.status);
	bytes_or_null(j, "reason", fact_text(f, f->x.reason));
	text_or_null(j, "version", version_name(m->version));
	json_number(j, "header_bytes", m->head_bytes);
	json_number(j, "body_bytes", m->body_bytes);
	bytes_or_null(j, "server", fact_text(f, f->x.server));
	marks(j, m->first, m->last);
	json_close(j);
}

static void full_exchange(struct json_writer *w, const struct exchange_fact *f)
{
	struct json *j = &w->j;

	json_number(j, "connection", f->head.conn);
	stream_id(j, f->x.stream);
	endpoint(j, "client", &f->conn.end[CLIENT]);
	if (f->conn.proxied)
		endpoint(j, "proxied_for", &f->conn.proxied_for);
	endpoint(j, "server", &f->conn.end[SERVER]);
	full_request(w, f);
	full_response(j, f);
	json_array(j, "interim");
	for (unsigned i = 0; i < f->x.n_interim && i < LIMIT_INTERIM; i++)
		json_number(j, NULL, f->x.interim[i]);
	json_close(j);
	json_text(j, "outcome", outcome_name(f->x.outcome));
	if (f->x.grpc_status >= 0)
		json_number(j, "grpc_status", (uint64_t)f->x.grpc_status);
	else
		json_null(j, "grpc_status");
}

/* Of an exchange that went well only this much is kept: its texts are not. */
static void brief_exchange(struct json *j, const struct brief_fact *b)
{
	json_number(j, "connection", b->head.conn);
	stream_id(j, b->stream);
	endpoint(j, "client", &b->end[CLIENT]);
	endpoint(j, "server", &b->end[SERVER]);
	json_object(j, "request");
	text_or_null(j, "method", method_name(b->method));
	json_null(j, "authority");
	json_null(j, "target");
	text_or_null(j, "version", version_name(b->version));
	json_number(j, "bytes", b->request_head_bytes + b->request_body);
	json_number(j, "first_packet", b->request.packet);
	json_time(j, "first", b->request.time_ns);
	json_close(j);
	json_object(j, "response");
	status(j, "status", b->status);
	text_or_null(j, "version", version_name(b->response_version));
	json_number(j, "header_bytes", b->response_head_bytes);
	json_number(j, "body_bytes", b->response_body);
	marks(j, b->response_first, b->response);
	json_close(j);
	json_array(j, "interim");
	json_close(j);
	json_text(j, "outcome", outcome_name(b->outcome));
	json_null(j, "grpc_status");
}

static void exchange(struct json_writer *w, const struct exchange_view *v)
{
	json_number(&w->j, "id", v->id);
	roles(&w->j, v);
	if (v->full != NULL)
		full_exchange(w, v->full);
	else if (v->brief != NULL)
		brief_exchange(&w->j, v->brief);
}

/* ---- INCIDENT ------------------------------------------------------------------------------ */

static const char *const closing_names[] = {
	[CLOSING_NONE] = NULL, [CLOSING_FIN] = "fin", [CLOSING_RST] = "rst", [CLOSING_RST_ACK] = "rst-ack",
};

static void attempt(struct json *j, const struct attempt *a)
{
	bool closed = a->closer >= 0 && a->closing != CLOSING_NONE;

	json_object(j, NULL);
	endpoint_or_null(j, "upstream", !address_equal(a->upstream.address, (const uint8_t[16]){ 0 }), &a->upstream);
	if (a->connection >= 0)
		json_signed(j, "connection", a->connection);
	else
		json_null(j, "connection");
	if (a->exchange != 0)
		json_number(j, "exchange", a->exchange);
	else
		json_null(j, "exchange");
	json_text(j, "cause", a->cause >= 0 ? cause_row((unsigned)a->cause)->name : NULL);
	json_text(j, "matched_by", a->matched != MATCHED_NONE ? matched_name(a->matched) : NULL);
	if (a->known_reuse) {
		json_bool(j, "reused", a->reused);
		json_number(j, "request_number", a->request_number);
	} else {
		json_null(j, "reused");
		json_null(j, "request_number");
	}
	if (a->idle_ns >= 0)
		json_seconds(j, "idle_s", a->idle_ns);
	else
		json_null(j, "idle_s");
	json_bool(j, "request_acked", a->request_acked);
	json_text(j, "first_closer", !closed ? NULL : a->closer == SERVER ? "upstream" : "gateway");
	json_text(j, "close_kind", closed ? closing_names[a->closing] : NULL);
	json_close(j);
}

static void incident_gateway(struct json *j, const struct incident *i)
{
	if (!i->has_gateway) {
		json_null(j, "gateway");
		return;
	}
	json_object(j, "gateway");
	endpoint(j, "address", &i->gateway);
	text_or_null(j, "product", i->product);
	text_or_null(j, "product_source", i->product != NULL ? i->product_source : NULL);
	json_close(j);
}

static void incident_request(struct json_writer *w, const struct incident *i)
{
	struct json *j = &w->j;

	if (i->method.len == 0 && i->authority.len == 0 && i->target.len == 0) {
		json_null(j, "request");        /* one-sided, and it never got as far as a request */
		return;
	}
	json_object(j, "request");
	bytes_or_null(j, "method", i->method);
	authority(w, i->authority);
	target(w, i->target);
	text_or_null(j, "version", version_name(i->version));
	json_close(j);
}

static void evidence(struct json *j, const struct incident *i, const struct run_info *run)
{
	json_array(j, "evidence");
	for (unsigned n = 0; n < i->n_evidence; n++) {
		const struct evidence *e = &i->evidence[n];
		unsigned file;
		uint64_t frame;

		json_object(j, NULL);
		json_number(j, "packet", e->at.packet);
		if (run != NULL && run->locate != NULL && run->locate(run->locate_ctx, e->at.packet, &file, &frame)) {
			json_number(j, "file", file);
			json_number(j, "frame", frame);
		}
		json_time(j, "time", e->at.time_ns);
		json_text(j, "text", e->text);
		json_close(j);
	}
	json_close(j);
}

static bool words_again(const struct words *w, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (strcmp(w[k].product, w[i].product) == 0)
			return true;
	return false;
}

static void incident_words(struct json *j, const struct incident *i)
{
	json_object(j, "equivalents");
	for (unsigned n = 0; n < i->n_equivalents; n++)
		if (!words_again(i->equivalents, n))
			json_text(j, i->equivalents[n].product, i->equivalents[n].text);
	json_close(j);
	json_array(j, "advice");
	for (unsigned n = 0; n < i->n_advice; n++)
		json_text(j, NULL, i->advice[n]);
	json_close(j);
}

static void incident_verdict(struct json *j, const struct incident *i)
{
	const struct cause_row *row = cause_row(i->cause);

	json_number(j, "id", i->id);
	json_time(j, "time", i->time_ns);
	json_text(j, "symptom", symptom_name(i->symptom));
	status(j, "status", i->status);
	json_text(j, "status_source", i->predicted ? "predicted" : "observed");
	json_text(j, "cause", row->name);
	json_text(j, "family", family_name(row->family));
	json_text(j, "fault", fault_name(i->fault));
	json_text(j, "confidence", confidence_name(i->confidence));
	json_text(j, "summary", i->summary != NULL ? i->summary : "");
	details(j, "detail", i->details, i->n_details);
}

static void incident(struct json_writer *w, const struct incident *i, const struct run_info *run)
{
	struct json *j = &w->j;
	char command[COMMAND_TEXT];

	incident_verdict(j, i);
	incident_gateway(j, i);
	endpoint_or_null(j, "upstream", i->has_upstream, &i->upstream);
	incident_request(w, i);
	if (i->client_exchange != NULL) {
		json_object(j, "client_exchange");
		exchange(w, i->client_exchange);
		json_close(j);
	} else {
		json_null(j, "client_exchange");
	}
	json_array(j, "attempts");
	for (unsigned n = 0; n < i->n_attempts; n++)
		attempt(j, &i->attempts[n]);
	json_close(j);
	json_array(j, "path");
	for (unsigned n = 0; n < i->n_path; n++)
		endpoint(j, NULL, &i->path[n]);
	json_close(j);
	evidence(j, i, run);
	incident_words(j, i);
	if (i->group != 0)
		json_number(j, "group", i->group);
	text_or_null(j, "filter", i->filter);
	text_or_null(j, "command", tshark_command(run, i, command) ? command : NULL);
}

/* ---- names (-N) ----------------------------------------------------------------------------- */

static void note_name(struct json_writer *w, const struct endpoint *e)
{
	int place = names_find(w->o.names, e->address);

	if (place >= 0)
		w->named[place] = true;
}

static void note_names_of_exchange(struct json_writer *w, const struct exchange_view *v)
{
	const struct endpoint *end = v->full != NULL ? v->full->conn.end : v->brief != NULL ? v->brief->end : NULL;

	for (unsigned i = 0; i < 2 && end != NULL; i++)
		note_name(w, &end[i]);
	if (v->full != NULL && v->full->conn.proxied)
		note_name(w, &v->full->conn.proxied_for);
}

static void note_names_of_incident(struct json_writer *w, const struct incident *i)
{
	note_name(w, &i->gateway);
	note_name(w, &i->upstream);
	if (i->client_exchange != NULL)
		note_names_of_exchange(w, i->client_exchange);
	for (unsigned n = 0; n < i->n_attempts; n++)
		note_name(w, &i->attempts[n].upstream);
	for (unsigned n = 0; n < i->n_path; n++)
		note_name(w, &i->path[n]);
}

/* Those whose addresses stand in the report: who reads it has no use for the rest of a hosts file. */
static void names(struct json_writer *w, const struct report *r)
{
	struct endpoint e = { .port = 0 };
	char text[ENDPOINT_TEXT];

	if (w->o.names == NULL)
		return;
	for (unsigned i = 0; i < r->n_upstreams; i++)
		note_name(w, &r->upstreams[i].address);
	for (unsigned i = 0; i < r->n_gateways; i++)
		note_name(w, &r->gateways[i].front);
	for (unsigned i = 0; i < r->n_groups; i++)
		note_name(w, &r->groups[i].upstream);
	for (unsigned i = 0; i < r->n_incidents; i++)
		note_names_of_incident(w, r->incidents[i]);
	json_object(&w->j, "names");
	for (unsigned i = 0; i < LIMIT_NAMES; i++) {
		if (!w->named[i])
			continue;
		memcpy(e.address, names_address(w->o.names, i), sizeof e.address);
		json_bytes(&w->j, endpoint_text(&e, text), names_at(w->o.names, i));
	}
	json_close(&w->j);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void time_or_null(struct json *j, const char *key, bool has, int64_t ns)
{
	if (has)
		json_time(j, key, ns);
	else
		json_null(j, key);
}

static void file_list(struct json *j, const struct run_info *run)
{
	json_array(j, "files");
	for (unsigned i = 0; i < run->n_files; i++) {
		const struct source_file *f = &run->files[i];

		if (run->n_files == 1) {
			json_bytes(j, NULL, span_text(f->name));
			continue;
		}
		json_object(j, NULL);
		json_bytes(j, "name", span_text(f->name));
		json_number(j, "packets", f->packets);
		time_or_null(j, "first", f->packets > 0, f->first_ns);
		time_or_null(j, "last", f->packets > 0, f->last_ns);
		json_offset(j, "shift_s", f->shift_ns);
		json_close(j);
	}
	json_close(j);
}

static void interface_names(struct json *j, const struct run_info *run)
{
	if (run->n_interfaces == 1) {
		json_bytes(j, "interface", span_text(run->interfaces[0]));
		return;
	}
	json_array(j, "interfaces");
	for (unsigned i = 0; i < run->n_interfaces; i++)
		json_bytes(j, NULL, span_text(run->interfaces[i]));
	json_close(j);
}

static void limits_hit(struct json *j, const struct report *r)
{
	json_object(j, "limits_hit");
	for (unsigned i = 0; i < r->decode.n_limits; i++)
		json_number(j, r->decode.limits[i].name, r->decode.limits[i].count);
	if (r->incidents_cut > 0)
		json_number(j, "incidents_cut", r->incidents_cut);
	if (r->names_dropped > 0)
		json_number(j, "names_dropped", r->names_dropped);
	json_close(j);
}

static void quality(struct json *j, const struct report *r, const struct run_info *run)
{
	json_object(j, "quality");
	json_number(j, "kernel_dropped", run->counters.kernel_dropped);
	json_number(j, "interface_dropped", run->counters.interface_dropped);
	json_number(j, "truncated_packets", run->counters.truncated);
	json_number(j, "undecodable_packets", r->decode.undecodable_packets);
	json_number(j, "packets_left_out", r->decode.left_out);
	json_number(j, "bytes_cut", r->decode.bytes_cut);
	json_number(j, "tcp_gaps", r->decode.tcp_gaps);
	json_number(j, "connections_without_handshake", r->decode.joined_late);
	json_number(j, "encrypted_connections_without_keys", r->decode.encrypted_without_keys);
	json_number(j, "conflicting_segments", r->decode.conflicting_segments);
	json_number(j, "time_went_back", run->counters.time_went_back);
	json_number(j, "seconds_blind", run->counters.seconds_blind);
	limits_hit(j, r);
	json_bool(j, "numbers_exact", r->decode.evicted == 0);
	json_text(j, "sandbox", run->sandbox != NULL ? run->sandbox : "off");
	if (run->trouble != NULL)
		json_bytes(j, "trouble", span_text(run->trouble));
	json_close(j);
}

static void capture(struct json *j, const struct report *r, const struct run_info *run)
{
	json_object(j, "capture");
	if (run->live)
		interface_names(j, run);
	else
		file_list(j, run);
	json_number(j, "packets", run->counters.packets);
	json_number(j, "bytes", run->counters.bytes);
	time_or_null(j, "first", run->counters.packets > 0, run->first_ns);
	time_or_null(j, "last", run->counters.packets > 0, run->last_ns);
	quality(j, r, run);
	json_close(j);
}

static void by_status(struct json *j, const struct report *r)
{
	char name[16];

	json_object(j, "by_status");
	for (unsigned i = 0; i < r->n_by_status; i++) {
		(void)snprintf(name, sizeof name, "%u", r->by_status[i].status);
		json_number(j, r->by_status[i].status != 0 ? name : "none", r->by_status[i].count);
	}
	json_close(j);
}

static void totals(struct json *j, const struct report *r)
{
	json_object(j, "totals");
	json_number(j, "connections", r->connections);
	json_number(j, "exchanges", r->exchanges);
	json_number(j, "requests", r->requests);
	json_number(j, "incidents", r->total_incidents);
	json_number(j, "healed", r->healed);
	json_object(j, "by_cause");
	for (unsigned c = 0; c < CAUSE_COUNT; c++)
		if (r->by_cause[c] > 0)
			json_number(j, cause_row(c)->name, r->by_cause[c]);
	json_close(j);
	by_status(j, r);
	json_close(j);
}

static void spreads(struct json *j, const struct group *g)
{
	json_object(j, "spread");
	for (unsigned i = 0; i < g->n_spreads; i++) {
		const struct spread *s = &g->spreads[i];

		json_object(j, s->name);
		json_seconds(j, "min", s->min_ns);
		json_seconds(j, "median", s->median_ns);
		json_seconds(j, "max", s->max_ns);
		json_close(j);
	}
	json_close(j);
}

static void group(struct json *j, const struct group *g, uint64_t of)
{
	json_object(j, NULL);
	json_number(j, "id", g->id);
	json_text(j, "cause", cause_row(g->cause)->name);
	json_text(j, "fault", fault_name(g->fault));
	json_text(j, "confidence", confidence_name(g->confidence));
	endpoint_or_null(j, "gateway", g->has_gateway, &g->gateway);
	endpoint_or_null(j, "upstream", g->has_upstream, &g->upstream);
	if (g->of != NULL)
		json_text(j, "of", g->of);
	details(j, "detail", g->details, g->n_details);
	json_number(j, "count", g->count);
	json_share(j, "share", g->count, of);
	json_time(j, "first", g->first_ns);
	json_time(j, "last", g->last_ns);
	spreads(j, g);
	json_array(j, "timeline");
	for (size_t i = 0; i < sizeof g->timeline / sizeof g->timeline[0]; i++)
		json_number(j, NULL, g->timeline[i]);
	json_close(j);
	json_array(j, "incidents");
	for (unsigned i = 0; i < g->n_incidents; i++)
		json_number(j, NULL, g->incidents[i]);
	json_close(j);
	json_close(j);
}

static void seconds_or_null(struct json *j, const char *key, int64_t ns)
{
	if (ns >= 0)
		json_seconds(j, key, ns);
	else
		json_null(j, key);
}

static void upstream(struct json *j, const struct upstream_health *u)
{
	json_object(j, NULL);
	endpoint(j, "address", &u->address);
	json_number(j, "requests", u->requests);
	json_number(j, "errors", u->errors);
	json_number(j, "healed", u->healed);
	seconds_or_null(j, "p50_s", u->p50_ns);
	seconds_or_null(j, "p99_s", u->p99_ns);
	if (u->idle_closes > 0) {
		json_object(j, "idle_close_s");
		json_number(j, "n", u->idle_closes);
		json_seconds(j, "min", u->idle_min_ns);
		json_seconds(j, "median", u->idle_median_ns);
		json_seconds(j, "max", u->idle_max_ns);
		json_close(j);
	} else {
		json_null(j, "idle_close_s");
	}
	json_number(j, "resets", u->resets);
	json_number(j, "health_checks", u->health_checks);
	json_close(j);
}

static void gateway(struct json *j, const struct gateway_seen *g)
{
	json_object(j, NULL);
	endpoint(j, "address", &g->front);
	text_or_null(j, "product", g->product);
	text_or_null(j, "product_source", g->product != NULL ? g->product_source : NULL);
	text_or_null(j, "version", g->version);
	json_number(j, "requests", g->requests);
	json_close(j);
}

static void overview(struct json *j, const struct report *r, const struct run_info *run)
{
	capture(j, r, run);
	totals(j, r);
	json_array(j, "groups");
	for (unsigned i = 0; i < r->n_groups; i++)
		group(j, &r->groups[i], r->total_incidents);
	json_close(j);
	json_array(j, "upstreams");
	for (unsigned i = 0; i < r->n_upstreams; i++)
		upstream(j, &r->upstreams[i]);
	json_close(j);
	json_array(j, "gateways");
	for (unsigned i = 0; i < r->n_gateways; i++)
		gateway(j, &r->gateways[i]);
	json_close(j);
	json_array(j, "blind");
	for (unsigned i = 0; i < r->n_blind; i++)
		json_text(j, NULL, r->blind[i]);
	json_close(j);
}

/* ---- as one object ------------------------------------------------------------------------- */

static void head(struct json_writer *w)
{
	json_number(&w->j, "schema", REPORT_SCHEMA);
	json_text(&w->j, "why502", w->o.version);
}

static void *json_begin(const struct writer_options *o, struct out *out)
{
	struct json_writer *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	json_init(&w->j, out, 2);
	json_object(&w->j, NULL);
	head(w);
	if (o->show_secrets)
		json_bool(&w->j, "secrets_shown", true);
	if (o->exchanges) {
		json_array(&w->j, "exchanges");
		w->exchanges_open = true;
	}
	return w;
}

static void json_exchange(void *self, const struct exchange_view *v)
{
	struct json_writer *w = self;

	if (!w->exchanges_open || !view_matches(v, w->o.match))
		return;
	w->listing = true;
	note_names_of_exchange(w, v);
	json_object(&w->j, NULL);
	exchange(w, v);
	json_close(&w->j);
	w->listing = false;
}

static void one_incident(struct json_writer *w, const struct incident *i, const struct run_info *run)
{
	json_object(&w->j, NULL);
	incident(w, i, run);
	json_close(&w->j);
}

static void json_end(void *self, const struct report *r, const struct run_info *run)
{
	struct json_writer *w = self;

	if (w->exchanges_open)
		json_close(&w->j);
	overview(&w->j, r, run);
	json_array(&w->j, "incidents");
	for (unsigned i = 0; i < r->n_incidents; i++) {
		if (!incident_matches(r->incidents[i], w->o.match))
			continue;
		one_incident(w, r->incidents[i], run);
	}
	json_close(&w->j);
	names(w, r);
	json_close(&w->j);
	out_char(w->j.out, '\n');
	free(w);
}

const struct writer_ops writer_json = {
	.begin = json_begin, .exchange = json_exchange, .end = json_end, .machine = true,
};

/* ---- within a page ------------------------------------------------------------------------- */

/* 0: no memory. */
static size_t incident_bytes(const struct json_writer *like, const struct incident *i, const struct run_info *run)
{
	struct json_writer w = { .o = like->o };
	struct out *o = out_memory();
	struct err ignored = { 0 };
	size_t n;

	if (o == NULL)
		return 0;
	json_init(&w.j, o, 0);
	w.j.in_html = true;
	one_incident(&w, i, run);
	n = (size_t)out_total(o);
	(void)out_close(o, &ignored);
	return n;
}

void json_embed(struct out *out, const struct json_embedding *e)
{
	struct json_writer w = { .o = *e->o };
	struct report part = *e->r;
	size_t left = e->bytes;

	part.n_groups = part.n_groups < e->rows ? part.n_groups : e->rows;
	part.n_upstreams = part.n_upstreams < e->rows ? part.n_upstreams : e->rows;
	json_init(&w.j, out, 2);
	w.j.in_html = true;
	json_object(&w.j, NULL);
	head(&w);
	overview(&w.j, &part, e->run);
	json_array(&w.j, "incidents");
	for (unsigned i = 0; i < e->n_incidents; i++) {
		size_t n = incident_bytes(&w, e->incidents[i], e->run);

		if (n == 0 || n > left)
			continue;
		left -= n;
		one_incident(&w, e->incidents[i], e->run);
	}
	json_close(&w.j);
	json_close(&w.j);
}

/* ---- as one object a line ------------------------------------------------------------------ */

static void *ndjson_begin(const struct writer_options *o, struct out *out)
{
	struct json_writer *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	json_init(&w->j, out, 0);
	return w;
}

static void line_begin(struct json_writer *w, const char *type)
{
	json_init(&w->j, w->j.out, 0);
	json_object(&w->j, NULL);
	head(w);
	json_text(&w->j, "type", type);
}

static void line_end(struct json_writer *w)
{
	json_close(&w->j);
	out_char(w->j.out, '\n');
	if (w->o.flush)
		out_flush(w->j.out);
}

static void ndjson_exchange(void *self, const struct exchange_view *v)
{
	struct json_writer *w = self;

	if (!w->o.exchanges || !view_matches(v, w->o.match))
		return;
	note_names_of_exchange(w, v);
	line_begin(w, "exchange");
	exchange(w, v);
	line_end(w);
}

static void incident_line(void *self, const struct incident *i, const struct run_info *run)
{
	struct json_writer *w = self;

	line_begin(w, "incident");
	incident(w, i, run);
	line_end(w);
}

static void ndjson_incident(void *self, const struct incident *i)
{
	struct json_writer *w = self;

	incident_closed(&w->o, i, incident_line, w);
}

static void ndjson_end(void *self, const struct report *r, const struct run_info *run)
{
	struct json_writer *w = self;

	incidents_at_end(&w->o, r, run, incident_line, w);
	line_begin(w, "summary");
	overview(&w->j, r, run);
	names(w, r);
	line_end(w);
	free(w);
}

const struct writer_ops writer_ndjson = {
	.begin = ndjson_begin, .exchange = ndjson_exchange, .incident = ndjson_incident, .end = ndjson_end, .machine = true,
};
