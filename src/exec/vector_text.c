/* See vector_text.h. */
#include "exec/vector_text.h"

#include <string.h>

#include "base/number.h"

static void trim(const char **p, size_t *n)
{
    while (*n && strchr(" \t\n\v\f\r", **p) && **p) {
        ++*p;
        --*n;
    }
    while (*n && strchr(" \t\n\v\f\r", (*p)[*n - 1]) && (*p)[*n - 1])
        --*n;
}

static int not_a_vector(const uint8_t *p, size_t n, const char *why, struct error *err)
{
    return error_set(err, ST_EXECUTE_QUERY, "Failed to parse %.*s to Vector value: %s", n > 100 ? 100 : (int)n, (const char *)p, why);
}

int vector_parse(const uint8_t *text, size_t size, struct budget *budget, struct vec *floats, size_t *ret_n, struct error *err)
{
    const char *p = (const char *)text, *end;
    size_t n = size, count = 0;
    trim(&p, &n);
    if (n < 2 || *p != '[' || p[n - 1] != ']')
        return not_a_vector(text, size, "not properly enclosed in brackets", err);
    p++;
    n -= 2;
    trim(&p, &n);
    for (end = p + n; n; count++) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *item = p;
        size_t length = (size_t)((comma ? comma : end) - p);
        double value;
        trim(&item, &length);
        if (!number_parse(item, length, true, &value))
            return not_a_vector(text, size, "elements are not all float32", err);
        TRY(vec_reserve(floats, budget, count + 1, sizeof(float), err));
        VEC(floats, float)[count] = (float)value;
        if (!comma) {
            count++;
            break;
        }
        p = comma + 1;
    }
    *ret_n = count;
    return ST_OK;
}
