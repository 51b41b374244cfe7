#!/usr/bin/env python3
"""A disk that is really full, a small tmpfs: reads go on, flushes finish by the reserve, writes and schema changes get a retryable error, all of it
recovers by itself, and kill -9 in between loses nothing that was acknowledged. Needs the right to mount; says so and ends where it has none."""
import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

import grpc

from harness import FIELD, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, create_region, flush_request, insert, num, scan_all, truncate_request

from test_metric import create as create_metric

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
A, B, C = 1024 << 32, 1025 << 32, 1026 << 32
PHYSICAL, LOGICAL, OTHER = 1027 << 32, 1028 << 32, 1029 << 32
MIB = 1 << 20


def mount(size):
    folder = tempfile.mkdtemp(prefix='regiond-disk-')
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', folder], capture_output=True).returncode:
        os.rmdir(folder)
        print('skipped: may not mount a tmpfs here')
        sys.exit(0)
    atexit.register(lambda: (subprocess.run(['umount', '-l', folder]), os.rmdir(folder)))
    return folder


def free_bytes(folder):
    v = os.statvfs(folder)
    return v.f_bavail * v.f_frsize


def take(folder, leave=0):
    """Somebody else's file takes all of the disk but that much."""
    with open(os.path.join(folder, 'others'), 'ab') as f:
        while free_bytes(folder) > leave:
            try:
                f.write(b'x' * int(min(free_bytes(folder) - leave, MIB)))
                f.flush()
            except OSError:
                return


def drop_request(region):
    return blob(1, b'') + blob(6, num(1, region))


def give_back(folder):
    os.unlink(os.path.join(folder, 'others'))


class Node:
    def __init__(self, folder, *flags, home):
        self.folder, self.server, self.acked, self.next = folder, Server(*flags, home=home), {A: {}, B: {}}, 0

    def call(self, request):
        return self.server.channel().unary_unary(HANDLE)(request, timeout=300)

    def refused(self, request, why='the disk of'):
        """The call fails with what the frontend passes on as retryable: StorageUnavailable, UNAVAILABLE."""
        try:
            self.call(request)
        except grpc.RpcError as e:
            code = dict(e.trailing_metadata()).get('x-greptime-err-code')
            assert (e.code(), code) == (grpc.StatusCode.UNAVAILABLE, '5000') and why in e.details(), (e.code(), code, e.details())
            return True
        return False

    def batch(self, n=2000):
        self.next += n
        return [(f'h{i % 10}', self.next + i, i * 7919 % 100003) for i in range(n)]

    def write(self, region):
        rows = self.batch()
        request = insert(region, COLUMNS, rows)
        try:
            self.call(request)
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.UNAVAILABLE, e.details()
            return False
        self.acked[region].update(((h, t), v) for h, t, v in rows)
        return True

    def fill(self, region):
        """Writes until the disk is full, and takes what is left."""
        for _ in range(1000):
            if not self.write(region):
                take(self.folder)
                return
        raise AssertionError('the disk does not get full')

    def check(self):
        for region, rows in self.acked.items():
            table = scan_all(self.server.channel(), region, COLUMNS)
            have = dict(zip(zip(table['host'].to_pylist(), table['ts'].cast('int64').to_pylist()), table['v'].to_pylist())) if table.num_rows else {}
            lost = [k for k, v in rows.items() if have.get(k) != v]
            assert not lost, f'{len(lost)} of {len(rows)} acknowledged rows of region {region} are lost'

    def has(self, region):
        try:
            scan_all(self.server.channel(), region, [('ts', TS_MS, TIME)])
        except grpc.RpcError:
            return False
        return True

    def status(self):
        return json.load(urllib.request.urlopen(f'http://{self.server.http}/status'))

    def metric(self, text):
        return text in urllib.request.urlopen(f'http://{self.server.http}/metrics').read().decode()

    def degraded(self, what):
        return any(line.startswith(what + ':') for line in self.status()['degraded'])

    def wait(self, what, until, seconds=300):
        end = time.time() + seconds
        while not until():
            assert time.time() < end, f'{what} does not happen'
            time.sleep(0.1)


