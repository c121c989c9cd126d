// Flips between two live versions under load, against real processes: no call fails, none starts on what left the tag.

#include <algorithm>
#include <atomic>
#include <berth/berth.hpp>
#include <berth/testing.hpp>
#include <chrono>
#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

/// A cluster with one function in two versions, each kept live by a tag of its own; `prod` at the first.
struct two_versions {
  berth::testing::cluster lab;
  std::uint32_t one = 0, two = 0;

  two_versions() {
    auto local = lab.rt().on("local");
    one = local.send<[](int x) { return x + 1000; }>().publish("flips/f@one", "first").version;
    two = local.send<[](int x) { return x + 2000; }>().publish("flips/f@two", "second").version;
    lab.rt().tag("flips/f@prod", {{one, 100}}, "start");
  }
};

TEST(flips, a_hundred_under_load_fail_no_call_and_start_none_on_the_old_version) {
  two_versions t;
  auto rt = t.lab.rt();
  const auto f = rt.function<int(int)>("flips/f@prod");
  std::atomic<bool> stop{false};
  std::atomic<long> calls{0}, failed{0};
  std::string first_failure;
  std::thread caller([&] {
    while (!stop) {
      const auto r = f.try_(1);
      if (!r && failed++ == 0) first_failure = r.error().to_string();
      ++calls;
    }
  });
  std::vector<double> took;
  long late = 0;
  std::string problem;
  for (int i = 0; i < 100 && problem.empty(); ++i) {
    const auto before = calls.load();
    const auto begun = std::chrono::steady_clock::now();
    try {
      rt.tag("flips/f@prod", {{i % 2 == 0 ? t.two : t.one, 100}}, "back and forth");
    } catch (const berth::error& e) {
      problem = e.what();
    }
    took.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun)
            .count());
    const auto r = f.try_(1);
    late += r && *r != (i % 2 == 0 ? 2001 : 1001);
    const auto bound = std::chrono::steady_clock::now() + 10s;
    while (calls < before + 1000 && std::chrono::steady_clock::now() < bound)
      std::this_thread::yield();
  }
  stop = true;
  caller.join();
  EXPECT_EQ(problem, "");
  EXPECT_EQ(failed, 0) << first_failure;
  EXPECT_EQ(late, 0);
  EXPECT_GE(calls, 100000);
  std::sort(took.begin(), took.end());
  std::printf("%ld calls, flip acknowledged: median %.2f ms, worst %.2f ms\n", calls.load(),
              took[took.size() / 2], took.back());
}

TEST(flips, a_rollback_brings_back_what_was_and_a_version_without_tags_ends_and_comes_back) {
  two_versions t;
  auto rt = t.lab.rt();
  const auto f = rt.function<int(int)>("flips/f@prod");
  try {
    rt.tag("flips/f@one", {{t.two, 100}}, "nothing holds the first but prod");
    for (int i = 0; i < 6; ++i) {
      rt.tag("flips/f@prod", {{i % 2 == 0 ? t.two : t.one, 100}}, "back and forth");
      EXPECT_EQ(f(1), i % 2 == 0 ? 2001 : 1001);
    }
    rt.rollback("flips/f@prod", "once more");
    EXPECT_EQ(f(1), 2001);
  } catch (const berth::error& e) {
    FAIL() << e.what();
  }
}

}  // namespace
