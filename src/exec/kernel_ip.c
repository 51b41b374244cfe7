/* IPv4 and IPv6 addresses (functions.md 1.15). Parsing and printing are the C library's, which agree with the peer's in all but zone suffixes. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "exec/kernel_typed.h"

enum { V4_BITS = 32, V6_BITS = 128, TEXT_MAX = 64 };

static int bad(struct error *err, const char *what, const uint8_t *p, size_t n)
{
    return error_set(err, ST_EXECUTE_QUERY, "Invalid %s: %.*s", what, n > 100 ? 100 : (int)n, (const char *)p);
}

/* Copies the text with its end; false when it is empty, too long or holds a NUL. */
static bool c_text(const uint8_t *p, size_t n, char out[TEXT_MAX])
{
    if (n == 0 || n >= TEXT_MAX || memchr(p, 0, n))
        return false;
    memcpy(out, p, n);
    out[n] = 0;
    return true;
}

/* Four decimal numbers without leading zeros. */
static bool parse_v4(const char *text, uint32_t *ret_address)
{
    struct in_addr a;
    for (const char *p = text; *p; p++)
        if (*p == '0' && (p == text || p[-1] == '.') && p[1] >= '0' && p[1] <= '9')
            return false;
    if (inet_pton(AF_INET, text, &a) != 1)
        return false;
    *ret_address = ntohl(a.s_addr);
    return true;
}

static bool parse_v6(const char *text, uint8_t ret_address[16])
{
    return inet_pton(AF_INET6, text, ret_address) == 1;
}

/* A decimal number up to `max`. */
static bool parse_bits(const char *text, int max, int *ret_bits)
{
    char *end;
    if (*text < '0' || *text > '9' || strlen(text) > 3)
        return false;
    long v = strtol(text, &end, 10);
    if (*end || v > max)
        return false;
    *ret_bits = (int)v;
    return true;
}

/* Splits `address/bits`; text is cut at the slash. */
static bool parse_range(char *text, int max, int *ret_bits)
{
    char *slash = strchr(text, '/');
    if (!slash)
        return false;
    *slash = 0;
    return parse_bits(slash + 1, max, ret_bits);
}

static uint32_t mask_v4(int bits)
{
    return bits == 0 ? 0 : UINT32_MAX << (V4_BITS - bits);
}

static void mask_v6(uint8_t address[16], int bits)
{
    for (int i = 0; i < 16; i++, bits -= 8)
        address[i] &= bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff << (8 - bits));
}

static int put_v4(struct text_writer *w, uint32_t a, int bits, struct error *err)
{
    char suffix[16] = "";
    if (bits >= 0)
        snprintf(suffix, sizeof suffix, "/%d", bits);
    return text_writer_printf(w, err, "%u.%u.%u.%u%s", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, suffix);
}

static bool is_mapped(const uint8_t a[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a, prefix, sizeof prefix) == 0;
}

/* RFC 5952: the longest run of two or more zero groups is `::`. The C library also shows other addresses as IPv4, so it is written out here. */
static const char *show_v6(const uint8_t a[16], char out[TEXT_MAX])
{
    int from = -1, length = 1;
    size_t at = 0;
    if (is_mapped(a)) {
        snprintf(out, TEXT_MAX, "::ffff:%u.%u.%u.%u", a[12], a[13], a[14], a[15]);
        return out;
    }
    for (int i = 0; i < 8; i++) {
        int n = 0;
        while (i + n < 8 && a[2 * (i + n)] == 0 && a[2 * (i + n) + 1] == 0)
            n++;
        if (n > length) {
            from = i;
            length = n;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == from) {
            at += (size_t)snprintf(out + at, TEXT_MAX - at, "::");
            i += length - 1;
        } else {
            at += (size_t)snprintf(out + at, TEXT_MAX - at, i && !(from >= 0 && i == from + length) ? ":%x" : "%x", a[2 * i] << 8 | a[2 * i + 1]);
        }
    }
    return out;
}

