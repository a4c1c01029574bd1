#include "options.h"

#include "capture/limits.h"
#include "report/gateways.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILTER_FILE_MAX = 64 << 10, TOP_DEFAULT = 10, LONG_ONLY = 256, HELP_COLUMN = 31, SNAPLEN_LOW = 512,
       THREADS_MAX = 16, MEMORY_LEAST_MIB = 16 };

/* ---- numbers ------------------------------------------------------------------------------- */

bool number_parse(struct span text, uint64_t *n)
{
	uint64_t v = 0;

	if (text.len == 0)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text.at[i] - '0'), &v))
			return false;
	}
	*n = v;
	return true;
}

/* Digits, a point, at most nine digits; in units of `unit_ns`. */
static bool decimal_parse(struct span text, uint64_t unit_ns, int64_t *ns)
{
	size_t point = span_index(text, '.');
	struct span fraction = span_from(text, point + 1);
	uint64_t whole = 0, part = 0, scale = unit_ns, v;

	if (point < text.len && (fraction.len == 0 || fraction.len > 9))
		return false;
	if (!number_parse(span_first(text, point), &whole) || (fraction.len > 0 && !number_parse(fraction, &part)))
		return false;
	for (size_t i = 0; i < fraction.len; i++) {     /* part * unit / 10^digits, without overflow */
		if (scale % 10 != 0)
			part /= 10;
		else
			scale /= 10;
	}
	if (__builtin_mul_overflow(whole, unit_ns, &v) || __builtin_add_overflow(v, part * scale, &v) || v > INT64_MAX)
		return false;
	*ns = (int64_t)v;
	return true;
}

bool duration_parse(struct span text, int64_t *ns)
{
	static const struct { const char *suffix; uint64_t ns; } units[] = {
		{ "ms", 1000000 }, { "us", 1000 }, { "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 },
	};

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		size_t n = strlen(units[i].suffix);

		if (text.len > n && span_is(span_from(text, text.len - n), units[i].suffix))
			return decimal_parse(span_first(text, text.len - n), units[i].ns, ns);
	}
	return decimal_parse(text, 1000000000, ns);
}

/* Takes `digits` of them off the front. */
static bool digits_take(struct span *text, size_t digits, unsigned least, unsigned most, unsigned *n)
{
	uint64_t v;

	if (text->len < digits || !number_parse(span_first(*text, digits), &v) || v < least || v > most)
		return false;
	*text = span_from(*text, digits);
	*n = (unsigned)v;
	return true;
}

static bool mark_take(struct span *text, char mark)
{
	if (ascii_lower(span_at(*text, 0)) != (uint8_t)mark)
		return false;
	*text = span_from(*text, 1);
	return true;
}

/* "Z", "+01:00": seconds that local time is ahead of UTC. */
static bool zone_take(struct span text, int64_t *ahead_s)
{
	bool minus = span_at(text, 0) == '-';
	unsigned hours, minutes;

	*ahead_s = 0;
	if (mark_take(&text, 'z'))
		return text.len == 0;
	if (!minus && span_at(text, 0) != '+')
		return false;
	text = span_from(text, 1);
	if (!digits_take(&text, 2, 0, 23, &hours) || !mark_take(&text, ':') || !digits_take(&text, 2, 0, 59, &minutes) || text.len != 0)
		return false;
	*ahead_s = (int64_t)(hours * 3600 + minutes * 60) * (minus ? -1 : 1);
	return true;
}

/* RFC 3339 5.6; a space may stand for the T. */
static bool rfc3339_parse(struct span text, int64_t *ns)
{
	unsigned year, month, day, hour, minute;
	int64_t ahead_s, second_ns;
	size_t n = 0;
	struct tm tm;

	if (!digits_take(&text, 4, 1970, 2261, &year) || !mark_take(&text, '-') || !digits_take(&text, 2, 1, 12, &month) ||
	    !mark_take(&text, '-') || !digits_take(&text, 2, 1, 31, &day) || (!mark_take(&text, 't') && !mark_take(&text, ' ')) ||
	    !digits_take(&text, 2, 0, 23, &hour) || !mark_take(&text, ':') || !digits_take(&text, 2, 0, 59, &minute) ||
	    !mark_take(&text, ':'))
		return false;
	while ((span_at(text, n) >= '0' && span_at(text, n) <= '9') || span_at(text, n) == '.')
		n++;
	if (!decimal_parse(span_first(text, n), NS_PER_S, &second_ns) || second_ns >= 61 * NS_PER_S || !zone_take(span_from(text, n), &ahead_s))
		return false;
	tm = (struct tm){ .tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day, .tm_hour = (int)hour,
	                  .tm_min = (int)minute };
	*ns = ((int64_t)timegm(&tm) - ahead_s) * NS_PER_S + second_ns;
	return tm.tm_mday == (int)day;          /* else no such day: timegm() took it for one of the next month */
}

bool moment_parse(struct span text, struct moment *m)
{
	uint8_t sign = span_at(text, 0);

	if (sign == '+' || sign == '-') {
		m->kind = sign == '+' ? MOMENT_FROM_START : MOMENT_FROM_END;
		return duration_parse(span_from(text, 1), &m->ns);
	}
	m->kind = MOMENT_AT;
	return rfc3339_parse(text, &m->ns);
}

bool size_parse(struct span text, uint64_t unit, uint64_t *bytes)
{
	static const char suffixes[] = "kmgt";
	uint64_t n;
	const char *s = NULL;

	if (text.len > 1)
		s = strchr(suffixes, ascii_lower(text.at[text.len - 1]));
	if (s != NULL) {
		unit = UINT64_C(1) << (10 * (unsigned)(s - suffixes + 1));
		text = span_first(text, text.len - 1);
	}
	return number_parse(text, &n) && !__builtin_mul_overflow(n, unit, bytes);
}

