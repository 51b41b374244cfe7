/* What the parts of arrow/ipc share: numbers of Arrow's FlatBuffers schemas (Schema.fbs, Message.fbs). */
#ifndef ARROW_IPC_INTERNAL_H
#define ARROW_IPC_INTERNAL_H

#include "arrow/flatbuf.h"
#include "arrow/ipc.h"

enum { MSG_VERSION, MSG_TYPE, MSG_HEADER, MSG_BODY };
enum { HEADER_NONE, HEADER_SCHEMA, HEADER_DICTIONARY, HEADER_BATCH };
enum { DICTIONARY_ID, DICTIONARY_DATA, DICTIONARY_DELTA };
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
/* The Schema table alone, for the footer of a file. */
uint32_t ipc_build_schema(struct fb_builder *b, const struct schema *schema);

/* The buffers of a message body, taken one after another in the order in which the columns need them. */
struct ipc_body {
    struct buffer *bytes;      /* borrowed; slices of it take their own references */
    struct budget *budget;
    struct fb_vector buffers;  /* Buffer {offset, length} */
    uint32_t next;
    enum ipc_compression compression;
    void *lz4, *zstd;          /* decompression contexts, made at first use */
};

#define IPC_WHOLE SIZE_MAX

void ipc_body_release(struct ipc_body *b);
int ipc_body_skip(struct ipc_body *b, struct error *err);
/* The first `need` bytes of the next buffer, or all of it (IPC_WHOLE); ST_CORRUPT when it has fewer. One reference. */
int ipc_body_take(struct ipc_body *b, size_t need, struct buffer **ret_buffer, struct error *err);

#endif
