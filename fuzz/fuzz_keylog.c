/* A key log: as a block of a capture, and as a file that grows, the same secrets come of it. The first byte of the input says
 * where the file is cut the first time. A last line without its end is not yet one. */
#include "../capture/secrets.h"
#include "check.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t of_block(struct span text)
{
	struct secrets *s = secrets_new();
	size_t n;

	if (s == NULL)
		return 0;
	secrets_text(s, text);
	n = secrets_count(s);
	secrets_free(s);
	return n;
}

static void write_all(int fd, struct span text)
{
	must(write(fd, text.at, text.len) == (ssize_t)text.len);
}

/* SIZE_MAX: it could not be tried. */
static size_t of_file(struct span first, struct span rest)
{
	char path[64];
	struct secrets *s = secrets_new();
	struct err e = { ERR_OK, "" };
	int fd = memfd_create("keylog", MFD_CLOEXEC);
	size_t n = SIZE_MAX;

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fd >= 0 && s != NULL) {
		write_all(fd, first);
		must(secrets_file(s, path, &e) == ERR_OK);
		secrets_poll(s);
		write_all(fd, rest);
		secrets_poll(s);
		n = secrets_count(s);
	}
	if (fd >= 0)
		(void)close(fd);
	secrets_free(s);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct span text = span_from(span_of(bytes, n), 1);
	size_t cut = n != 0 ? bytes[0] : 0, whole = of_block(text), grown;

	/* What is not a line yet when the file is looked at may be taken for one: a whole file may lack its last line feed. */
	grown = of_file(span_first(text, cut), span_from(text, cut));
	must(grown == SIZE_MAX || grown + 1 >= whole);
	must(of_file(text, span_none()) == whole || grown == SIZE_MAX);
	return 0;
}
