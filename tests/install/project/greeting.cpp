#include <berth/module.hpp>
#include <string>

std::string greet(std::string who) {
  return "Hello, " + who + "!";
}

BERTH_EXPORT(&greet).params("who").idempotent();
