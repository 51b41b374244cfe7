/* Plan header, relations and life cycle. Numbers are frozen: substrait plan.proto, extensions.proto, algebra.proto (query-plans.md 1.3 to 1.6). */
#include "format/substrait/plan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "format/substrait/internal.h"

/* ---- helpers ---- */

struct pb_field plan_member(const struct pb_field *message, uint32_t number)
{
    struct pb_field f, found = {0};
    struct pb_reader r = plan_inside(message);
    while (message->data && pb_next(&r, &f))
        if (f.number == number)
            found = f;
    return found;
}

uint32_t plan_count(const struct pb_field *message, uint32_t number)
{
    struct pb_field f;
    uint32_t n = 0;
    for (struct pb_reader r = plan_inside(message); message->data && plan_next(&r, number, &f);)
        n++;
    return n;
}

bool plan_next(struct pb_reader *r, uint32_t number, struct pb_field *ret_field)
{
    while (pb_next(r, ret_field))
        if (ret_field->number == number && ret_field->wire == PB_BYTES)
            return true;
    return false;
}

int plan_check(const struct pb_field *message, const char *what, struct error *err)
{
    struct pb_field f;
    struct pb_reader r = plan_inside(message);
    while (message->data && pb_next(&r, &f))
        ;
    return !message->data || pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "a %s of the plan is malformed protobuf", what);
}

static int out_of_memory(struct error *err)
{
    return err ? (int)err->status : ST_NO_MEMORY;
}

static int keep(void ***array, uint32_t *n, uint32_t *capacity, void *item, struct error *err)
{
    if (*n == *capacity) {
        uint32_t bigger = *capacity ? *capacity * 2 : 16;
        void **grown = realloc(*array, bigger * sizeof *grown);
        if (!grown)
            return error_no_memory(err, bigger * sizeof *grown);
        *array = grown;
        *capacity = bigger;
    }
    (*array)[(*n)++] = item;
    return ST_OK;
}

static int charge_kept(struct plan *plan, struct error *err)
{
    TRY(budget_charge(plan->budget, PLAN_KEPT_BYTES, err));
    plan->charged += PLAN_KEPT_BYTES;
    return ST_OK;
}

int plan_keep_type(struct plan_decoder *d, struct dtype *type, struct error *err)
{
    int st = charge_kept(d->plan, err);
    if (st == ST_OK)
        st = keep((void ***)&d->plan->types, &d->plan->n_types, &d->plan->types_capacity, type, err);
    if (st != ST_OK)
        type_unref(type);
    return st;
}

int plan_keep_column(struct plan_decoder *d, struct column *column, struct error *err)
{
    int st = charge_kept(d->plan, err);
    if (st == ST_OK)
        st = keep((void ***)&d->plan->columns, &d->plan->n_columns, &d->plan->columns_capacity, column, err);
    if (st != ST_OK)
        column_unref(column);
    return st;
}

void plan_release(struct plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->n_columns; i++)
        column_unref(plan->columns[i]);
    for (uint32_t i = 0; i < plan->n_types; i++)
        type_unref(plan->types[i]);
    free(plan->columns);
    free(plan->types);
    plan->columns = NULL;
    plan->types = NULL;
    plan->n_columns = plan->n_types = 0;
    budget_release(plan->budget, plan->charged);
    plan->charged = 0;
}

int plan_function_name(struct plan_decoder *d, uint64_t anchor, const char **ret_name, struct error *err)
{
    *ret_name = u64_map_get(&d->functions, anchor + 1);
    return *ret_name ? ST_OK
                     : error_set(err, ST_UNEXPECTED, "the plan calls function anchor %llu, which it does not declare", (unsigned long long)anchor);
}

/* ---- relations ---- */

