"""Runs one SQL text on both sides. `Pair` owns a regiond with one region and a DataFusion session with the same rows under the name t."""
import io
import math
import os
import struct
import sys

import grpc
import pyarrow as pa
from datafusion import SessionConfig, SessionContext, substrait

from harness import DO_GET, FIELD, HANDLE, TIME, Server, blob, bulk_insert, message, num

REGION = 77 << 32
# ColumnDataType by Arrow type, as on the wire.
DATATYPES = {pa.bool_(): 0, pa.int8(): 1, pa.int16(): 2, pa.int32(): 3, pa.int64(): 4, pa.uint8(): 5, pa.uint16(): 6, pa.uint32(): 7, pa.uint64(): 8,
             pa.float32(): 9, pa.float64(): 10, pa.binary(): 11, pa.string(): 12, pa.date32(): 13, pa.timestamp('s'): 15, pa.timestamp('ms'): 16,
             pa.timestamp('us'): 17, pa.timestamp('ns'): 18, pa.time32('s'): 19, pa.time32('ms'): 20, pa.time64('us'): 21, pa.time64('ns'): 22}


class Failed(Exception):
    """One side refused or failed the query."""


def quiet_native_code():
    """DataFusion's panics are results like others: what Rust writes about them to file 2 hides the findings. Python's own errors still go there."""
    sys.stderr = os.fdopen(os.dup(2), 'w', buffering=1)
    with open(os.devnull, 'w') as nothing:
        os.dup2(nothing.fileno(), 2)


def create_request(schema):
    body = num(1, REGION) + blob(2, 'mito')
    for i, field in enumerate(schema):
        decimal = pa.types.is_decimal(field.type)
        definition = blob(1, field.name) + num(2, 30 if decimal else DATATYPES[field.type])
        definition += num(5, TIME) if i == 0 else num(3, 1) + num(5, FIELD)
        if decimal:
            definition += blob(7, blob(1, num(1, field.type.precision) + num(2, field.type.scale)))
        body += blob(3, blob(1, definition) + num(2, i))
    return blob(1, b'') + blob(5, body + blob(5, 'greptime/public') + blob(7, b'\x1a\x00'))


def flight_table(messages):
    """The Arrow table in a stream of FlightData."""
    out = io.BytesIO()
    for data in messages:
        parts = message(data)
        header, body = parts.get(2, b''), parts.get(1000, b'')
        if not header:
            continue
        root = struct.unpack_from('<I', header)[0]
        vtable = root - struct.unpack_from('<i', header, root)[0]
        kind = struct.unpack_from('<H', header, vtable + 6)[0] if struct.unpack_from('<H', header, vtable)[0] > 6 else 0
        if not kind or not header[root + kind]:  # metadata only
            continue
        pad = -len(header) % 8
        out.write(b'\xff\xff\xff\xff' + struct.pack('<I', len(header) + pad) + header + b'\0' * pad + body + b'\0' * (-len(body) % 8))
    out.write(b'\xff\xff\xff\xff\0\0\0\0')
    out.seek(0)
    return pa.ipc.open_stream(out).read_all()


def same_value(a, b, ulps):
    """Equality in which NaN equals NaN, -0.0 differs from 0.0, and floats may be `ulps` units apart."""
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        if a == b:
            return math.copysign(1, a) == math.copysign(1, b)
        return ulps > 0 and abs(a - b) <= ulps * max(math.ulp(a), math.ulp(b))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_value(x, y, ulps) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_value(a[k], b[k], ulps) for k in a)
    return type(a) is type(b) and a == b


def integers(kind):
    """The type with temporal ones, also inside lists, as the integers that hold them."""
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time64(kind):
        return pa.int64()
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.int32()
    if pa.types.is_list(kind):
        return pa.list_(integers(kind.value_type))
    return kind


def values(column):
    """Python values; temporal ones as their integers, since Python's own types hold neither nanoseconds nor year 10000."""
    kind = integers(column.type)
    return (column if kind == column.type else column.cast(kind)).to_pylist()


def plain_type(kind):
    """Dictionary encoding is a matter of transport."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


class Pair:
    def __init__(self, batch, timezone='', config=None):
        self.server = Server()
        self.channel = self.server.channel()
        self.timezone = timezone
        call = self.channel.unary_unary(HANDLE)
        call(create_request(batch.schema), timeout=300)
        call(bulk_insert(REGION, batch), timeout=300)
        self.session = SessionContext(SessionConfig(config or {}))
        self.session.register_record_batches('t', [[batch]])

    def encode(self, frame):
        return substrait.Producer.to_substrait_plan(frame.optimized_logical_plan(), self.session).encode()

    def plan(self, sql):
        """DataFusion's optimised plan as Substrait bytes."""
        try:
            return self.encode(self.session.sql(sql))
        except BaseException as e:  # the planner may panic
            raise Failed(str(e)) from None

    def ours(self, plan):
        context = blob(6, blob(4, self.timezone)) if self.timezone else b''
        ticket = blob(1, blob(1, context) + num(2, REGION) + blob(3, plan))
        try:
            return flight_table(list(self.channel.unary_stream(DO_GET)(ticket, timeout=300)))
        except grpc.RpcError as e:
            raise Failed(f'{e.code().name}: {e.details()}') from None

    def theirs(self, sql):
        try:
            return self.session.sql(sql).to_arrow_table()
        except BaseException as e:
            raise Failed(str(e)) from None

    def compare(self, sql, ulps=0):
        """None when both sides agree, else what differs. Both failing is agreement."""
        results = []
        plan = self.plan(sql)
        for run in (lambda: self.theirs(sql), lambda: self.ours(plan)):
            try:
                results.append(run())
            except Failed as e:
                results.append(e)
        theirs, ours = results
        if isinstance(theirs, Failed) or isinstance(ours, Failed):
            if isinstance(theirs, Failed) and isinstance(ours, Failed):
                return None
            shown = [str(r)[:200] if isinstance(r, Failed) else 'ok' for r in results]
            return f'DataFusion: {shown[0]}; regiond: {shown[1]}'
        if theirs.num_rows != ours.num_rows:
            return f'DataFusion has {theirs.num_rows} rows, regiond {ours.num_rows}'
        for i, name in enumerate(theirs.column_names):
            a, b = theirs.column(i), ours.column(i)
            if plain_type(a.type) != plain_type(b.type):
                return f'column {name}: DataFusion has type {a.type}, regiond {b.type}'
            for row, (x, y) in enumerate(zip(values(a), values(b))):
                if not same_value(x, y, ulps):
                    return f'column {name} row {row}: DataFusion has {x!r}, regiond {y!r}'
        return None

    def fails(self, sql):
        try:
            self.theirs(sql)
            return False
        except Failed:
            return True
