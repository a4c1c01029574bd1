#include "disguise.h"

#include "../capture/hash.h"
#include "link.h"

#include <stdlib.h>

enum { CACHED = 1024, FIRST_BYTES = 256, MULTICAST_FIRST = 224, LOOPBACK_FIRST = 127 };

struct pair { uint8_t from[16], to[16]; bool set; };

/* The IP header that was met last in a packet. */
struct header { struct span rest; uint8_t before[32], after[32]; size_t n; bool v6; uint8_t protocol; };

struct disguise {
	struct hash_key key;
	uint8_t first[FIRST_BYTES];     /* of an IPv4 address */
	struct pair cache[CACHED];
	struct ip_decoder *ip;
	struct header header;
	bool any_header;
};

/* Bytes of a packet, to be changed. They are the source's own copy, and nobody has looked at them yet. */
static uint8_t *bytes_of(struct span s)
{
	return (uint8_t *)(uintptr_t)s.at;
}

static void blank(struct span s)
{
	if (s.len != 0)
		memset(bytes_of(s), 0, s.len);
}

/* ---- the map ------------------------------------------------------------------------------- */

/* 0.0.0.0/8, loopback, multicast, reserved, broadcast. */
static bool first_stays(unsigned byte)
{
	return byte == 0 || byte == LOOPBACK_FIRST || byte >= MULTICAST_FIRST;
}

/* A permutation of the first bytes that a host's address has, by the key (Fisher and Yates). */
static void shuffle_first(struct disguise *d)
{
	uint8_t hosts[FIRST_BYTES];
	unsigned n = 0, k = 0;

	for (unsigned i = 0; i < FIRST_BYTES; i++)
		if (!first_stays(i))
			hosts[n++] = (uint8_t)i;
	for (unsigned i = n - 1; i > 0; i--) {
		unsigned j = (unsigned)(hash_bytes(&d->key, span_of(&i, sizeof i)) % (i + 1));
		uint8_t other = hosts[j];

		hosts[j] = hosts[i];
		hosts[i] = other;
	}
	for (unsigned i = 0; i < FIRST_BYTES; i++)
		d->first[i] = first_stays(i) ? (uint8_t)i : hosts[k++];
}

/* Bits from `fixed` on are flipped as a function of all that are before them. */
static void flip_bits(struct disguise *d, uint8_t *address, unsigned bytes, unsigned fixed)
{
	struct { uint8_t bytes, bit, prefix[16]; } before = { (uint8_t)bytes, 0, { 0 } };
	uint8_t was[16];

	memcpy(was, address, bytes);
	for (unsigned i = 0; i < bytes * 8; i++) {
		uint8_t mask = (uint8_t)(0x80 >> i % 8);

		before.bit = (uint8_t)i;
		if (i >= fixed && (hash_bytes(&d->key, span_of(&before, sizeof before)) & 1) != 0)
			address[i / 8] ^= mask;
		before.prefix[i / 8] |= was[i / 8] & mask;
	}
}

static void map_ipv4(struct disguise *d, uint8_t address[static 4])
{
	uint8_t first = address[0];

	if (first_stays(first))
		return;
	flip_bits(d, address, 4, 8);
	address[0] = d->first[first];
}

/* How many of its bits tell what kind of address it is; 128: it is no host's. */
static unsigned kind_bits(const uint8_t a[static 16])
{
	static const uint8_t zeros[15], solicited[13] = { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff };

	if (memcmp(a, zeros, sizeof zeros) == 0)
		return 128;                     /* :: and ::1 */
	if (a[0] == 0xff)
		return memcmp(a, solicited, sizeof solicited) == 0 ? 104 : 128;
	return a[0] == 0xfe ? 64 : a[0] >> 5 == 1 ? 3 : 8;
}

static void map_any(struct disguise *d, uint8_t a[static 16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }, nat64[12] = { 0, 0x64, 0xff, 0x9b };

	if (memcmp(a, mapped, sizeof mapped) == 0 || memcmp(a, nat64, sizeof nat64) == 0)
		map_ipv4(d, a + 12);
	else
		flip_bits(d, a, 16, kind_bits(a));
}

void disguise_address(struct disguise *d, uint8_t address[static 16])
{
	struct pair *p = &d->cache[hash_bytes(&d->key, span_of(address, 16)) % CACHED];

	if (!p->set || memcmp(p->from, address, 16) != 0) {
		memcpy(p->from, address, 16);
		memcpy(p->to, address, 16);
		map_any(d, p->to);
		p->set = true;
	}
	memcpy(address, p->to, 16);
}

