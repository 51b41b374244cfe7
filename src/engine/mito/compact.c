/* Compaction: the files of a time window merged into fewer, larger ones; expired files dropped.
 *
 * compact_pick.c says which files. Inputs are streamed through the same merge as scans, so memory does not grow with their size; when even their
 * number is too much for the memory there is, the newer half waits. The manifest edit that swaps the files is the commit point; readers keep the old files
 * until they are done. A compaction holds neither of the region's locks while it rewrites: writes, flushes and scans go on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/compact_pick.h"
#include "engine/mito/mito.h"
#include "format/proto/wire.h"

static struct metric_family requests = {.name = "greptime_mito_compaction_requests_total", .help = "compactions started", .kind = METRIC_COUNTER};
static struct metric_family failures = {.name = "greptime_mito_compaction_failure_total", .help = "compactions failed", .kind = METRIC_COUNTER};
static struct metric_family input_bytes = {.name = "greptime_mito_compaction_input_bytes", .help = "bytes read by compactions", .kind = METRIC_COUNTER};
static struct metric_family inflight = {.name = "greptime_mito_inflight_compaction_count", .help = "regions being compacted", .kind = METRIC_GAUGE};
static struct metric_family expired_files = {.name = "regiond_mito_expired_files_total", .help = "files dropped because their ttl had passed",
                                             .kind = METRIC_COUNTER};
static struct metric_family debt = {.name = "regiond_mito_compaction_debt_bytes", .help = "bytes of files that are picked for compaction and not merged yet",
                                    .kind = METRIC_GAUGE};
static struct metric_family output_bytes = {.name = "greptime_mito_compaction_output_bytes", .help = "bytes written by compactions", .kind = METRIC_COUNTER};

enum { DEFAULT_TRIGGER_FILES = 4, ROUNDS_MAX = 1024, STRICT_WINDOWS_MAX = 4096 };
static const uint64_t DEFAULT_OUTPUT_BYTES = (uint64_t)512 << 20;

/* The files of a region at one moment, and by which rules they are to be compacted. */
struct snapshot {
    struct mito_region *region;
    struct region_metadata *metadata;
    enum merge_mode mode;
    enum sst_format format;
    enum ttl_kind ttl_kind;
    int64_t ttl_ms;
    struct sst_index_options index; /* with a reference */
    struct pick_options pick;
    struct sst_file **files;
    uint32_t n_files;
};

struct compaction { /* one merge */
    const struct snapshot *of;
    struct sst_file **inputs;   /* borrowed from the snapshot, oldest sequence first */
    uint32_t n_inputs;
    int64_t time_min, time_max; /* rows outside are left out (strict windows); else everything */
    bool drop_deletes;
    int64_t window_seconds;
    uint64_t output_bytes_max;  /* 0 = one file */
    struct file_meta *outputs;
    uint32_t n_outputs;
};

static void snapshot_release(struct snapshot *s)
{
    for (uint32_t i = 0; i < s->n_files; i++)
        sst_file_unref(s->files[i]);
    free(s->files);
    region_metadata_unref(s->metadata);
    buffer_unref(s->index.ignored);
    *s = (struct snapshot){0};
}

/* The options of the database, for where the region's own are silent; all unset when nobody knows any. Without an answer the region's own hold. */
static void database_options(struct mito_region *r, struct region_options *ret)
{
    const struct engine_host *host = &r->engine->host;
    struct kv *kv;
    uint32_t n;
    struct error err;
    *ret = (struct region_options){0};
    pthread_mutex_lock(&r->lock);
    bool settled = r->options.ttl_kind != TTL_UNSET && r->options.compaction_override;
    pthread_mutex_unlock(&r->lock);
    if (settled || !host->database_options)
        return;
    int st = host->database_options(host->ctx, r->id, &kv, &n, &err);
    if (st == ST_OK) {
        st = region_options_parse(kv, n, true, ret, &err);
        kv_list_free(kv, n);
    }
    if (st != ST_OK)
        log_warn("mito", "the options of the database of region %llu cannot be read: %s; it is compacted by its own", (unsigned long long)r->id, err.msg);
}

