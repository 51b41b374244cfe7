/* Footers of SSTs: layout, statistics, pruning (mito-on-disk.md 3.1 to 3.4). Everything in them is checked: files may come from elsewhere. */
#include "engine/mito/sst_footer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/predicate.h"
#include "format/key/key.h"
#include "format/key/sparse.h"
#include "engine/mito/sst_internal.h"

static int read_object(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    struct object_reader *r = ctx;
    return r->ops->read_at(r, offset, data, size, err);
}

struct parquet_source sst_parquet_source(struct object_reader *reader)
{
    return (struct parquet_source){read_object, reader, reader->size_bytes};
}

int sst_open_reader(const struct sst_file *file, struct object_reader **ret_reader, struct error *err)
{
    char key[1024];
    TRY(sst_object_key(file->dir, file->meta.file_id, key, sizeof key, err));
    return file->store->ops->open(file->store, key, ret_reader, err);
}

static void footer_free(struct sst_footer *f)
{
    if (!f)
        return;
    parquet_file_free(f->parquet);
    region_metadata_unref(f->metadata);
    free(f->place);
    free(f);
}

static int expect(const struct schema *s, uint32_t *at, const char *name, struct error *err)
{
    if (*at >= s->n_fields || strcmp(s->fields[*at]->name, name) != 0)
        return error_set(err, ST_CORRUPT, "column %u of an SST is not %s", *at, name);
    ++*at;
    return ST_OK;
}

/* Names and order of the columns; which layout it is follows from their number. */
static int find_layout(struct sst_footer *f, struct error *err)
{
    const struct region_metadata *m = f->metadata;
    const struct schema *s = parquet_schema(f->parquet);
    uint32_t flat = m->n_columns + 3, at = 0;
    if (s->n_fields != flat && s->n_fields + m->n_key != flat)
        return error_set(err, ST_CORRUPT, "an SST has %u columns, its metadata %u with %u tags", s->n_fields, m->n_columns, m->n_key);
    f->place = malloc((m->n_columns + 1) * sizeof *f->place);
    if (!f->place)
        return error_no_memory(err, m->n_columns * sizeof *f->place);
    for (uint32_t i = 0; i < m->n_columns; i++)
        f->place[i] = -1;
    for (uint32_t i = 0; s->n_fields == flat && i < m->n_key; i++) {
        f->place[m->key[i]] = (int32_t)at;
        TRY(expect(s, &at, m->columns[m->key[i]].name, err));
    }
    for (uint32_t i = 0; i < m->n_columns; i++) {
        if (m->columns[i].semantic != SEMANTIC_FIELD)
            continue;
        f->place[i] = (int32_t)at;
        TRY(expect(s, &at, m->columns[i].name, err));
    }
    f->place[m->time_index] = (int32_t)at;
    f->time = at;
    TRY(expect(s, &at, m->columns[m->time_index].name, err));
    f->key = at;
    TRY(expect(s, &at, "__primary_key", err));
    f->sequence = at;
    TRY(expect(s, &at, "__sequence", err));
    f->op = at;
    return expect(s, &at, "__op_type", err);
}

/* Bounds of a top-level column that is a single leaf; NULL when there are none. */
static const struct parquet_chunk *chunk_of(const struct sst_footer *f, uint32_t row_group, uint32_t column)
{
    uint32_t first, n;
    parquet_column_leaves(f->parquet, column, &first, &n);
    return n == 1 && parquet_leaf(f->parquet, first)->max_repetition == 0 ? &parquet_row_group(f->parquet, row_group)->chunks[first] : NULL;
}

bool sst_constant(const struct sst_footer *f, uint32_t row_group, uint32_t column, uint64_t *ret_value)
{
    const struct parquet_chunk *c = chunk_of(f, row_group, column);
    if (!c || !c->bounds.has_min || !c->bounds.has_max || c->bounds.min_size != c->bounds.max_size)
        return false;
    uint32_t size = c->bounds.min_size;
    if ((size != 4 && size != 8) || memcmp(c->bounds.min, c->bounds.max, size) != 0)
        return false;
    *ret_value = size == 4 ? load_le32(c->bounds.min) : load_le64(c->bounds.min);
    return true;
}

