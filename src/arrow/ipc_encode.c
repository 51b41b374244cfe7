/* Record batches as IPC messages. Invariant: buffers follow each other in field order, depth first, each at a multiple of 64 in the body;
 * fixed-width columns are copied whole, bitmaps shifted, offsets rebased (region-rpc.md 7.5). */
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "arrow/ipc_internal.h"
#include "base/bits.h"

struct pair { int64_t a, b; }; /* FieldNode {length, null_count} and Buffer {offset, length} */

struct pairs {
    struct pair *p;
    uint32_t n, room;
};

struct ipc_encoder {
    struct budget *budget;
    enum ipc_compression compression;
    LZ4F_cctx *lz4;
    ZSTD_CCtx *zstd;
    struct buffer *body, *scratch;
    size_t used; /* bytes of body that are written */
    bool keep_dictionaries;
    struct pairs nodes, buffers;
    int64_t *variadic;
    uint32_t n_variadic, variadic_room;
};

int ipc_encoder_new(struct budget *budget, enum ipc_compression compression, struct ipc_encoder **ret_encoder, struct error *err)
{
    struct ipc_encoder *e = calloc(1, sizeof *e);
    if (!e)
        return error_no_memory(err, sizeof *e);
    e->budget = budget;
    e->compression = compression;
    bool good = true;
    if (compression == IPC_LZ4)
        good = !LZ4F_isError(LZ4F_createCompressionContext(&e->lz4, LZ4F_VERSION));
    else if (compression == IPC_ZSTD)
        good = (e->zstd = ZSTD_createCCtx()) != NULL;
    int st = good ? buffer_new(budget, 0, &e->scratch, err) : error_no_memory(err, 65536);
    if (st != ST_OK) {
        ipc_encoder_free(e);
        return st;
    }
    *ret_encoder = e;
    return ST_OK;
}

void ipc_encoder_free(struct ipc_encoder *e)
{
    if (!e)
        return;
    LZ4F_freeCompressionContext(e->lz4);
    ZSTD_freeCCtx(e->zstd);
    buffer_unref(e->body);
    buffer_unref(e->scratch);
    free(e->nodes.p);
    free(e->buffers.p);
    free(e->variadic);
    free(e);
}

static int add_pair(struct pairs *v, int64_t a, int64_t b, struct error *err)
{
    if (v->n == v->room) {
        uint32_t room = v->room ? v->room * 2 : 64;
        struct pair *p = realloc(v->p, room * sizeof *p);
        if (!p)
            return error_no_memory(err, room * sizeof *p);
        v->p = p;
        v->room = room;
    }
    v->p[v->n++] = (struct pair){a, b};
    return ST_OK;
}

static int add_variadic(struct ipc_encoder *e, int64_t count, struct error *err)
{
    if (e->n_variadic == e->variadic_room) {
        uint32_t room = e->variadic_room ? e->variadic_room * 2 : 16;
        int64_t *p = realloc(e->variadic, room * sizeof *p);
        if (!p)
            return error_no_memory(err, room * sizeof *p);
        e->variadic = p;
        e->variadic_room = room;
    }
    e->variadic[e->n_variadic++] = count;
    return ST_OK;
}

/* At least `bytes` behind the written part of the body. */
static int body_room(struct ipc_encoder *e, size_t bytes, struct error *err)
{
    size_t need = e->used + bytes + BUFFER_ALIGN;
    if (need <= e->body->size)
        return ST_OK;
    size_t grown = e->body->size + e->body->size / 2;
    return buffer_resize(e->body, need > grown ? need : grown, err);
}

/* Ends the buffer of `bytes` that was written at the end of the body. */
static int close_buffer(struct ipc_encoder *e, size_t bytes, struct error *err)
{
    TRY(add_pair(&e->buffers, (int64_t)e->used, (int64_t)bytes, err));
    size_t pad = (0 - bytes) & (BUFFER_ALIGN - 1);
    if (bytes)
        memset(e->body->data + e->used + bytes, 0, pad);
    e->used += bytes + pad;
    return ST_OK;
}

