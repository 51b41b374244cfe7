/* `load`: finds or makes the regions that a file's rows belong to, and sends the rows as InsertRequests in batches. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/number.h"
#include "base/text.h"
#include "ctl/load.h"
#include "exec/cast_text.h"
#include "format/proto/wire.h"

enum { REQUEST_INSERTS = 3, BATCH_BYTES_MAX = 256 << 20, BATCH_BYTES_SEND = 8 << 20 };
enum { TYPE_BOOLEAN_WIRE = 0, TYPE_INT64_WIRE = 4, TYPE_UINT64_WIRE = 8, TYPE_FLOAT64_WIRE = 10, TYPE_STRING_WIRE = 12, TYPE_TIMESTAMP_MS_WIRE = 16 };

enum load_kind load_kind_merge(enum load_kind a, enum load_kind b)
{
    if (a == b || b == LOAD_UNSEEN)
        return a;
    if (a == LOAD_UNSEEN)
        return b;
    bool numbers = a >= LOAD_INT && a <= LOAD_FLOAT && b >= LOAD_INT && b <= LOAD_FLOAT;
    return numbers ? LOAD_FLOAT : LOAD_STRING;
}

const char *load_time_name(const struct load_target *t)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (t->columns[i].semantic == SEMANTIC_TIMESTAMP)
            return t->columns[i].name;
    }
    return "time";
}

/* ---- targets ---- */
static int take_metadata(struct load *l, struct load_target *t, struct error *err)
{
    struct region_metadata *m = NULL;
    TRY(ctl_metadata(l->c, t->region_id, &m, err));
    int rc = m->n_columns > LOAD_COLUMNS_MAX ? error_set(err, ST_UNSUPPORTED, "a region of more than %d columns", LOAD_COLUMNS_MAX) : ST_OK;
    for (uint32_t i = 0; i < m->n_columns && rc == ST_OK; i++) {
        const struct region_column *col = &m->columns[i];
        t->columns[i] = (struct load_column){.semantic = col->semantic, .datatype = col->wire_type};
        t->columns[i].name = arena_copy(&l->c->arena, col->name, strlen(col->name), err);
        rc = t->columns[i].name ? ST_OK : ST_NO_MEMORY;
        t->n_columns = i + 1;
    }
    region_metadata_unref(m);
    return rc;
}

int load_target(struct load *l, const char *name, size_t size, struct load_target **ret_target, struct error *err)
{
    for (uint32_t i = 0; i < l->n_targets; i++) {
        struct load_target *t = l->targets[i];
        if (l->region || (strlen(t->name) == size && !memcmp(t->name, name, size))) {
            *ret_target = t;
            return ST_OK;
        }
    }
    if (l->n_targets == LOAD_TARGETS_MAX)
        return error_set(err, ST_UNSUPPORTED, "a file of more than %d measurements", LOAD_TARGETS_MAX);
    struct load_target *t = calloc(1, sizeof(*t));
    if (!t)
        return error_no_memory(err, sizeof(*t));
    l->targets[l->n_targets++] = t;
    dynbuf_init(&t->rows, BATCH_BYTES_MAX);
    t->name = l->region ? l->region : arena_copy(&l->c->arena, name, size, err);
    if (!t->name)
        return ST_NO_MEMORY;
    TRY(ctl_resolve(l->c, t->name, &t->region_id, err));
    if (!l->create) {
        int rc = take_metadata(l, t, err);
        if (rc == ST_REGION_NOT_FOUND)
            return error_set(err, rc, "the server has no region '%s'; --create makes it", t->name);
        TRY(rc);
    }
    *ret_target = t;
    return ST_OK;
}

int load_column(struct load *l, struct load_target *t, const char *name, size_t size, enum semantic_type semantic, uint32_t *ret_index,
                struct error *err)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        if (strlen(t->columns[i].name) == size && !memcmp(t->columns[i].name, name, size)) {
            *ret_index = i;
            return ST_OK;
        }
    }
    if (l->sending)
        return error_set(err, ST_COLUMN_NOT_FOUND, "%s:%" PRIu64 ": region '%s' has no column '%.*s'", l->path, l->line, t->name,
                         (int)(size < 200 ? size : 200), name);
    if (t->n_columns == LOAD_COLUMNS_MAX)
        return error_set(err, ST_UNSUPPORTED, "%s:%" PRIu64 ": more than %d columns", l->path, l->line, LOAD_COLUMNS_MAX);
    struct load_column *col = &t->columns[t->n_columns];
    *col = (struct load_column){.semantic = semantic, .name = arena_copy(&l->c->arena, name, size, err)};
    if (!col->name)
        return ST_NO_MEMORY;
    *ret_index = t->n_columns++;
    return ST_OK;
}

