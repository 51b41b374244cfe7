#!/usr/bin/env python3
"""The whole server under ThreadSanitizer: writers, scans (some of them cancelled or out of time), flushes, compactions, truncates, HTTP
pages side by side, then a stop. A data race makes the server's exit code 66.

    THREADS_SECONDS=60 test_threads.py     default 20; needs build/tsan
"""
import os
import random
import sys
import threading
import time
import urllib.request

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
os.environ['REGIOND_BUILD'] = os.path.join(ROOT, 'build', 'tsan')
os.environ['TSAN_OPTIONS'] = f'suppressions={ROOT}/tests/tsan.supp exitcode=66'

import grpc

from harness import (FIELD, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, create_region, flush_request, insert, num, scan_all, truncate_request)

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
REGIONS = {3000 << 32: (), 3001 << 32: (('append_mode', 'true'),), 3002 << 32: (('merge_mode', 'last_non_null'),)}
RETRY = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE) # the last: a region that truncates
PAGES = ('/status', '/metrics', '/config', '/')


def main():
    seconds = float(os.environ.get('THREADS_SECONDS', '20'))
    server = Server('--memory-limit', '1GiB')
    setup = server.channel().unary_unary(HANDLE)
    for region, options in REGIONS.items():
        setup(create_region(region, COLUMNS, options), timeout=300)
    end = time.time() + seconds
    counts, failures = {}, []

    def write(rng, channel):
        n = rng.choice([1, 20, 500])
        values = [(rng.choice(['a', 'b', None, f'h{rng.randrange(300)}']), rng.randrange(5000), rng.choice([None, rng.randrange(9999)])) for _ in range(n)]
        channel.unary_unary(HANDLE)(insert(rng.choice(list(REGIONS)), COLUMNS, values), timeout=300)

    def scan(rng, channel):
        scan_all(channel, rng.choice(list(REGIONS)), COLUMNS, timeout=rng.choice([0.01, 300, 300]))

    def flush(rng, channel):
        channel.unary_unary(HANDLE)(flush_request(rng.choice(list(REGIONS))), timeout=300)
        time.sleep(rng.random())

    def compact(rng, channel):
        channel.unary_unary(HANDLE)(blob(1, b'') + blob(11, num(1, rng.choice(list(REGIONS)))), timeout=300)
        time.sleep(rng.random() * 2)

    def truncate(rng, channel):
        time.sleep(3 * rng.random())
        channel.unary_unary(HANDLE)(truncate_request(rng.choice(list(REGIONS))), timeout=300)

    def page(rng, channel):
        urllib.request.urlopen(f'http://{server.http}{rng.choice(PAGES)}', timeout=300).read()
        time.sleep(rng.random() * 0.2)

    def work(job, seed):
        rng, channel = random.Random(seed), server.channel()
        while time.time() < end:
            try:
                job(rng, channel)
                counts[job.__name__] = counts.get(job.__name__, 0) + 1
            except grpc.RpcError as e:
                if e.code() not in RETRY:
                    failures.append(f'{job.__name__}: {e.code()} {e.details()}')
                    return

    jobs = [write, write, write, scan, scan, flush, compact, truncate, page]
    threads = [threading.Thread(target=work, args=(job, i)) for i, job in enumerate(jobs)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    code = server.stop()
    print(f'{seconds:.0f} s: ' + ', '.join(f'{n} {name}s' for name, n in sorted(counts.items())))
    log = open(os.path.join(server.home, 'stdout.log'), errors='replace').read()
    if code or failures or 'WARNING: ThreadSanitizer' in log:
        print('\n'.join(failures[:10]))
        at = log.find('WARNING: ThreadSanitizer')
        print(log[at:at + 6000] if at >= 0 else log[-3000:])
        print(f'exit code {code}')
        sys.exit(1)


if __name__ == '__main__':
    main()
