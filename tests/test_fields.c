/* test_fields.c - field names, identifiers, hashes, targets */
#include "check.h"
#include "http1_stub.h"

#include "../capture/hash.h"
#include "../decode/fields.h"

static struct exchange *new_exchange(struct wire *w)
{
	return exchange_open(&w->c, 0, (struct mark){ 1, 1 });
}

static void request(struct exchange *x, const char *name, const char *value)
{
	fields_request(x, span_text(name), span_text(value));
}

static void response(struct exchange *x, const char *name, const char *value)
{
	fields_response(x, span_text(name), span_text(value));
}

TEST(numbers_are_digits_up_to_2_to_the_63)
{
	static const struct { const char *text; bool ok; uint64_t n; } rows[] = {
		{ "0", true, 0 },       { "007", true, 7 },     { "9223372036854775807", true, INT64_MAX },
		{ "9223372036854775808", false, 0 },            { "18446744073709551617", false, 0 },
		{ "", false, 0 },       { "-1", false, 0 },     { "+1", false, 0 },     { "1 ", false, 0 },
		{ "0x1", false, 0 },    { "1,2", false, 0 },    { "99999999999999999999999", false, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t n = 0;

		CHECK_INT(fields_number(span_text(rows[i].text), &n), rows[i].ok);
		if (rows[i].ok)
			CHECK_INT((int64_t)n, (int64_t)rows[i].n);
	}
}

TEST(tokens)
{
	CHECK(is_token(span_text("!#$%&'*+-.^_`|~09azAZ")));
	for (unsigned c = 0; c < 256; c++) {
		uint8_t byte = (uint8_t)c;
		bool want = c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", (int)c) == NULL;

		CHECK_INT(is_token(span_of(&byte, 1)), want);
	}
	CHECK(!is_token(span_none()));
	CHECK_INT(token_run(span_text("X-Name: a")), 6);
}

TEST(lists_pass_over_empty_entries)
{
	struct span list = span_text(", a,b ,,\tc d ,"), item = span_none();

	CHECK(fields_next(&list, &item));
	CHECK_SPAN(item, "a");
	CHECK(fields_next(&list, &item));
	CHECK_SPAN(item, "b");
	CHECK(fields_next(&list, &item));
	CHECK_SPAN(item, "c d");
	CHECK(!fields_next(&list, &item));
}

TEST(methods)
{
	CHECK_INT(method_of(span_text("GET")), METHOD_GET);
	CHECK_INT(method_of(span_text("PATCH")), METHOD_PATCH);
	CHECK_INT(method_of(span_text("get")), METHOD_OTHER);
	CHECK_INT(method_of(span_text("GETS")), METHOD_OTHER);
	CHECK_INT(method_of(span_none()), METHOD_OTHER);
}

TEST(one_trace_has_one_name_in_all_notations)
{
	static const char *const rows[][2] = {
		{ "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
		{ "X-B3-TraceId", "0AF7651916CD43DD8448EB211C80319C" },
		{ "b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1" },
		{ "uber-trace-id", "af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1" },
		{ "X-Cloud-Trace-Context", "0af7651916cd43dd8448eb211c80319c/123;o=1" },
	};
	struct wire *w = wire_new(false);
	struct exchange *first = new_exchange(w);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct exchange *x = i == 0 ? first : new_exchange(w);

		request(x, rows[i][0], rows[i][1]);
		CHECK_INT(x->f.n_ids, 1);
		CHECK_INT(x->f.ids[0].kind, first->f.ids[0].kind);
		CHECK_INT((int64_t)x->f.ids[0].value, (int64_t)first->f.ids[0].value);
	}
	wire_free(w);
}

TEST(identifiers_of_their_own_kind)
{
	static const char *const names[] = { "X-Request-ID", "Request-Id", "X-Correlation-ID", "X-Unique-ID", "CF-RAY", "x-datadog-trace-id" };
	struct wire *w = wire_new(false);
	uint8_t kinds[6];

	for (size_t i = 0; i < 6; i++) {
		struct exchange *x = new_exchange(w);

		request(x, names[i], "abc-1");
		CHECK_INT(x->f.n_ids, 1);
		kinds[i] = x->f.ids[0].kind;
		for (size_t k = 0; k < i; k++)
			CHECK(kinds[k] != kinds[i]);
	}
	wire_free(w);
}

TEST(amazon_root_and_self)
{
	struct wire *w = wire_new(false);
	struct exchange *x = new_exchange(w);

	request(x, "X-Amzn-Trace-Id", "Self=1-67891234-12456789abcdef012345678; Root=1-67891233-abcdef012345678912345678;CalledFrom=app");
	CHECK_INT(x->f.n_ids, 2);
	CHECK(x->f.ids[0].kind != x->f.ids[1].kind);
	CHECK_INT((int64_t)x->f.ids[1].value, (int64_t)fingerprint(span_text("1-67891233-abcdef012345678912345678")));
	wire_free(w);
}

TEST(identifiers_are_bounded_and_told_once)
{
	struct wire *w = wire_new(false);
	struct exchange *x = new_exchange(w);

	request(x, "x-request-id", "1");
	response(x, "X-Request-Id", "1");
	CHECK_INT(x->f.n_ids, 1);
	for (int i = 2; i < 10; i++) {
		char text[16];

		snprintf(text, sizeof text, "%d", i);
		request(x, "x-request-id", text);
	}
	request(x, "traceparent", "");
	request(x, "traceparent", "-");
	request(x, "b3", "0");
	CHECK_INT(x->f.n_ids, 4);
	wire_free(w);
}

TEST(passed_fields_in_any_order)
{
	struct wire *w = wire_new(false);
	struct exchange *a = new_exchange(w), *b = new_exchange(w), *c = new_exchange(w), *d = new_exchange(w);

	request(a, "Accept", "x");
	request(a, "Cookie", "y");
	request(b, "cookie", "y");
	request(b, "accept", "x");
	request(b, "X-Forwarded-For", "1.2.3.4");
	request(c, "Accept", "y");
	request(c, "Cookie", "x");
	CHECK_INT((int64_t)a->f.pass_hash, (int64_t)b->f.pass_hash);
	CHECK(a->f.pass_hash != c->f.pass_hash);
	CHECK_INT((int64_t)d->f.pass_hash, 0);
	wire_free(w);
}

TEST(signs_of_gateways)
{
	struct wire *w = wire_new(false);
	struct exchange *x = new_exchange(w);

	request(x, "X-Forwarded-For", "10.0.0.1, 10.0.0.2,10.0.0.3");
	request(x, "Via", "1.1 a");
	request(x, "via", "1.1 b, 2 c");
	request(x, "X-Forwarded-Proto", "https");
	request(x, "X-Real-IP", "10.0.0.1");
	request(x, "X-Varnish", "3");
	request(x, "Forwarded", "for=a");
	request(x, "CDN-Loop", "cloudflare");
	CHECK_INT(x->f.xff_count, 3);
	CHECK_INT(x->f.via_count, 3);
	CHECK_INT(x->f.request.signs, SIGN_XFF | SIGN_VIA | SIGN_X_FORWARDED_OTHER | SIGN_X_REAL_IP | SIGN_X_VARNISH | SIGN_FORWARDED | SIGN_CDN_LOOP);
	response(x, "Via", "1.1 varnish");
	CHECK_INT(x->f.response.signs, SIGN_VIA);
	CHECK_INT(x->f.via_count, 3);
	wire_free(w);
}

TEST(connection_expect_upgrade_and_grpc)
{
	struct wire *w = wire_new(false);
	struct exchange *x = new_exchange(w);

	request(x, "Connection", "Upgrade, Close");
	request(x, "Upgrade", "websocket");
	request(x, "Expect", "100-Continue");
	request(x, "Content-Type", "application/grpc+proto");
	CHECK_INT(x->f.request.signs, SIGN_CONNECTION_CLOSE | SIGN_UPGRADE | SIGN_EXPECT_100 | SIGN_GRPC);
	CHECK_SPAN(exchange_span(x, x->f.upgrade), "websocket");
	CHECK_INT(x->f.grpc, 1);
	response(x, "Connection", "keep-alive");
	response(x, "Keep-Alive", "timeout=65, max=100");
	response(x, "grpc-status", "14");
	CHECK_INT(x->f.response.signs, SIGN_KEEP_ALIVE);
	response(x, "Keep-Alive", "timeout=65");
	CHECK_INT(x->f.response.signs, SIGN_KEEP_ALIVE | SIGN_TIMEOUT_SAID | SIGN_TIMEOUT_LAST);
	CHECK_INT(w->c.note.keep_alive_s, 65);
	CHECK_INT(x->f.grpc_status, 14);
	response(x, "Keep-Alive", "timeout=99999999999");
	response(x, "grpc-status", "99999");
	CHECK_INT(w->c.note.keep_alive_s, 65);
	CHECK_INT(x->f.grpc_status, 14);
	wire_free(w);
}

TEST(server_is_kept_where_somebody_will_read_it)
{
	struct wire *w = wire_new(false);
	struct exchange *x = new_exchange(w);

	x->f.status = 200;
	response(x, "Server", "nginx");
	CHECK_INT(x->f.server.len, 0);
	x->f.status = 502;
	response(x, "sErVeR", "nginx");
	CHECK_SPAN(exchange_span(x, x->f.server), "nginx");
	wire_free(w);
}

static struct exchange *target(struct wire *w, const char *text)
{
	struct exchange *x = new_exchange(w);

	fields_target(x, span_text(text));
	return x;
}

static int64_t hash(const char *text)
{
	return (int64_t)fingerprint(span_text(text));
}

TEST(targets_and_their_hashes)
{
	static const struct { const char *target, *whole, *path, *tail; } rows[] = {
		{ "/api/v1/orders/7?x=1", "/api/v1/orders/7?x=1", "/api/v1/orders/7", "/orders/7?x=1" },
		{ "/", "/", "/", "/" },
		{ "/a/b", "/a/b", "/a/b", "/a/b" },
		{ "/p/a/b/", "/p/a/b/", "/p/a/b/", "/b/" },
		{ "/?q=/x/y/z", "/?q=/x/y/z", "/", "/?q=/x/y/z" },
		{ "http://Shop.example:80/p/a/b?c", "/p/a/b?c", "/p/a/b", "/a/b?c" },
		{ "http://shop.example", "/", "/", "/" },
		{ "http://shop.example?a", "?a", "", "?a" },
		{ "*", "*", "*", "*" },
	};
	struct wire *w = wire_new(false);

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct exchange *x = target(w, rows[i].target);

		CHECK_SPAN(exchange_span(x, x->f.target), rows[i].target);
		CHECK_INT((int64_t)x->f.target_hash, hash(rows[i].whole));
		CHECK_INT((int64_t)x->f.path_hash, hash(rows[i].path));
		CHECK_INT((int64_t)x->f.tail_hash, hash(rows[i].tail));
	}
	wire_free(w);
}

TEST(the_authority_of_an_absolute_target)
{
	struct wire *w = wire_new(false);
	struct exchange *x = target(w, "http://Shop.Example:8080/x");

	CHECK_SPAN(exchange_span(x, x->f.authority), "Shop.Example:8080");
	CHECK_INT((int64_t)x->f.authority_hash, hash("shop.example:8080"));
	x = target(w, "/x?u=http://other/");
	CHECK_INT(x->f.authority.len, 0);
	wire_free(w);
}

TEST_MAIN()
