/* learn.h - what the capture as a whole teaches, bounded in memory
 *
 * Learnt from every fact, healthy ones first of all: each upstream's idle limit, requests a connection,
 * what its port speaks, the hop limits its address sends with, who answered when. A rule asks for what it
 * needs to tell lookalikes apart. All answers are about what has been seen up to now; at the end of a file
 * every incident is judged again with everything.
 */
#ifndef WHY502_LEARN_H
#define WHY502_LEARN_H

#include "../decode/fact.h"

struct learned;

struct learned *learned_new(void);
void learned_free(struct learned *l);
void learned_fact(struct learned *l, const struct fact *f);     /* call for every fact, in order */

struct idle_limit {             /* of a server: it closed connections that were idle, first, after a complete response */
	unsigned n;             /* closes seen; 0: nothing learnt */
	int64_t min_ns, median_ns, max_ns;
	unsigned said_s;        /* its own Keep-Alive: timeout=N; 0: not said */
};
void learned_idle(const struct learned *l, const struct endpoint *server, struct idle_limit *out);

/* Requests after which this server closes connections (always the same number, three times or more); 0: none. */
uint32_t learned_max_requests(const struct learned *l, const struct endpoint *server);

struct server_seen {
	uint64_t connections, answered;         /* connections that got a SYN-ACK; requests with a response (any protocol) */
	uint64_t refused, syn_unanswered;
	uint64_t http1, http2, tls;             /* connections on which it spoke this */
	uint64_t proxy_answered;                /* connections with a PROXY preface that got an HTTP answer, 400 left out */
	uint8_t  foreign;                       /* enum speaks of another protocol it spoke; 0: none */
	uint64_t largest_head_passed;           /* largest response header section whose exchange ended well at the gateway */
	struct mark last_answer;                /* last response of any kind from it */
	uint8_t  software[SOFTWARE_BYTES];      /* as its last answer has it */
	uint32_t signs;                         /* enum sign, of its last answer */
};
bool learned_server(const struct learned *l, const struct endpoint *server, struct server_seen *out);

/* Did this server complete a handshake (or answer a request) for somebody between the two times, connection `not_this` left out? */
bool learned_connected_between(const struct learned *l, const struct endpoint *server, int64_t from_ns, int64_t to_ns, uint32_t not_this, struct mark *when);
bool learned_answered_between(const struct learned *l, const struct endpoint *server, int64_t from_ns, int64_t to_ns, uint32_t not_this, struct mark *when);

/* Closes by this server (FIN or RST first) between the two times, on distinct connections: a restart, a kill, a deploy. */
unsigned learned_closed_together(const struct learned *l, const struct endpoint *server, int64_t from_ns, int64_t to_ns);

/* Admitted connections (handshake done) to this server whose first request was acknowledged and never answered, or never
 * acknowledged, opened between the two times: the signs of a full accept queue. */
struct queue_signs {
	unsigned syn_dropped, unacked, acked_unanswered, syn_ack_resent;
	struct mark dropped, unserved;  /* examples: a SYN that was dropped; of the others the request (one acknowledged, where there is one) */
};
void learned_queue(const struct learned *l, const struct endpoint *server, int64_t from_ns, int64_t to_ns, struct queue_signs *out);

/* Hop limits that this address and port (port 0: any) has sent with, RSTs left out: false if none was seen. */
bool learned_ttl(const struct learned *l, const struct endpoint *e, uint8_t *min, uint8_t *max);

/* Connections opened from a gateway's back address between the two times, to anybody; in whole seconds, and of the last minute before
 * the newest. */
unsigned learned_attempts_from(const struct learned *l, const uint8_t address[static 16], int64_t from_ns, int64_t to_ns);

/* Does what is kept of this server's past still reach back to this time? Where not, an older verdict knew more. */
bool learned_covers(const struct learned *l, const struct endpoint *server, int64_t from_ns);

#endif
