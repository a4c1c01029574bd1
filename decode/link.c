/* link.c - link types, ethertypes, PPP protocols: tables of what comes next, and a step for each header */
#include "link.h"

#include "../capture/limits.h"

/* ---- the tables --------------------------------------------------------------------------- */

/* What comes next by a number on the wire: bytes to skip, and the step behind them. */
struct row { uint32_t type; uint8_t skip; uint8_t step; };

/* LINKTYPE_ values and their headers: https://www.tcpdump.org/linktypes.html */
static const struct row link_types[] = {
	{   1, 12, STEP_ETHERTYPE },    /* ETHERNET */
	{ 113, 14, STEP_ETHERTYPE },    /* LINUX_SLL */
	{ 276,  0, STEP_SLL2 },         /* LINUX_SLL2 */
	{ 101,  0, STEP_IP },           /* RAW */
	{  12,  0, STEP_IP },           /* DLT_RAW of most systems */
	{  14,  0, STEP_IP },           /* DLT_RAW of OpenBSD */
	{ 228,  0, STEP_IPV4 },         /* IPV4 */
	{ 229,  0, STEP_IPV6 },         /* IPV6 */
	{   0,  0, STEP_FAMILY },       /* NULL */
	{ 108,  0, STEP_FAMILY },       /* LOOP */
	{   9,  0, STEP_PPP },          /* PPP */
	{  50,  0, STEP_PPP_SERIAL },   /* PPP_HDLC */
	{  51,  0, STEP_PPPOE },        /* PPP_ETHER */
	{ 204,  1, STEP_PPP },          /* PPP_WITH_DIR */
	{ 166,  2, STEP_PPP },          /* PPP_PPPD: direction in the place of the address */
	{ 104,  2, STEP_CHDLC },        /* C_HDLC: address and control, then an ethertype */
	{ 205,  3, STEP_CHDLC },        /* C_HDLC_WITH_DIR */
	{ 107,  0, STEP_FRAME_RELAY },  /* FRELAY */
	{   6,  0, STEP_TOKEN_RING },   /* IEEE802_5 */
	{  10, 13, STEP_LLC },          /* FDDI */
	{ 100,  0, STEP_LLC },          /* ATM_RFC1483 */
	{ 122, 16, STEP_LLC },          /* IP_OVER_FC */
	{ 138, 16, STEP_ETHERTYPE },    /* APPLE_IP_OVER_IEEE1394 */
	{   7,  2, STEP_ARCNET },       /* ARCNET_BSD */
	{ 129,  4, STEP_ARCNET },       /* ARCNET_LINUX: with an offset */
	{ 105,  0, STEP_WLAN },         /* IEEE802_11 */
	{ 119,  0, STEP_PRISM },        /* IEEE802_11_PRISM */
	{ 163,  0, STEP_PRISM },        /* IEEE802_11_AVS */
	{ 127,  0, STEP_RADIOTAP },     /* IEEE802_11_RADIOTAP */
	{ 192,  0, STEP_PPI },          /* PPI */
	{ 258,  0, STEP_PKTAP },        /* PKTAP */
	{ 149,  0, STEP_PKTAP },        /* USER2, as which macOS writes PKTAP */
	{ 109, 12, STEP_IP },           /* ENC */
	{ 117,  0, STEP_PFLOG },        /* PFLOG */
	{ 239,  0, STEP_NFLOG },        /* NFLOG */
	{ 219,  0, STEP_MPLS },         /* MPLS */
	{ 240,  4, STEP_ETHERNET },     /* NETANALYZER */
	{ 241, 12, STEP_ETHERNET },     /* NETANALYZER_TRANSPARENT: with preamble */
	{ 274,  8, STEP_ETHERNET },     /* ETHERNET_MPACKET: with preamble */
};

enum {
	ETHERTYPE_ARP = 0x0806,
	LENGTH_MAX    = 1500            /* up to here it is a length (IEEE 802.3), or SLL's 4: LLC follows */
};