/* An index above UINT32_MAX (2^64 - 1 means "none") becomes UINT32_MAX, which no relation has. */
static uint32_t index_of(uint64_t v)
{
    return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

int plan_decode_indexes(struct plan_decoder *d, const struct pb_field *message, uint32_t number, uint32_t **ret_items, uint32_t *ret_n,
                        struct error *err)
{
    uint32_t *items = arena_array(d->arena, message->size + 1, sizeof *items, err), n = 0;
    struct pb_field f;
    uint64_t v;
    if (!items)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(message); pb_next(&r, &f);) {
        if (f.number != number)
            continue;
        if (f.wire == PB_VARINT)
            items[n++] = index_of(f.value);
        else if (f.wire == PB_BYTES)
            for (struct pb_reader packed = plan_inside(&f); packed.p < packed.end;) {
                if (!pb_varint(&packed, &v))
                    return error_set(err, ST_INVALID_ARGUMENTS, "a list of indexes in the plan is malformed");
                items[n++] = index_of(v);
            }
    }
    *ret_items = items;
    *ret_n = n;
    return ST_OK;
}

/* RelCommon {direct=1, emit=2 {output_mapping=1}} */
static int read_common(struct plan_decoder *d, const struct pb_field *body, struct plan_rel *rel, struct error *err)
{
    struct pb_field common = plan_member(body, 1), emit = plan_member(&common, 2);
    if (!emit.data)
        return ST_OK;
    rel->has_emit = true;
    return plan_decode_indexes(d, &emit, 1, &rel->emit, &rel->n_emit, err);
}

static int read_exprs(struct plan_decoder *d, const struct pb_field *body, uint32_t number, unsigned depth, struct plan_expr ***ret_exprs,
                      uint32_t *ret_n, struct error *err)
{
    uint32_t n = plan_count(body, number), i = 0;
    struct pb_field f;
    struct plan_expr **exprs = arena_array(d->arena, n + 1, sizeof *exprs, err);
    if (!exprs)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(body); plan_next(&r, number, &f); i++)
        TRY(plan_decode_expr(d, &f, depth + 1, &exprs[i], err));
    *ret_exprs = exprs;
    *ret_n = n;
    return ST_OK;
}

/* SortField {expr=1, direction=2} */
static int read_sorts(struct plan_decoder *d, const struct pb_field *body, uint32_t number, unsigned depth, struct plan_sort **ret_sorts,
                      uint32_t *ret_n, struct error *err)
{
    uint32_t n = plan_count(body, number), i = 0;
    struct pb_field f;
    struct plan_sort *sorts = arena_array(d->arena, n + 1, sizeof *sorts, err);
    if (!sorts)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(body); plan_next(&r, number, &f); i++) {
        struct pb_field expr = plan_member(&f, 1);
        uint64_t direction = plan_member(&f, 2).value;
        if (direction < 1 || direction > 4)
            return error_set(err, ST_UNEXPECTED, "a sort key has direction %llu", (unsigned long long)direction);
        sorts[i].direction = (enum plan_sort_direction)direction;
        TRY(plan_decode_expr(d, &expr, depth + 1, &sorts[i].expr, err));
    }
    *ret_sorts = sorts;
    *ret_n = n;
    return ST_OK;
}

/* NamedStruct {names=1, struct=2} */
static int read_base_schema(struct plan_decoder *d, const struct pb_field *body, struct plan_rel *rel, struct error *err)
{
    struct pb_field schema = plan_member(body, 2), types = plan_member(&schema, 2), f;
    uint32_t n_names = plan_count(&schema, 1), n = plan_count(&types, 1), i = 0, next = 0;
    const char **names = arena_array(d->arena, n_names + 1, sizeof *names, err);
    rel->column_names = arena_array(d->arena, n + 1, sizeof *rel->column_names, err);
    rel->column_types = arena_array(d->arena, n + 1, sizeof *rel->column_types, err);
    if (!names || !rel->column_names || !rel->column_types)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(&schema); schema.data && plan_next(&r, 1, &f);)
        if (!(names[i++] = arena_copy(d->arena, f.data, f.size, err)))
            return out_of_memory(err);
    for (struct pb_reader r = plan_inside(&types); types.data && plan_next(&r, 1, &f); rel->n_columns++) {
        bool nullable;
        if (next >= n_names)
            return error_set(err, ST_UNEXPECTED, "the base schema of a read has more types than names");
        rel->column_names[rel->n_columns] = names[next++];
        TRY(plan_decode_type(d, &f, names, n_names, &next, 0, &rel->column_types[rel->n_columns], &nullable, err));
    }
    return next == n_names ? ST_OK : error_set(err, ST_UNEXPECTED, "the base schema of a read has %u names for %u", n_names, next);
}

