"""The messages of the Open Inference Protocol are those of its clients, to the byte and to the field number."""

import re
from importlib import resources

import numpy as np

from isthmus.contract.generated import open_inference_pb2 as wire

PROTO = (resources.files("isthmus.contract") / "open_inference.proto").read_text(encoding="utf-8")
REQUEST = "0a0474696e791201311a05736576656e220e0a0774696d656f757412031088272a110a05636f6465731204494e54381a02010232080a0673636f7265733a02ff07"  # noqa: E501
RESPONSE = "0a0474696e791201311a05736576656e221b0a15747269746f6e5f66696e616c5f726573706f6e7365120208012a120a0673636f7265731204465033321a02010132040000c03f"  # noqa: E501
CONFIG = "0a5d0a0474696e7912106f6e6e7872756e74696d655f6f6e6e7820402a0c0a05636f6465731006220104320d0a0673636f726573100b1a010572160a0e697374686d75732e706f696e747312040a027b7d8a010b6f6e6e7872756e74696d65"  # noqa: E501
INDEX = "0a100a0474696e791201311a055245414459"
UNLOAD = "120474696e791a170a11756e6c6f61645f646570656e64656e747312020800"
"""As the messages of tritonclient 2.73.0 serialise the same."""


def written(message):
    return message.SerializeToString(deterministic=True).hex()


def test_a_request_is_that_of_tritonclient():
    request = wire.ModelInferRequest(model_name="tiny", model_version="1", id="seven")
    request.parameters["timeout"].int64_param = 5000
    request.inputs.add(name="codes", datatype="INT8", shape=[1, 2])
    request.outputs.add(name="scores")
    request.raw_input_contents.append(np.array([-1, 7], np.int8).tobytes())
    assert written(request) == REQUEST


def test_a_response_is_that_of_tritonclient():
    response = wire.ModelInferResponse(model_name="tiny", model_version="1", id="seven")
    response.parameters["triton_final_response"].bool_param = True
    response.outputs.add(name="scores", datatype="FP32", shape=[1, 1])
    response.raw_output_contents.append(np.float32([1.5]).tobytes())
    assert written(response) == RESPONSE


def test_a_configuration_is_that_of_tritonclient():
    config = wire.ModelConfig(name="tiny", platform="onnxruntime_onnx", backend="onnxruntime", max_batch_size=64)
    config.input.add(name="codes", data_type="TYPE_INT8", dims=[4])
    config.output.add(name="scores", data_type="TYPE_FP32", dims=[5])
    config.parameters["isthmus.points"].string_value = "{}"
    assert written(wire.ModelConfigResponse(config=config)) == CONFIG


def test_the_repositorys_messages_are_those_of_tritonclient():
    index = wire.RepositoryIndexResponse(models=[{"name": "tiny", "version": "1", "state": "READY"}])
    unload = wire.RepositoryModelUnloadRequest(model_name="tiny")
    unload.parameters["unload_dependents"].bool_param = False
    assert (written(index), written(unload)) == (INDEX, UNLOAD)


def test_elements_are_in_the_fields_of_the_protocol():
    fields = {field.name: field.number for field in wire.InferTensorContents.DESCRIPTOR.fields}
    assert fields == {
        "bool_contents": 1,
        "int_contents": 2,
        "int64_contents": 3,
        "uint_contents": 4,
        "uint64_contents": 5,
        "fp32_contents": 6,
        "fp64_contents": 7,
        "bytes_contents": 8,
    }
    choices = {field.name: field.number for field in wire.InferParameter.DESCRIPTOR.fields}
    assert choices == {"bool_param": 1, "int64_param": 2, "string_param": 3, "double_param": 4, "uint64_param": 5}


def test_generated_code_has_every_message_and_method_of_the_proto():
    service = wire.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert service.full_name == "inference.GRPCInferenceService"
    assert list(service.methods_by_name) == re.findall(r"^  rpc (\w+)", PROTO, re.MULTILINE)
    assert list(wire.DESCRIPTOR.message_types_by_name) == re.findall(r"^message (\w+)", PROTO, re.MULTILINE)
