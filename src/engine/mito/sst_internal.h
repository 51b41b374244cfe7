/* Shared by the parts of the SST code. */
#ifndef ENGINE_MITO_SST_INTERNAL_H
#define ENGINE_MITO_SST_INTERNAL_H

#include "engine/mito/sst.h"

/* Object key of a file's data: "<dir><uuid>.parquet". */
int sst_object_key(const char *dir, const char *file_id, char *ret_key, size_t room, struct error *err);

/* Object key of its index file: "<dir>index/<uuid>.puffin", with the version when that is not 0: "<dir>index/<uuid>.<version>.puffin". */
int sst_index_key(const char *dir, const char *file_id, uint64_t version, char *ret_key, size_t room, struct error *err);

#endif
