/* advice.c - templates filled with what was measured */
#include "advice.h"
#include "learn.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- templates ----------------------------------------------------------------------------- */

/* A row counts where its cause does and, if `detail` is not NULL, the verdict's detail of that name is `word`.
 * Most useful first. */
struct row { uint8_t cause; const char *detail, *word, *text; };

static const struct row rows[] = {
	{ CAUSE_KEEPALIVE_RACE, "trigger", "stale", "find out why the gateway had not noticed that {upstream} was gone (idle for {idle_s}): "
	  "let it drop idle upstream connections sooner, or check them before use" },
	{ CAUSE_KEEPALIVE_RACE, "trigger", "idle", "keep idle upstream connections at the gateway for less than the {upstream_idle_limit_s} after which {upstream} "
	  "closes them ({idle_setting})" },
	{ CAUSE_KEEPALIVE_RACE, "trigger", "max-requests", "let the gateway use a connection for fewer requests than {upstream} takes (this was number {request_number})" },
	{ CAUSE_KEEPALIVE_RACE, "trigger", "draining", "let {upstream} answer what is under way before it closes when it is restarted, and take it out of the gateway's rotation first" },
	{ CAUSE_KEEPALIVE_RACE, NULL, NULL, "or let {upstream} keep idle connections longer than the gateway does" },
	{ CAUSE_CONNECTION_REFUSED, NULL, NULL, "see whether the application on {upstream} runs and listens on that address and port" },
	{ CAUSE_CONNECTION_REFUSED, NULL, NULL, "if it was being restarted or deployed, take it out of rotation before it stops listening" },
	{ CAUSE_CONNECT_TIMEOUT, NULL, NULL, "see whether {upstream} is up, and whether a firewall or security group drops the gateway's packets ({syns} SYNs went unanswered)" },
	{ CAUSE_CONNECT_TIMEOUT, NULL, NULL, "capture at {upstream} as well: SYNs that arrive there point to its listener, SYNs that do not to the network" },
	{ CAUSE_HOST_UNREACHABLE, "reason", "no-arp-answer", "see whether the host is up and in the same network: nobody answered for its address in {waited_s}" },
	{ CAUSE_HOST_UNREACHABLE, "reason", "prohibited", "a firewall or packet filter forbids it: allow the gateway to reach {upstream}" },
	{ CAUSE_HOST_UNREACHABLE, "reason", "host-prohibited", "a firewall or packet filter forbids it: allow the gateway to reach {upstream}" },
	{ CAUSE_HOST_UNREACHABLE, "reason", "port-unreachable", "a packet filter (REJECT) or a service without endpoints answered for {upstream}: see what is behind that port" },
	{ CAUSE_HOST_UNREACHABLE, NULL, NULL, "see the route to {upstream} from the gateway, and whether that host is up" },
	{ CAUSE_ACCEPT_QUEUE_OVERFLOW, NULL, NULL, "the application on {upstream} accepts too slowly: more workers, or find what holds them up" },
	{ CAUSE_ACCEPT_QUEUE_OVERFLOW, NULL, NULL, "raise its listen backlog (and net.core.somaxconn) for bursts; on Linux, ss -lnt shows the queue and nstat -az TcpExtListenOverflows counts drops" },
	{ CAUSE_PORT_REUSE_CONFLICT, NULL, NULL, "let the gateway keep and reuse upstream connections, or give it more source ports or addresses, so that ports come round more slowly" },
	{ CAUSE_PORT_REUSE_CONFLICT, NULL, NULL, "see whether a NAT or load balancer between them gives out ports again too soon" },
	{ CAUSE_DNS_FAILURE, "rcode", "NXDOMAIN", "correct the upstream's name in the gateway's configuration, or add it to DNS" },
	{ CAUSE_DNS_FAILURE, "rcode", "no-answer", "see whether the name server is up and reachable from the gateway" },
	{ CAUSE_DNS_FAILURE, NULL, NULL, "see what the name server that the gateway asks knows of that name" },
	{ CAUSE_NO_UPSTREAM_ATTEMPT, "reason", "no-live-upstream", "mend the failure that came before: after it the gateway held its upstreams to be down" },
	{ CAUSE_NO_UPSTREAM_ATTEMPT, "reason", "queue", "requests waited {answered_after_s} for a free connection: raise the gateway's limit for this upstream or make the upstream faster" },
	{ CAUSE_NO_UPSTREAM_ATTEMPT, "reason", "ports-exhausted", "the gateway used up its source ports: keep and reuse upstream connections, or add source addresses" },
	{ CAUSE_NO_UPSTREAM_ATTEMPT, NULL, NULL, "read the gateway's own log for this time: a rule, a limit or its view of the upstreams' health made it answer" },
	{ CAUSE_PROXY_LOOP, NULL, NULL, "correct the upstream's address or name at the gateway: it is the gateway itself" },
	{ CAUSE_TLS_CERTIFICATE_REJECTED, "certificate", "expired", "renew the certificate of {upstream}" },
	{ CAUSE_TLS_CERTIFICATE_REJECTED, "certificate", "not-yet-valid", "see the clocks of gateway and upstream: the certificate is not valid yet" },
	{ CAUSE_TLS_CERTIFICATE_REJECTED, "certificate", "self-signed", "let the gateway trust the authority that signed the certificate of {upstream}, or use one that it trusts" },
	{ CAUSE_TLS_CERTIFICATE_REJECTED, "certificate", "name-differs", "use a certificate that holds the name by which the gateway calls {upstream}, or tell the gateway the right name" },
	{ CAUSE_TLS_CERTIFICATE_REJECTED, NULL, NULL, "see the certificate as the gateway does: openssl s_client -connect {upstream} -servername NAME -verify_return_error" },
	{ CAUSE_TLS_HANDSHAKE_REJECTED, "alert", "certificate_required", "give the gateway a client certificate for {upstream}" },
	{ CAUSE_TLS_HANDSHAKE_REJECTED, "alert", "unrecognized_name", "let the gateway send the server name (SNI) that {upstream} expects" },
	{ CAUSE_TLS_HANDSHAKE_REJECTED, "alert", "protocol_version", "let gateway and {upstream} share a TLS version" },
	{ CAUSE_TLS_HANDSHAKE_REJECTED, "alert", "no_application_protocol", "let gateway and {upstream} share an ALPN protocol" },
	{ CAUSE_TLS_HANDSHAKE_REJECTED, NULL, NULL, "see what {upstream} wants (versions, ciphers, server name, client certificate): its alert was {alert}" },
	{ CAUSE_TLS_HANDSHAKE_ABORTED, NULL, NULL, "see whether {upstream} speaks TLS on that port and what its log says: it closed without an alert" },
	{ CAUSE_TLS_HANDSHAKE_TIMEOUT, NULL, NULL, "see what keeps {upstream} from answering the handshake ({waited_s} without it), and whether that port speaks TLS at all" },
	{ CAUSE_TLS_TO_PLAINTEXT_PORT, NULL, NULL, "let the gateway speak plaintext to {upstream}, or give it the upstream's TLS port" },
	{ CAUSE_PLAINTEXT_TO_TLS_PORT, NULL, NULL, "let the gateway speak TLS to {upstream}, or give it the upstream's plaintext port" },
	{ CAUSE_HTTP2_TO_HTTP1_PORT, NULL, NULL, "let the gateway speak HTTP/1.1 to {upstream}, or turn HTTP/2 on there" },
	{ CAUSE_HTTP1_TO_HTTP2_PORT, NULL, NULL, "let the gateway speak HTTP/2 to {upstream}, which speaks nothing else on that port" },
	{ CAUSE_NOT_HTTP, NULL, NULL, "correct the port: {upstream} speaks {protocol} there" },
	{ CAUSE_PROXY_PROTOCOL_MISMATCH, "preface", "missing", "let the gateway send the PROXY preface to {upstream}, or let the upstream not expect it" },
	{ CAUSE_PROXY_PROTOCOL_MISMATCH, NULL, NULL, "turn the PROXY protocol off at the gateway for {upstream}, or on at the upstream" },
	{ CAUSE_UPGRADE_FAILED, "reason", "refused", "see why {upstream} refused the upgrade with {upstream_status}: path, Host, Origin or Upgrade fields that the gateway did not pass on" },
	{ CAUSE_UPGRADE_FAILED, NULL, NULL, "mend {upstream}: 101 may only answer a request that asked for that upgrade" },
	{ CAUSE_CLOSED_BEFORE_RESPONSE, "before_request", NULL, "see why {upstream} closes connections right after it accepts them: a connection limit, a filter, a crash" },
	{ CAUSE_CLOSED_BEFORE_RESPONSE, NULL, NULL, "see the log of {upstream} for this time: its worker ended {waited_s} after the request (crash, kill, or a timeout of its own)" },
	{ CAUSE_CLOSED_BEFORE_RESPONSE, NULL, NULL, "if {waited_s} is a limit of the upstream's (a worker timeout, say), raise it or make the request faster" },
	{ CAUSE_RESET_BEFORE_RESPONSE, NULL, NULL, "see the log of {upstream} for this time: the process that held the connection aborted it {waited_s} after the request (crash, kill, or unread data at close)" },
	{ CAUSE_RESET_BEFORE_RESPONSE, NULL, NULL, "see whether the port is meant for HTTP without TLS: servers of other protocols reset what they cannot read" },
	{ CAUSE_CLOSED_DURING_REQUEST, "early_status", NULL, "let {upstream} read (or discard) the rest of the request after it has answered {early_status}, so that the answer is not lost" },
	{ CAUSE_CLOSED_DURING_REQUEST, NULL, NULL, "see the limits of {upstream} for request bodies: it closed after {request_bytes} bytes" },
	{ CAUSE_CLOSED_MID_HEADERS, NULL, NULL, "see the log of {upstream}: it ended after {header_bytes} bytes of its response's header section" },
	{ CAUSE_CLOSED_MID_BODY, NULL, NULL, "see the log of {upstream}: it ended after {body_bytes} of {content_length} bytes of its response" },
	{ CAUSE_CLOSED_MID_BODY, NULL, NULL, "see the log of {upstream}: it ended after {body_bytes} bytes of its response's body" },
	{ CAUSE_RESET_BY_MIDDLEBOX, NULL, NULL, "find the device between gateway and {upstream} that sends RST with hop limit {rst_hop_limit} (a firewall, an intrusion filter), and its log" },
	{ CAUSE_RESET_BY_MIDDLEBOX, NULL, NULL, "capture at {upstream} as well: the RST will not be among what it sent" },
	{ CAUSE_IDLE_CONNECTION_LOST, NULL, NULL, "keep idle upstream connections for less than {idle_s} at the gateway ({idle_setting})" },
	{ CAUSE_IDLE_CONNECTION_LOST, NULL, NULL, "or turn on TCP keepalive towards {upstream}, more often than every {idle_s}" },
	{ CAUSE_IDLE_CONNECTION_LOST, NULL, NULL, "or raise the idle timeout of what lies between (NAT, firewall, load balancer)" },
	{ CAUSE_PACKET_LOSS, NULL, NULL, "see the path between gateway and {upstream} for loss: errors and drops on interfaces, queues, a filter ({resends} resends unanswered)" },
	{ CAUSE_MTU_BLACKHOLE, NULL, NULL, "lower the MTU or clamp the MSS on the path between gateway and {upstream} (segments of {segment_bytes} bytes do not pass)" },
	{ CAUSE_MTU_BLACKHOLE, NULL, NULL, "let ICMP \"fragmentation needed\" and \"packet too big\" through, or turn on net.ipv4.tcp_mtu_probing" },
	{ CAUSE_INVALID_STATUS_LINE, NULL, NULL, "see what listens on {upstream}: its answer begins with no HTTP status line" },
	{ CAUSE_INVALID_HEADER, NULL, NULL, "mend the application on {upstream}: its header section breaks HTTP ({rule}, at byte {offset})" },
	{ CAUSE_HEADER_TOO_LARGE, NULL, NULL, "raise the gateway's limit for response headers above {header_bytes} bytes ({header_setting})" },
	{ CAUSE_HEADER_TOO_LARGE, NULL, NULL, "or see which fields (cookies, mostly) make the header section of {upstream} so large" },
	{ CAUSE_CONFLICTING_FRAMING, NULL, NULL, "mend the application on {upstream}: its response gives its length in conflicting ways ({rule})" },
	{ CAUSE_INVALID_CHUNK, NULL, NULL, "mend the application on {upstream}: its chunked coding is broken ({rule}, at byte {offset})" },
	{ CAUSE_INVALID_CONTENT_CODING, NULL, NULL, "mend the application on {upstream}: it says a Content-Encoding that its body does not have ({rule})" },
	{ CAUSE_UNSOLICITED_RESPONSE, NULL, NULL, "mend the application on {upstream}: it sends bytes that answer no request ({rule})" },
	{ CAUSE_HTTP2_GOAWAY, NULL, NULL, "let the gateway send requests again that GOAWAY left unprocessed (stream {stream}, last one taken {last_stream})" },
	{ CAUSE_HTTP2_GOAWAY, NULL, NULL, "let {upstream} announce its GOAWAY first with last stream 2^31-1 (RFC 9113 6.8) when it goes" },
	{ CAUSE_HTTP2_STREAM_RESET, "http2_error", "REFUSED_STREAM", "let the gateway send refused streams again, or open fewer at once to {upstream}" },
	{ CAUSE_HTTP2_STREAM_RESET, "http2_error", "ENHANCE_YOUR_CALM", "let the gateway send fewer pings or requests: {upstream} finds them too many" },
	{ CAUSE_HTTP2_STREAM_RESET, NULL, NULL, "see the log of {upstream} for this time: it ended the request with {http2_error}" },
	{ CAUSE_HTTP2_PROTOCOL_ERROR, NULL, NULL, "mend or update the HTTP/2 of {upstream} ({rule})" },
	{ CAUSE_HTTP2_FLOW_CONTROL_STALL, NULL, NULL, "see why the receiver reads no more: it gave no window ({window}) for {waited_s}" },
	{ CAUSE_GRPC_MISSING_TRAILERS, NULL, NULL, "let {upstream} end each gRPC response with trailers that hold grpc-status" },
	{ CAUSE_RESPONSE_TIMEOUT, "expect_100", NULL, "let {upstream} answer Expect: 100-continue, or the gateway not send it" },
	{ CAUSE_RESPONSE_TIMEOUT, NULL, NULL, "see what {upstream} was doing for {waited_s}: it had the request and was silent" },
	{ CAUSE_RESPONSE_TIMEOUT, NULL, NULL, "if such requests are meant to take longer, raise the gateway's limit of {waited_s} ({read_setting})" },
	{ CAUSE_STALLED_MID_RESPONSE, NULL, NULL, "see what held {upstream} up amid its response: nothing for {waited_s}" },
	{ CAUSE_STALLED_MID_RESPONSE, NULL, NULL, "if pauses like this are meant to be, raise the gateway's limit of {waited_s} ({read_setting})" },
	{ CAUSE_REQUEST_STALL, NULL, NULL, "see why {upstream} stopped reading the request: nothing taken for {waited_s}" },
	{ CAUSE_UPSTREAM_ERROR, "author", NULL, "look behind {upstream}: its page was written by {author}, so it is a gateway itself" },
	{ CAUSE_UPSTREAM_ERROR, NULL, NULL, "see the log of {upstream} for this time: it answered {upstream_status} itself; the gateway only passed it on" },
	{ CAUSE_CLIENT_ABORTED, NULL, NULL, "see how long clients wait: this one left after {waited_s}" },
	{ CAUSE_GATEWAY_CLOSED, NULL, NULL, "see whether the gateway was stopped or reloaded at this time, and let it finish requests before (graceful stop)" },
	{ CAUSE_GATEWAY_REFUSED, NULL, NULL, "see the gateway's own log and rules: the answer of {upstream} was whole and valid" },
	{ CAUSE_UNEXPLAINED, "reason", "upstream-side-not-captured", "capture on the gateway itself, on all interfaces (-i any), without a port filter" },
	{ CAUSE_UNEXPLAINED, "reason", "encrypted", "give the keys of the upstream's TLS (--keylog), or capture where it is plaintext" },
	{ CAUSE_UNEXPLAINED, "reason", "packets-missing", "capture again with a larger buffer (-B) and see the drops that it reports" },
	{ CAUSE_UNEXPLAINED, "reason", "cut-by-snaplen", "capture whole packets (-s 0)" },
	{ CAUSE_UNEXPLAINED, "reason", "begins-mid-exchange", "begin the capture earlier" },
	{ CAUSE_UNEXPLAINED, "reason", "ends-mid-exchange", "let the capture run longer than the gateway's timeouts" },
	{ CAUSE_UNEXPLAINED, "reason", "ambiguous-match", "let the gateway add an identifier to its upstream requests (X-Request-ID, traceparent), and capture again" },
};

