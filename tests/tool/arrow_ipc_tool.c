/* Writes a sample batch as "u32 size, bytes" three times (Schema message, RecordBatch message, body) for tests/py/test_ipc.py.
 * arrow_ipc_tool encode none|lz4|zstd <rows> <start>: rows [start, rows) of the sample, so that slices are covered.
 * arrow_ipc_tool schema: reads a Schema message from stdin, decodes it and writes it encoded again; exit 1 and a message when it is refused.
 * arrow_ipc_tool file none|lz4|zstd: reads an IPC stream from stdin and writes its batches as an IPC file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/ipc_stream.h"

#define N_COLUMNS 9

static void check(int st, const struct error *err)
{
    if (st == ST_OK)
        return;
    fprintf(stderr, "%s: %s\n", status_name((enum status)st), err->msg);
    exit(1);
}

static void put(const void *data, size_t size)
{
    uint32_t n = (uint32_t)size;
    fwrite(&n, 4, 1, stdout);
    fwrite(data, 1, size, stdout);
}

static void append(struct column_builder *b, int64_t i, struct error *err)
{
    char text[64];
    int n = snprintf(text, sizeof text, i % 3 ? "v%lld" : "a longer value, number %lld", (long long)i);
    if (i % 5 == 4 && b->type->id != TYPE_NULL) {
        check(column_builder_append_null(b, err), err);
    } else if (b->type->id == TYPE_BOOL) {
        check(column_builder_append_bool(b, i % 2 == 0, err), err);
    } else if (type_is_varlen(b->type)) {
        check(column_builder_append_bytes(b, text, (size_t)n, err), err);
    } else if (b->type->id == TYPE_NULL) {
        check(column_builder_append_null(b, err), err);
    } else if (b->type->id == TYPE_LIST || b->type->id == TYPE_LARGE_LIST) {
        for (int64_t k = 0; k < i % 4; k++)
            check(column_builder_append_fixed(&b->children[0], &i, err), err);
        check(column_builder_append_nested(b, err), err);
    } else {
        check(column_builder_append_fixed(b, &i, err), err);
    }
}

static int encode(enum ipc_compression how, int64_t rows, int64_t start)
{
    struct error err = {0};
    struct field *item = field_new("item", type_of(TYPE_INT64), true);
    struct dtype *list = type_list(TYPE_LIST, item), *large = type_list(TYPE_LARGE_LIST, item);
    struct dtype *types[N_COLUMNS] = {type_of(TYPE_INT64), type_of(TYPE_BOOL), type_of(TYPE_UTF8), type_of(TYPE_LARGE_UTF8), type_of(TYPE_UTF8_VIEW),
                                      type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), list, large, type_of(TYPE_NULL)};
    struct kv meta = {"greptime:version", "0"};
    struct field *fields[N_COLUMNS];
    struct column *columns[N_COLUMNS];
    for (int c = 0; c < N_COLUMNS; c++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", c);
        fields[c] = field_new(name, types[c], true);
        struct column_builder b;
        check(column_builder_init(&b, NULL, types[c], &err), &err);
        for (int64_t i = 0; i < rows; i++)
            append(&b, i, &err);
        check(column_builder_finish(&b, &columns[c], &err), &err);
        column_builder_release(&b);
    }
    struct schema *bare = schema_new(fields, N_COLUMNS), *schema = schema_with_meta(bare, &meta, 1);
    struct batch *whole, *batch;
    check(batch_new(schema, rows, columns, &whole, &err), &err);
    check(batch_slice(whole, start, rows - start, &batch, &err), &err);
    struct ipc_encoder *e;
    struct dynbuf out;
    struct buffer *body;
    dynbuf_init(&out, 1 << 20);
    check(ipc_encode_schema(schema, &out, &err), &err);
    put(out.data, out.size);
    dynbuf_clear(&out);
    check(ipc_encoder_new(NULL, how, &e, &err), &err);
    check(ipc_encode_batch(e, batch, &out, &body, &err), &err);
    put(out.data, out.size);
    put(body->data, body->size);
    buffer_unref(body);
    ipc_encoder_free(e);
    dynbuf_release(&out);
    batch_unref(batch);
    batch_unref(whole);
    schema_unref(schema);
    schema_unref(bare);
    for (int c = 0; c < N_COLUMNS; c++)
        field_unref(fields[c]);
    type_unref(list);
    type_unref(large);
    field_unref(item);
    return 0;
}

static int reencode_schema(void)
{
    static uint8_t in[1 << 20];
    struct error err = {0};
    struct schema *schema;
    struct dynbuf out;
    size_t n = fread(in, 1, sizeof in, stdin);
    check(ipc_decode_schema(in, n, &schema, &err), &err);
    dynbuf_init(&out, 1 << 20);
    check(ipc_encode_schema(schema, &out, &err), &err);
    fwrite(out.data, 1, out.size, stdout);
    dynbuf_release(&out);
    schema_unref(schema);
    return 0;
}

static int write_out(void *context, const void *data, size_t size, struct error *err)
{
    return fwrite(data, 1, size, context) == size ? ST_OK : error_set(err, ST_STORAGE, "cannot write");
}

static enum ipc_compression compression_named(const char *name)
{
    return strcmp(name, "lz4") == 0 ? IPC_LZ4 : strcmp(name, "zstd") == 0 ? IPC_ZSTD : IPC_NONE;
}

static int stream_to_file(enum ipc_compression how)
{
    struct error err = {0};
    struct dynbuf in;
    struct buffer *bytes;
    struct batch_stream *stream;
    struct ipc_file_writer *w;
    struct batch *batch;
    struct ipc_sink sink = {write_out, stdout};
    size_t n;
    dynbuf_init(&in, 1 << 30);
    do {
        check(dynbuf_reserve(&in, 1 << 16, &err), &err);
        n = fread(in.data + in.size, 1, 1 << 16, stdin);
        in.size += n;
    } while (n);
    check(buffer_new_uninit(NULL, in.size, &bytes, &err), &err);
    memcpy(bytes->data, in.data, in.size);
    check(ipc_stream_open(bytes, NULL, &stream, &err), &err);
    buffer_unref(bytes);
    check(ipc_file_writer_open(&sink, stream->schema, NULL, how, &w, &err), &err);
    for (;;) {
        check(batch_stream_next(stream, &batch, &err), &err);
        if (!batch)
            break;
        check(ipc_file_writer_put(w, batch, &err), &err);
        batch_unref(batch);
    }
    check(ipc_file_writer_finish(w, &err), &err);
    ipc_file_writer_free(w);
    batch_stream_free(stream);
    dynbuf_release(&in);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "file") == 0)
        return stream_to_file(compression_named(argv[2]));
    if (argc == 2 && strcmp(argv[1], "schema") == 0)
        return reencode_schema();
    if (argc != 5)
        return 2;
    return encode(compression_named(argv[2]), atoll(argv[3]), atoll(argv[4]));
}
