#!/usr/bin/env python3
"""Index files: the recorded datanode's table written again gives its blobs byte for byte, and a compaction swaps them with their SSTs."""
import base64
import glob
import json
import os
import re
import tempfile
import time
import urllib.request

from golden import Golden, fields, read_zst
from harness import (FIELD, HANDLE, INT32, STRING, TAG, TIME, TS_MS, Server, blob, create_region, fixed64, flush_request, insert, num, scan_all)

COLUMNS = [('host', STRING, TAG), ('app', STRING, TAG), ('ts', TS_MS, TIME), ('trace_id', STRING, FIELD), ('msg', STRING, FIELD), ('code', INT32, FIELD)]


def footer(data):
    size = int.from_bytes(data[-12:-8], 'little')
    return json.loads(data[-12 - size:-12])['blobs']


def blobs(path):
    data = open(path, 'rb').read()
    return {b['type']: data[b['offset']:b['offset'] + b['length']] for b in footer(data)}


def properties(path):
    return {b['type']: b.get('properties') for b in footer(open(path, 'rb').read())}


def inverted_parts(blob_):
    """{column: its part}: the peer writes columns in any order."""
    metas = fields(blob_[-4 - int.from_bytes(blob_[-4:], 'little'):-4])
    parts = {}
    for entry in metas[1]:
        meta = fields(fields(entry)[2][0])
        start = (meta[2] or [0])[0]
        parts[meta[1][0]] = (blob_[start:start + meta[3][0]], meta[8], meta[9])
    return parts, metas[2], metas[3]


def text_filter(function, text, lower=False, column=4):
    """Condition of a Substrait plan: function([lower](column), text), of msg unless told; functions 1 and 2 of the plan."""
    column = blob(2, blob(1, blob(2, num(1, column) if column else b'')) + blob(4, b''))
    if lower:
        column = blob(3, num(1, 2) + blob(4, blob(3, column)) + blob(3, blob(12, num(2, 1))))
    literal = blob(1, blob(12, text))
    return function, blob(3, num(1, 1) + blob(4, blob(3, column)) + blob(4, blob(3, literal)) + blob(3, blob(1, num(2, 1))))


def search(server, region, function, text, lower=False, column=4, kind='fulltext_index'):
    """The (host, ts) of the rows that a predicate on a text finds, and how many rows that kind of index ruled out."""
    function, condition = text_filter(function, text, lower, column)
    before = pruned(server, kind)
    found = scan_all(server.channel(), region, COLUMNS, condition=condition, functions=[function, 'lower'])
    keys = sorted(zip(found.column('host').to_pylist(), found.column('ts').cast('int64').to_pylist())) if found.num_rows else []
    return keys, pruned(server, kind) - before


def pruned(server, kind):
    text = urllib.request.urlopen(f'http://{server.http}/metrics', timeout=300).read().decode()
    return sum(float(v) for v in re.findall(r'regiond_index_rows_pruned_total{type="%s"} (\S+)' % kind, text))


def check_search(server, regions, rows):
    """Full-text predicates find what the rows' texts say; words that are nowhere rule out everything."""
    cases = [('matches_term', 'timeout', False, lambda t: 'timeout' in t.split()), ('matches_term', 'timeo', False, lambda t: False),
             ('matches_term', 'full full', False, lambda t: ' full full ' in f' {t} '), ('matches_term', 'nowhere', False, lambda t: False),
             ('matches_term', 'nowhere', True, lambda t: False), ('matches_term', 'Timeout', False, lambda t: False),
             ('matches', '"ok full full"', False, lambda t: 'ok full full' in t), ('matches', '"a nowhere b"', False, lambda t: False),
             ('matches', 'nowher', False, lambda t: False), ('matches', '+slow -full', False, lambda t: 'slow' in t and 'full' not in t)]
    out = {}
    for function, text, lower, holds in cases:
        got, ruled_out = [], 0
        for region in regions:
            keys, n = search(server, region, function, text, lower)
            got += keys
            ruled_out += n
        assert sorted(got) == sorted((r[0], r[2]) for r in rows if holds(r[4])), (function, text, len(got))
        out[function, text, lower] = ruled_out
    return out


def check_patterns(server, regions, rows):
    """LIKE and regular expressions on a tag with an inverted index."""
    for function, text in [('regex_match', '^h[13]$'), ('regex_match', 'h'), ('regex_match', '^x'), ('regex_not_match', '[0-4]$'), ('regex_imatch', '^H2'),
                           ('like', 'h1%'), ('like', '%3'), ('like', 'h_'), ('like_not_match', 'h1%'), ('like', 'x%')]:
        got, ruled_out = [], 0
        for region in regions:
            keys, n = search(server, region, function, text, column=0, kind='inverted_index')
            got += keys
            ruled_out += n
        pattern = re.escape(text).replace('%', '.*').replace('_', '.') if 'like' in function else text
        hit = re.fullmatch if 'like' in function else re.search
        flags = re.I if 'imatch' in function else 0
        want = sorted((r[0], r[2]) for r in rows if bool(hit(pattern, r[0], flags)) != ('not' in function))
        assert sorted(got) == want, (function, text, len(got), len(want))
        assert ruled_out == len(rows) if not want else ruled_out <= len(rows) - len(want), (function, text, ruled_out)
        assert ruled_out > 0 or text != '^h[13]$', ruled_out


