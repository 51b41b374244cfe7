/* Bitwise operators on integers of one type (functions.md 4.4). Shifts count modulo the width; to the right with the sign. */
#include <string.h>

#include "exec/kernel_typed.h"

enum { BITS_AND, BITS_OR, BITS_XOR, SHIFT_LEFT, SHIFT_RIGHT };

static int bind_bits(struct expr *e, struct error *err)
{
    TRY(expr_bind_common(e, 0, 1, false, err));
    if (!type_is_integer(e->args[0]->type))
        return expr_type_error(e, err);
    e->type = type_ref(e->args[0]->type);
    return ST_OK;
}

/* An integer of 1 to 8 bytes, extended to 64 bits. */
static int64_t load(const struct value *v, int64_t row, int width, bool is_signed)
{
    uint64_t bits = 0;
    memcpy(&bits, v->column->buffers[0]->data + (size_t)(v->column->offset + (v->scalar ? 0 : row)) * (size_t)width, (size_t)width);
    int spare = 64 - 8 * width;
    return is_signed ? (int64_t)(bits << spare) >> spare : (int64_t)bits;
}

static int bits_row(const struct call *c, int64_t row, void *ret_value, bool *ret_null, struct error *err)
{
    int width = type_width(c->e->type);
    bool is_signed = type_is_signed(c->e->type);
    int64_t a = load(&c->args[0], row, width, is_signed), b = load(&c->args[1], row, width, is_signed), r;
    int count = (int)((uint64_t)b % (unsigned)(8 * width));
    (void)ret_null;
    (void)err;
    switch (c->e->function->op) {
    case BITS_AND:
        r = a & b;
        break;
    case BITS_OR:
        r = a | b;
        break;
    case BITS_XOR:
        r = a ^ b;
        break;
    case SHIFT_LEFT:
        r = (int64_t)((uint64_t)a << count);
        break;
    default:
        r = is_signed ? a >> count : (int64_t)((uint64_t)a >> count);
    }
    memcpy(ret_value, &r, (size_t)width);
    return ST_OK;
}

const struct function functions_bits[] = {
    {"bitwise_and", 2, 2, bind_bits, kernel_fixed_rows, BITS_AND, true, .fixed_row = bits_row},
    {"bitwise_or", 2, 2, bind_bits, kernel_fixed_rows, BITS_OR, true, .fixed_row = bits_row},
    {"bitwise_xor", 2, 2, bind_bits, kernel_fixed_rows, BITS_XOR, true, .fixed_row = bits_row},
    {"bitwise_shift_left", 2, 2, bind_bits, kernel_fixed_rows, SHIFT_LEFT, true, .fixed_row = bits_row},
    {"bitwise_shift_right", 2, 2, bind_bits, kernel_fixed_rows, SHIFT_RIGHT, true, .fixed_row = bits_row},
    {0},
};
