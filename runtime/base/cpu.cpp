#include "runtime/base/cpu.hpp"

#include <fstream>
#include <string>

namespace berth::base {
namespace {

bool quota_below_two_cores() {
  std::ifstream file(
      "/sys/fs/cgroup/cpu.max");  // "max 100000" or "150000 100000" (control groups, version 2)
  std::string quota;
  long period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return false;
  return std::strtol(quota.c_str(), nullptr, 10) < 2 * period;
}

bool fewer_than_two_cpus() {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  return ::sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) < 2;
}

}  // namespace

bool spinning_may_pay() noexcept {
  static const bool answer = !fewer_than_two_cpus() && !quota_below_two_cores();
  return answer;
}

bool has_realtime_policy() noexcept {
  const int policy = ::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
  return policy == SCHED_FIFO || policy == SCHED_RR;
}

}  // namespace berth::base
