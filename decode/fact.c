/* fact.c - the words of facts, and addresses as text */
#include "fact.h"
#include "foreign.h"

#include <stdio.h>

struct violation_row { const char *name, *text, *source; };

#undef VIOLATION
static const struct violation_row violations[VIOLATION_COUNT] = {
#define VIOLATION(id, name, text, source) [VIOLATION_##id] = { name, text, source },
#include "violations.def"
#undef VIOLATION
};

static const char *const outcomes[] = {
	[OUTCOME_IN_PROGRESS]     = "in-progress",
	[OUTCOME_COMPLETE]        = "complete",
	[OUTCOME_NO_RESPONSE]     = "no-response",
	[OUTCOME_PARTIAL_HEADERS] = "partial-headers",
	[OUTCOME_PARTIAL_BODY]    = "partial-body",
	[OUTCOME_RESET]           = "reset",
	[OUTCOME_UPGRADED]        = "upgraded",
	[OUTCOME_TUNNEL]          = "tunnel",
	[OUTCOME_GARBLED]         = "no-response",      /* bytes came, but no response: as the report has it */
};

static const char *const methods[] = {
	[METHOD_OTHER] = "", [METHOD_GET] = "GET", [METHOD_HEAD] = "HEAD", [METHOD_POST] = "POST",
	[METHOD_PUT] = "PUT", [METHOD_DELETE] = "DELETE", [METHOD_CONNECT] = "CONNECT",
	[METHOD_OPTIONS] = "OPTIONS", [METHOD_TRACE] = "TRACE", [METHOD_PATCH] = "PATCH",
};

static const char *const versions[] = {
	[VERSION_NONE] = "", [VERSION_0_9] = "HTTP/0.9", [VERSION_1_0] = "HTTP/1.0",
	[VERSION_1_1] = "HTTP/1.1", [VERSION_2] = "HTTP/2",
};

static const char *const speaks[SPEAKS_FOREIGN_FIRST] = {
	[SPEAKS_NOTHING] = "", [SPEAKS_UNKNOWN] = "unknown", [SPEAKS_HTTP1] = "http1",
	[SPEAKS_HTTP2] = "http2", [SPEAKS_TLS] = "tls", [SPEAKS_PROXY] = "proxy",
};

#define ROW(table, i) ((size_t)(i) < sizeof (table) / sizeof (table)[0] ? (table)[i] : "")

const char *violation_name(enum violation v)
{
	return v < VIOLATION_COUNT ? violations[v].name : "";
}

const char *violation_text(enum violation v)
{
	return v < VIOLATION_COUNT ? violations[v].text : "";
}

const char *violation_source(enum violation v)
{
	return v < VIOLATION_COUNT ? violations[v].source : "";
}

const char *outcome_name(enum outcome o)
{
	return ROW(outcomes, o);
}

const char *method_name(enum method m)
{
	return ROW(methods, m);
}

const char *version_name(enum version v)
{
	return ROW(versions, v);
}

const char *speaks_name(unsigned s)
{
	return s < SPEAKS_FOREIGN_FIRST ? speaks[s] : foreign_name(s);
}

bool address_equal(const uint8_t a[static 16], const uint8_t b[static 16])
{
	return memcmp(a, b, 16) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && address_equal(a->address, b->address);
}

static bool is_ipv4(const uint8_t a[static 16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(a, mapped, sizeof mapped) == 0;
}

/* The longest run of two or more zero groups, the first of equals (RFC 5952 4.2.2, 4.2.3); *n 0: none. */
static unsigned zero_run(const unsigned group[static 8], unsigned *n)
{
	unsigned at = 0, len = 0;

	*n = 0;
	for (unsigned i = 0; i < 8; i++) {
		len = group[i] == 0 ? len + 1 : 0;
		if (len >= 2 && len > *n) {
			*n = len;
			at = i + 1 - len;
		}
	}
	return at;
}

/* At most 39 bytes and the end. */
static void ipv6_text(const uint8_t a[static 16], char text[static ENDPOINT_TEXT])
{
	unsigned group[8], n, zeros;
	size_t used = 0;

	for (unsigned i = 0; i < 8; i++)
		group[i] = (unsigned)a[2 * i] << 8 | a[2 * i + 1];
	zeros = zero_run(group, &n);
	for (unsigned i = 0; i < 8; i++) {
		if (n != 0 && i == zeros) {
			used += (size_t)snprintf(text + used, ENDPOINT_TEXT - used, "::");
			i += n - 1;
			continue;
		}
		used += (size_t)snprintf(text + used, ENDPOINT_TEXT - used, "%s%x",
		                         i == 0 || (n != 0 && i == zeros + n) ? "" : ":", group[i]);
	}
}

const char *endpoint_text(const struct endpoint *e, char text[static ENDPOINT_TEXT])
{
	const uint8_t *a = e->address;
	char address[ENDPOINT_TEXT];
	bool v4 = is_ipv4(a);

	if (v4)
		(void)snprintf(address, sizeof address, "%u.%u.%u.%u", a[12], a[13], a[14], a[15]);
	else
		ipv6_text(a, address);
	if (e->port == 0)
		(void)snprintf(text, ENDPOINT_TEXT, "%.47s", address);
	else
		(void)snprintf(text, ENDPOINT_TEXT, v4 ? "%.47s:%u" : "[%.47s]:%u", address, (unsigned)e->port);
	return text;
}