static bool port_parse(struct span text, uint16_t *port)
{
	uint64_t n;

	if (!number_parse(text, &n) || n == 0 || n > UINT16_MAX)
		return false;
	*port = (uint16_t)n;
	return true;
}

static bool address_parse(struct span text, uint8_t address[static 16])
{
	static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };
	char name[64];

	if (text.len >= sizeof name)
		return false;
	memcpy(name, text.at, text.len);
	name[text.len] = '\0';
	if (inet_pton(AF_INET6, name, address) == 1)
		return true;
	memcpy(address, v4_mapped, sizeof v4_mapped);
	return inet_pton(AF_INET, name, address + 12) == 1;
}

bool endpoint_parse(struct span text, struct endpoint *e)
{
	size_t colon = span_index(text, ':'), close = span_index(text, ']');

	memset(e, 0, sizeof *e);
	if (span_at(text, 0) == '[') {
		if (close == text.len || !address_parse(span_first(span_from(text, 1), close - 1), e->address))
			return false;
		if (close + 1 == text.len)
			return true;
		return span_at(text, close + 1) == ':' && port_parse(span_from(text, close + 2), &e->port);
	}
	/* More than one colon and no bracket: an IPv6 address alone. */
	if (colon < text.len && span_index(span_from(text, colon + 1), ':') == text.len - colon - 1)
		return address_parse(span_first(text, colon), e->address) && port_parse(span_from(text, colon + 1), &e->port);
	return address_parse(text, e->address);
}

/* ---- lists --------------------------------------------------------------------------------- */

/* Room for one more of `size` bytes; NULL: no memory. */
static void *one_more(void *list, unsigned n, size_t size)
{
	return reallocarray(list, (size_t)n + 1, size);
}

static enum err_code no_memory(struct err *e)
{
	return err_set(e, ERR_MEMORY, "no memory");
}

static enum err_code words_add(struct words_list *l, const char *word, struct err *e)
{
	const char **more = one_more(l->at, l->n, sizeof *more);

	if (more == NULL)
		return no_memory(e);
	l->at = more;
	l->at[l->n++] = word;
	return ERR_OK;
}

/* A string of our own that lives as long as the options. NULL: no memory. */
static const char *keep(struct options *o, struct span s)
{
	char **more = one_more(o->owned, o->n_owned, sizeof *more);
	char *copy;

	if (more == NULL)
		return NULL;
	o->owned = more;
	copy = strndup((const char *)s.at, s.len);
	if (copy != NULL)
		o->owned[o->n_owned++] = copy;
	return copy;
}

/* The part before the next comma; takes it off. False at the end. */
static bool next_item(struct span *list, struct span *item)
{
	size_t n = span_index(*list, ',');

	if (list->len == 0)
		return false;
	*item = span_first(*list, n);
	*list = span_from(*list, n + 1);
	return true;
}

/* ---- one function an option ----------------------------------------------------------------- */

struct taking { struct options *o; const char *arg; const char *name; struct err *e; };
typedef enum err_code take_fn(struct taking *t);

static enum err_code wrong(struct taking *t, const char *wanted)
{
	return err_set(t->e, ERR_OPTION, "--%s %s: %s", t->name, t->arg, wanted);
}

static enum err_code take_number(struct taking *t, uint64_t least, uint64_t most, uint64_t *n)
{
	if (number_parse(span_text(t->arg), n) && *n >= least && *n <= most)
		return ERR_OK;
	return err_set(t->e, ERR_OPTION, "--%s %s: wants a number from %llu to %llu", t->name, t->arg,
	               (unsigned long long)least, (unsigned long long)most);
}

static enum err_code take_read(struct taking *t)
{
	return words_add(&t->o->files, t->arg, t->e);
}

static enum err_code take_interface(struct taking *t)
{
	return words_add(&t->o->interfaces, t->arg, t->e);
}

static enum err_code take_filter(struct taking *t)
{
	if (t->o->filter != NULL)
		return err_set(t->e, ERR_OPTION, "--%s: the filter is given twice", t->name);
	t->o->filter = strdup(t->arg);
	return t->o->filter != NULL ? ERR_OK : no_memory(t->e);
}

static enum err_code read_filter(struct taking *t, int fd)
{
	char *text = calloc(1, FILTER_FILE_MAX + 1);
	size_t used = 0;
	ssize_t n = 0;

	if (text == NULL)
		return no_memory(t->e);
	while (used < FILTER_FILE_MAX && (n = read(fd, text + used, FILTER_FILE_MAX - used)) > 0)
		used += (size_t)n;
	if (n < 0 || used == FILTER_FILE_MAX || strlen(text) != used) {
		free(text);
		return wrong(t, "no filter in it that could be read");
	}
	for (size_t i = 0; i < used; i++)       /* a filter may be laid out in lines */
		if (text[i] == '\n' || text[i] == '\r')
			text[i] = ' ';
	t->o->filter = text;
	return ERR_OK;
}

static enum err_code take_filter_file(struct taking *t)
{
	enum err_code code;
	int fd;

	if (t->o->filter != NULL)
		return err_set(t->e, ERR_OPTION, "--%s: the filter is given twice", t->name);
	fd = open(t->arg, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return wrong(t, strerror(errno));
	code = read_filter(t, fd);
	close(fd);
	return code;
}

static enum err_code take_snaplen(struct taking *t)
{
	uint64_t n;

	if (take_number(t, 0, LIMIT_PACKET_BYTES, &n) != ERR_OK)
		return t->e->code;
	t->o->snaplen = (unsigned)n;            /* 0 is the default, as with tcpdump */
	t->o->snaplen_short = n != 0 && n < SNAPLEN_LOW;
	return ERR_OK;
}

static enum err_code take_buffer(struct taking *t)
{
	uint64_t bytes;

