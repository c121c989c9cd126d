#include "registry/fingerprint.hpp"

#include "registry/split.hpp"

#include <string_view>
#include <variant>

namespace berth::registry {
namespace {

// Fowler, Noll and Vo: http://www.isthe.com/chongo/tech/comp/fnv/
class fnv1a {
 public:
  void add(std::string_view text) {
    for (char c : text)
      byte(static_cast<std::uint8_t>(c));
    add(static_cast<std::uint64_t>(text.size()));
  }

  void add(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8)
      byte(static_cast<std::uint8_t>(number >> shift));
  }

  /// Fits a signed 64-bit column.
  [[nodiscard]] std::uint64_t value() const { return hash_ >> 1; }

 private:
  void byte(std::uint8_t b) { hash_ = (hash_ ^ b) * 0x100000001b3ull; }

  std::uint64_t hash_ = 0xcbf29ce484222325ull;
};

struct words_of {
  fnv1a& to;

  void operator()(const publish_request& what) const {
    to.add("publish");
    to.add(what.name);
    to.add(what.facts.digest);
  }

  void operator()(const flip_request& what) const {
    to.add("flip");
    for (const auto& flip : what.flips) {
      to.add(flip.name);
      to.add(flip.tag);
      to.add(to_string(sorted(flip.split)));
    }
  }

  void operator()(const rollback_request& what) const {
    to.add("rollback");
    to.add(what.name);
    to.add(what.tag);
    to.add(what.to_revision.value_or(0));
  }

  void operator()(const yank_request& what) const {
    to.add(what.undo ? "unyank" : "yank");
    to.add(what.name);
    to.add(what.version);
  }
};

}  // namespace

std::uint64_t fingerprint(const request& what) {
  fnv1a print;
  std::visit(words_of{print}, what.what);
  return print.value();
}

}  // namespace berth::registry
