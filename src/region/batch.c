/* Requests for several regions: writes side by side, DDL one after another, and in one call where the engine shares work (region-rpc.md 2.3, 2.5). */
#include <stdlib.h>
#include <string.h>

#include "format/proto/wire.h"
#include "region/internal.h"

int region_request_id(struct message m, uint64_t *ret_id, struct error *err)
{
    uint64_t id = 0;
    struct pb_field f;
    struct pb_reader r = pb_reader_of(m.data, m.size);
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            id = f.value;
    }
    if (!pb_done(&r))
        return error_set(err, ST_INVALID_ARGUMENTS, "malformed region request");
    *ret_id = id;
    return ST_OK;
}

struct member {
    struct message message;
    uint64_t region_id, rows;
    int rc;
    struct error err;
    struct message *group; /* not NULL: stands for these requests, which `engine` takes as one */
    struct admitted { uint64_t region_id, term; } *admitted; /* of each */
    size_t n_group;
    struct engine *engine;
};

struct parallel {
    struct region_server *server;
    enum region_body body;
    struct member *members;
};

static void write_group(struct region_server *s, struct member *m)
{
    m->rc = m->engine->ops->write_many(m->engine, m->group, m->n_group, &m->rows, &m->err);
    for (size_t i = 0; i < m->n_group && m->rc == ST_OK; i++)
        m->rc = region_lease_confirm(s, m->engine, m->admitted[i].region_id, m->admitted[i].term, &m->err);
}

static void run_member(void *ctx, size_t i)
{
    struct parallel *p = ctx;
    struct member *m = &p->members[i];
    struct region_response r;
    if (m->group) {
        write_group(p->server, m);
        return;
    }
    region_response_init(&r, p->server->options.response_bytes_max);
    m->rc = region_run_one(p->server, p->body, m->message, &r, &m->err);
    m->rows = r.affected_rows;
    region_response_release(&r);
}

static int by_region(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return x->region_id < y->region_id ? -1 : x->region_id > y->region_id;
}

static bool has_rows(struct message m)
{
    struct pb_field f;
    for (struct pb_reader r = pb_reader_of(m.data, m.size); pb_next(&r, &f);) {
        if (f.number == 2 && f.wire == PB_BYTES)
            return true;
    }
    return false;
}

/* The members of a list message (field 1), in order. */
static int split(struct message body, bool with_rows, struct member **ret_members, size_t *ret_n, struct error *err)
{
    struct pb_field f;
    size_t n = 0, room = 0;
    struct member *members = NULL;
    struct pb_reader r = pb_reader_of(body.data, body.size);
    int rc = ST_OK;
    while (rc == ST_OK && pb_next(&r, &f)) {
        struct message m = {f.data, f.size};
        if (f.number != 1 || f.wire != PB_BYTES || (with_rows && !has_rows(m)))
            continue;
        if (n == room) {
            room = room ? room * 2 : 4;
            struct member *more = n < REGION_MEMBERS_MAX ? realloc(members, room * sizeof(*more)) : NULL;
            if (!more) {
                free(members);
                return error_set(err, n < REGION_MEMBERS_MAX ? ST_NO_MEMORY : ST_INVALID_ARGUMENTS, "a request for more than %zu regions", n);
            }
            members = more;
        }
        members[n] = (struct member){.message = m};
        rc = region_request_id(m, &members[n++].region_id, err);
    }
    if (rc == ST_OK && !pb_done(&r))
        rc = error_set(err, ST_INVALID_ARGUMENTS, "malformed list of region requests");
    if (rc) {
        free(members);
        return rc;
    }
    *ret_members = members;
    *ret_n = n;
    return ST_OK;
}

static int start_group(struct member *m, struct engine *e, size_t room, struct error *err)
{
    m->engine = e;
    m->group = malloc(room * sizeof(*m->group));
    m->admitted = malloc(room * sizeof(*m->admitted));
    return m->group && m->admitted ? ST_OK : error_no_memory(err, room * sizeof(*m->group));
}

