#pragma once
// Inventory: what every node has, what is left of it, and who holds the rest.
//
// It keeps the promise that nothing is ever given away twice: every share of a processor, of memory, of a device and
// of a device's memory is an integer, taken by `reserve` and given back by `release`, and releasing restores the exact
// state. It has no clock, no I/O and no policy. Copying one is cheap (a few flat arrays; what a node *is* lies behind
// shared pointers), so "what if" works on a copy.
//
// Words: a *node* is a row with a dense id, in the order of `add`, which is also the order ties are broken in. A *kind*
// is what nodes have in common (capacity, devices, links). A *slot* is one replica's share of one node. A *claim* is a
// set of slots reserved together; its epoch grows whenever the slot it names is reused, so an old claim is refused.
//
// Threads: a value without locks; one writer at a time, readers only while nobody writes.

#include "runtime/base/topology.hpp"
#include "scheduler/demand.hpp"
#include "scheduler/placement.hpp"

#include <berth/error.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace berth::sched {

/// Whether a node takes new work. What already runs there is not touched by any of these.
enum class node_condition : std::uint8_t {
  ready,    ///< takes work
  drained,  ///< set aside by an operator; comes back
  sick,     ///< set aside because it fails; comes back when repaired
  gone,     ///< left the cluster; its id is not used again
};

/// A node as it joins: input of `inventory::add`. A value.
struct node_spec {
  std::string name;             ///< unique in the cluster
  std::int64_t cpu_milli = 0;   ///< 1000 = one core; at most 2,000,000,000
  std::int64_t memory_mib = 0;  ///< at most 2,000,000,000
  base::topology
      topology;  ///< NUMA domains, devices (at most 64), links; `devices[i].model` may differ
  std::map<std::string, std::string>
      labels;                      ///< "rack" and "zone" are failure domains of their own
  std::vector<std::string> holds;  ///< digests of modules and artifacts already there
  node_condition condition = node_condition::ready;
};

/// What equal nodes share. A value, immutable once in the inventory.
struct node_kind {
  std::int32_t cpu_milli = 0;
  std::int32_t memory_mib = 0;
  base::topology topology;
  std::vector<std::uint8_t> model;  ///< model id per device, index into `inventory::models()`
  std::uint64_t models = 0;         ///< bit m: some device is of model m
  bool mixed = false;               ///< devices of more than one model
  std::vector<std::uint32_t> device_memory_mib;
  /// near[a * devices + b]: level in the high byte, direct bandwidth in MB/s (saturated) in the low 24 bits; a larger
  /// number is a nearer pair.
  std::vector<std::uint32_t> near;
  bool alike = false;                  ///< every pair of devices is equally near
  std::vector<std::uint64_t> islands;  ///< device masks
  std::vector<std::uint64_t> switches;
  std::vector<std::uint64_t> domains;  ///< NUMA domains that have devices
  friend bool operator==(const node_kind&, const node_kind&) = default;
};

/// What is left of a node: one row of the hot table. `flags` is 0 when the node takes work.
struct node_row {
  std::int32_t cpu_milli = 0;   ///< left
  std::int32_t memory_mib = 0;  ///< left
  std::uint32_t first = 0;      ///< index of the node's first device in the device tables
  std::uint16_t kind = 0;
  std::uint8_t devices = 0;
  std::uint8_t flags = 0;  ///< a node_condition; 0 = ready
};

/// Counts over the whole inventory, in milli-GPU; drained, sick and gone nodes are not counted.
struct capacity {
  std::int64_t cpu_milli = 0;
  std::int64_t memory_mib = 0;
  std::int64_t gpu_milli = 0;
  friend bool operator==(const capacity&, const capacity&) = default;
};

class inventory {
 public:
  inventory();
  inventory(const inventory& other);
  inventory& operator=(const inventory& other);
  inventory(inventory&&) noexcept = default;
  inventory& operator=(inventory&&) noexcept = default;
  ~inventory() = default;

  // --- nodes ---------------------------------------------------------------------------------------------------

  /// Adds a node and returns its id (0, 1, 2 …). Errors: `invalid` for a name taken, a quantity out of range, more
  /// than 64 devices or the 65th device model of the cluster, each naming the value.
  result<node_id> add(const node_spec& spec);

  [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }

  [[nodiscard]] std::optional<node_id> find(std::string_view name) const;

  [[nodiscard]] const std::string& name(node_id node) const { return directory_->facts[node].name; }

  [[nodiscard]] const std::map<std::string, std::string>& labels(node_id node) const {
    return directory_->facts[node].labels;
  }

