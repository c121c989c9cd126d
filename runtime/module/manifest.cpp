#include "runtime/module/manifest.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <utility>

namespace berth::module {

namespace {

constexpr std::string_view first_line = "berth-manifest 0";
constexpr std::size_t file_part_bytes_max = 255;  // NAME_MAX of Linux file systems

constexpr std::array secret_words{"SECRET",     "TOKEN",   "PASSWORD", "PASSWD",
                                  "CREDENTIAL", "PRIVATE", "KEY"};

error_info bad(std::string message) {
  return fail(kind::invalid, "bad_manifest", std::move(message));
}

bool name_start(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

bool name_char(char c) {
  return name_start(c) || (c >= '0' && c <= '9');
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

void put_hex(std::string& to, unsigned char c) {
  static constexpr char digits[] = "0123456789abcdef";
  to += digits[c >> 4];
  to += digits[c & 15];
}

std::string quoted(std::string_view text) {
  std::string q = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      q += '\\';
      q += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      q += "\\x";
      put_hex(q, byte);
    } else {
      q += c;
    }
  }
  return q += '"';
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes)
    put_hex(text, static_cast<unsigned char>(c));
  return text.empty() ? "-" : text;
}

// ---- printing

class printer {
 public:
  void line(std::initializer_list<std::string_view> words) {
    bool first = true;
    for (const auto word : words) {
      if (!first) text_ += ' ';
      text_ += word;
      first = false;
    }
    text_ += '\n';
  }

  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string word_of(const blob& b) {
  return "sha256:" + b.digest.hex() + ' ' + std::to_string(b.size);
}

std::string word_of_id(const std::string& build_id) {
  return build_id.empty() ? "-" : build_id;
}

const std::string& label(const carried_file& f) {
  return f.path;
}

template <class Item>
const std::string& label(const Item& item) {
  return item.name;
}

template <class Item, class Key>
result<void> sort_unique(std::vector<Item>& items, Key Item::*key, const char* what) {
  if (items.size() > manifest_items_max)
    return bad("a version has at most " + std::to_string(manifest_items_max)
               + " entries of the kind " + what);
  std::sort(items.begin(), items.end(),
            [key](const Item& a, const Item& b) { return a.*key < b.*key; });
  const auto twin = std::adjacent_find(
      items.begin(), items.end(), [key](const Item& a, const Item& b) { return a.*key == b.*key; });
  if (twin == items.end()) return {};
  return bad(std::string("the ") + what + ' ' + label(*twin) + " is given twice");
}

result<void> check_build_id(const std::string& id) {
  const bool ok = id.size() <= 128
                  && std::all_of(id.begin(), id.end(), [](char c) { return hex_value(c) >= 0; });
  if (!ok) return bad("a build id is hex digits, this is " + quoted(id));
  return {};
}

// Puts lists in order and checks every field that has rules.
result<void> settle(manifest& m) {
  if (m.symbol.empty() == !m.offset.has_value())
    return bad("an entry is either a symbol or the offset of a sent function");
  if (m.concurrency == 0) return bad("concurrency is at least 1");
  if (m.is_class ? m.constructor.empty() || m.functions.empty()
                 : m.functions.size() != 1 || !m.constructor.empty())
    return bad("a class has a constructor and methods, a function has one signature");
  if (auto ok = check_build_id(m.build_id); !ok) return ok;
  if (auto ok = sort_unique(m.functions, &entry_function::name, "function"); !ok) return ok;
  if (auto ok = sort_unique(m.bound, &bound_argument::parameter, "bound argument"); !ok) return ok;
  if (auto ok = sort_unique(m.libraries, &carried_library::name, "library"); !ok) return ok;
  if (auto ok = sort_unique(m.system, &system_library::name, "library"); !ok) return ok;
  if (auto ok = sort_unique(m.files, &carried_file::path, "file"); !ok) return ok;
  if (auto ok = sort_unique(m.environment, &variable::name, "variable"); !ok) return ok;
  for (const auto& one : m.system)
    if (auto ok = check_build_id(one.build_id); !ok) return ok;
  for (const auto& one : m.files)
    if (auto ok = check_file_path(one.path); !ok) return ok;
  for (const auto& one : m.environment)
    if (auto ok = check_variable_name(one.name); !ok) return ok;
  return {};
}

void print_entry(printer& out, const manifest& m) {
  out.line(
      {"module", word_of(m.module), word_of_id(m.build_id), m.program ? "program" : "library"});
  if (m.offset) {
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), *m.offset, 16).ptr;
    out.line(
        {"offset", std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()))});
  } else {
    out.line({"symbol", quoted(m.symbol)});
  }
  if (m.is_class) out.line({"class", hex(m.constructor)});
  for (const auto& one : m.functions)
    out.line(
        {"function", quoted(one.name), one.idempotent ? "idempotent" : "once", hex(one.signature)});
  out.line({"concurrency", std::to_string(m.concurrency)});
}

