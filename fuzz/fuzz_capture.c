/* Bytes as a capture file, through everything up to the report: reader, decoders, rules. */
#include "../tests/replay.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void judge(const struct packets *p)
{
	struct decode_options d;
	struct report_options o;
	struct err e = { ERR_OK, "" };
	struct replay r;

	replay_options(&d, &o);
	d.exchanges = true;
	replay(p->at, p->n, &d, &o, &r, &e);
	replay_clear(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct packets p;
	struct err e = { ERR_OK, "" };
	char path[64];
	int fd = memfd_create("capture", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (write(fd, bytes, n) == (ssize_t)n) {
		packets_read(path, &p, &e);     /* a broken file's packets up to the break are judged, too */
		if (p.n != 0)
			judge(&p);
		packets_clear(&p);
	}
	close(fd);
	return 0;
}
