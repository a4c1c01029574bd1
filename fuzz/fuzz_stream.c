/* A response of 502 in TCP segments: late, twice, overlapping, in any order. Whatever way they come, the exchange is the one that they
 * make in order. Input: how many bytes of body (2 bytes), then segments of that response: where each begins (2) and how long
 * it is (1); its upper bit: the client acknowledges all that it has by then. What is still missing then comes in order. */
#include "../decode/decode.h"
#include "check.h"

#include <stdio.h>

enum { CLIENT_ISN = 1000, SERVER_ISN = 5000, HEADERS = 54, SEGMENT = 128, STREAM_MAX = 8192, BATCH_CHUNK = 1 };
enum { FIN = 1, SYN = 2, ACK = 16 };

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

struct told { unsigned n; uint16_t status; uint64_t body, missing, hash; bool complete; };

struct run {
	struct decode *decode;
	struct packet_batch batch;
	struct chunk chunk;
	uint8_t bytes[HEADERS + SEGMENT];
	struct told told;
	uint64_t number;
	int64_t now_ns;
};

static void take(void *ctx, const struct fact_batch *b)
{
	struct told *t = ctx;

	for (const struct fact *f = NULL; (f = fact_next(b, f)) != NULL;) {
		const struct exchange_fact *x = (const void *)f;

		if (f->kind == FACT_EXCHANGE && x->final)
			*t = (struct told){ t->n + 1, x->x.status, x->x.response.body_bytes, x->x.response.missing,
			                    x->x.response.body_hash, x->x.outcome == OUTCOME_COMPLETE };
	}
}

static void put(uint8_t *at, uint32_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static void send(struct run *r, enum side from, unsigned flags, uint32_t seq, uint32_t ack, struct span payload)
{
	uint8_t *ip = r->bytes + 14, *tcp = ip + 20;
	uint32_t len = (uint32_t)(HEADERS + payload.len);

	memset(r->bytes, 0, HEADERS);
	put(r->bytes + 12, 0x0800, 2);
	put(ip, 0x45, 1);
	put(ip + 2, len - 14, 2);
	put(ip + 8, 0x4006, 2);
	put(ip + 12, from == CLIENT ? 0x0a000001 : 0x0a000002, 4);
	put(ip + 16, from == CLIENT ? 0x0a000002 : 0x0a000001, 4);
	put(tcp, from == CLIENT ? 40000 : 80, 2);
	put(tcp + 2, from == CLIENT ? 80 : 40000, 2);
	put(tcp + 4, seq, 4);
	put(tcp + 8, ack, 4);
	put(tcp + 12, 0x5000 | flags, 2);
	put(tcp + 14, 65000, 2);
	if (payload.len != 0)
		memcpy(tcp + 20, payload.at, payload.len);
	r->now_ns += NS_PER_US;
	r->batch = (struct packet_batch){ .chunk = &r->chunk, .n = 1, .now_ns = r->now_ns };
	atomic_fetch_add(&r->chunk.refs, 1);
	r->batch.packets[0] = (struct packet){ .bytes = r->bytes, .caplen = len, .len = len, .time_ns = r->now_ns, .number = ++r->number,
	                                       .frame = r->number, .link_type = 1 };
	decode_packets(r->decode, &r->batch);
}

static void piece(struct run *r, struct span stream, size_t at, size_t n)
{
	struct span s = span_first(span_from(stream, at), n < SEGMENT ? n : SEGMENT);

	if (s.len != 0)
		send(r, SERVER, ACK, SERVER_ISN + 1 + (uint32_t)at, CLIENT_ISN + sizeof request, s);
}

/* How far the client has all. */
static size_t reached(const bool *has, size_t n)
{
	size_t i = 0;

	while (i < n && has[i])
		i++;
	return i;
}

static void shuffled(struct run *r, struct span stream, struct cursor c)
{
	static bool has[STREAM_MAX];
	size_t at = 0;

	memset(has, 0, sizeof has);
	while (c.rest.len >= 3) {
		size_t begin = cur_u16(&c), n;
		uint8_t how = cur_u8(&c);

		begin %= stream.len;
		n = 1 + (how & 127U);
		piece(r, stream, begin, n);
		for (size_t i = begin; i < stream.len && i < begin + n; i++)
			has[i] = true;
		if ((how & 128) != 0)
			send(r, CLIENT, ACK, CLIENT_ISN + sizeof request, SERVER_ISN + 1 + (uint32_t)reached(has, stream.len), span_none());
	}
	while ((at = reached(has, stream.len)) < stream.len) {
		piece(r, stream, at, SEGMENT);
		for (size_t i = at; i < stream.len && i < at + SEGMENT; i++)
			has[i] = true;
	}
}

static struct told tell(struct span stream, struct cursor order)
{
	struct run *r = calloc(1, sizeof *r);
	struct decode_options o = { .threads = 1, .max_memory = 16 << 20 };
	struct err e = { ERR_OK, "" };
	struct told told;

	must(r != NULL);
	atomic_init(&r->chunk.refs, BATCH_CHUNK);
	r->now_ns = 1700000000 * NS_PER_S;
	r->decode = decode_new(&o, (struct fact_sink){ &r->told, take }, &e);
	must(r->decode != NULL);
	send(r, CLIENT, SYN, CLIENT_ISN, 0, span_none());
	send(r, SERVER, SYN | ACK, SERVER_ISN, CLIENT_ISN + 1, span_none());
	send(r, CLIENT, ACK, CLIENT_ISN + 1, SERVER_ISN + 1, span_none());
	send(r, CLIENT, ACK, CLIENT_ISN + 1, SERVER_ISN + 1, span_text(request));
	shuffled(r, stream, order);
	send(r, SERVER, FIN | ACK, SERVER_ISN + 1 + (uint32_t)stream.len, CLIENT_ISN + sizeof request, span_none());
	send(r, CLIENT, FIN | ACK, CLIENT_ISN + sizeof request, SERVER_ISN + 2 + (uint32_t)stream.len, span_none());
	decode_end(r->decode);
	told = r->told;
	decode_free(r->decode);
	free(r);
	return told;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static uint8_t stream[STREAM_MAX];
	struct cursor c = cursor_of(span_of(bytes, n));
	size_t body = cur_u16(&c) % (STREAM_MAX - 128), used;
	struct told whole, got;

	used = (size_t)snprintf((char *)stream, sizeof stream, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: %zu\r\n\r\n", body);
	for (size_t i = 0; i < body; i++)
		stream[used + i] = (uint8_t)(i * i >> 3 ^ i);
	whole = tell(span_of(stream, used + body), cursor_of(span_none()));
	got = tell(span_of(stream, used + body), c);
	must(whole.n == 1 && whole.status == 502 && whole.complete && whole.body == body && whole.missing == 0);
	must(got.n == 1 && got.status == 502 && got.complete && got.body == body && got.missing == 0 && got.hash == whole.hash);
	return 0;
}
