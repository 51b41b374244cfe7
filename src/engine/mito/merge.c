/* Many sorted sources into one, with deduplication (mito-engine.md section 4).
 *
 * Rows are picked as (part, row) pairs, where a part is a batch of some source; an output batch is gathered from the parts column by column. A group of
 * rows of one (key, time) is always resolved whole before anything is handed out, so batch borders never matter. Batches that the heads have left stay
 * alive as parts until the picks that name them are gathered.
 */
#include "engine/mito/source.h"

#include <stdlib.h>
#include <string.h>

enum { OUTPUT_ROWS = 8192, PARTS_MAX = 256 };

struct head {
    struct row_source *source;
    struct row_batch *batch; /* NULL = at its end */
    int64_t row;
    int64_t part;            /* index into merge.parts, -1 = not named yet */
};

struct part {
    struct row_batch *batch;
    bool retired;            /* owned by the part: the head has moved on */
    int64_t min, max, base;  /* rows picked; where `min` lies in the joined columns */
};

struct merge {
    struct row_source base;
    struct head *heads;
    uint32_t n_heads;
    enum merge_mode mode;
    bool drop_deletes, started;
    bool *fields;
    uint32_t n_columns;
    struct budget *budget;
    struct work_context *work;
    struct part *parts;
    uint32_t n_parts, parts_room;
    uint64_t *picks;         /* part << 32 | row */
    uint64_t **fills;        /* last_non_null: per field column its own picks, else NULL */
    uint32_t n_picks, picks_room;
};

static const uint8_t *key_at(const struct row_batch *b, int64_t row, int32_t *ret_size)
{
    return column_bytes(b->key->dictionary, COLUMN_VALUES(b->key, uint32_t)[row], ret_size);
}

static int compare_keys(const struct row_batch *a, int64_t i, const struct row_batch *b, int64_t j)
{
    if (a->key->dictionary == b->key->dictionary && COLUMN_VALUES(a->key, uint32_t)[i] == COLUMN_VALUES(b->key, uint32_t)[j])
        return 0;
    int32_t n, m;
    const uint8_t *x = key_at(a, i, &n), *y = key_at(b, j, &m);
    int32_t least = n < m ? n : m;
    int c = least ? memcmp(x, y, (size_t)least) : 0;
    return c ? c : (n > m) - (n < m);
}

static int64_t time_at(const struct row_batch *b, int64_t row)
{
    return COLUMN_VALUES(b->time, int64_t)[row];
}

static uint64_t sequence_at(const struct row_batch *b, int64_t row)
{
    return b->sequence ? COLUMN_VALUES(b->sequence, uint64_t)[row] : b->constant_sequence;
}

static bool deleted_at(const struct row_batch *b, int64_t row)
{
    return b->op && COLUMN_VALUES(b->op, uint8_t)[row] == OP_DELETE;
}

/* By (key, time) only. */
static int compare_place(const struct head *a, const struct head *b)
{
    int c = compare_keys(a->batch, a->row, b->batch, b->row);
    if (c)
        return c;
    int64_t x = time_at(a->batch, a->row), y = time_at(b->batch, b->row);
    return (x > y) - (x < y);
}

/* The head to come next: least place, then highest sequence, then the later source. NULL at the end. */
static struct head *first_head(struct merge *m, const struct head *except)
{
    struct head *best = NULL;
    for (uint32_t i = 0; i < m->n_heads; i++) {
        struct head *h = &m->heads[i];
        if (!h->batch || h == except)
            continue;
        int c = best ? compare_place(h, best) : -1;
        if (c < 0 || (c == 0 && sequence_at(h->batch, h->row) >= sequence_at(best->batch, best->row)))
            best = h;
    }
    return best;
}

static int load(struct head *h, struct error *err)
{
    h->row = 0;
    h->part = -1;
    h->batch = NULL;
    for (;;) {
        TRY(row_source_next(h->source, &h->batch, err));
        if (!h->batch || h->batch->n_rows > 0)
            return ST_OK;
        row_batch_free(h->batch);
        h->batch = NULL;
    }
}

