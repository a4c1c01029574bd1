/* group.c - incidents with the same cause, gateway, upstream and categorical detail are one group
 */
#include "group.h"

#include "../capture/hash.h"
#include "redact.h"

#include <stdlib.h>

enum { OF_TEXT = 160 };

enum { GROUPS_MAX = 20000, KEY_BYTES = 512, BUCKETS = 4096, TIMELINE = 40 };

struct grouped {
	uint64_t key;
	int32_t next;
};

struct grouping {
	struct group *groups;
	struct grouped *grouped;
	unsigned n, size;
	int32_t buckets[BUCKETS];
	uint8_t by; /* enum group_by */
	struct arena arena;
};

struct grouping *grouping_new(uint8_t by)
{
	struct grouping *g = calloc(1, sizeof *g);

	if (g == NULL)
		return NULL;
	g->by = by;
	memset(g->buckets, -1, sizeof g->buckets);
	arena_init(&g->arena, 16 << 20);
	return g;
}

void grouping_free(struct grouping *g)
{
	if (g == NULL)
		return;
	for (unsigned i = 0; i < g->n; i++)
		free(g->groups[i].incidents);
	free(g->groups);
	free(g->grouped);
	arena_clear(&g->arena);
	free(g);
}

static size_t put(uint8_t *key, size_t at, const void *bytes, size_t n)
{
	if (n > KEY_BYTES - at)
		n = KEY_BYTES - at;
	memcpy(key + at, bytes, n);
	return at + n;
}

/* "GET shop.example/cart": without its query, as printable ASCII. */
static void route_text(const struct incident *i, char text[static OF_TEXT])
{
	struct redacted host, path;
	struct span parts[4] = { i->method, span_text(" "), span_none(), span_none() };
	size_t n = 0;

	redact_authority(&host, i->authority, false);
	redact_target(&path, i->target, false);
	parts[2] = redacted_span(&host);
	parts[3] = span_first(redacted_span(&path), span_index(redacted_span(&path), '?'));
	for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
		for (size_t k = 0; k < parts[p].len && n < OF_TEXT - 1; k++)
			text[n++] = parts[p].at[k] >= ' ' && parts[p].at[k] < 0x7f ? (char)parts[p].at[k] : '?';
	text[n] = '\0';
}

/* What --group looks at besides the cause; "": nothing. */
static const char *of_text(uint8_t by, const struct incident *i, char text[static OF_TEXT])
{
	struct endpoint client = i->client;

	text[0] = '\0';
	client.port = 0;
	if (by == GROUP_BY_ROUTE && i->target.len + i->authority.len != 0)
		route_text(i, text);
	else if (by == GROUP_BY_CLIENT && i->client.port != 0)
		(void)endpoint_text(&client, text);
	else if (by == GROUP_BY_UPSTREAM && i->has_upstream)
		(void)endpoint_text(&i->upstream, text);
	return text;
}

/* The key of a group is made of words, never of measured numbers. */
static uint64_t key_of(uint8_t by, const struct incident *i)
{
	uint8_t key[KEY_BYTES];
	char of[OF_TEXT];
	size_t at = 0;

	at = put(key, at, &i->cause, 1);
	if (by != GROUP_BY_DEFAULT) {
		(void)of_text(by, i, of);
		return fingerprint(span_of(key, put(key, at, of, strlen(of))));
	}
	at = put(key, at, &i->has_gateway, 1);
	at = put(key, at, &i->has_upstream, 1);
	at = put(key, at, i->gateway.address, sizeof i->gateway.address);
	at = put(key, at, &i->gateway.port, sizeof i->gateway.port);
	at = put(key, at, i->upstream.address, sizeof i->upstream.address);
	at = put(key, at, &i->upstream.port, sizeof i->upstream.port);
	for (unsigned d = 0; d < i->n_details; d++)
		if (i->details[d].kind == DETAIL_WORD && i->details[d].word != NULL) {
			at = put(key, at, i->details[d].name, strlen(i->details[d].name) + 1);
			at = put(key, at, i->details[d].word, strlen(i->details[d].word) + 1);
		}
	return fingerprint(span_of(key, at));
}