/* ---- filling in ---------------------------------------------------------------------------- */

static const struct detail *detail_named(const struct verdict *v, struct span name)
{
	for (unsigned i = 0; i < v->n_details; i++)
		if (span_is(name, v->details[i].name))
			return &v->details[i];
	return NULL;
}

static const char *detail_text(const struct detail *d, char text[static TIME_TEXT])
{
	switch (d->kind) {
	case DETAIL_SECONDS: return time_text(d->ns, text);
	case DETAIL_COUNT:   snprintf(text, TIME_TEXT, "%" PRId64, d->count); return text;
	case DETAIL_WORD:    return d->word;
	default:             return d->yes ? "yes" : "no";
	}
}

/* What {name} stands for; NULL: it has no value here. */
static const char *value_of(const struct look *l, const struct verdict *v, struct span name, char text[static TIME_TEXT])
{
	const struct gateway_model *m = l->c->model;
	const struct { const char *name, *value; } fixed[] = {
		{ "upstream", l->t != NULL ? l->upstream : NULL }, { "gateway", l->gateway }, { "idle_setting", m->idle_setting },
		{ "read_setting", m->read_setting }, { "connect_setting", m->connect_setting }, { "header_setting", m->header_setting },
	};
	const struct detail *d;

	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
		if (span_is(name, fixed[i].name))
			return fixed[i].value;
	/* The upstream's idle limit as learnt, else the idle time after which it closed this connection. */
	d = detail_named(v, name);
	if (d == NULL && span_is(name, "upstream_idle_limit_s"))
		d = detail_named(v, span_text("idle_s"));
	return d != NULL ? detail_text(d, text) : NULL;
}

