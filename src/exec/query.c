/* A query from plan bytes to result batches: names and metadata of the result, dictionaries decoded, errors classified, metrics. */
#include "exec/query.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "exec/bind.h"
#include "exec/oper_exchange.h"

enum { RESULT_ROWS_MAX = 65536, NODE_TEXT_MAX = 1 << 16 };

struct query {
    struct arena arena;
    struct plan *plan;
    struct work_context *work;
    struct oper *root;
    struct schema *schema;
    struct batch *rest; /* what is left of a batch longer than RESULT_ROWS_MAX */
    int64_t rest_at;
    bool verbose;
};

/* Number of names that a type adds to RelRoot.names. ORDER BY children of a state struct (not named `<f>[...]` like the first) have none. */
static uint32_t nested_names(const struct dtype *t)
{
    uint32_t n = 0;
    if (t->id == TYPE_LIST || t->id == TYPE_LARGE_LIST)
        return nested_names(t->children[0]->type);
    if (t->id == TYPE_MAP) {
        const struct dtype *entries = t->children[0]->type;
        return nested_names(entries->children[0]->type) + nested_names(entries->children[1]->type);
    }
    if (t->id != TYPE_STRUCT || !t->n_children)
        return 0;
    const char *first = t->children[0]->name, *bracket = strchr(first, '[');
    size_t prefix = bracket ? (size_t)(bracket - first) + 1 : 0;
    const char *last = t->children[t->n_children - 1]->name;
    bool ordered = prefix && strncmp(first, last, prefix) == 0 && strlen(last) > 7 && strcmp(last + strlen(last) - 7, "is_set]") == 0;
    for (uint32_t i = 0; i < t->n_children; i++)
        if (!ordered || strncmp(first, t->children[i]->name, prefix) == 0)
            n += 1 + nested_names(t->children[i]->type);
    return n;
}

static int name_result(struct query *q, struct error *err)
{
    const struct schema *s = q->root->schema;
    struct kv version = {(char *)"greptime:version", (char *)"0"};
    struct field **fields = ARENA_ARRAY(&q->arena, s->n_fields + 1, struct field *, err);
    uint32_t at = 0, made = 0;
    int st = fields ? ST_OK : ST_NO_MEMORY;
    bool flat = q->plan->n_names == s->n_fields;
    for (; st == ST_OK && made < s->n_fields; made += st == ST_OK) {
        const struct dtype *t = s->fields[made]->type;
        if (at < q->plan->n_names)
            fields[made] = field_renamed(s->fields[made], q->plan->names[at]);
        else
            fields[made] = field_ref(s->fields[made]);
        at += 1 + (flat ? 0 : nested_names(t));
        if (!fields[made])
            st = error_no_memory(err, sizeof **fields);
    }
    if (st == ST_OK && q->plan->n_names && at != q->plan->n_names)
        st = error_set(err, ST_UNEXPECTED, "the plan names %u result columns, its relations give %u", q->plan->n_names, at);
    struct schema *plain = st == ST_OK ? schema_new(fields, s->n_fields) : NULL;
    for (uint32_t i = 0; i < made; i++)
        field_unref(fields[i]);
    TRY(st);
    q->schema = plain ? schema_with_meta(plain, &version, 1) : NULL;
    if (plain)
        schema_unref(plain);
    return q->schema ? ST_OK : error_no_memory(err, sizeof *q->schema);
}

/* The kinds of execution errors that DataFusion and Arrow name; what a kernel doesn't name is the first. */
static const char *const error_kinds[] = {"Execution error: ",
                                          "Cast error: ",
                                          "Arithmetic overflow: ",
                                          "Divide by zero error",
                                          "Invalid argument error: ",
                                          "Compute error: ",
                                          "Parser error: ",
                                          "Error during planning: ",
                                          "This feature is not implemented: "};

static int name_error_kind(struct error *err)
{
    for (size_t i = 0; i < sizeof error_kinds / sizeof *error_kinds; i++)
        if (strncmp(err->msg, error_kinds[i], strlen(error_kinds[i])) == 0)
            return err->status;
    return error_prefix(err, "Execution error");
}

