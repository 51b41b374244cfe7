/* What is kept of SSTs between scans: decoded footers, the last used first, up to a number of bytes; what has been read of
 * index files; columns; and what the scans for newest rows found in them. */
#ifndef ENGINE_MITO_SST_CACHE_H
#define ENGINE_MITO_SST_CACHE_H

#include <pthread.h>

#include "base/cache.h"

struct sst_file;

struct sst_cache {
    pthread_mutex_t lock;            /* taken after a file's lock, or alone */
    struct budget *budget;           /* what footers are charged to, kept or not */
    size_t bytes_max, bytes;
    struct sst_file *newest, *oldest;
};

void sst_cache_init(struct sst_cache *c, struct budget *budget, size_t bytes_max);
void sst_cache_release(struct sst_cache *c); /* all files are gone */

struct sst_caches {
    struct sst_cache footers;
    struct cache *index_metadata; /* items: 0, the list of blobs with what they say of themselves */
    struct cache *index_content;  /* items: pages of index files, by number */
    size_t index_page_bytes;
    struct cache *columns;        /* items: decoded columns of row groups (sst_column.c) */
    struct cache *last_rows;      /* items: of row groups the last rows of their series (sst_column.c) */
};

struct sst_cache_sizes {
    size_t footers, index_metadata, index_content, index_page, columns, last_rows; /* bytes */
};

/* `footers` is the account of decoded footers, `root` that of the node. */
int sst_caches_init(struct sst_caches *c, struct budget *footers, struct budget *root, const struct sst_cache_sizes *sizes, struct error *err);
void sst_caches_release(struct sst_caches *c); /* all files are gone */

/* The caller holds a reference to the file, whose footer was found (hit) or has just been read; the cache is one of the footer's users from then on. */
void sst_cache_touch(struct sst_cache *c, struct sst_file *file, bool hit);
/* The file's last reference is gone: true when the cache had been a user of its footer. */
bool sst_cache_forget(struct sst_cache *c, struct sst_file *file);

#endif
