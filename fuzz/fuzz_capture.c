/* Bytes as a capture file, through the whole program but for its command line: reader, decoders, rules, and each format. What is
 * written prints. */
#include "../tests/replay.h"
#include "../report/writer.h"
#include "check.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void write_as(const struct writer *w, const struct report *report)
{
	struct writer_options options = { .version = "0", .columns = 80, .top = 10, .verbose = 2, .exchanges = true };
	struct run_info info = { .version = "0", .sandbox = "off" };
	struct out *out = out_memory();
	struct err e = { ERR_OK, "" };
	void *self = out != NULL ? w->ops->begin(&options, out) : NULL;

	if (self != NULL) {
		for (unsigned i = 0; w->ops->incident != NULL && i < report->n_incidents; i++)
			w->ops->incident(self, report->incidents[i]);
		w->ops->end(self, report, &info);
		out_flush(out);
		must_print(out_written(out));
	}
	if (out != NULL)
		(void)out_close(out, &e);
}

static void judge(const struct packets *p)
{
	struct decode_options d;
	struct report_options o;
	struct err e = { ERR_OK, "" };
	struct replay r;

	replay_options(&d, &o);
	d.exchanges = true;
	if (replay(p->at, p->n, &d, &o, &r, &e)) {
		const struct writer *rows;
		unsigned n = writers(&rows);

		for (unsigned i = 0; i < n; i++)
			write_as(&rows[i], r.report);
	}
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
