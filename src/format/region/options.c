#include "format/region/options.h"

#include <stdlib.h>
#include <string.h>

#include "format/proto/wire.h"

static char *copy_text(const struct pb_field *f)
{
    return strndup(f->size ? (const char *)f->data : "", f->size);
}

static int read_entry(const struct pb_field *entry, struct kv *ret, struct error *err)
{
    struct pb_reader r = pb_inside(entry);
    struct pb_field f, key = {0}, value = {0};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            key = f;
        else if (f.number == 2 && f.wire == PB_BYTES)
            value = f;
    }
    ret->key = copy_text(&key);
    ret->value = copy_text(&value);
    return ret->key && ret->value ? ST_OK : error_no_memory(err, key.size + value.size);
}

int options_map_read(const uint8_t *message, size_t size, uint32_t field, struct kv **ret_options, uint32_t *ret_n, struct error *err)
{
    struct pb_reader r = pb_reader_of(message, size);
    struct pb_field f;
    struct kv *options = NULL;
    uint32_t n = 0, room = 0;
    int st = ST_OK;
    while (st == ST_OK && pb_next(&r, &f)) {
        if (f.number != field || f.wire != PB_BYTES)
            continue;
        if (n == OPTIONS_MAP_MAX) {
            st = error_set(err, ST_INVALID_ARGUMENTS, "more than %d options", OPTIONS_MAP_MAX);
            break;
        }
        if (n == room) {
            room = room ? room * 2 : 8;
            struct kv *more = realloc(options, room * sizeof *more);
            if (!more) {
                st = error_no_memory(err, room * sizeof *more);
                break;
            }
            options = more;
        }
        st = read_entry(&f, &options[n++], err);
    }
    if (st == ST_OK && !pb_done(&r))
        st = error_set(err, ST_INVALID_ARGUMENTS, "a request with options is malformed protobuf");
    if (st != ST_OK) {
        kv_list_free(options, n);
        return st;
    }
    *ret_options = options;
    *ret_n = n;
    return ST_OK;
}
