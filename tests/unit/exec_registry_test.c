/* The catalogue: no two families know the same function, so that the order of families never decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "exec/catalogue.h"

enum { MOST = 2000 };

struct seen {
    const char *names[2][MOST]; /* scalar functions, aggregates */
    int n[2];
};

static void note(void *ctx, const struct function_info *f)
{
    struct seen *s = ctx;
    int kind = f->aggregate;
    for (int i = 0; i < s->n[kind]; i++)
        if (strcmp(s->names[kind][i], f->name) == 0)
            fail_msg("%s stands in the catalogue twice", f->name);
    assert_true(s->n[kind] < MOST);
    assert_true(f->min_args <= f->max_args);
    s->names[kind][s->n[kind]++] = f->name;
}

static void test_names_are_unique(void **state)
{
    struct seen s = {0};
    (void)state;
    catalogue_walk(note, &s);
    assert_true(s.n[0] > 300);
    assert_true(s.n[1] > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_are_unique)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
