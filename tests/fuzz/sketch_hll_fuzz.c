/* HyperLogLog++ sketches: what decodes encodes to bytes that decode to the same, counts to a number, and merges with itself and with others. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "format/sketch/hll.h"

static void same_bytes(const struct hll *h)
{
    struct dynbuf once, twice;
    struct hll copy;
    dynbuf_init(&once, 64 << 20);
    dynbuf_init(&twice, 64 << 20);
    if (hll_encode(h, &once, NULL) != ST_OK || hll_decode(once.data, once.size, NULL, &copy, NULL) != ST_OK ||
        hll_encode(&copy, &twice, NULL) != ST_OK)
        abort();
    if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0)
        abort();
    hll_release(&copy);
    dynbuf_release(&once);
    dynbuf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hll h, other;
    double count;
    if (hll_decode(data, size, NULL, &h, NULL) != ST_OK)
        return 0;
    same_bytes(&h);
    hll_init(&other, NULL);
    for (uint64_t i = 1; i < 300; i++)
        if (hll_add(&other, hash_u64(i), NULL) != ST_OK)
            abort();
    if (hll_merge(&other, &h, NULL) != ST_OK || hll_merge(&h, &other, NULL) != ST_OK || hll_count(&h, &count, NULL) != ST_OK || isnan(count))
        abort();
    same_bytes(&h);
    hll_release(&h);
    hll_release(&other);
    return 0;
}
