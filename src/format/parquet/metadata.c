/* Footer and page headers: Thrift bytes into the structs of parquet.h. Field numbers are those of parquet.thrift.
 *
 * Everything lives in the file's arena, so memory is charged and goes at once. Lists are sized by their count only after the reader has seen that
 * as many bytes are left; counts and depth are bounded by the footer's size.
 */
#include "format/parquet/internal.h"

#include "base/bits.h"

int pq_decode_page_header(const uint8_t *data, size_t size, struct pq_page_header *ret_header, struct error *err)
{
    struct thrift_reader r = {.p = data, .end = data + size};
    struct pq_page_header h = {.type = -1, .compressed = true, .encoding = -1, .n_values = -1, .n_rows = -1};
    for (struct thrift_field f = {0}; thrift_next(&r, &f);) {
        bool v2 = f.id == 8;
        switch (f.id) {
        case 1: h.type = thrift_i32(&r, &f); break;
        case 2: h.uncompressed_bytes = thrift_i32(&r, &f); break;
        case 3: h.compressed_bytes = thrift_i32(&r, &f); break;
        case 4: h.crc = (uint32_t)thrift_i32(&r, &f); h.has_crc = true; break;
        case 5: case 7: case 8:
            if (!thrift_enter(&r, &f))
                break;
            for (struct thrift_field g = {0}; thrift_next(&r, &g);) {
                if (g.id == 1)
                    h.n_values = thrift_i32(&r, &g);
                else if (g.id == (v2 ? 4 : 2))
                    h.encoding = thrift_i32(&r, &g);
                else if (f.id == 5 && g.id == 3)
                    h.definition_encoding = thrift_i32(&r, &g);
                else if (f.id == 5 && g.id == 4)
                    h.repetition_encoding = thrift_i32(&r, &g);
                else if (v2 && g.id == 2)
                    h.n_nulls = thrift_i32(&r, &g);
                else if (v2 && g.id == 3)
                    h.n_rows = thrift_i32(&r, &g);
                else if (v2 && g.id == 5)
                    h.definition_bytes = thrift_i32(&r, &g);
                else if (v2 && g.id == 6)
                    h.repetition_bytes = thrift_i32(&r, &g);
                else if (v2 && g.id == 7)
                    h.compressed = thrift_bool(&r, &g);
                else
                    thrift_skip(&r, g.type);
            }
            thrift_leave(&r);
            break;
        default: thrift_skip(&r, f.type);
        }
    }
    h.header_bytes = (size_t)(r.p - data);
    if (r.bad || h.compressed_bytes < 0 || h.uncompressed_bytes < 0 || (size_t)h.compressed_bytes > size - h.header_bytes)
        return pq_corrupt(err, "a broken page header");
    if (h.type != PQ_PAGE_INDEX && h.n_values < 0)
        return pq_corrupt(err, "a page header without a count of values");
    if (h.definition_bytes < 0 || h.repetition_bytes < 0 || h.n_nulls < 0)
        return pq_corrupt(err, "negative sizes in a page header");
    *ret_header = h;
    return ST_OK;
}

/* ---- statistics ---- */

static bool is_nan(const struct pq_node *node, const uint8_t *v)
{
    if (node->physical == PQ_FLOAT)
        return (load_le32(v) & 0x7fffffff) > 0x7f800000;
    if (node->physical == PQ_DOUBLE)
        return (load_le64(v) & INT64_MAX) > 0x7ff0000000000000;
    return node->physical == PQ_FIXED && node->logical == PQ_LOGICAL_FLOAT16 && (load_le16(v) & 0x7fff) > 0x7c00;
}

static bool usable(const struct pq_node *node, const uint8_t *v, uint32_t size)
{
    static const uint32_t widths[] = {1, 4, 8, 12, 4, 8};
    if (node->physical == PQ_INT96)
        return false;
    if (node->physical < PQ_BYTE_ARRAY)
        return size == widths[node->physical] && !is_nan(node, v);
    return node->physical == PQ_BYTE_ARRAY || (size == (uint32_t)node->type_length && !(size == 2 && is_nan(node, v)));
}

void pq_check_bounds(const struct pq_node *node, bool ordered, struct parquet_bounds *b)
{
    b->has_min = b->has_min && ordered && usable(node, b->min, b->min_size);
    b->has_max = b->has_max && ordered && usable(node, b->max, b->max_size);
}

