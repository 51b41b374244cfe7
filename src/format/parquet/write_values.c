/* Arrow values into Parquet's physical types (mito-on-disk.md 3.6 gives the mapping), without nulls, into the leaf's scratch memory. */
#include "format/parquet/writer.h"

#include "base/bits.h"

/* Bytes that hold every decimal of that precision in two's complement. */
static uint32_t decimal_bytes(unsigned precision)
{
    /* 10^p needs p * log2(10) bits, and one for the sign. */
    return (uint32_t)((precision * 3.3219280948873626 + 1.0) / 8.0) + 1;
}

static void set(struct pqw_leaf *leaf, enum pq_physical physical, uint32_t width, enum pqw_order order)
{
    leaf->physical = physical;
    leaf->width = width;
    leaf->order = order;
    leaf->ordered_signed = order != PQW_NONE && order != PQW_BOOL && order != PQW_U32 && order != PQW_U64 && order != PQW_BYTES;
}

static void set_decimal(struct pqw_leaf *leaf, unsigned precision)
{
    if (precision >= 2 && precision <= 9)
        set(leaf, PQ_INT32, 4, PQW_I32);
    else if (precision <= 18)
        set(leaf, PQ_INT64, 8, PQW_I64);
    else
        set(leaf, PQ_FIXED, decimal_bytes(precision), PQW_BIG_ENDIAN);
}

int pqw_physical_of(const struct dtype *type, struct pqw_leaf *leaf, struct error *err)
{
    char name[128];
    switch ((enum type_id)type->id) {
    case TYPE_NULL: set(leaf, PQ_INT32, 4, PQW_NONE); return ST_OK;
    case TYPE_BOOL: set(leaf, PQ_BOOLEAN, 1, PQW_BOOL); return ST_OK;
    case TYPE_INT8: case TYPE_INT16: case TYPE_INT32: case TYPE_DATE32: case TYPE_TIME32: set(leaf, PQ_INT32, 4, PQW_I32); return ST_OK;
    case TYPE_UINT8: case TYPE_UINT16: case TYPE_UINT32: set(leaf, PQ_INT32, 4, PQW_U32); return ST_OK;
    case TYPE_INT64: case TYPE_TIMESTAMP: case TYPE_TIME64: case TYPE_DURATION: case TYPE_DATE64: set(leaf, PQ_INT64, 8, PQW_I64); return ST_OK;
    case TYPE_UINT64: set(leaf, PQ_INT64, 8, PQW_U64); return ST_OK;
    case TYPE_FLOAT16: set(leaf, PQ_FIXED, 2, PQW_F16); return ST_OK;
    case TYPE_FLOAT32: set(leaf, PQ_FLOAT, 4, PQW_F32); return ST_OK;
    case TYPE_FLOAT64: set(leaf, PQ_DOUBLE, 8, PQW_F64); return ST_OK;
    case TYPE_UTF8: case TYPE_LARGE_UTF8: case TYPE_UTF8_VIEW: case TYPE_BINARY: case TYPE_LARGE_BINARY: case TYPE_BINARY_VIEW:
        set(leaf, PQ_BYTE_ARRAY, 0, PQW_BYTES);
        return ST_OK;
    case TYPE_FIXED_BINARY:
        if (type->width <= 0)
            break;
        set(leaf, PQ_FIXED, (uint32_t)type->width, PQW_BYTES);
        return ST_OK;
    case TYPE_INTERVAL_YEAR_MONTH: case TYPE_INTERVAL_DAY_TIME: set(leaf, PQ_FIXED, 12, PQW_NONE); return ST_OK;
    case TYPE_DECIMAL128: case TYPE_DECIMAL256: set_decimal(leaf, type->precision); return ST_OK;
    default: break;
    }
    return error_set(err, ST_UNSUPPORTED, "parquet: columns of type %s cannot be written", type_print(type, name, sizeof name));
}

/* One value; `from` is in Arrow's layout. The rare types. */
static void odd_value(const struct pqw_leaf *leaf, const uint8_t *from, uint8_t *to)
{
    uint32_t width = (uint32_t)type_width(leaf->type);
    switch ((enum type_id)leaf->type->id) {
    case TYPE_INTERVAL_YEAR_MONTH:
        memset(to, 0, 12);
        memcpy(to, from, 4);
        break;
    case TYPE_INTERVAL_DAY_TIME:
        memset(to, 0, 4);
        memcpy(to + 4, from, 8);
        break;
    case TYPE_DECIMAL128: case TYPE_DECIMAL256:
        if (leaf->physical != PQ_FIXED) {
            memcpy(to, from, leaf->width);
            break;
        }
        for (uint32_t i = 0; i < leaf->width; i++)
            to[leaf->width - 1 - i] = i < width ? from[i] : from[width - 1] & 0x80 ? 0xff : 0;
        break;
    default:
        memcpy(to, from, leaf->width);
    }
}

