/* cause.c - causes, families, faults and the rest by name: all from causes.def and incident.h's enums */
#include "incident.h"

static const struct cause_row rows[CAUSE_COUNT] = {
#define CAUSE(id, name, family, fault, rule, shows) [CAUSE_##id] = { name, FAMILY_##family, FAULT_##fault, shows },
#include "causes.def"
};

static const char *const families[FAMILY_COUNT] = {
	[FAMILY_CONNECT] = "connect", [FAMILY_GATEWAY] = "gateway", [FAMILY_TLS] = "tls", [FAMILY_MISMATCH] = "mismatch",
	[FAMILY_CLOSED] = "closed", [FAMILY_NETWORK] = "network", [FAMILY_INVALID] = "invalid", [FAMILY_HTTP2] = "http2",
	[FAMILY_TIMEOUT] = "timeout", [FAMILY_UPSTREAM] = "upstream", [FAMILY_CLIENT] = "client", [FAMILY_UNKNOWN] = "unknown",
};

static const char *const faults[FAULT_COUNT] = {
	[FAULT_UPSTREAM] = "upstream", [FAULT_GATEWAY] = "gateway", [FAULT_NETWORK] = "network",
	[FAULT_CONFIGURATION] = "configuration", [FAULT_CLIENT] = "client", [FAULT_UNKNOWN] = "unknown",
};

static const char *const confidences[] = { [CONFIDENCE_LOW] = "low", [CONFIDENCE_MEDIUM] = "medium", [CONFIDENCE_HIGH] = "high" };

static const char *const symptoms[] = {
	[SYMPTOM_ERROR_STATUS] = "error-status", [SYMPTOM_NO_RESPONSE] = "no-response",
	[SYMPTOM_TRUNCATED] = "truncated-response", [SYMPTOM_GARBLED] = "garbled-response",
	[SYMPTOM_CLIENT_ABORT] = "client-abort",
};

/* How an upstream exchange was matched with its client's; NULL where it was not. */
static const char *const matches[] = {
	[MATCHED_NONE] = NULL, [MATCHED_ID] = "id", [MATCHED_UNIQUE] = "unique", [MATCHED_ORDER] = "order", [MATCHED_SET] = "set",
};

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

const struct cause_row *cause_row(unsigned cause)
{
	return &rows[cause < CAUSE_COUNT ? cause : CAUSE_UNEXPLAINED];
}

int cause_by_name(const char *name)
{
	for (unsigned i = 0; i < CAUSE_COUNT; i++)
		if (strcmp(rows[i].name, name) == 0)
			return (int)i;
	return -1;
}

const char *family_name(unsigned f)
{
	return f < COUNT_OF(families) ? families[f] : "unknown";
}

const char *fault_name(unsigned f)
{
	return f < COUNT_OF(faults) ? faults[f] : "unknown";
}

const char *confidence_name(unsigned c)
{
	return c < COUNT_OF(confidences) ? confidences[c] : "low";
}

const char *group_by_name(unsigned g)
{
	static const char *const names[] = { "", "cause", "upstream", "route", "client" };

	return g < GROUP_BY_COUNT ? names[g] : "";
}

const char *symptom_name(unsigned s)
{
	return s < COUNT_OF(symptoms) ? symptoms[s] : "error-status";
}

const char *matched_name(unsigned m)
{
	return m < COUNT_OF(matches) ? matches[m] : NULL;
}