/* The deprecated min and max were compared as signed numbers whatever the type. */
static bool signed_order(const struct pq_node *node)
{
    if (node->physical < PQ_INT32 || node->physical > PQ_DOUBLE || node->physical == PQ_INT96)
        return false;
    bool is_unsigned = (node->logical == PQ_LOGICAL_INTEGER && !node->is_signed) || (node->converted >= PQ_UINT_8 && node->converted <= PQ_UINT_64);
    return !is_unsigned;
}

void pq_read_statistics(struct thrift_reader *r, const struct thrift_field *field, const struct pq_node *node, bool ordered, struct parquet_bounds *b)
{
    const uint8_t *old_min = NULL, *old_max = NULL;
    uint32_t old_min_size = 0, old_max_size = 0;
    if (!thrift_enter(r, field))
        return;
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        switch (f.id) {
        case 1: old_max = thrift_bytes(r, &f, &old_max_size); break;
        case 2: old_min = thrift_bytes(r, &f, &old_min_size); break;
        case 3: b->null_count = thrift_int(r, &f); b->has_null_count = b->null_count >= 0; break;
        case 5: b->max = thrift_bytes(r, &f, &b->max_size); b->has_max = true; break;
        case 6: b->min = thrift_bytes(r, &f, &b->min_size); b->has_min = true; break;
        case 7: b->max_exact = thrift_bool(r, &f); break;
        case 8: b->min_exact = thrift_bool(r, &f); break;
        default: thrift_skip(r, f.type);
        }
    }
    thrift_leave(r);
    pq_check_bounds(node, ordered, b);
    if (!b->has_min && !b->has_max && signed_order(node)) {
        b->min = old_min;
        b->min_size = old_min_size;
        b->max = old_max;
        b->max_size = old_max_size;
        b->has_min = old_min && usable(node, old_min, old_min_size);
        b->has_max = old_max && usable(node, old_max, old_max_size);
    }
}

/* ---- schema elements ---- */

static uint8_t read_unit(struct thrift_reader *r, const struct thrift_field *field)
{
    uint8_t unit = UNIT_MILLI;
    if (!thrift_enter(r, field))
        return unit;
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        if (f.id >= 1 && f.id <= 3)
            unit = (uint8_t)(UNIT_MILLI + f.id - 1);
        thrift_skip(r, f.type);
    }
    thrift_leave(r);
    return unit;
}

static void read_logical_body(struct thrift_reader *r, const struct thrift_field *field, struct pq_node *n)
{
    if (!thrift_enter(r, field))
        return;
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        bool temporal = n->logical == PQ_LOGICAL_TIME || n->logical == PQ_LOGICAL_TIMESTAMP;
        if (n->logical == PQ_LOGICAL_DECIMAL && f.id == 1)
            n->scale = thrift_i32(r, &f);
        else if (n->logical == PQ_LOGICAL_DECIMAL && f.id == 2)
            n->precision = thrift_i32(r, &f);
        else if (temporal && f.id == 1)
            n->utc = thrift_bool(r, &f);
        else if (temporal && f.id == 2)
            n->unit = read_unit(r, &f);
        else if (n->logical == PQ_LOGICAL_INTEGER && f.id == 1)
            n->bits = (uint8_t)thrift_i32(r, &f);
        else if (n->logical == PQ_LOGICAL_INTEGER && f.id == 2)
            n->is_signed = thrift_bool(r, &f);
        else
            thrift_skip(r, f.type);
    }
    thrift_leave(r);
}

static void read_logical(struct thrift_reader *r, const struct thrift_field *field, struct pq_node *n)
{
    if (!thrift_enter(r, field))
        return;
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        n->logical = f.id >= PQ_LOGICAL_STRING && f.id <= PQ_LOGICAL_GEOGRAPHY && f.id != 9 ? f.id : PQ_LOGICAL_FOREIGN;
        read_logical_body(r, &f, n);
    }
    thrift_leave(r);
}

