#include "registry/ref.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <vector>

namespace berth::registry {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_';
}

/// A text of a stranger, shortened and made printable for an error message.
std::string shown(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 80)) {
    if (c >= 0x20 && c < 0x7f)
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return text.size() > 80 ? out + "…" : out;
}

error_info bad_name(std::string_view name, std::string_view why) {
  return fail(kind::invalid, "bad_name",
              fmt::format("'{}' is no name: {}; a name reads team/path/leaf", shown(name), why));
}

error_info bad_ref(std::string_view text, std::string_view why) {
  return fail(
      kind::invalid, "bad_ref",
      fmt::format(
          "'{}' is no reference: {}; write name, name@tag, name@7 or name@sha256:<64 hex digits>",
          shown(text), why));
}

result<void> check_segment(std::string_view name, std::string_view segment) {
  if (segment.empty()) return bad_name(name, "a segment is empty");
  if (segment.size() > segment_bytes_max)
    return bad_name(name, fmt::format("a segment is longer than {} bytes", segment_bytes_max));
  if (!is_word(segment.front()))
    return bad_name(
        name, fmt::format("segment '{}' must start with a letter, a digit or '_'", shown(segment)));
  for (char c : segment)
    if (!is_word(c) && c != '-')
      return bad_name(name, fmt::format("'{}' is not allowed; letters, digits, '_' and '-' are",
                                        shown({&c, 1})));
  return {};
}

result<void> check_method(std::string_view text, std::string_view method) {
  if (method.empty()) return bad_ref(text, "the method after '.' is empty");
  if (method.size() > method_bytes_max)
    return bad_ref(text, fmt::format("the method is longer than {} bytes", method_bytes_max));
  if (is_digit(method.front()) || !std::all_of(method.begin(), method.end(), is_word))
    return bad_ref(text, fmt::format("'{}' is no method name", shown(method)));
  return {};
}

result<std::variant<by_tag, by_number, by_digest>> parse_which(std::string_view text,
                                                               std::string_view which) {
  constexpr std::string_view digest_mark = "sha256:";
  if (which.empty()) return bad_ref(text, "nothing follows '@'");
  if (which.substr(0, digest_mark.size()) == digest_mark) {
    which.remove_prefix(digest_mark.size());
    auto is_hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
    if (which.size() != 64 || !std::all_of(which.begin(), which.end(), is_hex))
      return bad_ref(text, "a digest is exactly 64 lower-case hex digits");
    return std::variant<by_tag, by_number, by_digest>(by_digest{std::string(which)});
  }
  if (is_digit(which.front())) {
    std::uint32_t number = 0;
    auto [end, problem] = std::from_chars(which.data(), which.data() + which.size(), number);
    if (problem != std::errc{} || end != which.data() + which.size() || number == 0)
      return bad_ref(text, fmt::format("'{}' is no version number (1, 2, 3 …)", shown(which)));
    return std::variant<by_tag, by_number, by_digest>(by_number{number});
  }
  if (auto ok = check_tag(which); !ok) return std::move(ok).error();
  return std::variant<by_tag, by_number, by_digest>(by_tag{std::string(which)});
}

/// Optimal string alignment distance, given up (returns `limit` + 1) once it must exceed `limit`.
std::size_t edits(std::string_view a, std::string_view b, std::size_t limit) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] =
          std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    if (*std::min_element(row.begin(), row.end()) > limit) return limit + 1;
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string_view leaf(std::string_view name) {
  auto slash = name.rfind('/');
  return slash == name.npos ? name : name.substr(slash + 1);
}

}  // namespace

result<void> check_name(std::string_view name) {
  if (name.empty()) return bad_name(name, "it is empty");
  if (name.size() > name_bytes_max)
    return bad_name(name, fmt::format("it is longer than {} bytes", name_bytes_max));
  std::size_t segments = 0;
  for (std::string_view rest = name;;) {
    auto slash = rest.find('/');
    if (auto ok = check_segment(name, rest.substr(0, slash)); !ok) return ok;
    if (++segments > segments_max)
      return bad_name(name, fmt::format("it has more than {} segments", segments_max));
    if (slash == rest.npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

result<void> check_tag(std::string_view tag) {
  auto bad = [&](std::string_view why) {
    return fail(kind::invalid, "bad_tag", fmt::format("'{}' is no tag: {}", shown(tag), why));
  };
  if (tag.empty()) return bad("it is empty");
  if (tag.size() > tag_bytes_max)
    return bad(fmt::format("it is longer than {} bytes", tag_bytes_max));
  if (!is_letter(tag.front())) return bad("it must start with a letter");
  for (char c : tag)
    if (!is_word(c) && c != '-' && c != '.')
      return bad("letters, digits, '_', '-' and '.' are allowed");
  return {};
}

result<ref> parse_ref(std::string_view text) {
  ref out;
  if (text.size() > name_bytes_max + method_bytes_max + tag_bytes_max + 16)
    return bad_ref(text, "it is too long");
  auto mark = text.find('@');
  std::string_view path = text.substr(0, mark);
  if (auto dot = path.find('.'); dot != path.npos) {
    out.method = path.substr(dot + 1);
    if (auto ok = check_method(text, out.method); !ok) return std::move(ok).error();
    path = path.substr(0, dot);
  }
  if (auto ok = check_name(path); !ok) return std::move(ok).error();
  out.name = path;
  if (mark != text.npos) {
    auto which = parse_which(text, text.substr(mark + 1));
    if (!which) return std::move(which).error();
    out.which = *std::move(which);
  }
  return out;
}

std::string to_string(const ref& r) {
  std::string text = r.name;
  if (!r.method.empty()) text += "." + r.method;
  if (const auto* tag = std::get_if<by_tag>(&r.which)) return text + "@" + tag->tag;
  if (const auto* number = std::get_if<by_number>(&r.which))
    return text + "@" + std::to_string(number->number);
  return text + "@sha256:" + std::get<by_digest>(r.which).digest;
}

std::string nearest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > name_bytes_max) return {};
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::string_view found;
  for (std::string_view one : candidates) {
    auto gap = one.size() > word.size() ? one.size() - word.size() : word.size() - one.size();
    if (gap > best) continue;
    auto distance = edits(word, one, best);
    if (distance < best
        || (distance == best && !found.empty() && leaf(one) == leaf(word)
            && leaf(found) != leaf(word))) {
      best = distance;
      found = one;
    }
  }
  if (!found.empty()) return std::string(found);
  for (std::string_view one : candidates)
    if (leaf(one) == leaf(word)) return std::string(one);
  return {};
}

}  // namespace berth::registry
