/* link.h - the walk down a packet: link layers and tunnels, one header a step
 *
 * A step reads its header from the walk's cursor and names the next step. When the cursor fails, the
 * walk ends: IP_CUT where the capture lacks bytes that were on the wire, IP_MALFORMED where it does not.
 * link.c holds the tables (link types, ethertypes, PPP protocols) and the steps below IP, tunnel.c those
 * between two IP headers, ip.c those of IP itself.
 */
#ifndef WHY502_LINK_H
#define WHY502_LINK_H

#include "ip.h"

enum step {
	STEP_END,               /* w->verdict says how it went */
	STEP_ETHERNET, STEP_ETHERTYPE, STEP_TAG,        /* a frame; an ethertype; one behind a tag */
	STEP_LLC, STEP_SLL2, STEP_FAMILY, STEP_TOKEN_RING, STEP_ARCNET, STEP_WLAN, STEP_PRISM, STEP_RADIOTAP,
	STEP_PPP, STEP_PPPOE, STEP_PPP_SERIAL, STEP_CHDLC, STEP_FRAME_RELAY, STEP_MPLS, STEP_NSH,
	STEP_PPI, STEP_PKTAP, STEP_PFLOG, STEP_NFLOG,
	STEP_IP, STEP_IPV4, STEP_IPV6, STEP_AH, STEP_IPIP, STEP_6IN4,
	STEP_GRE, STEP_ERSPAN2, STEP_ERSPAN3, STEP_WCCP,
	STEP_VXLAN, STEP_VXLAN_GPE, STEP_GENEVE, STEP_GTP, STEP_L2TP, STEP_TEREDO, STEP_AYIYA,
	STEP_COUNT
};

struct walk {
	struct ip_decoder *decoder;
	struct datagram *d;
	struct cursor c;        /* what lies within the headers read so far, padding removed */
	uint32_t missing;       /* bytes that followed on the wire and were not captured */
	uint8_t  depth;         /* tags and tunnels so far */
	bool padded;            /* 802.11: the header is padded to a multiple of four */
	enum ip_verdict verdict;
	bool has_outer;         /* `outer` is the UDP datagram that the walk took for a tunnel */
	struct datagram outer;
};

/* Bytes from here on, as they were on the wire. */
static inline uint32_t walk_wire(const struct walk *w)
{
	return (uint32_t)w->c.rest.len + w->missing;
}

/* A header said that `wire` bytes follow it: what is beyond is padding; what lacks was not captured. */
static inline void walk_trim(struct walk *w, uint32_t wire)
{
	w->c.rest = span_first(w->c.rest, wire);
	w->missing = wire - (uint32_t)w->c.rest.len;
}

static inline enum step walk_end(struct walk *w, enum ip_verdict v)
{
	w->verdict = v;
	return STEP_END;
}

/* Two and four bytes in network order; 0 beyond the end. */
static inline uint16_t span_u16(struct span s, size_t i)
{
	return (uint16_t)((unsigned)span_at(s, i) << 8 | span_at(s, i + 1));
}

static inline uint32_t span_u32(struct span s, size_t i)
{
	return (uint32_t)span_u16(s, i) << 16 | span_u16(s, i + 2);
}

/* The n bytes at i to `to`, zeros where they are not all there. */
static inline void span_copy(uint8_t *to, size_t n, struct span s, size_t i)
{
	struct span field = span_first(span_from(s, i), n);

	if (field.len == n)
		memcpy(to, field.at, n);
	else
		memset(to, 0, n);
}

/* Walks w->c from the packet's link layer to its innermost datagram. */
enum ip_verdict walk_packet(struct walk *w, uint16_t link_type);

/* The step for an ethertype, a PPP protocol, a link type. What nobody here reads ends the walk as IP_OTHER. */
enum step after_ethertype(struct walk *w, uint16_t ethertype);
enum step after_ppp(struct walk *w, uint16_t protocol);
enum step after_link_type(struct walk *w, uint32_t link_type);

/* ip.c: an upper-layer protocol behind an IP header: a tunnel's step, or the end with w->d filled. */
enum step after_protocol(struct walk *w, uint8_t protocol);
enum step step_ip(struct walk *w);              /* version 4 or 6, as the first nibble says */
enum step step_ipv4(struct walk *w);
enum step step_ipv6(struct walk *w);
enum step step_ah(struct walk *w);

/* tunnel.c */
enum step step_gre(struct walk *w);
enum step step_erspan2(struct walk *w);
enum step step_erspan3(struct walk *w);
enum step step_wccp(struct walk *w);
enum step step_vxlan(struct walk *w);
enum step step_vxlan_gpe(struct walk *w);
enum step step_geneve(struct walk *w);
enum step step_gtp(struct walk *w);
enum step step_l2tp(struct walk *w);
enum step step_teredo(struct walk *w);
enum step step_ayiya(struct walk *w);
enum step step_nsh(struct walk *w);

/* The tunnel that a UDP datagram (header first) carries, or STEP_END: none that we know by its port, or
 * nothing plausible within. */
enum step udp_tunnel(struct span udp);

#endif
