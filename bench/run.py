#!/usr/bin/env python3
"""Measures a regiond: ingest, memory, size on disk, queries and recovery. Prints Markdown tables; see README.md next to it.

    run.py [--build DIR] [--repeat 1] [--rounds 5] [--only ingest,memory,...] [--columns]

Each figure comes from a server on a fresh temporary folder. CPU is the server process's own and is given as a ratio to what a C protobuf parser
needs for the same requests in the same run, so that it means something on a noisy machine.
"""
import argparse
import base64
import glob
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'py'))
import harness  # noqa: E402

TOOLS = os.path.join(harness.SHARED, 'tools')
LOAD = os.path.join(harness.SHARED, 'load', 'tsbs_cpu_300k.bin.zst')
QUERIES = os.path.join(harness.SHARED, 'load', 'tsbs_queries')
REGION = 4398046511104     # region 0 of table 1024, which the load creates
ROWS = 300_000


def table(title, heads, lines):
    print(f'\n### {title}\n')
    print('| ' + ' | '.join(heads) + ' |\n|' + '---|' * len(heads))
    for line in lines:
        print('| ' + ' | '.join(map(str, line)) + ' |')
    sys.stdout.flush()


def tool(name, *args):
    run = subprocess.run([sys.executable, os.path.join(TOOLS, name), *map(str, args)], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f'{name}: {run.stdout[-500:]}{run.stderr[-1500:]}')
    return run.stdout


def server(a, durability='os', extra='', flags=()):
    config = os.path.join(tempfile.mkdtemp(prefix='regiond-bench-'), 'node.toml')
    with open(config, 'w') as f:
        f.write(f'[wal]\nprovider = "raft_engine"\ndurability = "{durability}"\n{extra}')
    return harness.Server('-c', config, *flags, binary=os.path.join(a.build, 'regiond'))


def status(s, key):
    with open(f'/proc/{s.process.pid}/status') as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(key))


def cpu(s):
    """Seconds of CPU of all of the server's threads, those that ended included: the process's CPU clock, as clock_getcpuclockid(3) makes its number."""
    return time.clock_gettime(~s.process.pid << 3 | 2)


def ingest(s, repeat=1):
    """Loads and returns what load.py printed, as numbers, with the CPU from the finer clock."""
    used = cpu(s)
    out = tool('load.py', s.addr, LOAD, '--pid', s.process.pid, '--repeat', repeat)
    m = re.search(r'(\d+) rows in ([\d.]+) s.*= ([\d.]+) s a million rows; p50 ([\d.]+) ms p99 ([\d.]+) ms; RSS (\d+) MiB, peak (\d+) MiB; (\d+) failed', out)
    if not m or int(m[8]) or int(m[1]) != ROWS * repeat:
        raise RuntimeError(out[-1500:])
    return dict(rows=int(m[1]), wall=float(m[2]), cpu=(cpu(s) - used) / int(m[1]) * 1e6, p50=float(m[4]), p99=float(m[5]), rss=int(m[6]), peak=int(m[7]))


def flush(s):
    t = time.perf_counter()
    s.channel().unary_unary(harness.HANDLE)(harness.flush_request(REGION), timeout=120)
    return time.perf_counter() - t


def parquet_files(s):
    return sorted(glob.glob(os.path.join(s.home, '**', '*.parquet'), recursive=True))


def wal_bytes(s):
    return sum(os.path.getsize(f) for f in glob.glob(os.path.join(s.home, 'wal', '**'), recursive=True) if os.path.isfile(f))


def measure_ingest(a):
    lines = []
    for repeat in sorted({1, a.repeat}):
        for durability in ('fsync', 'interval', 'os'):
            unit = float(re.search(r'([\d.]+) s of CPU', tool('parse_reference.py', LOAD))[1])
            s = server(a, durability)
            r = ingest(s, repeat)
            s.remove()
            lines.append((durability, f'{r["rows"]:,}', f'{r["rows"] / r["wall"]:,.0f}', f'{r["cpu"]:.2f}', f'{unit:.2f}', f'{r["cpu"] / unit:.2f}', r['p50'], r['p99'],
                          r['rss'], r['peak']))
    table('Ingest (bar: ratio <= 4)', ('durability', 'rows', 'rows/s', 'CPU s/M rows', 'parse only', 'ratio', 'p50 ms', 'p99 ms', 'RSS MiB', 'peak'), lines)


