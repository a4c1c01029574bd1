/* flows.c - whose packets tell an incident again, and from when to when: for who writes them out (excerpt.h) */
#include "assemble.h"

/* TLS and HTTP/2 can be read from their beginning alone. Of a plain connection that has carried more than this, what is past
 * is not the incident's: from the last byte before its request on is enough to see that it was used again, and how long it
 * was idle. */
enum { EXCHANGES_KEPT = 16, BESIDES = 3 };      /* client, tier, earlier */

static struct mark begins(const struct kept *k)
{
	const struct exchange_fact *x = (const void *)k->fact;
	const struct brief_fact *b = (const void *)k->fact;
	const struct conn_fact *c = (const void *)k->fact;

	switch (k->fact->kind) {
	case FACT_EXCHANGE:
		if (x->x.tls || x->x.stream != 0 || x->conn.exchanges <= EXCHANGES_KEPT)
			return x->conn.first;
		return x->x.before.packet != 0 ? x->x.before : k->begin;
	case FACT_BRIEF:
		if (b->tls || b->stream != 0 || b->ordinal <= EXCHANGES_KEPT)
			return (struct mark){ 0, 0 };
		return k->begin;
	case FACT_CONN:
		return c->conn.first;
	default:
		return k->begin;
	}
}

static void widen(struct incident *i, struct mark m)
{
	if (m.packet == 0)
		return;
	if (i->first.packet == 0 || m.packet < i->first.packet)
		i->first = m;
	if (m.packet > i->last.packet)
		i->last = m;
}

static void widen_by_packets(struct incident *i)
{
	for (unsigned n = 0; n < i->n_evidence; n++)
		widen(i, i->evidence[n].at);
	for (unsigned n = 0; n < i->n_steps; n++)
		widen(i, i->steps[n].at);
}

static void add(struct incident *i, const struct kept *k)
{
	struct flow *f = &i->flows[i->n_flows++];

	*f = (struct flow){ .first = begins(k) };
	memcpy(f->end, k->end, sizeof f->end);
	widen(i, k->begin);
	widen(i, k->last);
}

void flows_fill(struct incident *i, const struct matter *m, struct arena *a)
{
	i->flows = arena_alloc(a, (m->n_trials + BESIDES) * sizeof *i->flows);
	if (i->flows == NULL)
		return;
	if (m->client != NULL)
		add(i, m->client);
	if (m->tier != NULL && m->tier != m->client)
		add(i, m->tier);
	for (unsigned t = 0; t < m->n_trials; t++)
		add(i, m->trials[t]);
	if (m->earlier != NULL)
		add(i, m->earlier);
	widen_by_packets(i);
}
