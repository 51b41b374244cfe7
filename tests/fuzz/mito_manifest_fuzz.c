/* Manifest texts: first byte even = a delta on an empty state, odd = a checkpoint. What is read must be writable and readable again. */
#include <stdlib.h>

#include "engine/mito/manifest_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest m = {.append_mode = -1}, again = {.append_mode = -1};
    struct dynbuf out;
    uint64_t last;
    if (!size)
        return 0;
    const char *text = (const char *)data + 1;
    int st = data[0] & 1 ? manifest_load_checkpoint(&m, text, size - 1, &last, NULL) : manifest_apply_delta(&m, text, size - 1, NULL);
    if (st == ST_OK && m.metadata) {
        dynbuf_init(&out, MANIFEST_TEXT_MAX);
        if (manifest_checkpoint_json(&m, 1, true, &out, NULL) != ST_OK ||
            manifest_load_checkpoint(&again, (const char *)out.data, out.size, &last, NULL) != ST_OK || again.n_files != m.n_files)
            abort();
        dynbuf_release(&out);
    }
    manifest_release(&m);
    manifest_release(&again);
    return 0;
}
