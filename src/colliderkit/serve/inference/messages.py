"""Make the protobuf messages of the KServe v2 protocol (gRPC) from their field table."""

from functools import cache
from typing import Any

__all__ = ["SERVICE", "message_class"]

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

# The messages of the public protocol, with the numbers and kinds of their fields on the wire; those
# of Triton's extensions too. A field is ``number kind[*] name``, where ``*`` repeats it and ``@``
# makes it a map from strings; ``|`` before it is a choice of one. Fields that no model of ours uses
# are left out: protobuf keeps what it does not know.
MESSAGES = """
ServerLiveRequest
ServerLiveResponse: 1 bool live
ServerReadyRequest
ServerReadyResponse: 1 bool ready
ModelReadyRequest: 1 string name, 2 string version
ModelReadyResponse: 1 bool ready
ServerMetadataRequest
ServerMetadataResponse: 1 string name, 2 string version, 3 string* extensions
ModelMetadataRequest: 1 string name, 2 string version
TensorMetadata: 1 string name, 2 string datatype, 3 int64* shape
ModelMetadataResponse: 1 string name, 2 string* versions, 3 string platform,
    4 TensorMetadata* inputs, 5 TensorMetadata* outputs

InferParameter: |1 bool bool_param, |2 int64 int64_param, |3 string string_param,
    |4 double double_param, |5 uint64 uint64_param
InferTensorContents: 1 bool* bool_contents, 2 int32* int_contents, 3 int64* int64_contents,
    4 uint32* uint_contents, 5 uint64* uint64_contents, 6 float* fp32_contents,
    7 double* fp64_contents, 8 bytes* bytes_contents
InferInputTensor: 1 string name, 2 string datatype, 3 int64* shape,
    4 InferParameter@ parameters, 5 InferTensorContents contents
InferRequestedOutputTensor: 1 string name, 2 InferParameter@ parameters
InferOutputTensor: 1 string name, 2 string datatype, 3 int64* shape,
    4 InferParameter@ parameters, 5 InferTensorContents contents
ModelInferRequest: 1 string model_name, 2 string model_version, 3 string id,
    4 InferParameter@ parameters, 5 InferInputTensor* inputs,
    6 InferRequestedOutputTensor* outputs, 7 bytes* raw_input_contents
ModelInferResponse: 1 string model_name, 2 string model_version, 3 string id,
    4 InferParameter@ parameters, 5 InferOutputTensor* outputs, 6 bytes* raw_output_contents
ModelStreamInferResponse: 1 string error_message, 2 ModelInferResponse infer_response

ModelConfigRequest: 1 string name, 2 string version
ModelConfigResponse: 1 ModelConfig config
ModelVersionPolicy: |1 LatestVersions latest, |2 AllVersions all, |3 SpecificVersions specific
LatestVersions: 1 uint32 num_versions
AllVersions
SpecificVersions: 1 int64* versions
ModelTensorReshape: 1 int64* shape
ModelInput: 1 string name, 2 DataType data_type, 4 int64* dims, 5 ModelTensorReshape reshape,
    7 bool allow_ragged_batch, 8 bool optional
ModelOutput: 1 string name, 2 DataType data_type, 3 int64* dims, 4 string label_filename,
    5 ModelTensorReshape reshape
ModelInstanceGroup: 1 string name, 2 int32 count, 3 int32* gpus, 4 InstanceKind kind
ModelQueuePolicy: 1 TimeoutAction timeout_action, 2 uint64 default_timeout_microseconds,
    3 bool allow_timeout_override, 4 uint32 max_queue_size
ModelDynamicBatching: 1 int32* preferred_batch_size, 2 uint64 max_queue_delay_microseconds,
    3 bool preserve_ordering, 6 ModelQueuePolicy default_queue_policy
ModelParameter: 1 string string_value
ModelConfig: 1 string name, 2 string platform, 3 ModelVersionPolicy version_policy,
    4 int32 max_batch_size, 5 ModelInput* input, 6 ModelOutput* output,
    7 ModelInstanceGroup* instance_group, 8 string default_model_filename,
    11 ModelDynamicBatching dynamic_batching, 14 ModelParameter@ parameters, 17 string backend

ModelStatisticsRequest: 1 string name, 2 string version
ModelStatisticsResponse: 1 ModelStatistics* model_stats
ModelStatistics: 1 string name, 2 string version, 3 uint64 last_inference,
    4 uint64 inference_count, 5 uint64 execution_count, 6 InferStatistics inference_stats,
    7 InferBatchStatistics* batch_stats
StatisticDuration: 1 uint64 count, 2 uint64 ns
InferStatistics: 1 StatisticDuration success, 2 StatisticDuration fail,
    3 StatisticDuration queue, 4 StatisticDuration compute_input,
    5 StatisticDuration compute_infer, 6 StatisticDuration compute_output
InferBatchStatistics: 1 uint64 batch_size, 2 StatisticDuration compute_input,
    3 StatisticDuration compute_infer, 4 StatisticDuration compute_output

RepositoryIndexRequest: 1 string repository_name, 2 bool ready
RepositoryIndexResponse: 1 ModelIndex* models
ModelIndex: 1 string name, 2 string version, 3 string state, 4 string reason
"""
ENUMS = {
    "DataType": (
        "TYPE_INVALID TYPE_BOOL TYPE_UINT8 TYPE_UINT16 TYPE_UINT32 TYPE_UINT64 TYPE_INT8 TYPE_INT16"
        " TYPE_INT32 TYPE_INT64 TYPE_FP16 TYPE_FP32 TYPE_FP64 TYPE_STRING TYPE_BF16"
    ),
    "InstanceKind": "KIND_AUTO KIND_GPU KIND_CPU KIND_MODEL",
    "TimeoutAction": "REJECT DELAY",
}
KINDS = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9,
    "bytes": 12, "uint32": 13,
}  # fmt: skip
MESSAGE, ENUM = 11, 14
ONE, REPEATED = 1, 3


@cache
def message_class(name: str) -> Any:
    """Return the class of a message, such as ``ModelInferRequest``.

    The classes are made once, in a pool of their own: other packages of the same process may have
    generated code for the same protocol.
    """
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(
        name="colliderkit/kserve_v2.proto", package=PACKAGE, syntax="proto3"
    )
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values.split()):
            enum.value.add(name=value, number=number)
    for line in MESSAGES.replace(",\n", ",").splitlines():
        if not line.strip():
            continue
        name, _, fields = line.partition(":")
        message = file.message_type.add(name=name.strip())
        for field in fields.split(",") if fields else ():
            _add_field(message, *field.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _add_field(message: Any, number: str, kind: str, name: str) -> None:
    """Add a field of the table to a message."""
    field = message.field.add(name=name, number=int(number.lstrip("|")), label=ONE)
    if number.startswith("|"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="choice")
        field.oneof_index = 0
    if kind.endswith("*"):
        field.label = REPEATED
    if kind.endswith("@"):  # on the wire, a map is repeated pairs of a key and a value
        pair = "".join(word.title() for word in name.split("_")) + "Entry"
        entry = message.nested_type.add(name=pair)
        entry.options.map_entry = True
        _add_field(entry, "1", "string", "key")
        _add_field(entry, "2", kind[:-1], "value")
        field.label, field.type = REPEATED, MESSAGE
        field.type_name = f".{PACKAGE}.{message.name}.{pair}"
        return
    kind = kind.rstrip("*")
    if kind in KINDS:
        field.type = KINDS[kind]
    else:
        field.type = ENUM if kind in ENUMS else MESSAGE
        field.type_name = f".{PACKAGE}.{kind}"