	if (!size_parse(span_text(t->arg), 1024, &bytes) || bytes < 1024 || bytes / 1024 > INT32_MAX)
		return wrong(t, "wants a size in KiB, or with a suffix (16M)");
	t->o->buffer_kib = (unsigned)(bytes / 1024);
	return ERR_OK;
}

static enum err_code take_no_promiscuous(struct taking *t)
{
	t->o->no_promiscuous = true;
	return ERR_OK;
}

static enum err_code take_count(struct taking *t)
{
	return take_number(t, 1, INT64_MAX, &t->o->max_packets);
}

static enum err_code take_stop(struct taking *t)
{
	struct span all = span_text(t->arg), value;
	size_t colon = span_index(all, ':');
	struct span name = span_first(all, colon);
	bool good = false;

	value = span_from(all, colon + 1);
	if (span_is(name, "duration"))
		good = duration_parse(value, &t->o->max_duration_ns) && t->o->max_duration_ns > 0;
	else if (span_is(name, "packets"))
		good = number_parse(value, &t->o->max_packets) && t->o->max_packets > 0;
	else if (span_is(name, "incidents"))
		good = number_parse(value, &t->o->max_incidents) && t->o->max_incidents > 0;
	return good ? ERR_OK : wrong(t, "wants duration:SECONDS, packets:N or incidents:N");
}

static enum err_code take_keylog(struct taking *t)
{
	if (access(t->arg, R_OK) != 0)
		return wrong(t, strerror(errno));
	return words_add(&t->o->keylogs, t->arg, t->e);
}

#ifdef HAVE_OPENSSL
static enum err_code take_rsa_key(struct taking *t)
{
	if (access(t->arg, R_OK) != 0)
		return wrong(t, strerror(errno));
	return words_add(&t->o->rsa_keys, t->arg, t->e);
}
#endif

static enum err_code take_clock(struct taking *t)
{
	struct clock_shift *more = one_more(t->o->shifts, t->o->n_shifts, sizeof *more);
	const char *eq = strrchr(t->arg, '=');
	struct span value;
	bool minus;
	int64_t ns;

	if (more == NULL)
		return no_memory(t->e);
	t->o->shifts = more;
	value = span_text(eq != NULL ? eq + 1 : "");
	minus = span_at(value, 0) == '-';
	if (minus || span_at(value, 0) == '+')
		value = span_from(value, 1);
	if (eq == NULL || eq == t->arg || !duration_parse(value, &ns))
		return wrong(t, "wants FILE=+SECONDS or FILE=-SECONDS");
	more += t->o->n_shifts;
	more->file = keep(t->o, span_of(t->arg, (size_t)(eq - t->arg)));
	more->shift_ns = minus ? -ns : ns;
	if (more->file == NULL)
		return no_memory(t->e);
	t->o->n_shifts++;
	return ERR_OK;
}

static enum err_code gateway_ends(struct taking *t, struct gateway_option *g, struct span ends)
{
	struct span item;

	if (!next_item(&ends, &item) || !endpoint_parse(item, &g->front))
		return wrong(t, "wants ADDRESS[:PORT][,BACK...][=PRODUCT]");
	while (next_item(&ends, &item)) {
		if (g->n_backs == sizeof g->backs / sizeof g->backs[0])
			return wrong(t, "takes at most 8 back addresses");
		if (!endpoint_parse(item, &g->backs[g->n_backs++]))
			return wrong(t, "a back address is none");
	}
	return ERR_OK;
}

static enum err_code take_gateway(struct taking *t)
{
	struct gateway_option *more = one_more(t->o->gateways, t->o->n_gateways, sizeof *more);
	struct span all = span_text(t->arg);
	size_t eq = span_index(all, '=');

	if (more == NULL)
		return no_memory(t->e);
	t->o->gateways = more;
	more += t->o->n_gateways;
	memset(more, 0, sizeof *more);
	if (gateway_ends(t, more, span_first(all, eq)) != ERR_OK)
		return t->e->code;
	if (eq < all.len) {
		more->product = keep(t->o, span_from(all, eq + 1));
		if (more->product == NULL)
			return no_memory(t->e);
		if (gateway_model_named(more->product) == NULL)
			return wrong(t, "no such product (--list-products)");
	}
	t->o->n_gateways++;
	return ERR_OK;
}

static enum err_code take_upstream(struct taking *t)
{
	struct endpoint *more = one_more(t->o->upstreams, t->o->n_upstreams, sizeof *more);

	if (more == NULL)
		return no_memory(t->e);
	t->o->upstreams = more;
	if (!endpoint_parse(span_text(t->arg), &more[t->o->n_upstreams]))
		return wrong(t, "wants ADDRESS[:PORT]");
	t->o->n_upstreams++;
	return ERR_OK;
}

enum limit_kind { LIMIT_IS_SIZE, LIMIT_IS_COUNT, LIMIT_IS_TIME };

static bool limit_good(struct span name, struct span value)
{
	static const struct { const char *name; enum limit_kind kind; } known[] = {
		{ "header-size", LIMIT_IS_SIZE }, { "line-size", LIMIT_IS_SIZE }, { "header-count", LIMIT_IS_COUNT },
		{ "connect-timeout", LIMIT_IS_TIME }, { "read-timeout", LIMIT_IS_TIME }, { "idle-timeout", LIMIT_IS_TIME },
	};
	uint64_t n;
	int64_t ns;

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!span_is(name, known[i].name))
			continue;
		switch (known[i].kind) {
		case LIMIT_IS_SIZE:  return size_parse(value, 1, &n);
		case LIMIT_IS_COUNT: return number_parse(value, &n);
		case LIMIT_IS_TIME:  return duration_parse(value, &ns);
		}
	}
	return false;
}

static enum err_code take_limit(struct taking *t)
{
	struct limit_option *more = one_more(t->o->limits, t->o->n_limits, sizeof *more);
	struct span all = span_text(t->arg);
	size_t eq = span_index(all, '=');

