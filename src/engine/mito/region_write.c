/* The way of a write through a region, and of a WAL record back into it.
 *
 * What makes it safe: rows are decoded and checked before anything is numbered, so a bad request changes nothing; a region's records are queued in the
 * log in the order of their entry ids because both happen under the region's lock; a row is visible only after the log has it as durably as the
 * mode promises; and `inflight` lets a flush wait until every numbered record is in the memtable, so that flushed_entry_id covers just what the SSTs hold.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/metrics.h"
#include "engine/mito/mito.h"
#include "format/proto/wire.h"
#include "format/rows/bulk.h"

static struct metric_family written_rows = {.name = "greptime_mito_write_rows_total", .help = "rows written", .kind = METRIC_COUNTER,
                                            .label_names = {"type"}};

/* Fields shared by InsertRequest, DeleteRequest and BulkInsertRequest. */
struct write_body {
    struct pb_field rows;              /* Rows or ArrowIpc */
    bool has_rows, has_version;
    uint64_t version;
    const struct mito_keyed_write *keyed; /* decodes; `rows` is made of what it decoded then */
    bool unlogged;                        /* the caller flushes them; allowed on a full disk */
};

static int read_body(struct message m, struct write_body *ret_body, struct error *err)
{
    struct pb_reader r = pb_reader_of(m.data, m.size);
    struct pb_field f, v;
    *ret_body = (struct write_body){0};
    while (pb_next(&r, &f)) {
        if (f.number == 2 && f.wire == PB_BYTES) {
            ret_body->rows = f;
            ret_body->has_rows = true;
        } else if (f.number == 3 && f.wire == PB_BYTES) {
            ret_body->has_version = true;
            for (struct pb_reader inside = pb_inside(&f); pb_next(&inside, &v);)
                if (v.number == 1)
                    ret_body->version = v.value;
        }
    }
    return pb_done(&r) ? ST_OK : error_set(err, ST_INVALID_ARGUMENTS, "a write request is malformed protobuf");
}

static bool writable(const struct mito_region *r)
{
    return r->state == REGION_WRITABLE || r->state == REGION_STAGING;
}

/* Waits while the region is altering, entering staging (not a bulk insert) or frozen for a flush; then it is writable or the write fails. r->lock held. */
static int wait_writable(struct mito_region *r, bool is_bulk, struct error *err)
{
    while (r->state == REGION_ALTERING || (r->state == REGION_ENTERING_STAGING && !is_bulk) || (writable(r) && r->freezing))
        pthread_cond_wait(&r->changed, &r->lock);
    if (r->state == REGION_STAGING && !r->staging_expr)
        return error_set(err, ST_STORAGE, "Reject write to region %llu(%u, %u): it is about to go", (unsigned long long)r->id, (uint32_t)(r->id >> 32),
                         (uint32_t)r->id);
    return writable(r) ? ST_OK : mito_region_wrong_state(r, "writable", err);
}

/* As the peer puts it; clients show the text. */
static int invalid(uint64_t id, int st, struct error *err)
{
    if (st == ST_INVALID_ARGUMENTS)
        error_prefix(err, "Invalid request to region %llu(%u, %u), reason", (unsigned long long)id, (uint32_t)(id >> 32), (uint32_t)id);
    return st;
}

static int check_write(const struct mito_region *r, const struct write_body *body, bool is_delete, struct error *err)
{
    if (is_delete && r->options.append_mode)
        return invalid(r->id, error_set(err, ST_INVALID_ARGUMENTS, "DELETE is not allowed under append mode"), err);
    if (body->has_version && body->version != r->partition_version)
        return error_set(err, ST_INVALID_ARGUMENTS, "Partition expr version mismatch for region %llu(%u, %u): request %llu, expected %llu",
                         (unsigned long long)r->id, (uint32_t)(r->id >> 32), (uint32_t)r->id, (unsigned long long)body->version,
                         (unsigned long long)r->partition_version);
    return ST_OK;
}

struct numbered {
    uint64_t sequence, entry_id, ticket;
    bool logged;
    struct memtable *memtable;
};

