#include "../report/redact.h"
#include "check.h"

#define DOTS "\xe2\x80\xa6"

static const char *shown(const struct redacted *r)
{
	static char text[REDACTED_MAX + 1];

	memcpy(text, r->bytes, r->len);
	text[r->len] = '\0';
	return text;
}

static const char *target(const char *raw)
{
	static struct redacted r;

	redact_target(&r, span_text(raw), false);
	return shown(&r);
}

static const char *line(const char *raw)
{
	static struct redacted r;

	redact_line(&r, span_text(raw), false);
	return shown(&r);
}

TEST(ordinary_targets_stay_as_they_are)
{
	static const char *const plain[] = {
		"/", "*", "/cart", "/search?q=a", "/a/b/c?page=2&sort=price&x=", "/a?b", "/a;v=1/b", "/?", "/a//b?u=1;v=2", "",
		"http://shop.example/cart?x=1", "//shop.example/x", "shop.example:443", "/a?x=%zz%", "/img/0123456789abcdef0123456789.png",
	};

	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		CHECK_STR(target(plain[i]), plain[i]);
}

TEST(values_with_a_secret_name_are_hidden)
{
	CHECK_STR(target("/a?access_token=abc&x=1"), "/a?access_token=" DOTS "&x=1");
	CHECK_STR(target("/a?x=1&TOKEN=abc"), "/a?x=1&TOKEN=" DOTS);
	CHECK_STR(target("/a?api_key=k&sig=s"), "/a?api_key=" DOTS "&sig=" DOTS);
	CHECK_STR(target("/cb?code=1&state=2"), "/cb?code=" DOTS "&state=" DOTS);
	CHECK_STR(target("/a?X-Amz-Signature=s;pwd=p"), "/a?X-Amz-Signature=" DOTS ";pwd=" DOTS);
	CHECK_STR(target("/a?token="), "/a?token=");
}

TEST(a_name_that_is_percent_encoded_is_still_secret)
{
	CHECK_STR(target("/a?ACCESS%5FTOKEN=x"), "/a?ACCESS%5FTOKEN=" DOTS);
	CHECK_STR(target("/a?%74oken=x"), "/a?%74oken=" DOTS);
	CHECK_STR(target("/a?%2574oken=x"), "/a?%2574oken=" DOTS);
	CHECK_STR(target("/a?%252574oken=x"), "/a?%252574oken=" DOTS);
}

TEST(values_that_look_secret_are_hidden)
{
	CHECK_STR(target("/a?x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"), "/a?x=" DOTS);
	CHECK_STR(target("/a?x=0123456789abcdef0123"), "/a?x=" DOTS);
	CHECK_STR(target("/a?x=0123456789abcdef012"), "/a?x=0123456789abcdef012");      /* 19 */
	CHECK_STR(target("/a?x=01234567890123456789"), "/a?x=01234567890123456789");    /* digits alone */
	CHECK_STR(target("/a?x=abcdefghijklmnopqrstuvwxyz"), "/a?x=abcdefghijklmnopqrstuvwxyz");
	CHECK_STR(target("/a?x=QUJD%2BREVG%2F1234567890"), "/a?x=" DOTS);
	CHECK_STR(target("/a?u=%2Flogin%3Ftoken%3Dabc"), "/a?u=" DOTS);
	CHECK_STR(target("/a?0123456789abcdef0123"), "/a?" DOTS);
}

TEST(path_parameters_fragments_and_user_information_are_hidden)
{
	CHECK_STR(target("/a;jsessionid=1/b;v=2?x=1"), "/a;jsessionid=" DOTS "/b;v=2?x=1");
	CHECK_STR(target("/a#frag"), "/a#" DOTS);
	CHECK_STR(target("/a?x=1#t"), "/a?x=1#" DOTS);
	CHECK_STR(target("/a#"), "/a#");
	CHECK_STR(target("http://user:pw@h.example/x"), "http://" DOTS "@h.example/x");
	CHECK_STR(target("http://user:p?w@h.example/x?y=1"), "http://" DOTS "@h.example/x?y=1");
	CHECK_STR(target("//me@h/x"), "//" DOTS "@h/x");
	CHECK_STR(target("me:pw@h:443"), DOTS "@h:443");
	CHECK_STR(target("http://h/x?mail=a@b"), "http://h/x?mail=a@b");
}

