/* tunnel.c - headers between two IP headers */
#include "link.h"

/* ---- GRE and what it alone carries -------------------------------------------------------- */

enum {
	GRE_CHECKSUM = 0x8000, GRE_ROUTING = 0x4000, GRE_KEY = 0x2000, GRE_SEQUENCE = 0x1000, GRE_ACK = 0x0080, GRE_VERSION = 7,
	GRE_ERSPAN2 = 0x88be, GRE_ERSPAN3 = 0x22eb, GRE_WCCP = 0x883e, GRE_ARUBA_FIRST = 0x8200, GRE_ARUBA_LAST = 0x83f0
};

/* RFC 1701: source routes of address family, offset and length end with an empty one. */
static void skip_routes(struct cursor *c)
{
	uint16_t family;
	uint8_t length;

	do {
		family = cur_u16(c);
		cur_skip(c, 1);
		length = cur_u8(c);
		cur_skip(c, length);
	} while (!c->failed && (family != 0 || length != 0));
}

static enum step gre_payload(struct walk *w, uint16_t flags, uint16_t type)
{
	switch (type) {
	case GRE_ERSPAN2:       /* type I has no sequence number, and no header of its own */
		return (flags & GRE_SEQUENCE) != 0 ? STEP_ERSPAN2 : STEP_ETHERNET;
	case GRE_ERSPAN3:
		return STEP_ERSPAN3;
	case GRE_WCCP:
		return STEP_WCCP;
	default:
		if (type >= GRE_ARUBA_FIRST && type <= GRE_ARUBA_LAST && (type & 15) == 0)
			return STEP_WLAN;               /* one for each queue of Aruba's access points: Wireshark packet-gre.c */
		if (type <= 1500)
			return walk_end(w, IP_OTHER);   /* a keepalive (0), or OSI */
		return after_ethertype(w, type);
	}
}

/* RFC 2784, RFC 2890 (key, sequence), RFC 1701 (routing); version 1: RFC 2637 (acknowledgement). */
enum step step_gre(struct walk *w)
{
	uint16_t flags = cur_u16(&w->c), type = cur_u16(&w->c);

	if ((flags & GRE_VERSION) > 1)
		return w->c.failed ? STEP_END : walk_end(w, IP_OTHER);
	if ((flags & (GRE_CHECKSUM | GRE_ROUTING)) != 0)
		cur_skip(&w->c, 4);
	if ((flags & GRE_KEY) != 0)
		cur_skip(&w->c, 4);
	if ((flags & GRE_SEQUENCE) != 0)
		cur_skip(&w->c, 4);
	if ((flags & GRE_VERSION) == 1 && (flags & GRE_ACK) != 0)
		cur_skip(&w->c, 4);
	if ((flags & GRE_ROUTING) != 0)
		skip_routes(&w->c);
	if ((flags & GRE_VERSION) == 1 && (flags & GRE_SEQUENCE) == 0)
		return walk_end(w, IP_OTHER);           /* an acknowledgement alone */
	return gre_payload(w, flags, type);
}

/* draft-foschiano-erspan 4.2: version, VLAN, session, index: eight bytes. */
enum step step_erspan2(struct walk *w)
{
	cur_skip(&w->c, 8);
	return STEP_ETHERNET;
}

/* draft-foschiano-erspan 4.3: twelve bytes, the last two with the frame type (bits 10-14: 0 Ethernet, 2 IP) and
 * whether (bit 0) eight bytes of the platform's own follow. */
enum step step_erspan3(struct walk *w)
{
	uint16_t last;

	cur_skip(&w->c, 10);
	last = cur_u16(&w->c);
	if ((last & 1) != 0)
		cur_skip(&w->c, 8);
	switch (last >> 10 & 31) {
	case 0:
		return STEP_ETHERNET;
	case 2:
		return STEP_IP;
	default:
		return walk_end(w, IP_OTHER);
	}
}

/* draft-wilson-wrec-wccp-v2 4.11: version 2 puts a redirect header of four bytes before the IP header. */
enum step step_wccp(struct walk *w)
{
	if (span_at(w->c.rest, 0) >> 4 != 4)
		cur_skip(&w->c, 4);
	return STEP_IP;
}