def check_full_text(golden, rows):
    """On the recorded datanode's own files."""
    home = golden.copy('regiond-index-')
    server = Server(home=home)
    golden.open_all(server, ('mito',))
    regions = golden.regions('g_index')
    out = check_search(server, regions, rows)
    total = len(rows)
    assert out['matches_term', 'nowhere', False] == out['matches_term', 'nowhere', True] == out['matches', '"a nowhere b"', False] == total, out
    assert out['matches', 'nowher', False] == out['matches_term', 'timeout', False] == 0, out
    check_patterns(server, regions, rows)
    server.remove()
    print(f'full-text predicates: right on the recorded SSTs, their {total} rows ruled out where a word is in none')


def alter(region, *set_indexes):
    return blob(1, b'') + blob(9, num(1, region) + blob(13, b''.join(blob(1, s) for s in set_indexes)))


def index_files(folder):
    return sorted(glob.glob(os.path.join(folder, '**', '*.puffin'), recursive=True))


def check_builds(rows, want):
    """Indexes that an ALTER asks for come to the files on request, with the bytes that a flush would have given them; `want`: of these rows."""
    server = Server()
    handle = server.channel().unary_unary(HANDLE)
    region = 77 << 32
    folder = os.path.join(server.home, 'data', 'greptime', 'public', '77')
    build = blob(1, b'') + blob(19, num(1, region))
    inverted = [blob(2, blob(1, c)) for c in ('host', 'code')]
    skipping = blob(3, blob(1, 'trace_id') + num(2, 1) + num(3, 10240) + fixed64(5, 0.01))
    words = blob(1, blob(1, 'msg') + num(2, 1) + num(5, 1) + num(6, 10240) + fixed64(7, 0.01))
    handle(create_region(region, COLUMNS, [('index.inverted_index.ignore_column_ids', '1,9')]), timeout=300)
    handle(alter(region, blob(2, blob(1, 'app'))), timeout=300)
    handle(insert(region, COLUMNS, rows), timeout=300)
    handle(flush_request(region), timeout=300)
    handle(build, timeout=300)
    assert index_files(folder) == [], 'app (column 1) is to be ignored, nothing else is wanted'
    handle(alter(region, *inverted), timeout=300)
    assert index_files(folder) == [], 'in the sync build mode, files stay as they are'
    handle(build, timeout=300)
    first = index_files(folder)
    assert len(first) == 1 and list(blobs(first[0])) == ['greptime-inverted-index-v1'] and first[0].count('.') == 1, first
    handle(alter(region, skipping, words), timeout=300)
    handle(build, timeout=300)
    second = index_files(folder)
    assert second == [first[0].replace('.puffin', '.1.puffin')], (first, second)
    got = blobs(second[0])
    name = 'greptime-inverted-index-v1'
    assert inverted_parts(got.pop(name)) == inverted_parts(want[name]) and got == {k: v for k, v in want.items() if k != name}, list(got)
    before = open(second[0], 'rb').read()
    handle(build, timeout=300)
    assert index_files(folder) == second and open(second[0], 'rb').read() == before, 'nothing is missing any more'
    server.kill()
    stray = first[0].replace('.puffin', '.7.puffin')
    open(stray, 'wb').write(b'of a build that was not committed')
    server.start()
    manifest = ''.join(open(p).read() for p in sorted(glob.glob(os.path.join(folder, '**', 'manifest', '*.json'), recursive=True)))
    assert '"index_version":1' in manifest, manifest
    assert search(server, region, 'matches_term', 'nowhere') == ([], len(rows)), 'the index is used after a restart'
    handle = server.channel().unary_unary(HANDLE)
    handle(build, timeout=300)
    assert index_files(folder) == second, 'strays are removed'
    handle(insert(region, COLUMNS, rows), timeout=300)
    handle(flush_request(region), timeout=300)
    handle(blob(1, b'') + blob(11, num(1, region)), timeout=300)
    assert len(index_files(folder)) == 1 and scan_all(server.channel(), region, COLUMNS).num_rows == len(rows)
    server.remove()
    print('builds: the bytes of a flush, version after version; old ones and strays go')


