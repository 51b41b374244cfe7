/* The picker of time-window compaction (mito-engine.md 6.2).
 *
 * Files fall into windows by their newest row. In a window, files of one sequence are one group (the outputs of one job); groups that do not overlap in
 * time form sorted runs. Several runs: the two that are cheapest to merge are merged where they overlap. One run: neighbours are merged once there are
 * enough of them.
 *
 * Invariant: a merge keeps who wins. Its output carries the newest sequence of its inputs, so a file outside of the merge whose sequence lies between
 * those of the inputs, and that overlaps an older one of them, would lose against rows that it has replaced. Such files are taken into the merge, too, from
 * whatever window (the peer leaves them out).
 */
#include <stdlib.h>
#include <string.h>

#include "engine/mito/compact_pick.h"

enum { FAN_IN_MAX = 32, PROBED_MAX = 100 };

struct group { /* the files of one sequence in one window */
    int64_t window, time_min, time_max;
    uint64_t sequence, size_bytes;
    uint32_t first, n_files; /* in `order` */
    uint32_t run;            /* from 1 */
    bool hit;
};

struct picker {
    const struct pick_file *files;
    uint32_t n_files;
    const struct pick_options *options;
    int64_t window_seconds;
    int64_t *window;        /* of each file */
    uint32_t *order;        /* files by window, sequence */
    bool *taken, *chosen;   /* by an earlier merge; by the one in the making, whose members are */
    uint32_t *members, n_members;
    struct group *groups;   /* of the window at hand */
    uint32_t n_groups;
    struct group **sorted, **picked, **probe; /* n_files entries each */
    uint32_t n_picked;
    struct pick_result result;
};

/* ---- windows ---- */

static int64_t floor_seconds(int64_t value, enum time_unit unit)
{
    int64_t per = units_per_second(unit);
    return value / per - (value % per < 0);
}

int64_t pick_infer_window(const struct pick_file *files, uint32_t n_files, enum time_unit unit)
{
    static const int64_t usual[] = {3600, 7200, 43200, 86400, 604800};
    int64_t min = INT64_MAX, max = INT64_MIN;
    for (uint32_t i = 0; i < n_files; i++) {
        if (files[i].level != 0)
            continue;
        int64_t low = floor_seconds(files[i].time_min, unit), high = floor_seconds(files[i].time_max, unit);
        min = low < min ? low : min;
        max = high > max ? high : max;
    }
    for (size_t i = 0; max >= min && i < sizeof usual / sizeof *usual; i++)
        if ((uint64_t)max - (uint64_t)min <= (uint64_t)usual[i])
            return usual[i];
    return 604800;
}

bool pick_expired(int64_t time_max, enum time_unit unit, int64_t ttl_ms, int64_t now_ms)
{
    return (__int128)time_max * 1000 < ((__int128)now_ms - ttl_ms) * units_per_second(unit);
}

/* The window's upper end in seconds; past the end of time there is one last window. */
static int64_t window_of(const struct pick_file *f, int64_t width, enum time_unit unit)
{
    int64_t seconds = floor_seconds(f->time_max, unit), q = seconds / width + (seconds % width > 0);
    return q > INT64_MAX / width ? INT64_MIN : q * width;
}

static int by_window_and_sequence(const void *a, const void *b, void *ctx)
{
    const struct picker *p = ctx;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (p->window[x] != p->window[y])
        return p->window[x] < p->window[y] ? -1 : 1;
    if (p->files[x].sequence != p->files[y].sequence)
        return p->files[x].sequence < p->files[y].sequence ? -1 : 1;
    return (x > y) - (x < y);
}

/* Groups of the files order[from, to), which are one window. */
static void make_groups(struct picker *p, uint32_t from, uint32_t to)
{
    p->n_groups = 0;
    for (uint32_t i = from; i < to; i++) {
        const struct pick_file *f = &p->files[p->order[i]];
        struct group *g = p->n_groups ? &p->groups[p->n_groups - 1] : NULL;
        if (!g || g->sequence != f->sequence) {
            g = &p->groups[p->n_groups++];
            *g = (struct group){p->window[p->order[i]], f->time_min, f->time_max, f->sequence, 0, i, 0, 0};
        }
        g->time_min = f->time_min < g->time_min ? f->time_min : g->time_min;
        g->time_max = f->time_max > g->time_max ? f->time_max : g->time_max;
        g->size_bytes = g->size_bytes > UINT64_MAX - f->size_bytes ? UINT64_MAX : g->size_bytes + f->size_bytes;
        g->n_files++;
    }
}

