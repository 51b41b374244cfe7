#!/usr/bin/env python3
"""Checks what lies in a data folder against what a GreptimeDB datanode demands of it (mito-on-disk.md section 8): manifests and SSTs, read by pyarrow.

    check_sst.py FOLDER...      prints each finding; exit code 1 when there is any
"""
import glob
import json
import math
import os
import re
import sys
import zlib

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

INTERNAL = ['__primary_key', '__sequence', '__op_type']
INDEX_KINDS = {'InvertedIndex', 'FulltextIndex', 'BloomFilterIndex'}
FILE_META = ['region_id', 'file_id', 'time_range', 'level', 'file_size', 'max_row_group_uncompressed_size', 'available_indexes', 'indexes', 'index_file_size',
             'index_version', 'num_rows', 'num_row_groups', 'sequence', 'partition_expr', 'num_series']


class Findings(list):
    def need(self, good, where, what):
        if not good:
            self.append(f'{where}: {what}')
        return good


# ---- types ----

def expected(column):
    """(Arrow type, physical type, logical type's JSON) of a column as the peer writes it; None where pyarrow shows no logical type."""
    (kind, inner), = column['column_schema']['data_type'].items()
    numbers = {'Int8': (pa.int8(), 'INT32', 8, True), 'Int16': (pa.int16(), 'INT32', 16, True), 'UInt8': (pa.uint8(), 'INT32', 8, False),
               'UInt16': (pa.uint16(), 'INT32', 16, False), 'UInt32': (pa.uint32(), 'INT32', 32, False), 'UInt64': (pa.uint64(), 'INT64', 64, False)}
    if kind in numbers:
        arrow, physical, width, signed = numbers[kind]
        return arrow, physical, ('Int', width, signed)
    plain = {'Boolean': (pa.bool_(), 'BOOLEAN'), 'Int32': (pa.int32(), 'INT32'), 'Int64': (pa.int64(), 'INT64'), 'Float32': (pa.float32(), 'FLOAT'),
             'Float64': (pa.float64(), 'DOUBLE'), 'Binary': (pa.binary(), 'BYTE_ARRAY'), 'Json': (pa.binary(), 'BYTE_ARRAY'), 'Vector': (pa.binary(), 'BYTE_ARRAY')}
    if kind in plain:
        return *plain[kind], None
    if kind == 'String':
        return pa.string(), 'BYTE_ARRAY', ('String',)
    if kind == 'Date':
        return pa.date32(), 'INT32', ('Date',)
    if kind in ('Timestamp', 'Time'):
        unit, = inner
        if unit == 'Second':
            return None, 'INT64' if kind == 'Timestamp' else 'INT32', None
        name = {'Millisecond': 'milliseconds', 'Microsecond': 'microseconds', 'Nanosecond': 'nanoseconds'}[unit]
        return None, 'INT32' if (kind, unit) == ('Time', 'Millisecond') else 'INT64', (kind, name, False)
    if kind == 'Duration':
        return None, 'INT64', None
    if kind == 'Interval':
        return None, 'FIXED_LEN_BYTE_ARRAY', ('Interval',)
    if kind == 'Decimal128':
        p = inner['precision']
        return None, 'INT32' if 2 <= p <= 9 else 'INT64' if p == 1 or p <= 18 else 'FIXED_LEN_BYTE_ARRAY', ('Decimal', p, inner['scale'])
    return None, None, None


def annotation_of(column):
    """What pyarrow says of a Parquet column's annotation, in the form of expected()."""
    d = json.loads(column.logical_type.to_json())
    kind = d['Type']
    if kind in ('None', 'Undefined'):
        return ('Interval',) if column.converted_type == 'INTERVAL' else None
    if kind == 'Int':
        return ('Int', d['bitWidth'], d['isSigned'])
    if kind in ('Timestamp', 'Time'):
        return (kind, d['timeUnit'], d['isAdjustedToUTC'])
    return ('Decimal', d['precision'], d['scale']) if kind == 'Decimal' else (kind,)


# ---- keys ----

def key_string(value):
    b = value.encode()
    if not b:
        return b'\x00'
    out = b'\x01'
    for i in range(0, len(b), 8):
        chunk = b[i:i + 8]
        out += chunk.ljust(8, b'\0') + bytes([9 if i + 8 < len(b) else len(chunk)])
    return out


