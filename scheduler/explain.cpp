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
  /// `nodes`: the queue's, or as they would be when idle.
  examiner(const work_queue& queue, const inventory& nodes, instant now, const demand& wanted)
      : queue_(queue),
        nodes_(nodes),
        now_(now),
        wanted_(wanted),
        asked_(compile(queue.nodes(), wanted)) {
    made_.name = wanted.name;
    made_.ranks_least = ranks_min(wanted);
    made_.wanted_milli = wanted_milli(wanted);
    if (wanted.each.gpus > 0) made_.what = devices_in_words(wanted);
  }

  explanation run(std::optional<line_id> line, team_id team, quota_room room) {
    count_devices();
    made_.fit = explain_fit(nodes_, wanted_, {mask(line), {}});
    if (made_.fit.nearest) made_.nearest = nodes_.name(*made_.fit.nearest);
    look_for_hindrance(line, team, room);
    return std::move(made_);
  }

  /// Of what no state of the cluster, or no holding of the team, lets in. Nothing of what runs matters then.
  explanation refused(std::optional<team_id> team, quota_room room) {
    made_.fit = explain_fit(nodes_, wanted_);
    if (made_.fit.nearest) made_.nearest = nodes_.name(*made_.fit.nearest);
    made_.first = hindrance::impossible;
    if (team && room == quota_room::never)
      name_the_quota(*team, queue_.teams(), room);
    else if (team && holds_ranks(made_.ranks_least))
      made_.quota_team = queue_.teams().spec(*team).name;
    else if (wanted_.gang)
      made_.ranks_most = ranks_most();
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
      name_the_quota(team, queue_.teams(), room);
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

  void name_the_quota(team_id team, team_tree teams, quota_room room) {
    if (room == quota_room::never) teams.forget_held();
    const auto load = queue_.load_wanted(wanted_, ranks_min(wanted_));
    made_.quota = teams.limit(team, load, wanted_.preemptible, nodes_.models());
    made_.quota_team = teams.spec(made_.quota ? made_.quota->team : team).name;
  }

  /// Whether so many ranks of it fit when nothing else runs.
  [[nodiscard]] bool holds_ranks(std::uint32_t ranks) const {
    auto some = wanted_;
    if (some.gang) some.gang = gang_wish{ranks, ranks};
    return fits_idle(nodes_, **make_policy("bestfit"), some);
  }

  /// Whatever holds a number of ranks holds fewer, so the most is found by halving.
  [[nodiscard]] std::uint32_t ranks_most() const {
    std::uint32_t low = 0;
    for (auto high = made_.ranks_least; high - low > 1;) {
      const auto middle = low + (high - low) / 2;
      (holds_ranks(middle) ? low : high) = middle;
    }
    return low;
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
  const inventory& nodes_;
  instant now_;
  const demand& wanted_;
  asked asked_;
  calendar bars_;
  explanation made_;
};

/// The smallest running job, else the smallest line of them, whose end would help, in words.
template <class Helps>
std::optional<std::string> end_that_helps(const work_queue& queue, line_id line, Helps&& helps) {
  constexpr std::size_t lines_tried_max = 16;
  auto lines = queue.lines();
  std::erase_if(lines, [](const line_view& one) { return one.running == 0; });
  std::stable_sort(lines.begin(), lines.end(), [](const line_view& a, const line_view& b) {
    return wanted_milli(*a.wanted) < wanted_milli(*b.wanted);
  });
  lines.resize(std::min(lines.size(), lines_tried_max));
  const auto jobs = queue.jobs();
  const auto name = [&](const line_view& of) {
    return fmt::format("\"{}\" of team {}", of.wanted->name, queue.teams().spec(of.team).name);
  };
  for (const auto& other : lines) {
    const auto running = std::find_if(jobs.begin(), jobs.end(),
                                      [&](const job_view& job) { return job.id.line == other.id; });
    change ended;
    if (running != jobs.end()) ended.ended = {running->id};
    if (helps(ended))
      return fmt::format("the end of {}{}", other.running > 1 ? "one " : "", name(other));
  }
  for (const auto& other : lines) {
    change cancelled;
    cancelled.cancelled = {other.id};
    if (other.running > 1 && other.id != line && helps(cancelled))
      return fmt::format("the end of all {}", name(other));
  }
  return std::nullopt;
}

/// Changes that would let it start now, tried one after the other on copies.
void find_remedies(const work_queue& queue, instant now, line_id line, explanation& made) {
  const auto helps = [&](const change& changed) {
    const auto told = what_if(queue, now, changed);
    return told && std::any_of(told->effects.begin(), told->effects.end(), [&](const effect& one) {
             return one.what == act::started && one.job.line == line;
           });
  };
  const bool nodes_help = !made.fit.missing_when_empty && made.first != hindrance::quota;
  const auto node = nodes_help ? made.fit.nearest : std::nullopt;
  change more;
  for (int count = 1; node && count <= 2; ++count) {
    const auto& kind = queue.nodes().kind(*node);
    node_spec spec;
    spec.name = fmt::format("{} again {}", made.nearest, count);
    spec.cpu_milli = kind.cpu_milli;
    spec.memory_mib = kind.memory_mib;
    spec.topology = kind.topology;
    spec.labels = queue.nodes().labels(*node);
    more.nodes.push_back(std::move(spec));
    if (!helps(more)) continue;
    made.remedies.push_back(
        fmt::format("{} more node{} like {}", count, count == 1 ? "" : "s", made.nearest));
    break;
  }
  if (auto end = end_that_helps(queue, line, helps)) made.remedies.push_back(*std::move(end));
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

std::string refusal_in_words(const explanation& of) {
  if (of.quota)
    return fmt::format("it asks for {}, and team {} may never hold more than {}",
                       quota_words(*of.quota, of.quota->wanted), of.quota_team,
                       quota_words(*of.quota, of.quota->quota + of.quota->borrow));
  if (!of.quota_team.empty())
    return fmt::format("it fits only on devices of models of which team {} may never hold so many",
                       of.quota_team);
  if (of.ranks_most.value_or(0) > 0)
    return fmt::format(
        "no state of this cluster could hold it; of its {} ranks, {} fit at most when all is empty",
        of.ranks_least, *of.ranks_most);
  return "no state of this cluster could hold it";
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
      return refusal_in_words(of);
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
  auto made =
      examiner(queue, queue.nodes(), now, *line->wanted).run(id, line->team, queue.quota_for(id));
  made.count = line->count;
  made.waiting = line->waiting;
  if (line->hold == hold_state::held)
    made.first = hindrance::held;
  else if (line->waiting == 0)
    made.first = line->leaving_for > 0 ? hindrance::handover : hindrance::none;
  if (made.first == hindrance::none || made.first == hindrance::held) return made;
  if (made.first != hindrance::handover) find_remedies(queue, now, id, made);
  made.foretold = options.with_expectation;
  if (made.foretold) made.expected = expected_start(queue, now, id);
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
  const auto& probe = work.wanted;
  if (const auto sound = check(probe); !sound) {
    explanation made;
    made.first = hindrance::impossible;
    made.name = probe.name;
    made.fault = sound.error().message;
    return made;
  }
  // Refused: by the cluster, or by a quota.
  const auto& teams = queue.teams();
  const auto team = teams.find(probe.team);
  const auto room = team ? teams.room(*team, queue.load_wanted(probe, ranks_min(probe)),
                                      probe.preemptible, queue.nodes().models())
                         : quota_room::within;
  const auto idle = queue.idle_nodes();
  auto made = examiner(queue, idle, now, probe).refused(team, room);
  made.count = made.waiting = work.count;
  return made;
}

std::string in_words(const explanation& of, const explain_options& options) {
  const auto what = of.name.empty() ? std::string("the work") : fmt::format("\"{}\"", of.name);
  if (!of.fault.empty()) return fmt::format("refused: {}.", of.fault);
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
      text += fmt::format(" Nearest is {}, which {}lacks {}.", of.nearest,
                          of.fit.missing_when_empty ? "even when empty " : "", missing);
  if (!of.remedies.empty())
    text += fmt::format(" It would start now with {}.", joined(of.remedies, "or with"));
  if (of.expected)
    text += fmt::format(" Expected to start at {}.", clock_time(of.expected->start, options));
  else if (of.foretold)
    text += " When it starts cannot be said: it waits for work without a time limit.";
  return text;
}

}  // namespace berth::sched
