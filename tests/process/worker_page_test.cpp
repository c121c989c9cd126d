#include "runtime/process/worker_page.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace berth::process;  // NOLINT: the unit under test
using namespace std::chrono_literals;

// Both sides of one page, as node and worker hold them.
struct page_pair {
  explicit page_pair(const page_size& size = {}) {
    node = page_reader::make(size).value();
    worker =
        page_writer::open(berth::base::unique_fd(::fcntl(node->fd(), F_DUPFD_CLOEXEC, 0))).value();
  }

  std::unique_ptr<page_reader> node;
  std::unique_ptr<page_writer> worker;
};

call_mark pinned(std::uint32_t link, std::uint64_t call, std::uint32_t counter = 0) {
  return {link, counter, call, pinned_slot, pinned_revision};
}

TEST(worker_page, refuses_what_is_no_page) {
  EXPECT_EQ(page_writer::open(berth::base::unique_fd(::open("/dev/null", O_RDWR))).error().kind,
            berth::kind::invalid);
  auto zeros = shared_region::make("zeros", 1 << 20).value();
  EXPECT_EQ(page_writer::open(berth::base::unique_fd(::dup(zeros.fd()))).error().code,
            "no_worker_page");
  auto lying = page_reader::make({}).value();
  auto map =
      shared_region::map(berth::base::unique_fd(::dup(lying->fd())), sizeof(page_header)).value();
  reinterpret_cast<page_header*>(map.data())->links = 65536;  // larger than the memory behind it
  EXPECT_EQ(page_writer::open(berth::base::unique_fd(::dup(lying->fd()))).error().code,
            "no_worker_page");
  EXPECT_EQ(page_reader::make({.threads = 0}).error().kind, berth::kind::invalid);
}

