/* why502.c - drives the flow: source, decoder, report, writers; prints errors; the only exit()
 *
 *     options → source_open → decode_new → report_new → loop → decode_end → report_end → writers
 */
#include "capture/limits.h"
#include "capture/rsa_keys.h"
#include "capture/secrets.h"
#include "confine.h"
#include "decode/decode.h"
#include "decode/disguise.h"
#include "options.h"
#include "progress.h"
#include "report/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

/* REPORT.md, Exit status. */
enum exit_status { EXIT_NOTHING = 0, EXIT_INCIDENTS = 1, EXIT_USAGE = 2, EXIT_TROUBLE = 3 };

enum { THREADS_BY_DEFAULT = 4, COLUMNS_DEFAULT = 100, COLUMNS_LEAST = 60, COLUMNS_MOST = 160, OUTPUTS_MAX = 16,
       LIVE_MEMORY_MIB = 256, MAP_RUNS_MAX = 4 << 20 };
#define KEYLOG_POLL_NS (50 * NS_PER_MS)

/* ---- errors: one line, which says where ---------------------------------------------------- */

/* File names and packets' words are input: nothing of them may act on a terminal. */
static void complain(const char *text)
{
	struct out *o = out_fd(STDERR_FILENO);
	struct page p = { .out = o, .width = UINT32_MAX };
	struct err ignored = { 0 };

	if (o == NULL)
		return;
	page_say(&p, "why502: ");
	page_say(&p, text);
	page_line(&p);
	(void)out_close(o, &ignored);
}

static enum exit_status usage(const struct err *e)
{
	complain(e->text);
	complain("Try --help");
	return EXIT_USAGE;
}

/* ---- signals: handlers set a flag ---------------------------------------------------------- */

/* The one place where C leaves no choice but variables of the file: a handler takes no argument. */
static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t counters_asked;
static volatile sig_atomic_t reopen_asked;

static void on_stop(int number)
{
	if (stop_asked) {               /* the second one: at once, as if we had no handler */
		signal(number, SIG_DFL);
		raise(number);
	}
	stop_asked = 1;
}

static void on_usr1(int number)
{
	(void)number;
	counters_asked = 1;
}

static void on_hup(int number)
{
	(void)number;
	reopen_asked = 1;
}

static void handle_signals(void)
{
	/* SA_NODEFER, so that the second signal ends even a handler's first; no SA_RESTART, so that a blocked read
	 * of a pipe comes back. */
	struct sigaction stop = { .sa_handler = on_stop, .sa_flags = (int)SA_NODEFER };
	struct sigaction usr1 = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGUSR1, &usr1, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);      /* ulimit -f: what is written beyond fails, and that is told */
}

/* What is opened must not get the number of a standard stream that is closed: a report would be written into a capture, an
 * error into a report. In its place comes what can be neither read from nor written to as that stream is. */
static void hold_standard_streams(void)
{
	static const int useless[] = { O_WRONLY, O_RDONLY, O_RDONLY };

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null", useless[fd]);   /* the lowest number that is free: this one */
}

/* ---- one run ------------------------------------------------------------------------------- */

struct output { const struct writer *writer; struct out *out; void *self; const char *path; };

/* Where in which file a packet lies: one entry for each stretch of packets of one file. */
struct stretch { uint64_t number, frame; uint16_t file; };
struct packet_map { struct stretch *at; size_t n, size; bool lost; };

struct run {
	const struct options *o;
	bool by_default;                /* neither a file nor an interface was named */
	bool live, piped;               /* piped: a capture that comes through a pipe, told as it is read */
	struct source *source;
	struct secrets *secrets;        /* TLS; NULL: none were given */
	int64_t polled_ns;              /* monotonic: when key logs were last read on */
	struct decode *decode;
	struct names *names;            /* -N; else NULL */
	struct report_builder *builder;
	struct output outputs[OUTPUTS_MAX];
	unsigned n_outputs;
	bool stdout_is_terminal;
	uint64_t told;                  /* incidents that closed */
	int64_t first_ns, last_ns, now_ns, began_ns;    /* began: monotonic */
	bool any_packet;
	struct packet_map map;
	struct confine confine;
	struct extract extract;         /* -w, --write-each */
	struct progress progress;
	struct disguise *disguise;      /* --redact addresses; else NULL */
	struct err trouble;             /* why the capture could not be read to its end */
};

static int64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- outputs ------------------------------------------------------------------------------- */

static unsigned terminal_columns(void)
{
	const char *text = getenv("COLUMNS");
	struct winsize w;
	uint64_t n = COLUMNS_DEFAULT;

	if (text == NULL || !number_parse(span_text(text), &n))
		n = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : COLUMNS_DEFAULT;
	return n < COLUMNS_LEAST ? COLUMNS_LEAST : n > COLUMNS_MOST ? COLUMNS_MOST : (unsigned)n;
}