void print_content(printer& out, const manifest& m) {
  for (const auto& one : m.bound)
    out.line({"bind", std::to_string(one.parameter), quoted(one.name), word_of(one.value)});
  for (const auto& one : m.libraries)
    out.line({"library", quoted(one.name), word_of(one.content)});
  for (const auto& one : m.system)
    out.line({"system", quoted(one.name), word_of_id(one.build_id)});
  for (const auto& one : m.files)
    out.line(
        {"file", quoted(one.path), word_of(one.content), one.executable ? "executable" : "plain"});
  for (const auto& one : m.environment)
    out.line({"env", one.name, quoted(one.value)});
  if (m.secrets) out.line({"secrets", word_of(*m.secrets)});
  out.line({"compiler", quoted(m.compiler)});
  out.line({"flags", quoted(m.flags)});
}

// ---- reading

/// Words of one line; remembers the first thing that did not fit.
class line_reader {
 public:
  explicit line_reader(std::string_view line) : rest_(line) {}

  std::string_view word() {
    if (rest_.empty()) return miss("a word is missing");
    const auto end = std::min(rest_.find(' '), rest_.size());
    const auto w = rest_.substr(0, end);
    skip(end);
    return w;
  }

  std::string text() {
    std::string t;
    if (rest_.empty() || rest_.front() != '"') return std::string(miss("a quoted text is missing"));
    std::size_t at = 1;
    for (; at < rest_.size() && rest_[at] != '"'; ++at) {
      if (rest_[at] != '\\') {
        t += rest_[at];
      } else if (at + 1 < rest_.size() && rest_[at + 1] != 'x') {
        t += rest_[++at];
      } else if (at + 3 < rest_.size() && hex_value(rest_[at + 2]) >= 0
                 && hex_value(rest_[at + 3]) >= 0) {
        t += static_cast<char>(hex_value(rest_[at + 2]) * 16 + hex_value(rest_[at + 3]));
        at += 3;
      } else {
        return std::string(miss("a text has a broken escape"));
      }
    }
    if (at >= rest_.size()) return std::string(miss("a text has no end"));
    skip(at + 1);
    return t;
  }

  template <class Number>
  Number number(int base = 10) {
    const auto w = word();
    Number n{};
    const auto [end, why] = std::from_chars(w.data(), w.data() + w.size(), n, base);
    if (why != std::errc() || end != w.data() + w.size()) miss("a number is wrong");
    return n;
  }

  blob content() {
    auto name = word();
    blob b;
    if (!name.starts_with("sha256:")) {
      miss("a digest is missing");
      return b;
    }
    auto d = store::digest::from_hex(name.substr(7));
    if (d)
      b.digest = *d;
    else
      miss("a digest is wrong");
    b.size = number<std::uint64_t>();
    return b;
  }

  std::string bytes() {
    const auto w = word();
    std::string b;
    if (w == "-") return b;
    if (w.size() % 2 != 0) return std::string(miss("hex digits come in pairs"));
    for (std::size_t i = 0; i < w.size(); i += 2) {
      const int high = hex_value(w[i]);
      const int low = hex_value(w[i + 1]);
      if (high < 0 || low < 0) return std::string(miss("hex digits are wrong"));
      b += static_cast<char>(high * 16 + low);
    }
    return b;
  }

