/* What the readers of files and the writer of rows share. A reader walks the file twice: once to find the columns (for --create), once to send. */
#ifndef CTL_LOAD_H
#define CTL_LOAD_H

#include "ctl/commands.h"

enum { LOAD_BATCH_ROWS = 3000, LOAD_COLUMNS_MAX = 2000, LOAD_TARGETS_MAX = 1000 };

/* What a column's values have looked like so far; merged by load_kind_merge(). */
enum load_kind { LOAD_UNSEEN, LOAD_BOOL, LOAD_INT, LOAD_UINT, LOAD_FLOAT, LOAD_TIME, LOAD_STRING };

struct load_column {
    const char *name;
    enum semantic_type semantic;
    enum load_kind kind;
    int32_t datatype;
};

struct load_cell { const char *text; size_t size; bool set; }; /* !set = null */

/* One region that is written to. */
struct load_target {
    const char *name; /* as the file calls it */
    uint64_t region_id;
    struct load_column columns[LOAD_COLUMNS_MAX];
    struct load_cell cells[LOAD_COLUMNS_MAX]; /* the row being put together */
    uint32_t n_columns;
    struct dynbuf rows;
    uint32_t n_rows;
};

struct load {
    struct ctl *c;
    const char *path, *region, *tags; /* region, tags: NULL unless given */
    const char *text, *end, *at;      /* the mapped file, and how far the reader is */
    bool create;
    bool sending; /* second walk */
    struct load_target *targets[LOAD_TARGETS_MAX];
    uint32_t n_targets;
    const char *only_name; /* of the target, for the message at the end */
    uint64_t line, n_rows;
    bool progress;
};

/* The target of that name, made when it is new. */
int load_target(struct load *l, const char *name, size_t size, struct load_target **ret_target, struct error *err);
/* The column of that name; on the first walk it is added when it is new, on the second a missing one is an error. */
int load_column(struct load *l, struct load_target *t, const char *name, size_t size, enum semantic_type semantic, uint32_t *ret_index,
                struct error *err);
enum load_kind load_kind_merge(enum load_kind a, enum load_kind b);
/* The row in t->cells is complete: encodes it and clears the cells; sends the batch when it is full. */
int load_row(struct load *l, struct load_target *t, struct error *err);
/* Name of the time column of a target: the region's own, else "time". */
const char *load_time_name(const struct load_target *t);

int load_read_csv(struct load *l, struct error *err);
int load_read_lp(struct load *l, struct error *err);

#endif
