/* foreign.c - first bytes, one row each: those of protocols that a gateway may meet in HTTP's place
 *
 * A row must be sure: a wrong name in a report is worse than none. Binary rows therefore check lengths and
 * reserved fields besides the magic, and answers that are short or common count only where the other side
 * has said something that they answer.
 */
#include "foreign.h"
#include "link.h"

#include <arpa/inet.h>

/* ---- PROXY protocol (HAProxy doc/proxy-protocol.txt) -------------------------------------- */

enum { PROXY_V1_MAX = 107, PROXY_V2_HEADER = 16 };

static const uint8_t proxy_v2_signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

/* Is all of s the beginning of text, or text the beginning of s? */
static bool agrees(struct span s, struct span text)
{
	size_t n = s.len < text.len ? s.len : text.len;

	return span_equal(span_first(s, n), span_first(text, n));
}

/* 2.1: `PROXY TCP4|TCP6|UNKNOWN …` CRLF, 107 bytes at most. */
static int proxy_v1(struct span first)
{
	static const char *const families[] = { "PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN" };
	struct span line = span_first(first, PROXY_V1_MAX);
	size_t end = span_find(line, "\r\n");

	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
		if (!agrees(first, span_text(families[i])))
			continue;
		if (end < line.len)
			return (int)end + 2;
		return first.len >= PROXY_V1_MAX ? 0 : -1;
	}
	return 0;
}

/* 2.2: signature, version 2 and command, family and transport, length of what follows. */
static int proxy_v2(struct span first)
{
	uint8_t command = span_at(first, 12), family = span_at(first, 13);
	uint32_t whole = PROXY_V2_HEADER + (uint32_t)span_u16(first, 14);

	if (!agrees(first, span_of(proxy_v2_signature, sizeof proxy_v2_signature)))
		return 0;
	if (first.len < PROXY_V2_HEADER)
		return -1;
	if (command >> 4 != 2 || (command & 15) > 1 || family >> 4 > 3 || (family & 15) > 2)
		return 0;
	return first.len >= whole ? (int)whole : -1;
}

int proxy_preface(struct span first)
{
	int n;

	if (first.len == 0)
		return 0;
	n = proxy_v1(first);
	return n != 0 ? n : proxy_v2(first);
}

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool port_text(struct span s, uint16_t *port)
{
	uint32_t n = 0;

	if (s.len == 0 || s.len > 5)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		n = n * 10 + (s.at[i] - '0');
	}
	*port = (uint16_t)n;
	return n <= UINT16_MAX;
}

static bool address_text(bool v6, struct span s, uint8_t address[static 16])
{
	char text[INET6_ADDRSTRLEN];

	if (s.len >= sizeof text)
		return false;
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	if (v6)
		return inet_pton(AF_INET6, text, address) == 1;
	memcpy(address, v4_mapped, sizeof v4_mapped);
	return inet_pton(AF_INET, text, address + 12) == 1;
}

/* PROXY, family, source, destination, source port, destination port: one space between each. */
static bool proxy_client_v1(struct span line, struct endpoint *client)
{
	struct span word[6];

	for (size_t i = 0; i < 6; i++) {
		word[i] = span_first(line, span_index(line, i < 5 ? ' ' : '\r'));
		line = span_from(line, word[i].len + 1);
	}
	if (!span_is(word[1], "TCP4") && !span_is(word[1], "TCP6"))
		return false;
	return address_text(span_is(word[1], "TCP6"), word[2], client->address) && port_text(word[4], &client->port);
}

/* Addresses of both, then ports of both; TLVs may follow. */
static bool proxy_client_v2(struct span preface, struct endpoint *client)
{
	bool local = (span_at(preface, 12) & 15) == 0;
	uint8_t family = span_at(preface, 13) >> 4;
	size_t len = family == 1 ? 4 : 16;
	struct cursor c = cursor_of(span_from(preface, PROXY_V2_HEADER));
	struct span source = cur_take(&c, len);

	cur_skip(&c, len);
	client->port = cur_u16(&c);
	cur_skip(&c, 2);
	if (local || family < 1 || family > 2 || c.failed)
		return false;
	memcpy(client->address, v4_mapped, sizeof v4_mapped);
	memcpy(client->address + 16 - len, source.at, len);
	return true;
}

