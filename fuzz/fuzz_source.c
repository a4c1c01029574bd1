/* Bytes as one capture and as two that are merged: what comes out holds to what packet.h promises. */
#include "../capture/limits.h"
#include "../capture/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(const struct packet *p, uint64_t *number, unsigned n_files)
{
	volatile uint8_t sum = 0;

	for (uint32_t i = 0; i < p->caplen; i++)        /* each byte is there: ASan looks */
		sum = (uint8_t)(sum + p->bytes[i]);
	if (p->number <= *number || p->len < p->caplen || p->caplen > LIMIT_PACKET_BYTES || p->time_ns < 0 || p->file >= n_files)
		abort();
	*number = p->number;
}

static void read_files(const char *const *files, unsigned n, const char *filter)
{
	static struct packet_batch b;
	struct source_options o = { .files = files, .n_files = n, .filter = filter };
	struct err e = { ERR_OK, "" };
	struct source *s = source_open(&o, &e);
	const struct source_interface *interfaces;
	uint64_t number = 0;
	enum source_status status;

	if (s == NULL)
		return;
	while ((status = source_next(s, &b, &e)) == SOURCE_PACKETS)
		for (unsigned i = 0; i < b.n; i++) {
			check(&b.packets[i], &number, n);
			if (b.packets[i].interface >= source_interfaces(s, &interfaces))
				abort();
		}
	if (status == SOURCE_ERROR && e.text[0] == '\0')
		abort();
	batch_clear(&b);
	source_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char path[64];
	const char *const files[] = { path, path };
	int fd = memfd_create("capture", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (write(fd, bytes, n) == (ssize_t)n) {
		read_files(files, 1, n % 16 == 0 ? "tcp" : NULL);  /* compiling it is slow */
		read_files(files, 2, NULL);
	}
	close(fd);
	return 0;
}