/* Mutation.write_hint = 4 {primary_key_encoding = 1: SPARSE}, behind the rows. */
static const uint8_t sparse_hint[] = {0x22, 0x02, 0x08, 0x01};

/* The WalEntry head in front of a Rows message: {mutations = 1 {op_type = 1, sequence = 2, rows = 3}}; `behind` bytes of the mutation follow the rows. */
static size_t mutation_head(uint8_t *out, bool is_delete, uint64_t sequence, size_t rows_size, size_t behind)
{
    size_t inside = (is_delete ? 0 : 2) + 1 + pb_varint_size(sequence) + 1 + pb_varint_size(rows_size) + rows_size + behind;
    uint8_t *p = out;
    *p++ = 0x0a;
    p = pb_write_varint(p, inside);
    if (!is_delete) {
        *p++ = 0x08;
        *p++ = OP_PUT;
    }
    *p++ = 0x10;
    p = pb_write_varint(p, sequence);
    *p++ = 0x1a;
    p = pb_write_varint(p, rows_size);
    return (size_t)(p - out);
}

/* {bulk_entries = 2 {sequence 1, max_ts 2, min_ts 3, timestamp_index 4, arrow_ipc 5}} */
static size_t bulk_head(uint8_t *out, const struct row_write *w, uint64_t sequence, uint32_t time_position, size_t ipc_size)
{
    uint8_t inside[64], *p = inside;
    *p++ = 0x08;
    p = pb_write_varint(p, sequence);
    *p++ = 0x10;
    p = pb_write_varint(p, (uint64_t)w->time_max);
    *p++ = 0x18;
    p = pb_write_varint(p, (uint64_t)w->time_min);
    *p++ = 0x20;
    p = pb_write_varint(p, time_position);
    *p++ = 0x2a;
    p = pb_write_varint(p, ipc_size);
    size_t n = (size_t)(p - inside);
    p = out;
    *p++ = 0x12;
    p = pb_write_varint(p, n + ipc_size);
    memcpy(p, inside, n);
    return (size_t)(p - out) + n;
}

/* Numbers the write and queues its record. r->lock held. */
static int number_and_queue(struct mito_region *r, const struct row_write *w, bool is_bulk, uint32_t time_position, const struct write_body *body,
                            uint8_t *head, struct iovec *iov, struct numbered *ret, struct error *err)
{
    struct numbered n = {.sequence = r->committed_sequence + 1, .entry_id = r->last_entry_id + 1};
    size_t hint_size = body->keyed && w->metadata->sparse_key ? sizeof sparse_hint : 0;
    size_t head_size = is_bulk ? bulk_head(head, w, n.sequence, time_position, body->rows.size)
                               : mutation_head(head, w->is_delete, n.sequence, body->rows.size, hint_size);
    iov[0] = (struct iovec){head, head_size};
    iov[1] = (struct iovec){(void *)body->rows.data, body->rows.size};
    iov[2] = (struct iovec){(void *)sparse_hint, hint_size};
    n.logged = r->wal_enabled && !body->unlogged;
    if (n.logged) {
        TRY(wal_enqueue(r->engine->options.wal, r->id, n.entry_id, iov, hint_size ? 3 : 2, &n.ticket, err));
        r->last_entry_id = n.entry_id;
    }
    r->committed_sequence += (uint64_t)w->n_rows;
    r->inflight++;
    n.memtable = memtable_ref(r->active);
    *ret = n;
    return ST_OK;
}

