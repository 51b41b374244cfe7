/* Time zones: the system's files, the rules behind their last transition, and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "format/tzif/tzif.h"

static uint8_t file[1 << 16];

static size_t read_zone(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(file, 1, sizeof file, f);
    fclose(f);
    return n;
}

static void load(const char *name, struct tzif *z)
{
    assert_int_equal(tzif_decode(file, read_zone(name), z, NULL), ST_OK);
}

static void test_offsets(void **state)
{
    (void)state;
    struct tzif z;
    load("Europe/Berlin", &z);
    assert_int_equal(tzif_at(&z, 0)->offset_s, 3600);
    assert_int_equal(tzif_at(&z, 1711846799)->offset_s, 3600); /* 2024-03-31 01:00 UTC */
    assert_int_equal(tzif_at(&z, 1711846800)->offset_s, 7200);
    assert_string_equal(tzif_at(&z, 1711846800)->abbreviation, "CEST");
    assert_int_equal(tzif_at(&z, 4109878799)->offset_s, 3600); /* 2100-03-28 01:00 UTC, far behind the last transition of the file */
    assert_int_equal(tzif_at(&z, 4109878800)->offset_s, 7200);
    assert_int_equal(tzif_at(&z, INT64_MIN)->offset_s, 3208); /* local mean time */
    tzif_release(&z);
    load("Australia/Sydney", &z); /* summer is around the new year */
    assert_int_equal(tzif_at(&z, 4102444800)->offset_s, 39600);
    assert_int_equal(tzif_at(&z, 4118083200)->offset_s, 36000);
    tzif_release(&z);
    load("Asia/Kathmandu", &z);
    assert_int_equal(tzif_at(&z, 1700000000)->offset_s, 20700);
    tzif_release(&z);
}

static void test_local(void **state)
{
    (void)state;
    struct tzif z;
    int64_t utc[2];
    load("America/New_York", &z);
    assert_int_equal(tzif_from_local(&z, 1710037800, utc), 0); /* 2024-03-10 02:30 */
    assert_int_equal(tzif_from_local(&z, 1730597400, utc), 2); /* 2024-11-03 01:30 */
    assert_int_equal(utc[0], 1730611800);
    assert_int_equal(utc[1], 1730615400);
    assert_int_equal(tzif_from_local(&z, 1710039600, utc), 1);
    assert_int_equal(utc[0], 1710054000);
    tzif_release(&z);
    assert_int_equal(tzif_fixed(-19800, &z, NULL), ST_OK);
    assert_string_equal(tzif_at(&z, 0)->abbreviation, "-05:30");
    assert_int_equal(tzif_from_local(&z, 0, utc), 1);
    assert_int_equal(utc[0], 19800);
    tzif_release(&z);
}

static void test_hostile(void **state)
{
    (void)state;
    struct tzif z;
    size_t size = read_zone("Europe/Berlin");
    for (size_t n = 0; n < size; n++)
        if (tzif_decode(file, n, &z, NULL) == ST_OK)
            fail_msg("a file cut off at %zu is taken", n);
    for (size_t i = 0; i < size; i++) { /* one byte changed: an error or a zone, never a crash */
        int64_t utc[2];
        file[i] ^= 0xff;
        if (tzif_decode(file, size, &z, NULL) == ST_OK) {
            tzif_at(&z, 1700000000);
            tzif_from_local(&z, 4200000000, utc);
            tzif_release(&z);
        }
        file[i] ^= 0xff;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_offsets), cmocka_unit_test(test_local), cmocka_unit_test(test_hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
