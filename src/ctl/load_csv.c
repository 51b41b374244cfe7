/* CSV (RFC 4180) with a heading line. Empty fields without quotes are null. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "ctl/load.h"
#include "exec/cast_text.h"

struct csv_field { const char *text; size_t size; bool quoted; };

struct csv {
    struct load *l;
    struct csv_field fields[LOAD_COLUMNS_MAX];
    uint32_t columns[LOAD_COLUMNS_MAX]; /* of the target, by position in the file */
    uint32_t n;
    char *scratch; /* unquoted text of one record */
    size_t scratch_size, scratch_room;
};

static int bad_line(const struct csv *v, const char *what, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "%s:%" PRIu64 ": %s", v->l->path, v->l->line, what);
}

/* A quoted field, l->at behind its opening quote; leaves it behind the closing one. The text lies in scratch. */
static int quoted_field(struct csv *v, struct csv_field *f, uint64_t *lines, struct error *err)
{
    struct load *l = v->l;
    size_t start = v->scratch_size;
    for (; l->at < l->end; l->at++) {
        if (*l->at == '"') {
            if (l->at + 1 == l->end || l->at[1] != '"')
                break;
            l->at++;
        }
        *lines += *l->at == '\n';
        if (v->scratch_size == v->scratch_room)
            return bad_line(v, "a record of more than 16 MiB", err);
        v->scratch[v->scratch_size++] = *l->at;
    }
    if (l->at == l->end)
        return bad_line(v, "a quote without end", err);
    l->at++;
    if (l->at < l->end && *l->at != ',' && *l->at != '\n' && *l->at != '\r')
        return bad_line(v, "text behind a closing quote", err);
    *f = (struct csv_field){v->scratch + start, v->scratch_size - start, true};
    return ST_OK;
}

/* The next record into v->fields; *ret_n = 0 at the end of the file. Blank lines are skipped. */
static int next_record(struct csv *v, uint32_t *ret_n, struct error *err)
{
    struct load *l = v->l;
    uint32_t n = 0;
    uint64_t lines = 0;
    v->scratch_size = 0;
    while (l->at < l->end && (*l->at == '\n' || *l->at == '\r'))
        l->line += *l->at++ == '\n';
    *ret_n = 0;
    if (l->at == l->end)
        return ST_OK;
    l->line++;
    for (;;) {
        struct csv_field f;
        if (n == LOAD_COLUMNS_MAX)
            return bad_line(v, "too many fields", err);
        if (l->at < l->end && *l->at == '"') {
            l->at++;
            TRY(quoted_field(v, &f, &lines, err));
        } else {
            const char *start = l->at;
            while (l->at < l->end && *l->at != ',' && *l->at != '\n')
                l->at++;
            size_t size = (size_t)(l->at - start);
            f = (struct csv_field){start, size && start[size - 1] == '\r' ? size - 1 : size, false};
        }
        v->fields[n++] = f;
        if (l->at < l->end && *l->at == ',') {
            l->at++;
            continue;
        }
        while (l->at < l->end && *l->at == '\r')
            l->at++;
        if (l->at < l->end)
            l->at++; /* the newline */
        break;
    }
    l->line += lines;
    *ret_n = n;
    return ST_OK;
}

static enum load_kind kind_of(const struct csv_field *f)
{
    __int128 i;
    double d;
    if (f->size == 0 && !f->quoted)
        return LOAD_UNSEEN;
    if (f->quoted)
        return LOAD_STRING;
    if (text_to_integer(f->text, f->size, &i))
        return i == (int64_t)i ? LOAD_INT : i > 0 && i == (__int128)(uint64_t)i ? LOAD_UINT : LOAD_FLOAT;
    if (number_parse(f->text, f->size, false, &d))
        return LOAD_FLOAT;
    if ((f->size == 4 && !strncasecmp(f->text, "true", 4)) || (f->size == 5 && !strncasecmp(f->text, "false", 5)))
        return LOAD_BOOL;
    return LOAD_STRING;
}

static bool in_list(const char *list, const char *name)
{
    size_t n = strlen(name);
    while (list) {
        size_t k = strcspn(list, ",");
        if (k == n && !memcmp(list, name, n))
            return true;
        list = list[k] ? list + k + 1 : NULL;
    }
    return false;
}

static int read_heading(struct csv *v, struct load_target *t, struct error *err)
{
    struct load *l = v->l;
    TRY(next_record(v, &v->n, err));
    if (v->n && v->fields[0].size >= 3 && !memcmp(v->fields[0].text, "\xef\xbb\xbf", 3)) { /* a byte order mark */
        v->fields[0].text += 3;
        v->fields[0].size -= 3;
    }
    bool has_time = false;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct csv_field *f = &v->fields[i];
        bool named_time = (f->size == 4 && !strncasecmp(f->text, "time", 4)) || (f->size == 2 && !strncasecmp(f->text, "ts", 2)) ||
                          (f->size == 9 && !strncasecmp(f->text, "timestamp", 9));
        if (f->size == 0)
            return bad_line(v, "a column without a name", err);
        TRY(load_column(l, t, f->text, f->size, named_time && !has_time ? SEMANTIC_TIMESTAMP : SEMANTIC_FIELD, &v->columns[i], err));
        for (uint32_t k = 0; k < i; k++) {
            if (v->columns[k] == v->columns[i])
                return bad_line(v, "two columns of one name", err);
        }
        has_time = has_time || named_time;
    }
    if (!has_time && l->create && !l->sending)
        return bad_line(v, "no column called time, ts or timestamp to be the time index", err);
    return ST_OK;
}

static void decide_tags(const struct load *l, struct load_target *t)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        struct load_column *col = &t->columns[i];
        if (col->semantic == SEMANTIC_FIELD && (l->tags ? in_list(l->tags, col->name) : col->kind == LOAD_STRING))
            col->semantic = SEMANTIC_TAG;
    }
}

static int read_records(struct csv *v, struct load_target *t, struct error *err)
{
    struct load *l = v->l;
    uint32_t n;
    TRY(read_heading(v, t, err));
    for (;;) {
        TRY(next_record(v, &n, err));
        if (n == 0)
            break;
        if (n != v->n)
            return error_set(err, ST_INVALID_ARGUMENTS, "%s:%" PRIu64 ": %u fields where the heading has %u", l->path, l->line, (unsigned)n,
                             (unsigned)v->n);
        for (uint32_t i = 0; i < n; i++) {
            const struct csv_field *f = &v->fields[i];
            struct load_column *col = &t->columns[v->columns[i]];
            if (l->sending)
                t->cells[v->columns[i]] = (struct load_cell){f->text, f->size, f->size || f->quoted};
            else
                col->kind = load_kind_merge(col->kind, kind_of(f));
        }
        if (l->sending)
            TRY(load_row(l, t, err));
    }
    if (!l->sending)
        decide_tags(l, t);
    return ST_OK;
}

int load_read_csv(struct load *l, struct error *err)
{
    struct load_target *t;
    const char *slash = strrchr(l->path, '/'), *base = slash ? slash + 1 : l->path, *dot = strrchr(base, '.');
    TRY(load_target(l, base, dot ? (size_t)(dot - base) : strlen(base), &t, err));
    struct csv *v = calloc(1, sizeof(*v));
    if (!v)
        return error_no_memory(err, sizeof(*v));
    v->l = l;
    v->scratch_room = (size_t)16 << 20;
    v->scratch = malloc(v->scratch_room);
    int rc = v->scratch ? read_records(v, t, err) : error_no_memory(err, v->scratch_room);
    free(v->scratch);
    free(v);
    return rc;
}
