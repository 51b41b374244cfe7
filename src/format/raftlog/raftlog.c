#include "format/raftlog/raftlog.h"

#include <lz4.h>
#include <string.h>
#include <zlib.h>

#include "format/proto/wire.h"

/* All numbers here are frozen: they are the peer's. */
static const char MAGIC[] = "RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
enum { MAGIC_BYTES = sizeof MAGIC - 1, CHECKSUM_BYTES = 4, LZ4_HEAD = 4, LZ4_RATIO_MAX = 256, BLOCK_BYTES_MAX = INT32_MAX };
enum { ITEM_ENTRIES = 1, ITEM_COMMAND = 2, ITEM_KV = 3, COMMAND_CLEAN = 1, COMMAND_COMPACT = 2, KV_PUT = 1, KV_DELETE = 2 };

bool raftlog_header_get(const uint8_t *data, size_t size, struct raftlog_header *ret_header)
{
    struct raftlog_header h = {.size = MAGIC_BYTES + 8};
    if (size < h.size || memcmp(data, MAGIC, MAGIC_BYTES) != 0)
        return false;
    h.version = load_be64(data + MAGIC_BYTES);
    if (h.version == 2) {
        h.size += 8;
        if (size < h.size)
            return false;
        h.alignment = load_be64(data + MAGIC_BYTES + 8);
    } else if (h.version != 1) {
        return false;
    }
    *ret_header = h;
    return true;
}

bool raftlog_batch_get(const uint8_t data[RAFTLOG_BATCH_HEADER], struct raftlog_batch *ret_batch)
{
    uint64_t first = load_be64(data), footer = load_be64(data + 8);
    struct raftlog_batch b = {.total_bytes = first >> 8, .footer_at = footer, .lz4 = (first & 0xff) == 1};
    if ((first & 0xff) > 1 || footer < RAFTLOG_BATCH_HEADER || footer > b.total_bytes || b.total_bytes - footer <= CHECKSUM_BYTES)
        return false;
    uint64_t block = raftlog_block_bytes(&b);
    if (block && block <= CHECKSUM_BYTES)
        return false;
    *ret_batch = b;
    return true;
}

static uint32_t crc_of(const uint8_t *data, size_t size)
{
    return (uint32_t)crc32_z(0, data, size);
}

static bool varint(const uint8_t **p, const uint8_t *end, uint64_t *ret_value)
{
    struct pb_reader r = {*p, end};
    if (!pb_varint(&r, ret_value))
        return false;
    *p = r.p;
    return true;
}

bool raftlog_footer_valid(const uint8_t *footer, size_t size, uint32_t signature)
{
    if (size <= CHECKSUM_BYTES || (crc_of(footer, size - CHECKSUM_BYTES) ^ signature) != load_le32(footer + size - CHECKSUM_BYTES))
        return false;
    struct raftlog_items items = raftlog_items_of(footer, size);
    struct raftlog_item item;
    uint64_t end = 0, tail;
    while (raftlog_item_next(&items, &item)) {
        const uint8_t *at = item.tails;
        for (uint64_t i = 0; i < item.n; i++, end = tail)
            if (!varint(&at, items.end, &tail) || tail < end || tail > BLOCK_BYTES_MAX)
                return false;
    }
    return !items.bad;
}

int raftlog_block_open(const uint8_t *block, size_t size, bool lz4, struct dynbuf *plain, const uint8_t **ret_data, size_t *ret_size,
                       struct error *err)
{
    if (size <= CHECKSUM_BYTES || crc_of(block, size - CHECKSUM_BYTES) != load_le32(block + size - CHECKSUM_BYTES))
        return error_set(err, ST_CORRUPT, "the checksum of a block of log entries is wrong");
    size -= CHECKSUM_BYTES;
    if (!lz4) {
        *ret_data = block;
        *ret_size = size;
        return ST_OK;
    }
    size_t bytes = size < LZ4_HEAD ? 0 : load_le32(block);
    if (size < LZ4_HEAD || bytes > BLOCK_BYTES_MAX || size > BLOCK_BYTES_MAX || bytes / LZ4_RATIO_MAX > size)
        return error_set(err, ST_CORRUPT, "a compressed block of log entries claims %zu bytes out of %zu", bytes, size);
    dynbuf_clear(plain);
    TRY(dynbuf_reserve(plain, bytes + 1, err));
    int n = LZ4_decompress_safe((const char *)block + LZ4_HEAD, (char *)plain->data, (int)(size - LZ4_HEAD), (int)bytes);
    if (n < 0 || (size_t)n != bytes)
        return error_set(err, ST_CORRUPT, "a compressed block of log entries cannot be decompressed");
    plain->size = bytes;
    *ret_data = plain->data;
    *ret_size = bytes;
    return ST_OK;
}

