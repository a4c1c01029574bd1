/* report.c - facts in, incidents out: what is kept, when it is judged, and what is counted */
#include "report.h"

#include "../capture/limits.h"
#include "assemble.h"
#include "gateways.h"
#include "group.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	TWINS_MAX     = 4096,           /* connections opened lately, by their initial sequence numbers; a power of two */
	TWIN_SECONDS  = 5,
	LIVE_MS       = 50,             /* how often live looks for what has settled */
	UPSTREAMS_MAX = 2048
};

/* A connection seen at two points has one set of exchanges: those of the point that saw it first. */
struct twin_slot { uint32_t isn[2]; uint32_t conn; int64_t time_ns; struct endpoint end[2]; };

struct report_builder {
	struct report_options options;
	struct report_events events;
	struct store store;
	struct roles *roles;
	struct learned *learned;
	struct correlation correlation;
	struct decode_counters counters;        /* none until the end */
	struct found **found;
	unsigned n_found, found_size;
	struct grouping *grouping;
	uint64_t next_id, connections, exchanges;
	uint64_t cut, cut_by_cause[CAUSE_COUNT];        /* beyond max_incidents */
	uint64_t told;                  /* live */
	uint64_t briefs_then;           /* when last correlated */
	int64_t now_ns, then_ns;
	bool waiting, ended;
	struct twin_slot *twins;        /* ring by hash of isn */
	uint32_t *twin_conns;           /* second sights: by conn, conn + 1; 0: none */
	uint64_t n_twins;
	struct report report;
	struct arena arena;             /* of the report's own texts */
};

/* ---- beginning ---------------------------------------------------------------------------- */

static void found_one(void *ctx, struct matter *m);

static bool builder_parts(struct report_builder *b)
{
	b->roles = roles_new(&b->options);
	b->learned = learned_new();
	b->grouping = grouping_new();
	b->twins = calloc(TWINS_MAX, sizeof *b->twins);
	b->twin_conns = calloc(TWINS_MAX, sizeof *b->twin_conns);
	return store_init(&b->store) && b->roles != NULL && b->learned != NULL && b->grouping != NULL && b->twins != NULL && b->twin_conns != NULL;
}

struct report_builder *report_new(const struct report_options *o, const struct report_events *ev, struct err *e)
{
	struct report_builder *b = calloc(1, sizeof *b);

	if (b == NULL) {
		err_set(e, ERR_MEMORY, "no memory for the report");
		return NULL;
	}
	b->options = *o;
	if (ev != NULL)
		b->events = *ev;
	arena_init(&b->arena, 1 << 20);
	if (!builder_parts(b)) {
		err_set(e, ERR_MEMORY, "no memory for the report");
		report_free(b);
		return NULL;
	}
	b->correlation = (struct correlation){
		.roles = b->roles, .store = &b->store, .learned = b->learned, .options = &b->options, .quality = &b->counters,
		.found = found_one, .ctx = b
	};
	return b;
}

void report_free(struct report_builder *b)
{
	if (b == NULL)
		return;
	for (unsigned i = 0; i < b->n_found; i++)
		found_free(&b->correlation, b->found[i]);
	free(b->found);
	if (b->correlation.store != NULL)
		correlation_clear(&b->correlation);
	store_clear(&b->store);
	roles_free(b->roles);
	learned_free(b->learned);
	grouping_free(b->grouping);
	free(b->twins);
	free(b->twin_conns);
	free(b->report.incidents);
	free(b->report.upstreams);
	free(b->report.gateways);
	arena_clear(&b->arena);
	free(b);
}

/* ---- twins -------------------------------------------------------------------------------- */

static void note_twin(struct report_builder *b, uint32_t conn)
{
	b->twin_conns[conn & (TWINS_MAX - 1)] = conn + 1;
	b->n_twins++;
}

static bool is_twin(const struct report_builder *b, uint32_t conn)
{
	return b->n_twins != 0 && b->twin_conns[conn & (TWINS_MAX - 1)] == conn + 1;
}

