#include "excerpt.h"

#include "phrases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A closing that belongs to an incident comes soon after what else does. */
#define SOON_NS (300 * NS_PER_MS)

enum { INCIDENTS_SAID = 20, REQUEST_COLUMNS = 120 };

/* Packets of a connection, or about a host (its address in end[0], port 0, and nothing in end[1]), from one to another. */
struct stretch {
	struct tuple tuple;
	uint16_t output;
	uint32_t over;                  /* in the first of a tuple: so many of its stretches are behind us */
	uint64_t first, last;           /* packets: those between, and ... */
	int64_t  from_ns, until_ns;     /* ... those before and behind, within these times */
};

struct cited { uint64_t packet; const struct incident *incident; const char *text; uint16_t output; };

struct asked { struct mark at; uint16_t output; };

struct excerpt {
	const struct incident *outputs[EXCERPT_OUTPUTS_MAX];
	unsigned n_outputs;
	struct stretch *stretches;      /* by tuple, then in order of their first packets */
	size_t n, room;
	struct cited *cited;            /* by packet, then by output */
	size_t n_cited, room_cited, next_cited;
	struct asked *asked;            /* packets of witnesses, in order */
	size_t n_asked, room_asked, next_asked;
	uint64_t last;
	int64_t until_ns;
	struct take take;
};

/* ---- gathering ----------------------------------------------------------------------------- */

static bool grow(void **rows, size_t *room, size_t n, size_t size)
{
	size_t more = *room != 0 ? *room * 2 : 64;
	void *bigger;

	if (n < *room)
		return true;
	bigger = reallocarray(*rows, more, size);
	if (bigger == NULL)
		return false;
	*rows = bigger;
	*room = more;
	return true;
}

static bool add_stretch(struct excerpt *x, const struct stretch *s)
{
	void *rows = x->stretches;
	bool good = grow(&rows, &x->room, x->n, sizeof *s);

	x->stretches = rows;
	if (good)
		x->stretches[x->n++] = *s;
	x->last = s->last > x->last ? s->last : x->last;
	x->until_ns = s->until_ns > x->until_ns ? s->until_ns : x->until_ns;
	return good;
}

static bool add_cited(struct excerpt *x, const struct cited *c)
{
	void *rows = x->cited;
	bool good = grow(&rows, &x->room_cited, x->n_cited, sizeof *c);

	x->cited = rows;
	if (good)
		x->cited[x->n_cited++] = *c;
	x->last = c->packet > x->last ? c->packet : x->last;
	return good;
}

static bool add_asked(struct excerpt *x, struct mark at, unsigned output)
{
	void *rows = x->asked;
	bool good = grow(&rows, &x->room_asked, x->n_asked, sizeof *x->asked);

	x->asked = rows;
	if (good)
		x->asked[x->n_asked++] = (struct asked){ at, (uint16_t)output };
	return good;
}

static bool add_host(struct excerpt *x, const struct stretch *of, const uint8_t *address)
{
	struct stretch s = *of;

	memset(&s.tuple, 0, sizeof s.tuple);
	memcpy(s.tuple.end[0].address, address, sizeof s.tuple.end[0].address);
	return add_stretch(x, &s);
}

static int64_t later(int64_t ns, int64_t by_ns)
{
	int64_t sum;

	return __builtin_add_overflow(ns, by_ns, &sum) ? INT64_MAX : sum;
}

static bool add_incident(struct excerpt *x, const struct incident *i, unsigned output, int64_t window_ns)
{
	struct stretch s = { .output = (uint16_t)output, .first = i->first.packet, .last = i->last.packet, .from_ns = INT64_MAX };
	bool good = true;

	s.until_ns = later(i->last.time_ns, window_ns >= 0 ? window_ns : SOON_NS);
	if (window_ns >= 0)
		s.from_ns = i->first.time_ns - window_ns;
	for (unsigned f = 0; f < i->n_flows && good; f++) {
		const struct flow *flow = &i->flows[f];
		struct stretch one = s;
		struct segment ends = { 0 };

		segment_tuple(&ends, &flow->end[0], &flow->end[1]);
		one.tuple = ends.tuple;
		if (window_ns < 0 && flow->first.packet < one.first)
			one.first = flow->first.packet;
		good = add_stretch(x, &one) && add_host(x, &s, flow->end[0].address) && add_host(x, &s, flow->end[1].address);
	}
	for (unsigned e = 0; e < i->n_evidence && good; e++)
		if (i->evidence[e].at.packet != 0)
			good = add_cited(x, &(struct cited){ i->evidence[e].at.packet, i, i->evidence[e].text, (uint16_t)output });
	for (unsigned w = 0; w < i->n_witnesses && good; w++)
		good = add_asked(x, i->witnesses[w], output);
	return good;
}

