#include "tools/berth/here_call.hpp"

#include "runtime/base/unique_fd.hpp"
#include "runtime/client/directory.hpp"
#include "runtime/client/ship.hpp"
#include "runtime/process/child.hpp"
#include "runtime/process/lifeline.hpp"
#include "tools/berth/here_version.hpp"
#include "tools/berth/interrupt.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <optional>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace berth::tools {
namespace {

namespace fs = std::filesystem;
constexpr const char* ref = "by/hand";
constexpr int first_descriptor = 3;  // of a child: where `process::start` puts them
constexpr auto end_patience = std::chrono::seconds(3);

/// Every ref leads to the one worker.
class one_worker final : public client::directory {
 public:
  /// `end` says how the worker ended; nothing while it runs or when nobody knows.
  one_worker(std::string socket, std::function<std::optional<process::death>()> end)
      : socket_(std::move(socket)), end_(std::move(end)) {}

  result<client::verbs::route> resolve(
      const client::verbs::resolve& /*what*/,
      const std::weak_ptr<client::route_follower>& /*follower*/) override {
    client::verbs::route route;
    route.name = ref;
    route.revision = 1;
    client::verbs::served served;
    served.version = 1;
    served.weight = 10000;
    served.replicas.push_back({"worker:1", 0});
    route.versions.push_back(served);
    route.layout = "0-10000:1";
    return route;
  }

  result<client::verbs::fated> fate_of(const client::verbs::fate& /*what*/) override {
    const auto how = end_();
    return client::verbs::fated{
        "unknown", how.has_value(),
        "the worker of this command " + (how ? process::to_string(*how) : "has ended")};
  }

  [[nodiscard]] net::address address() const override { return net::unix_address{socket_}; }

 private:
  std::string socket_;
  std::function<std::optional<process::death>()> end_;
};

// Children of a debugger keep the terminal: they stay in this process's group.
result<pid_t> start_under_gdb(std::vector<std::string> words,
                              const std::vector<std::string>& environment,
                              const fs::path& folder,
                              const std::vector<int>& descriptors) {
  words.insert(words.begin(), {"gdb", "-q", "-ex", "run", "--args"});
  const pid_t child = ::fork();
  if (child < 0) return fail(kind::overloaded, "no_process", std::strerror(errno));
  if (child > 0) return child;
  constexpr int out_of_the_way = 64;
  std::vector<int> copies;
  for (const int one : descriptors)
    copies.push_back(::fcntl(one, F_DUPFD, out_of_the_way));
  for (std::size_t i = 0; i < copies.size(); ++i)
    if (::dup2(copies[i], static_cast<int>(first_descriptor + i)) < 0) ::_exit(127);
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> env;
  for (const auto& one : environment)
    env.push_back(const_cast<char*>(one.c_str()));
  env.push_back(nullptr);
  if (::chdir(folder.c_str()) == 0) ::execvpe(argv[0], argv.data(), env.data());
  ::_exit(127);
}

}  // namespace

struct here_worker::state {
  process::child child;
  pid_t debugger = -1;
  base::unique_fd life;  // the worker serves until this closes
  fs::path folder;
  std::string method;
  std::shared_ptr<client::session> session;
  std::optional<interrupt_cleanup> cleanup;

  result<void> make_folder();
  result<void> start(const std::vector<std::string>& words,
                     const std::vector<std::string>& environment,
                     here_request::debugger under);
  [[nodiscard]] result<void> await(int ready, const std::string& what);
  void remove() const noexcept;
};

result<void> here_worker::state::make_folder() {
  auto pattern = (fs::temp_directory_path() / "berth-here-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    return fail(kind::failed, "no_folder",
                fmt::format("cannot make a folder: {}", std::strerror(errno)));
  folder = pattern;
  cleanup.emplace([this] {
    if (child.pid() > 0) child.kill_group();
    remove();
  });
  std::error_code why;
  for (const char* leaf : {"blobs", "work"})
    fs::create_directory(folder / leaf, why);
  if (why) return fail(kind::failed, "no_folder", folder.string() + ": " + why.message());
  return {};
}

