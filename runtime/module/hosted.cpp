#include "runtime/module/hosted.hpp"

#include "runtime/module/image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <set>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::module {

namespace {

std::string_view view_of(const berth_text& text) {
  return {text.data, text.size};
}

error_info system_failure(const std::string& doing) {
  return fail(kind::failed, "cannot_host", doing + ": " + std::strerror(errno));
}

result<int> blob_fd(const blob_lookup& blobs, const blob& which, const std::string& what) {
  const int fd = blobs(which.digest);
  if (fd >= 0) return fd;
  return fail(kind::missing, "no_such_blob",
              "the worker was not given " + what + " (sha256:" + which.digest.hex() + ')');
}

// Copies what a descriptor holds from its start, without moving its position.
result<void> copy_file(int from, std::uint64_t size, int to, const std::string& name) {
  off_t at = 0;
  while (static_cast<std::uint64_t>(at) < size) {
    const auto n = ::sendfile(to, from, &at, size - static_cast<std::uint64_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_failure("writing " + name);
    if (n == 0)
      return fail(kind::invalid, "wrong_size", name + " is shorter than the manifest says");
  }
  return {};
}

}  // namespace

// ---- building

/// The steps of `host`; the version it fills ends what was begun when a step fails.
class host_builder {
 public:
  host_builder(const manifest& what, const blob_lookup& blobs)
      : what_(what), blobs_(blobs), made_(new hosted_version) {}

  result<std::unique_ptr<hosted_version>> run() {
    for (auto step : {&host_builder::find_entry, &host_builder::compare, &host_builder::bind,
                      &host_builder::list_functions})
      if (auto ok = (this->*step)(); !ok) return std::move(ok.error());
    return std::move(made_);
  }

 private:
  result<void> find_entry() {
    auto found = what_.offset ? sent_export(what_.build_id, *what_.offset) : exported();
    if (!found) return std::move(found.error());
    made_->entry_ = *found;
    return {};
  }

  result<const berth_export*> exported() {
    object_source module{what_.symbol + "'s module", what_.module.digest, -1};
    std::vector<object_source> libraries;
    auto fd = blob_fd(blobs_, what_.module, "the module");
    if (!fd) return std::move(fd.error());
    module.fd = *fd;
    for (const auto& one : what_.libraries) {
      fd = blob_fd(blobs_, one.content, one.name);
      if (!fd) return std::move(fd.error());
      libraries.push_back({one.name, one.content.digest, *fd});
    }
    auto loaded = loaded_module::load(module, libraries);
    if (!loaded) return std::move(loaded.error());
    made_->module_ = std::move(*loaded);
    return made_->module_->find(what_.symbol);
  }

  // The manifest was believed when the version was published; the module decides whether it told the truth.
  result<void> compare() {
    const auto& entry = *made_->entry_;
    const bool is_class = (entry.flags & berth_flag_class) != 0;
    if (is_class != what_.is_class || view_of(entry.constructor) != what_.constructor
        || entry.function_count != what_.functions.size())
      return other("its constructor or number of methods");
    for (std::uint32_t i = 0; i < entry.function_count; ++i) {
      const auto* promised = find_promised(entry.functions[i]);
      if (!promised) return other("a function it does not name");
      auto shown = shown_signature(entry.functions[i]);
      if (!shown) return std::move(shown.error());
      if (encode(*shown) != promised->signature) return other("the signature " + to_string(*shown));
    }
    made_->concurrency_ = what_.concurrency;
    return {};
  }

  static error_info other(const std::string& in_what) {
    return fail(kind::invalid, "other_signature",
                "the module differs from its manifest in " + in_what + ": build and ship it again");
  }

  const entry_function* find_promised(const berth_function& function) const {
    const auto at =
        std::find_if(what_.functions.begin(), what_.functions.end(),
                     [&](const entry_function& one) { return one.name == view_of(function.name); });
    return at == what_.functions.end() ? nullptr : &*at;
  }

  result<signature> shown_signature(const berth_function& function) const {
    auto full = decode_signature(view_of(function.signature));
    if (!full || what_.is_class) return full;
    return without_bound(std::move(*full), what_.bound);
  }

  result<void> bind() {
    std::vector<berth_bound> bound;
    for (const auto& one : what_.bound) {
      auto bytes = map(one);
      if (!bytes) return std::move(bytes.error());
      bound.push_back({one.parameter, 0, *bytes});
    }
    const auto& entry = *made_->entry_;
    const auto count = static_cast<std::uint32_t>(bound.size());
    error_sink told;
    if (what_.is_class) {
      made_->state_ = entry.construct(bound.data(), count, told.sink());
      if (!made_->state_) return told.take().at("while constructing " + what_.symbol);
    } else if (count != 0) {
      made_->state_ = entry.functions[0].bind(bound.data(), count, told.sink());
      if (!made_->state_) return told.take().at("while binding the arguments of " + what_.symbol);
    }
    return {};
  }

