/* The description of an inverted index. */
#include <stdlib.h>
#include <string.h>

#include "format/index/description.h"
#include "format/index/inverted.h"
#include "format/proto/wire.h"

static const char what[] = "inverted index blob";

static int bad(const char *problem, struct error *err)
{
    return error_set(err, ST_CORRUPT, "%s: %s", what, problem);
}

/* A column id in decimal digits. */
static bool read_id(const struct pb_field *name, uint32_t *ret_id)
{
    uint64_t id = 0;
    for (size_t i = 0; i < name->size; i++) {
        if (name->data[i] < '0' || name->data[i] > '9' || id > UINT32_MAX)
            return false;
        id = id * 10 + (name->data[i] - '0');
    }
    *ret_id = (uint32_t)id;
    return name->size && id <= UINT32_MAX;
}

static int read_column(struct pb_reader r, uint64_t end, struct inverted_column *c, struct error *err)
{
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.wire != PB_VARINT)
            continue;
        switch (f.number) {
        case 2:
            c->base_offset = f.value;
            break;
        case 3:
            c->n_bytes = f.value;
            break;
        case 4:
            c->fst_offset = (uint32_t)f.value;
            break;
        case 5:
            c->fst_bytes = (uint32_t)f.value;
            break;
        case 6:
            c->null_offset = (uint32_t)f.value;
            break;
        case 7:
            c->null_bytes = (uint32_t)f.value;
            break;
        case 9:
            c->bitmap = f.value == 1 ? INVERTED_ROARING : INVERTED_BITVEC;
            break;
        default:
            break;
        }
    }
    if (!pb_done(&r))
        return bad("malformed column", err);
    if (c->base_offset > end || c->n_bytes > end - c->base_offset || (uint64_t)c->fst_offset + c->fst_bytes > c->n_bytes ||
        (uint64_t)c->null_offset + c->null_bytes > c->n_bytes)
        return bad("a column lies outside", err);
    return ST_OK;
}

static int read_entry(const struct pb_field *entry, uint64_t end, struct inverted_index *x, struct inverted_column *columns, struct error *err)
{
    struct pb_reader r = pb_inside(entry);
    struct pb_field f, name = {0}, body = {0};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            name = f;
        else if (f.number == 2 && f.wire == PB_BYTES)
            body = f;
    }
    if (!pb_done(&r))
        return bad("malformed column", err);
    struct inverted_column *c = &columns[x->n_columns];
    if (!read_id(&name, &c->column_id))
        return ST_OK;
    x->n_columns++;
    return read_column(pb_inside(&body), end, c, err);
}

int inverted_index_open(const struct puffin_source *blob, struct arena *a, struct inverted_index *ret_index, struct error *err)
{
    struct inverted_index x = {0};
    struct pb_field f;
    const uint8_t *text;
    uint32_t size, n = 0;
    uint64_t before;
    TRY(index_description_read(blob, what, a, &text, &size, &before, err));
    for (struct pb_reader r = pb_reader_of(text, size); pb_next(&r, &f);)
        n += f.number == 1;
    struct inverted_column *columns = ARENA_ARRAY(a, (size_t)n + 1, struct inverted_column, err);
    if (!columns)
        return ST_NO_MEMORY;
    struct pb_reader r = pb_reader_of(text, size);
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            TRY(read_entry(&f, before, &x, columns, err));
        else if (f.number == 2 && f.wire == PB_VARINT)
            x.n_rows = f.value;
        else if (f.number == 3 && f.wire == PB_VARINT)
            x.rows_per_segment = f.value;
    }
    if (!pb_done(&r) || !x.rows_per_segment)
        return bad("malformed description", err);
    x.columns = columns;
    *ret_index = x;
    return ST_OK;
}

const struct inverted_column *inverted_index_find(const struct inverted_index *x, uint32_t column_id)
{
    for (uint32_t i = 0; i < x->n_columns; i++)
        if (x->columns[i].column_id == column_id)
            return &x->columns[i];
    return NULL;
}