static bool gather(struct excerpt *x, const struct report *r, const struct excerpt_options *o)
{
	unsigned nth = 0;
	bool good = true;

	for (unsigned i = 0; i < r->n_incidents && good; i++) {
		const struct incident *one = r->incidents[i];

		if (!incident_matches(one, o->match) || (o->each && nth++ < o->first))
			continue;
		if (o->each && x->n_outputs == EXCERPT_OUTPUTS_MAX)
			break;
		good = add_incident(x, one, o->each ? x->n_outputs : 0, o->window_ns);
		if (o->each)
			x->outputs[x->n_outputs++] = one;
	}
	if (!o->each)
		x->n_outputs = 1;
	return good;
}

/* ---- in order ------------------------------------------------------------------------------ */

static int compare_stretches(const void *a, const void *b)
{
	const struct stretch *x = a, *y = b;
	int by_tuple = memcmp(&x->tuple, &y->tuple, sizeof x->tuple);

	if (by_tuple != 0)
		return by_tuple;
	return x->first != y->first ? (x->first > y->first) - (x->first < y->first) : (x->output > y->output) - (x->output < y->output);
}

static int compare_cited(const void *a, const void *b)
{
	const struct cited *x = a, *y = b;

	if (x->packet != y->packet)
		return x->packet < y->packet ? -1 : 1;
	if (x->output != y->output)
		return x->output < y->output ? -1 : 1;
	return (x->incident->id > y->incident->id) - (x->incident->id < y->incident->id);
}

/* Ten thousand incidents of one connection are one stretch of it. */
static void join_stretches(struct excerpt *x)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++) {
		struct stretch *s = &x->stretches[i], *before = n > 0 ? &x->stretches[n - 1] : NULL;

		if (before == NULL || memcmp(&before->tuple, &s->tuple, sizeof s->tuple) != 0 || before->output != s->output ||
		    s->first > before->last) {
			x->stretches[n++] = *s;
			continue;
		}
		before->last = s->last > before->last ? s->last : before->last;
		before->from_ns = s->from_ns < before->from_ns ? s->from_ns : before->from_ns;
		before->until_ns = s->until_ns > before->until_ns ? s->until_ns : before->until_ns;
	}
	x->n = n;
}

static int compare_asked(const void *a, const void *b)
{
	const struct asked *x = a, *y = b;

	return (x->at.packet > y->at.packet) - (x->at.packet < y->at.packet);
}

struct excerpt *excerpt_new(const struct report *r, const struct excerpt_options *o)
{
	struct excerpt *x = calloc(1, sizeof *x);

	if (x == NULL || !gather(x, r, o)) {
		excerpt_free(x);
		return NULL;
	}
	if (x->n_cited > 0)
		qsort(x->cited, x->n_cited, sizeof *x->cited, compare_cited);
	if (x->n_asked > 0)
		qsort(x->asked, x->n_asked, sizeof *x->asked, compare_asked);
	return x;
}

bool excerpt_asks(const struct excerpt *x, uint64_t *last)
{
	*last = x->n_asked > 0 ? x->asked[x->n_asked - 1].at.packet : 0;
	return x->n_asked > 0;
}

void excerpt_hear(struct excerpt *x, const struct packet *p, const struct packet_ends *e)
{
	for (; x->next_asked < x->n_asked && x->asked[x->next_asked].at.packet <= p->number; x->next_asked++) {
		const struct asked *a = &x->asked[x->next_asked];
		struct stretch s = { .output = a->output, .first = p->number, .last = p->number, .from_ns = p->time_ns - SOON_NS,
		                     .until_ns = later(p->time_ns, SOON_NS) };

		if (a->at.packet != p->number || e == NULL)
			continue;
		s.tuple = e->tuple;
		(void)add_stretch(x, &s);       /* without it all but the verdict is there */
	}
}

void excerpt_ready(struct excerpt *x)
{
	if (x->n > 0)
		qsort(x->stretches, x->n, sizeof *x->stretches, compare_stretches);
	join_stretches(x);
}

void excerpt_free(struct excerpt *x)
{
	if (x == NULL)
		return;
	free(x->stretches);
	free(x->cited);
	free(x->asked);
	free(x);
}

unsigned excerpt_outputs(const struct excerpt *x)
{
	return x->n_outputs;
}

const struct incident *excerpt_incident(const struct excerpt *x, unsigned n)
{
	return x->outputs[n];
}

/* ---- packet by packet ---------------------------------------------------------------------- */

_Static_assert(EXCERPT_OUTPUTS_MAX <= 64, "one bit each");

