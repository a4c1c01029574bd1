/* decode.h - packets in, facts out
 *
 * A dealer reads batches of packets, takes IP apart, and deals segments to N decoders by the hash of
 * their ends; the merge hands on facts in the order of packets, with connection numbers as Wireshark
 * counts tcp.stream. With one thread all of it happens within decode_packets().
 *
 *     struct decode *d = decode_new(&options, sink, &err);
 *     while (source_next(...) == SOURCE_PACKETS) decode_packets(d, &batch);
 *     decode_end(d);                       what is still open is told
 *     decode_counters(d, &counters);
 *     decode_free(d);
 */
#ifndef WHY502_DECODE_H
#define WHY502_DECODE_H

#include "../capture/err.h"
#include "fact.h"

struct secrets;

struct decode_options {
	unsigned threads;               /* 1 to 16 */
	bool     exchanges;             /* every exchange as FACT_EXCHANGE */
	size_t   max_memory;            /* bytes; 0: a quarter of RAM */
	struct secrets *secrets;        /* TLS; may be NULL */
	bool     check_coding;          /* bodies under Content-Encoding are followed to their end */
	const struct endpoint (*only)[2];       /* connections between these ends alone, in either order; */
	size_t   n_only;                        /* 0: all there are */
};

/* Receives facts in order; the batch is the caller's again when it returns. Called from the thread that calls decode_*(). */
struct fact_sink { void *ctx; void (*facts)(void *ctx, const struct fact_batch *b); };

struct decode_counters {
	uint64_t connections;           /* opened, as tcp.stream counts them */
	uint64_t exchanges;
	uint64_t left_out;              /* packets that a filter, --since or --until leaves out */
	uint64_t bytes_cut;             /* of what is followed (not of bodies), cut off by snaplen */
	uint64_t undecodable_packets, tcp_gaps, joined_late, encrypted_without_keys, conflicting_segments;
	uint64_t evicted;               /* connections; above 0 numbers may differ from Wireshark's */
	unsigned n_limits;
	struct { const char *name; uint64_t count; } limits[48];        /* only those above zero, by name */
	size_t memory_peak;
};

/* Among limits[]: an allocation failed. What is missing for it may be anything, so no verdict is sure then. */
#define LIMIT_NAME_MEMORY "out_of_memory"
void counters_limit(struct decode_counters *c, const char *name, uint64_t count);
uint64_t counters_limit_of(const struct decode_counters *c, const char *name);

struct decode;

struct decode *decode_new(const struct decode_options *o, struct fact_sink sink, struct err *e);
void decode_packets(struct decode *d, struct packet_batch *b);   /* also an empty one: a tick at b->now_ns; sets times right (clock.h) */
void decode_end(struct decode *d);
void decode_counters(struct decode *d, struct decode_counters *c);
void counters_limit(struct decode_counters *c, const char *name, uint64_t count);       /* so many more */
void decode_free(struct decode *d);

#endif
