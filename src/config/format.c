/* Durations and sizes as GreptimeDB writes them (config-and-http.md section 3). */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

static const struct { const char *name; uint64_t bytes; } size_units[] = {
    {"PiB", 1ull << 50}, {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}};

bool config_parse_size(const char *text, uint64_t *ret_bytes)
{
    char *end;
    while (isspace((unsigned char)*text))
        text++;
    if (*text == '-' || *text == '+' || !(isdigit((unsigned char)*text) || *text == '.'))
        return false;
    double number = strtod(text, &end), scale = 1;
    while (isspace((unsigned char)*end))
        end++;
    size_t n = strlen(end);
    while (n && isspace((unsigned char)end[n - 1]))
        n--;
    if (n && !(n == 1 && *end == 'B')) {
        static const char letters[] = "KMGTP";
        const char *letter = memchr(letters, *end, 5);
        bool tail = n == 1 || (n == 2 && end[1] == 'B') || (n == 3 && end[1] == 'i' && end[2] == 'B');
        if (!letter || !tail)
            return false;
        scale = ldexp(1, 10 * (int)(letter - letters + 1));
    }
    double bytes = number * scale;
    if (!(bytes >= 0 && bytes < 18446744073709549568.0))
        return false;
    *ret_bytes = (uint64_t)bytes;
    return true;
}

static const struct { const char *names; int64_t ns; } duration_units[] = {
    {" nanos nsec ns ", 1}, {" usec us ", 1000}, {" millis msec ms ", 1000000}, {" seconds second secs sec s ", 1000000000},
    {" minutes minute mins min m ", 60000000000}, {" hours hour hrs hr h ", 3600000000000}, {" days day d ", 86400000000000},
    {" weeks week w ", 604800000000000}, {" months month M ", 2630016000000000}, {" years year y ", 31557600000000000}};

static int64_t unit_ns(const char *word, size_t n)
{
    char padded[16];
    if (n == 0 || n > 12)
        return 0;
    snprintf(padded, sizeof padded, " %.*s ", (int)n, word);
    for (size_t i = 0; i < sizeof duration_units / sizeof *duration_units; i++)
        if (strstr(duration_units[i].names, padded))
            return duration_units[i].ns;
    return 0;
}

bool config_parse_duration(const char *text, int64_t *ret_ns)
{
    int64_t total = 0;
    bool any = false;
    for (;;) {
        while (isspace((unsigned char)*text))
            text++;
        if (!*text)
            break;
        int64_t number = 0, part;
        const char *digits = text;
        for (; isdigit((unsigned char)*text); text++)
            if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text - '0', &number))
                return false;
        if (text == digits)
            return false;
        while (isspace((unsigned char)*text))
            text++;
        const char *word = text;
        while (isalpha((unsigned char)*text))
            text++;
        int64_t ns = unit_ns(word, (size_t)(text - word));
        if (!ns || __builtin_mul_overflow(number, ns, &part) || __builtin_add_overflow(total, part, &total))
            return false;
        any = true;
    }
    if (any)
        *ret_ns = total;
    return any;
}

void config_format_size(uint64_t bytes, char *out, size_t room)
{
    if (bytes == 0) {
        snprintf(out, room, "\"0KiB\"");
        return;
    }
    for (size_t i = 0; i < sizeof size_units / sizeof *size_units; i++)
        if (bytes % size_units[i].bytes == 0) {
            snprintf(out, room, "\"%llu%s\"", (unsigned long long)(bytes / size_units[i].bytes), size_units[i].name);
            return;
        }
    snprintf(out, room, "%llu", (unsigned long long)bytes);
}

void config_format_duration(int64_t ns, char *out, size_t room)
{
    static const struct { const char *name; int64_t ns; bool plural; } units[] = {
        {"year", 31557600000000000, true}, {"month", 2630016000000000, true}, {"day", 86400000000000, true}, {"h", 3600000000000, false},
        {"m", 60000000000, false}, {"s", 1000000000, false}, {"ms", 1000000, false}, {"us", 1000, false}, {"ns", 1, false}};
    size_t n = 0;
    if (ns == 0) {
        snprintf(out, room, "0s");
        return;
    }
    out[0] = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units && n < room; i++) {
        int64_t count = ns / units[i].ns;
        ns %= units[i].ns;
        if (count)
            n += (size_t)snprintf(out + n, room - n, "%s%lld%s%s", n ? " " : "", (long long)count, units[i].name, units[i].plural && count > 1 ? "s" : "");
    }
}
