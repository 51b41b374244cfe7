/* What the parts of arrow/ipc share: numbers of Arrow's FlatBuffers schemas (Schema.fbs, Message.fbs). */
#ifndef ARROW_IPC_INTERNAL_H
#define ARROW_IPC_INTERNAL_H

#include "arrow/flatbuf.h"
#include "arrow/ipc.h"

enum { MSG_VERSION, MSG_TYPE, MSG_HEADER, MSG_BODY };
enum { HEADER_NONE, HEADER_SCHEMA, HEADER_DICTIONARY, HEADER_BATCH };
enum { METADATA_V4 = 3, METADATA_V5 = 4 };
enum { BATCH_LENGTH, BATCH_NODES, BATCH_BUFFERS, BATCH_COMPRESSION, BATCH_VARIADIC };

#define IPC_MAX_DEPTH 64

/* Dictionary ids of a schema's dictionary fields in depth-first order (a dictionary before those inside its values). */
struct ipc_ids {
    int64_t *ids;
    uint32_t n, room;
};

/* Reads the message at the root of `r` and checks its version; on success *ret_header is the table of *ret_type. */
int ipc_open_message(struct fb_reader *r, const void *message, size_t size, uint8_t *ret_type, struct fb_table *ret_header, int64_t *ret_body,
                     struct error *err);
int ipc_read_schema(struct fb_table *header, struct schema **ret_schema, struct ipc_ids *ids, struct error *err);
int ipc_bad_message(struct error *err);

#endif
