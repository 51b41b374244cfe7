/* From places to cells and back. A place is projected from the center of the earth onto the plane of the icosahedron's nearest face (gnomonic
 * projection); there it lies in a hexagon of the finest resolution, whose ijk coordinates give the digits from the finest to the coarsest, and the
 * base cell.
 */
#include <math.h>

#include "format/h3/h3.h"
#include "format/h3/internal.h"

static const double SQRT7 = 2.6457513110645905905016157536392604257102;
static const double CLASS_III_TURN = 0.333473172251832115336090755351601070065900389; /* radians: asin(sqrt(3 / 28)) */
static const double FACE_SCALE = 0.381966011250105;                                   /* of a resolution 0 cell in the plane of a face */
static const double SIN60 = 0.8660254037844386467637231707529361834714;
static const double TINY = 1e-16;

struct place {
    double lat, lng; /* radians */
};

struct face_ijk {
    int face;
    struct h3_ijk at;
};

/* Whether a resolution's hexagons are turned against those of the one above in this sense; odd ones are "class III". */
static bool is_class_iii(int resolution)
{
    return resolution & 1;
}

/* ---- ijk coordinates ---- */

static struct h3_ijk add(struct h3_ijk a, struct h3_ijk b)
{
    return (struct h3_ijk){a.i + b.i, a.j + b.j, a.k + b.k};
}

static struct h3_ijk scaled(struct h3_ijk a, int by)
{
    return (struct h3_ijk){a.i * by, a.j * by, a.k * by};
}

/* The form in which no coordinate is negative and one is 0. */
static struct h3_ijk normal(struct h3_ijk a)
{
    int least = a.i < a.j ? (a.i < a.k ? a.i : a.k) : (a.j < a.k ? a.j : a.k);
    return (struct h3_ijk){a.i - least, a.j - least, a.k - least};
}

/* Each coordinate along vectors of its own. */
static struct h3_ijk along(struct h3_ijk a, struct h3_ijk i, struct h3_ijk j, struct h3_ijk k)
{
    return normal(add(add(scaled(i, a.i), scaled(j, a.j)), scaled(k, a.k)));
}

static struct h3_ijk finer(struct h3_ijk a, bool clockwise)
{
    return clockwise ? along(a, (struct h3_ijk){3, 1, 0}, (struct h3_ijk){0, 3, 1}, (struct h3_ijk){1, 0, 3})
                     : along(a, (struct h3_ijk){3, 0, 1}, (struct h3_ijk){1, 3, 0}, (struct h3_ijk){0, 1, 3});
}

static struct h3_ijk coarser(struct h3_ijk a, bool clockwise)
{
    int i = a.i - a.k, j = a.j - a.k;
    if (clockwise)
        return normal((struct h3_ijk){(int)lround((2 * i + j) / 7.0), (int)lround((3 * j - i) / 7.0), 0});
    return normal((struct h3_ijk){(int)lround((3 * i - j) / 7.0), (int)lround((i + 2 * j) / 7.0), 0});
}

static struct h3_ijk turned(struct h3_ijk a, bool clockwise)
{
    return clockwise ? along(a, (struct h3_ijk){1, 0, 1}, (struct h3_ijk){1, 1, 0}, (struct h3_ijk){0, 1, 1})
                     : along(a, (struct h3_ijk){1, 1, 0}, (struct h3_ijk){0, 1, 1}, (struct h3_ijk){1, 0, 1});
}

/* The digit whose bits are the unit vector's coordinates. */
static int digit_of(struct h3_ijk a)
{
    a = normal(a);
    return a.i > 1 || a.j > 1 || a.k > 1 ? DIGIT_NONE : a.i << 2 | a.j << 1 | a.k;
}

static struct h3_ijk unit_of(int digit)
{
    return (struct h3_ijk){digit >> 2 & 1, digit >> 1 & 1, digit & 1};
}

