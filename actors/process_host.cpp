#include "actors/process_host.hpp"

#include "actors/worker_process.hpp"
#include "runtime/process/packet_socket.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <tuple>
#include <unistd.h>

namespace berth::actors {
namespace {

using worker_pointer = std::shared_ptr<worker_process>;
using counter_key = std::tuple<std::string,
                               std::uint32_t,
                               std::string,
                               std::string,
                               std::uint8_t>;  // name, version, caller, ref, outcome

std::string outcome_name(process::outcome how) {
  return how == process::outcome_ok ? "ok" : std::string(berth::to_string(static_cast<kind>(how)));
}

std::string sentence(const error_info& why) {
  std::string text = why.message;
  for (const auto& line : why.trail)
    text += "\n  " + line;
  return text;
}

/// Peers as people read them.
std::string peer_text(const net::accepted& socket) {
  return socket.over_tcp ? std::string("loopback TCP")
                         : fmt::format("unix uid {} pid {}", socket.uid, socket.pid);
}

/// Readers of logs and the thread that serves them; it sleeps while nobody reads.
class log_followers {
 public:
  using sink = std::function<void(std::vector<verbs::log_row>)>;
  using lister = std::function<std::vector<worker_pointer>()>;

  explicit log_followers(lister all) : all_(std::move(all)) {}

  ~log_followers() { stop(); }

  void add(std::uint64_t id, std::string prefix, sink to) {
    auto now = all_();
    std::lock_guard hold(mutex_);
    auto& one = readers_[id];
    one.prefix = std::move(prefix);
    one.to = std::move(to);
    for (const auto& worker : now)
      one.at.emplace(worker->order.replica,
                     process::log_reader(worker->log, process::log_reader::start::newest));
    if (!thread_.joinable()) thread_ = std::thread([this] { serve(); });
    wake_.notify_all();
  }

  void remove(std::uint64_t id) {
    std::lock_guard hold(mutex_);
    readers_.erase(id);
  }

