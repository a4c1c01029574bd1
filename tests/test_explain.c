/* test_explain.c - lines of logs and codes, as each product writes them: which causes they can be */
#include "check.h"

#include "../report/explain.h"

/* `says` must be among those who are said to say it; `causes`, separated by spaces, among what they say it of; `not_cause` must not. */
static const struct row { const char *line, *says, *causes, *not_cause; } rows[] = {
	/* nginx: src/http/ngx_http_upstream.c */
	{ "2026/01/31 10:00:00 [error] 7#7: *1 upstream prematurely closed connection while reading response header from upstream, client: 192.0.2.9, server: _, request: \"POST /cart HTTP/1.1\", upstream: \"http://10.0.0.1:80/cart\"",
	  "nginx", "keepalive-race closed-before-response closed-mid-headers", "response-timeout" },
	{ "upstream prematurely closed connection while reading response header", "nginx", "keepalive-race closed-before-response", "connection-refused" },
	{ "[error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.9", "nginx", "connection-refused", "connect-timeout" },
	{ "[crit] 7#7: *1 connect() to unix:/run/php/php8.2-fpm.sock failed (2: No such file or directory) while connecting to upstream", "nginx", "connection-refused", "dns-failure" },
	{ "[error] 7#7: *1 connect() to unix:/run/php/php8.2-fpm.sock failed (11: Resource temporarily unavailable) while connecting to upstream", "nginx", "accept-queue-overflow", "connection-refused" },
	{ "[error] 7#7: *1 upstream timed out (110: Connection timed out) while reading response header from upstream", "nginx", "response-timeout packet-loss idle-connection-lost", "connect-timeout" },
	{ "[error] 7#7: *1 upstream timed out (110: Connection timed out) while connecting to upstream", "nginx", "connect-timeout accept-queue-overflow", "response-timeout" },
	{ "[error] 7#7: *1 upstream sent too big header while reading response header from upstream", "nginx", "header-too-large", "invalid-header" },
	{ "[error] 7#7: *1 no live upstreams while connecting to upstream", "nginx", "no-upstream-attempt", "connection-refused" },
	{ "[error] 7#7: *1 recv() failed (104: Connection reset by peer) while reading response header from upstream", "nginx", "reset-before-response reset-by-middlebox", "connection-refused" },
	{ "[error] 7#7: *1 upstream sent unsupported FastCGI protocol version: 72 while reading response header from upstream", "nginx", "not-http", "invalid-header" },
	{ "[error] 7#7: app.internal could not be resolved (3: Host not found)", "nginx", "dns-failure", "connect-timeout" },
	/* HAProxy: configuration manual, 8.5 */
	{ "SH--", "haproxy", "closed-before-response reset-before-response keepalive-race", "response-timeout" },
	{ "sH--", "haproxy", "response-timeout", "closed-before-response" },
	{ "haproxy[7]: 192.0.2.9:4 [31/Jan/2026:10:00:00.000] f b/s 0/0/-1/-1/3002 503 217 - - SC-- 1/1/0/0/3 0/0 \"GET / HTTP/1.1\"", "haproxy", "connection-refused", "closed-before-response" },
	{ "haproxy[7]: 192.0.2.9:4 [31/Jan/2026:10:00:00.000] f b/s 0/0/0/-1/2 502 217 - - SHVN 1/1/0/0/3 0/0 \"GET / HTTP/1.1\"", "haproxy", "closed-before-response", "response-timeout" },
	{ "PH--", "haproxy", "invalid-header header-too-large not-http", "connection-refused" },
	/* Apache: modules/proxy */
	{ "AH01102", "apache", "closed-before-response keepalive-race", "connection-refused" },
	{ "[proxy:error] [pid 7] (111)Connection refused: AH00957: HTTP: attempt to connect to 10.0.0.1:80 failed; AH01114: HTTP: failed to make connection to backend: 10.0.0.1", "apache", "connection-refused", "closed-before-response" },
	{ "AH00940: HTTP: disabled connection for (10.0.0.1)", "apache", "no-upstream-attempt", "connection-refused" },
	/* Envoy: flags and details */
	{ "UC", "envoy", "keepalive-race closed-before-response reset-before-response", "connection-refused" },
	{ "UF,URX", "envoy", "connection-refused connect-timeout tls-certificate-rejected", "keepalive-race" },
	{ "\"GET / HTTP/1.1\" 503 UF,URX upstream_reset_before_response_started{remote_connection_failure,delayed_connect_error:_111} - \"-\" 0 167", "envoy", "connection-refused host-unreachable", "connect-timeout" },
	{ "503 UC upstream_reset_before_response_started{connection_termination}", "envoy", "keepalive-race", "closed-mid-body" },
	{ "UT", "envoy", "response-timeout", "connect-timeout" },
	{ "UH", "envoy", "no-upstream-attempt", "keepalive-race" },
	{ "502 UPE upstream_reset_before_response_started{protocol_error}", "envoy", "invalid-header", "connection-refused" },
	/* Go: net/http transport; Traefik's and ReverseProxy's frames around it */
	{ "'502 Bad Gateway' caused by: EOF", "traefik", "closed-before-response keepalive-race", "connection-refused" },
	{ "'502 Bad Gateway' caused by: dial tcp 10.0.0.1:80: connect: connection refused", "traefik", "connection-refused", "connect-timeout" },
	{ "http: proxy error: dial tcp 10.0.0.1:80: i/o timeout", "go", "connect-timeout", "connection-refused" },
	{ "net/http: timeout awaiting response headers", "caddy", "response-timeout", "connect-timeout" },
	{ "http: server closed idle connection", "caddy", "keepalive-race", "response-timeout" },
	/* Varnish, Squid, ATS, h2o, lighttpd, nghttpx */
	{ "FetchError     first byte timeout", "varnish", "response-timeout", "connect-timeout" },
	{ "ERR_ZERO_SIZE_OBJECT", "squid", "closed-before-response keepalive-race", "connection-refused" },
	{ "response not received, request sent: 210 on socket: tcp:10.0.0.1:80 for /w/1?, closing", "lighttpd", "closed-before-response", "connection-refused" },
	{ "connect#hangup", "trafficserver", "closed-before-response", "response-timeout" },
	/* Clouds: codes and their documents' words */
	{ "522", "cloudflare", "connect-timeout", "connection-refused" },
	{ "521", "cloudflare", "connection-refused", "connect-timeout" },
	{ "526", "cloudflare", "tls-certificate-rejected", "tls-handshake-rejected" },
	{ "Error 1016: Origin DNS error", "cloudflare", "dns-failure", "connection-refused" },
	{ "460", "aws-elb", "client-aborted", "response-timeout" },
	{ "463", "aws-elb", "proxy-loop", "response-timeout" },
	{ "h2 2026-01-31T10:00:00.000Z app/lb/1 192.0.2.9:4 10.0.0.1:80 0.001 0.012 -1 502 - 34 366 \"GET https://s:443/ HTTP/2.0\"", "aws-elb", "keepalive-race closed-before-response", "connect-timeout" },
	{ "HTTPCode_ELB_504_Count", "aws-elb", "response-timeout connect-timeout", "closed-before-response" },
	{ "backend_connection_closed_before_data_sent_to_client", "google-lb", "keepalive-race closed-before-response", "response-timeout" },
	{ "statusDetails: failed_to_pick_backend", "google-lb", "no-upstream-attempt", "connection-refused" },
	{ "ERRORINFO_UPSTREAM_TIMED_OUT", "azure-application-gateway", "response-timeout", "closed-before-response" },
	{ "errorInfo OriginConnectionRefused", "azure-front-door", "connection-refused", "response-timeout" },
	{ "x-edge-detailed-result-type OriginDnsError", "cloudfront", "dns-failure", "connection-refused" },
	{ "503 first byte timeout", "fastly", "response-timeout", "connection-refused" },
	{ "backend read error", "fastly", "keepalive-race", "connection-refused" },
	{ "ERR_FWD_SSL_HANDSHAKE", "akamai", "tls-certificate-rejected", "connection-refused" },
	{ "sc-status 502 3 12002 29889", "iis-arr", "response-timeout", "connection-refused" },
	{ "H12", "heroku", "response-timeout", "connection-refused" },
	{ "at=error code=H13 desc=\"Connection closed without response\" method=POST path=\"/cart\" dyno=web.1 connect=1ms service=20ms status=503 bytes=0", "heroku", "closed-before-response keepalive-race", "response-timeout" },
	{ "at=error code=H10 desc=\"App crashed\" method=GET path=\"/\" dyno= connect= service= status=503", "heroku", "no-upstream-attempt", "closed-before-response" },
	/* Servers */
	{ "[CRITICAL] WORKER TIMEOUT (pid:7)", "gunicorn", "closed-before-response", "response-timeout" },
	{ "WARNING: [pool www] server reached pm.max_children setting (5), consider raising it", "php-fpm", "response-timeout accept-queue-overflow", "connection-refused" },
	{ "WARNING: [pool www] child 7 exited on signal 9 (SIGKILL) after 3.2 seconds from start", "php-fpm", "closed-before-response", "connection-refused" },
	{ "*** HARAKIRI ON WORKER 1 (pid: 7, try: 1) ***", "uwsgi", "closed-before-response", "connection-refused" },
	/* RFC 9209 */
	{ "Proxy-Status: cdn; error=tls_certificate_error", "proxy-status", "tls-certificate-rejected", "connection-refused" },
};

