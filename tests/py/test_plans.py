#!/usr/bin/env python3
"""Recorded plans against the decoder: test_plans.py TOOL CORPUS [SEEDS]

Decodes the plan of every recorded query with substrait_plan_tool; all but those of the listed kinds must decode. With SEEDS, a folder, also writes
small and varied plans there as a fuzzing corpus. Needs: pip install zstandard."""
import base64, collections, glob, json, os, subprocess, sys
import zstandard

from harness import lists


def plans(corpus):
    for path in sorted(glob.glob(corpus + '/**/*.jsonl.zst', recursive=True)):
        with open(path, 'rb') as f:
            lines = zstandard.ZstdDecompressor().stream_reader(f).read().splitlines()
        for line in lines[1:]:
            step = json.loads(line)
            if step.get('m') == 'DoGet':
                ticket = lists(base64.b64decode(step['req']))
                request = lists(ticket[1][0]) if 1 in ticket else ticket
                yield path[len(corpus):], (request.get(3) or [b''])[0], step


tool, corpus = sys.argv[1:3]
proc = subprocess.Popen([tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
total, failed, answers, seeds = 0, [], {}, {}
for path, plan, step in plans(corpus):
    total += 1
    if plan not in answers:
        proc.stdin.write(plan.hex() + '\n'); proc.stdin.flush()
        answers[plan] = proc.stdout.readline().rstrip('\n')
    if not answers[plan].startswith('ok'):
        if step['code'] == 0:
            failed.append((path, answers[plan], step.get('sql', '')))
    elif len(plan) < 1200:
        shape = ' '.join(sorted(set(answers[plan].split())))
        if shape not in seeds or len(seeds[shape]) > len(plan):
            seeds[shape] = plan
for f in failed[:20]:
    print('not decoded:', *f)
print(f'{total} plans, {len(answers)} different; {len(failed)} not decoded: {dict(collections.Counter(f[1] for f in failed))}')
if len(sys.argv) > 3:
    seen, n = set(), 0
    os.makedirs(sys.argv[3], exist_ok=True)
    for shape in sorted(seeds, key=lambda s: (-len(set(s.split()) & {'read:', 'filter:', 'aggregate:', 'project:', 'sort:', 'fetch:', 'extension:'}), len(seeds[s]))):
        if n < 40 and set(shape.split()) - seen:
            seen |= set(shape.split())
            with open(f'{sys.argv[3]}/p{n}', 'wb') as f:
                f.write(seeds[shape])
            n += 1
sys.exit(1 if failed or not total else 0)
