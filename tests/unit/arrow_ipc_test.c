/* Arrow IPC: the peer's own bytes (region-rpc.md 13), round trips of every layout, and hostile messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arrow/ipc_stream.h"

static const uint8_t peer_schema[] = {
    0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0A, 0x00, 0x0E, 0x00, 0x0C, 0x00, 0x0B, 0x00, 0x04, 0x00, 0x0A, 0x00, 0x00, 0x00, 0x14, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x04, 0x00, 0x0A, 0x00, 0x0C, 0x00, 0x00, 0x00, 0x08, 0x00, 0x04, 0x00, 0x0A, 0x00, 0x00, 0x00,
    0x08, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x0C, 0x00, 0x00, 0x00, 0x08, 0x00, 0x0C, 0x00, 0x08, 0x00,
    0x04, 0x00, 0x08, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x0C, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0x00,
    0x10, 0x00, 0x00, 0x00, 0x67, 0x72, 0x65, 0x70, 0x74, 0x69, 0x6D, 0x65, 0x3A, 0x76, 0x65, 0x72, 0x73, 0x69, 0x6F, 0x6E, 0x00, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x10, 0x00, 0x14, 0x00, 0x10, 0x00, 0x0E, 0x00, 0x0F, 0x00, 0x04, 0x00,
    0x00, 0x00, 0x08, 0x00, 0x10, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00, 0x0C, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x06, 0x10, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x04, 0x00, 0x04, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x78, 0x00, 0x00, 0x00};

static const uint8_t peer_batch[] = {
    0x10, 0x00, 0x00, 0x00, 0x0C, 0x00, 0x14, 0x00, 0x12, 0x00, 0x11, 0x00, 0x04, 0x00, 0x08, 0x00, 0x0C, 0x00, 0x00, 0x00, 0x1C, 0x00, 0x00, 0x00,
    0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x04, 0x00, 0x0C, 0x00, 0x1C, 0x00, 0x10, 0x00, 0x0C, 0x00, 0x08, 0x00, 0x04, 0x00,
    0x0C, 0x00, 0x00, 0x00, 0x58, 0x00, 0x00, 0x00, 0x2C, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x04, 0x00, 0x04, 0x00, 0x00, 0x00};

static void good(int st, const struct error *err)
{
    if (st != ST_OK)
        fail_msg("%s: %s", status_name((enum status)st), err->msg);
}

static struct buffer *peer_body(void)
{
    struct buffer *body;
    good(buffer_new(NULL, 128, &body, NULL), NULL);
    memset(body->data, 0xFF, 9);
    memset(body->data + 64, 0xFF, 8);
    return body;
}

static void test_peer_bytes(void **state)
{
    (void)state;
    struct error err = {0};
    struct schema *schema;
    struct batch *batch = NULL;
    struct buffer *body = peer_body();
    good(ipc_decode_schema(peer_schema, sizeof peer_schema, &schema, &err), &err);
    assert_int_equal(schema->n_fields, 1);
    assert_string_equal(schema->fields[0]->name, "x");
    assert_int_equal(schema->fields[0]->type->id, TYPE_BOOL);
    assert_string_equal(schema->meta[0].key, "greptime:version");
    good(ipc_decode_batch(schema, NULL, peer_batch, sizeof peer_batch, body, NULL, &batch, &err), &err);
    assert_int_equal(batch->n_rows, 1);
    assert_false(column_is_null(batch->columns[0], 0));
    assert_false(column_bool(batch->columns[0], 0));
    batch_unref(batch);
    /* A body that is too short, each truncation of the message and each changed byte of it: refused or decoded, never out of bounds. */
    body->size = 64;
    assert_int_not_equal(ipc_decode_batch(schema, NULL, peer_batch, sizeof peer_batch, body, NULL, &batch, &err), ST_OK);
    body->size = 128;
    for (size_t i = 0; i < sizeof peer_batch; i++) {
        uint8_t *copy = malloc(sizeof peer_batch);
        assert_non_null(copy);
        memcpy(copy, peer_batch, sizeof peer_batch);
        copy[i] ^= 0x81;
        if (ipc_decode_batch(schema, NULL, copy, sizeof peer_batch, body, NULL, &batch, &err) == ST_OK)
            batch_unref(batch);
        copy = realloc(copy, i + 1);
        assert_non_null(copy);
        if (ipc_decode_batch(schema, NULL, copy, i + 1, body, NULL, &batch, &err) == ST_OK)
            batch_unref(batch);
        free(copy);
    }
    schema_unref(schema);
    buffer_unref(body);
}

