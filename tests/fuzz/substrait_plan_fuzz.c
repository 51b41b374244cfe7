/* Plans of any bytes: decoded or refused, within a memory budget, and everything given back. */
#include <stdlib.h>

#include "format/substrait/plan.h"
#include "proto_mutator.h"

static size_t walk(const struct plan_expr *e)
{
    size_t n = 1;
    if (!e)
        return 0;
    if ((e->kind == PLAN_LITERAL && (!e->literal || e->literal->length != 1)) || (e->kind == PLAN_CAST && !e->type) ||
        (e->kind == PLAN_CALL && !e->name))
        abort();
    for (uint32_t i = 0; i < e->n_args; i++)
        n += walk(e->args[i]);
    return n;
}

static void walk_rel(const struct plan_rel *rel)
{
    for (; rel; rel = rel->input) {
        bool leaf = rel->kind == PLAN_READ || rel->kind == PLAN_VALUES || rel->kind == PLAN_OTHER_REL;
        if (leaf != !rel->input || (rel->kind == PLAN_VALUES && rel->n_exprs != (uint64_t)rel->n_rows * rel->n_columns))
            abort();
        for (uint32_t i = 0; i < rel->n_others; i++)
            walk_rel(rel->others[i]);
        walk(rel->filter);
        for (uint32_t i = 0; i < rel->n_exprs; i++)
            walk(rel->exprs[i]);
        for (uint32_t i = 0; i < rel->n_sorts; i++)
            walk(rel->sorts[i].expr);
        for (uint32_t i = 0; i < rel->n_groupings; i++)
            for (uint32_t k = 0; k < rel->groupings[i].n_keys; k++)
                if (rel->groupings[i].keys[k] >= rel->n_exprs)
                    abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct budget budget;
    struct arena arena;
    struct plan *plan = NULL;
    struct error err;
    budget_init(&budget, "fuzz", "none", 64u << 20, NULL);
    arena_init(&arena, &budget);
    if (plan_decode(data, size, &arena, &plan, &err) == ST_OK) {
        walk_rel(plan->root);
        plan_release(plan);
    }
    arena_release(&arena);
    if (budget_used(&budget))
        abort();
    return 0;
}
