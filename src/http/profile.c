/* See http/profile.h.
 *
 * Every address gets its name once: the distinct addresses of all stacks are sorted, and so are their distinct names. A stack is a list of places in
 * those tables from then on. Behind the first frame an address is that of the instruction after the call: the one before it is in the function that
 * called.
 */
#include "http/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/proto/wire.h"
#include "os/symbols.h"

enum { NAME_BYTES_MAX = 200, ADDRESSES_MAX = 1 << 16, PART_BYTES_MAX = 1 << 20 }; /* a whole program has some thousand addresses in its stacks */

struct names {
    uintptr_t *addresses;
    char (*of_address)[NAME_BYTES_MAX]; /* beside addresses */
    size_t n_addresses;
    const char **list; /* distinct, sorted */
    size_t n;
};

static uintptr_t address_at(const struct sampled_stack *s, uint32_t frame)
{
    return s->frames[frame] - (frame > 0);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void names_release(struct names *n)
{
    free(n->addresses);
    free(n->of_address);
    free(n->list);
}

static size_t place_of_address(const struct names *n, uintptr_t address)
{
    const uintptr_t *found = bsearch(&address, n->addresses, n->n_addresses, sizeof(address), by_address);
    return (size_t)(found - n->addresses);
}

static const char *name_at(const struct names *n, const struct sampled_stack *s, uint32_t frame)
{
    return n->of_address[place_of_address(n, address_at(s, frame))];
}

static size_t unique(void *list, size_t n, size_t size, int (*compare)(const void *, const void *))
{
    char *p = list;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!kept || compare(p + (kept - 1) * size, p + i * size) != 0)
            memmove(p + kept++ * size, p + i * size, size);
    return kept;
}

static int names_init(struct names *n, const struct sampled_stacks *profile, struct error *err)
{
    struct symbols *symbols;
    size_t total = 0;
    for (size_t i = 0; i < profile->n; i++)
        total += profile->list[i].n_frames;
    n->addresses = malloc((total + 1) * sizeof(*n->addresses));
    if (!n->addresses)
        return error_no_memory(err, total * sizeof(*n->addresses));
    for (size_t i = 0; i < profile->n; i++)
        for (uint32_t k = 0; k < profile->list[i].n_frames; k++)
            n->addresses[n->n_addresses++] = address_at(&profile->list[i], k);
    qsort(n->addresses, n->n_addresses, sizeof(*n->addresses), by_address);
    n->n_addresses = unique(n->addresses, n->n_addresses, sizeof(*n->addresses), by_address);
    if (n->n_addresses > ADDRESSES_MAX)
        return error_set(err, ST_EXHAUSTED, "a profile with more than %d addresses is not drawn", ADDRESSES_MAX);
    n->of_address = malloc((n->n_addresses + 1) * sizeof(*n->of_address));
    n->list = malloc((n->n_addresses + 1) * sizeof(*n->list));
    if (!n->of_address || !n->list)
        return error_no_memory(err, n->n_addresses * sizeof(*n->of_address));
    TRY(symbols_load(&symbols, err));
    for (size_t i = 0; i < n->n_addresses; i++) {
        symbols_name(symbols, n->addresses[i], n->of_address[i], NAME_BYTES_MAX);
        n->list[n->n++] = n->of_address[i];
    }
    symbols_free(symbols);
    qsort(n->list, n->n, sizeof(*n->list), by_text);
    n->n = unique(n->list, n->n, sizeof(*n->list), by_text);
    return ST_OK;
}

/* ---- text: a line a stack, as the peer's ---- */

static int write_text(const struct sampled_stacks *profile, const struct names *names, struct dynbuf *out, struct error *err)
{
    for (size_t i = 0; i < profile->n; i++) {
        const struct sampled_stack *s = &profile->list[i];
        for (uint32_t k = 0; k < s->n_frames; k++)
            TRY(dynbuf_printf(out, err, "FRAME: %s -> ", name_at(names, s, k)));
        TRY(dynbuf_printf(out, err, "THREAD: %s %" PRIu64 "\n", s->thread, s->weight));
    }
    return profile->dropped ? dynbuf_printf(out, err, "%" PRIu64 " samples were dropped\n", profile->dropped) : ST_OK;
}

