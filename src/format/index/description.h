/* How a blob of an index ends: a protobuf description, and its size in the last four bytes. Inside of format/index. */
#ifndef FORMAT_INDEX_DESCRIPTION_H
#define FORMAT_INDEX_DESCRIPTION_H

#include "format/puffin/puffin.h"

/* Reads it into the arena. *ret_before_bytes is what lies before it; `what` names the blob in errors. */
int index_description_read(const struct puffin_source *blob, const char *what, struct arena *a, const uint8_t **ret_text, uint32_t *ret_size,
                           uint64_t *ret_before_bytes, struct error *err);

#endif
