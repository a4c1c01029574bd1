/* test_causes.c - each cause: facts that are it, and its nearest miss, one packet different, that is another
 *
 * Facts are built, not captured. ask() is the start of all: a client asks a gateway, the gateway asks an
 * upstream over a connection of its own, and the client gets 502. Each story then says what the upstream did. The
 * table at the end has a row for every row of causes.def.
 */
#include "check.h"

#include "../report/gateways.h"
#include "../report/judge.h"

/* ---- what was learnt: a stand-in for learn.c, told by the story -------------------------------- */

struct learned {
	struct idle_limit idle;
	uint32_t max_requests;
	struct server_seen seen;
	bool known, others_connect, others_answer;
	unsigned together, attempts;
	struct queue_signs queue;
	uint8_t ttl;
};

void learned_idle(const struct learned *l, const struct endpoint *server, struct idle_limit *out)
{
	(void)server;
	*out = l->idle;
}

uint32_t learned_max_requests(const struct learned *l, const struct endpoint *server)
{
	(void)server;
	return l->max_requests;
}

bool learned_server(const struct learned *l, const struct endpoint *server, struct server_seen *out)
{
	(void)server;
	*out = l->seen;
	return l->known;
}

static bool others(bool yes, struct mark *when)
{
	*when = (struct mark){ yes ? 70 : 0, 0 };
	return yes;
}

bool learned_connected_between(const struct learned *l, const struct endpoint *server, int64_t from_ns, int64_t to_ns, uint32_t not_this, struct mark *when)
{
	(void)server, (void)from_ns, (void)to_ns, (void)not_this;
	return others(l->others_connect, when);
}

bool learned_answered_between(const struct learned *l, const struct endpoint *server, int64_t from_ns, int64_t to_ns, uint32_t not_this, struct mark *when)
{
	(void)server, (void)from_ns, (void)to_ns, (void)not_this;
	return others(l->others_answer, when);
}

unsigned learned_closed_together(const struct learned *l, const struct endpoint *server, int64_t from_ns, int64_t to_ns)
{
	(void)server, (void)from_ns, (void)to_ns;
	return l->together;
}

void learned_queue(const struct learned *l, const struct endpoint *server, int64_t from_ns, int64_t to_ns, struct queue_signs *out)
{
	(void)server, (void)from_ns, (void)to_ns;
	*out = l->queue;
}

bool learned_ttl(const struct learned *l, const struct endpoint *e, uint8_t *min, uint8_t *max)
{
	(void)e;
	*min = *max = l->ttl;
	return l->ttl != 0;
}

unsigned learned_attempts_from(const struct learned *l, const uint8_t address[static 16], int64_t from_ns, int64_t to_ns)
{
	(void)address, (void)from_ns, (void)to_ns;
	return l->attempts;
}

/* ---- stories --------------------------------------------------------------------------------- */

struct full { struct exchange_fact f; struct tls_facts tls; uint8_t text[4096]; uint32_t used; };

struct story {
	struct full client, up;
	struct conn_fact conn;                  /* when no request was sent */
	struct { struct conn_fact f; struct tls_facts tls; } handshake;
	struct syn_fact syn;
	struct icmp_fact icmp;
	struct arp_fact arp;
	struct dns_fact dns;
	struct brief_fact brief;
	struct trial trials[3], earlier;
	struct learned learned;
	struct case_file c;
	struct arena arena;
	struct verdict v;
};

#define MS(n) ((int64_t)(n) * NS_PER_MS)

static const struct endpoint client_end = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 9 }, 51000 };
static const struct endpoint front_end = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1 }, 80 };
static const struct endpoint back_end = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1 }, 40000 };
static const struct endpoint up_end = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 7 }, 8080 };

/* Packet n at so many ms after the client's request. */
static struct mark at(uint64_t packet, int64_t ms)
{
	return (struct mark){ packet, NS_PER_S + MS(ms) };
}

static void put_text(struct full *x, struct text *t, const char *s)
{
	size_t n = strlen(s);

	memcpy(x->text + x->used, s, n);
	*t = (struct text){ (uint32_t)(offsetof(struct full, text) + x->used), (uint32_t)n };
	x->used += (uint32_t)n;
}

static struct conn_facts *conn_of(struct story *s) { return &s->up.f.conn; }
static struct exchange_facts *x_of(struct story *s) { return &s->up.f.x; }
static struct tcp_side *up_side(struct story *s) { return &s->up.f.conn.side[SERVER]; }
static struct tcp_side *gw_side(struct story *s) { return &s->up.f.conn.side[CLIENT]; }

static void connected(struct conn_facts *c)
{
	c->end[CLIENT] = back_end;
	c->end[SERVER] = up_end;
	c->first = c->side[CLIENT].syn = c->side[CLIENT].syn_last = at(10, 1);
	c->side[CLIENT].syns = c->side[SERVER].syns = 1;
	c->side[SERVER].syn = c->side[SERVER].syn_last = at(11, 2);
	c->handshake = at(12, 2);
	c->rtt_ns = MS(1);
	for (unsigned i = 0; i < 2; i++) {
		c->side[i].mss = 1460;
		c->side[i].ttl_syn = c->side[i].ttl_min = c->side[i].ttl_max = 64;
	}
}

static void request(struct message *m, uint64_t packet, int64_t ms)
{
	m->first = m->last = m->head_end = at(packet, ms);
	m->head_bytes = 80;
	m->declared = UINT64_MAX;
	m->version = VERSION_1_1;
	m->head_complete = m->complete = true;
}

static void answer(struct full *x, uint16_t status, uint64_t packet, int64_t ms)
{
	struct message *m = &x->f.x.response;

	request(m, packet, ms);
	m->head_bytes = 200;
	x->f.x.status = status;
	x->f.x.outcome = OUTCOME_COMPLETE;
}

