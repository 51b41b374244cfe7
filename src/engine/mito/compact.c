/* Compaction: the files of a time window merged into fewer, larger ones; expired files dropped.
 *
 * compact_pick.c says which files. Inputs are streamed through the same merge as scans, so memory does not grow with their size; when even their
 * number is too much for the memory there is, the newer half waits. The manifest edit that swaps the files is the commit point; readers keep the old files
 * until they are done. A compaction holds neither of the region's locks while it rewrites: writes, flushes and scans go on.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/compact_internal.h"
#include "format/proto/wire.h"

static struct metric_family requests = {.name = "greptime_mito_compaction_requests_total", .help = "compactions started", .kind = METRIC_COUNTER};
static struct metric_family failures = {.name = "greptime_mito_compaction_failure_total", .help = "compactions failed", .kind = METRIC_COUNTER};
static struct metric_family input_bytes = {.name = "greptime_mito_compaction_input_bytes", .help = "bytes read by compactions", .kind = METRIC_COUNTER};
static struct metric_family inflight = {.name = "greptime_mito_inflight_compaction_count", .help = "regions being compacted", .kind = METRIC_GAUGE};
static struct metric_family expired_files = {.name = "regiond_mito_expired_files_total", .help = "files dropped because their ttl had passed",
                                             .kind = METRIC_COUNTER};
static struct metric_family elapsed = {.name = "greptime_mito_compaction_total_elapsed", .help = "seconds of a region's merges",
                                       .kind = METRIC_HISTOGRAM, .bounds = {1, 10, 100, 1000, 10000, 100000}};
static struct metric_family debt = {.name = "regiond_mito_compaction_debt_bytes", .help = "bytes of files that are picked for compaction and not merged yet",
                                    .kind = METRIC_GAUGE};
static struct metric_family retries = {
    .name = "regiond_mito_compaction_retries_total", .help = "compactions begun again because one had failed", .kind = METRIC_COUNTER};
static struct metric_family output_bytes = {.name = "greptime_mito_compaction_output_bytes", .help = "bytes written by compactions", .kind = METRIC_COUNTER};

enum { DEFAULT_TRIGGER_FILES = 4, ROUNDS_MAX = 1024, RETRY_MS = 1000, RETRY_DOUBLINGS_MAX = 8 };
static const uint64_t DEFAULT_OUTPUT_BYTES = (uint64_t)512 << 20;

void compact_count_request(void)
{
    metric_add(metric_plain(&requests), 1);
}

void compact_snapshot_release(struct compact_snapshot *s)
{
    for (uint32_t i = 0; i < s->n_files; i++)
        sst_file_unref(s->files[i]);
    free(s->files);
    region_metadata_unref(s->metadata);
    buffer_unref(s->index.ignored);
    *s = (struct compact_snapshot){0};
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
static void apply_options(struct compact_snapshot *s, const struct region_options *own, const struct region_options *database)
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

int compact_snapshot_take(struct mito_region *r, struct compact_snapshot *ret, struct error *err)
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
        *ret = (struct compact_snapshot){.region = r,
                                         .metadata = region_metadata_ref(r->metadata),
                                         .mode = o->append_mode ? MERGE_APPEND : o->merge_mode,
                                         .format = r->format,
                                         .index = {o->index.segment_rows, buffer_ref(o->index.ignored)},
                                         .files = files};
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

int compact_describe_files(const struct compact_snapshot *s, struct pick_file **ret_files, struct error *err)
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

void compact_outputs_release(struct compaction *c)
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

void compact_outputs_remove(struct compaction *c)
{
    for (uint32_t i = 0; i < c->n_outputs; i++)
        sst_remove_objects(c->of->region->engine->options.store, c->of->region->dir, &c->outputs[i]);
}

/* What the inputs take while they are merged: a row group of each. */
static size_t bytes_needed(const struct compaction *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->n_inputs; i++)
        sum += c->inputs[i]->meta.max_row_group_uncompressed_size;
    return sum < SIZE_MAX / 2 ? (size_t)sum : SIZE_MAX / 2;
}

static int write_merged(struct compaction *c, struct error *err)
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

