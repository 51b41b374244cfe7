/* Budgets, buffers, arenas, bitmaps and hash maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/buffer.h"
#include "base/crc32.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/number.h"
#include "base/text.h"

static void budget_is_all_or_nothing(void **state)
{
    struct budget root, child;
    struct error err;
    (void)state;
    budget_init(&root, "root", "memory_limit", 100, NULL);
    budget_init(&child, "child", "child_limit", 1000, &root);
    assert_int_equal(budget_charge(&child, 60, &err), ST_OK);
    assert_int_equal(budget_charge(&child, 60, &err), ST_EXHAUSTED);
    assert_non_null(strstr(err.msg, "memory_limit"));
    assert_int_equal(budget_used(&child), 60);
    assert_int_equal(budget_used(&root), 60);
    budget_release(&child, 60);
    assert_int_equal(budget_used(&root), 0);
    assert_int_equal(root.peak, 60);
}

static void buffer_counts_and_keeps(void **state)
{
    struct budget b;
    struct buffer *buf;
    (void)state;
    budget_init(&b, "b", NULL, 4096, NULL);
    assert_int_equal(buffer_new(&b, 10, &buf, NULL), ST_OK);
    assert_int_equal((uintptr_t)buf->data % BUFFER_ALIGN, 0);
    memcpy(buf->data, "0123456789", 10);
    assert_int_equal(buffer_resize(buf, 1000, NULL), ST_OK);
    assert_memory_equal(buf->data, "0123456789", 10);
    assert_int_equal(buffer_resize(buf, 100000, NULL), ST_EXHAUSTED);
    assert_int_equal(buf->size, 1000);
    buffer_unref(buffer_ref(buf));
    buffer_unref(buf);
    assert_int_equal(budget_used(&b), 0);
}

static void dynbuf_has_a_ceiling(void **state)
{
    struct dynbuf d;
    (void)state;
    dynbuf_init(&d, 300);
    for (int i = 0; i < 300; i++)
        assert_int_equal(dynbuf_append_byte(&d, (uint8_t)i, NULL), ST_OK);
    assert_int_equal(dynbuf_append_byte(&d, 1, NULL), ST_EXHAUSTED);
    assert_int_equal(d.size, 300);
    dynbuf_release(&d);
}

static void arena_charges_and_gives_back(void **state)
{
    struct budget b;
    struct arena a;
    struct error err;
    (void)state;
    budget_init(&b, "b", NULL, 1 << 20, NULL);
    arena_init(&a, &b);
    for (int i = 0; i < 1000; i++)
        assert_non_null(arena_alloc(&a, 100, &err));
    assert_null(arena_alloc(&a, 2 << 20, &err));
    assert_int_equal(err.status, ST_EXHAUSTED);
    assert_null(arena_array(&a, SIZE_MAX / 2, 16, &err));
    assert_string_equal(arena_copy(&a, "abc", 3, &err), "abc");
    arena_release(&a);
    assert_int_equal(budget_used(&b), 0);
}

static void bits_at_every_offset(void **state)
{
    uint8_t src[40], dst[40];
    (void)state;
    srand(1);
    for (int round = 0; round < 3000; round++) {
        for (size_t i = 0; i < sizeof src; i++) {
            src[i] = (uint8_t)rand();
            dst[i] = (uint8_t)rand();
        }
        int64_t from = rand() % 100, to = rand() % 100, n = rand() % 200, count = 0;
        uint8_t before[40];
        memcpy(before, dst, sizeof dst);
        bits_copy(dst, to, src, from, n);
        for (int64_t i = 0; i < 320; i++) {
            bool inside = i >= to && i < to + n;
            assert_int_equal(bit_get(dst, i), inside ? bit_get(src, from + i - to) : bit_get(before, i));
        }
        for (int64_t i = 0; i < n; i++)
            count += bit_get(src, from + i);
        assert_int_equal(bits_count(src, from, n), count);
        bits_fill(dst, to, n, true);
        assert_int_equal(bits_count(dst, to, n), n);
    }
}

static void u64_map_against_an_array(void **state)
{
    enum { KEYS = 500 };
    static char values[KEYS];
    bool present[KEYS] = {false};
    struct u64_map m;
    (void)state;
    u64_map_init(&m);
    srand(2);
    for (int i = 0; i < 20000; i++) {
        int k = rand() % KEYS;
        if (rand() % 3) {
            assert_int_equal(u64_map_put(&m, (uint64_t)k << 32, &values[k], NULL), ST_OK);
            present[k] = true;
        } else {
            assert_ptr_equal(u64_map_remove(&m, (uint64_t)k << 32), present[k] ? &values[k] : NULL);
            present[k] = false;
        }
    }
    size_t pos = 0, n = 0, want = 0;
    uint64_t key;
    void *value;
    while (u64_map_next(&m, &pos, &key, &value))
        n += present[key >> 32];
    for (int k = 0; k < KEYS; k++) {
        assert_ptr_equal(u64_map_get(&m, (uint64_t)k << 32), present[k] ? &values[k] : NULL);
        want += present[k];
    }
    assert_int_equal(n, want);
    u64_map_release(&m);
}

static char texts[1000][8];

static dict_key text_of(const void *ctx, uint32_t id)
{
    (void)ctx;
    return (dict_key){texts[id], strlen(texts[id])};
}

static void dict_map_interns(void **state)
{
    struct dict_map m;
    (void)state;
    dict_map_init(&m);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 1000; i++) {
            char key[8];
            uint32_t id;
            bool added;
            int n = snprintf(key, sizeof key, "k%u", i);
            if (round == 0)
                memcpy(texts[i], key, sizeof key);
            assert_int_equal(dict_map_intern(&m, hash_bytes(key, (size_t)n), key, (size_t)n, text_of, NULL, &id, &added, NULL), ST_OK);
            assert_int_equal(id, i);
            assert_int_equal(added, round == 0);
        }
    assert_int_equal(dict_map_find(&m, hash_bytes("none", 4), "none", 4, text_of, NULL), UINT32_MAX);
    dict_map_release(&m);
}

static void error_keeps_the_prefix(void **state)
{
    struct error err;
    (void)state;
    assert_int_equal(error_set(&err, ST_CORRUPT, "bad %d", 7), ST_CORRUPT);
    assert_int_equal(error_prefix(&err, "file %s", "x"), ST_CORRUPT);
    assert_string_equal(err.msg, "file x: bad 7");
    assert_int_equal(status_greptime_code(ST_REGION_NOT_FOUND), 4005);
    assert_int_equal(status_grpc_code(ST_REGION_NOT_READY), 14);
}

/* Names and values come from outside and may be cut; the text goes into headers and JSON. */
static void error_texts_are_utf8(void **state)
{
    struct error err;
    (void)state;
    error_set(&err, ST_CORRUPT, "column %s", "a\xff\xc3\xa9\xe4\xb8");
    assert_string_equal(err.msg, "column a?\xc3\xa9??");
    error_prefix(&err, "%s", "\x80");
    assert_string_equal(err.msg, "?: column a?\xc3\xa9??");
    char text[sizeof err.msg + 1];
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof err.msg - 3, "\xe4\xb8\xad", 4);
    error_set(&err, ST_CORRUPT, "%s", text);
    assert_string_equal(err.msg + sizeof err.msg - 4, "x??");
}

