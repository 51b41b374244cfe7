/* Gives every distinct byte string of a grouping column a small number, so that group keys have a fixed width. */
#ifndef EXEC_INTERN_H
#define EXEC_INTERN_H

#include "arrow/column.h"
#include "exec/vec.h"

enum { INTERN_DICTIONARIES = 4 };

/* The numbers of one dictionary's values, found as rows mention them. Holds the dictionary, so its address stays unique. */
struct intern_dictionary {
    struct column *dictionary;
    struct vec ids; /* uint32 a dictionary value; 0 = not looked up yet, else id + 1 */
};

struct interner {
    struct budget *budget;
    struct vec bytes, ends; /* all strings behind one another; ends[id] = where string `id` ends, ends[0] = 0 for the null */
    size_t bytes_used;
    uint32_t count;         /* ids in use: 1 + number of strings; id 0 is NULL */
    struct vec slots;       /* uint64: hash tag << 32 | id; 0 = free */
    size_t n_slots;
    bool frozen;            /* strings that are not there get UINT32_MAX instead of an id */
    struct intern_dictionary dictionaries[INTERN_DICTIONARIES];
    uint32_t next_dictionary;
};

int interner_init(struct interner *in, struct budget *budget, struct error *err);
void interner_release(struct interner *in);

/* Ids of all rows of a var-length column (or a dictionary of one); NULL is id 0. */
int interner_map(struct interner *in, struct column *c, uint32_t *ids, struct error *err);

/* A column of `type` (var-length) with the strings of ids[0..n); 0 gives NULL. */
int interner_column(const struct interner *in, struct dtype *type, const uint32_t *ids, uint32_t n, struct column **ret_column, struct error *err);

/* Bytes of the table, charged to the budget. */
size_t interner_bytes(const struct interner *in);

#endif
