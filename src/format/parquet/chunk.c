/* Reads a column chunk page by page: finds its bytes, checks and decompresses pages, decodes levels, and picks the selected rows.
 *
 * With a selection and an offset index only the pages that hold selected rows are read; without an index the chunk is read whole and the pages in
 * between are passed over by their headers.
 */
#include "format/parquet/chunk.h"

#include "base/bits.h"
#include "base/crc32.h"

/* Bytes to read at once: pages that lie together. Rows [first_row, end_row) start and end on page borders; end_row -1 = not known. */
struct segment { uint64_t offset, size; int64_t first_row, end_row; };

/* Does any selected row lie in [start, end)? Moves past ranges that end before `start`. */
static bool selected(struct pq_chunk_reader *r, int64_t start, int64_t end)
{
    if (!r->selection)
        return true;
    while (r->range < r->selection->n && r->selection->ranges[r->range].end <= start)
        r->range++;
    return r->range < r->selection->n && r->selection->ranges[r->range].start < end;
}

/* ---- levels ---- */

static int level_bytes(struct pq_chunk_reader *r, int max, int encoding, size_t n, uint8_t *out, struct error *err)
{
    unsigned width = pq_bit_width((uint64_t)max);
    size_t used;
    bool good;
    if (encoding == PQ_BIT_PACKED) {
        used = (n * width + 7) / 8;
        good = used <= r->size && pq_bit_packed_levels(r->data, used, width, out, n);
    } else {
        used = r->size >= 4 ? (size_t)load_le32(r->data) + 4 : SIZE_MAX;
        good = used <= r->size && pq_rle_decode_u8(r->data + 4, used - 4, width, 0, out, n);
    }
    if (!good)
        return pq_corrupt(err, "broken levels");
    r->data += used;
    r->size -= used;
    return ST_OK;
}

static int check_levels(const uint8_t *levels, size_t n, int max, struct error *err)
{
    uint8_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = levels[i] > most ? levels[i] : most;
    return most > max ? pq_corrupt(err, "a level above its maximum") : ST_OK;
}

/* Room for the levels of the page; fills in r->definition and r->repetition. */
static int place_levels(struct pq_chunk_reader *r, struct error *err)
{
    size_t n = r->n_entries, bytes = 0;
    int max_d = r->leaf->max_definition, max_r = r->leaf->max_repetition;
    TRY(pq_buf_fit(&r->levels, (max_d ? n : 0) + (max_r ? n : 0) + 1, err));
    r->repetition = max_r ? r->levels.data : NULL;
    bytes += max_r ? n : 0;
    r->definition = max_d ? r->levels.data + bytes : NULL;
    return ST_OK;
}

/* Levels that are 0 or 1, eight at a time: their sum, or SIZE_MAX when one is larger. */
static size_t sum_flags(const uint8_t *levels, size_t n)
{
    size_t i = 0, sum = 0;
    uint64_t other = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t eight = load_le64(levels + i);
        other |= eight & ~UINT64_C(0x0101010101010101);
        sum += (size_t)((eight * UINT64_C(0x0101010101010101)) >> 56); /* adds up the eight bytes */
    }
    for (; i < n; i++) {
        other |= levels[i] & 0xfeu;
        sum += levels[i];
    }
    return other ? SIZE_MAX : sum;
}

static int finish_levels(struct pq_chunk_reader *r, struct error *err)
{
    size_t n = r->n_entries, count = 0;
    if (r->repetition)
        TRY(check_levels(r->repetition, n, r->leaf->max_repetition, err));
    r->n_values = n;
    if (!r->definition)
        return ST_OK;
    if (r->leaf->max_definition == 1) {
        count = sum_flags(r->definition, n);
        if (count == SIZE_MAX)
            return pq_corrupt(err, "a level above its maximum");
        r->n_values = count;
        return ST_OK;
    }
    TRY(check_levels(r->definition, n, r->leaf->max_definition, err));
    for (size_t i = 0; i < n; i++)
        count += r->definition[i] == r->leaf->max_definition;
    r->n_values = count;
    return ST_OK;
}

