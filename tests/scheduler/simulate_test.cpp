// The face of the simulator: what it prints can be recounted, what it cannot read it names.

#include "tools/simulate/simulate_command.hpp"

#include <boost/json.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>
#include <unistd.h>

namespace berth::tools {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path data = BERTH_TEST_DATA "/openb";

/// A folder of its own, removed at the end.
class a_folder : public testing::Test {
 protected:
  a_folder() : dir_(fs::temp_directory_path() / ("berth-simulate-" + std::to_string(getpid()))) {
    fs::create_directories(dir_);
  }

  ~a_folder() override { fs::remove_all(dir_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ / name) << text;
  }

  /// A trace of two small nodes.
  void write_small_trace(const std::string& pods) const {
    write("openb_node_list_gpu_node.csv",
          "sn,cpu_milli,memory_mib,gpu,model\na,8000,1000,2,T4\nb,8000,1000,1,P100\n");
    write("openb_pod_list_w.csv", pods);
  }

  static std::string text_of(const fs::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  [[nodiscard]] std::string error_for(const std::string& pods) const {
    write_small_trace(pods);
    simulate_options options;
    options.trace = dir_;
    options.workloads = {"w"};
    std::ostringstream out;
    std::ostringstream progress;
    const auto done = simulate(options, out, progress);
    return done ? "" : done.error().message;
  }

  fs::path dir_;
};

TEST_F(a_folder, json_lines_and_placements_tell_the_same_story) {
  simulate_options options;
  options.trace = data;
  options.policies = {"bestfit", "fill"};
  options.form = report_form::json;
  options.placements = dir_ / "placements.csv";
  options.plot = dir_ / "plot.svg";
  std::ostringstream out;
  std::ostringstream progress;
  const auto done = simulate(options, out, progress);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_THAT(progress.str(), HasSubstr("fill on default, seed 42: 10866 of 10866 arrivals"));

  std::istringstream lines(out.str());
  std::string line;
  std::vector<boost::json::object> runs;
  while (std::getline(lines, line))
    runs.push_back(boost::json::parse(line).as_object());
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].at("curve_sha256_16").as_string(), "59b4c88380ba081e");
  EXPECT_EQ(runs[0].at("order").as_string(), "published");
  EXPECT_EQ(runs[0].at("failed").at("cpu").to_number<int>(), 0);
  EXPECT_EQ(runs[0].at("failed").at("share").to_number<int>(), 1160);
  EXPECT_NEAR(runs[0].at("allocation_pct").at("100").to_number<double>(), 92.7, 0.5);

  std::ifstream rows(*options.placements);
  std::getline(rows, line);
  EXPECT_EQ(line, "event,pod,node,gpus,policy,workload,seed");
  std::map<std::string, std::size_t> unplaced;
  std::size_t count = 0;
  while (std::getline(rows, line)) {
    ++count;
    const bool failed = line.find(",-,-,") != std::string::npos;
    if (failed) ++unplaced[line.find(",fill,") != std::string::npos ? "fill" : "bestfit"];
  }
  EXPECT_EQ(count, 2 * 10866U);
  std::size_t failed = 0;
  for (const auto& [cls, pods] : runs[1].at("failed").as_object())
    failed += pods.to_number<std::size_t>();
  EXPECT_EQ(unplaced["fill"], failed);
  EXPECT_THAT(text_of(*options.plot), HasSubstr("fill on default"));
}

TEST_F(a_folder, a_missing_published_order_is_an_error_unless_shuffled) {
  simulate_options options;
  options.trace = data;
  options.seeds = {7};
  std::ostringstream out;
  std::ostringstream progress;
  const auto refused = simulate(options, out, progress);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, kind::missing);
  EXPECT_THAT(refused.error().message, HasSubstr("--shuffle"));
  options.order = arrival_order::shuffled;
  const auto done = simulate(options, out, progress);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_THAT(out.str(), HasSubstr("shuffled"));
}

TEST_F(a_folder, what_cannot_be_read_is_named_by_file_line_and_column) {
  EXPECT_EQ(error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,100,1,1,500\n"), "");
  EXPECT_THAT(
      error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,100,1,1,500\nq,lots,1,0,0\n"),
      HasSubstr(
          "openb_pod_list_w.csv:3: column 2 (\"cpu_milli\") is \"lots\"; expected an integer"));
  EXPECT_THAT(error_for("name,cpu_milli,num_gpu,gpu_milli\np,100,1,500\n"),
              HasSubstr("no column \"memory_mib\""));
  EXPECT_THAT(error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,100,1,1\n"),
              HasSubstr(":2: column 5 (\"gpu_milli\") is missing: 4 fields; expected 5"));
  EXPECT_THAT(error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,100,1,1,1000,\n"),
              HasSubstr(":2: column 6 is one too many: 6 fields; expected 5"));
  EXPECT_THAT(error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,2,500\n"),
              HasSubstr("expected 1000 for a pod of several GPUs"));
  EXPECT_THAT(error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,0,0\np,1,1,0,0\n"),
              HasSubstr(":3: column 1 (\"name\") is \"p\"; expected a name that no row above has"));
  EXPECT_THAT(error_for(""), HasSubstr("expected a header line"));
  EXPECT_THAT(error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"),
              HasSubstr(":2: column 1 is missing"));
  EXPECT_EQ(error_for("\xEF\xBB\xBFname,cpu_milli,memory_mib,num_gpu,gpu_milli\np,100,1,1,500\n"),
            "");
  EXPECT_THAT(error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\n\"p\",1,1,0,0\n"),
              HasSubstr(":2: column 1 (\"name\") has a quotation mark"));
}

