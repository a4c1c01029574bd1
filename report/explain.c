#include "explain.h"

#include "advice.h"
#include "gateways.h"
#include "writer.h"

#include <stdio.h>

enum { LABEL = 16, CAUSE_WIDTH = 27, PRODUCT_WIDTH = 26 };

static const struct { const char *cause, *lookalikes, *help; } texts[] = {
#define EXPLAIN(cause, lookalikes, help) { cause, lookalikes, help },
#include "explain.def"
};

static void labelled(struct page *p, const char *label, const char *text)
{
	page_pad(p, 2);
	page_styled(p, STYLE_BOLD, label);
	page_pad(p, LABEL);
	page_wrap(p, LABEL, text);
}

/* ---- a cause ------------------------------------------------------------------------------- */

static void gateways_say(struct page *p, unsigned cause)
{
	const struct gateway_model *models;
	unsigned n = gateway_models(&models);
	const char *label = "Gateways say";
	bool servers = false;

	for (unsigned i = 0; i < n; i++) {
		const struct gateway_model *m = &models[i];

		if (m->status[cause] == 0 && gateway_words(m, cause) == NULL)
			continue;
		if (!m->is_gateway && !servers)
			label = "Servers say";
		servers = !m->is_gateway;
		page_pad(p, 2);
		page_styled(p, STYLE_BOLD, label);
		label = "";
		page_pad(p, LABEL);
		page_say(p, m->name);
		page_pad(p, LABEL + PRODUCT_WIDTH);
		if (m->status[cause] != 0)
			page_format(p, "%u", m->status[cause]);
		if (m->status_h2[cause] != 0)
			page_format(p, " (HTTP/2: %u)", m->status_h2[cause]);
		page_pad(p, LABEL + PRODUCT_WIDTH + 5);
		if (m->equivalent[cause] == NULL && gateway_words(m, cause) != NULL) {
			page_format(p, "as %s", m->words_of);
			page_line(p);
			continue;
		}
		page_wrap(p, LABEL + PRODUCT_WIDTH + 5, m->equivalent[cause] != NULL ? m->equivalent[cause] : "");
	}
}

static void explain_cause(struct page *p, unsigned cause)
{
	const struct cause_row *row = cause_row(cause);

	page_styled(p, STYLE_BOLD, row->name);
	page_format(p, "  (family %s; who must act: %s)", family_name(row->family), fault_name(row->fault));
	page_line(p);
	labelled(p, "On the wire", row->shows);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (strcmp(texts[i].cause, row->name) != 0)
			continue;
		labelled(p, "Mistaken for", texts[i].lookalikes);
		labelled(p, "Do", texts[i].help);
	}
	gateways_say(p, cause);
}

/* ---- a log line ---------------------------------------------------------------------------- */

static size_t find_nocase(struct span in, struct span what)
{
	for (size_t i = 0; what.len > 0 && i + what.len <= in.len; i++)
		if (span_equal_nocase(span_of(in.at + i, what.len), what))
			return i;
	return in.len;
}

static bool word_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* `what` in `in`, and as a word of its own: the code SH is not in FLASH. */
static bool holds_word(struct span in, struct span what)
{
	size_t at = find_nocase(in, what);

	if (at == in.len)
		return false;
	return (at == 0 || !word_byte(span_at(in, at - 1)) || !word_byte(span_at(what, 0))) &&
	       (!word_byte(span_at(in, at + what.len)) || !word_byte(span_at(what, what.len - 1)));
}

/* What is before `mark` in *rest, which goes on behind it. */
static struct span part_before(struct span *rest, const char *mark)
{
	struct span m = span_text(mark), part;
	size_t at = find_nocase(*rest, m);

	part = span_first(*rest, at);
	*rest = span_from(*rest, at < rest->len ? at + m.len : at);
	return part;
}

/* One message of a gateway's: "..." in it stands for what differs from line to line. A message in the very case counts
 * a little more: HAProxy's sH is not its SH. */
static size_t fit_message(struct span said, struct span message)
{
	size_t fits = 0;

	if (holds_word(message, said))
		return 2 * said.len + (span_equal(span_first(span_from(message, find_nocase(message, said)), said.len), said) ? 1 : 0);
	while (message.len != 0) {
		struct span part = part_before(&message, "...");
		size_t at = find_nocase(said, part);

		if (part.len == 0)
			continue;
		if (!holds_word(said, part))
			return 0;
		said = span_from(said, at);
		fits += 2 * part.len + (span_equal(span_first(said, part.len), part) ? 1 : 0);
		said = span_from(said, part.len);
	}
	return fits;
}

/* How well a log line and a gateway's words fit: the length of what they have in common; 0 if they do not. Words are
 * messages, a line each, with "; " or "; or " between them. */
static size_t fit(struct span said, struct span words)
{
	size_t best = 0;

	while (said.len != 0 && words.len != 0) {
		struct span message = part_before(&words, "; ");
		size_t fits;

		if (span_starts(message, "or "))
			message = span_from(message, 3);
		fits = fit_message(said, message);
		best = fits > best ? fits : best;
	}
	return best;
}

