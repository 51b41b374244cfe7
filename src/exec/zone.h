/* Time zones by name, from the system's database (/usr/share/zoneinfo, or $TZDIR). Loaded once, kept for the life of the process; thread-safe. */
#ifndef EXEC_ZONE_H
#define EXEC_ZONE_H

#include "arrow/type.h"
#include "base/error.h"
#include "format/tzif/tzif.h"

/* `name` is an IANA name in any case, or [+-]H[H][[:]MM]. ST_NOT_FOUND when there is no such zone. The zone is borrowed, forever. */
int zone_find(const char *name, const struct tzif **ret_zone, struct error *err);

/* The zone of a timestamp's type; NULL for UTC and for types without one. ST_PLAN_QUERY when there is no such zone. */
int zone_of_type(const struct dtype *t, const struct tzif **ret_zone, struct error *err);

/* The zone of a session: NULL, "", "SYSTEM" and names that are unknown mean UTC. */
const struct tzif *zone_of_session(const char *name);

#endif