int compact_outputs_write(struct compaction *c, struct error *err)
{
    struct mito_engine *e = c->of->region->engine;
    size_t taken;
    TRY(compact_room_take(&e->compact_room, bytes_needed(c), &e->compact_work, &taken, err));
    int st = write_merged(c, err);
    compact_room_give(&e->compact_room, taken);
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

int compact_finish(struct compaction *c, int st, struct error *err)
{
    char window[32];
    bool kept = false;
    snprintf(window, sizeof window, "%llds", (long long)c->window_seconds);
    if (st == ST_OK)
        st = swap_files(c->of->region, c->of->metadata, c->inputs, c->n_inputs, c->outputs, c->n_outputs, window, &kept, err);
    if (st != ST_OK) {
        metric_add(metric_plain(&failures), 1);
        if (!kept)
            compact_outputs_remove(c);
    }
    return st;
}

/* ---- ttl ---- */

static bool is_expired(const struct compact_snapshot *s, const struct sst_file *f, int64_t now_ms)
{
    return s->ttl_kind == TTL_INSTANT || (s->ttl_kind == TTL_DURATION && pick_expired(f->meta.time_max, s->pick.unit, s->ttl_ms, now_ms));
}

static int by_sequence(const void *a, const void *b)
{
    uint64_t x = (*(struct sst_file *const *)a)->meta.sequence, y = (*(struct sst_file *const *)b)->meta.sequence;
    return (x > y) - (x < y);
}

/* Whether one of the files, which are older, may hold a row that `file` deletes or replaces: without it that row would be back. */
static bool hides_rows_of(const struct sst_file *file, struct sst_file *const *older, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (older[i]->meta.sequence < file->meta.sequence && older[i]->meta.time_min <= file->meta.time_max &&
            older[i]->meta.time_max >= file->meta.time_min)
            return true;
    return false;
}

/* Takes the files whose rows have all expired out of the region and the snapshot, in an edit of their own. One that hides rows of an older file which
 * stays, because that has newer rows as well, stays with it (the peer drops it). */
static int drop_expired(struct compact_snapshot *s, struct error *err)
{
    uint32_t n = 0, kept = 0;
    int64_t now_ms = clock_wall_ms();
    struct sst_file **expired = calloc(s->n_files + 1, sizeof *expired);
    if (!expired)
        return error_no_memory(err, s->n_files * sizeof *expired);
    if (s->n_files)
        qsort(s->files, s->n_files, sizeof *s->files, by_sequence);
    for (uint32_t i = 0; i < s->n_files; i++) {
        if (is_expired(s, s->files[i], now_ms) && (s->mode == MERGE_APPEND || !hides_rows_of(s->files[i], s->files, kept)))
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
    compact_count_request();
    do
        st = compact_outputs_write(c, err);
    while (st == ST_EXHAUSTED && halve(c));
    return compact_finish(c, st, err);
}

static int64_t bytes_of(const struct compact_snapshot *s, const struct pick_merge *m)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->n_files; i++)
        sum += s->files[m->files[i]]->meta.file_size;
    return (int64_t)sum;
}

/* One picked merge; *ret_gained: the region has fewer files now. */
static int run_picked(const struct compact_snapshot *s, const struct pick_merge *m, int64_t window_seconds, bool *ret_gained, struct error *err)
{
    struct compaction c = {.of = s, .time_min = INT64_MIN, .time_max = INT64_MAX, .drop_deletes = m->drop_deletes, .window_seconds = window_seconds,
                           .output_bytes_max = s->pick.output_bytes_max, .inputs = calloc(m->n_files, sizeof *c.inputs)};
    if (!c.inputs)
        return error_no_memory(err, m->n_files * sizeof *c.inputs);
    for (; c.n_inputs < m->n_files; c.n_inputs++)
        c.inputs[c.n_inputs] = s->files[m->files[c.n_inputs]];
    int st = merge(&c, err);
    *ret_gained |= st == ST_OK && c.n_outputs < c.n_inputs;
    compact_outputs_release(&c);
    free(c.inputs);
    return st;
}

/* Merges of one pick, which have no file in common, by any number of threads. One that fails does not stop the others; the first error is told. */
struct picked_merges {
    const struct compact_snapshot *of;
    const struct pick_result *picked;
    _Atomic uint32_t next;
    pthread_mutex_t lock; /* guards what follows */
    bool gained;
    int st;
    struct error err;
};

static void run_share(void *ctx, size_t share)
{
    struct picked_merges *p = ctx;
    (void)share;
    for (uint32_t i; (i = atomic_fetch_add(&p->next, 1)) < p->picked->n_merges;) {
        struct error err = {.msg = ""};
        bool gained = false;
        int st = run_picked(p->of, &p->picked->merges[i], p->picked->window_seconds, &gained, &err);
        metric_add(metric_plain(&debt), -bytes_of(p->of, &p->picked->merges[i]));
        pthread_mutex_lock(&p->lock);
        p->gained |= gained;
        if (p->st == ST_OK && st != ST_OK) {
            p->st = st;
            p->err = err;
        }
        pthread_mutex_unlock(&p->lock);
    }
}

