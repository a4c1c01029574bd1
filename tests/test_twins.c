/* test_twins.c - a connection that was captured at two points is told once */
#include "../report/twins.h"

#include "check.h"
#include "facts.h"

enum { TOLD_MAX = 256 };

struct hearer {
	struct twins *twins;
	struct {
		uint16_t kind;
		uint32_t conn;
	} told[TOLD_MAX];
	unsigned n_told, n_also;
	struct endpoint also[2]; /* the last: told, and besides */
};

static void hear(void *ctx, const struct fact *f)
{
	struct hearer *h = ctx;

	if (f->kind == FACT_TICK || h->n_told == TOLD_MAX)
		return;
	h->told[h->n_told].kind = f->kind;
	h->told[h->n_told++].conn = f->conn;
}

static void hear_also(void *ctx, const struct endpoint *server, const struct endpoint *also)
{
	struct hearer *h = ctx;

	h->also[0] = *server;
	h->also[1] = *also;
	h->n_also++;
}

static void hearer_begin(struct hearer *h)
{
	static const struct twin_events events = { .pass = hear, .also = hear_also };

	*h = (struct hearer){ 0 };
	h->twins = twins_new(&events, h);
}

static void hearer_end(struct hearer *h)
{
	twins_end(h->twins);
	twins_free(h->twins);
	h->twins = NULL;
}

/* How many facts of this connection were told. */
static unsigned times_told(const struct hearer *h, uint32_t conn)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->n_told; i++)
		n += h->told[i].conn == conn;
	return n;
}

static struct endpoint client(void)
{
	return at_port(10, 50000);
}
static struct endpoint gateway(void)
{
	return at_port(1, 80);
}
static struct endpoint back(void)
{
	return at_port(1, 40000);
}
static struct endpoint upstream(void)
{
	return at_port(20, 8080);
}
static struct endpoint service(void)
{
	return at_port(96, 80);
}

static void open_is(struct hearer *h, uint32_t conn, struct endpoint from, struct endpoint to,
		    uint32_t isn, double ms)
{
	struct open_fact f = fact_open_of(conn, from, to, ms);

	f.isn[CLIENT] = isn;
	f.isn[SERVER] = isn + 77;
	twins_fact(h->twins, &f.head);
}

static void brief_is(struct hearer *h, uint32_t conn, struct endpoint from, struct endpoint to,
		     double ms)
{
	struct brief_fact f = fact_brief_of(conn, from, to, "/", ms - 1, ms);

	twins_fact(h->twins, &f.head);
}

static void refused_is(struct hearer *h, uint32_t conn, struct endpoint from, struct endpoint to,
		       uint32_t isn, double ms)
{
	struct conn_fact f = fact_refused(conn, from, to, ms);

	f.conn.side[CLIENT].isn = isn;
	twins_fact(h->twins, &f.head);
}

static void syn_is(struct hearer *h, uint32_t conn, struct endpoint from, struct endpoint to,
		   uint32_t isn, bool final, double ms)
{
	struct syn_fact f = fact_syn_of(conn, from, to, 1, ms);

	f.isn = isn;
	f.final = final;
	twins_fact(h->twins, &f.head);
}

static void tick_is(struct hearer *h, double ms)
{
	struct fact f = fact_head(FACT_TICK, sizeof f, 0, at_ms(ms));

	twins_fact(h->twins, &f);
}

/* ---- which sight -------------------------------------------------------------------------- */

TEST(upstream_connection_is_told_where_its_syn_passed_first)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), gateway(), 100, 1);
	open_is(&h, 3, back(), upstream(), 200, 2.02); /* its SYN-ACK is seen there first */
	open_is(&h, 2, back(), service(), 200, 2);
	brief_is(&h, 3, back(), upstream(), 5);
	brief_is(&h, 2, back(), service(), 5.1);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 1), 1);
	CHECK_INT(times_told(&h, 2), 2);
	CHECK_INT(times_told(&h, 3), 0);
	CHECK_INT(h.n_also, 1);
	CHECK_INT(h.also[0].port, service().port);
	CHECK_INT(h.also[1].port, upstream().port);
}

