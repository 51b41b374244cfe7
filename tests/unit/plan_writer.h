/* Writes small Substrait plans for tests. A message is a value; parts are put into a whole by field number (query-plans.md 1). */
#ifndef TESTS_PLAN_WRITER_H
#define TESTS_PLAN_WRITER_H

#include <assert.h>
#include <string.h>

#include "format/proto/wire.h"

struct msg {
    uint8_t data[6000];
    size_t size;
};

static const char *plan_functions[32];
static uint32_t plan_n_functions;

static inline struct msg put_uint(struct msg m, uint32_t field, uint64_t value)
{
    uint8_t *p = pb_write_varint(m.data + m.size, (uint64_t)field << 3);
    m.size = (size_t)(pb_write_varint(p, value) - m.data);
    return m;
}

static inline struct msg put_bytes(struct msg m, uint32_t field, const void *data, size_t size)
{
    uint8_t *p = pb_write_varint(m.data + m.size, (uint64_t)field << 3 | PB_BYTES);
    p = pb_write_varint(p, size);
    assert(p + size < m.data + sizeof m.data);
    if (size)
        memcpy(p, data, size);
    m.size = (size_t)(p + size - m.data);
    return m;
}

static inline struct msg put_msg(struct msg m, uint32_t field, struct msg part)
{
    return put_bytes(m, field, part.data, part.size);
}

static inline struct msg put_text(struct msg m, uint32_t field, const char *text)
{
    return put_bytes(m, field, text, strlen(text));
}

#define MSG ((struct msg){.size = 0})

static inline uint32_t function_anchor(const char *name)
{
    for (uint32_t i = 0; i < plan_n_functions; i++)
        if (strcmp(plan_functions[i], name) == 0)
            return i;
    plan_functions[plan_n_functions] = name;
    return plan_n_functions++;
}

/* ---- expressions ---- */

static inline struct msg x_field(uint32_t i)
{
    struct msg segment = put_msg(MSG, 2, i ? put_uint(MSG, 1, i) : MSG);
    return put_msg(MSG, 2, put_msg(put_msg(MSG, 1, segment), 4, MSG));
}

static inline struct msg x_int(int64_t v)
{
    return put_msg(MSG, 1, put_uint(MSG, 7, (uint64_t)v));
}

static inline struct msg x_text(const char *v)
{
    return put_msg(MSG, 1, put_text(MSG, 12, v));
}

static inline struct msg with_args(struct msg m, uint32_t field, const struct msg *args, int n)
{
    for (int i = 0; i < n; i++)
        m = put_msg(m, field, put_msg(MSG, 3, args[i]));
    return m;
}

static inline struct msg x_call(const char *name, struct msg a, struct msg b)
{
    struct msg args[] = {a, b};
    return put_msg(MSG, 3, with_args(put_uint(MSG, 1, function_anchor(name)), 4, args, 2));
}

/* To a type without parameters, by its kind number (below). */
static inline struct msg x_cast(struct msg operand, uint32_t kind)
{
    return put_msg(MSG, 11, put_msg(put_msg(MSG, 1, put_msg(MSG, kind, put_uint(MSG, 2, 1))), 2, operand));
}

static inline struct msg x_window(void)
{
    return put_msg(MSG, 5, put_uint(MSG, 1, function_anchor("row_number")));
}

static inline struct msg sort_field(struct msg expr, int direction)
{
    return put_uint(put_msg(MSG, 1, expr), 2, (uint64_t)direction);
}

/* ---- relations ---- */

/* columns: pairs of name and type kind number (12 string, 7 i64, 107 u64, 11 fp64, 33 timestamp(ms)). */
struct plan_column { const char *name; uint32_t kind; };

static inline struct msg r_read(const struct plan_column *columns, int n)
{
    struct msg names = MSG, types = MSG;
    for (int i = 0; i < n; i++) {
        names = put_text(names, 1, columns[i].name);
        struct msg simple = columns[i].kind == 33 ? put_uint(put_uint(MSG, 1, 3), 3, 1) : put_uint(MSG, 2, 1);
        if (columns[i].kind == 107)
            simple = put_uint(simple, 1, 1);
        types = put_msg(types, 1, put_msg(MSG, columns[i].kind % 100, simple));
    }
    struct msg base = put_msg(names, 2, types);
    return put_msg(MSG, 1, put_msg(put_msg(MSG, 2, base), 7, put_text(MSG, 1, "t")));
}