/* Puts to regions of an engine that takes many at once become one member; the others keep their order, and those that are not admitted their error.
 */
static int group_puts(struct region_server *s, struct member *members, size_t *n, struct error *err)
{
    size_t left = 0, total = *n;
    struct member *group = NULL;
    for (size_t i = 0; i < total; i++) {
        struct engine *e = NULL;
        struct admitted a = {.region_id = members[i].region_id};
        struct message message = members[i].message;
        bool many = region_begin(s, a.region_id, CLASS_OTHER, NULL, &e, NULL) == ST_OK && e->ops->write_many && (!group || group->engine == e) &&
                    region_lease_enter(s, e, a.region_id, &a.term, NULL) == ST_OK;
        if (!many || !group)
            members[left++] = members[i];
        if (many && !group) {
            group = &members[left - 1];
            int rc = start_group(group, e, total, err);
            if (rc) {
                *n = left;
                return rc;
            }
        }
        if (many) {
            group->group[group->n_group] = message;
            group->admitted[group->n_group++] = a;
        }
    }
    if (group && group->n_group == 1) { /* nothing to share */
        free(group->group);
        free(group->admitted);
        group->group = NULL;
        group->admitted = NULL;
    }
    *n = left;
    return ST_OK;
}

static bool repeats_region(const struct member *members, size_t n)
{
    struct member *sorted = n > 1 ? malloc(n * sizeof(*sorted)) : NULL;
    bool repeated = n > 1 && !sorted;
    if (sorted) {
        memcpy(sorted, members, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), by_region);
        for (size_t i = 1; i < n; i++)
            repeated |= sorted[i].region_id == sorted[i - 1].region_id;
    }
    free(sorted);
    return repeated;
}

static void free_members(struct member *members, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(members[i].group);
        free(members[i].admitted);
    }
    free(members);
}

int region_run_parallel(struct region_server *s, enum region_body b, struct message body, struct region_response *ret, struct error *err)
{
    size_t n;
    struct member *members;
    TRY(split(body, true, &members, &n, err));
    int rc = b == BODY_INSERTS && n > 1 ? group_puts(s, members, &n, err) : ST_OK;
    if (rc) {
        free_members(members, n);
        return rc;
    }
    /* Two writes to one region keep their order: later rows must win. */
    struct parallel p = {s, b, members};
    thread_pool_for(n > 1 && !repeats_region(members, n) ? s->writers : NULL, n, run_member, &p);
    for (size_t i = 0; i < n && rc == ST_OK; i++) {
        rc = members[i].rc;
        ret->affected_rows += members[i].rows;
        if (rc && err)
            *err = members[i].err;
    }
    free_members(members, n);
    return rc;
}

/* Joins what one member of a batch answered: lists of manifest infos add up, of the others the last one stands. */
static int join(struct region_response *all, const struct region_response *one, struct error *err)
{
    all->affected_rows += one->affected_rows;
    if (one->column_metadata.size) {
        dynbuf_clear(&all->column_metadata);
        TRY(dynbuf_append(&all->column_metadata, one->column_metadata.data, one->column_metadata.size, err));
    }
    if (one->alter_physical.size) {
        dynbuf_clear(&all->alter_physical);
        TRY(dynbuf_append(&all->alter_physical, one->alter_physical.data, one->alter_physical.size, err));
    }
    if (one->manifest_info.size && all->manifest_info.size)
        TRY(dynbuf_append_byte(&all->manifest_info, ',', err));
    return dynbuf_append(&all->manifest_info, one->manifest_info.data, one->manifest_info.size, err);
}

static struct message *messages_of(const struct member *members, size_t n, struct error *err)
{
    struct message *messages = malloc((n + 1) * sizeof(*messages));
    for (size_t i = 0; messages && i < n; i++)
        messages[i] = members[i].message;
    if (!messages)
        error_no_memory(err, n * sizeof(*messages));
    return messages;
}

static int several_engines(struct error *err)
{
    return error_set(err, ST_INVALID_ARGUMENTS, "the regions of one request belong to several engines");
}