static int advance(struct merge *m, struct head *h, struct error *err)
{
    if (++h->row < h->batch->n_rows)
        return ST_OK;
    if (h->part >= 0)
        m->parts[h->part].retired = true;
    else
        row_batch_free(h->batch);
    h->batch = NULL;
    TRY(work_check(m->work, err));
    return load(h, err);
}

static int name_part(struct merge *m, struct head *h, struct error *err)
{
    if (m->n_parts == m->parts_room) {
        uint32_t room = m->parts_room ? m->parts_room * 2 : 64;
        struct part *grown = realloc(m->parts, room * sizeof *grown);
        if (!grown)
            return error_no_memory(err, room * sizeof *grown);
        m->parts = grown;
        m->parts_room = room;
    }
    m->parts[m->n_parts] = (struct part){.batch = h->batch, .min = h->row, .max = h->row};
    h->part = m->n_parts++;
    return ST_OK;
}

static int name_pick(struct merge *m, struct head *h, uint64_t *ret_pick, struct error *err)
{
    if (h->part < 0)
        TRY(name_part(m, h, err));
    m->parts[h->part].max = h->row;
    *ret_pick = (uint64_t)h->part << 32 | (uint32_t)h->row;
    return ST_OK;
}

static int pick(struct merge *m, struct head *h, struct error *err)
{
    uint64_t p;
    TRY(name_pick(m, h, &p, err));
    m->picks[m->n_picks] = p;
    for (uint32_t i = 0; m->fills && i < m->n_columns; i++)
        if (m->fills[i])
            m->fills[i][m->n_picks] = p;
    m->n_picks++;
    return ST_OK;
}

static bool null_at(const struct column *c, int64_t i)
{
    return column_is_null(c, i) || (c->type->id == TYPE_DICTIONARY && column_is_null(c->dictionary, COLUMN_VALUES(c, uint32_t)[i]));
}

/* Fields of the row picked last that are still null take the value of the (older) row at `h`. */
static int back_fill(struct merge *m, struct head *h, struct error *err)
{
    uint64_t p;
    TRY(name_pick(m, h, &p, err));
    for (uint32_t i = 0; i < m->n_columns; i++) {
        if (!m->fills[i])
            continue;
        uint64_t *f = &m->fills[i][m->n_picks - 1];
        if (null_at(m->parts[*f >> 32].batch->columns[i], (int64_t)(uint32_t)*f))
            *f = p;
    }
    return ST_OK;
}

/* One group of equal (key, time), newest row first. */
static int take_group(struct merge *m, struct head *h, struct error *err)
{
    struct head place = *h; /* the newest row; kept alive as a part while the group is walked */
    bool deleted = deleted_at(h->batch, h->row), filling = !deleted && m->fills;
    uint64_t unused;
    TRY(name_pick(m, h, &unused, err));
    if (!deleted || !m->drop_deletes)
        TRY(pick(m, h, err));
    TRY(advance(m, h, err));
    for (;;) {
        struct head *next = first_head(m, NULL);
        if (!next || compare_place(next, &place) != 0)
            return ST_OK;
        filling = filling && !deleted_at(next->batch, next->row);
        if (filling)
            TRY(back_fill(m, next, err));
        TRY(advance(m, next, err));
    }
}

static int take_one(struct merge *m, struct head *h, struct error *err)
{
    if (!m->drop_deletes || !deleted_at(h->batch, h->row))
        TRY(pick(m, h, err));
    return advance(m, h, err);
}

