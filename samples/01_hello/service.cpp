// The same as a service of its own:  berth ship service.cpp --as demo/hello    berth call demo/hello '"Ada"'
#include <berth/module.hpp>
#include <string>

std::string hello(std::string who) {
  return "Hello, " + who + "!";
}

BERTH_EXPORT(&hello).params("who").idempotent();
