/* The ARROW:schema entry: a base64 Arrow IPC schema that says what Parquet cannot (zones, durations, views). It is a hint: it is taken only where the
 * bytes mean the same under its type, and a broken one is ignored. */
#include "format/parquet/internal.h"

#include "arrow/ipc.h"
#include "base/base64.h"
#include "base/bits.h"

struct schema *pq_arrow_schema_hint(const struct parquet_file *f)
{
    const char *text = parquet_kv(f, "ARROW:schema");
    struct schema *schema = NULL;
    uint8_t *bytes = text ? malloc(strlen(text) + 8) : NULL;
    int64_t decoded = bytes ? base64_decode(text, strlen(text), bytes) : 0;
    size_t size = decoded > 0 ? (size_t)decoded : 0, skip = 0;
    if (size >= 8)
        skip = load_le32(bytes) == UINT32_MAX ? 8 : 4; /* the encapsulation: with or without the continuation word */
    if (size > skip && ipc_decode_schema(bytes + skip, size - skip, &schema, NULL) != ST_OK)
        schema = NULL;
    free(bytes);
    return schema;
}

struct dtype *pq_hinted_type(const struct pq_node *node, struct dtype *type, struct dtype *hint)
{
    hint = (struct dtype *)type_values(hint);
    bool bare = node->logical == PQ_LOGICAL_NONE && node->converted == PQ_CONVERTED_NONE;
    if ((type_is_string(type) && type_is_string(hint)) || (type_is_binary(type) && type_is_varlen(hint)))
        return bare && type_is_string(hint) ? NULL : hint;
    if (type->id == TYPE_TIMESTAMP && hint->id == TYPE_TIMESTAMP)
        return type->unit == hint->unit && (type->timezone || node->physical == PQ_INT96) == (hint->timezone != NULL) ? hint : NULL;
    if (type->id == TYPE_INT64 && bare)
        return hint->id == TYPE_TIMESTAMP || hint->id == TYPE_DURATION || hint->id == TYPE_DATE64 ? hint : NULL;
    if (type->id == TYPE_INT32 && bare)
        return hint->id == TYPE_TIME32 ? hint : NULL;
    if (type->id == TYPE_FIXED_BINARY && node->converted == PQ_INTERVAL && type->width == 12)
        return hint->id == TYPE_INTERVAL_YEAR_MONTH || hint->id == TYPE_INTERVAL_DAY_TIME ? hint : NULL;
    if (type->id == TYPE_DECIMAL128 && hint->id == TYPE_DECIMAL256)
        return type->precision == hint->precision && type->scale == hint->scale ? hint : NULL;
    return NULL;
}
