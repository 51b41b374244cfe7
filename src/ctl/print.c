/* Aligned tables and the text of values. A table keeps its first rows to find the widths, so that its memory is bounded. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/commands.h"
#include "exec/cast_text.h"

enum { TABLE_CELLS_MAX = 20000, CELL_TEXT_MAX = 4096 };

/* Columns on a terminal: bytes that do not continue a UTF-8 sequence. */
static size_t display_width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_row(const struct ctl_table *t, char *const *cells)
{
    for (uint32_t i = 0; i < t->n_columns; i++) {
        size_t used = display_width(cells[i]), pad = t->width[i] > used ? t->width[i] - used : 0;
        bool last = i + 1 == t->n_columns;
        fprintf(t->out, "%s%*s%s%*s", i ? "  " : "", t->right[i] ? (int)pad : 0, "", cells[i], t->right[i] || last ? 0 : (int)pad, "");
    }
    fputc('\n', t->out);
}

static void print_held(struct ctl_table *t)
{
    for (uint32_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
        print_row(t, t->cells + i);
    for (uint32_t i = 0; i < t->n_cells; i++)
        free(t->cells[i]);
    t->n_cells = 0;
}

int ctl_table_begin(struct ctl_table *t, FILE *out, const char *const *headings, uint32_t n, struct error *err)
{
    *t = (struct ctl_table){.out = out, .n_columns = n};
    t->right = calloc(n + 1, sizeof(*t->right));
    t->width = calloc(n + 1, sizeof(*t->width));
    if (!t->right || !t->width)
        return error_no_memory(err, n);
    for (uint32_t i = 0; i < n; i++)
        TRY(ctl_table_cell(t, headings[i], strlen(headings[i]), false, err));
    return ST_OK;
}

int ctl_table_cell(struct ctl_table *t, const char *text, size_t size, bool number, struct error *err)
{
    if (t->n_cells == t->room) {
        uint32_t room = t->room ? t->room * 2 : 64;
        char **grown = realloc(t->cells, room * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, room * sizeof(*grown));
        t->cells = grown;
        t->room = room;
    }
    char *copy = strndup(text, size);
    if (!copy)
        return error_no_memory(err, size);
    for (char *p = copy; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' '; /* control characters would break the table, and the terminal */
    }
    uint32_t column = t->n_cells % t->n_columns;
    size_t width = display_width(copy);
    if (!t->streaming && width > t->width[column])
        t->width[column] = width;
    if (number && !t->streaming)
        t->right[column] = true;
    t->cells[t->n_cells++] = copy;
    if (t->n_cells % t->n_columns == 0 && (t->streaming || t->n_cells >= TABLE_CELLS_MAX)) {
        t->streaming = true;
        print_held(t);
    }
    return ST_OK;
}

int ctl_table_printf(struct ctl_table *t, struct error *err, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    return ctl_table_cell(t, text, size, size && strspn(text, "0123456789.-+e") == size, err);
}

void ctl_table_end(struct ctl_table *t)
{
    print_held(t);
}

void ctl_table_free(struct ctl_table *t)
{
    for (uint32_t i = 0; i < t->n_cells; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t->width);
    free(t->right);
    *t = (struct ctl_table){0};
}

const char *ctl_bytes(uint64_t bytes, char out[24])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    int unit = -1;
    for (; v >= 1024 && unit < 5; unit++)
        v /= 1024;
    if (unit < 0)
        snprintf(out, 24, "%u B", (unsigned)bytes);
    else
        snprintf(out, 24, "%.1f %s", v, units[unit]);
    return out;
}

static int binary_text(struct arena *a, const uint8_t *p, int32_t n, const char **ret_text, size_t *ret_size, struct error *err)
{
    char *hex = arena_alloc(a, (size_t)n * 2 + 1, err);
    if (!hex)
        return ST_NO_MEMORY;
    for (int32_t i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", p[i]);
    *ret_text = hex;
    *ret_size = (size_t)n * 2;
    return ST_OK;
}

int ctl_value_text(struct arena *a, const struct column *c, int64_t i, const char **ret_text, size_t *ret_size, struct error *err)
{
    if (type_is_varlen(c->type)) {
        int32_t n;
        const uint8_t *p = column_bytes(c, i, &n);
        if (type_is_binary(c->type))
            return binary_text(a, p, n, ret_text, ret_size, err);
        *ret_text = (const char *)p;
        *ret_size = (size_t)n;
        return ST_OK;
    }
    char *text = arena_alloc(a, CELL_TEXT_MAX + 2, err);
    if (!text)
        return ST_NO_MEMORY;
    size_t n = text_of_value(c, i, text, CELL_TEXT_MAX);
    if (c->type->id == TYPE_TIMESTAMP && !c->type->timezone && n && text[n - 1] >= '0' && text[n - 1] <= '9')
        text[n++] = 'Z'; /* region times are UTC */
    text[n] = 0;
    *ret_text = text;
    *ret_size = n;
    return ST_OK;
}