/* ---- items ---- */

static bool span(const uint8_t **p, const uint8_t *end, const uint8_t **ret_data, size_t *ret_size)
{
    uint64_t n;
    if (!varint(p, end, &n) || n > (uint64_t)(end - *p))
        return false;
    *ret_data = *p;
    *ret_size = (size_t)n;
    *p += n;
    return true;
}

struct raftlog_items raftlog_items_of(const uint8_t *footer, size_t size)
{
    struct raftlog_items items = {.p = footer, .end = footer + size - CHECKSUM_BYTES};
    items.bad = !varint(&items.p, items.end, &items.left);
    return items;
}

static bool read_entries(struct raftlog_items *items, struct raftlog_item *item)
{
    uint64_t tail;
    item->kind = RAFTLOG_ENTRIES;
    /* Each entry takes a byte here at least: a count beyond that is a lie. */
    if (!varint(&items->p, items->end, &item->n) || item->n > (uint64_t)(items->end - items->p))
        return false;
    if (item->n && (!varint(&items->p, items->end, &item->index) || item->index > UINT64_MAX - item->n))
        return false;
    item->tails = items->p;
    for (uint64_t i = 0; i < item->n; i++)
        if (!varint(&items->p, items->end, &tail))
            return false;
    return true;
}

static bool read_command(struct raftlog_items *items, struct raftlog_item *item)
{
    if (items->p >= items->end)
        return false;
    uint8_t command = *items->p++;
    item->kind = command == COMMAND_CLEAN ? RAFTLOG_CLEAN : RAFTLOG_COMPACT;
    return command == COMMAND_CLEAN || (command == COMMAND_COMPACT && varint(&items->p, items->end, &item->index));
}

static bool read_kv(struct raftlog_items *items, struct raftlog_item *item)
{
    if (items->p >= items->end)
        return false;
    uint8_t what = *items->p++;
    item->kind = what == KV_PUT ? RAFTLOG_PUT : RAFTLOG_DELETE;
    if ((what != KV_PUT && what != KV_DELETE) || !span(&items->p, items->end, &item->key, &item->key_size))
        return false;
    return what == KV_DELETE || span(&items->p, items->end, &item->value, &item->value_size);
}

bool raftlog_item_next(struct raftlog_items *items, struct raftlog_item *ret_item)
{
    struct raftlog_item item = {0};
    if (items->bad || items->left == 0)
        return false;
    items->left--;
    bool good = varint(&items->p, items->end, &item.group) && items->p < items->end;
    uint8_t type = good ? *items->p++ : 0;
    good = good && (type == ITEM_ENTRIES   ? read_entries(items, &item)
                    : type == ITEM_COMMAND ? read_command(items, &item)
                    : type == ITEM_KV      ? read_kv(items, &item)
                                           : false);
    items->bad = !good;
    if (good)
        *ret_item = item;
    return good;
}

bool raftlog_entry_next(const uint8_t **at, const uint8_t *end, uint64_t *ret_tail)
{
    return varint(at, end, ret_tail);
}

int raftlog_entry_get(const uint8_t *data, size_t size, struct raftlog_entry *ret_entry, struct error *err)
{
    struct pb_reader r = pb_reader_of(data, size);
    struct pb_field f;
    struct raftlog_entry e = {.data = data};
    while (pb_next(&r, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            e.id = f.value;
        } else if (f.number == 2 && f.wire == PB_VARINT) {
            e.region_id = f.value;
        } else if (f.number == 3 && f.wire == PB_BYTES) {
            e.data = f.data;
            e.size = f.size;
        }
    }
    if (!pb_done(&r))
        return error_set(err, ST_CORRUPT, "a log entry is malformed protobuf");
    *ret_entry = e;
    return ST_OK;
}