/* A client asks, the gateway asks the upstream (packet 13), which acknowledges (14) and says nothing. */
static void ask(struct story *s)
{
	static const struct decode_counters none;

	memset(s, 0, sizeof *s);
	s->client.f.head = (struct fact){ .size = sizeof s->client, .kind = FACT_EXCHANGE, .conn = 1 };
	s->client.f.final = true;
	s->client.f.x.ordinal = 1;
	s->client.f.x.method = METHOD_POST;
	request(&s->client.f.x.request, 1, 0);
	s->client.f.conn.end[CLIENT] = client_end;
	s->client.f.conn.end[SERVER] = front_end;
	s->up.f.head = (struct fact){ .size = sizeof s->up, .kind = FACT_EXCHANGE, .conn = 2 };
	s->up.f.final = true;
	s->up.f.x = (struct exchange_facts){ .ordinal = 1, .method = METHOD_POST, .outcome = OUTCOME_NO_RESPONSE, .idle_ns = -1, .grpc_status = -1 };
	put_text(&s->up, &s->up.f.x.target, "/cart");
	connected(conn_of(s));
	conn_of(s)->speaks[CLIENT] = SPEAKS_HTTP1;
	conn_of(s)->exchanges = 1;
	request(&x_of(s)->request, 13, 3);
	x_of(s)->request_acked = at(14, 4);
	gw_side(s)->bytes = gw_side(s)->bytes_acked = 80;
	gw_side(s)->first_data = gw_side(s)->last_data = at(13, 3);
	s->trials[0] = (struct trial){ .gateway = back_end, .upstream = up_end, .x = &s->up.f, .exchange_id = 2, .matched = MATCHED_ID,
	                               .began = at(10, 1), .ended = at(14, 4) };
	s->c = (struct case_file){ .quality = &none, .client = &s->client.f, .client_id = 1, .trials = s->trials, .n_trials = 1, .front = front_end,
	                           .reaches_upstreams = true, .model = gateway_model_unknown(), .learned = &s->learned, .final = true };
}

/* The client is told: packet 90. */
static void told(struct story *s, uint16_t status, int64_t ms)
{
	answer(&s->client, status, 90, ms);
}

static void up_closes(struct story *s, enum closing how, uint64_t packet, int64_t ms)
{
	struct conn_facts *c = conn_of(s);

	c->closer = SERVER;
	c->closing = (uint8_t)how;
	c->closed = at(packet, ms);
	if (how == CLOSING_FIN)
		up_side(s)->fin = c->closed;
	else
		up_side(s)->rst = (struct rst){ .at = c->closed, .kind = how == CLOSING_RST ? RST_ALONE : RST_WITH_ACK, .ttl = 64, .fits = true,
		                                .window = how == CLOSING_RST ? 0 : 512, .count = 1 };
}

static void gw_closes(struct story *s, uint64_t packet, int64_t ms)
{
	conn_of(s)->closer = CLIENT;
	conn_of(s)->closing = CLOSING_FIN;
	conn_of(s)->closed = gw_side(s)->fin = at(packet, ms);
}

static void gives_up(struct story *s, uint16_t status, int64_t ms)
{
	gw_closes(s, 89, ms);
	told(s, status, ms);
}

static void response_begins(struct story *s, uint16_t status, uint64_t packet, int64_t ms)
{
	answer(&s->up, status, packet, ms);
	conn_of(s)->speaks[SERVER] = SPEAKS_HTTP1;
	up_side(s)->bytes = 200;
	up_side(s)->first_data = up_side(s)->last_data = at(packet, ms);
}

static void breaks(struct story *s, enum violation v)
{
	struct message *m = &x_of(s)->response;

	m->violations |= violation_bit(v);
	m->broken[m->n_broken++] = (struct broken){ .rule = (uint8_t)v, .at = m->first, .offset = 17, .excerpt = { 3, "a b" } };
}

static void reused(struct story *s, int64_t idle_ms)
{
	x_of(s)->ordinal = 2;
	x_of(s)->reused = true;
	x_of(s)->idle_ns = MS(idle_ms);
	x_of(s)->before = at(9, 3 - idle_ms);
	conn_of(s)->exchanges = 2;
}

static void never_acked(struct story *s, uint32_t len)
{
	x_of(s)->request_acked = (struct mark){ 0, 0 };
	gw_side(s)->bytes_acked = 0;
	gw_side(s)->unacked = at(13, 3);
	gw_side(s)->unacked_len = len;
	gw_side(s)->resends = gw_side(s)->resends_unacked = 4;
	gw_side(s)->first_resend = at(20, 203);
	gw_side(s)->last_resend = at(24, 1700);
}

/* No request: the trial is a connection, a SYN, or less. */
static void only_conn(struct story *s)
{
	s->conn.head = (struct fact){ .size = sizeof s->conn, .kind = FACT_CONN, .conn = 2 };
	s->conn.final = true;
	connected(&s->conn.conn);
	s->trials[0].x = NULL;
	s->trials[0].exchange_id = 0;
	s->trials[0].conn = &s->conn;
}

static void only_syn(struct story *s, uint16_t syns)
{
	s->syn = (struct syn_fact){ .head = { .size = sizeof s->syn, .kind = FACT_SYN, .conn = 2 }, .end = { back_end, up_end },
	                            .first = at(10, 1), .last = at(syns > 1 ? 15 : 10, syns > 1 ? 1001 : 1), .syns = syns, .final = true, .ttl = 64 };
	s->trials[0].x = NULL;
	s->trials[0].exchange_id = 0;
	s->trials[0].syn = &s->syn;
}

/* A TLS connection to the upstream: ClientHello (13) sent. */
static struct tls_facts *tls_begins(struct story *s)
{
	struct conn_facts *c;

	s->handshake.f.head = (struct fact){ .size = sizeof s->handshake, .kind = FACT_CONN, .conn = 2 };
	s->handshake.f.final = true;
	c = &s->handshake.f.conn;
	connected(c);
	c->tls_at = (uint32_t)offsetof(__typeof__(s->handshake), tls);
	c->speaks[CLIENT] = SPEAKS_TLS;
	c->side[CLIENT].bytes = c->side[CLIENT].bytes_acked = 300;
	c->side[CLIENT].first_data = c->side[CLIENT].last_data = at(13, 3);
	s->handshake.tls = (struct tls_facts){ .client_hello = at(13, 3), .offered_max = 0x0304, .sni_sent = true, .sni = "app.example" };
	s->trials[0].x = NULL;
	s->trials[0].exchange_id = 0;
	s->trials[0].conn = &s->handshake.f;
	return &s->handshake.tls;
}

static void tls_answers(struct story *s, bool done)
{
	struct conn_facts *c = &s->handshake.f.conn;
	struct tls_facts *t = &s->handshake.tls;

	t->server_hello = t->certificate[SERVER] = at(15, 5);
	t->chosen = 0x0303;
	c->speaks[SERVER] = SPEAKS_TLS;
	c->side[SERVER].bytes = 1300;
	c->side[SERVER].first_data = c->side[SERVER].last_data = at(15, 5);
	if (done) {
		t->finished[CLIENT] = at(16, 6);
		t->finished[SERVER] = at(17, 7);
		t->handshake_done = true;
		c->side[SERVER].last_data = at(17, 7);
	}
}

static void tls_closed(struct story *s, enum side who, enum closing how, uint64_t packet, int64_t ms)
{
	struct conn_facts *c = &s->handshake.f.conn;

	c->closer = (uint8_t)who;
	c->closing = (uint8_t)how;
	c->closed = at(packet, ms);
}

