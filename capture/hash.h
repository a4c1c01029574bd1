/* hash.h - SipHash-1-3 with a key, and a finished 64-bit mix for fingerprints
 *
 * Tables are keyed with random bytes, since strangers choose what goes in (SAFETY.md); fingerprints
 * (is this the same target?) use a fixed key, so that facts are the same in every run and thread.
 */
#ifndef WHY502_HASH_H
#define WHY502_HASH_H

#include "span.h"

struct hash_key { uint64_t k0, k1; };

/* Aumasson and Bernstein, "SipHash: a fast short-input PRF", with c=1, d=3. */
uint64_t hash_bytes(const struct hash_key *key, struct span s);

/* A random key from getrandom(2). */
struct hash_key hash_key_random(void);

/* Fingerprint under the fixed key; 0 is never returned, so that 0 can mean none. */
uint64_t fingerprint(struct span s);

#endif
