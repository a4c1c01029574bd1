/* test_control.c - ICMP errors, ARP, neighbour discovery */
#include "check.h"

#include "../decode/control.h"

/* Bytes from hex digits; blanks are left out. */
static struct span hex(uint8_t *to, size_t room, const char *text)
{
	size_t n = 0;
	unsigned value;

	for (; *text != '\0' && n < room; text++) {
		if (*text == ' ')
			continue;
		(void)sscanf((char[]){ text[0], text[1], '\0' }, "%x", &value);
		to[n++] = (uint8_t)value;
		text++;
	}
	return span_of(to, n);
}

static struct datagram datagram(bool v6, struct span payload)
{
	struct datagram d = { .protocol = v6 ? 58 : 1, .v6 = v6, .payload = payload, .wire_len = (uint32_t)payload.len, .at = { 12, 34 } };

	d.src[15] = 0xfe;
	d.dst[15] = 0x01;
	return d;
}

/* In memory of just its size, so that a sanitizer sees a read past the end. */
static bool icmp(bool v6, struct span payload, struct icmp_fact *f, uint32_t *seq)
{
	uint8_t *copy = malloc(payload.len + 1);
	struct datagram d;
	bool ok;

	memcpy(copy, payload.at, payload.len);
	copy = realloc(copy, payload.len != 0 ? payload.len : 1);
	d = datagram(v6, span_of(copy, payload.len));
	ok = control_icmp(&d, f, seq);
	free(copy);
	return ok;
}

#define QUOTED4 "4500003c 1c464000 40060000 0a000001 0a000002 a0b01f90 11223344"
#define QUOTED6 "60000000 00280640 20010db8000000000000000000000001 20010db8000000000000000000000002 a0b01f90 11223344"

TEST(a_destination_unreachable_names_the_connection_that_it_quotes)
{
	uint8_t bytes[128];
	struct icmp_fact f;
	char text[ENDPOINT_TEXT];
	uint32_t seq;

	CHECK_OR_RETURN(icmp(false, hex(bytes, sizeof bytes, "0301ffff 00000000" QUOTED4), &f, &seq));
	CHECK_INT(f.note.type, 3);
	CHECK_INT(f.note.code, 1);
	CHECK_INT(f.note.mtu, 0);
	CHECK_INT(f.note.v6, 0);
	CHECK_INT((int64_t)f.note.at.packet, 12);
	CHECK_INT(f.note.from.address[15], 0xfe);
	CHECK_INT(f.note.from.port, 0);
	CHECK_STR(endpoint_text(&f.from, text), "10.0.0.1:41136");
	CHECK_STR(endpoint_text(&f.to, text), "10.0.0.2:8080");
	CHECK_INT(f.protocol, 6);
	CHECK_INT(seq, 0x11223344);
	CHECK(!f.known);
}

TEST(icmpv6_errors_likewise)
{
	uint8_t bytes[128];
	struct icmp_fact f;
	char text[ENDPOINT_TEXT];
	uint32_t seq;

	CHECK_OR_RETURN(icmp(true, hex(bytes, sizeof bytes, "0104ffff 00000000" QUOTED6), &f, &seq));
	CHECK_STR(endpoint_text(&f.from, text), "[2001:db8::1]:41136");
	CHECK_STR(endpoint_text(&f.to, text), "[2001:db8::2]:8080");
	CHECK_INT(f.note.v6, 1);
	CHECK_INT(seq, 0x11223344);
}

TEST(mtu_is_told_where_the_message_has_one)
{
	static const struct { bool v6; const char *head; uint32_t mtu; } rows[] = {
		{ false, "0304ffff 00000578", 1400 }, { false, "0304ffff 00000000", 0 }, { false, "0303ffff 00000578", 0 },
		{ true, "0200ffff 00000500", 1280 },  { true, "0100ffff 00000500", 0 },
	};
	uint8_t bytes[128];
	char text[256];
	struct icmp_fact f;
	uint32_t seq;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		(void)snprintf(text, sizeof text, "%s%s", rows[i].head, rows[i].v6 ? QUOTED6 : QUOTED4);
		CHECK(icmp(rows[i].v6, hex(bytes, sizeof bytes, text), &f, &seq));
		CHECK_INT(f.note.mtu, rows[i].mtu);
	}
}

TEST(what_is_no_error_is_none)
{
	static const struct { bool v6; const char *text; } rows[] = {
		{ false, "0800ffff 00010001" QUOTED4 },         /* echo */
		{ false, "0501ffff 0a000001" QUOTED4 },         /* redirect: the datagram went on */
		{ false, "0301ffff 00000000" QUOTED6 },         /* quotes the other version */
		{ true,  "8000ffff 00010001" QUOTED6 },
		{ true,  "0301ffff 00000000" QUOTED4 },
		{ false, "0301ffff 00000000 4500003c 1c460005 40060000 0a000001 0a000002 a0b01f90 11223344" },  /* a later fragment */
	};
	uint8_t bytes[128];
	struct icmp_fact f;
	uint32_t seq;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		CHECK(!icmp(rows[i].v6, hex(bytes, sizeof bytes, rows[i].text), &f, &seq));
}

