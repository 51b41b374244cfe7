/* Which rows of a file a scan need not look at, by the file's indexes. */
#include "engine/mito/sst_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/sst_select.h"
#include "format/index/tokens.h"

static struct metric_family apply_elapsed = {.name = "greptime_index_apply_elapsed",
                                             .help = "seconds that the use of an index took",
                                             .kind = METRIC_HISTOGRAM,
                                             .label_names = {"type"},
                                             .bounds = {0.01, 0.1, 1, 10, 100, 1000}};
static struct metric_family rows_pruned = {
    .name = "regiond_index_rows_pruned_total", .help = "rows that an index ruled out", .kind = METRIC_COUNTER, .label_names = {"type"}};

enum { VALUES_MAX = 4096, SEGMENTS_MAX = 1 << 26 };

/* The kinds of index that can say something about such a predicate. */
static uint8_t kinds_for(enum scan_op op)
{
    switch (op) {
    case SCAN_EQ:
    case SCAN_IN:
        return SST_INDEX_INVERTED | SST_INDEX_BLOOM;
    case SCAN_LT:
    case SCAN_LE:
    case SCAN_GT:
    case SCAN_GE:
    case SCAN_TEST:
        return SST_INDEX_INVERTED;
    case SCAN_CONTAINS:
    case SCAN_TERM:
    case SCAN_LOWER_TERM:
        return SST_INDEX_FULLTEXT;
    default:
        return 0;
    }
}

/* An index in use. */
struct use {
    const struct sst_footer *f;
    const struct read_request *q;
    struct sst_index *index;
    struct row_selection *rows; /* of the whole file */
};

/* One probe for each value that a predicate asks for. */
static int probe_values(struct arena *a, const struct column *values, struct bloom_probe *probes, uint32_t *ret_n, struct error *err)
{
    struct dynbuf scratch;
    const uint8_t *data;
    size_t size;
    uint32_t n = 0;
    int st = ST_OK;
    uint64_t *hashes = ARENA_ARRAY(a, (size_t)values->length + 1, uint64_t, err);
    if (!hashes)
        return ST_NO_MEMORY;
    dynbuf_init(&scratch, 64 << 20);
    for (int64_t i = 0; i < values->length && st == ST_OK; i++) {
        if (column_is_null(values, i))
            continue;
        st = sst_index_value(values, i, &scratch, &data, &size, err);
        if (st == ST_OK) {
            hashes[n] = bloom_hash(data, size);
            probes[n] = (struct bloom_probe){&hashes[n], 1};
            n++;
        }
    }
    dynbuf_release(&scratch);
    *ret_n = n;
    return st;
}

/* Whether the ends of a predicate's text are ends of words in the texts that it finds, too. matches_term() sees to that where a letter or digit ends
 * the term (and takes '_' for the end of a word, which the index does not: that is how the peer understands a term, too). A term with Chinese
 * characters is found inside of words. */
static bool ends_words(enum scan_op op, const uint8_t *text, size_t size, size_t start, size_t n)
{
    if (start && start + n < size)
        return true;
    for (size_t i = 0, used; op != SCAN_CONTAINS && i < size; i += used) {
        int32_t c;
        used = unicode_read(text + i, size - i, &c);
        if (unicode_is_han(c))
            return false;
    }
    return op != SCAN_CONTAINS && (start || text[0] != '_') && (start + n < size || text[size - 1] != '_');
}

/* The words that all texts with this one in them have. *ret_probe->n = 0: there are none. */
static int probe_words(struct arena *a, enum scan_op op, const uint8_t *text, size_t size, bool exact, struct bloom_probe *ret_probe,
                       struct error *err)
{
    struct dynbuf scratch;
    uint32_t n_words = 0;
    int st = ST_OK;
    for (size_t pos = 0, start, n; token_next(text, size, &pos, &start, &n);)
        n_words++;
    uint64_t *hashes = ARENA_ARRAY(a, (size_t)n_words + 1, uint64_t, err);
    if (!hashes)
        return ST_NO_MEMORY;
    dynbuf_init(&scratch, 64 << 20);
    n_words = 0;
    for (size_t pos = 0, start, n; st == ST_OK && token_next(text, size, &pos, &start, &n);) {
        if (!ends_words(op, text, size, start, n))
            continue;
        st = sst_index_word(text + start, n, exact, &scratch, &hashes[n_words], err);
        n_words += st == ST_OK;
        st = st == ST_UNSUPPORTED ? ST_OK : st;
    }
    dynbuf_release(&scratch);
    *ret_probe = (struct bloom_probe){hashes, n_words};
    return st;
}

