/* Buffers of an IPC message body: bounds, decompression, sharing or copying.
 *
 * Invariant: a buffer that leaves here has 64-byte alignment and zero padding as base/buffer.h promises. No memory is taken for a declared size
 * that the compressed bytes cannot stand for. Format: Message.fbs (Buffer, BodyCompression): 8 bytes of uncompressed length (-1 = raw), then a frame.
 */
#include <lz4frame.h>
#include <string.h>
#include <zstd.h>

#include "arrow/ipc_internal.h"
#include "base/bits.h"

/* The most that one compressed byte can stand for, and what headers may add. */
#define LZ4_RATIO   255
#define ZSTD_RATIO  32768
#define RATIO_SLACK 64

void ipc_body_release(struct ipc_body *b)
{
    LZ4F_freeDecompressionContext(b->lz4);
    ZSTD_freeDCtx(b->zstd);
    b->lz4 = b->zstd = NULL;
}

static int next_range(struct ipc_body *b, const uint8_t **ret_data, size_t *ret_size, struct error *err)
{
    if (b->next >= b->buffers.count)
        return error_set(err, ST_CORRUPT, "Arrow batch has too few buffers for its schema");
    const uint8_t *pair = fb_vector_data(&b->buffers) + 16 * (size_t)b->next++;
    uint64_t offset = load_le64(pair), size = load_le64(pair + 8), room = b->bytes ? b->bytes->size : 0;
    if (size && (offset > room || size > room - offset))
        return error_set(err, ST_CORRUPT, "Arrow buffer of %llu bytes at %llu in a body of %llu", (unsigned long long)size,
                         (unsigned long long)offset, (unsigned long long)room);
    *ret_data = size ? b->bytes->data + offset : NULL;
    *ret_size = (size_t)size;
    return ST_OK;
}

int ipc_body_skip(struct ipc_body *b, struct error *err)
{
    const uint8_t *data;
    size_t size;
    return next_range(b, &data, &size, err);
}

static void drop_owner(void *owner)
{
    buffer_unref(owner);
}

/* Whether `size` bytes at `data`, which lie in `whole`, keep the rules of struct buffer. */
static bool shareable(const struct buffer *whole, const uint8_t *data, size_t size)
{
    size_t pad = (0 - size) & (BUFFER_ALIGN - 1);
    if ((uintptr_t)data % BUFFER_ALIGN || pad > (size_t)(whole->data + whole->size - (data + size)))
        return false;
    for (size_t i = 0; i < pad; i++)
        if (data[size + i])
            return false;
    return true;
}

static int share_or_copy(struct ipc_body *b, const uint8_t *data, size_t size, struct buffer **ret_buffer, struct error *err)
{
    if (size && shareable(b->bytes, data, size)) {
        int st = buffer_wrap(data, size, drop_owner, buffer_ref(b->bytes), ret_buffer, err);
        if (st != ST_OK)
            buffer_unref(b->bytes);
        return st;
    }
    struct buffer *copy;
    TRY(buffer_new_uninit(b->budget, size, &copy, err));
    if (size)
        memcpy(copy->data, data, size);
    *ret_buffer = copy;
    return ST_OK;
}

static bool inflate_lz4(struct ipc_body *b, const uint8_t *from, size_t n, uint8_t *to, size_t size)
{
    if (!b->lz4) {
        LZ4F_dctx *made = NULL;
        if (LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION)))
            return false;
        b->lz4 = made;
    }
    LZ4F_resetDecompressionContext(b->lz4);
    size_t in = 0, out = 0, left = 1;
    while (left != 0) {
        size_t took = n - in, gave = size - out;
        left = LZ4F_decompress(b->lz4, to + out, &gave, from + in, &took, NULL);
        if (LZ4F_isError(left) || (left != 0 && took == 0 && gave == 0))
            return false;
        in += took;
        out += gave;
    }
    return out == size;
}

static bool inflate_zstd(struct ipc_body *b, const uint8_t *from, size_t n, uint8_t *to, size_t size)
{
    if (!b->zstd && !(b->zstd = ZSTD_createDCtx()))
        return false;
    return ZSTD_decompressDCtx(b->zstd, to, size, from, n) == size;
}

static int inflate(struct ipc_body *b, const uint8_t *from, size_t n, size_t size, struct buffer **ret_buffer, struct error *err)
{
    bool lz4 = b->compression == IPC_LZ4;
    if (size / (lz4 ? LZ4_RATIO : ZSTD_RATIO) > n + RATIO_SLACK)
        return error_set(err, ST_CORRUPT, "Arrow buffer claims %zu bytes out of %zu compressed ones", size, n);
    struct buffer *out = NULL;
    TRY(buffer_new_uninit(b->budget, size, &out, err));
    if (!(lz4 ? inflate_lz4(b, from, n, out->data, size) : inflate_zstd(b, from, n, out->data, size))) {
        buffer_unref(out);
        return error_set(err, ST_CORRUPT, "Arrow buffer cannot be decompressed");
    }
    *ret_buffer = out;
    return ST_OK;
}

int ipc_body_take(struct ipc_body *b, size_t need, struct buffer **ret_buffer, struct error *err)
{
    const uint8_t *data;
    size_t size;
    TRY(next_range(b, &data, &size, err));
    bool packed = b->compression != IPC_NONE && size != 0;
    size_t whole = size;
    if (packed) {
        if (size < 8)
            return error_set(err, ST_CORRUPT, "compressed Arrow buffer of %zu bytes", size);
        uint64_t declared = load_le64(data);
        data += 8;
        size -= 8;
        packed = declared != UINT64_MAX;
        whole = packed ? (size_t)declared : size;
        if (packed && declared > INT64_MAX)
            return ipc_bad_message(err);
    }
    if (need == IPC_WHOLE)
        need = whole;
    if (whole < need)
        return error_set(err, ST_CORRUPT, "Arrow buffer of %zu bytes where %zu are needed", whole, need);
    if (!packed || need == 0)
        return share_or_copy(b, data, need, ret_buffer, err);
    struct buffer *out = NULL;
    TRY(inflate(b, data, size, whole, &out, err));
    int st = need < whole ? buffer_resize(out, need, err) : ST_OK;
    if (st != ST_OK) {
        buffer_unref(out);
        return st;
    }
    *ret_buffer = out;
    return ST_OK;
}
