/* Manifest texts as the peer's serde_json writes them: compact, keys in declaration order (mito-on-disk.md 2.3 to 2.6). */
#include <string.h>

#include "engine/mito/manifest_internal.h"
#include "format/json/json.h"

static const struct { uint8_t bit; const char *name; } index_names[] = {
    {SST_INDEX_INVERTED, "InvertedIndex"}, {SST_INDEX_FULLTEXT, "FulltextIndex"}, {SST_INDEX_BLOOM, "BloomFilterIndex"}};

#define ULL(x) ((unsigned long long)(x))

static int put_text(const char *text, struct dynbuf *out, struct error *err)
{
    return text ? json_put_string(out, text, strlen(text), err) : dynbuf_append(out, "null", 4, err);
}

static int put_kinds(uint8_t kinds, struct dynbuf *out, struct error *err)
{
    bool first = true;
    TRY(dynbuf_append_byte(out, '[', err));
    for (int i = 0; i < 3; i++) {
        if (kinds & index_names[i].bit) {
            TRY(dynbuf_printf(out, err, "%s\"%s\"", first ? "" : ",", index_names[i].name));
            first = false;
        }
    }
    return dynbuf_append_byte(out, ']', err);
}

int file_meta_json(const struct file_meta *f, struct dynbuf *out, struct error *err)
{
    const char *unit = time_unit_names[f->time_unit];
    TRY(dynbuf_printf(out, err, "{\"region_id\":%llu,\"file_id\":\"%s\",\"time_range\":[{\"value\":%lld,\"unit\":\"%s\"},{\"value\":%lld,\"unit\":\"%s\"}],", ULL(f->region_id),
                      f->file_id, (long long)f->time_min, unit, (long long)f->time_max, unit));
    TRY(dynbuf_printf(out, err, "\"level\":%u,\"file_size\":%llu,\"max_row_group_uncompressed_size\":%llu,\"available_indexes\":", f->level, ULL(f->file_size),
                      ULL(f->max_row_group_uncompressed_size)));
    TRY(put_kinds(f->available_indexes, out, err));
    TRY(dynbuf_printf(out, err, ",\"indexes\":["));
    for (uint32_t i = 0; i < f->n_indexes; i++) {
        TRY(dynbuf_printf(out, err, "%s{\"column_id\":%u,\"created_indexes\":", i ? "," : "", f->indexes[i].column_id));
        TRY(put_kinds(f->indexes[i].kinds, out, err));
        TRY(dynbuf_append_byte(out, '}', err));
    }
    TRY(dynbuf_printf(out, err, "],\"index_file_size\":%llu,\"index_version\":%llu,\"num_rows\":%llu,\"num_row_groups\":%llu,\"sequence\":", ULL(f->index_file_size),
                      ULL(f->index_version), ULL(f->num_rows), ULL(f->num_row_groups)));
    TRY(f->sequence ? dynbuf_printf(out, err, "%llu", ULL(f->sequence)) : dynbuf_append(out, "null", 4, err));
    TRY(dynbuf_printf(out, err, ",\"partition_expr\":"));
    TRY(put_text(f->partition_expr && *f->partition_expr ? f->partition_expr : NULL, out, err));
    return dynbuf_printf(out, err, ",\"num_series\":%llu}", ULL(f->num_series));
}

static int put_files(const struct file_meta *files, uint32_t n, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_append_byte(out, '[', err));
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            TRY(dynbuf_append_byte(out, ',', err));
        TRY(file_meta_json(&files[i], out, err));
    }
    return dynbuf_append_byte(out, ']', err);
}

/* ,"name":value or null */
static int put_optional(const char *name, bool has, uint64_t value, struct dynbuf *out, struct error *err)
{
    return has ? dynbuf_printf(out, err, ",\"%s\":%llu", name, ULL(value)) : dynbuf_printf(out, err, ",\"%s\":null", name);
}

static int put_edit(const struct manifest_edit *e, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"Edit\":{\"files_to_add\":"));
    TRY(put_files(e->add, e->n_add, out, err));
    TRY(dynbuf_printf(out, err, ",\"files_to_remove\":"));
    TRY(put_files(e->remove, e->n_remove, out, err));
    TRY(dynbuf_printf(out, err, ",\"timestamp_ms\":%lld,\"compaction_time_window\":", (long long)e->timestamp_ms));
    TRY(put_text(e->compaction_time_window, out, err));
    TRY(put_optional("flushed_entry_id", e->has_flushed, e->flushed_entry_id, out, err));
    TRY(put_optional("flushed_sequence", e->has_flushed, e->flushed_sequence, out, err));
    TRY(put_optional("committed_sequence", e->has_committed_sequence, e->committed_sequence, out, err));
    return dynbuf_printf(out, err, "}}");
}

int manifest_edit_json(const struct manifest_edit *e, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"actions\":["));
    TRY(put_edit(e, out, err));
    return dynbuf_printf(out, err, "]}");
}

