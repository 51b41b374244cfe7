/* What this node says it is. The peer's version goes where frontends, metasrv and dashboards look for it. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define REGIOND_VERSION "0.1.0"
#define PEER_VERSION "1.0.2" /* the GreptimeDB release whose datanode this node stands in for */
#define PEER_COMMIT "0ef5451" /* its commit, as its nodes report it */

#endif
