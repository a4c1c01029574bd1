/* test_correlate.c - which try belongs to which request, told as facts and seen as incidents */
#include "../report/assign.h"
#include "../report/report.h"
#include "../report/roles.h"

#include "check.h"
#include "facts.h"

#include <math.h>

/* ---- a story in facts --------------------------------------------------------------------- */

struct story {
	struct report_options options;
	struct report_builder *builder;
	unsigned live;
};

static void live_incident(void *ctx, const struct incident *i)
{
	struct story *s = ctx;

	(void)i;
	s->live++;
}

static void story_begin(struct story *s, bool live)
{
	struct report_events events = { .ctx = s, .incident = live_incident };
	struct err e = { 0 };

	*s = (struct story){ .options = { .symptoms = 0xf, .live = live } };
	for (unsigned status = 502; status <= 504; status++)
		s->options.status_wanted[status] = 1;
	s->builder = report_new(&s->options, &events, &e);
}

static void tell(struct story *s, const void *fact)
{
	const struct fact *f = fact;
	static uint64_t room[16384 / 8];
	struct fact_batch b = { f->size, sizeof room, (uint8_t *)room };

	memset(room, 0, f->size);
	memcpy(room, f,
	       f->kind == FACT_BRIEF      ? sizeof(struct brief_fact)
	       : f->kind == FACT_EXCHANGE ? sizeof(struct exchange_fact)
	       : f->kind == FACT_CONN     ? sizeof(struct conn_fact)
	       : f->kind == FACT_SYN      ? sizeof(struct syn_fact)
	       : f->kind == FACT_OPEN     ? sizeof(struct open_fact)
	       : f->kind == FACT_ARP      ? sizeof(struct arp_fact)
					  : sizeof(struct fact));
	report_facts(s->builder, &b);
}

static void tell_open(struct story *s, uint32_t conn, struct endpoint client,
		      struct endpoint server, double ms)
{
	struct open_fact f = fact_open_of(conn, client, server, ms);

	tell(s, &f);
}

static void tell_brief(struct story *s, uint32_t conn, struct endpoint client,
		       struct endpoint server, const char *target, double from_ms, double to_ms)
{
	struct brief_fact f = fact_brief_of(conn, client, server, target, from_ms, to_ms);

	tell(s, &f);
}

static void tell_failed(struct story *s, uint32_t conn, struct endpoint client,
			struct endpoint server, const char *target, unsigned status, double from_ms,
			double to_ms)
{
	struct exchange_fact f = fact_exchange_of(conn, client, server, target, from_ms);

	answered(&f, status, to_ms);
	tell(s, &f);
}

static void tell_reset(struct story *s, uint32_t conn, struct endpoint client,
		       struct endpoint server, const char *target, double from_ms, double to_ms)
{
	struct exchange_fact f = fact_exchange_of(conn, client, server, target, from_ms);

	ended(&f, SERVER, CLOSING_RST_ACK, to_ms);
	tell(s, &f);
}

static void tell_refused(struct story *s, uint32_t conn, struct endpoint client,
			 struct endpoint server, double ms)
{
	struct conn_fact f = fact_refused(conn, client, server, ms);

	tell(s, &f);
}

static void tell_tick(struct story *s, double ms)
{
	struct fact f = fact_head(FACT_TICK, sizeof f, 0, at_ms(ms));

	tell(s, &f);
}

static const struct report *story_end(struct story *s)
{
	struct decode_counters none = { 0 };

	return report_end(s->builder, &none);
}

static struct endpoint client_at(unsigned port)
{
	return at_port(10, port);
}
static struct endpoint front(void)
{
	return at_port(1, 80);
}
static struct endpoint back(unsigned port)
{
	return at_port(1, port);
}
static struct endpoint up(void)
{
	return at_port(21, 8080);
}
static struct endpoint up2(void)
{
	return at_port(22, 8080);
}