	if (more == NULL)
		return no_memory(t->e);
	t->o->limits = more;
	if (!limit_good(span_first(all, eq), span_from(all, eq + 1)))
		return wrong(t, "wants header-size, line-size, header-count, connect-timeout, read-timeout or idle-timeout, =, and a value");
	more += t->o->n_limits;
	more->name = keep(t->o, span_first(all, eq));
	more->value = keep(t->o, span_from(all, eq + 1));
	if (more->name == NULL || more->value == NULL)
		return no_memory(t->e);
	t->o->n_limits++;
	return ERR_OK;
}

/* "502", "520-527", "5xx" */
static bool status_range(struct span item, uint64_t *from, uint64_t *to)
{
	size_t dash = span_index(item, '-');

	if (item.len == 3 && span_equal_nocase(span_from(item, 1), span_text("xx")) && item.at[0] >= '1' && item.at[0] <= '5') {
		*from = (uint64_t)(item.at[0] - '0') * 100;
		*to = *from + 99;
		return true;
	}
	if (!number_parse(span_first(item, dash), from))
		return false;
	*to = *from;
	if (dash < item.len && !number_parse(span_from(item, dash + 1), to))
		return false;
	return *from >= 100 && *from <= *to && *to <= 599;
}

static enum err_code take_moment(struct taking *t, struct moment *m)
{
	return moment_parse(span_text(t->arg), m) ? ERR_OK : wrong(t, "wants 2026-01-31T12:00:00Z, +90s from the start or -10m before the end");
}

static enum err_code take_since(struct taking *t)
{
	return take_moment(t, &t->o->since);
}

static enum err_code take_until(struct taking *t)
{
	return take_moment(t, &t->o->until);
}

static enum err_code take_status(struct taking *t)
{
	struct span list = span_text(t->arg), item;
	uint64_t from, to;

	memset(t->o->status_wanted, 0, sizeof t->o->status_wanted);
	while (next_item(&list, &item)) {
		if (!status_range(item, &from, &to))
			return wrong(t, "wants statuses such as 502,520-527,5xx");
		memset(t->o->status_wanted + from, 1, to - from + 1);
	}
	return ERR_OK;
}

static enum err_code take_symptom(struct taking *t)
{
	struct span list = span_text(t->arg), item;

	t->o->symptoms = 0;
	while (next_item(&list, &item)) {
		unsigned s = 0;

		while (s <= SYMPTOM_CLIENT_ABORT && !span_is(item, symptom_name(s)))
			s++;
		if (s > SYMPTOM_CLIENT_ABORT)
			return wrong(t, "wants error-status, no-response, truncated-response, garbled-response or client-abort");
		t->o->symptoms |= 1u << s;
	}
	return ERR_OK;
}

static enum err_code take_cause(struct taking *t)
{
	struct span list = span_text(t->arg), item;

	memset(t->o->causes_unwanted, true, sizeof t->o->causes_unwanted);
	while (next_item(&list, &item)) {
		unsigned c = 0;

		while (c < CAUSE_COUNT && !span_is(item, cause_row(c)->name))
			c++;
		if (c == CAUSE_COUNT)
			return wrong(t, "one of them is no cause (--list-causes)");
		t->o->causes_unwanted[c] = false;
	}
	return ERR_OK;
}

static enum err_code take_fault(struct taking *t)
{
	struct span list = span_text(t->arg), item;

	t->o->faults_unwanted = UINT32_MAX;
	while (next_item(&list, &item)) {
		unsigned f = 0;

		while (f < FAULT_COUNT && !span_is(item, fault_name(f)))
			f++;
		if (f == FAULT_COUNT)
			return wrong(t, "wants upstream, gateway, network, configuration, client or unknown");
		t->o->faults_unwanted &= ~(1u << f);
	}
	return ERR_OK;
}

static enum err_code take_min_confidence(struct taking *t)
{
	unsigned c = CONFIDENCE_LOW;

	while (c <= CONFIDENCE_HIGH && strcmp(t->arg, confidence_name(c)) != 0)
		c++;
	t->o->least_confidence = (uint8_t)c;
	return c <= CONFIDENCE_HIGH ? ERR_OK : wrong(t, "wants low, medium or high");
}

static enum err_code take_check_coding(struct taking *t)
{
	t->o->check_coding = true;
	return ERR_OK;
}

static enum err_code take_exchanges(struct taking *t)
{
	t->o->exchanges = true;
	return ERR_OK;
}

static enum err_code take_match(struct taking *t)
{
	t->o->match = t->arg;
	return t->arg[0] != '\0' ? ERR_OK : wrong(t, "wants a text");
}

static enum err_code take_format(struct taking *t)
{
	const struct writer *all;
	unsigned n = writers(&all);
	char wanted[200] = "wants";

	t->o->format = writer_named(t->arg);
	if (t->o->format != NULL)
		return ERR_OK;
	for (unsigned i = 0; i < n; i++) {
		size_t at = strlen(wanted);

		(void)snprintf(wanted + at, sizeof wanted - at, "%s%s", i == 0 ? " " : i + 1 < n ? ", " : " or ", all[i].name);
	}
	return wrong(t, wanted);
}

static enum err_code take_output(struct taking *t)
{
	return words_add(&t->o->outputs, t->arg, t->e);
}

static enum err_code take_write(struct taking *t)
{
	t->o->write = t->arg;
	return strcmp(t->arg, "-") != 0 && t->arg[0] != '\0' ? ERR_OK : wrong(t, "wants the name of a file");
}

static enum err_code take_write_each(struct taking *t)
{
	t->o->write_each = t->arg;
	return t->arg[0] != '\0' ? ERR_OK : wrong(t, "wants the name of a directory");
}

static enum err_code take_write_window(struct taking *t)
{
	return duration_parse(span_text(t->arg), &t->o->write_window_ns) ? ERR_OK : wrong(t, "wants a time, say 2s or 500ms");
}

static enum err_code take_no_secrets(struct taking *t)
{
	t->o->no_secrets = true;
	return ERR_OK;
}