/* Creates of one engine that takes many at once (region-rpc.md 2.5). */
static int create_many(struct region_server *s, const struct member *members, size_t n, struct region_response *ret, struct error *err)
{
    struct region_registration *regs = calloc(n, sizeof(*regs));
    struct message *messages = messages_of(members, n, err);
    size_t read = 0, begun = 0;
    int rc = regs && messages ? ST_OK : error_no_memory(err, n * sizeof(*regs));
    for (; rc == ST_OK && read < n; read += rc == ST_OK)
        rc = region_registration_read(s, members[read].message, true, &regs[read], err);
    for (size_t i = 1; rc == ST_OK && i < n; i++)
        rc = regs[i].engine == regs[0].engine ? ST_OK : several_engines(err);
    for (; rc == ST_OK && begun < n; begun += rc == ST_OK)
        rc = region_register_begin(s, members[begun].region_id, &regs[begun], err);
    if (rc == ST_OK)
        rc = regs[0].engine->ops->create_many(regs[0].engine, messages, n, ret, err);
    for (size_t i = 0; i < begun; i++)
        rc = region_register_end(s, members[i].region_id, &regs[i], rc, err);
    for (size_t i = 0; i < read; i++)
        region_registration_release(&regs[i]);
    free(regs);
    free(messages);
    return rc;
}

static int alter_many(struct region_server *s, struct engine *e, const struct member *members, size_t n, struct region_response *ret,
                      struct error *err)
{
    struct message *messages = messages_of(members, n, err);
    uint64_t *terms = calloc(n, sizeof(*terms));
    struct engine *own;
    int rc = messages && terms ? ST_OK : error_no_memory(err, n * sizeof(*terms));
    for (size_t i = 0; rc == ST_OK && i < n; i++) {
        rc = region_begin(s, members[i].region_id, CLASS_OTHER, NULL, &own, err);
        if (rc == ST_OK && own != e)
            rc = several_engines(err);
        if (rc == ST_OK)
            rc = region_lease_enter(s, e, members[i].region_id, &terms[i], err);
    }
    if (rc == ST_OK)
        rc = e->ops->alter_many(e, messages, n, ret, err);
    for (size_t i = 0; rc == ST_OK && i < n; i++)
        rc = region_lease_confirm(s, e, members[i].region_id, terms[i], err);
    free(messages);
    free(terms);
    return rc;
}

static int run_each(struct region_server *s, enum region_body single, const struct member *members, size_t n, struct region_response *ret,
                    struct error *err)
{
    int rc = ST_OK;
    for (size_t i = 0; i < n && rc == ST_OK; i++) {
        struct region_response one;
        region_response_init(&one, s->options.response_bytes_max);
        rc = region_run_one(s, single, members[i].message, &one, err);
        if (rc == ST_OK)
            rc = join(ret, &one, err);
        region_response_release(&one);
    }
    return rc;
}

/* The engine of the first member decides, as the peer does it. */
static int run_members(struct region_server *s, enum region_body single, const struct member *members, size_t n, struct region_response *ret,
                       struct error *err)
{
    struct engine *e = NULL;
    if (n > 1 && single == BODY_CREATE) {
        struct region_registration first;
        TRY(region_registration_read(s, members[0].message, true, &first, err));
        e = first.engine;
        region_registration_release(&first);
        if (e->ops->create_many)
            return create_many(s, members, n, ret, err);
    } else if (n > 1 && single == BODY_ALTER) {
        TRY(region_begin(s, members[0].region_id, CLASS_OTHER, NULL, &e, err));
        if (e->ops->alter_many)
            return alter_many(s, e, members, n, ret, err);
    }
    return run_each(s, single, members, n, ret, err);
}

int region_run_batch(struct region_server *s, enum region_body single, struct message body, struct region_response *ret, struct error *err)
{
    size_t n;
    struct member *members;
    TRY(split(body, false, &members, &n, err));
    int rc = run_members(s, single, members, n, ret, err);
    free_members(members, n);
    return rc;
}
