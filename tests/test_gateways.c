/* test_gateways.c - products told by their pages, fields, order and case; and plain pages that tell nothing */
#include "check.h"

#include "../decode/foreign.h"
#include "../report/gateways.h"
#include "../report/learn.h"

struct full { struct exchange_fact f; uint8_t text[8192]; uint32_t used; };

static void put_text(struct full *x, struct text *t, const char *s)
{
	size_t n = strlen(s);

	memcpy(x->text + x->used, s, n);
	*t = (struct text){ (uint32_t)(offsetof(struct full, text) + x->used), (uint32_t)n };
	x->used += (uint32_t)n;
}

static const struct exchange_fact *answer(struct full *x, uint16_t status, const char *head, const char *body)
{
	memset(x, 0, sizeof *x);
	x->f.head.size = sizeof *x;
	x->f.x.status = status;
	x->f.x.response.version = VERSION_1_1;
	x->f.x.response.body_bytes = strlen(body);
	x->f.x.response.declared = strlen(body);
	put_text(x, &x->f.x.response_head, head);
	put_text(x, &x->f.x.body, body);
	return &x->f;
}

static const struct exchange_fact *request(struct full *x, uint8_t version, const char *head)
{
	memset(x, 0, sizeof *x);
	x->f.head.size = sizeof *x;
	x->f.x.request.version = version;
	put_text(x, &x->f.x.request_head, head);
	return &x->f;
}

struct page { const char *author, *gateway, *version; uint16_t status; const char *head, *body; };

