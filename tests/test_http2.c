/* test_http2.c - frames of both sides into exchanges. Run whole, and cut into packets of 1, 3 and 7 bytes. */
#include "check.h"
#include "http2_stub.h"

#include "../capture/limits.h"

#define OK_HEAD ":status: 200\ncontent-type: text/plain\n"

static const size_t cuts[] = { 0, 1, 3, 7, 100 };

/* The story is told once for each way to cut it into packets. */
#define EACH_CUT(name)                                                              \
	static void story_##name(struct h2_wire *w);                                \
	TEST(name)                                                                  \
	{                                                                           \
		for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {         \
			struct h2_wire *w = h2_new(false);                          \
			w->cut = cuts[i];                                           \
			story_##name(w);                                            \
			h2_free(w);                                                 \
		}                                                                   \
	}                                                                           \
	static void story_##name(struct h2_wire *w)

EACH_CUT(a_request_and_its_response_are_an_exchange)
{
	struct exchange *x;

	h2_open(w);
	h2_get(w, 1, "/a?b=1");
	h2_headers(w, SERVER, 0, 1, OK_HEAD "content-length: 5\n");
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_text("hello"));
	x = h2_told(w, 0);
	CHECK_INT(w->c.n_told, 1);
	CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(x->f.stream, 1);
	CHECK_INT(x->f.method, METHOD_GET);
	CHECK_INT(x->f.status, 200);
	CHECK_SPAN(h2_text(x, x->f.target), "/a?b=1");
	CHECK_SPAN(h2_text(x, x->f.authority), "shop.example");
	CHECK_INT(x->f.request.version, VERSION_2);
	CHECK_INT(x->f.response.version, VERSION_2);
	CHECK_INT(x->f.response.body_bytes, 5);
	CHECK_INT(x->f.response.declared, 5);
	CHECK(x->f.request.complete && x->f.response.complete && x->request_sent);
	CHECK_INT(x->f.request.violations | x->f.response.violations, 0);
	CHECK_INT(x->f.request.fields, 6);
	CHECK_INT(x->f.n_ids, 1);
	CHECK(x->f.request.first.packet <= x->f.request.head_end.packet && x->f.request.first.packet != 0);
	CHECK_SPAN(h2_text(x, x->f.request_head), ":method: GET\n:scheme: http\n:authority: shop.example\n:path: /a?b=1\n"
	                                          "user-agent: test\nx-request-id: id-1\n");
	CHECK_INT(x->f.response_head.len, 0);
	CHECK(w->c.note.speaks[CLIENT] == SPEAKS_HTTP2 && w->c.note.speaks[SERVER] == SPEAKS_HTTP2);
}

EACH_CUT(streams_may_be_interleaved)
{
	h2_open(w);
	h2_get(w, 1, "/1");
	h2_get(w, 3, "/3");
	h2_get(w, 5, "/5");
	h2_headers(w, SERVER, 0, 5, OK_HEAD);
	h2_headers(w, SERVER, 0, 1, OK_HEAD);
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_text("one"));
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 5, span_text("five!"));
	h2_headers(w, SERVER, FLAG_END_STREAM, 3, ":status: 404\n");
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_text("more"));
	h2_flush(w);
	CHECK_INT(w->c.n_told, 3);
	CHECK_INT(h2_told(w, 0)->f.stream, 5);
	CHECK_INT(h2_told(w, 1)->f.stream, 3);
	CHECK_INT(h2_told(w, 2)->f.stream, 1);
	CHECK_INT(h2_stream(w, 1)->f.response.body_bytes, 7);
	CHECK_INT(h2_stream(w, 5)->f.response.body_bytes, 5);
	CHECK_INT(h2_stream(w, 3)->f.status, 404);
	CHECK_SPAN(h2_text(h2_stream(w, 3), h2_stream(w, 3)->f.response_head), ":status: 404\n");
	CHECK_INT(h2_stream(w, 5)->h2.open_streams, 3);
}

TEST(data_of_a_healthy_stream_is_skipped)
{
	static uint8_t body[16384];
	struct h2_wire *w = h2_new(false);
	uint64_t before;

	h2_open(w);
	h2_get(w, 1, "/");
	h2_headers(w, SERVER, 0, 1, OK_HEAD);
	h2_flush(w);
	before = w->given[SERVER];
	w->cut = 1000;
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_of(body, sizeof body));
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_of(body, sizeof body));
	h2_flush(w);
	CHECK(w->given[SERVER] - before < 3000);
	CHECK_INT(h2_told(w, 0)->f.response.body_bytes, 32768);
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(h2_told(w, 0)->f.response.last.packet, w->packet);
	h2_free(w);
}

TEST(a_hole_in_data_costs_nothing_but_is_told)
{
	static uint8_t body[8000];
	struct h2_wire *w = h2_new(false);
	struct exchange *x;

	h2_open(w);
	h2_get(w, 1, "/");
	h2_headers(w, SERVER, 0, 1, OK_HEAD);
	h2_bytes(w, SERVER, span_of("\0\x1f\x40\0\1\0\0\0\1", 9));
	h2_flush(w);
	h2_gap(w, SERVER, 3000);
	h2_bytes(w, SERVER, span_of(body, 5000));
	h2_flush(w);
	x = h2_told(w, 0);
	CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(x->f.response.body_bytes, 8000);
	CHECK_INT(x->f.response.missing, 3000);
	h2_free(w);
}