/* ---- pprof's profile.proto; field numbers are frozen ---- */

/* The string table: these, the names of functions, the names of threads (one a stack). */
enum { STRING_NONE, STRING_TYPE, STRING_UNIT, STRING_PERIOD_TYPE, STRING_PERIOD_UNIT, STRING_THREAD, STRINGS };

static int put_value_type(struct dynbuf *out, uint32_t field, unsigned type, unsigned unit, struct error *err)
{
    uint8_t value[] = {0x08, (uint8_t)type, 0x10, (uint8_t)unit};
    return pb_put_bytes(out, field, value, sizeof(value), err);
}

static int put_sample(struct dynbuf *out, struct dynbuf *part, const struct sampled_stack *s, const struct names *names, uint64_t thread_string,
                      uint64_t period, struct error *err)
{
    uint8_t label[24], *p = label;
    dynbuf_clear(part);
    for (uint32_t k = 0; k < s->n_frames; k++)
        TRY(pb_put_uint(part, 1, place_of_address(names, address_at(s, k)) + 1, err));
    TRY(pb_put_uint(part, 2, s->weight, err));
    if (period)
        TRY(pb_put_uint(part, 2, s->weight * period, err));
    *p++ = 0x08;
    *p++ = STRING_THREAD;
    *p++ = 0x10;
    p = pb_write_varint(p, thread_string);
    if (*s->thread)
        TRY(pb_put_bytes(part, 3, label, (size_t)(p - label), err));
    return pb_put_bytes(out, 2, part->data, part->size, err);
}

static uint64_t function_of(const struct names *names, size_t address)
{
    const char *name = names->of_address[address];
    return (uint64_t)((const char **)bsearch(&name, names->list, names->n, sizeof(name), by_text) - names->list);
}

static int put_tables(struct dynbuf *out, struct dynbuf *part, const struct sampled_stacks *profile, const struct names *names,
                      const struct profile_meaning *m, struct error *err)
{
    const char *const strings[STRINGS] = {"", m->type, m->unit, m->period_type, m->period_unit, "thread"};
    uint8_t line[12];
    for (size_t i = 0; i < names->n_addresses; i++) { /* locations */
        dynbuf_clear(part);
        TRY(pb_put_uint(part, 1, i + 1, err));
        TRY(pb_put_uint(part, 3, names->addresses[i], err));
        line[0] = 0x08;
        TRY(pb_put_bytes(part, 4, line, (size_t)(pb_write_varint(line + 1, function_of(names, i) + 1) - line), err));
        TRY(pb_put_bytes(out, 4, part->data, part->size, err));
    }
    for (size_t i = 0; i < names->n; i++) { /* functions */
        dynbuf_clear(part);
        TRY(pb_put_uint(part, 1, i + 1, err));
        TRY(pb_put_uint(part, 2, STRINGS + i, err));
        TRY(pb_put_uint(part, 3, STRINGS + i, err));
        TRY(pb_put_bytes(out, 5, part->data, part->size, err));
    }
    for (size_t i = 0; i < STRINGS; i++)
        TRY(pb_put_string(out, 6, strings[i], err));
    for (size_t i = 0; i < names->n; i++)
        TRY(pb_put_string(out, 6, names->list[i], err));
    for (size_t i = 0; i < profile->n; i++)
        TRY(pb_put_string(out, 6, profile->list[i].thread, err));
    return ST_OK;
}