  void stop() {
    {
      std::lock_guard hold(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct reader {
    std::string prefix;
    sink to;
    std::map<std::uint64_t, process::log_reader> at;
  };

  void serve() {
    // Short enough that a person sees lines as they come; costs nothing while nobody follows.
    constexpr auto pause = std::chrono::milliseconds(30);
    std::unique_lock hold(mutex_);
    while (!stop_) {
      if (readers_.empty()) {
        wake_.wait(hold, [this] { return stop_ || !readers_.empty(); });
        continue;
      }
      hold.unlock();
      auto now = all_();
      hold.lock();
      for (auto& [id, one] : readers_)
        deliver(one, now);
      wake_.wait_for(hold, pause, [this] { return stop_; });
    }
  }

  static void deliver(reader& one, const std::vector<worker_pointer>& workers) {
    std::vector<verbs::log_row> rows;
    for (const auto& worker : workers) {
      if (!worker->order.name.starts_with(one.prefix)) continue;
      auto at =
          one.at.try_emplace(worker->order.replica, worker->log, process::log_reader::start::oldest)
              .first;
      while (auto line = at->second.next())
        rows.push_back(worker->row_of(*line));
    }
    if (!rows.empty()) one.to(std::move(rows));
  }

  const lister all_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::uint64_t, reader> readers_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace

struct process_host::state {
  explicit state(process_host_options given)
      : options(std::move(given)),
        wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        followers([this] { return all(); }) {}

  std::vector<worker_pointer> all() {
    std::lock_guard hold(mutex);
    std::vector<worker_pointer> out;
    for (const auto& [replica, worker] : living)
      out.push_back(worker);
    out.insert(out.end(), dead.begin(), dead.end());
    return out;
  }

  std::vector<worker_pointer> of_name(const std::string& name) {
    std::lock_guard hold(mutex);
    std::vector<worker_pointer> out;
    for (const auto& [replica, worker] : living)
      if (worker->order.name == name) out.push_back(worker);
    return out;
  }

  worker_pointer find(std::uint64_t replica) {
    std::lock_guard hold(mutex);
    if (auto found = living.find(replica); found != living.end()) return found->second;
    for (const auto& worker : dead)
      if (worker->order.replica == replica) return worker;
    return nullptr;
  }

  worker_pointer find_living(std::uint64_t replica) {
    std::lock_guard hold(mutex);
    auto found = living.find(replica);
    return found == living.end() ? nullptr : found->second;
  }

  void poke() const {
    std::uint64_t one = 1;
    static_cast<void>(::write(wake.get(), &one, sizeof one));
  }

  void tell(replica_event event) {
    std::function<void(replica_event)> to;
    {
      std::lock_guard hold(mutex);
      to = sink;
    }
    if (to) to(std::move(event));
  }

  void post(const worker_pointer& to, outgoing what) {
    {
      std::lock_guard hold(mutex);
      to->outbox.push_back(std::move(what));
    }
    poke();
  }

  // The thread that speaks with the workers.
  void serve();
  void send_waiting(const worker_pointer& to);
  void receive(const worker_pointer& from);
  void heard(const worker_pointer& from, const process::from_worker& what);

  void died(const worker_pointer& who, const process::death& how);
  void never_ready(const worker_pointer& who, const error_info& why);
  void ended(const worker_pointer& who, const error_info& why);

  process_host_options options;
  base::unique_fd wake;
  process::supervisor_client* supervisor = nullptr;
  std::mutex talking;  ///< while a control socket is read, written or closed; before `mutex`
  std::mutex mutex;
  std::function<void(replica_event)> sink;
  std::map<std::uint64_t, worker_pointer> living;  ///< by replica
  std::deque<worker_pointer> dead;                 ///< oldest first
  std::map<counter_key, std::uint64_t> folded;     ///< counters of workers that ended
  std::condition_variable emptied;
  bool stopping = false;
  log_followers followers;
  std::thread thread;
};

// --- the control sockets -----------------------------------------------------------------------------------------------

void process_host::state::serve() {
  for (;;) {
    std::vector<worker_pointer> open;
    std::vector<pollfd> watched{{wake.get(), POLLIN, 0}};
    {
      std::lock_guard hold(mutex);
      if (stopping) return;
      for (const auto& [replica, worker] : living) {
        if (!worker->control) continue;
        short events = worker->outbox.empty() ? POLLIN : POLLIN | POLLOUT;
        watched.push_back({worker->control.get(), events, 0});
        open.push_back(worker);
      }
    }
    if (::poll(watched.data(), watched.size(), -1) < 0) continue;
    if (watched[0].revents != 0) {
      std::uint64_t count = 0;
      static_cast<void>(::read(wake.get(), &count, sizeof count));
    }
    std::lock_guard talk(talking);
    for (std::size_t i = 0; i < open.size(); ++i) {
      if ((watched[i + 1].revents & POLLOUT) != 0) send_waiting(open[i]);
      if ((watched[i + 1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) receive(open[i]);
    }
  }
}

void process_host::state::send_waiting(const worker_pointer& to) {
  for (;;) {
    outgoing* next = nullptr;
    {
      std::lock_guard hold(mutex);
      if (to->outbox.empty()) return;
      next = &to->outbox.front();  // others only append
    }
    std::vector<int> descriptors;
    for (const auto& one : next->descriptors)
      descriptors.push_back(one.get());
    auto sent = process::send_packet(to->control.get(), next->bytes, descriptors,
                                     std::chrono::milliseconds(0));
    if (!sent && sent.error().kind == kind::timed_out) return;
    std::lock_guard hold(mutex);
    to->outbox.pop_front();  // what cannot be sent to a worker that is gone is gone with it
  }
}

void process_host::state::receive(const worker_pointer& from) {
  for (;;) {
    auto got = process::receive_packet(from->control.get(), std::chrono::milliseconds(0));
    if (!got) {
      std::lock_guard hold(mutex);
      from->control.reset();  // its death is told by the supervisor
      return;
    }
    if (!*got) return;
    auto what = process::decode_from_worker((*got)->bytes);
    if (what) {
      heard(from, *what);
    } else if (supervisor
               != nullptr) {  // user code wrote into our socket: such a worker cannot be believed
      static_cast<void>(supervisor->kill(from->order.replica));
      return;
    }
  }
}

void process_host::state::heard(const worker_pointer& from, const process::from_worker& what) {
  replica_event event;
  event.replica = from->order.replica;
  {
    std::lock_guard hold(mutex);
    event.pid = from->pid;
  }
  if (const auto* ready = std::get_if<process::worker_ready>(&what)) {
    {
      std::lock_guard hold(mutex);
      if (from->state == "starting") from->state = "ready";
    }
    event.happened = replica_event::what::ready;
    event.load_us = static_cast<std::uint64_t>(std::max(0.0, ready->load_ms) * 1000);
    event.health_us = static_cast<std::uint64_t>(std::max(0.0, ready->health_ms) * 1000);
    tell(std::move(event));
  } else if (const auto* unfit = std::get_if<process::worker_unfit>(&what)) {
    {
      std::lock_guard hold(mutex);
      from->unfit = unfit->why;
    }
    event.happened = replica_event::what::unfit;
    event.why = unfit->why;
    tell(std::move(event));
  } else if (const auto* links = std::get_if<process::worker_links>(&what)) {
    std::lock_guard hold(mutex);
    from->links = links->open;
  }
}

// --- starts and deaths -------------------------------------------------------------------------------------------------

void process_host::state::ended(const worker_pointer& who, const error_info& why) {
  {
    std::scoped_lock hold(talking, mutex);
    if (who->ended) return;
    who->ended = true;
    who->death = sentence(why);
    who->control.reset();
    who->outbox.clear();
    for (const auto& one : who->page->counts(process::page_reader::life::ended))
      folded[{who->order.name, who->order.version, one.caller, one.ref, one.how}] += one.calls;
    living.erase(who->order.replica);
    dead.push_back(who);
    if (dead.size() > options.dead_max) dead.pop_front();
  }
  emptied.notify_all();
  poke();
  std::error_code ignored;
  std::filesystem::remove_all(who->folder, ignored);
  replica_event event;
  event.replica = who->order.replica;
  event.happened = replica_event::what::ended;
  event.pid = who->pid;
  event.why = why;
  tell(std::move(event));
}

void process_host::state::died(const worker_pointer& who, const process::death& how) {
  const process::death_scene scene{who->title, who->page.get(), who->log.get()};
  // What it wrote before it died may still lie in its socket: its own reason is worth more than an exit code.
  {
    std::lock_guard talk(talking);
    if (who->control) receive(who);
  }
  bool loading = false;
  std::optional<error_info> unfit;
  {
    std::lock_guard hold(mutex);
    loading = who->state == "starting";
    unfit = who->unfit;
  }
  if (unfit) return ended(who, *unfit);
  if (loading && process::own_fault(how))
    return never_ready(who, process::explain_failed_start(how, scene));
  ended(who, process::explain(how, scene));
}

// The next worker of this version would end the same way: whoever waits hears it now.
void process_host::state::never_ready(const worker_pointer& who, const error_info& why) {
  replica_event event;
  event.replica = who->order.replica;
  event.happened = replica_event::what::unfit;
  event.pid = who->pid;
  event.why = why;
  tell(std::move(event));
  ended(who, why);
}

process_host::process_host(process_host_options options)
    : self_(std::make_unique<state>(std::move(options))) {
  self_->thread = std::thread([this] { self_->serve(); });
}

process_host::~process_host() {
  stop();
}

process::supervisor_events process_host::events(
    std::function<void(const process::stop_asked&)> stop,
    std::function<void(const error_info&)> gone) {
  auto* self = self_.get();
  process::supervisor_events out;
  out.started = [self](const process::worker_started& what) {
    auto worker = self->find_living(what.worker);
    if (!worker) return;
    {
      std::lock_guard hold(self->mutex);
      worker->pid = what.pid;
    }
    replica_event event;
    event.replica = worker->order.replica;
    event.pid = what.pid;
    self->tell(std::move(event));
  };
  out.refused = [self](const process::worker_refused& what) {
    if (auto worker = self->find_living(what.worker)) self->never_ready(worker, what.why);
  };
  out.ended = [self](const process::worker_ended& what) {
    auto worker = self->find_living(what.worker);
    if (!worker) return;
    self->died(worker, what.how);
  };
  out.stop = std::move(stop);
  out.gone = std::move(gone);
  return out;
}

void process_host::use(process::supervisor_client& supervisor) {
  self_->supervisor = &supervisor;
}

void process_host::listen(std::function<void(replica_event)> sink) {
  std::lock_guard hold(self_->mutex);
  self_->sink = std::move(sink);
}

result<void> process_host::start(const replica_order& what) {
  worker_setting setting{self_->options.worker_program, self_->options.work_folder,
                         self_->options.environment, self_->options.blobs};
  auto made = prepare_start(what, setting);
  if (!made)
    return std::move(made).error().at(
        fmt::format("while starting a worker of {}@{}", what.name, what.version));
  worker_pointer worker(std::move(made->worker));
  const std::array<int, 3> descriptors{made->far_control.get(), worker->page->fd(),
                                       worker->log->fd()};
  {
    std::lock_guard hold(self_->mutex);
    if (self_->stopping)
      return fail(kind::disconnected, "stopping", "the cluster is being stopped");
    self_->living.emplace(what.replica, worker);
  }
  auto asked = self_->supervisor->start(what.replica, made->command, descriptors);
  if (!asked) {
    std::lock_guard hold(self_->mutex);
    self_->living.erase(what.replica);
    return asked;
  }
  self_->poke();
  return {};
}

result<void> process_host::hand_over(std::uint64_t replica, net::accepted socket) {
  auto worker = self_->find(replica);
  if (!worker || worker->ended)
    return fail(kind::missing, "no_such_worker",
                fmt::format("worker:{} is not there (any more); resolve the name again", replica));
  process::hand_over message;
  message.user = socket.uid < 0 ? 0 : static_cast<std::uint32_t>(socket.uid);
  message.pid = socket.pid;
  message.peer = peer_text(socket);
  outgoing out{process::encode(process::to_worker(std::move(message))), {}};
  out.descriptors.push_back(std::move(socket.socket));
  self_->post(worker, std::move(out));
  return {};
}

void process_host::drain(std::uint64_t replica, std::chrono::milliseconds patience) {
  auto worker = self_->find(replica);
  if (!worker || worker->ended) return;
  {
    std::lock_guard hold(self_->mutex);
    worker->state = "draining";
  }
  // Closed first, so that nothing new starts while the message is on its way. A thread that hangs in the middle of
  // deciding is ended with its worker when the patience is over.
  static_cast<void>(worker->page->close_all());
  self_->post(worker, {process::encode(process::to_worker(process::drain{patience})), {}});
}

void process_host::drain_all(std::chrono::milliseconds patience) {
  std::vector<std::uint64_t> all;
  {
    std::lock_guard hold(self_->mutex);
    for (const auto& [replica, worker] : self_->living)
      all.push_back(replica);
  }
  for (auto replica : all)
    drain(replica, patience);
  std::unique_lock hold(self_->mutex);
  self_->emptied.wait_for(hold, patience, [this] { return self_->living.empty(); });
}

void process_host::kill(std::uint64_t replica) {
  auto worker = self_->find(replica);
  if (worker && !worker->ended && self_->supervisor != nullptr)
    static_cast<void>(self_->supervisor->kill(worker->order.replica));
}

void process_host::close(const std::string& name, const std::vector<gate>& gates) {
  for (const auto& worker : self_->of_name(name))
    for (const auto& gate : gates)
      if (auto ok = worker->page->close_gate(gate.slot, gate.revision); !ok) {
        kill(
            worker->order
                .replica);  // it was stopped in the middle of deciding: only its end makes the flip exact
        break;
      }
}

// --- telling -----------------------------------------------------------------------------------------------------------

std::vector<worker_row> process_host::workers(const std::string& prefix) {
  std::vector<worker_row> rows;
  std::lock_guard hold(self_->mutex);
  for (const auto& [replica, worker] : self_->living)
    if (worker->order.name.starts_with(prefix)) rows.push_back(worker->row());
  // The newest death of a name explains why its replicas are young.
  for (auto& row : rows)
    for (const auto& gone : self_->dead)
      if (gone->order.name == row.name && gone->order.version == row.version
          && gone->state != "draining")
        row.last_death = gone->death;
  return rows;
}

std::vector<verbs::counter_row> process_host::counters(const std::string& prefix) {
  std::lock_guard hold(self_->mutex);
  auto sum = self_->folded;
  for (const auto& [replica, worker] : self_->living)
    for (const auto& one : worker->page->counts(process::page_reader::life::runs))
      sum[{worker->order.name, worker->order.version, one.caller, one.ref, one.how}] += one.calls;
  std::vector<verbs::counter_row> rows;
  for (const auto& [key, calls] : sum) {
    const auto& [name, version, caller, ref, how] = key;
    if (name.starts_with(prefix)) rows.push_back({caller, ref, version, outcome_name(how), calls});
  }
  return rows;
}

call_fate process_host::fate(std::uint64_t replica, std::uint64_t link, std::uint64_t call) {
  static constexpr std::array<const char*, 4> words{"unknown", "not_started", "started",
                                                    "finished"};
  auto worker = self_->find(replica);
  if (!worker) return {};
  call_fate out;
  out.fate = words[static_cast<std::size_t>(worker->page->fate_of(link, call))];
  std::lock_guard hold(self_->mutex);
  out.ended = worker->ended;
  out.death = worker->death;
  return out;
}

std::vector<verbs::log_row> process_host::log_lines(const std::string& prefix,
                                                    std::uint32_t lines) {
  std::vector<verbs::log_row> rows;
  for (const auto& worker : self_->all())
    if (worker->order.name.starts_with(prefix))
      for (auto& row : worker->lines(lines))
        rows.push_back(std::move(row));
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.at < b.at; });
  if (rows.size() > lines)
    rows.erase(rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(lines));
  return rows;
}

void process_host::follow_logs(std::uint64_t id,
                               std::string prefix,
                               std::function<void(std::vector<verbs::log_row>)> sink) {
  self_->followers.add(id, std::move(prefix), std::move(sink));
}

void process_host::unfollow_logs(std::uint64_t id) {
  self_->followers.remove(id);
}

void process_host::stop() {
  {
    std::lock_guard hold(self_->mutex);
    if (self_->stopping) return;
    self_->stopping = true;
    self_->sink = nullptr;
  }
  self_->poke();
  if (self_->thread.joinable()) self_->thread.join();
  self_->followers.stop();
}

}  // namespace berth::actors
