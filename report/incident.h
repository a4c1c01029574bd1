/* incident.h - what every writer is given: struct report and its incidents (REPORT.md is the contract)
 *
 * Everything here is the report's; writers only read. Text from the wire is raw bytes (struct span):
 * the writer escapes it. `const char *` texts are our own words, in which bytes from the wire are
 * already printable ASCII with \xNN escapes.
 */
#ifndef WHY502_INCIDENT_H
#define WHY502_INCIDENT_H

#include "../capture/arena.h"
#include "../capture/source.h"
#include "../decode/decode.h"

enum cause {
#define CAUSE(id, ...) CAUSE_##id,
#include "causes.def"
	CAUSE_COUNT
};
enum family { FAMILY_CONNECT, FAMILY_GATEWAY, FAMILY_TLS, FAMILY_MISMATCH, FAMILY_CLOSED, FAMILY_NETWORK, FAMILY_INVALID,
              FAMILY_HTTP2, FAMILY_TIMEOUT, FAMILY_UPSTREAM, FAMILY_CLIENT, FAMILY_UNKNOWN, FAMILY_COUNT };
enum fault { FAULT_UPSTREAM, FAULT_GATEWAY, FAULT_NETWORK, FAULT_CONFIGURATION, FAULT_CLIENT, FAULT_UNKNOWN, FAULT_COUNT };
enum confidence { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH };
enum symptom { SYMPTOM_ERROR_STATUS, SYMPTOM_NO_RESPONSE, SYMPTOM_TRUNCATED, SYMPTOM_GARBLED, SYMPTOM_CLIENT_ABORT };
enum matched { MATCHED_NONE, MATCHED_ID, MATCHED_UNIQUE, MATCHED_ORDER, MATCHED_SET };

struct evidence { struct mark at; const char *text; };

enum detail_kind { DETAIL_SECONDS, DETAIL_COUNT, DETAIL_WORD, DETAIL_BOOL };   /* WORD: categorical, makes groups; the others never do */
struct detail { const char *name; uint8_t kind; int64_t ns; int64_t count; const char *word; bool yes; };

/* One request and what answered it. Either `full` or (an exchange that went well) `brief` is set. */
struct exchange_view {
	uint64_t id;                            /* in order of settling, from 1 */
	const struct exchange_fact *full;
	const struct brief_fact *brief;
	struct { struct endpoint gateway; bool client_side; } roles[2];
	unsigned n_roles;
};

struct attempt {
	struct endpoint upstream;               /* port 0 where packets show none */
	int64_t  connection;                    /* -1: none of its own (DNS, ARP) */
	uint64_t exchange;                      /* id; 0: it never got as far as a request */
	const struct exchange_view *view;       /* NULL likewise */
	int      cause;                         /* enum cause; -1: it went well or is not judged */
	uint8_t  matched;                       /* enum matched */
	bool     known_reuse;                   /* false: the capture joined late */
	bool     reused;
	uint32_t request_number;
	int64_t  idle_ns;                       /* -1: new connection or unknown */
	bool     request_acked;
	int8_t   closer;                        /* enum side: SERVER is the upstream, CLIENT the gateway; -1: nobody */
	uint8_t  closing;                       /* enum closing */
	struct mark began, ended;
};

/* A step of the ladder: what passed between two of its columns (0 client, 1 gateway, 2… attempts in order). */
struct step { struct mark at; uint8_t from, to; const char *label; bool decisive; bool lost; };

/* A connection (ARP, DNS: two hosts) whose packets, from `first` to the incident's last, tell it. packet 0: since ever. */
struct flow { struct endpoint end[2]; struct mark first; };
enum { WITNESSES_MAX = 4 };

struct words { const char *product, *text; };   /* what a gateway's log, or RFC 9209, calls it */