static bool set(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0';
}

static bool colored(const struct options *o, bool terminal)
{
	const char *term = getenv("TERM"), *force = getenv("CLICOLOR_FORCE");

	if (o->color != COLOR_AUTO)
		return o->color == COLOR_ALWAYS;
	if (set("NO_COLOR"))                            /* no-color.org */
		return false;
	if (force != NULL && force[0] != '\0' && strcmp(force, "0") != 0)
		return true;
	return terminal && term != NULL && strcmp(term, "dumb") != 0;
}

static struct writer_options writer_options_of(const struct run *r, bool to_stdout)
{
	const struct options *o = r->o;
	bool terminal = to_stdout && r->stdout_is_terminal;

	return (struct writer_options){
		.version = PACKAGE_VERSION, .exchanges = o->exchanges, .show_secrets = o->show_secrets, .ascii = o->ascii,
		.color = to_stdout && colored(o, terminal), .terminal = terminal, .live = r->live || r->piped,
		.flush = o->flush || ((r->live || r->piped) && to_stdout), .quiet = o->quiet, .verbose = o->verbose,
		.columns = to_stdout ? terminal_columns() : COLUMNS_DEFAULT, .top = o->top, .names = r->names, .match = o->match,
		.when = { .zone = o->zone },
	};
}

static enum err_code begin_output(struct run *r, const struct writer *w, const char *path, struct err *e)
{
	struct output *out = &r->outputs[r->n_outputs];
	struct writer_options options = writer_options_of(r, path == NULL);

	if (r->n_outputs == OUTPUTS_MAX)
		return err_set(e, ERR_OPTION, "-o: at most %d outputs", OUTPUTS_MAX);
	out->writer = w;
	out->path = path;
	out->out = path == NULL ? out_fd(STDOUT_FILENO) : out_file(path, r->o->force, e);
	if (out->out == NULL)
		return err_set(e, ERR_MEMORY, "no memory");
	r->n_outputs++;                 /* from here on it is closed at the end */
	out->self = w->ops->begin(&options, out->out);
	return out->self != NULL ? ERR_OK : err_set(e, ERR_MEMORY, "no memory");
}

/* What goes to standard output: -T; else lines where incidents are told as they close. */
static const struct writer *stdout_format(const struct run *r)
{
	if (r->o->format != NULL)
		return r->o->format;
	return writer_named(r->live ? "line" : "text");
}

static enum err_code begin_outputs(struct run *r, struct err *e)
{
	bool to_stdout = r->o->outputs.n == 0 || r->live;

	for (unsigned i = 0; i < r->o->outputs.n; i++) {
		const char *path = r->o->outputs.at[i];
		const struct writer *w = writer_for_file(path);

		if (strcmp(path, "-") == 0)
			to_stdout = true;
		else if (begin_output(r, w != NULL ? w : r->o->format, path, e) != ERR_OK)
			return e->code;
	}
	return to_stdout ? begin_output(r, stdout_format(r), NULL, e) : ERR_OK;
}

static void end_outputs(struct run *r, const struct report *report, const struct run_info *info)
{
	for (unsigned i = 0; i < r->n_outputs; i++) {
		r->outputs[i].writer->ops->end(r->outputs[i].self, report, info);
		r->outputs[i].self = NULL;
	}
}

static bool close_outputs(struct run *r)
{
	bool good = true;

	for (unsigned i = 0; i < r->n_outputs; i++) {
		struct err e = { 0 };

		free(r->outputs[i].self);       /* begun, and never ended */
		if (out_close(r->outputs[i].out, &e) != ERR_OK) {
			complain(e.text);
			good = false;
		}
	}
	r->n_outputs = 0;
	return good;
}

static bool nobody_reads(const struct run *r)
{
	for (unsigned i = 0; i < r->n_outputs; i++)
		if (!out_broken(r->outputs[i].out))
			return false;
	return r->n_outputs > 0;
}

/* ---- what the report tells while facts come in --------------------------------------------- */

static void tell_exchange(void *ctx, const struct exchange_view *v)
{
	struct run *r = ctx;

	for (unsigned i = 0; i < r->n_outputs; i++)
		if (r->outputs[i].writer->ops->exchange != NULL)
			r->outputs[i].writer->ops->exchange(r->outputs[i].self, v);
}

static void tell_incident(void *ctx, const struct incident *one)
{
	struct run *r = ctx;

	r->told++;
	for (unsigned i = 0; i < r->n_outputs; i++)
		if (r->outputs[i].writer->ops->incident != NULL)
			r->outputs[i].writer->ops->incident(r->outputs[i].self, one);
}

static void tell_tick(struct run *r)
{
	for (unsigned i = 0; i < r->n_outputs; i++)
		if (r->outputs[i].writer->ops->tick != NULL)
			r->outputs[i].writer->ops->tick(r->outputs[i].self, r->now_ns);
}

