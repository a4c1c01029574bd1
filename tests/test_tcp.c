/* What the TCP core says of a connection: numbers, copies, holes, resends, resets, time-outs. */
#include "../decode/decode.h"
#include "check.h"

#include <string.h>

enum { C = 0, S = 1, FACTS = 64, PACKETS = 64 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

/* A capture of one or several connections, packet by packet, and the facts that came of it. */
struct wire {
	struct packet packets[PACKETS];
	uint8_t bytes[PACKETS][256];
	unsigned n;
	int64_t now_ns;
	uint8_t ttl;
	uint16_t tap, port, window;
	uint64_t kept[FACTS][512];
	unsigned n_facts;
};

static void put(uint8_t *at, uint32_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static void wire_new(struct wire *w)
{
	memset(w, 0, sizeof *w);
	w->now_ns = 1700000000 * NS_PER_S;
	w->ttl = 64;
	w->port = 40000;
	w->window = 500;
}

/* One segment; seq and ack are relative to initial sequence numbers 1000 (client) and 5000 (server). */
static unsigned send(struct wire *w, int from, unsigned flags, uint32_t seq, uint32_t ack, const char *payload)
{
	uint8_t *b = w->bytes[w->n], *ip = b + 14, *tcp = ip + 20;
	size_t len = strlen(payload);
	struct packet *p = &w->packets[w->n];

	w->now_ns += 100 * NS_PER_US;
	put(b + 12, 0x0800, 2);
	put(ip, 0x45, 1);
	put(ip + 2, (uint32_t)(40 + len), 2);
	put(ip + 8, w->ttl, 1);
	put(ip + 9, 6, 1);
	put(ip + 12, from == C ? 0x0a000001 : 0x0a000002, 4);
	put(ip + 16, from == C ? 0x0a000002 : 0x0a000001, 4);
	put(tcp, from == C ? w->port : 80, 2);
	put(tcp + 2, from == C ? 80 : w->port, 2);
	put(tcp + 4, (from == C ? 1000 : 5000) + seq, 4);
	put(tcp + 8, (flags & ACK) != 0 ? (from == C ? 5000 : 1000) + ack : 0, 4);
	put(tcp + 12, 0x50, 1);
	put(tcp + 13, flags, 1);
	put(tcp + 14, w->window, 2);
	memcpy(tcp + 20, payload, len);
	*p = (struct packet){ .bytes = b, .caplen = (uint32_t)(54 + len), .len = (uint32_t)(54 + len), .time_ns = w->now_ns,
	                      .number = w->n + 1, .frame = w->n + 1, .link_type = 1, .interface = w->tap };
	return ++w->n;
}

static void handshake(struct wire *w)
{
	send(w, C, SYN, 0, 0, "");
	send(w, S, SYN | ACK, 0, 1, "");
	send(w, C, ACK, 1, 1, "");
}

static void keep(void *ctx, const struct fact_batch *b)
{
	struct wire *w = ctx;

	for (const struct fact *f = NULL; (f = fact_next(b, f)) != NULL;)
		if (f->kind != FACT_TICK && w->n_facts < FACTS && f->size <= sizeof w->kept[0])
			memcpy(w->kept[w->n_facts++], f, f->size);
}

static void decode_with(struct wire *w, unsigned threads)
{
	struct decode_options o = { .threads = threads, .exchanges = true };
	struct err e = { 0 };
	struct decode *d = decode_new(&o, (struct fact_sink){ w, keep }, &e);

	for (unsigned i = 0; i < w->n; i++) {
		struct packet_batch b = { .n = 1, .now_ns = w->packets[i].time_ns };

		b.packets[0] = w->packets[i];
		decode_packets(d, &b);
	}
	decode_end(d);
	decode_free(d);
}

static const void *fact_of(const struct wire *w, enum fact_kind kind, unsigned nth)
{
	for (unsigned i = 0; i < w->n_facts; i++) {
		const struct fact *f = (const struct fact *)(const void *)w->kept[i];

		if (f->kind == kind && nth-- == 0)
			return f;
	}
	return NULL;
}

static unsigned facts_of(const struct wire *w, enum fact_kind kind)
{
	unsigned n = 0;

	while (fact_of(w, kind, n) != NULL)
		n++;
	return n;
}

static const struct exchange_fact *exchange(const struct wire *w, unsigned nth)
{
	return fact_of(w, FACT_EXCHANGE, nth);
}

static const struct conn_facts *connection(const struct wire *w)
{
	const struct conn_fact *f = fact_of(w, FACT_CONN, 0);

	return f != NULL ? &f->conn : NULL;
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
enum { GET_LEN = sizeof GET - 1, OK_LEN = sizeof OK - 1 };

TEST(an_exchange_has_the_packets_of_its_messages)
{
	static struct wire w;
	unsigned request, acked, response;

	wire_new(&w);
	handshake(&w);
	request = send(&w, C, PSH | ACK, 1, 1, GET);
	acked = send(&w, S, ACK, 1, 1 + GET_LEN, "");
	response = send(&w, S, PSH | ACK, 1, 1 + GET_LEN, OK);
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->x.status, 200);
	CHECK_INT(exchange(&w, 0)->x.request.first.packet, request);
	CHECK_INT(exchange(&w, 0)->x.request_acked.packet, acked);
	CHECK_INT(exchange(&w, 0)->x.response.last.packet, response);
	CHECK_INT(exchange(&w, 0)->x.idle_ns, -1);
	CHECK_INT(exchange(&w, 0)->head.conn, 0);
}

TEST(segments_out_of_order_are_put_in_order)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, ACK, 1 + 10, 1, &GET[10]);
	send(&w, C, ACK, 1, 1, "GET / HTTP");
	send(&w, S, PSH | ACK, 1, 1 + GET_LEN, OK);
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->x.status, 200);
	CHECK_INT(exchange(&w, 0)->conn.side[C].gap_bytes, 0);
}