def key_part(value, data_type):
    (kind, _), = data_type.items()
    if value is None:
        return b'\x00'
    if kind == 'String':
        return b'\x01' + key_string(value)
    if kind == 'Boolean':
        return b'\x01' + bytes([value])
    m = re.fullmatch(r'(U?)Int(\d+)', kind)
    if m:
        width = int(m[2]) // 8
        return b'\x01' + ((value + (0 if m[1] else 1 << (8 * width - 1))) % (1 << (8 * width))).to_bytes(width, 'big')
    return None # types that this checker does not encode


# ---- one SST ----

def sortable(chunk):
    t = chunk.type
    if pa.types.is_dictionary(t):
        chunk = chunk.cast(t.value_type)
        t = chunk.type
    if pa.types.is_timestamp(t) or pa.types.is_time64(t) or pa.types.is_duration(t):
        return chunk.cast(pa.int64())
    if pa.types.is_date32(t) or pa.types.is_time32(t):
        return chunk.cast(pa.int32())
    return chunk


def check_statistics(out, where, parquet, group, index, values):
    """Bounds and null counts say exactly what the rows hold: neither truncated nor too wide."""
    column = parquet.metadata.row_group(group).column(index)
    stats = column.statistics
    if stats is None:
        return # optional
    name = column.path_in_schema
    nulls = values.null_count
    if stats.has_null_count:
        out.need(stats.null_count == nulls, where, f'{name}: statistics say {stats.null_count} nulls, there are {nulls}')
    if not stats.has_min_max:
        return
    if not out.need(nulls < len(values), where, f'{name}: bounds of a chunk that has only nulls'):
        return
    if column.physical_type in ('FIXED_LEN_BYTE_ARRAY',):
        return # decimals as bytes: pyarrow shows the bytes, the order is checked by our unit tests
    have = values.drop_null()
    if pa.types.is_temporal(have.type):
        plain = pc.min_max(sortable(have))
        want = plain['min'].as_py(), plain['max'].as_py()
        out.need((stats.min_raw, stats.max_raw) == want, where, f'{name}: bounds {stats.min_raw} {stats.max_raw} instead of {want}')
        return
    low, high = stats.min, stats.max
    if pa.types.is_binary(have.type) or pa.types.is_string(have.type):
        data = [v.encode() if isinstance(v, str) else v for v in have.to_pylist()]
        low, high = (v.encode() if isinstance(v, str) else v for v in (low, high))
        want = min(data), max(data)
    elif pa.types.is_floating(have.type):
        data = [v for v in have.to_pylist() if not math.isnan(v)]
        if not data:
            return
        want = min(data), max(data)
        out.need(low != 0 or math.copysign(1, low) < 0, where, f'{name}: a zero lower bound must be -0.0')
    else:
        bounds = pc.min_max(have)
        want = bounds['min'].as_py(), bounds['max'].as_py()
    out.need((low, high) == want, where, f'{name}: bounds {low!r} {high!r} instead of {want[0]!r} {want[1]!r}')


def check_order(out, where, keys, times, sequences, append):
    """Key bytes and time ascend, sequences descend; without append mode no (key, time) comes twice."""
    last = None
    for row, at in enumerate(zip(keys, times, sequences)):
        key, time, sequence = at
        if last is not None:
            if (key, time) < last[:2] or ((key, time) == last[:2] and sequence > last[2]):
                return out.need(False, where, f'row {row} is out of order')
            if not append and (key, time) == last[:2]:
                return out.need(False, where, f'row {row} repeats key and time of the row before')
        last = at
    return True


def check_schema(out, where, parquet, region):
    columns, by_id = region['column_metadatas'], {c['column_id']: c for c in region['column_metadatas']}
    sparse = region.get('primary_key_encoding') == 'sparse'
    fields = [c for c in columns if c['semantic_type'] == 'Field']
    time, = [c for c in columns if c['semantic_type'] == 'Timestamp']
    tags = [] if sparse else [by_id[i] for i in region['primary_key']]
    names = [c['column_schema']['name'] for c in fields + [time]] + INTERNAL
    flat = [c['column_schema']['name'] for c in tags] + names
    have = [parquet.metadata.schema.column(i).path.split('.')[0] for i in range(len(parquet.metadata.schema))]
    if not out.need(have in (names, flat), where, f'columns {have}, wanted {flat} or {names}'):
        return None
    is_flat = have == flat and bool(tags)
    for i, column in enumerate((tags if is_flat else []) + fields + [time]):
        c = parquet.metadata.schema.column(i)
        _, physical, annotation = expected(column)
        name = column['column_schema']['name']
        if physical:
            got = annotation_of(c)
            out.need(c.physical_type == physical, where, f'{name}: physical type {c.physical_type} instead of {physical}')
            out.need(got == annotation, where, f'{name}: annotation {got} instead of {annotation}')
        nullable = column['column_schema']['is_nullable'] and column is not time
        out.need((c.max_definition_level > 0) == nullable or physical is None, where, f'{name}: nullability differs from the metadata')
    n = len(have) - 3
    for name, physical, annotation in (('__primary_key', 'BYTE_ARRAY', None), ('__sequence', 'INT64', ('Int', 64, False)), ('__op_type', 'INT32', ('Int', 8, False))):
        c = parquet.metadata.schema.column(n)
        got = annotation_of(c)
        out.need((c.physical_type, got, c.max_definition_level) == (physical, annotation, 0), where, f'{name}: {c.physical_type} {got}')
        n += 1
    return [c['column_schema'] for c in tags] if is_flat else []