/* False: a name without a value, or no room. */
static bool fill(const struct look *l, const struct verdict *v, const char *template, char *out, size_t size)
{
	struct span rest = span_text(template);
	size_t n = 0;

	while (rest.len != 0) {
		size_t open = span_index(rest, '{'), close;
		char text[TIME_TEXT];
		const char *value;

		if (n + open + 1 >= size)
			return false;
		memcpy(out + n, rest.at, open);
		n += open;
		rest = span_from(rest, open);
		if (rest.len == 0)
			break;
		close = span_index(rest, '}');
		value = value_of(l, v, span_from(span_first(rest, close), 1), text);
		if (value == NULL || n + strlen(value) + 1 >= size)
			return false;
		memcpy(out + n, value, strlen(value));
		n += strlen(value);
		rest = span_from(rest, close + 1);
	}
	out[n] = '\0';
	return true;
}

/* nginx's fastcgi_read_timeout is its proxy_read_timeout for another kind of upstream (ngx_http_fastcgi_module, _uwsgi_, _scgi_). */
static const char *other_module(const struct look *l)
{
	static const char *const modules[] = { "fastcgi", "uwsgi", "scgi" };
	const char *speaks = l->conn != NULL && l->c->model->module != NULL ? speaks_name(l->conn->speaks[CLIENT]) : "";

	for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
		if (strcmp(speaks, modules[i]) == 0)
			return modules[i];
	return NULL;
}

