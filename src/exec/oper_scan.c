/* Reading a table. The stream is opened at the first pull, so that a query that is never pulled costs nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/oper_compute.h"

struct scan_oper {
    struct oper base;
    struct table *table;
    char *name;
    struct scan_request request;
    uint32_t *columns;
    struct scan_predicate *predicates;
    struct batch_stream *stream;
    bool selects_last;        /* the peer says so, too, in its EXPLAIN */
    struct scan_parts *parts; /* once it has been cut; a part's: the scan's */
    uint32_t part;
    bool is_part;    /* name, table and request are the scan's, too */
    bool part_stats; /* its parts count, and did so: */
    struct scan_stats over;
    uint64_t open_ns; /* building the readers; the rest of the time is reading */
};

static int scan_next(struct oper *base, struct batch **ret_batch, struct error *err)
{
    struct scan_oper *o = (struct scan_oper *)base;
    if (!o->stream) {
        uint64_t start = oper_now_ns();
        TRY(o->parts ? o->parts->ops->open(o->parts, o->part, &o->stream, err)
                     : o->table->ops->scan(o->table, &o->request, base->work, &o->stream, err));
        o->open_ns += oper_now_ns() - start;
    }
    TRY(batch_stream_next(o->stream, ret_batch, err));
    base->mem_bytes += *ret_batch ? batch_bytes_used(*ret_batch) : 0;
    return ST_OK;
}

static void scan_free(struct oper *base)
{
    struct scan_oper *o = (struct scan_oper *)base;
    batch_stream_free(o->stream);
    if (o->is_part) {
        free(o);
        return;
    }
    scan_parts_free(o->parts);
    table_free(o->table);
    for (uint32_t i = 0; i < o->request.n_predicates; i++)
        scan_predicate_unref(&o->predicates[i]);
    free(o->predicates);
    free(o->columns);
    free(o->name);
    free(o);
}

static struct scan_stats scan_totals(const struct scan_oper *o)
{
    struct scan_stats s = o->over;
    if (o->parts)
        scan_stats_add(&s, &o->parts->stats);
    if (o->stream && o->stream->stats)
        scan_stats_add(&s, o->stream->stats);
    return s;
}

/* `"text"`, as Rust's debug form has it. */
static int put_quoted(struct dynbuf *out, const char *text, size_t size, struct error *err)
{
    TRY(dynbuf_append(out, "\"", 1, err));
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"' || text[i] == '\\')
            TRY(dynbuf_append(out, "\\", 1, err));
        TRY(dynbuf_append(out, &text[i], 1, err));
    }
    return dynbuf_append(out, "\"", 1, err);
}

static int put_predicate(struct dynbuf *out, const struct schema *schema, const struct scan_predicate *p, struct error *err)
{
    static const char *const words[] = {
        "=", "!=", "<", "<=", ">", ">=", "IN ([", "IS NULL", "IS NOT NULL", "CONTAINS (", "HAS TERM", "HAS LOWER TERM", "MATCHES"};
    TRY(dynbuf_printf(out, err, "%s %s", schema->fields[p->column]->name, words[p->op]));
    if (!p->values || p->op == SCAN_TEST)
        return ST_OK;
    bool list = p->op == SCAN_IN || p->op == SCAN_CONTAINS;
    if (!list)
        TRY(dynbuf_append(out, " ", 1, err));
    TRY(expr_print_values(p->values, ", ", out, err));
    return list ? dynbuf_printf(out, err, p->op == SCAN_IN ? "])" : ")") : ST_OK;
}