#define COPY_AS(from_type, to_type)                                                                                                                  \
    do {                                                                                                                                             \
        const from_type *v = COLUMN_VALUES(c, from_type) + run->start;                                                                               \
        to_type *out = (to_type *)(void *)to;                                                                                                        \
        for (int64_t i = 0; i < run->n; i++)                                                                                                         \
            if (!valid || bit_get(valid, at + i))                                                                                                    \
                out[n++] = (to_type)v[i];                                                                                                            \
    } while (0)

static size_t extract_fixed(struct pqw_leaf *leaf, const struct pqw_run *run, const uint8_t *valid, uint8_t *to)
{
    const struct column *c = run->column;
    int64_t at = c->offset + run->start;
    uint32_t width = (uint32_t)type_width(leaf->type);
    size_t n = 0;
    switch ((enum type_id)leaf->type->id) {
    case TYPE_BOOL:
        for (int64_t i = 0; i < run->n; i++)
            if (!valid || bit_get(valid, at + i))
                to[n++] = column_bool(c, run->start + i);
        return n;
    case TYPE_INT8: COPY_AS(int8_t, int32_t); return n;
    case TYPE_INT16: COPY_AS(int16_t, int32_t); return n;
    case TYPE_UINT8: COPY_AS(uint8_t, uint32_t); return n;
    case TYPE_UINT16: COPY_AS(uint16_t, uint32_t); return n;
    default: break;
    }
    const uint8_t *from = c->buffers[0]->data + (size_t)at * width;
    bool same = leaf->width == width && leaf->type->id != TYPE_DECIMAL128 && leaf->type->id != TYPE_DECIMAL256;
    if (same && !valid) { /* an odd width: others are not copied at all */
        memcpy(to, from, (size_t)run->n * width);
        return (size_t)run->n;
    }
    if (same && width == 8) {
        COPY_AS(uint64_t, uint64_t);
    } else if (same && width == 4) {
        COPY_AS(uint32_t, uint32_t);
    } else {
        for (int64_t i = 0; i < run->n; i++)
            if (!valid || bit_get(valid, at + i))
                odd_value(leaf, from + (size_t)i * width, to + n++ * leaf->width);
    }
    return n;
}

static size_t extract_slices(const struct pqw_run *run, const uint8_t *valid, struct pq_slice *to)
{
    const struct column *c = run->column;
    int64_t at = c->offset + run->start;
    size_t n = 0;
    for (int64_t i = 0; i < run->n; i++) {
        int32_t size;
        if (valid && !bit_get(valid, at + i))
            continue;
        to[n].data = column_bytes(c, run->start + i, &size);
        to[n++].size = (uint32_t)size;
    }
    return n;
}

/* Where the run's values stand in the column as the file wants them; NULL when they do not. */
static const uint8_t *stored_alike(const struct pqw_leaf *leaf, const struct pqw_run *run)
{
    const struct column *c = run->column;
    uint32_t width = (uint32_t)type_width(leaf->type);
    bool same = leaf->width == width && (width == 4 || width == 8) && leaf->type->id != TYPE_DECIMAL128 && leaf->type->id != TYPE_DECIMAL256;
    return same && !c->validity ? c->buffers[0]->data + (size_t)(c->offset + run->start) * width : NULL;
}

int pqw_extract(struct pqw_leaf *leaf, const struct pqw_run *run, size_t *ret_n, const uint8_t **ret_values, struct error *err)
{
    const uint8_t *valid = run->column->validity ? run->column->validity->data : NULL;
    *ret_n = 0;
    if (leaf->type->id == TYPE_NULL || run->n == 0)
        return ST_OK;
    if (leaf->physical == PQ_BYTE_ARRAY) {
        TRY(pq_buf_fit(&leaf->slices, (size_t)run->n * sizeof(struct pq_slice), err));
        *ret_n = extract_slices(run, valid, (struct pq_slice *)(void *)leaf->slices.data);
    } else if ((*ret_values = stored_alike(leaf, run))) {
        *ret_n = (size_t)run->n;
    } else {
        TRY(pq_buf_fit(&leaf->scratch, (size_t)run->n * leaf->width, err));
        *ret_n = extract_fixed(leaf, run, valid, leaf->scratch.data);
        *ret_values = leaf->scratch.data;
    }
    return ST_OK;
}
