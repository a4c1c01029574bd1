/* test_coding.c - bodies that are what their Content-Encoding says, and others, followed to their end */
#include "http1_stub.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef HAVE_ZLIB
#include <zlib.h>

enum { BODY_BYTES = 4096, ALL_BYTES = 16384, BOMB_PART = 2 << 20 };

#define GET "GET /feed HTTP/1.1\r\nHost: a\r\n\r\n"
#define CODING violation_bit(VIOLATION_CONTENT_CODING)
#define CUT    violation_bit(VIOLATION_CONTENT_CODING_CUT)

/* zlib.h, deflateInit2 */
enum { RAW = -MAX_WBITS, ZLIB = MAX_WBITS, GZIP = 16 + MAX_WBITS };

struct body { uint8_t bytes[BODY_BYTES]; size_t n; };

static void body_add(struct body *b, const void *bytes, size_t n)
{
	memcpy(b->bytes + b->n, bytes, n);
	b->n += n;
}

/* 2,000 numbers: something of every kind of block. */
static struct body body_packed(int window_bits)
{
	struct body b = { .n = 0 };
	z_stream z = { .next_out = b.bytes, .avail_out = sizeof b.bytes };
	uint8_t text[2000];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)('0' + i * i % 37 % 10);
	z.next_in = text;
	z.avail_in = sizeof text;
	if (deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	b.n = z.total_out;
	(void)deflateEnd(&z);
	return b;
}

/* ---- how it is sent ------------------------------------------------------------------------ */

