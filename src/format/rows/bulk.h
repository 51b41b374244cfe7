/* The Arrow batch inside a bulk insert (region-rpc.md 4.2). */
#ifndef FORMAT_ROWS_BULK_H
#define FORMAT_ROWS_BULK_H

#include "arrow/column.h"
#include "format/proto/wire.h"

/* Decodes an ArrowIpc message {schema = 1, data_header = 2, payload = 3}; ST_INVALID_ARGUMENTS when it is damaged. One reference. */
int bulk_batch_decode(const struct pb_field *ipc, struct budget *budget, struct batch **ret_batch, struct error *err);

#endif