static void take_facts(void *ctx, const struct fact_batch *b)
{
	struct run *r = ctx;

	censor_facts(b, r->o->redact);
	report_facts(r->builder, b);
}

/* ---- which packet lies in which file -------------------------------------------------------- */

static void map_packet(struct packet_map *m, const struct packet *p)
{
	const struct stretch *last = m->n > 0 ? &m->at[m->n - 1] : NULL;
	struct stretch *more;

	if (m->lost || (last != NULL && last->file == p->file && p->frame - last->frame == p->number - last->number))
		return;
	if (m->n == m->size) {
		size_t size = m->size > 0 ? m->size * 2 : 64;

		more = size <= MAP_RUNS_MAX ? reallocarray(m->at, size, sizeof *more) : NULL;
		if (more == NULL) {             /* files that alternate packet by packet, for millions */
			m->lost = true;
			return;
		}
		m->at = more;
		m->size = size;
	}
	m->at[m->n++] = (struct stretch){ p->number, p->frame, p->file };
}

static bool locate(void *ctx, uint64_t number, unsigned *file, uint64_t *frame)
{
	const struct packet_map *m = ctx;
	size_t low = 0, high = m->n;

	while (low < high) {            /* the last stretch that begins at or before it */
		size_t mid = low + (high - low) / 2;

		if (m->at[mid].number <= number)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || m->lost)
		return false;
	*file = m->at[low - 1].file;
	*frame = m->at[low - 1].frame + (number - m->at[low - 1].number);
	return true;
}

/* ---- reading ------------------------------------------------------------------------------- */

static void note_packets(struct run *r, const struct packet_batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		int64_t t = b->packets[i].time_ns;

		if (!r->any_packet || t < r->first_ns)
			r->first_ns = t;
		if (!r->any_packet || t > r->last_ns)
			r->last_ns = t;
		r->any_packet = true;
		if (r->o->files.n > 0)
			map_packet(&r->map, &b->packets[i]);
	}
	r->now_ns = b->now_ns;
}

static void print_counters(struct run *r)
{
	struct source_counters s;
	struct decode_counters d;
	char text[400], packets[WHEN_TEXT], bytes[WHEN_TEXT];

	source_counters(r->source, &s);
	decode_counters(r->decode, &d);
	(void)snprintf(text, sizeof text, "%s packets, %s; %" PRIu64 " connections, %" PRIu64 " exchanges, %" PRIu64
	               " incidents; %" PRIu64 " dropped by kernel, %" PRIu64 " by interface", count_text(s.packets, packets),
	               bytes_text(s.bytes, bytes), d.connections, d.exchanges, r->told, s.kernel_dropped, s.interface_dropped);
	complain(text);
}

/* An interface went away, or came back. */
static void say_notices(struct run *r)
{
	for (const char *text; (text = source_notice(r->source)) != NULL; )
		if (!r->o->quiet)
			complain(text);
}

static bool time_to_stop(const struct run *r)
{
	const struct options *o = r->o;

	if (stop_asked || nobody_reads(r))
		return true;
	if (o->max_incidents > 0 && r->told >= o->max_incidents)
		return true;
	if (o->max_duration_ns == 0)
		return false;
	return r->live ? monotonic_ns() - r->began_ns >= o->max_duration_ns
	               : since_ns(r->first_ns, r->last_ns) >= o->max_duration_ns;
}

/* Key logs grow while we listen. */
static void follow_keylogs(struct run *r)
{
	int64_t now;

	if (!r->live && !r->piped)
		return;
	now = monotonic_ns();
	if (!reopen_asked && now - r->polled_ns < KEYLOG_POLL_NS)
		return;
	reopen_asked = 0;
	r->polled_ns = now;
	secrets_poll(r->secrets);
}

/* The next packets, with the addresses that the report is to have. */
static enum source_status next_packets(struct run *r, struct packet_batch *b, struct err *e)
{
	enum source_status st = source_next(r->source, b, e);

	for (unsigned i = 0; r->disguise != NULL && st == SOURCE_PACKETS && i < b->n; i++)
		disguise_packet(r->disguise, &b->packets[i]);
	return st;
}

/* A bar on a terminal that a report is written to as well would be in its way. */
static bool progress_wanted(const struct run *r)
{
	const struct options *o = r->o;
	const char *term = getenv("TERM");

	if (o->progress != COLOR_AUTO)
		return o->progress == COLOR_ALWAYS;
	return !r->live && !r->piped && !o->quiet && isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0 &&
	       !(o->exchanges && r->stdout_is_terminal);
}

static void show_progress(struct run *r)
{
	uint64_t at, size;
	struct source_counters c;

	if (!progress_due(&r->progress) || !source_progress(r->source, &at, &size))
		return;
	source_counters(r->source, &c);
	progress_show(&r->progress, at, size, c.packets);
}

