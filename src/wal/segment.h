/* The bytes of a log segment, and walking them. Format: see wal.c. */
#ifndef WAL_SEGMENT_H
#define WAL_SEGMENT_H

#include <stdbool.h>

#include "os/fs.h"
#include "wal/wal.h"

/* Of checkpoint records, see checkpoint.c. */
#define CHECKPOINT_REGION UINT64_MAX

enum { SEGMENT_HEADER_BYTES = 64, RECORD_HEADER_BYTES = 48 }; /* frozen */

struct record_header {
    uint32_t payload_crc;
    uint64_t size, region_id, entry_id;
    uint64_t prev_entry_id; /* of the same region, 0 = its chain begins here */
    uint64_t synced;        /* offset below which the segment was known to be on disk when this record was written */
};

void segment_header_put(uint8_t out[SEGMENT_HEADER_BYTES], uint64_t sequence, uint64_t salt);
bool segment_header_get(const uint8_t in[SEGMENT_HEADER_BYTES], uint64_t *ret_sequence, uint64_t *ret_salt);
void record_header_put(uint8_t out[RECORD_HEADER_BYTES], uint64_t salt, const struct record_header *h);
bool record_header_get(const uint8_t in[RECORD_HEADER_BYTES], uint64_t salt, struct record_header *ret_h);

/* Reads a segment forward through one window; a payload larger than the window grows it, but only when the file has the bytes. */
struct segment_cursor {
    struct fs_file *file;
    uint64_t salt, at, end;
    uint8_t *window;
    size_t capacity, filled;
    size_t step; /* bytes to read at a time; 0 = 1 MiB */
    uint64_t window_at;
    unsigned failed_checks; /* of payloads while resyncing */
};

void cursor_init(struct segment_cursor *c, struct fs_file *file, uint64_t salt, uint64_t at, uint64_t end);
void cursor_release(struct segment_cursor *c);

/* The header at c->at; *ret_valid = false when there is none (damage or end). Does not move. */
int cursor_header(struct segment_cursor *c, struct record_header *ret_h, bool *ret_valid, struct error *err);

/* The payload behind the header at c->at, valid until the next call; *ret_payload = NULL when its checksum is wrong. */
int cursor_payload(struct segment_cursor *c, const struct record_header *h, const uint8_t **ret_payload, struct error *err);

/* Moves to the next offset > c->at that holds a whole valid record, or to c->end. Gives up (moves to c->end) after many headers whose payloads are
 * wrong: chance does not make them, and following each would take quadratic time. */
int cursor_resync(struct segment_cursor *c, struct error *err);

#endif
