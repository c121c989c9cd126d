#include "runtime/worker/worker_process.hpp"

#include "runtime/base/clock.hpp"
#include "runtime/base/unique_fd.hpp"
#include "runtime/module/hosted.hpp"
#include "runtime/module/image.hpp"
#include "runtime/module/manifest.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/net/server.hpp"
#include "runtime/process/crash_handler.hpp"
#include "runtime/process/lifeline.hpp"
#include "runtime/process/log_capture.hpp"
#include "runtime/process/packet_socket.hpp"
#include "runtime/process/worker_control.hpp"
#include "runtime/process/worker_page.hpp"
#include "runtime/worker/service.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unistd.h>
#include <utility>

namespace berth::worker {
namespace {

// A worker whose supervisor or node has gone lets running calls finish this long.
constexpr auto orphan_drain = std::chrono::milliseconds(1000);

// Read by this process's own connections (runtime/client/connection.cpp).
constexpr const char* version_variable = "BERTH_VERSION_NAME";

/// What the node handed over when it started this process.
struct inheritance {
  base::unique_fd control;
  std::unique_ptr<process::page_writer> page;
  std::unique_ptr<process::log_writer> log;

  static result<inheritance> take();
};

result<inheritance> inheritance::take() {
  inheritance mine;
  auto control = process::inherited_descriptor(process::worker_descriptors::control);
  if (!control) return std::move(control).error();
  auto page = process::inherited_descriptor(process::worker_descriptors::page);
  if (!page) return std::move(page).error();
  auto log = process::inherited_descriptor(process::worker_descriptors::log);
  if (!log) return std::move(log).error();
  auto writer = process::page_writer::open(*std::move(page));
  if (!writer) return std::move(writer).error();
  auto lines = process::log_writer::open(*std::move(log));
  if (!lines) return std::move(lines).error();
  mine.control = *std::move(control);
  mine.page = *std::move(writer);
  mine.log = *std::move(lines);
  return mine;
}

/// The control socket to the node.
class node_line {
 public:
  explicit node_line(base::unique_fd socket) : socket_(std::move(socket)) {}

  result<void> say(const process::from_worker& what,
                   std::chrono::milliseconds patience = std::chrono::seconds(5)) const {
    return process::send_packet(socket_.get(), process::encode(what), {}, patience);
  }

  struct heard {
    process::to_worker what;
    std::vector<base::unique_fd> descriptors;
  };

  /// Waits for the next message. Errors: `disconnected` when the node has gone.
  [[nodiscard]] result<heard> hear() const {
    auto packet = process::receive_packet(socket_.get(), std::chrono::milliseconds(-1));
    if (!packet) return std::move(packet).error();
    if (!*packet) return fail(kind::disconnected, "node_gone", "the node sent nothing");
    auto what = process::decode_to_worker((*packet)->bytes);
    if (!what) return std::move(what).error();
    return heard{*std::move(what), std::move((*packet)->descriptors)};
  }

 private:
  base::unique_fd socket_;
};

/// The version's content, by digest.
class passed_blobs {
 public:
  result<void> take(const std::vector<process::passed_blob>& blobs,
                    std::vector<base::unique_fd>& descriptors) {
    for (const auto& one : blobs) {
      if (one.descriptor >= descriptors.size())
        return fail(kind::invalid, "bad_message",
                    "the node named a descriptor that it did not send");
      held_[one.digest] = std::move(descriptors[one.descriptor]);
    }
    return {};
  }

  [[nodiscard]] module::blob_lookup lookup() const {
    return [this](const store::digest& digest) {
      const auto at = held_.find(digest.hex());
      return at == held_.end() ? -1 : at->second.get();
    };
  }

 private:
  std::map<std::string, base::unique_fd> held_;
};

/// A version that is being served.
struct serving {
  std::unique_ptr<module::hosted_version> version;
  replica serves;
  std::unique_ptr<process::log_capture> capture;
  process::log_hook tell_callers;
  std::atomic<bool> has_callers{false};  ///< `tell_callers` is set
  std::unique_ptr<service> calls;
  std::unique_ptr<net::server> server;

  /// Lets running calls finish, then ends the links. False when some still ran.
  bool stop(base::time_point end) {
    const bool idle = calls->wait_idle(end);
    server->stop();
    calls->stop();
    if (capture) capture->stop();
    return idle;
  }
};

result<void> start_serving(serving& made,
                           process::page_writer& page,
                           const node_line& node,
                           std::uint32_t credits) {
  made.serves.methods = made.version->functions();
  made.serves.concurrency = made.version->concurrency();
  made.calls = std::make_unique<service>(made.serves, page);
  made.calls->capture_with(made.capture.get());
  made.tell_callers = made.calls->log_hook();
  made.has_callers.store(true, std::memory_order_release);
  // A node that does not listen hears the next change.
  made.calls->tell_links([&node](std::uint32_t open) {
    (void)node.say(process::worker_links{open}, std::chrono::milliseconds(0));
  });
  net::server::options how;
  how.program = made.serves.label();
  how.credits = credits;
  auto server = net::server::start(*made.calls, how);
  if (!server) return std::move(server).error();
  made.server = *std::move(server);
  return {};
}

// From before the first line of the user's code: what it prints while it is loaded explains why it does not.
result<void> capture_output(serving& made, process::log_writer& log) {
  auto capture = process::log_capture::start(
      log,
      [&made](process::log_stream stream, process::call_tag tag, std::string_view text, bool open) {
        if (made.has_callers.load(std::memory_order_acquire))
          made.tell_callers(stream, tag, text, open);
      });
  if (!capture) return std::move(capture).error();
  made.capture = *std::move(capture);
  return {};
}

/// Ends this process as unfit when it is not dropped within `patience`: a hook that hangs cannot be made to return.
class health_deadline {
 public:
  health_deadline(const node_line& node, std::string version, std::chrono::milliseconds patience)
      : guard_([this, &node, version = std::move(version), patience] {
          std::unique_lock hold(mutex_);
          if (over_.wait_for(hold, patience, [this] { return done_; })) return;
          (void)node.say(
              process::worker_unfit{fail(kind::timed_out, "health_hangs",
                                         "the health call of " + version + " did not end within "
                                             + std::to_string(patience.count()) + " ms")});
          ::_exit(1);
        }) {}

