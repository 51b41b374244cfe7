/* Stored columns of row groups, decoded; whole ones are kept between scans, and so are those of the last rows of the series in a row group. */
#ifndef ENGINE_MITO_SST_COLUMN_H
#define ENGINE_MITO_SST_COLUMN_H

#include "engine/mito/sst_select.h"

struct sst_column_request {
    struct sst_file *file;
    const struct sst_footer *footer;
    struct parquet_source source;
    uint32_t row_group, column;       /* a top-level Parquet column */
    struct dtype *type;               /* the same for a column at all times */
    int flags;                        /* of parquet_read_column() */
    const struct row_selection *rows; /* of the row group */
    struct budget *budget;
    bool keep;                        /* a scan may ask for it again */
    bool last_rows;                   /* `rows` are the last ones of all series in the row group */
};

/* The column for the selected rows. It may be shared with other scans. */
int sst_column_read(const struct sst_column_request *q, struct column **ret_column, struct error *err);

/* The last rows of the series in a row group whose keys are `codes`: those before another code, and the last one. */
struct last_rows {
    struct cached base;
    struct budget *budget;
    uint32_t n;
    uint32_t rows[];
};

/* Known ones, with a reference: NULL when they are not. */
struct last_rows *sst_last_rows_get(const struct sst_file *file, const struct sst_footer *footer, uint32_t row_group);
/* Keeps them for the next scan, if there is room. */
void sst_last_rows_put(struct sst_file *file, const struct sst_footer *footer, uint32_t row_group, const uint32_t *rows, uint32_t n);

#endif
