/* Shared between the files of http/. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "http/server.h"

enum { METHOD_GET = 1, METHOD_POST = 2 };

struct http_job;

struct http_request { /* one in flight */
    struct MHD_Connection *connection;
    int method;
    struct dynbuf body;
    bool too_large;
    int64_t start_ns;
    struct http_job *job; /* what it waited for; NULL: nothing yet */
};

struct http_answer {
    unsigned code;
    const char *type;
    const char *allow; /* header of a 405 */
    bool later;        /* the request is suspended, and the handler is asked again when it goes on */
    struct dynbuf body;
};

#define HTTP_JSON "application/json"

/* Fills the answer (200, text/plain and empty before); a failure becomes the peer's JSON error. */
typedef int (*http_handler)(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);

/* debug.c */
/* The answer is {"error":why} with that code. */
int http_refuse(struct http_answer *a, unsigned code, const char *why, struct error *err);
int http_post_log_level(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);
int http_post_enable_trace(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);
int http_post_heap_dump(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);
int http_post_heap_symbol(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);
int http_post_heap_activate(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);
int http_post_heap_deactivate(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);
int http_get_heap_status(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);
int http_heap_gdump(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);

/* cpu_job.c */
struct http_profiler {
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t wake;  /* `stopping` */
    pthread_t thread;
    bool started, stopping;
};
void http_profiler_init(struct http_profiler *p);
/* Ends the profile that is being taken; its request goes on. None begins any more. */
void http_profiler_stop(struct http_profiler *p);
void http_profiler_release(struct http_profiler *p);
void http_job_free(struct http_job *job); /* NULL is allowed */
int http_post_cpu_profile(struct http_server *s, struct http_request *r, struct http_answer *a, struct error *err);
struct http_profiler *http_server_profiler(struct http_server *s);

#endif
