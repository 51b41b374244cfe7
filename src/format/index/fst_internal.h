/* Shared by reading and building maps. */
#ifndef FORMAT_INDEX_FST_INTERNAL_H
#define FORMAT_INDEX_FST_INTERNAL_H

#include "format/index/fst.h"

enum { FST_VERSION = 3, FST_HEADER_BYTES = 16, FST_TAIL_BYTES = 20, FST_INDEX_FROM = 32, FST_COMMON = 63 };

/* Inputs that have a number of their own, from 1. */
extern const char fst_common_inputs[FST_COMMON + 1];

/* The checksum as it is stored. */
uint32_t fst_checksum(const uint8_t *data, size_t size);

#endif
