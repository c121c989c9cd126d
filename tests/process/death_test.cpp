#include "runtime/process/death.hpp"

#include "runtime/process/lifeline.hpp"
#include "runtime/process/log_ring.hpp"
#include "runtime/process/worker_control.hpp"
#include "runtime/process/worker_page.hpp"
#include "tests/support/child.hpp"

#include <csignal>
#include <cstdio>
#include <gtest/gtest.h>

namespace {

using namespace berth::process;  // NOLINT: the unit under test
using namespace berth::tests;    // NOLINT
using namespace std::chrono_literals;

const std::string helper = BERTH_PROCESS_HELPER;

// A worker with its page and its log, as a node holds them.
struct watched_worker {
  explicit watched_worker(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), helper);
    process = start_child(std::move(arguments), {page->fd(), log->fd()},
                          {{worker_descriptors::page, "3"}, {worker_descriptors::log, "4"}});
  }

  std::unique_ptr<page_reader> page = page_reader::make({}).value();
  std::shared_ptr<log_ring> log = log_ring::make().value();
  child process;
};

struct scene {
  death end;
  berth::error_info why;
  berth::error_info unstarted;
  fate call;
  std::vector<call_count> counts;
};

scene crash_by(const std::string& what) {
  watched_worker worker({"crash", what});
  scene seen;
  seen.end = worker.process.wait(10s).value();
  seen.why = explain(seen.end, {"digits/classify@7", worker.page.get(), worker.log.get(), 20});
  seen.unstarted =
      explain_failed_start(seen.end, {"digits/classify@7", worker.page.get(), nullptr});
  seen.call = worker.page->fate_of(1, 42);
  seen.counts = worker.page->counts(page_reader::life::ended);
  return seen;
}

bool says(const scene& seen, const std::string& text) {
  return seen.why.message.find(text) != std::string::npos;
}

TEST(death, a_crash_names_signal_address_version_pid_and_the_last_lines) {
  const auto seen = crash_by("segv");
  EXPECT_EQ(seen.end.how, death::way::signalled);
  EXPECT_EQ(seen.end.number, SIGSEGV)
      << "the signal kills the process as it would without a handler";
  EXPECT_EQ(seen.why.kind, berth::kind::outcome_unknown);
  EXPECT_TRUE(
      says(seen, "digits/classify@7 (pid " + std::to_string(seen.end.pid) + ") ended by SIGSEGV"))
      << seen.why.message;
  EXPECT_TRUE(says(seen, "at address 0x10")) << seen.why.message;
  EXPECT_EQ(seen.unstarted.kind, berth::kind::failed) << "before it served, no call can have run";
  EXPECT_NE(seen.unstarted.message.find("ended by SIGSEGV at address 0x10 before it could serve"),
            std::string::npos)
      << seen.unstarted.message;
  ASSERT_EQ(seen.why.trail.size(), 21U);
  EXPECT_EQ(seen.why.trail[0], "its last 20 log lines:");
  EXPECT_EQ(seen.why.trail[1], "| line 7");
  EXPECT_EQ(seen.why.trail[19], "| line 25");
  EXPECT_EQ(seen.why.trail[20], "| about to crash") << "a line without its newline";
  EXPECT_EQ(seen.call, fate::started);
  EXPECT_EQ(seen.counts, (std::vector<call_count>{{"caller", "ref@prod", 7, 1}}));
  EXPECT_TRUE(own_fault(seen.end));
}

TEST(death, each_way_to_die_is_told_as_what_it_was) {
  EXPECT_TRUE(says(crash_by("abort"), "ended by SIGABRT"));
  EXPECT_TRUE(says(crash_by("fpe"), "ended by SIGFPE"));
  EXPECT_TRUE(says(crash_by("exit"), "ended with exit code 3"));
  const auto overflow = crash_by("stack");
  EXPECT_TRUE(says(overflow, "ended by SIGSEGV")) << overflow.why.message;
  EXPECT_TRUE(says(overflow, "at address 0x")) << "told from the stack of its own";
  const auto killed = crash_by("kill");
  EXPECT_TRUE(says(killed, "ended by SIGKILL"));
  EXPECT_FALSE(own_fault(killed.end)) << "somebody's kill says nothing about the version";
}

TEST(death, counts_are_exact_through_kill_9) {
  for (int round = 0; round < 20; ++round) {
    watched_worker worker({"count"});
    ASSERT_TRUE(await(10s, [&] { return worker.page->finished() > 1000U * round; }));
    worker.process.kill_group();
    ASSERT_TRUE(worker.process.wait(5s));
    std::uint64_t newest = worker.page->finished();
    while (worker.page->fate_of(1, newest + 1) != fate::not_started)
      ++newest;
    // The ledger's last start is the number of calls; each is in exactly one row.
    std::uint64_t sum = 0;
    std::uint64_t lost = 0;
    std::uint64_t of_b = 0;
    for (const auto& row : worker.page->counts(page_reader::life::ended)) {
      sum += row.calls;
      if (row.how == static_cast<outcome>(berth::kind::outcome_unknown)) lost += row.calls;
      if (row.caller == "b") of_b += row.calls;
    }
    EXPECT_EQ(sum, newest);
    EXPECT_EQ(of_b, newest / 3);
    EXPECT_EQ(lost, worker.page->running());
    EXPECT_LE(lost, 1U);
  }
}

TEST(death, has_words_for_every_status) {
  EXPECT_EQ(signal_name(SIGBUS), "SIGBUS");
  EXPECT_EQ(signal_name(99), "signal 99");
  EXPECT_EQ(to_string(death{1, death::way::signalled, SIGSEGV, true}),
            "ended by SIGSEGV (core written)");
  EXPECT_EQ(to_string(death{1, death::way::unknown, 0, false}), "ended, nobody knows how");
  EXPECT_EQ(death_from(5, 3 << 8), (death{5, death::way::exited, 3, false}));
  EXPECT_EQ(death_from(5, SIGTERM), (death{5, death::way::signalled, SIGTERM, false}));
}

}  // namespace
