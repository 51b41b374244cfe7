#include "exec/regex.h"

#include <re2/re2.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

struct regex {
    re2::RE2 re;
    regex(const re2::StringPiece &pattern, const re2::RE2::Options &options) : re(pattern, options) {}
};

namespace
{

enum { GROUPS_MAX = 100 };

const char *unicode_class(char c, bool inside)
{
    switch (c) {
    case 'd':
        return "\\p{Nd}";
    case 'D':
        return "\\P{Nd}";
    case 'w':
        return inside ? "\\p{L}\\p{M}\\p{Nl}\\p{Nd}\\p{Pc}" : "[\\p{L}\\p{M}\\p{Nl}\\p{Nd}\\p{Pc}]";
    case 'W':
        return inside ? nullptr : "[^\\p{L}\\p{M}\\p{Nl}\\p{Nd}\\p{Pc}]";
    case 's':
        return inside ? "\\t-\\r \\x{85}\\p{Z}" : "[\\t-\\r \\x{85}\\p{Z}]";
    case 'S':
        return inside ? nullptr : "[^\\t-\\r \\x{85}\\p{Z}]";
    default:
        return nullptr;
    }
}

/* Reads a pattern in Rust's syntax and writes RE2's. */
class Translator
{
  public:
    Translator(const char *pattern, size_t size, bool verbose) : p(pattern), n(size), verbose(verbose) {}

    /* Returns what is wrong, or NULL. */
    const char *run(std::string &out)
    {
        while (at < n) {
            char c = p[at];
            if (c == '\\') {
                if (const char *fault = escape(out))
                    return fault;
            } else if (classes) {
                if (const char *fault = inside_class(out))
                    return fault;
            } else if (c == '[') {
                open_class(out);
            } else if (c == '(') {
                group(out);
            } else if (verbose && strchr(" \t\n\r\f\v", c) && c) {
                at++;
            } else if (verbose && c == '#') {
                while (at < n && p[at] != '\n')
                    at++;
            } else {
                out += c;
                at++;
            }
        }
        return nullptr;
    }

  private:
    const char *p;
    size_t n, at = 0;
    bool verbose, classes = false;

    bool looking_at(const char *text) const { return n - at >= strlen(text) && memcmp(p + at, text, strlen(text)) == 0; }

    const char *escape(std::string &out)
    {
        if (at + 1 >= n)
            return "a backslash at the end of the pattern";
        char c = p[at + 1];
        if (c == 'C' || c == 'Q' || c == 'E' || c == 'Z')
            return "unrecognized escape sequence";
        if (const char *set = unicode_class(c, classes)) {
            out += set;
            at += 2;
            return nullptr;
        }
        if (c == 'u' || c == 'U')
            return code_point(out, c == 'u' ? 4 : 8);
        if (verbose && (c == ' ' || c == '#')) {
            out += c == ' ' ? "[ ]" : "#";
            at += 2;
            return nullptr;
        }
        out += '\\';
        out += c;
        at += 2;
        return nullptr;
    }

    /* \u{1F600}, \u00e9, \U0001F600 */
    const char *code_point(std::string &out, size_t digits)
    {
        size_t from = at + 2, to = from + digits;
        if (from < n && p[from] == '{') {
            const void *end = memchr(p + from, '}', n - from);
            if (!end)
                return "an unclosed \\u{";
            from++;
            to = (size_t)(static_cast<const char *>(end) - p);
            at = to + 1;
        } else {
            if (to > n)
                return "an incomplete \\u escape";
            at = to;
        }
        out += "\\x{" + std::string(p + from, to - from) + "}";
        return nullptr;
    }

    void open_class(std::string &out)
    {
        classes = true;
        out += p[at++];
        if (at < n && p[at] == '^')
            out += p[at++];
        if (at < n && p[at] == ']') {
            out += "\\]";
            at++;
        }
    }

    const char *inside_class(std::string &out)
    {
        if (p[at] == '[' && !looking_at("[:"))
            return "nested character classes are not supported";
        if (looking_at("&&") || looking_at("--") || looking_at("~~"))
            return "set operations in character classes are not supported";
        if (looking_at("[:")) {
            const char *end = static_cast<const char *>(memmem(p + at, n - at, ":]", 2));
            if (!end)
                return "an unclosed [:";
            out.append(p + at, (size_t)(end + 2 - (p + at)));
            at = (size_t)(end + 2 - p);
            return nullptr;
        }
        classes = p[at] != ']';
        out += p[at++];
        return nullptr;
    }

