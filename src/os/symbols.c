/* See os/symbols.h. ELF, 64 bits, in this machine's byte order: the file is the running program's own, but every offset in it is checked all the
 * same. */
#include "os/symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct symbol {
    uint64_t start, end;
    const char *name;
};

struct symbols {
    const uint8_t *image; /* the mapped file; NULL: there is none */
    size_t size;
    uintptr_t base; /* where the program was loaded */
    struct symbol *list;
    size_t n;
};

static bool within(const struct symbols *s, uint64_t offset, uint64_t bytes)
{
    return offset <= s->size && bytes <= s->size - offset;
}

static int by_start(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static int take_table(struct symbols *s, const Elf64_Shdr *table, const Elf64_Shdr *names, struct error *err)
{
    size_t n = table->sh_size / sizeof(Elf64_Sym);
    Elf64_Sym symbol;
    if (!within(s, table->sh_offset, table->sh_size) || !within(s, names->sh_offset, names->sh_size) || !names->sh_size ||
        s->image[names->sh_offset + names->sh_size - 1] != 0)
        return ST_OK;
    s->list = malloc((n + 1) * sizeof(*s->list));
    if (!s->list)
        return error_no_memory(err, (n + 1) * sizeof(*s->list));
    for (size_t i = 0; i < n; i++) {
        memcpy(&symbol, s->image + table->sh_offset + i * sizeof(symbol), sizeof(symbol));
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || !symbol.st_value || symbol.st_name >= names->sh_size)
            continue;
        s->list[s->n++] =
            (struct symbol){symbol.st_value, symbol.st_value + symbol.st_size, (const char *)s->image + names->sh_offset + symbol.st_name};
    }
    qsort(s->list, s->n, sizeof(*s->list), by_start);
    return ST_OK;
}

static int read_image(struct symbols *s, struct error *err)
{
    Elf64_Ehdr head;
    if (s->size < sizeof(head))
        return ST_OK;
    memcpy(&head, s->image, sizeof(head));
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_shentsize != sizeof(Elf64_Shdr) ||
        !within(s, head.e_shoff, (uint64_t)head.e_shnum * sizeof(Elf64_Shdr)))
        return ST_OK;
    for (unsigned i = 0; i < head.e_shnum; i++) {
        Elf64_Shdr table, names;
        memcpy(&table, s->image + head.e_shoff + i * sizeof(table), sizeof(table));
        if (table.sh_type != SHT_SYMTAB || table.sh_link >= head.e_shnum)
            continue;
        memcpy(&names, s->image + head.e_shoff + table.sh_link * sizeof(names), sizeof(names));
        return take_table(s, &table, &names, err);
    }
    return ST_OK;
}

/* The program comes first. */
static int first_object(struct dl_phdr_info *info, size_t size, void *base)
{
    (void)size;
    *(uintptr_t *)base = info->dlpi_addr;
    return 1;
}

int symbols_load(struct symbols **ret_symbols, struct error *err)
{
    struct symbols *s = calloc(1, sizeof(*s));
    struct stat info;
    if (!s)
        return error_no_memory(err, sizeof(*s));
    dl_iterate_phdr(first_object, &s->base);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &info) == 0 && info.st_size > 0) {
        void *image = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        s->image = image == MAP_FAILED ? NULL : image;
        s->size = s->image ? (size_t)info.st_size : 0;
    }
    if (fd >= 0)
        close(fd);
    int rc = s->image ? read_image(s, err) : ST_OK;
    if (rc) {
        symbols_free(s);
        return rc;
    }
    *ret_symbols = s;
    return ST_OK;
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    if (s->image)
        munmap((void *)(uintptr_t)s->image, s->size);
    free(s->list);
    free(s);
}

static const char *own_name(const struct symbols *s, uint64_t at)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->list[middle].start <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low && at < s->list[low - 1].end ? s->list[low - 1].name : NULL;
}

void symbols_name(const struct symbols *s, uintptr_t address, char *ret_name, size_t room)
{
    Dl_info info = {0};
    const char *own = address >= s->base ? own_name(s, address - s->base) : NULL;
    bool known = !own && dladdr((const void *)address, &info) != 0;
    const char *slash = known && info.dli_fname ? strrchr(info.dli_fname, '/') : NULL, *file = slash ? slash + 1 : info.dli_fname;
    if (own)
        snprintf(ret_name, room, "%s", own);
    else if (known && info.dli_sname)
        snprintf(ret_name, room, "%s", info.dli_sname);
    else if (known && file)
        snprintf(ret_name, room, "%s+0x%" PRIxPTR, file, address - (uintptr_t)info.dli_fbase);
    else
        snprintf(ret_name, room, "0x%" PRIxPTR, address);
}
