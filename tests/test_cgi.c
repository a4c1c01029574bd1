/* test_cgi.c - FastCGI, uwsgi, SCGI and AJP: requests and answers as HTTP, whole, byte by byte, lost, cut and broken */
#include "check.h"
#include "http1_stub.h"

struct bytes { uint8_t at[200 * 1024]; size_t n; };

static void add(struct bytes *b, const void *bytes, size_t n)
{
	if (n <= sizeof b->at - b->n && n != 0) {
		memcpy(b->at + b->n, bytes, n);
		b->n += n;
	}
}

static void add_u8(struct bytes *b, unsigned v)
{
	uint8_t byte = (uint8_t)v;

	add(b, &byte, 1);
}

/* ---- FastCGI -------------------------------------------------------------------------------- */

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, STDERR = 7 };

static void record(struct bytes *b, unsigned type, const void *content, size_t n)
{
	unsigned padding = (8 - n % 8) % 8;

	add_u8(b, 1);
	add_u8(b, type);
	add_u8(b, 0);
	add_u8(b, 1);
	add_u8(b, (unsigned)(n >> 8));
	add_u8(b, (unsigned)(n & 255));
	add_u8(b, padding);
	add_u8(b, 0);
	add(b, content, n);
	add(b, "\0\0\0\0\0\0\0", padding);
}

static void pair(struct bytes *b, const char *name, const char *value)
{
	size_t n = strlen(value);

	add_u8(b, (unsigned)strlen(name));
	if (n < 128) {
		add_u8(b, (unsigned)n);
	} else {
		add_u8(b, 0x80 | (unsigned)(n >> 24));
		add_u8(b, (unsigned)(n >> 16) & 255);
		add_u8(b, (unsigned)(n >> 8) & 255);
		add_u8(b, (unsigned)n & 255);
	}
	add(b, name, strlen(name));
	add(b, value, n);
}

typedef void pair_fn(struct bytes *b, const char *name, const char *value);

static void variables(struct bytes *b, pair_fn *put, const char *method, const char *length)
{
	static const char cookie[] = "a=0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

	put(b, "CONTENT_LENGTH", length);
	put(b, "SCRIPT_FILENAME", "/srv/app.php");
	put(b, "QUERY_STRING", "a=1");
	put(b, "REQUEST_METHOD", method);
	put(b, "REQUEST_URI", "/cart?a=1");
	put(b, "SERVER_SOFTWARE", "nginx/1.22.1");
	put(b, "HTTP_HOST", "shop.example");
	put(b, "HTTP_X_REQUEST_ID", "77\r\nX-Bad: 1");
	put(b, "HTTP_CONNECTION", "close");
	put(b, "HTTP_TRANSFER_ENCODING", "chunked");
	put(b, "HTTP_COOKIE", cookie);
}

static struct bytes *asked(const char *method, const char *body)
{
	static const uint8_t responder[8] = { 0, 1 };
	struct bytes *b = calloc(1, sizeof *b), *v = calloc(1, sizeof *v);
	char length[24] = "";

	if (body[0] != '\0')
		snprintf(length, sizeof length, "%zu", strlen(body));
	record(b, BEGIN, responder, sizeof responder);
	variables(v, pair, method, length);
	record(b, PARAMS, v->at, v->n);
	record(b, PARAMS, "", 0);
	if (body[0] != '\0')
		record(b, STDIN, body, strlen(body));
	record(b, STDIN, "", 0);
	free(v);
	return b;
}

static void said(struct bytes *b, const char *text)
{
	record(b, STDOUT, text, strlen(text));
}

static void ended(struct bytes *b)
{
	static const uint8_t complete[8] = { 0 };

	record(b, STDOUT, "", 0);
	record(b, END, complete, sizeof complete);
}

static struct wire *wire_of(const struct protocol *p, size_t cut)
{
	struct wire *w = wire_new(false);

	w->protocol = p;
	w->cut = cut;
	return w;
}

static void send_freed(struct wire *w, enum side from, struct bytes *b)
{
	wire_send(w, from, span_of(b->at, b->n));
	free(b);
}

