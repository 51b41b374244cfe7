#include "format/region/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "format/proto/wire.h"

static int copy_text(const struct pb_field *f, char **ret_text, struct error *err)
{
    const char *text = f->size ? (const char *)f->data : "";
    if (!utf8_valid(text, f->size) || memchr(text, 0, f->size))
        return error_set(err, ST_INVALID_ARGUMENTS, "an option is no text");
    char *copy = strndup(text, f->size);
    if (!copy)
        return error_no_memory(err, f->size);
    *ret_text = copy;
    return ST_OK;
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
    *ret = (struct kv){0};
    int st = copy_text(&key, &ret->key, err);
    if (st == ST_OK)
        st = copy_text(&value, &ret->value, err);
    if (st != ST_OK)
        free(ret->key);
    return st;
}

/* A map has one value a key: the last one. Takes list[*n] in place of its namesake before. */
static void merge_last(struct kv *list, uint32_t *n)
{
    for (uint32_t i = 0; i < *n; i++) {
        if (strcmp(list[i].key, list[*n].key) != 0)
            continue;
        free(list[i].key);
        free(list[i].value);
        list[i] = list[*n];
        return;
    }
    ++*n;
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
        st = read_entry(&f, &options[n], err);
        if (st == ST_OK)
            merge_last(options, &n);
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
