/* test_foreign.c - which protocol do first bytes begin? */
#include "check.h"

#include "../decode/foreign.h"

#define FOREIGN(f) (SPEAKS_FOREIGN_FIRST + FOREIGN_##f)
#define BYTES(s) { (const uint8_t *)(s), sizeof (s) - 1 }

static const struct span nothing = { (const uint8_t *)"", 0 };

/* In memory of just its size, so that a sanitizer sees a read past the end. */
static unsigned probe(enum side from, struct span first, struct span other)
{
	uint8_t *copy = malloc(first.len != 0 ? first.len : 1);
	unsigned speaks;

	memcpy(copy, first.at, first.len);
	speaks = foreign_probe(from, span_of(copy, first.len), other);
	free(copy);
	return speaks;
}

/* ---- each protocol --------------------------------------------------------------------------- */

#define GET "GET /shop HTTP/1.1\r\nHost: shop.example\r\n\r\n"
#define PING "*1\r\n$4\r\nPING\r\n"
#define PG_SSL "\0\0\0\x08\x04\xd2\x16\x2f"
#define FCGI_BEGIN "\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0"
#define AMQP_HEAD "AMQP\0\0\x09\x01"
#define MQTT_CONNECT "\x10\x11\0\x04MQTT\x04\x02\0\x3c\0\x05hello"
#define TDS_PRELOGIN "\x12\x01\0\x2f\0\0\x01\0" "\0\0\x1a\0\x06"
#define KAFKA_HELLO "\0\0\0\x11\0\x12\0\0\0\0\0\x07\0\x07" "console"
#define AJP_FORWARD "\x12\x34\0\x20\x02\x02\0\x08HTTP/1.1"
#define SCGI_HEAD "70:CONTENT_LENGTH\0" "0\0SCGI\0" "1\0"

struct row { unsigned want; enum side from; struct span first, other; };

