#pragma once
// Errors: what went wrong, said so that the reader knows what to do next.
//
// One closed set of kinds serves the whole of berth, in the process and on the wire. A function that can fail
// returns `result<T>`; at the user's surface each throwing call has a non-throwing twin that returns the same.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#if defined(__GNUC__)
#define BERTH_API __attribute__((visibility("default")))
#else
#define BERTH_API
#endif

namespace berth {

/// What the receiver of an error can do about it. The numbers travel on the wire and never change.
enum class kind : std::uint8_t {
  failed = 1,           ///< the function said no; report it
  invalid = 2,          ///< fix the call
  missing = 3,          ///< create it, or look elsewhere
  denied = 4,           ///< ask for a grant
  disconnected = 5,     ///< reconnect, and retry if idempotent
  timed_out = 6,        ///< the deadline passed; the code says `not_started` or `unknown`
  outcome_unknown = 7,  ///< look before retrying
  conflict = 8,         ///< re-read and redo
  overloaded = 9,       ///< back off; `retry_after_ms` says how long
  cancelled = 10,       ///< by the caller; be quiet
};

/// The kind's name as users see it ("outcome_unknown").
[[nodiscard]] BERTH_API std::string_view to_string(kind k) noexcept;

/// The kind of that name, or nothing.
[[nodiscard]] BERTH_API std::optional<kind> kind_from(std::string_view name) noexcept;

/// The exit code of a command that ended with this kind of error (1, 2, 3, 4, 5, 6, 7 or 130).
[[nodiscard]] BERTH_API int exit_code(kind k) noexcept;

/// A value: copies, compares. `code` is a stable word within the kind ("no_such_tag"), `message` a sentence for
/// people that names cause and next step, `trail` one line per layer passed, innermost first.
struct BERTH_API error_info {
  berth::kind kind = kind::failed;
  std::string code;
  std::string message;
  std::vector<std::string> trail;
  std::uint32_t retry_after_ms =
      0;                    ///< with `overloaded`: milliseconds before a retry is worth trying
  std::string detail;       ///< encoded payload of a `berth::failure`; empty for none
  std::string detail_type;  ///< wire shape of `detail`

  /// Adds one line of trail ("while placing lab/whisper") and returns itself, for use in a return statement.
  error_info&& at(std::string line) &&;
  /// Everything in one text: "invalid (bad_name): message" and the trail, one line each.
  [[nodiscard]] std::string to_string() const;
  /// `detail` in memory aligned for reading.
  [[nodiscard]] std::vector<std::byte> detail_block() const;
  /// The payload of a `berth::failure`, if there is one of this type. Defined in <berth/failure.hpp>.
  template <class P>
  [[nodiscard]] std::optional<P> payload() const;

  friend bool operator==(const error_info&, const error_info&) = default;
};

/// Makes an `error_info`; the order reads as the sentence does: kind, code, message.
[[nodiscard]] BERTH_API error_info fail(kind k, std::string code, std::string message);

/// Thrown by the throwing half of the surface; carries the same facts.
class BERTH_API error : public std::exception {
 public:
  explicit error(error_info info);

  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

  [[nodiscard]] berth::kind kind() const noexcept { return info_.kind; }

  [[nodiscard]] const std::string& code() const noexcept { return info_.code; }

  [[nodiscard]] const std::string& message() const noexcept { return info_.message; }

  [[nodiscard]] const error_info& info() const noexcept { return info_; }

  /// What `throw berth::failure{P{…}}` sent, or nothing for another type. Defined in <berth/failure.hpp>.
  template <class P>
  [[nodiscard]] std::optional<P> detail() const;

 private:
  error_info info_;
  std::string text_;
};

/// A value or an error. `value()` throws `berth::error` when it holds an error; `operator*` requires a value.
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;

  result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)

  result(error_info why)
      : state_(std::in_place_index<1>, std::move(why)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }

  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T& operator*() & noexcept { return *std::get_if<0>(&state_); }

  [[nodiscard]] const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }

  [[nodiscard]] T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }

  [[nodiscard]] T* operator->() noexcept { return std::get_if<0>(&state_); }

  [[nodiscard]] const T* operator->() const noexcept { return std::get_if<0>(&state_); }

  [[nodiscard]] error_info& error() & noexcept { return *std::get_if<1>(&state_); }

  [[nodiscard]] const error_info& error() const& noexcept { return *std::get_if<1>(&state_); }

  [[nodiscard]] error_info&& error() && noexcept { return std::move(*std::get_if<1>(&state_)); }

  [[nodiscard]] T& value() & {
    if (!has_value()) throw berth::error(error());
    return **this;
  }

  [[nodiscard]] const T& value() const& {
    if (!has_value()) throw berth::error(error());
    return **this;
  }

  [[nodiscard]] T&& value() && {
    if (!has_value()) throw berth::error(std::move(*this).error());
    return *std::move(*this);
  }

 private:
  std::variant<T, error_info> state_;
};

/// Success without a value, or an error.
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  result() = default;

  result(error_info why) : why_(std::move(why)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return !why_.has_value(); }

  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] error_info& error() & noexcept { return *why_; }

  [[nodiscard]] const error_info& error() const& noexcept { return *why_; }

  [[nodiscard]] error_info&& error() && noexcept { return *std::move(why_); }

  void value() const {
    if (why_) throw berth::error(*why_);
  }

 private:
  std::optional<error_info> why_;
};

}  // namespace berth
