/* source_file.c - one saved capture: chunks, and which format it is */
#include "codec.h"
#include "limits.h"
#include "reader.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	MAGIC_BYTES = 4,
	BEGINS_BYTES = 8,               /* of what is no capture, shown */
	INTERFACE_NAME_BYTES = 127,     /* if.h: 15 on Linux; Windows has GUIDs of 50 */
	/* Less than this left in a chunk: rather begin another than read a little. */
	CHUNK_WORTH_READING = CHUNK_BYTES / 4
};

/* ---- the table of interfaces ---- */

/* `row` has the reader's; what is said is worth having, but no reason to stop. */
static void keep_options(struct interface_table *t, struct source_interface *row)
{
	uint8_t *copy = row->options_len != 0 && t->option_bytes + row->options_len <= LIMIT_INTERFACE_OPTIONS ? malloc(row->options_len) : NULL;

	if (copy != NULL) {
		memcpy(copy, row->options, row->options_len);
		t->option_bytes += row->options_len;
	} else {
		row->options_len = 0;
	}
	row->options = copy;
}

bool interface_add(struct interface_table *t, struct span name, struct source_interface row, uint16_t *index)
{
	if (t->n >= LIMIT_PCAPNG_INTERFACES)
		return false;
	if (t->n == t->room) {
		unsigned room = t->room != 0 ? t->room * 2 : 8;
		struct source_interface *rows = realloc(t->rows, room * sizeof *rows);

		if (rows == NULL)
			return false;
		t->rows = rows;
		t->room = room;
	}
	name = span_first(name, INTERFACE_NAME_BYTES);
	row.name = strndup((const char *)name.at, name.len);
	if (row.name == NULL)
		return false;
	keep_options(t, &row);
	*index = (uint16_t)t->n;
	t->rows[t->n++] = row;
	return true;
}

void interface_table_clear(struct interface_table *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		free((void *)(uintptr_t)t->rows[i].name);
		free((void *)(uintptr_t)t->rows[i].options);
	}
	free(t->rows);
	*t = (struct interface_table){ .rows = NULL };
}

/* ---- faults ---- */

static enum fill set_fault(struct reader *r, enum err_code code, const char *what)
{
	(void)err_set(&r->fault, code, "%s: packet %llu at byte %llu%s: %s", r->name,
	              (unsigned long long)r->frames + 1, (unsigned long long)r->offset,
	              input_is_packed(r->input) ? " of the unpacked capture" : "", what);
	return FILL_BAD;
}

enum fill reader_bad(struct reader *r, enum err_code code, const char *format, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(what, sizeof what, format, ap);
	va_end(ap);
	return set_fault(r, code, what);
}

/* ---- which format ---- */

struct magic {
	uint8_t bytes[MAGIC_BYTES];
	enum fill (*begin)(struct reader *r, struct packet_batch *b);
	bool     big_endian, long_records;
	uint32_t frac_ns;
};

/* https://www.tcpdump.org/manpages/pcap-savefile.5.html; the modified one (0xa1b2cd34) is that of
 * old Linux libpcaps, see Wireshark's wiretap/libpcap.h. */
static const struct magic magics[] = {
	{ { 0xd4, 0xc3, 0xb2, 0xa1 }, pcap_begin, false, false, 1000 },
	{ { 0xa1, 0xb2, 0xc3, 0xd4 }, pcap_begin, true, false, 1000 },
	{ { 0x4d, 0x3c, 0xb2, 0xa1 }, pcap_begin, false, false, 1 },
	{ { 0xa1, 0xb2, 0x3c, 0x4d }, pcap_begin, true, false, 1 },
	{ { 0x34, 0xcd, 0xb2, 0xa1 }, pcap_begin, false, true, 1000 },
	{ { 0xa1, 0xb2, 0xcd, 0x34 }, pcap_begin, true, true, 1000 },
	{ { 0x0a, 0x0d, 0x0d, 0x0a }, pcapng_begin, false, false, 0 },
};

