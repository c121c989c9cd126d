#include "runtime/base/topology_text.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

namespace berth::base {
namespace {

std::string one_word(const std::string& text) {
  if (text.empty()) return "-";
  std::string word = text;
  std::replace(word.begin(), word.end(), ' ', '_');
  return word;
}

std::string from_one_word(std::string_view word) {
  if (word == "-") return {};
  std::string text(word);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

/// The words of one line, taken one by one; the first that is wrong is remembered and the rest are not looked at.
class line_reader {
 public:
  line_reader(std::size_t number, std::string_view line) : number_(number) {
    for (std::size_t at = 0; at < line.size();) {
      const auto begin = line.find_first_not_of(" \t\r", at);
      if (begin == std::string_view::npos || line[begin] == '#') break;
      const auto end = std::min(line.find_first_of(" \t\r", begin), line.size());
      words_.push_back(line.substr(begin, end - begin));
      at = end;
    }
  }

  [[nodiscard]] bool empty() const { return words_.empty(); }

  std::string_view next(std::string_view expected) {
    if (at_ < words_.size()) return words_[at_++];
    complain(expected);
    return {};
  }

  void literal(std::string_view expected) {
    const auto word = next(expected);
    if (!why_ && word != expected) complain(expected);
  }

  template <class Number>
  Number number(std::string_view expected) {
    const auto word = next(expected);
    Number value = 0;
    const auto [end, bad] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (!why_ && (bad != std::errc() || end != word.data() + word.size())) complain(expected);
    return value;
  }

  void end() {
    if (!why_ && at_ < words_.size()) {
      ++at_;
      complain("the end of the line");
    }
  }

  void complain(std::string_view expected) {
    if (why_) return;
    const auto seen =
        at_ == 0 || at_ > words_.size() ? std::string_view("nothing") : words_[at_ - 1];
    why_ = fail(
        kind::invalid, "topology_text",
        fmt::format("line {}, word {}: expected {}, found '{}'", number_, at_, expected, seen));
  }

  [[nodiscard]] const std::optional<error_info>& why() const { return why_; }

 private:
  std::size_t number_;
  std::vector<std::string_view> words_;
  std::size_t at_ = 0;
  std::optional<error_info> why_;
};

void read_numa(line_reader& line, topology& into) {
  if (line.number<std::size_t>("the domain's number") != into.numa.size())
    line.complain("the next domain's number");
  numa_domain domain;
  line.literal("cores");
  domain.cores = line.number<std::uint32_t>("a number of cores");
  line.literal("memory_mib");
  domain.memory_mib = line.number<std::int64_t>("MiB of memory");
  into.numa.push_back(domain);
}

void read_device(line_reader& line, topology& into) {
  if (line.number<std::size_t>("the device's number") != into.devices.size())
    line.complain("the next device's number");
  device one;
  line.literal("model");
  one.model = from_one_word(line.next("a model"));
  line.literal("address");
  one.address = from_one_word(line.next("a PCI address"));
  line.literal("memory_mib");
  one.memory_mib = line.number<std::int64_t>("MiB of memory");
  line.literal("numa");
  one.numa = line.number<std::int32_t>("a domain's number or -1");
  if (one.numa < -1 || one.numa >= static_cast<std::int32_t>(into.numa.size()))
    line.complain("a domain named above, or -1");
  line.literal("pcie_switch");
  one.pcie_switch = line.number<std::int32_t>("a switch's number or -1");
  into.devices.push_back(std::move(one));
}

void read_link(line_reader& line, topology& into) {
  device_link link;
  link.a = line.number<std::uint16_t>("a device's number");
  link.b = line.number<std::uint16_t>("a device's number");
  if (link.a >= link.b || link.b >= into.devices.size())
    line.complain("two devices named above, the lower one first");
  line.literal("mb_per_s");
  link.mb_per_s = line.number<std::uint32_t>("MB/s");
  into.links.push_back(link);
}

}  // namespace

std::string to_text(const topology& of) {
  std::string text;
  const auto out = std::back_inserter(text);
  for (std::size_t i = 0; i < of.numa.size(); ++i)
    fmt::format_to(out, "numa {} cores {} memory_mib {}\n", i, of.numa[i].cores,
                   of.numa[i].memory_mib);
  for (std::size_t i = 0; i < of.devices.size(); ++i) {
    const auto& one = of.devices[i];
    fmt::format_to(out, "device {} model {} address {} memory_mib {} numa {} pcie_switch {}\n", i,
                   one_word(one.model), one_word(one.address), one.memory_mib, one.numa,
                   one.pcie_switch);
  }
  for (const auto& link : of.links)
    fmt::format_to(out, "link {} {} mb_per_s {}\n", link.a, link.b, link.mb_per_s);
  return text;
}

result<topology> topology_from_text(std::string_view text) {
  topology made;
  std::size_t number = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    line_reader line(++number, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const auto word = line.next("numa, device or link");
    if (word == "numa")
      read_numa(line, made);
    else if (word == "device")
      read_device(line, made);
    else if (word == "link")
      read_link(line, made);
    else
      line.complain("numa, device or link");
    line.end();
    if (line.why()) return *line.why();
  }
  return made;
}

}  // namespace berth::base
