/* Parsing, altering and keeping region options. Numbers and durations are read strictly; keys that are not known are kept and ignored. */
#include "engine/mito/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "engine/mito/manifest.h"
#include "format/json/json.h"
#include "format/proto/wire.h"

enum { OPTIONS_MAX = 1024, NS_PER_MS = 1000000 };

/* ---- the map ---- */

static const char *get(const struct region_options *o, const char *key)
{
    const char *value = kv_list_get(o->kv, o->n_kv, key);
    return value && strcasecmp(value, "null") != 0 ? value : NULL;
}

static int kv_set(struct region_options *o, const char *key, const char *value, struct error *err)
{
    uint32_t i = 0;
    while (i < o->n_kv && strcmp(o->kv[i].key, key) != 0)
        i++;
    if (!value) {
        if (i == o->n_kv)
            return ST_OK;
        free(o->kv[i].key);
        free(o->kv[i].value);
        memmove(o->kv + i, o->kv + i + 1, (o->n_kv - i - 1) * sizeof *o->kv);
        o->n_kv--;
        return ST_OK;
    }
    if (i == o->n_kv) {
        if (o->n_kv >= OPTIONS_MAX)
            return error_set(err, ST_INVALID_ARGUMENTS, "too many region options");
        struct kv *more = realloc(o->kv, (o->n_kv + 2) * sizeof *more);
        if (!more)
            return error_no_memory(err, sizeof *more);
        o->kv = more;
        o->kv[i] = (struct kv){strdup(key), strdup(value)};
        if (!o->kv[i].key || !o->kv[i].value) {
            free(o->kv[i].key);
            free(o->kv[i].value);
            return error_no_memory(err, 64);
        }
        o->n_kv++;
        return ST_OK;
    }
    char *copy = strdup(value);
    if (!copy)
        return error_no_memory(err, 64);
    free(o->kv[i].value);
    o->kv[i].value = copy;
    return ST_OK;
}

/* ---- parsing ---- */

static int bad(const char *key, const char *value, struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "invalid region option %s: '%.100s'", key, value);
}

static int parse_bool(const struct region_options *o, const char *key, bool *ret, struct error *err)
{
    const char *v = get(o, key);
    if (!v)
        return ST_OK;
    if (strcasecmp(v, "true") != 0 && strcasecmp(v, "false") != 0)
        return bad(key, v, err);
    *ret = strcasecmp(v, "true") == 0;
    return ST_OK;
}

static int parse_number(const struct region_options *o, const char *key, uint64_t *ret, struct error *err)
{
    const char *v = get(o, key);
    if (!v)
        return ST_OK;
    struct json_value text = {.kind = JSON_STRING, .string = v, .string_size = strlen(v)};
    return json_u64(&text, ret) ? ST_OK : bad(key, v, err);
}

static int parse_ttl(struct region_options *o, struct error *err)
{
    const char *v = get(o, "ttl");
    int64_t ns;
    if (!v)
        return ST_OK;
    if (strcasecmp(v, "instant") == 0) {
        o->ttl_kind = TTL_INSTANT;
    } else if (strcasecmp(v, "forever") == 0 || !*v) {
        o->ttl_kind = TTL_FOREVER;
    } else if (duration_parse(v, &ns)) {
        o->ttl_ms = ns / NS_PER_MS;
        o->ttl_kind = o->ttl_ms ? TTL_DURATION : TTL_FOREVER;
    } else {
        return bad("ttl", v, err);
    }
    return ST_OK;
}

