/* What the metric engine reads out of requests, and the requests it makes of them for mito (metric-engine.md 2 to 6). */
#ifndef ENGINE_METRIC_REQUEST_H
#define ENGINE_METRIC_REQUEST_H

#include "engine/metric/metric.h"
#include "format/proto/wire.h"

struct metric_create { /* borrows from the message */
    struct message message;
    uint64_t region_id;
    const char *path;
    size_t path_size;
    struct kv *options; /* owned */
    uint32_t n_options;
    bool physical;
    uint64_t physical_id;            /* of a logical region */
    struct region_metadata *columns; /* as asked for; owned */
};

/* Reads and checks a CreateRequest by the rules that hold for both kinds of region. */
int metric_create_read(struct message create, struct metric_create *ret_create, struct error *err);
void metric_create_release(struct metric_create *c);

/* The options index.*. */
int metric_index_parse(const struct kv *options, uint32_t n, struct metric_index *ret_index, struct error *err);

/* Adds them to a list of malloc'ed pairs; what was added before a failure is on it. */
int metric_index_options(const struct metric_index *index, struct kv **options, uint32_t *n, struct error *err);

/* Options of the two mito regions of a physical one: malloc'ed, the strings are borrowed. *ret_sparse: what the data region's keys will be if it is
 * new. */
int metric_data_options(const struct kv *options, uint32_t n, bool sparse_default, struct kv **ret_options, uint32_t *ret_n, bool *ret_sparse,
                        struct error *err);
int metric_metadata_options(const struct kv *options, uint32_t n, struct kv **ret_options, uint32_t *ret_n, struct error *err);

/* Schemas of the two, for regions that are created. */
int metric_data_schema(const struct metric_create *c, bool sparse, struct region_metadata **ret_meta, struct error *err);
int metric_metadata_schema(uint64_t metadata_id, struct region_metadata **ret_meta, struct error *err);

/* An AlterRequest of the data region that adds labels: names[i] gets the id first_id + i. */
int metric_add_labels(uint64_t data_id, const char *const *names, uint32_t n, uint32_t first_id, const struct metric_index *index, struct dynbuf *out,
                      struct error *err);

#endif
