/* test_ip.c - link layers, tunnels, IP headers, fragments, quoted datagrams; addresses as text */
#include "check.h"

#include "../capture/limits.h"
#include "../decode/ip.h"
#include "../decode/link.h"

/* ---- packets are built from their innermost datagram outward -------------------------------- */

enum { ROOM = 70000 };

struct frame { uint8_t bytes[ROOM]; size_t at; };       /* bytes[at..] is what there is */

static struct span frame_span(const struct frame *f)
{
	return span_of(f->bytes + f->at, ROOM - f->at);
}

static void front(struct frame *f, const void *bytes, size_t n)
{
	f->at -= n;
	memcpy(f->bytes + f->at, bytes, n);
}

static void front_hex(struct frame *f, const char *hex, size_t digits)
{
	uint8_t bytes[64];
	unsigned value;

	for (size_t i = 0; i + 1 < digits; i += 2) {
		(void)sscanf((char[]){ hex[i], hex[i + 1], '\0' }, "%x", &value);
		bytes[i / 2] = (uint8_t)value;
	}
	front(f, bytes, digits / 2);
}

static void front_ipv4(struct frame *f, uint8_t protocol)
{
	size_t total = ROOM - f->at + 20;
	uint8_t h[20] = { 0x45, 0, (uint8_t)(total >> 8), (uint8_t)total, 0x12, 0x34, 0x40, 0, 63, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2 };
	uint32_t sum = 0;

	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)h[i] << 8 | h[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	h[10] = (uint8_t)(sum >> 8);
	h[11] = (uint8_t)sum;
	front(f, h, 20);
}

static void front_ipv6(struct frame *f, uint8_t next)
{
	size_t length = ROOM - f->at;
	uint8_t h[40] = { 0x60, 0, 0, 0, (uint8_t)(length >> 8), (uint8_t)length, next, 63, 0x20, 1, 0xd, 0xb8, [23] = 1, 0x20, 1, 0xd, 0xb8, [39] = 2 };

	front(f, h, 40);
}

static void front_udp(struct frame *f, uint16_t port)
{
	size_t length = ROOM - f->at + 8;
	uint8_t h[8] = { 0xc0, 0, (uint8_t)(port >> 8), (uint8_t)port, (uint8_t)(length >> 8), (uint8_t)length, 0, 0 };

	front(f, h, 8);
}

/* Layers from the outside in: hex digits, ip4/PROTOCOL, ip6/NEXT, udp/PORT. */
static void front_layers(struct frame *f, const char *layers)
{
	const char *end = layers + strlen(layers);

	while (end > layers) {
		const char *word = end;

		while (word > layers && word[-1] != ' ')
			word--;
		if (strncmp(word, "ip4/", 4) == 0)
			front_ipv4(f, (uint8_t)atoi(word + 4));
		else if (strncmp(word, "ip6/", 4) == 0)
			front_ipv6(f, (uint8_t)atoi(word + 4));
		else if (strncmp(word, "udp/", 4) == 0)
			front_udp(f, (uint16_t)atoi(word + 4));
		else
			front_hex(f, word, (size_t)(end - word));
		end = word > layers ? word - 1 : layers;
	}
}

/* A TCP segment without data from 10.0.0.1 to 10.0.0.2, TTL 64. */
static void inner_ipv4(struct frame *f)
{
	f->at = ROOM;
	front_layers(f, "4500002812344000400614910a0000010a000002 c000005000000001000000025010ffff00000000");
}

/* The same from 2001:db8::a to 2001:db8::b. */
static void inner_ipv6(struct frame *f)
{
	f->at = ROOM;
	front_layers(f, "6000000000140640 20010db800000000000000000000000a 20010db800000000000000000000000b "
	                "c000005000000001000000025010ffff00000000");
}

static enum ip_verdict decode_at(struct ip_decoder *ip, struct span bytes, uint32_t wire, uint16_t link_type, int64_t time_ns, struct datagram *d)
{
	struct packet p = { .bytes = bytes.at, .caplen = (uint32_t)bytes.len, .len = wire, .number = 7, .link_type = link_type, .time_ns = time_ns };

	return ip_decode(ip, &p, d);
}

/* Decodes one packet alone; d->payload points into it. */
static enum ip_verdict decode(struct span bytes, uint32_t wire, uint16_t link_type, struct datagram *d)
{
	struct ip_decoder *ip = ip_decoder_new();
	enum ip_verdict v = decode_at(ip, bytes, wire, link_type, 0, d);

	ip_decoder_free(ip);
	return v;
}

static bool is_from_10_0_0_1(const struct datagram *d)
{
	static const uint8_t src[16] = { [10] = 0xff, 0xff, 10, 0, 0, 1 }, dst[16] = { [10] = 0xff, 0xff, 10, 0, 0, 2 };

	return address_equal(d->src, src) && address_equal(d->dst, dst);
}

/* ---- each link layer and tunnel -------------------------------------------------------------- */

#define MACS "020000000001020000000002"
#define ETH  MACS " 0800"

struct form { const char *name; uint16_t link_type; const char *layers; bool v6; };

