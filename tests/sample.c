#include "sample.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define T0 (INT64_C(1769860801) * NS_PER_S)     /* 2026-01-31T12:00:01Z */

enum { N_INCIDENTS = 3, TEXT_ROOM = 2048 };

struct sample {
	struct source_file file;
	struct run_info run;
	struct report report, nothing;
	struct { struct exchange_fact f; uint8_t text[TEXT_ROOM]; uint32_t used; } full;
	struct brief_fact brief;
	struct exchange_view view, brief_view;
	struct incident incidents[N_INCIDENTS];
	struct incident *list[N_INCIDENTS];
	struct group groups[2];
	struct upstream_health upstreams[2];
	struct gateway_seen gateway;
	struct attempt attempts[2];
	struct evidence evidence[4];
	struct step steps[8];
	struct words words[3];
	struct detail details[6];
	const char *advice[2];
	uint64_t race_ids[2], refused_ids[1];
};

static struct endpoint ipv4(const char *address, uint16_t port)
{
	struct endpoint e = { .port = port };

	e.address[10] = e.address[11] = 0xff;
	(void)inet_pton(AF_INET, address, e.address + 12);
	return e;
}

static struct mark mark(uint64_t packet, int64_t after_ms)
{
	return (struct mark){ packet, T0 + after_ms * NS_PER_MS };
}

static struct text add_text(struct sample *s, const char *bytes, size_t n)
{
	struct text t = { (uint32_t)(s->full.text - (uint8_t *)&s->full.f) + s->full.used, (uint32_t)n };

	memcpy(s->full.text + s->full.used, bytes, n);
	s->full.used += (uint32_t)n;
	return t;
}

#define TEXT(s, literal) add_text((s), (literal), sizeof(literal) - 1)

static void make_exchange(struct sample *s)
{
	struct exchange_fact *f = &s->full.f;

	f->head.conn = 3;
	f->conn.end[CLIENT] = ipv4("10.0.0.9", 51000);
	f->conn.end[SERVER] = ipv4("10.0.0.1", 80);
	f->x.method = METHOD_GET;
	f->x.status = 502;
	f->x.outcome = OUTCOME_COMPLETE;
	f->x.grpc_status = -1;
	f->x.interim[0] = 103;
	f->x.n_interim = 1;
	f->x.request = (struct message){ .first = mark(198, 0), .last = mark(198, 0), .version = VERSION_1_1, .head_bytes = 312 };
	f->x.response = (struct message){ .first = mark(214, 3), .last = mark(214, 3), .version = VERSION_1_1, .head_bytes = 170,
	                                  .body_bytes = 157 };
	f->x.target = TEXT(s, "/cart?x=1&token=SECRET1");
	f->x.authority = TEXT(s, "me:SECRET2@shop.example");
	f->x.reason = TEXT(s, "Bad \x1b[31mGate\xffway");
	f->x.server = TEXT(s, "nginx/1.22.1");
	s->view = (struct exchange_view){ .id = 7, .full = f, .n_roles = 1 };
	s->view.roles[0].gateway = f->conn.end[SERVER];
	s->view.roles[0].client_side = true;
	s->brief = (struct brief_fact){
		.head = { .conn = 4 }, .end = { ipv4("10.0.0.1", 40000), ipv4("10.0.0.7", 8080) }, .ordinal = 2,
		.request = mark(100, -9000), .response_first = mark(102, -8990), .response = mark(103, -8989),
		.method = METHOD_GET, .version = VERSION_1_1, .response_version = VERSION_1_1, .status = 200,
		.outcome = OUTCOME_COMPLETE,
	};
	s->brief_view = (struct exchange_view){ .id = 8, .brief = &s->brief };
}