EACH_CUT(a_request_body_and_trailers)
{
	struct exchange *x;

	h2_open(w);
	h2_headers(w, CLIENT, 0, 1, ":method: POST\n:scheme: http\n:path: /pkg.Shop/Get\n:authority: a\ncontent-type: application/grpc\nte: trailers\n");
	h2_frame(w, CLIENT, FRAME_DATA, FLAG_PADDED, 1, span_of("\3abcde\0\0\0", 9));
	h2_flush(w);
	CHECK(!h2_told(w, 0)->request_sent);
	h2_frame(w, CLIENT, FRAME_DATA, FLAG_END_STREAM, 1, span_none());
	h2_headers(w, SERVER, 0, 1, ":status: 200\ncontent-type: application/grpc\n");
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_of("\0\0\0\0\1x", 6));
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, "grpc-status: 14\ngrpc-message: no\n");
	x = h2_told(w, 0);
	CHECK_INT(w->c.n_told, 1);
	CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(x->f.request.body_bytes, 5);
	CHECK_INT(x->f.method, METHOD_POST);
	CHECK_INT(x->f.grpc, 1);
	CHECK_INT(x->f.grpc_status, 14);
	CHECK(x->h2.trailers);
	CHECK_INT(x->f.request.violations | x->f.response.violations, 0);
}

EACH_CUT(a_grpc_response_without_trailers_is_told)
{
	h2_open(w);
	h2_headers(w, CLIENT, FLAG_END_STREAM, 1, ":method: POST\n:scheme: http\n:path: /p\n:authority: a\ncontent-type: application/grpc\n");
	h2_headers(w, SERVER, 0, 1, ":status: 200\ncontent-type: application/grpc\n");
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_of("\0\0\0\0\1x", 6));
	CHECK_INT(h2_told(w, 0)->f.grpc_status, -1);
	CHECK(!h2_told(w, 0)->h2.trailers);
	h2_headers(w, CLIENT, FLAG_END_STREAM, 3, ":method: POST\n:scheme: http\n:path: /p\n:authority: a\ncontent-type: application/grpc\n");
	h2_headers(w, SERVER, FLAG_END_STREAM, 3, ":status: 200\ncontent-type: application/grpc\ngrpc-status: 5\n");
	CHECK_INT(h2_told(w, 1)->f.grpc_status, 5);
	CHECK(h2_told(w, 1)->h2.trailers);
}

EACH_CUT(interim_responses_come_first)
{
	h2_open(w);
	h2_get(w, 1, "/");
	h2_headers(w, SERVER, 0, 1, ":status: 103\nlink: </a>\n");
	h2_flush(w);
	CHECK_INT(h2_told(w, 0)->f.response.first.packet, 0);
	h2_headers(w, SERVER, 0, 1, ":status: 100\n");
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, ":status: 204\n");
	CHECK_INT(h2_told(w, 0)->f.n_interim, 2);
	CHECK_INT(h2_told(w, 0)->f.interim[0], 103);
	CHECK_INT(h2_told(w, 0)->f.interim[1], 100);
	CHECK_INT(h2_told(w, 0)->f.status, 204);
	CHECK_INT(h2_told(w, 0)->f.response.fields, 1);
}

EACH_CUT(an_error_is_kept_with_head_and_body)
{
	struct exchange *x;

	h2_open(w);
	h2_get(w, 1, "/");
	h2_headers(w, SERVER, 0, 1, ":status: 502\nserver: nginx\ncontent-length: 12\n");
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_text("Bad "));
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_text("Gateway\n"));
	x = h2_told(w, 0);
	CHECK_SPAN(h2_text(x, x->f.body), "Bad Gateway\n");
	CHECK_SPAN(h2_text(x, x->f.server), "nginx");
	CHECK_SPAN(h2_text(x, x->f.response_head), ":status: 502\nserver: nginx\ncontent-length: 12\n");
	CHECK(x->f.response.body_hash != 0);
}

EACH_CUT(a_reset_ends_its_stream_alone)
{
	struct exchange *x;

	h2_open(w);
	h2_get(w, 1, "/1");
	h2_get(w, 3, "/3");
	h2_u32(w, SERVER, FRAME_RST_STREAM, 1, 7);
	x = h2_told(w, 0);
	CHECK_INT(w->c.n_told, 1);
	CHECK_INT(x->f.outcome, OUTCOME_RESET);
	CHECK_INT(x->h2.rst_code[SERVER], 7);
	CHECK(x->h2.rst_stream[SERVER].packet != 0 && x->h2.rst_stream[CLIENT].packet == 0);
	/* What crossed the reset is no error. */
	h2_u32(w, CLIENT, FRAME_WINDOW_UPDATE, 1, 100);
	h2_headers(w, SERVER, FLAG_END_STREAM, 3, ":status: 200\n");
	CHECK_INT(h2_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(h2_told(w, 1)->f.request.violations | h2_told(w, 1)->f.response.violations, 0);
}

EACH_CUT(a_response_that_is_whole_stays_so_when_reset)
{
	struct exchange *x;

	h2_open(w);
	h2_headers(w, CLIENT, 0, 1, ":method: POST\n:scheme: http\n:path: /p\n:authority: a\n");
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, ":status: 413\n");
	h2_u32(w, SERVER, FRAME_RST_STREAM, 1, 0);
	x = h2_told(w, 0);
	CHECK_INT(w->c.n_told, 1);
	CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
	CHECK(x->f.response.early && !x->f.request.complete);
	CHECK(x->h2.rst_stream[SERVER].packet != 0);
}