TEST(client_connection_is_told_behind_the_balancer)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), service(), 100, 1);
	open_is(&h, 2, client(), gateway(), 100, 1.02);
	open_is(&h, 3, back(), upstream(), 200, 2);
	brief_is(&h, 1, client(), service(), 5);
	brief_is(&h, 2, client(), gateway(), 5);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 1), 0);
	CHECK_INT(times_told(&h, 2), 2);
	CHECK_INT(times_told(&h, 3), 1);
}

TEST(a_balancer_that_asks_from_its_own_address_is_not_the_client)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), service(), 100, 1);
	open_is(&h, 2, at_port(30, 60000), gateway(), 100, 1.02);
	brief_is(&h, 1, client(), service(), 5);
	brief_is(&h, 2, at_port(30, 60000), gateway(), 5);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 1), 0);
	CHECK_INT(times_told(&h, 2), 2);
}

TEST(source_translation_is_told_from_the_gateways_own_address)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), gateway(), 100, 1);
	open_is(&h, 2, back(), upstream(), 200, 2);
	open_is(&h, 3, at_port(30, 61000), upstream(), 200, 2.02);
	brief_is(&h, 2, back(), upstream(), 5);
	brief_is(&h, 3, at_port(30, 61000), upstream(), 5);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 2), 2);
	CHECK_INT(times_told(&h, 3), 0);
	CHECK_INT(h.n_also, 0);
}

TEST(three_points_are_one_connection)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), gateway(), 100, 1);
	open_is(&h, 2, back(), service(), 200, 2);
	open_is(&h, 3, back(), upstream(), 200, 2.02);
	open_is(&h, 4, at_port(30, 61000), upstream(), 200, 2.04);
	tick_is(&h, 100);
	for (uint32_t conn = 2; conn <= 4; conn++)
		brief_is(&h, conn, back(), upstream(), 105);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 2), 2);
	CHECK_INT(times_told(&h, 3) + times_told(&h, 4), 0);
}

/* ---- without all numbers ------------------------------------------------------------------ */

TEST(refused_twins_are_known_by_the_clients_number)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), gateway(), 100, 1);
	refused_is(&h, 2, back(), upstream(), 200, 2.02);
	refused_is(&h, 3, back(), service(), 200, 2);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 2), 0);
	CHECK_INT(times_told(&h, 3), 1);
}

TEST(unanswered_twins_stay_one_through_all_their_facts)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), gateway(), 100, 1);
	for (unsigned i = 0; i < 3; i++) {
		syn_is(&h, 2, back(), service(), 200, i == 2, 2);
		syn_is(&h, 3, back(), upstream(), 200, i == 2, 2.02);
		tick_is(&h, 1100 + 1000 * i);
	}
	hearer_end(&h);
	CHECK_INT(times_told(&h, 2), 3);
	CHECK_INT(times_told(&h, 3), 0);
}

TEST(more_facts_of_the_one_that_is_told_are_no_twins_of_the_others)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), gateway(), 100, 1);
	open_is(&h, 3, back(), upstream(), 200, 2.02); /* by an ACK of an older connection */
	open_is(&h, 2, back(), service(), 200, 2);
	tick_is(&h, 100);
	refused_is(&h, 3, back(), upstream(), 200, 2.02);
	refused_is(&h, 2, back(), service(), 200, 2);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 2), 2);
	CHECK_INT(times_told(&h, 3), 0);
}

TEST(answered_at_one_point_only_is_still_one)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), gateway(), 100, 1);
	open_is(&h, 3, back(), upstream(), 200, 2.02);
	syn_is(&h, 2, back(), service(), 200, true, 2);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 2) + times_told(&h, 3), 1);
}

TEST(joined_late_twins_are_known_by_their_first_segment)
{
	struct open_fact a = fact_open_of(1, back(), service(), 1),
			 b = fact_open_of(2, back(), upstream(), 1.02),
			 c = fact_open_of(3, at_port(1, 40002), upstream(), 1.1);
	struct hearer h;

	a.joined_late = b.joined_late = c.joined_late = true;
	a.syn = b.syn = c.syn = a.syn_ack = b.syn_ack = c.syn_ack = (struct mark){ 0, 0 };
	a.stamp = b.stamp = 4711;
	c.stamp = 4712;
	memcpy(b.isn, a.isn, sizeof b.isn);
	memcpy(c.isn, a.isn, sizeof c.isn);
	hearer_begin(&h);
	twins_fact(h.twins, &a.head);
	twins_fact(h.twins, &b.head);
	twins_fact(h.twins, &c.head);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 1) + times_told(&h, 2), 1);
	CHECK_INT(times_told(&h, 3), 1);
}

