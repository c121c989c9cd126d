// ls, describe, tag, rollback, yank, history, watch: what stands under a name and how it moves.
#include "tools/berth/command.hpp"
#include "tools/berth/print.hpp"
#include "tools/berth/split_text.hpp"
#include "tools/berth/table.hpp"

#include <fmt/format.h>
#include <iostream>
#include <optional>

namespace berth::tools {
namespace {

namespace verbs = client::verbs;

std::string tags_text(const std::vector<verbs::tag_row>& tags) {
  std::string text;
  for (const auto& one : tags)
    text += fmt::format("{}{} → {}", text.empty() ? "" : "; ", one.tag, split_text(one.split));
  return text;
}

void print_change(const verbs::change& one) {
  std::string what = one.what;
  if (!one.tag.empty()) what += " " + one.tag;
  std::string move;
  if (!one.before.empty() && !one.after.empty())
    move = fmt::format("{} → {}", split_text(one.before), split_text(one.after));
  else if (!one.after.empty())
    move = split_text(one.after);
  std::cout << printable(fmt::format("{}  {}  {}  {}  {}  {}{}{}", one.revision, one.at, one.who,
                                     one.name, what, move, one.why.empty() ? "" : "  # ", one.why))
            << std::endl;
}

void print_flip(const verbs::flipped& done) {
  for (std::size_t i = 0; i < done.after.size(); ++i)
    std::cout << fmt::format("{}@{}: {} → {}\n", done.after[i].name, done.after[i].tag,
                             i < done.before.size() ? split_text(done.before[i].split) : "-",
                             split_text(done.after[i].split));
  std::cout << fmt::format("revision {}, acknowledged after {:.1f} ms\n", done.revision, done.ms);
}

void add_ls(command_list& commands, context& with) {
  auto prefix = std::make_shared<std::string>();
  auto& app = commands.add(
      "ls", "List names, their tags and how many replicas serve them",
      {"berth ls", "berth ls digits/", "berth ls -o json | jq -r .rows[].name"}, [&with, prefix] {
        return show<verbs::names>(with, verbs::ls{*prefix}, [](const verbs::names& found) {
          table rows({"NAME", "SIGNATURE", "VERSIONS", "REPLICAS", "TAGS"});
          for (const auto& one : found.rows)
            rows.add({one.name, one.signature, std::to_string(one.versions),
                      std::to_string(one.replicas), tags_text(one.tags)});
          rows.print(std::cout, "No names yet. Ship a function: berth ship f.cpp --as team/name");
        });
      });
  app.add_option("PREFIX", *prefix, "Only names that start with this");
}

void add_describe(command_list& commands, context& with) {
  auto ref = std::make_shared<std::string>();
  auto& app = commands.add(
      "describe", "Show a name or version: signature, tags, versions, manifest",
      {"berth describe digits/classify", "berth describe digits/classify@7"}, [&with, ref] {
        return show<verbs::described>(
            with, verbs::describe{*ref}, [](const verbs::described& found) {
              std::cout << fmt::format("{}  ({})\n  {}\n", printable(found.name.name),
                                       found.name.kind, printable(found.name.signature));
              for (const auto& one : found.name.tags)
                std::cout << fmt::format("  @{:<10} {}  (revision {})\n", printable(one.tag),
                                         split_text(one.split), one.revision);
              table rows({"VERSION", "DIGEST", "PUBLISHED", "BY", "REPLICAS", "COMMIT", "WHY"});
              for (const auto& one : found.versions)
                rows.add({fmt::format("@{}{}", one.version, one.yanked ? " (yanked)" : ""),
                          one.digest.substr(0, 12), one.published_at, one.published_by,
                          std::to_string(one.replicas), one.commit.substr(0, 12), one.why});
              rows.print(std::cout, "No versions.");
              if (found.versions.size() == 1) std::cout << "\n" << found.versions.front().manifest;
            });
      });
  app.add_option("REF", *ref,
                 "A name or ref: digits/classify, digits/classify@prod, digits/classify@7")
      ->required();
}

struct tag_options {
  std::vector<std::string> words;
  std::string why;
  std::optional<std::uint64_t> expect;
  bool force = false;
};

// "NAME TAG=SPLIT…" once or several times: words with '=' belong to the name before them.
result<std::vector<verbs::flip>> flips_of(const tag_options& given) {
  std::vector<verbs::flip> flips;
  std::string name;
  for (const auto& word : given.words) {
    if (word.find('=') == std::string::npos) {
      name = word;
      continue;
    }
    if (name.empty())
      return fail(kind::invalid, "no_name", "name what to tag first: berth tag NAME TAG=@VERSION");
    auto flip = parse_flip(name, word);
    if (!flip) return std::move(flip).error();
    if (given.expect) flip->expect_revision = given.expect;
    flips.push_back(*std::move(flip));
  }
  if (flips.empty())
    return fail(kind::invalid, "no_flip", "say where the tag goes: berth tag NAME TAG=@VERSION");
  return flips;
}

void add_tag(command_list& commands, context& with) {
  auto given = std::make_shared<tag_options>();
  auto& app =
      commands.add("tag", "Point a tag at a version, or at several by weight",
                   {"berth tag digits/classify prod=@8 --why \"better weights\"",
                    "berth tag digits/classify prod=@7:90,@8:10 --why canary",
                    "berth tag team/model prod=@4 team/tokens prod=@9    # both or neither"},
                   [&with, given]() -> result<int> {
                     auto flips = flips_of(*given);
                     if (!flips) return std::move(flips).error();
                     verbs::tag verb;
                     verb.flips = *std::move(flips);
                     verb.why = given->why;
                     verb.force = given->force;
                     return show<verbs::flipped>(with, verb, print_flip);
                   });
  app.add_option("NAME TAG=SPLIT", given->words, "Names, each followed by its flips")->required();
  app.add_option("--why", given->why, "The reason, kept in the history");
  app.add_option("--expect", given->expect, "Only if the tag is still at this revision");
  app.add_flag("--force", given->force, "Flip although a bound caller would break");
}

void add_rollback(command_list& commands, context& with) {
  auto verb = std::make_shared<verbs::rollback>();
  auto& app = commands.add(
      "rollback", "Point a tag back to where it was before its last move",
      {"berth rollback digits/classify prod", "berth rollback digits/classify prod --to 41"},
      [&with, verb] { return show<verbs::flipped>(with, *verb, print_flip); });
  app.add_option("NAME", verb->name, "The name")->required();
  app.add_option("TAG", verb->tag, "The tag")->required();
  app.add_option("--to", verb->to_revision,
                 "The revision whose split to restore (default: the one before the last move)");
  app.add_option("--why", verb->why, "The reason, kept in the history");
}

void add_yank(command_list& commands, context& with) {
  auto verb = std::make_shared<verbs::yank>();
  auto& app = commands.add("yank", "Withdraw a version: afterwards only a pinned ref reaches it",
                           {"berth yank digits/classify 6 --why \"wrong labels\"",
                            "berth yank digits/classify 6 --undo"},
                           [&with, verb] {
                             return show<verbs::done>(with, *verb, [](const verbs::done& said) {
                               std::cout << said.text << '\n';
                             });
                           });
  app.add_option("NAME", verb->name, "The name")->required();
  app.add_option("VERSION", verb->version, "The version's number")->required();
  app.add_flag("--undo", verb->undo, "Take the withdrawal back");
  app.add_option("--why", verb->why, "The reason, kept in the history");
}

void add_history(command_list& commands, context& with) {
  auto verb = std::make_shared<verbs::history>();
  auto when = std::make_shared<std::string>();
  auto& app = commands.add(
      "history", "Show who moved what, when and why",
      {"berth history digits/classify", "berth history digits/classify prod --limit 5",
       "berth history digits/classify prod --at 2026-05-03T12:00:00Z"},
      [&with, verb, when]() -> result<int> {
        if (!when->empty())
          return show<verbs::pointed>(with, verbs::at{verb->name, verb->tag, *when, std::nullopt},
                                      [](const verbs::pointed& at) {
                                        std::cout << fmt::format("{}  (revision {})\n",
                                                                 split_text(at.split), at.revision);
                                      });
        return show<verbs::changes>(with, *verb, [](const verbs::changes& found) {
          for (const auto& one : found.rows)
            print_change(one);
          if (found.rows.empty()) std::cout << "No changes.\n";
          if (found.cut) std::cerr << "berth: older changes exist; raise --limit to see them\n";
        });
      });
  app.add_option("NAME", verb->name, "The name")->required();
  app.add_option("TAG", verb->tag, "Only this tag");
  app.add_option("--limit", verb->limit, "At most so many rows, the newest")->capture_default_str();
  app.add_option("--at", *when, "Where TAG pointed at this time (RFC 3339)");
}

void add_watch(command_list& commands, context& with) {
  auto verb = std::make_shared<verbs::watch>();
  auto& app =
      commands.add("watch", "Follow changes as they happen, until Ctrl-C",
                   {"berth watch", "berth watch digits/ -o json", "berth watch --from 120"},
                   [&with, verb] { return follow<verbs::change>(with, *verb, print_change); });
  app.add_option("PREFIX", verb->prefix, "Only names that start with this");
  app.add_option("--from", verb->from_revision,
                 "From this revision on; 1: from the beginning (default: from now)");
}

}  // namespace

void add_naming_commands(command_list& commands, context& with) {
  add_ls(commands, with);
  add_describe(commands, with);
  add_tag(commands, with);
  add_rollback(commands, with);
  add_yank(commands, with);
  add_history(commands, with);
  add_watch(commands, with);
}

}  // namespace berth::tools
