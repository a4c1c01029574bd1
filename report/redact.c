#include "redact.h"

enum { DECODED_MAX = 8 << 10, DECODE_DEPTH = 3, TOKEN_MIN = 20 };

#define HIDDEN "\xe2\x80\xa6"           /* … */

/* SAFETY.md, Secrets and people: in the name of a query parameter … */
static const char *const parameter_words[] = {
	"token", "secret", "key", "auth", "pass", "pwd", "sig", "session", "sid", "code", "state", "jwt", "nonce", "cred",
};
/* … and of a field. */
static const char *const field_words[] = {
	"token", "secret", "key", "auth", "password", "passwd", "session", "signature", "credential", "cookie", "jwt",
};

static bool holds_word(struct span s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_find(s, words[i]) < s.len)
			return true;
	return false;
}

#define HOLDS_ANY(s, words) holds_word((s), (words), sizeof (words) / sizeof (words)[0])

/* ---- percent-decoding --------------------------------------------------------------------- */

static int hex_digit(uint8_t c)
{
	c = ascii_lower(c);
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct decoded { size_t len; uint8_t bytes[DECODED_MAX]; };

/* One layer of percent-encoding taken off in place; true where there was any. */
static bool decode_layer(struct decoded *d)
{
	struct span in = span_of(d->bytes, d->len);
	size_t n = 0;
	bool any = false;

	for (size_t i = 0; i < in.len; i++) {
		int high = hex_digit(span_at(in, i + 1)), low = hex_digit(span_at(in, i + 2));

		if (in.at[i] == '%' && high >= 0 && low >= 0) {
			d->bytes[n++] = (uint8_t)(high << 4 | low);
			i += 2;
			any = true;
		} else {
			d->bytes[n++] = in.at[i];
		}
	}
	d->len = n;
	return any;
}

/* Encoded twice is still a token to the server behind two gateways. */
static struct span decode(struct decoded *d, struct span s, bool lower)
{
	d->len = s.len < sizeof d->bytes ? s.len : sizeof d->bytes;
	memcpy(d->bytes, s.at, d->len);
	for (unsigned i = 0; i < DECODE_DEPTH && decode_layer(d); i++)
		;
	for (size_t i = 0; lower && i < d->len; i++)
		d->bytes[i] = ascii_lower(d->bytes[i]);
	return span_of(d->bytes, d->len);
}

/* ---- what looks secret -------------------------------------------------------------------- */

bool secret_name(struct span name)
{
	struct decoded d;

	return HOLDS_ANY(decode(&d, name, true), parameter_words);
}

bool secret_field(struct span name)
{
	struct decoded d;

	return HOLDS_ANY(decode(&d, name, true), field_words);
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

/* RFC 4648 4 and 5. */
static bool is_base64(uint8_t c)
{
	return is_digit(c) || is_letter(c) || c == '+' || c == '/' || c == '-' || c == '_' || c == '=';
}

/* A run of 20 or more characters of hex or base64, with digits and letters mixed. */
static bool holds_token(struct span s)
{
	size_t run = 0;
	bool digit = false, letter = false;

	for (size_t i = 0; i < s.len; i++) {
		if (!is_base64(s.at[i])) {
			run = 0;
			digit = letter = false;
			continue;
		}
		run++;
		digit = digit || is_digit(s.at[i]);
		letter = letter || is_letter(s.at[i]);
		if (run >= TOKEN_MIN && digit && letter)
			return true;
	}
	return false;
}

/* Three parts of base64url, the first the start of a JSON object (RFC 7519 3.1). */
static bool holds_jwt(struct span s)
{
	size_t at = span_find(s, "eyJ");
	struct span rest = span_from(s, at);
	size_t dot = span_index(rest, '.');

	return at < s.len && dot < rest.len && span_index(span_from(rest, dot + 1), '.') < rest.len - dot - 1;
}

/* A value may be a URL of its own, with its own parameters. */
static bool holds_parameter(struct span decoded)
{
	struct decoded d;

	if (span_index(decoded, '=') == decoded.len)
		return false;
	return HOLDS_ANY(decode(&d, decoded, true), parameter_words);
}

bool secret_value(struct span value)
{
	struct decoded d;
	struct span plain = decode(&d, value, false);

	if (value.len > sizeof d.bytes)         /* too long to look at whole: nobody reads it either */
		return true;
	return holds_token(plain) || holds_jwt(plain) || holds_parameter(plain);
}

/* ---- rewriting ---------------------------------------------------------------------------- */

static void add(struct redacted *to, struct span s)
{
	size_t room = sizeof to->bytes - to->len;

	s = span_first(s, room);
	if (s.len > 0)
		memcpy(to->bytes + to->len, s.at, s.len);
	to->len += s.len;
}

static void add_hidden(struct redacted *to)
{
	add(to, span_text(HIDDEN));
}

static size_t index_any(struct span s, const char *stops)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] != '\0' && strchr(stops, s.at[i]) != NULL)
			return i;
	return s.len;
}

/* name=value, or a value alone. */
static void add_parameter(struct redacted *to, struct span p)
{
	size_t eq = span_index(p, '=');
	struct span value = eq < p.len ? span_from(p, eq + 1) : p;
	bool hide = (eq < p.len && value.len > 0 && secret_name(span_first(p, eq))) || secret_value(value);

	if (eq < p.len)
		add(to, span_first(p, eq + 1));
	if (hide)
		add_hidden(to);
	else
		add(to, value);
}

/* Parameters up to one of `stops`; `between` part them. Returns what is left. */
static struct span add_parameters(struct redacted *to, struct span s, const char *between, const char *stops)
{
	struct span list = span_first(s, index_any(s, stops));