static const struct form forms[] = {
	{ "ethernet", 1, ETH, false },
	{ "ethernet, IPv6", 1, MACS " 86dd", true },
	{ "vlan", 1, MACS " 8100002a 0800", false },
	{ "vlan, priority bits", 1, MACS " 8100e02a 86dd", true },
	{ "qinq", 1, MACS " 88a80007 8100002a 0800", false },
	{ "three tags", 1, MACS " 91000001 92000001 93000001 0800", false },
	{ "vn-tag", 1, MACS " 892600000000 0800", false },
	{ "e-tag", 1, MACS " 893f000000000000 0800", false },
	{ "802.1ah", 1, MACS " 88e700000001 " MACS " 0800", false },
	{ "llc snap", 1, MACS " 0030 aaaa03000000 0800", false },
	{ "llc ip", 1, MACS " 0030 060603", false },
	{ "sll", 113, "00000001 0006 0200000000020000 0800", false },
	{ "sll, IPv6", 113, "00040001 0006 0200000000020000 86dd", true },
	{ "sll2", 276, "0800 0000 00000002 0001 00 06 0200000000020000", false },
	{ "raw", 101, "", false },
	{ "raw, IPv6", 101, "", true },
	{ "raw, DLT 12", 12, "", false },
	{ "raw, DLT 14", 14, "", true },
	{ "ipv4", 228, "", false },
	{ "ipv6", 229, "", true },
	{ "null, little-endian", 0, "02000000", false },
	{ "null, big-endian", 0, "00000002", false },
	{ "null, IPv6 of FreeBSD", 0, "1c000000", true },
	{ "null, IPv6 of macOS", 0, "1e000000", true },
	{ "null, IPv6 of OpenBSD", 0, "18000000", true },
	{ "loop", 108, "00000002", false },
	{ "ppp", 9, "ff03 0021", false },
	{ "ppp without address", 9, "0057", true },
	{ "ppp, short protocol", 9, "21", false },
	{ "ppp in hdlc", 50, "ff03 0021", false },
	{ "chdlc in ppp's place", 50, "0f00 0800", false },
	{ "chdlc", 104, "0f00 0800", false },
	{ "frame relay", 107, "184103cc", false },
	{ "frame relay, snap", 107, "1841030080 000000 0800", false },
	{ "token ring", 6, "1040 020000000001 020000000002 aaaa03000000 0800", false },
	{ "token ring, routed", 6, "1040 020000000001 820000000002 0670 00110022 aaaa03000000 0800", false },
	{ "fddi", 10, "50 020000000001 020000000002 aaaa03000000 0800", false },
	{ "ieee 1394", 138, "0000000000000001 0000000000000002 0800", false },
	{ "arcnet, RFC 1051", 129, "0102 0000 f0", false },
	{ "arcnet, RFC 1201", 129, "0102 0000 d4 00 0001", false },
	{ "arcnet bsd", 7, "0102 f0", false },
	{ "802.11", 105, "08010000 020000000001020000000002020000000003 1000 aaaa03000000 0800", false },
	{ "802.11 qos", 105, "88010000 020000000001020000000002020000000003 1000 0000 aaaa03000000 0800", false },
	{ "802.11 qos, ht control", 105, "88810000 020000000001020000000002020000000003 1000 0000 00000000 aaaa03000000 0800", false },
	{ "802.11, four addresses", 105, "08030000 020000000001020000000002020000000003 1000 020000000004 aaaa03000000 0800", false },
	{ "radiotap", 127, "00000900 02000000 00 08010000 020000000001020000000002020000000003 1000 aaaa03000000 0800", false },
	{ "radiotap, time and padding", 127, "00001100 03000000 0000000000000000 20 "
	  "88010000 020000000001020000000002020000000003 1000 0000 0000 aaaa03000000 0800", false },
	{ "prism", 119, "44000000 0c000000 00000000 08010000 020000000001020000000002020000000003 1000 aaaa03000000 0800", false },
	{ "avs", 163, "80211001 0000000c 00000000 08010000 020000000001020000000002020000000003 1000 aaaa03000000 0800", false },
	{ "ppi", 192, "00000c00 01000000 aabbccdd " ETH, false },
	{ "pktap", 258, "10000000 01000000 01000000 aabbccdd " ETH, false },
	{ "enc", 109, "02000000 00000000 00000000", false },
	{ "pflog", 117, "3d 02 " "0000000000000000000000000000000000000000000000000000000000000000 "
	  "000000000000000000000000000000000000000000000000000000000000", false },
	{ "nflog", 239, "02000000 08000100 08000100 2c000900", false },
	{ "nflog, big-endian", 239, "02000000 00080001 08000100 002c0009", false },
	{ "mpls", 1, MACS " 8847 00010040 0001113f", false },
	{ "mpls, IPv6", 1, MACS " 8847 0001113f", true },
	{ "mpls, pseudo-wire", 1, MACS " 8847 0001113f 00000000 " ETH, false },
	{ "mpls, pseudo-wire without control word", 1, MACS " 8847 0001113f " ETH, false },
	{ "pppoe", 1, MACS " 8864 11000007 002a 0021", false },
	{ "pppoe, ip length alone", 1, MACS " 8864 11000007 0100 0021", false },
	{ "ipip", 1, ETH " ip4/4", false },
	{ "6in4", 1, ETH " ip4/41", true },
	{ "4in6", 1, MACS " 86dd ip6/4", false },
	{ "6in6", 1, MACS " 86dd ip6/41", true },
	{ "ah", 1, ETH " ip4/51 0404000000000001000000010102030405060708090a0b0c", false },
	{ "gre", 1, ETH " ip4/47 00000800", false },
	{ "gre over IPv6", 1, MACS " 86dd ip6/47 000086dd", true },
	{ "gre, checksum, key, sequence", 1, ETH " ip4/47 b0000800 00000000 00000007 00000001", false },
	{ "gre, source route", 1, ETH " ip4/47 40000800 00000000 08000004 0a000001 00000000", false },
	{ "gre, ethernet", 1, ETH " ip4/47 00006558 " ETH, false },
	{ "nvgre", 1, ETH " ip4/47 20006558 00100100 " ETH, false },
	{ "gre, mpls", 1, ETH " ip4/47 00008847 0001113f", false },
	{ "gre, wccp 2", 1, ETH " ip4/47 0000883e 00000000", false },
	{ "gre, wccp 1", 1, ETH " ip4/47 0000883e", false },
	{ "gre, 802.11", 1, ETH " ip4/47 00008200 08010000 020000000001020000000002020000000003 1000 aaaa03000000 0800", false },
	{ "pptp", 1, ETH " ip4/47 3001880b 002c0007 00000001 ff030021", false },
	{ "pptp with acknowledgement", 1, ETH " ip4/47 3081880b 002c0007 00000001 00000001 ff030021", false },
	{ "erspan 1", 1, ETH " ip4/47 000088be " ETH, false },
	{ "erspan 2", 1, ETH " ip4/47 100088be 00000001 102a080100000001 " ETH, false },
	{ "erspan 3", 1, ETH " ip4/47 100022eb 00000001 202a0801 00000000 00000000 " ETH, false },
	{ "erspan 3, platform", 1, ETH " ip4/47 100022eb 00000001 202a0801 00000000 00000001 0000000000000000 " ETH, false },
	{ "erspan 3, ip", 1, ETH " ip4/47 100022eb 00000001 202a0801 00000000 00000800", false },
	{ "vxlan", 1, ETH " ip4/17 udp/4789 0800000000002a00 " ETH, false },
	{ "vxlan over IPv6, tagged", 1, MACS " 86dd ip6/17 udp/4789 0800000000002a00 " MACS " 81000001 0800", false },
	{ "vxlan on 8472", 1, ETH " ip4/17 udp/8472 0800000000002a00 " ETH, false },
	{ "vxlan-gpe", 1, ETH " ip4/17 udp/4790 0c00000100002a00", false },
	{ "vxlan-gpe, nsh", 1, ETH " ip4/17 udp/4790 0c00000400002a00 0f c6 01 01 000001ff 00000000000000000000000000000000", false },
	{ "geneve", 1, ETH " ip4/17 udp/6081 0000655800002a00 " ETH, false },
	{ "geneve, options, IPv6", 1, ETH " ip4/17 udp/6081 020086dd00002a00 0102030100000000", true },
	{ "gtp", 1, ETH " ip4/17 udp/2152 30ff002800000001", false },
	{ "gtp, extension", 1, ETH " ip4/17 udp/2152 34ff003000000001 00000085 01100100", false },
	{ "l2tp", 1, ETH " ip4/17 udp/1701 0002 0001 0001 ff030021", false },
	{ "l2tp, all fields", 1, ETH " ip4/17 udp/1701 4a02 0040 0001 0001 0001 0001 0002 0000 ff030021", false },
	{ "teredo", 1, ETH " ip4/17 udp/3544", true },
	{ "teredo, authentication, origin", 1, ETH " ip4/17 udp/3544 00010000 0000000000000000 00 0000 1234 01020304", true },
	{ "ayiya", 1, ETH " ip4/17 udp/5072 40521129 00000000 20010db8000000000000000000000001 0000000000000000000000000000000000000000", true },
	{ "gre in udp", 1, ETH " ip4/17 udp/4754 00000800", false },
	{ "mpls in udp", 1, ETH " ip4/17 udp/6635 0001113f", false },
	{ "mpls in ip", 1, ETH " ip4/137 0001113f", false },
	{ "ipv6 extension headers", 1, MACS " 86dd ip6/0 3c00010400000000 2b00010400000000 0400000000000000", false },
	{ "ipv6 ah", 1, MACS " 86dd ip6/51 2904000000000001000000010102030405060708090a0b0c", true },
	{ "ipv6 fragment of its own", 1, MACS " 86dd ip6/44 2900000000000001", true },
	{ "vxlan in gre in ipip", 1, ETH " ip4/4 ip4/47 00000800 ip4/17 udp/4789 0800000000002a00 " ETH, false },
};

