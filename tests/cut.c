/* cut.c - each capture of the command line cut before and after each of its packets, at each small snaplen, without each of its
 * packets, with each two neighbours swapped, and with its streams in segments of one byte
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

static bool without_each(const struct fixture *f)
{
	struct packet *rest = malloc((f->packets.n + 1) * sizeof *rest);
	bool fine = rest != NULL;

	for (unsigned lost = 0; rest != NULL && lost < f->packets.n; lost++) {
		memcpy(rest, f->packets.at, lost * sizeof *rest);
		memcpy(rest + lost, f->packets.at + lost + 1, (f->packets.n - lost - 1) * sizeof *rest);
		fine &= judge(f, rest, f->packets.n - 1, "without packet", lost + 1);
	}
	free(rest);
	return fine;
}

/* As two queues of a network card hand them over: each with its own time. */
static bool neighbours_swapped(const struct fixture *f)
{
	struct packet *all = malloc((f->packets.n + 1) * sizeof *all);
	bool fine = all != NULL;

	for (unsigned n = 1; all != NULL && n < f->packets.n; n++) {
		memcpy(all, f->packets.at, f->packets.n * sizeof *all);
		all[n - 1] = f->packets.at[n];
		all[n] = f->packets.at[n - 1];
		all[n - 1].number = n;
		all[n].number = n + 1;
		fine &= judge(f, all, f->packets.n, "swapped with its neighbour, packet", n);
	}
	free(all);
	return fine;
}

/* ---- segments of one byte ----------------------------------------------------------------- */

/* Where the headers of a TCP packet lie; false: it is none, or not plain IPv4 or IPv6 on a link of our fixtures. */
struct layers { uint32_t ip, tcp, payload, len; bool v6; };

static uint32_t big(const uint8_t *p, unsigned n)
{
	return n == 0 ? 0 : big(p, n - 1) << 8 | p[n - 1];
}

static void put_big(uint8_t *p, unsigned n, uint32_t value)
{
	for (; n > 0; n--, value >>= 8)
		p[n - 1] = (uint8_t)value;
}

static bool layers_of(const struct packet *p, struct layers *l)
{
	uint32_t total;

	l->ip = p->link_type == 1 ? 14 : p->link_type == 113 ? 16 : p->link_type == 276 ? 20 : p->link_type == 0 ? 4 : 0;
	if (p->caplen < p->len || p->caplen < l->ip + 40)
		return false;
	l->v6 = p->bytes[l->ip] >> 4 == 6;
	if (p->bytes[l->ip + (l->v6 ? 6 : 9)] != 6 || (!l->v6 && p->bytes[l->ip] >> 4 != 4))
		return false;
	l->tcp = l->ip + (l->v6 ? 40 : (p->bytes[l->ip] & 15u) * 4);
	if (l->tcp + 20 > p->caplen)
		return false;
	l->payload = l->tcp + (p->bytes[l->tcp + 12] >> 4) * 4;
	total = l->v6 ? 40 + big(p->bytes + l->ip + 4, 2) : big(p->bytes + l->ip + 2, 2);
	if (l->ip + total < l->payload || l->ip + total > p->caplen)
		return false;
	l->len = l->ip + total - l->payload;
	return true;
}

/* Byte n of the packet's payload as a segment of its own; FIN and PSH are the last one's. */
static struct packet one_byte(const struct packet *p, const struct layers *l, uint32_t n)
{
	struct packet one = *p;
	uint8_t *bytes = malloc(l->payload + 1);

	if (bytes == NULL)
		abort();
	memcpy(bytes, p->bytes, l->payload);
	bytes[l->payload] = p->bytes[l->payload + n];
	if (l->v6)
		put_big(bytes + l->ip + 4, 2, l->payload + 1 - l->ip - 40);
	else
		put_big(bytes + l->ip + 2, 2, l->payload + 1 - l->ip);
	put_big(bytes + l->tcp + 4, 4, big(p->bytes + l->tcp + 4, 4) + n);
	if (n + 1 != l->len)
		bytes[l->tcp + 13] &= (uint8_t)~(1u | 8u);
	one.bytes = bytes;
	one.caplen = one.len = l->payload + 1;
	return one;
}

static void packets_push(struct packets *p, struct packet packet, unsigned *size)
{
	if (p->n == *size) {
		*size = *size != 0 ? *size * 2 : 1024;
		p->at = realloc(p->at, *size * sizeof *p->at);
		if (p->at == NULL)
			abort();
	}
	packet.number = packet.frame = p->n + 1;
	p->at[p->n++] = packet;
}

static bool in_single_bytes(const struct fixture *f)
{
	struct packets single = { NULL, 0 };
	unsigned size = 0;
	bool fine;

	for (unsigned i = 0; i < f->packets.n; i++) {
		const struct packet *p = &f->packets.at[i];
		struct packet copy = *p;
		struct layers l;
		bool data = layers_of(p, &l) && l.len > 1;

		for (uint32_t n = 0; data && n < l.len; n++)
			packets_push(&single, one_byte(p, &l, n), &size);
		if (data)
			continue;
		copy.bytes = memcpy(malloc(p->caplen + 1), p->bytes, p->caplen);
		packets_push(&single, copy, &size);
	}
	fine = judge(f, single.at, single.n, "in segments of one byte, packets", single.n);
	packets_clear(&single);
	return fine;
}

/* ---- all of it ---------------------------------------------------------------------------- */

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
		all &= fine = without_each(&f);
		tell(fine, ++n, f.path, "without each packet");
		all &= fine = neighbours_swapped(&f);
		tell(fine, ++n, f.path, "with neighbours swapped");
		all &= fine = in_single_bytes(&f);
		tell(fine, ++n, f.path, "in segments of one byte");
		packets_clear(&f.packets);
	}
	printf("1..%u\n", n);
	return !all && getenv("HARNESS_ACTIVE") == NULL;
}
