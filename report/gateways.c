/* gateways.c - which product is it? By what it writes into answers and requests
 *
 * Clues are rows. A page is told by a fragment of its body, an answer or a request by a field. The page's author
 * is the nearest product whose page says so; header fields that every hop passes on (cf-ray, via) prove the
 * path, not the author, so they come after pages. Rows are tried in order: forks before what they are made of.
 */
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

#define CLOUDFLARE_STATUS \
	[CAUSE_CONNECTION_REFUSED] = 521, [CAUSE_CONNECT_TIMEOUT] = 522, [CAUSE_HOST_UNREACHABLE] = 523, [CAUSE_ACCEPT_QUEUE_OVERFLOW] = 522, \
	[CAUSE_PORT_REUSE_CONFLICT] = 522, [CAUSE_DNS_FAILURE] = 530, [CAUSE_NO_UPSTREAM_ATTEMPT] = 530, [CAUSE_TLS_CERTIFICATE_REJECTED] = 526, \
	[CAUSE_TLS_HANDSHAKE_REJECTED] = 525, [CAUSE_TLS_HANDSHAKE_ABORTED] = 525, [CAUSE_TLS_HANDSHAKE_TIMEOUT] = 525, \
	[CAUSE_TLS_TO_PLAINTEXT_PORT] = 525, [CAUSE_PLAINTEXT_TO_TLS_PORT] = 400, [CAUSE_HTTP1_TO_HTTP2_PORT] = 520, [CAUSE_NOT_HTTP] = 520, \
	[CAUSE_KEEPALIVE_RACE] = 520, [CAUSE_CLOSED_BEFORE_RESPONSE] = 520, [CAUSE_RESET_BEFORE_RESPONSE] = 520, \
	[CAUSE_CLOSED_DURING_REQUEST] = 520, [CAUSE_CLOSED_MID_HEADERS] = 520, [CAUSE_CLOSED_MID_BODY] = 520, [CAUSE_RESET_BY_MIDDLEBOX] = 520, \
	[CAUSE_IDLE_CONNECTION_LOST] = 522, [CAUSE_PACKET_LOSS] = 522, [CAUSE_MTU_BLACKHOLE] = 522, [CAUSE_INVALID_STATUS_LINE] = 520, \
	[CAUSE_INVALID_HEADER] = 520, [CAUSE_HEADER_TOO_LARGE] = 520, [CAUSE_CONFLICTING_FRAMING] = 520, [CAUSE_INVALID_CONTENT_CODING] = 502, \
	[CAUSE_RESPONSE_TIMEOUT] = 524, [CAUSE_STALLED_MID_RESPONSE] = 524, [CAUSE_REQUEST_STALL] = 524, [CAUSE_UNEXPLAINED] = 520

#define NGINX_INSIDE \
	.is_gateway = true, .header_limit = 4096, .retries_reused = true, .retries_connect = true, \
	.refused = BIT(NO_COLON) | BIT(NAME_EMPTY) | BIT(NAME_BYTES) | BIT(SPACE_COLON) | BIT(SPACE_NAME) | BIT(NUL_BYTE) | BIT(BARE_CR) | BIT(OBS_FOLD), \
	.refused_body = CHUNKS, .passed_raw = NO_STATUS, .status = { NGINX_STATUS }, \
	.idle_setting = "keepalive_timeout (upstream block)", .read_setting = "proxy_read_timeout", \
	.connect_setting = "proxy_connect_timeout", .header_setting = "proxy_buffer_size", \
	.idle_ns = SECONDS(60), .read_ns = SECONDS(60)

/* One file a product; figures marked "measured" come from runs of the version named at its head before an upstream that
 * failed in one way, others from the source, manual or default named beside them. The rest are known by name: sources are
 * their vendors' documents, and statuses that a product is not known to give are nginx's, the plainest. */
