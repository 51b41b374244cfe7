/* A top-level column from its leaves: Dremel assembly of lists, maps and structs.
 *
 * Every leaf keeps its levels; lists and structs take their offsets and validity from those of their first leaf (see struct pq_shape for the rule),
 * and the lengths of siblings are compared, so that leaves that contradict one another are found.
 */
#include "format/parquet/chunk.h"

#include "base/bits.h"

struct leaf_result {
    struct column *column;
    struct pq_buf definition, repetition;
    int64_t entries;
};

struct assembly {
    const struct parquet_file *file;
    const struct parquet_source *source;
    const struct parquet_selection *selection;
    struct budget *budget;
    struct pq_codecs codecs;
    uint32_t row_group;
    int flags;
    uint32_t first_leaf;
    struct leaf_result *leaves;
};

static int read_leaf(struct assembly *a, const struct pq_shape *shape, struct dtype *type, bool nested, struct error *err)
{
    struct pq_chunk_reader r = {.file = a->file, .source = a->source, .shape = shape, .type = type, .budget = a->budget, .codecs = &a->codecs,
                                .selection = a->selection, .keep_levels = nested, .as_codes = !nested && a->flags & PARQUET_AS_DICTIONARY};
    struct leaf_result *out = &a->leaves[shape->leaf - a->first_leaf];
    int st = pq_chunk_read(&r, a->row_group, shape->leaf, err);
    if (st == ST_OK)
        st = pq_out_finish(&r, &out->column, err);
    if (st == ST_OK) {
        out->definition = r.out.definition;
        out->repetition = r.out.repetition;
        out->entries = r.out.entries;
        pq_buf_init(&r.out.definition, a->budget);
        pq_buf_init(&r.out.repetition, a->budget);
    }
    pq_chunk_release(&r);
    return st;
}

static int read_leaves(struct assembly *a, const struct pq_shape *shape, struct dtype *type, bool nested, struct error *err)
{
    if (shape->kind == PQ_SHAPE_LEAF)
        return read_leaf(a, shape, type, nested, err);
    bool list = type->id == TYPE_LIST || type->id == TYPE_LARGE_LIST || type->id == TYPE_MAP;
    bool fits = shape->kind == PQ_SHAPE_STRUCT ? type->id == TYPE_STRUCT : list;
    if (!fits || type->n_children != shape->n_children)
        return error_set(err, ST_INVALID_ARGUMENTS, "parquet: column %s cannot be read as the wanted type", shape->field->name);
    for (uint32_t i = 0; i < shape->n_children; i++)
        TRY(read_leaves(a, shape->children[i], type->children[i]->type, true, err));
    return ST_OK;
}

/* Validity, and for lists offsets, of a node. */
struct frame {
    struct buffer *validity, *offsets;
    int64_t slots, nulls, items;
};

static void walk(const struct leaf_result *leaf, const struct pq_shape *s, struct frame *f)
{
    const uint8_t *definition = leaf->definition.data, *repetition = leaf->repetition.data;
    int32_t *offsets = f->offsets ? (int32_t *)(void *)f->offsets->data : NULL;
    int item_definition = offsets ? s->children[0]->slot_definition : 0, item_repetition = s->repetition + 1;
    for (int64_t i = 0; i < leaf->entries; i++) {
        int d = definition ? definition[i] : 0, rep = repetition ? repetition[i] : 0;
        if (rep <= s->repetition && d >= s->slot_definition) {
            if (offsets)
                offsets[f->slots] = (int32_t)f->items;
            bit_put(f->validity->data, f->slots++, d >= s->definition);
            f->nulls += d < s->definition;
        }
        if (offsets && rep <= item_repetition && d >= item_definition)
            f->items++;
    }
    if (offsets)
        offsets[f->slots] = (int32_t)f->items;
}

static int frame_of(struct assembly *a, const struct pq_shape *s, struct frame *f, struct error *err)
{
    const struct leaf_result *leaf = &a->leaves[s->first_leaf - a->first_leaf];
    *f = (struct frame){0};
    if (leaf->entries > INT32_MAX)
        return error_set(err, ST_EXHAUSTED, "parquet: more than 2^31 values in a column");
    TRY(buffer_new(a->budget, bits_bytes(leaf->entries), &f->validity, err));
    if (s->kind == PQ_SHAPE_LIST) {
        int st = buffer_new(a->budget, ((size_t)leaf->entries + 1) * 4, &f->offsets, err);
        if (st != ST_OK) {
            buffer_unref(f->validity);
            return st;
        }
    }
    walk(leaf, s, f);
    if (f->nulls == 0) {
        buffer_unref(f->validity);
        f->validity = NULL;
    }
    return ST_OK;
}