/* A claim of 2^40 bytes behind a few compressed ones is refused before memory is taken; so is one over the budget. */
static void test_compression_claims(void **state)
{
    (void)state;
    struct error err = {0};
    struct budget budget;
    struct schema *schema;
    struct batch *batch = NULL;
    struct buffer *body = peer_body();
    budget_init(&budget, "test", "none", 1 << 20, NULL);
    good(ipc_decode_schema(peer_schema, sizeof peer_schema, &schema, &err), &err);
    store_le64(body->data + 64, (uint64_t)1 << 40);
    assert_int_equal(ipc_decode_batch(schema, NULL, peer_batch, sizeof peer_batch, body, &budget, &batch, &err), ST_CORRUPT);
    store_le64(body->data + 64, (uint64_t)-2);
    assert_int_equal(ipc_decode_batch(schema, NULL, peer_batch, sizeof peer_batch, body, &budget, &batch, &err), ST_CORRUPT);
    store_le64(body->data + 64, 1);
    assert_int_equal(ipc_decode_batch(schema, NULL, peer_batch, sizeof peer_batch, body, &budget, &batch, &err), ST_CORRUPT);
    assert_int_equal(atomic_load(&budget.used), 0);
    schema_unref(schema);
    buffer_unref(body);
}

/* ---- round trips ---- */

static void append(struct column_builder *b, int64_t i)
{
    struct error err = {0};
    const struct dtype *t = b->type;
    char text[64];
    uint8_t fixed[64];
    int n = snprintf(text, sizeof text, i % 3 ? "v%lld" : "a value longer than a view, %lld", (long long)i);
    memset(fixed, (int)i, sizeof fixed);
    if (t->id == TYPE_NULL || i % 5 == 4) {
        good(column_builder_append_null(b, &err), &err);
    } else if (t->id == TYPE_BOOL) {
        good(column_builder_append_bool(b, i % 2, &err), &err);
    } else if (type_is_varlen(t)) {
        good(column_builder_append_bytes(b, text, (size_t)n, &err), &err);
    } else if (type_is_nested(t)) {
        int64_t items = t->id == TYPE_STRUCT ? 1 : t->id == TYPE_FIXED_LIST ? t->width : i % 4;
        for (uint32_t c = 0; c < b->n_children; c++)
            for (int64_t k = 0; k < items; k++)
                append(&b->children[c], t->id == TYPE_MAP ? (i + k) * 5 : i + k);
        good(column_builder_append_nested(b, &err), &err);
    } else {
        good(column_builder_append_fixed(b, fixed, &err), &err);
    }
}

/* Encodes, decodes, encodes again: the bytes must be the same, and the decoded batch must have the rows. */
static void check_batch(struct batch *batch, enum ipc_compression how)
{
    struct error err = {0};
    struct dynbuf first, second, head;
    struct buffer *body, *again;
    struct schema *plain, *read;
    struct batch *back;
    struct ipc_encoder *e;
    dynbuf_init(&first, 1 << 24);
    dynbuf_init(&second, 1 << 24);
    dynbuf_init(&head, 1 << 24);
    good(ipc_encoder_new(NULL, how, &e, &err), &err);
    if (batch->n_rows)
        good(ipc_plain_schema(batch->schema, &plain, &err), &err);
    else
        plain = schema_ref(batch->schema);
    good(ipc_encode_schema(plain, &head, &err), &err);
    good(ipc_decode_schema(head.data, head.size, &read, &err), &err);
    good(ipc_encode_batch(e, batch, &first, &body, &err), &err);
    good(ipc_decode_batch(read, NULL, first.data, first.size, body, NULL, &back, &err), &err);
    assert_int_equal(back->n_rows, batch->n_rows);
    good(ipc_encode_batch(e, back, &second, &again, &err), &err);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    assert_int_equal(body->size, again->size);
    if (body->size)
        assert_memory_equal(body->data, again->data, body->size);
    buffer_unref(body);
    buffer_unref(again);
    batch_unref(back);
    schema_unref(plain);
    schema_unref(read);
    ipc_encoder_free(e);
    dynbuf_release(&first);
    dynbuf_release(&second);
    dynbuf_release(&head);
}

