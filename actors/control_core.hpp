#pragma once
// The control actor's inside, shared by its sources: state, answering, and the small words all verbs use.

#include "actors/actors.hpp"
#include "actors/asking.hpp"
#include "actors/control_port.hpp"
#include "actors/control_state.hpp"

#include <berth/value.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace berth::actors::control {

/// Credits of a request that follows: what it still welcomes, and what was dropped meanwhile (logs).
struct follow_credit {
  std::uint32_t left = items_welcome_first;
  std::uint64_t skipped = 0;
};

struct control_data {
  control_state requests;
  asking asks;
  registry_api registry;
  cluster_api cluster;
  control_port* port = nullptr;
  head_services* services = nullptr;
  std::map<std::uint64_t, follow_credit> credits;
  std::uint64_t last_commit = 0;
};

using self_pointer = control_api::stateful_pointer<control_data>;

/// Lets go of what a request held: a followed route, a watch, a reader of logs.
void release(self_pointer self, const open_request& one);

/// One request on its way through a verb. A value; copies refer to the same request.
struct asked {
  self_pointer self;
  std::uint64_t key = 0;
  caller_facts who;
  clock::time_point since;

  [[nodiscard]] control_data& data() const { return self->state; }

  [[nodiscard]] double ms() const {
    return std::chrono::duration<double, std::milli>(clock::now() - since).count();
  }

  template <class T>
  void reply(const T& what) const {
    if (auto one = data().requests.finish(key))
      data().port->reply(one->connection, one->call, to_value(what));
  }

  void refuse(error_info why) const {
    auto one = data().requests.finish(key);
    if (!one) return;
    release(self, *one);
    data().port->fail(one->connection, one->call, why);
  }

  /// False once it was cancelled, or its connection went.
  [[nodiscard]] bool wanted() const { return data().requests.find(key) != nullptr; }

  template <class T>
  void push(const T& what) const {
    if (const auto* one = data().requests.find(key))
      data().port->push(one->connection, one->call, to_value(what));
  }

  void note(std::string_view line) const {
    if (const auto* one = data().requests.find(key))
      data().port->note(one->connection, one->call, line);
  }

  /// What to do with an error of any step: end the request with it.
  [[nodiscard]] std::function<void(const error_info&)> refusing() const {
    return [me = *this](const error_info& why) { me.refuse(why); };
  }
};

/// Asks for one answer; a problem on the way, or in the answer, ends the request.
template <class T, class Handle, class Then, class... Words>
void step(const asked& one, const Handle& whom, Then then, Words&&... words) {
  one.data().asks.template ask<reply<T>>(
      one.self, whom,
      [one, then](reply<T>& answer) mutable {
        if (answer.why)
          one.refuse(*answer.why);
        else
          then(answer.what);
      },
      one.refusing(), std::forward<Words>(words)...);
}

/// The name actor of `name`, or the end of the request.
inline void with_name(const asked& one,
                      const std::string& name,
                      std::function<void(name_api)> then) {
  one.data().asks.ask<done, name_api>(
      one.self, one.data().registry,
      [one, then](done& ok, name_api& actor) {
        if (ok.why)
          one.refuse(*ok.why);
        else
          then(actor);
      },
      one.refusing(), open_atom_v, name);
}

/// Executes one verb; unknown words and arguments that do not fit are refused. (control_verbs.cpp, control_flips.cpp)
using verb = std::function<void(const asked&, const value& args)>;
void add_reading_verbs(std::map<std::string, verb>& table);
void add_flipping_verbs(std::map<std::string, verb>& table);

/// A verb whose arguments are the aggregate `Args`.
template <class Args>
verb verb_of(void (*run)(const asked&, Args)) {
  return [run](const asked& one, const value& args) {
    auto words = from_value<Args>(args);
    if (!words) return one.refuse(std::move(words).error());
    run(one, *std::move(words));
  };
}

/// Signatures as people read them; what cannot be read is said so.
[[nodiscard]] std::string printed(std::string_view encoded_signatures);

}  // namespace berth::actors::control
