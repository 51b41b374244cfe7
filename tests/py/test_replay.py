#!/usr/bin/env python3
"""Recorded traffic against a real server, all of it: from memtables, from SSTs, and with kill -9 every 7 steps (REPLAY_EVERY); then the TSBS queries, from
memtables and from SSTs. Steps that differ must be on the list of known differences (replay_differences.txt).

    test_replay.py [--only CASE] [MODE...]     # memtables ssts metric-ssts kill tsbs; all without any"""
import argparse
import base64
import fnmatch
import json
import os
import re
import subprocess
import sys

import zstandard

from harness import HANDLE, SHARED, Server, flush_request, need_shared

MODES = ('memtables', 'ssts', 'metric-ssts', 'kill', 'tsbs')
HERE = os.path.dirname(os.path.abspath(__file__))


def only_order(difference):
    """Whether the extensions or rows wanted and got have the same parts in another order."""
    m = re.match(r'(?:extensions|row \d+): want (.*), got (.*)$', difference, re.DOTALL)
    return m is not None and sorted(re.findall(r'[-+.\w]+', m[1])) == sorted(re.findall(r'[-+.\w]+', m[2]))


class Known:
    """Lines `modes | case | difference (a regular expression, or ORDER) | why`; modes and case are shell patterns."""

    def __init__(self):
        self.lines = []
        for line in open(os.path.join(HERE, 'replay_differences.txt')):
            if line.strip() and not line.startswith('#'):
                mode, case, text, why = (part.strip() for part in line.split(' | '))
                self.lines.append([mode, case, only_order if text == 'ORDER' else re.compile(text).search, why, 0, line.strip()])

    def explains(self, mode, step):
        for line in self.lines:
            if fnmatch.fnmatch(mode, line[0]) and fnmatch.fnmatch(step['case'], line[1]) and line[2](step['diff']):
                line[4] += 1
                return True
        return False


def replay(server, known, mode, *arguments):
    result = os.path.join(server.home, 'replay.json')
    run = subprocess.run([sys.executable, os.path.join(SHARED, 'tools', 'replay.py'), server.addr, *arguments, '--json', result], capture_output=True, text=True)
    if not os.path.exists(result):
        print(run.stdout[-2000:], run.stderr[-2000:])
        return False
    steps = json.load(open(result))
    bad = [s for s in steps if s['diff'] and not known.explains(mode, s)]
    for s in bad[:20]:
        print(f'  {s["case"]} step {s["step"]} {s["m"]}: {s["diff"][:300]}\n    {s["sql"][:200]}')
    print(f'-- {mode}: {len(steps)} steps, {sum(not s["diff"] for s in steps)} equal, {len(bad)} differ without a reason', flush=True)
    return not bad and bool(steps)


def restart_script(server):
    """A command that kills the server and returns when the new one listens, so that the client finds it at once."""
    script, pid = os.path.join(server.home, 'restart.sh'), os.path.join(server.home, 'pid')
    with open(script, 'w') as f:
        # Gone is a process, of which its parent may keep the number for long, once it has no threads but the first, and that is none any more.
        f.write(f'p=$(cat {pid}); kill -9 $p\n'
                'while [ $(ls /proc/$p/task 2>/dev/null | wc -l) -gt 1 ] || grep -q "^State:.[^ZX]" /proc/$p/status 2>/dev/null; do sleep 0.02; done\n'
                f'{" ".join(server.command())} >>{server.home}/stdout.log 2>&1 &\necho $! >{pid}\n'
                f'until (exec 3<>/dev/tcp/127.0.0.1/{server.grpc_port}) 2>/dev/null; do\n'
                f'    kill -0 $! || {{ tail -n 5 {server.home}/stdout.log >&2; exit 1; }}; sleep 0.01\ndone\nsleep 0.05\n')
    with open(pid, 'w') as f:
        f.write(str(server.process.pid))
    return f'bash {script}', pid


def metric_cases(corpus):
    """Cases that create regions of the metric engine."""
    cases = []
    for root, _, names in os.walk(corpus):
        for name in sorted(n for n in names if n.endswith('.jsonl.zst')):
            head, *steps = zstandard.ZstdDecompressor().stream_reader(open(os.path.join(root, name), 'rb')).read().splitlines()
            if any(b'\x12\x06metric' in base64.b64decode(json.loads(s)['req']) for s in steps):
                cases.append(json.loads(head)['case'])
    return cases


def run_mode(mode, known, corpus):
    server = Server()
    if mode == 'memtables':
        good = replay(server, known, mode, *corpus)
    elif mode == 'ssts':
        good = replay(server, known, mode, *corpus, '--flush')
    elif mode == 'metric-ssts': # a write to a logical region cannot be flushed by its id: everything is, every 3 steps
        cases = os.path.join(server.home, 'cases')
        with open(cases, 'w') as f:
            f.write('\n'.join(metric_cases(corpus[0])))
        flush = f'{sys.executable} {os.path.join(HERE, "flush_regions.py")} {server.addr} {server.http}'
        good = replay(server, known, mode, *corpus, '--list', cases, '--restart', flush, '--every', '3')
    else:
        command, pid = restart_script(server)
        good = replay(server, known, mode, *corpus, '--restart', command, '--every', os.environ.get('REPLAY_EVERY', '7'))
        with open(pid) as f:
            os.kill(int(f.read()), 9)
        server.process.wait()
    server.remove()
    return good


def run_tsbs(known):
    load = need_shared('load')
    server = Server()
    subprocess.run([sys.executable, os.path.join(SHARED, 'tools', 'load.py'), server.addr, os.path.join(load, 'tsbs_cpu_300k.bin.zst'), '--pid',
                    str(server.process.pid)], check=True)
    good = replay(server, known, 'tsbs', os.path.join(load, 'tsbs_queries'))
    server.channel().unary_unary(HANDLE)(flush_request(1024 << 32), timeout=60)
    good &= replay(server, known, 'tsbs', os.path.join(load, 'tsbs_queries'))
    server.remove()
    return good


def main():
    p = argparse.ArgumentParser()
    p.add_argument('modes', nargs='*', default=list(MODES))
    p.add_argument('--only')
    a = p.parse_args()
    known = Known()
    corpus = [need_shared('corpus')] + (['--only', a.only] if a.only else [])
    good = True
    for mode in a.modes:
        good &= run_tsbs(known) if mode == 'tsbs' else run_mode(mode, known, corpus)
    for *_, used, line in known.lines:
        if not used and not a.only and len(a.modes) == len(MODES):
            print(f'not met any more, delete it from replay_differences.txt: {line}')
    sys.exit(not good)


if __name__ == '__main__':
    main()
