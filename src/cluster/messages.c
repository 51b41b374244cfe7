/* See cluster/messages.h. Field numbers are frozen: greptime/v1/meta/{common,heartbeat,store}.proto. Zero values are left out, as proto3 does. */
#include "cluster/messages.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/proto/wire.h"

enum { NODE_MESSAGE_MAX = 1 << 16 };

/* ---- encoding ---- */

static int put_nonzero(struct dynbuf *out, uint32_t field, uint64_t value, struct error *err)
{
    return value ? pb_put_uint(out, field, value, err) : ST_OK;
}

static int put_text(struct dynbuf *out, uint32_t field, const char *text, struct error *err)
{
    return text && *text ? pb_put_string(out, field, text, err) : ST_OK;
}

/* RequestHeader: protocol version 1, the role datanode is 0. */
int message_put_header(struct dynbuf *out, uint64_t node_id, struct error *err)
{
    uint8_t header[16], *p = header;
    *p++ = 0x08;
    *p++ = 1;
    if (node_id) {
        *p++ = 0x18;
        p = pb_write_varint(p, node_id);
    }
    return pb_put_bytes(out, 1, header, (size_t)(p - header), err);
}

int message_put_range(struct dynbuf *out, uint64_t node_id, const void *key, size_t key_size, const void *range_end, size_t end_size, uint64_t limit,
                      struct error *err)
{
    TRY(message_put_header(out, node_id, err));
    TRY(pb_put_bytes(out, 2, key, key_size, err));
    if (range_end)
        TRY(pb_put_bytes(out, 3, range_end, end_size, err));
    return put_nonzero(out, 4, limit, err);
}

static int node_info(struct dynbuf *b, const struct node_identity *n, const struct node_usage *usage, struct error *err)
{
    TRY(put_text(b, 1, n->version, err));
    TRY(put_text(b, 2, n->git_commit, err));
    TRY(put_nonzero(b, 3, n->epoch_ms, err));
    TRY(put_nonzero(b, 4, n->cpu_millicores, err)); /* deprecated; the peer puts the same numbers there */
    TRY(put_nonzero(b, 5, n->memory_bytes, err));
    TRY(put_text(b, 6, n->hostname, err));
    TRY(put_nonzero(b, 7, n->cpu_millicores, err));
    TRY(put_nonzero(b, 8, n->memory_bytes, err));
    TRY(put_nonzero(b, 9, usage ? usage->cpu_millicores : 0, err));
    return put_nonzero(b, 10, usage ? usage->memory_bytes : 0, err);
}

/* A map<string, bytes> entry under `field`. */
static int put_extension(struct dynbuf *out, uint32_t field, const char *key, const void *value, size_t size, struct error *err)
{
    size_t key_size = strlen(key), entry = 2 + key_size + 1 + pb_varint_size(size) + size;
    TRY(pb_put_varint(out, (uint64_t)field << 3 | PB_BYTES, err));
    TRY(pb_put_varint(out, entry, err));
    TRY(pb_put_string(out, 1, key, err));
    return pb_put_bytes(out, 2, value, size, err);
}

static int put_node(struct dynbuf *out, struct dynbuf *part, const struct node_identity *n, uint64_t duration_ms, const struct node_usage *usage,
                    struct error *err)
{
    static const uint8_t hybrid[] = {0x0a, 0x01, 0x00}; /* DatanodeWorkloads{types: [0]}, packed */
    char gc[96];
    TRY(message_put_header(out, n->node_id, err));
    TRY(put_nonzero(part, 1, n->node_id, err));
    TRY(put_text(part, 2, n->addr, err));
    TRY(pb_put_bytes(out, 2, part->data, part->size, err));
    TRY(put_nonzero(out, 6, duration_ms, err));
    TRY(put_nonzero(out, 7, n->epoch_ms, err));
    dynbuf_clear(part);
    TRY(node_info(part, n, usage, err));
    TRY(pb_put_bytes(out, 8, part->data, part->size, err));
    TRY(pb_put_bytes(out, 10, hybrid, sizeof(hybrid), err));
    int size = snprintf(gc, sizeof(gc), "{\"running_gc_tasks\":%u,\"gc_concurrency\":%u}", usage ? usage->running_gc : 0, n->gc_concurrency);
    return put_extension(out, 99, "__gc_stat", gc, (size_t)size, err);
}

int message_put_node(struct dynbuf *out, const struct node_identity *node, uint64_t duration_ms, const struct node_usage *usage, struct error *err)
{
    struct dynbuf part;
    dynbuf_init(&part, NODE_MESSAGE_MAX);
    int rc = put_node(out, &part, node, duration_ms, usage, err);
    dynbuf_release(&part);
    return rc;
}

