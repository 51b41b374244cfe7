/* Compaction into strict windows, which a request asks for: all files of the region become one file a window, in one edit. */
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/mito/compact_internal.h"

enum { STRICT_WINDOWS_MAX = 4096 };

/* The windows of one compaction, by any number of threads; their outputs are gathered in `all`. */
struct strict_windows {
    struct compaction *all;
    struct compaction one; /* what a window's own compaction begins as */
    __int128 first, width;
    uint32_t n;
    _Atomic uint32_t next;
    pthread_mutex_t lock; /* guards what follows, and all->outputs */
    int st;
    struct error err;
};

/* Takes over what the window has given. */
static int gather_outputs(struct strict_windows *w, struct compaction *piece, struct error *err)
{
    struct compaction *all = w->all;
    pthread_mutex_lock(&w->lock);
    struct file_meta *grown = piece->n_outputs ? realloc(all->outputs, (all->n_outputs + piece->n_outputs) * sizeof *grown) : NULL;
    if (grown) {
        memcpy(grown + all->n_outputs, piece->outputs, piece->n_outputs * sizeof *grown);
        all->outputs = grown;
        all->n_outputs += piece->n_outputs;
    }
    pthread_mutex_unlock(&w->lock);
    if (piece->n_outputs && !grown) {
        compact_outputs_remove(piece);
        compact_outputs_release(piece);
        return error_no_memory(err, piece->n_outputs * sizeof *grown);
    }
    free(piece->outputs); /* their contents are in `all` */
    piece->outputs = NULL;
    piece->n_outputs = 0;
    return ST_OK;
}

/* The rows of one window out of all files that reach into it. */
static int write_window(struct strict_windows *w, struct compaction *piece, uint32_t i, struct error *err)
{
    const struct compaction *all = w->all;
    __int128 from = w->first + i * w->width, to = from + w->width - 1;
    piece->time_min = from < INT64_MIN ? INT64_MIN : (int64_t)from;
    piece->time_max = to > INT64_MAX ? INT64_MAX : (int64_t)to;
    piece->n_inputs = 0;
    for (uint32_t k = 0; k < all->n_inputs; k++)
        if (all->inputs[k]->meta.time_min <= piece->time_max && all->inputs[k]->meta.time_max >= piece->time_min)
            piece->inputs[piece->n_inputs++] = all->inputs[k];
    if (!piece->n_inputs)
        return ST_OK;
    TRY(compact_outputs_write(piece, err));
    return gather_outputs(w, piece, err);
}

static void strict_share(void *ctx, size_t share)
{
    struct strict_windows *w = ctx;
    struct compaction piece = w->one;
    struct error err = {.msg = ""};
    (void)share;
    piece.inputs = calloc(w->all->n_inputs, sizeof *piece.inputs);
    int st = piece.inputs ? ST_OK : error_no_memory(&err, w->all->n_inputs * sizeof *piece.inputs);
    for (uint32_t i; st == ST_OK && (i = atomic_fetch_add(&w->next, 1)) < w->n;)
        st = write_window(w, &piece, i, &err);
    if (st != ST_OK) {
        atomic_store(&w->next, w->n); /* the others need not go on */
        pthread_mutex_lock(&w->lock);
        w->err = w->st == ST_OK ? err : w->err;
        w->st = w->st == ST_OK ? st : w->st;
        pthread_mutex_unlock(&w->lock);
    }
    free(piece.inputs);
}

static int write_strict(struct compaction *all, uint32_t parallelism, struct error *err)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (uint32_t i = 0; i < all->n_inputs; i++) {
        const struct file_meta *m = &all->inputs[i]->meta;
        low = m->time_min < low ? m->time_min : low;
        high = m->time_max > high ? m->time_max : high;
    }
    __int128 width = (__int128)all->window_seconds * units_per_second(all->of->pick.unit);
    __int128 first = (low / width - (low % width < 0)) * width;
    if ((high - first) / width > STRICT_WINDOWS_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "a strict window of %lld s would cut region %llu into more than %d files",
                         (long long)all->window_seconds, (unsigned long long)all->of->region->id, STRICT_WINDOWS_MAX);
    struct strict_windows w = {.all = all, .one = *all, .first = first, .width = width, .n = (uint32_t)((high - first) / width) + 1};
    pthread_mutex_init(&w.lock, NULL);
    thread_pool_for(all->of->region->engine->compactions, parallelism < w.n ? parallelism : w.n, strict_share, &w);
    pthread_mutex_destroy(&w.lock);
    return w.st == ST_OK ? ST_OK : error_set(err, (enum status)w.st, "%s", w.err.msg);
}

int compact_strict(struct mito_region *r, int64_t seconds, uint32_t parallelism, struct error *err)
{
    struct compact_snapshot s = {0};
    struct pick_file *files = NULL;
    TRY(mito_check_room(r->engine, err));
    TRY(compact_snapshot_take(r, &s, err));
    int st = compact_describe_files(&s, &files, err);
    if (st == ST_OK && s.n_files) {
        struct compaction c = {.of = &s, .inputs = s.files, .n_inputs = s.n_files};
        c.window_seconds = seconds > 0                 ? seconds
                           : s.pick.window_seconds > 0 ? s.pick.window_seconds
                                                       : pick_infer_window(files, s.n_files, s.pick.unit);
        compact_count_request();
        st = compact_finish(&c, write_strict(&c, parallelism, err), err);
        compact_outputs_release(&c);
    }
    free(files);
    compact_snapshot_release(&s);
    return st;
}
