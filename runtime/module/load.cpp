#include "runtime/module/load.hpp"

#include "runtime/module/elf.hpp"
#include "runtime/module/exports.hpp"
#include "runtime/module/file_mapping.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <optional>
#include <set>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::module {

namespace {

constexpr int all_seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr int seals_needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

error_info system_failure(const std::string& doing) {
  return fail(kind::failed, "cannot_load", doing + ": " + std::strerror(errno));
}

// Without memfd (a kernel or sandbox that has none) a file nobody can open any more comes closest.
result<base::unique_fd> nameless_file(const std::string& name) {
  base::unique_fd fd(::memfd_create(name.substr(0, 200).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd || (errno != ENOSYS && errno != EPERM && errno != EINVAL)) {
    if (!fd) return system_failure("making room for " + name);
    return fd;
  }
  std::string path = "/tmp/berth-module-XXXXXX";
  fd.reset(::mkostemp(path.data(), O_CLOEXEC));
  if (!fd) return system_failure("making room for " + name);
  ::unlink(path.c_str());
  return fd;
}

result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_failure("copying " + name);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

struct checked_object {
  base::unique_fd fd;
  elf_summary summary;
};

result<checked_object> check(const object_source& source) {
  auto fd = sealed_copy(source.fd, source.name);
  if (!fd) return std::move(fd.error());
  auto bytes = file_mapping::of(fd->get(), source.name);
  if (!bytes) return std::move(bytes.error());
  const auto found = store::digest_of(bytes->bytes());
  if (found != source.digest)
    return fail(kind::invalid, "wrong_digest",
                source.name + " has digest " + found.hex() + ", expected was " + source.digest.hex()
                    + ": it was changed or damaged; ship it again");
  auto summary = read_elf(bytes->bytes());
  if (!summary) return std::move(summary.error()).at("while reading " + source.name);
  if (summary->program)
    return fail(kind::invalid, "is_program",
                source.name + " is a program; build it as a shared library (-shared)");
  return checked_object{std::move(*fd), std::move(*summary)};
}

result<void*> open_object(const std::string& path, const std::string& name) {
  ::dlerror();
  // dlopen is declared noexcept, which static constructors do not know: called by its declaration, the compiler would
  // drop the handler around it.
  void* (*volatile open)(const char*, int) = &::dlopen;
  void* handle = open(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) {
    const char* why = ::dlerror();
    return fail(kind::failed, "cannot_load",
                name + " does not load: " + (why ? why : "the loader gives no reason"));
  }
  return handle;
}

// A static constructor's exception passes through dlopen and leaves the loader's lock taken: the process can still say
// why, and then has to end.
result<void*> open_guarded(const std::string& path, const std::string& name) {
  error_sink told;
  try {
    return open_object(path, name);
  } catch (...) {
    detail::fail_with_current_exception(told.sink());
  }
  return told.take().at("while running the static constructors of " + name);
}

// The descriptor stays open: glibc knows a loaded object by the path it was opened with, and the number must not
// come to name another one.
result<void*> open_guarded(base::unique_fd fd, const std::string& name) {
  return open_guarded("/proc/self/fd/" + std::to_string(fd.release()), name);
}

// glibc finds a needed library that is loaded already by its soname, so each must come before who needs it.
result<void> open_libraries(std::span<const object_source> sources) {
  std::vector<checked_object> waiting;
  std::set<std::string> pending;
  for (const auto& one : sources) {
    auto object = check(one);
    if (!object) return std::move(object.error());
    if (object->summary.soname != one.name)
      return fail(
          kind::invalid, "wrong_soname",
          "a library that should be " + one.name + " calls itself " + object->summary.soname);
    pending.insert(one.name);
    waiting.push_back(std::move(*object));
  }
  while (!waiting.empty()) {
    const auto ready = std::find_if(waiting.begin(), waiting.end(), [&](const checked_object& one) {
      return std::none_of(one.summary.needed.begin(), one.summary.needed.end(),
                          [&](const std::string& name) {
                            return name != one.summary.soname && pending.contains(name);
                          });
    });
    if (ready == waiting.end())
      return fail(kind::invalid, "library_cycle",
                  "the module's libraries need each other in a circle");
    const auto name = ready->summary.soname;
    if (auto handle = open_guarded(std::move(ready->fd), name); !handle)
      return std::move(handle.error());
    pending.erase(name);
    waiting.erase(ready);
  }
  return {};
}

result<const berth_module*> table_in(void* handle, const std::string& name) {
  const auto entry = reinterpret_cast<berth_module_entry>(::dlsym(handle, abi::entry_symbol));
  if (!entry)
    return fail(kind::invalid, "no_exports",
                name + " has berth's stamp but not its entry " + abi::entry_symbol
                    + ": do not hide it by a version script");
  const auto* table = entry();
  if (table->abi != abi::version || table->size < sizeof(berth_module))
    return fail(kind::invalid, "other_abi",
                name + " has a table of another layout: build it again");
  if (table->problem.size != 0)
    return fail(kind::invalid, "bad_exports",
                name + ": " + std::string(table->problem.data, table->problem.size));
  return table;
}

}  // namespace

result<base::unique_fd> sealed_copy(std::span<const std::byte> bytes, const std::string& name) {
  auto fd = nameless_file(name);
  if (!fd) return fd;
  if (auto ok = write_all(fd->get(), bytes, name); !ok) return std::move(ok.error());
  // A file that is no memfd has no seals; it has no name either.
  ::fcntl(fd->get(), F_ADD_SEALS, all_seals);
  return fd;
}

result<base::unique_fd> sealed_copy(int fd, const std::string& name) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals >= 0 && (seals & seals_needed) == seals_needed) {
    base::unique_fd again(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!again) return system_failure("keeping " + name);
    return again;
  }
  auto bytes = file_mapping::of(fd, name);
  if (!bytes) return std::move(bytes.error());
  return sealed_copy(bytes->bytes(), name);
}