static const struct magic *magic_find(struct span first)
{
	for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
		if (first.len >= MAGIC_BYTES && memcmp(first.at, magics[i].bytes, MAGIC_BYTES) == 0)
			return &magics[i];
	return NULL;
}

/* "(begins with ...)": text where it is text, else hex. */
static void not_a_capture(const char *name, struct span first, struct err *e)
{
	char shown[BEGINS_BYTES * 3 + 3] = "";
	bool is_text = true;
	size_t n = 0;

	first = span_first(first, BEGINS_BYTES);
	for (size_t i = 0; i < first.len; i++)
		is_text = is_text && isprint(first.at[i]) && first.at[i] != '\\';
	if (is_text)
		(void)snprintf(shown, sizeof shown, "\"%.*s\"", (int)first.len, (const char *)first.at);
	for (size_t i = 0; !is_text && i < first.len; i++)
		n += (size_t)snprintf(shown + n, sizeof shown - n, "%s%02x", i > 0 ? " " : "", first.at[i]);
	if (first.len == 0)
		(void)err_set(e, ERR_FORMAT, "%s: not a capture file (it is empty)", name);
	else
		(void)err_set(e, ERR_FORMAT, "%s: not a capture file (begins with %s)", name, shown);
}

static enum fill find_format(struct reader *r, struct packet_batch *b)
{
	const struct magic *m = magic_find(reader_rest(r));

	if (m == NULL && reader_rest(r).len < BEGINS_BYTES)
		return FILL_MORE;
	if (m == NULL) {
		not_a_capture(r->name, reader_rest(r), &r->fault);
		return FILL_BAD;
	}
	r->big_endian = m->big_endian;
	r->long_records = m->long_records;
	r->frac_ns = m->frac_ns;
	r->fill = m->begin;
	return m->begin(r, b);
}

/* ---- chunks ---- */

void reader_use(struct reader *r, size_t n)
{
	size_t here = r->end - r->begin;
	size_t now = n < here ? n : here;

	r->begin += now;
	r->skip += n - now;
	r->offset += n;
}

/* Room behind the bytes that are there, by another chunk if need be: a larger one only for a record
 * that fills this one already, so no claimed length makes us take memory. */
static bool make_room(struct reader *r)
{
	size_t size = CHUNK_BYTES;
	struct span rest = span_none();

	if (r->chunk != NULL) {
		if (r->chunk->size - r->end >= CHUNK_WORTH_READING)
			return true;
		rest = reader_rest(r);
		while (size < rest.len + CHUNK_WORTH_READING)
			size *= 2;
	}
	r->chunk = pool_next(&r->pool, size, rest);
	r->begin = 0;
	r->end = rest.len;
	return r->chunk != NULL;
}

/* The end of the file: a clean one has no bytes left over. */
static enum input_status at_end(struct reader *r)
{
	if (r->begin == r->end && r->skip == 0 && r->fill != find_format)
		return INPUT_END;
	if (r->fill == find_format)
		not_a_capture(r->name, reader_rest(r), &r->fault);
	else
		(void)reader_bad(r, ERR_READ, "the file is cut short here");
	return INPUT_ERROR;
}

/* More bytes into the chunk. */
static enum input_status read_more(struct reader *r)
{
	struct err why = { .code = ERR_OK };
	enum input_status status;
	size_t got = 0, skipped;

	if (!make_room(r)) {
		(void)reader_bad(r, ERR_MEMORY, "no memory to read it");
		return INPUT_ERROR;
	}
	status = input_read(r->input, r->chunk->bytes + r->end, r->chunk->size - r->end, &got, &why);
	if (status == INPUT_END)
		return at_end(r);
	if (status == INPUT_ERROR) {
		if (r->frames == 0)
			r->fault = why;
		else
			(void)err_set(&r->fault, why.code, "%.400s (after packet %llu)", why.text, (unsigned long long)r->frames);
		return INPUT_ERROR;
	}
	r->end += got;
	skipped = r->skip < r->end - r->begin ? (size_t)r->skip : r->end - r->begin;
	r->begin += skipped;
	r->skip -= skipped;
	return status;
}