	for (;;) {
		size_t end = index_any(list, between);

		add_parameter(to, span_first(list, end));
		if (end >= list.len)
			return span_from(s, index_any(s, stops));
		add(to, span_of(list.at + end, 1));
		list = span_from(list, end + 1);
	}
}

/* Of the last such byte; 0 where there is none. */
static size_t last_index(struct span s, uint8_t c)
{
	const uint8_t *at = s.len > 0 ? memrchr(s.at, c, s.len) : NULL;

	return at != NULL ? (size_t)(at - s.at) : 0;
}

/* user:password@ before a host. */
static void add_authority(struct redacted *to, struct span s)
{
	size_t at = last_index(s, '@');

	if (at > 0)
		add_hidden(to);
	add(to, span_from(s, at));
}

/* The absolute form's scheme and authority (RFC 9112 3.2.2), or CONNECT's. Returns the path and the rest. */
static struct span add_origin(struct redacted *to, struct span s)
{
	size_t scheme = span_find(s, "://"), n;

	if (span_at(s, 0) == '/' && span_at(s, 1) == '/') {
		add(to, span_first(s, 2));
		s = span_from(s, 2);
	} else if (span_at(s, 0) == '/' || span_at(s, 0) == '*') {
		return s;
	} else if (scheme < span_index(s, '/')) {
		add(to, span_first(s, scheme + 3));
		s = span_from(s, scheme + 3);
	}
	/* A password with ? or # in it, sent raw: all before the last @ ahead of the path is user information. */
	n = last_index(span_first(s, span_index(s, '/')), '@');
	n += index_any(span_from(s, n), "/?#");
	add_authority(to, span_first(s, n));
	return span_from(s, n);
}

static void add_path(struct redacted *to, struct span *s)
{
	while (s->len > 0 && s->at[0] != '?' && s->at[0] != '#') {
		size_t n = index_any(span_from(*s, 1), ";?#") + 1;

		if (n > s->len)
			n = s->len;
		if (s->at[0] == ';') {
			add(to, span_first(*s, 1));
			*s = add_parameters(to, span_from(*s, 1), ";", "/?#");
		} else {
			add(to, span_first(*s, n));
			*s = span_from(*s, n);
		}
	}
}

static void add_target(struct redacted *to, struct span target)
{
	struct span s = add_origin(to, target);

	add_path(to, &s);
	if (span_at(s, 0) == '?') {
		add(to, span_first(s, 1));
		s = add_parameters(to, span_from(s, 1), "&;", "#");
	}
	if (s.len > 0) {                /* the fragment */
		add(to, span_first(s, 1));
		if (s.len > 1)
			add_hidden(to);
	}
}

void redact_user_information(struct redacted *to, struct span target)
{
	size_t scheme = span_find(target, "://");
	struct span rest = span_from(span_from(target, scheme), 3);
	size_t authority = span_index(rest, '/');

	to->len = 0;
	if (span_index(span_first(rest, authority), '@') == authority) {
		add(to, target);
		return;
	}
	add(to, span_first(target, target.len - rest.len));
	add_authority(to, span_first(rest, authority));
	add(to, span_from(rest, authority));
}

void redact_target(struct redacted *to, struct span target, bool show)
{
	to->len = 0;
	if (show)
		add(to, target);
	else
		add_target(to, target);
}

void redact_authority(struct redacted *to, struct span authority, bool show)
{
	to->len = 0;
	if (show)
		add(to, authority);
	else
		add_authority(to, authority);
}

/* METHOD SP target SP version: hides in the target alone. False where it is no such line. */
static bool add_request_line(struct redacted *to, struct span line)
{
	size_t method = span_index(line, ' ');
	struct span rest = span_from(line, method + 1);
	size_t target = span_index(rest, ' ');
	struct span t = span_first(rest, target);

	for (size_t i = 0; i < method; i++)
		if (!is_letter(line.at[i]))
			return false;
	if (method == line.len || t.len == 0 || (t.at[0] != '/' && span_find(t, "://") == t.len))
		return false;
	add(to, span_first(line, method + 1));
	add_target(to, t);
	add(to, span_from(rest, target));
	return true;
}

/* A target, or a URL, alone. */
static bool add_target_alone(struct redacted *to, struct span line)
{
	size_t scheme = span_find(line, "://");

	if (index_any(line, " \t") < line.len)
		return false;
	if (span_at(line, 0) != '/' && (scheme == line.len || index_any(line, ":/?#") < scheme))
		return false;
	add_target(to, line);
	return true;
}

static void add_line(struct redacted *to, struct span line)
{
	size_t name = index_any(line, ":= \t");

	if (add_request_line(to, line) || add_target_alone(to, line))
		return;
	if (secret_field(span_first(line, name)) && name < line.len) {
		add(to, span_first(line, name + 1));
		add_hidden(to);
	} else if (secret_value(line)) {
		add(to, span_first(line, name < line.len ? name + 1 : 0));
		add_hidden(to);
	} else {
		add(to, line);
	}
}

void redact_line(struct redacted *to, struct span line, bool show)
{
	to->len = 0;
	if (show)
		add(to, line);
	else
		add_line(to, line);
}

void redact_excerpt(struct redacted *to, struct span bytes, bool show)
{
	to->len = 0;
	if (show) {
		add(to, bytes);
		return;
	}
	while (bytes.len > 0) {
		size_t n = index_any(bytes, "\r\n");

		add_line(to, span_first(bytes, n));
		add(to, span_first(span_from(bytes, n), 1));
		bytes = span_from(bytes, n + 1);
	}
}
