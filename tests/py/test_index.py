#!/usr/bin/env python3
"""Index files: the recorded datanode's table written again gives its blobs byte for byte, and a compaction swaps them with their SSTs."""
import base64
import glob
import json
import os
import re

from golden import Golden, fields, read_zst
from harness import FIELD, HANDLE, INT32, STRING, TAG, TIME, TS_MS, Server, blob, flush_request, insert, num, scan_all

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
    handle(create, timeout=30)
    handle(insert(region, COLUMNS, [r for r in rows if r[2] < 1700003000000]), timeout=60)
    handle(flush_request(region), timeout=60)

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

    handle(insert(region, COLUMNS, rows), timeout=60)
    handle(flush_request(region), timeout=60)
    handle(blob(1, b'') + blob(11, num(1, region)), timeout=60)  # compact: the files overlap
    assert scan_all(server.channel(), region, COLUMNS).num_rows == len(rows)
    mine = glob.glob(os.path.join(server.home, 'data', '**', '*.puffin'), recursive=True)
    ssts = glob.glob(os.path.join(server.home, 'data', '**', '*.parquet'), recursive=True)
    assert sorted(os.path.basename(p)[:36] for p in mine) == sorted(os.path.basename(p)[:36] for p in ssts), (mine, ssts)
    assert len(ssts) == 1, ssts
    print('compaction: one SST, with its index; those of the inputs are gone')
    server.remove()


main()
