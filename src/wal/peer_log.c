#include "wal/peer_log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "format/raftlog/index.h"

enum { WINDOW_BYTES = 1 << 20, PATH_BYTES = 4096, NAME_BYTES = 64, OFFSET_BITS = 44 };

struct peer_file {
    char name[NAME_BYTES];
    uint64_t sequence, size;
    bool rewrite;
    struct fs_file *file;
};

struct peer_log {
    struct fs *fs;
    struct budget *budget;
    bool read_only;
    char dir[PATH_BYTES - NAME_BYTES], done_path[PATH_BYTES];
    struct fs_file *lock_file;
    struct peer_file *files; /* rewrite queue, then append queue, ascending */
    size_t n_files, capacity;
    struct dynbuf signature; /* names and sizes, what the note at done_path must say */
    pthread_mutex_t lock;    /* guards index */
    struct raftlog_index index;
    uint64_t pending; /* groups with entries */
};

/* ---- finding the files ---- */

static bool parse_name(const char *name, uint64_t *ret_sequence, bool *ret_rewrite)
{
    uint64_t sequence = 0;
    for (int i = 0; i < 16; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        sequence = sequence * 10 + (uint64_t)(name[i] - '0');
    }
    *ret_sequence = sequence;
    *ret_rewrite = strcmp(name + 16, ".rewrite") == 0;
    return *ret_rewrite || strcmp(name + 16, ".raftlog") == 0;
}

static int collect(void *ctx, const char *name, bool is_dir, struct error *err)
{
    struct peer_log *l = ctx;
    struct peer_file f = {0};
    if (is_dir || strlen(name) >= NAME_BYTES || !parse_name(name, &f.sequence, &f.rewrite))
        return ST_OK;
    if (l->n_files == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 16;
        struct peer_file *grown = realloc(l->files, capacity * sizeof *grown);
        if (!grown)
            return error_no_memory(err, capacity * sizeof *grown);
        l->files = grown;
        l->capacity = capacity;
    }
    snprintf(f.name, sizeof f.name, "%s", name);
    l->files[l->n_files++] = f;
    return ST_OK;
}

static int by_queue_and_sequence(const void *a, const void *b)
{
    const struct peer_file *x = a, *y = b;
    if (x->rewrite != y->rewrite)
        return x->rewrite ? -1 : 1;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* Files before the last gap in the numbers of a queue are left over from a purge that was cut short. */
static void forget_before_gap(struct peer_log *l, struct peer_log_report *report)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n_files; i++) {
        const struct peer_file *f = &l->files[i];
        if (kept && l->files[kept - 1].rewrite == f->rewrite && l->files[kept - 1].sequence + 1 != f->sequence)
            while (kept && l->files[kept - 1].rewrite == f->rewrite) {
                kept--;
                report->ignored_files++;
            }
        l->files[kept++] = *f;
    }
    l->n_files = kept;
}

static int find_files(struct peer_log *l, struct peer_log_report *report, struct error *err)
{
    char path[PATH_BYTES];
    int st = l->fs->ops->list(l->fs, l->dir, collect, l, err);
    if (st == ST_NOT_FOUND || (st == ST_OK && l->n_files == 0))
        return ST_OK;
    TRY(st);
    qsort(l->files, l->n_files, sizeof *l->files, by_queue_and_sequence);
    forget_before_gap(l, report);
    for (size_t i = 0; i < l->n_files; i++) {
        struct fs_stat stat;
        snprintf(path, sizeof path, "%s/%s", l->dir, l->files[i].name);
        TRY(l->fs->ops->stat(l->fs, path, &stat, err));
        l->files[i].size = stat.size_bytes;
        TRY(dynbuf_printf(&l->signature, err, "%s %llu\n", l->files[i].name, (unsigned long long)stat.size_bytes));
    }
    return ST_OK;
}

/* The datanode holds this lock while it runs; with it nobody can start one on the same log meanwhile. */
static int take_lock(struct peer_log *l, struct error *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/LOCK", l->dir);
    if (l->read_only && !fs_exists(l->fs, path))
        return ST_OK;
    TRY(l->fs->ops->open(l->fs, path, l->read_only ? FS_READ : FS_READ | FS_WRITE, &l->lock_file, err));
    int st = l->fs->ops->lock(l->lock_file, err);
    return st == ST_ILLEGAL_STATE ? error_set(err, st, "a datanode has the log in %s open: stop it first", l->dir) : st;
}