/* The 4 or 16 bytes of `s`; others are left as they are. */
static void map_span(struct disguise *d, struct span s)
{
	uint8_t a[16] = { [10] = 0xff, [11] = 0xff };

	if (s.len == 4)
		memcpy(a + 12, s.at, 4);
	else if (s.len == 16)
		memcpy(a, s.at, 16);
	else
		return;
	disguise_address(d, a);
	memcpy(bytes_of(s), s.len == 4 ? a + 12 : a, s.len);
}

/* ---- text ---------------------------------------------------------------------------------- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
	c = ascii_lower(c);
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* a.b.c.d, each of one to three digits, at the beginning of s: how many bytes; 0: none. */
static size_t quad_length(struct span s)
{
	size_t at = 0;

	for (unsigned part = 0; part < 4; part++) {
		size_t digits = 0;

		while (digits < 4 && is_digit(span_at(s, at + digits)))
			digits++;
		if (digits == 0 || digits > 3)
			return 0;
		at += digits;
		if (part < 3 && span_at(s, at++) != '.')
			return 0;
	}
	return at;
}

/* Groups of hex digits with colons between, "::" among them or seven in all; short ones are no address of anybody. */
static size_t ipv6_length(struct span s)
{
	enum { SHORTEST = 7, LONGEST = 39 };
	size_t at = 0, colons = 0;
	bool gap = false;

	for (; at < LONGEST && (is_hex(span_at(s, at)) || span_at(s, at) == ':'); at++) {
		colons += span_at(s, at) == ':';
		gap = gap || (span_at(s, at) == ':' && span_at(s, at + 1) == ':');
	}
	return at >= SHORTEST && (gap || colons == 7) && colons <= 7 ? at : 0;
}

static void ones(uint8_t *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_hex(text[i]))
			text[i] = '1';
}

void disguise_text(uint8_t *text, size_t n)
{
	struct span s = span_of(text, n);
	bool inside = false;            /* a word, which would not begin here */

	for (size_t i = 0; i < n; ) {
		struct span rest = span_from(s, i);
		size_t length = 0;

		if (!inside && is_digit(text[i]))
			length = quad_length(rest);
		if (!inside && length == 0 && (is_hex(text[i]) || text[i] == ':'))
			length = ipv6_length(rest);
		ones(text + i, length);
		inside = length == 0 && (is_hex(text[i]) || text[i] == '.');
		i += length != 0 ? length : 1;
	}
}

/* ---- headers of IP ------------------------------------------------------------------------- */

/* RFC 1624, eqn. 3: the checksum of what had `before` in it and has `after`, whether it was right or not. */
static void mend(struct span checksum, const uint8_t *before, const uint8_t *after, size_t n)
{
	uint8_t *at = bytes_of(checksum);
	uint32_t sum = (uint16_t)~span_u16(checksum, 0);

	if (checksum.len < 2)
		return;
	for (size_t i = 0; i < n; i += 2)
		sum += (uint16_t)~((unsigned)before[i] << 8 | before[i + 1]) + ((unsigned)after[i] << 8 | after[i + 1]);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

static uint16_t sum_of(struct span s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s.len; i += 2)
		sum += span_u16(s, i);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The same for what has this sum, and had that one. */
static void mend_sum(struct span checksum, uint16_t was, uint16_t is)
{
	const uint8_t before[] = { (uint8_t)(was >> 8), (uint8_t)was }, after[] = { (uint8_t)(is >> 8), (uint8_t)is };

	mend(checksum, before, after, sizeof before);
}

/* Addresses of one header; keeps what they were, for the checksum behind it. */
static void map_header(struct disguise *d, struct span header, struct header *h)
{
	size_t size = h->v6 ? 16 : 4, at = h->v6 ? 8 : 12;
	struct span both = span_first(span_from(header, at), 2 * size);

	h->n = both.len;
	memcpy(h->before, both.at, both.len);
	map_span(d, span_first(both, size));
	map_span(d, span_from(both, size));
	memcpy(h->after, both.at, both.len);
	if (!h->v6)
		mend(span_first(span_from(header, 10), 2), h->before, h->after, h->n);
}

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_FRAGMENT = 44, PROTOCOL_ICMPV6 = 58,
       UDP_HEADER = 8, UDP_CHECKSUM = 6, TCP_HEADER = 20, TCP_CHECKSUM = 16, ICMP_HEADER = 8, ICMP_CHECKSUM = 2 };

