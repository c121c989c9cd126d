#include "runtime/base/clock.hpp"
#include "runtime/base/unique_fd.hpp"
#include "runtime/module/describe.hpp"
#include "runtime/module/hosted.hpp"
#include "runtime/module/load.hpp"
#include "runtime/net/endpoint.hpp"
#include "runtime/net/server.hpp"
#include "runtime/process/worker_page.hpp"
#include "runtime/worker/service.hpp"
#include "runtime/worker/worker_process.hpp"

#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <unistd.h>
#include <utility>

namespace berth::worker {
namespace {

/// The functions of one export, nothing bound.
result<std::vector<method>> methods_of(const berth_export& entry) {
  void* state = nullptr;
  module::error_sink said;
  const bool is_class = (entry.flags & berth_flag_class) != 0;
  if (is_class) state = entry.construct(nullptr, 0, said.sink());
  if (is_class && state == nullptr) return said.take();
  std::vector<method> methods;
  for (std::uint32_t i = 0; i < entry.function_count; ++i) {
    const auto& one = entry.functions[i];
    auto signature = decode_signature({one.signature.data, one.signature.size});
    if (!signature) return std::move(signature).error();
    methods.emplace_back(*std::move(signature), &one, state,
                         (one.flags & berth_flag_idempotent) != 0);
  }
  return methods;
}

result<const berth_export*> choose(const module::loaded_module& from, const std::string& symbol) {
  if (!symbol.empty()) return from.find(symbol);
  if (from.exports().size() == 1) return &from.exports().front();
  return fail(kind::invalid, "several_exports",
              "the module exports several things: name one with --symbol");
}

result<std::unique_ptr<module::loaded_module>> load(const std::string& path) {
  const base::unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(kind::missing, "no_module", "cannot open " + path);
  auto copy = module::sealed_copy(file.get(), path);
  if (!copy) return std::move(copy).error();
  auto digest = store::digest_of_file(copy->get());
  if (!digest) return std::move(digest).error();
  return module::loaded_module::load({path, *digest, copy->get()});
}

/// What is served, and who owns it.
struct hosted_by_hand {
  std::unique_ptr<module::loaded_module> module;    // of a bare module
  std::unique_ptr<module::hosted_version> version;  // of a manifest
  std::vector<method> methods;
  std::uint32_t concurrency = 1;
};

result<hosted_by_hand> host_module(const by_hand& what) {
  hosted_by_hand made;
  auto module = load(what.module);
  if (!module) return std::move(module).error();
  made.module = *std::move(module);
  auto entry = choose(*made.module, what.symbol);
  if (!entry) return std::move(entry).error();
  auto methods = methods_of(**entry);
  if (!methods) return std::move(methods).error();
  made.methods = *std::move(methods);
  made.concurrency = (*entry)->concurrency;
  return made;
}

/// A folder with a file for each blob, opened as they are asked for.
class blob_folder {
 public:
  explicit blob_folder(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] module::blob_lookup lookup() {
    return [this](const store::digest& digest) {
      auto& fd = open_[digest.hex()];
      if (!fd) fd.reset(::open((path_ + "/" + digest.hex()).c_str(), O_RDONLY | O_CLOEXEC));
      return fd.get();
    };
  }

 private:
  std::string path_;
  std::map<std::string, base::unique_fd> open_;
};

result<hosted_by_hand> host_version(const by_hand& what) {
  std::ifstream in(what.manifest, std::ios::binary);
  if (!in) return fail(kind::missing, "no_manifest", "cannot open " + what.manifest);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto manifest = module::parse(text);
  if (!manifest) return std::move(manifest).error();
  blob_folder blobs(what.blobs);
  if (auto placed = module::place_files(*manifest, blobs.lookup(), std::filesystem::current_path());
      !placed)
    return std::move(placed).error();
  hosted_by_hand made;
  auto version = module::host(*manifest, blobs.lookup());
  if (!version) return std::move(version).error();
  made.version = *std::move(version);
  if (auto well = made.version->health(); !well) return std::move(well).error();
  made.methods = made.version->functions();
  made.concurrency = made.version->concurrency();
  return made;
}

result<void> serve(const by_hand& what) {
  auto hosted = what.manifest.empty() ? host_module(what) : host_version(what);
  if (!hosted) return std::move(hosted).error();
  replica serves{what.name, what.version, hosted->methods, hosted->concurrency};
  process::page_size size;
  size.threads = serves.concurrency;
  auto page = process::page_reader::make(size);
  if (!page) return std::move(page).error();
  auto writer = process::page_writer::open(base::unique_fd(::dup((*page)->fd())));
  if (!writer) return std::move(writer).error();
  service calls(serves, **writer);
  net::server::options how;
  how.program = serves.label();
  how.offers_ring = what.ring;
  auto server = net::server::start(calls, how);
  if (!server) return std::move(server).error();
  net::listener::options where;
  where.on_unix = net::unix_address{what.listen};
  auto listens = net::listener::start(where, [&](net::accepted client) {
    (*server)->adopt(std::move(client));
    return result<void>();
  });
  if (!listens) return std::move(listens).error();
  constexpr std::string_view ready = "ready\n";
  if (::write(what.ready, ready.data(), ready.size()) < 0)
    return fail(kind::disconnected, "nobody_waits", "whoever started this worker has gone");
  char ignored[64];
  while (::read(what.lifeline, ignored, sizeof ignored) > 0) {
  }
  listens->reset();
  calls.wait_idle(base::after(std::chrono::seconds(1)));
  (*server)->stop();
  calls.stop();
  return {};
}

}  // namespace

int describe_module(const std::string& file) {
  return module::describe_main(file);
}

int serve_by_hand(const by_hand& what) {
  const auto served = serve(what);
  if (served) return 0;
  std::fprintf(stderr, "berth-worker: %s\n", served.error().to_string().c_str());
  return exit_code(served.error().kind);
}

}  // namespace berth::worker
