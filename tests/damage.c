/* damage.c - each capture of the command line, damaged as captures are, and judged beside what it says undamaged
 *
 *     tests/damage [-s SEED] [-n SEEDS] [-m DAMAGE] [-v] [-w FILE] CAPTURE...
 *
 * Packets are lost, come in another order or with another time: a verdict may then only become `unexplained` or less sure.
 * No cause may change into another of high confidence or of the confidence that it had, no incident may vanish unless one of
 * its own packets was lost, and none may be invented: on a capture without incidents none at all, else none above low confidence.
 * -w keeps the last damaged capture, to be looked at (classic pcap, one link type).
 * A key log called keys.log beside the capture is used. WHY502_SEED sets the first seed.
 */
#include "check.h"
#include "replay.h"

#include "../capture/arena.h"
#include "../capture/secrets.h"

#include <unistd.h>

/* ---- what befalls a capture --------------------------------------------------------------- */

struct random { uint64_t state; };

static uint32_t random_below(struct random *r, uint32_t n)      /* SplitMix64, Steele, Lea, Flood 2014 */
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)(((z ^ z >> 31) >> 32) * n >> 32);
}

/* Packets after a damage, numbered anew; `origin` is indexed by new number, `lost` by old one; both from 1. */
struct damaged { struct packet *at; unsigned n, whole; uint64_t *origin; bool *lost; };

typedef void damage_fn(const struct packets *p, struct random *r, struct damaged *out);

static void keep(struct damaged *d, const struct packet *p, uint64_t number)
{
	d->at[d->n] = *p;
	d->at[d->n].number = number;            /* the old one, until damaged_number() */
	d->n++;
}

static void keep_all(const struct packets *p, struct damaged *d)
{
	for (unsigned i = 0; i < p->n; i++)
		keep(d, &p->at[i], i + 1);
}

static void lose_one_of_hundred(const struct packets *p, struct random *r, struct damaged *out)
{
	for (unsigned i = 0; i < p->n; i++) {
		out->lost[i + 1] = random_below(r, 100) == 0;
		if (!out->lost[i + 1])
			keep(out, &p->at[i], i + 1);
	}
}

/* One packet alone, wherever: in captures of some dozen packets a hundredth is none. */
static void lose_one(const struct packets *p, struct random *r, struct damaged *out)
{
	uint32_t lost = random_below(r, p->n);

	for (unsigned i = 0; i < p->n; i++) {
		out->lost[i + 1] = i == lost;
		if (i != lost)
			keep(out, &p->at[i], i + 1);
	}
}

