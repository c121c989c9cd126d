// What a call can carry and how it can end: payloads, streams, deadlines, cancels, credits.

#include "tests/net/pair.hpp"

#include <atomic>
#include <deque>
#include <gtest/gtest.h>
#include <numeric>
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

frame_header header_of(frame_kind kind, std::uint8_t flags = 0) {
  frame_header header;
  header.kind = kind;
  header.flags = flags;
  return header;
}

base::external payload_of(const std::vector<std::byte>& bytes) {
  base::external one;
  one.bytes = bytes;
  return one;
}

std::vector<std::byte> pattern(std::size_t size, unsigned from) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(i * 7 + from);
  return bytes;
}

/// Sends `block` with payloads, expects them back.
void expect_echo(net::link& link,
                 std::string_view block,
                 const std::vector<std::vector<std::byte>>& payloads) {
  std::vector<base::external> externals;
  for (const auto& one : payloads)
    externals.push_back(payload_of(one));
  pending slot;
  auto open = link.begin(slot, header_of(frame_kind::call), block.size(), externals, in(10s));
  ASSERT_TRUE(open) << slot.error().to_string();
  std::memcpy(open.body(), block.data(), block.size());
  open.commit();
  ASSERT_EQ(link.wait(slot, in(20s)), completion::answered);
  EXPECT_EQ(text_of(slot.answer().body.bytes()), block);
  ASSERT_EQ(slot.answer().externals.size(), payloads.size());
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    const auto got = slot.answer().externals[i].bytes;
    EXPECT_TRUE(std::equal(got.begin(), got.end(), payloads[i].begin(), payloads[i].end())) << i;
  }
}