/* Rows of `h` that stand alone and lie before every other head, without looking for the winner again. */
static int take_run(struct merge *m, struct head *h, struct error *err)
{
    const struct head *second = first_head(m, h);
    struct row_batch *b = h->batch;
    const uint32_t *codes = COLUMN_VALUES(b->key, uint32_t);
    const int64_t *times = COLUMN_VALUES(b->time, int64_t);
    int order = -1;
    uint32_t code = codes[h->row];
    if (second)
        order = compare_keys(b, h->row, second->batch, second->row);
    /* The last row of a batch may be equal to the first of the next one: it goes the careful way, unless duplicates are kept. */
    while (m->n_picks < OUTPUT_ROWS) {
        int64_t r = h->row;
        if (codes[r] != code) {
            code = codes[r];
            if (second)
                order = compare_keys(b, r, second->batch, second->row);
        }
        bool before = order < 0 || (order == 0 && times[r] < time_at(second->batch, second->row));
        bool last = r + 1 == b->n_rows, alone = !last && (times[r] != times[r + 1] || compare_keys(b, r, b, r + 1) != 0);
        if (!before || (m->mode != MERGE_APPEND && !alone))
            return m->mode == MERGE_APPEND ? take_one(m, h, err) : take_group(m, h, err);
        TRY(take_one(m, h, err));
        if (last) /* `b` may be gone */
            return ST_OK;
    }
    return ST_OK;
}

/* Column `which` of a part: the wanted columns, then time, sequence, op. */
static struct column *part_column(const struct part *p, uint32_t which, uint32_t n_columns)
{
    const struct row_batch *b = p->batch;
    return which < n_columns ? b->columns[which] : which == n_columns ? b->time : which == n_columns + 1 ? b->sequence : b->op;
}

/* A sequence or op column for a part that has it as a constant. */
static int constant_column(struct merge *m, const struct part *p, bool sequence, struct column **ret_column, struct error *err)
{
    int64_t n = p->max - p->min + 1;
    struct buffer *values;
    TRY(buffer_new_uninit(m->budget, (size_t)n * (sequence ? 8 : 1), &values, err));
    for (int64_t i = 0; i < n && sequence; i++)
        ((uint64_t *)(void *)values->data)[i] = p->batch->constant_sequence;
    if (!sequence)
        memset(values->data, OP_PUT, (size_t)n);
    return column_new(type_of(sequence ? TYPE_UINT64 : TYPE_UINT8), n, 0, NULL, values, NULL, ret_column, err);
}

static int cut_part(struct merge *m, const struct part *p, uint32_t which, bool decode, struct column **ret_column, struct error *err)
{
    struct column *c = part_column(p, which, m->n_columns), *cut;
    if (!c)
        return constant_column(m, p, which == m->n_columns + 1, ret_column, err);
    TRY(column_slice(c, p->min, p->max - p->min + 1, &cut, err));
    if (!decode) {
        *ret_column = cut;
        return ST_OK;
    }
    int st = column_decode_dictionary(m->budget, cut, ret_column, err);
    column_unref(cut);
    return st;
}

/* Dictionaries are kept when all parts have one and they are not much longer than the output. */
static bool must_decode(const struct merge *m, uint32_t which)
{
    int64_t total = 0;
    bool plain = false, coded = false;
    for (uint32_t i = 0; i < m->n_parts; i++) {
        const struct column *c = part_column(&m->parts[i], which, m->n_columns);
        bool d = c && c->type->id == TYPE_DICTIONARY;
        plain |= !d;
        coded |= d;
        total += d ? c->dictionary->length : 0;
    }
    return coded && (plain || total > 2 * OUTPUT_ROWS);
}

