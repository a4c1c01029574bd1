/* check.h - tests, named after behaviour
 *
 *     TEST(span_from_beyond_the_end_is_empty)
 *     {
 *             CHECK_INT(span_from(span_text("abc"), 4).len, 0);
 *     }
 *     TEST_MAIN()
 *
 * One test program is one .c file; TEST_MAIN() at its end is its main(). It prints TAP: a failed check prints file,
 * line, what was got and what was wanted, and the test goes on (CHECK_OR_RETURN ends it). Arguments choose tests by name.
 */
#ifndef WHY502_CHECK_H
#define WHY502_CHECK_H

#include "../capture/span.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct check_test { const char *name; void (*run)(void); struct check_test *next; };
struct check_state { struct check_test *first, **end; unsigned failures; const char *skipped; };

/* The one variable of a test program: what TEST() adds itself to before main() begins. */
static inline struct check_state *check_state(void)
{
	static struct check_state state;

	return &state;
}

static inline void check_add(struct check_test *t)
{
	struct check_state *s = check_state();

	if (s->end == NULL)
		s->end = &s->first;
	*s->end = t;
	s->end = &t->next;
}

#define TEST(name)                                                                                  \
	static void test_##name(void);                                                              \
	__attribute__((constructor)) static void add_##name(void)                                   \
	{                                                                                           \
		static struct check_test t = { #name, test_##name, NULL };                          \
		check_add(&t);                                                                      \
	}                                                                                           \
	static void test_##name(void)

/* ---- checks ------------------------------------------------------------------------------- */

static inline void check_quoted(struct span s)
{
	putchar('"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.at[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c >= ' ' && c < 0x7f)
			putchar(c);
		else
			printf("\\x%02x", c);
	}
	putchar('"');
}

static inline void check_where(const char *file, int line, const char *what)
{
	check_state()->failures++;
	printf("# %s:%d: %s\n", file, line, what);
}

static inline bool check_true(bool ok, const char *file, int line, const char *what)
{
	if (!ok)
		check_where(file, line, what);
	return ok;
}

static inline bool check_int(intmax_t got, intmax_t want, const char *file, int line, const char *what)
{
	if (got == want)
		return true;
	check_where(file, line, what);
	printf("#   got    %" PRIdMAX "\n#   wanted %" PRIdMAX "\n", got, want);
	return false;
}

static inline bool check_span(struct span got, struct span want, const char *file, int line, const char *what)
{
	if (span_equal(got, want))
		return true;
	check_where(file, line, what);
	printf("#   got    ");
	check_quoted(got);
	printf("\n#   wanted ");
	check_quoted(want);
	putchar('\n');
	return false;
}

static inline bool check_str(const char *got, const char *want, const char *file, int line, const char *what)
{
	if (got != NULL && want != NULL)
		return check_span(span_text(got), span_text(want), file, line, what);
	if (got == want)
		return true;
	check_where(file, line, what);
	printf("#   got    %s\n#   wanted %s\n", got != NULL ? got : "NULL", want != NULL ? want : "NULL");
	return false;
}

static inline bool check_has(struct span in, const char *part, const char *file, int line, const char *what)
{
	if (span_find(in, part) < in.len || *part == '\0')
		return true;
	check_where(file, line, what);
	printf("#   got    ");
	check_quoted(in);
	printf("\n#   wanted it to hold ");
	check_quoted(span_text(part));
	putchar('\n');
	return false;
}

#define CHECK(cond)             check_true((cond), __FILE__, __LINE__, #cond)
#define CHECK_INT(got, want)    check_int((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want)    check_str((got), (want), __FILE__, __LINE__, #got)
#define CHECK_SPAN(got, text)   check_span((got), span_text(text), __FILE__, __LINE__, #got)
#define CHECK_SPANS(got, want)  check_span((got), (want), __FILE__, __LINE__, #got)
#define CHECK_HAS(got, part)    check_has(span_text(got), (part), __FILE__, __LINE__, #got)   /* text holds part */
#define CHECK_OR_RETURN(cond)   do { if (!CHECK(cond)) return; } while (0)
#define FAIL(text)              check_where(__FILE__, __LINE__, (text))
#define SKIP(why)               do { check_state()->skipped = (why); return; } while (0)

/* ---- main --------------------------------------------------------------------------------- */

static inline bool check_chosen(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]) != NULL)
			return true;
	return argc < 2;
}

static inline int check_main(int argc, char **argv)
{
	struct check_state *s = check_state();
	unsigned n = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);       /* a crash must not swallow what was said before it */
	for (const struct check_test *t = s->first; t != NULL; t = t->next) {
		if (!check_chosen(t->name, argc, argv))
			continue;
		s->failures = 0;
		s->skipped = NULL;
		t->run();
		failed += s->failures != 0;
		printf("%s %u - %s%s%s\n", s->failures != 0 ? "not ok" : "ok", ++n, t->name,
		       s->skipped != NULL ? " # SKIP " : "", s->skipped != NULL ? s->skipped : "");
	}
	printf("1..%u\n", n);
	return failed != 0 && getenv("HARNESS_ACTIVE") == NULL;     /* a TAP harness counts for itself */
}

#define TEST_MAIN() int main(int argc, char **argv) { return check_main(argc, argv); }

#endif
