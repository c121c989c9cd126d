#include "runtime/module/secrets.hpp"

#include "runtime/base/folders.hpp"
#include "runtime/base/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

namespace berth::module {

namespace {

constexpr std::string_view first_line = "berth-secrets 0\n";
constexpr std::size_t salt_bytes = 32;

error_info bad(std::string message) {
  return fail(kind::invalid, "bad_secrets", std::move(message));
}

error_info system_failure(const std::filesystem::path& file) {
  return fail(kind::failed, "no_salt", file.string() + ": " + std::strerror(errno));
}

// The part of `text` before its next zero byte, which is taken away with it.
std::string_view take_item(std::string_view& text) {
  const auto end = std::min(text.find('\0'), text.size());
  const auto item = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return item;
}

// Written beside and linked into place: of two programs that make it at once, both read the same one.
result<void> make_salt(const std::filesystem::path& file) {
  std::array<char, salt_bytes> salt{};
  if (::getrandom(salt.data(), salt.size(), 0) != static_cast<ssize_t>(salt.size()))
    return system_failure(file);
  const auto fresh = file.string() + "." + std::to_string(::getpid());
  const base::unique_fd out(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool written = out && ::write(out.get(), salt.data(), salt.size()) == salt_bytes
                       && (::link(fresh.c_str(), file.c_str()) == 0 || errno == EEXIST);
  auto ok = written ? result<void>() : result<void>(system_failure(file));
  ::unlink(fresh.c_str());
  return ok;
}

}  // namespace

result<std::string> print_secrets(std::string_view salt, std::vector<variable> all) {
  std::sort(all.begin(), all.end(),
            [](const variable& a, const variable& b) { return a.name < b.name; });
  std::string text(first_line);
  text += std::to_string(salt.size()) + '\n';
  text += salt;
  const std::string* before = nullptr;
  for (const auto& one : all) {
    if (auto ok = check_secret_name(one.name); !ok) return std::move(ok).error();
    if (before != nullptr && *before == one.name)
      return bad("the variable " + one.name + " is given twice");
    if (one.value.find('\0') != std::string::npos)
      return bad("the value of " + one.name + " contains a zero byte");
    text += one.name + '=' + one.value + '\0';
    before = &one.name;
  }
  if (text.size() > secrets_bytes_max) return bad("secret variables have at most 1 MiB together");
  return text;
}

result<std::vector<variable>> parse_secrets(std::string_view text) {
  const auto damaged = [] { return bad("the version's secret variables are damaged"); };
  if (text.size() > secrets_bytes_max || !text.starts_with(first_line)) return damaged();
  text.remove_prefix(first_line.size());
  std::size_t salt = 0;
  const auto line = text.substr(0, text.find('\n'));
  for (const char c : line) {
    if (c < '0' || c > '9' || salt > secrets_bytes_max) return damaged();
    salt = salt * 10 + static_cast<std::size_t>(c - '0');
  }
  if (line.size() + 1 + salt > text.size()) return damaged();
  text.remove_prefix(line.size() + 1 + salt);
  if (!text.empty() && text.back() != '\0') return damaged();
  std::vector<variable> all;
  while (!text.empty()) {
    const auto item = take_item(text);
    const auto equals = item.find('=');
    if (equals == std::string_view::npos) return damaged();
    variable one{std::string(item.substr(0, equals)), std::string(item.substr(equals + 1))};
    if (auto ok = check_secret_name(one.name); !ok) return std::move(ok).error();
    all.push_back(std::move(one));
  }
  return all;
}

result<std::string> secret_salt(const std::filesystem::path& folder) {
  if (auto made = base::make_private(folder); !made) return std::move(made).error();
  const auto file = folder / "secret-salt";
  if (::access(file.c_str(), F_OK) != 0)
    if (auto made = make_salt(file); !made) return std::move(made).error();
  const base::unique_fd in(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::string salt(salt_bytes, '\0');
  if (!in || ::read(in.get(), salt.data(), salt.size()) != static_cast<ssize_t>(salt_bytes))
    return system_failure(file);
  return salt;
}

}  // namespace berth::module
