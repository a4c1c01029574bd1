/* source_live.c - sniffing on interfaces, through libpcap
 *
 * The kernel fills a ring in blocks and gives each away when it is full or TIMEOUT has passed
 * (TPACKET_V3). Immediate mode would be quicker by that much, but takes libpcap back to TPACKET_V2,
 * where a slot has the size of the largest packet: with GRO some 32 packets fill the 2 MiB ring.
 *
 * So a packet is seen up to TIMEOUT after it came, and two interfaces' packets are in order only if
 * one waits for the other that long. A packet is copied once from the ring; with several interfaces
 * once more, when they are put in order.
 */
#include "limits.h"
#include "live_drops.h"
#include "mix.h"
#include "origin.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	TIMEOUT_MS = 100, TIMEOUT_OF_SEVERAL_MS = 20,
	/* Less than this left in a chunk when a batch begins: take another. 64 packets of 1,514 bytes. */
	CHUNK_WORTH_FILLING = 96 << 10,
	NOTICES = 8, NOTICE_BYTES = 256,
	BACKOFF_FIRST_S = 1, BACKOFF_LARGEST_S = 30
};

struct live;

/* Where one interface's packets come from. */
struct tap {
	struct lane lane;               /* first: a lane of ours is its tap */
	const char *name;
	pcap_t  *pcap;                  /* NULL: gone, and tried again at retry_ns */
	int      fd;                    /* to poll; -1: cannot be polled */
	uint16_t link_type, interface;
	uint32_t frac_ns;
	uint64_t frames;
	struct chunk_pool pool;
	struct chunk *chunk;
	size_t   used;
	struct packet spilled;          /* had no room in the batch: the next one's first */
	bool     has_spilled;
	int64_t  read_ns;               /* monotonic: when the lane was filled */

	int64_t  blind_since_ns, retry_ns, backoff_s, blind_ns;
	struct live_drops drops;
	struct bpf_program filter;      /* compiled once: names in it are looked up in files, and later none is to be had */
	bool     has_filter;
};

struct live {
	struct tap *taps;
	struct lane **lanes;
	struct pollfd *polled;
	unsigned n;
	struct source_options copy;     /* its texts are not kept */
	char    *filter;
	int64_t  timeout_ns;
	int64_t  stats_ns;              /* when they are asked next */
	int64_t  stopped_ns;            /* 0: not yet */
	struct mix mix;
	char     notices[NOTICES][NOTICE_BYTES];
	unsigned notice_first, n_notices;
};

