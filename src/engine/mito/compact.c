/* Compaction: the files of one time window merged into fewer, larger ones.
 *
 * Files are assigned to windows by their newest row; a window is worth compacting when it holds several files that overlap in time, or as many as
 * compaction.twcs.trigger_file_num. Inputs are streamed through the same merge as scans, so memory does not grow with their size. Tombstones go only when the
 * inputs hold every file of the region that overlaps the output's time range (mito-engine.md 4.3, the safe rule). The manifest edit that swaps the
 * files is the commit point; readers keep the old files until they are done.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "engine/mito/mito.h"
#include "format/proto/wire.h"

static struct metric_family requests = {.name = "greptime_mito_compaction_requests_total", .help = "compactions started", .kind = METRIC_COUNTER};
static struct metric_family failures = {.name = "greptime_mito_compaction_failure_total", .help = "compactions failed", .kind = METRIC_COUNTER};
static struct metric_family input_bytes = {.name = "greptime_mito_compaction_input_bytes", .help = "bytes read by compactions", .kind = METRIC_COUNTER};
static struct metric_family output_bytes = {.name = "greptime_mito_compaction_output_bytes", .help = "bytes written by compactions", .kind = METRIC_COUNTER};

enum { INPUTS_MAX = 32, DEFAULT_TRIGGER_FILES = 4 };
static const uint64_t DEFAULT_OUTPUT_BYTES = (uint64_t)512 << 20;

struct compaction { /* one window */
    struct mito_region *region;
    struct region_metadata *metadata;
    enum merge_mode mode;
    enum sst_format format;
    struct sst_file **inputs;
    uint32_t n_inputs;
    int64_t time_min, time_max;  /* rows outside are left out (strict windows); else everything */
    bool drop_deletes;
    int64_t window_seconds;
    uint64_t output_bytes_max;
    uint64_t index_segment_rows; /* the region's option */
    struct file_meta *outputs;
    uint32_t n_outputs;
};

/* ---- picking ---- */

static int64_t to_seconds_up(int64_t value, enum time_unit unit)
{
    int64_t per = units_per_second(unit);
    return value / per + (value % per > 0);
}

/* Window length in seconds: what the manifest or the option says, else the smallest usual one that covers the level 0 files (mito-engine.md 6.2). */
static int64_t window_seconds(const struct mito_region *r)
{
    static const int64_t usual[] = {3600, 7200, 43200, 86400, 604800};
    int64_t min = INT64_MAX, max = INT64_MIN;
    if (r->options.compaction_time_window_ms >= 1000)
        return r->options.compaction_time_window_ms / 1000;
    for (uint32_t i = 0; i < r->n_files; i++) {
        const struct file_meta *m = &r->files[i]->meta;
        if (m->level != 0)
            continue;
        int64_t low = to_seconds_up(m->time_min, m->time_unit), high = to_seconds_up(m->time_max, m->time_unit);
        min = low < min ? low : min;
        max = high > max ? high : max;
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (max >= min && (uint64_t)max - (uint64_t)min <= (uint64_t)usual[i])
            return usual[i];
    return 604800;
}

static int64_t window_of(const struct file_meta *m, int64_t width)
{
    int64_t seconds = to_seconds_up(m->time_max, m->time_unit);
    int64_t q = seconds / width + (seconds % width > 0);
    return q > INT64_MAX / width ? INT64_MAX : q * width;
}

struct windowed { struct sst_file *file; int64_t window; };

static int by_window_and_age(const void *a, const void *b)
{
    const struct windowed *x = a, *y = b;
    if (x->window != y->window)
        return x->window < y->window ? -1 : 1;
    return (x->file->meta.sequence > y->file->meta.sequence) - (x->file->meta.sequence < y->file->meta.sequence);
}

static bool overlap(const struct file_meta *a, const struct file_meta *b)
{
    return a->time_min <= b->time_max && b->time_min <= a->time_max;
}

/* Whether files [0, n) are worth merging; `manual` asks for any gain, otherwise the trigger count decides. */
static bool worth(const struct windowed *w, uint32_t n, uint32_t trigger, bool manual)
{
    if (n < 2)
        return false;
    if (n >= trigger)
        return true;
    for (uint32_t i = 0; manual && i < n; i++)
        for (uint32_t j = i + 1; j < n; j++)
            if (overlap(&w[i].file->meta, &w[j].file->meta))
                return true;
    return false;
}

static bool is_input(const struct compaction *c, const struct sst_file *f)
{
    for (uint32_t k = 0; k < c->n_inputs; k++)
        if (c->inputs[k] == f)
            return true;
    return false;
}

/* True when no other file of the region overlaps the inputs' time range, so that nothing older can hide behind a dropped tombstone. */
static bool covers_all(const struct mito_region *r, const struct compaction *c)
{
    struct file_meta range = {.time_min = INT64_MAX, .time_max = INT64_MIN};
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        const struct file_meta *m = &c->inputs[i]->meta;
        range.time_min = m->time_min < range.time_min ? m->time_min : range.time_min;
        range.time_max = m->time_max > range.time_max ? m->time_max : range.time_max;
    }
    for (uint32_t i = 0; i < r->n_files; i++) {
        if (!is_input(c, r->files[i]) && overlap(&r->files[i]->meta, &range))
            return false;
    }
    return true;
}