static void check_column(struct dtype *type, struct column *column)
{
    struct error err = {0};
    struct field *field = field_new("c", type, true);
    struct schema *schema = schema_new(&field, 1);
    struct batch *batch, *slice;
    good(batch_new(schema, column->length, &column, &batch, &err), &err);
    for (enum ipc_compression how = IPC_NONE; how <= IPC_ZSTD; how++) {
        check_batch(batch, how);
        good(batch_slice(batch, batch->n_rows / 3, batch->n_rows / 2, &slice, &err), &err);
        check_batch(slice, how);
        batch_unref(slice);
    }
    batch_unref(batch);
    schema_unref(schema);
    field_unref(field);
}

static void check_type(struct dtype *type)
{
    static const int64_t rows[] = {0, 1, 9, 500};
    struct error err = {0};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct column_builder b;
        struct column *column;
        good(column_builder_init(&b, NULL, type, &err), &err);
        for (int64_t i = 0; i < rows[r]; i++)
            append(&b, i);
        good(column_builder_finish(&b, &column, &err), &err);
        column_builder_release(&b);
        check_column(type, column);
    }
    type_unref(type);
}

static void test_round_trips(void **state)
{
    (void)state;
    for (enum type_id id = TYPE_NULL; id <= TYPE_INTERVAL_MONTH_DAY_NANO; id++)
        if (id != TYPE_FIXED_BINARY && id != TYPE_TIME64)
            check_type(type_of(id));
    check_type(type_temporal(TYPE_TIME64, UNIT_NANO));
    check_type(type_fixed_binary(7));
    check_type(type_decimal(TYPE_DECIMAL128, 38, 3));
    check_type(type_decimal(TYPE_DECIMAL256, 76, -3));
    check_type(type_timestamp_zoned(UNIT_NANO, "+01:00"));
    struct field *item = field_new("item", type_of(TYPE_UTF8), true), *view = field_new("v", type_of(TYPE_UTF8_VIEW), true);
    struct field *pair[2] = {field_new("key", type_of(TYPE_UTF8), false), field_new("value", type_of(TYPE_INT64), true)};
    struct dtype *entries_type = type_struct(pair, 2);
    struct field *entries = field_new("entries", entries_type, false);
    struct field *members[2] = {item, view};
    check_type(type_list(TYPE_LIST, item));
    check_type(type_list(TYPE_LARGE_LIST, view));
    check_type(type_fixed_list(item, 3));
    check_type(type_struct(members, 2));
    check_type(type_list(TYPE_MAP, entries));
    type_unref(entries_type);
    field_unref(entries);
    field_unref(pair[0]);
    field_unref(pair[1]);
    field_unref(item);
    field_unref(view);
}

static void test_dictionary(void **state)
{
    (void)state;
    struct error err = {0};
    for (int64_t rows = 0; rows <= 100; rows += 50) {
        struct dtype *type = type_dictionary(TYPE_UINT32, type_of(TYPE_UTF8));
        struct column_builder b;
        struct column *values, *column;
        struct buffer *keys;
        good(column_builder_init(&b, NULL, type_of(TYPE_UTF8), &err), &err);
        for (int64_t i = 0; i < 4; i++)
            append(&b, i);
        good(column_builder_finish(&b, &values, &err), &err);
        column_builder_release(&b);
        good(buffer_new(NULL, (size_t)rows * 4, &keys, &err), &err);
        for (int64_t i = 0; i < rows; i++)
            store_le32(keys->data + 4 * i, (uint32_t)(i % 4));
        good(column_new_nested(type, rows, 0, NULL, keys, &values, 1, &column, &err), &err);
        check_column(type, column);
        type_unref(type);
    }
}

