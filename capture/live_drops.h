/* live_drops.h - packets that were there and were not seen (inside capture/ only)
 *
 * pcap_stats() opens files each time it is asked, which the sandbox forbids. On Linux the same two
 * numbers come from the socket and from files that were opened before.
 */
#ifndef WHY502_LIVE_DROPS_H
#define WHY502_LIVE_DROPS_H

#include <pcap/pcap.h>
#include <stdint.h>

enum { INTERFACE_COUNTERS = 2 };        /* rx_missed_errors, rx_fifo_errors: as libpcap adds up */

struct live_drops {
	uint64_t kernel, interface;             /* in sum, over all times the interface was opened */
	int      counter_fds[INTERFACE_COUNTERS];       /* -1: none */
	uint64_t counted[INTERFACE_COUNTERS];           /* when read last */
	uint32_t seen_drop, seen_ifdrop;        /* pcap_stats() counts in 32 bits */
};

void live_drops_open(struct live_drops *d, const char *interface);   /* keeps the sums */
void live_drops_read(struct live_drops *d, pcap_t *p);
void live_drops_close(struct live_drops *d);

#endif