def check_sst(out, path, meta=None, texts=None, append=False):
    """One file; `meta` is its FileMeta, `texts` the metadata texts of the region's manifest (None: not known)."""
    where = os.path.relpath(path)
    parquet = pq.ParquetFile(path)
    m = parquet.metadata
    text = (m.metadata or {}).get(b'greptime:metadata')
    if not out.need(text is not None, where, 'no greptime:metadata'):
        return
    if texts:
        out.need(text.decode() in texts, where, 'greptime:metadata is none of the texts in the manifest')
    region = json.loads(text)
    tags = check_schema(out, where, parquet, region)
    if tags is None:
        return
    rows = [m.row_group(g).num_rows for g in range(m.num_row_groups)]
    out.need(m.num_rows > 0, where, 'no rows')
    out.need(len(set(rows[:-1])) <= 1 and (len(rows) < 2 or rows[-1] <= rows[0]), where, f'row groups are not uniform: {rows}')
    time_name = next(c['column_schema']['name'] for c in region['column_metadatas'] if c['semantic_type'] == 'Timestamp')
    keys, times, sequences, ops = [], [], [], []
    flat_types = [t['data_type'] for t in tags]
    for g in range(m.num_row_groups):
        t = parquet.read_row_group(g)
        for i, column in enumerate(t.columns):
            if m.row_group(g).num_columns == t.num_columns: # flat schemas only
                check_statistics(out, where, parquet, g, i, pa.chunked_array([sortable(c) if pa.types.is_dictionary(c.type) else c for c in column.chunks]).combine_chunks()
                                 if column.num_chunks else column)
        group_keys = t['__primary_key'].cast(pa.binary()).to_pylist()
        keys += group_keys
        times += sortable(t[time_name]).to_pylist()
        sequences += t['__sequence'].to_pylist()
        ops += t['__op_type'].to_pylist()
        if tags:
            parts = [sortable(t[c['name']]).to_pylist() for c in tags]
            for row, key in enumerate(group_keys):
                want = [key_part(p[row], d) for p, d in zip(parts, flat_types)]
                if None not in want and b''.join(want) != key:
                    out.need(False, where, f'row {row} of group {g}: the key is not that of its tags')
                    break
    check_order(out, where, keys, times, sequences, append)
    out.need(set(ops) <= {0, 1}, where, f'op types {set(ops)}')
    if not meta:
        return
    unit, = next(c for c in region['column_metadatas'] if c['semantic_type'] == 'Timestamp')['column_schema']['data_type']['Timestamp']
    out.need([t['value'] for t in meta['time_range']] == [min(times), max(times)], where, f'time_range {meta["time_range"]}, rows {min(times)}..{max(times)}')
    out.need({t['unit'] for t in meta['time_range']} == {unit}, where, 'time_range in another unit than the column')
    out.need(meta['file_size'] == os.path.getsize(path), where, f'file_size {meta["file_size"]}, the file has {os.path.getsize(path)}')
    out.need(meta['num_rows'] in (0, m.num_rows), where, f'num_rows {meta["num_rows"]}, the file has {m.num_rows}')
    out.need(meta['num_row_groups'] in (0, m.num_row_groups), where, f'num_row_groups {meta["num_row_groups"]}, the file has {m.num_row_groups}')
    largest = max(sum(m.row_group(g).column(c).total_uncompressed_size for c in range(m.num_columns)) for g in range(m.num_row_groups))
    out.need(meta['max_row_group_uncompressed_size'] in (0, largest), where, f'max_row_group_uncompressed_size {meta["max_row_group_uncompressed_size"]}, it is {largest}')
    out.need(meta['sequence'] is None or meta['sequence'] >= max(sequences), where, f'sequence {meta["sequence"]} below that of a row, {max(sequences)}')


# ---- a region's manifest ----

