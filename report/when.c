#include "when.h"

#include "../capture/packet.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct civil { int64_t year; unsigned month, day, hour, minute, second, ns; };

/* Days since 1970 to a date of the Gregorian calendar, over all of int64_t's nanoseconds: years are
 * counted from March, so that the leap day is the last, in eras of 400 years (146,097 days). */
static struct civil civil_of(int64_t ns)
{
	int64_t seconds = ns / NS_PER_S, rest = ns % NS_PER_S;
	int64_t days, second_of_day, era, day_of_era, year_of_era, day_of_year, month;
	struct civil c;

	if (rest < 0) {
		seconds--;
		rest += NS_PER_S;
	}
	days = seconds / 86400;
	second_of_day = seconds % 86400;
	if (second_of_day < 0) {
		days--;
		second_of_day += 86400;
	}
	days += 719468;                         /* from 0000-03-01 to 1970-01-01 */
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;    /* 0 is March */
	c.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
	c.month = (unsigned)(month < 10 ? month + 3 : month - 9);
	c.year = year_of_era + era * 400 + (c.month <= 2);
	c.hour = (unsigned)(second_of_day / 3600);
	c.minute = (unsigned)(second_of_day / 60 % 60);
	c.second = (unsigned)(second_of_day % 60);
	c.ns = (unsigned)rest;
	return c;
}

static struct civil civil_local(int64_t ns)
{
	struct civil c = civil_of(ns);
	time_t t = (time_t)(ns / NS_PER_S - (ns % NS_PER_S < 0));
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL)
		return c;
	return (struct civil){ (int64_t)tm.tm_year + 1900, (unsigned)tm.tm_mon + 1, (unsigned)tm.tm_mday, (unsigned)tm.tm_hour,
	                       (unsigned)tm.tm_min, (unsigned)tm.tm_sec, c.ns };
}

static unsigned power_of_ten(unsigned n)
{
	unsigned p = 1;

	while (n-- > 0)
		p *= 10;
	return p;
}

/* ".500": the first `digits` of a nanosecond count; "" for none. */
static void fraction(unsigned ns, unsigned digits, char text[static 16])
{
	if (digits == 0)
		text[0] = '\0';
	else
		(void)snprintf(text, 16, ".%0*u", (int)(digits % 10), ns / power_of_ten(9 - digits % 10));
}

const char *when_rfc3339(int64_t ns, char text[static WHEN_TEXT])
{
	struct civil c = civil_of(ns);
	char f[16];

	fraction(c.ns, c.ns % 1000 == 0 ? 6 : 9, f);
	(void)snprintf(text, WHEN_TEXT, "%04" PRId64 "-%02u-%02uT%02u:%02u:%02u%sZ", c.year, c.month, c.day, c.hour, c.minute,
	               c.second, f);
	return text;
}

static const char *when_relative(const struct when_style *s, int64_t ns, unsigned digits, char text[static WHEN_TEXT])
{
	bool back = ns < s->origin_ns;
	uint64_t apart = back ? (uint64_t)s->origin_ns - (uint64_t)ns : (uint64_t)ns - (uint64_t)s->origin_ns;
	char f[16];

	fraction((unsigned)(apart % 1000000000), digits, f);
	(void)snprintf(text, WHEN_TEXT, "%s%" PRIu64 "%s", back ? "-" : "", apart / 1000000000, f);
	return text;
}

static struct civil civil_in(const struct when_style *s, int64_t ns)
{
	return s->zone == WHEN_LOCAL ? civil_local(ns) : civil_of(ns);
}

const char *when_date(const struct when_style *s, int64_t ns, char text[static WHEN_TEXT])
{
	struct civil c = civil_in(s, ns);

	text[0] = '\0';
	if (s->zone != WHEN_RELATIVE)
		(void)snprintf(text, WHEN_TEXT, "%04" PRId64 "-%02u-%02u", c.year, c.month, c.day);
	return text;
}

