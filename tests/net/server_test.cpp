#include "runtime/net/server.hpp"

#include "runtime/base/cpu.hpp"
#include "tests/net/pair.hpp"

#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace berth::net::testing {
namespace {

frame_header call_header() {
  frame_header header;
  header.kind = frame_kind::call;
  return header;
}

/// A handler call that lasts until the test lets it go.
struct gate {
  std::promise<void> opens;
  std::shared_future<void> opened = opens.get_future().share();
  std::atomic<bool> inside{false};
};

void hold(pair& both, gate& at) {
  both.does.call = [&](served_link& from, message_view what) {
    if (text_of(what.body) == "hold") {
      at.inside = true;
      at.opened.wait();
    }
    auto open = from.begin(frame_kind::result, what.header.call, 0);
    if (open) open.commit(reservation::when::batched);
  };
}

void begin_held(net::link& link, pending& slot) {
  auto open = link.begin(slot, call_header(), 4);
  ASSERT_TRUE(open);
  std::memcpy(open.body(), "hold", 4);
  open.commit();
}

TEST(server, serves_others_and_hears_cancels_while_a_call_lasts) {
  gate at;
  std::atomic<bool> ran_queued{false};
  pair both;
  hold(both, at);
  both.does.queued = [&] { ran_queued = true; };
  pending slow;
  begin_held(*both.link, slow);
  ASSERT_TRUE(soon([&] { return at.inside.load(); }));
  const auto second = both.another(over::ring);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(call(*second, "x"), "");
  both.link->cancel(slow);
  EXPECT_TRUE(both.does.await([&] { return both.does.cancelled.size() == 1; }));
  EXPECT_FALSE(slow.done());
  at.opens.set_value();
  EXPECT_EQ(both.link->wait(slow, in(10s)), completion::answered);
  EXPECT_TRUE(soon([&] { return ran_queued.load(); }));
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(call(*both.link, "x"), "");
}

TEST(server, hands_on_a_streams_items_in_order_and_never_before_its_call) {
  std::vector<std::string> seen;
  const auto slowly =
      [&](const std::string& what) {  // longer than the spare waits with taking over
        const auto until = in(4ms);
        while (base::steady::now() < until)
          base::relax();
        seen.push_back(what);
      };
  pair both;
  both.does.call = [&](served_link&, message_view) { slowly("call"); };
  both.does.item = [&](served_link&, message_view what) { slowly(text_of(what.body)); };
  both.does.end = [&](served_link& from, std::uint64_t id) { answer(from, id, {}); };
  auto header = call_header();
  header.flags = flag_items_in;
  pending slot;
  auto open = both.link->begin(slot, header, 0);
  ASSERT_TRUE(open);
  open.commit();
  std::vector<std::string> expected{"call"};
  for (int i = 0; i < 20; ++i) {
    expected.push_back(std::to_string(i));
    auto item = both.link->begin_item(slot, expected.back().size(), {}, in(10s), nullptr);
    ASSERT_TRUE(item);
    std::memcpy(item.body(), expected.back().data(), expected.back().size());
    item.commit();
  }
  both.link->end_items(slot);
  EXPECT_EQ(both.link->wait(slot, in(10s)), completion::answered);
  EXPECT_EQ(seen, expected);
}

TEST(server, takes_the_polling_over_and_back_many_times) {
  pair both;
  both.does.call = [&](served_link& from, message_view what) {
    if (text_of(what.body) == "slow") {
      const auto until = in(4ms);
      while (base::steady::now() < until)
        base::relax();
    }
    answer(from, what.header.call, what.body);
  };
  const auto second = both.another(over::ring);
  std::thread fast([&] {
    for (int i = 0; i < 2000; ++i)
      EXPECT_EQ(call(*second, "fast"), "fast");
  });
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(call(*both.link, "slow"), "slow");
  fast.join();
}

TEST(server, publishes_a_batched_answer_although_the_next_call_lasts) {
  gate at;
  pair both;
  hold(both, at);
  pending first;
  pending slow;
  auto open = both.link->begin(first, call_header(), 0);
  ASSERT_TRUE(open);
  open.commit(reservation::when::batched);
  begin_held(*both.link, slow);
  EXPECT_EQ(both.link->wait(first, in(5s)), completion::answered);
  EXPECT_FALSE(slow.done());
  at.opens.set_value();
  EXPECT_EQ(both.link->wait(slow, in(10s)), completion::answered);
}

TEST(server, moves_a_large_answer_on_that_another_thread_began) {
  pair both;
  std::thread worker;
  const std::string large(3'000'000, 'a');
  both.does.call = [&](served_link& from, message_view what) {
    worker = std::thread([&large, link = from.shared_from_this(), id = what.header.call] {
      answer(*link, id, bytes_of(large));
    });
  };
  const auto begun = base::steady::now();
  EXPECT_EQ(call(*both.link, "go"), large);
  EXPECT_LT(base::steady::now() - begun, 900ms);  // below the seat belt of a second
  worker.join();
}

TEST(server, answers_on_more_links_than_it_looks_at_each_turn) {
  pair both;
  std::vector<std::unique_ptr<net::link>> links;
  for (int i = 0; i < 100; ++i)
    links.push_back(both.another(i % 10 == 0 ? over::unix_socket : over::ring));
  for (int round = 0; round < 3; ++round)
    for (auto& one : links)
      EXPECT_EQ(call(*one, "hello"), "hello");
  for (const auto& one : both.serves->links())
    EXPECT_EQ(one->statistics().rescues, 0U);
  links.clear();
  EXPECT_TRUE(both.does.await([&] { return both.does.closed.size() == 100; }));
}

TEST(server, refuses_links_beyond_its_limit) {
  pair both(over::ring, [](server::options& how) { how.links_max = 1; });
  auto sockets = make_sockets(over::ring);
  accepted one;
  one.socket = std::move(sockets.server);
  both.serves->adopt(std::move(one));
  const auto more = connect_over(std::move(sockets.caller), {});
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, kind::overloaded);
  EXPECT_EQ(call(*both.link, "first"), "first");
}

