#include "exec/text_writer.h"

#include <stdarg.h>
#include <stdio.h>

int text_writer_init(struct text_writer *w, struct budget *budget, int64_t rows, size_t expected, struct error *err)
{
    memset(w, 0, sizeof *w);
    TRY(buffer_new(budget, ((size_t)rows + 1) * 4, &w->offsets, err));
    int st = buffer_new_uninit(budget, expected < 64 ? 64 : expected, &w->bytes, err);
    if (st != ST_OK)
        buffer_unref(w->offsets);
    return st;
}

void text_writer_release(struct text_writer *w)
{
    buffer_unref(w->offsets);
    buffer_unref(w->bytes);
}

int text_writer_room(struct text_writer *w, size_t n, uint8_t **ret_room, struct error *err)
{
    if (n > INT32_MAX || w->size + n > INT32_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "the strings of a batch exceed 2 GiB");
    size_t need = w->size + n;
    if (need > w->bytes->size)
        TRY(buffer_resize(w->bytes, need > INT32_MAX / 2 ? INT32_MAX : need * 2, err));
    *ret_room = w->bytes->data + w->size;
    return ST_OK;
}

int text_writer_printf(struct text_writer *w, struct error *err, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text_writer_put(w, text, n < 0 ? 0 : n < (int)sizeof text ? (size_t)n : sizeof text - 1, err);
}

int text_writer_finish(struct text_writer *w, struct dtype *type, int64_t rows, struct buffer *validity, int64_t nulls, struct column **ret_column,
                       struct error *err)
{
    int st = buffer_resize(w->bytes, w->size, err);
    if (st != ST_OK) {
        buffer_unref(validity);
        text_writer_release(w);
        return st;
    }
    return column_new(type, rows, nulls, validity, w->offsets, w->bytes, ret_column, err);
}
