/* Index files of SSTs: whatever the predicates, a scan gives the same rows with and without them; they do rule rows out; bad ones are passed over. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "engine/mito/predicate.h"
#include "engine/mito/sst.h"
#include "engine/mito/sst_index.h"
#include "engine/mito/sst_internal.h"
#include "engine/mito/sst_select.h"
#include "format/index/bloom.h"
#include "format/index/tokens.h"
#include "format/key/key.h"

#define DIR_KEY "data/r/"
enum { ROWS = 230000, ALL = SST_INDEX_INVERTED | SST_INDEX_FULLTEXT | SST_INDEX_BLOOM };

static char root[] = "/tmp/mito_index_testXXXXXX";
static struct object_store *store;

#define COLUMN(name, type, id, semantic, nullable, index, meta)                                                                                      \
    "{\"column_schema\":{\"name\":\"" name "\",\"data_type\":" type ",\"is_nullable\":" nullable ",\"is_time_index\":" index                         \
    ",\"default_constraint\":null,\"metadata\":{" meta "}},\"semantic_type\":\"" semantic "\",\"column_id\":" id "}"
#define STRING   "{\"String\":{\"size_type\":\"Utf8\"}}"
#define INVERTED "\"greptime:inverted_index\":\"true\""
#define SKIPPING(rows)                                                                                                                               \
    "\"greptime:skipping_index\":\"{\\\"granularity\\\":" rows ",\\\"false-positive-rate-in-10000\\\":100,\\\"index-type\\\":\\\"BloomFilter\\\"}\""
#define WORDS(rows)                                                                                                                                  \
    "\"greptime:fulltext\":\"{\\\"enable\\\":true,\\\"analyzer\\\":\\\"English\\\",\\\"backend\\\":\\\"bloom\\\"  ,"                                 \
    "\\\"case-sensitive\\\":false,\\\"granularity\\\":" rows "}\""

/* Another option for the full-text index: what stands in the place of what, of the same size. */
static const char *const exact_case[] = {"false,\\\"granularity", "true ,\\\"granularity"}, *const chinese[] = {"English", "Chinese"},
                         *const tantivy[] = {"bloom\\\"  ", "tantivy\\\""};
static const char *const *option;

/* host: tag, inverted; code: Int32, both; trace: text, skipping and full-text; size: Int64, inverted. */
static struct region_metadata *schema(void)
{
    static const char json[] = "{\"column_metadatas\":[" COLUMN("host", STRING, "0", "Tag", "true", "false", INVERTED) "," COLUMN(
        "ts", "{\"Timestamp\":{\"Millisecond\":null}}", "1", "Timestamp", "false", "true",
        "") "," COLUMN("code", "{\"Int32\":{}}", "2", "Field", "true", "false",
                       INVERTED "," SKIPPING("3000")) "," COLUMN("trace", STRING, "3", "Field", "true", "false",
                                                                 SKIPPING("512") "," WORDS(
                                                                     "1000")) "," COLUMN("size", "{\"Int64\":{}}", "4", "Field", "true", "false",
                                                                                         INVERTED) "],\"primary_key\":[0],\"region_id\":"
                                                                                                   "4398046511104,\"schema_version\":0,\"primary_key_"
                                                                                                   "encoding\":\"dense\",\"partition_expr\":\"\"}";
    struct region_metadata *m;
    struct error err = {0};
    char text[sizeof json];
    memcpy(text, json, sizeof json);
    if (option)
        memcpy(strstr(text, option[0]), option[1], strlen(option[1]));
    if (region_metadata_from_json(text, strlen(text), &m, &err) != ST_OK)
        fail_msg("%s", err.msg);
    return m;
}

/* ---- rows ---- */

