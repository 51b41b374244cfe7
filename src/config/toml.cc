#include "config/toml.h"

#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/* With exceptions off, toml++ 3.3 walks on behind an error and trips over its own asserts ("[[["). So they are on; an assert that fails counts as one
 * more syntax error. All stop in toml_walk(): nothing is thrown through C. */
[[noreturn]] static void assert_failed()
{
    throw std::logic_error("syntax error");
}
#define TOML_EXCEPTIONS 1
#define TOML_HEADER_ONLY 1
#define TOML_MAX_NESTED_VALUES 64
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : assert_failed())
#define TOML_ASSERT_ASSUME(expr) TOML_ASSERT(expr)
#include <toml++/toml.h>

namespace {

constexpr size_t text_max = 1 << 20; /* no configuration is that long */

struct walker {
    int (*each)(void *, const struct toml_leaf *);
    void *ctx;

    int leaf(const std::string &path, const toml::node &node)
    {
        std::ostringstream printed;
        std::vector<std::string> texts;
        std::vector<const char *> items;
        struct toml_leaf l = {};
        l.path = path.c_str();
        l.line = static_cast<uint32_t>(node.source().begin.line);
        l.kind = TOML_OTHER;
        if (auto s = node.as_string()) {
            l.kind = TOML_TEXT;
            printed << s->get();
        } else if (auto i = node.as_integer()) {
            l.kind = TOML_INTEGER;
            l.integer = i->get();
            printed << i->get();
        } else if (auto b = node.as_boolean()) {
            l.kind = TOML_BOOLEAN;
            l.boolean = b->get();
            printed << (b->get() ? "true" : "false");
        } else if (auto f = node.as_floating_point()) {
            l.kind = TOML_FLOAT;
            printed << f->get();
        } else if (auto a = node.as_array()) {
            l.kind = TOML_LIST;
            for (auto &&item : *a)
                if (auto s = item.as_string())
                    texts.push_back(s->get());
            l.n_items = texts.size() == a->size() ? texts.size() : SIZE_MAX;
            for (auto &t : texts)
                items.push_back(t.c_str());
            l.items = items.data();
        }
        std::string text = printed.str();
        l.text = text.c_str();
        return each(ctx, &l);
    }

    int node(const std::string &path, const toml::node &n)
    {
        if (auto t = n.as_table())
            return table(path, *t);
        if (auto a = n.as_array())
            if (!a->empty() && a->is_homogeneous(toml::node_type::table)) {
                for (auto &&item : *a)
                    if (int st = node(path, item))
                        return st;
                return 0;
            }
        return leaf(path, n);
    }

    int table(const std::string &path, const toml::table &t)
    {
        for (auto &&[key, value] : t)
            if (int st = node(path.empty() ? std::string(key.str()) : path + "." + std::string(key.str()), value))
                return st;
        return 0;
    }
};

/* Line of the first byte outside strings and comments that is not ASCII, 0 if none. TOML allows none there, and the classifier of toml++ 3.3 for
 * such characters is undefined on some. */
unsigned first_stray_line(std::string_view text)
{
    unsigned line = 1;
    size_t i = text.substr(0, 3) == "\xef\xbb\xbf" ? 3 : 0;
    while (i < text.size()) {
        char c = text[i];
        if (static_cast<unsigned char>(c) >= 0x80)
            return line;
        line += c == '\n';
        i++;
        if (c == '#') {
            while (i < text.size() && text[i] != '\n')
                i++;
        } else if ((c == '"' || c == '\'') && (i == 1 || std::strchr(" \t\r\n=,[{.", text[i - 2]))) { /* elsewhere no string can begin */
            bool triple = text.substr(i, 2) == std::string(2, c);
            std::string end(triple ? 3 : 1, c);
            i += triple ? 2 : 0;
            bool stray = false;
            for (; i < text.size() && text.compare(i, end.size(), end) != 0 && (triple || text[i] != '\n'); i++) {
                stray = stray || static_cast<unsigned char>(text[i]) >= 0x80;
                i += c == '"' && text[i] == '\\' && i + 1 < text.size();
                line += text[i] == '\n';
            }
            if (text.substr(i, end.size()) == end)
                i += end.size();
            else if (stray)
                return line;
        }
    }
    return 0;
}

} // namespace

extern "C" int toml_walk(const char *text, size_t size, int (*each)(void *, const struct toml_leaf *), void *ctx, char *message, size_t message_room)
{
    if (size > text_max) {
        std::snprintf(message, message_room, "the file is longer than %zu bytes", text_max);
        return -1;
    }
    if (unsigned line = first_stray_line(std::string_view(text, size))) {
        std::snprintf(message, message_room, "line %u: only strings and comments may hold other characters than ASCII", line);
        return -1;
    }
    try {
        toml::table parsed = toml::parse(std::string_view(text, size));
        return walker{each, ctx}.table("", parsed);
    } catch (const toml::parse_error &e) {
        std::snprintf(message, message_room, "line %u: %s", static_cast<unsigned>(e.source().begin.line), std::string(e.description()).c_str());
    } catch (const std::exception &e) {
        std::snprintf(message, message_room, "%s", e.what());
    }
    return -1;
}
