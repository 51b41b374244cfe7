#include "main/flags.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "os/fs.h"

static const struct flag {
    const char *name, *alias;
    enum option_id option; /* OPT_COUNT: handled by hand */
    const char *value, *help;
} flags[] = {
    {"--node-id", NULL, OPT_NODE_ID, "N", "the node's id in the cluster (default 0 when alone)"},
    {"--rpc-bind-addr", "--rpc-addr", OPT_GRPC_BIND_ADDR, "ADDR", "gRPC listen address (default 127.0.0.1:3001)"},
    {"--rpc-server-addr", "--rpc-hostname", OPT_GRPC_SERVER_ADDR, "ADDR", "the address that the cluster is told"},
    {"--metasrv-addrs", NULL, OPT_META_ADDRS, "ADDR[,ADDR]", "metasrv addresses; none: the node runs alone"},
    {"--config-file", "-c", OPT_COUNT, "PATH", "GreptimeDB's datanode TOML"},
    {"--data-home", NULL, OPT_STORAGE_DATA_HOME, "DIR", "where the data is (default ./greptimedb_data)"},
    {"--wal-dir", NULL, OPT_WAL_DIR, "DIR", "where the write-ahead log is (default DATA_HOME/wal)"},
    {"--http-addr", NULL, OPT_HTTP_ADDR, "ADDR", "HTTP listen address (default 127.0.0.1:4000)"},
    {"--http-timeout", NULL, OPT_HTTP_TIMEOUT, "SECS", "HTTP timeout in seconds, 0 = none"},
    {"--memory-limit", NULL, OPT_MEMORY_LIMIT, "SIZE", "ceiling of the node's memory, e.g. 512MB or 50% (default 50%)"},
    {"--env-prefix", NULL, OPT_COUNT, "PREFIX", "prefix of environment variables (default GREPTIMEDB_DATANODE)"},
    {"--log-dir", NULL, OPT_LOG_DIR, "DIR", "where log files are (default DATA_HOME/logs)"},
    {"--log-level", NULL, OPT_LOG_LEVEL, "FILTER", "trace, debug, info, warn, error or off"},
};

static void usage(FILE *to)
{
    fprintf(to, "regiond: a region server that stands in for a GreptimeDB %s datanode\n\nUsage: regiond [datanode start] [FLAGS]\n\nFlags:\n",
            PEER_VERSION);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s %s", flags[i].name, flags[i].alias ? ", " : "", flags[i].alias ? flags[i].alias : "", flags[i].value);
        fprintf(to, "  %-42s %s\n", left, flags[i].help);
    }
    fprintf(to, "  %-42s %s\n  %-42s %s\n", "-h, --help", "this text", "-V, --version", "the version");
}

static void warn_key(void *ctx, const char *text)
{
    (void)ctx;
    log_warn("config", "%s", text);
}

static int load_file(const char *path, struct config *config, struct error *err)
{
    struct dynbuf text;
    dynbuf_init(&text, 16 << 20);
    int st = fs_read_all(fs_posix(), path, 16 << 20, &text, err);
    if (st == ST_NOT_FOUND)
        st = error_set(err, ST_INVALID_ARGUMENTS, "configuration file \"%s\" not found", path);
    if (st == ST_OK)
        st = config_load_toml(config, text.data ? (const char *)text.data : "", text.size, path, warn_key, NULL, err);
    dynbuf_release(&text);
    return st;
}

static int bad(const char *what, const char *arg, enum flags_result *ret_result)
{
    fprintf(stderr, "error: %s '%s'\n\n", what, arg);
    usage(stderr);
    *ret_result = FLAGS_BAD;
    return ST_OK;
}

/* "--name value", "--name=value"; NULL when arg is not this flag. *i moves on when the value is the next argument. */
static const char *value_of(const struct flag *f, int argc, char **argv, int *i, bool *missing)
{
    for (int k = 0; k < 2; k++) {
        const char *name = k ? f->alias : f->name;
        size_t n = name ? strlen(name) : 0;
        if (!name || strncmp(argv[*i], name, n) != 0)
            continue;
        if (argv[*i][n] == '=')
            return argv[*i] + n + 1;
        if (argv[*i][n] == 0) {
            *missing = *i + 1 >= argc;
            return *missing ? "" : argv[++*i];
        }
    }
    return NULL;
}

static int set_flag(const struct flag *f, const char *value, struct config *config, const char **file, const char **prefix, struct error *err)
{
    char seconds[64];
    if (strcmp(f->name, "--config-file") == 0) {
        *file = value;
        return ST_OK;
    }
    if (strcmp(f->name, "--env-prefix") == 0) {
        *prefix = value;
        return ST_OK;
    }
    if (f->option == OPT_HTTP_TIMEOUT) {
        snprintf(seconds, sizeof seconds, "%ss", value);
        value = seconds;
    }
    return config_set_flag(config, f->option, value, err);
}

int flags_parse(int argc, char **argv, char *const *environment, struct config *config, enum flags_result *ret_result, struct error *err)
{
    const char *file = NULL, *prefix = "GREPTIMEDB_DATANODE";
    struct error flag_err;
    *ret_result = FLAGS_RUN;
    for (int i = 1; i < argc; i++) {
        bool missing = false, known = false;
        if (strcmp(argv[i], "datanode") == 0 || strcmp(argv[i], "start") == 0)
            continue;
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            *ret_result = FLAGS_DONE;
            return ST_OK;
        }
        if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0) {
            printf("regiond %s (GreptimeDB %s)\n", REGIOND_VERSION, PEER_VERSION);
            *ret_result = FLAGS_DONE;
            return ST_OK;
        }
        for (size_t k = 0; k < sizeof flags / sizeof *flags && !known; k++) {
            const char *name = argv[i], *value = value_of(&flags[k], argc, argv, &i, &missing);
            known = value != NULL;
            if (missing)
                return bad("a value is required for", name, ret_result);
            if (known && set_flag(&flags[k], value, config, &file, &prefix, &flag_err) != ST_OK)
                return bad("invalid value:", flag_err.msg, ret_result);
        }
        if (!known)
            return bad("unexpected argument", argv[i], ret_result);
    }
    if (file)
        TRY(load_file(file, config, err));
    TRY(config_load_environment(config, environment, prefix, err));
    return config_finish(config, err);
}