EACH_CUT(goaway_leaves_streams_above_its_last_unanswered)
{
	h2_open(w);
	h2_get(w, 1, "/1");
	h2_get(w, 3, "/3");
	h2_get(w, 5, "/5");
	h2_goaway(w, SERVER, INT32_MAX, 0, "");
	h2_goaway(w, SERVER, 1, 11, "too_many_pings");
	h2_flush(w);
	CHECK_INT(w->c.n_told, 2);
	CHECK_INT(h2_told(w, 0)->f.stream, 3);
	CHECK_INT(h2_told(w, 1)->f.outcome, OUTCOME_NO_RESPONSE);
	CHECK_INT(h2_told(w, 1)->h2.goaway_last[SERVER], 1);
	CHECK_INT(h2_told(w, 1)->h2.goaway_code[SERVER], 11);
	CHECK(h2_told(w, 1)->h2.goaway_graceful[SERVER].packet != 0);
	CHECK_SPAN(span_of(h2_told(w, 1)->h2.goaway_debug[SERVER].bytes, h2_told(w, 1)->h2.goaway_debug[SERVER].len), "too_many_pings");
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, ":status: 200\n");
	CHECK_INT(h2_told(w, 2)->f.outcome, OUTCOME_COMPLETE);
	CHECK(w->c.said_close);
}

EACH_CUT(the_end_of_the_connection_ends_its_streams)
{
	h2_open(w);
	h2_get(w, 1, "/1");
	h2_get(w, 3, "/3");
	h2_get(w, 5, "/5");
	h2_headers(w, SERVER, 0, 3, OK_HEAD);
	h2_frame(w, SERVER, FRAME_DATA, 0, 3, span_text("half"));
	h2_bytes(w, SERVER, span_of("\0\0\x20\1\4\0\0\0\5\x88", 10));
	h2_end(w, SERVER, END_FIN);
	CHECK_INT(w->c.n_told, 3);
	CHECK_INT(h2_stream(w, 1)->f.outcome, OUTCOME_NO_RESPONSE);
	CHECK_INT(h2_stream(w, 3)->f.outcome, OUTCOME_PARTIAL_BODY);
	CHECK_INT(h2_stream(w, 5)->f.outcome, OUTCOME_PARTIAL_HEADERS);
}

EACH_CUT(a_capture_that_ends_leaves_streams_in_progress)
{
	h2_open(w);
	h2_get(w, 1, "/1");
	h2_end(w, CLIENT, END_CAPTURE);
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_IN_PROGRESS);
}

EACH_CUT(the_server_may_answer_after_the_client_is_done)
{
	h2_open(w);
	h2_get(w, 1, "/1");
	h2_end(w, CLIENT, END_FIN);
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, ":status: 200\n");
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
}

EACH_CUT(a_promise_is_an_exchange_of_its_own)
{
	uint8_t block[256] = { 0, 0, 0, 2 };
	size_t n;

	h2_open(w);
	h2_get(w, 1, "/");
	n = 4 + h2_block(w, SERVER, ":method: GET\n:scheme: http\n:authority: shop.example\n:path: /style.css\n", block + 4, sizeof block - 4);
	h2_frame(w, SERVER, FRAME_PUSH_PROMISE, FLAG_END_HEADERS, 1, span_of(block, n));
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, ":status: 200\n");
	h2_headers(w, SERVER, 0, 2, ":status: 200\n");
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 2, span_text("p{}"));
	CHECK_INT(h2_told(w, 1)->f.stream, 2);
	CHECK(h2_told(w, 1)->f.pushed && !h2_told(w, 0)->f.pushed);
	CHECK_INT(h2_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK_SPAN(h2_text(h2_told(w, 1), h2_told(w, 1)->f.target), "/style.css");
}

EACH_CUT(connect_becomes_a_tunnel)
{
	h2_open(w);
	h2_headers(w, CLIENT, 0, 1, ":method: CONNECT\n:authority: db:5432\n");
	h2_flush(w);
	CHECK(h2_told(w, 0)->request_sent);
	h2_headers(w, SERVER, 0, 1, ":status: 200\n");
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_TUNNEL);
	CHECK_INT(h2_told(w, 0)->f.request.violations, 0);
	h2_headers(w, CLIENT, 0, 3, ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:path: /ws\n:authority: a\n");
	h2_headers(w, SERVER, 0, 3, ":status: 200\n");
	CHECK_INT(h2_told(w, 1)->f.outcome, OUTCOME_UPGRADED);
	CHECK_SPAN(h2_text(h2_told(w, 1), h2_told(w, 1)->f.upgrade), "websocket");
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_text("tunnelled"));
	h2_frame(w, CLIENT, FRAME_DATA, FLAG_END_STREAM, 3, span_text("tunnelled"));
	h2_get(w, 5, "/");
	h2_headers(w, SERVER, FLAG_END_STREAM, 5, ":status: 200\n");
	CHECK_INT(h2_told(w, 2)->f.response.violations | h2_told(w, 2)->f.request.violations, 0);
}

EACH_CUT(continuation_and_priority_and_padding)
{
	uint8_t block[300], padded[320] = { 4, 0x80, 0, 0, 0, 200 };
	size_t n;

	h2_open(w);
	n = h2_block(w, CLIENT, ":method: GET\n:scheme: http\n:authority: a\n:path: /long/path\ncookie: a=b\n", block, sizeof block);
	memcpy(padded + 6, block, 10);
	memset(padded + 16, 0, 4);
	h2_frame(w, CLIENT, FRAME_HEADERS, FLAG_END_STREAM | FLAG_PADDED | FLAG_PRIORITY, 1, span_of(padded, 20));
	h2_frame(w, CLIENT, FRAME_CONTINUATION, 0, 1, span_of(block + 10, 3));
	h2_frame(w, CLIENT, FRAME_CONTINUATION, 0, 1, span_none());
	h2_frame(w, CLIENT, FRAME_CONTINUATION, FLAG_END_HEADERS, 1, span_of(block + 13, n - 13));
	h2_frame(w, CLIENT, FRAME_PRIORITY, 0, 1, span_of("\0\0\0\0\1", 5));
	h2_frame(w, CLIENT, 0x10, 0, 0, span_text("unknown type"));
	h2_frame(w, CLIENT, FRAME_PING, 0, 0, span_text("pingpong"));
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, ":status: 200\n");
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_SPAN(h2_text(h2_told(w, 0), h2_told(w, 0)->f.target), "/long/path");
	CHECK_INT(h2_told(w, 0)->f.request.violations | h2_told(w, 0)->f.response.violations, 0);
}

