/* ALTER and TRUNCATE. Both hold the region's job lock, so that no flush or compaction commits in between. */
#include <stdlib.h>

#include "engine/mito/mito.h"
#include "format/proto/wire.h"

enum { MANIFEST_INFO_BYTES = 256 }; /* more than it writes */

static int put_manifest_info(struct mito_region *r, struct dynbuf *out, struct error *err)
{
    return dynbuf_printf(out, err, "[%llu,{\"Mito\":{\"manifest_version\":%llu,\"flushed_entry_id\":%llu,\"file_removed_cnt\":%llu}}]",
                         (unsigned long long)r->id, (unsigned long long)r->manifest_version, (unsigned long long)r->flushed_entry_id,
                         (unsigned long long)r->removed_files);
}

/* What the answer to an ALTER says of the columns, and room for what it says of the manifest: taken before the commit, as behind it nothing may fail.
 */
static int prepare_answer(const struct region_metadata *metadata, struct region_response *ret, struct error *err)
{
    TRY(region_columns_to_json(metadata, &ret->column_metadata, err));
    return dynbuf_reserve(&ret->manifest_info, MANIFEST_INFO_BYTES, err);
}

/* Writes the Change and lets the region go on with it. The memtable is empty. */
static int apply_change(struct mito_region *r, struct region_metadata *metadata, struct region_options *options, struct error *err)
{
    struct memtable *fresh;
    enum sst_format format = options->sst_format >= 0 ? (enum sst_format)options->sst_format : r->format;
    TRY(memtable_new(metadata, &r->engine->write_budget, &fresh, err));
    int st = manifest_update_change(r->manifest, metadata, format, options->append_mode, err);
    mito_note_doubt(r);
    if (st != ST_OK) {
        memtable_unref(fresh);
        return st;
    }
    pthread_mutex_lock(&r->lock);
    region_metadata_unref(r->metadata);
    r->metadata = region_metadata_ref(metadata);
    r->partition_version = partition_expr_version(metadata->partition_expr);
    r->format = format;
    memtable_unref(r->active);
    r->active = fresh;
    mito_note_manifest(r);
    pthread_mutex_unlock(&r->lock);
    return ST_OK;
}

/* The options after the request; *ret_changes_manifest when one of them is kept there (append_mode, sst_format). */
static int altered_options(struct mito_region *r, struct message alter, struct region_options *ret_options, bool *ret_changes_manifest, struct error *err)
{
    pthread_mutex_lock(&r->lock);
    int st = region_options_alter(&r->options, alter.data, alter.size, ret_options, ret_changes_manifest, err);
    pthread_mutex_unlock(&r->lock);
    if (st == ST_INVALID_ARGUMENTS)
        error_prefix(err, "Invalid region request, region_id: %llu(%u, %u), err", (unsigned long long)r->id, (uint32_t)(r->id >> 32), (uint32_t)r->id);
    return st;
}

static int alter_region(struct mito_region *r, struct message alter, struct region_response *ret, struct error *err)
{
    struct region_metadata *changed = NULL;
    struct region_options options = {0};
    bool for_manifest = false, is_options = false;
    int st = region_metadata_alter(r->metadata, alter.data, alter.size, &changed, err);
    if (st == ST_UNSUPPORTED) { /* table options: not the metadata's */
        is_options = true;
        st = altered_options(r, alter, &options, &for_manifest, err);
        if (st == ST_OK && for_manifest) {
            changed = region_metadata_with_version(r->metadata, r->metadata->schema_version + 1);
            st = changed ? ST_OK : error_no_memory(err, sizeof *changed);
        }
    } else if (st == ST_OK) {
        st = region_options_copy(&r->options, &options, err);
    }
    if (st == ST_OK)
        st = prepare_answer(changed ? changed : r->metadata, ret, err);
    if (st == ST_OK && changed) {
        st = mito_flush_locked(r, err);
        if (st == ST_OK)
            st = apply_change(r, changed, &options, err);
    }
    if (st == ST_OK && is_options) {
        pthread_mutex_lock(&r->lock);
        region_options_release(&r->options);
        r->options = options;
        options = (struct region_options){0};
        pthread_mutex_unlock(&r->lock);
    }
    region_options_release(&options);
    region_metadata_unref(changed);
    return st;
}

int mito_region_alter(struct mito_engine *e, uint64_t region_id, struct message alter, struct region_response *ret, struct error *err)
{
    struct mito_region *r;
    TRY(mito_check_room(e, err));
    TRY(mito_region_get(e, region_id, &r, err));
    pthread_mutex_lock(&r->job_lock);
    int st = mito_enter(r, REGION_ALTERING, err);
    if (st == ST_OK) {
        st = alter_region(r, alter, ret, err);
        mito_leave(r, REGION_WRITABLE);
    }
    if (st == ST_OK) {
        pthread_mutex_lock(&r->lock);
        st = put_manifest_info(r, &ret->manifest_info, err);
        pthread_mutex_unlock(&r->lock);
    }
    pthread_mutex_unlock(&r->job_lock);
    if (st == ST_OK)
        mito_schedule_index_build(r);
    mito_region_unref(r);
    return st;
}

/* ---- truncate ---- */

struct truncate_range { int64_t start, end; /* inclusive, in `unit` */ };

struct truncate_body {
    bool all;
    enum time_unit unit;
    struct truncate_range *ranges;
    uint32_t n_ranges;
};