result<std::unique_ptr<loaded_module>> loaded_module::load(
    const object_source& module, std::span<const object_source> libraries) {
  auto object = check(module);
  if (!object) return std::move(object.error());
  if (auto ok = check_stamps(object->summary, module.name); !ok) return std::move(ok.error());
  if (auto ok = open_libraries(libraries); !ok)
    return std::move(ok.error()).at("while loading the libraries of " + module.name);
  auto handle = open_guarded(std::move(object->fd), module.name);
  if (!handle) return std::move(handle.error());
  auto table = table_in(*handle, module.name);
  if (!table) return std::move(table.error());
  return std::unique_ptr<loaded_module>(new loaded_module(*table));
}

result<std::unique_ptr<loaded_module>> loaded_module::load_in_place(
    const std::filesystem::path& file) {
  const auto name = file.filename().string();
  auto summary = read_elf_file(file);
  if (!summary) return std::move(summary.error());
  if (auto ok = check_stamps(*summary, name); !ok) return std::move(ok.error());
  auto handle = open_guarded(std::filesystem::absolute(file).string(), name);
  if (!handle) return std::move(handle.error());
  auto table = table_in(*handle, name);
  if (!table) return std::move(table.error());
  return std::unique_ptr<loaded_module>(new loaded_module(*table));
}

result<const berth_export*> loaded_module::find(const std::string& symbol) const {
  std::string names;
  for (const auto& one : exports()) {
    const std::string_view name(one.symbol.data, one.symbol.size);
    if ((one.flags & berth_flag_sent) != 0) continue;
    if (name == symbol) return &one;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return fail(kind::missing, "no_such_export",
              "the module exports no " + symbol + (names.empty() ? "" : "; it exports " + names));
}

result<void> loaded_module::health() const {
  if (!table_->health) return {};
  error_sink told;
  if (table_->health(told.sink()) == berth_failed)
    return told.take().at("while asking the module's health");
  return {};
}

error_sink::error_sink()
    : sink_{this, [](void*, std::uint64_t, std::uint32_t) -> void* { return nullptr; },
            [](void*, const berth_external*, std::uint32_t) { return 0; },
            [](void* self, const berth_failure* why) {
              static_cast<error_sink*>(self)->why_ = info_of(*why);
            }},
      why_(fail(kind::failed, "no_reason", "it failed without saying why")) {}

error_info error_sink::take() {
  return std::move(why_);
}

}  // namespace berth::module
