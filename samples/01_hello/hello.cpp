// A function of this program becomes a service, and is called like a function.
//
// No cluster needs to run: connect() starts one for the program when there is none, and it ends with it.
#include <berth/berth.hpp>
#include <cstdio>
#include <string>

std::string greet(std::string who) {
  return "Hello, " + who + "!";
}

int main() {
  auto rt = berth::connect();

  auto there = rt.on("local").send<&greet>();  // this very program's code, in a worker process
  std::printf("%s\n", there("worker").c_str());

  there.publish("demo/greet@prod", "first try");  // keep what worked, under a name

  auto hello = rt.function<std::string(std::string)>("demo/greet@prod");
  std::printf("%s\n", hello("Ada").c_str());

  try {
    (void)rt.function<int(int)>(
        "demo/greet@prod");  // a signature that does not fit is told at once, with both
  } catch (const berth::error& e) {
    std::printf("%s\n", std::string(to_string(e.kind())).c_str());
  }
}
