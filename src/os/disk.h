/* Room on the disk of a folder: notices when it runs out, and has some put aside for that day.
 *
 * A file next to the data, the reserve, takes space that it does not need. When a call of somebody who frees space in the end (a flush, a compaction,
 * a manifest) meets ENOSPC or EDQUOT, a part of the reserve is given up and the call made again, until it succeeds or nothing is left. From then on,
 * and as soon as there is little room left, the disk counts as full: whoever lets data grow asks disk_check() first and refuses. disk_poll() finds
 * out when there is room for the reserve and some more; then the reserve is made anew and the disk counts as usable.
 */
#ifndef OS_DISK_H
#define OS_DISK_H

#include "os/fs.h"

struct disk;

struct disk_state {
    bool full;
    uint64_t free_bytes, total_bytes; /* when it was last looked at */
    uint64_t reserve_bytes;           /* what the reserve should have; 0: none is wanted, or the disk is too small for one */
    uint64_t held_bytes;              /* what it has */
    uint64_t times_full;
    char cause[256]; /* full: what showed it. Else, without the whole reserve: why */
};

struct disk_options {
    struct fs *fs;            /* the real one */
    const char *dir;          /* exists */
    const char *reserve_name; /* of the file in it */
    uint64_t reserve_bytes;   /* at most this, and at most a twentieth of the disk; 0: no reserve */
    int64_t poll_ms;          /* a thread of its own calls disk_poll() that often; 0: none does */
    /* After each change of `full`, from whichever thread made it, with the disk's lock held: not to call anything of this file but disk_dir(). May be
     * NULL. */
    void (*changed)(void *ctx, const struct disk *disk, const struct disk_state *state);
    void *ctx;
};

/* Makes the reserve, or learns that the disk is full already: neither fails. */
int disk_new(const struct disk_options *options, struct disk **ret_disk, struct error *err);
void disk_free(struct disk *d); /* NULL is allowed; the reserve stays */
const char *disk_dir(const struct disk *d);

/* The file system for those who free space in the end: their calls may use the reserve up. */
struct fs *disk_fs(struct disk *d);
/* For those who only let data grow: their calls fail when the disk is full, which is noticed. */
struct fs *disk_fs_growing(struct disk *d);

/* ST_NO_SPACE, with cause and remedy, while the disk is full. NULL is never full. */
int disk_check(const struct disk *d, struct error *err);
void disk_poll(struct disk *d);
void disk_get_state(struct disk *d, struct disk_state *ret_state);

#endif
