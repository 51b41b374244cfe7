/* The command line of one command. */
#include <stdarg.h>
#include <string.h>

#include "ctl/commands.h"

int ctl_usage(struct ctl *c, struct error *err, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->bad_usage = true;
    return error_set(err, ST_INVALID_ARGUMENTS, "%s", text);
}

static int list_add(struct ctl *c, struct ctl_list_value *list, const char *item, struct error *err)
{
    if (!list->items)
        list->items = ARENA_ARRAY(&c->arena, (size_t)c->argc, const char *, err);
    if (!list->items)
        return ST_NO_MEMORY;
    list->items[list->n++] = item; /* every item took an argument of its own */
    return ST_OK;
}

/* The flag at argument *i, and its value; *i ends at the last argument used. */
static int take_flag(struct ctl *c, const struct ctl_flag *flags, int *i, struct error *err)
{
    const char *word = c->argv[*i], *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    for (const struct ctl_flag *f = flags; f->name; f++) {
        if (strlen(f->name) != n || memcmp(f->name, word, n))
            continue;
        if (f->on) {
            if (equals)
                return ctl_usage(c, err, "%s takes no value", f->name);
            *f->on = true;
            return ST_OK;
        }
        if (!equals && *i + 1 >= c->argc)
            return ctl_usage(c, err, "%s needs a value", f->name);
        const char *value = equals ? equals + 1 : c->argv[++*i];
        if (f->list)
            return list_add(c, f->list, value, err);
        *f->value = value;
        return ST_OK;
    }
    return ctl_usage(c, err, "%s is not a flag of this command", word);
}

int ctl_arguments(struct ctl *c, const struct ctl_flag *flags, const char **words, uint32_t min, uint32_t max, struct error *err)
{
    static const struct ctl_flag none[] = {{0}};
    uint32_t n = 0;
    for (uint32_t k = 0; k < max; k++)
        words[k] = NULL;
    for (int i = 0; i < c->argc; i++) {
        if (c->argv[i][0] == '-' && c->argv[i][1]) {
            TRY(take_flag(c, flags ? flags : none, &i, err));
        } else {
            if (n == max)
                return ctl_usage(c, err, "one argument too many: '%s'", c->argv[i]);
            words[n++] = c->argv[i];
        }
    }
    return n < min ? ctl_usage(c, err, "an argument is missing") : ST_OK;
}