/* Falling offsets and bytes that are not UTF-8 in a column of three strings. */
/* Range vectors travel as the peer writes them: a dictionary with int64 keys that hold offset and length, its values in front of the batch. */
static void test_ranges(void **state)
{
    (void)state;
    struct error err = {0};
    static const double values[] = {1, 2, 3, 4};
    static const struct range windows[] = {{0, 2}, {1, 3}, {0, 0}};
    struct dtype *type = type_range(type_of(TYPE_FLOAT64));
    struct field *f = field_new("v", type, true);
    struct schema *schema = schema_new(&f, 1), *decoded, *plain;
    struct buffer *b0, *b1, *body;
    struct column *child, *column;
    struct batch *batch;
    struct ipc_encoder *e;
    struct dynbuf header;
    char text[64];
    dynbuf_init(&header, 1 << 20);
    good(ipc_encode_schema(schema, &header, &err), &err);
    good(ipc_decode_schema(header.data, header.size, &decoded, &err), &err);
    assert_string_equal(type_print(decoded->fields[0]->type, text, sizeof text), "Dictionary(Int64, Float64)");
    good(ipc_plain_schema(schema, &plain, &err), &err);
    assert_int_equal(plain->fields[0]->type->id, TYPE_RANGE);
    good(buffer_new(NULL, sizeof values, &b0, &err), &err);
    memcpy(b0->data, values, sizeof values);
    good(buffer_new(NULL, sizeof windows, &b1, &err), &err);
    memcpy(b1->data, windows, sizeof windows);
    good(column_new(type_of(TYPE_FLOAT64), 4, 0, NULL, b0, NULL, &child, &err), &err);
    good(column_new_nested(type, 3, 0, NULL, b1, &child, 1, &column, &err), &err);
    good(batch_new(schema, 3, &column, &batch, &err), &err);
    good(ipc_encoder_new(NULL, IPC_NONE, &e, &err), &err);

    enum ipc_message kind;
    dynbuf_clear(&header);
    good(ipc_encode_dictionary(e, 0, child, &header, &body, &err), &err);
    good(ipc_message_kind(header.data, header.size, &kind, &err), &err);
    assert_int_equal(kind, IPC_MESSAGE_DICTIONARY);
    assert_memory_equal(body->data + 64, values, sizeof values); /* behind the bitmap */
    buffer_unref(body);
    dynbuf_clear(&header);
    good(ipc_encode_batch(e, batch, &header, &body, &err), &err);
    good(ipc_message_kind(header.data, header.size, &kind, &err), &err);
    assert_int_equal(kind, IPC_MESSAGE_BATCH);
    static const int64_t keys[] = {0 | 2ll << 32, 1 | 3ll << 32, 0};
    assert_memory_equal(body->data + 64, keys, sizeof keys);
    buffer_unref(body);

    ipc_encoder_free(e);
    batch_unref(batch);
    dynbuf_release(&header);
    schema_unref(schema);
    schema_unref(decoded);
    schema_unref(plain);
    field_unref(f);
    type_unref(type);
}

static void test_bad_strings(void **state)
{
    (void)state;
    struct error err = {0};
    struct field *field = field_new("c", type_of(TYPE_UTF8), true);
    struct schema *schema = schema_new(&field, 1);
    struct column_builder b;
    struct column *column;
    struct batch *batch, *back;
    struct buffer *body;
    struct dynbuf head;
    struct ipc_encoder *e;
    dynbuf_init(&head, 1 << 20);
    good(column_builder_init(&b, NULL, type_of(TYPE_UTF8), &err), &err);
    for (int i = 0; i < 3; i++)
        good(column_builder_append_bytes(&b, "ab", 2, &err), &err);
    good(column_builder_finish(&b, &column, &err), &err);
    column_builder_release(&b);
    good(batch_new(schema, 3, &column, &batch, &err), &err);
    good(ipc_encoder_new(NULL, IPC_NONE, &e, &err), &err);
    good(ipc_encode_batch(e, batch, &head, &body, &err), &err);
    assert_int_equal(body->size, 192); /* validity, offsets, bytes */
    static const struct { size_t at; uint8_t value; } changes[] = {{68, 9}, {67, 0x80}, {76, 7}, {129, 0xFF}, {129, 0xC3}, {128, 0xA9}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        uint8_t was = body->data[changes[i].at];
        body->data[changes[i].at] = changes[i].value;
        assert_int_equal(ipc_decode_batch(schema, NULL, head.data, head.size, body, NULL, &back, &err), ST_CORRUPT);
        body->data[changes[i].at] = was;
    }
    good(ipc_decode_batch(schema, NULL, head.data, head.size, body, NULL, &back, &err), &err);
    batch_unref(back);
    buffer_unref(body);
    ipc_encoder_free(e);
    dynbuf_release(&head);
    batch_unref(batch);
    schema_unref(schema);
    field_unref(field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_bytes), cmocka_unit_test(test_compression_claims), cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_dictionary), cmocka_unit_test(test_ranges), cmocka_unit_test(test_bad_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
