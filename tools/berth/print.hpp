#pragma once
// What nearly every command does: ask the head, then print the reply as a table or as JSON.

#include "tools/berth/command.hpp"
#include "tools/berth/interrupt.hpp"

#include <berth/value.hpp>
#include <iostream>

namespace berth::tools {

/// One line of JSON on standard output, flushed.
template <class T>
void print_json_line(const T& value) {
  std::cout << print_json(to_value(value)) << std::endl;
}

/// Asks `verb`, prints the reply: JSON when asked for, else `print`.
template <class Reply, class Verb, class Print>
result<int> show(context& with, const Verb& verb, Print print) {
  auto to = with.cluster();
  if (!to) return std::move(to).error();
  auto reply = (*to)->template ask<Reply>(verb);
  if (!reply) return std::move(reply).error();
  if (with.output() == format::json)
    print_json_line(*reply);
  else
    print(*reply);
  return 0;
}

/// Follows `verb` until the user interrupts; every push is printed, one line of JSON each when asked for.
template <class Push, class Verb, class Print>
result<int> follow(context& with, const Verb& verb, Print print) {
  auto to = with.cluster();
  if (!to) return std::move(to).error();
  auto ended = (*to)->request(type_name<Verb>(), to_value(verb), std::chrono::hours(24 * 365),
                              [&](const value& pushed) {
                                auto one = from_value<Push>(pushed);
                                if (!one) return true;
                                if (with.output() == format::json)
                                  print_json_line(*one);
                                else
                                  print(*one);
                                return !interrupted();
                              });
  if (interrupted()) return exit_code(kind::cancelled);
  if (!ended) return std::move(ended).error();
  return 0;
}

}  // namespace berth::tools
