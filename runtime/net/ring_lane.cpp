#include "runtime/net/ring_lane.hpp"

#include "runtime/net/pass_fd.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace berth::net {
namespace {

bool is_event_descriptor(int fd) {
  const auto path = "/proc/self/fd/" + std::to_string(fd);
  std::array<char, 64> text{};
  const auto length = ::readlink(path.c_str(), text.data(), text.size() - 1);
  return length > 0 && std::strcmp(text.data(), "anon_inode:[eventfd]") == 0;
}

bool allowed(std::uint32_t ring_bytes) {
  return std::has_single_bit(ring_bytes) && ring_bytes >= ring_bytes_min
         && ring_bytes <= ring_bytes_max;
}

}  // namespace

result<ring_offer> make_ring_offer(std::uint32_t ring_bytes) {
  if (!allowed(ring_bytes))
    return fail(kind::invalid, "ring_size",
                "a ring has a power of two from 16 KiB to 1 MiB, not " + std::to_string(ring_bytes)
                    + " bytes");
  auto memory =
      base::make_memory_file("berth-ring", ring_memory_bytes(ring_bytes), base::sealing::size);
  if (!memory) return std::move(memory).error();
  base::unique_fd caller(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  base::unique_fd server(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!caller || !server)
    return fail(kind::overloaded, "out_of_descriptors",
                "no descriptors left for a ring's bells: raise the limit of open files");
  return ring_offer{*std::move(memory), std::move(caller), std::move(server), ring_bytes};
}

std::unique_ptr<lane> make_ring_lane(ring_offer offer, base::unique_fd socket) {
  return std::make_unique<ring_lane>(std::move(offer.memory.memory), offer.ring_bytes, 0,
                                     std::move(offer.bell_of_caller),
                                     std::move(offer.bell_of_server), std::move(socket));
}

result<std::unique_ptr<lane>> adopt_ring_lane(base::unique_fd memory,
                                              base::unique_fd bell_of_caller,
                                              base::unique_fd bell_of_server,
                                              std::uint32_t ring_bytes,
                                              base::unique_fd& socket) {
  if (!allowed(ring_bytes))
    return fail(kind::invalid, "ring_size", "the peer offers a ring of a size that is not allowed");
  for (const auto* bell : {&bell_of_caller, &bell_of_server}) {
    if (!is_event_descriptor(bell->get()))
      return fail(kind::invalid, "no_bell", "the peer offers a bell that is no event descriptor");
    ::fcntl(bell->get(), F_SETFL, O_NONBLOCK);
  }
  auto mapped = base::map_memory_file(memory.get(), ring_memory_bytes(ring_bytes),
                                      base::sealing::size, base::access::read_write);
  if (!mapped) return std::move(mapped).error();
  return std::unique_ptr<lane>(
      std::make_unique<ring_lane>(*std::move(mapped), ring_bytes, 1, std::move(bell_of_server),
                                  std::move(bell_of_caller), std::move(socket)));
}

}  // namespace berth::net
