#pragma once
// value: data that says itself what it is.
//
// What the shell, JSON and control requests carry, and the bridge between two signatures that differ. A C++ type
// becomes a value, and a value a C++ type, by way of the type's shape: one engine knows every rule (docs/protocol.md,
// "Values and JSON"), so JSON, Cap'n Proto form and hot block cannot disagree.

#include <berth/bytes.hpp>
#include <berth/describe.hpp>
#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <berth/tensor.hpp>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace berth {

/// Null, bool, integer, number, text, bytes, list, object (fields in order) or tensor. A value.
class value {
 public:
  struct member;
  using list = std::vector<value>;
  using object = std::vector<member>;
  using state = std::variant<std::monostate,
                             bool,
                             std::int64_t,
                             std::uint64_t,
                             double,
                             std::string,
                             berth::bytes,
                             list,
                             object,
                             std::shared_ptr<const any_tensor>>;

  // Implicit on purpose: whatever a value can be is a value. NOLINTBEGIN(google-explicit-constructor)
  value() noexcept;
  value(bool b);

  template <std::signed_integral I>
  value(I i);

  template <std::unsigned_integral U>

  requires(!std::same_as<U, bool>) value(U u);

  value(double d);
  value(std::string s);
  value(std::string_view s);
  value(const char* s);
  value(berth::bytes b);
  value(list l);
  value(object o);
  value(any_tensor t);

  // NOLINTEND(google-explicit-constructor)
  explicit value(state s);

  [[nodiscard]] bool is_null() const noexcept {
    return std::holds_alternative<std::monostate>(state_);
  }

  /// The `T` it holds (bool, std::int64_t, std::uint64_t, double, std::string, bytes, list, object), or null.
  template <class T>
  [[nodiscard]] const T* get() const noexcept {
    return std::get_if<T>(&state_);
  }

  template <class T>
  [[nodiscard]] T* get() noexcept {
    return std::get_if<T>(&state_);
  }

  /// The tensor it holds, or null.
  [[nodiscard]] const any_tensor* tensor() const noexcept {
    const auto* held = std::get_if<std::shared_ptr<const any_tensor>>(&state_);
    return held ? held->get() : nullptr;
  }

  /// The member of that name, or null when this is no object or has none.
  [[nodiscard]] BERTH_API const value* find(std::string_view name) const noexcept;

  /// What it is, for messages: "null", "bool", "integer", "number", "text", "bytes", "list", "object", "tensor".
  [[nodiscard]] BERTH_API std::string_view type() const noexcept;

  /// Equal data; an integer equals an integer of the other signedness, NaN equals NaN, members compare in order.
  friend BERTH_API bool operator==(const value& a, const value& b) noexcept;

 private:
  state state_;
};

struct value::member {
  std::string name;
  berth::value value;

  friend bool operator==(const member&, const member&) = default;
};

inline value::value() noexcept = default;

inline value::value(bool b) : state_(b) {}

template <std::signed_integral I>
value::value(I i) : state_(std::int64_t{i}) {}

template <std::unsigned_integral U>

requires(!std::same_as<U, bool>) value::value(U u) : state_(std::uint64_t{u}) {}

inline value::value(state s) : state_(std::move(s)) {}

inline value::value(double d) : state_(d) {}

inline value::value(std::string s) : state_(std::move(s)) {}

inline value::value(std::string_view s) : state_(std::string(s)) {}

inline value::value(const char* s) : state_(std::string(s)) {}

inline value::value(berth::bytes b) : state_(std::move(b)) {}

inline value::value(list l) : state_(std::move(l)) {}

inline value::value(object o) : state_(std::move(o)) {}

inline value::value(any_tensor t) : state_(std::make_shared<const any_tensor>(std::move(t))) {}

/// How deep values nest at most, in every form they travel in.
inline constexpr std::size_t value_depth_max = 64;

/// How many values one value holds at most, itself included, in every form they travel in: large data belongs into
/// tensors, bytes or text, which count as one.
inline constexpr std::size_t value_nodes_max = std::size_t{1} << 22;

