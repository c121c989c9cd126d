#include "scheduler/explain.hpp"

#include "scheduler/feasible.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <iterator>
#include <numeric>

namespace berth::sched {
namespace {

/// Thousandths (of a GPU, of a core) as people count them: "3", "0.50".
std::string wholes(std::int64_t milli) {
  if (milli % 1000 == 0) return fmt::format("{}", milli / 1000);
  return fmt::format("{:.2f}", static_cast<double>(milli) / 1000.0);
}

std::string joined(const std::vector<std::string>& words, std::string_view last) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? fmt::format(" {} ", last) : ", ") + words[i];
  return text;
}

/// "H100 of rack b": the devices a demand admits.
std::string devices_in_words(const demand& wanted) {
  auto text = wanted.models.empty() ? std::string("GPUs") : joined(wanted.models, "or");
  for (const auto& wish : wanted.labels) {
    if (wish.force != strength::required) continue;
    const bool among = wish.how == label_wish::sense::among;
    text += fmt::format(" {} {} {}", among ? "of" : "outside", wish.key, joined(wish.values, "or"));
  }
  return text;
}

std::int64_t wanted_milli(const demand& wanted) {
  return static_cast<std::int64_t>(wanted.each.milli()) * ranks_min(wanted);
}

class examiner {
 public:
  examiner(const work_queue& queue, instant now, const demand& wanted)
      : queue_(queue), now_(now), wanted_(wanted), asked_(compile(queue.nodes(), wanted)) {
    made_.name = wanted.name;
    made_.wanted_milli = wanted_milli(wanted);
    if (wanted.each.gpus > 0) made_.what = devices_in_words(wanted);
  }

  explanation run(std::optional<line_id> line, team_id team, quota_room room) {
    count_devices();
    made_.fit = explain_fit(queue_.nodes(), wanted_, {mask(line), {}});
    if (made_.fit.nearest) made_.nearest = queue_.nodes().name(*made_.fit.nearest);
    look_for_hindrance(line, team, room);
    return std::move(made_);
  }

 private:
  /// Which nodes it may use now; null for all.
  const node_mask* mask(std::optional<line_id> line) {
    bars_ = queue_.bars();
    const auto end = wanted_.limit ? std::optional(now_ + *wanted_.limit) : std::nullopt;
    return bars_.mask(queue_.nodes().size(), now_, end, line);
  }

  [[nodiscard]] bool admits(node_id node) const {
    return queue_.nodes().condition(node) == node_condition::ready
           && std::all_of(asked_.labels.begin(), asked_.labels.end(), [&](const label_wish& wish) {
                return satisfies(queue_.nodes(), node, wish);
              });
  }

  /// What there is of the devices it admits, how much of it is free, and who holds the rest.
  void count_devices() {
    const auto& nodes = queue_.nodes();
    for (node_id node = 0; node < nodes.size(); ++node) {
      if (!admits(node)) continue;
      const auto& kind = nodes.kind(node);
      const auto milli = nodes.milli(node);
      for (std::uint32_t device = 0; device < milli.size(); ++device) {
        if ((asked_.models >> kind.model[device] & 1U) == 0 || !nodes.healthy(node, device))
          continue;
        made_.there_milli += 1000;
        made_.free_milli += milli[device];
      }
    }
    for (const auto& job : queue_.jobs())
      for (const auto& rank : job.where->ranks) {
        if (!admits(rank.node)) continue;
        const auto& kind = nodes.kind(rank.node);
        for (auto left = rank.devices; left != 0; left &= left - 1)
          if ((asked_.models >> kind.model[static_cast<std::size_t>(std::countr_zero(left))] & 1U)
              != 0)
            made_.holders[queue_.teams().spec(job.team).name] += job.where->each.gpu_milli;
      }
  }

  [[nodiscard]] bool fits(const node_mask* allowed) const {
    auto nodes = queue_.nodes();
    auto by = make_policy("bestfit");
    auto least = wanted_;
    least.replicas = 1;
    if (least.gang) least.gang->ranks_max = least.gang->ranks_min;
    return plan(nodes, **by, least, {allowed, {}}).has_value();
  }

