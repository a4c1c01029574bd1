/* dns.c - DNS messages: the question, the result code, the addresses */
#include "control.h"
#include "link.h"

#include "../capture/limits.h"

enum { DNS_HEADER = 12, DNS_RESPONSE = 0x8000, DNS_OPCODE = 0x7800, DNS_IN = 1, DNS_A = 1, DNS_AAAA = 28 };

/* A name as text while it is read: NULL, to pass it over. */
struct name_text { char *at; size_t len; };

/* Adds a label, lower case, with a dot before all but the first. A dot within a label is no border between two: \. as
 * master files have it (RFC 1035 5.1). False: too long. */
static bool add_label(struct name_text *t, struct span label)
{
	if (t->at == NULL)
		return true;
	if (t->len != 0 && t->len < DNS_NAME_MAX)
		t->at[t->len++] = '.';
	for (size_t i = 0; i < label.len; i++) {
		uint8_t c = ascii_lower(span_at(label, i));
		size_t need = c == '.' || c == '\\' ? 2 : 1;

		if (t->len + need > DNS_NAME_MAX)
			return false;
		if (need == 2)
			t->at[t->len++] = '\\';
		t->at[t->len++] = (char)c;
	}
	t->at[t->len] = '\0';
	return true;
}

/* RFC 1035 4.1.4: labels up to the empty one, or a pointer to where the rest lies. Each pointer must lead
 * backward of all before it, so that a name ends. The cursor stands behind the name as written here, or has
 * failed where bytes lack. */
static bool read_name(struct span message, struct cursor *c, struct name_text *t)
{
	size_t lowest = message.len - c->rest.len, wire = 0, to;
	struct cursor at = *c;
	bool jumped = false;
	unsigned pointers = 0;
	uint8_t length;

	for (;;) {
		length = cur_u8(&at);
		if (length >= 0xc0) {
			to = (size_t)(length & 0x3f) << 8 | cur_u8(&at);
			if (at.failed)
				break;
			if (to >= lowest || ++pointers > LIMIT_DNS_POINTERS)
				return false;
			if (!jumped)
				*c = at;
			jumped = true;
			lowest = to;
			at = cursor_of(span_from(message, to));
			continue;
		}
		wire += length + 1u;
		if (length > 63 || wire > DNS_NAME_MAX)
			return false;
		if (at.failed || length == 0)
			break;
		if (!add_label(t, cur_take(&at, length)))
			return false;
	}
	if (!jumped || at.failed)
		*c = at;
	return !at.failed;
}

/* Answers: name, type, class, time to live, data. Names between question and address (CNAME) do not matter here.
 * Records may lack: cut by the capture, or by the server, which says so and is asked again over TCP (RFC 2181 9).
 * False: one that is here is wrong. */
static bool read_answers(struct span message, struct cursor *c, unsigned n, struct dns_fact *f)
{
	struct name_text none = { NULL, 0 };
	struct span data;
	uint16_t type, class;
	uint8_t *address;

	for (unsigned i = 0; i < n; i++) {
		if (!read_name(message, c, &none))
			return c->failed;
		type = cur_u16(c);
		class = cur_u16(c);
		cur_skip(c, 4);
		data = cur_take(c, cur_u16(c));
		if (c->failed)
			return true;
		if (class != DNS_IN || f->n_addresses >= sizeof f->addresses / sizeof f->addresses[0])
			continue;
		address = f->addresses[f->n_addresses];
		if (type == DNS_A && data.len == 4) {
			memset(address, 0, 10);
			memset(address + 10, 0xff, 2);
			span_copy(address + 12, 4, data, 0);
			f->n_addresses++;
		} else if (type == DNS_AAAA && data.len == 16) {
			span_copy(address, 16, data, 0);
			f->n_addresses++;
		}
	}
	return true;
}

bool control_dns(struct span message, struct dns_fact *f, char name[static DNS_NAME_MAX + 1], size_t *name_len)
{
	struct cursor c = cursor_of(message);
	struct name_text text = { name, 0 };
	uint16_t id = cur_u16(&c), flags = cur_u16(&c), questions = cur_u16(&c), answers = cur_u16(&c);

	cur_skip(&c, 4);                        /* authority and additional records are not read */
	name[0] = '\0';
	if (c.failed || questions != 1 || (flags & DNS_OPCODE) != 0 || answers > LIMIT_DNS_RECORDS || !read_name(message, &c, &text))
		return false;
	f->id = id;
	f->type = cur_u16(&c);
	if (cur_u16(&c) != DNS_IN || c.failed)
		return false;
	f->answer = (flags & DNS_RESPONSE) != 0;
	f->rcode = flags & 15;
	f->n_addresses = 0;
	*name_len = text.len;
	if (!f->answer)
		return answers == 0;
	return read_answers(message, &c, answers, f);
}
