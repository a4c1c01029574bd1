#include "replay.h"

#include "../capture/limits.h"

#include <stdlib.h>

static void give_facts(void *ctx, const struct fact_batch *facts)
{
	report_facts(ctx, facts);
}

static void give_facts_again(void *ctx, const struct fact_batch *facts)
{
	report_facts_again(ctx, facts);
}

/* The packets' bytes are their owner's: the chunk has a reference of ours that is never given back, and so is never freed. */
static unsigned fill(struct packet_batch *b, struct chunk *chunk, const struct packet *packets, unsigned n)
{
	*b = (struct packet_batch){ .chunk = chunk };
	atomic_fetch_add(&chunk->refs, 1);
	b->n = n < PACKETS_PER_BATCH ? n : PACKETS_PER_BATCH;
	memcpy(b->packets, packets, b->n * sizeof *packets);
	b->now_ns = packets[b->n - 1].time_ns;
	return b->n;
}

static void decode_all(struct decode *decode, struct packet_batch *batch, struct chunk *chunk, const struct packet *packets, unsigned n)
{
	for (unsigned at = 0; at < n;) {
		at += fill(batch, chunk, packets + at, n - at);
		decode_packets(decode, batch);
	}
	decode_end(decode);
}

/* As why502.c does. */
static void look_again(const struct packet *packets, unsigned n, const struct decode_options *d, const struct doubts *doubts,
                       struct report_builder *builder, struct packet_batch *batch, struct chunk *chunk)
{
	struct decode_options options = *d;
	struct err ignored = { .code = ERR_OK };
	struct decode *decode;

	options.check_coding = true;
	options.only = doubts->ends;
	options.n_only = doubts->n;
	decode = decode_new(&options, (struct fact_sink){ builder, give_facts_again }, &ignored);
	if (decode != NULL)
		decode_all(decode, batch, chunk, packets, n);
	decode_free(decode);
}

bool replay(const struct packet *packets, unsigned n, const struct decode_options *d, const struct report_options *r, struct replay *out,
            struct err *e)
{
	struct report_events events = { NULL, NULL, NULL };
	struct decode_counters counters = { 0 };
	struct chunk chunk = { .size = 0 };
	struct packet_batch *batch = malloc(sizeof *batch);
	struct decode *decode;
	struct doubts doubts;

	atomic_init(&chunk.refs, 1);
	*out = (struct replay){ report_new(r, &events, e), NULL };
	decode = decode_new(d, (struct fact_sink){ out->builder, give_facts }, e);
	if (batch != NULL && decode != NULL && out->builder != NULL) {
		decode_all(decode, batch, &chunk, packets, n);
		decode_counters(decode, &counters);
		if (report_doubts(out->builder, &counters, &doubts))
			look_again(packets, n, d, &doubts, out->builder, batch, &chunk);
		out->report = report_end(out->builder, &counters);
	}
	free(batch);
	decode_free(decode);
	return out->report != NULL;
}

void replay_clear(struct replay *r)
{
	report_free(r->builder);
	*r = (struct replay){ NULL, NULL };
}

void replay_options(struct decode_options *d, struct report_options *r)
{
	static const uint16_t errors[] = { 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527 };

	*d = (struct decode_options){ .threads = 1, .max_memory = 64u << 20 };
	*r = (struct report_options){
		.max_incidents = LIMIT_INCIDENTS,
		.symptoms = 1u << SYMPTOM_ERROR_STATUS | 1u << SYMPTOM_NO_RESPONSE | 1u << SYMPTOM_TRUNCATED | 1u << SYMPTOM_GARBLED
	};
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		r->status_wanted[errors[i]] = 1;
}

static bool packets_add(struct packets *p, const struct packet *packet)
{
	struct packet *more = realloc(p->at, (p->n + 1) * sizeof *more);
	uint8_t *bytes = malloc(packet->caplen + 1);

	p->at = more != NULL ? more : p->at;
	if (more == NULL || bytes == NULL) {
		free(bytes);
		return false;
	}
	memcpy(bytes, packet->bytes, packet->caplen);
	p->at[p->n] = *packet;
	p->at[p->n++].bytes = bytes;
	return true;
}

bool packets_read(const char *path, struct packets *p, struct err *e)
{
	struct source_options o = { .files = &path, .n_files = 1 };
	struct packet_batch *batch = calloc(1, sizeof *batch);
	enum source_status status = SOURCE_ERROR;
	struct source *s = source_open(&o, e);

	*p = (struct packets){ NULL, 0 };
	while (s != NULL && batch != NULL && (status = source_next(s, batch, e)) == SOURCE_PACKETS)
		for (unsigned i = 0; i < batch->n; i++)
			if (!packets_add(p, &batch->packets[i]))
				abort();
	if (batch != NULL)
		batch_clear(batch);
	free(batch);
	source_close(s);
	return status == SOURCE_END;
}

void packets_clear(struct packets *p)
{
	for (unsigned i = 0; i < p->n; i++)
		free((void *)(uintptr_t)p->at[i].bytes);
	free(p->at);
	*p = (struct packets){ NULL, 0 };
}