/* MaskExpression {select=1 {struct_items=1 {field=1}}} */
static int read_mask(struct plan_decoder *d, const struct pb_field *mask, struct plan_rel *rel, struct error *err)
{
    struct pb_field select = plan_member(mask, 1), f;
    uint32_t n = plan_count(&select, 1);
    rel->has_projection = true;
    rel->projection = arena_array(d->arena, n + 1, sizeof *rel->projection, err);
    if (!rel->projection)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(&select); select.data && plan_next(&r, 1, &f);) {
        uint64_t index = plan_member(&f, 1).value;
        if (index >= rel->n_columns)
            return error_set(err, ST_UNEXPECTED, "a read's projection names column %llu of %u", (unsigned long long)index, rel->n_columns);
        rel->projection[rel->n_projection++] = (uint32_t)index;
    }
    return ST_OK;
}

/* VirtualTable {values=1 {fields=1 literals}, expressions=2 {fields=1}}: rows of as many values as there are columns. */
static int read_values(struct plan_decoder *d, const struct pb_field *table, unsigned depth, struct plan_rel *rel, struct error *err)
{
    struct pb_field row, f;
    uint32_t number = plan_count(table, 1) ? 1 : 2, at = 0;
    size_t n = 0;
    rel->kind = PLAN_VALUES;
    rel->n_rows = plan_count(table, number);
    for (struct pb_reader r = plan_inside(table); plan_next(&r, number, &row);) {
        uint32_t width = plan_count(&row, 1);
        n += width;
        if (width != rel->n_columns)
            return error_set(err, ST_UNEXPECTED, "a row of a virtual table has %u values for %u columns", width, rel->n_columns);
    }
    rel->exprs = arena_array(d->arena, n + 1, sizeof *rel->exprs, err);
    if (!rel->exprs)
        return out_of_memory(err);
    rel->n_exprs = (uint32_t)n;
    for (struct pb_reader r = plan_inside(table); plan_next(&r, number, &row);)
        for (struct pb_reader in = plan_inside(&row); plan_next(&in, 1, &f); at++) {
            if (number == 2) {
                TRY(plan_decode_expr(d, &f, depth + 1, &rel->exprs[at], err));
                continue;
            }
            rel->exprs[at] = ARENA_NEW(d->arena, struct plan_expr, err);
            if (!rel->exprs[at])
                return out_of_memory(err);
            rel->exprs[at]->kind = PLAN_LITERAL;
            TRY(plan_decode_literal(d, &f, depth + 1, &rel->exprs[at]->literal, err));
        }
    return ST_OK;
}

/* ReadRel {base_schema=2, filter=3, projection=4, virtual_table=5, named_table=7 {names=1}} */
static int read_read(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_rel *rel, struct error *err)
{
    struct pb_field table = plan_member(body, 7), rows = plan_member(body, 5), mask = plan_member(body, 4), filter = plan_member(body, 3), f,
                    name = {0};
    if (!table.data && !rows.data)
        return error_set(err, ST_UNEXPECTED, "a read of the plan names no table: files and extension tables are not supported");
    for (struct pb_reader r = plan_inside(&table); plan_next(&r, 1, &f);)
        name = f;
    rel->name = arena_copy(d->arena, name.data ? (const char *)name.data : "", name.size, err);
    if (!rel->name)
        return out_of_memory(err);
    TRY(read_base_schema(d, body, rel, err));
    if (!table.data)
        TRY(read_values(d, &rows, depth, rel, err));
    if (mask.data)
        TRY(read_mask(d, &mask, rel, err));
    return filter.data ? plan_decode_expr(d, &filter, depth + 1, &rel->filter, err) : ST_OK;
}

