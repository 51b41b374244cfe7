/* Reading manifest texts and folding them into a state (mito-on-disk.md 2.2 to 2.6). Unknown keys are ignored, unknown actions are corrupt. Pure. */
#include <stdlib.h>
#include <string.h>

#include "engine/mito/manifest_internal.h"
#include "format/json/json.h"

static int bad(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "manifest: bad %s", what);
}

/* ---- file lists ---- */

void file_meta_release(struct file_meta *f)
{
    free(f->indexes);
    free(f->partition_expr);
    *f = (struct file_meta){0};
}

void file_meta_clear_index(struct file_meta *f, uint64_t version)
{
    free(f->indexes);
    f->indexes = NULL;
    f->n_indexes = 0;
    f->available_indexes = 0;
    f->index_file_size = 0;
    f->index_version = version;
}

int file_meta_copy(const struct file_meta *f, struct file_meta *ret_copy, struct error *err)
{
    struct file_meta n = *f;
    n.indexes = malloc((f->n_indexes + 1) * sizeof *n.indexes);
    n.partition_expr = f->partition_expr ? strdup(f->partition_expr) : NULL;
    if (!n.indexes || (f->partition_expr && !n.partition_expr)) {
        file_meta_release(&n);
        return error_no_memory(err, f->n_indexes * sizeof *n.indexes);
    }
    if (f->n_indexes)
        memcpy(n.indexes, f->indexes, f->n_indexes * sizeof *n.indexes);
    *ret_copy = n;
    return ST_OK;
}

static void clear_files(struct manifest *m)
{
    for (uint32_t i = 0; i < m->n_files; i++)
        file_meta_release(&m->files[i]);
    free(m->files);
    m->files = NULL;
    m->n_files = 0;
}

void manifest_release(struct manifest *m)
{
    clear_files(m);
    region_metadata_unref(m->metadata);
    free(m->compaction_time_window);
    free(m->removed);
    *m = (struct manifest){.append_mode = -1};
}

int manifest_copy(const struct manifest *m, struct manifest *ret_copy, struct error *err)
{
    struct manifest n = *m;
    n.files = calloc(m->n_files + 1, sizeof *n.files);
    n.n_files = 0;
    n.removed_room = m->n_removed + 1;
    n.removed = calloc(n.removed_room, sizeof *n.removed);
    if (n.removed && m->n_removed)
        memcpy(n.removed, m->removed, m->n_removed * sizeof *n.removed);
    n.compaction_time_window = m->compaction_time_window ? strdup(m->compaction_time_window) : NULL;
    n.metadata = region_metadata_ref(m->metadata);
    int st = n.files && n.removed && (n.compaction_time_window || !m->compaction_time_window) ? ST_OK : error_no_memory(err, m->n_files * sizeof *n.files);
    for (uint32_t i = 0; i < m->n_files && st == ST_OK; i++) {
        st = file_meta_copy(&m->files[i], &n.files[i], err);
        n.n_files += st == ST_OK;
    }
    if (st == ST_OK)
        *ret_copy = n;
    else
        manifest_release(&n);
    return st;
}

static int put_removed(struct manifest *m, const struct removed_file *r, struct error *err)
{
    if (m->n_removed == m->removed_room) {
        uint32_t room = m->removed_room ? m->removed_room * 2 : 8;
        struct removed_file *more = realloc(m->removed, room * sizeof *more);
        if (!more)
            return error_no_memory(err, room * sizeof *more);
        m->removed = more;
        m->removed_room = room;
    }
    m->removed[m->n_removed++] = *r;
    return ST_OK;
}

static int note_removed(struct manifest *m, const struct file_meta *f, bool is_index, int64_t at_ms, struct error *err)
{
    struct removed_file r = {.removed_at_ms = at_ms, .is_index = is_index, .has_index_version = f->available_indexes != 0, .index_version = f->index_version};
    memcpy(r.file_id, f->file_id, FILE_ID_SIZE);
    return put_removed(m, &r, err);
}

static uint32_t find_file(const struct manifest *m, const char *file_id)
{
    uint32_t i = 0;
    while (i < m->n_files && strcmp(m->files[i].file_id, file_id) != 0)
        i++;
    return i;
}

