/* ip.c - IPv4 and IPv6 headers, and the packet's way to them */
#include "fragments.h"
#include "link.h"

#include "../capture/limits.h"

#include <stdlib.h>

struct ip_decoder {
	struct fragments *fragments;
	struct ip_counters counters;
	ip_header_fn *on_header;        /* NULL: nobody asks */
	void *on_header_ctx;
};

enum {
	PROTOCOL_HOP_BY_HOP = 0, PROTOCOL_ICMP = 1, PROTOCOL_IPIP = 4, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_IPV6 = 41,
	PROTOCOL_ROUTING = 43, PROTOCOL_FRAGMENT = 44, PROTOCOL_GRE = 47, PROTOCOL_AH = 51, PROTOCOL_ICMPV6 = 58,
	PROTOCOL_DESTINATION = 60, PROTOCOL_MOBILITY = 135, PROTOCOL_MPLS = 137, PROTOCOL_HIP = 139, PROTOCOL_SHIM6 = 140
};

enum { IPV4_HEADER = 20, IPV6_HEADER = 40, IPV4_FRAGMENTED = 0x3fff, ETHERNET_HEADER = 14, LINKTYPE_ETHERNET = 1 };

struct ip_decoder *ip_decoder_new(void)
{
	struct ip_decoder *decoder = calloc(1, sizeof *decoder);

	if (decoder == NULL)
		return NULL;
	decoder->fragments = fragments_new();
	if (decoder->fragments == NULL) {
		free(decoder);
		return NULL;
	}
	return decoder;
}

void ip_decoder_free(struct ip_decoder *decoder)
{
	if (decoder == NULL)
		return;
	fragments_free(decoder->fragments);
	free(decoder);
}

void ip_counters(const struct ip_decoder *decoder, struct ip_counters *c)
{
	*c = decoder->counters;
	c->fragments_dropped = fragments_dropped(decoder->fragments);
}

/* ---- headers ------------------------------------------------------------------------------ */

/* ::ffff:a.b.c.d from the IPv4 address at `at`. */
static inline void map_ipv4(uint8_t address[static 16], struct span s, size_t at)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	memcpy(address, prefix, sizeof prefix);
	span_copy(address + sizeof prefix, 4, s, at);
}

/* Fills d from an IPv4 header of at least 20 bytes. */
static inline void fill_ipv4(struct datagram *d, struct span header)
{
	map_ipv4(d->src, header, 12);
	map_ipv4(d->dst, header, 16);
	d->protocol = span_at(header, 9);
	d->ttl = span_at(header, 8);
	d->v6 = false;
	d->ip_id = span_u16(header, 4);
}

/* Fills d from an IPv6 header of 40 bytes. */
static inline void fill_ipv6(struct datagram *d, struct span header)
{
	span_copy(d->src, sizeof d->src, header, 8);
	span_copy(d->dst, sizeof d->dst, header, 24);
	d->protocol = span_at(header, 6);
	d->ttl = span_at(header, 7);
	d->v6 = true;
	d->ip_id = 0;
}

/* ---- fragments ---------------------------------------------------------------------------- */

/* Adds the rest of the walk as a piece. FRAGMENT_WHOLE: the walk goes on in the datagram put together. */
static enum fragment_result add_fragment(struct walk *w, uint32_t id, uint32_t offset, bool more, uint8_t *protocol)
{
	struct defragmented whole;
	struct fragment piece = {
		.id = id, .protocol = *protocol, .v6 = w->d->v6, .more = more, .offset = offset,
		.wire_len = walk_wire(w), .bytes = w->c.rest, .time_ns = w->d->at.time_ns
	};
	enum fragment_result result;

	memcpy(piece.src, w->d->src, sizeof piece.src);
	memcpy(piece.dst, w->d->dst, sizeof piece.dst);
	result = fragments_add(w->decoder->fragments, &piece, &whole);
	if (result != FRAGMENT_WHOLE)
		return result;
	w->c = cursor_of(whole.bytes);
	w->missing = whole.wire_len - (uint32_t)whole.bytes.len;
	w->d->reassembled = true;
	w->has_outer = false;           /* it may lie in the memory now used again */
	*protocol = whole.protocol;
	return result;
}

