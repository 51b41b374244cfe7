/* The messages and services of the node's port, for reflection. See rpc/descriptors.h for the notation. Names and numbers are frozen: they are the peer's,
 * as far as this node reads or writes them; what nests in others there stands by itself here, which is the same on the wire and in JSON. */
#include "rpc/descriptors.h"

#define RPC "grpc.reflection.v1"
#define HEALTH "grpc.health.v1"
#define FLIGHT "arrow.flight.protocol"
#define COMMON "greptime.v1"
#define META "greptime.v1.meta"
#define REGION "greptime.v1.region"

const struct descriptor_file descriptor_files[] = {
    {"grpc/reflection/v1/reflection.proto", RPC, {NULL}},
    {"grpc/health/v1/health.proto", HEALTH, {NULL}},
    {"Flight.proto", FLIGHT, {NULL}},
    {"greptime/v1/common.proto", COMMON, {NULL}},
    {"greptime/v1/meta/route.proto", META, {NULL}},
    {"greptime/v1/region/server.proto", REGION, {"greptime/v1/common.proto", "greptime/v1/meta/route.proto"}},
    {NULL, NULL, {NULL}},
};

const struct descriptor descriptors[] = {
    /* ---- gRPC's own ---- */
    {RPC, "service ServerReflection", "*ServerReflectionRequest ServerReflectionInfo *ServerReflectionResponse"},
    {RPC, "message ServerReflectionRequest",
     "string host 1; @message_request string file_by_filename 3; @message_request string file_containing_symbol 4;"
     "@message_request ExtensionRequest file_containing_extension 5; @message_request string all_extension_numbers_of_type 6;"
     "@message_request string list_services 7"},
    {RPC, "message ExtensionRequest", "string containing_type 1; int32 extension_number 2"},
    {RPC, "message ServerReflectionResponse",
     "string valid_host 1; ServerReflectionRequest original_request 2; @message_response FileDescriptorResponse file_descriptor_response 4;"
     "@message_response ExtensionNumberResponse all_extension_numbers_response 5; @message_response ListServiceResponse list_services_response 6;"
     "@message_response ErrorResponse error_response 7"},
    {RPC, "message FileDescriptorResponse", "*bytes file_descriptor_proto 1"},
    {RPC, "message ExtensionNumberResponse", "string base_type_name 1; *int32 extension_number 2"},
    {RPC, "message ListServiceResponse", "*ServiceResponse service 1"},
    {RPC, "message ServiceResponse", "string name 1"},
    {RPC, "message ErrorResponse", "int32 error_code 1; string error_message 2"},

    {HEALTH, "service Health", "HealthCheckRequest Check HealthCheckResponse; HealthCheckRequest Watch *HealthCheckResponse"},
    {HEALTH, "message HealthCheckRequest", "string service 1"},
    {HEALTH, "message HealthCheckResponse", "ServingStatus status 1"},
    {HEALTH, "enum ServingStatus", "UNKNOWN 0; SERVING 1; NOT_SERVING 2; SERVICE_UNKNOWN 3"},

    {FLIGHT, "service FlightService", "Ticket DoGet *FlightData"},
    {FLIGHT, "message Ticket", "bytes ticket 1"}, /* holds a greptime.v1.region.QueryRequest */
    {FLIGHT, "message FlightDescriptor", "DescriptorType type 1; bytes cmd 2; *string path 3"},
    {FLIGHT, "enum DescriptorType", "UNKNOWN 0; PATH 1; CMD 2"},
    {FLIGHT, "message FlightData", "FlightDescriptor flight_descriptor 1; bytes data_header 2; bytes app_metadata 3; bytes data_body 1000"},

    /* ---- requests ---- */
    {COMMON, "service HealthCheck", "HealthCheckRequest HealthCheck HealthCheckResponse"},
    {COMMON, "message HealthCheckRequest", ""},
    {COMMON, "message HealthCheckResponse", ""},
    {REGION, "service Region", "RegionRequest Handle RegionResponse"},
    {REGION, "message RegionRequestHeader", "string%string tracing_context 5; string dbname 3; greptime.v1.QueryContext query_context 6"},
    {REGION, "message RegionRequest",
     "RegionRequestHeader header 1; @body InsertRequests inserts 3; @body DeleteRequests deletes 4; @body CreateRequest create 5; @body DropRequest drop 6;"
     "@body OpenRequest open 7; @body CloseRequest close 8; @body AlterRequest alter 9; @body FlushRequest flush 10; @body CompactRequest compact 11;"
     "@body TruncateRequest truncate 12; @body CreateRequests creates 13; @body DropRequests drops 14; @body AlterRequests alters 15;"
     "@body BulkInsertRequest bulk_insert 16; @body SyncRequest sync 17; @body ListMetadataRequest list_metadata 18; @body BuildIndexRequest build_index 19;"
     "@body ApplyStagingManifestRequest apply_staging_manifest 20"},
    {REGION, "message RegionResponse", "greptime.v1.ResponseHeader header 1; uint64 affected_rows 2; string%bytes extensions 3; bytes metadata 4"},
    {REGION, "message InsertRequests", "*InsertRequest requests 1"},
    {REGION, "message DeleteRequests", "*DeleteRequest requests 1"},
    {REGION, "message InsertRequest", "uint64 region_id 1; greptime.v1.Rows rows 2; greptime.v1.PartitionExprVersion partition_expr_version 3"},
    {REGION, "message DeleteRequest", "uint64 region_id 1; greptime.v1.Rows rows 2; greptime.v1.PartitionExprVersion partition_expr_version 3"},
    {REGION, "message QueryRequest", "RegionRequestHeader header 1; uint64 region_id 2; bytes plan 3"},
    {REGION, "message CreateRequests", "*CreateRequest requests 1"},
    {REGION, "message CreateRequest",
     "uint64 region_id 1; string engine 2; *RegionColumnDef column_defs 3; *uint32 primary_key 4; string path 5; string%string options 6;"
     "greptime.v1.meta.Partition partition 7"},
    {REGION, "message DropRequests", "*DropRequest requests 1"},
    {REGION, "message DropRequest", "uint64 region_id 1; bool fast_path 2; bool force 3; bool partial_drop 4"},
    {REGION, "message OpenRequest", "uint64 region_id 1; string engine 2; string path 3; string%string options 4"},
    {REGION, "message CloseRequest", "uint64 region_id 1"},
    {REGION, "message AlterRequests", "*AlterRequest requests 1"},
    {REGION, "message AlterRequest",
     "uint64 region_id 1; uint64 schema_version 4; @kind AddColumns add_columns 2; @kind DropColumns drop_columns 3;"
     "@kind greptime.v1.ModifyColumnTypes modify_column_types 5; @kind greptime.v1.SetTableOptions set_table_options 6;"
     "@kind greptime.v1.UnsetTableOptions unset_table_options 9; @kind greptime.v1.SetIndex set_index 10; @kind greptime.v1.UnsetIndex unset_index 11;"
     "@kind greptime.v1.DropDefaults drop_defaults 12; @kind greptime.v1.SetIndexes set_indexes 13; @kind greptime.v1.UnsetIndexes unset_indexes 14;"
     "@kind greptime.v1.SetDefaults set_defaults 15; @kind SyncColumns sync_columns 16"},
    {REGION, "message SyncColumns", "*RegionColumnDef column_defs 1"},
    {REGION, "message AddColumns", "*AddColumn add_columns 1"},
    {REGION, "message DropColumns", "*DropColumn drop_columns 1"},
    {REGION, "message AddColumn", "RegionColumnDef column_def 1; greptime.v1.AddColumnLocation location 3"},
    {REGION, "message DropColumn", "string name 1"},
    {REGION, "message FlushRequest", "uint64 region_id 1"},
    {REGION, "message Regular", ""},
    {REGION, "message StrictWindow", "int64 window_seconds 1"},
    {REGION, "message CompactRequest", "uint64 region_id 1; @options Regular regular 2; @options StrictWindow strict_window 3; uint32 parallelism 4"},
    {REGION, "message TruncateRequest", "uint64 region_id 1; @kind All all 2; @kind greptime.v1.TimeRanges time_ranges 3"},
    {REGION, "message All", ""},
    {REGION, "message RegionColumnDef", "greptime.v1.ColumnDef column_def 1; uint32 column_id 2"},
    {REGION, "message BulkInsertRequest",
     "uint64 region_id 1; @body greptime.v1.ArrowIpc arrow_ipc 2; greptime.v1.PartitionExprVersion partition_expr_version 3"},
    {REGION, "message MitoManifestInfo", "uint64 data_manifest_version 1"},
    {REGION, "message MetricManifestInfo", "uint64 data_manifest_version 1; uint64 metadata_manifest_version 2"},
    {REGION, "message SyncRequest",
     "uint64 region_id 1; @manifest_info MitoManifestInfo mito_manifest_info 2; @manifest_info MetricManifestInfo metric_manifest_info 3"},
    {REGION, "message ListMetadataRequest", "*uint64 region_ids 1"},
    {REGION, "message BuildIndexRequest", "uint64 region_id 1"},
    {REGION, "message ApplyStagingManifestRequest", "uint64 region_id 1; string partition_expr 2; uint64 central_region_id 3; string manifest_path 4"},

    /* ---- what they are made of ---- */
    {META, "message Partition", "*bytes column_list 1; *bytes value_list 2; string expression 3"},
    {COMMON, "message QueryContext",
     "string current_catalog 1; string current_schema 2; string timezone 4; string%string extensions 5; uint32 channel 6; SnapshotSequences snapshot_seqs 7;"
     "ExplainOptions explain 8"},
    {COMMON, "message SnapshotSequences", "uint64%uint64 sst_min_sequences 1; uint64%uint64 snapshot_seqs 7"},
    {COMMON, "message ExplainOptions", "bool verbose 1"},
    {COMMON, "message ResponseHeader", "Status status 1"},
    {COMMON, "message Status", "uint32 status_code 1; string err_msg 2"},
    {COMMON, "message Rows", "*ColumnSchema schema 1; *Row rows 2"},
    {COMMON, "message ColumnSchema",
     "string column_name 1; ColumnDataType datatype 2; SemanticType semantic_type 3; ColumnDataTypeExtension datatype_extension 4; ColumnOptions options 5"},
    {COMMON, "message Row", "*Value values 1"},
    {COMMON, "message Value",
     "@value_data int32 i8_value 1; @value_data int32 i16_value 2; @value_data int32 i32_value 3; @value_data int64 i64_value 4;"
     "@value_data uint32 u8_value 5; @value_data uint32 u16_value 6; @value_data uint32 u32_value 7; @value_data uint64 u64_value 8;"
     "@value_data float f32_value 9; @value_data double f64_value 10; @value_data bool bool_value 11; @value_data bytes binary_value 12;"
     "@value_data string string_value 13; @value_data int32 date_value 14; @value_data int64 datetime_value 15;"
     "@value_data int64 timestamp_second_value 16; @value_data int64 timestamp_millisecond_value 17; @value_data int64 timestamp_microsecond_value 18;"
     "@value_data int64 timestamp_nanosecond_value 19; @value_data int64 time_second_value 20; @value_data int64 time_millisecond_value 21;"
     "@value_data int64 time_microsecond_value 22; @value_data int64 time_nanosecond_value 23; @value_data int32 interval_year_month_value 24;"
     "@value_data int64 interval_day_time_value 25; @value_data IntervalMonthDayNano interval_month_day_nano_value 26;"
     "@value_data Decimal128 decimal128_value 31; @value_data ListValue list_value 40; @value_data StructValue struct_value 41;"
     "@value_data JsonValue json_value 42"},
    {COMMON, "message ListValue", "*Value items 1"},
    {COMMON, "message StructValue", "*Value items 2"},
    {COMMON, "message JsonValue",
     "@value bool boolean 1; @value int64 int 2; @value uint64 uint 3; @value double float 4; @value string str 5; @value JsonList array 6;"
     "@value JsonObject object 7"},
    {COMMON, "message JsonList", "*JsonValue items 1"},
    {COMMON, "message JsonObject", "*JsonEntry entries 1"},
    {COMMON, "message JsonEntry", "string key 1; JsonValue value 2"},
    {COMMON, "enum SemanticType", "TAG 0; FIELD 1; TIMESTAMP 2"},
    {COMMON, "enum ColumnDataType",
     "BOOLEAN 0; INT8 1; INT16 2; INT32 3; INT64 4; UINT8 5; UINT16 6; UINT32 7; UINT64 8; FLOAT32 9; FLOAT64 10; BINARY 11; STRING 12; DATE 13; DATETIME 14;"
     "TIMESTAMP_SECOND 15; TIMESTAMP_MILLISECOND 16; TIMESTAMP_MICROSECOND 17; TIMESTAMP_NANOSECOND 18; TIME_SECOND 19; TIME_MILLISECOND 20;"
     "TIME_MICROSECOND 21; TIME_NANOSECOND 22; INTERVAL_YEAR_MONTH 23; INTERVAL_DAY_TIME 24; INTERVAL_MONTH_DAY_NANO 25; DECIMAL128 30; JSON 31; VECTOR 32;"
     "LIST 40; STRUCT 41; DICTIONARY 42"},
    {COMMON, "message IntervalMonthDayNano", "int32 months 1; int32 days 2; int64 nanoseconds 3"},
    {COMMON, "message Decimal128", "int64 hi 1; int64 lo 2"},
    {COMMON, "enum TimeUnit", "MILLISECOND 0; SECOND 1; MICROSECOND 2; NANOSECOND 3"},
    {COMMON, "message TimeRange", "int64 start 1; int64 end 2"},
    {COMMON, "message TimeRanges", "TimeUnit time_unit 1; *TimeRange time_ranges 2"},
    {COMMON, "message StructField", "string name 1; ColumnDataType datatype 2; ColumnDataTypeExtension datatype_extension 3"},
    {COMMON, "message ColumnDataTypeExtension",
     "@type_ext DecimalTypeExtension decimal_type 1; @type_ext JsonTypeExtension json_type 2; @type_ext VectorTypeExtension vector_type 3;"
     "@type_ext ListTypeExtension list_type 4; @type_ext StructTypeExtension struct_type 5; @type_ext JsonNativeTypeExtension json_native_type 6;"
     "@type_ext DictionaryTypeExtension dictionary_type 7"},
    {COMMON, "message DecimalTypeExtension", "int32 precision 1; int32 scale 2"},
    {COMMON, "enum JsonTypeExtension", "JSON_BINARY 0"},
    {COMMON, "message VectorTypeExtension", "uint32 dim 1"},
    {COMMON, "message ListTypeExtension", "ColumnDataType datatype 1; ColumnDataTypeExtension datatype_extension 2"},
    {COMMON, "message StructTypeExtension", "*StructField fields 1"},
    {COMMON, "message JsonNativeTypeExtension", "ColumnDataType datatype 1; ColumnDataTypeExtension datatype_extension 2"},
    {COMMON, "message DictionaryTypeExtension",
     "ColumnDataType key_datatype 1; ColumnDataTypeExtension key_datatype_extension 2; ColumnDataType value_datatype 3;"
     "ColumnDataTypeExtension value_datatype_extension 4"},
    {COMMON, "message ColumnOptions", "string%string options 1"},
    {COMMON, "message ArrowIpc", "bytes schema 1; bytes data_header 2; bytes payload 3"},
    {COMMON, "message PartitionExprVersion", "uint64 value 1"},
    {COMMON, "message ColumnDef",
     "string name 1; ColumnDataType data_type 2; bool is_nullable 3; bytes default_constraint 4; SemanticType semantic_type 5; string comment 6;"
     "ColumnDataTypeExtension datatype_extension 7; ColumnOptions options 8"},
    {COMMON, "message AddColumnLocation", "LocationType location_type 1; string after_column_name 2"},
    {COMMON, "enum LocationType", "FIRST 0; AFTER 1"},
    {COMMON, "message ModifyColumnTypes", "*ModifyColumnType modify_column_types 1"},
    {COMMON, "message ModifyColumnType", "string column_name 1; ColumnDataType target_type 2; ColumnDataTypeExtension target_type_extension 3"},
    {COMMON, "message Option", "string key 1; string value 2"},
    {COMMON, "message SetTableOptions", "*Option table_options 1"},
    {COMMON, "message UnsetTableOptions", "*string keys 1"},
    {COMMON, "message SetIndexes", "*SetIndex set_indexes 1"},
    {COMMON, "message UnsetIndexes", "*UnsetIndex unset_indexes 1"},
    {COMMON, "message SetIndex", "@options SetFulltext fulltext 1; @options SetInverted inverted 2; @options SetSkipping skipping 3"},
    {COMMON, "message UnsetIndex", "@options UnsetFulltext fulltext 1; @options UnsetInverted inverted 2; @options UnsetSkipping skipping 3"},
    {COMMON, "message SetFulltext",
     "string column_name 1; bool enable 2; Analyzer analyzer 3; bool case_sensitive 4; FulltextBackend backend 5; uint64 granularity 6;"
     "double false_positive_rate 7"},
    {COMMON, "message SetInverted", "string column_name 1"},
    {COMMON, "message SetSkipping",
     "string column_name 1; bool enable 2; uint64 granularity 3; SkippingIndexType skipping_index_type 4; double false_positive_rate 5"},
    {COMMON, "message UnsetFulltext", "string column_name 1"},
    {COMMON, "message UnsetInverted", "string column_name 1"},
    {COMMON, "message UnsetSkipping", "string column_name 1"},
    {COMMON, "enum Analyzer", "ENGLISH 0; CHINESE 1"},
    {COMMON, "enum FulltextBackend", "TANTIVY 0; BLOOM 1"},
    {COMMON, "enum SkippingIndexType", "BLOOM_FILTER 0"},
    {COMMON, "message DropDefaults", "*DropDefault drop_defaults 1"},
    {COMMON, "message DropDefault", "string column_name 1"},
    {COMMON, "message SetDefaults", "*SetDefault set_defaults 1"},
    {COMMON, "message SetDefault", "string column_name 1; bytes default_constraint 2"},
    {NULL, NULL, NULL},
};