TEST(what_was_acknowledged_and_never_captured_is_a_gap)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET);
	send(&w, S, PSH | ACK, 1, 1 + GET_LEN, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n0123456789");
	send(&w, S, PSH | ACK, 1 + 50 + 10, 1 + GET_LEN, "0123456789");
	send(&w, C, ACK, 1 + GET_LEN, 71, "");
	w.now_ns += 10 * NS_PER_MS;
	send(&w, C, ACK, 1 + GET_LEN, 71, "");
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->conn.side[S].gap_bytes, 11);
	CHECK_INT(exchange(&w, 0)->x.outcome, OUTCOME_COMPLETE);
}

/* One hole takes the end of a body that is passed over, and the head of the next answer. */
TEST(a_hole_beyond_a_body_ends_its_message_first)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET);
	send(&w, S, PSH | ACK, 1, 1 + GET_LEN, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n0123456789");   /* 49 bytes; 20 are due */
	send(&w, C, PSH | ACK, 1 + GET_LEN, 70, GET);
	send(&w, S, PSH | ACK, 70 + 60, 1 + 2 * GET_LEN, "and the end of its body");
	send(&w, C, ACK, 1 + 2 * GET_LEN, 70 + 83, "");
	w.now_ns += 10 * NS_PER_MS;
	send(&w, C, ACK, 1 + 2 * GET_LEN, 70 + 83, "");
	decode_with(&w, 1);
	CHECK_INT(facts_of(&w, FACT_EXCHANGE), 2);
	CHECK_INT(exchange(&w, 0)->x.outcome, OUTCOME_COMPLETE);
	CHECK_INT(exchange(&w, 0)->x.response.body_bytes, 30);
	CHECK_INT(exchange(&w, 0)->x.response.missing, 20);
	CHECK_INT(exchange(&w, 1)->x.response.missing, 60);
}

/* Of three answers two were lost whole: what the client had acknowledged when it asked tells whose the third is. */
TEST(an_answer_behind_a_hole_is_that_of_the_request_which_acknowledged_the_hole)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET);
	send(&w, C, PSH | ACK, 1 + GET_LEN, 1 + 100, GET);
	w.now_ns += 10 * NS_PER_MS;
	send(&w, C, PSH | ACK, 1 + 2 * GET_LEN, 1 + 300, GET);
	send(&w, S, PSH | ACK, 1 + 300, 1 + 3 * GET_LEN, OK);
	w.now_ns += 10 * NS_PER_MS;
	send(&w, C, ACK, 1 + 3 * GET_LEN, 1 + 300 + OK_LEN, "");
	decode_with(&w, 1);
	CHECK_INT(facts_of(&w, FACT_EXCHANGE), 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct exchange_fact *f = exchange(&w, i);

		CHECK_INT(f->x.status, f->x.request.first.packet == 6 ? 200 : 0);
	}
}

TEST(a_pipelined_answer_behind_a_hole_is_that_of_the_request_next_in_order)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET GET GET);
	send(&w, S, PSH | ACK, 1 + 100, 1 + 3 * GET_LEN, OK OK);
	send(&w, C, ACK, 1 + 3 * GET_LEN, 1 + 100 + 2 * OK_LEN, "");
	w.now_ns += 10 * NS_PER_MS;
	send(&w, C, ACK, 1 + 3 * GET_LEN, 1 + 100 + 2 * OK_LEN, "");
	decode_with(&w, 1);
	CHECK_INT(facts_of(&w, FACT_EXCHANGE), 3);
	CHECK_INT(exchange(&w, 0)->x.status, 0);
	CHECK_INT(exchange(&w, 1)->x.status, 200);
	CHECK_INT(exchange(&w, 2)->x.status, 200);
}

