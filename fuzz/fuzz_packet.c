/* Bytes as Ethernet frames, cut as a pcap file's records are but with nothing checked: what the reader would refuse reaches the
 * decoders here. Seeds are therefore captures. Each frame comes 10 ms after the one before. */
#include "../tests/replay.h"

enum { FILE_HEAD = 24, TIME = 8, FRAMES_MAX = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct packet packets[FRAMES_MAX];
	struct cursor c = cursor_of(span_from(span_of(bytes, n), FILE_HEAD));
	struct decode_options d;
	struct report_options o;
	struct err e = { ERR_OK, "" };
	struct replay r;
	unsigned frames = 0;

	while (c.rest.len != 0 && frames < FRAMES_MAX) {
		cur_skip(&c, TIME);
		uint32_t kept = cur_u32le(&c), wire = cur_u32le(&c);
		struct span frame = cur_take(&c, kept < c.rest.len ? kept : c.rest.len);

		packets[frames] = (struct packet){
			.bytes = frame.at, .caplen = (uint32_t)frame.len, .len = wire > frame.len && wire < 1u << 18 ? wire : (uint32_t)frame.len,
			.time_ns = (int64_t)(1769860800 * NS_PER_S + (int64_t)frames * 10 * NS_PER_MS), .number = frames + 1, .frame = frames + 1,
			.link_type = 1
		};
		frames++;
	}
	if (frames == 0)
		return 0;
	replay_options(&d, &o);
	d.exchanges = true;
	replay(packets, frames, &d, &o, &r, &e);
	replay_clear(&r);
	return 0;
}