static void read_all(struct run *r)
{
	struct packet_batch batch = { 0 };
	enum source_status st;

	while (!time_to_stop(r)) {
		st = next_packets(r, &batch, &r->trouble);
		show_progress(r);
		say_notices(r);
		if (st != SOURCE_PACKETS && st != SOURCE_TICK)
			break;
		note_packets(r, &batch);
		follow_keylogs(r);
		decode_packets(r->decode, &batch);
		if (r->live || r->piped)
			tell_tick(r);
		if (counters_asked) {
			counters_asked = 0;
			progress_end(&r->progress);
			print_counters(r);
		}
	}
	batch_clear(&batch);
}

/* ---- beginning and ending ------------------------------------------------------------------ */

static struct source_options source_options_of(const struct options *o)
{
	return (struct source_options){
		.files = o->files.at, .n_files = o->files.n, .interfaces = o->interfaces.at, .n_interfaces = o->interfaces.n,
		.shifts = o->shifts, .n_shifts = o->n_shifts, .filter = o->filter, .since = o->since, .until = o->until, .snaplen = o->snaplen,
		.buffer_kib = o->buffer_kib, .no_promiscuous = o->no_promiscuous, .no_reopening = !confine_reopens(o),
		.max_packets = o->max_packets, .stop = &stop_asked,
	};
}

static unsigned threads_by_default(const struct run *r)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (r->live || n < 1)
		return 1;
	return n < THREADS_BY_DEFAULT ? (unsigned)n : THREADS_BY_DEFAULT;
}

/* With an RSA key alone a session that is resumed is opened by what an earlier connection gave away: in their order, or by chance. */
static unsigned threads_of(const struct run *r)
{
	return r->o->rsa_keys.n > 0 ? 1 : r->o->threads != 0 ? r->o->threads : threads_by_default(r);
}

/* --max-memory, or live what leaves the gateway its own; 0: as each part thinks fit. */
static size_t memory_of(const struct run *r)
{
	return r->o->max_memory != 0 ? (size_t)r->o->max_memory : r->live ? (size_t)LIVE_MEMORY_MIB << 20 : 0;
}

/* Of that, what incidents may take (some 7 KB each); connections and what they say have the rest. */
static size_t incident_bytes(const struct run *r)
{
	size_t share = memory_of(r) / 4;

	return share < LIMIT_INCIDENT_BYTES ? share : LIMIT_INCIDENT_BYTES;
}

static struct decode_options decode_options_of(const struct run *r)
{
	return (struct decode_options){
		.threads = threads_of(r),
		.exchanges = r->o->exchanges || r->o->match != NULL,
		.max_memory = memory_of(r) - incident_bytes(r),
		.secrets = r->secrets, .check_coding = r->o->check_coding,
	};
}

/* A capture that carries secrets may carry more. */
static void take_secrets(void *ctx, struct span keylog_text)
{
	struct run *r = ctx;

	secrets_set_may_come(r->secrets);
	secrets_text(r->secrets, keylog_text);
}

static void warn_of(const struct run *r, const char *path, const char *what)
{
	char text[300];

	if (path == NULL || r->o->quiet)
		return;
	(void)snprintf(text, sizeof text, "%.200s: %s", path, what);
	complain(text);
}

/* Read before the sandbox is closed: they are the user's own, and libcrypto parses them. */
static enum err_code begin_rsa_keys(struct run *r, struct err *e)
{
	struct rsa_keys *keys = r->o->rsa_keys.n > 0 ? rsa_keys_new() : NULL;

	if (r->o->rsa_keys.n == 0)
		return ERR_OK;
	if (keys == NULL)
		return err_set(e, ERR_MEMORY, "no memory");
	secrets_set_rsa(r->secrets, keys);
	for (unsigned i = 0; i < r->o->rsa_keys.n; i++)
		if (rsa_keys_file(keys, r->o->rsa_keys.at[i], e) != ERR_OK)
			return e->code;
	warn_of(r, rsa_keys_exposed(keys), "others than its owner can read this key");
	return ERR_OK;
}

static enum err_code begin_secrets(struct run *r, struct err *e)
{
	r->secrets = secrets_new();
	if (r->secrets == NULL)
		return err_set(e, ERR_MEMORY, "no memory");
	for (unsigned i = 0; i < r->o->keylogs.n; i++)
		if (secrets_file(r->secrets, r->o->keylogs.at[i], e) != ERR_OK)
			return e->code;
	if (r->o->keylogs.n > 0 && (r->live || r->piped)) {
		struct sigaction hup = { .sa_handler = on_hup, .sa_flags = SA_RESTART };

		sigaction(SIGHUP, &hup, NULL);  /* logrotate's; without a key log it ends us as ever */
		secrets_set_may_come(r->secrets);
	}
	source_on_secrets(r->source, take_secrets, r);
	warn_of(r, secrets_exposed(r->secrets), "others than its owner can read this key log");
	return begin_rsa_keys(r, e);
}

