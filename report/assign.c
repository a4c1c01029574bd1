/* assign.c - the cheapest assignment of rows to columns: shortest augmenting paths with potentials
 *
 * H. W. Kuhn, "The Hungarian method for the assignment problem", in the O(rows² · columns) form of
 * R. Jonker and A. Volgenant (1987). A row may also stay alone: it has a column of its own for
 * that.
 */
#include "assign.h"

#include <string.h>

enum { ALL = ASSIGN_COLUMNS_MAX + ASSIGN_ROWS_MAX + 1 };

struct search { /* rows and columns count from 1; column 0 is where a row begins */
	double row_price[ASSIGN_ROWS_MAX + 1], column_price[ALL];
	double least[ALL];
	unsigned row_of[ALL], came_from[ALL];
	bool done[ALL];
};

static double cost_of(const struct assignment *a, unsigned row, unsigned column)
{
	if (column <= a->columns)
		return a->cost[row - 1][column - 1];
	return column - a->columns == row ? a->unassigned : ASSIGN_NEVER;
}

/* One step of Dijkstra's search from `column`'s row: the next column to look at. */
static unsigned nearest(const struct assignment *a, struct search *s, unsigned column)
{
	unsigned row = s->row_of[column], all = a->columns + a->rows, best = 0;
	double delta = 2 * ASSIGN_NEVER;

	for (unsigned j = 1; j <= all; j++) {
		double reduced;

		if (s->done[j])
			continue;
		reduced = cost_of(a, row, j) - s->row_price[row] - s->column_price[j];
		if (reduced < s->least[j]) {
			s->least[j] = reduced;
			s->came_from[j] = column;
		}
		if (s->least[j] < delta) {
			delta = s->least[j];
			best = j;
		}
	}
	for (unsigned j = 0; j <= all; j++) {
		if (s->done[j]) {
			s->row_price[s->row_of[j]] += delta;
			s->column_price[j] -= delta;
		} else {
			s->least[j] -= delta;
		}
	}
	return best;
}

static void place(const struct assignment *a, struct search *s, unsigned row)
{
	unsigned all = a->columns + a->rows, column = 0;

	s->row_of[0] = row;
	for (unsigned j = 0; j <= all; j++) {
		s->least[j] = 4 * ASSIGN_NEVER;
		s->done[j] = false;
	}
	do {
		s->done[column] = true;
		column = nearest(a, s, column);
	} while (s->row_of[column] != 0);
	for (unsigned before; column != 0; column = before) {
		before = s->came_from[column];
		s->row_of[column] = s->row_of[before];
	}
}

void assign(struct assignment *a)
{
	struct search s;

	memset(&s, 0, sizeof s);
	for (unsigned row = 1; row <= a->rows; row++)
		place(a, &s, row);
	for (unsigned row = 0; row < a->rows; row++)
		a->column[row] = -1;
	for (unsigned j = 1; j <= a->columns; j++)
		if (s.row_of[j] != 0 && a->cost[s.row_of[j] - 1][j - 1] < ASSIGN_NEVER)
			a->column[s.row_of[j] - 1] = (int)(j - 1);
}
