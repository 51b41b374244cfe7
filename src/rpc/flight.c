/* DoGet: Schema, RecordBatches, Metrics (region-rpc.md 7.3, 7.4).
 *
 * The schema goes out before the first batch is asked for; one message is under way while the next is computed. A record batch's body is sent from
 * the encoder's buffer, only the bytes in front of it are put together here.
 */
#include <stdlib.h>
#include <string.h>

#include "arrow/ipc.h"
#include "format/proto/wire.h"
#include "rpc/internal.h"

enum { PIECE_BYTES = 32 << 20 };

struct flight {
    struct rpc_call *call;
    struct region_query *query;
    struct ipc_encoder *encoder;
    struct column **sent;      /* a result column's dictionary that the client has: only those of range vectors go out; allocated at the first */
    grpc_byte_buffer *pending; /* the newest message: sent when the next one is ready, the last together with the status */
};

static int send_message(struct flight *f, const struct dynbuf *header, const struct dynbuf *meta, struct buffer *body, struct error *err)
{
    struct dynbuf front;
    dynbuf_init(&front, SIZE_MAX / 2);
    int rc = pb_put_bytes(&front, 2, header->data, header->size, err);
    if (rc == ST_OK && meta)
        rc = pb_put_bytes(&front, 3, meta->data, meta->size, err);
    if (rc == ST_OK && body && body->size) {
        rc = pb_put_varint(&front, 1000 << 3 | PB_BYTES, err);
        rc = rc ? rc : pb_put_varint(&front, body->size, err);
    }
    if (rc == ST_OK) {
        grpc_slice slices[2] = {grpc_slice_from_copied_buffer((const char *)front.data, front.size)};
        size_t n = 1;
        if (body && body->size)
            slices[n++] = rpc_slice_of(buffer_ref(body));
        f->pending = grpc_raw_byte_buffer_create(slices, n);
        for (size_t i = 0; i < n; i++)
            grpc_slice_unref(slices[i]);
    }
    dynbuf_release(&front);
    return rc;
}

/* Sends what is pending, so that the next message may take its place. */
static int push(struct flight *f, struct error *err)
{
    grpc_byte_buffer *message = f->pending;
    f->pending = NULL;
    if (message && !rpc_call_send(f->call, message))
        return error_set(err, ST_CANCELLED, "cancelled by the client");
    return ST_OK;
}

static int send_schema(struct flight *f, struct error *err)
{
    struct dynbuf header;
    dynbuf_init(&header, 64 << 20);
    int rc = ipc_encode_schema(region_query_schema(f->query), &header, err);
    if (rc == ST_OK)
        rc = send_message(f, &header, NULL, NULL, err);
    dynbuf_release(&header);
    return rc ? rc : push(f, err);
}

