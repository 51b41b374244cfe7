/* Any plan over a table that has the columns it asks for, with values of every kind in them, in slices and dictionaries, in parts or in one piece. An
 * input is a plan without declarations of functions: all of the catalogue are declared, in its order. How the table looks comes from a hash of the
 * input. */
#include "../unit/memory_table.h"
#include "exec/catalogue.h"
#include "exec/query.h"
#include "format/substrait/plan.h"
#include "proto_mutator.h"

enum { ROWS = 24 };

static void declare_name(struct dynbuf *all, const char *name)
{
    static uint32_t anchor;
    struct dynbuf one, inner;
    dynbuf_init(&one, 1 << 12);
    dynbuf_init(&inner, 1 << 12);
    if (pb_put_uint(&inner, 2, ++anchor, NULL) || pb_put_string(&inner, 3, name, NULL) || pb_put_bytes(&one, 3, inner.data, inner.size, NULL) ||
        pb_put_bytes(all, 2, one.data, one.size, NULL))
        abort();
    dynbuf_release(&one);
    dynbuf_release(&inner);
}

/* An aggregate and its partial form. */
static void declare(void *ctx, const struct function_info *f)
{
    char state[128];
    declare_name(ctx, f->name);
    snprintf(state, sizeof state, "__%s_state", f->name);
    if (f->aggregate)
        declare_name(ctx, state);
}

static const struct dynbuf *declarations(void)
{
    static struct dynbuf all;
    if (!all.size) {
        dynbuf_init(&all, 1 << 20);
        catalogue_walk(declare, &all);
    }
    return &all;
}

/* ---- the table ---- */

static const struct plan_rel *first_read(const struct plan_rel *rel)
{
    while (rel && rel->kind != PLAN_READ)
        rel = rel->input;
    return rel;
}

static void append(struct column_builder *b, uint32_t k, bool nullable);

static void append_plain(struct column_builder *b, uint32_t k)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "b",
                                        "abc",
                                        "x%_y",
                                        "\xc3\xa9t\xc3\xa9 \xe4\xb8\xad",
                                        "192.168.0.1",
                                        "2024-02-29T12:00:00.5Z",
                                        "{\"a\":[1,null]}",
                                        "[1,2]",
                                        "-17",
                                        "1.5e3",
                                        "POINT(1 2)",
                                        "a longer text than fits in a view, by far"};
    static const int64_t numbers[] = {0, 1, -1, 2, 7, 100, INT64_MAX, INT64_MIN, INT32_MAX, 1700000000000, 86399};
    static const double reals[] = {0, -0.0, 1.5, -2, 1e308, -1e308, 5e-324, 3, 1e15};
    const char *text = texts[k % (sizeof texts / sizeof *texts)];
    int64_t n = numbers[k % (sizeof numbers / sizeof *numbers)];
    double d = k % 11 == 10 ? __builtin_nan("") : k % 13 == 12 ? __builtin_inf() : reals[k % (sizeof reals / sizeof *reals)];
    float f = (float)d;
    uint8_t wide[64];
    memset(wide, n < 0 ? 0xff : 0, sizeof wide);
    memcpy(wide, &n, 8);
    int st;
    if (b->type->id == TYPE_BOOL)
        st = column_builder_append_bool(b, k % 2, NULL);
    else if (type_is_varlen(b->type))
        st = column_builder_append_bytes(b, text, strlen(text), NULL);
    else
        st = column_builder_append_fixed(b, b->type->id == TYPE_FLOAT64 ? (void *)&d : b->type->id == TYPE_FLOAT32 ? (void *)&f : wide, NULL);
    if (st)
        abort();
}

static void append(struct column_builder *b, uint32_t k, bool nullable)
{
    uint32_t items = k % 4;
    if ((nullable && k % 5 == 4) || b->type->id == TYPE_NULL) {
        if (column_builder_append_null(b, NULL))
            abort();
    } else if (b->n_children == 0) {
        append_plain(b, k);
    } else {
        if (b->type->id == TYPE_FIXED_LIST)
            items = (uint32_t)b->type->width;
        for (uint32_t c = 0; c < b->n_children; c++)
            for (uint32_t i = 0; i < (b->type->id == TYPE_STRUCT ? 1 : items); i++)
                append(&b->children[c], k + i * 3 + c + 1, b->type->id != TYPE_MAP);
        if (column_builder_append_nested(b, NULL))
            abort();
    }
}

static bool buildable(const struct dtype *t, unsigned depth)
{
    bool good = depth < 8 && t->id != TYPE_DICTIONARY && t->id != TYPE_RANGE && (t->id != TYPE_FIXED_LIST || t->width < 20) &&
                (t->id != TYPE_FIXED_BINARY || t->width <= 64);
    for (uint32_t i = 0; good && i < t->n_children; i++)
        good = buildable(t->children[i]->type, depth + 1);
    return good;
}

