#!/usr/bin/env python3
"""regionctl check: clean folders pass, each kind of damage is found, --repair moves things aside and deletes nothing."""
import glob
import hashlib
import os
import shutil
import subprocess
import sys

from golden import CTL, Golden
from harness import FIELD, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, create_region, flush_request, insert

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]


def check(home, *flags, code):
    run = subprocess.run([CTL, 'check', home, *flags], capture_output=True, text=True, timeout=300)
    assert run.returncode == code, f'exit {run.returncode}, wanted {code}\n{run.stdout}\n{run.stderr}'
    return run.stdout


def contents(home):
    out = {}
    for root, _, names in os.walk(home):
        for name in names:
            data = open(os.path.join(root, name), 'rb').read()
            out[os.path.relpath(os.path.join(root, name), home)] = hashlib.sha256(data).hexdigest()
    return out


def ours():
    server = Server()
    handle = server.channel().unary_unary(HANDLE)
    for table in (1, 2):
        handle(create_region(table << 32, COLUMNS), timeout=300)
        for n in range(3):
            handle(insert(table << 32, COLUMNS, [(f'h{i}', 1700000000000 + 1000 * n, i) for i in range(50)]), timeout=300)
            handle(flush_request(table << 32), timeout=300)
        handle(insert(table << 32, COLUMNS, [('late', 1700000000000, 1)]), timeout=300)
    check(server.home, code=1)  # it runs
    assert server.stop() == 0
    return server


def damaged(home, what, edit, code, text, region=1):
    copy = home + '-' + what.replace(' ', '-')
    shutil.copytree(home, copy)
    edit(copy, lambda pattern: sorted(glob.glob(os.path.join(copy, 'data/greptime/public', str(region), f'{region}_0000000000', pattern))))
    out = check(copy, '--full', code=code)
    assert text in out, f'{what}: {out}'
    before = contents(copy)
    repaired = check(copy, '--repair', '--full', code=4 if 'broken  ' in out else 0)
    after = contents(copy)
    gone = set(before.values()) - set(after.values())
    assert not gone, f'{what}: repair deleted {[p for p, h in before.items() if h in gone]}'
    if 'broken  ' not in out:
        check(copy, '--full', code=0)
        assert 'moved' in repaired or 'forgot' in repaired or 'note ' in repaired, repaired
    shutil.rmtree(copy)
    print(f'{what}: found')


def flip(path, at):
    data = bytearray(open(path, 'rb').read())
    data[at] ^= 0xff
    open(path, 'wb').write(data)


def overwrite(path, at, n):
    with open(path, 'r+b') as f:
        f.seek(at)
        f.write(b'\xff' * n)


def truncate(path, n):
    with open(path, 'r+b') as f:
        f.truncate(n)


def main():
    golden = Golden()
    home = golden.copy()
    before = contents(home)
    out = check(home, '--full', code=0)
    assert '14 regions, 20 SSTs' in out, out
    assert contents(home) == before, 'a check wrote'
    print('the golden folder: ' + out.splitlines()[0])
    shutil.rmtree(home)

    server = ours()
    home = server.home
    check(home, '--full', code=0)
    damaged(home, 'orphan', lambda c, f: shutil.copy(f('*.parquet')[0], os.path.join(os.path.dirname(f('*.parquet')[0]), '00000000-0000-4000-8000-000000000000.parquet')),
            3, 'no manifest lists it')
    damaged(home, 'missing SST', lambda c, f: os.remove(f('*.parquet')[0]), 4, 'not there')
    damaged(home, 'short SST', lambda c, f: truncate(f('*.parquet')[0], 1000), 4, 'bytes, the manifest says')
    damaged(home, 'damaged footer', lambda c, f: flip(f('*.parquet')[0], -7), 4, 'bad file')
    damaged(home, 'damaged pages', lambda c, f: overwrite(f('*.parquet')[0], 20, 300), 4, 'bad file')
    damaged(home, 'damaged delta', lambda c, f: flip(f('manifest/*001.json')[0], 3), 4, 'broken')
    damaged(home, 'missing beginning', lambda c, f: os.remove(f('manifest/*000.json')[0]), 4, 'broken')
    damaged(home, 'missing delta', lambda c, f: os.remove(f('manifest/*001.json')[0]), 3, 'the manifest lacks 1 version(s), the first of them 1:')
    damaged(home, 'drop that was cut short', lambda c, f: open(os.path.dirname(f('*.parquet')[0]) + '/.dropping', 'w').close(), 0, 'dropped', region=2)
    wal = sorted(p for p in glob.glob(os.path.join(home, 'wal/regiond/*.wal')) if os.path.getsize(p))[-1] # an empty one says that the stop was clean
    name = os.path.relpath(wal, home)
    damaged(home, 'damaged log', lambda c, f: flip(os.path.join(c, name), 300), 4, 'broken')
    server.remove()


if __name__ == '__main__':
    sys.exit(main())
