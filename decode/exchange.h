/* exchange.h - an exchange while it is open: a slot of its decoder's slab
 *
 * A protocol decoder opens a slot when a request (or, joined late, a response) begins, fills x->f as the
 * messages come, and settles it when nothing more can come; the decoder makes the fact (brief or full).
 * The connection layer fills what TCP knows: idle_ns, before, ordinal, reused, request_acked, conn.
 *
 *     x = exchange_open(c, stream, at);                     NULL: limit reached or no memory, leave it
 *     exchange_text(x, &x->f.target, target);               copied, cut at its limit
 *     exchange_request_sent(x, piece_wire_at(p, n));        the request ended at this TCP offset
 *     exchange_done(x);                                     complete: settles after 200 ms, or when the next begins
 *     exchange_settle(x);                                   settles at once (broken, reset, end of connection)
 *
 * An open exchange ends when its connection does: the protocol's end() settles each of its own.
 */
#ifndef WHY502_EXCHANGE_H
#define WHY502_EXCHANGE_H

#include "protocol.h"

struct exchange {
	struct exchange_facts f;
	struct h2_facts h2;             /* where f.stream != 0 */
	struct exchange *next, *before; /* of its connection, in order of opening */
	struct conn *conn;
	uint64_t peer_acked;            /* server's bytes that the client had acknowledged when it was opened: a TCP offset */
	uint64_t request_end;           /* TCP offset behind the request's last byte; 0: not yet */
	struct mark done_at;            /* exchange_done() */
	bool request_sent, done, waiting_told;
	uint64_t own[4];                /* the protocol's */
	uint32_t text_len, text_size;
	uint8_t *text;                  /* x->f's struct texts count from its start while open */
};

struct exchange *exchange_open(struct conn *c, uint32_t stream, struct mark at);
void exchange_text(struct exchange *x, struct text *t, struct span s, size_t limit);
/* More bytes for the text added last; false once the limit is reached. */
bool exchange_text_more(struct exchange *x, struct text *t, struct span s, size_t limit);
struct span exchange_span(const struct exchange *x, struct text t);
void exchange_request_sent(struct exchange *x, uint64_t wire_offset);
void exchange_done(struct exchange *x);
void exchange_settle(struct exchange *x);
void exchange_tell(struct exchange *x);          /* what is known so far, in a fact that is not final */
void exchange_broken(struct message *m, enum violation v, struct mark at, uint64_t offset, struct span excerpt);

/* That of an HTTP/2 stream which ended, until it is told; NULL: told, or not among the newest. */
struct exchange *exchange_of_ended_stream(struct conn *c, uint32_t stream);
/* Open exchanges of a connection, oldest first. */
struct exchange *conn_exchanges(struct conn *c);
bool conn_listing(const struct conn *c);        /* --exchanges: keep heads of all messages */
bool conn_checks_coding(const struct conn *c);  /* coded bodies are followed to their end */
/* From here on the connection speaks another protocol (an upgrade); bytes of `p` from `used` on are its first. p may be NULL. */
void conn_switch(struct conn *c, const struct protocol *next, enum side from, const struct piece *p, size_t used);
struct conn_facts *conn_note(struct conn *c);   /* speaks[], proxy_preface, keep_alive_s, limited may be set here */
struct tls_facts *conn_tls(struct conn *c);     /* allocated at first call; NULL: no memory */
struct secrets;
struct secrets *conn_secrets(struct conn *c);   /* TLS secrets known so far; may be NULL */
void *conn_inner(struct conn *c, const struct protocol *p, bool late);  /* begins a protocol inside TLS; the caller ends and frees it */
void conn_limit(struct conn *c, const char *name);      /* a limit of SAFETY.md was reached: counted, and the connection marked */
void conn_passed_limit(struct conn *c, const char *name);       /* more than is kept, but all of it was looked at: counted */
void conn_said_close(struct conn *c);
void conn_said_goodbye(struct conn *c, enum side from, struct mark at); /* close_notify: it closed first, unless TCP says otherwise */
void conn_encrypted(struct conn *c);                    /* it cannot be read without keys: counted, once a call */
/* What a protocol inside TLS asked for by conn_switch(), and how many bytes of its piece it had used; NULL: nothing. */
const struct protocol *conn_switch_taken(struct conn *c, size_t *used);
/* A DNS message, whole but for its head, ends and name. */
void conn_tell_dns(struct conn *c, const struct dns_fact *f, struct span name);
bool conn_charge(struct conn *c, size_t bytes);         /* memory that a library took for this connection; false: at the bound */
void conn_uncharge(struct conn *c, size_t bytes);
uint8_t *conn_scratch(struct conn *c, size_t size);     /* the thread's own, good until the next call; NULL: no memory */

/* Memory charged to the decoder; NULL at the bound (limits.h) or without memory. */
void *conn_alloc(struct conn *c, size_t size);
void *conn_grow(struct conn *c, void *p, size_t old_size, size_t new_size);
void  conn_release(struct conn *c, void *p, size_t size);

static inline uint64_t piece_wire_at(const struct piece *p, size_t n)
{
	return p->nested ? p->wire_end : p->offset + n;
}

#endif
