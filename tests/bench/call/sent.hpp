#pragma once
// What the call figures share: berth as a user has it, and how to reach a cluster of the bench's own over TCP.

#include "tests/bench/support/call_rows.hpp"

#include <berth/berth.hpp>
#include <berth/testing.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace berth::bench {

/// A further connection to `lab`'s cluster, over TCP loopback: its address and token are in its runtime folder.
inline connection connect_over_tcp(const testing::cluster& lab) {
  const std::filesystem::path folder = lab.rt().runtime_folder();
  std::string address, token;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (!file.is_regular_file()) continue;
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("address=")) address = line.substr(line.find_first_of("0123456789"));
      if (line.starts_with("token=")) token = line.substr(6);
    }
  }
  expect(!address.empty() && !token.empty(), "the cluster has no TCP address");
  ::setenv("BERTH_TOKEN_FILE", token.c_str(), 1);
  return connect(address);
}

}  // namespace berth::bench
