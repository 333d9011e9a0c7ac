# SPDX-License-Identifier: Apache-2.0
"""A gRPC proxy between one Envoy and contour that damages each certificate on the way, so that a real Envoy refuses what the
others take.

usage: damaging_proxy.py PORT TARGET_PORT     listens on every address, forwards to 127.0.0.1
"""
import concurrent.futures
import re
import sys

import grpc

# The length stays, so that the messages around it stay readable; what is left is no certificate.
BEGINNING = re.compile(rb"(-----BEGIN CERTIFICATE-----\n).{16}")
STREAMS = 64


def damaged(message):
    return BEGINNING.sub(rb"\1" + b"A" * 16, message)


class Forward(grpc.GenericRpcHandler):
    def __init__(self, target):
        self._channel = grpc.insecure_channel(target, options=[("grpc.max_receive_message_length", -1)])

    def service(self, details):
        method = self._channel.stream_stream(details.method)

        def forward(requests, context):
            call = method(requests)
            context.add_callback(call.cancel)
            try:
                for response in call:
                    yield damaged(response)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.stream_stream_rpc_method_handler(forward)


def main():
    port, target_port = sys.argv[1:]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(STREAMS), handlers=[Forward(f"127.0.0.1:{target_port}")],
                         options=[("grpc.max_send_message_length", -1)])
    server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