static void compaction_release(struct compaction *c)
{
    for (uint32_t i = 0; i < c->n_inputs; i++)
        sst_file_unref(c->inputs[i]);
    for (uint32_t i = 0; i < c->n_outputs; i++)
        file_meta_release(&c->outputs[i]);
    free(c->inputs);
    free(c->outputs);
    region_metadata_unref(c->metadata);
    *c = (struct compaction){0};
}

static void describe(const struct mito_region *r, struct compaction *c)
{
    c->region = (struct mito_region *)r;
    c->metadata = region_metadata_ref(r->metadata);
    c->mode = r->options.append_mode ? MERGE_APPEND : r->options.merge_mode;
    c->format = r->format;
    c->index_segment_rows = r->options.index_segment_rows;
    c->time_min = INT64_MIN;
    c->time_max = INT64_MAX;
    c->output_bytes_max = r->options.max_output_file_bytes ? r->options.max_output_file_bytes : DEFAULT_OUTPUT_BYTES;
}

/* The output carries the newest sequence of its inputs, for all of its rows. A file that is not among them, overlaps them and is newer than
 * the oldest of them, but not than the newest, would lose against their oldest rows: it has to come along. (A row at a window's border, or another width than
 * the files were cut at, is enough for that.) */
static int add_enclosed(const struct mito_region *r, struct compaction *c, struct error *err)
{
    struct sst_file **grown = realloc(c->inputs, (r->n_files + 1) * sizeof *grown);
    if (!grown)
        return error_no_memory(err, r->n_files * sizeof *grown);
    c->inputs = grown;
    for (bool again = true; again;) {
        struct file_meta range = {.time_min = INT64_MAX, .time_max = INT64_MIN};
        uint64_t oldest = UINT64_MAX, newest = 0;
        again = false;
        for (uint32_t i = 0; i < c->n_inputs; i++) {
            const struct file_meta *m = &c->inputs[i]->meta;
            range.time_min = m->time_min < range.time_min ? m->time_min : range.time_min;
            range.time_max = m->time_max > range.time_max ? m->time_max : range.time_max;
            oldest = m->sequence < oldest ? m->sequence : oldest;
            newest = m->sequence > newest ? m->sequence : newest;
        }
        for (uint32_t i = 0; i < r->n_files && !again; i++) {
            const struct file_meta *m = &r->files[i]->meta;
            again = m->sequence > oldest && m->sequence <= newest && overlap(m, &range) && !is_input(c, r->files[i]);
            if (again)
                c->inputs[c->n_inputs++] = sst_file_ref(r->files[i]);
        }
    }
    return ST_OK;
}