static int by_time(const void *a, const void *b)
{
	const struct packet *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* The bytes of both addresses, whatever the link layer: where IP begins in the link types of saved captures. */
static uint32_t addresses(const struct packet *p, bool either_way)
{
	static const struct { uint16_t link_type; unsigned at; } begins[] = { { 1, 14 }, { 113, 16 }, { 276, 20 }, { 0, 4 }, { 101, 0 }, { 228, 0 }, { 229, 0 } };
	unsigned at = 0, from, len;
	uint32_t hash[2] = { 0, 0 };

	for (unsigned i = 0; i < sizeof begins / sizeof begins[0]; i++)
		if (begins[i].link_type == p->link_type)
			at = begins[i].at;
	if (p->caplen < at + 40)
		return 0;
	from = at + (p->bytes[at] >> 4 == 6 ? 8 : 12);
	len = p->bytes[at] >> 4 == 6 ? 16 : 4;
	for (unsigned i = 0; i < 2 * len; i++)
		hash[i >= len] = (hash[i >= len] + p->bytes[from + i]) * 2654435761u;
	if (either_way)
		return hash[0] ^ hash[1];
	return hash[0] - 31 * hash[1];
}

/* Which of two taps a packet came from: the capture's own interfaces where there are several, else by `hash`. */
static unsigned tap_of(const struct packets *p, const struct packet *x, uint32_t hash)
{
	for (unsigned i = 1; i < p->n; i++)
		if (p->at[i].interface != p->at[0].interface)
			return x->interface & 1;
	return hash >> 15 & 1;
}

/* One tap is late by up to a millisecond, and by more or less from packet to packet; its own order holds. */
static void delay(const struct packets *p, struct random *r, struct damaged *out, bool either_way)
{
	int64_t late[2] = { random_below(r, 1000) * NS_PER_US, 0 }, last[2] = { INT64_MIN, INT64_MIN };

	keep_all(p, out);
	for (unsigned i = 0; i < out->n; i++) {
		unsigned tap = tap_of(p, &out->at[i], addresses(&out->at[i], either_way));
		int64_t wobble = random_below(r, 100) * NS_PER_US, then = out->at[i].time_ns + late[tap] - (late[tap] > wobble ? wobble : 0);

		out->at[i].time_ns = last[tap] = then > last[tap] ? then : last[tap];
	}
}

static void late_connections(const struct packets *p, struct random *r, struct damaged *out)
{
	delay(p, r, out, true);
}

static void late_connections_sorted(const struct packets *p, struct random *r, struct damaged *out)
{
	delay(p, r, out, true);
	qsort(out->at, out->n, sizeof *out->at, by_time);
}

static void late_directions(const struct packets *p, struct random *r, struct damaged *out)
{
	delay(p, r, out, false);
}

static void late_directions_sorted(const struct packets *p, struct random *r, struct damaged *out)
{
	delay(p, r, out, false);
	qsort(out->at, out->n, sizeof *out->at, by_time);
}

static void step(const struct packets *p, struct random *r, struct damaged *out, int64_t by_ns)
{
	int64_t when = p->at[random_below(r, p->n)].time_ns;

	keep_all(p, out);
	for (unsigned i = 0; i < out->n; i++)   /* of every interface: they have one clock */
		out->at[i].time_ns += out->at[i].time_ns >= when ? by_ns : 0;
}

static void step_forward(const struct packets *p, struct random *r, struct damaged *out)
{
	step(p, r, out, 2 * NS_PER_S);
}

static void step_backward(const struct packets *p, struct random *r, struct damaged *out)
{
	step(p, r, out, -2 * NS_PER_S);
}

/* `open`: what is known to be told wrongly yet, as TAP's TODO. */
struct damage { const char *name; damage_fn *fn; const char *open; };

static const struct damage damages[] = {
	{ "loses-1-percent", lose_one_of_hundred, NULL },
	{ "loses-one", lose_one, "the client's only request lost: of several tries seen alone the first is told" },
	{ "connections-late", late_connections, NULL },
	{ "connections-late-sorted", late_connections_sorted, NULL },
	{ "directions-late", late_directions, "an early 413 that reached the client before the upstream's RST was captured" },
	{ "directions-late-sorted", late_directions_sorted, "one direction late by many round trips: a FIN before the request that it answers" },
	{ "clock-forward", step_forward, NULL },
	{ "clock-backward", step_backward, NULL },
};
enum { DAMAGES = sizeof damages / sizeof damages[0] };

static void damaged_new(const struct packets *p, struct damaged *d)
{
	*d = (struct damaged){ calloc(p->n + 1, sizeof *d->at), 0, p->n, calloc(p->n + 2, sizeof *d->origin), calloc(p->n + 2, sizeof *d->lost) };
	if (d->at == NULL || d->origin == NULL || d->lost == NULL)
		abort();
}

static void damaged_number(struct damaged *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		d->origin[i + 1] = d->at[i].number;
		d->at[i].number = i + 1;
	}
}

static void damaged_clear(struct damaged *d)
{
	free(d->at);
	free(d->origin);
	free(d->lost);
}

/* Classic pcap with nanoseconds, in this host's byte order: draft-ietf-opsawg-pcap 4, 5 */
static void damaged_write(const struct damaged *d, const char *path)
{
	FILE *f = fopen(path, "wb");
	uint32_t head[6] = { 0xa1b23c4d, 4 << 16 | 2, 0, 0, 262144, d->n != 0 ? d->at[0].link_type : 1 };

	if (f == NULL)
		return;
	fwrite(head, sizeof head, 1, f);
	for (unsigned i = 0; i < d->n; i++) {
		const struct packet *p = &d->at[i];
		uint32_t record[4] = { (uint32_t)(p->time_ns / NS_PER_S), (uint32_t)(p->time_ns % NS_PER_S), p->caplen, p->len };

		fwrite(record, sizeof record, 1, f);
		fwrite(p->bytes, 1, p->caplen, f);
	}
	fclose(f);
}

