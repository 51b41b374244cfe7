/* Talking to the node: requests over gRPC, the list of regions over HTTP, and names of regions.
 *
 * A region has no name in the protocol. regionctl creates a named one under the path `regionctl/<name>` with a table id made of the name's hash, so
 * that it is found again by its path in /status or, when that cannot be read, by its hash.
 */
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "ctl/commands.h"
#include "format/json/json.h"
#include "format/proto/wire.h"

enum { STATUS_BYTES_MAX = 64 << 20, RESPONSE_BYTES_MAX = 256 << 20, HTTP_TIMEOUT_S = 10, CALL_TIMEOUT_MS = 600000 };
enum { NAME_TABLE_FIRST = 1 << 20, NAME_TABLES = 1 << 28, NAME_PROBES = 64 };
enum { REQUEST_LIST_METADATA = 18 };

int ctl_connect(struct ctl *c, struct error *err)
{
    return c->client ? ST_OK : rpc_client_new(c->addr, CALL_TIMEOUT_MS, &c->client, err);
}

/* ---- HTTP ---- */
static int http_connect(const char *addr, int *ret_fd, struct error *err)
{
    char host[256];
    const char *colon = strrchr(addr, ':');
    size_t n = colon ? (size_t)(colon - addr) : 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (!colon || n >= sizeof host)
        return error_set(err, ST_INVALID_ARGUMENTS, "the HTTP address '%s' is not HOST:PORT", addr);
    if (n > 2 && addr[0] == '[' && addr[n - 1] == ']')
        snprintf(host, sizeof host, "%.*s", (int)n - 2, addr + 1);
    else
        snprintf(host, sizeof host, "%.*s", (int)n, addr);
    int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc)
        return error_set(err, ST_STORAGE, "cannot resolve %s: %s", addr, gai_strerror(rc));
    int fd = -1;
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        struct timeval wait = {.tv_sec = HTTP_TIMEOUT_S};
        if (fd >= 0) {
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        }
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
            break;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0)
        return error_set(err, ST_STORAGE, "cannot connect to http://%s: %m", addr);
    *ret_fd = fd;
    return ST_OK;
}