static void name_module(const char *text, const char *module, const char *other, char *out, size_t size)
{
	size_t n = 0;

	for (const char *at; (at = strstr(text, module)) != NULL && n < size; text = at + strlen(module))
		n += (size_t)snprintf(out + n, size - n, "%.*s%s_", (int)(at - text), text, other);
	if (n < size)
		(void)snprintf(out + n, size - n, "%s", text);
}

static void add_advice(const struct look *l, struct finding *f, const char *template)
{
	struct verdict *v = f->v;
	char filled[512], text[640];

	if (v->n_advice >= ADVICE_MAX || !fill(l, v, template, filled, sizeof filled))
		return;
	name_module(filled, other_module(l) != NULL ? l->c->model->module : "\n", other_module(l) != NULL ? other_module(l) : "", text, sizeof text);
	/* "or …" needs something before it. */
	v->advice[v->n_advice] = arena_text(f->arena, "%s", v->n_advice == 0 && strncmp(text, "or ", 3) == 0 ? text + 3 : text);
	v->n_advice++;
}

static bool row_fits(const struct row *r, const struct verdict *v)
{
	const struct detail *d;

	if (r->cause != v->cause)
		return false;
	if (r->detail == NULL)
		return true;
	d = detail_named(v, span_text(r->detail));
	if (d == NULL)
		return false;
	return r->word == NULL || (d->kind == DETAIL_WORD && strcmp(d->word, r->word) == 0);
}