TEST(the_same_segment_from_another_interface_is_a_copy)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET);
	w.tap = 1;
	send(&w, C, PSH | ACK, 1, 1, GET);
	w.tap = 0;
	send(&w, S, PSH | ACK, 1, 1 + GET_LEN, OK);
	decode_with(&w, 1);
	CHECK_INT(facts_of(&w, FACT_EXCHANGE), 1);
	CHECK_INT(exchange(&w, 0)->conn.side[C].resends, 0);
	CHECK(exchange(&w, 0)->conn.copies);
}

TEST(the_same_segment_again_after_200_ms_is_a_resend)
{
	static struct wire w;
	unsigned first, again;

	wire_new(&w);
	handshake(&w);
	first = send(&w, C, PSH | ACK, 1, 1, GET);
	w.now_ns += 200 * NS_PER_MS;
	again = send(&w, C, PSH | ACK, 1, 1, GET);
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->conn.side[C].resends, 1);
	CHECK_INT(exchange(&w, 0)->conn.side[C].first_resend.packet, again);
	CHECK_INT(exchange(&w, 0)->conn.side[C].unacked.packet, first);
	CHECK_INT(exchange(&w, 0)->x.request_acked.packet, 0);
	CHECK_INT(exchange(&w, 0)->x.outcome, OUTCOME_IN_PROGRESS);
}

TEST(a_resend_with_other_bytes_is_a_conflict)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET);
	send(&w, S, ACK, 1, 1 + (uint32_t)strlen(GET), "HTTP/1.1 200 OK\r\n");
	w.now_ns += 200 * NS_PER_MS;
	send(&w, S, ACK, 1, 1 + (uint32_t)strlen(GET), "HTTP/1.1 200 OK\r\n");
	send(&w, S, ACK, 1, 1 + (uint32_t)strlen(GET), "HTTP/1.1 502 OK\r\n");
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->conn.side[S].conflicting, 1);
	CHECK_INT(exchange(&w, 0)->x.status, 200);
}

TEST(a_reset_out_of_sequence_closes_nothing)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET);
	send(&w, S, RST, 900000, 0, "");
	send(&w, S, PSH | ACK, 1, 1 + GET_LEN, OK);
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->x.status, 200);
	CHECK_INT(exchange(&w, 0)->conn.closing, CLOSING_NONE);
	CHECK(!exchange(&w, 0)->conn.side[S].rst.fits);
}

TEST(data_after_a_reset_of_the_same_side_is_noted)
{
	static struct wire w;
	unsigned after;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET);
	send(&w, S, RST, 1, 0, "");
	after = send(&w, S, PSH | ACK, 1, 1 + GET_LEN, OK);
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->x.outcome, OUTCOME_NO_RESPONSE);
	CHECK_INT(exchange(&w, 0)->conn.closing, CLOSING_RST);
	CHECK_INT(exchange(&w, 0)->conn.side[S].data_after_rst.packet, after);
}

TEST(a_refused_syn_is_a_connection_refused)
{
	static struct wire w;
	unsigned rst;

	wire_new(&w);
	send(&w, C, SYN, 0, 0, "");
	rst = send(&w, S, RST | ACK, (uint32_t)-5000, 1, "");
	decode_with(&w, 1);
	CHECK_OR_RETURN(connection(&w) != NULL);
	CHECK_INT(((const struct conn_fact *)fact_of(&w, FACT_CONN, 0))->why, CONN_REFUSED);
	CHECK_INT(connection(&w)->side[S].rst.at.packet, rst);
	CHECK_INT(facts_of(&w, FACT_OPEN), 0);
}

TEST(a_syn_is_told_after_a_second_each_time_it_is_resent_and_at_the_end)
{
	static struct wire w;

	wire_new(&w);
	for (unsigned i = 0; i < 3; i++) {
		send(&w, C, SYN, 0, 0, "");
		w.now_ns += NS_PER_S;
	}
	decode_with(&w, 1);
	CHECK_INT(facts_of(&w, FACT_SYN), 4);
	CHECK_INT(((const struct syn_fact *)fact_of(&w, FACT_SYN, 0))->syns, 1);
	CHECK(!((const struct syn_fact *)fact_of(&w, FACT_SYN, 2))->final);
	CHECK_INT(((const struct syn_fact *)fact_of(&w, FACT_SYN, 3))->syns, 3);
	CHECK(((const struct syn_fact *)fact_of(&w, FACT_SYN, 3))->final);
}