/* The hexagon that holds a point of the plane. */
static struct h3_ijk hexagon_at(double x, double y)
{
    double a1 = fabs(x), a2 = fabs(y), x2 = a2 / SIN60, x1 = a1 + x2 / 2;
    int m1 = (int)x1, m2 = (int)x2, i, j;
    double r1 = x1 - m1, r2 = x2 - m2;
    if (r1 < 0.5) {
        if (r1 < 1.0 / 3) {
            i = m1;
            j = r2 < (1 + r1) / 2 ? m2 : m2 + 1;
        } else {
            j = r2 < 1 - r1 ? m2 : m2 + 1;
            i = 1 - r1 <= r2 && r2 < 2 * r1 ? m1 + 1 : m1;
        }
    } else if (r1 < 2.0 / 3) {
        j = r2 < 1 - r1 ? m2 : m2 + 1;
        i = 2 * r1 - 1 < r2 && r2 < 1 - r1 ? m1 : m1 + 1;
    } else {
        i = m1 + 1;
        j = r2 < r1 / 2 ? m2 : m2 + 1;
    }
    if (x < 0) /* mirrored across the y axis */
        i = j % 2 ? j - i : j - i;
    if (y < 0) {
        i -= (2 * j + 1) / 2;
        j = -j;
    }
    return normal((struct h3_ijk){i, j, 0});
}

/* ---- spherical geometry ---- */

static double positive_angle(double a)
{
    a = fmod(a, 2 * M_PI);
    return a < 0 ? a + 2 * M_PI : a;
}

static struct place face_center(int face)
{
    const double *p = h3_face_centers[face];
    return (struct place){asin(p[2]), atan2(p[1], p[0])};
}

static double azimuth(struct place from, struct place to)
{
    return atan2(cos(to.lat) * sin(to.lng - from.lng), cos(from.lat) * sin(to.lat) - sin(from.lat) * cos(to.lat) * cos(to.lng - from.lng));
}

static struct place travel(struct place from, double direction, double distance)
{
    if (distance < TINY)
        return from;
    double sin_lat = sin(from.lat) * cos(distance) + cos(from.lat) * sin(distance) * cos(direction);
    double lat = asin(sin_lat < -1 ? -1 : sin_lat > 1 ? 1 : sin_lat);
    if (fabs(lat - M_PI_2) < TINY || fabs(lat + M_PI_2) < TINY)
        return (struct place){lat > 0 ? M_PI_2 : -M_PI_2, 0};
    double east = sin(direction) * sin(distance) / cos(lat), north = (cos(distance) - sin(from.lat) * sin(lat)) / cos(from.lat) / cos(lat);
    double lng = from.lng + atan2(east, north);
    while (lng > M_PI)
        lng -= 2 * M_PI;
    while (lng < -M_PI)
        lng += 2 * M_PI;
    return (struct place){lat, lng};
}

/* ---- places to cells ---- */

static struct face_ijk face_ijk_at(struct place p, int resolution)
{
    const double at[3] = {cos(p.lng) * cos(p.lat), sin(p.lng) * cos(p.lat), sin(p.lat)};
    double nearest = 5;
    int face = 0;
    for (int f = 0; f < H3_FACES; f++) {
        double squared = 0;
        for (int k = 0; k < 3; k++)
            squared += (h3_face_centers[f][k] - at[k]) * (h3_face_centers[f][k] - at[k]);
        if (squared < nearest) {
            nearest = squared;
            face = f;
        }
    }
    double r = acos(1 - nearest / 2);
    if (r < TINY)
        return (struct face_ijk){face, {0, 0, 0}};
    double theta = positive_angle(h3_face_azimuths[face] - positive_angle(azimuth(face_center(face), p)));
    if (is_class_iii(resolution))
        theta = positive_angle(theta - CLASS_III_TURN);
    r = tan(r) / FACE_SCALE;
    for (int i = 0; i < resolution; i++)
        r *= SQRT7;
    return (struct face_ijk){face, hexagon_at(r * cos(theta), r * sin(theta))};
}

static bool enters_clockwise(int base_cell, int face)
{
    return h3_base_cells[base_cell].clockwise_faces[0] == face || h3_base_cells[base_cell].clockwise_faces[1] == face;
}

/* The digits of all resolutions, from the finest on; *at becomes the place of the base cell. */
static uint64_t put_digits(uint64_t cell, struct h3_ijk *at)
{
    for (int r = h3_resolution(cell); r > 0; r--) {
        struct h3_ijk up = coarser(*at, !is_class_iii(r)), center = finer(up, !is_class_iii(r));
        cell = with_digit(cell, r, digit_of((struct h3_ijk){at->i - center.i, at->j - center.j, at->k - center.k}));
        *at = up;
    }
    return cell;
}