/* http1.c has seen the request and the 101, and leaves the exchange open: it ends where HTTP/2 begins. */
TEST(the_response_to_an_h2c_upgrade_comes_on_stream_1)
{
	struct h2_wire *w = h2_new(false);
	struct exchange *x;

	http2_protocol.free(w->self);
	x = exchange_open(&w->c, 0, (struct mark){ 1, 1 });
	x->f.outcome = OUTCOME_UPGRADED;
	x->f.status = 101;
	x->f.method = METHOD_GET;
	x->f.request.complete = true;
	w->self = http2_protocol.begin(&w->c, false);
	h2_frame(w, SERVER, FRAME_SETTINGS, 0, 0, span_none());
	h2_bytes(w, CLIENT, span_of(http2_preface, PREFACE_LENGTH));
	h2_frame(w, CLIENT, FRAME_SETTINGS, 0, 0, span_none());
	h2_headers(w, SERVER, 0, 1, ":status: 503\n");
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_text("no"));
	h2_get(w, 3, "/3");
	h2_headers(w, SERVER, FLAG_END_STREAM, 3, ":status: 200\n");
	CHECK_INT(h2_told(w, 0)->f.status, 101);
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_UPGRADED);
	CHECK_INT(h2_told(w, 1)->f.status, 503);
	CHECK_INT(h2_told(w, 1)->f.method, METHOD_GET);
	CHECK_INT(h2_told(w, 1)->f.outcome, OUTCOME_COMPLETE);
	CHECK(h2_told(w, 1)->h2.h2c_upgrade);
	CHECK_INT(h2_told(w, 2)->f.response.violations, 0);
	CHECK_INT(h2_told(w, 2)->f.status, 200);
	h2_free(w);
}

EACH_CUT(a_peer_that_cannot_decode_proves_a_bad_block)
{
	h2_open(w);
	h2_get(w, 1, "/");
	h2_frame(w, SERVER, FRAME_HEADERS, FLAG_END_HEADERS, 1, span_text("\xbe"));
	h2_goaway(w, CLIENT, 0, 9, "");
	h2_end(w, CLIENT, END_FIN);
	h2_end(w, SERVER, END_FIN);
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_GARBLED);
	CHECK_INT(h2_told(w, 0)->h2.goaway_code[CLIENT], 9);
}

/* ---- windows ------------------------------------------------------------------------------- */

EACH_CUT(a_stream_without_window_is_stalled)
{
	struct exchange *x;
	static uint8_t body[100];

	h2_bytes(w, CLIENT, span_of(http2_preface, PREFACE_LENGTH));
	h2_setting(w, CLIENT, 4, 100);
	h2_frame(w, SERVER, FRAME_SETTINGS, 0, 0, span_none());
	h2_frame(w, SERVER, FRAME_SETTINGS, FLAG_ACK, 0, span_none());
	h2_get(w, 1, "/");
	h2_headers(w, SERVER, 0, 1, OK_HEAD);
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_of(body, 60));
	h2_u32(w, CLIENT, FRAME_WINDOW_UPDATE, 1, 20);
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_of(body, 60));
	h2_u32(w, CLIENT, FRAME_RST_STREAM, 1, 8);
	x = h2_told(w, 0);
	CHECK_INT(x->f.outcome, OUTCOME_RESET);
	CHECK(x->h2.stalled.packet != 0 && x->h2.stalled_stream && !x->h2.stalled_connection);
	CHECK_INT(x->h2.stalled_side, SERVER);
	CHECK_INT(x->f.response.violations, 0);
}

EACH_CUT(a_stream_with_window_is_not)
{
	static uint8_t body[100];

	h2_open(w);
	h2_get(w, 1, "/");
	h2_headers(w, SERVER, 0, 1, OK_HEAD);
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_of(body, 60));
	h2_u32(w, CLIENT, FRAME_RST_STREAM, 1, 8);
	CHECK_INT(h2_told(w, 0)->h2.stalled.packet, 0);
}

TEST(the_window_of_the_connection_stalls_each_stream)
{
	static uint8_t body[16383];
	struct h2_wire *w = h2_new(false);

	h2_open(w);
	h2_headers(w, CLIENT, 0, 1, ":method: POST\n:scheme: http\n:path: /p\n:authority: a\n");
	h2_headers(w, CLIENT, 0, 3, ":method: POST\n:scheme: http\n:path: /p\n:authority: a\n");
	for (unsigned i = 0; i < 4; i++)
		h2_frame(w, CLIENT, FRAME_DATA, 0, i < 2 ? 1 : 3, span_of(body, sizeof body));
	h2_frame(w, CLIENT, FRAME_DATA, 0, 3, span_of(body, 3));
	h2_end(w, SERVER, END_FIN);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(h2_told(w, i)->h2.stalled.packet != 0);
		CHECK_INT(h2_told(w, i)->h2.stalled_side, CLIENT);
		CHECK(h2_told(w, i)->h2.stalled_connection && !h2_told(w, i)->h2.stalled_stream);
	}
	h2_free(w);
}

