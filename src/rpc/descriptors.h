/* Descriptions of the node's messages and services, as protobuf's own FileDescriptorProto: what reflection hands out. Pure.
 *
 * They are made from a table of texts, so that neither the build nor the program needs a compiler of .proto files. An entry's name is its kind and its name;
 * its members are separated by semicolons:
 *
 *   message   TYPE NAME NUMBER             *TYPE: repeated; KEY%TYPE: a map; @ONEOF in front: a member of it (a message has one at most)
 *   enum      NAME NUMBER
 *   service   INPUT METHOD OUTPUT          * in front of a type: a stream
 *
 * TYPE is a scalar of protobuf, or a message or enum of the same package, or one by its whole name.
 */
#ifndef RPC_DESCRIPTORS_H
#define RPC_DESCRIPTORS_H

#include "base/buffer.h"

enum { DESCRIPTOR_IMPORTS_MAX = 2 };

/* A package is a file. */
struct descriptor_file { const char *name, *package, *imports[DESCRIPTOR_IMPORTS_MAX]; };
struct descriptor { const char *package, *name, *members; };

/* Both end with an entry of NULLs. */
extern const struct descriptor_file descriptor_files[];
extern const struct descriptor descriptors[];

/* NULL: there is none. A symbol is the whole name of a message, enum, service or of a member of one. */
const struct descriptor_file *descriptor_file_by_name(const char *name, size_t size);
const struct descriptor_file *descriptor_file_of_symbol(const char *symbol, size_t size);
/* Appends a FileDescriptorProto. */
int descriptor_file_encode(const struct descriptor_file *file, struct dynbuf *out, struct error *err);

#endif