static uint32_t mix(uint32_t x)
{
    return (x * 2654435761u ^ x >> 9) * 40503u >> 4;
}
static int host_of(int64_t i)
{
    return (int)(i / 4600);
} /* 50 of them; host 0 is null */
static bool code_of(int64_t i, int32_t *v)
{
    *v = (int32_t)(mix((uint32_t)i / 700) % 50) * 100 - 2000;
    return i % 31 != 0;
}
static bool size_of(int64_t i, int64_t *v)
{
    *v = (int64_t)(i - ROWS / 2) * 3;
    return i % 17 != 3;
}
static int64_t newest_row = -1; /* whose trace has a letter of Unicode 16 */
static int64_t french_row = -1;
static bool trace_of(int64_t i, char *text)
{
    sprintf(text,
            i == newest_row   ? "new %x \U00010d50"
            : i == french_row ? "\u00c9t\u00e9 t_%X"
                              : "Trace: t_%X",
            (unsigned)(mix((uint32_t)i) % 60000));
    return i % 23 != 5;
}

static struct column *finish(struct column_builder *b)
{
    struct column *c;
    assert_int_equal(column_builder_finish(b, &c, NULL), ST_OK);
    column_builder_release(b);
    return c;
}

struct rows_source {
    struct row_source base;
    int64_t at;
};

static struct column *dictionary_of(struct column *codes, struct column *values)
{
    struct dtype *type = type_dictionary(TYPE_UINT32, values->type);
    struct column *coded, *c;
    assert_int_equal(column_new_nested(type, codes->length, 0, NULL, buffer_ref(codes->buffers[0]), &values, 1, &coded, NULL), ST_OK);
    assert_int_equal(column_lift_nulls(NULL, coded, &c, NULL), ST_OK); /* a batch's nulls are in its rows, not in a dictionary */
    column_unref(coded);
    column_unref(codes);
    type_unref(type);
    return c;
}

static void append_host(int64_t i, struct column_builder *key, struct column_builder *host)
{
    char text[16];
    struct dynbuf bytes;
    int n = snprintf(text, sizeof text, "h%03d", host_of(i));
    dynbuf_init(&bytes, 100);
    assert_int_equal(host_of(i) ? key_append_string(&bytes, text, (size_t)n, NULL) : key_append_null(&bytes, NULL), ST_OK);
    column_builder_append_bytes(key, bytes.data, bytes.size, NULL);
    host_of(i) ? column_builder_append_bytes(host, text, (size_t)n, NULL) : column_builder_append_null(host, NULL);
    dynbuf_release(&bytes);
}

static int rows_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct rows_source *s = (struct rows_source *)base;
    struct column_builder key, keys, host, hosts, time, code, trace, size;
    *ret_batch = NULL;
    if (s->at == ROWS)
        return ST_OK;
    int64_t n = ROWS - s->at < 6007 ? ROWS - s->at : 6007;
    column_builder_init(&key, NULL, type_of(TYPE_UINT32), NULL);
    column_builder_init(&keys, NULL, type_of(TYPE_BINARY), NULL);
    column_builder_init(&host, NULL, type_of(TYPE_UINT32), NULL);
    column_builder_init(&hosts, NULL, type_of(TYPE_UTF8), NULL);
    column_builder_init(&time, NULL, type_temporal(TYPE_TIMESTAMP, UNIT_MILLI), NULL);
    column_builder_init(&code, NULL, type_of(TYPE_INT32), NULL);
    column_builder_init(&trace, NULL, type_of(TYPE_UTF8), NULL);
    column_builder_init(&size, NULL, type_of(TYPE_INT64), NULL);
    for (int64_t i = s->at; i < s->at + n; i++) {
        int32_t c;
        int64_t z;
        char t[32];
        if (i == s->at || host_of(i) != host_of(i - 1))
            append_host(i, &keys, &hosts);
        uint32_t number = (uint32_t)keys.length - 1;
        column_builder_append_fixed(&key, &number, NULL);
        column_builder_append_fixed(&host, &number, NULL);
        column_builder_append_fixed(&time, &i, NULL);
        code_of(i, &c) ? column_builder_append_fixed(&code, &c, NULL) : column_builder_append_null(&code, NULL);
        trace_of(i, t) ? column_builder_append_bytes(&trace, t, strlen(t), NULL) : column_builder_append_null(&trace, NULL);
        size_of(i, &z) ? column_builder_append_fixed(&size, &z, NULL) : column_builder_append_null(&size, NULL);
    }
    s->at += n;
    struct column *k = dictionary_of(finish(&key), finish(&keys)), *h = dictionary_of(finish(&host), finish(&hosts)), *t = finish(&time);
    return row_batch_new(n, k, t, NULL, 1, NULL, (struct column *[]){h, column_ref(t), finish(&code), finish(&trace), finish(&size)}, 5, ret_batch,
                         err);
}