/* An index is of all the file's rows, or of no use. */
static int check_rows(const struct use *u, const char *blob, uint64_t n_rows, uint64_t rows_per_segment, struct error *err)
{
    int64_t want = parquet_n_rows(u->f->parquet);
    if (n_rows != (uint64_t)want || rows_per_segment > UINT32_MAX || n_rows / rows_per_segment > SEGMENTS_MAX)
        return error_set(err, ST_CORRUPT, "blob %s is of %llu rows in segments of %llu, the file has %lld", blob, (unsigned long long)n_rows,
                         (unsigned long long)rows_per_segment, (long long)want);
    return ST_OK;
}

/* Sets the bits of the segments that may hold what one of the probes asks for. Those without selected rows are not looked at. */
static int test_segments(const struct use *u, const struct puffin_source *blob, const struct bloom_index *x, const struct bloom_probe *probes,
                         uint32_t n, uint8_t *bits, struct error *err)
{
    struct buffer *scratch = NULL;
    uint32_t r = 0, last = UINT32_MAX;
    bool any = false;
    int st = ST_OK;
    for (uint32_t s = 0; s < x->n_segments && st == ST_OK; s++) {
        uint64_t start = s * x->rows_per_segment;
        while (r < u->rows->n && (uint64_t)u->rows->ranges[r].end <= start)
            r++;
        if (r == u->rows->n)
            break;
        if ((uint64_t)u->rows->ranges[r].start >= start + x->rows_per_segment)
            continue;
        if (x->filter_of[s] != last)
            st = bloom_index_test(blob, x, s, probes, n, u->q->budget, &scratch, &any, err);
        last = x->filter_of[s];
        if (any)
            bit_set(bits, s);
    }
    buffer_unref(scratch);
    return st;
}

/* Keeps the segments that may hold what one of the probes asks for. */
static int apply_filters(const struct use *u, const char *type, const struct puffin_blob *b, const struct bloom_probe *probes, uint32_t n,
                         struct error *err)
{
    struct puffin_source blob;
    const struct bloom_index *x;
    TRY(sst_index_bloom(u->index, b, &blob, &x, err));
    TRY(check_rows(u, type, x->n_rows, x->rows_per_segment, err));
    uint8_t *bits = arena_alloc(&u->index->arena, bits_bytes(x->n_segments) + 1, err);
    if (!bits)
        return ST_NO_MEMORY;
    TRY(test_segments(u, &blob, x, probes, n, bits, err));
    return row_selection_keep_segments(u->rows, bits, x->n_segments, x->rows_per_segment, err);
}

static int apply_bloom(const struct use *u, const struct region_column *c, const struct scan_predicate *p, struct error *err)
{
    char type[64];
    uint32_t n;
    snprintf(type, sizeof type, SST_BLOB_BLOOM "%u", (unsigned)c->id);
    const struct puffin_blob *b = puffin_find(&u->index->file, type);
    struct bloom_probe *probes = b ? ARENA_ARRAY(&u->index->arena, (size_t)p->values->length + 1, struct bloom_probe, err) : NULL;
    if (!probes)
        return b ? ST_NO_MEMORY : ST_OK;
    TRY(probe_values(&u->index->arena, p->values, probes, &n, err));
    return apply_filters(u, type, b, probes, n, err);
}