static int read_ranges(const struct pb_field *message, struct truncate_body *b, struct error *err)
{
    static const enum time_unit units[] = {UNIT_MILLI, UNIT_SECOND, UNIT_MICRO, UNIT_NANO}; /* frozen: region-rpc.md 3.1 */
    struct pb_reader r = pb_inside(message);
    struct pb_field f, v;
    b->unit = UNIT_MILLI;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            if (f.value > 3)
                return error_set(err, ST_INVALID_ARGUMENTS, "unknown time unit %llu", (unsigned long long)f.value);
            b->unit = units[f.value];
        } else if (f.number == 2 && f.wire == PB_BYTES) {
            struct truncate_range range = {0, 0}, *grown = realloc(b->ranges, (b->n_ranges + 1) * sizeof *grown);
            if (!grown)
                return error_no_memory(err, sizeof *grown);
            b->ranges = grown;
            for (struct pb_reader inside = pb_inside(&f); pb_next(&inside, &v);) {
                if (v.number == 1)
                    range.start = (int64_t)v.value;
                else if (v.number == 2)
                    range.end = (int64_t)v.value;
            }
            b->ranges[b->n_ranges++] = range;
        }
    }
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "a truncate request is malformed protobuf");
}

static int read_truncate(struct message m, struct truncate_body *ret_body, struct error *err)
{
    struct pb_reader r = pb_reader_of(m.data, m.size);
    struct pb_field f;
    bool has_kind = false;
    while (pb_next(&r, &f)) {
        if (f.number == 2 && f.wire == PB_BYTES) {
            ret_body->all = has_kind = true;
        } else if (f.number == 3 && f.wire == PB_BYTES) {
            TRY(read_ranges(&f, ret_body, err));
            has_kind = true;
        }
    }
    if (!pb_done(&r) || !has_kind)
        return error_set(err, ST_INVALID_ARGUMENTS, "a truncate request names neither all nor time ranges");
    return ST_OK;
}

static int truncate_all(struct mito_region *r, struct error *err)
{
    struct memtable *fresh;
    TRY(memtable_new(r->metadata, &r->engine->write_budget, &fresh, err));
    int st = manifest_update_truncate_all(r->manifest, r->last_entry_id, r->committed_sequence, err);
    mito_note_doubt(r);
    if (st != ST_OK) {
        memtable_unref(fresh);
        return st;
    }
    pthread_mutex_lock(&r->lock);
    while (r->n_files)
        mito_files_remove(r, r->files, 1);
    for (uint32_t i = 0; i < r->n_frozen; i++)
        memtable_unref(r->frozen[i]);
    r->n_frozen = 0;
    memtable_unref(r->active);
    r->active = fresh;
    r->flushed_entry_id = r->last_entry_id;
    mito_note_manifest(r);
    pthread_mutex_unlock(&r->lock);
    return mito_log_obsolete(r, err);
}

/* value in `from` units as units of `to`, exactly, in 128 bits of nanoseconds. */
static __int128 nanos(int64_t value, enum time_unit unit)
{
    static const int64_t scale[] = {1000000000, 1000000, 1000, 1};
    return (__int128)value * scale[unit];
}

static bool inside_a_range(const struct file_meta *f, const struct truncate_body *b)
{
    for (uint32_t i = 0; i < b->n_ranges; i++)
        if (nanos(f->time_min, f->time_unit) >= nanos(b->ranges[i].start, b->unit) && nanos(f->time_max, f->time_unit) <= nanos(b->ranges[i].end, b->unit))
            return true;
    return false;
}

static int truncate_ranges(struct mito_region *r, const struct truncate_body *b, struct error *err)
{
    struct sst_file **gone = calloc(r->n_files + 1, sizeof *gone);
    struct file_meta *metas = calloc(r->n_files + 1, sizeof *metas);
    uint32_t n = 0;
    int st = gone && metas ? ST_OK : error_no_memory(err, r->n_files * sizeof *metas);
    for (uint32_t i = 0; st == ST_OK && i < r->n_files; i++)
        if (inside_a_range(&r->files[i]->meta, b)) {
            gone[n] = r->files[i];
            metas[n++] = r->files[i]->meta; /* borrowed contents */
        }
    if (st == ST_OK && n) {
        st = manifest_update_truncate_files(r->manifest, metas, n, err);
        mito_note_doubt(r);
    }
    if (st == ST_OK && n) {
        pthread_mutex_lock(&r->lock);
        mito_files_remove(r, gone, n);
        mito_note_manifest(r);
        pthread_mutex_unlock(&r->lock);
    }
    free(gone);
    free(metas);
    return st;
}

int mito_region_truncate(struct mito_engine *e, uint64_t region_id, struct message truncate, struct error *err)
{
    struct truncate_body body = {0};
    struct mito_region *r;
    TRY(mito_region_get(e, region_id, &r, err));
    int st = read_truncate(truncate, &body, err);
    if (st == ST_OK) {
        pthread_mutex_lock(&r->job_lock);
        st = mito_enter(r, REGION_TRUNCATING, err);
        if (st == ST_OK) {
            st = body.all ? truncate_all(r, err) : truncate_ranges(r, &body, err);
            mito_leave(r, REGION_WRITABLE);
        }
        pthread_mutex_unlock(&r->job_lock);
    }
    free(body.ranges);
    mito_region_unref(r);
    return st;
}
