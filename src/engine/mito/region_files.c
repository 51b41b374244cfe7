/* The list of live files of a region. */
#include <stdlib.h>

#include "engine/mito/mito.h"

int mito_files_add(struct mito_region *r, const struct file_meta *metas, uint32_t n, struct error *err)
{
    struct sst_file **grown = realloc(r->files, (r->n_files + n + 1) * sizeof *grown);
    if (!grown)
        return error_no_memory(err, (r->n_files + n) * sizeof *grown);
    r->files = grown;
    for (uint32_t i = 0; i < n; i++) {
        struct file_meta copy;
        TRY(file_meta_copy(&metas[i], &copy, err));
        int st = sst_file_new(r->engine->options.store, r->dir, &copy, &r->engine->footers, &r->files[r->n_files], err);
        if (st != ST_OK) {
            file_meta_release(&copy);
            return st;
        }
        r->n_files++;
    }
    return ST_OK;
}

void mito_files_remove(struct mito_region *r, struct sst_file *const *files, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->n_files; i++) {
        bool gone = false;
        for (uint32_t k = 0; k < n && !gone; k++)
            gone = r->files[i] == files[k];
        if (gone) {
            atomic_store(&r->files[i]->deleted, true);
            sst_file_unref(r->files[i]);
        } else {
            r->files[kept++] = r->files[i];
        }
    }
    r->n_files = kept;
}
