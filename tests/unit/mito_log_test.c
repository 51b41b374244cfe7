/* What keeps the log: an entry that is flushed, or whose region is dropped, must not, whatever happened in between. Else the log grows until the disk
 * is full: segments go from the old end only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/log.h"
#include "mito_node.h"

enum { IDLE = 1, BUSY = 2, NOTE_RECORD_BYTES = 48 + 16 };
#define REGION(table) ((uint64_t)(table) << 32)

static void create(struct node *n, unsigned table)
{
    static const struct node_column columns[] = {{"ts", WIRE_TIMESTAMP_MS, WIRE_TIME}, {"v", WIRE_INT64, WIRE_FIELD}};
    OK(node_create(n, REGION(table), columns, 2, NULL, err));
}

static void write_row(struct node *n, unsigned table, int64_t time)
{
    struct dynbuf rows, row;
    dynbuf_init(&rows, 1 << 16);
    dynbuf_init(&row, 1 << 16);
    put_row_column(&rows, "ts", WIRE_TIMESTAMP_MS, WIRE_TIME);
    put_row_column(&rows, "v", WIRE_INT64, WIRE_FIELD);
    put_row_value(&row, WIRE_TIMESTAMP_MS, false, time);
    put_row_value(&row, WIRE_INT64, false, time);
    put_message(&rows, 2, &row);
    OK(node_write(n, REGION(table), false, &rows, err));
}

static int open_region(struct node *n, unsigned table, struct error *err)
{
    struct region_open_request open = {.region_id = REGION(table), .path = NODE_PATH, .writable = true};
    return n->engine->ops->open(n->engine, &open, err);
}

/* Both regions, a row in each. */
static void start(struct fs_sim **ret_sim, struct node *n)
{
    OK(fs_sim_new(1, ret_sim, err));
    OK(fs_mkdirs(fs_sim_fs(*ret_sim), "/home", err));
    *n = (struct node){0};
    OK(node_open(n, fs_sim_fs(*ret_sim), err));
    for (unsigned table = IDLE; table <= BUSY; table++) {
        create(n, table);
        write_row(n, table, 1);
    }
}

static void restart(struct node *n)
{
    struct fs *fs = n->fs;
    node_close(n);
    OK(node_open(n, fs, err));
}

/* The region that goes on writing flushes: nothing keeps the log any more. */
static void check_free(struct node *n)
{
    struct wal_stats stats;
    OK(open_region(n, BUSY, err));
    write_row(n, BUSY, 2);
    OK(node_flush(n, REGION(BUSY), err));
    wal_stats(n->wal, &stats);
    assert_int_equal(stats.oldest_pinning_region, 0);
}

static void finish(struct node *n, struct fs_sim *sim)
{
    node_close(n);
    fs_sim_free(sim);
}

/* Cuts the note of the last flush off the log, as a power cut may, or a build that wrote none. */
static void forget_note(struct fs *fs)
{
    struct fs_file *f;
    uint64_t size;
    OK(fs->ops->open(fs, "/home/wal/0000000000000001.wal", FS_WRITE, &f, err));
    OK(f->ops->size(f, &size, err));
    OK(f->ops->truncate(f, size - NOTE_RECORD_BYTES, err));
    f->ops->close(f);
}

static void idle_region(void **state)
{
    (void)state;
    for (int noted = 0; noted < 2; noted++) {
        struct fs_sim *sim;
        struct node n;
        start(&sim, &n);
        OK(node_flush(&n, REGION(IDLE), err));
        struct fs *fs = n.fs;
        node_close(&n);
        if (!noted)
            forget_note(fs);
        OK(node_open(&n, fs, err));
        if (!noted)
            OK(open_region(&n, IDLE, err)); /* a region that moved elsewhere is not even opened */
        check_free(&n);
        finish(&n, sim);
    }
}

static void dropped_region(void **state)
{
    (void)state;
    struct fs_sim *sim;
    struct node n;
    start(&sim, &n);
    struct region_drop_request drop = {.region_id = REGION(IDLE)};
    OK(n.engine->ops->drop(n.engine, &drop, err));
    restart(&n);
    check_free(&n);
    finish(&n, sim);
}

/* The drop ended behind its marker: whoever opens the folder finishes it. */
static void interrupted_drop(void **state)
{
    (void)state;
    struct fs_sim *sim;
    struct node n;
    char *dir;
    char key[256];
    start(&sim, &n);
    OK(mito_region_dir(NODE_PATH, strlen(NODE_PATH), REGION_PATH_BARE, REGION(IDLE), &dir, err));
    snprintf(key, sizeof key, "%s.dropping", dir);
    free(dir);
    OK(object_store_put(n.store, key, "", 0, err));
    restart(&n);
    assert_int_equal(open_region(&n, IDLE, NULL), ST_REGION_NOT_FOUND);
    check_free(&n);
    finish(&n, sim);
}

/* A failover has left rows behind in this node's log, another node has led the region, and it comes back: what is written now follows entries that
 * count no more, whether their segment is still there or not, and a restart finds it, and none of the old. */
static void back_after_failover(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        bool cut = round & 1, idle = round & 2; /* idle: it is restarted before anything is written */
        struct fs_sim *sim;
        struct node n;
        start(&sim, &n);
        write_row(&n, IDLE, 2);
        restart(&n);
        if (cut) {
            OK(wal_obsolete(n.wal, REGION(IDLE), UINT64_MAX - 1, err)); /* as when the log is cut for others */
            check_free(&n);
        }
        struct region_open_request open = {.region_id = REGION(IDLE), .path = NODE_PATH, .skip_wal_replay = true};
        OK(n.engine->ops->open(n.engine, &open, err));
        struct region_catchup_request request = {.region_id = REGION(IDLE)};
        OK(n.engine->ops->catchup(n.engine, &request, err));
        if (idle) {
            restart(&n);
            OK(open_region(&n, IDLE, err));
        }
        write_row(&n, IDLE, 7);
        write_row(&n, IDLE, 8);
        restart(&n);
        OK(open_region(&n, IDLE, err));
        struct region_stat stat;
        OK(n.engine->ops->stat(n.engine, REGION(IDLE), &stat, err));
        assert_int_equal(stat.num_rows, 2);
        finish(&n, sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(idle_region), cmocka_unit_test(dropped_region), cmocka_unit_test(interrupted_drop),
                                       cmocka_unit_test(back_after_failover)};
    log_set_level(LOG_OFF);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