static void look_at_rows(struct sst_footer *f)
{
    uint32_t n = parquet_n_row_groups(f->parquet);
    uint64_t first = 0, v, op;
    f->zero_sequence = f->unique = n > 0;
    for (uint32_t g = 0; g < n; g++) {
        bool constant = sst_constant(f, g, f->sequence, &v);
        first = g ? first : v;
        f->zero_sequence &= constant && v == 0;
        /* A zero sequence marks a file from outside, about which nothing is known. */
        f->unique &= constant && v == first && v != 0 && sst_constant(f, g, f->op, &op) && op == OP_PUT;
    }
}

static int load_footer(struct sst_file *file, struct object_reader *reader, struct sst_footer **ret_footer, struct error *err)
{
    struct parquet_source source = sst_parquet_source(reader);
    struct sst_footer *f = calloc(1, sizeof *f);
    int st = f ? parquet_open(&source, file->caches ? file->caches->footers.budget : NULL, &f->parquet, err) : error_no_memory(err, sizeof *f);
    const char *json = st == ST_OK ? parquet_kv(f->parquet, "greptime:metadata") : NULL;
    if (st == ST_OK && !json)
        st = error_set(err, ST_CORRUPT, "no greptime:metadata");
    if (st == ST_OK)
        st = region_metadata_from_json(json, strlen(json), &f->metadata, err);
    if (st == ST_OK)
        st = find_layout(f, err);
    if (st != ST_OK) {
        footer_free(f);
        return error_prefix(err, "SST %s", file->meta.file_id), st;
    }
    look_at_rows(f);
    *ret_footer = f;
    return ST_OK;
}

int sst_footer_get(struct sst_file *file, struct object_reader *reader, struct sst_footer **ret_footer, struct error *err)
{
    int st = ST_OK;
    pthread_mutex_lock(&file->lock);
    bool hit = file->footer != NULL;
    if (!hit)
        st = load_footer(file, reader, &file->footer, err);
    if (st == ST_OK) {
        file->footer->users++;
        *ret_footer = file->footer;
    }
    pthread_mutex_unlock(&file->lock);
    if (st == ST_OK && file->caches)
        sst_cache_touch(&file->caches->footers, file, hit);
    return st;
}

void sst_footer_put(struct sst_file *file, struct sst_footer *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&file->lock);
    bool last = --f->users == 0;
    if (last)
        file->footer = NULL;
    pthread_mutex_unlock(&file->lock);
    if (last)
        footer_free(f);
}

size_t sst_footer_bytes(const struct sst_footer *f)
{
    /* The region's metadata is about as large as the text it was read from, which the Parquet footer holds. */
    return sizeof *f + 2 * parquet_memory_bytes(f->parquet) + f->metadata->n_columns * sizeof *f->place;
}

struct sst_column sst_find_column(const struct sst_footer *f, const struct region_metadata *region, uint32_t column)
{
    struct sst_column c = {&region->columns[column], region_metadata_find_id(f->metadata, region->columns[column].id), -1};
    for (uint32_t i = 0; c.file_column >= 0 && i < f->metadata->n_key; i++)
        if (f->metadata->key[i] == (uint32_t)c.file_column)
            c.key_position = (int32_t)i;
    return c;
}

/* ---- pruning ---- */

