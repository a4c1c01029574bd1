#include "explain.h"

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
	bool first = true;

	for (unsigned i = 0; i < n; i++) {
		const struct gateway_model *m = &models[i];

		if (m->status[cause] == 0 && gateway_words(m, cause) == NULL)
			continue;
		page_pad(p, 2);
		if (first)
			page_styled(p, STYLE_BOLD, "Gateways say");
		first = false;
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
		return 2 * said.len;
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

static bool fits_best(struct span said, size_t best, const struct gateway_model *m, unsigned cause)
{
	return gateway_words(m, cause) != NULL && best > 0 && fit(said, span_text(gateway_words(m, cause))) == best;
}

static size_t best_fit(struct span said, const struct gateway_model *models, unsigned n)
{
	size_t best = 0;

	for (unsigned i = 0; i < n; i++) {
		for (unsigned c = 0; c < CAUSE_COUNT; c++) {
			size_t f = models[i].equivalent[c] != NULL ? fit(said, span_text(models[i].equivalent[c])) : 0;

			best = f > best ? f : best;
		}
	}
	return best;
}

/* A log says what the gateway felt; several causes feel the same, so all are named. */
static bool explain_line(struct page *p, const char *line)
{
	const struct gateway_model *models;
	unsigned n = gateway_models(&models), causes[CAUSE_COUNT], n_causes = 0;
	struct span said = span_text(line);
	size_t best = best_fit(said, models, n);

	for (unsigned c = 0; c < CAUSE_COUNT; c++) {
		bool named = false;

		for (unsigned i = 0; i < n; i++) {
			if (!fits_best(said, best, &models[i], c))
				continue;
			if (!named)
				causes[n_causes++] = c;
			named = true;
			page_format(p, "%s says this of %s: ", models[i].name, cause_row(c)->name);
			page_wrap(p, 4, models[i].equivalent[c]);
		}
	}
	if (n_causes > 1) {
		page_wrap(p, 0, "The log alone does not tell these apart; the packets do:");
	}
	for (unsigned i = 0; i < n_causes; i++) {
		page_line(p);
		explain_cause(p, causes[i]);
	}
	return n_causes > 0;
}

bool explain(struct page *p, const char *what)
{
	int cause = cause_by_name(what);

	if (cause < 0)
		return explain_line(p, what);
	explain_cause(p, (unsigned)cause);
	return true;
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
