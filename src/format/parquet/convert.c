/* Values of the physical types into Arrow's layouts: narrowing, INT96 instants, decimals of every storage, intervals. */
#include "format/parquet/internal.h"

#include "base/bits.h"

uint32_t pq_physical_width(const struct parquet_leaf *leaf)
{
    static const uint8_t widths[] = {1, 4, 8, 12, 4, 8, 0};
    return leaf->physical_type == PQ_FIXED ? (uint32_t)leaf->type_length : widths[leaf->physical_type];
}

static bool is_decimal(const struct dtype *t)
{
    return t->id == TYPE_DECIMAL128 || t->id == TYPE_DECIMAL256;
}

enum pq_conversion pq_conversion_of(const struct parquet_leaf *leaf, const struct dtype *type)
{
    int32_t width = type_width(type);
    if (type->id == TYPE_NULL)
        return PQ_CONVERT_NULL;
    switch ((enum pq_physical)leaf->physical_type) {
    case PQ_BOOLEAN:
        return type->id == TYPE_BOOL ? PQ_CONVERT_BOOL : PQ_CONVERT_NONE;
    case PQ_INT32:
        if (is_decimal(type))
            return PQ_CONVERT_WIDEN;
        if (type_is_float(type) || type->id == TYPE_FIXED_BINARY || type->id == TYPE_DICTIONARY)
            return PQ_CONVERT_NONE;
        return width == 4 ? PQ_CONVERT_COPY : width == 1 || width == 2 ? PQ_CONVERT_NARROW : PQ_CONVERT_NONE;
    case PQ_INT64:
        if (is_decimal(type))
            return PQ_CONVERT_WIDEN;
        return width == 8 && !type_is_float(type) && type->id != TYPE_FIXED_BINARY ? PQ_CONVERT_COPY : PQ_CONVERT_NONE;
    case PQ_INT96:
        return type->id == TYPE_TIMESTAMP && type->unit == UNIT_NANO ? PQ_CONVERT_INT96 : PQ_CONVERT_NONE;
    case PQ_FLOAT:
        return type->id == TYPE_FLOAT32 ? PQ_CONVERT_COPY : PQ_CONVERT_NONE;
    case PQ_DOUBLE:
        return type->id == TYPE_FLOAT64 ? PQ_CONVERT_COPY : PQ_CONVERT_NONE;
    case PQ_BYTE_ARRAY:
        return is_decimal(type) ? PQ_CONVERT_DECIMAL_BYTES : type_is_varlen(type) ? PQ_CONVERT_BYTES : PQ_CONVERT_NONE;
    case PQ_FIXED:
        if (is_decimal(type))
            return PQ_CONVERT_BIG_ENDIAN;
        if (leaf->type_length == 12 && type->id == TYPE_INTERVAL_YEAR_MONTH)
            return PQ_CONVERT_MONTHS;
        if (leaf->type_length == 12 && type->id == TYPE_INTERVAL_DAY_TIME)
            return PQ_CONVERT_DAY_TIME;
        return width == leaf->type_length && (type->id == TYPE_FIXED_BINARY || type->id == TYPE_FLOAT16) ? PQ_CONVERT_COPY : PQ_CONVERT_NONE;
    }
    return PQ_CONVERT_NONE;
}

/* Big-endian two's complement of any length; false when it does not fit. */
static bool from_big_endian(const uint8_t *src, uint32_t size, uint8_t *dst, uint32_t width)
{
    uint8_t sign = size && src[0] & 0x80 ? 0xff : 0;
    bool fits = true;
    for (; size > width; size--, src++)
        fits = fits && *src == sign;
    if (size == width && size && (src[0] & 0x80) != (sign & 0x80))
        fits = false;
    for (uint32_t i = 0; i < width; i++)
        dst[i] = i < size ? src[size - 1 - i] : sign;
    return fits;
}

bool pq_convert_decimal_slices(const struct pq_slice *src, uint8_t *dst, uint32_t dst_width, size_t n)
{
    bool fits = true;
    for (size_t i = 0; i < n; i++, dst += dst_width)
        fits = from_big_endian(src[i].data, src[i].size, dst, dst_width) && fits;
    return fits;
}

static void widen(const uint8_t *src, uint32_t src_width, uint8_t *dst, uint32_t dst_width, size_t n)
{
    for (size_t i = 0; i < n; i++, src += src_width, dst += dst_width) {
        int64_t v = src_width == 4 ? (int32_t)load_le32(src) : (int64_t)load_le64(src);
        memset(dst + 8, v < 0 ? 0xff : 0, dst_width - 8);
        store_le64(dst, (uint64_t)v);
    }
}

/* Nanoseconds of the day, then the Julian day; instants outside of the range of int64 wrap around, as everywhere. */
static void int96(const uint8_t *src, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i++, src += 12, dst += 8) {
        uint64_t days = (uint64_t)load_le32(src + 8) - 2440588;
        store_le64(dst, days * 86400000000000u + load_le64(src));
    }
}

void pq_convert_fixed(enum pq_conversion how, const uint8_t *src, uint32_t src_width, uint8_t *dst, uint32_t dst_width, size_t n)
{
    switch (how) {
    case PQ_CONVERT_COPY: case PQ_CONVERT_BOOL:
        if (n)
            memcpy(dst, src, n * dst_width);
        break;
    case PQ_CONVERT_NARROW:
        if (dst_width == 1)
            for (size_t i = 0; i < n; i++)
                dst[i] = src[i * 4];
        else
            for (size_t i = 0; i < n; i++)
                store_le16(dst + i * 2, load_le16(src + i * 4));
        break;
    case PQ_CONVERT_INT96:
        int96(src, dst, n);
        break;
    case PQ_CONVERT_WIDEN:
        widen(src, src_width, dst, dst_width, n);
        break;
    case PQ_CONVERT_BIG_ENDIAN:
        for (size_t i = 0; i < n; i++)
            from_big_endian(src + i * src_width, src_width, dst + i * dst_width, dst_width);
        break;
    case PQ_CONVERT_MONTHS:
        for (size_t i = 0; i < n; i++)
            memcpy(dst + i * 4, src + i * 12, 4);
        break;
    case PQ_CONVERT_DAY_TIME:
        for (size_t i = 0; i < n; i++)
            memcpy(dst + i * 8, src + i * 12 + 4, 8);
        break;
    default:
        break;
    }
}
