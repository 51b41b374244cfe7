/* JSON paths over JSONB (functions.md 4.12): $.a[*].b ? (@.c > 1), Snowflake's a.b:c, and predicates like $.a == 1. */
#ifndef FORMAT_JSONB_PATH_H
#define FORMAT_JSONB_PATH_H

#include "base/arena.h"
#include "format/jsonb/jsonb.h"

struct jsonpath;

/* The path lives in `arena` and borrows nothing of the text. ST_INVALID_ARGUMENTS when it is none. */
int jsonpath_parse(struct arena *arena, const void *text, size_t size, struct jsonpath **ret_path, struct error *err);
bool jsonpath_is_predicate(const struct jsonpath *path);

/* Appends what the path finds in a binary document: one hit is a document of its own, several are an array; nothing is appended when there is none.
 * A predicate finds true or false. */
int jsonpath_select(const struct jsonpath *path, const void *document, size_t size, struct budget *budget, struct dynbuf *out, struct error *err);
/* Whether it finds something; for a predicate, whether it holds. */
int jsonpath_finds(const struct jsonpath *path, const void *document, size_t size, struct budget *budget, bool *ret_found, struct error *err);

#endif