static int64_t clock_ns(clockid_t which)
{
	struct timespec t = { 0, 0 };

	(void)clock_gettime(which, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void notice(struct live *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The oldest is forgotten where nobody asks. */
static void notice(struct live *v, const char *format, ...)
{
	unsigned at = (v->notice_first + v->n_notices) % NOTICES;
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(v->notices[at], NOTICE_BYTES, format, ap);
	va_end(ap);
	if (v->n_notices < NOTICES)
		v->n_notices++;
	else
		v->notice_first = (v->notice_first + 1) % NOTICES;
}

/* ---- opening ---- */

static enum err_code no_permission(const char *name, struct err *e)
{
	char self[300];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	self[n > 0 ? n : 0] = '\0';
	return err_set(e, ERR_PERMISSION, "%s: no permission to sniff (try: sudo setcap cap_net_raw+ep %s, or run as root)",
	               name, n > 0 ? self : "why502");
}

static enum err_code activation_error(const struct tap *t, pcap_t *p, int status, struct err *e)
{
	switch (status) {
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		return no_permission(t->name, e);
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return err_set(e, ERR_OPEN, "%s: no such interface (-D lists them)", t->name);
	case PCAP_ERROR_IFACE_NOT_UP:
		return err_set(e, ERR_OPEN, "%s: the interface is down", t->name);
	default:
		return err_set(e, ERR_OPEN, "%s: %s", t->name, status == PCAP_ERROR ? pcap_geterr(p) : pcap_statustostr(status));
	}
}

static void configure(const struct live *v, struct tap *t, pcap_t *p)
{
	const struct source_options *o = &v->copy;

	/* None of these can fail before the handle is active, but nanoseconds, which not all have. */
	(void)pcap_set_snaplen(p, o->snaplen != 0 ? (int)o->snaplen : LIMIT_PACKET_BYTES);
	(void)pcap_set_promisc(p, !o->no_promiscuous);
	(void)pcap_set_timeout(p, (int)(v->timeout_ns / NS_PER_MS));
	if (o->buffer_kib != 0)
		(void)pcap_set_buffer_size(p, o->buffer_kib < INT32_MAX / 1024 ? (int)(o->buffer_kib * 1024) : INT32_MAX);
	t->frac_ns = pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO) == 0 ? 1 : 1000;
}

/* On `any` each packet tells its interface only in the second version of the cooked head. */
static void prefer_sll2(pcap_t *p)
{
	if (pcap_datalink(p) == DLT_LINUX_SLL)
		(void)pcap_set_datalink(p, DLT_LINUX_SLL2);
}

static enum err_code set_filter(const struct live *v, struct tap *t, pcap_t *p, struct err *e)
{
	if (v->filter == NULL)
		return ERR_OK;
	if (!t->has_filter)
		t->has_filter = pcap_compile(p, &t->filter, v->filter, 1, PCAP_NETMASK_UNKNOWN) == 0;
	if (t->has_filter && pcap_setfilter(p, &t->filter) == 0)
		return ERR_OK;
	return err_set(e, ERR_OPTION, "filter '%.200s': %s", v->filter, pcap_geterr(p));
}

/* Opens and activates; t->pcap is set only when all went well. */
static enum err_code tap_open(const struct live *v, struct tap *t, struct err *e)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	pcap_t *p = pcap_create(t->name, why);
	int status;

	if (p == NULL)
		return err_set(e, ERR_OPEN, "%s: %s", t->name, why);
	configure(v, t, p);
	status = pcap_activate(p);
	if (status < 0)
		(void)activation_error(t, p, status, e);
	else
		prefer_sll2(p);
	if (e->code != ERR_OK || set_filter(v, t, p, e) != ERR_OK || pcap_setnonblock(p, 1, why) != 0) {
		(void)err_set(e, ERR_OPEN, "%s: %s", t->name, why);
		pcap_close(p);
		return e->code;
	}
	t->pcap = p;
	t->fd = pcap_get_selectable_fd(p);
	t->link_type = link_type_of_dlt(pcap_datalink(p));
	live_drops_open(&t->drops, t->name);
	return ERR_OK;
}

/* ---- an interface that goes away and comes back ---- */

static void tap_lost(struct live *v, struct tap *t)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	notice(v, "%s: %s; nothing is seen of it %s", t->name, pcap_geterr(t->pcap),
	       v->copy.no_reopening ? "any more (a full sandbox opens nothing again)" : "until it is back");
	live_drops_read(&t->drops, t->pcap);
	pcap_close(t->pcap);
	t->pcap = NULL;
	t->fd = -1;
	t->blind_since_ns = now;
	t->backoff_s = BACKOFF_FIRST_S;
	t->retry_ns = now + t->backoff_s * NS_PER_S;
}

static void tap_retry(struct live *v, struct tap *t, int64_t now)
{
	struct err ignored = { .code = ERR_OK };

	if (t->pcap != NULL || v->copy.no_reopening || now < t->retry_ns)
		return;
	if (tap_open(v, t, &ignored) == ERR_OK) {
		t->blind_ns += now - t->blind_since_ns;
		notice(v, "%s: is back after %lld s", t->name, (long long)((now - t->blind_since_ns) / NS_PER_S));
		return;
	}
	if (ignored.code == ERR_PERMISSION && t->backoff_s == BACKOFF_FIRST_S)
		notice(v, "%s", ignored.text);
	t->backoff_s = t->backoff_s * 2 < BACKOFF_LARGEST_S ? t->backoff_s * 2 : BACKOFF_LARGEST_S;
	t->retry_ns = now + t->backoff_s * NS_PER_S;
}

