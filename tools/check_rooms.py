#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the tree against the table of rooms below, the one place that says which folder of src/ may know what.

Checked: includes of our own headers (also between the folders of a room), includes of libraries, locks, the link lines
of src/*/CMakeLists.txt, the licence line of every source file, and that no text names a path of the machine on which it
was written.

usage: check_rooms.py [--table] [ROOT]
Prints `file:line: rule` for each breach and exits 1. With --table it prints the table as Markdown (docs/architecture.md
shows it; a test compares the two).
"""
import dataclasses
import fnmatch
import pathlib
import re
import subprocess
import sys

# ---- The table ------------------------------------------------------------------------------------------------------

# Libraries by the word in their include path, and by the words in a CMake link line.
LIBRARIES = {
    "protobuf": (r"^google/protobuf/|\.pb\.h$", r"protobuf|envoy_protos"),
    "gRPC": (r"^grpc(pp)?/|\.grpc\.pb\.h$", r"grpc"),
    "curl": (r"^curl/", r"curl|CURL"),
    "OpenSSL": (r"^openssl/", r"OpenSSL"),
    "simdjson": (r"^simdjson", r"simdjson"),
    "nlohmann": (r"^nlohmann/", r"nlohmann"),
    "yaml-cpp": (r"^yaml-cpp/", r"yaml"),
    "CLI11": (r"^CLI/", r"CLI11"),
    "httplib": (r"^httplib\.h$", r"httplib"),
    "prometheus": (r"^prometheus/", r"prometheus"),
    "RE2": (r"^re2/", r"re2"),
    "gperftools": (r"^gperftools/", r"profiler|gperftools"),
    "spdlog": (r"^spdlog/", r"spdlog"),
}
# Headers and names that make code hard to test. Rooms marked `pure` have none: they are functions of their arguments.
# (<arpa/inet.h> and <ctime> are no breach: inet_pton and std::tm are values; functions that read the clock are found by name.)
IMPURE_HEADERS = (
    r"^(thread|mutex|shared_mutex|condition_variable|future|atomic|semaphore|latch|barrier|stop_token|random|fstream|"
    r"filesystem|iostream|unistd\.h|poll\.h|netdb\.h|fcntl\.h|signal\.h|pthread\.h)$"
    r"|^(sys|net)/|^absl/synchronization/|^absl/time/clock\.h$"
)
IMPURE_WORDS = (r"\b(system_clock|steady_clock|high_resolution_clock|absl::Now|localtime|std::time(?=\()|std::getenv|"
                r"std::this_thread)")
# clang's analysis of locks sees contour::Mutex only.
LOCKS = r"\bstd::(shared_|recursive_|timed_)?(mutex|condition_variable\w*)\b"
OWN_LOCKS = ("src/base/mutex.h",)


@dataclasses.dataclass(frozen=True)
class Room:
    purpose: str
    rooms: tuple  # other rooms whose headers it may include and whose library it may link
    libraries: tuple  # of LIBRARIES
    pure: bool = False


EVERY_ROOM = ("base", "crypto", "api", "kube", "file", "graph", "envoy", "xds", "core", "status", "leader", "report",
              "admin", "config", "certgen", "serve")
ROOMS = {
    "base": Room("status helpers, strings, hashes, log, YAML: what every room needs", (), ("spdlog", "yaml-cpp", "simdjson")),
    "crypto": Room("certificates, private keys and digests with OpenSSL", ("base",), ("OpenSSL",), True),
    "api": Room("the Kubernetes kinds that we read: structs and their parsing", ("base",), ("simdjson",)),
    "kube": Room("the API server's client", ("api", "crypto", "base"), ("curl", "simdjson", "nlohmann", "yaml-cpp")),
    "file": Room("the same objects from a folder of manifests", ("api", "base"), ("nlohmann", "simdjson")),
    "graph": Room("store, tracked derivation, the meaning of the objects", ("api", "crypto", "base"), ("OpenSSL", "RE2", "nlohmann"),
                  True),
    "envoy": Room("graph → Envoy's v3 messages, and the bootstrap", ("graph", "crypto", "base"), ("protobuf",), True),
    "xds": Room("snapshot, streams, ordering, ACK and NACK", ("base",), ("protobuf", "gRPC")),
    "core": Room("the core thread: what the sources deliver → graph → envoy → the next snapshot and the wanted statuses",
                 ("api", "graph", "envoy", "xds", "base"), ()),
    "status": Room("wanted statuses → compare → write", ("kube", "api", "graph", "base"), ("nlohmann", "simdjson")),
    "leader": Room("the lock: ConfigMap or Lease", ("kube", "base"), ("nlohmann", "simdjson")),
    "report": Room("what people read of a snapshot, a host, an object or an Envoy: text, JSON, Graphviz",
                   ("core", "xds", "envoy", "graph", "api", "base"), ("protobuf", "nlohmann", "yaml-cpp"), True),
    "admin": Room("HTTP: metrics, health, debug, profiles", ("report", "core", "xds", "envoy", "graph", "api", "base"),
                  ("httplib", "prometheus", "nlohmann", "gperftools")),
    "config": Room("file + environment + flags → one immutable Config", ("base",), ("nlohmann", "CLI11")),
    "certgen": Room("contour's own certificates: an authority, key pairs, their expiry", ("crypto", "base"), ("OpenSSL",)),
    "serve": Room("parts of the serving process that stand between rooms: sources and writers, snapshot file, TLS files",
                  ("crypto", "certgen", "config", "kube", "file", "graph", "xds", "core", "status", "leader", "admin", "api",
                   "base"), ()),
    "cmd": Room("one file per subcommand; serve.cc wires the rooms", EVERY_ROOM, tuple(LIBRARIES)),
}
# Headers that may be included of a room listed above: the values that pass between the rooms, not how they are made.
ONLY_HEADERS = {
    ("envoy", "graph"): ("graph/model/*.h",),
    ("status", "graph"): ("graph/model/*.h", "graph/kinds/kinds.h"),
    ("serve", "admin"): ("admin/metrics.h", "admin/ingress_route_counts.h"),
    ("serve", "graph"): ("graph/model/*.h",),
    ("report", "graph"): ("graph/model/*.h", "graph/engine/view.h", "graph/kinds/kinds.h"),
    ("report", "core"): ("core/view.h",),
    ("report", "envoy"): ("envoy/names.h",),
    ("report", "api"): ("api/object.h",),
    ("report", "xds"): ("xds/snapshot/snapshot.h", "xds/session/views.h"),
    ("admin", "graph"): ("graph/model/*.h", "graph/engine/view.h", "graph/kinds/kinds.h"),
    ("admin", "core"): ("core/view.h",),
    ("admin", "envoy"): ("envoy/names.h",),
    ("admin", "api"): ("api/object.h",),
    ("admin", "xds"): ("xds/snapshot/snapshot.h", "xds/session/views.h"),
}
# Inside a room: which of its folders may include which others. Tests, and a room that isn't listed, may include any. The folders
# below one of them (the kinds of graph/) may not include each other; what lies in it directly may include them all.
FOLDERS = {
    "graph": {"model": (), "engine": ("model",), "policy": ("engine", "model"), "kinds": ("policy", "engine", "model")},
    "xds": {"snapshot": (), "session": ("snapshot",), "wire": ("session", "snapshot"),
            "fleet": ("wire", "session", "snapshot"), "grpc": ("fleet", "wire", "session", "snapshot")},
}
# Generated protobuf headers are slow to compile, so only .cc files of these rooms include them.
PROTOBUF_ROOMS = ("envoy", "xds", "cmd")
# Libraries that a test of a room may use to build its input.
TEST_ONLY_LIBRARIES = ("protobuf", "nlohmann", "yaml-cpp", "OpenSSL", "simdjson")

# ---- The checks -----------------------------------------------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LICENCE = "SPDX-License-Identifier: Apache-2.0"
NEEDS_LICENCE = (".cc", ".h", ".py", ".cmake", ".go", ".sh", ".proto", ".clang-format", ".clang-tidy")
NEEDS_LICENCE_NAMES = ("CMakeLists.txt", "dev", "run")
# Spelt so that this file passes its own check.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:wor[k]|roo[t])/|/tmp/[w]/")
BINARY = (".png", ".jpg", ".pem", ".sum", ".bin", ".ico")


def files_of(root):
    """The files of the checkout, tracked or about to be, as paths relative to root."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:  # not a git checkout: the test of this script
        names = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    return sorted(pathlib.PurePosixPath(name) for name in names if (root / name).is_file())


def is_test(path):
    return path.stem.endswith(("_test", "_bench", "_fuzz")) or "testing" in path.stem


def check_folder(path, room_name, include):
    """The rule between the folders of one room that an include line breaks, if any."""
    here, there = path.parts[2:-1], tuple(include.split("/")[1:-1])
    if room_name not in FOLDERS or is_test(path) or not here or here == there:
        return
    allowed = FOLDERS[room_name].get(here[0])
    if allowed is None:
        yield f"src/{room_name}/{here[0]}/ is not in the table of folders (tools/check_rooms.py)"
    elif there[:1] == here[:1]:
        if there[:len(here)] != here:
            yield f"{'/'.join((room_name, *here))}/ may not include {'/'.join((room_name, *there))}/"
    elif not there or there[0] not in allowed:
        inside = ", ".join(allowed) or "nothing"
        yield f"{room_name}/{here[0]}/ may not include {'/'.join((room_name, *there))}/ (inside the room it may: {inside})"


def check_include(path, room_name, include):
    """Returns the rules that an include line breaks."""
    room = ROOMS[room_name]
    test = is_test(path)
    owner = include.split("/")[0]
    if owner in ROOMS and "/" in include and not include.endswith(".pb.h"):
        if owner == room_name:
            yield from check_folder(path, room_name, include)
            return
        if owner == "cmd":
            yield "nothing may include cmd/"
        elif owner not in room.rooms and not (test and owner in ("api", "base")):
            yield f"{room_name}/ may not include {owner}/ (it may: {', '.join(room.rooms) or 'nothing'})"
        elif not test:
            allowed = ONLY_HEADERS.get((room_name, owner))
            if allowed and not any(fnmatch.fnmatch(include, pattern) for pattern in allowed):
                yield f"of {owner}/, {room_name}/ may include only {', '.join(allowed)}"
        return
    for library, (pattern, _) in LIBRARIES.items():
        if not re.search(pattern, include):
            continue
        if library == "protobuf" and re.search(LIBRARIES["gRPC"][0], include):
            continue  # named once, as gRPC
        if library not in room.libraries and not (test and library in TEST_ONLY_LIBRARIES):
            yield f"{room_name}/ may not include {library} (<{include}>)"
        elif include.endswith(".pb.h"):
            if room_name not in PROTOBUF_ROOMS and not test:
                yield f"generated protobuf headers belong in .cc files of {', '.join(PROTOBUF_ROOMS)}"
            elif path.suffix == ".h" and not path.stem.endswith("_internal"):
                yield "a generated protobuf header in a header: forward-declare the messages instead"
    if room.pure and not test and re.search(IMPURE_HEADERS, include):
        yield f"{room_name}/ is pure: no threads, clocks, sockets or files (<{include}>)"


def check_source(root, path):
    room_name = path.parts[1]
    if room_name not in ROOMS:
        yield 1, f"src/{room_name}/ is not in the table of rooms (tools/check_rooms.py)"
        return
    for number, line in enumerate((root / path).read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            for rule in check_include(path, room_name, match.group(2)):
                yield number, rule
        elif ROOMS[room_name].pure and not is_test(path):
            word = re.search(IMPURE_WORDS, line.split("//")[0])
            if word:
                yield number, f"{room_name}/ is pure: no {word.group(1)}"
        elif not is_test(path) and str(path) not in OWN_LOCKS:
            word = re.search(LOCKS, line.split("//")[0])
            if word:
                yield number, f"no {word.group()}, but contour::Mutex (base/mutex.h), whose use clang checks"


def check_links(root, path):
    """Words of a room's CMakeLists.txt that name a room or library outside its row."""
    room_name = path.parts[1]
    room = ROOMS.get(room_name)
    if room is None:
        return
    section = None
    for number, line in enumerate((root / path).read_text().splitlines(), 1):
        for word in line.split("#")[0].replace("(", " ").replace(")", " ").split():
            if word.isupper() or word in ("TEST_LIBS", "PRIVATE_LIBS"):
                section = word
                continue
            if section == "ROOMS" or (section in ("LIBS", "PRIVATE_LIBS") and word.startswith("contour_")):
                other = word.removeprefix("contour_")
                if other in ROOMS and other not in room.rooms:
                    yield number, f"{room_name}/ may not link {other}/"
            elif section in ("LIBS", "PRIVATE_LIBS"):
                for library, (_, pattern) in LIBRARIES.items():
                    if library == "protobuf" and room_name in PROTOBUF_ROOMS:
                        continue
                    if re.search(pattern, word) and library not in room.libraries:
                        yield number, f"{room_name}/ may not link {library} ({word})"


def check_text(root, path):
    try:
        text = (root / path).read_text()
    except UnicodeDecodeError:
        return
    named = path.suffix in NEEDS_LICENCE or path.name in NEEDS_LICENCE_NAMES or path.name in NEEDS_LICENCE
    if named and text.strip() and LICENCE not in "\n".join(text.splitlines()[:5]):
        yield 1, f"no line `{LICENCE}` at the top"
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATHS.search(line):
            yield number, "names a path of the machine on which it was written"


def breaches(root):
    for path in files_of(root):
        if path.suffix in BINARY or path.name == "LICENSE":
            continue
        yield from ((path, number, rule) for number, rule in check_text(root, path))
        if path.parts[0] == "src" and len(path.parts) > 2:
            if path.suffix in (".cc", ".h"):
                yield from ((path, number, rule) for number, rule in check_source(root, path))
            elif path.name == "CMakeLists.txt":
                yield from ((path, number, rule) for number, rule in check_links(root, path))


def table():
    """The table of rooms as Markdown."""
    lines = ["| Room | Purpose | May know | Libraries | Pure |", "|---|---|---|---|---|"]
    for name, room in ROOMS.items():
        rooms = "all" if name == "cmd" else ", ".join(room.rooms) or "nothing"
        libraries = "all" if name == "cmd" else ", ".join(room.libraries)
        lines.append(f"| `src/{name}/` | {room.purpose} | {rooms} | {libraries} | {'yes' if room.pure else ''} |")
    return "\n".join(lines)


def main(arguments):
    if arguments[:1] == ["--table"]:
        print(table())
        return 0
    root = pathlib.Path(arguments[0] if arguments else __file__).resolve()
    if not arguments:
        root = root.parent.parent
    found = 0
    for path, number, rule in breaches(root):
        print(f"{path}:{number}: {rule}")
        found += 1
    if found:
        print(f"check_rooms: {found} breaches; the table is in tools/check_rooms.py", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
