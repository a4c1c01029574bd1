/* ends.h - between whom a packet passed, for who picks packets rather than follows them
 *
 *     if (packet_ends(ip, &packet, &e)) …      the same connection: tuples are equal (segment.h)
 */
#ifndef WHY502_ENDS_H
#define WHY502_ENDS_H

#include "segment.h"

struct packet_ends {
	/* Of its TCP connection; of what an ICMP error quotes; of a DNS message. ARP, neighbour discovery, a fragment: port 0. */
	struct tuple tuple;
	bool about_hosts;               /* it tells of its two hosts, whatever their connection: all but TCP */
	struct span client_random;      /* of the TLS ClientHello that it carries, 32 bytes in the packet; else empty */
};

/* False: nothing of that kind. */
bool packet_ends(struct ip_decoder *ip, const struct packet *p, struct packet_ends *e);

#endif
