#!/usr/bin/env python3
"""Checks that each source file includes only its own folder and the layers above it (docs/architecture.md).

A layer's name stands for its own files alone: `engine` is the vtable, not the engines. `format`, which is no layer, stands for all folders in it."""
import os
import re
import sys

ABOVE = {
    'base': [],
    'os': ['base'],
    'arrow': ['base'],
    'format/proto': ['base'],
    'format/json': ['base'],
    'format/sketch': ['base'],
    'format/puffin': ['base', 'format/json'],
    'format/index': ['base', 'format/proto', 'format/puffin'],
    'format/raftlog': ['base', 'format/proto'],
    'format/jsonb': ['base'],
    'format/tzif': ['base'],
    'format/h3': ['base'],
    'format/parquet': ['base', 'arrow'],
    'format/key': ['base', 'arrow'],
    'format/region': ['base', 'arrow', 'format/proto', 'format/json'],
    'format/rows': ['base', 'arrow', 'format/proto', 'format/json', 'format/key', 'format/region'],
    'format/substrait': ['base', 'arrow', 'format/proto'],
    'store': ['base', 'os'],
    'exec': ['base', 'os', 'arrow', 'format/proto', 'format/substrait', 'format/sketch', 'format/jsonb', 'format/tzif', 'format/h3',
             'format/key', 'format/region'],
    'wal': ['base', 'os', 'format/raftlog'],
    'engine': ['base', 'arrow', 'format'],
    'engine/mito': ['base', 'os', 'arrow', 'format', 'store', 'wal', 'engine'],
    'engine/file': ['base', 'os', 'arrow', 'format', 'store', 'engine'],
    'engine/metric': ['base', 'os', 'arrow', 'format', 'engine', 'engine/mito'],
    'region': ['base', 'os', 'arrow', 'format', 'exec', 'engine'],
    'config': ['base', 'os'],
    'http': ['base', 'os', 'format/proto'],
    'rpc': ['base', 'os', 'arrow', 'format', 'region'],
    'cluster': ['base', 'os', 'arrow', 'format', 'region', 'rpc'],
    'main': ['base', 'os', 'arrow', 'format', 'store', 'wal', 'exec', 'engine', 'engine/mito', 'engine/metric', 'engine/file', 'region', 'rpc', 'http',
             'cluster', 'config'],
    'ctl': ['base', 'os', 'arrow', 'format', 'store', 'wal', 'exec', 'engine', 'engine/mito', 'region', 'rpc', 'config'],
    'lib': ['base', 'os', 'arrow', 'format', 'store', 'exec', 'engine', 'engine/mito', 'engine/metric', 'engine/file', 'region'],
}


def folder_of(path):
    """The longest known folder that holds path."""
    best = ''
    for folder in ABOVE:
        if path.startswith(folder + '/') and len(folder) > len(best):
            best = folder
    return best


def allowed(folder, include):
    target = os.path.dirname(include)
    if target == folder:
        return True
    return any(target == up or up not in ABOVE and target.startswith(up + '/') for up in ABOVE[folder])


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'src')
    bad = files = 0
    for directory, _, names in os.walk(root):
        for name in sorted(names):
            if not name.endswith(('.c', '.h', '.cc')):
                continue
            path = os.path.relpath(os.path.join(directory, name), root)
            folder = folder_of(path)
            files += 1
            if not folder:
                print(f'{path}: its folder is in no layer')
                bad += 1
                continue
            for number, line in enumerate(open(os.path.join(root, path)), 1):
                m = re.match(r'#include "([^"]+)"', line)
                if m and os.path.exists(os.path.join(root, m.group(1))) and not allowed(folder, m.group(1)):
                    print(f'{path}:{number}: {folder} may not include {m.group(1)}')
                    bad += 1
    print(f'{files} files, {bad} violations')
    sys.exit(bad != 0)


if __name__ == '__main__':
    main()