/* The hosts file is read before the first packet. */
static enum err_code begin_names(struct run *r, struct err *e)
{
	if (!r->o->names)
		return ERR_OK;
	r->names = names_new();
	if (r->names == NULL)
		return err_set(e, ERR_MEMORY, "no memory");
	names_hosts_file(r->names, _PATH_HOSTS);
	return ERR_OK;
}

static enum err_code begin_report(struct run *r, struct err *e)
{
	const struct options *o = r->o;
	struct report_options options = {
		.gateways = o->gateways, .n_gateways = o->n_gateways, .upstreams = o->upstreams, .n_upstreams = o->n_upstreams,
		.limits = o->limits, .n_limits = o->n_limits, .symptoms = o->symptoms,
		.exchanges = o->exchanges || o->match != NULL, .live = r->live || r->piped, .names = r->names,
		.filter = r->disguise == NULL ? o->filter : NULL, .max_incidents = LIMIT_INCIDENTS, .max_bytes = incident_bytes(r), .faults_unwanted = o->faults_unwanted, .least_confidence = o->least_confidence,
		.group_by = o->group_by,
	};
	struct report_events events = { r, tell_exchange, tell_incident };

	memcpy(options.status_wanted, o->status_wanted, sizeof options.status_wanted);
	memcpy(options.causes_unwanted, o->causes_unwanted, sizeof options.causes_unwanted);
	r->builder = report_new(&options, &events, e);
	return r->builder != NULL ? ERR_OK : err_set(e, ERR_MEMORY, "no memory");
}

static enum err_code begin_decode(struct run *r, const struct decode_options *options, struct err *e)
{
	r->decode = decode_new(options, (struct fact_sink){ r, take_facts }, e);
	return r->decode != NULL ? ERR_OK : err_set(e, ERR_MEMORY, "no memory");
}

static void say_confined(const struct run *r)
{
	const char *lacks = confine_lacks(&r->confine);
	char text[400];

	if (lacks == NULL || r->o->quiet)
		return;
	(void)snprintf(text, sizeof text, "the sandbox is partial: %s", lacks);
	complain(text);
}

/* What the user said of addresses is meant of those that the packets have. */
static void disguise_options(struct disguise *d, const struct options *o)
{
	for (unsigned i = 0; i < o->n_gateways; i++) {
		struct gateway_option *g = &o->gateways[i];

		disguise_address(d, g->front.address);
		for (unsigned k = 0; k < g->n_backs; k++)
			disguise_address(d, g->backs[k].address);
	}
	for (unsigned i = 0; i < o->n_upstreams; i++)
		disguise_address(d, o->upstreams[i].address);
}

static enum err_code begin_disguise(struct run *r, struct err *e)
{
	if ((r->o->redact & REDACT_ADDRESSES) == 0)
		return ERR_OK;
	r->disguise = disguise_new();
	if (r->disguise == NULL)
		return err_set(e, ERR_MEMORY, "no memory");
	disguise_options(r->disguise, r->o);
	return ERR_OK;
}

static enum err_code begin_extract(struct run *r, struct err *e)
{
	if (!extract_wanted(r->o))
		return ERR_OK;
	if (!source_can_again(r->source))
		return err_set(e, ERR_OPTION, "%s: a capture is read twice for it, which a pipe cannot be: save it first",
		               r->o->write != NULL ? "-w" : "--write-each");
	return extract_begin(&r->extract, r->o, e);
}

/* All is open: first what must come before threads is given up, then the threads begin, then the rest. What strangers wrote is
 * read after this. */
static enum err_code begin_confined(struct run *r, struct err *e)
{
	struct decode_options options = decode_options_of(r);   /* reads of the machine */
	struct out *outputs[OUTPUTS_MAX + 1];
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_outputs; i++)
		outputs[n++] = r->outputs[i].out;
	if (r->extract.whole != NULL)
		outputs[n++] = r->extract.whole;
	if (confine_drop(&r->confine, r->o, outputs, n, r->secrets, r->live || r->piped, &r->extract, e) != ERR_OK ||
	    begin_decode(r, &options, e) != ERR_OK || confine_close(&r->confine, e) != ERR_OK)
		return e->code;
	say_confined(r);
	secrets_poll(r->secrets);
	return ERR_OK;
}

/* --selftest-sandbox: what is killed does not come back, and what is refused is told. */
static enum exit_status try_sandbox(struct run *r)
{
	struct packet_batch batch = { 0 };
	char text[100];
	int why;