static enum err_code take_redact(struct taking *t)
{
	static const struct { const char *name; unsigned bit; } what[] = {
		{ "query", REDACT_QUERY }, { "cookies", REDACT_COOKIES }, { "authorization", REDACT_AUTHORIZATION }, { "addresses", REDACT_ADDRESSES },
	};
	struct span list = span_text(t->arg), item;

	while (next_item(&list, &item)) {
		size_t i = 0;

		while (i < sizeof what / sizeof what[0] && !span_is(item, what[i].name))
			i++;
		if (i == sizeof what / sizeof what[0])
			return wrong(t, "wants query, cookies, authorization or addresses");
		t->o->redact |= what[i].bit;
	}
	return t->o->redact != 0 ? ERR_OK : wrong(t, "wants query, cookies, authorization or addresses");
}

static enum err_code take_force(struct taking *t)
{
	t->o->force = true;
	return ERR_OK;
}

static enum err_code take_time(struct taking *t)
{
	static const struct { const char *name; enum when_zone zone; } zones[] = {
		{ "ud", WHEN_UTC_DATE }, { "ad", WHEN_LOCAL }, { "u", WHEN_UTC }, { "r", WHEN_RELATIVE },
	};

	for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
		if (strcmp(t->arg, zones[i].name) == 0) {
			t->o->zone = (uint8_t)zones[i].zone;
			return ERR_OK;
		}
	}
	return wrong(t, "wants ud, ad, u or r");
}

static enum err_code take_verbose(struct taking *t)
{
	t->o->verbose++;
	return ERR_OK;
}

static enum err_code take_quiet(struct taking *t)
{
	t->o->quiet = true;
	return ERR_OK;
}

static enum err_code take_top(struct taking *t)
{
	uint64_t n;

	if (take_number(t, 0, 1000000, &n) == ERR_OK)
		t->o->top = (unsigned)n;
	return t->e->code;
}

static enum err_code take_group(struct taking *t)
{
	unsigned g = GROUP_BY_CAUSE;

	while (g < GROUP_BY_COUNT && strcmp(t->arg, group_by_name(g)) != 0)
		g++;
	t->o->group_by = (uint8_t)g;
	return g < GROUP_BY_COUNT ? ERR_OK : wrong(t, "wants cause, upstream, route or client");
}

static enum err_code take_no_names(struct taking *t)
{
	t->o->names = false;
	return ERR_OK;
}

static enum err_code take_names(struct taking *t)
{
	t->o->names = true;
	return ERR_OK;
}

static enum err_code take_line_buffered(struct taking *t)
{
	t->o->flush = true;
	return ERR_OK;
}

static enum err_code take_packet_buffered(struct taking *t)
{
	return take_line_buffered(t);
}

static enum err_code take_when(struct taking *t, uint8_t *when)
{
	static const char *const names[] = { [COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never" };

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(t->arg, names[i]) == 0) {
			*when = (uint8_t)i;
			return ERR_OK;
		}
	}
	return wrong(t, "wants auto, always or never");
}

static enum err_code take_color(struct taking *t)
{
	return take_when(t, &t->o->color);
}

static enum err_code take_progress(struct taking *t)
{
	return take_when(t, &t->o->progress);
}

static enum err_code take_sandbox(struct taking *t)
{
	static const char *const names[] = { [SANDBOX_AUTO] = "auto", [SANDBOX_STRICT] = "strict", [SANDBOX_OFF] = "off" };

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(t->arg, names[i]) == 0) {
			t->o->sandbox = (uint8_t)i;
			return ERR_OK;
		}
	}
	return wrong(t, "wants auto, strict or off");
}

static enum err_code take_user(struct taking *t)
{
	t->o->user = t->arg;
	return ERR_OK;
}

static enum err_code take_selftest_sandbox(struct taking *t)
{
	t->o->selftest = t->arg;
	return sandbox_knows_act(t->arg) ? ERR_OK : wrong(t, "wants open, socket, exec, fork, ptrace, setuid or mprotect");
}

static enum err_code take_ascii(struct taking *t)
{
	t->o->ascii = true;
	return ERR_OK;
}

static enum err_code take_show_secrets(struct taking *t)
{
	t->o->show_secrets = true;
	return ERR_OK;
}

static enum err_code take_threads(struct taking *t)
{
	uint64_t n;

	if (take_number(t, 1, THREADS_MAX, &n) == ERR_OK)
		t->o->threads = (unsigned)n;
	return t->e->code;
}

static enum err_code take_max_memory(struct taking *t)
{
	if (!size_parse(span_text(t->arg), 1, &t->o->max_memory) || t->o->max_memory < (uint64_t)MEMORY_LEAST_MIB << 20)
		return wrong(t, "wants a size of at least 16M");
	return ERR_OK;
}

static enum err_code take_stats(struct taking *t)
{
	t->o->stats = true;
	return ERR_OK;
}

static enum err_code take_exit_zero(struct taking *t)
{
	t->o->exit_zero = true;
	return ERR_OK;
}

static enum err_code act(struct taking *t, enum action a)
{
	if (t->o->action == ACTION_RUN)
		t->o->action = (uint8_t)a;
	return ERR_OK;
}

static enum err_code take_explain(struct taking *t)
{
	t->o->explain = t->arg;
	return act(t, ACTION_EXPLAIN);
}

static enum err_code take_print_manual(struct taking *t)
{
	t->o->explain = t->arg;
	return act(t, ACTION_PRINT_MANUAL);
}

static enum err_code take_help(struct taking *t) { return act(t, ACTION_HELP); }
static enum err_code take_version(struct taking *t) { return act(t, ACTION_VERSION); }
static enum err_code take_list_interfaces(struct taking *t) { return act(t, ACTION_LIST_INTERFACES); }
static enum err_code take_list_causes(struct taking *t) { return act(t, ACTION_LIST_CAUSES); }
static enum err_code take_list_products(struct taking *t) { return act(t, ACTION_LIST_PRODUCTS); }
static enum err_code take_capture_help(struct taking *t) { return act(t, ACTION_CAPTURE_HELP); }
static enum err_code take_print_schema(struct taking *t) { return act(t, ACTION_PRINT_SCHEMA); }