static int32_t datatype_of(const struct load_column *col)
{
    if (col->semantic == SEMANTIC_TIMESTAMP || col->kind == LOAD_TIME)
        return TYPE_TIMESTAMP_MS_WIRE;
    if (col->semantic == SEMANTIC_TAG)
        return TYPE_STRING_WIRE;
    switch (col->kind) {
    case LOAD_BOOL:
        return TYPE_BOOLEAN_WIRE;
    case LOAD_INT:
        return TYPE_INT64_WIRE;
    case LOAD_UINT:
        return TYPE_UINT64_WIRE;
    case LOAD_FLOAT:
        return TYPE_FLOAT64_WIRE;
    default:
        return TYPE_STRING_WIRE;
    }
}

/* Makes the region, unless the server has it: then its own columns count. */
static int create_target(struct load *l, struct load_target *t, struct error *err)
{
    struct region_metadata *m = NULL;
    struct error ignored;
    if (ctl_metadata(l->c, t->region_id, &m, &ignored) == ST_OK) {
        region_metadata_unref(m);
        t->n_columns = 0;
        return take_metadata(l, t, err);
    }
    struct ctl_column *columns = ARENA_ARRAY(&l->c->arena, t->n_columns, struct ctl_column, err);
    if (!columns)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < t->n_columns; i++) {
        t->columns[i].datatype = datatype_of(&t->columns[i]);
        columns[i] = (struct ctl_column){.name = t->columns[i].name, .datatype = t->columns[i].datatype, .semantic = t->columns[i].semantic};
    }
    int rc = ctl_create_region(l->c, t->region_id, ctl_is_name(t->name) ? t->name : NULL, columns, t->n_columns, NULL, err);
    return rc ? error_prefix(err, "region '%s'", t->name) : ST_OK;
}

/* ---- rows ---- */
/* A time in the unit of that datatype (15 = s ... 18 = ns). A bare number's own unit is told by its size: it lies in this century. */
static bool time_value(const struct load_cell *cell, int32_t datatype, int64_t *ret)
{
    static const int64_t per_second[] = {1, 1000, 1000000, 1000000000};
    int unit = datatype == 14 ? 2 : datatype - 15;
    __int128 v;
    if (!text_to_integer(cell->text, cell->size, &v))
        return text_to_timestamp(cell->text, cell->size, NULL, (uint8_t)unit, ret);
    __int128 size = v < 0 ? -v : v;
    int from = size < 100000000000 ? 0 : size < 100000000000000 ? 1 : size < 100000000000000000 ? 2 : 3;
    v = from < unit ? v * (per_second[unit] / per_second[from]) : v / (per_second[from] / per_second[unit]);
    *ret = (int64_t)v;
    return v == (int64_t)v;
}

static int put_float(const struct load_cell *cell, bool wide, struct dynbuf *out, bool *ret_good, struct error *err)
{
    double d = 0;
    *ret_good = number_parse(cell->text, cell->size, false, &d);
    if (!*ret_good)
        return ST_OK;
    if (wide) {
        uint64_t bits;
        memcpy(&bits, &d, 8);
        return pb_put_fixed64(out, 10, bits, err);
    }
    float f = (float)d;
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return pb_put_fixed32(out, 9, bits, err);
}

static int put_integer(const struct load_cell *cell, int32_t datatype, struct dynbuf *out, bool *ret_good, struct error *err)
{
    static const int bits[] = {8, 16, 32, 64};
    bool is_signed = datatype <= 4;
    int n = bits[is_signed ? datatype - 1 : datatype - 5];
    __int128 v, min = is_signed ? -((__int128)1 << (n - 1)) : 0, max = ((__int128)1 << (is_signed ? n - 1 : n)) - 1;
    *ret_good = text_to_integer(cell->text, cell->size, &v) && v >= min && v <= max;
    return *ret_good ? pb_put_uint(out, (uint32_t)datatype, (uint64_t)v, err) : ST_OK;
}

