/* Decodes plans given as hexadecimal lines: answers "ok <functions it calls>" or "error: ..." a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/substrait/plan.h"

static void print_expr(const struct plan_expr *e)
{
    if (!e)
        return;
    if (e->kind == PLAN_CALL)
        printf(" %s", e->name);
    if (e->kind == PLAN_OTHER)
        printf(" !%s", e->name);
    for (uint32_t i = 0; i < e->n_args; i++)
        print_expr(e->args[i]);
}

static void print_rel(const struct plan_rel *rel)
{
    static const char *const kinds[] = {"read", "values",  "filter", "fetch",     "aggregate",
                                        "sort", "project", "union",  "extension", "other"}; /* enum plan_rel_kind */
    for (; rel; rel = rel->input) {
        printf(" %s:", kinds[rel->kind]);
        print_expr(rel->filter);
        print_expr(rel->offset);
        print_expr(rel->count);
        for (uint32_t i = 0; i < rel->n_exprs; i++)
            print_expr(rel->exprs[i]);
        for (uint32_t i = 0; i < rel->n_sorts; i++)
            print_expr(rel->sorts[i].expr);
        for (uint32_t i = 0; i < rel->n_measures; i++) {
            const struct plan_measure *m = &rel->measures[i];
            printf(" %s", m->name);
            for (uint32_t k = 0; k < m->n_args; k++)
                print_expr(m->args[k]);
            for (uint32_t k = 0; k < m->n_sorts; k++)
                print_expr(m->sorts[k].expr);
            print_expr(m->filter);
        }
    }
}

static void answer(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct error err = {0};
    struct plan *plan = NULL;
    arena_init(&arena, NULL);
    int st = plan_decode(bytes, size, &arena, &plan, &err);
    if (st == ST_OK) {
        printf("ok");
        print_rel(plan->root);
        printf("\n");
        plan_release(plan);
    } else {
        printf("error: %s: %s\n", status_name((enum status)st), err.msg);
    }
    fflush(stdout);
    arena_release(&arena);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        size_t n = 0;
        uint8_t *bytes = malloc(strlen(line) / 2 + 1);
        unsigned v;
        if (!bytes)
            return 1;
        for (const char *p = line; sscanf(p, "%2x", &v) == 1; p += 2)
            bytes[n++] = (uint8_t)v;
        answer(bytes, n);
        free(bytes);
    }
    free(line);
    return 0;
}
