#include "../report/json_emit.h"
#include "../report/explain.h"
#include "check.h"
#include "sample.h"

static char text[8192];

static struct json *begin(struct json *j)
{
	json_init(j, out_memory(), 0);
	return j;
}

static const char *end(struct json *j)
{
	struct err e = { 0 };
	struct span s;

	out_flush(j->out);
	s = span_first(out_written(j->out), sizeof text - 1);
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	(void)out_close(j->out, &e);
	return text;
}

static const char *string(struct span raw)
{
	struct json j;

	json_object(begin(&j), NULL);
	json_bytes(&j, "a", raw);
	json_close(&j);
	return end(&j);
}

TEST(commas_and_nesting)
{
	struct json j;

	json_object(begin(&j), NULL);
	json_number(&j, "a", 1);
	json_array(&j, "b");
	json_object(&j, NULL);
	json_close(&j);
	json_null(&j, NULL);
	json_bool(&j, NULL, true);
	json_close(&j);
	json_text(&j, "c", NULL);
	json_close(&j);
	CHECK_STR(end(&j), "{\"a\": 1, \"b\": [{}, null, true], \"c\": null}");
}

TEST(strings_are_utf8_whatever_the_bytes)
{
	CHECK_STR(string(span_text("caf\xc3\xa9")), "{\"a\": \"caf\xc3\xa9\"}");
	CHECK_STR(string(span_text("\"\\\n\x1b\x7f\xc2\x85\xe2\x80\xa8")), "{\"a\": \"\\\"\\\\\\n\\u001b\\u007f\\u0085\\u2028\"}");
	CHECK_STR(string(span_text("x\xff")), "{\"a\": \"x\xef\xbf\xbd\", \"a_hex\": \"78ff\"}");
	CHECK_STR(string(span_text("\xed\xa0\x80")), "{\"a\": \"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\", \"a_hex\": \"eda080\"}");
	CHECK_STR(string(span_of("\0", 1)), "{\"a\": \"\\u0000\"}");
	CHECK_STR(string(span_text("\xf3\xa0\x81\x81")), "{\"a\": \"\\udb40\\udc41\"}");
}

TEST(numbers_that_a_double_would_change_are_strings)
{
	struct json j;

	json_array(begin(&j), NULL);
	json_number(&j, NULL, (UINT64_C(1) << 53) - 1);
	json_number(&j, NULL, UINT64_C(1) << 53);
	json_number(&j, NULL, UINT64_MAX);
	json_signed(&j, NULL, -5);
	json_signed(&j, NULL, INT64_MIN);
	json_close(&j);
	CHECK_STR(end(&j), "[9007199254740991, \"9007199254740992\", \"18446744073709551615\", -5, \"-9223372036854775808\"]");
}

TEST(seconds_are_exact)
{
	struct json j;

	json_array(begin(&j), NULL);
	json_seconds(&j, NULL, 5002000000);
	json_seconds(&j, NULL, 1);
	json_seconds(&j, NULL, 0);
	json_seconds(&j, NULL, -7);
	json_seconds(&j, NULL, INT64_MAX);
	json_offset(&j, NULL, -12000000);
	json_close(&j);
	CHECK_STR(end(&j), "[5.002, 0.000000001, 0, 0, 9223372036.854775807, -0.012]");
}

TEST(times_are_rfc_3339_in_utc)
{
	struct json j;

	json_array(begin(&j), NULL);
	json_time(&j, NULL, 0);
	json_time(&j, NULL, INT64_C(1769860801123456789));
	json_time(&j, NULL, INT64_C(951782400000000000));       /* a leap day */
	json_time(&j, NULL, -1);
	json_time(&j, NULL, INT64_MAX);
	json_time(&j, NULL, INT64_MIN);
	json_close(&j);
	CHECK_STR(end(&j), "[\"1970-01-01T00:00:00.000000Z\", \"2026-01-31T12:00:01.123456789Z\", \"2000-02-29T00:00:00.000000Z\", "
	                   "\"1969-12-31T23:59:59.999999999Z\", \"2262-04-11T23:47:16.854775807Z\", \"1677-09-21T00:12:43.145224192Z\"]");
}

