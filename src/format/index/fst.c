/* Reading maps. The bytes are not trusted even though their checksum is right: every address is checked to lie before its parent, so that walks end,
 * and the steps of a walk are counted, as nodes that are shared can be reached on very many ways. */
#include <stdlib.h>

#include "base/bits.h"
#include "base/crc32c.h"
#include "format/index/fst_internal.h"

enum { KEY_BYTES_MAX = 1 << 16, STEPS_MAX = 1 << 26 };

const char fst_common_inputs[FST_COMMON + 1] = "te/oasripcnw.hlm-du012g=:bf3y5&_4v9678k%?xCDASFIBEjPTzRNM+LOqHG";

uint32_t fst_checksum(const uint8_t *data, size_t size)
{
    uint32_t crc = crc32c(0, data, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static int bad(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "map of index values: %s", what);
}

int fst_open(const uint8_t *data, size_t size, struct fst *ret_fst, struct error *err)
{
    if (size < FST_HEADER_BYTES + FST_TAIL_BYTES || load_le64(data) != FST_VERSION)
        return bad("no map, or of another version", err);
    if (fst_checksum(data, size - 4) != load_le32(data + size - 4))
        return bad("wrong checksum", err);
    *ret_fst = (struct fst){data, size, load_le64(data + size - FST_TAIL_BYTES), load_le64(data + size - FST_TAIL_BYTES + 8)};
    return ST_OK;
}

struct node {
    bool final, next; /* next: one transition, to the node in front of this one */
    uint64_t final_output;
    uint32_t n;
    uint32_t target_bytes, output_bytes;
    uint64_t start;                            /* of the node's first byte */
    uint8_t only;                              /* the input of a node with one transition */
    const uint8_t *inputs, *targets, *outputs; /* of transition 0; the others lie in front of it. inputs = NULL: `only` */
};

static uint64_t load_packed(const uint8_t *p, uint32_t n)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* n bytes in front of *pos, which moves there; false when the header begins before. */
static bool back(uint64_t *pos, uint64_t n)
{
    if (*pos < FST_HEADER_BYTES + n)
        return false;
    *pos -= n;
    return true;
}

static bool read_one(const struct fst *f, uint64_t pos, uint8_t state, struct node *n)
{
    n->n = 1;
    n->next = state >> 6 == 3;
    n->only = (state & 63) ? (uint8_t)fst_common_inputs[(state & 63) - 1] : 0;
    if (!(state & 63)) {
        if (!back(&pos, 1))
            return false;
        n->only = f->data[pos];
    }
    if (!n->next) {
        if (!back(&pos, 1))
            return false;
        n->target_bytes = f->data[pos] >> 4;
        n->output_bytes = f->data[pos] & 15;
        if (n->target_bytes > 8 || n->output_bytes > 8 || !back(&pos, n->target_bytes))
            return false;
        n->targets = f->data + pos;
        if (!back(&pos, n->output_bytes))
            return false;
        n->outputs = f->data + pos;
    }
    n->start = pos;
    return true;
}

static bool read_any(const struct fst *f, uint64_t pos, uint8_t state, struct node *n)
{
    n->final = state & 0x40;
    n->n = state & 63;
    if (!n->n) {
        if (!back(&pos, 1))
            return false;
        n->n = f->data[pos] == 1 ? 256 : f->data[pos];
    }
    if (!back(&pos, 1))
        return false;
    n->target_bytes = f->data[pos] >> 4;
    n->output_bytes = f->data[pos] & 15;
    if (n->target_bytes > 8 || n->output_bytes > 8)
        return false;
    if ((n->n > FST_INDEX_FROM && !back(&pos, 256)) || !back(&pos, n->n))
        return false;
    n->inputs = f->data + pos + n->n - 1;
    if (!back(&pos, (uint64_t)n->n * n->target_bytes))
        return false;
    n->targets = f->data + pos + (size_t)n->n * n->target_bytes - n->target_bytes;
    if (!back(&pos, (uint64_t)n->n * n->output_bytes))
        return false;
    n->outputs = f->data + pos + (size_t)n->n * n->output_bytes - n->output_bytes;
    if (n->final && n->output_bytes) {
        if (!back(&pos, n->output_bytes))
            return false;
        n->final_output = load_packed(f->data + pos, n->output_bytes);
    }
    n->start = pos;
    return true;
}

static bool read_node(const struct fst *f, uint64_t address, struct node *n)
{
    *n = (struct node){.final = true};
    if (!address)
        return true;
    if (address < FST_HEADER_BYTES || address >= f->size - FST_TAIL_BYTES)
        return false;
    n->final = false;
    uint8_t state = f->data[address];
    return state >> 7 ? read_one(f, address, state, n) : read_any(f, address, state, n);
}

static uint8_t input_of(const struct node *n, uint32_t i)
{
    return n->inputs ? n->inputs[-(ptrdiff_t)i] : n->only;
}

static uint64_t output_of(const struct node *n, uint32_t i)
{
    return n->output_bytes ? load_packed(n->outputs - (size_t)i * n->output_bytes, n->output_bytes) : 0;
}

/* false: the target does not lie before the node. */
static bool target_of(const struct node *n, uint32_t i, uint64_t *ret_address)
{
    uint64_t delta = n->next ? 1 : n->target_bytes ? load_packed(n->targets - (size_t)i * n->target_bytes, n->target_bytes) : 0;
    *ret_address = delta ? n->start - delta : 0;
    return delta <= n->start;
}

/* ---- walking ---- */

struct level {
    struct node node;
    uint32_t next; /* transition to follow */
    uint64_t sum;
    bool at_low, at_high; /* the key so far is the start of the bound */
};

struct walk {
    const struct fst *f;
    const struct fst_bound *low, *high;
    struct level *levels;
    uint8_t *key; /* of the way from the root: a byte for each level but the first */
    size_t depth, room;
    uint64_t steps;
};

static int push(struct walk *w, uint8_t byte, uint64_t address, uint64_t sum, bool at_low, bool at_high, struct error *err)
{
    if (w->depth == KEY_BYTES_MAX || ++w->steps > STEPS_MAX)
        return bad("too deep or too wide to walk", err);
    if (w->depth == w->room) {
        size_t room = w->room ? 2 * w->room : 64;
        struct level *grown = realloc(w->levels, room * sizeof *grown);
        uint8_t *key = grown ? realloc(w->key, room) : NULL;
        w->levels = grown ? grown : w->levels;
        if (!key)
            return error_no_memory(err, room * sizeof *grown);
        w->key = key;
        w->room = room;
    }
    if (w->depth)
        w->key[w->depth - 1] = byte;
    struct level *l = &w->levels[w->depth++];
    *l = (struct level){.sum = sum, .at_low = at_low, .at_high = at_high};
    return read_node(w->f, address, &l->node) ? ST_OK : bad("a node lies outside", err);
}

/* Whether the key that ends at the top level is between the bounds. */
static bool inside(const struct walk *w, const struct level *l)
{
    size_t size = w->depth - 1;
    if (l->at_low && (size < w->low->size || !w->low->inclusive))
        return false;
    return !(l->at_high && size == w->high->size && !w->high->inclusive);
}

/* Follows the next transition of the top level, or leaves it. */
static int step(struct walk *w, struct error *err)
{
    struct level *l = &w->levels[w->depth - 1];
    size_t at = w->depth - 1; /* of the next byte in the key */
    uint64_t target;
    if (l->next == l->node.n || (l->at_high && at == w->high->size)) {
        w->depth--;
        return ST_OK;
    }
    uint32_t i = l->next++;
    uint8_t c = input_of(&l->node, i);
    bool low = l->at_low && at < w->low->size, high = l->at_high;
    if (low && c < ((const uint8_t *)w->low->data)[at])
        return ++w->steps > STEPS_MAX ? bad("too wide to walk", err) : ST_OK;
    if (high && c > ((const uint8_t *)w->high->data)[at]) {
        w->depth--;
        return ST_OK;
    }
    if (!target_of(&l->node, i, &target))
        return bad("a node lies behind its parent", err);
    return push(w, c, target, l->sum + output_of(&l->node, i), low && c == ((const uint8_t *)w->low->data)[at],
                high && c == ((const uint8_t *)w->high->data)[at], err);
}

int fst_walk(const struct fst *f, const struct fst_bound *low, const struct fst_bound *high,
             int (*each)(void *ctx, const uint8_t *key, size_t size, uint64_t value, struct error *err), void *ctx, struct error *err)
{
    struct walk w = {.f = f, .low = low, .high = high};
    int st = push(&w, 0, f->root, 0, low->data != NULL, high->data != NULL, err);
    bool fresh = true;
    while (st == ST_OK && w.depth) {
        struct level *l = &w.levels[w.depth - 1];
        if (fresh && l->node.final && inside(&w, l))
            st = each(ctx, w.key, w.depth - 1, l->sum + l->node.final_output, err);
        size_t depth = w.depth;
        if (st == ST_OK)
            st = step(&w, err);
        fresh = w.depth > depth;
    }
    free(w.levels);
    free(w.key);
    return st;
}
