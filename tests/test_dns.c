/* test_dns.c - DNS messages: questions, answers, names that try to be endless */
#include "check.h"

#include "../capture/limits.h"
#include "../decode/control.h"
#include "tls_wire.h"

struct packet_text { uint8_t bytes[65536]; size_t len; };

static void put(struct packet_text *m, const void *bytes, size_t n)
{
	memcpy(m->bytes + m->len, bytes, n);
	m->len += n;
}

static void put16(struct packet_text *m, unsigned value)
{
	put(m, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

static void put_header(struct packet_text *m, unsigned flags, unsigned questions, unsigned answers)
{
	m->len = 0;
	put16(m, 0x1234);
	put16(m, flags);
	put16(m, questions);
	put16(m, answers);
	put16(m, 0);
	put16(m, 0);
}

/* "www.example" as labels. */
static void put_name(struct packet_text *m, const char *name)
{
	while (*name != '\0') {
		size_t n = strcspn(name, ".");

		put(m, (uint8_t[]){ (uint8_t)n }, 1);
		put(m, name, n);
		name += n + (name[n] == '.');
	}
	put(m, "", 1);
}

static void put_question(struct packet_text *m, const char *name, unsigned type)
{
	put_name(m, name);
	put16(m, type);
	put16(m, 1);
}

/* An answer whose name is a pointer to the question's. */
static void put_answer(struct packet_text *m, unsigned type, const void *data, unsigned len)
{
	put16(m, 0xc00c);
	put16(m, type);
	put16(m, 1);
	put16(m, 0);
	put16(m, 60);
	put16(m, len);
	put(m, data, len);
}

static char name[DNS_NAME_MAX + 1];

/* In memory of just its size, so that a sanitizer sees a read past the end. */
static bool read_first(const struct packet_text *m, size_t n, struct dns_fact *f, size_t *name_len)
{
	uint8_t *copy = malloc(n != 0 ? n : 1);
	bool ok;

	memcpy(copy, m->bytes, n);
	memset(f, 0, sizeof *f);
	ok = control_dns(span_of(copy, n), f, name, name_len);
	free(copy);
	return ok;
}

static bool read_whole(const struct packet_text *m, struct dns_fact *f)
{
	size_t name_len;
	bool ok = read_first(m, m->len, f, &name_len);

	if (ok)
		CHECK_INT(name_len, strlen(name));
	return ok;
}

static struct packet_text m;

TEST(a_question_is_read)
{
	struct dns_fact f;

	put_header(&m, 0x0100, 1, 0);
	put_question(&m, "Backend.Example.COM", 28);
	CHECK_OR_RETURN(read_whole(&m, &f));
	CHECK_INT(f.id, 0x1234);
	CHECK_INT(f.type, 28);
	CHECK(!f.answer);
	CHECK_STR(name, "backend.example.com");
}

TEST(an_answer_gives_its_addresses_and_passes_others_over)
{
	static const uint8_t alias[] = { 3, 'w', 'w', 'w', 0xc0, 0x0c };
	struct dns_fact f;

	put_header(&m, 0x8180, 1, 4);
	put_question(&m, "backend.example", 1);
	put_answer(&m, 5, alias, sizeof alias);
	put_answer(&m, 1, "\x0a\x00\x00\x07", 4);
	put_answer(&m, 28, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09", 16);
	put_answer(&m, 1, "\x0a\x00", 2);                       /* no address */
	CHECK_OR_RETURN(read_whole(&m, &f));
	CHECK(f.answer);
	CHECK_INT(f.rcode, 0);
	CHECK_OR_RETURN(f.n_addresses == 2);
	CHECK_INT(f.addresses[0][15], 7);
	CHECK_INT(f.addresses[0][11], 0xff);
	CHECK_INT(f.addresses[1][15], 9);
}

TEST(result_codes_are_told)
{
	static const unsigned codes[] = { 2, 3, 5 };
	struct dns_fact f;

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		put_header(&m, 0x8180 | codes[i], 1, 0);
		put_question(&m, "backend.example", 1);
		CHECK(read_whole(&m, &f));
		CHECK_INT(f.rcode, codes[i]);
	}
}

TEST(of_more_than_eight_addresses_eight_are_kept)
{
	struct dns_fact f;

	put_header(&m, 0x8180, 1, 12);
	put_question(&m, "a", 1);
	for (unsigned i = 0; i < 12; i++)
		put_answer(&m, 1, (uint8_t[]){ 10, 0, 0, (uint8_t)i }, 4);
	CHECK(read_whole(&m, &f));
	CHECK_INT(f.n_addresses, 8);
}

TEST(an_answer_cut_behind_its_question_still_tells_its_result)
{
	struct dns_fact f;
	size_t name_len, question;

	put_header(&m, 0x8183, 1, 2);
	put_question(&m, "backend.example", 1);
	question = m.len;
	put_answer(&m, 1, "\x0a\x00\x00\x07", 4);
	put_answer(&m, 1, "\x0a\x00\x00\x08", 4);
	for (size_t n = 0; n <= m.len; n++) {
		if (!CHECK_INT(read_first(&m, n, &f, &name_len), n >= question) || n < question)
			continue;
		CHECK_INT(f.rcode, 3);
		CHECK_INT(f.n_addresses, (n - question) / 16);
	}
}

TEST(a_wrong_record_spoils_the_message)
{
	struct dns_fact f;

	put_header(&m, 0x8180, 1, 1);
	put_question(&m, "a", 1);
	put_answer(&m, 1, "\x0a\x00\x00\x07", 4);
	m.bytes[19] = 0xc0, m.bytes[20] = 0x13;                 /* its name: a pointer to itself */
	CHECK(!read_whole(&m, &f));
}

TEST(other_messages_are_none)
{
	static const struct { unsigned flags, questions, answers; } rows[] = {
		{ 0x0100, 0, 0 }, { 0x0100, 2, 0 }, { 0x2800, 1, 0 },   /* update */
		{ 0x0100, 1, 1 },                                       /* a question with answers: mDNS */
		{ 0x8180, 1, LIMIT_DNS_RECORDS + 1 },
	};
	struct dns_fact f;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		put_header(&m, rows[i].flags, rows[i].questions, rows[i].answers);
		put_question(&m, "a", 1);
		for (unsigned k = 0; k < rows[i].answers; k++)
			put_answer(&m, 1, "\x0a\x00\x00\x07", 4);
		CHECK(!read_whole(&m, &f));
	}
}

/* ---- names ----------------------------------------------------------------------------------- */

TEST(bytes_of_a_name_stay_as_they_are_but_dots_are_told_from_borders)
{
	struct dns_fact f;

	put_header(&m, 0x0100, 1, 0);
	put(&m, "\x03" "a.b" "\x04" "\xff\\\x1b!" "\x00", 10);
	put16(&m, 1);
	put16(&m, 1);
	CHECK(read_whole(&m, &f));
	CHECK_STR(name, "a\\.b.\xff\\\\\x1b!");
}

TEST(the_root_has_an_empty_name)
{
	struct dns_fact f;

	put_header(&m, 0x0100, 1, 0);
	put_question(&m, "", 2);
	CHECK(read_whole(&m, &f));
	CHECK_STR(name, "");
}

TEST(names_have_a_limit)
{
	static const char label[] = "\x3f" "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk";
	struct dns_fact f;

	for (unsigned last = 59; last <= 63; last++) {          /* 3 * 64 + 1 + last + 1 bytes on the wire */
		put_header(&m, 0x0100, 1, 0);
		for (unsigned i = 0; i < 3; i++)
			put(&m, label, 64);
		put(&m, (uint8_t[]){ (uint8_t)last }, 1);
		put(&m, label + 1, last);
		put(&m, "", 1);
		put16(&m, 1);
		put16(&m, 1);
		CHECK_INT(read_whole(&m, &f), 192 + 1 + last + 1 <= DNS_NAME_MAX);
	}
}

TEST(pointers_lead_backward_only)
{
	struct dns_fact f;

	put_header(&m, 0x0100, 1, 0);
	put16(&m, 0xc00c);                                      /* to itself */
	put16(&m, 1);
	put16(&m, 1);
	CHECK(!read_whole(&m, &f));
	put_header(&m, 0x0100, 1, 0);
	put16(&m, 0xc010);                                      /* forward */
	put16(&m, 1);
	put16(&m, 1);
	put_name(&m, "a");
	CHECK(!read_whole(&m, &f));
	put_header(&m, 0x0100, 1, 0);
	put(&m, "\x01" "a" "\xc0\x0c", 4);                      /* round and round */
	put16(&m, 1);
	put16(&m, 1);
	CHECK(!read_whole(&m, &f));
	put_header(&m, 0x0100, 1, 0);
	put(&m, "\x41", 1);                                     /* a kind of label that nobody has */
	put_question(&m, "a", 1);
	CHECK(!read_whole(&m, &f));
}

TEST(seventeen_pointers_are_too_many)
{
	struct dns_fact f;

	for (unsigned n = 15; n <= 18; n++) {
		put_header(&m, 0x8180, 1, 1 + 1);
		put_question(&m, "a", 1);
		/* A record whose data is a chain of pointers, each to the one before it, and one whose name is its last. */
		put16(&m, 0xc00c);
		put16(&m, 5);
		put16(&m, 1);
		put16(&m, 0);
		put16(&m, 60);
		put16(&m, 2 * n);
		put16(&m, 0xc00c);
		for (unsigned i = 1; i < n; i++)
			put16(&m, 0xc000 | (unsigned)(m.len - 2));
		put16(&m, 0xc000 | (unsigned)(m.len - 2));
		put16(&m, 1);
		put16(&m, 1);
		put16(&m, 0);
		put16(&m, 60);
		put16(&m, 4);
		put(&m, "\x0a\x00\x00\x07", 4);
		CHECK_INT(read_whole(&m, &f), n + 1 <= LIMIT_DNS_POINTERS);
	}
}

/* ---- over TCP: RFC 1035 4.2.2 ---------------------------------------------------------------- */

static void send_message(struct wire *w, enum side from, const struct packet_text *p)
{
	uint8_t *bytes = malloc(p->len + 2);

	bytes[0] = (uint8_t)(p->len >> 8);
	bytes[1] = (uint8_t)p->len;
	memcpy(bytes + 2, p->bytes, p->len);
	wire_send(w, from, span_of(bytes, p->len + 2));
	free(bytes);
}

TEST(over_tcp_questions_and_answers_are_told_however_they_are_cut)
{
	for (size_t segment = 1; segment < 100; segment += segment < 20 ? 1 : 17) {
		struct wire w = wire_new_to(53);

		w.segment = segment;
		put_header(&m, 0x0100, 1, 0);
		put_question(&m, "backend.example", 1);
		send_message(&w, CLIENT, &m);
		send_message(&w, CLIENT, &m);                   /* without waiting, RFC 7766 6.2.1.1 */
		put_header(&m, 0x8180, 1, 1);
		put_question(&m, "backend.example", 1);
		put_answer(&m, 1, "\x0a\x00\x00\x07", 4);
		send_message(&w, SERVER, &m);
		put_header(&m, 0x8183, 1, 0);
		put_question(&m, "backend.example", 1);
		send_message(&w, SERVER, &m);
		wire_fin(&w, CLIENT);
		wire_fin(&w, SERVER);
		wire_decode(&w, NULL);
		CHECK_INT(w.n_dns, 4);
		CHECK(!w.dns[0].answer && !w.dns[1].answer && w.dns[2].answer && w.dns[3].answer);
		CHECK_STR(w.dns_name[0], "backend.example");
		CHECK_STR(w.dns_name[3], "backend.example");
		CHECK_INT(w.dns[2].n_addresses, 1);
		CHECK_INT(w.dns[3].rcode, 3);
		CHECK_INT(w.dns[2].server.port, 53);
		CHECK_INT(w.dns[2].asker.port, 40000);
		CHECK_INT(w.n_exchanges, 0);
		wire_free(&w);
	}
}

TEST(over_tcp_a_long_message_is_not_held)
{
	struct wire w = wire_new_to(53);
	static const uint8_t padding[60000];

	put_header(&m, 0x0100, 1, 0);
	put_question(&m, "backend.example", 1);
	send_message(&w, CLIENT, &m);
	put_header(&m, 0x8180, 1, 2);
	put_question(&m, "backend.example", 1);
	put_answer(&m, 1, "\x0a\x00\x00\x07", 4);
	put_answer(&m, 16, padding, sizeof padding);
	send_message(&w, SERVER, &m);
	put_header(&m, 0x8182, 1, 0);
	put_question(&m, "other.example", 1);
	send_message(&w, SERVER, &m);
	wire_decode(&w, NULL);
	CHECK_INT(w.n_dns, 3);
	CHECK_INT(w.dns[1].n_addresses, 1);
	CHECK_INT(w.dns[2].rcode, 2);
	CHECK(w.counters.memory_peak < 100000);
	wire_free(&w);
}

TEST(over_tcp_a_hole_ends_it)
{
	struct wire w = wire_new_to(53);

	put_header(&m, 0x0100, 1, 0);
	put_question(&m, "a.example", 1);
	send_message(&w, CLIENT, &m);
	w.unseen = true;
	send_message(&w, CLIENT, &m);
	w.unseen = false;
	send_message(&w, CLIENT, &m);
	wire_fin(&w, SERVER);
	wire_decode(&w, NULL);
	CHECK_INT(w.n_dns, 1);
	wire_free(&w);
}

TEST(what_else_is_said_on_port_53_is_followed_too)
{
	struct wire w = wire_new_to(53);

	wire_send(&w, CLIENT, span_text("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	wire_send(&w, SERVER, span_text("HTTP/1.1 204 No Content\r\n\r\n"));
	wire_fin(&w, SERVER);
	wire_decode(&w, NULL);
	CHECK_INT(w.n_dns, 0);
	CHECK_INT(w.n_exchanges, 1);
	wire_free(&w);
}

TEST_MAIN()
