/* A region's scan cut into parts.
 *
 * A group of one source is cut by row groups (an SST) or by rows (a sorted part of a memtable); a group that has to be merged stays in one piece.
 * Pieces are then put together to parts of PART_ROWS rows (or as the options say) or more. A source that is cut is opened here, once; its parts share
 * what has been found out: the footer, which row groups may match, what the indexes left over. Where a cut falls depends on the data alone, so that
 * sums of floats, added up part by part, come out the same every time.
 */
#include <stdlib.h>

#include "engine/mito/scan_plan.h"

enum {
    PART_ROWS = 65536,
    PARTS_MIN = 2,  /* scans of fewer are not worth a second thread */
    WHOLES_MAX = 64 /* files held open by a plan; further ones are opened when their turn comes, and not cut */
};

struct mito_parts {
    struct scan_parts base;
    struct scan_plan *plan;
    uint32_t starts[]; /* per part, and one more: its first piece */
};

static int parts_open(struct scan_parts *base, uint32_t part, struct batch_stream **ret_stream, struct error *err)
{
    struct mito_parts *p = (struct mito_parts *)base;
    return scan_stream_new(p->plan, p->starts[part], p->starts[part + 1] - p->starts[part], ret_stream, err);
}

static void parts_free(struct scan_parts *base)
{
    struct mito_parts *p = (struct mito_parts *)base;
    scan_plan_unref(p->plan);
    free(p);
}

static const struct scan_parts_ops parts_ops = {parts_open, parts_free};

static int64_t part_rows(const struct scan_plan *p)
{
    int64_t rows = p->snapshot->engine->options.scan_part_rows;
    return rows ? rows : PART_ROWS;
}

static bool is_small(const struct scan_plan *p)
{
    int64_t rows = 0;
    for (uint32_t i = 0; i < p->n_pieces; i++)
        rows += p->pieces[i].rows;
    return p->request.limit >= 0 || rows < PARTS_MIN * part_rows(p);
}

static bool can_cut(const struct scan_plan *p, const struct scan_piece *group)
{
    const struct scan_origin *o = &p->origins[group->first];
    const struct read_request q = scan_plan_read(p, true, p->request.last_row_only, NULL);
    if (group->n != 1 || group->rows < PARTS_MIN * part_rows(p) || p->n_wholes == WHOLES_MAX)
        return false;
    return o->file ? q.n_columns + q.n_predicates > 0 && !mito_file_is_shared(o->file, q.metadata) : memtable_view_can_cut(o->view, &q);
}

/* The pieces of a lone origin. Rows that have to be deduplicated among themselves stay together. */
static int cut_group(struct scan_plan *p, const struct scan_piece *group, struct error *err)
{
    struct scan_origin *o = &p->origins[group->first];
    struct source_part *parts;
    uint32_t n;
    if (!p->wholes && !(p->wholes = malloc(WHOLES_MAX * sizeof(struct row_source *))))
        return error_no_memory(err, WHOLES_MAX * sizeof(struct row_source *));
    TRY(scan_plan_open(p, o, true, p->request.last_row_only, &p->stats, &p->wholes[p->n_wholes], err));
    struct row_source *whole = p->wholes[p->n_wholes++];
    int64_t rows = whole->unique || p->snapshot->mode == MERGE_APPEND ? part_rows(p) : INT64_MAX;
    TRY(o->file ? sst_source_cut(whole, rows, &parts, &n, err) : memtable_source_cut(whole, rows, &parts, &n, err));
    int st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < n; i++)
        st = scan_plan_add_piece(p, &(struct scan_piece){group->first, 1, parts[i].rows, whole, parts[i]}, err);
    free(parts);
    return st;
}

static int cut_groups(struct scan_plan *p, struct error *err)
{
    struct scan_piece *groups = p->pieces;
    uint32_t n = p->n_pieces;
    int st = ST_OK;
    p->pieces = NULL;
    p->n_pieces = p->pieces_room = 0;
    for (uint32_t i = 0; st == ST_OK && i < n; i++)
        st = can_cut(p, &groups[i]) ? cut_group(p, &groups[i], err) : scan_plan_add_piece(p, &groups[i], err);
    free(groups);
    return st;
}

/* Takes the plan's reference when it succeeds. */
static int make_parts(struct scan_plan *p, struct scan_parts **ret_parts, struct error *err)
{
    struct mito_parts *m = calloc(1, sizeof *m + ((size_t)p->n_pieces + 2) * sizeof *m->starts);
    bool together = is_small(p);
    int64_t rows = 0, enough = part_rows(p);
    if (!m)
        return error_no_memory(err, p->n_pieces * sizeof *m->starts);
    m->base = (struct scan_parts){.ops = &parts_ops, .n = 1, .stats = p->stats};
    m->plan = p;
    for (uint32_t i = 0; i < p->n_pieces; rows += p->pieces[i++].rows) {
        if (together || rows < enough)
            continue;
        m->starts[m->base.n++] = i;
        rows = 0;
    }
    m->starts[m->base.n] = p->n_pieces;
    *ret_parts = &m->base;
    return ST_OK;
}

int mito_table_cut(struct table *table, const struct scan_request *request, struct work_context *work, struct scan_parts **ret_parts,
                   struct error *err)
{
    struct scan_plan *p;
    TRY(scan_plan_new((struct mito_table *)table, request, work, &p, err));
    int st = is_small(p) ? ST_OK : cut_groups(p, err);
    if (st == ST_OK)
        st = make_parts(p, ret_parts, err);
    if (st != ST_OK)
        scan_plan_unref(p);
    return st;
}
