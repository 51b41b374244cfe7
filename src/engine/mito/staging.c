/* Repartition: a region takes over part of another one's files without rewriting them (mito-engine.md 1.10).
 *
 *   enter    Writable ──► flush ──► EnteringStaging ──► Staging, with the partition expression that is to be (or: all writes rejected)
 *   remap    one staging region, the central one, reads the manifests of the old regions and writes one for each new region
 *   apply    each new region adds the files of its manifest and takes the new expression, in one delta: Writable again
 *
 * Rows written while staging stay in the memtable and the log (the peer flushes them into files that are lost if staging is given up); they are seen
 * all along.
 *
 * Sequences are a region's own, but decide between its rows and those of the files that it takes over: what it writes from entering on is numbered
 * behind all that the regions of the table have. (The peer goes on where it was.)
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/mito/mito.h"

static bool same_text(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* ---- enter ---- */

/* ST_OK with *ret_done: the region is in that very staging already. */
static int check_enter(struct mito_region *r, const char *expr, bool *ret_done, struct error *err)
{
    int st = ST_OK;
    pthread_mutex_lock(&r->lock);
    *ret_done = r->state == REGION_STAGING;
    if (*ret_done && !same_text(r->staging_expr, expr))
        st = error_set(err, ST_UNEXPECTED, "region %llu is staging for another partition expression", (unsigned long long)r->id);
    else if (!*ret_done && r->state != REGION_WRITABLE)
        st = mito_region_wrong_state(r, "writable", err);
    pthread_mutex_unlock(&r->lock);
    return st;
}

/* The largest sequence that a manifest knows of. */
static uint64_t newest_sequence(const struct manifest *m)
{
    uint64_t newest = m->flushed_sequence > m->committed_sequence ? m->flushed_sequence : m->committed_sequence;
    for (uint32_t i = 0; i < m->n_files; i++)
        newest = m->files[i].sequence > newest ? m->files[i].sequence : newest;
    return newest;
}

struct siblings {
    struct mito_region *region;
    uint64_t newest;
};

static int look_at_sibling(void *ctx, const struct object_info *info, struct error *err)
{
    struct siblings *s = ctx;
    const struct mito_options *o = &s->region->engine->options;
    const char *slash = strrchr(info->key, '/');
    uint32_t table, number;
    struct manifest_manager *manifest;
    char *dir;
    if (!info->is_dir || sscanf(slash ? slash + 1 : info->key, "%" SCNu32 "_%" SCNu32, &table, &number) != 2 || table != s->region->id >> 32)
        return ST_OK;
    TRY(mito_sibling_dir(s->region->dir, s->region->id, (uint64_t)table << 32 | number, &dir, err));
    int st = manifest_open(o->store, dir, o->checkpoint_distance, &manifest, err);
    free(dir);
    if (st == ST_OK) {
        uint64_t newest = newest_sequence(manifest_state(manifest));
        s->newest = newest > s->newest ? newest : s->newest;
        manifest_free(manifest);
    }
    return st == ST_NOT_FOUND ? ST_OK : st; /* the rest of a drop */
}

/* The region's rows are numbered behind those of its siblings from now on, and behind what these may still write until they stage, too. */
static int overtake_siblings(struct mito_region *r, struct error *err)
{
    static const uint64_t margin = (uint64_t)1 << 32;
    struct siblings s = {.region = r};
    int n;
    const char *at = mito_own_folder(r->dir, r->id, &n);
    char *table = at ? strndup(r->dir, (size_t)(at - r->dir)) : NULL;
    if (!table)
        return at ? error_no_memory(err, strlen(r->dir)) : ST_OK;
    int st = r->engine->options.store->ops->list(r->engine->options.store, table, false, look_at_sibling, &s, err);
    free(table);
    TRY(st);
    pthread_mutex_lock(&r->lock);
    if (s.newest && s.newest + margin > r->committed_sequence)
        r->committed_sequence = s.newest + margin;
    pthread_mutex_unlock(&r->lock);
    return ST_OK;
}

