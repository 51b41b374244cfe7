#include "main/log_file.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "os/fs.h"

struct stream {
    const char *prefix;
    FILE *file;
    char name[64]; /* of the open file */
};

static struct {
    pthread_mutex_t lock;
    struct log_file_options options;
    char dir[1024];
    struct stream all, errors;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .all = {.prefix = "greptimedb."}, .errors = {.prefix = "greptimedb-err."}};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Removes the oldest files of a prefix beyond max_files; names sort by time. */
static void remove_old(const char *prefix)
{
    char *names[4096], path[1400];
    size_t n = 0;
    DIR *d = opendir(state.dir);
    for (struct dirent *e; d && (e = readdir(d)) && n < 4096;)
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 && (names[n] = strdup(e->d_name)))
            n++;
    if (d)
        closedir(d);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        if (i + state.options.max_files < n) {
            snprintf(path, sizeof path, "%s/%s", state.dir, names[i]);
            remove(path);
        }
        free(names[i]);
    }
}

static void write_line(struct stream *s, const char *line, unsigned long size)
{
    char name[64], path[1400];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    size_t n = (size_t)snprintf(name, sizeof name, "%s", s->prefix);
    strftime(name + n, sizeof name - n, "%Y-%m-%d-%H", &utc);
    if (!s->file || strcmp(name, s->name) != 0) {
        if (s->file)
            fclose(s->file);
        snprintf(path, sizeof path, "%s/%s", state.dir, name);
        s->file = fopen(path, "a");
        snprintf(s->name, sizeof s->name, "%s", name);
        remove_old(s->prefix);
    }
    if (s->file) {
        fwrite(line, 1, size, s->file);
        fputc('\n', s->file);
        fflush(s->file);
    }
}

static void sink(void *ctx, enum log_level level, const char *line, unsigned long size)
{
    (void)ctx;
    pthread_mutex_lock(&state.lock);
    write_line(&state.all, line, size);
    if (level >= LOG_ERROR)
        write_line(&state.errors, line, size);
    if (state.options.to_stdout) {
        fwrite(line, 1, size, stdout);
        fputc('\n', stdout);
        fflush(stdout);
    }
    pthread_mutex_unlock(&state.lock);
}

int log_file_start(const struct log_file_options *options, struct error *err)
{
    state.options = *options;
    if (state.options.max_files == 0)
        state.options.max_files = 1;
    snprintf(state.dir, sizeof state.dir, "%s", options->dir);
    TRY(fs_mkdirs(fs_posix(), state.dir, err));
    log_set_sink(sink, NULL);
    return ST_OK;
}
