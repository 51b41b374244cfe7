/* See rpc/descriptors.h. Field numbers are frozen: google/protobuf/descriptor.proto. */
#include "rpc/descriptors.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/proto/wire.h"

enum { LABEL_OPTIONAL = 1, LABEL_REPEATED = 3, TYPE_MESSAGE = 11, TYPE_ENUM = 14, NAME_MAX_BYTES = 128, PART_MAX = 1 << 16 };

/* ---- reading the table ---- */

struct word {
    const char *text;
    size_t size;
    bool star;
};

struct member {
    struct word oneof; /* size 0 = none */
    struct word words[3];
};

static bool is(struct word w, const char *text)
{
    return strlen(text) == w.size && memcmp(text, w.text, w.size) == 0;
}

static bool read_word(const char **p, struct word *ret)
{
    *p += strspn(*p, " ");
    ret->star = **p == '*';
    *p += ret->star;
    ret->text = *p;
    ret->size = strcspn(*p, " ;");
    *p += ret->size;
    return ret->size > 0;
}

/* False at the end. */
static bool next_member(const char **p, struct member *ret)
{
    unsigned n = 0;
    memset(ret, 0, sizeof(*ret));
    *p += strspn(*p, "; ");
    if (!**p)
        return false;
    if (**p == '@') {
        ++*p;
        read_word(p, &ret->oneof);
    }
    while (n < 3 && read_word(p, &ret->words[n]))
        n++;
    return true;
}

/* The part of an entry's name behind its kind; NULL: it is of another kind. */
static const char *name_of(const struct descriptor *d, const char *kind)
{
    size_t n = strlen(kind);
    return strncmp(d->name, kind, n) == 0 && d->name[n] == ' ' ? d->name + n + 1 : NULL;
}

static const char *any_name_of(const struct descriptor *d)
{
    return strchr(d->name, ' ') + 1;
}

/* Whether `w` is the whole name of `d`, or its name in `package`. */
static bool names(struct word w, const struct descriptor *d, const char *package)
{
    char whole[NAME_MAX_BYTES];
    snprintf(whole, sizeof(whole), "%s.%s", d->package, any_name_of(d));
    return is(w, whole) || (strcmp(package, d->package) == 0 && is(w, any_name_of(d)));
}

/* ---- writing ---- */

static int put_word(struct dynbuf *out, uint32_t field, struct word w, struct error *err)
{
    return pb_put_bytes(out, field, w.text, w.size, err);
}

/* TYPE and, of a message or enum, TYPE_NAME, under these numbers. `type_field` 0 = the name only. */
static int put_type(struct dynbuf *out, const char *package, struct word type, uint32_t type_field, uint32_t name_field, struct error *err)
{
    static const struct {
        const char *name;
        unsigned number;
    } scalars[] = {{"double", 1}, {"float", 2}, {"int64", 3}, {"uint64", 4}, {"int32", 5}, {"bool", 8}, {"string", 9}, {"bytes", 12}, {"uint32", 13}};
    char whole[NAME_MAX_BYTES];
    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++)
        if (is(type, scalars[i].name))
            return pb_put_uint(out, type_field, scalars[i].number, err);
    const struct descriptor *d = descriptors;
    while (d->name && !names(type, d, package))
        d++;
    assert(d->name); /* a name in the table that is not in the table */
    snprintf(whole, sizeof(whole), ".%s.%s", d->package, any_name_of(d));
    if (type_field)
        TRY(pb_put_uint(out, type_field, name_of(d, "enum") ? TYPE_ENUM : TYPE_MESSAGE, err));
    return pb_put_string(out, name_field, whole, err);
}

static int put_field(struct dynbuf *out, const char *package, struct word name, unsigned long number, bool repeated, bool in_oneof, struct word type,
                     struct error *err)
{
    TRY(put_word(out, 1, name, err));
    TRY(pb_put_uint(out, 3, number, err));
    TRY(pb_put_uint(out, 4, repeated ? LABEL_REPEATED : LABEL_OPTIONAL, err));
    TRY(put_type(out, package, type, 5, 6, err));
    return in_oneof ? pb_put_uint(out, 9, 0, err) : ST_OK;
}