static int parse_modes(struct region_options *o, bool opening, struct error *err)
{
    const char *merge = get(o, "merge_mode"), *format = get(o, "sst_format"), *encoding = get(o, "memtable.partition_tree.primary_key_encoding");
    bool append = false;
    TRY(parse_bool(o, "append_mode", &append, err));
    o->append_mode = append;
    if (merge && *merge) {
        o->has_merge_mode = true;
        if (strcmp(merge, "last_non_null") == 0)
            o->merge_mode = MERGE_LAST_NON_NULL;
        else if (strcmp(merge, "last_row") != 0) /* the peer's reader of JSON, whose column is the end of {"merge_mode":"<value>" */
            return error_set(err, ST_INVALID_ARGUMENTS, "Invalid options: Matching variant not found at line 1 column %zu", strlen(merge) + 16);
    }
    if (append && o->has_merge_mode) {
        if (!opening)
            return error_set(err, ST_INVALID_ARGUMENTS, "Invalid region options, merge_mode is not allowed when append_mode is enabled");
        o->has_merge_mode = false;
        o->merge_mode = MERGE_LAST_ROW;
    }
    if (format && *format) {
        if (strcmp(format, "flat") != 0 && strcmp(format, "primary_key") != 0)
            return bad("sst_format", format, err);
        o->sst_format = strcmp(format, "flat") == 0 ? SST_FORMAT_FLAT : SST_FORMAT_PRIMARY_KEY;
    }
    if (encoding && strcmp(encoding, "dense") != 0 && strcmp(encoding, "sparse") != 0)
        return bad("memtable.partition_tree.primary_key_encoding", encoding, err);
    o->sparse_key = encoding && strcmp(encoding, "sparse") == 0;
    return ST_OK;
}

static int parse_compaction(struct region_options *o, struct error *err)
{
    const char *type = get(o, "compaction.type"), *window = get(o, "compaction.twcs.time_window"),
               *output = get(o, "compaction.twcs.max_output_file_size");
    uint64_t files = 0;
    int64_t window_ns = 0;
    bool twcs = false;
    for (uint32_t i = 0; i < o->n_kv; i++)
        twcs |= strncmp(o->kv[i].key, "compaction.twcs.", 16) == 0;
    TRY(parse_bool(o, "compaction.override", &o->compaction_override, err));
    o->compaction_override |= type != NULL;
    if (!type)
        return twcs ? error_set(err, ST_INVALID_ARGUMENTS, "compaction.twcs options need compaction.type") : ST_OK;
    if (strcmp(type, "twcs") != 0)
        return bad("compaction.type", type, err);
    const char *number = get(o, "compaction.twcs.trigger_file_num");
    if (number && *number && parse_number(o, "compaction.twcs.trigger_file_num", &files, NULL) != ST_OK)
        return error_set(err, ST_INVALID_ARGUMENTS, "Invalid options: invalid digit found in string");
    if (files > INT32_MAX)
        return bad("compaction.twcs.trigger_file_num", number, err);
    o->trigger_file_num = (int64_t)files;
    if (window && *window && !duration_parse(window, &window_ns))
        return bad("compaction.twcs.time_window", window, err);
    o->compaction_time_window_ms = window_ns / NS_PER_MS;
    if (o->compaction_time_window_ms < 1000)
        o->compaction_time_window_ms = 0;
    if (output && *output && !size_parse(output, &o->max_output_file_bytes))
        return bad("compaction.twcs.max_output_file_size", output, err);
    bool ignored;
    TRY(parse_bool(o, "compaction.twcs.remote_compaction", &ignored, err));
    return parse_bool(o, "compaction.twcs.fallback_to_local", &ignored, err);
}

static int parse_wal(struct region_options *o, struct error *err)
{
    static const char *const names[] = {"raft_engine", "kafka", "noop"};
    const char *v = get(o, "wal_options");
    struct arena arena;
    const struct json_value *json;
    if (!v)
        return ST_OK;
    arena_init(&arena, NULL);
    int st = json_parse(&arena, v, strlen(v), &json, NULL) == ST_OK ? ST_OK : bad("wal_options", v, err);
    if (st == ST_OK) {
        const struct json_value *provider = json_get(json, "wal.provider");
        int found = -1;
        for (int i = 0; i < 3; i++) {
            if (provider && json_is_string(provider, names[i]))
                found = i;
        }
        if (found < 0 || (found == WAL_PROVIDER_KAFKA && !json_text(json_get(json, "wal.kafka.topic"))))
            st = bad("wal_options", v, err);
        else
            o->wal_provider = (enum wal_provider)found;
    }
    arena_release(&arena);
    return st;
}

/* "1,2,3": column ids. */
static int parse_ignored(struct region_options *o, struct error *err)
{
    static const char key[] = "index.inverted_index.ignore_column_ids";
    const char *v = get(o, key), *p = v;
    if (!v || !*v)
        return ST_OK;
    TRY(buffer_new(NULL, (strlen(v) / 2 + 1) * sizeof(uint32_t), &o->index.ignored, err));
    uint32_t *ids = (uint32_t *)(void *)o->index.ignored->data, n = 0;
    for (bool more = true; more; p++) {
        uint64_t id = 0;
        const char *start = p;
        for (; *p >= '0' && *p <= '9' && id <= UINT32_MAX; p++)
            id = id * 10 + (uint64_t)(*p - '0');
        if (p == start || id > UINT32_MAX || (*p && *p != ','))
            return bad(key, v, err);
        ids[n++] = (uint32_t)id;
        more = *p == ',';
    }
    o->index.ignored->size = n * sizeof *ids;
    return ST_OK;
}

