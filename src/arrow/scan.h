/* What a query asks of a table, and how it gets at one: the seam between exec/ (which computes) and engine/ (which stores).
 *
 * Everything in a scan_request except `columns` is a hint that may only make the scan return fewer rows that the query would drop anyway;
 * the executor applies its filters again above the scan.
 */
#ifndef ARROW_SCAN_H
#define ARROW_SCAN_H

#include "arrow/column.h"
#include "base/context.h"

enum scan_op {
    SCAN_EQ, SCAN_NE, SCAN_LT, SCAN_LE, SCAN_GT, SCAN_GE, SCAN_IN, SCAN_IS_NULL, SCAN_IS_NOT_NULL,
    SCAN_CONTAINS,   /* a text in which one of the values, none of them empty, occurs */
    SCAN_TERM,       /* a text in which the value occurs as matches_term() demands: not as part of a longer word */
    SCAN_LOWER_TERM, /* the same of the text in lower case */
    SCAN_TEST,       /* a text of which `test` says so */
};

/* A test of texts that only its maker knows, as a pattern; counted, immutable, for any number of threads. */
struct scan_test {
    _Atomic int refs;
    bool (*holds)(const struct scan_test *t, const uint8_t *text, size_t size);
    void (*free)(struct scan_test *t);
    uint8_t *low, *high; /* owned: texts that pass are not below, not above these; NULL = not known */
    size_t low_size, high_size;
};

static inline struct scan_test *scan_test_ref(struct scan_test *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

static inline void scan_test_unref(struct scan_test *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        t->free(t);
}

/* `column <op> any of values`; predicates of a request are a conjunction. Rows for which it is not true (NULL included) may be left out. */
struct scan_predicate {
    uint32_t column;        /* index into the table's schema */
    enum scan_op op;
    struct column *values;  /* of the column's own type: 1 value, for SCAN_IN and SCAN_CONTAINS any number, for the null tests and SCAN_TEST NULL. Borrowed */
    struct scan_test *test; /* SCAN_TEST. Borrowed */
};

/* For those who keep predicates: references to what they borrow. */
static inline void scan_predicate_ref(const struct scan_predicate *p)
{
    column_ref(p->values);
    scan_test_ref(p->test);
}

static inline void scan_predicate_unref(const struct scan_predicate *p)
{
    column_unref(p->values);
    scan_test_unref(p->test);
}

struct scan_request {
    const uint32_t *columns;                 /* wanted columns, indexes into the table's schema, in output order; may be empty (row counts only) */
    uint32_t n_columns;
    const struct scan_predicate *predicates;
    uint32_t n_predicates;
    int64_t limit;                           /* at least this many rows are enough (after the predicates hold exactly); -1 = all */
    bool want_key_order;                     /* rows sorted by (primary key nulls first, time); of tables with `key_ordered` */
    bool last_row_only;                      /* only the newest row of each series is needed */
    bool has_memtable_max_sequence;          /* memtable rows with sequence <= this */
    uint64_t memtable_max_sequence;
    uint64_t sst_min_sequence;               /* SSTs with sequence > this or without one; 0 = all */
};

struct table;

struct scan_stats {                          /* for EXPLAIN ANALYZE; grows while the stream is read */
    int64_t rows, memtable_ranges, files, file_ranges, row_groups_pruned, pages_pruned;
};

/* A scan cut into parts: disjoint, together its rows, and, one part after the other, in the order in which scan() gives them. How it is cut depends on the
 * stored data and the request only, never on threads or time. Parts may be opened in any order and by any threads, each once; a stream is for one thread
 * at a time. What counts for the scan as a whole stands in `stats`, the streams count the rest. */
struct scan_parts {
    const struct scan_parts_ops *ops;
    uint32_t n; /* at least 1 */
    struct scan_stats stats;
};

struct scan_parts_ops {
    int (*open)(struct scan_parts *p, uint32_t part, struct batch_stream **ret_stream, struct error *err);
    void (*free)(struct scan_parts *p); /* streams that are open may outlive it */
};

struct table_ops {
    /* The stream's schema holds the wanted columns; var-length tags may come as Dictionary(UInt32, T) of the declared type, also differing from
     * batch to batch in their dictionaries. The stream keeps what it reads alive by itself. */
    int (*scan)(struct table *t, const struct scan_request *request, struct work_context *work, struct batch_stream **ret_stream, struct error *err);
    void (*free)(struct table *t);
    /* The same as parts, of some 10,000 rows at least: 1 when the scan is small or ends early (a limit). NULL: the table cannot be cut. */
    int (*cut)(struct table *t, const struct scan_request *request, struct work_context *work, struct scan_parts **ret_parts, struct error *err);
    /* Whether the rows are likely to come in key order anyway, so that asking for it (want_key_order) costs nothing. Rows written meanwhile may change that:
     * only a request that asks can rely on it. NULL: no. */
    bool (*in_key_order)(struct table *t, const struct scan_request *request);
};

struct table {
    const struct table_ops *ops;
    struct schema *schema;     /* all columns, declared types and metadata */
    const uint32_t *key;       /* primary key: indexes into schema */
    uint32_t n_key;
    int32_t time_index;        /* -1 = none (the inspection tables) */
    uint64_t region_id;
    bool append_mode;
    bool key_ordered;          /* scans can give rows in the order of the key's values, columns in the order of `key`, and time */
    bool series_ordered;       /* scans give the rows of a key's values in the order of their times, whatever is asked for */
};

static inline void scan_stats_add(struct scan_stats *to, const struct scan_stats *more)
{
    to->rows += more->rows;
    to->memtable_ranges += more->memtable_ranges;
    to->files += more->files;
    to->file_ranges += more->file_ranges;
    to->row_groups_pruned += more->row_groups_pruned;
    to->pages_pruned += more->pages_pruned;
}

static inline void scan_parts_free(struct scan_parts *p)
{
    if (p)
        p->ops->free(p);
}

static inline void table_free(struct table *t)
{
    if (t)
        t->ops->free(t);
}

#endif
