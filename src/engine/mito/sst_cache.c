/* The footer cache: a list of files in order of use. What falls off its end is given back like any other user would (sst_footer_put), outside of the
 * lock. */
#include "engine/mito/sst_cache.h"

#include "base/metrics.h"
#include "engine/mito/sst_footer.h"

static struct metric_family hits = {.name = "greptime_mito_cache_hit", .help = "mito cache hit", .kind = METRIC_COUNTER, .label_names = {"type"}};
static struct metric_family misses = {.name = "greptime_mito_cache_miss", .help = "mito cache miss", .kind = METRIC_COUNTER, .label_names = {"type"}};
static struct metric_family bytes = {.name = "greptime_mito_cache_bytes", .help = "mito cache bytes", .kind = METRIC_GAUGE, .label_names = {"type"}};
static const char *const footers[] = {"sst_meta"};

enum { INDEX_PAGE_BYTES_MIN = 4096, INDEX_PAGE_BYTES_MAX = 1 << 20 };

void sst_cache_init(struct sst_cache *c, struct budget *budget, size_t bytes_max)
{
    *c = (struct sst_cache){.budget = budget, .bytes_max = bytes_max};
    pthread_mutex_init(&c->lock, NULL);
    metric_add(metric_child(&hits, footers), 0);
    metric_add(metric_child(&misses, footers), 0);
    metric_set(metric_child(&bytes, footers), 0);
}

void sst_cache_release(struct sst_cache *c)
{
    pthread_mutex_destroy(&c->lock);
}

static void unlink_file(struct sst_cache *c, struct sst_file *f)
{
    *(f->newer ? &f->newer->older : &c->newest) = f->older;
    *(f->older ? &f->older->newer : &c->oldest) = f->newer;
    f->newer = f->older = NULL;
}

static void link_file(struct sst_cache *c, struct sst_file *f)
{
    f->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = f;
    c->newest = f;
}

static void count(struct sst_cache *c, size_t added, size_t removed)
{
    c->bytes += added - removed;
    metric_set(metric_child(&bytes, footers), (int64_t)c->bytes);
}

/* Takes the least recently used file out, with a reference, when there are too many bytes. A file whose last reference is just going is left to its
 * owner. */
static struct sst_file *take_victim(struct sst_cache *c)
{
    struct sst_file *f = c->bytes > c->bytes_max ? c->oldest : NULL;
    for (; f; f = f->newer) {
        int refs = atomic_load(&f->refs);
        while (refs > 0 && !atomic_compare_exchange_weak(&f->refs, &refs, refs + 1))
            ;
        if (refs == 0)
            continue;
        unlink_file(c, f);
        count(c, 0, f->cached_bytes);
        f->cached_bytes = 0;
        return f;
    }
    return NULL;
}

void sst_cache_touch(struct sst_cache *c, struct sst_file *file, bool hit)
{
    struct sst_file *victim;
    metric_add(metric_child(hit ? &hits : &misses, footers), 1);
    pthread_mutex_lock(&file->lock);
    pthread_mutex_lock(&c->lock);
    if (file->cached_bytes) {
        unlink_file(c, file);
        link_file(c, file);
    } else {
        file->footer->users++;
        file->cached_bytes = sst_footer_bytes(file->footer);
        count(c, file->cached_bytes, 0);
        link_file(c, file);
    }
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_unlock(&file->lock);
    for (;;) {
        pthread_mutex_lock(&c->lock);
        victim = take_victim(c);
        pthread_mutex_unlock(&c->lock);
        if (!victim)
            return;
        sst_footer_put(victim, victim->footer);
        sst_file_unref(victim);
    }
}

bool sst_cache_forget(struct sst_cache *c, struct sst_file *file)
{
    pthread_mutex_lock(&c->lock);
    bool kept = file->cached_bytes > 0;
    if (kept) {
        unlink_file(c, file);
        count(c, 0, file->cached_bytes);
        file->cached_bytes = 0;
    }
    pthread_mutex_unlock(&c->lock);
    return kept;
}

/* ---- all of them ---- */

static int new_cache(const char *label, const char *name, const char *knob, struct budget *root, size_t bytes_max, struct cache **ret_cache,
                     struct error *err)
{
    const char *const labels[] = {label, NULL};
    struct cache_options o = {.name = name, .knob = knob, .parent = root, .bytes_max = bytes_max, .hits = metric_child(&hits, labels),
                              .misses = metric_child(&misses, labels), .bytes = metric_child(&bytes, labels)};
    return cache_new(&o, ret_cache, err);
}

int sst_caches_init(struct sst_caches *c, struct budget *footers_budget, struct budget *root, const struct sst_cache_sizes *sizes, struct error *err)
{
    *c = (struct sst_caches){.index_page_bytes = sizes->index_page < INDEX_PAGE_BYTES_MIN   ? INDEX_PAGE_BYTES_MIN
                                                 : sizes->index_page > INDEX_PAGE_BYTES_MAX ? INDEX_PAGE_BYTES_MAX
                                                                                            : sizes->index_page};
    TRY(new_cache("index_metadata", "index metadata", "memory_limit or region_engine.mito.index.metadata_cache_size", root, sizes->index_metadata,
                  &c->index_metadata, err));
    int st = new_cache("page", "decoded columns", "memory_limit or region_engine.mito.page_cache_size", root, sizes->columns, &c->columns, err);
    if (st == ST_OK)
        st = new_cache("index_content", "index contents", "memory_limit or region_engine.mito.index.content_cache_size", root, sizes->index_content,
                       &c->index_content, err);
    if (st == ST_OK)
        st = new_cache("selector_result", "newest rows", "memory_limit or region_engine.mito.selector_result_cache_size", root, sizes->last_rows,
                       &c->last_rows, err);
    if (st == ST_OK) {
        sst_cache_init(&c->footers, footers_budget, sizes->footers);
        return ST_OK;
    }
    cache_free(c->index_metadata);
    cache_free(c->index_content);
    cache_free(c->columns);
    return st;
}

void sst_caches_release(struct sst_caches *c)
{
    cache_free(c->index_metadata);
    cache_free(c->index_content);
    cache_free(c->columns);
    cache_free(c->last_rows);
    sst_cache_release(&c->footers);
}
