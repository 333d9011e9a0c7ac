// SPDX-License-Identifier: Apache-2.0
#include "serve/own_certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "certgen/authority.h"

namespace contour::serve {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::time_t kDay = 24 * 3600;

certgen::Terms Terms() {
  const std::time_t now = std::time(nullptr);
  return {certgen::KeyType::kECDSA, now - kDay, now + 365 * kDay};
}

class OwnCertificatesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    authority_ = *certgen::MakeAuthority(Terms());
  }
  void TearDown() override {
    own_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / (name + ".new")) << text;
    std::filesystem::rename(folder_ / (name + ".new"), folder_ / name);
  }
  certgen::KeyPair NewPair() {
    return *certgen::Sign(authority_, certgen::LeafFor(certgen::Role::kContour, "a"), Terms());
  }
  void WriteGood() {
    const certgen::KeyPair pair = NewPair();
    Write("tls.crt", pair.certificate);
    Write("tls.key", pair.key);
    Write("cacert.pem", authority_.certificate);
  }
  void Start() {
    own_ = std::make_unique<OwnCertificates>(
        OwnCertificates::Files{Path("tls.crt"), Path("tls.key"), Path("cacert.pem")}, 5ms);
    own_->Start([this](xds::TLSKeysPtr keys) {
      const MutexLock lock(mutex_);
      used_.push_back(std::move(keys));
    });
  }
  std::size_t Used() {
    const MutexLock lock(mutex_);
    return used_.size();
  }
  xds::TLSKeysPtr Last() {
    const MutexLock lock(mutex_);
    return used_.empty() ? nullptr : used_.back();
  }
  template <typename Condition>
  static bool Wait(const Condition& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(5ms);
    return condition();
  }
  std::string Metrics() {
    admin::MetricsText text;
    own_->AddTo(text);
    return text.String();
  }

  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) /
                                        ("own_certificates_test." + std::to_string(getpid()));
  certgen::KeyPair authority_;
  Mutex mutex_;
  std::vector<xds::TLSKeysPtr> used_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<OwnCertificates> own_;
};

TEST_F(OwnCertificatesTest, GoodFilesAreInUseBeforeStartReturns) {
  WriteGood();
  Start();
  ASSERT_EQ(Used(), 1u);
  EXPECT_EQ(Last()->client_ca, authority_.certificate);
  EXPECT_EQ(own_->NotReady(), "");
  EXPECT_EQ(own_->Remark(), "");
  EXPECT_THAT(Metrics(),
              AllOf(HasSubstr("contour_own_certificate_usable 1"),
                    HasSubstr("not_after_seconds{file=\"" + Path("tls.crt") + "\"}"),
                    HasSubstr("not_after_seconds{file=\"" + Path("cacert.pem") + "\"}")));
}

TEST_F(OwnCertificatesTest, ReportsFilesThatCannotBeUsedAndTakesFilesThatComeLate) {
  const certgen::KeyPair other = NewPair();
  const struct {
    const char* file;
    std::string text;
    const char* reason;
  } cases[] = {{"tls.crt", "garbage", "no certificate in PEM"},
               {"tls.crt", "", "no certificate in PEM"},
               {"tls.key", "garbage", "no private key in PEM"},
               {"tls.key", other.key, "does not belong to the certificate"},
               {"cacert.pem", "garbage", "no certificate in PEM"}};
  for (const auto& c : cases) {
    WriteGood();
    Write(c.file, c.text);
    {
      const MutexLock lock(mutex_);
      used_.clear();
    }
    Start();
    EXPECT_EQ(Used(), 0u) << c.file;
    EXPECT_THAT(own_->NotReady(), AllOf(HasSubstr(Path(c.file)), HasSubstr(c.reason)));
    EXPECT_THAT(Metrics(), HasSubstr("contour_own_certificate_usable 0"));
    WriteGood();
    EXPECT_TRUE(Wait([&] { return Used() == 1; })) << own_->NotReady();
    EXPECT_EQ(own_->NotReady(), "");
    own_.reset();
  }
  std::filesystem::remove(folder_ / "tls.key");
  Start();
  EXPECT_THAT(own_->NotReady(), AllOf(HasSubstr(Path("tls.key")), HasSubstr("No such file")));
}

TEST_F(OwnCertificatesTest, TheLastGoodKeysStayWhenAFileTurnsBad) {
  WriteGood();
  Start();
  const xds::TLSKeysPtr good = Last();
  for (const char* file : {"tls.crt", "tls.key", "cacert.pem"}) {
    Write(file, "garbage");
    EXPECT_TRUE(Wait([&] { return !own_->Remark().empty(); })) << file;
    EXPECT_THAT(own_->Remark(), HasSubstr(Path(file)));
    EXPECT_EQ(own_->NotReady(), "") << "older keys are in use";
    EXPECT_THAT(Metrics(), HasSubstr("contour_own_certificate_usable 0"));
    EXPECT_EQ(Last(), good);
    Write("tls.crt", good->certificate);
    Write("tls.key", good->key);
    Write("cacert.pem", good->client_ca);
    EXPECT_TRUE(Wait([&] { return own_->Remark().empty(); }));
    EXPECT_EQ(Used(), 1u) << "the same keys are no news";
  }
  std::filesystem::remove(folder_ / "tls.crt");
  EXPECT_TRUE(Wait([&] { return !own_->Remark().empty(); }));
  EXPECT_EQ(Last(), good);
}

TEST_F(OwnCertificatesTest, RenewedKeysAreTaken) {
  WriteGood();
  Start();
  const certgen::KeyPair renewed = NewPair();
  Write("tls.crt", renewed.certificate);
  std::this_thread::sleep_for(20ms);  // for some looks at a pair that doesn't match
  Write("tls.key", renewed.key);
  EXPECT_TRUE(Wait([&] { return Used() == 2; }));
  EXPECT_EQ(Last()->key, renewed.key);
  EXPECT_EQ(Last()->certificate, renewed.certificate);
}

TEST_F(OwnCertificatesTest, TheCAIsTakenUnderTheNameOfCertManager) {
  WriteGood();
  std::filesystem::rename(folder_ / "cacert.pem", folder_ / "ca.crt");
  Start();
  ASSERT_EQ(Used(), 1u) << own_->NotReady();
  EXPECT_THAT(Metrics(), HasSubstr(Path("ca.crt")));
  const certgen::KeyPair another = *certgen::MakeAuthority(Terms());
  Write("cacert.pem", another.certificate);
  EXPECT_TRUE(Wait([&] { return Used() == 2; })) << "the name that the flag says wins";
  EXPECT_EQ(Last()->client_ca, another.certificate);
}

TEST(OwnCertificates, WithoutTLSNothingIsNeeded) {
  OwnCertificates none(std::nullopt);
  bool used = false;
  none.Start([&](const xds::TLSKeysPtr&) { used = true; });
  EXPECT_FALSE(none.wanted());
  EXPECT_FALSE(used);
  EXPECT_EQ(none.NotReady(), "");
  EXPECT_EQ(none.Remark(), "");
  admin::MetricsText text;
  none.AddTo(text);
  EXPECT_EQ(text.String().find("contour_own_certificate"), std::string::npos);
}

}  // namespace
}  // namespace contour::serve