  std::string build_id() {
    const auto w = word();
    return w == "-" ? std::string() : std::string(w);
  }

  bool choice(std::string_view yes, std::string_view no) {
    const auto w = word();
    if (w != yes && w != no) miss("a word is neither of two");
    return w == yes;
  }

  [[nodiscard]] const char* problem() const {
    return why_ ? why_ : rest_.empty() ? nullptr : "something follows";
  }

 private:
  std::string_view miss(const char* why) {
    if (!why_) why_ = why;
    return {};
  }

  void skip(std::size_t n) {
    rest_.remove_prefix(n);
    if (rest_.empty()) return;
    if (rest_.front() != ' ' || rest_.size() == 1) miss("words are separated by one space");
    rest_.remove_prefix(1);
  }

  std::string_view rest_;
  const char* why_ = nullptr;
};

using line_rule = void (*)(line_reader&, manifest&);

void read_module(line_reader& in, manifest& m) {
  m.module = in.content();
  m.build_id = in.build_id();
  m.program = in.choice("program", "library");
}

void read_class(line_reader& in, manifest& m) {
  m.is_class = true;
  m.constructor = in.bytes();
}

void read_function(line_reader& in, manifest& m) {
  entry_function f;
  f.name = in.text();
  f.idempotent = in.choice("idempotent", "once");
  f.signature = in.bytes();
  m.functions.push_back(std::move(f));
}

void read_bind(line_reader& in, manifest& m) {
  bound_argument b;
  b.parameter = in.number<std::uint32_t>();
  b.name = in.text();
  b.value = in.content();
  m.bound.push_back(std::move(b));
}

void read_library(line_reader& in, manifest& m) {
  carried_library l;
  l.name = in.text();
  l.content = in.content();
  m.libraries.push_back(std::move(l));
}

void read_system(line_reader& in, manifest& m) {
  system_library l;
  l.name = in.text();
  l.build_id = in.build_id();
  m.system.push_back(std::move(l));
}

void read_file(line_reader& in, manifest& m) {
  carried_file f;
  f.path = in.text();
  f.content = in.content();
  f.executable = in.choice("executable", "plain");
  m.files.push_back(std::move(f));
}

void read_variable(line_reader& in, manifest& m) {
  variable v;
  v.name = std::string(in.word());
  v.value = in.text();
  m.environment.push_back(std::move(v));
}

line_rule rule_of(std::string_view word) {
  static const std::map<std::string_view, line_rule> rules{
      {"module", read_module},
      {"offset", [](line_reader& in, manifest& m) { m.offset = in.number<std::uint64_t>(16); }},
      {"symbol", [](line_reader& in, manifest& m) { m.symbol = in.text(); }},
      {"class", read_class},
      {"function", read_function},
      {"concurrency",
       [](line_reader& in, manifest& m) { m.concurrency = in.number<std::uint32_t>(); }},
      {"bind", read_bind},
      {"library", read_library},
      {"system", read_system},
      {"file", read_file},
      {"env", read_variable},
      {"secrets", [](line_reader& in, manifest& m) { m.secrets = in.content(); }},
      {"compiler", [](line_reader& in, manifest& m) { m.compiler = in.text(); }},
      {"flags", [](line_reader& in, manifest& m) { m.flags = in.text(); }},
  };
  const auto at = rules.find(word);
  return at == rules.end() ? nullptr : at->second;
}

result<manifest> read_lines(std::string_view text) {
  manifest m;
  m.concurrency = 0;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return bad("the last line of the manifest is cut off");
    const auto line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1) {
      if (line != first_line)
        return bad("this is no manifest: it begins with " + quoted(line.substr(0, 40)));
      continue;
    }
    if (number > 8 * manifest_items_max) return bad("the manifest has too many lines");
    line_reader in(line);
    const auto rule = rule_of(in.word());
    if (!rule)
      return bad("line " + std::to_string(number) + ": unknown word " + quoted(line.substr(0, 40)));
    rule(in, m);
    if (const auto* why = in.problem()) return bad("line " + std::to_string(number) + ": " + why);
  }
  return m;
}