static int read_node(struct parquet_file *file, struct thrift_reader *r, const struct thrift_field *element, struct pq_node *n, struct error *err)
{
    uint32_t size = 0;
    const uint8_t *name = NULL;
    *n = (struct pq_node){.physical = -1, .converted = PQ_CONVERTED_NONE, .repetition = PQ_REQUIRED};
    if (!thrift_enter(r, element))
        return pq_corrupt(err, "a broken schema");
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        switch (f.id) {
        case 1: n->physical = thrift_i32(r, &f); break;
        case 2: n->type_length = thrift_i32(r, &f); break;
        case 3: n->repetition = thrift_i32(r, &f); break;
        case 4: name = thrift_bytes(r, &f, &size); break;
        case 5: n->n_children = (uint32_t)thrift_i32(r, &f); break;
        case 6: n->converted = thrift_i32(r, &f); break;
        case 7: n->scale = thrift_i32(r, &f); break;
        case 8: n->precision = thrift_i32(r, &f); break;
        case 10: read_logical(r, &f, n); break;
        default: thrift_skip(r, f.type);
        }
    }
    thrift_leave(r);
    if (r->bad || n->physical < -1 || n->physical > PQ_FIXED || n->n_children > INT32_MAX || n->repetition < 0 || n->repetition > PQ_REPEATED)
        return pq_corrupt(err, "a broken schema element");
    if (n->physical == PQ_FIXED && (n->type_length <= 0 || n->type_length > 1 << 24))
        return pq_corrupt(err, "a fixed-length column with a wrong length");
    if (n->n_children > 0)
        n->physical = -1;
    n->name = arena_copy(&file->arena, name, size, err);
    return n->name ? ST_OK : ST_NO_MEMORY;
}

static int read_nodes(struct parquet_file *file, struct thrift_reader *r, const struct thrift_field *f, struct error *err)
{
    struct thrift_field element;
    uint32_t n = thrift_list(r, f, &element);
    if (file->nodes || n == 0)
        return pq_corrupt(err, "no schema");
    file->nodes = ARENA_ARRAY(&file->arena, n, struct pq_node, err);
    if (!file->nodes)
        return ST_NO_MEMORY;
    file->n_nodes = n;
    for (uint32_t i = 0; i < n; i++)
        TRY(read_node(file, r, &element, &file->nodes[i], err));
    return ST_OK;
}

/* ---- row groups ---- */

static int64_t read_text_bytes(struct thrift_reader *r, const struct thrift_field *field)
{
    int64_t bytes = -1;
    if (!thrift_enter(r, field))
        return bytes;
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        if (f.id == 1)
            bytes = thrift_int(r, &f);
        else
            thrift_skip(r, f.type);
    }
    thrift_leave(r);
    return bytes;
}

static void read_chunk_meta(struct thrift_reader *r, const struct thrift_field *field, const struct pq_node *node, bool ordered,
                            struct parquet_chunk *c)
{
    struct thrift_field element;
    if (!thrift_enter(r, field))
        return;
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        switch (f.id) {
        case 1: c->physical_type = thrift_i32(r, &f); break;
        case 2:
            for (uint32_t n = thrift_list(r, &f, &element); n > 0 && !r->bad; n--)
                c->encodings |= 1u << (thrift_i32(r, &element) & 31);
            break;
        case 4: c->codec = thrift_i32(r, &f); break;
        case 5: c->values = thrift_int(r, &f); break;
        case 6: c->total_uncompressed_bytes = thrift_int(r, &f); break;
        case 7: c->total_compressed_bytes = thrift_int(r, &f); break;
        case 9: c->data_page_offset = thrift_int(r, &f); break;
        case 11: c->dictionary_page_offset = thrift_int(r, &f); break;
        case 12: pq_read_statistics(r, &f, node, ordered, &c->bounds); break;
        case 14: c->bloom_filter_offset = thrift_int(r, &f); break;
        case 16: c->text_bytes = read_text_bytes(r, &f); break;
        default: thrift_skip(r, f.type);
        }
    }
    thrift_leave(r);
}