enum source_status reader_next(struct reader *r, struct packet_batch *b, struct err *e)
{
	enum fill fill = FILL_MORE;

	while (r->fault.code == ERR_OK) {
		if (r->chunk != NULL && r->skip == 0)
			while ((fill = r->fill(r, b)) == FILL_AGAIN)
				;
		if (b->n > 0) {
			b->chunk = r->chunk;
			chunk_ref(b->chunk);
			b->now_ns = r->last_ns;
			return SOURCE_PACKETS;
		}
		if (fill == FILL_BAD)
			break;
		switch (read_more(r)) {
		case INPUT_BYTES: break;
		case INPUT_WAIT:  b->now_ns = r->last_ns; return SOURCE_TICK;
		case INPUT_END:   return SOURCE_END;
		case INPUT_ERROR: break;
		}
	}
	(void)err_set(e, r->fault.code, "%s", r->fault.text);
	return SOURCE_ERROR;
}

/* ---- life ---- */

/* A regular file that is no capture is told before anything else begins. */
static enum err_code check_first_bytes(const struct reader *r, struct err *e)
{
	uint8_t first[BEGINS_BYTES];
	struct span s;

	if (input_is_pipe(r->input))
		return ERR_OK;
	s = span_of(first, input_peek(r->input, first, sizeof first));
	if (magic_find(s) == NULL && codec_find(s) == NULL)
		not_a_capture(r->name, s, e);
	return e->code;
}

bool reader_is_capture(struct reader *r)
{
	bool is_capture = false;

	do {
		if (read_more(r) != INPUT_BYTES)
			break;
		is_capture = magic_find(reader_rest(r)) != NULL;
	} while (!is_capture && reader_rest(r).len < MAGIC_BYTES);
	return reader_rewind(r) && is_capture;
}

struct reader *reader_open(const char *name, uint16_t file, int64_t shift_ns, struct interface_table *t, struct err *e)
{
	struct reader *r = calloc(1, sizeof *r);

	if (r == NULL) {
		(void)err_set(e, ERR_MEMORY, "%s: no memory to read it", name);
		return NULL;
	}
	*r = (struct reader){ .name = name, .file = file, .shift_ns = shift_ns, .interfaces = t, .fill = find_format };
	r->input = input_open(name, e);
	if (r->input == NULL || check_first_bytes(r, e) != ERR_OK) {
		reader_close(r);
		return NULL;
	}
	return r;
}

static void section_drops(const struct reader *r, uint64_t *kernel, uint64_t *interface)
{
	for (unsigned i = 0; i < r->n_section; i++) {
		const struct section_interface *s = &r->section[i];

		/* Both count the same packets, the one as they are missed, the other in sum. */
		*kernel += s->dropped_by_kernel > s->dropped_before_packets ? s->dropped_by_kernel
		                                                            : s->dropped_before_packets;
		*interface += s->dropped_by_interface;
	}
}

void reader_drops(const struct reader *r, uint64_t *kernel, uint64_t *interface)
{
	*kernel = r->kernel_dropped;
	*interface = r->interface_dropped;
	section_drops(r, kernel, interface);
}

bool reader_rewind(struct reader *r)
{
	struct reader fresh = {
		.input = r->input, .name = r->name, .file = r->file, .shift_ns = r->shift_ns,
		.interfaces = r->interfaces, .on_secrets = r->on_secrets, .secrets_ctx = r->secrets_ctx,
		.fill = find_format,
	};

	if (!input_rewind(r->input))
		return false;
	pool_clear(&r->pool);
	free(r->section);
	*r = fresh;
	return true;
}

void reader_close(struct reader *r)
{
	if (r == NULL)
		return;
	pool_clear(&r->pool);
	free(r->section);
	input_close(r->input);
	free(r);
}
