#include <berth/testing.hpp>

namespace berth::testing {
namespace {

connect_options always_embedded() {
  connect_options how;
  how.embedded = connect_options::embed::always;
  return how;
}

}  // namespace

cluster::cluster() : rt_(connect(always_embedded())) {}

cluster::~cluster() = default;

}  // namespace berth::testing
