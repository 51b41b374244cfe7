/* regionctl: a client for a region server, for people and scripts.
 *
 * Exit codes: 0 done, 1 failed, 2 wrong usage; `check` has more. Errors are one line on stderr. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "ctl/commands.h"

static const struct command {
    const char *name;
    int (*run)(struct ctl *c, struct error *err);
    const char *arguments, *summary, *details;
} commands[] = {
    {"health", ctl_health, "", "ask whether the server answers", ""},
    {"list", ctl_list, "", "list the regions of the server", ""},
    {"describe", ctl_describe, "REGION", "show the columns of a region", ""},
    {"create", ctl_create, "REGION --column NAME:TYPE[:tag|field|time][:notnull] ... [--option KEY=VALUE ...]", "create a region",
     "  --column  a column; one must be the time index. Types: bool, int8 ... int64, uint8 ... uint64, float32, float64, string, binary, date,\n"
     "            timestamp_s, timestamp_ms, timestamp_us, timestamp_ns\n"
     "  --option  a region option, such as ttl=7d or append_mode=true\n"},
    {"open", ctl_open, "REGION | --all [--option KEY=VALUE ...]", "make a region writable that was found in the data folder",
     "  --option  a region option that its files do not tell: append_mode=true, merge_mode=last_non_null, ttl=30d, compaction.type=twcs ...\n"
     "            Give what SHOW CREATE TABLE says; under a wrong mode a flush merges rows away that the table is to keep\n"
     "  --all     every region that was found and is still read-only\n"},
    {"load", ctl_load, "FILE [--create] [--region REGION] [--format csv|lp] [--tags A,B]", "write the rows of a CSV or line protocol file",
     "  --create  create the regions that are missing, with columns as the file shows them\n"
     "  --region  where to write (default: the file's name for CSV, the measurement for line protocol)\n"
     "  --format  default: by the file's ending, .csv or .lp\n"
     "  --tags    with --create and CSV: the tag columns (default: all that hold text)\n"},
    {"scan", ctl_scan, "REGION [--columns A,B] [--filter 'COL OP VALUE [AND ...]'] [--limit N] [--format table|csv|json|arrow] [-o FILE]",
     "read rows",
     "  --filter  OP is one of = != < <= > >=, or IS NULL, IS NOT NULL; text in 'quotes'; times as numbers or RFC 3339 in quotes\n"
     "  --format  json is one object a line, arrow an Arrow IPC stream\n"},
    {"flush", ctl_flush, "REGION", "write what a region holds in memory to files", ""},
    {"compact", ctl_compact, "REGION", "merge a region's files", ""},
    {"build-index", ctl_build_index, "REGION", "build what a region's files lack of the indexes that its columns want", ""},
    {"drop", ctl_drop, "REGION", "delete a region and its data", ""},
    {"functions", ctl_functions, "", "list the functions that queries can use, without a server",
     "One a line: kind, family, name, arguments, what NULL does. Kinds are scalar and aggregate.\n"},
    {"check", ctl_check, "FOLDER [--full] [--repair]", "check a data folder, without a server",
     "Manifests, SSTs (footers, statistics, sizes), indexes, files that nobody lists, and the entries that regions need of either log.\n"
     "  --full    read every row: order, times, sequences\n"
     "  --repair  move leftovers and bad SSTs to FOLDER/quarantine/ (nothing is deleted) and take the latter out of their manifests\n"
     "Exit codes: 0 all is well or was repaired, 3 there are leftovers, 4 there is damage\n"},
    {"inspect", ctl_inspect, "sst FILE | manifest FILE|DIR | puffin FILE | wal FILE", "show what a file holds, without a server", ""},
};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void help(FILE *out)
{
    fprintf(out, "usage: regionctl [--addr HOST:PORT] [--http HOST:PORT] COMMAND ...\n\ncommands:\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n  --addr     the server's gRPC address (default 127.0.0.1:3001)\n"
                 "  --http     the server's HTTP address (default 127.0.0.1:4000)\n"
                 "  --version  print the version\n"
                 "\nA REGION is a region id, TABLE:NUMBER, or the name that it was created under.\n"
                 "'regionctl COMMAND --help' tells more about a command.\n");
}

static void help_command(FILE *out, const struct command *k)
{
    fprintf(out, "usage: regionctl %s%s%s\n%c%s.\n%s", k->name, *k->arguments ? " " : "", k->arguments, k->summary[0] - 'a' + 'A', k->summary + 1,
            k->details);
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    }
    return NULL;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    }
    return false;
}

static int run(struct ctl *c, const struct command *k)
{
    struct error err = {.status = ST_OK, .msg = ""};
    int rc = k->run(c, &err);
    if (rc == ST_OK && (fflush(stdout) || ferror(stdout)))
        rc = error_set(&err, ST_STORAGE, "cannot write the output");
    for (char *p = err.msg; *p; p++) {
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    }
    if (rc)
        fprintf(stderr, "regionctl: %s%s\n", err.msg[0] ? err.msg : status_name(rc), c->bad_usage ? " (see --help)" : "");
    rpc_client_free(c->client);
    arena_release(&c->arena);
    return rc == ST_OK ? c->exit_code : c->bad_usage ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct ctl c = {.addr = "127.0.0.1:3001", .http = "127.0.0.1:4000"};
    int i = 1;
    signal(SIGPIPE, SIG_DFL); /* `regionctl scan ... | head` ends quietly */
    arena_init(&c.arena, NULL);
    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t n = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const char **target = n == 6 && !memcmp(argv[i], "--addr", n) ? &c.addr : n == 6 && !memcmp(argv[i], "--http", n) ? &c.http : NULL;
        if (target && (equals || i + 1 < argc)) {
            *target = equals ? equals + 1 : argv[++i];
        } else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            help(stdout);
            return 0;
        } else if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "-V")) {
            printf("regionctl %s\n", REGIOND_VERSION);
            return 0;
        } else {
            fprintf(stderr, "regionctl: %s %s (see --help)\n", argv[i], target ? "needs a value" : "is not a flag");
            return EXIT_USAGE;
        }
    }
    if (i == argc) {
        help(stderr);
        return EXIT_USAGE;
    }
    const struct command *k = find_command(argv[i]);
    if (!k) {
        fprintf(stderr, "regionctl: '%s' is not a command (see --help)\n", argv[i]);
        return EXIT_USAGE;
    }
    if (wants_help(argc - i - 1, argv + i + 1)) {
        help_command(stdout, k);
        return 0;
    }
    c.argc = argc - i - 1;
    c.argv = argv + i + 1;
    return run(&c, k);
}