EACH_CUT(more_data_than_the_window_is_a_violation_if_the_peer_says_so)
{
	static uint8_t body[200];

	h2_bytes(w, CLIENT, span_of(http2_preface, PREFACE_LENGTH));
	h2_setting(w, CLIENT, 4, 100);
	h2_frame(w, SERVER, FRAME_SETTINGS, 0, 0, span_none());
	h2_frame(w, SERVER, FRAME_SETTINGS, FLAG_ACK, 0, span_none());
	h2_get(w, 1, "/");
	h2_get(w, 3, "/");
	h2_headers(w, SERVER, 0, 1, OK_HEAD);
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_of(body, 200));
	h2_u32(w, CLIENT, FRAME_RST_STREAM, 1, 3);
	h2_headers(w, SERVER, 0, 3, OK_HEAD);
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 3, span_of(body, 200));
	CHECK(h2_told(w, 0)->f.response.violations == violation_bit(VIOLATION_H2_WINDOW));
	CHECK_INT(h2_told(w, 1)->f.response.violations, 0);
}

/* ---- what breaks the protocol -------------------------------------------------------------- */

/* One frame of the server in answer to a request, and the client's GOAWAY. */
static uint64_t violations_of(unsigned type, unsigned flags, uint32_t stream, struct span payload)
{
	struct h2_wire *w = h2_new(false);
	uint64_t v;

	h2_open(w);
	h2_get(w, 1, "/");
	h2_frame(w, SERVER, type, flags, stream, payload);
	h2_goaway(w, CLIENT, 0, 1, "");
	h2_end(w, CLIENT, END_FIN);
	h2_end(w, SERVER, END_FIN);
	v = h2_told(w, 0)->f.response.violations;
	if (v != 0)
		CHECK(h2_told(w, 0)->f.response.n_broken > 0 && h2_told(w, 0)->f.response.broken[0].at.packet != 0);
	h2_free(w);
	return v;
}

TEST(frames_that_break_the_protocol_are_named)
{
	CHECK(violations_of(FRAME_DATA, 0, 0, span_text("x")) == violation_bit(VIOLATION_H2_FRAME));
	CHECK(violations_of(FRAME_DATA, 0, 1, span_text("x")) == violation_bit(VIOLATION_H2_FRAME));        /* before HEADERS */
	CHECK(violations_of(FRAME_DATA, 0, 3, span_text("x")) == violation_bit(VIOLATION_H2_FRAME));        /* idle */
	CHECK(violations_of(FRAME_RST_STREAM, 0, 0, span_text("abcd")) == violation_bit(VIOLATION_H2_FRAME));
	CHECK(violations_of(FRAME_RST_STREAM, 0, 1, span_text("abc")) == violation_bit(VIOLATION_H2_FRAME_SIZE));
	CHECK(violations_of(FRAME_SETTINGS, 0, 0, span_text("abcde")) == violation_bit(VIOLATION_H2_FRAME_SIZE));
	CHECK(violations_of(FRAME_SETTINGS, FLAG_ACK, 0, span_text("abcdef")) == violation_bit(VIOLATION_H2_FRAME_SIZE));
	CHECK(violations_of(FRAME_SETTINGS, 0, 1, span_none()) == violation_bit(VIOLATION_H2_FRAME));
	CHECK(violations_of(FRAME_PING, 0, 0, span_text("x")) == violation_bit(VIOLATION_H2_FRAME_SIZE));
	CHECK(violations_of(FRAME_GOAWAY, 0, 0, span_text("x")) == violation_bit(VIOLATION_H2_FRAME_SIZE));
	CHECK(violations_of(FRAME_WINDOW_UPDATE, 0, 0, span_of("\0\0\0\0", 4)) == violation_bit(VIOLATION_H2_FRAME));
	CHECK(violations_of(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, span_text("\x88")) == violation_bit(VIOLATION_H2_FRAME));
	CHECK(violations_of(FRAME_HEADERS, FLAG_END_HEADERS | FLAG_PADDED, 1, span_of("\xff\x88", 2)) == violation_bit(VIOLATION_H2_FRAME));
	CHECK(violations_of(FRAME_HEADERS, FLAG_END_HEADERS | FLAG_PRIORITY, 1, span_of("\0\0", 2)) == violation_bit(VIOLATION_H2_FRAME_SIZE));
	CHECK(violations_of(FRAME_HEADERS, FLAG_END_HEADERS, 1, span_text("\x80")) == violation_bit(VIOLATION_H2_HPACK));
	CHECK(violations_of(FRAME_HEADERS, FLAG_END_HEADERS, 1, span_text("\xbe")) == violation_bit(VIOLATION_H2_HPACK));
	CHECK(violations_of(FRAME_HEADERS, FLAG_END_HEADERS, 3, span_text("\x88")) == violation_bit(VIOLATION_H2_FRAME));   /* idle */
	CHECK(violations_of(FRAME_PUSH_PROMISE, FLAG_END_HEADERS, 1, span_of("\0\0\0\3\x82", 5)) == violation_bit(VIOLATION_H2_FRAME));
	CHECK(violations_of(FRAME_HEADERS, FLAG_END_HEADERS, 1, span_text("\x88")) == 0);
	CHECK(violations_of(200, 0xff, 0x7fffffff, span_text("x")) == 0);
	CHECK(violations_of(FRAME_PRIORITY, 0, 5, span_text("abcde")) == 0);
}

