/* Times writes to many logical tables of one physical region: requests of ROWS rows of each of TABLES_A_REQUEST tables, four labels a row, first with series that
 * are all new and then with known ones; and what a logical region costs in memory. Prints CPU a million rows (the whole process: decoding, the log, memtables).
 *
 * usage: metric_bench [tables] [rounds]
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../tests/tool/metric_node.h"
#include "base/log.h"

enum { TABLES_A_REQUEST = 100, SERIES = 30, LABELS = 4, MEMBERS_A_CREATE = 1000 };

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%*d %ld", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static uint64_t table_region(int t)
{
    return (uint64_t)(2000 + t) << 32;
}

static void create_tables(struct metric_node *n, int tables)
{
    struct dynbuf *requests = calloc((size_t)tables, sizeof *requests);
    struct message *messages = calloc((size_t)tables, sizeof *messages);
    struct error err;
    char physical[32];
    sprintf(physical, "%llu", (unsigned long long)METRIC_PHYSICAL);
    for (int t = 0; t < tables; t++) {
        dynbuf_init(&requests[t], 1 << 16);
        put_create(&requests[t], table_region(t), (1 << LABELS) - 1, "on_physical_table", physical);
        messages[t] = (struct message){requests[t].data, requests[t].size};
    }
    for (int t = 0; t < tables; t += MEMBERS_A_CREATE) {
        struct region_response response;
        size_t some = (size_t)(tables - t < MEMBERS_A_CREATE ? tables - t : MEMBERS_A_CREATE);
        region_response_init(&response, 64 << 20);
        if (n->metric->ops->create_many(n->metric, messages + t, some, &response, &err) != ST_OK) {
            fprintf(stderr, "create: %s\n", err.msg);
            exit(1);
        }
        region_response_release(&response);
    }
    for (int t = 0; t < tables; t++)
        dynbuf_release(&requests[t]);
    free(requests);
    free(messages);
}

/* SERIES rows of a table at one time, as a frontend sends them: time, value, labels. */
static void put_rows(struct dynbuf *out, int t, int64_t time)
{
    char name[16], text[64];
    struct dynbuf rows, row, v;
    dynbuf_init(&rows, 1 << 20);
    dynbuf_init(&row, 4096);
    dynbuf_init(&v, 256);
    put_column_schema(&rows, "ts", 16, SEMANTIC_TIMESTAMP);
    put_column_schema(&rows, "val", 10, SEMANTIC_FIELD);
    for (unsigned i = 0; i < LABELS; i++)
        put_column_schema(&rows, label_name(i, name), 12, SEMANTIC_TAG);
    for (int s = 0; s < SERIES; s++) {
        double value = time * 0.5 + s;
        uint64_t bits;
        memcpy(&bits, &value, 8);
        dynbuf_clear(&row);
        dynbuf_clear(&v);
        pb_put_uint(&v, 17, (uint64_t)time, NULL);
        pb_put_bytes(&row, 1, v.data, v.size, NULL);
        dynbuf_clear(&v);
        pb_put_fixed64(&v, 10, bits, NULL);
        pb_put_bytes(&row, 1, v.data, v.size, NULL);
        for (int i = 0; i < LABELS; i++) {
            dynbuf_clear(&v);
            sprintf(text, i == 0 ? "instance-%03d.example.com" : i == 1 ? "job_%02d" : i == 2 ? "zone-%c" : "v%d", i == 2 ? 'a' + s % 3 : s);
            pb_put_string(&v, 13, text, NULL);
            pb_put_bytes(&row, 1, v.data, v.size, NULL);
        }
        pb_put_bytes(&rows, 2, row.data, row.size, NULL);
    }
    pb_put_uint(out, 1, table_region(t), NULL);
    pb_put_bytes(out, 2, rows.data, rows.size, NULL);
    dynbuf_release(&rows);
    dynbuf_release(&row);
    dynbuf_release(&v);
}

/* One round: every table once. Returns the rows; building the requests is not timed. */
static uint64_t write_round(struct metric_node *n, int tables, int64_t time, double *cpu)
{
    struct dynbuf requests[TABLES_A_REQUEST];
    struct message messages[TABLES_A_REQUEST];
    struct error err;
    uint64_t total = 0, rows;
    for (int t = 0; t < tables; t += TABLES_A_REQUEST) {
        int some = tables - t < TABLES_A_REQUEST ? tables - t : TABLES_A_REQUEST;
        for (int i = 0; i < some; i++) {
            dynbuf_init(&requests[i], 1 << 20);
            put_rows(&requests[i], t + i, time);
            messages[i] = (struct message){requests[i].data, requests[i].size};
        }
        double start = cpu_seconds();
        if (n->metric->ops->write_many(n->metric, messages, (size_t)some, &rows, &err) != ST_OK) {
            fprintf(stderr, "write: %s\n", err.msg);
            exit(1);
        }
        *cpu += cpu_seconds() - start;
        total += rows;
        for (int i = 0; i < some; i++)
            dynbuf_release(&requests[i]);
    }
    return total;
}

static void time_scan(struct metric_node *n, int t, const char *from)
{
    struct metric_scan scan;
    struct error err;
    double start = cpu_seconds();
    if (metric_node_scan(n, table_region(t), &scan, &err) != ST_OK) {
        fprintf(stderr, "scan: %s\n", err.msg);
        exit(1);
    }
    printf("scan of one table from %s: %lld rows, %.2f ms\n", from, (long long)scan.n, (cpu_seconds() - start) * 1e3);
    metric_scan_release(&scan);
}

int main(int argc, char **argv)
{
    int tables = argc > 1 ? atoi(argv[1]) : 1000, rounds = argc > 2 ? atoi(argv[2]) : 20;
    char home[] = "/tmp/metric-bench-XXXXXX", command[64];
    struct metric_node n = {.durability = WAL_OS};
    struct error err;
    uint64_t rows = 0;
    double cpu = 0, start;
    log_set_level(LOG_OFF);
    if (!mkdtemp(home) || metric_node_open_at(&n, fs_posix(), home, METRIC_CREATE, &err) != ST_OK)
        return 1;
    long before = resident_kib();
    start = cpu_seconds();
    create_tables(&n, tables);
    printf("%d logical regions created: %.1f us each, %.0f bytes of resident memory each\n", tables, (cpu_seconds() - start) * 1e6 / tables,
           (double)(resident_kib() - before) * 1024 / tables);
    rows = write_round(&n, tables, 0, &cpu);
    printf("new series: %.2f s CPU a million rows (%llu rows)\n", cpu / (double)rows * 1e6, (unsigned long long)rows);
    cpu = 0;
    rows = 0;
    for (int r = 1; r < rounds; r++)
        rows += write_round(&n, tables, r * 15000, &cpu);
    printf("known series: %.2f s CPU a million rows (%llu rows)\n", cpu / (double)rows * 1e6, (unsigned long long)rows);
    time_scan(&n, tables / 2, "the memtable");
    time_scan(&n, tables / 2, "the memtable again");
    start = cpu_seconds();
    assert(n.metric->ops->flush(n.metric, METRIC_PHYSICAL, &err) == ST_OK);
    printf("flush: %.2f s CPU\n", cpu_seconds() - start);
    time_scan(&n, tables / 2, "an SST");
    time_scan(&n, tables / 2, "an SST again");
    metric_node_close(&n);
    sprintf(command, "rm -rf %s", home);
    return system(command) != 0;
}
