#include "scheduler/work.hpp"

namespace berth::sched {

std::string_view to_string(act what) noexcept {
  switch (what) {
    case act::started:
      return "started";
    case act::grown:
      return "grown";
    case act::leave:
      return "leave";
    case act::stay:
      return "stay";
    case act::evicted:
      return "evicted";
    case act::moved:
      return "moved";
    case act::overran:
      return "overran";
    case act::lost:
      return "lost";
    case act::reduced:
      return "reduced";
    case act::cancelled:
      return "cancelled";
    case act::promised:
      return "promised";
  }
  return "unknown";
}

std::string_view to_string(eviction why) noexcept {
  switch (why) {
    case eviction::priority:
      return "priority";
    case eviction::quota:
      return "quota";
    case eviction::share:
      return "share";
    case eviction::moved:
      return "moved";
  }
  return "unknown";
}

}  // namespace berth::sched