TEST(shares_lie_between_0_and_1)
{
	struct json j;

	json_array(begin(&j), NULL);
	json_share(&j, NULL, 17, 23);
	json_share(&j, NULL, 0, 0);
	json_share(&j, NULL, 5, 5);
	json_share(&j, NULL, UINT64_MAX / 2, UINT64_MAX);
	json_close(&j);
	CHECK_STR(end(&j), "[0.7391, 0.0000, 1.0000, 0.4999]");
}

/* ---- the whole, on a report made by hand ---------------------------------------------------- */

static char *written(const struct writer_ops *w, bool show_secrets)
{
	struct writer_options o = { .version = "0.1.0", .show_secrets = show_secrets, .columns = 100, .top = 10,
	                            .live = true };

	return sample_written(w, &o, false);
}

static const struct writer_ops *const all[] = { &writer_text, &writer_line, &writer_json, &writer_ndjson };

TEST(no_output_shows_a_secret)
{
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		char *out = written(all[i], false);

		CHECK(strstr(out, "SECRET") == NULL);
		free(out);
	}
}

/* Who asks for every exchange wants the targets; user information stays hidden. */
TEST(the_list_of_exchanges_has_targets_whole_and_incidents_do_not)
{
	struct writer_options o = { .version = "0.1.0", .exchanges = true };
	char *out = sample_written(&writer_json, &o, false), *incidents;

	CHECK_HAS(out, "token=SECRET1");
	CHECK(strstr(out, "SECRET2") == NULL);
	incidents = strstr(out, "\"incidents\": [\n");
	CHECK(incidents != NULL && strstr(incidents, "SECRET") == NULL);
	free(out);
}

TEST(secrets_are_shown_when_asked_for)
{
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		char *out = written(all[i], true);

		CHECK(strstr(out, "SECRET") != NULL);
		free(out);
	}
}

TEST(no_output_hands_a_terminal_what_it_acts_on)
{
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		char *out = written(all[i], true);

		for (const char *c = out; *c != '\0'; c++)
			CHECK_OR_RETURN((unsigned char)*c >= 0x20 || *c == '\n');
		CHECK(strstr(out, "\xe2\x80\xae") == NULL);
		free(out);
	}
}

TEST(the_object_has_what_programs_depend_on)
{
	char *out = written(&writer_json, false);

	CHECK_HAS(out, "\"schema\": 1");
	CHECK_HAS(out, "\"by_cause\": {\"connection-refused\": 1, \"keepalive-race\": 17}");
	CHECK_HAS(out, "\"by_status\": {\"502\": 17, \"none\": 1}");
	CHECK_HAS(out, "\"detail\": {\"idle_s\": 5.002, \"trigger\": \"idle\", \"closes\": 312, \"crossed\": true}");
	CHECK_HAS(out, "\"strings_cut\": \"1152921504606846976\", \"incidents_cut\": 15");
	CHECK_HAS(out, "\"share\": 0.9444");
	CHECK_HAS(out, "\"first_closer\": \"upstream\", \"close_kind\": \"fin\"");
	CHECK_HAS(out, "\"upstream\": null, \"connection\": null, \"exchange\": null");
	CHECK_HAS(out, "\"idle_close_s\": {\"n\": 312, \"min\": 4.9, \"median\": 5, \"max\": 5.1}");
	CHECK_HAS(out, "\"interim\": [103]");
	free(out);
}

TEST(an_empty_report_is_whole_too)
{
	struct writer_options o = { .version = "0.1.0", .columns = 80, .top = 10 };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		char *out = sample_written(all[i], &o, true);

		CHECK(strstr(out, "\"incidents\": [{") == NULL);
		CHECK(strstr(out, "#1") == NULL);
		free(out);
	}
}

