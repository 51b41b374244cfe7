/* Runs region requests through the metadata code: one line in ("create HEX", "alter REGION HEX", "json HEX", "hash HEX"), one line of JSON or "error:
 * ..." out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "format/region/metadata.h"

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned v;
    for (; sscanf(hex, "%2x", &v) == 1; hex += 2)
        out[n++] = (uint8_t)v;
    return n;
}

static void answer(int st, const struct error *err, const struct dynbuf *out)
{
    if (st == ST_OK)
        printf("%.*s\n", (int)out->size, (const char *)out->data);
    else
        printf("error: %s: %s\n", status_name((enum status)st), err->msg);
    fflush(stdout);
}

static int alter(struct u64_map *regions, uint64_t id, const uint8_t *data, size_t n, struct dynbuf *out, struct error *err)
{
    struct region_metadata *m = u64_map_get(regions, id), *next = NULL;
    if (!m)
        return error_set(err, ST_REGION_NOT_FOUND, "no such region");
    int st = region_metadata_alter(m, data, n, &next, err);
    if (st == ST_OK && next) {
        region_metadata_unref(m);
        m = next;
        st = u64_map_put(regions, id, m, err);
    }
    return st == ST_OK || st == ST_UNSUPPORTED ? region_columns_to_json(m, out, err) : st;
}

int main(void)
{
    struct u64_map regions;
    char *line = NULL;
    size_t room = 0;
    u64_map_init(&regions);
    while (getline(&line, &room, stdin) > 0) {
        struct error err = {0};
        struct dynbuf out;
        struct region_metadata *m = NULL;
        char *word = strtok(line, " \n"), *arg = strtok(NULL, " \n"), *more = strtok(NULL, " \n");
        int st = ST_OK;
        dynbuf_init(&out, 64 << 20);
        uint8_t *data = malloc(room + 1);
        size_t n = unhex(more ? more : arg ? arg : "", data);
        data[n] = 0;
        if (strcmp(word, "create") == 0) {
            st = region_metadata_from_create(data, n, false, ST_INVALID_ARGUMENTS, &m, &err);
            if (st == ST_OK) {
                st = region_columns_to_json(m, &out, &err);
                region_metadata_unref(u64_map_get(&regions, m->region_id));
                u64_map_put(&regions, m->region_id, m, NULL);
            }
        } else if (strcmp(word, "alter") == 0) {
            st = alter(&regions, strtoull(arg, NULL, 10), data, n, &out, &err);
        } else if (strcmp(word, "json") == 0) {
            st = region_metadata_from_json((const char *)data, n, &m, &err);
            if (st == ST_OK)
                st = region_metadata_to_json(m, &out, &err);
            region_metadata_unref(m);
        } else {
            dynbuf_printf(&out, NULL, "%llu", (unsigned long long)partition_expr_version((const char *)data));
        }
        answer(st, &err, &out);
        dynbuf_release(&out);
        free(data);
    }
    free(line);
    return 0;
}
