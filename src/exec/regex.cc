#include "exec/regex.h"

#include <re2/re2.h>

#include <cstdio>
#include <new>

struct regex {
    re2::RE2 re;
    regex(const re2::StringPiece &pattern, const re2::RE2::Options &options) : re(pattern, options) {}
};

extern "C" struct regex *regex_new(const char *pattern, size_t size, bool ignore_case, char *why, size_t why_room)
{
    re2::RE2::Options options;
    options.set_case_sensitive(!ignore_case);
    options.set_log_errors(false);
    options.set_max_mem(8 << 20);
    auto *r = new (std::nothrow) regex(re2::StringPiece(pattern, size), options);
    if (r && r->re.ok())
        return r;
    std::snprintf(why, why_room, "%s", r ? r->re.error().c_str() : "out of memory");
    delete r;
    return nullptr;
}

extern "C" bool regex_match(const struct regex *r, const char *text, size_t size)
{
    return re2::RE2::PartialMatch(re2::StringPiece(text, size), r->re);
}

extern "C" void regex_free(struct regex *r)
{
    delete r;
}