/* A part is made by itself, because its length stands in front of it. */
static int put_part(struct dynbuf *out, uint32_t field, int (*make)(struct dynbuf *part, const void *ctx, struct error *err), const void *ctx,
                    struct error *err)
{
    struct dynbuf part;
    dynbuf_init(&part, PART_MAX);
    int rc = make(&part, ctx, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(out, field, part.data, part.size, err);
    dynbuf_release(&part);
    return rc;
}

struct map_field {
    const char *package;
    const struct member *member;
    struct word key, value;
    char entry[NAME_MAX_BYTES]; /* the name of its message: the field's in camel case and "Entry", as protobuf demands */
};

static void map_of(const char *package, const struct member *m, struct map_field *ret)
{
    const char *bar = memchr(m->words[0].text, '%', m->words[0].size);
    size_t n = 0;
    bool upper = true;
    *ret = (struct map_field){.package = package, .member = m, .key = {m->words[0].text, (size_t)(bar - m->words[0].text), false}};
    ret->value = (struct word){bar + 1, m->words[0].size - ret->key.size - 1, false};
    for (size_t i = 0; i < m->words[1].size && n < sizeof(ret->entry) - 6; i++) {
        char c = m->words[1].text[i];
        if (c != '_')
            ret->entry[n++] = upper ? (char)toupper((unsigned char)c) : c;
        upper = c == '_';
    }
    strcpy(ret->entry + n, "Entry");
}

static int make_key(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct map_field *f = ctx;
    return put_field(out, f->package, (struct word){"key", 3, false}, 1, false, false, f->key, err);
}

static int make_value(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct map_field *f = ctx;
    return put_field(out, f->package, (struct word){"value", 5, false}, 2, false, false, f->value, err);
}

static int make_map_entry(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct map_field *f = ctx;
    static const uint8_t map_entry[] = {0x38, 1};
    TRY(pb_put_string(out, 1, f->entry, err));
    TRY(put_part(out, 2, make_key, f, err));
    TRY(put_part(out, 2, make_value, f, err));
    return pb_put_bytes(out, 7, map_entry, sizeof(map_entry), err);
}

struct message_field {
    const struct descriptor *message;
    const struct member *member;
    const struct map_field *map; /* NULL: it is none */
};

static int make_field(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct message_field *f = ctx;
    const struct member *m = f->member;
    char whole[2 * NAME_MAX_BYTES + 2];
    unsigned long number = strtoul(m->words[2].text, NULL, 10);
    if (!f->map)
        return put_field(out, f->message->package, m->words[1], number, m->words[0].star, m->oneof.size > 0, m->words[0], err);
    snprintf(whole, sizeof(whole), ".%s.%s.%s", f->message->package, any_name_of(f->message), f->map->entry);
    TRY(put_word(out, 1, m->words[1], err));
    TRY(pb_put_uint(out, 3, number, err));
    TRY(pb_put_uint(out, 4, LABEL_REPEATED, err));
    TRY(pb_put_uint(out, 5, TYPE_MESSAGE, err));
    return pb_put_string(out, 6, whole, err);
}

static int make_oneof(struct dynbuf *out, const void *ctx, struct error *err)
{
    return put_word(out, 1, *(const struct word *)ctx, err);
}

static int make_message(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct descriptor *d = ctx;
    struct word oneof = {0};
    struct member m;
    TRY(pb_put_string(out, 1, any_name_of(d), err));
    for (const char *p = d->members; next_member(&p, &m);) {
        struct map_field map;
        bool is_map = memchr(m.words[0].text, '%', m.words[0].size) != NULL;
        if (is_map) {
            map_of(d->package, &m, &map);
            TRY(put_part(out, 3, make_map_entry, &map, err));
        }
        TRY(put_part(out, 2, make_field, &(struct message_field){d, &m, is_map ? &map : NULL}, err));
        oneof = m.oneof.size ? m.oneof : oneof;
    }
    return oneof.size ? put_part(out, 8, make_oneof, &oneof, err) : ST_OK;
}

static int make_enum_value(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct member *m = ctx;
    TRY(put_word(out, 1, m->words[0], err));
    return pb_put_uint(out, 2, strtoul(m->words[1].text, NULL, 10), err);
}

static int make_enum(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct descriptor *d = ctx;
    struct member m;
    TRY(pb_put_string(out, 1, any_name_of(d), err));
    for (const char *p = d->members; next_member(&p, &m);)
        TRY(put_part(out, 2, make_enum_value, &m, err));
    return ST_OK;
}

struct method {
    const char *package;
    const struct member *member;
};

static int make_method(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct method *m = ctx;
    const struct word *words = m->member->words;
    TRY(put_word(out, 1, words[1], err));
    TRY(put_type(out, m->package, words[0], 0, 2, err));
    TRY(put_type(out, m->package, words[2], 0, 3, err));
    if (words[0].star)
        TRY(pb_put_uint(out, 5, 1, err));
    return words[2].star ? pb_put_uint(out, 6, 1, err) : ST_OK;
}

static int make_service(struct dynbuf *out, const void *ctx, struct error *err)
{
    const struct descriptor *d = ctx;
    struct member m;
    TRY(pb_put_string(out, 1, any_name_of(d), err));
    for (const char *p = d->members; next_member(&p, &m);)
        TRY(put_part(out, 2, make_method, &(struct method){d->package, &m}, err));
    return ST_OK;
}

int descriptor_file_encode(const struct descriptor_file *file, struct dynbuf *out, struct error *err)
{
    TRY(pb_put_string(out, 1, file->name, err));
    TRY(pb_put_string(out, 2, file->package, err));
    for (size_t i = 0; i < DESCRIPTOR_IMPORTS_MAX && file->imports[i]; i++)
        TRY(pb_put_string(out, 3, file->imports[i], err));
    for (const struct descriptor *d = descriptors; d->name; d++) {
        if (strcmp(d->package, file->package) != 0)
            continue;
        TRY(name_of(d, "message") ? put_part(out, 4, make_message, d, err)
            : name_of(d, "enum")  ? put_part(out, 5, make_enum, d, err)
                                  : put_part(out, 6, make_service, d, err));
    }
    return pb_put_string(out, 12, "proto3", err);
}

/* ---- looking up ---- */

const struct descriptor_file *descriptor_file_by_name(const char *name, size_t size)
{
    const struct descriptor_file *f = descriptor_files;
    while (f->name && !is((struct word){name, size, false}, f->name))
        f++;
    return f->name ? f : NULL;
}

static bool has_member(const struct descriptor *d, struct word name)
{
    struct member m;
    size_t at = name_of(d, "enum") ? 0 : 1;
    for (const char *p = d->members; next_member(&p, &m);)
        if (m.words[at].size == name.size && memcmp(m.words[at].text, name.text, name.size) == 0)
            return true;
    return false;
}

static bool holds(const struct descriptor *d, struct word symbol)
{
    struct word outer = symbol;
    if (names(symbol, d, ""))
        return true;
    while (outer.size && outer.text[outer.size - 1] != '.')
        outer.size--;
    struct word inner = {outer.text + outer.size, symbol.size - outer.size, false};
    outer.size -= outer.size > 0;
    return names(outer, d, "") && has_member(d, inner);
}

const struct descriptor_file *descriptor_file_of_symbol(const char *symbol, size_t size)
{
    for (const struct descriptor *d = descriptors; d->name; d++) {
        if (!holds(d, (struct word){symbol, size, false}))
            continue;
        const struct descriptor_file *f = descriptor_files;
        while (strcmp(f->package, d->package) != 0)
            f++;
        return f;
    }
    return NULL;
}
