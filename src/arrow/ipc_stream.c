/* Streams and files of IPC messages. Framing of the Arrow columnar format 1.5: continuation word, metadata length, metadata, body; a length of 0
 * ends the stream. A file is "ARROW1", two zero bytes, a stream, the Footer table (File.fbs), its length and "ARROW1" again.
 * Invariant of the writer: metadata is padded so that every body starts at a multiple of 64 in the file. */
#include "arrow/ipc_stream.h"

#include <stdlib.h>
#include <string.h>

#include "arrow/ipc_internal.h"
#include "base/bits.h"

#define CONTINUATION 0xFFFFFFFFu
#define MAX_METADATA ((size_t)256 << 20)

struct stream {
    struct batch_stream base;
    struct buffer *bytes;
    size_t at;
    struct budget *budget;
    struct ipc_dictionaries *dictionaries;
};

struct message {
    const uint8_t *data; /* NULL at the end of the stream */
    size_t size;
    struct buffer *body;
};

static void drop_owner(void *owner)
{
    buffer_unref(owner);
}

/* `bytes` more of the stream; NULL when it is cut off. */
static const uint8_t *take(struct stream *s, size_t bytes)
{
    if (bytes > s->bytes->size - s->at)
        return NULL;
    s->at += bytes;
    return s->bytes->data + s->at - bytes;
}

static int next_message(struct stream *s, struct message *ret_message, struct error *err)
{
    struct message m = {0};
    int64_t body_length;
    const uint8_t *word = s->at < s->bytes->size ? take(s, 4) : NULL;
    bool ended = s->at == s->bytes->size && !word;
    if (word && load_le32(word) == CONTINUATION)
        word = take(s, 4); /* streams from before Arrow 0.15 start with the length itself */
    if (ended || (word && load_le32(word) == 0)) {
        *ret_message = m;
        return ST_OK;
    }
    m.size = word ? load_le32(word) : 0;
    m.data = word ? take(s, m.size) : NULL;
    if (!m.data)
        return error_set(err, ST_CORRUPT, "Arrow stream is cut off");
    TRY(ipc_body_length(m.data, m.size, &body_length, err));
    const uint8_t *body = take(s, (size_t)body_length);
    if (!body)
        return error_set(err, ST_CORRUPT, "Arrow stream is cut off in a body of %lld bytes", (long long)body_length);
    int st = buffer_wrap(body, (size_t)body_length, drop_owner, buffer_ref(s->bytes), &m.body, err);
    if (st != ST_OK) {
        buffer_unref(s->bytes);
        return st;
    }
    *ret_message = m;
    return ST_OK;
}

static int stream_next(struct batch_stream *base, struct batch **ret_batch, struct error *err)
{
    struct stream *s = (struct stream *)base;
    struct batch *batch = NULL;
    for (int st = ST_OK; st == ST_OK && !batch;) {
        struct message m;
        enum ipc_message kind;
        TRY(next_message(s, &m, err));
        if (!m.data) {
            s->at = s->bytes->size;
            break;
        }
        st = ipc_message_kind(m.data, m.size, &kind, err);
        if (st == ST_OK && kind == IPC_MESSAGE_DICTIONARY)
            st = ipc_decode_dictionary(s->dictionaries, m.data, m.size, m.body, s->budget, err);
        else if (st == ST_OK && kind == IPC_MESSAGE_BATCH)
            st = ipc_decode_batch(base->schema, s->dictionaries, m.data, m.size, m.body, s->budget, &batch, err);
        else if (st == ST_OK)
            st = error_set(err, ST_CORRUPT, "Arrow stream with a second schema");
        buffer_unref(m.body);
        TRY(st);
    }
    *ret_batch = batch;
    return ST_OK;
}

static void stream_free(struct batch_stream *base)
{
    struct stream *s = (struct stream *)base;
    ipc_dictionaries_free(s->dictionaries);
    schema_unref(base->schema);
    buffer_unref(s->bytes);
    free(s);
}

int ipc_stream_open(struct buffer *bytes, struct budget *budget, struct batch_stream **ret_stream, struct error *err)
{
    static const struct batch_stream_ops ops = {stream_next, stream_free};
    struct message m = {0};
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    *s = (struct stream){.base = {.ops = &ops}, .bytes = buffer_ref(bytes), .budget = budget};
    int st = next_message(s, &m, err);
    if (st == ST_OK && !m.data)
        st = error_set(err, ST_CORRUPT, "Arrow stream without a schema");
    if (st == ST_OK)
        st = ipc_dictionaries_new(m.data, m.size, &s->base.schema, &s->dictionaries, err);
    buffer_unref(m.body);
    if (st != ST_OK) {
        stream_free(&s->base);
        return st;
    }
    *ret_stream = &s->base;
    return ST_OK;
}

/* ---- files ---- */

struct block { /* as it lies in the footer */
    int64_t offset;
    int32_t metadata, zero;
    int64_t body;
};

