#include "writer.h"

static const struct writer rows[] = {
#define WRITER(name, suffix, ops, about) { name, suffix, about, &ops },
#include "writers.def"
};

enum { N_WRITERS = sizeof rows / sizeof rows[0] };

unsigned writers(const struct writer **all)
{
	*all = rows;
	return N_WRITERS;
}

const struct writer *writer_named(const char *name)
{
	for (unsigned i = 0; i < N_WRITERS; i++)
		if (strcmp(rows[i].name, name) == 0 || strcmp(rows[i].suffix + 1, name) == 0)
			return &rows[i];
	return NULL;
}

const struct writer *writer_for_file(const char *path)
{
	size_t len = strlen(path);

	for (unsigned i = 0; i < N_WRITERS; i++) {
		size_t n = strlen(rows[i].suffix);

		if (len > n && strcmp(path + len - n, rows[i].suffix) == 0)
			return &rows[i];
	}
	return NULL;
}

/* ---- --match ------------------------------------------------------------------------------ */

static bool holds(struct span s, const char *text)
{
	return span_find(s, text) < s.len;
}

static bool endpoint_holds(const struct endpoint *e, const char *text)
{
	char name[ENDPOINT_TEXT];

	return holds(span_text(endpoint_text(e, name)), text);
}

bool view_matches(const struct exchange_view *v, const char *text)
{
	const struct exchange_fact *f = v->full;

	if (text == NULL)
		return true;
	if (f == NULL)
		return v->brief != NULL && endpoint_holds(&v->brief->end[CLIENT], text);
	/* Identifiers (X-Request-ID, traceparent, …) lie in the request's header section. */
	return holds(fact_text(f, f->x.target), text) || holds(fact_text(f, f->x.authority), text) ||
	       holds(fact_text(f, f->x.request_head), text) || endpoint_holds(&f->conn.end[CLIENT], text);
}

bool incident_matches(const struct incident *i, const char *text)
{
	if (text == NULL || holds(i->target, text) || holds(i->authority, text))
		return true;
	if (i->client.port != 0 && endpoint_holds(&i->client, text))
		return true;
	if (i->client_exchange != NULL && view_matches(i->client_exchange, text))
		return true;
	for (unsigned a = 0; a < i->n_attempts; a++)
		if (i->attempts[a].view != NULL && view_matches(i->attempts[a].view, text))
			return true;
	return false;
}

void incident_closed(const struct writer_options *o, const struct incident *i, tell_fn *tell, void *self)
{
	if (o->live && incident_matches(i, o->match))
		tell(self, i, NULL);
}

void incidents_at_end(const struct writer_options *o, const struct report *r, const struct run_info *run, tell_fn *tell, void *self)
{
	for (unsigned i = 0; i < r->n_incidents && !o->live; i++)
		if (incident_matches(r->incidents[i], o->match))
			tell(self, r->incidents[i], run);
}

/* ---- finding one's way in a report ---------------------------------------------------------- */

const struct incident *report_incident(const struct report *r, uint64_t id)
{
	unsigned low = 0, high = r->n_incidents;        /* ids are in order, and so is the list */

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (r->incidents[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->n_incidents && r->incidents[low]->id == id ? r->incidents[low] : NULL;
}

const struct incident *group_wanted(const struct report *r, const struct group *g, const char *match)
{
	if (match == NULL)
		return g->example;
	for (unsigned i = 0; i < g->n_incidents; i++) {
		const struct incident *one = report_incident(r, g->incidents[i]);

		if (one != NULL && incident_matches(one, match))
			return one;
	}
	return NULL;
}
