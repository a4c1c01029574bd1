/* source.h - where packets come from: saved captures or live interfaces
 *
 *     struct source *s = source_open(&options, &err);
 *     while ((st = source_next(s, &batch, &err)) == SOURCE_PACKETS || st == SOURCE_TICK)
 *             decode(&batch);
 *     if (st == SOURCE_ERROR) ...    what was read before stands; err names file and packet
 *
 * Saved: pcap (us, ns, either byte order) and pcapng (any number of interfaces and link types),
 * plain or gz, zst, lz4 by content, `-` for stdin, a directory for its captures. Files that overlap
 * in time are merged by time stamp, others follow each other in the order of their first packets.
 * Live: libpcap; packets of several interfaces in order of arrival.
 */
#ifndef WHY502_SOURCE_H
#define WHY502_SOURCE_H

#include "err.h"
#include "packet.h"
#include "span.h"

#include <signal.h>

struct clock_shift { const char *file; int64_t shift_ns; };

/* For --since and --until. From the start: of the first packet read; from the end: of the newest, before which it lies. */
enum moment_kind { MOMENT_NONE, MOMENT_AT, MOMENT_FROM_START, MOMENT_FROM_END };
struct moment { enum moment_kind kind; int64_t ns; };

struct source_options {
	const char *const *files;        /* -r, in order */
	unsigned n_files;
	const char *const *interfaces;   /* -i; either files or interfaces */
	unsigned n_interfaces;
	const struct clock_shift *shifts; /* --clock FILE=+0.012s */
	unsigned n_shifts;
	const char *filter;              /* BPF text or NULL */
	struct moment since, until;      /* packets outside are marked as those that the filter leaves out */
	unsigned snaplen;                /* live; 0: 262144 */
	unsigned buffer_kib;             /* live; 0: libpcap's default */
	bool no_promiscuous;             /* -p */
	bool no_reopening;               /* live: an interface that goes away stays away, since nothing can be opened any more */
	uint64_t max_packets;            /* -c; 0: no end */
	const volatile sig_atomic_t *stop;  /* live: checked at least every 100 ms; may be NULL */
};

struct source_file {                 /* what capture.files of the report says */
	const char *name;
	uint64_t packets;
	int64_t  first_ns, last_ns;      /* 0 while there is none */
	int64_t  shift_ns;
};

struct source_interface {
	const char *name;                /* "" where the file does not say */
	uint16_t link_type;
	uint16_t file;
	uint32_t snaplen;
	const uint8_t *options;          /* what else the file says of it, as options of pcapng in little-endian order; NULL: nothing */
	uint16_t options_len;
};

struct source_counters {
	uint64_t packets, bytes;         /* read; bytes as captured */
	uint64_t truncated;              /* caplen < len */
	uint64_t time_went_back;
	uint64_t kernel_dropped, interface_dropped;
	uint64_t seconds_blind;          /* live: interfaces that were down */
};

/* TLS secrets found in the capture itself (pcapng Decryption Secrets Block, type TLS key log): each
 * call hands on one block's text, in file order, before the packets after it. */
typedef void source_secrets_fn(void *ctx, struct span keylog_text);

enum source_status { SOURCE_PACKETS, SOURCE_TICK, SOURCE_END, SOURCE_ERROR };

struct source;

struct source *source_open(const struct source_options *o, struct err *e);   /* NULL: e says why */
void source_on_secrets(struct source *s, source_secrets_fn *fn, void *ctx);

/* Fills b (clearing what it held). SOURCE_ERROR comes after all packets before the fault were handed
 * on; of several files, after all packets of the others too. SOURCE_TICK: nothing came for 100 ms, and
 * no packet with a time before b->now_ns can come any more: live that is some 300 ms ago; of a pipe it
 * is the time of its last packet, since a stalled pipe says nothing about time. */
enum source_status source_next(struct source *s, struct packet_batch *b, struct err *e);

/* Begins again: the same packets with the same numbers come once more, and secrets in them are told to nobody. Nothing
 * is opened for it. source_files() and source_counters() go on saying what the first reading came to. False: a pipe or
 * an interface, which cannot. */
bool source_again(struct source *s);
bool source_can_again(const struct source *s);
/* Bytes of its files that are read, and in all; false: not known. */
bool source_progress(const struct source *s, uint64_t *at, uint64_t *size);

unsigned source_files(const struct source *s, const struct source_file **files);
unsigned source_interfaces(const struct source *s, const struct source_interface **interfaces);
void source_counters(struct source *s, struct source_counters *c);
void source_close(struct source *s);

/* What a person should be told, once each: an interface went away or came back. NULL: nothing. The text
 * is good until the next call. */
const char *source_notice(struct source *s);

/* Interfaces that can be sniffed on, one `NAME\tDESCRIPTION` a call; for -D. */
enum err_code source_list_interfaces(void (*line)(void *ctx, const char *text), void *ctx, struct err *e);

#endif
