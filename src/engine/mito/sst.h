/* SST files: Parquet in the peer's layouts (mito-on-disk.md section 3), written from and read as row sources. */
#ifndef ENGINE_MITO_SST_H
#define ENGINE_MITO_SST_H

#include <stdatomic.h>

#include "engine/mito/manifest.h"
#include "engine/mito/options.h"
#include "engine/mito/source.h"
#include "engine/mito/sst_cache.h"
#include "os/thread.h"
#include "store/object_store.h"

enum { SST_ROW_GROUP_ROWS = 102400 };

/* Counts who uses a region's folder: its files, listed or still read, and the region. */
struct sst_folder { _Atomic int refs; };
struct sst_folder *sst_folder_new(void); /* NULL: no memory */
struct sst_folder *sst_folder_ref(struct sst_folder *f);
void sst_folder_unref(struct sst_folder *f); /* NULL is allowed, as above */

/* A live file: shared by the versions that list it and the scans that read it. When `deleted` is set and the last reference goes, the object (and its
 * index files) are removed from the store: readers keep what they hold. */
struct sst_file {
    _Atomic int refs;
    _Atomic bool deleted;
    struct file_meta meta;
    struct object_store *store;    /* borrowed; outlives all files */
    char *dir;                     /* region dir with a trailing slash */
    struct sst_folder *folder;     /* a reference; NULL = nobody counts */
    pthread_mutex_t lock;          /* guards `footer` */
    struct sst_footer *footer;     /* decoded Parquet footer: while somebody uses it, be it the cache */
    struct sst_caches *caches;     /* NULL = nothing is kept */
    uint64_t serial;               /* of this object, in caches */
    struct sst_file *newer, *older; /* guarded by the cache's lock, like cached_bytes */
    size_t cached_bytes;           /* 0 = the cache does not hold the footer */
    struct sst_file *successor;    /* the same file with another index: it goes after this one; a reference */
    bool index_outdated;           /* the index file of this one's version goes with it */
    _Atomic uint64_t kept_items;   /* items that the cache of decoded columns may have of it (sst_column.c) */
    _Atomic uint64_t kept_last_items; /* the same of that of newest rows */
    struct sst_file *next_held;    /* the engine's list of files that have left their manifest (gc.c) */
    _Atomic uint64_t index_tried;  /* 1 + version of a schema for which no more of an index could be built; 0 = none */
};

/* Takes over `meta`'s contents. One reference to the caller. */
int sst_file_new(struct object_store *store, const char *region_dir, struct file_meta *meta, struct sst_caches *caches, struct sst_file **ret_file,
                 struct error *err);
/* The same file under another `meta` (copied), which only differs in the index. */
int sst_file_reindexed(const struct sst_file *f, const struct file_meta *meta, struct sst_file **ret_file, struct error *err);
/* Puts `fresh` in the place of `f`: `f` keeps it alive for its own readers, and its index file goes with it when that is outdated. */
void sst_file_supersede(struct sst_file *f, struct sst_file *fresh, bool index_outdated);
struct sst_file *sst_file_ref(struct sst_file *f);
void sst_file_unref(struct sst_file *f);

/* Removes a file's data and its indexes of all versions from the store, as far as it can: what stays behind is an orphan, in no manifest. */
void sst_remove_objects(struct object_store *store, const char *dir, const struct file_meta *meta);
/* The same of the index alone, of the version that `meta` has. */
void sst_remove_index(struct object_store *store, const char *dir, const struct file_meta *meta);

struct sst_write_options {
    struct object_store *store;
    const char *region_dir;              /* with a trailing slash */
    struct region_metadata *metadata;    /* written into greptime:metadata; the source's columns are ALL its columns in order */
    enum sst_format format;
    uint8_t level;
    uint64_t sequence;                   /* every row's __sequence, and FileMeta.sequence */
    uint8_t indexes;                     /* kinds of indexes to write (enum sst_index_kind bits), for the columns that want them */
    struct sst_index_options index;      /* borrowed */
    uint64_t file_bytes_max;             /* start another file past this many; 0 = never */
    struct budget *budget;
    struct work_context *work;
};

/* Writes the rows of `source` (not freed) into one or more files. *ret_files is malloc'ed, each member to be released; none when the source is empty.
 * On failure nothing is left in the store. */
int sst_write(const struct sst_write_options *options, struct row_source *source, struct file_meta **ret_files, uint32_t *ret_n, struct error *err);

/* Reads a file through the region's current metadata: both layouts, both key encodings, added columns filled with their defaults, changed types cast, old dense keys
 * extended by newer tags (3.4), the all-zero sequence rule (3.2). Prunes row groups by statistics and pages by the page index; the request's bounds need not
 * be applied exactly. */
int sst_source_new(struct sst_file *file, const struct read_request *request, struct row_source **ret_source, struct error *err);

/* Whether the file may hold deletes; true when its statistics do not say. */
int sst_may_delete(struct sst_file *file, bool *ret_may, struct error *err);

/* Cuts what sst_source_new() has made, before its first row is read, into parts of whole row groups; none where it is no such source. */
int sst_source_cut(const struct row_source *whole, int64_t part_rows, struct source_part **ret_parts, uint32_t *ret_n, struct error *err);
/* Whether the file's keys are those of the region as they are: else it cannot be cut at keys. */
bool sst_source_has_keys(const struct row_source *whole);
/* The same at keys, for sources that are merged: some keys that come in it in ascending order, about one every `stride` rows, at most `room`... */
uint32_t sst_source_keys(const struct row_source *whole, int64_t stride, struct key_bytes *ret_keys, uint32_t room);
/* ... and the n + 1 parts between n ascending keys. */
void sst_source_cut_keys(const struct row_source *whole, const struct key_bytes *keys, uint32_t n, struct source_part *ret_parts);
/* One part as a source, for as long as `part` stays where it is. It borrows from the whole, which may have any number of parts in use, each by a thread of its own. */
int sst_source_part(const struct row_source *whole, const struct source_part *part, struct scan_stats *stats, struct row_source **ret_source,
                    struct error *err);

#endif