/* ---- what was said of it ------------------------------------------------------------------ */

enum { TRACES = 128 };

/* An incident as it can be found again: packets (by their numbers in the undamaged capture) and ends. */
struct said {
	uint8_t  cause, confidence;
	uint64_t packets[TRACES];
	unsigned n_packets;
	struct endpoint client, upstream;
	char     summary[160];
	int      found;                         /* index of the other run's; -1 */
};
struct verdicts { struct said *at; unsigned n; bool fine; };

static void trace(struct said *s, const struct damaged *d, struct mark m)
{
	if (m.packet != 0 && m.packet <= d->n && s->n_packets < TRACES)
		s->packets[s->n_packets++] = d->origin[m.packet];
}

static void trace_exchange(struct said *s, const struct damaged *d, const struct exchange_view *v)
{
	if (v != NULL && v->brief != NULL) {
		trace(s, d, v->brief->request);
		trace(s, d, v->brief->response_first);
		trace(s, d, v->brief->response);
	}
	if (v == NULL || v->full == NULL)
		return;
	trace(s, d, v->full->x.request.first);
	trace(s, d, v->full->x.request.last);
	trace(s, d, v->full->x.response.first);
	trace(s, d, v->full->x.response.last);
	trace(s, d, v->full->conn.closed);
}

static void said_of(struct said *s, const struct incident *i, const struct damaged *d)
{
	*s = (struct said){ .cause = i->cause, .confidence = i->confidence, .client = i->client, .upstream = i->upstream, .found = -1 };
	snprintf(s->summary, sizeof s->summary, "%s", i->summary);
	trace_exchange(s, d, i->client_exchange);
	for (unsigned n = 0; n < i->n_evidence; n++)
		trace(s, d, i->evidence[n].at);
	for (unsigned n = 0; n < i->n_steps; n++)
		trace(s, d, i->steps[n].at);
	for (unsigned n = 0; n < i->n_attempts; n++) {
		trace(s, d, i->attempts[n].began);
		trace_exchange(s, d, i->attempts[n].view);
	}
}

static void verdicts_of(const struct damaged *d, struct secrets *secrets, struct verdicts *v)
{
	struct decode_options options;
	struct report_options o;
	struct err e = { ERR_OK, "" };
	struct replay r;

	replay_options(&options, &o);
	options.secrets = secrets;
	v->fine = replay(d->at, d->n, &options, &o, &r, &e);
	v->n = v->fine ? r.report->n_incidents : 0;
	v->at = calloc(v->n + 1, sizeof *v->at);
	if (v->at == NULL)
		abort();
	for (unsigned i = 0; i < v->n; i++)
		said_of(&v->at[i], r.report->incidents[i], d);
	replay_clear(&r);
}

/* ---- found again -------------------------------------------------------------------------- */

static unsigned likeness(const struct said *a, const struct said *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < a->n_packets; i++)
		for (unsigned k = 0; k < b->n_packets; k++)
			n += a->packets[i] == b->packets[k];
	if (a->client.port != 0 && b->client.port != 0) {
		if (!endpoint_equal(&a->client, &b->client))
			return 0;
		n += 2;
	}
	return n;
}

/* The likest first, so that of several requests on one connection each finds its own. */
static void find_again(struct verdicts *was, struct verdicts *now)
{
	for (;;) {
		unsigned most = 0, a = 0, b = 0;

		for (unsigned i = 0; i < was->n; i++)
			for (unsigned k = 0; k < now->n && was->at[i].found < 0; k++) {
				unsigned n = now->at[k].found < 0 ? likeness(&was->at[i], &now->at[k]) : 0;

				if (n > most)
					most = n, a = i, b = k;
			}
		if (most == 0)
			return;
		was->at[a].found = (int)b;
		now->at[b].found = (int)a;
	}
}

/* ---- what may change ---------------------------------------------------------------------- */