/* Takes over *f's contents on success. */
static int put_file(struct manifest *m, struct file_meta *f, int64_t at_ms, struct error *err)
{
    uint32_t i = find_file(m, f->file_id);
    if (i < m->n_files) {
        const struct file_meta *old = &m->files[i];
        if (old->available_indexes && old->index_version != f->index_version)
            TRY(note_removed(m, old, true, at_ms, err));
        file_meta_release(&m->files[i]);
    } else {
        struct file_meta *more = realloc(m->files, (size_t)(m->n_files + 1) * sizeof *more);
        if (!more)
            return error_no_memory(err, sizeof *more);
        m->files = more;
        m->n_files++;
    }
    m->files[i] = *f;
    *f = (struct file_meta){0};
    return ST_OK;
}

static int remove_file(struct manifest *m, const char *file_id, int64_t at_ms, struct error *err)
{
    uint32_t i = find_file(m, file_id);
    if (i == m->n_files)
        return ST_OK;
    TRY(note_removed(m, &m->files[i], false, at_ms, err));
    file_meta_release(&m->files[i]);
    memmove(m->files + i, m->files + i + 1, (m->n_files - i - 1) * sizeof *m->files);
    m->n_files--;
    return ST_OK;
}

/* ---- FileMeta ---- */

static bool uuid_valid(const char *s)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s[i] != '-' : !((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
    }
    return !s[36];
}

static int read_kinds(const struct json_value *list, uint8_t *ret_kinds, struct error *err)
{
    static const char *const names[] = {"InvertedIndex", "FulltextIndex", "BloomFilterIndex"};
    uint8_t kinds = 0;
    if (list && list->kind != JSON_ARRAY)
        return bad("index list", err);
    for (const struct json_value *v = list ? list->first : NULL; v; v = v->next) {
        int k = 0;
        while (k < 3 && !json_is_string(v, names[k]))
            k++;
        if (k == 3)
            return bad("index kind", err);
        kinds |= (uint8_t)(1u << k);
    }
    *ret_kinds = kinds;
    return ST_OK;
}

static int read_indexes(const struct json_value *list, struct file_meta *f, struct error *err)
{
    if (!list)
        return ST_OK;
    if (list->kind != JSON_ARRAY)
        return bad("indexes", err);
    f->indexes = calloc(list->count + 1, sizeof *f->indexes);
    if (!f->indexes)
        return error_no_memory(err, list->count * sizeof *f->indexes);
    for (const struct json_value *v = list->first; v; v = v->next) {
        uint64_t id;
        struct sst_column_index *x = &f->indexes[f->n_indexes++];
        if (!json_u64(json_get(v, "column_id"), &id) || id > UINT32_MAX)
            return bad("indexes", err);
        x->column_id = (uint32_t)id;
        TRY(read_kinds(json_get(v, "created_indexes"), &x->kinds, err));
    }
    return ST_OK;
}

static int read_time_range(const struct json_value *range, struct file_meta *f, struct error *err)
{
    if (!range) {
        f->time_unit = UNIT_MILLI;
        return ST_OK;
    }
    if (range->kind != JSON_ARRAY || range->count != 2)
        return bad("time_range", err);
    const struct json_value *unit = json_get(range->first, "unit");
    int k = 0;
    while (k < 4 && !(unit && json_is_string(unit, time_unit_names[k])))
        k++;
    if (k == 4 || !json_get(range->first->next, "unit") || !json_is_string(json_get(range->first->next, "unit"), time_unit_names[k]) ||
        !json_i64(json_get(range->first, "value"), &f->time_min) || !json_i64(json_get(range->first->next, "value"), &f->time_max))
        return bad("time_range", err);
    f->time_unit = (enum time_unit)k;
    return ST_OK;
}

/* An absent number is zero; null is an error except where `nullable`. */
static int read_number(const struct json_value *v, const char *name, bool nullable, uint64_t *ret, bool *ret_has, struct error *err)
{
    const struct json_value *n = json_get(v, name);
    *ret_has = false;
    if (!n || (nullable && n->kind == JSON_NULL))
        return ST_OK;
    *ret_has = true;
    return json_u64(n, ret) ? ST_OK : bad(name, err);
}