static void rows_free(struct row_source *s)
{
    (void)s;
}
static const struct row_source_ops rows_ops = {rows_next, rows_free};

static struct sst_file *write_file(uint8_t indexes)
{
    struct region_metadata *m = schema();
    struct rows_source rows = {.base = {&rows_ops, 0, INT64_MAX, true}};
    struct sst_write_options o = {
        .store = store, .region_dir = DIR_KEY, .metadata = m, .format = SST_FORMAT_FLAT, .sequence = 77, .indexes = indexes};
    struct file_meta *files;
    struct sst_file *f;
    struct error err = {0};
    uint32_t n;
    if (sst_write(&o, &rows.base, &files, &n, &err) != ST_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(n, 1);
    assert_int_equal(sst_file_new(store, DIR_KEY, files, NULL, &f, NULL), ST_OK);
    free(files);
    region_metadata_unref(m);
    return f;
}

/* ---- predicates ---- */

static struct column *values_like(uint32_t column, int64_t row, int n)
{
    struct column_builder b;
    struct region_metadata *m = schema();
    column_builder_init(&b, NULL, m->columns[column].type, NULL);
    for (int k = 0; k < n; k++) {
        int64_t i = (row + k * 7919) % ROWS, z;
        int32_t c;
        char t[32];
        snprintf(t, sizeof t, "h%03d", host_of(i) + (int)(row % 3 == 2) * 30);
        code_of(i, &c);
        c += row % 5 == 4; /* often one that there is not */
        size_of(i, &z);
        if (column == 3)
            trace_of(i, t);
        column == 2   ? column_builder_append_fixed(&b, &c, NULL)
        : column == 4 ? column_builder_append_fixed(&b, &z, NULL)
                      : column_builder_append_bytes(&b, t, strlen(t), NULL);
    }
    region_metadata_unref(m);
    return finish(&b);
}

/* Shows `visit` the values of a column in the rows that the scan gives; returns how many rows these are. */
static int64_t scan_column(struct sst_file *f, uint32_t column, const struct scan_predicate *p, uint32_t n, uint8_t indexes,
                           void (*visit)(void *ctx, const struct column *values), void *ctx)
{
    struct region_metadata *m = schema();
    struct read_request q = {.metadata = m,
                             .columns = &column,
                             .n_columns = 1,
                             .predicates = p,
                             .n_predicates = n,
                             .append = true,
                             .keep = true,
                             .alone = true,
                             .time_min = INT64_MIN,
                             .time_max = INT64_MAX,
                             .indexes = indexes};
    struct row_source *s;
    struct row_batch *b;
    struct error err = {0};
    int64_t rows = 0;
    if (sst_source_new(f, &q, &s, &err) != ST_OK)
        fail_msg("%s", err.msg);
    for (;;) {
        if (row_source_next(s, &b, &err) != ST_OK)
            fail_msg("%s", err.msg);
        if (!b)
            break;
        visit(ctx, b->columns[0]);
        rows += b->n_rows;
        row_batch_free(b);
    }
    row_source_free(s);
    region_metadata_unref(m);
    return rows;
}

static void add_times(void *ctx, const struct column *times)
{
    uint64_t *sum = ctx;
    for (int64_t i = 0; i < times->length; i++)
        *sum += (uint64_t)COLUMN_VALUES(times, int64_t)[i] * 0x9e3779b97f4a7c15u >> 7;
}

/* Sum over the rows that the scan gives, and how many. */
static void scan(struct sst_file *f, const struct scan_predicate *p, uint32_t n, uint8_t indexes, int64_t *ret_rows, uint64_t *ret_sum)
{
    *ret_sum = 0;
    *ret_rows = scan_column(f, 1, p, n, indexes, add_times, ret_sum);
}

static void same_answers(struct sst_file *f, int rounds)
{
    static const enum scan_op ops[] = {SCAN_EQ, SCAN_EQ, SCAN_IN, SCAN_LT, SCAN_LE, SCAN_GT, SCAN_GE, SCAN_NE, SCAN_IS_NULL};
    static const uint32_t columns[] = {0, 2, 3, 4};
    for (int k = 0; k < rounds; k++) {
        struct scan_predicate p[2];
        uint32_t n = 1 + (uint32_t)k % 2;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t seed = mix((uint32_t)(k * 2 + (int)i + 99));
            enum scan_op op = ops[seed % (sizeof ops / sizeof *ops)];
            p[i] = (struct scan_predicate){.column = columns[seed / 16 % 4], .op = op};
            p[i].values = op == SCAN_IS_NULL ? NULL : values_like(p[i].column, seed / 64 % ROWS, op == SCAN_IN ? 3 : 1);
        }
        int64_t rows, want_rows;
        uint64_t sum, want_sum;
        scan(f, p, n, 0, &want_rows, &want_sum);
        for (uint8_t kinds = 1; kinds <= 7; kinds += 3) { /* inverted; Bloom; all */
            scan(f, p, n, kinds, &rows, &sum);
            assert_int_equal(rows, want_rows);
            assert_int_equal(sum, want_sum);
        }
        for (uint32_t i = 0; i < n; i++)
            column_unref(p[i].values);
    }
}

