#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "config/toml.h"
#include "os/thread.h"

enum kind { KIND_BOOL, KIND_U64, KIND_TEXT, KIND_DURATION, KIND_SIZE, KIND_LIST, KIND_LIMIT };
enum { OURS = 1, SECRET = 2, COMPUTED = 4 };

static const struct option {
    const char *section, *key;
    enum kind kind;
    const char *def;
    int flags;
} options[OPT_COUNT] = {
#define OPTION(id, section, key, kind, def, flags) {section, key, KIND_##kind, def, flags},
#include "config/options.def"
#undef OPTION
};

struct value {
    bool set, explicitly; /* has a value; was set by flag, file or environment */
    uint64_t number;      /* BOOL, U64, SIZE (bytes), DURATION (ns) */
    char *text;           /* TEXT, LIMIT */
    char **items;
    uint32_t n_items;
};

struct config {
    struct value values[OPT_COUNT];
};

/* ---- values ---- */

static void value_clear(struct value *v)
{
    for (uint32_t i = 0; i < v->n_items; i++)
        free(v->items[i]);
    free(v->items);
    free(v->text);
    *v = (struct value){0};
}

static int set_items(struct value *v, const char *const *items, size_t n, struct error *err)
{
    v->items = calloc(n + 1, sizeof *v->items);
    for (; v->items && v->n_items < n; v->n_items++)
        if (!(v->items[v->n_items] = strdup(items[v->n_items])))
            return error_no_memory(err, 64);
    v->set = true;
    return v->items ? ST_OK : error_no_memory(err, n * sizeof *v->items);
}

/* "a,b" as a list. */
static int set_comma_list(struct value *v, const char *text, struct error *err)
{
    const char *items[64];
    size_t n = 0;
    char *copy = strdup(text), *save = NULL;
    for (char *item = copy ? strtok_r(copy, ",", &save) : NULL; item && n < 64; item = strtok_r(NULL, ",", &save))
        items[n++] = item;
    int st = copy ? set_items(v, items, n, err) : error_no_memory(err, 64);
    free(copy);
    return st;
}

static bool limit_is_valid(const char *text)
{
    uint64_t bytes;
    char *end;
    if (strcasecmp(text, "unlimited") == 0 || strcasecmp(text, "auto") == 0)
        return true;
    unsigned long percent = strtoul(text, &end, 10);
    if (end != text && strcmp(end, "%") == 0)
        return percent <= 100;
    return size_parse(text, &bytes);
}

/* From text, as flags, the environment and defaults give it. */
static int set_text(struct value *v, const struct option *o, const char *text, struct error *err)
{
    int64_t ns;
    char *end;
    switch (o->kind) {
    case KIND_BOOL:
        if (strcasecmp(text, "true") != 0 && strcasecmp(text, "false") != 0)
            return error_set(err, ST_INVALID_ARGUMENTS, "invalid value: string \"%s\", expected a boolean, for key %s", text, o->key);
        v->number = strcasecmp(text, "true") == 0;
        break;
    case KIND_U64:
        v->number = strtoull(text, &end, 10);
        if (end == text || *end || *text == '-')
            return error_set(err, ST_INVALID_ARGUMENTS, "invalid type: string \"%s\", expected u64, for key %s", text, o->key);
        break;
    case KIND_SIZE:
        if (!size_parse(text, &v->number))
            return error_set(err, ST_INVALID_ARGUMENTS, "invalid value: string \"%s\", expected a size such as \"64MiB\", for key %s", text, o->key);
        break;
    case KIND_DURATION:
        if (!duration_parse(text, &ns))
            return error_set(err, ST_INVALID_ARGUMENTS, "invalid value: string \"%s\", expected a duration, for key %s", text, o->key);
        v->number = (uint64_t)ns;
        break;
    case KIND_LIST:
        return set_comma_list(v, text, err);
    case KIND_LIMIT:
        if (!limit_is_valid(text))
            return error_set(err, ST_INVALID_ARGUMENTS,
                             "invalid value: string \"%s\", expected a memory limit such as \"2GiB\", \"50%%\" or \"unlimited\", for key %s", text,
                             o->key);
        /* fall through */
    case KIND_TEXT:
        v->text = strdup(text);
        if (!v->text)
            return error_no_memory(err, strlen(text));
        break;
    }
    v->set = true;
    return ST_OK;
}

