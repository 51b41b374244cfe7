/* The H3 grid on standard input and output, for tests/py/test_h3.py: one request a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/h3/h3.h"

enum { K_MAX = 20 };

static void answer(const char *op, uint64_t cell, int n)
{
    static uint64_t cells[3 * K_MAX * (K_MAX + 1) + 1];
    double lat, lng;
    if (strcmp(op, "valid") == 0) {
        printf("%d", h3_is_cell(cell));
    } else if (strcmp(op, "place") == 0) {
        h3_to_latlng(cell, &lat, &lng);
        printf("%.17g %.17g", lat, lng);
    } else if (strcmp(op, "disk") == 0 && n <= K_MAX) {
        bool regular = h3_disk(cell, n, cells);
        for (int i = 0; regular && i < 3 * n * (n + 1) + 1; i++)
            printf("%lx ", cells[i]);
    } else if (strcmp(op, "neighbours") == 0) {
        for (int d = 1, turns = 0; d <= 6; d++, turns = 0)
            if (h3_neighbour(cell, d, &turns, cells))
                printf("%lx ", *cells);
    } else if (strcmp(op, "children") == 0) {
        for (uint64_t i = 0, count = h3_children_count(cell, n); i < count; i++) {
            uint64_t child = h3_child_at(cell, n, i);
            printf("%lx%s ", child, h3_child_position(child, h3_resolution(cell)) == i && h3_parent(child, h3_resolution(cell)) == cell ? "" : "!");
        }
    }
    puts("");
}

int main(void)
{
    char line[200], op[20];
    double lat, lng;
    uint64_t cell, other;
    int n = 0;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "cell %lf %lf %d", &lat, &lng, &n) == 3)
            printf("%lx\n", h3_from_latlng(lat, lng, n));
        else if (sscanf(line, "distance %lx %lx", &cell, &other) == 2)
            printf("%ld\n", h3_distance(cell, other));
        else if (sscanf(line, "%19s %lx %d", op, &cell, &n) >= 2)
            answer(op, cell, n);
    }
    return 0;
}
