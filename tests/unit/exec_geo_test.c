/* Geohash, S2, H3 and well-known text; recorded values and those of the libraries h3 4 and python-geohash. */
#include "expr_calc.h"

#define D(text) L(T(FLOAT64), text)
#define I(text) L(T(INT64), text)
#define S(text) L(T(UTF8), text)

static void test_geohash(void **state)
{
    (void)state;
    given(T(FLOAT64), "15.15992|64.75136|75.42859|NULL");
    given(T(FLOAT64), "-38.21308|72.69779|-80.45311|1");
    IS(CALL("geohash", F(0), F(1), I("7")), "e4sy4ry|vee8q78|fjqv15r|NULL");
    IS(CALL("geohash", D("0"), D("0"), I("0")), QUERY_ERROR);
    IS(CALL("geohash", D("91"), D("0"), I("5")), QUERY_ERROR);
    n_input = 0;
    given(T(FLOAT64), "37.8|NULL");
    IS(CALL("geohash_neighbours", F(0), D("-122.4"), I("6")), "[9q8znd,9q8zn6,9q8zn3,9q8zn2,9q8zn8,9q8znb,9q8znc,9q8znf]|NULL");
}

static void test_s2(void **state)
{
    (void)state;
    given(T(FLOAT64), "15.15992|64.75136|75.42859|28.68502|NULL");
    given(T(FLOAT64), "-38.21308|72.69779|-80.45311|70.36308|1");
    struct plan_expr *cell = CALL("s2_latlng_to_cell", F(0), F(1));
    IS(cell, "689538288124007977|4862579318512665745|5637147014580870599|4122857218286730143|NULL");
    IS(CALL("s2_cell_level", cell), "30|30|30|30|NULL");
    IS(CALL("s2_cell_to_token", cell), "0991bb6b72a99629|437b5a208c1bc491|4e3b2b57c6bf1dc7|393754cbd3a2bb9f|NULL");
    IS(CALL("s2_cell_parent", cell, I("5")), "690176642894528512|4862761697653293056|5637380833561018368|4121919558950846464|NULL");
    IS(CALL("s2_cell_level", CALL("s2_cell_parent", cell, I("5"))), "5|5|5|5|NULL");
    IS(CALL("s2_cell_parent", cell, I("31")), QUERY_ERROR);
    IS(CALL("s2_latlng_to_cell", D("91"), D("0")), QUERY_ERROR);
}

static void test_h3(void **state)
{
    (void)state;
    given(T(FLOAT64), "15.15992|64.75136|75.42859|28.68502|NULL");
    given(T(FLOAT64), "-38.21308|72.69779|-80.45311|70.36308|1");
    struct plan_expr *cell = CALL("h3_latlng_to_cell", F(0), F(1), I("5"));
    IS(CALL("h3_cell_to_string", cell), "855616affffffff|850b0cb7fffffff|85024447fffffff|85424257fffffff|NULL");
    IS(CALL("h3_latlng_to_cell_string", F(0), F(1), I("5")), "855616affffffff|850b0cb7fffffff|85024447fffffff|85424257fffffff|NULL");
    IS(CALL("h3_cell_base", cell), "43|5|1|33|NULL");
    IS(CALL("h3_cell_resolution", cell), "5|5|5|5|NULL");
    IS(CALL("h3_cell_is_pentagon", cell), "false|false|false|false|NULL");
    IS(CALL("h3_cell_to_string", CALL("h3_cell_parent", cell, I("3"))), "835616fffffffff|830b0cfffffffff|830244fffffffff|834242fffffffff|NULL");
    IS(CALL("h3_cell_parent", cell, I("6")), "NULL|NULL|NULL|NULL|NULL");
    IS(CALL("h3_cells_contains", S("835616fffffffff, 830244fffffffff"), cell), "true|false|true|false|NULL");
    IS(CALL("h3_latlng_to_cell", F(0), F(1), I("16")), QUERY_ERROR);
    IS(CALL("h3_cell_resolution", CALL("h3_latlng_to_cell", D("1e308"), D("-1e308"), I("5"))), "5|5|5|5|5"); /* an angle like any other */
    n_input = 0;
    given(T(UTF8), "855616affffffff|NULL");
    IS(CALL("h3_grid_disk", F(0), I("1")),
       "[600493237513224191,600493236439482367,600493204227227647,600493205300969471,600492837007523839,600493235365740543,600493234291998719]|NULL");
    IS(CALL("h3_string_to_cell", F(0)), "600493237513224191|NULL");
    IS(CALL("h3_cell_to_children_size", F(0), I("7")), "49|NULL");
    IS(CALL("h3_cell_to_child_pos", CALL("h3_child_pos_to_cell", I("40"), F(0), I("7")), I("5")), "40|NULL");
    IS(CALL("array_length", CALL("h3_cell_to_children", F(0), I("6"))), "7|NULL");
    IS(CALL("h3_distance_degree", F(0), F(0)), "0|NULL");
    IS(CALL("h3_grid_distance", F(0), S("855616abfffffff")), "1|NULL");
    IS(CALL("array_length", CALL("h3_grid_path_cells", F(0), S("855616abfffffff"))), "2|NULL");
    IS(CALL("h3_grid_distance", F(0), S("845616bffffffff")), QUERY_ERROR);
    IS(CALL("h3_grid_distance", S("883169270bfffff"), S("883169270bfffff")), "0|0"); /* beside a pentagon */
    IS(CALL("h3_grid_path_cells", S("883169270bfffff"), S("883169270bfffff")), "[613358792465186815]|[613358792465186815]");
    IS(CALL("h3_cell_to_string", S("855616aff")), QUERY_ERROR);
    IS(CALL("h3_cell_base", I("7")), QUERY_ERROR);
}

static void test_wkt(void **state)
{
    (void)state;
    given(T(FLOAT64), "15.15992|NULL");
    struct plan_expr *point = CALL("wkt_point_from_latlng", F(0), D("-38.21308"));
    IS(point, "POINT(-38.21308 15.15992)|NULL");
    IS(CALL("st_distance", point, S("POINT(0 0)")), "41.110371653547475|NULL");
    IS(CALL("st_within", point, S("POLYGON((-90 -90, 90 -90, 90 90, -90 90, -90 -90))")), "true|NULL");
    IS(CALL("st_contains", S("POLYGON((-90 -90, 90 -90, 90 90, -90 90, -90 -90))"), point), "true|NULL");
    IS(CALL("st_intersects", S("LINESTRING(0 0, 2 2)"), S("LINESTRING(0 2, 2 0)")), "true|true");
    IS(CALL("st_area", S("POLYGON((0 0, 4 0, 4 3, 0 3, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))")), "11|11");
    IS(CALL("st_distance_sphere_m", S("POINT(0 0)"), S("POINT(0 1)")), "111195.08023353291|111195.08023353291");
    IS(CALL("st_distance_sphere_m", S("POINT(0 0)"), S("LINESTRING(0 0, 2 2)")), QUERY_ERROR);
    IS(CALL("st_area", S("POLYGON((0 0")), QUERY_ERROR);
    IS(CALL("st_area", S("nonsense")), QUERY_ERROR);
    char deep[3000];
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    IS(CALL("st_area", S(deep)), QUERY_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_geohash), TEST(test_s2), TEST(test_h3), TEST(test_wkt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
