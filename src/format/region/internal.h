/* What the files of this folder share: columns under construction. */
#ifndef FORMAT_REGION_INTERNAL_H
#define FORMAT_REGION_INTERNAL_H

#include "format/json/json.h"
#include "format/proto/wire.h"
#include "format/region/metadata.h"

#define TYPE_MAX_DEPTH 32
#define META_MAX_COLUMNS 65536

/* A growing metadata: columns and key as column ids until meta_finish() resolves them. */
struct meta_builder {
    uint64_t region_id, schema_version;
    bool sparse_key;
    char *partition_expr;
    struct region_column *columns;
    uint32_t n_columns, room;
    uint32_t *key_ids;
    uint32_t n_key, key_room;
};

void meta_builder_release(struct meta_builder *b);
int meta_builder_copy(const struct region_metadata *m, struct meta_builder *ret_builder, struct error *err);
/* A zeroed column inserted at `at` (<= n_columns). */
int meta_builder_insert(struct meta_builder *b, uint32_t at, struct region_column **ret_column, struct error *err);
void meta_builder_remove(struct meta_builder *b, uint32_t at);
int meta_builder_add_key(struct meta_builder *b, uint32_t column_id, struct error *err);
int meta_builder_find(const struct meta_builder *b, const char *name);
/* Checks what every metadata must hold, builds fields and schema, and empties the builder on success. `create`: the stricter rules of a new region.
 * Failures carry `status`. */
int meta_finish(struct meta_builder *b, bool create, enum status status, struct region_metadata **ret_meta, struct error *err);

int column_copy(const struct region_column *c, struct region_column *ret_copy, struct error *err);
bool column_same(const struct region_column *a, const struct region_column *b);
const char *column_meta_get(const struct region_column *c, const char *key);
struct region_fulltext_options region_fulltext_read(const char *text); /* NULL: the defaults, not enabled */
int column_meta_set(struct region_column *c, const char *key, const char *value, size_t size, struct error *err);
void column_meta_remove(struct region_column *c, const char *key);
char *text_copy(const void *text, size_t size);

/* Fills the type members of *c from the type's JSON. ST_CORRUPT. */
int type_from_json(const struct json_value *v, struct region_column *c, struct error *err);
int32_t type_to_wire(const struct region_column *c);

/* Sets default_kind, default_json and default_value of a column that has its type. ST_CORRUPT when it does not fit. */
int default_from_json(const struct json_value *v, struct region_column *c, struct error *err);
int default_from_text(const char *text, size_t size, struct region_column *c, struct error *err);
void default_clear(struct region_column *c);
/* Rewrites c's default, which is of type `from`, for c's own type. ST_INVALID_ARGUMENTS when the value does not go. */
int default_cast(struct region_column *c, const struct dtype *from, struct error *err);
/* The JSON constraint for a SQL literal given as text (`quoted`: it stood in quotes). */
int default_from_literal(struct region_column *c, const char *text, size_t size, bool quoted, bool negative, struct error *err);
/* From a serialised SQL expression (set_defaults). */
int default_from_expr(struct region_column *c, const uint8_t *json, size_t size, struct error *err);
/* Whether Arrow casts between the types. */
bool type_can_cast(const struct dtype *from, const struct dtype *to);

/* One RegionColumnDef appended to the builder at `at`. */
int column_def_read(const uint8_t *def, size_t size, struct region_column *ret_column, struct error *err);
int alter_index(struct meta_builder *b, const uint8_t *message, size_t size, bool set, bool *ret_changed, struct error *err);

#endif