/* job_lock held: no flush or compaction commits. A compaction that still rewrites files will find the state changed and give up. */
static int enter_staging(struct mito_region *r, const char *expr, struct error *err)
{
    char *copy = expr ? strdup(expr) : NULL;
    if (expr && !copy)
        return error_no_memory(err, strlen(expr));
    int st = mito_flush_locked(r, err);
    if (st == ST_OK)
        st = mito_enter(r, REGION_ENTERING_STAGING, err);
    if (st != ST_OK) {
        free(copy);
        return st;
    }
    st = mito_flush_locked(r, err); /* what came in between the first flush and the change of state */
    if (st == ST_OK)
        st = overtake_siblings(r, err);
    if (st == ST_OK)
        st = manifest_staging_clear(r->manifest, err);
    if (st == ST_OK && expr)
        st = manifest_stage_expr(r->manifest, expr, err);
    if (st == ST_OK) {
        pthread_mutex_lock(&r->lock);
        free(r->staging_expr);
        r->staging_expr = copy;
        r->partition_version = partition_expr_version(copy);
        pthread_mutex_unlock(&r->lock);
        copy = NULL;
    }
    mito_leave(r, st == ST_OK ? REGION_STAGING : REGION_WRITABLE);
    free(copy);
    return st;
}

int mito_region_enter_staging(struct mito_engine *e, uint64_t region_id, const char *partition_expr, struct error *err)
{
    struct mito_region *r;
    bool done = false;
    TRY(mito_region_get(e, region_id, &r, err));
    pthread_mutex_lock(&r->job_lock);
    int st = check_enter(r, partition_expr, &done, err);
    if (st == ST_OK && !done)
        st = enter_staging(r, partition_expr, err);
    pthread_mutex_unlock(&r->job_lock);
    mito_region_unref(r);
    return st;
}

/* ---- remap ---- */

struct remap {
    struct mito_region *region;
    const struct region_remap_request *request;
    struct manifest_manager **old; /* of the inputs */
};

static struct manifest_manager *old_manifest(const struct remap *m, uint64_t region_id)
{
    for (uint32_t i = 0; i < m->request->n_inputs; i++)
        if (m->request->inputs[i] == region_id)
            return m->old[i];
    return NULL;
}

static int open_inputs(struct remap *m, struct error *err)
{
    struct mito_region *r = m->region;
    for (uint32_t i = 0; i < m->request->n_inputs; i++) {
        char *dir;
        TRY(mito_sibling_dir(r->dir, r->id, m->request->inputs[i], &dir, err));
        int st = manifest_open(r->engine->options.store, dir, r->engine->options.checkpoint_distance, &m->old[i], err);
        free(dir);
        if (st != ST_OK)
            return error_prefix(err, "the manifest of region %llu", (unsigned long long)m->request->inputs[i]);
    }
    return ST_OK;
}

static int add_files(struct manifest *to, const struct manifest *from, struct error *err)
{
    struct file_meta *more = realloc(to->files, (to->n_files + from->n_files + 1) * sizeof *more);
    if (!more)
        return error_no_memory(err, from->n_files * sizeof *more);
    to->files = more;
    for (uint32_t i = 0; i < from->n_files; i++) {
        bool there = false;
        for (uint32_t k = 0; k < to->n_files && !there; k++)
            there = strcmp(to->files[k].file_id, from->files[i].file_id) == 0;
        if (there)
            continue;
        TRY(file_meta_copy(&from->files[i], &to->files[to->n_files], err));
        to->n_files++;
    }
    return ST_OK;
}

