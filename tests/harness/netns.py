# SPDX-License-Identifier: Apache-2.0
"""The network namespace of a test run.

`enter()` moves this process into a new, nameless network namespace. Everything that it starts afterwards is in there
too, so that ports never clash with the machine or with another run, nothing can leave, and nothing has to be cleaned
up: the namespace ends with its last process, however that ends. To look in from outside: `nsenter --net --target PID`.

Inside, loopback answers to 127.0.0.0/8 and to all of 10.244.0.0/16: every address 10.244.x.y can be bound without
further ado. These stand for pods (the API server refuses loopback addresses in EndpointSlices). Addresses that a test
wants to take away again come from `add_address`.
"""
import ctypes
import os
import subprocess

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
POD_NETWORK = "10.244.0.0/16"

_entered = False


def _unshare(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare")


def enter():
    """Enters the namespace; once per process, before it has threads. Without root it takes a user namespace as well."""
    global _entered
    if _entered:
        return
    uid, gid = os.getuid(), os.getgid()
    try:
        _unshare(CLONE_NEWNET)
    except PermissionError:
        _unshare(CLONE_NEWUSER | CLONE_NEWNET)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    _ip("link", "set", "lo", "up")
    _ip("route", "add", "local", POD_NETWORK, "dev", "lo")
    _entered = True


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def add_address(address):
    """Adds an address that can be removed again, which cuts the path to it (there is no traffic control here)."""
    _ip("address", "add", f"{address}/32", "dev", "lo")


def remove_address(address):
    _ip("address", "del", f"{address}/32", "dev", "lo")
