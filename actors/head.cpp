#include "actors/head.hpp"

#include "actors/actors.hpp"
#include "actors/mesh.hpp"

#include <fmt/format.h>
#include <sys/random.h>
#include <thread>
#include <unistd.h>

namespace berth::actors {
namespace {

node_facts own_facts() {
  std::uint64_t random[2] = {};
  static_cast<void>(::getrandom(random, sizeof random, 0));
  node_facts out;
  out.uuid = fmt::format("{:016x}{:016x}", random[0], random[1]);
  out.host = "127.0.0.1";
  out.pid = ::getpid();
  out.cpus = std::thread::hardware_concurrency();
  return out;
}

}  // namespace

result<void> still_answers(std::string_view caller_signature,
                           std::string_view method,
                           std::string_view version_signatures) {
  auto caller = decode_signature(caller_signature);
  if (!caller) return std::move(caller).error();
  auto offered = decode_signatures(version_signatures);
  if (!offered) return std::move(offered).error();
  const signature* match = nullptr;
  for (const auto& one : *offered)
    if (one.method == method || (method.empty() && offered->size() == 1)) match = &one;
  if (match == nullptr)
    return fail(kind::invalid, "no_such_method", fmt::format("method '{}' is gone", method));
  caller->method = match->method;
  auto fits = answers(*caller, *match);
  if (!fits) return std::move(fits).error();
  return {};
}

struct head::state {
  state(system_config::network how) : config(how), system(config) {}

  system_config config;
  caf::actor_system system;
  cluster_api cluster;
  registry_api registry;
  control_api control;
  std::unique_ptr<mesh_port> mesh;
  bool stopped = false;
};

head::head(std::unique_ptr<state> self) : self_(std::move(self)) {}

head::~head() {
  stop();
}

result<std::unique_ptr<head>> head::start(options how) {
  auto rows = how.store->load();
  if (!rows) return std::move(rows).error();
  auto names = std::make_unique<registry::names_state>(still_answers);
  for (const auto& row : *rows)
    if (auto ok = names->replay(row); !ok) return std::move(ok).error();
  auto self = std::make_unique<state>(how.mesh ? system_config::network::loopback
                                               : system_config::network::none);
  auto& system = self->system;
  self->cluster = spawn_cluster(system);
  if (how.host != nullptr)
    caf::anon_send(self->cluster, join_atom_v, own_facts(),
                   spawn_node(system, self->cluster, *how.host));
  self->registry = spawn_registry(system, self->cluster, std::move(names), *how.store, how.counts);
  self->control = spawn_control(system, self->registry, self->cluster, *how.port, *how.services);
  return std::unique_ptr<head>(new head(std::move(self)));
}

result<std::uint16_t> head::open_mesh() {
  auto opened =
      mesh_port::open(self_->system, caf::actor_cast<caf::strong_actor_ptr>(self_->cluster),
                      self_->system.message_types<cluster_api>());
  if (!opened) return std::move(opened).error();
  self_->mesh = *std::move(opened);
  return self_->mesh->port();
}

void head::ask(std::uint64_t connection,
               std::uint64_t call,
               const caller_facts& who,
               std::span<const std::byte> request) {
  control_request what{connection, call, who, {}};
  const auto* bytes = reinterpret_cast<const char*>(request.data());
  what.body.data.assign(bytes, bytes + request.size());
  caf::anon_send(self_->control, ask_atom_v, std::move(what));
}

void head::cancel(std::uint64_t connection, std::uint64_t call) {
  caf::anon_send(self_->control, cancel_atom_v, connection, call);
}

void head::welcome(std::uint64_t connection, std::uint64_t call, std::uint32_t items) {
  caf::anon_send(self_->control, taken_atom_v, connection, call, items);
}

void head::gone(std::uint64_t connection) {
  caf::anon_send(self_->control, gone_atom_v, connection);
}

void head::stop() {
  if (!self_ || self_->stopped) return;
  self_->stopped = true;
  self_->mesh.reset();
  caf::anon_send(self_->control, stop_atom_v);
  caf::anon_send(self_->registry, stop_atom_v);
  caf::anon_send(self_->cluster, stop_atom_v);
  caf::scoped_actor waiting(self_->system);
  waiting->wait_for(self_->control, self_->registry, self_->cluster);
  self_->control = control_api{};
  self_->registry = registry_api{};
  self_->cluster = cluster_api{};
}

struct remote_node::state {
  state() : config(system_config::network::loopback), system(config) {}

  system_config config;
  caf::actor_system system;
  node_api node;
};

remote_node::remote_node(std::unique_ptr<state> self) : self_(std::move(self)) {}

remote_node::~remote_node() {
  if (!self_) return;
  caf::anon_send(self_->node, stop_atom_v);
  caf::scoped_actor waiting(self_->system);
  waiting->wait_for(self_->node);
  self_->node = node_api{};
}

result<std::unique_ptr<remote_node>> remote_node::join(std::uint16_t head_port,
                                                       worker_host& host,
                                                       std::chrono::milliseconds patience) {
  auto self = std::make_unique<state>();
  auto found =
      mesh_connect(self->system, head_port, self->system.message_types<cluster_api>(), patience);
  if (!found) return std::move(found).error();
  auto cluster = caf::actor_cast<cluster_api>(*found);
  self->node = spawn_node(self->system, cluster, host);
  result<void> joined = fail(kind::timed_out, "unknown", "the head did not answer in time");
  {
    caf::scoped_actor asking_one(self->system);  // gone before the system it belongs to
    asking_one->request(cluster, patience, join_atom_v, own_facts(), self->node)
        .receive([&](std::uint64_t) { joined = {}; }, [&](const caf::error&) {});
  }
  if (!joined) {
    remote_node ends(std::move(self));  // stops its node
    return std::move(joined).error();
  }
  return std::unique_ptr<remote_node>(new remote_node(std::move(self)));
}

}  // namespace berth::actors