  // A bound argument stays mapped: views among the parameters look straight into it.
  result<berth_view> map(const bound_argument& one) {
    auto fd = blob_fd(blobs_, one.value, "the bound argument " + one.name);
    if (!fd) return std::move(fd.error());

    struct stat s {};

    if (::fstat(*fd, &s) != 0) return system_failure("looking at the bound argument " + one.name);
    if (static_cast<std::uint64_t>(s.st_size) != one.value.size)
      return fail(kind::invalid, "wrong_size",
                  "the bound argument " + one.name + " has another size than the manifest says");
    berth_view view{};
    if (one.value.size == 0) return view;
    void* at = ::mmap(nullptr, one.value.size, PROT_READ, MAP_PRIVATE, *fd, 0);
    if (at == MAP_FAILED) return system_failure("mapping the bound argument " + one.name);
    made_->mappings_.emplace_back(at, one.value.size);
    const auto found =
        store::digest_of(std::span(static_cast<const std::byte*>(at), one.value.size));
    if (found != one.value.digest)
      return fail(kind::invalid, "wrong_digest",
                  "the bound argument " + one.name + " has digest " + found.hex());
    view.block = at;
    view.size = one.value.size;
    return view;
  }

  result<void> list_functions() {
    const auto& entry = *made_->entry_;
    for (std::uint32_t i = 0; i < entry.function_count; ++i) {
      const auto& function = entry.functions[i];
      auto shown = shown_signature(function);
      if (!shown) return std::move(shown.error());
      made_->functions_.emplace_back(std::move(*shown), &function, made_->state_,
                                     find_promised(function)->idempotent);
    }
    return {};
  }

  const manifest& what_;
  const blob_lookup& blobs_;
  std::unique_ptr<hosted_version> made_;
};

// ---- the version

hosted_version::~hosted_version() {
  if (state_ && (entry_->flags & berth_flag_class) != 0)
    entry_->destroy(state_);
  else if (state_)
    entry_->functions[0].unbind(state_);
  for (const auto& [at, size] : mappings_)
    ::munmap(at, size);
}

const hosted_function* hosted_version::find(std::string_view method) const noexcept {
  if (method.empty()) return functions_.size() == 1 ? functions_.data() : nullptr;
  const auto at = std::find_if(functions_.begin(), functions_.end(),
                               [method](const auto& one) { return one.shown().method == method; });
  return at == functions_.end() ? nullptr : &*at;
}

std::string hosted_version::signatures() const {
  std::vector<signature> all;
  for (const auto& one : functions_)
    all.push_back(one.shown());
  return encode(std::span<const signature>(all));
}

result<void> hosted_version::health() const {
  if (!module_) return {};
  return module_->health();
}

result<std::unique_ptr<hosted_version>> host(const manifest& what, const blob_lookup& blobs) {
  return host_builder(what, blobs).run();
}

result<signature> without_bound(signature full, const std::vector<bound_argument>& bound) {
  std::set<std::uint32_t> gone;
  for (const auto& one : bound)
    if (one.parameter >= full.params.size() || !gone.insert(one.parameter).second)
      return fail(kind::invalid, "bad_binding",
                  "the bound argument " + one.name + " names no parameter of its own in "
                      + to_string(full));
  std::vector<parameter> left;
  for (std::uint32_t i = 0; i < full.params.size(); ++i)
    if (!gone.contains(i)) left.push_back(std::move(full.params[i]));
  full.params = std::move(left);
  return full;
}

result<void> place_files(const manifest& what,
                         const blob_lookup& blobs,
                         const std::filesystem::path& folder) {
  for (const auto& one : what.files) {
    if (auto ok = check_file_path(one.path); !ok) return ok;
    auto from = blob_fd(blobs, one.content, one.path);
    if (!from) return std::move(from.error());
    const auto path = folder / one.path;
    std::error_code why;
    std::filesystem::create_directories(path.parent_path(), why);
    const base::unique_fd to(::open(path.c_str(),
                                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                                    one.executable ? 0500 : 0400));
    if (!to) return system_failure("writing " + path.string());
    if (auto ok = copy_file(*from, one.content.size, to.get(), one.path); !ok) return ok;
  }
  return {};
}

}  // namespace berth::module