enum { N_FORMS = sizeof forms / sizeof forms[0] };

static void build(struct frame *f, const struct form *form)
{
	if (form->v6)
		inner_ipv6(f);
	else
		inner_ipv4(f);
	front_layers(f, form->layers);
}

static bool is_inner(const struct form *form, const struct datagram *d)
{
	if (d->protocol != 6 || d->ttl != 64 || d->v6 != form->v6 || d->wire_len != 20)
		return false;
	return form->v6 ? span_at(span_of(d->dst, 16), 15) == 0xb : is_from_10_0_0_1(d) && d->ip_id == 0x1234;
}

TEST(every_form_gives_the_datagram_within)
{
	static struct frame f;
	struct datagram d;

	for (size_t i = 0; i < N_FORMS; i++) {
		build(&f, &forms[i]);
		if (!CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, forms[i].link_type, &d), IP_DATAGRAM) ||
		    !CHECK(is_inner(&forms[i], &d)) || !CHECK_INT(d.payload.len, 20))
			printf("#   %s\n", forms[i].name);
	}
}

/* In memory of just its size, so that a sanitizer sees a read past the end. */
static enum ip_verdict decode_first(struct span all, size_t kept, size_t wire, uint16_t link_type, struct datagram *d)
{
	uint8_t *copy = malloc(kept != 0 ? kept : 1);
	enum ip_verdict v;

