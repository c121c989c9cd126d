#pragma once
// Exports of images in this process: their tables, and the search for sent functions.

#include <berth/abi.hpp>
#include <berth/module.hpp>
#include <vector>

namespace berth::module {

/// The images of this process that registered something: the program itself and its libraries, then loaded modules.
/// Threads: safe; images are announced by their static constructors.
[[nodiscard]] std::vector<detail::image_exports*> announced_images();

/// The error a thunk told its sink.
[[nodiscard]] error_info info_of(const berth_failure& why);

}  // namespace berth::module
