/* test_source.c - saved captures of every kind, whole, cut, read one byte at a time, packed and merged
 *
 * The captures are built here, byte by byte, in a directory of their own under /tmp.
 */
#include "../capture/hash.h"
#include "../capture/limits.h"
#include "../capture/source.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- read(2) of ours, which can be as slow as a read can be ---- */

static size_t read_most;                /* bytes a call; 0: as many as asked for */
static bool read_interrupted;           /* every other call fails with EINTR */

ssize_t read(int fd, void *to, size_t n)
{
	static bool now;

	if (read_interrupted && (now = !now)) {
		errno = EINTR;
		return -1;
	}
	return syscall(SYS_read, fd, to, read_most != 0 && n > read_most ? read_most : n);
}

/* ---- building captures ---- */

enum { CAPTURE_BYTES = 2 << 20 };

struct build { uint8_t bytes[CAPTURE_BYTES]; size_t n; bool big; };

static struct build one, two;           /* too large for the stack */

static void put(struct build *b, const void *bytes, size_t n)
{
	if (b->n + n > sizeof b->bytes)
		abort();
	if (bytes != NULL)
		memcpy(b->bytes + b->n, bytes, n);
	else
		memset(b->bytes + b->n, 0, n);
	b->n += n;
}

static void put16(struct build *b, unsigned x)
{
	uint8_t bytes[2] = { (uint8_t)(x >> 8), (uint8_t)x }, little[2] = { (uint8_t)x, (uint8_t)(x >> 8) };

	put(b, b->big ? bytes : little, 2);
}

static void put32(struct build *b, uint32_t x)
{
	put16(b, b->big ? x >> 16 : x & 0xffff);
	put16(b, b->big ? x & 0xffff : x >> 16);
}

static void put64(struct build *b, uint64_t x)
{
	put32(b, (uint32_t)(b->big ? x >> 32 : x));
	put32(b, (uint32_t)(b->big ? x : x >> 32));
}

static void pcap_head(struct build *b, bool big, uint32_t magic, unsigned minor, uint32_t network)
{
	b->n = 0;
	b->big = big;
	put32(b, magic);
	put16(b, 2);
	put16(b, minor);
	put64(b, 0);
	put32(b, 65535);
	put32(b, network);
}

static void pcap_packet(struct build *b, uint32_t sec, uint32_t frac, const char *data, uint32_t cut)
{
	uint32_t n = (uint32_t)strlen(data);

	put32(b, sec);
	put32(b, frac);
	put32(b, n - cut);
	put32(b, n);
	put(b, data, n - cut);
}

/* A block's start; block_end() sets its lengths. */
static size_t block(struct build *b, uint32_t type)
{
	put32(b, type);
	put32(b, 0);
	return b->n - 8;
}

static void block_end(struct build *b, size_t start)
{
	uint32_t length;
	size_t end;

	put(b, NULL, (4 - b->n % 4) % 4);
	end = b->n + 4;
	length = (uint32_t)(end - start);
	put32(b, length);
	b->n = start + 4;
	put32(b, length);
	b->n = end;
}

static void option(struct build *b, unsigned code, const void *bytes, size_t n)
{
	put16(b, code);
	put16(b, (unsigned)n);
	put(b, bytes, n);
	put(b, NULL, (4 - n % 4) % 4);
}

static void section(struct build *b, bool big)
{
	size_t start;

	b->big = big;
	start = block(b, 0x0a0d0d0a);
	put32(b, 0x1a2b3c4d);
	put16(b, 1);
	put16(b, 0);
	put64(b, UINT64_MAX);
	block_end(b, start);
}

static void interface(struct build *b, unsigned link_type, uint32_t snaplen, int resolution, const char *name)
{
	size_t start = block(b, 1);
	uint8_t r = (uint8_t)resolution;

	put16(b, link_type);
	put16(b, 0);
	put32(b, snaplen);
	if (name != NULL)
		option(b, 2, name, strlen(name));
	if (resolution >= 0)
		option(b, 9, &r, 1);
	block_end(b, start);
}

static size_t enhanced_begin(struct build *b, uint32_t id, uint64_t ticks, const char *data)
{
	size_t start = block(b, 6), n = strlen(data);

	put32(b, id);
	put32(b, (uint32_t)(ticks >> 32));
	put32(b, (uint32_t)ticks);
	put32(b, (uint32_t)n);
	put32(b, (uint32_t)n);
	put(b, data, n);
	put(b, NULL, (4 - n % 4) % 4);
	return start;
}

static void enhanced(struct build *b, uint32_t id, uint64_t ticks, const char *data)
{
	block_end(b, enhanced_begin(b, id, ticks, data));
}

static void simple(struct build *b, const char *data, uint32_t cut)
{
	size_t start = block(b, 3), n = strlen(data);

	put32(b, (uint32_t)n);
	put(b, data, n - cut);
	block_end(b, start);
}

/* ---- files ---- */

static char directory[64];

static const char *path_of(const char *name)
{
	static char paths[8][128];
	static unsigned turn;
	char *path = paths[turn++ % 8];

	if (directory[0] == '\0') {
		strcpy(directory, "/tmp/why502-source-XXXXXX");
		if (mkdtemp(directory) == NULL)
			abort();
	}
	snprintf(path, sizeof paths[0], "%s/%s", directory, name);
	return path;
}