static void as_h2(struct story *s, uint32_t stream)
{
	x_of(s)->stream = s->up.f.h2.stream = stream;
	x_of(s)->request.version = VERSION_2;
	conn_of(s)->speaks[CLIENT] = conn_of(s)->speaks[SERVER] = SPEAKS_HTTP2;
	up_side(s)->bytes = 40;
	up_side(s)->first_data = at(12, 3);
	s->up.f.h2.settings[SERVER] = at(12, 3);
}

/* ---- each cause, and its nearest miss ---------------------------------------------------------- */

static void loop(struct story *s)
{
	ask(s);
	s->trials[0].upstream = front_end;
	x_of(s)->via_count = 1;
	told(s, 502, 8);
	response_begins(s, 502, 80, 7);
}
static void loop_miss(struct story *s) { loop(s); s->trials[0].upstream = up_end; }

static void dns_nxdomain(struct story *s)
{
	ask(s);
	s->dns = (struct dns_fact){ .head = { .size = sizeof s->dns, .kind = FACT_DNS, .at = at(6, 5) }, .question = at(5, 1), .type = 1, .answer = true, .rcode = 3 };
	s->trials[0] = (struct trial){ .gateway = back_end, .dns = &s->dns, .began = at(5, 1), .ended = at(6, 5) };
	told(s, 502, 6);
}
static void dns_address(struct story *s) { dns_nxdomain(s); s->dns.rcode = 0; s->dns.n_addresses = 1; }

static void port_reuse(struct story *s)
{
	ask(s);
	only_conn(s);
	s->conn.conn.side[SERVER].syn = s->conn.conn.handshake = (struct mark){ 0, 0 };
	s->conn.conn.side[SERVER].strange_ack = at(11, 2);
	s->conn.conn.side[CLIENT].rst.at = at(12, 3);
	s->conn.conn.side[CLIENT].syns = 2;
	s->conn.conn.side[CLIENT].syn_last = at(13, 1003);
	told(s, 504, 2000);
}
static void port_reuse_miss(struct story *s) { port_reuse(s); s->conn.conn.side[SERVER].strange_ack = (struct mark){ 0, 0 }; }

static void refused(struct story *s)
{
	ask(s);
	only_conn(s);
	s->conn.why = CONN_REFUSED;
	s->conn.conn.side[SERVER].syn = s->conn.conn.handshake = (struct mark){ 0, 0 };
	s->conn.conn.side[SERVER].rst = (struct rst){ .at = at(11, 2), .kind = RST_WITH_ACK, .ttl = 64, .fits = true };
	s->conn.conn.closer = SERVER;
	s->conn.conn.closing = CLOSING_RST_ACK;
	s->conn.conn.closed = at(11, 2);
	told(s, 502, 3);
}
static void refused_miss(struct story *s)       /* the same RST after a SYN-ACK */
{
	refused(s);
	s->conn.conn.side[SERVER].syn = at(11, 2);
	s->conn.conn.handshake = at(12, 2);
	s->conn.conn.side[SERVER].rst.at = s->conn.conn.closed = at(13, 3);
}

static void arp(struct story *s)
{
	ask(s);
	s->arp = (struct arp_fact){ .head = { .size = sizeof s->arp, .kind = FACT_ARP, .at = at(5, 1) } };
	memcpy(s->arp.target, up_end.address, 16);
	s->trials[0] = (struct trial){ .gateway = back_end, .upstream = up_end, .arp = &s->arp, .n_arp = 3, .began = at(5, 1), .ended = at(7, 2050) };
	told(s, 502, 3070);
}
static void arp_short(struct story *s)          /* answered 3 ms after one question: a packet is missing */
{
	arp(s);
	s->trials[0].n_arp = 1;
	s->trials[0].ended = s->trials[0].began;
	told(s, 502, 4);
}
static void icmp(struct story *s)
{
	ask(s);
	only_syn(s, 1);
	s->syn.icmp = (struct icmp_note){ .at = at(11, 2), .type = 3, .code = 13 };
	told(s, 502, 3);
}

static void queue(struct story *s)
{
	ask(s);
	only_syn(s, 2);
	s->learned.queue = (struct queue_signs){ .acked_unanswered = 2, .unserved = at(8, 0) };
	told(s, 504, 2000);
}
static void syn_timeout(struct story *s) { queue(s); s->learned.queue = (struct queue_signs){ 0 }; }

static void syn_ack_again(struct story *s)
{
	ask(s);
	never_acked(s, 80);
	up_side(s)->syn_resends_after_ack = 2;
	up_side(s)->syn_last = at(21, 1003);
	told(s, 504, 3003);
}
static void syn_too_soon(struct story *s)       /* 3 ms after an unanswered SYN: no timeout */
{
	ask(s);
	only_syn(s, 1);
	told(s, 502, 4);
}

static void mtu(struct story *s)
{
	ask(s);
	never_acked(s, 1448);
	gw_side(s)->later_acked = true;
	gw_side(s)->smaller_passed = 600;
	told(s, 504, 4000);
}
static void loss(struct story *s) { mtu(s); gw_side(s)->later_acked = false; gw_side(s)->smaller_passed = 0; }
static void mtu_icmp(struct story *s) { loss(s); conn_of(s)->icmp = (struct icmp_note){ .at = at(19, 100), .type = 3, .code = 4, .mtu = 1280 }; }

static void preface(struct story *s)
{
	ask(s);
	conn_of(s)->proxy_preface = true;
	conn_of(s)->speaks[CLIENT] = SPEAKS_PROXY;
	up_closes(s, CLOSING_FIN, 15, 5);
	told(s, 502, 6);
}
static void preface_known(struct story *s) { preface(s); s->learned.known = true; s->learned.seen.proxy_answered = 3; }

static void tls_to_plain(struct story *s)
{
	ask(s);
	tls_begins(s);
	s->handshake.f.conn.speaks[SERVER] = SPEAKS_HTTP1;
	s->handshake.f.conn.side[SERVER].bytes = 50;
	s->handshake.f.conn.side[SERVER].first_data = s->handshake.f.conn.side[SERVER].last_data = at(15, 5);
	tls_closed(s, SERVER, CLOSING_FIN, 16, 6);
	told(s, 502, 7);
}
static void tls_to_plain_silent(struct story *s)
{
	ask(s);
	tls_begins(s);
	s->learned.known = true;
	s->learned.seen.http1 = 4;
	tls_closed(s, CLIENT, CLOSING_FIN, 20, 2003);
	told(s, 504, 2004);
}
static void tls_silent(struct story *s) { tls_to_plain_silent(s); s->learned.seen.http1 = 0; }