def measure_memory(a):
    s = server(a)
    time.sleep(0.5)
    lines = [('RSS, empty node (bar: < 30 MiB)', f'{status(s, "VmRSS"):.1f} MiB')]
    ingest(s)
    lines += [('RSS after 300,000 rows (bar: < 100 MiB)', f'{status(s, "VmRSS"):.1f} MiB'), ('peak so far', f'{status(s, "VmHWM"):.1f} MiB')]
    wal = wal_bytes(s)
    took = flush(s)
    lines += [('RSS after a flush', f'{status(s, "VmRSS"):.1f} MiB'), ('peak so far', f'{status(s, "VmHWM"):.1f} MiB')]
    binary = os.path.join(a.build, 'regiond')
    small = os.path.join(s.home, 'stripped')
    subprocess.run(['strip', '-o', small, binary], check=True)
    lines += [('binary (bar: < 20 MiB)', f'{os.path.getsize(binary) / 2**20:.1f} MiB, stripped {os.path.getsize(small) / 2**20:.1f} MiB'), ('flush', f'{took:.2f} s')]
    table('Memory', ('what', 'figure'), lines)
    sizes = [os.path.getsize(f) for f in parquet_files(s)]
    table('Size', ('what', 'figure'), [('SST files', len(sizes)), ('SST bytes a row (bar: <= 9.9)', f'{sum(sizes) / ROWS:.2f}'),
                                       ('WAL bytes a row, before the flush', f'{wal / ROWS:.1f}'), ('WAL folder after the flush', f'{wal_bytes(s):,} bytes')])
    columns(parquet_files(s))
    s.remove()


def columns(files):
    import pyarrow.parquet as pq
    total, lines = {}, []
    for f in files:
        m = pq.ParquetFile(f).metadata
        for g in range(m.num_row_groups):
            for c in range(m.num_columns):
                k = m.row_group(g).column(c)
                t = total.setdefault(k.path_in_schema, [0, 0, set()])
                t[0] += k.total_compressed_size
                t[1] += k.total_uncompressed_size
                t[2] |= set(k.encodings)
    for name, (packed, plain, encodings) in total.items():
        lines.append((name, f'{packed:,}', f'{plain:,}', f'{packed / ROWS:.3f}', ', '.join(sorted(encodings))))
    rest = sum(map(os.path.getsize, files)) - sum(t[0] for t in total.values())
    table('Size of each column', ('column', 'bytes', 'before compression', 'bytes a row', 'encodings'), lines + [('footer and indexes', f'{rest:,}', '', f'{rest / ROWS:.3f}', '')])


def time_queries(s, rounds):
    sys.path.insert(0, TOOLS)
    import replay
    out, wrong = {}, []
    call = s.channel().unary_stream(harness.DO_GET)
    for path in sorted(glob.glob(os.path.join(QUERIES, '*.jsonl.zst'))):
        case, steps = replay.load(path)
        gets = [p for p in steps if p['m'] == 'DoGet']
        target, times, used = replay.Target(s.addr), [], cpu(s)
        wrong += [f'{case}: {d[:200]}' for d in (replay.check(p, target, 120) for p in gets[:1]) if d]
        for _ in range(rounds):
            for p in gets[:1]:
                request, t = base64.b64decode(p['req']), time.perf_counter()
                try:
                    list(call(request, timeout=120))
                except Exception as e:
                    wrong.append(f'{case}: {str(e)[:200]}')
                    break
                times.append((time.perf_counter() - t) * 1e3)
        out[case.split('/')[-1]] = (statistics.median(times) if times else None, min(times, default=None), (cpu(s) - used) / (rounds + 1) * 1e3)
    return out, wrong


def measure_queries(a):
    s = server(a)
    ingest(s)
    memory, wrong = time_queries(s, a.rounds)
    flush(s)
    disk, more = time_queries(s, a.rounds)
    peak = status(s, 'VmHWM')
    s.remove()
    show = lambda v: '-' if v is None else f'{v:.1f}'
    table(f'Queries over 300,000 rows, ms (median and best of {a.rounds}; CPU includes the first, checked run)', ('query', 'memtables', 'best', 'CPU', 'SST', 'best', 'CPU'),
          [(k, *map(show, memory[k]), *map(show, disk[k])) for k in memory])
    print(f'\nPeak RSS with all queries: {peak:.0f} MiB. Answers that differ from the recording: {len(wrong) + len(more)}')
    for w in wrong + more:
        print('- ' + w)


def metric(s, name):
    """A sample of /metrics without labels."""
    text = urllib.request.urlopen(f'http://{s.http}/metrics', timeout=60).read().decode()
    return float(re.search(rf'^{name} (\S+)$', text, re.M)[1])


def until_open(s, regions):
    """Starts the server; the seconds until so many regions are open, and its CPU until then."""
    t = time.perf_counter()
    s.process = subprocess.Popen(s.command(), stdout=s.log, stderr=s.log)
    while time.perf_counter() - t < 300:
        try:
            states = [r['state'] for r in json.loads(urllib.request.urlopen(f'http://{s.http}/status', timeout=60).read())['regions']]
        except OSError:
            states = []
        if states.count('ready') == regions:
            return time.perf_counter() - t, cpu(s)
        time.sleep(0.01 if regions == 1 else 0.02)
    raise RuntimeError('the regions are not open within five minutes')


