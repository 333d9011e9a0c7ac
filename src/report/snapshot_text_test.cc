// SPDX-License-Identifier: Apache-2.0

#include "report/snapshot_text.h"

#include <gtest/gtest.h>

#include <utility>

#include "envoy/config/cluster/v3/cluster.pb.h"

namespace contour::report {
namespace {

xds::SnapshotPtr WithCluster(const std::string& name, std::uint32_t seconds) {
  ::envoy::config::cluster::v3::Cluster cluster;
  cluster.set_name(name);
  cluster.mutable_connect_timeout()->set_seconds(seconds);
  xds::SnapshotEditor editor(std::make_shared<const xds::Snapshot>());
  editor.Set(xds::ResourceType::kCluster, {.name = name, .bytes = cluster.SerializeAsString()});
  return editor.Commit();
}

TEST(SnapshotText, LeavesOutWhatIsCommon) {
  const SnapshotPrinter printer("CDS: {connect_timeout: 0.250s, lb_policy: RANDOM}");
  EXPECT_EQ(printer.Text(*WithCluster("a", 1)),
            "CDS:\n  - {name: a, connect_timeout: 1s, lb_policy: (absent)}\n");
  EXPECT_EQ(SnapshotPrinter("CDS: {connect_timeout: 1s}").Text(*WithCluster("a", 1)),
            "CDS:\n  - {name: a}\n");
}

TEST(SnapshotText, ShowsWhatDiffersFromABase) {
  const SnapshotPrinter printer("{}");
  const xds::SnapshotPtr base = WithCluster("a", 1);
  EXPECT_EQ(printer.Text(*WithCluster("a", 1), base.get()), "{}\n");
  EXPECT_EQ(printer.Text(*WithCluster("b", 1), base.get()),
            "CDS:\n  - {name: b, connect_timeout: 1s}\ngone:\n  - CDS a\n");
}

}  // namespace
}  // namespace contour::report
