#include "runtime/value/text.hpp"

#include <berth/value.hpp>
#include <cmath>
#include <cstring>

namespace berth {
namespace {

/// Beyond it a double, and with it many a JSON reader, no longer tells neighbouring integers apart.
constexpr std::uint64_t exact_integer_max = std::uint64_t{1} << 53;

constexpr std::uint64_t elements_shown = 6;

class json_printer {
 public:
  explicit json_printer(const json_style& style) : style_(style) {}

  void print(const value& v) {
    if (const auto* b = v.get<bool>()) return put(*b ? "true" : "false");
    if (const auto* i = v.get<std::int64_t>()) return print_integer(*i);
    if (const auto* u = v.get<std::uint64_t>()) return print_integer(*u);
    if (const auto* d = v.get<double>()) return print_double(*d);
    if (const auto* s = v.get<std::string>()) return print_text(*s);
    if (const auto* b = v.get<bytes>()) return print_bytes(*b);
    if (const auto* l = v.get<value::list>()) return print_list(*l);
    if (const auto* o = v.get<value::object>()) return print_object(*o);
    if (const auto* t = v.tensor()) return print_tensor(*t);
    put("null");
  }

  std::string take() { return std::move(out_); }

 private:
  void put(std::string_view text) { out_ += text; }

  template <class I>
  void print_integer(I i) {
    const bool exact =
        i >= 0 ? static_cast<std::uint64_t>(i) <= exact_integer_max
               : static_cast<std::int64_t>(i) >= -static_cast<std::int64_t>(exact_integer_max);
    put(exact ? std::to_string(i) : "\"" + std::to_string(i) + "\"");
  }

  void print_double(double d) {
    if (!std::isfinite(d)) return put("\"" + detail::print_number(d) + "\"");
    const std::string text = detail::print_number(d);
    put(text);
    // Says "this is a number, not an integer", and keeps the sign of -0.0.
    if (text.find_first_of(".e") == text.npos) put(".0");
  }

  void print_text(const std::string& s) {
    if (detail::is_utf8(s)) return print_quoted(s);
    print_bytes({reinterpret_cast<const std::byte*>(s.data()), s.size()});
  }

  void print_bytes(std::span<const std::byte> b) {
    put("{\"base64\": \"" + detail::to_base64(b) + "\"}");
  }

  void print_quoted(std::string_view s) {
    constexpr std::string_view hex = "0123456789abcdef";
    out_ += '"';
    for (const char c : s) {
      switch (c) {
        case '"':
          put("\\\"");
          break;
        case '\\':
          put("\\\\");
          break;
        case '\n':
          put("\\n");
          break;
        case '\r':
          put("\\r");
          break;
        case '\t':
          put("\\t");
          break;
        default:
          if (static_cast<unsigned char>(c) >= 0x20) {
            out_ += c;
          } else {
            put("\\u00");
            out_ += hex[static_cast<unsigned char>(c) >> 4];
            out_ += hex[static_cast<unsigned char>(c) & 15];
          }
      }
    }
    out_ += '"';
  }

  void begin_item(bool first) {
    if (!first) out_ += ',';
    if (style_.indent != 0)
      out_ += "\n" + std::string(std::size_t{style_.indent} * level_, ' ');
    else if (!first)
      out_ += ' ';
  }

  void close(char bracket, bool empty) {
    --level_;
    if (!empty && style_.indent != 0)
      out_ += "\n" + std::string(std::size_t{style_.indent} * level_, ' ');
    out_ += bracket;
  }

  void print_list(const value::list& l) {
    out_ += '[';
    ++level_;
    for (std::size_t i = 0; i < l.size(); ++i) {
      begin_item(i == 0);
      print(l[i]);
    }
    close(']', l.empty());
  }

  void print_object(const value::object& o) {
    // A name that is no UTF-8 cannot stand before a colon: then the object is a list of pairs, which reads back as a
    // map too.
    for (const auto& m : o)
      if (!detail::is_utf8(m.name)) return print_pairs(o);
    out_ += '{';
    ++level_;
    for (std::size_t i = 0; i < o.size(); ++i) {
      begin_item(i == 0);
      print_quoted(o[i].name);
      put(": ");
      print(o[i].value);
    }
    close('}', o.empty());
  }

  void print_pairs(const value::object& o) {
    value::list pairs;
    for (const auto& m : o)
      pairs.push_back(value::list{m.name, m.value});
    print_list(pairs);
  }

  void print_tensor(const any_tensor& t) {
    put("{\"dtype\": \"" + std::string(to_string(t.type())) + "\", \"shape\": [");
    for (std::size_t i = 0; i < t.sizes().rank(); ++i)
      put((i == 0 ? "" : ", ") + std::to_string(t.sizes()[i]));
    const bool cut = style_.tensor_elements_max != 0 && t.count() > style_.tensor_elements_max;
    put("], \"data\": [");
    const std::uint64_t shown = cut ? std::min(elements_shown, t.count()) : t.count();
    for (std::uint64_t i = 0; i < shown; ++i) {
      if (i != 0) put(", ");
      print_element(t, i);
    }
    put(cut ? ", \"… " + std::to_string(t.count()) + " elements\"]}" : "]}");
  }

  template <class T>
  T element(const any_tensor& t, std::uint64_t i) {
    T x;
    std::memcpy(&x, t.raw().data() + i * sizeof(T), sizeof(T));
    return x;
  }

  void print_element(const any_tensor& t, std::uint64_t i) {
    switch (t.type()) {
      case dtype::b8:
        return put(element<std::uint8_t>(t, i) != 0 ? "true" : "false");
      case dtype::i8:
        return print_integer(std::int64_t{element<std::int8_t>(t, i)});
      case dtype::i16:
        return print_integer(std::int64_t{element<std::int16_t>(t, i)});
      case dtype::i32:
        return print_integer(std::int64_t{element<std::int32_t>(t, i)});
      case dtype::i64:
        return print_integer(element<std::int64_t>(t, i));
      case dtype::u8:
        return print_integer(std::uint64_t{element<std::uint8_t>(t, i)});
      case dtype::u16:
        return print_integer(std::uint64_t{element<std::uint16_t>(t, i)});
      case dtype::u32:
        return print_integer(std::uint64_t{element<std::uint32_t>(t, i)});
      case dtype::u64:
        return print_integer(element<std::uint64_t>(t, i));
      case dtype::f32:
        return print_double(detail::widened(element<float>(t, i)));
      case dtype::f64:
        return print_double(element<double>(t, i));
    }
  }

  json_style style_;
  std::string out_;
  std::size_t level_ = 0;
};

}  // namespace

std::string print_json(const value& v, const json_style& style) {
  json_printer printer(style);
  printer.print(v);
  return printer.take();
}

}  // namespace berth
