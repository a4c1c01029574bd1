/* Command lines, their words with NULs between: refused with a sentence, or taken. Then each word as a number, a time, an address
 * and as words of a gateway's log. */
#include "../options.h"
#include "../report/explain.h"
#include "check.h"

enum { WORDS = 24, WORD_MAX = 512 };

/* A file named there would be read. */
static bool reads_a_file(const char *word)
{
	return strncmp(word, "-F", 2) == 0 || strncmp(word, "--filter-f", 10) == 0 || (word[0] == '-' && word[1] != '-' && strchr(word, 'F') != NULL);
}

static void as_values(const char *word)
{
	struct span s = span_text(word);
	struct endpoint end;
	struct moment when;
	uint64_t n;
	int64_t ns;

	(void)endpoint_parse(s, &end);
	(void)moment_parse(s, &when);
	if (duration_parse(s, &ns))
		must(ns >= 0);
	if (size_parse(s, 1, &n) && number_parse(s, &n))
		must(s.len != 0);
}

static void as_log(const char *word)
{
	struct page p = { .out = out_memory(), .width = 80 };
	struct err e = { ERR_OK, "" };

	if (p.out == NULL)
		return;
	(void)explain(&p, word);
	out_flush(p.out);
	must_print(out_written(p.out));
	(void)out_close(p.out, &e);
}

static void as_command(char **words, int n)
{
	struct options o;
	struct err e = { ERR_OK, "" };

	for (int i = 0; i < n; i++)
		if (reads_a_file(words[i]))
			return;
	if (options_parse(&o, n, words, &e) != ERR_OK)
		must(e.text[0] != '\0');
	options_free(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char text[WORDS][WORD_MAX] = { "why502" }, *words[WORDS + 1] = { text[0] };
	struct span rest = span_of(bytes, n);
	int count = 1;

	while (rest.len != 0 && count < WORDS) {
		size_t len = 0;

		while (len < rest.len && span_at(rest, len) != 0)
			len++;
		memcpy(text[count], rest.at, len < WORD_MAX ? len : WORD_MAX - 1);
		words[count] = text[count];
		count++;
		rest = span_from(rest, len + 1);
	}
	for (int i = 1; i < count; i++) {
		as_values(words[i]);
		as_log(words[i]);
	}
	as_command(words, count);
	return 0;
}
