#include "scheduler/inventory.hpp"

#include "runtime/base/ensure.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <fmt/format.h>
#include <utility>

namespace berth::sched {
namespace {

constexpr std::int64_t quantity_max = 2'000'000'000;
constexpr std::size_t devices_max = 64;
constexpr std::size_t models_max = 64;
constexpr std::size_t kinds_max = 65'535;
constexpr std::size_t journal_min = 1024;
/// Marks the domain number of a node that lacks the label: a domain of its own.
constexpr std::uint32_t alone = 0x80000000U;

std::uint64_t next_identity() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

template <class Visit>
void for_each_bit(std::uint64_t mask, Visit&& visit) {
  for (; mask != 0; mask &= mask - 1)
    visit(static_cast<std::uint32_t>(std::countr_zero(mask)));
}

std::vector<std::uint64_t> masks_by(const base::topology& of, std::int32_t base::device::*number) {
  std::map<std::int32_t, std::uint64_t> groups;
  for (std::size_t i = 0; i < of.devices.size(); ++i)
    if (of.devices[i].*number >= 0) groups[of.devices[i].*number] |= std::uint64_t{1} << i;
  std::vector<std::uint64_t> masks;
  for (const auto& [key, mask] : groups)
    masks.push_back(mask);
  return masks;
}

std::vector<std::uint64_t> island_masks(const base::topology& of) {
  std::vector<std::uint64_t> masks;
  for (const auto& island : of.islands()) {
    std::uint64_t mask = 0;
    for (const auto member : island)
      mask |= std::uint64_t{1} << member;
    masks.push_back(mask);
  }
  return masks;
}

std::vector<std::uint32_t> nearness(const base::topology& of,
                                    const std::vector<std::uint64_t>& islands) {
  const std::size_t count = of.devices.size();
  std::vector<std::uint32_t> near(count * count);
  for (std::size_t a = 0; a < count; ++a)
    for (std::size_t b = 0; b < count; ++b) {
      auto level = proximity::node;
      const auto pair = (std::uint64_t{1} << a) | (std::uint64_t{1} << b);
      if (a == b) {
        level = proximity::device;
      } else if (std::any_of(islands.begin(), islands.end(),
                             [&](std::uint64_t mask) { return (mask & pair) == pair; })) {
        level = proximity::island;
      } else {
        level = of.between(a, b);
      }
      const auto speed = a == b ? 0U : std::min(of.bandwidth(a, b), 0xFFFFFFU);
      near[a * count + b] = (static_cast<std::uint32_t>(level) << 24) | speed;
    }
  return near;
}

result<void> check_spec(const node_spec& spec) {
  const auto bad = [&](std::string_view what, std::int64_t value) {
    return fail(kind::invalid, "bad_node",
                fmt::format("node \"{}\": {} is {}; it must lie between 0 and {}", spec.name, what,
                            value, quantity_max));
  };
  if (spec.cpu_milli < 0 || spec.cpu_milli > quantity_max) return bad("cpu_milli", spec.cpu_milli);
  if (spec.memory_mib < 0 || spec.memory_mib > quantity_max)
    return bad("memory_mib", spec.memory_mib);
  const auto count = spec.topology.devices.size();
  if (count > devices_max)
    return fail(kind::invalid, "bad_node",
                fmt::format("node \"{}\" has {} devices; at most {} are supported", spec.name,
                            count, devices_max));
  for (const auto& device : spec.topology.devices)
    if (device.memory_mib < 0 || device.memory_mib > quantity_max)
      return bad("the memory of a device", device.memory_mib);
  for (const auto& link : spec.topology.links)
    if (link.a >= link.b || link.b >= count)
      return fail(
          kind::invalid, "bad_node",
          fmt::format(
              "node \"{}\": the link {}-{} does not join two of its {} devices, lower first",
              spec.name, link.a, link.b, count));
  return {};
}

}  // namespace

inventory::inventory()
    : directory_(std::make_shared<directory>()),
      identity_(next_identity()),
      journal_(journal_min) {}

inventory::inventory(const inventory& other) {
  *this = other;
}

inventory& inventory::operator=(const inventory& other) {
  if (this == &other) return *this;
  directory_ = other.directory_;
  rows_ = other.rows_;
  of_kind_ = other.of_kind_;
  milli_ = other.milli_;
  memory_ = other.memory_;
  idle_ = other.idle_;
  sick_ = other.sick_;
  needs_ = other.needs_;
  free_needs_ = other.free_needs_;
  need_numbers_ = other.need_numbers_;
  slots_ = other.slots_;
  first_on_ = other.first_on_;
  free_slot_ = other.free_slot_;
  live_claims_ = other.live_claims_;
  revision_ = other.revision_;
  changed_at_ = other.changed_at_;
  journal_ = other.journal_;
  identity_ = next_identity();
  return *this;
}

inventory::directory& inventory::own_directory() {
  if (directory_.use_count() > 1) directory_ = std::make_shared<directory>(*directory_);
  return *directory_;
}

// --- nodes -------------------------------------------------------------------------------------------------------

result<node_id> inventory::add(const node_spec& spec) {
  if (auto checked = check_spec(spec); !checked) return std::move(checked).error();
  if (directory_->by_name.contains(spec.name))
    return fail(
        kind::invalid, "name_taken",
        fmt::format("there is a node \"{}\" already; give this one another name", spec.name));
  auto& to = own_directory();
  auto interned = intern_kind(to, spec);
  if (!interned) return std::move(interned).error();
  const auto& what = to.kinds[*interned];
  const auto node = static_cast<node_id>(rows_.size());
  rows_.push_back({what.cpu_milli, what.memory_mib, static_cast<std::uint32_t>(milli_.size()),
                   *interned, static_cast<std::uint8_t>(what.model.size()),
                   static_cast<std::uint8_t>(spec.condition)});
  of_kind_.resize(to.kinds.size());
  if (spec.condition != node_condition::gone) ++of_kind_[*interned];
  milli_.insert(milli_.end(), what.model.size(), 1000);
  memory_.insert(memory_.end(), what.device_memory_mib.begin(), what.device_memory_mib.end());
  to.facts.push_back({spec.name, spec.labels});
  to.by_name.emplace(spec.name, node);
  const auto number = [&](const std::string& key) {
    const auto label = spec.labels.find(key);
    if (label == spec.labels.end()) return alone | node;
    auto& values = to.domains[key];
    return values.emplace(label->second, static_cast<std::uint32_t>(values.size())).first->second;
  };
  for (const auto& [key, value] : spec.labels)
    number(key);
  to.rack.push_back(number("rack"));
  to.zone.push_back(number("zone"));
  for (const auto& digest : spec.holds)
    to.holders[digest].push_back(node);

  first_on_.push_back(none);
  idle_.push_back(0);
  changed_at_.push_back(0);
  if (rows_.size() > journal_.size()) {
    std::vector<node_id> wider(journal_.size() * 2);
    for (node_id each = 0; each < rows_.size(); ++each)
      wider[changed_at_[each] & (wider.size() - 1)] = each;
    journal_ = std::move(wider);
  }
  touch(node);
  return node;
}

result<std::uint16_t> inventory::intern_kind(directory& in, const node_spec& spec) {
  node_kind made;
  made.cpu_milli = static_cast<std::int32_t>(spec.cpu_milli);
  made.memory_mib = static_cast<std::int32_t>(spec.memory_mib);
  for (std::size_t i = 0; i < in.kinds.size(); ++i)
    if (in.kinds[i].cpu_milli == made.cpu_milli && in.kinds[i].memory_mib == made.memory_mib
        && in.kinds[i].topology == spec.topology)
      return static_cast<std::uint16_t>(i);
  if (in.kinds.size() == kinds_max)
    return fail(kind::invalid, "too_many_kinds",
                fmt::format("the cluster already has {} different kinds of node", kinds_max));
  made.topology = spec.topology;
  for (const auto& device : spec.topology.devices) {
    auto at = std::find(in.models.begin(), in.models.end(), device.model);
    if (at == in.models.end()) {
      if (in.models.size() == models_max)
        return fail(
            kind::invalid, "too_many_models",
            fmt::format("\"{}\" would be the device model number {}; a cluster has at most {}",
                        device.model, models_max + 1, models_max));
      at = in.models.insert(at, device.model);
    }
    const auto model = static_cast<std::uint8_t>(at - in.models.begin());
    made.model.push_back(model);
    made.models |= std::uint64_t{1} << model;
    made.device_memory_mib.push_back(static_cast<std::uint32_t>(device.memory_mib));
  }
  made.mixed = std::popcount(made.models) > 1;
  made.islands = island_masks(made.topology);
  made.switches = masks_by(made.topology, &base::device::pcie_switch);
  made.domains = masks_by(made.topology, &base::device::numa);
  made.near = nearness(made.topology, made.islands);
  made.alike = true;
  for (std::size_t a = 0; a < made.model.size(); ++a)
    for (std::size_t b = 0; b < made.model.size(); ++b)
      if (a != b && made.near[a * made.model.size() + b] != made.near[1]) made.alike = false;
  in.kinds.push_back(std::move(made));
  return static_cast<std::uint16_t>(in.kinds.size() - 1);
}

std::optional<node_id> inventory::find(std::string_view name) const {
  const auto at = directory_->by_name.find(std::string(name));
  if (at == directory_->by_name.end()) return std::nullopt;
  return at->second;
}

void inventory::set_condition(node_id node, node_condition condition) {
  constexpr auto left = static_cast<std::uint8_t>(node_condition::gone);
  base::ensure(rows_[node].flags != left || condition == node_condition::gone,
               "a node that is gone stays gone");
  if (rows_[node].flags != left && condition == node_condition::gone) --of_kind_[rows_[node].kind];
  rows_[node].flags = static_cast<std::uint8_t>(condition);
  touch(node);
}

void inventory::set_healthy(node_id node, std::uint32_t device, bool healthy) {
  base::ensure(device < rows_[node].devices, "set_healthy names a device the node has");
  const auto at = rows_[node].first + device;
  const auto known = sick_.find(at);
  if (healthy == (known == sick_.end())) return;
  if (healthy) {
    milli_[at] = known->second;
    sick_.erase(known);
  } else {
    sick_.emplace(at, milli_[at]);
    milli_[at] = 0;
  }
  touch(node);
}

bool inventory::healthy(node_id node, std::uint32_t device) const {
  return !sick_.contains(rows_[node].first + device);
}

capacity inventory::total() const {
  capacity sum;
  for (const auto& row : rows_) {
    if (row.flags != 0) continue;
    sum.cpu_milli += directory_->kinds[row.kind].cpu_milli;
    sum.memory_mib += directory_->kinds[row.kind].memory_mib;
    sum.gpu_milli += 1000 * row.devices;
  }
  for (const auto& [at, milli] : sick_) {
    const auto after = std::upper_bound(
        rows_.begin(), rows_.end(), at,
        [](std::uint32_t index, const node_row& row) { return index < row.first; });
    if (std::prev(after)->flags == 0) sum.gpu_milli -= 1000;
  }
  return sum;
}

capacity inventory::left() const {
  capacity sum;
  for (const auto& row : rows_) {
    if (row.flags != 0) continue;
    sum.cpu_milli += row.cpu_milli;
    sum.memory_mib += row.memory_mib;
    for (std::uint32_t i = 0; i < row.devices; ++i)
      sum.gpu_milli += milli_[row.first + i];
  }
  return sum;
}

// --- names interned ----------------------------------------------------------------------------------------------

std::uint64_t inventory::model_mask(std::span<const std::string> names) const {
  if (names.empty()) return ~std::uint64_t{0};
  std::uint64_t mask = 0;
  const auto& known = directory_->models;
  for (const auto& name : names)
    if (const auto at = std::find(known.begin(), known.end(), name); at != known.end())
      mask |= std::uint64_t{1} << (at - known.begin());
  return mask;
}

std::uint32_t inventory::domain(node_id node, std::string_view key) const {
  if (key == "node") return node;
  if (key == "rack") return rack(node);
  if (key == "zone") return zone(node);
  const auto& own = labels(node);
  const auto label = own.find(std::string(key));
  if (label == own.end()) return alone | node;
  return directory_->domains.find(key)->second.at(label->second);
}

std::uint32_t inventory::domains(std::string_view key) const {
  if (key == "node") return static_cast<std::uint32_t>(rows_.size());
  const auto values = directory_->domains.find(key);
  return values == directory_->domains.end() ? 0
                                             : static_cast<std::uint32_t>(values->second.size());
}

void inventory::set_holds(node_id node, std::string digest, bool holds) {
  auto& nodes = own_directory().holders[digest];
  const auto at = std::lower_bound(nodes.begin(), nodes.end(), node);
  const bool there = at != nodes.end() && *at == node;
  if (holds && !there) nodes.insert(at, node);
  if (!holds && there) nodes.erase(at);
  if (nodes.empty()) directory_->holders.erase(digest);
}

bool inventory::holds(node_id node, std::string_view digest) const {
  const auto nodes = directory_->holders.find(digest);
  return nodes != directory_->holders.end()
         && std::binary_search(nodes->second.begin(), nodes->second.end(), node);
}

// --- claims ------------------------------------------------------------------------------------------------------

bool inventory::fits(const slot& wanted, const need& each) const {
  const auto& row = rows_[wanted.node];
  if (row.flags != 0 || row.cpu_milli < each.cpu_milli || row.memory_mib < each.memory_mib)
    return false;
  bool enough = true;
  for_each_bit(wanted.devices, [&](std::uint32_t device) {
    enough = enough && milli_[row.first + device] >= each.gpu_milli
             && memory_[row.first + device] >= each.device_memory_mib;
  });
  return enough;
}

void inventory::take(const slot& wanted, const need& each) {
  auto& row = rows_[wanted.node];
  row.cpu_milli -= each.cpu_milli;
  row.memory_mib -= each.memory_mib;
  for_each_bit(wanted.devices, [&](std::uint32_t device) {
    milli_[row.first + device] =
        static_cast<std::uint16_t>(milli_[row.first + device] - each.gpu_milli);
    memory_[row.first + device] -= each.device_memory_mib;
  });
  touch(wanted.node);
}

void inventory::give(const slot& held, const need& each) {
  auto& row = rows_[held.node];
  row.cpu_milli += each.cpu_milli;
  row.memory_mib += each.memory_mib;
  for_each_bit(held.devices, [&](std::uint32_t device) {
    const auto at = row.first + device;
    const auto ill = sick_.empty() ? sick_.end() : sick_.find(at);
    auto& milli = ill == sick_.end() ? milli_[at] : ill->second;
    milli = static_cast<std::uint16_t>(milli + each.gpu_milli);
    memory_[at] += each.device_memory_mib;
  });
  touch(held.node);
}

void inventory::touch(node_id node) {
  const auto& row = rows_[node];
  std::uint8_t idle = 0;
  for (std::uint32_t i = 0; i < row.devices; ++i)
    idle = static_cast<std::uint8_t>(idle + (milli_[row.first + i] == 1000 ? 1 : 0));
  idle_[node] = idle;
  ++revision_;
  changed_at_[node] = revision_;
  journal_[revision_ & (journal_.size() - 1)] = node;
}

result<std::uint32_t> inventory::take_all(const placement& placed) {
  if (placed.ranks.empty())
    return fail(kind::invalid, "empty_placement",
                "a placement without slots cannot be reserved; plan again");
  const auto& each = placed.each;
  for (std::size_t i = 0; i < placed.ranks.size(); ++i) {
    const auto& wanted = placed.ranks[i];
    std::optional<error_info> why;
    if (wanted.node >= rows_.size() || std::bit_width(wanted.devices) > rows_[wanted.node].devices
        || std::popcount(wanted.devices) != each.gpus) {
      why = fail(
          kind::invalid, "bad_slot",
          fmt::format(
              "rank {} names node {} and devices {:#x}, which is not {} devices of a node that "
              "exists",
              i, wanted.node, wanted.devices, each.gpus));
    } else if (!fits(wanted, each)) {
      why = fail(kind::conflict, "taken_meanwhile",
                 fmt::format("what rank {} was to get on {} is no longer free; plan again", i,
                             name(wanted.node)));
    }
    if (why) {
      while (i-- > 0)
        give(placed.ranks[i], each);
      return *std::move(why);
    }
    take(wanted, each);
  }
  return chain(placed);
}

std::uint32_t inventory::chain(const placement& placed) {
  const auto number = intern_need(placed.each, static_cast<std::uint32_t>(placed.ranks.size()));
  std::uint32_t next = none;
  for (auto rank = placed.ranks.rbegin(); rank != placed.ranks.rend(); ++rank) {
    const auto at = new_slot();
    auto& made = slots_[at];
    made.devices = rank->devices;
    made.node = rank->node;
    made.need_number = number;
    made.next = next;
    made.node_back = none;
    made.node_next = std::exchange(first_on_[rank->node], at);
    if (made.node_next != none) slots_[made.node_next].node_back = at;
    next = at;
  }
  return next;
}

void inventory::own(std::uint32_t from, std::uint32_t head) {
  for (auto at = from; at != none; at = slots_[at].next)
    slots_[at].head = head;
}

void inventory::free_slot(std::uint32_t at) {
  auto& gone = slots_[at];
  if (gone.node_back == none) {
    first_on_[gone.node] = gone.node_next;
  } else {
    slots_[gone.node_back].node_next = gone.node_next;
  }
  if (gone.node_next != none) slots_[gone.node_next].node_back = gone.node_back;
  gone.next = std::exchange(free_slot_, at);
}

std::uint32_t inventory::intern_need(const need& each, std::uint32_t slots) {
  auto known = need_numbers_.find(each);
  if (known == need_numbers_.end()) {
    std::uint32_t number = 0;
    if (free_needs_.empty()) {
      number = static_cast<std::uint32_t>(needs_.size());
      needs_.push_back({each, 0});
    } else {
      number = free_needs_.back();
      free_needs_.pop_back();
      needs_[number] = {each, 0};
    }
    known = need_numbers_.emplace(each, number).first;
  }
  needs_[known->second].slots += slots;
  return known->second;
}

void inventory::forget_need(std::uint32_t number) {
  if (--needs_[number].slots > 0) return;
  need_numbers_.erase(needs_[number].each);
  free_needs_.push_back(number);
}

std::uint32_t inventory::new_slot() {
  if (free_slot_ == none) {
    slots_.emplace_back();
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  const auto at = free_slot_;
  free_slot_ = slots_[at].next;
  return at;
}

bool inventory::current(claim of) const {
  return of.index < slots_.size() && slots_[of.index].epoch == of.epoch && of.epoch % 2 == 1;
}

error_info inventory::old_claim(claim held) {
  return fail(kind::conflict, "old_claim",
              fmt::format("claim {} of epoch {} is not held; it was released or has changed",
                          held.index, held.epoch));
}

result<claim> inventory::reserve(const placement& placed) {
  auto head = take_all(placed);
  if (!head) return std::move(head).error();
  own(*head, *head);
  ++live_claims_;
  return claim{*head, ++slots_[*head].epoch};
}

result<void> inventory::release(claim held) {
  if (!current(held)) return old_claim(held);
  ++slots_[held.index].epoch;
  for (std::uint32_t at = held.index; at != none;) {
    const auto next = slots_[at].next;
    let_go(at);
    at = next;
  }
  --live_claims_;
  return {};
}

void inventory::let_go(std::uint32_t at) {
  const auto gone = slots_[at];
  give({gone.node, gone.devices}, needs_[gone.need_number].each);
  forget_need(gone.need_number);
  free_slot(at);
}

result<claim> inventory::drop(claim held, node_id node) {
  if (!current(held)) return old_claim(held);
  std::vector<std::uint32_t> there;
  std::vector<std::uint32_t> elsewhere;
  for (auto at = held.index; at != none; at = slots_[at].next)
    (slots_[at].node == node ? there : elsewhere).push_back(at);
  if (there.empty() || elsewhere.empty())
    return fail(kind::invalid, "not_part",
                fmt::format("claim {} has {} slots on the node and {} elsewhere; both are needed",
                            held.index, there.size(), elsewhere.size()));
  const auto head = elsewhere.front();
  ++slots_[held.index].epoch;
  for (const auto at : there)
    let_go(at);
  for (std::size_t i = 0; i < elsewhere.size(); ++i)
    slots_[elsewhere[i]].next = i + 1 < elsewhere.size() ? elsewhere[i + 1] : none;
  own(head, head);
  ++slots_[head].epoch;
  return claim{head, slots_[head].epoch};
}

result<claim> inventory::grow(claim held, const placement& more) {
  if (!current(held)) return old_claim(held);
  if (needs_[slots_[held.index].need_number].each != more.each)
    return fail(kind::invalid, "other_need", "a gang grows by ranks of its own size only");
  auto tail = take_all(more);
  if (!tail) return std::move(tail).error();
  auto last = held.index;
  while (slots_[last].next != none)
    last = slots_[last].next;
  slots_[last].next = *tail;
  own(*tail, held.index);
  slots_[held.index].epoch += 2;
  return claim{held.index, slots_[held.index].epoch};
}

std::optional<placement> inventory::held(claim of) const {
  if (!current(of)) return std::nullopt;
  placement found;
  found.each = needs_[slots_[of.index].need_number].each;
  for (auto at = of.index; at != none; at = slots_[at].next)
    found.ranks.push_back({slots_[at].node, slots_[at].devices});
  measure(*this, found);
  return found;
}

}  // namespace berth::sched
