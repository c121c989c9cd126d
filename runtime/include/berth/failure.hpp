#pragma once
// failure: a user's own error, with its payload, across the wire.
//
//   struct refused { int row; std::string why; };
//   throw berth::failure{refused{7, "empty"}};            // in the function
//   catch (const berth::error& e) { if (auto why = e.detail<refused>()) … }   // at the caller

#include <berth/codec.hpp>
#include <berth/describe.hpp>
#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <exception>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace berth {

/// What every `failure<P>` is caught as by the worker. Kind `failed`, code `failure`.
class BERTH_API failure_base : public std::exception {
 public:
  ~failure_base() override;

  [[nodiscard]] const char* what() const noexcept override { return info_.message.c_str(); }

  /// The error as it travels: detail holds the payload's block, detail_type its encoded shape.
  [[nodiscard]] const error_info& info() const noexcept { return info_; }

 protected:
  /// An empty `message` is replaced by the payload as JSON, behind its type's name.
  failure_base(std::string detail, const shape& type, std::string message);

  failure_base(const failure_base&) = default;
  failure_base& operator=(const failure_base&) = default;

 private:
  error_info info_;
};

/// Throw it: the caller reads the payload back with `error::detail<P>()`. Any type that travels will do.
template <class P>
class failure : public failure_base {
 public:
  failure(P payload, std::string message = {})  // NOLINT(google-explicit-constructor)
      : failure_base(codec::encode_inline(payload), shape_of<P>(), std::move(message)),
        payload_(std::move(payload)) {}

  [[nodiscard]] const P& payload() const noexcept { return payload_; }

 private:
  P payload_;
};

template <class P>
failure(P) -> failure<P>;
template <class P>
failure(P, std::string) -> failure<P>;
template <class P>
failure(P, const char*) -> failure<P>;

/// The payload of a `berth::failure` of this type (by wire shape), or nothing.
template <class P>
std::optional<P> error_info::payload() const {
  if (detail_type.empty()) return std::nullopt;
  const auto sent = decode_shape(detail_type);
  if (!sent || !(*sent == shape_of<P>())) return std::nullopt;
  const bytes block = detail_block();
  auto read = codec::read<P>({block, {}});
  if (!read) return std::nullopt;
  return *std::move(read);
}

template <class P>
std::optional<P> error::detail() const {
  return info_.template payload<P>();
}

}  // namespace berth
