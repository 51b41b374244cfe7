/* An engine that keeps counts instead of data, for tests of the layers above engines. Included by test programs only. */
#ifndef TESTS_FAKE_ENGINE_H
#define TESTS_FAKE_ENGINE_H

#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"
#include "engine/engine.h"
#include "format/proto/wire.h"
#include "os/thread.h"

enum fake_call { FAKE_OPEN, FAKE_WRITE, FAKE_STAT, FAKE_SET_ROLE };

struct fake_engine {
    struct engine base;
    pthread_mutex_t lock;
    struct u64_map regions; /* value: (void *)1 */
    _Atomic int creates, opens, drops, closes, writes;
    _Atomic int fail_next;  /* status that the next create, open, alter, drop or close returns */
    int64_t write_ns;       /* how long a write takes */
    _Atomic int role;       /* of all regions, as set_role left it */
    _Atomic int stats;      /* calls of stat */
    /* What happens meanwhile: at the start of an open, in a write, behind a stat's look at the role, in front of a change of it. One at a time; NULL: nothing. */
    void (*_Atomic meanwhile)(struct fake_engine *f, enum fake_call call);
    void *ctx;
};

static inline bool fake_has(struct fake_engine *f, uint64_t id)
{
    pthread_mutex_lock(&f->lock);
    bool has = u64_map_get(&f->regions, id) != NULL;
    pthread_mutex_unlock(&f->lock);
    return has;
}

static inline int fake_fail(struct fake_engine *f, struct error *err)
{
    int st = atomic_exchange(&f->fail_next, ST_OK);
    return st ? error_set(err, st, "told to fail") : ST_OK;
}

static inline void fake_meanwhile(struct fake_engine *f, enum fake_call call)
{
    void (*meanwhile)(struct fake_engine *, enum fake_call) = f->meanwhile;
    if (meanwhile)
        meanwhile(f, call);
}

static inline void fake_put(struct fake_engine *f, uint64_t id, bool on)
{
    pthread_mutex_lock(&f->lock);
    if (on)
        u64_map_put(&f->regions, id, f, NULL);
    else
        u64_map_remove(&f->regions, id);
    pthread_mutex_unlock(&f->lock);
}

static inline int fake_create(struct engine *e, struct message m, struct region_response *ret, struct error *err)
{
    struct fake_engine *f = (struct fake_engine *)e;
    TRY(fake_fail(f, err));
    uint64_t id = 0;
    struct pb_field field;
    for (struct pb_reader r = pb_reader_of(m.data, m.size); pb_next(&r, &field);)
        id = field.number == 1 ? field.value : id;
    fake_put(f, id, true);
    f->creates++;
    return dynbuf_append(&ret->column_metadata, "[]", 2, err);
}

static inline int fake_open(struct engine *e, const struct region_open_request *open, struct error *err)
{
    struct fake_engine *f = (struct fake_engine *)e;
    TRY(fake_fail(f, err));
    fake_meanwhile(f, FAKE_OPEN);
    fake_put(f, open->region_id, true);
    f->opens++;
    return ST_OK;
}

static inline int fake_drop(struct engine *e, const struct region_drop_request *drop, struct error *err)
{
    struct fake_engine *f = (struct fake_engine *)e;
    TRY(fake_fail(f, err));
    fake_put(f, drop->region_id, false);
    f->drops++;
    return ST_OK;
}

static inline int fake_close(struct engine *e, uint64_t id, struct error *err)
{
    struct fake_engine *f = (struct fake_engine *)e;
    TRY(fake_fail(f, err));
    fake_put(f, id, false);
    f->closes++;
    return ST_OK;
}

static inline int fake_alter(struct engine *e, uint64_t id, struct message m, struct region_response *ret, struct error *err)
{
    (void)m;
    TRY(fake_fail((struct fake_engine *)e, err));
    TRY(dynbuf_append(&ret->column_metadata, "[]", 2, err));
    return dynbuf_printf(&ret->manifest_info, err, "[%llu,{}]", (unsigned long long)id);
}

