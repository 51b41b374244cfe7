/* See vector_text.h. */
#include "exec/vector_text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void trim(const char **p, size_t *n)
{
    while (*n && strchr(" \t\n\v\f\r", **p) && **p) {
        ++*p;
        --*n;
    }
    while (*n && strchr(" \t\n\v\f\r", (*p)[*n - 1]) && (*p)[*n - 1])
        --*n;
}

/* Rust's grammar: decimal, or inf, infinity and nan in any case; no hexadecimals. */
static bool parse_element(const char *p, size_t n, float *ret_value)
{
    char copy[400], *end;
    if (n == 0 || n >= sizeof copy)
        return false;
    memcpy(copy, p, n);
    copy[n] = 0;
    const char *word = copy + (*copy == '+' || *copy == '-');
    bool named = strcasecmp(word, "inf") == 0 || strcasecmp(word, "infinity") == 0 || strcasecmp(word, "nan") == 0;
    if (!named && strspn(copy, "0123456789+-.eE") != n)
        return false;
    *ret_value = strtof(copy, &end);
    return end == copy + n;
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
        float value;
        trim(&item, &length);
        if (!parse_element(item, length, &value))
            return not_a_vector(text, size, "elements are not all float32", err);
        TRY(vec_reserve(floats, budget, count + 1, sizeof value, err));
        VEC(floats, float)[count] = value;
        if (!comma) {
            count++;
            break;
        }
        p = comma + 1;
    }
    *ret_n = count;
    return ST_OK;
}
