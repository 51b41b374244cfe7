/* Rows of shared files: after a repartition a file may hold rows of several regions, and each region reads only those that its partition expression
 * keeps.
 *
 * The expression is `{"Expr":{"lhs":O,"op":OP,"rhs":O}}` with O = `{"Column":"a"}`, `{"Value":{"Int32":10}}` or another Expr (mito-on-disk.md 2.7).
 * NULL is smaller than every value, as it is where the frontend routes rows: `a < 10` keeps it, `a >= 10` does not, `a = NULL` means IS NULL. The
 * columns that the expression needs are read behind the wanted ones and dropped again.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/mito/mito.h"
#include "engine/mito/predicate.h"
#include "format/json/json.h"

enum { NODES_MAX = 4096, DEPTH_MAX = 64 };
enum part_op { PART_EQ, PART_NE, PART_LT, PART_LE, PART_GT, PART_GE, PART_AND, PART_OR };

struct part_node {
    enum part_op op;
    uint32_t left, right; /* AND, OR: nodes */
    uint32_t column;      /* comparison: position in the batch */
    bool null_value;
    struct column *value; /* comparison: one value of the column's type */
};

struct part_source {
    struct row_source base;
    struct row_source *from;
    struct budget *budget;
    struct part_node *nodes; /* the last one is the root */
    uint32_t n_nodes, n_wanted, n_read;
    uint32_t *columns; /* n_read of them: wanted, then needed */
};

/* ---- the expression ---- */

static int bad(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "a partition expression has a bad %s", what);
}

/* The column's position in the batches, which it is added to when it is not among them. */
static int position_of(struct part_source *s, uint32_t column, uint32_t *ret_position, struct error *err)
{
    uint32_t i = 0;
    while (i < s->n_read && s->columns[i] != column)
        i++;
    if (i == s->n_read) {
        uint32_t *more = realloc(s->columns, (s->n_read + 1) * sizeof *more);
        if (!more)
            return error_no_memory(err, (s->n_read + 1) * sizeof *more);
        s->columns = more;
        s->columns[s->n_read++] = column;
    }
    *ret_position = i;
    return ST_OK;
}

static int add_node(struct part_source *s, struct part_node node, uint32_t *ret_index, struct error *err)
{
    struct part_node *more = s->n_nodes < NODES_MAX ? realloc(s->nodes, (s->n_nodes + 1) * sizeof *more) : NULL;
    if (!more) {
        column_unref(node.value);
        return s->n_nodes < NODES_MAX ? error_no_memory(err, sizeof *more) : bad("size", err);
    }
    s->nodes = more;
    s->nodes[s->n_nodes] = node;
    *ret_index = s->n_nodes++;
    return ST_OK;
}

static bool op_of(const struct json_value *v, enum part_op *ret_op)
{
    static const char *const names[] = {"Eq", "NotEq", "Lt", "LtEq", "Gt", "GtEq", "And", "Or"};
    for (int i = 0; i < 8; i++)
        if (json_is_string(v, names[i])) {
            *ret_op = (enum part_op)i;
            return true;
        }
    return false;
}

static int compare_node(struct part_source *s, const struct region_metadata *m, enum part_op op, const struct json_value *column,
                        const struct json_value *value, uint32_t *ret_index, struct error *err)
{
    struct part_node node = {.op = op, .null_value = json_is_string(value, "Null")};
    int at = json_is(column, JSON_STRING) ? region_metadata_find(m, column->string, column->string_size) : -1;
    if (at < 0)
        return bad("column", err);
    TRY(position_of(s, (uint32_t)at, &node.column, err));
    TRY(region_value_from_json(value, &m->columns[at], &node.value, err));
    return add_node(s, node, ret_index, err);
}

