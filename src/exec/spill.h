/* Rows on disk: what a sort or an aggregation puts aside when the query's memory is nearly used up.
 *
 * A spill space is a folder of the node's own with a ceiling on its bytes; what is in it when the node starts is left over from a crash and removed. A spill
 * file is written, then read back once, batch by batch, by one thread; its name is gone from the folder as soon as it is open.
 */
#ifndef EXEC_SPILL_H
#define EXEC_SPILL_H

#include "arrow/column.h"
#include "os/fs.h"

struct spill_space;

/* Makes the folder, or empties it. */
int spill_space_new(struct fs *fs, const char *path, uint64_t bytes_max, struct spill_space **ret_space, struct error *err);
void spill_space_free(struct spill_space *s); /* all files are freed; NULL is allowed */
uint64_t spill_space_bytes(const struct spill_space *s);

struct spill_file;

/* Batches of `schema` (dictionary columns may stand for their values, and come back as these). The space outlives the file. */
int spill_file_new(struct spill_space *space, struct schema *schema, struct budget *budget, struct spill_file **ret_file, struct error *err);
int spill_file_put(struct spill_file *f, const struct batch *batch, struct error *err);
/* The next batch in the order of put; NULL behind the last. After the first call nothing is put any more. */
int spill_file_next(struct spill_file *f, struct batch **ret_batch, struct error *err);
void spill_file_free(struct spill_file *f); /* NULL is allowed */

#endif
