/* decompress.c - gzip, zstd and lz4 through their libraries, as streams */
#include "codec.h"

#include <stdlib.h>

#ifdef HAVE_ZLIB
#include <limits.h>
#include <zlib.h>

/* zlib.h, inflateInit2: 16 more with gzip's head and checksum, negative with none at all. */
static void *inflate_begin(int window_bits)
{
	z_stream *z = calloc(1, sizeof *z);

	if (z != NULL && inflateInit2(z, window_bits) != Z_OK) {
		free(z);
		z = NULL;
	}
	return z;
}

static void *gzip_begin(void)
{
	return inflate_begin(16 + MAX_WBITS);
}

static void *zlib_begin(void)
{
	return inflate_begin(MAX_WBITS);
}

static void *deflate_begin(void)
{
	return inflate_begin(-MAX_WBITS);
}

static enum codec_status inflate_unpack(void *self, struct span *in, uint8_t *to, size_t *room, const char **why)
{
	z_stream *z = self;
	size_t give = in->len < UINT_MAX ? in->len : UINT_MAX, space = *room < UINT_MAX ? *room : UINT_MAX;
	int status;

	z->next_in = (z_const Bytef *)(uintptr_t)in->at;        /* zlib's own declaration is not const */
	z->avail_in = (uInt)give;
	z->next_out = to;
	z->avail_out = (uInt)space;
	status = inflate(z, Z_NO_FLUSH);
	*in = span_from(*in, give - z->avail_in);
	*room = space - z->avail_out;
	if (status == Z_STREAM_END) {
		(void)inflateReset(z);
		return CODEC_END_OF_MEMBER;
	}
	if (status == Z_OK || status == Z_BUF_ERROR)
		return CODEC_ON;
	*why = z->msg;
	return CODEC_BAD;
}

static void inflate_stop(void *self)
{
	(void)inflateEnd(self);
	free(self);
}
#else
#define gzip_begin NULL
#define zlib_begin NULL
#define deflate_begin NULL
#define inflate_unpack NULL
#define inflate_stop NULL
#endif

#ifdef HAVE_ZSTD
#include <zstd.h>

/* The window is the memory that a stranger's file makes us take. RFC 8878 3.1.1.1.2: decoders are
 * recommended to support 8 MB; `zstd -19` uses as much, only --ultra and --long more. */
enum { ZSTD_WINDOW_LOG = 23 };

static void *zstd_begin(void)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();

	if (z != NULL && ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))) {
		ZSTD_freeDCtx(z);
		z = NULL;
	}
	return z;
}

static enum codec_status zstd_unpack(void *self, struct span *in, uint8_t *to, size_t *room, const char **why)
{
	ZSTD_inBuffer from = { in->at, in->len, 0 };
	ZSTD_outBuffer out = { to, *room, 0 };
	size_t status = ZSTD_decompressStream(self, &out, &from);

	*in = span_from(*in, from.pos);
	*room = out.pos;
	if (ZSTD_isError(status)) {
		*why = ZSTD_getErrorName(status);
		return CODEC_BAD;
	}
	return status == 0 ? CODEC_END_OF_MEMBER : CODEC_ON;
}

static void zstd_end(void *self)
{
	(void)ZSTD_freeDCtx(self);
}
#else
#define zstd_begin NULL
#define zstd_unpack NULL
#define zstd_end NULL
#endif

#ifdef HAVE_LZ4
#include <lz4frame.h>

static void *lz4_begin(void)
{
	LZ4F_dctx *z = NULL;

	return LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)) ? NULL : z;
}

static enum codec_status lz4_unpack(void *self, struct span *in, uint8_t *to, size_t *room, const char **why)
{
	size_t used = in->len;
	size_t status = LZ4F_decompress(self, to, room, in->at, &used, NULL);

	if (LZ4F_isError(status)) {
		*room = 0;
		*why = LZ4F_getErrorName(status);
		return CODEC_BAD;
	}
	*in = span_from(*in, used);
	return status == 0 ? CODEC_END_OF_MEMBER : CODEC_ON;
}

static void lz4_end(void *self)
{
	(void)LZ4F_freeDecompressionContext(self);
}
#else
#define lz4_begin NULL
#define lz4_unpack NULL
#define lz4_end NULL
#endif

/* What the libraries take. zconf.h: 32 KiB of window and about 7 for small objects; of a zstd frame the window, twice a
 * block of 128 KiB, and tables (ZSTD_estimateDStreamSize(8 MiB) of 1.5.4: 8.5 MiB). */
enum { INFLATE_BYTES = 40 << 10, ZSTD_BYTES = 9 << 20, LZ4_BYTES = 9 << 20 };

/* Those without a library are known so that they can be named. */
static const struct codec codecs[] = {
	{ "gzip", "zlib", INFLATE_BYTES, { 0x1f, 0x8b }, 2, gzip_begin, inflate_unpack, inflate_stop },
	{ "zstd", "libzstd", ZSTD_BYTES, { 0x28, 0xb5, 0x2f, 0xfd }, 4, zstd_begin, zstd_unpack, zstd_end },
	{ "lz4", "liblz4", LZ4_BYTES, { 0x04, 0x22, 0x4d, 0x18 }, 4, lz4_begin, lz4_unpack, lz4_end },
	{ "xz", NULL, 0, { 0xfd, '7', 'z', 'X' }, 4, NULL, NULL, NULL },
	{ "bzip2", NULL, 0, { 'B', 'Z', 'h' }, 3, NULL, NULL, NULL },
	{ "zip", NULL, 0, { 'P', 'K', 3, 4 }, 4, NULL, NULL, NULL },
};

/* Told by nothing in them: no capture is packed so. */
static const struct codec bare[] = {
	{ "zlib", "zlib", INFLATE_BYTES, { 0 }, 0, zlib_begin, inflate_unpack, inflate_stop },
	{ "deflate", "zlib", INFLATE_BYTES, { 0 }, 0, deflate_begin, inflate_unpack, inflate_stop },
};

const struct codec *codec_find(struct span first)
{
	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
		if (first.len >= codecs[i].n_magic && memcmp(first.at, codecs[i].magic, codecs[i].n_magic) == 0)
			return &codecs[i];
	return NULL;
}

static const struct codec *codec_among(const struct codec *c, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(c[i].name, name) == 0 && c[i].begin != NULL)
			return &c[i];
	return NULL;
}

const struct codec *codec_named(const char *name)
{
	const struct codec *c = codec_among(codecs, sizeof codecs / sizeof codecs[0], name);

	return c != NULL ? c : codec_among(bare, sizeof bare / sizeof bare[0], name);
}