/* Everything from o->kv. */
static int parse_all(struct region_options *o, bool opening, struct error *err)
{
    static const char *const numbers[] = {"memtable.partition_tree.index_max_keys_per_shard", "memtable.partition_tree.data_freeze_threshold"};
    uint64_t ignored, bytes;
    TRY(parse_ttl(o, err));
    TRY(parse_modes(o, opening, err));
    TRY(parse_compaction(o, err));
    TRY(parse_wal(o, err));
    TRY(parse_number(o, "index.inverted_index.segment_row_count", &o->index.segment_rows, err));
    TRY(parse_ignored(o, err));
    for (unsigned i = 0; i < 2; i++)
        TRY(parse_number(o, numbers[i], &ignored, err));
    const char *fork = get(o, "memtable.partition_tree.fork_dictionary_bytes"), *kind = get(o, "memtable.type");
    if (fork && !size_parse(fork, &bytes))
        return bad("memtable.partition_tree.fork_dictionary_bytes", fork, err);
    if (kind && strcmp(kind, "time_series") != 0 && strcmp(kind, "partition_tree") != 0 && strcmp(kind, "bulk") != 0)
        return bad("memtable.type", kind, err);
    const char *storage = get(o, "storage");
    if (storage && *storage) {
        o->storage = strdup(storage);
        if (!o->storage)
            return error_no_memory(err, strlen(storage));
    }
    return ST_OK;
}

int region_options_parse(const struct kv *kv, uint32_t n, bool opening, struct region_options *ret_options, struct error *err)
{
    struct region_options o = {.sst_format = -1, .merge_mode = MERGE_LAST_ROW};
    if (n > OPTIONS_MAX)
        return error_set(err, ST_INVALID_ARGUMENTS, "too many region options");
    TRY(kv_list_copy(kv, n, &o.kv, err));
    o.n_kv = n;
    int st = parse_all(&o, opening, err);
    if (st == ST_OK)
        *ret_options = o;
    else
        region_options_release(&o);
    return st;
}

int region_options_copy(const struct region_options *o, struct region_options *ret_copy, struct error *err)
{
    struct region_options copy = *o;
    copy.storage = NULL;
    TRY(kv_list_copy(o->kv, o->n_kv, &copy.kv, err));
    buffer_ref(copy.index.ignored);
    if (o->storage && !(copy.storage = strdup(o->storage))) {
        region_options_release(&copy);
        return error_no_memory(err, 64);
    }
    *ret_copy = copy;
    return ST_OK;
}

void region_options_release(struct region_options *o)
{
    kv_list_free(o->kv, o->n_kv);
    free(o->storage);
    buffer_unref(o->index.ignored);
    *o = (struct region_options){.sst_format = -1};
}

int region_options_to_kv(const struct region_options *o, struct kv **ret_kv, uint32_t *ret_n, struct error *err)
{
    TRY(kv_list_copy(o->kv, o->n_kv, ret_kv, err));
    *ret_n = o->n_kv;
    return ST_OK;
}

/* ---- ALTER ---- */

#define TWCS "compaction.twcs."
static const char *const memory_keys[] = {"ttl", TWCS "trigger_file_num", TWCS "max_output_file_size", TWCS "time_window"};

/* Copies a wire string of at most `room` - 1 bytes. */
static bool take(const struct pb_field *f, char *out, size_t room)
{
    if (f->size >= room || (f->size && memchr(f->data, 0, f->size)))
        return false;
    if (f->size)
        memcpy(out, f->data, f->size);
    out[f->size] = 0;
    return true;
}

static int set_twcs(struct region_options *o, const char *key, const char *value, struct error *err)
{
    if (!get(o, "compaction.type"))
        TRY(kv_set(o, "compaction.type", "twcs", err));
    return kv_set(o, key, value && *value ? value : NULL, err);
}