/* r->lock held. */
static void apply_options(struct snapshot *s, const struct region_options *own, const struct region_options *database)
{
    const struct region_options *ttl = own->ttl_kind != TTL_UNSET ? own : database, *rules = own;
    for (uint32_t i = 0; i < database->n_kv && !own->compaction_override; i++)
        if (strncmp(database->kv[i].key, "compaction.", 11) == 0)
            rules = database;
    s->ttl_kind = ttl->ttl_kind;
    s->ttl_ms = ttl->ttl_ms;
    s->pick.window_seconds = rules->compaction_time_window_ms ? rules->compaction_time_window_ms / 1000 : s->region->recorded_window_seconds;
    s->pick.trigger_files = rules->trigger_file_num ? (uint32_t)rules->trigger_file_num : DEFAULT_TRIGGER_FILES;
    s->pick.output_bytes_max = rules->max_output_file_bytes ? rules->max_output_file_bytes : DEFAULT_OUTPUT_BYTES;
}

static int snapshot_take(struct mito_region *r, struct snapshot *ret, struct error *err)
{
    struct region_options database;
    database_options(r, &database);
    pthread_mutex_lock(&r->lock);
    const struct region_options *o = &r->options;
    struct sst_file **files = calloc(r->n_files + 1, sizeof *files);
    int st = !files ? error_no_memory(err, r->n_files * sizeof *files) : r->state == REGION_WRITABLE ? ST_OK : mito_region_wrong_state(r, "writable", err);
    if (st != ST_OK) {
        free(files);
    } else {
        *ret = (struct snapshot){.region = r, .metadata = region_metadata_ref(r->metadata), .mode = o->append_mode ? MERGE_APPEND : o->merge_mode,
                                 .format = r->format, .index = {o->index.segment_rows, buffer_ref(o->index.ignored)}, .files = files};
        ret->pick = (struct pick_options){.unit = r->metadata->columns[r->metadata->time_index].type->unit, .append = o->append_mode,
                                          .outputs_max = r->engine->options.max_background_compactions};
        apply_options(ret, o, &database);
        for (; ret->n_files < r->n_files; ret->n_files++)
            files[ret->n_files] = sst_file_ref(r->files[ret->n_files]);
    }
    pthread_mutex_unlock(&r->lock);
    region_options_release(&database);
    return st;
}

/* What the picker sees; malloc'ed. */
static int describe_files(const struct snapshot *s, struct pick_file **ret_files, struct error *err)
{
    struct pick_file *files = calloc(s->n_files + 1, sizeof *files);
    if (!files)
        return error_no_memory(err, s->n_files * sizeof *files);
    for (uint32_t i = 0; i < s->n_files; i++) {
        const struct file_meta *m = &s->files[i]->meta;
        files[i] = (struct pick_file){m->time_min, m->time_max, m->sequence, m->file_size, m->level};
    }
    *ret_files = files;
    return ST_OK;
}

static void outputs_release(struct compaction *c)
{
    for (uint32_t i = 0; i < c->n_outputs; i++)
        file_meta_release(&c->outputs[i]);
    free(c->outputs);
    c->outputs = NULL;
    c->n_outputs = 0;
}

/* ---- running ---- */

static int read_inputs(struct compaction *c, struct row_source **ret_source, struct error *err)
{
    const struct region_metadata *m = c->of->metadata;
    struct mito_engine *e = c->of->region->engine;
    uint32_t *columns = calloc(m->n_columns, sizeof *columns), n = 0;
    bool *fields = calloc(m->n_columns, sizeof *fields);
    struct row_source **sources = calloc(c->n_inputs, sizeof *sources);
    int st = columns && fields && sources ? ST_OK : error_no_memory(err, m->n_columns * 8);
    for (uint32_t i = 0; st == ST_OK && i < m->n_columns; i++) {
        columns[i] = i;
        fields[i] = m->columns[i].semantic == SEMANTIC_FIELD;
    }
    struct read_request q = {.metadata = c->of->metadata, .columns = columns, .n_columns = m->n_columns, .time_min = c->time_min, .time_max = c->time_max,
                             .budget = &e->compact_budget, .work = &e->compact_work, .need_key = true};
    for (; st == ST_OK && n < c->n_inputs; n += st == ST_OK)
        st = mito_file_source(c->inputs[n], &q, &sources[n], err);
    if (st == ST_OK) {
        st = merge_source_new(sources, n, c->of->mode, c->drop_deletes, fields, m->n_columns, &e->compact_budget, &e->compact_work, ret_source, err);
    } else {
        for (uint32_t i = 0; i < n; i++)
            row_source_free(sources[i]);
    }
    free(columns);
    free(fields);
    free(sources);
    return st;
}

