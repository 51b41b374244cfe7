/* The manifest manager: deltas, checkpoints and the pointer in the object store (mito-on-disk.md 2.1 and 2.8).
 *
 *   update: text ──► fold into a copy ──► put %020u.json (the commit point) ──► the copy becomes the state ──► checkpoint when due
 * A delta that failed may still have reached the store, so its version is never used again; the state stays as it was. A checkpoint is written before the pointer
 * to it, and old files go last: a crash anywhere leaves a readable manifest.
 */
#include "engine/mito/manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "engine/mito/manifest_internal.h"
#include "format/json/json.h"
#include "os/thread.h"

static int remember(struct manifest_manager *m, struct manifest_file f, struct error *err)
{
    if (m->n_files == m->room) {
        uint32_t room = m->room ? m->room * 2 : 16;
        struct manifest_file *more = realloc(m->files, room * sizeof *more);
        if (!more)
            return error_no_memory(err, room * sizeof *more);
        m->files = more;
        m->room = room;
    }
    m->files[m->n_files++] = f;
    return ST_OK;
}

static void file_key(const struct manifest_manager *m, const struct manifest_file *f, char out[MANIFEST_KEY_MAX])
{
    snprintf(out, MANIFEST_KEY_MAX, "%s%020llu.%s%s", m->dir, (unsigned long long)f->version, f->checkpoint ? "checkpoint" : "json", f->gzip ? ".gz" : "");
}

/* ---- reading ---- */

/* "<digits>.json[.gz]" or "<digits>.checkpoint[.gz]"; other names are not ours. */
static bool parse_name(const char *name, struct manifest_file *ret)
{
    uint64_t version = 0;
    const char *p = name;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(version, 10, &version) || __builtin_add_overflow(version, (uint64_t)(*p - '0'), &version))
            return false;
    }
    if (p - name != 20 || *p != '.')
        return false;
    bool checkpoint = strncmp(p, ".checkpoint", 11) == 0;
    if (!checkpoint && strncmp(p, ".json", 5) != 0)
        return false;
    p += checkpoint ? 11 : 5;
    *ret = (struct manifest_file){.version = version, .checkpoint = checkpoint, .gzip = strcmp(p, ".gz") == 0};
    return !*p || ret->gzip;
}

static int list_file(void *ctx, const struct object_info *info, struct error *err)
{
    struct manifest_file f;
    const char *slash = strrchr(info->key, '/');
    if (info->is_dir || !parse_name(slash ? slash + 1 : info->key, &f))
        return ST_OK;
    f.size = info->size_bytes;
    return remember(ctx, f, err);
}

static int gunzip(struct dynbuf *data, struct error *err)
{
    struct dynbuf out;
    z_stream z = {.next_in = data->data, .avail_in = (uInt)data->size};
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return error_no_memory(err, 1 << 16);
    dynbuf_init(&out, MANIFEST_TEXT_MAX);
    int st = ST_OK, zst = Z_OK;
    while (st == ST_OK && zst != Z_STREAM_END) {
        st = dynbuf_reserve(&out, 1 << 16, err);
        if (st != ST_OK)
            break;
        z.next_out = out.data + out.size;
        z.avail_out = 1 << 16;
        zst = inflate(&z, Z_NO_FLUSH);
        out.size += (1 << 16) - z.avail_out;
        if (zst != Z_OK && zst != Z_STREAM_END)
            st = error_set(err, ST_CORRUPT, "bad gzip data");
    }
    inflateEnd(&z);
    if (st == ST_OK) {
        dynbuf_release(data);
        *data = out;
    } else {
        dynbuf_release(&out);
    }
    return st;
}

static int read_text(struct manifest_manager *m, const struct manifest_file *f, struct dynbuf *text, struct error *err)
{
    char key[MANIFEST_KEY_MAX];
    file_key(m, f, key);
    TRY(object_store_get(m->store, key, MANIFEST_TEXT_MAX, text, err));
    if (f->gzip && gunzip(text, err) != ST_OK)
        return error_prefix(err, "%s", key);
    return ST_OK;
}