static int set_option(const struct region_options *old, struct region_options *o, const struct pb_field *option, struct error *err)
{
    struct pb_reader r = pb_inside(option);
    struct pb_field f;
    char key[64] = "", value[256] = "";
    while (pb_next(&r, &f)) {
        if ((f.number == 1 && !(f.wire == PB_BYTES && take(&f, key, sizeof key))) ||
            (f.number == 2 && !(f.wire == PB_BYTES && take(&f, value, sizeof value))))
            return error_set(err, ST_INVALID_ARGUMENTS, "malformed table option");
    }
    if (!pb_done(&r))
        return error_set(err, ST_INVALID_ARGUMENTS, "malformed table option");
    for (unsigned i = 1; i < 4; i++) {
        if (strcasecmp(key, memory_keys[i]) == 0)
            return set_twcs(o, memory_keys[i], value, err);
    }
    if (strcasecmp(key, "ttl") == 0)
        return kv_set(o, "ttl", *value ? value : NULL, err);
    if (strcasecmp(key, "sst_format") == 0)
        return *value ? kv_set(o, "sst_format", value, err) : bad(key, value, err);
    if (strcasecmp(key, "append_mode") == 0) {
        bool on = strcasecmp(value, "true") == 0;
        if (!on && strcasecmp(value, "false") != 0)
            return bad(key, value, err);
        if (!on && old->append_mode == 1)
            return error_set(err, ST_INVALID_ARGUMENTS, "Only allow changing append_mode from false to true");
        if (on)
            TRY(kv_set(o, "merge_mode", NULL, err));
        return kv_set(o, "append_mode", on ? "true" : "false", err);
    }
    return error_set(err, ST_INVALID_ARGUMENTS, "table option %s cannot be set", key);
}

static int unset_option(const struct region_options *old, struct region_options *o, const struct pb_field *f, struct error *err)
{
    char key[64];
    (void)old;
    for (unsigned i = 0; take(f, key, sizeof key) && i < 4; i++) {
        if (strcasecmp(key, memory_keys[i]) == 0)
            return kv_set(o, memory_keys[i], NULL, err);
    }
    return error_set(err, ST_INVALID_ARGUMENTS, "table option %.*s cannot be unset", f->size > 100 ? 100 : (int)f->size, (const char *)f->data);
}

/* What the manifest said at open stands above the map: write it into the map, which is parsed again. */
static int pin_manifest_values(const struct region_options *old, struct region_options *o, struct error *err)
{
    if (old->append_mode == 1) {
        TRY(kv_set(o, "append_mode", "true", err));
        TRY(kv_set(o, "merge_mode", NULL, err));
    }
    if (old->sst_format >= 0)
        return kv_set(o, "sst_format", old->sst_format == SST_FORMAT_FLAT ? "flat" : "primary_key", err);
    return ST_OK;
}

int region_options_alter(const struct region_options *o, const uint8_t *alter_request, size_t size, struct region_options *ret_options,
                         bool *ret_manifest_change, struct error *err)
{
    struct pb_reader r = pb_reader_of(alter_request ? alter_request : (const uint8_t *)"", size);
    struct pb_field f, kind = {0};
    struct region_options map = {0};
    while (pb_next(&r, &f)) {
        if ((f.number == 6 || f.number == 9) && f.wire == PB_BYTES)
            kind = f;
    }
    if (!pb_done(&r) || !kind.data)
        return error_set(err, ST_INVALID_ARGUMENTS, "malformed alter request");
    TRY(kv_list_copy(o->kv, o->n_kv, &map.kv, err));
    map.n_kv = o->n_kv;
    int st = pin_manifest_values(o, &map, err);
    r = pb_inside(&kind);
    while (st == ST_OK && pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            st = kind.number == 6 ? set_option(o, &map, &f, err) : unset_option(o, &map, &f, err);
    }
    if (st == ST_OK && !pb_done(&r))
        st = error_set(err, ST_INVALID_ARGUMENTS, "malformed alter request");
    if (st == ST_OK)
        st = region_options_parse(map.kv, map.n_kv, false, ret_options, err);
    if (st == ST_OK)
        *ret_manifest_change =
            ret_options->append_mode != (o->append_mode == 1) || (ret_options->sst_format >= 0 && ret_options->sst_format != o->sst_format);
    region_options_release(&map);
    return st;
}
