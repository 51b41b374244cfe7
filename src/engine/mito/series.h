/* The series dictionary of a memtable: primary keys to dense ids.
 *
 * A write names a series by the wire bytes of its tags (rows.h); a first map takes those bytes to an id without decoding anything. Bytes seen for the
 * first time are decoded and encoded as the memcomparable key, which a second map makes unique. Rows of logical tables (metric engine) name their series by
 * table, label columns and label bytes; writes that bring whole keys use the second map only. Scans take a snapshot in which ids are ranked by key,
 * so that they sort rows by comparing integers.
 */
#ifndef ENGINE_MITO_SERIES_H
#define ENGINE_MITO_SERIES_H

#include <stdint.h>

#include "arrow/column.h"
#include "base/error.h"
#include "format/rows/rows.h"

struct series_table;
struct series_snapshot;

int series_table_new(struct region_metadata *metadata, struct budget *budget, struct series_table **ret_table, struct error *err);
void series_table_free(struct series_table *t);

/* Ids of the rows of a write, new series added. Thread-safe. ret_ids has w->n_rows elements. Scratch in `w` is written to. */
int series_table_resolve(struct series_table *t, struct row_write *w, uint32_t *ret_ids, struct error *err);

/* The keys of n series; their bytes live as long as the table. Thread-safe. */
void series_table_keys(struct series_table *t, const uint32_t *ids, int64_t n, struct key_span *ret_keys);

/* Of all keys together; a snapshot of more than 2 GiB fails. Thread-safe. */
size_t series_table_key_bytes(struct series_table *t);

/* A snapshot of all series known now; shared and cached until a series is added. One reference to the caller. Thread-safe. */
int series_table_snapshot(struct series_table *t, struct series_snapshot **ret_snapshot, struct error *err);
void series_snapshot_unref(struct series_snapshot *s);

uint32_t series_snapshot_count(const struct series_snapshot *s);
const uint32_t *series_snapshot_ranks(const struct series_snapshot *s);   /* id -> rank */
struct column *series_snapshot_keys(const struct series_snapshot *s);     /* Binary, by rank; borrowed */
/* Values of the k-th key column by rank, in the column's type; borrowed, decoded on first use. Thread-safe. */
int series_snapshot_tag(struct series_snapshot *s, uint32_t k, struct column **ret_tag, struct error *err);

#endif
