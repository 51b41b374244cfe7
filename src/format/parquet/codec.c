/* Compression of pages: snappy, gzip (with concatenated members), brotli, zstd, LZ4 blocks, and the three
 * things that the old LZ4 number stands for. */
#include "format/parquet/internal.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <lz4.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"

void pq_codecs_release(struct pq_codecs *c)
{
    ZSTD_freeDCtx(c->zstd_in);
    ZSTD_freeCCtx(c->zstd_out);
    *c = (struct pq_codecs){0};
}

static bool gunzip(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
{
    z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)out_size};
    uint8_t spare;
    if (out_size == 0) {
        z.next_out = &spare;
        z.avail_out = 1;
    }
    if (inflateInit2(&z, 15 + 32) != Z_OK)
        return false;
    int got = inflate(&z, Z_FINISH);
    /* Members may follow one another; together they are one page. */
    while (got == Z_STREAM_END && z.avail_in > 0 && z.avail_out > 0) {
        if (inflateReset(&z) != Z_OK)
            break;
        got = inflate(&z, Z_FINISH);
    }
    inflateEnd(&z);
    return got == Z_STREAM_END && (out_size == 0 ? z.avail_out == 1 : z.avail_out == 0);
}

/* Hadoop's framing: (uncompressed, compressed) sizes, big-endian, before each block. */
static bool lz4_hadoop(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
{
    size_t done = 0;
    while (size >= 8) {
        uint32_t plain = load_be32(data), packed = load_be32(data + 4);
        data += 8;
        size -= 8;
        if (packed > size || packed > INT32_MAX || plain > out_size - done)
            return false;
        if (LZ4_decompress_safe((const char *)data, (char *)out + done, (int)packed, (int)plain) != (int)plain)
            return false;
        done += plain;
        data += packed;
        size -= packed;
    }
    return size == 0 && done == out_size;
}

static bool lz4_frame(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
{
    LZ4F_dctx *ctx;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
        return false;
    size_t done = 0, left = 1;
    while (left != 0) {
        size_t n_out = out_size - done, n_in = size;
        left = LZ4F_decompress(ctx, out + done, &n_out, data, &n_in, NULL);
        if (LZ4F_isError(left) || (n_out == 0 && n_in == 0))
            break;
        done += n_out;
        data += n_in;
        size -= n_in;
    }
    LZ4F_freeDecompressionContext(ctx);
    return left == 0 && done == out_size;
}

static bool lz4_block(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
{
    return LZ4_decompress_safe((const char *)data, (char *)out, (int)size, (int)out_size) == (int)out_size;
}

static bool lz4_old(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
{
    if (size >= 4 && load_le32(data) == 0x184d2204)
        return lz4_frame(data, size, out, out_size);
    return lz4_hadoop(data, size, out, out_size) || lz4_block(data, size, out, out_size);
}

static int unzstd(struct pq_codecs *c, const uint8_t *data, size_t size, uint8_t *out, size_t out_size, struct error *err)
{
    if (!c->zstd_in && !(c->zstd_in = ZSTD_createDCtx()))
        return error_no_memory(err, 1 << 17);
    size_t got = ZSTD_decompressDCtx(c->zstd_in, out, out_size, data, size);
    return ZSTD_isError(got) || got != out_size ? pq_corrupt(err, "a zstd page does not decompress to its size") : ST_OK;
}

int pq_decompress(struct pq_codecs *c, int codec, const uint8_t *data, size_t size, uint8_t *out, size_t out_size, struct error *err)
{
    size_t n = out_size;
    bool good;
    if (size > INT32_MAX || out_size > INT32_MAX)
        return pq_corrupt(err, "a page of more than 2 GiB");
    switch (codec) {
    case PARQUET_UNCOMPRESSED:
        good = size == out_size;
        if (good && size)
            memcpy(out, data, size);
        break;
    case PARQUET_SNAPPY:
        good = snappy_uncompress((const char *)data, size, (char *)out, &n) == SNAPPY_OK && n == out_size;
        break;
    case PARQUET_GZIP:
        good = gunzip(data, size, out, out_size);
        break;
    case PARQUET_BROTLI:
        good = BrotliDecoderDecompress(size, data, &n, out) == BROTLI_DECODER_RESULT_SUCCESS && n == out_size;
        break;
    case PARQUET_ZSTD:
        return unzstd(c, data, size, out, out_size, err);
    case PARQUET_LZ4_RAW:
        good = lz4_block(data, size, out, out_size);
        break;
    case PQ_CODEC_LZ4_OLD:
        good = lz4_old(data, size, out, out_size);
        break;
    default:
        return error_set(err, ST_UNSUPPORTED, "parquet: compression codec %d is not supported", codec);
    }
    return good ? ST_OK : pq_corrupt(err, "a compressed page does not decompress to its size");
}

bool pq_plausible_size(int codec, const uint8_t *data, size_t size, size_t out_size)
{
    size_t n;
    switch (codec) {
    case PARQUET_UNCOMPRESSED: return out_size == size;
    case PARQUET_SNAPPY: return snappy_uncompressed_length((const char *)data, size, &n) == SNAPPY_OK && n == out_size && n / 64 <= size;
    case PARQUET_GZIP: return out_size / 1040 <= size;
    case PARQUET_LZ4_RAW: case PQ_CODEC_LZ4_OLD: return out_size / 256 <= size;
    default: return true;
    }
}

static bool gzip(int level, const uint8_t *data, size_t size, uint8_t *out, size_t *out_size)
{
    z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)*out_size};
    if (deflateInit2(&z, level ? level : Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    int got = deflate(&z, Z_FINISH);
    *out_size = z.total_out;
    deflateEnd(&z);
    return got == Z_STREAM_END;
}

static size_t compress_bound(int codec, size_t size)
{
    switch (codec) {
    case PARQUET_SNAPPY: return snappy_max_compressed_length(size);
    case PARQUET_GZIP: return compressBound(size) + 64;
    case PARQUET_BROTLI: return BrotliEncoderMaxCompressedSize(size) + 64;
    case PARQUET_ZSTD: return ZSTD_compressBound(size);
    case PARQUET_LZ4_RAW: return (size_t)LZ4_compressBound((int)size);
    default: return size;
    }
}

int pq_compress(struct pq_codecs *c, int codec, int level, const uint8_t *data, size_t size, struct pq_buf *out, struct error *err)
{
    if (size > LZ4_MAX_INPUT_SIZE)
        return error_set(err, ST_EXHAUSTED, "parquet: a page of %zu bytes is too large", size);
    size_t n = compress_bound(codec, size);
    TRY(pq_buf_reserve(out, n, err));
    uint8_t *to = out->data + out->size;
    bool good = true;
    switch (codec) {
    case PARQUET_UNCOMPRESSED:
        if (size)
            memcpy(to, data, size);
        break;
    case PARQUET_SNAPPY:
        good = snappy_compress((const char *)data, size, (char *)to, &n) == SNAPPY_OK;
        break;
    case PARQUET_GZIP:
        good = gzip(level, data, size, to, &n);
        break;
    case PARQUET_BROTLI:
        good = BrotliEncoderCompress(level ? level : 5, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, size, data, &n, to);
        break;
    case PARQUET_ZSTD:
        if (!c->zstd_out && !(c->zstd_out = ZSTD_createCCtx()))
            return error_no_memory(err, 1 << 17);
        n = ZSTD_compressCCtx(c->zstd_out, to, n, data, size, level ? level : 1);
        good = !ZSTD_isError(n);
        break;
    case PARQUET_LZ4_RAW:
        n = (size_t)LZ4_compress_default((const char *)data, (char *)to, (int)size, (int)n);
        good = n > 0;
        break;
    default:
        return error_set(err, ST_UNSUPPORTED, "parquet: compression codec %d is not supported", codec);
    }
    if (!good)
        return error_set(err, ST_INTERNAL, "parquet: a page could not be compressed");
    out->size += n;
    return ST_OK;
}