/* A healthy request through the gateway, so that its sides are known. */
static void tell_healthy(struct story *s, double ms)
{
	tell_open(s, 1, client_at(50001), front(), ms - 1);
	tell_open(s, 2, back(40001), up(), ms - 0.5);
	tell_brief(s, 2, back(40001), up(), "/ok", ms + 1, ms + 3);
	tell_brief(s, 1, client_at(50001), front(), "/ok", ms, ms + 4);
}

/* ---- one request -------------------------------------------------------------------------- */

TEST(refused_connection_within_the_request_is_its_cause)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	tell_refused(&s, 4, back(40002), up(), 100.2);
	tell_failed(&s, 3, client_at(50002), front(), "/cart", 502, 100, 100.4);
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 1);
	CHECK_OR_RETURN(r->n_incidents == 1);
	CHECK_INT(r->incidents[0]->cause, CAUSE_CONNECTION_REFUSED);
	CHECK(endpoint_equal(&r->incidents[0]->upstream, &(struct endpoint){ 0 }) == false);
	CHECK_INT(r->incidents[0]->n_attempts, 1);
	CHECK_INT(r->incidents[0]->attempts[0].matched, MATCHED_UNIQUE);
	CHECK_INT(r->requests, 2);
	report_free(s.builder);
}

TEST(healthy_requests_are_no_incident)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	for (unsigned i = 0; i < 50; i++)
		tell_healthy(&s, 10.0 * i);
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 0);
	CHECK_INT(r->requests, 50);
	CHECK_INT(r->exchanges, 100);
	report_free(s.builder);
}

TEST(other_error_status_of_the_upstream_is_no_incident)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	tell_failed(&s, 4, back(40002), up(), "/gone", 404, 100.1, 100.3);
	tell_failed(&s, 3, client_at(50002), front(), "/gone", 404, 100, 100.4);
	tell_failed(&s, 6, back(40002), up(), "/bug", 500, 200.1, 200.3);
	tell_failed(&s, 5, client_at(50002), front(), "/bug", 500, 200, 200.4);
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 0);
	report_free(s.builder);
}

TEST(gateway_that_asks_nobody_made_no_attempt)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	tell_failed(&s, 3, client_at(50002), front(), "/pay", 503, 100, 100.1);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents == 1);
	CHECK_INT(r->incidents[0]->cause, CAUSE_NO_UPSTREAM_ATTEMPT);
	CHECK(!r->incidents[0]->has_upstream);
	report_free(s.builder);
}

TEST(unlike_request_in_flight_is_not_its_attempt)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	tell_failed(&s, 3, client_at(50002), front(), "/pay", 503, 100, 150);
	tell_reset(&s, 4, back(40002), up(), "/report", 101, 149.9);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents >= 1);
	CHECK_INT(r->incidents[0]->cause, CAUSE_NO_UPSTREAM_ATTEMPT);
	report_free(s.builder);
}

TEST(healed_attempt_is_counted_and_no_incident)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	tell_reset(&s, 4, back(40002), up(), "/cart", 100.1, 105);
	tell_brief(&s, 5, back(40003), up2(), "/cart", 105.2, 107);
	tell_brief(&s, 3, client_at(50002), front(), "/cart", 100, 107.2);
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 0);
	CHECK_INT(r->healed, 1);
	report_free(s.builder);
}

TEST(retries_are_attempts_in_order_and_the_last_is_the_cause)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	tell_refused(&s, 4, back(40002), up2(), 100.1);
	tell_reset(&s, 5, back(40003), up(), "/r", 100.3, 104);
	tell_refused(&s, 6, back(40004), up2(), 104.1);
	tell_failed(&s, 3, client_at(50002), front(), "/r", 503, 100, 104.3);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents == 1);
	CHECK_INT(r->incidents[0]->n_attempts, 3);
	CHECK_INT(r->incidents[0]->attempts[0].connection, 4);
	CHECK_INT(r->incidents[0]->attempts[1].connection, 5);
	CHECK_INT(r->incidents[0]->attempts[2].connection, 6);
	CHECK_INT(r->incidents[0]->cause, CAUSE_CONNECTION_REFUSED);
	report_free(s.builder);
}

