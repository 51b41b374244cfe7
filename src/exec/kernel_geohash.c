/* geohash and its neighbours (functions.md 1.17). A hash interleaves the bits of longitude and latitude, five to a letter. */
#include <math.h>
#include <string.h>

#include "exec/kernel_list.h"
#include "exec/kernel_typed.h"

enum { LENGTH_MAX = 12, NEIGHBOURS = 8 };

static const char letters[] = "0123456789bcdefghjkmnpqrstuvwxyz";

struct place {
    double lat, lon;
};

/* Every second bit of the result, from the lowest on. */
static uint64_t spread(uint32_t v)
{
    uint64_t x = v;
    x = (x | x << 16) & 0x0000ffff0000ffffu;
    x = (x | x << 8) & 0x00ff00ff00ff00ffu;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;
    x = (x | x << 2) & 0x3333333333333333u;
    return (x | x << 1) & 0x5555555555555555u;
}

/* The first 32 bits behind the point of (v / range + 0.5), as they stand in a double between 1 and 2: the peer's rounding. */
static uint32_t fraction(double v, double per_range)
{
    double shifted = v * per_range + 1.5;
    uint64_t bits;
    memcpy(&bits, &shifted, 8);
    return (uint32_t)(bits >> 20);
}

static void encode(struct place p, int length, char *out)
{
    uint64_t bits = spread(fraction(p.lat, 0.005555555555555556)) | spread(fraction(p.lon, 0.002777777777777778)) << 1;
    for (int i = 0; i < length; i++, bits <<= 5)
        out[i] = letters[bits >> 59];
}

/* The middle of the cell and its half height and width. */
static struct place decode(const char *hash, int length, struct place *ret_half)
{
    double low[2] = {-180, -90}, high[2] = {180, 90};
    for (int bit = 0; bit < length * 5; bit++) {
        int axis = bit & 1;
        unsigned code = (unsigned)(strchr(letters, hash[bit / 5]) - letters);
        double middle = (low[axis] + high[axis]) / 2;
        if (code >> (4 - bit % 5) & 1)
            low[axis] = middle;
        else
            high[axis] = middle;
    }
    *ret_half = (struct place){(high[1] - low[1]) / 2, (high[0] - low[0]) / 2};
    return (struct place){(low[1] + high[1]) / 2, (low[0] + high[0]) / 2};
}

static double wrap(double v, double range)
{
    double rest = fmod(v + range / 2, range);
    return (rest < 0 ? rest + range : rest) - range / 2;
}

static int read_place(const struct value *args, int64_t row, struct place *ret_place, int *ret_length, struct error *err)
{
    int64_t length = value_int64(&args[2], row);
    *ret_place = (struct place){value_double(&args[0], row), value_double(&args[1], row)};
    if (length < 1 || length > LENGTH_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "Invalid geohash resolution %lld, expect value: [1, 12]", (long long)length);
    if (!(ret_place->lat >= -90 && ret_place->lat <= 90 && ret_place->lon >= -180 && ret_place->lon <= 180))
        return error_set(err, ST_EXECUTE_QUERY, "Geohash error: invalid coordinate range: %g, %g", ret_place->lat, ret_place->lon);
    *ret_length = (int)length;
    return ST_OK;
}

static int geohash_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    struct place p;
    int length;
    char hash[LENGTH_MAX];
    (void)ret_null;
    TRY(read_place(c->args, row, &p, &length, err));
    encode(p, length, hash);
    return text_writer_put(w, hash, (size_t)length, err);
}

static int bind_neighbours(struct expr *e, struct error *err)
{
    TRY(expr_bind_cast(e, 0, type_of(TYPE_FLOAT64), err));
    TRY(expr_bind_cast(e, 1, type_of(TYPE_FLOAT64), err));
    TRY(expr_bind_cast(e, 2, type_of(TYPE_INT64), err));
    e->type = list_type_of(type_of(TYPE_UTF8_VIEW));
    return e->type ? ST_OK : error_no_memory(err, 64);
}

static int neighbours_row(const struct call *c, int64_t row, struct column_builder *items, bool *ret_null, struct error *err)
{
    static const struct {
        int lat, lon;
    } steps[NEIGHBOURS] = {{1, 0}, {1, -1}, {0, -1}, {-1, -1}, {-1, 0}, {-1, 1}, {0, 1}, {1, 1}}; /* n nw w sw s se e ne */
    struct place p, half, middle;
    int length;
    char hash[LENGTH_MAX];
    (void)ret_null;
    TRY(read_place(c->args, row, &p, &length, err));
    encode(p, length, hash);
    middle = decode(hash, length, &half);
    for (int k = 0; k < NEIGHBOURS; k++) {
        struct place next = {wrap(middle.lat + 2 * half.lat * steps[k].lat, 180), wrap(middle.lon + 2 * half.lon * steps[k].lon, 360)};
        encode(next, length, hash);
        TRY(column_builder_append_bytes(items, hash, (size_t)length, err));
    }
    return ST_OK;
}

const struct function functions_geohash[] = {
    TEXT_FUNCTION("geohash", 3, 3, "DDI:v", geohash_row, 0),
    {"geohash_neighbours", 3, 3, bind_neighbours, kernel_list_rows, 0, true, .list_row = neighbours_row},
    {0},
};