static enum step fragment_end(struct walk *w, enum fragment_result result)
{
	return walk_end(w, result == FRAGMENT_BAD ? IP_MALFORMED : IP_FRAGMENT);
}

/* ---- steps -------------------------------------------------------------------------------- */

enum step step_ip(struct walk *w)
{
	switch (span_at(w->c.rest, 0) >> 4) {
	case 4:
		return STEP_IPV4;
	case 6:
		return STEP_IPV6;
	default:
		return walk_end(w, w->c.rest.len == 0 && w->missing != 0 ? IP_CUT : IP_MALFORMED);
	}
}

/* RFC 1071: is the sum of a header's two parts, of even length, all ones? */
static bool checksum_right(struct span header, struct span options)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < header.len; i += 2)
		sum += span_u16(header, i);
	for (size_t i = 0; i < options.len; i += 2)
		sum += span_u16(options, i);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

void ip_decoder_on_header(struct ip_decoder *d, ip_header_fn *fn, void *ctx)
{
	d->on_header = fn;
	d->on_header_ctx = ctx;
}

static void tell_header(const struct walk *w, struct span header)
{
	if (w->decoder->on_header != NULL && !w->d->reassembled)
		w->decoder->on_header(w->decoder->on_header_ctx, header, w->c.rest);
}

/* RFC 791. Total length 0: the sender's card was to cut it into packets (TSO), or it is larger than 64 KiB
 * (BIG TCP); what was captured is all there is. A total length beyond the frame is true where a switch sliced
 * what it mirrored, or the file forgot the length on the wire; it is not where the header is broken, which its
 * checksum tells. */
enum step step_ipv4(struct walk *w)
{
	struct datagram *d = w->d;
	struct span header = cur_take(&w->c, IPV4_HEADER), options;
	size_t header_len = (span_at(header, 0) & 15u) * 4u;
	uint32_t total = span_u16(header, 2);
	unsigned fragment = span_u16(header, 6);
	enum fragment_result result;

	if (w->c.failed)
		return STEP_END;
	if (span_at(header, 0) >> 4 != 4 || header_len < IPV4_HEADER || (total != 0 && total < header_len))
		return walk_end(w, IP_MALFORMED);
	tell_header(w, header);
	fill_ipv4(d, header);
	options = cur_take(&w->c, header_len - IPV4_HEADER);
	if (w->c.failed)
		return STEP_END;
	if (total != 0 && (total - header_len <= walk_wire(w) || checksum_right(header, options)))
		walk_trim(w, total - (uint32_t)header_len);
	if ((fragment & IPV4_FRAGMENTED) != 0) {
		result = add_fragment(w, d->ip_id, (fragment & 0x1fffu) * 8, (fragment & 0x2000u) != 0, &d->protocol);
		if (result != FRAGMENT_WHOLE)
			return fragment_end(w, result);
	}
	return after_protocol(w, d->protocol);
}

/* RFC 8200 4.5. False: the walk ends. */
static bool fragment_header(struct walk *w, uint8_t *next, enum step *end)
{
	uint8_t upper = cur_u8(&w->c);
	uint16_t offset_more;
	uint32_t id;
	enum fragment_result result;

	cur_skip(&w->c, 1);
	offset_more = cur_u16(&w->c);
	id = cur_u32(&w->c);
	*next = upper;
	if ((offset_more & 0xfff9) == 0 || w->c.failed) /* a datagram in one fragment (RFC 6946) */
		return true;
	result = add_fragment(w, id, offset_more & 0xfff8u, (offset_more & 1) != 0, next);
	if (result != FRAGMENT_WHOLE)
		*end = fragment_end(w, result);
	return result == FRAGMENT_WHOLE;
}

/* Extension headers (RFC 8200 4): next header, length in units of eight bytes beyond the first eight. */
static enum step extensions(struct walk *w, uint8_t next)
{
	enum step end = STEP_END;
	uint8_t upper, length;

