/* fastcgi.c - FastCGI 1.0: records around CGI's variables, body and answer
 *
 *     version(1) type(1) request(2) length(2) padding(1) reserved(1), content, padding
 *     https://fastcgi-archives.github.io/FastCGI_Specification.html 3.3
 *
 *   gateway:  BEGIN_REQUEST, PARAMS…, PARAMS (empty), STDIN…, STDIN (empty)
 *   server:   STDOUT…, STDERR…, END_REQUEST, and a close unless FCGI_KEEP_CONN was asked
 *
 * Records that are lost can be found again only where their length was known: within one.
 */
#include "cgi.h"
#include "foreign.h"

enum { RECORD_HEADER = 8 };
enum { BEGIN_REQUEST = 1, ABORT_REQUEST = 2, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, STDERR = 7, TYPES = 12 };

struct record_side {
	uint8_t  header[RECORD_HEADER], n_header;
	uint8_t  type;
	uint16_t request;
	uint32_t content, padding;      /* left of the record in hand */
	bool     empty;                 /* it came without content */
	bool     lost;                  /* nothing more of this side can be read */
};

struct fastcgi {
	struct cgi cgi;
	uint16_t request;               /* the one in hand: gateways ask one at a time */
	struct record_side side[2];
};

static void *fastcgi_begin(struct conn *c, bool late)
{
	struct fastcgi *f = conn_alloc(c, sizeof *f);

	(void)late;                     /* each request begins with a record of its own, each answer ends with one */
	if (f == NULL)
		return NULL;
	*f = (struct fastcgi){ .request = 0 };
	cgi_init(&f->cgi, c);
	return f;
}

/* 3.4: lengths of one byte, or of four with the highest bit set. */
static size_t pair_length(struct cursor *in)
{
	uint8_t first = cur_u8(in);

	return (first & 0x80) == 0 ? first : (size_t)(first & 0x7f) << 24 | cur_u24(in);
}

static bool next_pair(struct cursor *in, struct span *name, struct span *value)
{
	size_t name_len = pair_length(in), value_len = pair_length(in);

	*name = cur_take(in, name_len);
	*value = cur_take(in, value_len);
	return !in->failed;
}

/* The record's header is whole. */
static void record_begins(struct fastcgi *f, struct record_side *s, enum side from)
{
	struct cursor in = cursor_of(span_of(s->header, sizeof s->header));
	uint8_t version = cur_u8(&in);

	s->type = cur_u8(&in);
	s->request = cur_u16(&in);
	s->content = cur_u16(&in);
	s->padding = cur_u8(&in);
	s->empty = s->content == 0;
	s->lost = version != 1 || s->type == 0 || s->type >= TYPES;
	if (from != CLIENT || s->lost || s->type != BEGIN_REQUEST)
		return;
	f->request = s->request;
	f->cgi.block_len = 0;
}

static void record_content(struct fastcgi *f, struct record_side *s, enum side from, struct span bytes, struct mark at, uint64_t wire_end)
{
	if (s->request != f->request)
		return;
	if (from == CLIENT && s->type == PARAMS)
		s->lost = !cgi_collect(&f->cgi, bytes);
	else if (from == CLIENT && s->type == STDIN)
		cgi_body(&f->cgi, bytes, at, wire_end);
	else if (from == SERVER && s->type == STDOUT)
		cgi_answer(&f->cgi, bytes, at, wire_end);
}

static void record_ends(struct fastcgi *f, struct record_side *s, enum side from, struct mark at, uint64_t wire_end)
{
	if (s->request != f->request)
		return;
	if (from == CLIENT && s->type == PARAMS && s->empty)
		s->lost = !cgi_request(&f->cgi, next_pair, at, wire_end);
	/* With no answer, or half a header section, the close tells what became of it. */
	else if (from == SERVER && s->type == END_REQUEST && cgi_answer_begun(&f->cgi))
		cgi_answered(&f->cgi, at);
}

static void take_header(struct fastcgi *f, struct record_side *s, enum side from, struct cursor *in)
{
	size_t n = RECORD_HEADER - (size_t)s->n_header < in->rest.len ? RECORD_HEADER - (size_t)s->n_header : in->rest.len;

	memcpy(s->header + s->n_header, cur_take(in, n).at, n);
	s->n_header = (uint8_t)(s->n_header + n);
	if (s->n_header == RECORD_HEADER)
		record_begins(f, s, from);
}

static uint64_t fastcgi_bytes(void *self, enum side from, const struct piece *p)
{
	struct fastcgi *f = self;
	struct record_side *s = &f->side[from];
	struct cursor in = cursor_of(p->bytes);

	while (!s->lost && (in.rest.len != 0 || (s->n_header == RECORD_HEADER && s->content == 0 && s->padding == 0))) {
		struct span part;

		if (s->n_header < RECORD_HEADER) {
			take_header(f, s, from, &in);
			continue;
		}
		part = cur_take(&in, s->content < in.rest.len ? s->content : in.rest.len);
		if (part.len != 0) {
			s->content -= (uint32_t)part.len;
			record_content(f, s, from, part, p->at, piece_wire_at(p, p->bytes.len - in.rest.len));
			continue;
		}
		part = cur_take(&in, s->padding < in.rest.len ? s->padding : in.rest.len);
		s->padding -= (uint32_t)part.len;
		if (s->content == 0 && s->padding == 0) {
			s->n_header = 0;
			record_ends(f, s, from, p->at, piece_wire_at(p, p->bytes.len - in.rest.len));
		}
	}
	return s->lost ? WANT_NONE : 0;
}

static void fastcgi_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct fastcgi *f = self;
	struct record_side *s = &f->side[from];
	bool body = s->request == f->request && (s->type == (from == CLIENT ? STDIN : STDOUT));

	if (s->lost)
		return;
	cgi_gap(&f->cgi, from, missing, why, at);
	/* Variables, a record's header, or a header section that began in what is missing: it cannot be read. */
	if (s->n_header < RECORD_HEADER || !body || missing > s->content || (from == SERVER && !f->cgi.status_given))
		s->lost = true;
	else
		s->content -= (uint32_t)missing;
}

static void fastcgi_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	struct fastcgi *f = self;

	(void)offset;
	cgi_end(&f->cgi, from, f->side[from].lost && from == SERVER ? END_CAPTURE : how, false, at);
}

static void fastcgi_free(void *self)
{
	struct fastcgi *f = self;
	struct conn *c = f->cgi.c;

	cgi_clear(&f->cgi);
	conn_release(c, f, sizeof *f);
}

/* Between requests of a connection that is kept (FCGI_KEEP_CONN). */
static bool fastcgi_idle(const void *self)
{
	const struct fastcgi *f = self;

	return f->cgi.inner == NULL && f->cgi.block_len == 0 && !f->side[CLIENT].lost && !f->side[SERVER].lost &&
	       f->side[CLIENT].n_header == 0 && f->side[SERVER].n_header == 0;
}

const struct protocol fastcgi_protocol = {
	.name = "fastcgi",
	.speaks = SPEAKS_FOREIGN_FIRST + FOREIGN_FASTCGI,
	.begin = fastcgi_begin,
	.bytes = fastcgi_bytes,
	.gap = fastcgi_gap,
	.end = fastcgi_end,
	.free = fastcgi_free,
	.idle = fastcgi_idle,
};
