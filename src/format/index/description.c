/* Reads the description at the end of an index blob. Its size is held against the blob's before anything is allocated. */
#include "format/index/description.h"

#include "base/bits.h"

enum { DESCRIPTION_BYTES_MAX = 64 << 20 };

int index_description_read(const struct puffin_source *blob, const char *what, struct arena *a, const uint8_t **ret_text, uint32_t *ret_size,
                           uint64_t *ret_before_bytes, struct error *err)
{
    uint8_t tail[4];
    if (blob->size_bytes < sizeof tail)
        return error_set(err, ST_CORRUPT, "%s: too short", what);
    uint64_t room = blob->size_bytes - sizeof tail;
    TRY(puffin_read(blob, room, tail, sizeof tail, err));
    uint32_t size = load_le32(tail);
    if (size > room || size > DESCRIPTION_BYTES_MAX)
        return error_set(err, ST_CORRUPT, "%s: a description larger than the blob", what);
    uint8_t *text = arena_alloc(a, (size_t)size + 1, err);
    if (!text)
        return ST_NO_MEMORY;
    TRY(puffin_read(blob, room - size, text, size, err));
    *ret_text = text;
    *ret_size = size;
    *ret_before_bytes = room - size;
    return ST_OK;
}
