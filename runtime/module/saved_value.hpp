#pragma once
// Saved value: a value in a file, with its shape, so that what one call returned can be bound to the next version.
//
// What `berth call --out FILE` writes and `--with name=@FILE` reads: the line "berth-value 0", the length of the encoded
// shape as decimal line, the shape, zeros up to a multiple of 8, then the hot block with every tail inside.

#include <berth/bytes.hpp>
#include <berth/error.hpp>
#include <berth/shape.hpp>
#include <span>
#include <string>
#include <string_view>

namespace berth::module {

struct saved_value {
  berth::shape shape;
  std::string block;  ///< self-contained
};

/// Whether a file's bytes begin as a saved value does.
[[nodiscard]] bool is_saved_value(std::string_view file) noexcept;

/// The file's bytes. `block` has no externals (`encode_options::inline_all`).
[[nodiscard]] std::string print_saved(const shape& shape, std::span<const std::byte> block);

/// Errors: `invalid` (`bad_saved_value`) for a file that is damaged; the block itself is checked by whoever decodes it.
[[nodiscard]] result<saved_value> parse_saved(std::string_view file);

}  // namespace berth::module
