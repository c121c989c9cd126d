#include "tools/simulate/queue_mode.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <unistd.h>

namespace berth::tools {
namespace {

/// A file that goes away with the test.
class scratch_file {
 public:
  explicit scratch_file(const std::string& text)
      : path_(std::filesystem::temp_directory_path()
              / ("berth_queue_mode_" + std::to_string(::getpid()) + ".csv")) {
    std::ofstream(path_) << text;
  }

  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;

  ~scratch_file() { std::filesystem::remove(path_); }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const std::string header =
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,arrive_s,run_s,limit_s,team,priority\n";

TEST(queue_mode, reads_teams_with_weights_and_says_what_it_expected) {
  EXPECT_EQ(parse_teams("x:2,y:1").value().size(), 2u);
  for (const char* text : {"", "x", "x:0", ":1", "x:two"})
    EXPECT_EQ(parse_teams(text).error().code, "bad_teams") << text;
}

TEST(queue_mode, runs_a_file_of_arrivals_and_prints_one_json_line) {
  const scratch_file file(header + "late,1000,1024,8,1000,,60,600,,y,0\n"
                                   "first,1000,1024,8,1000,H100|T4,0,600,600,x,1\n");
  queue_mode_options options;
  options.arrivals = file.path();
  options.policies = {"pack"};
  options.form = report_form::json;
  std::ostringstream out;
  std::ostringstream progress;
  ASSERT_TRUE(simulate_queue(options, out, progress));
  const auto text = out.str();
  EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
  EXPECT_NE(text.find(R"("jobs":2,"started":2,"finished":2)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("y":{"weight":1,"gpu_seconds":4800.000)"), std::string::npos) << text;
}

TEST(queue_mode, names_file_line_and_column_of_what_is_malformed) {
  const scratch_file file(header + "one,1000,1024,1,1000,,0,soon,,x,0\n");
  const auto read = read_arrivals(file.path());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, kind::invalid);
  EXPECT_NE(read.error().message.find("run_s"), std::string::npos) << read.error().message;
  EXPECT_NE(read.error().message.find('2'), std::string::npos) << read.error().message;
}

TEST(queue_mode, reads_seconds_with_decimals_and_says_when_they_are_none) {
  const scratch_file file(header + "one,1000,1024,1,1000,,1.5,0.25,10.125,x,0\n");
  const auto read = read_arrivals(file.path()).value();
  EXPECT_EQ(read[0].at.count(), 1500);
  EXPECT_EQ(read[0].run.count(), 250);
  EXPECT_EQ(read[0].work.wanted.limit->count(), 10'125);
  for (const char* time : {"1.0005", ".5", "1.x", "-1", "1e3", ""}) {
    const scratch_file wrong(header + "one,1000,1024,1,1000,," + time + ",60,60,x,0\n");
    const auto refused = read_arrivals(wrong.path());
    ASSERT_FALSE(refused) << time;
    EXPECT_NE(refused.error().message.find("column 7 (\"arrive_s\")"), std::string::npos)
        << refused.error().message;
  }
}

TEST(queue_mode, stops_the_clock_when_told) {
  const scratch_file file(header + "one,1000,1024,8,1000,,0,7200,,x,0\n");
  queue_mode_options options;
  options.arrivals = file.path();
  options.policies = {"pack"};
  options.form = report_form::json;
  options.until = std::chrono::hours(1);
  std::ostringstream out;
  std::ostringstream progress;
  ASSERT_TRUE(simulate_queue(options, out, progress));
  EXPECT_NE(out.str().find(R"("end_s":3600.000)"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find(R"("gpu_seconds":28800.000)"), std::string::npos) << out.str();
}

TEST(queue_mode, makes_the_same_trace_of_the_same_seed) {
  queue_mode_options options;
  options.policies = {"pack"};
  options.form = report_form::json;
  std::ostringstream first;
  std::ostringstream second;
  std::ostringstream progress;
  ASSERT_TRUE(simulate_queue(options, first, progress));
  ASSERT_TRUE(simulate_queue(options, second, progress));
  EXPECT_EQ(first.str(), second.str());
}

}  // namespace
}  // namespace berth::tools
