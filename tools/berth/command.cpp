#include "tools/berth/command.hpp"

#include "runtime/client/find_cluster.hpp"
#include "runtime/client/head_directory.hpp"
#include "tools/berth/help.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace berth::tools {

result<void> context::load() {
  std::error_code why;
  auto read = base::config::load(env, where, std::filesystem::current_path(why));
  if (!read) return std::move(read).error();
  settings = *std::move(read);
  if (!head_flag.empty())
    if (auto set = settings.set("head", head_flag); !set) return set;
  if (!output_flag.empty())
    if (auto set = settings.set("output", output_flag); !set) return set;
  const auto& output = settings.get("output");
  if (output != "table" && output != "json")
    return fail(kind::invalid, "bad_output",
                fmt::format("there is no output '{}'; outputs are table and json", output));
  return {};
}

result<void> context::connect() {
  if (session_) return {};
  auto found = client::find_cluster(settings.get("head"), env, where);
  if (!found) return std::move(found).error();
  auto driver = net::driver::start();
  if (!driver) return std::move(driver).error();
  driver_ = *std::move(driver);
  head_ = std::make_shared<client::head_link>(found->head, "berth", driver_);
  session_ =
      std::make_shared<client::session>(driver_, std::make_shared<client::head_directory>(head_),
                                        "berth", "berth/" + std::to_string(::getpid()));
  return {};
}

result<client::head_link*> context::cluster() {
  if (auto open = connect(); !open) return std::move(open).error();
  return head_.get();
}

result<std::shared_ptr<client::session>> context::session() {
  if (auto open = connect(); !open) return std::move(open).error();
  return session_;
}

format context::output() const {
  return settings.get("output") == "json" ? format::json : format::table;
}

CLI::App& command_list::add(const std::string& name,
                            const std::string& description,
                            std::vector<std::string> examples,
                            std::function<result<int>()> run) {
  auto* app = root_.add_subcommand(name, description);
  app->footer(examples_text(examples));
  commands_.push_back({app, std::move(run), std::move(examples)});
  return *app;
}

const command* command_list::parsed() const {
  for (const auto& one : commands_)
    if (one.app->parsed()) return &one;
  return nullptr;
}

}  // namespace berth::tools