/* Appends the Value; *ret_good = false when the text is no value of that type. */
static int put_value(const struct load_cell *cell, int32_t datatype, struct dynbuf *out, bool *ret_good, struct error *err)
{
    int64_t t;
    int32_t days;
    bool flag;
    *ret_good = true;
    if (datatype >= 1 && datatype <= 8)
        return put_integer(cell, datatype, out, ret_good, err);
    if (datatype >= 14 && datatype <= 18) {
        *ret_good = time_value(cell, datatype, &t);
        return *ret_good ? pb_put_uint(out, (uint32_t)datatype + 1, (uint64_t)t, err) : ST_OK;
    }
    switch (datatype) {
    case 0:
        *ret_good = text_to_bool(cell->text, cell->size, &flag);
        return *ret_good ? pb_put_uint(out, 11, flag, err) : ST_OK;
    case 9:
    case 10:
        return put_float(cell, datatype == 10, out, ret_good, err);
    case 11:
        return pb_put_bytes(out, 12, cell->text, cell->size, err);
    case 12:
        *ret_good = utf8_valid(cell->text, cell->size);
        return *ret_good ? pb_put_bytes(out, 13, cell->text, cell->size, err) : ST_OK;
    case 13:
        *ret_good = text_to_date(cell->text, cell->size, &days);
        return *ret_good ? pb_put_uint(out, 14, (uint64_t)(int64_t)days, err) : ST_OK;
    default:
        *ret_good = false;
        return ST_OK;
    }
}

static int put_row(struct load *l, struct load_target *t, struct dynbuf *row, struct dynbuf *value, struct error *err)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        struct load_cell *cell = &t->cells[i];
        bool good = true;
        dynbuf_clear(value);
        if (cell->set)
            TRY(put_value(cell, t->columns[i].datatype, value, &good, err));
        if (!good)
            return error_set(err, ST_INVALID_ARGUMENTS, "%s:%" PRIu64 ": '%.*s' is not a value of column '%s'", l->path, l->line,
                             (int)(cell->size < 100 ? cell->size : 100), cell->text, t->columns[i].name);
        TRY(pb_put_bytes(row, 1, value->data, value->size, err));
        *cell = (struct load_cell){0};
    }
    return pb_put_bytes(&t->rows, 2, row->data, row->size, err);
}

static int put_schema(const struct load_target *t, struct dynbuf *out, struct error *err)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        const struct load_column *col = &t->columns[i];
        struct dynbuf b;
        dynbuf_init(&b, BATCH_BYTES_MAX);
        int rc = pb_put_string(&b, 1, col->name, err);
        if (rc == ST_OK)
            rc = pb_put_uint(&b, 2, (uint64_t)col->datatype, err);
        if (rc == ST_OK)
            rc = pb_put_uint(&b, 3, col->semantic, err);
        if (rc == ST_OK)
            rc = pb_put_bytes(out, 1, b.data, b.size, err);
        dynbuf_release(&b);
        TRY(rc);
    }
    return ST_OK;
}

static int put_request(const struct load_target *t, struct dynbuf *rows, struct dynbuf *insert, struct dynbuf *body, struct error *err)
{
    TRY(put_schema(t, rows, err));
    TRY(dynbuf_append(rows, t->rows.data, t->rows.size, err));
    TRY(pb_put_uint(insert, 1, t->region_id, err));
    TRY(pb_put_bytes(insert, 2, rows->data, rows->size, err));
    return pb_put_bytes(body, 1, insert->data, insert->size, err);
}

static void show_progress(const struct load *l)
{
    enum { WIDTH = 40 };
    double part = l->end > l->text ? (double)(l->at - l->text) / (double)(l->end - l->text) : 1;
    int done = (int)(part * WIDTH);
    if (!l->progress)
        return;
    fprintf(stderr, "\r[%.*s%*s] %3.0f%%  %" PRIu64 " rows", done, "########################################", WIDTH - done, "", part * 100,
            l->n_rows);
    fflush(stderr);
}

static int send_rows(struct load *l, struct load_target *t, struct error *err)
{
    struct dynbuf rows, insert, body;
    uint64_t affected = 0;
    if (t->n_rows == 0)
        return ST_OK;
    dynbuf_init(&rows, BATCH_BYTES_MAX);
    dynbuf_init(&insert, BATCH_BYTES_MAX);
    dynbuf_init(&body, BATCH_BYTES_MAX);
    int rc = put_request(t, &rows, &insert, &body, err);
    if (rc == ST_OK)
        rc = ctl_send(l->c, REQUEST_INSERTS, &body, &affected, err);
    if (rc == ST_OK && affected != t->n_rows)
        rc = error_set(err, ST_UNEXPECTED, "the server took %" PRIu64 " of %u rows", affected, (unsigned)t->n_rows);
    dynbuf_release(&rows);
    dynbuf_release(&insert);
    dynbuf_release(&body);
    l->n_rows += rc ? 0 : t->n_rows;
    t->n_rows = 0;
    dynbuf_clear(&t->rows);
    show_progress(l);
    return rc;
}

