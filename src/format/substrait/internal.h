/* Shared by the parts of the Substrait decoder. Private to format/substrait. */
#ifndef FORMAT_SUBSTRAIT_INTERNAL_H
#define FORMAT_SUBSTRAIT_INTERNAL_H

#include "base/hash.h"
#include "format/proto/wire.h"
#include "format/substrait/plan.h"

enum {
    PLAN_DEPTH_MAX = 200,
    PLAN_KEYS_MAX = 1024,   /* group keys of a relation: finding equal ones is quadratic */
    PLAN_KEPT_BYTES = 384,  /* what a type or a literal takes outside the arena, about */
};

struct plan_decoder {
    struct arena *arena;
    struct plan *plan;
    struct u64_map functions;   /* anchor + 1 -> name */
    struct u64_map type_names;  /* anchor + 1 -> name */
};

/* Keeps a reference until plan_release(); takes it over also on failure. */
int plan_keep_type(struct plan_decoder *d, struct dtype *type, struct error *err);
int plan_keep_column(struct plan_decoder *d, struct column *column, struct error *err);

/* A Type message; the result is kept by the plan. `names` (with *next) gives struct members their names, NULL = c0, c1, ... */
int plan_decode_type(struct plan_decoder *d, const struct pb_field *message, const char *const *names, uint32_t n_names, uint32_t *next,
                     unsigned depth, struct dtype **ret_type, bool *ret_nullable, struct error *err);

/* A Literal message as a column of one row; kept by the plan. */
int plan_decode_literal(struct plan_decoder *d, const struct pb_field *message, unsigned depth, struct column **ret_column, struct error *err);

int plan_decode_expr(struct plan_decoder *d, const struct pb_field *message, unsigned depth, struct plan_expr **ret_expr, struct error *err);
int plan_decode_rel(struct plan_decoder *d, const struct pb_field *message, unsigned depth, struct plan_rel **ret_rel, struct error *err);

/* Varints of a repeated field, packed or not; what does not fit becomes UINT32_MAX. In the arena. */
int plan_decode_indexes(struct plan_decoder *d, const struct pb_field *message, uint32_t number, uint32_t **ret_items, uint32_t *ret_n,
                        struct error *err);

/* The payload of an extension node by its type_url; NULL when no PromQL node has that name. Malformed: ST_UNEXPECTED. */
int plan_decode_series(struct plan_decoder *d, const char *name, const struct pb_field *payload, struct plan_series **ret_series, struct error *err);

/* Name of a function anchor; ST_UNEXPECTED when it was not declared. */
int plan_function_name(struct plan_decoder *d, uint64_t anchor, const char **ret_name, struct error *err);

/* The member `number` of a message, the last one if repeated; data == NULL when absent (an empty message has data != NULL). */
struct pb_field plan_member(const struct pb_field *message, uint32_t number);
uint32_t plan_count(const struct pb_field *message, uint32_t number);
/* As pb_inside(), also for a message that is absent: it reads as empty. */
static inline struct pb_reader plan_inside(const struct pb_field *message)
{
    static const uint8_t nothing;
    return message->data ? pb_inside(message) : pb_reader_of(&nothing, 0);
}

/* The next BYTES member `number`. */
bool plan_next(struct pb_reader *r, uint32_t number, struct pb_field *ret_field);
/* Checks that a message is well-formed on its top level. */
int plan_check(const struct pb_field *message, const char *what, struct error *err);

#endif