/* The manifest of one new region. */
static int build_manifest(const struct remap *m, uint64_t new_id, const char *expr, struct manifest *ret_manifest, struct error *err)
{
    const struct manifest *template = manifest_state(m->old[0]);
    struct manifest_manager *mine = old_manifest(m, new_id);
    struct manifest next = {.append_mode = -1, .sst_format = template->sst_format};
    if (mine) {
        const struct manifest *was = manifest_state(mine);
        next.flushed_entry_id = was->flushed_entry_id;
        next.flushed_sequence = was->flushed_sequence;
        next.version = was->version;
        next.has_committed_sequence = was->has_committed_sequence;
        next.committed_sequence = was->committed_sequence;
        next.has_truncated_entry_id = was->has_truncated_entry_id;
        next.truncated_entry_id = was->truncated_entry_id;
        next.compaction_time_window = was->compaction_time_window ? strdup(was->compaction_time_window) : NULL;
    }
    next.metadata = region_metadata_with_version(template->metadata, template->metadata->schema_version);
    char *text = strdup(expr);
    int st = next.metadata && text ? ST_OK : error_no_memory(err, sizeof *next.metadata);
    if (st == ST_OK) { /* a copy that nobody else has seen yet */
        next.metadata->region_id = new_id;
        free(next.metadata->partition_expr);
        next.metadata->partition_expr = text;
        text = NULL;
    }
    for (uint32_t i = 0; st == ST_OK && i < m->request->n_mapping; i++) {
        struct manifest_manager *from = m->request->mapping[i].to == new_id ? old_manifest(m, m->request->mapping[i].from) : NULL;
        if (from)
            st = add_files(&next, manifest_state(from), err);
        else if (m->request->mapping[i].to == new_id)
            st = error_set(err, ST_INVALID_ARGUMENTS, "region %llu is mapped but no input", (unsigned long long)m->request->mapping[i].from);
    }
    free(text);
    if (st == ST_OK)
        *ret_manifest = next;
    else
        manifest_release(&next);
    return st;
}

/* Every mapped region gets an expression, and no file of an input goes nowhere. */
static int check_mapping(const struct remap *m, struct error *err)
{
    const struct region_remap_request *q = m->request;
    for (uint32_t i = 0; i < q->n_mapping; i++) {
        bool named = false;
        for (uint32_t k = 0; k < q->n_exprs && !named; k++)
            named = q->exprs[k].region_id == q->mapping[i].to;
        if (!named)
            return error_set(err, ST_INVALID_ARGUMENTS, "region %llu is mapped to but has no partition expression",
                             (unsigned long long)q->mapping[i].to);
    }
    for (uint32_t i = 0; i < q->n_inputs; i++) {
        bool mapped = !manifest_state(m->old[i])->n_files;
        for (uint32_t k = 0; k < q->n_mapping && !mapped; k++)
            mapped = q->mapping[k].from == q->inputs[i];
        if (!mapped)
            return error_set(err, ST_INVALID_ARGUMENTS, "the files of region %llu are mapped to no region", (unsigned long long)q->inputs[i]);
    }
    return ST_OK;
}

static int remap(struct remap *m, struct error *err)
{
    struct mito_region *r = m->region;
    TRY(open_inputs(m, err));
    TRY(check_mapping(m, err));
    for (uint32_t i = 0; i < m->request->n_exprs; i++) {
        const struct region_text *target = &m->request->exprs[i];
        struct manifest manifest;
        char name[64];
        TRY(build_manifest(m, target->region_id, target->text, &manifest, err));
        snprintf(name, sizeof name, "remap_manifest_%llu", (unsigned long long)target->region_id);
        int st = manifest_blob_put(r->engine->options.store, r->dir, name, &manifest, err);
        manifest_release(&manifest);
        TRY(st);
    }
    return ST_OK;
}

int mito_region_remap(struct mito_engine *e, const struct region_remap_request *request, struct error *err)
{
    struct mito_region *r;
    if (!request->n_inputs)
        return error_set(err, ST_INVALID_ARGUMENTS, "a remap of region %llu names no input regions", (unsigned long long)request->region_id);
    TRY(mito_region_get(e, request->region_id, &r, err));
    struct remap m = {r, request, calloc(request->n_inputs, sizeof *m.old)};
    pthread_mutex_lock(&r->lock);
    int st = r->state == REGION_STAGING ? ST_OK : mito_region_wrong_state(r, "Leader(Staging)", err);
    pthread_mutex_unlock(&r->lock);
    if (st == ST_OK)
        st = m.old ? remap(&m, err) : error_no_memory(err, request->n_inputs * sizeof *m.old);
    for (uint32_t i = 0; m.old && i < request->n_inputs; i++)
        manifest_free(m.old[i]);
    free(m.old);
    mito_region_unref(r);
    return st;
}