static struct bytes *answer(const char *head, size_t body, bool whole)
{
	struct bytes *b = calloc(1, sizeof *b);
	char *text = malloc(body + 1);

	memset(text, 'x', body);
	text[body] = '\0';
	record(b, STDERR, "PHP message: notice", 19);
	said(b, head);
	for (size_t at = 0; at < body; at += 30000)
		record(b, STDOUT, text + at, body - at < 30000 ? body - at : 30000);
	if (whole)
		ended(b);
	free(text);
	return b;
}

TEST(a_request_is_told_in_https_words)
{
	for (size_t cut = 0; cut < 3; cut++) {
		struct wire *w = wire_of(&fastcgi_protocol, cut);
		struct exchange *x;

		send_freed(w, CLIENT, asked("POST", "hello"));
		send_freed(w, SERVER, answer("Status: 404 Not Found\r\nContent-type: text/html\r\n\r\nno", 0, true));
		x = wire_told(w, 0);
		CHECK_INT(x->f.method, METHOD_POST);
		CHECK_SPAN(wire_text(w, 0, x->f.target), "/cart?a=1");
		CHECK_SPAN(wire_text(w, 0, x->f.authority), "shop.example");
		CHECK_INT(x->f.request.body_bytes, 5);
		CHECK(x->f.request.complete);
		CHECK_INT(x->f.request.violations, 0);
		CHECK_INT(x->f.n_ids, 1);
		CHECK(!x->f.said_close);
		CHECK_INT(x->f.status, 404);
		CHECK_SPAN(wire_text(w, 0, x->f.body), "no");
		CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
		CHECK_INT(x->f.response.violations, 0);
		wire_end(w, SERVER, END_FIN);
		wire_end(w, CLIENT, END_FIN);
		CHECK_INT(w->c.opened, 1);
		wire_free(w);
	}
}

TEST(an_answer_without_a_status_is_200_and_ends_with_its_record)
{
	for (size_t cut = 0; cut < 3; cut++) {
		struct wire *w = wire_of(&fastcgi_protocol, cut);

		for (unsigned i = 0; i < 3; i++) {      /* the connection is kept */
			send_freed(w, CLIENT, asked("GET", ""));
			send_freed(w, SERVER, answer("Content-type: text/html\r\n\r\n", 70000, true));
			CHECK_INT(wire_told(w, i)->f.status, 200);
			CHECK_INT(wire_told(w, i)->f.outcome, OUTCOME_COMPLETE);
			CHECK_INT(wire_told(w, i)->f.response.body_bytes, 70000);
		}
		CHECK_INT(w->c.opened, 3);
		wire_end(w, SERVER, END_FIN);
		wire_free(w);
	}
}

/* How the server's side ends, and what of the answer it had said. */
static void check_broken(const char *head, size_t body, enum ending how, enum outcome wanted)
{
	for (size_t cut = 0; cut < 3; cut++) {
		struct wire *w = wire_of(&fastcgi_protocol, cut);

		send_freed(w, CLIENT, asked("GET", ""));
		if (head != NULL)
			send_freed(w, SERVER, answer(head, body, false));
		wire_end(w, SERVER, how);
		wire_end(w, CLIENT, END_FIN);
		CHECK_INT(wire_told(w, 0)->f.outcome, wanted);
		CHECK_INT(w->c.opened, 1);
		wire_free(w);
	}
}

TEST(a_request_without_an_answer_a_cut_one_and_half_a_head_are_told_apart)
{
	check_broken(NULL, 0, END_FIN, OUTCOME_NO_RESPONSE);
	check_broken(NULL, 0, END_RST, OUTCOME_NO_RESPONSE);
	check_broken("Content-type: text/html\r\n", 0, END_FIN, OUTCOME_PARTIAL_HEADERS);
	check_broken("Sta", 0, END_FIN, OUTCOME_PARTIAL_HEADERS);
	check_broken("Content-type: text/html\r\n\r\n", 50000, END_FIN, OUTCOME_PARTIAL_BODY);      /* no END_REQUEST: it broke off */
	check_broken("Content-type: text/html\r\n\r\n", 50000, END_RST, OUTCOME_PARTIAL_BODY);
	check_broken("Content-type: text/html\r\n\r\n", 50000, END_CAPTURE, OUTCOME_IN_PROGRESS);
}

