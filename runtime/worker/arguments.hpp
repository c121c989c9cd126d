#pragma once
// Arguments: what a call brought, as the module's side of the boundary reads it.

#include "runtime/net/message.hpp"
#include "runtime/worker/binding.hpp"

#include <berth/abi.hpp>
#include <berth/value.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace berth::worker {

/// A received body behind the boundary's plain structs. Must not outlive the body. Allocates only for externals.
class view_of_body {
 public:
  view_of_body(std::span<const std::byte> body, std::span<const base::external> externals);
  /// A block made here.
  explicit view_of_body(const hot_block& block);

  view_of_body(const view_of_body&) = delete;
  view_of_body& operator=(const view_of_body&) = delete;

  [[nodiscard]] const berth_view& view() const noexcept { return view_; }

 private:
  void refer();

  std::vector<external> owned_;
  std::vector<berth_external> plain_;
  berth_view view_{};
};

/// The same for our own codec; valid as long as `from`.
class view_for_codec {
 public:
  explicit view_for_codec(const berth_view& from);

  [[nodiscard]] block_view view() const noexcept { return {block_, externals_}; }

 private:
  std::span<const std::byte> block_;
  std::vector<external> externals_;
};

/// The arguments of a call whose binding is not `same`, as a block of the version's signature.
/// Errors: `invalid` with the path to what does not fit.
[[nodiscard]] result<hot_block> arguments_for(const binding& with, const berth_view& received);

/// One item of the caller's stream, likewise.
[[nodiscard]] result<hot_block> item_for(const binding& with, const berth_view& received);

}  // namespace berth::worker
