/* Decoding one `Value` message of a known column type. Private to format/rows. */
#ifndef FORMAT_ROWS_VALUES_H
#define FORMAT_ROWS_VALUES_H

#include "arrow/column.h"
#include "format/proto/wire.h"
#include "format/region/metadata.h"

enum value_kind { VALUE_INT, VALUE_BOOL, VALUE_FIXED32, VALUE_FIXED64, VALUE_BYTES, VALUE_DECIMAL, VALUE_MONTH_DAY_NANO, VALUE_DAY_TIME, VALUE_NESTED };

/* How a column's values look on the wire. */
struct value_form {
    enum value_kind kind;
    int32_t width;         /* bytes in memory; 0 for BOOL, BYTES and NESTED */
    uint32_t field;        /* member number of Value's oneof */
    uint8_t key[2];        /* that member's key as wire bytes */
    uint8_t key_size;
};

/* ST_INVALID_ARGUMENTS when no row can hold such a column. */
int value_form_of(const struct region_column *column, struct value_form *ret_form, struct error *err);

/* The oneof member that is set, the last one if several are. *ret_present = false for NULL; false is returned for malformed bytes. */
bool value_member(const uint8_t *data, size_t size, struct pb_field *ret_member, bool *ret_present);

/* Payload of a member to its in-memory form of form->width bytes; ST_INVALID_ARGUMENTS when it does not fit. Not for BOOL, BYTES, NESTED. */
int value_to_fixed(const struct value_form *form, const struct pb_field *member, void *out, struct error *err);

/* Appends a list, struct or JSON member (or NULL: member == NULL) to a builder of the column's type. */
int value_append_nested(struct column_builder *builder, const struct pb_field *member, unsigned depth, struct error *err);

#endif
