/* `inspect manifest`: one delta or checkpoint, or a whole folder folded into the state that a server would see (mito-on-disk.md 2). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "ctl/commands.h"
#include "engine/mito/manifest.h"
#include "format/json/json.h"
#include "os/fs.h"

enum { MANIFEST_FILES_MAX = 100000, MANIFEST_BYTES_MAX = 256 << 20 };

struct manifest_name { uint64_t version; bool checkpoint; const char *name; };

struct folder {
    struct ctl *c;
    struct manifest_name *files;
    uint32_t n, room;
};

/* `<digits>.json[.gz]` or `<digits>.checkpoint[.gz]` */
static bool parse_name(const char *name, struct manifest_name *ret)
{
    const char *dot = strchr(name, '.');
    size_t digits = strspn(name, "0123456789");
    if (digits == 0 || digits > 20 || dot != name + digits)
        return false;
    ret->checkpoint = !strncmp(dot, ".checkpoint", 11);
    ret->version = strtoull(name, NULL, 10);
    ret->name = name;
    return ret->checkpoint || !strncmp(dot, ".json", 5);
}

static int gunzip(struct dynbuf *text, struct error *err)
{
    struct dynbuf out;
    z_stream z = {.next_in = text->data, .avail_in = (uInt)text->size};
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return error_no_memory(err, sizeof z);
    dynbuf_init(&out, MANIFEST_BYTES_MAX);
    int rc = ST_OK, zst = Z_OK;
    while (rc == ST_OK && zst != Z_STREAM_END) {
        rc = dynbuf_reserve(&out, 65536, err);
        if (rc)
            break;
        z.next_out = out.data + out.size;
        z.avail_out = 65536;
        zst = inflate(&z, Z_NO_FLUSH);
        if (zst != Z_OK && zst != Z_STREAM_END)
            rc = error_set(err, ST_CORRUPT, "bad gzip data");
        out.size += 65536 - z.avail_out;
    }
    inflateEnd(&z);
    dynbuf_release(text);
    *text = out;
    return rc;
}

static int read_text(const char *path, struct dynbuf *text, struct error *err)
{
    TRY(fs_read_all(fs_posix(), path, MANIFEST_BYTES_MAX, text, err));
    return text->size > 2 && text->data[0] == 0x1f && text->data[1] == 0x8b ? gunzip(text, err) : ST_OK;
}

/* ---- what a delta does, in a few words ---- */
static uint32_t count_of(const struct json_value *v, const char *name)
{
    const struct json_value *list = json_get(v, name);
    return list ? list->count : 0;
}

static void describe_action(const struct json_value *action, char *out, size_t room)
{
    uint64_t entry, version;
    size_t n = (size_t)snprintf(out, room, "%.40s", action->key ? action->key : "?");
    if (!action->key)
        return;
    if (!strcmp(action->key, "Edit")) {
        n += (size_t)snprintf(out + n, room - n, " +%u -%u files", (unsigned)count_of(action, "files_to_add"),
                              (unsigned)count_of(action, "files_to_remove"));
        if (json_u64(json_get(action, "flushed_entry_id"), &entry))
            snprintf(out + n, room - n, ", flushed to entry %" PRIu64, entry);
    } else if (!strcmp(action->key, "Change")) {
        const struct json_value *metadata = json_get(action, "metadata");
        if (json_u64(json_get(metadata, "schema_version"), &version))
            snprintf(out + n, room - n, " to schema version %" PRIu64, version);
    }
}

static int print_delta(struct ctl *c, const struct manifest_name *f, const struct dynbuf *text, struct error *err)
{
    const struct json_value *root;
    TRY(json_parse(&c->arena, (const char *)text->data, text->size, &root, err));
    const struct json_value *actions = json_get(root, "actions");
    printf("%6" PRIu64 "  delta       %6zu bytes", f->version, text->size);
    for (const struct json_value *v = json_is(actions, JSON_ARRAY) ? actions->first : NULL; v; v = v->next) {
        const struct json_value *action = json_only_member(v);
        char what[160];
        if (!action)
            continue;
        describe_action(action, what, sizeof what);
        printf("%s%s", v == actions->first ? "  " : "; ", what);
    }
    printf("\n");
    return ST_OK;
}

/* ---- the folded state ---- */
static int print_files(const struct manifest *m, struct error *err)
{
    static const char *const headings[] = {"FILE", "LEVEL", "ROWS", "GROUPS", "SIZE", "SEQUENCE", "FROM", "TO"};
    static const char *const units[] = {"s", "ms", "us", "ns"};
    struct ctl_table t;
    char bytes[24];
    int rc = ctl_table_begin(&t, stdout, headings, 8, err);
    for (uint32_t i = 0; i < m->n_files && rc == ST_OK; i++) {
        const struct file_meta *f = &m->files[i];
        const char *unit = units[f->time_unit & 3];
        rc = ctl_table_printf(&t, err, "%s", f->file_id);
        rc = rc ? rc : ctl_table_printf(&t, err, "%u", (unsigned)f->level);
        rc = rc ? rc : ctl_table_printf(&t, err, "%" PRIu64, f->num_rows);
        rc = rc ? rc : ctl_table_printf(&t, err, "%" PRIu64, f->num_row_groups);
        rc = rc ? rc : ctl_table_printf(&t, err, "%s", ctl_bytes(f->file_size, bytes));
        rc = rc ? rc : ctl_table_printf(&t, err, "%" PRIu64, f->sequence);
        rc = rc ? rc : ctl_table_printf(&t, err, "%" PRId64 "%s", f->time_min, unit);
        rc = rc ? rc : ctl_table_printf(&t, err, "%" PRId64 "%s", f->time_max, unit);
    }
    if (rc == ST_OK)
        ctl_table_end(&t);
    ctl_table_free(&t);
    return rc;
}