static int parse(struct part_source *s, const struct region_metadata *m, const struct json_value *v, int depth, uint32_t *ret_index,
                 struct error *err)
{
    static const enum part_op mirrored[] = {PART_EQ, PART_NE, PART_GT, PART_GE, PART_LT, PART_LE};
    const struct json_value *expr = json_get(v, "Expr"), *lhs = json_get(expr, "lhs"), *rhs = json_get(expr, "rhs");
    struct part_node node = {0};
    if (depth > DEPTH_MAX || !op_of(json_get(expr, "op"), &node.op) || !lhs || !rhs)
        return bad("form", err);
    if (node.op >= PART_AND) {
        TRY(parse(s, m, lhs, depth + 1, &node.left, err));
        TRY(parse(s, m, rhs, depth + 1, &node.right, err));
        return add_node(s, node, ret_index, err);
    }
    if (json_get(lhs, "Column") && json_get(rhs, "Value"))
        return compare_node(s, m, node.op, json_get(lhs, "Column"), json_get(rhs, "Value"), ret_index, err);
    if (json_get(lhs, "Value") && json_get(rhs, "Column"))
        return compare_node(s, m, mirrored[node.op], json_get(rhs, "Column"), json_get(lhs, "Value"), ret_index, err);
    return bad("comparison", err);
}

static int parse_text(struct part_source *s, const struct region_metadata *m, struct error *err)
{
    struct arena arena;
    const struct json_value *v;
    uint32_t root;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, m->partition_expr, strlen(m->partition_expr), &v, err);
    if (st == ST_OK)
        st = parse(s, m, v, 0, &root, err);
    arena_release(&arena);
    return st;
}

/* ---- evaluation ---- */

static bool is_null(const struct column *c, int64_t i)
{
    static const struct scan_predicate test = {.op = SCAN_IS_NULL};
    return predicate_keeps(&test, c, i);
}

static bool keeps_value(const struct part_node *n, const struct column *c, int64_t i)
{
    bool known, null = is_null(c, i);
    if (null || n->null_value) {
        int order = (int)n->null_value - (int)null; /* NULL first: -1 when only the row's is NULL, 1 when only the expression's */
        switch (n->op) {
        case PART_EQ:
            return order == 0;
        case PART_NE:
            return n->null_value && !null;
        case PART_LT:
            return order < 0;
        case PART_LE:
            return order <= 0;
        case PART_GT:
            return order > 0;
        default:
            return order >= 0;
        }
    }
    int order = predicate_compare(c, i, n->value, 0, &known);
    if (!known)
        return true;
    return n->op == PART_EQ   ? order == 0
           : n->op == PART_NE ? order != 0
           : n->op == PART_LT ? order < 0
           : n->op == PART_LE ? order <= 0
           : n->op == PART_GT ? order > 0
                              : order >= 0;
}

/* A node comes after its operands, so one pass over the nodes per row does it. */
static bool keeps_row(const struct part_source *s, const struct row_batch *b, int64_t i, bool *results)
{
    for (uint32_t k = 0; k < s->n_nodes; k++) {
        const struct part_node *n = &s->nodes[k];
        results[k] = n->op == PART_AND  ? results[n->left] && results[n->right]
                     : n->op == PART_OR ? results[n->left] || results[n->right]
                                        : keeps_value(n, b->columns[n->column], i);
    }
    return results[s->n_nodes - 1];
}

static int take_optional(struct budget *budget, struct column *c, const uint32_t *rows, int64_t n, struct column **ret_column, struct error *err)
{
    *ret_column = NULL;
    return c ? column_take(budget, c, rows, n, ret_column, err) : ST_OK;
}