/* Bytes of the compressed form, or 0 when it does not pay. */
static size_t compress(struct ipc_encoder *e, uint8_t *to, size_t room, const uint8_t *from, size_t size)
{
    if (e->compression == IPC_ZSTD) {
        size_t n = ZSTD_compressCCtx(e->zstd, to, room, from, size, 1);
        return ZSTD_isError(n) ? 0 : n;
    }
    LZ4F_preferences_t prefs = {.frameInfo = {.blockSizeID = size > 65536 ? LZ4F_max256KB : LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
                                .autoFlush = 1};
    size_t head = LZ4F_compressBegin(e->lz4, to, room, &prefs);
    if (LZ4F_isError(head))
        return 0;
    size_t n = LZ4F_compressUpdate(e->lz4, to + head, room - head, from, size, NULL);
    if (LZ4F_isError(n))
        return 0;
    size_t end = LZ4F_compressEnd(e->lz4, to + head + n, room - head - n, NULL);
    return LZ4F_isError(end) ? 0 : head + n + end;
}

static size_t compress_bound(const struct ipc_encoder *e, size_t size)
{
    if (e->compression == IPC_ZSTD)
        return ZSTD_compressBound(size);
    LZ4F_preferences_t prefs = {.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent}, .autoFlush = 1};
    return LZ4F_compressBound(size, &prefs) + 64;
}

static int emit(struct ipc_encoder *e, const void *data, size_t size, struct error *err)
{
    if (size == 0)
        return close_buffer(e, 0, err);
    if (e->compression == IPC_NONE) {
        TRY(body_room(e, size, err));
        memcpy(e->body->data + e->used, data, size);
        return close_buffer(e, size, err);
    }
    size_t room = compress_bound(e, size);
    TRY(body_room(e, 8 + (room > size ? room : size), err));
    uint8_t *at = e->body->data + e->used;
    size_t n = compress(e, at + 8, room, data, size);
    if (n == 0 || n + 8 > size) {
        store_le64(at, UINT64_MAX);
        memcpy(at + 8, data, size);
        n = size;
    } else {
        store_le64(at, size);
    }
    return close_buffer(e, n + 8, err);
}

/* Where a buffer that must be made (not copied) goes: straight to the body, or to the scratch memory when it is compressed afterwards. */
static int make_begin(struct ipc_encoder *e, size_t size, uint8_t **ret_at, struct error *err)
{
    if (e->compression == IPC_NONE) {
        TRY(body_room(e, size, err));
        *ret_at = e->body->data + e->used;
        return ST_OK;
    }
    if (e->scratch->size < size)
        TRY(buffer_resize(e->scratch, size, err));
    *ret_at = e->scratch->data;
    return ST_OK;
}

static int make_end(struct ipc_encoder *e, size_t size, struct error *err)
{
    return e->compression == IPC_NONE ? close_buffer(e, size, err) : emit(e, e->scratch->data, size, err);
}

/* A bitmap of n bits from `offset` on; all ones when bits is NULL. */
static int emit_bits(struct ipc_encoder *e, const uint8_t *bits, int64_t offset, int64_t n, struct error *err)
{
    if (n == 0)
        return emit(e, NULL, 0, err);
    uint8_t *at;
    TRY(make_begin(e, bits_bytes(n), &at, err));
    at[bits_bytes(n) - 1] = 0;
    if (bits)
        bits_copy(at, 0, bits, offset, n);
    else
        bits_fill(at, 0, n, true);
    return make_end(e, bits_bytes(n), err);
}

/* Offsets rebased to 0, of 4 or 8 bytes. */
static int emit_offsets(struct ipc_encoder *e, const int32_t *o, int64_t n, bool large, struct error *err)
{
    if (n == 0)
        return emit(e, NULL, 0, err);
    if (!large && o[0] == 0)
        return emit(e, o, (size_t)(n + 1) * 4, err);
    size_t size = (size_t)(n + 1) * (large ? 8 : 4);
    uint8_t *at;
    TRY(make_begin(e, size, &at, err));
    if (large) {
        int64_t *to = (int64_t *)(void *)at;
        for (int64_t i = 0; i <= n; i++)
            to[i] = (int64_t)o[i] - o[0];
    } else {
        int32_t *to = (int32_t *)(void *)at;
        for (int64_t i = 0; i <= n; i++)
            to[i] = o[i] - o[0];
    }
    return make_end(e, size, err);
}

