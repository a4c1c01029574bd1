#include "command.h"

#include "escape.h"

#include <stdio.h>

enum { FILES_NAMED = 4 };

/* In single quotes where it holds more than letters, digits and ./-_ (POSIX shell, 2.2.2). A name that begins with a dash
 * is a path. */
static bool add_name(char *text, size_t *at, const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-";
	struct span s = span_text(name);
	bool quoted = strspn(name, plain) != s.len;
	uint32_t c = 0;
	int n;

	for (unsigned step; s.len > 0; s = span_from(s, step)) {
		step = utf8_next(s, &c);
		if (step == 0 || character_hidden(c) || c == '\'')
			return false;
	}
	n = snprintf(text + *at, COMMAND_TEXT - *at, " %s%s%s%s", quoted ? "'" : "", name[0] == '-' ? "./" : "", name, quoted ? "'" : "");
	if (n < 0 || (size_t)n >= COMMAND_TEXT - *at)
		return false;
	*at += (size_t)n;
	return true;
}

static bool add(char *text, size_t *at, const char *words)
{
	int n = snprintf(text + *at, COMMAND_TEXT - *at, "%s", words);

	if (n < 0 || (size_t)n >= COMMAND_TEXT - *at)
		return false;
	*at += (size_t)n;
	return true;
}

/* Packets are numbered over all files, merged by time, as mergecap merges them. */
static bool add_files(char *text, size_t *at, const struct run_info *run)
{
	if (run->n_files == 1)
		return add(text, at, "tshark -r") && add_name(text, at, run->files[0].name);
	if (!add(text, at, "mergecap -w all.pcapng"))
		return false;
	for (unsigned i = 0; i < run->n_files; i++)
		if (run->files[i].shift_ns != 0 || (i > 0 && run->files[i].first_ns < run->files[i - 1].first_ns) ||
		    !add_name(text, at, run->files[i].name))
			return false;
	return add(text, at, " && tshark -r all.pcapng");
}

bool tshark_command(const struct run_info *run, const struct incident *i, char text[static COMMAND_TEXT])
{
	size_t at = 0;

	if (run == NULL || run->live || run->n_files == 0 || run->n_files > FILES_NAMED || strcmp(run->files[0].name, "-") == 0 ||
	    i->filter == NULL || i->filter[0] == '\0')
		return false;
	return add_files(text, &at, run) && add(text, &at, " -Y '") && add(text, &at, i->filter) && add(text, &at, "'");
}