/* The first window worth compacting; *ret_found = false when there is none. r->lock held. */
static int pick(const struct mito_region *r, bool manual, struct compaction *ret, bool *ret_found, struct error *err)
{
    struct windowed *w = calloc(r->n_files + 1, sizeof *w);
    if (!w)
        return error_no_memory(err, r->n_files * sizeof *w);
    int64_t width = window_seconds(r);
    uint32_t trigger = r->options.trigger_file_num ? (uint32_t)r->options.trigger_file_num : DEFAULT_TRIGGER_FILES, n = 0;
    uint64_t output_max = r->options.max_output_file_bytes ? r->options.max_output_file_bytes : DEFAULT_OUTPUT_BYTES;
    for (uint32_t i = 0; i < r->n_files; i++)
        /* In append mode a file that has reached its size gains nothing from another rewrite. */
        if (!(r->options.append_mode && r->files[i]->meta.file_size >= output_max))
            w[n++] = (struct windowed){r->files[i], window_of(&r->files[i]->meta, width)};
    qsort(w, n, sizeof *w, by_window_and_age);
    *ret_found = false;
    int st = ST_OK;
    for (uint32_t from = 0, to; from < n && !*ret_found && st == ST_OK; from = to) {
        for (to = from; to < n && w[to].window == w[from].window;)
            to++;
        if (!worth(w + from, to - from, trigger, manual))
            continue;
        uint32_t take = to - from < INPUTS_MAX ? to - from : INPUTS_MAX;
        describe(r, ret);
        ret->window_seconds = width;
        ret->inputs = calloc(take, sizeof *ret->inputs);
        if (!ret->inputs) {
            st = error_no_memory(err, take * sizeof *ret->inputs);
            break;
        }
        for (; ret->n_inputs < take; ret->n_inputs++)
            ret->inputs[ret->n_inputs] = sst_file_ref(w[from + ret->n_inputs].file);
        *ret_found = true;
        if (ret->mode != MERGE_APPEND)
            st = add_enclosed(r, ret, err);
        ret->drop_deletes = covers_all(r, ret);
    }
    free(w);
    return st;
}

/* ---- running ---- */

static int read_inputs(struct compaction *c, struct row_source **ret_source, struct error *err)
{
    const struct region_metadata *m = c->metadata;
    struct budget *budget = &c->region->engine->job_budget;
    uint32_t *columns = calloc(m->n_columns, sizeof *columns), n = 0;
    bool *fields = calloc(m->n_columns, sizeof *fields);
    struct row_source **sources = calloc(c->n_inputs, sizeof *sources);
    int st = columns && fields && sources ? ST_OK : error_no_memory(err, m->n_columns * 8);
    for (uint32_t i = 0; st == ST_OK && i < m->n_columns; i++) {
        columns[i] = i;
        fields[i] = m->columns[i].semantic == SEMANTIC_FIELD;
    }
    struct read_request q = {.metadata = c->metadata, .columns = columns, .n_columns = m->n_columns, .time_min = c->time_min, .time_max = c->time_max,
                             .budget = budget, .need_key = true};
    for (; st == ST_OK && n < c->n_inputs; n += st == ST_OK)
        st = mito_file_source(c->inputs[n], &q, &sources[n], err);
    if (st == ST_OK) {
        st = merge_source_new(sources, n, c->mode, c->drop_deletes && c->mode != MERGE_APPEND, fields, m->n_columns, budget, NULL, ret_source, err);
    } else {
        for (uint32_t i = 0; i < n; i++)
            row_source_free(sources[i]);
    }
    free(columns);
    free(fields);
    free(sources);
    return st;
}

static int write_outputs(struct compaction *c, struct error *err)
{
    struct row_source *source;
    uint64_t sequence = 0;
    for (uint32_t i = 0; i < c->n_inputs; i++) {
        sequence = c->inputs[i]->meta.sequence > sequence ? c->inputs[i]->meta.sequence : sequence;
        metric_add(metric_plain(&input_bytes), (int64_t)c->inputs[i]->meta.file_size);
    }
    TRY(read_inputs(c, &source, err));
    struct sst_write_options options = {.store = c->region->engine->options.store, .region_dir = c->region->dir, .metadata = c->metadata, .format = c->format,
                                        .level = 1, .sequence = sequence, .indexes = c->region->engine->options.compaction_indexes,
                                        .index_segment_rows = c->index_segment_rows, .file_bytes_max = c->output_bytes_max,
                                        .budget = &c->region->engine->job_budget};
    int st = sst_write(&options, source, &c->outputs, &c->n_outputs, err);
    row_source_free(source);
    for (uint32_t i = 0; st == ST_OK && i < c->n_outputs; i++)
        metric_add(metric_plain(&output_bytes), (int64_t)c->outputs[i].file_size);
    return st;
}