static const char *format_name(enum sst_format format)
{
    return format == SST_FORMAT_FLAT ? "flat" : "primary_key";
}

static const char *mode_name(int append_mode)
{
    return append_mode < 0 ? "null" : append_mode ? "true" : "false";
}

int manifest_change_json(const struct region_metadata *metadata, enum sst_format format, int append_mode, const struct manifest_edit *edit,
                         struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"actions\":[{\"Change\":{\"metadata\":"));
    TRY(region_metadata_to_json(metadata, out, err));
    TRY(dynbuf_printf(out, err, ",\"sst_format\":\"%s\",\"append_mode\":%s}}", format_name(format), mode_name(append_mode)));
    if (edit) {
        TRY(dynbuf_append_byte(out, ',', err));
        TRY(put_edit(edit, out, err));
    }
    return dynbuf_printf(out, err, "]}");
}

int manifest_truncate_json(uint64_t region_id, uint64_t entry_id, uint64_t sequence, struct dynbuf *out, struct error *err)
{
    return dynbuf_printf(out, err, "{\"actions\":[{\"Truncate\":{\"region_id\":%llu,\"truncated_entry_id\":%llu,\"truncated_sequence\":%llu,\"timestamp_ms\":null}}]}",
                         ULL(region_id), ULL(entry_id), ULL(sequence));
}

int manifest_truncate_files_json(uint64_t region_id, const struct file_meta *files, uint32_t n, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"actions\":[{\"Truncate\":{\"region_id\":%llu,\"files_to_remove\":", ULL(region_id)));
    TRY(put_files(files, n, out, err));
    return dynbuf_printf(out, err, ",\"timestamp_ms\":null}}]}");
}

int manifest_expr_json(const char *partition_expr, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"actions\":[{\"PartitionExprChange\":{\"partition_expr\":"));
    TRY(put_text(partition_expr, out, err));
    return dynbuf_printf(out, err, "}}]}");
}

/* [{"removed_at":…,"files":[…]}], one record for each run of equal times. */
static int put_removed(const struct manifest *m, struct dynbuf *out, struct error *err)
{
    for (uint32_t i = 0; i < m->n_removed; i++) {
        const struct removed_file *r = &m->removed[i];
        bool starts = i == 0 || r->removed_at_ms != m->removed[i - 1].removed_at_ms;
        if (starts)
            TRY(dynbuf_printf(out, err, "%s{\"removed_at\":%lld,\"files\":[", i ? "]}," : "", (long long)r->removed_at_ms));
        TRY(dynbuf_printf(out, err, "%s{\"%s\":[\"%s\",", starts ? "" : ",", r->is_index ? "Index" : "File", r->file_id));
        TRY(r->has_index_version ? dynbuf_printf(out, err, "%llu]}", ULL(r->index_version)) : dynbuf_printf(out, err, "null]}"));
    }
    return m->n_removed ? dynbuf_printf(out, err, "]}") : ST_OK;
}

int manifest_json(const struct manifest *m, bool with_removed, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"metadata\":"));
    TRY(region_metadata_to_json(m->metadata, out, err));
    TRY(dynbuf_printf(out, err, ",\"files\":{"));
    for (uint32_t i = 0; i < m->n_files; i++) {
        TRY(dynbuf_printf(out, err, "%s\"%s\":", i ? "," : "", m->files[i].file_id));
        TRY(file_meta_json(&m->files[i], out, err));
    }
    TRY(dynbuf_printf(out, err, "},\"removed_files\":{\"removed_files\":["));
    if (with_removed)
        TRY(put_removed(m, out, err));
    TRY(dynbuf_printf(out, err, "]},\"flushed_entry_id\":%llu,\"flushed_sequence\":%llu", ULL(m->flushed_entry_id), ULL(m->flushed_sequence)));
    TRY(put_optional("committed_sequence", m->has_committed_sequence, m->committed_sequence, out, err));
    TRY(dynbuf_printf(out, err, ",\"manifest_version\":%llu", ULL(m->version)));
    TRY(put_optional("truncated_entry_id", m->has_truncated_entry_id, m->truncated_entry_id, out, err));
    TRY(dynbuf_printf(out, err, ",\"compaction_time_window\":"));
    TRY(put_text(m->compaction_time_window, out, err));
    return dynbuf_printf(out, err, ",\"sst_format\":\"%s\",\"append_mode\":%s}", format_name(m->sst_format), mode_name(m->append_mode));
}

int manifest_checkpoint_json(const struct manifest *m, uint64_t compacted_actions, bool with_removed, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"last_version\":%llu,\"compacted_actions\":%llu,\"checkpoint\":", ULL(m->version), ULL(compacted_actions)));
    TRY(manifest_json(m, with_removed, out, err));
    return dynbuf_append_byte(out, '}', err);
}