static bool noted_as_done(struct peer_log *l)
{
    struct dynbuf note;
    dynbuf_init(&note, 1 << 20);
    bool same = fs_read_all(l->fs, l->done_path, 1 << 20, &note, NULL) == ST_OK && note.size == l->signature.size &&
                memcmp(note.data, l->signature.data, note.size) == 0;
    dynbuf_release(&note);
    return same;
}

static void note_if_done(struct peer_log *l)
{
    char tmp[PATH_BYTES + 8];
    if (l->pending || l->index.damages || l->read_only)
        return;
    snprintf(tmp, sizeof tmp, "%s.tmp", l->done_path);
    (void)fs_write_atomic(l->fs, l->done_path, tmp, l->signature.data, l->signature.size, NULL); /* without it the next start reads all again */
}

/* ---- reading batches ---- */

/* A file seen through a window that moves forward. */
struct window {
    struct peer_file *file;
    struct dynbuf bytes;
    uint64_t at; /* of bytes.data[0] */
};

/* *ret_data = NULL when the file ends before. */
static int window_get(struct window *w, uint64_t offset, uint64_t size, const uint8_t **ret_data, struct error *err)
{
    *ret_data = NULL;
    if (offset > w->file->size || size > w->file->size - offset)
        return ST_OK;
    if (!w->bytes.data || offset < w->at || offset + size > w->at + w->bytes.size) {
        uint64_t left = w->file->size - offset, want = size > WINDOW_BYTES ? size : left < WINDOW_BYTES ? left : WINDOW_BYTES;
        dynbuf_clear(&w->bytes);
        TRY(dynbuf_reserve(&w->bytes, (size_t)want + 1, err));
        size_t got;
        TRY(w->file->file->ops->read_at(w->file->file, offset, w->bytes.data, (size_t)want, &got, err));
        w->bytes.size = got;
        w->at = offset;
        if (got < size)
            return ST_OK;
    }
    *ret_data = w->bytes.data + (offset - w->at);
    return ST_OK;
}

/* One batch that was found good. */
struct found {
    uint64_t at;
    struct raftlog_batch batch;
    bool has_entries;
};

static int read_batch(struct window *w, uint64_t at, uint32_t signature, struct found *ret_found, const uint8_t **ret_footer, bool *ret_valid,
                      struct error *err)
{
    const uint8_t *head, *footer;
    struct raftlog_batch b;
    *ret_valid = false;
    TRY(window_get(w, at, RAFTLOG_BATCH_HEADER, &head, err));
    if (!head || !raftlog_batch_get(head, &b) || b.total_bytes > w->file->size - at)
        return ST_OK;
    TRY(window_get(w, at + b.footer_at, b.total_bytes - b.footer_at, &footer, err));
    if (!footer || !raftlog_footer_valid(footer, (size_t)(b.total_bytes - b.footer_at), signature))
        return ST_OK;
    *ret_found = (struct found){at, b, raftlog_block_bytes(&b) > 0};
    *ret_footer = footer;
    *ret_valid = true;
    return ST_OK;
}

static int read_block(struct peer_log *l, const struct peer_file *f, uint64_t at, const struct raftlog_batch *b, struct dynbuf *stored,
                      struct dynbuf *plain, const uint8_t **ret_data, size_t *ret_size, struct error *err)
{
    size_t size = (size_t)raftlog_block_bytes(b);
    dynbuf_clear(stored);
    TRY(dynbuf_reserve(stored, size + 1, err));
    TRY(fs_read_exact(f->file, at + RAFTLOG_BATCH_HEADER, stored->data, size, err));
    int st = raftlog_block_open(stored->data, size, b->lz4, plain, ret_data, ret_size, err);
    if (st != ST_OK)
        error_prefix(err, "%s/%s, batch at offset %llu", l->dir, f->name, (unsigned long long)at);
    return st;
}

static int apply(struct peer_log *l, size_t file, uint64_t at, const uint8_t *footer, const struct raftlog_batch *b, struct error *err)
{
    return raftlog_index_apply(&l->index, l->files[file].rewrite, (uint64_t)file << OFFSET_BITS | at, footer, (size_t)(b->total_bytes - b->footer_at),
                               err);
}

/* Whether only zeros are left: space that was reserved and never used. */
static int zero_tail(struct window *w, uint64_t at, bool *ret_zero, struct error *err)
{
    *ret_zero = true;
    for (const uint8_t *p; *ret_zero && at < w->file->size;) {
        uint64_t n = w->file->size - at < WINDOW_BYTES ? w->file->size - at : WINDOW_BYTES;
        TRY(window_get(w, at, n, &p, err));
        *ret_zero = p && p[0] == 0 && memcmp(p, p + 1, (size_t)n - 1) == 0;
        at += n;
    }
    return ST_OK;
}