/* An HTTP/1.0 GET, so that the body ends with the connection; the whole answer goes to `out`. */
static int http_get(const char *addr, const char *path, struct dynbuf *out, struct error *err)
{
    char request[512];
    int fd = -1;
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %.200s\r\nConnection: close\r\n\r\n", path, addr);
    TRY(http_connect(addr, &fd, err));
    int rc = ST_OK;
    for (int sent = 0; sent < n && rc == ST_OK;) {
        ssize_t k = send(fd, request + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (k <= 0)
            rc = error_set(err, ST_STORAGE, "cannot send to http://%s: %m", addr);
        else
            sent += (int)k;
    }
    while (rc == ST_OK) {
        rc = dynbuf_reserve(out, 65536, err);
        ssize_t k = rc ? 0 : recv(fd, out->data + out->size, 65536, 0);
        if (k < 0)
            rc = error_set(err, ST_STORAGE, "cannot read from http://%s: %m", addr);
        if (k <= 0)
            break;
        out->size += (size_t)k;
    }
    close(fd);
    return rc;
}

static int body_of(const struct dynbuf *answer, const char *addr, const char **ret_body, size_t *ret_size, struct error *err)
{
    const char *text = (const char *)answer->data;
    const char *gap = answer->size ? memmem(text, answer->size, "\r\n\r\n", 4) : NULL;
    if (answer->size < 12 || memcmp(text, "HTTP/1.", 7) || !gap)
        return error_set(err, ST_UNEXPECTED, "http://%s does not answer in HTTP", addr);
    if (memcmp(text + 8, " 200", 4))
        return error_set(err, ST_UNEXPECTED, "http://%s/status answers%.4s", addr, text + 8);
    *ret_body = gap + 4;
    *ret_size = answer->size - (size_t)(gap + 4 - text);
    return ST_OK;
}

static const char *text_member(const struct json_value *v, const char *name)
{
    const char *text = json_text(json_get(v, name));
    return text ? text : "";
}

static int read_regions(struct ctl *c, const char *body, size_t size, struct ctl_region **ret_regions, uint32_t *ret_n, struct error *err)
{
    const struct json_value *root;
    char *copy = arena_copy(&c->arena, body, size, err);
    if (!copy)
        return ST_NO_MEMORY;
    int rc = json_parse(&c->arena, copy, size, &root, err);
    if (rc)
        return error_prefix(err, "http://%s/status", c->http);
    const struct json_value *list = json_get(root, "regions");
    if (!json_is(list, JSON_ARRAY))
        return error_set(err, ST_UNEXPECTED, "http://%s/status lists no regions", c->http);
    struct ctl_region *regions = ARENA_ARRAY(&c->arena, (size_t)list->count + 1, struct ctl_region, err);
    if (!regions)
        return ST_NO_MEMORY;
    uint32_t n = 0;
    for (const struct json_value *v = list->first; v; v = v->next) {
        struct ctl_region *r = &regions[n];
        if (!json_u64(json_get(v, "id"), &r->id))
            continue;
        json_u64(json_get(v, "rows"), &r->rows);
        json_u64(json_get(v, "memtable_bytes"), &r->memtable_bytes);
        json_u64(json_get(v, "sst_num"), &r->sst_num);
        json_u64(json_get(v, "sst_bytes"), &r->sst_bytes);
        r->found = json_is(json_get(v, "found"), JSON_TRUE);
        r->engine = text_member(v, "engine");
        r->state = text_member(v, "state");
        r->role = text_member(v, "role");
        r->path = text_member(v, "path");
        r->error = text_member(v, "error");
        n++;
    }
    *ret_regions = regions;
    *ret_n = n;
    return ST_OK;
}

int ctl_regions(struct ctl *c, struct ctl_region **ret_regions, uint32_t *ret_n, struct error *err)
{
    struct dynbuf answer;
    const char *body = NULL;
    size_t size = 0;
    dynbuf_init(&answer, STATUS_BYTES_MAX);
    int rc = http_get(c->http, "/status", &answer, err);
    if (rc == ST_OK)
        rc = body_of(&answer, c->http, &body, &size, err);
    if (rc == ST_OK)
        rc = read_regions(c, body, size, ret_regions, ret_n, err);
    dynbuf_release(&answer);
    return rc;
}

/* ---- names ---- */
static bool number_of(const char *p, const char *end, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    if (p == end)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    }
    *ret = v;
    return v <= max;
}

static bool parse_id(const char *text, uint64_t *ret_id)
{
    const char *colon = strchr(text, ':'), *end = text + strlen(text);
    uint64_t table, number;
    if (!colon)
        return number_of(text, end, UINT64_MAX, ret_id);
    if (!number_of(text, colon, UINT32_MAX, &table) || !number_of(colon + 1, end, UINT32_MAX, &number))
        return false;
    *ret_id = table << 32 | number;
    return true;
}

bool ctl_is_name(const char *text)
{
    uint64_t id;
    return !parse_id(text, &id);
}

static bool valid_name(const char *name)
{
    size_t n = strlen(name);
    return n && n <= 128 && name[0] != '.' && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == n;
}

/* FNV-1a: must never change, or regions are not found again. */
static uint32_t name_hash(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 32);
}

/* Whether the path is, or holds as whole parts, regionctl/<name>. */
static bool path_has_name(const char *path, const char *name)
{
    char want[160];
    size_t n = (size_t)snprintf(want, sizeof want, "regionctl/%s", name);
    for (const char *p = strstr(path, want); p; p = strstr(p + 1, want)) {
        if ((p == path || p[-1] == '/') && (p[n] == 0 || p[n] == '/'))
            return true;
    }
    return false;
}

int ctl_resolve(struct ctl *c, const char *text, uint64_t *ret_id, struct error *err)
{
    struct ctl_region *regions = NULL;
    uint32_t n = 0, probe = 0;
    if (parse_id(text, ret_id))
        return ST_OK;
    if (!valid_name(text))
        return ctl_usage(c, err, "'%.150s' is neither a region id nor TABLE:NUMBER nor a name (letters, digits, _ - .)", text);
    struct error ignored;
    if (ctl_regions(c, &regions, &n, &ignored) != ST_OK)
        n = 0;
    uint64_t id = (uint64_t)(NAME_TABLE_FIRST + name_hash(text) % NAME_TABLES) << 32;
    for (uint32_t i = 0; i < n; i++) {
        if (path_has_name(regions[i].path, text)) {
            *ret_id = regions[i].id;
            return ST_OK;
        }
    }
    for (uint32_t i = 0; i < n && probe < NAME_PROBES; i++) {
        if (regions[i].id == id && *regions[i].path) { /* another name's: take the next table and look again */
            id += (uint64_t)1 << 32;
            probe++;
            i = UINT32_MAX;
        }
    }
    *ret_id = id;
    return ST_OK;
}