	for (unsigned n = 0; n <= LIMIT_EXTENSION_HEADERS; n++) {
		switch (next) {
		case PROTOCOL_HOP_BY_HOP: case PROTOCOL_ROUTING: case PROTOCOL_DESTINATION:
		case PROTOCOL_MOBILITY: case PROTOCOL_HIP: case PROTOCOL_SHIM6:
			upper = cur_u8(&w->c);
			length = cur_u8(&w->c);
			cur_skip(&w->c, 6 + (size_t)length * 8);
			next = upper;
			break;
		case PROTOCOL_AH:                       /* RFC 4302 2.2: in units of four, minus two */
			upper = cur_u8(&w->c);
			length = cur_u8(&w->c);
			cur_skip(&w->c, 6 + (size_t)length * 4);
			next = upper;
			break;
		case PROTOCOL_FRAGMENT:
			if (!fragment_header(w, &next, &end))
				return end;
			break;
		default:
			return after_protocol(w, next);
		}
		if (w->c.failed)
			return STEP_END;
	}
	return walk_end(w, IP_TOO_DEEP);
}

/* RFC 8200. Payload length 0: a jumbogram (RFC 2675, BIG TCP) or TSO; what was captured is all there is. */
enum step step_ipv6(struct walk *w)
{
	struct span header = cur_take(&w->c, IPV6_HEADER);
	uint32_t length = span_u16(header, 4);

	if (w->c.failed)
		return STEP_END;
	if (span_at(header, 0) >> 4 != 6)
		return walk_end(w, IP_MALFORMED);
	tell_header(w, header);
	fill_ipv6(w->d, header);
	if (length != 0)
		walk_trim(w, length);
	return extensions(w, w->d->protocol);
}

enum step step_ah(struct walk *w)
{
	uint8_t next = cur_u8(&w->c), length = cur_u8(&w->c);

	cur_skip(&w->c, 6 + (size_t)length * 4);
	return w->c.failed ? STEP_END : after_protocol(w, next);
}

static enum step datagram_found(struct walk *w, uint8_t protocol)
{
	w->d->protocol = protocol;
	w->d->payload = w->c.rest;
	w->d->wire_len = walk_wire(w);
	return walk_end(w, IP_DATAGRAM);
}

static enum step udp(struct walk *w)
{
	enum step tunnel = udp_tunnel(w->c.rest);

	(void)datagram_found(w, PROTOCOL_UDP);
	if (tunnel == STEP_END)
		return STEP_END;
	w->outer = *w->d;
	w->has_outer = true;
	cur_skip(&w->c, 8);
	return tunnel;
}

/* https://www.iana.org/assignments/protocol-numbers */
enum step after_protocol(struct walk *w, uint8_t protocol)
{
	switch (protocol) {
	case PROTOCOL_UDP:  return udp(w);
	case PROTOCOL_IPIP: return STEP_IPIP;           /* RFC 2003 */
	case PROTOCOL_IPV6: return STEP_6IN4;           /* RFC 4213 */
	case PROTOCOL_GRE:  return STEP_GRE;            /* RFC 2784 */
	case PROTOCOL_AH:   return STEP_AH;
	case PROTOCOL_MPLS: return STEP_MPLS;           /* RFC 4023 */
	default:            return datagram_found(w, protocol);
	}
}

/* ---- a packet ----------------------------------------------------------------------------- */

/* By far the most packets: Ethernet, IPv4 without options, TCP, no fragment, total length within the frame. */
static inline bool plain_tcp(const struct packet *p, struct datagram *d)
{
	struct span frame = span_of(p->bytes, p->caplen), header;
	uint32_t total;

	if (p->link_type != LINKTYPE_ETHERNET || frame.len < ETHERNET_HEADER + IPV4_HEADER)
		return false;
	header = span_from(frame, ETHERNET_HEADER);
	total = span_u16(header, 2);
	if (span_u16(frame, 12) != 0x0800 || span_at(header, 0) != 0x45 || span_at(header, 9) != PROTOCOL_TCP ||
	    (span_u16(header, 6) & IPV4_FRAGMENTED) != 0 || total < IPV4_HEADER || total > p->len - ETHERNET_HEADER)
		return false;
	fill_ipv4(d, header);
	d->wire_len = total - IPV4_HEADER;
	d->payload = span_first(span_from(header, IPV4_HEADER), d->wire_len);
	return true;
}

