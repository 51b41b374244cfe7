/* Which indexes a column wants: its greptime:* metadata (mito-on-disk.md 2.7). */
#include <string.h>
#include <strings.h>

#include "format/region/internal.h"

struct region_fulltext_options region_fulltext_read(const char *text)
{
    struct region_fulltext_options f = {.granularity = 10240, .rate = 100};
    struct arena arena;
    const struct json_value *v;
    if (!text)
        return f;
    arena_init(&arena, NULL);
    if (json_parse(&arena, text, strlen(text), &v, NULL) == ST_OK) {
        json_bool(json_get(v, "enable"), &f.enable);
        json_bool(json_get(v, "case-sensitive"), &f.case_sensitive);
        f.chinese = json_get(v, "analyzer") && json_is_string(json_get(v, "analyzer"), "Chinese");
        f.tantivy = json_get(v, "backend") && json_is_string(json_get(v, "backend"), "tantivy");
        json_u64(json_get(v, "granularity"), &f.granularity);
        json_u64(json_get(v, "false-positive-rate-in-10000"), &f.rate);
    }
    arena_release(&arena);
    return f;
}

static void read_skipping(const char *text, struct region_index_options *o)
{
    struct arena arena;
    const struct json_value *v;
    o->skipping_granularity = 10240;
    o->skipping_rate = 100;
    arena_init(&arena, NULL);
    if (json_parse(&arena, text, strlen(text), &v, NULL) == ST_OK) {
        const struct json_value *type = json_get(v, "index-type");
        json_u64(json_get(v, "granularity"), &o->skipping_granularity);
        json_u64(json_get(v, "false-positive-rate-in-10000"), &o->skipping_rate);
        o->skipping = !type || json_is_string(type, "BloomFilter");
    }
    arena_release(&arena);
    o->skipping &= o->skipping_granularity > 0 && o->skipping_granularity <= UINT32_MAX && o->skipping_rate > 0 && o->skipping_rate <= 10000;
}

struct region_index_options region_index_options(const struct region_column *c)
{
    const char *inverted = column_meta_get(c, "greptime:inverted_index"), *skipping = column_meta_get(c, "greptime:skipping_index");
    struct region_index_options o = {.inverted = inverted && strcasecmp(inverted, "true") == 0,
                                     .fulltext = region_fulltext_read(column_meta_get(c, "greptime:fulltext"))};
    if (skipping)
        read_skipping(skipping, &o);
    /* A tag has no full-text index, whatever it says. */
    o.fulltext.enable &= c->semantic != SEMANTIC_TAG && o.fulltext.granularity > 0 && o.fulltext.granularity <= UINT32_MAX && o.fulltext.rate > 0 &&
                         o.fulltext.rate <= 10000;
    return o;
}
