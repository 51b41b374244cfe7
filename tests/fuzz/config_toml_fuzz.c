/* Configuration files: any bytes may come; what loads must finish, print, and load again. */
#include <stdlib.h>

#include "config/config.h"

static int load(const uint8_t *data, size_t size, struct config **ret_config)
{
    struct config *c;
    if (config_new(&c, NULL) != ST_OK)
        abort();
    int st = config_load_toml(c, (const char *)data, size, "fuzz.toml", NULL, NULL, NULL);
    if (st == ST_OK)
        st = config_finish(c, NULL);
    if (st == ST_OK)
        *ret_config = c;
    else
        config_free(c);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *c, *again;
    struct dynbuf printed;
    if (size > 1 << 16 || load(data, size, &c) != ST_OK)
        return 0;
    dynbuf_init(&printed, 1 << 24);
    if (config_print(c, &printed, NULL) != ST_OK || load(printed.data, printed.size, &again) != ST_OK)
        abort();
    config_free(again);
    config_free(c);
    dynbuf_release(&printed);
    return 0;
}