static int gather(struct merge *m, uint32_t which, const uint64_t *picks, uint32_t *indices, struct column **ret_column, struct error *err)
{
    struct column **cuts = calloc(m->n_parts, sizeof *cuts), *joined = NULL;
    uint32_t n = 0;
    bool decode = must_decode(m, which);
    int st = cuts ? ST_OK : error_no_memory(err, m->n_parts * sizeof *cuts);
    for (; st == ST_OK && n < m->n_parts; n += st == ST_OK)
        st = cut_part(m, &m->parts[n], which, decode, &cuts[n], err);
    for (uint32_t i = 0; i < m->n_picks; i++) {
        const struct part *p = &m->parts[picks[i] >> 32];
        indices[i] = (uint32_t)(p->base + (int64_t)(uint32_t)picks[i] - p->min);
    }
    if (st == ST_OK)
        st = column_concat(m->budget, cuts, n, &joined, err);
    if (st == ST_OK)
        st = column_take(m->budget, joined, indices, m->n_picks, ret_column, err);
    column_unref(joined);
    for (uint32_t i = 0; i < n; i++)
        column_unref(cuts[i]);
    free(cuts);
    return st;
}

/* A fresh dictionary of just the keys picked: they ascend, so a new one is told by its neighbour. */
static int gather_keys(struct merge *m, struct column **ret_key, struct error *err)
{
    struct column_builder values;
    struct buffer *codes = NULL;
    struct column *dictionary = NULL;
    struct dtype *type = type_dictionary(TYPE_UINT32, type_of(TYPE_BINARY));
    int st = column_builder_init(&values, m->budget, type_of(TYPE_BINARY), err);
    if (st != ST_OK || !type) {
        type_unref(type);
        return st != ST_OK ? st : error_no_memory(err, sizeof *type);
    }
    st = buffer_new_uninit(m->budget, (size_t)m->n_picks * 4, &codes, err);
    for (uint32_t i = 0; st == ST_OK && i < m->n_picks; i++) {
        uint64_t p = m->picks[i], q = i ? m->picks[i - 1] : 0;
        const struct row_batch *b = m->parts[p >> 32].batch;
        if (i == 0 || compare_keys(b, (int64_t)(uint32_t)p, m->parts[q >> 32].batch, (int64_t)(uint32_t)q) != 0) {
            int32_t size;
            const uint8_t *bytes = key_at(b, (int64_t)(uint32_t)p, &size);
            st = column_builder_append_bytes(&values, bytes, (size_t)size, err);
        }
        ((uint32_t *)(void *)codes->data)[i] = (uint32_t)(values.length - 1);
    }
    if (st == ST_OK)
        st = column_builder_finish(&values, &dictionary, err);
    if (st == ST_OK)
        st = column_new_nested(type, m->n_picks, 0, NULL, codes, &dictionary, 1, ret_key, err);
    else
        buffer_unref(codes);
    column_builder_release(&values);
    type_unref(type);
    return st;
}

static void release_parts(struct merge *m)
{
    for (uint32_t i = 0; i < m->n_parts; i++)
        if (m->parts[i].retired)
            row_batch_free(m->parts[i].batch);
    for (uint32_t i = 0; i < m->n_heads; i++)
        m->heads[i].part = -1;
    m->n_parts = m->n_picks = 0;
}

static int assemble(struct merge *m, struct row_batch **ret_batch, struct error *err)
{
    uint32_t n = m->n_columns;
    struct column **c = calloc(n + 3, sizeof *c), *key = NULL;
    uint32_t *indices = malloc(sizeof *indices * (m->n_picks + 1));
    int64_t base = 0;
    bool ops = false;
    for (uint32_t i = 0; i < m->n_parts; base += m->parts[i].max - m->parts[i].min + 1, i++) {
        m->parts[i].base = base;
        ops |= m->parts[i].batch->op != NULL;
    }
    int st = c && indices ? gather_keys(m, &key, err) : error_no_memory(err, m->n_picks * 4);
    for (uint32_t i = 0; st == ST_OK && i < n + 2 + ops; i++)
        st = gather(m, i, i < n && m->fills && m->fills[i] ? m->fills[i] : m->picks, indices, &c[i], err);
    if (st == ST_OK) {
        st = row_batch_new(m->n_picks, key, c[n], c[n + 1], 0, c[n + 2], c, n, ret_batch, err);
    } else {
        column_unref(key);
        for (uint32_t i = 0; c && i < n + 3; i++)
            column_unref(c[i]);
    }
    free(indices);
    free(c);
    return st;
}

