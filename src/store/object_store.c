/* Whole objects on top of any store. */
#include "store/object_store.h"

static int put(struct object_store *s, const char *key, const void *data, size_t size, bool replace, struct error *err)
{
    struct object_writer *w;
    TRY(s->ops->create(s, key, &w, err));
    int st = w->ops->append(w, data, size, err);
    if (st != ST_OK) {
        w->ops->abort(w);
        return st;
    }
    return replace ? w->ops->commit(w, err) : w->ops->commit_new(w, err);
}

int object_store_put(struct object_store *s, const char *key, const void *data, size_t size, struct error *err)
{
    return put(s, key, data, size, true, err);
}

int object_store_put_new(struct object_store *s, const char *key, const void *data, size_t size, struct error *err)
{
    return put(s, key, data, size, false, err);
}

int object_store_get(struct object_store *s, const char *key, size_t max_bytes, struct dynbuf *ret_data, struct error *err)
{
    struct object_reader *r;
    TRY(s->ops->open(s, key, &r, err));
    struct dynbuf data;
    dynbuf_init(&data, max_bytes < SIZE_MAX ? max_bytes + 1 : max_bytes);
    int st = ST_OK;
    if (r->size_bytes > max_bytes)
        st = error_set(err, ST_EXHAUSTED, "%s has %llu bytes, more than the %zu allowed", key, (unsigned long long)r->size_bytes, max_bytes);
    if (st == ST_OK)
        st = dynbuf_reserve(&data, (size_t)r->size_bytes + 1, err); /* one more for a terminating zero */
    if (st == ST_OK)
        st = r->ops->read_at(r, 0, data.data, (size_t)r->size_bytes, err);
    if (st == ST_OK) {
        data.size = (size_t)r->size_bytes;
        data.data[data.size] = 0;
        *ret_data = data;
    } else {
        dynbuf_release(&data);
    }
    r->ops->close(r);
    return st;
}
