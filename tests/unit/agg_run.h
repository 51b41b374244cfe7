/* Runs one aggregate over columns given as text, in several batches, with groups in runs or mixed; for tests of the families in exec/agg_*.c. */
#ifndef TESTS_AGG_RUN_H
#define TESTS_AGG_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "exec/agg.h"
#include "memory_table.h"

struct agg_run {
    struct budget budget;
    struct agg_call call;
    struct agg *agg;
    struct sort_spec sorts[4];
    struct field *sort_fields[4];
    struct error err;
    char text[1 << 16];
};

/* Values separated by blanks, as memory_append() reads them. */
static inline struct column *agg_column(struct dtype *type, const char *values)
{
    struct column_builder b;
    struct column *c;
    char *copy = strdup(values), *save = NULL;
    assert_int_equal(column_builder_init(&b, NULL, type, NULL), ST_OK);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        memory_append(&b, word);
    assert_int_equal(column_builder_finish(&b, &c, NULL), ST_OK);
    column_builder_release(&b);
    free(copy);
    return c;
}

static inline void agg_arg(struct agg_run *r, struct dtype *type)
{
    r->call.args[r->call.n_args++] = type;
}

/* A literal argument. */
static inline void agg_constant(struct agg_run *r, struct dtype *type, const char *value)
{
    r->call.constants[r->call.n_args] = agg_column(type, value);
    agg_arg(r, type);
}

static inline void agg_sort(struct agg_run *r, const char *name, struct dtype *type, bool nullable, bool descending, bool nulls_first)
{
    uint32_t k = r->call.n_sorts++;
    r->sorts[k] = (struct sort_spec){descending, nulls_first};
    r->sort_fields[k] = field_new(name, type, nullable);
}

static inline struct agg_run *agg_run_new(const char *name)
{
    struct agg_run *r = calloc(1, sizeof *r);
    budget_init(&r->budget, "query", "knob", SIZE_MAX, NULL);
    r->call.name = name;
    r->call.sorts = r->sorts;
    r->call.sort_fields = r->sort_fields;
    return r;
}

static inline int agg_run_open(struct agg_run *r)
{
    int st = agg_call_resolve(&r->call, &r->err);
    return st == ST_OK ? agg_open(&r->call, &r->budget, &r->agg, &r->err) : st;
}

/* One batch; `groups` NULL = no GROUP BY. Runs are handed over when they are long, as the operator does. Columns of constants are NULL. */
static inline int agg_run_feed(struct agg_run *r, struct column **columns, int64_t n, const uint32_t *groups, uint32_t n_groups)
{
    uint32_t *starts = calloc((size_t)n + 1, sizeof *starts), runs = 0;
    struct agg_rows rows = {.n = n, .groups = groups};
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || (groups && groups[i] != groups[i - 1]))
            starts[runs++] = (uint32_t)i;
    starts[runs] = (uint32_t)n;
    if (!groups || (int64_t)runs * 4 <= n) {
        rows.starts = starts;
        rows.n_runs = runs;
    }
    int st = r->agg->function->reserve(r->agg, n_groups, &r->err);
    if (st == ST_OK && n)
        st = r->agg->function->update(r->agg, columns, &rows, &r->err);
    free(starts);
    return st;
}

/* The results of all groups as text, one a line; asked for in two parts. */
static inline const char *agg_run_text(struct agg_run *r, uint32_t n_groups)
{
    uint32_t half = n_groups / 2;
    r->text[0] = 0;
    for (int part = 0; part < 2; part++) {
        struct column *c;
        uint32_t first = part ? half : 0, n = part ? n_groups - half : half;
        assert_int_equal(agg_result(r->agg, first, n, &c, &r->err), ST_OK);
        assert_int_equal(c->length, n);
        assert_true(type_equal(c->type, r->call.result, true));
        for (int64_t i = 0; i < c->length; i++) {
            memory_print(c, i, r->text, sizeof r->text);
            strcat(r->text, "\n");
        }
        column_unref(c);
    }
    return r->text;
}

/* A type with all names and nullabilities: structs {a:T?,b:T}, lists [item:T?], where ? = nullable. */
static inline void agg_print_type(const struct dtype *t, char *out, size_t room)
{
    size_t n = strlen(out);
    if (t->id != TYPE_STRUCT && t->id != TYPE_LIST) {
        type_print(t, out + n, room - n);
        return;
    }
    strcat(out, t->id == TYPE_STRUCT ? "{" : "[");
    for (uint32_t k = 0; k < t->n_children; k++) {
        n = strlen(out);
        snprintf(out + n, room - n, "%s%s:", k ? "," : "", t->children[k]->name);
        agg_print_type(t->children[k]->type, out, room);
        strcat(out, t->children[k]->nullable ? "?" : "");
    }
    strcat(out, t->id == TYPE_STRUCT ? "}" : "]");
}

static inline const char *agg_run_type(struct agg_run *r)
{
    r->text[0] = 0;
    agg_print_type(r->call.result, r->text, sizeof r->text);
    return r->text;
}

static inline void agg_run_free(struct agg_run *r)
{
    agg_free(r->agg);
    for (uint32_t k = 0; k < r->call.n_args; k++)
        column_unref(r->call.constants[k]);
    for (uint32_t k = 0; k < r->call.n_sorts; k++)
        field_unref(r->sort_fields[k]);
    agg_call_release(&r->call);
    assert_int_equal(r->budget.used, 0);
    free(r);
}

/* One batch from texts; texts[k] NULL where the argument is a constant. */
static inline void agg_run_batch(struct agg_run *r, struct dtype *const *types, const char *const *texts, uint32_t n_columns, const uint32_t *groups,
                                 uint32_t n_groups)
{
    struct column *columns[8] = {0};
    int64_t n = 0;
    for (uint32_t k = 0; k < n_columns; k++)
        if (texts[k]) {
            columns[k] = agg_column(types[k], texts[k]);
            n = columns[k]->length;
        }
    int st = agg_run_feed(r, columns, n, groups, n_groups);
    if (st != ST_OK)
        fail_msg("%s", r->err.msg);
    for (uint32_t k = 0; k < n_columns; k++)
        column_unref(columns[k]);
}

#endif
