// Figures of an edit: from a saved file to the first answer of the new version, what unchanged source costs, and what
// the public header costs a compiler.

#include "tests/bench/floor/child.hpp"
#include "tests/bench/ship/compile_floor.hpp"
#include "tests/bench/support/scratch.hpp"
#include "tests/bench/support/settings.hpp"

#include <berth/client.hpp>
#include <berth/testing.hpp>
#include <fcntl.h>
#include <memory>

namespace berth::bench {
namespace {

constexpr const char* name = "bench/edited";

std::string source_of(int answer) {
  return "#include <berth/berth.hpp>\nint answer(int x) { return x + " + std::to_string(answer)
         + "; }\nBERTH_EXPORT(&answer);\n";
}

/// Sets where builds keep what they make before anything asks for it; a value, for the order of members.
struct private_caches {
  explicit private_caches(const scratch& folder) {
    ::setenv("BERTH_CACHE_DIR", folder.at("cache").c_str(), 1);
    ::setenv("CCACHE_DIR", folder.at("ccache").c_str(), 1);
    ::setenv("BERTH_BIN", (build_tree() / "bin").c_str(), 1);
  }
};

class ship_figures {
 public:
  explicit ship_figures(const settings& how)
      : how_(how),
        caches_(folder_),
        places_(
            client::find_ship_places(base::process_environment(),
                                     base::find_folders(base::process_environment(), ::geteuid()))),
        floor_(places_, folder_.write("floor.cpp", source_of(0)), folder_.at("")) {}

  void run() {
    if (how_.wants("ship.edit")) edits();
    if (how_.wants("ship.unchanged")) unchanged();
    if (how_.wants("ship.header")) header();
  }

 private:
  /// `berth dev` watches `source` until the returned child goes.
  std::unique_ptr<child> watches(const testing::cluster& lab, const std::string& source) const {
    const auto head = lab.rt().runtime_folder();
    const auto log = folder_.at("dev.log").string();
    return std::make_unique<child>([&] {
      ::setenv("BERTH_HEAD", head.c_str(), 1);
      const int to = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(to, STDOUT_FILENO);
      ::dup2(to, STDERR_FILENO);
      const auto program = (build_tree() / "bin/berth").string();
      ::execl(program.c_str(), "berth", "dev", source.c_str(), "--as", name, nullptr);
    });
  }

  /// Milliseconds until `f` answers as the edit says; looked at twice a millisecond.
  static double answers_ms(const function<int(int)>& f, int answer, double from) {
    for (; now_s() < from + 60; pause_us(500))
      if (const auto got = f.try_(0); got && *got == answer) return (now_s() - from) * 1e3;
    expect(false, "the new version never answered");
    return 0;
  }

  void edits() {
    row r = row_of("ship.edit",
                   "file saved to first answer of the new version (berth dev), above the compiler",
                   "ms", "<= 200");
    const testing::cluster lab;
    const auto source = folder_.write("edited.cpp", source_of(0));
    const auto dev = watches(lab, source);
    const auto f = bound(lab);
    int next = 1;
    answers_ms(f, 0, now_s());
    take_pairs(
        r, how_.rounds, {},
        [&] { return floor_.compile_and_link_ms(folder_.write("floor.cpp", source_of(next))); },
        [&] {
          folder_.write("edited.cpp", source_of(next));
          return answers_ms(f, next++, now_s());
        },
        difference_of);
    r.note = "floor: " + floor_.words()
             + ", same flags and precompiled header; judged: what ours takes more";
    print(r);
  }

  /// Waits until the first version is there: the watcher has been started a moment ago.
  static function<int(int)> bound(const testing::cluster& lab) {
    for (const double until = now_s() + 120; now_s() < until; pause_us(20'000)) {
      try {
        return lab.rt().function<int(int)>(name);
      } catch (const error& not_yet) {
        expect(not_yet.kind() == kind::missing, not_yet.what());
      }
    }
    expect(false, "berth dev never shipped");
    return {};
  }

  void unchanged() {
    row r = row_of("ship.unchanged", "shipping unchanged source, against a bare ccache hit", "ms",
                   "<= 3");
    r.is_absent = !floor_.has_cache();
    if (r.is_absent) return print(r);
    const testing::cluster lab;
    ship_request what;
    what.sources = {folder_.write("same.cpp", source_of(7))};
    what.as = name;
    ship(lab.rt(), what);
    pause_us(50'000);  // a file changed within the clock's tick of its build is not recorded
    ship(lab.rt(), what);
    floor_.cached_compile_ms(what.sources.front());
    take_pairs(
        r, how_.rounds, {}, [&] { return floor_.cached_compile_ms(what.sources.front()); },
        [&] {
          const double from = now_s();
          expect(ship(lab.rt(), what).existed, "unchanged source made a new version");
          return (now_s() - from) * 1e3;
        });
    print(r);
  }

  void header() {
    row r =
        row_of("ship.header", "an empty main with <berth/berth.hpp>, against its standard headers",
               "ms", "<= 2");
    const auto headers = standard_headers_of(places_.includes, "berth/berth.hpp");
    std::string text;
    for (const auto& one : headers) {
      text += "#include <" + one + ">\n";
      r.note += (r.note.empty() ? "floor includes " : " ") + one;
    }
    const auto floor = folder_.write("standard.cpp", text + "int main() {}\n");
    const auto ours = folder_.write("header.cpp", "#include <berth/berth.hpp>\nint main() {}\n");
    take_pairs(
        r, how_.rounds, {}, [&] { return floor_.plain_compile_ms(floor); },
        [&] { return floor_.plain_compile_ms(ours); });
    print(r);
  }

  const settings how_;
  const scratch folder_;
  const private_caches caches_;
  const client::ship_places places_;
  const compile_floor floor_;
};

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::ship_figures(berth::bench::read_settings(argc, argv)).run();
  return 0;
}
