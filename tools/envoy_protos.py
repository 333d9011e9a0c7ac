# SPDX-License-Identifier: Apache-2.0
"""Writes Envoy's v3 API as C++ from the pinned package `xds-protos`.

The package carries no .proto text, but each of its modules holds its serialized descriptor. This script imports the
root modules, walks their dependencies, writes one FileDescriptorSet and lets protoc make C++ of it. Only the closure
of the roots in use is generated: each further file costs two seconds of compilation.

usage: envoy_protos.py ROOTS_FILE OUTPUT_DIR PROTOC GRPC_CPP_PLUGIN
Prints the generated .cc files, one a line.
"""
import importlib
import pathlib
import subprocess
import sys

from google.protobuf import descriptor_pb2


def closure(root_paths):
    """All descriptors that the roots need, dependencies first."""
    ordered, seen = [], set()

    def visit(descriptor):
        if descriptor.name in seen:
            return
        seen.add(descriptor.name)
        for dependency in descriptor.dependencies:
            visit(dependency)
        ordered.append(descriptor)

    for path in root_paths:
        module = importlib.import_module(path.removesuffix(".proto").replace("/", ".") + "_pb2")
        visit(module.DESCRIPTOR)
    return ordered


def main():
    roots_file, output, protoc, plugin = sys.argv[1:5]
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    lines = [line.split("#")[0].strip() for line in pathlib.Path(roots_file).read_text().splitlines()]
    roots = [line for line in lines if line]
    files = descriptor_pb2.FileDescriptorSet()
    for descriptor in closure(roots):
        descriptor.CopyToProto(files.file.add())
    descriptor_set = output / "envoy.fds"
    descriptor_set.write_bytes(files.SerializeToString(deterministic=True))

    # libprotobuf has google/protobuf itself.
    messages = [f.name for f in files.file if not f.name.startswith("google/protobuf/")]
    services = [f.name for f in files.file if f.service and f.name in roots]
    common = [protoc, f"--descriptor_set_in={descriptor_set}"]
    subprocess.run(common + [f"--cpp_out={output}"] + messages, check=True)
    subprocess.run(common + [f"--plugin=protoc-gen-grpc={plugin}", f"--grpc_out={output}"] + services, check=True)
    for name in messages:
        print(output / (name.removesuffix(".proto") + ".pb.cc"))
    for name in services:
        print(output / (name.removesuffix(".proto") + ".grpc.pb.cc"))


if __name__ == "__main__":
    main()
