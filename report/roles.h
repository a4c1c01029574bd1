/* roles.h - which endpoints are gateways: told, or inferred from who serves and who asks
 *
 * A gateway serves requests and, within them in time, makes like requests or tries to connect. What
 * is counted for that: who serves (struct served), and who asks whom (struct edge, an address and
 * the endpoint that it speaks to). roles_infer() joins edges to gateways:
 *
 *   - told by -g;
 *   - an address that serves and asks elsewhere is one host, its fronts and its edges one gateway;
 *   - another address (or, on one host, another port) is joined after three like pairs, a like pair
 * being a request within another in time, with its method and target, and the same answer. In a
 * small capture one pair is enough, or one failed connection within a failed request, where nothing
 * contradicts.
 *
 * An edge that no gateway claims belongs to a tier that was captured alone.
 */
#ifndef WHY502_ROLES_H
#define WHY502_ROLES_H

#include "lru.h"
#include "report.h"
#include "store.h"

struct gateway_model;

#define LIMIT_NAME_GATEWAYS "gateways_dropped" /* edges of gateways beyond GATEWAYS_MAX */

enum {
	GATEWAYS_MAX = 256,
	FRONTS_MAX = 8,
	BACKS_MAX = 8,
	NO_GATEWAY = -1,
	LATENCY_STEPS = 160 /* 4 to each doubling, from 1 µs */
};

struct served { /* an endpoint that answers */
	struct lru_entry entry;
	uint64_t requests, errors, healed, resets, health_checks;
	uint64_t opened, encrypted; /* connections; of them TLS without keys */
	struct {
		uint16_t status;
		uint64_t count;
	} status[16];
	unsigned n_status;
	uint32_t latency[LATENCY_STEPS];
	uint64_t latencies;
	int16_t front_of;   /* index of gateway, or NO_GATEWAY */
	bool is_upstream;   /* of some gateway */
	bool answers;       /* of an address alone: someone reached a port of it */
	bool told_upstream; /* -u */
	bool unplaced;      /* a gateway beyond GATEWAYS_MAX: its front, or of its address alone */
	bool translated;    /* behind it is: */
	uint8_t also[16];   /* the address of the host that answers, or of the service that it is asked by */
};

struct check {
	uint64_t target;
	uint32_t n;
	int64_t last_ns, ended_ns;
	int64_t period_ns;          /* of the gaps between them, as most have it */
	uint32_t fit, stray;        /* gaps that have that period, and that do not */
};

struct edge { /* an address asks an endpoint */
	struct lru_entry entry;
	uint64_t requests, connections, failed_connects;
	int16_t parent; /* gateway whose back it is, or NO_GATEWAY */
	struct {
		struct endpoint front;
		uint32_t pairs;
	} fronts[4];                       /* candidates */
	struct check checks[4];            /* first requests of connections, by target */
	bool unplaced;                     /* asked by a gateway beyond GATEWAYS_MAX */
	struct mark pair[2];               /* the first of them: its requests, at the front and here */
	bool gateway_signs;                /* its requests carry what gateways add */
	const struct gateway_model *model; /* of who asks: by what it added */
};

struct gateway {
	struct endpoint fronts[FRONTS_MAX];
	unsigned n_fronts;
	uint8_t backs[BACKS_MAX][16];
	unsigned n_backs;
	bool by_port; /* on a host that speaks to itself: one front, and edges by like pairs alone
		       */
	bool plain, encrypted; /* what of its fronts can be read */
	bool reaches;          /* it reached upstreams, or tried to */
	uint64_t pairs;        /* like pairs seen */
	struct mark pair[2];   /* one of them: its requests; packet 0: none */
	const struct gateway_model *model;
	bool model_told;     /* by -g */
	bool model_answered; /* by an answer of its own, which outweighs what its requests look like
			      */
	char version[32];
};

enum { CONN_CACHE_SLOTS = 4096 };

struct roles {
	struct lru *served, *edges;
	struct gateway gateways[GATEWAYS_MAX];
	unsigned n_gateways;
	const struct report_options *options;
	uint64_t inferred_to; /* briefs before this were paired */
	uint64_t infer_next;  /* when so many briefs have come */
	uint64_t news, news_then; /* what may make a gateway of a host, and how much of it was looked at */
	bool http_seen;
	uint32_t n_unplaced; /* edges */
	struct {
		uint32_t conn;
		struct served *served;
		struct edge *edge;
	} cache[CONN_CACHE_SLOTS];
};

struct roles *roles_new(const struct report_options *o); /* NULL: no memory */
void roles_free(struct roles *r);

void roles_fact(struct roles *r, const struct fact *f);
bool roles_due(const struct roles *r, const struct store *s); /* has enough come to infer anew? */
void roles_infer(struct roles *r, struct store *s, bool final);
/* pair.c: a part of roles_infer(): like exchanges one around the other, and failed connections within failed requests. */
void roles_pair(struct roles *r, struct store *s, bool final);
void roles_remember_pair(struct roles *r, const struct edge *e); /* its gateway's first, where it has none */

/* A server's other address (twins.h): who asks from there is the same host. */
void roles_also(struct roles *r, const struct endpoint *server, const struct endpoint *also);

struct served *roles_served(struct roles *r, const struct endpoint *e); /* NULL: never seen */
struct edge *roles_edge(struct roles *r, const struct endpoint *client,
			const struct endpoint *server);
struct served *roles_serve(struct roles *r,
			   const struct endpoint *e); /* made where new; NULL: no memory */
struct edge *roles_ask(struct roles *r, const struct endpoint *client,
		       const struct endpoint *server);
bool gateway_has_back(const struct gateway *g, const uint8_t address[static 16]);
struct gateway *roles_with_back(struct roles *r, const uint8_t address[static 16]); /* NULL: no gateway asks from there */
int roles_front(struct roles *r, const struct endpoint *server); /* gateway, or NO_GATEWAY */
int roles_back(struct roles *r, const struct endpoint *client, const struct endpoint *server);
/* Does one of the gateways that there was no room for ask here, or answer here? Its failures cannot be tied to its tries. */
bool roles_unplaced_asks(struct roles *r, const struct endpoint *client, const struct endpoint *server);
bool roles_unplaced_answers(struct roles *r, const struct endpoint *server);
/* May a connection from here be a gateway's: does the address answer others, or has it asked this server before? */
bool roles_may_pass_on(struct roles *r, const struct endpoint *client, const struct endpoint *server);
/* Do others ask at this address, and nobody so that it cannot be read? */
bool roles_serves_in_clear(struct roles *r, const uint8_t address[static 16]);
bool roles_knows(struct roles *r,
		 const uint8_t address[static 16]); /* it completed a handshake, or served */
/* Is this the pace of a health check: one target, a connection each, at a fixed period? */
bool edge_checks(const struct edge *e, uint64_t target);
int64_t served_latency(const struct served *s, unsigned percent); /* -1: none */

#endif