def data_disk():
    folder = mount('48m')
    node = Node(folder, home=folder)
    state = node.status()['disk']
    assert state['reserve_held_bytes'] == state['reserve_bytes'] and 2 * MIB < state['reserve_bytes'] < 2.5 * MIB, state
    for region in (A, B):
        node.call(create_region(region, COLUMNS))
        assert node.write(region)
    node.call(blob(1, b'') + blob(5, create_metric(PHYSICAL, [])))
    for region in (LOGICAL, OTHER):
        node.call(blob(1, b'') + blob(5, create_metric(region, ['host'], PHYSICAL)))

    take(folder, leave=1.5 * MIB)
    node.fill(A)
    assert node.refused(insert(A, COLUMNS, node.batch(1))) and node.refused(insert(B, COLUMNS, node.batch(1)))
    assert node.refused(create_region(C, COLUMNS))
    assert node.degraded('disk_full') and node.metric('regiond_degraded{what="disk_full"} 1')
    node.check()
    node.call(flush_request(A))
    node.call(flush_request(B))
    take(folder)
    node.check()
    node.call(drop_request(LOGICAL)) # a write to the metadata region
    assert node.refused(blob(1, b'') + blob(5, create_metric(C, ['host'], PHYSICAL)))

    node.server.kill() # and a start on a full disk, without room for anything
    node.server.start()
    node.wait('the opening of the regions', lambda: all(r['state'] == 'ready' for r in node.status()['regions']))
    take(folder)
    node.check()
    assert not node.has(LOGICAL) and node.has(OTHER)
    assert node.refused(insert(A, COLUMNS, node.batch(1)))
    node.call(truncate_request(B))
    node.acked[B].clear()
    assert node.degraded('disk_full')

    give_back(folder)
    node.wait('the recovery', lambda: node.write(A))
    assert node.write(B) and not node.degraded('disk_full') and node.metric('regiond_degraded{what="disk_full"} 0')
    state = node.status()['disk']
    assert state['reserve_held_bytes'] == state['reserve_bytes'] and not state['full'] and state['times_full'] > 0, state
    node.call(create_region(C, COLUMNS))
    node.server.restart()
    node.check()

    for _ in range(2): # killed in the middle of it
        take(folder, leave=1.2 * MIB)
        node.fill(B)
        node.server.kill()
        give_back(folder)
        node.server.start()
        node.wait('the opening of the regions', lambda: all(r['state'] == 'ready' for r in node.status()['regions']))
        node.check()
        assert node.write(B)
    node.check()
    print(f'{sum(map(len, node.acked.values()))} acknowledged rows are there after three full disks and four kills')
    log = node.server.tail() + ''.join(open(os.path.join(folder, 'logs', f)).read() for f in os.listdir(os.path.join(folder, 'logs')))
    assert 'has room again' in log or 'is full' in log
    node.server.kill()


def log_disk():
    """The log alone on a full disk: flushes let it be cut."""
    folder = mount('24m')
    node = Node(folder, '--wal-dir', folder, home=tempfile.mkdtemp(prefix='regiond-test-'))
    node.server.keep = False
    node.call(create_region(A, COLUMNS))
    node.call(create_region(B, COLUMNS))
    take(folder, leave=2 * MIB)
    node.fill(A)
    assert node.refused(insert(B, COLUMNS, node.batch(1))) and node.degraded('wal_disk_full') and not node.degraded('disk_full')
    node.check()
    node.wait('the cut of the log', lambda: node.status()['wal']['bytes'] < MIB) # by itself
    node.wait('the recovery', lambda: node.write(B))
    node.server.restart()
    node.check()
    assert node.write(A)
    print('a full disk of the log: written by flushes, cut, usable')
    node.server.kill()


if __name__ == '__main__':
    data_disk()
    log_disk()
