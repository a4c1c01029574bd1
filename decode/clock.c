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

/* Hostile times do not overflow: they stay as they are. */
static int64_t moved(int64_t time_ns, int64_t by_ns)
{
	int64_t then;

	return __builtin_add_overflow(time_ns, by_ns, &then) ? time_ns : then;
}

int64_t clock_newest(const struct clock *c, const struct packet *p)
{
	return p->file < c->n_files ? c->files[p->file].newest_ns : 0;
}

static void seen(struct clock_seen *s, int64_t time_ns)
{
	if (!s->any || time_ns > s->newest_ns)
		s->newest_ns = time_ns;
	s->any = true;
}

static enum clock_goes goes(const struct clock *c, const struct packet *p, int64_t shift_ns)
{
	int64_t then = moved(p->time_ns, shift_ns);

	if (p->file < c->n_files && c->files[p->file].any && then > moved(c->files[p->file].newest_ns, CLOCK_STEP_NS))
		return CLOCK_DOUBTFUL;
	if (p->interface >= c->n_taps || !c->taps[p->interface].any || then >= moved(c->taps[p->interface].newest_ns, -CLOCK_JITTER_NS))
		return CLOCK_GOES_ON;
	return then < moved(c->taps[p->interface].newest_ns, -CLOCK_STEP_NS) ? CLOCK_SET_BACK : CLOCK_DOUBTFUL;
}

/* All interfaces of one file were stamped by one host's clock, but may be a little apart in the file: a step that one of them
 * showed is the next one's, too, from where it comes to it. */
int64_t clock_shift(const struct clock *c, const struct packet *p)
{
	int64_t file = p->file < c->n_files ? c->files[p->file].shift_ns : 0, own = file;

	if (p->interface < c->n_taps && c->taps[p->interface].any)
		own = c->taps[p->interface].shift_ns;
	if (own == file || goes(c, p, own) == CLOCK_GOES_ON || goes(c, p, file) != CLOCK_GOES_ON)
		return own;
	return file;
}

enum clock_goes clock_ahead(const struct clock *c, const struct packet *p)
{
	return goes(c, p, clock_shift(c, p));
}

void clock_step(struct clock *c, const struct packet *p, int64_t elapsed_ns)
{
	int64_t shift;

	if (__builtin_sub_overflow(moved(c->files[p->file].newest_ns, elapsed_ns), p->time_ns, &shift))
		return;
	c->files[p->file].shift_ns = shift;
	if (p->interface < c->n_taps)
		c->taps[p->interface].shift_ns = shift;
}

static void set_right(struct clock *c, struct packet *p, int64_t shift)
{
	if (!room((void **)&c->taps, &c->n_taps, p->interface, sizeof *c->taps) ||
	    !room((void **)&c->files, &c->n_files, p->file, sizeof *c->files))
		return;
	p->time_ns = moved(p->time_ns, shift);
	seen(&c->taps[p->interface], p->time_ns);
	seen(&c->files[p->file], p->time_ns);
	c->taps[p->interface].shift_ns = shift;
}

void clock_set_right(struct clock *c, struct packet *p)
{
	set_right(c, p, clock_shift(c, p));
}

bool clock_goes_on(struct clock *c, struct packet *p)
{
	int64_t shift = clock_shift(c, p);

	if (goes(c, p, shift) != CLOCK_GOES_ON)
		return false;
	set_right(c, p, shift);
	return true;
}

int64_t clock_now(const struct clock *c, int64_t now_ns)
{
	int64_t most = c->n_files != 0 ? c->files[0].shift_ns : 0;

	for (unsigned i = 1; i < c->n_files; i++)
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