  void look_for_hindrance(std::optional<line_id> line, team_id team, quota_room room) {
    if (room == quota_room::full || room == quota_room::never) {
      made_.first = room == quota_room::full ? hindrance::quota : hindrance::impossible;
      const auto load = queue_.load_wanted(wanted_, ranks_min(wanted_));
      auto teams = queue_.teams();
      if (room == quota_room::never) teams.forget_held();
      made_.quota = teams.limit(team, load, wanted_.preemptible, queue_.nodes().models());
      made_.quota_team = queue_.teams().spec(made_.quota ? made_.quota->team : team).name;
      return;
    }
    if (fits(mask(line))) return;
    if (fits(nullptr)) {
      name_the_bar(line);
      return;
    }
    const auto& by = made_.fit.nodes_by;
    const auto count = [&](obstacle one) { return by[static_cast<std::size_t>(one)]; };
    if (wanted_.each.gpus == 0
        || (count(obstacle::gpu) + count(obstacle::device_memory) == 0
            && count(obstacle::cpu) + count(obstacle::memory) > 0))
      made_.first = hindrance::host;
    else if (made_.free_milli >= made_.wanted_milli)
      made_.first = count(obstacle::cpu) + count(obstacle::memory) > count(obstacle::gpu)
                        ? hindrance::host
                        : hindrance::pieces;
    else
      made_.first = hindrance::devices;
  }

  /// It fits but for bars: a promise to somebody else, else a window, else a place that is being handed over.
  void name_the_bar(std::optional<line_id> line) {
    made_.first = hindrance::promised;
    const auto& promised = queue_.promised();
    if (promised && line != promised->job.line && fits(mask(promised->job.line))) {
      made_.kept_for = promised;
      if (const auto holder = queue_.line(promised->job.line)) {
        made_.kept_for_name = holder->wanted->name;
        made_.kept_for_team = queue_.teams().spec(holder->team).name;
      }
      return;
    }
    for (const auto& bar : queue_.bars().bars()) {
      const bool open = !bar.until || *bar.until > now_;
      if (bar.why != bar::reason::window || !open || !admits(bar.node)) continue;
      made_.first = hindrance::maintenance;
      made_.window = queue_.windows().at(bar.owner);
      return;
    }
  }

  const work_queue& queue_;
  instant now_;
  const demand& wanted_;
  asked asked_;
  calendar bars_;
  explanation made_;
};

/// Changes that would let it start now, tried one after the other on copies.
void find_remedies(const work_queue& queue,
                   instant now,
                   std::optional<line_id> line,
                   const submission& work,
                   explanation& made) {
  const auto helps = [&](change changed) {
    if (!line) changed.work.push_back(work);
    const auto told = what_if(queue, now, changed);
    if (!told) return false;
    const auto wanted = line ? *line : told->lines.back();
    return std::any_of(told->effects.begin(), told->effects.end(), [&](const effect& one) {
      return one.what == act::started && one.job.line == wanted;
    });
  };
  if (made.nearest.empty() || made.first == hindrance::quota) return;
  const auto node = *queue.nodes().find(made.nearest);
  const auto& kind = queue.nodes().kind(node);
  change more;
  for (int count = 1; count <= 2; ++count) {
    node_spec spec;
    spec.name = fmt::format("{} again {}", made.nearest, count);
    spec.cpu_milli = kind.cpu_milli;
    spec.memory_mib = kind.memory_mib;
    spec.topology = kind.topology;
    spec.labels = queue.nodes().labels(node);
    more.nodes.push_back(std::move(spec));
    if (!helps(more)) continue;
    made.remedies.push_back(
        fmt::format("{} more node{} like {}", count, count == 1 ? "" : "s", made.nearest));
    break;
  }
  // The smallest single line whose end would help.
  std::vector<line_view> lines = queue.lines();
  std::stable_sort(lines.begin(), lines.end(), [](const line_view& a, const line_view& b) {
    return wanted_milli(*a.wanted) < wanted_milli(*b.wanted);
  });
  constexpr std::size_t lines_tried_max = 16;
  std::size_t tried = 0;
  for (const auto& other : lines) {
    if (other.running == 0 || (line && other.id == *line)) continue;
    if (++tried > lines_tried_max) break;
    change ended;
    ended.cancelled = {other.id};
    if (!helps(ended)) continue;
    made.remedies.push_back(fmt::format("the end of \"{}\" of team {}", other.wanted->name,
                                        queue.teams().spec(other.team).name));
    break;
  }
}