static const struct manifest_file *find_checkpoint(const struct manifest_manager *m, uint64_t version)
{
    const struct manifest_file *found = NULL;
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct manifest_file *f = &m->files[i];
        if (f->checkpoint && f->version == version && (!found || !f->gzip))
            found = f;
    }
    return found;
}

/* The pointer; *ret_version = 0 when there is none. */
static int read_pointer(struct manifest_manager *m, uint64_t *ret_version, bool *ret_has_crc, uint32_t *ret_crc, struct error *err)
{
    char key[MANIFEST_KEY_MAX];
    struct dynbuf text;
    struct arena arena;
    const struct json_value *v;
    uint64_t crc = 0;
    snprintf(key, sizeof key, "%s_last_checkpoint", m->dir);
    dynbuf_init(&text, 1 << 16);
    arena_init(&arena, NULL);
    int st = object_store_get(m->store, key, 1 << 16, &text, err);
    if (st == ST_NOT_FOUND) {
        *ret_version = 0;
        st = ST_OK;
        goto out;
    }
    if (st == ST_OK)
        st = json_parse(&arena, (const char *)text.data, text.size, &v, err);
    if (st == ST_OK) {
        const struct json_value *sum = json_get(v, "checksum");
        *ret_has_crc = sum && sum->kind != JSON_NULL;
        if (!json_u64(json_get(v, "version"), ret_version) || (*ret_has_crc && (!json_u64(sum, &crc) || crc > UINT32_MAX)))
            st = error_set(err, ST_CORRUPT, "bad checkpoint pointer");
        *ret_crc = (uint32_t)crc;
    }
    if (st != ST_OK)
        st = error_prefix(err, "%s", key);
out:
    arena_release(&arena);
    dynbuf_release(&text);
    return st;
}

static int load_checkpoint(struct manifest_manager *m, struct error *err)
{
    uint64_t version = 0, last = 0;
    uint32_t crc = 0;
    bool has_crc = false;
    struct dynbuf text;
    TRY(read_pointer(m, &version, &has_crc, &crc, err));
    const struct manifest_file *f = version ? find_checkpoint(m, version) : NULL;
    if (!f)
        return ST_OK;
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = read_text(m, f, &text, err);
    if (st == ST_OK && has_crc && crc32(crc32(0, NULL, 0), text.data, (uInt)text.size) != crc)
        st = error_set(err, ST_CORRUPT, "%s: checksum of checkpoint %llu does not match", m->dir, (unsigned long long)version);
    if (st == ST_OK)
        st = manifest_load_checkpoint(&m->state, (const char *)text.data, text.size, &last, err);
    if (st == ST_OK) {
        m->state.version = last;
        m->checkpoint_version = last;
        m->next_version = last + 1;
    }
    dynbuf_release(&text);
    return st;
}

static int by_version(const void *a, const void *b)
{
    const struct manifest_file *x = a, *y = b;
    return (x->version > y->version) - (x->version < y->version);
}

static int replay(struct manifest_manager *m, struct error *err)
{
    bool loaded = m->state.metadata != NULL;
    uint64_t from = m->next_version;
    if (m->n_files)
        qsort(m->files, m->n_files, sizeof *m->files, by_version);
    if (!loaded && m->n_files && m->files[0].version != 0) /* no checkpoint: the first delta must be the one that made the region */
        return error_set(err, ST_CORRUPT, "%s lacks its beginning: the checkpoint before version %llu is missing", m->dir, (unsigned long long)m->files[0].version);
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct manifest_file *f = &m->files[i];
        struct dynbuf text;
        if (f->checkpoint || (loaded && f->version < from))
            continue;
        dynbuf_init(&text, MANIFEST_TEXT_MAX);
        int st = read_text(m, f, &text, err);
        if (st == ST_OK) {
            st = manifest_apply_delta(&m->state, (const char *)text.data, text.size, err);
            if (st != ST_OK)
                error_prefix(err, "%s%020llu.json", m->dir, (unsigned long long)f->version);
        }
        dynbuf_release(&text);
        TRY(st);
        if (f->version > m->next_version) {
            m->first_missing = m->n_missing ? m->first_missing : m->next_version;
            m->n_missing += f->version - m->next_version;
        }
        m->state.version = f->version;
        m->next_version = f->version + 1;
    }
    return ST_OK;
}