/* From a TOML leaf: types are strict (section 2). */
static int set_leaf(struct value *v, const struct option *o, const struct toml_leaf *leaf, struct error *err)
{
    static const char *const want[] = {"a boolean", "u64", "a string", "a duration", "a size", "a list of strings", "a string"};
    bool good = false;
    switch (o->kind) {
    case KIND_BOOL: good = leaf->kind == TOML_BOOLEAN; break;
    case KIND_U64: good = leaf->kind == TOML_INTEGER && leaf->integer >= 0; break;
    case KIND_SIZE: good = leaf->kind == TOML_TEXT || (leaf->kind == TOML_INTEGER && leaf->integer >= 0); break;
    case KIND_LIST: good = leaf->kind == TOML_LIST && leaf->n_items != SIZE_MAX; break;
    default: good = leaf->kind == TOML_TEXT;
    }
    if (!good)
        return error_set(err, ST_INVALID_ARGUMENTS, "line %u: invalid type of %s: %s, expected %s", leaf->line, leaf->path, leaf->text,
                         want[o->kind]);
    int st = o->kind == KIND_LIST ? set_items(v, leaf->items, leaf->n_items, err) : set_text(v, o, leaf->text, err);
    return st == ST_OK ? ST_OK : error_prefix(err, "line %u", leaf->line);
}

/* ---- sources ---- */

int config_new(struct config **ret_config, struct error *err)
{
    struct config *c = calloc(1, sizeof *c);
    if (!c)
        return error_no_memory(err, sizeof *c);
    for (int i = 0; i < OPT_COUNT; i++) {
        int st = options[i].def ? set_text(&c->values[i], &options[i], options[i].def, err) : ST_OK;
        if (st != ST_OK) {
            config_free(c);
            return st;
        }
    }
    *ret_config = c;
    return ST_OK;
}

void config_free(struct config *c)
{
    for (int i = 0; c && i < OPT_COUNT; i++)
        value_clear(&c->values[i]);
    free(c);
}

/* Replaces a default; what was set explicitly before stays. */
static int replace(struct config *c, enum option_id id, const char *text, const struct toml_leaf *leaf, struct error *err)
{
    struct value *v = &c->values[id], fresh = {0};
    int st = leaf ? set_leaf(&fresh, &options[id], leaf, err) : set_text(&fresh, &options[id], text, err);
    if (st == ST_OK && !v->explicitly) {
        value_clear(v);
        *v = fresh;
        v->explicitly = true;
        return ST_OK;
    }
    value_clear(&fresh);
    return st;
}

int config_set_flag(struct config *c, enum option_id id, const char *text, struct error *err)
{
    return replace(c, id, text, NULL, err);
}

static int find_option(const char *path)
{
    char full[256];
    for (int i = 0; i < OPT_COUNT; i++) {
        snprintf(full, sizeof full, "%s%s%s", options[i].section, *options[i].section ? "." : "", options[i].key);
        if (strcmp(full, path) == 0)
            return i;
    }
    return -1;
}

/* Deprecated spellings (4.8). */
static int find_deprecated(const char *path)
{
    static const struct { const char *path; enum option_id id; } old[] = {
        {"rpc_addr", OPT_GRPC_BIND_ADDR}, {"rpc_hostname", OPT_GRPC_SERVER_ADDR}, {"rpc_runtime_size", OPT_GRPC_RUNTIME_SIZE},
        {"rpc_max_recv_message_size", OPT_GRPC_MAX_RECV}, {"rpc_max_send_message_size", OPT_GRPC_MAX_SEND}};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        if (strcmp(old[i].path, path) == 0)
            return (int)old[i].id;
    return -1;
}

/* Edit distance, up to 3. */
static int distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    int row[80];
    if (n > 70 || m > 70)
        return 99;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            best = up + 1 < best ? up + 1 : best;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[m];
}

/* The option of our own that the path probably means. */
static const struct option *misspelt(const char *path)
{
    char full[256];
    for (int i = 0; i < OPT_COUNT; i++) {
        snprintf(full, sizeof full, "%s%s%s", options[i].section, *options[i].section ? "." : "", options[i].key);
        if (options[i].flags & OURS && distance(full, path) <= 2)
            return &options[i];
    }
    return NULL;
}

struct loading {
    struct config *config;
    void (*warn)(void *ctx, const char *text);
    void *warn_ctx;
    struct error *err;
};

