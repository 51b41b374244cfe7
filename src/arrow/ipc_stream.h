/* Arrow IPC streams in (bytes to batches) and files out (batches to bytes through a callback). */
#ifndef ARROW_IPC_STREAM_H
#define ARROW_IPC_STREAM_H

#include "arrow/ipc.h"

/* Reads the encapsulated messages in `bytes` (of which the stream keeps a reference): schema now, batches as they are asked for. */
int ipc_stream_open(struct buffer *bytes, struct budget *budget, struct batch_stream **ret_stream, struct error *err);

struct ipc_sink {
    int (*write)(void *context, const void *data, size_t size, struct error *err);
    void *context;
};

/* Writes an Arrow file. Dictionary columns go out as plain values (see ipc_plain_schema), batches without rows not at all. */
struct ipc_file_writer;
int ipc_file_writer_open(const struct ipc_sink *sink, struct schema *schema, struct budget *budget, enum ipc_compression compression,
                         struct ipc_file_writer **ret_writer, struct error *err);
int ipc_file_writer_put(struct ipc_file_writer *w, const struct batch *batch, struct error *err);
int ipc_file_writer_finish(struct ipc_file_writer *w, struct error *err); /* the footer; without it the file is not readable */
void ipc_file_writer_free(struct ipc_file_writer *w);                     /* NULL is allowed */

#endif
