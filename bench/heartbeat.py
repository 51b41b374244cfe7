#!/usr/bin/env python3
"""What heartbeats cost a node with many regions: CPU of the heartbeat thread for each one, sending and taking in the leases together, and its bytes on the wire; when
nothing has happened since the last one, when a tenth of the regions was written to, and when all were.

    bench/heartbeat.py [--regions 10000] [--beats 10] [--only all] [--home DIR]     --home: keeps the regions there for the next run (making them takes a while)
"""
import argparse
import json
import os
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'py'))
from harness import FIELD, HANDLE, INT64, TAG, TIME, TS_MS, Server, blob, create_region, fields, num, rows
from metasrv import Metasrv

COLUMNS = [('k', INT64, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]


def get(server, page):
    return urllib.request.urlopen(f'http://{server.http}/{page}').read().decode()


def cpu_us(server):
    return float([line for line in get(server, 'metrics').splitlines() if line.startswith('regiond_heartbeat_cpu_microseconds_total')][0].split()[-1])


def make_regions(call, ids):
    for i in range(0, len(ids), 200):
        creates = b''.join(blob(1, dict(fields(create_region(id, COLUMNS)))[5]) for id in ids[i:i + 200])
        call(blob(1, b'') + blob(13, creates), timeout=600)


def writes(ids, row):
    """Requests that write a row to each region."""
    table = blob(2, rows(COLUMNS, [row]))
    return [blob(1, b'') + blob(3, b''.join(blob(1, num(1, id) + table) for id in ids[i:i + 1000])) for i in range(0, len(ids), 1000)]


def measure(m, server, beats, before_each):
    """Medians over the beats: CPU of the thread a beat, of sending alone, bytes."""
    call, out = server.channel().unary_unary(HANDLE), []
    for _ in range(beats):
        for request in before_each:
            call(request, timeout=60)
        m.wait_beats(1, 1, timeout=60) # one that may have left in between
        for request in before_each:
            call(request, timeout=60)
        time.sleep(0.3)
        begin = cpu_us(server)
        m.wait_beats(1, 1, timeout=60)
        time.sleep(0.5)
        s = json.loads(get(server, 'status'))['metasrv']
        out.append((cpu_us(server) - begin, s['heartbeat_cpu_us'], s['heartbeat_bytes']))
    return [sorted(x)[len(out) // 2] for x in zip(*out)]


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--regions', type=int, default=10000)
    p.add_argument('--beats', type=int, default=10)
    p.add_argument('--home')
    p.add_argument('--only', help='idle, tenth or all')
    a = p.parse_args()
    ids = [(1024 + i) << 32 for i in range(a.regions)]
    made = a.home and os.path.isdir(os.path.join(a.home, 'data'))
    m = Metasrv(interval_ms=3000)
    m.route = {id: 1 for id in ids}
    if made:
        for id in ids:
            m.kv[f'__dn_table/1/{id >> 32}'.encode()] = json.dumps({'table_id': id >> 32, 'regions': [0], 'engine': 'mito', 'region_storage_path': 'greptime/public', 'version': 0}).encode()
    if a.home:
        os.makedirs(a.home, exist_ok=True)
    server = Server('--metasrv-addrs', m.addr, '--node-id', '1', home=a.home)
    if not made:
        make_regions(server.channel().unary_unary(HANDLE), ids)
    m.wait_beats(1, 5, timeout=120)
    print(f'| {a.regions} regions | CPU a heartbeat, ms | of it sending | bytes |\n|---|---|---|---|')
    row = [1, 1700000000000, 1]
    for name, what, some in (('idle', 'idle', []), ('tenth', 'a tenth written to', ids[::10]), ('all', 'all written to', ids)):
        if a.only and a.only != name:
            continue
        cpu, sending, size = measure(m, server, a.beats, writes(some, row))
        print(f'| {what} | {cpu / 1000:.1f} | {sending / 1000:.1f} | {size} |', flush=True)
    server.stop(), m.stop()


if __name__ == '__main__':
    main()
