/* Mutations of protobuf messages as trees, for fuzz targets of decoders behind which the interesting code begins: a change of bytes mostly breaks a
 * length, a change of a field gets through. Include it in the target; libFuzzer calls LLVMFuzzerCustomMutator() and LLVMFuzzerCustomCrossOver().
 *
 * Bytes that parse as a message are taken for one. Nodes are numbered depth first; a mutation is an edit at one of them while the tree is written
 * anew. */
#ifndef TESTS_FUZZ_PROTO_MUTATOR_H
#define TESTS_FUZZ_PROTO_MUTATOR_H

#include <stdlib.h>
#include <string.h>

#include "format/proto/wire.h"

enum { MUTATOR_NODES = 20000, MUTATOR_DEPTH = 100 };
enum mutator_edit { EDIT_DELETE, EDIT_DOUBLE, EDIT_REPLACE, EDIT_INSERT, EDIT_NEST, EDIT_VALUE, EDIT_BYTES, EDIT_NUMBER, EDIT_KINDS };

struct mutator_node {
    struct pb_field field;
    uint32_t parent; /* number + 1, 0 = none */
    bool message;
};

struct mutator {
    struct mutator_node nodes[MUTATOR_NODES];
    uint32_t n;
    /* writing */
    enum mutator_edit edit;
    uint32_t target, seen; /* of the node to edit; nodes written so far */
    struct pb_field given; /* EDIT_REPLACE, EDIT_INSERT */
    unsigned random;
    bool failed;
};

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out, size_t max_size,
                                 unsigned seed);

static unsigned mutator_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static bool mutator_is_message(const struct pb_field *f)
{
    struct pb_field inner;
    if (f->wire != PB_BYTES || f->size == 0)
        return false;
    struct pb_reader r = pb_inside(f);
    while (pb_next(&r, &inner))
        if (inner.number > 3000)
            return false;
    return pb_done(&r);
}

/* Numbers the nodes below a message. */
static void mutator_walk(struct mutator *m, struct pb_reader r, uint32_t parent, unsigned depth)
{
    struct pb_field f;
    while (m->n < MUTATOR_NODES && pb_next(&r, &f)) {
        uint32_t at = m->n++;
        m->nodes[at] = (struct mutator_node){f, parent, depth < MUTATOR_DEPTH && mutator_is_message(&f)};
        if (m->nodes[at].message)
            mutator_walk(m, pb_inside(&f), at + 1, depth + 1);
    }
}

static void mutator_put(struct mutator *m, struct dynbuf *out, const struct pb_field *f)
{
    m->failed |= pb_put_varint(out, (uint64_t)f->number << 3 | f->wire, NULL) != ST_OK;
    if (f->wire == PB_VARINT)
        m->failed |= pb_put_varint(out, f->value, NULL) != ST_OK;
    else if (f->wire == PB_FIXED64 || f->wire == PB_FIXED32)
        m->failed |= dynbuf_append(out, &f->value, f->wire == PB_FIXED64 ? 8 : 4, NULL) != ST_OK;
    else if (f->wire == PB_BYTES)
        m->failed |= pb_put_varint(out, f->size, NULL) != ST_OK || dynbuf_append(out, f->data, f->size, NULL) != ST_OK;
}

static uint64_t mutator_number(struct mutator *m, uint64_t v)
{
    static const uint64_t rare[] = {0,
                                    1,
                                    2,
                                    3,
                                    10,
                                    100,
                                    127,
                                    128,
                                    255,
                                    256,
                                    1000,
                                    65535,
                                    65536,
                                    0x7fffffff,
                                    0x80000000,
                                    0xffffffff,
                                    0x100000000,
                                    0x7fffffffffffffff,
                                    0x8000000000000000,
                                    0xffffffffffffffff,
                                    0xfffffffffffffffe,
                                    86400000,
                                    1700000000000};
    unsigned r = mutator_random(&m->random);
    switch (r % 4) {
    case 0:
        return rare[r / 4 % (sizeof rare / sizeof *rare)];
    case 1:
        return v + 1 + r / 4 % 4;
    case 2:
        return v - 1 - r / 4 % 4;
    default:
        return r / 4 % 600;
    }
}

