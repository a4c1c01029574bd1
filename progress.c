#include "progress.h"

#include "report/when.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
#define FIRST_AFTER_NS NS_PER_S                 /* what is done by then needs no bar */
#define AGAIN_AFTER_NS (NS_PER_S / 5)

enum { ASKED_BETWEEN = 64, LINE_BYTES = 200, BAR_COLUMNS = 20 };

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

void progress_begin(struct progress *p, bool wanted)
{
	*p = (struct progress){ .wanted = wanted };
	p->began_ns = wanted ? now_ns() : 0;
	p->told_ns = p->began_ns + FIRST_AFTER_NS - AGAIN_AFTER_NS;
}

bool progress_due(struct progress *p)
{
	return p->wanted && ++p->asked % ASKED_BETWEEN == 0 && now_ns() - p->told_ns >= AGAIN_AFTER_NS;
}

/* Whoever cannot be written to has it no worse. */
static void say(const char *text)
{
	ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

	(void)ignored;
}

void progress_show(struct progress *p, uint64_t at, uint64_t size, uint64_t packets)
{
	int64_t now = now_ns(), took_ns = now - p->began_ns;
	char line[LINE_BYTES], count[WHEN_TEXT], rate[WHEN_TEXT], left[WHEN_TEXT], bar[BAR_COLUMNS + 1];
	double part = size != 0 && at <= size ? (double)at / (double)size : 0;
	uint64_t a_second = (uint64_t)((double)at * (double)NS_PER_S / (double)(took_ns + 1));

	if (part <= 0)
		return;
	memset(bar, '.', BAR_COLUMNS);
	memset(bar, '#', (size_t)(part * BAR_COLUMNS));
	bar[BAR_COLUMNS] = '\0';
	(void)snprintf(line, sizeof line, "\r[%s] %3d %%  %s packets  %s/s  %s left \x1b[K", bar, (int)(part * 100), count_text(packets, count),
	               bytes_text(a_second, rate), duration_text((int64_t)((double)took_ns * (1 - part) / part) / NS_PER_S * NS_PER_S, left));
	say(line);
	p->told_ns = now;
	p->shown = true;
}

void progress_end(struct progress *p)
{
	if (p->shown)
		say("\r\x1b[K");
	p->shown = false;
}
