#include "runtime/client/callee.hpp"

#include "runtime/base/bucket.hpp"
#include "runtime/client/callbacks.hpp"

#include <algorithm>
#include <utility>

namespace berth::client {

result<void> line::open_for(session& of, const net::bind_request& what) {
  if (open()) return {};
  const std::lock_guard lock(mutex_);
  if (open()) return {};
  auto to = of.peer_for(target);
  if (!to) {
    give_up();
    return std::move(to).error();
  }
  auto agreed = (*to)->bind(what);
  if (!agreed) {
    if ((*to)->closed()) give_up();
    return std::move(agreed).error();
  }
  peer_ = *std::move(to);
  agreed_ = *std::move(agreed);
  open_.store(true, std::memory_order_release);
  return {};
}

}  // namespace berth::client

namespace berth::detail {

using client::line;
using client::way;

namespace {

// How long a pick waits for the head to bring a version back when the call has no deadline of its own.
constexpr auto activation_max = std::chrono::seconds(10);
// Between two questions to the head about a route that has not changed yet; a push ends it earlier.
constexpr auto ask_again_after = std::chrono::milliseconds(5);
// Between two looks at the calls of a callee without handles: grows up to this.
constexpr auto look_again_max = std::chrono::milliseconds(64);

error_info after_fork() {
  return fail(kind::invalid, "forked",
              "this handle was made before fork(); connect again in the child process");
}

std::uint32_t milliseconds_until(base::time_point end) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - base::steady::now());
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left.count(), 1, 600000));
}

}  // namespace

callee::callee(std::shared_ptr<client::session> of,
               std::string ref,
               std::string method,
               std::string signature)
    : session_(std::move(of)),
      ref_(std::move(ref)),
      method_(std::move(method)),
      signature_(std::move(signature)) {}

result<std::shared_ptr<callee>> callee::bind(std::shared_ptr<client::session> of,
                                             std::string ref,
                                             std::string method,
                                             std::string signature) {
  if (of->generation() != base::fork_generation()) return after_fork();
  std::shared_ptr<callee> made(
      new callee(std::move(of), std::move(ref), std::move(method), std::move(signature)), &retire);
  client::verbs::resolve what;
  what.ref = made->ref_;
  what.follow = true;
  what.method = made->method_;
  what.signature = made->signature_;
  auto route = made->session_->knows().resolve(what, made);
  if (!route) return std::move(route).error().at("while binding " + made->ref_);
  made->name_ = route->name;
  made->tag_ = route->tag;
  made->own_bucket_ = made->bucket_for(made->session_->identity());
  if (auto applied = made->apply(*route); !applied) return std::move(applied).error();
  auto first = made->pick(std::nullopt, base::after(activation_max));
  if (!first) return std::move(first).error();
  return made;
}

callee::~callee() {
  if (session_->generation() == base::fork_generation()) session_->knows().forget_gone();
}

std::uint32_t callee::bucket_for(std::string_view routing_key) const {
  return base::bucket_of(name_, tag_, routing_key);
}

net::bind_request callee::request_for(const table& from) const {
  return {ref_, from.tag_slot, method_, signature_};
}

// ---- the calls under way

way callee::only_way(std::uint64_t& stamp) {
  way only;
  const std::lock_guard lock(table_lock_);
  stamp = stamp_.load(std::memory_order_relaxed);
  if (table_.versions.size() != 1 || table_.versions[0].lines.size() != 1) return only;
  only.revision = table_.revision;
  only.flags = table_.pinned ? net::flag_pinned : 0;
  const auto& one = table_.versions[0].lines[0];
  if (one->open())
    only.to = one;
  else
    stamp = 0;
  return only;
}

client::thread_calls& callee::calls_of(std::uint32_t thread) {
  std::uint64_t stamp = 0;
  way only = only_way(stamp);
  const std::lock_guard lock(calls_mutex_);
  std::erase_if(former_calls_, [](const auto& one) { return !one->any(); });
  if (calls_.size() <= thread) calls_.resize(thread + 1);
  auto& mine = calls_[thread];
  if (mine && mine->stamp_ != stamp && mine->any()) former_calls_.push_back(std::move(mine));
  if (!mine) mine = std::make_unique<client::thread_calls>(*this, thread);
  if (mine->stamp_ == stamp && mine->over_.to != nullptr) return *mine;  // calls may be on it
  mine->stamp_ = stamp;
  mine->over_ = std::move(only);
  return *mine;
}

bool callee::calls_under_way() {
  const std::lock_guard lock(calls_mutex_);
  const auto any = [](const auto& one) { return one && one->any(); };
  return std::any_of(calls_.begin(), calls_.end(), any)
         || std::any_of(former_calls_.begin(), former_calls_.end(), any);
}

void callee::retire(callee* whose) noexcept {
  if (!whose->calls_under_way()) {
    delete whose;
    return;
  }
  // In a child of fork() nobody is there to end them.
  if (whose->session_->generation() == base::fork_generation())
    client::timers::of_process().add(base::after(whose->look_again_), *whose);
}

base::time_point callee::expire() noexcept {
  if (calls_under_way()) {
    look_again_ = std::min(look_again_ * 2, look_again_max);
    return base::after(look_again_);
  }
  client::callbacks::of_process().post([](void* self) { delete static_cast<callee*>(self); }, this);
  return base::never;
}

// ---- the table