static int take_leaf(void *ctx, const struct toml_leaf *leaf)
{
    struct loading *l = ctx;
    char text[400];
    int id = find_option(leaf->path);
    if (id < 0)
        id = find_deprecated(leaf->path);
    if (id >= 0 && (enum option_id)id == OPT_STORAGE_PROVIDERS)
        return ST_OK;
    if (id >= 0)
        return replace(l->config, (enum option_id)id, NULL, leaf, l->err);
    const struct option *meant = misspelt(leaf->path);
    if (meant)
        return error_set(l->err, ST_INVALID_ARGUMENTS, "line %u: unknown key %s, did you mean %s%s%s?", leaf->line, leaf->path, meant->section,
                         *meant->section ? "." : "", meant->key);
    /* Tables that the peer documents and whose members are free. */
    if (strncmp(leaf->path, "storage.providers.", 18) == 0 || strncmp(leaf->path, "logging.otlp_headers.", 21) == 0 ||
        strncmp(leaf->path, "logging.tracing_sample_ratio.", 29) == 0 || strcmp(leaf->path, "plugins") == 0)
        return ST_OK;
    snprintf(text, sizeof text, "line %u: unknown configuration key %s is ignored", leaf->line, leaf->path);
    if (l->warn)
        l->warn(l->warn_ctx, text);
    return ST_OK;
}

int config_load_toml(struct config *c, const char *text, size_t size, const char *name, void (*each_warning)(void *ctx, const char *text), void *ctx,
                     struct error *err)
{
    struct loading l = {c, each_warning, ctx, err};
    char message[256];
    int st = toml_walk(text, size, take_leaf, &l, message, sizeof message);
    if (st == -1)
        return error_set(err, ST_INVALID_ARGUMENTS, "configuration file \"%s\": %s", name, message);
    return st == ST_OK ? ST_OK : error_prefix(err, "configuration file \"%s\"", name);
}

int config_load_environment(struct config *c, char *const *environment, const char *prefix, struct error *err)
{
    char name[256];
    for (int i = 0; i < OPT_COUNT; i++) {
        size_t n = (size_t)snprintf(name, sizeof name, "%s__", prefix);
        for (const char *p = options[i].section; *p && n + 3 < sizeof name; p++) {
            name[n++] = *p == '.' ? '_' : *p;
            if (*p == '.')
                name[n++] = '_';
        }
        snprintf(name + n, sizeof name - n, "%s%s=", *options[i].section ? "__" : "", options[i].key);
        for (char *const *e = environment; *e; e++)
            if (strncasecmp(*e, name, strlen(name)) == 0)
                TRY(replace(c, (enum option_id)i, *e + strlen(name), NULL, err));
    }
    return ST_OK;
}

/* ---- computed defaults ---- */

static void default_number(struct config *c, enum option_id id, uint64_t number)
{
    if (!c->values[id].set)
        c->values[id] = (struct value){.set = true, .number = number};
}

static uint64_t at_most(uint64_t value, uint64_t cap)
{
    return value < cap ? value : cap;
}

static int one_of(const struct config *c, enum option_id id, const char *const *allowed, struct error *err)
{
    char all[128] = "";
    const char *text = config_text(c, id);
    for (const char *const *a = allowed; *a; a++) {
        if (strcmp(*a, text) == 0)
            return ST_OK;
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", *a);
    }
    return error_set(err, ST_INVALID_ARGUMENTS, "unknown variant `%s` of %s.%s, expected one of %s", text, options[id].section, options[id].key, all);
}

/* Else a port that is missing, misspelt or too large would become another one, silently. 0 is any that is free. */
static int check_port(const struct config *c, enum option_id id, struct error *err)
{
    const char *addr = config_text(c, id), *colon = strrchr(addr, ':'), *port = colon ? colon + 1 : "";
    size_t digits = strspn(port, "0123456789");
    if (digits && digits <= 5 && !port[digits] && atoi(port) <= 65535)
        return ST_OK;
    return error_set(err, ST_INVALID_ARGUMENTS, "%s.%s \"%s\" does not end in a port, like 127.0.0.1:3001", options[id].section, options[id].key,
                     addr);
}

