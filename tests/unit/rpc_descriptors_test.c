/* Tests of the descriptions for reflection: the table is sound, every name in it is found again, and nothing else is. That protobuf accepts them is
 * tested against the running server (tests/py/test_reflection.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/proto/wire.h"
#include "rpc/descriptors.h"

static void encodes(void **state)
{
    (void)state;
    struct error err;
    for (const struct descriptor_file *f = descriptor_files; f->name; f++) {
        struct dynbuf out;
        struct pb_field field;
        size_t n = 0, want = 0;
        dynbuf_init(&out, 1 << 20);
        assert_int_equal(descriptor_file_encode(f, &out, &err), ST_OK);
        for (const struct descriptor *d = descriptors; d->name; d++)
            want += strcmp(d->package, f->package) == 0;
        struct pb_reader r = pb_reader_of(out.data, out.size);
        while (pb_next(&r, &field))
            n += field.number >= 4 && field.number <= 6;
        assert_true(pb_done(&r));
        assert_int_equal(n, want);
        assert_true(want > 0);
        assert_ptr_equal(descriptor_file_by_name(f->name, strlen(f->name)), f);
        dynbuf_release(&out);
    }
}

static bool found(const char *symbol, const char *package)
{
    const struct descriptor_file *f = descriptor_file_of_symbol(symbol, strlen(symbol));
    return f && strcmp(f->package, package) == 0;
}

static void finds(void **state)
{
    (void)state;
    for (const struct descriptor *d = descriptors; d->name; d++) {
        char symbol[200];
        snprintf(symbol, sizeof(symbol), "%s.%s", d->package, strchr(d->name, ' ') + 1);
        assert_true(found(symbol, d->package));
    }
    assert_true(found("greptime.v1.region.Region.Handle", "greptime.v1.region"));
    assert_true(found("greptime.v1.Value.i8_value", "greptime.v1"));
    assert_true(found("greptime.v1.region.RegionResponse.extensions", "greptime.v1.region"));
    assert_true(found("greptime.v1.SemanticType.TAG", "greptime.v1"));
    static const char *const nothing[] = {"",
                                          ".",
                                          "greptime",
                                          "greptime.v1",
                                          "greptime.v1.",
                                          "greptime.v1.region.Regio",
                                          "greptime.v1.region.Region.",
                                          "greptime.v1.region.Region.Handl",
                                          "Region",
                                          "greptime.v1.region.Region.Handle.x",
                                          "..",
                                          "Value.i8_value"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        assert_null(descriptor_file_of_symbol(nothing[i], strlen(nothing[i])));
    assert_null(descriptor_file_by_name("a.proto", 7));
    assert_null(descriptor_file_by_name("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(encodes), cmocka_unit_test(finds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