/* Once a second: counters, and what is gone is tried again. */
static void look_after(struct live *v)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	if (now < v->stats_ns)
		return;
	v->stats_ns = now + NS_PER_S;
	for (unsigned i = 0; i < v->n; i++) {
		if (v->taps[i].pcap != NULL)
			live_drops_read(&v->taps[i].drops, v->taps[i].pcap);
		tap_retry(v, &v->taps[i], now);
	}
}

/* ---- packets ---- */

/* Room for n bytes in the chunk of the batch, which may be another while the batch is empty. */
static bool tap_room(struct tap *t, size_t n)
{
	size_t want = t->lane.batch.n == 0 && n < CHUNK_WORTH_FILLING ? CHUNK_WORTH_FILLING : n;

	if (t->chunk != NULL && t->chunk->size - t->used >= want)
		return true;
	if (t->lane.batch.n > 0)
		return false;
	t->chunk = pool_next(&t->pool, CHUNK_BYTES, span_none());
	t->used = 0;
	return t->chunk != NULL && n <= CHUNK_BYTES;
}

static void keep_packet(struct tap *t, struct packet *to, const struct pcap_pkthdr *h, const u_char *bytes)
{
	*to = (struct packet){
		.bytes = t->chunk->bytes + t->used,
		.caplen = h->caplen,
		.len = h->len > h->caplen ? h->len : h->caplen,
		/* libpcap puts nanoseconds into tv_usec where asked to. */
		.time_ns = time_clamp((int64_t)h->ts.tv_sec * NS_PER_S, (int64_t)h->ts.tv_usec * t->frac_ns),
		.frame = ++t->frames,
		.link_type = t->link_type,
		.interface = t->interface,
	};
	memcpy(t->chunk->bytes + t->used, bytes, h->caplen);
	t->used += h->caplen;
}

/* From libpcap, for each packet; its bytes are the ring's and good for this call only. */
static void on_packet(u_char *self, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct tap *t = (struct tap *)(void *)self;
	struct packet_batch *b = &t->lane.batch;

	if (t->has_spilled)
		return;                         /* libpcap was told to stop after that one */
	if (tap_room(t, h->caplen)) {
		keep_packet(t, &b->packets[b->n++], h, bytes);
		return;
	}
	/* A batch has one chunk, so this one begins the next; the batch's own keeps the old one alive. */
	pcap_breakloop(t->pcap);
	if (b->n == 0)
		return;                         /* no memory: it is lost, as in a full ring */
	b->chunk = t->chunk;
	chunk_ref(b->chunk);
	t->chunk = pool_next(&t->pool, CHUNK_BYTES, span_none());
	t->used = 0;
	if (t->chunk == NULL || h->caplen > CHUNK_BYTES)
		return;
	t->has_spilled = true;
	keep_packet(t, &t->spilled, h, bytes);
}

/* Fills an empty lane from the ring. */
static void tap_read(struct live *v, struct tap *t)
{
	struct packet_batch *b = &t->lane.batch;
	int status;

	lane_clear(&t->lane);
	if (t->has_spilled) {
		b->packets[b->n++] = t->spilled;
		t->has_spilled = false;
	}
	status = t->pcap != NULL ? pcap_dispatch(t->pcap, (int)(PACKETS_PER_BATCH - b->n), on_packet, (u_char *)t) : 0;
	if (status == PCAP_ERROR)
		tap_lost(v, t);
	if (b->n == 0)
		return;
	if (b->chunk == NULL) {
		b->chunk = t->chunk;
		chunk_ref(b->chunk);
	}
	b->now_ns = b->packets[b->n - 1].time_ns;
	t->read_ns = clock_ns(CLOCK_MONOTONIC);
}

static void read_all(struct live *v)
{
	for (unsigned i = 0; i < v->n; i++)
		if (lane_is_empty(&v->taps[i].lane))
			tap_read(v, &v->taps[i]);
}