/* "wait", "wait(<duration>)" or "fail"; "skip" is an old name of the last. */
static bool policy_parse(const char *text, int64_t *ret_wait_ms)
{
    enum { WAIT_MS = 10000 };
    char duration[32];
    size_t n = strlen(text);
    int64_t ns = 0;
    *ret_wait_ms = strcasecmp(text, "wait") == 0 ? WAIT_MS : 0;
    if (*ret_wait_ms || strcasecmp(text, "fail") == 0 || strcasecmp(text, "skip") == 0)
        return true;
    if (n < 7 || n > sizeof duration || strncasecmp(text, "wait(", 5) != 0 || text[n - 1] != ')')
        return false;
    snprintf(duration, sizeof duration, "%.*s", (int)(n - 6), text + 5);
    if (!duration_parse(duration, &ns))
        return false;
    *ret_wait_ms = ns / 1000000;
    return true;
}

int64_t config_wait_ms(const struct config *c, enum option_id id)
{
    int64_t ms;
    return policy_parse(config_text(c, id), &ms) ? ms : 0;
}

static int check_policy(const struct config *c, enum option_id id, struct error *err)
{
    int64_t ms;
    if (policy_parse(config_text(c, id), &ms))
        return ST_OK;
    return error_set(err, ST_INVALID_ARGUMENTS, "invalid memory policy: %s, expected wait, wait(<duration>), fail, for key %s.%s", config_text(c, id),
                     options[id].section, options[id].key);
}

int config_finish(struct config *c, struct error *err)
{
    static const char *const providers[] = {"raft_engine", "kafka", "noop", NULL}, *const stores[] = {"File", "S3", "Oss", "Azblob", "Gcs", NULL},
                             *const compressions[] = {"none", "transport", "arrow_ipc", "all", NULL},
                             *const durabilities[] = {"fsync", "interval", "os", NULL}, *const formats[] = {"text", "json", NULL};
    /* Everything that the node keeps in memory is sized from memory_limit, not from the machine. */
    uint64_t cores = cpu_count(), mem = config_limit_bytes(c, OPT_MEMORY_LIMIT), mib = 1 << 20;
    if (mem == SIZE_MAX)
        mem = memory_total_bytes();
    TRY(check_port(c, OPT_GRPC_BIND_ADDR, err));
    TRY(check_port(c, OPT_HTTP_ADDR, err));
    TRY(one_of(c, OPT_WAL_PROVIDER, providers, err));
    TRY(one_of(c, OPT_STORAGE_TYPE, stores, err));
    TRY(check_policy(c, OPT_MITO_COMPACTION_EXHAUSTED, err));
    TRY(check_policy(c, OPT_MITO_SCAN_EXHAUSTED, err));
    TRY(one_of(c, OPT_GRPC_FLIGHT_COMPRESSION, compressions, err));
    if (*config_text(c, OPT_LOG_FORMAT))
        TRY(one_of(c, OPT_LOG_FORMAT, formats, err));
    if (config_is_set(c, OPT_WAL_DURABILITY))
        TRY(one_of(c, OPT_WAL_DURABILITY, durabilities, err));
    default_number(c, OPT_WAL_RECOVERY_PARALLELISM, cores);
    default_number(c, OPT_MITO_NUM_WORKERS, (cores + 1) / 2);
    default_number(c, OPT_MITO_INDEX_BUILDS, (cores + 7) / 8);
    default_number(c, OPT_MITO_FLUSHES, (cores + 1) / 2);
    default_number(c, OPT_MITO_COMPACTIONS, (cores + 3) / 4);
    default_number(c, OPT_MITO_PURGES, cores);
    default_number(c, OPT_MITO_WRITE_BUFFER, at_most(mem / 8, 1024 * mib));
    if (config_u64(c, OPT_MITO_WRITE_BUFFER) < 5 * mib)
        c->values[OPT_MITO_WRITE_BUFFER].number = 5 * mib;
    default_number(c, OPT_MITO_WRITE_REJECT, config_u64(c, OPT_MITO_WRITE_BUFFER) * 2);
    if (config_u64(c, OPT_MITO_WRITE_REJECT) <= config_u64(c, OPT_MITO_WRITE_BUFFER))
        c->values[OPT_MITO_WRITE_REJECT].number = config_u64(c, OPT_MITO_WRITE_BUFFER) * 2;
    default_number(c, OPT_MITO_META_CACHE, at_most(mem / 32, 128 * mib));
    default_number(c, OPT_MITO_VECTOR_CACHE, at_most(mem / 16, 512 * mib));
    default_number(c, OPT_MITO_PAGE_CACHE,
                   at_most(mem / 8, 64 * mib)); /* the peer's has no bound; beyond this one, memory is better left to queries */
    default_number(c, OPT_MITO_SELECTOR_CACHE, at_most(mem / 16, 512 * mib));
    default_number(c, OPT_MITO_RANGE_CACHE, at_most(mem / 16, 512 * mib));
    default_number(c, OPT_MITO_INDEX_META_CACHE, at_most(mem / 32, 64 * mib));
    default_number(c, OPT_MITO_INDEX_CONTENT_CACHE, at_most(mem / 16, 128 * mib));
    default_number(c, OPT_MITO_INDEX_RESULT_CACHE, at_most(mem / 16, 128 * mib));
    return ST_OK;
}

