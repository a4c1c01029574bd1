/* totals.c - the report's lists and counts, from all that was found */
#include "builder.h"

#include "gateways.h"
#include "when.h"

#include <stdlib.h>

enum { UPSTREAMS_MAX = 2048 };

/* ---- the report --------------------------------------------------------------------------- */

static int compare_found(const void *a, const void *b)
{
	struct found *const *x = a, *const *y = b;

	if ((*x)->closed.packet != (*y)->closed.packet)
		return (*x)->closed.packet < (*y)->closed.packet ? -1 : 1;
	return ((*x)->told.incident->id > (*y)->told.incident->id) -
	       ((*x)->told.incident->id < (*y)->told.incident->id);
}

bool incident_wanted(const struct report_options *o, const struct incident *i)
{
	return !o->causes_unwanted[i->cause] && (o->faults_unwanted >> i->fault & 1) == 0 && i->confidence >= o->least_confidence;
}

static void list_incidents(struct report_builder *b)
{
	struct report *r = &b->report;

	if (!b->options.live && b->n_found > 1)
		qsort(b->found, b->n_found, sizeof *b->found, compare_found);
	r->incidents = calloc(b->n_found + 1, sizeof *r->incidents);
	if (r->incidents == NULL)
		return;
	for (unsigned i = 0; i < b->n_found; i++) {
		struct incident *x = b->found[i]->told.incident;

		if (!incident_wanted(&b->options, x))
			continue;
		r->incidents[r->n_incidents++] = x;
		if (!b->options.live)
			x->id = r->n_incidents;
		r->by_cause[x->cause]++;
	}
	for (unsigned c = 0; c < CAUSE_COUNT; c++)
		r->by_cause[c] += b->cut_by_cause[c];
	r->total_incidents = r->n_incidents + b->cut;
	r->incidents_cut = b->cut;
	r->names_dropped = names_dropped(b->options.names);
}

static void list_groups(struct report_builder *b)
{
	struct report *r = &b->report;

	for (unsigned i = 0; i < r->n_incidents; i++)
		r->incidents[i]->group = grouping_add(b->grouping, r->incidents[i], true);
	grouping_end(b->grouping, r->incidents, r->n_incidents, b->correlation.first_ns,
		     b->correlation.last_ns);
	r->group_by = b->options.group_by;
	r->groups = grouping_groups(b->grouping, &r->n_groups);
}

static void count_status(struct report *r, uint16_t status)
{
	for (unsigned i = 0; i < r->n_by_status; i++)
		if (r->by_status[i].status == status) {
			r->by_status[i].count++;
			return;
		}
	if (r->n_by_status < 64) {
		r->by_status[r->n_by_status].status = status;
		r->by_status[r->n_by_status++].count = 1;
	}
}

static void count_seen(struct report *r, uint16_t status, uint64_t count)
{
	for (unsigned i = 0; i < r->n_seen_status; i++)
		if (r->seen_status[i].status == status) {
			r->seen_status[i].count += count;
			return;
		}
	if (r->n_seen_status < 64) {
		r->seen_status[r->n_seen_status].status = status;
		r->seen_status[r->n_seen_status++].count = count;
	}
}

/* Requests of clients: all that fronts served but what other gateways asked them; where no front
 * can be read, what was asked of upstreams. */
static void count_requests(struct report_builder *b)
{
	struct report *r = &b->report;
	bool fronts = false;

	for (unsigned i = 0; i < b->roles->n_gateways; i++)
		fronts = fronts || b->roles->gateways[i].plain;
	for (const struct served *s = lru_next(b->roles->served, NULL); s != NULL;
	     s = lru_next(b->roles->served, s)) {
		if (fronts && s->front_of == NO_GATEWAY)
			continue;
		r->requests += s->requests;
		for (unsigned i = 0; i < s->n_status; i++)
			count_seen(r, s->status[i].status, s->status[i].count);
	}
	for (const struct edge *e = lru_next(b->roles->edges, NULL); fronts && e != NULL;
	     e = lru_next(b->roles->edges, e))
		if (e->parent != NO_GATEWAY &&
		    roles_front(b->roles, &e->entry.key.to) != NO_GATEWAY)
			r->requests -= e->requests < r->requests ? e->requests : r->requests;
}

