#pragma once
// Upload: bringing content to the head, only what it lacks.

#include "runtime/client/head_link.hpp"
#include "runtime/module/assemble.hpp"
#include "runtime/module/build.hpp"

#include <berth/error.hpp>
#include <vector>

namespace berth::client {

/// Sends what the head does not hold, piece by piece; it verifies each by its digest.
/// `progress` is told after each piece. Errors: `failed` when a file changed meanwhile or cannot be read; the head's own.
result<void> upload_missing(head_link& to,
                            const std::vector<module::blob_origin>& blobs,
                            const module::progress_listener& progress = {});

}  // namespace berth::client
