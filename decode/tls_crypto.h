/* tls_crypto.h - one direction's records opened, by libcrypto. RFC 8446 5.2 and 7, RFC 5246 6.2.3 and 6.3
 *
 * An opener holds the keys of one side from one change of keys to the next, and the number of the next record.
 * Without libcrypto there is none: each function that makes one gives NULL.
 *
 *     o = tls_opener_12(&params, CLIENT, &master);          NULL: suite unknown, or no memory
 *     if (tls_open(o, type, version, body, room, &opened)) …       opened.plain lies in room
 *     tls_opener_free(o);                                   keys are wiped
 */
#ifndef WHY502_TLS_CRYPTO_H
#define WHY502_TLS_CRYPTO_H

#include "../capture/secrets.h"
#include "fact.h"

struct tls_opener;

struct tls_params {
	uint16_t version, cipher;
	bool     etm;                           /* encrypt then MAC, RFC 7366 */
	const uint8_t *client_random, *server_random;   /* 32 bytes each */
};

struct tls_opened { uint8_t type; struct span plain; };

enum { TLS_ROOM = 16384 + 2048 + 64, TLS_OPENER_BYTES = 2048 };  /* what libcrypto's contexts take, measured, rounded up */

struct tls_opener *tls_opener_12(const struct tls_params *p, enum side from, const struct secret *master);
/* RFC 5246 8.1; `said`, all handshake messages so far: the extended one, RFC 7627 4. */
bool tls_master(const struct tls_params *p, struct span premaster, struct span said, struct secret *master);
bool tls_hash(struct span bytes, uint8_t hash[static 32]);      /* SHA-256 */

struct tls_opener *tls_opener_13(uint16_t cipher, const struct secret *traffic);
bool tls_opener_update(struct tls_opener *o);   /* the next traffic secret, RFC 8446 7.2 */
void tls_opener_free(struct tls_opener *o);     /* NULL is allowed */

/* Opens the next record. False: it was not sealed with these keys as the next one; the number stays. room: TLS_ROOM bytes. */
bool tls_open(struct tls_opener *o, uint8_t type, uint16_t version, struct span body, uint8_t *room, struct tls_opened *out);
/* The next record is passed over. False: what follows cannot be opened then (a stream cipher, CBC of TLS 1.0). */
bool tls_opener_pass(struct tls_opener *o);
/* Plaintext in a record of so many bytes, at most; `exact`: just so many. */
size_t tls_opener_plain(const struct tls_opener *o, size_t length, bool *exact);
/* May several numbers be tried for one record? (AEAD) */
bool tls_opener_is_aead(const struct tls_opener *o);
void tls_opener_back(struct tls_opener *o, uint64_t records);   /* undoes so many tls_opener_pass() */

#endif