TEST(worker_page, a_closed_gate_refuses_older_revisions_and_admits_newer_ones) {
  page_pair page;
  const auto link = page.worker->open_link(1).value();
  const auto call_at = [&](std::uint64_t call, std::uint64_t revision) {
    const bool admitted = page.worker->begin(0, {link, 0, call, 3, revision});
    if (admitted) page.worker->end(0, outcome_ok);
    return admitted;
  };
  EXPECT_TRUE(call_at(1, 5));
  ASSERT_TRUE(page.node->close_gate(3, 6));
  EXPECT_FALSE(call_at(2, 5));
  EXPECT_TRUE(call_at(3, 6));
  EXPECT_TRUE(call_at(4, 7));
  ASSERT_TRUE(page.node->close_gate(3, 2)) << "a lower revision changes nothing";
  EXPECT_FALSE(call_at(5, 5));
  EXPECT_EQ(page.node->close_gate(1'000'000, 1).error().kind, berth::kind::invalid);
  EXPECT_FALSE(page.worker->begin(0, {link, 0, 6, 4'000'000'000, 1})) << "a slot there is not";
  EXPECT_TRUE(page.worker->begin(0, pinned(link, 7)));
  page.worker->end(0, outcome_ok);
  ASSERT_TRUE(page.node->close_all());
  EXPECT_FALSE(page.worker->begin(0, pinned(link, 8)));
}

TEST(worker_page, the_ledger_knows_what_became_of_each_call) {
  page_pair page;
  const auto link = page.worker->open_link(77).value();
  EXPECT_EQ(page.node->fate_of(77, 1), fate::not_started);
  EXPECT_EQ(page.node->fate_of(78, 1), fate::unknown);
  ASSERT_TRUE(page.worker->begin(0, pinned(link, 1)));
  EXPECT_EQ(page.node->fate_of(77, 1), fate::started);
  EXPECT_EQ(page.node->running(), 1U);
  page.worker->end(0, outcome_ok);
  EXPECT_EQ(page.node->fate_of(77, 1), fate::finished);
  EXPECT_EQ(page.node->fate_of(77, 2), fate::not_started);
  EXPECT_EQ(page.node->running(), 0U);
  for (std::uint64_t call = 2; call < 3000; ++call) {
    ASSERT_TRUE(page.worker->begin(0, pinned(link, call)));
    page.worker->end(0, outcome_ok);
    ASSERT_EQ(page.node->fate_of(77, call), fate::finished);
    ASSERT_EQ(page.node->fate_of(77, call + 1), fate::not_started);
  }
  EXPECT_EQ(page.node->fate_of(77, 1), fate::finished) << "older than the window";
}

TEST(worker_page, a_long_call_is_known_as_started_while_others_overtake_it) {
  page_pair page({.threads = 2});
  const auto link = page.worker->open_link(5).value();
  ASSERT_TRUE(page.worker->begin(0, pinned(link, 1)));
  for (std::uint64_t call = 2; call < 2 + 3 * ledger_window; ++call) {
    ASSERT_TRUE(page.worker->begin(1, pinned(link, call)));
    page.worker->end(1, outcome_ok);
  }
  EXPECT_EQ(page.node->fate_of(5, 1), fate::started);
  const auto hidden = 1 + 3 * ledger_window;  // the newest call that shares a cell with call 1
  page.worker->end(0, outcome_ok);
  EXPECT_EQ(page.node->fate_of(5, 1), fate::finished);
  EXPECT_EQ(page.node->fate_of(5, hidden), fate::finished) << "an older call must not hide it";
}

TEST(worker_page, links_are_bounded_and_the_longest_closed_slot_is_used_again) {
  page_pair page({.links = 2});
  const auto first = page.worker->open_link(1).value();
  const auto second = page.worker->open_link(2).value();
  EXPECT_EQ(page.worker->open_link(3).error().kind, berth::kind::overloaded);
  ASSERT_TRUE(page.worker->begin(0, pinned(second, 9)));
  page.worker->end(0, outcome_ok);
  page.worker->close_link(second);
  page.worker->close_link(first);
  EXPECT_EQ(page.node->fate_of(2, 9), fate::finished) << "readable after the link closed";
  EXPECT_EQ(page.worker->open_link(3).value(), second);
  EXPECT_EQ(page.node->fate_of(2, 9), fate::unknown);
  EXPECT_EQ(page.node->fate_of(3, 9), fate::not_started);
}

TEST(worker_page, counts_by_caller_ref_and_outcome_and_tells_long_texts_apart) {
  page_pair page({.threads = 2, .counters = 4});
  const auto link = page.worker->open_link(1).value();
  const std::string long_name(600, 'x');
  const auto a = page.worker->counter("ann/berth", "digits/classify@prod");
  const auto b = page.worker->counter(long_name + "1", "r");
  const auto c = page.worker->counter(long_name + "2", "r");
  EXPECT_EQ(page.worker->counter("ann/berth", "digits/classify@prod"), a);
  EXPECT_NE(b, c);
  const auto other = page.worker->counter("one too many", "r");
  EXPECT_EQ(other, 0U);
  std::uint64_t call = 0;
  const auto run = [&](std::uint32_t thread, std::uint32_t counter, outcome how) {
    ASSERT_TRUE(page.worker->begin(thread, pinned(link, ++call, counter)));
    page.worker->end(thread, how);
  };
  run(0, a, outcome_ok);
  run(1, a, outcome_ok);
  run(1, a, static_cast<outcome>(berth::kind::failed));
  run(0, other, outcome_ok);
  const std::vector<call_count> expected{
      {"(other)", "(other)", 0, 1},
      {"ann/berth", "digits/classify@prod", 0, 2},
      {"ann/berth", "digits/classify@prod", static_cast<outcome>(berth::kind::failed), 1}};
  EXPECT_EQ(page.node->counts(page_reader::life::runs), expected);
  EXPECT_EQ(page.node->finished(), 4U);
}

// ---- flips under load

struct flip_report {
  long flips = 0;
  long started = 0;
  long late = 0;
  std::vector<double> took_us;
};

// One executing thread starts calls at the revision it knows while this thread flips. Calls are numbered by start, and
// last long enough that one which started late has not ended when the page is looked at, right after the
// acknowledgement: then the running call, else the count of ended ones, is the last that had started.
class flip_race {
 public:
  flip_race(page_pair& page, std::size_t flips)
      : page_(page),
        raw_(shared_region::map(berth::base::unique_fd(::dup(page.node->fd())), 1).value()),
        last_start_(flips + 2),
        last_allowed_(flips + 2) {
    const auto size = page.node->size();
    slot_ = reinterpret_cast<thread_slot*>(raw_.data() + sizeof(page_header));
    const auto counts =
        std::size_t{size.threads} * size.counters * outcomes_max * sizeof(shared_word);
    ended_ = reinterpret_cast<shared_word*>(raw_.data() + raw_.size() - counts);  // the last part
  }

  flip_report run() {
    link_ = page_.worker->open_link(4711).value();
    std::thread caller([this] { call_on(); });
    flip_report report;
    for (std::uint64_t revision = 2; revision < last_start_.size(); ++revision) {
      const auto begun = std::chrono::steady_clock::now();
      const bool closed = page_.node->close_gate(1, revision, 5s).has_value();
      const auto running = slot_->call.load(std::memory_order_acquire);
      const auto ended = ended_->load(std::memory_order_acquire);
      const auto took = std::chrono::steady_clock::now() - begun;
      EXPECT_TRUE(closed);
      last_allowed_[revision] = running != 0 ? running : ended;
      report.took_us.push_back(std::chrono::duration<double, std::micro>(took).count());
      known_.store(revision, std::memory_order_relaxed);
      ++report.flips;
      // A flip counts when calls start before it: wait for one, then flip at some point of its life.
      for (long turn = 0; ended_->load(std::memory_order_relaxed) == ended; ++turn)
        turn < 2000 ? pause(1) : std::this_thread::yield();
      pause(revision % 16);
    }
    stop_ = true;
    caller.join();
    std::uint64_t newest = 0;
    for (std::uint64_t revision = 2; revision < last_start_.size(); ++revision) {
      newest = std::max(newest, last_start_[revision - 1]);
      report.late += newest > last_allowed_[revision] ? 1 : 0;
    }
    report.started = static_cast<long>(started_);
    return report;
  }

 private:
  static void pause(std::uint64_t turns) {
    for (std::uint64_t n = 0; n < turns; ++n)
      __builtin_ia32_pause();
  }

  void call_on() {
    while (!stop_.load(std::memory_order_relaxed)) {
      const auto revision = known_.load(std::memory_order_relaxed);
      if (!page_.worker->begin(0, {link_, 0, started_ + 1, 1, revision})) continue;
      last_start_[revision] = ++started_;
      pause(10);
      page_.worker->end(0, outcome_ok);
    }
  }

  page_pair& page_;
  shared_region raw_;
  thread_slot* slot_;
  shared_word* ended_;
  std::uint32_t link_ = 0;
  std::atomic<std::uint64_t> known_{1};
  std::atomic<bool> stop_{false};
  std::uint64_t started_ = 0;
  std::vector<std::uint64_t> last_start_;  // by revision: the last call that started under it
  std::vector<std::uint64_t>
      last_allowed_;  // by revision: the last that had started when it was acknowledged
};

TEST(worker_page, no_call_starts_on_the_old_revision_after_the_flip_was_acknowledged) {
  page_pair page({.threads = 2});
  auto report = flip_race(page, 20'000).run();
  std::sort(report.took_us.begin(), report.took_us.end());
  std::printf(
      "%ld flips, %ld starts, %ld late; acknowledged after %.1f us (median), %.1f us (p99)\n",
      report.flips, report.started, report.late, report.took_us[report.took_us.size() / 2],
      report.took_us[report.took_us.size() * 99 / 100]);
  EXPECT_EQ(report.flips, 20'000);
  EXPECT_GT(report.started, report.flips / 10) << "no load, no test";
  EXPECT_EQ(report.late, 0);
}

TEST(worker_page, a_running_call_does_not_delay_a_flip) {
  page_pair page({.threads = 2});
  const auto link = page.worker->open_link(1).value();
  ASSERT_TRUE(page.worker->begin(1, {link, 0, 1, 1, 1}));  // runs until the end of this test
  auto report = flip_race(page, 2'000).run();
  EXPECT_EQ(report.late, 0);
  EXPECT_EQ(report.flips, 2'000);
  EXPECT_EQ(page.node->fate_of(1, 1), fate::started);
  EXPECT_GE(page.node->running(), 1U);
  page.worker->end(1, outcome_ok);
}

TEST(worker_page, a_thread_stopped_while_it_decides_is_told_and_the_gate_stays_closed) {
  page_pair page;
  auto map = shared_region::map(berth::base::unique_fd(::dup(page.node->fd())), sizeof(page_header))
                 .value();
  auto* slot = reinterpret_cast<thread_slot*>(map.data() + sizeof(page_header));
  slot->phase = 1;
  const auto closed = page.node->close_gate(2, 9, 5ms);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().kind, berth::kind::timed_out);
  slot->phase = 2;
  EXPECT_FALSE(page.worker->gate_admits(2, 8));
  EXPECT_TRUE(page.worker->gate_admits(2, 9));
}

TEST(worker_page, a_call_costs_a_few_nanoseconds) {
  page_pair page;
  const auto link = page.worker->open_link(1).value();
  const auto cpu = [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
  };
  double best = 1e9;
  constexpr int calls = 200'000;
  std::uint64_t call = 0;
  for (int round = 0; round < 10; ++round) {
    const auto begun = cpu();
    for (int n = 0; n < calls; ++n) {
      (void)page.worker->begin(0, {link, 0, ++call, 1, 1});
      page.worker->end(0, outcome_ok);
    }
    best = std::min(best, (cpu() - begun) / calls);
  }
  std::printf("begin and end: %.2f ns a call\n", best);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(best, 50);
#endif
}

TEST(worker_page, a_stranger_that_scribbles_the_page_harms_nobody) {
  page_pair page({.threads = 2, .tags = 8, .links = 4, .counters = 8});
  auto map = shared_region::map(berth::base::unique_fd(::dup(page.node->fd())), sizeof(page_header))
                 .value();
  std::uint64_t seed = 20261124;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  for (int round = 0; round < 200; ++round) {
    auto* words = reinterpret_cast<shared_word*>(map.data());
    for (std::size_t n = 0; n < map.size() / 8; ++n) {
      seed = seed * 6364136223846793005 + 1442695040888963407;
      if (seed >> 62 == 0) words[n].store(seed, std::memory_order_relaxed);
    }
    (void)page.node->close_gate(1, seed, 1ms);
    (void)page.node->fate_of(seed, seed);
    (void)page.node->crash();
    EXPECT_LE(page.node->running(), 2U);
    EXPECT_LE(page.node->counts(page_reader::life::ended).size(), 8U * outcomes_max);
  }
}

}  // namespace
