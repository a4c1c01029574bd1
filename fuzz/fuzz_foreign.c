/* First bytes: the first byte of the input says who speaks, the second how much of the rest the other side has said. Fewer bytes
 * may leave it open, but a PROXY preface is never longer than what there is. */
#include "../decode/foreign.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct span all = span_of(bytes, n), rest = span_from(all, 2);
	struct span other = span_first(rest, span_at(all, 1)), first = span_from(rest, span_at(all, 1));
	unsigned speaks = foreign_probe((span_at(all, 0) & 1) != 0 ? SERVER : CLIENT, first, other);
	int preface = proxy_preface(first);

	if (speaks_name(speaks)[0] == '\0' || preface < -1 || (preface > 0 && (size_t)preface > first.len))
		abort();
	return 0;
}
