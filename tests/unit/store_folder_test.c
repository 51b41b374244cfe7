/* The folder store: what is visible when, listing, hostile keys, and power cuts over the simulated file system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/fs_sim.h"
#include "store/object_store.h"

static void put(struct object_store *s, const char *key, const char *text)
{
    assert_int_equal(object_store_put(s, key, text, strlen(text), NULL), ST_OK);
}

static void check(struct object_store *s, const char *key, const char *want)
{
    struct dynbuf b;
    dynbuf_init(&b, 1 << 20);
    int st = object_store_get(s, key, 1 << 20, &b, NULL);
    if (!want) {
        assert_int_equal(st, ST_NOT_FOUND);
    } else {
        assert_int_equal(st, ST_OK);
        assert_int_equal(b.size, strlen(want));
        if (b.size)
            assert_memory_equal(b.data, want, b.size);
    }
    dynbuf_release(&b);
}

struct seen {
    int files, folders;
    uint64_t bytes;
};

static int count(void *ctx, const struct object_info *info, struct error *err)
{
    struct seen *c = ctx;
    (void)err;
    assert_true(info->key[0] && info->key[0] != '/');
    *(info->is_dir ? &c->folders : &c->files) += 1;
    c->bytes += info->size_bytes;
    return ST_OK;
}

static void check_list(struct object_store *s, const char *prefix, bool recursive, int files, int folders)
{
    struct seen c = { 0 };
    assert_int_equal(s->ops->list(s, prefix, recursive, count, &c, NULL), ST_OK);
    assert_int_equal(c.files, files);
    assert_int_equal(c.folders, folders);
}

static void use_store(struct fs *fs, const char *root)
{
    struct object_store *s;
    assert_int_equal(object_store_open_folder(fs, root, &s, NULL), ST_OK);
    check_list(s, "", true, 0, 0);
    struct object_writer *w;
    assert_int_equal(s->ops->create(s, "data/a/1.parquet", &w, NULL), ST_OK);
    assert_int_equal(w->ops->append(w, "hello ", 6, NULL), ST_OK);
    check(s, "data/a/1.parquet", NULL); /* not before commit */
    assert_int_equal(w->ops->append(w, "world", 5, NULL), ST_OK);
    assert_int_equal(w->ops->commit(w, NULL), ST_OK);
    check(s, "data/a/1.parquet", "hello world");
    assert_int_equal(s->ops->create(s, "data/a/2.parquet", &w, NULL), ST_OK);
    assert_int_equal(w->ops->append(w, "gone", 4, NULL), ST_OK);
    w->ops->abort(w);
    check(s, "data/a/2.parquet", NULL);
    assert_int_equal(object_store_put_new(s, "data/a/1.parquet", "other", 5, NULL), ST_ILLEGAL_STATE); /* never over another one */
    check(s, "data/a/1.parquet", "hello world");
    assert_int_equal(object_store_put_new(s, "data/a/new", "fresh", 5, NULL), ST_OK);
    check(s, "data/a/new", "fresh");
    assert_int_equal(s->ops->remove(s, "data/a/new", NULL), ST_OK);
    put(s, "data/a/1.parquet", "replaced");
    put(s, "data/b/3", "");
    put(s, "top", "t");
    check(s, "data/a/1.parquet", "replaced");
    check(s, "data/b/3", "");
    check_list(s, "", true, 3, 0);
    check_list(s, "", false, 1, 1);
    check_list(s, "data/", false, 0, 2);
    check_list(s, "nowhere", true, 0, 0);
    uint64_t size;
    assert_int_equal(s->ops->stat(s, "data/a/1.parquet", &size, NULL), ST_OK);
    assert_int_equal(size, 8);
    assert_int_equal(s->ops->stat(s, "data/a", &size, NULL), ST_NOT_FOUND);

    struct object_reader *r;
    char data[16];
    assert_int_equal(s->ops->open(s, "data/a/1.parquet", &r, NULL), ST_OK);
    assert_int_equal(s->ops->remove(s, "data/a/1.parquet", NULL), ST_OK);
    assert_int_equal(s->ops->remove(s, "data/a/1.parquet", NULL), ST_OK);
    assert_int_equal(r->ops->read_at(r, 2, data, 6, NULL), ST_OK); /* outlives the removal */
    assert_memory_equal(data, "placed", 6);
    assert_int_equal(r->ops->read_at(r, 3, data, 6, NULL), ST_CORRUPT);
    assert_int_equal(r->ops->read_at(r, UINT64_MAX, data, 6, NULL), ST_CORRUPT);
    r->ops->close(r);

    char *big = calloc(1, 1000001);
    assert_non_null(big);
    memset(big, 'x', 1000000);
    put(s, "big", big);
    check(s, "big", big);
    struct dynbuf b;
    dynbuf_init(&b, 1 << 20);
    assert_int_not_equal(object_store_get(s, "big", 1000, &b, NULL), ST_OK);
    dynbuf_release(&b);
    free(big);
    assert_int_equal(s->ops->remove_prefix(s, "data", NULL), ST_OK);
    assert_int_equal(s->ops->remove_prefix(s, "data", NULL), ST_OK);
    check_list(s, "", true, 2, 0);
    check_list(s, "data", true, 0, 0);

    static const char *const hostile[] = { "", "/etc/passwd", "..", ".", "../x", "a/../../x", "a/..", "a/./b", "tmp", "tmp/x", ".tmp/x" };
    for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
        assert_int_equal(s->ops->create(s, hostile[i], &w, NULL), ST_INVALID_ARGUMENTS);
        assert_int_equal(s->ops->open(s, hostile[i], &r, NULL), ST_INVALID_ARGUMENTS);
        assert_int_equal(s->ops->remove(s, hostile[i], NULL), ST_INVALID_ARGUMENTS);
        assert_int_equal(s->ops->remove_prefix(s, hostile[i], NULL), ST_INVALID_ARGUMENTS);
    }
    char *longest = calloc(1, 5001);
    assert_non_null(longest);
    memset(longest, 'k', 5000);
    assert_int_equal(s->ops->create(s, longest, &w, NULL), ST_INVALID_ARGUMENTS);
    free(longest);
    put(s, "..x/...y/tmp", "fine");
    check(s, "..x/...y/tmp", "fine");
    s->ops->free(s);
}

