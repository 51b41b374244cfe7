/* Any bytes as a RegionRequest over an engine that stores nothing: decoding and dispatch must neither crash nor leak. */
#include "../tool/fake_engine.h"
#include "proto_mutator.h"
#include "region/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct region_server *s;
    if (!s) {
        struct region_server_options o = {0};
        if (region_server_new(&o, &s, NULL) || region_server_add_engine(s, &fake_engine_new()->base, NULL))
            abort();
    }
    struct dynbuf reply;
    struct error err;
    dynbuf_init(&reply, 1 << 20);
    region_server_handle(s, data, size, &reply, &err);
    dynbuf_release(&reply);
    return 0;
}