static void leave(struct mito_region *r)
{
    pthread_mutex_lock(&r->lock);
    if (--r->inflight == 0)
        pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* Logs a decoded write and puts it into the memtable. */
static int commit(struct mito_region *r, struct row_write *w, struct prepared_write *p, struct memtable *prepared_for, bool is_bulk, uint32_t time_position,
                  const struct write_body *body, bool *ret_stale, struct error *err)
{
    uint8_t head[96];
    struct iovec iov[3];
    struct numbered n;
    pthread_mutex_lock(&r->lock);
    int st = wait_writable(r, is_bulk, err);
    /* An ALTER or a flush may have come between decoding and here: then the schema or the series ids are not those of the active memtable. */
    *ret_stale = st == ST_OK && (r->active != prepared_for || r->in_doubt);
    if (st == ST_OK && !*ret_stale)
        st = number_and_queue(r, w, is_bulk, time_position, body, head, iov, &n, err);
    pthread_mutex_unlock(&r->lock);
    if (st != ST_OK || *ret_stale)
        return st;
    if (n.logged)
        st = wal_wait(r->engine->options.wal, n.ticket, err);
    if (st == ST_OK)
        st = memtable_append(n.memtable, w, p, n.sequence, is_bulk, err);
    leave(r);
    memtable_unref(n.memtable);
    return st;
}

/* The Arrow batch of a bulk insert as a row write; *ret_time_position = the time index among its columns. */
static int decode_bulk(const struct pb_field *ipc, struct region_metadata *m, struct budget *budget, struct row_write *ret_write, uint32_t *ret_time_position,
                       struct error *err)
{
    struct batch *batch;
    TRY(bulk_batch_decode(ipc, budget, &batch, err));
    int time = schema_find(batch->schema, m->columns[m->time_index].name);
    *ret_time_position = time < 0 ? 0 : (uint32_t)time;
    int st = row_write_from_batch(batch, m, budget, ret_write, err);
    batch_unref(batch);
    return st;
}

static void note_written(struct mito_region *r, uint64_t bytes)
{
    pthread_mutex_lock(&r->lock);
    r->written_bytes += bytes;
    pthread_mutex_unlock(&r->lock);
}

/* Whole keys are what the metric engine sends, and what its records in the log hold: no client of the mito engine has any. */
static int refuse_keys(const struct row_write *w, bool is_bulk, struct error *err)
{
    if (w->keys_unchecked && !(is_bulk && w->metadata->sparse_key))
        return error_set(err, ST_INVALID_ARGUMENTS, "unknown column " KEY_NAME_WHOLE);
    return ST_OK;
}

static int decode(const struct write_body *body, struct region_metadata *m, struct budget *budget, bool is_delete, bool is_bulk, struct row_write *ret_write,
                  uint32_t *ret_time_position, struct error *err)
{
    if (body->keyed)
        return body->keyed->decode(body->keyed->ctx, m, budget, ret_write, err);
    int st = is_bulk ? decode_bulk(&body->rows, m, budget, ret_write, ret_time_position, err)
                     : row_write_decode(body->rows.data, body->rows.size, m, is_delete, budget, ret_write, err);
    if (st == ST_OK && (st = refuse_keys(ret_write, is_bulk, err)) != ST_OK)
        row_write_release(ret_write);
    return invalid(m->region_id, st, err);
}

/* The rows for the log of a write that came in another form. */
static int encode_keyed(const struct row_write *w, struct memtable *memtable, const struct prepared_write *p, struct dynbuf *out, struct pb_field *ret_rows,
                        struct error *err)
{
    struct key_span *keys = malloc((size_t)w->n_rows * sizeof *keys);
    if (!keys)
        return error_no_memory(err, (size_t)w->n_rows * sizeof *keys);
    memtable_keys(memtable, p, w->n_rows, keys);
    dynbuf_clear(out);
    int st = row_write_encode_rows(w, keys, out, err);
    free(keys);
    ret_rows->data = out->data;
    ret_rows->size = out->size;
    return st;
}

/* Decodes against the metadata of the active memtable and commits; repeats when that memtable was replaced meanwhile. */
static int write_region(struct mito_region *r, struct write_body *body, bool is_delete, bool is_bulk, struct dynbuf *keyed_rows, uint64_t *ret_rows,
                        struct error *err)
{
    struct mito_engine *e = r->engine;
    for (;;) {
        struct row_write w = {0};
        struct prepared_write p = {0};
        uint32_t time_position = 0;
        bool stale = false;
        if (!body->unlogged)
            TRY(mito_check_room(e, err));
        TRY(mito_wait_for_memory(e, err));
        pthread_mutex_lock(&r->lock);
        int st = wait_writable(r, is_bulk, err);
        bool doubt = r->in_doubt;
        if (st == ST_OK && doubt) {
            pthread_mutex_unlock(&r->lock);
            TRY(mito_settle(r, err));
            continue;
        }
        if (st == ST_OK && mito_is_full(e, r->active)) {
            st = mito_freeze(r, err);
            pthread_mutex_unlock(&r->lock);
            TRY(st);
            continue;
        }
        if (st == ST_OK)
            st = check_write(r, body, is_delete, err);
        struct memtable *memtable = st == ST_OK ? memtable_ref(r->active) : NULL;
        struct region_metadata *metadata = st == ST_OK ? region_metadata_ref(r->metadata) : NULL;
        pthread_mutex_unlock(&r->lock);
        if (st == ST_OK)
            st = decode(body, metadata, &e->write_budget, is_delete, is_bulk, &w, &time_position, err);
        uint64_t rows = st == ST_OK ? (uint64_t)w.n_rows : 0;
        if (st == ST_OK && rows)
            st = memtable_prepare(memtable, &w, &p, err);
        if (st == ST_OK && rows && body->keyed)
            st = encode_keyed(&w, memtable, &p, keyed_rows, &body->rows, err);
        if (st == ST_OK && rows)
            st = commit(r, &w, &p, memtable, is_bulk, time_position, body, &stale, err);
        prepared_write_release(&p);
        row_write_release(&w);
        region_metadata_unref(metadata);
        memtable_unref(memtable);
        if (st != ST_OK || !stale) {
            if (st == ST_OK) {
                const char *type[] = {is_delete ? "delete" : "put", NULL};
                metric_add(metric_child(&written_rows, type), (int64_t)rows);
                note_written(r, body->rows.size);
                *ret_rows = rows;
            }
            return st;
        }
    }
}

static int write_by_id(struct mito_engine *e, uint64_t region_id, struct message m, bool is_delete, bool is_bulk, uint64_t *ret_rows, struct error *err)
{
    struct write_body body;
    struct mito_region *r;
    TRY(read_body(m, &body, err));
    *ret_rows = 0;
    TRY(mito_region_get(e, region_id, &r, err));
    int st = body.has_rows ? write_region(r, &body, is_delete, is_bulk, NULL, ret_rows, err) : ST_OK;
    mito_region_unref(r);
    return st;
}

int mito_region_write(struct mito_engine *e, uint64_t region_id, bool is_delete, struct message write, uint64_t *ret_rows, struct error *err)
{
    return write_by_id(e, region_id, write, is_delete, false, ret_rows, err);
}

int mito_region_delete_and_flush(struct mito_engine *e, uint64_t region_id, struct message write, struct error *err)
{
    struct write_body body;
    struct mito_region *r;
    uint64_t rows;
    TRY(read_body(write, &body, err));
    body.unlogged = true;
    TRY(mito_region_get(e, region_id, &r, err));
    pthread_mutex_lock(&r->lock);
    int st = r->state == REGION_WRITABLE ? ST_OK : mito_region_wrong_state(r, "writable", err); /* a staging region is not flushed */
    pthread_mutex_unlock(&r->lock);
    if (st == ST_OK && body.has_rows)
        st = write_region(r, &body, true, false, NULL, &rows, err);
    if (st == ST_OK)
        st = mito_region_flush(r, err);
    mito_region_unref(r);
    return st;
}

int mito_region_bulk_insert(struct mito_engine *e, uint64_t region_id, struct message bulk, uint64_t *ret_rows, struct error *err)
{
    return write_by_id(e, region_id, bulk, false, true, ret_rows, err);
}

int mito_region_write_keyed(struct mito_engine *e, uint64_t region_id, const struct mito_keyed_write *write, uint64_t *ret_rows, struct error *err)
{
    enum { KEYED_ROWS_MAX = 1 << 30 };
    struct write_body body = {.has_version = write->has_version, .version = write->version, .keyed = write};
    struct mito_region *r;
    struct dynbuf rows;
    *ret_rows = 0;
    TRY(mito_region_get(e, region_id, &r, err));
    dynbuf_init(&rows, KEYED_ROWS_MAX);
    int st = write_region(r, &body, write->is_delete, false, &rows, ret_rows, err);
    dynbuf_release(&rows);
    mito_region_unref(r);
    return st;
}

/* ---- replay ---- */

static int decode_part(struct mito_region *r, const struct pb_field *part, bool is_bulk, struct replayed_rows *ret_rows, struct error *err)
{
    struct pb_reader reader = pb_inside(part);
    struct pb_field f, rows = {0};
    struct replayed_rows out = {.one_sequence = is_bulk};
    uint64_t op = OP_DELETE;
    uint32_t time_position;
    while (pb_next(&reader, &f)) {
        if (!is_bulk && f.number == 1)
            op = f.value;
        else if (f.number == (is_bulk ? 1u : 2u))
            out.sequence = f.value;
        else if (f.number == (is_bulk ? 5u : 3u) && f.wire == PB_BYTES)
            rows = f;
    }
    if (!pb_done(&reader))
        return error_set(err, ST_CORRUPT, "a WAL entry is malformed protobuf");
    if (rows.data && is_bulk)
        TRY(decode_bulk(&rows, r->metadata, &r->engine->write_budget, &out.write, &time_position, err));
    else if (rows.data)
        TRY(row_write_decode(rows.data, rows.size, r->metadata, op == OP_DELETE, &r->engine->write_budget, &out.write, err));
    int st = out.write.n_rows ? memtable_prepare(r->active, &out.write, &out.prepared, err) : ST_OK;
    if (st == ST_OK)
        *ret_rows = out;
    else
        row_write_release(&out.write);
    return st;
}

void mito_replayed_release(struct replayed *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        prepared_write_release(&r->rows[i].prepared);
        row_write_release(&r->rows[i].write);
    }
    free(r->rows);
    *r = (struct replayed){0};
}