static const struct gateway_model models[] = {
#include "gateways/nginx.def"
#include "gateways/haproxy.def"
#include "gateways/apache.def"
#include "gateways/varnish.def"
#include "gateways/caddy.def"
#include "gateways/squid.def"
#include "gateways/others.def"
	{ .name = "openresty", NGINX_INSIDE }, { .name = "apisix", NGINX_INSIDE }, { .name = "kong", NGINX_INSIDE },
	{ .name = "ingress-nginx", NGINX_INSIDE },
	{ .name = "traefik", .is_gateway = true, .header_limit = 10485760, .status = { NGINX_STATUS }, .retries_reused = true,
	  .idle_ns = SECONDS(90), .connect_ns = SECONDS(30) },          /* Go transport's defaults; 500 for what is no network error */
	{ .name = "go", .is_gateway = true, .header_limit = 10485760, .status = { NGINX_STATUS }, .retries_reused = true,
	  .idle_ns = SECONDS(90), .connect_ns = SECONDS(30) },          /* httputil.ReverseProxy: 502 whatever happened */
	{ .name = "aws-elb", .is_gateway = true, .header_limit = 32768, .status = { NGINX_STATUS }, .idle_ns = SECONDS(60), .read_ns = SECONDS(60),
	  .connect_ns = SECONDS(10) },                                  /* ALB user guide */
	{ .name = "cloudfront", .is_gateway = true, .status = { NGINX_STATUS }, .read_ns = SECONDS(30), .connect_ns = SECONDS(10) },
	{ .name = "google-lb", .is_gateway = true, .status = { NGINX_STATUS }, .idle_ns = SECONDS(600), .read_ns = SECONDS(30) },
	{ .name = "azure-application-gateway", .is_gateway = true, .status = { NGINX_STATUS }, .read_ns = SECONDS(20) },
	{ .name = "azure-front-door", .is_gateway = true, .status = { NGINX_STATUS }, .read_ns = SECONDS(30) },
	{ .name = "cloudflare", .is_gateway = true, .header_limit = 131072, .idle_ns = SECONDS(900), .read_ns = SECONDS(100), .connect_ns = SECONDS(19),
	  .status = { CLOUDFLARE_STATUS } },                            /* developers.cloudflare.com, 5xx errors */
	{ .name = "fastly", .is_gateway = true, .status = { NGINX_STATUS }, .read_ns = SECONDS(15), .connect_ns = SECONDS(1) },
	{ .name = "akamai", .is_gateway = true, .status = { NGINX_STATUS }, .read_ns = SECONDS(120) },
	{ .name = "iis-arr", .is_gateway = true, .status = { NGINX_STATUS } },
	{ .name = "heroku", .is_gateway = true, .status = { NGINX_STATUS }, .read_ns = SECONDS(30) },
	/* Application servers: their error pages are their own. */
	{ .name = "node" }, { .name = "gunicorn" }, { .name = "uvicorn" }, { .name = "puma" }, { .name = "tomcat" }, { .name = "jetty" },
	{ .name = "kestrel" }, { .name = "werkzeug" }, { .name = "passenger" }, { .name = "iis" }, { .name = "hypercorn" }, { .name = "undertow" },
	{ .name = "express" }, { .name = "uwsgi" },
};

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

/* ---- header sections ------------------------------------------------------------------------ */

struct field { struct span name, value; };

static struct span trimmed(struct span s)
{
	while (s.len != 0 && (s.at[0] == ' ' || s.at[0] == '\t'))
		s = span_from(s, 1);
	while (s.len != 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t' || s.at[s.len - 1] == '\r'))
		s.len--;
	return s;
}

/* The next field of a header section as sent; the start line and what has no colon in it are passed over. */
static bool next_field(struct span *rest, struct field *f)
{
	while (rest->len != 0) {
		size_t end = span_index(*rest, '\n');
		struct span line = span_first(*rest, end);
		size_t colon = span_index(line, ':');
		size_t space = span_index(line, ' ');

		*rest = span_from(*rest, end + 1);
		if (colon == line.len || space < colon || (line.len != 0 && line.at[0] == ':'))
			continue;
		f->name = span_first(line, colon);
		f->value = trimmed(span_from(line, colon + 1));
		return true;
	}
	return false;
}

static bool has_no_capital(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] >= 'A' && s.at[i] <= 'Z')
			return false;
	return true;
}

static bool find_field(struct span head, const char *name, struct field *found)
{
	struct field f;

	while (next_field(&head, &f))
		if (span_equal_nocase(f.name, span_text(name))) {
			*found = f;
			return true;
		}
	return false;
}