uint64_t h3_from_latlng(double lat, double lng, int resolution)
{
    struct face_ijk f = face_ijk_at((struct place){lat * (M_PI / 180), lng * (M_PI / 180)}, resolution);
    struct h3_ijk at = f.at;
    uint64_t cell = 1ull << 59 | (uint64_t)resolution << 52 | 0x1fffffffffffu;
    cell = put_digits(cell, &at);
    if (at.i > 2 || at.j > 2 || at.k > 2)
        return 0; /* cannot be: faces end before */
    const struct h3_home *home = &h3_homes[f.face][at.i][at.j][at.k];
    cell = with_base_cell(cell, home->base_cell);
    bool pentagon = h3_base_cells[home->base_cell].pentagon;
    if (pentagon && h3_leading_digit(cell) == DIGIT_K)
        cell = h3_turn(cell, enters_clockwise(home->base_cell, f.face));
    for (int i = 0; i < home->turns; i++)
        cell = pentagon ? h3_turn_pentagon(cell) : h3_turn(cell, false);
    return cell;
}

/* ---- cells to places ---- */

/* Moves coordinates that lie beyond their face onto the neighbour's; false when they did not. Even resolutions only. */
static bool cross_edge(struct face_ijk *f, int resolution, bool pentagon_leading_i)
{
    int unit = 1;
    for (int r = 0; r < resolution; r += 2)
        unit *= 7;
    int edge = 2 * unit;
    if (f->at.i + f->at.j + f->at.k <= edge)
        return false;
    const struct h3_face_neighbour *to = &h3_face_neighbours[f->face][H3_NEIGHBOUR_IJ];
    if (f->at.k > 0 && f->at.j > 0) {
        to = &h3_face_neighbours[f->face][H3_NEIGHBOUR_JK];
    } else if (f->at.k > 0) {
        to = &h3_face_neighbours[f->face][H3_NEIGHBOUR_KI];
        if (pentagon_leading_i) { /* turn around the pentagon's missing part */
            struct h3_ijk corner = {edge, 0, 0}, rest = {f->at.i - edge, f->at.j, f->at.k};
            f->at = add(turned(normal(rest), true), corner);
        }
    }
    f->face = to->face;
    for (int i = 0; i < to->turns; i++)
        f->at = turned(f->at, false);
    f->at = normal(add(f->at, scaled(to->shift, unit)));
    return true;
}

/* Where the cell's digits lead from the place of its base cell. */
static struct h3_ijk walk_digits(struct h3_ijk at, uint64_t cell)
{
    for (int r = 1; r <= h3_resolution(cell); r++)
        at = normal(add(finer(at, !is_class_iii(r)), unit_of(digit_at(cell, r))));
    return at;
}

static struct face_ijk face_ijk_of(uint64_t cell)
{
    int base = h3_base_cell_of(cell), resolution = h3_resolution(cell);
    bool pentagon = h3_base_cells[base].pentagon;
    if (pentagon && h3_leading_digit(cell) == DIGIT_IK)
        cell = h3_turn(cell, true);
    struct face_ijk f = {h3_base_cells[base].face, h3_base_cells[base].at};
    bool may_cross = pentagon || (resolution && (f.at.i || f.at.j || f.at.k));
    f.at = walk_digits(f.at, cell);
    if (!may_cross)
        return f;
    struct h3_ijk original = f.at;
    int even = resolution;
    if (is_class_iii(resolution)) {
        f.at = finer(f.at, true);
        even++;
    }
    if (cross_edge(&f, even, pentagon && h3_leading_digit(cell) == DIGIT_I)) {
        for (int i = 0; pentagon && i < 5 && cross_edge(&f, even, false); i++)
            ;
        if (even != resolution)
            f.at = coarser(f.at, true);
    } else {
        f.at = original;
    }
    return f;
}

void h3_to_latlng(uint64_t cell, double *ret_lat, double *ret_lng)
{
    struct face_ijk f = face_ijk_of(cell);
    int resolution = h3_resolution(cell);
    double i = f.at.i - f.at.k, j = f.at.j - f.at.k, x = i - j / 2, y = j * SIN60, r = sqrt(x * x + y * y);
    struct place p = face_center(f.face);
    if (r >= TINY) {
        double theta = atan2(y, x);
        for (int k = 0; k < resolution; k++)
            r /= SQRT7;
        r = atan(r * FACE_SCALE);
        if (is_class_iii(resolution))
            theta = positive_angle(theta + CLASS_III_TURN);
        p = travel(p, positive_angle(h3_face_azimuths[f.face] - theta), r);
    }
    *ret_lat = p.lat * 180 / M_PI;
    *ret_lng = p.lng * 180 / M_PI;
}