static int put_filters(struct dynbuf *out, const struct scan_oper *o, struct error *err)
{
    struct dynbuf one;
    int st = dynbuf_printf(out, err, ", \"filters\": [");
    dynbuf_init(&one, 1 << 16);
    for (uint32_t i = 0; st == ST_OK && i < o->request.n_predicates; i++) {
        one.size = 0;
        st = put_predicate(&one, o->table->schema, &o->predicates[i], err);
        if (st == ST_OK && i)
            st = dynbuf_append(out, ", ", 2, err);
        if (st == ST_OK)
            st = put_quoted(out, (const char *)one.data, one.size, err);
    }
    dynbuf_release(&one);
    TRY(st);
    return dynbuf_append(out, "]", 1, err);
}

/* What the peer's line has behind the ranges when it is to be verbose, and the limit. */
static int scan_describe_request(const struct scan_oper *o, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, ", \"projection\": ["));
    for (uint32_t i = 0; i < o->request.n_columns; i++) {
        const char *name = o->table->schema->fields[o->columns[i]]->name;
        TRY(dynbuf_printf(out, err, "%s", i ? ", " : ""));
        TRY(put_quoted(out, name, strlen(name), err));
    }
    TRY(dynbuf_append(out, "]", 1, err));
    if (o->request.n_predicates)
        TRY(put_filters(out, o, err));
    if (o->request.limit >= 0)
        TRY(dynbuf_printf(out, err, ", \"limit\": %lld", (long long)o->request.limit));
    return dynbuf_append(out, "}", 1, err);
}

/* The line of a GreptimeDB datanode, in its order, so that tools that know that one find their way. */
static int scan_describe(const struct oper *base, struct dynbuf *out, bool verbose, struct error *err)
{
    const struct scan_oper *o = (const struct scan_oper *)base;
    uint64_t id = o->table->region_id;
    const struct scan_stats stats = scan_totals(o);
    TRY(dynbuf_printf(out, err, "SeqScan: region=%llu(%u, %u), %s\"partition_count\":{\"count\":%d, ", (unsigned long long)id, (uint32_t)(id >> 32),
                      (uint32_t)id, verbose ? "{" : "", stats.memtable_ranges || stats.files));
    TRY(dynbuf_printf(out, err, "\"mem_ranges\":%lld, \"files\":%lld, \"file_ranges\":%lld}", (long long)stats.memtable_ranges,
                      (long long)stats.files, (long long)stats.file_ranges));
    if (o->selects_last)
        TRY(dynbuf_printf(out, err, ", \"selector\":\"LastRow\""));
    return verbose ? scan_describe_request(o, out, err) : ST_OK;
}

static uint32_t scan_metrics(const struct oper *base, bool verbose, struct oper_metric *m)
{
    const struct scan_oper *o = (const struct scan_oper *)base;
    const struct scan_stats stats = scan_totals(o);
    uint32_t n = 0;
    m[n++] = (struct oper_metric){"mem_used", base->mem_bytes};
    m[n++] = (struct oper_metric){"build_reader_cost", o->open_ns};
    m[n++] = (struct oper_metric){"scan_cost", base->total_ns > o->open_ns ? base->total_ns - o->open_ns : 0};
    if (verbose && (o->part_stats || (o->stream && o->stream->stats))) {
        m[n++] = (struct oper_metric){"output_batches", base->batches_out};
        m[n++] = (struct oper_metric){"row_groups_pruned", (uint64_t)stats.row_groups_pruned};
        m[n++] = (struct oper_metric){"pages_pruned", (uint64_t)stats.pages_pruned};
    }
    return n;
}

static const struct oper_ops scan_ops = {scan_next, scan_free, scan_describe, scan_metrics};

void oper_scan_set_key_order(struct oper *o)
{
    if (o->ops == &scan_ops)
        ((struct scan_oper *)o)->request.want_key_order = true;
}

bool oper_scan_in_key_order(const struct oper *base)
{
    const struct scan_oper *o = (const struct scan_oper *)base;
    if (base->ops != &scan_ops)
        return false;
    return o->request.want_key_order || (o->table->ops->in_key_order && o->table->ops->in_key_order(o->table, &o->request));
}