static double mutator_double(struct mutator *m)
{
    static const double rare[] = {0, -0.0, 1, -1, 0.5, 1e308, -1e308, 1e-308, 9.3e18, -9.3e18, 4294967296.0};
    unsigned r = mutator_random(&m->random) % (sizeof rare / sizeof *rare + 2);
    return r < sizeof rare / sizeof *rare ? rare[r] : r % 2 ? __builtin_nan("") : __builtin_inf();
}

static void mutator_edit_leaf(struct mutator *m, struct dynbuf *out, struct pb_field f)
{
    static const char *const texts[] = {"",
                                        "%",
                                        "_%\\",
                                        "((a*)*)*b",
                                        "[^\\w]+",
                                        "1970-01-01T00:00:00Z",
                                        "2262-04-11T23:47:16.854775807Z",
                                        "-1",
                                        "1e400",
                                        "NaN",
                                        "P1M",
                                        "1 month",
                                        "{\"a\":[1,{\"b\":null}]}",
                                        "[1,2,3]",
                                        "Asia/Shanghai",
                                        "+08:00",
                                        "\xc3\xa9\xf0\x9f\x98\x80",
                                        "\xff",
                                        "10.0.0.0/8",
                                        "::1",
                                        "POINT(1 2)",
                                        "hour",
                                        "Int64",
                                        "Timestamp(Nanosecond, None)",
                                        "Decimal128(38, 10)",
                                        "Utf8View",
                                        "List(Int64)",
                                        "%Y-%m-%d %H:%M:%S%.f",
                                        "YYYY-MM-DD"};
    uint8_t room[4096];
    if (f.wire == PB_VARINT) {
        f.value = mutator_number(m, f.value);
    } else if (f.wire == PB_FIXED64) {
        double d = mutator_double(m);
        memcpy(&f.value, &d, 8);
    } else if (f.wire == PB_FIXED32) {
        float d = (float)mutator_double(m);
        f.value = 0;
        memcpy(&f.value, &d, 4);
    } else if (mutator_random(&m->random) % 2) {
        const char *t = texts[mutator_random(&m->random) % (sizeof texts / sizeof *texts)];
        f.data = (const uint8_t *)t;
        f.size = strlen(t);
    } else if (f.size < sizeof room) {
        memcpy(room, f.data, f.size);
        f.size = LLVMFuzzerMutate(room, f.size, sizeof room);
        f.data = room;
    }
    mutator_put(m, out, &f);
}

static void mutator_write(struct mutator *m, struct dynbuf *out, struct pb_reader r, unsigned depth);

static void mutator_write_node(struct mutator *m, struct dynbuf *out, const struct pb_field *f, unsigned depth)
{
    struct dynbuf inner;
    if (depth >= MUTATOR_DEPTH || !mutator_is_message(f)) {
        mutator_put(m, out, f);
        return;
    }
    dynbuf_init(&inner, 1 << 22);
    mutator_write(m, &inner, pb_inside(f), depth + 1);
    m->failed |= pb_put_bytes(out, f->number, inner.data, inner.size, NULL) != ST_OK;
    dynbuf_release(&inner);
}

