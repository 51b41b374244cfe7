/* The index file of an SST (mito-on-disk.md section 5): a Puffin file whose blobs say which rows may hold a value. An index only ever makes a scan
 * read less: one that is missing, damaged or of a kind that is not known costs time, never an answer. */
#ifndef ENGINE_MITO_SST_INDEX_H
#define ENGINE_MITO_SST_INDEX_H

#include "engine/mito/sst.h"
#include "format/index/bloom.h"
#include "format/index/inverted.h"
#include "format/puffin/puffin.h"

#define SST_BLOB_INVERTED         "greptime-inverted-index-v1"
#define SST_BLOB_BLOOM            "greptime-bloom-filter-v1-"      /* and the column id */
#define SST_BLOB_FULLTEXT_BLOOM   "greptime-fulltext-index-bloom-" /* and the column id */
#define SST_BLOB_FULLTEXT_TANTIVY "greptime-fulltext-index-v1-"    /* and the column id */

struct sst_index_list;

struct sst_index { /* an index file in use */
    const struct sst_file *sst;
    struct object_reader *reader;  /* NULL until something is read that the caches do not have */
    struct arena arena;            /* of this use */
    struct puffin_source source;   /* its contents, through the cache */
    struct sst_index_list *list;   /* shared */
    struct puffin_file file;       /* its blobs, in the list */
};

/* Opens the index file that the file's metadata names. Closed with sst_index_close() when it succeeded. */
int sst_index_open(const struct sst_file *file, struct budget *budget, struct sst_index *ret_index, struct error *err);
void sst_index_close(struct sst_index *x);

/* A blob of that kind, one of x->file, and what it says of itself. ST_CORRUPT when it is malformed. */
int sst_index_bloom(const struct sst_index *x, const struct puffin_blob *b, struct puffin_source *ret_blob, const struct bloom_index **ret_bloom,
                    struct error *err);
int sst_index_inverted(const struct sst_index *x, const struct puffin_blob *b, struct puffin_source *ret_blob,
                       const struct inverted_index **ret_inverted, struct error *err);

/* The bytes by which indexes know value i, not null, of a column that is no dictionary; they are the column's or lie in `scratch`. ST_UNSUPPORTED for
 * types that cannot be in a key. */
int sst_index_value(const struct column *values, int64_t i, struct dynbuf *scratch, const uint8_t **ret_data, size_t *ret_size, struct error *err);

/* What the blob of a full-text index says of its words. */
#define SST_WORDS_PROPERTY        "fulltext_config"
#define SST_WORDS_LOWER           "{\"analyzer\":\"English\",\"case_sensitive\":false}"
#define SST_WORDS_EXACT           "{\"analyzer\":\"English\",\"case_sensitive\":true}"

/* The hash by which a full-text index knows a word of a text (token_next()). ST_UNSUPPORTED when that is not known here. */
int sst_index_word(const uint8_t *word, size_t size, bool case_sensitive, struct dynbuf *scratch, uint64_t *ret_hash, struct error *err);

/* ---- reading ---- */

struct sst_footer;
struct row_selection;

/* Leaves out of `rows`, rows of the whole file, what the indexes that the request allows rule out. */
void sst_index_select(const struct sst_file *file, const struct sst_footer *f, const struct read_request *q, struct row_selection *rows);

/* ---- writing ---- */

struct sst_indexer;

/* Kinds of index (enum sst_index_kind bits) that files have of such a column. */
uint8_t sst_indexer_wanted(const struct region_column *c, const struct sst_index_options *options);
/* For a new file with these options; *ret_indexer = NULL when none of its columns wants an index. */
int sst_indexer_new(const struct sst_write_options *o, struct sst_indexer **ret_indexer, struct error *err);
void sst_indexer_free(struct sst_indexer *x); /* NULL is allowed */
/* Leaves out a column, and with one of the inverted index all of that. */
void sst_indexer_leave_out(struct sst_indexer *x, uint32_t column);
/* The file's next rows. */
void sst_indexer_add(struct sst_indexer *x, const struct row_batch *b);
/* Writes the index file of the SST `meta`, of its index_version, and fills in what meta says of it. On failure neither is there. */
int sst_indexer_finish(struct sst_indexer *x, struct file_meta *meta, struct error *err);

#endif
