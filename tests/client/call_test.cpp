#include "runtime/client/dynamic.hpp"
#include "tests/support/served_here.hpp"

#include <array>
#include <atomic>
#include <barrier>
#include <berth/berth.hpp>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace berth::tests {
namespace {

using namespace std::chrono_literals;

struct digit {
  int label;
  float confidence;
  friend bool operator==(const digit&, const digit&) = default;
};

int add(int a, int b) {
  return a + b;
}

digit brightest(std::span<const float> pixels) {
  digit best{-1, -1};
  for (std::size_t i = 0; i < pixels.size(); ++i)
    if (pixels[i] > best.confidence) best = {static_cast<int>(i), pixels[i]};
  return best;
}

std::string repeat(std::string_view text, std::uint32_t times) {
  std::string all;
  for (std::uint32_t i = 0; i < times; ++i)
    all += text;
  return all;
}

void refuse(int code) {
  if (code == 0) throw std::out_of_range("zero is out of range");
  throw failure{digit{code, 0.5f}};
}

std::atomic<int> touched{0};

void touch() {
  ++touched;
}

std::counting_semaphore<64> entered{0};
std::counting_semaphore<64> may_leave{0};

int wait_inside(int x) {
  entered.release();
  may_leave.acquire();
  return x;
}

bool stopped_within_a_second() {
  entered.release();
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!here().stop_requested() && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  may_leave.release();
  return here().stop_requested();
}

std::vector<float> doubled(const std::vector<float>& xs) {
  std::vector<float> all;
  for (float x : xs)
    all.push_back(2 * x);
  return all;
}

int even(int x) {
  if (x % 2 != 0) throw std::invalid_argument("odd");
  return x;
}

std::int64_t milliseconds_left() {
  const auto left = here().remaining();
  return left ? std::chrono::ceil<std::chrono::milliseconds>(*left).count() : -1;
}

std::string who_calls() {
  return std::string(here().caller.program) + " runs " + std::string(here().version());
}

BERTH_EXPORT(&add).params("a", "b");
BERTH_EXPORT(&brightest);
BERTH_EXPORT(&repeat).params("text", "times");
BERTH_EXPORT(&even);
BERTH_EXPORT(&milliseconds_left);
BERTH_EXPORT(&refuse);
BERTH_EXPORT(&touch);
BERTH_EXPORT(&wait_inside);
BERTH_EXPORT(&stopped_within_a_second);
BERTH_EXPORT(&doubled);
BERTH_EXPORT(&who_calls);

TEST(call, goes_there_and_comes_back) {
  const replica_here served("add");
  const session_to here(served);
  const auto f = here.function<int(int, int)>();
  EXPECT_EQ(f(1, 2), 3);
  EXPECT_EQ(*f.try_(40, 2), 42);
  EXPECT_EQ(f.reply(1, 1).version, 1u);
}

TEST(call, carries_views_aggregates_and_text) {
  const replica_here digits("brightest");
  const session_to here(digits);
  EXPECT_EQ(here.function<digit(std::span<const float>)>()(std::vector<float>{0.f, 3.f, 1.f}),
            (digit{1, 3.f}));
  const replica_here texts("repeat");
  const session_to there(texts);
  EXPECT_EQ(there.function<std::string(std::string_view, std::uint32_t)>()("ab", 3), "ababab");
}

TEST(call, carries_what_is_larger_than_the_ring_both_ways) {
  const replica_here served("doubled");
  const session_to here(served);
  const auto f = here.function<std::vector<float>(const std::vector<float>&)>();
  for (const std::size_t n :
       {std::size_t{0}, std::size_t{1000}, std::size_t{20000}, std::size_t{3000000}}) {
    std::vector<float> xs(n, 1.5f);
    const auto got = f(xs);
    ASSERT_EQ(got.size(), n);
    if (n > 0) {
      EXPECT_EQ(got.front(), 3.f);
      EXPECT_EQ(got.back(), 3.f);
    }
  }
}

TEST(call, of_a_void_function_happens_once) {
  const replica_here served("touch");
  const session_to here(served);
  const int before = touched;
  here.function<void()>()();
  EXPECT_EQ(touched, before + 1);
}

TEST(call, brings_the_functions_errors_home) {
  const replica_here served("refuse");
  const session_to here(served);
  const auto f = here.function<void(int)>();
  const auto plain = f.try_(0);
  ASSERT_FALSE(plain.has_value());
  EXPECT_EQ(plain.error().kind, kind::failed);
  EXPECT_NE(plain.error().message.find("zero is out of range"), std::string::npos);
  try {
    f(7);
    FAIL() << "the failure must be thrown";
  } catch (const error& e) {
    EXPECT_EQ(e.detail<digit>(), (digit{7, 0.5f}));
  }
}

TEST(call, with_another_signature_is_refused_and_both_are_printed) {
  const replica_here served("add");
  const session_to here(served);
  try {
    (void)here.function<std::string(std::string)>();
    FAIL() << "the signatures do not fit";
  } catch (const error& e) {
    EXPECT_EQ(e.kind(), kind::invalid);
    EXPECT_EQ(e.code(), "signature_mismatch");
    EXPECT_NE(e.message().find("int"), std::string::npos);
    EXPECT_NE(e.message().find("string"), std::string::npos);
  }
}

TEST(call, past_its_deadline_ends_the_wait_and_tells_the_callee_to_stop) {
  const replica_here served("stopped_within_a_second");
  const session_to here(served);
  const auto f = here.function<bool()>();
  const auto r = f.within(20ms).try_();
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().kind, kind::timed_out);
  EXPECT_EQ(r.error().code, "unknown") << "it had started";
  entered.acquire();
  EXPECT_TRUE(may_leave.try_acquire_for(5s)) << "the function never saw its stop flag";
}

