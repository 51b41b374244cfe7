/* Names of functions by address, of this process: the program's own, static ones included, from the symbol table of its file; libraries' as far as
 * they export them. */
#ifndef OS_SYMBOLS_H
#define OS_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct symbols;

/* A program without a symbol table gives a table without its names, no error. */
int symbols_load(struct symbols **ret_symbols, struct error *err);
void symbols_free(struct symbols *s); /* NULL is allowed */
/* Never empty: for what has no name, the file and the offset in it, or the address. */
void symbols_name(const struct symbols *s, uintptr_t address, char *ret_name, size_t room);

#endif