std::string nodes_in_words(const fit_report& fit) {
  static constexpr std::array<std::pair<obstacle, std::string_view>, 11> words{{
      {obstacle::condition, "set aside"},
      {obstacle::barred, "kept for others or for maintenance"},
      {obstacle::labels, "without the label asked for"},
      {obstacle::model, "without such devices"},
      {obstacle::devices, "with too few devices"},
      {obstacle::spread, "in a failure domain that is full"},
      {obstacle::cpu, "short of free processor"},
      {obstacle::memory, "short of free memory"},
      {obstacle::device_memory, "short of free device memory"},
      {obstacle::gpu, "short of free GPUs"},
      {obstacle::capacity, "too small even when empty"},
  }};
  std::vector<std::string> parts;
  for (const auto& [what, text] : words)
    if (const auto count = fit.nodes_by[static_cast<std::size_t>(what)])
      parts.push_back(fmt::format("{} {}", count, text));
  return parts.empty() ? std::string() : fmt::format("Nodes: {}.", joined(parts, "and"));
}

std::string missing_in_words(const need& missing) {
  std::vector<std::string> parts;
  if (missing.cpu_milli > 0)
    parts.push_back(fmt::format("{:.1f} cores", missing.cpu_milli / 1000.0));
  if (missing.memory_mib > 0)
    parts.push_back(fmt::format("{:.1f} GiB of memory", missing.memory_mib / 1024.0));
  if (missing.gpus > 0)
    parts.push_back(missing.gpu_milli == 1000
                        ? fmt::format("{} GPU{}", missing.gpus, missing.gpus == 1 ? "" : "s")
                        : fmt::format("{} of a GPU", wholes(missing.gpu_milli)));
  return joined(parts, "and");
}

/// An amount of what a quota is about, as people count it: "8 GPUs", "4 H100", "64 cores", "512 GiB of memory".
std::string quota_words(const quota_limit& of, std::int64_t amount) {
  switch (of.of) {
    case quota_sort::gpus:
      return wholes(amount) + " GPUs";
    case quota_sort::model:
      return fmt::format("{} {}", wholes(amount), of.model);
    case quota_sort::cpu:
      return wholes(amount) + " cores";
    case quota_sort::memory:
      return fmt::format("{:g} GiB of memory", static_cast<double>(amount) / 1024);
  }
  return {};
}

std::string number_alone(std::string words) {
  return words.substr(0, words.find(' '));
}

std::string cause_in_words(const explanation& of, const explain_options& options) {
  const auto until =
      of.expected ? " until " + clock_time(of.expected->start, options) : std::string();
  switch (of.first) {
    case hindrance::none:
      return "nothing is in the way";
    case hindrance::held:
      return "it is held; release it";
    case hindrance::handover:
      return "others are leaving for it";
    case hindrance::quota: {
      if (!of.quota)
        return fmt::format("the quota of team {} is promised to earlier work", of.quota_team);
      return fmt::format("team {} holds {} of the {} of its quota", of.quota_team,
                         number_alone(quota_words(*of.quota, of.quota->held)),
                         quota_words(*of.quota, of.quota->quota));
    }
    case hindrance::devices: {
      std::vector<std::string> teams;
      for (const auto& [team, milli] : of.holders)
        teams.push_back(of.holders.size() == 1 ? fmt::format("team {}", team)
                                               : fmt::format("team {} ({})", team, wholes(milli)));
      const auto held = of.there_milli - of.free_milli;
      const auto share =
          of.free_milli == 0
              ? fmt::format("all {} {} are", wholes(of.there_milli), of.what)
              : fmt::format("{} of {} {} are", wholes(held), wholes(of.there_milli), of.what);
      return fmt::format("{} held by {}{}", share, teams.empty() ? "nobody" : joined(teams, "and"),
                         until);
    }
    case hindrance::pieces:
      return fmt::format("{} {} are free, but not {} together", wholes(of.free_milli), of.what,
                         wholes(of.wanted_milli));
    case hindrance::host:
      return "processor or memory of the nodes it could use is taken";
    case hindrance::promised:
      return of.kept_for ? fmt::format("where it would fit is kept for \"{}\" of team {} from {}",
                                       of.kept_for_name, of.kept_for_team,
                                       clock_time(of.kept_for->start, options))
                         : std::string("where it would fit is being handed over");
    case hindrance::maintenance:
      return fmt::format("where it would fit there is maintenance ({}) from {} to {}",
                         of.window->why, clock_time(of.window->from, options),
                         clock_time(of.window->until, options));
    case hindrance::impossible:
      return of.quota ? fmt::format("it asks for {}, and team {} may never hold more than {}",
                                    quota_words(*of.quota, of.quota->wanted), of.quota_team,
                                    quota_words(*of.quota, of.quota->quota + of.quota->borrow))
                      : "no state of this cluster could hold it";
  }
  return {};
}

}  // namespace

