/* options.h - the command line, parsed once into a struct that is passed down
 *
 *     if (options_parse(&o, argc, argv, &err) != ERR_OK) …      err.text is one line: option and what is wrong
 *     options_help(out);  options_free(&o);
 *
 * The rows are in options.def.
 */
#ifndef WHY502_OPTIONS_H
#define WHY502_OPTIONS_H

#include "capture/sandbox.h"
#include "capture/source.h"
#include "report/censor.h"
#include "report/report.h"
#include "report/writer.h"

enum action {
	ACTION_RUN, ACTION_HELP, ACTION_VERSION, ACTION_LIST_INTERFACES, ACTION_LIST_CAUSES, ACTION_LIST_PRODUCTS,
	ACTION_EXPLAIN, ACTION_CAPTURE_HELP, ACTION_PRINT_SCHEMA, ACTION_PRINT_MANUAL
};
enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct words_list { const char **at; unsigned n; };     /* the strings are argv's, or owned where made here */

struct options {
	uint8_t action;                 /* enum action */
	struct words_list files, interfaces, keylogs, rsa_keys, outputs;
	char   *filter;                 /* owned; NULL: none */
	struct clock_shift *shifts; unsigned n_shifts;
	char  **owned; unsigned n_owned;        /* strings cut out of arguments */
	unsigned snaplen, buffer_kib;
	bool    no_promiscuous;
	struct moment since, until;
	uint64_t max_packets, max_incidents;    /* 0: no end */
	int64_t  max_duration_ns;
	struct gateway_option *gateways; unsigned n_gateways;
	struct endpoint *upstreams; unsigned n_upstreams;
	struct limit_option *limits; unsigned n_limits;
	uint8_t  status_wanted[600];
	uint32_t symptoms;
	bool     causes_unwanted[CAUSE_COUNT];
	uint32_t faults_unwanted;
	uint8_t  least_confidence;
	bool     exchanges;
	const char *match;
	const char *write, *write_each; /* -w, --write-each; NULL: not given */
	int64_t  write_window_ns;       /* negative: not given */
	bool     no_secrets;
	unsigned redact;                /* bits of enum redact */
	const struct writer *format;    /* -T; NULL: not given */
	bool     force, quiet, flush, ascii, show_secrets, stats, exit_zero, check_coding;
	bool     names;                 /* -N */
	uint8_t  zone;                  /* enum when_zone */
	uint8_t  color;                 /* enum color_when */
	uint8_t  group_by;              /* enum group_by */
	uint8_t  progress;              /* enum color_when: auto, always, never */
	unsigned verbose, top, threads; /* threads 0: by default */
	uint64_t max_memory;            /* bytes; 0: by default */
	uint8_t  sandbox;               /* enum sandbox_mode */
	const char *user;               /* whom root becomes; NULL: nobody */
	const char *selftest;           /* what the sandbox forbids, to be tried; NULL */
	const char *explain;            /* what to explain; of the manual: which part */
	bool     snaplen_short;         /* worth a warning */
};

enum err_code options_parse(struct options *o, int argc, char **argv, struct err *e);
void options_free(struct options *o);
void options_help(struct out *o);               /* one screen, from options.def */
void options_manual(struct out *o);             /* the manual page's part, in man(7) */

/* What shells complete, each in its own language. */
void completion_bash(struct out *out);
void completion_zsh(struct out *out);
void completion_fish(struct out *out);

/* "10.0.0.1", "10.0.0.1:80", "2001:db8::1", "[2001:db8::1]:80". */
bool endpoint_parse(struct span text, struct endpoint *e);
/* Digits only, no sign, no overflow. */
bool number_parse(struct span text, uint64_t *n);
/* "60", "1.5s", "200ms", "2m", "1h". */
bool duration_parse(struct span text, int64_t *ns);
/* "2026-01-31T12:00:00Z", "+90s" from the start, "-10m" before the end. */
bool moment_parse(struct span text, struct moment *m);
/* "512", "16k", "256M", "1G": powers of 1024, times `unit` where there is no suffix. */
bool size_parse(struct span text, uint64_t unit, uint64_t *bytes);

#endif
