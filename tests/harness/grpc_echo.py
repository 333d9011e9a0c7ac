# SPDX-License-Identifier: Apache-2.0
"""A gRPC backend, and so one that speaks only HTTP/2: any unary method answers `NAME: ` and the bytes of the request."""
import argparse
import concurrent.futures
import pathlib

import grpc


class Echo(grpc.GenericRpcHandler):
    def __init__(self, name):
        self.name = name

    def service(self, handler_call_details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self.name.encode() + b": " + request)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", type=pathlib.Path)
    parser.add_argument("--key", type=pathlib.Path)
    arguments = parser.parse_args()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[Echo(arguments.name)])
    target = f"{arguments.address}:{arguments.port}"
    if arguments.certificate:
        pair = (arguments.key.read_bytes(), arguments.certificate.read_bytes())
        server.add_secure_port(target, grpc.ssl_server_credentials([pair]))
    else:
        server.add_insecure_port(target)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
