/* A node: everything between the configuration and the two listening ports, built in order and taken down in reverse. */
#ifndef MAIN_NODE_H
#define MAIN_NODE_H

#include <stdatomic.h>

#include "config/config.h"

struct node;

/* Opens the data folder and the log, starts the engines, joins the cluster if there is one, starts the gRPC service and the HTTP service. The
 * configuration and `stop`, which ends waiting for metasrv early, are borrowed. */
int node_start(struct config *config, const _Atomic bool *stop, struct node **ret_node, struct error *err);
/* Stops listening, lets running calls finish for a while, closes regions and log. NULL is allowed. */
void node_stop(struct node *n);

#endif
