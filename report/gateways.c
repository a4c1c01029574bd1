/* gateways.c - the models: what each product answers, allows, retries and calls it */
#include "gateways.h"

#define BIT(v) (UINT64_C(1) << VIOLATION_##v)
#define SECONDS(n) ((n) * NS_PER_S)
#define CHUNKS (BIT(CHUNK_SIZE) | BIT(CHUNK_END))
#define NO_STATUS (BIT(STATUS_LINE) | BIT(STATUS_CODE))

/* ---- the tables ----------------------------------------------------------------------------- */

/* Products that are nginx inside differ in name and defaults alone. */
#define NGINX_STATUS \
	[CAUSE_CONNECTION_REFUSED] = 502, [CAUSE_CONNECT_TIMEOUT] = 504, [CAUSE_HOST_UNREACHABLE] = 502, \
	[CAUSE_ACCEPT_QUEUE_OVERFLOW] = 504, [CAUSE_PORT_REUSE_CONFLICT] = 504, [CAUSE_DNS_FAILURE] = 502, \
	[CAUSE_NO_UPSTREAM_ATTEMPT] = 502, [CAUSE_PROXY_LOOP] = 502, [CAUSE_TLS_CERTIFICATE_REJECTED] = 502, \
	[CAUSE_TLS_HANDSHAKE_REJECTED] = 502, [CAUSE_TLS_HANDSHAKE_ABORTED] = 502, [CAUSE_TLS_HANDSHAKE_TIMEOUT] = 504, \
	[CAUSE_TLS_TO_PLAINTEXT_PORT] = 502, [CAUSE_PLAINTEXT_TO_TLS_PORT] = 400, [CAUSE_HTTP2_TO_HTTP1_PORT] = 502, \
	[CAUSE_PROXY_PROTOCOL_MISMATCH] = 502, [CAUSE_KEEPALIVE_RACE] = 502, [CAUSE_CLOSED_BEFORE_RESPONSE] = 502, \
	[CAUSE_RESET_BEFORE_RESPONSE] = 502, [CAUSE_CLOSED_DURING_REQUEST] = 502, [CAUSE_CLOSED_MID_HEADERS] = 502, \
	[CAUSE_CLOSED_MID_BODY] = 502, [CAUSE_RESET_BY_MIDDLEBOX] = 502, [CAUSE_IDLE_CONNECTION_LOST] = 504, \
	[CAUSE_PACKET_LOSS] = 504, [CAUSE_MTU_BLACKHOLE] = 504, [CAUSE_INVALID_HEADER] = 502, [CAUSE_HEADER_TOO_LARGE] = 502, \
	[CAUSE_CONFLICTING_FRAMING] = 502, [CAUSE_HTTP2_GOAWAY] = 502, [CAUSE_HTTP2_STREAM_RESET] = 502, \
	[CAUSE_HTTP2_PROTOCOL_ERROR] = 502, [CAUSE_HTTP2_FLOW_CONTROL_STALL] = 504, [CAUSE_GRPC_MISSING_TRAILERS] = 502, \
	[CAUSE_RESPONSE_TIMEOUT] = 504, [CAUSE_STALLED_MID_RESPONSE] = 504, [CAUSE_REQUEST_STALL] = 504, \
	[CAUSE_GATEWAY_REFUSED] = 502, [CAUSE_UNEXPLAINED] = 502

/* By kind of failure, for products that make one status of each kind; what differs follows them. */
#define CONNECTS(n, timeout) \
	[CAUSE_CONNECTION_REFUSED] = (n), [CAUSE_HOST_UNREACHABLE] = (n), [CAUSE_DNS_FAILURE] = (n), [CAUSE_NO_UPSTREAM_ATTEMPT] = (n), \
	[CAUSE_CONNECT_TIMEOUT] = (timeout), [CAUSE_ACCEPT_QUEUE_OVERFLOW] = (timeout), [CAUSE_PORT_REUSE_CONFLICT] = (timeout)
#define CLOSES(n) \
	[CAUSE_KEEPALIVE_RACE] = (n), [CAUSE_CLOSED_BEFORE_RESPONSE] = (n), [CAUSE_RESET_BEFORE_RESPONSE] = (n), \
	[CAUSE_CLOSED_DURING_REQUEST] = (n), [CAUSE_CLOSED_MID_HEADERS] = (n), [CAUSE_CLOSED_MID_BODY] = (n), [CAUSE_RESET_BY_MIDDLEBOX] = (n), \
	[CAUSE_PROXY_PROTOCOL_MISMATCH] = (n)