TEST(a_frame_longer_than_allowed_is_named)
{
	static uint8_t long_one[16385];
	struct h2_wire *w = h2_new(false);

	CHECK(violations_of(FRAME_DATA, 0, 1, span_of(long_one, sizeof long_one)) ==
	      (violation_bit(VIOLATION_H2_FRAME_SIZE)));
	h2_bytes(w, CLIENT, span_of(http2_preface, PREFACE_LENGTH));
	h2_setting(w, CLIENT, 5, 20000);
	h2_frame(w, SERVER, FRAME_SETTINGS, 0, 0, span_none());
	h2_get(w, 1, "/");
	h2_headers(w, SERVER, 0, 1, OK_HEAD);
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_of(long_one, sizeof long_one));
	CHECK_INT(h2_told(w, 0)->f.response.violations, 0);
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	h2_free(w);
}

static uint64_t head_violations(const char *lines)
{
	struct h2_wire *w = h2_new(false);
	uint64_t v;

	h2_open(w);
	h2_get(w, 1, "/");
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, lines);
	v = h2_told(w, 0)->f.response.violations;
	h2_free(w);
	return v;
}

TEST(fields_that_http2_forbids_are_named)
{
	CHECK(head_violations(":status: 200\nserver: x\n") == 0);
	CHECK(head_violations("server: x\n") == violation_bit(VIOLATION_H2_PSEUDO));
	CHECK(head_violations(":status: 200\n:status: 200\n") == violation_bit(VIOLATION_H2_PSEUDO));
	CHECK(head_violations("server: x\n:status: 200\n") == violation_bit(VIOLATION_H2_PSEUDO));
	CHECK(head_violations(":status: 200\n:path: /\n") == violation_bit(VIOLATION_H2_PSEUDO));
	CHECK(head_violations(":status: 200\n:what: x\n") == violation_bit(VIOLATION_H2_PSEUDO));
	CHECK(head_violations(":status: abc\n") == violation_bit(VIOLATION_STATUS_CODE));
	CHECK(head_violations(":status: 200\nServer: x\n") == violation_bit(VIOLATION_H2_FIELD));
	CHECK(head_violations(":status: 200\nconnection: close\n") == violation_bit(VIOLATION_H2_FIELD));
	CHECK(head_violations(":status: 200\ntransfer-encoding: chunked\n") == violation_bit(VIOLATION_H2_FIELD));
	CHECK(head_violations(":status: 200\nx:  a\n") == violation_bit(VIOLATION_H2_FIELD));
	CHECK(head_violations(":status: 200\nx: a\rb\n") == violation_bit(VIOLATION_H2_FIELD));
	CHECK(head_violations(":status: 200\nx y: a\n") == violation_bit(VIOLATION_H2_FIELD));
	CHECK(head_violations(":status: 200\ncontent-length: 5\n") == violation_bit(VIOLATION_H2_LENGTH));
	CHECK(head_violations(":status: 200\ncontent-length: x\n") == violation_bit(VIOLATION_LENGTH_GARBAGE));
	CHECK(head_violations(":status: 304\ncontent-length: 5\n") == 0);
}

EACH_CUT(http1_in_answer_to_the_preface_is_garbage)
{
	h2_bytes(w, CLIENT, span_of(http2_preface, PREFACE_LENGTH));
	h2_frame(w, CLIENT, FRAME_SETTINGS, 0, 0, span_none());
	h2_get(w, 1, "/");
	h2_bytes(w, SERVER, span_text("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
	h2_end(w, SERVER, END_FIN);
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_GARBLED);
	CHECK(h2_told(w, 0)->f.response.violations == violation_bit(VIOLATION_H2_PREFACE));
	CHECK_INT(h2_told(w, 0)->h2.error_rule, VIOLATION_H2_PREFACE);
}

/* ---- captures that begin late, and holes --------------------------------------------------- */

/* Twelve exchanges, of which the first n are not captured: what is told of the others is right. */
static void begin_after(unsigned n, size_t cut)
{
	struct h2_wire *w = h2_new(n != 0);
	char path[32];

	w->cut = cut;
	if (n == 0)
		h2_open(w);
	for (unsigned i = 0; i < 12; i++) {
		snprintf(path, sizeof path, "/item/%u", i % 5);
		h2_get(w, 1 + 2 * i, path);
		if (i < n) {
			free(w->out);
			w->out = NULL;
			w->n_out = 0;
		}
		h2_headers(w, SERVER, 0, 1 + 2 * i, i % 3 != 0 ? ":status: 200\nserver: a\netag: \"x\"\n" : ":status: 418\nserver: b\n");
		h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1 + 2 * i, span_text("tea"));
		if (i < n) {
			free(w->out);
			w->out = NULL;
			w->n_out = 0;
		}
	}
	h2_flush(w);
	CHECK_INT(w->c.n_told, 12 - n);
	for (unsigned i = n; i < 12; i++) {
		struct exchange *x = h2_stream(w, 1 + 2 * i);
		struct span target = h2_text(x, x->f.target);

		snprintf(path, sizeof path, "/item/%u", i % 5);
		CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
		CHECK(target.len == 0 ? x->h2.fields_unknown : span_is(target, path));
		CHECK(x->f.status == (i % 3 != 0 ? 200 : 418) || (x->f.status == 0 && x->h2.fields_unknown));
		CHECK_INT(x->f.method, METHOD_GET);
		CHECK_INT(x->f.request.violations | x->f.response.violations, 0);
		if (i >= n + 5)
			CHECK(!x->h2.fields_unknown || n != 0);
	}
	h2_free(w);
}