/* The batch that a bad header may be hiding: files with an alignment pad with zeros up to the next multiple. */
static int skip_padding(struct window *w, uint64_t alignment, uint64_t *at, bool *ret_skipped, struct error *err)
{
    *ret_skipped = false;
    uint64_t rest = alignment ? *at % alignment : 0;
    if (!rest || alignment - rest > w->file->size - *at)
        return ST_OK;
    const uint8_t *p;
    TRY(window_get(w, *at, alignment - rest, &p, err));
    if (!p || p[0] || memcmp(p, p + 1, (size_t)(alignment - rest) - 1) != 0)
        return ST_OK;
    *at += alignment - rest;
    *ret_skipped = true;
    return ST_OK;
}

static void note_damage(struct peer_log *l, const struct peer_file *f, uint64_t at, const char *what, struct peer_log_report *report)
{
    raftlog_index_damage(&l->index);
    if (report->damages++ == 0)
        snprintf(report->detail, sizeof report->detail, "%.100s/%s: %s at offset %llu, what follows in this file is lost", l->dir, f->name, what,
                 (unsigned long long)at);
}

/* The newest valid batch of a file is applied only once its entries are known to be whole; the older ones are checked when they are read. */
static int scan_batches(struct peer_log *l, size_t number, struct window *w, const struct raftlog_header *h, bool newest,
                        struct peer_log_report *report, struct error *err)
{
    struct peer_file *f = &l->files[number];
    uint32_t signature = raftlog_signature(h, f->sequence);
    uint64_t at = h->size;
    struct found found, held = {0};
    struct dynbuf held_footer, stored, plain;
    dynbuf_init(&held_footer, SIZE_MAX / 2);
    dynbuf_init(&stored, SIZE_MAX / 2);
    dynbuf_init(&plain, SIZE_MAX / 2);
    bool valid = true, holding = false;
    int st = ST_OK;
    while (st == ST_OK && at < f->size) {
        const uint8_t *footer = NULL;
        st = read_batch(w, at, signature, &found, &footer, &valid, err);
        bool skipped = false;
        if (st == ST_OK && !valid && (st = skip_padding(w, h->alignment, &at, &skipped, err)) == ST_OK && skipped)
            st = read_batch(w, at, signature, &found, &footer, &valid, err);
        if (st != ST_OK || !valid)
            break;
        if (holding)
            st = apply(l, number, held.at, held_footer.data, &held.batch, err);
        held = found;
        holding = true;
        dynbuf_clear(&held_footer);
        if (st == ST_OK)
            st = dynbuf_append(&held_footer, footer, (size_t)(found.batch.total_bytes - found.batch.footer_at), err);
        at += found.batch.total_bytes;
    }
    if (st == ST_OK && holding) {
        const uint8_t *data;
        size_t size;
        int whole = held.has_entries ? read_block(l, f, held.at, &held.batch, &stored, &plain, &data, &size, err) : ST_OK;
        if (whole == ST_OK) {
            st = apply(l, number, held.at, held_footer.data, &held.batch, err);
        } else if (whole == ST_CORRUPT) {
            at = held.at;
            valid = false;
        } else {
            st = whole;
        }
    }
    if (st == ST_OK && at < f->size && !newest) {
        note_damage(l, f, at, "no valid log batch", report);
    } else if (st == ST_OK && at < f->size) {
        bool zero;
        st = zero_tail(w, at, &zero, err);
        report->torn_bytes += st == ST_OK && !zero ? f->size - at : 0;
    }
    report->bytes += at < f->size ? at : f->size;
    dynbuf_release(&held_footer);
    dynbuf_release(&stored);
    dynbuf_release(&plain);
    return st;
}