static int execution_error(int st, struct error *err)
{
    if (st == ST_EXECUTE_QUERY && err)
        return name_error_kind(err);
    if (st == ST_OK || st == ST_CANCELLED || st == ST_DEADLINE_EXCEEDED || st == ST_EXHAUSTED || st == ST_NO_MEMORY)
        return st;
    if (err)
        err->status = ST_EXECUTE_QUERY;
    return ST_EXECUTE_QUERY;
}

int query_open(const struct query_options *options, struct query **ret_query, struct error *err)
{
    struct query *q = calloc(1, sizeof *q);
    struct query_options own = *options;
    if (!q)
        return error_no_memory(err, sizeof *q);
    arena_init(&q->arena, options->work ? options->work->budget : NULL);
    q->work = options->work;
    q->verbose = options->verbose;
    int st = ST_OK;
    if (options->timezone && !(own.timezone = arena_copy(&q->arena, options->timezone, strlen(options->timezone), err)))
        st = ST_NO_MEMORY;
    if (st == ST_OK)
        st = plan_decode(options->plan, options->plan_size, &q->arena, &q->plan, err);
    if (st == ST_OK)
        st = bind_plan(q->plan, &own, &q->arena, &q->root, err);
    if (st == ST_OK)
        st = oper_parallelise(&q->root, own.workers, err);
    if (st == ST_OK)
        st = name_result(q, err);
    if (st != ST_OK) {
        query_free(q);
        return st == ST_EXECUTE_QUERY ? execution_error(st, err) : st;
    }
    *ret_query = q;
    return ST_OK;
}

struct schema *query_schema(const struct query *q)
{
    return q->schema;
}

/* One result column: without dictionary, under the exact type of the schema. */
static int plain_column(struct budget *budget, struct column *c, struct dtype *type, struct column **ret_column, struct error *err)
{
    struct column *decoded;
    TRY(column_decode_dictionary(budget, c, &decoded, err));
    if (decoded->type == type || type_equal(decoded->type, type, true)) {
        *ret_column = decoded;
        return ST_OK;
    }
    int st = column_retype(decoded, type, ret_column, err);
    column_unref(decoded);
    return st;
}

static int finish_batch(struct query *q, struct batch *b, struct batch **ret_batch, struct error *err)
{
    uint32_t n = q->schema->n_fields, made = 0;
    struct column **columns = calloc(n ? n : 1, sizeof *columns);
    int st = columns ? ST_OK : error_no_memory(err, n * sizeof *columns);
    for (; st == ST_OK && made < n; made += st == ST_OK)
        st = plain_column(q->work ? q->work->budget : NULL, b->columns[made], q->schema->fields[made]->type, &columns[made], err);
    if (st == ST_OK)
        st = batch_new(q->schema, b->n_rows, columns, ret_batch, err);
    else
        for (uint32_t i = 0; i < made; i++)
            column_unref(columns[i]);
    free(columns);
    return st;
}

int query_next(struct query *q, struct batch **ret_batch, struct error *err)
{
    struct batch *b = NULL, *part;
    if (!q->rest) {
        int st = oper_next(q->root, &b, err);
        if (st != ST_OK)
            return execution_error(st, err);
        if (!b) {
            *ret_batch = NULL;
            return ST_OK;
        }
        q->rest = b;
        q->rest_at = 0;
    }
    int64_t n = q->rest->n_rows - q->rest_at;
    n = n > RESULT_ROWS_MAX ? RESULT_ROWS_MAX : n;
    int st = batch_slice(q->rest, q->rest_at, n, &part, err);
    q->rest_at += n;
    if (st != ST_OK || q->rest_at == q->rest->n_rows) {
        batch_unref(q->rest);
        q->rest = NULL;
    }
    if (st == ST_OK) {
        st = finish_batch(q, part, ret_batch, err);
        batch_unref(part);
    }
    return execution_error(st, err);
}

/* Names come from plans and may be cut: what is no UTF-8 becomes '?'. */
static int json_text(struct dynbuf *out, const uint8_t *s, size_t n, struct error *err)
{
    TRY(dynbuf_append_byte(out, '"', err));
    for (size_t i = 0, size; i < n; i += size ? size : 1) {
        size = utf8_length(s + i, n - i);
        if (s[i] == '"' || s[i] == '\\')
            TRY(dynbuf_append_byte(out, '\\', err));
        if (s[i] < 0x20)
            TRY(dynbuf_printf(out, err, "\\u%04x", s[i]));
        else
            TRY(size ? dynbuf_append(out, s + i, size, err) : dynbuf_append_byte(out, '?', err));
    }
    return dynbuf_append_byte(out, '"', err);
}

