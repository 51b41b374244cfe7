/* Dates, times and intervals as text: a format, a NUL, and a text that is read by it and by every parser without a format. What a format reads is printed with it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "exec/cast_text.h"
#include "exec/chrono.h"
#include "exec/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t n = end ? (size_t)(end - data) : 0;
    const uint8_t *text = data + n + (end != NULL);
    size_t text_size = size - n - (end != NULL);
    const struct tzif *zone = zone_of_session("Europe/Berlin");
    struct chrono_time t;
    int64_t v = 0, seconds;
    int32_t months, days;
    if (chrono_parse(data, n, text, text_size, &t) && chrono_resolve(&t, zone, true, &seconds)) {
        struct text_writer w;
        struct moment m = moment_of(seconds, 1, zone);
        if (text_writer_init(&w, NULL, 1, 64, NULL) == ST_OK) {
            chrono_print(data, n, &m, &w, NULL);
            text_writer_release(&w);
        }
    }
    chrono_parse_clock(data, n, text, text_size, &v);
    for (uint8_t unit = 0; unit < 4; unit++) {
        text_to_timestamp((const char *)text, text_size, zone, unit, &v);
        text_to_time((const char *)text, text_size, unit, &v);
    }
    text_to_date((const char *)text, text_size, &days);
    text_to_interval((const char *)text, text_size, &months, &days, &v);
    return 0;
}