TEST(two_requests_keep_their_own_retries)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	tell_refused(&s, 11, back(40011), up2(), 100.1);
	tell_refused(&s, 21, back(40021), up2(), 500.1);
	tell_refused(&s, 12, back(40012), up2(), 1101.2);
	tell_failed(&s, 10, client_at(50010), front(), "/a", 503, 100, 1101.4);
	tell_refused(&s, 22, back(40022), up2(), 1501.2);
	tell_failed(&s, 20, client_at(50020), front(), "/b", 503, 500, 1501.4);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents == 2);
	CHECK_OR_RETURN(r->incidents[0]->n_attempts == 2 && r->incidents[1]->n_attempts == 2);
	CHECK_INT(r->incidents[0]->attempts[0].connection, 11);
	CHECK_INT(r->incidents[0]->attempts[1].connection, 12);
	CHECK_INT(r->incidents[1]->attempts[0].connection, 21);
	CHECK_INT(r->incidents[1]->attempts[1].connection, 22);
	report_free(s.builder);
}

TEST(twin_is_told_once)
{
	struct open_fact a = fact_open_of(4, back(40002), at_port(96, 80), 99),
			 b = fact_open_of(5, back(40002), up(), 99.01);
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	memcpy(b.isn, a.isn, sizeof b.isn);
	tell(&s, &a);
	tell(&s, &b);
	tell_reset(&s, 4, back(40002), at_port(96, 80), "/cart", 100.1, 105);
	tell_reset(&s, 5, back(40002), up(), "/cart", 100.11, 104.99);
	tell_failed(&s, 3, client_at(50002), front(), "/cart", 502, 100, 105.2);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents == 1);
	CHECK_INT(r->incidents[0]->n_attempts, 1);
	CHECK_INT(r->exchanges, 4);
	report_free(s.builder);
}

/* ---- many in flight ----------------------------------------------------------------------- */

TEST(each_failure_in_flight_is_tied_by_what_follows_it)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	for (unsigned i = 0; i < 200; i++)
		tell_open(&s, 2 * i + 1, back(40000 + i), up(), 0.5 * i);
	for (unsigned i = 0; i < 200;
	     i++) { /* all for one path; every twentieth is reset, in another order than asked */
		double from = 0.5 * i, to = 300 + (i * 37 % 200) * 2.0;

		if (i % 20 == 7) {
			tell_reset(&s, 2 * i + 1, back(40000 + i), up(), "/basket", from + 0.2, to);
			tell_failed(&s, 2 * i, client_at(50000 + i), front(), "/basket", 502, from,
				    to + 0.3);
		} else {
			tell_brief(&s, 2 * i + 1, back(40000 + i), up(), "/basket", from + 0.2, to);
			tell_brief(&s, 2 * i, client_at(50000 + i), front(), "/basket", from,
				   to + 0.3);
		}
	}
	r = story_end(&s);
	CHECK_INT(r->n_incidents, 10);
	for (unsigned i = 0; i < r->n_incidents; i++) {
		const struct incident *x = r->incidents[i];

		CHECK_INT(x->cause, CAUSE_RESET_BEFORE_RESPONSE);
		CHECK_INT(x->n_attempts, 1);
		if (x->n_attempts == 1 && x->client_exchange != NULL)
			CHECK_INT(x->attempts[0].connection,
				  x->client_exchange->full->head.conn + 1);
	}
	report_free(s.builder);
}