static int put_v6(struct text_writer *w, const uint8_t a[16], struct error *err)
{
    char text[TEXT_MAX];
    show_v6(a, text);
    return text_writer_put(w, text, strlen(text), err);
}

/* ---- IPv4 ---- */

static int v4_number_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    int64_t v = value_int64(&c->args[0], row);
    (void)ret_null;
    if (v < 0 || v > UINT32_MAX)
        return error_set(err, ST_EXECUTE_QUERY, "%lld is no IPv4 address", (long long)v);
    return put_v4(w, (uint32_t)v, -1, err);
}

static int v4_text_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n;
    char text[TEXT_MAX];
    uint32_t a;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    if (!c_text(p, n, text) || !parse_v4(text, &a))
        return bad(err, "IPv4 address format", p, n);
    memcpy(ret_value, &a, 4);
    return ST_OK;
}

/* Fewer than four octets: the rest is zero, and the prefix is as long as what was given. */
static bool complete_v4(char text[TEXT_MAX], int *ret_bits)
{
    static const char *const rest[] = {".0.0.0", ".0.0", ".0", ""};
    int dots = 0;
    for (const char *p = text; *p; p++)
        dots += *p == '.';
    if (dots > 3 || strlen(text) > 20)
        return false;
    strcat(text, rest[dots]);
    *ret_bits = dots == 3 ? -1 : 8 * (dots + 1);
    return true;
}

/* The mask given for this row; -1 when there is none or it is no byte, and the address decides. */
static int given_bits(const struct call *c, int64_t row)
{
    if (c->e->n_args < 2 || value_is_null(&c->args[1], row))
        return -1;
    int64_t bits = value_int64(&c->args[1], row);
    return bits >= 0 && bits <= UINT8_MAX ? (int)bits : -1;
}

static int v4_cidr_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    char text[TEXT_MAX];
    uint32_t a;
    int guess, bits = given_bits(c, row);
    if ((*ret_null = value_is_null(&c->args[0], row)))
        return ST_OK;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    if (!c_text(p, n, text) || !complete_v4(text, &guess) || !parse_v4(text, &a))
        return bad(err, "IPv4 address", p, n);
    if (bits < 0 && (bits = guess) < 0)
        for (bits = V4_BITS; bits > 0 && (a >> (V4_BITS - bits) & 255) == 0; bits -= 8)
            ;
    return put_v4(w, a & UINT32_MAX << ((V4_BITS - bits) & 31), bits, err); /* the peer's shift wraps: a mask of 0 keeps all bits */
}

static int v4_range_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n, m;
    char text[TEXT_MAX], range[TEXT_MAX];
    uint32_t a, net;
    int bits;
    const uint8_t *p = value_text(&c->args[0], row, &n), *q = value_text(&c->args[1], row, &m);
    (void)ret_null;
    if (!c_text(p, n, text) || !parse_v4(text, &a))
        return bad(err, "IPv4 address", p, n);
    if (!c_text(q, m, range) || !parse_range(range, V4_BITS, &bits) || !parse_v4(range, &net))
        return bad(err, "CIDR notation", q, m);
    *(uint8_t *)ret_value = (a & mask_v4(bits)) == (net & mask_v4(bits));
    return ST_OK;
}

/* ---- IPv6 ---- */

static int v6_number_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    uint8_t a[16];
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    if (n != 32)
        return bad(err, "IPv6 address of 32 hexadecimal digits", p, n);
    for (size_t i = 0; i < 16; i++) {
        int high = hex_digit(p[2 * i]), low = hex_digit(p[2 * i + 1]);
        if (high < 0 || low < 0)
            return bad(err, "IPv6 address of 32 hexadecimal digits", p, n);
        a[i] = (uint8_t)(high << 4 | low);
    }
    return put_v6(w, a, err);
}

