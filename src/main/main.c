/* regiond: reads the configuration, starts the node, waits for a signal. Exit codes as the peer's: 0 stopped, 1 failed, 2 bad command line. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "main/flags.h"
#include "main/log_file.h"
#include "main/node.h"
#include "os/heap.h"
#include "os/thread.h"

/* Read by jemalloc before main(): freed memory goes back to the system within seconds, by a thread of its own. MALLOC_CONF overrides it. */
const char *malloc_conf = "background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0";

static enum log_level level_of(const char *filter)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error", "off"};
    for (int i = 0; i <= LOG_OFF; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(filter, names[i], n) == 0 && (filter[n] == 0 || filter[n] == ','))
            return (enum log_level)i;
    }
    return LOG_INFO;
}

static int start_log(const struct config *c, struct error *err)
{
    char dir[1024];
    if (*config_text(c, OPT_LOG_DIR))
        snprintf(dir, sizeof dir, "%s", config_text(c, OPT_LOG_DIR));
    else
        snprintf(dir, sizeof dir, "%s/logs", config_text(c, OPT_STORAGE_DATA_HOME));
    log_set_level(level_of(config_text(c, OPT_LOG_LEVEL)));
    log_set_json(strcmp(config_text(c, OPT_LOG_FORMAT), "json") == 0);
    struct log_file_options o = {dir, (unsigned)config_u64(c, OPT_LOG_MAX_FILES), config_bool(c, OPT_LOG_STDOUT)};
    return log_file_start(&o, err);
}

static int fail(const struct error *err)
{
    fprintf(stderr, "Error: %s\n", err->msg);
    return 1;
}

static _Atomic bool stop; /* a signal has come */

/* A thread of its own, so that a signal also ends a start that waits for metasrv. */
static void *wait_for_signal(void *signals)
{
    int which;
    sigwait(signals, &which);
    log_info("regiond", "Received %s, shutting down", which == SIGTERM ? "SIGTERM" : "SIGINT");
    atomic_store(&stop, true);
    return NULL;
}

int main(int argc, char **argv)
{
    struct config *config = NULL;
    struct node *node = NULL;
    struct error err = {0};
    enum flags_result flags;
    sigset_t signals;
    int code = 0;

    /* Before any thread starts, so that all of them leave these signals to sigwait(). */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    if (config_new(&config, &err) != ST_OK || flags_parse(argc, argv, environ, config, &flags, &err) != ST_OK) {
        code = fail(&err);
    } else if (flags != FLAGS_RUN) {
        code = flags == FLAGS_BAD ? 2 : 0;
    } else if (start_log(config, &err) != ST_OK) {
        code = fail(&err);
    } else {
        log_info("regiond", "regiond %s, stands in for GreptimeDB %s; %u cores, %llu bytes of memory, memory_limit %zu", REGIOND_VERSION,
                 PEER_VERSION, cpu_count(), (unsigned long long)memory_total_bytes(), config_limit_bytes(config, OPT_MEMORY_LIMIT));
        if (heap_profiling_enabled() && heap_profile_set_active(config_bool(config, OPT_MEMORY_PROFILING), NULL) == ST_OK)
            log_info("regiond", "Heap profile is %s", heap_profile_active() ? "active" : "not active");
        pthread_t waiter;
        if (thread_start(&waiter, "signals", wait_for_signal, &signals, &err) != ST_OK) {
            code = fail(&err);
        } else if (node_start(config, &stop, &node, &err) == ST_OK) {
            log_info("regiond", "ready");
            pthread_join(waiter, NULL);
            node_stop(node);
            log_info("regiond", "Goodbye!");
        } else if (atomic_load(&stop)) {
            pthread_join(waiter, NULL);
            log_info("regiond", "Goodbye!");
        } else {
            log_error("regiond", "cannot start: %s", err.msg);
            code = fail(&err);
        }
    }
    config_free(config);
    return code;
}
