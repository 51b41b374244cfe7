/* Building maps, byte for byte as the crate does: nodes are written when no later key can reach them, and one that was written already is used again,
 * as far as a cache of 10,000 pairs remembers it. */
#include <stdlib.h>

#include "base/bits.h"
#include "format/index/fst_internal.h"

enum { CACHE_BUCKETS = 10000, CACHE_WAYS = 2, MAP_BYTES_MAX = 1 << 30 };

struct transition {
    uint64_t output, target;
    uint8_t input;
};

struct build_node {
    bool final;
    uint64_t final_output;
    struct transition *t;
    uint32_t n, room;
};

/* A node that keys still pass through: its last transition leads to the next of them. */
struct open_node {
    struct build_node node;
    bool has_last;
    uint8_t last_input;
    uint64_t last_output;
};

struct cached {
    struct build_node node;
    uint64_t address;
    bool used;
};

struct fst_builder {
    struct budget *budget;
    size_t charged;
    struct dynbuf out;
    struct open_node *open;
    size_t n_open, room_open;
    struct cached *cache;
    uint64_t last_address; /* of the node written last; 1 = none yet */
    uint64_t n_keys;
};

static int charge(struct fst_builder *b, size_t bytes, struct error *err)
{
    TRY(budget_charge(b->budget, bytes, err));
    b->charged += bytes;
    return ST_OK;
}

int fst_builder_new(struct budget *budget, struct fst_builder **ret_builder, struct error *err)
{
    struct fst_builder *b = calloc(1, sizeof *b);
    if (!b)
        return error_no_memory(err, sizeof *b);
    b->budget = budget;
    b->last_address = 1;
    dynbuf_init(&b->out, MAP_BYTES_MAX);
    int st = charge(b, CACHE_BUCKETS * CACHE_WAYS * sizeof *b->cache, err);
    b->cache = st == ST_OK ? calloc(CACHE_BUCKETS * CACHE_WAYS, sizeof *b->cache) : NULL;
    b->room_open = 64;
    b->open = b->cache ? calloc(b->room_open, sizeof *b->open) : NULL;
    uint8_t head[FST_HEADER_BYTES] = {FST_VERSION};
    if (st == ST_OK)
        st = b->open ? dynbuf_append(&b->out, head, sizeof head, err) : error_no_memory(err, sizeof *b->cache);
    b->n_open = 1;
    if (st != ST_OK) {
        fst_builder_free(b);
        return st;
    }
    *ret_builder = b;
    return ST_OK;
}

void fst_builder_free(struct fst_builder *b)
{
    if (!b)
        return;
    for (size_t i = 0; b->open && i < b->room_open; i++)
        free(b->open[i].node.t);
    for (size_t i = 0; b->cache && i < CACHE_BUCKETS * CACHE_WAYS; i++)
        free(b->cache[i].node.t);
    free(b->open);
    free(b->cache);
    dynbuf_release(&b->out);
    budget_release(b->budget, b->charged);
    free(b);
}

/* ---- writing a node ---- */

static uint32_t packed_bytes(uint64_t v)
{
    uint32_t n = 1;
    while (n < 8 && v >> (8 * n))
        n++;
    return n;
}

static int put_packed(struct dynbuf *out, uint64_t v, uint32_t n, struct error *err)
{
    uint8_t bytes[8];
    store_le64(bytes, v);
    return dynbuf_append(out, bytes, n, err);
}

static uint64_t delta_of(uint64_t start, uint64_t target)
{
    return target ? start - target : 0;
}

static uint8_t common_input(uint8_t c)
{
    const char *at = c ? strchr(fst_common_inputs, c) : NULL;
    return at ? (uint8_t)(at - fst_common_inputs + 1) : 0;
}

static int write_one(struct fst_builder *b, const struct transition *t, uint64_t start, struct error *err)
{
    uint8_t common = common_input(t->input);
    bool next = t->target == b->last_address && !t->output;
    if (!next) {
        uint32_t output_bytes = t->output ? packed_bytes(t->output) : 0, target_bytes = packed_bytes(delta_of(start, t->target));
        TRY(put_packed(&b->out, t->output, output_bytes, err));
        TRY(put_packed(&b->out, delta_of(start, t->target), target_bytes, err));
        TRY(dynbuf_append_byte(&b->out, (uint8_t)(target_bytes << 4 | output_bytes), err));
    }
    if (!common)
        TRY(dynbuf_append_byte(&b->out, t->input, err));
    return dynbuf_append_byte(&b->out, (uint8_t)((next ? 0xc0 : 0x80) | common), err);
}

