/* store.h - facts that a verdict may still need, bounded
 *
 * Exchanges that ended well lie in a ring of briefs: they rule candidates out. Everything else that
 * may be a client's failed request or a gateway's failed try is kept whole, oldest first out, and
 * stays for as long as an incident holds it. Connections without a request have a small list of their
 * own where nothing shows that a gateway made them, so that a flood of them pushes nothing out.
 */
#ifndef WHY502_STORE_H
#define WHY502_STORE_H

#include "../decode/fact.h"

enum {
	BRIEFS_MAX = 4096,    /* a power of two; 1.3 MiB: it should stay in a processor's cache */
	KEPT_BYTES = 4 << 20, /* of facts kept and held by no incident */
	STRANGERS_MAX = 1024, /* connections without a request, of addresses unknown */
	CONTROL_MAX = 512     /* DNS, ARP, ICMP */
};

/* What tells a request from others; the same for both sides of a gateway but for what it rewrites.
 */
struct request_key {
	uint64_t target, path, tail, authority, agent, pass, body;
	struct identifier ids[4];
	uint8_t n_ids, method;
	bool known; /* false: there was no request */
};

enum { STRUCK_MAX = 10 };

struct kept {
	struct kept *older, *newer;
	struct kept *in_bucket, **bucket_at; /* of one connection's facts; what points here */
	struct fact *fact; /* own copy */
	uint64_t id;       /* EXCHANGE.id; 0: none */
	uint32_t refs;     /* incidents that hold it */
	uint8_t list;
	bool in_list, final;
	bool paired, looked_at; /* pair.c has learnt from it; has asked whether it can */
	uint8_t client_state;   /* as a client's exchange: see correlate.c */
	uint8_t upstream_state; /* as a try at an upstream */
	struct endpoint
		end[2]; /* of its connection; ARP and DNS: the asker, and what it asked for */
	struct mark begin, last;       /* its first packet, and the last that matters to it */
	int64_t struck_ns[STRUCK_MAX]; /* when the gateway may have learnt of a failure: closes,
					  resets, answers */
	unsigned n_struck;
	struct request_key key;
	/* For correlate.c, anew in each of its rounds: */
	int16_t back, front; /* gateway that asks here, and gateway that answers here; -1: none */
	int16_t guilty; /* enum cause that it would be by itself; -1: nothing is wrong with it */
};

struct brief_slot {
	uint64_t id;
	struct brief_fact f;
};

struct kept_list {
	struct kept *oldest, *newest;
	uint32_t count;
	size_t bytes;
};
enum { LIST_MAIN, LIST_STRANGERS, LIST_CONTROL, LISTS };

struct store {
	struct brief_slot *briefs; /* ring of BRIEFS_MAX */
	uint64_t n_briefs;         /* ever */
	struct kept_list lists[LISTS];
	struct kept *buckets[1024]; /* by conn */
	uint32_t n_open;            /* kept, but not final: a later fact may take them back */
	uint64_t dropped;
	size_t held_bytes;          /* of what incidents hold */
	uint64_t out_of_memory;     /* allocations of report/ that failed: something is not told, or not looked at */
};

bool store_init(struct store *s); /* false: no memory */
void store_clear(struct store *s);

void store_brief(struct store *s, const struct brief_fact *f, uint64_t id);
/* Keeps a copy, in place of an earlier fact about the same; NULL: no memory. */
struct kept *store_keep(struct store *s, const struct fact *f, int list, uint64_t id);
/* What was told of this connection while it was waiting has come to nothing. */
void store_forget_open(struct store *s, uint32_t conn, uint64_t request_packet);
void store_release(struct store *s,
		   struct kept *k); /* out of its list; freed once no incident holds it */
void store_hold(struct store *s, struct kept *k);
void store_let_go(struct store *s, struct kept *k);
/* In no list, held once; NULL: no memory. */
struct kept *store_apart(struct store *s, const struct fact *f, uint64_t id);
struct kept *store_of_brief(struct store *s, const struct brief_slot *b);

/* Ring positions: the oldest kept is store_oldest(), the newest n_briefs - 1. */
static inline uint64_t store_oldest(const struct store *s)
{
	return s->n_briefs > BRIEFS_MAX ? s->n_briefs - BRIEFS_MAX : 0;
}

static inline const struct brief_slot *store_at(const struct store *s, uint64_t i)
{
	return &s->briefs[i & (BRIEFS_MAX - 1)];
}

struct request_key key_of_brief(const struct brief_fact *f);
struct request_key key_of_exchange(const struct exchange_facts *x);

#endif