TEST(no_text_line_is_wider_than_the_page_but_for_names)
{
	struct writer_options o = { .version = "0.1.0", .columns = 72, .top = 10 };
	char *out = sample_written(&writer_text, &o, false);

	for (char *line = strtok(out, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		size_t columns = 0;

		for (const char *c = line; *c != '\0'; c++)
			columns += ((unsigned char)*c & 0xc0) != 0x80;
		if (columns > 100) {
			FAIL(line);
			break;
		}
	}
	free(out);
}

TEST(colors_are_sent_only_when_asked_for)
{
	struct writer_options o = { .version = "0.1.0", .columns = 100, .top = 10, .color = true };
	char *out = sample_written(&writer_text, &o, false);

	CHECK_HAS(out, "\033[1mkeepalive-race\033[0m");
	free(out);
}

TEST(ascii_is_nothing_but_ascii)
{
	struct writer_options o = { .version = "0.1.0", .columns = 100, .top = 10, .ascii = true };
	char *out = sample_written(&writer_text, &o, false);

	for (const char *c = out; *c != '\0'; c++)
		CHECK_OR_RETURN((unsigned char)*c < 0x80);
	free(out);
}

TEST(match_leaves_out_other_requests)
{
	struct writer_options o = { .version = "0.1.0", .columns = 100, .top = 10, .match = "owned" };
	char *out = sample_written(&writer_json, &o, false);

	CHECK_HAS(out, "\"id\": 2,");
	CHECK(strstr(out, "\"id\": 3,") == NULL);
	free(out);
}

/* ---- storms --------------------------------------------------------------------------------- */

static char *storm(unsigned n, int64_t step_ns, bool terminal, bool live)
{
	struct writer_options o = { .version = "0.1.0", .live = live, .terminal = terminal };
	struct sample *s = sample_new();
	struct out *out = out_memory();
	struct incident one = *sample_report(s)->incidents[0];
	struct report nothing = { 0 };
	void *self = writer_line.begin(&o, out);
	struct err e = { 0 };
	char *copy;

	for (unsigned i = 0; i < n; i++) {
		one.id = i + 1;
		writer_line.incident(self, &one);
		one.time_ns += step_ns;
		writer_line.tick(self, one.time_ns);
	}
	writer_line.end(self, &nothing, sample_run(s));
	out_flush(out);
	copy = strndup((const char *)out_written(out).at, out_written(out).len);
	(void)out_close(out, &e);
	sample_free(s);
	return copy;
}

static unsigned count(const char *in, const char *what)
{
	unsigned n = 0;

	for (const char *c = strstr(in, what); c != NULL; c = strstr(c + 1, what))
		n++;
	return n;
}

TEST(a_storm_is_told_ten_times_in_full_and_then_counted_each_second)
{
	char *out = storm(4000, NS_PER_MS, false, true);       /* 4 s */

	CHECK_INT(count(out, "GET shop.example"), 10);
	CHECK(count(out, "alike") >= 3 && count(out, "alike") <= 5);
	CHECK_HAS(out, "(+");
	free(out);
}

TEST(a_slow_trickle_is_told_line_by_line)
{
	char *out = storm(30, 7 * NS_PER_S, false, true);

	CHECK_INT(count(out, "GET shop.example"), 30);
	CHECK_INT(count(out, "alike"), 0);
	free(out);
}

TEST(on_a_terminal_what_is_alike_within_a_second_is_one_line)
{
	char *out = storm(17, NS_PER_MS, true, true);

	CHECK_INT(count(out, "GET shop.example"), 1);
	CHECK_HAS(out, "(+16 alike)  [#2 to #17]");
	free(out);
}

/* ---- the schema ----------------------------------------------------------------------------- */

TEST(the_schema_names_every_cause)
{
	struct out *o = out_memory();
	struct err e = { 0 };
	char *schema;

	print_schema(o);
	out_flush(o);
	schema = strndup((const char *)out_written(o).at, out_written(o).len);
	for (unsigned c = 0; c < CAUSE_COUNT; c++)
		CHECK_HAS(schema, cause_row(c)->name);
	CHECK(strstr(schema, "enum\": $") == NULL);
	free(schema);
	(void)out_close(o, &e);
}

TEST_MAIN()