/* Views: short values inline, the others point into one data buffer, which is the slice's bytes as they lie. */
static int emit_views(struct ipc_encoder *e, const struct column *c, const int32_t *o, const uint8_t *bytes, struct error *err)
{
    bool any_long = false;
    if (c->length == 0) {
        TRY(add_variadic(e, 0, err));
        return emit(e, NULL, 0, err);
    }
    uint8_t *at;
    TRY(make_begin(e, (size_t)c->length * 16, &at, err));
    for (int64_t i = 0; i < c->length; i++, at += 16) {
        uint32_t size = (uint32_t)(o[i + 1] - o[i]);
        memset(at, 0, 16);
        if (column_is_null(c, i))
            continue;
        store_le32(at, size);
        if (size <= 12) {
            if (size)
                memcpy(at + 4, bytes + o[i], size);
            continue;
        }
        memcpy(at + 4, bytes + o[i], 4);
        store_le32(at + 12, (uint32_t)(o[i] - o[0]));
        any_long = true;
    }
    TRY(make_end(e, (size_t)c->length * 16, err));
    TRY(add_variadic(e, any_long, err));
    return any_long ? emit(e, bytes + o[0], (size_t)(o[c->length] - o[0]), err) : ST_OK;
}

static int encode_column(struct ipc_encoder *e, struct column *c, struct error *err);

static int encode_slice(struct ipc_encoder *e, struct column *child, int64_t start, int64_t length, struct error *err)
{
    struct column *slice;
    TRY(column_slice(child, start, length, &slice, err));
    int st = encode_column(e, slice, err);
    column_unref(slice);
    return st;
}

static int encode_varlen(struct ipc_encoder *e, struct column *c, struct error *err)
{
    static const int32_t none[1];
    const int32_t *o = c->length ? COLUMN_VALUES(c, int32_t) : none;
    const uint8_t *bytes = c->buffers[1] ? c->buffers[1]->data : NULL;
    if (c->type->id == TYPE_UTF8_VIEW || c->type->id == TYPE_BINARY_VIEW)
        return emit_views(e, c, o, bytes, err);
    TRY(emit_offsets(e, o, c->length, c->type->id == TYPE_LARGE_UTF8 || c->type->id == TYPE_LARGE_BINARY, err));
    size_t size = (size_t)(o[c->length] - o[0]);
    return emit(e, size ? bytes + o[0] : NULL, size, err);
}

static int encode_values(struct ipc_encoder *e, struct column *c, struct error *err)
{
    static const int32_t none[1];
    const int32_t *o;
    switch ((enum type_id)c->type->id) {
    case TYPE_BOOL:
        return emit_bits(e, c->length ? c->buffers[0]->data : NULL, c->offset, c->length, err);
    case TYPE_LIST: case TYPE_LARGE_LIST: case TYPE_MAP:
        o = c->length ? COLUMN_VALUES(c, int32_t) : none;
        TRY(emit_offsets(e, o, c->length, c->type->id == TYPE_LARGE_LIST, err));
        return encode_slice(e, c->children[0], o[0], o[c->length] - o[0], err);
    case TYPE_FIXED_LIST:
        return encode_slice(e, c->children[0], c->offset * c->type->width, c->length * c->type->width, err);
    case TYPE_STRUCT:
        for (uint32_t i = 0; i < c->n_children; i++)
            TRY(encode_slice(e, c->children[i], c->offset, c->length, err));
        return ST_OK;
    default:
        break;
    }
    if (type_is_varlen(c->type))
        return encode_varlen(e, c, err);
    size_t width = (size_t)type_width(c->type), size = width * (size_t)c->length;
    return emit(e, size ? c->buffers[0]->data + width * (size_t)c->offset : NULL, size, err);
}

