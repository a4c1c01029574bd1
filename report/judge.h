/* judge.h - one failed request before the rules
 *
 * Correlation (correlate.c) makes a case: the client's exchange and the attempts made for it, in order.
 * The rules (causes.def, most specific first) look at it and at what was learnt, and one gives the verdict.
 * A rule is a pure function of facts: it never parses a packet and never asks which capture this is.
 */
#ifndef WHY502_JUDGE_H
#define WHY502_JUDGE_H

#include "incident.h"
#include "learn.h"

struct gateway_model;           /* gateways.h */

struct trial {                  /* one try at an upstream; at least one of the pointers is set */
	struct endpoint gateway;        /* its end of the connection (port: the ephemeral one) */
	struct endpoint upstream;       /* port 0: unknown (ARP), all zero: nothing known (DNS) */
	const struct exchange_fact *x;  /* a request was sent, and it did not go well (or status >= 400) */
	const struct brief_fact *brief; /* a request was sent, and the upstream answered it well */
	const struct conn_fact *conn;   /* no request: refused, TLS trouble, closed after accepting */
	const struct syn_fact *syn;     /* SYN unanswered */
	const struct icmp_fact *icmp;
	const struct arp_fact *arp;     /* who-has without an answer; n_arp of them */
	unsigned n_arp;
	const struct dns_fact *dns;     /* the answer, or the unanswered question */
	uint64_t exchange_id;           /* EXCHANGE.id of x or brief; 0 */
	uint8_t  matched;               /* enum matched */
	bool     inner_gateway;         /* whom it asked is a gateway itself, whose upstreams are in this capture */
	struct mark began, ended;
};

/* Packets before which the capture's clock was set: the newest few, in order; times on both sides of one are not to be compared. */
enum { CLOCK_STEPS_KEPT = 64 };
struct clock_steps { uint64_t packets[CLOCK_STEPS_KEPT], first, n; };

struct case_file {
	const struct exchange_fact *client;     /* NULL: only the upstream side is in the capture */
	uint64_t client_id;
	struct trial *trials;                   /* in order of time */
	unsigned n_trials;
	struct endpoint front;                  /* the gateway's; port 0: unknown */
	const uint8_t *backs;                   /* its addresses towards upstreams, where known: 16 bytes each */
	unsigned n_backs;
	bool     reaches_upstreams;             /* this gateway reached upstreams (or tried to) elsewhere in the capture */
	bool     ambiguous;                     /* several upstream exchanges fit and differ in cause: trials are the candidates */
	bool     unread;                        /* later than the last trial the gateway asked something that was not captured */
	bool     front_read;                    /* who made the tries is asked by others in this capture, in the clear */
	bool     client_encrypted;              /* there is a front, encrypted without keys */
	bool     client_left_first;             /* the client closed or reset before the gateway gave up; at client_left */
	struct mark client_left;
	bool     author_is_server;              /* client side only: the error page is an application server's or unknown */
	const struct gateway_model *model;      /* never NULL: the model of an unknown gateway where none was recognised */
	const struct learned *learned;
	const struct decode_counters *quality;  /* so far */
	const struct limit_option *limits;      /* --limit */
	unsigned n_limits;
	const struct trial *earlier;            /* no-upstream-attempt: the last failure at this gateway before it; NULL */
	int64_t  capture_first_ns, capture_last_ns;
	bool     final;                         /* the capture has ended: nothing more will come */
	const struct clock_steps *steps;        /* where the capture's clock was set */
};

struct verdict {
	uint8_t  cause, fault, confidence;
	int      trial;                         /* the one that carries the cause; -1: none */
	const char *summary;
	struct evidence *evidence; unsigned n_evidence;
	struct detail details[24]; unsigned n_details;
	const char **advice; unsigned n_advice;
	struct words *equivalents; unsigned n_equivalents;
	struct mark witnesses[WITNESSES_MAX]; unsigned n_witnesses;
	uint16_t predicted_status;              /* from the gateway's model; 0: it closes silently */
	uint8_t  predicted_symptom;             /* enum symptom */
	bool     retried;                       /* one-sided: its model would try again, so this is no incident by itself */
};

/* Judges. Memory of texts is the arena's. Always gives a verdict: CAUSE_UNEXPLAINED with detail "reason" at worst. */
void judge(const struct case_file *c, struct arena *a, struct verdict *v);

/* What one trial would be found guilty of by itself; -1: nothing wrong with it. Cheap: no texts are made. */
int judge_trial(const struct case_file *c, const struct trial *t);

#endif
