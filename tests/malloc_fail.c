/* malloc_fail.c - each capture of the command line read, decoded, judged and written, while one allocation after the other fails
 *
 *     tests/malloc_fail [-k KEYLOG] [-j THREADS] CAPTURE...
 *
 * First the 1st, then the 2nd, and so on until a run asks for fewer; then all from the n-th on, for some n. A run ends with
 * a report or with an error that has a sentence, and a report's incident of high confidence has the cause of the capture's folder
 * (tests/fixtures/CAUSE/NAME/capture.pcap), where that is the name of one. Under ASan nothing may leak either. The linker's --wrap puts
 * these functions before our own objects; what libraries allocate for themselves goes on as ever.
 */
#include "check.h"
#include "replay.h"

#include "../capture/secrets.h"
#include "../report/writer.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <unistd.h>

enum { CAUSE_MAX = 64, RUNS_MOST = 4000, FROM_RUNS = 60 };

/* A linker's trick knows no context. */
static atomic_ulong asked, fails_at, fails_until;

static bool fails(void)
{
	unsigned long n = atomic_fetch_add(&asked, 1) + 1;

	if (n < atomic_load(&fails_at) || n >= atomic_load(&fails_until))
		return false;
	errno = ENOMEM;
	return true;
}

/* The names are the linker's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t size) { return fails() ? NULL : __real_realloc(p, size); }
void *__wrap_reallocarray(void *p, size_t n, size_t size) { return fails() ? NULL : __real_reallocarray(p, n, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t size) { return fails() ? NULL : __real_aligned_alloc(alignment, size); }
char *__wrap_strdup(const char *s) { return fails() ? NULL : __real_strdup(s); }
char *__wrap_strndup(const char *s, size_t n) { return fails() ? NULL : __real_strndup(s, n); }

struct job { const char *path, *keylog; unsigned threads; char cause[CAUSE_MAX]; };

/* What is open during a run: ended in one place, however far it came. */
struct run {
	const struct job *job;
	struct secrets *secrets;
	struct source *source;
	struct report_builder *builder;
	struct decode *decode;
	struct packet_batch batch;
	struct err e;
};

static void take_facts(void *ctx, const struct fact_batch *facts)
{
	report_facts(ctx, facts);
}

static bool run_open(struct run *r)
{
	struct source_options s = { .files = &r->job->path, .n_files = 1 };
	struct report_events events = { NULL, NULL, NULL };
	struct decode_options d;
	struct report_options o;

	replay_options(&d, &o);
	d.threads = r->job->threads;
	d.exchanges = o.exchanges = true;
	r->secrets = secrets_new();
	d.secrets = r->secrets;
	if (r->secrets == NULL)
		return false;
	if (r->job->keylog != NULL && secrets_file(r->secrets, r->job->keylog, &r->e) != ERR_OK)
		return false;
	secrets_poll(r->secrets);
	if ((r->source = source_open(&s, &r->e)) == NULL || (r->builder = report_new(&o, &events, &r->e)) == NULL)
		return false;
	r->decode = decode_new(&d, (struct fact_sink){ r->builder, take_facts }, &r->e);
	return r->decode != NULL;
}

static void write_report(const struct report *report, const struct run_info *info, const char *format)
{
	const struct writer *w = writer_named(format);
	struct writer_options options = { .version = "test", .columns = 100, .top = 10, .exchanges = true };
	struct out *out = out_memory();
	struct err e = { ERR_OK, "" };
	void *self = out != NULL ? w->ops->begin(&options, out) : NULL;

	if (self != NULL)
		w->ops->end(self, report, info);
	if (out != NULL)
		(void)out_close(out, &e);
}

static bool judge(const struct run *r, const struct report *report)
{
	bool fine = true;

	for (unsigned i = 0; r->job->cause[0] != '\0' && i < report->n_incidents; i++) {
		const struct incident *x = report->incidents[i];
		const char *cause = cause_row(x->cause)->name;

		if (x->confidence != CONFIDENCE_HIGH || strcmp(cause, r->job->cause) == 0)
			continue;
		printf("# %s, high confidence: %s\n", cause, x->summary);
		fine = false;
	}
	return fine;
}