/* Record route, source routes, timestamps: addresses all. NOPs in their place (RFC 791 3.1). */
static void clear_options(struct span header, struct span options)
{
	uint8_t before[40], after[40];

	if (options.len > sizeof before || options.len % 4 != 0)
		return;
	memcpy(before, options.at, options.len);
	memset(after, 1, options.len);
	memset(bytes_of(options), 1, options.len);
	mend(span_first(span_from(header, 10), 2), before, after, options.len);
}

/* The addresses of routing headers (RFC 8200 4.4), wherever among the extensions. */
static void clear_routes(struct span rest, uint8_t next)
{
	enum { HOP_BY_HOP = 0, ROUTING = 43, DESTINATION = 60, EXTENSIONS_MAX = 16 };

	for (unsigned i = 0; i < EXTENSIONS_MAX && (next == HOP_BY_HOP || next == ROUTING || next == DESTINATION); i++) {
		size_t size = 8 + span_at(rest, 1) * (size_t)8;

		if (next == ROUTING)
			blank(span_from(span_first(rest, size), 8));
		next = span_at(rest, 0);
		rest = span_from(rest, size);
	}
}

/* Called for each header on the way down (ip.c). */
static void on_header(void *ctx, struct span header, struct span rest)
{
	struct disguise *d = ctx;
	struct header *h = &d->header;

	h->v6 = span_at(header, 0) >> 4 == 6;
	h->protocol = span_at(header, h->v6 ? 6 : 9);
	h->rest = h->v6 ? rest : span_from(rest, ((span_at(header, 0) & 15u) - 5) * 4u);
	map_header(d, header, h);
	if (h->v6)
		clear_routes(rest, h->protocol);
	else
		clear_options(header, span_first(rest, ((span_at(header, 0) & 15u) - 5) * 4u));
	if (h->protocol == PROTOCOL_UDP)
		blank(span_first(span_from(h->rest, UDP_CHECKSUM), 2));
	d->any_header = true;
}

/* ---- what lies in them --------------------------------------------------------------------- */

static void disguise_tcp(struct disguise *d, const struct datagram *g)
{
	static const uint8_t proxy2[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };
	struct span data = span_from(g->payload, (size_t)(span_at(g->payload, 12) >> 4) * 4);
	struct span checksum = span_first(span_from(g->payload, TCP_CHECKSUM), 2);
	uint16_t was = sum_of(data);

	mend(checksum, d->header.before, d->header.after, d->header.n);
	if (span_equal(span_first(data, sizeof proxy2), span_of(proxy2, sizeof proxy2))) {      /* proxy-protocol.txt 2.2 */
		size_t size = span_at(data, 13) >> 4 == 1 ? 4 : 16;

		map_span(d, span_first(span_from(data, 16), size));
		map_span(d, span_first(span_from(data, 16 + size), size));
	}
	disguise_text(bytes_of(data), data.len);
	mend_sum(checksum, was, sum_of(data));
}

/* A name on the wire (RFC 1035 3.1, 4.1.4) is passed over. */
static void skip_name(struct cursor *c)
{
	uint8_t length;

	do {
		length = cur_u8(c);
		if (length >= 0xc0)
			cur_skip(c, 1);
		else
			cur_skip(c, length);
	} while (length != 0 && length < 0xc0 && !c->failed);
}

enum { DNS_HEADER = 12, DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28 };

static bool disguise_records(struct disguise *d, struct span message)
{
	struct cursor c = cursor_of(message);
	unsigned questions = span_u16(message, 4), records = (unsigned)span_u16(message, 6) + span_u16(message, 8) + span_u16(message, 10);

	cur_skip(&c, DNS_HEADER);
	for (; questions > 0 && !c.failed; questions--) {
		skip_name(&c);
		cur_skip(&c, 4);
	}
	for (; records > 0 && !c.failed; records--) {
		uint16_t type;
		struct span data;

		skip_name(&c);
		type = cur_u16(&c);
		cur_skip(&c, 6);
		data = cur_take(&c, cur_u16(&c));
		if (type == DNS_A || type == DNS_AAAA)
			map_span(d, data);
		else if (type != DNS_CNAME)
			blank(data);
	}
	return !c.failed;
}

/* The names of reverse zones spell addresses. */
static void disguise_dns(struct disguise *d, struct span message)
{
	if (span_find(message, "\4arpa") < message.len || !disguise_records(d, message))
		blank(span_from(message, DNS_HEADER));
}

