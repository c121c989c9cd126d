#include "runtime/net/link.hpp"

#include "tests/net/pair.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace berth::net::testing {
namespace {

class every_lane : public ::testing::TestWithParam<over> {};

INSTANTIATE_TEST_SUITE_P(lanes,
                         every_lane,
                         ::testing::Values(over::ring, over::unix_socket, over::tcp),
                         [](const auto& with) { return name(with.param); });

frame_header call_header() {
  frame_header header;
  header.kind = frame_kind::call;
  return header;
}

TEST_P(every_lane, answers_a_call_and_names_its_lane) {
  pair both(GetParam());
  EXPECT_EQ(both.link->peer().lane, name(GetParam()));
  EXPECT_EQ(both.link->peer().program, "server-under-test");
  EXPECT_EQ(call(*both.link, "hello"), "hello");
  EXPECT_EQ(call(*both.link, ""), "");
}

TEST_P(every_lane, carries_bodies_of_every_size_unchanged) {
  pair both(GetParam());
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<std::size_t> sizes{1,    31,    32,    33,    191,     192,      193,
                                 4096, 16352, 16353, 65536, 300'000, 5'000'000};
  for (int i = 0; i < 20; ++i)
    sizes.push_back(random() % 200'000);
  for (const auto size : sizes) {
    std::string body(size, '\0');
    for (auto& c : body)
      c = static_cast<char>(random());
    EXPECT_EQ(call(*both.link, body) == body, true) << size;
  }
  EXPECT_EQ(both.link->in_flight(), 0U);
}

TEST_P(every_lane, serves_a_hundred_thousand_calls_without_a_rescue) {
  pair both(GetParam());
  const int calls = GetParam() == over::ring ? 100'000 : 10'000;
  for (int i = 0; i < calls; ++i)
    ASSERT_EQ(call(*both.link, "0123456789abcdef"), "0123456789abcdef");
  EXPECT_EQ(both.link->statistics().rescues, 0U);
  EXPECT_EQ(both.serves->links().at(0)->statistics().rescues, 0U);
}

TEST_P(every_lane, gives_each_of_many_threads_its_own_result) {
  pair both(GetParam());
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 3000; ++i) {
        const auto text = std::to_string(t) + "/" + std::to_string(i);
        if (call(*both.link, text) != text) ++wrong;
      }
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(both.link->statistics().rescues, 0U);
}

/// Counts ends of calls nobody waits for.
struct counting : call_events {
  std::atomic<int> done{0};

  void on_done(pending&) noexcept override { done.fetch_add(1); }
};

TEST_P(every_lane, drives_calls_nobody_waits_for) {
  pair both(GetParam());
  counting events;
  std::vector<std::unique_ptr<pending>> slots;
  for (int i = 0; i < 500; ++i) {
    slots.push_back(std::make_unique<pending>(&events));
    auto open = both.link->begin(*slots.back(), call_header(), 8);
    ASSERT_TRUE(open);
    std::memcpy(open.body(), &i, sizeof i);
    open.commit(reservation::when::batched);
  }
  ASSERT_TRUE(soon([&] { return events.done == 500; }));
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(slots[static_cast<std::size_t>(i)]->how(), completion::answered);
    int got = -1;
    std::memcpy(&got, slots[static_cast<std::size_t>(i)]->answer().body.data(), sizeof got);
    EXPECT_EQ(got, i);
  }
}

TEST_P(every_lane, wakes_the_callback_thread_also_after_a_waiting_caller_relieved_it) {
  pair both(GetParam());
  std::atomic<std::uint64_t> sleeps{0};
  const auto note_sleeps = [&] { sleeps = both.link->statistics().sleeps; };
  const auto slept = [&] { return soon([&] { return both.link->statistics().sleeps > sleeps; }); };
  std::counting_semaphore<> may_answer{0};
  const auto echo = both.does.call;
  both.does.call = [&](served_link& from, message_view what) {
    if (text_of(what.body) == "alone") may_answer.acquire();
    if (text_of(what.body) == "waiting") {
      EXPECT_TRUE(slept()) << "the caller leads and sleeps";
    }
    echo(from, what);
  };
  counting events;
  pending slot(&events);
  int begun = 0;
  const auto begin_alone = [&] {
    auto open = both.link->begin(slot, call_header(), 5);
    ASSERT_TRUE(open);
    std::memcpy(open.body(), "alone", 5);
    open.commit();
    ++begun;
  };
  const auto await_end = [&] { ASSERT_TRUE(soon([&] { return events.done == begun; })); };
  for (int round = 0; round < 20; ++round) {
    begin_alone();
    note_sleeps();
    may_answer.release();
    await_end();
    ASSERT_TRUE(slept()) << "the callback thread sleeps until the peer rings";
    note_sleeps();
    EXPECT_EQ(call(*both.link, "waiting"), "waiting");
    may_answer.release();
    begin_alone();
    await_end();
  }
  EXPECT_EQ(both.link->statistics().rescues, 0U);
}

TEST_P(every_lane, hands_the_reader_role_on_when_a_wait_ends_at_its_deadline) {
  pair both(GetParam());
  std::atomic<int> lost{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        pending slot;
        auto open = both.link->begin(slot, call_header(), 8, {}, in(10s));
        if (!open) {
          ++lost;
          continue;
        }
        open.commit();
        const bool patient = t == 0;
        const auto deadline =
            patient ? in(10s) : base::steady::now() + std::chrono::microseconds(i % 200);
        if (both.link->wait(slot, deadline) == completion::timed_out && patient) ++lost;
      }
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(lost, 0) << "somebody waited ten seconds for an answer that was there";
}

TEST_P(every_lane, waits_for_a_window_of_calls_in_order) {
  pair both(GetParam());
  counting events;
  std::vector<std::unique_ptr<pending>> window;
  for (int i = 0; i < 1000; ++i)
    window.push_back(std::make_unique<pending>(&events));
  for (int i = 0; i < 20'000; ++i) {
    auto& slot = *window[static_cast<std::size_t>(i) % window.size()];
    if (i >= 1000) {
      ASSERT_EQ(both.link->wait(slot, in(10s)), completion::answered) << i;
    }
    auto open = both.link->begin(slot, call_header(), 16, {}, in(10s));
    ASSERT_TRUE(open) << slot.error().to_string();
    open.commit(reservation::when::batched);
  }
  for (auto& slot : window)
    EXPECT_EQ(both.link->wait(*slot, in(10s)), completion::answered);
  ASSERT_TRUE(soon([&] { return events.done == 20'000; }));
  EXPECT_EQ(both.link->statistics().rescues, 0U);
}

}  // namespace
}  // namespace berth::net::testing
