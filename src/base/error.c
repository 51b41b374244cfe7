#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const struct {
    const char *name;
    int greptime_code;
    int grpc_code;
} table[] = {
#define X(name, code, grpc, text) {text, code, grpc},
    STATUS_TABLE(X)
#undef X
};

static size_t row(enum status st)
{
    return (size_t)st < sizeof table / sizeof *table ? (size_t)st : (size_t)ST_UNKNOWN;
}

const char *status_name(enum status st)
{
    return table[row(st)].name;
}

int status_greptime_code(enum status st)
{
    return table[row(st)].greptime_code;
}

int status_grpc_code(enum status st)
{
    return table[row(st)].grpc_code;
}

int error_set(struct error *err, enum status st, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        err->status = st;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        utf8_mend(err->msg);
    }
    return st;
}

int error_prefix(struct error *err, const char *fmt, ...)
{
    if (!err)
        return ST_UNKNOWN;
    char whole[2 * sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(whole, sizeof err->msg, fmt, ap);
    va_end(ap);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof err->msg ? (size_t)n : sizeof err->msg - 1;
    snprintf(whole + used, sizeof whole - used, ": %s", err->msg);
    whole[sizeof err->msg - 1] = 0;
    memcpy(err->msg, whole, sizeof err->msg);
    utf8_mend(err->msg);
    return err->status;
}

int error_no_memory(struct error *err, size_t wanted_bytes)
{
    return error_set(err, ST_NO_MEMORY, "out of memory while asking the system for %zu bytes", wanted_bytes);
}
