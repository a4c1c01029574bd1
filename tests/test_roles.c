/* test_roles.c - who is a gateway, and for whom */
#include "../report/roles.h"

#include "check.h"
#include "facts.h"

struct scene {
	struct report_options options;
	struct store store;
	struct roles *roles;
	uint64_t id;
};

static void scene_begin(struct scene *s)
{
	*s = (struct scene){ 0 };
	CHECK(store_init(&s->store));
	s->roles = roles_new(&s->options);
}

static void scene_end(struct scene *s)
{
	roles_free(s->roles);
	store_clear(&s->store);
}

static void scene_brief(struct scene *s, uint32_t conn, struct endpoint client,
			struct endpoint server, const char *target, double from_ms, double to_ms)
{
	struct brief_fact f = fact_brief_of(conn, client, server, target, from_ms, to_ms);

	roles_fact(s->roles, &f.head);
	store_brief(&s->store, &f, ++s->id);
}

static void scene_exchange(struct scene *s, const struct exchange_fact *f)
{
	roles_fact(s->roles, &f->head);
	store_keep(&s->store, &f->head, LIST_MAIN, ++s->id);
}

static void scene_refused(struct scene *s, const struct conn_fact *f)
{
	roles_fact(s->roles, &f->head);
	store_keep(&s->store, &f->head, LIST_MAIN, 0);
}

/* One request from `client` through front and back to the upstream. */
static void scene_pass(struct scene *s, uint32_t conn, struct endpoint client,
		       struct endpoint front, struct endpoint back, struct endpoint up,
		       const char *target, double ms)
{
	scene_brief(s, conn + 1, back, up, target, ms + 1, ms + 4);
	scene_brief(s, conn, client, front, target, ms, ms + 5);
}

TEST(host_that_serves_and_asks_is_a_gateway)
{
	struct endpoint front = at_port(1, 80), back = at_port(1, 40000), up = at_port(21, 8080);
	struct scene s;
	int g;

	scene_begin(&s);
	scene_pass(&s, 1, at_port(10, 50000), front, back, up, "/a", 0);
	roles_infer(s.roles, &s.store, true);
	g = roles_front(s.roles, &front);
	CHECK_OR_RETURN(g != NO_GATEWAY);
	CHECK_INT(roles_back(s.roles, &back, &up), g);
	CHECK_INT(roles_front(s.roles, &up), NO_GATEWAY);
	CHECK(s.roles->gateways[g].plain);
	CHECK_INT(s.roles->gateways[g].pairs, 1);
	scene_end(&s);
}

TEST(other_back_address_is_joined_after_three_like_pairs)
{
	struct endpoint front = at_port(1, 80), back = at_port(2, 40000), up = at_port(21, 8080);
	struct scene s;

	scene_begin(&s);
	for (unsigned i = 0; i < 20;
	     i++) /* much that is not like anything: this is no small capture */
		scene_brief(&s, 100 + i, back, up, "/other", 10.0 * i, 10.0 * i + 1);
	for (unsigned i = 0; i < 2; i++)
		scene_pass(&s, 1 + i * 2, at_port(10, 50000), front, back, up, "/a",
			   1000 + 10.0 * i);
	roles_infer(s.roles, &s.store, true);
	CHECK_INT(roles_back(s.roles, &back, &up), NO_GATEWAY);
	scene_pass(&s, 51, at_port(10, 50000), front, back, up, "/b", 2000);
	roles_infer(s.roles, &s.store, true);
	CHECK(roles_back(s.roles, &back, &up) != NO_GATEWAY);
	CHECK_INT(roles_back(s.roles, &back, &up), roles_front(s.roles, &front));
	scene_end(&s);
}

TEST(one_pair_joins_in_a_small_capture)
{
	struct endpoint front = at_port(1, 80), back = at_port(2, 40000), up = at_port(21, 8080);
	struct scene s;

	scene_begin(&s);
	scene_pass(&s, 1, at_port(10, 50000), front, back, up, "/a", 0);
	roles_infer(s.roles, &s.store, true);
	CHECK(roles_back(s.roles, &back, &up) != NO_GATEWAY);
	scene_end(&s);
}

TEST(requests_in_flight_do_not_turn_the_gateway_round)
{
	struct endpoint front = at_port(1, 80), up = at_port(21, 8080);
	struct scene s;

	scene_begin(&s);
	for (unsigned i = 0; i < 100;
	     i++) { /* each lies within the upstream exchanges of those before it */
		struct endpoint client = at_port(10, 50000 + i), back = at_port(1, 40000 + i);

		scene_brief(&s, 2 * i + 1, back, up, "/a", i + 0.2, i + 90 - 0.5 * (i % 7));
		scene_brief(&s, 2 * i, client, front, "/a", i, i + 95 - 0.5 * (i % 7));
	}
	roles_infer(s.roles, &s.store, true);
	CHECK(roles_front(s.roles, &front) != NO_GATEWAY);
	CHECK_INT(roles_front(s.roles, &up), NO_GATEWAY);
	scene_end(&s);
}

