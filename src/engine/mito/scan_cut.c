/* A region's scan cut into parts.
 *
 * A group of one source is cut by row groups (an SST) or by rows (a sorted part of a memtable), a group that has to be merged by ranges of keys: each
 * of its parts merges the same range of all its sources. Pieces are then put together to parts of PART_ROWS rows (or as the options say) or more. A
 * source that is cut is opened here, once; its parts share what has been found out: the footer, which row groups may match, what the indexes left
 * over. Where a cut falls depends on the data alone, so that sums of floats, added up part by part, come out the same every time.
 */
#include <stdlib.h>

#include "engine/mito/scan_plan.h"

enum {
    PART_ROWS = 65536,
    PARTS_MIN = 2,   /* scans of fewer are not worth a second thread */
    WHOLES_MAX = 64, /* files held open by a plan; further ones are opened when their turn comes, and not cut */
    KEY_PARTS_MAX = 64,
    MERGED_SHARE = 8 /* so many times larger are parts between keys: the row groups that a cut goes through are read for both sides of it */
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
    const struct read_request q = scan_plan_read(p, true, false, NULL);
    if (group->rows < PARTS_MIN * part_rows(p) || p->n_wholes + group->n > WHOLES_MAX)
        return false;
    for (uint32_t i = 0; i < group->n; i++)
        if (o[i].file && mito_file_is_shared(o[i].file, q.metadata))
            return false;
    if (group->n > 1)
        return group->rows >= 2 * PARTS_MIN * part_rows(p);
    return o->file ? q.n_columns + q.n_predicates > 0 : memtable_view_can_cut(o->view, &q);
}

/* The pieces of an origin whose rows stand for themselves: by row groups or by rows. */
static int cut_rows(struct scan_plan *p, const struct scan_piece *group, struct row_source *whole, struct error *err)
{
    struct source_part *parts;
    uint32_t n;
    bool file = p->origins[group->first].file != NULL;
    TRY(file ? sst_source_cut(whole, part_rows(p), &parts, &n, err) : memtable_source_cut(whole, part_rows(p), &parts, &n, err));
    struct scan_part *own = ARENA_ARRAY(&p->arena, n + 1, struct scan_part, err);
    int st = own ? ST_OK : ST_NO_MEMORY;
    for (uint32_t i = 0; st == ST_OK && i < n; i++) {
        own[i] = (struct scan_part){whole, parts[i]};
        st = scan_plan_add_piece(p, &(struct scan_piece){group->first, 1, parts[i].rows, &own[i]}, err);
    }
    free(parts);
    return st;
}

/* The keys where a group is cut: those that its largest origin reaches after every so many rows. */
static uint32_t choose_keys(const struct scan_plan *p, const struct scan_piece *group, struct row_source *const *wholes, struct key_bytes *ret_keys)
{
    const struct scan_origin *o = &p->origins[group->first];
    uint32_t largest = 0;
    int64_t parts = group->rows / (part_rows(p) * MERGED_SHARE);
    for (uint32_t i = 0; i < group->n; i++) {
        largest = o[i].rows > o[largest].rows ? i : largest;
        if (o[i].file && !sst_source_has_keys(wholes[i]))
            return 0;
    }
    parts = parts > KEY_PARTS_MAX ? KEY_PARTS_MAX : parts > PARTS_MIN ? parts : PARTS_MIN;
    int64_t stride = (o[largest].rows + parts - 1) / parts;
    return o[largest].file ? sst_source_keys(wholes[largest], stride, ret_keys, KEY_PARTS_MAX)
                           : memtable_source_keys(wholes[largest], stride, ret_keys, KEY_PARTS_MAX);
}

/* The pieces of a group whose rows have to be merged: all rows of a key in one of them. */
static int cut_keys(struct scan_plan *p, const struct scan_piece *group, struct row_source *const *wholes, struct error *err)
{
    struct source_part between[KEY_PARTS_MAX + 1];
    struct key_bytes *keys = ARENA_ARRAY(&p->arena, KEY_PARTS_MAX, struct key_bytes, err);
    uint32_t n_keys = keys ? choose_keys(p, group, wholes, keys) : 0;
    struct scan_part *parts = keys ? ARENA_ARRAY(&p->arena, ((size_t)n_keys + 1) * group->n, struct scan_part, err) : NULL;
    if (!parts)
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < group->n; i++) {
        if (p->origins[group->first + i].file)
            sst_source_cut_keys(wholes[i], keys, n_keys, between);
        else
            memtable_source_cut_keys(wholes[i], keys, n_keys, between);
        for (uint32_t k = 0; k <= n_keys; k++)
            parts[i + (size_t)k * group->n] = (struct scan_part){wholes[i], between[k]};
    }
    for (uint32_t k = 0; k <= n_keys; k++) {
        struct scan_piece piece = {group->first, group->n, 0, parts + (size_t)k * group->n};
        for (uint32_t i = 0; i < group->n; i++)
            piece.rows += piece.parts[i].part.rows;
        TRY(scan_plan_add_piece(p, &piece, err));
    }
    return ST_OK;
}

static int cut_group(struct scan_plan *p, const struct scan_piece *group, struct error *err)
{
    if (!p->wholes && !(p->wholes = malloc(WHOLES_MAX * sizeof(struct row_source *))))
        return error_no_memory(err, WHOLES_MAX * sizeof(struct row_source *));
    struct row_source **wholes = p->wholes + p->n_wholes;
    bool last_rows;
    TRY(scan_plan_last_rows(p, group, &last_rows, err));
    for (uint32_t i = 0; i < group->n; i++, p->n_wholes++)
        TRY(scan_plan_open(p, &p->origins[group->first + i], group->n == 1, last_rows, &p->stats, &wholes[i], err));
    if (group->n == 1 && (wholes[0]->unique || p->snapshot->mode == MERGE_APPEND))
        return cut_rows(p, group, wholes[0], err);
    return cut_keys(p, group, wholes, err);
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