/* Rows that begin and end inside of their buffers. */
static struct column *make_column(struct dtype *type, uint32_t seed, bool time_index, int64_t from, int64_t rows)
{
    struct column_builder b;
    struct column *whole, *part;
    if (column_builder_init(&b, NULL, type, NULL))
        abort();
    for (uint32_t i = 0; i < ROWS; i++) {
        int64_t at = 1000 * (int64_t)(i / 2);
        if (time_index)
            column_builder_append_fixed(&b, &at, NULL);
        else
            append(&b, seed + i * 7, true);
    }
    if (column_builder_finish(&b, &whole, NULL) || column_slice(whole, from, rows, &part, NULL))
        abort();
    column_builder_release(&b);
    column_unref(whole);
    return part;
}

static struct memory_table *make_table(const struct plan_rel *read, unsigned how)
{
    static uint32_t key[] = {0, 0, 0, 0};
    struct field *fields[60];
    uint32_t n = 0, n_key = 0;
    int32_t time = -1;
    for (uint32_t i = 0; i < read->n_columns && n < 60; i++) {
        bool is_time = time < 0 && read->column_types[i]->id == TYPE_TIMESTAMP;
        if (!buildable(read->column_types[i], 0))
            continue;
        if (is_time)
            time = (int32_t)n;
        if (n_key < 3 && read->column_types[i]->id == TYPE_UTF8)
            key[n_key++] = n;
        fields[n++] = field_new(read->column_names[i], read->column_types[i], !is_time);
    }
    struct memory_table *t = memory_table_new(schema_new(fields, n));
    for (uint32_t i = 0; i < n; i++)
        field_unref(fields[i]);
    t->base.key = key;
    t->base.n_key = n_key;
    for (uint32_t i = 0; i < n_key; i++)
        t->dictionary[key[i]] = how >> i & 1;
    for (uint32_t b = 0; b < 3; b++) {
        struct column *columns[60];
        for (uint32_t i = 0; i < n; i++)
            columns[i] = make_column(t->base.schema->fields[i]->type, how + b * 5 + i * 3, (int32_t)i == time, 3 * b + 1, 7 + b);
        if (batch_new(t->base.schema, 7 + b, columns, &t->batches[t->n_batches++], NULL))
            abort();
    }
    if (how & 8)
        memory_table_cut(t, 3);
    return t;
}

static int resolve(void *ctx, const char *name, struct table **ret_table, struct error *err)
{
    struct memory_table *t = ctx;
    if (!t)
        return error_set(err, ST_REGION_NOT_FOUND, "no %s", name);
    *ret_table = &t->base;
    return ST_OK;
}

static void run(const struct dynbuf *plan, struct memory_table *t, unsigned how)
{
    static const char *const zones[] = {NULL, "Asia/Shanghai", "-03:30", "America/New_York"};
    struct budget budget;
    struct work_context work = {.budget = &budget};
    struct query_options o = {.plan = plan->data,
                              .plan_size = plan->size,
                              .resolve = resolve,
                              .resolve_ctx = t,
                              .work = &work,
                              .verbose = how & 16,
                              .timezone = zones[how >> 5 & 3]};
    struct query *q;
    struct batch *b;
    struct error err;
    budget_init(&budget, "query", "query.memory_limit", how & 128 ? 2 << 20 : 64 << 20, NULL);
    if (query_open(&o, &q, &err) == ST_OK) {
        struct dynbuf json;
        for (int i = 0; i < 8 && query_next(q, &b, &err) == ST_OK && b; i++)
            batch_unref(b);
        dynbuf_init(&json, 1 << 22);
        query_metrics_json(q, &json, &err);
        dynbuf_release(&json);
        query_free(q);
    }
    if (budget.used != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dynbuf whole;
    struct arena arena;
    struct plan *plan;
    unsigned how = size ? data[size - 1] : 0; /* the last byte of the plan, more or less chance */
    dynbuf_init(&whole, 1 << 22);
    if (dynbuf_append(&whole, declarations()->data, declarations()->size, NULL) || dynbuf_append(&whole, data, size, NULL)) {
        dynbuf_release(&whole);
        return 0;
    }
    struct budget decoding;
    budget_init(&decoding, "plan", NULL, 64 << 20, NULL);
    arena_init(&arena, &decoding);
    for (size_t i = 0; i < size; i += 7)
        how = how * 33 + data[i];
    if (plan_decode(whole.data, whole.size, &arena, &plan, NULL) == ST_OK) {
        const struct plan_rel *read = first_read(plan->root);
        struct memory_table *t = read ? make_table(read, how) : NULL;
        run(&whole, t, how);
        if (t)
            memory_table_destroy(t);
        plan_release(plan);
    }
    arena_release(&arena);
    dynbuf_release(&whole);
    return 0;
}