/* Only English words are known here: of the Chinese analyzer's one cannot tell which words a text has. */
static int apply_fulltext(const struct use *u, const struct region_column *c, const struct scan_predicate *p, struct error *err)
{
    char type[64];
    int32_t size;
    snprintf(type, sizeof type, SST_BLOB_FULLTEXT_BLOOM "%u", (unsigned)c->id);
    const struct puffin_blob *b = puffin_find(&u->index->file, type);
    const char *words = b ? puffin_property(b, SST_WORDS_PROPERTY) : NULL;
    bool exact = words && strcmp(words, SST_WORDS_EXACT) == 0;
    if (!words || (!exact && strcmp(words, SST_WORDS_LOWER) != 0) || (exact && p->op == SCAN_LOWER_TERM))
        return ST_OK;
    struct bloom_probe *probes = ARENA_ARRAY(&u->index->arena, (size_t)p->values->length + 1, struct bloom_probe, err);
    if (!probes)
        return ST_NO_MEMORY;
    for (int64_t i = 0; i < p->values->length; i++) {
        const uint8_t *text = column_bytes(p->values, i, &size);
        TRY(probe_words(&u->index->arena, p->op, text, (size_t)size, exact, &probes[i], err));
        if (!probes[i].n)
            return ST_OK; /* any row may match */
    }
    return apply_filters(u, type, b, probes, (uint32_t)p->values->length, err);
}

static bool value_passes(const void *ctx, const uint8_t *value, size_t size)
{
    const struct scan_test *t = ctx;
    return t->holds(t, value, size);
}

/* The ranges of values that the predicate lets through; their bytes live in the arena. *ret_n = 0: it is of no use here. */
static int make_ranges(const struct scan_predicate *p, struct arena *a, struct inverted_range *ranges, uint32_t *ret_n, struct error *err)
{
    struct dynbuf scratch;
    const uint8_t *data;
    size_t size;
    uint32_t n = 0;
    int st = ST_OK;
    if (p->op == SCAN_TEST) {
        const struct scan_test *t = p->test;
        ranges[0] = (struct inverted_range){{t->low, t->low_size, true}, {t->high, t->high_size, true}, value_passes, t};
        *ret_n = 1;
        return ST_OK;
    }
    dynbuf_init(&scratch, 64 << 20);
    for (int64_t i = 0; i < p->values->length && st == ST_OK; i++) {
        if (column_is_null(p->values, i) || (st = sst_index_value(p->values, i, &scratch, &data, &size, err)) != ST_OK)
            continue;
        const char *copy = arena_copy(a, data, size, err);
        if (!copy) {
            st = ST_NO_MEMORY;
            break;
        }
        bool equal = p->op == SCAN_EQ || p->op == SCAN_IN, below = p->op == SCAN_LT || p->op == SCAN_LE, above = p->op == SCAN_GT || p->op == SCAN_GE;
        struct fst_bound bound = {copy, size, p->op != SCAN_LT && p->op != SCAN_GT}, none = {0};
        if (equal || below || above)
            ranges[n++] = (struct inverted_range){equal || above ? bound : none, equal || below ? bound : none, NULL, NULL};
    }
    dynbuf_release(&scratch);
    *ret_n = n;
    return st;
}

/* Whether index bytes are in the order that predicates mean. Not so for floats: where NaN comes is the executor's matter. */
static bool is_ordered(const struct dtype *t)
{
    return type_is_string(t) || (t->id >= TYPE_INT8 && t->id <= TYPE_UINT64) || t->id == TYPE_TIMESTAMP || t->id == TYPE_DATE32;
}

