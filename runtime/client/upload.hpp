#pragma once
// Upload: bringing content to the head, only what it lacks.

#include <berth/error.hpp>
#include <string>
#include <vector>

#include "runtime/client/head_link.hpp"
#include "runtime/module/manifest.hpp"

namespace berth::client {

/// Content and the file that holds it here. A value.
struct local_blob {
  module::blob content;
  std::string file;

  /// Hashes a file. Errors: `missing`, `failed`.
  static result<local_blob> of_file(const std::string& file);
};

/// Sends what the head does not hold, piece by piece; it verifies each by its digest.
/// Errors: `failed` when a file changed meanwhile or cannot be read; the head's own.
result<void> upload_missing(head_link& to, const std::vector<local_blob>& blobs);

}  // namespace berth::client
