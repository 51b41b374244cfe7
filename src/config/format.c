/* Durations and sizes as GreptimeDB writes them (config-and-http.md section 3). */
#include <stdio.h>

#include "config/config.h"

static const struct { const char *name; uint64_t bytes; } size_units[] = {
    {"PiB", 1ull << 50}, {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}};

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
            n += (size_t)snprintf(out + n, room - n, "%s%lld%s%s", n ? " " : "", (long long)count, units[i].name,
                                  units[i].plural && count > 1 ? "s" : "");
    }
}
