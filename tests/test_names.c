/* test_names.c - names of addresses: where they come from, and how they are told */
#include "../capture/limits.h"
#include "../report/writer.h"

#include "story_talk.h"

#include <arpa/inet.h>

struct answer { struct dns_fact f; char name[256]; };

static const uint8_t *address_of(uint32_t v4)
{
	static uint8_t address[16];

	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	v4 = htonl(v4);
	memcpy(address + 12, &v4, 4);
	return address;
}

static void answered(struct names *n, const char *name, unsigned rcode, uint32_t v4)
{
	struct answer a = { .f = { .head = { .size = sizeof a, .kind = FACT_DNS }, .answer = true, .rcode = (uint8_t)rcode, .n_addresses = 1 } };

	memcpy(a.f.addresses[0], address_of(v4), 16);
	a.f.name = (struct text){ (uint32_t)offsetof(struct answer, name), (uint32_t)strlen(name) };
	memcpy(a.name, name, strlen(name));
	names_fact(n, &a.f);
}

static const char *name_of(const struct names *n, uint32_t v4)
{
	static char text[256];
	struct span s = names_of(n, address_of(v4));

	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	return text;
}

TEST(hosts_file_names_by_its_first_word)
{
	struct names *n = names_new();
	uint8_t six[16];

	names_hosts(n, span_text("# 10.0.0.9 commented\n"
	                         "10.0.0.7\tapp1.example app1   # web\r\n"
	                         "  10.0.0.8   app2.example\n"
	                         "10.0.0.7 second\n"
	                         "10.0.0.5\n"
	                         "nonsense here\n"
	                         "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22 long\n"
	                         "2001:db8::1 six.example\n"
	                         "10.0.0.6 last"));
	CHECK_STR(name_of(n, 0x0a000007), "app1.example");
	CHECK_STR(name_of(n, 0x0a000008), "app2.example");
	CHECK_STR(name_of(n, 0x0a000006), "last");
	CHECK_STR(name_of(n, 0x0a000009), "");
	CHECK_STR(name_of(n, 0x0a000005), "");
	CHECK_INT(inet_pton(AF_INET6, "2001:db8::1", six), 1);
	CHECK(span_is(names_of(n, six), "six.example"));
	CHECK(names_of(NULL, six).len == 0);
	names_free(n);
}

TEST(first_name_stays_and_only_good_answers_name)
{
	struct names *n = names_new();

	names_hosts(n, span_text("10.0.0.1 mine\n"));
	answered(n, "theirs.example", 0, 0x0a000001);
	answered(n, "a.example", 0, 0x0a000002);
	answered(n, "b.example", 0, 0x0a000002);
	answered(n, "failed.example", 2, 0x0a000003);
	answered(n, "", 0, 0x0a000003);
	answered(n, "blocked.example", 0, 0);
	CHECK_STR(name_of(n, 0x0a000001), "mine");
	CHECK_STR(name_of(n, 0x0a000002), "a.example");
	CHECK_STR(name_of(n, 0x0a000003), "");
	CHECK_STR(name_of(n, 0), "");
	names_free(n);
}

TEST(names_beyond_the_limit_are_counted)
{
	struct names *n = names_new();

	for (uint32_t i = 0; i < LIMIT_NAMES + 10; i++)
		answered(n, "x.example", 0, 0x0b000000 + i);
	CHECK_INT(names_dropped(n), 10);
	CHECK_STR(name_of(n, 0x0b000000 + LIMIT_NAMES - 1), "x.example");
	CHECK_STR(name_of(n, 0x0b000000 + LIMIT_NAMES), "");
	answered(n, "x.example", 0, 0x0b000000);                /* known already */
	CHECK_INT(names_dropped(n), 10);
	names_free(n);
}

/* ---- as they are told ---------------------------------------------------------------------- */

/* An upstream whose name was asked for over TCP, and which refuses. */
static char *refused(const struct writer_ops *w, const char *name, bool names_wanted)
{
	struct story s = story_answered("GET /ok", 204);
	struct names *n = names_wanted ? names_new() : NULL;
	struct writer_options o = { .version = "1", .columns = 100, .top = 10, .names = n };
	struct run_info run = { .version = "1", .sandbox = "off" };
	struct out *out = out_memory();
	struct err e = { 0 };
	struct span text;
	char *copy;

	s.report.names = n;
	story_fin(&s, UPSTREAM);
	story_fin(&s, GATEWAY);
	story_wait_ms(&s, 500);
	story_asks(&s, "GET /cart");
	story_connect_name_server(&s);
	story_dns_tcp_asks(&s, 78, name);
	story_dns_tcp_answers(&s, 78, name, 0, 0x0a000007);
	story_begin_back(&s);
	story_syn(&s);
	story_refuse(&s);
	story_error(&s, 502);
	w->end(w->begin(&o, out), story_report(&s), &run);
	out_flush(out);
	text = out_written(out);
	copy = calloc(1, text.len + 1);
	memcpy(copy, text.at, text.len);
	(void)out_close(out, &e);
	names_free(n);
	return copy;
}

static void check_told(const struct writer_ops *w, const char *name, bool wanted, const char *has, const char *has_not)
{
	char *text = refused(w, name, wanted);

	if (strstr(text, has) == NULL || (has_not != NULL && strstr(text, has_not) != NULL))
		printf("# %s\n", text);
	CHECK(strstr(text, has) != NULL);
	CHECK(has_not == NULL || strstr(text, has_not) == NULL);
	free(text);
}

TEST(name_stands_before_its_address_and_only_if_wanted)
{
	check_told(&writer_text, "app.internal", true, "1. connection-refused, app.internal (10.0.0.7:8080)", NULL);
	check_told(&writer_text, "app.internal", true, "upstream      app.internal (10.0.0.7:8080)  ", NULL);
	check_told(&writer_text, "app.internal", false, "10.0.0.7:8080", "app.internal");
	check_told(&writer_line, "app.internal", true, " app.internal (10.0.0.7:8080) GET ", NULL);
	check_told(&writer_line, "app.internal", false, " 10.0.0.7:8080 GET ", "app.internal");
	check_told(&writer_json, "app.internal", true, "\"10.0.0.7\": \"app.internal\"", NULL);
	check_told(&writer_json, "app.internal", false, "10.0.0.7:8080", "\"names\"");
	check_told(&writer_ndjson, "app.internal", true, "\"10.0.0.7\": \"app.internal\"", NULL);
}

TEST(name_from_a_stranger_is_escaped_and_cut)
{
	static const char sixty[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaa";

	check_told(&writer_text, "a\x1b[31m\xff\nb", true, "a\\x1b[31m\\xff\\x0ab (10.0.0.7:8080)", "\x1b");
	check_told(&writer_json, "a\x1b[31m\xff", true, "\"10.0.0.7_hex\": \"611b5b33316dff\"", "\x1b");
	check_told(&writer_line, sixty, true, ".aa… (10.0.0.7:8080) GET ", sixty);
	check_told(&writer_text, sixty, true, "aa… (10.0.0.7:8080)", sixty);
}

TEST_MAIN()
