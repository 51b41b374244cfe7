/* Indexes, parents and children, neighbours. */
#include "format/h3/h3.h"

#include "format/h3/internal.h"

int h3_resolution(uint64_t cell)
{
    return (int)(cell >> 52 & 15);
}

int h3_base_cell_of(uint64_t cell)
{
    return (int)(cell >> 45 & 127);
}

static bool is_pentagon_base(int base_cell)
{
    return base_cell < H3_BASE_CELLS && h3_base_cells[base_cell].pentagon;
}

int h3_leading_digit(uint64_t cell)
{
    for (int r = 1; r <= h3_resolution(cell); r++)
        if (digit_at(cell, r))
            return digit_at(cell, r);
    return DIGIT_CENTER;
}

bool h3_is_pentagon(uint64_t cell)
{
    return is_pentagon_base(h3_base_cell_of(cell)) && h3_leading_digit(cell) == DIGIT_CENTER;
}

bool h3_is_cell(uint64_t cell)
{
    if (cell >> 59 != 1 || cell >> 56 & 7 || h3_base_cell_of(cell) >= H3_BASE_CELLS)
        return false;
    for (int r = 1; r <= H3_RESOLUTION_MAX; r++)
        if ((digit_at(cell, r) == DIGIT_NONE) != (r > h3_resolution(cell)))
            return false;
    return !is_pentagon_base(h3_base_cell_of(cell)) || h3_leading_digit(cell) != DIGIT_K;
}

/* ---- turning ---- */

int h3_turn_digit(int digit, bool clockwise)
{
    static const uint8_t ccw[8] = {0, 5, 3, 1, 6, 4, 2, 7}, cw[8] = {0, 3, 6, 2, 5, 1, 4, 7};
    return clockwise ? cw[digit] : ccw[digit];
}

uint64_t h3_turn(uint64_t cell, bool clockwise)
{
    for (int r = 1; r <= h3_resolution(cell); r++)
        cell = with_digit(cell, r, h3_turn_digit(digit_at(cell, r), clockwise));
    return cell;
}

uint64_t h3_turn_pentagon(uint64_t cell)
{
    bool found = false;
    for (int r = 1; r <= h3_resolution(cell); r++) {
        cell = with_digit(cell, r, h3_turn_digit(digit_at(cell, r), false));
        if (found || digit_at(cell, r) == DIGIT_CENTER)
            continue;
        found = true;
        if (h3_leading_digit(cell) == DIGIT_K)
            cell = h3_turn(cell, false);
    }
    return cell;
}

/* ---- parents and children ---- */

static uint64_t with_resolution(uint64_t cell, int resolution)
{
    return (cell & ~(15ull << 52)) | (uint64_t)resolution << 52;
}

uint64_t h3_parent(uint64_t cell, int resolution)
{
    if (resolution < 0 || resolution > h3_resolution(cell))
        return 0;
    for (int r = resolution + 1; r <= H3_RESOLUTION_MAX; r++)
        cell = with_digit(cell, r, DIGIT_NONE);
    return with_resolution(cell, resolution);
}

uint64_t h3_center_child(uint64_t cell, int resolution)
{
    if (resolution < h3_resolution(cell) || resolution > H3_RESOLUTION_MAX)
        return 0;
    for (int r = h3_resolution(cell) + 1; r <= resolution; r++)
        cell = with_digit(cell, r, DIGIT_CENTER);
    return with_resolution(cell, resolution);
}

static uint64_t power7(int n)
{
    uint64_t p = 1;
    while (n-- > 0)
        p *= 7;
    return p;
}

/* Descendants after n steps; a pentagon has five hexagons and a pentagon as children. */
static uint64_t descendants(bool pentagon, int n)
{
    return pentagon ? 1 + 5 * ((power7(n) - 1) / 6) : power7(n);
}

uint64_t h3_children_count(uint64_t cell, int resolution)
{
    if (resolution < h3_resolution(cell) || resolution > H3_RESOLUTION_MAX)
        return 0;
    return descendants(h3_is_pentagon(cell), resolution - h3_resolution(cell));
}

uint64_t h3_child_at(uint64_t cell, int resolution, uint64_t position)
{
    bool pentagon = h3_is_pentagon(cell);
    uint64_t child = h3_center_child(cell, resolution);
    for (int r = h3_resolution(cell) + 1; r <= resolution; r++) {
        uint64_t center = descendants(pentagon, resolution - r), other = descendants(false, resolution - r);
        if (position < center)
            continue; /* digit 0: the center */
        position -= center;
        int digit = 1 + pentagon + (int)(position / other);
        position %= other;
        pentagon = false;
        child = with_digit(child, r, digit);
    }
    return child;
}

