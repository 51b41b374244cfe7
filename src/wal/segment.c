/* Walking a segment: every length is checked against the file before anything is allocated for it. */
#include "wal/segment.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/crc32c.h"

enum { WINDOW_BYTES = 1 << 20, FAILED_CHECKS_MAX = 64 };
static const char magic[8] = {'R', 'G', 'N', 'D', 'W', 'A', 'L', '1'};

void segment_header_put(uint8_t out[SEGMENT_HEADER_BYTES], uint64_t sequence, uint64_t salt)
{
    memset(out, 0, SEGMENT_HEADER_BYTES);
    memcpy(out, magic, 8);
    store_le32(out + 8, 1);
    store_le64(out + 16, sequence);
    store_le64(out + 24, salt);
    store_le32(out + 60, crc32c(0, out, 60));
}

bool segment_header_get(const uint8_t in[SEGMENT_HEADER_BYTES], uint64_t *ret_sequence, uint64_t *ret_salt)
{
    if (memcmp(in, magic, 8) || load_le32(in + 8) != 1 || load_le32(in + 60) != crc32c(0, in, 60))
        return false;
    *ret_sequence = load_le64(in + 16);
    *ret_salt = load_le64(in + 24);
    return true;
}

static uint32_t header_crc(const uint8_t *in, uint64_t salt)
{
    return crc32c(crc32c(0, &salt, 8), in + 4, RECORD_HEADER_BYTES - 4);
}

void record_header_put(uint8_t out[RECORD_HEADER_BYTES], uint64_t salt, const struct record_header *h)
{
    store_le32(out + 4, h->payload_crc);
    store_le64(out + 8, h->size);
    store_le64(out + 16, h->region_id);
    store_le64(out + 24, h->entry_id);
    store_le64(out + 32, h->prev_entry_id);
    store_le64(out + 40, h->synced);
    store_le32(out, header_crc(out, salt));
}

bool record_header_get(const uint8_t in[RECORD_HEADER_BYTES], uint64_t salt, struct record_header *ret_h)
{
    if (load_le32(in) != header_crc(in, salt))
        return false;
    *ret_h =
        (struct record_header){load_le32(in + 4), load_le64(in + 8), load_le64(in + 16), load_le64(in + 24), load_le64(in + 32), load_le64(in + 40)};
    return true;
}

void cursor_init(struct segment_cursor *c, struct fs_file *file, uint64_t salt, uint64_t at, uint64_t end)
{
    *c = (struct segment_cursor){.file = file, .salt = salt, .at = at, .end = end};
}

void cursor_release(struct segment_cursor *c)
{
    free(c->window);
    c->window = NULL;
}

/* Makes [at, at + size) present in the window; the caller has checked it against c->end. */
static int want(struct segment_cursor *c, uint64_t at, size_t size, const uint8_t **ret_data, struct error *err)
{
    if (at < c->window_at || at + size > c->window_at + c->filled) {
        size_t step = c->step ? c->step : WINDOW_BYTES, n = size > step ? size : step;
        if (n > c->capacity || !c->window) {
            free(c->window);
            c->filled = c->capacity = 0;
            c->window = malloc(n);
            if (!c->window)
                return error_no_memory(err, n);
            c->capacity = n;
        }
        uint64_t left = c->end - at;
        n = left < n ? (size_t)left : n;
        c->filled = 0;
        c->window_at = at;
        TRY(fs_read_exact(c->file, at, c->window, n, err));
        c->filled = n;
    }
    *ret_data = c->window + (at - c->window_at);
    return ST_OK;
}

int cursor_header(struct segment_cursor *c, struct record_header *ret_h, bool *ret_valid, struct error *err)
{
    *ret_valid = false;
    if (c->at > c->end || c->end - c->at < RECORD_HEADER_BYTES)
        return ST_OK;
    const uint8_t *data;
    TRY(want(c, c->at, RECORD_HEADER_BYTES, &data, err));
    *ret_valid = record_header_get(data, c->salt, ret_h) && ret_h->size <= c->end - c->at - RECORD_HEADER_BYTES;
    return ST_OK;
}

int cursor_payload(struct segment_cursor *c, const struct record_header *h, const uint8_t **ret_payload, struct error *err)
{
    const uint8_t *data;
    TRY(want(c, c->at + RECORD_HEADER_BYTES, (size_t)h->size, &data, err));
    *ret_payload = crc32c(0, data, (size_t)h->size) == h->payload_crc ? data : NULL;
    return ST_OK;
}

int cursor_resync(struct segment_cursor *c, struct error *err)
{
    struct record_header h;
    const uint8_t *payload;
    bool valid;
    for (c->at++; c->at < c->end; c->at++) {
        TRY(cursor_header(c, &h, &valid, err));
        if (!valid)
            continue;
        TRY(cursor_payload(c, &h, &payload, err));
        if (payload)
            return ST_OK;
        if (++c->failed_checks > FAILED_CHECKS_MAX)
            break;
    }
    c->at = c->end;
    return ST_OK;
}
