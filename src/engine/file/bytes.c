/* Files as streams of bytes, through whichever decompressor. Members that follow each other in one file are one stream, as the tools that write them
 * have it. */
#include <bzlib.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "engine/file/file.h"

enum { INPUT_BYTES = 256 << 10 };

struct byte_stream {
    struct fs_file *file;
    uint64_t offset;
    enum file_compression compression;
    uint8_t *input; /* INPUT_BYTES */
    size_t in_at, in_size;
    bool input_over, between; /* no more bytes in the file; the last member is complete */
    z_stream gzip;
    bz_stream bzip2;
    lzma_stream xz;
    ZSTD_DStream *zstd;
};

static int corrupt(const char *what, struct error *err)
{
    return error_set(err, ST_CORRUPT, "a %s file is damaged", what);
}

static int begin(struct byte_stream *s, struct error *err)
{
    static const lzma_stream fresh = LZMA_STREAM_INIT;
    enum { XZ_MEMORY_MAX = 128 << 20 };
    bool good = true;
    switch (s->compression) {
    case FILE_PLAIN:
        break;
    case FILE_GZIP:
        good = inflateInit2(&s->gzip, 15 + 16) == Z_OK;
        break;
    case FILE_BZIP2:
        good = BZ2_bzDecompressInit(&s->bzip2, 0, 0) == BZ_OK;
        break;
    case FILE_XZ:
        s->xz = fresh;
        good = lzma_stream_decoder(&s->xz, XZ_MEMORY_MAX, LZMA_CONCATENATED) == LZMA_OK;
        break;
    case FILE_ZSTD:
        good = (s->zstd = ZSTD_createDStream()) != NULL;
        break;
    }
    s->between = true;
    return good ? ST_OK : error_no_memory(err, INPUT_BYTES);
}

int byte_stream_open(struct fs *fs, const char *path, enum file_compression compression, struct byte_stream **ret_stream, struct error *err)
{
    struct byte_stream *s = calloc(1, sizeof *s);
    if (!s)
        return error_no_memory(err, sizeof *s);
    int st = fs->ops->open(fs, path, FS_READ, &s->file, err);
    if (st == ST_OK && !(s->input = malloc(INPUT_BYTES)))
        st = error_no_memory(err, INPUT_BYTES);
    s->compression = compression;
    if (st == ST_OK)
        st = begin(s, err);
    if (st == ST_OK)
        *ret_stream = s;
    else
        byte_stream_close(s);
    return st;
}

void byte_stream_close(struct byte_stream *s)
{
    if (!s)
        return;
    inflateEnd(&s->gzip);
    BZ2_bzDecompressEnd(&s->bzip2);
    lzma_end(&s->xz);
    ZSTD_freeDStream(s->zstd);
    if (s->file)
        s->file->ops->close(s->file);
    free(s->input);
    free(s);
}

static int refill(struct byte_stream *s, struct error *err)
{
    if (s->in_at < s->in_size || s->input_over)
        return ST_OK;
    s->in_at = 0;
    TRY(s->file->ops->read_at(s->file, s->offset, s->input, INPUT_BYTES, &s->in_size, err));
    s->offset += s->in_size;
    s->input_over = s->in_size < INPUT_BYTES;
    return ST_OK;
}

/* One call of a decompressor on what there is: *out_size bytes of room, becomes what was made. */
static int step_gzip(struct byte_stream *s, uint8_t *out, size_t *out_size, struct error *err)
{
    if (s->between && inflateReset(&s->gzip) != Z_OK)
        return corrupt("gzip", err);
    s->gzip.next_in = s->input + s->in_at;
    s->gzip.avail_in = (uInt)(s->in_size - s->in_at);
    s->gzip.next_out = out;
    s->gzip.avail_out = (uInt)*out_size;
    int rc = inflate(&s->gzip, Z_NO_FLUSH);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return corrupt("gzip", err);
    s->between = rc == Z_STREAM_END;
    s->in_at = s->in_size - s->gzip.avail_in;
    *out_size -= s->gzip.avail_out;
    return ST_OK;
}

