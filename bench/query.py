#!/usr/bin/env python3
"""Times the 15 TSBS cpu queries over 1,080,000 rows beside DuckDB and DataFusion on the same Parquet files. Prints Markdown; see README.md next to it.

    query.py [--build DIR] [--rounds 9] [--only NAME[,NAME]] [--keep DIR] [--no-others]

The recorded load (1,000 hosts, 50 minutes) is sent once for each 50 minutes of the three hours with its times moved. The recorded tickets go to regiond as
they are, their SQL to the other two engines, in one run: the ratios between the columns are what counts on a noisy machine. Each engine runs in a
process of its own with two threads; CPU is that process's. Every answer of regiond is compared with DuckDB's.
"""
import argparse
import base64
import glob
import json
import math
import os
import random
import re
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import run  # noqa: E402
from run import harness  # noqa: E402

STEPS, STEPS_RECORDED, STEP_NS = 1080, 300, 10_000_000_000
HOSTS = 1000
THREADS = 2
STAMP = re.compile(rb'\x0b\x98\x01([\x80-\xff]{8}[\x01-\x7f])')     # the cell of the time index, and those of the fields: integers of 0 to 100
FIELD = re.compile(rb'\n\x02 ([\x00-\x64])', re.DOTALL)


def recorded_load():
    """The recorded messages: the create request first."""
    import zstandard
    raw = zstandard.ZstdDecompressor().stream_reader(open(run.LOAD, 'rb')).read()
    messages, at = [], 0
    while at < len(raw):
        n = struct.unpack_from('<I', raw, at)[0]
        messages.append(raw[at + 4:at + 4 + n])
        at += 4 + n
    return messages


def copier(by_ns, number):
    """Makes a recorded insert into one with other times and values."""
    order = random.Random(number).sample(range(101), 101)     # keeps the entropy: the copies must not compress better than the original
    values, moved = [b'\n\x02 ' + bytes([v]) for v in order], {}

    def later(m):
        old = m[1]
        if old not in moved:
            moved[old] = b'\x0b\x98\x01' + harness.varint(sum((b & 0x7f) << 7 * i for i, b in enumerate(old)) + by_ns)
        return moved[old]

    return lambda m: FIELD.sub(lambda k: values[k[1][0]], STAMP.sub(later, m))


def widened_load():
    """The recorded messages, then copies with later times and other values: the create request first."""
    messages = recorded_load()
    yield messages[0]
    for copy in range(math.ceil(STEPS / STEPS_RECORDED)):
        inserts = messages[1:]
        take = min(STEPS - copy * STEPS_RECORDED, STEPS_RECORDED) * len(inserts) // STEPS_RECORDED
        copied = copier(copy * STEPS_RECORDED * STEP_NS, copy)
        for m in inserts[:take]:
            yield copied(m) if copy else m


def queries(only):
    sys.path.insert(0, run.TOOLS)
    import replay
    out = {}
    for path in sorted(glob.glob(os.path.join(run.QUERIES, '*.jsonl.zst'))):
        case, steps = replay.load(path)
        step = next(s for s in steps if s['m'] == 'DoGet')
        name = case.split('/')[-1]
        if not only or name in only:
            out[name] = (base64.b64decode(step['req']), step['sql'])
    return out


def rows_of(table):
    """Rows as plain values, sorted, for comparing the engines; times as nanoseconds."""
    import pyarrow as pa
    columns = []
    for c in table.columns:
        if pa.types.is_timestamp(c.type):
            c = c.cast(pa.timestamp('ns')).cast(pa.int64())
        columns.append([round(v, 9) if isinstance(v, float) else v for v in c.to_pylist()])
    return sorted(zip(*columns), key=repr) if columns else []


def regiond(s, asked, rounds):
    sys.path.insert(0, run.TOOLS)
    import replay
    call, out, answers = s.channel().unary_stream(harness.DO_GET), {}, {}
    for name, (ticket, _) in asked.items():
        answers[name] = rows_of(replay.table(list(call(ticket, timeout=120))))
        walls, cpus = [], []
        for _ in range(rounds):
            used, t = run.cpu(s), time.perf_counter()
            list(call(ticket, timeout=120))
            walls.append((time.perf_counter() - t) * 1e3)
            cpus.append((run.cpu(s) - used) * 1e3)
        out[name] = (statistics.median(walls), statistics.median(cpus))
    return out, answers, run.status(s, 'VmHWM')


def other(engine, folder, asked, rounds):
    """Runs in a process of its own: prints {name: [wall, cpu]} and the peak of the resident memory."""
    if engine == 'duckdb':
        import duckdb
        db = duckdb.connect(config={'threads': THREADS})
        db.execute("SET TimeZone = 'UTC'")
        db.execute(f"CREATE VIEW cpu AS SELECT * EXCLUDE (__primary_key, __sequence, __op_type) FROM read_parquet('{folder}/**/*.parquet')")
        ask = lambda sql: db.sql(re.sub(r'last_value\((\w+) ORDER BY (\w+)\)', r'arg_max(\1, \2)', sql)).to_arrow_table()
    else:
        import datafusion
        context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(THREADS))
        files = glob.glob(os.path.join(folder, '**', '*.parquet'), recursive=True)
        assert len(files) == 1, 'DataFusion is given one file'
        context.register_parquet('cpu', files[0])
        ask = lambda sql: context.sql(sql.replace('SELECT *', 'SELECT ' + COLUMNS)).to_arrow_table()
    base = status_self('VmRSS')
    out, answers = {}, {}
    for name, sql in asked.items():
        answers[name] = rows_of(ask(sql))
        walls, cpus = [], []
        for _ in range(rounds):
            used, t = time.process_time(), time.perf_counter()
            ask(sql)
            walls.append((time.perf_counter() - t) * 1e3)
            cpus.append((time.process_time() - used) * 1e3)
        out[name] = (statistics.median(walls), statistics.median(cpus))
    return {'times': out, 'answers': answers if engine == 'duckdb' else {}, 'base': base, 'peak': status_self('VmHWM')}