static size_t as_length(const char *coding, const struct body *b, uint8_t *to)
{
	int n = snprintf((char *)to, ALL_BYTES, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", coding, b->n);

	memcpy(to + n, b->bytes, b->n);
	return (size_t)n + b->n;
}

static size_t as_chunks(const char *coding, const struct body *b, uint8_t *to)
{
	size_t n = (size_t)snprintf((char *)to, ALL_BYTES, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nTransfer-Encoding: chunked\r\n\r\n", coding);

	for (size_t at = 0, part; at < b->n; at += part) {
		part = b->n - at < 7 ? b->n - at : 7;
		n += (size_t)snprintf((char *)to + n, ALL_BYTES - n, "%zx\r\n", part);
		memcpy(to + n, b->bytes + at, part);
		n += part;
		memcpy(to + n, "\r\n", 2);
		n += 2;
	}
	memcpy(to + n, "0\r\n\r\n", 5);
	return n + 5;
}

static size_t as_close(const char *coding, const struct body *b, uint8_t *to)
{
	int n = snprintf((char *)to, ALL_BYTES, "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n\r\n", coding);

	memcpy(to + n, b->bytes, b->n);
	return (size_t)n + b->n;
}

static struct wire *ask(bool checks)
{
	struct wire *w = wire_new(false);

	w->c.checks_coding = checks;
	wire_send(w, CLIENT, span_text(GET));
	return w;
}

static struct wire *hear(bool checks, struct span answer, size_t cut)
{
	struct wire *w = ask(checks);

	w->cut = cut;
	wire_send(w, SERVER, answer);
	wire_end(w, SERVER, END_FIN);
	wire_end(w, CLIENT, END_FIN);
	return w;
}

static bool check_one(struct span answer, size_t cut, uint64_t violations, uint64_t *offset)
{
	struct wire *w = hear(true, answer, cut);
	const struct message *m = &wire_told(w, 0)->f.response;
	bool good = CHECK_INT((int64_t)(m->violations & (CODING | CUT)), (int64_t)violations);

	good &= CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	good &= CHECK_INT(m->n_broken, violations != 0);
	good &= CHECK(w->c.allocated < 1024);   /* what unpacks is gone */
	*offset = m->broken[0].offset;
	wire_free(w);
	return good;
}

/* However it is framed, and however it is cut into packets. */
static void check_body(const char *what, const char *coding, const struct body *b, uint64_t violations)
{
	static size_t (*const framings[])(const char *, const struct body *, uint8_t *) = { as_length, as_chunks, as_close };
	static uint8_t answer[ALL_BYTES];
	uint64_t whole, cut;

	for (size_t i = 0; i < sizeof framings / sizeof framings[0]; i++) {
		struct span s = span_of(answer, framings[i](coding, b, answer));

		if (!check_one(s, 0, violations, &whole) || !check_one(s, 1, violations, &cut) || !CHECK_INT((int64_t)cut, (int64_t)whole))
			printf("#   %s, framing %zu\n", what, i);
	}
}

/* ---- what is sent -------------------------------------------------------------------------- */

TEST(a_body_that_is_what_it_says_breaks_nothing)
{
	struct body gzip = body_packed(GZIP), zlib = body_packed(ZLIB), raw = body_packed(RAW), twice = gzip, none = { .n = 0 };

	body_add(&twice, gzip.bytes, gzip.n);
	check_body("gzip", "gzip", &gzip, 0);
	check_body("x-gzip", "X-GZip", &gzip, 0);
	check_body("two members", "gzip", &twice, 0);
	check_body("zlib", "deflate", &zlib, 0);
	check_body("raw", "deflate", &raw, 0);
	check_body("nothing", "gzip", &none, 0);
	check_body("not ours to know", "br", &raw, 0);
	check_body("several", "gzip, gzip", &raw, 0);
}

TEST(a_body_that_ends_before_its_coding_is_cut)
{
	struct body gzip = body_packed(GZIP), zlib = body_packed(ZLIB), raw = body_packed(RAW), twice = gzip;

	body_add(&twice, gzip.bytes, gzip.n - 1);
	check_body("second member", "gzip", &twice, CUT);
	gzip.n -= 4;
	check_body("no length", "gzip", &gzip, CUT);
	gzip.n -= 4;
	check_body("no check sum either", "gzip", &gzip, CUT);
	gzip.n /= 2;
	check_body("half of it", "gzip", &gzip, CUT);
	gzip.n = 2;
	check_body("no more than the magic", "gzip", &gzip, CUT);
	zlib.n--;
	check_body("zlib", "deflate", &zlib, CUT);
	raw.n--;
	check_body("raw", "deflate", &raw, CUT);
}

TEST(a_body_that_is_coded_wrongly_is_told)
{
	struct body sum = body_packed(GZIP), length = sum, data = sum, zlib = body_packed(ZLIB), more = sum, zlib_more = zlib;
	struct body plain = { .n = 0 }, one = { "\x1f", 1 };

	sum.bytes[sum.n - 8] ^= 1;              /* RFC 1952 2.3.1: CRC32, ISIZE */
	check_body("check sum", "gzip", &sum, CODING);
	length.bytes[length.n - 4] ^= 1;
	check_body("length", "gzip", &length, CODING);
	memset(data.bytes + 10, 0xff, 8);
	check_body("data", "gzip", &data, CODING);
	zlib.bytes[zlib.n - 1] ^= 1;
	check_body("zlib's check sum", "deflate", &zlib, CODING);
	body_add(&more, "garbage behind it", 17);
	check_body("garbage behind it", "gzip", &more, CODING);
	body_add(&zlib_more, "x", 1);
	check_body("garbage behind zlib", "deflate", &zlib_more, CODING);
	body_add(&plain, "{\"plain\": true}", 15);
	check_body("plain", "gzip", &plain, CODING);
	check_body("half a magic", "gzip", &one, CODING);
}

/* Content-Length of the plain body: the gzip stream is shorter, and the server closes. That is a body cut short. */
TEST(the_length_of_the_plain_body_is_no_wrong_coding)
{
	struct body gzip = body_packed(GZIP);
	uint8_t answer[ALL_BYTES];
	int n = snprintf((char *)answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2000\r\n\r\n");
	struct wire *w;

	memcpy(answer + n, gzip.bytes, gzip.n);
	w = hear(true, span_of(answer, (size_t)n + gzip.n), 0);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_PARTIAL_BODY);
	CHECK_INT((int64_t)wire_told(w, 0)->f.response.violations, 0);
	wire_free(w);
}

TEST(only_where_it_was_asked_for)
{
	struct body gzip = body_packed(GZIP);
	uint8_t answer[ALL_BYTES];
	struct wire *w;

	gzip.n -= 4;
	w = hear(false, span_of(answer, as_length("gzip", &gzip, answer)), 0);
	CHECK_INT((int64_t)wire_told(w, 0)->f.response.violations, 0);
	wire_free(w);
}

TEST(a_part_of_a_body_proves_nothing)
{
	struct wire *w = ask(true);

	wire_send(w, SERVER, span_text("HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\npart"));
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT((int64_t)wire_told(w, 0)->f.response.violations, 0);
	wire_free(w);
}

TEST(a_body_with_a_hole_proves_nothing)
{
	struct body gzip = body_packed(GZIP);
	uint8_t answer[ALL_BYTES];
	size_t n = as_length("gzip", &gzip, answer), head = n - gzip.n;

	for (size_t hole = head; hole < n; hole += 13) {
		struct wire *w = ask(true);
		size_t missing = n - hole < 5 ? n - hole : 5;

		wire_send(w, SERVER, span_of(answer, hole));
		wire_gap(w, SERVER, missing, WHY_LOST);
		wire_send(w, SERVER, span_of(answer + hole + missing, n - hole - missing));
		wire_end(w, SERVER, END_FIN);
		CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
		CHECK_INT((int64_t)wire_told(w, 0)->f.response.violations, 0);
		wire_free(w);
	}
}

/* Blocks of zeros, 1,020 times smaller than what they hold. Behind a full flush nothing is referred to, so that they may
 * be said again and again. */
static struct body bomb_part(void)
{
	struct body b = { .n = 0 };
	uint8_t *zeros = calloc(1, BOMB_PART);
	z_stream z = { .next_in = zeros, .avail_in = BOMB_PART, .next_out = b.bytes, .avail_out = sizeof b.bytes };

	if (zeros == NULL || deflateInit2(&z, 9, Z_DEFLATED, RAW, 9, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&z, Z_FULL_FLUSH) != Z_OK)
		abort();
	b.n = z.total_out;
	(void)deflateEnd(&z);
	free(zeros);
	return b;
}

TEST(a_bomb_is_given_up_beyond_a_gibibyte)
{
	struct body part = bomb_part();
	struct wire *w = ask(true);
	unsigned turns = 0;
	uint64_t given;

	wire_send(w, SERVER, span_text("HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 999999999\r\n\r\n"));
	for (; turns < 1024 && w->c.passed == NULL; turns++)
		wire_send(w, SERVER, span_of(part.bytes, part.n));
	CHECK_INT(turns, (1 << 30) / BOMB_PART + 1);
	CHECK_STR(w->c.passed != NULL ? w->c.passed : "", "decompression");
	given = w->given[SERVER];
	wire_send(w, SERVER, span_of(part.bytes, part.n));
	CHECK_INT((int64_t)(w->given[SERVER] - given), 0);      /* it is skipped from here on */
	CHECK_INT((int64_t)wire_told(w, 0)->f.response.violations, 0);
	wire_free(w);
}

#else
TEST(without_zlib_no_body_is_followed) { CHECK(true); }
#endif

TEST_MAIN()