/* HTTP/1 with every field name in lower case: HAProxy writes them so on both sides; so do servers made with hyper or
 * h11, so in an answer this alone proves nothing. In HTTP/2 names always are. */
static bool all_lower(struct span head)
{
	struct field f;
	unsigned n = 0;

	for (; next_field(&head, &f); n++)
		if (!has_no_capital(f.name))
			return false;
	return n != 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

struct page { const char *fragment, *product; bool version_follows; };

/* GATEWAYS.md (b); those of the measured products as captured. */
static const struct page pages[] = {
	{ "<center>Microsoft-Azure-Application-Gateway/", "azure-application-gateway", true },
	{ "<center>openresty", "openresty", false },
	{ "<hr><center>nginx/", "nginx", true },
	{ "<hr><center>nginx</center>", "nginx", false },
	{ "<center>cloudflare</center>", "cloudflare", false },
	{ "cf-error-details", "cloudflare", false },
	{ "<h3>Guru Meditation:</h3>", "varnish", false },
	{ "Guru Mediation", "fastly", false },
	{ "The requested URL could not be retrieved", "squid", false },
	{ "<footer>nghttpx</footer>", "nghttpx", false },
	{ "The proxy server received an invalid", "apache", false },
	{ "The proxy server could not handle the request", "apache", false },
	{ "<h1>Service Unavailable</h1>\n<p>The server is temporarily unable to service your", "apache", false },
	{ "No server is available to handle this request.", "haproxy", false },
	{ "The server returned an invalid or incomplete response.", "haproxy", false },
	{ "The server didn't respond in time.", "haproxy", false },
	{ "upstream connect error or disconnect/reset before headers", "envoy", false },
	{ "no healthy upstream", "envoy", false },
	{ "upstream request timeout", "envoy", false },
	{ "An invalid response was received from the upstream server", "kong", false },
	{ "The upstream server is timing out", "kong", false },
	{ "<BODY BGCOLOR=\"white\" FGCOLOR=\"black\">\n<H1>", "trafficserver", false },
	{ "Generated by cloudfront (CloudFront)", "cloudfront", false },
	{ "The server encountered a temporary error and could not complete your request.<p>", "google-lb", false },
	{ "Our services aren't available right now", "azure-front-door", false },
	{ "502 - Web server received an invalid response while acting as a gateway or proxy server.", "iis-arr", false },
	{ "www.herokucdn.com/error-pages", "heroku", false },
	/* Application servers */
	{ "<h3>Apache Tomcat", "tomcat", false },
	{ "<hr/><a href=\"https://eclipse.org/jetty\">Powered by Jetty", "jetty", false },
	{ "An unhandled lowlevel error occurred", "puma", false },
};

/* "/1.22.1" or "1.22.1" as a version; NULL where there is none. */
static const char *version_in(struct span s, struct arena *a)
{
	size_t n = 0;
	char text[24];

	if (s.len != 0 && s.at[0] == '/')
		s = span_from(s, 1);
	while (n < s.len && n + 1 < sizeof text && ((s.at[n] >= '0' && s.at[n] <= '9') || s.at[n] == '.' ||
	       (n != 0 && ((s.at[n] >= 'a' && s.at[n] <= 'z') || s.at[n] == '-')))) {
		text[n] = (char)s.at[n];
		n++;
	}
	text[n] = '\0';
	return n != 0 && text[0] >= '0' && text[0] <= '9' && a != NULL ? arena_text(a, "%s", text) : NULL;
}

static bool page_of(struct span body, struct arena *a, struct recognised *r)
{
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
		size_t at = span_find(body, pages[i].fragment);

		if (at >= body.len)
			continue;
		r->model = gateway_model_named(pages[i].product);
		r->because = "its error page";
		if (pages[i].version_follows)
			r->version = version_in(span_from(body, at + strlen(pages[i].fragment)), a);
		return true;
	}
	return false;
}

/* ---- answers --------------------------------------------------------------------------------- */

struct clue { const char *name, *value, *product; bool prefix; };       /* value NULL: any; prefix: the value begins so, else holds it */

