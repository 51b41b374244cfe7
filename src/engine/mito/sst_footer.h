/* What reading SSTs shares: the decoded footer of a file, pruning by its statistics, and fitting old files to the region's current schema. */
#ifndef ENGINE_MITO_SST_FOOTER_H
#define ENGINE_MITO_SST_FOOTER_H

#include "engine/mito/sst.h"
#include "format/parquet/parquet.h"

struct sst_footer {
    uint32_t users;                   /* guarded by the file's lock */
    struct parquet_file *parquet;
    struct region_metadata *metadata; /* of the time when the file was written; governs the file */
    int32_t *place;                   /* per metadata column: its top-level Parquet column, -1 = only in the key */
    uint32_t time, key, sequence, op; /* top-level Parquet columns */
    bool zero_sequence;               /* all sequences are zero: the file's own counts for every row */
    bool unique;                      /* one sequence, all puts: what a deduplicating writer leaves */
};

/* Where a wanted column of the region comes from. */
struct sst_column {
    const struct region_column *want;
    int32_t file_column;   /* index into the footer's metadata, -1 = the file has none: the default */
    int32_t key_position;  /* among the file's key columns, -1 = no tag */
};

/* The footer, read on first use and shared by all who use it at a time (the cache is one of them); given back with sst_footer_put(), the last of them
 * frees it. */
int sst_footer_get(struct sst_file *file, struct object_reader *reader, struct sst_footer **ret_footer, struct error *err);
void sst_footer_put(struct sst_file *file, struct sst_footer *f); /* NULL is allowed */
size_t sst_footer_bytes(const struct sst_footer *f); /* about what it takes in memory */

int sst_open_reader(const struct sst_file *file, struct object_reader **ret_reader, struct error *err);
struct parquet_source sst_parquet_source(struct object_reader *reader);

struct sst_column sst_find_column(const struct sst_footer *f, const struct region_metadata *region, uint32_t column);
/* Whether a row group may hold rows that the request wants. */
bool sst_may_match(const struct sst_footer *f, const struct read_request *q, uint32_t row_group);
/* The same for anything that has bounds, as a page: by one predicate, by the request's times. */
bool sst_bounds_may_match(const struct scan_predicate *p, const struct parquet_bounds *b, int64_t values, struct dtype *type);
bool sst_times_may_match(const struct read_request *q, const struct parquet_bounds *b);
/* By the bounds of the encoded keys, for the column that leads them (in sparse keys the table id) and stands in no Parquet column of its own. */
bool sst_key_bounds_may_match(const struct sst_footer *f, const struct sst_column *c, const struct scan_predicate *p, const struct parquet_bounds *key);
/* Whether the file's times and the request's are of one unit. */
bool sst_times_comparable(const struct sst_footer *f, const struct read_request *q);
/* Whether some time of the row group may lie outside of the request's. */
bool sst_times_cut(const struct sst_footer *f, const struct read_request *q, uint32_t row_group);
/* Whether rows that do not satisfy the predicate may be left out: not by a field, unless every row stands for itself. */
bool sst_usable(const struct sst_footer *f, const struct read_request *q, const struct scan_predicate *p);
/* min = max of an integer column that is at most 64 bits wide; false when the statistics do not say so. */
bool sst_constant(const struct sst_footer *f, uint32_t row_group, uint32_t column, uint64_t *ret_value);

/* `n` times the column's default, or null (zero where null is not allowed). */
int sst_default_column(struct budget *budget, const struct region_column *c, int64_t n, struct column **ret_column, struct error *err);
/* The values under another type: members of structs by name, the rest by mito_cast(); what does not fit becomes null. */
int sst_cast(struct budget *budget, const struct column *c, struct dtype *type, struct column **ret_column, struct error *err);
/* Values of a tag out of the encoded keys (a dictionary column). */
int sst_tag_from_key(struct budget *budget, const struct sst_footer *f, const struct sst_column *c, struct column *keys, struct column **ret_column,
                     struct error *err);
/* Keys with the defaults of the tags that the region has gained appended; replaces *keys. */
int sst_extend_keys(struct budget *budget, const struct sst_footer *f, const struct region_metadata *region, struct column **keys, struct error *err);
/* Dictionary(UInt32, Binary) of a Binary column, equal neighbours sharing a code; replaces *keys. */
int sst_key_dictionary(struct budget *budget, struct column **keys, struct error *err);

#endif