TEST(show_secrets_shows_all)
{
	static struct redacted r;

	redact_target(&r, span_text("/a?token=abc#f"), true);
	CHECK_STR(shown(&r), "/a?token=abc#f");
	redact_authority(&r, span_text("me:pw@h"), true);
	CHECK_STR(shown(&r), "me:pw@h");
	redact_authority(&r, span_text("me:pw@h"), false);
	CHECK_STR(shown(&r), DOTS "@h");
}

TEST(lines_of_secret_fields_keep_their_name_alone)
{
	CHECK_STR(line("Authorization: Bearer abc"), "Authorization:" DOTS);
	CHECK_STR(line("Cookie x"), "Cookie " DOTS);
	CHECK_STR(line("Set-Cookie: a=b; HttpOnly"), "Set-Cookie:" DOTS);
	CHECK_STR(line("X-Api-Key:abc"), "X-Api-Key:" DOTS);
	CHECK_STR(line("Content-Length: 12"), "Content-Length: 12");
	CHECK_STR(line("X-Odd: eyJhbGciOiJIUzI1NiJ9.e30.c2ln"), "X-Odd:" DOTS);
	CHECK_STR(line("GET /a?token=abc HTTP/1.1"), "GET /a?token=" DOTS " HTTP/1.1");
	CHECK_STR(line("HTTP/1.1 502 Bad Gateway"), "HTTP/1.1 502 Bad Gateway");
}

TEST(excerpts_are_looked_at_line_by_line)
{
	static struct redacted r;

	redact_excerpt(&r, span_text("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX: y"), false);
	CHECK_STR(shown(&r), "HTTP/1.1 200 OK\r\nSet-Cookie:" DOTS "\r\nX: y");
	redact_excerpt(&r, span_text("/a?x=1&token=abc"), false);
	CHECK_STR(shown(&r), "/a?x=1&token=" DOTS);
	redact_excerpt(&r, span_text("http://me:pw@h/a"), false);
	CHECK_STR(shown(&r), "http://" DOTS "@h/a");
	redact_excerpt(&r, span_text("Location: http://h/?x=1"), false);
	CHECK_STR(shown(&r), "Location: http://h/?x=1");
	redact_excerpt(&r, span_text("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"), false);
	CHECK_STR(shown(&r), "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3");
	redact_excerpt(&r, span_none(), false);
	CHECK_STR(shown(&r), "");
}

TEST(a_listing_hides_user_information_alone)
{
	static struct redacted r;

	redact_user_information(&r, span_text("http://u:p@h.example/a?token=t#f"));
	CHECK_SPAN(redacted_span(&r), "http://" DOTS "@h.example/a?token=t#f");
	redact_user_information(&r, span_text("/a?token=t"));
	CHECK_SPAN(redacted_span(&r), "/a?token=t");
}

TEST(long_input_is_cut_not_overrun)
{
	static char raw[40000];
	static struct redacted r;

	memset(raw, ';', sizeof raw);
	redact_target(&r, span_of(raw, sizeof raw), false);
	CHECK_INT(r.len, REDACTED_MAX);
	memset(raw, '%', sizeof raw);
	memcpy(raw, "/?a=", 4);
	redact_target(&r, span_of(raw, sizeof raw), false);
	CHECK_STR(shown(&r), "/?a=" DOTS);
	for (size_t i = 0; i + 8 <= sizeof raw; i += 8)
		memcpy(raw + i, "&token=1", 8);
	memcpy(raw, "/?", 2);
	redact_target(&r, span_of(raw, sizeof raw), false);
	CHECK(r.len <= REDACTED_MAX);
}

TEST(random_bytes_never_show_what_stood_behind_a_secret_name)
{
	uint64_t seed = 1;

	for (unsigned round = 0; round < 20000; round++) {
		char raw[64];
		static struct redacted r;
		size_t n = 0;

		for (size_t i = 0; i < round % 12; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			raw[n++] = "/?&;#=%@:ab1"[(seed >> 33) % 12];
		}
		memcpy(raw + n, "?token=VERYSECRET", 17);
		redact_target(&r, span_of(raw, n + 17), false);
		if (span_find(redacted_span(&r), "VERYSECRET") < r.len) {
			FAIL("a secret got through");
			CHECK_SPAN(span_of(raw, n + 17), "");
			return;
		}
	}
}

TEST_MAIN()
