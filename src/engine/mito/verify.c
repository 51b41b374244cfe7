#include "engine/mito/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/mito.h"
#include "engine/mito/sst_footer.h"
#include "engine/mito/sst_internal.h"

enum { KEY_BYTES = 1280 };
static const char PUFFIN_MAGIC[4] = {'P', 'F', 'A', '1'};

static void __attribute__((format(printf, 4, 5))) say(const struct verify_request *q, enum verify_level level, const char *key, const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    q->say(q->ctx, level, key, text);
}

/* ---- one SST ---- */

struct sst_check {
    const struct verify_request *q;
    struct region_metadata *metadata; /* the region's */
    struct sst_file *file;
    char key[KEY_BYTES];
};

/* The time bounds of the row groups, taken together, are those of the manifest. */
static void check_bounds(const struct sst_check *c, const struct sst_footer *f)
{
    const struct file_meta *m = &c->file->meta;
    int64_t low = INT64_MAX, high = INT64_MIN;
    uint32_t leaf, leaves;
    parquet_column_leaves(f->parquet, f->time, &leaf, &leaves);
    for (uint32_t g = 0; g < parquet_n_row_groups(f->parquet); g++) {
        const struct parquet_bounds *b = &parquet_row_group(f->parquet, g)->chunks[leaf].bounds;
        if (!b->has_min || !b->has_max || b->min_size != 8 || b->max_size != 8)
            return; /* statistics are optional */
        int64_t min = (int64_t)load_le64(b->min), max = (int64_t)load_le64(b->max);
        low = min < low ? min : low;
        high = max > high ? max : high;
    }
    if (low != m->time_min || high != m->time_max)
        say(c->q, VERIFY_BAD_FILE, c->key, "its statistics say times %lld to %lld, the manifest %lld to %lld", (long long)low, (long long)high,
            (long long)m->time_min, (long long)m->time_max);
}

struct order { /* the row before */
    uint8_t *key;
    int32_t key_size;
    size_t room;
    int64_t time, rows, low, high;
    uint64_t sequence;
};

/* False when the row does not belong behind the one before. */
static bool follows(const struct order *o, const uint8_t *key, int32_t size, int64_t time, uint64_t sequence)
{
    if (o->rows == 0)
        return true;
    int32_t n = size < o->key_size ? size : o->key_size;
    int diff = n ? memcmp(o->key, key, (size_t)n) : 0;
    if (diff == 0)
        diff = o->key_size - size;
    return diff < 0 || (diff == 0 && (o->time < time || (o->time == time && o->sequence >= sequence)));
}

static int check_batch(const struct sst_check *c, const struct row_batch *b, struct order *o, bool *ret_good, struct error *err)
{
    const uint32_t *codes = COLUMN_VALUES(b->key, uint32_t);
    const int64_t *times = COLUMN_VALUES(b->time, int64_t);
    *ret_good = false;
    for (int64_t i = 0; i < b->n_rows; i++) {
        int32_t size;
        const uint8_t *key = column_bytes(b->key->dictionary, codes[i], &size);
        uint64_t sequence = b->sequence ? COLUMN_VALUES(b->sequence, uint64_t)[i] : b->constant_sequence;
        if (!follows(o, key, size, times[i], sequence)) {
            say(c->q, VERIFY_BAD_FILE, c->key, "row %lld is out of order", (long long)o->rows);
            return ST_OK;
        }
        if (c->file->meta.sequence && sequence > c->file->meta.sequence) {
            say(c->q, VERIFY_BAD_FILE, c->key, "row %lld has sequence %llu, the manifest says at most %llu", (long long)o->rows,
                (unsigned long long)sequence, (unsigned long long)c->file->meta.sequence);
            return ST_OK;
        }
        if ((size_t)size > o->room) {
            uint8_t *grown = realloc(o->key, (size_t)size);
            if (!grown)
                return error_no_memory(err, (size_t)size);
            o->key = grown;
            o->room = (size_t)size;
        }
        if (size)
            memcpy(o->key, key, (size_t)size);
        o->key_size = size;
        o->time = times[i];
        o->sequence = sequence;
        o->low = times[i] < o->low ? times[i] : o->low;
        o->high = times[i] > o->high ? times[i] : o->high;
        o->rows++;
    }
    *ret_good = true;
    return ST_OK;
}