static void remove_outputs(struct compaction *c)
{
    for (uint32_t i = 0; i < c->n_outputs; i++)
        sst_remove_objects(c->of->region->engine->options.store, c->of->region->dir, &c->outputs[i]);
}

static int write_outputs(struct compaction *c, struct error *err)
{
    struct row_source *source;
    struct mito_engine *e = c->of->region->engine;
    uint64_t sequence = 0;
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        sequence = c->inputs[i]->meta.sequence > sequence ? c->inputs[i]->meta.sequence : sequence;
        metric_add(metric_plain(&input_bytes), (int64_t)c->inputs[i]->meta.file_size);
    }
    TRY(read_inputs(c, &source, err));
    struct sst_write_options options = {.store = e->options.store, .region_dir = c->of->region->dir, .metadata = c->of->metadata, .format = c->of->format,
                                        .level = 1, .sequence = sequence, .indexes = e->options.compaction_indexes,
                                        .index = c->of->index, .file_bytes_max = c->output_bytes_max,
                                        .budget = &e->compact_budget, .work = &e->compact_work};
    int st = sst_write(&options, source, &c->outputs, &c->n_outputs, err);
    row_source_free(source);
    for (uint32_t i = 0; st == ST_OK && i < c->n_outputs; i++)
        metric_add(metric_plain(&output_bytes), (int64_t)c->outputs[i].file_size);
    return st;
}

/* ---- committing ---- */

/* Whether the files are still the region's: a truncate may have come first. */
static bool still_there(const struct mito_region *r, struct sst_file *const *files, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (!mito_files_have(r, files[k]))
            return false;
    return r->state == REGION_WRITABLE;
}

/* Swaps the files for others, if the region still has them and the schema `metadata` (NULL: whichever). *ret_kept: the manifest lists the outputs, or may:
 * they are not to be removed, whatever failed. */
static int swap_files(struct mito_region *r, const struct region_metadata *metadata, struct sst_file *const *files, uint32_t n_files,
                      const struct file_meta *outputs, uint32_t n_outputs, const char *window, bool *ret_kept, struct error *err)
{
    struct file_meta *gone = calloc(n_files + 1, sizeof *gone);
    struct added_files added = {0};
    if (!gone)
        return error_no_memory(err, n_files * sizeof *gone);
    for (uint32_t i = 0; i < n_files; i++)
        gone[i] = files[i]->meta; /* borrowed contents */
    struct manifest_edit edit = {.add = outputs, .n_add = n_outputs, .remove = gone, .n_remove = n_files, .timestamp_ms = clock_wall_ms(),
                                 .compaction_time_window = window};
    pthread_mutex_lock(&r->job_lock);
    pthread_mutex_lock(&r->lock);
    bool valid = still_there(r, files, n_files) && (!metadata || r->metadata == metadata);
    pthread_mutex_unlock(&r->lock);
    int st = valid ? mito_files_prepare(r, outputs, n_outputs, &added, err)
                   : error_set(err, ST_CANCELLED, "region %llu was altered or truncated during a compaction", (unsigned long long)r->id);
    if (st == ST_OK)
        st = manifest_update_edit(r->manifest, &edit, err);
    bool committed = st == ST_OK;
    if (committed) {
        pthread_mutex_lock(&r->lock);
        mito_files_publish(r, &added);
        mito_files_remove(r, files, n_files);
        r->last_compaction_ms = clock_wall_ms();
        mito_note_manifest(r);
        pthread_mutex_unlock(&r->lock);
    }
    mito_files_forget(&added);
    *ret_kept = mito_note_doubt(r) || committed;
    pthread_mutex_unlock(&r->job_lock);
    free(gone);
    return st;
}

