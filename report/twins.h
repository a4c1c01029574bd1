/* twins.h - a connection that was captured at two points is told once
 *
 * Address translation (NAT, Kubernetes' services on `any`, an L4 balancer) gives one connection two
 * tuples, so that decode/ follows it twice. Its sequence numbers stay: two connections with equal
 * initial ones of both sides are one. Of a SYN without an answer, or a refused one, only the
 * client's is known: its first SYN must lie close besides.
 *
 * All facts pass here before anything else sees them. The first fact of a connection waits up to
 * 50 ms of capture time, or until the next one of its connection, for its twins to show
 * themselves; then one sight is chosen, and nothing is ever heard of the others. It is the one that
 * best joins what else was seen (its client serves elsewhere, its server asks elsewhere: that is a
 * gateway's own address), then the one nearest to the gateway: where the SYN passed first if the
 * client is known to serve, else last.
 *
 *     twins_fact(t, f);              calls pass() for f, for facts that waited, or for none
 *     twins_end(t);                  no more will come
 */
#ifndef WHY502_TWINS_H
#define WHY502_TWINS_H

#include "../decode/fact.h"

struct twins;

struct twin_events {
	void (*pass)(void *ctx, const struct fact *f); /* the fact is good for the call */
	/* The server that is told has this address besides; comes before the facts that tell it. */
	void (*also)(void *ctx, const struct endpoint *server, const struct endpoint *also);
};

struct twins *twins_new(const struct twin_events *ev, void *ctx); /* NULL: no memory */
void twins_free(struct twins *t);

void twins_fact(struct twins *t, const struct fact *f);
void twins_end(struct twins *t);
/* Up to when all connections that failed were told: now_ns, or the first SYN of the earliest that waits still. */
int64_t twins_told_until(const struct twins *t, int64_t now_ns);

#endif
