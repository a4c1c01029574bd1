/* correlate.h - which tries at an upstream were made for which failed request
 *
 * On each gateway all failed requests and all tries that are not accounted for are assigned to each
 * other at the least cost: a try lies within its request in time, has its method and target, begins
 * soon after it, and its failure is what the gateway's answer follows. Tries that went well are
 * tied to requests that went well, so that only those left over can be a failed request's. Retries
 * are earlier tries of one request. A request that was itself a try of a gateway further out (a
 * chain) is told with that one.
 *
 * What is found is handed on as a struct matter: one failed request, or one failed try seen alone.
 */
#ifndef WHY502_CORRELATE_H
#define WHY502_CORRELATE_H

#include "judge.h"
#include "roles.h"

enum { TRIALS_MAX = 16, TIERS_MAX = 8 };

/* kept.client_state and kept.upstream_state */
enum { STATE_FREE, STATE_TAKEN, STATE_HEALED, STATE_ASIDE };

struct matter {
	struct kept *client; /* the outermost request; NULL: only the upstream side was captured */
	struct kept *tier; /* the request at the gateway where it began; == client but in chains */
	struct kept *trials[TRIALS_MAX];
	uint8_t matched[TRIALS_MAX]; /* enum matched */
	unsigned n_trials;
	struct endpoint front; /* of the gateway where it began; port 0: only its back was seen */
	int16_t gateway;       /* its index, or NO_GATEWAY */
	struct endpoint path[TIERS_MAX]; /* from there outward */
	unsigned n_path;
	bool ambiguous;       /* the trials are candidates */
	bool unread;          /* after the last of them the gateway asked what was not captured */
	bool reaches;         /* this gateway reached upstreams, or tried to */
	bool encrypted;       /* its front is, without keys */
	bool masked;          /* the client was given a whole answer of a broken one */
	struct kept *earlier; /* no trials: the last failure at this gateway before; held */
	unsigned n_arp;       /* questions for the next hop */
	struct mark arp_last;
};

struct correlation {
	struct roles *roles;
	struct store *store;
	const struct learned *learned;
	const struct report_options *options;
	const struct decode_counters *quality;
	int64_t first_ns, last_ns; /* of the capture, so far */
	struct clock_steps steps;
	void (*found)(
		void *ctx,
		struct matter *m); /* the kept facts are m's for the call; hold what is to stay */
	void *ctx;
	uint64_t healed;
	size_t found_bytes; /* of what was found, but for the facts that it holds */
	struct kept *last_failure[GATEWAYS_MAX]; /* held */
};

/* Settles what had ended 200 ms before `now_ns`; all of it where the capture has ended. */
void correlate(struct correlation *c, int64_t now_ns, bool final);
void correlation_clear(struct correlation *c);

/* The client's error reached it, or its connection ended, then. */
struct mark client_ended(const struct kept *client);
bool client_aborted(const struct exchange_fact *f);

struct trial trial_of(const struct kept *k);
/* What this try would be found guilty of by itself: enum cause, or -1. */
int16_t correlate_guilt(struct correlation *c, const struct kept *u);
const struct gateway_model *matter_model(struct correlation *c, const struct matter *m,
					 struct arena *a);

#endif