/* Commits what was written, or removes it. */
static int finish(struct compaction *c, int st, struct error *err)
{
    char window[32];
    bool kept = false;
    snprintf(window, sizeof window, "%llds", (long long)c->window_seconds);
    if (st == ST_OK)
        st = swap_files(c->of->region, c->of->metadata, c->inputs, c->n_inputs, c->outputs, c->n_outputs, window, &kept, err);
    if (st != ST_OK) {
        metric_add(metric_plain(&failures), 1);
        if (!kept)
            remove_outputs(c);
    }
    return st;
}

/* ---- ttl ---- */

static bool is_expired(const struct snapshot *s, const struct sst_file *f, int64_t now_ms)
{
    return s->ttl_kind == TTL_INSTANT || (s->ttl_kind == TTL_DURATION && pick_expired(f->meta.time_max, s->pick.unit, s->ttl_ms, now_ms));
}

/* Takes the files whose rows have all expired out of the region and the snapshot, in an edit of their own. */
static int drop_expired(struct snapshot *s, struct error *err)
{
    uint32_t n = 0, kept = 0;
    int64_t now_ms = clock_wall_ms();
    struct sst_file **expired = calloc(s->n_files + 1, sizeof *expired);
    if (!expired)
        return error_no_memory(err, s->n_files * sizeof *expired);
    for (uint32_t i = 0; i < s->n_files; i++) {
        if (is_expired(s, s->files[i], now_ms))
            expired[n++] = s->files[i];
        else
            s->files[kept++] = s->files[i];
    }
    s->n_files = kept;
    bool in_doubt; /* nothing was written that would have to go */
    int st = n ? swap_files(s->region, NULL, expired, n, NULL, 0, NULL, &in_doubt, err) : ST_OK;
    if (st == ST_OK && n) {
        metric_add(metric_plain(&expired_files), n);
        log_info("mito", "%u expired files of region %llu are dropped", n, (unsigned long long)s->region->id);
    }
    for (uint32_t i = 0; i < n; i++)
        sst_file_unref(expired[i]);
    free(expired);
    return st;
}

/* ---- windows ---- */

/* The older half of the inputs, cut between sequences; what wins stays so, because they are a prefix in sequence order. False when they are few. */
static bool halve(struct compaction *c)
{
    uint32_t n = c->n_inputs / 2;
    while (n > 1 && c->inputs[n]->meta.sequence == c->inputs[n - 1]->meta.sequence)
        n--;
    if (n < 2)
        return false;
    c->n_inputs = n;
    c->drop_deletes = false;
    return true;
}

static int merge(struct compaction *c, struct error *err)
{
    int st;
    metric_add(metric_plain(&requests), 1);
    do
        st = write_outputs(c, err);
    while (st == ST_EXHAUSTED && halve(c));
    return finish(c, st, err);
}

static int64_t bytes_of(const struct snapshot *s, const struct pick_merge *m)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->n_files; i++)
        sum += s->files[m->files[i]]->meta.file_size;
    return (int64_t)sum;
}

/* One picked merge; *ret_gained: the region has fewer files now. */
static int run_picked(const struct snapshot *s, const struct pick_merge *m, int64_t window_seconds, bool *ret_gained, struct error *err)
{
    struct compaction c = {.of = s, .time_min = INT64_MIN, .time_max = INT64_MAX, .drop_deletes = m->drop_deletes, .window_seconds = window_seconds,
                           .output_bytes_max = s->pick.output_bytes_max, .inputs = calloc(m->n_files, sizeof *c.inputs)};
    if (!c.inputs)
        return error_no_memory(err, m->n_files * sizeof *c.inputs);
    for (; c.n_inputs < m->n_files; c.n_inputs++)
        c.inputs[c.n_inputs] = s->files[m->files[c.n_inputs]];
    int st = merge(&c, err);
    *ret_gained |= st == ST_OK && c.n_outputs < c.n_inputs;
    outputs_release(&c);
    free(c.inputs);
    return st;
}

