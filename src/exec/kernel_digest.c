/* encode, decode and message digests (functions.md 1.7): OpenSSL's, and BLAKE3 from base/. */
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/blake3.h"
#include "base/text.h"
#include "exec/kernel_typed.h"

/* ---- digests ---- */

enum algorithm { MD5, SHA224, SHA256, SHA384, SHA512, BLAKE2B, BLAKE2S, BLAKE3, ALGORITHMS };

static const char *const algorithm_names[] = {"md5", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s", "blake3"};

static enum algorithm find_algorithm(const uint8_t *p, size_t n)
{
    enum algorithm a = 0;
    while (a < ALGORITHMS && (strlen(algorithm_names[a]) != n || strncasecmp(algorithm_names[a], (const char *)p, n) != 0))
        a++;
    return a;
}

static int hash(enum algorithm a, const uint8_t *p, size_t n, uint8_t out[EVP_MAX_MD_SIZE], unsigned *ret_size, struct error *err)
{
    const EVP_MD *const types[] = {EVP_md5(), EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512(), EVP_blake2b512(), EVP_blake2s256()};
    if (a == BLAKE3) {
        blake3(p, n, out);
        *ret_size = BLAKE3_BYTES;
        return ST_OK;
    }
    if (!EVP_Digest(p, n, out, ret_size, types[a], NULL))
        return error_set(err, ST_EXECUTE_QUERY, "the cryptographic library of this machine refuses %s", algorithm_names[a]);
    return ST_OK;
}

static int put_hex(struct text_writer *w, const uint8_t *p, size_t n, struct error *err)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *out;
    TRY(text_writer_room(w, 2 * n, &out, err));
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = (uint8_t)digits[p[i] >> 4];
        out[2 * i + 1] = (uint8_t)digits[p[i] & 15];
    }
    w->size += 2 * n;
    return ST_OK;
}

/* The algorithm is the function's, or named by the second argument. */
static int digest_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n, name_size;
    unsigned size = 0;
    uint8_t out[EVP_MAX_MD_SIZE];
    enum algorithm a = (enum algorithm)c->e->function->op;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    if (c->e->n_args > 1) {
        const uint8_t *name = value_text(&c->args[1], row, &name_size);
        a = find_algorithm(name, name_size);
        if (a == ALGORITHMS)
            return error_set(err, ST_EXECUTE_QUERY, "There is no digest algorithm named %.*s", name_size > 100 ? 100 : (int)name_size,
                             (const char *)name);
    }
    TRY(hash(a, p, n, out, &size, err));
    return type_is_string(c->e->type) ? put_hex(w, out, size, err) : text_writer_put(w, out, size, err);
}

/* ---- encode, decode ---- */

enum encoding { HEX, BASE64, BASE64_PADDED, ENCODINGS };

static int find_encoding(const struct call *c, int64_t row, enum encoding *ret_encoding, struct error *err)
{
    static const char *const names[] = {"hex", "base64", "base64pad"};
    size_t n;
    const uint8_t *p = value_text(&c->args[1], row, &n);
    for (enum encoding k = 0; k < ENCODINGS; k++)
        if (strlen(names[k]) == n && memcmp(names[k], p, n) == 0) {
            *ret_encoding = k;
            return ST_OK;
        }
    return error_set(err, ST_EXECUTE_QUERY, "There is no built-in encoding named '%.*s', currently supported encodings are: base64, base64pad, hex",
                     n > 100 ? 100 : (int)n, (const char *)p);
}

static int put_base64(struct text_writer *w, const uint8_t *p, size_t n, bool padded, struct error *err)
{
    uint8_t *out;
    TRY(text_writer_room(w, base64_room(n), &out, err));
    w->size += base64_encode(p, n, padded, out);
    return ST_OK;
}

static int encode_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    enum encoding encoding;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    TRY(find_encoding(c, row, &encoding, err));
    return encoding == HEX ? put_hex(w, p, n, err) : put_base64(w, p, n, encoding == BASE64_PADDED, err);
}

static bool decode_hex(const uint8_t *p, size_t n, uint8_t *out)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        int high = hex_digit(p[i]), low = hex_digit(p[i + 1]);
        if (high < 0 || low < 0)
            return false;
        *out++ = (uint8_t)(high << 4 | low);
    }
    return n % 2 == 0;
}

static int decode_row(const struct call *c, int64_t row, struct text_writer *w, bool *ret_null, struct error *err)
{
    size_t n;
    enum encoding encoding;
    uint8_t *out;
    const uint8_t *p = value_text(&c->args[0], row, &n);
    (void)ret_null;
    TRY(find_encoding(c, row, &encoding, err));
    TRY(text_writer_room(w, n, &out, err));
    int64_t size = encoding != HEX ? base64_decode(p, n, out) : decode_hex(p, n, out) ? (int64_t)(n / 2) : -1;
    if (size < 0)
        return error_set(err, ST_EXECUTE_QUERY, "Failed to decode value using %s", encoding == HEX ? "hex" : "base64");
    w->size += (size_t)size;
    return ST_OK;
}

const struct function functions_digest[] = {
    TEXT_FUNCTION("md5", 1, 1, "X:v", digest_row, MD5),
    TEXT_FUNCTION("sha224", 1, 1, "X:B", digest_row, SHA224),
    TEXT_FUNCTION("sha256", 1, 1, "X:B", digest_row, SHA256),
    TEXT_FUNCTION("sha384", 1, 1, "X:B", digest_row, SHA384),
    TEXT_FUNCTION("sha512", 1, 1, "X:B", digest_row, SHA512),
    TEXT_FUNCTION("digest", 2, 2, "XT:B", digest_row, 0),
    TEXT_FUNCTION("encode", 2, 2, "XT:1", encode_row, 0),
    TEXT_FUNCTION("decode", 2, 2, "XT:x", decode_row, 0),
    {0},
};
