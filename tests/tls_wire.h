/* tls_wire.h - one TCP connection whose bytes a test chooses, as packets, and the facts that come of it
 *
 *     struct wire w = wire_new();
 *     w.segment = 1;                                  one byte a packet
 *     wire_send(&w, CLIENT, bytes);
 *     wire_fin(&w, SERVER);
 *     wire_decode(&w, secrets);
 *     w.exchange[0] …; w.tls …
 *     wire_free(&w);
 */
#ifndef WHY502_TLS_WIRE_H
#define WHY502_TLS_WIRE_H

#include "../capture/secrets.h"
#include "../decode/decode.h"

enum { WIRE_EXCHANGES = 16 };

struct wire_packet { struct packet p; uint8_t *bytes; };

struct wire {
	struct wire_packet *packets; size_t n, size;
	size_t segment;                 /* payload of a packet, at most; 0: 1400 */
	uint32_t sent[2];               /* bytes, FIN included */
	int64_t now_ns;
	uint16_t port;                  /* of the server */
	bool unseen;                    /* what is sent now is not in the capture */
	void (*before)(void *ctx, size_t packet); void *before_ctx;     /* called before each packet is decoded; may be NULL */
	/* what came of it */
	struct exchange_fact *exchange[WIRE_EXCHANGES]; unsigned n_exchanges;
	struct dns_fact dns[WIRE_EXCHANGES]; char dns_name[WIRE_EXCHANGES][64]; unsigned n_dns;
	struct conn_facts conn;         /* of the last fact that has it */
	struct tls_facts tls;
	struct decode_counters counters;
};

struct wire wire_new(void);                     /* with its handshake, to port 443 */
struct wire wire_new_to(uint16_t port);
void wire_send(struct wire *w, enum side from, struct span bytes);
void wire_fin(struct wire *w, enum side from);
void wire_decode(struct wire *w, struct secrets *secrets);      /* may be called again: what came before is dropped */
struct span wire_target(const struct wire *w, unsigned i);      /* of exchange i; empty where there is none */
void wire_free(struct wire *w);

#endif
