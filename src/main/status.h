/* What /status, /config and the front page say. */
#ifndef MAIN_STATUS_H
#define MAIN_STATUS_H

#include "cluster/cluster.h"
#include "config/config.h"
#include "engine/engine.h"
#include "http/server.h"
#include "os/disk.h"
#include "region/server.h"
#include "wal/peer_log.h"
#include "wal/wal.h"

struct node_view { /* all borrowed */
    const struct config *config;
    struct region_server *regions;
    struct wal *wal;
    const struct wal_report *wal_report; /* of the last start */
    struct peer_log *peer_log;           /* may be NULL */
    const struct peer_log_report *peer_report;
    const struct budget *root_budget;
    int64_t start_ms;
    struct disk *disk, *wal_disk; /* the latter NULL when it is the same */
    struct cluster *cluster;      /* NULL: the node runs alone */
};

int status_json(void *view, struct dynbuf *out, struct error *err);
int status_config(void *view, struct dynbuf *out, struct error *err);
int status_page(void *view, struct dynbuf *out, struct error *err);
void status_before_metrics(void *view);

#endif
