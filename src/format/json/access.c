/* Looking into parsed values, and writing scalars the way serde_json does. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "format/json/json.h"

const struct json_value *json_get(const struct json_value *object, const char *name)
{
    size_t n = strlen(name);
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    for (const struct json_value *v = object->first; v; v = v->next) {
        if (v->key_size == n && memcmp(v->key, name, n) == 0)
            return v;
    }
    return NULL;
}

bool json_is(const struct json_value *v, enum json_kind kind)
{
    return v && v->kind == kind;
}

bool json_is_string(const struct json_value *v, const char *text)
{
    return json_is(v, JSON_STRING) && v->string_size == strlen(text) && memcmp(v->string, text, v->string_size) == 0;
}

const char *json_text(const struct json_value *v)
{
    return json_is(v, JSON_STRING) && !memchr(v->string, 0, v->string_size) ? v->string : NULL;
}

const struct json_value *json_only_member(const struct json_value *v)
{
    return json_is(v, JSON_OBJECT) && v->count == 1 ? v->first : NULL;
}

bool json_i128(const struct json_value *v, __int128 *ret)
{
    if (!json_is(v, JSON_NUMBER) && !json_is(v, JSON_STRING))
        return false;
    const char *p = v->kind == JSON_NUMBER ? v->text : v->string, *end = p + (v->kind == JSON_NUMBER ? v->size : v->string_size);
    bool negative = p < end && *p == '-';
    const unsigned __int128 limit = (unsigned __int128)1 << 127;
    unsigned __int128 n = 0;
    p += negative;
    if (p == end || end - p > 39)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9' || n > limit / 10)
            return false;
        n = n * 10 + (unsigned)(*p - '0');
        if (n > limit)
            return false;
    }
    if (n == limit && !negative)
        return false;
    *ret = negative ? (__int128)(0 - n) : (__int128)n;
    return true;
}

bool json_u64(const struct json_value *v, uint64_t *ret)
{
    __int128 n;
    if (!json_i128(v, &n) || n < 0 || n > UINT64_MAX)
        return false;
    *ret = (uint64_t)n;
    return true;
}

bool json_i64(const struct json_value *v, int64_t *ret)
{
    __int128 n;
    if (!json_i128(v, &n) || n < INT64_MIN || n > INT64_MAX)
        return false;
    *ret = (int64_t)n;
    return true;
}

bool json_double(const struct json_value *v, double *ret)
{
    char buf[400], *end;
    if (json_is(v, JSON_NULL)) {
        *ret = NAN;
        return true;
    }
    if (!json_is(v, JSON_NUMBER) || v->size >= sizeof buf)
        return false;
    memcpy(buf, v->text, v->size);
    buf[v->size] = 0;
    double d = strtod(buf, &end);
    if (*end || isinf(d))
        return false;
    *ret = d;
    return true;
}

bool json_bool(const struct json_value *v, bool *ret)
{
    if (!json_is(v, JSON_TRUE) && !json_is(v, JSON_FALSE))
        return false;
    *ret = v->kind == JSON_TRUE;
    return true;
}

int json_put_string(struct dynbuf *out, const void *text, size_t size, struct error *err)
{
    const uint8_t *p = text, *end = p + size, *plain = p;
    TRY(dynbuf_append_byte(out, '"', err));
    for (; p < end; p++) {
        static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
        if (*p >= 0x20 && *p != '"' && *p != '\\')
            continue;
        if (p > plain)
            TRY(dynbuf_append(out, plain, (size_t)(p - plain), err));
        plain = p + 1;
        const char *at = *p ? strchr(special, *p) : NULL;
        TRY(at ? dynbuf_printf(out, err, "\\%c", letter[at - special]) : dynbuf_printf(out, err, "\\u%04x", *p));
    }
    if (p > plain)
        TRY(dynbuf_append(out, plain, (size_t)(p - plain), err));
    return dynbuf_append_byte(out, '"', err);
}

int json_put_i128(struct dynbuf *out, __int128 v, struct error *err)
{
    char buf[48], *p = buf + sizeof buf;
    unsigned __int128 n = v < 0 ? 0 - (unsigned __int128)v : (unsigned __int128)v;
    do {
        *--p = (char)('0' + (int)(n % 10));
        n /= 10;
    } while (n);
    if (v < 0)
        *--p = '-';
    return dynbuf_append(out, p, (size_t)(buf + sizeof buf - p), err);
}

static int put_number(struct dynbuf *out, double v, bool single, struct error *err)
{
    char text[NUMBER_RYU_MAX];
    return isfinite(v) ? dynbuf_append(out, text, number_ryu(v, single, text), err) : dynbuf_append(out, "null", 4, err);
}

int json_put_double(struct dynbuf *out, double v, struct error *err)
{
    return put_number(out, v, false, err);
}

int json_put_float(struct dynbuf *out, float v, struct error *err)
{
    return put_number(out, (double)v, true, err);
}