/* ---- apply ---- */

static int check_apply(struct mito_region *r, const char *expr, bool *ret_done, struct error *err)
{
    int st = ST_OK;
    pthread_mutex_lock(&r->lock);
    const char *now = r->metadata->partition_expr ? r->metadata->partition_expr : "";
    *ret_done = r->state == REGION_WRITABLE && strcmp(now, expr) == 0;
    if (!*ret_done && r->state != REGION_STAGING)
        st = mito_region_wrong_state(r, "Leader(Staging)", err);
    else if (!*ret_done && !same_text(r->staging_expr, expr))
        st = error_set(err, ST_UNEXPECTED, "region %llu is staging for another partition expression", (unsigned long long)r->id);
    pthread_mutex_unlock(&r->lock);
    return st;
}

struct takeover {
    struct mito_region *region;
    struct added_files files;
};

static int prepare_takeover(void *ctx, const struct manifest *next, struct error *err)
{
    struct takeover *t = ctx;
    return mito_files_prepare_all(t->region, next, &t->files, err);
}

/* The region goes on with what the commit has made of its manifest. */
static void take_over(struct takeover *t)
{
    struct mito_region *r = t->region;
    const struct manifest *m = manifest_state(r->manifest);
    pthread_mutex_lock(&r->lock);
    mito_files_switch(r, &t->files);
    region_metadata_unref(r->metadata);
    r->metadata = region_metadata_ref(m->metadata);
    mito_drop_staging(r);
    mito_note_manifest(r);
    r->state = r->state == REGION_STAGING ? REGION_WRITABLE : r->state;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* job_lock held. */
static int apply(struct mito_region *r, const struct region_apply_request *request, struct error *err)
{
    char *dir;
    struct manifest blob = {.append_mode = -1};
    TRY(mito_sibling_dir(r->dir, r->id, request->central_region_id, &dir, err));
    int st = manifest_blob_get(r->engine->options.store, dir, request->manifest_path, &blob, err);
    free(dir);
    if (st == ST_OK && !same_text(blob.metadata->partition_expr, request->partition_expr))
        st = error_set(err, ST_UNEXPECTED, "the staged manifest of region %llu is for another partition expression", (unsigned long long)r->id);
    if (st == ST_OK) {
        struct manifest_edit edit = {.add = blob.files,
                                     .n_add = blob.n_files,
                                     .timestamp_ms = clock_wall_ms(),
                                     .has_committed_sequence = true,
                                     .committed_sequence = newest_sequence(&blob)};
        st = manifest_stage_edit(r->manifest, &edit, err);
    }
    struct takeover takeover = {.region = r};
    if (st == ST_OK)
        st = manifest_staging_commit(r->manifest, &(struct manifest_prepare){prepare_takeover, &takeover}, err);
    mito_note_doubt(r);
    manifest_release(&blob);
    if (st == ST_OK)
        take_over(&takeover);
    mito_files_forget(&takeover.files);
    return st;
}

int mito_region_apply_staging(struct mito_engine *e, const struct region_apply_request *request, struct error *err)
{
    struct mito_region *r;
    bool done = false;
    TRY(mito_region_get(e, request->region_id, &r, err));
    pthread_mutex_lock(&r->job_lock);
    int st = check_apply(r, request->partition_expr, &done, err);
    if (st == ST_OK && !done)
        st = apply(r, request, err);
    pthread_mutex_unlock(&r->job_lock);
    if (st == ST_OK && !done)
        log_info("mito", "region %llu now has the partition expression %.200s", (unsigned long long)r->id, request->partition_expr);
    mito_region_unref(r);
    return st;
}
