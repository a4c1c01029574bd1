/* disguise.h - addresses of a capture made others, before anything else reads it (--redact addresses)
 *
 *     struct disguise *d = disguise_new();
 *     disguise_packet(d, &packet);            in place: its bytes are other ones from here on
 *
 * Under a key that is random in each run and kept nowhere, each address becomes another one, always the same; two that have
 * their first n bits in common have them in common afterwards (an IPv4 address's first byte is exchanged as a whole). What is
 * no host's (loopback, multicast, broadcast, ::) stays, and so do the kinds fe80::/10, fc00::/7, 2000::/3. Xu, Fan, Ammar and
 * Moon, "Prefix-preserving IP address anonymization" (2002), with SipHash as the function.
 *
 * As decoding comes after it, every report has these addresses, and so has what -w writes. In packets: the headers of IP (of
 * tunnels too), ARP, neighbour discovery, what ICMP errors quote, A and AAAA records, the binary PROXY preface; checksums of
 * IPv4 and TCP are mended, those of UDP and ICMP left out (0). Where text spells an address its digits become ones. What
 * nobody here reads, and might hold addresses, is zeroes afterwards.
 */
#ifndef WHY502_DISGUISE_H
#define WHY502_DISGUISE_H

#include "ip.h"

struct disguise;

struct disguise *disguise_new(void);            /* NULL: no memory */
void disguise_free(struct disguise *d);         /* NULL is allowed */

void disguise_packet(struct disguise *d, const struct packet *p);
void disguise_address(struct disguise *d, uint8_t address[static 16]);          /* as in struct endpoint */
/* 10.0.0.7 becomes 11.1.1.1, 2001:db8::7 1111:111::1: the same length, so that all around it stays where it is. */
void disguise_text(uint8_t *text, size_t n);

#endif