	memcpy(copy, all.at, kept);
	v = decode(span_of(copy, kept), (uint32_t)wire, link_type, d);
	free(copy);
	return v;
}

/* A pseudo-wire without control word, WCCP 1 and MPLS are told from what follows by bytes that may be cut. */
static bool is_guessed(const struct form *form)
{
	return strstr(form->name, "mpls") != NULL || strstr(form->name, "wccp") != NULL;
}

TEST(every_form_cut_by_the_capture_is_cut_not_malformed)
{
	static struct frame f;
	struct datagram d;

	for (size_t i = 0; i < N_FORMS; i++) {
		struct span all;

		build(&f, &forms[i]);
		all = frame_span(&f);
		for (size_t kept = 0; kept < all.len; kept++) {
			enum ip_verdict v = decode_first(all, kept, all.len, forms[i].link_type, &d);
			bool as_cut = v == IP_CUT || (v == IP_DATAGRAM && d.payload.len < d.wire_len) || (v == IP_OTHER && is_guessed(&forms[i]));

			if (!CHECK(as_cut))
				printf("#   %s, %zu of %zu: %d\n", forms[i].name, kept, all.len, (int)v);
		}
	}
}

TEST(every_form_that_ends_early_on_the_wire_is_survived)
{
	static struct frame f;
	struct datagram d;

	for (size_t i = 0; i < N_FORMS; i++) {
		struct span all;

		build(&f, &forms[i]);
		all = frame_span(&f);
		for (size_t kept = 0; kept < all.len; kept++)
			(void)decode_first(all, kept, kept, forms[i].link_type, &d);
	}
}

TEST(a_wrong_bit_anywhere_is_survived)
{
	static struct frame f;
	struct datagram d;
	uint8_t copy[512];

	for (size_t i = 0; i < N_FORMS; i++) {
		struct span all;

		build(&f, &forms[i]);
		all = frame_span(&f);
		CHECK_OR_RETURN(all.len <= sizeof copy);
		memcpy(copy, all.at, all.len);
		for (size_t bit = 0; bit < all.len * 8; bit++) {
			copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1u << bit % 8);
			(void)decode_first(span_of(copy, all.len), all.len, all.len, forms[i].link_type, &d);
			copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ 1u << bit % 8);
		}
	}
}

/* ---- IP's own lengths ------------------------------------------------------------------------ */

TEST(padding_is_removed)
{
	static struct frame f;
	uint8_t padded[60] = { 0 };
	struct datagram d;

	inner_ipv4(&f);
	front_layers(&f, ETH);
	memcpy(padded, frame_span(&f).at, frame_span(&f).len);
	CHECK_INT(decode(span_of(padded, 60), 60, 1, &d), IP_DATAGRAM);
	CHECK_INT(d.payload.len, 20);
	CHECK_INT(d.wire_len, 20);
}

TEST(total_length_0_means_the_frame)
{
	static struct frame f;
	static uint8_t large[200000];
	struct datagram d;

	inner_ipv4(&f);
	front_layers(&f, ETH);
	memcpy(large, frame_span(&f).at, frame_span(&f).len);
	large[16] = large[17] = 0;
	CHECK_INT(decode(span_of(large, sizeof large), sizeof large, 1, &d), IP_DATAGRAM);
	CHECK_INT(d.wire_len, sizeof large - 34);
	CHECK_INT(d.payload.len, sizeof large - 34);
	CHECK_INT(decode(span_of(large, 96), sizeof large, 1, &d), IP_DATAGRAM);
	CHECK_INT(d.wire_len, sizeof large - 34);
	CHECK_INT(d.payload.len, 96 - 34);
}

TEST(payload_length_0_in_ipv6_means_the_frame)
{
	static struct frame f;
	struct datagram d;

	inner_ipv6(&f);
	front_layers(&f, MACS " 86dd");
	f.bytes[f.at + 18] = f.bytes[f.at + 19] = 0;
	CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 1, &d), IP_DATAGRAM);
	CHECK_INT(d.wire_len, 20);
}

TEST(jumbograms_keep_their_segment)
{
	static struct frame f;
	struct datagram d;

	f.at = ROOM;
	front_layers(&f, "0600c2040000001c c000005000000001000000025010ffff00000000");
	front_ipv6(&f, 0);
	f.bytes[f.at + 4] = f.bytes[f.at + 5] = 0;
	CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 101, &d), IP_DATAGRAM);
	CHECK_INT(d.protocol, 6);
	CHECK_INT(d.wire_len, 20);
}

TEST(the_capture_length_tells_what_was_cut)
{
	static struct frame f;
	struct datagram d;

	inner_ipv4(&f);
	front_layers(&f, ETH);
	f.bytes[f.at + 16] = 5, f.bytes[f.at + 17] = 0xdc;              /* 1500 bytes on the wire */
	CHECK_INT(decode(frame_span(&f), 1514, 1, &d), IP_DATAGRAM);
	CHECK_INT(d.wire_len, 1480);
	CHECK_INT(d.payload.len, 20);
}

/* A switch slices what it mirrors; a broken header lies. The checksum tells them apart. */
TEST(total_length_beyond_the_frame_is_believed_when_the_checksum_is_right)
{
	static struct frame f;
	static const uint8_t head[20] = { 0x45, 0, 0x05, 0xdc, 0x12, 0x34, 0x40, 0, 64, 6, 0x0e, 0xe6, 10, 0, 0, 1, 10, 0, 0, 2 };
	struct datagram d;

	inner_ipv4(&f);
	f.at += 20;
	front(&f, head, 20);
	front_layers(&f, ETH);
	CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 1, &d), IP_DATAGRAM);
	CHECK_INT(d.wire_len, 1480);
	f.bytes[f.at + 24] ^= 1;
	CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 1, &d), IP_DATAGRAM);
	CHECK_INT(d.wire_len, 20);
}

