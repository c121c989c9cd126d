#pragma once
// What caller and worker say beside hot frames (runtime/wire/call.capnp, and the body of a progress frame).

#include <berth/error.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::net {

/// The body of a failure frame, and back. Decoding bounds what it allocates; what is no failure decodes to one that
/// says so (kind `disconnected`, code `bad_frame`).
[[nodiscard]] std::vector<std::byte> encode_failure(const error_info& why);
[[nodiscard]] error_info decode_failure(std::span<const std::byte> body);

/// The caller asks to call `ref` over this link.
struct bind_request {
  std::string ref;
  std::uint32_t tag_slot = 0;
  std::string method;
  std::string signature;  ///< encoded; empty: calls are self-describing
};

/// The worker agrees.
struct bind_reply {
  std::uint32_t binding = 0;
  std::uint64_t link = 0;  ///< in the worker's ledger
  std::uint32_t version = 0;
  std::string signature;  ///< of the version
  bool idempotent = false;
};

[[nodiscard]] std::vector<std::byte> encode(const bind_request& what);
[[nodiscard]] std::vector<std::byte> encode(const bind_reply& what);
/// Errors: `invalid` for what is no such message.
[[nodiscard]] result<bind_request> decode_bind_request(std::span<const std::byte> body);
[[nodiscard]] result<bind_reply> decode_bind_reply(std::span<const std::byte> body);

/// A report of a running call: progress (`value` is the fraction done) or a metric. Views into the frame.
struct report {
  enum class what : std::uint32_t { progress = 0, metric = 1 };
  what kind = what::progress;
  double value = 0;
  std::string_view text;  ///< message, or the metric's name
};

/// Layout: value (8 bytes), kind (4), size of the text (4), text.
inline constexpr std::size_t report_head_bytes = 16;
inline constexpr std::size_t report_text_max = 4096;

[[nodiscard]] constexpr std::size_t report_bytes(std::string_view text) noexcept {
  return report_head_bytes + (text.size() < report_text_max ? text.size() : report_text_max);
}

/// Writes `report_bytes(what.text)` bytes; longer texts are cut.
void write_report(std::byte* to, const report& what) noexcept;
/// Nothing for a body that is no report.
[[nodiscard]] std::optional<report> read_report(std::span<const std::byte> body) noexcept;

}  // namespace berth::net