static void twin_open(struct report_builder *b, const struct open_fact *f)
{
	struct twin_slot *t;

	if (f->joined_late || f->isn[CLIENT] == 0 || f->isn[SERVER] == 0)
		return;
	t = &b->twins[(f->isn[CLIENT] * UINT32_C(2654435761) ^ f->isn[SERVER]) >> 20];
	if (t->isn[CLIENT] == f->isn[CLIENT] && t->isn[SERVER] == f->isn[SERVER] && t->conn != f->head.conn &&
	    f->head.at.time_ns - t->time_ns < TWIN_SECONDS * NS_PER_S) {
		note_twin(b, f->head.conn);
		return;
	}
	*t = (struct twin_slot){ { f->isn[CLIENT], f->isn[SERVER] }, f->head.conn, f->head.at.time_ns, { f->end[CLIENT], f->end[SERVER] } };
}

/* ---- incidents ---------------------------------------------------------------------------- */

static bool found_room(struct report_builder *b)
{
	unsigned size = b->found_size == 0 ? 16 : b->found_size * 2;
	struct found **found;

	if (b->n_found < b->found_size)
		return true;
	found = realloc(b->found, size * sizeof *found);
	if (found == NULL)
		return false;
	b->found = found;
	b->found_size = size;
	return true;
}

static unsigned max_incidents(const struct report_builder *b)
{
	return b->options.max_incidents != 0 ? b->options.max_incidents : LIMIT_INCIDENTS;
}

/* What is too much to keep is judged and counted. */
static void count_only(struct report_builder *b, struct found *x)
{
	b->cut++;
	b->cut_by_cause[x->incident->cause]++;
	grouping_add(b->grouping, x->incident, false);
	found_free(&b->correlation, x);
}

static void found_one(void *ctx, struct matter *m)
{
	struct report_builder *b = ctx;
	struct found *x;

	if (!matter_matters(m, &b->options))
		return;
	x = found_new(&b->correlation, m);
	if (x == NULL)
		return;
	found_judge(&b->correlation, x, b->ended);
	if (x->incident == NULL) {      /* it never becomes one: the rules would have to forget what they know */
		found_free(&b->correlation, x);
		return;
	}
	x->incident->id = ++b->told;
	if (b->options.live && b->events.incident != NULL)
		b->events.incident(b->events.ctx, x->incident);
	if (b->n_found >= max_incidents(b) || !found_room(b)) {
		count_only(b, x);
		return;
	}
	b->found[b->n_found++] = x;
}

/* ---- facts -------------------------------------------------------------------------------- */

static void tell_exchange(struct report_builder *b, const struct exchange_view *view, const struct endpoint end[2])
{
	struct exchange_view v = *view;
	int front, back;

	front = roles_front(b->roles, &end[SERVER]);
	back = roles_back(b->roles, &end[CLIENT], &end[SERVER]);
	if (front != NO_GATEWAY) {
		v.roles[v.n_roles].gateway = end[SERVER];
		v.roles[v.n_roles++].client_side = true;
	}
	if (back != NO_GATEWAY && b->roles->gateways[back].n_fronts != 0) {
		v.roles[v.n_roles].gateway = b->roles->gateways[back].fronts[0];
		v.roles[v.n_roles++].client_side = false;
	}
	b->events.exchange(b->events.ctx, &v);
}

/* An exchange told whole only because all are listed is as good as a brief. */
static bool ended_well(const struct exchange_fact *f)
{
	const struct exchange_facts *x = &f->x;

	return x->outcome == OUTCOME_COMPLETE && x->status < 400 && x->status >= 100 && x->request.complete && x->request.violations == 0 &&
	       x->response.violations == 0 && !x->response.early && !x->limited && x->request.missing == 0 && x->response.missing == 0 &&
	       f->h2.error_at.packet == 0 && x->grpc_status <= 0;
}