TEST(an_end_without_an_answer_waits_for_the_close)
{
	struct wire *w = wire_of(&fastcgi_protocol, 0);
	struct bytes *b = calloc(1, sizeof *b);

	send_freed(w, CLIENT, asked("GET", ""));
	ended(b);
	send_freed(w, SERVER, b);
	wire_end(w, SERVER, END_FIN);
	wire_end(w, CLIENT, END_FIN);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_NO_RESPONSE);
	wire_free(w);
}

TEST(what_is_lost_within_a_body_costs_nothing_and_elsewhere_ends_what_can_be_said)
{
	struct wire *w = wire_of(&fastcgi_protocol, 0);
	struct bytes *b = answer("Content-type: text/html\r\n\r\n", 25000, true);

	send_freed(w, CLIENT, asked("GET", ""));
	wire_send(w, SERVER, span_of(b->at, 5000));
	wire_gap(w, SERVER, 3000, WHY_LOST);
	wire_send(w, SERVER, span_of(b->at + 8000, b->n - 8000));
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(wire_told(w, 0)->f.response.body_bytes, 25000);
	wire_free(w);

	w = wire_of(&fastcgi_protocol, 0);
	send_freed(w, CLIENT, asked("GET", ""));
	wire_gap(w, SERVER, 3000, WHY_LOST);            /* a record's header, and the answer's, may have been in it */
	wire_send(w, SERVER, span_of(b->at + 3000, b->n - 3000));
	wire_end(w, SERVER, END_FIN);
	wire_end(w, CLIENT, END_FIN);
	CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_IN_PROGRESS);
	wire_free(w);
	free(b);
}

TEST(broken_records_are_given_up)
{
	static const uint8_t huge[] = { 1, BEGIN, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, PARAMS, 0, 1, 0, 4, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, PARAMS, 0, 1, 0, 0, 0, 0 };
	struct wire *w = wire_of(&fastcgi_protocol, 0);

	wire_send(w, CLIENT, span_of(huge, sizeof huge));       /* a name of two gigabytes, it says */
	wire_send(w, SERVER, span_text("HTTP/1.1 400 Bad Request\r\n\r\n"));
	wire_end(w, SERVER, END_FIN);
	CHECK_INT(w->c.opened, 0);
	wire_free(w);
}

/* ---- uwsgi, SCGI ---------------------------------------------------------------------------- */

static void text_le(struct bytes *b, const char *s)
{
	add_u8(b, (unsigned)strlen(s) & 255);
	add_u8(b, (unsigned)(strlen(s) >> 8));
	add(b, s, strlen(s));
}

static void uwsgi_pair(struct bytes *b, const char *name, const char *value)
{
	text_le(b, name);
	text_le(b, value);
}

static void scgi_pair(struct bytes *b, const char *name, const char *value)
{
	add(b, name, strlen(name) + 1);
	add(b, value, strlen(value) + 1);
}

static struct bytes *asked_block(bool scgi, const char *body)
{
	struct bytes *b = calloc(1, sizeof *b), *v = calloc(1, sizeof *v);
	char text[24];

	snprintf(text, sizeof text, "%zu", strlen(body));
	variables(v, scgi ? scgi_pair : uwsgi_pair, body[0] != '\0' ? "POST" : "GET", text);
	if (scgi) {
		snprintf(text, sizeof text, "%zu:", v->n);
		add(b, text, strlen(text));
	} else {
		add_u8(b, 0);
		add_u8(b, (unsigned)v->n & 255);
		add_u8(b, (unsigned)(v->n >> 8));
		add_u8(b, 0);
	}
	add(b, v->at, v->n);
	add(b, ",", scgi);
	add(b, body, strlen(body));
	free(v);
	return b;
}

static struct wire *block_wire(bool scgi, size_t cut, const char *body, const char *said_text, enum ending how)
{
	struct wire *w = wire_of(scgi ? &scgi_protocol : &uwsgi_protocol, cut);