static int apply_inverted(const struct use *u, const struct region_column *c, const struct scan_predicate *p, struct error *err)
{
    struct puffin_source blob;
    const struct inverted_index *x;
    uint32_t n;
    const struct puffin_blob *b = puffin_find(&u->index->file, SST_BLOB_INVERTED);
    if (!b || (kinds_for(p->op) == SST_INDEX_INVERTED && !is_ordered(c->type)))
        return ST_OK;
    TRY(sst_index_inverted(u->index, b, &blob, &x, err));
    TRY(check_rows(u, SST_BLOB_INVERTED, x->n_rows, x->rows_per_segment, err));
    const struct inverted_column *k = inverted_index_find(x, c->id);
    size_t n_values = p->values ? (size_t)p->values->length : 1;
    struct inverted_range *ranges = k ? ARENA_ARRAY(&u->index->arena, n_values + 1, struct inverted_range, err) : NULL;
    uint8_t *bits = k ? arena_alloc(&u->index->arena, bits_bytes((int64_t)inverted_index_segments(x)) + 1, err) : NULL;
    if (!k)
        return ST_OK;
    if (!ranges || !bits)
        return ST_NO_MEMORY;
    TRY(make_ranges(p, &u->index->arena, ranges, &n, err));
    if (!n)
        return ST_OK;
    TRY(inverted_index_select(&blob, x, k, ranges, n, bits, u->q->budget, err));
    return row_selection_keep_segments(u->rows, bits, inverted_index_segments(x), x->rows_per_segment, err);
}

/* The file's column that the predicate is about, when values of the two can be compared byte by byte; NULL: the predicate is of no use. */
static const struct region_column *column_of(const struct use *u, const struct scan_predicate *p)
{
    struct sst_column c = sst_find_column(u->f, u->q->metadata, p->column);
    if (c.file_column < 0 || !sst_usable(u->f, u->q, p))
        return NULL;
    const struct region_column *stored = &u->f->metadata->columns[c.file_column];
    bool fits = p->op == SCAN_TEST ? type_is_string(stored->type) : p->values && type_equal(p->values->type, stored->type, false);
    return fits && type_equal(stored->type, c.want->type, false) ? stored : NULL;
}

static int apply_predicate(const struct use *u, uint8_t kinds, const struct scan_predicate *p, struct error *err)
{
    static const struct {
        uint8_t kind;
        const char *label;
        int (*apply)(const struct use *u, const struct region_column *c, const struct scan_predicate *p, struct error *err);
    } all[] = {{SST_INDEX_INVERTED, "inverted_index", apply_inverted},
               {SST_INDEX_BLOOM, "bloom_filter_index", apply_bloom},
               {SST_INDEX_FULLTEXT, "fulltext_index", apply_fulltext}};
    const struct region_column *c = column_of(u, p);
    if (!c || (p->values && p->values->length > VALUES_MAX))
        return ST_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int64_t before = u->rows->n_rows, start_ns = clock_monotonic_ns();
        if (!(kinds & kinds_for(p->op) & all[i].kind) || !before)
            continue;
        TRY(all[i].apply(u, c, p, err));
        const char *const label[] = {all[i].label, NULL};
        metric_observe(metric_child(&apply_elapsed, label), (double)(clock_monotonic_ns() - start_ns) / 1e9);
        metric_add(metric_child(&rows_pruned, label), before - u->rows->n_rows);
    }
    return ST_OK;
}

/* Whether some predicate is of a kind that an index could serve: the others need no look at the index file. */
static bool worth_opening(const struct sst_footer *f, const struct read_request *q, uint8_t kinds)
{
    for (uint32_t i = 0; i < q->n_predicates; i++)
        if ((kinds & kinds_for(q->predicates[i].op)) && q->predicates[i].column != q->metadata->time_index && sst_usable(f, q, &q->predicates[i]))
            return true;
    return false;
}

void sst_index_select(const struct sst_file *file, const struct sst_footer *f, const struct read_request *q, struct row_selection *rows)
{
    struct sst_index index;
    struct error err;
    uint8_t kinds = q->indexes & file->meta.available_indexes;
    if (!worth_opening(f, q, kinds))
        return;
    int st = sst_index_open(file, q->budget, &index, &err);
    if (st == ST_OK) {
        struct use u = {f, q, &index, rows};
        for (uint32_t i = 0; i < q->n_predicates && st == ST_OK && rows->n_rows; i++)
            st = apply_predicate(&u, kinds, &q->predicates[i], &err);
        sst_index_close(&index);
    }
    if (st != ST_OK)
        log_warn("mito", "the index of SST %s is of no use, the file is scanned without it: %s", file->meta.file_id, err.msg);
}
