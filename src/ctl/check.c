/* `check`: what a data folder holds, and whether all of it fits together; without a server.
 *
 * It reads only. `--repair` moves files aside, into <folder>/quarantine/ under their own paths, and never deletes one; a damaged SST is taken out of
 * its region's manifest as well, so that the region can be read without it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/commands.h"
#include "engine/mito/mito.h"
#include "engine/mito/verify.h"
#include "exec/expr.h"
#include "os/fs.h"
#include "os/thread.h"
#include "store/object_store.h"
#include "wal/peer_log.h"
#include "wal/wal.h"

enum { EXIT_LEFTOVERS = 3, EXIT_DAMAGE = 4, PATH_BYTES = 4096, TAIL_BYTES = 37 + 8 /* "<uuid>.parquet" */ };

struct finding {
    enum verify_level level;
    char *key;
};

struct known_region {                        /* what its manifest says, and what the logs have of it */
    uint64_t id, flushed, first, last, next; /* entries of a log: the chain so far */
    bool broken;
};

struct check {
    struct ctl *ctl;
    const char *home;
    bool full;
    struct object_store *store;
    char **dirs; /* of regions, with a trailing slash */
    size_t n_dirs, dirs_room;
    char (*shared)[FILE_ID_SIZE]; /* files that regions list in folders of others, sorted */
    size_t n_shared;
    struct finding *findings;
    size_t n_findings, findings_room;
    uint64_t counts[VERIFY_BROKEN + 1];
    struct known_region *regions;
    size_t n_regions;
    uint64_t files, indexed, rows, bytes, wal_records, wal_segments, foreign;
};

static void note(void *ctx, enum verify_level level, const char *key, const char *text)
{
    static const char *const names[] = {"note", "leftover", "bad file", "broken"};
    struct check *c = ctx;
    printf("%-9s %s: %s\n", names[level], key, text);
    c->counts[level]++;
    if (level == VERIFY_NOTE)
        return;
    if (c->n_findings == c->findings_room) {
        size_t room = c->findings_room ? 2 * c->findings_room : 64;
        struct finding *grown = realloc(c->findings, room * sizeof *grown);
        if (!grown)
            return; /* it was printed; --repair leaves it alone */
        c->findings = grown;
        c->findings_room = room;
    }
    char *copy = strdup(key);
    if (copy)
        c->findings[c->n_findings++] = (struct finding){level, copy};
}

/* ---- regions ---- */

/* Remembers the folder of every manifest. */
static int find_region(void *ctx, const struct object_info *info, struct error *err)
{
    struct check *c = ctx;
    const char *at = strstr(info->key, "/manifest/");
    if (!at || strstr(info->key, "/staging/"))
        return ST_OK;
    size_t n = (size_t)(at - info->key) + 1;
    if (c->n_dirs && strlen(c->dirs[c->n_dirs - 1]) == n && !memcmp(c->dirs[c->n_dirs - 1], info->key, n))
        return ST_OK;
    if (c->n_dirs == c->dirs_room) {
        size_t room = c->dirs_room ? 2 * c->dirs_room : 64;
        char **grown = realloc(c->dirs, room * sizeof *grown);
        if (!grown)
            return error_no_memory(err, room * sizeof *grown);
        c->dirs = grown;
        c->dirs_room = room;
    }
    if (!(c->dirs[c->n_dirs] = strndup(info->key, n)))
        return error_no_memory(err, n);
    c->n_dirs++;
    return ST_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, FILE_ID_SIZE);
}

/* Which files regions list in folders of others, sorted. */
static int find_shared(struct check *c, struct error *err)
{
    for (size_t i = 0; i < c->n_dirs; i++)
        TRY(mito_verify_shared(c->store, c->dirs[i], &c->shared, &c->n_shared, err));
    if (c->n_shared)
        qsort(c->shared, c->n_shared, sizeof *c->shared, by_id);
    return ST_OK;
}