/* ---- over UDP ----------------------------------------------------------------------------- */

/* The next protocols of VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe 4) and NSH (RFC 8300 2.2). */
static enum step next_protocol(struct walk *w, uint8_t protocol)
{
	switch (protocol) {
	case 1:
		return STEP_IPV4;
	case 2:
		return STEP_IPV6;
	case 3:
		return STEP_ETHERNET;
	case 4:
		return STEP_NSH;
	case 5:
		return STEP_MPLS;
	default:
		return walk_end(w, IP_OTHER);
	}
}

/* RFC 7348 5: flags, reserved, VNI, reserved. */
enum step step_vxlan(struct walk *w)
{
	cur_skip(&w->c, 8);
	return STEP_ETHERNET;
}

enum step step_vxlan_gpe(struct walk *w)
{
	uint8_t flags = cur_u8(&w->c), protocol;

	cur_skip(&w->c, 2);
	protocol = cur_u8(&w->c);
	cur_skip(&w->c, 4);
	return (flags & 0x04) != 0 ? next_protocol(w, protocol) : STEP_ETHERNET;
}

/* RFC 8926 3.4: version and options' length in units of four, flags, an ethertype, VNI, reserved. */
enum step step_geneve(struct walk *w)
{
	uint8_t options = cur_u8(&w->c) & 0x3f;
	uint16_t type;

	cur_skip(&w->c, 1);
	type = cur_u16(&w->c);
	cur_skip(&w->c, 4 + (size_t)options * 4);
	return after_ethertype(w, type);
}

/* RFC 8300 2.2: version, flags, TTL, length in units of four, metadata type, next protocol. */
enum step step_nsh(struct walk *w)
{
	uint16_t first = cur_u16(&w->c);
	uint8_t protocol;
	size_t length = (first & 0x3fu) * 4u;

	cur_skip(&w->c, 1);
	protocol = cur_u8(&w->c);
	if (length < 8)
		return w->c.failed ? STEP_END : walk_end(w, IP_MALFORMED);
	cur_skip(&w->c, length - 4);
	return next_protocol(w, protocol);
}

/* 3GPP TS 29.281 5: version and flags, type, length, tunnel; where a flag asks for any of them, sequence
 * number, N-PDU number and the type of the next extension header, each of which begins with its length in units
 * of four and ends with the type of the one behind it. */
enum step step_gtp(struct walk *w)
{
	uint8_t flags = cur_u8(&w->c), extension, length;

	cur_skip(&w->c, 7);
	if ((flags & 0x07) == 0)
		return STEP_IP;
	cur_skip(&w->c, 3);
	extension = cur_u8(&w->c);
	while ((flags & 0x04) != 0 && extension != 0 && !w->c.failed) {
		length = cur_u8(&w->c);
		if (length == 0)
			return walk_end(w, IP_MALFORMED);
		cur_skip(&w->c, (size_t)length * 4 - 2);
		extension = cur_u8(&w->c);
	}
	return STEP_IP;
}

/* RFC 2661 3.1: flags and version, length (L), tunnel, session, Ns and Nr (S), offset (O), then PPP. */
enum step step_l2tp(struct walk *w)
{
	uint16_t flags = cur_u16(&w->c);

	if ((flags & 0x4000) != 0)
		cur_skip(&w->c, 2);
	cur_skip(&w->c, 4);
	if ((flags & 0x0800) != 0)
		cur_skip(&w->c, 4);
	if ((flags & 0x0200) != 0)
		cur_skip(&w->c, cur_u16(&w->c));
	return STEP_PPP;
}

/* RFC 4380 5.1.1: authentication (0x0001: lengths of client and value) and origin (0x0000) may come first. */
enum step step_teredo(struct walk *w)
{
	size_t client, value;

	if (span_u16(w->c.rest, 0) == 0x0001) {
		cur_skip(&w->c, 2);
		client = cur_u8(&w->c);
		value = cur_u8(&w->c);
		cur_skip(&w->c, client + value + 9);
	}
	if (span_u16(w->c.rest, 0) == 0)
		cur_skip(&w->c, 8);
	return STEP_IPV6;
}