/* As captured from the versions at the head of each table in report/gateways, shortened. */
static const struct page captured[] = {
	{ "nginx", "nginx", "1.22.1", 502, "HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\nDate: x\r\nContent-Type: text/html\r\n\r\n",
	  "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n" },
	{ "nginx", "nginx", NULL, 504, "HTTP/1.1 504 Gateway Time-out\r\nServer: nginx\r\n\r\n", "<hr><center>nginx</center>\r\n" },
	{ "haproxy", "haproxy", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n\r\n",
	  "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n" },
	{ "haproxy", "haproxy", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 9\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n\r\n", "our page\n" },
	{ "apache", "apache", "2.4.71", 503, "HTTP/1.1 503 Service Unavailable\r\nDate: x\r\nServer: Apache/2.4.71 (Debian)\r\n\r\n",
	  "<h1>Service Unavailable</h1>\n<p>The server is temporarily unable to service your\nrequest due to maintenance downtime" },
	{ "apache", "apache", "2.4.71", 502, "HTTP/1.1 502 Proxy Error\r\nDate: x\r\nServer: Apache/2.4.71 (Debian)\r\n\r\n",
	  "<p>The proxy server received an invalid\nresponse from an upstream server.<br />" },
	{ "caddy", "caddy", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nServer: Caddy\r\nDate: x\r\nContent-Length: 0\r\n\r\n", "" },
	{ "varnish", "varnish", NULL, 503, "HTTP/1.1 503 Backend fetch failed\r\nServer: Varnish\r\nX-Varnish: 5\r\nVia: 1.1 varnish (Varnish/7.1)\r\n\r\n",
	  "<h3>Guru Meditation:</h3>\n    <p>XID: 6</p>" },
	{ "squid", "squid", "5.7", 502, "HTTP/1.1 502 Bad Gateway\r\nServer: squid/5.7\r\nX-Squid-Error: ERR_READ_ERROR 0\r\n\r\n",
	  "<h2>The requested URL could not be retrieved</h2>" },
	{ "lighttpd", "lighttpd", "1.4.69", 503, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nServer: lighttpd/1.4.69\r\n\r\n", "<h1>503 Service Unavailable</h1>" },
	{ "nghttpx", "nghttpx", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nServer: nghttpx\r\n\r\n", "<h1>502 Bad Gateway</h1><footer>nghttpx</footer></body>" },
	{ "h2o", "h2o", "2.2.5", 502, "HTTP/1.1 502 Gateway Error\r\nServer: h2o/2.2.5\r\ncontent-type: text/plain\r\n\r\n", "connection failed" },
	{ "trafficserver", "trafficserver", "9.2.9", 502, "HTTP/1.1 502 Connection refused\r\nServer: ATS/9.2.9\r\n\r\n",
	  "<BODY BGCOLOR=\"white\" FGCOLOR=\"black\">\n<H1>Could Not Connect</H1>" },
};

/* Made from what GATEWAYS.md, the products' documents and their users' reports say of them: nobody can run these at home. */
#define NGINX_PAGE(title, foot) "<html>\r\n<head><title>" title "</title></head>\r\n<body>\r\n<center><h1>" title "</h1></center>\r\n" foot "</body>\r\n</html>\r\n"
static const struct page made[] = {
	{ "openresty", "openresty", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nServer: openresty\r\n\r\n", NGINX_PAGE("502 Bad Gateway", "<hr><center>openresty</center>\r\n") },
	{ "openresty", "openresty", "1.21.4.1", 504, "HTTP/1.1 504 Gateway Time-out\r\nServer: openresty/1.21.4.1\r\n\r\n", NGINX_PAGE("504 Gateway Time-out", "<hr><center>openresty/1.21.4.1</center>\r\n") },
	{ "apisix", "apisix", "3.9.1", 502, "HTTP/1.1 502 Bad Gateway\r\nDate: x\r\nContent-Type: text/html; charset=utf-8\r\nConnection: keep-alive\r\nServer: APISIX/3.9.1\r\n\r\n",
	  NGINX_PAGE("502 Bad Gateway", "<hr><center>openresty</center>\r\n<p><em>Powered by <a href=\"https://apisix.apache.org/\">APISIX</a>.</em></p>") },
	{ "kong", "kong", "3.4.2", 502, "HTTP/1.1 502 Bad Gateway\r\nDate: x\r\nContent-Type: application/json; charset=utf-8\r\nConnection: keep-alive\r\nContent-Length: 75\r\nX-Kong-Response-Latency: 2\r\nServer: kong/3.4.2\r\n\r\n",
	  "{\n  \"message\":\"An invalid response was received from the upstream server\"\n}" },
	{ "kong", "kong", NULL, 504, "HTTP/1.1 504 Gateway Time-out\r\nContent-Type: application/json; charset=utf-8\r\n\r\n", "{\"message\":\"The upstream server is timing out\",\"request_id\":\"8\"}" },
	{ "ingress-nginx", "ingress-nginx", NULL, 503, "HTTP/1.1 503 Service Temporarily Unavailable\r\nDate: x\r\nContent-Type: text/html\r\nContent-Length: 190\r\nConnection: keep-alive\r\n\r\n",
	  NGINX_PAGE("503 Service Temporarily Unavailable", "<hr><center>nginx</center>\r\n") },
	{ "envoy", "envoy", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 91\r\ncontent-type: text/plain\r\ndate: x\r\nserver: envoy\r\n\r\n",
	  "upstream connect error or disconnect/reset before headers. reset reason: connection failure" },
	{ "envoy", "envoy", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 19\r\ncontent-type: text/plain\r\ndate: x\r\nserver: istio-envoy\r\n\r\n", "no healthy upstream" },
	{ "envoy", "envoy", NULL, 504, "HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 24\r\ncontent-type: text/plain\r\ndate: x\r\nserver: envoy\r\n\r\n", "upstream request timeout" },
	{ "envoy", "envoy", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\nx-envoy-overloaded: true\r\ncontent-length: 3\r\n\r\n", "our" },
	{ "traefik", "traefik", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nDate: x\r\nContent-Length: 11\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", "Bad Gateway" },
	{ "traefik", "traefik", NULL, 504, "HTTP/1.1 504 Gateway Timeout\r\nDate: x\r\nContent-Length: 15\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", "Gateway Timeout" },
	{ "traefik", "traefik", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nDate: x\r\nContent-Length: 20\r\n\r\n", "no available server\n" },
	{ "go", "go", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nDate: x\r\nContent-Length: 0\r\n\r\n", "" },
	{ "aws-elb", "aws-elb", "2.0", 502, "HTTP/1.1 502 Bad Gateway\r\nServer: awselb/2.0\r\nDate: x\r\nContent-Type: text/html\r\nContent-Length: 122\r\nConnection: keep-alive\r\n\r\n", NGINX_PAGE("502 Bad Gateway", "") },
	{ "cloudfront", "cloudfront", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nServer: CloudFront\r\nX-Cache: Error from cloudfront\r\nVia: 1.1 x.cloudfront.net (CloudFront)\r\nX-Amz-Cf-Id: y\r\n\r\n",
	  "<H1>502 ERROR</H1>\n<PRE>\nGenerated by cloudfront (CloudFront)\nRequest ID: y\n</PRE>" },
	{ "google-lb", "google-lb", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html; charset=UTF-8\r\nReferrer-Policy: no-referrer\r\nContent-Length: 332\r\nVia: 1.1 google\r\n\r\n",
	  "<title>502 Server Error</title>\n<h1>Error: Server Error</h1>\n<h2>The server encountered a temporary error and could not complete your request.<p>Please try again in 30 seconds.</h2>" },
	{ "azure-application-gateway", "azure-application-gateway", "2", 502, "HTTP/1.1 502 Bad Gateway\r\nServer: Microsoft-Azure-Application-Gateway/v2\r\n\r\n",
	  NGINX_PAGE("502 Bad Gateway", "<hr><center>Microsoft-Azure-Application-Gateway/v2</center>\r\n") },
	{ "azure-front-door", "azure-front-door", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nx-azure-ref: 0x\r\nX-Cache: CONFIG_NOCACHE\r\n\r\n", "<h2>Our services aren't available right now</h2>" },
	{ "azure-front-door", "azure-front-door", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nX-Azure-ExternalError: 0x830c1011,OriginCertificateSelfSigned\r\nX-Azure-Ref: 0x\r\n\r\n", "our page" },
	{ "cloudflare", "cloudflare", NULL, 521, "HTTP/1.1 521 <none>\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\n\r\n", "<title>shop | 521: Web server is down</title><div id=\"cf-error-details\">" },
	{ "cloudflare", "cloudflare", NULL, 522, "HTTP/1.1 522 <none>\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\nContent-Type: text/plain\r\n\r\n", "error code: 522" },
	{ "cloudflare", "cloudflare", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\n\r\n", NGINX_PAGE("502 Bad Gateway", "<hr><center>cloudflare</center>\r\n") },
	{ "cloudflare", "cloudflare", NULL, 525, "HTTP/1.1 525 <none>\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\ncf-error-type: 5xx\r\n\r\n", "a page of the customer's" },
	{ "fastly", "fastly", NULL, 503, "HTTP/1.1 503 Backend is unhealthy\r\nRetry-After: 0\r\nX-Served-By: cache-fra-1\r\nX-Timer: S1.1,VS0,VE0\r\nVia: 1.1 varnish\r\n\r\n",
	  "<h1>Error 503 Backend is unhealthy</h1>\n<p>Backend is unhealthy</p>\n<h3>Error 54113</h3>\n<p>Details: cache-fra-1 1 2</p>\n<hr>\n<p>Varnish cache server</p>" },
	{ "fastly", "fastly", NULL, 503, "HTTP/1.1 503 first byte timeout\r\nX-Served-By: cache-fra-1\r\nX-Timer: S1.1,VS0,VE0\r\nVia: 1.1 varnish\r\n\r\n", "<h3>Guru Mediation:</h3>\n<p>Details: cache-fra-1" },
	{ "akamai", "akamai", NULL, 504, "HTTP/1.1 504 Gateway Time-out\r\nServer: AkamaiGHost\r\nMime-Version: 1.0\r\n\r\n",
	  "<H1>Gateway Timeout</H1>\nThe proxy server did not receive a timely response from the upstream server.<P>\nReference&#32;&#35;1&#46;1faa9d50&#46;1386767216&#46;b7ccfbd\n" },
	{ "akamai", "akamai", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\nMime-Version: 1.0\r\n\r\n", "<P>https&#58;&#47;&#47;errors.edgesuite.net/18.d" },
	{ "iis-arr", "iis-arr", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nServer: Microsoft-IIS/10.0\r\nX-Powered-By: ARR/3.0\r\n\r\n",
	  "<h2>502 - Web server received an invalid response while acting as a gateway or proxy server.</h2>" },
	{ "heroku", "heroku", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\nServer: Cowboy\r\nContent-Type: text/html; charset=utf-8\r\nVia: 1.1 vegur\r\n\r\n",
	  "<title>Application Error</title><iframe src=\"//www.herokucdn.com/error-pages/application-error.html\"></iframe>" },
	/* Passed on by a second product: the page's author is named, and who passed it on. */
	{ "nginx", "cloudflare", "1.22.1", 502, "HTTP/1.1 502 Bad Gateway\r\nserver: cloudflare\r\ncf-ray: 1\r\n\r\n", "<hr><center>nginx/1.22.1</center>" },
	{ "nginx", "cloudfront", "1.22.1", 502, "HTTP/1.1 502 Bad Gateway\r\nServer: nginx/1.22.1\r\nX-Cache: Error from cloudfront\r\nVia: 1.1 x.cloudfront.net (CloudFront)\r\n\r\n", "<hr><center>nginx/1.22.1</center>" },
	{ "haproxy", "nginx", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n\r\n", "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n" },
	{ "envoy", "google-lb", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nserver: istio-envoy\r\nvia: 1.1 google\r\n\r\n", "upstream connect error or disconnect/reset before headers. reset reason: connection termination" },
	{ "apache", "varnish", NULL, 502, "HTTP/1.1 502 Proxy Error\r\nServer: Apache\r\nX-Varnish: 3\r\nVia: 1.1 varnish (Varnish/7.1)\r\n\r\n", "<p>The proxy server received an invalid\nresponse from an upstream server.<br />" },
	{ "varnish", "fastly", NULL, 503, "HTTP/1.1 503 Backend fetch failed\r\nX-Timer: S1.1,VS0,VE0\r\nVia: 1.1 varnish\r\n\r\n", "<h3>Guru Meditation:</h3>\n    <p>XID: 6</p>" },
	{ "aws-elb", "cloudfront", "2.0", 502, "HTTP/1.1 502 Bad Gateway\r\nServer: awselb/2.0\r\nX-Cache: Error from cloudfront\r\nVia: 1.1 x.cloudfront.net (CloudFront)\r\n\r\n", NGINX_PAGE("502 Bad Gateway", "") },
	{ "cloudflare", "nginx", NULL, 522, "HTTP/1.1 522 <none>\r\nServer: nginx\r\nContent-Type: text/html\r\n\r\n", "<div id=\"cf-error-details\">" },
	/* Cloudflare's brand on an origin's error: the page is no statement of Cloudflare's own. */
	{ NULL, "cloudflare", NULL, 502, "HTTP/1.1 502 Bad Gateway\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\n\r\n", "<title>shop | 502: Bad gateway</title><div id=\"cf-error-details\">" },
	{ NULL, "cloudflare", NULL, 504, "HTTP/1.1 504 Gateway Timeout\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\n\r\n", "<p>The web server reported a gateway time-out error.</p>" },
	/* What it passed on with a page of the application's: the way is known, the author is not. */
	{ NULL, "cloudflare", NULL, 503, "HTTP/1.1 503 Service Unavailable\r\nServer: cloudflare\r\nCF-RAY: 1-FRA\r\nContent-Type: application/json\r\n\r\n", "{\"error\":\"busy\"}" },
	{ NULL, "nginx", "1.22.1", 500, "HTTP/1.1 500 Internal Server Error\r\nServer: nginx/1.22.1\r\nContent-Type: application/json\r\n\r\n", "{\"error\":\"busy\"}" },
	{ NULL, "cloudfront", NULL, 503, "HTTP/1.1 503 Slow Down\r\nServer: AmazonS3\r\nX-Cache: Error from cloudfront\r\nVia: 1.1 x.cloudfront.net (CloudFront)\r\n\r\n", "<Error><Code>SlowDown</Code></Error>" },
};

static void check_pages(const struct page *rows, unsigned n)
{
	struct arena a;

	arena_init(&a, 1 << 16);
	for (unsigned i = 0; i < n; i++) {
		struct full x;
		const struct exchange_fact *f = answer(&x, rows[i].status, rows[i].head, rows[i].body);
		struct recognised author = author_of_answer(f, &a), gateway = gateway_of_answer(f, &a);
		bool ok = CHECK_STR(author.model != NULL ? author.model->name : NULL, rows[i].author) &
		          CHECK_STR(gateway.model != NULL ? gateway.model->name : NULL, rows[i].gateway);

		if (rows[i].version != NULL)
			ok &= CHECK_STR(author.model != NULL ? author.version : gateway.version, rows[i].version);
		ok &= CHECK(author.model == NULL || (author.model->is_gateway && author.because != NULL));
		if (!ok)
			printf("# page %u: %s\n", i, rows[i].body);
	}
	arena_clear(&a);
}

TEST(products_are_told_by_their_pages)
{
	check_pages(captured, sizeof captured / sizeof captured[0]);
}

TEST(products_of_documents_are_told_also_behind_a_second_one)
{
	check_pages(made, sizeof made / sizeof made[0]);
}

/* {S} is the status, {R} its reason. */
static const struct { const char *of, *head, *body; } applications[] = {
	{ "django, debug off", "Date: x\r\nServer: WSGIServer/0.2 CPython/3.11.2\r\nContent-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nContent-Length: 145\r\nX-Content-Type-Options: nosniff\r\n",
	  "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Server Error ({S})</title>\n</head>\n<body>\n  <h1>Server Error ({S})</h1><p></p>\n</body>\n</html>\n" },
	{ "spring whitelabel", "Content-Type: text/html;charset=UTF-8\r\nContent-Language: en\r\nContent-Length: 271\r\nDate: x\r\nConnection: close\r\n",
	  "<html><body><h1>Whitelabel Error Page</h1><p>This application has no explicit mapping for /error, so you are seeing this as a fallback.</p><div>There was an unexpected error (type={R}, status={S}).</div></body></html>" },
	{ "spring json", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nDate: x\r\nConnection: close\r\n", "{\"timestamp\":\"2026-01-31\",\"status\":{S},\"error\":\"{R}\",\"path\":\"/cart\"}" },
	{ "express", "Content-Security-Policy: default-src 'none'\r\nX-Content-Type-Options: nosniff\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 148\r\nDate: x\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
	  "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>Error</title>\n</head>\n<body>\n<pre>{R}</pre>\n</body>\n</html>\n" },
	{ "node", "Content-Type: text/plain\r\nDate: x\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 11\r\n", "{R}" },
	{ "fastify", "content-type: application/json; charset=utf-8\r\ncontent-length: 80\r\nDate: x\r\nConnection: keep-alive\r\nKeep-Alive: timeout=72\r\n", "{\"statusCode\":{S},\"error\":\"{R}\",\"message\":\"boom\"}" },
	{ "rails", "Content-Type: text/html; charset=UTF-8\r\nX-Request-Id: 7\r\nX-Runtime: 0.01\r\nContent-Length: 1635\r\n",
	  "<!DOCTYPE html>\n<html>\n<head>\n  <title>We're sorry, but something went wrong ({S})</title>\n</head>\n<body>\n<h1>We're sorry, but something went wrong.</h1>\n<p>If you are the application owner check the logs for more information.</p>" },
	{ "php", "Date: x\r\nServer: Apache/2.4.57 (Debian)\r\nX-Powered-By: PHP/8.2.7\r\nContent-Length: 0\r\nConnection: close\r\nContent-Type: text/html; charset=UTF-8\r\n", "" },
	{ "wordpress", "Server: Apache\r\nContent-Type: text/html; charset=UTF-8\r\n", "<!DOCTYPE html>\n<html>\n<head>\n<title>WordPress &rsaquo; Error</title></head><body id=\"error-page\"><div class=\"wp-die-message\"><p>There has been a critical error on this website.</p></div></body></html>" },
	{ "laravel", "Server: nginx/1.24.0\r\nContent-Type: text/html; charset=UTF-8\r\nCache-Control: no-cache, private\r\n", "<title>{R}</title><div class=\"px-4 text-lg text-gray-500 border-r border-gray-400 tracking-wider\">{S}</div>" },
	{ "symfony", "Server: nginx\r\nContent-Type: text/html; charset=UTF-8\r\n", "<h1>Oops! An Error Occurred</h1>\n<h2>The server returned a \"{S} {R}\".</h2>" },
	{ "flask", "Content-Type: text/html; charset=utf-8\r\nContent-Length: 265\r\nConnection: close\r\n", "<!doctype html>\n<html lang=en>\n<title>{S} {R}</title>\n<h1>{R}</h1>\n<p>The server encountered an internal error and was unable to complete your request. Either the server is overloaded or there is an error in the application.</p>\n" },
	{ "fastapi", "date: x\r\nserver: uvicorn\r\ncontent-length: 21\r\ncontent-type: text/plain; charset=utf-8\r\n", "{R}" },
	{ "starlette json", "content-length: 30\r\ncontent-type: application/json\r\ndate: x\r\n", "{\"detail\":\"{R}\"}" },
	{ "gunicorn", "Server: gunicorn\r\nDate: x\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: 141\r\n", "<html>\n  <head>\n    <title>{R}</title>\n  </head>\n  <body>\n    <h1><p>{R}</p></h1>\n    \n  </body>\n</html>\n" },
	{ "go http.Error", "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nDate: x\r\nContent-Length: 22\r\n", "{R}\n" },
	{ "go json", "Content-Type: application/json\r\nDate: x\r\nContent-Length: 27\r\n", "{\"error\":\"{R}\"}\n" },
	{ "go bare status", "X-Request-Id: 1\r\nDate: x\r\nContent-Length: 0\r\n", "" },
	{ "hyper", "content-type: text/plain\r\ncontent-length: 4\r\ndate: x\r\n", "busy" },
	{ "actix", "content-length: 8\r\ncontent-type: text/plain; charset=utf-8\r\ndate: x\r\n", "{S} busy" },
	{ "asp.net problem", "Content-Type: application/problem+json; charset=utf-8\r\nDate: x\r\nServer: Kestrel\r\nTransfer-Encoding: chunked\r\n", "{\"type\":\"https://tools.ietf.org/html/rfc9110#section-15.6.1\",\"title\":\"{R}\",\"status\":{S}}" },
	{ "iis detailed", "Content-Type: text/html; charset=utf-8\r\nServer: Microsoft-IIS/10.0\r\nX-Powered-By: ASP.NET\r\nDate: x\r\nContent-Length: 3420\r\n", "<title>Runtime Error</title><span><H1>Server Error in '/' Application.<hr width=100% size=1 color=silver></H1>" },
	{ "graphql", "Content-Type: application/json; charset=utf-8\r\nContent-Length: 80\r\n", "{\"errors\":[{\"message\":\"upstream request failed with {S}\",\"extensions\":{\"code\":\"INTERNAL_SERVER_ERROR\"}}]}" },
	{ "html of their own", "Content-Type: text/html\r\nContent-Length: 200\r\n", "<html><head><title>{S} {R}</title></head><body><h1>{R}</h1><p>nginx, haproxy and the proxy server are all well; our shop is not. Reference #18.</p></body></html>" },
	{ "soap", "Content-Type: text/xml; charset=utf-8\r\nContent-Length: 200\r\n", "<?xml version=\"1.0\"?><soap:Envelope><soap:Body><soap:Fault><faultstring>{R}: no healthy upstream</faultstring></soap:Fault></soap:Body></soap:Envelope>" },
	{ "java servlet", "Content-Type: text/html;charset=utf-8\r\nContent-Language: en\r\nContent-Length: 682\r\nDate: x\r\n", "<!doctype html><html lang=\"en\"><head><title>HTTP Status {S} – {R}</title></head><body><h1>HTTP Status {S} – {R}</h1></body></html>" },
	{ "nothing", "", "" },
};

static void fill_in(char *to, size_t size, const char *template, unsigned status, const char *reason)
{
	size_t n = 0;

	for (const char *c = template; *c != '\0' && n + 64 < size; c++) {
		bool slot = c[0] == '{' && (c[1] == 'S' || c[1] == 'R') && c[2] == '}';

		if (!slot)
			to[n++] = *c;
		else if (c[1] == 'S')
			n += (size_t)snprintf(to + n, 64, "%u", status);
		else
			n += (size_t)snprintf(to + n, 64, "%s", reason);
		c += slot ? 2 : 0;
	}
	to[n] = '\0';
}

TEST(errors_of_applications_name_no_gateway)
{
	static const struct { uint16_t status; const char *reason; } statuses[] = {
		{ 500, "Internal Server Error" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
	};
	unsigned n = 0;
	struct arena a;

	arena_init(&a, 1 << 18);
	for (unsigned i = 0; i < sizeof applications / sizeof applications[0]; i++) {
		for (unsigned k = 0; k < sizeof statuses / sizeof statuses[0]; k++, n++) {
			char head[1024], fields[900], body[1024];
			struct full x;
			struct recognised r;

			fill_in(fields, sizeof fields, applications[i].head, statuses[k].status, statuses[k].reason);
			fill_in(body, sizeof body, applications[i].body, statuses[k].status, statuses[k].reason);
			snprintf(head, sizeof head, "HTTP/1.1 %u %s\r\n%s\r\n", statuses[k].status, statuses[k].reason, fields);
			r = author_of_answer(answer(&x, statuses[k].status, head, body), &a);
			if (!CHECK(r.model == NULL || !r.model->is_gateway))
				printf("# %s, %u: %s, %s\n", applications[i].of, statuses[k].status, r.model->name, r.because);
		}
	}
	CHECK(n >= 100);
	arena_clear(&a);
}

/* Nothing of these came through a gateway that shows. */
static const struct { uint16_t status; const char *head, *body; } plain[] = {
	{ 503, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n", "{\"error\":\"busy\"}" },
	{ 502, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n", "<h1>Bad Gateway</h1>" },
	{ 500, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\n\r\n", "Internal Server Error" },
	/* hyper and h11 write lower case, too */
	{ 503, "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 4\r\ndate: x\r\n\r\n", "busy" },
	{ 502, "HTTP/1.1 502 Bad Gateway\r\ndate: x\r\ncontent-length: 11\r\n\r\n", "try later.." },
	{ 504, "", "" },
	{ 502, "HTTP/1.1 502 Bad Gateway\r\n\r\n", "nginx is what our application calls itself" },
};

TEST(plain_error_pages_name_no_product)
{
	struct arena a;

	arena_init(&a, 1 << 16);
	for (unsigned i = 0; i < sizeof plain / sizeof plain[0]; i++) {
		struct full x;
		struct recognised r = gateway_of_answer(answer(&x, plain[i].status, plain[i].head, plain[i].body), &a);

		if (!CHECK(r.model == NULL))
			printf("# page %u: %s, %s\n", i, r.model->name, r.because);
	}
	arena_clear(&a);
}

TEST(application_servers_are_no_gateways)
{
	struct full x;
	struct arena a;
	struct recognised r;

	arena_init(&a, 1 << 16);
	r = gateway_of_answer(answer(&x, 502, "HTTP/1.1 502 Bad Gateway\r\ndate: x\r\nserver: uvicorn\r\ncontent-length: 1\r\n\r\n", "x"), &a);
	CHECK_STR(r.model != NULL ? r.model->name : NULL, "uvicorn");
	CHECK(r.model == NULL || !r.model->is_gateway);
	r = gateway_of_answer(answer(&x, 503, "HTTP/1.1 503 X\r\nServer: gunicorn\r\n\r\n", "x"), &a);
	CHECK_STR(r.model != NULL ? r.model->name : NULL, "gunicorn");
	CHECK(r.model == NULL || !r.model->is_gateway);
	arena_clear(&a);
}

static const struct { const char *product; uint8_t version; const char *head; } asked[] = {
	{ "nginx", VERSION_1_0, "GET / HTTP/1.0\r\nHost: app\r\nConnection: close\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n" },
	{ "haproxy", VERSION_1_1, "GET / HTTP/1.1\r\nhost: shop.example\r\nuser-agent: x/1.0\r\naccept: */*\r\n\r\n" },
	{ "apache", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nUser-Agent: x\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Host: s\r\nX-Forwarded-Server: s\r\nConnection: Keep-Alive\r\n\r\n" },
	{ "varnish", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nX-Forwarded-For: 192.0.2.9\r\nX-Varnish: 3\r\n\r\n" },
	{ "squid", VERSION_1_1, "GET / HTTP/1.1\r\nUser-Agent: x\r\nHost: s\r\nVia: 1.1 gw (squid/5.7)\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n" },
	{ "caddy", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nUser-Agent: x\r\nAccept: */*\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Host: s\r\nX-Forwarded-Proto: http\r\n\r\n" },
	{ "caddy", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nVia: 1.1 Caddy\r\n\r\n" },
	{ "lighttpd", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nX-Forwarded-For: 192.0.2.9\r\nX-Host: s\r\nX-Forwarded-Proto: http\r\n\r\n" },
	{ "h2o", VERSION_1_1, "HEAD / HTTP/1.1\r\nconnection: keep-alive\r\nhost: s\r\nUser-Agent: x\r\nx-forwarded-proto: http\r\nx-forwarded-for: 192.0.2.9\r\nvia: 1.1 s\r\n\r\n" },
	{ "trafficserver", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nVia: http/1.1 ts[d742] (ApacheTrafficServer/9.2.9)\r\n\r\n" },
	/* Made from documents. What CDNs and load balancers added is still there behind the next hop, who is who asked. */
	{ "nginx", VERSION_1_0, "GET / HTTP/1.0\r\nHost: app\r\nConnection: close\r\nCF-Ray: 1\r\nCDN-Loop: cloudflare\r\n\r\n" },
	{ "haproxy", VERSION_1_1, "GET / HTTP/1.1\r\nhost: s\r\nx-amzn-trace-id: Root=1-5f\r\nx-forwarded-for: 192.0.2.9\r\n\r\n" },
	{ "traefik", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nUser-Agent: x\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Host: s\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Server: t\r\nX-Real-Ip: 192.0.2.9\r\n\r\n" },
	{ "envoy", VERSION_1_1, "GET / HTTP/1.1\r\nhost: s\r\nx-request-id: 1\r\nx-envoy-expected-rq-timeout-ms: 15000\r\n\r\n" },
	{ "kong", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nConnection: keep-alive\r\nX-Forwarded-For: 192.0.2.9\r\nX-Kong-Request-Id: 9\r\n\r\n" },
	{ "ingress-nginx", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nX-Request-ID: 1\r\nX-Real-IP: 192.0.2.9\r\nX-Forwarded-For: 192.0.2.9\r\nX-Scheme: http\r\n\r\n" },
	{ "cloudfront", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nUser-Agent: Amazon CloudFront\r\nX-Amz-Cf-Id: 1\r\nVia: 2.0 x.cloudfront.net (CloudFront)\r\n\r\n" },
	{ "google-lb", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nX-Cloud-Trace-Context: 1/2\r\nVia: 1.1 google\r\n\r\n" },
	{ "azure-application-gateway", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nX-AppGW-Trace-Id: 1\r\nX-Original-Host: s\r\n\r\n" },
	{ "azure-front-door", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nX-Azure-FDID: 1\r\n\r\n" },
	{ "fastly", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nFastly-FF: 1\r\nCDN-Loop: Fastly\r\n\r\n" },
	{ "akamai", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nVia: 1.1 akamai.net(ghost) (AkamaiGHost)\r\nTrue-Client-IP: 192.0.2.9\r\n\r\n" },
	{ "iis-arr", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nX-ARR-LOG-ID: 1\r\nX-Original-URL: /\r\n\r\n" },
	{ "heroku", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\nX-Request-Start: 1\r\nTotal-Route-Time: 0\r\nVia: 1.1 vegur\r\n\r\n" },
	{ "aws-elb", VERSION_1_1, "GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.9\r\nHost: s\r\nX-Amzn-Trace-Id: Root=1-5f\r\n\r\n" },
	{ "cloudflare", VERSION_1_1, "GET / HTTP/1.1\r\nHost: s\r\nCF-Ray: 1\r\nCDN-Loop: cloudflare\r\n\r\n" },
};

TEST(products_are_told_by_what_they_ask_upstream)
{
	for (unsigned i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		struct full x;
		struct recognised r = gateway_of_request(request(&x, asked[i].version, asked[i].head));

		if (!CHECK_STR(r.model != NULL ? r.model->name : NULL, asked[i].product))
			printf("# request %u\n", i);
	}
}

static const char *const clients[] = {
	"GET / HTTP/1.1\r\nHost: s\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: s\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\n\r\n",
	"GET / HTTP/1.1\r\nhost: s\r\nconnection: keep-alive\r\naccept: */*\r\nuser-agent: node\r\n\r\n",
	"GET / HTTP/1.1\r\naccept: */*\r\nhost: s\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: s\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
	"",
};

TEST(plain_clients_are_no_gateways)
{
	for (unsigned i = 0; i < sizeof clients / sizeof clients[0]; i++) {
		struct full x;
		struct recognised r = gateway_of_request(request(&x, VERSION_1_1, clients[i]));

		if (!CHECK(r.model == NULL))
			printf("# request %u: %s, %s\n", i, r.model->name, r.because);
	}
}

TEST(models_are_found_by_name_and_have_one_each)
{
	const struct gateway_model *rows;
	unsigned n = gateway_models(&rows);

	CHECK(n >= 20);
	for (unsigned i = 0; i < n; i++) {
		CHECK(rows[i].name != NULL && rows[i].name[0] != '\0');
		if (!CHECK(gateway_model_named(rows[i].name) == &rows[i]))
			printf("# %s is there twice\n", rows[i].name);
		for (unsigned c = 0; c < CAUSE_COUNT; c++)
			CHECK(rows[i].status[c] == 0 || (rows[i].status[c] >= 400 && rows[i].status[c] < 600));
	}
	CHECK(gateway_model_named("no such product") == NULL);
	CHECK_STR(gateway_model_unknown()->name, "");
	CHECK(gateway_model_unknown()->is_gateway);
}

/* The same packets are another status at each: figures of the measured table. */
TEST(one_cause_is_another_status_at_each)
{
	CHECK_INT(gateway_model_named("nginx")->status[CAUSE_CONNECTION_REFUSED], 502);
	CHECK_INT(gateway_model_named("haproxy")->status[CAUSE_CONNECTION_REFUSED], 503);
	CHECK_INT(gateway_model_named("apache")->status[CAUSE_RESPONSE_TIMEOUT], 502);
	CHECK_INT(gateway_model_named("nginx")->status[CAUSE_RESPONSE_TIMEOUT], 504);
	CHECK_INT(gateway_model_named("varnish")->status[CAUSE_INVALID_HEADER], 503);
	CHECK_INT(gateway_model_named("lighttpd")->status[CAUSE_CLOSED_BEFORE_RESPONSE], 500);
	CHECK_INT(gateway_model_named("apache")->status[CAUSE_TLS_HANDSHAKE_TIMEOUT], 500);
	CHECK_INT(gateway_model_named("cloudflare")->status[CAUSE_CONNECTION_REFUSED], 521);
	CHECK_INT(gateway_model_named("nginx")->status[CAUSE_NOT_HTTP], 0);     /* raw bytes */
}

static const struct { const char *product, *software; uint32_t signs; uint8_t foreign; } servers[] = {
	{ "node", "", SIGN_KEEP_ALIVE | SIGN_TIMEOUT_SAID | SIGN_TIMEOUT_LAST, 0 },
	{ "tomcat", "", SIGN_KEEP_ALIVE | SIGN_TIMEOUT_SAID, 0 },
	{ "httpd", "Apache/2.4.57 (D", SIGN_KEEP_ALIVE, 0 },
	{ "httpd", "Apache", SIGN_KEEP_ALIVE, 0 },
	{ "tomcat", "Apache-Coyote/1.", 0, 0 },
	{ "gunicorn", "gunicorn/20.1.0", 0, 0 },
	{ "uvicorn", "uvicorn", 0, 0 },
	{ "jetty", "Jetty(11.0.15)", 0, 0 },
	{ "kestrel", "Kestrel", 0, 0 },
	{ "express", "Express", SIGN_KEEP_ALIVE | SIGN_TIMEOUT_SAID | SIGN_TIMEOUT_LAST, 0 },
	{ "nginx-server", "nginx/1.22.1", 0, 0 },
	{ "php-fpm", "", 0, SPEAKS_FOREIGN_FIRST + FOREIGN_FASTCGI },
	{ "uwsgi", "", 0, SPEAKS_FOREIGN_FIRST + FOREIGN_UWSGI },
	{ NULL, "", 0, 0 },
	{ NULL, "our own", SIGN_KEEP_ALIVE, 0 },
};

TEST(servers_are_told_by_what_their_answers_say)
{
	for (unsigned i = 0; i < sizeof servers / sizeof servers[0]; i++) {
		struct server_seen seen = { .signs = servers[i].signs, .foreign = servers[i].foreign };
		const struct gateway_model *m;

		memcpy(seen.software, servers[i].software, strlen(servers[i].software));
		m = server_of_answers(&seen);
		if (!CHECK_STR(m != NULL ? m->name : NULL, servers[i].product))
			printf("# server %u\n", i);
		CHECK(m == NULL || !m->is_gateway);
	}
}

TEST(signs_of_a_healthy_exchange_tell_some)
{
	struct brief_fact b = { .signs = SIGN_X_VARNISH };

	CHECK(gateway_of_brief(&b) == gateway_model_named("varnish"));
	b.signs = 0;
	CHECK(gateway_of_brief(&b) == NULL);
}

TEST_MAIN()