/* What to set where the answers come from, if it can be told what that is. */
static const char *servers_advice(const struct look *l, unsigned cause)
{
	struct server_seen seen;
	const struct gateway_model *m;

	if (l->t == NULL)
		return NULL;
	(void)learned_server(l->c->learned, &l->t->upstream, &seen);
	if (l->conn != NULL && l->conn->speaks[CLIENT] >= SPEAKS_FOREIGN_FIRST)
		seen.foreign = l->conn->speaks[CLIENT];         /* what it is asked in, whether it answers or not */
	m = server_of_answers(&seen);
	return m != NULL ? gateway_advice(m, cause) : NULL;
}

void advise(const struct look *l, struct finding *f)
{
	struct verdict *v = f->v;
	const char *own = gateway_advice(l->c->model, v->cause), *theirs = servers_advice(l, v->cause);
	const char *last = NULL;

	v->advice = arena_alloc(f->arena, ADVICE_MAX * sizeof *v->advice);
	if (v->advice == NULL)
		return;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		unsigned before_it = v->n_advice;

		/* Two rows for one thing, the second with fewer numbers: one of them. */
		if (!row_fits(&rows[i], v) || (last != NULL && rows[i].detail != NULL && last == rows[i].detail))
			continue;
		add_advice(l, f, rows[i].text);
		if (v->n_advice != before_it)
			last = rows[i].detail;
		/* The gateway's own settings come second: first what to do, then how. */
		if (before_it == 0 && v->n_advice == 1 && own != NULL)
			add_advice(l, f, own);
		if (before_it == 0 && v->n_advice != 0 && theirs != NULL)
			add_advice(l, f, theirs);
	}
	if (v->n_advice == 0 && own != NULL)
		add_advice(l, f, own);
}