/* https://www.iana.org/assignments/ieee-802-numbers */
static const struct row ethertypes[] = {
	{ 0x0800, 0, STEP_IPV4 },
	{ 0x86dd, 0, STEP_IPV6 },
	{ 0x8100, 2, STEP_TAG },        /* IEEE 802.1Q */
	{ 0x88a8, 2, STEP_TAG },        /* IEEE 802.1ad, QinQ */
	{ 0x9100, 2, STEP_TAG },        /* QinQ before it was standard */
	{ 0x9200, 2, STEP_TAG },
	{ 0x9300, 2, STEP_TAG },
	{ 0x8926, 4, STEP_TAG },        /* Cisco VN-Tag */
	{ 0x893f, 6, STEP_TAG },        /* IEEE 802.1BR E-Tag */
	{ 0x8909, 6, STEP_TAG },        /* Cisco MetaData */
	{ 0x88e7, 16, STEP_TAG },       /* IEEE 802.1ah: I-Tag and the customer's addresses */
	{ 0x8847, 0, STEP_MPLS },
	{ 0x8848, 0, STEP_MPLS },
	{ 0x8864, 0, STEP_PPPOE },
	{ 0x880b, 0, STEP_PPP },        /* RFC 7042 */
	{ 0x6558, 0, STEP_ETHERNET },   /* transparent Ethernet bridging; NVGRE (RFC 7637) */
	{ 0x894f, 0, STEP_NSH },        /* RFC 8300 */
};

/* https://www.iana.org/assignments/ppp-numbers */
static const struct row ppp_protocols[] = {
	{ 0x0021, 0, STEP_IPV4 },
	{ 0x0057, 0, STEP_IPV6 },
	{ 0x0281, 0, STEP_MPLS },       /* RFC 3032 4.3 */
	{ 0x0283, 0, STEP_MPLS },
};

#define ROWS(table) (sizeof (table) / sizeof (table)[0])

static enum step find(struct walk *w, const struct row *rows, size_t n, uint32_t type, enum ip_verdict none)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].type == type) {
			cur_skip(&w->c, rows[i].skip);
			return rows[i].step;
		}
	return walk_end(w, none);
}

static enum step arp(struct walk *w)
{
	w->d->payload = w->c.rest;
	w->d->wire_len = walk_wire(w);
	return walk_end(w, IP_ARP);
}

enum step after_ethertype(struct walk *w, uint16_t ethertype)
{
	if (w->c.failed)
		return STEP_END;
	if (ethertype == ETHERTYPE_ARP)
		return arp(w);
	if (ethertype <= LENGTH_MAX)
		return STEP_LLC;
	return find(w, ethertypes, ROWS(ethertypes), ethertype, IP_OTHER);
}

enum step after_ppp(struct walk *w, uint16_t protocol)
{
	return find(w, ppp_protocols, ROWS(ppp_protocols), protocol, IP_OTHER);
}

enum step after_link_type(struct walk *w, uint32_t link_type)
{
	return find(w, link_types, ROWS(link_types), link_type, IP_MALFORMED);
}

/* ---- LAN headers -------------------------------------------------------------------------- */

static enum step ethernet(struct walk *w)
{
	cur_skip(&w->c, 12);
	return after_ethertype(w, cur_u16(&w->c));
}

static enum step ethertype(struct walk *w)
{
	return after_ethertype(w, cur_u16(&w->c));
}

/* IEEE 802.2, with SNAP (RFC 1042), or a SAP that is IP's own. */
static enum step llc(struct walk *w)
{
	uint8_t dsap = cur_u8(&w->c), ssap = cur_u8(&w->c), control = cur_u8(&w->c);
	uint32_t oui;
	uint16_t type;

	if (dsap == 0x06 && ssap == 0x06 && control == 0x03)
		return STEP_IPV4;
	if (dsap != 0xaa || ssap != 0xaa || control != 0x03)
		return walk_end(w, IP_OTHER);
	oui = cur_u24(&w->c);
	type = cur_u16(&w->c);
	if ((oui != 0 && oui != 0x0000f8) || type <= LENGTH_MAX)        /* RFC 1042; IEEE 802.1H */
		return walk_end(w, IP_OTHER);
	return after_ethertype(w, type);
}

static enum step token_ring(struct walk *w)
{
	bool routed;
	size_t routing;

	cur_skip(&w->c, 8);
	routed = (cur_u8(&w->c) & 0x80) != 0;           /* in the source address: a routing field follows */
	cur_skip(&w->c, 5);
	if (routed) {
		routing = cur_u8(&w->c) & 0x1f;         /* its length, this byte included */
		cur_skip(&w->c, routing > 1 ? routing - 1 : 1);
	}
	return STEP_LLC;
}

static enum step arcnet(struct walk *w)
{
	uint8_t protocol = cur_u8(&w->c);