/* Drops what has expired and merges what is worth it. One merge that fails does not stop the others; the first error is told. */
static int compact_once(struct mito_region *r, bool *ret_gained, struct error *err)
{
    struct snapshot s = {0};
    struct pick_file *files = NULL;
    struct pick_result picked = {0};
    TRY(snapshot_take(r, &s, err));
    int st = drop_expired(&s, err);
    if (st == ST_OK)
        st = mito_check_room(r->engine, err); /* a merge needs space before it frees some */
    if (st == ST_OK)
        st = describe_files(&s, &files, err);
    if (st == ST_OK)
        st = compact_pick(files, s.n_files, &s.pick, &picked, err);
    for (uint32_t i = 0; i < picked.n_merges; i++)
        metric_add(metric_plain(&debt), bytes_of(&s, &picked.merges[i]));
    for (uint32_t i = 0; i < picked.n_merges; i++) {
        int mine = run_picked(&s, &picked.merges[i], picked.window_seconds, ret_gained, st == ST_OK ? err : NULL);
        st = st == ST_OK ? mine : st;
        metric_add(metric_plain(&debt), -bytes_of(&s, &picked.merges[i]));
    }
    pick_result_release(&picked);
    free(files);
    snapshot_release(&s);
    return st;
}

/* One compaction of a region at a time; a second one finds it busy. */
static bool begin(struct mito_region *r)
{
    bool mine = mito_rewrite_begin(r);
    metric_add(metric_plain(&inflight), mine);
    return mine;
}

static void end(struct mito_region *r)
{
    mito_rewrite_end(r);
    metric_add(metric_plain(&inflight), -1);
    mito_schedule_index_build(r);
}

static int compact_windows(struct mito_region *r, struct error *err)
{
    bool gained = true;
    int st = ST_OK;
    /* Each round removes at least one file; the bound is against a picker that would choose the same files for ever. */
    for (int round = 0; round < ROUNDS_MAX && gained && st == ST_OK; round++) {
        gained = false;
        st = compact_once(r, &gained, err);
    }
    return st;
}

/* ---- strict windows ---- */

/* The rows of one window out of all files that reach into it, appended to all->outputs. */
static int write_window(struct compaction *all, struct compaction *piece, struct error *err)
{
    piece->n_inputs = 0;
    for (uint32_t i = 0; i < all->n_inputs; i++)
        if (all->inputs[i]->meta.time_min <= piece->time_max && all->inputs[i]->meta.time_max >= piece->time_min)
            piece->inputs[piece->n_inputs++] = all->inputs[i];
    if (!piece->n_inputs)
        return ST_OK;
    TRY(write_outputs(piece, err));
    struct file_meta *grown = piece->n_outputs ? realloc(all->outputs, (all->n_outputs + piece->n_outputs) * sizeof *grown) : NULL;
    if (piece->n_outputs && !grown) {
        remove_outputs(piece);
        outputs_release(piece);
        return error_no_memory(err, piece->n_outputs * sizeof *grown);
    }
    if (grown) {
        memcpy(grown + all->n_outputs, piece->outputs, piece->n_outputs * sizeof *grown);
        all->outputs = grown;
        all->n_outputs += piece->n_outputs;
    }
    free(piece->outputs); /* their contents are in `all` */
    piece->outputs = NULL;
    piece->n_outputs = 0;
    return ST_OK;
}

static int write_strict(struct compaction *all, struct error *err)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (uint32_t i = 0; i < all->n_inputs; i++) {
        const struct file_meta *m = &all->inputs[i]->meta;
        low = m->time_min < low ? m->time_min : low;
        high = m->time_max > high ? m->time_max : high;
    }
    __int128 width = (__int128)all->window_seconds * units_per_second(all->of->pick.unit);
    __int128 first = low / width - (low % width < 0);
    if ((high - first * width) / width > STRICT_WINDOWS_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "a strict window of %lld s would cut region %llu into more than %d files", (long long)all->window_seconds,
                         (unsigned long long)all->of->region->id, STRICT_WINDOWS_MAX);
    struct compaction piece = *all;
    piece.inputs = calloc(all->n_inputs, sizeof *piece.inputs);
    int st = piece.inputs ? ST_OK : error_no_memory(err, all->n_inputs * sizeof *piece.inputs);
    for (__int128 at = first * width; st == ST_OK && at <= high; at += width) {
        piece.time_min = at < INT64_MIN ? INT64_MIN : (int64_t)at;
        piece.time_max = at + width - 1 > INT64_MAX ? INT64_MAX : (int64_t)(at + width - 1);
        st = write_window(all, &piece, err);
    }
    free(piece.inputs);
    return st;
}