/* ---- in others' words ---------------------------------------------------------------------- */

/* RFC 9209 2.3.x: the types' names. */
static const char *const proxy_status[CAUSE_COUNT] = {
	[CAUSE_CONNECTION_REFUSED] = "connection_refused", [CAUSE_CONNECT_TIMEOUT] = "connection_timeout",
	[CAUSE_HOST_UNREACHABLE] = "destination_ip_unroutable", [CAUSE_ACCEPT_QUEUE_OVERFLOW] = "connection_timeout",
	[CAUSE_PORT_REUSE_CONFLICT] = "connection_timeout", [CAUSE_DNS_FAILURE] = "dns_error",
	[CAUSE_NO_UPSTREAM_ATTEMPT] = "destination_unavailable", [CAUSE_PROXY_LOOP] = "proxy_loop_detected",
	[CAUSE_TLS_CERTIFICATE_REJECTED] = "tls_certificate_error", [CAUSE_TLS_HANDSHAKE_REJECTED] = "tls_alert_received",
	[CAUSE_TLS_HANDSHAKE_ABORTED] = "tls_protocol_error", [CAUSE_TLS_HANDSHAKE_TIMEOUT] = "connection_timeout",
	[CAUSE_TLS_TO_PLAINTEXT_PORT] = "tls_protocol_error", [CAUSE_PLAINTEXT_TO_TLS_PORT] = "http_protocol_error",
	[CAUSE_HTTP2_TO_HTTP1_PORT] = "http_protocol_error", [CAUSE_HTTP1_TO_HTTP2_PORT] = "http_protocol_error",
	[CAUSE_NOT_HTTP] = "http_protocol_error", [CAUSE_PROXY_PROTOCOL_MISMATCH] = "proxy_configuration_error",
	[CAUSE_UPGRADE_FAILED] = "http_upgrade_failed", [CAUSE_KEEPALIVE_RACE] = "connection_terminated",
	[CAUSE_CLOSED_BEFORE_RESPONSE] = "connection_terminated", [CAUSE_RESET_BEFORE_RESPONSE] = "connection_terminated",
	[CAUSE_CLOSED_DURING_REQUEST] = "connection_terminated", [CAUSE_CLOSED_MID_HEADERS] = "http_response_incomplete",
	[CAUSE_CLOSED_MID_BODY] = "http_response_incomplete", [CAUSE_RESET_BY_MIDDLEBOX] = "connection_terminated",
	[CAUSE_IDLE_CONNECTION_LOST] = "connection_write_timeout", [CAUSE_PACKET_LOSS] = "connection_write_timeout",
	[CAUSE_MTU_BLACKHOLE] = "connection_write_timeout", [CAUSE_INVALID_STATUS_LINE] = "http_protocol_error",
	[CAUSE_INVALID_HEADER] = "http_protocol_error", [CAUSE_HEADER_TOO_LARGE] = "http_response_header_section_size",
	[CAUSE_CONFLICTING_FRAMING] = "http_protocol_error", [CAUSE_INVALID_CHUNK] = "http_response_transfer_coding",
	[CAUSE_INVALID_CONTENT_CODING] = "http_response_content_coding", [CAUSE_UNSOLICITED_RESPONSE] = "http_protocol_error",
	[CAUSE_HTTP2_GOAWAY] = "connection_terminated", [CAUSE_HTTP2_STREAM_RESET] = "http_response_incomplete",
	[CAUSE_HTTP2_PROTOCOL_ERROR] = "http_protocol_error", [CAUSE_HTTP2_FLOW_CONTROL_STALL] = "connection_write_timeout",
	[CAUSE_GRPC_MISSING_TRAILERS] = "http_response_incomplete", [CAUSE_RESPONSE_TIMEOUT] = "http_response_timeout",
	[CAUSE_STALLED_MID_RESPONSE] = "connection_read_timeout", [CAUSE_REQUEST_STALL] = "connection_write_timeout",
	[CAUSE_GATEWAY_CLOSED] = "proxy_internal_error", [CAUSE_GATEWAY_REFUSED] = "proxy_internal_response",
};

