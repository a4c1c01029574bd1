/* facts.h - facts made by hand, for tests of what report/ makes of them
 *
 * Addresses are 10.0.0.N. Times are milliseconds from a fixed moment; each fact's packet is its
 * time in microseconds, so that later facts have later packets.
 */
#ifndef WHY502_FACTS_H
#define WHY502_FACTS_H

#include "../capture/hash.h"
#include "../decode/fact.h"

static inline struct endpoint at_port(unsigned n, unsigned port)
{
	struct endpoint e = { .port = (uint16_t)port };

	e.address[10] = e.address[11] = 0xff;
	e.address[12] = 10;
	e.address[14] = (uint8_t)(n >> 8);
	e.address[15] = (uint8_t)n;
	return e;
}

static inline struct endpoint loopback(unsigned port)
{
	struct endpoint e = at_port(1, port);

	e.address[12] = 127;
	return e;
}

static inline struct mark at_ms(double ms)
{
	return (struct mark){ (uint64_t)(ms * 1000) + 1,
			      INT64_C(1700000000) * NS_PER_S + (int64_t)(ms * 1e6) };
}

static inline struct fact fact_head(enum fact_kind kind, size_t size, uint32_t conn, struct mark at)
{
	return (struct fact){
		.size = (uint32_t)(size + 7) & ~7u, .kind = (uint16_t)kind, .conn = conn, .at = at
	};
}

static inline uint64_t target_of(const char *target)
{
	return fingerprint(span_text(target));
}

/* A request that was answered with 200. */
static inline struct brief_fact fact_brief_of(uint32_t conn, struct endpoint client,
					      struct endpoint server, const char *target,
					      double from_ms, double to_ms)
{
	struct brief_fact f = { .head = fact_head(FACT_BRIEF, sizeof f, conn, at_ms(to_ms)),
				.end = { client, server } };

	f.ordinal = 1;
	f.request = at_ms(from_ms);
	f.response_first = f.response = at_ms(to_ms);
	f.idle_ns = -1;
	f.target_hash = f.path_hash = f.tail_hash = target_of(target);
	f.authority_hash = 7;
	f.method = METHOD_GET;
	f.version = f.response_version = VERSION_1_1;
	f.status = 200;
	f.outcome = OUTCOME_COMPLETE;
	return f;
}

/* A connection that is still open. */
static inline struct conn_facts conn_of_ends(struct endpoint client, struct endpoint server,
					     double from_ms)
{
	struct conn_facts c = { .end = { client, server } };

	c.first = c.last = c.side[CLIENT].syn = at_ms(from_ms);
	c.side[SERVER].syn = c.handshake = at_ms(from_ms + 0.01);
	c.rtt_ns = NS_PER_MS / 100;
	c.exchanges = 1;
	c.speaks[CLIENT] = SPEAKS_HTTP1;
	for (int side = CLIENT; side <= SERVER; side++)
		c.side[side].ttl_min = c.side[side].ttl_max = c.side[side].ttl_syn = 64;
	return c;
}

static inline struct exchange_fact fact_exchange_of(uint32_t conn, struct endpoint client,
						    struct endpoint server, const char *target,
						    double from_ms)
{
	struct exchange_fact f = { .head = fact_head(FACT_EXCHANGE, sizeof f, conn, at_ms(from_ms)),
				   .final = true };

	f.conn = conn_of_ends(client, server, from_ms - 0.1);
	f.x.ordinal = 1;
	f.x.method = METHOD_GET;
	f.x.outcome = OUTCOME_NO_RESPONSE;
	f.x.idle_ns = -1;
	f.x.grpc_status = -1;
	f.x.target_hash = f.x.path_hash = f.x.tail_hash = target_of(target);
	f.x.authority_hash = 7;
	f.x.request = (struct message){ .first = at_ms(from_ms),
					.last = at_ms(from_ms),
					.head_end = at_ms(from_ms),
					.head_bytes = 80,
					.declared = UINT64_MAX,
					.version = VERSION_1_1,
					.framing = FRAMING_NONE,
					.head_complete = true,
					.complete = true };
	f.x.request_acked = at_ms(from_ms + 0.02);
	f.conn.side[CLIENT].bytes = f.conn.side[CLIENT].bytes_acked = 80;
	return f;
}

