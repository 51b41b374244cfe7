/* The parts of a JSON path. Private to format/jsonb/path*.c. */
#ifndef FORMAT_JSONB_PATH_INTERNAL_H
#define FORMAT_JSONB_PATH_INTERNAL_H

#include "format/jsonb/path.h"

struct path_index {
    bool from_last; /* counted from the last item: at = 0 is that, -1 the one before */
    int32_t at;
};

struct path_range {
    struct path_index from, to;
    bool single; /* only `from`; may not lie outside, where a range is cut */
    struct path_range *next;
};

enum path_step_kind { STEP_ANY_MEMBER, STEP_ANY_ITEM, STEP_NAME, STEP_ITEMS, STEP_FILTER };

struct path_step {
    enum path_step_kind kind;
    const uint8_t *name;
    size_t name_size;
    struct path_range *ranges;
    struct path_expr *filter;
    struct path_step *next;
};

/* What is compared: a literal, or the scalars behind a path. */
struct path_operand {
    bool literal, current; /* current: the path starts at @, else at $ */
    enum jsonb_kind kind;  /* literal: NULL, TRUE, FALSE, NUMBER or STRING */
    struct jsonb_number number;
    const uint8_t *text;
    size_t text_size;
    struct path_step *steps;
};

enum path_op { OP_AND, OP_OR, OP_EXISTS, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE };

struct path_expr {
    enum path_op op;
    struct path_expr *left, *right; /* AND, OR */
    struct path_operand a, b;       /* comparisons; EXISTS: only a */
};

struct jsonpath {
    struct path_expr *predicate; /* instead of steps */
    struct path_step *steps;     /* from the root */
};

#endif
