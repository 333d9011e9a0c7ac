// SPDX-License-Identifier: Apache-2.0
// The table of kinds: how each is called, read and compared. A new kind is a file pair, a value of
// Kind and a row in kinds.cc. Private to api/.

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
  std::string_view name;         // `kind` of the object
  std::string_view api_version;  // the one that we read
  // API groups in which this name meant the same at another time: an object of another version
  // there is an error, as it would otherwise be passed over in silence. In any other group the name
  // is somebody else's.
  std::vector<std::string_view> groups;
  bool namespaced;
  // Reads everything but the metadata (which may be looked at) from the reader at the top of the
  // document. Errors are left in the reader.
  std::shared_ptr<Object> (*read)(JsonReader& reader, Meta meta);
  // Equal but for metadata and status.
  bool (*same_spec)(const Object& a, const Object& b);
  bool (*same_status)(const Object& a, const Object& b);
};

const KindRow& RowOf(Kind kind);
// nullptr: no kind of that name.
const KindRow* FindRow(std::string_view kind_name);

// One for each kind, beside its struct.
void Read(JsonReader& reader, Service* object);
void Read(JsonReader& reader, Endpoints* object);
void Read(JsonReader& reader, EndpointSlice* object);
void Read(JsonReader& reader, Secret* object);
void Read(JsonReader& reader, Ingress* object);
void Read(JsonReader& reader, IngressClass* object);
void Read(JsonReader& reader, IngressRoute* object);
void Read(JsonReader& reader, TLSCertificateDelegation* object);

// Shared by two kinds each.
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

// Of those kinds whose status we read.
bool SameStatus(const Service& a, const Service& b);
bool SameStatus(const Ingress& a, const Ingress& b);
bool SameStatus(const IngressRoute& a, const IngressRoute& b);

}  // namespace contour::api