static void plain_to_tls(struct story *s)
{
	ask(s);
	x_of(s)->outcome = OUTCOME_GARBLED;
	x_of(s)->response.first = x_of(s)->response.last = up_side(s)->first_data = at(15, 5);
	up_side(s)->bytes = 7;
	conn_of(s)->speaks[SERVER] = SPEAKS_TLS;
	up_closes(s, CLOSING_FIN, 16, 6);
	told(s, 502, 7);
}
static void plain_to_tls_400(struct story *s)
{
	ask(s);
	response_begins(s, 400, 15, 5);
	put_text(&s->up, &x_of(s)->body, "<center>The plain HTTP request was sent to HTTPS port</center>");
	told(s, 400, 6);
}
static void plain_400(struct story *s) { ask(s); response_begins(s, 400, 15, 5); put_text(&s->up, &x_of(s)->body, "bad"); told(s, 400, 6); }

static void h2_to_h1(struct story *s)
{
	ask(s);
	as_h2(s, 1);
	conn_of(s)->speaks[SERVER] = SPEAKS_HTTP1;
	up_closes(s, CLOSING_FIN, 16, 6);
	told(s, 502, 7);
}
static void h2_fin(struct story *s) { h2_to_h1(s); conn_of(s)->speaks[SERVER] = SPEAKS_HTTP2; }

static void h1_to_h2(struct story *s) { plain_to_tls(s); conn_of(s)->speaks[SERVER] = SPEAKS_HTTP2; }
static void ssh(struct story *s) { plain_to_tls(s); conn_of(s)->speaks[SERVER] = SPEAKS_FOREIGN_FIRST; }
static void garbage(struct story *s) { plain_to_tls(s); conn_of(s)->speaks[SERVER] = SPEAKS_UNKNOWN; }

static void tls_rejected(struct story *s)
{
	ask(s);
	tls_begins(s)->alert[SERVER] = (struct tls_alert){ .at = at(15, 5), .level = 2, .description = 40 };
	tls_closed(s, SERVER, CLOSING_FIN, 16, 6);
	told(s, 502, 7);
}
static void tls_aborted(struct story *s) { tls_rejected(s); s->handshake.tls.alert[SERVER] = (struct tls_alert){ .level = 0 }; }
static void tls_wants_certificate(struct story *s)      /* TLS 1.3: the alert comes after the request, encrypted */
{
	ask(s);
	tls_begins(s);
	tls_answers(s, true);
	s->handshake.tls.chosen = 0x0304;
	s->handshake.tls.client_certificate_empty = true;
	s->handshake.tls.application_bytes[CLIENT] = 80;
	s->handshake.f.conn.side[CLIENT].last_data = s->handshake.tls.first_application[CLIENT] = at(18, 8);
	s->handshake.tls.turn_first[CLIENT] = s->handshake.tls.turn_last[CLIENT] = at(18, 8);
	s->handshake.tls.turns = 1;
	s->handshake.f.conn.side[SERVER].last_data = at(19, 9);
	s->handshake.tls.alert[SERVER] = (struct tls_alert){ .at = at(19, 9), .description = 255, .encrypted = true };
	tls_closed(s, SERVER, CLOSING_FIN, 20, 9);
	told(s, 502, 10);
}
static void tls_wants_nothing(struct story *s)          /* the same with no empty certificate: closed before it answered */
{
	tls_wants_certificate(s);
	s->handshake.tls.client_certificate_empty = false;
}

static void certificate(struct story *s)
{
	ask(s);
	tls_begins(s);
	tls_answers(s, false);
	s->handshake.tls.alert[CLIENT] = (struct tls_alert){ .at = at(16, 6), .level = 2, .description = 45 };
	s->handshake.tls.certificate_read = s->handshake.tls.certificate_expired = true;
	tls_closed(s, CLIENT, CLOSING_FIN, 17, 6);
	told(s, 503, 7);
}
static void certificate_nginx(struct story *s)          /* no alert: handshake finished, closed with no request */
{
	ask(s);
	tls_begins(s);
	tls_answers(s, true);
	tls_closed(s, CLIENT, CLOSING_FIN, 18, 8);
	told(s, 502, 9);
}
static void certificate_miss(struct story *s)           /* ServerHello, then silence until the gateway gave up */
{
	certificate(s);
	s->handshake.tls.alert[CLIENT] = (struct tls_alert){ .level = 0 };
	tls_closed(s, CLIENT, CLOSING_FIN, 17, 2006);
	told(s, 504, 2007);
}

static void idle_lost(struct story *s)
{
	ask(s);
	never_acked(s, 80);
	reused(s, 350000);
	s->learned.others_answer = true;
	told(s, 504, 3000);
}
static void idle_lost_miss(struct story *s) { idle_lost(s); s->learned.others_answer = false; }

static void middlebox(struct story *s)
{
	ask(s);
	up_closes(s, CLOSING_RST, 15, 5);
	up_side(s)->rst.ttl = 250;
	told(s, 502, 6);
}
static void middlebox_data(struct story *s) { middlebox(s); up_side(s)->rst.ttl = 64; up_side(s)->data_after_rst = at(30, 500); }
static void reset_before(struct story *s) { middlebox(s); up_side(s)->rst.ttl = 64; }

/* FIN of the upstream's idle timer crosses with the request: it does not acknowledge it. */
static void race(struct story *s)
{
	ask(s);
	reused(s, 5000);
	x_of(s)->request_acked = (struct mark){ 0, 0 };
	up_closes(s, CLOSING_FIN, 14, 4);
	told(s, 502, 5);
}
static void race_miss(struct story *s)          /* the same FIN acknowledges the request: the upstream had it */
{
	race(s);
	x_of(s)->request_acked = at(14, 4);
}
static void race_behind(struct story *s)        /* a FIN that takes back what an ACK before it said was sent before that ACK */
{
	race(s);
	x_of(s)->request_acked = at(13, 3);
	up_side(s)->fin_behind = true;
}
static void race_learned(struct story *s)       /* had it, but closed when its own limit of 5 s was up */
{
	race_miss(s);
	s->learned.idle = (struct idle_limit){ .n = 3, .min_ns = MS(4990), .median_ns = MS(5000), .max_ns = MS(5010) };
}
static void race_stale(struct story *s)         /* FIN seen 500 ms before the request */
{
	race(s);
	up_closes(s, CLOSING_FIN, 8, -500);
}
static void race_forgotten(struct story *s)     /* bare RST to the first segment after 2 s idle */
{
	race(s);
	up_side(s)->fin = (struct mark){ 0, 0 };
	reused(s, 2000);
	up_closes(s, CLOSING_RST, 14, 4);
}
static void race_not_forgotten(struct story *s) { race_forgotten(s); reused(s, 300); }
static void race_408(struct story *s) { race(s); response_begins(s, 408, 14, 4); told(s, 408, 5); }

