/* Sketches against values and bytes of the crates that the peer uses: hyperloglogplus 0.4.1 and timescaledb-toolkit's udd-sketch, fed with the same
 * hashes and values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bits.h"
#include "base/hash.h"
#include "format/sketch/hll.h"
#include "format/sketch/uddsketch.h"

static uint64_t fnv(const uint8_t *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* ---- HyperLogLog++ ---- */

static void hll_fill(struct hll *h, uint64_t from, uint64_t to)
{
    hll_init(h, NULL);
    for (uint64_t i = from; i < to; i++)
        assert_int_equal(hll_add(h, hash_u64(i), NULL), ST_OK);
}

/* Bytes, their digest, the count, and that the bytes read back to the same. */
static void hll_check(struct hll *h, size_t size, uint64_t digest, double count)
{
    struct dynbuf bytes, again;
    struct hll copy;
    double got;
    dynbuf_init(&bytes, 1 << 20);
    dynbuf_init(&again, 1 << 20);
    assert_int_equal(hll_encode(h, &bytes, NULL), ST_OK);
    assert_int_equal(bytes.size, size);
    assert_true(fnv(bytes.data, bytes.size) == digest);
    assert_int_equal(hll_decode(bytes.data, bytes.size, NULL, &copy, NULL), ST_OK);
    assert_int_equal(hll_encode(&copy, &again, NULL), ST_OK);
    assert_int_equal(again.size, size);
    assert_memory_equal(again.data, bytes.data, size);
    for (size_t cut = 0; cut < size; cut += cut < 100 ? 1 : 997)
        assert_int_equal(hll_decode(bytes.data, cut, NULL, &copy, NULL), ST_CORRUPT);
    assert_int_equal(hll_count(h, &got, NULL), ST_OK);
    assert_true(fabs(got - count) <= 1e-9 * count);
    hll_release(&copy);
    hll_release(h);
    dynbuf_release(&bytes);
    dynbuf_release(&again);
}

static void hll_is_the_crates(void **state)
{
    static const struct {
        uint64_t n;
        size_t size;
        uint64_t digest;
        double count;
    } samples[] = {{0, 54, 0x7a728e452ffe1bb4, 0},
                   {1, 58, 0xf07ca503cbbe1b7c, 1.00000002980231995},
                   {100, 454, 0xc3503d466629e930, 100.00029802458067252},
                   {131, 578, 0xfd53f1d2f3783182, 131.00051143978049595},
                   {132, 446, 0x413a1051a1123689, 132.00051927766841686},
                   {133, 450, 0x5088ba69e5e16620, 133.00052717515907830},
                   {1000, 2951, 0x04939d0089ee9dc0, 1000.02980350767995787},
                   {3000, 7649, 0x94293a882b00bf90, 3000.26825288090230970},
                   {5000, 11680, 0x0776f6fff0570e01, 5000.74520612316700863},
                   {6000, 13186, 0x9601c552fb5eae02, 6067.85932349878203240},
                   {20000, 13186, 0x329f73e95b195049, 19958.37020310556545155},
                   {60000, 13186, 0xdce08f57927effa5, 59799.76372131885727867},
                   {100000, 13186, 0x719c6dc7d78d193b, 99785.63940904157061595},
                   {1000000, 13186, 0xc1b6285e8d4c14af, 997595.61671017366461456}};
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct hll h;
        hll_fill(&h, 1, samples[i].n + 1);
        hll_check(&h, samples[i].size, samples[i].digest, samples[i].count);
    }
}

static void hll_merges_like_the_crate(void **state)
{
    static const struct {
        uint64_t a, b, c, d;
        size_t size;
        uint64_t digest;
        double count;
    } samples[] = {{1, 51, 40, 120, 530, 0xd8e61cb8e4a8639d, 119.00042203414660946},
                   {1, 101, 101, 200, 640, 0x7b0766ef349fb81b, 199.00118021290592196},
                   {1, 3001, 3000, 5001, 11438, 0xcf685d6e1ff75b28, 5000.74520612316700863},
                   {1, 10001, 5000, 20001, 13186, 0x329f73e95b195049, 19958.37020310556545155},
                   {1, 101, 1, 10001, 13186, 0x90ff74820233f2a0, 10051.87431331672087254},
                   {1, 10001, 1, 101, 13186, 0x90ff74820233f2a0, 10051.87431331672087254},
                   {1, 2001, 2001, 6001, 13186, 0x9601c552fb5eae02, 6067.85932349878203240}};
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct hll x, y;
        hll_fill(&x, samples[i].a, samples[i].b);
        hll_fill(&y, samples[i].c, samples[i].d);
        assert_int_equal(hll_merge(&x, &y, NULL), ST_OK);
        hll_check(&x, samples[i].size, samples[i].digest, samples[i].count);
        hll_release(&y);
    }
}

