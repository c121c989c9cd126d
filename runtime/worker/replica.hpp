#pragma once
// Replica: one loaded version as the serving side sees it.

#include "runtime/module/hosted.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace berth::worker {

using method = module::hosted_function;

/// A value; the methods belong to whoever hosts the version and must outlive it.
struct replica {
  std::string name;           ///< "digits/classify"
  std::uint32_t version = 0;  ///< number under the name
  std::span<const method> methods;
  std::uint32_t concurrency = 1;  ///< calls it may run at once

  /// "digits/classify@7".
  [[nodiscard]] std::string label() const { return name + "@" + std::to_string(version); }

  /// The method of that name; an empty name is a function's, or the only method's of a class. Null: none.
  [[nodiscard]] const method* find(std::string_view wanted) const noexcept {
    if (wanted.empty()) return methods.size() == 1 ? &methods.front() : nullptr;
    for (const auto& one : methods)
      if (one.shown().method == wanted) return &one;
    return nullptr;
  }
};

}  // namespace berth::worker
