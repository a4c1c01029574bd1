/* control.c - ICMP and ICMPv6 errors, ARP, neighbour discovery */
#include "control.h"
#include "link.h"

enum { ICMP = 1, TCP = 6, UDP = 17, SCTP = 132, ICMPV6 = 58, ICMP_HEADER = 8 };

enum icmp_type {
	ICMP_UNREACHABLE = 3, ICMP_QUENCH = 4, ICMP_REDIRECT = 5, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETER = 12,
	ICMP6_UNREACHABLE = 1, ICMP6_TOO_BIG = 2, ICMP6_TIME_EXCEEDED = 3, ICMP6_PARAMETER = 4,
	ICMP6_SOLICITATION = 135, ICMP6_ADVERTISEMENT = 136
};

/* RFC 792 and RFC 4443: those that say that a datagram did not arrive. */
static bool is_error(bool v6, uint8_t type)
{
	if (v6)
		return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER;
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
}

/* RFC 1191 4: code 4 has the next hop's MTU in the last 16 bits of the header (0 from old routers). RFC 4443 3.2: all 32. */
static uint32_t mtu_of(bool v6, uint8_t type, uint8_t code, uint32_t rest)
{
	if (v6)
		return type == ICMP6_TOO_BIG ? rest : 0;
	return type == ICMP_UNREACHABLE && code == 4 ? rest & 0xffff : 0;
}

bool control_icmp(const struct datagram *d, struct icmp_fact *f, uint32_t *tcp_seq)
{
	struct cursor c = cursor_of(d->payload);
	uint8_t type = cur_u8(&c), code = cur_u8(&c);
	struct datagram quoted = { 0 };
	uint32_t rest;
	bool ports;

	cur_skip(&c, 2);
	rest = cur_u32(&c);
	*tcp_seq = 0;
	if (c.failed || d->protocol != (d->v6 ? ICMPV6 : ICMP) || !is_error(d->v6, type) || !ip_quoted(c.rest, d->v6, &quoted))
		return false;
	f->note = (struct icmp_note){ .at = d->at, .v6 = d->v6, .type = type, .code = code, .mtu = mtu_of(d->v6, type, code, rest) };
	memcpy(f->note.from.address, d->src, sizeof d->src);
	f->from = f->to = (struct endpoint){ .port = 0 };
	memcpy(f->from.address, quoted.src, sizeof quoted.src);
	memcpy(f->to.address, quoted.dst, sizeof quoted.dst);
	f->protocol = quoted.protocol;
	ports = quoted.protocol == TCP || quoted.protocol == UDP || quoted.protocol == SCTP;
	if (ports) {
		f->from.port = span_u16(quoted.payload, 0);
		f->to.port = span_u16(quoted.payload, 2);
	}
	if (quoted.protocol == TCP)
		*tcp_seq = span_u32(quoted.payload, 4);
	f->known = false;
	return true;
}

/* ---- who is where ------------------------------------------------------------------------- */

static void mapped(uint8_t address[static 16], struct span ipv4)
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	span_copy(address + 12, 4, ipv4, 0);
}

/* RFC 826: hardware and protocol type, their addresses' lengths, operation, sender, target. A request for the
 * asker's own address is an announcement (RFC 5227), no question that waits. */
bool control_arp(struct span arp, struct arp_fact *f)
{
	struct cursor c = cursor_of(arp);
	struct span sender, target;
	uint16_t protocol, operation;
	uint8_t hardware_len, protocol_len;

	cur_skip(&c, 2);
	protocol = cur_u16(&c);
	hardware_len = cur_u8(&c);
	protocol_len = cur_u8(&c);
	operation = cur_u16(&c);
	cur_skip(&c, hardware_len);
	sender = cur_take(&c, 4);
	cur_skip(&c, hardware_len);
	target = cur_take(&c, 4);
	if (c.failed || protocol != 0x0800 || protocol_len != 4 || operation < 1 || operation > 2)
		return false;
	f->answer = operation == 2 || span_equal(sender, target);
	mapped(f->asker, f->answer ? target : sender);
	mapped(f->target, f->answer ? sender : target);
	return true;
}

/* RFC 4861 4.3, 4.4: behind the ICMP header the address asked for. A probe for duplicates comes from ::
 * (RFC 4862 5.4.2) and expects no answer. */
bool control_neighbour(const struct datagram *d, struct arp_fact *f)
{
	static const uint8_t unspecified[16];
	uint8_t type = span_at(d->payload, 0);

	if (!d->v6 || d->protocol != ICMPV6 || d->payload.len < ICMP_HEADER + 16 || span_at(d->payload, 1) != 0)
		return false;
	if (type != ICMP6_SOLICITATION && type != ICMP6_ADVERTISEMENT)
		return false;
	if (type == ICMP6_SOLICITATION && address_equal(d->src, unspecified))
		return false;
	f->answer = type == ICMP6_ADVERTISEMENT;
	memcpy(f->asker, f->answer ? d->dst : d->src, sizeof f->asker);
	span_copy(f->target, sizeof f->target, d->payload, ICMP_HEADER);
	return true;
}
