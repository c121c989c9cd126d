// JSON text to values: Boost.JSON's event parser, our own tree. (Its numbers lose the last bit of a double in the
// version Debian 12 has, so they are read from their text.)
#include "runtime/value/text.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include <berth/value.hpp>
#include <charconv>
#include <optional>
#include <unordered_set>

namespace berth {
namespace {

namespace json = boost::json;

/// Builds the tree out of the parser's events. What the parser does not check is checked here: doubled names, number
/// of values.
class tree_builder {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  [[nodiscard]] const std::string& trouble() const { return trouble_; }

  value take() { return std::move(root_); }

  bool on_document_begin(json::error_code&) { return true; }

  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) { return open(value(value::object{}), ec); }

  bool on_object_end(std::size_t, json::error_code& ec) {
    if (!names_are_unique(*levels_.back().held.get<value::object>(), ec)) return false;
    return close(ec);
  }

  bool on_array_begin(json::error_code& ec) { return open(value(value::list{}), ec); }

  bool on_array_end(std::size_t, json::error_code& ec) { return close(ec); }

  bool on_key_part(json::string_view s, std::size_t, json::error_code&) { return gather(s); }

  bool on_key(json::string_view s, std::size_t, json::error_code&) {
    gather(s);
    levels_.back().name = std::move(text_);
    text_.clear();
    return true;
  }

  bool on_string_part(json::string_view s, std::size_t, json::error_code&) { return gather(s); }

  bool on_string(json::string_view s, std::size_t, json::error_code& ec) {
    gather(s);
    std::string whole = std::move(text_);
    text_.clear();
    return add(std::move(whole), ec);
  }

  bool on_number_part(json::string_view s, json::error_code&) { return gather(s); }

  bool on_int64(std::int64_t, json::string_view s, json::error_code& ec) {
    return add_number(s, ec);
  }

  bool on_uint64(std::uint64_t, json::string_view s, json::error_code& ec) {
    return add_number(s, ec);
  }

  bool on_double(double, json::string_view s, json::error_code& ec) { return add_number(s, ec); }

  bool on_bool(bool b, json::error_code& ec) { return add(b, ec); }

  bool on_null(json::error_code& ec) { return add(value(), ec); }

  bool on_comment_part(json::string_view, json::error_code&) { return true; }

  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  struct level {
    value held;
    std::string name;  ///< of the member whose value comes next
  };

  bool stop(std::string why, json::error_code& ec) {
    trouble_ = std::move(why);
    ec = json::error::exception;
    return false;
  }

  bool gather(json::string_view s) {
    text_.append(s.data(), s.size());
    return true;
  }

  bool open(value empty, json::error_code& ec) {
    if (levels_.size() >= value_depth_max)
      return stop("it nests deeper than " + std::to_string(value_depth_max), ec);
    levels_.push_back({std::move(empty), {}});
    return true;
  }

  bool close(json::error_code& ec) {
    value done = std::move(levels_.back().held);
    levels_.pop_back();
    return add(std::move(done), ec);
  }

  bool add(value v, json::error_code& ec) {
    if (++nodes_ > value_nodes_max)
      return stop("it holds more than " + std::to_string(value_nodes_max) + " values", ec);
    if (levels_.empty())
      root_ = std::move(v);
    else if (auto* list = levels_.back().held.get<value::list>())
      list->push_back(std::move(v));
    else
      levels_.back().held.get<value::object>()->push_back(
          {std::move(levels_.back().name), std::move(v)});
    return true;
  }

  bool add_number(json::string_view s, json::error_code& ec) {
    gather(s);
    const std::string digits = std::move(text_);
    text_.clear();
    return add(number(digits), ec);
  }

  /// Integers stay integers while 64 bits hold them.
  static value number(const std::string& digits) {
    const char* const begin = digits.data();
    const char* const end = begin + digits.size();
    std::int64_t i = 0;
    if (auto [at, why] = std::from_chars(begin, end, i);
        why == std::errc() && at == end && digits != "-0")
      return i;
    std::uint64_t u = 0;
    if (auto [at, why] = std::from_chars(begin, end, u); why == std::errc() && at == end) return u;
    return detail::parse_number(digits).value_or(0.0);
  }

  bool names_are_unique(const value::object& o, json::error_code& ec) {
    std::unordered_set<std::string_view> seen;
    for (const auto& m : o)
      if (!seen.insert(m.name).second) return stop("\"" + m.name + "\" is given twice", ec);
    return true;
  }

  value root_;
  std::vector<level> levels_;
  std::string text_;
  std::size_t nodes_ = 0;
  std::string trouble_;
};

/// "line 2, column 7" of a position, both counted from one.
std::string position(std::string_view text, std::size_t at) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char c : text.substr(0, at)) {
    column = c == '\n' ? 1 : column + 1;
    line += c == '\n' ? 1 : 0;
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

}  // namespace

result<value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = value_depth_max;
  json::basic_parser<tree_builder> parser(options);
  json::error_code ec;
  std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  const auto bad = [&](const std::string& why) {
    return fail(kind::invalid, "bad_json",
                "this is no JSON: " + why + " (" + position(text, used) + ")");
  };
  if (ec)
    return bad(parser.handler().trouble().empty() ? ec.message() : parser.handler().trouble());
  const std::size_t rest = text.find_first_not_of(" \t\r\n", used);
  if (rest != text.npos) {
    used = rest;
    return bad("something follows the document");
  }
  return parser.handler().take();
}

value parse_word(std::string_view word) {
  auto parsed = parse_json(word);
  return parsed ? *std::move(parsed) : value(word);
}

}  // namespace berth
