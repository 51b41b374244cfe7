/* The reserve of a disk: made, given up for those who free space, made anew when there is room; and who is refused meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/disk.h"
#include "os/fs_sim.h"

enum { MIB = 1 << 20, CAPACITY = 80 * MIB, RESERVE = 4 * MIB };

struct place {
    struct fs_sim *sim;
    struct fs *real;
    struct disk *disk;
    int became_full, had_room;
};

static void changed(void *ctx, const struct disk *disk, const struct disk_state *s)
{
    struct place *p = ctx;
    assert_string_equal(disk_dir(disk), "/home");
    p->became_full += s->full;
    p->had_room += !s->full;
}

static void open_disk(struct place *p, uint64_t reserve_bytes)
{
    struct disk_options o = {.fs = p->real, .dir = "/home", .reserve_name = "reserve", .reserve_bytes = reserve_bytes, .changed = changed, .ctx = p};
    assert_int_equal(disk_new(&o, &p->disk, NULL), ST_OK);
}

static void begin(struct place *p, uint64_t capacity, uint64_t reserve_bytes)
{
    *p = (struct place){0};
    assert_int_equal(fs_sim_new(1, &p->sim, NULL), ST_OK);
    p->real = fs_sim_fs(p->sim);
    assert_int_equal(fs_mkdirs(p->real, "/home", NULL), ST_OK);
    fs_sim_set_capacity(p->sim, capacity);
    open_disk(p, reserve_bytes);
}

static void end(struct place *p)
{
    disk_free(p->disk);
    fs_sim_free(p->sim);
}

static struct disk_state state_of(struct place *p)
{
    struct disk_state s;
    disk_get_state(p->disk, &s);
    return s;
}

static uint64_t free_bytes(struct place *p)
{
    struct fs_space s;
    assert_int_equal(p->real->ops->space(p->real, "/home", &s, NULL), ST_OK);
    return s.free_bytes;
}

static int put(struct fs *fs, const char *path, uint64_t bytes, struct error *err)
{
    static uint8_t data[MIB];
    struct fs_file *f;
    int st = ST_OK;
    TRY(fs->ops->open(fs, path, FS_WRITE, &f, err));
    for (uint64_t at = 0; at < bytes && st == ST_OK; at += MIB) {
        struct iovec v = {data, bytes - at < MIB ? (size_t)(bytes - at) : MIB};
        st = f->ops->write_at(f, at, &v, 1, err);
    }
    f->ops->close(f);
    return st;
}

/* Somebody else leaves that much. */
static void leave_free(struct place *p, uint64_t bytes)
{
    struct fs_file *f;
    (void)p->real->ops->remove(p->real, "/home/others", NULL);
    assert_int_equal(p->real->ops->open(p->real, "/home/others", FS_WRITE, &f, NULL), ST_OK);
    assert_int_equal(f->ops->allocate(f, free_bytes(p) - bytes, NULL), ST_OK);
    f->ops->close(f);
}

static void full_and_back(void **state)
{
    (void)state;
    struct place p;
    struct error err;
    begin(&p, CAPACITY, RESERVE);
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    assert_int_equal(state_of(&p).reserve_bytes, RESERVE);
    assert_in_range(free_bytes(&p), CAPACITY - RESERVE - MIB / 16, CAPACITY - RESERVE);
    assert_int_equal(disk_check(p.disk, &err), ST_OK);

    /* Whoever grows gets an error and does not touch the reserve. */
    leave_free(&p, MIB);
    assert_int_equal(put(disk_fs_growing(p.disk), "/home/log", 2 * MIB, &err), ST_NO_SPACE);
    assert_int_equal(disk_check(p.disk, &err), ST_NO_SPACE);
    assert_non_null(strstr(err.msg, "/home"));
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    assert_non_null(strstr(state_of(&p).cause, "write"));
    assert_int_equal(p.became_full, 1);

    /* Whoever frees space goes on, with the contents that it wanted to write. What it does not need stays put aside. */
    assert_int_equal(put(disk_fs(p.disk), "/home/sst", MIB, &err), ST_OK);
    assert_int_equal(state_of(&p).held_bytes, RESERVE - MIB);
    leave_free(&p, 0);
    assert_int_equal(put(disk_fs(p.disk), "/home/sst", 3 * MIB, &err), ST_OK);
    assert_int_equal(put(disk_fs(p.disk), "/home/sst2", 3 * MIB, &err), ST_NO_SPACE);
    assert_int_equal(p.became_full, 1);

    /* Room for the reserve alone is not enough: it would be full at once. */
    leave_free(&p, 0);
    disk_poll(p.disk);
    leave_free(&p, RESERVE + MIB / 2);
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_NO_SPACE);
    leave_free(&p, 0);
    assert_int_equal(p.real->ops->remove(p.real, "/home/sst", NULL), ST_OK);
    assert_int_equal(p.real->ops->remove(p.real, "/home/others", NULL), ST_OK);
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_OK);
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    assert_int_equal(state_of(&p).cause[0], 0);
    assert_int_equal(p.had_room, 1);
    assert_int_equal(put(disk_fs_growing(p.disk), "/home/log", 2 * MIB, &err), ST_OK);
    assert_int_equal(state_of(&p).times_full, 1);
    end(&p);
}

