#include "actors/replica_counts.hpp"

#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace berth::actors {
namespace {

constexpr std::uint32_t replicas_max = 256;

}  // namespace

replica_counts::replica_counts(std::filesystem::path file) : file_(std::move(file)) {
  std::ifstream in(file_);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint32_t version = 0, replicas = 0;
    if (words >> name >> version >> replicas && version > 0 && replicas > 0
        && replicas <= replicas_max)
      counts_[{name, version}] = replicas;
  }
}

std::uint32_t replica_counts::wanted(const std::string& name, std::uint32_t version) const {
  std::lock_guard hold(mutex_);
  auto found = counts_.find({name, version});
  return found == counts_.end() ? 1 : found->second;
}

result<void> replica_counts::set(const std::string& name,
                                 std::uint32_t version,
                                 std::uint32_t replicas) {
  std::lock_guard hold(mutex_);
  auto found = counts_.find({name, version});
  if ((found == counts_.end() ? 1 : found->second) == replicas) return {};
  counts_[{name, version}] = replicas;
  return write();
}

result<void> replica_counts::write() const {
  auto fresh = file_;
  fresh += ".new";
  std::ofstream out(fresh, std::ios::trunc);
  for (const auto& [which, replicas] : counts_)
    if (replicas != 1) out << fmt::format("{} {} {}\n", which.first, which.second, replicas);
  out.close();
  std::error_code problem;
  if (out) std::filesystem::rename(fresh, file_, problem);
  if (!out || problem)
    return fail(kind::failed, "io", fmt::format("{} cannot be written", file_.string()));
  return {};
}

}  // namespace berth::actors