static int read_rows(const struct sst_check *c, struct error *err)
{
    const struct file_meta *m = &c->file->meta;
    struct row_source *source = NULL;
    struct row_batch *batch;
    struct order o = {.low = INT64_MAX, .high = INT64_MIN};
    uint32_t n = c->metadata->n_columns, *columns = calloc(n, sizeof *columns);
    if (!columns)
        return error_no_memory(err, n * sizeof *columns);
    for (uint32_t i = 0; i < n; i++)
        columns[i] = i;
    struct read_request q = {
        .metadata = c->metadata, .columns = columns, .n_columns = n, .time_min = INT64_MIN, .time_max = INT64_MAX, .need_key = true};
    int st = sst_source_new(c->file, &q, &source, err);
    bool good = st == ST_OK;
    while (st == ST_OK && good && (st = row_source_next(source, &batch, err)) == ST_OK && batch) {
        st = check_batch(c, batch, &o, &good, err);
        row_batch_free(batch);
    }
    if (st == ST_OK && good && (o.low != m->time_min || o.high != m->time_max))
        say(c->q, VERIFY_BAD_FILE, c->key, "its rows have times %lld to %lld, the manifest says %lld to %lld", (long long)o.low, (long long)o.high,
            (long long)m->time_min, (long long)m->time_max);
    row_source_free(source);
    free(columns);
    free(o.key);
    return st;
}

static int check_footer(const struct sst_check *c, struct object_reader *reader, struct error *err)
{
    const struct file_meta *m = &c->file->meta;
    struct sst_footer *f;
    TRY(sst_footer_get(c->file, reader, &f, err));
    uint64_t rows = (uint64_t)parquet_n_rows(f->parquet), groups = parquet_n_row_groups(f->parquet);
    if (m->num_rows && rows != m->num_rows)
        say(c->q, VERIFY_BAD_FILE, c->key, "it has %llu rows, the manifest says %llu", (unsigned long long)rows, (unsigned long long)m->num_rows);
    if (m->num_row_groups && groups != m->num_row_groups)
        say(c->q, VERIFY_BAD_FILE, c->key, "it has %llu row groups, the manifest says %llu", (unsigned long long)groups,
            (unsigned long long)m->num_row_groups);
    check_bounds(c, f);
    sst_footer_put(c->file, f);
    return ST_OK;
}

static int check_sst(struct sst_check *c, struct error *err)
{
    const struct file_meta *m = &c->file->meta;
    struct object_reader *reader;
    struct error why = {0};
    int st = sst_open_reader(c->file, &reader, &why);
    if (st == ST_OK && m->file_size && reader->size_bytes != m->file_size) {
        say(c->q, VERIFY_BAD_FILE, c->key, "it has %llu bytes, the manifest says %llu", (unsigned long long)reader->size_bytes,
            (unsigned long long)m->file_size);
        reader->ops->close(reader);
        return ST_OK;
    }
    if (st == ST_OK) {
        st = check_footer(c, reader, &why);
        reader->ops->close(reader);
    }
    if (st == ST_OK && c->q->full)
        st = read_rows(c, &why);
    if (st == ST_NO_MEMORY || st == ST_EXHAUSTED)
        return error_set(err, why.status, "%s", why.msg);
    if (st != ST_OK)
        say(c->q, VERIFY_BAD_FILE, c->key, "%s", st == ST_NOT_FOUND ? "it is listed in the manifest and not there" : why.msg);
    return ST_OK;
}

/* An index only costs speed when it is not what it should be: a note. */
static bool check_index(const struct verify_request *q, const char *dir, const struct file_meta *m)
{
    char key[KEY_BYTES];
    struct object_reader *r;
    char head[4], tail[4];
    if (!m->available_indexes || sst_index_key(dir, m->file_id, m->index_version, key, sizeof key, NULL) != ST_OK)
        return false;
    if (q->store->ops->open(q->store, key, &r, NULL) != ST_OK) {
        say(q, VERIFY_NOTE, key, "the index is listed in the manifest and not there: scans of its file are slower");
        return false;
    }
    bool good = r->size_bytes == m->index_file_size && r->size_bytes >= 8 && r->ops->read_at(r, 0, head, 4, NULL) == ST_OK &&
                r->ops->read_at(r, r->size_bytes - 4, tail, 4, NULL) == ST_OK && memcmp(head, PUFFIN_MAGIC, 4) == 0 &&
                memcmp(tail, PUFFIN_MAGIC, 4) == 0;
    if (!good)
        say(q, VERIFY_NOTE, key, "the index is no whole puffin file of %llu bytes: scans of its file are slower",
            (unsigned long long)m->index_file_size);
    r->ops->close(r);
    return good;
}

/* In the folder of another region of the table. */
static bool is_elsewhere(const struct manifest *state, const struct file_meta *meta)
{
    return meta->region_id && (meta->region_id & 0xffffff) != (state->metadata->region_id & 0xffffff);
}

static int check_file(const struct verify_request *q, const struct manifest *state, const struct file_meta *meta, struct verify_result *result,
                      struct error *err)
{
    struct sst_check c = {.q = q, .metadata = state->metadata};
    struct file_meta copy;
    char *sibling = NULL;
    if (is_elsewhere(state, meta))
        TRY(mito_sibling_dir(q->region_dir, state->metadata->region_id, meta->region_id, &sibling, err));
    int st = file_meta_copy(meta, &copy, err);
    if (st == ST_OK && (st = sst_file_new(q->store, sibling ? sibling : q->region_dir, &copy, NULL, &c.file, err)) != ST_OK)
        file_meta_release(&copy);
    free(sibling);
    TRY(st);
    snprintf(c.key, sizeof c.key, "%s%s.parquet", c.file->dir, c.file->meta.file_id);
    st = check_sst(&c, err);
    result->files++;
    result->rows += meta->num_rows;
    result->bytes += meta->file_size;
    result->indexed_files += check_index(q, c.file->dir, meta);
    sst_file_unref(c.file);
    return st;
}

