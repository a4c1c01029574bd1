/* page.h - text in columns on a terminal or a pipe: what fits a line, which colour, where it breaks
 *
 *     page_style(p, STYLE_BOLD); page_say(p, "keepalive-race"); page_style(p, STYLE_PLAIN);
 *     page_pad(p, 30); page_wire(p, target, 40); page_line(p);
 *
 * page_say() and page_wrap() take our own words, page_wire() raw bytes. Both are escaped, so that
 * only page_style() ever sends a terminal anything to act on, and a line never breaks within an escape.
 */
#ifndef WHY502_PAGE_H
#define WHY502_PAGE_H

#include "out.h"

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_GREEN, STYLE_YELLOW, STYLE_CYAN };

struct page {
	struct out *out;
	unsigned width;                 /* columns of a line */
	unsigned column;                /* where the next character goes, from 0 */
	bool color, ascii;
	bool html;                      /* a piece of text within an HTML page */
};

void page_style(struct page *p, enum style s);
void page_say(struct page *p, const char *words);
void page_styled(struct page *p, enum style s, const char *words);
void page_format(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void page_pad(struct page *p, unsigned column);                 /* spaces up to it; one at least unless at the line's start */
void page_right(struct page *p, const char *words, unsigned end);       /* ends before column `end` */
void page_line(struct page *p);                                 /* ends the line */
/* Words from here on, broken at spaces; further lines begin at column `indent`. Ends the line. */
void page_wrap(struct page *p, unsigned indent, const char *words);
void page_flow(struct page *p, unsigned indent, const char *words);     /* the same, but the line stays open */
/* Bytes from the wire, at most `columns` wide: what is cut ends in an ellipsis. */
void page_wire(struct page *p, struct span raw, unsigned columns);
void page_cut(struct page *p, const char *words, unsigned columns);     /* our own words, cut likewise */
unsigned page_columns(const struct page *p, const char *words);

#endif
