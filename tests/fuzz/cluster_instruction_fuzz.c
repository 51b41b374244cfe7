/* Whatever metasrv sends: heartbeat responses, the leader's address, key-value pages, instructions. An instruction that parses has a reply that is
 * written. */
#include <stddef.h>
#include <stdint.h>

#include "cluster/instruction.h"
#include "cluster/messages.h"

static int each(void *ctx, const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size, struct error *err)
{
    volatile uint8_t sum = 0;
    (void)ctx;
    (void)err;
    for (size_t i = 0; i < key_size; i++)
        sum += key[i];
    for (size_t i = 0; i < value_size; i++)
        sum += value[i];
    (void)sum;
    return ST_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heartbeat_response response;
    struct instruction *instruction;
    struct error err;
    char addr[32];
    bool more;
    if (message_read_heartbeat(data, size, &response, &err) == ST_OK)
        heartbeat_response_release(&response);
    (void)message_read_leader(data, size, addr, sizeof(addr));
    (void)message_read_range(data, size, each, NULL, &more, &err);
    if (instruction_parse((const char *)data, size, &instruction, &err) == ST_OK) {
        struct dynbuf out;
        dynbuf_init(&out, 64 << 20);
        if (instruction->kind != INSTRUCTION_FILE_REFS && instruction->kind != INSTRUCTION_GC && instruction_reply(instruction, &out, &err) != ST_OK)
            __builtin_trap();
        dynbuf_release(&out);
        instruction_free(instruction);
    }
    return 0;
}
