#include "tools/berth/here_call.hpp"

#include "runtime/base/unique_fd.hpp"
#include "runtime/client/directory.hpp"
#include "runtime/client/ship.hpp"
#include "runtime/module/build.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace berth::tools {
namespace {

namespace fs = std::filesystem;
constexpr const char* ref = "by/hand";
constexpr int ready_wait_ms = 10000;

/// Every ref leads to the one worker.
class one_worker final : public client::directory {
 public:
  explicit one_worker(std::string socket) : socket_(std::move(socket)) {}

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
    return client::verbs::fated{"unknown", false, "the worker of this command has ended"};
  }

  [[nodiscard]] net::address address() const override { return net::unix_address{socket_}; }

 private:
  std::string socket_;
};

// Splits "f.cpp::g" into the file and the symbol.
std::pair<std::string, std::string> file_and_symbol(const std::string& what) {
  const auto colons = what.rfind("::");
  if (colons == std::string::npos) return {what, {}};
  return {what.substr(0, colons), what.substr(colons + 2)};
}

result<fs::path> module_at(context& with,
                           const std::string& file,
                           const client::ship_places& places) {
  if (!fs::exists(file))
    return fail(
        kind::invalid, "no_file",
        fmt::format("--here takes a source or .so, as in f.cpp::g; there is no file {}", file));
  if (fs::path(file).extension() == ".so") return fs::absolute(file);
  module::build_request build;
  build.sources = {file};
  build.flags = {"-g", "-O0"};
  build.compiler =
      with.settings.get("build.compiler") == "c++" ? "" : with.settings.get("build.compiler");
  build.includes = places.includes;
  build.library = places.library;
  build.cache = places.cache;
  auto made = module::build(build);
  if (!made) return std::move(made).error();
  return made->file;
}

}  // namespace

struct here_worker::state {
  pid_t child = -1;
  base::unique_fd life;  // the worker serves until its standard input ends
  fs::path folder;
  std::shared_ptr<client::session> session;
};

result<std::unique_ptr<here_worker>> here_worker::start(context& with,
                                                        const std::string& what,
                                                        debugger how) {
  const auto places = client::find_ship_places(with.env, with.where);
  const auto [file, symbol] = file_and_symbol(what);
  auto module = module_at(with, file, places);
  if (!module) return std::move(module).error();
  std::unique_ptr<here_worker> worker(new here_worker);
  worker->self_ = std::make_unique<state>();
  auto& self = *worker->self_;
  std::string pattern = (fs::temp_directory_path() / "berth-here-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    return fail(kind::failed, "no_folder",
                fmt::format("cannot make a folder: {}", std::strerror(errno)));
  self.folder = pattern;
  const auto socket = (self.folder / "s").string();
  std::vector<std::string> words;
  if (how == debugger::gdb) words = {"gdb", "-q", "-ex", "run", "--args"};
  words.insert(words.end(),
               {places.worker_program.string(), "--module", module->string(), "--listen", socket});
  if (!symbol.empty()) words.insert(words.end(), {"--symbol", symbol});

  int life[2];
  int said[2];
  if (::pipe(life) != 0 || ::pipe(said) != 0)
    return fail(kind::failed, "no_pipe", std::strerror(errno));
  self.child = ::fork();
  if (self.child == 0) {
    if (how == debugger::none) ::dup2(life[0], 0);
    if (how == debugger::none) ::dup2(said[1], 1);
    for (const int fd : {life[0], life[1], said[0], said[1]})
      ::close(fd);
    std::vector<char*> argv;
    for (auto& word : words)
      argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(life[0]);
  ::close(said[1]);
  self.life.reset(life[1]);
  const base::unique_fd answer(said[0]);
  if (how == debugger::none) {
    pollfd waits{answer.get(), POLLIN, 0};
    char first = 0;
    if (::poll(&waits, 1, ready_wait_ms) != 1 || ::read(answer.get(), &first, 1) != 1)
      return fail(kind::failed, "worker_ended",
                  fmt::format("the worker of {} did not start", what));
  } else {
    for (int i = 0; i < ready_wait_ms / 50 && !fs::exists(socket); ++i)
      ::usleep(50000);
  }
  auto driver = net::driver::start();
  if (!driver) return std::move(driver).error();
  self.session =
      std::make_shared<client::session>(std::shared_ptr<net::driver>(*std::move(driver)),
                                        std::make_shared<one_worker>(socket), "berth", "berth");
  return worker;
}

here_worker::~here_worker() {
  if (self_ == nullptr) return;
  self_->session.reset();
  self_->life.reset();
  if (self_->child > 0) {
    ::kill(self_->child, SIGTERM);
    ::waitpid(self_->child, nullptr, 0);
  }
  std::error_code ignored;
  if (!self_->folder.empty()) fs::remove_all(self_->folder, ignored);
}

result<client::dynamic_function> here_worker::function() {
  return client::dynamic_function::bind(self_->session, ref);
}

}  // namespace berth::tools
