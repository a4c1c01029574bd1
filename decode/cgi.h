/* cgi.h - requests in a gateway's own protocols (FastCGI, uwsgi, SCGI, AJP), told to the HTTP/1 decoder in HTTP's words
 *
 * All four carry CGI's variables (RFC 3875) and an answer that is a header section and a body. What differs is how they
 * are wrapped; so each unwraps, and HTTP/1 judges what an answer is, where it broke off and what a gateway refuses of it.
 * A request becomes `GET /target HTTP/1.1` with its fields, `Status: 404 Not Found` a status line.
 *
 *     cgi_collect(g, bytes);                          variables, as they come
 *     cgi_request(g, next_pair, at, wire_end);        they are whole: the request is told
 *     cgi_body(g, bytes, at, wire_end);               of the request, no more than it declared
 *     cgi_answer(g, bytes, at, wire_end);             header section and body, as CGI has them
 *     cgi_answered(g, at);                            the protocol says that the answer is whole
 *     cgi_end(g, from, how, at);                      the connection's
 */
#ifndef WHY502_CGI_H
#define WHY502_CGI_H

#include "exchange.h"

struct cgi_side { uint64_t offset, skip, skipped, missing; struct mark skip_last; };    /* of the plain bytes given so far */

enum { CGI_LINE = 256 };

struct cgi {
	struct conn *c;
	void    *inner;                 /* HTTP/1, of the request in hand; NULL: none */
	struct cgi_side side[2];
	uint8_t *block;                 /* variables collected */
	size_t   block_len, block_size;
	uint64_t body_left;             /* of the request's body: declared and not yet given */
	bool     status_given;
	uint16_t line_len;              /* the answer's first line, until it is whole */
	struct mark line_at;
	uint8_t  line[CGI_LINE];
};

/* The next variable; false after the last, or where they are broken. */
typedef bool cgi_pair_fn(struct cursor *in, struct span *name, struct span *value);

void cgi_init(struct cgi *g, struct conn *c);
void cgi_clear(struct cgi *g);
bool cgi_collect(struct cgi *g, struct span bytes);     /* false: more than LIMIT_HEAD_BYTES, or no memory */
bool cgi_request(struct cgi *g, cgi_pair_fn *next, struct mark at, uint64_t wire_end);
void cgi_body(struct cgi *g, struct span bytes, struct mark at, uint64_t wire_end);
void cgi_answer(struct cgi *g, struct span bytes, struct mark at, uint64_t wire_end);
bool cgi_answer_begun(const struct cgi *g);             /* its header section is whole */
void cgi_answered(struct cgi *g, struct mark at);
void cgi_gap(struct cgi *g, enum side from, uint64_t missing, enum why why, struct mark at);
/* closes: a close ends an answer that has no length of its own; else it breaks it off. */
void cgi_end(struct cgi *g, enum side from, enum ending how, bool closes, struct mark at);

#endif