enum outcome_of { SAME, LESS_SURE, UNTOLD, OTHER_ALLOWED, OTHER_WRONG, GONE_ALLOWED, GONE_WRONG, NEW_ALLOWED, NEW_WRONG, OUTCOMES };

static const char *const outcome_names[OUTCOMES] = { "same", "less sure", "unexplained", "other cause, less sure", "OTHER CAUSE", "gone with its packets",
                                                     "GONE", "new, of low confidence", "INVENTED" };

struct tally { unsigned n[DAMAGES][OUTCOMES], unread; bool verbose; };

static bool wrong(enum outcome_of o)
{
	return o == OTHER_WRONG || o == GONE_WRONG || o == NEW_WRONG;
}

static enum outcome_of change(const struct said *was, const struct said *now)
{
	if (now->cause == was->cause)
		return now->confidence < was->confidence ? LESS_SURE : SAME;
	if (now->cause == CAUSE_UNEXPLAINED)
		return UNTOLD;
	return now->confidence < was->confidence ? OTHER_ALLOWED : OTHER_WRONG;
}

/* Inside TLS nothing can be read behind a lost record: there any packet may have been the one. */
static bool lost_one_of(const struct said *s, const struct damaged *d, bool keys)
{
	if (keys && d->n < d->whole)
		return true;
	for (unsigned i = 0; i < s->n_packets; i++)
		if (d->lost[s->packets[i]])
			return true;
	return false;
}

static const char *word_of(const struct said *s)
{
	return s != NULL ? cause_row(s->cause)->name : "nothing";
}

struct trial_of { const char *path; const struct damage *damage; uint64_t seed; const bool *lost; unsigned n_packets; const char *write; bool keys; };

static void tell_lost(const bool *lost, unsigned n)
{
	unsigned told = 0;

	for (unsigned i = 1; i <= n && told < 12; i++)
		if (lost[i])
			printf(told++ == 0 ? "# without packets %u" : " %u", i);
	if (told != 0)
		printf(" of %u:\n", n);
}

static bool tell(struct tally *t, const struct trial_of *how, enum outcome_of o, const struct said *was, const struct said *now)
{
	t->n[how->damage - damages][o]++;
	if (wrong(o) || t->verbose)
		tell_lost(how->lost, how->n_packets);
	if (wrong(o) || t->verbose)
		printf("# %s: %s, seed %" PRIu64 " of %s: was %s (%s), now %s (%s): %s\n", outcome_names[o], how->damage->name, how->seed, how->path,
		       word_of(was), was != NULL ? confidence_name(was->confidence) : "-", word_of(now),
		       now != NULL ? confidence_name(now->confidence) : "-", (now != NULL ? now : was)->summary);
	return !wrong(o);
}