static void h2_broken(struct story *s)
{
	ask(s);
	as_h2(s, 3);
	response_begins(s, 0, 15, 5);
	conn_of(s)->speaks[SERVER] = SPEAKS_HTTP2;
	x_of(s)->outcome = OUTCOME_RESET;
	x_of(s)->response.complete = false;
	breaks(s, VIOLATION_H2_PSEUDO);
	s->up.f.h2.rst_stream[CLIENT] = at(16, 6);
	s->up.f.h2.rst_code[CLIENT] = 1;
	told(s, 502, 7);
}
static void h2_reset(struct story *s)
{
	h2_broken(s);
	x_of(s)->response = (struct message){ .declared = UINT64_MAX };
	s->up.f.h2.rst_stream[CLIENT] = (struct mark){ 0, 0 };
	s->up.f.h2.rst_stream[SERVER] = at(16, 6);
	s->up.f.h2.rst_code[SERVER] = 2;
}
static void goaway(struct story *s)
{
	h2_reset(s);
	s->up.f.h2.rst_stream[SERVER] = (struct mark){ 0, 0 };
	s->up.f.h2.goaway[SERVER] = at(16, 6);
	s->up.f.h2.goaway_last[SERVER] = 1;
	up_closes(s, CLOSING_FIN, 17, 6);
	x_of(s)->outcome = OUTCOME_NO_RESPONSE;
}
static void goaway_miss(struct story *s) { goaway(s); s->up.f.h2.goaway_last[SERVER] = 3; }     /* taken, then closed */

static void upgrade(struct story *s)
{
	ask(s);
	response_begins(s, 101, 15, 5);
	x_of(s)->outcome = OUTCOME_UPGRADED;
	breaks(s, VIOLATION_UPGRADE_UNASKED);
	gives_up(s, 502, 6);
}
static void whole(struct story *s)
{
	ask(s);
	response_begins(s, 200, 15, 5);
	told(s, 502, 6);
}
static void unsolicited(struct story *s) { whole(s); breaks(s, VIOLATION_BODY_FORBIDDEN); }
static void status_line(struct story *s) { whole(s); breaks(s, VIOLATION_STATUS_LINE); }
static void header(struct story *s) { whole(s); breaks(s, VIOLATION_NO_COLON); }
static void framing(struct story *s) { whole(s); breaks(s, VIOLATION_LENGTH_CONFLICT); }
static void chunk(struct story *s) { whole(s); breaks(s, VIOLATION_CHUNK_SIZE); }
static void coding(struct story *s) { whole(s); breaks(s, VIOLATION_CONTENT_CODING); }
static void header_passed(struct story *s)      /* broken, but the gateway took it and the client has it */
{
	header(s);
	told(s, 200, 6);
}
static void header_tolerated(struct story *s)   /* the model takes NUL; something else was wrong: the chunk */
{
	header(s);
	s->c.model = gateway_model_named("haproxy");
	x_of(s)->response.n_broken = 0;
	breaks(s, VIOLATION_NUL_BYTE);
	breaks(s, VIOLATION_CHUNK_SIZE);
}
static void too_large(struct story *s)
{
	whole(s);
	s->c.model = gateway_model_named("nginx");
	x_of(s)->response.head_bytes = 5000;
	gw_closes(s, 89, 5);
}
static void fits(struct story *s) { too_large(s); x_of(s)->response.head_bytes = 4000; }

static void grpc(struct story *s)
{
	whole(s);
	as_h2(s, 1);
	x_of(s)->grpc = true;
}
static void grpc_with(struct story *s) { grpc(s); s->up.f.h2.trailers = true; }

static void during(struct story *s)
{
	ask(s);
	x_of(s)->request.complete = false;
	x_of(s)->request.declared = 150000;
	x_of(s)->request.body_bytes = 18000;
	up_closes(s, CLOSING_RST_ACK, 15, 5);
	told(s, 502, 6);
}
static void during_miss(struct story *s) { during(s); x_of(s)->request.complete = true; }

static void mid_headers(struct story *s)
{
	ask(s);
	response_begins(s, 200, 15, 5);
	x_of(s)->outcome = OUTCOME_PARTIAL_HEADERS;
	x_of(s)->response.complete = x_of(s)->response.head_complete = false;
	up_closes(s, CLOSING_FIN, 16, 6);
	told(s, 502, 7);
}
static void mid_headers_stalls(struct story *s)
{
	mid_headers(s);
	up_side(s)->fin = (struct mark){ 0, 0 };
	gives_up(s, 504, 2006);
}
static void mid_body(struct story *s)
{
	mid_headers(s);
	x_of(s)->outcome = OUTCOME_PARTIAL_BODY;
	x_of(s)->response.head_complete = true;
	x_of(s)->response.declared = 1000;
	x_of(s)->response.body_bytes = 400;
}
static void mid_body_stalls(struct story *s)
{
	mid_body(s);
	up_side(s)->fin = (struct mark){ 0, 0 };
	gives_up(s, 200, 7);
	conn_of(s)->closed = at(89, 2006);
	s->client.f.x.outcome = OUTCOME_PARTIAL_BODY;
	s->client.f.conn.closer = SERVER;
	s->client.f.conn.closing = CLOSING_FIN;
	s->client.f.conn.closed = at(91, 2007);
}
static void mid_body_held_up(struct story *s) { mid_body_stalls(s); gw_side(s)->window_zero = at(60, 100); }     /* by the gateway itself */
static void mid_body_whole(struct story *s) { mid_body(s); x_of(s)->outcome = OUTCOME_COMPLETE; x_of(s)->response.complete = true; }

static void fin_before(struct story *s) { ask(s); up_closes(s, CLOSING_FIN, 15, 5); told(s, 502, 6); }
static void accepted_then_fin(struct story *s)
{
	ask(s);
	only_conn(s);
	s->conn.conn.closer = SERVER;
	s->conn.conn.closing = CLOSING_FIN;
	s->conn.conn.closed = at(13, 3);
	told(s, 502, 4);
}

static void aborted(struct story *s)
{
	ask(s);
	s->c.client_left_first = true;
	s->c.client_left = at(50, 800);
	s->client.f.x.outcome = OUTCOME_NO_RESPONSE;
	gw_closes(s, 51, 801);
}
static void stopped(struct story *s)            /* the same, but no client left */
{
	aborted(s);
	s->c.client_left_first = false;
	s->client.f.conn.closer = SERVER;
	s->client.f.conn.closing = CLOSING_FIN;
	s->client.f.conn.closed = at(52, 801);
}
static void aborted_late(struct story *s)       /* the upstream had closed before the client left */
{
	aborted(s);
	up_closes(s, CLOSING_FIN, 40, 700);
}

