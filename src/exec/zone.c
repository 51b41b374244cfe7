/* The cache is a list that only grows; its ceiling is far above the 600 names of the database. */
#include "exec/zone.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "os/fs.h"

enum { ZONES_MAX = 4000, NAME_MAX_BYTES = 64, FILE_MAX_BYTES = 1 << 20, PATH_ROOM = 400 };

static struct entry {
    char name[NAME_MAX_BYTES];
    struct tzif zone;
} * entries[ZONES_MAX];
static size_t n_entries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* [+-]H, [+-]HH, [+-]HH:MM, [+-]HHMM */
static bool parse_offset(const char *name, int32_t *ret_s)
{
    char digits[5] = "";
    size_t n = 0;
    int sign = *name == '-' ? -1 : 1;
    if (*name != '+' && *name != '-')
        return false;
    for (const char *p = name + 1; *p; p++) {
        if (*p == ':' && (n == 1 || n == 2) && p[1])
            continue;
        if (!isdigit((unsigned char)*p) || n == 4)
            return false;
        digits[n++] = *p;
    }
    int v = atoi(digits), hours = n > 2 ? v / 100 : v, minutes = n > 2 ? v % 100 : 0;
    *ret_s = sign * (hours * 3600 + minutes * 60);
    return n > 0 && hours < 24 && minutes < 60;
}

struct search {
    const char *wanted;
    size_t size;
    char found[NAME_MAX_BYTES];
};

static int compare_entry(void *ctx, const char *name, bool is_dir, struct error *err)
{
    struct search *s = ctx;
    (void)is_dir;
    (void)err;
    if (strlen(name) == s->size && s->size < sizeof s->found && strncasecmp(name, s->wanted, s->size) == 0)
        snprintf(s->found, sizeof s->found, "%s", name);
    return ST_OK;
}

/* The path of a zone's file, in the file system's own case: part by part. */
static bool find_path(const char *name, char path[PATH_ROOM])
{
    const char *root = getenv("TZDIR");
    size_t n = (size_t)snprintf(path, PATH_ROOM, "%s", root && *root ? root : "/usr/share/zoneinfo");
    while (*name && n < PATH_ROOM) {
        struct search s = {.wanted = name, .size = strcspn(name, "/")};
        if (fs_posix()->ops->list(fs_posix(), path, compare_entry, &s, NULL) != ST_OK || !s.found[0])
            return false;
        n += (size_t)snprintf(path + n, PATH_ROOM - n, "/%s", s.found);
        name += s.size + (name[s.size] == '/');
    }
    return n < PATH_ROOM;
}

static bool is_zone_name(const char *name)
{
    if (!isalpha((unsigned char)*name) || strlen(name) >= NAME_MAX_BYTES)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("/_-+", *name))
            return false;
    return true;
}

static int load(const char *name, struct tzif *ret, struct error *err)
{
    char path[PATH_ROOM];
    int32_t offset;
    struct dynbuf data;
    if (strcasecmp(name, "UTC") == 0 || strcasecmp(name, "Z") == 0) {
        TRY(tzif_fixed(0, ret, err));
        snprintf(ret->types[0].abbreviation, TZIF_ABBREVIATION_MAX, "UTC");
        return ST_OK;
    }
    if (parse_offset(name, &offset))
        return tzif_fixed(offset, ret, err);
    if (!is_zone_name(name) || !find_path(name, path))
        return error_set(err, ST_NOT_FOUND, "unknown time zone \"%.60s\"", name);
    dynbuf_init(&data, FILE_MAX_BYTES);
    int st = fs_read_all(fs_posix(), path, FILE_MAX_BYTES, &data, err);
    if (st == ST_OK)
        st = tzif_decode(data.data, data.size, ret, err);
    dynbuf_release(&data);
    return st;
}

static struct entry *lookup(const char *name)
{
    for (size_t i = 0; i < n_entries; i++)
        if (strcasecmp(entries[i]->name, name) == 0)
            return entries[i];
    return NULL;
}

static int find_locked(const char *name, const struct tzif **ret_zone, struct error *err)
{
    struct entry *e = lookup(name);
    if (!e) {
        if (n_entries == ZONES_MAX)
            return error_set(err, ST_EXHAUSTED, "more than %d time zones", ZONES_MAX);
        if (!(e = calloc(1, sizeof *e)))
            return error_no_memory(err, sizeof *e);
        int st = load(name, &e->zone, err);
        if (st != ST_OK) {
            free(e);
            return st;
        }
        snprintf(e->name, sizeof e->name, "%s", name);
        entries[n_entries++] = e;
    }
    *ret_zone = &e->zone;
    return ST_OK;
}

int zone_find(const char *name, const struct tzif **ret_zone, struct error *err)
{
    if (strlen(name) >= NAME_MAX_BYTES)
        return error_set(err, ST_NOT_FOUND, "unknown time zone \"%.60s\"", name);
    pthread_mutex_lock(&lock);
    int st = find_locked(name, ret_zone, err);
    pthread_mutex_unlock(&lock);
    return st;
}

const struct tzif *zone_of_session(const char *name)
{
    const struct tzif *zone = NULL;
    if (!name || !*name || strcasecmp(name, "SYSTEM") == 0 || zone_find(name, &zone, NULL) != ST_OK)
        return zone_find("UTC", &zone, NULL) == ST_OK ? zone : NULL;
    return zone;
}

int zone_of_type(const struct dtype *t, const struct tzif **ret_zone, struct error *err)
{
    *ret_zone = NULL;
    if (t->id != TYPE_TIMESTAMP || !t->timezone || strcasecmp(t->timezone, "UTC") == 0 || strcmp(t->timezone, "+00:00") == 0)
        return ST_OK;
    int st = zone_find(t->timezone, ret_zone, err);
    return st == ST_NOT_FOUND ? error_set(err, ST_PLAN_QUERY, "unknown time zone \"%.60s\"", t->timezone) : st;
}
