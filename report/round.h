/* round.h - one round of correlation, as its parts share it
 *
 * match.c ties tries to requests on one gateway; heard.c rules out what went well; asked.c looks
 * for a next hop or a name that was asked for in vain; unclaimed.c tells what is left. correlate.c
 * calls them in order.
 */
#ifndef WHY502_ROUND_H
#define WHY502_ROUND_H

#include "assign.h"
#include "tie.h"

/* A gateway's retry window, where its model says nothing. */
#define RETRY_NS (1100 * NS_PER_MS)

struct row { /* a failed request on one gateway */
	struct kept *k;
	int64_t end_ns;
	struct matter *m;
	bool by_id; /* a try has its identifier: the others have not */
	bool rival; /* without a try, and another's may be its own */
};

struct round {
	struct correlation *c;
	int64_t until_ns;
	bool final;
	struct assignment *a;
	struct row rows[ASSIGN_ROWS_MAX];
	unsigned n_rows;
	struct kept *columns[ASSIGN_COLUMNS_MAX];
	unsigned n_columns;
	bool rewrites;       /* no like pair was seen on this gateway */
	struct heard *heard; /* of briefs, by tail and time of answer */
	size_t n_heard;
	bool heard_made;
};

struct heard { /* a brief, as ruling out sees it */
	uint64_t tail;
	int64_t begin_ns, first_ns, end_ns; /* request; response's first and last packet */
	uint64_t index;                     /* in the ring */
	int16_t back, front;
	bool owned;
};

/* correlate.c */
bool try_is(const struct kept *k); /* a try at an upstream, not a question for one */
/* Is this a client's failed request, not told yet? */
bool is_client(struct round *r, struct kept *k);
void matter_begin(const struct round *r, struct matter *m, struct kept *client);
void matter_path(struct matter *m, const struct endpoint *front);
/* Into its place in time; taken. */
void matter_add(struct matter *m, struct kept *u, uint8_t matched);
bool client_failed(const struct exchange_fact *f);
const struct gateway_model *model_of_back(struct correlation *c, const struct kept *u);
bool front_is_plain(const struct round *r,
		    const struct kept *u); /* of the gateway whose try this is */
int64_t first_struck(const struct kept *u);
int64_t last_struck(const struct kept *u);

/* match.c: the round's rows are requests of this gateway. */
void match_gateway(struct round *r, int gateway);

/* heard.c */
void heard_make(struct round *r); /* once a round, and only where one is asked for */
size_t heard_from(const struct round *r, uint64_t tail,
		  int64_t first_ns); /* the first answered no sooner */
const struct brief_fact *heard_brief(const struct round *r, const struct heard *h);
/* A whole, valid answer that no healthy request accounts for: the gateway did not like it. */
void heard_refused(struct round *r, struct row *row, int gateway);
/* Did a like try succeed right after this one failed? After how many ms; -1: no. */
double heard_healed(struct round *r, const struct kept *u);

/* asked.c: the next hop, or the name, was asked for in vain while the request waited. */
void asked_in_vain(struct round *r, struct row *row);

/* unclaimed.c: tries that no failed request has claimed. */
void settle_tries(struct round *r);

#endif