	if (protocol == 240)                            /* IP as in RFC 1051: no more header */
		return STEP_IPV4;
	if (protocol == 241)
		return arp(w);
	if (protocol != 212 && protocol != 213 && protocol != 196)      /* RFC 1201, RFC 2497 */
		return walk_end(w, IP_OTHER);
	/* A split flag and a sequence number; an exception frame has four bytes of padding before them. */
	cur_skip(&w->c, span_at(w->c.rest, 0) == 0xff ? 7 : 3);
	if (protocol == 213)
		return arp(w);
	return protocol == 212 ? STEP_IPV4 : STEP_IPV6;
}

static enum step sll2(struct walk *w)
{
	uint16_t type = cur_u16(&w->c);

	cur_skip(&w->c, 18);
	return after_ethertype(w, type);
}

/* BSD loopback: an address family in the byte order of the machine that captured (NULL) or the network's
 * (LOOP). AF_INET is 2 everywhere, AF_INET6 10, 23, 24, 28 or 30. */
static enum step family(struct walk *w)
{
	uint32_t value = cur_u32(&w->c);

	if (value > 0xffffff)
		value = __builtin_bswap32(value);
	switch (value) {
	case 2:
		return STEP_IPV4;
	case 10: case 23: case 24: case 28: case 30:
		return STEP_IPV6;
	default:
		return walk_end(w, IP_OTHER);
	}
}

/* ---- WAN headers -------------------------------------------------------------------------- */

/* RFC 1661, RFC 1662: address and control may be left out, and the first byte of the protocol. */
static enum step ppp(struct walk *w)
{
	uint16_t protocol;

	if (span_at(w->c.rest, 0) == 0xff)
		cur_skip(&w->c, 2);
	protocol = cur_u8(&w->c);
	if ((protocol & 1) == 0)
		protocol = (uint16_t)(protocol << 8 | cur_u8(&w->c));
	return after_ppp(w, protocol);
}

static enum step chdlc(struct walk *w)
{
	uint16_t type = cur_u16(&w->c);

	if (type <= LENGTH_MAX)
		return walk_end(w, IP_OTHER);
	return after_ethertype(w, type);
}

static enum step ppp_serial(struct walk *w)
{
	uint8_t address = span_at(w->c.rest, 0);

	if (address != 0x0f && address != 0x8f)         /* Cisco HDLC: unicast, multicast */
		return STEP_PPP;
	cur_skip(&w->c, 2);
	return STEP_CHDLC;
}

/* RFC 2516: version and type, code (0: session data), session, length. */
static enum step pppoe(struct walk *w)
{
	uint16_t length;
	uint8_t code;

	cur_skip(&w->c, 1);
	code = cur_u8(&w->c);
	cur_skip(&w->c, 2);
	length = cur_u16(&w->c);
	if (code != 0)
		return walk_end(w, IP_OTHER);
	if (!w->c.failed && length < walk_wire(w))
		walk_trim(w, length);
	return STEP_PPP;
}

/* RFC 2427: a two-byte Q.922 address, control, and what follows by its NLPID. */
static enum step frame_relay(struct walk *w)
{
	uint8_t nlpid;

	cur_skip(&w->c, 2);
	if (cur_u8(&w->c) != 0x03)
		return walk_end(w, IP_OTHER);
	if (span_at(w->c.rest, 0) == 0)
		cur_skip(&w->c, 1);                     /* padding */
	nlpid = cur_u8(&w->c);
	switch (nlpid) {
	case 0xcc:
		return STEP_IPV4;
	case 0x8e:
		return STEP_IPV6;
	case 0xcf:
		return STEP_PPP;
	case 0x80:
		return cur_u24(&w->c) == 0 ? STEP_ETHERTYPE : walk_end(w, IP_OTHER);
	default:
		return walk_end(w, IP_OTHER);
	}
}

/* Does an IP header of this version fit here? An Ethernet address may begin with a 4 or a 6, too. */
static bool looks_like_ip(const struct walk *w)
{
	struct span s = w->c.rest;
	unsigned version = span_at(s, 0) >> 4;

	if (version == 4)
		return (span_at(s, 0) & 15) >= 5 && span_u16(s, 2) <= walk_wire(w);
	return version == 6 && span_u16(s, 4) + 40u <= walk_wire(w);
}

/* RFC 3032: a label (20 bits), traffic class, bottom of stack, TTL. What lies below the stack is agreed
 * elsewhere: the first nibble tells IP; else a pseudo-wire (RFC 4448), with a control word if it is 0. */
static enum step mpls(struct walk *w)
{
	uint32_t entry = cur_u32(&w->c);

