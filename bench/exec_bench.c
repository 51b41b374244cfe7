/* Times the aggregation operator: 1M rows, grouped by a dictionary key (and a time bucket), avg of 10 Int64 columns. Prints ms a run.
 *
 * usage: exec_bench [repeats]
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exec/oper.h"

enum { ROWS = 1 << 20, BATCH = 8192, HOSTS = 1000, METRICS = 10 };

struct source {
    struct oper base;
    struct batch **batches;
    uint32_t n, at;
};

static int source_next(struct oper *o, struct batch **ret_batch, struct error *err)
{
    struct source *s = (struct source *)o;
    (void)err;
    *ret_batch = s->at < s->n ? batch_ref(s->batches[s->at++]) : NULL;
    return ST_OK;
}

static void source_free(struct oper *o)
{
    free(o);
}

static const struct oper_ops source_ops = {source_next, source_free, NULL};

static struct column *make_column(struct dtype *type, const void *data, size_t bytes, int64_t n, struct column *dictionary)
{
    struct buffer *b;
    struct column *c;
    assert(buffer_new(NULL, bytes, &b, NULL) == ST_OK);
    memcpy(b->data, data, bytes);
    int st = dictionary ? column_new_nested(type, n, 0, NULL, b, (struct column *[]){column_ref(dictionary)}, 1, &c, NULL)
                        : column_new(type, n, 0, NULL, b, NULL, &c, NULL);
    assert(st == ST_OK);
    (void)st;
    return c;
}

static struct column *host_names(void)
{
    struct column_builder b;
    struct column *c;
    char name[32];
    assert(column_builder_init(&b, NULL, type_of(TYPE_UTF8), NULL) == ST_OK);
    for (int i = 0; i < HOSTS; i++)
        assert(column_builder_append_bytes(&b, name, (size_t)sprintf(name, "host_%d", i), NULL) == ST_OK);
    assert(column_builder_finish(&b, &c, NULL) == ST_OK);
    column_builder_release(&b);
    return c;
}

/* Rows in (host, time) order, as a scan gives them, or with hosts in turn. */
static struct batch **make_batches(struct schema *schema, bool by_host)
{
    static uint32_t keys[BATCH];
    static int64_t hour[BATCH], values[BATCH];
    struct batch **out = calloc(ROWS / BATCH, sizeof(struct batch *));
    struct dtype *dictionary_type = type_dictionary(TYPE_UINT32, type_of(TYPE_UTF8));
    struct column *names = host_names();
    for (int64_t b = 0; b < ROWS / BATCH; b++) {
        struct column *c[2 + METRICS];
        for (int64_t i = 0; i < BATCH; i++) {
            int64_t row = b * BATCH + i;
            keys[i] = (uint32_t)(by_host ? row * HOSTS / ROWS : row % HOSTS);
            hour[i] = (by_host ? row % (ROWS / HOSTS) : row / HOSTS) / 100 * 3600000;
            values[i] = row * 7 % 101;
        }
        c[0] = make_column(dictionary_type, keys, sizeof keys, BATCH, names);
        c[1] = make_column(type_of(TYPE_INT64), hour, sizeof hour, BATCH, NULL);
        for (int m = 0; m < METRICS; m++)
            c[2 + m] = make_column(type_of(TYPE_INT64), values, sizeof values, BATCH, NULL);
        assert(batch_new(schema, BATCH, c, &out[b], NULL) == ST_OK);
    }
    column_unref(names);
    type_unref(dictionary_type);
    return out;
}

static double run(struct schema *schema, struct batch **batches, uint32_t n_keys, uint64_t *ret_groups)
{
    static const uint32_t keys[] = {0, 1};
    struct oper_measure *m = calloc(METRICS, sizeof *m);
    struct field *fields[2 + METRICS];
    struct source *s = calloc(1, sizeof *s);
    struct oper *o;
    struct batch *b;
    struct timespec t0, t1;
    *s = (struct source){.base = {.ops = &source_ops, .schema = schema_ref(schema)}, .batches = batches, .n = ROWS / BATCH};
    for (uint32_t k = 0; k < n_keys; k++)
        fields[k] = field_ref(schema->fields[k]);
    for (uint32_t i = 0; i < METRICS; i++) {
        m[i].filter = -1;
        m[i].args[0] = 2 + i;
        m[i].call = (struct agg_call){.name = "avg", .n_args = 1, .args = {type_of(TYPE_INT64)}};
        assert(agg_call_resolve(&m[i].call, NULL) == ST_OK);
        fields[n_keys + i] = field_new("avg", m[i].call.result, true);
    }
    struct schema *out = schema_new(fields, n_keys + METRICS);
    struct oper_aggregate_spec spec = {keys, n_keys, NULL, 1, NULL, m, METRICS, out};
    assert(oper_aggregate_new(&s->base, &spec, &o, NULL) == ST_OK);
    *ret_groups = 0;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    while (oper_next(o, &b, NULL) == ST_OK && b) {
        *ret_groups += (uint64_t)b->n_rows;
        batch_unref(b);
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    oper_free(o);
    for (uint32_t i = 0; i < n_keys + METRICS; i++)
        field_unref(fields[i]);
    schema_unref(out);
    return (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
}

int main(int argc, char **argv)
{
    int repeats = argc > 1 ? atoi(argv[1]) : 5;
    struct field *fields[2 + METRICS] = {field_new("host", type_of(TYPE_UTF8), true), field_new("hour", type_of(TYPE_INT64), true)};
    for (int i = 0; i < METRICS; i++)
        fields[2 + i] = field_new("metric", type_of(TYPE_INT64), true);
    struct schema *schema = schema_new(fields, 2 + METRICS);
    for (int by_host = 0; by_host < 2; by_host++) {
        struct batch **batches = make_batches(schema, by_host);
        for (uint32_t n_keys = 0; n_keys <= 2; n_keys++) {
            double best = 1e9;
            uint64_t groups = 0;
            for (int i = 0; i < repeats; i++) {
                double ms = run(schema, batches, n_keys, &groups);
                best = ms < best ? ms : best;
            }
            printf("%s, %u keys, %llu groups: %.2f ms\n", by_host ? "rows by host" : "rows in time order", n_keys, (unsigned long long)groups, best);
        }
        for (int i = 0; i < ROWS / BATCH; i++)
            batch_unref(batches[i]);
        free(batches);
    }
    for (int i = 0; i < 2 + METRICS; i++)
        field_unref(fields[i]);
    schema_unref(schema);
    return 0;
}