/// Parses one JSON document (RFC 8259, UTF-8). Errors: `invalid` with line and column; nesting above
/// `value_depth_max` and doubled names are errors.
[[nodiscard]] BERTH_API result<value> parse_json(std::string_view text);

/// How `print_json` writes.
struct json_style {
  /// Spaces per level; 0 is everything on one line.
  unsigned indent = 0;
  /// Tensors with more elements show the first few and their number instead (no longer readable back); 0 never.
  std::uint64_t tensor_elements_max = 0;
};

/// JSON text of `v`. Integers beyond 2^53 and NaN or infinities become strings, bytes and text that is no UTF-8 become
/// `{"base64": "…"}`.
[[nodiscard]] BERTH_API std::string print_json(const value& v, const json_style& style = {});

/// The words a human types for one argument: JSON if it parses as such, else the text itself.
[[nodiscard]] BERTH_API value parse_word(std::string_view word);

/// A block and its externals with their owners: what `encode_hot` makes. A value that can be sent or read.
struct hot_block {
  bytes block;
  std::vector<external> externals;

  [[nodiscard]] block_view view() const noexcept { return {block, externals}; }
};

/// What to do with members that the target shape does not know.
enum class unknown_members : std::uint8_t {
  refuse,  ///< an error with the path: what callers' input gets
  drop,    ///< a newer result read by an older caller
};

/// How `encode_hot` works: where the value came from, for paths in errors, and what it may hold.
struct encode_options {
  unknown_members unknown = unknown_members::refuse;
  bool inline_all = false;  ///< no externals, however large the tails
};

/// The hot block of `shape` that holds `v`. Missing trailing members take their preset, missing optionals are absent.
/// Errors: `invalid` (code `bad_value`) with the path to what does not fit ("pixels[3].label: expected int, …").
[[nodiscard]] BERTH_API result<hot_block> encode_hot(const shape& shape,
                                                     const value& v,
                                                     const encode_options& options = {});

/// The hot block of a call: `arguments` is a list (by position), an object (by parameter name), or null for none.
/// Stream parameters are not part of it. Errors: as above, the path starting with the parameter's name.
[[nodiscard]] BERTH_API result<hot_block> encode_hot(const signature& signature,
                                                     const value& arguments,
                                                     const encode_options& options = {});

/// The value in a hot block of `shape`; tensors keep externals that have an owner by reference.
/// Errors: `invalid` (code `bad_block`) for a block that breaks the layout.
[[nodiscard]] BERTH_API result<value> decode_hot(const shape& shape, const block_view& view);

/// The arguments in a hot block of a call, a list by position.
[[nodiscard]] BERTH_API result<value> decode_hot(const signature& signature,
                                                 const block_view& view);

/// A call encoded for `from`, encoded again for `to` (a caller bound with an older signature).
[[nodiscard]] BERTH_API result<hot_block> transcode_arguments(const signature& from,
                                                              const signature& to,
                                                              const block_view& view);

/// A result or stream item of a version's shape `from`, encoded for the caller's `to`: fields it lacks are dropped.
[[nodiscard]] BERTH_API result<hot_block> transcode_result(const shape& from,
                                                           const shape& to,
                                                           const block_view& view);

/// `x` as a dynamic value. Cost: one encode and one walk; not for the hot path.
template <class T>
[[nodiscard]] value to_value(const T& x) {
  std::vector<external> externals;
  const auto block = codec::encode(externals, x);
  return decode_hot(shape_of<T>(), {block, externals}).value();
}

/// The `T` that `v` says. Errors: `invalid` with the path to what does not fit.
template <class T>
[[nodiscard]] result<T> from_value(const value& v) {
  static_assert(!codec::borrows<T>, "from_value cannot give a view: take the owning type");
  auto hot = encode_hot(shape_of<T>(), v);
  if (!hot) return std::move(hot).error();
  return codec::read<T>(hot->view());
}

}  // namespace berth
