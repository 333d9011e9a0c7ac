# SPDX-License-Identifier: Apache-2.0
"""serve_in_root.py FOLDER MANIFESTS LOG: contour in the image's file system FOLDER as the image runs it: read-only, by its uid,
without capabilities, in a network namespace of its own. Ends 0 if it becomes ready, serves a snapshot, and stops cleanly."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness import netns  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.process import Process, free_port, port_is_open  # noqa: E402

UID = "65532"


def main():
    root, manifests, log = sys.argv[1:]
    netns.enter()
    http_port, xds_port = free_port(), free_port()
    script = ('set -e; mount --make-rprivate /; mount --bind "$1" "$1"; mount --bind "$2" "$1/tmp"; mount -o remount,bind,ro "$1"; '
              'mount -o remount,bind,ro "$1/tmp"; root=$1; shift 2; '
              f'exec setpriv --no-new-privs chroot --userspec={UID}:{UID} --groups= "$root" "$@"')
    process = Process("contour in its image", [
        "unshare", "--mount", "bash", "-c", script, "image", root, manifests,
        "/bin/contour", "serve", "--manifests", "/tmp", "--insecure", "--xds-address", "127.0.0.1", "--xds-port", xds_port,
        "--http-address", "127.0.0.1", "--http-port", http_port], log).start()
    try:
        client = Client("127.0.0.1", http_port)
        process.wait(lambda: client.get("contour", "/readyz").status == 200, "/readyz", 30)
        process.wait(lambda: port_is_open("127.0.0.1", xds_port), "its xDS port", 10)
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        assert f"Uid:\t{UID}\t{UID}" in status and "CapEff:\t0000000000000000" in status, status
        assert 'contour_manifests_objects 0' not in client.get("contour", "/metrics").body.decode()
        assert process.stop() == 0, process.tail()
    finally:
        process.kill()
    print("ready, served, stopped")


if __name__ == "__main__":
    main()
