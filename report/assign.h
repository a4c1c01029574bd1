/* assign.h - the cheapest assignment of rows to columns, each column to one row at most */
#ifndef WHY502_ASSIGN_H
#define WHY502_ASSIGN_H

#include <stdbool.h>

#define ASSIGN_NEVER 1e30 /* this pair is impossible */

enum { ASSIGN_ROWS_MAX = 128, ASSIGN_COLUMNS_MAX = 384 };

struct assignment {
	unsigned rows, columns;
	double unassigned; /* what a row without a column costs */
	double cost[ASSIGN_ROWS_MAX][ASSIGN_COLUMNS_MAX];
	int column[ASSIGN_ROWS_MAX]; /* the result; -1: none */
};

void assign(struct assignment *a);

#endif