bool proxy_client(struct span preface, struct endpoint *client)
{
	*client = (struct endpoint){ .port = 0 };
	return span_at(preface, 0) == 'P' ? proxy_client_v1(preface, client) : proxy_client_v2(preface, client);
}

/* Enough of a preface to be sure of it. */
static bool is_proxy(struct span first)
{
	return first.len >= sizeof proxy_v2_signature && proxy_preface(first) != 0;
}

/* ---- HTTP and TLS ------------------------------------------------------------------------- */

/* https://www.iana.org/assignments/http-methods, and those of UPnP, Exchange's RPC, BITS and caches. */
static const char *const methods[] = {
	"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PROPFIND", "PROPPATCH", "MKCOL",
	"COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "REPORT", "QUERY", "ACL", "BIND", "UNBIND", "REBIND", "LABEL", "LINK",
	"UNLINK", "MERGE", "CHECKIN", "CHECKOUT", "UNCHECKOUT", "MKACTIVITY", "MKCALENDAR", "MKREDIRECTREF", "MKWORKSPACE",
	"ORDERPATCH", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL", "BASELINE-CONTROL", "M-SEARCH", "NOTIFY", "SUBSCRIBE",
	"UNSUBSCRIBE", "PURGE", "BAN", "REFRESH", "RPC_IN_DATA", "RPC_OUT_DATA", "BITS_POST", "CCM_POST",
};

static bool is_token_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_method(struct span s)
{
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (span_is(s, methods[i]))
			return true;
	return false;
}

/* A request target (RFC 9112 3.2) in a form that no protocol like HTTP shares: RTSP, SIP and ICAP have schemes of their own. */
static bool is_target(struct span s, struct span method)
{
	uint8_t c = span_at(s, 0);

	if (span_is(method, "CONNECT"))
		return is_token_byte(c) || c == '[';
	return c == '/' || span_starts(s, "http://") || span_starts(s, "https://") || span_starts(s, "* HTTP/");
}

/* A status line, or a request line (RFC 9112 3, 4), whole or only begun, perhaps behind empty lines (2.2). Wrong ones count
 * while they are meant to be HTTP: they may be why it failed. */
static bool is_http1(struct span first)
{
	struct span line = first, method, rest;
	size_t n = 0;

	while (span_at(line, 0) == '\r' || span_at(line, 0) == '\n' || span_at(line, 0) == ' ')
		line = span_from(line, 1);
	line = span_first(line, span_index(line, '\n'));
	if (span_starts(line, "HTTP/"))
		return true;
	while (is_token_byte(span_at(line, n)))
		n++;
	method = span_first(line, n);
	rest = span_from(line, n);
	if (n == 0 || (span_at(rest, 0) != ' ' && span_at(rest, 0) != '\t'))
		return false;
	while (span_at(rest, 0) == ' ' || span_at(rest, 0) == '\t')
		rest = span_from(rest, 1);
	return (is_method(method) && is_target(rest, method)) || span_find(rest, " HTTP/") < rest.len;
}

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n"

/* RFC 9113 3.4: the client's preface; the server's SETTINGS, or a GOAWAY for a client that is no HTTP/2. */
static bool is_http2(struct span first)
{
	uint32_t length = span_u32(first, 0) >> 8;
	uint8_t type = span_at(first, 3), flags = span_at(first, 4);

	if (span_starts(first, HTTP2_PREFACE))
		return true;
	if (first.len < 9 || span_u32(first, 5) != 0)
		return false;
	if (type == 4)
		return (flags == 0 && length % 6 == 0 && length <= 600) || (flags == 1 && length == 0);
	return type == 7 && flags == 0 && length >= 8 && length <= 4096 && first.len >= 17 && span_u32(first, 13) <= 0xd;
}

