#include "extract.h"

#include "capture/pcapng_write.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

static const char application[] = "why502 " PACKAGE_VERSION;

/* ---- beginning and ending ------------------------------------------------------------------ */

enum err_code extract_begin(struct extract *x, const struct options *o, struct err *e)
{
	*x = (struct extract){ .o = o, .open = folder_open, .settle = folder_settle, .ctx = &x->folder };
	if (o->write != NULL) {
		x->whole = out_file(o->write, o->force, e);
		if (x->whole == NULL)
			return err_set(e, ERR_MEMORY, "no memory");
	}
	return o->write_each != NULL ? folder_begin(&x->folder, o->write_each, o->force, e) : ERR_OK;
}

enum err_code extract_end(struct extract *x, struct err *e)
{
	enum err_code code;

	if (x->whole != NULL && !x->written)
		out_discard(x->whole);
	code = x->whole != NULL ? out_close(x->whole, e) : ERR_OK;
	x->whole = NULL;
	folder_end(&x->folder);
	return code;
}

/* ---- one pass ------------------------------------------------------------------------------ */

struct settling { struct extract *x; uint32_t which; };

/* One file of a pass. */
struct part { struct out *out; struct pcapng_out *packets; struct settling settling; };

struct pass {
	struct extract *x;
	const struct extract_job *job;
	struct excerpt *excerpt;
	struct part parts[EXCERPT_OUTPUTS_MAX];
	unsigned n;
	const struct packet *packet;            /* the one that is written */
	const struct packet_ends *ends;
	bool no_memory;
};

static void to_out(void *ctx, struct span s)
{
	out_bytes(ctx, s);
}

static int settle(void *ctx)
{
	const struct settling *s = ctx;
	int none;

	return s->x->settle(s->x->ctx, s->which, &none);
}

static enum err_code open_part(struct pass *p, struct part *part, const struct incident *one, struct err *e)
{
	char name[FOLDER_NAME], path[512];
	int fd = -1, why;

	if (one == NULL) {
		part->out = p->x->whole;
	} else {
		part->settling = (struct settling){ p->x, (uint32_t)one->id };
		(void)snprintf(path, sizeof path, "%s/%s", p->x->o->write_each, folder_name((uint32_t)one->id, name));
		why = p->x->open(p->x->ctx, (uint32_t)one->id, &fd);
		if (why != 0 || fd < 0)
			return err_set(e, ERR_OPEN, "%s: %s", path, strerror(why));
		part->out = out_given(fd, path, settle, &part->settling);
	}
	part->packets = part->out != NULL ? pcapng_out_new((struct byte_sink){ part->out, to_out }) : NULL;
	return part->packets != NULL ? ERR_OK : err_set(e, ERR_MEMORY, "no memory to write packets");
}

static enum err_code begin_part(struct pass *p, struct part *part, const struct incident *one, struct err *e)
{
	struct out *text = out_memory();
	struct err ignored = { 0 };

	if (text == NULL)
		return err_set(e, ERR_MEMORY, "no memory to write packets");
	if (open_part(p, part, one, e) == ERR_OK) {
		excerpt_says(text, p->job->report, p->job->info, p->job->writer, one);
		out_flush(text);
		pcapng_section(part->packets, application, out_written(text));
	}
	(void)out_close(text, &ignored);
	return e->code;
}

static enum err_code begin_parts(struct pass *p, bool each, struct err *e)
{
	while (p->n < excerpt_outputs(p->excerpt) && e->code == ERR_OK) {
		(void)begin_part(p, &p->parts[p->n], each ? excerpt_incident(p->excerpt, p->n) : NULL, e);
		p->n++;
	}
	return e->code;
}

/* -w's file stays open: it may have to be given up for something else. */
static enum err_code end_parts(struct pass *p, struct err *e)
{
	for (unsigned i = 0; i < p->n; i++) {
		pcapng_out_free(p->parts[i].packets);
		if (p->parts[i].out == NULL || p->parts[i].out == p->x->whole)
			continue;
		if (e->code != ERR_OK)
			out_discard(p->parts[i].out);
		(void)out_close(p->parts[i].out, e);
	}
	excerpt_free(p->excerpt);
	return e->code;
}

