/* Randomness from the system's generator. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "os/thread.h"

void random_bytes(void *data, size_t size)
{
    char *at = data;
    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        assert(n > 0); /* the call cannot fail otherwise on any kernel this builds for */
        at += n;
        size -= (size_t)n;
    }
}

void uuid_v4(char ret_text[37])
{
    uint8_t b[16];
    random_bytes(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(ret_text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7],
             b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}
