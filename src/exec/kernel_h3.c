/* H3 functions (functions.md 1.17) over format/h3. A cell is an integer of either sign or text in hexadecimal; what is no cell fails the query. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "exec/kernel_list.h"
#include "exec/kernel_typed.h"
#include "format/h3/h3.h"

enum { CELLS_MAX = 1 << 24 }; /* in one list */

static int no_cell(struct error *err)
{
    return error_set(err, ST_EXECUTE_QUERY, "H3 error: invalid cell index");
}

static int parse_cell(const uint8_t *p, size_t n, uint64_t *ret_cell, struct error *err)
{
    uint64_t cell = 0;
    if (n == 0 || n > 16)
        return no_cell(err);
    for (size_t i = 0; i < n; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return no_cell(err);
        cell = cell << 4 | (uint64_t)digit;
    }
    *ret_cell = cell;
    return h3_is_cell(cell) ? ST_OK : no_cell(err);
}

static int cell_in(const struct column *c, int64_t i, uint64_t *ret_cell, struct error *err)
{
    if (type_is_string(c->type)) {
        int32_t n;
        const uint8_t *p = column_bytes(c, i, &n);
        return parse_cell(p, (size_t)n, ret_cell, err);
    }
    *ret_cell = COLUMN_VALUES(c, uint64_t)[i];
    return h3_is_cell(*ret_cell) ? ST_OK : no_cell(err);
}

static int read_cell(const struct value *v, int64_t row, uint64_t *ret_cell, struct error *err)
{
    return cell_in(v->column, v->scalar ? 0 : row, ret_cell, err);
}

static int read_resolution(const struct value *v, int64_t row, int *ret_resolution, struct error *err)
{
    int64_t r = value_int64(v, row);
    if (r < 0 || r > H3_RESOLUTION_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "H3 error: invalid resolution %lld", (long long)r);
    *ret_resolution = (int)r;
    return ST_OK;
}

/* ---- places ---- */

static int cell_at_place(const struct call *c, int64_t row, uint64_t *ret_cell, struct error *err)
{
    double lat = value_double(&c->args[0], row), lng = value_double(&c->args[1], row);
    int resolution;
    TRY(read_resolution(&c->args[2], row, &resolution, err));
    if (!isfinite(lat) || !isfinite(lng))
        return error_set(err, ST_EXECUTE_QUERY, "H3 error: invalid coordinates %g, %g", lat, lng);
    *ret_cell = h3_from_latlng(lat, lng, resolution);
    return ST_OK;
}

static int from_latlng_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    uint64_t cell = 0;
    (void)ret_null;
    TRY(cell_at_place(c, row, &cell, err));
    memcpy(ret_value, &cell, 8);
    return ST_OK;
}

static int string_from_latlng_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    uint64_t cell = 0;
    (void)ret_null;
    TRY(cell_at_place(c, row, &cell, err));
    return text_writer_printf(w, err, "%llx", (unsigned long long)cell);
}

enum { DISTANCE_SPHERE, DISTANCE_DEGREE };

static int distance_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    uint64_t a = 0, b = 0;
    double lat1, lng1, lat2, lng2;
    (void)ret_null;
    TRY(read_cell(&c->args[0], row, &a, err));
    TRY(read_cell(&c->args[1], row, &b, err));
    h3_to_latlng(a, &lat1, &lng1);
    h3_to_latlng(b, &lat2, &lng2);
    if (c->e->function->op == DISTANCE_DEGREE) {
        *(double *)ret_value = sqrt((lat1 - lat2) * (lat1 - lat2) + (lng1 - lng2) * (lng1 - lng2));
        return ST_OK;
    }
    double s_lat = sin((lat2 - lat1) * M_PI / 360), s_lng = sin((lng2 - lng1) * M_PI / 360);
    double h = s_lat * s_lat + s_lng * s_lng * cos(lat1 * M_PI / 180) * cos(lat2 * M_PI / 180);
    *(double *)ret_value = 2 * atan2(sqrt(h), sqrt(1 - h)) * 6371.007180918475;
    return ST_OK;
}

/* ---- facts about one cell ---- */

enum { CELL_ID, CELL_RESOLUTION, CELL_BASE, CELL_PENTAGON, CELL_PARENT, CELL_CENTER_CHILD, CELL_CHILDREN, CELL_POSITION };

