#include "runtime/client/ship.hpp"

#include "runtime/base/clock.hpp"
#include "runtime/client/connection_core.hpp"
#include "runtime/client/upload.hpp"
#include "runtime/client/verbs.hpp"
#include "runtime/module/command.hpp"
#include "runtime/module/secrets.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <unistd.h>

namespace berth::client {
namespace {

namespace fs = std::filesystem;
using base::steady;

constexpr auto publish_wait = std::chrono::seconds(120);
constexpr auto git_patience = std::chrono::seconds(2);

void tell(const std::function<void(std::string_view)>& progress, const std::string& step) {
  if (progress) progress(step);
}

// The module's file, built or given.
result<module::built> module_of(const ship_request& what,
                                const ship_places& places,
                                const std::stop_token& stop) {
  if (!what.target.empty()) {
    if (!what.sources.empty())
      return fail(kind::invalid, "too_much", "give either sources or a target to ship, not both");
    return module::build_target({what.target, what.build_folder, what.progress, stop});
  }
  if (what.sources.empty())
    return fail(kind::invalid, "nothing_to_ship", "name the sources, a .so, or a target to ship");
  if (what.sources.size() == 1 && fs::path(what.sources.front()).extension() == ".so") {
    if (!fs::exists(what.sources.front()))
      return fail(kind::missing, "no_file",
                  fmt::format("there is no file {}", what.sources.front()));
    module::built taken;
    taken.file = fs::absolute(what.sources.front());
    return taken;
  }
  module::build_request build;
  build.sources.assign(what.sources.begin(), what.sources.end());
  build.flags = what.flags;
  build.link = what.link;
  build.compiler = what.compiler;
  build.includes = places.includes;
  build.library = places.library;
  build.cache = places.cache;
  build.progress = what.progress;
  build.stop = stop;
  return module::build(build);
}

// The commit of the repository the sources lie in, with "+changes" when they differ from it.
std::string commit_of(const ship_request& what) {
  if (!what.commit.empty() || what.sources.empty()) return what.commit;
  const auto folder = fs::absolute(what.sources.front()).parent_path().string();
  auto git = [&](std::vector<std::string> words) -> std::string {
    words.insert(words.begin(), {"git", "-C", folder});
    auto said = module::run({std::move(words), {}, {}}, {}, git_patience);
    return said && said->exit_code == 0 ? said->output : std::string();
  };
  const auto head = git({"rev-parse", "--verify", "-q", "HEAD"});
  if (head.size() < 40) return {};
  return head.substr(0, 40) + (git({"status", "--porcelain"}).empty() ? "" : "+changes");
}

// The exports wanted: symbol and the name each goes by.
result<std::vector<std::pair<std::string, std::string>>> wanted_of(const ship_request& what,
                                                                   const module::description& all) {
  std::vector<std::pair<std::string, std::string>> wanted;
  if (what.as.empty())
    return fail(kind::invalid, "no_name", "say under which name to ship: team/name");
  if (!what.as.ends_with('/')) {
    auto one = all.find(what.symbol);
    if (!one) return std::move(one).error();
    wanted.emplace_back((*one)->symbol, what.as);
    return wanted;
  }
  for (const auto& one : all.exports)
    if (what.symbol.empty() || one.symbol == what.symbol)
      wanted.emplace_back(one.symbol, what.as + one.symbol);
  if (wanted.empty())
    return fail(kind::missing, "no_such_export", "the module exports nothing of that name");
  return wanted;
}

result<module::assembled> assemble_one(const ship_request& what,
                                       const module::built& made,
                                       const module::description& exports,
                                       const std::string& symbol,
                                       const ship_places& places) {
  module::version_wish wish;
  wish.module = made.file;
  wish.exports = exports;
  wish.symbol = symbol;
  wish.flags = made.flags;
  for (const auto& [name, text] : what.with)
    wish.with.push_back(std::string(name).append("=").append(text));
  wish.files = what.files;
  wish.environment = what.variables;
  wish.secrets = what.secrets;
  if (!what.secrets.empty()) {
    auto salt = module::secret_salt(places.state);
    if (!salt) return std::move(salt).error();
    wish.salt = *std::move(salt);
  }
  return module::assemble(wish);
}

result<shipped> publish(head_link& head,
                        const ship_request& what,
                        const std::string& name,
                        const module::assembled& version,
                        shipped facts) {
  auto start = steady::now();
  tell(what.progress, "uploading what the cluster lacks");
  if (auto sent = upload_missing(head, version.blobs, what.progress); !sent)
    return std::move(sent).error();
  facts.upload_ms = base::ms_since(start);
  start = steady::now();
  tell(what.progress, fmt::format("starting {}", name));
  verbs::publish verb;
  verb.name = name;
  verb.manifest = version.text;
  verb.tag = what.tag;
  verb.why = what.why;
  verb.replicas = what.replicas;
  verb.force = what.force;
  verb.commit = commit_of(what);
  auto said = head.ask<verbs::published>(verb, publish_wait);
  if (!said) return std::move(said).error().at("while publishing " + name);
  facts.publish_ms = base::ms_since(start);
  facts.name = said->name;
  facts.version = said->version;
  facts.digest = said->digest;
  facts.existed = said->existed;
  facts.revision = said->revision;
  return facts;
}

}  // namespace

result<std::vector<shipped>> ship(head_link& head,
                                  const ship_request& what,
                                  const ship_places& places,
                                  const std::stop_token& stop) {
  const auto start = steady::now();
  auto made = module_of(what, places, stop);
  if (!made) return std::move(made).error();
  shipped facts;
  facts.build_ms = base::ms_since(start);
  facts.built_from_cache = made->from_cache;
  facts.warnings = made->warnings;
  tell(what.progress, "reading what the module exports");
  const auto title = what.target.empty() ? what.sources.front() : what.target;
  auto exports =
      module::describe(made->file, places.worker_program, {.title = title, .stop = stop});
  if (!exports)
    return std::move(exports).error().at(fmt::format("while asking {} what it exports", title));
  auto wanted = wanted_of(what, *exports);
  if (!wanted) return std::move(wanted).error();
  std::vector<shipped> all;
  // The head sees the connection end and moves no tag.
  const std::stop_callback hang_up(stop, [&head] { head.close(); });
  for (const auto& [symbol, name] : *wanted) {
    auto version = assemble_one(what, *made, *exports, symbol, places);
    if (!version) return std::move(version).error().at("while preparing " + name);
    auto one = publish(head, what, name, *version, facts);
    if (stop.stop_requested())
      return fail(kind::cancelled, "interrupted",
                  fmt::format("stopped; {} of {} names were published", all.size() + (one ? 1 : 0),
                              wanted->size()));
    if (!one) return std::move(one).error();
    all.push_back(*std::move(one));
  }
  return all;
}

ship_places find_ship_places(const base::environment& env, const base::folders& where) {
  ship_places places;
  places.cache = where.cache;
  places.state = where.state;
  const auto bin = base::program_folder(env);
  const auto root = bin.parent_path();
  places.worker_program = bin / "berth-worker";
  std::error_code why;
  if (auto set = env("BERTH_INCLUDE")) places.includes.emplace_back(*set);
  // A build tree keeps the headers in the source tree, which CMake wrote down beside the programs.
  std::ifstream beside(root / "berth-include-path");
  for (std::string line; places.includes.empty() && std::getline(beside, line);)
    places.includes.emplace_back(line);
  if (places.includes.empty() && fs::exists(root / "include/berth/module.hpp", why))
    places.includes.push_back(root / "include");
  for (const auto& folder : {root / "lib", root / "lib64", root / "lib" / BERTH_MULTIARCH})
    if (places.library.empty() && fs::exists(folder / "libberth.so", why))
      places.library = folder / "libberth.so";
  return places;
}

}  // namespace berth::client

namespace berth {

shipped ship(const connection& to, const ship_request& what) {
  const auto env = base::process_environment();
  const auto places = client::find_ship_places(env, base::find_folders(env, ::geteuid()));
  auto all = client::ship(*to.core()->head, what, places, {});
  if (!all) throw error(std::move(all).error());
  return all->back();
}

}  // namespace berth
