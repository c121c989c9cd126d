#pragma once
// Demand: what somebody wants to run, in a team lead's words: "two BERT fine-tunings of one GPU each for team x, eight
// ranks on one NVLink island for team y, a production embedding service on two racks".
//
// Demands are values without behaviour. Quantities are integers: milli-cores, MiB, milli-GPU.

#include "runtime/base/topology.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::sched {

using node_id = std::uint32_t;
using base::proximity;

/// What one replica takes from one node. A value.
///
/// `gpus` devices of `gpu_milli` each. Whole devices have 1000; a share (1…999) is of one device only. Device memory is
/// per device and is taken from it, so shares of one device never promise more memory than it has.
struct need {
  std::int32_t cpu_milli = 0;
  std::int32_t memory_mib = 0;
  std::uint16_t gpus = 0;
  std::uint16_t gpu_milli = 0;
  std::uint32_t device_memory_mib = 0;
  friend bool operator==(const need&, const need&) = default;

  /// Milli-GPU in all.
  [[nodiscard]] std::int32_t milli() const noexcept { return gpus * gpu_milli; }
};

struct need_hash {
  [[nodiscard]] std::size_t operator()(const need& of) const noexcept {
    std::uint64_t h = static_cast<std::uint32_t>(of.cpu_milli) * 0x9E3779B97F4A7C15ULL;
    h = (h ^ static_cast<std::uint32_t>(of.memory_mib)) * 0xC2B2AE3D27D4EB4FULL;
    h = (h ^ (h >> 29) ^ (static_cast<std::uint64_t>(of.gpus) << 48)
         ^ (static_cast<std::uint64_t>(of.gpu_milli) << 32) ^ of.device_memory_mib)
        * 0x9E3779B97F4A7C15ULL;
    return h ^ (h >> 32);
  }
};

/// Whether a wish may be given up when it cannot be kept.
enum class strength : std::uint8_t { preferred, required };

/// A wish about a node's labels: the value of `key` is one of `values` (`among`), or is none of them (`not_among`; a
/// node without the label passes).
struct label_wish {
  enum class sense : std::uint8_t { among, not_among };
  std::string key;
  std::vector<std::string> values;
  sense how = sense::among;
  strength force = strength::required;
  friend bool operator==(const label_wish&, const label_wish&) = default;
};

/// A wish that every two devices of a gang are at least this near to each other.
struct affinity_wish {
  proximity within = proximity::island;
  strength force = strength::preferred;
  friend bool operator==(const affinity_wish&, const affinity_wish&) = default;
};

/// A wish that no failure domain holds more than `per_domain_max` replicas. `domain` is a label key ("rack", "zone",
/// any other) or "node".
struct spread_wish {
  std::string domain = "node";
  std::uint32_t per_domain_max = 1;
  strength force = strength::required;
  friend bool operator==(const spread_wish&, const spread_wish&) = default;
};

/// A gang starts entirely or not at all. Elastic when `ranks_min` < `ranks_max`: it starts with as many ranks as fit
/// at once, at least `ranks_min`, and grows later.
struct gang_wish {
  std::uint32_t ranks_min = 1;
  std::uint32_t ranks_max = 1;
  friend bool operator==(const gang_wish&, const gang_wish&) = default;
};

enum class preemption : std::uint8_t { never, allowed };

/// One line of work. Without `gang` it is `replicas` independent copies placed one by one.
struct demand {
  std::string name;  ///< for people; not looked at
  need each;         ///< per replica or rank
  std::vector<std::string>
      models;  ///< device models admitted; empty: any. Order is not looked at for placing
  std::vector<label_wish> labels;
  std::uint32_t replicas = 1;
  std::optional<gang_wish> gang;
  std::optional<affinity_wish> affinity;
  std::optional<spread_wish> spread;
  std::vector<std::string> artifacts;  ///< digests; nodes that hold all of them are tried first

  std::string team;
  std::int32_t priority = 0;  ///< larger is more urgent
  preemption preemptible = preemption::never;
  std::chrono::milliseconds run_min{0};            ///< once started, left alone at least so long
  std::optional<std::chrono::milliseconds> limit;  ///< ends by then; backfill needs it
  friend bool operator==(const demand&, const demand&) = default;
};

}  // namespace berth::sched
