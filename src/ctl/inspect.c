/* `inspect sst` and `inspect wal`: what a file holds, read straight from disk. */
#include <inttypes.h>
#include <string.h>

#include "ctl/commands.h"
#include "format/parquet/parquet.h"
#include "os/fs.h"
#include "wal/wal.h"

int ctl_inspect(struct ctl *c, struct error *err)
{
    const char *words[2];
    TRY(ctl_arguments(c, NULL, words, 2, 2, err));
    if (!strcmp(words[0], "sst"))
        return ctl_inspect_sst(c, words[1], err);
    if (!strcmp(words[0], "manifest"))
        return ctl_inspect_manifest(c, words[1], err);
    if (!strcmp(words[0], "wal"))
        return ctl_inspect_wal(c, words[1], err);
    if (!strcmp(words[0], "puffin"))
        return ctl_inspect_puffin(c, words[1], err);
    return ctl_usage(c, err, "'%.100s' is none of sst, manifest, puffin, wal", words[0]);
}

/* ---- sst ---- */
static int read_file(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    return fs_read_exact(ctx, offset, data, size, err);
}

/* A bound as text: by the leaf's physical type, which is enough to recognise it. */
static void bound_text(int32_t physical_type, const uint8_t *p, uint32_t size, char *out, size_t room)
{
    enum { BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE };
    double d;
    float f;
    if (physical_type == BOOLEAN && size == 1) {
        snprintf(out, room, "%s", *p ? "true" : "false");
    } else if (physical_type == INT32 && size == 4) {
        snprintf(out, room, "%d", (int)(int32_t)load_le32(p));
    } else if (physical_type == INT64 && size == 8) {
        snprintf(out, room, "%" PRId64, (int64_t)load_le64(p));
    } else if (physical_type == FLOAT && size == 4) {
        memcpy(&f, p, 4);
        snprintf(out, room, "%g", (double)f);
    } else if (physical_type == DOUBLE && size == 8) {
        memcpy(&d, p, 8);
        snprintf(out, room, "%g", d);
    } else {
        size_t n = 0;
        for (uint32_t i = 0; i < size && i < 24 && n + 8 < room; i++)
            n += (size_t)snprintf(out + n, room - n, p[i] >= ' ' && p[i] < 0x7f ? "%c" : "\\x%02x", p[i]);
        snprintf(out + n, room - n, "%s", size > 24 ? "..." : "");
    }
}

static int print_chunks(struct ctl_table *t, const struct parquet_file *f, uint32_t group, struct error *err)
{
    const struct parquet_row_group *g = parquet_row_group(f, group);
    char a[24], b[24], min[120], max[120];
    for (uint32_t i = 0; i < parquet_n_leaves(f); i++) {
        const struct parquet_leaf *leaf = parquet_leaf(f, i);
        const struct parquet_chunk *k = &g->chunks[i];
        snprintf(min, sizeof min, "-");
        snprintf(max, sizeof max, "-");
        if (k->bounds.has_min)
            bound_text(leaf->physical_type, k->bounds.min, k->bounds.min_size, min, sizeof min);
        if (k->bounds.has_max)
            bound_text(leaf->physical_type, k->bounds.max, k->bounds.max_size, max, sizeof max);
        TRY(ctl_table_printf(t, err, "%u", (unsigned)group));
        TRY(ctl_table_cell(t, leaf->path, strlen(leaf->path), false, err));
        TRY(ctl_table_printf(t, err, "%" PRId64, k->values));
        TRY(ctl_table_printf(t, err, "%s", ctl_bytes((uint64_t)k->total_compressed_bytes, a)));
        TRY(ctl_table_printf(t, err, "%s", ctl_bytes((uint64_t)k->total_uncompressed_bytes, b)));
        if (k->bounds.has_null_count)
            TRY(ctl_table_printf(t, err, "%" PRId64, k->bounds.null_count));
        else
            TRY(ctl_table_printf(t, err, "-"));
        TRY(ctl_table_printf(t, err, "%s", min));
        TRY(ctl_table_printf(t, err, "%s", max));
    }
    return ST_OK;
}