TEST(a_capture_may_begin_after_any_exchange)
{
	for (unsigned n = 0; n < 12; n++)
		begin_after(n, 0);
}

TEST(a_late_start_without_open_is_resynchronised)
{
	struct h2_wire *w = h2_new(true);

	h2_bytes(w, CLIENT, span_text("the end of some frame"));
	h2_flush(w);
	h2_get(w, 7, "/now");
	h2_headers(w, SERVER, FLAG_END_STREAM, 7, ":status: 200\n");
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK(h2_told(w, 0)->h2.joined_late);
	CHECK_SPAN(h2_text(h2_told(w, 0), h2_told(w, 0)->f.target), "/now");
	h2_free(w);
}

TEST(a_response_alone_is_told_where_the_capture_began_late)
{
	struct h2_wire *w = h2_new(true);

	h2_headers(w, SERVER, FLAG_END_STREAM, 7, ":status: 503\n");
	CHECK_INT(h2_told(w, 0)->f.status, 503);
	CHECK_INT(h2_told(w, 0)->f.outcome, OUTCOME_COMPLETE);
	CHECK_INT(h2_told(w, 0)->f.request.first.packet, 0);
	h2_headers(w, SERVER, FLAG_END_STREAM, 9, "grpc-status: 0\n");
	CHECK_INT(w->c.opened, 1);
	h2_free(w);
}

/* The lower port is no proof of the server: requests tell. */
TEST(a_late_start_may_be_the_wrong_way_round)
{
	struct h2_wire *w = h2_new(true);

	h2_u32(w, SERVER, FRAME_WINDOW_UPDATE, 0, 100);
	h2_headers(w, SERVER, FLAG_END_STREAM, 7, ":method: GET\n:scheme: http\n:authority: a\n:path: /x\n");
	h2_headers(w, CLIENT, FLAG_END_STREAM, 7, ":status: 503\n");
	h2_flush(w);
	CHECK(w->swapped);
	CHECK_INT(w->c.n_told, 1);
	CHECK_SPAN(h2_text(h2_told(w, 0), h2_told(w, 0)->f.target), "/x");
	CHECK_INT(h2_told(w, 0)->f.status, 503);
	CHECK_INT(h2_told(w, 0)->f.request.violations | h2_told(w, 0)->f.response.violations, 0);
	h2_free(w);
}

TEST(after_a_hole_frames_are_found_again)
{
	for (unsigned lost = 0; lost < 4; lost++) {
		struct h2_wire *w = h2_new(false);
		char path[16];

		h2_open(w);
		for (unsigned i = 0; i < 8; i++) {
			snprintf(path, sizeof path, "/%u", i);
			h2_get(w, 1 + 2 * i, path);
			if (i == 2 && (lost & 1) != 0)
				h2_unseen(w);
			h2_headers(w, SERVER, 0, 1 + 2 * i, ":status: 200\nx-a: b\n");
			h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1 + 2 * i, span_text("body"));
			if (i == 2 && (lost & 2) != 0)
				h2_unseen(w);
		}
		h2_end(w, SERVER, END_FIN);
		for (unsigned i = 3; i < 8; i++) {
			struct exchange *x = h2_stream(w, 1 + 2 * i);

			snprintf(path, sizeof path, "/%u", i);
			CHECK_SPAN(h2_text(x, x->f.target), path);
			CHECK_INT(x->f.status, 200);
			CHECK_INT(x->f.outcome, OUTCOME_COMPLETE);
			CHECK_INT(x->f.request.violations | x->f.response.violations, 0);
		}
		if (lost == 2) {
			CHECK_INT(h2_stream(w, 5)->f.outcome, OUTCOME_NO_RESPONSE);
			CHECK(h2_stream(w, 5)->f.response.missing != 0);
		}
		h2_free(w);
	}
}

TEST(a_hole_in_a_header_block_is_no_violation)
{
	struct h2_wire *w = h2_new(false);
	uint8_t block[256];
	size_t n;

	h2_open(w);
	h2_get(w, 1, "/1");
	n = h2_block(w, SERVER, ":status: 200\nx-long: 0123456789abcdefghijklmnopqrstuvwxyz\n", block, sizeof block);
	h2_bytes(w, SERVER, span_of((uint8_t[]){ 0, 0, (uint8_t)n, FRAME_HEADERS, FLAG_END_HEADERS, 0, 0, 0, 1 }, 9));
	h2_bytes(w, SERVER, span_of(block, 4));
	h2_flush(w);
	h2_gap(w, SERVER, n - 4);
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_text("x"));
	h2_get(w, 3, "/3");
	h2_headers(w, SERVER, FLAG_END_STREAM, 3, ":status: 200\nx-long: 0123456789abcdefghijklmnopqrstuvwxyz\n");
	CHECK_INT(h2_stream(w, 1)->f.response.violations, 0);
	CHECK_INT(h2_stream(w, 3)->f.status, 200);
	CHECK_INT(h2_stream(w, 3)->f.response.violations, 0);
	h2_free(w);
}

/* ---- limits -------------------------------------------------------------------------------- */

TEST(streams_beyond_the_limit_are_left_out)
{
	struct h2_wire *w = h2_new(false);

	h2_open(w);
	for (unsigned i = 0; i < LIMIT_H2_STREAMS + 10; i++)
		h2_headers(w, CLIENT, 0, 1 + 2 * i, ":method: GET\n:scheme: http\n:path: /\n:authority: a\n");
	h2_flush(w);
	CHECK(h2_limit(w, "h2_streams_dropped"));
	CHECK_INT(w->c.open, LIMIT_H2_STREAMS);
	h2_headers(w, SERVER, FLAG_END_STREAM, 1, ":status: 200\n");
	h2_end(w, SERVER, END_FIN);
	CHECK_INT(w->c.n_told_all, LIMIT_H2_STREAMS);
	h2_free(w);
}

