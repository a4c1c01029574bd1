/* again.c - answers that are worth a second look at their packets */
#include "again.h"

#include <stdlib.h>

#define CODING_BITS (violation_bit(VIOLATION_CONTENT_CODING) | violation_bit(VIOLATION_CONTENT_CODING_CUT))

/* ---- which ---------------------------------------------------------------------------------- */

/* The upstream's answer was good as far as is known, and the client was failed: by no fault of its own. */
static bool failed_for_nothing(const struct found *x)
{
	if (x->matter.client == NULL || x->told.incident == NULL)
		return false;
	switch (x->told.incident->cause) {
	case CAUSE_GATEWAY_REFUSED:
	case CAUSE_GATEWAY_CLOSED:
	case CAUSE_UNEXPLAINED:
		return true;
	default:
		return false;
	}
}

static bool doubt_of_brief(const struct brief_fact *f, struct doubt *d, struct mark *last)
{
	*d = (struct doubt){ .request = f->request, .stream = f->stream, .ordinal = f->ordinal };
	*last = f->response;
	return f->coded && f->outcome == OUTCOME_COMPLETE;
}

static bool doubt_of_exchange(const struct exchange_fact *f, struct doubt *d, struct mark *last)
{
	const struct exchange_facts *x = &f->x;

	*d = (struct doubt){ .request = x->request.first, .stream = x->stream, .ordinal = x->ordinal };
	*last = x->response.last;
	return x->content_encoding.len != 0 && x->outcome == OUTCOME_COMPLETE && x->response.missing == 0 &&
	       (x->response.violations & CODING_BITS) == 0;
}

static bool doubtful(const struct kept *k, struct doubt *d, struct mark *last)
{
	const void *f = k->fact;
	bool is;

	if (k->fact->kind == FACT_BRIEF)
		is = doubt_of_brief(f, d, last);
	else
		is = k->fact->kind == FACT_EXCHANGE && doubt_of_exchange(f, d, last);
	return is && d->request.packet != 0;
}

static bool room(struct doubted *d, size_t *size)
{
	size_t larger = *size != 0 ? *size * 2 : 16;
	struct doubt *at;

	if (d->n < *size)
		return true;
	at = realloc(d->at, larger * sizeof *at);
	if (at == NULL)
		return false;
	d->at = at;
	*size = larger;
	return true;
}

static int compare_doubts(const void *a, const void *b)
{
	const struct doubt *x = a, *y = b;

	return (x->request.packet > y->request.packet) - (x->request.packet < y->request.packet);
}

static void gather_ends(struct doubted *d)
{
	qsort(d->at, d->n, sizeof *d->at, compare_doubts);
	d->ends = calloc(d->n, sizeof *d->ends);
	if (d->ends == NULL)
		d->n = 0;
	for (size_t i = 0; i < d->n; i++)
		memcpy(d->ends[i], d->at[i].found->matter.trials[d->at[i].trial]->end, sizeof d->ends[i]);
}

void doubted_gather(struct doubted *d, struct found *const *found, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++) {
		for (unsigned t = 0; failed_for_nothing(found[i]) && t < found[i]->matter.n_trials; t++) {
			struct doubt one;
			struct mark last;

			if (!doubtful(found[i]->matter.trials[t], &one, &last) || !room(d, &size))
				continue;
			one.found = found[i];
			one.trial = t;
			d->at[d->n++] = one;
			if (last.packet > d->last.packet)
				d->last = last;
		}
	}
	if (d->n != 0)
		gather_ends(d);
}

/* ---- what came of it ------------------------------------------------------------------------ */

static size_t first_at(const struct doubted *d, uint64_t packet)
{
	size_t low = 0, high = d->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (d->at[mid].request.packet < packet)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void doubted_fact(struct doubted *d, struct correlation *c, const struct exchange_fact *f)
{
	if (!f->final || (f->x.response.violations & CODING_BITS) == 0)
		return;
	for (size_t i = first_at(d, f->x.request.first.packet); i < d->n && d->at[i].request.packet == f->x.request.first.packet; i++)
		if (d->at[i].stream == f->x.stream && d->at[i].ordinal == f->x.ordinal)
			found_know_better(c, d->at[i].found, d->at[i].trial, f);
}

void doubted_clear(struct doubted *d)
{
	free(d->at);
	free(d->ends);
	*d = (struct doubted){ 0 };
}