static size_t first_of(const struct excerpt *x, const struct tuple *t)
{
	size_t low = 0, high = x->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(&x->stretches[mid].tuple, t, sizeof *t) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool begun(const struct stretch *s, const struct packet *p)
{
	return p->number >= s->first || p->time_ns >= s->from_ns;
}

static bool behind(const struct stretch *s, const struct packet *p)
{
	return p->number > s->last && p->time_ns > s->until_ns;
}

/* Outputs whose stretches of this tuple the packet lies in. Packets come in order, so what is behind stays behind. */
static uint64_t outputs_of(struct excerpt *x, const struct tuple *t, const struct packet *p)
{
	size_t at = first_of(x, t);
	struct stretch *head = at < x->n ? &x->stretches[at] : NULL;
	uint64_t to = 0;

	if (head == NULL)
		return 0;
	for (size_t i = at + head->over; i < x->n && memcmp(&x->stretches[i].tuple, t, sizeof *t) == 0; i++) {
		const struct stretch *s = &x->stretches[i];

		if (!begun(s, p))
			break;
		if (!behind(s, p))
			to |= UINT64_C(1) << s->output;
		else if (i == at + head->over)
			head->over++;
	}
	return to;
}

static uint64_t outputs_about(struct excerpt *x, const struct endpoint *host, const struct packet *p)
{
	struct tuple t;

	memset(&t, 0, sizeof t);
	memcpy(t.end[0].address, host->address, sizeof host->address);
	return outputs_of(x, &t, p);
}

static uint64_t outputs_cited(struct excerpt *x, const struct packet *p)
{
	uint64_t to = 0;

	while (x->next_cited < x->n_cited && x->cited[x->next_cited].packet < p->number)
		x->next_cited++;
	for (size_t i = x->next_cited; i < x->n_cited && x->cited[i].packet == p->number; i++)
		to |= UINT64_C(1) << x->cited[i].output;
	return to;
}

/* Evidence may name one packet for several incidents, and an incident for two reasons. */
static void comment(struct excerpt *x, unsigned output, uint64_t number)
{
	struct take *t = &x->take;

	t->output = output;
	t->n_comments = 0;
	for (size_t i = x->next_cited; i < x->n_cited && x->cited[i].packet == number && t->n_comments < EXCERPT_COMMENTS_MAX; i++) {
		const struct cited *c = &x->cited[i];

		if (c->output == output)
			(void)snprintf(t->comments[t->n_comments++], EXCERPT_COMMENT_TEXT, "why502: #%" PRIu64 " %s, packet %" PRIu64 ": %s",
			               c->incident->id, cause_row(c->incident->cause)->name, number, c->text);
	}
}

void excerpt_packet(struct excerpt *x, const struct packet *p, const struct packet_ends *e, void (*take)(void *ctx, const struct take *t), void *ctx)
{
	uint64_t to = outputs_cited(x, p);

	if (e != NULL)
		to |= outputs_of(x, &e->tuple, p);
	if (e != NULL && e->about_hosts)
		to |= outputs_about(x, &e->tuple.end[0], p) | outputs_about(x, &e->tuple.end[1], p);
	for (; to != 0; to &= to - 1) {
		comment(x, (unsigned)__builtin_ctzll(to), p->number);
		take(ctx, &x->take);
	}
}

bool excerpt_over(const struct excerpt *x, const struct packet *p)
{
	return p->number > x->last && p->time_ns > x->until_ns && x->next_asked == x->n_asked;
}

/* ---- the section's comment ----------------------------------------------------------------- */

static void say_incident(struct page *p, const struct incident *i, const struct writer_options *o)
{
	char when[WHEN_TEXT], status[64];

	page_format(p, "#%" PRIu64 " %s ", i->id, when_rfc3339(i->time_ns, when));
	say_request(p, i->method, i->authority, i->target, o->show_secrets, REQUEST_COLUMNS);
	page_format(p, ": %s. %s (%s confidence). ", status_phrase(i, status), cause_row(i->cause)->name, confidence_name(i->confidence));
	page_say(p, i->summary != NULL ? i->summary : "");
	for (unsigned n = 0; n < i->n_evidence; n++)
		page_format(p, "%s%" PRIu64, n == 0 ? " Packets " : ", ", i->evidence[n].at.packet);
	page_line(p);
	for (unsigned n = 0; n < i->n_advice; n++) {
		page_format(p, "%s ", n == 0 ? "  Do " : "     ");
		page_say(p, i->advice[n]);
		page_line(p);
	}
}

static void say_group(struct page *p, const struct group *g, const struct writer_options *o)
{
	char upstream[ENDPOINT_TEXT];

	page_format(p, "%" PRIu64 " x %s%s%s, %s must act. First:", g->count, cause_row(g->cause)->name, g->has_upstream ? ", upstream " : "",
	            g->has_upstream ? endpoint_text(&g->upstream, upstream) : "", fault_name(g->fault));
	page_line(p);
	if (g->example != NULL)
		say_incident(p, g->example, o);
}

void excerpt_says(struct out *out, const struct report *r, const struct run_info *run, const struct writer_options *o, const struct incident *one)
{
	struct page p = { .out = out, .width = UINT32_MAX };

	page_format(&p, "why502 %s: packets of %" PRIu64 " %s in %" PRIu64 " requests", run->version, one != NULL ? 1 : r->total_incidents,
	            one != NULL || r->total_incidents == 1 ? "incident" : "incidents", r->requests);
	for (unsigned f = 0; f < run->n_files && f < INCIDENTS_SAID; f++) {
		page_say(&p, f == 0 ? ", of " : ", ");
		page_say(&p, run->files[f].name);
	}
	page_say(&p, ". Packets are numbered as there.");
	page_line(&p);
	if (one != NULL)
		say_incident(&p, one, o);
	for (unsigned g = 0; one == NULL && g < r->n_groups && g < INCIDENTS_SAID; g++)
		say_group(&p, &r->groups[g], o);
}