static void brief_of_exchange(struct brief_fact *b, const struct exchange_fact *f)
{
	const struct exchange_facts *x = &f->x;

	*b = (struct brief_fact){
		.head = f->head, .ordinal = x->ordinal, .stream = x->stream, .request = x->request.first, .response = x->response.last,
		.response_first = x->response.first, .idle_ns = x->idle_ns, .target_hash = x->target_hash, .path_hash = x->path_hash,
		.tail_hash = x->tail_hash, .authority_hash = x->authority_hash, .agent_hash = x->agent_hash, .pass_hash = x->pass_hash,
		.request_body = x->request.body_bytes, .response_body = x->response.body_bytes, .request_head_bytes = x->request.head_bytes,
		.response_head_bytes = x->response.head_bytes, .n_ids = x->n_ids, .method = x->method, .version = x->request.version,
		.response_version = x->response.version, .status = x->status, .signs = (uint16_t)x->request.signs,
		.response_signs = (uint16_t)x->response.signs, .via_count = x->via_count, .xff_count = x->xff_count, .outcome = x->outcome,
		.tls = x->tls, .said_close = x->said_close
	};
	memcpy(b->end, f->conn.end, sizeof b->end);
	memcpy(b->ids, x->ids, sizeof b->ids);
	b->head.kind = FACT_BRIEF;
	b->head.size = (sizeof *b + 7) & ~7u;
}

static bool exchanges_wanted(const struct report_builder *b)
{
	return b->events.exchange != NULL && b->options.exchanges;
}

static void brief(struct report_builder *b, const struct brief_fact *f)
{
	b->exchanges++;
	b->next_id++;
	roles_fact(b->roles, &f->head);
	store_forget_open(&b->store, f->head.conn, f->request.packet);
	store_brief(&b->store, f, b->next_id);
	if (exchanges_wanted(b))
		tell_exchange(b, &(struct exchange_view){ .brief = f, .id = b->next_id }, f->end);
}

static void exchange(struct report_builder *b, const struct exchange_fact *f)
{
	struct exchange_view v = { .full = f };
	struct brief_fact well;

	if (!f->final) {
		store_keep(&b->store, &f->head, LIST_MAIN, 0);
		return;
	}
	b->exchanges++;
	v.id = ++b->next_id;
	if (exchanges_wanted(b))
		tell_exchange(b, &v, f->conn.end);
	if (b->options.exchanges && ended_well(f)) {
		brief_of_exchange(&well, f);
		roles_fact(b->roles, &well.head);
		store_forget_open(&b->store, f->head.conn, f->x.request.first.packet);
		store_brief(&b->store, &well, v.id);
		return;
	}
	roles_fact(b->roles, &f->head);
	store_keep(&b->store, &f->head, LIST_MAIN, v.id);
	b->waiting = true;
}

static void conn(struct report_builder *b, const struct conn_fact *f)
{
	roles_fact(b->roles, &f->head);
	if (f->conn.exchanges != 0) {
		store_forget_open(&b->store, f->head.conn, 0);
		return;
	}
	store_keep(&b->store, &f->head, f->conn.handshake.packet == 0 && !roles_knows(b->roles, f->conn.end[CLIENT].address) ? LIST_STRANGERS : LIST_MAIN, 0);
	b->waiting = true;
}

static void syn(struct report_builder *b, const struct syn_fact *f)
{
	roles_fact(b->roles, &f->head);
	store_keep(&b->store, &f->head, roles_knows(b->roles, f->end[CLIENT].address) ? LIST_MAIN : LIST_STRANGERS, 0);
	b->waiting = true;
}

static bool memory_presses(const struct report_builder *b)
{
	return b->store.n_briefs - b->briefs_then > BRIEFS_MAX / 2 || b->store.lists[LIST_MAIN].bytes > KEPT_BYTES / 2 ||
	       b->store.lists[LIST_CONTROL].count > CONTROL_MAX / 2;
}

/* Files are settled as late as memory allows, since later facts tell more; live, as things happen. */
static void settle(struct report_builder *b)
{
	bool due = b->options.live ? b->now_ns - b->then_ns >= LIVE_MS * NS_PER_MS : memory_presses(b);

	if (!due)
		return;
	if (b->waiting && (b->options.live || b->now_ns - b->then_ns >= NS_PER_S / 4)) {
		b->then_ns = b->now_ns;
		correlate(&b->correlation, b->now_ns, false);
		b->waiting = b->store.lists[LIST_MAIN].count + b->store.lists[LIST_STRANGERS].count != 0;
	}
	b->briefs_then = b->waiting ? b->briefs_then : b->store.n_briefs;
}

