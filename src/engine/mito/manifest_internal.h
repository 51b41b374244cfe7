/* What the manifest's files share: folding states, and writing the texts. Pure. */
#ifndef ENGINE_MITO_MANIFEST_INTERNAL_H
#define ENGINE_MITO_MANIFEST_INTERNAL_H

#include "engine/mito/manifest.h"

#define MANIFEST_TEXT_MAX ((size_t)256 << 20)

int manifest_copy(const struct manifest *m, struct manifest *ret_copy, struct error *err);

/* Delta texts. */
int manifest_edit_json(const struct manifest_edit *e, struct dynbuf *out, struct error *err);
int manifest_change_json(const struct region_metadata *metadata, enum sst_format format, int append_mode, const struct manifest_edit *edit, /* or NULL */
                         struct dynbuf *out, struct error *err);
int manifest_truncate_json(uint64_t region_id, uint64_t entry_id, uint64_t sequence, struct dynbuf *out, struct error *err);
int manifest_truncate_files_json(uint64_t region_id, const struct file_meta *files, uint32_t n, struct dynbuf *out, struct error *err);
int manifest_checkpoint_json(const struct manifest *m, uint64_t compacted_actions, struct dynbuf *out, struct error *err);
int file_meta_json(const struct file_meta *f, struct dynbuf *out, struct error *err);

#endif
