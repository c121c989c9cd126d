#include "runtime/client/attempt.hpp"

#include "runtime/net/call_messages.hpp"
#include "runtime/value/lane_memory.hpp"

#include <algorithm>
#include <limits>

namespace berth::detail {
namespace {

verdict fails(std::optional<error_info>& why, error_info said) {
  why = std::move(said);
  return verdict::failed;
}

verdict tries_again(const callee& of,
                    const call_clock& clock,
                    call_tally& tally,
                    std::optional<error_info>& why,
                    error_info otherwise) {
  if (++tally.tries < tries_max && !clock.passed()) return verdict::again;
  return fails(why, no_way(std::move(otherwise), of.ref(), clock, tally));
}

/// The callee refused a call that its caller had given up at the deadline, or found it too late itself.
bool is_late(const net::frame_header& answer, const error_info& why) {
  return (answer.flags & net::flag_not_started) != 0
         && (why.kind == kind::cancelled || why.kind == kind::timed_out);
}

verdict judge_answer(callee& of,
                     const client::way& sent,
                     net::message& answer,
                     const call_clock& clock,
                     call_tally& tally,
                     std::optional<error_info>& why) {
  switch (answer.header.kind) {
    case net::frame_kind::result:
      return verdict::answered;
    case net::frame_kind::failure: {
      auto said = net::decode_failure(answer.body.bytes());
      if (clock.passed() && is_late(answer.header, said)) said = too_late(of.ref(), tally);
      return fails(why, std::move(said));
    }
    case net::frame_kind::moved: {
      auto known = of.refresh(sent, clock.end);
      if (!known) return fails(why, std::move(known).error());
      return tries_again(
          of, clock, tally, why,
          fail(kind::conflict, "moved", of.ref() + " moves faster than it can be called"));
    }
    default:
      return fails(why, fail(kind::disconnected, "bad_frame",
                             "the worker answered a call with another frame"));
  }
}

/// `death` is a sentence about the worker and, on lines of their own, what it last logged.
error_info worker_died(const std::string& death) {
  const auto head = death.substr(0, death.find('\n'));
  auto why =
      fail(kind::outcome_unknown, "worker_died", head + ": look before you repeat one that ran");
  for (auto at = head.size(); at < death.size();) {
    const auto begin = death.find_first_not_of("\n ", at);
    if (begin == std::string::npos) break;
    at = std::min(death.find('\n', begin), death.size());
    why.trail.push_back(death.substr(begin, at - begin));
  }
  return why;
}

error_info link_lost(const callee& of, const client::way& sent, const std::string& why) {
  return fail(kind::outcome_unknown, "link_lost",
              of.ref() + "@" + std::to_string(sent.to->version) + ": " + why
                  + "; the call may have run: look before you repeat it");
}

/// The connection broke after the call was sent: only the worker's ledger knows whether it started.
verdict judge_lost(callee& of,
                   const client::way& sent,
                   net::pending& slot,
                   const call_clock& clock,
                   call_tally& tally,
                   std::optional<error_info>& why) {
  const auto told = of.of().knows().fate_of({sent.to->target, sent.to->ledger_link(), slot.id()});
  if (told && told->fate == "not_started") return tries_again(of, clock, tally, why, slot.error());
  ++tally.starts;
  const bool may_start_again =
      sent.to->idempotent && (clock.end != base::never || tally.starts < starts_max);
  auto unknown = told && !told->death.empty() ? worker_died(told->death)
                                              : link_lost(of, sent, slot.error().message);
  if (may_start_again) return tries_again(of, clock, tally, why, std::move(unknown));
  return fails(why, std::move(unknown));
}

}  // namespace

error_info too_late(const std::string& ref, const call_tally& tally) {
  if (tally.starts == 0)
    return fail(kind::timed_out, "not_started", ref + " had not started when its deadline passed");
  return fail(kind::timed_out, "unknown",
              ref + " did not answer within its deadline; it may have run");
}

error_info no_way(error_info why,
                  const std::string& ref,
                  const call_clock& clock,
                  const call_tally& tally) {
  const bool away =
      why.kind == kind::disconnected || why.kind == kind::timed_out || why.kind == kind::conflict;
  if (!away || !clock.passed()) return why;
  auto late = too_late(ref, tally);
  late.trail = std::move(why.trail);
  late.trail.insert(late.trail.begin(), why.message);
  return late;
}

std::uint32_t call_clock::left_us() const {
  if (end == base::never) return 0;
  const auto left =
      std::chrono::duration_cast<std::chrono::microseconds>(end - base::steady::now());
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(left.count(), 1, std::numeric_limits<std::uint32_t>::max()));
}

