/* A var-length column in the making: values are written one behind the other, nothing is allocated a row. */
#ifndef EXEC_TEXT_WRITER_H
#define EXEC_TEXT_WRITER_H

#include <string.h>

#include "arrow/column.h"

struct text_writer {
    struct buffer *offsets, *bytes;
    size_t size;
};

/* For `rows` values that may need `expected` bytes in all. */
int text_writer_init(struct text_writer *w, struct budget *budget, int64_t rows, size_t expected, struct error *err);
void text_writer_release(struct text_writer *w);
/* Where the next n bytes go; the caller adds what it used to w->size. */
int text_writer_room(struct text_writer *w, size_t n, uint8_t **ret_room, struct error *err);
int text_writer_printf(struct text_writer *w, struct error *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Takes the references to `validity` and to the writer's buffers, also on failure. */
int text_writer_finish(struct text_writer *w, struct dtype *type, int64_t rows, struct buffer *validity, int64_t nulls, struct column **ret_column,
                       struct error *err);

static inline int text_writer_put(struct text_writer *w, const void *data, size_t n, struct error *err)
{
    uint8_t *room = NULL;
    TRY(text_writer_room(w, n, &room, err));
    if (n)
        memcpy(room, data, n);
    w->size += n;
    return ST_OK;
}

static inline void text_writer_end_row(struct text_writer *w, int64_t row)
{
    ((int32_t *)(void *)w->offsets->data)[row + 1] = (int32_t)w->size;
}

#endif
