#!/usr/bin/env python3
"""A GreptimeDB datanode's folder, taken over: every table holds what it should, the rows that only its log has included; also after flushes, restarts
and kills at any point, and without a byte of the peer's files changed before something of ours is flushed."""
import glob
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import grpc

from golden import CTL, Golden
from harness import HANDLE, Server, flush_request


def tree(home):
    """Contents of the files that the peer wrote."""
    out = {}
    for part in ('data', 'wal'):
        for root, _, names in os.walk(os.path.join(home, part)):
            if os.path.join('wal', 'regiond') in root:
                continue
            for name in names:
                path = os.path.join(root, name)
                out[os.path.relpath(path, home)] = hashlib.sha256(open(path, 'rb').read()).hexdigest()
    out.pop('wal/LOCK', None)
    return out


def status(server):
    return json.loads(urllib.request.urlopen(f'http://{server.http}/status', timeout=300).read())


def by_open_requests(golden):
    """As under a metasrv that knows the options; then flushed, restarted and killed."""
    home = golden.copy()
    before = tree(home)
    server = Server(home=home)
    assert len(status(server)['regions']) >= 12
    golden.open_all(server)
    rows = golden.check(server)
    assert tree(home) == before, 'a takeover wrote to the files it took over'
    print(f'opened: {rows} rows equal, no file changed')
    server.restart()
    golden.check(server)
    assert status(server)['greptimedb_log']['regions_pending'] > 0
    handle = server.channel().unary_unary(HANDLE)
    rng = random.Random(5)
    regions = [r for r, _, _, options in golden.creates if not any(k == 'on_physical_table' for k, _ in options)]
    rng.shuffle(regions)
    for i, region in enumerate(regions):
        handle(flush_request(region), timeout=300)
        if i % 3 == 2:
            server.restart()
            handle = server.channel().unary_unary(HANDLE)
            golden.check(server)
    golden.check(server)
    log = status(server)['greptimedb_log']
    print(f'flushed one after the other, killed in between: equal; log: {log}')
    assert server.stop() == 0
    after = tree(home)
    assert all(after[p] == h for p, h in before.items() if p.startswith('wal/')), 'the log of the peer was changed'
    # The compactions that follow the flushes may have merged SSTs of the peer; no file of its is changed in place.
    assert all(after.get(p, h) == h for p, h in before.items() if p.endswith('.parquet')), 'an SST of the peer was changed'
    if log['regions_pending'] == 0: # then the log is not needed any more
        for name in os.listdir(os.path.join(home, 'wal')):
            if name.endswith(('.raftlog', '.rewrite')):
                os.remove(os.path.join(home, 'wal', name))
    server.start()
    golden.check(server)
    server.remove()
    shutil.rmtree(home)


def without_options(golden):
    """Alone, with nobody to tell: regions are found and read-only; `regionctl open` tells the options."""
    home = golden.copy()
    server = Server(home=home)
    golden.check(server, ['g_types', 'g_pk', 'g_flat', 'g_index', 'g_alter', 'g_part', 'g_compact', 'g_big', 'g_metric_a', 'g_metric_b'])
    handle = server.channel().unary_unary(HANDLE)
    try:
        handle(flush_request(1025 << 32), timeout=300)
        raise AssertionError('a region whose options nobody knows was flushed')
    except grpc.RpcError:
        pass
    assert any('read_only' in d for d in status(server)['degraded'])

    def ctl(*args):
        run = subprocess.run([CTL, '--addr', server.addr, '--http', server.http, *args], capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
    ctl('open', '1025:0', '--option', 'append_mode=true')
    ctl('open', '1026:0', '--option', 'merge_mode=last_non_null')
    for name in golden.tables:
        if not name.startswith('g_metric'):
            for region in golden.regions(name):
                ctl('open', str(region))
    golden.check(server)
    server.restart()
    golden.check(server)
    handle = server.channel().unary_unary(HANDLE)
    handle(flush_request(1025 << 32), timeout=300)
    handle(flush_request(1026 << 32), timeout=300)
    golden.check(server)
    server.remove()
    shutil.rmtree(home)
    print('found without options: read-only, then opened with them: equal')


def compressed(golden):
    """Manifests of a datanode with compress_manifest = true: deltas and checkpoints gzipped."""
    home = golden.copy()
    for path in glob.glob(os.path.join(home, 'data/greptime/public/*/*/**/manifest/0*'), recursive=True):
        with open(path, 'rb') as f, gzip.open(path + '.gz', 'wb') as out:
            out.write(f.read())
        os.remove(path)
    server = Server(home=home)
    golden.open_all(server)
    rows = golden.check(server)
    for region in (1024 << 32, 1032 << 32):
        server.channel().unary_unary(HANDLE)(flush_request(region), timeout=300)
    server.restart()
    golden.check(server)
    server.remove()
    shutil.rmtree(home)
    print(f'gzipped manifests: {rows} rows equal')


def running_datanode(golden):
    """The lock that a running datanode holds keeps us out."""
    home = golden.copy()
    lock = os.path.join(home, 'wal', 'LOCK')
    open(lock, 'w').close()
    holder = subprocess.Popen(['flock', lock, 'sleep', '60'])
    try:
        while subprocess.run(['flock', '-n', lock, 'true']).returncode == 0:
            pass
        Server(home=home)
        raise AssertionError('started on the folder of a running datanode')
    except RuntimeError as e:
        assert 'stop it first' in str(e), e
    finally:
        subprocess.run(['kill', *subprocess.run(['pgrep', '-P', str(holder.pid)], capture_output=True, text=True).stdout.split()])
        holder.wait()
        shutil.rmtree(home)
    print('a running datanode is respected')


def damaged_log(golden):
    """A log whose middle is damaged: the regions that lose entries by it do not open, the others hold everything."""
    home = golden.copy()
    path = os.path.join(home, 'wal', '0000000000000001.raftlog')
    data = bytearray(open(path, 'rb').read())
    at = data.rfind(b'\x0a\x2b\x10\xf2\x12') # inside an entries block of g_lnn
    assert at > 0
    data[at] ^= 0xff
    open(path, 'wb').write(data)
    server = Server(home=home)
    errors = {r['id']: r['error'] for r in status(server)['regions'] if 'error' in r}
    assert set(errors) == {1026 << 32} and 'checksum' in errors[1026 << 32], errors
    golden.check(server, ['g_types', 'g_pk', 'g_flat', 'g_index', 'g_alter', 'g_part', 'g_compact', 'g_big', 'g_metric_a', 'g_metric_b'])
    print('a damaged entry quarantines its region and nothing else')
    server.remove()
    shutil.rmtree(home)


def main():
    golden = Golden()
    by_open_requests(golden)
    without_options(golden)
    compressed(golden)
    running_datanode(golden)
    damaged_log(golden)


if __name__ == '__main__':
    sys.exit(main())