/* Who says something of causes: the products, and RFC 9209's error types. */
static const char *voice_words(unsigned voice, unsigned cause)
{
	const struct gateway_model *models;

	return voice < gateway_models(&models) ? models[voice].equivalent[cause] : proxy_status_of(cause);
}

static const char *voice_name(unsigned voice)
{
	const struct gateway_model *models;

	return voice < gateway_models(&models) ? models[voice].name : "proxy-status";
}

static unsigned n_voices(void)
{
	const struct gateway_model *models;

	return gateway_models(&models) + 1;
}

static size_t voice_fit(struct span said, unsigned voice, unsigned cause)
{
	const char *words = voice_words(voice, cause);

	return words != NULL ? fit(said, span_text(words)) : 0;
}

static size_t best_fit(struct span said)
{
	size_t best = 0;

	for (unsigned v = 0; v < n_voices(); v++) {
		for (unsigned c = 0; c < CAUSE_COUNT; c++) {
			size_t f = voice_fit(said, v, c);

			best = f > best ? f : best;
		}
	}
	return best;
}

/* HAProxy's third and fourth letters tell what became of a cookie, not of the request (configuration manual, 8.5): they are taken
 * out of a state like "SHVN". */
static void forget_cookie(char *line)
{
	size_t n = strlen(line);

	for (size_t i = 0; i + 4 <= n; i++) {
		bool alone = (i == 0 || line[i - 1] == ' ') && (line[i + 4] == '\0' || line[i + 4] == ' ');

		if (!alone || strchr("CSPRIDULKcs-", line[i]) == NULL || strchr("RQCHDLT-", line[i + 1]) == NULL ||
		    strchr("NIDEVOU-", line[i + 2]) == NULL || strchr("NIUPRD-", line[i + 3]) == NULL)
			continue;
		line[i + 2] = line[i + 3] = '-';
	}
}

/* One line each: what tells them apart. */
static void tell_apart(struct page *p, const bool named[CAUSE_COUNT])
{
	for (unsigned c = 0; c < CAUSE_COUNT; c++) {
		if (!named[c])
			continue;
		page_pad(p, 2);
		page_styled(p, STYLE_BOLD, cause_row(c)->name);
		page_pad(p, 2 + CAUSE_WIDTH);
		page_wrap(p, 2 + CAUSE_WIDTH, cause_row(c)->shows);
	}
}

static void explain_named(struct page *p, const bool named[CAUSE_COUNT], const char *what)
{
	unsigned n = 0, last = 0;

	for (unsigned c = 0; c < CAUSE_COUNT; c++) {
		n += named[c];
		last = named[c] ? c : last;
	}
	page_line(p);
	if (n == 1) {
		explain_cause(p, last);
		return;
	}
	page_format(p, "The %s alone does not tell these apart; the packets do (--explain CAUSE says more of each):", what);
	page_line(p);
	tell_apart(p, named);
}

/* A log says what the gateway felt; several causes feel the same, so all are named. */
static bool explain_line(struct page *p, const char *line)
{
	bool named[CAUSE_COUNT] = { false }, any = false;
	char copy[2048];
	struct span said;
	size_t best;

	(void)snprintf(copy, sizeof copy, "%s", line);
	forget_cookie(copy);
	said = span_text(copy);
	best = best_fit(said);
	for (unsigned c = 0; c < CAUSE_COUNT && best != 0; c++) {
		for (unsigned v = 0; v < n_voices(); v++) {
			if (voice_fit(said, v, c) != best)
				continue;
			named[c] = any = true;
			page_format(p, "%s says this of %s: ", voice_name(v), cause_row(c)->name);
			page_wrap(p, 4, voice_words(v, c));
		}
	}
	if (any)
		explain_named(p, named, "log");
	return any;
}

/* ---- a status ------------------------------------------------------------------------------ */

static unsigned status_in(const char *what)
{
	struct span s = span_text(what);

	if (s.len != 3 || (s.at[0] != '4' && s.at[0] != '5'))
		return 0;
	for (size_t i = 1; i < 3; i++)
		if (s.at[i] < '0' || s.at[i] > '9')
			return 0;
	return (s.at[0] - (unsigned)'0') * 100 + (s.at[1] - (unsigned)'0') * 10 + (s.at[2] - (unsigned)'0');
}

static bool model_says(struct page *p, const struct gateway_model *m, unsigned status, bool named[CAUSE_COUNT])
{
	char list[CAUSE_COUNT * 32] = "";
	size_t n = 0;

	for (unsigned c = 0; c < CAUSE_COUNT; c++) {
		if (m->status[c] != status && m->status_h2[c] != status)
			continue;
		n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n != 0 ? ", " : "", cause_row(c)->name);
		named[c] = true;
	}
	if (n == 0)
		return false;
	page_styled(p, STYLE_BOLD, m->name);
	page_pad(p, PRODUCT_WIDTH);
	page_wrap(p, PRODUCT_WIDTH, list);
	return true;
}

