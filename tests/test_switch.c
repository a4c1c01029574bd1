/* test_switch.c - one protocol in, before or after another on the same connection, whole and cut anywhere */
#include "tls_wire.h"
#include "check.h"

#define PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\x04\0\0\0\0\0"
#define GET_1    "\0\0\x06\x01\x05\0\0\0\x01" "\x82\x86\x84\x41\x01" "a"      /* :method GET, :scheme http, :path /, :authority a */
#define GET_3    "\0\0\x06\x01\x05\0\0\0\x03" "\x82\x86\x84\x41\x01" "b"
#define OK_1     "\0\0\x01\x01\x05\0\0\0\x01" "\x88"                           /* :status 200 */
#define OK_3     "\0\0\x01\x01\x05\0\0\0\x03" "\x88"
#define BYTES(s) span_of((const uint8_t *)(s), sizeof (s) - 1)

/* Segments of 1, 2, ... bytes, then of all: returns false when there are no more ways. */
static bool cut_next(size_t *segment)
{
	*segment = *segment == 0 ? 1 : *segment == 1 ? 2 : *segment == 2 ? 7 : *segment == 7 ? 23 : *segment == 23 ? 1400 : 0;
	return *segment != 0;
}

static const struct exchange_facts *told(const struct wire *w, unsigned i)
{
	static const struct exchange_facts none;

	return i < w->n_exchanges ? &w->exchange[i]->x : &none;
}

