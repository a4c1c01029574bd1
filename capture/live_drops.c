/* live_drops.c - packets that were there and were not seen */
#include "live_drops.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/if_packet.h>
#include <sys/socket.h>

/* A counter's file: digits and a line feed. */
static bool read_counter(int fd, uint64_t *value)
{
	char text[24];
	ssize_t n = fd >= 0 && lseek(fd, 0, SEEK_SET) == 0 ? read(fd, text, sizeof text) : -1;

	*value = 0;
	for (ssize_t i = 0; i < n && isdigit((unsigned char)text[i]); i++)
		*value = *value * 10 + (uint64_t)(text[i] - '0');
	return n > 0;
}

void live_drops_open(struct live_drops *d, const char *interface)
{
	static const char *const names[INTERFACE_COUNTERS] = { "rx_missed_errors", "rx_fifo_errors" };
	char path[128];

	live_drops_close(d);
	for (unsigned i = 0; i < INTERFACE_COUNTERS; i++) {
		(void)snprintf(path, sizeof path, "/sys/class/net/%.32s/statistics/%s", interface, names[i]);
		d->counter_fds[i] = strchr(interface, '/') == NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		(void)read_counter(d->counter_fds[i], &d->counted[i]);
	}
}

void live_drops_read(struct live_drops *d, pcap_t *p)
{
	struct tpacket_stats s = { 0, 0 };      /* packet(7): reading it sets it to zero */
	socklen_t size = sizeof s;
	uint64_t now;

	if (getsockopt(pcap_fileno(p), SOL_PACKET, PACKET_STATISTICS, &s, &size) == 0)
		d->kernel += s.tp_drops;
	for (unsigned i = 0; i < INTERFACE_COUNTERS; i++) {
		if (!read_counter(d->counter_fds[i], &now))
			continue;
		d->interface += now > d->counted[i] ? now - d->counted[i] : 0;
		d->counted[i] = now;
	}
}

void live_drops_close(struct live_drops *d)
{
	for (unsigned i = 0; i < INTERFACE_COUNTERS; i++) {
		if (d->counter_fds[i] >= 0)
			(void)close(d->counter_fds[i]);
		d->counter_fds[i] = -1;
	}
}
#else
void live_drops_open(struct live_drops *d, const char *interface)
{
	(void)interface;
	d->seen_drop = d->seen_ifdrop = 0;
}

void live_drops_read(struct live_drops *d, pcap_t *p)
{
	struct pcap_stat s;

	if (pcap_stats(p, &s) != 0)
		return;
	d->kernel += (uint32_t)(s.ps_drop - d->seen_drop);      /* right also when it wrapped */
	d->interface += (uint32_t)(s.ps_ifdrop - d->seen_ifdrop);
	d->seen_drop = s.ps_drop;
	d->seen_ifdrop = s.ps_ifdrop;
}

void live_drops_close(struct live_drops *d)
{
	(void)d;
}
#endif
