#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/metrics.h"
#include "http/internal.h"
#include "os/thread.h"

static struct metric_family requests = {.name = "greptime_servers_http_requests_total",
                                        .help = "servers http requests total",
                                        .kind = METRIC_COUNTER,
                                        .label_names = {"method", "path", "code", "db"}};
static struct metric_family elapsed = {.name = "greptime_servers_http_requests_elapsed",
                                       .help = "servers http requests elapsed",
                                       .kind = METRIC_HISTOGRAM,
                                       .label_names = {"method", "path", "code", "db"},
                                       .bounds = {0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300}};

struct http_server {
    struct http_options options;
    struct MHD_Daemon *daemon;
    struct http_profiler profiler;
};

struct http_profiler *http_server_profiler(struct http_server *s)
{
    return &s->profiler;
}

static const char TEXT[] = "text/plain; charset=utf-8", HTML[] = "text/html; charset=utf-8";

/* ---- pages ---- */

static int get_health(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)s;
    (void)r;
    a->type = HTTP_JSON;
    return dynbuf_append(&a->body, "{}", 2, err);
}

static int get_status(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)r;
    a->type = HTTP_JSON;
    return s->options.status(s->options.ctx, &a->body, err);
}

static int get_config(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)r;
    return s->options.config(s->options.ctx, &a->body, err);
}

static int get_metrics(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)r;
    if (s->options.before_metrics)
        s->options.before_metrics(s->options.ctx);
    return http_metrics_text(&a->body, err);
}

static int get_page(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)r;
    a->type = HTML;
    return s->options.page(s->options.ctx, &a->body, err);
}

static const struct route {
    const char *path;
    int methods;
    const char *allow;
    http_handler get;
} routes[] = {
    {"/", METHOD_GET, "GET,HEAD", get_page},
    {"/health", METHOD_GET | METHOD_POST, "GET,HEAD,POST", get_health},
    {"/v1/health", METHOD_GET | METHOD_POST, "GET,HEAD,POST", get_health},
    {"/ready", METHOD_GET | METHOD_POST, "GET,HEAD,POST", get_health},
    {"/status", METHOD_GET, "GET,HEAD", get_status},
    {"/metrics", METHOD_GET, "GET,HEAD", get_metrics},
    {"/config", METHOD_GET, "GET,HEAD", get_config},
    {"/debug/log_level", METHOD_POST, "POST", http_post_log_level},
    {"/debug/enable_trace", METHOD_POST, "POST", http_post_enable_trace},
    {"/debug/prof/cpu", METHOD_POST, "POST", http_post_cpu_profile},
    {"/debug/prof/mem", METHOD_POST, "POST", http_post_heap_dump},
    {"/debug/prof/mem/symbol", METHOD_POST, "POST", http_post_heap_symbol},
    {"/debug/prof/mem/activate", METHOD_POST, "POST", http_post_heap_activate},
    {"/debug/prof/mem/deactivate", METHOD_POST, "POST", http_post_heap_deactivate},
    {"/debug/prof/mem/status", METHOD_GET, "GET,HEAD", http_get_heap_status},
    {"/debug/prof/mem/gdump", METHOD_GET | METHOD_POST, "GET,HEAD,POST", http_heap_gdump},
};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}

/* A client's own words are no label: they may be no text, and there may be any number of them. */
static const char *method_label(const char *method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], method) == 0)
            return names[i];
    return "other";
}

/* ---- the daemon ---- */

static void respond(struct http_server *s, const char *path, const char *method, struct http_request *r, struct http_answer *a)
{
    struct error err = {0};
    const struct route *route = find_route(path);
    int kind = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ? METHOD_GET : strcmp(method, "POST") == 0 ? METHOD_POST : 0;
    r->method = kind;
    a->code = 200;
    a->type = TEXT;
    if (s->options.cors && strcmp(method, "OPTIONS") == 0 && strncmp(path, "/debug", 6) != 0)
        return;
    if (!route) {
        a->code = 404;
    } else if (!(route->methods & kind)) {
        a->code = 405;
        a->allow = route->allow;
    } else if (r->too_large) {
        a->code = 413;
        dynbuf_printf(&a->body, NULL, "Failed to buffer the request body: length limit exceeded");
    } else if (route->get(s, r, a, &err) != ST_OK) {
        a->code = err.status == ST_INVALID_ARGUMENTS || err.status == ST_UNSUPPORTED ? 400 : status_greptime_code(err.status) == 5000 ? 503 : 500;
        a->type = HTTP_JSON;
        dynbuf_clear(&a->body);
        dynbuf_printf(&a->body, NULL, "{\"error\":\"Internal error: %d\"}", status_greptime_code(err.status));
        log_error("http", "%s %s failed: %s", method, path, err.msg);
    }
    if (route && strncmp(path, "/debug", 6) != 0) {
        char code[16];
        snprintf(code, sizeof code, "%u", a->code);
        const char *labels[] = {method_label(method), path, code, "public"};
        metric_add(metric_child(&requests, labels), 1);
        metric_observe(metric_child(&elapsed, labels), (double)(clock_monotonic_ns() - r->start_ns) / 1e9);
    }
}