static int decode_next_part(struct mito_region *r, const struct pb_field *part, bool is_bulk, struct replayed *out, struct error *err)
{
    if (out->n == out->room) {
        uint32_t room = out->room ? 2 * out->room : 4;
        struct replayed_rows *grown = realloc(out->rows, room * sizeof *grown);
        if (!grown)
            return error_no_memory(err, room * sizeof *grown);
        out->rows = grown;
        out->room = room;
    }
    TRY(decode_part(r, part, is_bulk, &out->rows[out->n], err));
    out->n++;
    return ST_OK;
}

int mito_replay_decode(struct mito_region *r, const struct wal_record *record, struct replayed *out, struct error *err)
{
    struct pb_reader reader = pb_reader_of(record->payload, record->size);
    struct pb_field f;
    while (pb_next(&reader, &f))
        if ((f.number == 1 || f.number == 2) && f.wire == PB_BYTES)
            TRY(decode_next_part(r, &f, f.number == 2, out, err));
    if (!pb_done(&reader))
        return error_set(err, ST_CORRUPT, "WAL entry %llu is malformed protobuf", (unsigned long long)record->entry_id);
    out->last_entry_id = record->entry_id;
    return ST_OK;
}

int mito_replay_apply(struct mito_region *r, struct replayed *replayed, uint64_t *rows_total, struct error *err)
{
    for (uint32_t i = 0; i < replayed->n; i++) {
        struct replayed_rows *rows = &replayed->rows[i];
        uint64_t n = (uint64_t)rows->write.n_rows, last = rows->sequence + n - 1;
        if (!n)
            continue;
        TRY(memtable_append(r->active, &rows->write, &rows->prepared, rows->sequence, rows->one_sequence, err));
        *rows_total += n;
        if (last > r->committed_sequence)
            r->committed_sequence = last;
    }
    if (replayed->last_entry_id > r->last_entry_id)
        r->last_entry_id = replayed->last_entry_id;
    return ST_OK;
}
