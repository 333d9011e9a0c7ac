// SPDX-License-Identifier: Apache-2.0
// Makes certificates for tests (P-256, valid for a day).

#pragma once

#include <memory>
#include <string>
#include <vector>

namespace contour::kube {

struct TestCertificate {
  std::string cert_pem;
  std::string key_pem;
};

class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  const std::string& ca_pem() const;
  // Returns a certificate for names like "IP:127.0.0.1" and "DNS:kubernetes".
  TestCertificate Issue(const std::string& common_name,
                        const std::vector<std::string>& names = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace contour::kube