static void take(struct report_builder *b, const struct fact *f)
{
	const void *p = f;

	b->now_ns = f->at.time_ns > b->now_ns ? f->at.time_ns : b->now_ns;
	b->correlation.last_ns = b->now_ns;
	if (b->correlation.first_ns == 0)
		b->correlation.first_ns = f->at.time_ns;
	if (f->kind == FACT_OPEN)
		twin_open(b, p);
	if (f->kind >= FACT_OPEN && f->kind <= FACT_CONN && is_twin(b, f->conn))
		return;
	learned_fact(b->learned, f);
	switch (f->kind) {
	case FACT_BRIEF:
		brief(b, p);
		break;
	case FACT_EXCHANGE:
		exchange(b, p);
		break;
	case FACT_CONN:
		conn(b, p);
		break;
	case FACT_SYN:
		syn(b, p);
		break;
	case FACT_OPEN:
		b->connections++;
		roles_fact(b->roles, f);
		store_forget_open(&b->store, f->conn, 0);
		break;
	case FACT_ICMP: case FACT_ARP: case FACT_DNS:
		store_keep(&b->store, f, LIST_CONTROL, 0);
		break;
	case FACT_TICK:
		settle(b);
		break;
	default:
		break;
	}
}

void report_facts(struct report_builder *b, const struct fact_batch *facts)
{
	for (const struct fact *f = fact_next(facts, NULL); f != NULL; f = fact_next(facts, f)) {
		take(b, f);
		if (roles_due(b->roles, &b->store))
			roles_infer(b->roles, &b->store);
	}
	settle(b);
}

/* ---- the report --------------------------------------------------------------------------- */

static int compare_found(const void *a, const void *b)
{
	struct found *const *x = a, *const *y = b;

	if ((*x)->closed.packet != (*y)->closed.packet)
		return (*x)->closed.packet < (*y)->closed.packet ? -1 : 1;
	return ((*x)->incident->id > (*y)->incident->id) - ((*x)->incident->id < (*y)->incident->id);
}

static void judge_again(struct report_builder *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n_found; i++) {
		found_judge(&b->correlation, b->found[i], true);
		if (b->found[i]->incident != NULL)
			b->found[n++] = b->found[i];
		else
			found_free(&b->correlation, b->found[i]);
	}
	b->n_found = n;
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
		struct incident *x = b->found[i]->incident;

		if (!b->options.live)
			x->id = i + 1;
		r->incidents[r->n_incidents++] = x;
		r->by_cause[x->cause]++;
	}
	for (unsigned c = 0; c < CAUSE_COUNT; c++)
		r->by_cause[c] += b->cut_by_cause[c];
	r->total_incidents = r->n_incidents + b->cut;
	r->incidents_cut = b->cut;
}