TEST_F(a_folder, malformed_orders_are_named_too) {
  write_small_trace("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,100,1,1,500\n");
  fs::create_directories(dir_ / "orders");
  write("orders/openb_pod_list_w.42.seq", "0\n3\n");
  write("orders/perm.openb_pod_list_w.42", "0 0\n");
  EXPECT_THAT(load_trace(dir_, "w", 42, arrival_order::published).error().message,
              HasSubstr(".seq:2:1: \"3\""));
  write("orders/openb_pod_list_w.42.seq", "0\n0\n");
  EXPECT_THAT(load_trace(dir_, "w", 42, arrival_order::published).error().message,
              HasSubstr(":1: number 2 is 0 again; expected each rank from 0 to 1 once"));
  write("orders/openb_pod_list_w.42.seq", "");
  EXPECT_THAT(load_trace(dir_, "w", 42, arrival_order::published).error().message,
              HasSubstr(".seq:1:1: empty"));
}

TEST_F(a_folder, a_missing_workload_is_told_with_those_there_are) {
  write_small_trace("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,100,1,1,500\n");
  const auto loaded = load_trace(dir_, "x", 42, arrival_order::shuffled);
  EXPECT_EQ(loaded.error().kind, kind::missing);
  EXPECT_THAT(loaded.error().message, HasSubstr("the workloads there are w"));
}

TEST_F(a_folder, what_is_no_text_is_shown_as_far_as_a_terminal_bears_it) {
  const auto told = error_for("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,\x1B[31m"
                              + std::string(200, 'x') + ",1,0,0\n");
  EXPECT_THAT(told, HasSubstr(":2: column 2"));
  EXPECT_THAT(told, testing::Not(HasSubstr("\x1B")));
  EXPECT_LT(told.size(), 300u);
}

TEST_F(a_folder, a_trace_without_devices_is_refused) {
  write("openb_node_list_gpu_node.csv", "sn,cpu_milli,memory_mib,gpu,model\na,8000,1000,0,none\n");
  write("openb_pod_list_w.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,100,1,0,0\n");
  simulate_options options;
  options.trace = dir_;
  options.workloads = {"w"};
  std::ostringstream out;
  EXPECT_EQ(simulate(options, out, out).error().code, "no_devices");
}

TEST(simulate, reads_seeds) {
  EXPECT_EQ(parse_seeds("42-44,50").value(), (std::vector<std::uint64_t>{42, 43, 44, 50}));
  for (const auto* wrong : {"", "x", "5-3", "1-", "1,,2", "0-5000", "-4"})
    EXPECT_FALSE(parse_seeds(wrong)) << wrong;
}

TEST_F(a_folder, what_is_stopped_leaves_no_half_written_file) {
  simulate_options options;
  options.trace = data;
  options.placements = dir_ / "placements.csv";
  int asked = 0;
  options.stopped = [&] { return ++asked == 3; };
  std::ostringstream out;
  std::ostringstream progress;
  const auto done = simulate(options, out, progress);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, kind::cancelled);
  EXPECT_EQ(asked, 3);
  EXPECT_FALSE(fs::exists(*options.placements));
  EXPECT_EQ(out.str(), "");
}

TEST_F(a_folder, is_run_by_the_words_of_a_command_line) {
  CLI::App command;
  simulate_words words;
  add_simulate_options(command, words);
  std::ostringstream out;
  std::ostringstream progress;
  command.parse("--trace /nowhere --seeds 42-43", false);
  EXPECT_EQ(run_simulate(words, report_form::table, out, progress).error().kind, kind::missing);
  words.plot = "/nowhere/x.svg";
  EXPECT_EQ(run_simulate(words, report_form::table, out, progress).error().code, "no_folder");
  words.policies = ",";
  EXPECT_THAT(run_simulate(words, report_form::table, out, progress).error().message,
              HasSubstr("--policy names none"));
  words.policies = "fill";
  words.trace.clear();
  EXPECT_THAT(run_simulate(words, report_form::table, out, progress).error().message,
              HasSubstr("--trace DIR"));
  words.no_backfill = true;
  EXPECT_THAT(run_simulate(words, report_form::table, out, progress).error().message,
              HasSubstr("--no-backfill are of the queue mode"));
  words.queue = true;
  words.plot = "x.svg";
  EXPECT_EQ(run_simulate(words, report_form::table, out, progress).error().kind, kind::invalid);
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace berth::tools