static int scan_file(struct peer_log *l, size_t number, bool newest, struct peer_log_report *report, struct error *err)
{
    struct peer_file *f = &l->files[number];
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", l->dir, f->name);
    TRY(l->fs->ops->open(l->fs, path, FS_READ, &f->file, err));
    struct window w = {.file = f};
    dynbuf_init(&w.bytes, SIZE_MAX / 2);
    const uint8_t *head;
    struct raftlog_header h;
    uint64_t n = f->size < RAFTLOG_FILE_HEADER_MAX ? f->size : RAFTLOG_FILE_HEADER_MAX;
    int st = window_get(&w, 0, n, &head, err);
    report->files++;
    if (st == ST_OK && head && raftlog_header_get(head, (size_t)n, &h))
        st = scan_batches(l, number, &w, &h, newest, report, err);
    else if (st == ST_OK && newest) /* it was being begun */
        report->torn_bytes += f->size;
    else if (st == ST_OK)
        note_damage(l, f, 0, "no valid file header", report);
    dynbuf_release(&w.bytes);
    return st;
}

static int scan(struct peer_log *l, struct peer_log_report *report, struct error *err)
{
    for (size_t i = 0; i < l->n_files; i++) {
        bool newest = i + 1 == l->n_files || l->files[i + 1].rewrite != l->files[i].rewrite;
        TRY(scan_file(l, i, newest, report, err));
    }
    raftlog_index_finish(&l->index);
    size_t pos = 0;
    uint64_t id;
    void *value;
    while (u64_map_next(&l->index.groups, &pos, &id, &value)) {
        const struct raftlog_group *g = value;
        l->pending += g->n > 0;
        report->entries += g->n;
    }
    report->regions = l->pending;
    return ST_OK;
}

/* ---- life ---- */

int peer_log_open(const struct peer_log_options *options, struct peer_log **ret_log, struct peer_log_report *ret_report, struct error *err)
{
    struct peer_log *l = calloc(1, sizeof *l);
    if (!l)
        return error_no_memory(err, sizeof *l);
    *ret_report = (struct peer_log_report){0};
    l->fs = options->fs;
    l->budget = options->budget;
    l->read_only = options->read_only;
    snprintf(l->dir, sizeof l->dir, "%s", options->dir);
    snprintf(l->done_path, sizeof l->done_path, "%s", options->done_path);
    dynbuf_init(&l->signature, 1 << 20);
    raftlog_index_init(&l->index, options->budget);
    pthread_mutex_init(&l->lock, NULL);
    int st = find_files(l, ret_report, err);
    if (st == ST_OK && l->n_files)
        st = take_lock(l, err);
    if (st == ST_OK && l->n_files && !noted_as_done(l)) {
        st = scan(l, ret_report, err);
        if (st == ST_OK)
            note_if_done(l);
    }
    bool wanted = st == ST_OK && l->n_files;
    if (!wanted)
        peer_log_close(l);
    if (st == ST_OK)
        *ret_log = wanted ? l : NULL;
    return st;
}

void peer_log_close(struct peer_log *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_files; i++)
        if (l->files[i].file)
            l->files[i].file->ops->close(l->files[i].file);
    if (l->lock_file)
        l->lock_file->ops->close(l->lock_file);
    raftlog_index_release(&l->index);
    dynbuf_release(&l->signature);
    pthread_mutex_destroy(&l->lock);
    free(l->files);
    free(l);
}

/* ---- replay ---- */

/* What one replay holds: its copy of the references, and the block that was read last. */
struct replay {
    struct peer_log *log;
    uint64_t region_id, first, n;
    struct raftlog_ref *refs;
    struct dynbuf stored, plain;
    uint64_t place;
    const uint8_t *data;
    size_t size, charged;
};

