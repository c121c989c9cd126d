// The main job: train in a worker, serve by name, ship a better version under load, canary it, promote it, roll it back.
//
//   digits DATA_FOLDER SOURCE_FOLDER
// Everything runs on the real data set in data/ (see the README there) and on a cluster that ends with this program,
// unless one is running already.
#include "digits.hpp"

#include <algorithm>
#include <atomic>
#include <berth/berth.hpp>
#include <berth/ship.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace fs = std::filesystem;
using clock_type = std::chrono::steady_clock;
using classify_signature = digits::digit(std::span<const std::uint8_t>);

namespace {

struct rows {
  std::vector<std::uint8_t> pictures;
  std::vector<std::uint8_t> labels;

  [[nodiscard]] std::span<const std::uint8_t> picture(std::size_t i) const {
    return std::span(pictures).subspan(i * digits::pixels, digits::pixels);
  }
};

rows read_rows(const fs::path& file) {
  rows all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    int number = 0;
    char comma = 0;
    for (int i = 0; i < digits::pixels; ++i) {
      fields >> number >> comma;
      all.pictures.push_back(static_cast<std::uint8_t>(number));
    }
    fields >> number;
    all.labels.push_back(static_cast<std::uint8_t>(number));
  }
  return all;
}

double seconds_since(clock_type::time_point start) {
  return std::chrono::duration<double>(clock_type::now() - start).count();
}

// Prints what the trainer says of its progress.
class watcher final : public berth::call_watcher {
 public:
  void on_progress(double fraction, std::string_view) override { last_ = fraction; }

  void on_output(std::string_view line, bool) override { line_ = line; }

  void finish(const char* what) const {
    std::printf("%s: %.0f %% done, last line \"%s\"\n", what, 100 * last_, line_.c_str());
  }

 private:
  double last_ = 0;
  std::string line_;
};

// Four clients that never stop calling, a routing key for each row; they count what answered.
class load {
 public:
  load(const berth::connection& rt, const rows& test) : test_(test) {
    for (int client = 0; client < 4; ++client)
      threads_.emplace_back(
          [this, client, handle = rt.function<classify_signature>("digits/classify@prod")] {
            run(client, handle);
          });
  }

  ~load() { stop(); }

  load(const load&) = delete;
  load& operator=(const load&) = delete;

  void stop() {
    stop_ = true;
    for (auto& one : threads_)
      one.join();
    threads_.clear();
  }

  // Forgets which key went where, then waits until every row was called anew, at most a minute.
  std::map<std::uint32_t, std::set<std::size_t>> keys_by_version() {
    {
      std::lock_guard lock(mutex_);
      keys_.clear();
      ++generation_;
    }
    const auto start = clock_type::now();
    while (seconds_since(start) < 60) {
      {
        std::lock_guard lock(mutex_);
        std::set<std::size_t> seen;
        for (const auto& [version, keys] : keys_)
          seen.insert(keys.begin(), keys.end());
        if (seen.size() == test_.labels.size()) return keys_;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::lock_guard lock(mutex_);
    return keys_;
  }

  std::atomic<std::uint64_t> calls{0};
  std::atomic<std::uint64_t> failed{0};
  std::map<std::uint32_t, std::uint64_t> by_version;
  std::string first_failure;
  std::vector<double> microseconds;

 private:
  void run(int client, berth::function<classify_signature> classify) {
    std::vector<double> taken;
    std::map<std::uint32_t, std::uint64_t> answered;
    std::vector<berth::function<classify_signature>> by_row;
    for (std::size_t i = 0; i < test_.labels.size(); ++i)
      by_row.push_back(classify.with({.sticky = "row-" + std::to_string(i)}));
    for (std::size_t i = static_cast<std::size_t>(client); !stop_;
         i = (i + 1) % test_.labels.size()) {
      const auto start = clock_type::now();
      const auto generation = generation_.load();
      try {
        const auto said = by_row[i].reply(test_.picture(i));
        taken.push_back(seconds_since(start) * 1e6);
        ++answered[said.version];
        std::lock_guard lock(mutex_);
        if (generation == generation_)
          keys_[said.version].insert(i);  // else it began before keys were forgotten
      } catch (const berth::error& why) {
        std::lock_guard lock(mutex_);
        if (++failed == 1) first_failure = why.what();
      }
      ++calls;
    }
    std::lock_guard lock(mutex_);
    for (const auto& [version, count] : answered)
      by_version[version] += count;
    microseconds.insert(microseconds.end(), taken.begin(), taken.end());
  }

  const rows& test_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> generation_{0};
  std::mutex mutex_;
  std::map<std::uint32_t, std::set<std::size_t>> keys_;
  std::vector<std::thread> threads_;
};

double accuracy(const berth::function<classify_signature>& classify, const rows& test) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < test.labels.size(); ++i)
    right += classify(test.picture(i)).label == test.labels[i] ? 1 : 0;
  return 100.0 * static_cast<double>(right) / static_cast<double>(test.labels.size());
}

// An edit, as a person would make one: the file changes and is saved.
void edit(const fs::path& file, const std::string& from, const std::string& to) {
  std::ifstream in(file);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("nothing to edit in " + file.string());
  std::ofstream(file) << text.replace(at, from.size(), to);
}