/* Whether the packets of the lanes may be handed on: none with an earlier time can come any more. */
static bool is_settled(const struct live *v)
{
	const struct tap *first = (const struct tap *)lanes_earliest(v->lanes, v->n);
	bool all = true;

	for (unsigned i = 0; i < v->n; i++)
		all = all && (!lane_is_empty(v->lanes[i]) || v->taps[i].pcap == NULL);
	/* An empty lane would have told by now of what came before: monotonic, as clocks are set. */
	return all || v->stopped_ns != 0 ||
	       (first != NULL && clock_ns(CLOCK_MONOTONIC) - first->read_ns > 2 * v->timeout_ns);
}

static bool hand_on(struct live *v, struct packet_batch *b)
{
	read_all(v);
	if (v->n == 1)
		return lane_hand_on(&v->taps[0].lane, INT64_MAX, b);
	return is_settled(v) && mix_lanes(&v->mix, v->lanes, v->n, INT64_MAX, b) && b->n > 0;
}

/* Waits for packets; false: nothing came. */
static bool wait_for_packets(struct live *v, int64_t wait_ns)
{
	int ms = (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS), ready;

	for (unsigned i = 0; i < v->n; i++) {
		bool asks = v->taps[i].fd >= 0 && lane_is_empty(&v->taps[i].lane);

		v->polled[i] = (struct pollfd){ .fd = asks ? v->taps[i].fd : -1, .events = POLLIN };
		if (v->taps[i].pcap != NULL && v->taps[i].fd < 0)
			ms = ms < 10 ? ms : 10;         /* cannot be polled: look every 10 ms */
		if (!lane_is_empty(&v->taps[i].lane))
			ms = ms < 10 ? ms : 10;         /* waits for the others, not for long */
	}
	ready = poll(v->polled, v->n, ms);
	return ready > 0;
}

/* Asked to stop: what came before is in the kernel's block until its timeout. */
static bool is_over(struct live *v)
{
	int64_t now;

	if (v->copy.stop == NULL || !*v->copy.stop)
		return false;
	now = clock_ns(CLOCK_MONOTONIC);
	if (v->stopped_ns == 0)
		v->stopped_ns = now;
	return now - v->stopped_ns > v->timeout_ns + v->timeout_ns / 4;
}

static enum source_status live_next(void *self, struct packet_batch *b, struct err *e)
{
	struct live *v = self;
	int64_t until = clock_ns(CLOCK_MONOTONIC) + TICK_MS * NS_PER_MS, left;

	(void)e;
	for (;;) {
		if (is_over(v))
			return SOURCE_END;
		look_after(v);
		if (hand_on(v, b))
			return SOURCE_PACKETS;
		left = until - clock_ns(CLOCK_MONOTONIC);
		if (left <= 0)
			break;
		(void)wait_for_packets(v, left);
	}
	/* Not the time now: packets of up to two timeouts ago are still in the ring or held for order. */
	b->now_ns = clock_ns(CLOCK_REALTIME) - 3 * v->timeout_ns;
	return SOURCE_TICK;
}

/* ---- as an origin ---- */

static void live_drops(void *self, struct source_counters *c)
{
	struct live *v = self;
	int64_t now = clock_ns(CLOCK_MONOTONIC), blind_ns = 0;

	for (unsigned i = 0; i < v->n; i++) {
		struct tap *t = &v->taps[i];

		if (t->pcap != NULL)
			live_drops_read(&t->drops, t->pcap);
		c->kernel_dropped += t->drops.kernel;
		c->interface_dropped += t->drops.interface;
		blind_ns += t->blind_ns + (t->pcap == NULL ? now - t->blind_since_ns : 0);
	}
	c->seconds_blind += (uint64_t)(blind_ns / NS_PER_S);
}

static const char *live_notice(void *self)
{
	struct live *v = self;
	unsigned at = v->notice_first;

	if (v->n_notices == 0)
		return NULL;
	v->notice_first = (at + 1) % NOTICES;
	v->n_notices--;
	return v->notices[at];
}

