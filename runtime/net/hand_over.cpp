// Handing an accepted socket to the process it is for: one descriptor and its facts as a line of text.

#include "runtime/net/blocking.hpp"
#include "runtime/net/endpoint.hpp"

#include <charconv>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

namespace berth::net {
namespace {

constexpr std::uint32_t text_bytes_max = 4096;

result<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(kind::invalid, "bad_facts", "a handed-over socket came with facts that are none");
  return value;
}

std::string_view next_word(std::string_view& rest) {
  const auto end = rest.find(' ');
  const auto word = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return word;
}

}  // namespace

result<void> send_fd(int over, int fd, std::string_view text, std::chrono::milliseconds limit) {
  if (text.size() > text_bytes_max)
    return fail(kind::invalid, "text_too_long", "a descriptor's text has at most 4096 bytes");
  const auto size = static_cast<std::uint32_t>(text.size());
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  bytes += text;
  return send_all(over, std::as_bytes(std::span(bytes)), std::span(&fd, 1), base::after(limit));
}

result<received_fd> recv_fd(int over, std::chrono::milliseconds limit) {
  const auto deadline = base::after(limit);
  std::vector<base::unique_fd> fds;
  std::uint32_t size = 0;
  if (auto ok = receive_all(over, std::as_writable_bytes(std::span(&size, 1)), &fds, 1, deadline);
      !ok)
    return ok.error();
  if (fds.size() != 1)
    return fail(kind::invalid, "no_descriptor", "a message came without its descriptor");
  if (size > text_bytes_max)
    return fail(kind::invalid, "text_too_long", "a descriptor's text has at most 4096 bytes");
  received_fd got{std::move(fds.front()), std::string(size, '\0')};
  if (auto ok =
          receive_all(over, std::as_writable_bytes(std::span(got.text)), nullptr, 0, deadline);
      !ok)
    return ok.error();
  return got;
}

std::string facts_of(const accepted& socket) {
  return std::string(socket.over_tcp ? "tcp " : "unix ") + std::to_string(socket.pid) + " "
         + std::to_string(socket.uid) + " " + socket.target.text;
}

result<accepted> accepted_from(base::unique_fd socket, std::string_view facts) {
  const auto way = next_word(facts);
  const auto pid = number(next_word(facts));
  const auto uid = number(next_word(facts));
  if ((way != "tcp" && way != "unix") || facts.empty())
    return fail(kind::invalid, "bad_facts", "a handed-over socket came with facts that are none");
  if (!pid) return pid.error();
  if (!uid) return uid.error();
  accepted one;
  one.socket = std::move(socket);
  one.target.text = facts;
  one.over_tcp = way == "tcp";
  one.pid = *pid;
  one.uid = *uid;
  return one;
}

result<void> hand_over(int over, const accepted& socket, std::chrono::milliseconds limit) {
  return send_fd(over, socket.socket.get(), facts_of(socket), limit);
}

result<accepted> take_over(int over, std::chrono::milliseconds limit) {
  auto got = recv_fd(over, limit);
  if (!got) return std::move(got).error();
  return accepted_from(std::move(got->fd), got->text);
}

}  // namespace berth::net