const char *when_text(const struct when_style *s, int64_t ns, unsigned digits, char text[static WHEN_TEXT])
{
	struct civil c;
	char f[16], date[WHEN_TEXT] = "";

	if (s->zone == WHEN_RELATIVE)
		return when_relative(s, ns, digits, text);
	c = civil_in(s, ns);
	fraction(c.ns, digits, f);
	if (s->with_date && s->zone != WHEN_UTC)
		when_date(s, ns, date);
	(void)snprintf(text, WHEN_TEXT, "%.16s%s%02u:%02u:%02u%s", date, date[0] != '\0' ? " " : "", c.hour, c.minute, c.second, f);
	return text;
}

const char *when_zone_name(const struct when_style *s, int64_t ns, char text[static WHEN_TEXT])
{
	time_t t = (time_t)(ns / NS_PER_S);
	struct tm tm;

	(void)snprintf(text, WHEN_TEXT, "%s", s->zone == WHEN_RELATIVE ? "in seconds from the first packet" : "UTC");
	if (s->zone == WHEN_LOCAL && localtime_r(&t, &tm) != NULL)
		(void)strftime(text, WHEN_TEXT, "%Z", &tm);
	return text;
}

int64_t since_ns(int64_t from_ns, int64_t to_ns)
{
	int64_t apart;

	if (to_ns <= from_ns)
		return 0;
	return __builtin_sub_overflow(to_ns, from_ns, &apart) ? INT64_MAX : apart;
}

const char *seconds_text(int64_t ns, char text[static WHEN_TEXT])
{
	uint64_t n = ns < 0 ? 0 : (uint64_t)ns;
	int used = snprintf(text, WHEN_TEXT, "%" PRIu64 ".%09u", n / 1000000000, (unsigned)(n % 1000000000));

	while (used > 0 && text[used - 1] == '0')
		text[--used] = '\0';
	if (used > 0 && text[used - 1] == '.')
		text[--used] = '\0';
	return text;
}

const char *duration_text(int64_t ns, char text[static WHEN_TEXT])
{
	uint64_t n = ns < 0 ? 0 : (uint64_t)ns;

	if (n < 1000000)                /* below a millisecond: 0.4 ms, 0.04 ms */
		(void)snprintf(text, WHEN_TEXT, "0.%0*u ms", n < 100000 ? 2 : 1, (unsigned)(n / (n < 100000 ? 10000 : 100000)));
	else if (n < 10000000)
		(void)snprintf(text, WHEN_TEXT, "%u.%u ms", (unsigned)(n / 1000000), (unsigned)(n / 100000 % 10));
	else if (n < 1000000000)
		(void)snprintf(text, WHEN_TEXT, "%u ms", (unsigned)(n / 1000000));
	else if (n < 100 * UINT64_C(1000000000))
		(void)snprintf(text, WHEN_TEXT, "%u.%02u s", (unsigned)(n / 1000000000), (unsigned)(n / 10000000 % 100));
	else if (n < 3600 * UINT64_C(1000000000))
		(void)snprintf(text, WHEN_TEXT, "%u min %u s", (unsigned)(n / 60000000000), (unsigned)(n / 1000000000 % 60));
	else
		(void)snprintf(text, WHEN_TEXT, "%" PRIu64 " h %u min", n / 3600000000000, (unsigned)(n / 60000000000 % 60));
	return text;
}

const char *count_text(uint64_t n, char text[static WHEN_TEXT])
{
	char plain[32];
	int len = snprintf(plain, sizeof plain, "%" PRIu64, n), used = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			text[used++] = ' ';
		text[used++] = plain[i];
	}
	text[used] = '\0';
	return text;
}

const char *bytes_text(uint64_t n, char text[static WHEN_TEXT])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	unsigned u = 0;
	uint64_t tenths = n > UINT64_MAX / 10 ? UINT64_MAX : n * 10;

	while (tenths >= 10000 && u + 1 < sizeof units / sizeof units[0]) {
		tenths = tenths / 1000;
		u++;
	}
	if (u > 0 && tenths < 100)
		(void)snprintf(text, WHEN_TEXT, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10), units[u]);
	else
		(void)snprintf(text, WHEN_TEXT, "%u %s", (unsigned)(tenths / 10), units[u]);
	return text;
}
