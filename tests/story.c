#include "story.h"

#include "../capture/limits.h"
#include "replay.h"

enum {
	ETHERNET = 14, IPV4 = 20, TCP = 20, UDP = 8, MSS = 1460, PACKET_TIME_US = 100, HOSTS_MAX = 256,
	PORTS_FROM = 40000, CONNS_MAX = 65536 - PORTS_FROM,
	TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16,
	HOST_GATEWAY = 1, HOST_UPSTREAM = 7, HOST_CLIENT = 9, HOST_DNS = 53, HOST_ROUTER = 254
};

struct end {
	uint8_t  host;
	uint16_t port;
	uint32_t next;                          /* sequence number that it will use */
	uint32_t peer_next;                     /* what it acknowledges; 0: nothing has come yet */
	bool     syn_sent;
	uint8_t *last;                          /* its last segment with data, MSS bytes at most */
	size_t   last_len;
	uint32_t last_seq;
};
struct connection { struct end end[2]; bool open; };

struct record { int64_t time_ns; uint32_t len, kept; size_t at; bool left_out; };

struct story_memory {
	struct story_memory *before;            /* all stories, so that a leak checker sees only real leaks */
	int64_t now_ns;
	uint8_t upstream;
	uint16_t ip_id[HOSTS_MAX];
	struct connection *conns;
	int n_conns, conns_size, front, back;
	uint8_t *bytes;
	size_t used, size;
	struct record *records;
	unsigned n, records_size;
	size_t last_ip;                         /* where the last packet of the connection behind has its IP header */
	bool judged;
	struct replay judgement;
	char cause[64], causes[512], said[8192];
};

/* ---- bytes -------------------------------------------------------------------------------- */

struct out { uint8_t *at; };

static void out_u8(struct out *o, unsigned v) { *o->at++ = (uint8_t)v; }
static void out_u16(struct out *o, unsigned v) { out_u8(o, v >> 8); out_u8(o, v); }
static void out_u32(struct out *o, uint32_t v) { out_u16(o, v >> 16); out_u16(o, v); }

static void out_bytes(struct out *o, const void *bytes, size_t n)
{
	if (n != 0)
		memcpy(o->at, bytes, n);
	o->at += n;
}

static void out_ethernet(struct out *o, uint8_t from, uint8_t to, unsigned type)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, to }, source[6] = { 2, 0, 0, 0, 0, from };

	out_bytes(o, mac, 6);
	out_bytes(o, source, 6);
	out_u16(o, type);
}

static void out_address(struct out *o, uint8_t host)
{
	out_u32(o, UINT32_C(0x0a000000) | host);
}

static void out_ipv4(struct out *o, uint8_t from, uint8_t to, unsigned protocol, size_t payload, unsigned id, unsigned ttl)
{
	out_u16(o, 0x4500);
	out_u16(o, (unsigned)(IPV4 + payload));
	out_u16(o, id);
	out_u16(o, 0x4000);             /* don't fragment */
	out_u8(o, ttl);
	out_u8(o, protocol);
	out_u16(o, 0);
	out_address(o, from);
	out_address(o, to);
}

static void *must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

/* Room for one more packet of len bytes; it counts once put_packet() is called. */
static struct out new_packet(struct story_memory *m, size_t len)
{
	if (m->used + len > m->size) {
		m->size = 2 * (m->used + len) + 4096;
		m->bytes = must(realloc(m->bytes, m->size));
	}
	if (m->n == m->records_size) {
		m->records_size = 2 * m->records_size + 64;
		m->records = must(realloc(m->records, m->records_size * sizeof *m->records));
	}
	return (struct out){ m->bytes + m->used };
}

static void put_packet(struct story *s, size_t len)
{
	struct story_memory *m = s->m;
	size_t kept = s->next.snaplen != 0 && s->next.snaplen < len ? s->next.snaplen : len;

	if (!s->next.unseen) {
		m->records[m->n++] = (struct record){ m->now_ns, (uint32_t)len, (uint32_t)kept, m->used, false };
		m->used += len;
	}
	m->now_ns += PACKET_TIME_US * NS_PER_US;
	s->next = (struct story_next){ 0 };
}

