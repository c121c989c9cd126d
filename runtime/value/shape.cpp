#include <algorithm>
#include <array>
#include <berth/shape.hpp>
#include <optional>
#include <utility>

namespace berth {

/// One node of the description; immutable once made.
struct shape::node {
  berth::form form = form::unit;
  std::string name;
  std::vector<part> parts;
  std::vector<enumerator> names;
  std::uint64_t extent = 0;
  berth::form underlying = form::unit;
  std::int64_t num = 0;
  std::int64_t den = 0;
  dtype element = dtype::f32;

  // Derived from the above by `make`.
  std::uint64_t bytes = 1;
  std::uint32_t align = 1;
  bool fixed = true;
  bool plain = false;
  std::size_t depth = 1;
  std::size_t nodes = 1;
};

namespace {

/// Size of a form without parts in a block; alignment is the same but for text, bytes (4) and f80 (8).
std::uint64_t simple_bytes(form f) {
  switch (f) {
    case form::i16:
    case form::u16:
      return 2;
    case form::i32:
    case form::u32:
    case form::f32:
      return 4;
    case form::i64:
    case form::u64:
    case form::f64:
    case form::text:
    case form::bytes:
      return 8;
    case form::f80:
      return 16;
    default:
      return 1;
  }
}

std::uint32_t simple_align(form f) {
  if (f == form::text || f == form::bytes) return 4;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(simple_bytes(f), 8));
}

std::uint64_t align_up(std::uint64_t at, std::uint64_t align) {
  return (at + align - 1) / align * align;
}

error_info refused(const std::string& why) {
  return fail(kind::invalid, "bad_shape", why);
}

/// Adds up what all parts share, in the order a block holds them.
template <class Node>
void lay_in_sequence(Node& n) {
  n.bytes = 0;
  n.plain = true;
  for (const auto& p : n.parts) {
    const std::uint64_t at = align_up(n.bytes, p.shape.align());
    n.plain = n.plain && at == n.bytes && p.shape.plain();
    n.bytes = at + p.shape.bytes();
    n.align = std::max(n.align, p.shape.align());
    n.fixed = n.fixed && p.shape.fixed();
  }
  const std::uint64_t end = align_up(std::max<std::uint64_t>(n.bytes, 1), n.align);
  n.plain = n.plain && end == n.bytes;
  n.bytes = end;
}

template <class Node>
void lay_as_choice(Node& n) {
  std::uint64_t most = 1;
  for (const auto& p : n.parts) {
    most = std::max(most, p.shape.bytes());
    n.align = std::max(n.align, p.shape.align());
    n.fixed = n.fixed && p.shape.fixed();
  }
  n.bytes = align_up(n.align + most, n.align);
}

template <class Node>
void lay_as_array(Node& n) {
  if (n.extent == 0) return;
  const shape& element = n.parts.front().shape;
  n.bytes = element.bytes() * n.extent;
  n.align = element.align();
  n.fixed = element.fixed();
  n.plain = element.plain();
}

template <class Node>
void lay_as_simple(Node& n, form f) {
  n.bytes = simple_bytes(f);
  n.align = simple_align(f);
  n.fixed = f != form::text && f != form::bytes;
  n.plain = n.fixed && f != form::unit && f != form::boolean && f != form::f80;
}

template <class Node>
void lay_out(Node& n) {
  switch (n.form) {
    case form::list:
    case form::map:
      n.bytes = 8;
      n.align = 4;
      n.fixed = false;
      break;
    case form::tensor:
      n.bytes = 16;
      n.align = 4;
      n.fixed = false;
      break;
    case form::array:
      lay_as_array(n);
      break;
    case form::optional:
    case form::variant:
      lay_as_choice(n);
      break;
    case form::record:
      lay_in_sequence(n);
      break;
    case form::tuple:
      lay_in_sequence(n);
      n.plain =
          false;  // as in C++: the order of a std::tuple in memory is not its order on the wire
      break;
    case form::enumeration:
    case form::duration:
    case form::time:
      lay_as_simple(n, n.underlying);
      break;
    default:
      lay_as_simple(n, n.form);
  }
}

/// Alternatives are told apart by name in JSON, so equal ones get their index behind it.
std::vector<part> name_alternatives(std::vector<shape> alternatives) {
  std::vector<part> parts;
  for (auto& one : alternatives) {
    std::string name = one.name().empty() ? to_string(one) : one.name();
    const auto taken = [&](const std::string& n) {
      return std::any_of(parts.begin(), parts.end(), [&](const part& p) { return p.name == n; });
    };
    if (taken(name)) name += "#" + std::to_string(parts.size());
    parts.push_back({std::move(name), std::move(one), {}});
  }
  return parts;
}

std::vector<part> unnamed(std::vector<shape> shapes) {
  std::vector<part> parts;
  for (auto& one : shapes)
    parts.push_back({{}, std::move(one), {}});
  return parts;
}

}  // namespace