static bool grow(struct grouping *g)
{
	unsigned size = g->size == 0 ? 16 : g->size * 2;
	struct group *groups = realloc(g->groups, size * sizeof *groups);
	struct grouped *grouped;

	if (groups == NULL)
		return false;
	g->groups = groups;
	grouped = realloc(g->grouped, size * sizeof *grouped);
	if (grouped == NULL)
		return false;
	g->grouped = grouped;
	g->size = size;
	return true;
}

static void copy_words(struct grouping *g, struct group *to, const struct incident *i)
{
	for (unsigned d = 0; d < i->n_details && to->n_details < 8; d++)
		if (i->details[d].kind == DETAIL_WORD && i->details[d].word != NULL) {
			struct detail *w = &to->details[to->n_details++];

			*w = i->details[d];
			w->word = arena_text(&g->arena, "%s", i->details[d].word);
		}
}

static bool has_word(const struct incident *i, const struct detail *w)
{
	for (unsigned d = 0; d < i->n_details; d++)
		if (i->details[d].kind == DETAIL_WORD && i->details[d].word != NULL && strcmp(i->details[d].name, w->name) == 0)
			return strcmp(i->details[d].word, w->word) == 0;
	return false;
}

/* A group says of itself what is true of all its incidents. */
static void keep_common(struct group *to, const struct incident *i)
{
	unsigned n = 0;

	to->has_upstream = to->has_upstream && i->has_upstream && endpoint_equal(&to->upstream, &i->upstream);
	to->has_gateway = to->has_gateway && i->has_gateway && endpoint_equal(&to->gateway, &i->gateway);
	for (unsigned d = 0; d < to->n_details; d++)
		if (has_word(i, &to->details[d]))
			to->details[n++] = to->details[d];
	to->n_details = n;
}

static int find(const struct grouping *g, uint64_t key)
{
	for (int32_t at = g->buckets[key % BUCKETS]; at >= 0; at = g->grouped[at].next)
		if (g->grouped[at].key == key)
			return at;
	return -1;
}

static int find_or_add(struct grouping *g, const struct incident *i)
{
	uint64_t key = key_of(g->by, i);
	int at = find(g, key);
	struct group *to;
	char of[OF_TEXT];

	if (at >= 0) {
		keep_common(&g->groups[at], i);
		return at;
	}
	if (g->n == GROUPS_MAX || (g->n == g->size && !grow(g)))
		return -1;
	at = (int)g->n++;
	to = &g->groups[at];
	*to = (struct group){ .id = (uint32_t)at + 1,
			      .cause = i->cause,
			      .fault = i->fault,
			      .confidence = i->confidence,
			      .has_gateway = i->has_gateway,
			      .has_upstream = i->has_upstream,
			      .gateway = i->gateway,
			      .upstream = i->upstream,
			      .first_ns = i->time_ns,
			      .last_ns = i->time_ns };
	if (g->by > GROUP_BY_UPSTREAM)
		to->of = arena_text(&g->arena, "%s", of_text(g->by, i, of));
	copy_words(g, to, i);
	g->grouped[at] = (struct grouped){ key, g->buckets[key % BUCKETS] };
	g->buckets[key % BUCKETS] = at;
	return at;
}

uint32_t grouping_add(struct grouping *g, const struct incident *i, bool kept)
{
	int at = find_or_add(g, i);
	struct group *to;

	if (at < 0)
		return 0;
	to = &g->groups[at];
	to->count++;
	to->first_ns = i->time_ns < to->first_ns ? i->time_ns : to->first_ns;
	to->last_ns = i->time_ns > to->last_ns ? i->time_ns : to->last_ns;
	if (i->confidence < to->confidence)
		to->confidence = i->confidence;
	if (kept && to->example == NULL)
		to->example = i;
	if (kept)
		to->n_incidents++;
	return to->id;
}

/* ---- when all are known ------------------------------------------------------------------- */

