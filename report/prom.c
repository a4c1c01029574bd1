/* prom.c - the report as counters for Prometheus (text exposition format 0.0.4): what was counted in this run
 *
 * For node_exporter's textfile collector. Labels are few, and never a path; the number of series has a bound, what is beyond it
 * is counted under upstream "other".
 */
#include "escape.h"
#include "writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SERIES_MAX = 1000, STATUS_CLASSES = 6 };

struct prom { struct out *out; struct writer_options o; };

/* One series of why502_incidents_total. `other`: of upstreams that have none of their own. */
struct series {
	struct endpoint gateway, upstream;
	uint16_t status;
	uint8_t  cause, fault;
	bool     has_gateway, has_upstream, other;
	uint64_t count;
};

/* ---- text ------------------------------------------------------------------------------------ */

static void metric(struct prom *w, const char *name, const char *type, const char *help)
{
	out_format(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void value(struct prom *w, const char *name, uint64_t n)
{
	out_format(w->out, "%s %" PRIu64 "\n", name, n);
}

/* Backslash, quote and line feed are escaped (exposition format, "Comments, help text, and type information"); the rest that
 * hides or acts was made plain before. */
static void label(struct prom *w, const char *before, const char *name, struct span text)
{
	struct escaped e;

	out_format(w->out, "%s%s=\"", before, name);
	while (escape_next(&text, ESCAPE_OWN_WORDS, &e)) {
		for (unsigned i = 0; i < e.len; i++) {
			if (e.bytes[i] == '\\' || e.bytes[i] == '"')
				out_char(w->out, '\\');
			out_char(w->out, e.bytes[i]);
		}
	}
	out_char(w->out, '"');
}

static void word(struct prom *w, const char *before, const char *name, const char *text)
{
	label(w, before, name, span_text(text));
}

static void address(struct prom *w, const char *before, const char *name, bool has, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT] = "";

	word(w, before, name, has ? endpoint_text(e, text) : "");
}

/* ---- incidents -------------------------------------------------------------------------------- */

static int compare_ends(const struct endpoint *a, const struct endpoint *b)
{
	int c = memcmp(a->address, b->address, sizeof a->address);

	return c != 0 ? c : (a->port > b->port) - (a->port < b->port);
}

static int compare_series(const void *a, const void *b)
{
	const struct series *x = a, *y = b;
	int c = (x->cause > y->cause) - (x->cause < y->cause);

	c = c != 0 ? c : (x->fault > y->fault) - (x->fault < y->fault);
	c = c != 0 ? c : (x->status > y->status) - (x->status < y->status);
	c = c != 0 ? c : compare_ends(&x->gateway, &y->gateway);
	c = c != 0 ? c : (x->other > y->other) - (x->other < y->other);
	return c != 0 ? c : compare_ends(&x->upstream, &y->upstream);
}

static struct series series_of(const struct incident *i)
{
	struct series s = { .status = i->status, .cause = i->cause, .fault = i->fault, .has_gateway = i->has_gateway,
	                    .has_upstream = i->has_upstream, .count = 1 };

	if (i->has_gateway)
		s.gateway = i->gateway;
	if (i->has_upstream)
		s.upstream = i->upstream;
	return s;
}

/* Equal ones become one. Returns how many are left. */
static unsigned merged(struct series *s, unsigned n)
{
	unsigned kept = 0;

	if (n > 1)
		qsort(s, n, sizeof *s, compare_series);
	for (unsigned i = 0; i < n; i++) {
		if (kept > 0 && compare_series(&s[kept - 1], &s[i]) == 0)
			s[kept - 1].count += s[i].count;
		else
			s[kept++] = s[i];
	}
	return kept;
}

static void fold_others(struct series *s, unsigned n)
{
	for (unsigned i = SERIES_MAX; i < n; i++) {
		s[i].upstream = (struct endpoint){ .port = 0 };
		s[i].other = true;
	}
}

static void one_series(struct prom *w, const struct series *s)
{
	char status[16];

	(void)snprintf(status, sizeof status, s->status != 0 ? "%u" : "none", s->status);
	out_text(w->out, "why502_incidents_total");
	word(w, "{", "cause", cause_row(s->cause)->name);
	word(w, ",", "family", family_name(cause_row(s->cause)->family));
	word(w, ",", "fault", fault_name(s->fault));
	word(w, ",", "status", status);
	address(w, ",", "gateway", s->has_gateway, &s->gateway);
	if (s->other)
		word(w, ",", "upstream", "other");
	else
		address(w, ",", "upstream", s->has_upstream, &s->upstream);
	out_format(w->out, "} %" PRIu64 "\n", s->count);
}

static void incidents(struct prom *w, const struct report *r)
{
	struct series *s = calloc((size_t)r->n_incidents + 1, sizeof *s);
	unsigned n = 0;

	metric(w, "why502_incidents_total", "counter", "Gateway errors by root cause.");
	for (unsigned i = 0; i < r->n_incidents && s != NULL; i++)
		if (incident_matches(r->incidents[i], w->o.match))
			s[n++] = series_of(r->incidents[i]);
	n = merged(s, n);
	if (n > SERIES_MAX) {
		fold_others(s, n);
		n = merged(s, n);
	}
	for (unsigned i = 0; i < n; i++)
		one_series(w, &s[i]);
	free(s);
	metric(w, "why502_incidents_cut_total", "counter", "Incidents that were counted, but not kept in full.");
	value(w, "why502_incidents_cut_total", r->incidents_cut);
}

/* ---- the rest --------------------------------------------------------------------------------- */

static void answers(struct prom *w, const struct report *r)
{
	static const char *const classes[STATUS_CLASSES] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
	uint64_t counts[STATUS_CLASSES] = { 0 };

	for (unsigned i = 0; i < r->n_seen_status; i++) {
		unsigned class = r->seen_status[i].status / 100;

		counts[class < STATUS_CLASSES ? class : 0] += r->seen_status[i].count;
	}
	metric(w, "why502_exchanges_total", "counter", "Answers that clients got.");
	for (unsigned c = 0; c < STATUS_CLASSES; c++)
		out_format(w->out, "why502_exchanges_total{side=\"client\",status_class=\"%s\"} %" PRIu64 "\n", classes[c], counts[c]);
}

static void attempts(struct prom *w, const struct report *r, unsigned n)
{
	metric(w, "why502_upstream_attempts_total", "counter", "Requests to each upstream, by outcome; healed: failed, and made good by a retry.");
	for (unsigned i = 0; i < n; i++) {
		const struct upstream_health *u = &r->upstreams[i];
		uint64_t failed = u->errors + u->healed;
		const struct { const char *outcome; uint64_t count; } all[] = {
			{ "ok", u->requests > failed ? u->requests - failed : 0 }, { "failed", u->errors }, { "healed", u->healed },
		};

		for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
			out_text(w->out, "why502_upstream_attempts_total");
			address(w, "{", "upstream", true, &u->address);
			word(w, ",", "outcome", all[k].outcome);
			out_format(w->out, "} %" PRIu64 "\n", all[k].count);
		}
	}
}

