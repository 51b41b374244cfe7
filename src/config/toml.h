/* TOML by way of toml++ (C++): flattens a document into leaves. */
#ifndef CONFIG_TOML_H
#define CONFIG_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum toml_kind { TOML_TEXT, TOML_INTEGER, TOML_FLOAT, TOML_BOOLEAN, TOML_LIST, TOML_OTHER };

struct toml_leaf {
    const char *path;         /* "region_engine.mito.num_workers"; array-of-table indexes are left out */
    enum toml_kind kind;
    const char *text;         /* TEXT; also the value of anything else as TOML prints it */
    int64_t integer;
    bool boolean;
    const char *const *items; /* LIST of strings; n_items = SIZE_MAX when it holds anything else */
    size_t n_items;
    uint32_t line;
};

/* Calls `each` for every leaf in document order; stops when it returns non-zero and returns that. A syntax error fills `message` and returns -1. */
int toml_walk(const char *text, size_t size, int (*each)(void *ctx, const struct toml_leaf *leaf), void *ctx, char *message, size_t message_room);

#ifdef __cplusplus
}
#endif

#endif