/* Mostly a flat page has no nulls, and its levels are one run that says so: then there is nothing to decode. */
static bool levels_say_all_valid(struct pq_chunk_reader *r)
{
    uint32_t level;
    if (r->keep_levels || r->leaf->max_repetition || r->leaf->max_definition != 1 || r->header.definition_encoding != PQ_RLE || r->size < 4)
        return false;
    size_t bytes = load_le32(r->data);
    if (bytes > r->size - 4 || !pq_rle_is_constant(r->data + 4, bytes, 1, r->n_entries, &level) || level != 1)
        return false;
    r->definition = r->repetition = NULL;
    r->n_values = r->n_entries;
    r->data += bytes + 4;
    r->size -= bytes + 4;
    return true;
}

static int levels_v1(struct pq_chunk_reader *r, struct error *err)
{
    if (levels_say_all_valid(r))
        return ST_OK;
    TRY(place_levels(r, err));
    if (r->repetition)
        TRY(level_bytes(r, r->leaf->max_repetition, r->header.repetition_encoding, r->n_entries, r->repetition, err));
    if (r->definition)
        TRY(level_bytes(r, r->leaf->max_definition, r->header.definition_encoding, r->n_entries, r->definition, err));
    return finish_levels(r, err);
}

/* ---- pages ---- */

static int decompress(struct pq_chunk_reader *r, const uint8_t *data, size_t size, size_t plain, struct error *err)
{
    if (r->chunk->codec == PARQUET_UNCOMPRESSED) {
        r->data = data;
        r->size = size;
        return size == plain ? ST_OK : pq_corrupt(err, "an uncompressed page with two sizes");
    }
    if (!pq_plausible_size(r->chunk->codec, data, size, plain))
        return pq_corrupt(err, "a page that cannot be as large as it says");
    TRY(pq_buf_fit(&r->page, plain, err));
    TRY(pq_decompress(r->codecs, r->chunk->codec, data, size, r->page.data, plain, err));
    memset(r->page.data + plain, 0, PQ_BUF_SLACK);
    r->data = r->page.data;
    r->size = plain;
    return ST_OK;
}

static int open_v1(struct pq_chunk_reader *r, const uint8_t *payload, struct error *err)
{
    TRY(decompress(r, payload, (size_t)r->header.compressed_bytes, (size_t)r->header.uncompressed_bytes, err));
    return levels_v1(r, err);
}

/* Version 2: levels are never compressed and have no length of their own. */
static int open_v2(struct pq_chunk_reader *r, const uint8_t *payload, struct error *err)
{
    const struct pq_page_header *h = &r->header;
    size_t before = (size_t)h->repetition_bytes + (size_t)h->definition_bytes;
    size_t packed = (size_t)h->compressed_bytes, plain = (size_t)h->uncompressed_bytes;
    if (before > packed || before > plain)
        return pq_corrupt(err, "levels that leave their page");
    TRY(place_levels(r, err));
    const struct { uint8_t *out; size_t size; int max; } kinds[] = {{r->repetition, (size_t)h->repetition_bytes, r->leaf->max_repetition},
                                                                    {r->definition, (size_t)h->definition_bytes, r->leaf->max_definition}};
    for (int i = 0; i < 2; i++) {
        if (kinds[i].out && !pq_rle_decode_u8(payload, kinds[i].size, pq_bit_width((uint64_t)kinds[i].max), 0, kinds[i].out, r->n_entries))
            return pq_corrupt(err, "broken levels");
        payload += kinds[i].size;
    }
    TRY(finish_levels(r, err));
    if (packed == before) { /* nothing but nulls: there is no stream to decompress */
        r->data = payload;
        r->size = 0;
        return r->n_values == 0 || r->how == PQ_CONVERT_NULL ? ST_OK : pq_corrupt(err, "a page without its values");
    }
    if (h->compressed)
        return decompress(r, payload, packed - before, plain - before, err);
    r->data = payload;
    r->size = packed - before;
    return ST_OK;
}

static int check_crc(const struct pq_page_header *h, const uint8_t *payload, struct error *err)
{
    if (h->has_crc && crc32_ieee(0, payload, (size_t)h->compressed_bytes) != h->crc)
        return pq_corrupt(err, "a page whose checksum is wrong");
    return ST_OK;
}

enum { SHORT_RANGE = 16 }; /* rows: selections whose ranges are shorter on average are read by row numbers */

static bool is_fixed(const struct pq_chunk_reader *r)
{
    return r->how != PQ_CONVERT_BYTES && r->how != PQ_CONVERT_NULL;
}