TEST(options_are_passed_over)
{
	static struct frame f;
	struct datagram d;

	f.at = ROOM;
	front_layers(&f, "47000030123440004006 0000 0a0000010a000002 9404000001010101 c000005000000001000000025010ffff00000000");
	front_layers(&f, ETH);
	CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 1, &d), IP_DATAGRAM);
	CHECK_INT(d.wire_len, 20);
	CHECK(is_from_10_0_0_1(&d));
}

TEST(wrong_headers_are_malformed)
{
	static const struct { const char *name, *layers; } rows[] = {
		{ "version 5", ETH " 55000028123440004006 0000 0a0000010a000002 0000000000000000000000000000000000000000" },
		{ "header of 16 bytes", ETH " 44000028123440004006 0000 0a0000010a000002 0000000000000000000000000000000000000000" },
		{ "total length below the header", ETH " 45000013123440004006 0000 0a0000010a000002 0000000000000000000000000000000000000000" },
		{ "version 4 as IPv6", MACS " 86dd 45000028123440004006 0000 0a0000010a000002 0000000000000000000000000000000000000000" },
		{ "header cut on the wire", ETH " 45000028123440004006" },
		{ "fragment beyond 64 KiB", ETH " 45000028123420004006 0000 0a0000010a000002 0000000000000000000000000000000000000000" },
		{ "first fragment not of eights", ETH " 45000029123420004006 0000 0a0000010a000002 000000000000000000000000000000000000000000" },
	};
	static struct frame f;
	struct datagram d;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		f.at = ROOM;
		front_layers(&f, rows[i].layers);
		if (i == 5)
			f.bytes[f.at + 20] = 0x3f, f.bytes[f.at + 21] = 0xff;
		if (!CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 1, &d), IP_MALFORMED))
			printf("#   %s\n", rows[i].name);
	}
}

TEST(what_is_no_business_of_ours_is_other)
{
	static const struct { uint16_t link_type; const char *bytes; enum ip_verdict want; } rows[] = {
		{ 1, "0180c200000e 020000000001 88cc 0207040200000000010403", IP_OTHER },       /* LLDP */
		{ 1, "0180c2000000 020000000001 0026 424203 000000000080000200", IP_OTHER },     /* STP */
		{ 9, "ff03 c021 01010004", IP_OTHER },                                          /* LCP */
		{ 1, ETH " ip4/47 00000000", IP_OTHER },                                        /* GRE keepalive */
		{ 105, "80000000 020000000001020000000002020000000003 1000 0000", IP_OTHER },    /* a beacon */
		{ 105, "08410000 020000000001020000000002020000000003 1000 0011223344556677", IP_OTHER },       /* encrypted */
		{ 220, "0011223344", IP_MALFORMED },                                            /* USB: no row */
	};
	static struct frame f;
	struct datagram d;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		f.at = ROOM;
		front_layers(&f, rows[i].bytes);
		CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, rows[i].link_type, &d), rows[i].want);
	}
}

TEST(arp_is_given_from_its_hardware_type_on)
{
	static struct frame f;
	struct datagram d;

	f.at = ROOM;
	front_layers(&f, MACS " 8100002a 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002");
	CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 1, &d), IP_ARP);
	CHECK_INT(d.payload.len, 28);
	CHECK_INT(span_at(d.payload, 7), 1);
}

TEST(a_datagram_on_a_tunnels_port_that_is_no_tunnel_is_given_itself)
{
	static const struct { const char *layers; uint16_t port; } rows[] = {
		{ "1234010000010000000000000377777707657861 6d706c6503636f6d0000010001", 4789 },        /* a DNS question */
		{ "0800000000002a00 " MACS " 0800 0102030405060708090a0b0c0d0e0f1011121314", 4789 },       /* no IP within */
		{ "0800000000002a00 " MACS " 0026 424203 000000000080000200", 4789 },                      /* STP within */
		{ "32ff000400000001 00010000 0011223344556677", 2152 },
		{ "c802 0014 0000 0000 0000 0000 8008 0000 0000 0001", 1701 },                          /* L2TP control */
	};
	static struct frame f;
	struct datagram d;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t length;

		f.at = ROOM;
		front_layers(&f, rows[i].layers);
		front_udp(&f, rows[i].port);
		length = ROOM - f.at;
		front_layers(&f, ETH " ip4/17");
		CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 1, &d), IP_DATAGRAM);
		CHECK_INT(d.protocol, 17);
		CHECK_INT(d.src[12], 192);
		CHECK_INT(d.payload.len, length);
	}
}

/* ---- limits ---------------------------------------------------------------------------------- */

TEST(nesting_has_a_limit)
{
	static struct frame f;
	struct ip_decoder *ip = ip_decoder_new();
	struct ip_counters c;
	struct datagram d;

	for (unsigned depth = 0; depth <= 12; depth++) {
		inner_ipv4(&f);
		for (unsigned i = 0; i < depth; i++)
			front_layers(&f, "ip4/47 00000800");
		front_layers(&f, ETH);
		CHECK_INT(decode_at(ip, frame_span(&f), (uint32_t)frame_span(&f).len, 1, 0, &d), depth <= LIMIT_LAYERS ? IP_DATAGRAM : IP_TOO_DEEP);
	}
	for (unsigned i = 0; i < 1000; i++)
		front_layers(&f, "8100002a");
	front_layers(&f, MACS);
	CHECK_INT(decode_at(ip, frame_span(&f), (uint32_t)frame_span(&f).len, 1, 0, &d), IP_TOO_DEEP);
	ip_counters(ip, &c);
	CHECK_INT(c.encapsulation_depth, 5);
	CHECK_INT(c.undecodable, 5);
	ip_decoder_free(ip);
}