/* Rows that the indexes leave of the file. */
static int64_t rows_left(struct sst_file *f, uint32_t column, enum scan_op op, int64_t row, uint8_t indexes)
{
    struct region_metadata *m = schema();
    struct scan_predicate p = {column, op, values_like(column, row, 1)};
    struct read_request q = {.metadata = m, .predicates = &p, .n_predicates = 1, .append = true, .indexes = indexes};
    struct object_reader *reader;
    struct sst_footer *footer;
    struct row_selection rows;
    assert_int_equal(sst_open_reader(f, &reader, NULL), ST_OK);
    assert_int_equal(sst_footer_get(f, reader, &footer, NULL), ST_OK);
    assert_int_equal(row_selection_init(&rows, NULL, ROWS, NULL), ST_OK);
    sst_index_select(f, footer, &q, &rows);
    int64_t n = rows.n_rows;
    row_selection_release(&rows);
    sst_footer_put(f, footer);
    reader->ops->close(reader);
    column_unref(p.values);
    region_metadata_unref(m);
    return n;
}

static void test_answers(void **state)
{
    (void)state;
    struct sst_file *f = write_file(ALL);
    assert_int_equal(f->meta.available_indexes, ALL);
    assert_int_equal(f->meta.n_indexes, 4);
    same_answers(f, 24);
    assert_in_range(rows_left(f, 0, SCAN_EQ, 9200, SST_INDEX_INVERTED), 4600, 4600 + 2 * 1024); /* one host's rows */
    assert_in_range(rows_left(f, 3, SCAN_EQ, 9200, SST_INDEX_BLOOM), 512, 40 * 512);
    assert_int_equal(rows_left(f, 3, SCAN_EQ, 9200, SST_INDEX_INVERTED), ROWS);
    assert_in_range(rows_left(f, 4, SCAN_LT, 9200, ALL), 9200, 9200 + 1024);
    assert_int_equal(rows_left(f, 4, SCAN_LT, 9200, SST_INDEX_BLOOM), ROWS);
    assert_int_equal(rows_left(f, 2, SCAN_EQ, 9204, ALL), 0); /* 9204 % 5 = 4: a code that no row has */
    /* Its index goes with the file. */
    char key[200];
    uint64_t size;
    assert_int_equal(sst_index_key(DIR_KEY, f->meta.file_id, 0, key, sizeof key, NULL), ST_OK);
    assert_int_equal(store->ops->stat(store, key, &size, NULL), ST_OK);
    assert_int_equal(size, f->meta.index_file_size);
    atomic_store(&f->deleted, true);
    sst_file_unref(f);
    assert_int_equal(store->ops->stat(store, key, &size, NULL), ST_NOT_FOUND);
}