	if ((entry & 0x100) == 0)
		return STEP_MPLS;
	if (looks_like_ip(w))
		return STEP_IP;
	if (span_at(w->c.rest, 0) >> 4 == 0 && span_u32(w->c.rest, 0) >> 16 == 0)
		cur_skip(&w->c, 4);
	return STEP_ETHERNET;
}

/* ---- wireless ----------------------------------------------------------------------------- */

/* IEEE 802.11 9.2.4: frame control, duration, three addresses, sequence; a fourth address between access
 * points, then QoS, then HT control. Only data frames in the clear are of interest. */
static enum step wlan(struct walk *w)
{
	uint8_t kind = cur_u8(&w->c), flags = cur_u8(&w->c);
	bool qos = (kind & 0x80) != 0;
	uint16_t control = 0;

	cur_skip(&w->c, 22);
	if ((flags & 3) == 3)
		cur_skip(&w->c, 6);
	if (qos)
		control = cur_u16le(&w->c);
	if (qos && (flags & 0x80) != 0)
		cur_skip(&w->c, 4);
	if ((kind & 0x0c) != 0x08 || (kind & 0x40) != 0 || (flags & 0x40) != 0)
		return walk_end(w, IP_OTHER);           /* no data frame, no data in it, encrypted */
	if (w->padded && qos != ((flags & 3) == 3))
		cur_skip(&w->c, 2);                     /* to a multiple of four */
	if ((control & 0x80) != 0)                      /* A-MSDU: its first member, behind addresses and length */
		cur_skip(&w->c, 14);
	return STEP_LLC;
}

/* https://www.radiotap.org: lengths are little-endian; presence words go on while bit 31 is set. */
static enum step radiotap(struct walk *w)
{
	struct span all = w->c.rest;
	struct cursor c;
	uint32_t present, more;
	uint16_t length;
	uint8_t flags = 0;
	size_t at;

	cur_skip(&w->c, 2);
	length = cur_u16le(&w->c);
	c = cursor_of(span_from(span_first(all, length), 4));
	present = more = cur_u32le(&c);
	while ((more & UINT32_C(1) << 31) != 0)
		more = cur_u32le(&c);
	at = length - c.rest.len;
	if ((present & 1) != 0)                         /* TSFT: eight bytes, aligned to eight */
		at = (at + 7) / 8 * 8 + 8;
	if ((present & 2) != 0)
		flags = span_at(span_first(all, length), at);
	if (length < 8 || c.failed)
		return walk_end(w, w->missing != 0 ? IP_CUT : IP_MALFORMED);
	cur_skip(&w->c, length - 4u);
	w->padded = (flags & 0x20) != 0;
	return STEP_WLAN;
}

/* Prism and AVS share their first two words; AVS has its magic in the first, both the length in the second. */
static enum step prism(struct walk *w)
{
	struct span all = w->c.rest;
	bool avs = span_u32(all, 0) >> 12 == 0x80211;
	uint32_t length = span_u32(all, 4);

	if (!avs && length > 0xffff)
		length = __builtin_bswap32(length);
	if (length < 8)
		return walk_end(w, w->missing != 0 && all.len < 8 ? IP_CUT : IP_MALFORMED);
	cur_skip(&w->c, length);
	return STEP_WLAN;
}

/* ---- headers of capture systems ----------------------------------------------------------- */

/* PPI: version, flags, length and link type, little-endian. */
static enum step ppi(struct walk *w)
{
	uint16_t length;
	uint32_t link_type;

	cur_skip(&w->c, 2);
	length = cur_u16le(&w->c);
	link_type = cur_u32le(&w->c);
	if (length < 8)
		return w->c.failed ? STEP_END : walk_end(w, IP_MALFORMED);
	cur_skip(&w->c, length - 8u);
	return after_link_type(w, link_type);
}

/* PKTAP of macOS: length, record type, link type, little-endian. */
static enum step pktap(struct walk *w)
{
	uint32_t length = cur_u32le(&w->c), link_type;

	cur_skip(&w->c, 4);
	link_type = cur_u32le(&w->c);
	if (length < 12)
		return w->c.failed ? STEP_END : walk_end(w, IP_MALFORMED);
	cur_skip(&w->c, length - 12);
	return after_link_type(w, link_type);
}

/* PFLOG: its first byte is the header's length without the padding to a multiple of four. */
static enum step pflog(struct walk *w)
{
	size_t length = (cur_u8(&w->c) + 3u) & ~(size_t)3;

	cur_skip(&w->c, length > 1 ? length - 1 : 1);
	return STEP_IP;
}