static void list_groups(struct report_builder *b)
{
	struct report *r = &b->report;

	for (unsigned i = 0; i < r->n_incidents; i++)
		r->incidents[i]->group = grouping_add(b->grouping, r->incidents[i], true);
	grouping_end(b->grouping, r->incidents, r->n_incidents, b->correlation.first_ns, b->correlation.last_ns);
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

/* Requests of clients: all that fronts served but what other gateways asked them; where no front can be read, what was asked of upstreams. */
static void count_requests(struct report_builder *b)
{
	struct report *r = &b->report;
	bool fronts = false;

	for (unsigned i = 0; i < b->roles->n_gateways; i++)
		fronts = fronts || b->roles->gateways[i].plain;
	for (const struct served *s = lru_next(b->roles->served, NULL); s != NULL; s = lru_next(b->roles->served, s)) {
		if (fronts && s->front_of == NO_GATEWAY)
			continue;
		r->requests += s->requests;
		for (unsigned i = 0; i < s->n_status; i++)
			count_seen(r, s->status[i].status, s->status[i].count);
	}
	for (const struct edge *e = lru_next(b->roles->edges, NULL); fronts && e != NULL; e = lru_next(b->roles->edges, e))
		if (e->parent != NO_GATEWAY && roles_front(b->roles, &e->entry.key.to) != NO_GATEWAY)
			r->requests -= e->requests < r->requests ? e->requests : r->requests;
}

static bool incident_at(const struct report *r, const struct endpoint *e, bool upstream)
{
	for (unsigned i = 0; i < r->n_groups; i++)
		if (upstream ? r->groups[i].has_upstream && endpoint_equal(&r->groups[i].upstream, e)
		             : r->groups[i].has_gateway && endpoint_equal(&r->groups[i].gateway, e))
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
	for (const struct served *s = lru_next(b->roles->served, NULL); s != NULL && r->n_upstreams < UPSTREAMS_MAX; s = lru_next(b->roles->served, s)) {
		const struct endpoint *e = &s->entry.key.to;
		struct idle_limit idle;

		if (e->port == 0 || (!s->is_upstream && !s->told_upstream && !incident_at(r, e, true)))
			continue;
		learned_idle(b->learned, e, &idle);
		r->upstreams[r->n_upstreams++] = (struct upstream_health){
			.address = *e, .requests = s->requests, .errors = s->errors, .healed = s->healed, .resets = s->resets,
			.health_checks = s->health_checks, .p50_ns = served_latency(s, 50), .p99_ns = served_latency(s, 99),
			.idle_closes = idle.n, .idle_min_ns = idle.min_ns, .idle_median_ns = idle.median_ns, .idle_max_ns = idle.max_ns
		};
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
				.front = g->fronts[f], .product = g->model != NULL && g->model->name[0] != '\0' ? g->model->name : NULL,
				.product_source = g->model == NULL ? NULL : g->model_told ? "option" : "detected",
				.version = g->version[0] != '\0' ? g->version : NULL, .requests = s != NULL ? s->requests : 0
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
			blind(r, arena_text(&b->arena, "The clients' side at %s is encrypted and there are no keys: what clients got is predicted. Capture "
			                    "with a TLS key log and give it with --keylog.", endpoint_text(&g->fronts[0], text)));
	}
	for (unsigned i = 0; i < r->n_incidents; i++)
		predicted = predicted || r->incidents[i]->predicted;
	for (unsigned i = 0; i < r->n_incidents; i++)
		only_client = only_client || (r->incidents[i]->client_exchange != NULL && r->incidents[i]->n_attempts == 0 && r->incidents[i]->cause == CAUSE_UNEXPLAINED);
	if (!any_back && only_client)
		blind(r, "Only the clients' side was captured: why a gateway failed cannot be seen. Capture on the gateway, on all of its interfaces "
		         "(-i any), without a filter that leaves its upstream connections out.");
	else if (!any_plain && r->n_blind == 0 && predicted)
		blind(r, "Only the upstream side was captured: what clients got is predicted. Capture on all interfaces of the gateway (-i any).");
	if (!b->roles->http_seen)
		blind(r, "No HTTP was seen. If it is encrypted, give the keys (--keylog); if it was cut or filtered out, capture whole packets of both sides.");
	if (r->decode.encrypted_without_keys != 0 && any_plain)
		blind(r, arena_text(&b->arena, "%llu TLS connections could not be read: give a key log (--keylog).", (unsigned long long)r->decode.encrypted_without_keys));
	if (r->decode.tcp_gaps != 0)
		blind(r, arena_text(&b->arena, "%llu bytes that were acknowledged were not captured: some evidence is missing.", (unsigned long long)r->decode.tcp_gaps));
}

const struct report *report_end(struct report_builder *b, const struct decode_counters *c)
{
	struct report *r = &b->report;

	if (b->ended)
		return r;
	b->ended = true;
	if (c != NULL)
		b->counters = *c;
	correlate(&b->correlation, b->now_ns, true);
	judge_again(b);
	r->decode = b->counters;
	r->connections = c != NULL ? c->connections : b->connections;
	r->exchanges = b->exchanges;
	r->healed = b->correlation.healed;
	list_incidents(b);
	for (unsigned i = 0; i < r->n_incidents; i++)
		count_status(r, r->incidents[i]->status);
	list_groups(b);
	count_requests(b);
	list_upstreams(b);
	list_gateways(b);
	find_blind_spots(b);
	return r;
}