TEST(extension_headers_have_a_limit)
{
	static struct frame f;
	struct datagram d;

	for (unsigned n = 0; n <= 20; n++) {
		inner_ipv6(&f);
		f.at += 40;
		for (unsigned i = 0; i < n; i++)
			front_layers(&f, i == 0 ? "0600010400000000" : "3c00010400000000");
		front_ipv6(&f, n == 0 ? 6 : 60);
		CHECK_INT(decode(frame_span(&f), (uint32_t)frame_span(&f).len, 101, &d), n <= LIMIT_EXTENSION_HEADERS ? IP_DATAGRAM : IP_TOO_DEEP);
	}
}

/* ---- fragments ------------------------------------------------------------------------------- */

struct lab { struct ip_decoder *ip; struct datagram d; int64_t time_ns; struct frame f; };

static struct lab *lab_new(void)
{
	struct lab *l = calloc(1, sizeof *l);

	l->ip = ip_decoder_new();
	return l;
}

static void lab_free(struct lab *l)
{
	ip_decoder_free(l->ip);
	free(l);
}

static uint64_t lab_dropped(const struct lab *l)
{
	struct ip_counters c;

	ip_counters(l->ip, &c);
	return c.fragments_dropped;
}

/* A piece of len bytes at offset, all of the value `fill`, `kept` of them captured. */
static enum ip_verdict piece_cut(struct lab *l, uint32_t id, uint32_t offset, size_t len, bool more, uint8_t fill, size_t kept)
{
	struct frame *f = &l->f;

	f->at = ROOM - len;
	memset(f->bytes + f->at, fill, len);
	front_ipv4(f, 6);
	f->bytes[f->at + 4] = (uint8_t)(id >> 8), f->bytes[f->at + 5] = (uint8_t)id;
	f->bytes[f->at + 6] = (uint8_t)((more ? 0x20 : 0) | offset / 8 >> 8), f->bytes[f->at + 7] = (uint8_t)(offset / 8);
	f->bytes[f->at + 12] = (uint8_t)(id >> 16);
	return decode_at(l->ip, span_of(f->bytes + f->at, kept + 20), (uint32_t)len + 20, 101, l->time_ns, &l->d);
}

static enum ip_verdict piece(struct lab *l, uint32_t id, uint32_t offset, size_t len, bool more, uint8_t fill)
{
	return piece_cut(l, id, offset, len, more, fill, len);
}

static enum ip_verdict piece6(struct lab *l, uint32_t id, uint32_t offset, size_t len, bool more, uint8_t fill)
{
	struct frame *f = &l->f;
	uint8_t head[8] = { 6, 0, (uint8_t)(offset >> 8), (uint8_t)(offset | more), 0, 0, (uint8_t)(id >> 8), (uint8_t)id };

	f->at = ROOM - len;
	memset(f->bytes + f->at, fill, len);
	front(f, head, 8);
	front_ipv6(f, 44);
	return decode_at(l->ip, frame_span(f), (uint32_t)frame_span(f).len, 101, l->time_ns, &l->d);
}

TEST(fragments_make_a_datagram_in_any_order)
{
	static const unsigned orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct lab *l = lab_new();

	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned o = 0; o < 6; o++) {
			for (unsigned i = 0; i < 3; i++) {
				unsigned n = orders[o][i];
				enum ip_verdict v = (v6 ? piece6 : piece)(l, 9, n * 16, n == 2 ? 5 : 16, n != 2, (uint8_t)('a' + n));

				CHECK_INT(v, i == 2 ? IP_DATAGRAM : IP_FRAGMENT);
			}
			CHECK_SPAN(l->d.payload, "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccc");
			CHECK_INT(l->d.wire_len, 37);
			CHECK_INT(l->d.protocol, 6);
			CHECK(l->d.reassembled);
			CHECK_INT(l->d.v6, v6);
		}
	CHECK_INT(lab_dropped(l), 0);
	lab_free(l);
}

TEST(of_overlapping_ipv4_fragments_the_first_copy_counts)
{
	struct lab *l = lab_new();

	CHECK_INT(piece(l, 1, 0, 16, true, 'a'), IP_FRAGMENT);
	CHECK_INT(piece(l, 1, 8, 16, true, 'b'), IP_FRAGMENT);
	CHECK_INT(piece(l, 1, 0, 24, true, 'x'), IP_FRAGMENT);          /* all of it is here already */
	CHECK_INT(piece(l, 1, 16, 16, false, 'c'), IP_DATAGRAM);
	CHECK_SPAN(l->d.payload, "aaaaaaaaaaaaaaaabbbbbbbbcccccccc");
	CHECK_INT(piece(l, 2, 16, 8, false, 'c'), IP_FRAGMENT);
	CHECK_INT(piece(l, 2, 8, 8, true, 'b'), IP_FRAGMENT);
	CHECK_INT(piece(l, 2, 0, 24, true, 'a'), IP_DATAGRAM);
	CHECK_SPAN(l->d.payload, "aaaaaaaabbbbbbbbcccccccc");
	lab_free(l);
}

