#include "tools/berthd/serving.hpp"

#include "actors/head.hpp"
#include "actors/link_port.hpp"
#include "actors/process_host.hpp"
#include "registry/sqlite_store.hpp"
#include "runtime/base/folders.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/net/server.hpp"
#include "runtime/process/child.hpp"
#include "runtime/process/lifeline.hpp"
#include "runtime/process/supervisor_client.hpp"
#include "runtime/store/blob_store.hpp"

#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <fmt/format.h>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

namespace berth::berthd {
namespace {

using std::chrono::milliseconds;

/// Set once by whoever ends this head; awaited by its main thread.
class end_signal {
 public:
  void set(milliseconds drain) {
    {
      std::lock_guard hold(mutex_);
      if (!drain_) drain_ = drain;
    }
    set_.notify_all();
  }

  milliseconds wait() {
    std::unique_lock hold(mutex_);
    set_.wait(hold, [this] { return drain_.has_value(); });
    return *drain_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable set_;
  std::optional<milliseconds> drain_;
};

/// Why calls on this host cannot use the ring lane; empty when they can.
std::string ring_problem() {
  base::unique_fd probe(::memfd_create("berth-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  return probe ? "" : std::string("this system gives no memfd: ") + std::strerror(errno);
}

/// What every worker starts with: this process's environment without what is berth's own.
std::vector<std::string> worker_environment() {
  auto all = process::own_environment();
  std::erase_if(all, [](const std::string& one) {
    return one.starts_with("BERTH_") && !one.starts_with("BERTH_BIN=");
  });
  return all;
}

std::optional<std::uint64_t> worker_number(const net::target& to) {
  auto id = to.worker_id();
  std::uint64_t number = 0;
  if (!id) return std::nullopt;
  auto [end, problem] = std::from_chars(id->data(), id->data() + id->size(), number);
  if (problem != std::errc{} || end != id->data() + id->size()) return std::nullopt;
  return number;
}

/// Everything a head owns, in the order it is made; taken apart in reverse.
class serving {
 public:
  explicit serving(const options& how) : how_(how) {}

  result<void> open_storage() {
    for (const auto& folder : {how_.runtime, how_.state})
      if (auto ok = base::make_private(folder); !ok) return ok;
    auto names = registry::open_sqlite_store(
        how_.state, [](std::string_view text) { return store::digest_of(text).bytes; });
    if (!names) return std::move(names).error();
    names_ = *std::move(names);
    if (auto why = names_->read_only())
      std::fprintf(stderr, "berthd: %s\n", why->to_string().c_str());
    auto blobs = store::blob_store::open(how_.state / "blobs");
    if (!blobs) return std::move(blobs).error();
    blobs_ = *std::move(blobs);
    return {};
  }

  result<void> attach_supervisor() {
    actors::process_host_options options;
    options.worker_program = base::program_folder(base::process_environment()) / "berth-worker";
    options.work_folder = how_.runtime / "work";
    options.environment = worker_environment();
    process::set_variable(options.environment, "BERTH_HEAD", how_.runtime.string());
    options.blobs = blobs_.get();
    host_ = std::make_unique<actors::process_host>(std::move(options));
    auto client = process::supervisor_client::attach_inherited(
        host_->events([this](const process::stop_asked& what) { end_.set(what.drain); },
                      [this](const error_info&) { end_.set(milliseconds(0)); }));
    if (!client) return std::move(client).error();
    supervisor_ = *std::move(client);
    host_->use(*supervisor_);
    return {};
  }

  result<void> start_actors() {
    services_.blobs = blobs_.get();
    services_.shut_down = [this](milliseconds drain) {
      static_cast<void>(supervisor_->shut_down(drain));
    };
    auto& facts = services_.facts;
    facts.cluster = "local";
    facts.version = BERTH_VERSION;
    facts.supervisor_pid = supervisor_->greeting().supervisor;
    facts.head_pid = ::getpid();
    facts.runtime_folder = how_.runtime.string();
    facts.state_folder = how_.state.string();
    facts.embedded = how_.embedded;
    auto problem = ring_problem();
    facts.lane = problem.empty() ? "ring" : "unix (" + problem + ")";
    if (auto ok = open_port(); !ok) return ok;
    for (const auto& where : listener_->addresses())
      if (std::holds_alternative<net::tcp_address>(where)) facts.address = net::to_string(where);
    actors::head::options options;
    options.store = names_.get();
    options.host = host_.get();
    options.port = &port_;
    options.services = &services_;
    counts_.emplace(how_.state / "replicas");
    options.counts = &*counts_;
    auto head = actors::head::start(options);
    if (!head) return std::move(head).error();
    head_ = *std::move(head);
    port_.use(head_.get());
    return {};
  }

  result<void> say_ready() {
    std::map<std::string, std::string> facts{{"socket", socket_}, {"version", BERTH_VERSION}};
    if (!services_.facts.address.empty()) {
      facts["address"] = services_.facts.address;
      facts["token"] = token_file();
    }
    return supervisor_->ready(std::move(facts));
  }

  void run_to_the_end() {
    auto drain = end_.wait();
    listener_.reset();
    port_.use(nullptr);
    head_->stop();
    host_->drain_all(drain);
    server_->stop();
    host_->stop();
  }

 private:
  std::string token_file() const { return (how_.runtime / "token").string(); }

  /// The node's socket: requests to this process, everything else handed over to the worker it names.
  result<void> open_port() {
    net::server::options serving_options;
    serving_options.program = "berthd";
    auto server = net::server::start(port_, serving_options);
    if (!server) return std::move(server).error();
    server_ = *std::move(server);
    auto path = base::socket_path(how_.runtime, "control.sock");
    if (!path) return std::move(path).error();
    socket_ = *path;
    net::listener::options where;
    where.on_unix = net::unix_address{socket_};
    if (how_.tcp) {
      std::error_code ignored;
      std::filesystem::remove(token_file(), ignored);
      auto token = net::make_token(token_file());
      if (!token) return std::move(token).error();
      where.on_tcp = net::tcp_address{"127.0.0.1", 0, *token};
    }
    auto listener = net::listener::start(
        where, [this](net::accepted socket) { return take(std::move(socket)); });
    if (!listener) return std::move(listener).error();
    listener_ = *std::move(listener);
    return {};
  }

  result<void> take(net::accepted socket) {
    if (socket.target == net::target::control()) {
      server_->adopt(std::move(socket));
      return {};
    }
    auto number = worker_number(socket.target);
    if (!number)
      return fail(kind::missing, "no_such_target",
                  "'" + socket.target.text + "' is neither control nor a worker");
    return host_->hand_over(*number, std::move(socket));
  }

  const options& how_;
  end_signal end_;
  std::unique_ptr<registry::store> names_;
  std::unique_ptr<store::blob_store> blobs_;
  std::unique_ptr<actors::process_host> host_;
  std::unique_ptr<process::supervisor_client> supervisor_;
  actors::head_services services_;
  std::optional<actors::replica_counts> counts_;
  actors::link_port port_;
  std::unique_ptr<net::server> server_;
  std::string socket_;
  std::unique_ptr<net::listener> listener_;
  std::unique_ptr<actors::head> head_;
};

}  // namespace

result<void> serve(const options& how) {
  // Taken before any thread exists: from here on the end of the supervisor is the end of this process.
  auto line = process::inherited_descriptor(process::lifeline_variable);
  if (line)
    if (auto ok = process::watch_lifeline(
            *std::move(line), [] {}, milliseconds(2000));
        !ok)
      return ok;
  serving all(how);
  if (auto ok = all.open_storage(); !ok) return ok;
  if (auto ok = all.attach_supervisor(); !ok) return ok;
  if (auto ok = all.start_actors(); !ok) return ok;
  if (auto ok = all.say_ready(); !ok) return ok;
  all.run_to_the_end();
  return {};
}

}  // namespace berth::berthd