static int manager_new(struct object_store *store, const char *region_dir, uint32_t distance, struct manifest_manager **ret_manager, struct error *err)
{
    size_t n = strlen(region_dir);
    struct manifest_manager *m = calloc(1, sizeof *m);
    if (n > MANIFEST_KEY_MAX - 64) {
        free(m);
        return error_set(err, ST_INVALID_ARGUMENTS, "region directory name too long");
    }
    if (!m || !(m->dir = malloc(n + 16))) {
        free(m);
        return error_no_memory(err, sizeof *m);
    }
    snprintf(m->dir, n + 16, "%s%smanifest/", region_dir, n && region_dir[n - 1] != '/' ? "/" : "");
    m->store = store;
    m->distance = distance;
    m->state.append_mode = -1;
    dynbuf_init(&m->doubtful, MANIFEST_TEXT_MAX);
    dynbuf_init(&m->staged, MANIFEST_TEXT_MAX);
    *ret_manager = m;
    return ST_OK;
}

void manifest_free(struct manifest_manager *m)
{
    if (!m)
        return;
    manifest_release(&m->state);
    dynbuf_release(&m->staged);
    dynbuf_release(&m->doubtful);
    free(m->files);
    free(m->dir);
    free(m);
}

int manifest_open(struct object_store *store, const char *region_dir, uint32_t checkpoint_distance, struct manifest_manager **ret_manager, struct error *err)
{
    struct manifest_manager *m;
    TRY(manager_new(store, region_dir, checkpoint_distance, &m, err));
    int st = store->ops->list(store, m->dir, false, list_file, m, err);
    if (st == ST_OK)
        st = load_checkpoint(m, err);
    if (st == ST_OK)
        st = replay(m, err);
    if (st == ST_OK && !m->state.metadata)
        st = error_set(err, ST_NOT_FOUND, "no manifest in %s", m->dir);
    if (st == ST_OK)
        *ret_manager = m;
    else
        manifest_free(m);
    return st;
}

void manifest_set_guard(struct manifest_manager *m, bool (*may_write)(void *ctx), void *ctx)
{
    m->may_write = may_write;
    m->may_write_ctx = ctx;
}

static int find_newest(void *ctx, const struct object_info *info, struct error *err)
{
    struct manifest_file f;
    uint64_t *newest = ctx;
    const char *slash = strrchr(info->key, '/');
    (void)err;
    if (!info->is_dir && parse_name(slash ? slash + 1 : info->key, &f) && f.version > *newest)
        *newest = f.version;
    return ST_OK;
}

int manifest_is_behind(struct manifest_manager *m, bool *ret_behind, struct error *err)
{
    uint64_t newest = 0;
    TRY(m->store->ops->list(m->store, m->dir, false, find_newest, &newest, err));
    *ret_behind = newest > m->state.version;
    return ST_OK;
}

const struct manifest *manifest_state(const struct manifest_manager *m)
{
    return &m->state;
}

bool manifest_has_gap(const struct manifest_manager *m, uint64_t *ret_first, uint64_t *ret_count)
{
    *ret_first = m->first_missing;
    *ret_count = m->n_missing;
    return m->n_missing > 0;
}

uint64_t manifest_bytes(const struct manifest_manager *m)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->n_files; i++)
        sum += m->files[i].size;
    return sum;
}

/* ---- writing ---- */

/* After a checkpoint at V: with C the newest checkpoint below V, checkpoints < C and deltas <= C go; without one all below V. */
static void remove_old(struct manifest_manager *m, uint64_t version)
{
    uint64_t keep = 0;
    uint32_t n = 0;
    bool found = false;
    for (uint32_t i = 0; i < m->n_files; i++) {
        if (m->files[i].checkpoint && m->files[i].version < version && (!found || m->files[i].version > keep)) {
            keep = m->files[i].version;
            found = true;
        }
    }
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct manifest_file *f = &m->files[i];
        bool old = f->version < version && (!found || (f->checkpoint ? f->version < keep : f->version <= keep));
        char key[MANIFEST_KEY_MAX];
        file_key(m, f, key);
        if (!old || m->store->ops->remove(m->store, key, NULL) != ST_OK)
            m->files[n++] = *f; /* a leftover is harmless and tried again next time */
    }
    m->n_files = n;
}

