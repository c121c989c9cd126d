#pragma once
// Hosted: a version inside its worker, ready to be called.
//
// `host` does what stands between a manifest and the first call, in this order: load, compare what the module exports
// with what the manifest promises, decode bound arguments, construct the class. Then the worker asks its health. What it
// holds is a list of functions that take hot blocks of the public signature.

#include "runtime/module/load.hpp"
#include "runtime/module/manifest.hpp"

#include <berth/abi.hpp>
#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace berth::module {

/// The descriptor of a blob the worker was given, or -1. It stays open until `host` has returned.
using blob_lookup = std::function<int(const store::digest&)>;

/// One callable: a function, or a method of the hosted object. Threads: `invoke` and `open` may run on as many threads
/// as the version's concurrency says; one generator on one thread at a time.
class hosted_function {
 public:
  hosted_function(signature shown, const berth_function* entries, void* state, bool idempotent)
      : shown_(std::move(shown)), entries_(entries), state_(state), idempotent_(idempotent) {}

  /// What callers see: bound parameters are gone, `method` names a class's method.
  [[nodiscard]] const signature& shown() const noexcept { return shown_; }

  [[nodiscard]] bool idempotent() const noexcept { return idempotent_; }

  [[nodiscard]] bool streams() const noexcept { return (entries_->flags & berth_flag_stream) != 0; }

  /// Streams the caller sends: `berth_call::sources` has as many.
  [[nodiscard]] std::uint32_t source_count() const noexcept { return entries_->source_count; }

  /// Decodes, calls, encodes. `berth_done`: the sink holds the result (nothing was reserved for void);
  /// `berth_failed`: it heard why. Not for streams.
  int invoke(const berth_call& call, const berth_sink& sink) const {
    return entries_->invoke(state_, &call, &sink);
  }

  /// Streams: `open` decodes and keeps `call` valid for itself until `close`; each `next` gives an item to the sink.
  [[nodiscard]] void* open(const berth_call& call, const berth_sink& sink) const {
    return entries_->open(state_, &call, &sink);
  }

  int next(void* generator, const berth_sink& sink) const {
    return entries_->next(generator, &sink);
  }

  void close(void* generator) const { entries_->close(generator); }

 private:
  signature shown_;
  const berth_function* entries_;
  void* state_;
  bool idempotent_;
};

/// A resource: the bound arguments or the object, destroyed with it. Calls must have ended before.
class hosted_version {
 public:
  hosted_version(const hosted_version&) = delete;
  hosted_version& operator=(const hosted_version&) = delete;
  ~hosted_version();

  [[nodiscard]] const std::vector<hosted_function>& functions() const noexcept {
    return functions_;
  }

  /// The function called `method`; an empty name is the function itself, or the only method of a class. Null: none.
  [[nodiscard]] const hosted_function* find(std::string_view method) const noexcept;

  [[nodiscard]] std::uint32_t concurrency() const noexcept { return concurrency_; }

  /// The signatures of all functions, encoded together; what a worker reports as ready.
  [[nodiscard]] std::string signatures() const;

  /// Runs the health hooks. Errors: what they threw.
  [[nodiscard]] result<void> health() const;

 private:
  friend class host_builder;
  hosted_version() = default;

  std::unique_ptr<loaded_module> module_;  // null when the program itself is the module
  const berth_export* entry_ = nullptr;
  void* state_ = nullptr;
  std::vector<hosted_function> functions_;
  std::uint32_t concurrency_ = 1;
  std::vector<std::pair<void*, std::size_t>> mappings_;  // of bound arguments
};

/// Makes a version callable in this process. Code of the user's runs: constructors.
/// Errors: those of `loaded_module::load`; `missing` for a blob that was not given; `invalid` (`other_signature`) when the
/// module is not what the manifest says; what decoding a bound argument or the constructor said.
[[nodiscard]] result<std::unique_ptr<hosted_version>> host(const manifest& what,
                                                           const blob_lookup& blobs);

/// Writes the version's files below `folder` (which exists); they are read-only. Errors: `missing` blob, `failed`.
[[nodiscard]] result<void> place_files(const manifest& what,
                                       const blob_lookup& blobs,
                                       const std::filesystem::path& folder);

/// `full` without the bound parameters. Errors: `invalid` when one of them is not there, or bound twice.
[[nodiscard]] result<signature> without_bound(signature full,
                                              const std::vector<bound_argument>& bound);

}  // namespace berth::module
