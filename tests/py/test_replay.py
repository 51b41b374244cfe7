#!/usr/bin/env python3
"""Recorded traffic against a real server: from memtables, from SSTs (--flush), and with kill -9 every 7 steps; then the TSBS queries."""
import os
import subprocess
import sys

from harness import SHARED, Server, need_shared, ROOT


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
    # The restart command asks this very process's server object through a signal file: the simplest is to kill and start from the shell.
    script = os.path.join(server.home, 'restart.sh')
    with open(script, 'w') as f:
        command = ' '.join(server.command())
        f.write(f'kill -9 $(cat {server.home}/pid)\n{command} >>{server.home}/stdout.log 2>&1 &\necho $! >{server.home}/pid\n')
    with open(os.path.join(server.home, 'pid'), 'w') as f:
        f.write(str(server.process.pid))
    good &= replay(server, corpus, *first, '--restart', f'sh {script}', '--every', '7')
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
    sys.exit(not good)


if __name__ == '__main__':
    main()