void manifest_keep_removed(struct manifest_manager *m, bool keep)
{
    m->keep_removed = keep;
}

void manifest_forget_removed(struct manifest_manager *m, const struct removed_file *gone, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->state.n_removed; i++) {
        const struct removed_file *r = &m->state.removed[i];
        bool found = false;
        for (uint32_t k = 0; k < n && !found; k++)
            found = strcmp(r->file_id, gone[k].file_id) == 0 && r->is_index == gone[k].is_index;
        if (!found)
            m->state.removed[kept++] = *r;
    }
    m->state.n_removed = kept;
}

/* Its failure only delays the next one. */
static int checkpoint(struct manifest_manager *m)
{
    struct dynbuf text;
    char key[MANIFEST_KEY_MAX], pointer[160];
    struct manifest_file f = {.version = m->state.version, .checkpoint = true};
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = manifest_checkpoint_json(&m->state, m->state.version - m->checkpoint_version, m->keep_removed, &text, NULL);
    f.size = text.size;
    file_key(m, &f, key);
    if (st == ST_OK)
        st = object_store_put(m->store, key, text.data, text.size, NULL);
    if (st == ST_OK) {
        unsigned long crc = crc32(crc32(0, NULL, 0), text.data, (uInt)text.size);
        snprintf(pointer, sizeof pointer, "{\"size\":%zu,\"version\":%llu,\"checksum\":%lu,\"extend_metadata\":{}}", text.size, (unsigned long long)f.version, crc);
        snprintf(key, sizeof key, "%s_last_checkpoint", m->dir);
        st = object_store_put(m->store, key, pointer, strlen(pointer), NULL);
    }
    dynbuf_release(&text);
    if (st == ST_OK)
        st = remember(m, f, NULL);
    if (st == ST_OK) {
        m->checkpoint_version = f.version;
        remove_old(m, f.version);
    }
    return st;
}

static int note_overtaken(struct manifest_manager *m, const char *key, struct error *err)
{
    m->overtaken = true;
    return error_set(err, ST_REGION_NOT_READY, "another node has written %s: this one is not the region's leader any more", key);
}

int manifest_put_delta(struct manifest_manager *m, const char *key, const struct dynbuf *text, struct error *err)
{
    if (m->may_write && !m->may_write(m->may_write_ctx))
        return error_set(err, ST_REGION_NOT_READY, "%s: this node's lease of the region has run out, so its manifest is not written", m->dir);
    int st = object_store_put_new(m->store, key, text->data, text->size, err);
    return st == ST_ILLEGAL_STATE ? note_overtaken(m, key, err) : st;
}

bool manifest_overtaken(const struct manifest_manager *m)
{
    return m->overtaken;
}

bool manifest_in_doubt(const struct manifest_manager *m)
{
    return m->doubtful.size > 0;
}

/* By a removal of what is not there, for that syncs the folder. */
int manifest_make_durable(struct manifest_manager *m, struct error *err)
{
    char key[MANIFEST_KEY_MAX];
    if (m->durable)
        return ST_OK;
    snprintf(key, sizeof key, "%s.none", m->dir);
    int st = m->store->ops->discard(m->store, key, err);
    m->durable = st == ST_OK;
    return st == ST_OK ? ST_OK : error_prefix(err, "%s cannot be synced", m->dir);
}

/* Only our own text is removed: under the key there may be, by now, another node's. */
int manifest_settle(struct manifest_manager *m, struct error *err)
{
    struct manifest_file f = {.version = m->next_version - 1};
    struct dynbuf text;
    char key[MANIFEST_KEY_MAX];
    if (!manifest_in_doubt(m))
        return ST_OK;
    file_key(m, &f, key);
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = object_store_get(m->store, key, MANIFEST_TEXT_MAX, &text, err);
    bool foreign = st == ST_OK && (text.size != m->doubtful.size || memcmp(text.data, m->doubtful.data, text.size) != 0);
    if (foreign)
        st = note_overtaken(m, key, err);
    else if (st == ST_OK || st == ST_NOT_FOUND) /* not there for us may still be there on disk */
        st = m->store->ops->discard(m->store, key, err);
    dynbuf_release(&text);
    if (st != ST_OK)
        return error_prefix(err, "whether the last change of the manifest in %s took effect is in doubt", m->dir);
    dynbuf_release(&m->doubtful);
    return ST_OK;
}