/* Little room is enough to be full, before a call fails; the reserve stays for when one does. */
static void low_space(void **state)
{
    (void)state;
    struct place p;
    begin(&p, CAPACITY, RESERVE);
    leave_free(&p, RESERVE / 8 + 1024);
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_OK);
    leave_free(&p, RESERVE / 8 - 1024);
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_NO_SPACE);
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    leave_free(&p, RESERVE / 4 - 4096); /* not back and forth at one threshold */
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_NO_SPACE);
    leave_free(&p, RESERVE / 4 + 4096);
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_OK);
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    end(&p);
}

/* The next process takes the reserve over, or makes it, or begins with a full disk. */
static void restarts(void **state)
{
    (void)state;
    struct place p;
    begin(&p, CAPACITY, RESERVE);
    uint64_t free_then = free_bytes(&p);
    disk_free(p.disk);
    open_disk(&p, RESERVE);
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    assert_int_equal(free_bytes(&p), free_then);

    disk_free(p.disk);
    open_disk(&p, RESERVE / 2); /* another size */
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    assert_int_equal(free_bytes(&p), free_then + RESERVE / 2);

    disk_free(p.disk);
    open_disk(&p, 0); /* none: the file goes */
    assert_int_equal(state_of(&p).held_bytes, 0);
    assert_false(fs_exists(p.real, "/home/reserve"));

    disk_free(p.disk);
    open_disk(&p, RESERVE);
    assert_int_equal(p.real->ops->remove(p.real, "/home/reserve", NULL), ST_OK); /* somebody in need */
    disk_poll(p.disk);
    assert_true(fs_exists(p.real, "/home/reserve"));
    assert_int_equal(free_bytes(&p), free_then);
    disk_free(p.disk);
    open_disk(&p, 0);

    leave_free(&p, MIB);
    disk_free(p.disk);
    open_disk(&p, RESERVE);
    assert_int_equal(disk_check(p.disk, NULL), ST_NO_SPACE);
    assert_false(fs_exists(p.real, "/home/reserve"));
    assert_int_equal(put(disk_fs(p.disk), "/home/sst", MIB / 2, NULL), ST_OK);
    assert_int_equal(p.real->ops->remove(p.real, "/home/others", NULL), ST_OK);
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_OK);
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    end(&p);
}

static void small_disk(void **state)
{
    (void)state;
    struct place p;
    begin(&p, 40 * MIB, 64 * MIB); /* a twentieth */
    assert_int_equal(state_of(&p).reserve_bytes, 2 * MIB);
    assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
    end(&p);
    begin(&p, 10 * MIB, 64 * MIB); /* not worth it */
    assert_int_equal(state_of(&p).reserve_bytes, 0);
    assert_int_equal(disk_check(p.disk, NULL), ST_OK);
    assert_int_equal(put(disk_fs_growing(p.disk), "/home/log", 11 * MIB, NULL), ST_NO_SPACE);
    assert_int_equal(disk_check(p.disk, NULL), ST_NO_SPACE);
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_NO_SPACE);
    assert_int_equal(p.real->ops->remove(p.real, "/home/log", NULL), ST_OK);
    disk_poll(p.disk);
    assert_int_equal(disk_check(p.disk, NULL), ST_OK);
    end(&p);
}

/* Whatever fails while the reserve is made: the disk stays usable, or becomes so later, and no call of others suffers. */
static void every_call_fails(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++)
        for (uint64_t nth = 1; nth < 12; nth++) {
            struct place p = {0};
            assert_int_equal(fs_sim_new(nth, &p.sim, NULL), ST_OK);
            p.real = fs_sim_fs(p.sim);
            assert_int_equal(fs_mkdirs(p.real, "/home", NULL), ST_OK);
            fs_sim_set_capacity(p.sim, CAPACITY);
            fs_sim_fail(p.sim, kind ? FS_SIM_NO_SPACE : FS_SIM_IO, fs_sim_calls(p.sim) + nth, false);
            open_disk(&p, RESERVE);
            assert_int_equal(state_of(&p).full, !state_of(&p).held_bytes && kind);
            disk_poll(p.disk);
            fs_sim_fail(p.sim, FS_SIM_IO, 0, false);
            disk_poll(p.disk);
            assert_int_equal(disk_check(p.disk, NULL), ST_OK);
            assert_int_equal(state_of(&p).held_bytes, state_of(&p).reserve_bytes);
            assert_in_range(free_bytes(&p), CAPACITY - RESERVE - MIB / 16, CAPACITY - RESERVE);
            end(&p);
        }
}

/* On a real file system, blocks are really taken. */
static void real_files(void **state)
{
    (void)state;
    struct disk *d;
    struct disk_state s;
    struct fs_stat info;
    char dir[] = "/tmp/disk-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    struct disk_options o = {.fs = fs_posix(), .dir = dir, .reserve_name = "reserve", .reserve_bytes = 2 * MIB, .poll_ms = 5};
    assert_int_equal(disk_new(&o, &d, NULL), ST_OK);
    disk_get_state(d, &s);
    snprintf(path, sizeof path, "%s/reserve", dir);
    if (s.reserve_bytes && !s.full) {
        assert_int_equal(s.held_bytes, s.reserve_bytes);
        assert_int_equal(fs_posix()->ops->stat(fs_posix(), path, &info, NULL), ST_OK);
        assert_int_equal(info.size_bytes, 2 * MIB);
        assert_in_range(info.allocated_bytes, 2 * MIB, 3 * MIB);
    }
    disk_free(d);
    assert_int_equal(fs_remove_tree(fs_posix(), dir, NULL), ST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(full_and_back), cmocka_unit_test(low_space),        cmocka_unit_test(restarts),
                                       cmocka_unit_test(small_disk),    cmocka_unit_test(every_call_fails), cmocka_unit_test(real_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
