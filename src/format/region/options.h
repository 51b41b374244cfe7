/* The `map<string, string> options` of create and open requests as it is on the wire. */
#ifndef FORMAT_REGION_OPTIONS_H
#define FORMAT_REGION_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "arrow/type.h"
#include "base/error.h"

enum { OPTIONS_MAP_MAX = 1024 }; /* entries */

/* The entries of map field `field` of a message: malloc'ed, keys and values too; freed with kv_list_free(). */
int options_map_read(const uint8_t *message, size_t size, uint32_t field, struct kv **ret_options, uint32_t *ret_n, struct error *err);

#endif