int load_row(struct load *l, struct load_target *t, struct error *err)
{
    struct dynbuf row, value;
    dynbuf_init(&row, BATCH_BYTES_MAX);
    dynbuf_init(&value, BATCH_BYTES_MAX);
    int rc = put_row(l, t, &row, &value, err);
    dynbuf_release(&row);
    dynbuf_release(&value);
    TRY(rc);
    t->n_rows++;
    return t->n_rows >= LOAD_BATCH_ROWS || t->rows.size > BATCH_BYTES_SEND ? send_rows(l, t, err) : ST_OK;
}

/* ---- the command ---- */
static int map_file(struct load *l, struct error *err)
{
    struct stat st;
    int fd = open(l->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ST_NOT_FOUND, "cannot read %s: %m", l->path);
    int rc = fstat(fd, &st) || !S_ISREG(st.st_mode) ? error_set(err, ST_INVALID_ARGUMENTS, "%s is not a regular file", l->path) : ST_OK;
    void *map = rc == ST_OK && st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (map == MAP_FAILED)
        rc = error_set(err, ST_STORAGE, "cannot read %s: %m", l->path);
    close(fd);
    if (rc == ST_OK && map) {
        l->text = map;
        l->end = l->text + st.st_size;
    }
    return rc;
}

static int walk_file(struct load *l, int (*read)(struct load *l, struct error *err), struct error *err)
{
    if (l->create) {
        l->at = l->text;
        l->line = 0;
        TRY(read(l, err));
        for (uint32_t i = 0; i < l->n_targets; i++)
            TRY(create_target(l, l->targets[i], err));
    }
    l->at = l->text;
    l->line = 0;
    l->sending = true;
    TRY(read(l, err));
    for (uint32_t i = 0; i < l->n_targets; i++)
        TRY(send_rows(l, l->targets[i], err));
    return ST_OK;
}

static int load_file(struct load *l, bool csv, struct error *err)
{
    TRY(map_file(l, err));
    int rc = l->text ? walk_file(l, csv ? load_read_csv : load_read_lp, err) : ST_OK;
    if (l->progress && l->n_rows)
        fprintf(stderr, "\n");
    if (rc && l->n_rows)
        error_prefix(err, "after %" PRIu64 " rows", l->n_rows);
    for (uint32_t i = 0; i < l->n_targets; i++) {
        l->only_name = l->targets[i]->name; /* lives in the arena */
        dynbuf_release(&l->targets[i]->rows);
        free(l->targets[i]);
    }
    if (l->text)
        munmap((void *)l->text, (size_t)(l->end - l->text));
    return rc;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcasecmp(text + n - k, end);
}

int ctl_load(struct ctl *c, struct error *err)
{
    const char *format = NULL;
    struct load *l = ARENA_NEW(&c->arena, struct load, err);
    if (!l)
        return ST_NO_MEMORY;
    l->c = c;
    const struct ctl_flag flags[] = {{.name = "--create", .on = &l->create}, {.name = "--region", .value = &l->region},
                                     {.name = "--format", .value = &format}, {.name = "--tags", .value = &l->tags}, {0}};
    TRY(ctl_arguments(c, flags, &l->path, 1, 1, err));
    if (!format)
        format = ends_with(l->path, ".csv") ? "csv" : ends_with(l->path, ".lp") ? "lp" : "";
    if (strcmp(format, "csv") && strcmp(format, "lp"))
        return ctl_usage(c, err, "--format must be csv or lp");
    l->progress = isatty(STDERR_FILENO);
    TRY(load_file(l, !strcmp(format, "csv"), err));
    if (l->n_targets == 1)
        printf("loaded %" PRIu64 " rows into region '%s'\n", l->n_rows, l->only_name);
    else
        printf("loaded %" PRIu64 " rows into %u regions\n", l->n_rows, (unsigned)l->n_targets);
    return ST_OK;
}