TEST(call, of_a_future_past_its_deadline_may_have_run_and_stops_its_callee) {
  const replica_here served("stopped_within_a_second");
  const session_to here(served);
  auto late = here.function<bool()>().within(20ms).async();
  entered.acquire();
  const auto r = late.try_get();
  ASSERT_FALSE(r.has_value()) << "what a stopped function says is no result";
  EXPECT_EQ(r.error().kind, kind::timed_out);
  EXPECT_EQ(r.error().code, "unknown");
  EXPECT_TRUE(may_leave.try_acquire_for(5s)) << "the function never saw its stop flag";
}

TEST(call, whose_client_goes_is_stopped) {
  const replica_here served("stopped_within_a_second");
  const std::shared_ptr<net::driver> drives = net::driver::start().value();
  auto client =
      client::peer::connect(net::unix_address{served.socket()}, "worker:1", "test", drives).value();
  net::frame_header header;
  header.kind = net::frame_kind::call;
  header.binding =
      client->bind({"here/f@prod", 1, "", encode(signature_of<bool()>())}).value().binding;
  net::pending slot;
  client->link().begin(slot, header, 0).commit();
  entered.acquire();
  client->link().abandon(slot, net::link::leave::leave_running);
  client.reset();
  EXPECT_TRUE(may_leave.try_acquire_for(5s)) << "the function never saw its stop flag";
}

TEST(call, that_is_cancelled_stops_its_callee) {
  const replica_here served("stopped_within_a_second");
  const session_to here(served);
  auto p = here.function<bool()>().async();
  entered.acquire();
  p.cancel();
  EXPECT_EQ(p.try_get().error().kind, kind::cancelled);
  EXPECT_TRUE(may_leave.try_acquire_for(5s)) << "the function never saw its stop flag";
}

TEST(call, beyond_the_credits_is_overloaded_at_once_when_the_caller_has_no_patience) {
  serve_options how;
  how.credits = 2;
  const replica_here served("wait_inside", how);
  const session_to here(served);
  const auto f = here.function<int(int)>();
  auto first = f.async(1);
  auto second = f.async(2);
  entered.acquire();
  const auto third = f.with({.patience = 0s}).try_(3);
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().kind, kind::overloaded);
  const auto fourth = f.with({.patience = 20ms}).try_(4);
  EXPECT_EQ(fourth.error().kind, kind::overloaded);
  may_leave.release(2);
  EXPECT_EQ(first.get(), 1);
  EXPECT_EQ(second.get(), 2);
  entered.acquire();
  may_leave.release();
  EXPECT_EQ(f(5), 5);
  entered.acquire();
}

TEST(call, a_queued_call_whose_deadline_passes_does_not_start) {
  const replica_here served("wait_inside");
  const session_to here(served);
  const auto f = here.function<int(int)>();
  auto first = f.async(1);
  entered.acquire();
  const auto queued = f.within(20ms).try_(2);
  ASSERT_FALSE(queued.has_value());
  EXPECT_EQ(queued.error().kind, kind::timed_out);
  EXPECT_EQ(queued.error().code, "not_started");
  auto later = f.within(20ms).async(3);
  EXPECT_EQ(later.try_get().error().code, "not_started");
  const auto end = std::chrono::steady_clock::now() + 5s;
  while (served.calls->busy() > 1 && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  ASSERT_EQ(served.calls->busy(), 1u) << "an expired call still waits";
  may_leave.release();
  EXPECT_EQ(first.get(), 1);
  EXPECT_FALSE(entered.try_acquire_for(50ms)) << "the expired call was started";
}

TEST(call, runs_as_many_at_once_as_the_version_says) {
  serve_options how;
  how.concurrency = 3;
  const replica_here served("wait_inside", how);
  const session_to here(served);
  const auto f = here.function<int(int)>();
  std::vector<future<int>> under_way;
  for (int i = 0; i < 3; ++i)
    under_way.push_back(f.async(i));
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(entered.try_acquire_for(5s)) << i << " of 3 run";
  may_leave.release(3);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(under_way[i].get(), i);
}

TEST(call, many_threads_share_one_handle) {
  const replica_here served("add");
  const session_to here(served);
  const auto f = here.function<int(int, int)>();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i)
        wrong += f(t, i) != t + i;
    });
  for (auto& one : threads)
    one.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(served.page->finished(), 8000u);
}