static bool compare(struct tally *t, const struct trial_of *how, struct verdicts *was, struct verdicts *now, const struct damaged *d)
{
	bool fine = true;

	for (unsigned i = 0; i < was->n; i++)
		was->at[i].found = -1;
	find_again(was, now);
	for (unsigned i = 0; i < was->n; i++) {
		const struct said *s = &was->at[i], *n = s->found >= 0 ? &now->at[s->found] : NULL;

		fine &= tell(t, how, n != NULL ? change(s, n) : lost_one_of(s, d, how->keys) ? GONE_ALLOWED : GONE_WRONG, s, n);
	}
	for (unsigned i = 0; i < now->n; i++)
		if (now->at[i].found < 0)
			fine &= tell(t, how, was->n == 0 || now->at[i].confidence > CONFIDENCE_LOW ? NEW_WRONG : NEW_ALLOWED, NULL, &now->at[i]);
	return fine;
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* Each capture meets each damage in a place of its own, and the same one again with the same seed. */
static struct random random_of(const char *path, const struct damage *damage, uint64_t seed)
{
	struct random r = { seed };
	const char *folder = path;

	for (const char *p = path; *p != '\0'; p++)     /* its folder's name, wherever that lies */
		if (*p == '/' && strchr(p + 1, '/') != NULL)
			folder = p + 1;
	for (; *folder != '\0'; folder++)
		r.state = r.state * 131 + (uint8_t)*folder;
	r.state += (uint64_t)(damage - damages) << 32;
	return r;
}

static bool damage_one(struct tally *t, struct trial_of *how, const struct packets *p, struct verdicts *was, struct secrets *secrets)
{
	struct random r = random_of(how->path, how->damage, how->seed);
	struct damaged d;
	struct verdicts now;
	bool fine;

	damaged_new(p, &d);
	how->damage->fn(p, &r, &d);
	damaged_number(&d);
	if (how->write != NULL)
		damaged_write(&d, how->write);
	verdicts_of(&d, secrets, &now);
	how->lost = d.lost;
	fine = now.fine && compare(t, how, was, &now, &d);
	free(now.at);
	damaged_clear(&d);
	return fine;
}

struct plan { uint64_t seed; unsigned seeds; const char *only, *write; };

static bool damage_capture(struct tally *t, const char *path, const struct plan *plan)
{
	struct err e = { ERR_OK, "" };
	struct packets p;
	struct damaged whole;
	struct verdicts was;
	struct secrets *secrets = secrets_new();
	char keys[4096];
	bool fine = packets_read(path, &p, &e) && secrets != NULL;

	snprintf(keys, sizeof keys, "%.*skeys.log", (int)(strrchr(path, '/') != NULL ? strrchr(path, '/') - path + 1 : 0), path);
	if (secrets != NULL && access(keys, R_OK) == 0)
		(void)secrets_file(secrets, keys, &e);
	t->unread += !fine;
	damaged_new(&p, &whole);
	keep_all(&p, &whole);
	damaged_number(&whole);
	verdicts_of(&whole, secrets, &was);
	for (unsigned n = 0; n < DAMAGES; n++)
		for (uint64_t s = plan->seed; s < plan->seed + plan->seeds && p.n != 0; s++)
			if (plan->only == NULL || strcmp(plan->only, damages[n].name) == 0)
				fine &= damage_one(t, &(struct trial_of){ path, &damages[n], s, NULL, p.n, plan->write, secrets != NULL && secrets_count(secrets) != 0 }, &p, &was, secrets);
	free(was.at);
	damaged_clear(&whole);
	packets_clear(&p);
	secrets_free(secrets);
	return fine;
}

static bool tell_damage(const struct tally *t, unsigned damage)
{
	bool fine = true;

	printf("# %s:", damages[damage].name);
	for (unsigned o = 0; o < OUTCOMES; o++) {
		fine &= !wrong(o) || t->n[damage][o] == 0;
		if (t->n[damage][o] != 0)
			printf(" %s %u,", outcome_names[o], t->n[damage][o]);
	}
	printf("\n%s %u - %s", fine ? "ok" : "not ok", damage + 1, damages[damage].name);
	if (!fine && damages[damage].open != NULL)
		printf(" # TODO %s", damages[damage].open);
	printf("\n");
	return fine || damages[damage].open != NULL;
}

int main(int argc, char **argv)
{
	const char *seed = getenv("WHY502_SEED");
	struct plan plan = { seed != NULL ? strtoull(seed, NULL, 10) : 1, 1, NULL, NULL };
	struct tally t = { .verbose = false };
	bool fine = true;
	int option;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "s:n:m:vw:")) != -1)
		switch (option) {
		case 's': plan.seed = strtoull(optarg, NULL, 10); break;
		case 'n': plan.seeds = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'm': plan.only = optarg; break;
		case 'w': plan.write = optarg; break;
		case 'v': t.verbose = true; break;
		default:  return 2;
		}
	printf("# seed %" PRIu64 " (WHY502_SEED), %u in all\n", plan.seed, plan.seeds);
	for (int i = optind; i < argc; i++)
		if (!damage_capture(&t, argv[i], &plan))
			printf("# damaged: %s\n", argv[i]);
	for (unsigned n = 0; n < DAMAGES; n++)
		fine &= tell_damage(&t, n);
	fine &= t.unread == 0;
	printf("%s %u - captures are read\n1..%u\n", t.unread == 0 ? "ok" : "not ok", DAMAGES + 1, DAMAGES + 1);
	return !fine && getenv("HARNESS_ACTIVE") == NULL;
}
