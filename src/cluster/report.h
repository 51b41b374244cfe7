/* The regions' part of a heartbeat, kept from one heartbeat to the next so that idle regions cost next to nothing.
 *
 *   cold regions (unchanged for a while) ── chunks of 64: their bytes, and those bytes deflated, are kept
 *   hot regions                          ── encoded anew each time
 *
 * A message beyond REPORT_PLAIN_BYTES goes out as one gzip member, put together from the kept pieces: each was deflated by itself up to a byte
 * boundary and refers to nothing in front of it, and CRCs add up. Not thread-safe.
 */
#ifndef CLUSTER_REPORT_H
#define CLUSTER_REPORT_H

#include "cluster/messages.h"

enum { REPORT_PLAIN_BYTES = 1 << 20 };

struct report;

int report_new(struct report **ret_report, struct error *err);
void report_free(struct report *r); /* NULL is allowed */

/* Takes in what has changed. When memory fails the last known state stays: an old number is better than a region that seems to be gone. */
int report_update(struct report *r, struct region_server *regions, struct error *err);

/* The whole HeartbeatRequest: `node` (message_put_node's bytes) and all regions. *ret_gzipped tells in which form. `out` is cleared first. */
int report_write(struct report *r, const struct dynbuf *node, struct dynbuf *out, bool *ret_gzipped, struct error *err);

size_t report_regions(const struct report *r);

#endif