static const char *write_file(const char *name, const void *bytes, size_t n)
{
	const char *path = path_of(name);
	FILE *f = fopen(path, "wb");

	if (f == NULL || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
		abort();
	return path;
}

/* ---- reading: what the tests look at afterwards ---- */

enum { KEPT = 400 };

struct seen {
	unsigned n;
	struct packet packets[KEPT];            /* their bytes are in `text` */
	char     text[KEPT][40];                /* the first 39 */
	uint64_t digest;                        /* of all bytes, times and lengths */
	char     secrets[200];
	struct source_counters counters;
	struct source_file file;                /* the first */
	char     interface[2][40];
	unsigned n_interfaces, n_files;
	enum source_status end;
	struct err e;
};

static struct seen seen;

static void on_secrets(void *ctx, struct span text)
{
	struct seen *s = ctx;
	size_t n = strlen(s->secrets);

	snprintf(s->secrets + n, sizeof s->secrets - n, "%.*s|", (int)text.len, (const char *)text.at);
}

static void look_at(struct seen *s, const struct packet *p)
{
	struct { uint64_t bytes; int64_t time_ns; uint32_t caplen, len; uint64_t number; } facts = {
		fingerprint(span_of(p->bytes, p->caplen)), p->time_ns, p->caplen, p->len, p->number,
	};

	s->digest = s->digest * 31 + fingerprint(span_of(&facts, sizeof facts));
	if (s->n < KEPT) {
		s->packets[s->n] = *p;
		snprintf(s->text[s->n], sizeof s->text[0], "%.*s", (int)p->caplen, (const char *)p->bytes);
	}
	s->n++;
}

static void finish(struct seen *s, struct source *src)
{
	const struct source_file *files;
	const struct source_interface *interfaces;

	source_counters(src, &s->counters);
	s->n_files = source_files(src, &files);
	if (s->n_files > 0)
		s->file = files[0];
	s->n_interfaces = source_interfaces(src, &interfaces);
	for (unsigned i = 0; i < s->n_interfaces && i < 2; i++)
		snprintf(s->interface[i], sizeof s->interface[0], "%s/%u/%u", interfaces[i].name, interfaces[i].link_type,
		         interfaces[i].snaplen);
}

static void read_with(const struct source_options *o)
{
	static struct packet_batch b;
	struct source *src;

	memset(&seen, 0, sizeof seen);
	seen.end = SOURCE_ERROR;
	src = source_open(o, &seen.e);
	if (src == NULL)
		return;
	source_on_secrets(src, on_secrets, &seen);
	while ((seen.end = source_next(src, &b, &seen.e)) == SOURCE_PACKETS || seen.end == SOURCE_TICK)
		for (unsigned i = 0; i < b.n; i++)
			look_at(&seen, &b.packets[i]);
	batch_clear(&b);
	finish(&seen, src);
	source_close(src);
}

static void read_file(const char *path)
{
	read_with(&(struct source_options){ .files = &path, .n_files = 1 });
}

static void read_built(const struct build *b)
{
	read_file(write_file("built", b->bytes, b->n));
}

/* ---- pcap ---- */

TEST(pcap_of_every_magic_gives_the_same_packets)
{
	static const struct { bool big; uint32_t magic, frac; } rows[] = {
		{ false, 0xa1b2c3d4, 502 }, { true, 0xa1b2c3d4, 502 }, { false, 0xa1b23c4d, 502000 }, { true, 0xa1b23c4d, 502000 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		pcap_head(&one, rows[i].big, rows[i].magic, 4, 1);
		pcap_packet(&one, 1000, rows[i].frac, "first", 0);
		pcap_packet(&one, 1001, 0, "second, cut", 5);
		read_built(&one);
		CHECK_INT(seen.end, SOURCE_END);
		CHECK_INT(seen.n, 2);
		CHECK_STR(seen.text[0], "first");
		CHECK_STR(seen.text[1], "second");
		CHECK_INT(seen.packets[0].time_ns, 1000 * NS_PER_S + 502 * NS_PER_US);
		CHECK_INT(seen.packets[1].len, 11);
		CHECK_INT(seen.packets[1].caplen, 6);
		CHECK_INT(seen.packets[1].number, 2);
		CHECK_INT(seen.packets[1].frame, 2);
		CHECK_INT(seen.packets[1].offset, 24 + 16 + 5);
		CHECK_INT(seen.packets[1].link_type, 1);
		CHECK_INT(seen.counters.packets, 2);
		CHECK_INT(seen.counters.bytes, 11);
		CHECK_INT(seen.counters.truncated, 1);
		CHECK_INT(seen.file.packets, 2);
		CHECK_INT(seen.file.first_ns, 1000 * NS_PER_S + 502 * NS_PER_US);
		CHECK_INT(seen.file.last_ns, 1001 * NS_PER_S);
		CHECK_STR(seen.interface[0], "/1/65535");
	}
}

TEST(pcap_modified_by_old_linux_tells_the_direction)
{
	pcap_head(&one, false, 0xa1b2cd34, 4, 1);
	put32(&one, 5), put32(&one, 0), put32(&one, 3), put32(&one, 3);
	put32(&one, 2), put16(&one, 0x800), put(&one, "\4\0", 2), put(&one, "out", 3);
	put32(&one, 6), put32(&one, 0), put32(&one, 2), put32(&one, 2);
	put32(&one, 2), put16(&one, 0x800), put(&one, "\0\0", 2), put(&one, "in", 2);
	read_built(&one);
	CHECK_INT(seen.n, 2);
	CHECK_STR(seen.text[0], "out");
	CHECK_INT(seen.packets[0].direction, DIRECTION_OUT);
	CHECK_STR(seen.text[1], "in");
	CHECK_INT(seen.packets[1].direction, DIRECTION_IN);
}

TEST(pcap_link_type_is_without_the_bits_for_check_sequences)
{
	pcap_head(&one, false, 0xa1b2c3d4, 4, 0x24000000 | 113);
	pcap_packet(&one, 1, 0, "x", 0);
	read_built(&one);
	CHECK_INT(seen.packets[0].link_type, 113);
	pcap_head(&one, false, 0xa1b2c3d4, 4, 0x00010000 | 1);
	pcap_packet(&one, 1, 0, "x", 0);
	read_built(&one);
	CHECK_INT(seen.packets[0].link_type, 0xffff);
}

TEST(pcap_before_2_4_may_have_its_lengths_swapped)
{
	pcap_head(&one, false, 0xa1b2c3d4, 3, 1);
	put32(&one, 1), put32(&one, 0), put32(&one, 90), put32(&one, 4), put(&one, "data", 4);
	read_built(&one);
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_INT(seen.packets[0].caplen, 4);
	CHECK_INT(seen.packets[0].len, 90);
}

TEST(pcap_length_on_the_wire_is_never_less_than_what_was_kept)
{
	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	put32(&one, 1), put32(&one, 0), put32(&one, 4), put32(&one, 0), put(&one, "data", 4);
	read_built(&one);
	CHECK_INT(seen.packets[0].len, 4);
}

TEST(pcap_without_packets_is_fine)
{
	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	read_built(&one);
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_INT(seen.n, 0);
	CHECK_INT(seen.file.first_ns, 0);
}

TEST(pcap_that_claims_a_huge_packet_is_read_up_to_it)
{
	char want[256];

	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	pcap_packet(&one, 1, 0, "good", 0);
	put32(&one, 1), put32(&one, 0), put32(&one, LIMIT_PACKET_BYTES + 1), put32(&one, 9);
	read_built(&one);
	CHECK_INT(seen.n, 1);
	CHECK_INT(seen.end, SOURCE_ERROR);
	CHECK_INT(seen.e.code, ERR_FORMAT);
	snprintf(want, sizeof want, "%s: packet 2 at byte 44: claims 262145 captured bytes, more than 262144: the file is damaged",
	         path_of("built"));
	CHECK_STR(seen.e.text, want);
}

TEST(pcap_of_another_major_version_is_refused)
{
	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	one.bytes[4] = 9;
	read_built(&one);
	CHECK_INT(seen.end, SOURCE_ERROR);
	CHECK_HAS(seen.e.text, "version 9.4");
}

/* Packets of all sizes, so that records lie across the ends of chunks in every way. */
static uint64_t build_many(struct build *b, size_t until)
{
	static char data[70000];
	uint32_t x = 502, i = 0;

	pcap_head(b, false, 0xa1b2c3d4, 4, 1);
	while (b->n < until) {
		uint32_t n;

		x = x * 1103515245 + 12345;
		n = x >> 16;
		n = i % 7 == 0 ? n % 66000 : n % 1500;
		memset(data, 'a' + (int)(i % 26), n);
		data[n] = '\0';
		pcap_packet(b, i, 0, data, 0);
		i++;
	}
	return i;
}

TEST(pcap_of_many_chunks_is_read_whole)
{
	uint64_t n = build_many(&one, CAPTURE_BYTES - 80000);
	size_t at = 24;

	read_built(&one);
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_INT(seen.n, n);
	for (unsigned i = 0; i < KEPT && i < seen.n; i++) {
		CHECK_INT(seen.packets[i].offset, at);
		CHECK(seen.packets[i].caplen == 0 || seen.text[i][0] == 'a' + (char)(i % 26));
		at += 16 + seen.packets[i].caplen;
	}
}

TEST(packets_of_the_largest_size_fit_though_a_chunk_is_no_larger)
{
	static char data[LIMIT_PACKET_BYTES + 1];

	memset(data, 'z', LIMIT_PACKET_BYTES);
	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	for (unsigned i = 0; i < 5; i++) {
		pcap_packet(&one, i, 0, data, 0);
		pcap_packet(&one, i, 1, "small", 0);
	}
	read_built(&one);
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_INT(seen.n, 10);
	CHECK_INT(seen.packets[8].caplen, LIMIT_PACKET_BYTES);
	CHECK_STR(seen.text[9], "small");
}

TEST(reads_of_one_byte_and_interrupted_ones_give_the_same)
{
	uint64_t digest;
	unsigned n;

	(void)build_many(&one, 300000);
	read_built(&one);
	digest = seen.digest;
	n = seen.n;
	read_most = 1;
	read_built(&one);
	read_most = 0;
	CHECK_INT(seen.n, n);
	CHECK(seen.digest == digest);
	read_most = 1000;
	read_interrupted = true;
	read_built(&one);
	read_most = 0;
	read_interrupted = false;
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_INT(seen.n, n);
	CHECK(seen.digest == digest);
}

/* Who keeps a batch's chunk keeps its bytes, whatever is read after. */
TEST(a_kept_chunk_keeps_its_bytes)
{
	static struct packet_batch b;
	struct { struct chunk *chunk; struct packet p; uint64_t print; } kept[60];
	unsigned n = 0;
	struct err e = { .code = ERR_OK };
	const char *path;
	struct source *s;

	(void)build_many(&one, CAPTURE_BYTES - 80000);
	path = write_file("built", one.bytes, one.n);
	s = source_open(&(struct source_options){ .files = &path, .n_files = 1 }, &e);
	CHECK_OR_RETURN(s != NULL);
	while (source_next(s, &b, &e) == SOURCE_PACKETS && n < 60) {
		chunk_ref(b.chunk);
		kept[n].chunk = b.chunk;
		kept[n].p = b.packets[b.n - 1];
		kept[n].print = fingerprint(span_of(kept[n].p.bytes, kept[n].p.caplen));
		n++;
	}
	batch_clear(&b);
	source_close(s);
	CHECK(n > 6);
	for (unsigned i = 0; i < n; i++) {
		CHECK(kept[i].print == fingerprint(span_of(kept[i].p.bytes, kept[i].p.caplen)));
		chunk_unref(kept[i].chunk);
	}
}

TEST(chunks_are_used_again)
{
	static struct packet_batch b;
	const struct chunk *chunks[20];
	unsigned n = 0;
	struct err e = { .code = ERR_OK };
	const char *path;
	struct source *s;

	(void)build_many(&one, CAPTURE_BYTES - 80000);
	path = write_file("built", one.bytes, one.n);
	s = source_open(&(struct source_options){ .files = &path, .n_files = 1 }, &e);
	CHECK_OR_RETURN(s != NULL);
	while (source_next(s, &b, &e) == SOURCE_PACKETS) {
		unsigned i = 0;

		while (i < n && chunks[i] != b.chunk)
			i++;
		if (i == n && n < 20)
			chunks[n++] = b.chunk;
	}
	batch_clear(&b);
	source_close(s);
	CHECK(n <= 2);          /* of some eight fillings */
}

/* ---- what is no capture, or not whole ---- */

TEST(what_is_no_capture_is_said_with_how_it_begins)
{
	char want[256];

	read_file(write_file("text", "GET / HTTP/1.1\r\n", 16));
	snprintf(want, sizeof want, "%s: not a capture file (begins with \"GET / HT\")", path_of("text"));
	CHECK_STR(seen.e.text, want);
	CHECK_INT(seen.e.code, ERR_FORMAT);
	read_file(write_file("elf", "\177ELF\2\1\1\0", 8));
	CHECK_HAS(seen.e.text, "(begins with 7f 45 4c 46 02 01 01 00)");
	read_file(write_file("empty", "", 0));
	CHECK_HAS(seen.e.text, "not a capture file (it is empty)");
	read_file(write_file("short", "ab", 2));
	CHECK_HAS(seen.e.text, "not a capture file (begins with \"ab\")");
	read_file(path_of("missing"));
	CHECK_INT(seen.e.code, ERR_OPEN);
	CHECK_HAS(seen.e.text, "missing: No such file");
}

/* What a file gives that is cut after each of its bytes: all that is whole, and an error unless the cut
 * is where a record ends. `ends` are those places, the first that of the file's head. */
static void check_cuts(const struct build *b, const size_t *ends, unsigned n_ends, const unsigned *packets)
{
	for (size_t cut = 1; cut <= b->n; cut++) {
		bool at_end = false;
		unsigned whole = 0;

		for (unsigned i = 0; i < n_ends && ends[i] <= cut; i++) {
			whole = packets[i];
			at_end = ends[i] == cut;
		}
		read_file(write_file("cut", b->bytes, cut));
		if (!CHECK_INT(seen.n, whole) || !CHECK_INT(seen.end, at_end ? SOURCE_END : SOURCE_ERROR)) {
			printf("# cut after %zu bytes: %s\n", cut, seen.e.text);
			return;
		}
	}
}

TEST(pcap_cut_after_every_byte)
{
	size_t ends[4];
	unsigned packets[4] = { 0, 1, 2, 3 };

	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	ends[0] = one.n;
	pcap_packet(&one, 1, 0, "one", 0);
	ends[1] = one.n;
	pcap_packet(&one, 2, 0, "", 0);
	ends[2] = one.n;
	pcap_packet(&one, 3, 0, "three", 1);
	ends[3] = one.n;
	check_cuts(&one, ends, 4, packets);
	read_file(write_file("cut", one.bytes, one.n - 1));
	CHECK_HAS(seen.e.text, "cut: packet 3 at byte 59: the file is cut short here");
	CHECK_INT(seen.e.code, ERR_READ);
}

TEST(pcapng_cut_after_every_byte)
{
	size_t ends[8], unknown;
	unsigned packets[8] = { 0, 0, 1, 2, 2, 3 };

	one.n = 0;
	section(&one, false);
	ends[0] = one.n;
	interface(&one, 1, 0, -1, "eth0");
	ends[1] = one.n;
	enhanced(&one, 0, 5, "packet");
	ends[2] = one.n;
	simple(&one, "simple", 0);
	ends[3] = one.n;
	unknown = block(&one, 0x77);
	put(&one, NULL, 40);
	block_end(&one, unknown);
	ends[4] = one.n;
	enhanced(&one, 0, 6, "last");
	ends[5] = one.n;
	check_cuts(&one, ends, 6, packets);
}

/* ---- pcapng ---- */

static void build_mixed(struct build *b, bool big)
{
	size_t start;
	uint32_t flags;

	b->n = 0;
	section(b, big);
	interface(b, 1, 8, 9, "eth0");
	interface(b, 113, 0, -1, "any");
	start = block(b, 10);
	put32(b, 0x544c534b);
	put32(b, 14);
	put(b, "CLIENT_RANDOM x", 14);
	block_end(b, start);
	start = enhanced_begin(b, 0, 1000000000000000502ULL, "nanoseconds");
	put16(b, 2);
	put16(b, 4);
	flags = 2;
	put32(b, flags);
	block_end(b, start);
	enhanced(b, 1, 1000000000000502ULL, "microseconds");
	simple(b, "simple packet", 5);
	start = block(b, 2);                    /* the old packet block: drops(2) after the interface(2) */
	put16(b, 1);
	put16(b, 7);
	put32(b, (uint32_t)(1000000001000000ULL >> 32));
	put32(b, (uint32_t)1000000001000000ULL);
	put32(b, 3);
	put32(b, 90);
	put(b, "old", 3);
	block_end(b, start);
	start = block(b, 5);                    /* statistics: of interface 0, isb_ifdrop 3, isb_osdrop 4 */
	put32(b, 0);
	put64(b, 0);
	put16(b, 5), put16(b, 8), put64(b, 3);
	put16(b, 7), put16(b, 8), put64(b, 4);
	block_end(b, start);
}

TEST(pcapng_of_either_order_gives_all_kinds_of_packets)
{
	for (unsigned big = 0; big < 2; big++) {
		build_mixed(&one, big != 0);
		read_built(&one);
		CHECK_INT(seen.end, SOURCE_END);
		CHECK_INT(seen.n, 4);
		CHECK_STR(seen.text[0], "nanoseconds");
		CHECK_INT(seen.packets[0].time_ns, 1000000000000000502LL);
		CHECK_INT(seen.packets[0].direction, DIRECTION_OUT);
		CHECK_INT(seen.packets[0].link_type, 1);
		CHECK_INT(seen.packets[1].time_ns, 1000000000000502000LL);
		CHECK_INT(seen.packets[1].link_type, 113);
		CHECK_INT(seen.packets[1].interface, 1);
		CHECK_STR(seen.text[2], "simple p");    /* the snaplen of the first interface is 8 */
		CHECK_INT(seen.packets[2].len, 13);
		CHECK_INT(seen.packets[2].time_ns, 1000000000000502000LL);
		CHECK_STR(seen.text[3], "old");
		CHECK_INT(seen.packets[3].len, 90);
		CHECK_INT(seen.packets[3].time_ns, 1000000001000000000LL);
		CHECK_STR(seen.secrets, "CLIENT_RANDOM |");
		CHECK_INT(seen.counters.kernel_dropped, 7 + 4);
		CHECK_INT(seen.counters.interface_dropped, 3);
		CHECK_STR(seen.interface[0], "eth0/1/8");
		CHECK_STR(seen.interface[1], "any/113/0");
	}
}

TEST(pcapng_sections_have_their_own_order_and_interfaces)
{
	one.n = 0;
	section(&one, false);
	interface(&one, 1, 0, -1, "a");
	enhanced(&one, 0, 1000000, "first");
	section(&one, true);
	interface(&one, 101, 0, -1, "b");
	enhanced(&one, 0, 2000000, "second");
	section(&one, false);
	enhanced(&one, 0, 3000000, "of no interface");
	read_built(&one);
	CHECK_INT(seen.n, 2);
	CHECK_STR(seen.text[1], "second");
	CHECK_INT(seen.packets[1].time_ns, 2 * NS_PER_S);
	CHECK_INT(seen.packets[1].interface, 1);
	CHECK_INT(seen.packets[1].link_type, 101);
	CHECK_INT(seen.n_interfaces, 2);
	CHECK_INT(seen.end, SOURCE_ERROR);
	CHECK_HAS(seen.e.text, "packet 3 at byte ");
	CHECK_HAS(seen.e.text, "interface 0 of 0");
}

TEST(pcapng_time_resolutions)
{
	static const struct { int resolution; uint64_t ticks; int64_t ns; } rows[] = {
		{ -1, 1500000, 1500000000 }, { 0, 3, 3 * NS_PER_S }, { 3, 1500, 1500000000 }, { 9, 7, 7 }, { 12, 7000, 7 },
		{ 0x80 | 10, 1536, 1500000000 }, { 0x80 | 32, 3ULL << 31, 1500000000 }, { 0x80 | 127, UINT64_MAX, 0 },
		{ 127, UINT64_MAX, 0 }, { 0, UINT64_MAX, INT64_MAX / 2 }, { 0x80, UINT64_MAX, INT64_MAX / 2 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		one.n = 0;
		section(&one, false);
		interface(&one, 1, 0, rows[i].resolution, NULL);
		enhanced(&one, 0, rows[i].ticks, "x");
		read_built(&one);
		CHECK_INT(seen.packets[0].time_ns, rows[i].ns);
	}
}

TEST(pcapng_time_offset_is_added)
{
	size_t start;

	one.n = 0;
	section(&one, false);
	start = block(&one, 1);
	put16(&one, 1), put16(&one, 0), put32(&one, 0);
	put16(&one, 14), put16(&one, 8), put64(&one, 100);
	block_end(&one, start);
	enhanced(&one, 0, 1000000, "x");
	read_built(&one);
	CHECK_INT(seen.packets[0].time_ns, 101 * NS_PER_S);
}

/* Wireshark shows custom blocks and journal entries as frames of their own. */
TEST(pcapng_blocks_that_wireshark_numbers_are_counted)
{
	static const uint32_t types[] = { 0xbad, 0x40000bad, 9 };

	one.n = 0;
	section(&one, false);
	interface(&one, 1, 0, -1, NULL);
	for (size_t i = 0; i < 3; i++) {
		size_t start = block(&one, types[i]);

		put(&one, NULL, 8);
		block_end(&one, start);
		enhanced(&one, 0, i, "x");
	}
	read_built(&one);
	CHECK_INT(seen.n, 3);
	CHECK_INT(seen.packets[0].number, 2);
	CHECK_INT(seen.packets[1].number, 4);
	CHECK_INT(seen.packets[2].number, 6);
	CHECK_INT(seen.packets[2].frame, 6);
	CHECK_INT(seen.counters.packets, 3);
}

TEST(pcapng_block_of_no_interest_is_skipped_though_larger_than_a_chunk)
{
	size_t start;

	one.n = 0;
	section(&one, false);
	interface(&one, 1, 0, -1, NULL);
	start = block(&one, 0x4321);
	put(&one, NULL, 1 << 20);
	block_end(&one, start);
	enhanced(&one, 0, 5, "after");
	read_built(&one);
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_STR(seen.text[0], "after");
}

TEST(pcapng_secrets_larger_than_a_chunk_come_whole)
{
	size_t start;

	one.n = 0;
	section(&one, false);
	start = block(&one, 10);
	put32(&one, 0x544c534b);
	put32(&one, 1 << 20);
	memset(one.bytes + one.n, 's', 1 << 20);
	one.n += 1 << 20;
	block_end(&one, start);
	read_built(&one);
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_INT(strlen(seen.secrets), sizeof seen.secrets - 1);
}

TEST(pcapng_damage_is_told_after_what_is_whole)
{
	static const struct { size_t at; uint8_t byte; const char *word; } rows[] = {
		{ 4, 31, "claims 31 bytes" },           /* no multiple of 4 */
		{ 4, 8, "claims 8 bytes" },
		{ 7, 0x7f, "the file is damaged" },     /* far more than 16 MiB */
		{ 8, 9, "interface 9 of 1" },
		{ 22, 0x70, "captured bytes" },
		{ 20, 200, "more than its block has" },
		{ 32, 0x28, "two lengths differ" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t start;

		one.n = 0;
		section(&one, false);
		interface(&one, 1, 0, -1, NULL);
		enhanced(&one, 0, 5, "good");
		start = one.n;
		enhanced(&one, 0, 5, "bad!");
		one.bytes[start + rows[i].at] = rows[i].byte;
		read_built(&one);
		CHECK_INT(seen.n, 1);
		CHECK_INT(seen.end, SOURCE_ERROR);
		CHECK_HAS(seen.e.text, "packet 2 at byte ");
		CHECK_HAS(seen.e.text, rows[i].word);
	}
}

/* No byte may do more harm than end the reading. */
TEST(pcapng_with_any_byte_changed_is_read_or_refused)
{
	build_mixed(&two, false);
	for (size_t at = 0; at < two.n; at++)
		for (unsigned value = 0; value < 256; value += 51) {
			memcpy(one.bytes, two.bytes, two.n);
			one.n = two.n;
			one.bytes[at] ^= (uint8_t)(value + 1);
			read_built(&one);
			CHECK_OR_RETURN(seen.end == SOURCE_END || (seen.end == SOURCE_ERROR && seen.e.text[0] != '\0'));
		}
}

/* ---- packed ---- */

#ifdef HAVE_ZLIB
#include <zlib.h>

static size_t gzip(const struct build *b, uint8_t *to, size_t room)
{
	z_stream z = { 0 };

	if (deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	z.next_in = (Bytef *)(uintptr_t)b->bytes;
	z.avail_in = (uInt)b->n;
	z.next_out = to;
	z.avail_out = (uInt)room;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	room = z.total_out;
	deflateEnd(&z);
	return room;
}

TEST(gzip_is_unpacked_whole_and_one_byte_at_a_time)
{
	uint64_t digest;
	size_t n;

	(void)build_many(&one, 400000);
	read_built(&one);
	digest = seen.digest;
	n = gzip(&one, two.bytes, sizeof two.bytes);
	read_file(write_file("a", two.bytes, n));       /* by content: no name says so */
	CHECK_INT(seen.end, SOURCE_END);
	CHECK(seen.digest == digest);
	read_most = 1;
	read_file(path_of("a"));
	read_most = 0;
	CHECK_INT(seen.end, SOURCE_END);
	CHECK(seen.digest == digest);
}

TEST(gzip_of_several_members_and_padding_is_one_file)
{
	size_t n;

	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	n = gzip(&one, two.bytes, sizeof two.bytes);
	one.n = 0;
	pcap_packet(&one, 1, 0, "in the second member", 0);
	n += gzip(&one, two.bytes + n, sizeof two.bytes - n);
	memset(two.bytes + n, 0, 512);
	read_file(write_file("members", two.bytes, n + 512));
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_STR(seen.text[0], "in the second member");
	memcpy(two.bytes + n, "rubbish", 7);
	read_file(write_file("members", two.bytes, n + 7));
	CHECK_INT(seen.n, 1);
	CHECK_INT(seen.end, SOURCE_ERROR);
	CHECK_HAS(seen.e.text, "its gzip stream is damaged at byte ");
}

TEST(gzip_cut_short_gives_what_is_there)
{
	size_t n;

	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	pcap_packet(&one, 1, 0, "kept", 0);
	n = gzip(&one, two.bytes, sizeof two.bytes);
	for (size_t cut = 3; cut < n; cut++) {
		read_file(write_file("cut.gz", two.bytes, cut));
		CHECK_INT(seen.end, SOURCE_ERROR);
		CHECK(seen.n <= 1);
	}
	CHECK_HAS(seen.e.text, "its gzip stream is cut short at byte ");
	CHECK_INT(seen.n, 1);
}

TEST(gzip_of_what_is_no_capture_is_refused)
{
	size_t n;

	one.n = 0;
	put(&one, "just a text", 11);
	n = gzip(&one, two.bytes, sizeof two.bytes);
	read_file(write_file("text.gz", two.bytes, n));
	CHECK_INT(seen.end, SOURCE_ERROR);
	CHECK_HAS(seen.e.text, "not a capture file (begins with \"just a t\")");
}
#endif

#ifdef HAVE_ZSTD
#include <zstd.h>

TEST(zstd_is_unpacked)
{
	uint64_t digest;
	size_t n;

	(void)build_many(&one, 1000000);
	read_built(&one);
	digest = seen.digest;
	n = ZSTD_compress(two.bytes, sizeof two.bytes, one.bytes, one.n, 3);
	read_file(write_file("z", two.bytes, n));
	CHECK_INT(seen.end, SOURCE_END);
	CHECK(seen.digest == digest);
	read_most = 1;
	read_file(path_of("z"));
	read_most = 0;
	CHECK(seen.digest == digest);
	read_file(write_file("z", two.bytes, n - 1));
	CHECK_INT(seen.end, SOURCE_ERROR);
	CHECK_HAS(seen.e.text, "its zstd stream is cut short");
}

/* A head that asks for a window of 2 GiB: refused, not allocated (RFC 8878 3.1.1.1.2). */
TEST(zstd_with_a_huge_window_is_refused)
{
	static const uint8_t huge[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00 };

	read_file(write_file("huge", huge, sizeof huge));
	CHECK_INT(seen.end, SOURCE_ERROR);
	CHECK_HAS(seen.e.text, "zstd");
}
#endif

#ifdef HAVE_LZ4
#include <lz4frame.h>

TEST(lz4_is_unpacked)
{
	uint64_t digest;
	size_t n;

	(void)build_many(&one, 1000000);
	read_built(&one);
	digest = seen.digest;
	n = LZ4F_compressFrame(two.bytes, sizeof two.bytes, one.bytes, one.n, NULL);
	CHECK_OR_RETURN(!LZ4F_isError(n));
	read_file(write_file("l", two.bytes, n));
	CHECK_INT(seen.end, SOURCE_END);
	CHECK(seen.digest == digest);
	read_most = 1;
	read_file(path_of("l"));
	read_most = 0;
	CHECK(seen.digest == digest);
	read_file(write_file("l", two.bytes, n - 5));
	CHECK_INT(seen.end, SOURCE_ERROR);
}
#endif

TEST(what_cannot_be_unpacked_is_named)
{
	read_file(write_file("x", "\xfd" "7zXZ\0\0\0", 8));
	CHECK_HAS(seen.e.text, "compressed by xz, which why502 does not unpack");
}

/* ---- standard input ---- */

TEST(a_pipe_hands_on_what_is_whole_and_ticks)
{
	static struct packet_batch b;
	static const char *const dash = "-";
	struct err e = { .code = ERR_OK };
	int fds[2], old = dup(0);
	struct source *s;

	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	pcap_packet(&one, 7, 0, "early", 0);
	pcap_packet(&one, 8, 0, "late", 0);
	CHECK_OR_RETURN(old >= 0 && pipe(fds) == 0 && dup2(fds[0], 0) == 0);
	s = source_open(&(struct source_options){ .files = &dash, .n_files = 1 }, &e);
	CHECK_OR_RETURN(s != NULL);
	CHECK_INT(source_next(s, &b, &e), SOURCE_TICK);
	CHECK(write(fds[1], one.bytes, 24 + 16 + 5 + 3) == 24 + 16 + 5 + 3);    /* and three bytes of the next */
	CHECK_INT(source_next(s, &b, &e), SOURCE_PACKETS);
	CHECK_INT(b.n, 1);
	CHECK_SPAN(span_of(b.packets[0].bytes, b.packets[0].caplen), "early");
	CHECK_INT(source_next(s, &b, &e), SOURCE_TICK);
	CHECK_INT(b.n, 0);
	CHECK_INT(b.now_ns, 7 * NS_PER_S);      /* a stalled pipe says nothing about time */
	CHECK(write(fds[1], one.bytes + 48, one.n - 48) == (ssize_t)(one.n - 48));
	close(fds[1]);
	CHECK_INT(source_next(s, &b, &e), SOURCE_PACKETS);
	CHECK_SPAN(span_of(b.packets[0].bytes, b.packets[0].caplen), "late");
	CHECK_INT(source_next(s, &b, &e), SOURCE_END);
	CHECK(!source_again(s));
	source_close(s);
	batch_clear(&b);
	dup2(old, 0);
	close(old);
	close(fds[0]);
}

/* ---- several files ---- */

static const char *file_of(const char *name, uint32_t t0, uint32_t step, unsigned n, const char *data)
{
	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	for (unsigned i = 0; i < n; i++)
		pcap_packet(&one, t0 + i * step, 0, data, 0);
	return write_file(name, one.bytes, one.n);
}

/* "abab": whose packets came in which order. */
static const char *order(void)
{
	static char text[KEPT + 1];
	unsigned i;

	for (i = 0; i < seen.n && i < KEPT; i++)
		text[i] = seen.text[i][0];
	text[i] = '\0';
	return text;
}

TEST(files_that_overlap_are_merged_by_time)
{
	const char *files[] = { file_of("m1", 10, 10, 5, "a"), file_of("m2", 15, 10, 5, "b") };

	read_with(&(struct source_options){ .files = files, .n_files = 2 });
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_STR(order(), "ababababab");
	CHECK_INT(seen.packets[3].number, 4);
	CHECK_INT(seen.packets[3].frame, 2);
	CHECK_INT(seen.packets[3].file, 1);
	CHECK_INT(seen.packets[3].interface, 1);
	CHECK_INT(seen.packets[3].offset, 24 + 17);
	CHECK_INT(seen.counters.time_went_back, 0);
	CHECK_INT(seen.n_files, 2);
}

TEST(of_equal_times_the_file_given_first_comes_first)
{
	const char *a = file_of("e1", 10, 10, 4, "a"), *b = file_of("e2", 10, 10, 4, "b");
	const char *forth[] = { a, b }, *back[] = { b, a };

	read_with(&(struct source_options){ .files = forth, .n_files = 2 });
	CHECK_STR(order(), "abababab");
	read_with(&(struct source_options){ .files = back, .n_files = 2 });
	CHECK_STR(order(), "babababa");
}

TEST(files_that_do_not_overlap_follow_each_other_in_time)
{
	const char *files[] = { file_of("s3", 300, 1, 70, "c"), file_of("s1", 100, 1, 70, "a"), file_of("s2", 200, 1, 70, "b") };

	read_with(&(struct source_options){ .files = files, .n_files = 3 });
	CHECK_INT(seen.n, 210);
	CHECK_INT(order()[0], 'a');
	CHECK_INT(order()[70], 'b');
	CHECK_INT(order()[209], 'c');
	CHECK_INT(seen.packets[0].file, 1);
	CHECK_INT(seen.packets[209].number, 210);
}

TEST(many_packets_of_two_files_merge_to_what_one_would_hold)
{
	const char *files[2];
	uint64_t digest;

	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	for (uint32_t i = 0; i < 5000; i++)
		pcap_packet(&one, i, 0, i % 3 ? "of the first file" : "of the second", 0);
	read_built(&one);
	digest = seen.digest;
	for (unsigned f = 0; f < 2; f++) {
		pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
		for (uint32_t i = 0; i < 5000; i++)
			if ((i % 3 != 0) == (f == 0))
				pcap_packet(&one, i, 0, i % 3 ? "of the first file" : "of the second", 0);
		files[f] = write_file(f == 0 ? "d1" : "d2", one.bytes, one.n);
	}
	read_with(&(struct source_options){ .files = files, .n_files = 2 });
	CHECK_INT(seen.n, 5000);
	CHECK(seen.digest == digest);
}

TEST(a_clock_shift_moves_one_file)
{
	const char *files[] = { file_of("c1", 10, 10, 3, "a"), file_of("c2", 1010, 10, 3, "b") };
	struct clock_shift shift = { files[1], -995 * NS_PER_S }, nobody = { "nobody", 1 };

	read_with(&(struct source_options){ .files = files, .n_files = 2, .shifts = &shift, .n_shifts = 1 });
	CHECK_STR(order(), "ababab");
	CHECK_INT(seen.packets[1].time_ns, 15 * NS_PER_S);
	read_with(&(struct source_options){ .files = files, .n_files = 2, .shifts = &nobody, .n_shifts = 1 });
	CHECK_INT(seen.e.code, ERR_OPTION);
	CHECK_STR(seen.e.text, "--clock nobody: it is none of the files read");
}

TEST(a_cut_file_among_others_is_told_after_all_the_rest)
{
	const char *files[] = { file_of("k1", 10, 10, 3, "a"), file_of("k2", 15, 10, 5, "b") };

	if (truncate(files[0], 24 + 17 + 10) != 0)
		abort();
	read_with(&(struct source_options){ .files = files, .n_files = 2 });
	CHECK_STR(order(), "abbbbb");
	CHECK_INT(seen.end, SOURCE_ERROR);
	CHECK_HAS(seen.e.text, "k1: packet 2 at byte 41: the file is cut short here");
}

TEST(an_empty_capture_among_others_does_no_harm)
{
	const char *files[] = { file_of("n1", 10, 10, 0, ""), file_of("n2", 15, 10, 2, "b"), file_of("n3", 1, 1, 0, "") };

	read_with(&(struct source_options){ .files = files, .n_files = 3 });
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_STR(order(), "bb");
}

TEST(secrets_of_merged_files_come_once)
{
	const char *files[2];

	build_mixed(&one, false);
	files[0] = write_file("p1", one.bytes, one.n);
	files[1] = write_file("p2", one.bytes, one.n);
	read_with(&(struct source_options){ .files = files, .n_files = 2 });
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_INT(seen.n, 8);
	CHECK_STR(seen.secrets, "CLIENT_RANDOM |CLIENT_RANDOM |");
	CHECK_INT(seen.n_interfaces, 4);
	CHECK_INT(seen.counters.kernel_dropped, 22);
}

/* What one reading gives: numbers, interfaces and times of the packets. */
static uint64_t reading(struct source *s, unsigned *n)
{
	static struct packet_batch b;
	struct err e = { .code = ERR_OK };
	uint64_t sum = 0;

	*n = 0;
	while (source_next(s, &b, &e) == SOURCE_PACKETS)
		for (unsigned i = 0; i < b.n; i++, (*n)++)
			sum = sum * 31 + b.packets[i].number * 7 + b.packets[i].interface * 5 + b.packets[i].frame * 3 +
			      b.packets[i].file + (uint64_t)b.packets[i].time_ns + b.packets[i].bytes[0];
	batch_clear(&b);
	return sum;
}

TEST(files_are_read_again_as_they_were_the_first_time)
{
	const char *files[2];
	struct source_counters before, after;
	struct err e = { .code = ERR_OK };
	unsigned n, again;
	struct source *s;
	uint64_t sum;

	build_mixed(&one, false);
	files[0] = write_file("y1", one.bytes, one.n);
	files[1] = write_file("y2", one.bytes, one.n);
	for (unsigned n_files = 1; n_files <= 2; n_files++) {
		const struct source_file *rows;

		s = source_open(&(struct source_options){ .files = files, .n_files = n_files }, &e);
		CHECK_OR_RETURN(s != NULL);
		sum = reading(s, &n);
		source_counters(s, &before);
		CHECK(source_again(s));
		CHECK_INT((int64_t)reading(s, &again), (int64_t)sum);
		CHECK_INT(again, n);
		source_counters(s, &after);
		CHECK(memcmp(&before, &after, sizeof before) == 0);
		CHECK_INT(source_files(s, &rows), n_files);
		CHECK_INT((int64_t)rows[0].packets, (int64_t)(n / n_files));
		source_close(s);
	}
}

TEST(a_directory_is_its_captures)
{
	const char *whole = path_of("");

	/* Everything the tests before have written there: captures, texts, cut ones. So one of its own. */
	char own[160], name[200];

	snprintf(own, sizeof own, "%sring", whole);
	if (mkdir(own, 0700) != 0)
		abort();
	whole = own;
	read_with(&(struct source_options){ .files = &whole, .n_files = 1 });
	CHECK_HAS(seen.e.text, "ring: no capture file in this directory");
	(void)file_of("ring/2.pcap", 10, 1, 3, "a");
	(void)file_of("ring/1.pcap", 20, 1, 3, "b");
	(void)file_of("ring/.hidden", 5, 1, 3, "h");
	(void)write_file("ring/notes.txt", "no capture", 10);
#ifdef HAVE_ZLIB
	one.n = 0;
	put(&one, "no capture either", 17);
	(void)write_file("ring/notes.gz", two.bytes, gzip(&one, two.bytes, sizeof two.bytes));
#endif
	snprintf(name, sizeof name, "%s/deeper", own);
	if (mkdir(name, 0700) != 0)
		abort();
	read_with(&(struct source_options){ .files = &whole, .n_files = 1 });
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_STR(order(), "aaabbb");
	CHECK_INT(seen.n_files, 2);
}

/* ---- counters, filter, -c ---- */

TEST(steps_back_in_time_are_counted)
{
	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	pcap_packet(&one, 10, 0, "a", 0);
	pcap_packet(&one, 9, 999999, "b", 0);
	pcap_packet(&one, 10, 0, "c", 0);
	read_built(&one);
	CHECK_INT(seen.counters.time_went_back, 1);
	CHECK_INT(seen.file.first_ns, 9 * NS_PER_S + 999999000);
	CHECK_INT(seen.file.last_ns, 10 * NS_PER_S);
}

/* An Ethernet frame, or with no head a raw one, of IPv4 and UDP to that port. */
static void udp_packet(struct build *b, bool ethernet, unsigned port)
{
	static const uint8_t ip[] = { 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 };
	uint32_t n = (ethernet ? 14 : 0) + 28;
	uint8_t udp[8] = { 0, 99, (uint8_t)(port >> 8), (uint8_t)port, 0, 8, 0, 0 };
	size_t start = block(b, 6);

	put32(b, ethernet ? 0 : 1);
	put64(b, 0);
	put32(b, n);
	put32(b, n);
	if (ethernet)
		put(b, "\1\2\3\4\5\6\1\2\3\4\5\6\x08\0", 14);
	put(b, ip, sizeof ip);
	put(b, udp, sizeof udp);
	block_end(b, start);
}

TEST(a_filter_marks_packets_of_every_link_type_and_keeps_their_numbers)
{
	const char *path;

	one.n = 0;
	section(&one, false);
	interface(&one, 1, 0, -1, NULL);
	interface(&one, 101, 0, -1, NULL);
	udp_packet(&one, true, 80);
	udp_packet(&one, true, 53);
	udp_packet(&one, false, 80);
	udp_packet(&one, false, 53);
	path = write_file("filter", one.bytes, one.n);
	read_with(&(struct source_options){ .files = &path, .n_files = 1, .filter = "port 80" });
	CHECK_INT(seen.n, 4);
	CHECK_INT(seen.packets[3].number, 4);
	CHECK(!seen.packets[0].filtered && seen.packets[1].filtered);
	CHECK(!seen.packets[2].filtered && seen.packets[3].filtered);
}

/* A packet a second, from second 100 on. */
static const char *file_of_seconds(const char *name, unsigned n)
{
	pcap_head(&one, false, 0xa1b2c3d4, 4, 1);
	for (unsigned i = 0; i < n; i++)
		pcap_packet(&one, 100 + i, 0, "packet", 0);
	return write_file(name, one.bytes, one.n);
}

/* Which packets are judged: "0110" are the second and the third. */
static const char *judged(const char *path, struct moment since, struct moment until)
{
	static char text[16];

	read_with(&(struct source_options){ .files = &path, .n_files = 1, .since = since, .until = until });
	memset(text, 0, sizeof text);
	for (unsigned i = 0; i < seen.n && i < sizeof text - 1; i++)
		text[i] = seen.packets[i].filtered ? '0' : '1';
	return text;
}

TEST(packets_outside_the_time_asked_for_are_marked_and_keep_their_numbers)
{
	static const struct moment none = { MOMENT_NONE, 0 };
	const char *path = file_of_seconds("seconds", 5);

	CHECK_STR(judged(path, none, none), "11111");
	CHECK_STR(judged(path, (struct moment){ MOMENT_AT, 102 * NS_PER_S }, none), "00111");
	CHECK_STR(judged(path, none, (struct moment){ MOMENT_AT, 102 * NS_PER_S }), "11100");
	CHECK_STR(judged(path, (struct moment){ MOMENT_FROM_START, 1 }, (struct moment){ MOMENT_FROM_START, 3 * NS_PER_S }), "01110");
	CHECK_STR(judged(path, (struct moment){ MOMENT_FROM_END, NS_PER_S }, none), "00011");
	CHECK_STR(judged(path, none, (struct moment){ MOMENT_FROM_END, INT64_MAX }), "00000");
	CHECK_STR(judged(path, (struct moment){ MOMENT_FROM_START, INT64_MAX }, none), "00000");
	CHECK_INT(seen.packets[4].number, 5);
}

TEST(the_end_of_a_pipe_is_not_known)
{
	const char *path = path_of("pipe");
	struct source_options o = { .files = &path, .n_files = 1, .since = { MOMENT_FROM_END, NS_PER_S } };
	struct err e = { ERR_OK, "" };

	(void)mkfifo(path, 0600);
	CHECK(source_open(&o, &e) == NULL);
	CHECK_INT(e.code, ERR_OPTION);
	CHECK_HAS(e.text, "--since counts from the end");
}

TEST(a_wrong_filter_is_named)
{
	const char *path = file_of("f", 1, 1, 1, "x");

	read_with(&(struct source_options){ .files = &path, .n_files = 1, .filter = "prt 80" });
	CHECK_INT(seen.e.code, ERR_OPTION);
	CHECK_HAS(seen.e.text, "filter 'prt 80': ");
}

TEST(reading_ends_after_as_many_packets_as_asked)
{
	const char *path = file_of("f", 1, 1, 200, "x");

	for (unsigned most = 1; most <= 201; most += 40) {
		read_with(&(struct source_options){ .files = &path, .n_files = 1, .max_packets = most });
		CHECK_INT(seen.end, SOURCE_END);
		CHECK_INT(seen.n, most < 200 ? most : 200);
	}
}

TEST(reading_ends_when_told_to_stop)
{
	static volatile sig_atomic_t stop = 1;
	const char *path = file_of("f", 1, 1, 200, "x");

	read_with(&(struct source_options){ .files = &path, .n_files = 1, .stop = &stop });
	CHECK_INT(seen.end, SOURCE_END);
	CHECK_INT(seen.n, 0);
}

TEST(an_interface_that_is_not_there_is_named)
{
	static const char *const nope = "nope502";

	read_with(&(struct source_options){ .interfaces = &nope, .n_interfaces = 1 });
	CHECK_INT(seen.end, SOURCE_ERROR);
	/* Who may not sniff is told that first. */
	CHECK(seen.e.code == ERR_OPEN || seen.e.code == ERR_PERMISSION);
	CHECK_HAS(seen.e.text, "nope502: no ");
}

/* ---- the end: the files go away ---- */

TEST(zz_files_are_removed)
{
	char command[128];

	snprintf(command, sizeof command, "rm -r '%s'", directory);
	CHECK(directory[0] == '\0' || system(command) == 0);
}

TEST_MAIN()