int run(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: digits DATA_FOLDER SOURCE_FOLDER\n");
    return 2;
  }
  const fs::path data = argv[1];
  const fs::path sources = argv[2];
  const auto training = read_rows(data / "optdigits.tra");
  const auto test = read_rows(data / "optdigits.tes");
  std::printf("data: %zu training rows, %zu held-back rows\n", training.labels.size(),
              test.labels.size());

  auto rt = berth::connect();
  berth::ship(rt, {.sources = {sources / "train.cpp"}, .as = "digits/train"});
  watcher watch;
  auto train = rt.function<digits::weights(
      std::span<const std::uint8_t>, std::span<const std::uint8_t>, digits::recipe)>("digits/train")
                   .with({.watch = &watch});
  const auto plain = train(training.pictures, training.labels, digits::recipe{.epochs = 3});
  watch.finish("digits/train, linear");

  // Version 1: a linear classifier, from a copy of the source that is edited below.
  const fs::path work = fs::temp_directory_path() / ("berth-digits-" + std::to_string(::getpid()));
  fs::create_directories(work);
  fs::copy_file(sources / "digits.hpp", work / "digits.hpp", fs::copy_options::overwrite_existing);
  fs::copy_file(sources / "classify.cpp", work / "classify.cpp",
                fs::copy_options::overwrite_existing);
  const auto shipped = berth::ship(rt, {.sources = {work / "classify.cpp"},
                                        .as = "digits/classify",
                                        .with = {{"w", berth::bound(plain)}},
                                        .tag = "prod",
                                        .why = "linear"});
  const auto first = shipped.version;

  load clients(rt, test);
  const auto better = train(training.pictures, training.labels,
                            digits::recipe{.hidden = 128, .epochs = 40, .shift = 0.8F});
  watch.finish("digits/train, 128 hidden units");

  // Version 2: better weights and an edit. It is shipped beside version 1; nothing is sent to it yet.
  const auto saved = clock_type::now();
  edit(work / "classify.cpp", "return {static_cast<int>(best - score), 1 / total};",
       "const float confidence = 1 / total;\n  return {static_cast<int>(best - score), "
       "confidence};");
  const auto second = berth::ship(rt, {.sources = {work / "classify.cpp"},
                                       .as = "digits/classify",
                                       .with = {{"w", berth::bound(better)}},
                                       .why = "hidden layer"})
                          .version;
  (void)rt.function<classify_signature>("digits/classify@"
                                        + std::to_string(second))(test.picture(0));
  const double live = seconds_since(saved);

  rt.tag("digits/classify@prod", {{first, 90}, {second, 10}}, "canary of the new weights");
  const auto keys = clients.keys_by_version();
  const double share = keys.count(second) == 0 ? 0
                                               : 100.0 * static_cast<double>(keys.at(second).size())
                                                     / static_cast<double>(test.labels.size());
  rt.tag("digits/classify@prod", {{second, 100}}, "promoted");
  const auto promoted = clients.keys_by_version();
  rt.rollback("digits/classify@prod", "to see that it works");
  const auto back = clients.keys_by_version();
  rt.tag("digits/classify@prod", {{second, 100}}, "promoted again");
  clients.keys_by_version();
  clients.stop();

  const double before =
      accuracy(rt.function<classify_signature>("digits/classify@" + std::to_string(first)), test);
  const double after = accuracy(rt.function<classify_signature>("digits/classify@prod"), test);
  std::sort(clients.microseconds.begin(), clients.microseconds.end());
  std::printf("accuracy on held-back rows: version %u %.2f %%, version %u %.2f %%\n", first, before,
              second, after);
  std::printf("canary: %.2f %% of distinct keys went to version %u\n", share, second);
  const bool all_promoted = promoted.size() == 1 && promoted.count(second) == 1;
  const bool same_keys = back == keys;
  std::printf(
      "promoted: every key on version %u: %s; rolled back to the canary: the same keys: %s\n",
      second, all_promoted ? "yes" : "no", same_keys ? "yes" : "no");
  std::printf("calls made: %llu, calls failed: %llu\n",
              static_cast<unsigned long long>(clients.calls),
              static_cast<unsigned long long>(clients.failed));
  for (const auto& [version, count] : clients.by_version)
    std::printf("calls answered by version %u: %llu\n", version,
                static_cast<unsigned long long>(count));
  std::printf(
      "median call: %.2f us\n",
      clients.microseconds.empty() ? 0 : clients.microseconds[clients.microseconds.size() / 2]);
  std::printf("edit to live: %.0f ms\n", 1000 * live);
  if (!clients.first_failure.empty())
    std::printf("first failure: %s\n", clients.first_failure.c_str());
  std::error_code ignored;
  fs::remove_all(work, ignored);
  const bool good = clients.failed == 0 && after >= 97.5 && before < after && share > 8
                    && share < 12 && all_promoted && same_keys;
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const berth::error& e) {
    std::fprintf(stderr, "digits: %s\n", e.what());
    return berth::exit_code(e.kind());
  }
}
