/* A heap dump that somebody sends to have its names filled in. What parses is drawn. */
#include <stddef.h>
#include <stdint.h>

#include "http/heap_stacks.h"
#include "http/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct profile_meaning bytes = {.type = "inuse_space", .unit = "bytes", .period_type = "space", .period_unit = "bytes"};
    struct sampled_stacks stacks;
    struct dynbuf out;
    if (heap_stacks_parse((const char *)data, size, &stacks, NULL) != ST_OK)
        return 0;
    for (int form = 0; form < PROFILE_FORMS; form++) {
        dynbuf_init(&out, 64 << 20);
        (void)profile_write(&stacks, (enum profile_form)form, &bytes, &out, NULL);
        dynbuf_release(&out);
    }
    sampled_stacks_release(&stacks);
    return 0;
}
