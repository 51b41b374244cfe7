/* `inspect puffin`: the index file of an SST. */
#include <inttypes.h>
#include <string.h>

#include "ctl/commands.h"
#include "format/index/bloom.h"
#include "format/index/inverted.h"
#include "os/fs.h"

static int read_file(void *ctx, uint64_t offset, void *data, size_t size, struct error *err)
{
    return fs_read_exact(ctx, offset, data, size, err);
}

static int print_bloom(struct ctl_table *t, const struct puffin_source *blob, struct arena *a, struct error *err)
{
    struct bloom_index x;
    TRY(bloom_index_open(blob, a, &x, err));
    return ctl_table_printf(t, err, "%" PRIu64 " rows in %u segments of %" PRIu64 ", %u filters", x.n_rows, (unsigned)x.n_segments,
                            x.rows_per_segment, (unsigned)x.n_filters);
}

static int print_inverted(struct ctl_table *t, const struct puffin_source *blob, struct arena *a, struct error *err)
{
    struct inverted_index x;
    struct dynbuf text;
    TRY(inverted_index_open(blob, a, &x, err));
    dynbuf_init(&text, 1 << 20);
    int st = dynbuf_printf(&text, err, "%" PRIu64 " rows in segments of %" PRIu64 ", columns", x.n_rows, x.rows_per_segment);
    for (uint32_t i = 0; i < x.n_columns && st == ST_OK; i++)
        st = dynbuf_printf(&text, err, "%s %u (%" PRIu64 " B)", i ? "," : "", (unsigned)x.columns[i].column_id, x.columns[i].n_bytes);
    if (st == ST_OK)
        st = ctl_table_cell(t, (const char *)text.data, text.size, false, err);
    dynbuf_release(&text);
    return st;
}

static int print_blob(struct ctl_table *t, const struct puffin_source *file, const struct puffin_blob *b, struct arena *a, struct error *err)
{
    static const char *const codecs[] = {[PUFFIN_PLAIN] = "-", [PUFFIN_ZSTD] = "zstd", [PUFFIN_LZ4] = "lz4"};
    struct puffin_source blob;
    bool plain = puffin_blob_source(file, b, &blob, NULL) == ST_OK;
    TRY(ctl_table_cell(t, b->type, strlen(b->type), false, err));
    TRY(ctl_table_printf(t, err, "%" PRIu64, b->offset));
    TRY(ctl_table_printf(t, err, "%" PRIu64, b->length));
    TRY(ctl_table_printf(t, err, "%s", codecs[b->codec]));
    if (plain && (strncmp(b->type, "greptime-bloom-filter-v1-", 25) == 0 || strncmp(b->type, "greptime-fulltext-index-bloom-", 30) == 0))
        return print_bloom(t, &blob, a, err);
    if (plain && strcmp(b->type, "greptime-inverted-index-v1") == 0)
        return print_inverted(t, &blob, a, err);
    return ctl_table_printf(t, err, "-");
}

static int print_file(struct ctl *c, const struct puffin_source *s, const char *path, struct error *err)
{
    static const char *const headings[] = {"BLOB", "OFFSET", "SIZE", "CODEC", "CONTENT"};
    struct puffin_file f;
    struct ctl_table t;
    char bytes[24];
    TRY(puffin_open(s, &c->arena, &f, err));
    printf("file   %s\nsize   %s\nblobs  %u\n\n", path, ctl_bytes(s->size_bytes, bytes), (unsigned)f.n_blobs);
    int st = ctl_table_begin(&t, stdout, headings, 5, err);
    for (uint32_t i = 0; i < f.n_blobs && st == ST_OK; i++)
        st = print_blob(&t, s, &f.blobs[i], &c->arena, err);
    if (st == ST_OK)
        ctl_table_end(&t);
    ctl_table_free(&t);
    for (uint32_t i = 0; i < f.n_blobs && st == ST_OK; i++)
        for (uint32_t k = 0; k < f.blobs[i].n_properties; k++)
            printf("\n%s: %s = %s", f.blobs[i].type, f.blobs[i].properties[k].name, f.blobs[i].properties[k].value);
    printf("\n");
    return st;
}

int ctl_inspect_puffin(struct ctl *c, const char *path, struct error *err)
{
    struct fs *fs = fs_posix();
    struct fs_file *file;
    struct puffin_source source = {.read = read_file};
    TRY(fs->ops->open(fs, path, FS_READ, &file, err));
    source.ctx = file;
    int st = file->ops->size(file, &source.size_bytes, err);
    if (st == ST_OK)
        st = print_file(c, &source, path, err);
    file->ops->close(file);
    return st ? error_prefix(err, "%s", path) : ST_OK;
}
