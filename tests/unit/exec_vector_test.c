/* Vector functions and full-text predicates. */
#include "expr_calc.h"

#include "exec/match_pattern.h"

#define V(text) L(T(UTF8), text)

static void test_distances(void **state)
{
    (void)state;
    given(T(BINARY), "0x0000803f0000004000004040|0x000000000000000000000000|NULL");
    IS(CALL("vec_dot_product", F(0), V("[1.0, 1, 1]")), "6|0|NULL");
    IS(CALL("vec_l2sq_distance", F(0), V("[0,0,1]")), "9|1|NULL");
    IS(CALL("vec_cos_distance", F(0), V("[1,2,3]")), "0|1|NULL");
    IS(CALL("vec_cos_distance", F(0), V("[-1,-2,-3]")), "2|1|NULL");
    IS(CALL("vec_dot_product", F(0), V("[1,2]")), QUERY_ERROR);
    IS(CALL("vec_dot_product", F(0), V("[1,2,x]")), QUERY_ERROR);
    IS(CALL("vec_dot_product", V("[1,2,3,4,5,6,7,8,9]"), V(" [1,1,1,1,1,1,1,1, 1] ")), "45|45|45");
    IS(CALL("vec_dim", F(0)), "3|3|NULL");
    IS(CALL("vec_elem_sum", F(0)), "6|0|NULL");
    IS(CALL("vec_elem_avg", F(0)), "2|0|NULL");
    IS(CALL("vec_elem_product", F(0)), "6|0|NULL");
    IS(CALL("vec_kth_elem", F(0), L(T(INT64), "2")), "3|0|NULL");
    IS(CALL("vec_kth_elem", F(0), L(T(INT64), "3")), QUERY_ERROR);
    IS(CALL("vec_kth_elem", F(0), L(T(INT64), "-1")), QUERY_ERROR);
    n_input = 0;
    given(T(BINARY), "0x0000");
    IS(CALL("vec_dim", F(0)), QUERY_ERROR);
}

static void test_vectors(void **state)
{
    (void)state;
    given(T(BINARY), "0x0000803f0000004000004040|NULL");
    IS(CALL("vec_to_string", F(0)), "[1,2,3]|NULL");
    IS(CALL("vec_to_string", CALL("vec_add", F(0), V("[0.1,0.1,0.1]"))), "[1.1,2.1,3.1]|NULL");
    IS(CALL("vec_to_string", CALL("vec_sub", F(0), F(0))), "[0,0,0]|NULL");
    IS(CALL("vec_to_string", CALL("vec_mul", F(0), V("[2,2,2]"))), "[2,4,6]|NULL");
    IS(CALL("vec_to_string", CALL("vec_div", F(0), V("[0,4,3]"))), "[inf,0.5,1]|NULL");
    IS(CALL("vec_to_string", CALL("vec_scalar_add", L(T(FLOAT64), "-1.5"), F(0))), "[-0.5,0.5,1.5]|NULL");
    IS(CALL("vec_to_string", CALL("vec_scalar_mul", L(T(FLOAT64), "NULL"), F(0))), "NULL|NULL");
    IS(CALL("vec_to_string", CALL("vec_norm", V("[3,4]"))), "[0.6,0.8]|[0.6,0.8]");
    IS(CALL("vec_to_string", CALL("vec_subvector", F(0), L(T(INT64), "1"), L(T(INT64), "3"))), "[2,3]|NULL");
    IS(CALL("vec_to_string", CALL("vec_subvector", F(0), L(T(INT64), "1"), L(T(INT64), "1"))), "[]|NULL");
    IS(CALL("vec_subvector", F(0), L(T(INT64), "2"), L(T(INT64), "1")), QUERY_ERROR);
    IS(CALL("vec_to_string", CALL("parse_vec", V("[3.4028235e38, -1.1754944e-38,.5,+1]"))),
       "[340282350000000000000000000000000000000,-0.000000000000000000000000000000000000011754944,0.5,1]|"
       "[340282350000000000000000000000000000000,-0.000000000000000000000000000000000000011754944,0.5,1]");
    IS(CALL("parse_vec", V("1,2")), QUERY_ERROR);
    IS(CALL("parse_vec", V("[0x10]")), QUERY_ERROR);
    IS(CALL("parse_vec", V("[1,]")), QUERY_ERROR);
}