/* ---- hosts and connections ---------------------------------------------------------------- */

static unsigned next_ip_id(struct story *s, uint8_t host)
{
	if (s->next.ip_id_zero)
		return 0;
	return s->next.ip_id != 0 ? s->next.ip_id : ++s->m->ip_id[host];
}

static unsigned ttl_of(const struct story *s, uint8_t host)
{
	if (s->next.ttl != 0)
		return s->next.ttl;
	return host == HOST_GATEWAY || host == HOST_CLIENT ? 64 : 63;
}

static struct connection *connection_of(struct story *s, int who, enum side *side)
{
	bool back = who == UPSTREAM || who == GATEWAY;
	int n = back ? s->m->back : s->m->front;

	*side = who == UPSTREAM || who == FRONT ? SERVER : CLIENT;
	if (n < 0) {
		if (back)
			story_connect_back(s);
		else
			story_connect_front(s);
		n = back ? s->m->back : s->m->front;
	}
	return &s->m->conns[n];
}

static int begin(struct story *s, uint8_t client, uint8_t server, uint16_t server_port)
{
	struct story_memory *m = s->m;
	int n = m->n_conns;
	struct connection *c;

	if (n == CONNS_MAX)
		abort();
	if (n == m->conns_size) {
		m->conns_size = 2 * n + 16;
		m->conns = must(realloc(m->conns, (size_t)m->conns_size * sizeof *m->conns));
	}
	c = &m->conns[m->n_conns++];
	*c = (struct connection){ .open = true };
	c->end[CLIENT] = (struct end){ .host = client, .port = (uint16_t)(PORTS_FROM + n), .next = 1000000u * (uint32_t)(n + 1) };
	c->end[SERVER] = (struct end){ .host = server, .port = server_port, .next = 7000000u * (uint32_t)(n + 1) };
	c->end[CLIENT].peer_next = 0;
	c->end[SERVER].peer_next = 0;
	return n;
}

/* ---- segments ----------------------------------------------------------------------------- */

static void syn_options(struct out *o)
{
	const uint8_t options[12] = { 2, 4, MSS >> 8, MSS & 0xff, 1, 3, 3, 7, 4, 2, 1, 1 };  /* MSS, window scale, SACK permitted */

	out_bytes(o, options, sizeof options);
}

/* RFC 2018 3 */
static void sack_option(struct out *o, const struct end *peer)
{
	out_u32(o, 0x0101050a);
	out_u32(o, peer->last_seq);
	out_u32(o, peer->last_seq + (uint32_t)peer->last_len);
}

/* Sends a segment whose header says seq and ack just so. */
static void put_segment(struct story *s, struct end *from, const struct end *to, uint32_t seq, uint32_t ack, unsigned flags,
                        const void *bytes, size_t n)
{
	struct story_memory *m = s->m;
	size_t options = (flags & TCP_SYN) != 0 || s->next.sacks ? 12 : 0, len = ETHERNET + IPV4 + TCP + options + n;
	struct out o = new_packet(m, len);

	if (m->back >= 0 && (from == &m->conns[m->back].end[CLIENT] || from == &m->conns[m->back].end[SERVER]))
		m->last_ip = m->used + ETHERNET;
	out_ethernet(&o, from->host, to->host, 0x0800);
	out_ipv4(&o, from->host, to->host, 6, TCP + options + n, next_ip_id(s, from->host), ttl_of(s, from->host));
	out_u16(&o, from->port);
	out_u16(&o, to->port);
	out_u32(&o, seq + (uint32_t)s->next.seq_off);
	out_u32(&o, (flags & TCP_ACK) != 0 ? ack + (uint32_t)s->next.ack_off : 0);
	out_u8(&o, (unsigned)(TCP + options) << 2);
	out_u8(&o, flags);
	out_u16(&o, s->next.window_set ? s->next.window : (flags & TCP_RST) != 0 ? 0 : 501);
	out_u32(&o, 0);                 /* checksum, urgent pointer */
	if ((flags & TCP_SYN) != 0)
		syn_options(&o);
	else if (s->next.sacks)
		sack_option(&o, to);
	out_bytes(&o, bytes, n);
	put_packet(s, len);
}