TEST(a_million_streams_reset_at_once_take_no_memory)
{
	struct h2_wire *w = h2_new(false);
	size_t before;

	h2_open(w);
	h2_get(w, 1, "/");
	h2_u32(w, CLIENT, FRAME_RST_STREAM, 1, 8);
	h2_flush(w);
	before = w->c.allocated;
	for (unsigned i = 1; i < 100000; i++) {
		h2_frame(w, CLIENT, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 1 + 2 * i, span_text("\x82\x86\x84\x41\x01" "a"));
		h2_u32(w, CLIENT, FRAME_RST_STREAM, 1 + 2 * i, 8);
		if (i % 1000 == 0)
			h2_flush(w);
	}
	h2_flush(w);
	CHECK_INT(w->c.n_told_all, 100000);
	CHECK(w->c.allocated_most < before + 40000);
	h2_free(w);
}

TEST(a_flood_of_continuations_ends_the_interest)
{
	struct h2_wire *w = h2_new(false);

	h2_open(w);
	h2_frame(w, CLIENT, FRAME_HEADERS, 0, 1, span_text("\x82\x86\x84"));
	for (unsigned i = 0; i < 1000; i++)
		h2_frame(w, CLIENT, FRAME_CONTINUATION, 0, 1, span_of("\0\1a\1b", 5));
	CHECK(h2_limit(w, "h2_continuations_cut"));
	CHECK(w->side[CLIENT].skip_until == UINT64_MAX);
	h2_end(w, SERVER, END_FIN);
	h2_free(w);
}

TEST(a_header_bomb_is_bounded)
{
	static uint8_t bomb[16000];
	struct h2_wire *w = h2_new(false);
	char lines[4200];

	h2_open(w);
	snprintf(lines, sizeof lines, ":method: GET\n:scheme: http\n:path: /\n:authority: a\nx: %02900d\n", 7);
	h2_headers(w, CLIENT, 0, 1, lines);
	memset(bomb, 0xbe, sizeof bomb);
	for (unsigned i = 1; i < 20; i++)
		h2_frame(w, CLIENT, FRAME_HEADERS, FLAG_END_HEADERS, 1 + 2 * i, span_of(bomb, sizeof bomb));
	CHECK(h2_limit(w, "hpack_bytes_cut"));
	CHECK(h2_limit(w, "header_bytes_cut"));
	CHECK(w->c.allocated_most < 200000);
	h2_end(w, SERVER, END_FIN);
	h2_free(w);
}

TEST(without_memory_nothing_breaks)
{
	for (size_t fail = 1; fail < 60; fail++) {
		struct h2_wire *w = calloc(1, sizeof *w);

		for (unsigned i = 0; i < 2; i++)
			nghttp2_hd_deflate_new(&w->deflater[i], 4096);
		w->c.fail_at = fail;
		w->self = http2_protocol.begin(&w->c, fail % 2 != 0);
		h2_open(w);
		for (unsigned i = 0; i < 8; i++)
			h2_get(w, 1 + 2 * i, "/");
		h2_goaway(w, SERVER, 13, 1, "");
		h2_headers(w, SERVER, 0, 1, ":status: 500\nserver: x\n");
		h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_text("broken"));
		h2_end(w, SERVER, END_FIN);
		h2_free(w);
	}
}

#ifdef HAVE_ZLIB
/* "hello" by gzip. */
static const char hello_gzip[] = "\x1f\x8b\x08\0\0\0\0\0\0\3\xcb\x48\xcd\xc9\xc9\7\0\x86\xa6\x10\x36\5\0\0\0";

static uint64_t coded_in_two(size_t n, uint8_t change, size_t unseen, size_t cut)
{
	struct h2_wire *w = h2_new(false);
	char body[sizeof hello_gzip];
	uint64_t violations;

	memcpy(body, hello_gzip, sizeof body);
	body[20] ^= (char)change;
	w->c.checks_coding = true;
	w->cut = cut;
	h2_open(w);
	h2_get(w, 1, "/a");
	h2_headers(w, SERVER, FLAG_END_HEADERS, 1, ":status: 200\ncontent-encoding: gzip\n");
	h2_frame(w, SERVER, FRAME_DATA, 0, 1, span_of(body, 7));
	h2_flush(w);
	h2_frame(w, SERVER, FRAME_DATA, FLAG_END_STREAM, 1, span_of(body + 7, n - 7));
	if (unseen != 0)
		h2_unseen(w);
	h2_flush(w);
	h2_end(w, SERVER, END_FIN);
	h2_end(w, CLIENT, END_FIN);
	violations = h2_stream(w, 1)->f.response.violations;
	h2_free(w);
	return violations;
}

TEST(a_coding_is_followed_to_its_end)
{
	size_t n = sizeof hello_gzip - 1;

	for (size_t cut = 0; cut < 2; cut++) {
		CHECK_INT((int64_t)coded_in_two(n, 0, 0, cut), 0);
		CHECK_INT((int64_t)coded_in_two(n - 4, 0, 0, cut), (int64_t)violation_bit(VIOLATION_CONTENT_CODING_CUT));
		CHECK_INT((int64_t)coded_in_two(n, 1, 0, cut), (int64_t)violation_bit(VIOLATION_CONTENT_CODING));
		CHECK_INT((int64_t)coded_in_two(n, 1, 1, cut), 0);
	}
}
#endif

TEST_MAIN()