/* ---- the table ----------------------------------------------------------------------------- */

static const struct row {
	const char *section;            /* set: a heading, and nothing else is */
	char short_name;
	const char *name, *argument;
	take_fn *take;
	const char *help, *more;
} rows[] = {
#define SECTION(title) { .section = title },
#define OPTION(fn, letter, name, argument, help, more) { NULL, letter, name, argument, take_##fn, help, more },
#include "options.def"
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static int row_value(unsigned i)
{
	return rows[i].short_name != 0 ? rows[i].short_name : LONG_ONLY + (int)i;
}

struct getopt_table { char letters[3 * N_ROWS + 2]; struct option options[N_ROWS + 1]; };

static void getopt_fill(struct getopt_table *g)
{
	size_t used = 0, n = 0;

	memset(g, 0, sizeof *g);
	g->letters[used++] = ':';               /* a missing argument is told apart */
	for (unsigned i = 0; i < N_ROWS; i++) {
		if (rows[i].name == NULL)
			continue;
		g->options[n++] = (struct option){ rows[i].name, rows[i].argument != NULL ? required_argument : no_argument, NULL,
		                                   row_value(i) };
		if (rows[i].short_name == 0)
			continue;
		g->letters[used++] = rows[i].short_name;
		if (rows[i].argument != NULL)
			g->letters[used++] = ':';
	}
}

static const struct row *row_by_value(int value)
{
	for (unsigned i = 0; i < N_ROWS; i++)
		if (rows[i].name != NULL && row_value(i) == value)
			return &rows[i];
	return NULL;
}

/* ---- parsing ------------------------------------------------------------------------------- */

/* Habits from other tools that deserve a better answer than "no such option". */
static const struct { char letter; const char *hint; } habits[] = {
	{ 'Y', "display filters are Wireshark's: give a BPF filter (-f), or --match TEXT" },
	{ 'V', "see -v, and --version" },
	{ 'X', "no packet dump: Wireshark shows the packets that the report names" },
};

static enum err_code unknown_option(char **argv, int letter, struct err *e)
{
	for (size_t i = 0; letter != 0 && i < sizeof habits / sizeof habits[0]; i++)
		if (habits[i].letter == letter)
			return err_set(e, ERR_OPTION, "-%c: %s", letter, habits[i].hint);
	if (letter > 0 && letter < LONG_ONLY)
		return err_set(e, ERR_OPTION, "no such option: -%c", letter);
	return err_set(e, ERR_OPTION, "no such option, not one alone, or with a value that it does not take: %s", argv[optind - 1]);
}

static enum err_code take_one(struct options *o, int value, char **argv, struct err *e)
{
	const struct row *r = row_by_value(value);
	struct taking t;

	if (value == ':') {
		r = row_by_value(optopt);
		return err_set(e, ERR_OPTION, "--%s wants %s", r != NULL ? r->name : argv[optind - 1],
		               r != NULL ? r->argument : "a value");
	}
	if (r == NULL)
		return unknown_option(argv, optopt, e);
	t = (struct taking){ o, optarg, r->name, e };
	return r->take(&t);
}

/* The commonest slip: `why502 incident.pcap`. */
static bool names_a_file(const char *word)
{
	struct stat st;

	return stat(word, &st) == 0 && (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode));
}

static enum err_code trailing_words(struct options *o, int argc, char **argv, struct err *e)
{
	size_t size = 1;

	for (int i = optind; i < argc; i++) {
		if (names_a_file(argv[i]))
			return err_set(e, ERR_OPTION, "%s: trailing words are a BPF filter, and this is a file: did you mean -r %s?",
			               argv[i], argv[i]);
		size += strlen(argv[i]) + 1;
	}
	if (optind >= argc)
		return ERR_OK;
	if (o->filter != NULL)
		return err_set(e, ERR_OPTION, "the filter is given twice: as an option and as trailing words (%s)", argv[optind]);
	o->filter = calloc(1, size);
	if (o->filter == NULL)
		return no_memory(e);
	for (int i = optind; i < argc; i++) {
		strcat(o->filter, i > optind ? " " : "");
		strcat(o->filter, argv[i]);
	}
	return ERR_OK;
}

static void defaults(struct options *o)
{
	memset(o, 0, sizeof *o);
	o->top = TOP_DEFAULT;
	o->write_window_ns = -1;
	o->sandbox = SANDBOX_BY_DEFAULT;
	o->symptoms = 1u << SYMPTOM_ERROR_STATUS | 1u << SYMPTOM_NO_RESPONSE | 1u << SYMPTOM_TRUNCATED | 1u << SYMPTOM_GARBLED;
	memset(o->status_wanted + 502, 1, 3);
	memset(o->status_wanted + 520, 1, 8);
}

/* Packets are written once all is known of them: by then they are gone, unless they can be read again. */
static enum err_code check_write(const struct options *o, struct err *e)
{
	const char *name = o->write != NULL ? "-w" : "--write-each";

	if (o->write == NULL && o->write_each == NULL) {
		if (o->write_window_ns >= 0 || o->no_secrets)
			return err_set(e, ERR_OPTION, "--%s: nothing is written (-w FILE)", o->no_secrets ? "no-secrets" : "write-window");
		return ERR_OK;
	}
	if (o->files.n == 0)
		return err_set(e, ERR_OPTION, "%s: of saved captures alone yet: capture with tcpdump -w, and give that file to -r", name);
	return ERR_OK;
}

/* What could not be hidden everywhere is rather not told at all. */
static enum err_code check_redact(const struct options *o, struct err *e)
{
	if ((o->redact & ~(unsigned)REDACT_ADDRESSES) != 0 && (o->write != NULL || o->write_each != NULL))
		return err_set(e, ERR_OPTION, "--redact: of packets only addresses can be hidden: queries, cookies and authorization are in what -w writes");
	if ((o->redact & REDACT_ADDRESSES) != 0 && o->names)
		return err_set(e, ERR_OPTION, "--redact addresses: -N names them");
	return ERR_OK;
}

