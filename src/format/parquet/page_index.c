/* Offset index and column index of a column chunk, read on demand into the caller's arena. */
#include "format/parquet/internal.h"

static int fetch(const struct parquet_source *source, int64_t offset, int32_t size, struct arena *arena, const uint8_t **ret_data, struct error *err)
{
    if (offset < 0 || size <= 0 || (uint64_t)offset > source->size_bytes || (uint64_t)size > source->size_bytes - (uint64_t)offset)
        return pq_corrupt(err, "a page index outside of the file");
    uint8_t *data = arena_alloc(arena, (size_t)size, err);
    if (!data)
        return ST_NO_MEMORY;
    *ret_data = data;
    return source->read(source->ctx, (uint64_t)offset, data, (size_t)size, err);
}

static void read_location(struct thrift_reader *r, const struct thrift_field *element, struct parquet_page_location *l)
{
    if (!thrift_enter(r, element))
        return;
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        switch (f.id) {
        case 1: l->offset = thrift_int(r, &f); break;
        case 2: l->compressed_bytes = thrift_i32(r, &f); break;
        case 3: l->first_row = thrift_int(r, &f); break;
        default: thrift_skip(r, f.type);
        }
    }
    thrift_leave(r);
}

/* Pages must lie one behind the other in the chunk and their rows ascend: everything that uses the index relies on it. */
static bool locations_good(const struct parquet_page_index *x, int64_t n_rows, uint64_t file_bytes)
{
    int64_t end = 0, row = -1;
    for (uint32_t i = 0; i < x->n_pages; i++) {
        const struct parquet_page_location *l = &x->pages[i];
        if (l->offset < end || l->compressed_bytes <= 0 || (uint64_t)l->offset > file_bytes)
            return false;
        if ((uint64_t)l->compressed_bytes > file_bytes - (uint64_t)l->offset)
            return false;
        if (l->first_row < row || l->first_row > n_rows || (i == 0 && l->first_row != 0))
            return false;
        end = l->offset + l->compressed_bytes;
        row = l->first_row;
    }
    return true;
}

int pq_read_offset_index(const struct parquet_file *f, const struct parquet_source *source, uint32_t row_group, uint32_t leaf, struct arena *arena,
                         struct parquet_page_index *ret_index, struct error *err)
{
    const struct parquet_chunk *c = &f->row_groups[row_group].chunks[leaf];
    struct parquet_page_index index = {0};
    const uint8_t *data;
    if (c->offset_index_offset > 0 && c->offset_index_bytes > 0) {
        TRY(fetch(source, c->offset_index_offset, c->offset_index_bytes, arena, &data, err));
        struct thrift_reader r = {.p = data, .end = data + c->offset_index_bytes};
        struct thrift_field element;
        for (struct thrift_field g = {0}; thrift_next(&r, &g);) {
            if (g.id != 1 || index.pages) {
                thrift_skip(&r, g.type);
                continue;
            }
            index.n_pages = thrift_list(&r, &g, &element);
            if (!(index.pages = ARENA_ARRAY(arena, index.n_pages, struct parquet_page_location, err)))
                return ST_NO_MEMORY;
            for (uint32_t i = 0; i < index.n_pages; i++)
                read_location(&r, &element, &index.pages[i]);
        }
        if (r.bad || !locations_good(&index, f->row_groups[row_group].n_rows, source->size_bytes))
            return pq_corrupt(err, "a broken offset index");
    }
    *ret_index = index;
    return ST_OK;
}

/* One list of the column index, whose lists must all have an entry for each page. */
static void read_page_list(struct thrift_reader *r, const struct thrift_field *f, struct parquet_page_index *x)
{
    struct thrift_field element;
    uint32_t n = thrift_list(r, f, &element);
    if (n != x->n_pages)
        r->bad = true;
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        struct parquet_bounds *b = &x->bounds[i];
        switch (f->id) {
        case 1:
            b->has_min = b->has_max = !thrift_element_bool(r, &element);
            break;
        case 2: b->min = thrift_bytes(r, &element, &b->min_size); break;
        case 3: b->max = thrift_bytes(r, &element, &b->max_size); break;
        case 5:
            b->null_count = thrift_int(r, &element);
            b->has_null_count = b->null_count >= 0;
            break;
        }
    }
}

int parquet_read_page_index(const struct parquet_file *f, const struct parquet_source *source, uint32_t row_group, uint32_t leaf, struct arena *arena,
                            struct parquet_page_index *ret_index, struct error *err)
{
    const struct parquet_chunk *c = &f->row_groups[row_group].chunks[leaf];
    const struct pq_node *node = &f->nodes[f->leaf_nodes[leaf]];
    struct parquet_page_index index;
    const uint8_t *data;
    unsigned seen = 0;
    TRY(pq_read_offset_index(f, source, row_group, leaf, arena, &index, err));
    if (index.n_pages > 0 && c->column_index_offset > 0 && c->column_index_bytes > 0) {
        TRY(fetch(source, c->column_index_offset, c->column_index_bytes, arena, &data, err));
        if (!(index.bounds = ARENA_ARRAY(arena, index.n_pages, struct parquet_bounds, err)))
            return ST_NO_MEMORY;
        struct thrift_reader r = {.p = data, .end = data + c->column_index_bytes};
        for (struct thrift_field g = {0}; thrift_next(&r, &g);) {
            if ((g.id >= 1 && g.id <= 3) || g.id == 5) {
                read_page_list(&r, &g, &index);
                seen |= 1u << g.id;
            } else {
                thrift_skip(&r, g.type);
            }
        }
        if (r.bad)
            return pq_corrupt(err, "a broken column index");
        index.has_bounds = (seen & 14) == 14;
        for (uint32_t i = 0; i < index.n_pages; i++)
            pq_check_bounds(node, f->leaf_ordered[leaf] && index.has_bounds, &index.bounds[i]);
    }
    *ret_index = index;
    return ST_OK;
}