/* A bound as a column of one value; *ret_column = NULL when it cannot be read. */
static void bound_column(struct dtype *type, const uint8_t *data, uint32_t size, struct column **ret_column)
{
    struct column_builder b;
    int32_t width = type_width(type);
    *ret_column = NULL;
    bool plain = type->id >= TYPE_INT8 && type->id <= TYPE_UINT64;
    bool fixed = type->id == TYPE_FLOAT32 || type->id == TYPE_FLOAT64 || type->id == TYPE_DATE32 || type->id == TYPE_TIMESTAMP ||
                 type->id == TYPE_TIME32 || type->id == TYPE_TIME64;
    uint32_t stored = width < 4 ? 4 : (uint32_t)width; /* narrow integers are stored as INT32 */
    if (!type_is_varlen(type) && !(plain && size == stored) && !(fixed && size == (uint32_t)width))
        return;
    if (column_builder_init(&b, NULL, type, NULL) != ST_OK)
        return;
    int st = type_is_varlen(type) ? column_builder_append_bytes(&b, data, size, NULL) : column_builder_append_fixed(&b, data, NULL);
    if (st == ST_OK)
        column_builder_finish(&b, ret_column, NULL);
    column_builder_release(&b);
}

static bool is_nan(const struct column *c, int64_t i)
{
    return (c->type->id == TYPE_FLOAT32 && isnan(COLUMN_VALUES(c, float)[i])) || (c->type->id == TYPE_FLOAT64 && isnan(COLUMN_VALUES(c, double)[i]));
}

/* Whether some value in [min, max] satisfies `op v`. NaN is in no bounds, though it is larger or smaller than any of them. */
static bool within(enum scan_op op, const struct column *v, int64_t i, const struct column *min, const struct column *max)
{
    bool known_min, known_max;
    if (column_is_null(v, i))
        return op == SCAN_IN ? false : true;
    int low = predicate_compare(v, i, min, 0, &known_min), high = predicate_compare(v, i, max, 0, &known_max);
    if (!known_min || !known_max || is_nan(v, i) || is_nan(min, 0) || is_nan(max, 0))
        return true;
    if (type_is_float(type_values(v->type)) && op != SCAN_EQ && op != SCAN_IN)
        return true;
    switch (op) {
    case SCAN_EQ: case SCAN_IN: return low >= 0 && high <= 0;
    case SCAN_LT: return low > 0;
    case SCAN_LE: return low >= 0;
    case SCAN_GT: return high < 0;
    case SCAN_GE: return high <= 0;
    default: return true;
    }
}

/* Whether a value between the bounds satisfies the predicate; takes them, an unknown one is NULL. */
static bool some_within(const struct scan_predicate *p, struct column *min, struct column *max)
{
    bool keep = false;
    for (int64_t i = 0; i < p->values->length && !keep; i++)
        keep = !min || !max || within(p->op, p->values, i, min, max);
    column_unref(min);
    column_unref(max);
    return keep;
}

bool sst_bounds_may_match(const struct scan_predicate *p, const struct parquet_bounds *b, int64_t values, struct dtype *type)
{
    if (p->op == SCAN_IS_NULL)
        return !b->has_null_count || b->null_count != 0;
    if (b->has_null_count && b->null_count == values)
        return false;
    if (p->op == SCAN_IS_NOT_NULL || !b->has_min || !b->has_max || !p->values || type_values(p->values->type)->id == TYPE_NULL)
        return true;
    struct column *min, *max;
    bound_column(type, b->min, b->min_size, &min);
    bound_column(type, b->max, b->max_size, &max);
    return some_within(p, min, max);
}

/* The first column's value in an encoded key; NULL when it is null or the key, which may be a truncated bound, does not show it. */
static struct column *leading_value(const struct sst_footer *f, struct dtype *type, const uint8_t *key, uint32_t size)
{
    struct column_builder b;
    struct column *value = NULL;
    struct dynbuf scratch;
    size_t pos = 0;
    if (column_builder_init(&b, NULL, type, NULL) != ST_OK)
        return NULL;
    dynbuf_init(&scratch, size);
    int st = f->metadata->sparse_key ? key_sparse_decode(key, size, f->metadata->columns[f->metadata->key[0]].id, &scratch, &b, NULL)
                                     : key_decode_value(key, size, &pos, &b, NULL);
    if (st == ST_OK && b.null_count == 0)
        column_builder_finish(&b, &value, NULL);
    column_builder_release(&b);
    dynbuf_release(&scratch);
    return value;
}