TEST(server, ends_a_connection_that_says_no_hello_in_time) {
  pair both(over::ring, [](server::options& how) { how.greeting_max = 50ms; });
  auto sockets = make_sockets(over::ring);
  accepted one;
  one.socket = std::move(sockets.server);
  both.serves->adopt(std::move(one));
  const timeval limit{10, 0};
  ::setsockopt(sockets.caller.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  std::array<char, 4096> room{};
  ssize_t got;
  do
    got = ::recv(sockets.caller.get(), room.data(), room.size(), 0);
  while (got > 0);
  EXPECT_EQ(got, 0);
}

TEST(server, fails_open_calls_when_it_stops) {
  pair both;
  both.does.call = [](served_link&, message_view) {};
  pending slot;
  both.link->begin(slot, call_header(), 0).commit();
  EXPECT_TRUE(soon([&] {
    const auto links = both.serves->links();  // listed just after the caller has been welcomed
    return !links.empty() && links[0]->statistics().frames_in == 1;
  }));
  both.serves->stop();
  EXPECT_EQ(both.link->wait(slot, in(5s)), completion::lost);
  EXPECT_EQ(slot.error().kind, kind::disconnected);
  EXPECT_EQ(slot.error().code, "stopping");
  EXPECT_FALSE(both.link->begin(slot, call_header(), 0));
  EXPECT_EQ(slot.error().kind, kind::disconnected);
}

TEST(server, runs_posted_jobs_on_the_polling_thread) {
  pair both;
  std::promise<std::thread::id> ran;
  both.serves->post([&] { ran.set_value(std::this_thread::get_id()); });
  auto where = ran.get_future();
  ASSERT_EQ(where.wait_for(10s), std::future_status::ready);
  EXPECT_NE(where.get(), std::this_thread::get_id());
}

struct closing : link_events {
  std::promise<error_info> closed;

  void on_closed(net::link&, const error_info& why) noexcept override { closed.set_value(why); }
};

TEST(link, learns_at_once_that_its_peer_is_gone_although_nobody_calls) {
  closing events;
  pair both(over::ring, {}, [&](connect_options& how) { how.calling.events = &events; });
  auto why = events.closed.get_future();
  both.serves->stop();
  ASSERT_EQ(why.wait_for(5s), std::future_status::ready);
  EXPECT_EQ(why.get().kind, kind::disconnected);
  both.link.reset();
}

struct counting_job : driver::job {
  std::atomic<int>* ran;

  void run() noexcept override { ran->fetch_add(1); }
};

TEST(driver, runs_every_posted_job_once_also_from_many_threads) {
  std::atomic<int> ran{0};
  std::vector<counting_job> jobs(4000);
  {
    auto drives = driver::start();
    ASSERT_TRUE(drives);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t i = t * 1000; i < (t + 1) * 1000; ++i) {
          jobs[i].ran = &ran;
          (*drives)->post(jobs[i]);
        }
      });
    for (auto& thread : threads)
      thread.join();
  }
  EXPECT_EQ(ran, 4000);
}

}  // namespace
}  // namespace berth::net::testing
