/* What the files of regionctl share: the state of one run, the commands, the command line, the node and printing.
 *
 * regionctl runs one command and ends: small things live in the arena of the run. Errors travel up as everywhere; main() prints them in one line.
 */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include <stdio.h>

#include "arrow/column.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "format/region/metadata.h"
#include "rpc/client.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct ctl {
    const char *addr, *http;
    int argc; /* arguments behind the command's name */
    char **argv;
    bool bad_usage; /* the error is about the command line: exit code 2 */
    int exit_code;  /* of a command that worked and has something to say */
    struct arena arena;
    struct rpc_client *client; /* made at the first call */
};

/* ---- commands ---- */
int ctl_health(struct ctl *c, struct error *err);
int ctl_list(struct ctl *c, struct error *err);
int ctl_describe(struct ctl *c, struct error *err);
int ctl_create(struct ctl *c, struct error *err);
int ctl_open(struct ctl *c, struct error *err);
int ctl_load(struct ctl *c, struct error *err);
int ctl_scan(struct ctl *c, struct error *err);
int ctl_flush(struct ctl *c, struct error *err);
int ctl_compact(struct ctl *c, struct error *err);
int ctl_build_index(struct ctl *c, struct error *err);
int ctl_drop(struct ctl *c, struct error *err);
int ctl_functions(struct ctl *c, struct error *err);
int ctl_inspect(struct ctl *c, struct error *err);
int ctl_check(struct ctl *c, struct error *err);
int ctl_inspect_sst(struct ctl *c, const char *path, struct error *err);
int ctl_inspect_manifest(struct ctl *c, const char *path, struct error *err);
int ctl_inspect_puffin(struct ctl *c, const char *path, struct error *err);
int ctl_inspect_wal(struct ctl *c, const char *path, struct error *err);

/* ---- the command line ---- */
struct ctl_list_value { const char **items; uint32_t n; };

struct ctl_flag {     /* one of the three is set; the list ends with name = NULL */
    const char *name; /* with its dashes */
    const char **value;
    bool *on;
    struct ctl_list_value *list; /* may be given many times; items are made here */
};

/* Reads flags (`--name value` and `--name=value`) and between min and max other arguments into `words`, NULL behind the last given. */
int ctl_arguments(struct ctl *c, const struct ctl_flag *flags, const char **words, uint32_t min, uint32_t max, struct error *err);
int ctl_usage(struct ctl *c, struct error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- the node ---- */
struct ctl_region {
    uint64_t id, rows, memtable_bytes, sst_num, sst_bytes;
    const char *engine, *state, *role, *path, *error; /* never NULL; "" = not told */
    bool found;                                       /* in the data folder, and read-only until it is opened with its options */
};

/* The regions that /status lists. */
int ctl_regions(struct ctl *c, struct ctl_region **ret_regions, uint32_t *ret_n, struct error *err);
/* A region's number from "ID", "TABLE:NUMBER" or a name. A name that no region has gets the first free number of its hash. */
int ctl_resolve(struct ctl *c, const char *text, uint64_t *ret_id, struct error *err);
/* True when `text` is a name, that is neither a number nor TABLE:NUMBER. */
bool ctl_is_name(const char *text);
int ctl_connect(struct ctl *c, struct error *err);
/* Sends a request with that member of RegionRequest's oneof; *ret_rows = affected rows (NULL allowed). */
int ctl_send(struct ctl *c, uint32_t member, const struct dynbuf *body, uint64_t *ret_rows, struct error *err);
/* One reference; ST_REGION_NOT_FOUND when the node has no such region. */
int ctl_metadata(struct ctl *c, uint64_t region_id, struct region_metadata **ret_meta, struct error *err);

/* ---- making regions ---- */
struct ctl_column {
    const char *name;
    int32_t datatype; /* ColumnDataType */
    enum semantic_type semantic;
    bool not_null;
};

/* "int64", "string", "timestamp_ms" ... as ColumnDataType; -1 = unknown. */
int32_t ctl_datatype(const char *name, size_t size);
/* `name` becomes the region's path; NULL for a region known by number only. */
int ctl_create_region(struct ctl *c, uint64_t region_id, const char *name, const struct ctl_column *columns, uint32_t n,
                      const struct ctl_list_value *options, struct error *err);

/* ---- printing ---- */
/* An aligned table. Cells are copied; rows are printed by ctl_table_end() or, when there are many, as they come in the widths of the first ones. */
struct ctl_table {
    FILE *out;
    uint32_t n_columns;
    bool *right; /* numbers are flushed right */
    size_t *width;
    char **cells;
    uint32_t n_cells, room;
    bool streaming;
};
int ctl_table_begin(struct ctl_table *t, FILE *out, const char *const *headings, uint32_t n, struct error *err);
int ctl_table_cell(struct ctl_table *t, const char *text, size_t size, bool number, struct error *err);
int ctl_table_printf(struct ctl_table *t, struct error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ctl_table_end(struct ctl_table *t); /* prints what is left */
void ctl_table_free(struct ctl_table *t);

/* "12.3 MiB"; returns `out`. */
const char *ctl_bytes(uint64_t bytes, char out[24]);
/* The text of a value, zero-terminated in the arena or static; times as RFC 3339. `c` has no null at i. */
int ctl_value_text(struct arena *a, const struct column *c, int64_t i, const char **ret_text, size_t *ret_size, struct error *err);

#endif
