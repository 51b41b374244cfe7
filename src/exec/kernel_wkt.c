/* Planar geometry on well-known text (functions.md 1.17), by GEOS. Geometries that are literals are read once a batch. */
#include <geos_c.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "exec/kernel_typed.h"

enum { NESTING_MAX = 64, WKT_MAX = 16 << 20 };
enum { RELATE_CONTAINS, RELATE_WITHIN, RELATE_INTERSECTS };
enum { MEASURE_DISTANCE, MEASURE_AREA, MEASURE_SPHERE };

struct geometry {
    GEOSContextHandle_t geos;
    GEOSWKTReader *reader;
    GEOSGeometry *shapes[2];
    bool ready[2]; /* a literal that has been read */
    char why[200];
};

static void keep_message(const char *message, void *state)
{
    struct geometry *g = state;
    snprintf(g->why, sizeof g->why, "%s", message);
}

static int failed(const struct call *c, struct error *err)
{
    const struct geometry *g = c->state;
    return error_set(err, ST_EXECUTE_QUERY, "%s: %s", c->e->function->name, g->why[0] ? g->why : "the geometry is invalid");
}

/* The parser recurses into parentheses: not too deep. */
static bool is_shallow(const char *text)
{
    int depth = 0;
    for (; *text; text++) {
        depth += (*text == '(') - (*text == ')');
        if (depth > NESTING_MAX)
            return false;
    }
    return true;
}

static int read_shape(const struct call *c, uint32_t arg, int64_t row, struct error *err)
{
    struct geometry *g = c->state;
    size_t n;
    const uint8_t *p = value_text(&c->args[arg], row, &n);
    if (g->ready[arg])
        return ST_OK;
    GEOSGeom_destroy_r(g->geos, g->shapes[arg]);
    g->shapes[arg] = NULL;
    if (n > WKT_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "%s: a text of %zu bytes is too long for a geometry", c->e->function->name, n);
    char *text = malloc(n + 1);
    if (!text)
        return error_no_memory(err, n + 1);
    memcpy(text, p, n);
    text[n] = 0;
    if (strlen(text) == n && is_shallow(text))
        g->shapes[arg] = GEOSWKTReader_read_r(g->geos, g->reader, text);
    free(text);
    if (!g->shapes[arg])
        return error_set(err, ST_EXECUTE_QUERY, "Fail to parse WKT: %.*s", n > 100 ? 100 : (int)n, (const char *)p);
    g->ready[arg] = c->args[arg].scalar;
    return ST_OK;
}

static int relation_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct geometry *g = c->state;
    (void)ret_null;
    TRY(read_shape(c, 0, row, err));
    TRY(read_shape(c, 1, row, err));
    int op = c->e->function->op;
    char answer = op == RELATE_CONTAINS ? GEOSContains_r(g->geos, g->shapes[0], g->shapes[1])
                  : op == RELATE_WITHIN ? GEOSWithin_r(g->geos, g->shapes[0], g->shapes[1])
                                        : GEOSIntersects_r(g->geos, g->shapes[0], g->shapes[1]);
    if (answer > 1)
        return failed(c, err);
    *(uint8_t *)ret_value = answer == 1;
    return ST_OK;
}

/* Great circle between two points on a sphere of the earth's mean radius. */
static int sphere_distance(const struct call *c, double *ret, struct error *err)
{
    struct geometry *g = c->state;
    double at[2][2];
    for (int i = 0; i < 2; i++)
        if (GEOSGeomTypeId_r(g->geos, g->shapes[i]) != GEOS_POINT || !GEOSGeomGetX_r(g->geos, g->shapes[i], &at[i][0]) ||
            !GEOSGeomGetY_r(g->geos, g->shapes[i], &at[i][1]))
            return error_set(err, ST_EXECUTE_QUERY, "%s takes two points", c->e->function->name);
    double phi1 = at[0][1] * M_PI / 180, phi2 = at[1][1] * M_PI / 180, d_phi = (at[1][1] - at[0][1]) * M_PI / 180,
           d_lambda = (at[1][0] - at[0][0]) * M_PI / 180;
    double a = sin(d_phi / 2) * sin(d_phi / 2) + cos(phi1) * cos(phi2) * sin(d_lambda / 2) * sin(d_lambda / 2);
    *ret = 6371008.8 * 2 * asin(sqrt(a));
    return ST_OK;
}

static int measure_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    struct geometry *g = c->state;
    int op = c->e->function->op;
    (void)ret_null;
    TRY(read_shape(c, 0, row, err));
    if (op != MEASURE_AREA)
        TRY(read_shape(c, 1, row, err));
    if (op == MEASURE_SPHERE)
        return sphere_distance(c, ret_value, err);
    bool good = op == MEASURE_AREA ? GEOSArea_r(g->geos, g->shapes[0], ret_value) : GEOSDistance_r(g->geos, g->shapes[0], g->shapes[1], ret_value);
    return good ? ST_OK : failed(c, err);
}

static int kernel_geometry(const struct expr *e, struct expr_context *ctx, const struct value *args, int64_t rows, struct column **ret,
                           struct error *err)
{
    struct geometry g = {.geos = GEOS_init_r()};
    if (!g.geos)
        return error_no_memory(err, sizeof g);
    GEOSContext_setErrorMessageHandler_r(g.geos, keep_message, &g);
    GEOSContext_setNoticeMessageHandler_r(g.geos, keep_message, &g);
    g.reader = GEOSWKTReader_create_r(g.geos);
    int st = g.reader ? kernel_fixed_run(&(struct call){e, ctx, args, &g}, rows, ret, err) : error_no_memory(err, sizeof g);
    for (int i = 0; i < 2; i++)
        GEOSGeom_destroy_r(g.geos, g.shapes[i]);
    if (g.reader)
        GEOSWKTReader_destroy_r(g.geos, g.reader);
    GEOS_finish_r(g.geos);
    return st;
}

static int point_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    char text[NUMBER_PLAIN_MAX];
    (void)ret_null;
    TRY(text_writer_put(w, "POINT(", 6, err));
    TRY(text_writer_put(w, text, number_plain(value_double(&c->args[1], row), false, text), err));
    TRY(text_writer_put(w, " ", 1, err));
    TRY(text_writer_put(w, text, number_plain(value_double(&c->args[0], row), false, text), err));
    return text_writer_put(w, ")", 1, err);
}

const struct function functions_wkt[] = {
    TEXT_FUNCTION("wkt_point_from_latlng", 2, 2, "DD:v", point_row, 0),
    {"st_contains", 2, 2, bind_signature, kernel_geometry, RELATE_CONTAINS, true, "TT:O", .fixed_row = relation_row},
    {"st_within", 2, 2, bind_signature, kernel_geometry, RELATE_WITHIN, true, "TT:O", .fixed_row = relation_row},
    {"st_intersects", 2, 2, bind_signature, kernel_geometry, RELATE_INTERSECTS, true, "TT:O", .fixed_row = relation_row},
    {"st_distance", 2, 2, bind_signature, kernel_geometry, MEASURE_DISTANCE, true, "TT:D", .fixed_row = measure_row},
    {"st_area", 1, 1, bind_signature, kernel_geometry, MEASURE_AREA, true, "T:D", .fixed_row = measure_row},
    {"st_distance_sphere_m", 2, 2, bind_signature, kernel_geometry, MEASURE_SPHERE, true, "TT:D", .fixed_row = measure_row},
    {0},
};
