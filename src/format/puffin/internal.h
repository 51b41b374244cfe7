/* Shared by reading and writing. */
#ifndef FORMAT_PUFFIN_INTERNAL_H
#define FORMAT_PUFFIN_INTERNAL_H

#include "format/puffin/puffin.h"

#define PUFFIN_MAGIC "PFA1"
enum { PUFFIN_MAGIC_BYTES = 4 };

#endif