/* Folds the text first, so that nothing is written that could not be read again. All the memory is taken before the text is written: what follows
 * cannot fail, and a doubt can always be noted. */
int manifest_commit(struct manifest_manager *m, const struct dynbuf *text, const struct manifest_prepare *prepare, struct error *err)
{
    struct manifest next;
    struct manifest_file f = {.size = text->size};
    char key[MANIFEST_KEY_MAX];
    if (m->overtaken)
        return error_set(err, ST_REGION_NOT_READY, "another node has written to %s: this one is not the region's leader any more", m->dir);
    TRY(manifest_settle(m, err));
    f.version = m->next_version;
    TRY(manifest_copy(&m->state, &next, err));
    if (!m->keep_removed)
        next.n_removed = 0; /* only what this update removes stays on record */
    int st = manifest_apply_delta(&next, (const char *)text->data, text->size, err);
    if (st == ST_OK)
        st = dynbuf_reserve(&m->doubtful, text->size, err);
    if (st == ST_OK && prepare)
        st = prepare->prepare(prepare->ctx, &next, err);
    if (st == ST_OK)
        st = remember(m, f, err);
    if (st == ST_OK) {
        file_key(m, &f, key);
        m->next_version++;
        st = manifest_put_delta(m, key, text, err);
        if (st != ST_OK) {
            m->n_files--;
            if (st != ST_REGION_NOT_READY) { /* refused: surely not written */
                (void)dynbuf_append(&m->doubtful, text->data, text->size, NULL); /* has room */
                (void)manifest_settle(m, NULL);
            }
        }
        if (!manifest_in_doubt(m))
            dynbuf_release(&m->doubtful);
    }
    if (st != ST_OK) {
        manifest_release(&next);
        return st;
    }
    manifest_release(&m->state);
    m->state = next;
    m->state.version = f.version;
    m->durable = true;
    if (m->distance && m->state.version - m->checkpoint_version >= m->distance)
        (void)checkpoint(m);
    return ST_OK;
}

static int commit_and_release(struct manifest_manager *m, int st, struct dynbuf *text, struct error *err)
{
    if (st == ST_OK)
        st = manifest_commit(m, text, NULL, err);
    dynbuf_release(text);
    return st;
}

int manifest_update_edit(struct manifest_manager *m, const struct manifest_edit *edit, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    return commit_and_release(m, manifest_edit_json(edit, &text, err), &text, err);
}

int manifest_update_change(struct manifest_manager *m, struct region_metadata *metadata, enum sst_format format, int append_mode, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    return commit_and_release(m, manifest_change_json(metadata, format, append_mode, NULL, &text, err), &text, err);
}

int manifest_update_truncate_all(struct manifest_manager *m, uint64_t truncated_entry_id, uint64_t truncated_sequence, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    return commit_and_release(m, manifest_truncate_json(m->state.metadata->region_id, truncated_entry_id, truncated_sequence, &text, err), &text, err);
}

int manifest_update_truncate_files(struct manifest_manager *m, const struct file_meta *remove, uint32_t n, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    return commit_and_release(m, manifest_truncate_files_json(m->state.metadata->region_id, remove, n, &text, err), &text, err);
}

int manifest_create(struct object_store *store, const char *region_dir, uint32_t checkpoint_distance, struct region_metadata *metadata,
                    enum sst_format format, uint64_t flushed_entry_id, struct manifest_manager **ret_manager, struct error *err)
{
    struct manifest_manager *m;
    struct dynbuf text;
    struct manifest_edit edit = {.timestamp_ms = clock_wall_ms(), .has_flushed = true, .flushed_entry_id = flushed_entry_id};
    TRY(manager_new(store, region_dir, checkpoint_distance, &m, err));
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = commit_and_release(m, manifest_change_json(metadata, format, -1, flushed_entry_id ? &edit : NULL, &text, err), &text, err);
    if (st == ST_OK)
        *ret_manager = m;
    else
        manifest_free(m);
    return st;
}
