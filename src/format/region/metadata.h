/* Region metadata: the columns of a region, its key, and their JSON and protobuf forms.
 *
 * Sources: region-rpc.md 3 and 5, mito-on-disk.md 2.7. Immutable once built and reference-counted: an ALTER makes a new one.
 */
#ifndef FORMAT_REGION_METADATA_H
#define FORMAT_REGION_METADATA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arrow/column.h"
#include "arrow/type.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"

enum semantic_type { SEMANTIC_TAG = 0, SEMANTIC_FIELD = 1, SEMANTIC_TIMESTAMP = 2 };

/* Greptime types that share an Arrow type with another. */
enum logical_kind { LOGICAL_PLAIN, LOGICAL_JSONB, LOGICAL_JSON_NATIVE, LOGICAL_VECTOR };

enum default_kind { DEFAULT_NONE, DEFAULT_FUNCTION, DEFAULT_VALUE };

struct region_column {
    uint32_t id;
    char *name;
    enum semantic_type semantic;
    struct dtype *type;          /* Arrow type of the values, no dictionary */
    enum logical_kind logical;
    uint32_t vector_dim;         /* LOGICAL_VECTOR */
    char *native_json;           /* LOGICAL_JSON_NATIVE: the JSON text of the "Native" member */
    char *type_json;             /* the type in the peer's canonical JSON: two types are equal when these are */
    int32_t wire_type;           /* ColumnDataType of row values (region-rpc.md 3.1); -1 = none. DATETIME (14) counts as 17 */
    bool nullable;
    bool is_time_index;          /* schema flag; the time index proper is semantic == SEMANTIC_TIMESTAMP */
    enum default_kind default_kind;
    char *default_json;          /* JSON text of the constraint as it stands in column_schema (region-rpc.md 5.4), NULL if none */
    struct column *default_value; /* DEFAULT_VALUE: a column of length 1 of `type` (maybe null) */
    uint32_t n_meta;
    struct kv *meta;             /* greptime:* and ARROW:extension:* keys */
    struct field *field;         /* Arrow field for query results: name, type, nullability and the metadata that a peer sends (region-rpc.md 7.9) */
};

struct region_metadata {
    _Atomic int refs;
    uint64_t region_id;
    uint64_t schema_version;
    bool sparse_key;              /* primary_key_encoding */
    char *partition_expr;         /* JSON text, "" = unpartitioned, NULL = unknown */
    uint32_t n_columns;
    struct region_column *columns; /* schema order */
    uint32_t n_key;
    uint32_t *key;                /* indexes into columns, in primary key order */
    uint32_t time_index;          /* index into columns */
    struct dict_map by_name;      /* column names to indexes; see region_metadata_find() */
    struct schema *schema;        /* the fields of all columns, with greptime:version = "0" as schema metadata */
};

struct region_metadata *region_metadata_ref(struct region_metadata *m);
void region_metadata_unref(struct region_metadata *m);

int region_metadata_find(const struct region_metadata *m, const char *name, size_t size); /* index or -1 */
int region_metadata_find_id(const struct region_metadata *m, uint32_t column_id);         /* index or -1 */

/* What a column's metadata says of its indexes; rates are false positives in 10000. */
struct region_fulltext_options { bool enable, chinese, case_sensitive, tantivy; uint64_t granularity, rate; };
struct region_index_options {
    bool inverted;
    bool skipping;                 /* as a Bloom filter */
    uint64_t skipping_granularity, skipping_rate;
    struct region_fulltext_options fulltext;
};
struct region_index_options region_index_options(const struct region_column *c);

/* Reads the RegionMetadata JSON text. ST_CORRUPT with the place of the fault. */
int region_metadata_from_json(const char *text, size_t size, struct region_metadata **ret_meta, struct error *err);
/* Compact JSON in the peer's key order, byte-equal to serde_json's. */
int region_metadata_to_json(const struct region_metadata *m, struct dynbuf *out, struct error *err);
/* The column list alone, as in the TABLE_COLUMN_METADATA extension. */
int region_columns_to_json(const struct region_metadata *m, struct dynbuf *out, struct error *err);
/* "primary_key":[ids] */
int region_key_to_json(const struct region_metadata *m, struct dynbuf *out, struct error *err);
/* One element of the column list. */
int region_column_to_json(const struct region_column *c, struct dynbuf *out, struct error *err);
struct json_value;
/* Such an element back into a zeroed column, which region_column_release() cleans up, also after a failure. ST_CORRUPT. */
int region_column_from_json(const struct json_value *v, struct region_column *ret_column, struct error *err);

/* Builds metadata from the wire: the body of a CreateRequest (region-rpc.md 4.3): column_defs, primary_key, partition, and the validation rules of 4.3.
 * A broken rule is named and has status `rule`; what is malformed by itself is ST_INVALID_ARGUMENTS. `rule` ST_OK: only what all metadata must hold counts, not
 * the rules of new regions (file engine). `sparse_key` comes from the region's options. */
int region_metadata_from_create(const uint8_t *create_request, size_t size, bool sparse_key, enum status rule, struct region_metadata **ret_meta, struct error *err);

/* The metadata after an AlterRequest's add_columns, drop_columns, modify_column_types, set/unset index(es), drop_defaults, set_defaults or sync_columns
 * (region-rpc.md 4.7), schema_version + 1; *ret_meta = NULL when nothing changes. set/unset_table_options are not handled here (ST_UNSUPPORTED). */
int region_metadata_alter(const struct region_metadata *m, const uint8_t *alter_request, size_t size, struct region_metadata **ret_meta, struct error *err);

/* Metadata of a table that has some of the columns: those at `indexes`, in that order; its tags are its key, in that order too. Dense, without partition
 * expression, schema version 0 (metric-engine.md 9). */
int region_metadata_project(const struct region_metadata *m, uint64_t region_id, const uint32_t *indexes, uint32_t n, struct region_metadata **ret_meta,
                            struct error *err);

/* The same metadata under another schema version; one reference, NULL = no memory. */
struct region_metadata *region_metadata_with_version(const struct region_metadata *m, uint64_t schema_version);

/* Type of a ColumnDataType and the bytes of its ColumnDataTypeExtension (NULL = none); fills type, logical, vector_dim, native_json, type_json and wire_type
 * of *ret_column, which the caller has zeroed and releases with region_column_release(). ST_INVALID_ARGUMENTS. */
int region_column_type_from_proto(int32_t datatype, const uint8_t *extension, size_t size, struct region_column *ret_column, struct error *err);
void region_column_release(struct region_column *c);

/* A value of the column's type from the JSON that defaults and partition expressions use ({"Int32":50}, "Null"): a column of length 1. ST_CORRUPT. */
struct json_value;
int region_value_from_json(const struct json_value *v, const struct region_column *c, struct column **ret_value, struct error *err);

/* Same columns (ids, names, types, nullability, defaults, metadata maps, semantics, order) and same key: the test of a repeated create. */
bool region_metadata_same_schema(const struct region_metadata *a, const struct region_metadata *b);

/* The version of a partition expression (region-rpc.md 11); 0 for NULL and "". */
uint64_t partition_expr_version(const char *expr);

#endif