  ~health_deadline() {
    {
      const std::lock_guard hold(mutex_);
      done_ = true;
    }
    over_.notify_all();
    guard_.join();
  }

  health_deadline(const health_deadline&) = delete;
  health_deadline& operator=(const health_deadline&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  std::thread guard_;
};

double milliseconds_since(base::time_point begun) {
  return std::chrono::duration<double, std::milli>(base::steady::now() - begun).count();
}

/// Hears what to be, and becomes it. The answer to the node is the caller's.
class becoming {
 public:
  becoming(const node_line& node, const inheritance& mine) : node_(node), mine_(mine) {}

  result<void> become(serving& made, process::worker_ready& ready) {
    passed_blobs blobs;
    auto order = hear_order(blobs);
    if (!order) return std::move(order).error();
    const auto begun = base::steady::now();
    const auto what = module::parse(order->manifest);
    if (!what) return what.error();
    auto placed = module::place_files(*what, blobs.lookup(), std::filesystem::current_path());
    if (!placed) return placed;
    made.serves.name = order->name;
    made.serves.version = order->version;
    ::setenv(version_variable, made.serves.label().c_str(), 1);  // so that callees know who calls
    auto version = module::host(*what, blobs.lookup());
    if (!version) return std::move(version).error().at("while loading " + made.serves.label());
    made.version = *std::move(version);
    for (const auto& one : module::changed_libraries(what->system))
      std::fprintf(stderr, "berth: %s\n", one.c_str());
    ready.load_ms = milliseconds_since(begun);
    if (auto well = ask_health(made, order->health_max, ready); !well)
      return std::move(well).error().at("while loading " + made.serves.label());
    ready.signatures = made.version->signatures();
    return start_serving(made, *mine_.page, node_, order->credits);
  }

 private:
  result<void> ask_health(const serving& made,
                          std::chrono::milliseconds patience,
                          process::worker_ready& ready) const {
    const auto begun = base::steady::now();
    const health_deadline deadline(node_, made.serves.label(), patience);
    auto well = made.version->health();
    ready.health_ms = milliseconds_since(begun);
    return well;
  }

  result<process::load> hear_order(passed_blobs& blobs) {
    for (;;) {
      auto heard = node_.hear();
      if (!heard) return std::move(heard).error();
      if (auto* more = std::get_if<process::more_blobs>(&heard->what)) {
        if (auto took = blobs.take(more->blobs, heard->descriptors); !took)
          return std::move(took).error();
      } else if (auto* order = std::get_if<process::load>(&heard->what)) {
        if (auto took = blobs.take(order->blobs, heard->descriptors); !took)
          return std::move(took).error();
        return std::move(*order);
      } else {
        return fail(kind::invalid, "bad_message",
                    "the node said something before it said what to load");
      }
    }
  }

  const node_line& node_;
  const inheritance& mine_;
};

void take_client(serving& made,
                 const process::hand_over& who,
                 std::vector<base::unique_fd> descriptors) {
  if (descriptors.empty()) return;
  net::accepted client;
  client.socket = std::move(descriptors.front());
  client.over_tcp = who.pid == 0;
  client.pid = who.pid;
  client.uid = who.pid == 0 ? -1 : static_cast<std::int64_t>(who.user);
  made.server->adopt(std::move(client));
}

/// Serves until the node says drain or goes.
int serve_until_drained(const node_line& node, serving& made) {
  for (;;) {
    auto heard = node.hear();
    if (!heard) {
      made.stop(base::after(orphan_drain));
      return 0;
    }
    if (auto* who = std::get_if<process::hand_over>(&heard->what)) {
      take_client(made, *who, std::move(heard->descriptors));
    } else if (auto* drain = std::get_if<process::drain>(&heard->what)) {
      made.stop(base::after(drain->patience));
      (void)node.say(process::worker_drained{});
      return 0;
    }
  }
}

/// Ends the process without running the user's static destructors: they may use what other threads still hold.
[[noreturn]] void end_process(int code) {
  std::fflush(nullptr);
  ::_exit(code);
}

}  // namespace

int serve_node() {
  auto line = process::inherited_descriptor(process::lifeline_variable);
  if (line) (void)process::watch_lifeline(*std::move(line), [] {});
  auto mine = inheritance::take();
  if (!mine) {
    std::fprintf(stderr, "berth-worker: %s\n", mine.error().to_string().c_str());
    return 2;
  }
  (void)process::install_crash_handler(*mine->page);
  const node_line node(std::move(mine->control));
  auto* made = new serving;  // never destroyed: calls that outlive their patience may still use it
  process::worker_ready ready;
  becoming order(node, *mine);
  auto fit = capture_output(*made, *mine->log);
  if (fit) fit = order.become(*made, ready);
  if (!fit) {
    if (made->capture) made->capture->stop();
    (void)node.say(process::worker_unfit{fit.error()});
    end_process(1);
  }
  if (!node.say(ready)) end_process(0);
  end_process(serve_until_drained(node, *made));
}

}  // namespace berth::worker
