/* report.c - facts in, incidents out: what is kept, when it is judged, and what is counted */
#include "builder.h"

#include "../capture/limits.h"

#include <stdlib.h>

enum {
	LIVE_MS = 50 /* how often live looks for what has settled */
};

/* ---- beginning ---------------------------------------------------------------------------- */

static void found_one(void *ctx, struct matter *m);
static void take(void *ctx, const struct fact *f);
static void also(void *ctx, const struct endpoint *server, const struct endpoint *other);

static const struct twin_events twin_events = { .pass = take, .also = also };

static bool builder_parts(struct report_builder *b)
{
	b->roles = roles_new(&b->options);
	b->learned = learned_new();
	b->grouping = grouping_new(b->options.group_by);
	b->twins = twins_new(&twin_events, b);
	return store_init(&b->store) && b->roles != NULL && b->learned != NULL &&
	       b->grouping != NULL && b->twins != NULL;
}

struct report_builder *report_new(const struct report_options *o, const struct report_events *ev,
				  struct err *e)
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
	b->correlation = (struct correlation){ .roles = b->roles,
					       .store = &b->store,
					       .learned = b->learned,
					       .options = &b->options,
					       .quality = &b->counters,
					       .found = found_one,
					       .ctx = b };
	return b;
}

void report_free(struct report_builder *b)
{
	if (b == NULL)
		return;
	doubted_clear(&b->doubted);
	for (unsigned i = 0; i < b->n_found; i++)
		found_free(&b->correlation, b->found[i]);
	free(b->found);
	if (b->correlation.store != NULL)
		correlation_clear(&b->correlation);
	store_clear(&b->store);
	roles_free(b->roles);
	learned_free(b->learned);
	grouping_free(b->grouping);
	twins_free(b->twins);
	free(b->report.incidents);
	free(b->report.upstreams);
	free(b->report.gateways);
	arena_clear(&b->arena);
	free(b);
}

static void clock_step(struct clock_steps *s, uint64_t packet)
{
	s->first = s->n == 0 ? packet : s->first;
	s->packets[s->n++ % CLOCK_STEPS_KEPT] = packet;
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

/* Of all that is found, this one included. */
static bool too_much(const struct report_builder *b)
{
	size_t most = b->options.max_bytes != 0 ? b->options.max_bytes : LIMIT_INCIDENT_BYTES;

	return b->n_found >= (b->options.max_incidents != 0 ? b->options.max_incidents : LIMIT_INCIDENTS) ||
	       b->store.held_bytes + b->correlation.found_bytes > most;
}

/* What is too much to keep is judged and counted. */
static void count_only(struct report_builder *b, struct found *x)
{
	if (incident_wanted(&b->options, x->told.incident)) {
		b->cut++;
		b->cut_by_cause[x->told.incident->cause]++;
		grouping_add(b->grouping, x->told.incident, false);
	}
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
	found_judge(&b->correlation, x, b->settled);
	if (x->told.incident ==
	    NULL) { /* it never becomes one: the rules would have to forget what they know */
		found_free(&b->correlation, x);
		return;
	}
	x->told.incident->id = ++b->told;
	if (b->options.live && b->events.incident != NULL && incident_wanted(&b->options, x->told.incident))
		b->events.incident(b->events.ctx, x->told.incident);
	if (too_much(b) || !found_room(b)) {
		count_only(b, x);
		return;
	}
	b->found[b->n_found++] = x;
}

/* ---- facts -------------------------------------------------------------------------------- */

static void tell_exchange(struct report_builder *b, const struct exchange_view *view,
			  const struct endpoint end[2])
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

	return x->outcome == OUTCOME_COMPLETE && x->status < 400 && x->status >= 100 &&
	       x->request.complete && x->request.violations == 0 && x->response.violations == 0 &&
	       !x->response.early && !x->limited && x->request.missing == 0 &&
	       x->response.missing == 0 && f->h2.error_at.packet == 0 && x->grpc_status <= 0;
}

