/* A file system in memory for tests, which fails calls on demand and forgets at a power cut what was not synced.
 *
 * Folders are durable at once; names of files become durable by sync_dir(), contents by sync(). */
#ifndef OS_FS_SIM_H
#define OS_FS_SIM_H

#include "os/fs.h"

struct fs_sim;

enum fs_sim_fault {
    FS_SIM_IO,            /* ST_STORAGE; a failed sync loses what was not on disk, a failed write leaves a part of itself */
    FS_SIM_NO_SPACE,      /* the same with ST_NO_SPACE */
    FS_SIM_NO_SPACE_LATE, /* the same, but what a failed sync did not write can still be read, until a power cut. As in Linux no later sync writes it,
                           * either, unless it was written again meanwhile */
    FS_SIM_POWER,         /* ST_STORAGE for this and every later call; fs_sim_power_cut() then decides what is left */
};

int fs_sim_new(uint64_t seed, struct fs_sim **ret_sim, struct error *err);
void fs_sim_free(struct fs_sim *sim); /* all its files must be closed */
struct fs *fs_sim_fs(struct fs_sim *sim);

/* Calls so far (close is none). */
uint64_t fs_sim_calls(struct fs_sim *sim);

/* Call number `nth` (1 is the first one ever) fails; `sticky`: and all behind it. nth = 0: none. */
void fs_sim_fail(struct fs_sim *sim, enum fs_sim_fault fault, uint64_t nth, bool sticky);

/* Every sync of a file's contents fails from now on, until fs_sim_fail() is called. */
void fs_sim_fail_syncs(struct fs_sim *sim, enum fs_sim_fault fault);

/* A disk of that many bytes, in sectors of 512: what does not fit any more fails with ST_NO_SPACE, a write after a part of it. 0: without end. */
void fs_sim_set_capacity(struct fs_sim *sim, uint64_t bytes);

/* Every sector of 512 bytes written and not synced, every size and every name is kept or lost at random; then the power is back and nothing fails.
 * Files still open read what is left. */
void fs_sim_power_cut(struct fs_sim *sim);

#endif
