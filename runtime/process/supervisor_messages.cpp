#include "runtime/process/supervisor_messages.hpp"

#include "runtime/process/packet_codec.hpp"
#include "runtime/wire/supervisor.capnp.h"

namespace berth::process {
namespace {

using std::chrono::milliseconds;

void put_ended(wire::Ended::Builder to, const worker_ended& from) {
  to.setWorker(from.worker);
  to.setAsked(from.asked);
  auto how = to.initHow();
  how.setPid(from.how.pid);
  how.setNumber(from.how.number);
  how.setCore(from.how.core);
  how.setHow(from.how.how == death::way::exited      ? wire::Death::Way::EXITED
             : from.how.how == death::way::signalled ? wire::Death::Way::SIGNALLED
                                                     : wire::Death::Way::UNKNOWN);
}

worker_ended ended_from(wire::Ended::Reader from) {
  const auto how = from.getHow();
  const auto way = how.getHow() == wire::Death::Way::EXITED      ? death::way::exited
                   : how.getHow() == wire::Death::Way::SIGNALLED ? death::way::signalled
                                                                 : death::way::unknown;
  return {from.getWorker(), {how.getPid(), way, how.getNumber(), how.getCore()}, from.getAsked()};
}

void put(wire::ToSupervisor::Builder to, const start_worker& from) {
  auto start = to.initStart();
  const auto count = [](const std::vector<std::string>& texts) {
    return static_cast<unsigned>(texts.size());
  };
  start.setWorker(from.worker);
  put_texts(start.initArgv(count(from.what.argv)), from.what.argv);
  put_texts(start.initEnv(count(from.what.env)), from.what.env);
  start.setCwd(from.what.cwd.c_str());
  put_texts(start.initDescriptors(count(from.what.descriptors)), from.what.descriptors);
}

void put(wire::ToSupervisor::Builder to, const stop_worker& from) {
  auto stop = to.initStop();
  stop.setStopped(from.worker);
  stop.setGraceMs(whole_ms(from.grace));
}

void put(wire::ToSupervisor::Builder to, const head_ready& from) {
  auto facts = to.initReady(static_cast<unsigned>(from.facts.size()));
  unsigned n = 0;
  for (const auto& [key, value] : from.facts) {
    facts[n].setKey(key.c_str());
    facts[n++].setValue(value.c_str());
  }
}

void put(wire::ToSupervisor::Builder to, const shut_down& from) {
  to.setShutDown(whole_ms(from.drain));
}

void put(wire::FromSupervisor::Builder to, const welcome& from) {
  auto welcome = to.initWelcome();
  welcome.setIncarnation(from.incarnation);
  welcome.setSupervisor(from.supervisor);
  auto earlier = welcome.initEarlier(static_cast<unsigned>(from.earlier.size()));
  for (unsigned n = 0; n < from.earlier.size(); ++n)
    put_ended(earlier[n], from.earlier[n]);
}

void put(wire::FromSupervisor::Builder to, const worker_started& from) {
  auto started = to.initStarted();
  started.setWorker(from.worker);
  started.setPid(from.pid);
}

void put(wire::FromSupervisor::Builder to, const worker_refused& from) {
  auto refused = to.initRefused();
  refused.setRefusedWorker(from.worker);
  put_fault(refused.initWhy(), from.why);
}

void put(wire::FromSupervisor::Builder to, const worker_ended& from) {
  put_ended(to.initEnded(), from);
}

void put(wire::FromSupervisor::Builder to, const stop_asked& from) {
  to.setStop(whole_ms(from.drain));
}

const auto write = [](auto root, const auto& one) { put(root, one); };

start_worker start_from(wire::ToSupervisor::Start::Reader from) {
  return {from.getWorker(),
          {texts_from(from.getArgv()), texts_from(from.getEnv()), text_from(from.getCwd()),
           texts_from(from.getDescriptors())}};
}

head_ready ready_from(capnp::List<wire::ToSupervisor::Fact>::Reader from) {
  head_ready ready;
  for (const auto& fact : from)
    ready.facts[text_from(fact.getKey())] = text_from(fact.getValue());
  return ready;
}

welcome welcome_from(wire::FromSupervisor::Welcome::Reader from) {
  welcome greeting{from.getIncarnation(), from.getSupervisor(), {}};
  for (const auto& one : from.getEarlier())
    greeting.earlier.push_back(ended_from(one));
  return greeting;
}

}  // namespace

std::vector<std::byte> encode(const to_supervisor& message) {
  return packet_of<wire::ToSupervisor>(message, write);
}

std::vector<std::byte> encode(const from_supervisor& message) {
  return packet_of<wire::FromSupervisor>(message, write);
}

result<to_supervisor> decode_to_supervisor(std::span<const std::byte> bytes) {
  using root = wire::ToSupervisor;
  return from_packet<root>(bytes, [](root::Reader from) -> result<to_supervisor> {
    switch (from.which()) {
      case root::START:
        return to_supervisor(start_from(from.getStart()));
      case root::STOP:
        return to_supervisor(
            stop_worker{from.getStop().getStopped(), milliseconds(from.getStop().getGraceMs())});
      case root::READY:
        return to_supervisor(ready_from(from.getReady()));
      case root::SHUT_DOWN:
        return to_supervisor(shut_down{milliseconds(from.getShutDown())});
    }
    return unknown_message();
  });
}

result<from_supervisor> decode_from_supervisor(std::span<const std::byte> bytes) {
  using root = wire::FromSupervisor;
  return from_packet<root>(bytes, [](root::Reader from) -> result<from_supervisor> {
    switch (from.which()) {
      case root::WELCOME:
        return from_supervisor(welcome_from(from.getWelcome()));
      case root::STARTED:
        return from_supervisor(
            worker_started{from.getStarted().getWorker(), from.getStarted().getPid()});
      case root::REFUSED:
        return from_supervisor(worker_refused{from.getRefused().getRefusedWorker(),
                                              fault_from(from.getRefused().getWhy())});
      case root::ENDED:
        return from_supervisor(ended_from(from.getEnded()));
      case root::STOP:
        return from_supervisor(stop_asked{milliseconds(from.getStop())});
    }
    return unknown_message();
  });
}

}  // namespace berth::process