static void make_race(struct sample *s, struct incident *i)
{
	s->attempts[0] = (struct attempt){
		.upstream = ipv4("10.0.0.7", 8080), .connection = 4, .exchange = 8, .cause = CAUSE_KEEPALIVE_RACE,
		.matched = MATCHED_UNIQUE, .known_reuse = true, .reused = true, .request_number = 3, .idle_ns = 5002 * NS_PER_MS,
		.closer = SERVER, .closing = CLOSING_FIN,
	};
	s->attempts[1] = (struct attempt){ .connection = -1, .cause = -1, .idle_ns = -1, .closer = -1 };
	s->evidence[0] = (struct evidence){ mark(211, 2), "upstream 10.0.0.7:8080 sent FIN after 5.002 s idle" };
	s->evidence[1] = (struct evidence){ mark(212, 2), "the gateway's request for /cart crossed with it" };
	s->evidence[2] = (struct evidence){ mark(213, 3), "the upstream answered with RST: it no longer knew the connection" };
	s->steps[0] = (struct step){ mark(198, 0), 0, 1, "GET /cart", false, false };
	s->steps[1] = (struct step){ mark(209, 1), 2, 1, "200", false, false };
	s->steps[2] = (struct step){ mark(211, 5003), 2, 1, "FIN", true, false };
	s->steps[3] = (struct step){ mark(212, 5003), 1, 2, "GET /cart", false, false };
	s->steps[4] = (struct step){ mark(213, 5004), 2, 1, "RST", false, false };
	s->steps[5] = (struct step){ mark(214, 5004), 1, 0, "502", false, false };
	s->steps[6] = (struct step){ mark(215, 5010), 1, 1, "logs: upstream prematurely closed connection", false, false };
	s->steps[7] = (struct step){ mark(216, 5020), 1, 2, "SYN", false, true };
	s->words[0] = (struct words){ "nginx", "upstream prematurely closed connection while reading response header from upstream" };
	s->words[1] = (struct words){ "haproxy", "SH--" };
	s->words[2] = (struct words){ "proxy-status", "connection_terminated" };
	s->details[0] = (struct detail){ "idle_s", DETAIL_SECONDS, 5002 * NS_PER_MS, 0, NULL, false };
	s->details[1] = (struct detail){ "trigger", DETAIL_WORD, 0, 0, "idle", false };
	s->details[2] = (struct detail){ "idle", DETAIL_SECONDS, 1, 0, NULL, false };
	s->details[3] = (struct detail){ "closes", DETAIL_COUNT, 0, 312, NULL, false };
	s->details[4] = (struct detail){ "crossed", DETAIL_BOOL, 0, 0, NULL, true };
	s->details[5] = (struct detail){ "closes", DETAIL_COUNT, 0, 1, NULL, false };
	s->advice[0] = "let the gateway keep idle upstream connections for less than 5 s (nginx: keepalive_timeout 4s; in the upstream block)";
	s->advice[1] = "or let the upstream keep them for longer than the gateway's 60 s";
	*i = (struct incident){
		.id = 1, .time_ns = T0 + 500 * NS_PER_MS, .symptom = SYMPTOM_ERROR_STATUS, .status = 502, .cause = CAUSE_KEEPALIVE_RACE,
		.fault = FAULT_CONFIGURATION, .confidence = CONFIDENCE_HIGH, .has_gateway = true, .has_upstream = true,
		.summary = "10.0.0.7:8080 closed the idle connection after 5.002 s, 0.4 ms before the gateway's next request reached it",
		.details = s->details, .n_details = 6, .gateway = ipv4("10.0.0.1", 80), .upstream = ipv4("10.0.0.7", 8080), .product = "nginx",
		.product_source = "detected", .method = span_text("GET"), .authority = span_text("shop.example"),
		.target = span_text("/cart?x=1&token=SECRET3"), .version = VERSION_1_1, .client = ipv4("10.0.0.9", 51000),
		.client_exchange = &s->view, .attempts = s->attempts, .n_attempts = 2, .path = { ipv4("10.0.0.1", 80) }, .n_path = 1,
		.evidence = s->evidence, .n_evidence = 3, .steps = s->steps, .n_steps = 8,
		.columns = { "client", "gateway", "10.0.0.7:8080" }, .n_columns = 3, .equivalents = s->words, .n_equivalents = 3,
		.advice = s->advice, .n_advice = 2, .group = 1, .filter = "tcp.stream in {3, 4} && frame.number in {198..214}",
	};
}

static void make_incidents(struct sample *s)
{
	make_race(s, &s->incidents[0]);
	s->incidents[1] = s->incidents[0];
	s->incidents[1].id = 2;
	s->incidents[1].time_ns += 200 * NS_PER_MS;
	s->incidents[1].target = span_of("/\xff\xfe\x1b]0;owned\x07\xe2\x80\xae/\\", 18);
	s->incidents[1].client_exchange = NULL;
	s->incidents[2] = (struct incident){    /* one-sided, and it never got as far as a request */
		.id = 3, .time_ns = T0 + 1200 * NS_PER_S, .symptom = SYMPTOM_NO_RESPONSE, .predicted = true,
		.cause = CAUSE_CONNECTION_REFUSED, .fault = FAULT_UPSTREAM, .confidence = CONFIDENCE_MEDIUM, .has_upstream = true,
		.upstream = ipv4("10.0.0.9", 8080), .summary = "10.0.0.9:8080 refused the connection", .method = span_none(),
		.authority = span_none(), .target = span_none(), .evidence = s->evidence, .n_evidence = 1, .group = 2,
	};
	for (unsigned i = 0; i < N_INCIDENTS; i++)
		s->list[i] = &s->incidents[i];
}