static void print_schema(const struct parquet_file *f)
{
    char type[200];
    const struct schema *s = parquet_schema(f);
    const char *json = parquet_kv(f, "greptime:metadata");
    printf("columns\n");
    for (uint32_t i = 0; i < s->n_fields; i++)
        printf("  %-24s %s%s\n", s->fields[i]->name, type_print(s->fields[i]->type, type, sizeof type), s->fields[i]->nullable ? "" : ", not null");
    printf("greptime:metadata\n  %.300s%s\n\n", json ? json : "(none: not a region's file)", json && strlen(json) > 300 ? "..." : "");
}

static int print_sst(const struct parquet_file *f, const char *path, uint64_t size, struct error *err)
{
    static const char *const headings[] = {"GROUP", "COLUMN", "VALUES", "SIZE", "PLAIN", "NULLS", "MIN", "MAX"};
    const char *by = parquet_created_by(f);
    char bytes[24];
    struct ctl_table t;
    printf("file        %s\nsize        %s\nrows        %" PRId64 "\nrow groups  %u\ncreated by  %s\n", path, ctl_bytes(size, bytes),
           parquet_n_rows(f), (unsigned)parquet_n_row_groups(f), by ? by : "(not told)");
    print_schema(f);
    int rc = ctl_table_begin(&t, stdout, headings, 8, err);
    for (uint32_t i = 0; i < parquet_n_row_groups(f) && rc == ST_OK; i++)
        rc = print_chunks(&t, f, i, err);
    if (rc == ST_OK)
        ctl_table_end(&t);
    ctl_table_free(&t);
    return rc;
}

int ctl_inspect_sst(struct ctl *c, const char *path, struct error *err)
{
    struct fs *fs = fs_posix();
    struct fs_file *file;
    struct parquet_file *f = NULL;
    struct parquet_source source = {.read = read_file};
    (void)c;
    TRY(fs->ops->open(fs, path, FS_READ, &file, err));
    source.ctx = file;
    int rc = file->ops->size(file, &source.size_bytes, err);
    if (rc == ST_OK)
        rc = parquet_open(&source, NULL, &f, err);
    if (rc == ST_OK)
        rc = print_sst(f, path, source.size_bytes, err);
    if (f)
        parquet_file_free(f);
    file->ops->close(file);
    return rc ? error_prefix(err, "%s", path) : ST_OK;
}

/* ---- wal ---- */
struct wal_walk {
    struct ctl_table table;
    uint64_t records, bytes, damaged;
};

static int wal_record(void *ctx, uint64_t offset, const struct wal_record *record, struct error *err)
{
    struct wal_walk *w = ctx;
    TRY(ctl_table_printf(&w->table, err, "%" PRIu64, offset));
    TRY(ctl_table_printf(&w->table, err, "%" PRIu64, record->region_id));
    TRY(ctl_table_printf(&w->table, err, "%u:%u", (unsigned)(record->region_id >> 32), (unsigned)record->region_id));
    TRY(ctl_table_printf(&w->table, err, "%" PRIu64, record->entry_id));
    TRY(ctl_table_printf(&w->table, err, "%zu", record->size));
    if (record->payload) {
        w->records++;
        w->bytes += record->size;
    } else {
        w->damaged++;
    }
    return ctl_table_printf(&w->table, err, "%s", record->payload ? "ok" : "DAMAGED");
}

int ctl_inspect_wal(struct ctl *c, const char *path, struct error *err)
{
    static const char *const headings[] = {"OFFSET", "REGION", "TABLE", "ENTRY", "SIZE", "STATE"};
    struct wal_walk w = {.records = 0};
    char bytes[24];
    (void)c;
    int rc = ctl_table_begin(&w.table, stdout, headings, 6, err);
    if (rc == ST_OK)
        rc = wal_inspect(fs_posix(), path, wal_record, &w, err);
    ctl_table_end(&w.table); /* also what came before a failure */
    ctl_table_free(&w.table);
    TRY(rc);
    printf("\n%" PRIu64 " records, %s, %" PRIu64 " damaged places\n", w.records, ctl_bytes(w.bytes, bytes), w.damaged);
    return ST_OK;
}