static inline int fake_write(struct engine *e, uint64_t id, bool is_delete, struct message m, uint64_t *ret_rows, struct error *err)
{
    struct fake_engine *f = (struct fake_engine *)e;
    (void)is_delete;
    (void)m;
    if (!fake_has(f, id))
        return error_set(err, ST_REGION_NOT_FOUND, "no region");
    fake_meanwhile(f, FAKE_WRITE);
    if (f->write_ns)
        clock_sleep_ns(f->write_ns);
    f->writes++;
    *ret_rows = 2;
    return ST_OK;
}

static inline int fake_bulk(struct engine *e, uint64_t id, struct message m, uint64_t *ret_rows, struct error *err)
{
    return fake_write(e, id, false, m, ret_rows, err);
}

static inline int fake_flush(struct engine *e, uint64_t id, struct error *err)
{
    (void)id;
    (void)e;
    return error_set(err, ST_INTERNAL, "a detail that must stay hidden");
}

static inline int fake_message(struct engine *e, uint64_t id, struct message m, struct error *err)
{
    (void)e;
    (void)id;
    (void)m;
    (void)err;
    return ST_OK;
}

static inline int fake_metadata(struct engine *e, uint64_t id, struct region_metadata **ret, struct error *err)
{
    (void)e;
    (void)id;
    (void)ret;
    return error_set(err, ST_REGION_NOT_FOUND, "the fake has no metadata");
}

static inline int fake_table(struct engine *e, uint64_t id, struct table **ret, struct error *err)
{
    (void)e;
    (void)id;
    (void)ret;
    return error_set(err, ST_REGION_NOT_FOUND, "the fake has no tables");
}

static inline int fake_stat(struct engine *e, uint64_t id, struct region_stat *ret, struct error *err)
{
    struct fake_engine *f = (struct fake_engine *)e;
    if (!fake_has(f, id))
        return error_set(err, ST_REGION_NOT_FOUND, "no region");
    f->stats++;
    *ret = (struct region_stat){.region_id = id, .role = (enum region_role)f->role, .num_rows = (uint64_t)f->writes};
    fake_meanwhile(f, FAKE_STAT);
    return ST_OK;
}

static inline int fake_set_role(struct engine *e, uint64_t id, enum region_role role, struct error *err)
{
    struct fake_engine *f = (struct fake_engine *)e;
    (void)id;
    (void)err;
    fake_meanwhile(f, FAKE_SET_ROLE);
    f->role = role;
    return ST_OK;
}

static inline int fake_set_role_gracefully(struct engine *e, uint64_t id, enum region_role role, struct region_last_entries *ret, struct error *err)
{
    if (ret)
        *ret = (struct region_last_entries){.has_last = true, .last_entry_id = 7};
    return fake_set_role(e, id, role, err);
}

static inline int fake_catchup(struct engine *e, const struct region_catchup_request *request, struct error *err)
{
    return fake_set_role(e, request->region_id, ROLE_LEADER, err);
}

static inline void fake_free(struct engine *e)
{
    struct fake_engine *f = (struct fake_engine *)e;
    u64_map_release(&f->regions);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static inline struct fake_engine *fake_engine_new(void)
{
    static const struct engine_ops ops = {.name = "mito", .create = fake_create, .open = fake_open, .close = fake_close, .drop = fake_drop,
        .alter = fake_alter, .write = fake_write, .bulk_insert = fake_bulk, .flush = fake_flush, .compact = fake_message, .truncate = fake_message,
        .metadata = fake_metadata, .table = fake_table, .stat = fake_stat, .free = fake_free,
        .set_role = fake_set_role, .set_role_gracefully = fake_set_role_gracefully,
        .catchup = fake_catchup};
    struct fake_engine *f = calloc(1, sizeof(*f));
    f->base.ops = &ops;
    pthread_mutex_init(&f->lock, NULL);
    u64_map_init(&f->regions);
    return f;
}

#endif
