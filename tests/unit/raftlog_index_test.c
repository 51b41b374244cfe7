/* What a raft-engine folder holds after its batches: each rule of wal.md 3.4, by batches made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/bits.h"
#include "format/proto/wire.h"
#include "format/raftlog/index.h"

enum { SIGNATURE = 7 };

struct footer {
    struct dynbuf items;
    uint64_t n;
    uint64_t tail;
};

static void begin(struct footer *f)
{
    dynbuf_init(&f->items, 1 << 16);
    f->n = f->tail = 0;
}

static void head(struct footer *f, uint64_t group, uint8_t type)
{
    f->n++;
    assert_int_equal(pb_put_varint(&f->items, group, NULL), ST_OK);
    dynbuf_append_byte(&f->items, type, NULL);
}

/* n entries of 10 bytes from `first` on */
static void entries(struct footer *f, uint64_t group, uint64_t first, uint64_t n)
{
    head(f, group, 1);
    pb_put_varint(&f->items, n, NULL);
    pb_put_varint(&f->items, first, NULL);
    for (uint64_t i = 0; i < n; i++)
        pb_put_varint(&f->items, f->tail += 10, NULL);
}

static void compact(struct footer *f, uint64_t group, uint64_t index)
{
    head(f, group, 2);
    dynbuf_append_byte(&f->items, 2, NULL);
    pb_put_varint(&f->items, index, NULL);
}

static void clean(struct footer *f, uint64_t group)
{
    head(f, group, 2);
    dynbuf_append_byte(&f->items, 1, NULL);
}

static void marker(struct footer *f, uint64_t id, uint8_t what)
{
    head(f, id, 3);
    dynbuf_append(&f->items, "\x01\x03__\x01\x01", 6, NULL);
    dynbuf_append_byte(&f->items, what, NULL);
}

static void apply(struct raftlog_index *x, struct footer *f, bool rewrite, uint64_t place)
{
    struct dynbuf whole;
    uint8_t crc[4];
    dynbuf_init(&whole, 1 << 16);
    pb_put_varint(&whole, f->n, NULL);
    dynbuf_append(&whole, f->items.data, f->items.size, NULL);
    store_le32(crc, (uint32_t)crc32_z(0, whole.data, whole.size) ^ SIGNATURE);
    dynbuf_append(&whole, crc, 4, NULL);
    assert_true(raftlog_footer_valid(whole.data, whole.size, SIGNATURE));
    assert_false(raftlog_footer_valid(whole.data, whole.size, SIGNATURE + 1));
    assert_int_equal(raftlog_index_apply(x, rewrite, place, whole.data, whole.size, NULL), ST_OK);
    dynbuf_release(&whole);
    dynbuf_release(&f->items);
}

static void one(struct raftlog_index *x, bool rewrite, uint64_t place, uint64_t group, uint64_t first, uint64_t n)
{
    struct footer f;
    begin(&f);
    entries(&f, group, first, n);
    apply(x, &f, rewrite, place);
}

static void expect(const struct raftlog_index *x, uint64_t group, uint64_t first, uint64_t n)
{
    const struct raftlog_group *g = raftlog_index_find(x, group);
    assert_int_equal(g ? g->n : 0, n);
    if (n)
        assert_int_equal(g->first, first);
}

static void append_and_overwrite(void **state)
{
    struct raftlog_index x;
    struct budget b;
    (void)state;
    budget_init(&b, "test", "none", 1 << 20, NULL);
    raftlog_index_init(&x, &b);
    one(&x, false, 1, 5, 3, 4); /* an empty group takes any: 3..6 */
    expect(&x, 5, 3, 4);
    one(&x, false, 2, 5, 7, 1);
    expect(&x, 5, 3, 5);
    one(&x, false, 3, 5, 5, 1); /* inside: what follows is cut off */
    expect(&x, 5, 3, 3);
    const struct raftlog_group *g = raftlog_index_find(&x, 5);
    assert_int_equal(g->refs[g->head + 1].place, 1);
    assert_int_equal(g->refs[g->head + 1].start, 10);
    assert_int_equal(g->refs[g->head + 2].place, 3);
    assert_int_equal(g->refs[g->head + 2].size, 10);
    one(&x, false, 4, 5, 1, 1); /* before the first: all of the old go */
    expect(&x, 5, 1, 1);
    assert_false(raftlog_index_find(&x, 5)->has_hole);
    raftlog_index_release(&x);
    assert_int_equal(budget_used(&b), 0);
}

