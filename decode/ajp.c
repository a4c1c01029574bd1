/* ajp.c - AJP 1.3: packets around a request's fields, its body, and the answer's; connections are kept
 *
 *     gateway   0x12 0x34 length(2), then code(1) …, or, while a body is owed, length(2) and so much of it
 *     server    `A` `B`   length(2), then code(1) …
 *     strings   length(2), bytes, NUL; 0xffff: none. Common field names are codes, 0xa0 and a number
 *     https://tomcat.apache.org/connectors-doc/ajp/ajpv13a.html
 */
#include "cgi.h"
#include "foreign.h"

#include <stdio.h>

enum { PACKET_HEADER = 4 };
enum { FORWARD_REQUEST = 2, BODY_CHUNK = 3, SEND_HEADERS = 4, END_RESPONSE = 5 };
enum { QUERY_STRING = 5, REQUEST_ATTRIBUTE = 10, KEY_SIZE = 11, ATTRIBUTES_END = 0xff };

struct packet_side {
	uint8_t  header[PACKET_HEADER], n_header;
	uint8_t  n_prefix, prefix[3];   /* of the content: its code, or what stands before a piece of a body */
	uint32_t content, body;         /* left of the packet; of it, of the body */
	bool     streams;               /* a piece of a body: not collected */
	bool     lost;
};

struct ajp {
	struct cgi cgi;
	struct packet_side side[2];
	uint8_t *packet[2];             /* what is collected of a packet */
	size_t   packet_len[2], packet_size[2];
};

static void *ajp_begin(struct conn *c, bool late)
{
	struct ajp *j = conn_alloc(c, sizeof *j);

	(void)late;                     /* each packet says where it begins */
	if (j == NULL)
		return NULL;
	*j = (struct ajp){ .packet = { NULL, NULL } };
	cgi_init(&j->cgi, c);
	return j;
}

/* ---- what packets say ----------------------------------------------------------------------- */

static struct span string(struct cursor *in)
{
	uint16_t n = cur_u16(in);
	struct span s = cur_take(in, n == 0xffff ? 0 : n);

	if (n != 0xffff)
		(void)cur_u8(in);
	return s;
}

static const char *const request_names[] = {
	"", "accept", "accept-charset", "accept-encoding", "accept-language", "authorization", "connection", "content-type", "content-length",
	"cookie", "cookie2", "host", "pragma", "referer", "user-agent",
};
static const char *const answer_names[] = {
	"", "Content-Type", "Content-Language", "Content-Length", "Date", "Last-Modified", "Location", "Set-Cookie", "Set-Cookie2",
	"Servlet-Engine", "Status", "WWW-Authenticate",
};
static const char *const methods[] = {
	"", "OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "ACL",
	"REPORT", "VERSION-CONTROL", "CHECKIN", "CHECKOUT", "UNCHECKOUT", "SEARCH", "MKWORKSPACE", "UPDATE", "LABEL", "MERGE", "BASELINE-CONTROL",
	"MKACTIVITY",
};

static struct span field_name(struct cursor *in, const char *const *names, size_t n)
{
	uint8_t code;

	if (span_at(in->rest, 0) != 0xa0)
		return string(in);
	(void)cur_u8(in);
	code = cur_u8(in);
	return span_text(code != 0 && code < n ? names[code] : "x-unknown");
}

#define FIELD_NAME(in, names) field_name(in, names, sizeof names / sizeof names[0])

/* ---- the request as CGI's variables --------------------------------------------------------- */

static bool next_pair(struct cursor *in, struct span *name, struct span *value)
{
	*name = cur_take(in, cur_u16(in));
	*value = cur_take(in, cur_u16(in));
	return !in->failed;
}

static bool add_length(struct ajp *j, size_t n)
{
	uint8_t length[2] = { (uint8_t)(n >> 8), (uint8_t)n };

	return cgi_collect(&j->cgi, span_of(length, sizeof length));
}

static bool add(struct ajp *j, const char *name, struct span value)
{
	return add_length(j, strlen(name)) && cgi_collect(&j->cgi, span_text(name)) && add_length(j, value.len) && cgi_collect(&j->cgi, value);
}

