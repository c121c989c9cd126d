// The secret of a loopback TCP port: a file only its owner may read.

#include "runtime/base/unique_fd.hpp"
#include "runtime/net/endpoint.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::net {
namespace {

constexpr std::size_t digits = 2 * std::tuple_size_v<token>;

int value_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

std::string hex(const token& secret) {
  static constexpr char alphabet[] = "0123456789abcdef";
  std::string text;
  for (const auto byte : secret) {
    text += alphabet[std::to_integer<unsigned>(byte) >> 4U];
    text += alphabet[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

std::string why() {
  return std::strerror(errno);
}  // NOLINT(concurrency-mt-unsafe)

}  // namespace

result<token> read_token(const std::string& path) {
  const base::unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file)
    return fail(errno == EACCES ? kind::denied : kind::missing, "no_token",
                "cannot read the token file " + path + ": " + why());

  struct stat facts {};

  if (::fstat(file.get(), &facts) != 0 || (facts.st_mode & 077U) != 0)
    return fail(kind::denied, "token_mode",
                "the token file " + path + " may be read by others: chmod 600 it");
  std::array<char, digits> text{};
  if (::read(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail(kind::invalid, "token_text", "the token file " + path + " is too short");
  token secret{};
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const int high = value_of(text[2 * i]);
    const int low = value_of(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return fail(kind::invalid, "token_text", "the token file " + path + " holds no token");
    secret[i] = static_cast<std::byte>(high * 16 + low);
  }
  return secret;
}

result<token> make_token(const std::string& path) {
  token secret{};
  if (::getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size()))
    return fail(kind::failed, "no_random", "the system gives no random bytes: " + why());
  const base::unique_fd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file)
    return fail(errno == EEXIST ? kind::conflict : kind::denied, "no_token",
                "cannot make the token file " + path + ": " + why());
  const auto text = hex(secret) + "\n";
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail(kind::failed, "no_token", "cannot write the token file " + path + ": " + why());
  return secret;
}

}  // namespace berth::net
