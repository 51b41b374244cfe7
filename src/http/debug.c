/* The /debug pages (config-and-http.md section 7): log level and heap profiles. CPU profiles: cpu_job.c. */
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "http/internal.h"
#include "os/heap.h"

static int refuse(struct http_answer *a, unsigned code, const char *why, struct error *err)
{
    a->code = code;
    a->type = HTTP_JSON;
    return dynbuf_printf(&a->body, err, "{\"error\":\"%s\"}", why);
}

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error", "off"};

/* The most general part of a filter such as "info,mito2=debug" sets the level; parts for single targets are not told apart here. */
int http_post_log_level(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)s;
    enum log_level before = log_get_level();
    int found = -1;
    char text[128];
    snprintf(text, sizeof text, "%.*s", (int)(r->body.size < 100 ? r->body.size : 100), r->body.data ? (const char *)r->body.data : "");
    for (char *save = NULL, *part = strtok_r(text, ", \n", &save); part; part = strtok_r(NULL, ", \n", &save))
        for (int i = 0; i <= LOG_OFF; i++)
            if (strcasecmp(part, level_names[i]) == 0)
                found = i;
    if (found < 0) {
        return refuse(a, 400, "Invalid log filter, expected one of trace, debug, info, warn, error, off", err);
    }
    log_set_level((enum log_level)found);
    return dynbuf_printf(&a->body, err, "Log Level changed from %s to %s", level_names[before], level_names[found]);
}

int http_post_enable_trace(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)s;
    (void)r;
    a->code = 503;
    return dynbuf_printf(&a->body, err, "tracing is not initialised: this server exports no traces");
}

int http_post_heap_dump(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    const char *output = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, "output");
    (void)s;
    if (!heap_profiling_enabled())
        return refuse(a, 400, "Memory profiling is not enabled", err);
    if (output && strcmp(output, "text") != 0)
        return refuse(a, 400, "only output=text is supported; jeprof makes the other forms from it", err);
    a->type = "application/octet-stream";
    return heap_profile_dump(&a->body, err);
}

int http_post_heap_symbol(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)s;
    (void)r;
    a->code = 501;
    return dynbuf_printf(&a->body, err, "use jeprof with the regiond binary to resolve the symbols of a dump");
}

static int activate(struct http_answer *a, bool on, struct error *err)
{
    if (!heap_profiling_enabled())
        return refuse(a, 400, "Memory profiling is not enabled", err);
    TRY(heap_profile_set_active(on, err));
    return dynbuf_printf(&a->body, err, "Heap profiling %s", on ? "activated" : "deactivated");
}

int http_post_heap_activate(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)s;
    (void)r;
    return activate(a, true, err);
}

int http_post_heap_deactivate(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)s;
    (void)r;
    return activate(a, false, err);
}

int http_get_heap_status(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)s;
    (void)r;
    return dynbuf_printf(&a->body, err, "{\"active\": %s}", heap_profile_active() ? "true" : "false");
}

int http_heap_gdump(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    const char *type = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "content-type");
    char form[32];
    (void)s;
    if (r->method == METHOD_GET)
        return dynbuf_printf(&a->body, err, "{\"active\": %s}", heap_gdump_active() ? "true" : "false");
    if (!type || strncasecmp(type, "application/x-www-form-urlencoded", 33) != 0) {
        a->code = 415;
        return dynbuf_printf(&a->body, err, "Form requests must have `Content-Type: application/x-www-form-urlencoded`");
    }
    snprintf(form, sizeof form, "%.*s", (int)(r->body.size < 30 ? r->body.size : 30), r->body.data ? (const char *)r->body.data : "");
    bool on = strcmp(form, "activate=true") == 0;
    if (!on && strcmp(form, "activate=false") != 0) {
        a->code = 422;
        return dynbuf_printf(&a->body, err, "Failed to deserialize form body: activate must be true or false");
    }
    if (!heap_profiling_enabled())
        return refuse(a, 400, "Memory profiling is not enabled", err);
    TRY(heap_gdump_set_active(on, err));
    return dynbuf_printf(&a->body, err, "gdump %s", on ? "activated" : "deactivated");
}
