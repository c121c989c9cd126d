#pragma once
// A temporary cluster for tests of programs that use berth.
//
//   berth::testing::cluster lab;                     // started, empty, in folders of its own
//   auto f = lab.rt().on("local").send<&work>();     // the test program's own code in a worker
//   EXPECT_EQ(f(1), 2);

#include <berth/client.hpp>
#include <berth/place.hpp>

namespace berth::testing {

/// A resource: a cluster of its own that ends, with every process of it, when the fixture does. Throws `berth::error`
/// when it cannot be started. Cost: that of an embedded cluster, about a tenth of a second.
class BERTH_API cluster {
 public:
  cluster();
  ~cluster();
  cluster(const cluster&) = delete;
  cluster& operator=(const cluster&) = delete;

  [[nodiscard]] const connection& rt() const noexcept { return rt_; }

 private:
  connection rt_;
};

}  // namespace berth::testing