static void keep_line(void *ctx, enum log_level level, const char *line, unsigned long size)
{
    (void)level;
    snprintf(ctx, 512, "%.*s", (int)size, line);
}

/* A name in an error text may be anything: a line stays one, and text. */
static void log_lines_are_text(void **state)
{
    static char line[512];
    (void)state;
    log_set_sink(keep_line, line);
    log_error("rpc", "no column %s", "a\n2026 ERROR b\x1b[2J\xff");
    log_set_json(true);
    char json[512];
    snprintf(json, sizeof json, "%s", line);
    log_error("rpc", "no column %s", "a\nb\xff");
    log_set_json(false);
    log_set_sink(NULL, NULL);
    assert_non_null(strstr(json, "ERROR rpc: no column a 2026 ERROR b [2J?"));
    assert_non_null(strstr(line, "no column a\\u000ab?\""));
}

static void utf8(void **state)
{
    static const struct { const char *text; size_t size; bool valid; } cases[] = {
        {"", 0, true}, {"plain ascii text", 16, true}, {"12345678\xc3\xa9", 10, true}, {"\xe2\x82\xac", 3, true}, {"\xf0\x9f\x98\x80", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true}, {"\xf4\x90\x80\x80", 4, false}, {"\xc0\x80", 2, false}, {"\xe0\x9f\x80", 3, false}, {"\xed\xa0\x80", 3, false},
        {"\xc3", 1, false}, {"\xe2\x82", 2, false}, {"\x80", 1, false}, {"12345678\xff", 9, false}, {"1234567\xc3 ", 9, false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_valid(cases[i].text, cases[i].size), cases[i].valid);
    /* as Rust's std::str::Utf8Error: the longest beginning of a sequence, 0 where the text ends within one */
    static const struct { const char *text; size_t size, at, bytes; } errors[] = {
        {"abc", 3, 3, 0}, {"a\x80", 2, 1, 1}, {"a\xff", 2, 1, 1}, {"a\xc3 ", 3, 1, 1}, {"a\xc3", 2, 1, 0}, {"\xe2\x82", 2, 0, 0}, {"\xe2\x82 ", 3, 0, 2},
        {"\xe0\x9f\x80", 3, 0, 1}, {"\xed\xa0\x80", 3, 0, 1}, {"\xf0\x9f\x98 ", 4, 0, 3}, {"\xf0\x9f\x98", 3, 0, 0}, {"\xf4\x90\x80\x80", 4, 0, 1}};
    for (size_t i = 0, bytes; i < sizeof errors / sizeof *errors; i++) {
        assert_int_equal(utf8_find_error(errors[i].text, errors[i].size, &bytes), errors[i].at);
        assert_int_equal(bytes, errors[i].bytes);
    }
}

static int turned_tight, turned_loose;
static void on_tight(bool tight)
{
    *(tight ? &turned_tight : &turned_loose) += 1;
}

/* Told once at each edge; and sizes as the allocator rounds them: never less, at most a quarter more. */
static void test_budget_watch(void **unused)
{
    struct budget root, child;
    (void)unused;
    budget_init(&root, "root", "memory_limit", 1000, NULL);
    budget_init(&child, "child", "knob", SIZE_MAX, &root);
    budget_watch(&root, on_tight);
    assert_int_equal(budget_headroom(&child), 1000);
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < 9; i++)
            assert_int_equal(budget_charge(&child, 100, NULL), ST_OK);
        assert_int_equal(turned_tight, round);
        assert_int_equal(budget_headroom(&child), 100);
        assert_int_equal(budget_charge(&child, 101, NULL), ST_EXHAUSTED);
        for (int i = 0; i < 9; i++)
            budget_release(&child, 100);
        assert_int_equal(turned_loose, round);
    }
    for (size_t n = 1; n < 1 << 20; n += n / 7 + 1) {
        size_t size = budget_alloc_size(n);
        assert_true(size >= n && size <= n + n / 4 + 16 && size >= budget_alloc_size(n - 1) && budget_alloc_size(size) == size);
    }
}