/* The ordinary next segment of a side: its numbers move on, and unless it is lost the peer has got it. */
static void say(struct story *s, int who, unsigned flags, const void *bytes, size_t n)
{
	enum side side;
	struct connection *c = connection_of(s, who, &side);
	struct end *from = &c->end[side], *to = &c->end[side_other(side)];
	uint32_t seq = from->next, more = (uint32_t)n + ((flags & (TCP_SYN | TCP_FIN)) != 0);
	bool arrives = !s->next.lost;

	put_segment(s, from, to, seq, from->peer_next, flags, bytes, n);
	from->next += more;
	from->syn_sent = from->syn_sent || (flags & TCP_SYN) != 0;
	if (arrives && (to->peer_next == 0 || to->peer_next == seq))
		to->peer_next = seq + more;
	if (n != 0) {
		from->last_len = n < MSS ? n : MSS;
		from->last = must(realloc(from->last, MSS));
		memcpy(from->last, bytes, from->last_len);
		from->last_seq = seq;
	}
}

void story_segment(struct story *s, int who, const void *bytes, size_t n)
{
	say(s, who, TCP_ACK | TCP_PSH, bytes, n);
}

void story_bytes(struct story *s, int who, const void *bytes, size_t n)
{
	struct story_next next = s->next;

	for (size_t at = 0; at < n; at += MSS) {
		s->next = next;
		story_segment(s, who, (const uint8_t *)bytes + at, n - at < MSS ? n - at : MSS);
	}
}

void story_text(struct story *s, int who, const char *text)
{
	story_bytes(s, who, text, strlen(text));
}

void story_ack(struct story *s, int who)
{
	say(s, who, TCP_ACK, NULL, 0);
}

void story_fin(struct story *s, int who)
{
	say(s, who, TCP_FIN | TCP_ACK, NULL, 0);
}

void story_rst_ack(struct story *s, int who)
{
	say(s, who, TCP_RST | TCP_ACK, NULL, 0);
}

/* RFC 9293 3.10.7.1: a segment with ACK for a connection that is closed is answered by <SEQ=SEG.ACK><CTL=RST>. */
void story_rst(struct story *s, int who)
{
	enum side side;
	struct connection *c = connection_of(s, who, &side);
	struct end *from = &c->end[side], *to = &c->end[side_other(side)];

	put_segment(s, from, to, to->peer_next, 0, TCP_RST, NULL, 0);
}

void story_resend(struct story *s, int who)
{
	enum side side;
	struct connection *c = connection_of(s, who, &side);
	struct end *from = &c->end[side], *to = &c->end[side_other(side)];

	if (!s->next.lost && to->peer_next == from->last_seq)
		to->peer_next = from->last_seq + (uint32_t)from->last_len;
	put_segment(s, from, to, from->last_seq, from->peer_next, TCP_ACK | TCP_PSH, from->last, from->last_len);
}

void story_again(struct story *s, int who, unsigned packet)
{
	struct cursor c = cursor_of(story_packet(s, packet));
	enum side side;
	struct connection *conn = connection_of(s, who, &side);
	uint8_t payload[MSS];
	uint32_t seq;
	size_t header;

	cur_skip(&c, ETHERNET + IPV4 + 4);
	seq = cur_u32(&c);
	cur_skip(&c, 4);
	header = (size_t)(cur_u8(&c) >> 4) * 4;
	cur_skip(&c, header - 13);
	if (c.failed || c.rest.len > sizeof payload)
		abort();
	memcpy(payload, c.rest.at, c.rest.len);         /* the next packet may move the others */
	put_segment(s, &conn->end[side], &conn->end[side_other(side)], seq, conn->end[side].peer_next, TCP_ACK | TCP_PSH, payload, c.rest.len);
}

/* RFC 9293 3.8.4: SEG.SEQ = SND.NXT-1. */
void story_probe(struct story *s, int who)
{
	enum side side;
	struct connection *c = connection_of(s, who, &side);

	put_segment(s, &c->end[side], &c->end[side_other(side)], c->end[side].next - 1, c->end[side].peer_next, TCP_ACK, NULL, 0);
}