COLUMNS = ', '.join('hostname region datacenter rack os arch team service service_version service_environment usage_user usage_system usage_idle usage_nice '
                    'usage_iowait usage_irq usage_softirq usage_steal usage_guest usage_guest_nice greptime_timestamp'.split())


def status_self(key):
    with open('/proc/self/status') as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(key))


def run_other(engine, folder, asked, rounds):
    done = subprocess.run([sys.executable, __file__, '--engine', engine, '--folder', folder, '--rounds', str(rounds)],
                          input=json.dumps({name: sql for name, (_, sql) in asked.items()}), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{engine}: {done.stderr[-1500:]}')
    return json.loads(done.stdout)


def same(a, b):
    return len(a) == len(b) and all(len(x) == len(y) and all(v == w or (isinstance(v, float) and math.isclose(v, w, rel_tol=1e-9)) for v, w in zip(x, y))
                                    for x, y in zip(a, b))


def fill(s):
    call = s.channel().unary_unary(harness.HANDLE)
    for message in widened_load():
        call(message, timeout=60)


def report(asked, memory, disk, duck, fusion, peaks):
    lines, ratios, best = [], [], []
    for name in asked:
        m, d = memory[name], disk[name]
        k, f = duck['times'].get(name), fusion['times'].get(name)
        line = [name, f'{m[0]:.1f}', f'{m[1]:.1f}', f'{d[0]:.1f}', f'{d[1]:.1f}']
        if k:
            ratios.append((d[1] / k[1], m[1] / k[1]))
            best.append(d[1] / min(k[1], f[1]))
            line += [f'{k[0]:.1f}', f'{k[1]:.1f}', f'{f[0]:.1f}', f'{f[1]:.1f}', f'{ratios[-1][0]:.2f}', f'{best[-1]:.2f}', f'{m[1] / min(k[1], f[1]):.2f}']
        lines.append(line)
    heads = ['query', 'memtables, wall', 'CPU', 'SST, wall', 'CPU']
    if ratios:
        heads += ['DuckDB, wall', 'CPU', 'DataFusion, wall', 'CPU', 'SST / DuckDB', 'SST / better', 'memtables / better']
    run.table(f'{STEPS * HOSTS:,} rows, ms (medians)', heads, lines)
    mean = lambda v: math.exp(sum(map(math.log, v)) / len(v))
    if not ratios:
        print(f'\nPeak resident memory, MiB: {peaks[0]:.0f} (idle {peaks[1]:.0f}, {peaks[2]:.0f} soon afterwards).')
    if ratios:
        print(f'\nGeometric mean of CPU over DuckDB\'s: SSTs {mean([r[0] for r in ratios]):.2f}, memtables {mean([r[1] for r in ratios]):.2f}; over the better of the two: '
              f'SSTs {mean(best):.2f}.')
        print(f'Peak resident memory, MiB: regiond {peaks[0]:.0f} (idle {peaks[1]:.0f}, {peaks[2]:.0f} soon afterwards), DuckDB {duck["peak"]:.0f} (idle {duck["base"]:.0f}), '
              f'DataFusion {fusion["peak"]:.0f} (idle {fusion["base"]:.0f}).')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--build', default=harness.BUILD)
    p.add_argument('--rounds', type=int, default=9)
    p.add_argument('--only', default='')
    p.add_argument('--keep', help='a folder for the data: filled at first, used again later (then memtables are not measured)')
    p.add_argument('--no-others', action='store_true', help='only regiond')
    p.add_argument('--engine', help=argparse.SUPPRESS)
    p.add_argument('--folder', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.engine:
        print(json.dumps(other(a.engine, a.folder, json.load(sys.stdin), a.rounds)))
        return 0
    asked = queries(a.only.split(',') if a.only else None)
    filled = a.keep and os.path.exists(a.keep)
    if a.keep:
        os.makedirs(a.keep, exist_ok=True)
    s = harness.Server(home=a.keep, binary=os.path.join(a.build, 'regiond'))
    s.keep = True
    if not filled:
        fill(s)
    memory, answers, _ = regiond(s, asked, a.rounds) if not filled else (None, {}, 0)
    run.flush(s)
    s.stop()
    s.start()
    idle = run.status(s, 'VmRSS')
    disk, from_disk, peak = regiond(s, asked, a.rounds)
    time.sleep(4)   # the allocator gives back what has been free for two seconds
    after = run.status(s, 'VmRSS')
    nothing = {'times': {}, 'answers': {}}
    duck, fusion = (nothing, nothing) if a.no_others else (run_other(e, s.home, asked, a.rounds) for e in ('duckdb', 'datafusion'))
    report(asked, memory or disk, disk, duck, fusion, (peak, idle, after))
    wrong = [f'{name} from {where}' for where, got in (('memtables', answers), ('SSTs', from_disk)) for name, rows in got.items()
             if name in duck['answers'] and not same(rows, [tuple(r) for r in duck['answers'][name]])]
    print('\nAnswers that differ from DuckDB\'s: ' + (', '.join(wrong) or 'none' if duck['answers'] else 'not compared'))
    s.kill()
    s.keep = a.keep is not None
    s.remove()
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