struct incident {
	uint64_t id;                            /* in order of closing, from 1 */
	int64_t  time_ns;                       /* when the error reached the client; one-sided: when the cause struck */
	uint8_t  symptom;
	uint16_t status;                        /* 0: none */
	bool     predicted;                     /* status_source */
	uint8_t  cause, fault, confidence;
	const char *summary;                    /* one sentence */
	struct detail *details;
	unsigned n_details;
	bool     has_gateway, has_upstream;
	struct endpoint gateway;                /* its front; port 0 where only its back was seen */
	struct endpoint upstream;
	const char *product;                    /* of the gateway, or NULL */
	const char *product_source;             /* "detected" | "option" */
	struct span method, authority, target;  /* of the request; empty where none can be known */
	uint8_t  version;                       /* enum version */
	struct endpoint client;                 /* port 0: not captured */
	const struct exchange_view *client_exchange;    /* NULL: not captured */
	struct attempt *attempts;
	unsigned n_attempts;
	struct endpoint path[8];                /* gateways from the one where it began outward */
	unsigned n_path;
	struct evidence *evidence;
	unsigned n_evidence;
	struct step *steps;                     /* in time order */
	unsigned n_steps;
	const char *columns[8];                 /* heads of the ladder's columns */
	unsigned n_columns;
	struct words *equivalents;
	unsigned n_equivalents;
	const char **advice;
	unsigned n_advice;
	uint32_t group;                         /* id */
	const char *filter;                     /* Wireshark display filter for its packets */
	bool     limited;                       /* a limit touched it */
	struct flow *flows;
	unsigned n_flows;
	struct mark first, last;                /* of its own packets */
	struct mark witnesses[WITNESSES_MAX];   /* packets of other connections, which the verdict rests on too */
	unsigned n_witnesses;
};

/* What incidents of one group have in common besides their cause (--group). DEFAULT: gateway, upstream and all words of their detail. */
enum group_by { GROUP_BY_DEFAULT, GROUP_BY_CAUSE, GROUP_BY_UPSTREAM, GROUP_BY_ROUTE, GROUP_BY_CLIENT, GROUP_BY_COUNT };

struct spread { const char *name; int64_t min_ns, median_ns, max_ns; };

struct group {
	uint32_t id;
	uint8_t  cause, fault, confidence;      /* fault and confidence: of its first incident; the lowest */
	bool     has_gateway, has_upstream;     /* one, and the same for all */
	struct endpoint gateway, upstream;
	const char *of;                         /* --group route, client: which; else NULL */
	struct detail details[8];               /* the categorical ones that all have */
	unsigned n_details;
	uint64_t count;
	int64_t  first_ns, last_ns;
	struct spread spreads[8];
	unsigned n_spreads;
	const struct incident *example;         /* first */
	uint64_t *incidents;                    /* ids of those kept in full */
	unsigned n_incidents;
	uint32_t timeline[40];                  /* over the capture's time, equal steps */
};

struct upstream_health {
	struct endpoint address;
	uint64_t requests, errors, healed, resets, health_checks;
	int64_t p50_ns, p99_ns;                 /* request's first byte to response's first; -1: none */
	uint64_t idle_closes; int64_t idle_min_ns, idle_median_ns, idle_max_ns;
};

struct gateway_seen { struct endpoint front; const char *product, *product_source, *version; uint64_t requests; };

struct report {
	uint64_t requests;                      /* on the client side */
	uint64_t connections, exchanges, healed, total_incidents;
	uint64_t by_cause[CAUSE_COUNT];
	struct { uint16_t status; uint64_t count; } by_status[64];      /* of incidents; status 0 is no answer */
	unsigned n_by_status;
	struct { uint16_t status; uint64_t count; } seen_status[64];    /* of all client-side answers */
	unsigned n_seen_status;
	struct incident **incidents;            /* kept in full, by id */
	unsigned n_incidents;
	uint8_t  group_by;                      /* enum group_by */
	struct group *groups;                   /* most incidents first */
	unsigned n_groups;
	struct upstream_health *upstreams;
	unsigned n_upstreams;
	struct gateway_seen *gateways;
	unsigned n_gateways;
	uint64_t incidents_cut, names_dropped;
	const char *blind[8];                   /* what this capture cannot show, and what to capture instead: whole sentences */
	unsigned n_blind;
	struct decode_counters decode;
};

struct cause_row { const char *name; uint8_t family, fault; const char *shows; };
const struct cause_row *cause_row(unsigned cause);
int cause_by_name(const char *name);            /* -1: none */
const char *family_name(unsigned f);
const char *fault_name(unsigned f);
const char *confidence_name(unsigned c);
const char *symptom_name(unsigned s);
const char *group_by_name(unsigned g);
const char *matched_name(unsigned m);

#endif