  [[nodiscard]] node_condition condition(node_id node) const noexcept {
    return static_cast<node_condition>(rows_[node].flags);
  }

  /// Sets a node aside or takes it back; claims on it stay.
  void set_condition(node_id node, node_condition condition);

  // --- what is left ----------------------------------------------------------------------------------------------

  [[nodiscard]] const node_row& row(node_id node) const noexcept { return rows_[node]; }

  [[nodiscard]] const node_kind& kind(node_id node) const noexcept {
    return directory_->kinds[rows_[node].kind];
  }

  [[nodiscard]] const node_kind& kind_at(std::size_t kind) const noexcept {
    return directory_->kinds[kind];
  }

  [[nodiscard]] std::size_t kinds() const noexcept { return directory_->kinds.size(); }

  /// Milli left per device; 0 for a device that is sick.
  [[nodiscard]] std::span<const std::uint16_t> milli(node_id node) const noexcept {
    return {milli_.data() + rows_[node].first, rows_[node].devices};
  }

  /// How many devices of a node are healthy and untouched.
  [[nodiscard]] std::uint32_t idle(node_id node) const noexcept { return idle_[node]; }

  /// Device memory left per device, MiB.
  [[nodiscard]] std::span<const std::uint32_t> device_memory(node_id node) const noexcept {
    return {memory_.data() + rows_[node].first, rows_[node].devices};
  }

  /// Sets one device aside or takes it back; its neighbours keep serving and claims on it stay.
  void set_healthy(node_id node, std::uint32_t device, bool healthy);
  [[nodiscard]] bool healthy(node_id node, std::uint32_t device) const;
  /// Sums over the nodes that are ready. Cost: O(nodes + devices).
  [[nodiscard]] capacity total() const;
  [[nodiscard]] capacity left() const;

  // --- names interned -------------------------------------------------------------------------------------------

  /// The device models of the cluster, by model id.
  [[nodiscard]] const std::vector<std::string>& models() const noexcept {
    return directory_->models;
  }

  /// Bit set of the named models; unknown names have no bit. Empty input: every bit.
  [[nodiscard]] std::uint64_t model_mask(std::span<const std::string> names) const;
  /// The failure domain of a node under a label key: nodes with the same value share a number, a node without the
  /// label is a domain of its own. "node" is always a key. Cost: O(1) for node, rack, zone; a lookup otherwise.
  [[nodiscard]] std::uint32_t domain(node_id node, std::string_view key) const;

  [[nodiscard]] std::uint32_t rack(node_id node) const noexcept { return directory_->rack[node]; }

  [[nodiscard]] std::uint32_t zone(node_id node) const noexcept { return directory_->zone[node]; }

  /// How many values of a label key there are; `domain` numbers below this are shared, above it of one node.
  [[nodiscard]] std::uint32_t domains(std::string_view key) const;

  /// Nodes of a kind that have not left the cluster.
  [[nodiscard]] std::uint32_t nodes_of_kind(std::size_t kind) const noexcept {
    return of_kind_[kind];
  }

  /// Modules and artifacts a node holds, by digest.
  void set_holds(node_id node, std::string digest, bool holds);
  [[nodiscard]] bool holds(node_id node, std::string_view digest) const;

  // --- claims ---------------------------------------------------------------------------------------------------

  /// Takes what the placement names, all or nothing. Errors: `conflict` when something named is no longer left (plan
  /// again); `invalid` for a node or device that does not exist. Cost: O(slots).
  result<claim> reserve(const placement& placed);
  /// Gives everything back. Errors: `conflict` for a claim already released or from an older epoch.
  result<void> release(claim held);
  /// Adds slots to a claim (an elastic gang grows). The claim's epoch grows; the old value is refused from then on.
  result<claim> grow(claim held, const placement& more);
  /// Gives back the slots on one node and keeps the others (independent replicas outlive a node that is gone). The
  /// claim's epoch grows. Errors: `conflict` for a claim that is not current; `invalid` when nothing would be left of it
  /// (release it) or it has nothing there.
  result<claim> drop(claim held, node_id node);
  /// What a claim holds, in rank order; nothing for a claim that is not current.
  [[nodiscard]] std::optional<placement> held(claim of) const;

  [[nodiscard]] std::size_t claims() const noexcept { return live_claims_; }
  /// Calls `visit(claim, slot, need)` for every slot held on a node. Cost: O(slots there).
  template <class Visit>
  void each_on(node_id node, Visit&& visit) const;

  // --- changes --------------------------------------------------------------------------------------------------