static int print_state(const struct manifest *m, struct error *err)
{
    static const char *const semantics[] = {"tag", "field", "time"};
    char type[200];
    const struct region_metadata *meta = m->metadata;
    printf("\nversion           %" PRIu64 "\nflushed entry     %" PRIu64 "\nflushed sequence  %" PRIu64 "\n", m->version, m->flushed_entry_id,
           m->flushed_sequence);
    if (m->has_truncated_entry_id)
        printf("truncated entry   %" PRIu64 "\n", m->truncated_entry_id);
    printf("format            %s\ncompaction window %s\n", m->sst_format == SST_FORMAT_FLAT ? "flat" : "primary key",
           m->compaction_time_window ? m->compaction_time_window : "(none)");
    if (meta) {
        printf("region            %" PRIu64 " (%u:%u), schema version %" PRIu64 "\n", meta->region_id, (unsigned)(meta->region_id >> 32),
               (unsigned)meta->region_id, meta->schema_version);
        for (uint32_t i = 0; i < meta->n_columns; i++)
            printf("  %-24s %s, %s\n", meta->columns[i].name, type_print(meta->columns[i].type, type, sizeof type),
                   semantics[meta->columns[i].semantic]);
    } else {
        printf("region            (no metadata in these files)\n");
    }
    printf("\n");
    return print_files(m, err);
}

/* Prints one file and folds it in. */
static int fold_file(struct ctl *c, struct manifest *m, const char *path, const struct manifest_name *f, struct error *err)
{
    struct dynbuf text;
    uint64_t last;
    dynbuf_init(&text, MANIFEST_BYTES_MAX);
    int rc = read_text(path, &text, err);
    if (rc == ST_OK && f->checkpoint) {
        printf("%6" PRIu64 "  checkpoint  %6zu bytes\n", f->version, text.size);
        rc = manifest_load_checkpoint(m, (const char *)text.data, text.size, &last, err);
    } else if (rc == ST_OK) {
        rc = print_delta(c, f, &text, err);
        if (rc == ST_OK)
            rc = manifest_apply_delta(m, (const char *)text.data, text.size, err);
        m->version = f->version;
    }
    dynbuf_release(&text);
    return rc ? error_prefix(err, "%s", path) : ST_OK;
}

static int add_name(void *ctx, const char *name, bool is_dir, struct error *err)
{
    struct folder *d = ctx;
    struct manifest_name f;
    if (is_dir || !parse_name(name, &f))
        return ST_OK;
    if (d->n == MANIFEST_FILES_MAX)
        return error_set(err, ST_UNSUPPORTED, "more than %d manifest files", MANIFEST_FILES_MAX);
    if (d->n == d->room) {
        uint32_t room = d->room ? d->room * 2 : 64;
        struct manifest_name *grown = realloc(d->files, room * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, room * sizeof(*grown));
        d->files = grown;
        d->room = room;
    }
    f.name = arena_copy(&d->c->arena, name, strlen(name), err);
    if (!f.name)
        return ST_NO_MEMORY;
    d->files[d->n++] = f;
    return ST_OK;
}

/* By version; a checkpoint stands behind the delta that it covers. */
static int compare_names(const void *a, const void *b)
{
    const struct manifest_name *x = a, *y = b;
    if (x->version != y->version)
        return x->version < y->version ? -1 : 1;
    return x->checkpoint - y->checkpoint;
}

/* From the newest checkpoint on; older files are named only. */
static int fold_folder(struct folder *d, struct manifest *m, const char *path, struct error *err)
{
    uint32_t first = 0;
    char file[4096];
    if (d->n)
        qsort(d->files, d->n, sizeof(*d->files), compare_names);
    for (uint32_t i = 0; i < d->n; i++)
        first = d->files[i].checkpoint ? i : first;
    for (uint32_t i = 0; i < d->n; i++) {
        const struct manifest_name *f = &d->files[i];
        snprintf(file, sizeof file, "%s/%s", path, f->name);
        if (i < first)
            printf("%6" PRIu64 "  %-10s  covered by the checkpoint\n", f->version, f->checkpoint ? "checkpoint" : "delta");
        else
            TRY(fold_file(d->c, m, file, f, err));
    }
    return d->n ? print_state(m, err) : error_set(err, ST_NOT_FOUND, "%s holds no manifest files", path);
}

static int inspect_folder(struct ctl *c, struct manifest *m, const char *path, struct error *err)
{
    char inner[4000];
    struct fs *fs = fs_posix();
    struct folder d = {.c = c};
    snprintf(inner, sizeof inner, "%s/manifest", path);
    if (fs_exists(fs, inner)) /* a region's folder will do as well */
        path = inner;
    int rc = fs->ops->list(fs, path, add_name, &d, err);
    if (rc == ST_OK)
        rc = fold_folder(&d, m, path, err);
    free(d.files);
    return rc;
}

int ctl_inspect_manifest(struct ctl *c, const char *path, struct error *err)
{
    struct fs *fs = fs_posix();
    struct fs_stat st;
    struct manifest m = {.append_mode = -1};
    struct manifest_name f;
    const char *slash = strrchr(path, '/');
    int rc;
    TRY(fs->ops->stat(fs, path, &st, err));
    if (st.is_dir) {
        rc = inspect_folder(c, &m, path, err);
    } else if (parse_name(slash ? slash + 1 : path, &f)) {
        rc = fold_file(c, &m, path, &f, err);
        if (rc == ST_OK)
            rc = print_state(&m, err);
    } else {
        rc = error_set(err, ST_INVALID_ARGUMENTS, "%s is not called like a delta (N.json) or a checkpoint (N.checkpoint)", path);
    }
    manifest_release(&m);
    return rc;
}