/* SetRel {inputs=2, op=3}; only UNION ALL (6), the one that the peer writes. */
static int read_set(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_rel *rel, struct error *err)
{
    uint64_t op = plan_member(body, 3).value;
    uint32_t n = plan_count(body, 2), i = 0;
    struct pb_field f;
    if (op != 6 || n == 0)
        return error_set(err, ST_UNEXPECTED, "set operation %llu over %u inputs is not supported, only UNION ALL", (unsigned long long)op, n);
    rel->others = arena_array(d->arena, n, sizeof(struct plan_rel *), err);
    if (!rel->others)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(body); plan_next(&r, 2, &f); i++)
        TRY(plan_decode_rel(d, &f, depth + 1, i ? &rel->others[i - 1] : &rel->input, err));
    rel->n_others = n - 1;
    return ST_OK;
}

/* A count or offset given as a plain number (the deprecated form) becomes a literal. */
static int number_expr(struct plan_decoder *d, int64_t value, struct plan_expr **ret_expr, struct error *err)
{
    struct plan_expr *e = ARENA_NEW(d->arena, struct plan_expr, err);
    struct buffer *b;
    if (!e)
        return out_of_memory(err);
    TRY(buffer_new(NULL, 8, &b, err));
    memcpy(b->data, &value, 8);
    TRY(column_new(type_of(TYPE_INT64), 1, 0, NULL, b, NULL, &e->literal, err));
    TRY(plan_keep_column(d, e->literal, err));
    e->kind = PLAN_LITERAL;
    *ret_expr = e;
    return ST_OK;
}

static int read_fetch(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_rel *rel, struct error *err)
{
    struct pb_field offset = plan_member(body, 3), count = plan_member(body, 4), offset_expr = plan_member(body, 5),
                    count_expr = plan_member(body, 6);
    if (offset_expr.data)
        TRY(plan_decode_expr(d, &offset_expr, depth + 1, &rel->offset, err));
    else if (offset.number)
        TRY(number_expr(d, (int64_t)offset.value, &rel->offset, err));
    if (count_expr.data)
        return plan_decode_expr(d, &count_expr, depth + 1, &rel->count, err);
    return count.number && (int64_t)count.value >= 0 ? number_expr(d, (int64_t)count.value, &rel->count, err) : ST_OK;
}

/* AggregateFunction {function_reference=1, sorts=3, invocation=6, arguments=7 {value=3}} in Measure {measure=1, filter=2} */
static int read_measure(struct plan_decoder *d, const struct pb_field *message, unsigned depth, struct plan_measure *m, struct error *err)
{
    struct pb_field call = plan_member(message, 1), filter = plan_member(message, 2), f;
    uint32_t i = 0;
    TRY(plan_check(&call, "measure", err));
    TRY(plan_function_name(d, plan_member(&call, 1).value, &m->name, err));
    m->distinct = plan_member(&call, 6).value == 2;
    m->n_args = call.data ? plan_count(&call, 7) : 0;
    bool old = call.data && !m->n_args; /* args=2, deprecated: plain expressions */
    if (old)
        m->n_args = plan_count(&call, 2);
    m->args = arena_array(d->arena, m->n_args + 1, sizeof *m->args, err);
    if (!m->args)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(&call); call.data && plan_next(&r, old ? 2 : 7, &f); i++) {
        struct pb_field value = old ? f : plan_member(&f, 3);
        TRY(plan_decode_expr(d, &value, depth + 1, &m->args[i], err));
    }
    if (filter.data)
        TRY(plan_decode_expr(d, &filter, depth + 1, &m->filter, err));
    return call.data ? read_sorts(d, &call, 3, depth, &m->sorts, &m->n_sorts, err) : ST_OK;
}