/* Each product makes another status of the same packets. */
static bool explain_status(struct page *p, unsigned status)
{
	const struct gateway_model *models;
	unsigned n = gateway_models(&models);
	bool named[CAUSE_COUNT] = { false }, any = false;

	for (unsigned i = 0; i < n; i++)
		any |= model_says(p, &models[i], status, named);
	if (any)
		explain_named(p, named, "status");
	return any;
}

bool explain(struct page *p, const char *what)
{
	int cause = cause_by_name(what);
	unsigned status = status_in(what);

	if (cause >= 0) {
		explain_cause(p, (unsigned)cause);
		return true;
	}
	return (status != 0 && explain_status(p, status)) || explain_line(p, what);
}

/* ---- lists --------------------------------------------------------------------------------- */

void list_causes(struct page *p)
{
	for (unsigned c = 0; c < CAUSE_COUNT; c++) {
		page_styled(p, STYLE_BOLD, cause_row(c)->name);
		page_pad(p, CAUSE_WIDTH);
		page_say(p, family_name(cause_row(c)->family));
		page_pad(p, CAUSE_WIDTH + 10);
		page_wrap(p, CAUSE_WIDTH + 10, cause_row(c)->shows);
	}
}

void list_products(struct page *p)
{
	const struct gateway_model *models;
	unsigned n = gateway_models(&models);

	for (unsigned i = 0; i < n; i++) {
		if (models[i].name[0] == '\0' || !models[i].is_gateway)
			continue;
		page_say(p, models[i].name);
		page_line(p);
	}
}

void capture_help(struct page *p)
{
	static const char *const paragraphs[] = {
		"What why502 needs to name a cause are both sides of the gateway, whole packets, and the time before the error.",
		"",
		"Where: on the gateway itself, on all interfaces, so that client side and upstream side are in one file:",
		"    tcpdump -i any -s 0 -w incident.pcap",
		"In Kubernetes that is inside the gateway's pod (kubectl debug, or nsenter -n on its node). Where only one side can be had, take the upstream side: what the client got is then predicted.",
		"",
		"Both sides in two files: why502 -r front.pcap -r back.pcap merges them by time; --clock FILE=+S shifts one whose clock is off.",
		"",
		"Filter as little as you can. 'port 443' hides the upstream side. This keeps what causes rest on (put your upstream's port for 8080):",
		"    tcpdump -i any -s 0 -w incident.pcap 'tcp port 443 or tcp port 8080 or icmp or icmp6 or arp or udp port 53'",
		"",
		"Whole packets: -s 0. A snaplen below 512 cuts header sections; headers only (-s 96) leave connect, close and timeout causes alone.",
		"",
		"From before: an idle limit shows in the minutes before a request, so begin early and let a ring run until it happens:",
		"    tcpdump -i any -s 0 -w 'ring-%H%M.pcap' -G 300 -W 12",
		"",
		"Encrypted sides: with TLS between client and gateway only (the commonest case) the plaintext upstream side is enough. For an encrypted upstream side give the keys (-k FILE): SSLKEYLOGFILE of the gateway, or a key log by eBPF tools. Without keys the handshake's failures, resets and closes still show.",
		"",
		"Drops: tcpdump prints \"packets dropped by kernel\" at its end. If it is not 0, make the buffer larger (-B 65536) or write to a faster disk.",
		"",
		"Loopback: where an upstream runs on the same host, -i any has it. A unix socket is in no capture: let the gateway use 127.0.0.1 while you look.",
	};

	for (size_t i = 0; i < sizeof paragraphs / sizeof paragraphs[0]; i++) {
		if (paragraphs[i][0] == ' ') {          /* a command: kept whole */
			page_say(p, paragraphs[i]);
			page_line(p);
		} else {
			page_wrap(p, 0, paragraphs[i]);
			if (paragraphs[i][0] == '\0')
				page_line(p);
		}
	}
}

/* ---- for the manual page ------------------------------------------------------------------- */

/* A hyphen is a minus to man(7), and a leading dot a request. */
static void manual_text(struct out *o, const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '-' || *c == '\\')
			out_char(o, '\\');
		out_char(o, *c);
	}
}

static void manual_item(struct out *o, const char *name, const char *text)
{
	out_text(o, ".TP\n.B ");
	manual_text(o, name);
	out_char(o, '\n');
	manual_text(o, text);
	out_text(o, ".\n");
}

void manual_causes(struct out *o)
{
	for (unsigned c = 0; c < CAUSE_COUNT; c++)
		manual_item(o, cause_row(c)->name, cause_row(c)->shows);
}

void manual_formats(struct out *o)
{
	const struct writer *rows;
	unsigned n = writers(&rows);

	for (unsigned i = 0; i < n; i++) {
		char about[300];

		(void)snprintf(about, sizeof about, "%s (%s)", rows[i].about, rows[i].suffix);
		manual_item(o, rows[i].name, about);
	}
}

void manual_products(struct out *o)
{
	const struct gateway_model *models;
	unsigned n = gateway_models(&models);
	const char *before = "";

	for (unsigned i = 0; i < n; i++) {
		if (models[i].name[0] == '\0' || !models[i].is_gateway)
			continue;
		out_text(o, before);
		manual_text(o, models[i].name);
		before = ", ";
	}
	out_text(o, ".\n");
}