TEST(twin_that_comes_late_is_not_told)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, back(), service(), 200, 2);
	tick_is(&h, 100);
	CHECK_INT(times_told(&h, 1), 1);
	open_is(&h, 2, back(), upstream(), 200, 302); /* a host whose clock is behind */
	brief_is(&h, 2, back(), upstream(), 310);
	brief_is(&h, 1, back(), service(), 10);
	hearer_end(&h);
	CHECK_INT(times_told(&h, 1), 2);
	CHECK_INT(times_told(&h, 2), 0);
}

/* ---- what is no twin ---------------------------------------------------------------------- */

TEST(numbers_that_never_change_make_no_twins)
{
	struct hearer h;

	hearer_begin(&h);
	for (uint32_t i = 0; i < 20; i++) /* a test's packets, by hand */
		open_is(&h, i, at_port(10, 50000 + i), gateway(), 1000, i);
	for (uint32_t i = 0; i < 5; i++) /* and numbers that are not known */
		open_is(&h, 20 + i, at_port(11 + i, 50000), gateway(), 0, 30 + i);
	hearer_end(&h);
	CHECK_INT(h.n_told, 25);
}

TEST(another_servers_number_makes_another_connection)
{
	struct open_fact a = fact_open_of(1, back(), service(), 1),
			 b = fact_open_of(2, back(), upstream(), 1.02);
	struct hearer h;

	hearer_begin(&h);
	b.isn[CLIENT] = a.isn[CLIENT];
	twins_fact(h.twins, &a.head);
	twins_fact(h.twins, &b.head);
	hearer_end(&h);
	CHECK_INT(h.n_told, 2);
}

TEST(same_client_number_much_later_is_another_try)
{
	struct hearer h;

	hearer_begin(&h);
	refused_is(&h, 2, back(), upstream(), 200, 2);
	refused_is(&h, 3, back(), service(), 200, 1500);
	hearer_end(&h);
	CHECK_INT(h.n_told, 2);
}

/* ---- many, and order ---------------------------------------------------------------------- */

TEST(facts_of_one_connection_stay_in_order)
{
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 1, client(), gateway(), 100, 1);
	brief_is(&h, 1, client(), gateway(), 2);
	hearer_end(&h);
	CHECK_OR_RETURN(h.n_told == 2);
	CHECK_INT(h.told[0].kind, FACT_OPEN);
	CHECK_INT(h.told[1].kind, FACT_BRIEF);
}

TEST(ten_thousand_twins_at_once_are_told_once)
{
	enum { PAIRS = 10000 };
	unsigned wrong = 0;
	struct hearer h;

	hearer_begin(&h);
	open_is(&h, 0, client(), gateway(), 7, 0);
	for (uint32_t i = 1; i <= PAIRS; i++) {
		struct endpoint from = at_port(1, 10000 + i);

		open_is(&h, 2 * i, from, service(), i * 2654435761u, i * 0.01);
		open_is(&h, 2 * i + 1, from, upstream(), i * 2654435761u, i * 0.01 + 0.005);
	}
	tick_is(&h, 1000);
	for (uint32_t i = 1; i <= PAIRS; i++) {
		h.n_told = 0;
		brief_is(&h, 2 * i, at_port(1, 10000 + i), service(), 1001);
		wrong += h.n_told != 1;
		brief_is(&h, 2 * i + 1, at_port(1, 10000 + i), upstream(), 1001);
		wrong += h.n_told != 1;
	}
	for (uint32_t i = 1; i <= PAIRS; i++) { /* nothing of them is kept */
		struct close_fact f = fact_close_of(2 * i + 1, at_port(1, 10000 + i), upstream(),
						    SERVER, 1, 1, 1002);

		h.n_told = 0;
		twins_fact(h.twins, &f.head);
		wrong += h.n_told != 0;
	}
	hearer_end(&h);
	CHECK_INT(wrong, 0);
}

TEST_MAIN()