static void holes(void **state)
{
    struct raftlog_index x;
    (void)state;
    raftlog_index_init(&x, NULL);
    one(&x, true, 1, 5, 1, 2);
    one(&x, false, 2, 5, 10, 1); /* the append queue follows the rewrite queue with a hole: legal */
    expect(&x, 5, 10, 1);
    assert_false(raftlog_index_find(&x, 5)->has_hole);
    one(&x, false, 3, 5, 12, 1); /* within the append queue something is lost */
    expect(&x, 5, 12, 1);
    assert_true(raftlog_index_find(&x, 5)->has_hole);
    raftlog_index_release(&x);
}

static void commands(void **state)
{
    struct raftlog_index x;
    struct footer f;
    (void)state;
    raftlog_index_init(&x, NULL);
    begin(&f);
    entries(&f, 5, 1, 5);
    entries(&f, 6, 1, 2); /* tails go on over the items of a batch */
    compact(&f, 5, 3);
    compact(&f, 9, 3); /* unknown: nothing */
    apply(&x, &f, false, 1);
    expect(&x, 5, 3, 3);
    const struct raftlog_group *g = raftlog_index_find(&x, 6);
    assert_int_equal(g->refs[g->head].start, 50);
    begin(&f);
    compact(&f, 5, 2); /* behind the first already */
    clean(&f, 6);
    apply(&x, &f, false, 2);
    expect(&x, 5, 3, 3);
    assert_null(raftlog_index_find(&x, 6));
    begin(&f);
    compact(&f, 5, 6);
    apply(&x, &f, false, 3);
    expect(&x, 5, 0, 0);
    assert_int_equal(raftlog_index_find(&x, 5)->last, 5); /* remembered */
    one(&x, false, 4, 5, 6, 1);
    expect(&x, 5, 6, 1);
    raftlog_index_release(&x);
}

static void marked(struct raftlog_index *x, bool rewrite, uint64_t id, uint8_t what, uint64_t group, uint64_t first)
{
    struct footer f;
    begin(&f);
    entries(&f, group, first, 1);
    marker(&f, id, what);
    apply(x, &f, rewrite, first);
}

static void atomic_groups(void **state)
{
    struct raftlog_index x;
    (void)state;
    raftlog_index_init(&x, NULL);
    marked(&x, true, 1, 0, 5, 1);
    expect(&x, 5, 0, 0); /* waits for its end */
    one(&x, true, 9, 6, 1, 1);
    expect(&x, 6, 1, 1); /* others do not wait */
    marked(&x, true, 1, 1, 5, 2);
    marked(&x, true, 1, 2, 5, 3);
    expect(&x, 5, 1, 3);
    marked(&x, true, 2, 1, 7, 1); /* without a beginning: dropped */
    marked(&x, true, 2, 2, 7, 2);
    expect(&x, 7, 0, 0);
    marked(&x, true, 3, 0, 7, 1); /* begun again: the first try is dropped */
    marked(&x, true, 3, 0, 8, 1);
    marked(&x, true, 3, 2, 8, 2);
    expect(&x, 7, 0, 0);
    expect(&x, 8, 1, 2);
    marked(&x, true, 4, 0, 9, 1); /* never ended */
    raftlog_index_finish(&x);
    expect(&x, 9, 0, 0);
    marked(&x, false, 5, 0, 9, 1); /* no effect in the append queue */
    expect(&x, 9, 1, 1);
    raftlog_index_release(&x);
}

static void hostile(void **state)
{
    static const uint8_t bad[][12] = {{1, 5, 1, 200}, {1, 5, 1, 2, 1, 9, 5}, {1, 5, 4}, {1, 5, 3, 1, 9}, {9}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t footer[16];
        memcpy(footer, bad[i], 12);
        store_le32(footer + 12, (uint32_t)crc32_z(0, footer, 12));
        assert_false(raftlog_footer_valid(footer, 16, 0));
    }
    assert_false(raftlog_footer_valid(bad[0], 4, 0));
    const uint8_t *data;
    size_t size;
    uint8_t block[12] = {0xff, 0xff, 0xff, 0x7f, 1, 2, 3, 4};
    struct dynbuf plain;
    dynbuf_init(&plain, 1 << 20);
    store_le32(block + 8, (uint32_t)crc32_z(0, block, 8));
    assert_int_equal(raftlog_block_open(block, 12, true, &plain, &data, &size, NULL), ST_CORRUPT);
    assert_int_equal(raftlog_block_open(block, 12, false, &plain, &data, &size, NULL), ST_OK);
    block[0] ^= 1;
    assert_int_equal(raftlog_block_open(block, 12, false, &plain, &data, &size, NULL), ST_CORRUPT);
    dynbuf_release(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(append_and_overwrite), cmocka_unit_test(holes), cmocka_unit_test(commands),
                                       cmocka_unit_test(atomic_groups), cmocka_unit_test(hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
