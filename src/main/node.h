/* A node: everything between the configuration and the two listening ports, built in order and taken down in reverse. */
#ifndef MAIN_NODE_H
#define MAIN_NODE_H

#include "config/config.h"

struct node;

/* Opens the data folder and the log, starts the engines, the gRPC service and the HTTP service. The configuration is borrowed. */
int node_start(struct config *config, struct node **ret_node, struct error *err);
/* Stops listening, lets running calls finish for a while, closes regions and log. NULL is allowed. */
void node_stop(struct node *n);

#endif
