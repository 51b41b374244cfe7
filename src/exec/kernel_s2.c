/* S2 cells (functions.md 1.17): a face of the cube around the earth and a position on the Hilbert curve through it; s2geometry.io describes both. */
#include <math.h>
#include <string.h>

#include "exec/kernel_typed.h"

enum { LEVEL_MAX = 30 };

/* Where the ray through a point leaves the cube: the face, and its coordinates in [-1, 1]. */
static int face_of(const double p[3], double *ret_u, double *ret_v)
{
    double x = fabs(p[0]), y = fabs(p[1]), z = fabs(p[2]);
    int axis = x > y ? (x > z ? 0 : 2) : (y > z ? 1 : 2), face = p[axis] < 0 ? axis + 3 : axis;
    switch (face) {
    case 0:
        *ret_u = p[1] / p[0];
        *ret_v = p[2] / p[0];
        break;
    case 1:
        *ret_u = -p[0] / p[1];
        *ret_v = p[2] / p[1];
        break;
    case 2:
        *ret_u = -p[0] / p[2];
        *ret_v = -p[1] / p[2];
        break;
    case 3:
        *ret_u = p[2] / p[0];
        *ret_v = p[1] / p[0];
        break;
    case 4:
        *ret_u = p[2] / p[1];
        *ret_v = -p[0] / p[1];
        break;
    default:
        *ret_u = -p[1] / p[2];
        *ret_v = -p[0] / p[2];
    }
    return face;
}

/* The quadratic projection, which makes cells of similar size, in 2^30 steps. */
static uint32_t steps_of(double u)
{
    double s = u >= 0 ? 0.5 * sqrt(1 + 3 * u) : 1 - 0.5 * sqrt(1 - 3 * u), at = floor(s * (1 << LEVEL_MAX));
    return at < 0 ? 0 : at > (1 << LEVEL_MAX) - 1 ? (1 << LEVEL_MAX) - 1 : (uint32_t)at;
}

static uint64_t leaf_cell(double lat, double lon)
{
    /* The curve's pattern by orientation: where quadrant ij comes, and how the orientation changes at that place. */
    static const uint8_t place[4][4] = {{0, 1, 3, 2}, {0, 3, 1, 2}, {2, 3, 1, 0}, {2, 1, 3, 0}}, turn[4] = {1, 0, 0, 3};
    double phi = lat * M_PI / 180, theta = lon * M_PI / 180, u, v;
    const double p[3] = {cos(theta) * cos(phi), sin(theta) * cos(phi), sin(phi)};
    int face = face_of(p, &u, &v);
    uint32_t i = steps_of(u), j = steps_of(v);
    uint64_t curve = 0;
    unsigned orientation = (unsigned)face & 1;
    for (int k = LEVEL_MAX - 1; k >= 0; k--) {
        unsigned quadrant = (i >> k & 1) << 1 | (j >> k & 1), at = place[orientation][quadrant];
        curve = curve << 2 | at;
        orientation ^= turn[at];
    }
    return (uint64_t)face << 61 | curve << 1 | 1;
}

static int from_latlng_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    double lat = value_double(&c->args[0], row), lon = value_double(&c->args[1], row);
    (void)ret_null;
    if (!(fabs(lat) <= 90 && fabs(lon) <= 180))
        return error_set(err, ST_EXECUTE_QUERY, "The input coordinates are invalid: %g, %g", lat, lon);
    memcpy(ret_value, &(uint64_t){leaf_cell(lat, lon)}, 8);
    return ST_OK;
}

/* Signed and unsigned cells have the same bits. */
static uint64_t cell_at(const struct call *c, int64_t row)
{
    return COLUMN_VALUES(c->args[0].column, uint64_t)[c->args[0].scalar ? 0 : row];
}

static int level_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    uint64_t cell = cell_at(c, row);
    (void)err;
    if ((*ret_null = cell << 3 == 0)) /* below the face nothing is marked: no cell */
        return ST_OK;
    memcpy(ret_value, &(uint64_t){(uint64_t)(LEVEL_MAX - __builtin_ctzll(cell) / 2)}, 8);
    return ST_OK;
}

static int parent_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int64_t level = value_int64(&c->args[1], row);
    (void)ret_null;
    if (level < 0 || level > LEVEL_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "Invalid S2 level %lld, expect value: [0, 30]", (long long)level);
    uint64_t lowest = 1ull << (2 * (LEVEL_MAX - level));
    memcpy(ret_value, &(uint64_t){(cell_at(c, row) & (0 - lowest)) | lowest}, 8);
    return ST_OK;
}

static int token_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t cell = cell_at(c, row);
    char token[16];
    size_t n = 0;
    (void)ret_null;
    if (cell == 0)
        return text_writer_put(w, "X", 1, err);
    for (; cell; cell <<= 4)
        token[n++] = digits[cell >> 60];
    return text_writer_put(w, token, n, err);
}

static int bind_cell(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type;
    if (t->id != TYPE_INT64 && t->id != TYPE_UINT64)
        TRY(type_is_integer(t) || t->id == TYPE_NULL ? expr_bind_cast(e, 0, type_of(TYPE_INT64), err) : expr_type_error(e, err));
    return bind_signature(e, err);
}

const struct function functions_s2[] = {
    FIXED_FUNCTION("s2_latlng_to_cell", 2, 2, "DD:W", from_latlng_row, 0),
    {"s2_cell_level", 1, 1, bind_cell, kernel_fixed_rows, 0, true, "A:W?", .fixed_row = level_row},
    {"s2_cell_parent", 2, 2, bind_cell, kernel_fixed_rows, 0, true, "AI:W", .fixed_row = parent_row},
    {"s2_cell_to_token", 1, 1, bind_cell, kernel_text_rows, 0, true, "A:v", .text_row = token_row},
    {0},
};
