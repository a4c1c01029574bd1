/* control.h - who said "unreachable", who did not answer: ICMP, ICMPv6, ARP, neighbour discovery, DNS
 *
 * Each parser fills a fact but for its head (kind, conn, packet), which the decoder sets.
 */
#ifndef WHY502_CONTROL_H
#define WHY502_CONTROL_H

#include "ip.h"

/* An ICMP or ICMPv6 error message (destination unreachable, packet too big, time exceeded, parameter problem)
 * with the datagram that it quotes. f->from and f->to are the quoted datagram's ends (ports of TCP and UDP);
 * *tcp_seq is the quoted TCP sequence number, 0 where it is not TCP. False: no error message, or unreadable. */
bool control_icmp(const struct datagram *d, struct icmp_fact *f, uint32_t *tcp_seq);

/* ARP request or reply for IPv4, from IP_ARP's payload; ICMPv6 neighbour solicitation or advertisement. */
bool control_arp(struct span arp, struct arp_fact *f);
bool control_neighbour(const struct datagram *d, struct arp_fact *f);

/* A DNS message (RFC 1035) without its TCP length prefix. Room for the name is the caller's: `name` gets the
 * question's name, lower case, dots between labels, *name_len its length. Bounded: 16 pointers, each backward,
 * 255 bytes a name, 64 records. f->name is not set. mDNS and LLMNR are not ours. */
enum { DNS_NAME_MAX = 255 };
bool control_dns(struct span message, struct dns_fact *f, char name[static DNS_NAME_MAX + 1], size_t *name_len);

#endif
