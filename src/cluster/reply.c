/* Writing replies, as the peer's serde writes them: internally tagged by "type", every field there, null for none (heartbeat.md 6). */
#include <string.h>

#include "cluster/instruction.h"
#include "format/json/json.h"

#define ULL(x) ((unsigned long long)(x))

static int put_error(const char *error, struct dynbuf *out, struct error *err)
{
    return error ? json_put_string(out, error, strlen(error), err) : dynbuf_printf(out, err, "null");
}

static const char *boolean(bool on)
{
    return on ? "true" : "false";
}

/* {"type":"open_regions","result":true,"error":null}: errors are joined. */
static int simple(const struct instruction *i, const char *type, struct dynbuf *out, struct error *err)
{
    struct dynbuf text;
    bool good = !i->error;
    dynbuf_init(&text, out->max);
    int rc = i->error ? dynbuf_printf(&text, err, "%s", i->error) : ST_OK;
    for (uint32_t k = 0; rc == ST_OK && k < i->n_items; k++) {
        if (!i->items[k].error)
            continue;
        good = false;
        rc = dynbuf_printf(&text, err, "%s%s", text.size ? "; " : "", i->items[k].error);
    }
    if (rc == ST_OK)
        rc = dynbuf_printf(out, err, "{\"type\":\"%s\",\"result\":%s,\"error\":", type, boolean(good));
    if (rc == ST_OK)
        rc = good ? dynbuf_printf(out, err, "null") : json_put_string(out, text.data, text.size, err);
    dynbuf_release(&text);
    return rc ? rc : dynbuf_append_byte(out, '}', err);
}

/* An entry id or null. */
static int put_entry(const char *name, bool has, uint64_t id, struct dynbuf *out, struct error *err)
{
    return has ? dynbuf_printf(out, err, "\"%s\":%llu,", name, ULL(id)) : dynbuf_printf(out, err, "\"%s\":null,", name);
}

/* {"type":T,"replies":[...]}, one for each region. */
static int per_region(const struct instruction *i, const char *type, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"type\":\"%s\",\"replies\":[", type));
    for (uint32_t k = 0; k < i->n_items; k++) {
        const struct instruction_item *item = &i->items[k];
        TRY(dynbuf_printf(out, err, "%s{\"region_id\":%llu,", k ? "," : "", ULL(item->region_id)));
        if (i->kind == INSTRUCTION_DOWNGRADE) {
            TRY(put_entry("last_entry_id", item->entries.has_last, item->entries.last_entry_id, out, err));
            TRY(put_entry("metadata_last_entry_id", item->entries.has_metadata, item->entries.metadata_last_entry_id, out, err));
        } else {
            TRY(dynbuf_printf(out, err, "\"ready\":%s,", boolean(item->ready)));
        }
        TRY(dynbuf_printf(out, err, "\"exists\":%s,\"error\":", boolean(item->exists)));
        TRY(put_error(item->error, out, err));
        TRY(dynbuf_append_byte(out, '}', err));
    }
    return dynbuf_printf(out, err, "]}");
}

/* [[id,{"Ok":null}],[id,{"Err":"..."}]]; after a fast failure the regions behind it have no result. */
static int flush(const struct instruction *i, struct dynbuf *out, struct error *err)
{
    bool good = true;
    TRY(dynbuf_printf(out, err, "{\"type\":\"flush_regions\",\"results\":["));
    for (uint32_t k = 0; k < i->n_items && (good || i->try_all); k++) {
        const struct instruction_item *item = &i->items[k];
        TRY(dynbuf_printf(out, err, "%s[%llu,{\"%s\":", k ? "," : "", ULL(item->region_id), item->error ? "Err" : "Ok"));
        TRY(put_error(item->error, out, err));
        TRY(dynbuf_printf(out, err, "}]"));
        good = good && !item->error;
    }
    return dynbuf_printf(out, err, "],\"overall_success\":%s}", boolean(good));
}

static int file_refs(const struct instruction *i, struct dynbuf *out, struct error *err)
{
    static const char empty[] = "{\"file_refs\":{},\"manifest_version\":{},\"cross_region_refs\":{}}";
    TRY(dynbuf_printf(out, err, "{\"type\":\"get_file_refs\",\"file_refs_manifest\":"));
    TRY(i->error ? dynbuf_append(out, empty, strlen(empty), err) : dynbuf_append(out, i->result.data, i->result.size, err));
    TRY(dynbuf_printf(out, err, ",\"success\":%s,\"error\":", boolean(!i->error)));
    TRY(put_error(i->error, out, err));
    return dynbuf_append_byte(out, '}', err);
}

static int gc(const struct instruction *i, struct dynbuf *out, struct error *err)
{
    TRY(dynbuf_printf(out, err, "{\"type\":\"gc_regions\",\"result\":{\"%s\":", i->error ? "Err" : "Ok"));
    TRY(i->error ? put_error(i->error, out, err) : dynbuf_append(out, i->result.data, i->result.size, err));
    return dynbuf_printf(out, err, "}}");
}

static int remap(const struct instruction *i, struct dynbuf *out, struct error *err)
{
    const struct instruction_item *item = &i->items[0];
    TRY(dynbuf_printf(out, err, "{\"type\":\"remap_manifest\",\"exists\":%s,\"manifest_paths\":{", boolean(item->exists)));
    for (uint32_t k = 0; item->exists && !item->error && k < i->remap.n_exprs; k++) {
        unsigned long long id = ULL(i->remap.exprs[k].region_id);
        TRY(dynbuf_printf(out, err, "%s\"%llu\":\"remap_manifest_%llu\"", k ? "," : "", id, id));
    }
    TRY(dynbuf_printf(out, err, "},\"error\":"));
    TRY(put_error(item->error, out, err));
    return dynbuf_append_byte(out, '}', err);
}

bool instruction_is_answered(const struct instruction *i)
{
    return i->kind != INSTRUCTION_INVALIDATE && i->kind != INSTRUCTION_SUSPEND && !i->is_async;
}

int instruction_reply(const struct instruction *i, struct dynbuf *out, struct error *err)
{
    switch (instruction_is_answered(i) ? i->kind : INSTRUCTION_KINDS) {
    case INSTRUCTION_OPEN:
        return simple(i, "open_regions", out, err);
    case INSTRUCTION_CLOSE:
        return simple(i, "close_regions", out, err);
    case INSTRUCTION_DOWNGRADE:
        return per_region(i, "downgrade_regions", out, err);
    case INSTRUCTION_UPGRADE:
        return per_region(i, "upgrade_regions", out, err);
    case INSTRUCTION_FLUSH:
        return flush(i, out, err);
    case INSTRUCTION_FILE_REFS:
        return file_refs(i, out, err);
    case INSTRUCTION_GC:
        return gc(i, out, err);
    case INSTRUCTION_ENTER_STAGING:
        return per_region(i, "enter_staging_regions", out, err);
    case INSTRUCTION_SYNC:
        return per_region(i, "sync_regions", out, err);
    case INSTRUCTION_REMAP:
        return remap(i, out, err);
    case INSTRUCTION_APPLY_STAGING:
        return per_region(i, "apply_staging_manifests", out, err);
    default:
        return ST_OK;
    }
}
