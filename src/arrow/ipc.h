/* Arrow IPC: schemas, record batches and dictionaries as messages, both ways.
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

/* The schema of what ipc_encode_batch() sends: dictionaries at any depth replaced by their values (ranges stay). One reference. */
int ipc_plain_schema(struct schema *schema, struct schema **ret_schema, struct error *err);

/* Encodes batches one after another, keeping its compression contexts and scratch memory. Not thread-safe. */
struct ipc_encoder;
int ipc_encoder_new(struct budget *budget, enum ipc_compression compression, struct ipc_encoder **ret_encoder, struct error *err);
void ipc_encoder_free(struct ipc_encoder *e); /* NULL is allowed */

/* Appends the RecordBatch message to `header`; *ret_body gets one reference (size 0 for an empty body). Dictionary columns go out as plain values,
 * except in a batch of no rows, where they stay keys so that they fit an ipc_encode_schema() of the same schema. */
int ipc_encode_batch(struct ipc_encoder *e, const struct batch *batch, struct dynbuf *header, struct buffer **ret_body, struct error *err);

/* Appends the DictionaryBatch message for the values of dictionary `id`: for range columns, whose values must go out before their batch. */
int ipc_encode_dictionary(struct ipc_encoder *e, int64_t id, struct column *values, struct dynbuf *header, struct buffer **ret_body, struct error *err);

/* The Schema message alone. */
int ipc_decode_schema(const void *message, size_t size, struct schema **ret_schema, struct error *err);

/* Decodes a RecordBatch message whose body lies in `body`; buffers that are aligned and padded well enough are shared with it, the others copied
 * and charged to `budget`. Offsets, keys and UTF-8 are checked: what comes out is safe to compute on. `dictionaries` may be NULL when the schema has
 * no dictionary fields (or no rows come), else it must stem from the same schema. */
struct ipc_dictionaries;
int ipc_decode_batch(struct schema *schema, struct ipc_dictionaries *dictionaries, const void *message, size_t size, struct buffer *body,
                     struct budget *budget, struct batch **ret_batch, struct error *err);

/* Like ipc_decode_schema(), and makes the (still empty) dictionaries of its fields. */
int ipc_dictionaries_new(const void *schema_message, size_t size, struct schema **ret_schema, struct ipc_dictionaries **ret_dictionaries,
                         struct error *err);
void ipc_dictionaries_free(struct ipc_dictionaries *d); /* NULL is allowed */
/* Takes in a DictionaryBatch message: a new dictionary, a replacement or a delta. Batches decoded before keep theirs. */
int ipc_decode_dictionary(struct ipc_dictionaries *d, const void *message, size_t size, struct buffer *body, struct budget *budget,
                          struct error *err);

enum ipc_message { IPC_MESSAGE_NONE, IPC_MESSAGE_SCHEMA, IPC_MESSAGE_DICTIONARY, IPC_MESSAGE_BATCH };
/* What a message is, for readers of streams; ST_UNSUPPORTED for tensors. */
int ipc_message_kind(const void *message, size_t size, enum ipc_message *ret_kind, struct error *err);

/* Length of the body that follows a message in a stream. */
int ipc_body_length(const void *message, size_t size, int64_t *ret_bytes, struct error *err);

#endif
