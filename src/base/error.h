/* Status codes and the error object.
 *
 * One table holds every code: its name, the GreptimeDB status code that goes out in
 * `x-greptime-err-code`, and the gRPC status it travels as
 * (region-rpc.md 8.3). Functions return an `enum status` as int and may fill a
 * caller-owned `struct error` (NULL is allowed everywhere). The first error wins: a
 * clean-up that fails after it must not overwrite it, see status_merge().
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*        name                 greptime  grpc  text */
#define STATUS_TABLE(X)                                               \
    X(OK,                      0,        0,    "success")             \
    X(UNKNOWN,                 1000,     2,    "unknown")             \
    X(UNSUPPORTED,             1001,     12,   "unsupported")         \
    X(UNEXPECTED,              1002,     13,   "unexpected")          \
    X(INTERNAL,                1003,     13,   "internal")            \
    X(INVALID_ARGUMENTS,       1004,     3,    "invalid arguments")   \
    X(CANCELLED,               1005,     1,    "cancelled")           \
    X(ILLEGAL_STATE,           1006,     13,   "illegal state")       \
    X(DEADLINE_EXCEEDED,       1008,     4,    "deadline exceeded")   \
    X(SUSPENDED,               1009,     8,    "suspended")           \
    X(PLAN_QUERY,              3000,     13,   "plan query")          \
    X(EXECUTE_QUERY,           3001,     13,   "execute query")       \
    X(COLUMN_NOT_FOUND,        4002,     5,    "column not found")    \
    X(REGION_NOT_FOUND,        4005,     5,    "region not found")    \
    X(REGION_NOT_READY,        4008,     14,   "region not ready")    \
    X(REGION_BUSY,             4009,     8,    "region busy")         \
    X(STORAGE,                 5000,     14,   "storage unavailable") \
    X(EXHAUSTED,               6000,     8,    "resources exhausted") \
    X(RATE_LIMITED,            6001,     8,    "rate limited")        \
    /* Never leave the process under their own number: */             \
    X(CORRUPT,                 1002,     13,   "corrupt data")        \
    X(NOT_FOUND,               5000,     14,   "no such object")      \
    X(NO_SPACE,                5000,     14,   "no space left")       \
    X(NO_MEMORY,               6000,     8,    "out of memory")

enum status {
#define X(name, code, grpc, text) ST_##name,
    STATUS_TABLE(X)
#undef X
};

struct error {
    enum status status;
    char msg[496];
};

/* Static facts of a status; any value outside the table reads as ST_UNKNOWN. */
const char *status_name(enum status st);
int status_greptime_code(enum status st);
int status_grpc_code(enum status st);

/* Fills `err` (may be NULL) and returns `st`, so that callers can `return error_set(...)`. */
int error_set(struct error *err, enum status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<fmt>: " before the message that `err` holds already; returns its status. */
int error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ST_NO_MEMORY with a message that says how much was wanted. */
int error_no_memory(struct error *err, size_t wanted_bytes);

/* The first failure of two. */
static inline int status_merge(int first, int second)
{
    return first != ST_OK ? first : second;
}

/* Propagates a failing status out of the calling function. */
#define TRY(expr)                  \
    do {                           \
        int try_status_ = (expr);  \
        if (try_status_ != ST_OK)  \
            return try_status_;    \
    } while (0)

#endif