TEST(call, whose_handle_is_gone_goes_on_and_its_session_ends_after_it) {
  const replica_here served("wait_inside");
  std::optional<session_to> here(served);
  const std::weak_ptr<client::session> session = here->session;
  auto kept = here->function<int(int)>().async(1);
  static_cast<void>(here->function<int(int)>().async(2));
  for (int i = 0; i < 2; ++i) {
    entered.acquire();
    if (i == 0) here.reset();
    EXPECT_FALSE(session.expired()) << "the session ended while a call was under way";
    may_leave.release();
  }
  EXPECT_EQ(kept.get(), 1);
  const auto end = std::chrono::steady_clock::now() + 5s;
  while (!session.expired() && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  EXPECT_TRUE(session.expired()) << "the session outlives its last call";
}

TEST(call, a_thousand_futures_under_way) {
  const replica_here served("add");
  const session_to here(served);
  const auto f = here.function<int(int, int)>();
  std::vector<future<int>> all;
  for (int i = 0; i < 1000; ++i)
    all.push_back(f.async(i, i));
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(all[i].get(), 2 * i);
}

TEST(call, futures_are_answered_whatever_thread_waits_for_them) {
  constexpr int threads = 4, each = 100, rounds = 20;
  const replica_here served("add");
  const session_to here(served);
  const auto f = here.function<int(int, int)>();
  std::array<std::vector<future<int>>, threads> made;
  std::barrier meet(threads);
  std::atomic<int> wrong{0};
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t)
    running.emplace_back([&, t] {
      for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < each; ++i)
          made[t].push_back(f.async(t, i));
        meet.arrive_and_wait();
        const int other = (t + 1) % threads;
        for (int i = 0; i < each; ++i)
          wrong += made[other][i].get() != other + i;
        made[other].clear();
        meet.arrive_and_wait();
      }
    });
  for (auto& one : running)
    one.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(served.page->finished(), static_cast<std::uint64_t>(threads * each * rounds));
}

TEST(call, a_future_knows_nothing_of_payloads_that_came_before_it) {
  const replica_here served("doubled");
  const session_to here(served);
  const auto f = here.function<std::vector<float>(const std::vector<float>&)>();
  for (const std::size_t n : {std::size_t{3'000'000}, std::size_t{10}, std::size_t{3'000'000}}) {
    const auto got = f.async(std::vector<float>(n, 1.5f)).get();
    ASSERT_EQ(got.size(), n);
    EXPECT_EQ(got.back(), 3.f);
  }
}

TEST(call, map_gives_every_item_its_result) {
  const replica_here served("add");
  const session_to here(served);
  const auto f = here.function<int(int, int)>();
  std::vector<std::tuple<int, int>> items;
  for (int i = 0; i < 500; ++i)
    items.emplace_back(i, 1);
  std::size_t next = 0;
  for (auto& one : f.map(items)) {
    EXPECT_EQ(one.index, next);
    EXPECT_EQ(one.value(), static_cast<int>(next) + 1);
    ++next;
  }
  EXPECT_EQ(next, 500u);
  std::vector<int> seen(500);
  for (auto& one : f.with({.in_flight = 7, .ordered = false}).map(items))
    ++seen[one.index];
  EXPECT_EQ(seen, std::vector<int>(500, 1));
}

TEST(call, every_start_is_counted_once_by_caller_ref_and_outcome) {
  serve_options how;
  how.concurrency = 3;
  const replica_here served("even", how);
  const session_to here(served);
  const auto f = here.function<int(int)>();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      std::vector<future<int>> under_way;
      for (int i = 0; i < 300; ++i) {
        EXPECT_EQ(f.try_(i).has_value(), i % 2 == 0);
        under_way.push_back(f.async(i));
      }
      for (int i = 0; i < 300; ++i)
        EXPECT_EQ(under_way[static_cast<std::size_t>(i)].try_get().has_value(), i % 2 == 0);
    });
  for (auto& one : threads)
    one.join();
  std::map<process::outcome, std::uint64_t> sums;
  for (const auto& row : served.page->counts(process::page_reader::life::runs)) {
    EXPECT_EQ(row.ref, "here/f@prod");
    EXPECT_EQ(row.caller, "client_call_test uid " + std::to_string(::getuid()));
    sums[row.how] += row.calls;
  }
  const std::map<process::outcome, std::uint64_t> expected{
      {process::outcome_ok, 1200}, {static_cast<process::outcome>(kind::failed), 1200}};
  EXPECT_EQ(sums, expected);
}

