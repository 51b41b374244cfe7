/* Vectors written as text: [1.0, -2, 3e4]. */
#ifndef EXEC_VECTOR_TEXT_H
#define EXEC_VECTOR_TEXT_H

#include "base/error.h"
#include "exec/vec.h"

/* The elements as floats into `floats` (replaces what it held). ST_EXECUTE_QUERY when the text is no vector. */
int vector_parse(const uint8_t *text, size_t size, struct budget *budget, struct vec *floats, size_t *ret_n, struct error *err);

#endif
