/* when.h - times and durations as text, from integers (no floating point, no locale)
 */
#ifndef WHY502_WHEN_H
#define WHY502_WHEN_H

#include <stdbool.h>
#include <stdint.h>

enum { WHEN_TEXT = 64 };

/* -t, as tshark names them. */
enum when_zone { WHEN_UTC_DATE, WHEN_LOCAL, WHEN_RELATIVE, WHEN_UTC };

struct when_style {
	uint8_t zone;           /* enum when_zone */
	bool    with_date;      /* the capture is longer than a day */
	int64_t origin_ns;      /* WHEN_RELATIVE counts from here */
};

/* "2026-01-31T12:00:01.500000Z": nine digits, or six where the rest are zero. RFC 3339. */
const char *when_rfc3339(int64_t ns, char text[static WHEN_TEXT]);
/* "12:00:01.500", with the date before it where the style says so. `digits` of the second: 0 to 9. */
const char *when_text(const struct when_style *s, int64_t ns, unsigned digits, char text[static WHEN_TEXT]);
/* "2026-01-31" in the style's zone; "" where it is relative. */
const char *when_date(const struct when_style *s, int64_t ns, char text[static WHEN_TEXT]);
/* "UTC", "CET", or "from the first packet". */
const char *when_zone_name(const struct when_style *s, int64_t ns, char text[static WHEN_TEXT]);

/* Capture time is input: never negative, never beyond int64_t. */
int64_t since_ns(int64_t from_ns, int64_t to_ns);

/* "5.002": seconds, as many digits as it takes. */
const char *seconds_text(int64_t ns, char text[static WHEN_TEXT]);
/* "5.00 s", "0.4 ms", "2 min 3 s": for people. */
const char *duration_text(int64_t ns, char text[static WHEN_TEXT]);
/* "1 234 567". */
const char *count_text(uint64_t n, char text[static WHEN_TEXT]);
/* "812 MB": powers of ten. */
const char *bytes_text(uint64_t n, char text[static WHEN_TEXT]);

#endif