/* The part of selection range i that lies in rows [start, end), from `start` on; false past the last one. */
static bool part_of_range(const struct pq_chunk_reader *r, uint32_t i, int64_t start, int64_t end, size_t *ret_from, size_t *ret_to)
{
    if (i >= r->selection->n || r->selection->ranges[i].start >= end)
        return false;
    int64_t from = r->selection->ranges[i].start, to = r->selection->ranges[i].end;
    *ret_from = from > start ? (size_t)(from - start) : 0;
    *ret_to = to < end ? (to > start ? (size_t)(to - start) : 0) : (size_t)(end - start);
    return true;
}

static int append_whole_pick(struct pq_chunk_reader *r, struct pq_pick pick, struct error *err)
{
    uint8_t *target = NULL;
    size_t value = 0, n = pq_pick_count(&pick);
    if (is_fixed(r) && n)
        TRY(pq_out_reserve(r, n, &target, err));
    TRY(pq_decode_page_values(r, &pick, target, err));
    return pq_out_append(r, pick.first, pick.first + n, &value, err);
}

/* A flat page without nulls: values and rows are the same thing, so only what is selected is decoded. */
static int pick_dense(struct pq_chunk_reader *r, struct error *err)
{
    int64_t start = r->row, end = r->row + (int64_t)r->n_entries;
    size_t from, to, first = SIZE_MAX, last = 0, n_rows = 0, n_ranges = 0, value;
    r->row = end;
    if (!r->selection)
        return append_whole_pick(r, (struct pq_pick){0, r->n_entries, NULL, 0}, err);
    for (uint32_t i = r->range; part_of_range(r, i, start, end, &from, &to); i++) {
        if (from >= to)
            continue;
        first = first < from ? first : from;
        last = to;
        n_rows += to - from;
        n_ranges++;
    }
    if (n_rows == 0)
        return ST_OK;
    if (n_rows == last - first)
        return append_whole_pick(r, (struct pq_pick){first, n_rows, NULL, 0}, err);
    if (n_rows < n_ranges * SHORT_RANGE && !r->keep_levels) {
        TRY(pq_buf_fit(&r->picked, n_rows * sizeof(uint32_t), err));
        uint32_t *rows = (uint32_t *)(void *)r->picked.data;
        for (uint32_t i = r->range; part_of_range(r, i, start, end, &from, &to); i++)
            for (; from < to; from++)
                *rows++ = (uint32_t)(from - first);
        return append_whole_pick(r, (struct pq_pick){first, last - first, (uint32_t *)(void *)r->picked.data, n_rows}, err);
    }
    TRY(pq_decode_page_values(r, &(struct pq_pick){first, last - first, NULL, 0}, NULL, err));
    for (uint32_t i = r->range; part_of_range(r, i, start, end, &from, &to); i++) {
        value = from - first;
        if (from < to)
            TRY(pq_out_append(r, from, to, &value, err));
    }
    return ST_OK;
}

/* A flat page with nulls: entry i is row r->row + i, but its value's place is known only by counting. */
static int pick_spaced(struct pq_chunk_reader *r, struct error *err)
{
    int64_t start = r->row, end = r->row + (int64_t)r->n_entries;
    size_t value = 0, at = 0, from, to;
    r->row = end;
    TRY(pq_decode_page_values(r, &(struct pq_pick){0, r->n_values, NULL, 0}, NULL, err));
    if (!r->selection)
        return pq_out_append(r, 0, r->n_entries, &value, err);
    for (uint32_t i = r->range; part_of_range(r, i, start, end, &from, &to); i++) {
        if (from >= to)
            continue;
        for (; at < from; at++)
            value += r->definition[at] == r->leaf->max_definition;
        TRY(pq_out_append(r, from, to, &value, err));
        at = to;
    }
    return ST_OK;
}

/* Lists: a row starts at each repetition level 0. */
static int pick_repeated(struct pq_chunk_reader *r, struct error *err)
{
    size_t n = r->n_entries, i = 0, value = 0;
    if (n && r->row == 0 && r->repetition[0] != 0)
        return pq_corrupt(err, "a chunk that starts inside of a row");
    TRY(pq_decode_page_values(r, &(struct pq_pick){0, r->n_values, NULL, 0}, NULL, err));
    while (i < n) {
        size_t end = i + 1;
        bool keep = true;
        r->row += r->repetition[i] == 0;
        if (!r->selection) {
            for (; end < n; end++)
                r->row += r->repetition[end] == 0;
        } else {
            while (end < n && r->repetition[end] != 0)
                end++;
            keep = selected(r, r->row - 1, r->row);
        }
        if (keep)
            TRY(pq_out_append(r, i, end, &value, err));
        else
            for (size_t k = i; k < end; k++)
                value += r->definition[k] == r->leaf->max_definition;
        i = end;
    }
    return ST_OK;
}

