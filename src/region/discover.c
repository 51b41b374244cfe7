/* Regions that nobody told this node about: the folder of a GreptimeDB datanode, whose list of regions is kept by its metasrv.
 *
 * The folders below data/ say which regions there are: {path}/{table id}/{table id}_{sequence}/, with a manifest in it (mito), or with data/ and
 * metadata/ (metric). What they do not say are the options that only a metasrv keeps: merge_mode, ttl, and often append_mode. Under the wrong
 * ones a flush would merge away rows that the table is to keep. Regions found so are therefore open for reading only, until an open or create request
 * brings their options (`regionctl open`); the list remembers that they were found.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "region/internal.h"

enum { DEPTH_MAX = 8, PATH_BYTES = 4096 };

struct walk {
    struct region_server *server;
    char path[PATH_BYTES]; /* the folder being listed */
    size_t root;           /* length of "{home}/data/" */
    unsigned depth;
    uint64_t found;
};

struct names {
    char **names;
    size_t n, capacity;
};

static int collect(void *ctx, const char *name, bool is_dir, struct error *err)
{
    struct names *l = ctx;
    if (!is_dir)
        return ST_OK;
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 16;
        char **grown = realloc(l->names, capacity * sizeof(*grown));
        if (!grown)
            return error_no_memory(err, capacity * sizeof(*grown));
        l->names = grown;
        l->capacity = capacity;
    }
    if (!(l->names[l->n] = strdup(name)))
        return error_no_memory(err, strlen(name));
    l->n++;
    return ST_OK;
}

static bool exists_below(const struct walk *w, const char *name)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof(path), "%s/%s", w->path, name);
    return fs_exists(w->server->options.fs, path);
}

/* Whether `name` inside the folder `parent` is a region's: "{table}_{sequence}" in "{table}". */
static bool parse_region(const char *parent, const char *name, uint64_t *ret_id)
{
    uint32_t table, sequence;
    char again[32];
    if (sscanf(name, "%" SCNu32 "_%" SCNu32, &table, &sequence) != 2 || sequence > 0xffffff)
        return false;
    snprintf(again, sizeof(again), "%" PRIu32 "_%010" PRIu32, table, sequence);
    if (strcmp(name, again) || strncmp(again, parent, strlen(parent)) || again[strlen(parent)] != '_')
        return false;
    *ret_id = (uint64_t)table << 32 | sequence;
    return true;
}

/* w->path is the region's folder, `path` the one that its request would name. */
static int adopt(struct walk *w, uint64_t id, const char *path, struct error *err)
{
    struct region_server *s = w->server;
    struct kv physical = {(char *)"physical_metric_table", (char *)""};
    bool metric = exists_below(w, "data/manifest") && exists_below(w, "metadata/manifest");
    const char *engine = metric ? "metric" : exists_below(w, "manifest/_file_manifest") ? "file" : "mito";
    if (exists_below(w, ".dropping") || (!metric && !exists_below(w, "manifest")))
        return ST_OK; /* what is left of a drop */
    TRY(region_list_adopt(s, id, engine, path, &physical, metric, err));
    w->found++;
    log_info("region", "found region %" PRIu64 "(%u, %u) of engine %s in %s", id, (unsigned)(id >> 32), (unsigned)id, engine, w->path);
    return ST_OK;
}

static int walk_folder(struct walk *w, struct error *err);

static int walk_child(struct walk *w, const char *name, struct error *err)
{
    size_t size = strlen(w->path);
    uint64_t id;
    const char *parent = strrchr(w->path, '/') + 1;
    if (size + 1 + strlen(name) >= PATH_BYTES)
        return ST_OK;
    bool region = parse_region(parent, name, &id);
    char path[PATH_BYTES] = "";
    if (region && parent > w->path + w->root)
        snprintf(path, sizeof(path), "%.*s", (int)(parent - 1 - (w->path + w->root)), w->path + w->root);
    sprintf(w->path + size, "/%s", name);
    w->depth++;
    int rc = region ? adopt(w, id, path, err) : w->depth < DEPTH_MAX ? walk_folder(w, err) : ST_OK;
    w->depth--;
    w->path[size] = 0;
    return rc;
}

static int walk_folder(struct walk *w, struct error *err)
{
    struct names l = {0};
    struct fs *fs = w->server->options.fs;
    int rc = fs->ops->list(fs, w->path, collect, &l, err);
    for (size_t i = 0; i < l.n; i++) {
        if (rc == ST_OK)
            rc = walk_child(w, l.names[i], err);
        free(l.names[i]);
    }
    free(l.names);
    return rc == ST_NOT_FOUND ? ST_OK : rc;
}

int region_discover(struct region_server *s, struct error *err)
{
    struct walk *w = calloc(1, sizeof(*w));
    if (!w)
        return error_no_memory(err, sizeof(*w));
    w->server = s;
    w->root = (size_t)snprintf(w->path, PATH_BYTES, "%s", s->options.data_dir) + 1;
    int rc = w->root < PATH_BYTES ? walk_folder(w, err) : ST_OK;
    if (rc == ST_OK && w->found)
        log_warn("region",
                 "there was no list of regions, but %" PRIu64 " regions in %s: they are open for reading only until their options are known, see "
                 "`regionctl open --help`",
                 w->found, s->options.data_dir);
    free(w);
    return rc;
}