  /// Grows with every change of a node. Equal revisions of one inventory (or an unchanged copy) mean equal contents.
  [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }

  /// Tells copies apart: no two inventories of a process have the same.
  [[nodiscard]] std::uint64_t identity() const noexcept { return identity_; }
  /// Calls `visit(node)` once for every node changed after `since`, in no particular order. Cost: O(changes), at
  /// most O(nodes).
  template <class Visit>
  void changed_since(std::uint64_t since, Visit&& visit) const;

 private:
  static constexpr std::uint32_t none = 0xFFFFFFFFU;

  struct node_facts {
    std::string name;
    std::map<std::string, std::string> labels;
  };

  /// What changes only when nodes join or artifacts move: shared between copies until one of them changes it.
  struct directory {
    std::vector<node_facts> facts;
    std::unordered_map<std::string, node_id> by_name;
    std::vector<node_kind> kinds;
    std::vector<std::string> models;
    std::vector<std::uint32_t> rack;
    std::vector<std::uint32_t> zone;
    std::map<std::string, std::map<std::string, std::uint32_t>, std::less<>> domains;
    std::map<std::string, std::vector<node_id>, std::less<>> holders;  ///< by digest, ascending
  };

  /// One slot of a claim in the slab. `next` chains the slots of a claim in rank order, `node_next` and `node_back`
  /// the slots of a node. The epoch is odd exactly while the slot is the head of a live claim.
  struct held_slot {
    std::uint64_t devices = 0;
    node_id node = 0;
    std::uint32_t need_number = 0;
    std::uint32_t head = none;
    std::uint32_t next = none;
    std::uint32_t node_next = none;
    std::uint32_t node_back = none;
    std::uint32_t epoch = 0;
  };

  struct counted_need {
    need each;
    std::uint32_t slots = 0;
  };

  directory& own_directory();
  result<std::uint16_t> intern_kind(directory& in, const node_spec& spec);
  result<std::uint32_t> take_all(const placement& placed);
  std::uint32_t chain(const placement& placed);
  void own(std::uint32_t from, std::uint32_t head);
  std::uint32_t intern_need(const need& each, std::uint32_t slots);
  void forget_need(std::uint32_t number);
  [[nodiscard]] bool fits(const slot& wanted, const need& each) const;
  void take(const slot& wanted, const need& each);
  void give(const slot& held, const need& each);
  void touch(node_id node);
  std::uint32_t new_slot();
  void free_slot(std::uint32_t at);
  [[nodiscard]] bool current(claim of) const;
  [[nodiscard]] static error_info old_claim(claim held);
  void let_go(std::uint32_t at);

  std::shared_ptr<directory> directory_;
  std::vector<node_row> rows_;
  std::vector<std::uint32_t> of_kind_;
  std::vector<std::uint16_t> milli_;
  std::vector<std::uint32_t> memory_;
  std::vector<std::uint8_t> idle_;
  /// True milli left of sick devices, by index in the device tables; `milli_` holds 0 for them.
  std::unordered_map<std::uint32_t, std::uint16_t> sick_;

  std::vector<counted_need> needs_;
  std::vector<std::uint32_t> free_needs_;
  std::unordered_map<need, std::uint32_t, need_hash> need_numbers_;
  std::vector<held_slot> slots_;
  std::vector<std::uint32_t> first_on_;  ///< per node: first slot there
  std::uint32_t free_slot_ = none;
  std::size_t live_claims_ = 0;

  std::uint64_t revision_ = 0;
  std::uint64_t identity_ = 0;
  std::vector<std::uint64_t> changed_at_;  ///< revision of each node's last change
  std::vector<node_id> journal_;           ///< ring: journal_[r & mask] changed at revision r
};

template <class Visit>
void inventory::each_on(node_id node, Visit&& visit) const {
  for (auto at = first_on_[node]; at != none; at = slots_[at].node_next) {
    const auto& held = slots_[at];
    visit(claim{held.head, slots_[held.head].epoch}, slot{held.node, held.devices},
          needs_[held.need_number].each);
  }
}

template <class Visit>
void inventory::changed_since(std::uint64_t since, Visit&& visit) const {
  if (revision_ - since >= journal_.size()) {
    for (node_id node = 0; node < rows_.size(); ++node)
      if (changed_at_[node] > since) visit(node);
    return;
  }
  for (std::uint64_t at = since + 1; at <= revision_; ++at) {
    const node_id node = journal_[at & (journal_.size() - 1)];
    if (changed_at_[node] == at) visit(node);
  }
}

}  // namespace berth::sched
