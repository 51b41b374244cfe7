/* Values to text and back, in Arrow's formats (functions.md 4.9, 4.10). */
#ifndef EXEC_CAST_TEXT_H
#define EXEC_CAST_TEXT_H

#include "arrow/column.h"

/* The text of a non-null value; returns its length (cut to room - 1). */
size_t text_of_value(const struct column *c, int64_t i, char *out, size_t room);

bool text_to_integer(const char *p, size_t n, __int128 *out);
bool text_to_bool(const char *p, size_t n, bool *out);
bool text_to_decimal(const char *p, size_t n, int precision, int scale, __int128 *out);
struct tzif;
/* Zone-less text is a time of `zone` (NULL: UTC); false as well when that is skipped or comes twice there. */
bool text_to_timestamp(const char *p, size_t n, const struct tzif *zone, uint8_t unit, int64_t *out);
bool text_to_time(const char *p, size_t n, uint8_t unit, int64_t *out);
/* `<number> <unit>` again and again (functions.md 4.10). */
bool text_to_interval(const char *p, size_t n, int32_t *ret_months, int32_t *ret_days, int64_t *ret_nanos);
bool text_to_date(const char *p, size_t n, int32_t *out);

#endif
