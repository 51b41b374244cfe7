/* Request messages: from the C core's slices to one contiguous buffer, decompressed.
 *
 * The C core's own decompression is off, because it has no bound on what a small message may grow to, and knows no zstd. A compressed message is
 * told by its magic number: 1F 8B and 28 B5 2F FD cannot begin a RegionRequest or a Ticket (field 3 of wire type 7; field 5 as a varint).
 */
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "rpc/internal.h"

static void unref_buffer(void *p)
{
    buffer_unref(p);
}

grpc_slice rpc_slice_of(struct buffer *b)
{
    return grpc_slice_new_with_user_data(b->data, b->size, unref_buffer, b);
}

/* Room for more output: doubles up to max. *ret_full when it cannot. */
static int grow(struct buffer *out, size_t max, bool *ret_full, struct error *err)
{
    size_t want = out->size < 4096 ? 16384 : out->size * 2;
    want = want > max ? max : want;
    *ret_full = want <= out->size;
    return *ret_full ? ST_OK : buffer_resize(out, want, err);
}

static int inflate_zstd(const struct buffer *in, size_t max, struct buffer *out, bool *ret_too_big, struct error *err)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (!ctx)
        return error_no_memory(err, 1 << 17);
    ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, 27);
    ZSTD_inBuffer src = {in->data, in->size, 0};
    size_t n = 0, more = 1;
    int rc = ST_OK;
    while (rc == ST_OK && (src.pos < src.size || more)) {
        if (n == out->size) {
            rc = grow(out, max, ret_too_big, err);
            if (rc || *ret_too_big)
                break;
        }
        ZSTD_outBuffer dst = {out->data, out->size, n};
        size_t before = src.pos;
        more = ZSTD_decompressStream(ctx, &dst, &src);
        if (ZSTD_isError(more) || (src.pos == before && dst.pos == n))
            rc = error_set(err, ST_INVALID_ARGUMENTS, "damaged zstd message");
        n = dst.pos;
    }
    ZSTD_freeDCtx(ctx);
    return rc || *ret_too_big ? rc : buffer_resize(out, n, err);
}

static int inflate_gzip(const struct buffer *in, size_t max, struct buffer *out, bool *ret_too_big, struct error *err)
{
    z_stream z = {.next_in = in->data, .avail_in = (uInt)in->size};
    if (in->size > UINT32_MAX || inflateInit2(&z, 15 + 32) != Z_OK)
        return error_no_memory(err, 1 << 16);
    int rc = ST_OK, state = Z_OK;
    size_t n = 0;
    while (rc == ST_OK && state != Z_STREAM_END) {
        if (n == out->size) {
            rc = grow(out, max, ret_too_big, err);
            if (rc || *ret_too_big)
                break;
        }
        size_t room = out->size - n > (1u << 30) ? 1u << 30 : out->size - n;
        z.next_out = out->data + n;
        z.avail_out = (uInt)room;
        state = inflate(&z, Z_NO_FLUSH);
        n += room - z.avail_out;
        if (state != Z_OK && state != Z_STREAM_END && !(state == Z_BUF_ERROR && z.avail_out == 0))
            rc = error_set(err, ST_INVALID_ARGUMENTS, "damaged gzip message");
    }
    inflateEnd(&z);
    return rc || *ret_too_big ? rc : buffer_resize(out, n, err);
}

int rpc_message_flatten(grpc_byte_buffer *message, size_t max, struct budget *budget, struct buffer **ret_bytes, bool *ret_too_big, struct error *err)
{
    static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd}, gzip[] = {0x1f, 0x8b};
    size_t size = grpc_byte_buffer_length(message), at = 0;
    *ret_too_big = size > max;
    if (*ret_too_big)
        return ST_OK;
    struct buffer *raw, *plain;
    TRY(buffer_new_uninit(budget, size, &raw, err));
    const grpc_slice_buffer *slices = &message->data.raw.slice_buffer;
    for (size_t i = 0; i < slices->count; i++) {
        size_t n = GRPC_SLICE_LENGTH(slices->slices[i]);
        memcpy(raw->data + at, GRPC_SLICE_START_PTR(slices->slices[i]), n);
        at += n;
    }
    bool is_zstd = size >= 4 && !memcmp(raw->data, zstd, 4), is_gzip = size >= 2 && !memcmp(raw->data, gzip, 2);
    if (!is_zstd && !is_gzip && message->data.raw.compression != GRPC_COMPRESS_DEFLATE) {
        *ret_bytes = raw;
        return ST_OK;
    }
    int rc = buffer_new_uninit(budget, 0, &plain, err);
    if (rc == ST_OK) {
        rc = is_zstd ? inflate_zstd(raw, max, plain, ret_too_big, err) : inflate_gzip(raw, max, plain, ret_too_big, err);
        if (rc || *ret_too_big)
            buffer_unref(plain);
        else
            *ret_bytes = plain;
    }
    buffer_unref(raw);
    return rc;
}
