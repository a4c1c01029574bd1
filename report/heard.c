/* heard.c - what went well, and so is nobody's failure */
#include "round.h"

#include <stdlib.h>

static int compare_heard(const void *a, const void *b)
{
	const struct heard *x = a, *y = b;

	if (x->tail != y->tail)
		return x->tail < y->tail ? -1 : 1;
	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Briefs by tail of target and time of answer; made once a round, and only where one is asked for.
 */
void heard_make(struct round *r)
{
	const struct store *s = r->c->store;

	if (r->heard_made)
		return;
	r->heard_made = true;
	r->heard = malloc(BRIEFS_MAX * sizeof *r->heard);
	if (r->heard == NULL) {
		r->c->store->out_of_memory++;
		return;
	}
	for (uint64_t i = store_oldest(s); i < s->n_briefs; i++) {
		const struct brief_fact *f = &store_at(s, i)->f;

		r->heard[r->n_heard++] =
			(struct heard){ f->tail_hash,
					f->request.time_ns,
					f->response_first.time_ns,
					f->response.time_ns,
					i,
					(int16_t)roles_back(r->c->roles, &f->end[CLIENT],
							    &f->end[SERVER]),
					(int16_t)roles_front(r->c->roles, &f->end[SERVER]),
					false };
	}
	qsort(r->heard, r->n_heard, sizeof *r->heard, compare_heard);
}

/* The first with this tail whose answer came no sooner than this. */
size_t heard_from(const struct round *r, uint64_t tail, int64_t first_ns)
{
	size_t low = 0, high = r->n_heard;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->heard[mid].tail < tail ||
		    (r->heard[mid].tail == tail && r->heard[mid].first_ns < first_ns))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct brief_fact *heard_brief(const struct round *r, const struct heard *h)
{
	return &store_at(r->c->store, h->index)->f;
}

/* Each try that went well on this gateway belongs to a request that went well around it. */
static void rule_out(struct round *r, int gateway, uint64_t tail, int64_t from_ns, int64_t to_ns)
{
	for (size_t i = heard_from(r, tail, from_ns);
	     i < r->n_heard && r->heard[i].tail == tail && r->heard[i].first_ns <= to_ns; i++) {
		struct heard *u = &r->heard[i];

		if (u->back != gateway || u->owned)
			continue;
		for (size_t j = heard_from(r, tail, u->first_ns - TIE_SLACK_NS);
		     j < r->n_heard && r->heard[j].tail == tail; j++) {
			struct heard *c = &r->heard[j];

			if (c->front != gateway || c == u || c->owned ||
			    c->begin_ns > u->begin_ns + TIE_SLACK_NS ||
			    heard_brief(r, c)->status != heard_brief(r, u)->status)
				continue;
			c->owned = u->owned = true;
			break;
		}
	}
}

/* A whole, valid answer that no healthy request accounts for: the gateway did not like it. */
void heard_refused(struct round *r, struct row *row, int gateway)
{
	struct heard *best = NULL;
	struct kept *k;
	double best_gap = 0;
	unsigned n = 0;

	heard_make(r);
	rule_out(r, gateway, row->k->key.tail, row->k->begin.time_ns - NS_PER_S,
		 row->end_ns + NS_PER_S);
	/* The answer may come after the gateway's own: it may have disliked an interim one. */
	for (size_t i = heard_from(r, row->k->key.tail, row->k->begin.time_ns - TIE_SLACK_NS);
	     i < r->n_heard && r->heard[i].tail == row->k->key.tail; i++) {
		struct heard *u = &r->heard[i];
		struct request_key key = key_of_brief(heard_brief(r, u));
		double gap = (double)(row->end_ns - u->first_ns) / 1e6;

		if (u->back != gateway || u->owned ||
		    u->begin_ns < row->k->begin.time_ns - TIE_SLACK_NS ||
		    u->begin_ns > row->end_ns || tie_alike(&row->k->key, &key) == 0)
			continue;
		gap = gap < 0 ? -gap : gap;
		n++;
		if (best == NULL || gap < best_gap) {
			best = u;
			best_gap = gap;
		}
	}
	if (best == NULL)
		return;
	best->owned = true;
	k = store_of_brief(r->c->store, store_at(r->c->store, best->index));
	if (k != NULL) {
		k->back = (int16_t)gateway;
		k->guilty = -1;
		matter_add(row->m, k, n == 1 ? MATCHED_UNIQUE : MATCHED_ORDER);
	}
}

/* Did a like try succeed right after this one failed? Then a retry made it good. */
double heard_healed(struct round *r, const struct kept *u)
{
	int64_t failed = last_struck(u);

	if (!u->key.known)
		return -1;
	heard_make(r);
	for (size_t i = heard_from(r, u->key.tail, failed - TIE_SLACK_NS);
	     i < r->n_heard && r->heard[i].tail == u->key.tail; i++) {
		const struct heard *h = &r->heard[i];
		struct request_key key = key_of_brief(heard_brief(r, h));
		int64_t after = h->begin_ns - first_struck(u);

		if (h->back == u->back && after >= -TIE_SLACK_NS && after <= RETRY_NS &&
		    tie_alike(&u->key, &key) == 2)
			return after > 0 ? (double)after / 1e6 : 0;
	}
	return -1;
}
