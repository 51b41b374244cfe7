#!/usr/bin/env python3
"""Writes src/base/unicode_tables.c: which characters are alphanumeric, Chinese, cased and case-ignorable.

The sets are those of Unicode 17, as the peer's Rust has them; they come from the Python module `regex` (2025.9 to 2026.5 know that version).
"""
import os

import regex

SETS = [('unicode_alphanumeric', r'[\p{Alphabetic}\p{N}]', 'Letters, numbers, and the marks and signs that belong to words'),
        ('unicode_han', r'[\p{Script=Han}--[\U00016ff2-\U00016ff6\U0002b73a-\U0002b73f\U0002cea2-\U0002cead\U000323b0-\U00033479]]',
         'The Chinese script as of Unicode 16, which is what the peer knows of scripts'),
        ('unicode_cased', r'\p{Cased}', 'Characters with a case'),
        ('unicode_case_ignorable', r'\p{Case_Ignorable}', 'Marks and signs that case conditions look through')]
LINE = 150


def bounds(pattern):
    """Where the set begins and ends, in turn."""
    member, out, inside = regex.compile(pattern, regex.V1), [], False
    for c in range(0x110000):
        now = not 0xd800 <= c < 0xe000 and member.match(chr(c)) is not None
        if now != inside:
            out.append(c)
            inside = now
    return out


def main():
    assert regex.match(r'\p{Alphabetic}', chr(0x33479)) and not regex.match(r'\p{Alphabetic}', chr(0x3d000)), 'not Unicode 17'
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
    with open(os.path.join(root, 'src', 'base', 'unicode_tables.c'), 'w') as out:
        out.write('/* Sets of characters, Unicode 17: where each run of members begins and where it ends, in turn. Written by scripts/unicode_tables.py. */\n'
                  '#include "base/unicode.h"\n\n/* clang-format off */\n')
        for name, pattern, what in SETS:
            numbers = bounds(pattern)
            out.write('\n/* %s. */\nconst struct unicode_set %s = {%d, (const uint32_t[]){\n' % (what, name, len(numbers)))
            line = '   '
            for n in numbers:
                text = ' 0x%x,' % n
                if len(line) + len(text) > LINE:
                    out.write(line + '\n')
                    line = '   '
                line += text
            out.write(line.rstrip(',') + '}};\n')
        out.write('/* clang-format on */\n')


main()