static void hll_reads_recorded_bytes(void **state)
{
    static const uint8_t recorded[] = {0x0e, 0x00, 0x40, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0x01, 0,    0,    0,    0,
                                       0x33, 0x33, 0,    0,    0,    0,    0,    0,    0x0c, 0,    0,    0,    0,    0,    0,    0,    0xa8,
                                       0x84, 0x22, 0x03, 0x9a, 0x88, 0xc4, 0x02, 0x10, 0xfe, 0xac, 0x01, 0xf4, 0x17, 0xb3, 0x02, 0x60, 0x2c,
                                       0xd0, 0x01, 0xa2, 0xd9, 0xc2, 0x01, 0xe0, 0x0b, 0x73, 0x00, 0xc0, 0x74, 0x1b, 0x01, 0xb0, 0xf1, 0x12,
                                       0x02, 0xc0, 0x71, 0x83, 0x02, 0x5e, 0x25, 0xb6, 0x02, 0x22, 0x87, 0x6d, 0x03, 0,    0,    0,    0,
                                       0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
    struct hll h;
    double count;
    (void)state;
    assert_int_equal(hll_decode(recorded, sizeof recorded, NULL, &h, NULL), ST_OK);
    assert_int_equal(hll_count(&h, &count, NULL), ST_OK);
    assert_true(round(count) == 12);
    hll_release(&h);
}

static void hll_refuses_broken_codes(void **state)
{
    struct hll h, copy;
    struct dynbuf bytes;
    (void)state;
    dynbuf_init(&bytes, 1 << 20);
    hll_fill(&h, 1, 200);
    assert_int_equal(hll_encode(&h, &bytes, NULL), ST_OK);
    size_t codes = bytes.size - 1 - h.sparse_bytes;
    bytes.data[codes + h.sparse_bytes - 1] |= 0x80; /* a delta that does not end */
    assert_int_equal(hll_decode(bytes.data, bytes.size, NULL, &copy, NULL), ST_CORRUPT);
    bytes.data[codes + h.sparse_bytes - 1] &= 0x7f;
    bytes.data[codes] ^= 1; /* the codes no longer add up to the last one */
    assert_int_equal(hll_decode(bytes.data, bytes.size, NULL, &copy, NULL), ST_CORRUPT);
    bytes.data[codes] ^= 1;
    bytes.data[0] = 13;
    assert_int_equal(hll_decode(bytes.data, bytes.size, NULL, &copy, NULL), ST_CORRUPT);
    hll_release(&h);
    dynbuf_release(&bytes);
}

/* ---- UDDSketch ---- */

static double sample_value(uint64_t i)
{
    uint64_t m = hash_u64(i);
    return m % 50 ? (double)((m >> 20) % 2000000) / 1000.0 - 500 : 0;
}

static void udd_fill(struct uddsketch *s, uint64_t max_buckets, double error_rate, uint64_t from, uint64_t to)
{
    assert_int_equal(uddsketch_init(s, NULL, max_buckets, error_rate, NULL), ST_OK);
    for (uint64_t i = from; i < to; i++)
        assert_int_equal(uddsketch_add(s, sample_value(i), NULL), ST_OK);
}

struct udd_expected {
    size_t n_buckets;
    uint64_t buckets, tail;
    double quantiles[7];
};

static void udd_check(const struct uddsketch *s, const struct udd_expected *e)
{
    static const double q[7] = {0, 0.01, 0.25, 0.5, 0.9, 0.999, 1};
    const struct uddsketch_bucket *b = (const struct uddsketch_bucket *)(const void *)s->buckets->data;
    struct dynbuf bytes, again, walk;
    struct uddsketch copy;
    dynbuf_init(&bytes, 1 << 20);
    dynbuf_init(&again, 1 << 20);
    dynbuf_init(&walk, 1 << 20);
    for (size_t i = 0; i < s->n_buckets; i++, b++) {
        uint32_t sign = b->sign;
        assert_int_equal(dynbuf_append(&walk, &sign, 4, NULL), ST_OK);
        if (sign != UDDSKETCH_ZERO)
            assert_int_equal(dynbuf_append(&walk, &b->index, 8, NULL), ST_OK);
        assert_int_equal(dynbuf_append(&walk, &b->count, 8, NULL), ST_OK);
    }
    assert_int_equal(s->n_buckets, e->n_buckets);
    assert_true(fnv(walk.data, walk.size) == e->buckets);
    assert_int_equal(uddsketch_encode(s, &bytes, NULL), ST_OK);
    assert_true(fnv(bytes.data + bytes.size - 52, 44) == e->tail);
    for (int i = 0; i < 7; i++)
        assert_true(fabs(uddsketch_quantile(s, q[i]) - e->quantiles[i]) <= 1e-12 * fabs(e->quantiles[i]));
    assert_int_equal(uddsketch_decode(bytes.data, bytes.size, NULL, &copy, NULL), ST_OK);
    assert_int_equal(uddsketch_encode(&copy, &again, NULL), ST_OK);
    assert_int_equal(again.size, bytes.size);
    assert_memory_equal(again.data, bytes.data, bytes.size);
    uddsketch_release(&copy);
    for (size_t cut = 0; cut < bytes.size - 8; cut++)
        assert_int_equal(uddsketch_decode(bytes.data, cut, NULL, &copy, NULL), ST_CORRUPT);
    assert_int_equal(uddsketch_decode(bytes.data, bytes.size - 8, NULL, &copy, NULL), ST_OK);
    assert_true(isnan(copy.error_rate));
    uddsketch_release(&copy);
    dynbuf_release(&bytes);
    dynbuf_release(&again);
    dynbuf_release(&walk);
}

static void uddsketch_is_the_crates(void **state)
{
    static const struct {
        uint64_t max_buckets;
        double error_rate;
        uint64_t n;
        struct udd_expected e;
    } samples[] = {
        {128,
         0.01,
         1000,
         {99,
          0xc0b70567da6a5819,
          0xfeb88a21c30afd5a,
          {-492.45684824698674, -492.45684824698674, -2.716199050902846, 492.45684824698674, 1286.1889737379272, 1509.3647932383815,
           1509.3647932383815}}},
        {200,
         0.001,
         20000,
         {121,
          0x9c151f91c1fcc752,
          0x438084beef66eb9c,
          {-495.6923462134749, -495.6923462134749, 0.0, 495.6923462134749, 1214.339714518227, 1568.6267727306633, 1568.6267727306633}}},
        {10,
         0.05,
         500,
         {9,
          0xf3934ba06f493b9a,
          0xa2c197418de0a0b3,
          {-203.05495118161033, -203.05495118161033, 0.0, 203.05495118161033, 1007.0816529642584, 1007.0816529642584, 1007.0816529642584}}},
        {20,
         0.1,
         5000,
         {13,
          0xea3d3643a3031a9f,
          0x9a96e9709eed30af,
          {-205.6637260903738, -205.6637260903738, 0.0, 205.6637260903738, 1024.1394736436037, 1024.1394736436037, 1024.1394736436037}}}};
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct uddsketch s;
        udd_fill(&s, samples[i].max_buckets, samples[i].error_rate, 1, samples[i].n + 1);
        udd_check(&s, &samples[i].e);
        uddsketch_release(&s);
    }
}

