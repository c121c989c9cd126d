#include "runtime/worker/running_call.hpp"

#include <berth/here.hpp>
#include <chrono>
#include <gtest/gtest.h>
#include <string>

namespace berth::worker {
namespace {

using namespace std::chrono_literals;

class notes final : public call_reports {
 public:
  void progress(double fraction, std::string_view message) noexcept override {
    seen += std::to_string(fraction).substr(0, 4) + std::string(message);
  }

  void metric(std::string_view name, double value) noexcept override {
    seen += std::string(name) + std::to_string(value).substr(0, 4);
  }

  std::string seen;
};

TEST(here, outside_a_call_knows_nothing_and_stops_nothing) {
  const auto now = here();
  EXPECT_FALSE(now.running());
  EXPECT_FALSE(now.stop_requested());
  EXPECT_EQ(now.remaining(), std::nullopt);
  EXPECT_EQ(now.version(), "");
  EXPECT_EQ(now.caller.pid, 0);
  now.progress(0.5, "goes nowhere");
}

TEST(here, tells_of_the_call_that_this_thread_runs) {
  const caller_facts caller{7, 42, "digits-train", "digits/train@3"};
  notes reports;
  stop_flag stop;
  const auto number = stop.next();
  const detail::running_call call{&caller, "digits/classify@7", 11, base::after(1h), &stop, number,
                                  &reports};
  detail::set_running(&call);
  EXPECT_TRUE(here().running());
  EXPECT_EQ(here().caller.uid, 7u);
  EXPECT_EQ(here().caller.pid, 42);
  EXPECT_EQ(here().caller.program, "digits-train");
  EXPECT_EQ(here().caller.version, "digits/train@3");
  EXPECT_EQ(here().version(), "digits/classify@7");
  EXPECT_EQ(here().id(), 11u);
  EXPECT_GT(*here().remaining(), 59min);
  EXPECT_FALSE(here().stop_requested());
  stop.stop(number);
  EXPECT_TRUE(here().stop_requested());
  here().progress(0.25, "a");
  here().metric("b", 2);
  EXPECT_EQ(reports.seen, "0.25ab2.00");
  detail::set_running(nullptr);
  EXPECT_FALSE(here().running());
}

TEST(stop_flag, a_late_stop_does_not_hit_the_next_call) {
  stop_flag stop;
  const auto first = stop.next();
  const auto second = stop.next();
  stop.stop(first);
  EXPECT_FALSE(stop.stopped(second));
}

}  // namespace
}  // namespace berth::worker