static void test_matches(void **state)
{
    (void)state;
    given(T(UTF8), "The quick brown fox|The fox|A quick cat|NULL|");
    IS(CALL("matches", F(0), V("quick")), "true|false|true|NULL|false");
    IS(CALL("matches", F(0), V("quick fox")), "true|true|true|NULL|false");
    IS(CALL("matches", F(0), V("+quick fox")), "true|false|true|NULL|false");
    IS(CALL("matches", F(0), V("quick -fox")), "false|false|true|NULL|false");
    IS(CALL("matches", F(0), V("+fox -quick")), "false|true|false|NULL|false");
    IS(CALL("matches", F(0), V("quick AND fox")), "true|false|false|NULL|false");
    IS(CALL("matches", F(0), V("cat or brown and fox")), "true|false|true|NULL|false");
    IS(CALL("matches", F(0), V("(cat OR brown) AND quick")), "true|false|true|NULL|false");
    IS(CALL("matches", F(0), V("-(cat OR brown)")), "false|true|false|NULL|true");
    IS(CALL("matches", F(0), V("\"quick brown\"")), "true|false|false|NULL|false");
    IS(CALL("matches", F(0), V("quick\\ brown")), "true|false|false|NULL|false");
    static const char *const bad[] = {"", "(", ")", "+ quick", "++quick", "\"quick", "\"a\"b", "a AND", "AND a", "a\\", "qu\"ick"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        IS(CALL("matches", F(0), V(bad[i])), QUERY_ERROR);
}

static uint32_t next_number(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 10;
}

static bool has_needs(const struct match_need *needs, const char *text)
{
    for (; needs; needs = needs->next) {
        const struct match_need *any = needs;
        while (any && !memmem(text, strlen(text), any->text, any->size))
            any = any->or_else;
        if (!any)
            return false;
    }
    return true;
}

/* Random patterns over random texts: a text that matches has what the pattern is said to need; and the needs do leave texts out. */
static void test_needs(void **state)
{
    static const char *const pieces[] = {"a", "b", "cd", " ", " ", " AND ", " OR ", "+", "-", "(", ")", "\"a b\" ", "\"d\" "};
    uint32_t seed = 5;
    int read = 0, found = 0, kept = 0, all = 0;
    (void)state;
    for (int k = 0; k < 20000; k++) {
        struct match_node *root;
        struct match_need *needs = NULL;
        struct arena arena;
        char pattern[100] = "";
        for (uint32_t i = 1 + next_number(&seed) % 9; i; i--)
            strcat(pattern, pieces[next_number(&seed) % (sizeof pieces / sizeof *pieces)]);
        arena_init(&arena, NULL);
        if (match_pattern_read(&arena, pattern, strlen(pattern), &root, NULL) == ST_OK) {
            assert_int_equal(match_pattern_needs(&arena, root, &needs, NULL), ST_OK);
            read++;
            for (int t = 0; t < 8; t++) {
                char text[16] = "";
                for (uint32_t i = next_number(&seed) % 6; i; i--)
                    strcat(text, (const char *[]){"a", "b", "c", "d", " "}[next_number(&seed) % 5]);
                bool holds = match_pattern_holds(root, (const uint8_t *)text, strlen(text)), may = has_needs(needs, text);
                if (holds && !may)
                    fail_msg("'%s' matches '%s'", text, pattern);
                found += holds;
                kept += may;
                all++;
            }
        }
        arena_release(&arena);
    }
    assert_in_range(read, 2000, 19000);
    assert_true(kept >= found && kept * 5 < all * 4);
}

static void test_matches_term(void **state)
{
    (void)state;
    given(T(UTF8), "cat|category|a cat!|the cat_x|xcat cat|\xe7\x99\xbb\xe5\xbd\x95\xe6\x89\x8b\xe6\x9c\xba\xe5\x8f\xb7" "188||NULL");
    IS(CALL("matches_term", F(0), V("cat")), "true|false|true|true|true|false|false|NULL");
    IS(CALL("matches_term", F(0), V("")), "false|false|false|false|false|false|true|NULL");
    IS(CALL("matches_term", F(0), V("\xe6\x89\x8b\xe6\x9c\xba")), "false|false|false|false|false|true|false|NULL");
    IS(CALL("matches_term", F(0), V("_x")), "false|false|false|true|false|false|false|NULL");
    IS(CALL("matches_term", F(0), V("188")), "false|false|false|false|false|true|false|NULL");
    n_input = 0;
    given(T(UTF8), "caf\xc3\xa9|caf\xc3\xa9s|un caf\xc3\xa9.|\xc3\xa9" "cat");
    IS(CALL("matches_term", F(0), V("caf\xc3\xa9")), "true|false|true|false");
    IS(CALL("matches_term", F(0), V("cat")), "false|false|false|true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_distances), TEST(test_vectors), TEST(test_matches), TEST(test_needs), TEST(test_matches_term)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