static void remove_outputs(struct compaction *c)
{
    for (uint32_t i = 0; i < c->n_outputs; i++)
        sst_remove_objects(c->region->engine->options.store, c->region->dir, &c->outputs[i]);
}

/* Whether every input is still a file of the region (a truncate may have come first) and the schema is the one the outputs were written with. */
static bool still_valid(const struct mito_region *r, struct sst_file *const *inputs, uint32_t n_inputs, const struct region_metadata *metadata)
{
    for (uint32_t k = 0; k < n_inputs; k++) {
        bool found = false;
        for (uint32_t i = 0; i < r->n_files && !found; i++)
            found = r->files[i] == inputs[k];
        if (!found)
            return false;
    }
    return r->state == REGION_WRITABLE && r->metadata == metadata;
}

/* Swaps inputs for outputs. job_lock held. */
static int commit(struct mito_region *r, struct sst_file *const *inputs, uint32_t n_inputs, const struct file_meta *outputs, uint32_t n_outputs,
                  int64_t window, struct error *err)
{
    char text[32];
    struct file_meta *gone = calloc(n_inputs + 1, sizeof *gone);
    if (!gone)
        return error_no_memory(err, n_inputs * sizeof *gone);
    for (uint32_t i = 0; i < n_inputs; i++)
        gone[i] = inputs[i]->meta; /* borrowed contents */
    snprintf(text, sizeof text, "%llds", (long long)window);
    struct manifest_edit edit = {.add = outputs, .n_add = n_outputs, .remove = gone, .n_remove = n_inputs, .timestamp_ms = clock_wall_ms(),
                                 .compaction_time_window = text};
    int st = manifest_update_edit(r->manifest, &edit, err);
    free(gone);
    if (st != ST_OK)
        return st;
    pthread_mutex_lock(&r->lock);
    st = mito_files_add(r, outputs, n_outputs, err);
    mito_files_remove(r, inputs, n_inputs);
    r->last_compaction_ms = clock_wall_ms();
    mito_note_manifest(r);
    pthread_mutex_unlock(&r->lock);
    return st;
}

/* Commits what was written, or removes it. */
static int finish(struct compaction *c, int st, struct error *err)
{
    struct mito_region *r = c->region;
    bool in_doubt = false;
    if (st == ST_OK) {
        pthread_mutex_lock(&r->job_lock);
        pthread_mutex_lock(&r->lock);
        bool valid = still_valid(r, c->inputs, c->n_inputs, c->metadata);
        pthread_mutex_unlock(&r->lock);
        st = valid ? commit(r, c->inputs, c->n_inputs, c->outputs, c->n_outputs, c->window_seconds, err)
                   : error_set(err, ST_CANCELLED, "region %llu was altered or truncated during a compaction", (unsigned long long)r->id);
        in_doubt = mito_note_doubt(r);
        pthread_mutex_unlock(&r->job_lock);
    }
    if (st != ST_OK) {
        metric_add(metric_plain(&failures), 1);
        if (!in_doubt)
            remove_outputs(c);
    }
    return st;
}

/* Merges what pick() chose. The job lock is not held while the files are rewritten: flushes go on. */
static int run(struct compaction *c, struct error *err)
{
    metric_add(metric_plain(&requests), 1);
    return finish(c, write_outputs(c, err), err);
}

/* One compaction of a region at a time; a second one finds it busy. */
static bool begin(struct mito_region *r)
{
    pthread_mutex_lock(&r->job_lock);
    bool mine = !r->compacting;
    r->compacting = true;
    pthread_mutex_unlock(&r->job_lock);
    return mine;
}