/* A key log in the environment that is not there is no reason to stop: OpenSSL would have written it. */
static enum err_code keylog_of_environment(struct options *o, struct err *e)
{
	const char *name = getenv("SSLKEYLOGFILE");

	if (o->keylogs.n > 0 || name == NULL || access(name, R_OK) != 0)
		return ERR_OK;
	return words_add(&o->keylogs, name, e);
}

static enum err_code check_together(const struct options *o, struct err *e)
{
	if (o->files.n > 0 && o->interfaces.n > 0)
		return err_set(e, ERR_OPTION, "-r and -i exclude each other: a capture is saved, or it is live");
	if (o->since.kind == o->until.kind && (o->since.kind == MOMENT_FROM_END ? o->since.ns < o->until.ns : o->since.ns > o->until.ns))
		return err_set(e, ERR_OPTION, "--until is before --since: nothing lies between");
	for (unsigned i = 0; i < o->outputs.n; i++)
		if (strcmp(o->outputs.at[i], "-") != 0 && writer_for_file(o->outputs.at[i]) == NULL && o->format == NULL)
			return err_set(e, ERR_OPTION, "-o %s: its suffix names no format: give one with -T", o->outputs.at[i]);
	return ERR_OK;
}

enum err_code options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	struct getopt_table g;
	int value;

	defaults(o);
	getopt_fill(&g);
	optind = 0;                             /* glibc: begin anew */
	opterr = 0;
	while ((value = getopt_long(argc, argv, g.letters, g.options, NULL)) != -1)
		if (take_one(o, value, argv, e) != ERR_OK)
			return e->code;
	if (o->action != ACTION_RUN)
		return ERR_OK;
	if (trailing_words(o, argc, argv, e) != ERR_OK || keylog_of_environment(o, e) != ERR_OK)
		return e->code;
	if (check_write(o, e) != ERR_OK || check_redact(o, e) != ERR_OK)
		return e->code;
	return check_together(o, e);
}

void options_free(struct options *o)
{
	for (unsigned i = 0; i < o->n_owned; i++)
		free(o->owned[i]);
	free(o->owned);
	free(o->files.at);
	free(o->interfaces.at);
	free(o->keylogs.at);
	free(o->rsa_keys.at);
	free(o->outputs.at);
	free(o->filter);
	free(o->shifts);
	free(o->gateways);
	free(o->upstreams);
	free(o->limits);
}

/* ---- what the table prints ------------------------------------------------------------------ */

static void help_row(struct out *out, const struct row *r)
{
	char left[64];

	if (r->short_name != 0)
		(void)snprintf(left, sizeof left, "  -%c, --%s %s", r->short_name, r->name, r->argument != NULL ? r->argument : "");
	else
		(void)snprintf(left, sizeof left, "      --%s %s", r->name, r->argument != NULL ? r->argument : "");
	out_format(out, "%-*s %s\n", HELP_COLUMN, left, r->help);
}

void options_help(struct out *out)
{
	out_text(out, "Usage: why502 [-r FILE]... | [-i IF]...  [options]  [BPF filter]\n"
	              "Names the root cause of a gateway's 502s (503, 504, 52x) with the packets that prove it.\n");
	for (unsigned i = 0; i < N_ROWS; i++) {
		if (rows[i].section != NULL)
			out_format(out, "%s\n", rows[i].section);
		else if (rows[i].help != NULL)
			help_row(out, &rows[i]);
	}
	out_text(out, "Examples\n"
	              "  why502 -r incident.pcapng\n"
	              "  why502 -r front.pcap -r back.pcap -o report.json -o report.txt\n"
	              "  why502 -i eth0 'tcp port 80 or tcp port 8080 or icmp or arp or udp port 53'\n"
	              "  ssh host tcpdump -U -w - | why502 -T line -r -\n"
	              "Exit status: 0 nothing to report, 1 incidents, 2 usage, 3 the capture was not read to its end.\n");
}

/* A hyphen is a minus to man(7), and a leading dot a request. */
static void manual_text(struct out *out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '-' || *c == '\\')
			out_char(out, '\\');
		if (*c == '.' && c == text)
			out_text(out, "\\&");
		out_char(out, *c);
	}
}

static void manual_row(struct out *out, const struct row *r)
{
	out_text(out, ".TP\n.B ");
	if (r->short_name != 0)
		out_format(out, "\\-%c\\fR, \\fB", r->short_name);
	out_text(out, "\\-\\-");
	manual_text(out, r->name);
	if (r->argument != NULL) {
		out_text(out, " \\fI");
		manual_text(out, r->argument);
		out_text(out, "\\fR");
	}
	out_char(out, '\n');
	manual_text(out, r->help);
	if (r->more[0] != '\0') {
		out_text(out, ".\n");
		manual_text(out, r->more);
	} else {
		out_char(out, '.');
	}
	out_char(out, '\n');
}

void options_manual(struct out *out)
{
	for (unsigned i = 0; i < N_ROWS; i++) {
		if (rows[i].section != NULL)
			out_format(out, ".SS %s\n", rows[i].section);
		else if (rows[i].help != NULL)
			manual_row(out, &rows[i]);
	}
}

/* ---- completion in shells ------------------------------------------------------------------- */

enum completes { COMPLETES_NOTHING, COMPLETES_FILES, COMPLETES_INTERFACES, COMPLETES_WORDS };

static enum completes completes(const struct row *r)
{
	static const char *const words[] = { "format", "cause", "fault", "min-confidence", "symptom", "explain", "color", "sandbox", "time",
	                                    "group", "progress", "redact" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(r->name, words[i]) == 0)
			return COMPLETES_WORDS;
	if (strcmp(r->argument, "FILE") == 0 || strcmp(r->argument, "DIR") == 0)
		return COMPLETES_FILES;
	return strcmp(r->argument, "IF") == 0 ? COMPLETES_INTERFACES : COMPLETES_NOTHING;
}