static int check_regions(struct check *c, struct error *err)
{
    mito_cast = expr_try_cast_column;
    TRY(c->store->ops->list(c->store, "data", true, find_region, c, err));
    if (c->n_dirs)
        qsort(c->dirs, c->n_dirs, sizeof *c->dirs, by_name);
    TRY(find_shared(c, err));
    c->regions = calloc(c->n_dirs + 1, sizeof *c->regions);
    if (!c->regions)
        return error_no_memory(err, c->n_dirs * sizeof *c->regions);
    for (size_t i = 0; i < c->n_dirs; i++) {
        struct verify_result r;
        char file_engine[PATH_BYTES];
        uint64_t size;
        if (i && !strcmp(c->dirs[i], c->dirs[i - 1]))
            continue;
        snprintf(file_engine, sizeof file_engine, "%smanifest/_file_manifest", c->dirs[i]);
        if (c->store->ops->stat(c->store, file_engine, &size, NULL) == ST_OK)
            continue; /* of the file engine: one file, nothing to hold against it */
        struct verify_request q = {.store = c->store,
                                   .region_dir = c->dirs[i],
                                   .shared = (const char(*)[FILE_ID_SIZE])c->shared,
                                   .n_shared = c->n_shared,
                                   .full = c->full,
                                   .say = note,
                                   .ctx = c};
        TRY(mito_verify_region(&q, &r, err));
        if (!r.readable)
            continue;
        c->regions[c->n_regions++] = (struct known_region){.id = r.region_id, .flushed = r.flushed_entry_id};
        c->files += r.files;
        c->indexed += r.indexed_files;
        c->rows += r.rows;
        c->bytes += r.bytes;
    }
    return ST_OK;
}

/* ---- logs ---- */

static struct known_region *find_known(struct check *c, uint64_t id)
{
    for (size_t i = 0; i < c->n_regions; i++)
        if (c->regions[i].id == id)
            return &c->regions[i];
    return NULL;
}

struct segment_walk {
    struct check *check;
    const char *path;
    uint64_t size;
};

static int wal_record(void *ctx, uint64_t offset, const struct wal_record *record, struct error *err)
{
    struct segment_walk *w = ctx;
    struct check *c = w->check;
    char text[200];
    (void)err;
    if (!record->payload) {
        bool tail = record->region_id == 0 && offset + record->size >= w->size;
        snprintf(text, sizeof text,
                 tail ? "no valid record from offset %" PRIu64 " to the end (%zu bytes): a torn tail, which the next start cuts"
                      : "damaged at offset %" PRIu64 " (%zu bytes)",
                 offset, record->size);
        note(c, tail ? VERIFY_NOTE : VERIFY_BROKEN, w->path, text);
        return ST_OK;
    }
    c->wal_records++;
    struct known_region *r = find_known(c, record->region_id);
    if (!r) {
        c->foreign++;
        return ST_OK;
    }
    if (record->entry_id > r->flushed) {
        uint64_t expected = r->last ? r->last + 1 : 0;
        if (expected && record->entry_id > expected && !r->broken) {
            snprintf(text, sizeof text, "the log lacks entries %" PRIu64 " to %" PRIu64 " of region %" PRIu64, expected, record->entry_id - 1, r->id);
            note(c, VERIFY_BROKEN, w->path, text);
            r->broken = true;
        }
        if (!r->first)
            r->first = record->entry_id;
        r->last = record->entry_id;
    }
    return ST_OK;
}

static int list_segment(void *ctx, const char *name, bool is_dir, struct error *err)
{
    struct check *c = ctx;
    size_t n = strlen(name);
    if (is_dir || n < 5 || strcmp(name + n - 4, ".wal"))
        return ST_OK;
    char **grown = realloc(c->dirs, (c->n_dirs + 1) * sizeof *grown);
    if (!grown)
        return error_no_memory(err, n);
    c->dirs = grown;
    c->dirs_room = c->n_dirs + 1;
    if (!(c->dirs[c->n_dirs] = strdup(name)))
        return error_no_memory(err, n);
    c->n_dirs++;
    return ST_OK;
}

static void free_dirs(struct check *c)
{
    for (size_t i = 0; i < c->n_dirs; i++)
        free(c->dirs[i]);
    free(c->dirs);
    free(c->shared);
    c->shared = NULL;
    c->n_shared = 0;
    c->dirs = NULL;
    c->n_dirs = c->dirs_room = 0;
}

