"""regionctl against a running regiond: create, load, list, describe, scan, flush, compact, inspect, drop, and its exit codes."""
import glob
import json
import os
import subprocess
import tempfile

import harness

CTL = os.path.join(harness.BUILD, 'regionctl')
server = harness.Server()
folder = tempfile.mkdtemp(prefix='regionctl-test-')


def ctl(*args, code=0):
    run = subprocess.run([CTL, '--addr', server.addr, '--http', server.http, *args], capture_output=True, text=True, timeout=300)
    assert run.returncode == code, f'{args}: exit {run.returncode}, wanted {code}\n{run.stdout}\n{run.stderr}'
    if code:
        assert run.stderr.startswith('regionctl: ') and run.stderr.count('\n') == 1, run.stderr
    return run.stdout


def file(name, text):
    path = os.path.join(folder, name)
    open(path, 'w', encoding='utf-8').write(text)
    return path


def rows(*args):
    return [json.loads(line) for line in ctl('scan', *args, '--format', 'json').splitlines()]


assert 'is serving' in ctl('health')
assert ctl('--version').startswith('regionctl ')
for command in ('health', 'list', 'describe', 'create', 'load', 'scan', 'flush', 'compact', 'drop', 'inspect'):
    assert ctl(command, '--help').startswith('usage: regionctl ' + command)
ctl('nonsense', code=2)
ctl('scan', code=2)
ctl('scan', 'nowhere', code=1)
ctl('load', file('missing.lp', 'm f=1 1700000000000\n'), code=1)

# the example that scripts/run shows
ctl('load', '--create', os.path.join(harness.ROOT, 'examples', 'weather.lp'))
text = ctl('scan', 'weather', '--columns', 'city,time,temperature', '--filter', 'temperature > 20', '--limit', '3')
assert text.splitlines()[0].split() == ['city', 'time', 'temperature'], text
assert 'Oslo' not in text and 'Z' in text, text
got = rows('weather', '--filter', "temperature > 20 AND city = 'Paris' and time >= '2023-11-14T22:13:20Z'", '--limit', '1')
assert got[0]['city'] == 'Paris' and got[0]['temperature'] == 21.4 and got[0]['humidity'] == 41, got
assert rows('weather', '--filter', 'city is null') == []
ctl('scan', 'weather', '--filter', 'nonsense > 1', code=2)
ctl('scan', 'weather', '--columns', 'nonsense', code=2)
print('line protocol: ok')

# all shapes of line protocol
odd = file('odd.lp', '# a comment\n'
                     'o\\ dd,host=a\\,b,dc=x s="say \\"hi\\", ok",b=true,i=-5i,u=7u,f=1e3 1700000000000000000\n'
                     'o\\ dd,host=c f=2 1700000001000\n\n'
                     'o\\ dd,host=d s="two\nlines" 1700000002\n')
ctl('load', odd, '--create', '--region', 'odd')
got = sorted(rows('odd'), key=lambda r: r['time'])
assert [r['time'] for r in got] == [1700000000000, 1700000001000, 1700000002000], got
assert got[0] == {'host': 'a,b', 'dc': 'x', 's': 'say "hi", ok', 'b': True, 'i': -5, 'u': 7, 'f': 1000.0, 'time': 1700000000000}, got[0]
assert got[1]['s'] is None and got[2]['s'] == 'two\nlines', got
print('odd line protocol: ok')

# CSV, more than one batch
lines = ['ts,host,cpu,n,up,note']
for i in range(7001):
    lines.append(f'{1700000000000 + i * 1000},h{i % 7},{i / 2},{i},{"true" if i % 2 else "false"},' + ('"a ""b"", c"' if i % 3 else ''))
ctl('load', file('cpu.csv', '\n'.join(lines) + '\n'), '--create', '--tags', 'host')
assert len(rows('cpu')) == 7001
got = rows('cpu', '--filter', 'n = 6')
assert got == [{'ts': 1700000006000, 'host': 'h6', 'cpu': 3.0, 'n': 6, 'up': False, 'note': None}], got
text = ctl('scan', 'cpu', '--columns', 'ts,note', '--filter', 'n = 7', '--format', 'csv')
assert text.splitlines() == ['ts,note', '2023-11-14T22:13:27Z,"a ""b"", c"']
before = len(rows('cpu', '--limit', '10'))
assert before == 10, before
print('csv: ok')

import pyarrow as pa
out = os.path.join(folder, 'cpu.arrows')
ctl('scan', 'cpu', '--format', 'arrow', '-o', out)
assert pa.ipc.open_stream(out).read_all().num_rows == 7001
print('arrow: ok')

# create by hand, by id
ctl('create', '1024:3', '--column', 'k:string:tag', '--column', 'ts:timestamp_ms:time', '--column', 'v:int32:notnull', '--option', 'append_mode=true')
assert 'Int32' in ctl('describe', '1024:3') and 'k' in ctl('describe', str((1024 << 32) + 3))
ctl('create', '1025:0', '--column', 'k:nosuchtype', code=2)
ctl('create', '1025:0', '--column', 'k:string:tag', code=1)
ctl('load', file('t.csv', 'k,ts,v\na,1700000000,99999999999\n'), '--region', '1024:3', code=1)
ctl('load', file('t.csv', 'k,ts,v\na,1700000000,5\n'), '--region', '1024:3')
assert rows('1024:3') == [{'k': 'a', 'ts': 1700000000000, 'v': 5}]
listed = ctl('list')
assert '1024:3' in listed and 'regionctl/cpu' in listed, listed
print('create, list, describe: ok')

ctl('flush', 'cpu')
assert len(rows('cpu')) == 7001
sst = [p for p in glob.glob(os.path.join(server.home, '**', '*.parquet'), recursive=True) if 'regionctl/cpu' in p]
assert sst, 'no file after the flush'
total = 0
for path in sst:
    text = ctl('inspect', 'sst', path)
    assert 'greptime:metadata' in text and 'cpu' in text and 'Timestamp(Millisecond, None)' in text, text
    total += int(next(line for line in text.splitlines() if line.startswith('rows ')).split()[1])
assert total == 7001, (total, sst)
text = ctl('inspect', 'manifest', os.path.dirname(sst[0]))
assert f'Edit +{len(sst)} -0 files' in text and all(os.path.basename(p)[:36] in text for p in sst), text
ctl('inspect', 'sst', odd, code=1)
data = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'data', 'puffin')
text = ctl('inspect', 'puffin', os.path.join(data, 'g_index.puffin'))
assert 'greptime-bloom-filter-v1-3' in text and '3000 rows in 1 segments of 10240' in text and '"analyzer":"English"' in text, text
ctl('inspect', 'puffin', odd, code=1)
wal = [p for p in glob.glob(os.path.join(server.home, 'wal', '**', '*'), recursive=True) if os.path.isfile(p) and os.path.getsize(p) > 4096]
if wal:
    text = ctl('inspect', 'wal', wal[0])
    assert '0 damaged' in text, text
ctl('compact', 'cpu')
assert len(rows('cpu')) == 7001
print('flush, compact, inspect: ok')

ctl('drop', 'cpu')
ctl('scan', 'cpu', code=1)
ctl('drop', 'cpu', code=1)
server.stop()
ctl('health', code=1)
print('all ok')
