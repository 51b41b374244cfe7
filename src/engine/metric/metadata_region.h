/* The metadata region of a physical one: a map of keys to values in an ordinary mito region, whose rows all have the time 0 (metric-engine.md 4).
 *
 *   __region_<logical id>                          -> ""
 *   __column_<logical id>_<base64 of the name>     -> the column's metadata as the data region has it, JSON
 */
#ifndef ENGINE_METRIC_METADATA_REGION_H
#define ENGINE_METRIC_METADATA_REGION_H

#include "engine/metric/metric.h"

/* Changes that become visible together. */
struct metadata_change {
    bool is_delete;
    struct dynbuf rows;
};

void metadata_change_init(struct metadata_change *c, bool is_delete);
void metadata_change_release(struct metadata_change *c);
int metadata_change_region(struct metadata_change *c, uint64_t logical_id, struct error *err);
int metadata_change_column(struct metadata_change *c, uint64_t logical_id, const struct region_column *column, struct error *err);
/* One durable write; nothing when there is no change. */
int metadata_change_write(struct metadata_change *c, struct metric_engine *e, uint64_t metadata_id, struct error *err);

/* Puts every logical region that the metadata region knows into the engine's maps; columns are found in `data` by name. `all`: what the metadata region
 * does not know is not there any more, and goes out of the maps; else the region may not have heard of it yet. ddl_lock held. */
int metadata_region_recover(struct metric_engine *e, struct metric_physical *p, const struct region_metadata *data, bool all, struct error *err);

/* Copies what the metadata region of the physical region `source_id`, of the same table, here or on another node, knows of its logical regions: they
 * become logical regions of `p`, with its region number. *ret_n: how many. */
int metadata_region_copy(struct metric_engine *e, struct metric_physical *p, uint64_t source_id, uint64_t *ret_n, struct error *err);

/* A key taken apart: *ret_name_size = -1 for a region's key, else the column name is in `name` (room for key_size bytes). False for other keys. */
bool metadata_key_parse(const char *key, size_t key_size, uint64_t *ret_logical_id, char *name, int64_t *ret_name_size);
int metadata_key_of_column(uint64_t logical_id, const char *name, struct dynbuf *out, struct error *err);

#endif
