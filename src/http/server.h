/* The HTTP service: liveness, status, metrics and configuration for operators and their tools (config-and-http.md section 7).
 *
 * No authentication, as on the peer: bind it to an address that only operators reach. What /status and /config say comes from callbacks, so that this
 * folder knows nothing of regions.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/buffer.h"
#include "base/error.h"

struct http_options {
    const char *addr; /* "IP:port" */
    bool cors;        /* Access-Control-Allow-Origin: * */
    size_t body_bytes_max;
    /* Each fills `out`; called on HTTP threads. */
    int (*status)(void *ctx, struct dynbuf *out, struct error *err); /* JSON */
    int (*config)(void *ctx, struct dynbuf *out, struct error *err); /* TOML */
    int (*page)(void *ctx, struct dynbuf *out, struct error *err);   /* HTML for people */
    void (*before_metrics)(void *ctx);                               /* sets gauges that are only known on demand */
    void *ctx;
};

struct http_server;

/* Listens, or fails with the reason (address in use, bad address). */
int http_server_start(const struct http_options *options, struct http_server **ret_server, struct error *err);
void http_server_stop(struct http_server *s); /* NULL is allowed */

/* Prometheus text format 0.0.4 of all metric families, sorted, with process metrics. */
int http_metrics_text(struct dynbuf *out, struct error *err);

#endif
