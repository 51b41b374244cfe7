#!/usr/bin/env python3
"""Times a compaction of four SSTs beside pyarrow doing the same to the same files. Prints Markdown; see README.md next to it.

    compaction.py [--build DIR] [--copies 3] [--cases apart,mixed,again] [--rounds 3]

Each file holds `copies` times the recorded load (300,000 TSBS rows) with its times moved. pyarrow reads the files, sorts by key and time, drops repeated rows
and writes one file with the same codec, in a process of its own with two threads; and once more without sorting, which makes no SST. All are measured in one
run: the ratios count on a noisy machine.
"""
import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import query  # noqa: E402
import run  # noqa: E402
from run import harness  # noqa: E402

FILES, LOAD_NS, STEP_NS = 4, query.STEPS_RECORDED * query.STEP_NS, query.STEP_NS
# where the rows of file f, copy c go: behind those of the file before; between its rows; to the same places
CASES = {'apart': lambda f, c, copies: (f * copies + c) * LOAD_NS, 'mixed': lambda f, c, copies: c * LOAD_NS + f * STEP_NS // FILES,
         'again': lambda f, c, copies: c * LOAD_NS}


def write_files(s, place, copies):
    call, messages = s.channel().unary_unary(harness.HANDLE), query.recorded_load()
    call(messages[0], timeout=60)
    for f in range(FILES):
        for c in range(copies):
            copy = query.copier(place(f, c, copies), f * copies + c)
            for m in messages[1:]:
                call(copy(m), timeout=120)
        run.flush(s)


def compact(s):
    """Seconds and CPU of a compaction on request, and the peak of the resident memory meanwhile."""
    with open(f'/proc/{s.process.pid}/clear_refs', 'w') as f:
        f.write('5')
    used, t = run.cpu(s), time.perf_counter()
    s.channel().unary_unary(harness.HANDLE)(harness.blob(1, b'') + harness.blob(11, harness.num(1, run.REGION) + harness.blob(2, b'')), timeout=600)
    return time.perf_counter() - t, run.cpu(s) - used, run.status(s, 'VmHWM')