/* ---- full-text predicates ---- */

static bool in_word(char c)
{
    return isalnum(c) || c == '_';
}

/* What the executor would say of a row that the scan gives (ASCII only), but for words with '_': to matches_term() they are several words, to the index,
 * which is the peer's, one. */
static bool satisfies(const struct scan_predicate *p, const char *text)
{
    char lower[64], term[64];
    int32_t size;
    const uint8_t *value = column_bytes(p->values, 0, &size);
    snprintf(term, sizeof term, "%.*s", (int)size, value);
    size_t n = strlen(text);
    for (size_t i = 0; i <= n; i++)
        lower[i] = (char)(p->op == SCAN_LOWER_TERM ? tolower(text[i]) : text[i]);
    for (const char *hit = strstr(lower, term); hit; hit = strstr(hit + 1, term)) {
        bool before = hit > lower && in_word(hit[-1]) && isalnum(term[0]), behind = in_word(hit[size]) && isalnum(term[size - 1]);
        if (p->op == SCAN_CONTAINS || (!before && !behind))
            return true;
    }
    return false;
}

struct matches {
    const struct scan_predicate *p;
    int64_t found;
};

static void count_texts(void *ctx, const struct column *texts)
{
    struct matches *m = ctx;
    for (int64_t i = 0; i < texts->length; i++) {
        char text[64];
        int32_t size;
        if (column_is_null(texts, i))
            continue;
        const uint8_t *bytes = column_bytes(texts, i, &size);
        snprintf(text, sizeof text, "%.*s", (int)size, bytes);
        m->found += satisfies(m->p, text);
    }
}

/* How many rows of the scan satisfy the predicate; *ret_given: of so many that it gave. */
static int64_t count_matches(struct sst_file *f, const struct scan_predicate *p, uint8_t indexes, int64_t *ret_given)
{
    struct matches m = {p, 0};
    *ret_given = scan_column(f, 3, p, 1, indexes, count_texts, &m);
    return m.found;
}

static struct column *text_value(const char *text, size_t size)
{
    struct column_builder b;
    column_builder_init(&b, NULL, type_of(TYPE_UTF8), NULL);
    column_builder_append_bytes(&b, text, size, NULL);
    return finish(&b);
}

/* Parts of rows' texts as terms and as texts to find. */
static void check_terms(struct sst_file *f, bool exact)
{
    static const enum scan_op ops[] = {SCAN_TERM, SCAN_CONTAINS, SCAN_LOWER_TERM};
    int64_t given, plain, rows = 0, all = 0;
    for (uint32_t k = 0; k < 16; k++) {
        char text[64];
        if (!trace_of(mix(k + 7) % ROWS, text))
            continue;
        size_t n = strlen(text), from = k % 4 == 0 ? 0 : mix(k * 3) % n, size = k % 5 == 0 ? n - from : 1 + mix(k * 5) % (n - from);
        enum scan_op op = ops[k % 3];
        for (size_t i = 0; op == SCAN_LOWER_TERM && i < n; i++)
            text[i] = (char)tolower(text[i]);
        struct scan_predicate p = {3, op, text_value(text + from, size)};
        int64_t want = count_matches(f, &p, 0, &plain);
        assert_int_equal(count_matches(f, &p, ALL, &given), want);
        assert_true(given <= plain);
        rows += given;
        all += plain;
        column_unref(p.values);
    }
    assert_true(exact ? rows < all : rows * 2 < all);
}

