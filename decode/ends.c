#include "ends.h"

#include "control.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMPV6 = 58, PORT_DNS = 53 };

/* ---- a ClientHello ------------------------------------------------------------------------- */

enum { RECORD_HANDSHAKE = 22, HANDSHAKE_CLIENT_HELLO = 1, RANDOM_BYTES = 32, PROXY2_HEAD_BYTES = 16 };

/* What the PROXY protocol puts before it (proxy-protocol.txt 2.1, 2.2) is passed over. */
static struct span behind_preface(struct span s)
{
	struct cursor c = cursor_of(s);

	if (span_starts(s, "PROXY "))
		return span_from(s, span_index(s, '\n') + 1);
	if (!span_starts(s, "\r\n\r\n") || span_at(s, 4) != 0)
		return s;
	cur_skip(&c, PROXY2_HEAD_BYTES - 2);
	cur_skip(&c, cur_u16(&c));
	return c.failed ? s : c.rest;
}

/* RFC 8446 5.1, 4.1.2: record type, version, length; message type, length; version, random. */
static struct span hello_random(struct span payload)
{
	struct cursor c = cursor_of(behind_preface(payload));
	uint8_t record = cur_u8(&c), major = cur_u8(&c), message;
	struct span random;

	cur_skip(&c, 3);
	message = cur_u8(&c);
	cur_skip(&c, 3 + 2);
	random = cur_take(&c, RANDOM_BYTES);
	return !c.failed && record == RECORD_HANDSHAKE && major == 3 && message == HANDSHAKE_CLIENT_HELLO ? random : span_none();
}

/* ---- which kind ---------------------------------------------------------------------------- */

static bool ends_of(struct packet_ends *e, const struct endpoint *a, const struct endpoint *b)
{
	struct segment s = { 0 };

	segment_tuple(&s, a, b);
	e->tuple = s.tuple;
	return true;
}

static bool ends_of_hosts(struct packet_ends *e, const uint8_t *a, const uint8_t *b)
{
	struct endpoint from = { .port = 0 }, to = { .port = 0 };

	memcpy(from.address, a, sizeof from.address);
	memcpy(to.address, b, sizeof to.address);
	e->about_hosts = true;
	return ends_of(e, &from, &to);
}

static bool ends_of_tcp(struct packet_ends *e, const struct datagram *d)
{
	struct segment s;

	if (!segment_parse(d, &s))
		return false;
	e->tuple = s.tuple;
	if (!d->reassembled)            /* else it lies in no packet */
		e->client_random = hello_random(s.payload);
	return true;
}

static bool ends_of_udp(struct packet_ends *e, const struct datagram *d)
{
	struct cursor c = cursor_of(d->payload);
	struct endpoint from = { .port = cur_u16(&c) }, to = { .port = cur_u16(&c) };

	memcpy(from.address, d->src, sizeof from.address);
	memcpy(to.address, d->dst, sizeof to.address);
	e->about_hosts = true;
	return !c.failed && (from.port == PORT_DNS || to.port == PORT_DNS) && ends_of(e, &from, &to);
}

static bool ends_of_icmp(struct packet_ends *e, const struct datagram *d)
{
	struct icmp_fact icmp = { .known = false };
	struct arp_fact neighbour = { .answer = false };
	uint32_t seq;

	e->about_hosts = true;
	if (control_icmp(d, &icmp, &seq))
		return ends_of(e, &icmp.from, &icmp.to);
	return d->protocol == PROTOCOL_ICMPV6 && control_neighbour(d, &neighbour) && ends_of_hosts(e, neighbour.asker, neighbour.target);
}

static bool ends_of_datagram(struct packet_ends *e, const struct datagram *d)
{
	switch (d->protocol) {
	case PROTOCOL_TCP:
		return ends_of_tcp(e, d);
	case PROTOCOL_UDP:
		return ends_of_udp(e, d);
	case PROTOCOL_ICMP: case PROTOCOL_ICMPV6:
		return ends_of_icmp(e, d);
	default:
		return false;
	}
}

bool packet_ends(struct ip_decoder *ip, const struct packet *p, struct packet_ends *e)
{
	struct arp_fact arp = { .answer = false };
	struct datagram d;

	*e = (struct packet_ends){ .client_random = span_none() };
	switch (ip_decode(ip, p, &d)) {
	case IP_DATAGRAM:
		return ends_of_datagram(e, &d);
	case IP_FRAGMENT:
		return ends_of_hosts(e, d.src, d.dst);
	case IP_ARP:
		return control_arp(d.payload, &arp) && ends_of_hosts(e, arp.asker, arp.target);
	default:
		return false;
	}
}