/* ---- connecting --------------------------------------------------------------------------- */

static void handshake(struct story *s, int client, int server)
{
	say(s, client, TCP_SYN, NULL, 0);
	say(s, server, TCP_SYN | TCP_ACK, NULL, 0);
	story_ack(s, client);
}

void story_begin_back(struct story *s)
{
	s->m->back = begin(s, HOST_GATEWAY, s->m->upstream, 8080);
}

void story_connect_back(struct story *s)
{
	story_begin_back(s);
	handshake(s, GATEWAY, UPSTREAM);
}

void story_begin_name_server(struct story *s)
{
	s->m->back = begin(s, HOST_GATEWAY, HOST_DNS, 53);
}

void story_connect_name_server(struct story *s)
{
	story_begin_name_server(s);
	handshake(s, GATEWAY, UPSTREAM);
}

void story_connect_front(struct story *s)
{
	s->m->front = begin(s, HOST_CLIENT, HOST_GATEWAY, 80);
	handshake(s, CLIENT, FRONT);
}

static void join(struct connection *c)
{
	c->end[CLIENT].peer_next = c->end[SERVER].next;
	c->end[SERVER].peer_next = c->end[CLIENT].next;
}

void story_join_back(struct story *s)
{
	story_begin_back(s);
	join(&s->m->conns[s->m->back]);
}

void story_join_front(struct story *s)
{
	s->m->front = begin(s, HOST_CLIENT, HOST_GATEWAY, 80);
	join(&s->m->conns[s->m->front]);
}

/* A SYN, or the same again. */
static void say_syn(struct story *s, int who, unsigned flags)
{
	enum side side;
	struct connection *c = connection_of(s, who, &side);
	struct end *from = &c->end[side], *to = &c->end[side_other(side)];

	if (!from->syn_sent) {
		say(s, who, flags, NULL, 0);
		return;
	}
	if (!s->next.lost && to->peer_next == 0)
		to->peer_next = from->next;
	put_segment(s, from, to, from->next - 1, from->peer_next, flags, NULL, 0);
}

void story_syn(struct story *s)
{
	if (s->m->back < 0)
		story_begin_back(s);
	say_syn(s, GATEWAY, TCP_SYN);
}

void story_syn_ack(struct story *s)
{
	say_syn(s, UPSTREAM, TCP_SYN | TCP_ACK);
}

/* RFC 9293 3.10.7.1: a SYN is answered by <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>. */
void story_refuse(struct story *s)
{
	struct connection *c = &s->m->conns[s->m->back];

	put_segment(s, &c->end[SERVER], &c->end[CLIENT], 0, c->end[CLIENT].next, TCP_RST | TCP_ACK, NULL, 0);
	s->m->back = -1;
}

void story_to_upstream(struct story *s, unsigned n)
{
	s->m->upstream = (uint8_t)(HOST_UPSTREAM + (n - 1) * 10);
	s->m->back = -1;
}

int story_front(const struct story *s)
{
	return s->m->front;
}

int story_back(const struct story *s)
{
	return s->m->back;
}

void story_turn_to(struct story *s, int front, int back)
{
	s->m->front = front >= 0 ? front : s->m->front;
	s->m->back = back >= 0 ? back : s->m->back;
}

/* ---- around TCP --------------------------------------------------------------------------- */

void story_icmp(struct story *s, uint8_t type, uint8_t code, uint16_t mtu)
{
	enum { QUOTED = IPV4 + 8 };
	uint8_t quoted[QUOTED];
	size_t len = ETHERNET + IPV4 + 8 + QUOTED;
	struct out o = new_packet(s->m, len);

	memcpy(quoted, s->m->bytes + s->m->last_ip, QUOTED);
	out_ethernet(&o, HOST_ROUTER, HOST_GATEWAY, 0x0800);
	out_ipv4(&o, HOST_ROUTER, HOST_GATEWAY, 1, 8 + QUOTED, next_ip_id(s, HOST_ROUTER), ttl_of(s, HOST_ROUTER));
	out_u8(&o, type);
	out_u8(&o, code);
	out_u16(&o, 0);
	out_u16(&o, 0);
	out_u16(&o, mtu);
	out_bytes(&o, quoted, QUOTED);
	put_packet(s, len);
}

