/* Shared between the files of http/. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/server.h"

enum { METHOD_GET = 1, METHOD_POST = 2 };

struct http_request { /* one in flight */
    struct MHD_Connection *connection;
    int method;
    struct dynbuf body;
    bool too_large;
    int64_t start_ns;
};

struct http_answer {
    unsigned code;
    const char *type;
    const char *allow; /* header of a 405 */
    struct dynbuf body;
};

#define HTTP_JSON "application/json"

/* Fills the answer (200, text/plain and empty before); a failure becomes the peer's JSON error. */
typedef int (*http_handler)(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);

/* debug.c */
int http_post_log_level(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);
int http_post_enable_trace(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);
int http_post_cpu_profile(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);
int http_post_heap_dump(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);
int http_post_heap_symbol(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);
int http_post_heap_activate(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);
int http_post_heap_deactivate(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);
int http_get_heap_status(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);
int http_heap_gdump(struct http_server *s, const struct http_request *r, struct http_answer *a, struct error *err);

#endif
