/* explain.h - what why502 knows, told without a capture: --explain, --list-causes, --capture-help
 */
#ifndef WHY502_EXPLAIN_H
#define WHY502_EXPLAIN_H

#include "page.h"

/* A cause's name, or words of a gateway's log: what it is on the wire, what it is mistaken for, what to do.
 * False: nothing fits. */
bool explain(struct page *p, const char *what);

void list_causes(struct page *p);
void list_products(struct page *p);
void capture_help(struct page *p);
void print_schema(struct out *o);               /* JSON Schema of what the json writer writes; schema.c */

/* The manual page's tables, in man(7). */
void manual_causes(struct out *o);
void manual_formats(struct out *o);
void manual_products(struct out *o);

#endif