int message_put_mailbox(struct dynbuf *out, const struct mailbox_message *to, const char *json, size_t json_size, int64_t now_ms, struct error *err)
{
    struct dynbuf m;
    dynbuf_init(&m, out->max);
    int rc = put_nonzero(&m, 1, to->id, err);
    if (rc == ST_OK)
        rc = put_text(&m, 2, to->subject, err);
    if (rc == ST_OK)
        rc = put_text(&m, 3, to->to, err);
    if (rc == ST_OK)
        rc = put_text(&m, 4, to->from, err);
    if (rc == ST_OK)
        rc = put_nonzero(&m, 5, (uint64_t)now_ms, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(&m, 6, json, json_size, err);
    if (rc == ST_OK)
        rc = pb_put_bytes(out, 5, m.data, m.size, err);
    dynbuf_release(&m);
    return rc;
}

/* printf is the half of a heartbeat in which every region has changed, copying from buffer to buffer a tenth. */
static uint8_t *put_digits(uint8_t *p, uint64_t value)
{
    uint8_t digits[20];
    unsigned n = 0;
    do
        digits[n++] = (uint8_t)('0' + value % 10);
    while (value /= 10);
    while (n)
        *p++ = digits[--n];
    return p;
}

#define PUT_WORD(p, word)          ((uint8_t *)mempcpy(p, word, sizeof(word) - 1))
#define PUT_NUMBER(p, word, value) put_digits(PUT_WORD(p, word), value)

/* The RegionStatistic of 4.2: all eleven keys, in the peer's order. */
static uint8_t *put_statistic(uint8_t *p, const struct region_stat *s)
{
    p = PUT_NUMBER(p, "{\"num_rows\":", s->num_rows);
    p = PUT_NUMBER(p, ",\"memtable_size\":", s->memtable_bytes);
    p = PUT_NUMBER(p, ",\"wal_size\":", s->wal_bytes);
    p = PUT_NUMBER(p, ",\"manifest_size\":", s->manifest_bytes);
    p = PUT_NUMBER(p, ",\"sst_size\":", s->sst_bytes);
    p = PUT_NUMBER(p, ",\"sst_num\":", s->sst_num);
    p = PUT_NUMBER(p, ",\"index_size\":", s->index_bytes);
    if (s->has_metadata_part) {
        p = PUT_NUMBER(p, ",\"manifest\":{\"Metric\":{\"data_manifest_version\":", s->manifest_version);
        p = PUT_NUMBER(p, ",\"data_flushed_entry_id\":", s->flushed_entry_id);
        p = PUT_NUMBER(p, ",\"metadata_manifest_version\":", s->metadata_manifest_version);
        p = PUT_NUMBER(p, ",\"metadata_flushed_entry_id\":", s->metadata_flushed_entry_id);
    } else {
        p = PUT_NUMBER(p, ",\"manifest\":{\"Mito\":{\"manifest_version\":", s->manifest_version);
        p = PUT_NUMBER(p, ",\"flushed_entry_id\":", s->flushed_entry_id);
        p = PUT_NUMBER(p, ",\"file_removed_cnt\":", s->removed_files);
    }
    p = PUT_NUMBER(p, "}},\"written_bytes\":", s->written_bytes);
    /* The last two are of a remote log: with a local one the peer says 0, and more would let metasrv prune what it must not. */
    return PUT_WORD(p, ",\"data_topic_latest_entry_id\":0,\"metadata_topic_latest_entry_id\":0}");
}

static uint8_t *write_nonzero(uint8_t *p, uint32_t field, uint64_t value)
{
    return value ? pb_write_varint(pb_write_varint(p, (uint64_t)field << 3), value) : p;
}

/* Written in one go and in its place: there are thousands of them in a heartbeat. Each length goes in front of what it is the length of, into the two
 * bytes that it takes: a statistic is never shorter than 128 bytes nor longer than STATISTIC_MAX. */
enum { STATISTIC_MAX = 1200, REGION_MAX = STATISTIC_MAX + 200, LENGTH_BYTES = 2 };

static uint8_t *open_length(uint8_t *p, uint32_t field, uint8_t **ret_length)
{
    *ret_length = pb_write_varint(p, (uint64_t)field << 3 | PB_BYTES);
    return *ret_length + LENGTH_BYTES;
}

static void close_length(uint8_t *length, const uint8_t *end)
{
    size_t size = (size_t)(end - length) - LENGTH_BYTES;
    assert(size >= 1 << 7 && size < 1 << 14);
    pb_write_varint(length, size);
}

int message_put_region(struct dynbuf *out, const struct region_stat *s, const char *engine, struct error *err)
{
    static const char name[] = "__region_statistic";
    size_t engine_size = strnlen(engine, 64);
    uint8_t *message, *entry, *json;
    TRY(dynbuf_reserve(out, REGION_MAX, err));
    uint8_t *p = open_length(out->data + out->size, 4, &message);
    p = write_nonzero(p, 1, s->region_id);
    p = write_nonzero(p, 4, s->wal_bytes + s->sst_bytes + s->manifest_bytes + s->index_bytes);
    p = pb_write_varint(p, 6 << 3 | PB_BYTES);
    p = (uint8_t *)mempcpy(pb_write_varint(p, engine_size), engine, engine_size);
    p = write_nonzero(p, 7, s->role); /* the leader is 0 */
    p = open_length(p, 99, &entry);
    p = pb_write_varint(p, 1 << 3 | PB_BYTES);
    p = PUT_WORD(pb_write_varint(p, sizeof(name) - 1), name);
    p = open_length(p, 2, &json);
    p = put_statistic(p, s);
    close_length(json, p);
    close_length(entry, p);
    close_length(message, p);
    out->size = (size_t)(p - out->data);
    return ST_OK;
}

/* ---- decoding ---- */

static int corrupt(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "a malformed %s from metasrv", what);
}

