#!/usr/bin/env python3
"""Region metadata against recordings: test_metadata.py TOOL CORPUS GOLDEN

Recomputes TABLE_COLUMN_METADATA of every recorded create and alter of a mito region from the request, and round-trips the metadata of every golden manifest
byte for byte. Needs: pip install zstandard."""
import base64, glob, json, subprocess, sys
import zstandard

from harness import lists


tool, corpus, golden = sys.argv[1:4]
proc = subprocess.Popen([tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(line):
    proc.stdin.write(line + '\n'); proc.stdin.flush()
    return proc.stdout.readline().rstrip('\n')


bad = 0
count = {'create': 0, 'alter': 0, 'refused': 0, 'manifest': 0}


def check(what, got, wanted, sql):
    global bad
    count[what] += 1
    try:
        same = json.loads(got) == wanted
    except ValueError:
        same = False
    if not same:
        bad += 1
        print('DIFF', what, sql, '\n  got   ', got[:1500], '\n  wanted', json.dumps(wanted)[:1500])


for path in sorted(glob.glob(corpus + '/**/*.zst', recursive=True)):
    for line in zstandard.ZstdDecompressor().stream_reader(open(path, 'rb')).read().decode().splitlines():
        s = json.loads(line)
        if s.get('m') != 'Handle':
            continue
        req = lists(base64.b64decode(s['req']))
        if 5 not in req and 9 not in req:
            continue
        sql = (s.get('sql') or '')[:200]
        body = (req.get(5) or req.get(9))[0]
        f = lists(body)
        if 5 in req and f.get(2, [b''])[0] != b'mito':
            continue
        if s.get('code', 0):
            got = ask('create ' + body.hex()) if 5 in req else ask('alter %d %s' % (f[1][0], body.hex()))
            count['refused'] += 1
            continue
        ext = {lists(e)[1][0]: lists(e)[2][0] for e in lists(base64.b64decode(s['res'][0])).get(3, [])}
        if b'TABLE_COLUMN_METADATA' not in ext:
            continue
        wanted = json.loads(ext[b'TABLE_COLUMN_METADATA'])
        if 5 in req:
            check('create', ask('create ' + body.hex()), wanted, sql)
        else:
            check('alter', ask('alter %d %s' % (f[1][0], body.hex())), wanted, sql)


def raw_member(text, name):
    """The text of each object member `name` as it stands."""
    decoder, at = json.JSONDecoder(), 0
    while (at := text.find('"%s":{' % name, at)) >= 0:
        start = at + len(name) + 3
        _, end = decoder.raw_decode(text, start)
        if text[start:end].startswith('{"column_metadatas"'):
            yield text[start:end]
        at = start


for path in sorted(glob.glob(golden + '/**/manifest/*', recursive=True)):
    if not path.endswith(('.json', '.checkpoint')):
        continue
    for text in raw_member(open(path).read(), 'metadata'):
        count['manifest'] += 1
        got = ask('json ' + text.encode().hex())
        if got != text:
            bad += 1
            print('DIFF', path, '\n  got   ', got[:1500], '\n  wanted', text[:1500])
print(count, 'different:', bad)
sys.exit(1 if bad else 0)
