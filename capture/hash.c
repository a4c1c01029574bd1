/* hash.c - SipHash-1-3, and the fingerprint */
#include "hash.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

__extension__ typedef unsigned __int128 uint128;

static inline uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

/* Up to 8 bytes as a little-endian number, the missing ones 0. */
static inline uint64_t load_le(const uint8_t *p, size_t n)
{
	uint64_t x = 0;

	memcpy(&x, p, n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	x = __builtin_bswap64(x);
#endif
	return x;
}

struct sip { uint64_t v0, v1, v2, v3; };

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1; s->v1 = rotate(s->v1, 13) ^ s->v0; s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3; s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3; s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1; s->v1 = rotate(s->v1, 17) ^ s->v2; s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);                           /* c = 1 */
	s->v0 ^= m;
}

uint64_t hash_bytes(const struct hash_key *key, struct span in)
{
	struct sip s = {
		key->k0 ^ 0x736f6d6570736575ULL, key->k1 ^ 0x646f72616e646f6dULL,
		key->k0 ^ 0x6c7967656e657261ULL, key->k1 ^ 0x7465646279746573ULL,
	};
	size_t whole = in.len & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(&s, load_le(in.at + i, 8));
	sip_word(&s, (uint64_t)in.len << 56 | load_le(in.at + whole, in.len & 7));
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)             /* d = 3 */
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Without getrandom (a kernel before 3.17, an old sandbox) a weaker key is better than none. */
static struct hash_key key_from_clock(const void *where)
{
	struct hash_key k = { (uint64_t)getpid() << 32, (uint64_t)(uintptr_t)where };
	struct timespec t = { 0, 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	k.k0 ^= (uint64_t)t.tv_nsec * 0x9e3779b97f4a7c15ULL;
	k.k1 ^= (uint64_t)t.tv_sec * 0xd6e8feb86659fd93ULL;
	return k;
}

struct hash_key hash_key_random(void)
{
	struct hash_key k = { 0, 0 };
	ssize_t n;

	do
		n = getrandom(&k, sizeof k, 0);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof k ? k : key_from_clock(&k);
}

/* Both halves of the full product: every bit in moves every bit out. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	uint128 product = (uint128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t fingerprint(struct span s)
{
	/* Odd numbers from the digits of pi: no weight of their own. */
	static const uint64_t k0 = 0x243f6a8885a308d3ULL, k1 = 0x13198a2e03707345ULL,
	                      k2 = 0xa4093822299f31d1ULL, k3 = 0x082efa98ec4e6c89ULL;
	uint64_t h = k0 ^ (uint64_t)s.len * k3;
	size_t i = 0;

	/* h is added, not multiplied in: a piece equal to k1 must not wipe out what came before. */
	for (; s.len - i > 16; i += 16)
		h = rotate(h, 29) + mix(load_le(s.at + i, 8) ^ k1, load_le(s.at + i + 8, 8) ^ k2 ^ h);
	if (s.len - i > 8)
		h = rotate(h, 29) + mix(load_le(s.at + i, 8) ^ k1, load_le(s.at + i + 8, s.len - i - 8) ^ k2 ^ h);
	else
		h = rotate(h, 29) + mix(load_le(s.at + i, s.len - i) ^ k1, k2 ^ h);
	h = mix(h ^ k3, k1);
	return h != 0 ? h : 1;
}
