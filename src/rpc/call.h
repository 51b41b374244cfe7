/* What the client side's files share: one call on the C core. */
#ifndef RPC_CALL_H
#define RPC_CALL_H

#include "rpc/internal.h"

enum { CLIENT_MESSAGE_BYTES_MAX = 512 << 20 };

struct client_call {
    grpc_call *call;
    grpc_metadata_array head, trailer;
    grpc_status_code status; /* valid once the tag `k` has come */
    grpc_slice details;
};

struct rpc_channel {
    grpc_channel *channel;
    grpc_completion_queue *cq; /* for plucking */
    size_t recv_bytes_max;
};

/* Opens the call and asks for its status, which arrives under the tag `k`. timeout_ms 0 = none. */
void client_call_start(struct client_call *k, grpc_channel *channel, grpc_completion_queue *cq, const char *path, int64_t timeout_ms);
/* Headers and the first message (borrowed until the tag comes); `last`: and nothing more. */
bool client_call_request(struct client_call *k, grpc_byte_buffer *message, bool last, void *tag);
bool client_call_receive(struct client_call *k, grpc_byte_buffer **ret_message, void *tag);
/* A received message as bytes; takes `message`. */
int client_call_take(grpc_byte_buffer *message, size_t bytes_max, struct buffer **ret_message, struct error *err);
/* The server's status and text. */
int client_call_outcome(const struct client_call *k, struct error *err);
void client_call_release(struct client_call *k);

#endif
