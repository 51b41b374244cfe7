/* The /debug pages (config-and-http.md section 7): log level and heap profiles. CPU profiles: cpu_job.c. */
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "http/heap_stacks.h"
#include "http/internal.h"
#include "http/profile.h"
#include "os/heap.h"
#include "os/thread.h"

enum { HEAP_DUMP_BYTES_MAX = 256 << 20 };

int http_refuse(struct http_answer *a, unsigned code, const char *why, struct error *err)
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
        return http_refuse(a, 400, "Invalid log filter, expected one of trace, debug, info, warn, error, off", err);
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

/* A dump in one of the forms that are made from it, with the names of this process. */
static int put_heap_form(const char *dump, size_t size, enum profile_form form, struct http_answer *a, struct error *err)
{
    const struct profile_meaning meaning = {
        .type = "inuse_space", .unit = "bytes", .period_type = "space", .period_unit = "bytes", .start_wall_ns = clock_wall_ns()};
    struct sampled_stacks stacks;
    struct error why;
    if (heap_stacks_parse(dump, size, &stacks, &why) != ST_OK)
        return error_set(err, ST_INTERNAL, "%s", why.msg); /* 1003, as the peer */
    int rc = profile_write(&stacks, form, &meaning, &a->body, err);
    sampled_stacks_release(&stacks);
    return rc;
}

int http_post_heap_dump(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    const char *output = MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, "output");
    enum profile_form form = output ? profile_form_named(output) : PROFILE_TEXT;
    struct dynbuf dump;
    (void)s;
    if (!heap_profiling_enabled())
        return http_refuse(a, 400, "Memory profiling is not enabled", err);
    if (form == PROFILE_FORMS)
        return http_refuse(a, 400, "output: text, proto or flamegraph", err);
    a->type = "application/octet-stream";
    if (form == PROFILE_TEXT)
        return heap_profile_dump(&a->body, err);
    dynbuf_init(&dump, HEAP_DUMP_BYTES_MAX);
    int rc = heap_profile_dump(&dump, err);
    if (rc == ST_OK)
        rc = put_heap_form((const char *)dump.data, dump.size, form, a, err);
    dynbuf_release(&dump);
    return rc;
}

int http_post_heap_symbol(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err)
{
    (void)s;
    a->type = "application/octet-stream";
    return put_heap_form(r->body.data ? (const char *)r->body.data : "", r->body.size, PROFILE_FLAMEGRAPH, a, err);
}

static int activate(struct http_answer *a, bool on, struct error *err)
{
    if (!heap_profiling_enabled())
        return http_refuse(a, 400, "Memory profiling is not enabled", err);
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
        return http_refuse(a, 400, "Memory profiling is not enabled", err);
    TRY(heap_gdump_set_active(on, err));
    return dynbuf_printf(&a->body, err, "gdump %s", on ? "activated" : "deactivated");
}