def measure_recovery(a):
    sys.path.insert(0, TOOLS)
    import replay
    request = base64.b64decode(replay.load(os.path.join(QUERIES, 'count-star.jsonl.zst'))[1][-1]['req'])
    lines = []
    for repeat in sorted({1, a.repeat, 10 * a.repeat}):
        s = server(a)
        live = ingest(s, repeat)
        s.kill()
        wal = wal_bytes(s)
        opened, used = until_open(s, 1)
        rows, seconds = metric(s, 'regiond_mito_replayed_rows_total'), metric(s, 'regiond_mito_replay_elapsed_sum')
        peak, t = status(s, 'VmHWM'), time.perf_counter()
        count = replay.table(list(s.channel().unary_stream(harness.DO_GET)(request, timeout=120))).column(0)[0].as_py()
        first = time.perf_counter() - t
        if count != ROWS:
            raise RuntimeError(f'count(*) after the crash: {count}, not {ROWS}')
        rate, live_rate, used = rows / seconds, live['rows'] / live['wall'], used / rows * 1e6
        lines.append((f'{live["rows"]:,}', f'{wal / 2**20:,.0f}', f'{rows:,.0f}', f'{rate:,.0f}', f'{live_rate:,.0f}', f'{rate / live_rate:.1f}', f'{used:.2f}', f'{live["cpu"]:.2f}',
                      f'{live["cpu"] / used:.1f}', f'{opened * 1e3:,.0f}', f'{first * 1e3:,.0f}', f'{peak:,.0f}'))
        s.remove()
    table('Recovery after kill -9 (bar: twice the live rate)',
          ('rows sent', 'log, MiB', 'rows replayed', 'rows/s', 'live ingest, rows/s', 'ratio', 'CPU s/M rows, start included', 'live', 'ratio', 'open after, ms', 'first count(*), ms',
           'peak RSS MiB'), lines)


def measure_limit(a, limit_mb=512):
    """Ten times the load that `--repeat` says, under a limit that holds a part of it."""
    s = server(a, flags=('--memory-limit', f'{limit_mb}MB'))
    r = ingest(s, 10 * a.repeat)
    s.remove()
    table(f'Ingest under memory_limit = {limit_mb}MB (bar: {limit_mb + 64} MiB resident, no failures)', ('rows', 'rows/s', 'CPU s/M rows', 'p50 ms', 'p99 ms', 'peak RSS MiB', 'failed'),
          [(f'{r["rows"]:,}', f'{r["rows"] / r["wall"]:,.0f}', f'{r["cpu"]:.2f}', r['p50'], r['p99'], r['peak'], 0)])


def measure_regions(a, n=10000):
    """Empty regions of a TSBS-like table: what one costs, and how long a start takes."""
    columns = [('host', harness.STRING, harness.TAG)] + [(f't{i}', harness.STRING, harness.TAG) for i in range(9)]
    columns += [('ts', harness.TS_MS, harness.TIME)] + [(f'f{i}', harness.INT64, harness.FIELD) for i in range(10)]
    s = server(a)
    call, empty = s.channel().unary_unary(harness.HANDLE), status(s, 'VmRSS')
    for base in range(0, n, 500):
        # the body of each create request, without its header and member number, as a member of `creates`
        bodies = [harness.create_region(5000 + i << 32, columns)[len(harness.blob(1, b'')) + 1:] for i in range(base, min(n, base + 500))]
        call(harness.blob(1, b'') + harness.blob(13, b''.join(harness.varint(1 << 3 | 2) + b for b in bodies)), timeout=600)
    made = status(s, 'VmRSS')
    s.stop()
    seconds, used = until_open(s, n)
    table('Empty regions', ('regions', 'open after, s', 'CPU, s', 'KiB of RSS each after the start', 'after their creation'),
          [(f'{n:,}', f'{seconds:.2f}', f'{used:.2f}', f'{(status(s, "VmRSS") - empty) * 1024 / n:.1f}', f'{(made - empty) * 1024 / n:.1f}')])
    s.remove()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--build', default=harness.BUILD, help='the folder that holds the binary')
    p.add_argument('--repeat', type=int, default=1, help='send the load this many times over')
    p.add_argument('--rounds', type=int, default=5, help='runs of each query')
    p.add_argument('--only', default='ingest,memory,queries,recovery')
    a = p.parse_args()
    if not os.path.exists(LOAD):
        sys.exit(f'{LOAD} is not here: set REGIOND_SHARED')
    print(f'# regiond, {time.strftime("%Y-%m-%d %H:%M")}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}')
    failed = 0
    for part in a.only.split(','):
        try:
            globals()['measure_' + part](a)
        except Exception as e:
            failed = 1
            print(f'\n{part} failed: {type(e).__name__}: {e}')
    sys.exit(failed)


if __name__ == '__main__':
    main()
