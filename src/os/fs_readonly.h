/* The real file system without its ways to change anything: for programs that read a folder which may be somebody else's. */
#ifndef OS_FS_READONLY_H
#define OS_FS_READONLY_H

#include "os/fs.h"

/* Calls that would write, make, rename, remove or lock something fail with ST_STORAGE and have no effect. */
struct fs *fs_readonly(void);

#endif