static int fact_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    uint64_t cell = 0, answer = 0;
    int resolution = 0, op = c->e->function->op;
    TRY(read_cell(&c->args[0], row, &cell, err));
    if (c->e->n_args == 2)
        TRY(read_resolution(&c->args[1], row, &resolution, err));
    switch (op) {
    case CELL_RESOLUTION:
        *(uint8_t *)ret_value = (uint8_t)h3_resolution(cell);
        return ST_OK;
    case CELL_BASE:
        *(uint8_t *)ret_value = (uint8_t)h3_base_cell_of(cell);
        return ST_OK;
    case CELL_PENTAGON:
        *(uint8_t *)ret_value = h3_is_pentagon(cell);
        return ST_OK;
    case CELL_ID:
        answer = cell;
        break;
    case CELL_PARENT:
        answer = h3_parent(cell, resolution);
        *ret_null = !answer;
        break;
    case CELL_CENTER_CHILD:
        answer = h3_center_child(cell, resolution);
        *ret_null = !answer;
        break;
    case CELL_CHILDREN:
        answer = h3_children_count(cell, resolution);
        break;
    case CELL_POSITION:
        *ret_null = resolution > h3_resolution(cell);
        answer = *ret_null ? 0 : h3_child_position(cell, resolution);
    }
    memcpy(ret_value, &answer, 8);
    return ST_OK;
}

static int to_string_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    uint64_t cell = 0;
    (void)ret_null;
    TRY(read_cell(&c->args[0], row, &cell, err));
    return text_writer_printf(w, err, "%llx", (unsigned long long)cell);
}

/* h3_child_pos_to_cell(position, cell, resolution) */
static int child_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int64_t position = value_int64(&c->args[0], row);
    uint64_t cell = 0;
    int resolution = 0;
    TRY(read_cell(&c->args[1], row, &cell, err));
    TRY(read_resolution(&c->args[2], row, &resolution, err));
    if (position < 0)
        return error_set(err, ST_EXECUTE_QUERY, "Argument was outside of acceptable range");
    *ret_null = (uint64_t)position >= h3_children_count(cell, resolution);
    memcpy(ret_value, &(uint64_t){*ret_null ? 0 : h3_child_at(cell, resolution, (uint64_t)position)}, 8);
    return ST_OK;
}

/* ---- lists of cells ---- */

static int put(struct column_builder *items, uint64_t cell, struct error *err)
{
    return column_builder_append_fixed(items, &cell, err);
}

static int children(const struct expr *e, const struct value *args, int64_t row, uint64_t cell, struct column_builder *items, struct error *err)
{
    int resolution = 0;
    (void)e;
    TRY(read_resolution(&args[1], row, &resolution, err));
    uint64_t n = h3_children_count(cell, resolution);
    if (n > CELLS_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "%llu children of a cell are too many", (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++)
        TRY(put(items, h3_child_at(cell, resolution, i), err));
    return ST_OK;
}

static bool seen(const uint64_t *cells, size_t n, uint64_t cell)
{
    while (n > 0)
        if (cells[--n] == cell)
            return true;
    return false;
}

/* Ring after ring by neighbourhood, where a pentagon breaks the pattern; returns how many cells there are. */
static size_t disk_by_neighbours(uint64_t cell, int64_t k, uint64_t *cells)
{
    size_t n = 1, ring = 0;
    cells[0] = cell;
    for (int64_t distance = 0; distance < k; distance++) {
        size_t end = n;
        for (; ring < end; ring++)
            for (int direction = 1; direction <= 6; direction++) {
                uint64_t next;
                int turns = 0;
                if (h3_neighbour(cells[ring], direction, &turns, &next) && !seen(cells, n, next))
                    cells[n++] = next;
            }
    }
    return n;
}

static int disk(const struct expr *e, const struct value *args, int64_t row, uint64_t cell, struct column_builder *items, struct error *err)
{
    enum { K_MAX = 1000, PENTAGON_K_MAX = 60 };
    int64_t k = value_int64(&args[1], row);
    if (k < 0 || k > K_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "%s: the distance %lld is not between 0 and %d", e->function->name, (long long)k, K_MAX);
    size_t n = 3 * (size_t)k * ((size_t)k + 1) + 1;
    uint64_t *cells = malloc(n * sizeof *cells);
    int st = cells ? ST_OK : error_no_memory(err, n * sizeof *cells);
    if (st == ST_OK && !h3_disk(cell, (int)k, cells)) {
        if (k > PENTAGON_K_MAX)
            st = error_set(err, ST_EXECUTE_QUERY, "%s: a pentagon lies within the distance %lld", e->function->name, (long long)k);
        else
            n = disk_by_neighbours(cell, k, cells);
    }
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = put(items, cells[i], err);
    free(cells);
    return st;
}

static int center(const struct expr *e, const struct value *args, int64_t row, uint64_t cell, struct column_builder *items, struct error *err)
{
    double place[2];
    (void)e;
    (void)args;
    (void)row;
    h3_to_latlng(cell, &place[0], &place[1]);
    TRY(column_builder_append_fixed(items, &place[0], err));
    return column_builder_append_fixed(items, &place[1], err);
}

/* ---- h3_cells_contains(cells, cell) ---- */

static bool is_within(uint64_t cell, uint64_t outer)
{
    return h3_parent(cell, h3_resolution(outer)) == outer;
}

static int contains_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    uint64_t cell = 0, outer = 0;
    bool found = false;
    (void)ret_null;
    TRY(read_cell(&c->args[1], row, &cell, err));
    if (type_is_list(c->args[0].column->type)) {
        int64_t from, to;
        const struct column *items = c->args[0].column->children[0];
        list_range(&c->args[0], row, &from, &to);
        for (; from < to; from++) {
            if (column_is_null(items, from))
                return error_set(err, ST_EXECUTE_QUERY, "Invalid data type in array");
            TRY(cell_in(items, from, &outer, err));
            found = found || is_within(cell, outer);
        }
    } else {
        size_t n;
        const uint8_t *p = value_text(&c->args[0], row, &n), *end = p + n;
        while (p <= end) { /* separated by commas, with spaces around */
            const uint8_t *comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL, *stop = comma ? comma : end, *last = stop;
            while (p < last && *p == ' ')
                p++;
            while (last > p && last[-1] == ' ')
                last--;
            TRY(parse_cell(p, (size_t)(last - p), &outer, err));
            found = found || is_within(cell, outer);
            p = stop + 1;
        }
    }
    *(uint8_t *)ret_value = found;
    return ST_OK;
}