/// Ends every way a shape is made: derives the layout and holds the limits. Throws `invalid` (`bad_shape`).
shape shape::make(node n) {
  for (const auto& p : n.parts) {
    n.depth = std::max(n.depth, p.shape.depth() + 1);
    n.nodes += p.shape.nodes();
  }
  if (n.depth > depth_max)
    throw error(refused("a shape nests deeper than " + std::to_string(depth_max)));
  if (n.parts.size() > parts_max || n.names.size() > parts_max)
    throw error(refused("a shape has more than " + std::to_string(parts_max) + " parts"));
  if (n.nodes > nodes_max)
    throw error(refused("a shape has more than " + std::to_string(nodes_max) + " nodes"));
  if (n.form == form::array && n.extent > array_bytes_max / n.parts.front().shape.bytes())
    throw error(refused("an array has more than " + std::to_string(array_bytes_max) + " bytes"));
  lay_out(n);
  if (n.bytes > array_bytes_max) throw error(refused("a shape's fixed part is too large"));
  return shape(std::make_shared<const node>(std::move(n)));
}

shape::shape() {
  static const std::shared_ptr<const node> unit = std::make_shared<const node>();
  node_ = unit;
}

shape shape::simple(berth::form f) {
  node n;
  n.form = f;
  return make(std::move(n));
}

shape shape::list(shape element) {
  node n;
  n.form = form::list;
  n.parts = unnamed({std::move(element)});
  return make(std::move(n));
}

shape shape::map(shape key, shape mapped) {
  node n;
  n.form = form::map;
  n.parts = unnamed({std::move(key), std::move(mapped)});
  return make(std::move(n));
}

shape shape::array(shape element, std::uint64_t extent) {
  node n;
  n.form = form::array;
  n.parts = unnamed({std::move(element)});
  n.extent = extent;
  return make(std::move(n));
}

shape shape::optional(shape inner) {
  node n;
  n.form = form::optional;
  n.parts = unnamed({std::move(inner)});
  return make(std::move(n));
}

shape shape::variant(std::vector<shape> alternatives) {
  node n;
  n.form = form::variant;
  n.parts = name_alternatives(std::move(alternatives));
  return make(std::move(n));
}

shape shape::tuple(std::vector<shape> parts) {
  node n;
  n.form = form::tuple;
  n.parts = unnamed(std::move(parts));
  return make(std::move(n));
}

shape shape::record(std::string name, std::vector<part> members) {
  node n;
  n.form = form::record;
  n.name = std::move(name);
  n.parts = std::move(members);
  return make(std::move(n));
}

shape shape::enumeration(std::string name, berth::form underlying, std::vector<enumerator> names) {
  node n;
  n.form = form::enumeration;
  n.name = std::move(name);
  n.underlying = underlying;
  n.names = std::move(names);
  return make(std::move(n));
}

shape shape::duration(berth::form rep, std::int64_t num, std::int64_t den) {
  node n;
  n.form = form::duration;
  n.underlying = rep;
  n.num = num;
  n.den = den;
  return make(std::move(n));
}

shape shape::time(berth::form rep, std::int64_t num, std::int64_t den) {
  node n;
  n.form = form::time;
  n.underlying = rep;
  n.num = num;
  n.den = den;
  return make(std::move(n));
}

shape shape::tensor(berth::dtype element) {
  node n;
  n.form = form::tensor;
  n.element = element;
  return make(std::move(n));
}

form shape::form() const noexcept {
  return node_->form;
}

const std::string& shape::name() const noexcept {
  return node_->name;
}

std::span<const part> shape::parts() const noexcept {
  return node_->parts;
}

std::uint64_t shape::extent() const noexcept {
  return node_->extent;
}

form shape::underlying() const noexcept {
  return node_->underlying;
}

std::span<const enumerator> shape::names() const noexcept {
  return node_->names;
}

std::int64_t shape::num() const noexcept {
  return node_->num;
}

std::int64_t shape::den() const noexcept {
  return node_->den;
}

dtype shape::element() const noexcept {
  return node_->element;
}

std::uint64_t shape::bytes() const noexcept {
  return node_->bytes;
}

std::uint32_t shape::align() const noexcept {
  return node_->align;
}

bool shape::fixed() const noexcept {
  return node_->fixed;
}

bool shape::plain() const noexcept {
  return node_->plain;
}

std::size_t shape::depth() const noexcept {
  return node_->depth;
}

std::size_t shape::nodes() const noexcept {
  return node_->nodes;
}

bool operator==(const shape& a, const shape& b) noexcept {
  if (a.node_ == b.node_) return true;
  const auto& x = *a.node_;
  const auto& y = *b.node_;
  return x.form == y.form && x.extent == y.extent && x.underlying == y.underlying && x.num == y.num
         && x.den == y.den && x.element == y.element
         && std::equal(
             x.parts.begin(), x.parts.end(), y.parts.begin(), y.parts.end(),
             [](const part& p, const part& q) { return p.name == q.name && p.shape == q.shape; });
}

bool operator==(const signature& a, const signature& b) noexcept {
  return a.method == b.method && a.result_flow == b.result_flow && a.result == b.result
         && std::equal(a.params.begin(), a.params.end(), b.params.begin(), b.params.end(),
                       [](const parameter& p, const parameter& q) {
                         return p.flow == q.flow && p.shape == q.shape;
                       });
}

}  // namespace berth