static int put_all(struct dynbuf *out, struct dynbuf *part, const struct sampled_stacks *profile, const struct names *names,
                   const struct profile_meaning *m, struct error *err)
{
    TRY(put_value_type(out, 1, STRING_TYPE, STRING_UNIT, err));
    if (m->period)
        TRY(put_value_type(out, 1, STRING_PERIOD_TYPE, STRING_PERIOD_UNIT, err));
    for (size_t i = 0; i < profile->n; i++)
        TRY(put_sample(out, part, &profile->list[i], names, STRINGS + names->n + i, (uint64_t)m->period, err));
    TRY(put_tables(out, part, profile, names, m, err));
    TRY(pb_put_uint(out, 9, (uint64_t)m->start_wall_ns, err));
    TRY(pb_put_uint(out, 10, (uint64_t)m->duration_ns, err));
    TRY(put_value_type(out, 11, STRING_PERIOD_TYPE, STRING_PERIOD_UNIT, err));
    return pb_put_uint(out, 12, (uint64_t)m->period, err);
}

static int write_proto(const struct sampled_stacks *profile, const struct names *names, const struct profile_meaning *m, struct dynbuf *out,
                       struct error *err)
{
    struct dynbuf part;
    dynbuf_init(&part, PART_BYTES_MAX);
    int rc = put_all(out, &part, profile, names, m, err);
    dynbuf_release(&part);
    return rc;
}

/* ---- a flame graph: callers below, callees on them, as wide as their share ---- */

enum { IMAGE_WIDTH = 1200, ROW_HEIGHT = 17, LETTER_WIDTH = 7, WIDTH_MIN_TENTHS = 1 };

struct flames {
    const struct names *names;
    const struct sampled_stack **stacks; /* sorted from the outermost frame inwards */
    size_t n;
    const char *unit;
    uint64_t total;
    uint32_t depth;
    struct dynbuf *out;
};

/* The name of the frame that stands `level` above the outermost one; the thread's name is the outermost. NULL: the stack ends before. */
static const char *level_name(const struct names *names, const struct sampled_stack *s, uint32_t level)
{
    if (level == 0)
        return *s->thread ? s->thread : "all";
    return level <= s->n_frames ? name_at(names, s, s->n_frames - level) : NULL;
}

static int from_outside(const void *a, const void *b, void *names)
{
    const struct sampled_stack *x = *(const struct sampled_stack *const *)a, *y = *(const struct sampled_stack *const *)b;
    for (uint32_t level = 0;; level++) {
        const char *p = level_name(names, x, level), *q = level_name(names, y, level);
        if (!p || !q)
            return (p != NULL) - (q != NULL);
        int order = strcmp(p, q);
        if (order)
            return order;
    }
}

static int put_escaped(struct dynbuf *out, const char *text, size_t size, struct error *err)
{
    for (size_t i = 0; i < size && text[i]; i++) {
        const char *code = text[i] == '<'                                  ? "&lt;"
                           : text[i] == '>'                                ? "&gt;"
                           : text[i] == '&'                                ? "&amp;"
                           : (unsigned char)text[i] < 32 || text[i] == 127 ? "?"
                                                                           : NULL;
        TRY(code ? dynbuf_append(out, code, strlen(code), err) : dynbuf_append(out, &text[i], 1, err));
    }
    return ST_OK;
}

static int put_box(struct flames *f, const char *name, uint32_t level, uint64_t from, uint64_t weight, struct error *err)
{
    double x = (double)from * IMAGE_WIDTH / (double)f->total, width = (double)weight * IMAGE_WIDTH / (double)f->total;
    unsigned y = (f->depth - level) * ROW_HEIGHT, shade = 0;
    for (const char *p = name; *p; p++)
        shade = shade * 31 + (unsigned char)*p;
    if (width * 10 < WIDTH_MIN_TENTHS)
        return ST_OK;
    TRY(dynbuf_printf(f->out, err, "<g><title>"));
    TRY(put_escaped(f->out, name, SIZE_MAX, err));
    TRY(dynbuf_printf(f->out, err, " (%" PRIu64 " %s, %.2f%%)</title><rect x=\"%.1f\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"rgb(%u,%u,%u)\"/>",
                      weight, f->unit, 100 * (double)weight / (double)f->total, x, y, width, ROW_HEIGHT - 1, 205 + shade % 50, 90 + shade / 50 % 120,
                      40 + shade / 6000 % 40));
    size_t letters = (size_t)(width / LETTER_WIDTH);
    if (letters > 2) {
        TRY(dynbuf_printf(f->out, err, "<text x=\"%.1f\" y=\"%u\">", x + 3, y + ROW_HEIGHT - 5));
        TRY(put_escaped(f->out, name, letters - 1, err));
        TRY(dynbuf_printf(f->out, err, "</text>"));
    }
    return dynbuf_printf(f->out, err, "</g>\n");
}

