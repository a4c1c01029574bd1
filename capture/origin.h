/* origin.h - what stands behind a source: saved files or interfaces (inside capture/ only) */
#ifndef WHY502_ORIGIN_H
#define WHY502_ORIGIN_H

#include "reader.h"

/* Packets come in the order they are to be numbered in; all of a packet but `number` and `filtered` is
 * set. b is cleared before. */
struct origin {
	enum source_status (*next)(void *self, struct packet_batch *b, struct err *e);
	void (*on_secrets)(void *self, source_secrets_fn *fn, void *ctx);
	void (*drops)(void *self, struct source_counters *c);   /* adds */
	const char *(*notice)(void *self);                      /* may be NULL */
	bool (*again)(void *self);                              /* to the first packet; NULL, or false: it cannot */
	bool (*progress)(const void *self, uint64_t *at, uint64_t *size);       /* NULL, or false: it is not known */
	bool (*can_again)(const void *self);                    /* NULL: it cannot */
	void (*close)(void *self);
	void *self;
};

/* The files grow only before the first packet. */
struct file_table {
	struct source_file *rows;
	uint64_t *frames;               /* of each file, counted so far: some are no packets (pcapng.c) */
	unsigned n;
};

/* False: e says why. */
bool files_open(struct origin *out, const struct source_options *o, struct file_table *files,
                struct interface_table *interfaces, struct err *e);
void file_table_clear(struct file_table *t);
bool live_open(struct origin *out, const struct source_options *o, struct interface_table *interfaces, struct err *e);

/* A BPF filter, compiled for each link type as it comes. */
struct filter;
struct filter *filter_new(const char *text, struct err *e);     /* ERR_OPTION: it is wrong */
void filter_mark(struct filter *f, struct packet_batch *b);     /* sets `filtered` */
void filter_free(struct filter *f);

/* libpcap's live handles speak of DLT_ values, saved captures of LINKTYPE_. */
uint16_t link_type_of_dlt(int dlt);

#endif
