/* Small numbers for the distinct values of a nested grouping column (lists, structs), as exec/intern.h has them for strings: the interned string is
 * the value's sort key, and of every distinct value the first row is kept, so that the column can be built again. */
#ifndef EXEC_INTERN_NESTED_H
#define EXEC_INTERN_NESTED_H

#include "exec/intern.h"
#include "exec/sort_key.h"

struct nested_interner {
    struct interner keys;
    struct vec chunks; /* struct column *: value id is row id - 1 of all of them one after another */
    uint32_t n_chunks, n_kept;
    struct sort_keys scratch;
    struct vec rows;
};

int nested_interner_init(struct nested_interner *in, struct budget *budget, struct error *err);
void nested_interner_release(struct nested_interner *in);

/* Ids of all rows, from 1; NULL is a value like the others. */
int nested_interner_map(struct nested_interner *in, struct column *c, uint32_t *ids, struct error *err);
int nested_interner_column(const struct nested_interner *in, struct dtype *type, const uint32_t *ids, uint32_t n, struct column **ret_column,
                           struct error *err);
size_t nested_interner_bytes(const struct nested_interner *in);

#endif
