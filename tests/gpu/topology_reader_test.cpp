// What the descriptions in tests/data/topology hold was established from their sources, not from this reader.
#include "gpu/topology_reader.hpp"

#include "runtime/base/topology_text.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace berth::gpu {
namespace {

namespace fs = std::filesystem;
const fs::path data = fs::path(BERTH_SOURCE_DIR) / "tests/data/topology";

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct machine {
  const char* file;
  std::size_t devices;
  const char* model;
  std::vector<std::size_t> island_sizes;
  std::uint32_t mb_per_s;  ///< of every link
  std::vector<std::size_t> devices_per_numa;
};

const std::vector<machine> machines{
    {"hwloc-nvidiaDGX2.v2.xml", 16, "V100", {16}, 150000, {8, 8}},
    {"hwloc-power8gpudistances.v2.xml", 4, "P100", {2, 2}, 40000, {2, 2}},
    {"hwloc-fakeheterodistances.v2.xml", 0, "", {}, 0, {0, 0, 0, 0, 0, 0, 0, 0}},
    {"hwloc-mpibind-g4dnmetal-8xT4.xml", 8, "T4", {}, 0, {4, 4}},
    {"hwloc-mpibind-corona-8xMI.xml", 8, "MI50", {}, 0, {4, 4}},
    {"hwloc-mpibind-lassen-4xV100.xml", 4, "V100", {}, 0, {2, 2}},
    {"fake-hgx-h100.xml", 8, "H100", {8}, 478116, {4, 4}},
    {"fake-hgx-h100-112c.xml", 8, "H100", {8}, 478116, {4, 4}},
    {"fake-4gpu-1socket.xml", 4, "L40S", {}, 0, {4}},
    {"fake-nogpu.xml", 0, "", {}, 0, {0, 0}},
};

TEST(topology_reader, finds_devices_islands_bandwidths_and_numa_domains) {
  for (const auto& expected : machines) {
    SCOPED_TRACE(expected.file);
    const auto found = read_topology_file(data / expected.file);
    ASSERT_TRUE(found) << found.error().to_string();
    ASSERT_EQ(found->devices.size(), expected.devices);
    for (const auto& device : found->devices)
      EXPECT_EQ(device.model, expected.model);
    std::vector<std::size_t> sizes;
    for (const auto& island : found->islands())
      sizes.push_back(island.size());
    EXPECT_EQ(sizes, expected.island_sizes);
    for (const auto& link : found->links)
      EXPECT_EQ(link.mb_per_s, expected.mb_per_s);
    std::vector<std::size_t> per_numa(found->numa.size());
    for (const auto& device : found->devices) {
      ASSERT_GE(device.numa, 0);
      ++per_numa[static_cast<std::size_t>(device.numa)];
    }
    EXPECT_EQ(per_numa, expected.devices_per_numa);
  }
}

TEST(topology_reader, keeps_the_two_islands_of_a_power8_apart) {
  const auto found = read_topology_file(data / "hwloc-power8gpudistances.v2.xml").value();
  EXPECT_EQ(found.islands(), (std::vector<std::vector<std::uint16_t>>{{0, 1}, {2, 3}}));
  EXPECT_EQ(found.between(0, 1), base::proximity::island);
  EXPECT_EQ(found.between(1, 2), base::proximity::node);
}

TEST(topology_reader, tells_levels_that_do_not_nest) {
  const auto hgx = read_topology_file(data / "fake-hgx-h100.xml").value();
  EXPECT_NE(hgx.devices[0].numa, hgx.devices[7].numa);
  EXPECT_EQ(hgx.between(0, 7), base::proximity::island) << "the island spans two NUMA domains";
  const auto t4 = read_topology_file(data / "hwloc-mpibind-g4dnmetal-8xT4.xml").value();
  EXPECT_EQ(t4.between(0, 1), base::proximity::numa);
  EXPECT_EQ(t4.between(0, 4), base::proximity::node);
  const auto lassen = read_topology_file(data / "hwloc-mpibind-lassen-4xV100.xml").value();
  EXPECT_EQ(lassen.between(0, 1), base::proximity::pcie_switch);
}

TEST(topology_reader, knows_device_memory_where_the_machine_says_it) {
  const auto t4 = read_topology_file(data / "hwloc-mpibind-g4dnmetal-8xT4.xml").value();
  EXPECT_EQ(t4.devices[0].memory_mib, 15472384 / 1024);
  const auto h100 = read_topology_file(data / "fake-hgx-h100.xml").value();
  EXPECT_EQ(h100.devices[0].memory_mib, 80'000'000'000 >> 20);
  const auto l40s = read_topology_file(data / "fake-4gpu-1socket.xml").value();
  EXPECT_EQ(l40s.devices[0].memory_mib, 0) << "unknown";
}

TEST(topology_reader, says_models_as_users_ask_for_them) {
  EXPECT_EQ(short_model("NVIDIA H100 80GB HBM3"), "H100");
  EXPECT_EQ(short_model("Tesla V100-SXM3-32GB-H"), "V100");
  EXPECT_EQ(short_model("GV100GL [Tesla V100 SXM2 16GB]"), "V100");
  EXPECT_EQ(short_model("NVIDIA GeForce RTX 4090"), "RTX 4090");
  EXPECT_EQ(short_model("NVIDIA GeForce RTX 3080 Ti"), "RTX 3080 Ti");
  EXPECT_EQ(short_model("AMD Instinct MI300X OAM"), "MI300X");
  EXPECT_EQ(short_model("something else"), "something else");
}

TEST(topology_reader, dump_of_every_description_equals_its_fixture) {
  for (const auto& one : machines) {
    const auto text = data / "text" / fs::path(one.file).filename().replace_extension(".txt");
    const auto found = read_topology_file(data / one.file).value();
    if (std::getenv("BERTH_WRITE_FIXTURES") != nullptr) std::ofstream(text) << to_text(found);
    EXPECT_EQ(to_text(found), read(text)) << text;
    const auto back = base::topology_from_text(read(text));
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_EQ(*back, found) << text;
  }
}

TEST(topology_reader, refuses_what_is_no_description_and_says_why) {
  for (const char* text : {"", "hello", "<topology", "<?xml version=\"1.0\"?><topology/>",
                           "<?xml version=\"1.0\"?><html></html>"}) {
    const auto found = read_topology_xml(text);
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().kind, kind::invalid) << text;
    EXPECT_NE(found.error().message.find("lstopo"), std::string::npos) << found.error().message;
  }
  const auto absent = read_topology_file(data / "no-such-file.xml");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().kind, kind::missing);
  const auto nccl = read_topology_xml("<system version=\"1\"><cpu numaid=\"0\"></cpu></system>");
  ASSERT_FALSE(nccl) << "NCCL's topology files are another format";
}

TEST(topology_reader, survives_descriptions_cut_off_anywhere) {
  const auto whole = read(data / "fake-nogpu.xml");
  const std::uint64_t seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 40; ++i) {
    const auto cut = random() % (whole.size() - 20);
    const auto found = read_topology_xml(std::string_view(whole).substr(0, cut));
    EXPECT_FALSE(found) << "seed " << seed << ": cut after " << cut << " bytes";
  }
}

TEST(topology_text, names_the_line_and_word_that_is_wrong) {
  const auto late =
      base::topology_from_text("numa 0 cores 2 memory_mib 3\nnuma 2 cores 1 memory_mib 1\n");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().message, "line 2, word 2: expected the next domain's number, found '2'");
  const auto unknown = base::topology_from_text("# empty\nvalve 1\n");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message,
            "line 2, word 1: expected numa, device or link, found 'valve'");
  EXPECT_FALSE(base::topology_from_text("link 0 1 mb_per_s 3\n"));
  EXPECT_FALSE(base::topology_from_text("numa 0 cores 2 memory_mib 3 more\n"));
}

}  // namespace
}  // namespace berth::gpu
