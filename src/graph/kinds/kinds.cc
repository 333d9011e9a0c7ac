// SPDX-License-Identifier: Apache-2.0

#include "graph/kinds/kinds.h"

#include "graph/kinds/ingress/ingress.h"
#include "graph/kinds/ingressroute/ingress_route.h"
#include "graph/kinds/ingressroute/status.h"
#include "graph/policy/annotation.h"
#include "graph/policy/delegation.h"
#include "graph/policy/secret.h"

namespace contour::graph {

const KindTable& Kinds() {
  using api::Kind;
  static const KindTable kTable({
      {.kind = Kind::kSecret, .is_visible = IsUsableSecret},
      {.kind = Kind::kTLSCertificateDelegation, .index = DelegatedSecrets},
      {.kind = Kind::kIngress,
       .is_visible = HasNoForeignClass,
       .claims = ingress::Claims,
       .is_same_root = ingress::IsSameRoot,
       .is_same_part = ingress::IsSamePart,
       .derive = ingress::Derive},
      {.kind = Kind::kIngressRoute,
       .is_visible = HasNoForeignClass,
       .claims = ingressroute::Claims,
       .derive = ingressroute::Derive,
       .initial_status = ingressroute::Orphaned,
       .status_fields = ingressroute::StatusFields,
       .known_status_fields = ingressroute::KnownStatusFields},
  });
  return kTable;
}

}  // namespace contour::graph