	(void)source_next(r->source, &batch, &r->trouble);
	batch_clear(&batch);
	why = confine_try(&r->confine);
	(void)snprintf(text, sizeof text, "sandbox %s: %s: %s", confine_state(&r->confine), r->o->selftest,
	               why != 0 ? strerror(why) : "is possible");
	complain(text);
	return why != 0 ? EXIT_NOTHING : EXIT_INCIDENTS;
}

static void say_listening(const struct run *r)
{
	char text[300], names[200] = "";

	for (unsigned i = 0; i < r->o->interfaces.n; i++)
		(void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i > 0 ? ", " : "", r->o->interfaces.at[i]);
	(void)snprintf(text, sizeof text, "listening on %s, %s; ^C reports", names,
	               r->o->n_gateways > 0 ? "the gateway as told" : "any gateway");
	complain(text);
}

/* tcpdump's three lines. */
static void say_captured(const struct run *r)
{
	struct source_counters s;

	source_counters(r->source, &s);
	(void)fprintf(stderr, "%" PRIu64 " packets captured\n%" PRIu64 " packets received by filter\n%" PRIu64
	              " packets dropped by kernel\n", s.packets, s.packets + s.kernel_dropped, s.kernel_dropped);
}

static void say_stats(const struct run *r, const struct report *report)
{
	const struct decode_counters *d = &report->decode;
	char peak[WHEN_TEXT], took[WHEN_TEXT];

	(void)fprintf(stderr, "%" PRIu64 " connections, %" PRIu64 " exchanges, %" PRIu64 " requests, %" PRIu64 " incidents, %" PRIu64
	              " healed, in %s; %s at most held by the decoder, %" PRIu64 " connections given up\n", report->connections,
	              report->exchanges, report->requests, report->total_incidents, report->healed,
	              duration_text(monotonic_ns() - r->began_ns, took), bytes_text(d->memory_peak, peak), d->evicted);
	for (unsigned i = 0; i < d->n_limits; i++)
		(void)fprintf(stderr, "limit %s: %" PRIu64 "\n", d->limits[i].name, d->limits[i].count);
}

static struct run_info info_of(struct run *r)
{
	struct run_info info = {
		.version = PACKAGE_VERSION, .live = r->live, .interfaces = r->o->interfaces.at, .n_interfaces = r->o->interfaces.n,
		.first_ns = r->first_ns, .last_ns = r->last_ns, .sandbox = confine_state(&r->confine),
		.trouble = r->trouble.code != ERR_OK ? r->trouble.text : NULL,
	};

	if (r->source == NULL)
		return info;
	info.n_files = source_files(r->source, &info.files);
	source_counters(r->source, &info.counters);
	if (info.n_files > 1) {
		info.locate = locate;
		info.locate_ctx = &r->map;
	}
	return info;
}

/* Live, lines were told as incidents closed: who watches a terminal wants the whole story at the end. */
static void report_after_lines(struct run *r, const struct report *report, const struct run_info *info)
{
	struct writer_options options = writer_options_of(r, true);
	struct out *out;
	void *self;
	struct err e = { 0 };

	if (!r->live || !r->stdout_is_terminal || r->o->quiet || strcmp(stdout_format(r)->name, "line") != 0)
		return;
	out = out_fd(STDOUT_FILENO);
	if (out == NULL)
		return;
	options.exchanges = false;
	options.match = NULL;
	out_char(out, '\n');
	self = writer_text.begin(&options, out);
	if (self != NULL)
		writer_text.end(self, report, info);
	(void)out_close(out, &e);
}

/* ---- a second look -------------------------------------------------------------------------- */

/* Behind the last packet of interest: a closing that belongs to it comes soon, or not at all. */
#define SOON_NS (300 * NS_PER_MS)

static void take_facts_again(void *ctx, const struct fact_batch *b)
{
	struct run *r = ctx;

	censor_facts(b, r->o->redact);
	report_facts_again(r->builder, b);
}

static void read_doubts(struct run *r, const struct doubts *doubts, struct decode *decode)
{
	struct packet_batch batch = { 0 };
	struct err ignored = { 0 };

	while (!stop_asked && next_packets(r, &batch, &ignored) == SOURCE_PACKETS) {
		decode_packets(decode, &batch);
		if (batch.packets[0].number > doubts->last.packet && batch.packets[0].time_ns > doubts->last.time_ns + SOON_NS)
			break;
	}
	batch_clear(&batch);
	decode_end(decode);
}

