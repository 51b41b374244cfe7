/* InfluxDB line protocol: `measurement,tag=value field=value,field=value timestamp`.
 *
 * Format: InfluxDB's line protocol reference (v2). Tags become tag columns, fields typed columns; a line without a timestamp gets the current time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/load.h"

struct lp {
    struct load *l;
    const char *p, *end; /* the line */
    char *scratch;       /* unescaped texts of one line: no longer than the line */
    size_t scratch_room, used;
    char now[24];
};

static int bad_line(const struct lp *v, const char *what, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "%s:%" PRIu64 ": %s", v->l->path, v->l->line, what);
}

/* Text up to one of `stops`, unescaped into scratch; a backslash counts before one of `escapable` only. */
static struct load_cell take_text(struct lp *v, const char *stops, const char *escapable)
{
    struct load_cell cell = {v->scratch + v->used, 0, true};
    for (; v->p < v->end && !strchr(stops, *v->p); v->p++) {
        if (*v->p == '\\' && v->p + 1 < v->end && strchr(escapable, v->p[1]))
            v->p++;
        v->scratch[v->used++] = *v->p;
        cell.size++;
    }
    return cell;
}

static bool take_char(struct lp *v, char ch)
{
    if (v->p == v->end || *v->p != ch)
        return false;
    v->p++;
    return true;
}

/* A field's value without its marks, and what it is. */
static int take_value(struct lp *v, struct load_cell *ret_cell, enum load_kind *ret_kind, struct error *err)
{
    if (take_char(v, '"')) {
        *ret_cell = take_text(v, "\"", "\"\\");
        *ret_kind = LOAD_STRING;
        return take_char(v, '"') ? ST_OK : bad_line(v, "a quote without end", err);
    }
    struct load_cell cell = take_text(v, ", ", "");
    if (cell.size == 0)
        return bad_line(v, "a field without a value", err);
    char last = cell.text[cell.size - 1], first = cell.text[0];
    bool digits = (first >= '0' && first <= '9') || first == '-' || first == '+' || first == '.';
    *ret_kind = digits ? LOAD_FLOAT : LOAD_BOOL;
    if (digits && (last == 'i' || last == 'u')) {
        *ret_kind = last == 'i' ? LOAD_INT : LOAD_UINT;
        cell.size--;
    }
    *ret_cell = cell;
    return ST_OK;
}

static int set_cell(struct lp *v, struct load_target *t, const struct load_cell *name, enum semantic_type semantic, enum load_kind kind,
                    struct load_cell value, struct error *err)
{
    uint32_t i;
    if (name->size == 0)
        return bad_line(v, "a tag or field without a name", err);
    TRY(load_column(v->l, t, name->text, name->size, semantic, &i, err));
    if (!v->l->sending)
        t->columns[i].kind = load_kind_merge(t->columns[i].kind, kind);
    else
        t->cells[i] = value;
    return ST_OK;
}

static int take_tags(struct lp *v, struct load_target *t, struct error *err)
{
    while (take_char(v, ',')) {
        struct load_cell name = take_text(v, ",= ", ",= \\");
        if (!take_char(v, '='))
            return bad_line(v, "a tag without a value", err);
        struct load_cell value = take_text(v, ", ", ",= \\");
        TRY(set_cell(v, t, &name, SEMANTIC_TAG, LOAD_STRING, value, err));
    }
    return ST_OK;
}

static int take_fields(struct lp *v, struct load_target *t, struct error *err)
{
    do {
        struct load_cell value, name = take_text(v, ",= ", ",= \\");
        enum load_kind kind;
        if (!take_char(v, '='))
            return bad_line(v, "a field without a value", err);
        TRY(take_value(v, &value, &kind, err));
        TRY(set_cell(v, t, &name, SEMANTIC_FIELD, kind, value, err));
    } while (take_char(v, ','));
    return ST_OK;
}

static int take_line(struct lp *v, struct error *err)
{
    struct load_target *t;
    struct load_cell measurement = take_text(v, ", ", ", \\");
    if (measurement.size == 0)
        return bad_line(v, "no measurement", err);
    TRY(load_target(v->l, measurement.text, measurement.size, &t, err));
    TRY(take_tags(v, t, err));
    if (!take_char(v, ' '))
        return bad_line(v, "no fields", err);
    while (take_char(v, ' '))
        ;
    TRY(take_fields(v, t, err));
    while (take_char(v, ' '))
        ;
    struct load_cell time = take_text(v, " ", "");
    while (take_char(v, ' '))
        ;
    if (v->p < v->end)
        return bad_line(v, "text behind the timestamp", err);
    if (time.size == 0)
        time = (struct load_cell){v->now, strlen(v->now), true};
    const char *time_name = load_time_name(t);
    struct load_cell name = {time_name, strlen(time_name), true};
    TRY(set_cell(v, t, &name, SEMANTIC_TIMESTAMP, LOAD_TIME, time, err));
    return v->l->sending ? load_row(v->l, t, err) : ST_OK;
}

/* The end of the line that starts at l->at: newlines inside quotes belong to it. */
static const char *line_end(const struct load *l)
{
    bool quoted = false;
    const char *p = l->at;
    for (; p < l->end && (*p != '\n' || quoted); p++) {
        if (*p == '\\' && p + 1 < l->end)
            p++;
        else if (*p == '"')
            quoted = !quoted;
    }
    return p < l->end ? p : l->end;
}

static int take_lines(struct lp *v, struct error *err)
{
    struct load *l = v->l;
    while (l->at < l->end) {
        l->line++;
        v->p = l->at;
        bool comment = *l->at == '#';
        const char *end = comment ? memchr(l->at, '\n', (size_t)(l->end - l->at)) : line_end(l);
        if (!end)
            end = l->end;
        l->at = end < l->end ? end + 1 : end;
        v->end = end > v->p && end[-1] == '\r' ? end - 1 : end;
        v->used = 0;
        if (comment || v->p == v->end)
            continue;
        size_t need = (size_t)(v->end - v->p);
        if (need > v->scratch_room) {
            char *grown = realloc(v->scratch, need * 2);
            if (!grown)
                return error_no_memory(err, need * 2);
            v->scratch = grown;
            v->scratch_room = need * 2;
        }
        TRY(take_line(v, err));
    }
    return ST_OK;
}

int load_read_lp(struct load *l, struct error *err)
{
    struct lp v = {.l = l};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(v.now, sizeof v.now, "%lld", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    int rc = take_lines(&v, err);
    free(v.scratch);
    return rc;
}
