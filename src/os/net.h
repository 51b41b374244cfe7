/* Addresses of this machine. */
#ifndef OS_NET_H
#define OS_NET_H

#include <stdbool.h>

enum { NET_IP_MAX = 64 };

/* The first IPv4 address that is not the loopback's; false when there is none. */
bool net_local_ip(char ret_ip[NET_IP_MAX]);

#endif