TEST(alike_candidates_are_matched_as_a_set)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	for (unsigned i = 0; i < 4; i++) /* all at once: time tells nothing, and need not */
		tell_refused(&s, 11 + i, back(40011 + i), up(), 100.2 + 0.001 * i);
	for (unsigned i = 0; i < 4; i++)
		tell_failed(&s, 21 + i, client_at(50011 + i), front(), "/cart", 502,
			    100 + 0.001 * i, 100.5 + 0.001 * i);
	r = story_end(&s);
	CHECK_INT(r->n_incidents, 4);
	for (unsigned i = 0; i < r->n_incidents; i++) {
		CHECK_INT(r->incidents[i]->cause, CAUSE_CONNECTION_REFUSED);
		CHECK_OR_RETURN(r->incidents[i]->n_attempts == 1);
		CHECK_INT(r->incidents[i]->attempts[0].matched, MATCHED_SET);
	}
	report_free(s.builder);
}

TEST(identifier_outweighs_time)
{
	struct exchange_fact u = fact_exchange_of(4, back(40002), up(), "/a", 100.1),
			     v = fact_exchange_of(5, back(40003), up(), "/a", 100.2);
	struct exchange_fact c = fact_exchange_of(6, client_at(50002), front(), "/a", 100);
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	u.x.n_ids = v.x.n_ids = c.x.n_ids = 1;
	u.x.ids[0] = c.x.ids[0] = (struct identifier){ 1, 11 };
	v.x.ids[0] = (struct identifier){ 1, 12 };
	ended(&u, SERVER, CLOSING_FIN, 110);
	ended(&v, SERVER, CLOSING_RST_ACK, 119.9);
	answered(&c, 502, 120);
	tell(&s, &u);
	tell(&s, &v);
	tell(&s, &c);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents >= 1 && r->incidents[0]->n_attempts == 1);
	CHECK_INT(r->incidents[0]->attempts[0].connection, 4);
	CHECK_INT(r->incidents[0]->attempts[0].matched, MATCHED_ID);
	report_free(s.builder);
}

/* ---- tiers -------------------------------------------------------------------------------- */

TEST(chain_is_told_once_where_it_began)
{
	struct endpoint outer = at_port(2, 80), inner = at_port(1, 8000), app = at_port(21, 8080);
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_brief(&s, 3, at_port(1, 42000), app, "/a", 2, 3);
	tell_brief(&s, 2, at_port(2, 41000), inner, "/a", 1, 4);
	tell_brief(&s, 1, client_at(50000), outer, "/a", 0, 5);
	tell_reset(&s, 3, at_port(1, 42000), app, "/b", 102, 110);
	tell_failed(&s, 2, at_port(2, 41000), inner, "/b", 502, 101, 110.2);
	tell_failed(&s, 1, client_at(50000), outer, "/b", 502, 100, 110.4);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents == 1);
	CHECK_INT(r->incidents[0]->cause, CAUSE_RESET_BEFORE_RESPONSE);
	CHECK(endpoint_equal(&r->incidents[0]->upstream, &app));
	CHECK(endpoint_equal(&r->incidents[0]->gateway, &inner));
	CHECK_INT(r->incidents[0]->n_path, 2);
	CHECK(endpoint_equal(&r->incidents[0]->path[1], &outer));
	CHECK_INT(r->incidents[0]->client.port, 50000);
	report_free(s.builder);
}

TEST(upstream_side_alone_is_predicted)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_brief(&s, 1, back(40001), up(), "/ok", 0, 1);
	tell_reset(&s, 2, back(40002), up(), "/cart", 100, 105);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents == 1);
	CHECK(r->incidents[0]->predicted);
	CHECK_INT(r->incidents[0]->cause, CAUSE_RESET_BEFORE_RESPONSE);
	CHECK(r->incidents[0]->client_exchange == NULL);
	CHECK(r->n_blind != 0);
	report_free(s.builder);
}

