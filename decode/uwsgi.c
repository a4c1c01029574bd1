/* uwsgi.c - uwsgi and SCGI: one request a connection, its variables in one block, then its body; the answer to the close
 *
 *     uwsgi   modifier(1) size(2, little-endian) modifier(1), then names and values, each behind its length (2, little-endian)
 *             https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
 *     SCGI    a netstring of names and values, each ended by NUL: `70:CONTENT_LENGTH` NUL `27` NUL … `,`
 *             https://python.ca/scgi/protocol.txt
 */
#include "cgi.h"
#include "foreign.h"

enum { UWSGI_HEADER = 4 };

struct block_style {
	cgi_pair_fn *next;
	bool (*size)(const uint8_t *header, size_t n, uint64_t *block, bool *broken);   /* true: known from these n bytes */
	size_t longest_header, behind;  /* bytes behind the block that are not the body's */
};

enum request_state { IN_HEADER, IN_BLOCK, BEHIND_BLOCK, IN_BODY, LOST };

struct block_request {
	struct cgi cgi;
	const struct block_style *style;
	uint8_t  header[12];
	uint8_t  n_header, state;       /* enum request_state, of the gateway's side */
	bool     answer_lost;
	uint64_t left;
};

static bool uwsgi_size(const uint8_t *header, size_t n, uint64_t *block, bool *broken)
{
	*block = header[1] | (unsigned)header[2] << 8;
	*broken = n == UWSGI_HEADER && (header[0] != 0 || *block == 0);
	return n == UWSGI_HEADER;
}

static struct span uwsgi_text(struct cursor *in)
{
	size_t low = cur_u8(in);

	return cur_take(in, low | (size_t)cur_u8(in) << 8);
}

static bool uwsgi_pair(struct cursor *in, struct span *name, struct span *value)
{
	*name = uwsgi_text(in);
	*value = uwsgi_text(in);
	return !in->failed;
}

static bool scgi_size(const uint8_t *header, size_t n, uint64_t *block, bool *broken)
{
	uint8_t last = header[n - 1];

	*broken = (last < '0' || last > '9') && (last != ':' || n == 1);
	*block = 0;
	for (size_t i = 0; i + 1 < n; i++)
		*block = *block * 10 + (uint64_t)(header[i] - '0');
	return last == ':';
}

static struct span scgi_text(struct cursor *in)
{
	struct span s = cur_take(in, span_index(in->rest, 0));

	(void)cur_u8(in);
	return s;
}

static bool scgi_pair(struct cursor *in, struct span *name, struct span *value)
{
	*name = scgi_text(in);
	*value = scgi_text(in);
	return !in->failed;
}

static const struct block_style uwsgi_style = { uwsgi_pair, uwsgi_size, UWSGI_HEADER, 0 };
static const struct block_style scgi_style = { scgi_pair, scgi_size, 8, 1 };

static void *block_begin(struct conn *c, const struct block_style *style)
{
	struct block_request *b = conn_alloc(c, sizeof *b);

	if (b == NULL)
		return NULL;
	*b = (struct block_request){ .style = style };
	cgi_init(&b->cgi, c);
	return b;
}

static void *uwsgi_begin(struct conn *c, bool late)
{
	(void)late;                     /* it begins with the request, or is not known */
	return block_begin(c, &uwsgi_style);
}

static void *scgi_begin(struct conn *c, bool late)
{
	(void)late;
	return block_begin(c, &scgi_style);
}

static void take_header(struct block_request *b, struct cursor *in)
{
	bool broken;

	b->header[b->n_header++] = cur_u8(in);
	if (b->style->size(b->header, b->n_header, &b->left, &broken))
		b->state = IN_BLOCK;
	if (broken || (b->state == IN_HEADER && b->n_header == b->style->longest_header))
		b->state = LOST;
}

static void take_block(struct block_request *b, struct cursor *in)
{
	struct span part = cur_take(in, b->left < in->rest.len ? (size_t)b->left : in->rest.len);

	b->left -= part.len;
	if (!cgi_collect(&b->cgi, part))
		b->state = LOST;
	else if (b->left == 0)
		b->state = BEHIND_BLOCK;
}

/* SCGI's comma; then the request is told. */
static bool tell_request(struct block_request *b, struct cursor *in, const struct piece *p)
{
	if (in->rest.len < b->style->behind)
		return false;
	(void)cur_take(in, b->style->behind);
	b->state = cgi_request(&b->cgi, b->style->next, p->at, piece_wire_at(p, p->bytes.len - in->rest.len)) ? IN_BODY : LOST;
	return true;
}

static uint64_t request_bytes(struct block_request *b, const struct piece *p)
{
	struct cursor in = cursor_of(p->bytes);

	while (b->state == IN_HEADER && in.rest.len != 0)
		take_header(b, &in);
	if (b->state == IN_BLOCK && in.rest.len != 0)
		take_block(b, &in);
	if (b->state == BEHIND_BLOCK && !tell_request(b, &in, p))
		return 0;
	if (b->state == IN_BODY)
		cgi_body(&b->cgi, in.rest, p->at, piece_wire_at(p, p->bytes.len));
	return b->state == LOST ? WANT_NONE : 0;
}

static uint64_t block_bytes(void *self, enum side from, const struct piece *p)
{
	struct block_request *b = self;

	if (from == CLIENT)
		return request_bytes(b, p);
	if (!b->answer_lost)
		cgi_answer(&b->cgi, p->bytes, p->at, piece_wire_at(p, p->bytes.len));
	return b->state == LOST || b->answer_lost ? WANT_NONE : 0;
}

static void block_gap(void *self, enum side from, uint64_t missing, enum why why, struct mark at)
{
	struct block_request *b = self;

	if (from == CLIENT && b->state != IN_BODY) {
		b->state = LOST;
		return;
	}
	cgi_gap(&b->cgi, from, missing, why, at);
	b->answer_lost |= from == SERVER && !b->cgi.status_given;
}

static void block_end(void *self, enum side from, enum ending how, uint64_t offset, struct mark at)
{
	struct block_request *b = self;

	(void)offset;
	cgi_end(&b->cgi, from, b->answer_lost && from == SERVER ? END_CAPTURE : how, true, at);
}

static void block_free(void *self)
{
	struct block_request *b = self;
	struct conn *c = b->cgi.c;

	cgi_clear(&b->cgi);
	conn_release(c, b, sizeof *b);
}

const struct protocol uwsgi_protocol = {
	.name = "uwsgi",
	.speaks = SPEAKS_FOREIGN_FIRST + FOREIGN_UWSGI,
	.begin = uwsgi_begin,
	.bytes = block_bytes,
	.gap = block_gap,
	.end = block_end,
	.free = block_free,
};

const struct protocol scgi_protocol = {
	.name = "scgi",
	.speaks = SPEAKS_FOREIGN_FIRST + FOREIGN_SCGI,
	.begin = scgi_begin,
	.bytes = block_bytes,
	.gap = block_gap,
	.end = block_end,
	.free = block_free,
};