void oper_scan_set_last_row(struct oper *base, bool as_peer)
{
    struct scan_oper *o = (struct scan_oper *)base;
    if (base->ops != &scan_ops)
        return;
    o->request.last_row_only = true;
    o->selects_last = as_peer;
}

int oper_scan_add_predicate(struct oper *base, const struct scan_predicate *predicate, struct error *err)
{
    struct scan_oper *o = (struct scan_oper *)base;
    if (base->ops != &scan_ops)
        return ST_OK;
    struct scan_predicate *grown = realloc(o->predicates, (o->request.n_predicates + 1) * sizeof *grown);
    if (!grown)
        return error_no_memory(err, (o->request.n_predicates + 1) * sizeof *grown);
    grown[o->request.n_predicates] = *predicate;
    scan_predicate_ref(predicate);
    o->predicates = grown;
    o->request.predicates = grown;
    o->request.n_predicates++;
    return ST_OK;
}

bool oper_scan_can_cut(const struct oper *base)
{
    const struct scan_oper *o = (const struct scan_oper *)base;
    return base->ops == &scan_ops && o->table->ops->cut && o->request.limit < 0;
}

int oper_scan_cut(struct oper *base, uint32_t *ret_n, struct error *err)
{
    struct scan_oper *o = (struct scan_oper *)base;
    uint64_t start = oper_now_ns();
    TRY(o->table->ops->cut(o->table, &o->request, base->work, &o->parts, err));
    o->open_ns += oper_now_ns() - start;
    base->total_ns += oper_now_ns() - start;
    *ret_n = o->parts->n;
    return ST_OK;
}

int oper_scan_part_new(struct oper *scan, uint32_t part, struct oper **ret_oper, struct error *err)
{
    struct scan_oper *o = (struct scan_oper *)scan, *p = calloc(1, sizeof *p);
    if (!p)
        return error_no_memory(err, sizeof *p);
    p->base = (struct oper){.ops = &scan_ops, .schema = schema_ref(scan->schema), .work = scan->work};
    p->parts = o->parts;
    p->part = part;
    p->is_part = true;
    *ret_oper = &p->base;
    return ST_OK;
}

void oper_scan_add_part(struct oper *scan, const struct oper *part)
{
    struct scan_oper *o = (struct scan_oper *)scan;
    const struct scan_oper *p = (const struct scan_oper *)part;
    o->open_ns += p->open_ns;
    if (p->stream && p->stream->stats) {
        scan_stats_add(&o->over, p->stream->stats);
        o->part_stats = true;
    }
}

int oper_scan_new(struct work_context *work, struct table *table, const char *name, const struct scan_request *request, struct schema *schema,
                  struct oper **ret_oper, struct error *err)
{
    struct scan_oper *o = calloc(1, sizeof *o);
    if (!o) {
        table_free(table);
        return error_no_memory(err, sizeof *o);
    }
    o->base = (struct oper){.ops = &scan_ops, .schema = schema_ref(schema), .work = work};
    o->table = table;
    o->request = *request;
    o->request.n_predicates = 0;
    o->name = strdup(name);
    o->columns = calloc(request->n_columns ? request->n_columns : 1, sizeof *o->columns);
    o->predicates = calloc(request->n_predicates ? request->n_predicates : 1, sizeof *o->predicates);
    if (!o->name || !o->columns || !o->predicates) {
        oper_free(&o->base);
        return error_no_memory(err, request->n_columns * sizeof *o->columns);
    }
    if (request->n_columns)
        memcpy(o->columns, request->columns, request->n_columns * sizeof *o->columns);
    for (uint32_t i = 0; i < request->n_predicates; i++) {
        o->predicates[i] = request->predicates[i];
        scan_predicate_ref(&o->predicates[i]);
    }
    o->request.columns = o->columns;
    o->request.predicates = o->predicates;
    o->request.n_predicates = request->n_predicates;
    *ret_oper = &o->base;
    return ST_OK;
}
