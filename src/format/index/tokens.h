/* The words under which a full-text index knows an ASCII text (mito-on-disk.md 5.4): its longest runs of letters, digits and '_'. Pure.
 *
 * For ASCII only: elsewhere the peer goes by Unicode's alphabetic characters and full case mapping, and words that are not exactly its own would make
 * it skip rows that match.
 */
#ifndef FORMAT_INDEX_TOKENS_H
#define FORMAT_INDEX_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first word that starts at *pos or behind it: its place and size, and *pos behind it. False when there is none. */
bool token_next(const uint8_t *text, size_t size, size_t *pos, size_t *ret_start, size_t *ret_size);
/* `out` may be `text`. */
void token_lower(const uint8_t *text, size_t size, uint8_t *out);

#endif
