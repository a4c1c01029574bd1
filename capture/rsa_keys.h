/* rsa_keys.h - servers' private keys, for TLS sessions whose key exchange is RSA (TLS_RSA_*, until TLS 1.2)
 *
 *     struct rsa_keys *k = rsa_keys_new();                  NULL: no memory, or built without libcrypto
 *     rsa_keys_file(k, "server.pem", &err);                 read whole: the sandbox is closed later
 *     if (rsa_keys_open(k, sealed, offered, premaster)) …
 *     name = rsa_keys_unfit(k);
 *     rsa_keys_free(k);                                     libcrypto wipes them
 *
 * Any thread may open while others do. No byte of a key is ever printed or named in an error.
 */
#ifndef WHY502_RSA_KEYS_H
#define WHY502_RSA_KEYS_H

#include "err.h"
#include "span.h"

#include <stdbool.h>

enum { PREMASTER_BYTES = 48 };          /* RFC 5246 7.4.7.1 */

struct rsa_keys;

struct rsa_keys *rsa_keys_new(void);
void rsa_keys_free(struct rsa_keys *k); /* NULL is allowed */
enum err_code rsa_keys_file(struct rsa_keys *k, const char *path, struct err *e);
/* What a client sealed for the server, with one of the keys. It begins with the version that the client offered: what does
 * not was sealed for another key. */
bool rsa_keys_open(struct rsa_keys *k, struct span sealed, uint16_t offered, uint8_t premaster[static PREMASTER_BYTES]);
/* The file of a key that was tried and fitted nowhere; NULL: none. */
const char *rsa_keys_unfit(const struct rsa_keys *k);
/* The file of a key that others than its owner can read; NULL: none. */
const char *rsa_keys_exposed(const struct rsa_keys *k);

#endif
