/* The index file of an SST (mito-on-disk.md section 5): a Puffin file whose blobs say which rows may hold a value. An index only ever makes a scan
 * read less: one that is missing, damaged or of a kind that is not known costs time, never an answer. */
#ifndef ENGINE_MITO_SST_INDEX_H
#define ENGINE_MITO_SST_INDEX_H

#include "engine/mito/sst.h"
#include "format/puffin/puffin.h"

#define SST_BLOB_INVERTED         "greptime-inverted-index-v1"
#define SST_BLOB_BLOOM            "greptime-bloom-filter-v1-"      /* and the column id */
#define SST_BLOB_FULLTEXT_BLOOM   "greptime-fulltext-index-bloom-" /* and the column id */
#define SST_BLOB_FULLTEXT_TANTIVY "greptime-fulltext-index-v1-"    /* and the column id */

struct sst_index {
    struct object_reader *reader;
    struct arena arena; /* of the list of blobs, and for what is read of them */
    struct puffin_source source;
    struct puffin_file file;
};

/* Opens the index file that the file's metadata names. Closed with sst_index_close() when it succeeded. */
int sst_index_open(const struct sst_file *file, struct budget *budget, struct sst_index *ret_index, struct error *err);
void sst_index_close(struct sst_index *x);

#endif
