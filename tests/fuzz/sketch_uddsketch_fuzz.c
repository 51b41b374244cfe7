/* UDDSketches: what decodes encodes to bytes that decode to the same, answers every quantile, takes values and merges with itself. */
#include <stdlib.h>
#include <string.h>

#include "format/sketch/uddsketch.h"

static void same_bytes(const struct uddsketch *s)
{
    struct dynbuf once, twice;
    struct uddsketch copy;
    dynbuf_init(&once, 64 << 20);
    dynbuf_init(&twice, 64 << 20);
    if (uddsketch_encode(s, &once, NULL) != ST_OK || uddsketch_decode(once.data, once.size, NULL, &copy, NULL) != ST_OK ||
        uddsketch_encode(&copy, &twice, NULL) != ST_OK)
        abort();
    if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0)
        abort();
    uddsketch_release(&copy);
    dynbuf_release(&once);
    dynbuf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uddsketch s, copy;
    if (uddsketch_decode(data, size, NULL, &s, NULL) != ST_OK)
        return 0;
    same_bytes(&s);
    if (uddsketch_decode(data, size, NULL, &copy, NULL) != ST_OK)
        abort();
    for (int i = 0; i <= 4 && s.n_buckets; i++)
        (void)uddsketch_quantile(&s, i / 4.0);
    (void)uddsketch_merge(&s, &copy, NULL);
    if (uddsketch_add(&s, 1.5, NULL) != ST_OK || uddsketch_add(&s, -1e300, NULL) != ST_OK || s.n_buckets == 0)
        abort();
    uddsketch_release(&s);
    uddsketch_release(&copy);
    return 0;
}