/* Where the user had others grouped, a group need not say at which upstream it was. */
static bool group_at(const struct group *g, const struct endpoint *e, bool upstream)
{
	return upstream ? g->has_upstream && endpoint_equal(&g->upstream, e) : g->has_gateway && endpoint_equal(&g->gateway, e);
}

static bool incident_is_at(const struct incident *i, const struct endpoint *e, bool upstream)
{
	return upstream ? i->has_upstream && endpoint_equal(&i->upstream, e) : i->has_gateway && endpoint_equal(&i->gateway, e);
}

static bool incident_at(const struct report *r, const struct endpoint *e, bool upstream)
{
	for (unsigned i = 0; i < r->n_groups; i++)
		if (group_at(&r->groups[i], e, upstream))
			return true;
	for (unsigned i = 0; r->group_by != GROUP_BY_DEFAULT && i < r->n_incidents; i++)
		if (incident_is_at(r->incidents[i], e, upstream))
			return true;
	return false;
}

static int compare_health(const void *a, const void *b)
{
	const struct upstream_health *x = a, *y = b;

	if (x->requests != y->requests)
		return x->requests > y->requests ? -1 : 1;
	return memcmp(&x->address, &y->address, sizeof x->address);
}

static void list_upstreams(struct report_builder *b)
{
	struct report *r = &b->report;

	r->upstreams = calloc(UPSTREAMS_MAX, sizeof *r->upstreams);
	if (r->upstreams == NULL)
		return;
	for (const struct served *s = lru_next(b->roles->served, NULL);
	     s != NULL && r->n_upstreams < UPSTREAMS_MAX; s = lru_next(b->roles->served, s)) {
		const struct endpoint *e = &s->entry.key.to;
		struct idle_limit idle;

		if (e->port == 0 ||
		    (!s->is_upstream && !s->told_upstream && !incident_at(r, e, true)))
			continue;
		learned_idle(b->learned, e, &idle);
		r->upstreams[r->n_upstreams++] =
			(struct upstream_health){ .address = *e,
						  .requests = s->requests,
						  .errors = s->errors,
						  .healed = s->healed,
						  .resets = s->resets,
						  .health_checks = s->health_checks,
						  .p50_ns = served_latency(s, 50),
						  .p99_ns = served_latency(s, 99),
						  .idle_closes = idle.n,
						  .idle_min_ns = idle.min_ns,
						  .idle_median_ns = idle.median_ns,
						  .idle_max_ns = idle.max_ns };
	}
	qsort(r->upstreams, r->n_upstreams, sizeof *r->upstreams, compare_health);
}

static void list_gateways(struct report_builder *b)
{
	struct report *r = &b->report;

	r->gateways = calloc(GATEWAYS_MAX * FRONTS_MAX, sizeof *r->gateways);
	if (r->gateways == NULL)
		return;
	for (unsigned i = 0; i < b->roles->n_gateways; i++) {
		const struct gateway *g = &b->roles->gateways[i];

		for (unsigned f = 0; f < g->n_fronts; f++) {
			const struct served *s = roles_served(b->roles, &g->fronts[f]);

			r->gateways[r->n_gateways++] = (struct gateway_seen){
				.front = g->fronts[f],
				.product = g->model != NULL && g->model->name[0] != '\0'
						   ? g->model->name
						   : NULL,
				.product_source = g->model == NULL ? NULL
						  : g->model_told  ? "option"
								   : "detected",
				.version = g->version[0] != '\0' ? g->version : NULL,
				.requests = s != NULL ? s->requests : 0
			};
		}
	}
}

/* ---- what this capture cannot show -------------------------------------------------------- */

static void blind(struct report *r, const char *sentence)
{
	if (r->n_blind < sizeof r->blind / sizeof *r->blind && sentence[0] != '\0')
		r->blind[r->n_blind++] = sentence;
}

/* Live the kernel does not say what it leaves out. */
static bool filter_hides(const struct report_builder *b)
{
	return b->options.filter != NULL && (b->report.decode.left_out != 0 || b->options.live);
}

static void blind_to_upstreams(struct report_builder *b)
{
	if (filter_hides(b))
		blind(&b->report,
		      arena_text(&b->arena,
				 "Only the clients' side is seen: your filter '%.200s' hides the "
				 "upstream connections. Let both sides of the gateway through.",
				 b->options.filter));
	else
		blind(&b->report,
		      "Only the clients' side was captured: why a gateway failed cannot be "
		      "seen. Capture on the gateway, on all of its interfaces "
		      "(-i any), without a filter that leaves its upstream connections out.");
}