	send_freed(w, CLIENT, asked_block(scgi, body));
	wire_send(w, SERVER, span_text(said_text));
	wire_end(w, SERVER, how);
	wire_end(w, CLIENT, END_FIN);
	return w;
}

TEST(uwsgi_and_scgi_end_with_the_connection)
{
	static const struct { const char *said; enum ending how; enum outcome outcome; uint16_t status; } rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nok", END_FIN, OUTCOME_COMPLETE, 200 },
		{ "Status: 503 Busy\r\n\r\nno", END_FIN, OUTCOME_COMPLETE, 503 },
		{ "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nok", END_FIN, OUTCOME_COMPLETE, 200 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok", END_FIN, OUTCOME_PARTIAL_BODY, 200 },
		{ "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nok", END_RST, OUTCOME_PARTIAL_BODY, 200 },
		{ "HTTP/1.1 200 OK\r\nContent-Type: te", END_FIN, OUTCOME_PARTIAL_HEADERS, 200 },
		{ "", END_FIN, OUTCOME_NO_RESPONSE, 0 },
		{ "", END_RST, OUTCOME_NO_RESPONSE, 0 },
	};

	for (unsigned scgi = 0; scgi < 2; scgi++) {
		for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
			for (size_t cut = 0; cut < 3; cut++) {
				struct wire *w = block_wire(scgi != 0, cut, i % 2 == 0 ? "hello" : "", rows[i].said, rows[i].how);
				struct exchange *x = wire_told(w, 0);
				bool ok = CHECK_INT(x->f.outcome, rows[i].outcome) & CHECK_INT(x->f.status, rows[i].status) &
				          CHECK_SPAN(wire_text(w, 0, x->f.target), "/cart?a=1") & CHECK(x->f.request.complete) &
				          CHECK_INT(x->f.request.body_bytes, i % 2 == 0 ? 5 : 0) & CHECK_INT(w->c.opened, 1);

				if (!ok)
					printf("# %s, row %zu, cut %zu\n", scgi != 0 ? "scgi" : "uwsgi", i, cut);
				wire_free(w);
			}
		}
	}
}

TEST(blocks_that_are_none_are_given_up)
{
	static const char *const scgi[] = { ":x", "x:", "12345678:", "0:,x", "9999999:CONTENT_LENGTH" };

	for (size_t i = 0; i < sizeof scgi / sizeof scgi[0]; i++) {
		struct wire *w = wire_of(&scgi_protocol, 0);

		wire_send(w, CLIENT, span_text(scgi[i]));
		wire_end(w, SERVER, END_FIN);
		CHECK_INT(w->c.opened, 0);
		wire_free(w);
	}
}

/* ---- AJP ------------------------------------------------------------------------------------ */

static void packet(struct bytes *b, bool server, const struct bytes *content)
{
	add_u8(b, server ? 'A' : 0x12);
	add_u8(b, server ? 'B' : 0x34);
	add_u8(b, (unsigned)(content->n >> 8));
	add_u8(b, (unsigned)content->n & 255);
	add(b, content->at, content->n);
}

static void ajp_text(struct bytes *b, const char *s)
{
	add_u8(b, (unsigned)(strlen(s) >> 8));
	add_u8(b, (unsigned)strlen(s) & 255);
	add(b, s, strlen(s) + 1);
}

static struct bytes *asked_ajp(const char *body)
{
	struct bytes *b = calloc(1, sizeof *b), *v = calloc(1, sizeof *v);
	char length[24];