static void connect_granted(struct wire *w)
{
	wire_send(w, CLIENT, BYTES("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"));
	wire_send(w, SERVER, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
}

TEST(http2_in_a_tunnel_is_followed)
{
	size_t segment = 0;

	while (cut_next(&segment)) {
		struct wire w = wire_new();

		w.segment = segment;
		connect_granted(&w);
		wire_send(&w, SERVER, BYTES(SETTINGS));         /* the server speaks first */
		wire_send(&w, CLIENT, BYTES(PREFACE SETTINGS GET_1));
		wire_send(&w, SERVER, BYTES(OK_1));
		wire_send(&w, CLIENT, BYTES(GET_3));
		wire_send(&w, SERVER, BYTES(OK_3));
		wire_fin(&w, CLIENT);
		wire_fin(&w, SERVER);
		wire_decode(&w, NULL);
		CHECK_INT(w.n_exchanges, 3);
		CHECK_INT(told(&w, 0)->outcome, OUTCOME_TUNNEL);
		CHECK(!told(&w, 0)->tunnelled && told(&w, 1)->tunnelled);
		CHECK_INT(told(&w, 1)->stream, 1);
		CHECK_INT(told(&w, 1)->status, 200);
		CHECK_INT(told(&w, 2)->stream, 3);
		CHECK_INT(told(&w, 2)->outcome, OUTCOME_COMPLETE);
		CHECK_INT(told(&w, 1)->request.violations | told(&w, 1)->response.violations, 0);
		wire_free(&w);
	}
}

TEST(what_else_a_tunnel_carries_is_left_alone)
{
	static const struct { const char *client, *server; } talks[] = {
		{ "PRI * HTTP/1.1\r\n\r\n", "" }, { "\x16\x03\x01\x02", "" }, { "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n" },
		{ "", "220 mail.example ESMTP\r\n" }, { "PRI", "" },
	};

	for (size_t i = 0; i < sizeof talks / sizeof talks[0]; i++) {
		size_t segment = 0;

		while (cut_next(&segment)) {
			struct wire w = wire_new();

			w.segment = segment;
			connect_granted(&w);
			wire_send(&w, SERVER, span_text(talks[i].server));
			wire_send(&w, CLIENT, span_text(talks[i].client));
			wire_fin(&w, CLIENT);
			wire_fin(&w, SERVER);
			wire_decode(&w, NULL);
			CHECK_INT(w.n_exchanges, 1);
			CHECK_INT(told(&w, 0)->outcome, OUTCOME_TUNNEL);
			wire_free(&w);
		}
	}
}

/* RFC 7540 3.2: the request of the upgrade is stream 1. */
TEST(an_upgrade_to_h2c_is_answered_on_stream_1)
{
	size_t segment = 0;

	while (cut_next(&segment)) {
		struct wire w = wire_new();

		w.segment = segment;
		wire_send(&w, CLIENT, BYTES("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"));
		wire_send(&w, SERVER, BYTES("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" SETTINGS));
		wire_send(&w, CLIENT, BYTES(PREFACE SETTINGS));
		wire_send(&w, SERVER, BYTES(OK_1));
		wire_send(&w, CLIENT, BYTES(GET_3));
		wire_send(&w, SERVER, BYTES(OK_3));
		wire_fin(&w, CLIENT);
		wire_fin(&w, SERVER);
		wire_decode(&w, NULL);
		CHECK_INT(w.n_exchanges, 3);
		CHECK_INT(told(&w, 0)->status, 101);
		CHECK_INT(told(&w, 0)->outcome, OUTCOME_UPGRADED);
		CHECK_INT(told(&w, 1)->stream, 1);
		CHECK_INT(told(&w, 1)->status, 200);
		CHECK_INT(told(&w, 1)->outcome, OUTCOME_COMPLETE);
		CHECK_INT(told(&w, 1)->ordinal, 1);
		CHECK_SPAN(wire_target(&w, 1), "/up");
		CHECK_INT(told(&w, 2)->status, 200);
		wire_free(&w);
	}
}

TEST(an_upgraded_request_that_is_never_answered_has_no_response)
{
	struct wire w = wire_new();

	wire_send(&w, CLIENT, BYTES("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"));
	wire_send(&w, SERVER, BYTES("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"));
	wire_send(&w, CLIENT, BYTES(PREFACE SETTINGS));
	wire_fin(&w, SERVER);
	wire_fin(&w, CLIENT);
	wire_decode(&w, NULL);
	CHECK_INT(w.n_exchanges, 2);
	CHECK_INT(told(&w, 0)->outcome, OUTCOME_UPGRADED);
	CHECK_INT(told(&w, 1)->outcome, OUTCOME_NO_RESPONSE);
	CHECK_SPAN(wire_target(&w, 1), "/up");
	wire_free(&w);
}

TEST(an_upgrade_that_nothing_follows_is_all_there_is)
{
	struct wire w = wire_new();

	wire_send(&w, CLIENT, BYTES("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"));
	wire_send(&w, SERVER, BYTES("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"));
	wire_fin(&w, SERVER);
	wire_fin(&w, CLIENT);
	wire_decode(&w, NULL);
	CHECK_INT(w.n_exchanges, 1);
	CHECK_INT(told(&w, 0)->outcome, OUTCOME_UPGRADED);
	wire_free(&w);
}

/* ---- the PROXY preface, before anything ------------------------------------------------------ */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define HELLO "\x16\x03\x01\0\x3c\x01\0\0\x38\x03\x03" "0123456789abcdef0123456789abcdef" "\0\0\x02\x13\x01\x01\0\0\x0d" "\0\0\0\x09\0\x07\0\0\x04" "shop"

struct preface { struct span bytes; const char *client; };

static const struct preface prefaces[] = {
	{ { (const uint8_t *)"PROXY TCP4 203.0.113.7 10.0.0.1 50000 80\r\n", 42 }, "203.0.113.7:50000" },
	{ { (const uint8_t *)"PROXY TCP6 2001:db8::7 2001:db8::1 50000 80\r\n", 45 }, "[2001:db8::7]:50000" },
	{ { (const uint8_t *)"PROXY UNKNOWN\r\n", 15 }, NULL },
	{ { (const uint8_t *)SIGNATURE "\x21\x11\0\x0c\xcb\0\x71\x07\x0a\0\0\x01\xc3\x50\0\x50", 28 }, "203.0.113.7:50000" },
	/* with TLVs: a CRC32C and an ALPN (2.2.1, 2.2.3) */
	{ { (const uint8_t *)SIGNATURE "\x21\x11\0\x18\xcb\0\x71\x07\x0a\0\0\x01\xc3\x50\0\x50\x03\0\x04" "abcd" "\x01\0\x02h2", 40 }, "203.0.113.7:50000" },
	{ { (const uint8_t *)SIGNATURE "\x21\x21\0\x24" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\xc3\x50\0\x50", 52 },
	  "[2001:db8::7]:50000" },
	{ { (const uint8_t *)SIGNATURE "\x20\0\0\0", 16 }, NULL },              /* LOCAL: the balancer's own check */
	{ { (const uint8_t *)SIGNATURE "\x20\x11\0\x0c\xcb\0\x71\x07\x0a\0\0\x01\xc3\x50\0\x50", 28 }, NULL },
	{ { (const uint8_t *)SIGNATURE "\x21\x11\0\x04\xcb\0\x71\x07", 20 }, NULL },   /* too short for its family */
};
enum { N_PREFACES = sizeof prefaces / sizeof prefaces[0] };

static void check_client(const struct wire *w, const struct preface *p)
{
	char text[ENDPOINT_TEXT];

	CHECK(w->conn.proxy_preface);
	CHECK_INT(w->conn.proxied, p->client != NULL);
	if (p->client != NULL)
		CHECK_STR(endpoint_text(&w->conn.proxied_for, text), p->client);
}

TEST(a_preface_before_http1_is_taken_off_however_it_is_cut)
{
	for (size_t i = 0; i < N_PREFACES; i++)
		for (size_t segment = 1; segment < 60; segment++) {
			struct wire w = wire_new_to(80);

			w.segment = segment;
			wire_send(&w, CLIENT, prefaces[i].bytes);
			wire_send(&w, CLIENT, BYTES("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"));
			wire_send(&w, SERVER, BYTES("HTTP/1.1 204 No Content\r\n\r\n"));
			wire_send(&w, CLIENT, BYTES("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"));
			wire_send(&w, SERVER, BYTES("HTTP/1.1 204 No Content\r\n\r\n"));
			wire_fin(&w, CLIENT);
			wire_fin(&w, SERVER);
			wire_decode(&w, NULL);
			CHECK_INT(w.n_exchanges, 2);
			CHECK_INT(told(&w, 0)->status, 204);
			CHECK_SPAN(wire_target(&w, 0), "/a");
			CHECK_SPAN(wire_target(&w, 1), "/b");
			CHECK_INT(told(&w, 0)->request.violations, 0);
			check_client(&w, &prefaces[i]);
			wire_free(&w);
		}
}

TEST(a_preface_and_a_request_in_one_large_segment)
{
	struct wire w = wire_new_to(80);
	static char request[40000];
	int n = snprintf(request, sizeof request, "%.*sPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n",
	                 (int)prefaces[0].bytes.len, (const char *)prefaces[0].bytes.at);

	w.segment = 65000;
	memset(request + n, 'x', 30000);
	wire_send(&w, CLIENT, span_of(request, 3));             /* so that it must be held */
	wire_send(&w, CLIENT, span_of(request + 3, (size_t)n - 3 + 30000));
	wire_send(&w, SERVER, BYTES("HTTP/1.1 204 No Content\r\n\r\n"));
	wire_send(&w, CLIENT, BYTES("GET /b HTTP/1.1\r\nHost: a\r\n\r\n"));
	wire_send(&w, SERVER, BYTES("HTTP/1.1 204 No Content\r\n\r\n"));
	wire_fin(&w, SERVER);
	wire_decode(&w, NULL);
	CHECK_INT(w.n_exchanges, 2);
	CHECK_INT(told(&w, 0)->request.body_bytes, 30000);
	CHECK_INT(told(&w, 0)->request.missing, 0);
	CHECK_SPAN(wire_target(&w, 1), "/b");
	wire_free(&w);
}

TEST(a_preface_before_tls_and_before_http2)
{
	for (size_t i = 0; i < N_PREFACES; i++)
		for (size_t segment = 1; segment < 60; segment += 3) {
			struct wire w = wire_new();

			w.segment = segment;
			wire_send(&w, CLIENT, prefaces[i].bytes);
			wire_send(&w, CLIENT, BYTES(HELLO));
			wire_fin(&w, CLIENT);
			wire_fin(&w, SERVER);
			wire_decode(&w, NULL);
			CHECK_STR(w.tls.sni, "shop");
			check_client(&w, &prefaces[i]);
			wire_free(&w);

			w = wire_new_to(80);
			w.segment = segment;
			wire_send(&w, CLIENT, prefaces[i].bytes);
			wire_send(&w, CLIENT, BYTES(PREFACE SETTINGS GET_1));
			wire_send(&w, SERVER, BYTES(SETTINGS OK_1));
			wire_fin(&w, CLIENT);
			wire_fin(&w, SERVER);
			wire_decode(&w, NULL);
			CHECK_INT(w.n_exchanges, 1);
			CHECK_INT(told(&w, 0)->stream, 1);
			CHECK_INT(told(&w, 0)->status, 200);
			check_client(&w, &prefaces[i]);
			wire_free(&w);
		}
}

TEST_MAIN()
