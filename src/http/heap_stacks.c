/* See http/heap_stacks.h.
 *
 *   heap_v2/524288                   the period: a sample each so many bytes
 *     t*: 12: 3456 [0: 0]            sums
 *   @ 0x7f12 0x55aa                  a stack, the innermost frame first; all are return addresses
 *     t*: 3: 768 [0: 0]              objects and bytes of its samples
 *     t7: ...                        the same by thread
 *   MAPPED_LIBRARIES:                and then /proc/self/maps
 */
#include "http/heap_stacks.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { WEIGHT_BITS_MAX = 40 };

struct text {
    const char *p, *end;
};

static bool take(struct text *t, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0)
        return false;
    t->p += n;
    return true;
}

static bool take_number(struct text *t, unsigned base, uint64_t *ret)
{
    const char *start = t->p;
    uint64_t n = 0;
    for (; t->p < t->end; t->p++) {
        char c = *t->p;
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
        if (digit >= base)
            break;
        if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, digit, &n))
            return false;
    }
    *ret = n;
    return t->p > start;
}

/* The rest of the line is of no interest. */
static void next_line(struct text *t)
{
    const char *newline = memchr(t->p, '\n', (size_t)(t->end - t->p));
    t->p = newline ? newline + 1 : t->end;
}

/* A large object is always sampled, of small ones one in some: each stands for all that a sample of its size had a chance of missing. */
static uint64_t weight_of(uint64_t objects, uint64_t bytes, uint64_t period)
{
    double weight = (double)bytes;
    if (objects && bytes && period > 1)
        weight /= 1 - exp(-(double)bytes / (double)objects / (double)period);
    return weight < (double)(1ull << WEIGHT_BITS_MAX) ? (uint64_t)weight : 1ull << WEIGHT_BITS_MAX;
}

static bool take_stack(struct text *t, uint64_t period, struct sampled_stack *s, uintptr_t *frames)
{
    uint64_t address, objects, bytes;
    *s = (struct sampled_stack){.frames = frames};
    while (take(t, " 0x")) {
        if (!take_number(t, 16, &address))
            return false;
        if (s->n_frames < HEAP_FRAMES_MAX)
            frames[s->n_frames++] = (uintptr_t)address;
    }
    next_line(t);
    if (!take(t, "  t*: ") || !take_number(t, 10, &objects) || !take(t, ": ") || !take_number(t, 10, &bytes))
        return false;
    next_line(t);
    if (s->n_frames)
        frames[0] -= frames[0] > 0;
    s->weight = weight_of(objects, bytes, period);
    return true;
}

static size_t count(const char *text, size_t size, const char *word)
{
    size_t n = 0, length = strlen(word);
    const char *p = text, *end = text + size;
    while ((p = memmem(p, (size_t)(end - p), word, length))) {
        p += length;
        n++;
    }
    return n;
}

static bool parse(struct text *t, struct sampled_stacks *s)
{
    uint64_t period;
    size_t used = 0;
    if (!take(t, "heap_v2/") || !take_number(t, 10, &period))
        return false;
    for (next_line(t); t->p < t->end && !take(t, "MAPPED_LIBRARIES:");) {
        if (!take(t, "@")) {
            next_line(t);
            continue;
        }
        struct sampled_stack *stack = &s->list[s->n];
        if (!take_stack(t, period, stack, s->words + used))
            return false;
        used += stack->n_frames;
        s->n += stack->weight > 0 && stack->n_frames > 0;
    }
    return true;
}

int heap_stacks_parse(const char *text, size_t size, struct sampled_stacks *ret_stacks, struct error *err)
{
    struct text t = {text, text + size};
    size_t n_stacks = count(text, size, "@") + 1, n_words = count(text, size, " 0x") + 1;
    struct sampled_stacks s = {.list = malloc(n_stacks * sizeof(*s.list)), .words = malloc(n_words * sizeof(*s.words))};
    int rc = !s.list || !s.words ? error_no_memory(err, n_stacks * sizeof(*s.list)) : ST_OK;
    if (rc == ST_OK && !parse(&t, &s))
        rc = error_set(err, ST_CORRUPT, "this is no heap dump of jemalloc");
    if (rc)
        sampled_stacks_release(&s);
    else
        *ret_stacks = s;
    return rc;
}
