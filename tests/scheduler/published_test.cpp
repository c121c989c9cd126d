// The published policies, replayed: every integer of golden.json must come out.

#include "tools/simulate/curve.hpp"
#include "tools/simulate/trace_files.hpp"

#include <boost/json.hpp>

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

namespace berth {
namespace {

const std::string data = BERTH_TEST_DATA "/openb";

boost::json::object golden() {
  std::ifstream in(data + "/golden.json");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return boost::json::parse(text).as_object();
}

/// golden.json spells two policies differently.
std::string policy_of(const std::string& run) {
  const auto name = run.substr(0, run.find('.'));
  return name == "packing" ? "pack" : name == "clustering" ? "cluster" : name;
}

class published : public testing::TestWithParam<std::string> {};

TEST_P(published, replays_to_the_last_integer) {
  const auto want = golden().at(GetParam()).as_object();
  const auto seed = std::stoull(GetParam().substr(GetParam().find('.') + 1));
  const auto loaded = tools::load_trace(data, "default", seed, tools::arrival_order::published);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  const auto report = sched::replay(loaded->trace, policy_of(GetParam()), seed);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->events.size(), want.at("events").to_number<std::size_t>());
  EXPECT_EQ(report->events.back().arrived_milli,
            want.at("arrived_milli").to_number<std::int64_t>());
  EXPECT_EQ(report->events.back().allocated_milli,
            want.at("allocated_milli").to_number<std::int64_t>());
  EXPECT_NEAR(report->frag_milli, want.at("frag_milli").to_number<double>(), 0.001);
  for (const auto& [cls, count] : report->failed) {
    const auto* expected = want.at("failed").as_object().if_contains(cls);
    EXPECT_EQ(count, expected == nullptr ? 0 : expected->to_number<std::uint32_t>()) << cls;
  }
  EXPECT_EQ(tools::curve_sha256_16(*report),
            want.at("sha256_16_of_\"arrived allocated\\n\"_lines").as_string());
}

INSTANTIATE_TEST_SUITE_P(golden,
                         published,
                         testing::Values("bestfit.42",
                                         "bestfit.43",
                                         "packing.42",
                                         "packing.43",
                                         "dotprod.42",
                                         "dotprod.43",
                                         "clustering.42",
                                         "clustering.43",
                                         "fgd.42",
                                         "fgd.43"));

}  // namespace
}  // namespace berth