static bool run_whole(struct run *r)
{
	static const char *const formats[] = { "json", "text", "html", "markdown", "har", "prom" };     /* those that allocate as they write */
	struct decode_counters counters = { 0 };
	struct run_info info = { .version = "test", .sandbox = "off" };
	const struct report *report;
	enum source_status status;

	do {
		status = source_next(r->source, &r->batch, &r->e);
		if (status == SOURCE_PACKETS)
			decode_packets(r->decode, &r->batch);
	} while (status == SOURCE_PACKETS || status == SOURCE_TICK);
	decode_end(r->decode);
	decode_counters(r->decode, &counters);
	report = report_end(r->builder, &counters);
	if (report == NULL)
		return false;
	info.n_files = source_files(r->source, &info.files);
	for (unsigned i = 0; i < sizeof formats / sizeof formats[0]; i++)
		write_report(report, &info, formats[i]);
	return judge(r, report) && (status == SOURCE_END || r->e.text[0] != '\0');
}

/* The n-th allocation fails, and those after it up to `until`. False: it went wrong. *reached: there was such an allocation. */
static bool run_one(const struct job *job, unsigned long n, unsigned long until, bool *reached)
{
	struct run *r = __real_calloc(1, sizeof *r);
	bool fine;

	r->job = job;
	atomic_store(&asked, 0);
	atomic_store(&fails_at, n);
	atomic_store(&fails_until, until);
	fine = run_open(r) ? run_whole(r) : r->secrets == NULL || r->e.text[0] != '\0';
	*reached = atomic_load(&asked) >= n;
	if (!fine)
		printf("# %s: allocation %lu to %lu fails: '%s'\n", job->path, n, until - 1, r->e.text);
	batch_clear(&r->batch);
	decode_free(r->decode);
	report_free(r->builder);
	source_close(r->source);
	secrets_free(r->secrets);
	atomic_store(&fails_at, ULONG_MAX);
	free(r);
	return fine;
}

/* "…/CAUSE/NAME/capture.pcap"; "": no such cause. */
static void cause_of_path(const char *path, char cause[static CAUSE_MAX])
{
	const char *part[3] = { path, path, path };

	for (const char *p = path; *p != '\0'; p++)
		if (*p == '/') {
			part[0] = part[1];
			part[1] = part[2];
			part[2] = p + 1;
		}
	snprintf(cause, CAUSE_MAX, "%.*s", (int)strcspn(part[0], "/"), part[0]);
	for (int i = 0; i < CAUSE_COUNT; i++)
		if (strcmp(cause_row((enum cause)i)->name, cause) == 0)
			return;
	cause[0] = '\0';
}

static bool run_all(const struct job *job)
{
	unsigned long total, step;
	bool reached = true, fine = run_one(job, ULONG_MAX, ULONG_MAX, &reached);

	total = atomic_load(&asked);
	step = total / RUNS_MOST + 1;
	for (unsigned long n = 1; n <= total && fine; n += step)
		fine = run_one(job, n, n + 1, &reached);
	for (unsigned long n = 1; n <= total && fine; n += total / FROM_RUNS + 1)
		fine = run_one(job, n, ULONG_MAX, &reached);
	printf("# %lu allocations, every %lu. of them failed\n", total, step);
	return fine;
}

int main(int argc, char **argv)
{
	struct job job = { .threads = 1 };
	int option, tests = 0, failed = 0;

	while ((option = getopt(argc, argv, "k:j:")) != -1) {
		if (option == 'k')
			job.keylog = optarg;
		else
			job.threads = (unsigned)atoi(optarg);
	}
	for (int i = optind; i < argc; i++) {
		bool fine;

		job.path = argv[i];
		cause_of_path(argv[i], job.cause);
		fine = run_all(&job);
		printf("%sok %d - each allocation fails: %s, %u thread%s\n", fine ? "" : "not ", ++tests, argv[i], job.threads,
		       job.threads > 1 ? "s" : "");
		failed += !fine;
		fflush(stdout);
	}
	printf("1..%d\n", tests);
	return failed != 0;
}