static int step_bzip2(struct byte_stream *s, uint8_t *out, size_t *out_size, struct error *err)
{
    if (s->between) {
        BZ2_bzDecompressEnd(&s->bzip2);
        memset(&s->bzip2, 0, sizeof s->bzip2);
        if (BZ2_bzDecompressInit(&s->bzip2, 0, 0) != BZ_OK)
            return error_no_memory(err, INPUT_BYTES);
    }
    s->bzip2.next_in = (char *)s->input + s->in_at;
    s->bzip2.avail_in = (unsigned)(s->in_size - s->in_at);
    s->bzip2.next_out = (char *)out;
    s->bzip2.avail_out = (unsigned)*out_size;
    int rc = BZ2_bzDecompress(&s->bzip2);
    if (rc != BZ_OK && rc != BZ_STREAM_END)
        return corrupt("bzip2", err);
    s->between = rc == BZ_STREAM_END;
    s->in_at = s->in_size - s->bzip2.avail_in;
    *out_size -= s->bzip2.avail_out;
    return ST_OK;
}

static int step_xz(struct byte_stream *s, uint8_t *out, size_t *out_size, struct error *err)
{
    s->xz.next_in = s->input + s->in_at;
    s->xz.avail_in = s->in_size - s->in_at;
    s->xz.next_out = out;
    s->xz.avail_out = *out_size;
    lzma_ret rc = lzma_code(&s->xz, s->input_over ? LZMA_FINISH : LZMA_RUN);
    if (rc != LZMA_OK && rc != LZMA_STREAM_END && rc != LZMA_BUF_ERROR)
        return corrupt("xz", err);
    s->between = rc == LZMA_STREAM_END;
    s->in_at = s->in_size - s->xz.avail_in;
    *out_size -= s->xz.avail_out;
    return ST_OK;
}

static int step_zstd(struct byte_stream *s, uint8_t *out, size_t *out_size, struct error *err)
{
    ZSTD_inBuffer in = {s->input, s->in_size, s->in_at};
    ZSTD_outBuffer o = {out, *out_size, 0};
    size_t rc = ZSTD_decompressStream(s->zstd, &o, &in);
    if (ZSTD_isError(rc))
        return corrupt("zstd", err);
    s->between = rc == 0;
    s->in_at = in.pos;
    *out_size = o.pos;
    return ST_OK;
}

static int step(struct byte_stream *s, uint8_t *out, size_t *out_size, struct error *err)
{
    size_t have = s->in_size - s->in_at;
    switch (s->compression) {
    case FILE_GZIP:
        return step_gzip(s, out, out_size, err);
    case FILE_BZIP2:
        return step_bzip2(s, out, out_size, err);
    case FILE_XZ:
        return step_xz(s, out, out_size, err);
    case FILE_ZSTD:
        return step_zstd(s, out, out_size, err);
    default:
        *out_size = have < *out_size ? have : *out_size;
        memcpy(out, s->input + s->in_at, *out_size);
        s->in_at += *out_size;
        return ST_OK;
    }
}

int byte_stream_read(struct byte_stream *s, void *data, size_t size, size_t *ret_read, struct error *err)
{
    size_t done = 0;
    while (done < size) {
        size_t made = size - done < 1 << 30 ? size - done : 1 << 30;
        TRY(refill(s, err));
        bool dry = s->in_at == s->in_size;
        if (dry && (s->between || s->compression == FILE_PLAIN))
            break; /* the end, between two members */
        TRY(step(s, (uint8_t *)data + done, &made, err));
        done += made;
        if (dry && !made && s->input_over && !s->between)
            return error_set(err, ST_CORRUPT, "a compressed file is cut off");
    }
    *ret_read = done;
    return ST_OK;
}