/* ---- distances ---- */

/* The direction from one base cell to a neighbour, DIGIT_CENTER to itself, DIGIT_NONE when they do not touch. */
static int base_direction(int from, int to)
{
    if (from == to)
        return DIGIT_CENTER;
    for (int d = DIGIT_K; d <= DIGIT_IJ; d++)
        if (h3_base_cell_neighbours[from][d] == to)
            return d;
    return DIGIT_NONE;
}

/* Around a pentagon the plane has a gap; it is whole between cells in the same sixth of the same one. */
static bool in_one_sixth(uint64_t origin, uint64_t cell)
{
    return h3_base_cell_of(origin) == h3_base_cell_of(cell) && h3_leading_digit(origin) == h3_leading_digit(cell);
}

/* A cell's coordinates on the plane around the origin's base cell; false where the plane does not reach: behind pentagons and beyond the neighbours.
 */
static bool on_plane_of(uint64_t origin, uint64_t cell, struct h3_ijk *ret)
{
    int from = h3_base_cell_of(origin), to = h3_base_cell_of(cell), direction = base_direction(from, to);
    if (h3_resolution(origin) != h3_resolution(cell) || direction == DIGIT_NONE)
        return false;
    if ((h3_base_cells[from].pentagon || h3_base_cells[to].pentagon) && !in_one_sixth(origin, cell))
        return false;
    for (int i = 0; direction && i < h3_base_cell_rotations[from][direction]; i++)
        cell = h3_turn(cell, true);
    struct h3_ijk shift = unit_of(direction);
    for (int r = h3_resolution(cell); r > 0; r--)
        shift = finer(shift, !is_class_iii(r));
    *ret = normal(add(walk_digits((struct h3_ijk){0, 0, 0}, cell), shift));
    return true;
}

static bool from_plane_of(uint64_t origin, struct h3_ijk at, uint64_t *ret_cell)
{
    int base = h3_base_cell_of(origin);
    uint64_t cell = put_digits(origin, &at);
    int direction = digit_of(at);
    int next = direction == DIGIT_NONE ? H3_BASE_CELLS : h3_base_cell_neighbours[base][direction];
    if (next >= H3_BASE_CELLS)
        return false;
    if ((h3_base_cells[base].pentagon || h3_base_cells[next].pentagon) && (direction != DIGIT_CENTER || !in_one_sixth(origin, cell)))
        return false;
    for (int i = 0; direction && i < h3_base_cell_rotations[base][direction]; i++)
        cell = h3_turn(cell, false);
    *ret_cell = with_base_cell(cell, next);
    return true;
}

static int64_t plane_distance(struct h3_ijk a, struct h3_ijk b)
{
    struct h3_ijk d = normal((struct h3_ijk){b.i - a.i, b.j - a.j, b.k - a.k});
    return d.i > d.j ? (d.i > d.k ? d.i : d.k) : (d.j > d.k ? d.j : d.k);
}

int64_t h3_distance(uint64_t a, uint64_t b)
{
    struct h3_ijk from, to;
    return on_plane_of(a, a, &from) && on_plane_of(a, b, &to) ? plane_distance(from, to) : -1;
}

bool h3_path_cell(uint64_t a, uint64_t b, int64_t distance, int64_t step, uint64_t *ret_cell)
{
    struct h3_ijk from, to;
    if (!on_plane_of(a, a, &from) || !on_plane_of(a, b, &to))
        return false;
    /* Three coordinates that add up to 0, rounded so that they still do: the one that is rounded most follows from the others. */
    double at[3], rounded[3];
    int start[3] = {from.k - from.i, from.j - from.k, from.i - from.j}, end[3] = {to.k - to.i, to.j - to.k, to.i - to.j}, most = 0;
    for (int k = 0; k < 3; k++) {
        at[k] = start[k] + (distance ? (double)(end[k] - start[k]) / (double)distance : 0) * (double)step;
        rounded[k] = round(at[k]);
        if (fabs(rounded[k] - at[k]) >= fabs(rounded[most] - at[most]))
            most = k;
    }
    rounded[most] = -rounded[(most + 1) % 3] - rounded[(most + 2) % 3];
    return from_plane_of(a, normal((struct h3_ijk){(int)-rounded[0], (int)rounded[1], 0}), ret_cell);
}
