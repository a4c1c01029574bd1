#include "../options.h"
#include "check.h"

enum { ARGS_MAX = 16 };

/* Splits a command line at spaces. */
static enum err_code parse(struct options *o, const char *line, struct err *e)
{
	static char copy[512];
	char *argv[ARGS_MAX + 1] = { NULL };
	int argc = 0;

	*e = (struct err){ 0 };
	(void)snprintf(copy, sizeof copy, "why502 %s", line);
	for (char *word = strtok(copy, " "); word != NULL && argc < ARGS_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	return options_parse(o, argc, argv, e);
}

#define GOOD(line)                                                                                  \
	struct options o;                                                                           \
	struct err e;                                                                               \
	if (!CHECK_INT(parse(&o, (line), &e), ERR_OK)) {                                            \
		printf("#   %s\n", e.text);                                                         \
		options_free(&o);                                                                   \
		return;                                                                             \
	}

static bool refused(const char *line, const char *because)
{
	struct options o;
	struct err e;
	bool good = CHECK_INT(parse(&o, line, &e), ERR_OPTION) && CHECK_HAS(e.text, because) && strchr(e.text, '\n') == NULL;

	if (!good)
		printf("#   %s: %s\n", line, e.text);
	options_free(&o);
	return good;
}

TEST(files_and_a_filter)
{
	GOOD("-r a.pcap --read b.pcap -T json tcp port 80")
	CHECK_INT(o.files.n, 2);
	CHECK_STR(o.files.at[1], "b.pcap");
	CHECK_STR(o.filter, "tcp port 80");
	CHECK_STR(o.format->name, "json");
	options_free(&o);
}

TEST(packets_are_written_of_saved_captures_alone)
{
	GOOD("-r a -w b.pcapng --write-each c --write-window 1.5s --no-secrets")
	CHECK_STR(o.write, "b.pcapng");
	CHECK_STR(o.write_each, "c");
	CHECK_INT(o.write_window_ns, 1500 * NS_PER_MS);
	CHECK_INT(o.no_secrets, true);
	options_free(&o);
	(void)refused("-i lo -w b.pcapng", "saved captures alone");
	(void)refused("-w b.pcapng", "saved captures alone");
	(void)refused("-r a --write-window 2s", "nothing is written");
	(void)refused("-r a --no-secrets", "nothing is written");
	(void)refused("-r a -w -", "wants the name of a file");
	(void)refused("-r a -w b --write-window soon", "wants a time");
}

TEST(what_is_hidden_is_hidden_everywhere)
{
	GOOD("-r a --redact query,addresses --redact cookies")
	CHECK_INT(o.redact, REDACT_QUERY | REDACT_ADDRESSES | REDACT_COOKIES);
	options_free(&o);
	(void)refused("-r a --redact names", "wants query");
	(void)refused("-r a --redact query -w b", "only addresses");
	(void)refused("-r a --redact addresses -N", "-N names them");
}

TEST(groups_and_a_bar)
{
	GOOD("-r a --group route --progress never")
	CHECK_INT(o.group_by, GROUP_BY_ROUTE);
	CHECK_INT(o.progress, COLOR_NEVER);
	options_free(&o);
	(void)refused("-r a --group status", "wants cause, upstream, route or client");
	(void)refused("-r a --progress soon", "wants auto, always or never");
}

TEST(defaults_are_those_of_the_report)
{
	GOOD("-r a")
	CHECK_INT(o.status_wanted[502] + o.status_wanted[503] + o.status_wanted[504] + o.status_wanted[520] + o.status_wanted[527], 5);
	CHECK_INT(o.status_wanted[500] + o.status_wanted[501] + o.status_wanted[505] + o.status_wanted[519] + o.status_wanted[528], 0);
	CHECK_INT(o.symptoms, 0xf);
	CHECK_INT(o.action, ACTION_RUN);
	options_free(&o);
}

TEST(status_lists)
{
	GOOD("-r a --status 400,502-504,5xx,599")
	CHECK_INT(o.status_wanted[400], 1);
	CHECK_INT(o.status_wanted[500], 1);
	CHECK_INT(o.status_wanted[599], 1);
	CHECK_INT(o.status_wanted[401], 0);
	options_free(&o);
	CHECK(refused("-r a --status 6xx", "--status 6xx"));
	CHECK(refused("-r a --status 600", "--status 600"));
	CHECK(refused("-r a --status 504-502", "504-502"));
	CHECK(refused("-r a --status 5a2", "5a2"));
}

TEST(endpoints)
{
	struct endpoint e;
	char text[ENDPOINT_TEXT];

	CHECK(endpoint_parse(span_text("10.0.0.1:80"), &e));
	CHECK_STR(endpoint_text(&e, text), "10.0.0.1:80");
	CHECK(endpoint_parse(span_text("10.0.0.1"), &e));
	CHECK_INT(e.port, 0);
	CHECK(endpoint_parse(span_text("[2001:db8::1]:8080"), &e));
	CHECK_STR(endpoint_text(&e, text), "[2001:db8::1]:8080");
	CHECK(endpoint_parse(span_text("2001:db8::1"), &e));
	CHECK_INT(e.port, 0);
	CHECK(endpoint_parse(span_text("[::1]"), &e));
	for (size_t i = 0; i < 9; i++)
		CHECK(!endpoint_parse(span_text((const char *const[]){ "", "10.0.0", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536",
		                                                       "[::1", "[::1]80", "host:80", "[10.0.0.1:80" }[i]), &e));
}

TEST(gateways)
{
	GOOD("-r a -g 10.0.0.1:80,10.0.1.1,10.0.1.2=nginx -u 10.0.0.7:8080 -u [::1]")
	CHECK_INT(o.n_gateways, 1);
	CHECK_INT(o.gateways[0].n_backs, 2);
	CHECK_STR(o.gateways[0].product, "nginx");
	CHECK_INT(o.n_upstreams, 2);
	options_free(&o);
	CHECK(refused("-r a -g 10.0.0.1=apachee", "--list-products"));
	CHECK(refused("-r a -g gateway:80", "--gateway gateway:80"));
	CHECK(refused("-r a -u :80", "--upstream :80"));
}

TEST(durations_and_sizes)
{
	int64_t ns = 0;
	uint64_t n = 0;

	CHECK(duration_parse(span_text("1.5s"), &ns) && ns == 1500000000);
	CHECK(duration_parse(span_text("200ms"), &ns) && ns == 200000000);
	CHECK(duration_parse(span_text("0.012"), &ns) && ns == 12000000);
	CHECK(duration_parse(span_text("2m"), &ns) && ns == 120000000000);
	CHECK(!duration_parse(span_text("s"), &ns));
	CHECK(!duration_parse(span_text("-1"), &ns));
	CHECK(!duration_parse(span_text("1."), &ns));
	CHECK(!duration_parse(span_text("99999999999999999999"), &ns));
	CHECK(!duration_parse(span_text("9999999999999h"), &ns));
	CHECK(size_parse(span_text("256M"), 1, &n) && n == 256u << 20);
	CHECK(size_parse(span_text("16"), 1024, &n) && n == 16384);
	CHECK(!size_parse(span_text("M"), 1, &n));
	CHECK(!size_parse(span_text("99999999999T"), 1, &n));
	CHECK(!number_parse(span_text("18446744073709551616"), &n));
	CHECK(number_parse(span_text("18446744073709551615"), &n) && n == UINT64_MAX);
	CHECK(!number_parse(span_text("0x10"), &n));
}

TEST(clocks_and_limits)
{
	GOOD("-r a --clock back=1.pcap=-0.012s --clock b=+2 --limit header-size=16k --limit read-timeout=60s")
	CHECK_STR(o.shifts[0].file, "back=1.pcap");
	CHECK_INT(o.shifts[0].shift_ns, -12000000);
	CHECK_INT(o.shifts[1].shift_ns, 2000000000);
	CHECK_INT(o.n_limits, 2);
	CHECK_STR(o.limits[0].name, "header-size");
	CHECK_STR(o.limits[0].value, "16k");
	options_free(&o);
	CHECK(refused("-r a --clock x", "FILE=+SECONDS"));
	CHECK(refused("-r a --clock =1", "FILE=+SECONDS"));
	CHECK(refused("-r a --limit body=1", "--limit body=1"));
	CHECK(refused("-r a --limit header-size=big", "--limit header-size=big"));
}

TEST(stops)
{
	GOOD("-i any -a duration:60 -a packets:5 -a incidents:2")
	CHECK_INT(o.max_duration_ns, 60 * NS_PER_S);
	CHECK_INT(o.max_packets, 5);
	CHECK_INT(o.max_incidents, 2);
	options_free(&o);
	CHECK(refused("-i any -a time:5", "duration:SECONDS"));
	CHECK(refused("-i any -a packets:0", "duration:SECONDS"));
}

TEST(times_are_of_the_clock_or_from_either_end)
{
	static const struct { const char *text; enum moment_kind kind; int64_t ns; } good[] = {
		{ "2026-01-31T12:00:00Z", MOMENT_AT, INT64_C(1769860800000000000) },
		{ "2026-01-31t12:00:00.5z", MOMENT_AT, INT64_C(1769860800500000000) },
		{ "2026-01-31 13:30:00.000000001+01:30", MOMENT_AT, INT64_C(1769860800000000001) },
		{ "2026-01-31T07:00:00-05:00", MOMENT_AT, INT64_C(1769860800000000000) },
		{ "2024-02-29T00:00:00Z", MOMENT_AT, INT64_C(1709164800000000000) },
		{ "+90s", MOMENT_FROM_START, 90 * NS_PER_S }, { "+0.5", MOMENT_FROM_START, NS_PER_S / 2 },
		{ "-10m", MOMENT_FROM_END, 600 * NS_PER_S },
	};
	static const char *const bad[] = {
		"", "+", "-", "90s", "noon", "2026-01-31", "2026-01-31T12:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
		"2026-01-31T24:00:00Z", "2026-01-31T12:00:61Z", "2026-01-31T12:00:00+1:00", "2026-01-31T12:00:00Zx", "2026-01-31T12:00:0.5.5Z",
		"2262-01-31T12:00:00Z", "1969-12-31T23:59:59Z",
	};
	struct moment m;

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		CHECK(moment_parse(span_text(good[i].text), &m));
		CHECK_INT(m.kind, good[i].kind);
		CHECK_INT(m.ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (moment_parse(span_text(bad[i]), &m))
			FAIL(bad[i]);
	CHECK(refused("-r a --since yesterday", "2026-01-31T12:00:00Z"));
	CHECK(refused("-r a --since +2s --until +1s", "nothing lies between"));
	CHECK(refused("-r a --since -1s --until -2s", "nothing lies between"));
}

TEST(what_is_wrong_is_said_with_the_option_that_it_is_in)
{
	CHECK(refused("-r", "--read wants FILE"));
	CHECK(refused("-r a --threads 0", "--threads 0"));
	CHECK(refused("-r a -j 17", "--threads 17"));
	CHECK(refused("-r a -T xml", "--format xml"));
	CHECK(refused("-r a --nonsense", "--nonsense"));
	CHECK(refused("-r a -y", "-y"));
	CHECK(refused("-r a -Y http", "BPF filter"));
	CHECK(refused("-r a -i b", "exclude each other"));
	CHECK(refused("-r a -f x y", "twice"));
	CHECK(refused("-r a -o x.unknown", "names no format"));
	CHECK(refused("-r a --max-memory 1M", "16M"));
	CHECK(refused("-r a --color blue", "auto, always or never"));
	CHECK(refused("-r a -t x", "ud, ad, u or r"));
	CHECK(refused("-r a --symptom odd", "error-status"));
	CHECK(refused("-r a --keylog /nonexistent/keys", "/nonexistent/keys"));
	CHECK(refused("-r a --show-secrets=yes", "--show-secrets=yes"));
}

TEST(a_trailing_word_that_is_a_file_is_the_commonest_slip)
{
	CHECK(refused("/proc/self/status", "did you mean -r /proc/self/status?"));
}

TEST(help_lists_every_option_that_is_not_hidden)
{
	struct out *out = out_memory();
	struct err e = { 0 };
	char *help;

	options_help(out);
	out_flush(out);
	help = strndup((const char *)out_written(out).at, out_written(out).len);
#define SECTION(title) CHECK_HAS(help, title);
#define OPTION(fn, letter, name, argument, line, more) if ((line) != NULL) CHECK_HAS(help, "--" name);
#include "../options.def"
	CHECK(strncmp(help, "Usage:", 6) == 0);
	CHECK(strstr(help, "print-manual") == NULL);
	for (char *l = strtok(help, "\n"); l != NULL; l = strtok(NULL, "\n"))
		if (strlen(l) > 100)
			FAIL(l);
	free(help);
	(void)out_close(out, &e);
}

TEST_MAIN()
