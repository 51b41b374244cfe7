/* Writes to logical regions: however many tables a request is about, each physical region gets one write. */
#include <stdlib.h>

#include "arrow/ipc.h"
#include "engine/metric/metric.h"
#include "format/proto/wire.h"
#include "format/rows/bulk.h"

struct piece { /* the part of one logical region */
    struct label_rows rows;
    struct metric_physical *physical; /* one reference */
    bool has_version;
    uint64_t version;
};

static int read_piece(struct message m, uint64_t *ret_id, struct piece *ret_piece, struct error *err)
{
    struct pb_reader r = pb_reader_of(m.data, m.size);
    struct pb_field f, v;
    uint64_t id = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            id = f.value;
        } else if (f.number == 2 && f.wire == PB_BYTES) {
            ret_piece->rows.rows = f.data;
            ret_piece->rows.size = f.size;
        } else if (f.number == 3 && f.wire == PB_BYTES) {
            ret_piece->has_version = true;
            for (struct pb_reader inside = pb_inside(&f); pb_next(&inside, &v);)
                if (v.number == 1)
                    ret_piece->version = v.value;
        }
    }
    if (!pb_done(&r))
        return error_set(err, ST_INVALID_ARGUMENTS, "a write request is malformed protobuf");
    ret_piece->rows.table_id = (uint32_t)(id >> 32);
    *ret_id = id;
    return ST_OK;
}

static int no_logical(struct metric_engine *e, uint64_t id, struct error *err)
{
    if (u64_map_get(&e->physicals, id))
        return error_set(err, ST_UNSUPPORTED, "Write request to physical region is forbidden, region id: %llu", (unsigned long long)id);
    return error_set(err, ST_REGION_NOT_FOUND, "Logical region not found, region id: %llu(%u, %u)", (unsigned long long)id, (uint32_t)(id >> 32),
                     (uint32_t)id);
}

/* Finds the physical regions of all pieces under one lock. */
static int find_physicals(struct metric_engine *e, const uint64_t *ids, struct piece *pieces, size_t n, struct error *err)
{
    int st = ST_OK;
    pthread_rwlock_rdlock(&e->lock);
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        const struct metric_logical *l = u64_map_get(&e->logicals, ids[i]);
        if (!l) {
            st = no_logical(e, ids[i], err);
            break;
        }
        pieces[i].physical = l->physical;
        atomic_fetch_add(&l->physical->refs, 1);
    }
    pthread_rwlock_unlock(&e->lock);
    return st;
}

struct label_write {
    const struct label_rows *tables;
    uint32_t n;
    bool is_delete;
};

static int decode_tables(void *ctx, struct region_metadata *metadata, struct budget *budget, struct row_write *ret_write, struct error *err)
{
    const struct label_write *w = ctx;
    int st = row_write_decode_labels(w->tables, w->n, metadata, w->is_delete, budget, ret_write, err);
    if (st == ST_INVALID_ARGUMENTS) { /* of which table it is not said; nearly always there is one */
        uint32_t table = w->tables[0].table_id, number = (uint32_t)metadata->region_id;
        error_prefix(err, "Invalid request for region %llu(%u, %u), reason", (unsigned long long)table << 32 | number, table, number);
    }
    return st;
}

/* Gathers the pieces from `first` on that live in its physical region and writes them. */
static int write_group(struct metric_engine *e, bool is_delete, struct piece *pieces, bool *done, size_t first, size_t n, struct label_rows *tables,
                       uint64_t *ret_rows, struct error *err)
{
    struct label_write w = {.tables = tables, .is_delete = is_delete};
    struct mito_keyed_write write = {.decode = decode_tables, .ctx = &w, .is_delete = is_delete};
    for (size_t i = first; i < n; i++) {
        struct piece *p = &pieces[i];
        if (done[i] || p->physical != pieces[first].physical)
            continue;
        done[i] = true;
        if (p->has_version && write.has_version && p->version != write.version)
            return error_set(err, ST_INVALID_ARGUMENTS, "inconsistent partition expression versions in one request: %llu and %llu",
                             (unsigned long long)p->version, (unsigned long long)write.version);
        write.has_version |= p->has_version;
        write.version = p->has_version ? p->version : write.version;
        if (p->rows.rows)
            tables[w.n++] = p->rows;
    }
    *ret_rows = 0;
    return w.n ? mito_region_write_keyed(e->mito, pieces[first].physical->id, &write, ret_rows, err) : ST_OK;
}

