#include "runtime/client/callee.hpp"
#include "runtime/client/connection_core.hpp"
#include "runtime/value/lane_memory.hpp"

#include <berth/client.hpp>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <unistd.h>
#include <utility>

namespace berth {
namespace {

constexpr auto flip_wait = std::chrono::seconds(60);
constexpr const char* supervisor_program = "berth-supervisor";
constexpr const char* head_program = "berthd";

/// "berth" for a plain program; a worker names the version it runs, so that its callees know who calls.
std::string own_name() {
  if (const char* version = std::getenv("BERTH_VERSION_NAME")) return version;
  return program_invocation_short_name;
}

/// A cluster started by this program, and where it answers.
struct embedded_cluster {
  process::running_cluster running;
  client::found_cluster where;
};

result<embedded_cluster> start_embedded(const base::environment& env) {
  const auto programs = base::program_folder(env);
  process::launch_options how;
  how.how = process::launch_options::mode::embedded;
  how.supervisor = programs / supervisor_program;
  how.head = {(programs / head_program).string()};
  auto running = process::launch(how);
  if (!running) return std::move(running).error().at("while starting an embedded cluster");
  embedded_cluster made{*std::move(running), {}};
  made.where = client::found_from(made.running.state());
  std::fprintf(stderr, "berth: no cluster runs here; started one for this program (%s)\n",
               made.running.state().runtime.c_str());
  return made;
}

result<connection> open(client::found_cluster where,
                        const connect_options& how,
                        std::shared_ptr<void> keeps) {
  auto driver = net::driver::start();
  if (!driver) return std::move(driver).error();
  std::shared_ptr<net::driver> drives = *std::move(driver);
  auto head = std::make_shared<client::head_link>(where.head, own_name(), drives);
  auto known = head->ask<client::verbs::cluster_status>(client::verbs::status{});
  if (!known) return std::move(known).error();
  auto identity = how.identity;
  if (identity.empty()) identity = own_name() + "/" + std::to_string(::getpid());
  auto session = std::make_shared<client::session>(
      drives, std::make_shared<client::head_directory>(head), own_name(), std::move(identity));
  session->keep(std::move(keeps));
  return connection(std::make_shared<detail::connection_core>(std::move(session), std::move(head),
                                                              std::move(where)));
}

result<connection> find_and_open(const connect_options& how) {
  const auto env = base::process_environment();
  if (how.embedded != connect_options::embed::always) {
    auto found = client::find_cluster(how.head, env, base::find_folders(env, ::getuid()));
    if (found) return open(*std::move(found), how, nullptr);
    const bool may_embed = found.error().code == "no_cluster"
                           && how.embedded == connect_options::embed::when_none_runs;
    if (!may_embed) return std::move(found).error();
  }
  auto started = start_embedded(env);
  if (!started) return std::move(started).error();
  auto where = started->where;
  return open(std::move(where), how,
              std::make_shared<process::running_cluster>(std::move(started->running)));
}

/// "lm/embed@prod" as name and tag.
std::pair<std::string, std::string> name_and_tag(std::string_view ref) {
  const auto at = ref.find('@');
  if (at == std::string_view::npos) return {std::string(ref), "latest"};
  return {std::string(ref.substr(0, at)), std::string(ref.substr(at + 1))};
}

/// Splits "name.method@tag" into "name@tag" and "method".
std::pair<std::string, std::string> ref_and_method(std::string_view ref, std::string_view method) {
  const auto at = std::min(ref.find('@'), ref.size());
  const auto dot = ref.substr(0, at).rfind('.');
  if (!method.empty() || dot == std::string_view::npos)
    return {std::string(ref), std::string(method)};
  return {std::string(ref.substr(0, dot)) + std::string(ref.substr(at)),
          std::string(ref.substr(dot + 1, at - dot - 1))};
}

}  // namespace

connection connect(const connect_options& how) {
  return find_and_open(how).value();
}

detail::callee_ref connection::bind_callee(std::string_view ref,
                                           std::string_view method,
                                           std::string signature) const {
  auto [name, of] = ref_and_method(ref, method);
  return detail::callee::bind(core_->session, std::move(name), std::move(of), std::move(signature))
      .value();
}

bool connection::is_name(std::string_view ref) const {
  const auto rows =
      core_->head->ask<client::verbs::names>(client::verbs::ls{name_and_tag(ref).first}).value();
  for (const auto& row : rows.rows)
    if (row.name == name_and_tag(ref).first) return true;
  return false;
}

tag_moved connection::tag(std::string_view ref,
                          const std::vector<share>& split,
                          std::string_view why) const {
  client::verbs::flip flip;
  std::tie(flip.name, flip.tag) = name_and_tag(ref);
  for (const auto& one : split)
    flip.split.push_back({one.version, static_cast<std::uint32_t>(std::lround(one.percent * 100))});
  client::verbs::tag what;
  what.flips.push_back(std::move(flip));
  what.why = why;
  const auto done = core_->head->ask<client::verbs::flipped>(what, flip_wait).value();
  return {done.revision, done.ms};
}

tag_moved connection::rollback(std::string_view ref, std::string_view why) const {
  client::verbs::rollback what;
  std::tie(what.name, what.tag) = name_and_tag(ref);
  what.why = why;
  const auto done = core_->head->ask<client::verbs::flipped>(what, flip_wait).value();
  return {done.revision, done.ms};
}

std::shared_ptr<memory> connection::shared_memory(const extents& sizes, std::size_t element) const {
  const auto count = sizes.count();
  if (!count || *count > ~std::uint64_t{0} / element)
    throw error(fail(kind::invalid, "bad_tensor", "the tensor's size does not fit 64 bits"));
  const auto bytes = *count * element;
  auto segment = base::segment::create(bytes == 0 ? 1 : bytes);
  if (!segment) throw error(std::move(segment).error());
  return std::make_shared<detail::lane_memory>(*std::move(segment), bytes);
}

bool connection::embedded() const noexcept {
  return core_->where.embedded;
}

std::string connection::runtime_folder() const {
  return core_->where.runtime.string();
}

}  // namespace berth