static void end(struct mito_region *r)
{
    pthread_mutex_lock(&r->job_lock);
    r->compacting = false;
    pthread_mutex_unlock(&r->job_lock);
}

static int compact_windows(struct mito_region *r, bool manual, struct error *err)
{
    /* Each round removes at least one file; the bound is against a picker that would choose the same window for ever. */
    for (int round = 0; round < 1024; round++) {
        struct compaction c = {0};
        bool found = false;
        pthread_mutex_lock(&r->lock);
        int st = r->state == REGION_WRITABLE ? pick(r, manual, &c, &found, err) : mito_region_wrong_state(r, "writable", err);
        pthread_mutex_unlock(&r->lock);
        uint32_t before = c.n_inputs;
        if (st == ST_OK && found)
            st = run(&c, err);
        bool gained = c.n_outputs < before;
        compaction_release(&c);
        if (st != ST_OK || !found || !gained)
            return st;
    }
    return ST_OK;
}

/* ---- strict windows ---- */

/* Every file is cut at the window borders: each window's rows, from all files that reach into it, become one output. */
static int compact_strict(struct mito_region *r, int64_t seconds, struct error *err)
{
    struct compaction c = {0};
    int64_t low = INT64_MAX, high = INT64_MIN, per = 1;
    pthread_mutex_lock(&r->lock);
    int st = r->state == REGION_WRITABLE ? ST_OK : mito_region_wrong_state(r, "writable", err);
    if (st == ST_OK) {
        describe(r, &c);
        c.window_seconds = seconds > 0 ? seconds : window_seconds(r);
        c.output_bytes_max = 0;
        c.inputs = calloc(r->n_files + 1, sizeof *c.inputs);
        for (uint32_t i = 0; c.inputs && i < r->n_files; i++) {
            c.inputs[c.n_inputs++] = sst_file_ref(r->files[i]);
            low = r->files[i]->meta.time_min < low ? r->files[i]->meta.time_min : low;
            high = r->files[i]->meta.time_max > high ? r->files[i]->meta.time_max : high;
        }
        per = units_per_second(r->metadata->columns[r->metadata->time_index].type->unit);
    }
    pthread_mutex_unlock(&r->lock);
    if (st != ST_OK || c.n_inputs == 0) {
        compaction_release(&c);
        return st;
    }
    __int128 width = (__int128)c.window_seconds * per;
    __int128 first = low / width - (low % width < 0);
    struct compaction piece = c;
    struct file_meta *all = NULL;
    uint32_t n_all = 0;
    if ((high - first * width) / width > 4096)
        st = error_set(err, ST_INVALID_ARGUMENTS, "a strict window of %lld s would cut region %llu into more than 4096 files", (long long)c.window_seconds,
                       (unsigned long long)r->id);
    for (__int128 at = first * width; st == ST_OK && at <= high; at += width) {
        piece.time_min = at < INT64_MIN ? INT64_MIN : (int64_t)at;
        piece.time_max = at + width - 1 > INT64_MAX ? INT64_MAX : (int64_t)(at + width - 1);
        piece.outputs = NULL;
        piece.n_outputs = 0;
        st = write_outputs(&piece, err);
        struct file_meta *grown = piece.n_outputs ? realloc(all, (n_all + piece.n_outputs) * sizeof *grown) : all;
        if (piece.n_outputs && grown)
            memcpy(grown + n_all, piece.outputs, piece.n_outputs * sizeof *grown);
        if (grown) {
            all = grown;
            n_all += piece.n_outputs;
        }
        free(piece.outputs);
    }
    c.outputs = all;
    c.n_outputs = n_all;
    st = finish(&c, st, err);
    compaction_release(&c);
    return st;
}

/* ---- entry points ---- */

int mito_region_auto_compact(struct mito_region *r, struct error *err)
{
    if (!begin(r))
        return ST_OK;
    int st = compact_windows(r, false, err);
    end(r);
    return st;
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
    int st = strict ? compact_strict(r, seconds, err) : compact_windows(r, true, err);
    end(r);
    mito_region_unref(r);
    return st;
}
