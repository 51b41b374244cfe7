#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

static void to_stderr(void *ctx, enum log_level level, const char *line, unsigned long size)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "%.*s\n", (int)size, line);
}

static log_sink sink = to_stderr;
static void *sink_ctx;
static _Atomic int minimum = LOG_INFO;
static _Atomic bool as_json;

void log_set_sink(log_sink s, void *ctx)
{
    sink = s ? s : to_stderr;
    sink_ctx = ctx;
}

void log_set_level(enum log_level level)
{
    atomic_store(&minimum, level);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&minimum, memory_order_relaxed);
}

void log_set_json(bool json)
{
    atomic_store(&as_json, json);
}

/* Escapes `text` as the inside of a JSON string. */
static size_t json_escape(char *out, size_t room, const char *text)
{
    size_t n = 0;
    for (; *text && n + 7 < room; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20) {
            n += (size_t)snprintf(out + n, room - n, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n] = 0;
    return n;
}

/* What clients send stands in messages: it must not look like lines of the log, nor move a terminal's cursor. */
static void disarm(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
}

void log_write(enum log_level level, const char *target, const char *fmt, ...)
{
    static const char *const names[] = {"TRACE", "DEBUG", " INFO", " WARN", "ERROR", "  OFF"};
    char message[4096], escaped[8192], line[12288], when[64];
    struct timespec now;
    struct tm utc;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(when + n, sizeof when - n, ".%06ldZ", now.tv_nsec / 1000);
    int size;
    if (atomic_load(&as_json)) {
        json_escape(escaped, sizeof escaped, message);
        utf8_mend(escaped);
        size = snprintf(line, sizeof line, "{\"timestamp\":\"%s\",\"level\":\"%s\",\"fields\":{\"message\":\"%s\"},\"target\":\"%s\"}", when,
                        names[level] + (names[level][0] == ' '), escaped, target);
    } else {
        disarm(message);
        utf8_mend(message);
        size = snprintf(line, sizeof line, "%s %s %s: %s", when, names[level], target, message);
    }
    sink(sink_ctx, level, line, (unsigned long)size);
}
