/* What a raft-engine folder holds once all its batches are applied: for each group where its live entries lie (wal.md 3.4).
 *
 * The caller feeds the batches of the rewrite queue and then those of the append queue, each in file order. Pure but for the memory, which is
 * charged: 16 bytes an entry.
 */
#ifndef FORMAT_RAFTLOG_INDEX_H
#define FORMAT_RAFTLOG_INDEX_H

#include "base/budget.h"
#include "base/hash.h"
#include "format/raftlog/raftlog.h"

struct raftlog_ref {
    uint64_t place;       /* of the batch, as the caller names it */
    uint32_t start, size; /* in its plain block */
};

struct raftlog_group {
    uint64_t id;
    struct raftlog_ref *refs; /* owned; the live ones are refs[head, head + n), with consecutive indexes from `first` on */
    size_t head, n, capacity;
    uint64_t first;
    uint64_t last;        /* highest index ever, kept when the entries are gone */
    uint64_t epoch;       /* damages before its last entries */
    bool in_append_queue; /* where the last of them came from */
    bool has_hole;        /* entries between those seen are missing, and not because they were compacted away */
};

struct raftlog_index {
    struct budget *budget;
    struct u64_map groups;  /* id -> struct raftlog_group, owned */
    struct u64_map pending; /* atomic groups of the rewrite queue that have not ended: id -> struct dynbuf, owned */
    uint64_t damages;
};

void raftlog_index_init(struct raftlog_index *x, struct budget *budget);
void raftlog_index_release(struct raftlog_index *x);

/* Applies the valid footer of the batch at `place`. */
int raftlog_index_apply(struct raftlog_index *x, bool rewrite_queue, uint64_t place, const uint8_t *footer, size_t size, struct error *err);
/* Batches behind the last one are lost. */
void raftlog_index_damage(struct raftlog_index *x);
/* All batches were applied: what never ended did not happen. */
void raftlog_index_finish(struct raftlog_index *x);

struct raftlog_group *raftlog_index_find(const struct raftlog_index *x, uint64_t id); /* NULL when absent */
/* Forgets the entries below `index`. */
void raftlog_group_compact(struct raftlog_index *x, struct raftlog_group *g, uint64_t index);

#endif