/* ---- reading ---- */

bool config_is_set(const struct config *c, enum option_id id)
{
    return c->values[id].set;
}

bool config_bool(const struct config *c, enum option_id id)
{
    return c->values[id].number != 0;
}

uint64_t config_u64(const struct config *c, enum option_id id)
{
    return c->values[id].number;
}

int64_t config_duration_ms(const struct config *c, enum option_id id)
{
    return (int64_t)c->values[id].number / 1000000;
}

const char *config_text(const struct config *c, enum option_id id)
{
    return c->values[id].text ? c->values[id].text : "";
}

uint32_t config_list(const struct config *c, enum option_id id, const char *const **ret_items)
{
    *ret_items = (const char *const *)c->values[id].items;
    return c->values[id].n_items;
}

size_t config_limit_bytes(const struct config *c, enum option_id id)
{
    const char *text = config_text(c, id);
    uint64_t bytes;
    char *end;
    unsigned long percent = strtoul(text, &end, 10);
    if (end != text && strcmp(end, "%") == 0)
        return percent == 0 ? SIZE_MAX : (size_t)(memory_total_bytes() / 100 * percent);
    if (!size_parse(text, &bytes) || bytes == 0)
        return SIZE_MAX;
    return bytes;
}

/* ---- printing ---- */

static int print_quoted(struct dynbuf *out, const char *text, struct error *err)
{
    TRY(dynbuf_append_byte(out, '"', err));
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            TRY(dynbuf_append_byte(out, '\\', err));
        if ((unsigned char)*text < 0x20)
            TRY(dynbuf_printf(out, err, "\\u%04x", *text));
        else
            TRY(dynbuf_append_byte(out, (uint8_t)*text, err));
    }
    return dynbuf_append_byte(out, '"', err);
}

static int print_value(struct dynbuf *out, const struct option *o, const struct value *v, struct error *err)
{
    char text[128], quoted[136];
    if (o->flags & SECRET)
        return dynbuf_printf(out, err, "\"******\"");
    switch (o->kind) {
    case KIND_BOOL:
        return dynbuf_printf(out, err, "%s", v->number ? "true" : "false");
    case KIND_U64:
        return dynbuf_printf(out, err, "%llu", (unsigned long long)v->number);
    case KIND_SIZE:
        config_format_size(v->number, text, sizeof text);
        return dynbuf_printf(out, err, "%s", text);
    case KIND_DURATION:
        config_format_duration((int64_t)v->number, text, sizeof text);
        snprintf(quoted, sizeof quoted, "\"%s\"", text);
        return dynbuf_printf(out, err, "%s", quoted);
    case KIND_LIST:
        TRY(dynbuf_append_byte(out, '[', err));
        for (uint32_t i = 0; i < v->n_items; i++) {
            if (i)
                TRY(dynbuf_append(out, ", ", 2, err));
            TRY(print_quoted(out, v->items[i], err));
        }
        return dynbuf_append_byte(out, ']', err);
    default:
        return print_quoted(out, v->text, err);
    }
}

int config_print(const struct config *c, struct dynbuf *out, struct error *err)
{
    const char *section = "";
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option *o = &options[i];
        if (!c->values[i].set || strcmp(o->section, "runtime") == 0)
            continue;
        if (strcmp(section, o->section) != 0) {
            if (strncmp(o->section, "region_engine.", 14) == 0 && !strchr(o->section + 14, '.'))
                TRY(dynbuf_printf(out, err, "\n[[region_engine]]\n"));
            TRY(dynbuf_printf(out, err, "\n[%s]\n", o->section));
            section = o->section;
        }
        TRY(dynbuf_printf(out, err, "%s = ", o->key));
        TRY(print_value(out, o, &c->values[i], err));
        TRY(dynbuf_append_byte(out, '\n', err));
    }
    return ST_OK;
}