static int check_wal(struct check *c, const char *dir, struct error *err)
{
    struct fs *fs = fs_posix();
    char path[PATH_BYTES];
    free_dirs(c);
    int st = fs->ops->list(fs, dir, list_segment, c, err);
    if (st == ST_NOT_FOUND)
        return ST_OK;
    TRY(st);
    if (c->n_dirs)
        qsort(c->dirs, c->n_dirs, sizeof *c->dirs, by_name);
    for (size_t i = 0; i < c->n_dirs; i++) {
        struct fs_stat stat;
        struct error why = {0};
        if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, c->dirs[i]) >= sizeof path)
            continue;
        TRY(fs->ops->stat(fs, path, &stat, err));
        struct segment_walk w = {c, path, stat.size_bytes};
        if (stat.size_bytes && wal_inspect(fs, path, wal_record, &w, &why) != ST_OK)
            note(c, VERIFY_BROKEN, path, why.msg);
        c->wal_segments++;
    }
    return ST_OK;
}

static int skip_record(void *ctx, const struct wal_record *record, struct error *err)
{
    (void)err;
    ++*(uint64_t *)ctx;
    (void)record;
    return ST_OK;
}

/* Every entry of the peer's log that a region still needs is there and can be read. */
static int check_peer_log(struct check *c, const char *dir, const char *done, struct error *err)
{
    struct peer_log *log;
    struct peer_log_report report;
    char text[300];
    struct peer_log_options o = {.fs = fs_posix(), .dir = dir, .done_path = done, .read_only = true};
    TRY(peer_log_open(&o, &log, &report, err));
    if (report.damages)
        note(c, VERIFY_BROKEN, dir, report.detail);
    for (size_t i = 0; log && i < c->n_regions; i++) {
        uint64_t missing = 0, entries = 0;
        struct error why = {0};
        int st = peer_log_replay(log, c->regions[i].id, c->regions[i].flushed, skip_record, &entries, &missing, &why);
        if (st != ST_OK)
            note(c, VERIFY_BROKEN, dir, why.msg);
        snprintf(text, sizeof text, "region %" PRIu64 ": the log begins %" PRIu64 " entries behind what the region's files hold", c->regions[i].id,
                 missing);
        if (missing)
            note(c, VERIFY_NOTE, dir, text);
        c->wal_records += entries;
    }
    peer_log_close(log);
    return ST_OK;
}

/* ---- repair ---- */

/* <home>/<key> to <home>/quarantine/<key>; a number is added when that is taken. */
static int move_aside(struct check *c, const char *key, struct error *err)
{
    struct fs *fs = fs_posix();
    char from[PATH_BYTES], to[PATH_BYTES + 16], folder[PATH_BYTES + 16];
    if ((size_t)snprintf(from, sizeof from, "%s/%s", c->home, key) >= sizeof from)
        return error_set(err, ST_INVALID_ARGUMENTS, "the path of %s is too long", key);
    if ((size_t)snprintf(to, sizeof to - 8, "%s/quarantine/%s", c->home, key) >= sizeof to - 8)
        return error_set(err, ST_INVALID_ARGUMENTS, "the path of %s is too long", key);
    snprintf(folder, sizeof folder, "%s", to);
    *strrchr(folder, '/') = 0;
    TRY(fs_mkdirs(fs, folder, err));
    size_t n = strlen(to);
    for (int i = 1; fs_exists(fs, to) && i < 1000; i++)
        snprintf(to + n, sizeof to - n, ".%d", i);
    TRY(fs->ops->rename(fs, from, to, false, err));
    printf("moved     %s to %s\n", key, to);
    return ST_OK;
}

/* Takes a file out of its region's manifest. `key` is "<region dir><uuid>.parquet". */
static int forget_file(struct check *c, const char *key, struct error *err)
{
    char dir[PATH_BYTES];
    const char *name = strrchr(key, '/') + 1;
    struct manifest_manager *m;
    snprintf(dir, sizeof dir, "%.*s", (int)(name - key), key);
    int st = manifest_open(c->store, dir, 0, &m, err);
    if (st == ST_NOT_FOUND || st == ST_REGION_NOT_FOUND)
        return ST_OK; /* a dropped region's: others list the file */
    TRY(st);
    const struct manifest *state = manifest_state(m);
    for (uint32_t i = 0; i < state->n_files && st == ST_OK; i++) {
        if (strncmp(state->files[i].file_id, name, strlen(state->files[i].file_id)))
            continue;
        struct file_meta gone;
        TRY(file_meta_copy(&state->files[i], &gone, err));
        struct manifest_edit edit = {.remove = &gone, .n_remove = 1, .timestamp_ms = clock_wall_ms()};
        printf("forgot    %s: %" PRIu64 " rows are lost to its region\n", key, gone.num_rows);
        st = manifest_update_edit(m, &edit, err);
        file_meta_release(&gone);
        break;
    }
    manifest_free(m);
    return st;
}

