/* Thrift's compact protocol, as much of it as Parquet's metadata uses.
 *
 * The reader is sticky: the first malformed byte sets `bad`, after which every call gives zeros and every loop ends, so callers look once at the
 * end. It never allocates, and a list's count is believed only when as many bytes are left. Format: thrift-compact-protocol.md of Apache Thrift.
 */
#ifndef FORMAT_PARQUET_THRIFT_H
#define FORMAT_PARQUET_THRIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/parquet/buf.h"

enum thrift_type { THRIFT_STOP, THRIFT_TRUE, THRIFT_FALSE, THRIFT_I8, THRIFT_I16, THRIFT_I32, THRIFT_I64, THRIFT_DOUBLE, THRIFT_BINARY, THRIFT_LIST,
                   THRIFT_SET, THRIFT_MAP, THRIFT_STRUCT, THRIFT_UUID };

enum { THRIFT_DEPTH_MAX = 24 };

struct thrift_reader {
    const uint8_t *p, *end;
    unsigned depth;
    bool bad;
};

struct thrift_field {
    int32_t id;   /* set to 0 before the first thrift_next() of a struct */
    uint8_t type;
};

/* Next field of the struct being read; false at its end. The caller must then read or thrift_skip() the value. */
bool thrift_next(struct thrift_reader *r, struct thrift_field *f);
void thrift_skip(struct thrift_reader *r, uint8_t type);
bool thrift_enter(struct thrift_reader *r, const struct thrift_field *f); /* checks that the field is a struct, counts depth */
void thrift_leave(struct thrift_reader *r);
bool thrift_bool(struct thrift_reader *r, const struct thrift_field *f);
int64_t thrift_int(struct thrift_reader *r, const struct thrift_field *f); /* i8 to i64 */
int32_t thrift_i32(struct thrift_reader *r, const struct thrift_field *f); /* bad when it does not fit */
const uint8_t *thrift_bytes(struct thrift_reader *r, const struct thrift_field *f, uint32_t *ret_size);
/* Opens a list; gives its count and element type (to be used as the type of a field for the functions above). */
uint32_t thrift_list(struct thrift_reader *r, const struct thrift_field *f, struct thrift_field *ret_element);
bool thrift_element_bool(struct thrift_reader *r, const struct thrift_field *element);

/* The writer appends to a byte buffer and remembers the first failure. */
struct thrift_writer {
    struct pq_buf *out;
    struct error *err;
    int status;
    int depth;
    int16_t last[THRIFT_DEPTH_MAX];
};

void thrift_put_field(struct thrift_writer *w, int id, uint8_t type);
void thrift_put_bool(struct thrift_writer *w, int id, bool v);
void thrift_put_i8(struct thrift_writer *w, int id, int8_t v);
void thrift_put_i16(struct thrift_writer *w, int id, int16_t v);
void thrift_put_i32(struct thrift_writer *w, int id, int32_t v);
void thrift_put_i64(struct thrift_writer *w, int id, int64_t v);
void thrift_put_bytes(struct thrift_writer *w, int id, const void *data, size_t size);
void thrift_put_string(struct thrift_writer *w, int id, const char *text);
void thrift_put_list(struct thrift_writer *w, int id, uint8_t element, uint32_t n);
void thrift_put_element_i32(struct thrift_writer *w, int32_t v);
void thrift_put_element_i64(struct thrift_writer *w, int64_t v);
void thrift_put_element_bytes(struct thrift_writer *w, const void *data, size_t size);
void thrift_put_element_bool(struct thrift_writer *w, bool v);
void thrift_begin(struct thrift_writer *w, int id);      /* a struct field; id 0 = list element or the message itself */
void thrift_end(struct thrift_writer *w);
void thrift_put_empty(struct thrift_writer *w, int id);  /* a struct without fields */

#endif