bool sst_key_bounds_may_match(const struct sst_footer *f, const struct sst_column *c, const struct scan_predicate *p, const struct parquet_bounds *key)
{
    struct dtype *type = f->metadata->columns[c->file_column].type;
    if (c->key_position != 0 || !type_equal(type, c->want->type, false) || !key->has_min || !key->has_max || !p->values || p->op == SCAN_IS_NULL ||
        p->op == SCAN_IS_NOT_NULL)
        return true;
    return some_within(p, leading_value(f, type, key->min, key->min_size), leading_value(f, type, key->max, key->max_size));
}

static bool default_may_match(const struct scan_predicate *p, const struct region_column *c)
{
    struct column *value;
    if (c->default_kind == DEFAULT_FUNCTION || sst_default_column(NULL, c, 1, &value, NULL) != ST_OK)
        return true; /* the time of this moment is not that of the read */
    bool keep = predicate_keeps(p, value, 0);
    column_unref(value);
    return keep;
}

bool sst_times_comparable(const struct sst_footer *f, const struct read_request *q)
{
    const struct region_column *now = &q->metadata->columns[q->metadata->time_index], *then = &f->metadata->columns[f->metadata->time_index];
    return type_equal(now->type, then->type, false);
}

bool sst_times_may_match(const struct read_request *q, const struct parquet_bounds *b)
{
    if (!b->has_min || !b->has_max || b->min_size != 8 || b->max_size != 8)
        return true;
    return (int64_t)load_le64(b->max) >= q->time_min && (int64_t)load_le64(b->min) <= q->time_max;
}

bool sst_times_cut(const struct sst_footer *f, const struct read_request *q, uint32_t row_group)
{
    if (q->time_min == INT64_MIN && q->time_max == INT64_MAX)
        return false;
    const struct parquet_chunk *c = chunk_of(f, row_group, f->time);
    if (!c || !c->bounds.has_min || !c->bounds.has_max || c->bounds.min_size != 8 || c->bounds.max_size != 8 || !sst_times_comparable(f, q))
        return true;
    return (int64_t)load_le64(c->bounds.min) < q->time_min || (int64_t)load_le64(c->bounds.max) > q->time_max;
}

bool sst_usable(const struct sst_footer *f, const struct read_request *q, const struct scan_predicate *p)
{
    /* Dropping one version of a row by its fields would bring an older one back. */
    return q->metadata->columns[p->column].semantic != SEMANTIC_FIELD || q->append || (q->alone && f->unique);
}

bool sst_may_match(const struct sst_footer *f, const struct read_request *q, uint32_t row_group)
{
    const struct parquet_chunk *times = chunk_of(f, row_group, f->time);
    if (times && sst_times_comparable(f, q) && !sst_times_may_match(q, &times->bounds))
        return false;
    for (uint32_t i = 0; i < q->n_predicates; i++) {
        const struct scan_predicate *p = &q->predicates[i];
        struct sst_column c = sst_find_column(f, q->metadata, p->column);
        if (!sst_usable(f, q, p))
            continue;
        if (c.file_column < 0) {
            if (!default_may_match(p, c.want))
                return false;
            continue;
        }
        int32_t place = f->place[c.file_column];
        const struct parquet_chunk *chunk = place >= 0 ? chunk_of(f, row_group, (uint32_t)place) : NULL;
        struct dtype *type = f->metadata->columns[c.file_column].type;
        if (chunk && type_equal(type, c.want->type, false) && !sst_bounds_may_match(p, &chunk->bounds, chunk->values, type))
            return false;
        const struct parquet_chunk *keys = place < 0 ? chunk_of(f, row_group, f->key) : NULL;
        if (keys && !sst_key_bounds_may_match(f, &c, p, &keys->bounds))
            return false;
    }
    return true;
}