static uint64_t own_ns(const struct oper *o)
{
    uint64_t below = o->input ? o->input->total_ns : 0;
    for (uint32_t i = 0; i < o->n_others; i++)
        below += o->others[i]->total_ns;
    return o->total_ns > below ? o->total_ns - below : 0;
}

/* [["output_rows", n], ...]: what every operator has, then what only this one has. */
static int json_metrics(const struct oper *o, bool verbose, struct dynbuf *out, struct error *err)
{
    struct oper_metric own[OPER_METRICS_MAX],
        common[] = {{"output_rows", o->rows_out}, {"elapsed_compute", own_ns(o)}, {"output_bytes", o->bytes_out}, {"output_batches", o->batches_out}};
    uint32_t n_own = o->ops->metrics ? o->ops->metrics(o, verbose, own) : 0, n_common = o->input ? 4 : 2;
    for (uint32_t i = 0; i < n_common + n_own; i++) {
        const struct oper_metric *m = i < n_common ? &common[i] : &own[i - n_common];
        TRY(dynbuf_printf(out, err, "%s[\"%s\",%llu]", i ? "," : "", m->name, (unsigned long long)m->value));
    }
    return ST_OK;
}

/* The node's text, cut where it is too long to be of use. */
static int json_node(const struct oper *o, uint32_t level, bool verbose, struct dynbuf *out, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, NODE_TEXT_MAX);
    int st = o->ops->describe(o, &text, verbose, NULL);
    if (st == ST_EXHAUSTED)
        st = ST_OK;
    if (st == ST_OK)
        st = dynbuf_printf(out, err, "%s{\"plan\":", level ? "," : "");
    if (st == ST_OK)
        st = json_text(out, text.data, text.size, err);
    if (st == ST_OK)
        st = dynbuf_printf(out, err, ",\"level\":%u,\"metrics\":[", level);
    if (st == ST_OK)
        st = json_metrics(o, verbose, out, err);
    if (st == ST_OK)
        st = dynbuf_printf(out, err, "]}");
    dynbuf_release(&text);
    return st;
}

static void add_up(const struct oper *o, uint64_t *ns, uint64_t *bytes)
{
    for (; o; o = o->input) {
        *ns += o->ops->describe ? own_ns(o) : 0; /* what is not shown waits for what is below it */
        *bytes += o->input ? 0 : o->mem_bytes;   /* the frontend bills it as bytes scanned */
        for (uint32_t i = 0; i < o->n_others; i++)
            add_up(o->others[i], ns, bytes);
    }
}

/* Parents before their inputs. */
static int json_tree(const struct oper *o, uint32_t level, bool verbose, struct dynbuf *out, struct error *err)
{
    if (!o->ops->describe)
        return json_tree(o->input, level, verbose, out, err);
    TRY(json_node(o, level, verbose, out, err));
    if (o->input)
        TRY(json_tree(o->input, level + 1, verbose, out, err));
    for (uint32_t i = 0; i < o->n_others; i++)
        TRY(json_tree(o->others[i], level + 1, verbose, out, err));
    return ST_OK;
}

int query_metrics_json(const struct query *q, struct dynbuf *out, struct error *err)
{
    uint64_t ns = 0, bytes = 0;
    add_up(q->root, &ns, &bytes);
    TRY(dynbuf_printf(out, err, "{\"elapsed_compute\":%llu,\"memory_usage\":%llu,\"plan_metrics\":[", (unsigned long long)ns,
                      (unsigned long long)bytes));
    TRY(json_tree(q->root, 0, q->verbose, out, err));
    return dynbuf_printf(out, err, "]}");
}

void query_free(struct query *q)
{
    if (!q)
        return;
    batch_unref(q->rest);
    oper_free(q->root);
    schema_unref(q->schema);
    plan_release(q->plan);
    arena_release(&q->arena);
    free(q);
}