uint64_t h3_child_position(uint64_t cell, int parent_resolution)
{
    bool pentagon = h3_is_pentagon(h3_parent(cell, parent_resolution));
    int resolution = h3_resolution(cell);
    uint64_t position = 0;
    for (int r = parent_resolution + 1; r <= resolution; r++) {
        int digit = digit_at(cell, r);
        if (digit == DIGIT_CENTER)
            continue;
        position += descendants(pentagon, resolution - r) + (uint64_t)(digit - 1 - pentagon) * descendants(false, resolution - r);
        pentagon = false;
    }
    return position;
}

/* ---- neighbours ---- */

/* Moves the digits; when the move leaves the base cell, *ret_turns says how the new one is turned. */
static uint64_t move_digits(uint64_t cell, int direction, int *turns, int *ret_turns)
{
    int old_base = h3_base_cell_of(cell);
    *ret_turns = 0;
    for (int r = h3_resolution(cell); r > 0; r--) {
        int old = digit_at(cell, r);
        cell = with_digit(cell, r, h3_new_digit[r & 1][old][direction]);
        direction = h3_carry[r & 1][old][direction];
        if (direction == DIGIT_CENTER)
            return cell;
    }
    int base = h3_base_cell_neighbours[old_base][direction];
    *ret_turns = h3_base_cell_rotations[old_base][direction];
    if (base == H3_NO_BASE_CELL) { /* a pentagon's missing side leads where its neighbour side leads */
        base = h3_base_cell_neighbours[old_base][DIGIT_IK];
        *ret_turns = h3_base_cell_rotations[old_base][DIGIT_IK];
        cell = h3_turn(with_base_cell(cell, base), false);
        ++*turns;
        return cell;
    }
    return with_base_cell(cell, base);
}

/* The move ended on the axis that the pentagon does not have: turn out of it, depending on where it came from. */
static bool leave_missing_axis(uint64_t *cell, int old_base, int old_leading, int *turns)
{
    int base = h3_base_cell_of(*cell);
    if (old_base != base) {
        const int *clockwise = h3_base_cells[base].clockwise_faces;
        int face = h3_base_cells[old_base].face;
        *cell = h3_turn(*cell, clockwise[0] == face || clockwise[1] == face);
        return true;
    }
    if (old_leading != DIGIT_JK && old_leading != DIGIT_IK)
        return false;
    *cell = h3_turn(*cell, old_leading == DIGIT_IK);
    *turns += old_leading == DIGIT_JK ? 1 : 5;
    return true;
}

bool h3_neighbour(uint64_t cell, int direction, int *turns, uint64_t *ret_cell)
{
    int old_base = h3_base_cell_of(cell), old_leading = h3_leading_digit(cell), base_turns;
    *turns %= 6;
    for (int i = 0; i < *turns; i++)
        direction = h3_turn_digit(direction, false);
    cell = move_digits(cell, direction, turns, &base_turns);
    int base = h3_base_cell_of(cell);
    bool adjusted = false;
    if (is_pentagon_base(base) && h3_leading_digit(cell) == DIGIT_K) {
        if (!leave_missing_axis(&cell, old_base, old_leading, turns))
            return false;
        adjusted = true;
    }
    for (int i = 0; i < base_turns; i++)
        cell = is_pentagon_base(base) ? h3_turn_pentagon(cell) : h3_turn(cell, false);
    if (is_pentagon_base(base) && old_base != base) {
        bool polar = base == 4 || base == 117;
        if (polar ? old_base != 118 && old_base != 8 && h3_leading_digit(cell) != DIGIT_JK : h3_leading_digit(cell) == DIGIT_IK && !adjusted)
            ++*turns;
    }
    *turns = (*turns + base_turns) % 6;
    *ret_cell = cell;
    return true;
}

bool h3_disk(uint64_t cell, int k, uint64_t *ret_cells)
{
    static const uint8_t around[6] = {DIGIT_J, DIGIT_JK, DIGIT_K, DIGIT_IK, DIGIT_I, DIGIT_IJ};
    int turns = 0;
    size_t n = 0;
    ret_cells[n++] = cell;
    if (k && h3_is_pentagon(cell))
        return false;
    for (int ring = 1; ring <= k; ring++) {
        if (!h3_neighbour(cell, DIGIT_I, &turns, &cell) || h3_is_pentagon(cell))
            return false;
        for (int i = 0; i < 6 * ring; i++) {
            if (!h3_neighbour(cell, around[i / ring], &turns, &cell) || h3_is_pentagon(cell))
                return false;
            ret_cells[n++] = cell;
        }
    }
    return true;
}