/* Stacks [low, high) are equal below `level`; `from`: how much stands to the left. */
static int put_level(struct flames *f, size_t low, size_t high, uint32_t level, uint64_t from, struct error *err)
{
    for (size_t end; low < high; low = end) {
        const char *name = level_name(f->names, f->stacks[low], level);
        uint64_t weight = 0;
        for (end = low; end < high; end++) {
            const char *other = level_name(f->names, f->stacks[end], level);
            if ((name && other) ? strcmp(name, other) != 0 : name != other)
                break;
            weight += f->stacks[end]->weight;
        }
        if (name) {
            TRY(put_box(f, name, level, from, weight, err));
            TRY(put_level(f, low, end, level + 1, from, err)); /* as deep as stacks are: CPU_PROFILE_FRAMES_MAX, HEAP_FRAMES_MAX */
        }
        from += weight;
    }
    return ST_OK;
}

static int write_flames(const struct sampled_stacks *profile, const struct names *names, const char *unit, struct dynbuf *out, struct error *err)
{
    struct flames f = {.names = names, .n = profile->n, .unit = unit, .out = out, .stacks = malloc((profile->n + 1) * sizeof(*f.stacks))};
    if (!f.stacks)
        return error_no_memory(err, f.n * sizeof(*f.stacks));
    for (size_t i = 0; i < f.n; i++) {
        f.stacks[i] = &profile->list[i];
        f.total += profile->list[i].weight;
        f.depth = profile->list[i].n_frames > f.depth ? profile->list[i].n_frames : f.depth;
    }
    qsort_r(f.stacks, f.n, sizeof(*f.stacks), from_outside, (void *)(uintptr_t)names);
    int rc =
        dynbuf_printf(out, err, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" font-family=\"monospace\" font-size=\"11\">\n",
                      IMAGE_WIDTH, (f.depth + 1) * ROW_HEIGHT);
    if (rc == ST_OK)
        rc = put_level(&f, 0, f.n, 0, 0, err);
    if (rc == ST_OK)
        rc = dynbuf_printf(out, err, "</svg>\n");
    free(f.stacks);
    return rc;
}

enum profile_form profile_form_named(const char *name)
{
    static const char *const names[PROFILE_FORMS] = {[PROFILE_PROTO] = "proto", [PROFILE_TEXT] = "text", [PROFILE_FLAMEGRAPH] = "flamegraph"};
    unsigned form = 0;
    while (form < PROFILE_FORMS && strcmp(name, names[form]) != 0)
        form++;
    return (enum profile_form)form;
}

int profile_write(const struct sampled_stacks *profile, enum profile_form form, const struct profile_meaning *meaning, struct dynbuf *out,
                  struct error *err)
{
    struct names names = {0};
    if (!profile->n)
        return ST_OK;
    int rc = names_init(&names, profile, err);
    if (rc == ST_OK)
        rc = form == PROFILE_TEXT ? write_text(profile, &names, out, err)
             : form == PROFILE_FLAMEGRAPH
                 ? write_flames(profile, &names, strcmp(meaning->unit, "count") == 0 ? meaning->type : meaning->unit, out, err)
                 : write_proto(profile, &names, meaning, out, err);
    names_release(&names);
    return rc;
}
