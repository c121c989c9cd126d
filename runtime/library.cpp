// The library as a whole: its version.

#include <berth/version.hpp>

namespace berth {

const char* version() noexcept {
  return BERTH_VERSION;
}

}  // namespace berth