TEST_P(every_lane, carries_payloads_beside_the_block_there_and_back) {
  pair both(GetParam());
  expect_echo(*both.link, "block", {pattern(100'000, 1)});
  expect_echo(*both.link, "", {pattern(65'536, 2), pattern(1, 3), pattern(3'000'000, 4)});
  expect_echo(*both.link, std::string(40'000, 'x'), {pattern(200'000, 5)});
  const auto seen = both.link->statistics();
  EXPECT_EQ(seen.segments_out != 0, GetParam() == over::ring || GetParam() == over::unix_socket);
}

TEST_P(every_lane, uses_its_segments_again) {
  pair both(GetParam());
  const auto payload = pattern(300'000, 9);
  for (int i = 0; i < 200; ++i)
    expect_echo(*both.link, "again", {payload});
  EXPECT_LE(both.link->statistics().segments_out, 4U);
  EXPECT_EQ(both.link->statistics().rescues, 0U);
}

TEST(ring_lane, sends_what_lies_in_shared_memory_without_a_copy_and_only_once) {
  std::atomic<int> last{0};
  pair both;
  auto made = base::segment::create(1 << 20);
  ASSERT_TRUE(made);
  std::memset((*made)->writable(), 7, 1 << 20);
  both.does.call = [&](served_link& from, message_view what) {
    last = std::to_integer<int>(what.externals[0].bytes.back());
    answer(from, what.header.call, {});
  };
  for (int i = 0; i < 10; ++i) {
    base::external shared;
    shared.bytes = {(*made)->data() + 4096, (1 << 20) - 4096};
    shared.shared = *made;
    pending slot;
    auto open = both.link->begin(slot, header_of(frame_kind::call), 0, {&shared, 1}, in(10s));
    ASSERT_TRUE(open);
    open.commit();
    ASSERT_EQ(both.link->wait(slot, in(10s)), completion::answered);
    EXPECT_EQ(last, 7);
  }
  EXPECT_EQ(both.link->statistics().segments_out, 1U);
}

TEST(ring_lane, keeps_a_borrowed_payload_alive_after_the_call_and_after_the_link) {
  base::external kept;
  const auto payload = pattern(200'000, 3);
  {
    pair both;
    both.does.call = [&](served_link& from, message_view what) {
      both.does.note([&] { kept = what.externals[0]; });
      answer(from, what.header.call, {});
    };
    pending slot;
    const auto out = payload_of(payload);
    auto open = both.link->begin(slot, header_of(frame_kind::call), 0, {&out, 1}, in(10s));
    open.commit();
    ASSERT_EQ(both.link->wait(slot, in(10s)), completion::answered);
  }
  EXPECT_TRUE(std::equal(kept.bytes.begin(), kept.bytes.end(), payload.begin()));
}

TEST(ring_lane, announces_at_most_64_segments_and_goes_on_in_chunks) {
  std::vector<base::external> held;
  pair both;
  both.does.call = [&](served_link& from, message_view what) {
    both.does.note([&] {
      for (const auto& one : what.externals)
        held.push_back(one);
    });
    answer(from, what.header.call, {});
  };
  std::vector<std::vector<std::byte>> payloads;
  for (unsigned i = 0; i < 80; ++i)
    payloads.push_back(pattern(70'000, i));
  std::vector<base::external> externals;
  for (const auto& one : payloads)
    externals.push_back(payload_of(one));
  pending slot;
  auto open = both.link->begin(slot, header_of(frame_kind::call), 0, externals, in(10s));
  ASSERT_TRUE(open);
  open.commit();
  ASSERT_EQ(both.link->wait(slot, in(20s)), completion::answered);
  ASSERT_EQ(held.size(), payloads.size());
  for (std::size_t i = 0; i < held.size(); ++i)
    EXPECT_TRUE(std::equal(held[i].bytes.begin(), held[i].bytes.end(), payloads[i].begin())) << i;
  EXPECT_EQ(both.link->statistics().segments_out, 64U);
}

TEST_P(every_lane, answers_small_calls_while_a_large_one_is_on_its_way) {
  pair both(GetParam());
  const std::string large(40'000'000, 'L');
  std::thread big([&] { EXPECT_EQ(call(*both.link, large).size(), large.size()); });
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(call(*both.link, "small"), "small");
  big.join();
}

/// Collects a callee's stream; wakes its waiter through the slot itself.
struct collecting : call_events {
  std::mutex mutex;
  std::deque<std::string> items;
  std::vector<std::string> logs;

  void on_event(pending&, message& what) noexcept override {
    const std::lock_guard lock(mutex);
    if (what.header.kind == frame_kind::item)
      items.push_back(text_of(what.body.bytes()));
    else if (what.header.kind == frame_kind::log)
      logs.push_back(text_of(what.body.bytes()));
  }

  std::optional<std::string> next() {
    const std::lock_guard lock(mutex);
    if (items.empty()) return std::nullopt;
    auto first = std::move(items.front());
    items.pop_front();
    return first;
  }
};

TEST_P(every_lane, streams_items_in_order_under_back_pressure_large_ones_among_small) {
  constexpr int total = 1000;
  std::mutex mutex;
  std::condition_variable credited;
  std::uint32_t credit = link::items_initial;
  std::atomic<int> most_ahead{0};
  std::atomic<int> taken{0};
  std::thread producer;
  pair both(GetParam());
  both.does.credit = [&](served_link&, std::uint64_t, std::uint32_t n) {
    const std::lock_guard lock(mutex);
    credit += n;
    credited.notify_all();
  };
  both.does.call = [&](served_link& from, message_view what) {
    producer = std::thread([&, link = from.shared_from_this(), id = what.header.call] {
      for (int i = 0; i < total; ++i) {
        std::unique_lock lock(mutex);
        ASSERT_TRUE(credited.wait_for(lock, 10s, [&] { return credit != 0; }));
        --credit;
        lock.unlock();
        most_ahead = std::max(most_ahead.load(), i - taken.load());
        const auto text = std::to_string(i) + std::string(i % 50 == 0 ? 100'000 : 3, '.');
        answer(*link, id, bytes_of(text), frame_kind::item);
      }
      answer(*link, id, bytes_of("end"));
    });
  };
  collecting events;
  pending slot(&events);
  auto open = both.link->begin(slot, header_of(frame_kind::call), 0);
  ASSERT_TRUE(open);
  open.commit();
  for (int i = 0; i < total;) {
    const auto seen = slot.events_seen();
    const auto item = events.next();
    if (!item) {
      ASSERT_FALSE(slot.done()) << "ended after " << i;
      both.link->wait_event(slot, seen, in(10s));
      continue;
    }
    ASSERT_EQ(item->substr(0, item->find('.')), std::to_string(i));
    taken = ++i;
    both.link->grant(slot, 1);
  }
  EXPECT_EQ(both.link->wait(slot, in(10s)), completion::answered);
  producer.join();
  EXPECT_EQ(text_of(slot.answer().body.bytes()), "end");
  EXPECT_LE(most_ahead, static_cast<int>(link::items_initial) + 1);
}

TEST_P(every_lane, takes_the_callers_stream_under_back_pressure) {
  std::vector<std::string> got;
  pair both(GetParam());
  both.does.call = [](served_link&, message_view) {};
  both.does.item = [&](served_link& from, message_view what) {
    got.push_back(text_of(what.body));
    from.grant(what.header.call, 1);
  };
  both.does.end = [&](served_link& from, std::uint64_t id) {
    answer(from, id, bytes_of(std::to_string(got.size())));
  };
  pending slot;
  auto open = both.link->begin(slot, header_of(frame_kind::call, flag_items_in), 0);
  ASSERT_TRUE(open);
  open.commit();
  for (int i = 0; i < 500; ++i) {
    const auto text = std::to_string(i);
    error_info why;
    auto item = both.link->begin_item(slot, text.size(), {}, in(10s), &why);
    ASSERT_TRUE(item) << why.to_string();
    std::memcpy(item.body(), text.data(), text.size());
    item.commit();
  }
  both.link->end_items(slot);
  ASSERT_EQ(both.link->wait(slot, in(10s)), completion::answered);
  EXPECT_EQ(text_of(slot.answer().body.bytes()), "500");
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(got[i], std::to_string(i));
}

TEST_P(every_lane, refuses_items_when_the_callee_takes_none) {
  pair both(GetParam());
  both.does.call = [](served_link&, message_view) {};
  collecting events;
  pending slot(&events);
  both.link->begin(slot, header_of(frame_kind::call, flag_items_in), 0).commit();
  error_info why;
  std::uint32_t sent = 0;
  for (; sent < 2 * link::items_initial; ++sent) {
    auto item = both.link->begin_item(slot, 1, {}, in(50ms), &why);
    if (!item) break;
    item.commit();
  }
  EXPECT_EQ(sent, link::items_initial);
  EXPECT_EQ(why.kind, kind::overloaded);
  both.link->abandon(slot);
}

TEST_P(every_lane, carries_log_lines_before_the_result_of_their_call) {
  pair both(GetParam());
  both.does.call = [](served_link& from, message_view what) {
    answer(from, what.header.call, bytes_of("one line"), frame_kind::log);
    answer(from, what.header.call, bytes_of("done"));
  };
  collecting events;
  pending slot(&events);
  both.link->begin(slot, header_of(frame_kind::call), 0).commit();
  EXPECT_EQ(both.link->wait(slot, in(10s)), completion::answered);
  EXPECT_EQ(events.logs, std::vector<std::string>{"one line"});
}

TEST_P(every_lane, ends_the_wait_at_the_deadline_and_tells_the_callee) {
  pair both(GetParam());
  both.does.call = [](served_link&, message_view) {};
  pending slot;
  both.link->begin(slot, header_of(frame_kind::call), 0).commit();
  const auto begun = base::steady::now();
  EXPECT_EQ(both.link->wait(slot, in(30ms)), completion::timed_out);
  EXPECT_GE(base::steady::now() - begun, 30ms);
  EXPECT_EQ(slot.error().kind, kind::timed_out);
  EXPECT_TRUE(both.does.await([&] { return both.does.cancelled.size() == 1; }));
  EXPECT_EQ(both.does.cancelled[0], slot.id());
  EXPECT_EQ(both.link->in_flight(), 1U);  // the callee has not answered: the credit is still out
}

TEST_P(every_lane, learns_at_the_deadline_that_a_call_still_arriving_will_never_start) {
  std::atomic<int> started{0};
  pair both(GetParam());
  const auto echo = both.does.call;
  both.does.call = [&](served_link& from, message_view what) {
    ++started;
    echo(from, what);
  };
  // Beside other load a call may have arrived before its caller waits: then it was started, and once it has ended there
  // is another try.
  constexpr std::size_t longer_than_a_millisecond = std::size_t{64} << 20;
  bool caught = false;
  for (int tries = 0; !caught && tries < 20; ++tries) {
    EXPECT_TRUE(soon([&] { return call(*both.link, "").empty() && both.link->in_flight() == 0; }));
    started = 0;
    pending slot;
    auto open = both.link->begin(slot, header_of(frame_kind::call), longer_than_a_millisecond);
    ASSERT_TRUE(open);
    open.commit();
    const auto how = both.link->wait(slot, in(1ms), link::late::ask);
    caught = how == completion::answered && slot.never_started();
    EXPECT_TRUE(caught || how == completion::timed_out);
  }
  EXPECT_TRUE(caught) << "no call was still arriving at its deadline";
  EXPECT_EQ(call(*both.link, std::string(1 << 20, 'x')).size(), std::size_t{1} << 20);
  EXPECT_EQ(started, 1) << "the call that was too late was started";
  EXPECT_EQ(both.link->in_flight(), 0U);
}

TEST_P(every_lane, counts_a_deadline_from_the_first_piece_of_a_call) {
  std::atomic<std::uint32_t> left{0};
  pair both(GetParam());
  both.does.call = [&](served_link& from, message_view what) {
    left = what.header.deadline_us;
    answer(from, what.header.call, {});
  };
  auto header = header_of(frame_kind::call);
  header.deadline_us = 500;
  pending slot;
  both.link->begin(slot, header, std::size_t{64} << 20).commit();
  EXPECT_EQ(both.link->wait(slot, in(10s)), completion::answered);
  EXPECT_EQ(left, deadline_passed_us);
}

TEST_P(every_lane, learns_at_the_deadline_that_a_call_runs) {
  pair both(GetParam());
  both.does.call = [](served_link&, message_view) {};
  both.does.cancel = [](served_link& from, std::uint64_t id) { from.grant(id, 0); };
  pending slot;
  both.link->begin(slot, header_of(frame_kind::call), 0).commit();
  const auto end = in(20ms);
  EXPECT_EQ(both.link->wait(slot, end, link::late::ask), completion::timed_out);
  EXPECT_TRUE(slot.cancel_heard());
  EXPECT_EQ(slot.error().code, "unknown");
}

TEST_P(every_lane, takes_no_result_for_one_that_came_because_of_the_cancel) {
  pair both(GetParam());
  both.does.call = [](served_link&, message_view) {};
  both.does.cancel = [](served_link& from, std::uint64_t id) {
    answer(from, id, bytes_of("half"));
  };
  pending slot;
  both.link->begin(slot, header_of(frame_kind::call), 0).commit();
  EXPECT_EQ(both.link->wait(slot, in(20ms), link::late::ask), completion::timed_out);
  EXPECT_EQ(slot.error().kind, kind::timed_out);
}

TEST_P(every_lane, forgets_a_late_answer_and_returns_its_credit) {
  std::vector<std::pair<std::shared_ptr<served_link>, std::uint64_t>> owed;
  pair both(GetParam());
  both.does.call = [&](served_link& from, message_view what) {
    if (what.body.empty()) {
      both.does.note([&] { owed.emplace_back(from.shared_from_this(), what.header.call); });
      return;
    }
    answer(from, what.header.call, what.body);
  };
  pending slot;
  both.link->begin(slot, header_of(frame_kind::call), 0).commit();
  EXPECT_EQ(both.link->wait(slot, in(20ms)), completion::timed_out);
  ASSERT_TRUE(both.does.await([&] { return owed.size() == 1; }));
  answer(*owed[0].first, owed[0].second, bytes_of("too late"));
  EXPECT_EQ(call(*both.link, "next"), "next");
  EXPECT_EQ(both.link->in_flight(), 0U);
}

TEST_P(every_lane, refuses_beyond_its_credits_at_once_or_after_the_callers_patience) {
  pair both(GetParam(), [](server::options& how) { how.credits = 4; });
  both.does.call = [](served_link&, message_view) {};
  std::vector<std::unique_ptr<pending>> slots;
  for (int i = 0; i < 4; ++i) {
    slots.push_back(std::make_unique<pending>());
    auto open = both.link->begin(*slots.back(), header_of(frame_kind::call), 0);
    ASSERT_TRUE(open);
    open.commit();
  }
  pending fifth;
  EXPECT_FALSE(
      both.link->begin(fifth, header_of(frame_kind::call), 0, {}, base::time_point::min()));
  EXPECT_EQ(fifth.error().kind, kind::overloaded);
  EXPECT_GT(fifth.error().retry_after_ms, 0U);
  const auto begun = base::steady::now();
  EXPECT_FALSE(both.link->begin(fifth, header_of(frame_kind::call), 0, {}, in(40ms)));
  EXPECT_GE(base::steady::now() - begun, 40ms);
  EXPECT_EQ(both.link->statistics().overloads, 2U);
  for (auto& slot : slots)
    both.link->abandon(*slot);
}

TEST_P(every_lane, gives_a_waiting_caller_the_credit_that_comes_free) {
  pair both(GetParam(), [](server::options& how) { how.credits = 1; });
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i)
        if (call(*both.link, "x") != "x") ++wrong;
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(every_lane, gives_its_room_back_when_a_caller_changes_its_mind) {
  pair both(GetParam());
  for (int i = 0; i < 3000; ++i) {
    pending slot;
    {
      const auto open =
          both.link->begin(slot, header_of(frame_kind::call), i % 3 == 0 ? 100'000 : 100);
    }
    EXPECT_EQ(slot.how(), completion::abandoned);
  }
  EXPECT_EQ(both.link->in_flight(), 0U);
  EXPECT_EQ(call(*both.link, "after"), "after");
}

}  // namespace
}  // namespace berth::net::testing
