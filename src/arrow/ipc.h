/* Arrow IPC: schemas (both ways) and record batches (encoding) as messages.
 *
 * A message here is the bare FlatBuffers `Message` (as in Flight's data_header), without continuation word or length; its body is separate.
 * In-memory layouts (arrow/type.h) are translated at this border. Format: Arrow columnar format 1.5, metadata versions V4 and V5;
 * what the peer expects of it: region-rpc.md 7.4-7.10.
 */
#ifndef ARROW_IPC_H
#define ARROW_IPC_H

#include "arrow/column.h"
#include "base/buffer.h"

enum ipc_compression { IPC_NONE, IPC_LZ4, IPC_ZSTD };

/* Message with header NONE and no body, in front of Flight metadata. */
#define IPC_NONE_HEADER_SIZE 20
extern const uint8_t ipc_none_header[IPC_NONE_HEADER_SIZE];

/* Appends the Schema message. Dictionary fields keep their type and get ids in depth-first order. */
int ipc_encode_schema(const struct schema *schema, struct dynbuf *out, struct error *err);

/* The schema of what ipc_encode_batch() sends: dictionaries at any depth replaced by their values. One reference. */
int ipc_plain_schema(struct schema *schema, struct schema **ret_schema, struct error *err);

/* Encodes batches one after another, keeping its compression contexts and scratch memory. Not thread-safe. */
struct ipc_encoder;
int ipc_encoder_new(struct budget *budget, enum ipc_compression compression, struct ipc_encoder **ret_encoder, struct error *err);
void ipc_encoder_free(struct ipc_encoder *e); /* NULL is allowed */

/* Appends the RecordBatch message to `header`; *ret_body gets one reference (size 0 for an empty body). Dictionary columns go out as plain values,
 * except in a batch of no rows, where they stay keys so that they fit an ipc_encode_schema() of the same schema. */
int ipc_encode_batch(struct ipc_encoder *e, const struct batch *batch, struct dynbuf *header, struct buffer **ret_body, struct error *err);

/* The Schema message alone. */
int ipc_decode_schema(const void *message, size_t size, struct schema **ret_schema, struct error *err);

/* Length of the body that follows a message in a stream. */
int ipc_body_length(const void *message, size_t size, int64_t *ret_bytes, struct error *err);

#endif
