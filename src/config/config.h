/* The node's configuration: GreptimeDB's datanode TOML, environment and flags (config-and-http.md 1 to 4), and a few options of our own.
 *
 * Precedence: flag > file > environment > default. Options that the peer knows and this node does not use are accepted. Unknown keys are accepted with a
 * warning, unless they look like a misspelling of one of our own: then loading fails and names the line.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum option_id {
#define OPTION(id, section, key, kind, def, flags) OPT_##id,
#include "config/options.def"
#undef OPTION
    OPT_COUNT
};

struct config;

int config_new(struct config **ret_config, struct error *err); /* defaults of this machine */
void config_free(struct config *c);

/* Later calls do not override what an earlier one has set: call in order of precedence (flags, file, environment). */
int config_set_flag(struct config *c, enum option_id id, const char *text, struct error *err);
/* `each_warning` gets a finished sentence for each unknown key; may be NULL. */
int config_load_toml(struct config *c, const char *text, size_t size, const char *name, void (*each_warning)(void *ctx, const char *text), void *ctx,
                     struct error *err);
int config_load_environment(struct config *c, char *const *environment, const char *prefix, struct error *err);

/* Checks what spans options and computes what depends on others. */
int config_finish(struct config *c, struct error *err);

bool config_is_set(const struct config *c, enum option_id id);
bool config_bool(const struct config *c, enum option_id id);
uint64_t config_u64(const struct config *c, enum option_id id);          /* numbers; sizes in bytes */
int64_t config_duration_ms(const struct config *c, enum option_id id);
const char *config_text(const struct config *c, enum option_id id);      /* "" when unset */
uint32_t config_list(const struct config *c, enum option_id id, const char *const **ret_items);
/* A memory limit in bytes; SIZE_MAX = unlimited. Percentages are of the machine's (or cgroup's) memory. */
size_t config_limit_bytes(const struct config *c, enum option_id id);
/* How long one waits for memory, by a policy such as "wait(10s)"; 0 = not at all ("fail"). */
int64_t config_wait_ms(const struct config *c, enum option_id id);

/* The effective configuration as TOML; secrets read "******". */
int config_print(const struct config *c, struct dynbuf *out, struct error *err);

/* Value formats (section 3). */
void config_format_size(uint64_t bytes, char *out, size_t room);    /* quoted when it has a unit */
void config_format_duration(int64_t ns, char *out, size_t room);

#endif