TEST(failed_health_check_is_no_incident)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_brief(&s, 1, back(40001), up(), "/ok", 0, 1);
	for (unsigned i = 0; i < 6; i++)
		tell_failed(&s, 10 + i, back(41000 + i), up2(), "/healthz", 503, 300.0 * i + 10,
			    300.0 * i + 11);
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 0);
	report_free(s.builder);
}

TEST(port_scan_is_no_incident)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	for (unsigned i = 0; i < 100; i++)
		tell_refused(&s, 10 + i, at_port(99, 55555), at_port(21, 1 + i), 100 + i);
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 0);
	report_free(s.builder);
}

TEST(flood_of_strangers_leaves_the_incident)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	tell_healthy(&s, 0);
	tell_refused(&s, 4, back(40002), up(), 100.2);
	tell_failed(&s, 3, client_at(50002), front(), "/cart", 502, 100, 100.4);
	for (unsigned i = 0; i < 20000; i++) {
		struct syn_fact f =
			fact_syn_of(100 + i, at_port(1000 + i, 1024), front(), 1, 200 + 0.01 * i);

		tell(&s, &f);
	}
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 1);
	report_free(s.builder);
}

TEST(next_hop_asked_for_in_vain_is_the_cause)
{
	struct exchange_fact c = fact_exchange_of(3, client_at(50002), front(), "/", 100);
	struct endpoint asker = at_port(1, 0), lost = at_port(77, 0);
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	for (unsigned i = 0; i < 3; i++) {
		struct arp_fact f = { .head = fact_head(FACT_ARP, sizeof f, 0,
							at_ms(100.2 + 1000.0 * i)) };

		memcpy(f.asker, asker.address, 16);
		memcpy(f.target, lost.address, 16);
		tell(&s, &f);
	}
	answered(&c, 502, 3200);
	tell(&s, &c);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents == 1);
	CHECK_INT(r->incidents[0]->cause, CAUSE_HOST_UNREACHABLE);
	CHECK(address_equal(r->incidents[0]->upstream.address, lost.address));
	CHECK_INT(r->incidents[0]->upstream.port, 0);
	report_free(s.builder);
}

/* ---- closing ------------------------------------------------------------------------------ */

TEST(live_tells_when_the_answer_has_settled)
{
	const struct report *r;
	struct story s;

	story_begin(&s, true);
	tell_healthy(&s, 0);
	tell_refused(&s, 4, back(40002), up(), 100.2);
	tell_failed(&s, 3, client_at(50002), front(), "/cart", 502, 100, 100.4);
	tell_tick(&s, 150);
	CHECK_INT(s.live, 0);
	tell_tick(&s, 400);
	CHECK_INT(s.live, 1);
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 1);
	CHECK_INT(s.live, 1);
	CHECK_INT(r->incidents[0]->cause, CAUSE_CONNECTION_REFUSED);
	report_free(s.builder);
}

/* The last failure at the gateway, which nothing else holds any more, is the reason why it asked nobody; then it is replaced
 * by a newer one before that is told. */
TEST(failure_before_a_request_outlives_the_next_failure)
{
	const struct report *r;
	struct story s;

	story_begin(&s, true);
	tell_healthy(&s, 0);
	tell_failed(&s, 10, client_at(50005), front(), "/first", 502, 90, 91);
	tell_refused(&s, 11, back(40005), up(), 90.2);
	tell_reset(&s, 4, back(40002), up(), "/elsewhere", 90.4, 90.6);
	for (unsigned i = 0; i < 20; i++)
		tell_tick(&s, 400 + 9000.0 * i);
	tell_failed(&s, 7, client_at(50003), front(), "/asks-nobody", 502, 207000, 207000.2);
	tell_refused(&s, 9, back(40004), up(), 207000.6);
	tell_failed(&s, 8, client_at(50004), front(), "/refused", 502, 207000.5, 207001);
	tell_tick(&s, 207500);
	r = story_end(&s);
	CHECK_OR_RETURN(r->n_incidents == 3);
	CHECK_INT(r->incidents[1]->cause, CAUSE_NO_UPSTREAM_ATTEMPT);
	CHECK_INT(r->incidents[2]->cause, CAUSE_CONNECTION_REFUSED);
	report_free(s.builder);
}

