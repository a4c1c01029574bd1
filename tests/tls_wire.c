#include "tls_wire.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIN = 1, SYN = 2, ACK = 16, HEADERS = 54, SEGMENT = 1400 };

static void put(uint8_t *at, uint32_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		at[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static void add_packet(struct wire *w, uint8_t *bytes, size_t len)
{
	if (w->n == w->size) {
		w->size = w->size != 0 ? 2 * w->size : 64;
		w->packets = reallocarray(w->packets, w->size, sizeof *w->packets);
	}
	w->packets[w->n] = (struct wire_packet){
		.p = { .bytes = bytes, .caplen = (uint32_t)len, .len = (uint32_t)len, .time_ns = w->now_ns, .number = w->n + 1,
		       .frame = w->n + 1, .link_type = 1 },
		.bytes = bytes,
	};
	w->n++;
}

static void segment(struct wire *w, enum side from, unsigned flags, struct span payload)
{
	uint8_t *b = calloc(1, HEADERS + payload.len), *ip = b + 14, *tcp = ip + 20;
	uint32_t seq = (from == CLIENT ? 1000 : 5000) + w->sent[from], ack = (from == CLIENT ? 5000 : 1000) + w->sent[side_other(from)];
	unsigned port = w->port;

	w->now_ns += 100 * NS_PER_US;
	put(b + 12, 0x0800, 2);
	put(ip, 0x45, 1);
	put(ip + 2, (uint32_t)(40 + payload.len), 2);
	put(ip + 8, 64, 1);
	put(ip + 9, 6, 1);
	put(ip + 12, from == CLIENT ? 0x0a000001 : 0x0a000002, 4);
	put(ip + 16, from == CLIENT ? 0x0a000002 : 0x0a000001, 4);
	put(tcp, from == CLIENT ? 40000 : port, 2);
	put(tcp + 2, from == CLIENT ? port : 40000, 2);
	put(tcp + 4, seq, 4);
	put(tcp + 8, (flags & ACK) != 0 ? ack : 0, 4);
	put(tcp + 12, 0x50, 1);
	put(tcp + 13, flags, 1);
	put(tcp + 14, 60000, 2);
	if (payload.len != 0)
		memcpy(tcp + 20, payload.at, payload.len);
	w->sent[from] += (uint32_t)payload.len + ((flags & (SYN | FIN)) != 0);
	if (w->unseen)
		free(b);
	else
		add_packet(w, b, HEADERS + payload.len);
}

struct wire wire_new(void)
{
	return wire_new_to(443);
}

struct wire wire_new_to(uint16_t port)
{
	struct wire w = { .now_ns = 1700000000 * NS_PER_S, .port = port };

	segment(&w, CLIENT, SYN, span_none());
	segment(&w, SERVER, SYN | ACK, span_none());
	segment(&w, CLIENT, ACK, span_none());
	return w;
}

void wire_send(struct wire *w, enum side from, struct span bytes)
{
	size_t most = w->segment != 0 ? w->segment : SEGMENT;

	for (; bytes.len != 0; bytes = span_from(bytes, most))
		segment(w, from, ACK, span_first(bytes, most));
}

void wire_fin(struct wire *w, enum side from)
{
	segment(w, from, FIN | ACK, span_none());
}

static void forget(struct wire *w)
{
	for (unsigned i = 0; i < w->n_exchanges; i++)
		free(w->exchange[i]);
	w->n_exchanges = w->n_dns = 0;
	memset(&w->tls, 0, sizeof w->tls);
	memset(&w->conn, 0, sizeof w->conn);
}

static void note_conn(struct wire *w, const void *fact, const struct conn_facts *c)
{
	const struct tls_facts *t = fact_tls(fact, c);

	w->conn = *c;
	if (t != NULL)
		w->tls = *t;
}

static void note_dns(struct wire *w, const struct dns_fact *f)
{
	struct span name = fact_text(f, f->name);

	if (w->n_dns == WIRE_EXCHANGES)
		return;
	w->dns[w->n_dns] = *f;
	(void)snprintf(w->dns_name[w->n_dns++], sizeof w->dns_name[0], "%.*s", (int)name.len, (const char *)name.at);
}

static void take(void *ctx, const struct fact_batch *b)
{
	struct wire *w = ctx;

	for (const struct fact *f = fact_next(b, NULL); f != NULL; f = fact_next(b, f)) {
		if (f->kind == FACT_CONN)
			note_conn(w, f, &((const struct conn_fact *)(const void *)f)->conn);
		if (f->kind == FACT_DNS)
			note_dns(w, (const struct dns_fact *)(const void *)f);
		if (f->kind != FACT_EXCHANGE)
			continue;
		note_conn(w, f, &((const struct exchange_fact *)(const void *)f)->conn);
		if (!((const struct exchange_fact *)(const void *)f)->final || w->n_exchanges == WIRE_EXCHANGES)
			continue;
		w->exchange[w->n_exchanges] = malloc(f->size);
		memcpy(w->exchange[w->n_exchanges++], f, f->size);
	}
}

void wire_decode(struct wire *w, struct secrets *secrets)
{
	struct decode_options o = { .threads = 1, .exchanges = true, .max_memory = (size_t)64 << 20, .secrets = secrets };
	struct err e = { 0 };
	struct decode *d = decode_new(&o, (struct fact_sink){ w, take }, &e);

	forget(w);
	for (size_t i = 0; i < w->n; i++) {
		struct packet_batch b = { .n = 1, .now_ns = w->packets[i].p.time_ns };

		if (w->before != NULL)
			w->before(w->before_ctx, i);
		b.packets[0] = w->packets[i].p;
		decode_packets(d, &b);
	}
	decode_end(d);
	decode_counters(d, &w->counters);
	decode_free(d);
}

struct span wire_target(const struct wire *w, unsigned i)
{
	return i < w->n_exchanges ? fact_text(w->exchange[i], w->exchange[i]->x.target) : span_none();
}

void wire_free(struct wire *w)
{
	forget(w);
	for (size_t i = 0; i < w->n; i++)
		free(w->packets[i].bytes);
	free(w->packets);
}