/* Decides what is to be replayed; false in *ret_any when nothing is. */
static int replay_begin(struct replay *r, uint64_t after, bool *ret_any, uint64_t *ret_missing, struct error *err)
{
    struct peer_log *l = r->log;
    int st = ST_OK;
    *ret_any = false;
    pthread_mutex_lock(&l->lock);
    const struct raftlog_group *g = raftlog_index_find(&l->index, r->region_id);
    unsigned long long id = r->region_id;
    if (l->index.damages && (!g || g->epoch < l->index.damages) && !(g && g->last <= after)) {
        st = error_set(err, ST_CORRUPT, "the GreptimeDB log of region %llu may have lost its end: the log in %s is damaged behind it", id, l->dir);
    } else if (g && g->n && g->last > after) {
        bool gap = g->first > after + 1;
        if (gap && g->has_hole)
            st = error_set(err, ST_CORRUPT, "the GreptimeDB log of region %llu lacks entries before %llu; needed are those from %llu on", id,
                           (unsigned long long)g->first, (unsigned long long)after + 1);
        *ret_missing = gap ? g->first - after - 1 : 0;
        r->first = gap ? g->first : after + 1;
        r->n = g->last - r->first + 1;
        if (st == ST_OK)
            st = budget_charge(l->budget, r->n * sizeof *r->refs, err);
        if (st == ST_OK) {
            r->charged = r->n * sizeof *r->refs;
            r->refs = malloc(r->charged);
            if (r->refs)
                memcpy(r->refs, g->refs + g->head + (r->first - g->first), r->charged);
            else
                st = error_no_memory(err, r->charged);
        }
        *ret_any = st == ST_OK;
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

static int load_block(struct replay *r, uint64_t place, struct error *err)
{
    struct peer_log *l = r->log;
    const struct peer_file *f = &l->files[place >> OFFSET_BITS];
    uint64_t at = place & (((uint64_t)1 << OFFSET_BITS) - 1);
    uint8_t head[RAFTLOG_BATCH_HEADER];
    struct raftlog_batch b;
    r->data = NULL;
    TRY(fs_read_exact(f->file, at, head, sizeof head, err));
    if (!raftlog_batch_get(head, &b) || b.total_bytes > f->size - at)
        return error_set(err, ST_CORRUPT, "%s/%s changed while it was read, at offset %llu", l->dir, f->name, (unsigned long long)at);
    TRY(read_block(l, f, at, &b, &r->stored, &r->plain, &r->data, &r->size, err));
    r->place = place;
    return ST_OK;
}

static int replay_entry(struct replay *r, uint64_t i, int (*each)(void *ctx, const struct wal_record *record, struct error *err), void *ctx,
                        struct error *err)
{
    const struct raftlog_ref *ref = &r->refs[i];
    struct raftlog_entry entry;
    if (!r->data || r->place != ref->place)
        TRY(load_block(r, ref->place, err));
    if (ref->start > r->size || ref->size > r->size - ref->start)
        return error_set(err, ST_CORRUPT, "entry %llu of region %llu lies outside of its block", (unsigned long long)(r->first + i),
                         (unsigned long long)r->region_id);
    TRY(raftlog_entry_get(r->data + ref->start, ref->size, &entry, err));
    if (entry.id != r->first + i || entry.region_id != r->region_id)
        return error_set(err, ST_CORRUPT, "entry %llu of region %llu says that it is entry %llu of region %llu", (unsigned long long)(r->first + i),
                         (unsigned long long)r->region_id, (unsigned long long)entry.id, (unsigned long long)entry.region_id);
    struct wal_record record = {r->region_id, entry.id, entry.data, entry.size};
    return each(ctx, &record, err);
}

int peer_log_replay(struct peer_log *l, uint64_t region_id, uint64_t after_entry_id,
                    int (*each)(void *ctx, const struct wal_record *record, struct error *err), void *ctx, uint64_t *ret_missing, struct error *err)
{
    struct replay r = {.log = l, .region_id = region_id};
    bool any;
    *ret_missing = 0;
    TRY(replay_begin(&r, after_entry_id, &any, ret_missing, err));
    dynbuf_init(&r.stored, SIZE_MAX / 2);
    dynbuf_init(&r.plain, SIZE_MAX / 2);
    int st = ST_OK;
    for (uint64_t i = 0; any && st == ST_OK && i < r.n; i++)
        st = replay_entry(&r, i, each, ctx, err);
    dynbuf_release(&r.stored);
    dynbuf_release(&r.plain);
    free(r.refs);
    budget_release(l->budget, r.charged);
    return st;
}

uint64_t peer_log_last_entry_id(struct peer_log *l, uint64_t region_id)
{
    if (!l)
        return 0;
    pthread_mutex_lock(&l->lock);
    const struct raftlog_group *g = raftlog_index_find(&l->index, region_id);
    uint64_t last = g ? g->last : 0;
    pthread_mutex_unlock(&l->lock);
    return last;
}

void peer_log_obsolete(struct peer_log *l, uint64_t region_id, uint64_t entry_id)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    struct raftlog_group *g = raftlog_index_find(&l->index, region_id);
    if (g && g->n) {
        raftlog_group_compact(&l->index, g, entry_id == UINT64_MAX ? entry_id : entry_id + 1);
        if (g->n == 0) {
            l->pending--;
            note_if_done(l);
        }
    }
    pthread_mutex_unlock(&l->lock);
}

uint64_t peer_log_pending_regions(struct peer_log *l)
{
    if (!l)
        return 0;
    pthread_mutex_lock(&l->lock);
    uint64_t n = l->pending;
    pthread_mutex_unlock(&l->lock);
    return n;
}