/* Fields that only their product writes, and only into its own answers. */
static const struct clue own_answers[] = {
	{ "X-Squid-Error", NULL, "squid", false },
	{ "cf-error-type", NULL, "cloudflare", false },
	{ "x-envoy-overloaded", NULL, "envoy", false },
	{ "X-Cache", "Error from cloudfront", "cloudfront", true },
};

/* The Server field: of the hop that wrote it last. */
static const struct clue servers[] = {
	{ "Server", "openresty", "openresty", true },
	{ "Server", "APISIX", "apisix", true },
	{ "Server", "kong", "kong", true },
	{ "Server", "nginx", "nginx", true },
	{ "Server", "Apache-Coyote", "tomcat", true },
	{ "Server", "ApacheTrafficServer", "trafficserver", true },
	{ "Server", "Apache", "apache", true },
	{ "Server", "Varnish", "varnish", true },
	{ "Server", "squid", "squid", true },
	{ "Server", "Caddy", "caddy", true },
	{ "Server", "ATS/", "trafficserver", true },
	{ "Server", "nghttpx", "nghttpx", true },
	{ "Server", "h2o", "h2o", true },
	{ "Server", "lighttpd", "lighttpd", true },
	{ "Server", "envoy", "envoy", true },
	{ "Server", "istio-envoy", "envoy", true },
	{ "Server", "awselb/", "aws-elb", true },
	{ "Server", "Google Frontend", "google-lb", true },
	{ "Server", "Microsoft-Azure-Application-Gateway", "azure-application-gateway", true },
	{ "Server", "cloudflare", "cloudflare", true },
	{ "Server", "AkamaiGHost", "akamai", true },
	{ "X-Powered-By", "ARR/", "iis-arr", true },
	{ "Server", "Heroku", "heroku", true },
	/* Application servers */
	{ "Server", "gunicorn", "gunicorn", true },
	{ "Server", "uvicorn", "uvicorn", true },
	{ "Server", "hypercorn", "hypercorn", true },
	{ "Server", "Werkzeug", "werkzeug", true },
	{ "Server", "Kestrel", "kestrel", true },
	{ "Server", "Jetty", "jetty", true },
	{ "Server", "Puma", "puma", true },
	{ "Server", "Microsoft-IIS", "iis", true },
	{ "X-Powered-By", "Phusion Passenger", "passenger", true },
	{ "X-Powered-By", "Express", "express", true },
};

/* Fields that a gateway adds to what it passes on: they prove that the answer came through it. */
static const struct clue passed[] = {
	{ "X-Varnish", NULL, "varnish", false },
	{ "Via", "(squid/", "squid", false },
	{ "Via", "(CloudFront)", "cloudfront", false },
	{ "Via", "(ApacheTrafficServer/", "trafficserver", false },
	{ "Via", "1.1 Caddy", "caddy", false },
	{ "Via", "1.1 google", "google-lb", false },
	{ "Via", "nghttpx", "nghttpx", false },
	{ "Via", "vegur", "heroku", false },
	{ "Via", "heroku-router", "heroku", false },
	{ "x-envoy-upstream-service-time", NULL, "envoy", false },
	{ "X-Kong-Upstream-Latency", NULL, "kong", false },
	{ "X-Azure-Ref", NULL, "azure-front-door", false },
	{ "CF-RAY", NULL, "cloudflare", false },
	{ "X-Timer", NULL, "fastly", false },
};

static bool clue_fits(const struct clue *c, struct span value)
{
	if (c->value == NULL)
		return true;
	if (c->prefix)
		return span_equal_nocase(span_first(value, strlen(c->value)), span_text(c->value));
	return span_find(value, c->value) < value.len;
}

static bool clue_in(struct span head, const struct clue *rows, size_t n, struct arena *a, struct recognised *r)
{
	struct field f;

	for (size_t i = 0; i < n; i++) {
		if (!find_field(head, rows[i].name, &f) || !clue_fits(&rows[i], f.value))
			continue;
		r->model = gateway_model_named(rows[i].product);
		r->because = rows[i].name;
		if (rows[i].prefix && rows[i].value != NULL)
			r->version = version_in(span_from(f.value, strlen(rows[i].value)), a);
		return true;
	}
	return false;
}