/* Bodies are not read, but for a few of which the report wants to know what was in them. */
static void look_again(struct run *r, struct decode_counters *counters)
{
	struct decode_options options = decode_options_of(r);
	struct decode_counters again;
	struct doubts doubts;
	struct decode *decode;
	struct err ignored = { 0 };

	if (r->live || r->piped || options.check_coding || stop_asked || !report_doubts(r->builder, counters, &doubts) ||
	    !source_again(r->source))
		return;
	options.threads = 1;
	options.exchanges = false;
	options.check_coding = true;
	options.only = doubts.ends;
	options.n_only = doubts.n;
	decode = decode_new(&options, (struct fact_sink){ r, take_facts_again }, &ignored);
	if (decode == NULL)
		return;
	read_doubts(r, &doubts, decode);
	decode_counters(decode, &again);
	for (unsigned i = 0; i < again.n_limits; i++)
		if (strcmp(again.limits[i].name, "decompression") == 0)
			counters_limit(counters, again.limits[i].name, again.limits[i].count);
	decode_free(decode);
}

/* Once the report is told, since that is what is waited for. */
static bool write_packets(struct run *r, const struct report *report, const struct run_info *info)
{
	struct writer_options writer = writer_options_of(r, false);
	struct extract_job job = { r->source, r->secrets, r->disguise, report, info, &writer, &stop_asked };
	struct err e = { 0 };

	if (!extract_wanted(r->o))
		return true;
	(void)extract_write(&r->extract, &job, &e);
	(void)extract_end(&r->extract, &e);
	if (e.code != ERR_OK)
		complain(e.text);
	return e.code == ERR_OK;
}

static enum exit_status finish(struct run *r)
{
	struct decode_counters counters;
	const struct report *report;
	struct run_info info;
	uint64_t incidents;
	bool written;

	decode_end(r->decode);
	decode_counters(r->decode, &counters);
	decode_free(r->decode);         /* its memory is what a second decoder may have */
	r->decode = NULL;
	look_again(r, &counters);
	report = report_end(r->builder, &counters);
	info = info_of(r);
	end_outputs(r, report, &info);
	incidents = report->total_incidents;
	written = close_outputs(r);
	written = write_packets(r, report, &info) && written;
	report_after_lines(r, report, &info);
	if (r->live)
		say_captured(r);
	if (r->o->stats)
		say_stats(r, report);
	if (secrets_rsa(r->secrets) != NULL)
		warn_of(r, rsa_keys_unfit(secrets_rsa(r->secrets)), "no key exchange in this capture was made for this key");
	if (r->trouble.code != ERR_OK)
		complain(r->trouble.text);
	if (r->trouble.code != ERR_OK || !written)
		return EXIT_TROUBLE;
	return incidents > 0 && !r->o->exit_zero ? EXIT_INCIDENTS : EXIT_NOTHING;
}

/* A program that reads standard output is told that there is nothing in it, and why. */
static void report_nothing(struct run *r)
{
	static const struct report nothing;
	const struct writer *w = stdout_format(r);
	struct run_info info = info_of(r);
	struct err ignored = { 0 };

	if (!w->ops->machine || r->o->outputs.n > 0 || begin_output(r, w, NULL, &ignored) != ERR_OK)
		return;
	w->ops->end(r->outputs[0].self, &nothing, &info);
	r->outputs[0].self = NULL;
	(void)close_outputs(r);
}

static enum exit_status could_not_open(struct run *r, const struct err *e)
{
	const char *hint = e->code == ERR_PERMISSION && strstr(e->text, "setcap") == NULL ?
	                   " (run as root, or once: sudo setcap cap_net_raw+ep why502)" : "";
	struct err whole = { 0 };

	if (r->by_default)
		err_set(&whole, ERR_OPTION, "no capture is named (-r FILE), nor an interface (-i IF), and of all: %s%s", e->text, hint);
	else
		err_set(&whole, e->code, "%s%s", e->text, hint);
	if (whole.code == ERR_OPTION)
		return usage(&whole);
	r->trouble = whole;
	report_nothing(r);
	complain(whole.text);
	return EXIT_TROUBLE;
}

static void clear(struct run *r)
{
	struct err ignored = { 0 };

	(void)close_outputs(r);
	if (extract_wanted(r->o))
		(void)extract_end(&r->extract, &ignored);
	if (r->decode != NULL)
		decode_free(r->decode);
	if (r->builder != NULL)
		report_free(r->builder);
	confine_end(&r->confine);
	if (r->source != NULL)
		source_close(r->source);
	secrets_free(r->secrets);
	names_free(r->names);
	disguise_free(r->disguise);
	free(r->map.at);
}

static enum exit_status drive(struct run *r)
{
	struct source_options source = source_options_of(r->o);
	struct err e = { 0 };

