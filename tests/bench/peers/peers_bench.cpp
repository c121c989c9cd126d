// The same small call, ours and with what people use today, in turn: how many times faster ours is.
//
// The factors count where a blocking round trip over a Unix socket costs 30 us or more, as on an idle virtual machine;
// elsewhere they are printed without a bar. What is not installed is absent.

#include "tests/bench/floor/socket_floor.hpp"
#include "tests/bench/peers/peer_process.hpp"
#include "tests/bench/support/scratch.hpp"
#include "tests/bench/support/settings.hpp"

#include <berth/berth.hpp>
#include <berth/testing.hpp>

namespace berth::bench {
namespace {

constexpr int calls_a_round = 20'000;
constexpr double waking_us_min = 30;

double add(double a, double b) {
  return a + b;
}

struct peer {
  const char* id;
  const char* what;
  const char* bar;
  std::vector<std::string> command;
};

std::vector<peer> all_peers() {
  const auto in = [](const char* leaf) { return (build_tree() / "bench/peers" / leaf).string(); };
  return {{"peer.caf", "times faster than CAF 0.17 (sharing), TCP", ">= 150", {in("peer_caf")}},
          {"peer.capnp", "times faster than Cap'n Proto RPC, Unix", ">= 60", {in("peer_capnp")}},
          {"peer.grpc", "times faster than gRPC C++, Unix", ">= 120", {in("peer_grpc")}},
          {"peer.ray", "times faster than a Ray C++ actor", ">= 500", {BERTH_PEER_SCRIPT, "ray"}},
          {"peer.monarch",
           "times faster than a Monarch endpoint",
           ">= 500",
           {BERTH_PEER_SCRIPT, "monarch"}}};
}

/// What it costs to wake a sleeping process and to be woken by its answer, with pauses so that the CPUs fall idle.
double blocking_round_trip_us(ping_pong& floor) {
  std::vector<double> taken;
  for (int i = 0; i < 300; ++i) {
    pause_us(250);
    const double from = now_s();
    floor.call();
    taken.push_back((now_s() - from) * 1e6);
  }
  return median(taken);
}

/// The tight loop of the call figures: the clock is read once for 16 calls.
double ours_us(const function<double(double, double)>& f) {
  std::vector<double> taken;
  for (int i = 0; i < calls_a_round; i += 16) {
    const double from = now_s();
    for (int n = 0; n < 16; ++n)
      expect(f(i, 2) == i + 2, "a wrong sum");
    taken.push_back((now_s() - from) * 1e6 / 16);
  }
  return median(taken);
}

double times_faster(double theirs, double ours) {
  return theirs / ours;
}

void compare(const settings& how, const peer& with) {
  row r = row_of(with.id, with.what, "us", with.bar);
  peer_process theirs(with.command);
  const auto first = theirs.round();
  r.is_absent = !first;
  if (r.is_absent) {
    r.note = "not built or not installed here";
    return print(r);
  }
  const testing::cluster lab;
  const auto f = lab.rt().on("local").send<&add>();
  ours_us(f);
  ping_pong sleeper(wire::local, false, 64);
  std::vector<double> wakings;
  take_pairs(
      r, how.rounds, {},
      [&] {
        wakings.push_back(blocking_round_trip_us(sleeper));
        const auto took = theirs.round();
        expect(took.has_value(), "the peer ended in the middle");
        return *took;
      },
      [&] { return ours_us(f); }, times_faster);
  const double waking_us = median(wakings);
  char note[96];
  std::snprintf(note, sizeof note, "floor: the peer; blocking Unix round trip %.1f us", waking_us);
  r.note = note;
  if (waking_us < waking_us_min) {
    r.bar.clear();
    r.note += ", below 30: no bar here";
  }
  print(r);
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  using namespace berth::bench;
  const settings how = read_settings(argc, argv);
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // what a peer leaves behind counts as the bench's own
  for (const auto& one : all_peers())
    if (how.wants(one.id)) compare(how, one);
  return 0;
}
