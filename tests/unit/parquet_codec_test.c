/* Thrift, the RLE hybrid and the delta encodings against plain reference values; writer to reader in memory with selections and page index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "format/parquet/writer.h"

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
            assert_true(pq_rle_decode_u32(out.data, out.size, width, 0, back, n));
            assert_memory_equal(values, back, n * sizeof *values);
            for (int k = 0; k < 20; k++) {
                size_t skip = next_random() % n, some = next_random() % (n - skip) + 1;
                assert_true(pq_rle_decode_u32(out.data, out.size, width, skip, back, some));
                assert_memory_equal(values + skip, back, some * sizeof *values);
                if (width <= 8) {
                    assert_true(pq_rle_decode_u8(out.data, out.size, width, skip, small_back, some));
                    for (size_t i = 0; i < some; i++)
                        assert_int_equal(small_back[i], values[skip + i]);
                }
            }
            out.size = 0;
            assert_int_equal(pq_rle_encode_u8(&out, small, n, 3, NULL), ST_OK);
            assert_true(pq_rle_decode_u8(out.data, out.size, 3, 0, small_back, n));
            assert_memory_equal(small, small_back, n);
            pq_buf_release(&out);
        }
    }
    (void)unused;
}

/* Every code stands for the value that got it: values near each other and far ones, zeros, repetitions, over several calls and chunks. */
static void test_dictionary(void **unused)
{
    enum { N = 3000 };
    static uint64_t values[N];
    static uint32_t narrow[N], codes[N];
    struct pqw_dictionary d;
    (void)unused;
    state = 11;
    pqw_dictionary_init(&d, NULL);
    for (int round = 0; round < 60; round++) {
        uint64_t base = round % 5 == 0 ? 1 : round % 5 == 1 ? 0 : next_random() << 20;
        uint32_t width = round & 1 ? 4 : 8, distinct = 0;
        pqw_dictionary_clear(&d);
        for (int call = 0; call < 3; call++) {
            for (int i = 0; i < N; i++) {
                uint64_t kind = next_random() % 8;
                values[i] = i && kind == 0 ? values[i - 1] : kind == 1 ? 0 : kind == 2 ? next_random() : base + next_random() % (round % 3 ? 50 : 5000) - 20;
                narrow[i] = (uint32_t)values[i];
            }
            if (call == 0)
                values[0] = narrow[0] = (uint32_t)base; /* so that zeros come after another first value */
            assert_int_equal(pqw_intern_fixed(&d, width == 4 ? (uint8_t *)narrow : (uint8_t *)values, width, N, codes, NULL), ST_OK);
            for (int i = 0; i < N; i++) {
                assert_true(codes[i] < d.n);
                distinct = codes[i] >= distinct ? codes[i] + 1 : distinct;
                const uint8_t *at = d.body.data + (size_t)codes[i] * width;
                assert_int_equal(width == 4 ? load_le32(at) : load_le64(at), width == 4 ? narrow[i] : values[i]);
            }
        }
        assert_int_equal(distinct, d.n);
        assert_int_equal(d.body.size, (size_t)d.n * width);
    }
    pqw_dictionary_release(&d);
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
            size_t some = n ? next_random() % n + 1 : 0;
            memset(back, 0x55, sizeof back);
            assert_int_not_equal(pq_delta_decode_prefix(out.data, out.size, back, some, n), 0);
            for (size_t i = 0; i < some; i++)
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

/* Pages carry checksums: a bit that changes in a body is an error, never another value. */
static void test_damaged_pages(void **unused)
{
    struct budget budget;
    struct parquet_file *f;
    struct arena arena;
    budget_init(&budget, "test", "none", 64 << 20, NULL);
    write_sample(&budget);
    struct parquet_source source = {read_bytes, &file, file.size};
    assert_int_equal(parquet_open(&source, &budget, &f, NULL), ST_OK);
    arena_init(&arena, &budget);
    for (uint32_t c = 0; c < 2; c++) {
        struct parquet_page_index index;
        assert_int_equal(parquet_read_page_index(f, &source, 0, c, &arena, &index, NULL), ST_OK);
        assert_true(index.n_pages > 1);
        for (uint32_t p = 0; p < index.n_pages; p++) {
            uint8_t *last = file.data + index.pages[p].offset + index.pages[p].compressed_bytes - 1;
            for (int bit = 0; bit < 64; bit++) { /* headers are shorter than what is left of the page */
                uint8_t *byte = last - bit / 8, was = *byte;
                struct column *read = NULL;
                struct error err = {0};
                *byte ^= (uint8_t)(1 << bit % 8);
                assert_int_equal(parquet_read_column(f, &source, 0, c, NULL, NULL, 0, &budget, &read, &err), ST_CORRUPT);
                assert_non_null(strstr(err.msg, "a page whose checksum is wrong"));
                *byte = was;
            }
        }
    }
    arena_release(&arena);
    parquet_file_free(f);
    assert_int_equal(budget_used(&budget), 0);
    (void)unused;
}

/* Long texts: pages are looked at before 1024 rows are in them, because a page's size is an int32. The footer says how much text there is. */
static void test_long_texts(void **unused)
{
    enum { ROWS = 10, BYTES = 6 << 20 };
    struct budget budget;
    struct field *field = field_new("s", type_of(TYPE_UTF8), false);
    struct schema *schema = schema_new(&field, 1);
    struct parquet_column_options column = {.codec = PARQUET_ZSTD};
    struct column_builder b;
    struct column *texts;
    struct batch *batch;
    struct parquet_writer *w;
    struct parquet_write_result result;
    struct parquet_file *f;
    struct parquet_page_index index;
    struct arena arena;
    char *text = malloc(BYTES);
    (void)unused;
    assert_non_null(text);
    memset(text, 'x', BYTES);
    budget_init(&budget, "test", "none", SIZE_MAX, NULL);
    assert_int_equal(column_builder_init(&b, &budget, type_of(TYPE_UTF8), NULL), ST_OK);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(column_builder_append_bytes(&b, text, BYTES, NULL), ST_OK);
    assert_int_equal(column_builder_finish(&b, &texts, NULL), ST_OK);
    column_builder_release(&b);
    free(text);
    struct parquet_writer_options o = {.schema = schema,
                                       .columns = &column,
                                       .dictionary_bytes_max = 1 << 20,
                                       .page_bytes_max = 1 << 20,
                                       .page_rows_max = 20000,
                                       .row_group_rows = 102400,
                                       .write = write_bytes,
                                       .ctx = &file,
                                       .budget = &budget};
    file.size = 0;
    assert_int_equal(batch_new(schema, ROWS, &texts, &batch, NULL), ST_OK);
    assert_int_equal(parquet_writer_new(&o, &w, NULL), ST_OK);
    assert_int_equal(parquet_writer_append(w, batch, NULL), ST_OK);
    assert_int_equal(parquet_writer_finish(w, &result, NULL), ST_OK);
    parquet_writer_free(w);
    batch_unref(batch);
    schema_unref(schema);
    field_unref(field);
    struct parquet_source source = {read_bytes, &file, file.size};
    assert_int_equal(parquet_open(&source, &budget, &f, NULL), ST_OK);
    assert_int_equal(parquet_row_group(f, 0)->chunks[0].text_bytes, (int64_t)ROWS * BYTES);
    arena_init(&arena, &budget);
    assert_int_equal(parquet_read_page_index(f, &source, 0, 0, &arena, &index, NULL), ST_OK);
    assert_in_range(index.n_pages, 3, ROWS);
    arena_release(&arena);
    parquet_file_free(f);
    assert_int_equal(budget_used(&budget), 0);
}

/* A column index says of a page that it has bounds or that it is all null. A page of NaN alone is neither: that chunk goes without one, as readers that
 * believe it would pass over the page. */
static void test_pages_of_nan(void **unused)
{
    enum { ROWS = 3000 };
    struct budget budget;
    struct field *fields[2] = {field_new("nan", type_of(TYPE_FLOAT64), true), field_new("null", type_of(TYPE_FLOAT64), true)};
    struct schema *schema = schema_new(fields, 2);
    struct parquet_column_options columns[2] = {{.codec = PARQUET_ZSTD}, {.codec = PARQUET_ZSTD}};
    struct column *values[2];
    struct batch *batch;
    struct parquet_writer *w;
    struct parquet_write_result result;
    struct parquet_file *f;
    struct parquet_page_index index;
    struct arena arena;
    (void)unused;
    budget_init(&budget, "test", "none", SIZE_MAX, NULL);
    for (int c = 0; c < 2; c++) { /* the second of three pages is all NaN, and all null */
        struct column_builder b;
        assert_int_equal(column_builder_init(&b, &budget, type_of(TYPE_FLOAT64), NULL), ST_OK);
        for (int i = 0; i < ROWS; i++) {
            double v = i / 1024 == 1 ? (double)NAN : i;
            assert_int_equal(c && i / 1024 == 1 ? column_builder_append_null(&b, NULL) : column_builder_append_fixed(&b, &v, NULL), ST_OK);
        }
        assert_int_equal(column_builder_finish(&b, &values[c], NULL), ST_OK);
        column_builder_release(&b);
    }
    struct parquet_writer_options o = {.schema = schema,
                                       .columns = columns,
                                       .page_bytes_max = 1 << 20,
                                       .page_rows_max = 1024,
                                       .row_group_rows = 102400,
                                       .write = write_bytes,
                                       .ctx = &file,
                                       .budget = &budget};
    file.size = 0;
    assert_int_equal(batch_new(schema, ROWS, values, &batch, NULL), ST_OK);
    assert_int_equal(parquet_writer_new(&o, &w, NULL), ST_OK);
    assert_int_equal(parquet_writer_append(w, batch, NULL), ST_OK);
    assert_int_equal(parquet_writer_finish(w, &result, NULL), ST_OK);
    parquet_writer_free(w);
    batch_unref(batch);
    schema_unref(schema);
    field_unref(fields[0]);
    field_unref(fields[1]);
    struct parquet_source source = {read_bytes, &file, file.size};
    assert_int_equal(parquet_open(&source, &budget, &f, NULL), ST_OK);
    arena_init(&arena, &budget);
    for (uint32_t c = 0; c < 2; c++) {
        assert_int_equal(parquet_read_page_index(f, &source, 0, c, &arena, &index, NULL), ST_OK);
        assert_int_equal(index.n_pages, 3);
        assert_int_equal(index.has_bounds, c == 1);
        assert_int_equal(parquet_row_group(f, 0)->chunks[c].column_index_bytes > 0, c == 1);
    }
    assert_true(index.bounds[0].has_min && !index.bounds[1].has_min && index.bounds[1].null_count == 1024);
    arena_release(&arena);
    parquet_file_free(f);
    assert_int_equal(budget_used(&budget), 0);
}

/* ---- selections of every density, in every encoding, against reading all and taking the rows ---- */

enum { MANY_ROWS = 6000, MANY_COLUMNS = 10 };

static void append_cell(struct column_builder *b, uint32_t c, int64_t i)
{
    char text[32];
    int64_t number = c < 2 ? (int64_t)(next_random() % 90) : i * 10 + (int64_t)(next_random() % 3);
    int32_t narrow = (int32_t)(next_random() % 900);
    double real = (double)number / 4;
    if (c % 2 && (c == 1 || c == 7) && next_random() % 5 == 0)
        assert_int_equal(column_builder_append_null(b, NULL), ST_OK);
    else if (b->type->id == TYPE_BOOL)
        assert_int_equal(column_builder_append_bool(b, next_random() & 1, NULL), ST_OK);
    else if (b->type->id == TYPE_UTF8)
        assert_int_equal(column_builder_append_bytes(b, text, (size_t)snprintf(text, sizeof text, "%ld", (long)(c == 8 ? i : number % 50)), NULL), ST_OK);
    else
        assert_int_equal(column_builder_append_fixed(b, b->type->id == TYPE_FLOAT64 ? (void *)&real : b->type->id == TYPE_INT16 ? (void *)&narrow : &number,
                                                     NULL), ST_OK);
}

static void write_many(struct budget *budget)
{
    static const enum type_id types[MANY_COLUMNS] = {TYPE_INT64, TYPE_INT64, TYPE_INT64, TYPE_INT64, TYPE_INT16, TYPE_FLOAT64, TYPE_BOOL, TYPE_UTF8,
                                                     TYPE_UTF8, TYPE_INT16};
    struct field *fields[MANY_COLUMNS];
    struct parquet_column_options columns[MANY_COLUMNS];
    struct column *all[MANY_COLUMNS];
    for (uint32_t c = 0; c < MANY_COLUMNS; c++) {
        fields[c] = field_new("c", type_of(types[c]), c % 2);
        columns[c] = (struct parquet_column_options){.codec = c % 3 ? PARQUET_ZSTD : PARQUET_UNCOMPRESSED, .dictionary = c < 2 || c == 7 || c == 9,
                                                     .delta = c == 2 || c == 4};
        struct column_builder b;
        assert_int_equal(column_builder_init(&b, budget, type_of(types[c]), NULL), ST_OK);
        for (int64_t i = 0; i < MANY_ROWS; i++)
            append_cell(&b, c, i);
        assert_int_equal(column_builder_finish(&b, &all[c], NULL), ST_OK);
        column_builder_release(&b);
    }
    struct schema *schema = schema_new(fields, MANY_COLUMNS);
    struct parquet_writer_options o = {.schema = schema, .columns = columns, .dictionary_bytes_max = 1 << 20, .page_bytes_max = 1 << 20,
                                       .page_rows_max = 1000, .row_group_rows = MANY_ROWS, .write = write_bytes, .ctx = &file, .budget = budget};
    struct parquet_writer *w;
    struct parquet_write_result result;
    struct batch *batch;
    file.size = 0;
    assert_int_equal(batch_new(schema, MANY_ROWS, all, &batch, NULL), ST_OK);
    assert_int_equal(parquet_writer_new(&o, &w, NULL), ST_OK);
    assert_int_equal(parquet_writer_append(w, batch, NULL), ST_OK);
    assert_int_equal(parquet_writer_finish(w, &result, NULL), ST_OK);
    parquet_writer_free(w);
    batch_unref(batch);
    schema_unref(schema);
    for (uint32_t c = 0; c < MANY_COLUMNS; c++)
        field_unref(fields[c]);
}

static void assert_same_value(const struct column *a, int64_t i, const struct column *b, int64_t j)
{
    int32_t n, m;
    assert_int_equal(column_is_null(a, i), column_is_null(b, j));
    if (column_is_null(a, i))
        return;
    if (a->type->id == TYPE_BOOL) {
        assert_int_equal(column_bool(a, i), column_bool(b, j));
    } else if (type_is_varlen(a->type)) {
        const uint8_t *x = column_bytes(a, i, &n), *y = column_bytes(b, j, &m);
        assert_true(n == m && memcmp(x, y, (size_t)n) == 0);
    } else {
        size_t width = (size_t)type_width(a->type);
        assert_memory_equal(a->buffers[0]->data + (size_t)i * width, b->buffers[0]->data + (size_t)j * width, width);
    }
}

static void check_many(const struct parquet_file *f, const struct parquet_source *source, uint32_t c, int flags, uint32_t longest_gap, uint32_t longest_run,
                       struct budget *budget)
{
    static struct parquet_row_range ranges[MANY_ROWS];
    struct column *all, *some, *plain;
    uint32_t n = 0;
    for (int64_t at = (int64_t)(next_random() % longest_gap); at < MANY_ROWS;) {
        int64_t end = at + (int64_t)(next_random() % longest_run) + 1;
        ranges[n++] = (struct parquet_row_range){at, end < MANY_ROWS ? end : MANY_ROWS};
        at = end + (int64_t)(next_random() % longest_gap);
    }
    struct parquet_selection selection = {ranges, n};
    assert_int_equal(parquet_read_column(f, source, 0, c, NULL, NULL, 0, budget, &all, NULL), ST_OK);
    assert_int_equal(parquet_read_column(f, source, 0, c, &selection, NULL, flags, budget, &some, NULL), ST_OK);
    assert_int_equal(column_decode_dictionary(budget, some, &plain, NULL), ST_OK);
    int64_t k = 0;
    for (uint32_t r = 0; r < n; r++)
        for (int64_t i = ranges[r].start; i < ranges[r].end; i++)
            assert_same_value(all, i, plain, k++);
    assert_int_equal(k, plain->length);
    column_unref(all);
    column_unref(some);
    column_unref(plain);
}

static void test_selections(void **unused)
{
    static const struct { uint32_t gap, run; } shapes[] = {{2, 1}, {20, 1}, {20, 3}, {100, 60}, {3000, 200}, {2500, 2500}};
    struct budget budget;
    struct parquet_file *f;
    budget_init(&budget, "test", "none", 64 << 20, NULL);
    for (int round = 0; round < 4; round++) {
        write_many(&budget);
        struct parquet_source source = {read_bytes, &file, file.size};
        assert_int_equal(parquet_open(&source, &budget, &f, NULL), ST_OK);
        for (uint32_t c = 0; c < MANY_COLUMNS; c++)
            for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
                check_many(f, &source, c, round & 1 ? PARQUET_AS_DICTIONARY : 0, shapes[k].gap, shapes[k].run, &budget);
        parquet_file_free(f);
    }
    assert_int_equal(budget_used(&budget), 0);
    (void)unused;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_thrift_round_trip), cmocka_unit_test(test_rle_round_trip),
                                       cmocka_unit_test(test_dictionary),        cmocka_unit_test(test_delta_round_trip),
                                       cmocka_unit_test(test_write_and_read),    cmocka_unit_test(test_long_texts), cmocka_unit_test(test_pages_of_nan),
                                       cmocka_unit_test(test_selections),        cmocka_unit_test(test_damaged_pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
