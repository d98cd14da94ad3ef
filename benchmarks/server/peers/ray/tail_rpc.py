"""The gRPC method that Ray Serve's proxy takes: what protoc would make of `rpc Predict(BytesValue) returns (BytesValue)`."""

import grpc
from google.protobuf.wrappers_pb2 import BytesValue


def add_to_server(servicer, server):
    """Put the method on a server."""
    method = grpc.unary_unary_rpc_method_handler(
        servicer.Predict, request_deserializer=BytesValue.FromString, response_serializer=BytesValue.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tail.Tail", {"Predict": method}),))
