/* The query language of matches(). */
#ifndef EXEC_MATCH_PATTERN_H
#define EXEC_MATCH_PATTERN_H

#include <stdbool.h>

#include "base/arena.h"

struct match_node;

/* Reads a pattern; the tree lives in the arena, and borrows nothing from it. ST_EXECUTE_QUERY where it is malformed. */
int match_pattern_read(struct arena *arena, const char *p, size_t n, struct match_node **ret_root, struct error *err);
bool match_pattern_holds(const struct match_node *root, const uint8_t *text, size_t size);

/* A text, never empty, that has to occur, or one of those behind it in `or_else`; and so do all that `next` leads to. */
struct match_need {
    const char *text;
    size_t size;
    struct match_need *or_else, *next;
};

/* Puts what every text that matches must hold in front of *list (NULL at first). */
int match_pattern_needs(struct arena *arena, const struct match_node *root, struct match_need **list, struct error *err);

#endif
