/* half.h - SYNs without an answer, and SYN-ACKs that nobody has acknowledged (for decoder.c)
 *
 * Anybody can make them up, so they have a table of fixed size and no buffers. Where it is full the oldest
 * goes: first those of addresses that never completed a handshake, of which nobody is told.
 */
#ifndef WHY502_HALF_H
#define WHY502_HALF_H

#include "../capture/hash.h"
#include "fact.h"
#include "segment.h"

struct decoder;

enum { SYN_ACK_OPTIONS = 40 };          /* the most that a TCP header has. RFC 9293 3.1 */

struct half {                           /* a SYN, and the SYN-ACK that nobody has acknowledged yet */
	struct tuple tuple;
	struct mark first, last;
	struct icmp_note icmp;
	struct mark answered, answered_last;    /* by SYN-ACKs */
	uint32_t answer_seq;
	uint16_t answer_window, answer_ip_id, answers, answer_tap;
	uint8_t  answer_ttl, answer_options_len, answer_options[SYN_ACK_OPTIONS];
	uint32_t isn, id, index, generation;
	uint32_t older, newer;          /* of its list, by the time of its SYN */
	uint32_t hash_low;
	uint16_t syns, window, mss, ip_id, tap;
	uint8_t  from, ttl, window_scale;
	bool     used, sack, timestamps, stranger, copies;
};

/* SYNs without an answer, oldest first: apart those from addresses that never completed a handshake, since anybody can
 * make them up. */
enum half_list { HALF_KNOWN, HALF_STRANGER, HALF_LISTS };
struct halves { uint32_t oldest[HALF_LISTS], newest[HALF_LISTS]; };

/* Addresses that took part in a completed handshake, the latest of each set. */
enum { MET_SETS = 4096, MET_WAYS = 4 };
struct met { struct hash_key key; uint64_t address[MET_SETS][MET_WAYS]; };

struct half *half_find(struct decoder *d, const struct tuple *t, uint64_t hash);       /* NULL: none */
struct half *half_syn(struct decoder *d, const struct segment *s);      /* a new one; NULL: no memory */
struct half *half_oldest(struct decoder *d);                            /* NULL: none */
void half_again(struct decoder *d, struct half *h, const struct segment *s);   /* the SYN again, or the same packet seen twice */
bool half_answer(struct half *h, const struct segment *s);              /* a SYN-ACK for it? Then it is kept */
struct segment half_answer_again(const struct half *h);                 /* the first SYN-ACK, as it came */
void half_waited(struct decoder *d, const struct half *h, uint32_t generation);        /* for a second */
void half_tell(struct decoder *d, const struct half *h, bool final);    /* FACT_SYN */
void half_drop(struct decoder *d, struct half *h);                      /* its id lives on */
void half_forget(struct decoder *d, struct half *h);

#endif
