// SPDX-License-Identifier: Apache-2.0

#include "api/ingress.h"

#include <fmt/core.h>

#include "api/json_reader.h"
#include "api/kinds.h"

namespace contour::api {
namespace {

void ReadBackend(JsonReader& reader, IngressBackend* backend) {
  reader.Object("service", [&] {
    reader.String("name", &backend->service);
    reader.Object("port", [&] {
      reader.Port("number", &backend->port_number);
      reader.String("name", &backend->port_name);
    });
  });
}

void ReadPathType(JsonReader& reader, PathType* type) {
  const std::optional<std::string_view> text = reader.Text("pathType");
  if (!text || *text == "ImplementationSpecific") return;
  if (*text == "Exact") {
    *type = PathType::kExact;
  } else if (*text == "Prefix") {
    *type = PathType::kPrefix;
  } else {
    reader.Fail("pathType",
                fmt::format("expected Exact, Prefix or ImplementationSpecific, got \"{}\"", *text));
  }
}

void ReadRule(JsonReader& reader, IngressRule* rule) {
  reader.String("host", &rule->host);
  reader.Object("http", [&] {
    reader.Each("paths", &rule->http.emplace(), [&](IngressPath& path) {
      reader.String("path", &path.path);
      ReadPathType(reader, &path.path_type);
      reader.Object("backend", [&] { ReadBackend(reader, &path.backend); });
    });
  });
}

}  // namespace

void Read(JsonReader& reader, Ingress* object) {
  IngressSpec& spec = object->spec;
  reader.Object("spec", [&] {
    reader.String("ingressClassName", &spec.ingress_class_name);
    reader.Object("defaultBackend", [&] { ReadBackend(reader, &spec.default_backend.emplace()); });
    reader.Each("tls", &spec.tls, [&](IngressTLS& tls) {
      reader.Strings("hosts", &tls.hosts);
      reader.String("secretName", &tls.secret_name);
    });
    reader.Each("rules", &spec.rules, [&](IngressRule& rule) { ReadRule(reader, &rule); });
  });
  ReadLoadBalancer(reader, &object->load_balancer);
}

bool SameSpec(const Ingress& a, const Ingress& b) { return a.spec == b.spec; }
bool SameStatus(const Ingress& a, const Ingress& b) { return a.load_balancer == b.load_balancer; }

}  // namespace contour::api