TEST(an_error_about_no_tcp_has_no_sequence_number)
{
	uint8_t bytes[128];
	struct icmp_fact f;
	uint32_t seq = 1;

	CHECK(icmp(false, hex(bytes, sizeof bytes, "0303ffff 00000000 4500003c 1c464000 40110000 0a000001 0a000002 a0b00035 00281234"), &f, &seq));
	CHECK_INT(f.to.port, 53);
	CHECK_INT(seq, 0);
	CHECK(icmp(false, hex(bytes, sizeof bytes, "0303ffff 00000000 4500003c 1c464000 402f0000 0a000001 0a000002 a0b00035 00281234"), &f, &seq));
	CHECK_INT(f.to.port, 0);
}

TEST(each_truncation_of_an_error_is_survived)
{
	uint8_t bytes[128];
	struct icmp_fact f;
	uint32_t seq;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct span all = hex(bytes, sizeof bytes, v6 ? "0104ffff 00000000" QUOTED6 : "0301ffff 00000000" QUOTED4);

		for (size_t n = 0; n <= all.len; n++)
			CHECK_INT(icmp(v6, span_first(all, n), &f, &seq), n == all.len);
	}
}

/* ---- who is where ---------------------------------------------------------------------------- */

#define ARP_ADDRESSES "020000000001 0a000001 000000000000 0a000002"

TEST(arp_asks_and_answers)
{
	uint8_t bytes[64];
	struct arp_fact f;

	CHECK_OR_RETURN(control_arp(hex(bytes, sizeof bytes, "0001080006040001" ARP_ADDRESSES), &f));
	CHECK(!f.answer);
	CHECK_INT(f.asker[15], 1);
	CHECK_INT(f.target[15], 2);
	CHECK_INT(f.target[11], 0xff);
	CHECK_OR_RETURN(control_arp(hex(bytes, sizeof bytes, "0001080006040002" ARP_ADDRESSES), &f));
	CHECK(f.answer);
	CHECK_INT(f.asker[15], 2);
	CHECK_INT(f.target[15], 1);
}

TEST(an_announcement_is_an_answer)
{
	uint8_t bytes[64];
	struct arp_fact f;

	CHECK_OR_RETURN(control_arp(hex(bytes, sizeof bytes, "0001080006040001 020000000001 0a000001 000000000000 0a000001"), &f));
	CHECK(f.answer);
	CHECK_INT(f.target[15], 1);
}

TEST(other_arp_is_none)
{
	uint8_t bytes[64];
	struct arp_fact f;
	struct span all = hex(bytes, sizeof bytes, "0001080006040001" ARP_ADDRESSES);

	for (size_t n = 0; n <= all.len; n++)
		CHECK_INT(control_arp(span_first(all, n), &f), n == all.len);
	CHECK(!control_arp(hex(bytes, sizeof bytes, "0001080006040003" ARP_ADDRESSES), &f));    /* reverse */
	CHECK(!control_arp(hex(bytes, sizeof bytes, "0001080606040001" ARP_ADDRESSES), &f));
	CHECK(!control_arp(hex(bytes, sizeof bytes, "0001080006100001" ARP_ADDRESSES), &f));
}

#define TARGET "20010db8000000000000000000000005"

static bool neighbour(const char *text, bool from_nobody, size_t kept, struct arp_fact *f)
{
	uint8_t bytes[64];
	struct datagram d = datagram(true, span_first(hex(bytes, sizeof bytes, text), kept));

	if (from_nobody)
		d.src[15] = 0;
	return control_neighbour(&d, f);
}

TEST(neighbour_discovery_asks_and_answers)
{
	struct arp_fact f;

	CHECK_OR_RETURN(neighbour("8700ffff 00000000" TARGET "0101020000000001", false, 64, &f));
	CHECK(!f.answer);
	CHECK_INT(f.asker[15], 0xfe);
	CHECK_INT(f.target[15], 5);
	CHECK_OR_RETURN(neighbour("8800ffff 60000000" TARGET "0201020000000001", false, 64, &f));
	CHECK(f.answer);
	CHECK_INT(f.asker[15], 0x01);
	CHECK_INT(f.target[15], 5);
	CHECK(!neighbour("8700ffff 00000000" TARGET, true, 64, &f));       /* is my address free? */
	CHECK(!neighbour("8500ffff 00000000" TARGET, false, 64, &f));      /* router solicitation */
	for (size_t n = 0; n <= 24; n++)
		CHECK_INT(neighbour("8700ffff 00000000" TARGET, false, n, &f), n == 24);
}

TEST_MAIN()
