/* cut.c - each capture of the command line cut after each of its packets, and at each small snaplen
 *
 * Nothing may crash; no incident of high confidence may name a cause that is not the capture's own (the name of the folder
 * above its own, as in tests/fixtures/CAUSE/NAME/capture.pcap), and where that is "healthy" there may be no incident at all.
 */
#include "check.h"
#include "replay.h"

enum { SNAPLEN_MIN = 64, SNAPLEN_MAX = 200, CAUSE_MAX = 64 };

struct fixture { const char *path; char cause[CAUSE_MAX]; struct packets packets; };

/* The folder's folder: "…/CAUSE/NAME/capture.pcap". */
static void cause_of_path(const char *path, char cause[static CAUSE_MAX])
{
	const char *part[3] = { path, path, path };     /* beginnings of the last three */

	for (const char *p = path; *p != '\0'; p++)
		if (*p == '/') {
			part[0] = part[1];
			part[1] = part[2];
			part[2] = p + 1;
		}
	snprintf(cause, CAUSE_MAX, "%.*s", (int)strcspn(part[0], "/"), part[0]);
}

static bool incident_allowed(const struct fixture *f, const struct incident *i)
{
	const char *cause = cause_row(i->cause)->name;

	if (strcmp(f->cause, "healthy") == 0)
		return false;
	return i->confidence != CONFIDENCE_HIGH || strcmp(cause, f->cause) == 0;
}

static bool judge(const struct fixture *f, const struct packet *packets, unsigned n, const char *how, unsigned where)
{
	struct decode_options d;
	struct report_options o;
	struct err e = { ERR_OK, "" };
	struct replay r;
	bool fine = true;

	replay_options(&d, &o);
	if (!replay(packets, n, &d, &o, &r, &e)) {
		printf("# %s %u: %s\n", how, where, e.text);
		replay_clear(&r);
		return false;
	}
	for (unsigned i = 0; i < r.report->n_incidents; i++) {
		const struct incident *x = r.report->incidents[i];

		if (incident_allowed(f, x))
			continue;
		printf("# %s %u: %s, %s confidence: %s\n", how, where, cause_row(x->cause)->name, confidence_name(x->confidence), x->summary);
		fine = false;
	}
	replay_clear(&r);
	return fine;
}

static bool cut_after_each(const struct fixture *f)
{
	bool fine = true;

	for (unsigned n = 1; n <= f->packets.n; n++)
		fine &= judge(f, f->packets.at, n, "cut after packet", n);
	return fine;
}

static bool cut_before_each(const struct fixture *f)
{
	bool fine = true;

	for (unsigned n = 1; n < f->packets.n; n++)
		fine &= judge(f, f->packets.at + n, f->packets.n - n, "begun after packet", n);
	return fine;
}

static bool cut_at_snaplens(const struct fixture *f)
{
	bool fine = true;

	for (uint32_t snaplen = SNAPLEN_MIN; snaplen <= SNAPLEN_MAX; snaplen++) {
		struct packet *cut = malloc((f->packets.n + 1) * sizeof *cut);

		for (unsigned i = 0; cut != NULL && i < f->packets.n; i++) {
			cut[i] = f->packets.at[i];
			cut[i].caplen = cut[i].caplen < snaplen ? cut[i].caplen : snaplen;
		}
		fine &= cut != NULL && judge(f, cut, f->packets.n, "snaplen", snaplen);
		free(cut);
	}
	return fine;
}

static void tell(bool fine, unsigned n, const char *path, const char *what)
{
	printf("%s %u - %s %s\n", fine ? "ok" : "not ok", n, path, what);
}

int main(int argc, char **argv)
{
	bool all = true;
	unsigned n = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		struct fixture f = { .path = argv[i] };
		struct err e = { ERR_OK, "" };
		bool fine = packets_read(argv[i], &f.packets, &e);

		if (!fine)
			printf("# %s\n", e.text);
		cause_of_path(argv[i], f.cause);
		all &= fine &= cut_after_each(&f);
		tell(fine, ++n, f.path, "cut after each packet");
		all &= fine = cut_before_each(&f);
		tell(fine, ++n, f.path, "begun after each packet");
		all &= fine = cut_at_snaplens(&f);
		tell(fine, ++n, f.path, "at small snaplens");
		packets_clear(&f.packets);
	}
	printf("1..%u\n", n);
	return !all && getenv("HARNESS_ACTIVE") == NULL;
}