/* RFC 8446 5.1: type, version 3.x, length up to 2^14 and some (RFC 5246 6.2.3: 2048). */
static bool is_tls(struct span first)
{
	uint8_t type = span_at(first, 0);
	uint16_t length = span_u16(first, 3);

	if (first.len < 5 || type < 20 || type > 23 || span_at(first, 1) != 3 || span_at(first, 2) > 4 || length == 0 || length > 16384 + 2048)
		return false;
	return type != 20 || length == 1;
}

/* ---- text --------------------------------------------------------------------------------- */

/* Byte i as a part of printable text. */
static bool is_printable(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

static struct span first_line(struct span s)
{
	return span_first(s, span_index(s, '\n'));
}

static bool holds_word(struct span s, const char *upper)
{
	struct span word = span_text(upper);

	for (; s.len >= word.len; s = span_from(s, 1))
		if (span_equal_nocase(span_first(s, word.len), word))
			return true;
	return false;
}

/* A reply line of SMTP or FTP: three digits, then a space or a hyphen. RFC 5321 4.2, RFC 959 4.2. */
static bool is_reply(struct span s)
{
	return s.len >= 4 && is_digit(span_at(s, 0)) && is_digit(span_at(s, 1)) && is_digit(span_at(s, 2)) &&
	       (span_at(s, 3) == ' ' || span_at(s, 3) == '-');
}

/* A greeting or a refusal; the line says which protocol it is. */
static bool is_greeting(struct span s)
{
	return is_reply(s) && (span_starts(s, "220") || span_starts(s, "421") || span_starts(s, "554") || span_starts(s, "530"));
}

/* RFC 3463 2: an enhanced status code behind the reply code, of its class. No other protocol has it. */
static bool has_enhanced_code(struct span s)
{
	size_t i = 6;

	if (!is_reply(s) || span_at(s, 4) != span_at(s, 0) || span_at(s, 5) != '.')
		return false;
	while (is_digit(span_at(s, i)))
		i++;
	return i > 6 && i <= 9 && span_at(s, i) == '.' && is_digit(span_at(s, i + 1));
}

static bool smtp_server(struct span first, struct span other)
{
	struct span line = first_line(first);

	(void)other;
	return has_enhanced_code(first) || (is_greeting(line) && (holds_word(line, "SMTP") || holds_word(line, "LMTP")));
}

static bool ftp_server(struct span first, struct span other)
{
	struct span line = first_line(first);

	(void)other;
	return is_greeting(line) && holds_word(line, "FTP");
}

/* `*3\r\n$3\r\n…`: how clients send commands (https://redis.io/docs/latest/develop/reference/protocol-spec). */
static bool resp_client(struct span first, struct span other)
{
	size_t i = 1;

	(void)other;
	while (is_digit(span_at(first, i)))
		i++;
	return span_at(first, 0) == '*' && i > 1 && i < 8 && span_starts(span_from(first, i), "\r\n$");
}

/* An error is `-WORD text`; to a client that speaks RESP any reply. Before any request the server says why it will not serve. */
static bool resp_server(struct span first, struct span other)
{
	struct span line = first_line(first);
	size_t i = 1;

	if (span_starts(first, "-DENIED Redis") || span_starts(first, "-ERR max number of clients"))
		return true;
	if (resp_client(other, first))
		return first.len >= 3 && strchr("+-:$*_,#!=(%~>", span_at(first, 0)) != NULL && span_at(first, 0) != 0;
	if (other.len == 0 || span_at(first, 0) != '-' || span_at(line, line.len - 1) != '\r')
		return false;
	while (span_at(first, i) >= 'A' && span_at(first, i) <= 'Z')
		i++;
	return i >= 4 && span_at(first, i) == ' ';
}

/* RFC 1939 4. Redis says +OK, too, but only when asked. */
static bool pop3_server(struct span first, struct span other)
{
	return other.len == 0 && span_starts(first, "+OK") && (span_at(first, 3) == ' ' || span_at(first, 3) == '\r');
}

/* RFC 9051 7.1: the greeting. */
static bool imap_server(struct span first, struct span other)
{
	(void)other;
	return span_starts(first, "* OK ") || span_starts(first, "* OK\r") || span_starts(first, "* PREAUTH ") || span_starts(first, "* BYE ");
}

/* RFC 4253 4.2; what OpenSSH's sshd answers to other first lines (kex.c), also older ones. */
static bool ssh(struct span first, struct span other)
{
	(void)other;
	return span_starts(first, "SSH-2.") || span_starts(first, "SSH-1.");
}

static bool ssh_server(struct span first, struct span other)
{
	return ssh(first, other) || span_starts(first, "Invalid SSH identification string") ||
	       (other.len != 0 && span_is(first, "Protocol mismatch.\n"));
}

/* memcached doc/protocol.txt: error strings. */
static bool memcached_server(struct span first, struct span other)
{
	return span_starts(first, "CLIENT_ERROR ") || span_starts(first, "SERVER_ERROR ") || (other.len != 0 && span_starts(first, "ERROR\r\n"));
}

static bool memcached_client(struct span first, struct span other)
{
	static const char *const commands[] = { "get ", "gets ", "set ", "add ", "replace ", "incr ", "decr ", "touch ", "mg ", "ms " };
	struct span line = first_line(first);

	(void)other;
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (span_starts(line, commands[i]))
			return line.len < first.len && span_at(line, line.len - 1) == '\r';
	return span_is(first, "version\r\n") || span_is(first, "stats\r\n");
}

/* ---- data bases --------------------------------------------------------------------------- */

static uint32_t u24le(struct span s)
{
	return (uint32_t)span_at(s, 2) << 16 | (uint32_t)span_at(s, 1) << 8 | span_at(s, 0);
}

static uint32_t u32le(struct span s, size_t i)
{
	return __builtin_bswap32(span_u32(s, i));
}

/* n printable bytes at i. */
static bool text_at(struct span s, size_t i, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (!is_printable(span_at(s, i + k)))
			return false;
	return true;
}

/* MySQL protocol basics: length (3, little-endian), sequence, then protocol version 10 and the server's version, ended by NUL;
 * or 0xff, error number and text (https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html). */
static bool mysql_server(struct span first, struct span other)
{
	uint32_t length = u24le(first);
	struct span version = span_from(first, 5);
	size_t version_len = span_index(version, 0);
	unsigned error = span_at(first, 5) | (unsigned)span_at(first, 6) << 8;

	(void)other;
	if (first.len < 12 || length < 8 || length > 1024)
		return false;
	if (span_at(first, 4) == 10)
		return span_at(first, 3) == 0 && is_digit(span_at(version, 0)) && version_len < version.len && text_at(version, 0, version_len);
	return span_at(first, 4) == 0xff && span_at(first, 3) < 4 && error >= 1000 && error < 5000 && length + 4 >= first.len && text_at(first, 7, 5);
}

/* https://www.postgresql.org/docs/current/protocol-message-formats.html: SSLRequest, GSSENCRequest, StartupMessage. */
static bool postgresql_client(struct span first, struct span other)
{
	uint32_t length = span_u32(first, 0), code = span_u32(first, 4);

	(void)other;
	if (length == 8 && first.len >= 8)
		return code == 80877103 || code == 80877104;
	return length >= 9 && length < 10000 && code == 0x00030000 && text_at(first, 8, 4);
}

/* ErrorResponse, as protocol 3 and as 2 has it (to who speaks neither); answers to a client's first message. */
static bool postgresql_server(struct span first, struct span other)
{
	uint8_t type = span_at(first, 0);
	uint32_t length = span_u32(first, 1);

	if (span_starts(first, "EFATAL:  ") || span_starts(first, "EERROR:  "))
		return true;
	if (type == 'E' && length >= 8 && length < 30000 && span_at(first, 5) == 'S')
		return span_starts(span_from(first, 6), "FATAL") || span_starts(span_from(first, 6), "ERROR") || span_starts(span_from(first, 6), "PANIC");
	if (!postgresql_client(other, first))
		return false;
	return (first.len == 1 && (type == 'S' || type == 'N' || type == 'G')) || (type == 'R' && length >= 8 && length < 2000);
}

/* https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol: length, request, response to, operation, all little-endian. */
static bool mongodb(struct span first, struct span other)
{
	uint32_t length = u32le(first, 0), response_to = u32le(first, 8), operation = u32le(first, 12);

	if (first.len < 16 || length < 16 || length > 48000000 || length < first.len)
		return false;
	if (operation == 1)                                     /* OP_REPLY, to an OP_QUERY */
		return response_to != 0 && u32le(other, 12) == 2004;
	return operation == 2013 || operation == 2012 || operation == 2004;
}

/* MS-TDS 2.2.3: type, status, length, session, packet, window (0). Pre-login, and its answer. */
static bool tds_client(struct span first, struct span other)
{
	(void)other;
	return first.len >= 8 && span_at(first, 0) == 0x12 && span_at(first, 1) == 1 && span_u16(first, 2) >= 16 && span_u16(first, 2) <= 4096 &&
	       span_at(first, 7) == 0;
}

static bool tds_server(struct span first, struct span other)
{
	return tds_client(other, first) && span_at(first, 0) == 4 && span_at(first, 1) == 1;
}

/* ---- messages ----------------------------------------------------------------------------- */

/* AMQP 0-9-1 4.2.2 and 1.0 2.2: the protocol header, with which a server answers a wrong one, too. */
static bool amqp(struct span first, struct span other)
{
	(void)other;
	return first.len >= 8 && span_starts(first, "AMQP") && span_at(first, 4) <= 3 && span_at(first, 5) <= 9;
}

/* Connection.Start in answer to the header: a method frame on channel 0. AMQP 0-9-1 2.3.5. */
static bool amqp_server(struct span first, struct span other)
{
	return amqp(first, other) || (amqp(other, first) && first.len >= 11 && span_at(first, 0) == 1 && span_u16(first, 1) == 0 &&
	                              span_u32(first, 7) == 0x000a000a);
}

/* MQTT 3.1.1 3.1: CONNECT, remaining length of up to four bytes, the protocol's name. */
static bool mqtt_client(struct span first, struct span other)
{
	size_t i = 1;

	(void)other;
	while (i < 4 && (span_at(first, i) & 0x80) != 0)
		i++;
	return span_at(first, 0) == 0x10 && (span_starts(span_from(first, i + 3), "MQTT") || span_starts(span_from(first, i + 3), "MQIsdp"));
}

static bool mqtt_server(struct span first, struct span other)
{
	return mqtt_client(other, first) && span_at(first, 0) == 0x20;
}

/* https://kafka.apache.org/protocol: size, API key, version, correlation, client's name. Only what a client begins with. */
static bool kafka_client(struct span first, struct span other)
{
	uint16_t key = span_u16(first, 4), name_len = span_u16(first, 12);

	(void)other;
	return first.len >= 14 && (key == 18 || key == 3) && span_u16(first, 6) <= 15 && span_u32(first, 0) >= 10 && span_u32(first, 0) <= 4096 &&
	       span_u32(first, 0) + 4 >= first.len && (name_len == 0xffff || (name_len > 0 && name_len <= 255 && text_at(first, 14, name_len)));
}

/* The answer repeats the correlation. */
static bool kafka_server(struct span first, struct span other)
{
	return kafka_client(other, first) && first.len >= 8 && span_u32(first, 4) == span_u32(other, 8);
}

/* ---- the gateway's own side protocols ----------------------------------------------------- */

/* https://fastcgi-archives.github.io/FastCGI_Specification.html 3.3, 5.1: version 1, BEGIN_REQUEST, request, length 8,
 * padding, reserved; role 1 to 3, flags, reserved. */
static bool fastcgi_client(struct span first, struct span other)
{
	uint16_t role = span_u16(first, 8);

	(void)other;
	return first.len >= 16 && span_u16(first, 0) == 0x0101 && span_u16(first, 4) == 8 && span_at(first, 7) == 0 && role >= 1 && role <= 3 &&
	       span_at(first, 10) <= 1 && span_at(first, 11) == 0 && span_u32(first, 12) == 0;
}

/* END_REQUEST, STDOUT, STDERR, UNKNOWN_TYPE. */
static bool fastcgi_server(struct span first, struct span other)
{
	uint8_t type = span_at(first, 1);

	return fastcgi_client(other, first) && first.len >= 8 && span_at(first, 0) == 1 && (type == 3 || type == 6 || type == 7 || type == 11);
}

/* https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html: modifier 0, size (little-endian), modifier 0; then names and
 * values, each behind its length: the first name is a CGI variable's. */
static bool uwsgi_client(struct span first, struct span other)
{
	unsigned size = span_at(first, 1) | (unsigned)span_at(first, 2) << 8;
	unsigned name_len = span_at(first, 4) | (unsigned)span_at(first, 5) << 8;

	(void)other;
	if (first.len < 12 || span_at(first, 0) != 0 || span_at(first, 3) != 0 || name_len < 4 || name_len > 64 || name_len + 4 > size ||
	    6 + (size_t)name_len > first.len)
		return false;
	for (size_t i = 0; i < name_len; i++) {
		uint8_t c = span_at(first, 6 + i);

		if ((c < 'A' || c > 'Z') && c != '_' && !is_digit(c))
			return false;
	}
	return true;
}

/* https://python.ca/scgi/protocol.txt: a netstring of headers, the first of which is CONTENT_LENGTH. */
static bool scgi_client(struct span first, struct span other)
{
	size_t i = 0;

	(void)other;
	while (is_digit(span_at(first, i)))
		i++;
	return i > 0 && i < 8 && span_at(first, i) == ':' && span_starts(span_from(first, i + 1), "CONTENT_LENGTH");
}

static bool scgi_server(struct span first, struct span other)
{
	return scgi_client(other, first) && span_starts(first, "Status:");
}

/* https://tomcat.apache.org/connectors-doc/ajp/ajpv13a.html: 0x1234, length, code: forward request 2, ping 8, CPing 10. */
static bool ajp_client(struct span first, struct span other)
{
	uint8_t code = span_at(first, 4);

	(void)other;
	return first.len >= 5 && span_u16(first, 0) == 0x1234 && span_u16(first, 2) != 0 && span_u16(first, 2) <= 65531 &&
	       (code == 2 || code == 8 || code == 10);
}

/* `AB`, length, code 3 to 6 or 9. */
static bool ajp_server(struct span first, struct span other)
{
	uint8_t code = span_at(first, 4);

	return ajp_client(other, first) && span_starts(first, "AB") && ((code >= 3 && code <= 6) || code == 9);
}

/* ---- the rest ----------------------------------------------------------------------------- */

/* RFC 4511 4.1.1: a sequence of message number and operation. Which: bind, search, extended; server: their answers. */
static bool ldap(struct span first, struct span other)
{
	static const uint8_t operations[] = { 0x60, 0x61, 0x63, 0x64, 0x65, 0x77, 0x78 };
	uint8_t length = span_at(first, 1), number;
	size_t i = length < 0x80 ? 2 : 2u + (length & 7u);

	(void)other;
	number = span_at(first, i + 1);
	if (span_at(first, 0) != 0x30 || length > 0x84 || length == 0x80 || span_at(first, i) != 0x02 || number < 1 || number > 4)
		return false;
	for (size_t k = 0; k < sizeof operations; k++)
		if (span_at(first, i + 2 + number) == operations[k])
			return true;
	return false;
}

/* RFC 2126 4.3 (TPKT) and X.224 13.3, 13.4: connection request or confirm. MS-RDPBCGR 2.2.1. */
static bool tpkt(struct span first, uint8_t code)
{
	uint16_t length = span_u16(first, 2);

	return first.len >= 7 && span_u16(first, 0) == 0x0300 && length >= 11 && length <= 512 && span_at(first, 4) + 5u == length &&
	       span_at(first, 5) == code;
}

static bool rdp_client(struct span first, struct span other)
{
	(void)other;
	return tpkt(first, 0xe0);
}

static bool rdp_server(struct span first, struct span other)
{
	(void)other;
	return tpkt(first, 0xd0);
}

/* MS-SMB 2.1 (direct TCP): a zero, length, then the dialect's mark. */
static bool smb(struct span first, struct span other)
{
	(void)other;
	return first.len >= 8 && span_at(first, 0) == 0 && (span_u32(first, 4) == 0xff534d42 || span_u32(first, 4) == 0xfe534d42);
}

/* RFC 854: IAC, WILL to DONT, an option. */
static bool telnet(struct span first, struct span other)
{
	(void)other;
	return first.len >= 3 && span_at(first, 0) == 0xff && span_at(first, 1) >= 0xfb && span_at(first, 1) <= 0xfe && span_at(first, 2) <= 50;
}

/* ---- the table ---------------------------------------------------------------------------- */

typedef bool first_bytes_fn(struct span first, struct span other);

struct foreign_row { const char *name; first_bytes_fn *from[2]; };      /* [CLIENT], [SERVER]; NULL: says nothing of its own */

static const struct foreign_row rows[FOREIGN_COUNT] = {
	[FOREIGN_SSH]        = { "ssh",        { ssh,               ssh_server } },
	[FOREIGN_SMTP]       = { "smtp",       { NULL,              smtp_server } },
	[FOREIGN_FTP]        = { "ftp",        { NULL,              ftp_server } },
	[FOREIGN_MYSQL]      = { "mysql",      { NULL,              mysql_server } },
	[FOREIGN_POSTGRESQL] = { "postgresql", { postgresql_client, postgresql_server } },
	[FOREIGN_RESP]       = { "resp",       { resp_client,       resp_server } },
	[FOREIGN_AMQP]       = { "amqp",       { amqp,              amqp_server } },
	[FOREIGN_FASTCGI]    = { "fastcgi",    { fastcgi_client,    fastcgi_server } },
	[FOREIGN_UWSGI]      = { "uwsgi",      { uwsgi_client,      NULL } },
	[FOREIGN_SCGI]       = { "scgi",       { scgi_client,       scgi_server } },
	[FOREIGN_AJP]        = { "ajp",        { ajp_client,        ajp_server } },
	[FOREIGN_POP3]       = { "pop3",       { NULL,              pop3_server } },
	[FOREIGN_IMAP]       = { "imap",       { NULL,              imap_server } },
	[FOREIGN_MONGODB]    = { "mongodb",    { mongodb,           mongodb } },
	[FOREIGN_MEMCACHED]  = { "memcached",  { memcached_client,  memcached_server } },
	[FOREIGN_LDAP]       = { "ldap",       { ldap,              ldap } },
	[FOREIGN_RDP]        = { "rdp",        { rdp_client,        rdp_server } },
	[FOREIGN_SMB]        = { "smb",        { smb,               smb } },
	[FOREIGN_MQTT]       = { "mqtt",       { mqtt_client,       mqtt_server } },
	[FOREIGN_KAFKA]      = { "kafka",      { kafka_client,      kafka_server } },
	[FOREIGN_TDS]        = { "tds",        { tds_client,        tds_server } },
	[FOREIGN_TELNET]     = { "telnet",     { telnet,            telnet } },
};

unsigned foreign_probe(enum side from, struct span first, struct span other)
{
	if (first.len == 0)
		return SPEAKS_UNKNOWN;
	if (is_proxy(first))
		return SPEAKS_PROXY;
	if (is_http2(first))
		return SPEAKS_HTTP2;
	if (is_http1(first))            /* or a preface that is not whole yet: made to look like a request */
		return agrees(first, span_text(HTTP2_PREFACE)) ? SPEAKS_UNKNOWN : SPEAKS_HTTP1;
	if (is_tls(first))
		return SPEAKS_TLS;
	for (unsigned i = 0; i < FOREIGN_COUNT; i++)
		if (rows[i].from[from] != NULL && rows[i].from[from](first, other))
			return SPEAKS_FOREIGN_FIRST + i;
	return SPEAKS_UNKNOWN;
}

const char *foreign_name(unsigned speaks)
{
	return speaks >= SPEAKS_FOREIGN_FIRST && speaks - SPEAKS_FOREIGN_FIRST < FOREIGN_COUNT ? rows[speaks - SPEAKS_FOREIGN_FIRST].name : "";
}