// Files of a version are read-only, their folders are not.
void here_worker::state::remove() const noexcept {
  std::error_code ignored;
  if (!folder.empty()) fs::remove_all(folder, ignored);
}

result<void> here_worker::state::start(const std::vector<std::string>& words,
                                       const std::vector<std::string>& environment,
                                       here_request::debugger under) {
  auto lifeline = process::make_pipe();
  auto said = process::make_pipe();
  if (!lifeline || !said) return std::move(lifeline ? said : lifeline).error();
  const std::vector<int> descriptors{lifeline->read.get(), said->write.get()};
  if (under == here_request::debugger::gdb) {
    std::signal(SIGINT, SIG_IGN);  // Ctrl-C is the debugger's
    auto began = start_under_gdb(words, environment, folder / "work", descriptors);
    if (!began) return std::move(began).error();
    debugger = *began;
  } else {
    process::command how;
    how.argv = words;
    how.env = environment;
    how.cwd = (folder / "work").string();
    how.descriptors = descriptors;
    how.out = STDOUT_FILENO;
    how.err = STDERR_FILENO;
    auto began = process::start(how);
    if (!began) return std::move(began).error().at("while starting a worker");
    child = *std::move(began);
  }
  life = std::move(lifeline->write);
  said->write.reset();
  return await(said->read.get(), words.front());
}

// Constructors may load large models, and a person steps through them under a debugger: no deadline but the worker's end.
result<void> here_worker::state::await(int ready, const std::string& what) {
  char first = 0;
  ssize_t got = 0;
  do {
    got = ::read(ready, &first, 1);
  } while (got < 0 && errno == EINTR && !interrupted());
  if (got == 1) return {};
  if (debugger > 0)
    return fail(kind::failed, "debugger_ended",
                "the debugger ended before the function was called");
  const auto end = child.wait(std::chrono::seconds(2));
  return fail(kind::failed, "worker_ended",
              fmt::format("{} {} before the function could be called", what,
                          end ? process::to_string(*end) : "closed its line"));
}

result<std::unique_ptr<here_worker>> here_worker::start(context& with, const here_request& what) {
  std::unique_ptr<here_worker> worker(new here_worker);
  worker->self_ = std::make_unique<state>();
  auto& self = *worker->self_;
  if (auto made = self.make_folder(); !made) return std::move(made).error();
  auto version = make_here_version(with, what, self.folder / "blobs");
  if (!version) return std::move(version).error();
  self.method = version->method;
  const auto manifest = self.folder / "manifest";
  std::ofstream(manifest, std::ios::binary) << version->manifest;
  const auto socket = (self.folder / "s").string();
  const auto places = client::find_ship_places(with.env, with.where);
  auto environment = process::own_environment();
  for (const auto& one : version->environment)
    process::set_variable(environment, one.name, one.value);
  auto began = self.start(
      {places.worker_program.string(), "--manifest", manifest.string(), "--blobs",
       (self.folder / "blobs").string(), "--listen", socket, "--lifeline-fd",
       std::to_string(first_descriptor), "--ready-fd", std::to_string(first_descriptor + 1)},
      environment, what.under);
  if (!began) return std::move(began).error();
  auto driver = net::driver::start();
  if (!driver) return std::move(driver).error();
  self.session = std::make_shared<client::session>(
      std::shared_ptr<net::driver>(*std::move(driver)),
      std::make_shared<one_worker>(socket, [&self] { return self.child.wait(end_patience); }),
      "berth", "berth");
  return worker;
}

here_worker::~here_worker() {
  if (self_ == nullptr) return;
  self_->session.reset();
  self_->life.reset();  // it ends by itself, and what it printed is not lost
  if (self_->child.pid() > 0 && !self_->child.wait(end_patience)) self_->child.kill_group();
  if (self_->debugger > 0) {
    ::kill(self_->debugger, SIGTERM);
    ::waitpid(self_->debugger, nullptr, 0);
  }
  self_->cleanup.reset();
  self_->remove();
}

result<client::dynamic_function> here_worker::function() {
  return client::dynamic_function::bind(
      self_->session, self_->method.empty() ? ref : std::string(ref) + "." + self_->method);
}

}  // namespace berth::tools