static int read_chunk(struct parquet_file *file, struct thrift_reader *r, const struct thrift_field *element, uint32_t leaf, struct parquet_chunk *c,
                      struct error *err)
{
    const struct pq_node *node = &file->nodes[file->leaf_nodes[leaf]];
    bool has_meta = false, elsewhere = false;
    *c = (struct parquet_chunk){.physical_type = -1, .codec = -1, .data_page_offset = -1, .dictionary_page_offset = -1, .offset_index_offset = -1,
                                .column_index_offset = -1, .bloom_filter_offset = -1, .text_bytes = -1};
    if (!thrift_enter(r, element))
        return pq_corrupt(err, "a broken row group");
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        switch (f.id) {
        case 1: elsewhere = true; thrift_skip(r, f.type); break;
        case 3: read_chunk_meta(r, &f, node, file->leaf_ordered[leaf], c); has_meta = true; break;
        case 4: c->offset_index_offset = thrift_int(r, &f); break;
        case 5: c->offset_index_bytes = thrift_i32(r, &f); break;
        case 6: c->column_index_offset = thrift_int(r, &f); break;
        case 7: c->column_index_bytes = thrift_i32(r, &f); break;
        default: thrift_skip(r, f.type);
        }
    }
    thrift_leave(r);
    if (elsewhere && !r->bad)
        return error_set(err, ST_UNSUPPORTED, "parquet: column chunks in other files");
    if (r->bad || !has_meta || c->physical_type != node->physical || c->values < 0 || c->total_compressed_bytes < 0 || c->data_page_offset < 0)
        return pq_corrupt(err, "broken metadata of a column chunk");
    /* Old writers said 0 for "none". */
    if (c->dictionary_page_offset <= 0)
        c->dictionary_page_offset = -1;
    return ST_OK;
}

static int read_row_group(struct parquet_file *file, struct thrift_reader *r, const struct thrift_field *element, struct parquet_row_group *g,
                          struct error *err)
{
    struct thrift_field chunk;
    *g = (struct parquet_row_group){.n_rows = -1};
    if (!thrift_enter(r, element))
        return pq_corrupt(err, "a broken row group");
    for (struct thrift_field f = {0}; thrift_next(r, &f);) {
        switch (f.id) {
        case 1:
            if (thrift_list(r, &f, &chunk) != file->n_leaves || g->chunks)
                return pq_corrupt(err, "a row group whose columns are not those of the schema");
            if (!(g->chunks = ARENA_ARRAY(&file->arena, file->n_leaves, struct parquet_chunk, err)))
                return ST_NO_MEMORY;
            for (uint32_t i = 0; i < file->n_leaves; i++)
                TRY(read_chunk(file, r, &chunk, i, &g->chunks[i], err));
            break;
        case 2: g->total_byte_size = thrift_int(r, &f); break;
        case 3: g->n_rows = thrift_int(r, &f); break;
        default: thrift_skip(r, f.type);
        }
    }
    thrift_leave(r);
    if (r->bad || g->n_rows < 0 || (!g->chunks && file->n_leaves > 0))
        return pq_corrupt(err, "a broken row group");
    return ST_OK;
}

static int read_row_groups(struct parquet_file *file, struct thrift_reader *r, const struct thrift_field *f, struct error *err)
{
    struct thrift_field element;
    uint32_t n = thrift_list(r, f, &element);
    if (!(file->row_groups = ARENA_ARRAY(&file->arena, n, struct parquet_row_group, err)))
        return ST_NO_MEMORY;
    int64_t rows = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct parquet_row_group *g = &file->row_groups[i];
        TRY(read_row_group(file, r, &element, g, err));
        g->first_row = rows;
        if (__builtin_add_overflow(rows, g->n_rows, &rows))
            return pq_corrupt(err, "too many rows");
    }
    file->n_row_groups = n;
    file->n_rows = rows;
    return ST_OK;
}

static int read_kv(struct parquet_file *file, struct thrift_reader *r, const struct thrift_field *f, struct error *err)
{
    struct thrift_field element;
    uint32_t n = thrift_list(r, f, &element);
    if (!(file->kv = ARENA_ARRAY(&file->arena, n, struct kv, err)))
        return ST_NO_MEMORY;
    for (uint32_t i = 0; i < n && thrift_enter(r, &element); i++) {
        const uint8_t *key = NULL, *value = NULL;
        uint32_t key_size = 0, value_size = 0;
        for (struct thrift_field g = {0}; thrift_next(r, &g);) {
            if (g.id == 1)
                key = thrift_bytes(r, &g, &key_size);
            else if (g.id == 2)
                value = thrift_bytes(r, &g, &value_size);
            else
                thrift_skip(r, g.type);
        }
        thrift_leave(r);
        file->kv[i].key = arena_copy(&file->arena, key, key_size, err);
        file->kv[i].value = arena_copy(&file->arena, value, value_size, err);
        if (!file->kv[i].key || !file->kv[i].value)
            return ST_NO_MEMORY;
        file->n_kv = i + 1;
    }
    return ST_OK;
}