def metadata_text(text):
    """The exact text of each metadata object in a manifest file."""
    decoder = json.JSONDecoder()
    return [text[m.end():decoder.raw_decode(text, m.end())[1]] for m in re.finditer(r'"metadata":(?=\{"column_metadatas")', text)]


def check_file_meta(out, where, f):
    out.need(list(f) == FILE_META, where, f'keys of a file: {list(f)}')
    out.need(f['level'] in (0, 1), where, f'level {f["level"]}')
    out.need(f['sequence'] is None or f['sequence'] >= 1, where, 'sequence 0')
    out.need(set(f['available_indexes']) <= INDEX_KINDS, where, f'indexes {f["available_indexes"]}')


def check_region(out, folder):
    manifest = os.path.join(folder, 'manifest')
    where = os.path.relpath(folder)
    out.need(not os.path.exists(os.path.join(folder, '.dropping')), where, '.dropping was left behind')
    names = sorted(n for n in os.listdir(manifest) if re.match(r'\d+\.(json|checkpoint)', n))
    for n in names:
        out.need(re.fullmatch(r'\d{20}\.(json|checkpoint)', n), where, f'{n} is no name of a plain manifest file')
    files, texts, append, base = {}, set(), None, -1
    pointer = os.path.join(manifest, '_last_checkpoint')
    for n in names: # metadata of every life time that is still told
        texts.update(metadata_text(open(os.path.join(manifest, n)).read()))
    if os.path.exists(pointer):
        p = json.load(open(pointer))
        text = open(os.path.join(manifest, f'{p["version"]:020}.checkpoint'), 'rb').read()
        out.need(p['checksum'] == zlib.crc32(text) and p['size'] == len(text) and p['extend_metadata'] == {}, where, f'_last_checkpoint {p}')
        c = json.loads(text)
        base = c['last_version']
        out.need('compaction_time_window' in c['checkpoint'] and c['checkpoint']['manifest_version'] == base, where, 'the checkpoint lacks keys')
        files = dict(c['checkpoint']['files'])
        append = c['checkpoint'].get('append_mode')
    for n in names:
        version = int(n[:20])
        if n.endswith('.json') and version > base:
            for action in json.load(open(os.path.join(manifest, n)))['actions']:
                (kind, body), = action.items()
                if kind == 'Change':
                    out.need('sst_format' in body and 'append_mode' in body, where, f'{n}: Change without sst_format or append_mode')
                    append = body['append_mode'] if body['append_mode'] is not None else append
                elif kind == 'Edit':
                    out.need('compaction_time_window' in body, where, f'{n}: Edit without compaction_time_window')
                    for f in body['files_to_add'] + body['files_to_remove']:
                        check_file_meta(out, f'{where}/{n}', f)
                    files.update({f['file_id']: f for f in body['files_to_add']})
                    for f in body['files_to_remove']:
                        files.pop(f['file_id'], None)
                elif kind == 'Truncate':
                    files = {} if 'truncated_entry_id' in body else {k: f for k, f in files.items() if k not in {x['file_id'] for x in body['files_to_remove']}}
    listed = set()
    for f in files.values():
        path = os.path.join(folder, f['file_id'] + '.parquet')
        listed.add(path)
        if not out.need(os.path.exists(path), where, f'{f["file_id"]}.parquet is listed and not there'):
            continue
        # append_mode is often told by the open request only: where the manifest does not say, repeated rows cannot be judged
        check_sst(out, path, f, texts, append=append is not False)
        if f['available_indexes']:
            version = f'.{f["index_version"]}' if f['index_version'] else ''
            puffin = os.path.join(folder, 'index', f'{f["file_id"]}{version}.puffin')
            out.need(os.path.exists(puffin) and os.path.getsize(puffin) == f['index_file_size'], where, f'{puffin}: missing, or not of index_file_size')
    return len(listed), [p for p in glob.glob(os.path.join(folder, '*.parquet')) if p not in listed]


def check_folder(home):
    """Every region below home/data. Returns (findings, regions, SSTs, orphans)."""
    out, regions, files, orphans = Findings(), 0, 0, []
    for manifest in sorted(glob.glob(os.path.join(home, 'data', '**', 'manifest'), recursive=True)):
        n, lost = check_region(out, os.path.dirname(manifest))
        regions, files = regions + 1, files + n
        orphans += lost
    return out, regions, files, orphans


def main():
    bad = 0
    for home in sys.argv[1:]:
        out, regions, files, orphans = check_folder(home)
        for line in out + [f'{p}: no manifest lists it' for p in orphans]:
            print(line)
        print(f'{home}: {regions} regions, {files} SSTs, {len(out)} findings, {len(orphans)} orphans')
        bad += len(out)
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())
