/* clock.c - the clocks of a capture's taps, made to go on */
#include "clock.h"

#include <stdlib.h>
#include <string.h>

/* An array's room for one more index; without memory its times stay as they are. */
static bool room(void **array, unsigned *n, unsigned index, size_t size)
{
	unsigned want = index + 1;
	void *bigger;

	if (index < *n)
		return true;
	bigger = realloc(*array, want * size);
	if (bigger == NULL)
		return false;
	memset((char *)bigger + *n * size, 0, (want - *n) * size);
	*array = bigger;
	*n = want;
	return true;
}

static int64_t shift_of(const struct clock *c, const struct packet *p)
{
	return p->file < c->n_files ? c->files[p->file].shift_ns : 0;
}

/* Hostile times do not overflow: they stay as they are. */
static int64_t moved(int64_t time_ns, int64_t by_ns)
{
	int64_t then;

	return __builtin_add_overflow(time_ns, by_ns, &then) ? time_ns : then;
}

bool clock_would_step(const struct clock *c, const struct packet *p)
{
	if (p->interface >= c->n_taps || !c->taps[p->interface].any)
		return false;
	return moved(p->time_ns, shift_of(c, p)) < moved(c->taps[p->interface].newest_ns, -CLOCK_STEP_NS);
}

/* All interfaces of one file were stamped by one host's clock. */
static void step(struct clock *c, const struct packet *p)
{
	int64_t shift;

	if (!__builtin_sub_overflow(c->files[p->file].newest_ns, p->time_ns, &shift))
		c->files[p->file].shift_ns = shift;
}

void clock_set_right(struct clock *c, struct packet *p)
{
	struct clock_seen *tap;
	struct clock_tuned *file;

	if (!room((void **)&c->taps, &c->n_taps, p->interface, sizeof *c->taps) ||
	    !room((void **)&c->files, &c->n_files, p->file, sizeof *c->files))
		return;
	if (clock_would_step(c, p))
		step(c, p);
	tap = &c->taps[p->interface];
	file = &c->files[p->file];
	p->time_ns = moved(p->time_ns, file->shift_ns);
	if (!tap->any || p->time_ns > tap->newest_ns)
		*tap = (struct clock_seen){ p->time_ns, true };
	if (!file->any || p->time_ns > file->newest_ns) {
		file->newest_ns = p->time_ns;
		file->any = true;
	}
}

int64_t clock_now(const struct clock *c, int64_t now_ns)
{
	int64_t most = 0;

	for (unsigned i = 0; i < c->n_files; i++)
		if (c->files[i].shift_ns > most)
			most = c->files[i].shift_ns;
	return moved(now_ns, most);
}

void clock_clear(struct clock *c)
{
	free(c->taps);
	free(c->files);
	*c = (struct clock){ NULL, NULL, 0, 0 };
}