/* column_orders says whose order min_value and max_value follow; a file without the list predates them or means the types' own order. */
static void read_orders(struct parquet_file *file, struct thrift_reader *r, const struct thrift_field *f)
{
    struct thrift_field element;
    uint32_t n = thrift_list(r, f, &element);
    for (uint32_t i = 0; i < n && thrift_enter(r, &element); i++) {
        bool own = false;
        for (struct thrift_field g = {0}; thrift_next(r, &g); thrift_skip(r, g.type))
            own = own || g.id == 1;
        thrift_leave(r);
        if (i < file->n_leaves)
            file->leaf_ordered[i] = own;
    }
}

/* ---- leaves ---- */

static int count_leaves(struct parquet_file *file, uint32_t *pos, uint32_t parent, unsigned depth, struct error *err)
{
    uint32_t at = (*pos)++;
    if (at >= file->n_nodes || depth > PQ_DEPTH_MAX)
        return pq_corrupt(err, "a schema tree that is cut off or too deep");
    struct pq_node *n = &file->nodes[at];
    n->parent = parent;
    if (at > 0) {
        n->definition = (int16_t)(file->nodes[parent].definition + (n->repetition != PQ_REQUIRED));
        n->repetition_level = (int16_t)(file->nodes[parent].repetition_level + (n->repetition == PQ_REPEATED));
    }
    n->first_leaf = file->n_leaves;
    if (n->physical >= 0)
        file->n_leaves++;
    for (uint32_t i = 0; i < n->n_children; i++)
        TRY(count_leaves(file, pos, at, depth + 1, err));
    n->n_leaves = file->n_leaves - n->first_leaf;
    n->end = *pos;
    return ST_OK;
}

static const char *dotted_path(struct parquet_file *file, uint32_t leaf_node, struct error *err)
{
    size_t size = 0;
    for (uint32_t i = leaf_node; i; i = file->nodes[i].parent)
        size += strlen(file->nodes[i].name) + 1;
    char *path = arena_alloc(&file->arena, size, err);
    for (uint32_t i = leaf_node; path && i; i = file->nodes[i].parent) {
        size_t n = strlen(file->nodes[i].name);
        path[--size] = i == leaf_node ? 0 : '.';
        memcpy(path + (size -= n), file->nodes[i].name, n);
    }
    return path;
}

static int find_leaves(struct parquet_file *file, struct error *err)
{
    uint32_t pos = 0;
    if (!file->nodes || file->nodes[0].physical >= 0)
        return pq_corrupt(err, "no schema");
    TRY(count_leaves(file, &pos, 0, 0, err));
    if (pos != file->n_nodes)
        return pq_corrupt(err, "a schema with elements outside its tree");
    file->leaves = ARENA_ARRAY(&file->arena, file->n_leaves, struct parquet_leaf, err);
    file->leaf_nodes = ARENA_ARRAY(&file->arena, file->n_leaves, uint32_t, err);
    file->leaf_ordered = ARENA_ARRAY(&file->arena, file->n_leaves, bool, err);
    if (!file->leaves || !file->leaf_nodes || !file->leaf_ordered)
        return ST_NO_MEMORY;
    for (uint32_t i = 1, leaf = 0; i < file->n_nodes; i++) {
        const struct pq_node *n = &file->nodes[i];
        if (n->physical < 0)
            continue;
        const char *path = dotted_path(file, i, err);
        if (!path)
            return ST_NO_MEMORY;
        file->leaf_nodes[leaf] = i;
        file->leaf_ordered[leaf] = true;
        file->leaves[leaf++] = (struct parquet_leaf){n->definition, n->repetition_level, n->physical, n->type_length, path};
    }
    return ST_OK;
}

