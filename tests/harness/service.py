# SPDX-License-Identifier: Apache-2.0
"""Takes the place of kube-proxy: an address that leads to the endpoints that an EndpointSlice has when a connection is
made. Connections stay open, whatever becomes of the slice. While the API server is away, the last known
endpoints count."""
import select
import socket
import threading

from .cluster import ApiError


class ServiceAddress:
    """service = ServiceAddress(read, "10.244.0.9", 8001).start(); …; service.stop()

    read() → [(address, port)], or raises OSError while the API server can't be reached.
    """

    def __init__(self, read, address, port, interval=0.05):
        self._read, self._interval = read, interval
        self._listener = socket.create_server((address, port), backlog=128)
        self.address, self.port = self._listener.getsockname()
        self.endpoints = []
        self._stopped = threading.Event()
        self._threads = []

    def start(self):
        for target in (self._follow, self._accept):
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self):
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _follow(self):
        while not self._stopped.is_set():
            try:
                self.endpoints = self._read()
            except OSError:
                pass
            self._stopped.wait(self._interval)

    def _accept(self):
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._forward, args=(client,), daemon=True)
            thread.start()

    def _forward(self, client):
        with client:
            if not self.endpoints:
                return
            try:
                server = socket.create_connection(self.endpoints[0], timeout=5)
            except OSError:
                return
            with server:
                others = {client: server, server: client}
                while not self._stopped.is_set():
                    ready, _, _ = select.select([client, server], [], [], 0.2)
                    for source in ready:
                        try:
                            data = source.recv(65536)
                            if not data:
                                return
                            others[source].sendall(data)
                        except OSError:
                            return


def slice_endpoints(api, namespace, name):
    """A read() for ServiceAddress."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}"

    def read():
        try:
            value = api.request("GET", path, timeout=1)
        except ApiError as error:
            if error.status == 404:
                return []
            raise OSError(str(error)) from None
        return [(address, value["ports"][0]["port"])
                for endpoint in value.get("endpoints") or [] for address in endpoint["addresses"]]
    return read