static int send_metrics(struct flight *f, struct error *err)
{
    struct dynbuf json, inner, meta, header;
    dynbuf_init(&json, 64 << 20);
    dynbuf_init(&inner, 64 << 20);
    dynbuf_init(&meta, 64 << 20);
    dynbuf_init(&header, 64);
    int rc = push(f, err);
    if (rc == ST_OK)
        rc = region_query_metrics_json(f->query, &json, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(&inner, 1, json.data, json.size, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(&meta, 2, inner.data, inner.size, err);
    if (rc == ST_OK)
        rc = dynbuf_append(&header, ipc_none_header, IPC_NONE_HEADER_SIZE, err);
    if (rc == ST_OK)
        rc = send_message(f, &header, &meta, NULL, err);
    dynbuf_release(&json);
    dynbuf_release(&inner);
    dynbuf_release(&meta);
    dynbuf_release(&header);
    return rc;
}

/* Sends an encoded message, or says that it is too big. Takes the body. */
static int send_encoded(struct flight *f, struct dynbuf *header, struct buffer *body, bool *ret_too_big, struct error *err)
{
    int rc = ST_OK;
    size_t max = f->call->server->options.send_bytes_max;
    *ret_too_big = header->size + body->size + 32 > max;
    if (!*ret_too_big)
        rc = push(f, err);
    if (rc == ST_OK && !*ret_too_big)
        rc = send_message(f, header, NULL, body, err);
    buffer_unref(body);
    return rc;
}

/* The values that the windows of a batch's range columns point into, unless the client has them. Ids count the schema's dictionaries, which are all
 * ranges. */
static int send_dictionaries(struct flight *f, const struct batch *batch, bool *ret_too_big, struct error *err)
{
    int64_t id = 0;
    int rc = ST_OK;
    for (uint32_t i = 0; rc == ST_OK && !*ret_too_big && i < batch->schema->n_fields; i++) {
        struct column *values = batch->columns[i]->dictionary;
        struct buffer *body = NULL;
        struct dynbuf header;
        if (batch->schema->fields[i]->type->id != TYPE_RANGE)
            continue;
        if (!f->sent && !(f->sent = calloc(batch->schema->n_fields, sizeof(struct column *))))
            return error_no_memory(err, batch->schema->n_fields * sizeof(struct column *));
        if (f->sent[i] != values) {
            dynbuf_init(&header, 64 << 20);
            rc = ipc_encode_dictionary(f->encoder, id, values, &header, &body, err);
            if (rc == ST_OK)
                rc = send_encoded(f, &header, body, ret_too_big, err);
            dynbuf_release(&header);
            column_unref(f->sent[i]);
            f->sent[i] = column_ref(values);
        }
        id++;
    }
    return rc;
}

static int send_batch(struct flight *f, const struct batch *batch, bool *ret_too_big, struct error *err)
{
    struct dynbuf header;
    struct buffer *body = NULL;
    TRY(send_dictionaries(f, batch, ret_too_big, err));
    if (*ret_too_big)
        return ST_OK;
    dynbuf_init(&header, 64 << 20);
    int rc = ipc_encode_batch(f->encoder, batch, &header, &body, err);
    if (rc == ST_OK)
        rc = send_encoded(f, &header, body, ret_too_big, err);
    dynbuf_release(&header);
    return rc;
}

/* A batch of long texts goes out in pieces: a message has a limit, and its bytes are in memory as long as the client takes. */
static int send_pieces(struct flight *f, struct batch *batch, bool *ret_too_big, struct error *err)
{
    size_t bytes = batch_bytes_used(batch), half = f->call->server->options.send_bytes_max / 2, most = half < PIECE_BYTES ? half : PIECE_BYTES;
    int64_t rows = bytes > most ? (int64_t)((double)batch->n_rows / (double)bytes * (double)most) : batch->n_rows;
    rows = rows > 0 ? rows : 1;
    int rc = ST_OK;
    for (int64_t at = 0; rc == ST_OK && !*ret_too_big && at < batch->n_rows; at += rows) {
        struct batch *piece;
        TRY(batch_slice(batch, at, batch->n_rows - at < rows ? batch->n_rows - at : rows, &piece, err));
        rc = send_batch(f, piece, ret_too_big, err);
        batch_unref(piece);
    }
    return rc;
}

static int stream(struct flight *f, bool *ret_too_big, struct error *err)
{
    TRY(send_schema(f, err));
    for (;;) {
        struct batch *batch = NULL;
        TRY(work_check(&f->call->work, err));
        TRY(region_query_next(f->query, &batch, err));
        if (!batch)
            return send_metrics(f, err);
        int rc = send_pieces(f, batch, ret_too_big, err);
        batch_unref(batch);
        if (rc || *ret_too_big)
            return rc;
        if (region_query_verbose(f->query))
            TRY(send_metrics(f, err));
        else
            TRY(push(f, err));
    }
}

void rpc_flight_do_get(struct rpc_call *c, const struct buffer *request)
{
    struct flight f = {.call = c};
    struct error err = {0};
    struct pb_field field, ticket = {0};
    struct pb_reader r = pb_reader_of(request->data, request->size);
    bool too_big = false;
    while (pb_next(&r, &field)) {
        if (field.number == 1 && field.wire == PB_BYTES)
            ticket = field;
    }
    int rc = pb_done(&r) ? ST_OK : error_set(&err, ST_INVALID_ARGUMENTS, "malformed ticket");
    struct region_server *regions = c->server->options.regions;
    if (rc == ST_OK)
        rc = region_server_query(regions, ticket.data ? ticket.data : (const uint8_t *)"", ticket.size, &c->work, &f.query, &err);
    /* Bodies may still be in the transport when the query is gone, so they are charged to the server's account, not to the query's. */
    if (rc == ST_OK)
        rc =
            ipc_encoder_new(c->server->options.budget, c->server->options.compression == RPC_FLIGHT_ARROW_IPC ? IPC_LZ4 : IPC_NONE, &f.encoder, &err);
    if (rc == ST_OK)
        rc = stream(&f, &too_big, &err);
    if (too_big)
        rpc_call_finish_grpc(c, f.pending, GRPC_STATUS_OUT_OF_RANGE, 0, "Error, encoded message length too large");
    else
        rpc_call_finish(c, f.pending, rc, &err);
    for (uint32_t i = 0; f.sent && i < region_query_schema(f.query)->n_fields; i++)
        column_unref(f.sent[i]);
    free(f.sent);
    ipc_encoder_free(f.encoder);
    region_query_free(f.query);
}
