/* A DNS message: the name fits, ends, and is the same wherever the message lies; a message that is cut gives no more than the whole. */
#include "../decode/control.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char name[DNS_NAME_MAX + 1], again[DNS_NAME_MAX + 1];
	struct dns_fact whole = { .rcode = 0 }, part = { .rcode = 0 };
	size_t name_len, again_len;

	if (!control_dns(span_of(bytes, n), &whole, name, &name_len))
		return 0;
	if (name_len > DNS_NAME_MAX || name[name_len] != '\0' || whole.n_addresses > 8)
		abort();
	if (control_dns(span_of(bytes, n - 1), &part, again, &again_len) &&
	    (again_len != name_len || memcmp(name, again, name_len) != 0 || part.n_addresses > whole.n_addresses))
		abort();
	return 0;
}
