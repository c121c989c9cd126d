#pragma once
// Shapes and signatures: the wire form of types and functions, as data.
//
// A caller and a version agree when their shapes are equal: what lies behind is the layout of the hot block, so
// `const std::vector<T>&`, `std::span<const T>` and `std::vector<T>` are one shape. Shapes travel in bindings, are
// kept with versions, and print as C++-like text. `<berth/describe.hpp>` makes them from types.

#include <berth/bytes.hpp>
#include <berth/error.hpp>
#include <berth/tensor.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth {

/// What a shape is. The numbers travel on the wire and never change.
enum class form : std::uint8_t {
  unit = 0,  ///< nothing: void, std::monostate
  boolean = 1,
  i8 = 2,
  i16 = 3,
  i32 = 4,
  i64 = 5,
  u8 = 6,
  u16 = 7,
  u32 = 8,
  u64 = 9,
  f32 = 10,
  f64 = 11,
  f80 = 12,  ///< long double: x87 extended, 10 bytes in 16
  character = 13,
  text = 14,
  bytes = 15,
  list = 16,      ///< vector, span, set: one part
  map = 17,       ///< parts: key, mapped
  array = 18,     ///< one part, `extent` times
  optional = 19,  ///< one part
  variant = 20,   ///< parts named by their type
  tuple = 21,     ///< pair, tuple
  record = 22,    ///< aggregate; parts named by its members
  enumeration = 23,
  duration = 24,
  time = 25,  ///< of the system clock
  tensor = 26,
};

class shape;

/// A member of a record, an alternative of a variant, or the unnamed part of any other shape.
struct part;

/// A named value of an enumeration.
struct enumerator {
  std::string name;
  std::int64_t value = 0;
};

/// The wire form of a type. A value; copies share one immutable description, so copying costs a reference.
class BERTH_API shape {
 public:
  /// Limits that hold for every shape, made here or decoded.
  static constexpr std::size_t depth_max = 32;
  static constexpr std::size_t parts_max = 256;
  static constexpr std::size_t nodes_max = 4096;
  static constexpr std::size_t encoded_bytes_max = 256 * 1024;
  static constexpr std::uint64_t array_bytes_max = std::uint64_t{1} << 30;

  shape();  ///< unit

  /// A form without parts: unit to bytes.
  [[nodiscard]] static shape simple(berth::form f);
  [[nodiscard]] static shape list(shape element);
  [[nodiscard]] static shape map(shape key, shape mapped);
  [[nodiscard]] static shape array(shape element, std::uint64_t extent);
  [[nodiscard]] static shape optional(shape inner);
  [[nodiscard]] static shape variant(std::vector<shape> alternatives);
  [[nodiscard]] static shape tuple(std::vector<shape> parts);
  [[nodiscard]] static shape record(std::string name, std::vector<part> members);
  [[nodiscard]] static shape enumeration(std::string name,
                                         berth::form underlying,
                                         std::vector<enumerator> names);
  /// `period` is num/den seconds; `rep` an arithmetic form.
  [[nodiscard]] static shape duration(berth::form rep, std::int64_t num, std::int64_t den);
  [[nodiscard]] static shape time(berth::form rep, std::int64_t num, std::int64_t den);
  [[nodiscard]] static shape tensor(berth::dtype element);

  [[nodiscard]] berth::form form() const noexcept;
  /// Name of a record or enumeration, for people; does not count in comparisons.
  [[nodiscard]] const std::string& name() const noexcept;
  [[nodiscard]] std::span<const part> parts() const noexcept;
  [[nodiscard]] std::uint64_t extent() const noexcept;    ///< of an array
  [[nodiscard]] berth::form underlying() const noexcept;  ///< of enumeration, duration, time
  [[nodiscard]] std::span<const enumerator> names() const noexcept;
  [[nodiscard]] std::int64_t num() const noexcept;  ///< of duration, time
  [[nodiscard]] std::int64_t den() const noexcept;
  [[nodiscard]] dtype element() const noexcept;  ///< of a tensor

  /// Layout of the fixed part in a hot block (docs/protocol.md): size, alignment, whether there are no tails, and
  /// whether an array of it may travel as an external (every byte counts and every pattern is valid).
  [[nodiscard]] std::uint64_t bytes() const noexcept;
  [[nodiscard]] std::uint32_t align() const noexcept;
  [[nodiscard]] bool fixed() const noexcept;
  [[nodiscard]] bool plain() const noexcept;
  /// Levels of nesting, 1 for a scalar.
  [[nodiscard]] std::size_t depth() const noexcept;
  /// Number of shapes in the tree, itself included.
  [[nodiscard]] std::size_t nodes() const noexcept;

  /// Equal on the wire: names of members and of alternatives count, names of types, presets and enumerators do not.
  friend BERTH_API bool operator==(const shape& a, const shape& b) noexcept;

 private:
  struct node;

  explicit shape(std::shared_ptr<const node> n) : node_(std::move(n)) {}

  static shape make(node n);

  std::shared_ptr<const node> node_;
};

struct part {
  std::string name;
  berth::shape shape;
  /// Self-contained hot block of what `T{}` gives for this member; empty when that is all zero.
  std::string preset = {};
};

/// Readable C++-like text: "digit{int label; float confidence}", "vector<float>".
[[nodiscard]] BERTH_API std::string to_string(const shape& s);

/// Whether one value crosses, or a stream of them.
enum class flow : std::uint8_t { single = 0, stream = 1 };

/// A parameter of a function. Parameters have names for people and JSON; comparisons go by position.
struct parameter {
  std::string name;
  berth::shape shape;
  berth::flow flow = flow::single;
};

/// What a function takes and gives, as data. A value. `==` compares what is on the wire: method, shapes and flows.
struct BERTH_API signature {
  std::string method;  ///< of a service class; empty for a function
  std::vector<parameter> params;
  berth::shape result;  ///< unit for void; the item's shape for a stream
  flow result_flow = flow::single;

  friend BERTH_API bool operator==(const signature& a, const signature& b) noexcept;
};

/// "digit{int label; float confidence} (vector<float> pixels)"; a stream prints as "stream<…>".
[[nodiscard]] BERTH_API std::string to_string(const signature& s);

/// The shape as a compact byte string; equal shapes with equal names give equal bytes. At most
/// `shape::encoded_bytes_max` bytes for what `shape_of` makes.
[[nodiscard]] BERTH_API std::string encode(const shape& s);
[[nodiscard]] BERTH_API std::string encode(const signature& s);
/// Several signatures (the methods of a class) as one byte string.
[[nodiscard]] BERTH_API std::string encode(std::span<const signature> all);

/// Reads what `encode` made. Bounds depth, counts and sizes before it allocates. Errors: `invalid` (`bad_shape`).
[[nodiscard]] BERTH_API result<shape> decode_shape(std::string_view from);
[[nodiscard]] BERTH_API result<signature> decode_signature(std::string_view from);
[[nodiscard]] BERTH_API result<std::vector<signature>> decode_signatures(std::string_view from);

/// How a version answers a caller.
enum class fit : std::uint8_t {
  same,     ///< hot blocks pass as they are
  evolved,  ///< answerable, arguments and results are transcoded
};

/// Whether a caller bound with `caller` can call `version`: its arguments still decode (the version may have gained
/// trailing optional parameters and trailing record members) and the result only gained members.
/// Errors: `invalid` (`signature_mismatch`); the message names the field and prints both signatures.
[[nodiscard]] BERTH_API result<fit> answers(const signature& caller, const signature& version);

}  // namespace berth