static int run_all(const struct compact_snapshot *s, const struct pick_result *picked, uint32_t parallelism, bool *ret_gained, struct error *err)
{
    struct picked_merges p = {.of = s, .picked = picked};
    pthread_mutex_init(&p.lock, NULL);
    thread_pool_for(s->region->engine->compactions, parallelism < picked->n_merges ? parallelism : picked->n_merges, run_share, &p);
    pthread_mutex_destroy(&p.lock);
    *ret_gained |= p.gained;
    return p.st == ST_OK ? ST_OK : error_set(err, (enum status)p.st, "%s", p.err.msg);
}

/* Drops what has expired and merges what is worth it. */
static int compact_once(struct mito_region *r, uint32_t parallelism, bool *ret_gained, struct error *err)
{
    struct compact_snapshot s = {0};
    struct pick_file *files = NULL;
    struct pick_result picked = {0};
    int64_t start = clock_monotonic_ns();
    TRY(compact_snapshot_take(r, &s, err));
    int st = drop_expired(&s, err);
    if (st == ST_OK)
        st = mito_check_room(r->engine, err); /* a merge needs space before it frees some */
    if (st == ST_OK)
        st = compact_describe_files(&s, &files, err);
    if (st == ST_OK)
        st = compact_pick(files, s.n_files, &s.pick, &picked, err);
    for (uint32_t i = 0; i < picked.n_merges; i++)
        metric_add(metric_plain(&debt), bytes_of(&s, &picked.merges[i]));
    if (st == ST_OK)
        st = run_all(&s, &picked, parallelism, ret_gained, err);
    if (picked.n_merges)
        metric_observe(metric_plain(&elapsed), (double)(clock_monotonic_ns() - start) / 1e9);
    pick_result_release(&picked);
    free(files);
    compact_snapshot_release(&s);
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

static int compact_windows(struct mito_region *r, uint32_t parallelism, struct error *err)
{
    bool gained = true;
    int st = ST_OK;
    /* Each round removes at least one file; the bound is against a picker that would choose the same files for ever. */
    for (int round = 0; round < ROUNDS_MAX && gained && st == ST_OK; round++) {
        gained = false;
        st = compact_once(r, parallelism, &gained, err);
    }
    return st;
}

/* ---- entry points ---- */

/* When a compaction that has failed so often is tried again: after 1, 2, 4 ... 256 s. r->lock held. */
static void schedule_retry(struct mito_region *r)
{
    unsigned doublings = r->failed_compactions ? r->failed_compactions - 1 : 0;
    doublings = doublings < RETRY_DOUBLINGS_MAX ? doublings : RETRY_DOUBLINGS_MAX;
    r->retry_compaction_ms = clock_monotonic_ns() / 1000000 + ((int64_t)RETRY_MS << doublings);
}

/* What a compaction in the background has come to. A region that is led from elsewhere is that node's to compact. */
static void note_outcome(struct mito_region *r, int st)
{
    pthread_mutex_lock(&r->lock);
    if (st == ST_OK || st == ST_REGION_NOT_READY) {
        r->failed_compactions = 0;
        r->retry_compaction_ms = 0;
    } else {
        r->failed_compactions++;
        schedule_retry(r);
    }
    pthread_mutex_unlock(&r->lock);
}

static void compact_quietly(void *arg)
{
    struct mito_region *r = arg;
    struct error err;
    atomic_store(&r->compaction_queued, false);
    if (begin(r)) {
        int st = compact_windows(r, 1, &err);
        end(r);
        note_outcome(r, st);
        if (st != ST_OK && st != ST_REGION_NOT_READY && st != ST_CANCELLED && st != ST_NO_SPACE) /* a full disk is told once, by its owner */
            log_warn("mito", "compaction of region %llu failed: %s; it is tried again", (unsigned long long)r->id, err.msg);
    }
    mito_region_unref(r);
}

void mito_retry_compaction(struct mito_region *r)
{
    pthread_mutex_lock(&r->lock);
    bool due = r->retry_compaction_ms && clock_monotonic_ns() / 1000000 >= r->retry_compaction_ms;
    if (due)
        schedule_retry(r); /* for the case that this one cannot begin */
    pthread_mutex_unlock(&r->lock);
    if (!due)
        return;
    metric_add(metric_plain(&retries), 1);
    mito_schedule_compaction(r);
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
    uint32_t parallelism = 1; /* 0 = not said */
    while (pb_next(&reader, &f)) {
        if (f.number == 4 && f.wire == PB_VARINT && f.value)
            parallelism = f.value < UINT32_MAX ? (uint32_t)f.value : UINT32_MAX;
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
    int st = strict ? compact_strict(r, seconds, parallelism, err) : compact_windows(r, parallelism, err);
    end(r);
    mito_region_unref(r);
    return st;
}
