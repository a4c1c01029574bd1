/* rules.h - what a rule is given, and what it leaves behind
 *
 * A rule looks at one trial of a case (struct look) and says whether its signature is there. It decides
 * first; then, and only then, it leaves its proof:
 *
 *     if (!up_reset(l) || l->answered)
 *             return false;
 *     note(f, l->conn->closed, "upstream %s sent RST …", l->upstream);
 *     detail_seconds(f, "waited_s", waited);
 *     return true;
 *
 * Without an arena (judge_trial()) all of note(), detail_*() and say() do nothing: a rule costs a few comparisons.
 * Times are nanoseconds. A mark with packet 0 never happened and is never cited.
 */
#ifndef WHY502_RULES_H
#define WHY502_RULES_H

#include "gateways.h"

/* Silence proves nothing before this (CAUSES.md, Confidence): one second, less what coarse timers of gateways lose
 * (kernels with HZ=100 and gateways with a clock cached per loop fire up to some 10 ms early or late). */
#define ABSENCE_NS (NS_PER_S - 20 * NS_PER_MS)

enum { EVIDENCE_MAX = 12, ADVICE_MAX = 3, WORDS_MAX = 10 };

enum ended { ENDED_BY_NOBODY, ENDED_BY_UPSTREAM, ENDED_BY_GATEWAY };

struct look {
	const struct case_file *c;
	const struct trial *t;                  /* NULL: nothing was tried */
	unsigned index;                         /* of t in c->trials */
	const struct exchange_fact *fact;       /* the request on the upstream side, with all its facts */
	const struct exchange_facts *x;         /* &fact->x, or NULL */
	const struct brief_fact *brief;         /* or the request that went well, or NULL */
	const struct conn_facts *conn;          /* its connection, or NULL */
	const struct tcp_side *gw, *up;         /* conn's sides: the gateway's and the upstream's; NULL with conn */
	const struct tls_facts *tls;
	const struct h2_facts *h2;              /* x is an HTTP/2 stream */
	const struct exchange_facts *client;    /* the client's exchange, or NULL */
	enum ended ended;                       /* who ended the upstream exchange first … */
	struct mark end;                        /* … and in which packet */
	enum closing how;                       /* how the connection was closed, where the upstream ended it */
	struct mark gave_up;                    /* when the gateway ended its wait: packet 0 if it did not, or nobody saw */
	bool answered;                          /* a byte of a response (not an interim one) came */
	bool passed_on;                         /* the client was given this response: the same status, and its body where known */
	bool failed;                            /* the client's answer is an error, broken or missing; true where the client is not captured */
	const char *gateway, *upstream;         /* their addresses as text */
	struct exchange_facts unanswered;       /* where x points to it: without an answer that came when nobody waited any more */
};

struct finding {
	struct arena *arena;                    /* NULL: only the cause is wanted */
	struct verdict *v;
	unsigned evidence_size;
};

typedef bool rule_fn(const struct look *l, struct finding *f);

#define CAUSE(id, name, family, fault, rule, shows) rule_fn rule;
#include "causes.def"

/* What a rule leaves. */
void note(struct finding *f, struct mark at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void witness(struct finding *f, struct mark at);        /* of another connection: without it the verdict would be another */
void say(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));    /* the summary */
void at_most(struct finding *f, enum confidence c);
void blame(struct finding *f, enum fault who);
void detail_seconds(struct finding *f, const char *name, int64_t ns);
void detail_count(struct finding *f, const char *name, int64_t count);
void detail_word(struct finding *f, const char *name, const char *word);
void detail_bool(struct finding *f, const char *name, bool yes);

/* Texts: "5.002 s", "3.1 ms", "0.04 ms"; the client's view: "the gateway answered 502", "… closed without an answer". */
enum { TIME_TEXT = 32, QUOTE_TEXT = 200 };
const char *time_text(int64_t ns, char text[static TIME_TEXT]);
/* Bytes from the wire as printable ASCII, others as \xNN, quoted, cut with "…" at room. */
const char *quote_text(struct span s, char text[static QUOTE_TEXT]);
void note_request(const struct look *l, struct finding *f);     /* the request, and its acknowledgement */
void note_answer(const struct look *l, struct finding *f);      /* what the client got */

/* Questions that several rules ask. */
static inline bool happened(struct mark m) { return m.packet != 0; }
static inline bool before(struct mark a, struct mark b)
{
	return a.time_ns != b.time_ns ? a.time_ns < b.time_ns : a.packet < b.packet;
}
bool up_closed(const struct look *l, enum closing how);         /* the upstream ended it, and so */
bool up_ended(const struct look *l);
bool up_reset(const struct look *l);
static inline bool gw_closed(const struct look *l)              /* the gateway was the first to close the connection */
{
	return l->conn != NULL && l->conn->closing != CLOSING_NONE && l->conn->closer == CLIENT;
}
bool silent_enough(const struct look *l, struct mark since);    /* the gateway waited long enough since then for silence to prove something */
int64_t waited_ns(const struct look *l, struct mark since);     /* until the gateway gave up; 0: it did not */
bool no_request(const struct look *l);                          /* TCP connected, and no request was seen (nor could have been in TLS) */
/* A packet of the upstream's was captured: without one its silence is the capture's. */
static inline bool heard(const struct look *l)
{
	return l->conn != NULL && !l->conn->one_way && l->up->ttl_max != 0;
}
/* A request inside TLS without keys: the gateway's application data of the last turn, after which nothing came but session
 * tickets (RFC 8446 4.6.1). */
bool encrypted_and_unanswered(const struct look *l);
/* The upstream closed its window, and was never heard of again although it was probed. */
bool probes_unanswered(const struct look *l);
/* `Expect: 100-continue` was sent, and neither the body nor an interim response after it. */
bool expects_100(const struct look *l);
bool same_flow_ttl(const struct look *l);                       /* the upstream's RST has the hop limit of its other packets */
/* The request's first byte on the wire, or of its connection where there is none. */
struct mark request_at(const struct look *l);

/* rules_http.c: the first of the response's violations that this gateway does not take, if it is one of `mask`; NULL. */
const struct broken *refused_violation(const struct look *l, uint64_t mask);

/* One round trip and what a busy host adds to it. */
int64_t crossing_ns(const struct look *l);

#endif
