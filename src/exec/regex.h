/* Regular expressions by RE2: Rust's syntax but for a few classes, and linear time. */
#ifndef EXEC_REGEX_H
#define EXEC_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct regex;

/* NULL with the reason in `why` when the pattern is bad or would need more than 8 MiB. */
struct regex *regex_new(const char *pattern, size_t size, bool ignore_case, char *why, size_t why_room);
bool regex_match(const struct regex *r, const char *text, size_t size); /* anywhere in the text */
void regex_free(struct regex *r);                                       /* NULL is allowed */

#ifdef __cplusplus
}
#endif

#endif
