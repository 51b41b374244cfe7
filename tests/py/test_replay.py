#!/usr/bin/env python3
"""Recorded traffic against a real server: from memtables, from SSTs (--flush), and with kill -9 every 7 steps (REPLAY_EVERY); then the TSBS queries,
from memtables and from SSTs."""
import os
import subprocess
import sys

from harness import HANDLE, SHARED, Server, flush_request, need_shared


def replay(server, *arguments):
    command = [sys.executable, os.path.join(SHARED, 'tools', 'replay.py'), server.addr, *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    print('\n'.join(result.stdout.splitlines()[-12:]), flush=True)
    return result.returncode == 0


def main():
    corpus = need_shared('corpus')
    first = ['--list', os.path.join(corpus, 'FIRST'), '-v']
    good = True
    for name, flags in (('memtables', []), ('SSTs', ['--flush'])):
        server = Server()
        print(f'-- from {name}')
        good &= replay(server, corpus, *first, *flags)
        server.remove()
    server = Server()
    print('-- with kill -9')
    script, pid = os.path.join(server.home, 'restart.sh'), os.path.join(server.home, 'pid')
    with open(script, 'w') as f: # returns when the new process listens, so that the client finds it at once
        f.write(f'p=$(cat {pid}); kill -9 $p; sleep 0.2\n'
                f'{" ".join(server.command())} >>{server.home}/stdout.log 2>&1 &\necho $! >{pid}\n'
                f'until (exec 3<>/dev/tcp/127.0.0.1/{server.grpc_port}) 2>/dev/null; do sleep 0.01; done\nsleep 0.05\n')
    with open(os.path.join(server.home, 'pid'), 'w') as f:
        f.write(str(server.process.pid))
    good &= replay(server, corpus, *first, '--restart', f'bash {script}', '--every', os.environ.get('REPLAY_EVERY', '7'))
    with open(os.path.join(server.home, 'pid')) as f:
        os.kill(int(f.read()), 9)
    server.process.wait()
    server.remove()

    load = need_shared('load')
    server = Server()
    print('-- TSBS')
    subprocess.run([sys.executable, os.path.join(SHARED, 'tools', 'load.py'), server.addr, os.path.join(load, 'tsbs_cpu_300k.bin.zst'), '--pid',
                    str(server.process.pid)], check=True)
    good &= replay(server, os.path.join(load, 'tsbs_queries'), '-v')
    server.channel().unary_unary(HANDLE)(flush_request(1024 << 32), timeout=60)
    good &= replay(server, os.path.join(load, 'tsbs_queries'), '-v')
    sys.exit(not good)


if __name__ == '__main__':
    main()