static void mutator_write(struct mutator *m, struct dynbuf *out, struct pb_reader r, unsigned depth)
{
    struct pb_field f, given = m->given;
    while (!m->failed && pb_next(&r, &f)) {
        if (m->seen++ != m->target) {
            mutator_write_node(m, out, &f, depth);
            continue;
        }
        m->target = UINT32_MAX;
        given.number = f.number;
        switch (m->edit) {
        case EDIT_DELETE:
            break;
        case EDIT_DOUBLE:
            mutator_put(m, out, &f);
            mutator_put(m, out, &f);
            break;
        case EDIT_REPLACE:
            mutator_put(m, out, &given);
            break;
        case EDIT_INSERT:
            mutator_put(m, out, &f);
            mutator_put(m, out, &given);
            break;
        case EDIT_NEST: /* around itself */
            m->failed |= f.wire != PB_BYTES || pb_put_bytes(out, f.number, m->given.data, m->given.size, NULL) != ST_OK;
            break;
        case EDIT_NUMBER:
            f.number = 1 + mutator_random(&m->random) % 24;
            mutator_put(m, out, &f);
            break;
        default:
            mutator_edit_leaf(m, out, f);
        }
    }
}

/* A node to take from `donors` (which may be `m`) for node `at`: of the same number if there is one soon. */
static void mutator_choose(struct mutator *m, const struct mutator *donors, uint32_t at)
{
    const struct pb_field *want = &m->nodes[at].field;
    uint32_t start = mutator_random(&m->random) % donors->n;
    m->given = donors->nodes[start].field;
    for (uint32_t i = 0; i < donors->n; i++) {
        const struct pb_field *f = &donors->nodes[(start + i) % donors->n].field;
        if (f->number == want->number && f->wire == want->wire) {
            m->given = *f;
            return;
        }
    }
}

static size_t mutator_run(const uint8_t *data, size_t size, const uint8_t *data2, size_t size2, uint8_t *ret, size_t max_size, unsigned seed)
{
    static struct mutator one, two;
    struct mutator *m = &one, *donors = data2 ? &two : &one;
    struct dynbuf out;
    m->random = seed;
    m->n = two.n = 0;
    mutator_walk(m, pb_reader_of(data, size), 0, 0);
    if (data2)
        mutator_walk(&two, pb_reader_of(data2, size2), 0, 0);
    if (m->n == 0 || donors->n == 0)
        return 0;
    uint32_t at = mutator_random(&m->random) % m->n;
    unsigned kind = mutator_random(&m->random) % 12;
    m->edit = data2 ? (kind % 3 ? EDIT_REPLACE : EDIT_INSERT) : kind < EDIT_KINDS ? (enum mutator_edit)kind : EDIT_VALUE;
    while (m->nodes[at].message && m->edit >= EDIT_VALUE && m->edit != EDIT_NUMBER && mutator_random(&m->random) % 16)
        at = at + 1 < m->n ? at + 1 : 0; /* to a leaf */
    m->target = at;
    m->seen = 0;
    m->failed = false;
    if (m->edit == EDIT_REPLACE || m->edit == EDIT_INSERT)
        mutator_choose(m, donors, at);
    if (m->edit == EDIT_NEST) { /* an ancestor comes to stand where the node is */
        uint32_t up = m->nodes[at].parent ? m->nodes[at].parent - 1 : at;
        for (unsigned i = mutator_random(&m->random) % 4; i > 0 && m->nodes[up].parent; i--)
            up = m->nodes[up].parent - 1;
        m->given = m->nodes[up].field;
    }
    dynbuf_init(&out, 1 << 22);
    mutator_write(m, &out, pb_reader_of(data, size), 0);
    size_t n = m->failed || out.size > max_size ? 0 : out.size;
    if (n)
        memcpy(ret, out.data, n);
    dynbuf_release(&out);
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size_t n = seed % 32 ? mutator_run(data, size, NULL, 0, data, max_size, seed) : 0;
    for (unsigned i = seed / 32 % 4; n && i > 0; i--) {
        size_t more = mutator_run(data, n, NULL, 0, data, max_size, seed * 31 + i);
        n = more ? more : n;
    }
    return n ? n : LLVMFuzzerMutate(data, size, max_size);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out, size_t max_size, unsigned seed)
{
    return mutator_run(data1, size1, data2, size2, out, max_size, seed);
}

#endif