base::time_point call_clock::patience(std::chrono::nanoseconds patience) const {
  return std::min(end, base::after(patience));
}

verdict judge(callee& of,
              const client::way& sent,
              net::pending& slot,
              const call_clock& clock,
              call_tally& tally,
              std::optional<error_info>& why) {
  switch (slot.how()) {
    case net::completion::answered:
      return judge_answer(of, sent, slot.answer(), clock, tally, why);
    case net::completion::refused:
      if (slot.error().kind != kind::disconnected) return fails(why, slot.error());
      sent.to->give_up();  // the next pick looks elsewhere
      return tries_again(of, clock, tally, why, slot.error());
    case net::completion::timed_out:
      ++tally.starts;
      return fails(why, too_late(of.ref(), tally));
    case net::completion::lost:
      return judge_lost(of, sent, slot, clock, tally, why);
    default:
      return fails(why, fail(kind::cancelled, "cancelled", "the call was cancelled by its caller"));
  }
}

net::frame_header header_for(const client::way& over, const call_clock& clock) {
  net::frame_header header;
  header.kind = net::frame_kind::call;
  header.binding = over.to->binding();
  header.revision = over.revision;
  header.flags = over.flags;
  header.deadline_us = clock.left_us();
  return header;
}

net::reservation room_for(net::pending& slot,
                          const client::way& over,
                          const net::frame_header& header,
                          std::size_t bytes,
                          const std::vector<base::external>& externals,
                          const call_settings& how,
                          const call_clock& clock) {
  auto room = over.to->link().begin(slot, header, bytes, externals, base::time_point::min());
  if (!room && slot.error().kind == kind::overloaded && how.patience.count() > 0)
    room = over.to->link().begin(slot, header, bytes, externals, clock.patience(how.patience));
  return room;
}

std::vector<base::external> for_lane(const std::vector<external>& payloads) {
  std::vector<base::external> sent;
  sent.reserve(payloads.size());
  for (const auto& one : payloads)
    sent.push_back(to_lane(one.data, one.bytes, one.owner));
  return sent;
}

std::vector<external> from_lane(const std::vector<base::external>& received) {
  std::vector<external> payloads;
  payloads.reserve(received.size());
  for (const auto& one : received)
    payloads.push_back(from_lane(one));
  return payloads;
}

bool watching::tell(call_watcher* to, net::message& what) noexcept {
  const auto body = what.body.bytes();
  if (what.header.kind == net::frame_kind::log) {
    const std::string_view line(reinterpret_cast<const char*>(body.data()), body.size());
    const bool err = (what.header.flags & net::flag_error_stream) != 0;
    if (to != nullptr)
      to->on_output(line, err);
    else
      client::print_line(line, err);
    return true;
  }
  if (what.header.kind != net::frame_kind::progress) return false;
  const auto report = net::read_report(body);
  if (!report || to == nullptr) return true;
  if (report->kind == net::report::what::progress)
    to->on_progress(report->value, report->text);
  else
    to->on_metric(report->text, report->value);
  return true;
}

void watching::on_event(net::pending& /*call*/, net::message& what) noexcept {
  tell(to_, what);
}

}  // namespace berth::detail