TEST(a_bare_ack_to_a_syn_is_strange)
{
	static struct wire w;
	unsigned strange;

	wire_new(&w);
	send(&w, C, SYN, 0, 0, "");
	strange = send(&w, S, ACK, 777, 888, "");
	send(&w, C, RST, 888, 0, "");
	send(&w, C, SYN, 0, 0, "");
	decode_with(&w, 1);
	CHECK_OR_RETURN(connection(&w) != NULL);
	CHECK_INT(connection(&w)->side[S].strange_ack.packet, strange);
	CHECK_INT(connection(&w)->closing, CLOSING_NONE);
}

TEST(ends_used_again_begin_a_new_number)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, SYN, 4711, 0, "");
	send(&w, S, SYN | ACK, 100, 4712, "");
	decode_with(&w, 1);
	CHECK_INT(facts_of(&w, FACT_OPEN), 2);
	CHECK_INT(((const struct fact *)fact_of(&w, FACT_OPEN, 1))->conn, 1);
}

TEST(a_request_that_waits_is_told_after_a_second)
{
	static struct wire w;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, GET);
	send(&w, S, ACK, 1, 1 + GET_LEN, "");
	w.now_ns += 2 * NS_PER_S;
	send(&w, C, FIN | ACK, 1 + GET_LEN, 1, "");
	send(&w, S, FIN | ACK, 1, 2 + GET_LEN, "");
	decode_with(&w, 1);
	CHECK_INT(facts_of(&w, FACT_EXCHANGE), 2);
	CHECK(!exchange(&w, 0)->final);
	CHECK(exchange(&w, 1)->final);
	CHECK_INT(exchange(&w, 1)->x.outcome, OUTCOME_NO_RESPONSE);
	CHECK_INT(exchange(&w, 1)->conn.closer, CLIENT);
}

TEST(window_zero_is_noted_while_it_lasts)
{
	static struct wire w;
	unsigned zero;

	wire_new(&w);
	handshake(&w);
	send(&w, C, PSH | ACK, 1, 1, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
	w.window = 0;
	zero = send(&w, S, ACK, 1, 50, "");
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->conn.side[S].window_zero.packet, zero);
}

TEST(joined_late_the_side_that_asks_is_the_client)
{
	static struct wire w;

	wire_new(&w);
	w.port = 70;                            /* the lower port asks */
	send(&w, C, ACK, 1, 1, "");
	send(&w, C, PSH | ACK, 1, 1, GET);
	send(&w, S, PSH | ACK, 1, 1 + GET_LEN, OK);
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->conn.end[CLIENT].port, 70);
	CHECK_INT(exchange(&w, 0)->x.status, 200);
	CHECK_INT(exchange(&w, 0)->x.ordinal, 0);
	CHECK(exchange(&w, 0)->conn.joined_late);
}

TEST(data_may_come_with_the_syn)
{
	static struct wire w;

	wire_new(&w);
	send(&w, C, SYN, 0, 0, GET);
	send(&w, S, SYN | ACK, 0, 1 + GET_LEN, "");
	send(&w, C, ACK, 1 + GET_LEN, 1, "");
	send(&w, S, PSH | ACK, 1, 1 + GET_LEN, OK);
	decode_with(&w, 1);
	CHECK_OR_RETURN(exchange(&w, 0) != NULL);
	CHECK_INT(exchange(&w, 0)->x.method, METHOD_GET);
	CHECK_INT(exchange(&w, 0)->x.status, 200);
}

TEST(several_decoders_give_the_same_facts)
{
	static struct wire one, four;

	for (int i = 0; i < 2; i++) {
		struct wire *w = i == 0 ? &one : &four;

		wire_new(w);
		for (uint16_t port = 40000; port < 40008; port++) {
			w->port = port;
			handshake(w);
			send(w, C, PSH | ACK, 1, 1, GET);
			send(w, S, PSH | ACK, 1, 1 + GET_LEN, OK);
			w->now_ns += 60 * NS_PER_MS;
		}
		decode_with(w, i == 0 ? 1 : 4);
	}
	CHECK_INT(four.n_facts, one.n_facts);
	for (unsigned i = 0; i < one.n_facts && i < four.n_facts; i++) {
		const struct fact *a = (const struct fact *)(const void *)one.kept[i], *b = (const struct fact *)(const void *)four.kept[i];

		CHECK_INT(b->kind, a->kind);
		CHECK_INT(b->conn, a->conn);
		CHECK_INT(b->at.packet, a->at.packet);
	}
}

TEST_MAIN()
