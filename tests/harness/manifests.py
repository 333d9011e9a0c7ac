# SPDX-License-Identifier: Apache-2.0
"""Folders of manifests, and the three ways in which people change files in them."""
import os
import pathlib
import shutil
import textwrap


def replace(path, text):
    """Replaces a file atomically: writes a new one beside it and renames it. Editors and deploy tools do this."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_in_place(path, text):
    """Truncates a file and writes it again, so a reader may see half of it. `cat > file` does this."""
    with open(path, "w", encoding="utf-8") as file:
        half = len(text) // 2
        file.write(text[:half])
        file.flush()
        file.write(text[half:])


class ConfigMapVolume:
    """A folder in the form in which kubelet mounts a ConfigMap: every file is a link through `..data`, a link that is replaced.

    volume = ConfigMapVolume(folder)
    volume.update({"routes.yaml": text})
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._generation = 0

    def update(self, files):
        self._generation += 1
        data = self.folder / f"..2026_01_01_00_00_00.{self._generation:09d}"
        data.mkdir()
        for name, text in files.items():
            (data / name).write_text(text, encoding="utf-8")
        temporary = self.folder / "..data_tmp"
        os.symlink(data.name, temporary)
        link = self.folder / "..data"
        old = os.readlink(link) if link.is_symlink() else None
        os.replace(temporary, link)
        for name in files:
            entry = self.folder / name
            if not entry.is_symlink():
                os.symlink(f"..data/{name}", entry)
        if old:
            shutil.rmtree(self.folder / old)


def service(name, address, port, namespace="default", annotations=None):
    """Returns a Service with one unnamed port 80 and its EndpointSlice, which leads to address:port."""
    lines = "".join(f"\n    {key}: {value!r}" for key, value in (annotations or {}).items())
    metadata = f"\n  annotations:{lines}" if lines else ""
    return textwrap.dedent(f"""\
        apiVersion: v1
        kind: Service
        metadata:
          name: {name}
          namespace: {namespace}@metadata@
        spec:
          ports:
          - port: 80
            targetPort: {port}
        ---
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata:
          name: {name}-1
          namespace: {namespace}
          labels:
            kubernetes.io/service-name: {name}
        addressType: IPv4
        endpoints:
        - addresses: ["{address}"]
          conditions: {{ready: true}}
        ports:
        - port: {port}
          protocol: TCP
        ---
        """).replace("@metadata@", metadata)


def ingress(name, host, service, path="/", namespace="default"):
    """Returns an Ingress with one rule that leads to port 80 of the Service."""
    return textwrap.dedent(f"""\
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          name: {name}
          namespace: {namespace}
        spec:
          rules:
          - host: {host}
            http:
              paths:
              - path: {path}
                pathType: Prefix
                backend:
                  service:
                    name: {service}
                    port: {{number: 80}}
        ---
        """)


def ingress_route(name, fqdn, services, match="/", namespace="default"):
    """Returns a root IngressRoute with one route; services: name → weight (None: no weight)."""
    listed = ""
    for service_name, weight in services.items():
        listed += f"\n    - name: {service_name}\n      port: 80"
        if weight is not None:
            listed += f"\n      weight: {weight}"
    return textwrap.dedent(f"""\
        apiVersion: contour.heptio.com/v1beta1
        kind: IngressRoute
        metadata:
          name: {name}
          namespace: {namespace}
        spec:
          virtualhost:
            fqdn: {fqdn}
          routes:
          - match: {match}
            services:@listed@
        ---
        """).replace("@listed@", listed)