static void live_close(void *self)
{
	struct live *v = self;

	for (unsigned i = 0; v->taps != NULL && i < v->n; i++) {
		struct tap *t = &v->taps[i];

		if (t->pcap != NULL)
			pcap_close(t->pcap);
		live_drops_close(&t->drops);
		pcap_freecode(&t->filter);
		lane_clear(&t->lane);
		pool_clear(&t->pool);
	}
	mix_clear(&v->mix);
	free(v->taps);
	free(v->lanes);
	free(v->polled);
	free(v->filter);
	free(v);
}

static struct live *live_new(const struct source_options *o)
{
	struct live *v = calloc(1, sizeof *v);
	bool filters = o->filter != NULL && o->filter[0] != '\0';

	if (v == NULL)
		return NULL;
	v->copy = *o;
	v->n = o->n_interfaces;
	v->timeout_ns = (v->n > 1 ? TIMEOUT_OF_SEVERAL_MS : TIMEOUT_MS) * NS_PER_MS;
	v->taps = calloc(v->n, sizeof *v->taps);
	v->lanes = calloc(v->n, sizeof(struct lane *));
	v->polled = calloc(v->n, sizeof *v->polled);
	v->filter = filters ? strdup(o->filter) : NULL;
	for (unsigned i = 0; v->taps != NULL && i < v->n; i++)
		v->taps[i] = (struct tap){ .fd = -1, .drops.counter_fds = { -1, -1 } };
	if (v->taps != NULL && v->lanes != NULL && v->polled != NULL && (!filters || v->filter != NULL))
		return v;
	live_close(v);
	return NULL;
}

static enum err_code tap_begin(struct live *v, unsigned i, const char *name, struct interface_table *interfaces, struct err *e)
{
	struct tap *t = &v->taps[i];
	uint32_t snaplen = v->copy.snaplen != 0 ? v->copy.snaplen : LIMIT_PACKET_BYTES;

	t->name = name;
	v->lanes[i] = &t->lane;
	if (tap_open(v, t, e) != ERR_OK)
		return e->code;
	if (!interface_add(interfaces, span_text(name),
	                   (struct source_interface){ .link_type = t->link_type, .snaplen = snaplen }, &t->interface))
		return err_set(e, ERR_MEMORY, "%s: no memory to sniff", name);
	t->name = interfaces->rows[t->interface].name;
	return ERR_OK;
}

bool live_open(struct origin *out, const struct source_options *o, struct interface_table *interfaces, struct err *e)
{
	struct live *v = live_new(o);

	if (v == NULL)
		return err_set(e, ERR_MEMORY, "no memory to sniff") == ERR_OK;
	for (unsigned i = 0; i < v->n && e->code == ERR_OK; i++)
		(void)tap_begin(v, i, o->interfaces[i], interfaces, e);
	*out = (struct origin){ .next = live_next, .drops = live_drops, .notice = live_notice, .close = live_close, .self = v };
	return e->code == ERR_OK;       /* if not, source_close() ends it */
}

/* ---- -D ---- */

static const char *state_of(const pcap_if_t *d)
{
	if (d->flags & PCAP_IF_LOOPBACK)
		return "loopback";
	return (d->flags & PCAP_IF_RUNNING) ? "up" : (d->flags & PCAP_IF_UP) ? "up, no link" : "down";
}

enum err_code source_list_interfaces(void (*line)(void *ctx, const char *text), void *ctx, struct err *e)
{
	char why[PCAP_ERRBUF_SIZE] = "", text[512];
	pcap_if_t *all = NULL;

	if (pcap_findalldevs(&all, why) != 0)
		return err_set(e, ERR_OPEN, "interfaces: %s", why);
	for (const pcap_if_t *d = all; d != NULL; d = d->next) {
		(void)snprintf(text, sizeof text, "%s\t%s%s%s", d->name, d->description != NULL ? d->description : "",
		               d->description != NULL ? ", " : "", state_of(d));
		line(ctx, text);
	}
	pcap_freealldevs(all);
	return ERR_OK;
}