static void h2_stall(struct story *s)
{
	ask(s);
	as_h2(s, 1);
	x_of(s)->request.complete = false;
	x_of(s)->request.declared = 20000;
	s->up.f.h2.stalled = at(16, 6);
	s->up.f.h2.stalled_stream = true;
	gives_up(s, 504, 2006);
}
static void h2_stall_miss(struct story *s) { h2_stall(s); x_of(s)->request.complete = true; }   /* END_STREAM sent: nothing owed */

static void zero_window(struct story *s)
{
	ask(s);
	x_of(s)->request_acked = (struct mark){ 0, 0 };
	x_of(s)->request.complete = false;
	up_side(s)->window_zero = at(15, 5);
	told(s, 504, 2006);
}
static void zero_window_opens(struct story *s)
{
	zero_window(s);
	up_side(s)->window_zero = (struct mark){ 0, 0 };
	x_of(s)->request_acked = at(30, 1000);
	x_of(s)->request.complete = true;
}

static void loss_miss(struct story *s) { loss(s); told(s, 502, 6); }    /* 3 ms: no loss, the capture lacks packets */
static void timeout(struct story *s) { ask(s); gives_up(s, 504, 2004); }
static void timeout_miss(struct story *s) { ask(s); gives_up(s, 502, 6); }      /* 3 ms of silence prove nothing */
static void interim_then_silence(struct story *s)
{
	timeout(s);
	x_of(s)->n_interim = 1;
	x_of(s)->interim[0] = 103;
	x_of(s)->interim_at = at(15, 5);
}

static void error(struct story *s)
{
	ask(s);
	response_begins(s, 503, 15, 5);
	x_of(s)->response.body_hash = 7;
	told(s, 503, 6);
	s->client.f.x.response.body_hash = 7;
}
static void error_then_502(struct story *s) { ask(s); response_begins(s, 404, 15, 5); told(s, 502, 6); }

static void stopped_answered(struct story *s) { stopped(s); told(s, 504, 2100); gw_closes(s, 51, 2099); }
static void interim_refused(struct story *s)
{
	interim_then_silence(s);
	gives_up(s, 503, 5);
}

static void nothing(struct story *s)
{
	ask(s);
	s->c.n_trials = 0;
	told(s, 503, 1);
}
static void not_captured(struct story *s) { nothing(s); s->c.reaches_upstreams = false; }

struct row { const char *cause; void (*is)(struct story *); const char *other; void (*is_not)(struct story *); };

