/* Time zone files of any bytes: decoding, and every question about what was decoded. */
#include <stddef.h>
#include <stdint.h>

#include "format/tzif/tzif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {INT64_MIN, -62135596800, -1, 0, 1700000000, 4200000000, 253402300800, INT64_MAX};
    struct tzif z;
    int64_t utc[2];
    if (tzif_decode(data, size, &z, NULL) != ST_OK)
        return 0;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        tzif_at(&z, times[i]);
        if (i > 0 && i < 7)
            tzif_from_local(&z, times[i], utc);
    }
    tzif_release(&z);
    return 0;
}
