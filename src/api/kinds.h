// SPDX-License-Identifier: Apache-2.0
// The table of kinds: the names of each kind, and how it is read and compared. A new kind needs a
// pair of files, a value of Kind and a row in kinds.cc. Private to api/.

#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "api/object.h"

namespace contour::api {

class JsonReader;
struct Endpoints;
struct EndpointPort;
struct EndpointSlice;
struct Ingress;
struct IngressClass;
struct IngressRoute;
struct LoadBalancerIngress;
struct Secret;
struct Service;
struct TLSCertificateDelegation;

struct KindRow {
  Kind kind;
  std::string_view name;         // the field `kind` of the object
  std::string_view plural;       // the resource's name on the API server
  std::string_view api_version;  // the version that contour reads
  // The API groups in which this name has or had the same meaning. An object of another version in
  // one of them is an error, since it would otherwise be ignored in silence. In any other group the
  // name is another kind's.
  std::vector<std::string_view> groups;
  bool namespaced;
  bool optional;  // see IsOptional
  // Reads everything but the metadata from the document; `meta` is given, since a kind may depend
  // on it. The reader is at the top of the document, and keeps the error, if any.
  std::shared_ptr<Object> (*read)(JsonReader& reader, Meta meta);
  // Returns true if the objects are equal, apart from metadata and status.
  bool (*same_spec)(const Object& a, const Object& b);
  bool (*same_status)(const Object& a, const Object& b);
};

const KindRow& RowOf(Kind kind);
// Returns the row of a kind by its name, nullptr if there is none.
const KindRow* FindRow(std::string_view kind_name);

// Each of these reads one kind, and is defined beside its struct.
void Read(JsonReader& reader, Service* object);
void Read(JsonReader& reader, Endpoints* object);
void Read(JsonReader& reader, EndpointSlice* object);
void Read(JsonReader& reader, Secret* object);
void Read(JsonReader& reader, Ingress* object);
void Read(JsonReader& reader, IngressClass* object);
void Read(JsonReader& reader, IngressRoute* object);
void Read(JsonReader& reader, TLSCertificateDelegation* object);

// Each of these is used by two kinds.
void ReadPort(JsonReader& reader, EndpointPort* port);
void ReadLoadBalancer(JsonReader& reader, std::vector<LoadBalancerIngress>* addresses);

bool SameSpec(const Service& a, const Service& b);
bool SameSpec(const Endpoints& a, const Endpoints& b);
bool SameSpec(const EndpointSlice& a, const EndpointSlice& b);
bool SameSpec(const Secret& a, const Secret& b);
bool SameSpec(const Ingress& a, const Ingress& b);
bool SameSpec(const IngressClass& a, const IngressClass& b);
bool SameSpec(const IngressRoute& a, const IngressRoute& b);
bool SameSpec(const TLSCertificateDelegation& a, const TLSCertificateDelegation& b);

// These are for the kinds whose status contour reads.
bool SameStatus(const Service& a, const Service& b);
bool SameStatus(const Ingress& a, const Ingress& b);
bool SameStatus(const IngressRoute& a, const IngressRoute& b);

}  // namespace contour::api
