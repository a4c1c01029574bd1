/* check.h - what a fuzz target holds its subject to */
#ifndef WHY502_FUZZ_CHECK_H
#define WHY502_FUZZ_CHECK_H

#include "../report/escape.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static inline void must(bool ok)
{
	if (!ok)
		abort();
}

/* Fit to be printed on a terminal: UTF-8, of control characters only line feeds, nothing that hides or reorders. */
static inline void must_print(struct span text)
{
	while (text.len != 0) {
		uint32_t c = 0;
		unsigned len = utf8_next(text, &c);

		must(len != 0 && (c == '\n' || !character_hidden(c)));
		text = span_from(text, len);
	}
}

#endif