static int compare_ns(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static const struct detail *detail_named(const struct incident *i, const char *name)
{
	for (unsigned d = 0; d < i->n_details; d++)
		if (i->details[d].kind == DETAIL_SECONDS && strcmp(i->details[d].name, name) == 0)
			return &i->details[d];
	return NULL;
}

/* The spread of each time that was measured in the group's incidents; `members` has them in order.
 */
static void spread(struct group *to, struct incident **members, int64_t *values)
{
	const struct incident *first = to->example;

	for (unsigned d = 0; first != NULL && d < first->n_details && to->n_spreads < 8; d++) {
		unsigned n = 0;

		if (first->details[d].kind != DETAIL_SECONDS)
			continue;
		for (unsigned i = 0; i < to->n_incidents; i++) {
			const struct detail *v = detail_named(members[i], first->details[d].name);

			if (v != NULL)
				values[n++] = v->ns;
		}
		qsort(values, n, sizeof *values, compare_ns);
		if (n > 0)
			to->spreads[to->n_spreads++] = (struct spread){ first->details[d].name, values[0],
									values[n / 2], values[n - 1] };
	}
}

static void timeline(struct group *to, struct incident **members, int64_t first_ns, int64_t last_ns)
{
	int64_t width = (last_ns - first_ns) / TIMELINE + 1;

	for (unsigned i = 0; i < to->n_incidents; i++) {
		int64_t at = (members[i]->time_ns - first_ns) / width;

		to->timeline[at < 0 ? 0 : at >= TIMELINE ? TIMELINE - 1 : at]++;
	}
}

static int compare_groups(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static int compare_members(const void *a, const void *b)
{
	struct incident *const *x = a, *const *y = b;

	if ((*x)->group != (*y)->group)
		return (*x)->group < (*y)->group ? -1 : 1;
	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

/* Groups are numbered in the order in which they are told. */
static bool number(struct grouping *g, struct incident **incidents, unsigned n)
{
	uint32_t *new_id = calloc(g->n + 1, sizeof *new_id);

	if (new_id == NULL)
		return false;
	if (g->n > 1)
		qsort(g->groups, g->n, sizeof *g->groups, compare_groups);
	for (unsigned i = 0; i < g->n; i++) {
		new_id[g->groups[i].id] = i + 1;
		g->groups[i].id = i + 1;
	}
	for (unsigned i = 0; i < n; i++)
		incidents[i]->group = incidents[i]->group <= g->n ? new_id[incidents[i]->group] : 0;
	free(new_id);
	return true;
}

/* The next `n_incidents` of the members, of which `left` remain, are the group's. */
static void take_members(struct group *to, struct incident **members, unsigned left)
{
	to->incidents = to->n_incidents <= left ? malloc((to->n_incidents + 1) * sizeof *to->incidents) : NULL;
	if (to->incidents == NULL) {
		to->n_incidents = 0;
		return;
	}
	for (unsigned k = 0; k < to->n_incidents; k++)
		to->incidents[k] = members[k]->id;
}

/* Without memory a group keeps its count, and names no incident. */
static void list_none(struct grouping *g)
{
	for (unsigned i = 0; i < g->n; i++)
		g->groups[i].n_incidents = 0;
}

void grouping_end(struct grouping *g, struct incident **incidents, unsigned n, int64_t first_ns,
		  int64_t last_ns)
{
	struct incident **members = malloc((n + 1) * sizeof *members);
	int64_t *values = malloc((n + 1) * sizeof *values);
	unsigned at = 0;

	if (n != 0 && members != NULL && values != NULL && number(g, incidents, n)) {
		memcpy(members, incidents, n * sizeof *members);
		qsort(members, n, sizeof *members, compare_members);
		while (at < n && members[at]->group == 0)
			at++;
		for (unsigned i = 0; i < g->n; i++) {
			struct group *to = &g->groups[i];
			unsigned of_it = to->n_incidents;

			take_members(to, members + at, n - at);
			spread(to, members + at, values);
			timeline(to, members + at, first_ns, last_ns);
			at += of_it <= n - at ? of_it : n - at;
		}
	} else {
		list_none(g);
	}
	free(values);
	free(members);
}

struct group *grouping_groups(struct grouping *g, unsigned *n)
{
	*n = g->n;
	return g->groups;
}
