/* Values to text and back, in Arrow's formats (functions.md 4.9, 4.10). */
#ifndef EXEC_CAST_TEXT_H
#define EXEC_CAST_TEXT_H

#include "arrow/column.h"

/* The text of a non-null value; returns its length (cut to room - 1). */
size_t text_of_value(const struct column *c, int64_t i, char *out, size_t room);

bool text_to_integer(const char *p, size_t n, __int128 *out);
bool text_to_float(const char *p, size_t n, double *out);
bool text_to_bool(const char *p, size_t n, bool *out);
bool text_to_decimal(const char *p, size_t n, int precision, int scale, __int128 *out);
bool text_to_timestamp(const char *p, size_t n, uint8_t unit, int64_t *out); /* zone-less text is UTC */
bool text_to_date(const char *p, size_t n, int32_t *out);

#endif
