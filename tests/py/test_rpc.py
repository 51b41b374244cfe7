"""Drives tests/tool/rpc_server_tool (path in argv[1]) over gRPC: trailers, limits, compressed requests, health, unknown methods, concurrency."""
import concurrent.futures
import gzip
import subprocess
import sys
import time

import grpc
import zstandard

from harness import DO_GET, HANDLE, varint


def field(number, data):
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def request(number, body):
    return field(1, b"") + field(number, body)


def create(region):
    return request(5, field(1, region) + field(2, b"mito") + field(5, b"greptime/public"))


def insert(*regions, padding=0):
    return request(3, b"".join(field(1, field(1, r) + field(2, b"") + field(9, b"x" * padding)) for r in regions))


def main():
    tool = subprocess.Popen([sys.argv[1], str(1 << 20), "20"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port = int(tool.stdout.readline())
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)])

    def call(path, body, **kw):
        return channel.unary_unary(path)(body, timeout=300, **kw)

    def fails(path, body, status, code, text=None, stream=False):
        try:
            if stream:
                list(channel.unary_stream(path)(body, timeout=300))
            else:
                call(path, body)
        except grpc.RpcError as e:
            got = dict(e.trailing_metadata()).get("x-greptime-err-code")
            assert e.code() == status, (path, e.code(), e.details())
            assert got == code, (path, got)
            assert text is None or text in e.details(), e.details()
            return
        raise AssertionError(f"{path} succeeded")

    S = grpc.StatusCode
    try:
        assert call(HANDLE, create(7)).startswith(b"\x0a\x02\x0a\x00")
        assert call(HANDLE, insert(7)) == b"\x0a\x02\x0a\x00\x10\x02"
        call(HANDLE, create(8))
        assert call(HANDLE, insert(7, 8, 7)) == b"\x0a\x02\x0a\x00\x10\x06"
        assert call(HANDLE, request(6, field(1, 99))) == b"\x0a\x02\x0a\x00"
        print("create, insert, drop of absent: ok")
        fails(HANDLE, b"", S.INVALID_ARGUMENT, "1004", "header")
        fails(HANDLE, field(1, b""), S.INVALID_ARGUMENT, "1004", "body")
        fails(HANDLE, insert(5), S.NOT_FOUND, "4005")
        fails(HANDLE, request(10, field(1, 7)), S.INTERNAL, "1003", "Internal error: 1003")
        fails(HANDLE, request(5, field(1, 9) + field(2, b"nope")), S.INTERNAL, "1002", "Unknown engine: nope")
        fails(HANDLE, b"\xff" * 20, S.INVALID_ARGUMENT, "1004")
        fails(DO_GET, b"\xff" * 20, S.INVALID_ARGUMENT, "1004", stream=True)
        fails("/arrow.flight.protocol.FlightService/ListActions", b"", S.UNIMPLEMENTED, None, "Not yet implemented", stream=True)
        fails("/no.such/Method", b"", S.UNIMPLEMENTED, None)
        print("errors and their trailers: ok")
        assert call(HANDLE, insert(7, padding=900000)).endswith(b"\x10\x02")
        fails(HANDLE, insert(7, padding=1 << 20), S.OUT_OF_RANGE, None)
        print("message limit: ok")
        body = insert(7, padding=500000)
        assert channel.unary_unary(HANDLE)(body, timeout=300, compression=grpc.Compression.Gzip).endswith(b"\x10\x02")
        assert channel.unary_unary(HANDLE)(body, timeout=300, compression=grpc.Compression.Deflate).endswith(b"\x10\x02")
        assert call(HANDLE, zstandard.compress(body)).endswith(b"\x10\x02")
        assert call(HANDLE, gzip.compress(body)).endswith(b"\x10\x02")
        fails(HANDLE, zstandard.compress(insert(7, padding=50 << 20)), S.OUT_OF_RANGE, None)
        fails(HANDLE, gzip.compress(insert(7, padding=50 << 20)), S.OUT_OF_RANGE, None)
        fails(HANDLE, zstandard.compress(body)[:-9], S.INVALID_ARGUMENT, "1004")
        print("compressed requests: ok")
        assert call("/greptime.v1.HealthCheck/HealthCheck", b"") == b""
        assert call("/grpc.health.v1.Health/Check", b"") == b"\x08\x01"
        fails("/grpc.health.v1.Health/Check", field(1, b"x"), S.NOT_FOUND, None)
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert next(watch) == b"\x08\x01"
        watch.cancel()
        kept = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert next(kept) == b"\x08\x01"
        print("health: ok")
        reflect = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        names = [b"grpc.reflection.v1.ServerReflection", b"grpc.health.v1.Health", b"arrow.flight.protocol.FlightService", b"greptime.v1.HealthCheck",
                 b"greptime.v1.region.Region"]
        asked = field(1, b"here") + field(7, b"")
        listed = field(1, b"here") + field(2, asked) + field(6, b"".join(field(1, field(1, n)) for n in names))
        assert list(reflect(iter([asked, asked, field(6, b"x")]), timeout=300)) == [listed, listed, field(2, field(6, b"x")) + field(5, b"")]
        assert list(reflect(iter([]), timeout=300)) == []
        for body, status in ((field(4, b"greptime.v1.Nobody"), S.NOT_FOUND), (field(3, b"a.proto"), S.NOT_FOUND), (b"", S.INVALID_ARGUMENT), (b"\x3a", S.INVALID_ARGUMENT)):
            answers = reflect(iter([asked, body, asked]), timeout=300)
            assert next(answers) == listed
            try:
                next(answers)
                raise AssertionError(body)
            except grpc.RpcError as e:
                assert e.code() == status, (body, e.code(), e.details())
        idle = reflect(iter(lambda: time.sleep(0.01) or asked, None)) # open when the server stops
        assert next(idle) == listed
        idle.cancel()
        print("reflection: ok")
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            replies = list(pool.map(lambda _: call(HANDLE, insert(7, padding=10000)), range(256)))
        assert all(r.endswith(b"\x10\x02") for r in replies)
        print(f"256 concurrent calls of 20 ms: {time.monotonic() - start:.2f} s")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in range(20):
                future = channel.unary_unary(HANDLE).future(insert(7))
                future.cancel()
        assert call(HANDLE, insert(7)).endswith(b"\x10\x02")
        print("cancelled calls: ok")
    finally:
        start = time.monotonic()
        tool.stdin.close()
        code = tool.wait(300)
        print(f"stopped with {code} after {time.monotonic() - start:.2f} s")
    assert code == 0


def stop_in_a_call():
    """A call that outlasts the server's grace (a second here) ends in its own time, its client told before."""
    tool = subprocess.Popen([sys.argv[1], str(1 << 20), "2500"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    channel = grpc.insecure_channel(f"127.0.0.1:{int(tool.stdout.readline())}")
    handle = channel.unary_unary(HANDLE)
    handle(create(7), timeout=300)
    running = handle.future(insert(7))
    time.sleep(0.3)
    tool.stdin.close()
    try:
        running.result(timeout=300) # when the server was slow to begin, it never began
    except grpc.RpcError as e:
        assert e.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE), e
    assert tool.wait(300) == 0
    print("a stop in the middle of a call: ok")


main()
stop_in_a_call()