static int text_of(const struct pb_field *f, const char **ret_text, struct error *err)
{
    if (*ret_text)
        return ST_OK; /* a repeated field: the first one stays */
    *ret_text = strndup((const char *)f->data, f->size);
    return *ret_text ? ST_OK : error_no_memory(err, f->size);
}

/* ResponseHeader{error 3 {code 1, err_msg 2}}. */
static int read_header(const struct pb_field *header, int32_t *ret_code, char *ret_text, size_t room, struct error *err)
{
    struct pb_field f, g;
    struct pb_reader r = pb_inside(header);
    while (pb_next(&r, &f)) {
        if (f.number != 3 || f.wire != PB_BYTES)
            continue;
        for (struct pb_reader in = pb_inside(&f); pb_next(&in, &g);) {
            if (g.number == 1 && g.wire == PB_VARINT)
                *ret_code = (int32_t)g.value;
            else if (g.number == 2 && g.wire == PB_BYTES)
                snprintf(ret_text, room, "%.*s", (int)(g.size < room ? g.size : room - 1), (const char *)g.data);
        }
        if (!*ret_code)
            *ret_code = -1; /* an error without a code is one all the same */
    }
    return pb_done(&r) ? ST_OK : corrupt("response header", err);
}

void mailbox_message_release(struct mailbox_message *m)
{
    free((char *)m->subject);
    free((char *)m->from);
    free((char *)m->to);
    free((char *)m->json);
    *m = (struct mailbox_message){0};
}

static int read_mailbox(const struct pb_field *message, struct mailbox_message *m, struct error *err)
{
    struct pb_field f;
    struct pb_reader r = pb_inside(message);
    int rc = ST_OK;
    while (rc == ST_OK && pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            m->id = f.value;
        if (f.wire != PB_BYTES)
            continue;
        rc = f.number == 2   ? text_of(&f, &m->subject, err)
             : f.number == 3 ? text_of(&f, &m->from, err)
             : f.number == 4 ? text_of(&f, &m->to, err)
             : f.number == 6 ? text_of(&f, &m->json, err)
                             : ST_OK;
    }
    return rc || pb_done(&r) ? rc : corrupt("mailbox message", err);
}

static int read_grant(const struct pb_field *message, struct region_grant *g, struct error *err)
{
    struct pb_field f;
    struct pb_reader r = pb_inside(message);
    *g = (struct region_grant){.role = ROLE_LEADER};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            g->region_id = f.value;
        else if (f.number == 2 && f.wire == PB_VARINT)
            g->role = f.value <= ROLE_STAGING_LEADER ? (enum region_role)f.value : ROLE_FOLLOWER; /* a role we do not know lets us write nothing */
    }
    return pb_done(&r) ? ST_OK : corrupt("region lease", err);
}

/* Room for one more; doubles. */
static void *grown(void *list, size_t n, size_t bytes, struct error *err)
{
    if (n & (n - 1)) /* capacity is the next power of two */
        return list;
    void *more = realloc(list, (n ? n * 2 : 1) * bytes);
    if (!more)
        error_no_memory(err, n * 2 * bytes);
    return more;
}

static int add_closeable(struct heartbeat_response *resp, uint64_t id, struct error *err)
{
    uint64_t *more = grown(resp->closeable, resp->n_closeable, sizeof(*more), err);
    if (!more)
        return ST_NO_MEMORY;
    resp->closeable = more;
    more[resp->n_closeable++] = id;
    return ST_OK;
}

