/* Payloads of PromQL's extension nodes: the first byte picks the node, the rest are the bytes. Decoded or refused, in bounds and within budget. */
#include <stdlib.h>
#include <string.h>

#include "format/substrait/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"SeriesDivide", "SeriesNormalize", "InstantManipulate", "RangeManipulate", "MergeScan"};
    struct budget budget;
    struct arena arena;
    struct plan_series *s;
    struct error err = {0};
    if (size == 0)
        return 0;
    const char *name = names[data[0] % 5];
    struct pb_field payload = {.wire = PB_BYTES, .data = data + 1, .size = size - 1};
    budget_init(&budget, "fuzz", "none", 64u << 20, NULL);
    arena_init(&arena, &budget);
    struct plan_decoder d = {.arena = &arena};
    int st = plan_decode_series(&d, name, &payload, &s, &err);
    bool known = strcmp(name, "MergeScan") != 0, manipulates = strstr(name, "Manipulate") != NULL;
    if (st == ST_OK && (known != (s != NULL) || (s && s->n_columns > size) || (s && manipulates && s->interval <= 0)))
        abort();
    for (uint32_t i = 0; st == ST_OK && s && i < s->n_columns; i++)
        if (s->columns[i] > PLAN_NO_COLUMN)
            abort();
    arena_release(&arena);
    if (budget_used(&budget))
        abort();
    return 0;
}
