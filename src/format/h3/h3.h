/* H3 cells (h3geo.org): a hexagonal grid in 16 resolutions on the faces of an icosahedron. Pure functions on 64-bit indexes. */
#ifndef FORMAT_H3_H3_H
#define FORMAT_H3_H3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { H3_RESOLUTION_MAX = 15 };

/* A cell index with everything as it must be: mode, base cell, digits. The functions below want such cells. */
bool h3_is_cell(uint64_t cell);
int h3_resolution(uint64_t cell);
int h3_base_cell_of(uint64_t cell);
bool h3_is_pentagon(uint64_t cell);

/* The cell around a place in degrees, both finite. */
uint64_t h3_from_latlng(double lat, double lng, int resolution);
void h3_to_latlng(uint64_t cell, double *ret_lat, double *ret_lng);

/* 0 when the resolution is finer than the cell's own, or coarser for children. */
uint64_t h3_parent(uint64_t cell, int resolution);
uint64_t h3_center_child(uint64_t cell, int resolution);
uint64_t h3_children_count(uint64_t cell, int resolution); /* 0 for a resolution that is coarser or none */
/* Child number `position` in the order of their indexes, position < h3_children_count(); and the position of a cell among the children of its parent.
 */
uint64_t h3_child_at(uint64_t cell, int resolution, uint64_t position);
uint64_t h3_child_position(uint64_t cell, int parent_resolution);

/* The next cell in a direction (a digit 1 to 6) of the frame that is turned by *turns; false where a pentagon has no such side, or the index is no
 * cell. */
bool h3_neighbour(uint64_t cell, int direction, int *turns, uint64_t *ret_cell);

/* The rings around a cell up to distance k, ring after ring, in `ret_cells` with room for 3k(k+1)+1; false when a pentagon lies among them. */
bool h3_disk(uint64_t cell, int k, uint64_t *ret_cells);

/* Steps from one cell to another, -1 where no plane holds both: of different resolutions, on base cells that do not touch, or at a pentagon's. */
int64_t h3_distance(uint64_t a, uint64_t b);
/* Cell number `step` (0 to distance) of the straight way from a to b, distance = h3_distance(a, b). */
bool h3_path_cell(uint64_t a, uint64_t b, int64_t distance, int64_t step, uint64_t *ret_cell);

#endif