static int read_data_page(struct pq_chunk_reader *r, const uint8_t *payload, struct error *err)
{
    bool v2 = r->header.type == PQ_PAGE_DATA_V2, flat = r->leaf->max_repetition == 0;
    int64_t rows = flat ? r->header.n_values : v2 ? r->header.n_rows : -1;
    r->n_entries = (size_t)r->header.n_values;
    if (flat && r->row > r->n_rows - rows)
        return pq_corrupt(err, "a column chunk with more rows than its row group");
    if (rows >= 0 && !selected(r, r->row, r->row + rows)) {
        r->row += rows;
        return ST_OK;
    }
    TRY(check_crc(&r->header, payload, err));
    TRY(v2 ? open_v2(r, payload, err) : open_v1(r, payload, err));
    if (!flat)
        return pick_repeated(r, err);
    return r->n_values == r->n_entries ? pick_dense(r, err) : pick_spaced(r, err);
}

static int read_segment(struct pq_chunk_reader *r, const struct segment *s, int64_t *entries, struct error *err)
{
    /* The page bytes are decoded in place where they are not compressed: bit unpackers may look a little past them. */
    TRY(pq_buf_fit(&r->bytes, (size_t)s->size, err));
    TRY(r->source->read(r->source->ctx, s->offset, r->bytes.data, (size_t)s->size, err));
    const uint8_t *p = r->bytes.data, *end = p + s->size;
    while (p < end && *entries < r->chunk->values && (s->end_row < 0 || r->row < s->end_row || r->leaf->max_repetition > 0)) {
        TRY(pq_decode_page_header(p, (size_t)(end - p), &r->header, err));
        const uint8_t *payload = p + r->header.header_bytes;
        p = payload + r->header.compressed_bytes;
        switch (r->header.type) {
        case PQ_PAGE_DICTIONARY:
            TRY(check_crc(&r->header, payload, err));
            TRY(decompress(r, payload, (size_t)r->header.compressed_bytes, (size_t)r->header.uncompressed_bytes, err));
            TRY(pq_read_dictionary(r, err));
            break;
        case PQ_PAGE_DATA: case PQ_PAGE_DATA_V2:
            *entries += r->header.n_values;
            TRY(read_data_page(r, payload, err));
            break;
        default: /* index pages and what may come after them hold no values */
            break;
        }
    }
    return ST_OK;
}

/* ---- which bytes ---- */

static int64_t chunk_start(const struct parquet_chunk *c)
{
    return c->dictionary_page_offset >= 0 && c->dictionary_page_offset < c->data_page_offset ? c->dictionary_page_offset : c->data_page_offset;
}

/* Parquet-mr before 1.2.9 left the dictionary page's header out of the chunk's size. */
static bool forgets_header(const char *created_by)
{
    const char *version = created_by ? strstr(created_by, "version ") : NULL;
    if (!created_by || strncmp(created_by, "parquet-mr", 10) != 0)
        return false;
    return !version || (strncmp(version, "version 1.", 10) == 0 && version[10] >= '0' && version[10] <= '2' && version[11] == '.');
}

static int read_whole(struct pq_chunk_reader *r, struct error *err)
{
    struct segment s = {(uint64_t)chunk_start(r->chunk), (uint64_t)r->chunk->total_compressed_bytes, 0, -1};
    int64_t entries = 0;
    if (s.offset > r->source->size_bytes || s.size > r->source->size_bytes - s.offset)
        return pq_corrupt(err, "a column chunk outside of the file");
    uint64_t behind = r->source->size_bytes - s.offset - s.size;
    if (forgets_header(r->file->created_by))
        s.size += behind < 100 ? behind : 100;
    TRY(read_segment(r, &s, &entries, err));
    if (entries != r->chunk->values || r->row != r->n_rows)
        return error_set(err, ST_CORRUPT, "parquet: column %s has not as many values as its row group", r->leaf->path);
    return ST_OK;
}

/* The pages must lie inside of the chunk; else the index is of no use. */
static bool index_fits(const struct pq_chunk_reader *r, const struct parquet_page_index *x)
{
    int64_t start = chunk_start(r->chunk), end;
    if (x->n_pages == 0 || __builtin_add_overflow(start, r->chunk->total_compressed_bytes, &end))
        return false;
    const struct parquet_page_location *last = &x->pages[x->n_pages - 1];
    return x->pages[0].offset >= start && last->offset + last->compressed_bytes <= end;
}

