#!/usr/bin/env python3
"""A damaged file costs its region and nothing else: the node starts, the other region is whole and writable, and /status says what is wrong."""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import grpc

from golden import CTL
from harness import FIELD, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, create_region, flush_request, insert, scan_all

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
T0 = 1700000000000


def values(server, table):
    return sorted(scan_all(server.channel(), table << 32, COLUMNS)['v'].to_pylist())


def make():
    """Two regions, each with two files and rows that only the log has; in the fsync mode, where a damaged record cannot be taken for a torn tail."""
    config = os.path.join(tempfile.mkdtemp(prefix='quarantine-'), 'node.toml')
    with open(config, 'w') as f:
        f.write('[wal]\nprovider = "raft_engine"\ndurability = "fsync"\n')
    server = Server('-c', config)
    handle = server.channel().unary_unary(HANDLE)
    for table in (1, 2):
        handle(create_region(table << 32, COLUMNS), timeout=300)
        for n in range(2):
            handle(insert(table << 32, COLUMNS, [(f'h{i}', T0 + n, 100 * n + i) for i in range(50)]), timeout=300)
            handle(flush_request(table << 32), timeout=300)
    for n in range(20):  # taking turns in the log
        for table in (1, 2):
            handle(insert(table << 32, COLUMNS, [('late', T0 + n, 1000 + n)]), timeout=300)
    want = values(server, 2)
    assert len(want) == 120 and server.stop() == 0
    return server, want


def first(home, pattern):
    return sorted(glob.glob(os.path.join(home, 'data/greptime/public/1/1_0000000000', pattern)))[0]


def overwrite(path, at, n):
    with open(path, 'r+b') as f:
        f.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        f.write(b'\xff' * n)


def log_record(home, region):
    """Offset of some record of the region in the newest segment, behind which others follow."""
    path = sorted(p for p in glob.glob(os.path.join(home, 'wal/regiond/*.wal')) if os.path.getsize(p))[-1]
    lines = subprocess.run([CTL, 'inspect', 'wal', path], capture_output=True, text=True).stdout.splitlines()
    offsets = [int(line.split()[0]) for line in lines if f' {region} ' in f' {" ".join(line.split())} ']
    return path, offsets[-3]


def damage_log(home):
    path, offset = log_record(home, 1 << 32)
    overwrite(path, offset + 60, 4)  # its payload: the header says whose record is lost


def expect(base, want, what, edit, opens, reason):
    home = tempfile.mkdtemp(prefix='quarantine-')
    shutil.copytree(base, home, dirs_exist_ok=True)
    edit(home)
    server = Server(home=home)
    assert values(server, 2) == want, f'{what}: the other region lost rows'
    server.channel().unary_unary(HANDLE)(insert(2 << 32, COLUMNS, [('after', T0, 9999)]), timeout=300)
    status = json.loads(urllib.request.urlopen(f'http://{server.http}/status', timeout=300).read())
    error = next(r.get('error', '') for r in status['regions'] if r['id'] == 1 << 32)
    if opens:
        try:
            values(server, 1)
            raise AssertionError(f'{what}: damage was read over')
        except grpc.RpcError as e:
            error = e.details()
    else:
        assert any('regions_failed' in d for d in status['degraded']), status['degraded']
    assert reason in error, f'{what}: {error}'
    server.restart()
    assert values(server, 2) == want + [9999], f'{what}: the other region is not what it was'
    server.remove()
    shutil.rmtree(home)
    print(f'{what}: {error[:110]}')


def main():
    server, want = make()
    base = server.home
    expect(base, want, 'a damaged delta', lambda h: overwrite(first(h, 'manifest/*002.json'), 5, 20), False, 'manifest')
    expect(base, want, 'a lost beginning of the manifest', lambda h: os.remove(first(h, 'manifest/*000.json')), False, 'beginning')
    expect(base, want, 'an SST that is missing', lambda h: os.remove(first(h, '*.parquet')), True, 'parquet')
    expect(base, want, 'an SST whose footer is damaged', lambda h: overwrite(first(h, '*.parquet'), -7, 2), True, 'SST')
    expect(base, want, 'an SST whose pages are damaged', lambda h: overwrite(first(h, '*.parquet'), 20, 300), True, 'SST')
    expect(base, want, 'a damaged log record', damage_log, False, 'entry')
    server.remove()


if __name__ == '__main__':
    sys.exit(main())