/* ---- requests ---- */
static int read_rows(const struct dynbuf *response, uint64_t *ret_rows, struct pb_field *ret_metadata, struct error *err)
{
    struct pb_field f, g, h;
    struct pb_reader r = pb_reader_of(response->data, response->size);
    uint64_t rows = 0, code = 0;
    while (pb_next(&r, &f)) {
        if (f.number == 2 && f.wire == PB_VARINT)
            rows = f.value;
        else if (f.number == 4 && f.wire == PB_BYTES && ret_metadata)
            *ret_metadata = f;
        else if (f.number == 1 && f.wire == PB_BYTES) {
            for (struct pb_reader in = pb_inside(&f); pb_next(&in, &g);) {
                for (struct pb_reader status = pb_inside(&g); g.number == 1 && g.wire == PB_BYTES && pb_next(&status, &h);)
                    code = h.number == 1 && h.wire == PB_VARINT ? h.value : code;
            }
        }
    }
    if (!pb_done(&r))
        return error_set(err, ST_UNEXPECTED, "the server's answer is malformed");
    if (code)
        return error_set(err, ST_UNKNOWN, "the server answers with status %" PRIu64, code);
    if (ret_rows)
        *ret_rows = rows;
    return ST_OK;
}

static int exchange(struct ctl *c, uint32_t member, const struct dynbuf *body, struct dynbuf *response, struct error *err)
{
    struct dynbuf request;
    TRY(ctl_connect(c, err));
    dynbuf_init(&request, SIZE_MAX);
    int rc = pb_put_bytes(&request, 1, "\x1a\x06public", 8, err); /* header: dbname */
    if (rc == ST_OK)
        rc = pb_put_bytes(&request, member, body->data, body->size, err);
    if (rc == ST_OK)
        rc = rpc_client_handle(c->client, request.data, request.size, response, err);
    dynbuf_release(&request);
    return rc;
}

int ctl_send(struct ctl *c, uint32_t member, const struct dynbuf *body, uint64_t *ret_rows, struct error *err)
{
    struct dynbuf response;
    dynbuf_init(&response, RESPONSE_BYTES_MAX);
    int rc = exchange(c, member, body, &response, err);
    if (rc == ST_OK)
        rc = read_rows(&response, ret_rows, NULL, err);
    dynbuf_release(&response);
    return rc;
}

/* The answer is a JSON array with one element, the metadata or null. */
static int read_metadata(struct ctl *c, uint64_t region_id, const struct pb_field *f, struct region_metadata **ret_meta, struct error *err)
{
    const struct json_value *root;
    TRY(json_parse(&c->arena, (const char *)f->data, f->size, &root, err));
    if (!json_is(root, JSON_ARRAY) || root->count != 1)
        return error_set(err, ST_UNEXPECTED, "the server's region metadata is malformed");
    if (json_is(root->first, JSON_NULL))
        return error_set(err, ST_REGION_NOT_FOUND, "the server has no region %" PRIu64 " (%u:%u)", region_id, (unsigned)(region_id >> 32),
                         (unsigned)region_id);
    return region_metadata_from_json(root->first->text, root->first->size, ret_meta, err);
}

int ctl_metadata(struct ctl *c, uint64_t region_id, struct region_metadata **ret_meta, struct error *err)
{
    struct dynbuf body, response;
    struct pb_field f = {0};
    dynbuf_init(&body, 64);
    dynbuf_init(&response, RESPONSE_BYTES_MAX);
    int rc = pb_put_uint(&body, 1, region_id, err);
    if (rc == ST_OK)
        rc = exchange(c, REQUEST_LIST_METADATA, &body, &response, err);
    if (rc == ST_OK)
        rc = read_rows(&response, NULL, &f, err);
    if (rc == ST_OK)
        rc = f.data ? read_metadata(c, region_id, &f, ret_meta, err) : error_set(err, ST_UNEXPECTED, "the server sent no region metadata");
    dynbuf_release(&body);
    dynbuf_release(&response);
    return rc;
}
