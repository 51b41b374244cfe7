/* Region options: what a create or open request's `map<string,string>` says (mito-engine.md section 2).
 *
 * The map itself is kept beside the parsed values: it is the durable form, and altering options edits it and parses it again.
 */
#ifndef ENGINE_MITO_OPTIONS_H
#define ENGINE_MITO_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "arrow/type.h"
#include "base/buffer.h"
#include "base/error.h"
#include "engine/mito/source.h"

enum ttl_kind { TTL_UNSET, TTL_FOREVER, TTL_INSTANT, TTL_DURATION };
enum wal_provider { WAL_PROVIDER_RAFT_ENGINE, WAL_PROVIDER_KAFKA, WAL_PROVIDER_NOOP };

/* Options of inverted indexes. */
struct sst_index_options {
    uint64_t segment_rows;   /* 0 = default */
    struct buffer *ignored;  /* ids (u32) of columns that get none; NULL = none */
};

struct region_options {
    enum ttl_kind ttl_kind;
    int64_t ttl_ms;                     /* TTL_DURATION */
    int append_mode;                    /* 0 or 1 */
    bool has_merge_mode;
    enum merge_mode merge_mode;         /* MERGE_LAST_ROW unless set */
    int sst_format;                     /* enum sst_format, -1 = not said */
    bool sparse_key;                    /* memtable.partition_tree.primary_key_encoding */
    bool compaction_override;
    int64_t trigger_file_num;           /* 0 = default */
    int64_t compaction_time_window_ms;  /* 0 = inferred */
    uint64_t max_output_file_bytes;     /* 0 = default */
    struct sst_index_options index;
    enum wal_provider wal_provider;
    char *storage;                      /* NULL = the default store */
    struct kv *kv; uint32_t n_kv;       /* the map, owned */
};

/* Parses the map. `opening`: merge_mode gives way to append_mode instead of being refused. ST_INVALID_ARGUMENTS names the option. */
int region_options_parse(const struct kv *kv, uint32_t n, bool opening, struct region_options *ret_options, struct error *err);
int region_options_copy(const struct region_options *o, struct region_options *ret_copy, struct error *err);
void region_options_release(struct region_options *o);

/* The map that parses to the same options; malloc'ed keys and values, freed with kv_list_free(). */
int region_options_to_kv(const struct region_options *o, struct kv **ret_kv, uint32_t *ret_n, struct error *err);

/* Applies set_table_options / unset_table_options of an AlterRequest (region-rpc.md 4.7). *ret_manifest_change: append_mode or sst_format differ now. */
int region_options_alter(const struct region_options *o, const uint8_t *alter_request, size_t size, struct region_options *ret_options,
                         bool *ret_manifest_change, struct error *err);

#endif