static void uddsketch_merges_like_the_crate(void **state)
{
    static const struct {
        uint64_t a, b, c, d;
        struct udd_expected e;
    } samples[] = {
        {1,
         100,
         100,
         5000,
         {78,
          0xda7f3535236b1acd,
          0xde9ee20e16e91bd9,
          {-472.0139500208274, -472.0139500208274, 0.0, 472.0139500208274, 1232.7966199036166, 1446.7079513969934, 1446.7079513969934}}},
        {1,
         5000,
         5000,
         5100,
         {78,
          0xf6864906d2415e41,
          0x39c6cfe932b868ce,
          {-472.0139500208274, -472.0139500208274, 0.0, 472.0139500208274, 1232.7966199036166, 1446.7079513969934, 1446.7079513969934}}},
        {1,
         1,
         1,
         2000,
         {117,
          0x4c3fa9f2c9d795a7,
          0xa4272ed09de9da53,
          {-492.45684824698674, -492.45684824698674, 0.0, 492.45684824698674, 1286.1889737379272, 1509.3647932383815, 1509.3647932383815}}}};
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct uddsketch x, y;
        udd_fill(&x, 128, 0.01, samples[i].a, samples[i].b);
        udd_fill(&y, 128, 0.01, samples[i].c, samples[i].d);
        assert_int_equal(uddsketch_merge(&x, &y, NULL), ST_OK);
        udd_check(&x, &samples[i].e);
        uddsketch_release(&x);
        uddsketch_release(&y);
    }
}

/* Values that the peer would compact for ever: more kinds of buckets than may be. */
static void uddsketch_stops_when_nothing_compacts(void **state)
{
    static const double values[] = {-INFINITY, -5, -0.001, 0, 0.001, 5, INFINITY, NAN};
    struct uddsketch s, empty;
    (void)state;
    assert_int_equal(uddsketch_init(&s, NULL, 0, 0.01, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(uddsketch_init(&s, NULL, 10, 1, NULL), ST_INVALID_ARGUMENTS);
    assert_int_equal(uddsketch_init(&s, NULL, 1, 0.01, NULL), ST_OK);
    for (int i = 0; i < 800; i++)
        assert_int_equal(uddsketch_add(&s, values[i % 8], NULL), ST_OK);
    assert_true(s.n_buckets <= 7);
    assert_int_equal(uddsketch_init(&empty, NULL, 1, 0.02, NULL), ST_OK);
    assert_int_equal(uddsketch_merge(&s, &empty, NULL), ST_OK);
    assert_int_equal(uddsketch_add(&empty, 1, NULL), ST_OK);
    assert_int_equal(uddsketch_merge(&s, &empty, NULL), ST_INVALID_ARGUMENTS);
    uddsketch_release(&s);
    uddsketch_release(&empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hll_is_the_crates),
                                       cmocka_unit_test(hll_merges_like_the_crate),
                                       cmocka_unit_test(hll_reads_recorded_bytes),
                                       cmocka_unit_test(hll_refuses_broken_codes),
                                       cmocka_unit_test(uddsketch_is_the_crates),
                                       cmocka_unit_test(uddsketch_merges_like_the_crate),
                                       cmocka_unit_test(uddsketch_stops_when_nothing_compacts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
