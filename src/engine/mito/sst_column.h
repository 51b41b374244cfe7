/* Stored columns of row groups, decoded; whole ones are kept between scans. */
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
};

/* The column for the selected rows. It may be shared with other scans. */
int sst_column_read(const struct sst_column_request *q, struct column **ret_column, struct error *err);

#endif
