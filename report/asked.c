/* asked.c - no try on the wire: the next hop, or the name, was asked for in vain */
#include "round.h"

static bool asker_is(const struct correlation *c, const struct matter *m,
		     const uint8_t address[static 16])
{
	const struct gateway *g = m->gateway != NO_GATEWAY ? &c->roles->gateways[m->gateway] : NULL;

	if (address_equal(m->front.address, address))
		return true;
	for (unsigned i = 0; g != NULL && i < g->n_backs; i++)
		if (address_equal(g->backs[i], address))
			return true;
	return false;
}

static bool arp_answered(const struct correlation *c, const uint8_t target[static 16],
			 int64_t from_ns, int64_t to_ns)
{
	for (const struct kept *q = c->store->lists[LIST_CONTROL].oldest; q != NULL; q = q->newer) {
		const struct arp_fact *f = (const void *)q->fact;

		if (q->fact->kind == FACT_ARP && f->answer && address_equal(f->target, target) &&
		    q->begin.time_ns >= from_ns && q->begin.time_ns <= to_ns)
			return true;
	}
	return false;
}

static bool dns_good(const struct dns_fact *f)
{
	return f->answer && f->rcode == 0 && f->n_addresses != 0;
}

/* The same question was answered, or the same name found, in this time. */
static bool dns_answered(const struct correlation *c, const struct kept *question, int64_t to_ns)
{
	const struct dns_fact *f = (const void *)question->fact;
	struct span name = fact_text(f, f->name);

	for (const struct kept *q = c->store->lists[LIST_CONTROL].oldest; q != NULL; q = q->newer) {
		const struct dns_fact *o = (const void *)q->fact;

		if (q == question || q->fact->kind != FACT_DNS || !o->answer ||
		    q->last.time_ns > to_ns || !address_equal(o->asker.address, f->asker.address) ||
		    !span_equal(fact_text(o, o->name), name))
			continue;
		if (dns_good(o) || (!f->answer && o->id == f->id && o->type == f->type))
			return true;
	}
	return false;
}

/* A name that could not be found: the gateway may have gone on without it, until a request came. */
static bool name_lost(const struct correlation *c, const struct row *row, const struct kept *q)
{
	return q->fact->kind == FACT_DNS && asker_is(c, row->m, q->end[CLIENT].address) &&
	       q->last.time_ns < row->k->begin.time_ns && !dns_good((const void *)q->fact) &&
	       !dns_answered(c, q, row->end_ns);
}

static bool asked(const struct correlation *c, const struct row *row, const struct kept *q)
{
	const void *fact = q->fact;
	const struct icmp_fact *icmp = fact;
	const struct arp_fact *arp = fact;
	const struct dns_fact *dns = fact;

	if (!asker_is(c, row->m, q->end[CLIENT].address) ||
	    q->last.time_ns > row->end_ns + TIE_SLACK_NS ||
	    q->last.time_ns < row->k->begin.time_ns - TIE_SLACK_NS)
		return false;
	switch (q->fact->kind) {
	case FACT_ARP:
		return !arp->answer &&
		       !arp_answered(c, arp->target, row->k->begin.time_ns - NS_PER_S,
				     row->end_ns) &&
		       !address_equal(arp->target, row->k->end[CLIENT].address);
	case FACT_DNS:
		return !dns_good(dns) && !dns_answered(c, q, row->end_ns);
	case FACT_ICMP:
		return !icmp->known;
	default:
		return false;
	}
}

static void count_arp(const struct correlation *c, struct row *row, const struct kept *first)
{
	for (const struct kept *q = first; q != NULL; q = q->newer)
		if (q->fact->kind == FACT_ARP &&
		    address_equal(q->end[SERVER].address, first->end[SERVER].address) &&
		    asked(c, row, q)) {
			row->m->n_arp++;
			row->m->arp_last = q->begin;
		}
}

void asked_in_vain(struct round *r, struct row *row)
{
	struct kept *first[4] = {
		NULL
	}; /* by kind: ARP questions count from the first, answers from the last */

	for (struct kept *q = r->c->store->lists[LIST_CONTROL].oldest; q != NULL; q = q->newer) {
		unsigned kind = q->fact->kind == FACT_ARP ? 0 : q->fact->kind == FACT_DNS ? 1 : 2;

		if (asked(r->c, row, q) && (first[kind] == NULL || kind == 1))
			first[kind] = q;
		if (name_lost(r->c, row, q))
			first[3] = q;
	}
	count_arp(r->c, row, first[0]);
	if (row->m->reaches)
		first[3] = NULL;
	for (unsigned kind = 0; kind < 4; kind++)
		if (first[kind] != NULL) {
			uint8_t was = first[kind]->upstream_state;

			matter_add(row->m, first[kind], row->rival ? MATCHED_ORDER : MATCHED_UNIQUE);
			first[kind]->upstream_state =
				was; /* another request may have waited for the same answer */
			return;
		}
}