static int read_file(const struct json_value *v, struct file_meta *f, struct error *err)
{
    bool has;
    uint64_t level = 0;
    const struct { const char *name; uint64_t *at; } numbers[] = {{"region_id", &f->region_id}, {"file_size", &f->file_size}, {"level", &level},
        {"max_row_group_uncompressed_size", &f->max_row_group_uncompressed_size}, {"index_file_size", &f->index_file_size},
        {"index_version", &f->index_version}, {"num_rows", &f->num_rows}, {"num_row_groups", &f->num_row_groups}, {"num_series", &f->num_series}};
    if (!json_is(v, JSON_OBJECT))
        return bad("file", err);
    const struct json_value *id = json_get(v, "file_id"), *expr = json_get(v, "partition_expr");
    if (!json_text(id) || !uuid_valid(id->string))
        return bad("file_id", err);
    memcpy(f->file_id, id->string, FILE_ID_SIZE);
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        TRY(read_number(v, numbers[i].name, false, numbers[i].at, &has, err));
    if (level > 1)
        return bad("level", err);
    f->level = (uint8_t)level;
    TRY(read_number(v, "sequence", true, &f->sequence, &has, err));
    if (has && !f->sequence)
        return bad("sequence", err);
    TRY(read_time_range(json_get(v, "time_range"), f, err));
    TRY(read_kinds(json_get(v, "available_indexes"), &f->available_indexes, err));
    TRY(read_indexes(json_get(v, "indexes"), f, err));
    if (!expr || expr->kind == JSON_NULL || json_is_string(expr, ""))
        return ST_OK;
    if (!json_text(expr))
        return bad("partition_expr", err);
    f->partition_expr = strdup(expr->string);
    return f->partition_expr ? ST_OK : error_no_memory(err, expr->string_size);
}

static int add_files(const struct json_value *list, enum json_kind kind, struct manifest *m, int64_t at_ms, struct error *err)
{
    if (!json_is(list, kind))
        return bad("file list", err);
    for (const struct json_value *v = list->first; v; v = v->next) {
        struct file_meta f = {0};
        int st = read_file(v, &f, err);
        if (st == ST_OK)
            st = put_file(m, &f, at_ms, err);
        file_meta_release(&f);
        TRY(st);
    }
    return ST_OK;
}

static int remove_files(const struct json_value *list, struct manifest *m, int64_t at_ms, struct error *err)
{
    if (!json_is(list, JSON_ARRAY))
        return bad("file list", err);
    for (const struct json_value *v = list->first; v; v = v->next) {
        const char *id = json_text(json_get(v, "file_id"));
        if (!id)
            return bad("file_id", err);
        TRY(remove_file(m, id, at_ms, err));
    }
    return ST_OK;
}

/* ---- actions ---- */

static int read_form(const struct json_value *v, struct manifest *m, struct error *err)
{
    const struct json_value *format = json_get(v, "sst_format"), *append = json_get(v, "append_mode");
    bool on;
    if (format && !json_is_string(format, "flat") && !json_is_string(format, "primary_key"))
        return bad("sst_format", err);
    m->sst_format = format && json_is_string(format, "flat") ? SST_FORMAT_FLAT : SST_FORMAT_PRIMARY_KEY;
    if (append && append->kind != JSON_NULL) {
        if (!json_bool(append, &on))
            return bad("append_mode", err);
        m->append_mode = on;
    }
    return ST_OK;
}

static int read_metadata(const struct json_value *v, struct manifest *m, struct error *err)
{
    const struct json_value *metadata = json_get(v, "metadata");
    struct region_metadata *fresh;
    if (!json_is(metadata, JSON_OBJECT))
        return bad("metadata", err);
    TRY(region_metadata_from_json(metadata->text, metadata->size, &fresh, err));
    region_metadata_unref(m->metadata);
    m->metadata = fresh;
    return ST_OK;
}

static int read_window(const struct json_value *v, struct manifest *m, struct error *err)
{
    const struct json_value *window = json_get(v, "compaction_time_window");
    if (!window || window->kind == JSON_NULL)
        return ST_OK;
    char *text = json_text(window) ? strdup(window->string) : NULL;
    if (!text)
        return bad("compaction_time_window", err);
    free(m->compaction_time_window);
    m->compaction_time_window = text;
    return ST_OK;
}