/* ---- ways ---- */

/* Both cells and their distance. */
static int read_way(const struct expr *e, const struct value *args, int64_t row, uint64_t *ret_a, uint64_t *ret_b, int64_t *ret_distance,
                    struct error *err)
{
    TRY(read_cell(&args[0], row, ret_a, err));
    TRY(read_cell(&args[1], row, ret_b, err));
    *ret_distance = h3_distance(*ret_a, *ret_b);
    return *ret_distance < 0 ? error_set(err, ST_EXECUTE_QUERY, "%s: H3 error: no distance between %llx and %llx", e->function->name,
                                         (unsigned long long)*ret_a, (unsigned long long)*ret_b)
                             : ST_OK;
}

static int grid_distance_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    uint64_t a, b;
    int64_t distance = 0;
    (void)ret_null;
    TRY(read_way(c->e, c->args, row, &a, &b, &distance, err));
    memcpy(ret_value, &(int32_t){(int32_t)distance}, 4);
    return ST_OK;
}

static int path(const struct expr *e, const struct value *args, int64_t row, uint64_t cell, struct column_builder *items, struct error *err)
{
    uint64_t a, b = 0;
    int64_t distance = 0;
    TRY(read_way(e, args, row, &a, &b, &distance, err));
    if (distance > CELLS_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "%s: a way of %lld cells is too long", e->function->name, (long long)distance);
    for (int64_t step = 0; step <= distance; step++) {
        if (!h3_path_cell(a, b, distance, step, &cell))
            return error_set(err, ST_EXECUTE_QUERY, "%s: H3 error: the way leaves the plane around its start", e->function->name);
        TRY(put(items, cell, err));
    }
    return ST_OK;
}

typedef int (*cells_fn)(const struct expr *e, const struct value *args, int64_t row, uint64_t cell, struct column_builder *items, struct error *err);

static const cells_fn list_functions[] = {children, disk, center, path};
enum { LIST_CHILDREN, LIST_DISK, LIST_CENTER, LIST_PATH };

static int cells_row(const struct call *c, int64_t row, struct column_builder *items, bool *ret_null, struct error *err)
{
    uint64_t cell = 0;
    (void)ret_null;
    TRY(read_cell(&c->args[0], row, &cell, err));
    return list_functions[c->e->function->op](c->e, c->args, row, cell, items, err);
}

/* ---- binding ---- */

static int bind_cell(struct expr *e, uint32_t arg, struct error *err)
{
    const struct dtype *t = e->args[arg]->type;
    if (t->id == TYPE_INT64 || t->id == TYPE_UINT64 || type_is_string(t))
        return ST_OK;
    return type_is_integer(t) || t->id == TYPE_NULL ? expr_bind_cast(e, arg, type_of(TYPE_INT64), err) : expr_type_error(e, err);
}

