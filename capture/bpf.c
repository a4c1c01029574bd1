/* bpf.c - a BPF filter over packets of any link type */
#include "limits.h"
#include "origin.h"

#include <pcap/pcap.h>
#include <stdlib.h>

enum { LINK_TYPES = 16, LINKTYPE_RAW_ = 101, LINKTYPE_ATM_RFC1483_ = 100 };

struct program { uint16_t link_type; bool compiled; struct bpf_program code; };

struct filter {
	char *text;
	unsigned n;                     /* link types met so far */
	struct program programs[LINK_TYPES];
};

/* libpcap compiles for DLT_ values; on Linux these two differ from LINKTYPE_ (linktypes page). */
static int link_type_to_dlt(uint16_t link_type)
{
	return link_type == LINKTYPE_RAW_ ? DLT_RAW
	     : link_type == LINKTYPE_ATM_RFC1483_ ? DLT_ATM_RFC1483 : link_type;
}

uint16_t link_type_of_dlt(int dlt)
{
	return dlt == DLT_RAW ? LINKTYPE_RAW_ : dlt == DLT_ATM_RFC1483 ? LINKTYPE_ATM_RFC1483_ : (uint16_t)dlt;
}

static bool compile(struct program *p, const char *text, uint16_t link_type, char why[PCAP_ERRBUF_SIZE])
{
	pcap_t *dead = pcap_open_dead(link_type_to_dlt(link_type), LIMIT_PACKET_BYTES);

	*p = (struct program){ .link_type = link_type };
	if (dead == NULL)
		return false;
	p->compiled = pcap_compile(dead, &p->code, text, 1, PCAP_NETMASK_UNKNOWN) == 0;
	if (!p->compiled && why != NULL)
		(void)strncpy(why, pcap_geterr(dead), PCAP_ERRBUF_SIZE - 1);
	pcap_close(dead);
	return p->compiled;
}

static const struct program *program_for(struct filter *f, uint16_t link_type)
{
	struct program *p;

	for (unsigned i = 0; i < f->n; i++)
		if (f->programs[i].link_type == link_type)
			return &f->programs[i];
	if (f->n == LINK_TYPES)         /* hostile: no capture mixes so many */
		return NULL;
	p = &f->programs[f->n++];
	(void)compile(p, f->text, link_type, NULL);
	return p;
}

struct filter *filter_new(const char *text, struct err *e)
{
	/* Names (`port http`) are looked up in files that the sandbox closes: so the usual types now. */
	static const uint16_t usual[] = { DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, LINKTYPE_RAW_, DLT_NULL, DLT_LOOP,
	                                  DLT_IPV4, DLT_IPV6, DLT_PPP, DLT_IEEE802_11_RADIO };
	struct filter *f = calloc(1, sizeof *f);
	char why[PCAP_ERRBUF_SIZE] = "";
	bool any = false;

	if (f == NULL || (f->text = strdup(text)) == NULL) {
		(void)err_set(e, ERR_MEMORY, "no memory for the filter");
		free(f);
		return NULL;
	}
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
		any |= compile(&f->programs[f->n++], text, usual[i], why[0] == '\0' ? why : NULL);
	if (any)
		return f;
	(void)err_set(e, ERR_OPTION, "filter '%.200s': %s", text, why);
	filter_free(f);
	return NULL;
}

void filter_mark(struct filter *f, struct packet_batch *b)
{
	const struct program *p = NULL;

	for (unsigned i = 0; i < b->n; i++) {
		struct packet *k = &b->packets[i];
		struct pcap_pkthdr h = { .caplen = k->caplen, .len = k->len };

		if (p == NULL || p->link_type != k->link_type)
			p = program_for(f, k->link_type);
		/* An expression that says nothing about a link type matches none of its packets. */
		k->filtered = p == NULL || !p->compiled || pcap_offline_filter(&p->code, &h, k->bytes) == 0;
	}
}

void filter_free(struct filter *f)
{
	if (f == NULL)
		return;
	for (unsigned i = 0; i < f->n; i++)
		pcap_freecode(&f->programs[i].code);
	free(f->text);
	free(f);
}