static bool holds_line(struct span text, const char *says, const char *of, size_t n)
{
	char want[200];

	(void)snprintf(want, sizeof want, "%s says this of %.*s:", says, (int)n, of);
	return span_find(text, want) < text.len;
}

/* A status is a table of products: its line names them and the cause. */
static bool names_both(struct span text, const char *says, const char *of, size_t n)
{
	char cause[100];
	size_t at = span_find(text, says);
	struct span line = span_first(span_from(text, at), span_find(span_from(text, at), "\n\n"));

	(void)snprintf(cause, sizeof cause, "%.*s", (int)n, of);
	return at < text.len && span_find(line, cause) < line.len;
}

TEST(what_each_product_logs_leads_to_its_causes)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct out *o = out_memory();
		struct page p = { .out = o, .width = 1000 };
		bool status = strlen(rows[i].line) == 3 && rows[i].line[0] >= '4' && rows[i].line[0] <= '5', ok;
		struct err e = { 0 };
		struct span text;

		ok = CHECK(explain(&p, rows[i].line));
		out_flush(o);
		text = out_written(o);
		for (const char *c = rows[i].causes; *c != '\0';) {
			size_t n = strcspn(c, " ");

			if (!CHECK(status ? names_both(text, rows[i].says, c, n) : holds_line(text, rows[i].says, c, n)))
				printf("# %s: %s is missing\n", rows[i].line, c);
			c += n + (c[n] == ' ');
		}
		ok &= CHECK(!(status ? names_both(text, rows[i].says, rows[i].not_cause, strlen(rows[i].not_cause))
		                     : holds_line(text, rows[i].says, rows[i].not_cause, strlen(rows[i].not_cause))));
		if (!ok)
			printf("# %s\n", rows[i].line);
		(void)out_close(o, &e);
	}
}

TEST(what_nobody_says_is_not_explained)
{
	static const char *const lines[] = { "no such words in any log", "", "200", "599", "the shop is closed" };

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		struct out *o = out_memory();
		struct page p = { .out = o, .width = 100 };
		struct err e = { 0 };

		if (!CHECK(!explain(&p, lines[i])))
			printf("# %s: %.*s\n", lines[i], (int)out_written(o).len, (const char *)out_written(o).at);
		(void)out_close(o, &e);
	}
}

TEST_MAIN()