static void brief_of_exchange(struct brief_fact *b, const struct exchange_fact *f)
{
	const struct exchange_facts *x = &f->x;

	*b = (struct brief_fact){ .head = f->head,
				  .ordinal = x->ordinal,
				  .stream = x->stream,
				  .request = x->request.first,
				  .response = x->response.last,
				  .response_first = x->response.first,
				  .idle_ns = x->idle_ns,
				  .target_hash = x->target_hash,
				  .path_hash = x->path_hash,
				  .tail_hash = x->tail_hash,
				  .authority_hash = x->authority_hash,
				  .agent_hash = x->agent_hash,
				  .pass_hash = x->pass_hash,
				  .request_body = x->request.body_bytes,
				  .response_body = x->response.body_bytes,
				  .request_head_bytes = x->request.head_bytes,
				  .response_head_bytes = x->response.head_bytes,
				  .n_ids = x->n_ids,
				  .method = x->method,
				  .version = x->request.version,
				  .response_version = x->response.version,
				  .status = x->status,
				  .signs = (uint16_t)x->request.signs,
				  .response_signs = (uint16_t)x->response.signs,
				  .via_count = x->via_count,
				  .xff_count = x->xff_count,
				  .outcome = x->outcome,
				  .tls = x->tls,
				  .said_close = x->said_close,
				  .coded = x->content_encoding.len != 0 };
	memcpy(b->end, f->conn.end, sizeof b->end);
	memcpy(b->ids, x->ids, sizeof b->ids);
	memcpy(b->software, x->software, sizeof b->software);
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

/* RFC 7766, RFC 7858. What was asked there comes as FACT_DNS; a connection to it is no try at an upstream. */
static bool to_name_server(const struct endpoint *server)
{
	return server->port == 53 || server->port == 853;
}

static void conn(struct report_builder *b, const struct conn_fact *f)
{
	if (f->conn.exchanges == 0 && to_name_server(&f->conn.end[SERVER]))
		return;
	roles_fact(b->roles, &f->head);
	if (f->conn.exchanges != 0) {
		store_forget_open(&b->store, f->head.conn, 0);
		return;
	}
	store_keep(&b->store, &f->head,
		   roles_may_pass_on(b->roles, &f->conn.end[CLIENT], &f->conn.end[SERVER])
			   ? LIST_MAIN
			   : LIST_STRANGERS,
		   0);
	b->waiting = true;
}

static void syn(struct report_builder *b, const struct syn_fact *f)
{
	if (to_name_server(&f->end[SERVER]))
		return;
	roles_fact(b->roles, &f->head);
	store_keep(&b->store, &f->head,
		   roles_knows(b->roles, f->end[CLIENT].address) ? LIST_MAIN : LIST_STRANGERS, 0);
	b->waiting = true;
}

static void opened(struct report_builder *b, const struct open_fact *f)
{
	if (!to_name_server(&f->end[SERVER]))
		roles_fact(b->roles, &f->head);
}

static bool memory_presses(const struct report_builder *b)
{
	return b->store.n_briefs - b->briefs_then > BRIEFS_MAX / 2 ||
	       b->store.lists[LIST_MAIN].bytes > KEPT_BYTES / 2 ||
	       b->store.lists[LIST_CONTROL].count > CONTROL_MAX / 2;
}

/* Files are settled as late as memory allows, since later facts tell more; live, as things happen.
 * At ticks alone: by then all that was due has been told, of every connection. Between them, where a batch of facts
 * happens to be full, it may be half of what a packet brought: the try of a request, and not the request. */
static void settle(struct report_builder *b)
{
	bool due =
		b->options.live ? b->now_ns - b->then_ns >= LIVE_MS * NS_PER_MS : memory_presses(b);

	if (!due)
		return;
	if (b->waiting && (b->options.live || b->now_ns - b->then_ns >= NS_PER_S / 4)) {
		b->then_ns = b->now_ns;
		correlate(&b->correlation, twins_told_until(b->twins, b->now_ns), false);
		b->waiting =
			b->store.lists[LIST_MAIN].count + b->store.lists[LIST_STRANGERS].count != 0;
	}
	b->briefs_then = b->waiting ? b->briefs_then : b->store.n_briefs;
}

/* A fact, twins left out. */
static void take(void *ctx, const struct fact *f)
{
	struct report_builder *b = ctx;
	const void *p = f;

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
		opened(b, p);
		store_forget_open(&b->store, f->conn, 0);
		break;
	case FACT_ICMP:
	case FACT_ARP:
		store_keep(&b->store, f, LIST_CONTROL, 0);
		break;
	case FACT_DNS:
		if (b->options.names != NULL)
			names_fact(b->options.names, p);
		store_keep(&b->store, f, LIST_CONTROL, 0);
		break;
	case FACT_CLOCK_STEP:
		clock_step(&b->correlation.steps, f->at.packet);
		break;
	case FACT_TICK:
		settle(b);
		break;
	default:
		break;
	}
}