static int merge_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct merge *m = (struct merge *)base;
    *ret_batch = NULL;
    for (uint32_t i = 0; !m->started && i < m->n_heads; i++)
        TRY(load(&m->heads[i], err));
    m->started = true;
    for (;;) {
        struct head *h = first_head(m, NULL);
        if (m->n_picks && (!h || m->n_picks >= OUTPUT_ROWS || m->n_parts >= PARTS_MAX))
            break;
        if (!h)
            return ST_OK;
        if (!m->n_picks)
            release_parts(m);
        TRY(take_run(m, h, err));
    }
    int st = assemble(m, ret_batch, err);
    release_parts(m);
    return st;
}

static void merge_free(struct row_source *base)
{
    struct merge *m = (struct merge *)base;
    release_parts(m);
    for (uint32_t i = 0; i < m->n_heads; i++) {
        row_batch_free(m->heads[i].batch);
        row_source_free(m->heads[i].source);
    }
    for (uint32_t i = 0; m->fills && i < m->n_columns; i++)
        free(m->fills[i]);
    free(m->fills);
    free(m->heads);
    free(m->fields);
    free(m->parts);
    free(m->picks);
    free(m);
}

static const struct row_source_ops merge_ops = {merge_next, merge_free};

static int merge_init(struct merge *m, struct row_source **sources, uint32_t n, const bool *fields, struct error *err)
{
    m->picks = malloc(sizeof *m->picks * (OUTPUT_ROWS + 1));
    m->fills = m->mode == MERGE_LAST_NON_NULL ? calloc(m->n_columns + 1, sizeof *m->fills) : NULL;
    if (!m->picks || (m->mode == MERGE_LAST_NON_NULL && !m->fills))
        return error_no_memory(err, sizeof *m->picks * OUTPUT_ROWS);
    for (uint32_t i = 0; m->fills && i < m->n_columns; i++)
        if (fields[i] && !(m->fills[i] = malloc(sizeof *m->picks * (OUTPUT_ROWS + 1))))
            return error_no_memory(err, sizeof *m->picks * OUTPUT_ROWS);
    for (uint32_t i = 0; i < n; i++) {
        m->base.time_min = sources[i]->time_min < m->base.time_min ? sources[i]->time_min : m->base.time_min;
        m->base.time_max = sources[i]->time_max > m->base.time_max ? sources[i]->time_max : m->base.time_max;
    }
    return ST_OK;
}

int merge_source_new(struct row_source **sources, uint32_t n, enum merge_mode mode, bool drop_deletes, const bool *fields, uint32_t n_columns,
                     struct budget *budget, struct work_context *work, struct row_source **ret_source, struct error *err)
{
    if (n == 1 && sources[0]->unique) {
        *ret_source = sources[0];
        return ST_OK;
    }
    struct merge *m = calloc(1, sizeof *m);
    struct head *heads = calloc(n + 1, sizeof *heads);
    if (!m || !heads) {
        free(m);
        free(heads);
        for (uint32_t i = 0; i < n; i++)
            row_source_free(sources[i]);
        return error_no_memory(err, sizeof *m);
    }
    *m = (struct merge){.base = {.ops = &merge_ops, .time_min = INT64_MAX, .time_max = INT64_MIN, .unique = mode != MERGE_APPEND && drop_deletes},
                        .heads = heads, .n_heads = n, .mode = mode, .drop_deletes = drop_deletes, .n_columns = n_columns, .budget = budget, .work = work};
    for (uint32_t i = 0; i < n; i++)
        heads[i] = (struct head){.source = sources[i], .part = -1};
    int st = merge_init(m, sources, n, fields, err);
    if (st != ST_OK) {
        merge_free(&m->base);
        return st;
    }
    *ret_source = &m->base;
    return ST_OK;
}