static int write_any(struct fst_builder *b, const struct build_node *n, uint64_t start, struct error *err)
{
    uint32_t target_bytes = 0, output_bytes = packed_bytes(n->final_output);
    bool outputs = n->final_output != 0;
    for (uint32_t i = 0; i < n->n; i++) {
        uint32_t target = packed_bytes(delta_of(start, n->t[i].target)), output = packed_bytes(n->t[i].output);
        target_bytes = target > target_bytes ? target : target_bytes;
        output_bytes = output > output_bytes ? output : output_bytes;
        outputs |= n->t[i].output != 0;
    }
    output_bytes = outputs ? output_bytes : 0;
    if (outputs && n->final)
        TRY(put_packed(&b->out, n->final_output, output_bytes, err));
    for (uint32_t i = n->n; outputs && i-- > 0;)
        TRY(put_packed(&b->out, n->t[i].output, output_bytes, err));
    for (uint32_t i = n->n; i-- > 0;)
        TRY(put_packed(&b->out, delta_of(start, n->t[i].target), target_bytes, err));
    for (uint32_t i = n->n; i-- > 0;)
        TRY(dynbuf_append_byte(&b->out, n->t[i].input, err));
    if (n->n > FST_INDEX_FROM) {
        uint8_t index[256];
        memset(index, 255, sizeof index);
        for (uint32_t i = 0; i < n->n; i++)
            index[n->t[i].input] = (uint8_t)i;
        TRY(dynbuf_append(&b->out, index, sizeof index, err));
    }
    TRY(dynbuf_append_byte(&b->out, (uint8_t)(target_bytes << 4 | output_bytes), err));
    bool fits = n->n > 0 && n->n < 64;
    if (!fits)
        TRY(dynbuf_append_byte(&b->out, n->n == 256 ? 1 : (uint8_t)n->n, err));
    return dynbuf_append_byte(&b->out, (uint8_t)((n->final ? 0x40 : 0) | (fits ? n->n : 0)), err);
}

static bool same_node(const struct build_node *a, const struct build_node *b)
{
    if (a->final != b->final || a->final_output != b->final_output || a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->t[i].input != b->t[i].input || a->t[i].output != b->t[i].output || a->t[i].target != b->t[i].target)
            return false;
    return true;
}

static struct cached *bucket_of(struct fst_builder *b, const struct build_node *n)
{
    const uint64_t prime = 1099511628211u; /* FNV-1a, a word at a time */
    uint64_t h = 14695981039346656037u;
    h = (h ^ n->final) * prime;
    h = (h ^ n->final_output) * prime;
    for (uint32_t i = 0; i < n->n; i++) {
        h = (h ^ n->t[i].input) * prime;
        h = (h ^ n->t[i].output) * prime;
        h = (h ^ n->t[i].target) * prime;
    }
    return b->cache + CACHE_WAYS * (h % CACHE_BUCKETS);
}

static int reserve(struct fst_builder *b, struct build_node *n, uint32_t room, struct error *err)
{
    if (room <= n->room)
        return ST_OK;
    room = room < 4 ? 4 : room;
    TRY(charge(b, (room - n->room) * sizeof *n->t, err));
    struct transition *grown = realloc(n->t, room * sizeof *grown);
    if (!grown)
        return error_no_memory(err, room * sizeof *grown);
    n->t = grown;
    n->room = room;
    return ST_OK;
}

/* The address of a node, which is written unless the cache knows it. */
static int freeze(struct fst_builder *b, const struct build_node *n, uint64_t *ret_address, struct error *err)
{
    *ret_address = 0;
    if (n->final && !n->n && !n->final_output)
        return ST_OK;
    struct cached *c = bucket_of(b, n);
    bool second = c[1].used && !(c[0].used && same_node(&c[0].node, n)) && same_node(&c[1].node, n);
    bool found = second || (c[0].used && same_node(&c[0].node, n));
    if (!found || second) { /* the other of the two comes first from now on */
        struct cached other = c[1];
        c[1] = c[0];
        c[0] = other;
    }
    if (found) {
        *ret_address = c[0].address;
        return ST_OK;
    }
    uint64_t start = b->out.size;
    TRY(n->n == 1 && !n->final ? write_one(b, &n->t[0], start, err) : write_any(b, n, start, err));
    *ret_address = b->last_address = b->out.size - 1;
    c[0].used = false;
    TRY(reserve(b, &c[0].node, n->n, err));
    if (n->n)
        memcpy(c[0].node.t, n->t, n->n * sizeof *n->t);
    c[0].node.n = n->n;
    c[0].node.final = n->final;
    c[0].node.final_output = n->final_output;
    c[0].address = *ret_address;
    c[0].used = true;
    return ST_OK;
}

