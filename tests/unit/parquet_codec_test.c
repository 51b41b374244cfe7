/* Thrift, the RLE hybrid and the delta encodings against plain reference values; writer to reader in memory with selections and page index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "format/parquet/internal.h"

static uint64_t state;

static uint64_t next_random(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 20;
}

static void test_thrift_round_trip(void **unused)
{
    struct pq_buf out;
    uint32_t size;
    pq_buf_init(&out, NULL);
    struct thrift_writer w = {.out = &out};
    thrift_begin(&w, 0);
    thrift_put_i32(&w, 1, -5);
    thrift_put_bool(&w, 2, true);
    thrift_put_i64(&w, 40, INT64_MIN);
    thrift_put_string(&w, 41, "text");
    thrift_put_list(&w, 42, THRIFT_I64, 20);
    for (int i = 0; i < 20; i++)
        thrift_put_element_i64(&w, i);
    thrift_end(&w);
    assert_int_equal(w.status, ST_OK);
    struct thrift_reader r = {.p = out.data, .end = out.data + out.size};
    struct thrift_field f = {0}, element;
    assert_true(thrift_next(&r, &f) && f.id == 1 && thrift_i32(&r, &f) == -5);
    assert_true(thrift_next(&r, &f) && f.id == 2 && thrift_bool(&r, &f));
    assert_true(thrift_next(&r, &f) && f.id == 40 && thrift_int(&r, &f) == INT64_MIN);
    assert_true(thrift_next(&r, &f) && f.id == 41 && memcmp(thrift_bytes(&r, &f, &size), "text", 4) == 0 && size == 4);
    assert_true(thrift_next(&r, &f) && thrift_list(&r, &f, &element) == 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(thrift_int(&r, &element), i);
    assert_false(thrift_next(&r, &f) || r.bad);
    /* Every cut-off message is found broken. */
    for (size_t n = 0; n < out.size; n++) {
        r = (struct thrift_reader){.p = out.data, .end = out.data + n};
        for (f.id = 0; thrift_next(&r, &f);)
            thrift_skip(&r, f.type);
        assert_true(r.bad);
    }
    pq_buf_release(&out);
    (void)unused;
}

static void test_rle_round_trip(void **unused)
{
    enum { N = 5000 };
    static uint32_t values[N], back[N];
    static uint8_t small[N], small_back[N];
    for (unsigned width = 1; width <= 32; width++) {
        uint32_t mask = width == 32 ? UINT32_MAX : (1u << width) - 1;
        for (int shape = 0; shape < 4; shape++) {
            struct pq_buf out;
            pq_buf_init(&out, NULL);
            size_t n = shape == 3 ? 13 : N;
            for (size_t i = 0; i < n; i++) {
                bool run = shape == 0 || (shape == 1 && i / 37 % 2) || (shape == 2 && next_random() % 9);
                values[i] = run && i ? values[i - 1] : (uint32_t)next_random() & mask;
                small[i] = (uint8_t)(values[i] & 7);
            }
            assert_int_equal(pq_rle_encode_u32(&out, values, n, width, NULL), ST_OK);
            assert_true(pq_rle_decode_u32(out.data, out.size, width, back, n));
            assert_memory_equal(values, back, n * sizeof *values);
            out.size = 0;
            assert_int_equal(pq_rle_encode_u8(&out, small, n, 3, NULL), ST_OK);
            assert_true(pq_rle_decode_u8(out.data, out.size, 3, small_back, n));
            assert_memory_equal(small, small_back, n);
            pq_buf_release(&out);
        }
    }
    (void)unused;
}

static void test_delta_round_trip(void **unused)
{
    enum { N = 1000 };
    static int64_t values[N], back[N];
    for (int shape = 0; shape < 6; shape++) {
        for (size_t n = 0; n <= N; n += n < 200 ? 1 : 400) {
            struct pq_buf out;
            pq_buf_init(&out, NULL);
            for (size_t i = 0; i < n; i++) {
                uint64_t v = next_random() << 20 ^ next_random();
                values[i] = shape == 0 ? 7 : shape == 1 ? (int64_t)i * 10 : shape == 2 ? (int64_t)v : shape == 3 ? (v & 1 ? INT64_MAX : INT64_MIN) :
                            shape == 4 ? (int32_t)v : (v & 1 ? INT32_MAX : INT32_MIN);
            }
            assert_int_equal(pq_delta_encode(&out, values, n, shape >= 4, NULL), ST_OK);
            assert_int_equal(pq_delta_decode(out.data, out.size, back, n), out.size);
            for (size_t i = 0; i < n; i++)
                assert_true(shape >= 4 ? (int32_t)values[i] == (int32_t)back[i] : values[i] == back[i]);
            pq_buf_release(&out);
        }
    }
    (void)unused;
}

struct file { uint8_t data[1 << 20]; size_t size; };

static int write_bytes(void *ctx, const void *data, size_t size, struct error *err)
{
    struct file *f = ctx;
    if (size > sizeof f->data - f->size)
        return error_set(err, ST_NO_SPACE, "full");
    memcpy(f->data + f->size, data, size);
    f->size += size;
    return ST_OK;
}

static int read_bytes(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    struct file *f = ctx;
    if (offset > f->size || size > f->size - offset)
        return error_set(err, ST_STORAGE, "past the end");
    memcpy(data, f->data + offset, size);
    return ST_OK;
}

static struct file file;

