// Shapes and signatures as C++-like text.
#include <array>
#include <berth/shape.hpp>
#include <numeric>

namespace berth {
namespace {

std::string_view scalar_name(form f) {
  switch (f) {
    case form::unit:
      return "void";
    case form::boolean:
      return "bool";
    case form::i8:
      return "int8";
    case form::i16:
      return "int16";
    case form::i32:
      return "int";
    case form::i64:
      return "int64";
    case form::u8:
      return "uint8";
    case form::u16:
      return "uint16";
    case form::u32:
      return "uint32";
    case form::u64:
      return "uint64";
    case form::f32:
      return "float";
    case form::f64:
      return "double";
    case form::f80:
      return "long double";
    case form::character:
      return "char";
    case form::text:
      return "string";
    case form::bytes:
      return "bytes";
    default:
      return "?";
  }
}

std::string period_name(const shape& s) {
  struct row {
    std::int64_t num, den;
    std::string_view name;
  };

  constexpr std::array rows{row{1, 1'000'000'000, "nanoseconds"},
                            row{1, 1'000'000, "microseconds"},
                            row{1, 1000, "milliseconds"},
                            row{1, 1, "seconds"},
                            row{60, 1, "minutes"},
                            row{3600, 1, "hours"},
                            row{86400, 1, "days"}};
  std::string name = "duration<" + std::to_string(s.num()) + "/" + std::to_string(s.den()) + ">";
  for (const auto& r : rows)
    if (r.num == s.num() && r.den == s.den()) name = r.name;
  if (s.underlying() != form::i64) name += "<" + std::string(scalar_name(s.underlying())) + ">";
  return name;
}

std::string joined(std::span<const part> parts) {
  std::string text;
  for (const auto& p : parts)
    text += (text.empty() ? "" : ", ") + to_string(p.shape);
  return text;
}

std::string record_text(const shape& s) {
  std::string text = s.name() + "{";
  for (const auto& p : s.parts())
    text += (&p == s.parts().data() ? "" : "; ") + to_string(p.shape) + " " + p.name;
  return text + "}";
}

std::string flowing(const shape& s, flow f) {
  return f == flow::stream ? "stream<" + to_string(s) + ">" : to_string(s);
}

}  // namespace

std::string to_string(const shape& s) {
  switch (s.form()) {
    case form::list:
      return "vector<" + joined(s.parts()) + ">";
    case form::map:
      return "map<" + joined(s.parts()) + ">";
    case form::array:
      return "array<" + joined(s.parts()) + ", " + std::to_string(s.extent()) + ">";
    case form::optional:
      return "optional<" + joined(s.parts()) + ">";
    case form::variant:
      return "variant<" + joined(s.parts()) + ">";
    case form::tuple:
      return "tuple<" + joined(s.parts()) + ">";
    case form::record:
      return record_text(s);
    case form::enumeration:
      return "enum " + s.name() + " : " + std::string(scalar_name(s.underlying()));
    case form::duration:
      return period_name(s);
    case form::time:
      return "time<" + period_name(s) + ">";
    case form::tensor:
      return "tensor<" + std::string(to_string(s.element())) + ">";
    default:
      return std::string(scalar_name(s.form()));
  }
}

std::string to_string(const signature& s) {
  std::string text = flowing(s.result, s.result_flow) + " " + s.method + "(";
  for (const auto& p : s.params)
    text += (&p == s.params.data() ? "" : ", ") + flowing(p.shape, p.flow)
            + (p.name.empty() ? "" : " " + p.name);
  return text + ")";
}

}  // namespace berth
