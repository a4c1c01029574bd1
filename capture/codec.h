/* codec.h - compressed streams, unpacked piece by piece: captures, and bodies under Content-Encoding */
#ifndef WHY502_CODEC_H
#define WHY502_CODEC_H

#include "span.h"

/* OF_MEMBER: a whole member (gzip) or frame (zstd, lz4) ended; another may follow. */
enum codec_status { CODEC_ON, CODEC_END_OF_MEMBER, CODEC_BAD };

struct codec {
	const char *name;               /* "gzip" */
	const char *library;            /* "zlib"; NULL: none is used for it */
	size_t      memory;             /* the most that it takes, bytes */
	uint8_t     magic[4];
	size_t      n_magic;
	void *(*begin)(void);           /* NULL: this build cannot unpack it; returns NULL: no memory */
	/* Unpacks bytes of *in (which is moved on) to `to`; *room becomes the number of bytes made. On
	 * CODEC_BAD *why is a word of the library's, or NULL. */
	enum codec_status (*unpack)(void *self, struct span *in, uint8_t *to, size_t *room, const char **why);
	void  (*end)(void *self);
};

enum { CODEC_MAGIC_BYTES = 4 };

/* By its first bytes, CODEC_MAGIC_BYTES of them if there are as many; NULL: not compressed. */
const struct codec *codec_find(struct span first);

/* "gzip", "zstd", and what has no magic: "zlib" (RFC 1950), "deflate" (RFC 1951). NULL: this build cannot unpack it. */
const struct codec *codec_named(const char *name);

/* SAFETY.md: nothing honest shrinks a thousand times once it is a GiB (deflate itself ends at 1,032). */
static inline bool codec_is_bomb(uint64_t packed, uint64_t unpacked)
{
	return unpacked > 1ULL << 30 && unpacked / 1000 > packed;
}

#endif
