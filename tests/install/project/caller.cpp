#include <berth/berth.hpp>
#include <cstdio>
#include <string>

std::string twice(std::string word) {
  return word + word;
}

int main() {
  auto rt = berth::connect();
  auto there = rt.on("local").send<&twice>();
  std::printf("%s\n", there("berth").c_str());
}