std::size_t first_difference(std::string_view a, std::string_view b) {
  const auto at = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return 1 + static_cast<std::size_t>(std::count(a.begin(), at, '\n'));
}

}  // namespace

std::vector<blob> manifest::blobs() const {
  std::vector<blob> all{module};
  for (const auto& one : libraries)
    all.push_back(one.content);
  for (const auto& one : bound)
    all.push_back(one.value);
  for (const auto& one : files)
    all.push_back(one.content);
  if (secrets) all.push_back(*secrets);
  std::set<store::digest> seen;
  std::erase_if(all, [&](const blob& b) { return !seen.insert(b.digest).second; });
  return all;
}

result<std::string> print(const manifest& m) {
  auto settled = m;
  if (auto ok = settle(settled); !ok) return std::move(ok.error());
  printer out;
  out.line({first_line});
  print_entry(out, settled);
  print_content(out, settled);
  auto text = out.take();
  if (text.size() > manifest_bytes_max)
    return bad("the manifest would have " + std::to_string(text.size()) + " bytes, at most "
               + std::to_string(manifest_bytes_max) + " are allowed");
  return text;
}

result<manifest> parse(std::string_view text) {
  if (text.size() > manifest_bytes_max) return bad("a manifest has at most 4 MiB");
  auto m = read_lines(text);
  if (!m) return m;
  auto canonical = print(*m);
  if (!canonical) return std::move(canonical.error()).at("while reading a manifest");
  if (*canonical != text)
    return bad("line " + std::to_string(first_difference(text, *canonical))
               + ": the manifest is not in its canonical form");
  return m;
}

store::digest identity(std::string_view canonical_text) {
  return store::digest_of(canonical_text);
}

result<void> check_secret_name(std::string_view name) {
  const std::string shown = quoted(name);
  if (name.empty() || name.size() > 255 || !name_start(name.front())
      || !std::all_of(name.begin(), name.end(), name_char))
    return fail(kind::invalid, "bad_variable", shown + " is no name of an environment variable");
  if (name.starts_with("LD_") || name.starts_with("BERTH_"))
    return fail(kind::invalid, "bad_variable",
                shown + " steers the loader or berth itself and cannot be set for a version");
  return {};
}

result<void> check_variable_name(std::string_view name) {
  if (auto fine = check_secret_name(name); !fine) return fine;
  const std::string shown = quoted(name);
  std::string rest(name);
  for (auto& c : rest)
    c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  for (std::size_t at = 0; at <= rest.size();) {
    const auto end = std::min(rest.find('_', at), rest.size());
    auto word = std::string_view(rest).substr(at, end - at);
    if (word.size() > 1 && word.ends_with('S')) {
      // CREDENTIALS and TOKENS are the same words; none of the list ends in S itself.
      word.remove_suffix(1);
    }
    if (std::find(secret_words.begin(), secret_words.end(), word) != secret_words.end())
      return fail(
          kind::invalid, "secret_variable",
          shown
              + " looks like a secret, and manifests are kept and shown: give it with --env-file");
    at = end + 1;
  }
  return {};
}

result<void> check_file_path(std::string_view path) {
  const auto refuse = [&](const char* why) {
    return fail(kind::invalid, "bad_path", quoted(path) + " cannot be a file of a version: " + why);
  };
  if (path.empty()) return refuse("it is empty");
  if (path.front() == '/') return refuse("it has to be relative to the worker's folder");
  if (path.size() > 4000) return refuse("it is too long");
  if (path.find('\0') != std::string_view::npos) return refuse("it contains a zero byte");
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    const auto part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == "..")
      return refuse("empty parts, . and .. are not allowed");
    if (part.size() > file_part_bytes_max) return refuse("a part of it is longer than 255 bytes");
    at = end + 1;
  }
  return {};
}

}  // namespace berth::module
