// Bindings of a link by number: while one thread adds, another finds whole ones.

#include "runtime/worker/binding.hpp"

#include <gtest/gtest.h>
#include <thread>
#include <utility>

namespace berth::worker {
namespace {

TEST(binding_list, finds_whole_bindings_while_another_thread_adds) {
  binding_list list;
  std::thread adds([&] {
    for (std::uint32_t i = 0; i < binding_list::size_max; ++i) {
      binding one;
      one.counter = i;
      ASSERT_EQ(list.add(std::move(one)), i);
    }
  });
  for (std::uint32_t i = 0; i < binding_list::size_max;) {
    const auto* found = list.find(i);
    if (found == nullptr) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(found->counter, i);
    ASSERT_EQ(list.find(i), found) << "it moved";
    ++i;
  }
  adds.join();
  EXPECT_EQ(list.add({}), std::nullopt);
  EXPECT_EQ(list.find(binding_list::size_max), nullptr);
}

TEST(binding_list, finds_nothing_before_the_first) {
  const binding_list list;
  EXPECT_EQ(list.find(0), nullptr);
}

}  // namespace
}  // namespace berth::worker