static inline struct msg r_filter(struct msg input, struct msg condition)
{
    return put_msg(MSG, 2, put_msg(put_msg(MSG, 2, input), 3, condition));
}

/* Project with emit of the expressions only, the input having `n_in` columns. */
static inline struct msg r_project(struct msg input, int n_in, const struct msg *exprs, int n)
{
    struct msg mapping = MSG, p;
    for (int i = 0; i < n; i++)
        mapping.data[mapping.size++] = (uint8_t)(n_in + i);
    p = put_msg(MSG, 1, put_msg(MSG, 2, put_msg(MSG, 1, mapping)));
    p = put_msg(p, 2, input);
    for (int i = 0; i < n; i++)
        p = put_msg(p, 3, exprs[i]);
    return put_msg(MSG, 7, p);
}

static inline struct msg r_extension(const char *name, struct msg payload, struct msg input)
{
    return put_msg(MSG, 9, put_msg(put_msg(MSG, 2, input), 3, put_msg(put_text(MSG, 1, name), 2, payload)));
}

static inline struct msg r_sort(struct msg input, const struct msg *fields, int n)
{
    struct msg s = put_msg(MSG, 2, input);
    for (int i = 0; i < n; i++)
        s = put_msg(s, 3, fields[i]);
    return put_msg(MSG, 5, s);
}

static inline struct msg r_fetch(struct msg input, int64_t offset, struct msg count)
{
    struct msg f = put_msg(MSG, 2, input);
    if (offset)
        f = put_msg(f, 5, x_int(offset));
    return put_msg(MSG, 3, put_msg(f, 6, count));
}

static inline struct msg measure(const char *name, const struct msg *args, int n, const struct msg *order, const struct msg *filter, bool distinct)
{
    struct msg f = put_uint(MSG, 1, function_anchor(name));
    if (order)
        f = put_msg(f, 3, *order);
    f = with_args(put_uint(f, 6, distinct ? 2 : 1), 7, args, n);
    f = put_msg(MSG, 1, f);
    return filter ? put_msg(f, 2, *filter) : f;
}

/* Keys are written once as groupings (one grouping with all of them); `sets`: a string such as "ab,a," one grouping a comma part, keys as letters. */
static inline struct msg r_aggregate(struct msg input, const struct msg *keys, int n_keys, const char *sets, const struct msg *measures, int n)
{
    struct msg a = put_msg(MSG, 2, input), g = MSG;
    if (!sets) {
        for (int i = 0; i < n_keys; i++)
            g = put_msg(g, 1, keys[i]);
        a = put_msg(a, 3, g);
    } else {
        for (const char *p = sets;; p++) {
            if (*p && *p != ',') {
                g = put_msg(g, 1, keys[*p - 'a']);
                continue;
            }
            a = put_msg(a, 3, g);
            g = MSG;
            if (!*p)
                break;
        }
    }
    for (int i = 0; i < n; i++)
        a = put_msg(a, 4, measures[i]);
    return put_msg(MSG, 4, a);
}

/* names: separated by blanks. */
static inline struct msg plan_of(struct msg rel, const char *names)
{
    struct msg root = put_msg(MSG, 1, rel), plan = MSG;
    while (*names) {
        size_t n = strcspn(names, " ");
        root = put_bytes(root, 2, names, n);
        names += n + (names[n] == ' ');
    }
    for (uint32_t i = 0; i < plan_n_functions; i++)
        plan = put_msg(plan, 2, put_msg(MSG, 3, put_text(i ? put_uint(MSG, 2, i) : MSG, 3, plan_functions[i])));
    plan_n_functions = 0;
    return put_msg(plan, 3, put_msg(MSG, 2, root));
}

#endif