static void quantile(struct prom *w, const struct upstream_health *u, const char *q, int64_t ns)
{
	char text[WHEN_TEXT];

	if (ns < 0)
		return;
	out_text(w->out, "why502_upstream_response_header_seconds");
	address(w, "{", "upstream", true, &u->address);
	word(w, ",", "quantile", q);
	out_format(w->out, "} %s\n", seconds_text(ns, text));
}

static void upstreams(struct prom *w, const struct report *r)
{
	unsigned n = r->n_upstreams < SERIES_MAX ? r->n_upstreams : SERIES_MAX;

	attempts(w, r, n);
	metric(w, "why502_upstream_response_header_seconds", "gauge", "Quantiles of the time from a request's first byte to its answer's.");
	for (unsigned i = 0; i < n; i++) {
		quantile(w, &r->upstreams[i], "0.5", r->upstreams[i].p50_ns);
		quantile(w, &r->upstreams[i], "0.99", r->upstreams[i].p99_ns);
	}
	metric(w, "why502_upstream_resets_total", "counter", "Connections that each upstream reset.");
	for (unsigned i = 0; i < n; i++) {
		out_text(w->out, "why502_upstream_resets_total");
		address(w, "{", "upstream", true, &r->upstreams[i].address);
		out_format(w->out, "} %" PRIu64 "\n", r->upstreams[i].resets);
	}
}

static void capture(struct prom *w, const struct report *r, const struct run_info *run)
{
	char text[WHEN_TEXT];
	const struct { const char *name, *help; uint64_t n; } all[] = {
		{ "why502_packets_total", "Packets read.", run->counters.packets },
		{ "why502_bytes_total", "Bytes of packets read.", run->counters.bytes },
		{ "why502_requests_total", "Requests of clients.", r->requests },
		{ "why502_healed_total", "Failed attempts that a retry made good.", r->healed },
		{ "why502_kernel_dropped_packets_total", "Packets that the kernel dropped.", run->counters.kernel_dropped },
		{ "why502_tcp_gap_bytes_total", "Bytes acknowledged but never captured.", r->decode.tcp_gaps },
		{ "why502_evicted_connections_total", "Connections given up for want of memory.", r->decode.evicted },
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		metric(w, all[i].name, "counter", all[i].help);
		value(w, all[i].name, all[i].n);
	}
	metric(w, "why502_capture_end_timestamp_seconds", "gauge", "When the last packet was captured.");
	out_format(w->out, "why502_capture_end_timestamp_seconds %s\n", seconds_text(run->last_ns, text));
	metric(w, "why502_build_info", "gauge", "The version that wrote this.");
	out_text(w->out, "why502_build_info");
	word(w, "{", "version", run->version);
	out_text(w->out, "} 1\n");
}

/* ---- the writer ------------------------------------------------------------------------------- */

static void *prom_begin(const struct writer_options *o, struct out *out)
{
	struct prom *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->o = *o;
	w->out = out;
	return w;
}

static void prom_end(void *self, const struct report *r, const struct run_info *run)
{
	struct prom *w = self;

	incidents(w, r);
	answers(w, r);
	upstreams(w, r);
	capture(w, r, run);
	free(w);
}

const struct writer_ops writer_prom = { .begin = prom_begin, .end = prom_end, .machine = true };