result<void> callee::apply(const client::verbs::route& route) {
  auto map = client::bucket_map::of(route);
  if (!map) return std::move(map).error();
  if (route.versions.empty())
    return fail(kind::missing, "no_version", ref_ + " points to no version");
  const std::lock_guard lock(mutex_);
  if (generation_ > 0 && route.revision < table_.revision) return {};
  table next;
  next.revision = route.revision;
  next.tag_slot = route.tag_slot;
  next.pinned = route.tag.empty();
  next.map = *std::move(map);
  for (const auto& version : route.versions) {
    auto& lines = next.versions.emplace_back(version_lines{version.version, {}}).lines;
    for (const auto& replica : version.replicas) {
      std::shared_ptr<line> known;
      for (const auto& before : table_.versions)
        for (const auto& one : before.lines)
          if (one->target == replica.target && !one->dead() && table_.tag_slot == next.tag_slot)
            known = one;
      lines.push_back(known ? known : std::make_shared<line>(replica, version));
    }
  }
  static std::atomic<std::uint64_t> stamps{0};
  {
    const std::lock_guard reads(table_lock_);
    std::swap(table_, next);
    stamp_.store(stamps.fetch_add(1, std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  ++generation_;
  changed_.notify_all();
  return {};
}

void callee::on_route(const client::verbs::route& route) {
  // A route that cannot be read changes nothing: the next call that is told `moved` asks again and hears the error.
  (void)apply(route);
}

const std::shared_ptr<line>* callee::choose(const version_lines& among) {
  const auto& lines = among.lines;
  const auto n = lines.size();
  if (n == 1) return lines[0]->given_up() ? nullptr : &lines[0];
  if (n == 0) return nullptr;
  const auto first = turn_++ % n;
  const auto second = (first + 1 + turn_ / n % (n - 1)) % n;
  const auto busy = [](const line& one) { return one.open() ? one.link().in_flight() : 0; };
  const auto& a = lines[first];
  const auto& b = lines[second];
  if (!a->dead() && !b->dead()) return busy(*b) < busy(*a) ? &b : &a;
  for (std::size_t i = 0; i < n; ++i)
    if (const auto& one = lines[(first + i) % n]; !one->dead()) return &one;
  return nullptr;
}

// ---- picking

bool callee::way_now(const std::optional<std::uint32_t>& bucket, way& to) {
  const std::lock_guard lock(table_lock_);
  const auto* chosen =
      choose(table_.versions[table_.map.version_at(bucket ? *bucket : own_bucket_)]);
  to.revision = table_.revision;
  to.flags = table_.pinned ? net::flag_pinned : 0;
  if (chosen == nullptr) return false;
  to.to = *chosen;
  return to.to->open();
}

bool callee::pick_open(const std::optional<std::uint32_t>& bucket, way& to) {
  return session_->generation() == base::fork_generation() && way_now(bucket, to);
}

result<way> callee::pick(const std::optional<std::uint32_t>& bucket, base::time_point end) {
  if (session_->generation() != base::fork_generation()) return after_fork();
  for (;;) {
    way made;
    net::bind_request what;
    {
      const std::lock_guard lock(mutex_);
      if (way_now(bucket, made)) return made;
      if (made.to) what = request_for(table_);
    }
    if (made.to) {
      auto opened = made.to->open_for(*session_, what);
      if (opened) return made;
      if (!made.to->dead()) return std::move(opened).error();
      if (end == base::never) end = base::after(activation_max);
      if (base::steady::now() >= end) return std::move(opened).error();
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, ask_again_after);
      continue;
    }
    if (end == base::never) end = base::after(activation_max);
    if (auto known = resolve_again(end); !known) return std::move(known).error();
  }
}

result<void> callee::resolve_again(base::time_point end) {
  std::uint64_t before = 0;
  {
    const std::lock_guard lock(mutex_);
    before = generation_;
  }
  const std::lock_guard one_at_a_time(resolving_);
  {
    std::unique_lock lock(mutex_);
    if (generation_ != before) return {};
  }
  client::verbs::resolve what;
  what.ref = ref_;
  what.method = method_;
  what.wait_ms = milliseconds_until(end);
  auto route = session_->knows().resolve(what, {});
  if (!route) return std::move(route).error().at("while looking for a replica of " + ref_);
  if (auto applied = apply(*route); !applied) return applied;
  std::unique_lock lock(mutex_);
  const bool useful =
      std::any_of(table_.versions.begin(), table_.versions.end(), [](const auto& one) {
        return std::any_of(one.lines.begin(), one.lines.end(),
                           [](const auto& it) { return !it->dead(); });
      });
  if (useful) return {};
  if (base::steady::now() >= end)
    return fail(kind::disconnected, "no_replica",
                "no replica of " + ref_ + " could be reached in time");
  changed_.wait_for(lock, ask_again_after);
  return {};
}

result<void> callee::refresh(const way& sent, base::time_point end) {
  if (end == base::never) end = base::after(activation_max);
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (table_.revision != sent.revision || (sent.to->dead() && !table_.pinned)) return {};
    }
    client::verbs::resolve what;
    what.ref = ref_;
    what.method = method_;
    what.wait_ms = milliseconds_until(end);
    auto route = session_->knows().resolve(what, {});
    if (!route) return std::move(route).error().at("while following " + ref_);
    const bool elsewhere =
        route->revision != sent.revision
        || std::none_of(route->versions.begin(), route->versions.end(), [&](const auto& version) {
             return std::any_of(version.replicas.begin(), version.replicas.end(),
                                [&](const auto& one) { return one.target == sent.to->target; });
           });
    if (elsewhere) return apply(*route);
    if (base::steady::now() >= end)
      return fail(
          kind::conflict, "moved",
          ref_
              + " was moved away from the version that was called, but the head still points "
                "there");
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, ask_again_after);
  }
}

}  // namespace berth::detail