std::string clock_time(instant when, const explain_options& options) {
  constexpr std::int64_t minutes_a_day = 24 * 60;
  const auto minute =
      (std::chrono::duration_cast<std::chrono::minutes>(when) + options.utc_offset).count();
  const auto of_day = (minute % minutes_a_day + minutes_a_day) % minutes_a_day;
  return fmt::format("{:02}:{:02}", of_day / 60, of_day % 60);
}

result<explanation> explain(const work_queue& queue,
                            instant now,
                            line_id id,
                            const explain_options& options) {
  const auto line = queue.line(id);
  if (!line)
    return fail(kind::missing, "no_such_line",
                fmt::format("no line {} waits or runs; it may have ended", id));
  auto made = examiner(queue, now, *line->wanted).run(id, line->team, queue.quota_for(id));
  made.count = line->count;
  made.waiting = line->waiting;
  if (line->hold == hold_state::held)
    made.first = hindrance::held;
  else if (line->waiting == 0)
    made.first = line->leaving_for > 0 ? hindrance::handover : hindrance::none;
  if (made.first == hindrance::none || made.first == hindrance::held
      || made.first == hindrance::handover)
    return made;
  find_remedies(queue, now, id, {}, made);
  if (options.with_expectation) made.expected = expected_start(queue, now, id);
  return made;
}

explanation explain(const work_queue& queue,
                    instant now,
                    const submission& work,
                    const explain_options& options) {
  const auto copy = queue.clone();
  const auto line = copy->submit(now, work);
  if (line) {
    (void)copy->advance(now);
    if (copy->line(*line)) return explain(*copy, now, *line, options).value();
  }
  // Refused: by the cluster, or by a quota.
  auto probe = work.wanted;
  const auto& teams = queue.teams();
  const auto team = teams.find(probe.team);
  const auto room = team ? teams.room(*team, queue.load_wanted(probe, ranks_min(probe)),
                                      probe.preemptible, queue.nodes().models())
                         : quota_room::within;
  auto made = examiner(queue, now, probe).run(std::nullopt, team.value_or(0), room);
  made.first = hindrance::impossible;
  made.count = made.waiting = work.count;
  return made;
}

std::string in_words(const explanation& of, const explain_options& options) {
  const auto what = of.name.empty() ? std::string("the work") : fmt::format("\"{}\"", of.name);
  const bool refused = of.first == hindrance::impossible;
  const auto cause = cause_in_words(of, options);
  std::string text;
  if (of.first == hindrance::none)
    text = fmt::format("{}: {}.", what, cause);
  else if (refused)
    text = fmt::format("{} is refused: {}.", what, cause);
  else if (of.count > 1)
    text = fmt::format("{} of {} {} wait: {}.", of.waiting, of.count, what, cause);
  else
    text = fmt::format("{} waits: {}.", what, cause);
  if (of.first == hindrance::none || of.first == hindrance::held) return text;
  if (const auto nodes = nodes_in_words(of.fit); !nodes.empty()) text += " " + nodes;
  if (!of.nearest.empty())
    if (const auto missing = missing_in_words(of.fit.missing); !missing.empty())
      text += fmt::format(" Nearest is {}, which lacks {}.", of.nearest, missing);
  if (!of.remedies.empty())
    text += fmt::format(" It would start now with {}.", joined(of.remedies, "or with"));
  if (of.expected)
    text += fmt::format(" Expected to start at {}.", clock_time(of.expected->start, options));
  return text;
}

}  // namespace berth::sched
