/* aHash: values frozen after whole states (registers of approx_distinct, hashes of count_hash) had come out byte for byte as the peer's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/ahash.h"

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t want;
    } texts[] = {
        {"", 0x9131c9546192829bu},
        {"a", 0x92aaab8233ef55a4u},
        {"ab", 0x36370b626224030fu},
        {"host", 0x41ded78a01e43801u},
        {"host10", 0x3f57b2b0f3bbbaa6u},
        {"12345678", 0x7b4c9f1bfd5190bbu},
        {"123456789", 0x4ece3f82c583c469u},
        {"0123456789abcdef", 0x82525a1d8ce97798u},
        {"0123456789abcdefg", 0x931e1c7f3d2906d5u},
        {"a string of more than forty-eight bytes, to go round", 0xb80e9f797a636ab2u},
    };
    struct ahash h = ahash_seeded(0x885f6cab121d01a3u, 0x71e4379f2976ad8fu, 0xbf30173dd28a8816u, 0x0eaea5d736d733a4u);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(ahash_text(&h, texts[i].text, strlen(texts[i].text)), texts[i].want);
    assert_int_equal(ahash_u64(&h, 0), 0x85c167b936f5d412u);
    assert_int_equal(ahash_u64(&h, 42), 0xc0af73084855db41u);
    assert_int_equal(ahash_u64(&h, UINT32_MAX), 0xf72c51fc694d7a65u);
    assert_int_equal(ahash_u128(&h, 1, 2), 0x0d11f323b14a4479u);
    assert_int_equal(ahash_bool(&h, true), 0xa4a806d39cf25430u);
    assert_int_equal(ahash_bytes(&h, "abc", 3), 0x5bd4f887ffdbdaefu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