#define CLUE_IN(head, rows, a, r) clue_in(head, rows, sizeof rows / sizeof rows[0], a, r)

/* HAProxy's own pages, whatever their text: these fields in this order (http_err_msgs of src/http.c). */
static bool haproxy_answer(const struct exchange_fact *answer, struct span head)
{
	static const char *const order[] = { "content-length", "cache-control", "content-type" };
	struct field f;
	struct span rest = head;

	if (answer->x.stream != 0 || !all_lower(head))
		return false;
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
		if (!next_field(&rest, &f) || !span_is(f.name, order[i]))
			return false;
	return true;
}

/* Traefik's body is the reason phrase alone,
 * Go's ReverseProxy has no body; both have no Server field. */
static bool bare_go_answer(const struct exchange_fact *answer, struct span head, struct recognised *r)
{
	struct span body = fact_text(answer, answer->x.body);
	struct field f;

	if (answer->x.status < 502 || answer->x.status > 504 || find_field(head, "Server", &f) || all_lower(head))
		return false;
	if (answer->x.response.body_bytes == 0 && answer->x.response.declared == 0 && answer->x.status == 502 &&
	    !find_field(head, "Content-Type", &f) && find_field(head, "Date", &f)) {
		*r = (struct recognised){ gateway_model_named("go"), NULL, "an empty answer with Date and Content-Length alone" };
		return true;
	}
	if ((span_is(body, "Bad Gateway") || span_is(body, "Gateway Timeout")) && !find_field(head, "Content-Type", &f)) {
		*r = (struct recognised){ gateway_model_named("traefik"), NULL, "its body is the reason phrase" };
		return true;
	}
	return false;
}

struct recognised gateway_of_answer(const struct exchange_fact *answer, struct arena *a)
{
	struct recognised r = { NULL, NULL, NULL };
	struct span head = fact_text(answer, answer->x.response_head);
	bool own = answer->x.status >= 400;

