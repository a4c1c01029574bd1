/* Link layers, tunnels, IP, fragments, ICMP quotes, ARP and DNS. Input: records of link type (2 bytes), bytes on the wire beyond
 * those kept (1), bytes kept (2), then these; all go through one decoder, so that fragments meet. What is given must lie
 * within what was captured, and claim no less on the wire. */
#include "../decode/control.h"
#include "../decode/segment.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void control(const struct datagram *d)
{
	char name[DNS_NAME_MAX + 1];
	struct icmp_fact icmp;
	struct arp_fact arp;
	struct dns_fact dns;
	struct tcp_options options;
	struct segment tcp;
	uint32_t tcp_seq;
	size_t name_len;

	if (d->protocol == 6 && segment_parse(d, &tcp)) {
		check(tcp.payload.len <= tcp.wire_len && tcp.payload.len <= d->payload.len);
		segment_options(tcp.options, &options);
		check(options.n_sack <= 4);
		(void)segment_tsval(&tcp);
	}
	(void)control_icmp(d, &icmp, &tcp_seq);
	(void)control_neighbour(d, &arp);
	if (d->protocol == 17 && control_dns(span_from(d->payload, 8), &dns, name, &name_len))
		check(name_len <= DNS_NAME_MAX && strlen(name) <= name_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct cursor c = cursor_of(span_of(bytes, n));
	struct ip_decoder *ip = ip_decoder_new();
	struct packet p = { .number = 0 };
	struct arp_fact arp;
	struct datagram d;

	while (ip != NULL && c.rest.len != 0) {
		uint16_t link_type = cur_u16(&c);
		uint32_t beyond = cur_u8(&c);
		size_t kept = cur_u16(&c);
		struct span frame = cur_take(&c, kept < c.rest.len ? kept : c.rest.len);

		p = (struct packet){ .bytes = frame.at, .caplen = (uint32_t)frame.len, .len = (uint32_t)frame.len + beyond,
		                     .link_type = link_type, .number = p.number + 1, .time_ns = p.time_ns + NS_PER_S };
		switch (ip_decode(ip, &p, &d)) {
		case IP_DATAGRAM:
			check(d.payload.len <= d.wire_len);
			check(d.reassembled || d.payload.len == 0 || (d.payload.at >= frame.at && d.payload.len <= frame.len));
			control(&d);
			break;
		case IP_ARP:
			(void)control_arp(d.payload, &arp);
			break;
		default:
			break;
		}
	}
	ip_decoder_free(ip);
	return 0;
}
