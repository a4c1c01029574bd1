/* gateways.h - gateway models: how each product is recognised, what it answers, allows and retries
 *
 * One table a product, each figure with its source beside it. Rules never ask for a product by name:
 * they ask its model.
 */
#ifndef WHY502_GATEWAYS_H
#define WHY502_GATEWAYS_H

#include "judge.h"

struct gateway_model {
	const char *name;               /* "nginx"; "" for the unknown gateway */
	bool is_gateway;                /* false: an application server, whose error pages are its own */
	uint64_t header_limit;          /* bytes of a response header section it takes; 0: unknown */
	uint64_t line_limit;            /* bytes of one header line */
	uint32_t field_limit;           /* header lines */
	uint64_t refused;               /* violation_bit()s that it refuses in a response's header section */
	uint64_t refused_body;          /* … in the body */
	uint64_t passed_raw;            /* … that it passes on as HTTP/0.9, without a status */
	uint16_t status[CAUSE_COUNT];   /* what the client gets; 0: nothing said */
	uint16_t status_h2[CAUSE_COUNT];        /* … where the upstream speaks HTTP/2 and that makes a difference; 0: it makes none */
	const char *equivalent[CAUSE_COUNT];    /* its own log's words; see gateway_words() */
	const char *advice[CAUSE_COUNT];        /* setting to change: a template, see advice.h; see gateway_advice() */
	const char *words_of, *settings_of;     /* built on that product: says what it says, is set as it is, unless a row here differs */
	const char *idle_setting, *read_setting, *connect_setting, *header_setting;
	int64_t idle_ns, read_ns, connect_ns;   /* defaults; 0: none */
	int64_t retry_ns;               /* how long after a failure it may still try again */
	bool retries_reused;            /* sends a safe request again when a reused connection dies before a byte */
	bool retries_connect;           /* tries again, or another server, when a connection cannot be made */
	uint64_t refused_newer;         /* violation_bit()s that newer versions of it refuse, too */
	const char *module;             /* its settings begin so ("proxy_"); its modules for FastCGI, uwsgi and SCGI name them likewise */
	bool trips_on_interim;          /* takes an interim response (103) for the final one */
	bool trips_on_tickets;          /* takes TLS 1.3 session tickets before its request for an error */
};

const struct gateway_model *gateway_model_named(const char *name);      /* NULL: none */
const struct gateway_model *gateway_model_unknown(void);
unsigned gateway_models(const struct gateway_model **rows);

/* What its log says of a cause, and the setting to change; NULL: not known. */
const char *gateway_words(const struct gateway_model *m, unsigned cause);
const char *gateway_advice(const struct gateway_model *m, unsigned cause);

/* ---- recognise.c: which product is it? ------------------------------------------------------- */

struct recognised { const struct gateway_model *model; const char *version, *because; };

/* Who wrote this answer, whoever passed it on? By its page, and by fields that only their product's own answers have. NULL
 * model: cannot be told; with `because` where the page says that another server's error is behind it. */
struct recognised author_of_answer(const struct exchange_fact *answer, struct arena *a);
/* The gateway next to who got this answer: who says that it passed it on, else its author. NULL model: cannot be told. */
struct recognised gateway_of_answer(const struct exchange_fact *answer, struct arena *a);
/* Who sent this request upstream? By what it added. NULL model: cannot be told. */
struct recognised gateway_of_request(const struct exchange_fact *request);
/* What answers requests there? By what its answers said (struct server_seen of learn.h). NULL: cannot be told. */
struct server_seen;
const struct gateway_model *server_of_answers(const struct server_seen *seen);
/* The same as gateway_of_request() from a healthy exchange's signs alone. */
const struct gateway_model *gateway_of_brief(const struct brief_fact *b);

#endif
