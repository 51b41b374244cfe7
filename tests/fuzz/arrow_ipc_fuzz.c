/* IPC streams: whatever decodes must be safe to encode, and the encoding must decode to a batch that encodes to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "arrow/ipc_stream.h"

static void must(int st)
{
    if (st != ST_OK)
        abort();
}

static void round_trip(struct ipc_encoder *e, struct schema *plain, struct batch *batch)
{
    struct dynbuf first, second;
    struct buffer *body, *again;
    struct batch *back;
    dynbuf_init(&first, 1 << 26);
    dynbuf_init(&second, 1 << 26);
    /* Out of budget is fine; anything else that fails is not. */
    int st = ipc_encode_batch(e, batch, &first, &body, NULL);
    if (st == ST_OK) {
        must(ipc_decode_batch(plain, NULL, first.data, first.size, body, NULL, &back, NULL));
        must(ipc_encode_batch(e, back, &second, &again, NULL));
        if (first.size != second.size || memcmp(first.data, second.data, first.size) || body->size != again->size)
            abort();
        if (body->size && memcmp(body->data, again->data, body->size))
            abort();
        buffer_unref(again);
        buffer_unref(body);
        batch_unref(back);
    } else if (st != ST_EXHAUSTED) {
        abort();
    }
    dynbuf_release(&first);
    dynbuf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct budget budget;
    struct buffer *bytes;
    struct batch_stream *s;
    struct schema *plain;
    struct ipc_encoder *e;
    struct batch *batch;
    budget_init(&budget, "fuzz", "none", (size_t)64 << 20, NULL);
    must(buffer_new_uninit(NULL, size, &bytes, NULL));
    if (size)
        memcpy(bytes->data, data, size);
    if (ipc_stream_open(bytes, &budget, &s, NULL) == ST_OK) {
        must(ipc_plain_schema(s->schema, &plain, NULL));
        must(ipc_encoder_new(&budget, IPC_NONE, &e, NULL));
        while (batch_stream_next(s, &batch, NULL) == ST_OK && batch) {
            if (batch->n_rows && batch->n_rows < 100000)
                round_trip(e, plain, batch);
            batch_unref(batch);
        }
        ipc_encoder_free(e);
        schema_unref(plain);
        batch_stream_free(s);
    }
    buffer_unref(bytes);
    if (budget_used(&budget))
        abort();
    return 0;
}