static int bind_fact(struct expr *e, struct error *err)
{
    TRY(bind_cell(e, 0, err));
    return bind_signature(e, err);
}

static int bind_two(struct expr *e, struct error *err)
{
    TRY(bind_cell(e, 1, err));
    return bind_fact(e, err);
}

static int bind_child(struct expr *e, struct error *err)
{
    TRY(bind_cell(e, 1, err));
    return bind_signature(e, err);
}

static int bind_contains(struct expr *e, struct error *err)
{
    const struct dtype *t = e->args[0]->type, *item = type_is_list(t) ? list_item_type(t) : t;
    TRY(bind_cell(e, 1, err));
    if (t->id != TYPE_NULL && !type_is_string(item) && !(type_is_list(t) && (item->id == TYPE_INT64 || item->id == TYPE_UINT64)))
        return expr_type_error(e, err);
    if (t->id == TYPE_NULL)
        TRY(expr_bind_cast(e, 0, type_of(TYPE_UTF8), err));
    return bind_signature(e, err);
}

static int bind_cells(struct expr *e, struct error *err)
{
    TRY(bind_cell(e, 0, err));
    if (e->n_args == 2)
        TRY(e->function->op == LIST_PATH ? bind_cell(e, 1, err) : list_bind_integer(e, 1, err));
    e->type = list_type_of(type_of(e->function->op == LIST_CENTER ? TYPE_FLOAT64 : TYPE_UINT64));
    return e->type ? ST_OK : error_no_memory(err, 64);
}

#define FACT(name, n, signature, op)                                                                                                                 \
    {                                                                                                                                                \
        name, n, n, bind_fact, kernel_fixed_rows, op, true, signature, .fixed_row = fact_row                                                         \
    }

const struct function functions_h3[] = {
    FIXED_FUNCTION("h3_latlng_to_cell", 3, 3, "DDI:W", from_latlng_row, 0),
    TEXT_FUNCTION("h3_latlng_to_cell_string", 3, 3, "DDI:v", string_from_latlng_row, 0),
    {"h3_cell_to_string", 1, 1, bind_fact, kernel_text_rows, 0, true, "A:v", .text_row = to_string_row},
    FACT("h3_string_to_cell", 1, "A:W", CELL_ID),
    FACT("h3_cell_resolution", 1, "A:b", CELL_RESOLUTION),
    FACT("h3_cell_base", 1, "A:b", CELL_BASE),
    FACT("h3_cell_is_pentagon", 1, "A:O", CELL_PENTAGON),
    FACT("h3_cell_parent", 2, "AI:W?", CELL_PARENT),
    FACT("h3_cell_center_child", 2, "AI:W?", CELL_CENTER_CHILD),
    FACT("h3_cell_to_children_size", 2, "AI:W", CELL_CHILDREN),
    FACT("h3_cell_to_child_pos", 2, "AI:W?", CELL_POSITION),
    {"h3_child_pos_to_cell", 3, 3, bind_child, kernel_fixed_rows, 0, true, "IAI:W?", .fixed_row = child_row},
    {"h3_cell_to_children", 2, 2, bind_cells, kernel_list_rows, LIST_CHILDREN, true, .list_row = cells_row},
    {"h3_grid_disk", 2, 2, bind_cells, kernel_list_rows, LIST_DISK, true, .list_row = cells_row},
    {"h3_grid_disk_distances", 2, 2, bind_cells, kernel_list_rows, LIST_DISK, true, .list_row = cells_row},
    {"h3_cell_center_latlng", 1, 1, bind_cells, kernel_list_rows, LIST_CENTER, true, .list_row = cells_row},
    {"h3_grid_path_cells", 2, 2, bind_cells, kernel_list_rows, LIST_PATH, true, .list_row = cells_row},
    {"h3_grid_distance", 2, 2, bind_two, kernel_fixed_rows, 0, true, "AA:i", .fixed_row = grid_distance_row},
    {"h3_cells_contains", 2, 2, bind_contains, kernel_fixed_rows, 0, true, "AA:O", .fixed_row = contains_row},
    {"h3_distance_sphere_km", 2, 2, bind_two, kernel_fixed_rows, DISTANCE_SPHERE, true, "AA:D", .fixed_row = distance_row},
    {"h3_distance_degree", 2, 2, bind_two, kernel_fixed_rows, DISTANCE_DEGREE, true, "AA:D", .fixed_row = distance_row},
    {0},
};