static int64_t term_rows(struct sst_file *f, enum scan_op op, const char *term)
{
    int64_t given;
    struct scan_predicate p = {3, op, text_value(term, strlen(term))};
    count_matches(f, &p, SST_INDEX_FULLTEXT, &given);
    column_unref(p.values);
    return given;
}

static void test_terms(void **state)
{
    (void)state;
    struct sst_file *f = write_file(ALL);
    check_terms(f, false);
    assert_in_range(term_rows(f, SCAN_LOWER_TERM, "nowhere"), 0, ROWS / 10);
    assert_int_equal(term_rows(f, SCAN_LOWER_TERM, "nowhere_"), ROWS); /* the word may go on: any row could match */
    assert_in_range(term_rows(f, SCAN_LOWER_TERM, "nowhere_!"), 0, ROWS / 10);
    assert_int_equal(term_rows(f, SCAN_LOWER_TERM, "no\u4f60where"), ROWS); /* found inside of words */
    assert_int_equal(term_rows(f, SCAN_LOWER_TERM, "- !"), ROWS);
    assert_in_range(term_rows(f, SCAN_LOWER_TERM, "trace"), ROWS, ROWS);
    sst_file_unref(f);
    option = exact_case;
    f = write_file(ALL);
    check_terms(f, true);
    assert_int_equal(term_rows(f, SCAN_LOWER_TERM, "nowhere"), ROWS); /* there are no words in lower case to look for */
    sst_file_unref(f);
    option = NULL;
}

static bool ends_in_seven(const struct scan_test *t, const uint8_t *text, size_t size)
{
    (void)t;
    return size && text[size - 1] == '7';
}

/* A test of the tag's values: every one in the index is asked, or those between the bounds. */
static void test_tests(void **state)
{
    (void)state;
    struct sst_file *f = write_file(ALL);
    for (int bounded = 0; bounded < 2; bounded++) {
        struct scan_test t = {.holds = ends_in_seven, .low = bounded ? (uint8_t *)"h02" : NULL, .high = bounded ? (uint8_t *)"h03" : NULL, .low_size = 3, .high_size = 3};
        struct scan_predicate p = {0, SCAN_TEST, NULL, &t};
        int64_t rows, want_rows, given;
        uint64_t sum, want_sum;
        atomic_init(&t.refs, 100);
        scan(f, &p, 1, 0, &want_rows, &want_sum);
        scan(f, &p, 1, SST_INDEX_INVERTED, &rows, &sum);
        assert_int_equal(want_rows, 5 * 4600); /* h007 to h047 */
        assert_int_equal(rows, bounded ? 4600 : want_rows); /* bounds are what its maker says they are */
        assert_true(bounded || sum == want_sum);
        p.column = 3; /* of fields, a test is the executor's matter */
        scan(f, &p, 1, ALL, &given, &sum);
        assert_int_equal(given, ROWS);
    }
    sst_file_unref(f);
}

static void test_french(void **state)
{
    (void)state;
    french_row = 150001;
    struct sst_file *f = write_file(ALL);
    assert_in_range(term_rows(f, SCAN_LOWER_TERM, "\u00e9t\u00e9"), 1000, 40000);
    assert_in_range(term_rows(f, SCAN_TERM, "\u00c9t\u00e9"), 1, 1);
    assert_in_range(term_rows(f, SCAN_LOWER_TERM, "\u00e9tat"), 0, ROWS / 10);
    sst_file_unref(f);
    french_row = -1;
}

/* Whether the filter of a row's segment has the word. */
static bool has_word(struct sst_index *x, const struct puffin_source *blob, const struct bloom_index *words, int64_t row, const char *word)
{
    struct buffer *scratch = NULL;
    uint64_t hash = bloom_hash(word, strlen(word));
    bool any;
    assert_int_equal(bloom_index_test(blob, words, (uint32_t)(row / 1000), &(struct bloom_probe){&hash, 1}, 1, x->arena.budget, &scratch, &any, NULL),
                     ST_OK);
    buffer_unref(scratch);
    return any;
}