static void on_disk(void **state)
{
    (void)state;
    char dir[] = "/tmp/store_folder_test.XXXXXX";
    assert_non_null(mkdtemp(dir));
    use_store(fs_posix(), dir);
    assert_int_equal(fs_remove_tree(fs_posix(), dir, NULL), ST_OK);
}

static void simulated(void **state)
{
    (void)state;
    struct fs_sim *sim;
    assert_int_equal(fs_sim_new(1, &sim, NULL), ST_OK);
    use_store(fs_sim_fs(sim), "/root");
    fs_sim_free(sim);
}

/* What was committed is there, what was not is not, wherever the power goes; nothing stays in tmp/. */
static void power_cuts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 400; seed++) {
        struct fs_sim *sim;
        struct object_store *s;
        assert_int_equal(fs_sim_new(seed, &sim, NULL), ST_OK);
        struct fs *fs = fs_sim_fs(sim);
        fs_sim_fail(sim, seed % 3 ? FS_SIM_POWER : FS_SIM_IO, seed % 100 + 1, false);
        int committed = 0;
        char key[32], text[32];
        if (object_store_open_folder(fs, "/root", &s, NULL) == ST_OK) {
            for (; committed < 10; committed++) {
                snprintf(key, sizeof(key), "d%d/f%d", committed % 3, committed);
                snprintf(text, sizeof(text), "text %d", committed);
                if (object_store_put(s, key, text, strlen(text), NULL) != ST_OK)
                    break;
            }
            s->ops->free(s);
        }
        fs_sim_power_cut(sim);
        assert_int_equal(object_store_open_folder(fs, "/root", &s, NULL), ST_OK);
        for (int i = 0; i < committed; i++) {
            snprintf(key, sizeof(key), "d%d/f%d", i % 3, i);
            snprintf(text, sizeof(text), "text %d", i);
            check(s, key, text);
        }
        struct seen c = { 0 };
        assert_int_equal(s->ops->list(s, "", true, count, &c, NULL), ST_OK);
        assert_true(c.files == committed || c.files == committed + 1);
        assert_true(c.bytes == 6 * (uint64_t)c.files); /* whole, even the one nobody was promised */
        s->ops->free(s);
        fs_sim_free(sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_disk),
        cmocka_unit_test(simulated),
        cmocka_unit_test(power_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