static const struct row rows[] = {
	{ "proxy-loop", loop, "upstream-error", loop_miss },
	{ "dns-failure", dns_nxdomain, "unexplained", dns_address },
	{ "port-reuse-conflict", port_reuse, "connect-timeout", port_reuse_miss },
	{ "connection-refused", refused, "reset-before-response", refused_miss },
	{ "host-unreachable", arp, "unexplained", arp_short },
	{ "host-unreachable", icmp, "unexplained", syn_too_soon },
	{ "accept-queue-overflow", queue, "connect-timeout", syn_timeout },
	{ "accept-queue-overflow", syn_ack_again, "packet-loss", loss },
	{ "connect-timeout", syn_timeout, "unexplained", syn_too_soon },
	{ "mtu-blackhole", mtu, "packet-loss", loss },
	{ "mtu-blackhole", mtu_icmp, "packet-loss", loss },
	{ "proxy-protocol-mismatch", preface, "closed-before-response", preface_known },
	{ "tls-to-plaintext-port", tls_to_plain, "tls-handshake-aborted", tls_aborted },
	{ "tls-to-plaintext-port", tls_to_plain_silent, "tls-handshake-timeout", tls_silent },
	{ "plaintext-to-tls-port", plain_to_tls, "not-http", ssh },
	{ "plaintext-to-tls-port", plain_to_tls_400, "upstream-error", plain_400 },
	{ "http2-to-http1-port", h2_to_h1, "closed-before-response", h2_fin },
	{ "http1-to-http2-port", h1_to_h2, "invalid-status-line", garbage },
	{ "not-http", ssh, "invalid-status-line", garbage },
	{ "tls-handshake-rejected", tls_rejected, "tls-handshake-aborted", tls_aborted },
	{ "tls-handshake-rejected", tls_wants_certificate, "closed-before-response", tls_wants_nothing },
	{ "tls-certificate-rejected", certificate, "tls-handshake-timeout", certificate_miss },
	{ "tls-certificate-rejected", certificate_nginx, "tls-handshake-timeout", tls_silent },
	{ "tls-handshake-aborted", tls_aborted, "tls-handshake-rejected", tls_rejected },
	{ "tls-handshake-timeout", tls_silent, "tls-to-plaintext-port", tls_to_plain_silent },
	{ "idle-connection-lost", idle_lost, "packet-loss", idle_lost_miss },
	{ "reset-by-middlebox", middlebox, "reset-before-response", reset_before },
	{ "reset-by-middlebox", middlebox_data, "reset-before-response", reset_before },
	{ "keepalive-race", race, "closed-before-response", race_miss },
	{ "keepalive-race", race_behind, "closed-before-response", race_miss },
	{ "keepalive-race", race_learned, "closed-before-response", race_miss },
	{ "keepalive-race", race_forgotten, "reset-before-response", race_not_forgotten },
	{ "keepalive-race", race_stale, "closed-before-response", race_miss },
	{ "keepalive-race", race_408, "upstream-error", error },
	{ "http2-protocol-error", h2_broken, "http2-stream-reset", h2_reset },
	{ "http2-goaway", goaway, "closed-before-response", goaway_miss },
	{ "http2-stream-reset", h2_reset, "http2-goaway", goaway },
	{ "upgrade-failed", upgrade, "gateway-refused", whole },
	{ "unsolicited-response", unsolicited, "gateway-refused", whole },
	{ "invalid-status-line", status_line, "gateway-refused", whole },
	{ "invalid-header", header, "invalid-chunk", header_tolerated },
	{ "conflicting-framing", framing, "gateway-refused", whole },
	{ "header-too-large", too_large, "gateway-refused", fits },
	{ "invalid-chunk", chunk, "gateway-refused", whole },
	{ "invalid-content-coding", coding, "gateway-refused", whole },
	{ "grpc-missing-trailers", grpc, "gateway-refused", grpc_with },
	{ "closed-during-request", during, "reset-before-response", during_miss },
	{ "closed-mid-headers", mid_headers, "stalled-mid-response", mid_headers_stalls },
	{ "closed-mid-body", mid_body, "gateway-refused", mid_body_whole },
	{ "reset-before-response", reset_before, "reset-by-middlebox", middlebox },
	{ "closed-before-response", fin_before, "reset-before-response", reset_before },
	{ "closed-before-response", accepted_then_fin, "reset-before-response", refused_miss },
	{ "client-aborted", aborted, "gateway-closed", stopped },
	{ "client-aborted", aborted, "closed-before-response", aborted_late },
	{ "http2-flow-control-stall", h2_stall, "response-timeout", h2_stall_miss },
	{ "request-stall", zero_window, "response-timeout", zero_window_opens },
	{ "packet-loss", loss, "unexplained", loss_miss },
	{ "stalled-mid-response", mid_headers_stalls, "closed-mid-headers", mid_headers },
	{ "stalled-mid-response", mid_body_stalls, "gateway-closed", mid_body_held_up },
	{ "response-timeout", timeout, "unexplained", timeout_miss },
	{ "response-timeout", interim_then_silence, "gateway-refused", interim_refused },
	{ "upstream-error", error, "gateway-refused", error_then_502 },
	{ "gateway-closed", stopped, "response-timeout", stopped_answered },
	{ "gateway-refused", whole, "upstream-error", error },
	{ "no-upstream-attempt", nothing, "unexplained", not_captured },
	{ "unexplained", not_captured, "no-upstream-attempt", nothing },
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static void judged(struct story *s, void (*make)(struct story *))
{
	make(s);
	arena_init(&s->arena, 1 << 20);
	judge(&s->c, &s->arena, &s->v);
}

static void done(struct story *s)
{
	arena_clear(&s->arena);
}

static bool cited(const struct verdict *v, const struct mark *m)
{
	for (unsigned i = 0; i < v->n_evidence; i++)
		if (v->evidence[i].at.packet == m->packet)
			return true;
	return false;
}

/* ---- the table ----------------------------------------------------------------------------------- */

TEST(each_cause_is_told_from_its_signature)
{
	struct story s;

	for (unsigned i = 0; i < N_ROWS; i++) {
		judged(&s, rows[i].is);
		if (!CHECK_STR(cause_row(s.v.cause)->name, rows[i].cause))
			printf("# row %u\n", i);
		CHECK(s.v.summary[0] != '\0');
		CHECK(s.v.n_evidence != 0);
		done(&s);
	}
}

TEST(one_packet_different_is_another_cause)
{
	struct story s;

	for (unsigned i = 0; i < N_ROWS; i++) {
		judged(&s, rows[i].is_not);
		if (!CHECK_STR(cause_row(s.v.cause)->name, rows[i].other))
			printf("# row %u, nearest miss of %s\n", i, rows[i].cause);
		done(&s);
	}
}

TEST(every_row_of_causes_def_has_a_story)
{
	for (unsigned cause = 0; cause < CAUSE_COUNT; cause++) {
		bool found = false;

		for (unsigned i = 0; i < N_ROWS; i++)
			found |= strcmp(rows[i].cause, cause_row(cause)->name) == 0;
		if (!CHECK(found))
			printf("# %s\n", cause_row(cause)->name);
	}
}

TEST(causes_have_names_that_find_them)
{
	CHECK_INT(CAUSE_COUNT, 49);
	for (unsigned i = 0; i < CAUSE_COUNT; i++)
		CHECK_INT(cause_by_name(cause_row(i)->name), i);
	CHECK_INT(cause_by_name("no-such-cause"), -1);
	CHECK_STR(family_name(cause_row(CAUSE_KEEPALIVE_RACE)->family), "closed");
	CHECK_STR(fault_name(cause_row(CAUSE_KEEPALIVE_RACE)->fault), "configuration");
}

TEST(evidence_is_of_this_request_and_packets_that_happened)
{
	struct story s;

	for (unsigned i = 0; i < N_ROWS; i++) {
		judged(&s, rows[i].is);
		for (unsigned k = 0; k < s.v.n_evidence; k++)
			CHECK(s.v.evidence[k].at.packet != 0 && s.v.evidence[k].text[0] != '\0');
		done(&s);
	}
	judged(&s, race);
	CHECK(cited(&s.v, &conn_of(&s)->closed) && cited(&s.v, &x_of(&s)->request.first));
	done(&s);
}

TEST(a_cheap_look_agrees_with_the_verdict)
{
	struct story s;

	for (unsigned i = 0; i < N_ROWS; i++) {
		int cheap;

		judged(&s, rows[i].is);
		cheap = s.c.n_trials != 0 ? judge_trial(&s.c, &s.trials[0]) : (int)s.v.cause;
		if (s.v.cause != CAUSE_GATEWAY_REFUSED && s.v.cause != CAUSE_UNEXPLAINED && !CHECK_INT(cheap, s.v.cause))
			printf("# row %u: %s\n", i, rows[i].cause);
		done(&s);
	}
}

/* ---- what a verdict holds ------------------------------------------------------------------------- */

static const struct detail *detail_of(const struct verdict *v, const char *name)
{
	for (unsigned i = 0; i < v->n_details; i++)
		if (strcmp(v->details[i].name, name) == 0)
			return &v->details[i];
	return NULL;
}

TEST(a_race_has_its_trigger_idle_time_and_fault)
{
	struct story s;
	const struct detail *d;

	judged(&s, race);
	d = detail_of(&s.v, "trigger");
	CHECK(d != NULL && strcmp(d->word, "idle") == 0);
	d = detail_of(&s.v, "idle_s");
	CHECK(d != NULL && d->ns == MS(5001));          /* from the last byte to the FIN */
	CHECK_INT(s.v.fault, FAULT_CONFIGURATION);
	CHECK_INT(s.v.confidence, CONFIDENCE_HIGH);
	done(&s);
	judged(&s, race_stale);
	CHECK_STR(detail_of(&s.v, "trigger")->word, "stale");
	CHECK_INT(s.v.fault, FAULT_GATEWAY);
	done(&s);
	judged(&s, race_408);
	CHECK_INT(detail_of(&s.v, "early_status")->count, 408);
	done(&s);
}

TEST(a_restart_and_a_request_limit_are_other_triggers)
{
	struct story s;

	race(&s);
	s.learned.together = 5;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_STR(detail_of(&s.v, "trigger")->word, "draining");
	done(&s);
	race(&s);
	s.learned.max_requests = 1;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_STR(detail_of(&s.v, "trigger")->word, "max-requests");
	done(&s);
}

TEST(a_limit_learnt_from_few_closes_gives_less_confidence)
{
	struct story s;

	judged(&s, race_learned);
	CHECK_INT(s.v.confidence, CONFIDENCE_HIGH);
	done(&s);
	race_learned(&s);
	s.learned.idle.n = 1;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.cause, CAUSE_KEEPALIVE_RACE);
	CHECK_INT(s.v.confidence, CONFIDENCE_MEDIUM);
	done(&s);
}