static void also(void *ctx, const struct endpoint *server, const struct endpoint *other)
{
	struct report_builder *b = ctx;

	roles_also(b->roles, server, other);
}

static void note_time(struct report_builder *b, int64_t at_ns)
{
	b->now_ns = at_ns > b->now_ns ? at_ns : b->now_ns;
	b->correlation.last_ns = b->now_ns;
	if (b->correlation.first_ns == 0)
		b->correlation.first_ns = at_ns;
}

void report_facts(struct report_builder *b, const struct fact_batch *facts)
{
	for (const struct fact *f = fact_next(facts, NULL); f != NULL; f = fact_next(facts, f)) {
		note_time(b, f->at.time_ns);
		twins_fact(b->twins, f);
		if (roles_due(b->roles, &b->store))
			roles_infer(b->roles, &b->store, false);
	}
}

/* ---- the end ------------------------------------------------------------------------------ */

static void judge_again(struct report_builder *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n_found; i++) {
		found_judge(&b->correlation, b->found[i], true);
		if (b->found[i]->told.incident != NULL)
			b->found[n++] = b->found[i];
		else
			found_free(&b->correlation, b->found[i]);
	}
	b->n_found = n;
}

/* All facts have come. */
static void settle_all(struct report_builder *b, const struct decode_counters *c)
{
	if (b->settled)
		return;
	b->settled = true;
	if (c != NULL)
		b->counters = *c;
	twins_end(b->twins);
	correlate(&b->correlation, b->now_ns, true);
}

bool report_doubts(struct report_builder *b, const struct decode_counters *c, struct doubts *d)
{
	settle_all(b, c);
	doubted_gather(&b->doubted, b->found, b->n_found);
	*d = (struct doubts){ (const struct endpoint(*)[2])b->doubted.ends, b->doubted.n,
			      b->doubted.last };
	return d->n != 0;
}

void report_facts_again(struct report_builder *b, const struct fact_batch *facts)
{
	for (const struct fact *f = fact_next(facts, NULL); f != NULL; f = fact_next(facts, f))
		if (f->kind == FACT_EXCHANGE)
			doubted_fact(&b->doubted, &b->correlation, (const void *)f);
}

const struct report *report_end(struct report_builder *b, const struct decode_counters *c)
{
	struct report *r = &b->report;

	if (b->ended)
		return r;
	settle_all(b, c);
	b->ended = true;
	if (c != NULL)
		b->counters = *c;
	counters_limit(&b->counters, LIMIT_NAME_MEMORY, b->store.out_of_memory);
	counters_limit(&b->counters, LIMIT_NAME_GATEWAYS, b->roles->n_unplaced);
	judge_again(b);
	r->decode = b->counters;
	r->connections = c != NULL ? c->connections : b->connections;
	r->exchanges = b->exchanges;
	r->healed = b->correlation.healed;
	builder_fill(b);
	return r;
}