/* The chosen rows, without the columns that only the expression needs. */
static int choose(const struct part_source *s, const struct row_batch *b, const uint32_t *rows, int64_t n, struct row_batch **ret_batch,
                  struct error *err)
{
    struct column *parts[4] = {NULL}, **columns = calloc(s->n_wanted + 1, sizeof *columns);
    struct column *const from[4] = {b->key, b->time, b->sequence, b->op};
    uint32_t done = 0;
    int st = columns ? ST_OK : error_no_memory(err, s->n_wanted * sizeof *columns);
    for (int i = 0; st == ST_OK && i < 4; i++)
        st = take_optional(s->budget, from[i], rows, n, &parts[i], err);
    for (; st == ST_OK && done < s->n_wanted; done += st == ST_OK)
        st = column_take(s->budget, b->columns[done], rows, n, &columns[done], err);
    if (st == ST_OK) {
        st = row_batch_new(n, parts[0], parts[1], parts[2], b->constant_sequence, parts[3], columns, s->n_wanted, ret_batch, err);
    } else {
        for (int i = 0; i < 4; i++)
            column_unref(parts[i]);
        for (uint32_t i = 0; i < done; i++)
            column_unref(columns[i]);
    }
    free(columns);
    return st;
}

static int filter(const struct part_source *s, const struct row_batch *b, struct row_batch **ret_batch, struct error *err)
{
    uint32_t *rows = malloc(((size_t)b->n_rows + 1) * sizeof *rows);
    bool *results = malloc(s->n_nodes + 1);
    int64_t n = 0;
    int st = rows && results ? ST_OK : error_no_memory(err, (size_t)b->n_rows * sizeof *rows);
    for (int64_t i = 0; st == ST_OK && i < b->n_rows; i++) {
        rows[n] = (uint32_t)i;
        n += keeps_row(s, b, i, results);
    }
    *ret_batch = NULL;
    if (st == ST_OK && n)
        st = choose(s, b, rows, n, ret_batch, err);
    free(rows);
    free(results);
    return st;
}

static int part_next(struct row_source *base, struct row_batch **ret_batch, struct error *err)
{
    struct part_source *s = (struct part_source *)base;
    for (;;) {
        struct row_batch *b, *kept;
        TRY(row_source_next(s->from, &b, err));
        *ret_batch = NULL;
        if (!b)
            return ST_OK;
        int st = filter(s, b, &kept, err);
        row_batch_free(b);
        if (st != ST_OK || kept) {
            *ret_batch = st == ST_OK ? kept : NULL;
            return st;
        }
    }
}

static void part_free(struct row_source *base)
{
    struct part_source *s = (struct part_source *)base;
    row_source_free(s->from);
    for (uint32_t i = 0; i < s->n_nodes; i++)
        column_unref(s->nodes[i].value);
    free(s->nodes);
    free(s->columns);
    free(s);
}

static const struct row_source_ops ops = {part_next, part_free};

bool mito_file_is_shared(const struct sst_file *file, const struct region_metadata *metadata)
{
    const char *mine = metadata->partition_expr, *its = file->meta.partition_expr;
    return mine && *mine && !(its && strcmp(mine, its) == 0);
}

int mito_file_source(struct sst_file *file, const struct read_request *request, struct row_source **ret_source, struct error *err)
{
    if (!mito_file_is_shared(file, request->metadata))
        return sst_source_new(file, request, ret_source, err);
    struct part_source *s = calloc(1, sizeof *s);
    uint32_t *columns = s ? malloc((request->n_columns + 1) * sizeof *columns) : NULL;
    if (!columns) {
        free(s);
        return error_no_memory(err, request->n_columns * sizeof *columns);
    }
    if (request->n_columns)
        memcpy(columns, request->columns, request->n_columns * sizeof *columns);
    *s = (struct part_source){
        .base = {.ops = &ops}, .budget = request->budget, .columns = columns, .n_wanted = request->n_columns, .n_read = request->n_columns};
    int st = parse_text(s, request->metadata, err);
    if (st == ST_OK) {
        struct read_request all = *request;
        all.columns = s->columns;
        all.n_columns = s->n_read;
        all.limit = 0; /* rows that the filter drops must not count */
        st = sst_source_new(file, &all, &s->from, err);
    }
    if (st != ST_OK) {
        part_free(&s->base);
        return st;
    }
    s->base.time_min = s->from->time_min;
    s->base.time_max = s->from->time_max;
    s->base.unique = s->from->unique;
    *ret_source = &s->base;
    return ST_OK;
}
