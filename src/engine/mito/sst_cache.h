/* Keeps decoded footers of SSTs between scans, the last used first, up to a number of bytes. */
#ifndef ENGINE_MITO_SST_CACHE_H
#define ENGINE_MITO_SST_CACHE_H

#include <pthread.h>

#include "base/budget.h"

struct sst_file;

struct sst_cache {
    pthread_mutex_t lock;            /* taken after a file's lock, or alone */
    struct budget *budget;           /* what footers are charged to, kept or not */
    size_t bytes_max, bytes;
    struct sst_file *newest, *oldest;
};

void sst_cache_init(struct sst_cache *c, struct budget *budget, size_t bytes_max);
void sst_cache_release(struct sst_cache *c); /* all files are gone */

/* The caller holds a reference to the file, whose footer was found (hit) or has just been read; the cache is one of the footer's users from then on. */
void sst_cache_touch(struct sst_cache *c, struct sst_file *file, bool hit);
/* The file's last reference is gone: true when the cache had been a user of its footer. */
bool sst_cache_forget(struct sst_cache *c, struct sst_file *file);

#endif
