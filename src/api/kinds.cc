// SPDX-License-Identifier: Apache-2.0

#include "api/kinds.h"

#include <array>
#include <utility>

#include "api/endpoint_slice.h"
#include "api/endpoints.h"
#include "api/ingress.h"
#include "api/ingress_class.h"
#include "api/ingress_route.h"
#include "api/json_reader.h"
#include "api/secret.h"
#include "api/service.h"
#include "api/tls_certificate_delegation.h"

namespace contour::api {
namespace {

template <typename T>
std::shared_ptr<Object> ReadAs(JsonReader& reader, Meta meta) {
  auto object = std::make_shared<T>();
  object->meta = std::move(meta);
  Read(reader, object.get());
  return object;
}

template <typename T>
bool SameSpecAs(const Object& a, const Object& b) {
  return SameSpec(static_cast<const T&>(a), static_cast<const T&>(b));
}

template <typename T>
bool SameStatusAs(const Object& a, const Object& b) {
  return SameStatus(static_cast<const T&>(a), static_cast<const T&>(b));
}
bool NoStatus(const Object&, const Object&) { return true; }

enum class Scope { kNamespace, kCluster };
enum class From { kServer, kCustomResourceDefinition };

template <typename T>
KindRow Row(std::string_view name, std::string_view plural, std::string_view api_version,
            std::vector<std::string_view> groups, bool (*same_status)(const Object&, const Object&),
            Scope scope = Scope::kNamespace, From from = From::kServer) {
  return {T::kKind,
          name,
          plural,
          api_version,
          std::move(groups),
          scope == Scope::kNamespace,
          from == From::kCustomResourceDefinition,
          ReadAs<T>,
          SameSpecAs<T>,
          same_status};
}

// The rows are in the order of Kind.
const std::array<KindRow, kKindCount>& Rows() {
  static const std::array<KindRow, kKindCount> rows = {
      Row<Service>("Service", "services", "v1", {""}, SameStatusAs<Service>),
      Row<Endpoints>("Endpoints", "endpoints", "v1", {""}, NoStatus),
      Row<EndpointSlice>("EndpointSlice", "endpointslices", "discovery.k8s.io/v1",
                         {"discovery.k8s.io"}, NoStatus),
      Row<Secret>("Secret", "secrets", "v1", {""}, NoStatus),
      Row<Ingress>("Ingress", "ingresses", "networking.k8s.io/v1",
                   {"networking.k8s.io", "extensions"}, SameStatusAs<Ingress>),
      Row<IngressClass>("IngressClass", "ingressclasses", "networking.k8s.io/v1",
                        {"networking.k8s.io"}, NoStatus, Scope::kCluster),
      Row<IngressRoute>("IngressRoute", "ingressroutes", "contour.heptio.com/v1beta1",
                        {"contour.heptio.com"}, SameStatusAs<IngressRoute>, Scope::kNamespace,
                        From::kCustomResourceDefinition),
      Row<TLSCertificateDelegation>("TLSCertificateDelegation", "tlscertificatedelegations",
                                    "contour.heptio.com/v1beta1", {"contour.heptio.com"}, NoStatus,
                                    Scope::kNamespace, From::kCustomResourceDefinition),
  };
  return rows;
}

}  // namespace

const KindRow& RowOf(Kind kind) { return Rows()[static_cast<std::size_t>(kind)]; }

const KindRow* FindRow(std::string_view kind_name) {
  for (const KindRow& row : Rows()) {
    if (row.name == kind_name) return &row;
  }
  return nullptr;
}

}  // namespace contour::api
