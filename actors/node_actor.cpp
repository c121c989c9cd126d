#include "actors/actors.hpp"
#include "actors/asking.hpp"
#include "actors/node_state.hpp"

namespace berth::actors {
namespace {

/// Log rows of one message; the rest goes into the next.
constexpr std::size_t log_rows_max = 128;

/// How long a question about a call waits for the supervisor to say that its worker ended.
constexpr auto fate_patience = std::chrono::milliseconds(1000);

/// Somebody lost a worker and asks what became of a call; the worker's death may not be known yet.
struct fate_question {
  std::uint64_t replica = 0;
  std::uint64_t link = 0;
  std::uint64_t call = 0;
  clock::time_point until;
  caf::typed_response_promise<call_fate> promise;
};

struct node_data {
  node_state state;
  std::vector<fate_question> questions;
  cluster_api cluster;
  worker_host* host = nullptr;
  std::optional<clock::time_point> armed;
};

using self_pointer = node_api::stateful_pointer<node_data>;

/// Executes what the state machine decided.
struct performer {
  self_pointer self;
  /// Where the start's own problem goes.
  std::optional<error_info>* refused = nullptr;

  void all(const node_effects& effects) const {
    for (const auto& one : effects)
      std::visit(*this, one);
  }

  void operator()(const host_start& what) const {
    auto ok = self->state.host->start(what.order);
    if (ok) return;
    if (refused != nullptr) *refused = ok.error();
    for (auto& one : self->state.state.refused(what.order.replica, ok.error(), clock::now()))
      if (!std::holds_alternative<tell_cluster>(one)) std::visit(*this, one);
  }

  void operator()(const host_drain& what) const {
    self->state.host->drain(what.replica, what.patience);
  }

  void operator()(const host_kill& what) const { self->state.host->kill(what.replica); }

  void operator()(const tell_cluster& what) const {
    self->send(self->state.cluster, event_atom_v, what.event);
  }

  void operator()(const wake_at& what) const {
    auto& armed = self->state.armed;
    if (armed && *armed <= what.when) return;
    armed = what.when;
    auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(what.when - clock::now())
                + std::chrono::milliseconds(1);
    self->delayed_send(node_api(self), wait, tick_atom_v);
  }
};

/// Answers what can be answered now: the worker is known to have ended, or the patience is over.
void answer_fates(self_pointer self) {
  auto& waiting = self->state.questions;
  auto now = clock::now();
  std::erase_if(waiting, [&](fate_question& one) {
    auto fate = self->state.host->fate(one.replica, one.link, one.call);
    if (!fate.ended && now < one.until) return false;
    one.promise.deliver(std::move(fate));
    return true;
  });
}

caf::result<call_fate> fate_of(self_pointer self,
                               const performer& perform,
                               std::uint64_t replica,
                               std::uint64_t link,
                               std::uint64_t call) {
  auto fate = self->state.host->fate(replica, link, call);
  if (fate.ended || fate.fate == "unknown") return fate;
  auto promise = self->make_response_promise<call_fate>();
  self->state.questions.push_back({replica, link, call, clock::now() + fate_patience, promise});
  perform(wake_at{clock::now() + fate_patience});
  return promise;
}

/// The last rows of a list that fit into one message.
template <class Row>
std::vector<Row> bounded(std::vector<Row> rows) {
  constexpr std::size_t rows_max = 4096;
  if (rows.size() > rows_max) rows.erase(rows.begin(), rows.end() - rows_max);
  return rows;
}

node_api::behavior_type node(self_pointer self, cluster_api cluster, worker_host* host) {
  self->state.cluster = std::move(cluster);
  self->state.host = host;
  self->monitor(self->state.cluster);
  // Without its head a node has nothing to do; its workers go on until the supervisor ends them.
  self->set_down_handler([self](caf::down_msg&) { self->quit(); });
  auto weak = caf::actor_cast<caf::weak_actor_ptr>(self);
  host->listen([weak](replica_event event) {
    if (auto strong = weak.lock())
      caf::anon_send(caf::actor_cast<node_api>(strong), event_atom_v, std::move(event));
  });
  performer perform{self};
  return {
      [self](start_atom, const replica_order& order) -> done {
        std::optional<error_info> refused;
        performer starting{self, &refused};
        starting.all(self->state.state.order(order, clock::now()));
        return done{refused};
      },
      [self, perform](drain_atom, std::uint64_t replica, std::uint32_t patience_ms) {
        perform.all(
            self->state.state.drain(replica, std::chrono::milliseconds(patience_ms), clock::now()));
      },
      [self](gates_atom, const std::string& name, const std::vector<gate>& gates) {
        self->state.host->close(name, gates);
        return done{};
      },
      [self](ps_atom, const std::string& prefix) {
        return bounded(self->state.host->workers(prefix));
      },
      [self](stats_atom, const std::string& prefix) {
        return bounded(self->state.host->counters(prefix));
      },
      [self, perform](fate_atom, std::uint64_t replica, std::uint64_t link, std::uint64_t call) {
        return fate_of(self, perform, replica, link, call);
      },
      [self](logs_atom, const std::string& prefix, std::uint32_t lines) {
        return self->state.host->log_lines(prefix, std::min<std::uint32_t>(lines, log_rows_max));
      },
      [self, weak](follow_atom, std::uint64_t key, const std::string& prefix) {
        self->state.host->follow_logs(key, prefix, [weak, key](std::vector<verbs::log_row> rows) {
          auto strong = weak.lock();
          if (!strong) return;
          for (std::size_t at = 0; at < rows.size(); at += log_rows_max) {
            auto end = std::min(rows.size(), at + log_rows_max);
            caf::anon_send(
                caf::actor_cast<node_api>(strong), logs_atom_v, key,
                std::vector<verbs::log_row>(rows.begin() + static_cast<std::ptrdiff_t>(at),
                                            rows.begin() + static_cast<std::ptrdiff_t>(end)));
          }
        });
      },
      [self](forget_atom, std::uint64_t key) { self->state.host->unfollow_logs(key); },
      [self, perform](event_atom, const replica_event& event) {
        perform.all(self->state.state.happened(event, clock::now()));
        if (event.happened == replica_event::what::ended) answer_fates(self);
      },
      [self](logs_atom, std::uint64_t key, const std::vector<verbs::log_row>& rows) {
        self->send(self->state.cluster, logs_atom_v, key, rows);
      },
      [self, perform](tick_atom) {
        self->state.armed.reset();
        perform.all(self->state.state.tick(clock::now()));
        answer_fates(self);
        if (!self->state.questions.empty()) perform(wake_at{self->state.questions.front().until});
      },
      [self](stop_atom) { self->quit(); },
  };
}

}  // namespace

node_api spawn_node(caf::actor_system& system, cluster_api cluster, worker_host& host) {
  return system.spawn(node, std::move(cluster), &host);
}

}  // namespace berth::actors