/* The schema is needed to read row groups, and the orders to read statistics: two passes, whatever the order of the fields. */
static int decode_footer(struct parquet_file *file, const uint8_t *data, size_t size, struct error *err)
{
    struct thrift_reader r = {.p = data, .end = data + size};
    const uint8_t *text;
    uint32_t n;
    for (struct thrift_field f = {0}; thrift_next(&r, &f);) {
        if (f.id == 2) {
            TRY(read_nodes(file, &r, &f, err));
            TRY(find_leaves(file, err));
        } else if (f.id == 7) {
            read_orders(file, &r, &f);
        } else if (f.id == 8) {
            return error_set(err, ST_UNSUPPORTED, "parquet: the file is encrypted");
        } else {
            thrift_skip(&r, f.type);
        }
    }
    if (r.bad || !file->nodes)
        return pq_corrupt(err, "a broken footer");
    r = (struct thrift_reader){.p = data, .end = data + size};
    for (struct thrift_field f = {0}; thrift_next(&r, &f);) {
        if (f.id == 4 && !file->row_groups) {
            TRY(read_row_groups(file, &r, &f, err));
        } else if (f.id == 5 && !file->kv) {
            TRY(read_kv(file, &r, &f, err));
        } else if (f.id == 6) {
            text = thrift_bytes(&r, &f, &n);
            if (!(file->created_by = arena_copy(&file->arena, text, n, err)))
                return ST_NO_MEMORY;
        } else {
            thrift_skip(&r, f.type);
        }
    }
    return r.bad ? pq_corrupt(err, "a broken footer") : ST_OK;
}

static int read_footer(struct parquet_file *file, const struct parquet_source *source, struct error *err)
{
    uint8_t tail[8], head[4];
    if (source->size_bytes < 12)
        return pq_corrupt(err, "too short for a Parquet file");
    TRY(source->read(source->ctx, source->size_bytes - 8, tail, 8, err));
    if (memcmp(tail + 4, "PARE", 4) == 0)
        return error_set(err, ST_UNSUPPORTED, "parquet: the footer is encrypted");
    TRY(source->read(source->ctx, 0, head, 4, err));
    uint32_t size = load_le32(tail);
    if (memcmp(tail + 4, "PAR1", 4) != 0 || memcmp(head, "PAR1", 4) != 0)
        return pq_corrupt(err, "no Parquet magic");
    if (size == 0 || size > source->size_bytes - 12 || size > PQ_FOOTER_MAX)
        return pq_corrupt(err, "a footer larger than the file");
    /* The arena keeps the bytes: statistics point into them. */
    uint8_t *footer = arena_alloc(&file->arena, size, err);
    if (!footer)
        return ST_NO_MEMORY;
    TRY(source->read(source->ctx, source->size_bytes - 8 - size, footer, size, err));
    return decode_footer(file, footer, size, err);
}

int parquet_open(const struct parquet_source *source, struct budget *budget, struct parquet_file **ret_file, struct error *err)
{
    struct parquet_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_no_memory(err, sizeof *file);
    file->budget = budget;
    arena_init(&file->arena, budget);
    int st = read_footer(file, source, err);
    if (st == ST_OK)
        st = pq_build_schema(file, err);
    if (st != ST_OK) {
        parquet_file_free(file);
        /* An arena without room has put the reason into err already. */
        return st == ST_NO_MEMORY && err ? (int)err->status : st;
    }
    *ret_file = file;
    return ST_OK;
}

void parquet_file_free(struct parquet_file *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->n_shapes; i++)
        field_unref(f->shapes[i].field);
    schema_unref(f->schema);
    arena_release(&f->arena);
    free(f);
}

int64_t parquet_n_rows(const struct parquet_file *f) { return f->n_rows; }
uint32_t parquet_n_row_groups(const struct parquet_file *f) { return f->n_row_groups; }
const struct parquet_row_group *parquet_row_group(const struct parquet_file *f, uint32_t i) { return &f->row_groups[i]; }
uint32_t parquet_n_leaves(const struct parquet_file *f) { return f->n_leaves; }
const struct parquet_leaf *parquet_leaf(const struct parquet_file *f, uint32_t i) { return &f->leaves[i]; }
const char *parquet_created_by(const struct parquet_file *f) { return f->created_by ? f->created_by : ""; }
struct schema *parquet_schema(const struct parquet_file *f) { return f->schema; }
size_t parquet_memory_bytes(const struct parquet_file *f) { return sizeof *f + f->arena.total_bytes; }

const char *parquet_kv(const struct parquet_file *f, const char *key)
{
    return kv_list_get(f->kv, f->n_kv, key);
}

void parquet_column_leaves(const struct parquet_file *f, uint32_t column, uint32_t *ret_first, uint32_t *ret_n)
{
    *ret_first = f->columns[column]->first_leaf;
    *ret_n = f->columns[column]->n_leaves;
}
