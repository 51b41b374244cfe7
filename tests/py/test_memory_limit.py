#!/usr/bin/env python3
"""Ingest of more than the node may keep in memory: under `memory_limit` writers wait for flushes, no write is lost or refused for good, and resident memory stays
within the limit and a margin. The same for the replay of a log that is larger than the limit, after kill -9."""
import glob
import os
import queue
import threading
import time

import grpc
import pyarrow as pa

from harness import FIELD, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, bulk_insert, count_rel, create_region, query, read_rel, ticket

LIMIT_MIB, MARGIN_MIB = 128, 64
LIMIT = ['--memory-limit', f'{LIMIT_MIB}MB']
HOSTS, ROWS, ROWS_A_REQUEST, CLIENTS = 1000, 1_200_000, 20_000, 4
REGION = 3100 << 32
COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME)] + [(f'v{i}', INT64, FIELD) for i in range(10)]


def status_mib(s, key):
    with open(f'/proc/{s.process.pid}/status') as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(key))


def batches():
    """Every row once; each host's times ascend from request to request."""
    hosts = pa.array([f'host_{i}' for i in range(HOSTS)] * (ROWS_A_REQUEST // HOSTS))
    for at in range(0, ROWS, ROWS_A_REQUEST):
        times = pa.array([at // HOSTS + i // HOSTS for i in range(ROWS_A_REQUEST)], pa.timestamp('ms'))
        values = pa.array(range(at, at + ROWS_A_REQUEST), pa.int64())
        yield pa.record_batch([hosts, times] + [values] * 10, names=[n for n, _, _ in COLUMNS])


def ingest(s):
    """Sends everything over several connections; a refused request is sent again. Returns how often that happened."""
    todo, again, wrong = queue.SimpleQueue(), [], []
    for b in batches():
        todo.put(bulk_insert(REGION, b))

    def work():
        call = s.channel().unary_unary(HANDLE)
        while not wrong:
            try:
                request = todo.get_nowait()
            except queue.Empty:
                return
            for _ in range(200):
                try:
                    call(request, timeout=300)
                    break
                except grpc.RpcError as e:
                    again.append(e.details())
                    time.sleep(0.05)
            else:
                wrong.append(again[-1])

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, f'a write was refused for good: {wrong[0]}'
    return again


def check_rows(s):
    answer = query(s.channel(), ticket(REGION, count_rel(read_rel(COLUMNS)), ['n'], ['count']), 120)
    assert answer.column(0)[0].as_py() == ROWS, f'{answer.column(0)[0].as_py()} rows of {ROWS}'


def check_peak(s, what):
    peak = status_mib(s, 'VmHWM')
    assert peak <= LIMIT_MIB + MARGIN_MIB, f'{what}: {peak:.0f} MiB were resident under a limit of {LIMIT_MIB}'
    print(f'{what}: {peak:.0f} MiB resident at most')


def test_ingest():
    s = Server(*LIMIT)
    s.channel().unary_unary(HANDLE)(create_region(REGION, COLUMNS), timeout=300)
    again = ingest(s)
    check_peak(s, f'{ROWS:,} rows, {len(again)} requests sent again')
    check_rows(s)
    check_peak(s, 'with count(*)')
    s.remove()


def test_replay():
    s = Server()
    s.channel().unary_unary(HANDLE)(create_region(REGION, COLUMNS), timeout=300)
    ingest(s)
    assert not glob.glob(os.path.join(s.home, 'data', '**', '*.parquet'), recursive=True), 'the log was to hold everything'
    s.kill()
    s.flags += LIMIT
    s.start()
    check_rows(s)
    check_peak(s, 'replay of as many')
    s.remove()


def main():
    test_ingest()
    test_replay()


if __name__ == '__main__':
    main()