static void blind_to_clients(struct report_builder *b)
{
	if (filter_hides(b))
		blind(&b->report,
		      arena_text(&b->arena,
				 "One side alone is seen and taken for the upstream side: your filter "
				 "'%.200s' hides the other, so what clients got is predicted.",
				 b->options.filter));
	else
		blind(&b->report,
		      "Only the upstream side was captured: what clients got is predicted. "
		      "Capture on all interfaces of the gateway (-i any).");
}

static void blind_to_http(struct report_builder *b)
{
	if (filter_hides(b))
		blind(&b->report, arena_text(&b->arena,
					     "No HTTP was seen: your filter '%.200s' may hide it.",
					     b->options.filter));
	else if (b->report.decode.left_out != 0)
		blind(&b->report, "No HTTP was seen between --since and --until.");
	else if (b->report.decode.bytes_cut != 0)
		blind(&b->report, "No HTTP was seen.");
	else
		blind(&b->report,
		      "No HTTP was seen. If it is encrypted, give the keys (--keylog); if it "
		      "was cut or filtered out, capture whole packets of both sides.");
}

static void blind_by_snaplen(struct report_builder *b)
{
	char text[WHEN_TEXT];

	if (b->report.decode.bytes_cut == 0)
		return;
	blind(&b->report, arena_text(&b->arena,
				     "Packets were cut when they were captured (snaplen): %s bytes "
				     "of requests, answers and handshakes are missing. Capture "
				     "whole packets (-s 0).",
				     count_text(b->report.decode.bytes_cut, text)));
}

static void find_blind_spots(struct report_builder *b)
{
	struct report *r = &b->report;
	char text[ENDPOINT_TEXT];
	bool any_back = false, any_plain = false, only_client = false, predicted = false;

	for (unsigned i = 0; i < b->roles->n_gateways; i++) {
		const struct gateway *g = &b->roles->gateways[i];

		any_back = any_back || g->reaches;
		any_plain = any_plain || g->plain;
		if (g->encrypted && !g->plain && g->n_fronts != 0)
			blind(r, arena_text(&b->arena,
					    "The clients' side at %s is encrypted and there are no "
					    "keys: what clients got is predicted. Capture "
					    "with a TLS key log and give it with --keylog.",
					    endpoint_text(&g->fronts[0], text)));
	}
	for (unsigned i = 0; i < r->n_incidents; i++)
		predicted = predicted || r->incidents[i]->predicted;
	for (unsigned i = 0; i < r->n_incidents; i++)
		only_client = only_client || (r->incidents[i]->client_exchange != NULL &&
					      r->incidents[i]->n_attempts == 0 &&
					      r->incidents[i]->cause == CAUSE_UNEXPLAINED);
	if (!any_back && only_client)
		blind_to_upstreams(b);
	else if (!any_plain && r->n_blind == 0 && predicted)
		blind_to_clients(b);
	if (!b->roles->http_seen)
		blind_to_http(b);
	blind_by_snaplen(b);
	if (r->decode.encrypted_without_keys != 0 && any_plain)
		blind(r,
		      arena_text(
			      &b->arena,
			      "%llu TLS connections could not be read: give a key log (--keylog).",
			      (unsigned long long)r->decode.encrypted_without_keys));
	if (b->correlation.steps.n != 0)
		blind(r, arena_text(&b->arena,
				    "The capture's clock was set %llu times (first before packet %llu): times "
				    "after that are shown as if it had gone on, and durations across it are not known.",
				    (unsigned long long)b->correlation.steps.n,
				    (unsigned long long)b->correlation.steps.first));
	if (r->decode.tcp_gaps != 0)
		blind(r, arena_text(&b->arena,
				    "%llu bytes that were acknowledged were not captured: some "
				    "evidence is missing.",
				    (unsigned long long)r->decode.tcp_gaps));
}

void builder_fill(struct report_builder *b)
{
	struct report *r = &b->report;

	list_incidents(b);
	for (unsigned i = 0; i < r->n_incidents; i++)
		count_status(r, r->incidents[i]->status);
	list_groups(b);
	count_requests(b);
	list_upstreams(b);
	list_gateways(b);
	find_blind_spots(b);
}
