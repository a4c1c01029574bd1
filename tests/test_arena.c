/* test_arena.c - arenas and their limit; hashes against what their authors publish */
#include "../capture/arena.h"
#include "../capture/hash.h"
#include "check.h"

TEST(arena_memory_is_zeroed_and_aligned)
{
	struct arena a;

	arena_init(&a, 1 << 20);
	for (size_t size = 0; size < 300; size++) {
		uint8_t *p = arena_alloc(&a, size);

		CHECK_OR_RETURN(p != NULL);
		CHECK_INT((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < size; i++)
			CHECK_OR_RETURN(p[i] == 0);
		memset(p, 0xff, size);          /* pieces do not overlap: the next ones are 0 all the same */
	}
	arena_clear(&a);
	CHECK_INT(a.used, 0);
}

TEST(arena_takes_a_piece_larger_than_any_block)
{
	struct arena a;
	uint8_t *p;

	arena_init(&a, 10 << 20);
	p = arena_alloc(&a, 1 << 20);
	CHECK_OR_RETURN(p != NULL);
	memset(p, 1, 1 << 20);
	CHECK(arena_alloc(&a, 10) != NULL);
	arena_clear(&a);
}

TEST(arena_ends_at_its_limit_and_no_sooner)
{
	struct arena a;

	arena_init(&a, 64);
	CHECK(arena_alloc(&a, 32) != NULL);
	CHECK(arena_alloc(&a, 33) == NULL);
	CHECK(arena_alloc(&a, 32) != NULL);
	CHECK(arena_alloc(&a, 1) == NULL);
	CHECK(arena_alloc(&a, SIZE_MAX) == NULL);
	arena_clear(&a);
	CHECK(arena_alloc(&a, 64) != NULL);
	arena_clear(&a);
}

TEST(arena_with_a_huge_limit_survives_a_huge_size)
{
	struct arena a;

	arena_init(&a, SIZE_MAX);
	CHECK(arena_alloc(&a, SIZE_MAX) == NULL);
	CHECK(arena_alloc(&a, SIZE_MAX - 40) == NULL);
	CHECK(arena_alloc(&a, 40) != NULL);
	arena_clear(&a);
}

TEST(arena_copy_and_text)
{
	struct arena a;
	char source[] = "shop";
	struct span copy;

	arena_init(&a, 200);
	copy = arena_copy(&a, span_text(source));
	source[0] = 'x';
	CHECK_SPAN(copy, "shop");
	CHECK_STR(arena_text(&a, "idle %d s", 5), "idle 5 s");
	CHECK_STR(arena_text(&a, "%s", ""), "");
	CHECK_STR(arena_text(&a, "%300d", 1), "");      /* no room: empty, never NULL */
	CHECK_SPAN(arena_copy(&a, span_of(source, 0)), "");
	arena_clear(&a);
}

/* The reference code with c=1, d=3 (https://github.com/veorq/SipHash): key 0, no message; then key
 * 00 01 .. 0f and message 00 01 .. n-1, as the paper's appendix has it for c=2, d=4. */
TEST(siphash_1_3_gives_the_reference_values)
{
	static const struct { size_t n; uint64_t wanted; } rows[] = {
		{ 0, 0xabac0158050fc4dcULL }, { 1, 0xc9f49bf37d57ca93ULL }, { 2, 0x82cb9b024dc7d44dULL },
		{ 7, 0xd3927d989bb11140ULL }, { 8, 0x369095118d299a8eULL }, { 15, 0xd320d86d2a519956ULL },
	};
	struct hash_key zero = { 0, 0 }, key = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };
	uint8_t message[16];

	for (uint8_t i = 0; i < sizeof message; i++)
		message[i] = i;
	CHECK(hash_bytes(&zero, span_none()) == 0xd1fba762150c532cULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		CHECK(hash_bytes(&key, span_of(message, rows[i].n)) == rows[i].wanted);
}

TEST(hash_depends_on_key_length_and_every_byte)
{
	struct hash_key key = hash_key_random(), other = hash_key_random();
	uint8_t message[40] = { 0 };

	CHECK(key.k0 != other.k0);
	for (size_t n = 0; n < sizeof message; n++) {
		uint64_t plain = hash_bytes(&key, span_of(message, n));

		CHECK(plain != hash_bytes(&other, span_of(message, n)));
		CHECK(plain != hash_bytes(&key, span_of(message, n + 1)));
		for (size_t i = 0; i < n; i++) {
			message[i] = 1;
			CHECK(plain != hash_bytes(&key, span_of(message, n)));
			message[i] = 0;
		}
	}
}

TEST(fingerprint_is_the_same_each_time_and_never_0)
{
	CHECK(fingerprint(span_text("/cart")) == fingerprint(span_text("/cart")));
	CHECK(fingerprint(span_none()) != 0);
	CHECK(fingerprint(span_text("/cart")) != fingerprint(span_text("/carT")));
}

TEST(fingerprint_tells_every_bit_and_length)
{
	uint8_t message[70] = { 0 };

	for (size_t n = 0; n < sizeof message; n++) {
		uint64_t plain = fingerprint(span_of(message, n));

		CHECK(plain != fingerprint(span_of(message, n + 1)));
		for (size_t bit = 0; bit < 8 * n; bit++) {
			uint64_t flipped;

			message[bit / 8] ^= (uint8_t)(1U << bit % 8);
			flipped = fingerprint(span_of(message, n));
			message[bit / 8] = 0;
			/* A good mix changes half of the 64 bits; 8 to 56 leave no doubt. */
			CHECK(__builtin_popcountll(plain ^ flipped) > 8 && __builtin_popcountll(plain ^ flipped) < 56);
		}
	}
}

TEST(fingerprints_of_like_paths_do_not_collide)
{
	enum { N = 20000, SLOTS = 1 << 16 };
	static uint64_t seen[N];
	static uint16_t load[SLOTS];
	unsigned fullest = 0;
	char path[40];

	for (unsigned i = 0; i < N; i++) {
		snprintf(path, sizeof path, "/api/v2/items/%u", i);
		seen[i] = fingerprint(span_text(path));
		load[seen[i] % SLOTS]++;
		if (load[seen[i] % SLOTS] > fullest)
			fullest = load[seen[i] % SLOTS];
	}
	CHECK(fullest < 8);                     /* low bits alone spread, as a table uses them */
}

TEST_MAIN()
