#!/usr/bin/env python3
"""kill -9 under concurrent writes: every acknowledged row is there afterwards, exactly once in append mode, and nothing that was never sent.

    CRASH_CYCLES=300 test_crash.py              default 40, of which a quarter in the fsync mode; seeds are printed
    CRASH_DURABILITY=fsync test_crash.py        all in this mode
"""
import json
import os
import random
import sys
import tempfile
import threading
import time
import urllib.request

import grpc

from harness import HANDLE, INT64, STRING, TAG, FIELD, TIME, TS_MS, Server, create_region, flush_request, insert, scan_all, truncate_request

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
REGIONS = {1024 << 32: (), 1025 << 32: (('append_mode', 'true'),)}


class Writer(threading.Thread):
    """Sends batches with unique (host, ts); remembers which were acknowledged and which only sent."""

    def __init__(self, server, region, number, cycle, seed):
        super().__init__()
        self.server, self.region, self.number, self.cycle = server, region, number, cycle
        self.random = random.Random(seed)
        self.acked, self.sent, self.stop = set(), set(), False

    def run(self):
        call = self.server.channel().unary_unary(HANDLE)
        n = 0
        while not self.stop:
            batch = [(f'h{self.number}', (self.cycle * 1000000 + n + i), self.random.randrange(1 << 40)) for i in range(self.random.choice([1, 3, 50, 400]))]
            n += len(batch)
            self.sent.update(batch)
            try:
                call(insert(self.region, COLUMNS, batch), timeout=300)
                self.acked.update(batch)
            except grpc.RpcError:
                return


def contents(server, region):
    table = scan_all(server.channel(), region, COLUMNS)
    return list(zip(table['host'].to_pylist(), table['ts'].cast('int64').to_pylist(), table['v'].to_pylist()))


def crash(durability, cycles, rng):
    """That many kills of a server of that durability, each under writes; what the client knows of and what is there must agree after each."""
    with tempfile.NamedTemporaryFile('w', suffix='.toml') as config:
        config.write(f'[wal]\nprovider = "raft_engine"\ndurability = "{durability}"\n')
        config.flush()
        server = Server('-c', config.name)
        mode = json.load(urllib.request.urlopen(f'http://{server.http}/status'))['wal']['durability']
        assert mode == durability, mode
        crash_under_writes(server, cycles, rng, durability)
        server.remove()


def crash_under_writes(server, cycles, rng, durability):
    call = server.channel().unary_unary(HANDLE)
    for region, options in REGIONS.items():
        call(create_region(region, COLUMNS, options), timeout=300)
    acked, sent = {r: set() for r in REGIONS}, {r: set() for r in REGIONS}
    total = 0
    for cycle in range(cycles):
        if cycle % 20 == 19: # checking what has been there for long costs time and shows little
            for region in REGIONS:
                server.channel().unary_unary(HANDLE)(truncate_request(region), timeout=300)
                total += len(acked[region])
                acked[region].clear()
                sent[region].clear()
        writers = [Writer(server, r, n, cycle, rng.random()) for r in REGIONS for n in range(2)]
        for w in writers:
            w.start()
        time.sleep(rng.random() * 0.3)
        if rng.random() < 0.5: # a flush for the kill to interrupt
            threading.Thread(target=lambda: flush_quietly(server, rng.choice(list(REGIONS)))).start()
            time.sleep(rng.random() * 0.05)
        server.kill()
        for w in writers:
            w.stop = True
            w.join()
            acked[w.region] |= w.acked
            sent[w.region] |= w.sent
        server.start()
        for region in REGIONS:
            rows = contents(server, region)
            have = set(rows)
            lost, foreign = acked[region] - have, have - sent[region]
            if lost or foreign or len(rows) != len(have):
                print(f'{durability}, cycle {cycle} region {region}: {len(lost)} acknowledged rows lost, {len(foreign)} foreign rows, '
                      f'{len(rows) - len(have)} repeated; lost: {sorted(lost)[:3]}')
                sys.exit(1)
    print(f'{durability}: {cycles} kills, {total + sum(map(len, acked.values()))} acknowledged rows all there once')


def main():
    cycles = int(os.environ.get('CRASH_CYCLES', '40'))
    seed = int(os.environ.get('CRASH_SEED', str(int(time.time()))))
    print(f'{cycles} cycles, seed {seed}')
    rng = random.Random(seed)
    durability = os.environ.get('CRASH_DURABILITY')
    fsync = 0 if durability else cycles // 4
    crash(durability or 'interval', cycles - fsync, rng)
    if fsync:
        crash('fsync', fsync, rng)


def flush_quietly(server, region):
    try:
        server.channel().unary_unary(HANDLE)(flush_request(region), timeout=300)
    except grpc.RpcError:
        pass


if __name__ == '__main__':
    main()