/* NFLOG: family, version, resource; then attributes (length with these four bytes, type), padded to four,
 * in the byte order of the machine that captured. The packet is attribute 9 (nfnetlink_log.h). */
static enum step nflog(struct walk *w)
{
	bool swapped;
	uint16_t length, type;

	cur_skip(&w->c, 4);
	swapped = span_at(w->c.rest, 0) == 0 && span_at(w->c.rest, 1) != 0;
	while (!w->c.failed) {
		length = swapped ? cur_u16(&w->c) : cur_u16le(&w->c);
		type = swapped ? cur_u16(&w->c) : cur_u16le(&w->c);
		if (w->c.failed)
			break;
		if (length < 4)
			return walk_end(w, IP_MALFORMED);
		if ((type & 0x7fff) == 9)
			return STEP_IP;
		cur_skip(&w->c, ((size_t)length - 4 + 3) & ~(size_t)3);
	}
	return STEP_END;
}

/* ---- the walk ----------------------------------------------------------------------------- */

typedef enum step step_fn(struct walk *w);

/* `layer`: counts as encapsulation. */
struct step_row { step_fn *fn; bool layer; };

static const struct step_row steps[STEP_COUNT] = {
	[STEP_ETHERNET]    = { ethernet,     false },
	[STEP_ETHERTYPE]   = { ethertype,    false },
	[STEP_TAG]         = { ethertype,    true },
	[STEP_LLC]         = { llc,          false },
	[STEP_SLL2]        = { sll2,         false },
	[STEP_FAMILY]      = { family,       false },
	[STEP_PPP]         = { ppp,          false },
	[STEP_PPPOE]       = { pppoe,        true },
	[STEP_PPP_SERIAL]  = { ppp_serial,   false },
	[STEP_CHDLC]       = { chdlc,        false },
	[STEP_FRAME_RELAY] = { frame_relay,  false },
	[STEP_TOKEN_RING]  = { token_ring,   false },
	[STEP_ARCNET]      = { arcnet,       false },
	[STEP_WLAN]        = { wlan,         false },
	[STEP_PRISM]       = { prism,        false },
	[STEP_RADIOTAP]    = { radiotap,     false },
	[STEP_PPI]         = { ppi,          true },
	[STEP_PKTAP]       = { pktap,        true },
	[STEP_PFLOG]       = { pflog,        false },
	[STEP_NFLOG]       = { nflog,        false },
	[STEP_MPLS]        = { mpls,         true },
	[STEP_NSH]         = { step_nsh,     true },
	[STEP_IP]          = { step_ip,      false },
	[STEP_IPV4]        = { step_ipv4,    false },
	[STEP_IPV6]        = { step_ipv6,    false },
	[STEP_AH]          = { step_ah,      true },
	[STEP_IPIP]        = { step_ipv4,    true },
	[STEP_6IN4]        = { step_ipv6,    true },
	[STEP_GRE]         = { step_gre,     true },
	[STEP_ERSPAN2]     = { step_erspan2, false },
	[STEP_ERSPAN3]     = { step_erspan3, false },
	[STEP_WCCP]        = { step_wccp,    false },
	[STEP_VXLAN]       = { step_vxlan,   true },
	[STEP_VXLAN_GPE]   = { step_vxlan_gpe, true },
	[STEP_GENEVE]      = { step_geneve,  true },
	[STEP_GTP]         = { step_gtp,     true },
	[STEP_L2TP]        = { step_l2tp,    true },
	[STEP_TEREDO]      = { step_teredo,  true },
	[STEP_AYIYA]       = { step_ayiya,   true },
};

/* Ends: each turn takes a byte at least or counts a layer. A datagram that was no tunnel after all is given
 * itself, but where nesting was the reason, or reassembly has used its memory again. */
enum ip_verdict walk_packet(struct walk *w, uint16_t link_type)
{
	enum step next = after_link_type(w, link_type);

	while (next != STEP_END && !w->c.failed) {
		if (steps[next].layer && ++w->depth > LIMIT_LAYERS)
			return IP_TOO_DEEP;
		next = steps[next].fn(w);
	}
	if (w->c.failed)
		w->verdict = w->missing != 0 ? IP_CUT : IP_MALFORMED;
	if (w->has_outer && (w->verdict == IP_OTHER || w->verdict == IP_CUT || w->verdict == IP_MALFORMED)) {
		*w->d = w->outer;
		w->verdict = IP_DATAGRAM;
	}
	return w->verdict;
}