static int apply_edit(const struct json_value *v, struct manifest *m, struct error *err)
{
    uint64_t n = 0;
    bool has;
    int64_t at_ms = 0;
    (void)json_i64(json_get(v, "timestamp_ms"), &at_ms);
    TRY(add_files(json_get(v, "files_to_add"), JSON_ARRAY, m, at_ms, err));
    TRY(remove_files(json_get(v, "files_to_remove"), m, at_ms, err));
    TRY(read_window(v, m, err));
    TRY(read_number(v, "flushed_entry_id", true, &n, &has, err));
    if (has && n > m->flushed_entry_id)
        m->flushed_entry_id = n;
    TRY(read_number(v, "flushed_sequence", true, &n, &has, err));
    if (has && n > m->flushed_sequence)
        m->flushed_sequence = n;
    TRY(read_number(v, "committed_sequence", true, &n, &has, err));
    if (has && (!m->has_committed_sequence || n > m->committed_sequence)) {
        m->has_committed_sequence = true;
        m->committed_sequence = n;
    }
    return ST_OK;
}

static int apply_truncate(const struct json_value *v, struct manifest *m, struct error *err)
{
    int64_t at_ms = 0;
    (void)json_i64(json_get(v, "timestamp_ms"), &at_ms);
    if (json_get(v, "files_to_remove"))
        return remove_files(json_get(v, "files_to_remove"), m, at_ms, err);
    uint64_t entry, sequence;
    if (!json_u64(json_get(v, "truncated_entry_id"), &entry) || !json_u64(json_get(v, "truncated_sequence"), &sequence))
        return bad("truncate", err);
    for (uint32_t i = 0; i < m->n_files; i++)
        TRY(note_removed(m, &m->files[i], false, at_ms, err));
    clear_files(m);
    m->flushed_entry_id = m->truncated_entry_id = entry;
    m->flushed_sequence = sequence;
    m->has_truncated_entry_id = true;
    return ST_OK;
}

static int apply_partition(const struct json_value *v, struct manifest *m, struct error *err)
{
    const struct json_value *expr = json_get(v, "partition_expr");
    if (!m->metadata)
        return ST_OK;
    if (expr && expr->kind != JSON_NULL && !json_text(expr))
        return bad("partition_expr", err);
    struct region_metadata *fresh = region_metadata_with_version(m->metadata, m->metadata->schema_version);
    char *text = json_text(expr) ? strdup(expr->string) : NULL;
    if (!fresh || (json_text(expr) && !text)) {
        region_metadata_unref(fresh);
        free(text);
        return error_no_memory(err, sizeof *fresh);
    }
    free(fresh->partition_expr); /* nobody else has seen this copy yet */
    fresh->partition_expr = text;
    region_metadata_unref(m->metadata);
    m->metadata = fresh;
    return ST_OK;
}

static int apply_action(const struct json_value *v, struct manifest *m, struct error *err)
{
    const struct json_value *action = json_only_member(v);
    if (!json_is(action, JSON_OBJECT))
        return bad("action", err);
    if (strcmp(action->key, "Change") == 0) {
        TRY(read_metadata(action, m, err));
        return read_form(action, m, err);
    }
    if (strcmp(action->key, "Edit") == 0)
        return apply_edit(action, m, err);
    if (strcmp(action->key, "Truncate") == 0)
        return apply_truncate(action, m, err);
    if (strcmp(action->key, "PartitionExprChange") == 0)
        return apply_partition(action, m, err);
    return strcmp(action->key, "Remove") == 0 ? ST_OK : bad("action", err);
}

static int apply_actions(const struct json_value *v, struct manifest *m, struct error *err)
{
    const struct json_value *actions = json_get(v, "actions");
    if (!json_is(actions, JSON_ARRAY))
        return bad("action list", err);
    for (const struct json_value *a = actions->first; a; a = a->next)
        TRY(apply_action(a, m, err));
    return ST_OK;
}

