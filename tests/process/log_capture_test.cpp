#include "runtime/process/log_capture.hpp"

#include "runtime/process/lifeline.hpp"
#include "runtime/process/worker_control.hpp"
#include "runtime/process/worker_page.hpp"
#include "tests/support/child.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>

namespace {

using namespace berth::process;  // NOLINT: the unit under test
using namespace berth::tests;    // NOLINT
using namespace std::chrono_literals;

const std::string helper = BERTH_PROCESS_HELPER;

// What a program that prints in every way there is left in its ring, and on the output it had before.
struct printed {
  printed() {
    auto page = page_reader::make({}).value();
    auto ring = log_ring::make(1 << 20).value();
    auto out = make_pipe().value();
    command what;
    what.argv = {helper, "print"};
    what.env = own_environment();
    set_variable(what.env, worker_descriptors::page, "3");
    set_variable(what.env, worker_descriptors::log, "4");
    what.descriptors = {page->fd(), ring->fd()};
    what.out = out.write.get();
    auto one = start(what).value();
    out.write.reset();
    before = read_all(out.read.get(), 20s);
    end = one.wait(10s).value();
    lines = ring->last(10'000);
  }

  [[nodiscard]] const log_line* find(const std::string& text) const {
    const auto at = std::find_if(lines.begin(), lines.end(),
                                 [&](const log_line& line) { return line.text == text; });
    return at == lines.end() ? nullptr : &*at;
  }

  std::string before;
  death end;
  std::vector<log_line> lines;
};

const printed& output() {
  static const printed once;
  return once;
}

void expect_line(const std::string& text, std::uint64_t call, log_stream stream) {
  const auto* line = output().find(text);
  ASSERT_NE(line, nullptr) << text;
  EXPECT_EQ(line->tag.call, call) << text;
  EXPECT_EQ(line->stream, stream) << text;
}

TEST(log_capture, stdio_and_iostream_lines_belong_to_the_call_that_printed_them) {
  ASSERT_EQ(to_string(output().end), "ended with exit code 0");
  expect_line("printf 1", 1, log_stream::out);
  expect_line("puts", 1, log_stream::out);
  expect_line("cout 2.5", 1, log_stream::out);
  expect_line("part", 1, log_stream::out);  // completed when the call ended
  expect_line("cerr", 1, log_stream::err);
  expect_line("fprintf stderr", 1, log_stream::err);
}

TEST(log_capture, descriptors_and_children_belong_to_a_call_that_was_observed_alone) {
  expect_line("old FILE", 2, log_stream::out);
  expect_line("child", 2, log_stream::out);
  expect_line("child err", 2, log_stream::err);
  expect_line("forked", 2, log_stream::out);
  expect_line("forked too", 2, log_stream::out);
}

TEST(log_capture, a_thread_of_the_function_has_no_call) {
  expect_line("a thread of the function", 0, log_stream::out);
}

TEST(log_capture, calls_that_print_at_the_same_time_do_not_mix) {
  std::map<std::uint64_t, int> lines;
  for (const auto& line : output().lines)
    if (line.text.starts_with("of ")) {
      EXPECT_EQ(line.text, "of " + std::to_string(line.tag.call) + ".");
      ++lines[line.tag.call];
    }
  EXPECT_EQ(lines, (std::map<std::uint64_t, int>{{10, 200}, {11, 200}, {12, 200}, {13, 200}}));
}

TEST(log_capture, the_hook_hears_each_line_and_afterwards_output_is_where_it_was) {
  EXPECT_NE(output().find("hooked 1:printf 1;1:puts;1:cout 2.5;1:cerr;1:fprintf stderr;1:part;"),
            nullptr)
      << output().lines.back().text;
  EXPECT_EQ(output().before, "after\n");
}

}  // namespace