TEST(pieces_that_do_not_fit_their_datagram_are_left_out)
{
	struct lab *l = lab_new();

	CHECK_INT(piece(l, 1, 16, 8, false, 'c'), IP_FRAGMENT);
	CHECK_INT(piece(l, 1, 24, 8, true, 'x'), IP_MALFORMED);         /* behind the end */
	CHECK_INT(piece(l, 1, 8, 8, false, 'x'), IP_MALFORMED);         /* another end */
	CHECK_INT(piece(l, 1, 0, 16, true, 'a'), IP_DATAGRAM);
	CHECK_SPAN(l->d.payload, "aaaaaaaaaaaaaaaacccccccc");
	lab_free(l);
}

TEST(an_ipv6_datagram_with_overlapping_fragments_is_dropped)
{
	struct lab *l = lab_new();

	CHECK_INT(piece6(l, 1, 0, 16, true, 'a'), IP_FRAGMENT);
	CHECK_INT(piece6(l, 1, 8, 16, true, 'b'), IP_FRAGMENT);
	CHECK_INT(lab_dropped(l), 1);
	CHECK_INT(piece6(l, 1, 16, 8, false, 'c'), IP_FRAGMENT);        /* the rest of it is nothing, either */
	CHECK_INT(piece6(l, 1, 0, 16, true, 'a'), IP_FRAGMENT);
	CHECK_INT(lab_dropped(l), 1);
	CHECK_INT(piece6(l, 2, 0, 16, true, 'a'), IP_FRAGMENT);
	CHECK_INT(piece6(l, 2, 0, 16, true, 'a'), IP_FRAGMENT);         /* an exact copy does no harm */
	CHECK_INT(piece6(l, 2, 16, 8, false, 'b'), IP_DATAGRAM);
	CHECK_INT(lab_dropped(l), 1);
	lab_free(l);
}

TEST(fragments_cut_by_the_capture_give_what_is_there_without_holes)
{
	struct lab *l = lab_new();

	CHECK_INT(piece_cut(l, 1, 0, 32, true, 'a', 20), IP_FRAGMENT);
	CHECK_INT(piece(l, 1, 32, 8, false, 'b'), IP_DATAGRAM);
	CHECK_SPAN(l->d.payload, "aaaaaaaaaaaaaaaaaaaa");
	CHECK_INT(l->d.wire_len, 40);
	CHECK_INT(piece(l, 2, 32, 64, false, 'b'), IP_FRAGMENT);
	CHECK_INT(piece_cut(l, 2, 0, 32, true, 'a', 32), IP_DATAGRAM);
	CHECK_INT(l->d.payload.len, 96);
	CHECK_INT(piece_cut(l, 3, 32, 64, false, 'b', 3), IP_FRAGMENT);
	CHECK_INT(piece(l, 3, 0, 32, true, 'a'), IP_DATAGRAM);
	CHECK_INT(l->d.payload.len, 35);
	CHECK_INT(l->d.wire_len, 96);
	lab_free(l);
}

TEST(fragments_wait_30_seconds)
{
	struct lab *l = lab_new();

	CHECK_INT(piece(l, 1, 0, 16, true, 'a'), IP_FRAGMENT);
	l->time_ns = 30 * NS_PER_S;
	CHECK_INT(piece(l, 2, 0, 16, true, 'a'), IP_FRAGMENT);
	CHECK_INT(lab_dropped(l), 0);
	l->time_ns++;
	CHECK_INT(piece(l, 1, 16, 16, false, 'b'), IP_FRAGMENT);
	CHECK_INT(lab_dropped(l), 1);
	l->time_ns = 0;                                                 /* a step back drops nothing */
	CHECK_INT(piece(l, 2, 16, 16, false, 'b'), IP_DATAGRAM);
	lab_free(l);
}

TEST(more_than_4096_datagrams_drop_the_oldest)
{
	struct lab *l = lab_new();

	for (uint32_t i = 0; i < LIMIT_FRAGMENT_DATAGRAMS + 10; i++)
		CHECK_INT(piece(l, i * 7919, 0, 8, true, 'a'), IP_FRAGMENT);
	CHECK_INT(lab_dropped(l), 10);
	CHECK_INT(piece(l, 9 * 7919, 8, 8, false, 'b'), IP_FRAGMENT);
	CHECK_INT(piece(l, 4000 * 7919, 8, 8, false, 'b'), IP_DATAGRAM);
	lab_free(l);
}

TEST(a_datagram_of_more_than_128_pieces_is_dropped)
{
	struct lab *l = lab_new();

	for (uint32_t i = 0; i < LIMIT_FRAGMENT_PIECES; i++)
		CHECK_INT(piece(l, 1, i * 16, 8, true, 'a'), IP_FRAGMENT);
	CHECK_INT(lab_dropped(l), 0);
	CHECK_INT(piece(l, 1, 8, 8, true, 'a'), IP_FRAGMENT);
	CHECK_INT(lab_dropped(l), 1);
	for (uint32_t i = 0; i < LIMIT_FRAGMENT_PIECES; i++)
		CHECK_INT(piece(l, 2, i * 8, 8, i != LIMIT_FRAGMENT_PIECES - 1, 'a'), i != LIMIT_FRAGMENT_PIECES - 1 ? IP_FRAGMENT : IP_DATAGRAM);
	lab_free(l);
}