int metric_write_many(struct metric_engine *e, bool is_delete, const struct message *writes, size_t n, uint64_t *ret_rows, struct error *err)
{
    struct piece *pieces = calloc(n + 1, sizeof *pieces);
    uint64_t *ids = malloc((n + 1) * sizeof *ids), total = 0;
    struct label_rows *tables = malloc((n + 1) * sizeof *tables);
    bool *done = calloc(n + 1, sizeof *done);
    int st = pieces && ids && tables && done ? ST_OK : error_no_memory(err, n * sizeof *pieces);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = read_piece(writes[i], &ids[i], &pieces[i], err);
    if (st == ST_OK)
        st = find_physicals(e, ids, pieces, n, err);
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        uint64_t rows;
        if (done[i])
            continue;
        st = write_group(e, is_delete, pieces, done, i, n, tables, &rows, err);
        total += st == ST_OK ? rows : 0;
    }
    for (size_t i = 0; pieces && i < n; i++)
        metric_physical_unref(pieces[i].physical);
    free(pieces);
    free(ids);
    free(tables);
    free(done);
    if (st == ST_OK)
        *ret_rows = total;
    return st;
}

/* ---- bulk inserts ---- */

struct bulk_write {
    const struct pb_field *ipc;
    uint32_t table_id;
    struct region_metadata *logical;
};

static int decode_bulk(void *ctx, struct region_metadata *metadata, struct budget *budget, struct row_write *ret_write, struct error *err)
{
    const struct bulk_write *w = ctx;
    struct batch *batch;
    TRY(bulk_batch_decode(w->ipc, budget, &batch, err));
    int st = row_write_from_label_batch(batch, w->table_id, w->logical, metadata, budget, ret_write, err);
    batch_unref(batch);
    return st;
}

static int bulk_logical(struct metric_engine *e, uint64_t id, const struct pb_field *ipc, const struct piece *piece, uint64_t *ret_rows,
                        struct error *err)
{
    struct metric_physical *p;
    struct bulk_write w = {.ipc = ipc, .table_id = (uint32_t)(id >> 32)};
    struct mito_keyed_write write = {.decode = decode_bulk, .ctx = &w, .has_version = piece->has_version, .version = piece->version};
    TRY(metric_metadata(e, id, &w.logical, err));
    int st = metric_logical_get(e, id, &p, NULL, NULL, err);
    if (st == ST_OK) {
        st = mito_region_write_keyed(e->mito, p->id, &write, ret_rows, err);
        metric_physical_unref(p);
    }
    region_metadata_unref(w.logical);
    return st;
}

int metric_bulk_insert(struct metric_engine *e, uint64_t id, struct message bulk, uint64_t *ret_rows, struct error *err)
{
    struct engine *m = metric_mito(e);
    struct piece piece = {0};
    uint64_t same;
    if (metric_is_physical(e, id))
        return m->ops->bulk_insert(m, id, bulk, ret_rows, err); /* comes with whole keys */
    TRY(read_piece(bulk, &same, &piece, err));
    struct pb_field ipc = {.number = 2, .wire = PB_BYTES, .data = piece.rows.rows, .size = piece.rows.size};
    *ret_rows = 0;
    return ipc.data ? bulk_logical(e, id, &ipc, &piece, ret_rows, err) : ST_OK;
}
