/* schema.c - --print-schema: the JSON Schema (2020-12) of what json.c writes
 *
 * What is required here is what REPORT.md names; more fields may be there. $NAME$ stands for a list
 * that is made from our own tables.
 */
#include "explain.h"
#include "incident.h"

#include <stdio.h>

/* A line a string: C need not take one as long as the whole. */
static const char *const schema[] = {
"{\n",
" \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n",
" \"title\": \"why502 report\", \"type\": \"object\",\n",
" \"required\": [\"schema\", \"why502\", \"capture\", \"totals\", \"groups\", \"upstreams\", \"incidents\"],\n",
" \"properties\": {\n",
"  \"schema\": {\"const\": 1},\n",
"  \"why502\": {\"type\": \"string\"},\n",
"  \"secrets_shown\": {\"const\": true},\n",
"  \"capture\": {\"$ref\": \"#/$defs/capture\"},\n",
"  \"totals\": {\"$ref\": \"#/$defs/totals\"},\n",
"  \"exchanges\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/exchange\"}},\n",
"  \"groups\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/group\"}},\n",
"  \"upstreams\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/upstream\"}},\n",
"  \"gateways\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/gateway_seen\"}},\n",
"  \"names\": {\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}},\n",
"  \"blind\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}},\n",
"  \"incidents\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/incident\"}}\n",
" },\n",
" \"$defs\": {\n",
/* Integers from 2^53 on are strings, as a reader's doubles would change them. */
"  \"count\": {\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0}, {\"type\": \"string\", \"pattern\": \"^[0-9]+$\"}]},\n",
"  \"packet\": {\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1}, {\"type\": \"string\", \"pattern\": \"^[0-9]+$\"}]},\n",
"  \"time\": {\"type\": \"string\", \"pattern\": \"^-?[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]+Z$\"},\n",
"  \"time_or_null\": {\"anyOf\": [{\"$ref\": \"#/$defs/time\"}, {\"type\": \"null\"}]},\n",
"  \"seconds\": {\"type\": \"number\", \"minimum\": 0},\n",
"  \"seconds_or_null\": {\"type\": [\"number\", \"null\"], \"minimum\": 0},\n",
"  \"text_or_null\": {\"type\": [\"string\", \"null\"]},\n",
"  \"status_or_null\": {\"type\": [\"integer\", \"null\"], \"minimum\": 100, \"maximum\": 999},\n",
"  \"cause\": {\"enum\": $causes$},\n",
"  \"fault\": {\"enum\": $faults$},\n",
"  \"confidence\": {\"enum\": $confidences$},\n",
"  \"capture\": {\"type\": \"object\", \"required\": [\"packets\", \"bytes\", \"first\", \"last\", \"quality\"],\n",
"   \"properties\": {\n",
"    \"interface\": {\"type\": \"string\"}, \"interfaces\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}},\n",
"    \"files\": {\"type\": \"array\", \"items\": {\"anyOf\": [{\"type\": \"string\"},\n",
"     {\"type\": \"object\", \"required\": [\"name\", \"packets\", \"first\", \"last\", \"shift_s\"],\n",
"      \"properties\": {\"name\": {\"type\": \"string\"}, \"packets\": {\"$ref\": \"#/$defs/count\"}, \"shift_s\": {\"type\": \"number\"},\n",
"       \"first\": {\"$ref\": \"#/$defs/time_or_null\"}, \"last\": {\"$ref\": \"#/$defs/time_or_null\"}}}]}},\n",
"    \"packets\": {\"$ref\": \"#/$defs/count\"}, \"bytes\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"first\": {\"$ref\": \"#/$defs/time_or_null\"}, \"last\": {\"$ref\": \"#/$defs/time_or_null\"},\n",
"    \"quality\": {\"$ref\": \"#/$defs/quality\"}},\n",
"   \"oneOf\": [{\"required\": [\"files\"]}, {\"required\": [\"interface\"]}, {\"required\": [\"interfaces\"]}]},\n",
"  \"quality\": {\"type\": \"object\",\n",
"   \"required\": [\"kernel_dropped\", \"truncated_packets\", \"undecodable_packets\", \"tcp_gaps\", \"connections_without_handshake\",\n",
"    \"encrypted_connections_without_keys\", \"conflicting_segments\", \"time_went_back\", \"limits_hit\", \"numbers_exact\", \"sandbox\"],\n",
"   \"properties\": {\n",
"    \"kernel_dropped\": {\"$ref\": \"#/$defs/count\"}, \"interface_dropped\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"truncated_packets\": {\"$ref\": \"#/$defs/count\"}, \"undecodable_packets\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"packets_left_out\": {\"$ref\": \"#/$defs/count\"}, \"bytes_cut\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"tcp_gaps\": {\"$ref\": \"#/$defs/count\"}, \"connections_without_handshake\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"encrypted_connections_without_keys\": {\"$ref\": \"#/$defs/count\"}, \"conflicting_segments\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"time_went_back\": {\"$ref\": \"#/$defs/count\"}, \"seconds_blind\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"limits_hit\": {\"type\": \"object\", \"additionalProperties\": {\"$ref\": \"#/$defs/count\"}},\n",
"    \"numbers_exact\": {\"type\": \"boolean\"}, \"sandbox\": {\"enum\": [\"full\", \"partial\", \"off\"]}, \"trouble\": {\"type\": \"string\"}}},\n",
"  \"totals\": {\"type\": \"object\",\n",
"   \"required\": [\"connections\", \"exchanges\", \"requests\", \"incidents\", \"healed\", \"by_cause\", \"by_status\"],\n",
"   \"properties\": {\n",
"    \"connections\": {\"$ref\": \"#/$defs/count\"}, \"exchanges\": {\"$ref\": \"#/$defs/count\"}, \"requests\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"incidents\": {\"$ref\": \"#/$defs/count\"}, \"healed\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"by_cause\": {\"type\": \"object\", \"propertyNames\": {\"$ref\": \"#/$defs/cause\"}, \"additionalProperties\": {\"$ref\": \"#/$defs/count\"}},\n",
"    \"by_status\": {\"type\": \"object\", \"propertyNames\": {\"pattern\": \"^([1-9][0-9]{2}|none)$\"},\n",
"     \"additionalProperties\": {\"$ref\": \"#/$defs/count\"}}}},\n",
"  \"spread\": {\"type\": \"object\", \"required\": [\"min\", \"median\", \"max\"],\n",
"   \"properties\": {\"n\": {\"$ref\": \"#/$defs/count\"}, \"min\": {\"$ref\": \"#/$defs/seconds\"}, \"median\": {\"$ref\": \"#/$defs/seconds\"},\n",
"    \"max\": {\"$ref\": \"#/$defs/seconds\"}}},\n",
"  \"detail\": {\"type\": \"object\", \"additionalProperties\": {\"type\": [\"string\", \"number\", \"boolean\", \"null\"]}},\n",
"  \"group\": {\"type\": \"object\",\n",
"   \"required\": [\"id\", \"cause\", \"gateway\", \"upstream\", \"detail\", \"count\", \"share\", \"first\", \"last\", \"spread\", \"incidents\"],\n",
"   \"properties\": {\n",
"    \"id\": {\"type\": \"integer\", \"minimum\": 1}, \"cause\": {\"$ref\": \"#/$defs/cause\"}, \"fault\": {\"$ref\": \"#/$defs/fault\"},\n",
"    \"confidence\": {\"$ref\": \"#/$defs/confidence\"}, \"gateway\": {\"$ref\": \"#/$defs/text_or_null\"},\n",
"    \"upstream\": {\"$ref\": \"#/$defs/text_or_null\"}, \"detail\": {\"$ref\": \"#/$defs/detail\"}, \"count\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"of\": {\"type\": \"string\"}, \"share\": {\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}, \"first\": {\"$ref\": \"#/$defs/time\"}, \"last\": {\"$ref\": \"#/$defs/time\"},\n",
"    \"spread\": {\"type\": \"object\", \"additionalProperties\": {\"$ref\": \"#/$defs/spread\"}},\n",
"    \"timeline\": {\"type\": \"array\", \"items\": {\"type\": \"integer\", \"minimum\": 0}},\n",
"    \"incidents\": {\"type\": \"array\", \"items\": {\"type\": \"integer\", \"minimum\": 1}}}},\n",
"  \"upstream\": {\"type\": \"object\",\n",
"   \"required\": [\"address\", \"requests\", \"errors\", \"healed\", \"p50_s\", \"p99_s\", \"idle_close_s\", \"resets\", \"health_checks\"],\n",
"   \"properties\": {\n",
"    \"address\": {\"type\": \"string\"}, \"requests\": {\"$ref\": \"#/$defs/count\"}, \"errors\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"healed\": {\"$ref\": \"#/$defs/count\"}, \"p50_s\": {\"$ref\": \"#/$defs/seconds_or_null\"}, \"p99_s\": {\"$ref\": \"#/$defs/seconds_or_null\"},\n",
"    \"idle_close_s\": {\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/spread\"}]},\n",
"    \"resets\": {\"$ref\": \"#/$defs/count\"}, \"health_checks\": {\"$ref\": \"#/$defs/count\"}}},\n",
"  \"gateway_seen\": {\"type\": \"object\", \"required\": [\"address\", \"product\", \"product_source\"],\n",
"   \"properties\": {\"address\": {\"type\": \"string\"}, \"product\": {\"$ref\": \"#/$defs/text_or_null\"},\n",
"    \"product_source\": {\"enum\": [\"detected\", \"option\", null]}, \"version\": {\"$ref\": \"#/$defs/text_or_null\"},\n",
"    \"requests\": {\"$ref\": \"#/$defs/count\"}}},\n",
"  \"request\": {\"type\": \"object\", \"required\": [\"method\", \"authority\", \"target\", \"version\"],\n",
"   \"properties\": {\"method\": {\"$ref\": \"#/$defs/text_or_null\"}, \"authority\": {\"$ref\": \"#/$defs/text_or_null\"},\n",
"    \"target\": {\"$ref\": \"#/$defs/text_or_null\"}, \"version\": {\"$ref\": \"#/$defs/text_or_null\"}},\n",
"   \"patternProperties\": {\"_hex$\": {\"type\": \"string\", \"pattern\": \"^([0-9a-f]{2})*$\"}}},\n",
"  \"sent_request\": {\"$ref\": \"#/$defs/request\", \"required\": [\"bytes\", \"first_packet\", \"first\"],\n",
"   \"properties\": {\"bytes\": {\"$ref\": \"#/$defs/count\"}, \"first_packet\": {\"$ref\": \"#/$defs/packet\"},\n",
"    \"last_packet\": {\"$ref\": \"#/$defs/packet\"}, \"first\": {\"$ref\": \"#/$defs/time\"}, \"last\": {\"$ref\": \"#/$defs/time\"}}},\n",
"  \"response\": {\"type\": \"object\",\n",
"   \"required\": [\"status\", \"version\", \"header_bytes\", \"body_bytes\", \"first_packet\", \"last_packet\", \"first\", \"last\"],\n",
"   \"properties\": {\n",
"    \"status\": {\"$ref\": \"#/$defs/status_or_null\"}, \"reason\": {\"$ref\": \"#/$defs/text_or_null\"},\n",
"    \"version\": {\"$ref\": \"#/$defs/text_or_null\"}, \"header_bytes\": {\"$ref\": \"#/$defs/count\"},\n",
"    \"body_bytes\": {\"$ref\": \"#/$defs/count\"}, \"server\": {\"$ref\": \"#/$defs/text_or_null\"},\n",
"    \"first_packet\": {\"$ref\": \"#/$defs/packet\"}, \"last_packet\": {\"$ref\": \"#/$defs/packet\"},\n",
"    \"first\": {\"$ref\": \"#/$defs/time\"}, \"last\": {\"$ref\": \"#/$defs/time\"}}},\n",
"  \"exchange\": {\"type\": \"object\",\n",
"   \"required\": [\"id\", \"roles\", \"connection\", \"stream\", \"client\", \"server\", \"request\", \"response\", \"interim\", \"outcome\", \"grpc_status\"],\n",
"   \"properties\": {\n",
"    \"id\": {\"type\": \"integer\", \"minimum\": 0},\n",
"    \"roles\": {\"type\": \"array\", \"items\": {\"type\": \"object\", \"required\": [\"gateway\", \"side\"],\n",
"     \"properties\": {\"gateway\": {\"type\": \"string\"}, \"side\": {\"enum\": [\"client\", \"upstream\"]}}}},\n",
"    \"connection\": {\"type\": \"integer\", \"minimum\": 0}, \"stream\": {\"type\": [\"integer\", \"null\"], \"minimum\": 1},\n",
"    \"client\": {\"type\": \"string\"}, \"server\": {\"type\": \"string\"}, \"proxied_for\": {\"type\": \"string\"},\n",
"    \"request\": {\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/sent_request\"}]},\n",
"    \"response\": {\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/response\"}]},\n",
"    \"interim\": {\"type\": \"array\", \"items\": {\"type\": \"integer\", \"minimum\": 100, \"maximum\": 199}},\n",
"    \"outcome\": {\"enum\": [\"complete\", \"no-response\", \"partial-headers\", \"partial-body\", \"reset\", \"in-progress\", \"upgraded\", \"tunnel\"]},\n",
"    \"grpc_status\": {\"type\": [\"integer\", \"null\"], \"minimum\": 0}}},\n",
"  \"attempt\": {\"type\": \"object\",\n",
"   \"required\": [\"upstream\", \"connection\", \"exchange\", \"cause\", \"matched_by\", \"reused\", \"request_number\", \"idle_s\", \"request_acked\",\n",
"    \"first_closer\", \"close_kind\"],\n",
"   \"properties\": {\n",
"    \"upstream\": {\"$ref\": \"#/$defs/text_or_null\"}, \"connection\": {\"type\": [\"integer\", \"null\"], \"minimum\": 0},\n",
"    \"exchange\": {\"type\": [\"integer\", \"null\"], \"minimum\": 1},\n",
"    \"cause\": {\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/cause\"}]},\n",
"    \"matched_by\": {\"enum\": [\"id\", \"unique\", \"order\", \"set\", null]}, \"reused\": {\"type\": [\"boolean\", \"null\"]},\n",
"    \"request_number\": {\"type\": [\"integer\", \"null\"], \"minimum\": 0}, \"idle_s\": {\"$ref\": \"#/$defs/seconds_or_null\"},\n",
"    \"request_acked\": {\"type\": \"boolean\"}, \"first_closer\": {\"enum\": [\"upstream\", \"gateway\", null]},\n",
"    \"close_kind\": {\"enum\": [\"fin\", \"rst\", \"rst-ack\", null]}}},\n",
"  \"evidence\": {\"type\": \"object\", \"required\": [\"packet\", \"time\", \"text\"],\n",
"   \"properties\": {\"packet\": {\"$ref\": \"#/$defs/packet\"}, \"file\": {\"type\": \"integer\", \"minimum\": 0}, \"frame\": {\"$ref\": \"#/$defs/packet\"},\n",
"    \"time\": {\"$ref\": \"#/$defs/time\"}, \"text\": {\"type\": \"string\"}}},\n",
"  \"incident\": {\"type\": \"object\",\n",
"   \"required\": [\"id\", \"time\", \"symptom\", \"status\", \"status_source\", \"cause\", \"family\", \"fault\", \"confidence\", \"summary\", \"detail\",\n",
"    \"gateway\", \"upstream\", \"request\", \"client_exchange\", \"attempts\", \"path\", \"evidence\", \"equivalents\", \"advice\"],\n",
"   \"properties\": {\n",
"    \"id\": {\"type\": \"integer\", \"minimum\": 1}, \"time\": {\"$ref\": \"#/$defs/time\"}, \"symptom\": {\"enum\": $symptoms$},\n",
"    \"status\": {\"$ref\": \"#/$defs/status_or_null\"}, \"status_source\": {\"enum\": [\"observed\", \"predicted\"]},\n",
"    \"cause\": {\"$ref\": \"#/$defs/cause\"}, \"family\": {\"enum\": $families$}, \"fault\": {\"$ref\": \"#/$defs/fault\"},\n",
"    \"confidence\": {\"$ref\": \"#/$defs/confidence\"}, \"summary\": {\"type\": \"string\"}, \"detail\": {\"$ref\": \"#/$defs/detail\"},\n",
"    \"gateway\": {\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/gateway_seen\"}]}, \"upstream\": {\"$ref\": \"#/$defs/text_or_null\"},\n",
"    \"request\": {\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/request\"}]},\n",
"    \"client_exchange\": {\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#/$defs/exchange\"}]},\n",
"    \"attempts\": {\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/attempt\"}},\n",
"    \"path\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}},\n",
"    \"evidence\": {\"type\": \"array\", \"minItems\": 1, \"items\": {\"$ref\": \"#/$defs/evidence\"}},\n",
"    \"equivalents\": {\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}},\n",
"    \"advice\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}},\n",
"    \"group\": {\"type\": \"integer\", \"minimum\": 1}, \"filter\": {\"$ref\": \"#/$defs/text_or_null\"},\n"
	"    \"command\": {\"$ref\": \"#/$defs/text_or_null\"}}}\n",
" }\n",
"}\n",
};