/* It was answered, whole. */
static inline void answered(struct exchange_fact *f, unsigned status, double ms)
{
	f->x.status = (uint16_t)status;
	f->x.outcome = OUTCOME_COMPLETE;
	f->x.response = (struct message){ .first = at_ms(ms),
					  .last = at_ms(ms),
					  .head_end = at_ms(ms),
					  .head_bytes = 120,
					  .declared = UINT64_MAX,
					  .version = VERSION_1_1,
					  .framing = FRAMING_LENGTH,
					  .head_complete = true,
					  .complete = true };
	f->conn.speaks[SERVER] = SPEAKS_HTTP1;
	f->head.at = at_ms(ms);
}

/* Its connection ended. */
static inline void ended(struct exchange_fact *f, enum side by, enum closing how, double ms)
{
	struct tcp_side *s = &f->conn.side[by];

	f->conn.closer = (uint8_t)by;
	f->conn.closing = (uint8_t)how;
	f->conn.closed = f->conn.last = at_ms(ms);
	if (how == CLOSING_FIN)
		s->fin = at_ms(ms);
	else
		s->rst = (struct rst){ .at = at_ms(ms),
				       .kind = how == CLOSING_RST ? RST_ALONE : RST_WITH_ACK,
				       .ttl = 64,
				       .fits = true,
				       .count = 1 };
	f->head.at = at_ms(ms);
}

/* A SYN that was answered with RST. */
static inline struct conn_fact fact_refused(uint32_t conn, struct endpoint client,
					    struct endpoint server, double ms)
{
	struct conn_fact f = { .head = fact_head(FACT_CONN, sizeof f, conn, at_ms(ms + 0.05)),
			       .final = true,
			       .why = CONN_REFUSED };

	f.conn = (struct conn_facts){ .end = { client, server },
				      .first = at_ms(ms),
				      .last = at_ms(ms + 0.05) };
	f.conn.side[CLIENT].syn = f.conn.side[CLIENT].syn_last = at_ms(ms);
	f.conn.side[CLIENT].syns = 1;
	f.conn.side[SERVER].rst = (struct rst){
		.at = at_ms(ms + 0.05), .kind = RST_WITH_ACK, .ttl = 64, .fits = true, .count = 1
	};
	f.conn.closer = SERVER;
	f.conn.closing = CLOSING_RST_ACK;
	f.conn.closed = at_ms(ms + 0.05);
	return f;
}

/* A SYN that was never answered, sent n times a second apart. */
static inline struct syn_fact fact_syn_of(uint32_t conn, struct endpoint client,
					  struct endpoint server, unsigned n, double ms)
{
	struct syn_fact f = { .head = fact_head(FACT_SYN, sizeof f, conn, at_ms(ms + 1000.0 * n)),
			      .end = { client, server },
			      .final = true };

	f.first = at_ms(ms);
	f.last = at_ms(ms + 1000.0 * (n - 1));
	f.syns = (uint16_t)n;
	f.ttl = 64;
	return f;
}

static inline struct open_fact fact_open_of(uint32_t conn, struct endpoint client,
					    struct endpoint server, double ms)
{
	struct open_fact f = { .head = fact_head(FACT_OPEN, sizeof f, conn, at_ms(ms)),
			       .end = { client, server } };

	f.syn = f.syn_ack = at_ms(ms);
	f.isn[CLIENT] = 1000 + conn * 2654435761u;
	f.isn[SERVER] = 2000 + conn * 40503u;
	return f;
}

static inline struct close_fact fact_close_of(uint32_t conn, struct endpoint client,
					      struct endpoint server, enum side by, double idle_ms,
					      uint32_t exchanges, double ms)
{
	return (struct close_fact){ .head = fact_head(FACT_CLOSE, sizeof(struct close_fact), conn,
						      at_ms(ms)),
				    .end = { client, server },
				    .closer = (uint8_t)by,
				    .closing = CLOSING_FIN,
				    .opened = at_ms(0),
				    .closed = at_ms(ms),
				    .idle_ns = (int64_t)(idle_ms * 1e6),
				    .exchanges = exchanges };
}

#endif