static int v6_text_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    char text[TEXT_MAX];
    uint8_t a[16] = {[10] = 0xff, [11] = 0xff};
    uint32_t v4;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    if (!c_text(p, n, text))
        return bad(err, "IPv6 address format", p, n);
    if (parse_v4(text, &v4)) {
        v4 = htonl(v4);
        memcpy(a + 12, &v4, 4);
    } else if (!parse_v6(text, a)) {
        return bad(err, "IPv6 address format", p, n);
    }
    return text_writer_put(w, a, 16, err);
}

/* A text that is no address yet gets the `::` that may be missing at its end. */
static bool complete_v6(char text[TEXT_MAX], uint8_t ret_address[16])
{
    size_t n = strlen(text);
    if (parse_v6(text, ret_address))
        return true;
    if (n + 3 > TEXT_MAX)
        return false;
    if (text[n - 1] == ':')
        strcat(text, ":");
    else if (!strstr(text, "::"))
        strcat(text, "::");
    return parse_v6(text, ret_address);
}

/* The peer's guess at a prefix when none is given. */
static int guess_v6(const uint8_t a[16])
{
    static const uint8_t documentation[4] = {0x20, 0x01, 0x0d, 0xb8}, loopback[16] = {[15] = 1};
    char text[TEXT_MAX];
    if (memcmp(a, documentation, 4) == 0)
        return 32;
    if (memcmp(a, loopback, 16) == 0)
        return V6_BITS;
    if (strncmp(show_v6(a, text), "fe80::", 6) == 0)
        return 16;
    int last = 15;
    while (last >= 0 && a[last] == 0)
        last--;
    if (last < 0)
        return V6_BITS;
    int bits = 8 * (last + 1);
    return bits < 16 ? 64 : bits;
}

static int v6_cidr_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    char text[TEXT_MAX];
    uint8_t a[16];
    int bits = given_bits(c, row);
    if ((*ret_null = value_is_null(&c->args[0], row)))
        return ST_OK;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    if (!c_text(p, n, text) || !complete_v6(text, a))
        return bad(err, "IPv6 address", p, n);
    if (bits < 0)
        bits = guess_v6(a);
    mask_v6(a, bits);
    TRY(put_v6(w, a, err));
    return text_writer_printf(w, err, "/%d", bits);
}

static int v6_range_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    size_t n, m;
    char text[TEXT_MAX], range[TEXT_MAX];
    uint8_t a[16], net[16];
    int bits;
    const uint8_t *p = value_text(&c->args[0], row, &n), *q = value_text(&c->args[1], row, &m);
    (void)ret_null;
    if (!c_text(p, n, text) || !parse_v6(text, a))
        return bad(err, "IPv6 address", p, n);
    if (!c_text(q, m, range) || !parse_range(range, V6_BITS, &bits) || !parse_v6(range, net))
        return bad(err, "CIDR notation", q, m);
    mask_v6(a, bits);
    mask_v6(net, bits);
    *(uint8_t *)ret_value = memcmp(a, net, 16) == 0;
    return ST_OK;
}

const struct function functions_ip[] = {
    TEXT_FUNCTION("ipv4_num_to_string", 1, 1, "I:v", v4_number_row, 0),
    TEXT_FUNCTION("inet_ntoa", 1, 1, "I:v", v4_number_row, 0),
    FIXED_FUNCTION("ipv4_string_to_num", 1, 1, "T:U", v4_text_row, 0),
    {"ipv4_to_cidr", 1, 2, bind_signature, kernel_text_rows, 0, false, "TI:v", .text_row = v4_cidr_row},
    FIXED_FUNCTION("ipv4_in_range", 2, 2, "TT:O", v4_range_row, 0),
    TEXT_FUNCTION("ipv6_num_to_string", 1, 1, "T:v", v6_number_row, 0),
    TEXT_FUNCTION("ipv6_string_to_num", 1, 1, "T:y", v6_text_row, 0),
    {"ipv6_to_cidr", 1, 2, bind_signature, kernel_text_rows, 0, false, "TI:v", .text_row = v6_cidr_row},
    FIXED_FUNCTION("ipv6_in_range", 2, 2, "TT:O", v6_range_row, 0),
    {0},
};
