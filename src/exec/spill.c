/* Spill files: each batch as an Arrow IPC message, {header bytes u64, body bytes u64, header, body}, not compressed: what is read back soon is mostly
 * still in the page cache. They are scratch: a file that does not read back as written is a failure of the query, and no more. */
#include "exec/spill.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/ipc.h"
#include "base/metrics.h"

struct spill_space {
    struct fs *fs;
    char *path;
    uint64_t bytes_max;
    _Atomic uint64_t bytes, next;
};

struct spill_file {
    struct spill_space *space;
    struct schema *schema; /* without dictionaries */
    struct budget *budget;
    struct fs_file *file;
    struct ipc_encoder *encoder;
    uint64_t bytes, at;
    int64_t rows;
};

static struct metric_family spilled_bytes = {
    .name = "regiond_spill_bytes_total", .help = "Bytes that queries have put on disk", .kind = METRIC_COUNTER};
static struct metric_family spilled_files = {
    .name = "regiond_spill_files_total", .help = "Files that queries have put on disk", .kind = METRIC_COUNTER};

int spill_space_new(struct fs *fs, const char *path, uint64_t bytes_max, struct spill_space **ret_space, struct error *err)
{
    TRY(fs_remove_tree(fs, path, err));
    TRY(fs_mkdirs(fs, path, err));
    struct spill_space *s = calloc(1, sizeof *s);
    char *own = s ? strdup(path) : NULL;
    if (!own) {
        free(s);
        return error_no_memory(err, sizeof *s);
    }
    s->fs = fs;
    s->path = own;
    s->bytes_max = bytes_max;
    metric_add(metric_plain(&spilled_bytes), 0);
    metric_add(metric_plain(&spilled_files), 0);
    *ret_space = s;
    return ST_OK;
}

void spill_space_free(struct spill_space *s)
{
    if (!s)
        return;
    free(s->path);
    free(s);
}

uint64_t spill_space_bytes(const struct spill_space *s)
{
    return atomic_load(&s->bytes);
}

static int open_unnamed(struct spill_space *s, struct fs_file **ret_file, struct error *err)
{
    char path[PATH_MAX];
    uint64_t number = atomic_fetch_add(&s->next, 1);
    if ((size_t)snprintf(path, sizeof path, "%s/%llu", s->path, (unsigned long long)number) >= sizeof path)
        return error_set(err, ST_INVALID_ARGUMENTS, "the path of the spill folder is too long");
    TRY(s->fs->ops->open(s->fs, path, FS_WRITE | FS_EXCLUSIVE, ret_file, err));
    s->fs->ops->remove(s->fs, path, NULL); /* a name that stays behind is removed at the next start */
    return ST_OK;
}

int spill_file_new(struct spill_space *space, struct schema *schema, struct budget *budget, struct spill_file **ret_file, struct error *err)
{
    struct spill_file *f = calloc(1, sizeof *f);
    if (!f)
        return error_no_memory(err, sizeof *f);
    f->space = space;
    f->budget = budget;
    int st = ipc_plain_schema(schema, &f->schema, err);
    if (st == ST_OK)
        st = ipc_encoder_new(budget, IPC_NONE, &f->encoder, err);
    if (st == ST_OK)
        st = open_unnamed(space, &f->file, err);
    if (st != ST_OK) {
        spill_file_free(f);
        return st;
    }
    metric_add(metric_plain(&spilled_files), 1);
    *ret_file = f;
    return ST_OK;
}

static int reserve(struct spill_space *s, uint64_t bytes, struct error *err)
{
    uint64_t before = atomic_fetch_add(&s->bytes, bytes);
    if (before + bytes <= s->bytes_max)
        return ST_OK;
    atomic_fetch_sub(&s->bytes, bytes);
    return error_set(err, ST_EXHAUSTED, "queries have put %llu bytes on disk and may not put more; raise query.spill_limit or memory_limit",
                     (unsigned long long)before);
}

int spill_file_put(struct spill_file *f, const struct batch *batch, struct error *err)
{
    struct dynbuf header;
    struct buffer *body = NULL;
    dynbuf_init(&header, 64 << 20);
    int st = ipc_encode_batch(f->encoder, batch, &header, &body, err);
    uint64_t sizes[2] = {header.size, st == ST_OK ? body->size : 0};
    struct iovec iov[3] = {{sizes, sizeof sizes}, {header.data, header.size}, {body ? body->data : NULL, body ? body->size : 0}};
    uint64_t total = sizeof sizes + sizes[0] + sizes[1];
    if (st == ST_OK)
        st = reserve(f->space, total, err);
    if (st == ST_OK) {
        f->bytes += total; /* given back when the file is freed, written or not */
        st = f->file->ops->write_at(f->file, f->bytes - total, iov, sizes[1] ? 3 : 2, err);
        f->rows += batch->n_rows;
        metric_add(metric_plain(&spilled_bytes), (int64_t)total);
    }
    buffer_unref(body);
    dynbuf_release(&header);
    return st;
}

int spill_file_next(struct spill_file *f, struct batch **ret_batch, struct error *err)
{
    uint64_t sizes[2];
    struct buffer *header = NULL, *body = NULL;
    ipc_encoder_free(f->encoder);
    f->encoder = NULL;
    *ret_batch = NULL;
    if (f->at == f->bytes)
        return ST_OK;
    TRY(fs_read_exact(f->file, f->at, sizes, sizeof sizes, err));
    if (sizes[0] > f->bytes - f->at || sizes[1] > f->bytes - f->at - sizes[0])
        return error_set(err, ST_CORRUPT, "a spill file does not hold what was written to it");
    int st = buffer_new_uninit(f->budget, sizes[0], &header, err);
    if (st == ST_OK)
        st = buffer_new_uninit(f->budget, sizes[1], &body, err);
    if (st == ST_OK)
        st = fs_read_exact(f->file, f->at + sizeof sizes, header->data, sizes[0], err);
    if (st == ST_OK && sizes[1])
        st = fs_read_exact(f->file, f->at + sizeof sizes + sizes[0], body->data, sizes[1], err);
    if (st == ST_OK)
        st = ipc_decode_batch(f->schema, NULL, header->data, sizes[0], body, f->budget, ret_batch, err);
    buffer_unref(header);
    buffer_unref(body);
    f->at += sizeof sizes + sizes[0] + sizes[1];
    return st;
}

void spill_file_free(struct spill_file *f)
{
    if (!f)
        return;
    if (f->file)
        f->file->ops->close(f->file);
    atomic_fetch_sub(&f->space->bytes, f->bytes);
    ipc_encoder_free(f->encoder);
    schema_unref(f->schema);
    free(f);
}
