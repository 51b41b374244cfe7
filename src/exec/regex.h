/* Regular expressions by RE2, in the syntax of Rust's regex crate, in linear time.
 *
 * What differs in the syntax is translated: \d \w \s are Unicode classes, (?<name>..) and \u{..} are known, `x` (verbose) is taken out. Unknown to
 * RE2 and therefore an error: set operations in classes, Unicode word boundaries count ASCII letters only.
 */
#ifndef EXEC_REGEX_H
#define EXEC_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct regex;

/* Bytes [start, end) of the text; start < 0: the group took no part. */
struct regex_span {
    long start, end;
};

/* `flags` are letters of imsxU. NULL with the reason in `why` when the pattern is bad or would need more than `max_bytes`. */
struct regex *regex_new(const char *pattern, size_t size, const char *flags, size_t n_flags, size_t max_bytes, char *why, size_t why_room);
bool regex_match(const struct regex *r, const char *text, size_t size);      /* anywhere in the text */
/* Texts that match lie between *ret_low and *ret_high, malloc'ed, by their bytes; false when no such bounds are known. */
bool regex_bounds(const struct regex *r, uint8_t **ret_low, size_t *ret_low_size, uint8_t **ret_high, size_t *ret_high_size);
int regex_groups(const struct regex *r);                                     /* without the whole match */
int regex_group_named(const struct regex *r, const char *name, size_t size); /* -1 when there is none */
/* The first match from byte `from` on; spans[0] is the whole, spans[1..n) the groups. */
bool regex_find(const struct regex *r, const char *text, size_t size, size_t from, struct regex_span *spans, int n);
void regex_free(struct regex *r); /* NULL is allowed */

#ifdef __cplusplus
}
#endif

#endif
