#include "runtime/store/digest.hpp"

#include "runtime/base/ensure.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <vector>

namespace berth::store {

namespace {

constexpr std::size_t read_bytes = 256 * 1024;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

EVP_MD_CTX* evp(void* context) {
  return static_cast<EVP_MD_CTX*>(context);
}

}  // namespace

std::string digest::hex() const {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(64);
  for (const auto b : bytes) {
    text += digits[std::to_integer<unsigned>(b) >> 4];
    text += digits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

result<digest> digest::from_hex(std::string_view text) {
  if (text.size() != 64)
    return fail(kind::invalid, "bad_digest",
                "a SHA-256 digest has 64 hex digits, this has " + std::to_string(text.size()));
  digest d;
  for (std::size_t i = 0; i < d.bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return fail(kind::invalid, "bad_digest", "a SHA-256 digest has only hex digits");
    d.bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  return d;
}

void hasher::context_end::operator()(void* context) const noexcept {
  EVP_MD_CTX_free(evp(context));
}

hasher::hasher() : context_(EVP_MD_CTX_new()) {
  base::ensure(context_ && EVP_DigestInit_ex(evp(context_.get()), EVP_sha256(), nullptr) == 1,
               "OpenSSL offers SHA-256");
}

hasher::hasher(hasher&&) noexcept = default;
hasher& hasher::operator=(hasher&&) noexcept = default;
hasher::~hasher() = default;

void hasher::add(std::span<const std::byte> bytes) {
  base::ensure(EVP_DigestUpdate(evp(context_.get()), bytes.data(), bytes.size()) == 1,
               "SHA-256 takes bytes");
}

void hasher::add(std::string_view text) {
  add(std::as_bytes(std::span(text)));
}

digest hasher::finish() {
  digest d;
  const bool ok = EVP_DigestFinal_ex(evp(context_.get()),
                                     reinterpret_cast<unsigned char*>(d.bytes.data()), nullptr)
                      == 1
                  && EVP_DigestInit_ex(evp(context_.get()), EVP_sha256(), nullptr) == 1;
  base::ensure(ok, "SHA-256 ends");
  return d;
}

digest digest_of(std::span<const std::byte> bytes) {
  hasher h;
  h.add(bytes);
  return h.finish();
}

digest digest_of(std::string_view text) {
  return digest_of(std::as_bytes(std::span(text)));
}

result<digest> digest_of_file(int fd) {
  hasher h;
  std::vector<std::byte> buffer(read_bytes);
  off_t at = 0;
  for (;;) {
    const auto n = ::pread(fd, buffer.data(), buffer.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return fail(kind::failed, "read_failed",
                  std::string("reading a file: ") + std::strerror(errno));
    if (n == 0) return h.finish();
    h.add({buffer.data(), static_cast<std::size_t>(n)});
    at += n;
  }
}

result<digest> digest_of_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(errno == ENOENT ? kind::missing : kind::failed, "cannot_open",
                path + ": " + std::strerror(errno));
  auto d = digest_of_file(fd);
  ::close(fd);
  if (!d) return std::move(d.error()).at("while hashing " + path);
  return d;
}

}  // namespace berth::store