def rewrite(folder, dedup, ours):
    """What pyarrow makes of it, compared with what regiond made; runs in a process of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    pa.set_cpu_count(query.THREADS)
    files = sorted(glob.glob(os.path.join(folder, '*.parquet')))
    used, t = time.process_time(), time.perf_counter()
    table = pa.concat_tables([pq.read_table(f) for f in files])
    pq.write_table(table, os.path.join(folder, 'out'), compression='zstd', row_group_size=102400)
    plain = time.perf_counter() - t, time.process_time() - used
    del table
    used, t = time.process_time(), time.perf_counter()
    table = pa.concat_tables([pq.read_table(f) for f in files])
    table = table.sort_by([('__primary_key', 'ascending'), ('greptime_timestamp', 'ascending'), ('__sequence', 'descending')])
    if dedup:      # the first of each (key, time)
        key, stamp = table['__primary_key'].combine_chunks(), table['greptime_timestamp'].combine_chunks()
        key = key.indices if pa.types.is_dictionary(key.type) else key
        import pyarrow.compute as pc
        new = pc.or_(pc.not_equal(key[1:], key[:-1]), pc.not_equal(stamp[1:], stamp[:-1]))
        table = table.filter(pa.concat_arrays([pa.array([True]), new]))
    out = os.path.join(folder, 'out')
    pq.write_table(table, out, compression='zstd', row_group_size=102400)
    wall, cpu, peak = time.perf_counter() - t, time.process_time() - used, query.status_self('VmHWM')
    if ours:
        internal = ['__primary_key', '__sequence', '__op_type']
        flat = lambda t: pa.table({n: t[n].cast(t[n].type.value_type) if pa.types.is_dictionary(t[n].type) else t[n] for n in t.column_names if n not in internal})
        assert flat(pq.read_table(ours)).equals(flat(table)), 'the files hold different rows'
    print(json.dumps({'rows': table.num_rows, 'plain': plain, 'wall': wall, 'cpu': cpu, 'peak': peak,
                      'bytes': os.path.getsize(out)}))


def measure(a, case):
    import pyarrow.parquet as pq
    best = None
    for _ in range(a.rounds):
        s = run.server(a, extra='[[region_engine]]\n[region_engine.mito]\nmin_compaction_interval = "1h"\n')
        write_files(s, CASES[case], a.copies)
        folder = tempfile.mkdtemp(prefix='regiond-compaction-')
        inputs = run.parquet_files(s)
        for f in inputs:
            shutil.copy(f, folder)
        size, rows = sum(map(os.path.getsize, inputs)), sum(pq.ParquetFile(f).metadata.num_rows for f in inputs)
        wall, cpu, peak = compact(s)
        time.sleep(0.5)        # until the old files are gone
        outputs = run.parquet_files(s)
        kept = sum(pq.ParquetFile(f).metadata.num_rows for f in outputs)
        done = subprocess.run([sys.executable, os.path.abspath(__file__), '--rewrite', folder, '--ours', outputs[0]] + ['--dedup'] * (case == 'again'), capture_output=True, text=True)
        shutil.rmtree(folder)
        if len(inputs) != FILES or len(outputs) != 1 or done.returncode:
            raise RuntimeError(f'{case}: {len(inputs)} files became {len(outputs)}; pyarrow: {done.stderr[-500:]}')
        other = json.loads(done.stdout)
        if other['rows'] != kept:
            raise RuntimeError(f'{case}: {kept} rows, pyarrow has {other["rows"]}')
        bytes_out, after = sum(map(os.path.getsize, outputs)), run.status(s, 'VmRSS')
        s.remove()
        if not best or cpu < best[1][1]:
            best = (rows, (wall, cpu, peak, bytes_out), (other['wall'], other['cpu'], other['peak'], other['bytes'], other['plain']), size, kept, after)
    rows, ours, others, size, kept, after = best
    line = lambda name, r: (case, name, f'{rows:,}', f'{size / 2**20:.1f}', f'{kept:,}', f'{r[3] / 2**20:.1f}', f'{r[0]:.2f}', f'{r[1]:.2f}', f'{size / 2**20 / r[0]:.1f}',
                            f'{rows / r[0]:,.0f}', f'{r[2]:,.0f}')
    return ([line('regiond', ours), line('pyarrow', others)],
            (case, *(f'{theirs / mine:.1f}' for theirs, mine in zip((*others[:2], *others[4]), ours[:2] * 2)), f'{after:.0f}'))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--build', default=harness.BUILD)
    p.add_argument('--copies', type=int, default=3)
    p.add_argument('--cases', default=','.join(CASES))
    p.add_argument('--rounds', type=int, default=1, help='runs of each case; the one with the least CPU counts')
    p.add_argument('--rewrite', help=argparse.SUPPRESS)
    p.add_argument('--ours', help=argparse.SUPPRESS)
    p.add_argument('--dedup', action='store_true', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.rewrite:
        return rewrite(a.rewrite, a.dedup, a.ours)
    print(f'# compaction, {time.strftime("%Y-%m-%d %H:%M")}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}')
    lines, ratios = [], []
    for case in a.cases.split(','):
        more, ratio = measure(a, case)
        lines += more
        ratios.append(ratio)
    run.table('Four SSTs into one', ('files are', 'by', 'rows in', 'MiB in', 'rows out', 'MiB out', 's', 'CPU s', 'input MiB/s', 'input rows/s', 'peak RSS, MiB'), lines)
    run.table('pyarrow over regiond', ('files are', 'time', 'CPU', 'time, not sorting', 'CPU, not sorting', 'regiond RSS afterwards, MiB'), ratios)


if __name__ == '__main__':
    main()