struct ipc_file_writer {
    struct ipc_sink sink;
    struct schema *plain;
    struct ipc_encoder *encoder;
    struct dynbuf header;
    uint64_t written;
    struct block *blocks;
    uint32_t n_blocks, room;
};

static int put(struct ipc_file_writer *w, const void *data, size_t size, struct error *err)
{
    if (size == 0)
        return ST_OK;
    TRY(w->sink.write(w->sink.context, data, size, err));
    w->written += size;
    return ST_OK;
}

/* The message in `header`, framed and padded; *ret_size counts its frame. */
static int put_header(struct ipc_file_writer *w, size_t *ret_size, struct error *err)
{
    uint8_t frame[8];
    size_t pad = (size_t)(0 - (w->written + sizeof frame + w->header.size)) & (BUFFER_ALIGN - 1);
    TRY(dynbuf_append_zeros(&w->header, pad, err));
    store_le32(frame, CONTINUATION);
    store_le32(frame + 4, (uint32_t)w->header.size);
    TRY(put(w, frame, sizeof frame, err));
    TRY(put(w, w->header.data, w->header.size, err));
    *ret_size = sizeof frame + w->header.size;
    dynbuf_clear(&w->header);
    return ST_OK;
}

int ipc_file_writer_open(const struct ipc_sink *sink, struct schema *schema, struct budget *budget, enum ipc_compression compression,
                         struct ipc_file_writer **ret_writer, struct error *err)
{
    size_t size;
    struct ipc_file_writer *w = calloc(1, sizeof *w);
    if (!w)
        return error_no_memory(err, sizeof *w);
    w->sink = *sink;
    dynbuf_init(&w->header, MAX_METADATA);
    int st = ipc_plain_schema(schema, &w->plain, err);
    if (st == ST_OK)
        st = ipc_encoder_new(budget, compression, &w->encoder, err);
    if (st == ST_OK)
        st = ipc_encode_schema(w->plain, &w->header, err);
    if (st == ST_OK)
        st = put(w, "ARROW1\0", 8, err);
    if (st == ST_OK)
        st = put_header(w, &size, err);
    if (st != ST_OK) {
        ipc_file_writer_free(w);
        return st;
    }
    *ret_writer = w;
    return ST_OK;
}

int ipc_file_writer_put(struct ipc_file_writer *w, const struct batch *batch, struct error *err)
{
    struct buffer *body;
    size_t size = 0;
    if (batch->n_rows == 0)
        return ST_OK;
    if (w->n_blocks == w->room) {
        uint32_t room = w->room ? w->room * 2 : 16;
        struct block *blocks = realloc(w->blocks, room * sizeof *blocks);
        if (!blocks)
            return error_no_memory(err, room * sizeof *blocks);
        w->blocks = blocks;
        w->room = room;
    }
    dynbuf_clear(&w->header);
    TRY(ipc_encode_batch(w->encoder, batch, &w->header, &body, err));
    struct block block = {.offset = (int64_t)w->written, .body = (int64_t)body->size};
    int st = put_header(w, &size, err);
    if (st == ST_OK)
        st = put(w, body->data, body->size, err);
    buffer_unref(body);
    TRY(st);
    block.metadata = (int32_t)size;
    w->blocks[w->n_blocks++] = block;
    return ST_OK;
}

int ipc_file_writer_finish(struct ipc_file_writer *w, struct error *err)
{
    enum { FOOTER_VERSION, FOOTER_SCHEMA, FOOTER_DICTIONARIES, FOOTER_BATCHES };
    uint8_t end[8], length[4];
    struct fb_builder b;
    dynbuf_clear(&w->header);
    fb_builder_init(&b);
    uint32_t schema = ipc_build_schema(&b, w->plain), batches = fb_build_structs(&b, w->blocks, sizeof *w->blocks, w->n_blocks);
    uint32_t dictionaries = fb_build_structs(&b, NULL, sizeof *w->blocks, 0);
    fb_table_start(&b);
    fb_put_ref(&b, FOOTER_SCHEMA, schema);
    fb_put_ref(&b, FOOTER_DICTIONARIES, dictionaries);
    fb_put_ref(&b, FOOTER_BATCHES, batches);
    fb_put_i16(&b, FOOTER_VERSION, METADATA_V5);
    int st = fb_finish(&b, fb_table_end(&b), &w->header, err);
    fb_builder_release(&b);
    TRY(st);
    store_le64(end, CONTINUATION);
    TRY(put(w, end, sizeof end, err));
    store_le32(length, (uint32_t)w->header.size);
    TRY(put(w, w->header.data, w->header.size, err));
    TRY(put(w, length, sizeof length, err));
    return put(w, "ARROW1", 6, err);
}

void ipc_file_writer_free(struct ipc_file_writer *w)
{
    if (!w)
        return;
    ipc_encoder_free(w->encoder);
    schema_unref(w->plain);
    dynbuf_release(&w->header);
    free(w->blocks);
    free(w);
}