	add(v, body[0] != '\0' ? "\2\4" : "\2\2", 2);  /* forward request, POST or GET */
	ajp_text(v, "HTTP/1.1");
	ajp_text(v, "/cart");
	ajp_text(v, "192.0.2.9");
	add(v, "\xff\xff", 2);
	ajp_text(v, "shop.example");
	add(v, "\0\x50\0\0\3", 5);                    /* port 80, no TLS, three fields */
	add(v, "\xa0\x0b", 2);
	ajp_text(v, "shop.example");
	ajp_text(v, "x-request-id");
	ajp_text(v, "77");
	add(v, "\xa0\x08", 2);
	snprintf(length, sizeof length, "%zu", strlen(body));
	ajp_text(v, length);
	add(v, "\x0b\1\0\5", 4);                       /* a key's size, then the query */
	ajp_text(v, "a=1");
	add_u8(v, 0xff);
	packet(b, false, v);
	if (body[0] != '\0') {
		v->n = 0;
		add_u8(v, 0);
		add_u8(v, (unsigned)strlen(body));
		add(v, body, strlen(body));
		packet(b, false, v);
	}
	free(v);
	return b;
}

static struct bytes *answer_ajp(unsigned status, size_t body, bool whole)
{
	struct bytes *b = calloc(1, sizeof *b), *v = calloc(1, sizeof *v);

	add_u8(v, 4);
	add_u8(v, status >> 8);
	add_u8(v, status & 255);
	ajp_text(v, "OK");
	add(v, "\0\1\xa0\1", 4);
	ajp_text(v, "text/plain");
	packet(b, true, v);
	for (size_t n = body; n != 0; n -= n < 8000 ? n : 8000) {
		size_t piece = n < 8000 ? n : 8000;

		v->n = 0;
		add_u8(v, 3);
		add_u8(v, (unsigned)(piece >> 8));
		add_u8(v, (unsigned)piece & 255);
		for (size_t i = 0; i < piece; i++)
			add_u8(v, 'y');
		add_u8(v, 0);
		packet(b, true, v);
	}
	v->n = 0;
	add(v, "\5\1", 2);
	if (whole)
		packet(b, true, v);
	free(v);
	return b;
}

TEST(ajp_keeps_its_connection_and_says_where_answers_end)
{
	for (size_t cut = 0; cut < 3; cut++) {
		struct wire *w = wire_of(&ajp_protocol, cut);

		for (unsigned i = 0; i < 3; i++) {
			send_freed(w, CLIENT, asked_ajp(i == 1 ? "hello" : ""));
			send_freed(w, SERVER, answer_ajp(i == 2 ? 503 : 200, 20000, true));
			CHECK_INT(wire_told(w, i)->f.status, i == 2 ? 503 : 200);
			CHECK_INT(wire_told(w, i)->f.outcome, OUTCOME_COMPLETE);
			CHECK_INT(wire_told(w, i)->f.response.violations, 0);
			CHECK_INT(wire_told(w, i)->f.response.body_bytes, 20000);
			CHECK_INT(wire_told(w, i)->f.request.body_bytes, i == 1 ? 5 : 0);
			CHECK_SPAN(wire_text(w, i, wire_told(w, i)->f.target), "/cart?a=1");
			CHECK_INT(wire_told(w, i)->f.n_ids, 1);
		}
		CHECK_INT(w->c.opened, 3);
		send_freed(w, CLIENT, asked_ajp(""));
		send_freed(w, SERVER, answer_ajp(200, 9000, false));
		wire_end(w, SERVER, END_FIN);
		wire_end(w, CLIENT, END_FIN);
		CHECK_INT(wire_told(w, 3)->f.outcome, OUTCOME_PARTIAL_BODY);
		wire_free(w);

		w = wire_of(&ajp_protocol, cut);
		send_freed(w, CLIENT, asked_ajp(""));
		wire_end(w, SERVER, END_RST);
		CHECK_INT(wire_told(w, 0)->f.outcome, OUTCOME_NO_RESPONSE);
		wire_free(w);
	}
}

/* Every allocation fails once: nothing is lost, and nothing leaks. */
TEST(without_memory_the_request_is_not_told)
{
	for (size_t fail = 1; fail < 12; fail++) {
		struct wire *w = wire_of(&fastcgi_protocol, 0);

		w->c.fail_at = fail;
		send_freed(w, CLIENT, asked("GET", ""));
		send_freed(w, SERVER, answer("Content-type: text/html\r\n\r\n", 100, true));
		wire_end(w, SERVER, END_FIN);
		wire_end(w, CLIENT, END_FIN);
		wire_free(w);
	}
}

TEST_MAIN()