static const struct row rows[] = {
	{ SPEAKS_HTTP1, CLIENT, BYTES(GET), BYTES("") },
	{ SPEAKS_HTTP1, CLIENT, BYTES("\r\n\r\nPOST /x HTTP/1.0\r\n"), BYTES("") },
	{ SPEAKS_HTTP1, CLIENT, BYTES("PROPFIND /dav HTTP/1.1\r\n"), BYTES("") },
	{ SPEAKS_HTTP1, CLIENT, BYTES("CONNECT upstream:443 HTTP/1.1\r\n"), BYTES("") },
	{ SPEAKS_HTTP1, CLIENT, BYTES("OPTIONS * HTTP/1.1\r\n"), BYTES("") },
	{ SPEAKS_HTTP1, CLIENT, BYTES("GET http://a/ HTTP/1.1\r\n"), BYTES("") },
	{ SPEAKS_HTTP1, CLIENT, BYTES("GET /a-target-that-goes-on-in-the-next-seg"), BYTES("") },
	{ SPEAKS_HTTP1, CLIENT, BYTES("GET /\r\n"), BYTES("") },
	{ SPEAKS_HTTP1, CLIENT, BYTES("BREW pot HTTP/1.1\r\n"), BYTES("") },
	{ SPEAKS_HTTP1, SERVER, BYTES("HTTP/1.1 200 OK\r\n"), BYTES(GET) },
	{ SPEAKS_HTTP1, SERVER, BYTES("HTTP/1.0 400 Bad request\r\n\r\n"), BYTES("") },
	{ SPEAKS_HTTP1, SERVER, BYTES("HTTP/x.y 200 OK\r\n"), BYTES(GET) },
	{ SPEAKS_HTTP1, CLIENT, BYTES("HTTP/1.1 200 OK\r\n"), BYTES("") },
	{ SPEAKS_HTTP2, CLIENT, BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), BYTES("") },
	{ SPEAKS_HTTP2, SERVER, BYTES("\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80"), BYTES(GET) },
	{ SPEAKS_HTTP2, SERVER, BYTES("\0\0\0\x04\0\0\0\0\0"), BYTES(GET) },
	{ SPEAKS_HTTP2, SERVER, BYTES("\0\0\0\x04\x01\0\0\0\0"), BYTES("") },
	{ SPEAKS_HTTP2, SERVER, BYTES("\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x01"), BYTES(GET) },
	{ SPEAKS_TLS, CLIENT, BYTES("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), BYTES("") },
	{ SPEAKS_TLS, SERVER, BYTES("\x15\x03\x01\0\x02\x02\x46"), BYTES(GET) },
	{ SPEAKS_TLS, SERVER, BYTES("\x17\x03\x03\x40\x11"), BYTES("") },
	{ SPEAKS_PROXY, CLIENT, BYTES("PROXY TCP4 10.0.0.1 10.0.0.2 40000 80\r\n" GET), BYTES("") },
	{ SPEAKS_PROXY, CLIENT, BYTES("PROXY UNKNOWN\r\n"), BYTES("") },
	{ SPEAKS_PROXY, CLIENT, BYTES("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" "abcdefghijkl"), BYTES("") },

	{ FOREIGN(SSH), SERVER, BYTES("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), BYTES(GET) },
	{ FOREIGN(SSH), CLIENT, BYTES("SSH-2.0-paramiko_3\r\n"), BYTES("") },
	{ FOREIGN(SSH), SERVER, BYTES("Invalid SSH identification string.\r\n"), BYTES(GET) },
	{ FOREIGN(SMTP), SERVER, BYTES("220 mail.example ESMTP Postfix\r\n"), BYTES(GET) },
	{ FOREIGN(SMTP), SERVER, BYTES("220-mail.example esmtp exim\r\n220 ready\r\n"), BYTES("") },
	{ FOREIGN(SMTP), SERVER, BYTES("221 2.7.0 Error: I can break rules, too. Goodbye.\r\n"), BYTES(GET) },
	{ FOREIGN(SMTP), SERVER, BYTES("500 5.5.2 Error: bad syntax\r\n"), BYTES(GET) },
	{ FOREIGN(FTP), SERVER, BYTES("220 (vsFTPd 3.0.3)\r\n"), BYTES("") },
	{ FOREIGN(FTP), SERVER, BYTES("220 ProFTPD Server ready.\r\n"), BYTES(GET) },
	{ FOREIGN(MYSQL), SERVER, BYTES("\x4a\0\0\0\x0a" "8.0.36\0\x08\0\0\0ABCDEFGH"), BYTES(GET) },
	{ FOREIGN(MYSQL), SERVER, BYTES("\x59\0\0\0\x0a" "5.5.5-10.11.6-MariaDB-0+deb12u1\0\x08\0\0\0"), BYTES("") },
	{ FOREIGN(MYSQL), SERVER, BYTES("\x47\0\0\0\xff\x6a\x04Host '10.0.0.1' is not allowed"), BYTES("") },
	{ FOREIGN(MYSQL), SERVER, BYTES("\x21\0\0\x01\xff\x84\x04#08S01Got packets out of order"), BYTES(GET) },
	{ FOREIGN(POSTGRESQL), CLIENT, BYTES(PG_SSL), BYTES("") },
	{ FOREIGN(POSTGRESQL), CLIENT, BYTES("\0\0\0\x29\0\x03\0\0user\0app\0"), BYTES("") },
	{ FOREIGN(POSTGRESQL), SERVER, BYTES("N"), BYTES(PG_SSL) },
	{ FOREIGN(POSTGRESQL), SERVER, BYTES("E\0\0\0\x8dSFATAL\0VFATAL\0C0A000\0"), BYTES(GET) },
	{ FOREIGN(POSTGRESQL), SERVER, BYTES("EFATAL:  unsupported frontend protocol 18245.21536"), BYTES(GET) },
	{ FOREIGN(RESP), SERVER, BYTES("-ERR wrong number of arguments for 'get' command\r\n"), BYTES(GET) },
	{ FOREIGN(RESP), SERVER, BYTES("-NOAUTH Authentication required.\r\n"), BYTES(GET) },
	{ FOREIGN(RESP), SERVER, BYTES("-DENIED Redis is running in protected mode"), BYTES("") },
	{ FOREIGN(RESP), CLIENT, BYTES(PING), BYTES("") },
	{ FOREIGN(RESP), SERVER, BYTES("+OK\r\n"), BYTES(PING) },
	{ FOREIGN(AMQP), SERVER, BYTES(AMQP_HEAD), BYTES(GET) },
	{ FOREIGN(AMQP), CLIENT, BYTES("AMQP\x03\x01\0\0"), BYTES("") },
	{ FOREIGN(AMQP), SERVER, BYTES("\x01\0\0\0\0\x01\xfd\0\x0a\0\x0a"), BYTES(AMQP_HEAD) },
	{ FOREIGN(FASTCGI), CLIENT, BYTES(FCGI_BEGIN), BYTES("") },
	{ FOREIGN(FASTCGI), SERVER, BYTES("\x01\x06\0\x01\0\x20\0\0Status: 404"), BYTES(FCGI_BEGIN) },
	{ FOREIGN(FASTCGI), SERVER, BYTES("\x01\x07\0\x01\0\x20\0\0Primary"), BYTES(FCGI_BEGIN) },
	{ FOREIGN(UWSGI), CLIENT, BYTES("\0\x5a\x01\0\x0c\0QUERY_STRING\0\0\x0e\0REQUEST_METHOD\x03\0GET"), BYTES("") },
	{ FOREIGN(SCGI), CLIENT, BYTES(SCGI_HEAD), BYTES("") },
	{ FOREIGN(SCGI), SERVER, BYTES("Status: 200 OK\r\n"), BYTES(SCGI_HEAD) },
	{ FOREIGN(AJP), CLIENT, BYTES(AJP_FORWARD), BYTES("") },
	{ FOREIGN(AJP), CLIENT, BYTES("\x12\x34\0\x01\x0a"), BYTES("") },
	{ FOREIGN(AJP), SERVER, BYTES("AB\0\x01\x09"), BYTES("\x12\x34\0\x01\x0a") },
	{ FOREIGN(POP3), SERVER, BYTES("+OK POP3 ready\r\n"), BYTES("") },
	{ FOREIGN(IMAP), SERVER, BYTES("* OK [CAPABILITY IMAP4rev1] ready\r\n"), BYTES("") },
	{ FOREIGN(MONGODB), CLIENT, BYTES("\x30\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0"), BYTES("") },
	{ FOREIGN(MEMCACHED), SERVER, BYTES("ERROR\r\n"), BYTES(GET) },
	{ FOREIGN(MEMCACHED), CLIENT, BYTES("get session:1\r\n"), BYTES("") },
	{ FOREIGN(LDAP), CLIENT, BYTES("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0"), BYTES("") },
	{ FOREIGN(LDAP), SERVER, BYTES("\x30\x84\0\0\0\x28\x02\x01\0\x78"), BYTES("") },
	{ FOREIGN(RDP), CLIENT, BYTES("\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"), BYTES("") },
	{ FOREIGN(RDP), SERVER, BYTES("\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x02\0\0\0"), BYTES("") },
	{ FOREIGN(SMB), CLIENT, BYTES("\0\0\0\x45\xff" "SMB\x72\0\0\0"), BYTES("") },
	{ FOREIGN(SMB), SERVER, BYTES("\0\0\0\xf0\xfeSMB\x40\0\0\0"), BYTES("") },
	{ FOREIGN(MQTT), CLIENT, BYTES(MQTT_CONNECT), BYTES("") },
	{ FOREIGN(MQTT), SERVER, BYTES("\x20\x02\0\0"), BYTES(MQTT_CONNECT) },
	{ FOREIGN(KAFKA), CLIENT, BYTES(KAFKA_HELLO), BYTES("") },
	{ FOREIGN(KAFKA), SERVER, BYTES("\0\0\x01\x06\0\0\0\x07\0\0"), BYTES(KAFKA_HELLO) },
	{ FOREIGN(TDS), CLIENT, BYTES(TDS_PRELOGIN), BYTES("") },
	{ FOREIGN(TDS), SERVER, BYTES("\x04\x01\0\x30\0\0\x01\0\0\0"), BYTES(TDS_PRELOGIN) },
	{ FOREIGN(TELNET), SERVER, BYTES("\xff\xfd\x18\xff\xfd\x20"), BYTES(GET) },
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

TEST(each_protocol_is_told_by_its_first_bytes)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (!CHECK_STR(speaks_name(probe(rows[i].from, rows[i].first, rows[i].other)), speaks_name(rows[i].want)))
			printf("#   row %zu\n", i);
}

/* Cut anywhere, the answer is the same or none yet; never another. HTTP/1 alone is told with its line unfinished. */
TEST(fewer_bytes_give_no_other_answer)
{
	for (size_t i = 0; i < N_ROWS; i++)
		for (size_t n = 0; n < rows[i].first.len; n++) {
			unsigned got = probe(rows[i].from, span_first(rows[i].first, n), rows[i].other);

			if (!CHECK(got == rows[i].want || got == SPEAKS_UNKNOWN))
				printf("#   row %zu, %zu bytes: %s\n", i, n, speaks_name(got));
		}
}

TEST(each_foreign_protocol_has_a_row_here_and_a_name)
{
	for (unsigned f = 0; f < FOREIGN_COUNT; f++) {
		bool found = false;

		for (size_t i = 0; i < N_ROWS; i++)
			found |= rows[i].want == SPEAKS_FOREIGN_FIRST + f;
		CHECK(found);
		CHECK(foreign_name(SPEAKS_FOREIGN_FIRST + f)[0] != '\0');
	}
	CHECK_STR(foreign_name(SPEAKS_TLS), "");
	CHECK_STR(foreign_name(SPEAKS_FOREIGN_FIRST + FOREIGN_COUNT), "");
}

/* ---- what looks alike ------------------------------------------------------------------------ */

TEST(what_is_not_sure_is_unknown)
{
	static const struct row unsure[] = {
		{ 0, SERVER, BYTES("220 welcome\r\n"), BYTES("") },                     /* SMTP or FTP? */
		{ 0, SERVER, BYTES("-ERR no such user\r\n"), BYTES("") },               /* POP3 or RESP, and asked by nobody */
		{ 0, SERVER, BYTES("+OK\r\n"), BYTES(GET) },
		{ 0, SERVER, BYTES("N"), BYTES(GET) },
		{ 0, SERVER, BYTES("ERROR\r\n"), BYTES("") },
		{ 0, SERVER, BYTES("\x20\x02\0\0"), BYTES(GET) },
		{ 0, SERVER, BYTES("<html>"), BYTES(GET) },
		{ 0, SERVER, BYTES("HTTQ/1.1 200 OK\r\n"), BYTES(GET) },
		{ 0, SERVER, BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), BYTES(GET) },
		{ 0, SERVER, BYTES("\x01\x06\0\x01\0\x20\0\0Status: 404"), BYTES(GET) },
		{ 0, CLIENT, BYTES("OPTIONS rtsp://camera/ RTSP/1.0\r\n"), BYTES("") },
		{ 0, CLIENT, BYTES("OPTIONS sip:a@example SIP/2.0\r\n"), BYTES("") },
		{ 0, CLIENT, BYTES("OPTIONS icap://scan/ ICAP/1.0\r\n"), BYTES("") },
		{ 0, CLIENT, BYTES("OPTIONS * RTSP/1.0\r\n"), BYTES("") },
		{ 0, CLIENT, BYTES("GET key\r\n"), BYTES("") },
		{ 0, CLIENT, BYTES("\x16\x03\x01\0\0"), BYTES("") },                    /* an empty handshake record */
		{ 0, CLIENT, BYTES("\x16\x03\x01\xff\xff\x01"), BYTES("") },            /* longer than a record can be */
		{ 0, CLIENT, BYTES("\x12\x34\xff\xff\x02"), BYTES("") },
		{ 0, CLIENT, BYTES("PROXYFOO\r\n"), BYTES("") },
	};

	for (size_t i = 0; i < sizeof unsure / sizeof unsure[0]; i++)
		if (!CHECK_STR(speaks_name(probe(unsure[i].from, unsure[i].first, unsure[i].other)), "unknown"))
			printf("#   row %zu\n", i);
	CHECK_INT(probe(SERVER, nothing, nothing), SPEAKS_UNKNOWN);
}

/* ---- the PROXY preface ----------------------------------------------------------------------- */

TEST(a_version_1_preface_is_measured)
{
	static const char line[] = "PROXY TCP6 2001:db8::1 2001:db8::2 40000 80\r\n";
	struct span all = span_of(line, sizeof line - 1);

	for (size_t n = 1; n < all.len; n++)
		CHECK_INT(proxy_preface(span_first(all, n)), -1);
	CHECK_INT(proxy_preface(all), (int)all.len);
	CHECK_INT(proxy_preface(span_text("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\nGET / HTTP/1.1\r\n")), 32);
	CHECK_INT(proxy_preface(span_text("PROXY UNKNOWN anything at all\r\nGET")), 31);
}

TEST(a_version_2_preface_is_measured)
{
	static const uint8_t bytes[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" "abcdefghijklGET / HTTP/1.1\r\n";
	struct span all = span_of(bytes, sizeof bytes - 1);

	for (size_t n = 1; n < 28; n++)
		CHECK_INT(proxy_preface(span_first(all, n)), -1);
	CHECK_INT(proxy_preface(all), 28);
	CHECK_INT(proxy_preface(span_of("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET", 19)), 16);     /* LOCAL */
}

TEST(what_is_no_preface_is_none)
{
	static const struct span none[] = {
		BYTES("GET / HTTP/1.1\r\n"), BYTES("POST"), BYTES("PROPFIND / HTTP/1.1"), BYTES("PRI * HTTP/2.0"), BYTES("PROXY TCP5 "),
		BYTES("PROXY / HTTP/1.1\r\n"), BYTES("\r\n\r\nGET / HTTP/1.1"), BYTES("\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c" "abcdefghijkl"),
		BYTES("\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c" "abcdefghijkl"), BYTES("\r\n\r\n\0\r\nQUIT\n\x21\x51\0\x0c" "abcdefghijkl"),
		BYTES("\r\n\r\n\0\r\nQUIT\n\x21\x13\0\x0c" "abcdefghijkl"), BYTES("SSH-2.0"), BYTES(""),
	};
	char line[200];

	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		if (!CHECK_INT(proxy_preface(none[i]), 0))
			printf("#   row %zu\n", i);
	memset(line, 'x', sizeof line);                         /* no end within 107 bytes */
	memcpy(line, "PROXY TCP4 ", 11);
	CHECK_INT(proxy_preface(span_of(line, 106)), -1);
	CHECK_INT(proxy_preface(span_of(line, 107)), 0);
	memcpy(line + 105, "\r\n", 2);
	CHECK_INT(proxy_preface(span_of(line, sizeof line)), 107);
}

TEST_MAIN()