static void make_groups(struct sample *s)
{
	s->race_ids[0] = 1;
	s->race_ids[1] = 2;
	s->refused_ids[0] = 3;
	s->groups[0] = (struct group){
		.id = 1, .cause = CAUSE_KEEPALIVE_RACE, .fault = FAULT_CONFIGURATION, .confidence = CONFIDENCE_HIGH, .has_gateway = true,
		.has_upstream = true, .gateway = ipv4("10.0.0.1", 80), .upstream = ipv4("10.0.0.7", 8080), .count = 17,
		.details = { { "trigger", DETAIL_WORD, 0, 0, "idle", false } }, .n_details = 1, .first_ns = T0,
		.last_ns = T0 + 1800 * NS_PER_S, .spreads = { { "idle_s", 4998 * NS_PER_MS, 5000 * NS_PER_MS, 5003 * NS_PER_MS } },
		.n_spreads = 1, .example = &s->incidents[0], .incidents = s->race_ids, .n_incidents = 2,
		.timeline = { 1, 0, 0, 2, 0, 0, 0, 0, 5, 1, 0, 0, 3, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
	};
	s->groups[1] = (struct group){
		.id = 2, .cause = CAUSE_CONNECTION_REFUSED, .fault = FAULT_UPSTREAM, .confidence = CONFIDENCE_MEDIUM,
		.has_upstream = true, .upstream = ipv4("10.0.0.9", 8080), .count = 1, .first_ns = T0 + 1200 * NS_PER_S,
		.last_ns = T0 + 1200 * NS_PER_S, .example = &s->incidents[2], .incidents = s->refused_ids, .n_incidents = 1,
		.timeline = { [26] = 1 },
	};
}

static void make_report(struct sample *s)
{
	struct report *r = &s->report;

	s->upstreams[0] = (struct upstream_health){ .address = ipv4("10.0.0.7", 8080), .requests = 48120, .errors = 17, .healed = 3,
		.resets = 17, .p50_ns = 12 * NS_PER_MS, .p99_ns = 400 * NS_PER_MS, .idle_closes = 312, .idle_min_ns = 4900 * NS_PER_MS,
		.idle_median_ns = 5 * NS_PER_S, .idle_max_ns = 5100 * NS_PER_MS };
	s->upstreams[1] = (struct upstream_health){ .address = ipv4("10.0.0.9", 8080), .p50_ns = -1, .p99_ns = -1 };
	s->gateway = (struct gateway_seen){ ipv4("10.0.0.1", 80), "nginx", "detected", "1.22.1", 48120 };
	*r = (struct report){ .requests = 48120, .connections = 10, .exchanges = 96240, .healed = 3, .total_incidents = 18,
		.incidents = s->list, .n_incidents = N_INCIDENTS, .groups = s->groups, .n_groups = 2, .upstreams = s->upstreams,
		.n_upstreams = 2, .gateways = &s->gateway, .n_gateways = 1, .incidents_cut = 15,
		.blind = { "3 TLS connections to 10.0.0.8:443 are closed to us: give their keys with -k" }, .n_blind = 1 };
	r->by_cause[CAUSE_KEEPALIVE_RACE] = 17;
	r->by_cause[CAUSE_CONNECTION_REFUSED] = 1;
	r->by_status[0].status = 502;
	r->by_status[0].count = 17;
	r->by_status[1].count = 1;
	r->n_by_status = 2;
	r->decode = (struct decode_counters){ .joined_late = 2, .encrypted_without_keys = 3, .n_limits = 1 };
	r->decode.limits[0].name = "strings_cut";
	r->decode.limits[0].count = UINT64_C(1) << 60;
	s->nothing = (struct report){ .requests = 20, .connections = 4, .exchanges = 40, .upstreams = s->upstreams, .n_upstreams = 1,
		.gateways = &s->gateway, .n_gateways = 1 };
	s->nothing.seen_status[0].status = 200;
	s->nothing.seen_status[0].count = 20;
	s->nothing.n_seen_status = 1;
}

struct sample *sample_new(void)
{
	struct sample *s = calloc(1, sizeof *s);

	if (s == NULL)
		abort();
	make_exchange(s);
	make_incidents(s);
	make_groups(s);
	make_report(s);
	s->file = (struct source_file){ "inci\x1b[2Jdent.pcapng", 1234567, T0, T0 + 1800 * NS_PER_S, 0 };
	s->run = (struct run_info){ .version = "0.1.0", .files = &s->file, .n_files = 1,
		.counters = { .packets = 1234567, .bytes = 812000000, .truncated = 0 }, .first_ns = T0,
		.last_ns = T0 + 1800 * NS_PER_S, .sandbox = "off" };
	return s;
}

void sample_free(struct sample *s)
{
	free(s);
}

const struct report *sample_report(struct sample *s) { return &s->report; }
const struct report *sample_nothing(struct sample *s) { return &s->nothing; }
const struct run_info *sample_run(struct sample *s) { return &s->run; }
const struct exchange_view *sample_exchange(struct sample *s) { return &s->view; }
const struct exchange_view *sample_brief(struct sample *s) { return &s->brief_view; }

char *sample_written(const struct writer_ops *w, const struct writer_options *o, bool nothing)
{
	struct sample *s = sample_new();
	struct out *out = out_memory();
	void *self = w->begin(o, out);
	struct err e = { 0 };
	char *text;

	if (w->exchange != NULL) {
		w->exchange(self, sample_exchange(s));
		w->exchange(self, sample_brief(s));
	}
	if (w->incident != NULL)
		w->incident(self, sample_report(s)->incidents[0]);
	w->end(self, nothing ? sample_nothing(s) : sample_report(s), sample_run(s));
	out_flush(out);
	text = strndup((const char *)out_written(out).at, out_written(out).len);
	(void)out_close(out, &e);
	sample_free(s);
	return text;
}