static int read_lease(const struct pb_field *message, struct heartbeat_response *resp, struct error *err)
{
    struct pb_field f;
    struct pb_reader r = pb_inside(message);
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES) {
            struct region_grant *more = grown(resp->grants, resp->n_grants, sizeof(*more), err);
            if (!more)
                return ST_NO_MEMORY;
            resp->grants = more;
            TRY(read_grant(&f, &more[resp->n_grants++], err));
        } else if (f.number == 2 && f.wire == PB_VARINT) {
            resp->duration_ms = f.value;
        } else if (f.number == 3 && f.wire == PB_VARINT) {
            resp->lease_seconds = f.value;
        } else if (f.number == 4 && f.wire == PB_VARINT) {
            TRY(add_closeable(resp, f.value, err));
        } else if (f.number == 4 && f.wire == PB_BYTES) {
            struct pb_reader ids = pb_inside(&f);
            uint64_t id;
            while (ids.p < ids.end) {
                if (!pb_varint(&ids, &id))
                    return corrupt("region lease", err);
                TRY(add_closeable(resp, id, err));
            }
        }
    }
    return pb_done(&r) ? ST_OK : corrupt("region lease", err);
}

static int read_config(const struct pb_field *message, struct heartbeat_response *resp, struct error *err)
{
    struct pb_field f;
    struct pb_reader r = pb_inside(message);
    resp->has_config = true;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            resp->interval_ms = f.value;
        else if (f.number == 2 && f.wire == PB_VARINT)
            resp->retry_ms = f.value;
    }
    return pb_done(&r) ? ST_OK : corrupt("heartbeat configuration", err);
}

static int read_part(const struct pb_field *f, struct heartbeat_response *resp, struct error *err)
{
    switch (f->wire == PB_BYTES ? f->number : 0) {
    case 1:
        return read_header(f, &resp->error_code, resp->error_text, sizeof(resp->error_text), err);
    case 2:
        resp->has_mailbox = true;
        return read_mailbox(f, &resp->mailbox, err);
    case 3:
        resp->has_lease = true;
        return read_lease(f, resp, err);
    case 4:
        return read_config(f, resp, err);
    default:
        return ST_OK;
    }
}

int message_read_heartbeat(const void *data, size_t size, struct heartbeat_response *ret_response, struct error *err)
{
    struct heartbeat_response resp = {0};
    struct pb_reader r = pb_reader_of(data, size);
    struct pb_field f;
    int rc = ST_OK;
    while (rc == ST_OK && pb_next(&r, &f))
        rc = read_part(&f, &resp, err);
    if (rc == ST_OK && !pb_done(&r))
        rc = corrupt("heartbeat response", err);
    if (rc == ST_OK)
        *ret_response = resp;
    else
        heartbeat_response_release(&resp);
    return rc;
}

void heartbeat_response_release(struct heartbeat_response *r)
{
    mailbox_message_release(&r->mailbox);
    free(r->grants);
    free(r->closeable);
    *r = (struct heartbeat_response){0};
}

bool message_read_leader(const void *data, size_t size, char *ret_addr, size_t room)
{
    struct pb_field f, g;
    struct pb_reader r = pb_reader_of(data, size);
    bool found = false;
    while (pb_next(&r, &f)) {
        if (f.number != 2 || f.wire != PB_BYTES)
            continue;
        for (struct pb_reader in = pb_inside(&f); pb_next(&in, &g);) {
            if (g.number != 2 || g.wire != PB_BYTES || !g.size || g.size >= room || memchr(g.data, 0, g.size))
                continue;
            memcpy(ret_addr, g.data, g.size);
            ret_addr[g.size] = 0;
            found = true;
        }
    }
    return pb_done(&r) && found;
}

int message_read_range(const void *data, size_t size,
                       int (*each)(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err),
                       void *ctx, bool *ret_more, struct error *err)
{
    struct pb_field f, g;
    struct pb_reader r = pb_reader_of(data, size);
    int32_t code = 0;
    char text[200] = "";
    *ret_more = false;
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES) {
            TRY(read_header(&f, &code, text, sizeof(text), err));
            if (code)
                return error_set(err, ST_STORAGE, "metasrv answers a range read with error %d: %s", (int)code, text);
        } else if (f.number == 2 && f.wire == PB_BYTES) {
            struct pb_field key = {.data = (const uint8_t *)""}, value = {.data = (const uint8_t *)""};
            struct pb_reader in = pb_inside(&f);
            while (pb_next(&in, &g)) {
                if (g.number == 1 && g.wire == PB_BYTES)
                    key = g;
                else if (g.number == 2 && g.wire == PB_BYTES)
                    value = g;
            }
            if (!pb_done(&in))
                return corrupt("key-value pair", err);
            TRY(each(ctx, key.data, key.size, value.data, value.size, err));
        } else if (f.number == 3 && f.wire == PB_VARINT) {
            *ret_more = f.value != 0;
        }
    }
    return pb_done(&r) ? ST_OK : corrupt("range response", err);
}