static enum MHD_Result send_answer(struct http_server *s, struct MHD_Connection *connection, const char *path, struct http_answer *a, bool options)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(a->body.size, a->body.data ? a->body.data : (void *)"", MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    if (a->body.size)
        MHD_add_response_header(response, "content-type", a->type);
    if (a->allow)
        MHD_add_response_header(response, "allow", a->allow);
    if (s->options.cors && strncmp(path, "/debug", 6) != 0) {
        MHD_add_response_header(response, "access-control-allow-origin", "*");
        MHD_add_response_header(response, "vary", "origin, access-control-request-method, access-control-request-headers");
        if (options) {
            MHD_add_response_header(response, "access-control-allow-methods", "GET,POST,PUT,DELETE,HEAD");
            MHD_add_response_header(response, "access-control-allow-headers", "*");
        }
    }
    enum MHD_Result result = MHD_queue_response(connection, a->code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result serve(void *ctx, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                             const char *upload, size_t *upload_size, void **state)
{
    struct http_server *s = ctx;
    struct http_request *r = *state;
    (void)version;
    if (!r) {
        r = calloc(1, sizeof *r);
        if (!r)
            return MHD_NO;
        dynbuf_init(&r->body, strncmp(url, "/debug", 6) == 0 ? 2 << 20 : s->options.body_bytes_max ? s->options.body_bytes_max : SIZE_MAX / 2);
        r->connection = connection;
        r->start_ns = clock_monotonic_ns();
        *state = r;
        return MHD_YES;
    }
    if (*upload_size) {
        /* Only /debug reads its body; others swallow it, like the peer. */
        if (strncmp(url, "/debug", 6) == 0 && dynbuf_append(&r->body, upload, *upload_size, NULL) != ST_OK)
            r->too_large = true;
        *upload_size = 0;
        return MHD_YES;
    }
    struct http_answer a = {0};
    dynbuf_init(&a.body, (size_t)1 << 30);
    respond(s, url, method, r, &a);
    enum MHD_Result result = a.later ? MHD_YES : send_answer(s, connection, url, &a, strcmp(method, "OPTIONS") == 0);
    dynbuf_release(&a.body);
    return result;
}

static void request_done(void *ctx, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    struct http_request *r = *state;
    (void)ctx;
    (void)connection;
    (void)why;
    if (r) {
        dynbuf_release(&r->body);
        http_job_free(r->job);
    }
    free(r);
    *state = NULL;
}

static int parse_addr(const char *text, struct sockaddr_storage *ret_addr, struct error *err)
{
    char host[128];
    const char *colon = strrchr(text, ':');
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_addr;
    if (!colon || colon - text >= (long)sizeof host)
        return error_set(err, ST_INVALID_ARGUMENTS, "http.addr \"%s\" is not IP:port", text);
    size_t n = (size_t)(colon - text);
    bool bracketed = n > 1 && text[0] == '[' && text[n - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(bracketed ? n - 2 : n), text + bracketed);
    uint16_t port = htons((uint16_t)atoi(colon + 1));
    memset(ret_addr, 0, sizeof *ret_addr);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = port;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = port;
    } else {
        return error_set(err, ST_INVALID_ARGUMENTS, "http.addr \"%s\" is not IP:port", text);
    }
    return ST_OK;
}

enum { HTTP_THREADS = 2, HTTP_CONNECTIONS_MAX = 256, HTTP_IDLE_SECONDS = 60 };

int http_server_start(const struct http_options *options, struct http_server **ret_server, struct error *err)
{
    struct sockaddr_storage addr;
    TRY(parse_addr(options->addr, &addr, err));
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    s->options = *options;
    http_profiler_init(&s->profiler);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (addr.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, serve, s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&addr, MHD_OPTION_THREAD_POOL_SIZE,
                                 (unsigned)HTTP_THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)HTTP_IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, request_done, NULL, MHD_OPTION_END);
    if (!s->daemon) {
        int why = errno;
        http_profiler_release(&s->profiler);
        free(s);
        return error_set(err, ST_STORAGE, "Failed to bind address %s: %s", options->addr, strerror(why));
    }
    *ret_server = s;
    return ST_OK;
}

void http_server_stop(struct http_server *s)
{
    if (!s)
        return;
    http_profiler_stop(&s->profiler); /* the daemon must not end while a request is suspended */
    MHD_stop_daemon(s->daemon);
    http_profiler_release(&s->profiler);
    free(s);
}