static bool same_expr(const struct plan_expr *a, const struct plan_expr *b, unsigned depth)
{
    if (a == b)
        return true;
    if (depth > PLAN_DEPTH_MAX || a->kind != b->kind || a->field != b->field || a->n_args != b->n_args || a->null_on_failure != b->null_on_failure ||
        a->has_base != b->has_base || a->has_else != b->has_else || (a->name && strcmp(a->name, b->name) != 0))
        return false;
    if (a->kind == PLAN_LITERAL)
        return type_equal(a->literal->type, b->literal->type, true) && column_values_equal(a->literal, 0, b->literal, 0);
    if (a->type && !type_equal(a->type, b->type, true))
        return false;
    for (uint32_t i = 0; i < a->n_args; i++)
        if (!same_expr(a->args[i], b->args[i], depth + 1))
            return false;
    return true;
}

static int copy_expr(struct plan_decoder *d, const struct plan_expr *e, struct plan_expr **ret_copy, struct error *err)
{
    struct plan_expr *copy = ARENA_NEW(d->arena, struct plan_expr, err);
    struct plan_expr **args = arena_array(d->arena, e->n_args, sizeof *args, err);
    if (!copy || !args)
        return out_of_memory(err);
    *copy = *e;
    copy->args = args;
    for (uint32_t i = 0; i < e->n_args; i++)
        TRY(copy_expr(d, e->args[i], &args[i], err));
    *ret_copy = copy;
    return ST_OK;
}

/* The index of a key expression among those seen, added if new. Only grouping sets share keys: a plain GROUP BY gives each of its keys a column, and
 * a tree of its own to one that is referred to again, because binding changes trees in place. */
static int key_index(struct plan_decoder *d, struct plan_rel *rel, struct plan_expr *e, uint32_t *ret_index, struct error *err)
{
    for (uint32_t i = 0; i < rel->n_exprs; i++) {
        if (rel->n_groupings > 1 && same_expr(rel->exprs[i], e, 0)) {
            *ret_index = i;
            return ST_OK;
        }
        if (rel->n_groupings == 1 && rel->exprs[i] == e) {
            TRY(copy_expr(d, e, &e, err));
            break;
        }
    }
    rel->exprs[rel->n_exprs] = e;
    *ret_index = rel->n_exprs++;
    return ST_OK;
}

/* Grouping {grouping_expressions=1 (deprecated), expression_references=2}: the deprecated list wins when it is not empty. */
static int read_groupings(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_rel *rel, struct error *err)
{
    struct plan_expr **shared, **own;
    uint32_t n_shared, n_own, i = 0, *references, n_references, all_keys = 0;
    size_t most = 0; /* a key takes a byte at least */
    struct pb_field f;
    TRY(read_exprs(d, body, 5, depth, &shared, &n_shared, err));
    rel->n_groupings = plan_count(body, 3);
    for (struct pb_reader r = plan_inside(body); plan_next(&r, 3, &f);)
        most += f.size;
    rel->groupings = arena_array(d->arena, rel->n_groupings + 1, sizeof *rel->groupings, err);
    rel->exprs = arena_array(d->arena, most < PLAN_KEYS_MAX ? most : PLAN_KEYS_MAX, sizeof *rel->exprs, err);
    if (!rel->groupings || !rel->exprs)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(body); plan_next(&r, 3, &f); i++) {
        struct plan_grouping *g = &rel->groupings[i];
        TRY(read_exprs(d, &f, 1, depth, &own, &n_own, err));
        TRY(plan_decode_indexes(d, &f, 2, &references, &n_references, err));
        g->n_keys = n_own ? n_own : n_references;
        g->keys = arena_array(d->arena, g->n_keys + 1, sizeof *g->keys, err);
        if (!g->keys)
            return out_of_memory(err);
        if ((all_keys += g->n_keys) > PLAN_KEYS_MAX)
            return error_set(err, ST_UNEXPECTED, "an aggregate has more than %d group keys", PLAN_KEYS_MAX);
        for (uint32_t k = 0; k < g->n_keys; k++) {
            if (!n_own && references[k] >= n_shared)
                return error_set(err, ST_UNEXPECTED, "a grouping refers to key %u of %u", references[k], n_shared);
            TRY(key_index(d, rel, n_own ? own[k] : shared[references[k]], &g->keys[k], err));
        }
    }
    return ST_OK;
}