static void check_words(bool exact)
{
    struct sst_file *f = write_file(SST_INDEX_FULLTEXT | SST_INDEX_BLOOM);
    struct sst_index x;
    struct puffin_source blob;
    struct bloom_index words;
    int strays = 0;
    assert_int_equal(sst_index_open(f, NULL, &x, NULL), ST_OK);
    assert_int_equal(x.file.n_blobs, 3);
    assert_string_equal(x.file.blobs[0].type, SST_BLOB_FULLTEXT_BLOOM "3"); /* before the skipping ones */
    assert_string_equal(puffin_property(&x.file.blobs[0], "fulltext_config"),
                        exact ? "{\"analyzer\":\"English\",\"case_sensitive\":true}" : "{\"analyzer\":\"English\",\"case_sensitive\":false}");
    assert_int_equal(puffin_blob_source(&x.source, &x.file.blobs[0], &blob, NULL), ST_OK);
    assert_int_equal(bloom_index_open(&blob, &x.arena, &words, NULL), ST_OK);
    assert_int_equal(words.rows_per_segment, 1000);
    assert_int_equal(words.n_rows, ROWS);
    for (int64_t i = 0; i < ROWS; i += 97) {
        char text[32];
        if (!trace_of(i, text))
            continue;
        strays += has_word(&x, &blob, &words, i, exact ? "trace" : "Trace"); /* as one of the two only */
        for (char *p = text; !exact && *p; p++)
            *p = (char)tolower(*p);
        assert_true(has_word(&x, &blob, &words, i, exact ? "Trace" : "trace"));
        assert_true(has_word(&x, &blob, &words, i, strchr(text, ' ') + 1));
        strays += has_word(&x, &blob, &words, i, text); /* the whole text is no word */
    }
    assert_in_range(strays, 0, ROWS / 97 / 10);
    sst_index_close(&x);
    sst_file_unref(f);
}

static void test_words(void **state)
{
    (void)state;
    check_words(false);
    option = exact_case;
    check_words(true);
    option = NULL;
}

static void check_wordless(void)
{
    struct sst_file *f = write_file(ALL);
    assert_int_equal(f->meta.available_indexes, SST_INDEX_INVERTED | SST_INDEX_BLOOM);
    assert_int_equal(f->meta.n_indexes, 4);
    sst_file_unref(f);
}

/* Where words may not be the peer's, in one text only or by the options, the file has no full-text index, and the other ones. */
static void test_foreign_words(void **state)
{
    (void)state;
    newest_row = 150001;
    check_wordless();
    newest_row = -1;
    option = chinese;
    check_wordless();
    option = tantivy;
    check_wordless();
    option = NULL;
}

static void test_kinds(void **state)
{
    (void)state;
    struct sst_file *f = write_file(SST_INDEX_BLOOM);
    assert_int_equal(f->meta.available_indexes, SST_INDEX_BLOOM);
    assert_int_equal(f->meta.n_indexes, 2);
    sst_file_unref(f);
    f = write_file(0);
    assert_int_equal(f->meta.available_indexes, 0);
    assert_int_equal(f->meta.index_file_size, 0);
    sst_file_unref(f);
}

static int64_t metric_of(const char *family, const char *label)
{
    const struct metric_family *f = metric_families();
    while (f && strcmp(f->name, family) != 0)
        f = f->next;
    const struct metric *m = f ? atomic_load(&f->children) : NULL;
    while (m && strcmp(m->labels[0], label) != 0)
        m = m->next;
    return m ? atomic_load(&m->value) : 0;
}

