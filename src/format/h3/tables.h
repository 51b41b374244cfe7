/* See tables.c. Private to format/h3. */
#ifndef FORMAT_H3_TABLES_H
#define FORMAT_H3_TABLES_H

#include <stdint.h>

enum { H3_FACES = 20, H3_BASE_CELLS = 122, H3_NO_BASE_CELL = 127 };

struct h3_ijk {
    int i, j, k;
};

/* Crossing to another face: its number, the shift in units of the resolution, and how often to turn by 60 degrees. */
struct h3_face_neighbour {
    int face;
    struct h3_ijk shift;
    int turns;
};

struct h3_base_cell {
    int face;
    struct h3_ijk at;
    int pentagon;
    int clockwise_faces[2]; /* pentagons: faces from which one enters clockwise; -1 = none */
};

/* The base cell at a place on a face and how its digits are turned there. */
struct h3_home {
    uint8_t base_cell, turns;
};

enum { H3_NEIGHBOUR_IJ = 1, H3_NEIGHBOUR_KI = 2, H3_NEIGHBOUR_JK = 3 };

extern const double h3_face_centers[H3_FACES][3];
extern const double h3_face_azimuths[H3_FACES]; /* of the i axis */
extern const struct h3_face_neighbour h3_face_neighbours[H3_FACES][4];
extern const struct h3_base_cell h3_base_cells[H3_BASE_CELLS];
extern const struct h3_home h3_homes[H3_FACES][3][3][3];
extern const uint8_t h3_base_cell_neighbours[H3_BASE_CELLS][7];
extern const int8_t h3_base_cell_rotations[H3_BASE_CELLS][7];
/* By whether the resolution is odd, the old digit and the direction: the new digit, and the direction in which the next coarser cell moves. */
extern const uint8_t h3_new_digit[2][7][7], h3_carry[2][7][7];

#endif