def check_async(rows):
    """build_mode = "async": files first, their indexes in the background."""
    config = tempfile.NamedTemporaryFile('w', suffix='.toml')
    config.write('[[region_engine]]\n[region_engine.mito.index]\nbuild_mode = "async"\n')
    config.flush()
    server = Server('-c', config.name)
    handle = server.channel().unary_unary(HANDLE)
    region = 78 << 32
    folder = os.path.join(server.home, 'data', 'greptime', 'public', '78')
    handle(create_region(region, COLUMNS), timeout=300)
    handle(insert(region, COLUMNS, rows[:100]), timeout=300)
    handle(flush_request(region), timeout=300)
    handle(alter(region, blob(2, blob(1, 'host'))), timeout=300)
    wait_until(lambda: len(index_files(folder)) == 1, 'an index after ALTER')
    handle(insert(region, COLUMNS, [[*r[:2], r[2] + 10**9, *r[3:]] for r in rows[:100]]), timeout=300)
    handle(flush_request(region), timeout=300)
    wait_until(lambda: len(index_files(folder)) == len(glob.glob(os.path.join(folder, '**', '*.parquet'), recursive=True)), 'an index after a flush')
    server.remove()
    print('async: indexes follow an ALTER and a flush')


def wait_until(done, what):
    end = time.time() + 300
    while time.time() < end:
        if done():
            return
        time.sleep(0.05)
    raise AssertionError(f'waited in vain for {what}')


def main():
    golden = Golden()
    table = golden.tables['g_index']
    rows = table['records']['rows']
    region, _, path, _ = next(c for c in golden.creates if c[0] >> 32 == table['table_id'])
    create = next(r for r in (base64.b64decode(json.loads(line)['req']) for line in
                              read_zst(os.path.join(golden.folder, 'ddl.jsonl.zst')).decode().splitlines()[1:])
                  if any(fields(body)[1][0] == region for body in fields(r)[5]))
    server = Server()
    handle = server.channel().unary_unary(HANDLE)
    handle(create, timeout=300)
    handle(insert(region, COLUMNS, [r for r in rows if r[2] < 1700003000000]), timeout=300)
    handle(flush_request(region), timeout=300)

    mine = glob.glob(os.path.join(server.home, 'data', '**', '*.puffin'), recursive=True)
    theirs = sorted(glob.glob(os.path.join(golden.folder, 'data_home', 'data', path, str(table['table_id']), '**', '*.puffin'), recursive=True))
    assert len(mine) == 1 and len(theirs) == 2, (mine, theirs)
    want = [blobs(p) for p in theirs]
    got = blobs(mine[0])
    assert list(got) == ['greptime-inverted-index-v1', 'greptime-fulltext-index-bloom-4', 'greptime-bloom-filter-v1-3'], list(got)
    assert got['greptime-fulltext-index-bloom-4'] in [w['greptime-fulltext-index-bloom-4'] for w in want], 'full-text index'
    assert properties(mine[0]) == properties(theirs[0]), 'properties'
    assert got['greptime-bloom-filter-v1-3'] in [w['greptime-bloom-filter-v1-3'] for w in want], 'skipping index'
    assert inverted_parts(got['greptime-inverted-index-v1']) in [inverted_parts(w['greptime-inverted-index-v1']) for w in want], 'inverted index'
    manifest = ''.join(open(p).read() for p in sorted(glob.glob(os.path.join(server.home, 'data', '**', 'manifest', '*.json'), recursive=True)))
    meta = json.loads(re.search(r'"files_to_add":(\[\{.*?\}\]),"files_to_remove"', manifest).group(1))[0]
    assert meta['index_file_size'] == os.path.getsize(mine[0]) and meta['index_version'] == 0, meta
    assert {'column_id': 4, 'created_indexes': ['FulltextIndex']} in meta['indexes'], meta
    assert meta['available_indexes'] == ['InvertedIndex', 'FulltextIndex', 'BloomFilterIndex'], meta
    print('flush: the blobs of the recorded datanode')

    handle(insert(region, COLUMNS, rows), timeout=300)
    handle(flush_request(region), timeout=300)
    handle(blob(1, b'') + blob(11, num(1, region)), timeout=300)  # compact: the files overlap
    assert scan_all(server.channel(), region, COLUMNS).num_rows == len(rows)
    mine = glob.glob(os.path.join(server.home, 'data', '**', '*.puffin'), recursive=True)
    ssts = glob.glob(os.path.join(server.home, 'data', '**', '*.parquet'), recursive=True)
    assert sorted(os.path.basename(p)[:36] for p in mine) == sorted(os.path.basename(p)[:36] for p in ssts), (mine, ssts)
    assert len(ssts) == 1, ssts
    print('compaction: one SST, with its index; those of the inputs are gone')
    out = check_search(server, [region], rows)
    assert out['matches_term', 'nowhere', False] == len(rows), out
    server.remove()
    check_builds([r for r in rows if r[2] < 1700003000000], got)
    check_async(rows)
    check_full_text(golden, rows)


main()
