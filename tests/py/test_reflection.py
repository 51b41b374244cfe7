#!/usr/bin/env python3
"""A client that knows nothing of the node but its address: it asks for descriptions by reflection, gives them to protobuf, and calls every service with what comes of it."""
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from harness import Server, blob, fields, message

REFLECTION = '/grpc.reflection.{}.ServerReflection/ServerReflectionInfo'


class Client:
    def __init__(self, channel, version='v1'):
        self.channel, self.path, self.pool, self.have = channel, REFLECTION.format(version), descriptor_pool.DescriptorPool(), set()

    def ask(self, *requests):
        return [message(answer) for answer in self.channel.stream_stream(self.path)(iter(requests), timeout=300)]

    def services(self):
        return [dict(fields(s))[1].decode() for _, s in fields(self.ask(blob(7, b''))[0][6])]

    def take(self, request):
        """Adds a file and what it imports to the pool."""
        for _, data in fields(self.ask(request)[0][4]):
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self.have:
                continue
            self.have.add(file.name)
            for name in file.dependency:
                self.take(blob(3, name))
            self.pool.Add(file)

    def service(self, name):
        self.take(blob(4, name))
        return self.pool.FindServiceByName(name)

    def call(self, method, **request):
        """The answers; requests and answers as JSON has them."""
        message_of = message_factory.GetMessageClass
        data = json_format.ParseDict(request, message_of(method.input_type)()).SerializeToString()
        path = f'/{method.containing_service.full_name}/{method.name}'
        if method.server_streaming:
            answers = list(self.channel.unary_stream(path)(data, timeout=300))
        else:
            answers = [self.channel.unary_unary(path)(data, timeout=300)]
        return [json_format.MessageToDict(message_of(method.output_type).FromString(a), preserving_proto_field_name=True) for a in answers]


def main():
    s = Server()
    c = Client(s.channel())
    found = {name: c.service(name) for name in c.services()}
    assert set(found) == {'grpc.reflection.v1.ServerReflection', 'grpc.health.v1.Health', 'arrow.flight.protocol.FlightService', 'greptime.v1.HealthCheck',
                          'greptime.v1.region.Region'}, found
    assert c.call(found['grpc.health.v1.Health'].methods_by_name['Check']) == [{'status': 'SERVING'}]
    assert c.call(found['greptime.v1.HealthCheck'].methods_by_name['HealthCheck']) == [{}]
    handle = found['greptime.v1.region.Region'].methods_by_name['Handle']
    columns = [{'column_name': 'k', 'datatype': 'STRING', 'semantic_type': 'TAG'}, {'column_name': 'ts', 'datatype': 'TIMESTAMP_MILLISECOND', 'semantic_type': 'TIMESTAMP'},
               {'column_name': 'v', 'datatype': 'FLOAT64', 'semantic_type': 'FIELD'}]
    defs = [{'column_id': i, 'column_def': {'name': x['column_name'], 'data_type': x['datatype'], 'semantic_type': x['semantic_type'], 'is_nullable': i != 1}}
            for i, x in enumerate(columns)]
    region = str(1024 << 32)
    assert c.call(handle, header={}, create={'region_id': region, 'engine': 'mito', 'column_defs': defs, 'primary_key': [0], 'path': 'greptime/public',
                                             'options': {'ttl': '7d'}, 'partition': {'expression': ''}})
    row = {'values': [{'string_value': 'a'}, {'timestamp_millisecond_value': '1700000000000'}, {'f64_value': 1.5}]}
    answer = c.call(handle, header={'tracing_context': {'a': 'b'}}, inserts={'requests': [{'region_id': region, 'rows': {'schema': columns, 'rows': [row, row]}}]})
    assert answer == [{'header': {'status': {}}, 'affected_rows': '2'}], answer
    answer = c.call(handle, header={}, alter={'region_id': region, 'schema_version': '0', 'add_columns': {'add_columns': [
        {'column_def': {'column_id': 3, 'column_def': {'name': 'w', 'data_type': 'INT64', 'semantic_type': 'FIELD', 'is_nullable': True}},
         'location': {'location_type': 'AFTER', 'after_column_name': 'v'}}]}})
    assert 'TABLE_COLUMN_METADATA' in answer[0]['extensions'] or answer[0]['extensions'], answer
    assert c.call(handle, header={}, list_metadata={'region_ids': [region]})[0]['metadata']
    try:
        c.take(blob(4, 'greptime.v1.region.Nobody'))
        raise AssertionError('a symbol that there is not')
    except grpc.RpcError as e:
        assert e.code() == grpc.StatusCode.NOT_FOUND, e
    for symbol in ('greptime.v1.region.Region.Handle', 'greptime.v1.region.RegionRequest.inserts', 'greptime.v1.ColumnDataType.INT64'):
        c.take(blob(4, symbol))
    assert Client(s.channel(), 'v1alpha').services() == list(found)
    assert s.stop() == 0
    print(f'{len(found)} services described and called')


if __name__ == '__main__':
    main()
