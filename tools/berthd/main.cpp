// berthd: the head process of a cluster. Started by its supervisor, ended by it.

#include "registry/sqlite_store.hpp"
#include "tools/berthd/options.hpp"
#include "tools/berthd/serving.hpp"

#include <csignal>
#include <cstdio>
#include <exception>

namespace {

int complain(const berth::error_info& why) {
  std::fprintf(stderr, "berthd: %s\n", why.to_string().c_str());
  return berth::exit_code(why.kind);
}

int accept_loss(const berth::berthd::options& options) {
  auto revision = berth::registry::accept_loss(options.state);
  if (!revision) return complain(revision.error());
  std::printf("the names database stands at revision %llu; what was missing is given up\n",
              static_cast<unsigned long long>(*revision));
  return 0;
}

int run(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  auto options = berth::berthd::parse_options({argv + 1, argv + argc});
  if (!options) return complain(options.error());
  if (options->help) {
    std::fputs(berth::berthd::usage, stdout);
    return 0;
  }
  if (options->accept_loss) return accept_loss(*options);
  auto ended = berth::berthd::serve(*options);
  return ended ? 0 : complain(ended.error());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "berthd: %s\n", e.what());
    return 1;
  }
}