/* The secrets of a connection come before its ClientHello, so that who reads the file once has them in time. */
static void write_secrets(const struct pass *p, struct pcapng_out *to)
{
	char text[SECRET_LINES_MAX];
	size_t n;

	if (p->x->o->no_secrets || p->job->disguise != NULL || p->ends == NULL || p->ends->client_random.len != SECRET_RANDOM)
		return;
	n = secrets_lines(p->job->secrets, p->ends->client_random.at, text);
	if (n != 0)
		pcapng_secrets(to, span_of(text, n));
	explicit_bzero(text, n);
}

static void write_packet(void *ctx, const struct take *t)
{
	struct pass *p = ctx;
	struct pcapng_out *to = p->parts[t->output].packets;
	const struct source_interface *interfaces;
	struct span comments[EXCERPT_COMMENTS_MAX];
	struct source_interface interface;

	if (p->packet->interface >= source_interfaces(p->job->source, &interfaces))
		return;
	for (unsigned i = 0; i < t->n_comments; i++)
		comments[i] = span_text(t->comments[i]);
	interface = interfaces[p->packet->interface];
	if (p->job->disguise != NULL)           /* it has its own addresses, and a filter may name some */
		interface.options_len = 0;
	write_secrets(p, to);
	if (!pcapng_packet(to, p->packet, &interface, comments, t->n_comments))
		p->no_memory = true;
}

static void take_packet(struct pass *p, const struct packet_ends *ends)
{
	p->ends = ends;
	excerpt_packet(p->excerpt, p->packet, ends, write_packet, p);
}

static void hear_packet(struct pass *p, const struct packet_ends *ends)
{
	excerpt_hear(p->excerpt, p->packet, ends);
}

typedef void packet_fn(struct pass *p, const struct packet_ends *ends);

static void each_of(struct pass *p, struct ip_decoder *ip, const struct packet_batch *b, packet_fn *fn)
{
	struct packet_ends ends;

	for (unsigned i = 0; i < b->n; i++) {
		p->packet = &b->packets[i];
		if (p->job->disguise != NULL)
			disguise_packet(p->job->disguise, p->packet);
		if (!p->packet->filtered)
			fn(p, packet_ends(ip, p->packet, &ends) ? &ends : NULL);
	}
}

/* Up to packet `last`, or until no more is wanted. */
static enum err_code read_again(struct pass *p, packet_fn *fn, uint64_t last, struct err *e)
{
	struct ip_decoder *ip = ip_decoder_new();
	struct packet_batch batch = { 0 };
	struct err told = { 0 };                /* the first reading has told of it */
	bool more = ip != NULL && source_again(p->job->source);

	if (!more)
		(void)err_set(e, ERR_READ, "-w: the capture cannot be read again");
	while (more && !*p->job->stop && source_next(p->job->source, &batch, &told) == SOURCE_PACKETS) {
		each_of(p, ip, &batch, fn);
		more = batch.n == 0 || (batch.packets[0].number <= last && !excerpt_over(p->excerpt, &batch.packets[0]));
	}
	batch_clear(&batch);
	ip_decoder_free(ip);
	if (*p->job->stop)
		return err_set(e, ERR_READ, "-w: interrupted before the packets were written");
	return p->no_memory ? err_set(e, ERR_MEMORY, "-w: no memory to write packets") : e->code;
}

static enum err_code write_parts(struct pass *p, struct err *e)
{
	uint64_t last;

	if (excerpt_asks(p->excerpt, &last) && read_again(p, hear_packet, last, e) != ERR_OK)
		return e->code;
	excerpt_ready(p->excerpt);
	return read_again(p, take_packet, UINT64_MAX, e);
}

static enum err_code run_pass(struct extract *x, const struct extract_job *j, const struct excerpt_options *options, unsigned *n, struct err *e)
{
	struct pass p = { .x = x, .job = j, .excerpt = excerpt_new(j->report, options) };

	*n = 0;
	if (p.excerpt == NULL)
		return err_set(e, ERR_MEMORY, "-w: no memory to find packets again");
	if (begin_parts(&p, options->each, e) == ERR_OK && p.n > 0)
		(void)write_parts(&p, e);
	*n = p.n;
	return end_parts(&p, e);
}

enum err_code extract_write(struct extract *x, const struct extract_job *j, struct err *e)
{
	struct excerpt_options options = { .match = x->o->match, .window_ns = x->o->write_window_ns };
	unsigned n;

	if (x->whole != NULL)
		(void)run_pass(x, j, &options, &n, e);
	options.each = true;
	while (x->o->write_each != NULL && e->code == ERR_OK && run_pass(x, j, &options, &n, e) == ERR_OK && n > 0)
		options.first += n;
	x->written = e->code == ERR_OK;
	return e->code;
}