/* Two columns, 10,000 rows in groups of 4,096 and pages of 1,024: i64 with nulls, and a string that overflows its dictionary. */
static void write_sample(struct budget *budget)
{
    struct field *fields[] = {field_new("n", type_of(TYPE_INT64), true), field_new("s", type_of(TYPE_UTF8), false)};
    struct schema *schema = schema_new(fields, 2);
    struct parquet_column_options columns[] = {{.codec = PARQUET_ZSTD, .delta = true}, {.codec = PARQUET_SNAPPY, .dictionary = true}};
    struct parquet_writer_options o = {.schema = schema, .columns = columns, .dictionary_bytes_max = 20000, .page_bytes_max = 1 << 20,
                                       .page_rows_max = 1000, .row_group_rows = 4096, .write = write_bytes, .ctx = &file, .budget = budget};
    struct parquet_writer *w;
    struct parquet_write_result result;
    struct column_builder n, s;
    file.size = 0;
    assert_int_equal(parquet_writer_new(&o, &w, NULL), ST_OK);
    assert_int_equal(column_builder_init(&n, budget, type_of(TYPE_INT64), NULL), ST_OK);
    assert_int_equal(column_builder_init(&s, budget, type_of(TYPE_UTF8), NULL), ST_OK);
    for (int64_t i = 0; i < 10000; i++) {
        char text[32];
        assert_int_equal(i % 7 == 3 ? column_builder_append_null(&n, NULL) : column_builder_append_fixed(&n, &i, NULL), ST_OK);
        assert_int_equal(column_builder_append_bytes(&s, text, (size_t)snprintf(text, sizeof text, "s%ld", (long)i), NULL), ST_OK);
    }
    struct column *all[2];
    struct batch *batch;
    assert_int_equal(column_builder_finish(&n, &all[0], NULL), ST_OK);
    assert_int_equal(column_builder_finish(&s, &all[1], NULL), ST_OK);
    assert_int_equal(batch_new(schema, 10000, all, &batch, NULL), ST_OK);
    assert_int_equal(parquet_writer_append(w, batch, NULL), ST_OK);
    assert_int_equal(parquet_writer_finish(w, &result, NULL), ST_OK);
    assert_int_equal(result.n_row_groups, 3);
    assert_int_equal(result.file_bytes, file.size);
    parquet_writer_free(w);
    batch_unref(batch);
    column_builder_release(&n);
    column_builder_release(&s);
    schema_unref(schema);
    field_unref(fields[0]);
    field_unref(fields[1]);
}

static void check_selection(const struct parquet_file *f, const struct parquet_source *source, const struct parquet_selection *selection,
                            struct budget *budget)
{
    struct column *n, *s;
    int64_t k = 0;
    assert_int_equal(parquet_read_column(f, source, 1, 0, selection, NULL, 0, budget, &n, NULL), ST_OK);
    assert_int_equal(parquet_read_column(f, source, 1, 1, selection, NULL, PARQUET_AS_DICTIONARY, budget, &s, NULL), ST_OK);
    assert_int_equal(n->length, s->length);
    for (uint32_t r = 0; r < selection->n; r++) {
        for (int64_t i = selection->ranges[r].start + 4096; i < selection->ranges[r].end + 4096; i++, k++) {
            char text[32];
            int32_t size, want = snprintf(text, sizeof text, "s%ld", (long)i);
            const struct column *d = s->dictionary ? s->dictionary : s;
            const uint8_t *data = column_bytes(d, s->dictionary ? COLUMN_VALUES(s, uint32_t)[k] : k, &size);
            assert_int_equal(column_is_null(n, k), i % 7 == 3);
            if (i % 7 != 3)
                assert_int_equal(COLUMN_VALUES(n, int64_t)[k], i);
            assert_true(size == want && memcmp(data, text, (size_t)size) == 0);
        }
    }
    assert_int_equal(k, n->length);
    column_unref(n);
    column_unref(s);
}

static void test_write_and_read(void **unused)
{
    struct budget budget;
    struct parquet_file *f;
    budget_init(&budget, "test", "none", 64 << 20, NULL);
    write_sample(&budget);
    assert_int_equal(budget_used(&budget), 0);
    struct parquet_source source = {read_bytes, &file, file.size};
    assert_int_equal(parquet_open(&source, &budget, &f, NULL), ST_OK);
    assert_int_equal(parquet_n_rows(f), 10000);
    const struct parquet_row_range ranges[] = {{0, 4096}, {0, 1}, {5, 9}, {1023, 1025}, {2000, 2001}, {3500, 4096}};
    check_selection(f, &source, &(struct parquet_selection){ranges, 1}, &budget);
    check_selection(f, &source, &(struct parquet_selection){ranges + 1, 5}, &budget);
    check_selection(f, &source, &(struct parquet_selection){ranges + 4, 1}, &budget);
    check_selection(f, &source, &(struct parquet_selection){ranges, 0}, &budget);
    struct arena arena;
    struct parquet_page_index index;
    arena_init(&arena, &budget);
    assert_int_equal(parquet_read_page_index(f, &source, 1, 0, &arena, &index, NULL), ST_OK);
    assert_true(index.n_pages == 4 && index.has_bounds && index.pages[1].first_row == 1024);
    assert_true(index.bounds[0].has_min && load_le64(index.bounds[0].min) == 4096);
    arena_release(&arena);
    parquet_file_free(f);
    assert_int_equal(budget_used(&budget), 0);
    (void)unused;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_thrift_round_trip), cmocka_unit_test(test_rle_round_trip),
                                       cmocka_unit_test(test_delta_round_trip), cmocka_unit_test(test_write_and_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
