/* What a JSON path finds: positions in a document, step by step. Filters and predicates compare scalars; containers have no place in an order and are
 * passed over. */
#include <string.h>

#include "format/jsonb/path_internal.h"

enum { HITS_MAX = 1 << 20 };

struct hits {
    struct budget *budget;
    struct buffer *items; /* struct jsonb_item */
    size_t n;
};

static struct jsonb_item *items_of(const struct hits *h)
{
    return h->items ? (struct jsonb_item *)(void *)h->items->data : NULL;
}

static int add_hit(struct hits *h, const struct jsonb_item *item, struct error *err)
{
    if (h->n == HITS_MAX)
        return error_set(err, ST_EXHAUSTED, "a JSON path finds more than %d values", HITS_MAX);
    TRY(buffer_reserve(&h->items, h->budget, (h->n + 1) * sizeof *item, err));
    items_of(h)[h->n++] = *item;
    return ST_OK;
}

static int find(const struct path_step *steps, const struct jsonb_item *start, const struct jsonb_item *root, struct hits *ret_hits,
                struct error *err);

/* ---- conditions ---- */

static int rank_of(enum jsonb_kind kind)
{
    return kind == JSONB_NULL ? 0 : kind == JSONB_TRUE || kind == JSONB_FALSE ? 1 : kind == JSONB_NUMBER ? 2 : 3;
}

/* A value that is compared: a literal, or a scalar of the document. */
static bool as_operand(const struct jsonb_item *item, struct path_operand *ret)
{
    *ret = (struct path_operand){.literal = true, .kind = item->kind, .text = item->data, .text_size = item->size};
    return item->kind < JSONB_CONTAINER && (item->kind != JSONB_NUMBER || jsonb_number(item, &ret->number));
}

/* null < boolean < number < string. */
static int compare(const struct path_operand *a, const struct path_operand *b)
{
    int rank = rank_of(a->kind) - rank_of(b->kind);
    if (rank)
        return rank;
    if (a->kind == JSONB_NUMBER)
        return jsonb_number_compare(&a->number, &b->number);
    if (a->kind != JSONB_STRING)
        return (a->kind == JSONB_TRUE) - (b->kind == JSONB_TRUE);
    size_t n = a->text_size < b->text_size ? a->text_size : b->text_size;
    int order = n ? memcmp(a->text, b->text, n) : 0;
    return order ? order : (a->text_size > b->text_size) - (a->text_size < b->text_size);
}