/* `x-request-id` is HTTP_X_REQUEST_ID. RFC 3875 4.1.18 */
static bool add_field(struct ajp *j, struct span name, struct span value)
{
	bool content = span_equal_nocase(name, span_text("content-type")) || span_equal_nocase(name, span_text("content-length"));
	char text[128];
	size_t n = (size_t)snprintf(text, sizeof text, "%s", content ? "" : "HTTP_");

	for (size_t i = 0; i < name.len && n + 1 < sizeof text; i++) {
		uint8_t c = name.at[i];

		text[n++] = (char)(c == '-' ? '_' : c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
	}
	text[n] = '\0';
	return add(j, text, value);
}

static void add_query(struct ajp *j, struct cursor *in)
{
	for (uint8_t code = cur_u8(in); !in->failed && code != ATTRIBUTES_END; code = cur_u8(in)) {
		struct span value;

		if (code == KEY_SIZE) {
			(void)cur_u16(in);
			continue;
		}
		if (code == REQUEST_ATTRIBUTE)
			(void)string(in);
		value = string(in);
		if (code == QUERY_STRING)
			(void)add(j, "QUERY_STRING", value);
	}
}

static bool forward_request(struct ajp *j, struct span packet, struct mark at, uint64_t wire_end)
{
	struct cursor in = cursor_of(span_from(packet, 1));
	uint8_t method = cur_u8(&in);
	struct span target;
	bool fine = method < sizeof methods / sizeof methods[0];

	j->cgi.block_len = 0;
	(void)string(&in);                              /* protocol */
	target = string(&in);
	(void)string(&in);                              /* the client's address and name */
	(void)string(&in);
	fine = fine && add(j, "REQUEST_METHOD", span_text(methods[method])) && add(j, "SCRIPT_NAME", target) && add(j, "SERVER_NAME", string(&in));
	(void)cur_u16(&in);                             /* port */
	(void)cur_u8(&in);                              /* over TLS */
	for (uint16_t n = cur_u16(&in); fine && n != 0 && !in.failed; n--) {
		struct span name = FIELD_NAME(&in, request_names), value = string(&in);

		fine = in.failed || add_field(j, name, value);
	}
	add_query(j, &in);
	return fine && cgi_request(&j->cgi, next_pair, at, wire_end);
}

/* ---- the answer as CGI has it --------------------------------------------------------------- */

static void say(struct ajp *j, struct span s, struct mark at, uint64_t wire_end)
{
	cgi_answer(&j->cgi, s, at, wire_end);
}

static void send_headers(struct ajp *j, struct span packet, struct mark at, uint64_t wire_end)
{
	struct cursor in = cursor_of(span_from(packet, 1));
	uint16_t status = cur_u16(&in);
	struct span reason = string(&in);
	char line[200];

	(void)snprintf(line, sizeof line, "Status: %u %.*s\r\n", status, (int)span_first(span_first(reason, span_index(reason, '\n')), 100).len, (const char *)reason.at);
	say(j, span_text(line), at, wire_end);
	for (uint16_t n = cur_u16(&in); n != 0 && !in.failed; n--) {
		struct span name = FIELD_NAME(&in, answer_names), value = string(&in);

		if (in.failed)
			break;
		say(j, name, at, wire_end);
		say(j, span_text(": "), at, wire_end);
		say(j, value, at, wire_end);
		say(j, span_text("\r\n"), at, wire_end);
	}
	say(j, span_text("\r\n"), at, wire_end);
}

/* ---- packets --------------------------------------------------------------------------------- */

static bool keep(struct ajp *j, enum side from, struct span bytes)
{
	size_t need = j->packet_len[from] + bytes.len, size = j->packet_size[from] != 0 ? j->packet_size[from] : 1024;
	uint8_t *bigger;

	while (size < need)                             /* a packet's length has two bytes */
		size *= 2;
	if (size != j->packet_size[from]) {
		bigger = conn_grow(j->cgi.c, j->packet[from], j->packet_size[from], size);
		if (bigger == NULL)
			return false;
		j->packet[from] = bigger;
		j->packet_size[from] = size;
	}
	memcpy(j->packet[from] + j->packet_len[from], bytes.at, bytes.len);
	j->packet_len[from] = need;
	return true;
}

static void packet_begins(struct ajp *j, struct packet_side *s, enum side from)
{
	struct cursor in = cursor_of(span_of(s->header, sizeof s->header));

	s->lost = cur_u16(&in) != (from == CLIENT ? 0x1234 : 0x4142);
	s->content = cur_u16(&in);
	s->n_prefix = 0;
	s->streams = from == CLIENT && j->cgi.body_left != 0;
	s->body = 0;
	j->packet_len[from] = 0;
}

/* Before a piece of a body: its length, and at a server the code that says so. */
static size_t prefix_bytes(enum side from)
{
	return from == CLIENT ? 2 : 3;
}

static void take_prefix(struct packet_side *s, enum side from, struct cursor *in)
{
	s->prefix[s->n_prefix++] = cur_u8(in);
	s->content--;
	if (from == SERVER && s->n_prefix == 1)
		s->streams = s->prefix[0] == BODY_CHUNK;
	if (s->streams && s->n_prefix == prefix_bytes(from)) {
		s->body = (uint32_t)s->prefix[s->n_prefix - 2] << 8 | s->prefix[s->n_prefix - 1];
		s->body = s->body < s->content ? s->body : s->content;
	}
}

static void take_content(struct ajp *j, struct packet_side *s, enum side from, struct cursor *in, const struct piece *p)
{
	struct span part = cur_take(in, s->content < in->rest.len ? s->content : in->rest.len), body = span_first(part, s->body);

	s->content -= (uint32_t)part.len;
	if (!s->streams) {
		s->lost = !keep(j, from, part);
		return;
	}
	s->body -= (uint32_t)body.len;
	if (from == CLIENT)
		cgi_body(&j->cgi, body, p->at, piece_wire_at(p, p->bytes.len - in->rest.len));
	else
		cgi_answer(&j->cgi, body, p->at, piece_wire_at(p, p->bytes.len - in->rest.len));
}

static void packet_ends(struct ajp *j, struct packet_side *s, enum side from, struct mark at, uint64_t wire_end)
{
	struct span packet = span_of(j->packet[from], j->packet_len[from]);
	uint8_t code = span_at(packet, 0);

	s->n_header = 0;
	if (s->streams)
		return;
	if (from == CLIENT && code == FORWARD_REQUEST)
		s->lost = !forward_request(j, packet, at, wire_end);
	else if (from == SERVER && code == SEND_HEADERS)
		send_headers(j, packet, at, wire_end);
	else if (from == SERVER && code == END_RESPONSE && cgi_answer_begun(&j->cgi))
		cgi_answered(&j->cgi, at);
}

static void take_header(struct ajp *j, struct packet_side *s, enum side from, struct cursor *in)
{
	s->header[s->n_header++] = cur_u8(in);
	if (s->n_header == PACKET_HEADER)
		packet_begins(j, s, from);
}

static uint64_t ajp_bytes(void *self, enum side from, const struct piece *p)
{
	struct ajp *j = self;
	struct packet_side *s = &j->side[from];
	struct cursor in = cursor_of(p->bytes);

	while (!s->lost && in.rest.len != 0) {
		if (s->n_header < PACKET_HEADER)
			take_header(j, s, from, &in);
		else if (s->content != 0 && (s->streams || (from == SERVER && s->n_prefix == 0)) && s->n_prefix < prefix_bytes(from)) {
			take_prefix(s, from, &in);
			if (!s->streams)
				s->lost = !keep(j, from, span_of(s->prefix, 1));
		} else {
			take_content(j, s, from, &in, p);
		}
		if (!s->lost && s->n_header == PACKET_HEADER && s->content == 0)
			packet_ends(j, s, from, p->at, piece_wire_at(p, p->bytes.len - in.rest.len));
	}
	return s->lost ? WANT_NONE : 0;
}

/* A packet's length tells where the next one begins, if what is missing is of a body. */
static void ajp_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct ajp *j = self;
	struct packet_side *s = &j->side[from];

	if (s->lost)
		return;
	cgi_gap(&j->cgi, from, missing, why, at);
	s->lost = s->n_header < PACKET_HEADER || !s->streams || missing > s->body;
	if (s->lost)
		return;
	s->body -= (uint32_t)missing;
	s->content -= (uint32_t)missing;
	if (s->content == 0)
		s->n_header = 0;
}

static void ajp_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	struct ajp *j = self;

	(void)offset;
	cgi_end(&j->cgi, from, j->side[from].lost && from == SERVER ? END_CAPTURE : how, false, at);
}

static bool ajp_idle(const void *self)
{
	const struct ajp *j = self;

	return j->cgi.inner == NULL && !j->side[CLIENT].lost && !j->side[SERVER].lost && j->side[CLIENT].n_header == 0 && j->side[SERVER].n_header == 0;
}

static void ajp_free(void *self)
{
	struct ajp *j = self;
	struct conn *c = j->cgi.c;

	cgi_clear(&j->cgi);
	for (int i = 0; i < 2; i++)
		conn_release(c, j->packet[i], j->packet_size[i]);
	conn_release(c, j, sizeof *j);
}

const struct protocol ajp_protocol = {
	.name = "ajp",
	.speaks = SPEAKS_FOREIGN_FIRST + FOREIGN_AJP,
	.begin = ajp_begin,
	.bytes = ajp_bytes,
	.gap = ajp_gap,
	.end = ajp_end,
	.free = ajp_free,
	.idle = ajp_idle,
};
