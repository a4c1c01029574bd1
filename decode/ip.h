/* ip.h - from a packet to the datagram in it: link layers, tunnels, IPv4, IPv6, fragments
 *
 * Fast path first: Ethernet (or SLL, raw), IPv4 without options, no fragment. A link type or a tunnel
 * is a row in link.c's table. At most 8 layers of encapsulation, 16 IPv6 extension headers. The
 * innermost IP header counts: addresses, TTL and IP ID are its.
 */
#ifndef WHY502_IP_H
#define WHY502_IP_H

#include "fact.h"

enum ip_verdict {
	IP_DATAGRAM,            /* d is filled */
	IP_ARP,                 /* d->payload is the ARP body, from its hardware type on */
	IP_FRAGMENT,            /* kept; nothing yet. Or no first fragment: nothing ever */
	IP_OTHER,               /* a protocol that is no business of ours (LLDP, STP, …): not an error */
	IP_CUT,                 /* snaplen left too little */
	IP_MALFORMED,           /* undecodable: wrong on the wire, or a link type without a row */
	IP_TOO_DEEP             /* encapsulation limit */
};

struct datagram {
	struct mark at;                 /* packet and time; of the last fragment where put together */
	const struct packet *packet;    /* its packet (tap, direction, frame) */
	uint8_t  src[16], dst[16];      /* IPv4 as ::ffff:a.b.c.d */
	uint8_t  protocol;              /* 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6, … */
	uint8_t  ttl;                   /* or hop limit */
	bool     v6;
	bool     reassembled;
	uint16_t ip_id;                 /* IPv4; 0 in IPv6 */
	uint32_t flow;                  /* hash of what lies around it (VLAN ids, tunnel ids do not count): 0 */
	struct span payload;            /* upper-layer header and data, as far as captured; padding removed */
	uint32_t wire_len;              /* bytes that payload had on the wire (by IP's length; 64 KiB GSO segments with length 0: by the packet) */
};

struct ip_decoder;                      /* fragments waiting, counters */

struct ip_counters { uint64_t undecodable, cut, fragments_dropped, encapsulation_depth; };

struct ip_decoder *ip_decoder_new(void);        /* NULL: no memory */
void ip_decoder_free(struct ip_decoder *);
/* Is called with each IP header on the way down and with what follows its fixed part, before either is read: they may be
 * changed. Not for what lies in a datagram put together. */
typedef void ip_header_fn(void *ctx, struct span header, struct span rest);
void ip_decoder_on_header(struct ip_decoder *, ip_header_fn *fn, void *ctx);

/* d->payload lies in the packet, or (reassembled) in memory of the decoder that the next call may change. */
enum ip_verdict ip_decode(struct ip_decoder *, const struct packet *, struct datagram *d);
void ip_counters(const struct ip_decoder *, struct ip_counters *);

/* The datagram that an ICMP error quotes: at least addresses, protocol and 8 bytes of payload. `quoted` starts at
 * the quoted IP header. False: it cannot be read. Only src, dst, protocol, v6, payload and wire_len are set. */
bool ip_quoted(struct span quoted, bool v6, struct datagram *d);

#endif