static void arp(struct story *s, unsigned operation, uint8_t from, uint8_t to)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, from };
	size_t len = ETHERNET + 28;
	struct out o = new_packet(s->m, len);

	out_ethernet(&o, from, operation == 1 ? 0xff : to, 0x0806);
	out_u32(&o, 0x00010800);
	out_u16(&o, 0x0604);
	out_u16(&o, operation);
	out_bytes(&o, mac, 6);
	out_address(&o, from);
	out_u32(&o, 0);
	out_u16(&o, 0);
	out_address(&o, to);
	put_packet(s, len);
}

void story_arp_question(struct story *s)
{
	arp(s, 1, HOST_GATEWAY, s->m->upstream);
}

void story_arp_answer(struct story *s)
{
	arp(s, 2, s->m->upstream, HOST_GATEWAY);
}

void story_datagram(struct story *s, int who, uint16_t from_port, uint16_t to_port, const void *bytes, size_t n)
{
	uint8_t from = who == GATEWAY ? HOST_GATEWAY : HOST_DNS, to = who == GATEWAY ? HOST_DNS : HOST_GATEWAY;
	size_t len = ETHERNET + IPV4 + UDP + n;
	struct out o = new_packet(s->m, len);

	out_ethernet(&o, from, to, 0x0800);
	out_ipv4(&o, from, to, 17, UDP + n, next_ip_id(s, from), ttl_of(s, from));
	out_u16(&o, from_port);
	out_u16(&o, to_port);
	out_u16(&o, (unsigned)(UDP + n));
	out_u16(&o, 0);
	out_bytes(&o, bytes, n);
	put_packet(s, len);
}

/* ---- HTTP --------------------------------------------------------------------------------- */

static void say_request(struct story *s, int who, const char *request, const char *added)
{
	bool body = strncmp(request, "POST ", 5) == 0 || strncmp(request, "PUT ", 4) == 0;
	char text[2048];

	snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: shop.example\r\n%sUser-Agent: story/1\r\nAccept: */*\r\n%s\r\n%s", request,
	         added, body ? "Content-Length: 5\r\n" : "", body ? "a=1&b" : "");
	story_text(s, who, text);
}

void story_asks(struct story *s, const char *request)
{
	say_request(s, CLIENT, request, "");
	story_ack(s, FRONT);
}

void story_passes_on(struct story *s, const char *request)
{
	say_request(s, GATEWAY, request, "X-Forwarded-For: 10.0.0.9\r\n");
}

void story_request(struct story *s, const char *request)
{
	struct story_next next = s->next;

	s->next = (struct story_next){ 0 };
	story_asks(s, request);
	if (s->m->back < 0)
		story_connect_back(s);
	s->next = next;                 /* it is the request behind that a story bends */
	story_passes_on(s, request);
}