TEST(ports_tell_on_loopback)
{
	struct endpoint front = loopback(80), up = loopback(8080), back = loopback(40000);
	struct scene s;

	scene_begin(&s);
	scene_pass(&s, 1, loopback(50000), front, back, up, "/a", 0);
	roles_infer(s.roles, &s.store, true);
	CHECK(roles_front(s.roles, &front) != NO_GATEWAY);
	CHECK_INT(roles_front(s.roles, &up), NO_GATEWAY);
	CHECK_INT(roles_back(s.roles, &back, &up), roles_front(s.roles, &front));
	CHECK_INT(roles_back(s.roles, &back, &front), NO_GATEWAY);
	scene_end(&s);
}

TEST(failed_connection_within_a_failed_request_joins)
{
	struct endpoint front = at_port(1, 80), back = at_port(2, 40000), up = at_port(21, 8080);
	struct exchange_fact c = fact_exchange_of(1, at_port(10, 50000), front, "/a", 10);
	struct conn_fact u = fact_refused(2, back, up, 10.2);
	struct scene s;

	scene_begin(&s);
	answered(&c, 502, 10.4);
	scene_refused(&s, &u);
	scene_exchange(&s, &c);
	roles_infer(s.roles, &s.store, true);
	CHECK(roles_front(s.roles, &front) != NO_GATEWAY);
	CHECK_INT(roles_back(s.roles, &back, &up), roles_front(s.roles, &front));
	scene_end(&s);
}

TEST(chain_has_two_gateways)
{
	struct endpoint outer = at_port(2, 80), inner = at_port(1, 8000), app = at_port(21, 8080);
	struct scene s;

	scene_begin(&s);
	for (unsigned i = 0; i < 3; i++) {
		double ms = 10.0 * i;

		scene_brief(&s, 3, at_port(1, 42000), app, "/a", ms + 2, ms + 3);
		scene_brief(&s, 2, at_port(2, 41000), inner, "/a", ms + 1, ms + 4);
		scene_brief(&s, 1, at_port(10, 50000), outer, "/a", ms, ms + 5);
	}
	roles_infer(s.roles, &s.store, true);
	CHECK(roles_front(s.roles, &outer) != NO_GATEWAY);
	CHECK(roles_front(s.roles, &inner) != NO_GATEWAY);
	CHECK(roles_front(s.roles, &outer) != roles_front(s.roles, &inner));
	CHECK_INT(roles_front(s.roles, &app), NO_GATEWAY);
	scene_end(&s);
}

TEST(told_gateway_needs_no_guess)
{
	struct gateway_option told = { .front = at_port(1, 80),
				       .backs = { at_port(2, 0) },
				       .n_backs = 1,
				       .product = "nginx" };
	struct endpoint back = at_port(2, 40000), up = at_port(21, 8080);
	struct scene s;

	s = (struct scene){ 0 };
	CHECK(store_init(&s.store));
	s.options.gateways = &told;
	s.options.n_gateways = 1;
	s.roles = roles_new(&s.options);
	scene_brief(&s, 1, back, up, "/a", 1, 2);
	roles_infer(s.roles, &s.store, true);
	CHECK_INT(roles_back(s.roles, &back, &up), 0);
	CHECK(s.roles->gateways[0].model_told);
	scene_end(&s);
}

TEST(one_target_at_a_fixed_period_is_a_check)
{
	struct endpoint back = at_port(1, 40000), up = at_port(21, 8080);
	const struct edge *e;
	struct scene s;

	scene_begin(&s);
	for (unsigned i = 0; i < 5; i++) {
		scene_brief(&s, 10 + i, back, up, "/healthz", 300.0 * i, 300.0 * i + 1);
		scene_brief(&s, 20 + i, back, up, "/shop", 70.0 * i * i, 70.0 * i * i + 1);
	}
	e = roles_edge(s.roles, &back, &up);
	CHECK_OR_RETURN(e != NULL);
	CHECK(edge_checks(e, target_of("/healthz")));
	CHECK(!edge_checks(e, target_of("/shop")));
	CHECK(!edge_checks(e, target_of("/never")));
	scene_end(&s);
}

TEST(latency_percentiles_are_within_a_quarter)
{
	struct endpoint up = at_port(21, 8080);
	const struct served *seen;
	struct scene s;

	scene_begin(&s);
	for (unsigned i = 0; i < 100; i++)
		scene_brief(&s, 1, at_port(1, 40000), up, "/a", 10.0 * i,
			    10.0 * i + (i < 98 ? 2.0 : 400.0));
	seen = roles_served(s.roles, &up);
	CHECK_OR_RETURN(seen != NULL);
	CHECK(served_latency(seen, 50) > 1500000 && served_latency(seen, 50) < 2500000);
	CHECK(served_latency(seen, 99) > 300000000 && served_latency(seen, 99) < 500000000);
	scene_end(&s);
}

TEST_MAIN()