static void disguise_udp(struct disguise *d, const struct datagram *g)
{
	enum { PORT_DNS = 53 };
	struct span data = span_from(g->payload, UDP_HEADER);

	if (span_u16(g->payload, 0) == PORT_DNS || span_u16(g->payload, 2) == PORT_DNS)
		disguise_dns(d, data);
	else
		blank(data);
}

/* The quoted header, and of what it carried only ports and sequence numbers are kept. */
static void disguise_quote(struct disguise *d, struct span quoted)
{
	enum { KEPT = 8 };
	struct header h = { .v6 = span_at(quoted, 0) >> 4 == 6 };
	size_t size = h.v6 ? 40 : (span_at(quoted, 0) & 15u) * 4u;

	if (quoted.len < size || size < 20) {
		blank(quoted);
		return;
	}
	map_header(d, span_first(quoted, size), &h);
	blank(span_from(quoted, size + KEPT));
}

static void disguise_icmp(struct disguise *d, const struct datagram *g)
{
	enum { ICMP_UNREACHABLE = 3, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETER = 12, ICMP6_ERRORS = 4, ICMP6_SOLICITATION = 135, ICMP6_ADVERTISEMENT = 136 };
	uint8_t type = span_at(g->payload, 0);
	struct span body = span_from(g->payload, ICMP_HEADER);

	blank(span_first(span_from(g->payload, ICMP_CHECKSUM), 2));
	if (g->v6 ? type >= 1 && type <= ICMP6_ERRORS : type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER) {
		disguise_quote(d, body);
	} else if (g->v6 && (type == ICMP6_SOLICITATION || type == ICMP6_ADVERTISEMENT)) {
		map_span(d, span_first(body, 16));
	} else {
		blank(span_from(g->payload, 4));        /* redirects and router's words hold addresses */
	}
}

static void disguise_datagram(struct disguise *d, const struct datagram *g)
{
	switch (g->protocol) {
	case PROTOCOL_TCP:
		disguise_tcp(d, g);
		break;
	case PROTOCOL_UDP:
		disguise_udp(d, g);
		break;
	case PROTOCOL_ICMP: case PROTOCOL_ICMPV6:
		disguise_icmp(d, g);
		break;
	default:
		blank(g->payload);
		break;
	}
}

/* Of a datagram in pieces the text can be read in each, and nothing else. */
static void disguise_piece(struct disguise *d)
{
	const struct header *h = &d->header;
	bool extended = h->v6 && h->protocol == PROTOCOL_FRAGMENT;

	if ((extended ? span_at(h->rest, 0) : h->protocol) == PROTOCOL_TCP)
		disguise_text(bytes_of(h->rest), h->rest.len);
	else
		blank(span_from(h->rest, extended ? 8 : 0));
}

/* RFC 826: the protocol addresses behind both hardware addresses. */
static void disguise_arp(struct disguise *d, struct span arp)
{
	size_t hardware = span_at(arp, 4), protocol = span_at(arp, 5);

	map_span(d, span_first(span_from(arp, 8 + hardware), protocol));
	map_span(d, span_first(span_from(arp, 8 + 2 * hardware + protocol), protocol));
	blank(span_from(arp, 8 + 2 * hardware + 2 * protocol));
}

/* ---- a packet ------------------------------------------------------------------------------ */

void disguise_packet(struct disguise *d, const struct packet *p)
{
	enum { LINKTYPE_ETHERNET = 1, ETHERNET_HEADER = 14 };
	struct datagram g;
	enum ip_verdict v;

	d->any_header = false;
	v = ip_decode(d->ip, p, &g);
	if (v == IP_DATAGRAM && !g.reassembled)
		disguise_datagram(d, &g);
	else if (v == IP_DATAGRAM || v == IP_FRAGMENT)
		disguise_piece(d);
	else if (v == IP_ARP)
		disguise_arp(d, g.payload);
	else if (d->any_header)
		blank(d->header.rest);
	else
		blank(span_from(span_of(p->bytes, p->caplen), p->link_type == LINKTYPE_ETHERNET ? ETHERNET_HEADER : 0));
}

struct disguise *disguise_new(void)
{
	struct disguise *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	d->key = hash_key_random();
	shuffle_first(d);
	d->ip = ip_decoder_new();
	if (d->ip == NULL) {
		disguise_free(d);
		return NULL;
	}
	ip_decoder_on_header(d->ip, on_header, d);
	return d;
}

void disguise_free(struct disguise *d)
{
	if (d == NULL)
		return;
	ip_decoder_free(d->ip);
	explicit_bzero(&d->key, sizeof d->key);
	free(d);
}