static void count(struct ip_counters *c, enum ip_verdict v)
{
	c->undecodable += v == IP_MALFORMED || v == IP_TOO_DEEP;
	c->cut += v == IP_CUT;
	c->encapsulation_depth += v == IP_TOO_DEEP;
}

static __attribute__((noinline)) enum ip_verdict walk(struct ip_decoder *decoder, const struct packet *p, struct datagram *d)
{
	struct walk w;
	enum ip_verdict v;

	w.decoder = decoder;
	w.d = d;
	w.c = cursor_of(span_of(p->bytes, p->caplen));
	w.missing = p->len > p->caplen ? p->len - p->caplen : 0;
	w.depth = 0;
	w.padded = w.has_outer = false;
	w.verdict = IP_OTHER;
	memset(d->src, 0, sizeof d->src);       /* ARP has neither */
	memset(d->dst, 0, sizeof d->dst);
	d->protocol = d->ttl = 0;
	d->v6 = false;
	d->ip_id = 0;
	d->payload = span_none();
	d->wire_len = 0;
	v = walk_packet(&w, p->link_type);
	count(&decoder->counters, v);
	return v;
}

enum ip_verdict ip_decode(struct ip_decoder *decoder, const struct packet *p, struct datagram *d)
{
	d->at = (struct mark){ p->number, p->time_ns };
	d->packet = p;
	d->reassembled = false;
	d->flow = 0;
	return decoder->on_header == NULL && plain_tcp(p, d) ? IP_DATAGRAM : walk(decoder, p, d);
}

/* ---- quoted by ICMP ----------------------------------------------------------------------- */

/* Behind an IPv4 header: false where it is none, or quotes no first fragment. */
static bool quoted_ipv4(struct cursor *c, struct datagram *d)
{
	struct span header = cur_take(c, IPV4_HEADER);
	size_t header_len = (span_at(header, 0) & 15u) * 4u;
	uint32_t total = span_u16(header, 2);

	if (c->failed || span_at(header, 0) >> 4 != 4 || header_len < IPV4_HEADER || (span_u16(header, 6) & 0x1fff) != 0)
		return false;
	fill_ipv4(d, header);
	cur_skip(c, header_len - IPV4_HEADER);
	d->wire_len = total > header_len ? total - (uint32_t)header_len : (uint32_t)c->rest.len;
	return true;
}

static bool quoted_ipv6(struct cursor *c, struct datagram *d)
{
	struct span header = cur_take(c, IPV6_HEADER);
	uint32_t length = span_u16(header, 4);
	size_t before = c->rest.len;
	uint8_t upper, size;

	if (c->failed || span_at(header, 0) >> 4 != 6)
		return false;
	fill_ipv6(d, header);
	for (unsigned n = 0; n < LIMIT_EXTENSION_HEADERS && !c->failed; n++) {
		if (d->protocol == PROTOCOL_FRAGMENT && (span_u16(c->rest, 2) & 0xfff8) != 0)
			return false;
		if (d->protocol != PROTOCOL_HOP_BY_HOP && d->protocol != PROTOCOL_ROUTING &&
		    d->protocol != PROTOCOL_DESTINATION && d->protocol != PROTOCOL_FRAGMENT)
			break;
		upper = cur_u8(c);
		size = cur_u8(c);
		cur_skip(c, 6 + (d->protocol == PROTOCOL_FRAGMENT ? 0 : (size_t)size * 8));
		d->protocol = upper;
	}
	before -= c->rest.len;
	d->wire_len = length > before ? length - (uint32_t)before : (uint32_t)c->rest.len;
	return true;
}

bool ip_quoted(struct span quoted, bool v6, struct datagram *d)
{
	struct cursor c = cursor_of(quoted);

	if (!(v6 ? quoted_ipv6(&c, d) : quoted_ipv4(&c, d)) || c.rest.len < 8)
		return false;
	d->payload = span_first(c.rest, d->wire_len);
	return d->payload.len >= 8;
}
