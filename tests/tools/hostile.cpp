// What a shell cannot do to a cluster: talk nonsense to its sockets, and take memory files away from it.
//   hostile garbage unix:PATH|tcp:PORT [TARGET]   random bytes over 200 connections; behind a preamble for TARGET if given
//   hostile without-memfd COMMAND…                runs it with memfd_create denied, for its children too
#include "runtime/base/unique_fd.hpp"
#include "runtime/net/preamble.hpp"

#include <arpa/inet.h>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <random>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace {

using berth::base::unique_fd;

unique_fd connected(const std::string& where) {
  if (where.starts_with("tcp:")) {
    unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(where.c_str() + 4)));
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return {};
    return fd;
  }
  unique_fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::strncpy(to.sun_path, where.c_str() + 5, sizeof to.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return {};
  return fd;
}

// Frames that claim much, whole nonsense, and both torn anywhere.
std::vector<char> nonsense(std::mt19937& random) {
  std::vector<char> bytes(random() % 5000);
  for (auto& one : bytes)
    one = static_cast<char>(random());
  if (random() % 2 == 0 && bytes.size() > 8) {
    const std::uint32_t claims = random() % 2 == 0 ? 0xffff'fff8U : 0x4000'0000U;
    std::memcpy(bytes.data(), &claims, sizeof claims);
  }
  return bytes;
}

int garbage(const std::string& where, const std::string& target) {
  const auto seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  std::vector<unique_fd> open;
  for (int i = 0; i < 200; ++i) {
    auto fd = connected(where);
    if (!fd) {
      std::perror("connecting");
      return 1;
    }
    if (!target.empty()) {
      const auto words = berth::net::encode({berth::net::target{target}, {}}).value();
      (void)::send(fd.get(), words.data(), words.size(), MSG_NOSIGNAL);
    }
    const auto bytes = nonsense(random);
    (void)::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (random() % 2 == 0) open.push_back(std::move(fd));  // half of them say nothing more
    if (open.size() > 20) open.erase(open.begin());
  }
  return 0;
}

int without_memfd(char** command) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{std::size(filter), filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
      || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("seccomp");
    return 77;
  }
  ::execvp(command[0], command);
  std::perror(command[0]);
  return 127;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  if (what == "garbage") return garbage(argv[2], argc > 3 ? argv[3] : "");
  if (what == "without-memfd") return without_memfd(argv + 2);
  std::fputs("hostile garbage ADDRESS [TARGET] | hostile without-memfd COMMAND…\n", stderr);
  return 2;
}