TEST(memory_does_not_grow_with_requests)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	for (unsigned i = 0; i < 30000; i++) {
		tell_brief(&s, 2, back(40001), up(), "/ok", i + 0.1, i + 0.3);
		tell_brief(&s, 1, client_at(50001), front(), "/ok", i, i + 0.4);
		if (i % 3000 == 100) {
			tell_refused(&s, 100 + 2 * i, back(41000 + i % 1000), up2(), i + 0.5);
			tell_failed(&s, 101 + 2 * i, client_at(51000 + i % 1000), front(), "/cart",
				    502, i + 0.45, i + 0.6);
		}
		if (i % 50 == 0)
			tell_tick(&s, i + 1);
	}
	r = story_end(&s);
	CHECK_INT(r->total_incidents, 10);
	CHECK_INT(r->n_groups, 1);
	CHECK_INT(r->groups[0].count, 10);
	CHECK_INT(r->requests, 30010);
	report_free(s.builder);
}

TEST(beyond_the_limit_incidents_are_counted)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	report_free(s.builder);
	s.options.max_incidents = 3;
	s.builder = report_new(&s.options, NULL, &(struct err){ 0 });
	tell_healthy(&s, 0);
	for (unsigned i = 0; i < 10; i++) {
		tell_refused(&s, 100 + 2 * i, back(41000 + i), up2(), 1000.0 * i + 100.1);
		tell_failed(&s, 101 + 2 * i, client_at(51000 + i), front(), "/cart", 502,
			    1000.0 * i + 100, 1000.0 * i + 100.3);
	}
	r = story_end(&s);
	CHECK_INT(r->n_incidents, 3);
	CHECK_INT(r->total_incidents, 10);
	CHECK_INT(r->incidents_cut, 7);
	CHECK_INT(r->by_cause[CAUSE_CONNECTION_REFUSED], 10);
	CHECK_INT(r->groups[0].count, 10);
	CHECK_INT(r->groups[0].n_incidents, 3);
	report_free(s.builder);
}

TEST(failures_of_gateways_beyond_the_limit_are_told_once)
{
	enum { N = 300 }; /* GATEWAYS_MAX is 256 */
	const struct report *r;
	struct story s;
	unsigned high = 0;

	story_begin(&s, false);
	for (unsigned i = 0; i < N; i++) {
		double ms = 10.0 * i;
		struct endpoint gateway = at_port(1, 80), asks = at_port(1, 40001);

		gateway.address[13] = asks.address[13] = (uint8_t)(100 + i / 200);
		gateway.address[14] = asks.address[14] = (uint8_t)(i % 200);
		tell_open(&s, 4 * i + 1, client_at(50001), gateway, ms);
		tell_open(&s, 4 * i + 2, asks, up(), ms + 0.5);
		tell_brief(&s, 4 * i + 2, asks, up(), "/ok", ms + 1, ms + 3);
		tell_brief(&s, 4 * i + 1, client_at(50001), gateway, "/ok", ms, ms + 4);
		asks.port++;
		tell_refused(&s, 4 * i + 3, asks, up2(), ms + 6);
		tell_failed(&s, 4 * i + 4, client_at(50002), gateway, "/cart", 502, ms + 5, ms + 7);
	}
	r = story_end(&s);
	CHECK_INT(r->total_incidents, N);
	for (unsigned i = 0; i < r->n_incidents; i++)
		high += r->incidents[i]->confidence == CONFIDENCE_HIGH;
	CHECK_INT(high, 256);
	CHECK_INT(counters_limit_of(&r->decode, LIMIT_NAME_GATEWAYS), 2 * (N - 256));
	report_free(s.builder);
}