TEST(a_match_by_order_or_a_hole_gives_less_confidence)
{
	struct story s;

	fin_before(&s);
	s.trials[0].matched = MATCHED_ORDER;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.confidence, CONFIDENCE_MEDIUM);
	done(&s);
	fin_before(&s);
	up_side(&s)->gap_bytes = 100;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.confidence, CONFIDENCE_MEDIUM);
	done(&s);
}

TEST(the_last_failed_try_carries_the_cause)
{
	struct story s;

	refused(&s);
	s.trials[1] = (struct trial){ .gateway = back_end, .upstream = up_end, .x = &s.up.f, .exchange_id = 2, .began = at(12, 2) };
	s.c.n_trials = 2;
	up_closes(&s, CLOSING_FIN, 30, 5);
	told(&s, 502, 6);
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.cause, CAUSE_CLOSED_BEFORE_RESPONSE);
	CHECK_INT(s.v.trial, 1);
	done(&s);
}

TEST(a_good_answer_after_a_failure_is_the_gateways_to_explain)
{
	struct story s;

	refused(&s);
	s.brief = (struct brief_fact){ .head = { .size = sizeof s.brief, .kind = FACT_BRIEF, .conn = 3 }, .end = { back_end, up_end }, .ordinal = 1,
	                               .request = at(20, 4), .response_first = at(22, 5), .response = at(22, 5), .status = 200, .outcome = OUTCOME_COMPLETE };
	s.trials[1] = (struct trial){ .gateway = back_end, .upstream = up_end, .brief = &s.brief, .exchange_id = 3, .began = at(20, 4) };
	s.c.n_trials = 2;
	told(&s, 502, 6);
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.cause, CAUSE_GATEWAY_REFUSED);
	CHECK_INT(s.v.trial, 1);
	done(&s);
	s.c.model = gateway_model_named("nginx");
	s.brief.response_head_bytes = 5000;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.cause, CAUSE_HEADER_TOO_LARGE);
	done(&s);
}

TEST(candidates_that_differ_name_no_cause_and_those_that_agree_do)
{
	struct story s;

	refused(&s);
	s.trials[1] = s.trials[0];
	s.c.n_trials = 2;
	s.c.ambiguous = true;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.cause, CAUSE_CONNECTION_REFUSED);
	done(&s);
	s.trials[1] = (struct trial){ .gateway = back_end, .upstream = up_end, .x = &s.up.f, .began = at(12, 2) };
	up_closes(&s, CLOSING_FIN, 30, 2);
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.cause, CAUSE_UNEXPLAINED);
	CHECK_STR(detail_of(&s.v, "reason")->word, "ambiguous-match");
	done(&s);
}

TEST(one_sided_captures_predict_what_the_client_gets)
{
	struct story s;

	timeout(&s);
	s.c.client = NULL;
	s.c.model = gateway_model_named("apache");
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.cause, CAUSE_RESPONSE_TIMEOUT);
	CHECK_INT(s.v.predicted_status, 502);           /* Apache has no 504 for it */
	CHECK_INT(s.v.predicted_symptom, SYMPTOM_ERROR_STATUS);
	CHECK(!s.v.retried);
	done(&s);
	race(&s);
	s.c.client = NULL;
	s.c.model = gateway_model_named("nginx");
	x_of(&s)->method = METHOD_GET;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK(s.v.retried);                             /* nginx sends a GET again, unseen */
	done(&s);
	x_of(&s)->method = METHOD_POST;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK(!s.v.retried);
	done(&s);
	mid_body(&s);
	s.c.client = NULL;
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.predicted_symptom, SYMPTOM_TRUNCATED);
	CHECK_INT(s.v.predicted_status, 200);
	done(&s);
}

TEST(healthy_exchanges_are_guilty_of_nothing)
{
	struct story s;

	header_passed(&s);
	CHECK_INT(judge_trial(&s.c, &s.trials[0]), -1);         /* broken, but the client has it */
	/* Where only the upstream side was captured: */
	whole(&s);
	s.c.client = NULL;
	CHECK_INT(judge_trial(&s.c, &s.trials[0]), -1);
	header(&s);
	s.c.client = NULL;
	CHECK_INT(judge_trial(&s.c, &s.trials[0]), -1);         /* broken, taken, and nobody closed */
	too_large(&s);
	s.c.client = NULL;
	x_of(&s)->said_close = true;
	CHECK_INT(judge_trial(&s.c, &s.trials[0]), -1);         /* larger than the default, but whole, then the FIN that was announced */
	certificate_nginx(&s);
	s.c.client = NULL;
	CHECK_INT(judge_trial(&s.c, &s.trials[0]), -1);         /* a probe of a TLS port */
}

TEST(advice_is_at_most_three_and_has_the_numbers)
{
	struct story s;

	race_learned(&s);
	s.c.model = gateway_model_named("nginx");
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.n_advice, 3);
	CHECK_HAS(s.v.advice[0], "5.000 s");
	CHECK_HAS(s.v.advice[1], "nginx: keepalive_timeout");
	done(&s);
	for (unsigned i = 0; i < N_ROWS; i++) {
		judged(&s, rows[i].is);
		CHECK(s.v.n_advice <= 3);
		if (!CHECK(s.v.n_advice != 0))
			printf("# %s has no advice\n", rows[i].cause);
		for (unsigned k = 0; k < s.v.n_advice; k++)
			CHECK(strpbrk(s.v.advice[k], "{}") == NULL);
		done(&s);
	}
}

TEST(equivalents_begin_with_the_gateways_own_words)
{
	struct story s;

	race(&s);
	s.c.model = gateway_model_named("haproxy");
	arena_init(&s.arena, 1 << 20);
	judge(&s.c, &s.arena, &s.v);
	CHECK_STR(s.v.equivalents[0].product, "haproxy");
	CHECK_STR(s.v.equivalents[0].text, "SH--");
	CHECK_STR(s.v.equivalents[s.v.n_equivalents - 1].product, "proxy-status");
	CHECK_STR(s.v.equivalents[s.v.n_equivalents - 1].text, "connection_terminated");
	done(&s);
}

TEST(no_memory_still_gives_a_cause)
{
	struct story s;

	fin_before(&s);
	arena_init(&s.arena, 64);
	judge(&s.c, &s.arena, &s.v);
	CHECK_INT(s.v.cause, CAUSE_CLOSED_BEFORE_RESPONSE);
	CHECK(s.v.summary != NULL);
	done(&s);
}

TEST_MAIN()