/* What --NAME takes, a space before each. */
static void completion_words(struct out *out, const char *name)
{
	static const struct { const char *name, *words; } fixed[] = {
		{ "min-confidence", " low medium high" }, { "color", " auto always never" }, { "sandbox", " auto strict off" }, { "time", " ud ad u r" },
		{ "group", " cause upstream route client" }, { "progress", " auto always never" }, { "redact", " query cookies authorization addresses" },
	};
	const struct writer *formats;
	unsigned n = writers(&formats);

	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
		if (strcmp(name, fixed[i].name) == 0)
			out_text(out, fixed[i].words);
	for (unsigned i = 0; i < n && strcmp(name, "format") == 0; i++)
		out_format(out, " %s", formats[i].name);
	for (unsigned c = 0; c < CAUSE_COUNT && (strcmp(name, "cause") == 0 || strcmp(name, "explain") == 0); c++)
		out_format(out, " %s", cause_row(c)->name);
	for (unsigned f = 0; f < FAULT_COUNT && strcmp(name, "fault") == 0; f++)
		out_format(out, " %s", fault_name(f));
	for (unsigned k = 0; k <= SYMPTOM_CLIENT_ABORT && strcmp(name, "symptom") == 0; k++)
		out_format(out, " %s", symptom_name(k));
}

static bool completed(const struct row *r)
{
	return r->section == NULL && r->help != NULL;
}

static void bash_case(struct out *out, const struct row *r)
{
	if (r->short_name != 0)
		out_format(out, "    -%c|--%s) ", r->short_name, r->name);
	else
		out_format(out, "    --%s) ", r->name);
	switch (completes(r)) {
	case COMPLETES_FILES:
		out_text(out, "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")");
		break;
	case COMPLETES_INTERFACES:
		out_text(out, "mapfile -t COMPREPLY < <(compgen -W \"any $(command ls /sys/class/net 2>/dev/null)\" -- \"$cur\")");
		break;
	case COMPLETES_WORDS:
		out_text(out, "mapfile -t COMPREPLY < <(compgen -W \"");
		completion_words(out, r->name);
		out_text(out, "\" -- \"$cur\")");
		break;
	case COMPLETES_NOTHING:
		break;
	}
	out_text(out, completes(r) == COMPLETES_NOTHING ? "return ;;\n" : "; return ;;\n");
}

void completion_bash(struct out *out)
{
	out_text(out, "# bash completion for why502, made of its own table of options\n_why502() {\n    local cur=${COMP_WORDS[COMP_CWORD]}\n"
	              "    COMPREPLY=()\n    case ${COMP_WORDS[COMP_CWORD-1]} in\n");
	for (unsigned i = 0; i < N_ROWS; i++)
		if (completed(&rows[i]) && rows[i].argument != NULL)
			bash_case(out, &rows[i]);
	out_text(out, "    esac\n    mapfile -t COMPREPLY < <(compgen -W \"");
	for (unsigned i = 0; i < N_ROWS; i++)
		if (completed(&rows[i]))
			out_format(out, " --%s", rows[i].name);
	out_text(out, "\" -- \"$cur\")\n}\ncomplete -F _why502 why502\n");
}

/* Within single quotes; zsh's specs have a meaning for brackets and colons too. */
static void quoted_help(struct out *out, const char *text, bool zsh)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			out_text(out, zsh ? "'\\''" : "\\'");
		else if (zsh && strchr("[]:", *text) != NULL)
			out_format(out, "\\%c", *text);
		else
			out_char(out, *text);
	}
}

static void zsh_row(struct out *out, const struct row *r)
{
	if (r->short_name != 0)
		out_format(out, "    '*'{-%c,--%s}'[", r->short_name, r->name);
	else
		out_format(out, "    '*--%s[", r->name);
	quoted_help(out, r->help, true);
	out_char(out, ']');
	if (r->argument != NULL) {
		out_char(out, ':');
		quoted_help(out, r->argument, true);
		out_char(out, ':');
		if (completes(r) == COMPLETES_FILES)
			out_text(out, "_files");
		if (completes(r) == COMPLETES_INTERFACES)
			out_text(out, "_net_interfaces");
		if (completes(r) == COMPLETES_WORDS) {
			out_char(out, '(');
			completion_words(out, r->name);
			out_char(out, ')');
		}
	}
	out_text(out, "' \\\n");
}

void completion_zsh(struct out *out)
{
	out_text(out, "#compdef why502\n# made of why502's own table of options\n_arguments -s \\\n");
	for (unsigned i = 0; i < N_ROWS; i++)
		if (completed(&rows[i]))
			zsh_row(out, &rows[i]);
	out_text(out, "    '*:BPF filter:'\n");
}

static void fish_row(struct out *out, const struct row *r)
{
	out_text(out, "complete -c why502");
	if (r->short_name != 0)
		out_format(out, " -s %c", r->short_name);
	out_format(out, " -l %s", r->name);
	if (r->argument != NULL)
		out_text(out, completes(r) == COMPLETES_FILES ? " -r -F" : " -x");
	if (r->argument != NULL && completes(r) == COMPLETES_INTERFACES)
		out_text(out, " -a 'any (command ls /sys/class/net)'");
	if (r->argument != NULL && completes(r) == COMPLETES_WORDS) {
		out_text(out, " -a '");
		completion_words(out, r->name);
		out_char(out, '\'');
	}
	out_text(out, " -d '");
	quoted_help(out, r->help, false);
	out_text(out, "'\n");
}

void completion_fish(struct out *out)
{
	out_text(out, "# fish completion for why502, made of its own table of options\ncomplete -c why502 -f\n");
	for (unsigned i = 0; i < N_ROWS; i++)
		if (completed(&rows[i]))
			fish_row(out, &rows[i]);
}
