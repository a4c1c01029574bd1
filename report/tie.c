/* tie.c - could this try have been made for this request, and how well do they fit? */
#include "tie.h"

int tie_alike(const struct request_key *c, const struct request_key *u)
{
	if (!c->known || !u->known)
		return 0;
	if (c->method != u->method && !(c->method == METHOD_HEAD && u->method == METHOD_GET))
		return 0; /* caches ask with GET for what was asked with HEAD */
	if (c->target == u->target)
		return 2;
	return c->tail == u->tail ? 1 : 0;
}

bool tie_same_id(const struct request_key *c, const struct request_key *u)
{
	for (unsigned i = 0; i < c->n_ids && i < 4; i++)
		for (unsigned j = 0; j < u->n_ids && j < 4; j++)
			if (c->ids[i].kind == u->ids[j].kind && c->ids[i].value == u->ids[j].value)
				return true;
	return false;
}

static double milliseconds(int64_t ns)
{
	return (double)ns / 1e6;
}

/* A gateway's answer follows the failure; where it closes the upstream itself it may do so after
 * answering. */
static double end_gap(const struct kept *u, int64_t end_ns)
{
	double best = -1;

	for (unsigned i = 0; i < u->n_struck; i++) {
		double gap = milliseconds(end_ns - u->struck_ns[i]);

		if (gap < 0)
			gap = -gap;
		if (best < 0 || gap < best)
			best = gap;
	}
	return best;
}

/* The client had cancelled its stream before: nothing was tried for that any more. Told in the order of one tap alone. */
static bool cancelled_before(const struct kept *c, const struct kept *u)
{
	const struct exchange_fact *f = (const void *)c->fact;
	struct mark cancelled = c->fact->kind == FACT_EXCHANGE ? f->h2.rst_stream[CLIENT] : (struct mark){ 0, 0 };

	return cancelled.packet != 0 && c->fact->tap == u->fact->tap && u->begin.packet > cancelled.packet;
}

bool tie_fit(const struct kept *c, int64_t end_ns, const struct kept *u, struct fit *f)
{
	int64_t begin = u->begin.time_ns - c->begin.time_ns;

	if (begin < -TIE_SLACK_NS || u->begin.time_ns > end_ns + TIE_SLACK_NS || cancelled_before(c, u))
		return false;
	f->begin_ms = begin > 0 ? milliseconds(begin) : 0;
	f->end_ms = end_gap(u, end_ns);
	return true;
}
