/* The files of raft-engine 0.4, which is the local write-ahead log of a GreptimeDB 1.0.x datanode (wal.md section 3): reading only.
 *
 * A file is a header and log batches. A batch holds the entries of many groups (group = region id) in one block and, in its footer, items that say
 * which bytes of the block are which entry, and what else happens to groups. Pure: the caller brings the bytes.
 */
#ifndef FORMAT_RAFTLOG_RAFTLOG_H
#define FORMAT_RAFTLOG_RAFTLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum { RAFTLOG_FILE_HEADER_MAX = 69, RAFTLOG_BATCH_HEADER = 16 };

struct raftlog_header {
    uint64_t version, alignment; /* alignment 0 = none */
    uint32_t size;               /* bytes of the file header */
};
/* The header at the start of a file; false when it is none. */
bool raftlog_header_get(const uint8_t *data, size_t size, struct raftlog_header *ret_header);

struct raftlog_batch {
    uint64_t total_bytes; /* header to footer */
    uint64_t footer_at;   /* from the batch's start */
    bool lz4;
};
bool raftlog_batch_get(const uint8_t data[RAFTLOG_BATCH_HEADER], struct raftlog_batch *ret_batch);

/* Bytes of the entries block, its checksum included; 0 = none. */
static inline uint64_t raftlog_block_bytes(const struct raftlog_batch *b)
{
    return b->footer_at - RAFTLOG_BATCH_HEADER;
}

/* What the footer checksum is xored with: the low bits of the file's sequence number, from version 2 on. */
static inline uint32_t raftlog_signature(const struct raftlog_header *h, uint64_t sequence)
{
    return h->version >= 2 ? (uint32_t)sequence : 0;
}

/* Whether the footer, checksum included, is whole, each of its items can be read, and the entries' ends ascend. */
bool raftlog_footer_valid(const uint8_t *footer, size_t size, uint32_t signature);

/* Checks an entries block (checksum included) and gives its plain bytes: *ret_data points into `block`, or into `plain` when it was compressed. */
int raftlog_block_open(const uint8_t *block, size_t size, bool lz4, struct dynbuf *plain, const uint8_t **ret_data, size_t *ret_size,
                       struct error *err);

enum raftlog_kind { RAFTLOG_ENTRIES, RAFTLOG_CLEAN, RAFTLOG_COMPACT, RAFTLOG_PUT, RAFTLOG_DELETE };

struct raftlog_item {
    uint64_t group;
    enum raftlog_kind kind;
    uint64_t index;             /* ENTRIES: of the first; COMPACT: of the first that stays */
    uint64_t n;                 /* ENTRIES */
    const uint8_t *key, *value; /* PUT, DELETE */
    size_t key_size, value_size;
    const uint8_t *tails; /* ENTRIES: n varints, see raftlog_entry_next() */
};

/* Walks the items of a valid footer. */
struct raftlog_items {
    const uint8_t *p, *end;
    uint64_t left;
    bool bad;
};
struct raftlog_items raftlog_items_of(const uint8_t *footer, size_t size);
bool raftlog_item_next(struct raftlog_items *items, struct raftlog_item *ret_item); /* false: no more, or items->bad */

/* The end of the next entry of an item within the plain block; entries lie side by side over all items of a batch. `*at` starts as item->tails. */
bool raftlog_entry_next(const uint8_t **at, const uint8_t *end, uint64_t *ret_tail);

/* One entry's bytes: {id, region, WalEntry}. */
struct raftlog_entry {
    uint64_t id, region_id;
    const uint8_t *data;
    size_t size;
};
int raftlog_entry_get(const uint8_t *data, size_t size, struct raftlog_entry *ret_entry, struct error *err);

#endif
