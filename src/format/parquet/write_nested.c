/* Definition and repetition levels of lists and structs: one walk a leaf, row by row. Nested columns are rare where this writer is used. */
#include "format/parquet/writer.h"

#include "base/bits.h"

struct walk {
    struct pq_buf definition, repetition, indexes;
    const struct column *leaf; /* found on the way */
    struct error *err;
};

static int emit(struct walk *w, uint8_t definition, uint8_t repetition)
{
    TRY(pq_buf_append(&w->definition, &definition, 1, w->err));
    return pq_buf_append(&w->repetition, &repetition, 1, w->err);
}

/* Value i of `c`, whose field is `f`, for the k-th leaf below it. `level` counts the lists passed. Depth is that of the type. */
static int visit(struct walk *w, const struct field *f, const struct column *c, int64_t i, uint32_t k, uint8_t d, uint8_t rep, uint8_t level)
{
    const struct dtype *t = f->type;
    if (f->nullable) {
        if (column_is_null(c, i))
            return emit(w, d, rep);
        d++;
    } else if (column_is_null(c, i)) {
        return error_set(w->err, ST_INVALID_ARGUMENTS, "parquet: null in %s, which has none", f->name);
    }
    if (t->id == TYPE_STRUCT) {
        uint32_t m = 0;
        for (uint32_t n; k >= (n = pqw_count_leaves(t->children[m]->type)); m++)
            k -= n;
        return visit(w, t->children[m], c->children[m], c->offset + i, k, d, rep, level);
    }
    if (t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST || t->id == TYPE_MAP) {
        const int32_t *o = (const int32_t *)(const void *)c->buffers[0]->data + c->offset + i;
        if (o[0] == o[1])
            return emit(w, d, rep);
        for (int32_t item = o[0]; item < o[1]; item++)
            TRY(visit(w, t->children[0], c->children[0], item, k, (uint8_t)(d + 1), item == o[0] ? rep : (uint8_t)(level + 1), (uint8_t)(level + 1)));
        return ST_OK;
    }
    uint32_t index = (uint32_t)i;
    w->leaf = c;
    TRY(emit(w, d, rep));
    return pq_buf_append(&w->indexes, &index, 4, w->err);
}

int pqw_append_nested(struct pqw_leaf *leaf, const struct field *field, uint32_t leaf_in_column, const struct column *column, int64_t start,
                      int64_t n, struct error *err)
{
    struct walk w = {.err = err};
    struct column *values = NULL, *plain = NULL;
    pq_buf_init(&w.definition, leaf->budget);
    pq_buf_init(&w.repetition, leaf->budget);
    pq_buf_init(&w.indexes, leaf->budget);
    int st = ST_OK;
    for (int64_t i = start; st == ST_OK && i < start + n; i++)
        st = visit(&w, field, column, i, leaf_in_column, 0, 0, 0);
    if (st == ST_OK && w.leaf)
        st = column_take(leaf->budget, w.leaf, (const uint32_t *)(const void *)w.indexes.data, (int64_t)(w.indexes.size / 4), &values, err);
    else if (st == ST_OK)
        st = column_new_nulls(leaf->budget, leaf->type, 0, &values, err);
    if (st == ST_OK)
        st = column_decode_dictionary(leaf->budget, values, &plain, err);
    if (st == ST_OK) {
        const uint8_t *repetition = leaf->max_repetition ? w.repetition.data : NULL;
        struct pqw_run run = {plain, 0, plain->length, n, w.definition.data, repetition, (int64_t)w.definition.size};
        st = pqw_leaf_append(leaf, &run, err);
    }
    column_unref(values);
    column_unref(plain);
    pq_buf_release(&w.definition);
    pq_buf_release(&w.repetition);
    pq_buf_release(&w.indexes);
    return st;
}