static int build(struct assembly *a, const struct pq_shape *s, struct dtype *type, struct column **ret_column, struct error *err)
{
    struct column *children[64], **kids = children;
    struct frame f = {0};
    uint32_t n = 0;
    if (s->kind == PQ_SHAPE_LEAF) {
        *ret_column = column_ref(a->leaves[s->leaf - a->first_leaf].column);
        return ST_OK;
    }
    if (s->n_children > 64 && !(kids = calloc(s->n_children, sizeof *kids)))
        return error_no_memory(err, s->n_children * sizeof *kids);
    int st = frame_of(a, s, &f, err);
    for (; st == ST_OK && n < s->n_children; n += st == ST_OK)
        st = build(a, s->children[n], type->children[n]->type, &kids[n], err);
    for (uint32_t i = 0; st == ST_OK && i < n; i++)
        if (kids[i]->length != (s->kind == PQ_SHAPE_LIST ? f.items : f.slots))
            st = pq_corrupt(err, "columns of one group that do not agree in their lengths");
    if (st == ST_OK) {
        st = column_new_nested(type, f.slots, f.nulls, f.validity, f.offsets, kids, n, ret_column, err);
    } else {
        buffer_unref(f.validity);
        buffer_unref(f.offsets);
        for (uint32_t i = 0; i < n; i++)
            column_unref(kids[i]);
    }
    if (kids != children)
        free(kids);
    return st;
}

/* Rows that the selection asks for; it is the caller's, so a wrong one is a programmer's error only if it leaves the row group. */
static int selected_rows(const struct parquet_selection *s, int64_t n_rows, int64_t *ret_rows, struct error *err)
{
    int64_t rows = 0, at = 0;
    for (uint32_t i = 0; s && i < s->n; i++) {
        if (s->ranges[i].start < at || s->ranges[i].end < s->ranges[i].start || s->ranges[i].end > n_rows)
            return error_set(err, ST_INVALID_ARGUMENTS, "parquet: a selection that leaves the row group");
        rows += s->ranges[i].end - s->ranges[i].start;
        at = s->ranges[i].end;
    }
    *ret_rows = s ? rows : n_rows;
    return ST_OK;
}

int parquet_read_column(const struct parquet_file *f, const struct parquet_source *source, uint32_t row_group, uint32_t column,
                        const struct parquet_selection *selection, struct dtype *type, int flags, struct budget *budget, struct column **ret_column,
                        struct error *err)
{
    const struct pq_shape *shape = f->columns[column];
    struct column *out = NULL;
    int64_t rows = 0;
    TRY(selected_rows(selection, f->row_groups[row_group].n_rows, &rows, err));
    struct assembly a = {.file = f, .source = source, .selection = selection, .budget = budget, .row_group = row_group, .flags = flags,
                         .first_leaf = shape->first_leaf};
    a.leaves = calloc(shape->n_leaves ? shape->n_leaves : 1, sizeof *a.leaves);
    if (!a.leaves)
        return error_no_memory(err, shape->n_leaves * sizeof *a.leaves);
    if (!type)
        type = shape->type;
    int st = read_leaves(&a, shape, type, false, err);
    if (st == ST_OK)
        st = build(&a, shape, type, &out, err);
    if (st == ST_OK && out->length != rows) {
        column_unref(out);
        st = error_set(err, ST_CORRUPT, "parquet: column %s has another number of rows than its row group", shape->field->name);
    }
    for (uint32_t i = 0; i < shape->n_leaves; i++) {
        column_unref(a.leaves[i].column);
        pq_buf_release(&a.leaves[i].definition);
        pq_buf_release(&a.leaves[i].repetition);
    }
    free(a.leaves);
    pq_codecs_release(&a.codecs);
    if (st == ST_OK)
        *ret_column = out;
    return st;
}