static const char *cause_name(unsigned c)
{
	return cause_row(c)->name;
}

/* The lists that the text above names. */
static const struct { const char *name; const char *(*item)(unsigned n); unsigned count; } lists[] = {
	{ "$causes$", cause_name, CAUSE_COUNT },
	{ "$families$", family_name, FAMILY_COUNT },
	{ "$faults$", fault_name, FAULT_COUNT },
	{ "$confidences$", confidence_name, CONFIDENCE_HIGH + 1 },
	{ "$symptoms$", symptom_name, SYMPTOM_CLIENT_ABORT + 1 },
};

static void print_list(struct out *o, size_t n)
{
	for (unsigned i = 0; i < lists[n].count; i++)
		out_format(o, "%s\"%s\"", i > 0 ? ", " : "[", lists[n].item(i));
	out_char(o, ']');
}

/* Prints what stands before the first of the lists, and that list. Returns the rest. */
static struct span print_to_list(struct out *o, struct span s)
{
	size_t best = s.len, which = 0;

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		size_t at = span_find(s, lists[i].name);

		if (at < best) {
			best = at;
			which = i;
		}
	}
	out_bytes(o, span_first(s, best));
	if (best == s.len)
		return span_none();
	print_list(o, which);
	return span_from(s, best + strlen(lists[which].name));
}

void print_schema(struct out *o)
{
	for (size_t line = 0; line < sizeof schema / sizeof schema[0]; line++) {
		struct span rest = span_text(schema[line]);

		while (rest.len > 0)
			rest = print_to_list(o, rest);
	}
}
