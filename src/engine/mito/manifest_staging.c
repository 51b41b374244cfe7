/* Staged deltas of a region under repartition (mito-on-disk.md 2.9), and the manifests that its nodes hand each other.
 *
 * A staged delta goes to staging/manifest/ under a version of the common counter and changes nothing else; its action is remembered. When staging
 * ends well all of them become one delta in manifest/, the commit point; a staging that ends badly, or with the process, leaves files that the next
 * one removes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mito/manifest_internal.h"

static const char actions_head[] = "{\"actions\":[", actions_tail[] = "]}";

/* ".../manifest/" -> ".../staging/<what>/" */
static void staging_dir(const struct manifest_manager *m, const char *what, char out[MANIFEST_KEY_MAX])
{
    size_t n = strlen(m->dir) - strlen("manifest/");
    snprintf(out, MANIFEST_KEY_MAX, "%.*sstaging/%s", (int)n, m->dir, what);
}

static void forget(struct manifest_manager *m)
{
    dynbuf_clear(&m->staged);
    m->staged_exprs = m->staged_edits = 0;
}

int manifest_staging_clear(struct manifest_manager *m, struct error *err)
{
    char dir[MANIFEST_KEY_MAX];
    forget(m);
    staging_dir(m, "manifest", dir);
    TRY(m->store->ops->remove_prefix(m->store, dir, err));
    staging_dir(m, "blob", dir);
    return m->store->ops->remove_prefix(m->store, dir, err);
}

/* Writes a delta's text to the staging folder and remembers its actions. */
static int stage(struct manifest_manager *m, const struct dynbuf *text, struct error *err)
{
    char name[48], key[MANIFEST_KEY_MAX];
    size_t head = strlen(actions_head), tail = strlen(actions_tail);
    TRY(dynbuf_reserve(&m->staged, text->size, err)); /* so that both of the following fit */
    snprintf(name, sizeof name, "manifest/%020llu.json", (unsigned long long)m->next_version++);
    staging_dir(m, name, key);
    TRY(manifest_put_delta(m, key, text, err));
    if (m->staged.size)
        TRY(dynbuf_append_byte(&m->staged, ',', err));
    return dynbuf_append(&m->staged, text->data + head, text->size - head - tail, err);
}

int manifest_stage_expr(struct manifest_manager *m, const char *partition_expr, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = manifest_expr_json(partition_expr, &text, err);
    if (st == ST_OK)
        st = stage(m, &text, err);
    m->staged_exprs += st == ST_OK;
    dynbuf_release(&text);
    return st;
}

int manifest_stage_edit(struct manifest_manager *m, const struct manifest_edit *edit, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = manifest_edit_json(edit, &text, err);
    if (st == ST_OK)
        st = stage(m, &text, err);
    m->staged_edits += st == ST_OK;
    dynbuf_release(&text);
    return st;
}

int manifest_staging_commit(struct manifest_manager *m, const struct manifest_prepare *prepare, struct error *err)
{
    struct dynbuf text;
    if (m->staged_exprs != 1 || m->staged_edits == 0)
        return error_set(err, ST_UNEXPECTED, "%s: %u partition expressions and %u edits are staged, one and at least one are needed", m->dir,
                         m->staged_exprs, m->staged_edits);
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = dynbuf_printf(&text, err, "%s", actions_head);
    if (st == ST_OK)
        st = dynbuf_append(&text, m->staged.data, m->staged.size, err);
    if (st == ST_OK)
        st = dynbuf_printf(&text, err, "%s", actions_tail);
    if (st == ST_OK)
        st = manifest_commit(m, &text, prepare, err);
    dynbuf_release(&text);
    if (st == ST_OK) {
        forget(m);
        (void)manifest_staging_clear(m, NULL); /* leftovers are removed by the next staging */
    }
    return st;
}

static int blob_key(const char *region_dir, const char *name, char out[MANIFEST_KEY_MAX], struct error *err)
{
    int n = snprintf(out, MANIFEST_KEY_MAX, "%sstaging/blob/%s", region_dir, name);
    if (n <= 0 || n >= MANIFEST_KEY_MAX || !*name || strchr(name, '/'))
        return error_set(err, ST_INVALID_ARGUMENTS, "\"%.200s\" is no name of a staged manifest", name);
    return ST_OK;
}

int manifest_blob_get(struct object_store *store, const char *region_dir, const char *name, struct manifest *ret_manifest, struct error *err)
{
    char key[MANIFEST_KEY_MAX];
    struct dynbuf text;
    TRY(blob_key(region_dir, name, key, err));
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = object_store_get(store, key, MANIFEST_TEXT_MAX, &text, err);
    if (st == ST_OK)
        st = manifest_load(ret_manifest, (const char *)text.data, text.size, err);
    dynbuf_release(&text);
    return st;
}

int manifest_blob_put(struct object_store *store, const char *region_dir, const char *name, const struct manifest *manifest, struct error *err)
{
    char key[MANIFEST_KEY_MAX];
    struct dynbuf text;
    TRY(blob_key(region_dir, name, key, err));
    dynbuf_init(&text, MANIFEST_TEXT_MAX);
    int st = manifest_json(manifest, false, &text, err);
    if (st == ST_OK)
        st = object_store_put(store, key, text.data, text.size, err);
    dynbuf_release(&text);
    return st;
}
