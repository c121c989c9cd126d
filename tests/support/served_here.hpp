#pragma once
// Functions exported by the test program itself, served in this process and called over a real link.

#include "runtime/client/callee.hpp"
#include "runtime/client/session.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/net/server.hpp"
#include "runtime/process/worker_page.hpp"
#include "runtime/worker/service.hpp"
#include "tests/support/temp_folder.hpp"

#include <berth/function.hpp>
#include <berth/module.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace berth::tests {

/// How a replica is served. A value.
struct serve_options {
  std::uint32_t version = 1;
  std::uint32_t concurrency = 1;
  std::uint32_t credits = 1024;
  bool ring = true;
};

/// One replica in this process: gate and ledger as the node would see them.
class replica_here {
 public:
  explicit replica_here(const std::string& symbol, const serve_options& how = {})
      : methods_(methods_of(symbol)) {
    serves_ = {"here/" + symbol, how.version, methods_, how.concurrency};
    process::page_size size;
    size.threads = how.concurrency;
    page = process::page_reader::make(size).value();
    writer_ = process::page_writer::open(base::unique_fd(::dup(page->fd()))).value();
    calls = std::make_unique<worker::service>(serves_, *writer_);
    net::server::options options;
    options.program = serves_.label();
    options.credits = how.credits;
    options.offers_ring = how.ring;
    server = net::server::start(*calls, options).value();
    net::listener::options where;
    where.on_unix = net::unix_address{socket()};
    listens_ = net::listener::start(where, [this](net::accepted client) {
                 server->adopt(std::move(client));
                 return result<void>();
               }).value();
  }

  ~replica_here() { stop(); }

  /// Ends every link and thread; idempotent.
  void stop() {
    listens_.reset();
    if (server) server->stop();
    if (calls) calls->stop();
  }

  [[nodiscard]] std::string socket() const { return (folder_.path() / "s").string(); }

  std::unique_ptr<process::page_reader> page;
  std::unique_ptr<worker::service> calls;
  std::unique_ptr<net::server> server;

 private:
  static std::vector<worker::method> methods_of(const std::string& symbol) {
    const berth_module* table = berth_module_v0();
    module::error_sink said;
    for (std::uint32_t i = 0; i < table->export_count; ++i) {
      const auto& entry = table->exports[i];
      if (std::string_view(entry.symbol.data, entry.symbol.size) != symbol) continue;
      const bool is_class = (entry.flags & berth_flag_class) != 0;
      void* object = is_class ? entry.construct(nullptr, 0, said.sink()) : nullptr;
      std::vector<worker::method> methods;
      for (std::uint32_t m = 0; m < entry.function_count; ++m) {
        const auto& one = entry.functions[m];
        methods.emplace_back(decode_signature({one.signature.data, one.signature.size}).value(),
                             &one, object, (one.flags & berth_flag_idempotent) != 0);
      }
      return methods;
    }
    throw std::runtime_error("the test program exports no " + symbol);
  }

  temp_folder folder_;
  std::vector<worker::method> methods_;
  worker::replica serves_;
  std::unique_ptr<process::page_writer> writer_;
  std::unique_ptr<net::listener> listens_;
};

/// A directory that the test writes.
class written_directory final : public client::directory {
 public:
  result<client::verbs::route> resolve(
      const client::verbs::resolve& what,
      const std::weak_ptr<client::route_follower>& follower) override {
    const std::lock_guard lock(mutex);
    ++asked;
    if (what.follow) followers.push_back(follower);
    return route;
  }

  result<client::verbs::fated> fate_of(const client::verbs::fate& what) override {
    const std::lock_guard lock(mutex);
    if (fates) return fates(what);
    return client::verbs::fated{"unknown", false, ""};
  }

  [[nodiscard]] net::address address() const override { return where; }

  void push(const client::verbs::route& next) {
    std::vector<std::weak_ptr<client::route_follower>> told;
    {
      const std::lock_guard lock(mutex);
      route = next;
      told = followers;
    }
    for (const auto& one : told)
      if (const auto to = one.lock()) to->on_route(next);
  }

  std::mutex mutex;
  client::verbs::route route;
  net::address where;
  int asked = 0;
  std::function<client::verbs::fated(const client::verbs::fate&)> fates;
  std::vector<std::weak_ptr<client::route_follower>> followers;
};

/// A session whose refs all lead to one replica.
class session_to {
 public:
  explicit session_to(const replica_here& replica, bool idempotent = false)
      : directory(std::make_shared<written_directory>()) {
    directory->where = net::unix_address{replica.socket()};
    directory->route = route_to(1, idempotent);
    driver_ = net::driver::start().value();
    session = std::make_shared<client::session>(driver_, directory, "test", "me");
  }

  static client::verbs::route route_to(std::uint32_t version, bool idempotent) {
    client::verbs::route route;
    route.name = "here/f";
    route.tag = "prod";
    route.revision = 1;
    route.tag_slot = 1;
    client::verbs::served served;
    served.version = version;
    served.weight = 10000;
    served.idempotent = idempotent;
    served.replicas.push_back({"worker:1", 0});
    route.versions.push_back(served);
    route.layout = "0-10000:" + std::to_string(version);
    return route;
  }

  template <class F>
  berth::function<F> function(const std::string& method = {}) const {
    return {detail::callee::bind(session, "here/f@prod", method, encode(signature_of<F>())).value(),
            {}};
  }

  std::shared_ptr<written_directory> directory;
  std::shared_ptr<client::session> session;

 private:
  std::shared_ptr<net::driver> driver_;
};

}  // namespace berth::tests