TEST(beyond_the_bytes_for_incidents_they_are_counted)
{
	const struct report *r;
	struct story s;

	story_begin(&s, false);
	report_free(s.builder);
	s.options.max_bytes = 20000; /* a few of them, and at least one */
	s.builder = report_new(&s.options, NULL, &(struct err){ 0 });
	tell_healthy(&s, 0);
	for (unsigned i = 0; i < 20; i++) {
		tell_refused(&s, 100 + 2 * i, back(41000 + i), up2(), 1000.0 * i + 100.1);
		tell_failed(&s, 101 + 2 * i, client_at(51000 + i), front(), "/cart", 502,
			    1000.0 * i + 100, 1000.0 * i + 100.3);
	}
	r = story_end(&s);
	CHECK(r->n_incidents > 0 && r->n_incidents < 10);
	CHECK_INT(r->n_incidents + r->incidents_cut, 20);
	CHECK_INT(r->total_incidents, 20);
	CHECK_INT(r->groups[0].count, 20);
	report_free(s.builder);
}

/* ---- assignment --------------------------------------------------------------------------- */

TEST(assignment_is_the_cheapest_of_all)
{
	struct assignment *a = calloc(1, sizeof *a);
	static const double cost[3][3] = { { 4, 1, 3 }, { 2, 0, 5 }, { 3, 2, 2 } };

	CHECK_OR_RETURN(a != NULL);
	a->rows = a->columns = 3;
	a->unassigned = 100;
	for (unsigned i = 0; i < 3; i++)
		memcpy(a->cost[i], cost[i], sizeof cost[i]);
	assign(a);
	CHECK_INT(a->column[0], 1);
	CHECK_INT(a->column[1], 0);
	CHECK_INT(a->column[2], 2);
	free(a);
}

TEST(row_stays_alone_where_nothing_fits)
{
	struct assignment *a = calloc(1, sizeof *a);

	CHECK_OR_RETURN(a != NULL);
	a->rows = 2;
	a->columns = 1;
	a->unassigned = 10;
	a->cost[0][0] = 5;
	a->cost[1][0] = ASSIGN_NEVER;
	assign(a);
	CHECK_INT(a->column[0], 0);
	CHECK_INT(a->column[1], -1);
	a->cost[0][0] = 50;
	assign(a);
	CHECK_INT(a->column[0], -1);
	free(a);
}

TEST(assignment_agrees_with_trying_all)
{
	struct assignment *a = calloc(1, sizeof *a);
	uint32_t random = 1;

	CHECK_OR_RETURN(a != NULL);
	for (unsigned round = 0; round < 200; round++) {
		double best = 1e9, got = 0;

		a->rows = 4;
		a->columns = 5;
		a->unassigned = 40;
		for (unsigned i = 0; i < 4; i++)
			for (unsigned j = 0; j < 5; j++) {
				random = random * 1103515245 + 12345;
				a->cost[i][j] = random >> 24 < 60 ? ASSIGN_NEVER
								  : (double)(random >> 16 & 63);
			}
		for (unsigned all = 0; all < 6 * 6 * 6 * 6; all++) {
			unsigned pick[4] = { all % 6, all / 6 % 6, all / 36 % 6, all / 216 };
			double sum = 0;

			for (unsigned i = 0; i < 4; i++) {
				sum += pick[i] == 5 ? a->unassigned : a->cost[i][pick[i]];
				for (unsigned k = 0; k < i; k++)
					sum += pick[i] != 5 && pick[i] == pick[k] ? ASSIGN_NEVER
										  : 0;
			}
			best = sum < best ? sum : best;
		}
		assign(a);
		for (unsigned i = 0; i < 4; i++)
			got += a->column[i] < 0 ? a->unassigned : a->cost[i][a->column[i]];
		CHECK(fabs(got - best) < 1e-6);
	}
	free(a);
}

TEST_MAIN()
