/* Reads a data folder without a server.
 *
 *   libregion_example FOLDER                    the regions
 *   libregion_example FOLDER REGION [FILTER]    a region's columns, and how many rows pass the filter
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <libregion.h>

static char error[512];

static int list(const struct libregion *folder)
{
    for (size_t i = 0; i < libregion_count(folder); i++) {
        struct libregion_info r;
        if (libregion_info(folder, i, &r, error, sizeof error))
            return 1;
        printf("%" PRIu64 " %s %s rows=%" PRIu64 " files=%" PRIu64 "%s%s\n", r.region_id, r.engine, r.path, r.rows, r.files,
               r.problem ? " problem: " : "", r.problem ? r.problem : "");
    }
    return 0;
}

static int describe(struct libregion *folder, uint64_t region)
{
    struct ArrowSchema schema;
    if (libregion_describe(folder, region, &schema, error, sizeof error))
        return 1;
    for (int64_t i = 0; i < schema.n_children; i++)
        printf("%s %s\n", schema.children[i]->name, schema.children[i]->format);
    schema.release(&schema);
    return 0;
}

static int count(struct libregion *folder, uint64_t region, const char *filter)
{
    struct libregion_scan scan = {.filter = filter};
    struct ArrowArrayStream stream;
    struct ArrowArray rows;
    int64_t n = 0;
    int rc = libregion_scan(folder, region, &scan, &stream, error, sizeof error);
    if (rc)
        return rc;
    while ((rc = stream.get_next(&stream, &rows)) == 0 && rows.release) {
        n += rows.length;
        rows.release(&rows);
    }
    if (rc)
        snprintf(error, sizeof error, "%s", stream.get_last_error(&stream));
    else
        printf("%" PRId64 " rows\n", n);
    stream.release(&stream);
    return rc;
}

int main(int argc, char **argv)
{
    struct libregion_options options = {.memory_limit_bytes = (uint64_t)1 << 30};
    struct libregion *folder;
    if (argc < 2)
        return 2;
    int rc = libregion_open(argv[1], &options, &folder, error, sizeof error);
    if (rc == 0) {
        uint64_t region = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
        rc = argc > 2 ? describe(folder, region) || count(folder, region, argc > 3 ? argv[3] : NULL) : list(folder);
        libregion_close(folder);
    }
    if (rc)
        fprintf(stderr, "%s\n", error);
    return rc != 0;
}