/* The number in a text of `zeros` zeros between head and tail. */
static double parsed(const char *head, int zeros, const char *tail, bool single)
{
    char text[3000];
    double v = 42;
    int n = snprintf(text, sizeof text, "%s%0*d%s", head, zeros, 0, tail);
    assert_true(number_parse(text, (size_t)n, single, &v));
    return v;
}

static void numbers_of_any_length(void **state)
{
    static const char *const bad[] = {"", "-", "+", ".", "--1", "+-1", "1e", "e1", "1 ", " 1", "0x10", "nan(1)", "infin", "1.2.3"};
    double v = 42;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(number_parse(bad[i], strlen(bad[i]), false, &v));
    assert_true(v == 42);
    assert_true(parsed("1", 2000, "", false) == INFINITY);
    assert_true(parsed("-1", 2000, "", true) == -INFINITY);
    assert_true(parsed("1", 2000, "e-2000", false) == 1);
    assert_true(parsed("0.", 2000, "1", false) == 0);
    assert_true(signbit(parsed("-0.", 2000, "1", true)));
    assert_true(parsed("0.", 2000, "25E2001", false) == 2.5);
    assert_true(parsed("", 2000, ".5", false) == 0.5);
    assert_true(parsed("1", 45, "", true) == INFINITY);
    assert_true(parsed("1", 45, "", false) == 1e45);
    assert_true(parsed("16777217.", 1000, "1", true) == 16777218); /* a double in between would round to even */
    assert_true(parsed("1e99999999999999999999", 1, "", false) == INFINITY);
    assert_true(parsed("1e-99999999999999999999", 1, "", false) == 0);
    assert_true(number_parse("+Infinity", 9, false, &v) && v == INFINITY);
    assert_true(number_parse("-NaN", 4, true, &v) && isnan(v));
    assert_true(number_parse("5.", 2, true, &v) && v == 5);
}

/* Bit by bit, as the polynomial says; in pieces of any size from any address. */
static void check_crc(uint32_t (*crc)(uint32_t crc, const void *data, size_t size), uint32_t polynomial, uint32_t of_digits)
{
    enum { N = 20000 };
    static uint8_t data[N];
    static uint32_t want[N + 1];
    uint32_t c = UINT32_MAX;
    assert_int_equal(crc(0, "123456789", 9), of_digits);
    for (size_t i = 0; i < N; i++) {
        data[i] = (uint8_t)(hash_u64(i) >> 11);
        want[i] = ~c;
        c ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ polynomial : c >> 1;
    }
    want[N] = ~c;
    for (size_t n = 0; n <= N; n += n < 200 || (n > 3000 && n < 3160) || (n > 6100 && n < 6200) ? 1 : 97)
        assert_int_equal(crc(0, data, n), want[n]);
    for (size_t at = 0; at < 9000; at += 331)
        assert_int_equal(crc(crc(0, data, at), data + at, N - at), want[N]);
}

static void crcs_of_all_sizes(void **state)
{
    (void)state;
    check_crc(crc32c, 0x82f63b78u, 0xe3069283);
    check_crc(crc32_ieee, 0xedb88320u, 0xcbf43926);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_budget_watch), 
        cmocka_unit_test(budget_is_all_or_nothing), cmocka_unit_test(buffer_counts_and_keeps), cmocka_unit_test(dynbuf_has_a_ceiling),
        cmocka_unit_test(arena_charges_and_gives_back), cmocka_unit_test(bits_at_every_offset), cmocka_unit_test(u64_map_against_an_array),
        cmocka_unit_test(dict_map_interns), cmocka_unit_test(error_keeps_the_prefix), cmocka_unit_test(error_texts_are_utf8), cmocka_unit_test(log_lines_are_text), cmocka_unit_test(utf8), cmocka_unit_test(numbers_of_any_length), cmocka_unit_test(crcs_of_all_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