/* {"File":["<uuid>",<version or null>]}, {"Index":["<uuid>",<version>]} or a bare UUID. */
static int read_removed(const struct json_value *v, int64_t at_ms, struct manifest *m, struct error *err)
{
    struct removed_file r = {.removed_at_ms = at_ms};
    const struct json_value *kind = json_only_member(v), *id = v;
    if (kind) {
        r.is_index = strcmp(kind->key, "Index") == 0;
        if (!json_is(kind, JSON_ARRAY) || kind->count != 2 || (!r.is_index && strcmp(kind->key, "File") != 0))
            return bad("removed file", err);
        id = kind->first;
        r.has_index_version = json_u64(id->next, &r.index_version);
    }
    if (!json_text(id) || !uuid_valid(id->string))
        return bad("removed file", err);
    memcpy(r.file_id, id->string, FILE_ID_SIZE);
    return put_removed(m, &r, err);
}

static int load_removed(const struct json_value *records, struct manifest *m, struct error *err)
{
    for (const struct json_value *r = json_is(records, JSON_ARRAY) ? records->first : NULL; r; r = r->next) {
        const struct json_value *files = json_get(r, "files");
        int64_t at_ms = 0;
        (void)json_i64(json_get(r, "removed_at"), &at_ms);
        for (const struct json_value *f = json_is(files, JSON_ARRAY) ? files->first : NULL; f; f = f->next)
            TRY(read_removed(f, at_ms, m, err));
    }
    return ST_OK;
}

/* A RegionManifest object. */
static int load_manifest(const struct json_value *c, struct manifest *m, struct error *err)
{
    if (!json_is(c, JSON_OBJECT))
        return bad("manifest", err);
    TRY(read_metadata(c, m, err));
    TRY(add_files(json_get(c, "files"), JSON_OBJECT, m, 0, err));
    if (!json_u64(json_get(c, "flushed_entry_id"), &m->flushed_entry_id) || !json_u64(json_get(c, "flushed_sequence"), &m->flushed_sequence) ||
        !json_u64(json_get(c, "manifest_version"), &m->version))
        return bad("checkpoint", err);
    TRY(read_number(c, "committed_sequence", true, &m->committed_sequence, &m->has_committed_sequence, err));
    TRY(read_number(c, "truncated_entry_id", true, &m->truncated_entry_id, &m->has_truncated_entry_id, err));
    TRY(load_removed(json_get(json_get(c, "removed_files"), "removed_files"), m, err));
    TRY(read_window(c, m, err));
    return read_form(c, m, err);
}

static int load(const struct json_value *v, struct manifest *m, uint64_t *ret_last, struct error *err)
{
    if (!json_u64(json_get(v, "last_version"), ret_last))
        return bad("checkpoint", err);
    return load_manifest(json_get(v, "checkpoint"), m, err);
}

int manifest_apply_delta(struct manifest *state, const char *text, size_t size, struct error *err)
{
    struct arena arena;
    const struct json_value *v;
    struct manifest next;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, text, size, &v, err);
    if (st == ST_OK)
        st = manifest_copy(state, &next, err);
    if (st == ST_OK) {
        st = apply_actions(v, &next, err);
        if (st == ST_OK) {
            manifest_release(state);
            *state = next;
        } else {
            manifest_release(&next);
        }
    }
    arena_release(&arena);
    return st;
}

/* `ret_last` NULL: the text is a RegionManifest alone. */
static int load_text(struct manifest *state, const char *text, size_t size, uint64_t *ret_last, struct error *err)
{
    struct arena arena;
    const struct json_value *v;
    struct manifest next = {.append_mode = -1};
    uint64_t last = 0;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, text, size, &v, err);
    if (st == ST_OK)
        st = ret_last ? load(v, &next, &last, err) : load_manifest(v, &next, err);
    if (st == ST_OK) {
        manifest_release(state);
        *state = next;
        if (ret_last)
            *ret_last = last;
    } else {
        manifest_release(&next);
    }
    arena_release(&arena);
    return st;
}

int manifest_load_checkpoint(struct manifest *state, const char *text, size_t size, uint64_t *ret_last_version, struct error *err)
{
    return load_text(state, text, size, ret_last_version, err);
}

int manifest_load(struct manifest *state, const char *text, size_t size, struct error *err)
{
    return load_text(state, text, size, NULL, err);
}