/* What is kept serves without the file; whatever the caches hold, and however little, the answers are the same; and it goes with the SST. */
static void test_caches(void **state)
{
    struct budget root;
    struct sst_caches caches;
    struct file_meta copy;
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct sst_file *plain = write_file(ALL), *f;
        struct sst_cache_sizes sizes = {1 << 20, k ? 1 << 20 : 0, k == 2 ? 64 << 20 : 1 << 17, 4096, (size_t)k << 22};
        int64_t decoded = metric_of("greptime_mito_cache_hit", "page");
        budget_init(&root, "root", "memory_limit", (size_t)1 << 30, NULL);
        assert_int_equal(sst_caches_init(&caches, &root, &root, &sizes, NULL), ST_OK);
        assert_int_equal(file_meta_copy(&plain->meta, &copy, NULL), ST_OK);
        assert_int_equal(sst_file_new(store, DIR_KEY, &copy, &caches, &f, NULL), ST_OK);
        same_answers(f, 12);
        assert_true(budget_used(cache_budget(caches.index_content)) <= sizes.index_content + 8192);
        assert_true((budget_used(cache_budget(caches.index_metadata)) > 0) == (k > 0));
        assert_true((metric_of("greptime_mito_cache_hit", "page") > decoded + 10) == (k > 0));
        assert_true(budget_used(cache_budget(caches.columns)) <= sizes.columns * 5 / 4 && (k == 0 || budget_used(cache_budget(caches.columns)) > 0));
        if (k == 2) {
            char key[200];
            int64_t left = rows_left(f, 3, SCAN_EQ, 9200, ALL), misses = metric_of("greptime_mito_cache_miss", "index_content"),
                    hits = metric_of("greptime_mito_cache_hit", "index_metadata");
            assert_int_equal(sst_index_key(DIR_KEY, f->meta.file_id, 0, key, sizeof key, NULL), ST_OK);
            assert_int_equal(store->ops->remove(store, key, NULL), ST_OK);
            assert_int_equal(rows_left(f, 3, SCAN_EQ, 9200, ALL), left);
            assert_true(left < ROWS);
            assert_int_equal(metric_of("greptime_mito_cache_miss", "index_content"), misses);
            assert_int_equal(metric_of("greptime_mito_cache_hit", "index_metadata"), hits + 1);
        }
        sst_file_unref(f);
        sst_file_unref(plain);
        assert_int_equal(budget_used(cache_budget(caches.columns)), 0);
        assert_int_equal(budget_used(cache_budget(caches.index_content)), 0);
        assert_int_equal(budget_used(cache_budget(caches.index_metadata)), 0);
        sst_caches_release(&caches);
        assert_int_equal(budget_used(&root), 0);
    }
}

/* Missing, of another length, full of nonsense, of another file: the answers stay. */
static void test_bad_files(void **state)
{
    (void)state;
    struct sst_file *f = write_file(ALL);
    struct dynbuf whole;
    char key[200];
    dynbuf_init(&whole, 64 << 20);
    assert_int_equal(sst_index_key(DIR_KEY, f->meta.file_id, 0, key, sizeof key, NULL), ST_OK);
    assert_int_equal(object_store_get(store, key, 64 << 20, &whole, NULL), ST_OK);
    assert_int_equal(object_store_put(store, key, whole.data, whole.size - 1, NULL), ST_OK);
    same_answers(f, 6);
    for (size_t i = whole.size / 2; i < whole.size; i += 3)
        whole.data[i] ^= (uint8_t)(i * 77 + 1);
    assert_int_equal(object_store_put(store, key, whole.data, whole.size, NULL), ST_OK);
    same_answers(f, 6);
    assert_int_equal(store->ops->remove(store, key, NULL), ST_OK);
    same_answers(f, 6);
    assert_int_equal(rows_left(f, 0, SCAN_EQ, 9200, ALL), ROWS);
    dynbuf_release(&whole);
    sst_file_unref(f);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(root) && object_store_open_folder(fs_posix(), root, &store, NULL) == ST_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    store->ops->free(store);
    return fs_remove_tree(fs_posix(), root, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers),  cmocka_unit_test(test_terms),         cmocka_unit_test(test_tests), cmocka_unit_test(test_french),
                                       cmocka_unit_test(test_words),    cmocka_unit_test(test_foreign_words), cmocka_unit_test(test_kinds),
                                       cmocka_unit_test(test_caches), cmocka_unit_test(test_bad_files)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