TEST(more_than_8_mib_of_pieces_drop_the_oldest)
{
	struct lab *l = lab_new();

	for (uint32_t i = 0; i < 200; i++)
		CHECK_INT(piece(l, i, 0, 60000, true, 'a'), IP_FRAGMENT);
	CHECK(lab_dropped(l) >= 200 - LIMIT_FRAGMENT_BYTES / 60000);
	CHECK_INT(piece(l, 199, 60000, 8, false, 'b'), IP_DATAGRAM);
	CHECK_INT(piece(l, 0, 60000, 8, false, 'b'), IP_FRAGMENT);
	lab_free(l);
}

TEST(a_tunnel_within_fragments_is_followed)
{
	struct lab *l = lab_new();
	static struct frame f;
	struct span whole;
	static const uint8_t heads[2][20] = {
		{ 0x45, 0, 0, 44, 0, 1, 0x20, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2 },
		{ 0x45, 0, 0, 40, 0, 1, 0, 3, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2 },
	};

	inner_ipv4(&f);
	front_layers(&f, "00000800");
	whole = frame_span(&f);
	CHECK_OR_RETURN(whole.len == 44);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t packet[64];
		struct span part = i == 0 ? span_first(whole, 24) : span_from(whole, 24);

		memcpy(packet, heads[i], 20);
		memcpy(packet + 20, part.at, part.len);
		CHECK_INT(decode_at(l->ip, span_of(packet, 20 + part.len), 20 + (uint32_t)part.len, 228, 0, &l->d), i == 0 ? IP_FRAGMENT : IP_DATAGRAM);
	}
	CHECK(is_from_10_0_0_1(&l->d));
	CHECK_INT(l->d.protocol, 6);
	CHECK_INT(l->d.payload.len, 20);
	lab_free(l);
}

/* ---- quoted datagrams ------------------------------------------------------------------------ */

TEST(a_quoted_datagram_needs_its_header_and_eight_bytes)
{
	static struct frame f;
	struct datagram d;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		size_t header = v6 ? 40 : 20;

		(v6 ? inner_ipv6 : inner_ipv4)(&f);
		for (size_t kept = 0; kept <= header + 20; kept++) {
			uint8_t *copy = malloc(kept != 0 ? kept : 1);

			memcpy(copy, frame_span(&f).at, kept);
			memset(&d, 0, sizeof d);
			CHECK_INT(ip_quoted(span_of(copy, kept), v6, &d), kept >= header + 8);
			if (kept >= header + 8) {
				CHECK_INT(d.protocol, 6);
				CHECK_INT(d.wire_len, 20);
				CHECK_INT(d.payload.len, kept - header);
			}
			free(copy);
		}
	}
}

TEST(a_quoted_later_fragment_has_no_ports)
{
	static struct frame f;
	struct datagram d;

	inner_ipv4(&f);
	f.bytes[f.at + 6] = 0x20, f.bytes[f.at + 7] = 0x05;
	CHECK(!ip_quoted(frame_span(&f), false, &d));
	f.bytes[f.at + 7] = 0;
	CHECK(ip_quoted(frame_span(&f), false, &d));
	CHECK(!ip_quoted(frame_span(&f), true, &d));
}

/* ---- addresses as text ----------------------------------------------------------------------- */

TEST(addresses_are_written_as_rfc_5952_has_them)
{
	static const struct { const char *hex; uint16_t port; const char *text; } rows[] = {
		{ "00000000000000000000ffff0a000001", 80, "10.0.0.1:80" },
		{ "00000000000000000000ffffffffffff", 0, "255.255.255.255" },
		{ "20010db8000000000000000000000001", 443, "[2001:db8::1]:443" },
		{ "20010db8000000000000000000000001", 0, "2001:db8::1" },
		{ "00000000000000000000000000000000", 0, "::" },
		{ "00000000000000000000000000000001", 0, "::1" },
		{ "fe800000000000000000000000000000", 0, "fe80::" },
		{ "20010db8000000010001000100010001", 0, "2001:db8:0:1:1:1:1:1" },
		{ "20010000000000010000000000000001", 0, "2001:0:0:1::1" },
		{ "20010db8000000000001000000000001", 65535, "[2001:db8::1:0:0:1]:65535" },
		{ "abcdef01234567890abcdef012345678", 65535, "[abcd:ef01:2345:6789:abc:def0:1234:5678]:65535" },
	};
	static struct frame f;
	char text[ENDPOINT_TEXT];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct endpoint e = { .port = rows[i].port }, other;

		f.at = ROOM;
		front_layers(&f, rows[i].hex);
		memcpy(e.address, f.bytes + f.at, 16);
		CHECK_STR(endpoint_text(&e, text), rows[i].text);
		other = e;
		CHECK(endpoint_equal(&e, &other));
		other.port++;
		CHECK(!endpoint_equal(&e, &other));
	}
}

TEST(every_value_has_a_word)
{
	for (unsigned v = 0; v < VIOLATION_COUNT; v++)
		CHECK(violation_name(v)[0] != '\0' && violation_text(v)[0] != '\0' && violation_source(v)[0] != '\0');
	CHECK_STR(violation_name(VIOLATION_COUNT), "");
	CHECK_STR(outcome_name(OUTCOME_GARBLED), "no-response");
	CHECK_STR(outcome_name(OUTCOME_PARTIAL_BODY), "partial-body");
	CHECK_STR(method_name(METHOD_PATCH), "PATCH");
	CHECK_STR(method_name(METHOD_OTHER), "");
	CHECK_STR(version_name(VERSION_2), "HTTP/2");
	CHECK_STR(speaks_name(SPEAKS_TLS), "tls");
	CHECK_STR(speaks_name(SPEAKS_FOREIGN_FIRST), "ssh");
	CHECK_STR(speaks_name(255), "");
}

TEST_MAIN()