static bool holds(enum path_op op, int order)
{
    switch (op) {
    case OP_EQ:
        return order == 0;
    case OP_NE:
        return order != 0;
    case OP_LT:
        return order < 0;
    case OP_LE:
        return order <= 0;
    case OP_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static int operand_values(const struct path_operand *o, const struct jsonb_item *current, const struct jsonb_item *root, struct hits *ret_hits,
                          struct error *err)
{
    return o->literal ? ST_OK : find(o->steps, o->current ? current : root, root, ret_hits, err);
}

/* Any pair will do. */
static bool any_pair(const struct path_expr *e, const struct hits *left, const struct hits *right)
{
    size_t n_left = e->a.literal ? 1 : left->n, n_right = e->b.literal ? 1 : right->n;
    for (size_t i = 0; i < n_left; i++) {
        struct path_operand a = e->a;
        if (!e->a.literal && !as_operand(&items_of(left)[i], &a))
            continue;
        for (size_t k = 0; k < n_right; k++) {
            struct path_operand b = e->b;
            if ((e->b.literal || as_operand(&items_of(right)[k], &b)) && holds(e->op, compare(&a, &b)))
                return true;
        }
    }
    return false;
}

static int eval(const struct path_expr *e, const struct jsonb_item *current, const struct jsonb_item *root, struct budget *budget, bool *ret,
                struct error *err)
{
    if (e->op == OP_AND || e->op == OP_OR) {
        TRY(eval(e->left, current, root, budget, ret, err));
        return *ret == (e->op == OP_OR) ? ST_OK : eval(e->right, current, root, budget, ret, err);
    }
    struct hits left = {.budget = budget}, right = {.budget = budget};
    int st = operand_values(&e->a, current, root, &left, err);
    if (st == ST_OK && e->op != OP_EXISTS)
        st = operand_values(&e->b, current, root, &right, err);
    if (st == ST_OK)
        *ret = e->op == OP_EXISTS ? left.n > 0 : any_pair(e, &left, &right);
    buffer_unref(left.items);
    buffer_unref(right.items);
    return st;
}

/* ---- steps ---- */

static int all_members(const struct jsonb_item *from, enum jsonb_container kind, struct hits *h, struct error *err)
{
    struct jsonb_walk walk;
    struct jsonb_item key, value;
    if (!jsonb_walk_start(from, kind, &walk))
        return ST_OK;
    while (jsonb_walk_next(&walk, &key, &value))
        TRY(add_hit(h, &value, err));
    return ST_OK;
}

static int named_member(const struct jsonb_item *from, const struct path_step *step, struct hits *h, struct error *err)
{
    struct jsonb_walk walk;
    struct jsonb_item key, value;
    if (!jsonb_walk_start(from, JSONB_OBJECT, &walk))
        return ST_OK;
    while (jsonb_walk_next(&walk, &key, &value))
        if (key.size == step->name_size && memcmp(key.data, step->name, key.size) == 0)
            return add_hit(h, &value, err);
    return ST_OK;
}

static int64_t position(const struct path_index *i, uint32_t count)
{
    return i->from_last ? (int64_t)count + i->at - 1 : i->at;
}

static int numbered_items(const struct jsonb_item *from, const struct path_step *step, struct hits *h, struct error *err)
{
    struct hits all = {.budget = h->budget};
    uint32_t count;
    if (jsonb_container(from, &count) != JSONB_ARRAY)
        return ST_OK;
    int st = all_members(from, JSONB_ARRAY, &all, err);
    for (const struct path_range *r = step->ranges; r && st == ST_OK; r = r->next) {
        int64_t first = position(&r->from, (uint32_t)all.n), last = r->single ? first : position(&r->to, (uint32_t)all.n);
        if (r->single && (first < 0 || first >= (int64_t)all.n))
            continue;
        for (int64_t i = first < 0 ? 0 : first; i <= last && i < (int64_t)all.n && st == ST_OK; i++)
            st = add_hit(h, &items_of(&all)[i], err);
    }
    buffer_unref(all.items);
    return st;
}

static int take_step(const struct path_step *step, const struct jsonb_item *from, const struct jsonb_item *root, struct hits *h, struct error *err)
{
    uint32_t count;
    bool kept = true;
    switch (step->kind) {
    case STEP_ANY_MEMBER:
        return all_members(from, JSONB_OBJECT, h, err);
    case STEP_NAME:
        return named_member(from, step, h, err);
    case STEP_ITEMS:
        return numbered_items(from, step, h, err);
    case STEP_ANY_ITEM:
        if (jsonb_container(from, &count) == JSONB_ARRAY)
            return all_members(from, JSONB_ARRAY, h, err);
        break; /* what is no array stands for itself */
    case STEP_FILTER:
        TRY(eval(step->filter, from, root, h->budget, &kept, err));
    }
    return kept ? add_hit(h, from, err) : ST_OK;
}

static int find(const struct path_step *steps, const struct jsonb_item *start, const struct jsonb_item *root, struct hits *ret_hits,
                struct error *err)
{
    struct hits now = {.budget = ret_hits->budget};
    int st = add_hit(&now, start, err);
    for (; steps && st == ST_OK && now.n; steps = steps->next) {
        struct hits next = {.budget = ret_hits->budget};
        for (size_t i = 0; i < now.n && st == ST_OK; i++)
            st = take_step(steps, &items_of(&now)[i], root, &next, err);
        buffer_unref(now.items);
        now = next;
    }
    if (st == ST_OK)
        *ret_hits = now;
    else
        buffer_unref(now.items);
    return st;
}

int jsonpath_finds(const struct jsonpath *path, const void *document, size_t size, struct budget *budget, bool *ret_found, struct error *err)
{
    struct jsonb_item root = {JSONB_CONTAINER, document, size};
    struct hits h = {.budget = budget};
    if (path->predicate)
        return eval(path->predicate, &root, &root, budget, ret_found, err);
    TRY(find(path->steps, &root, &root, &h, err));
    *ret_found = h.n > 0;
    buffer_unref(h.items);
    return ST_OK;
}

int jsonpath_select(const struct jsonpath *path, const void *document, size_t size, struct budget *budget, struct dynbuf *out, struct error *err)
{
    struct jsonb_item root = {JSONB_CONTAINER, document, size};
    struct hits h = {.budget = budget};
    bool found;
    if (path->predicate) {
        TRY(eval(path->predicate, &root, &root, budget, &found, err));
        return jsonb_put_item(&(struct jsonb_item){found ? JSONB_TRUE : JSONB_FALSE, NULL, 0}, out, err);
    }
    TRY(find(path->steps, &root, &root, &h, err));
    int st = h.n == 1 ? jsonb_put_item(items_of(&h), out, err) : h.n ? jsonb_put_array(items_of(&h), h.n, out, err) : ST_OK;
    buffer_unref(h.items);
    return st;
}