static int read_pages(struct pq_chunk_reader *r, const struct parquet_page_index *x, struct error *err)
{
    int64_t entries = 0;
    uint64_t start = (uint64_t)chunk_start(r->chunk), first = (uint64_t)x->pages[0].offset;
    if (start < first) {
        struct segment dictionary = {start, first - start, 0, -1};
        TRY(read_segment(r, &dictionary, &entries, err));
        if (entries != 0)
            return pq_corrupt(err, "data pages before the first page of the offset index");
    }
    for (uint32_t i = 0; i < x->n_pages;) {
        struct segment s = {(uint64_t)x->pages[i].offset, 0, x->pages[i].first_row, -1};
        uint32_t k = i, range = r->range;
        for (; k < x->n_pages; k++) {
            s.end_row = k + 1 < x->n_pages ? x->pages[k + 1].first_row : r->n_rows;
            if (!selected(r, x->pages[k].first_row, s.end_row) || (k > i && (uint64_t)x->pages[k].offset != s.offset + s.size))
                break;
            s.size += (uint64_t)x->pages[k].compressed_bytes;
        }
        if (k == i) {
            i++;
            continue;
        }
        s.end_row = k < x->n_pages ? x->pages[k].first_row : r->n_rows;
        r->range = range; /* looking ahead has moved it */
        r->row = s.first_row;
        entries = 0;
        TRY(read_segment(r, &s, &entries, err));
        if (r->row != s.end_row)
            return pq_corrupt(err, "an offset index that does not match its pages");
        i = k;
    }
    return ST_OK;
}

enum { CHUNK_BUFS = 15 };

/* Those that the result does not own. */
static void own_bufs(struct pq_chunk_reader *r, struct pq_buf *ret_bufs[CHUNK_BUFS])
{
    struct pq_buf *const bufs[CHUNK_BUFS] = {&r->bytes, &r->page, &r->levels, &r->dense, &r->picked, &r->scratch, &r->lengths, &r->strings, &r->slices,
                                             &r->codes, &r->valid, &r->dictionary_page, &r->dictionary_values, &r->dictionary_slices,
                                             &r->dictionary_strings};
    memcpy(ret_bufs, bufs, sizeof bufs);
}

int pq_chunk_read(struct pq_chunk_reader *r, uint32_t row_group, uint32_t leaf, struct error *err)
{
    struct pq_buf *bufs[CHUNK_BUFS];
    own_bufs(r, bufs);
    for (size_t i = 0; i < CHUNK_BUFS; i++)
        pq_buf_init(bufs[i], r->budget);
    pq_buf_init(&r->out.definition, r->budget);
    pq_buf_init(&r->out.repetition, r->budget);
    r->leaf = &r->file->leaves[leaf];
    r->chunk = &r->file->row_groups[row_group].chunks[leaf];
    r->n_rows = r->file->row_groups[row_group].n_rows;
    r->how = pq_conversion_of(r->leaf, type_values(r->type));
    if (r->how == PQ_CONVERT_NONE)
        return error_set(err, ST_INVALID_ARGUMENTS, "parquet: column %s cannot be read as the wanted type", r->leaf->path);
    r->physical_width = pq_physical_width(r->leaf);
    r->width = r->how == PQ_CONVERT_BOOL ? 1 : (uint32_t)type_width(type_values(r->type));
    r->as_codes = r->as_codes && r->how == PQ_CONVERT_BYTES;
    if (r->selection && r->chunk->offset_index_offset > 0) {
        struct arena arena;
        struct parquet_page_index index;
        arena_init(&arena, r->budget);
        int st = pq_read_offset_index(r->file, r->source, row_group, leaf, &arena, &index, err);
        bool use = st == ST_OK && index_fits(r, &index);
        if (use)
            st = read_pages(r, &index, err);
        arena_release(&arena);
        if (st != ST_OK || use)
            return st == ST_NO_MEMORY && err ? (int)err->status : st;
    }
    return read_whole(r, err);
}

void pq_chunk_release(struct pq_chunk_reader *r)
{
    struct pq_buf *bufs[CHUNK_BUFS];
    own_bufs(r, bufs);
    for (size_t i = 0; i < CHUNK_BUFS; i++)
        pq_buf_release(bufs[i]);
    pq_out_release(&r->out);
}
