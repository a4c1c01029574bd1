/* limits.h - every limit on what strangers can make why502 keep or do (one name each; SAFETY.md's table)
 *
 * At a limit the tool goes on, counts it under capture.quality.limits_hit, and what it touched is not
 * of high confidence.
 */
#ifndef WHY502_LIMITS_H
#define WHY502_LIMITS_H

enum {
	LIMIT_SYN_ONLY            = 65536,
	LIMIT_REASSEMBLY_BYTES    = 1 << 20,    /* out of order, a direction */
	LIMIT_REASSEMBLY_TOTAL    = 64 << 20,
	LIMIT_REASSEMBLY_SEGMENTS = 1024,
	LIMIT_FRAGMENT_DATAGRAMS  = 4096,
	LIMIT_FRAGMENT_PIECES     = 128,
	LIMIT_FRAGMENT_BYTES      = 8 << 20,
	LIMIT_FRAGMENT_SECONDS    = 30,
	LIMIT_LAYERS              = 8,
	LIMIT_EXTENSION_HEADERS   = 16,
	LIMIT_HEAD_BYTES          = 64 << 10,   /* header section kept; its size is counted to its end */
	LIMIT_HEAD_TEXT           = 8 << 10,    /* of it, kept in the fact */
	LIMIT_FIELDS              = 256,
	LIMIT_INTERIM             = 16,
	LIMIT_STRING              = 8 << 10,
	LIMIT_BODY_TEXT           = 2 << 10,
	LIMIT_BODY_HASH           = 64 << 10,
	LIMIT_EXCHANGES           = 4096,       /* waiting on one connection */
	LIMIT_H2_STREAMS          = 4096,
	LIMIT_H2_CONTINUATIONS    = 64,
	LIMIT_HEADER_BLOCK        = 1 << 20,    /* decoded */
	LIMIT_HPACK_TABLE         = 64 << 10,
	LIMIT_TLS_HANDSHAKE       = 64 << 10,
	LIMIT_TLS_RECORDS         = 1000,
	LIMIT_SECRETS             = 100000,
	LIMIT_DNS_OPEN            = 4096,
	LIMIT_ICMP_KEPT           = 4096,
	LIMIT_DNS_RECORDS         = 64,
	LIMIT_DNS_POINTERS        = 16,
	LIMIT_PACKET_BYTES        = 262144,
	LIMIT_PCAPNG_BLOCK        = 16 << 20,
	LIMIT_PCAPNG_INTERFACES   = 65536,
	LIMIT_INTERFACE_OPTIONS   = 1 << 20,    /* bytes that captures say of their interfaces, for -w */
	LIMIT_INCIDENTS           = 10000,
	LIMIT_INCIDENT_BYTES      = 256 << 20,  /* of incidents kept in full; a quarter of --max-memory where that is less */
	LIMIT_NAMES               = 4096        /* of addresses, with -N */
};

#endif