#define INVALID(n) \
	[CAUSE_INVALID_STATUS_LINE] = (n), [CAUSE_INVALID_HEADER] = (n), [CAUSE_HEADER_TOO_LARGE] = (n), [CAUSE_CONFLICTING_FRAMING] = (n), \
	[CAUSE_NOT_HTTP] = (n), [CAUSE_HTTP1_TO_HTTP2_PORT] = (n), [CAUSE_PLAINTEXT_TO_TLS_PORT] = (n), [CAUSE_UPGRADE_FAILED] = (n)
#define HANDSHAKES(n, timeout) \
	[CAUSE_TLS_CERTIFICATE_REJECTED] = (n), [CAUSE_TLS_HANDSHAKE_REJECTED] = (n), [CAUSE_TLS_HANDSHAKE_ABORTED] = (n), \
	[CAUSE_TLS_TO_PLAINTEXT_PORT] = (n), [CAUSE_TLS_HANDSHAKE_TIMEOUT] = (timeout)
#define H2(n, broken) \
	[CAUSE_HTTP2_GOAWAY] = (n), [CAUSE_HTTP2_STREAM_RESET] = (n), [CAUSE_HTTP2_PROTOCOL_ERROR] = (broken), [CAUSE_HTTP2_TO_HTTP1_PORT] = (n), \
	[CAUSE_GRPC_MISSING_TRAILERS] = (n)
#define WAITS(n) \
	[CAUSE_RESPONSE_TIMEOUT] = (n), [CAUSE_STALLED_MID_RESPONSE] = (n), [CAUSE_REQUEST_STALL] = (n), [CAUSE_HTTP2_FLOW_CONTROL_STALL] = (n), \
	[CAUSE_IDLE_CONNECTION_LOST] = (n), [CAUSE_PACKET_LOSS] = (n), [CAUSE_MTU_BLACKHOLE] = (n)
#define REST(n) [CAUSE_GATEWAY_REFUSED] = (n), [CAUSE_PROXY_LOOP] = (n), [CAUSE_UNEXPLAINED] = (n)

/* Figures marked "measured" come from runs of the version named at a file's head before an upstream that failed in one way,
 * others from the source, manual or document named beside them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"        /* a kind's status, then the causes in which a product departs from it */
static const struct gateway_model models[] = {
#include "gateways/nginx.def"
#include "gateways/nginx_family.def"
#include "gateways/haproxy.def"
#include "gateways/apache.def"
#include "gateways/varnish.def"
#include "gateways/caddy.def"
#include "gateways/squid.def"
#include "gateways/others.def"
#include "gateways/go.def"
#include "gateways/clouds.def"
#include "gateways/servers.def"
};
#pragma GCC diagnostic pop

/* Nothing is known of it: no limit, refuses what it refuses, answers as most do. */
static const struct gateway_model unknown = {
	.name = "", .is_gateway = true,
	.status = { NGINX_STATUS, [CAUSE_HTTP1_TO_HTTP2_PORT] = 502, [CAUSE_NOT_HTTP] = 502, [CAUSE_INVALID_STATUS_LINE] = 502,
	            [CAUSE_INVALID_CHUNK] = 502, [CAUSE_INVALID_CONTENT_CODING] = 502, [CAUSE_UPGRADE_FAILED] = 502, [CAUSE_UNSOLICITED_RESPONSE] = 502 },
	.idle_setting = "its idle timeout for upstream connections", .read_setting = "its read timeout", .connect_setting = "its connect timeout",
	.header_setting = "its limit for response headers",
};

enum { N_MODELS = sizeof models / sizeof models[0] };

const struct gateway_model *gateway_model_unknown(void)
{
	return &unknown;
}

const struct gateway_model *gateway_model_named(const char *name)
{
	for (unsigned i = 0; i < N_MODELS; i++)
		if (strcmp(models[i].name, name) == 0)
			return &models[i];
	return NULL;
}

unsigned gateway_models(const struct gateway_model **rows)
{
	*rows = models;
	return N_MODELS;
}

const char *gateway_words(const struct gateway_model *m, unsigned cause)
{
	if (m->equivalent[cause] == NULL && m->words_of != NULL)
		m = gateway_model_named(m->words_of);
	return m->equivalent[cause];
}

const char *gateway_advice(const struct gateway_model *m, unsigned cause)
{
	if (m->advice[cause] == NULL && m->settings_of != NULL)
		m = gateway_model_named(m->settings_of);
	return m->advice[cause];
}