static int read_aggregate(struct plan_decoder *d, const struct pb_field *body, unsigned depth, struct plan_rel *rel, struct error *err)
{
    struct pb_field f;
    uint32_t i = 0;
    TRY(read_groupings(d, body, depth, rel, err));
    rel->n_measures = plan_count(body, 4);
    rel->measures = arena_array(d->arena, rel->n_measures + 1, sizeof *rel->measures, err);
    if (!rel->measures)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(body); plan_next(&r, 4, &f); i++)
        TRY(read_measure(d, &f, depth, &rel->measures[i], err));
    return ST_OK;
}

/* detail=3: Any {type_url=1, value=2} */
static int read_extension(struct plan_decoder *d, const struct pb_field *body, struct plan_rel *rel, struct error *err)
{
    struct pb_field detail = plan_member(body, 3), url = plan_member(&detail, 1), value = plan_member(&detail, 2);
    rel->name = arena_copy(d->arena, url.data ? (const char *)url.data : "", url.size, err);
    if (!rel->name)
        return out_of_memory(err);
    return plan_decode_series(d, rel->name, &value, &rel->series, err);
}

static const char *other_relation(uint32_t number)
{
    static const char *const names[] = {[6] = "join", [10] = "extension with several inputs", [11] = "extension leaf", [12] = "cross",
        [13] = "hash join", [14] = "merge join", [16] = "expand", [17] = "window", [18] = "nested loop join", [19] = "write", [20] = "ddl",
        [21] = "reference", [22] = "update"};
    return number < sizeof names / sizeof *names && names[number] ? names[number] : "unknown";
}

int plan_decode_rel(struct plan_decoder *d, const struct pb_field *message, unsigned depth, struct plan_rel **ret_rel, struct error *err)
{
    static const enum plan_rel_kind kinds[] = {[1] = PLAN_READ, [2] = PLAN_FILTER, [3] = PLAN_FETCH, [4] = PLAN_AGGREGATE, [5] = PLAN_SORT, [7] = PLAN_PROJECT,
                                               [8] = PLAN_UNION, [9] = PLAN_EXTENSION,
                                               [15] = PLAN_PROJECT /* an exchange changes nothing: a projection that adds no column */};
    struct pb_field body = {0}, f;
    struct plan_rel *rel = ARENA_NEW(d->arena, struct plan_rel, err);
    if (!rel)
        return out_of_memory(err);
    if (depth > PLAN_DEPTH_MAX)
        return error_set(err, ST_UNEXPECTED, "the plan is nested deeper than %d", PLAN_DEPTH_MAX);
    TRY(plan_check(message, "relation", err));
    for (struct pb_reader r = plan_inside(message); message->data && pb_next(&r, &f);)
        if (f.wire == PB_BYTES)
            body = f;
    if (!body.data)
        return error_set(err, ST_UNEXPECTED, "a relation of the plan is empty");
    TRY(plan_check(&body, "relation", err));
    *ret_rel = rel;
    bool known = body.number == 1 || (body.number < sizeof kinds / sizeof *kinds && kinds[body.number] != PLAN_READ);
    rel->kind = known ? kinds[body.number] : PLAN_OTHER_REL;
    if (!known) {
        rel->name = other_relation(body.number);
        return ST_OK;
    }
    TRY(read_common(d, &body, rel, err));
    if (body.number == 8)
        return read_set(d, &body, depth, rel, err);
    if (rel->kind != PLAN_READ) {
        struct pb_field input = plan_member(&body, 2);
        TRY(plan_decode_rel(d, &input, depth + 1, &rel->input, err));
    }
    struct pb_field condition = plan_member(&body, 3);
    switch (rel->kind) {
    case PLAN_READ: return read_read(d, &body, depth, rel, err);
    case PLAN_FILTER: return plan_decode_expr(d, &condition, depth + 1, &rel->filter, err);
    case PLAN_FETCH: return read_fetch(d, &body, depth, rel, err);
    case PLAN_AGGREGATE: return read_aggregate(d, &body, depth, rel, err);
    case PLAN_SORT: return read_sorts(d, &body, 3, depth, &rel->sorts, &rel->n_sorts, err);
    case PLAN_PROJECT: return body.number == 15 ? ST_OK : read_exprs(d, &body, 3, depth, &rel->exprs, &rel->n_exprs, err);
    default: return read_extension(d, &body, rel, err);
    }
}

