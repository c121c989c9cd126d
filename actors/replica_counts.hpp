#pragma once
// Replica counts: how many replicas of each version are wanted, kept over restarts of the cluster.
//
// Not part of a version and not part of history: a small text file beside the names database, written anew as a whole
// on each change. Losing it costs nothing but the numbers: a version has one replica then.

#include <berth/error.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace berth::actors {

/// Threads: any.
class replica_counts {
 public:
  /// Reads the file if there is one; lines that make no sense are dropped.
  explicit replica_counts(std::filesystem::path file);

  /// 1 for what nobody ever scaled.
  [[nodiscard]] std::uint32_t wanted(const std::string& name, std::uint32_t version) const;
  /// Errors: `failed` when it cannot be written; it holds for this run all the same.
  result<void> set(const std::string& name, std::uint32_t version, std::uint32_t replicas);

 private:
  result<void> write() const;

  const std::filesystem::path file_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::uint32_t>, std::uint32_t> counts_;
};

}  // namespace berth::actors
