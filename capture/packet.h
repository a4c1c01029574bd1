/* packet.h - what capture/ hands on: batches of packets
 *
 * The bytes of a batch lie in one chunk of memory that the batch holds a reference to. Who wants
 * them longer than the next source_next() takes a reference of its own (chunk_ref) and gives it
 * back (chunk_unref) from any thread.
 */
#ifndef WHY502_PACKET_H
#define WHY502_PACKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL
#define NS_PER_US 1000LL

enum { PACKETS_PER_BATCH = 64 };

enum direction { DIRECTION_UNKNOWN, DIRECTION_IN, DIRECTION_OUT };

struct packet {
	const uint8_t *bytes;       /* caplen of them, in the batch's chunk */
	uint32_t  caplen;           /* bytes kept */
	uint32_t  len;              /* bytes on the wire; >= caplen */
	int64_t   time_ns;          /* since 1970, shifted by --clock */
	uint64_t  number;           /* from 1 over all files, as frame.number */
	uint64_t  frame;            /* from 1 within its own file */
	uint64_t  offset;           /* of its record in its own file, bytes */
	uint16_t  link_type;        /* LINKTYPE_ value, see tcpdump.org/linktypes.html */
	uint16_t  interface;        /* index into source_interfaces() */
	uint16_t  file;             /* index into source_files() */
	uint8_t   direction;        /* enum direction */
	bool      filtered;         /* left out by a filter: numbered and opens conversations, not judged */
};

struct chunk {
	atomic_uint refs;
	size_t      size;
	uint8_t    *bytes;
};

void chunk_ref(struct chunk *c);
void chunk_unref(struct chunk *c);      /* frees with the last reference; NULL is allowed */

struct packet_batch {
	unsigned       n;
	struct packet  packets[PACKETS_PER_BATCH];
	struct chunk  *chunk;       /* one reference; batch_clear() gives it back */
	int64_t        now_ns;      /* capture time after the batch; live: also of an empty one (a tick) */
};

void batch_clear(struct packet_batch *b);

#endif
