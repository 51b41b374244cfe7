/* Serves the gRPC port over a fake engine: rpc_server_tool MAX_MESSAGE_BYTES WRITE_MS. Prints the port, stops when stdin ends. */
#include <stdio.h>
#include <stdlib.h>

#include "fake_engine.h"
#include "rpc/server.h"

int main(int argc, char **argv)
{
    struct error err = {0};
    struct region_server *regions;
    struct rpc_server *server;
    struct region_server_options ro = {0};
    struct fake_engine *fake = fake_engine_new();
    fake->write_ns = argc > 2 ? atoll(argv[2]) * 1000000 : 0;
    struct rpc_options o = {.addr = "127.0.0.1:0", .recv_bytes_max = argc > 1 ? (size_t)atoll(argv[1]) : 0};
    if (region_server_new(&ro, &regions, &err) || region_server_add_engine(regions, &fake->base, &err))
        goto fail;
    o.regions = regions;
    if (rpc_server_start(&o, &server, &err))
        goto fail;
    char again[64];
    struct rpc_server *second;
    struct rpc_options busy = o;
    snprintf(again, sizeof(again), "127.0.0.1:%d", rpc_server_port(server));
    busy.addr = again;
    if (rpc_server_start(&busy, &second, &err) == ST_OK) {
        fprintf(stderr, "a second server bound the same port\n");
        return 1;
    }
    printf("%d\n", rpc_server_port(server));
    fflush(stdout);
    while (getchar() != EOF)
        ;
    rpc_server_stop(server, 1000);
    region_server_free(regions);
    return 0;
fail:
    fprintf(stderr, "%s\n", err.msg);
    return 1;
}
