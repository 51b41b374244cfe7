/* A target with a fault that coverage-guided fuzzing finds within seconds. scripts/fuzz fails when it does NOT crash. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 3 && data[0] == 'b' && data[1] == 'a' && data[2] == 'd') {
        volatile uint8_t *past = malloc(size);
        past[size] = 1; /* one byte too far: AddressSanitizer stops here */
        free((void *)past);
    }
    return 0;
}
