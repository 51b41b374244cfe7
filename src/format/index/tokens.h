/* The words under which a full-text index knows a text (mito-on-disk.md 5.4): its longest runs of alphanumeric characters and '_'. Pure.
 *
 * Words that are not exactly the peer's would make it skip rows that match; where that cannot be made sure, these functions say so.
 */
#ifndef FORMAT_INDEX_TOKENS_H
#define FORMAT_INDEX_TOKENS_H

#include <stdbool.h>

#include "base/unicode.h"

/* The first word that starts at *pos or behind it: its place and size, and *pos behind it. False when there is none. The text is UTF-8. */
bool token_next(const uint8_t *text, size_t size, size_t *pos, size_t *ret_start, size_t *ret_size);
/* The word in lower case; room for size * UNICODE_CASE_MAX bytes. False when it has a character whose lower case is not known here. */
bool token_lower(const uint8_t *word, size_t size, uint8_t *out, size_t *ret_size);

#endif