/* ---- what lies in the folder ---- */

struct folder {
    const struct verify_request *q;
    const struct manifest *state;
};

static bool is_listed(const struct manifest *m, const char *id, size_t size)
{
    for (uint32_t i = 0; i < m->n_files; i++)
        if (strlen(m->files[i].file_id) == size && memcmp(m->files[i].file_id, id, size) == 0)
            return true;
    return false;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, FILE_ID_SIZE - 1);
}

/* By the manifest, by another region's, or by the manifest's record of files that garbage collection removes. */
static bool is_known(const struct folder *f, const char *id, size_t size)
{
    char key[FILE_ID_SIZE] = {0};
    if (is_listed(f->state, id, size))
        return true;
    for (uint32_t i = 0; i < f->state->n_removed; i++)
        if (strlen(f->state->removed[i].file_id) == size && memcmp(f->state->removed[i].file_id, id, size) == 0)
            return true;
    if (size != FILE_ID_SIZE - 1 || !f->q->n_shared)
        return false;
    memcpy(key, id, size);
    return bsearch(key, f->q->shared, f->q->n_shared, FILE_ID_SIZE, compare_ids) != NULL;
}

static int look_at(void *ctx, const struct object_info *info, struct error *err)
{
    const struct folder *f = ctx;
    const char *name = info->key + strlen(f->q->region_dir), *dot;
    (void)err;
    if (info->is_dir)
        return ST_OK;
    if (!strcmp(name, ".dropping"))
        say(f->q, VERIFY_NOTE, info->key, "the region was being dropped: the next open finishes that");
    else if ((dot = strstr(name, ".parquet")) && !strchr(name, '/') && !is_known(f, name, (size_t)(dot - name)))
        say(f->q, VERIFY_LEFTOVER, info->key, "no manifest lists it (%llu bytes)", (unsigned long long)info->size_bytes);
    else if (!strncmp(name, "index/", 6) && (dot = strchr(name, '.')) && !is_known(f, name + 6, (size_t)(dot - name - 6)))
        say(f->q, VERIFY_LEFTOVER, info->key, "it is the index of a file that no manifest lists");
    else if (!strncmp(name, "staging/", 8))
        say(f->q, VERIFY_NOTE, info->key, "left by a staging region");
    return ST_OK;
}

int mito_verify_shared(struct object_store *store, const char *region_dir, char (**files)[FILE_ID_SIZE], size_t *n, struct error *err)
{
    struct manifest_manager *manager;
    if (manifest_open(store, region_dir, 0, &manager, NULL) != ST_OK)
        return ST_OK; /* mito_verify_region() says why */
    const struct manifest *state = manifest_state(manager);
    char(*grown)[FILE_ID_SIZE] = realloc(*files, (*n + state->n_files + 1) * sizeof **files);
    if (grown)
        *files = grown;
    for (uint32_t i = 0; grown && i < state->n_files; i++)
        if (is_elsewhere(state, &state->files[i]))
            memcpy(grown[(*n)++], state->files[i].file_id, FILE_ID_SIZE);
    uint32_t wanted = state->n_files;
    manifest_free(manager);
    return grown ? ST_OK : error_no_memory(err, wanted * sizeof **files);
}

int mito_verify_region(const struct verify_request *q, struct verify_result *ret_result, struct error *err)
{
    struct manifest_manager *manager;
    struct error why = {0};
    *ret_result = (struct verify_result){0};
    int st = manifest_open(q->store, q->region_dir, 0, &manager, &why);
    if (st == ST_NO_MEMORY)
        return error_set(err, st, "%s", why.msg);
    if (st != ST_OK) {
        say(q, VERIFY_BROKEN, q->region_dir, "%s", why.msg);
        return ST_OK;
    }
    const struct manifest *state = manifest_state(manager);
    *ret_result = (struct verify_result){
        .readable = true, .region_id = state->metadata->region_id, .flushed_entry_id = state->flushed_entry_id, .manifest_version = state->version};
    uint64_t first, n;
    if (manifest_has_gap(manager, &first, &n))
        say(q, VERIFY_NOTE, q->region_dir, "the manifest lacks %llu version(s), the first of them %llu: of writes that failed, or their files are lost",
            (unsigned long long)n, (unsigned long long)first);
    for (uint32_t i = 0; i < state->n_files && st == ST_OK; i++)
        st = check_file(q, state, &state->files[i], ret_result, err);
    struct folder f = {q, state};
    if (st == ST_OK)
        st = q->store->ops->list(q->store, q->region_dir, true, look_at, &f, err);
    manifest_free(manager);
    return st;
}
