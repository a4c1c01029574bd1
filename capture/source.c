/* source.c - numbers packets, counts them, and marks what a filter or the time asked for leaves out */
#include "source.h"
#include "origin.h"
#include "window.h"

#include <stdlib.h>

struct source {
	struct origin origin;
	struct file_table files;
	struct interface_table interfaces;
	struct filter *filter;
	struct window window;
	bool     over;                  /* live, and past what is judged */
	struct source_counters counters;
	bool     again;                 /* source_again(): `first` is what the first reading came to */
	struct source_counters first;
	uint64_t max_packets;           /* UINT64_MAX: no end */
	uint64_t number;                /* of the packet before */
	int64_t  latest_ns;             /* of the packet before */
};

void source_close(struct source *s)
{
	if (s == NULL)
		return;
	if (s->origin.close != NULL)
		s->origin.close(s->origin.self);
	filter_free(s->filter);
	file_table_clear(&s->files);
	interface_table_clear(&s->interfaces);
	free(s);
}

/* Live the kernel filters, so that it copies less; of a file every packet keeps its number. */
static bool open_origin(struct source *s, const struct source_options *o, struct err *e)
{
	if (o->n_interfaces > 0 && o->n_files > 0)
		return err_set(e, ERR_OPTION, "files and interfaces cannot be read together") == ERR_OK;
	if (o->n_interfaces > 0)
		return live_open(&s->origin, o, &s->interfaces, e);
	if (o->filter != NULL && o->filter[0] != '\0' && (s->filter = filter_new(o->filter, e)) == NULL)
		return false;
	return files_open(&s->origin, o, &s->files, &s->interfaces, e);
}

struct source *source_open(const struct source_options *o, struct err *e)
{
	struct source *s = calloc(1, sizeof *s);

	if (s == NULL) {
		(void)err_set(e, ERR_MEMORY, "no memory to read packets");
		return NULL;
	}
	s->max_packets = o->max_packets != 0 ? o->max_packets : UINT64_MAX;
	if (window_begin(&s->window, o, e) && open_origin(s, o, e))
		return s;
	source_close(s);
	return NULL;
}

void source_on_secrets(struct source *s, source_secrets_fn *fn, void *ctx)
{
	if (s->origin.on_secrets != NULL)
		s->origin.on_secrets(s->origin.self, fn, ctx);
}

/* Numbers a packet as Wireshark does: with the frames of its file that were no packets. */
static void count_in_file(struct source *s, struct packet *p)
{
	struct source_file *f = &s->files.rows[p->file];

	s->number += p->frame - s->files.frames[p->file] - 1;
	s->files.frames[p->file] = p->frame;
	if (s->again)
		return;
	if (f->packets == 0 || p->time_ns < f->first_ns)
		f->first_ns = p->time_ns;
	if (f->packets == 0 || p->time_ns > f->last_ns)
		f->last_ns = p->time_ns;
	f->packets++;
}

/* Numbers and counts one batch. */
static void take_in(struct source *s, struct packet_batch *b)
{
	struct source_counters *c = &s->counters;
	uint64_t left = s->max_packets - c->packets;

	if (b->n > left)
		b->n = (unsigned)left;
	for (unsigned i = 0; i < b->n; i++) {
		struct packet *p = &b->packets[i];

		if (p->file < s->files.n)
			count_in_file(s, p);
		p->number = ++s->number;
		c->packets++;
		c->bytes += p->caplen;
		c->truncated += p->caplen < p->len;
		c->time_went_back += p->time_ns < s->latest_ns;
		s->latest_ns = p->time_ns;
	}
	if (s->filter != NULL)
		filter_mark(s->filter, b);
	if (!window_is_open(&s->window))
		window_mark(&s->window, b);
}

enum source_status source_next(struct source *s, struct packet_batch *b, struct err *e)
{
	enum source_status status;

	batch_clear(b);
	if (s->counters.packets >= s->max_packets || s->over)
		return SOURCE_END;
	status = s->origin.next(s->origin.self, b, e);
	if (status == SOURCE_PACKETS)
		take_in(s, b);
	if (s->window.settled && b->now_ns > s->window.to_ns) {
		b->now_ns = s->window.to_ns;    /* time stands still where nothing is judged */
		s->over = s->files.n == 0;      /* nor need anybody wait for more; a file is read to its end, to count what is in it */
	}
	return status;
}

bool source_progress(const struct source *s, uint64_t *at, uint64_t *size)
{
	return s->origin.progress != NULL && s->origin.progress(s->origin.self, at, size);
}

bool source_can_again(const struct source *s)
{
	return s->origin.can_again != NULL && s->origin.can_again(s->origin.self);
}

bool source_again(struct source *s)
{
	struct source_counters first;

	source_counters(s, &first);
	source_on_secrets(s, NULL, NULL);
	interface_table_clear(&s->interfaces);          /* the files tell them again, as they are read */
	if (s->origin.again == NULL || !s->origin.again(s->origin.self))
		return false;
	for (unsigned i = 0; i < s->files.n; i++)
		s->files.frames[i] = 0;
	s->again = true;
	s->first = first;
	s->counters = (struct source_counters){ 0 };
	s->number = 0;
	s->latest_ns = 0;
	return true;
}

unsigned source_files(const struct source *s, const struct source_file **files)
{
	*files = s->files.rows;
	return s->files.n;
}

unsigned source_interfaces(const struct source *s, const struct source_interface **interfaces)
{
	*interfaces = s->interfaces.rows;
	return s->interfaces.n;
}

void source_counters(struct source *s, struct source_counters *c)
{
	if (s->again) {
		*c = s->first;
		return;
	}
	*c = s->counters;
	if (s->origin.drops != NULL)
		s->origin.drops(s->origin.self, c);
}

const char *source_notice(struct source *s)
{
	return s->origin.notice != NULL ? s->origin.notice(s->origin.self) : NULL;
}
