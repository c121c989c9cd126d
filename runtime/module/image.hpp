#pragma once
// Image: which loaded file a piece of code lies in, and where.
//
// A sent function has no name that could be trusted: two lambdas of one function print alike. What tells it apart is
// its place, the offset of its typed thunk from the base of the image that holds it, behind that image's build id. The
// same file gives the same places in every process and run.

#include "runtime/module/manifest.hpp"

#include <berth/abi.hpp>
#include <berth/error.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace berth::module {

/// A place in an image. A value.
struct image_place {
  std::string build_id;      ///< of the image, hex digits
  std::uint64_t offset = 0;  ///< from its load base
  std::string path;          ///< of the image's file; empty for the program itself

  friend bool operator==(const image_place&, const image_place&) = default;
};

/// The place of a thunk. Errors: `invalid` with code `no_build_id` (the image was linked without one), `twin_build_id`
/// (another loaded image claims the same), or `no_image` (the address lies in none).
[[nodiscard]] result<image_place> place_of(const void* address);

/// The sent function at a place, among the images of this process. Errors: `missing` when no image has this build id or
/// none of its sent functions lies there (the program was built anew since); `invalid` with `twin_build_id`.
[[nodiscard]] result<const berth_export*> sent_export(const std::string& build_id,
                                                      std::uint64_t offset);

/// The system's libraries that are loaded here with another build id than `expected` says; one sentence each, for people.
/// A system update changes them under a version that was published before.
[[nodiscard]] std::vector<std::string> changed_libraries(std::span<const system_library> expected);

}  // namespace berth::module