static int encode_column(struct ipc_encoder *e, struct column *c, struct error *err)
{
    if (c->type->id == TYPE_NULL)
        return add_pair(&e->nodes, c->length, c->length, err);
    if (c->type->id == TYPE_DICTIONARY && !e->keep_dictionaries) {
        struct column *plain;
        TRY(column_decode_dictionary(e->budget, c, &plain, err));
        int st = encode_column(e, plain, err);
        column_unref(plain);
        return st;
    }
    int64_t nulls = column_null_count(c);
    TRY(add_pair(&e->nodes, c->length, nulls, err));
    TRY(emit_bits(e, nulls ? c->validity->data : NULL, c->offset, c->length, err));
    return encode_values(e, c, err);
}

/* The message in front of the body: a record batch, inside a dictionary batch when `dictionary` is not -1. */
static int build_header(struct ipc_encoder *e, int64_t rows, int64_t dictionary, struct dynbuf *out, struct error *err)
{
    struct fb_builder b;
    fb_builder_init(&b);
    uint32_t compression = 0, variadic = 0;
    uint32_t nodes = fb_build_structs(&b, e->nodes.p, 16, e->nodes.n), buffers = fb_build_structs(&b, e->buffers.p, 16, e->buffers.n);
    if (e->n_variadic)
        variadic = fb_build_structs(&b, e->variadic, 8, e->n_variadic);
    if (e->compression != IPC_NONE) {
        fb_table_start(&b);
        fb_put_u8(&b, 0, e->compression == IPC_ZSTD);
        compression = fb_table_end(&b);
    }
    fb_table_start(&b);
    fb_put_i64(&b, BATCH_LENGTH, rows);
    fb_put_ref(&b, BATCH_NODES, nodes);
    fb_put_ref(&b, BATCH_BUFFERS, buffers);
    fb_put_ref(&b, BATCH_COMPRESSION, compression);
    fb_put_ref(&b, BATCH_VARIADIC, variadic);
    uint32_t batch = fb_table_end(&b);
    if (dictionary >= 0) {
        fb_table_start(&b);
        fb_put_i64(&b, DICTIONARY_ID, dictionary);
        fb_put_ref(&b, DICTIONARY_DATA, batch);
        batch = fb_table_end(&b);
    }
    fb_table_start(&b);
    fb_put_i64(&b, MSG_BODY, (int64_t)e->used);
    fb_put_ref(&b, MSG_HEADER, batch);
    fb_put_i16(&b, MSG_VERSION, METADATA_V5);
    fb_put_u8(&b, MSG_TYPE, dictionary >= 0 ? HEADER_DICTIONARY : HEADER_BATCH);
    int st = fb_finish(&b, fb_table_end(&b), out, err);
    fb_builder_release(&b);
    return st;
}

static int encode(struct ipc_encoder *e, struct column *const *columns, uint32_t n, int64_t rows, int64_t dictionary, struct dynbuf *header,
                  struct buffer **ret_body, struct error *err)
{
    e->used = e->nodes.n = e->buffers.n = e->n_variadic = 0;
    e->keep_dictionaries = rows == 0;
    int st = buffer_new_uninit(e->budget, 4096, &e->body, err);
    for (uint32_t i = 0; st == ST_OK && i < n; i++)
        st = encode_column(e, columns[i], err);
    if (st == ST_OK)
        st = buffer_resize(e->body, e->used, err);
    if (st == ST_OK)
        st = build_header(e, rows, dictionary, header, err);
    if (st == ST_OK)
        *ret_body = e->body;
    else
        buffer_unref(e->body);
    e->body = NULL;
    return st;
}

int ipc_encode_batch(struct ipc_encoder *e, const struct batch *batch, struct dynbuf *header, struct buffer **ret_body, struct error *err)
{
    return encode(e, batch->columns, batch->schema->n_fields, batch->n_rows, -1, header, ret_body, err);
}

int ipc_encode_dictionary(struct ipc_encoder *e, int64_t id, struct column *values, struct dynbuf *header, struct buffer **ret_body,
                          struct error *err)
{
    return encode(e, &values, 1, values->length, id, header, ret_body, err);
}
