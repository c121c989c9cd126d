#pragma once
// Replica: one loaded version as the serving side sees it: methods ready to be run.

#include <berth/abi.hpp>
#include <berth/shape.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::worker {

/// One function, or one method of a class. A value; `code` and `state` belong to the module.
struct method {
  std::string name;            ///< empty for a function
  berth::signature signature;  ///< what callers see: bound arguments left out
  const berth_function* code = nullptr;
  void* state = nullptr;
  bool idempotent = false;

  [[nodiscard]] bool streams() const noexcept { return (code->flags & berth_flag_stream) != 0; }

  [[nodiscard]] bool takes_stream() const noexcept { return code->source_count != 0; }
};

/// A value.
struct replica {
  std::string name;           ///< "digits/classify"
  std::uint32_t version = 0;  ///< number under the name
  std::vector<method> methods;
  std::uint32_t concurrency = 1;  ///< calls it may run at once

  /// "digits/classify@7".
  [[nodiscard]] std::string label() const { return name + "@" + std::to_string(version); }

  /// The method of that name; an empty name is a function's, or the only method's of a class. Null: none.
  [[nodiscard]] const method* find(std::string_view wanted) const noexcept {
    if (wanted.empty()) return methods.size() == 1 ? &methods.front() : nullptr;
    for (const auto& one : methods)
      if (one.name == wanted) return &one;
    return nullptr;
  }
};

}  // namespace berth::worker