TEST(call, a_self_describing_caller_gets_what_a_typed_one_gets) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const replica_here digits("brightest");
  const session_to here(digits);
  const auto typed = here.function<digit(std::span<const float>)>();
  const auto told = client::dynamic_function::bind(here.session, "here/f@prod").value();
  for (int i = 0; i < 50; ++i) {
    std::vector<float> pixels(random() % 300);
    for (auto& one : pixels)
      one = std::uniform_real_distribution<float>(0, 1)(random);
    const auto reply = told.call(value(value::list{to_value(pixels)}), {});
    ASSERT_TRUE(reply) << reply.error().to_string();
    EXPECT_EQ(print_json(reply->result), print_json(to_value(typed(pixels))));
  }
  const replica_here texts("repeat");
  const session_to there(texts);
  const auto say = client::dynamic_function::bind(there.session, "here/f@prod").value();
  const auto by_name = parse_json(R"({"times": 3, "text": "ab"})").value();
  EXPECT_EQ(print_json(say.call(by_name, {}).value().result), "\"ababab\"");
}

task<int> twice_over(const function<int(int, int)>& f, int x) {
  const int once = co_await f.async(x, x);
  co_return co_await f.async(once, once);
}

TEST(call, is_awaited_in_a_task) {
  const replica_here served("add");
  const session_to here(served);
  EXPECT_EQ(run(twice_over(here.function<int(int, int)>(), 3)), 12);
}

TEST(call, the_callee_knows_how_long_it_may_take) {
  const replica_here served("milliseconds_left");
  const session_to here(served);
  const auto f = here.function<std::int64_t()>();
  EXPECT_EQ(f(), -1) << "no deadline was set";
  const auto left = f.within(60s)();
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 60000);
}

template <class Options>
concept has_idempotency_key = requires(Options o) {
  o.key;
};

template <class Handle>
concept submits = requires(const Handle& f) {
  f.submit(1);
};

template <class Handle>
concept calls_by_reference = requires(const Handle& f) {
  f.remote(1);
};

template <class Place>
concept spawns = requires(const Place& p) {
  p.spawn("team/hits");
};

TEST(call, what_is_not_there_yet_does_not_compile) {
  static_assert(!has_idempotency_key<call_options>);
  static_assert(!submits<function<int(int)>>);
  static_assert(!calls_by_reference<function<int(int)>>);
  static_assert(!spawns<place>);
}

TEST(call, the_callee_knows_who_calls) {
  const replica_here served("who_calls");
  const session_to here(served);
  EXPECT_EQ(here.function<std::string()>()(), "client_call_test runs here/who_calls@1");
}

TEST(call, works_without_the_ring) {
  serve_options how;
  how.ring = false;
  const replica_here served("add", how);
  const session_to here(served);
  EXPECT_EQ((here.function<int(int, int)>()(2, 3)), 5);
}

TEST(call, a_lost_worker_is_an_error_at_once) {
  auto served = std::make_unique<replica_here>("add");
  const session_to here(*served);
  const auto f = here.function<int(int, int)>();
  EXPECT_EQ(f(1, 1), 2);
  served.reset();
  const auto begun = std::chrono::steady_clock::now();
  const auto r = f.within(500ms).try_(1, 1);
  ASSERT_FALSE(r.has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

TEST(call, through_an_empty_handle_says_so) {
  EXPECT_EQ((function<int(int, int)>().try_(1, 2).error().code), "empty_handle");
  EXPECT_EQ((function<int(int, int)>().async(1, 2).try_get().error().code), "empty_handle");
}

TEST(call, by_a_tag_older_than_the_gate_is_sent_again_and_not_started_before) {
  const replica_here served("touch");
  const session_to here(served);
  const auto f = here.function<void()>();
  f();
  const int before = touched;
  ASSERT_TRUE(served.page->close_gate(1, 2).has_value());
  auto next = here.directory->route;
  next.revision = 2;
  {
    const std::lock_guard lock(here.directory->mutex);
    here.directory->route = next;  // the head knows, nobody was told
  }
  f();
  EXPECT_EQ(touched, before + 1);
}

}  // namespace
}  // namespace berth::tests