	if (sandbox_check_user(r->o->user, &e) != ERR_OK)
		return usage(&e);
	r->source = source_open(&source, &e);
	if (r->source == NULL)
		return could_not_open(r, &e);
	if (begin_secrets(r, &e) != ERR_OK || begin_names(r, &e) != ERR_OK || begin_outputs(r, &e) != ERR_OK ||
	    begin_extract(r, &e) != ERR_OK || begin_disguise(r, &e) != ERR_OK || begin_report(r, &e) != ERR_OK || begin_confined(r, &e) != ERR_OK) {
		complain(e.text);
		return e.code == ERR_OPTION ? EXIT_USAGE : EXIT_TROUBLE;
	}
	if (r->o->selftest != NULL)
		return try_sandbox(r);
	if (r->live)
		say_listening(r);
	r->began_ns = monotonic_ns();
	progress_begin(&r->progress, progress_wanted(r));
	read_all(r);
	progress_end(&r->progress);
	return finish(r);
}

static enum exit_status analyse(struct options *o)
{
	struct run r = { .o = o };
	enum exit_status status;
	static const char *any[] = { "any" };

	r.live = o->files.n == 0;
	r.piped = o->files.n == 1 && strcmp(o->files.at[0], "-") == 0 && !isatty(STDIN_FILENO);
	r.stdout_is_terminal = isatty(STDOUT_FILENO) == 1;
	if (r.live && o->interfaces.n == 0) {
		struct words_list none = o->interfaces;

		o->interfaces = (struct words_list){ any, 1 };
		r.by_default = true;
		status = drive(&r);
		o->interfaces = none;
	} else {
		if (o->snaplen_short && r.live)
			complain("a snaplen below 512 cuts header sections: some causes cannot be told");
		status = drive(&r);
	}
	clear(&r);
	return status;
}

/* ---- what is printed without a capture ------------------------------------------------------ */

static void print_version(struct out *o)
{
	char sandbox[200];

	sandbox_describe(sandbox, sizeof sandbox);
	out_format(o, "why502 %s\n%s\nsandbox: %s\n", PACKAGE_VERSION, pcap_lib_version(), sandbox);
}

static void list_interface(void *ctx, const char *text)
{
	out_text(ctx, text);
	out_char(ctx, '\n');
}

static enum exit_status list_interfaces(struct out *o)
{
	struct err e = { 0 };

	if (source_list_interfaces(list_interface, o, &e) == ERR_OK)
		return EXIT_NOTHING;
	complain(e.text);
	return EXIT_TROUBLE;
}

/* docs/why502.1 holds the first four between marks (tests/cli.sh compares); the others are installed as files of their own. */
static enum exit_status print_manual(const char *part, struct out *o)
{
	static const struct { const char *name; void (*print)(struct out *o); } parts[] = {
		{ "options", options_manual }, { "formats", manual_formats }, { "causes", manual_causes },
		{ "products", manual_products }, { "bash", completion_bash }, { "zsh", completion_zsh }, { "fish", completion_fish },
	};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (strcmp(part, parts[i].name) == 0) {
			parts[i].print(o);
			return EXIT_NOTHING;
		}
	}
	complain("--print-manual: wants options, formats, causes, products, bash, zsh or fish");
	return EXIT_USAGE;
}

static enum exit_status print_action(const struct options *o, struct out *out)
{
	struct page p = { .out = out, .width = terminal_columns(), .color = colored(o, isatty(STDOUT_FILENO) == 1), .ascii = o->ascii };

	switch ((enum action)o->action) {
	case ACTION_HELP:            options_help(out); break;
	case ACTION_VERSION:         print_version(out); break;
	case ACTION_LIST_CAUSES:     list_causes(&p); break;
	case ACTION_LIST_PRODUCTS:   list_products(&p); break;
	case ACTION_CAPTURE_HELP:    capture_help(&p); break;
	case ACTION_PRINT_SCHEMA:    print_schema(out); break;
	case ACTION_PRINT_MANUAL:    return print_manual(o->explain, out);
	case ACTION_LIST_INTERFACES: return list_interfaces(out);
	case ACTION_EXPLAIN:
		if (!explain(&p, o->explain)) {
			complain("--explain: no such cause, and no gateway that is known says this (--list-causes)");
			return EXIT_USAGE;
		}
		break;
	case ACTION_RUN: break;
	}
	return EXIT_NOTHING;
}

static enum exit_status print_and_end(const struct options *o)
{
	struct out *out = out_fd(STDOUT_FILENO);
	enum exit_status status;
	struct err e = { 0 };

	if (out == NULL)
		return EXIT_TROUBLE;
	status = print_action(o, out);
	if (out_close(out, &e) != ERR_OK) {
		complain(e.text);
		return EXIT_TROUBLE;
	}
	return status;
}

int main(int argc, char **argv)
{
	struct options o;
	struct err e = { 0 };
	enum exit_status status;

	tzset();                        /* before anything is closed off: -t ad */
	hold_standard_streams();
	handle_signals();
	if (options_parse(&o, argc, argv, &e) != ERR_OK)
		status = usage(&e);
	else
		status = o.action == ACTION_RUN ? analyse(&o) : print_and_end(&o);
	options_free(&o);
	return (int)status;
}