/* ---- runs ---- */

static int by_time(const void *a, const void *b)
{
    const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
    if (x->time_min != y->time_min)
        return x->time_min < y->time_min ? -1 : 1;
    if (x->time_max != y->time_max)
        return x->time_max > y->time_max ? -1 : 1;
    return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* Ranges that touch in one instant go into one run. */
static bool crosses(const struct group *a, const struct group *b)
{
    int64_t low = a->time_min > b->time_min ? a->time_min : b->time_min, high = a->time_max < b->time_max ? a->time_max : b->time_max;
    return low < high;
}

/* Gives sorted[0, n) their run numbers, from 1; returns how many. */
static uint32_t find_runs(struct picker *p, uint32_t n)
{
    uint32_t runs = 0;
    qsort(p->sorted, n, sizeof *p->sorted, by_time);
    for (uint32_t i = 0; i < n; i++)
        p->sorted[i]->run = 0;
    for (uint32_t left = n; left;) {
        const struct group *last = NULL;
        runs++;
        for (uint32_t i = 0; i < n; i++) {
            if (p->sorted[i]->run || (last && crosses(last, p->sorted[i])))
                continue;
            p->sorted[i]->run = runs;
            last = p->sorted[i];
            left--;
        }
    }
    return runs;
}

static uint64_t total_bytes(struct group *const *groups, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum = sum > UINT64_MAX - groups[i]->size_bytes ? UINT64_MAX : sum + groups[i]->size_bytes;
    return sum;
}

static int by_run_and_time(const void *a, const void *b)
{
    const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
    return x->run != y->run ? (x->run < y->run ? -1 : 1) : by_time(a, b);
}

struct run { uint32_t first, n; uint64_t size_bytes; }; /* in `sorted` */

static int by_size(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    if (x->size_bytes != y->size_bytes)
        return x->size_bytes < y->size_bytes ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* The groups of each of two runs that overlap one of the other, into p->probe. Both are in order of their beginnings. */
static uint32_t overlapping(struct picker *p, const struct run *a, const struct run *b)
{
    struct group **left = p->sorted + a->first, **right = p->sorted + b->first;
    uint32_t found = 0, skip = 0;
    for (uint32_t i = 0; i < b->n; i++)
        right[i]->hit = false;
    for (uint32_t i = 0; i < a->n; i++) {
        bool hit = false;
        while (skip < b->n && right[skip]->time_max < left[i]->time_min)
            skip++;
        for (uint32_t j = skip; j < b->n && right[j]->time_min <= left[i]->time_max; j++) {
            if (right[j]->time_max < left[i]->time_min)
                continue;
            hit = true;
            if (!right[j]->hit)
                p->probe[found++] = right[j];
            right[j]->hit = true;
        }
        if (hit)
            p->probe[found++] = left[i];
    }
    return found;
}

/* Two runs become one at the least cost: what they have in common is picked. */
static void reduce_runs(struct picker *p, uint32_t n, uint32_t n_runs, struct run *runs)
{
    uint64_t least = UINT64_MAX;
    qsort(p->sorted, n, sizeof *p->sorted, by_run_and_time);
    for (uint32_t i = 0, from = 0, to; i < n_runs; i++, from = to) {
        for (to = from; to < n && p->sorted[to]->run == i + 1;)
            to++;
        runs[i] = (struct run){from, to - from, total_bytes(p->sorted + from, to - from)};
    }
    qsort(runs, n_runs, sizeof *runs, by_size);
    for (uint32_t i = 0; i < n_runs && i < PROBED_MAX; i++) {
        for (uint32_t j = i + 1; j < n_runs && j < PROBED_MAX; j++) {
            uint32_t found = overlapping(p, &runs[i], &runs[j]);
            uint64_t cost = total_bytes(p->probe, found);
            if (cost >= least)
                continue;
            least = cost;
            p->n_picked = found;
            memcpy(p->picked, p->probe, found * sizeof *p->picked);
        }
    }
}

/* Neighbours of one run: many, of like size, and filling a file well. Of equals the oldest and fewest. */
static void merge_neighbours(struct picker *p, uint32_t n)
{
    n = n < PROBED_MAX ? n : PROBED_MAX;
    uint64_t target = p->options->output_bytes_max;
    double best = -1;
    for (uint32_t from = 0; from < n; from++) {
        uint64_t total = p->sorted[from]->size_bytes, largest = total;
        for (uint32_t to = from + 1; to < n; to++) {
            uint64_t size = p->sorted[to]->size_bytes;
            if (size > target || total > target - size)
                break;
            total += size;
            largest = size > largest ? size : largest;
            double fill = target ? (double)total / (double)target : 1, even = total ? 1 - (double)largest / (double)total : 0;
            double score = (double)(to - from) / n + 1.5 * even + (fill < 1 ? fill : 1);
            if (score <= best)
                continue;
            best = score;
            p->n_picked = to - from + 1;
            memcpy(p->picked, p->sorted + from, p->n_picked * sizeof *p->picked);
        }
    }
}

static int by_bytes(const void *a, const void *b)
{
    const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
    if (x->size_bytes != y->size_bytes)
        return x->size_bytes < y->size_bytes ? -1 : 1;
    return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

static void bound_fan_in(struct picker *p)
{
    uint32_t files = 0, kept = 0;
    for (uint32_t i = 0; i < p->n_picked; i++)
        files += p->picked[i]->n_files;
    if (files <= FAN_IN_MAX)
        return;
    qsort(p->picked, p->n_picked, sizeof *p->picked, by_bytes);
    for (files = 0; kept < p->n_picked && files + p->picked[kept]->n_files <= FAN_IN_MAX; kept++)
        files += p->picked[kept]->n_files;
    p->n_picked = kept;
}

/* ---- the merge ---- */

static bool overlap(const struct pick_file *a, const struct pick_file *b)
{
    return a->time_min <= b->time_max && b->time_min <= a->time_max;
}

/* Whether file i, outside of the merge, would lose against an older row that is in it. */
static bool would_lose(const struct picker *p, uint32_t i, uint64_t newest)
{
    if (p->files[i].sequence > newest)
        return false;
    for (uint32_t k = 0; k < p->n_members; k++) {
        const struct pick_file *member = &p->files[p->members[k]];
        if (member->sequence < p->files[i].sequence && overlap(member, &p->files[i]))
            return true;
    }
    return false;
}

/* Takes in what would lose, until nothing would. The newest sequence stays what it is. */
static void close_over_sequences(struct picker *p, uint64_t newest)
{
    for (bool grown = true; grown;) {
        grown = false;
        for (uint32_t i = 0; i < p->n_files; i++) {
            if (p->chosen[i] || !would_lose(p, i, newest))
                continue;
            grown = p->chosen[i] = true;
            p->members[p->n_members++] = i;
        }
    }
}

static int by_sequence(const void *a, const void *b, void *ctx)
{
    const struct picker *p = ctx;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (p->files[x].sequence != p->files[y].sequence)
        return p->files[x].sequence < p->files[y].sequence ? -1 : 1;
    return (x > y) - (x < y);
}

/* The oldest members of a merge that has become too wide: a prefix in sequence order is closed as the whole is. At least two sequences, whole ones. */
static uint32_t oldest_part(const struct picker *p)
{
    uint32_t n = 0, sequences = 0;
    for (uint32_t to; n < p->n_members; n = to) {
        for (to = n; to < p->n_members && p->files[p->members[to]].sequence == p->files[p->members[n]].sequence;)
            to++;
        if (to > FAN_IN_MAX && sequences >= 2)
            break;
        sequences++;
    }
    return n;
}

/* Nothing but the members overlaps the time range of the output. */
static bool covers_all(const struct picker *p)
{
    struct pick_file range = {.time_min = INT64_MAX, .time_max = INT64_MIN};
    for (uint32_t i = 0; i < p->n_members; i++) {
        const struct pick_file *f = &p->files[p->members[i]];
        range.time_min = f->time_min < range.time_min ? f->time_min : range.time_min;
        range.time_max = f->time_max > range.time_max ? f->time_max : range.time_max;
    }
    for (uint32_t i = 0; i < p->n_files; i++)
        if (!p->chosen[i] && overlap(&p->files[i], &range))
            return false;
    return true;
}

/* What was picked, and what must come along, as members in sequence order. */
static void gather_members(struct picker *p)
{
    uint64_t newest = 0;
    memset(p->chosen, 0, p->n_files * sizeof *p->chosen);
    p->n_members = 0;
    for (uint32_t i = 0; i < p->n_picked; i++) {
        newest = p->picked[i]->sequence > newest ? p->picked[i]->sequence : newest;
        for (uint32_t k = 0; k < p->picked[i]->n_files; k++) {
            uint32_t file = p->order[p->picked[i]->first + k];
            p->chosen[file] = true;
            p->members[p->n_members++] = file;
        }
    }
    if (!p->options->append)
        close_over_sequences(p, newest);
    qsort_r(p->members, p->n_members, sizeof *p->members, by_sequence, p);
    for (uint32_t keep = p->n_members > FAN_IN_MAX ? oldest_part(p) : p->n_members; p->n_members > keep;)
        p->chosen[p->members[--p->n_members]] = false;
}

static int emit(struct picker *p, struct error *err)
{
    gather_members(p);
    for (uint32_t i = 0; i < p->n_members; i++)
        if (p->taken[p->members[i]])
            return ST_OK; /* an earlier merge changes it: the next pick sees what has become of it */
    struct pick_merge *grown = realloc(p->result.merges, (p->result.n_merges + 1) * sizeof *grown);
    if (!grown)
        return error_no_memory(err, sizeof *grown);
    p->result.merges = grown;
    uint32_t *files = malloc(p->n_members * sizeof *files);
    if (!files)
        return error_no_memory(err, p->n_members * sizeof *files);
    memcpy(files, p->members, p->n_members * sizeof *files);
    grown[p->result.n_merges++] = (struct pick_merge){files, p->n_members, !p->options->append && covers_all(p)};
    for (uint32_t i = 0; i < p->n_members; i++)
        p->taken[files[i]] = true;
    return ST_OK;
}

/* ---- */

static int pick_window(struct picker *p, struct run *runs, struct error *err)
{
    uint32_t n = 0;
    p->n_picked = 0;
    for (uint32_t i = 0; i < p->n_groups; i++)
        /* In append mode a group that has reached its size gains nothing from another rewrite. */
        if (!p->options->append || p->groups[i].size_bytes <= p->options->output_bytes_max)
            p->sorted[n++] = &p->groups[i];
    uint32_t found = find_runs(p, n);
    if (found > 1)
        reduce_runs(p, n, found, runs);
    else if (found == 1 && n >= p->options->trigger_files)
        merge_neighbours(p, n);
    bound_fan_in(p);
    return p->n_picked >= 2 ? emit(p, err) : ST_OK;
}

static int pick_all(struct picker *p, struct run *runs, struct error *err)
{
    for (uint32_t i = 0; i < p->n_files; i++) {
        p->order[i] = i;
        p->window[i] = window_of(&p->files[i], p->window_seconds, p->options->unit);
    }
    qsort_r(p->order, p->n_files, sizeof *p->order, by_window_and_sequence, p);
    for (uint32_t from = 0, to; from < p->n_files && p->result.n_merges < p->options->outputs_max; from = to) {
        for (to = from; to < p->n_files && p->window[p->order[to]] == p->window[p->order[from]];)
            to++;
        make_groups(p, from, to);
        TRY(pick_window(p, runs, err));
    }
    return ST_OK;
}

int compact_pick(const struct pick_file *files, uint32_t n_files, const struct pick_options *options, struct pick_result *ret_result, struct error *err)
{
    struct picker p = {.files = files, .n_files = n_files, .options = options};
    size_t n = (size_t)n_files + 1;
    p.window_seconds = options->window_seconds > 0 ? options->window_seconds : pick_infer_window(files, n_files, options->unit);
    p.result.window_seconds = p.window_seconds;
    p.window = calloc(n, sizeof *p.window);
    p.order = calloc(2 * n, sizeof *p.order);
    p.taken = calloc(n, sizeof *p.taken);
    p.chosen = calloc(n, sizeof *p.chosen);
    p.groups = calloc(n, sizeof *p.groups);
    p.sorted = calloc(3 * n, sizeof *p.sorted);
    struct run *runs = calloc(n, sizeof *runs);
    bool room = p.window && p.order && p.taken && p.chosen && p.groups && p.sorted && runs;
    if (room) {
        p.members = p.order + n;
        p.picked = p.sorted + n;
        p.probe = p.picked + n;
    }
    int st = room ? pick_all(&p, runs, err) : error_no_memory(err, n * sizeof *p.groups);
    free(p.window);
    free(p.order);
    free(p.taken);
    free(p.chosen);
    free(p.groups);
    free(p.sorted);
    free(runs);
    if (st == ST_OK)
        *ret_result = p.result;
    else
        pick_result_release(&p.result);
    return st;
}

void pick_result_release(struct pick_result *r)
{
    for (uint32_t i = 0; i < r->n_merges; i++)
        free(r->merges[i].files);
    free(r->merges);
    *r = (struct pick_result){0};
}