/* ---- keys ---- */

/* The last transition of an open node gets its target. */
static int close_last(struct fst_builder *b, struct open_node *o, uint64_t target, struct error *err)
{
    if (!o->has_last)
        return ST_OK;
    TRY(reserve(b, &o->node, o->node.n == o->node.room ? 2 * o->node.room + 1 : 0, err));
    o->node.t[o->node.n++] = (struct transition){o->last_output, target, o->last_input};
    o->has_last = false;
    return ST_OK;
}

/* Writes the open nodes behind the one at `depth`. */
static int close_behind(struct fst_builder *b, size_t depth, struct error *err)
{
    uint64_t target = 0;
    for (bool first = true; b->n_open > depth + 1; first = false) {
        struct open_node *o = &b->open[b->n_open - 1];
        if (!first)
            TRY(close_last(b, o, target, err));
        TRY(freeze(b, &o->node, &target, err));
        b->n_open--;
    }
    return close_last(b, &b->open[b->n_open - 1], target, err);
}

static int open_node(struct fst_builder *b, struct error *err)
{
    if (b->n_open == b->room_open) {
        TRY(charge(b, b->room_open * sizeof *b->open, err));
        struct open_node *grown = realloc(b->open, 2 * b->room_open * sizeof *grown);
        if (!grown)
            return error_no_memory(err, 2 * b->room_open * sizeof *grown);
        memset(grown + b->room_open, 0, b->room_open * sizeof *grown);
        b->open = grown;
        b->room_open *= 2;
    }
    struct open_node *o = &b->open[b->n_open++];
    *o = (struct open_node){.node = {.t = o->node.t, .room = o->node.room}};
    return ST_OK;
}

/* All that comes behind an open node gets `output` in front of it. */
static void push_output(struct open_node *o, uint64_t output)
{
    if (o->node.final)
        o->node.final_output += output;
    for (uint32_t i = 0; i < o->node.n; i++)
        o->node.t[i].output += output;
    if (o->has_last)
        o->last_output += output;
}

int fst_builder_add(struct fst_builder *b, const uint8_t *key, size_t size, uint64_t value, struct error *err)
{
    size_t i = 0;
    b->n_keys++;
    if (!size) {
        b->open[0].node.final = true;
        b->open[0].node.final_output = value;
        return ST_OK;
    }
    for (; i < size && i < b->n_open && b->open[i].has_last && b->open[i].last_input == key[i]; i++) {
        struct open_node *o = &b->open[i];
        uint64_t common = o->last_output < value ? o->last_output : value, rest = o->last_output - common;
        value -= common;
        o->last_output = common;
        if (rest)
            push_output(&b->open[i + 1], rest);
    }
    TRY(close_behind(b, i, err));
    for (; i < size; i++) {
        b->open[i].has_last = true;
        b->open[i].last_input = key[i];
        b->open[i].last_output = value;
        value = 0;
        TRY(open_node(b, err));
    }
    b->open[b->n_open - 1].node.final = true;
    return ST_OK;
}

int fst_builder_finish(struct fst_builder *b, struct dynbuf *out, struct error *err)
{
    uint8_t tail[FST_TAIL_BYTES];
    uint64_t root;
    TRY(close_behind(b, 0, err));
    TRY(freeze(b, &b->open[0].node, &root, err));
    store_le64(tail, b->n_keys);
    store_le64(tail + 8, root);
    TRY(dynbuf_append(&b->out, tail, 16, err));
    store_le32(tail, fst_checksum(b->out.data, b->out.size));
    TRY(dynbuf_append(&b->out, tail, 4, err));
    return dynbuf_append(out, b->out.data, b->out.size, err);
}
