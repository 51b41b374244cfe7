/* The log: one line an event, RFC 3339 time with microseconds, level, target, message (config-and-http.md 5).
 *
 * Only owners of a request or a background job log, once, with cause and remedy; libraries (arrow, format, exec, store, wal) return errors.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

/* Where a finished line goes (without newline). The default sink writes to stderr. Must be thread-safe. */
typedef void (*log_sink)(void *ctx, enum log_level level, const char *line, unsigned long size);
void log_set_sink(log_sink sink, void *ctx);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_json(bool json);

void log_write(enum log_level level, const char *target, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define log_at(level, target, ...)                    \
    do {                                              \
        if ((level) >= log_get_level())               \
            log_write((level), (target), __VA_ARGS__); \
    } while (0)
#define log_debug(target, ...) log_at(LOG_DEBUG, target, __VA_ARGS__)
#define log_info(target, ...) log_at(LOG_INFO, target, __VA_ARGS__)
#define log_warn(target, ...) log_at(LOG_WARN, target, __VA_ARGS__)
#define log_error(target, ...) log_at(LOG_ERROR, target, __VA_ARGS__)

#endif