const char *proxy_status_of(unsigned cause)
{
	return proxy_status[cause];
}

static void add_words(struct verdict *v, const char *product, const char *text)
{
	if (text == NULL || v->n_equivalents >= WORDS_MAX)
		return;
	for (unsigned i = 0; i < v->n_equivalents; i++)
		if (strcmp(v->equivalents[i].product, product) == 0)
			return;
	v->equivalents[v->n_equivalents++] = (struct words){ product, text };
}

void put_in_words(const struct look *l, struct finding *f)
{
	static const char *const widespread[] = { "nginx", "haproxy", "apache", "envoy", "varnish", "caddy", "squid" };
	struct verdict *v = f->v;
	const struct gateway_model *m = l->c->model;

	v->equivalents = arena_alloc(f->arena, WORDS_MAX * sizeof *v->equivalents);
	if (v->equivalents == NULL)
		return;
	if (m->name[0] != '\0')
		add_words(v, m->name, gateway_words(m, v->cause));
	for (size_t i = 0; i < sizeof widespread / sizeof widespread[0]; i++) {
		m = gateway_model_named(widespread[i]);
		if (m != NULL)
			add_words(v, m->name, gateway_words(m, v->cause));
	}
	add_words(v, "proxy-status", proxy_status[v->cause]);
}