    /* Named groups get RE2's P; an x among inline flags is ours. */
    void group(std::string &out)
    {
        if (looking_at("(?<") && !looking_at("(?<=") && !looking_at("(?<!")) {
            out += "(?P<";
            at += 3;
            return;
        }
        size_t end = at + 2;
        if (looking_at("(?"))
            while (end < n && strchr("imsxUu-", p[end]) && p[end])
                end++;
        if (end > at + 2 && end < n && (p[end] == ')' || p[end] == ':')) {
            bool off = false;
            std::string flags;
            for (size_t i = at + 2; i < end; i++) {
                off = off || p[i] == '-';
                if (p[i] == 'x')
                    verbose = !off;
                else if (p[i] != 'u')
                    flags += p[i];
            }
            if (!flags.empty() && flags.back() == '-')
                flags.pop_back();
            if (!flags.empty() || p[end] == ':')
                out += "(?" + flags + p[end];
            at = end + 1;
            return;
        }
        out += p[at++];
    }
};

/* Whether matches surely begin where the text does: ^, no alternative to it, and no flags that change what it means. */
bool anchored(const std::string &pattern)
{
    int depth = 0;
    bool inside = false;
    for (size_t i = 0; i < pattern.size(); i++) {
        char c = pattern[i];
        if (c == '\\')
            i++;
        else if (inside)
            inside = c != ']';
        else if (c == '[')
            inside = true;
        else if (c == '(' && pattern.compare(i, 2, "(?") == 0 && pattern.compare(i, 3, "(?:") != 0)
            return false;
        else if (c == '(' || c == ')')
            depth += c == '(' ? 1 : -1;
        else if (c == '|' && depth == 0)
            return false;
    }
    return !pattern.empty() && pattern[0] == '^' && !(pattern.size() > 1 && strchr("*?+{", pattern[1]));
}

} // namespace

extern "C" struct regex *regex_new(const char *pattern, size_t size, const char *flags, size_t n_flags, size_t max_bytes, char *why, size_t why_room)
{
    re2::RE2::Options options;
    std::string text;
    bool verbose = false;
    for (size_t i = 0; i < n_flags; i++) {
        if (!memchr("imsxU", flags[i], 5)) {
            std::snprintf(why, why_room, "unrecognized flag");
            return nullptr;
        }
        verbose = verbose || flags[i] == 'x';
        if (flags[i] != 'x')
            text += flags[i];
    }
    if (!text.empty())
        text = "(?" + text + ")";
    if (const char *fault = Translator(pattern, size, verbose).run(text)) {
        std::snprintf(why, why_room, "%s", fault);
        return nullptr;
    }
    options.set_log_errors(false);
    options.set_max_mem((int64_t)max_bytes);
    auto *r = new (std::nothrow) regex(text, options);
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

extern "C" bool regex_bounds(const struct regex *r, uint8_t **ret_low, size_t *ret_low_size, uint8_t **ret_high, size_t *ret_high_size)
{
    enum { BOUND_BYTES = 64 };
    std::string low, high;
    if (!anchored(r->re.pattern()))
        return false;
    /* RE2 bounds texts that match as a whole. */
    re2::RE2::Options options;
    options.set_log_errors(false);
    re2::RE2 whole(r->re.pattern() + "(?s:.*)", options);
    if (!whole.ok() || !whole.PossibleMatchRange(&low, &high, BOUND_BYTES))
        return false;
    auto *a = static_cast<uint8_t *>(malloc(low.size() + 1)), *b = static_cast<uint8_t *>(malloc(high.size() + 1));
    if (!a || !b) {
        free(a);
        free(b);
        return false;
    }
    memcpy(a, low.data(), low.size());
    memcpy(b, high.data(), high.size());
    *ret_low = a;
    *ret_low_size = low.size();
    *ret_high = b;
    *ret_high_size = high.size();
    return true;
}

extern "C" int regex_groups(const struct regex *r)
{
    return r->re.NumberOfCapturingGroups();
}

extern "C" int regex_group_named(const struct regex *r, const char *name, size_t size)
{
    auto found = r->re.NamedCapturingGroups().find(std::string(name, size));
    return found == r->re.NamedCapturingGroups().end() ? -1 : found->second;
}

extern "C" bool regex_find(const struct regex *r, const char *text, size_t size, size_t from, struct regex_span *spans, int n)
{
    re2::StringPiece pieces[GROUPS_MAX + 1];
    int known = regex_groups(r) + 1, asked = n > GROUPS_MAX + 1 ? GROUPS_MAX + 1 : n;
    if (!r->re.Match(re2::StringPiece(text, size), from, size, re2::RE2::UNANCHORED, pieces, asked < known ? asked : known))
        return false;
    for (int i = 0; i < n; i++) {
        bool there = i < asked && i < known && pieces[i].data();
        spans[i].start = there ? pieces[i].data() - text : -1;
        spans[i].end = there ? spans[i].start + (long)pieces[i].size() : -1;
    }
    return true;
}

extern "C" void regex_free(struct regex *r)
{
    delete r;
}
