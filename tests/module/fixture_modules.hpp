#pragma once
// Modules for tests, built on demand by the pipeline itself and kept in the build folder's cache.

#include "runtime/module/build.hpp"
#include "runtime/module/load.hpp"
#include "runtime/module/manifest.hpp"

#include <berth/codec.hpp>
#include <berth/shape.hpp>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::module::test {

/// Compilers the fixtures are built with: g++, and clang++-14 where it is installed.
std::vector<std::string> compilers();

/// A build request for sources by absolute path or fixture name, with this tree's headers.
build_request request_for(const std::vector<std::string>& sources,
                          const std::string& compiler = "g++");

/// Builds; a failure ends the test program with the compiler's words.
std::filesystem::path build_fixture(const std::string& source, const std::string& compiler = "g++");

/// Blobs by content, for `host`.
class blob_shelf {
 public:
  blob put(std::string bytes);
  blob put_file(const std::filesystem::path& file);

  /// Descriptor of a blob, or -1.
  int find(const store::digest& which) const;

 private:
  std::map<store::digest, base::unique_fd> held_;
};

/// A folder that goes with the test.
class temporary_folder {
 public:
  temporary_folder();
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& file, const std::string& text);

/// What a thunk told: a block with externals, or an error.
class told {
 public:
  told();
  told(const told&) = delete;
  told& operator=(const told&) = delete;

  const berth_sink& sink() { return sink_; }

  [[nodiscard]] const std::optional<error_info>& error() const { return error_; }

  /// The value in the block.
  template <class T>
  T value() const {
    return codec::read<T>({std::as_bytes(std::span(block_)).first(size_), externals_}).value();
  }

  [[nodiscard]] std::size_t externals() const { return externals_.size(); }

 private:
  berth_sink sink_;
  std::vector<std::uint64_t> block_;
  std::size_t size_ = 0;
  std::vector<external> externals_;
  std::vector<std::vector<std::byte>> copies_;
  std::optional<error_info> error_;
};

/// Encoded arguments of one call.
class packed {
 public:
  template <class... Ts>
  explicit packed(const Ts&... xs) {
    using pack = codec::pack<Ts...>;
    block_.resize(pack::measure(xs...).bytes / 8);
    pack::write(reinterpret_cast<std::byte*>(block_.data()), externals_, xs...);
    for (const auto& one : externals_)
      plain_.push_back({one.data, one.bytes, one.owner ? &one.owner : nullptr});
    view_ = {block_.data(), block_.size() * 8, plain_.data(),
             static_cast<std::uint32_t>(plain_.size()), 0};
    call_.arguments = &view_;
  }

  packed(const packed&) = delete;
  packed& operator=(const packed&) = delete;

  berth_call& call() { return call_; }

 private:
  std::vector<std::uint64_t> block_;
  std::vector<external> externals_;
  std::vector<berth_external> plain_;
  berth_view view_{};
  berth_call call_{};
};

}  // namespace berth::module::test