static const char *reason(unsigned status)
{
	static const struct { unsigned status; const char *reason; } reasons[] = {
		{ 200, "OK" }, { 204, "No Content" }, { 304, "Not Modified" }, { 400, "Bad Request" }, { 404, "Not Found" },
		{ 500, "Internal Server Error" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Time-out" }
	};

	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

static void say_answer(struct story *s, int who, unsigned status)
{
	bool body = status >= 200 && status != 204 && status != 304;
	char text[512];

	snprintf(text, sizeof text, "HTTP/1.1 %u %s\r\n%sConnection: keep-alive\r\n\r\n%s", status, reason(status),
	         body ? "Content-Type: text/plain\r\nContent-Length: 2\r\n" : "", body ? "ok" : "");
	story_text(s, who, text);
}

void story_upstream_answers(struct story *s, unsigned status)
{
	say_answer(s, UPSTREAM, status);
	story_ack(s, GATEWAY);
}

void story_answer(struct story *s, unsigned status)
{
	story_upstream_answers(s, status);
	say_answer(s, FRONT, status);
	story_ack(s, CLIENT);
}

/* nginx 1.22 ngx_http_special_response.c; HAProxy 2.6 src/http.c, http_err_msgs. */
void story_error(struct story *s, unsigned status)
{
	char page[512], text[1024];
	bool haproxy = strcmp(s->product, "haproxy") == 0, nginx = strcmp(s->product, "nginx") == 0;

	if (nginx)
		snprintf(page, sizeof page, "<html>\r\n<head><title>%u %s</title></head>\r\n<body>\r\n<center><h1>%u %s</h1></center>\r\n"
		         "<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n", status, reason(status), status, reason(status));
	else if (haproxy)
		snprintf(page, sizeof page, "<html><body><h1>%u %s</h1>\nThe server returned an invalid or incomplete response.\n"
		         "</body></html>\n", status, reason(status));
	else
		snprintf(page, sizeof page, "%u %s\n", status, reason(status));
	snprintf(text, sizeof text,
	         haproxy ? "HTTP/1.1 %u %s\r\ncontent-length: %zu\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n\r\n%s"
	         : nginx ? "HTTP/1.1 %u %s\r\nServer: nginx/1.22.1\r\nDate: Sat, 31 Jan 2026 12:00:00 GMT\r\nContent-Type: text/html\r\n"
	                   "Content-Length: %zu\r\nConnection: keep-alive\r\n\r\n%s"
	                 : "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\n\r\n%s",
	         status, reason(status), strlen(page), page);
	story_text(s, FRONT, text);
	story_ack(s, CLIENT);
}

/* ---- beginning ---------------------------------------------------------------------------- */

struct story story_new(void)
{
	static struct story_memory *last;
	struct story s = { .product = "nginx", .m = must(calloc(1, sizeof *s.m)) };

	s.m->before = last;
	last = s.m;
	s.m->now_ns = INT64_C(1769860800) * NS_PER_S;   /* 2026-01-31 12:00:00 UTC */
	s.m->upstream = HOST_UPSTREAM;
	s.m->front = s.m->back = -1;
	replay_options(&s.decode, &s.report);
	return s;
}

struct story story_answered(const char *request, unsigned status)
{
	struct story s = story_new();

	story_request(&s, request);
	story_answer(&s, status);
	return s;
}

void story_wait_us(struct story *s, int64_t us)
{
	s->m->now_ns += us * NS_PER_US;
}

void story_wait_ms(struct story *s, int64_t ms)
{
	s->m->now_ns += ms * NS_PER_MS;
}

int64_t story_now_ns(const struct story *s)
{
	return s->m->now_ns;
}

/* ---- judging ------------------------------------------------------------------------------ */

unsigned story_packets(const struct story *s)
{
	return s->m->n;
}

struct span story_packet(const struct story *s, unsigned number)
{
	const struct record *r = &s->m->records[number - 1];

	return number >= 1 && number <= s->m->n ? span_of(s->m->bytes + r->at, r->kept) : span_none();
}

void story_leave_out(struct story *s, unsigned from, unsigned to)
{
	for (unsigned i = from; i <= to; i++)
		s->m->records[i - 1].left_out = true;
}

static void write_for_wireshark(const struct story *s)
{
	static unsigned number;
	const char *dir = getenv("WHY502_STORY_DIR");
	char path[512];

	if (dir == NULL)
		return;
	snprintf(path, sizeof path, "%s/%u.pcap", dir, ++number);
	story_write(s, path);
}

const struct report *story_report(struct story *s)
{
	struct story_memory *m = s->m;
	struct packet *packets;
	struct err e = { ERR_OK, "" };

	if (m->judged)
		return m->judgement.report;
	m->judged = true;
	write_for_wireshark(s);
	packets = must(calloc(m->n + 1, sizeof *packets));
	for (unsigned i = 0; i < m->n; i++) {
		const struct record *r = &m->records[i];

		packets[i] = (struct packet){
			.bytes = m->bytes + r->at, .caplen = r->kept, .len = r->len, .time_ns = r->time_ns, .number = i + 1, .frame = i + 1,
			.offset = 24 + r->at + 16 * (size_t)i, .link_type = 1, .filtered = r->left_out
		};
	}
	if (!replay(packets, m->n, &s->decode, &s->report, &m->judgement, &e))
		FAIL(e.text);
	free(packets);
	return m->judgement.report;
}

const struct incident *story_incident(struct story *s)
{
	const struct report *r = story_report(s);

	return r != NULL && r->n_incidents != 0 ? r->incidents[0] : NULL;
}

const char *story_cause(struct story *s)
{
	const struct report *r = story_report(s);

	if (r == NULL || r->total_incidents == 0)
		return "none";
	if (r->n_incidents == 1)
		return cause_row(r->incidents[0]->cause)->name;
	snprintf(s->m->cause, sizeof s->m->cause, "%u incidents", r->n_incidents);
	return s->m->cause;
}

const char *story_causes(struct story *s)
{
	const struct report *r = story_report(s);
	size_t n = 0, room = sizeof s->m->causes;

	s->m->causes[0] = '\0';
	for (unsigned i = 0; r != NULL && i < r->n_incidents && n < room; i++)
		n += (size_t)snprintf(s->m->causes + n, room - n, "%s%s", i != 0 ? ", " : "", cause_row(r->incidents[i]->cause)->name);
	return n != 0 ? s->m->causes : "none";
}

const char *story_said(struct story *s)
{
	const struct report *r = story_report(s);
	size_t n = 0, room = sizeof s->m->said;

	s->m->said[0] = '\0';
	for (unsigned i = 0; r != NULL && i < r->n_incidents; i++) {
		const struct incident *it = r->incidents[i];

		for (unsigned k = 0; k < it->n_evidence && n < room; k++)
			n += (size_t)snprintf(s->m->said + n, room - n, "%s\n", it->evidence[k].text);
		if (n < room)
			n += (size_t)snprintf(s->m->said + n, room - n, "%s\n", it->summary);
	}
	return s->m->said;
}

static const struct detail *detail_named(struct story *s, const char *name)
{
	const struct incident *i = story_incident(s);

	for (unsigned n = 0; i != NULL && n < i->n_details; n++)
		if (strcmp(i->details[n].name, name) == 0)
			return &i->details[n];
	return NULL;
}

const char *story_word(struct story *s, const char *detail)
{
	const struct detail *d = detail_named(s, detail);

	return d != NULL && d->kind == DETAIL_WORD ? d->word : "";
}

int64_t story_detail_ns(struct story *s, const char *detail)
{
	const struct detail *d = detail_named(s, detail);

	return d != NULL && d->kind == DETAIL_SECONDS ? d->ns : -1;
}

int64_t story_detail_count(struct story *s, const char *detail)
{
	const struct detail *d = detail_named(s, detail);

	return d != NULL && d->kind == DETAIL_COUNT ? d->count : -1;
}

bool story_has_evidence(struct story *s, unsigned packet)
{
	const struct incident *i = story_incident(s);

	for (unsigned n = 0; i != NULL && n < i->n_evidence; n++)
		if (i->evidence[n].at.packet == packet)
			return true;
	return false;
}

/* ---- as a file ---------------------------------------------------------------------------- */

bool story_write(const struct story *s, const char *path)
{
	const uint32_t head[6] = { 0xa1b23c4d, 2 | 4 << 16, 0, 0, LIMIT_PACKET_BYTES, 1 };     /* nanoseconds, Ethernet */
	FILE *f = fopen(path, "wb");
	bool ok;

	if (f == NULL)
		return false;
	ok = fwrite(head, sizeof head, 1, f) == 1;
	for (unsigned i = 0; ok && i < s->m->n; i++) {
		const struct record *r = &s->m->records[i];
		const uint32_t record[4] = { (uint32_t)(r->time_ns / NS_PER_S), (uint32_t)(r->time_ns % NS_PER_S), r->kept, r->len };

		ok = fwrite(record, sizeof record, 1, f) == 1 && (r->kept == 0 || fwrite(s->m->bytes + r->at, r->kept, 1, f) == 1);
	}
	return fclose(f) == 0 && ok;
}