/* Every file is cut at the window borders: each window's rows, from all files that reach into it, become one output. */
static int compact_strict(struct mito_region *r, int64_t seconds, struct error *err)
{
    struct snapshot s = {0};
    struct pick_file *files = NULL;
    TRY(mito_check_room(r->engine, err));
    TRY(snapshot_take(r, &s, err));
    int st = describe_files(&s, &files, err);
    if (st == ST_OK && s.n_files) {
        struct compaction c = {.of = &s, .inputs = s.files, .n_inputs = s.n_files};
        c.window_seconds = seconds > 0 ? seconds : s.pick.window_seconds > 0 ? s.pick.window_seconds : pick_infer_window(files, s.n_files, s.pick.unit);
        metric_add(metric_plain(&requests), 1);
        st = finish(&c, write_strict(&c, err), err);
        outputs_release(&c);
    }
    free(files);
    snapshot_release(&s);
    return st;
}

/* ---- entry points ---- */

static void compact_quietly(void *arg)
{
    struct mito_region *r = arg;
    struct error err;
    atomic_store(&r->compaction_queued, false);
    if (begin(r)) {
        int st = compact_windows(r, &err);
        end(r);
        if (st != ST_OK && st != ST_REGION_NOT_READY && st != ST_CANCELLED && st != ST_NO_SPACE) /* a full disk is told once, by its owner */
            log_warn("mito", "compaction of region %llu failed: %s; the next flush tries again", (unsigned long long)r->id, err.msg);
    }
    mito_region_unref(r);
}

void mito_schedule_compaction(struct mito_region *r)
{
    struct mito_engine *e = r->engine;
    mito_schedule_index_build(r);
    pthread_mutex_lock(&r->lock);
    bool due = r->state == REGION_WRITABLE && clock_wall_ms() - r->last_compaction_ms >= e->options.min_compaction_interval_ms;
    pthread_mutex_unlock(&r->lock);
    if (!due || atomic_load(&e->compact_work.cancelled) || atomic_exchange(&r->compaction_queued, true))
        return;
    atomic_fetch_add(&r->refs, 1);
    if (thread_pool_submit(e->compactions, compact_quietly, r, NULL) == ST_OK)
        return;
    atomic_store(&r->compaction_queued, false);
    mito_region_unref(r);
}

int mito_region_compact(struct mito_engine *e, uint64_t region_id, struct message compact, struct error *err)
{
    struct pb_reader reader = pb_reader_of(compact.data, compact.size);
    struct pb_field f, v;
    struct mito_region *r;
    bool strict = false;
    int64_t seconds = 0;
    while (pb_next(&reader, &f)) {
        if (f.number != 3 || f.wire != PB_BYTES)
            continue;
        strict = true;
        for (struct pb_reader inside = pb_inside(&f); pb_next(&inside, &v);)
            if (v.number == 1)
                seconds = (int64_t)v.value;
    }
    if (!pb_done(&reader))
        return error_set(err, ST_INVALID_ARGUMENTS, "a compact request is malformed protobuf");
    TRY(mito_region_get(e, region_id, &r, err));
    pthread_mutex_lock(&r->lock);
    bool staging = r->state == REGION_STAGING;
    pthread_mutex_unlock(&r->lock);
    if (staging) { /* as the peer: nothing to do, no error */
        mito_region_unref(r);
        return ST_OK;
    }
    while (!begin(r)) /* joins the one that runs: its result is what was asked for */
        clock_sleep_ns(10000000);
    int st = strict ? compact_strict(r, seconds, err) : compact_windows(r, err);
    end(r);
    mito_region_unref(r);
    return st;
}
