#include "../decode/disguise.h"
#include "../report/censor.h"
#include "check.h"

static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned n)
{
	unsigned i = 0;

	while (i < n && ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8) == 0)
		i++;
	return i;
}

static void ipv4(uint8_t a[16], uint8_t first, uint8_t second, uint8_t third, uint8_t last)
{
	const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, [12] = first, second, third, last };

	memcpy(a, mapped, sizeof mapped);
}

TEST(prefixes_stay_and_no_two_become_one)
{
	struct disguise *d = disguise_new();
	uint8_t from[256][16], to[256][16];

	CHECK(d != NULL);
	for (unsigned i = 0; i < 256; i++) {
		ipv4(from[i], 10, (uint8_t)(i & 3), (uint8_t)(i >> 2 & 7), (uint8_t)(i * 37));
		memcpy(to[i], from[i], 16);
		disguise_address(d, to[i]);
	}
	for (unsigned i = 0; i < 256; i++)
		for (unsigned k = 0; k < i; k++)
			if (common_bits(from[i], from[k], 128) != common_bits(to[i], to[k], 128)) {
				CHECK_INT(common_bits(to[i], to[k], 128), common_bits(from[i], from[k], 128));
				break;
			}
	disguise_free(d);
}

TEST(what_is_no_hosts_stays)
{
	static const uint8_t same[][16] = {
		{ 0 }, { [15] = 1 }, { 0xff, 2, [15] = 1 }, { [10] = 0xff, [11] = 0xff, [12] = 127, 0, 0, 1 },
		{ [10] = 0xff, [11] = 0xff, [12] = 224, 0, 0, 251 }, { [10] = 0xff, [11] = 0xff, [12] = 255, 255, 255, 255 },
		{ [10] = 0xff, [11] = 0xff },
	};
	struct disguise *d = disguise_new();

	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		uint8_t a[16];

		memcpy(a, same[i], 16);
		disguise_address(d, a);
		CHECK(memcmp(a, same[i], 16) == 0);
	}
	disguise_free(d);
}

TEST(an_ordinary_address_stays_one_of_its_kind)
{
	struct disguise *d = disguise_new();

	for (unsigned i = 1; i < 224; i++) {
		uint8_t a[16];

		if (i == 127)
			continue;
		ipv4(a, (uint8_t)i, 1, 2, 3);
		disguise_address(d, a);
		CHECK(a[12] != 0 && a[12] != 127 && a[12] < 224 && a[10] == 0xff);
	}
	for (unsigned i = 0; i < 16; i++) {
		uint8_t link_local[16] = { 0xfe, 0x80, [15] = (uint8_t)i }, global[16] = { 0x20, 1, 0xd, 0xb8, [15] = (uint8_t)i };

		disguise_address(d, link_local);
		disguise_address(d, global);
		CHECK(link_local[0] == 0xfe && link_local[1] == 0x80 && link_local[7] == 0 && global[0] >> 5 == 1);
	}
	disguise_free(d);
}

static bool becomes(const char *text, const char *wanted)
{
	char copy[128];

	(void)snprintf(copy, sizeof copy, "%s", text);
	disguise_text((uint8_t *)copy, strlen(copy));
	return CHECK_STR(copy, wanted);
}

TEST(addresses_in_text_become_ones)
{
	(void)becomes("Host: 10.0.0.7:8080", "Host: 11.1.1.1:8080");
	(void)becomes("X-Forwarded-For: 192.168.100.2, 8.8.8.8", "X-Forwarded-For: 111.111.111.1, 1.1.1.1");
	(void)becomes("Forwarded: for=\"[2001:db8::17]:4711\"", "Forwarded: for=\"[1111:111::11]:4711\"");
	(void)becomes("PROXY TCP4 10.0.0.7 10.0.0.1 51000 80", "PROXY TCP4 11.1.1.1 11.1.1.1 51000 80");
	(void)becomes("HTTP/1.1 200 OK, nginx/1.22.1, 12:30:59, a::b", "HTTP/1.1 200 OK, nginx/1.22.1, 12:30:59, a::b");
	(void)becomes("x10.0.0.7", "x11.1.1.1");
	(void)becomes("1234.1.1.1 v1.2.3", "1234.1.1.1 v1.2.3");
}

/* One exchange, with this text as its request's head and as its target. */
static void censored(const char *text, unsigned redact, const char *wanted)
{
	struct { struct exchange_fact f; char text[256]; } w = { 0 };
	struct fact_batch b = { sizeof w, sizeof w, (uint8_t *)&w };

	(void)snprintf(w.text, sizeof w.text, "%s", text);
	w.f.head.kind = FACT_EXCHANGE;
	w.f.head.size = sizeof w;
	w.f.x.request_head = (struct text){ (uint32_t)offsetof(__typeof__(w), text), (uint32_t)strlen(text) };
	censor_facts(&b, redact);
	CHECK_STR(w.text, wanted);
}

TEST(what_is_to_be_hidden_becomes_asterisks)
{
	censored("GET /a?b=c&d HTTP/1.1\r\nReferer: http://h/?q\r\n", REDACT_QUERY, "GET /a?***** HTTP/1.1\r\nReferer: http://h/?*\r\n");
	censored("Cookie: a=b\r\nHost: h\r\nset-cookie:c\r\n", REDACT_COOKIES, "Cookie:****\r\nHost: h\r\nset-cookie:*\r\n");
	censored("Authorization: Basic x\r\n y\r\nHost: h\r\n", REDACT_AUTHORIZATION, "Authorization:********\r\n**\r\nHost: h\r\n");
	censored("Cookie a\r\nAuthorization: b\r\n", REDACT_COOKIES, "Cookie *\r\nAuthorization: b\r\n");
	censored("Host: 10.0.0.1\r\n", REDACT_ADDRESSES, "Host: 11.1.1.1\r\n");
	censored("Host: 10.0.0.1\r\nCookie: x\r\n", 0, "Host: 10.0.0.1\r\nCookie: x\r\n");
}

TEST_MAIN()