/* draft-massar-v6ops-ayiya 3: lengths of identity (as a power of two) and signature (in units of four), methods,
 * next header, time; then identity and signature. */
enum step step_ayiya(struct walk *w)
{
	uint8_t identity = cur_u8(&w->c) >> 4, signature = cur_u8(&w->c) >> 4, next;

	cur_skip(&w->c, 1);
	next = cur_u8(&w->c);
	cur_skip(&w->c, 4 + ((size_t)1 << identity) + signature * 4u);
	if (next != 41)
		return w->c.failed ? STEP_END : walk_end(w, IP_OTHER);
	return STEP_IPV6;
}

/* ---- is it one? --------------------------------------------------------------------------- */

/* RFC 7348: the I flag, and reserved bits that senders must leave 0 (but for the group policy extension's). */
static bool vxlan_plausible(struct span s)
{
	return s.len >= 8 + 14 && (span_at(s, 0) & 0x77) == 0 && (span_at(s, 0) & 0x08) != 0 && span_at(s, 7) == 0;
}

static bool vxlan_gpe_plausible(struct span s)
{
	return s.len >= 8 + 14 && (span_at(s, 0) & 0x08) != 0 && span_at(s, 7) == 0;
}

static bool geneve_plausible(struct span s)
{
	return s.len >= 8 + 14 && span_at(s, 0) >> 6 == 0 && (span_at(s, 1) & 0x3f) == 0 && span_u16(s, 2) > 1500 && span_at(s, 7) == 0;
}

/* GTP version 1, not GTP', a G-PDU. */
static bool gtp_plausible(struct span s)
{
	return s.len >= 8 + 20 && span_at(s, 0) >> 4 == 3 && span_at(s, 1) == 0xff;
}

/* A data message of version 2. */
static bool l2tp_plausible(struct span s)
{
	return s.len >= 8 && (span_u16(s, 0) & 0x800f) == 2 && (span_u16(s, 0) & 0x34f0) == 0;
}

static bool teredo_plausible(struct span s)
{
	return s.len >= 40 && (span_at(s, 0) >> 4 == 6 || span_u16(s, 0) <= 1);
}

static bool ayiya_plausible(struct span s)
{
	return s.len >= 8 + 40 && span_at(s, 3) == 41;
}

static bool gre_plausible(struct span s)
{
	return s.len >= 4 + 20 && (span_u16(s, 0) & 0x4fff) == 0 && span_u16(s, 2) > 1500;
}

static bool mpls_plausible(struct span s)
{
	return s.len >= 4 + 20;
}

/* https://www.iana.org/assignments/service-names-port-numbers; 8472 is Linux's VXLAN port from before there was one. */
struct udp_row {
	uint16_t port;
	bool     either;        /* answers come from the port, others are only sent to it */
	uint8_t  step;
	bool   (*plausible)(struct span payload);
};

static const struct udp_row udp_tunnels[] = {
	{ 4789, false, STEP_VXLAN,     vxlan_plausible },
	{ 8472, false, STEP_VXLAN,     vxlan_plausible },
	{ 4790, false, STEP_VXLAN_GPE, vxlan_gpe_plausible },
	{ 6081, false, STEP_GENEVE,    geneve_plausible },
	{ 2152, true,  STEP_GTP,       gtp_plausible },
	{ 1701, true,  STEP_L2TP,      l2tp_plausible },
	{ 3544, true,  STEP_TEREDO,    teredo_plausible },
	{ 5072, true,  STEP_AYIYA,     ayiya_plausible },
	{ 4754, false, STEP_GRE,       gre_plausible },         /* RFC 8086 */
	{ 6635, false, STEP_MPLS,      mpls_plausible },        /* RFC 7510 */
};

enum step udp_tunnel(struct span udp)
{
	uint16_t from = span_u16(udp, 0), to = span_u16(udp, 2);
	struct span payload = span_from(udp, 8);

	for (size_t i = 0; i < sizeof udp_tunnels / sizeof udp_tunnels[0]; i++) {
		const struct udp_row *row = &udp_tunnels[i];

		if (to == row->port || (row->either && from == row->port))
			return row->plausible(payload) ? (enum step)row->step : STEP_END;
	}
	return STEP_END;
}