	if (own && page_of(fact_text(answer, answer->x.body), a, &r)) {
		struct recognised from = { NULL, NULL, NULL };

		if (r.version == NULL && CLUE_IN(head, servers, a, &from) && from.model == r.model)
			r.version = from.version;
		return r;
	}
	if (own && CLUE_IN(head, own_answers, a, &r))
		return r;
	if (own && haproxy_answer(answer, head))
		return (struct recognised){ gateway_model_named("haproxy"), NULL, "content-length, cache-control, content-type in lower case" };
	if (own && bare_go_answer(answer, head, &r))
		return r;
	if (CLUE_IN(head, passed, a, &r))
		return r;
	(void)CLUE_IN(head, servers, a, &r);
	return r;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* What each adds to the request that it sends upstream. */
static const struct clue requests[] = {
	{ "X-Varnish", NULL, "varnish", false },
	{ "Via", "(squid/", "squid", false },
	{ "Via", "(ApacheTrafficServer/", "trafficserver", false },
	{ "Via", "1.1 Caddy", "caddy", false },
	{ "Via", "nghttpx", "nghttpx", false },
	{ "Via", "(CloudFront)", "cloudfront", false },
	{ "Via", "1.1 google", "google-lb", false },
	{ "Via", "(AkamaiGHost)", "akamai", false },
	{ "Via", "vegur", "heroku", false },
	{ "CF-Ray", NULL, "cloudflare", false },
	{ "X-Amz-Cf-Id", NULL, "cloudfront", false },
	{ "X-Amzn-Trace-Id", "Root=", "aws-elb", false },
	{ "Fastly-FF", NULL, "fastly", false },
	{ "X-Cloud-Trace-Context", NULL, "google-lb", false },
	{ "X-Azure-FDID", NULL, "azure-front-door", false },
	{ "X-AppGW-Trace-Id", NULL, "azure-application-gateway", false },
	{ "X-ARR-LOG-ID", NULL, "iis-arr", false },
	{ "x-envoy-expected-rq-timeout-ms", NULL, "envoy", false },
	{ "x-envoy-attempt-count", NULL, "envoy", false },
	{ "X-Host", NULL, "lighttpd", false },
	{ "X-Scheme", NULL, "ingress-nginx", false },
};

/* Go writes Host, User-Agent, then the other fields sorted: Caddy adds X-Forwarded-For, -Host, -Proto so (2.6). */
static bool go_order(struct span head)
{
	struct field f;
	struct span last = span_none();
	unsigned forwarded = 0;

	for (unsigned n = 0; next_field(&head, &f); n++) {
		if (n == 0 && !span_is(f.name, "Host"))
			return false;
		if (n < 2)
			continue;
		if (span_is(f.name, "Accept-Encoding"))         /* the transport's own, last */
			continue;
		if (last.len != 0 && memcmp(last.at, f.name.at, last.len < f.name.len ? last.len : f.name.len) > 0)
			return false;
		last = f.name;
		forwarded += span_is(f.name, "X-Forwarded-For") || span_is(f.name, "X-Forwarded-Host") || span_is(f.name, "X-Forwarded-Proto");
	}
	return forwarded == 3;
}

/* h2o writes its own fields in lower case (x-forwarded-proto, x-forwarded-for, via) and leaves the client's as they are. */
static bool h2o_mixture(struct span head)
{
	struct field proto, xff, via, agent;

	return find_field(head, "x-forwarded-proto", &proto) && find_field(head, "x-forwarded-for", &xff) && find_field(head, "via", &via) &&
	       span_is(proto.name, "x-forwarded-proto") && span_is(xff.name, "x-forwarded-for") && span_is(via.name, "via") &&
	       find_field(head, "connection", &agent) && span_is(agent.name, "connection");
}

/* nginx without settings: HTTP/1.0, Host first, then Connection: close (ngx_http_proxy_headers). */
static bool nginx_default(const struct exchange_facts *x, struct span head)
{
	struct field f;

	return x->request.version == VERSION_1_0 && next_field(&head, &f) && span_is(f.name, "Host") && next_field(&head, &f) &&
	       span_is(f.name, "Connection") && span_is(f.value, "close");
}

/* Clients that write lower case themselves: undici (Node) names itself; hyper does not begin with host. */
static bool haproxy_request(struct span head)
{
	struct field f;
	struct span rest = head;

	if (!all_lower(head) || !next_field(&rest, &f) || !span_is(f.name, "host"))
		return false;
	return !find_field(head, "user-agent", &f) || (!span_is(f.value, "node") && !span_is(f.value, "undici"));
}

struct recognised gateway_of_request(const struct exchange_fact *request)
{
	struct recognised r = { NULL, NULL, NULL };
	struct span head = fact_text(request, request->x.request_head);
	struct field f;

	if (CLUE_IN(head, requests, NULL, &r))
		return r;
	if (request->x.stream != 0 || head.len == 0)
		return r;
	if (find_field(head, "X-Forwarded-Server", &f) && find_field(head, "X-Forwarded-Host", &f) && find_field(head, "X-Forwarded-For", &f))
		return find_field(head, "X-Real-Ip", &f)
		       ? (struct recognised){ gateway_model_named("traefik"), NULL, "X-Forwarded-Server, X-Real-Ip" }
		       : (struct recognised){ gateway_model_named("apache"), NULL, "X-Forwarded-Server" };
	if (h2o_mixture(head))
		return (struct recognised){ gateway_model_named("h2o"), NULL, "via and x-forwarded-* in lower case" };
	if (haproxy_request(head))
		return (struct recognised){ gateway_model_named("haproxy"), NULL, "field names in lower case" };
	if (nginx_default(&request->x, head))
		return (struct recognised){ gateway_model_named("nginx"), NULL, "HTTP/1.0 with Host and Connection: close first" };
	if (go_order(head))
		return (struct recognised){ gateway_model_named("caddy"), NULL, "X-Forwarded-For, -Host and -Proto in Go's order" };
	return r;
}

/* A brief has no text, only signs of the request's field names. In HTTP/2 names are always lower case. */
const struct gateway_model *gateway_of_brief(const struct brief_fact *b)
{
	if ((b->signs & SIGN_X_VARNISH) != 0)
		return gateway_model_named("varnish");
	if ((b->signs & SIGN_LOWER_NAMES) != 0 && b->stream == 0)
		return gateway_model_named("haproxy");
	return NULL;
}