static int repair(struct check *c, struct error *err)
{
    for (size_t i = 0; i < c->n_findings; i++) {
        const struct finding *f = &c->findings[i];
        uint64_t size;
        if (f->level == VERIFY_BROKEN)
            continue;
        if (f->level == VERIFY_BAD_FILE && strlen(f->key) > TAIL_BYTES)
            TRY(forget_file(c, f->key, err));
        if (strstr(f->key, "/.dropping") == NULL && c->store->ops->stat(c->store, f->key, &size, NULL) == ST_OK)
            TRY(move_aside(c, f->key, err));
    }
    if (c->counts[VERIFY_BROKEN])
        printf("what is broken stays as it is: its regions do not open; restore them from a copy, or move their folders away\n");
    return ST_OK;
}

/* ---- the command ---- */

static int check_folder(struct check *c, bool mend, struct error *err)
{
    char wal[PATH_BYTES], ours[PATH_BYTES], done[PATH_BYTES], bytes[24];
    snprintf(wal, sizeof wal, "%s/wal", c->home);
    snprintf(ours, sizeof ours, "%s/wal/regiond", c->home);
    snprintf(done, sizeof done, "%s/wal/regiond/greptimedb_log_done", c->home);
    TRY(check_regions(c, err));
    TRY(check_peer_log(c, wal, done, err));
    TRY(check_wal(c, ours, err));
    printf("%zu regions, %" PRIu64 " SSTs (%" PRIu64 " with an index) of %s with %" PRIu64 " rows; %" PRIu64
           " log records needed or newer, in %" PRIu64 " segments%s\n",
           c->n_regions, c->files, c->indexed, ctl_bytes(c->bytes, bytes), c->rows, c->wal_records, c->wal_segments,
           c->full ? "; every row was read" : "");
    if (c->foreign)
        printf("%" PRIu64 " log records are of regions that have no folder\n", c->foreign);
    printf("%" PRIu64 " broken, %" PRIu64 " bad files, %" PRIu64 " leftovers, %" PRIu64 " notes\n", c->counts[VERIFY_BROKEN],
           c->counts[VERIFY_BAD_FILE], c->counts[VERIFY_LEFTOVER], c->counts[VERIFY_NOTE]);
    if (c->counts[VERIFY_BROKEN] || c->counts[VERIFY_BAD_FILE])
        c->ctl->exit_code = EXIT_DAMAGE;
    else if (c->counts[VERIFY_LEFTOVER])
        c->ctl->exit_code = EXIT_LEFTOVERS;
    if (mend)
        TRY(repair(c, err));
    if (mend && !c->counts[VERIFY_BROKEN])
        c->ctl->exit_code = 0;
    return ST_OK;
}

int ctl_check(struct ctl *ctl, struct error *err)
{
    struct check c = {.ctl = ctl};
    bool mend = false;
    const struct ctl_flag flags[] = {{.name = "--full", .on = &c.full}, {.name = "--repair", .on = &mend}, {0}};
    struct fs *fs = fs_posix();
    struct fs_file *lock = NULL;
    char path[PATH_BYTES];
    TRY(ctl_arguments(ctl, flags, &c.home, 1, 1, err));
    snprintf(path, sizeof path, "%s/data", c.home);
    if (!fs_exists(fs, path))
        return error_set(err, ST_NOT_FOUND, "%s is no data folder: it has no data/", c.home);
    snprintf(path, sizeof path, "%s/regiond.lock", c.home);
    if (fs_exists(fs, path)) {
        TRY(fs->ops->open(fs, path, FS_READ, &lock, err));
        if (fs->ops->lock(lock, err) != ST_OK) {
            lock->ops->close(lock);
            return error_set(err, ST_ILLEGAL_STATE, "a regiond has %s open: stop it first", c.home);
        }
    }
    int st = object_store_open_shared_folder(fs, c.home, &c.store, err);
    if (st == ST_OK)
        st = check_folder(&c, mend, err);
    free_dirs(&c);
    for (size_t i = 0; i < c.n_findings; i++)
        free(c.findings[i].key);
    free(c.findings);
    free(c.regions);
    if (c.store)
        c.store->ops->free(c.store);
    if (lock)
        lock->ops->close(lock);
    return st;
}