/* ---- the plan ---- */

/* Lower case, without what stands behind the last ':'. */
static int put_name(struct plan_decoder *d, struct u64_map *map, uint64_t anchor, const struct pb_field *name, struct error *err)
{
    size_t n = name->size;
    for (size_t i = n; i > 0; i--)
        if (name->data[i - 1] == ':') {
            n = i - 1;
            break;
        }
    char *copy = arena_copy(d->arena, name->data ? (const char *)name->data : "", n, err);
    if (!copy)
        return out_of_memory(err);
    for (char *p = copy; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return u64_map_put(map, anchor + 1, copy, err);
}

/* SimpleExtensionDeclaration {extension_type=1, extension_type_variation=2, extension_function=3} */
static int read_declaration(struct plan_decoder *d, const struct pb_field *message, struct error *err)
{
    struct pb_field type = plan_member(message, 1), function = plan_member(message, 3);
    if (plan_member(message, 2).data)
        return error_set(err, ST_UNEXPECTED, "type variations are not supported");
    if (type.data) {
        struct pb_field name = plan_member(&type, 3);
        TRY(put_name(d, &d->type_names, plan_member(&type, 2).value, &name, err));
    }
    if (!function.data)
        return ST_OK;
    struct pb_field name = plan_member(&function, 3);
    return put_name(d, &d->functions, plan_member(&function, 2).value, &name, err);
}

static int read_root(struct plan_decoder *d, const struct pb_field *relation, struct error *err)
{
    struct pb_field root = plan_member(relation, 2), input = plan_member(&root, 1), rel = plan_member(relation, 1), f;
    if (!root.data && !rel.data)
        return error_set(err, ST_UNEXPECTED, "the plan has no root");
    d->plan->names = arena_array(d->arena, plan_count(&root, 2) + 1, sizeof *d->plan->names, err);
    if (!d->plan->names)
        return out_of_memory(err);
    for (struct pb_reader r = plan_inside(&root); root.data && plan_next(&r, 2, &f);)
        if (!(d->plan->names[d->plan->n_names++] = arena_copy(d->arena, f.data, f.size, err)))
            return out_of_memory(err);
    return plan_decode_rel(d, root.data ? &input : &rel, 0, &d->plan->root, err);
}

int plan_decode(const uint8_t *bytes, size_t size, struct arena *arena, struct plan **ret_plan, struct error *err)
{
    struct pb_field whole = {.wire = PB_BYTES, .data = bytes, .size = size}, f, relation = {0};
    struct plan_decoder d = {.arena = arena, .plan = ARENA_NEW(arena, struct plan, err)};
    uint32_t n = 0;
    if (!d.plan)
        return out_of_memory(err);
    d.plan->budget = arena->budget;
    if (!bytes || plan_check(&whole, "header", err) != ST_OK)
        return error_set(err, ST_INVALID_ARGUMENTS, "the plan is not a protobuf message");
    int st = ST_OK;
    for (struct pb_reader r = plan_inside(&whole); st == ST_OK && plan_next(&r, 2, &f);)
        st = read_declaration(&d, &f, err);
    for (struct pb_reader r = plan_inside(&whole); plan_next(&r, 3, &f); n++)
        relation = f;
    if (st == ST_OK && n != 1)
        st = error_set(err, ST_UNEXPECTED, "the plan has %u relations, expected one", n);
    if (st == ST_OK)
        st = read_root(&d, &relation, err);
    u64_map_release(&d.functions);
    u64_map_release(&d.type_names);
    if (st == ST_OK)
        *ret_plan = d.plan;
    else
        plan_release(d.plan);
    return st;
}
