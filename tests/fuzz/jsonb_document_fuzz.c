/* JSONB documents and JSON text: printing and every walk stay inside the bytes; text that parses prints, and paths run over what is there.
 * Input: one byte that is the size of a path, the path, the document. */
#include <stdlib.h>

#include "format/jsonb/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dynbuf out, document, hits;
    struct arena arena;
    struct jsonpath *path;
    if (!size)
        return 0;
    size_t n = *data++;
    size--;
    if (n > size)
        n = size;
    const uint8_t *body = data + n;
    size_t body_size = size - n;
    arena_init(&arena, NULL);
    dynbuf_init(&out, 16 << 20);
    dynbuf_init(&document, 16 << 20);
    dynbuf_init(&hits, 16 << 20);
    (void)jsonb_print(body, body_size, NULL, &out, NULL);
    if (!jsonb_is_binary(body, body_size) && jsonb_parse(body, body_size, NULL, &document, NULL) == ST_OK) {
        out.size = 0;
        if (jsonb_print(document.data, document.size, NULL, &out, NULL) != ST_OK)
            abort();
        body = document.data;
        body_size = document.size;
    }
    if (jsonpath_parse(&arena, data, n, &path, NULL) == ST_OK) {
        bool found;
        if (jsonpath_select(path, body, body_size, NULL, &hits, NULL) == ST_OK &&
            jsonpath_finds(path, body, body_size, NULL, &found, NULL) == ST_OK && !jsonpath_is_predicate(path) && found != (hits.size > 0) &&
            body_size)
            abort();
    }
    arena_release(&arena);
    dynbuf_release(&out);
    dynbuf_release(&document);
    dynbuf_release(&hits);
    return 0;
}
