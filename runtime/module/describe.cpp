#include "runtime/module/describe.hpp"

#include "runtime/base/unique_fd.hpp"
#include "runtime/module/command.hpp"
#include "runtime/module/elf.hpp"
#include "runtime/module/exports.hpp"
#include "runtime/module/load.hpp"
#include "runtime/store/digest.hpp"

#include <algorithm>
#include <array>
#include <berth/codec.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::module {

namespace fs = std::filesystem;

namespace {

// The child's answer is one line behind this mark, so that whatever static constructors print does not disturb it.
constexpr std::string_view answer_mark = "berth-description ";

/// What travels between the two halves: the codec's own block of these.
struct told_function {
  std::string name;
  std::string signature;
  bool idempotent;
};

struct told_export {
  std::string symbol;
  bool is_class;
  std::uint32_t concurrency;
  std::string constructor;
  std::vector<told_function> functions;
};

struct told_module {
  std::vector<told_export> exports;
  std::string error_code;  // empty: no error
  std::string error_message;
  std::uint8_t error_kind;
};

std::string text_of(const berth_text& t) {
  return t.size == 0 ? std::string() : std::string(t.data, t.size);
}

told_module told_of(const loaded_module& module) {
  told_module told{};
  for (const auto& one : module.exports()) {
    if ((one.flags & berth_flag_sent) != 0) continue;
    told_export e{text_of(one.symbol),
                  (one.flags & berth_flag_class) != 0,
                  one.concurrency,
                  text_of(one.constructor),
                  {}};
    for (std::uint32_t i = 0; i < one.function_count; ++i) {
      const auto& f = one.functions[i];
      e.functions.push_back(
          {text_of(f.name), text_of(f.signature), (f.flags & berth_flag_idempotent) != 0});
    }
    told.exports.push_back(std::move(e));
  }
  return told;
}

// Loaded by its path here, so that its libraries are found as they were when it was linked.
result<told_module> load_and_tell(const fs::path& file) {
  const base::unique_fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(kind::missing, "no_such_file", file.string() + ": " + std::strerror(errno));
  auto module = loaded_module::load_in_place(file);
  if (!module) return std::move(module.error());
  return told_of(**module);
}

std::string hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

int nibble(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

result<told_module> answer_in(std::string_view output) {
  const auto at = output.rfind(answer_mark);
  if (at == std::string_view::npos) return fail(kind::failed, "module_crashed", "");
  auto line = output.substr(at + answer_mark.size());
  line = line.substr(0, line.find('\n'));
  std::vector<std::uint64_t> block(line.size() / 16);
  auto* to = reinterpret_cast<unsigned char*>(block.data());
  for (std::size_t i = 0; i + 1 < line.size() && i / 2 < block.size() * 8; i += 2)
    to[i / 2] = static_cast<unsigned char>(nibble(line[i]) * 16 + nibble(line[i + 1]));
  return codec::read<told_module>({std::as_bytes(std::span(block)), {}});
}

result<description> described(told_module told, const elf_summary& summary) {
  if (!told.error_message.empty())
    return fail(static_cast<kind>(told.error_kind), std::move(told.error_code),
                std::move(told.error_message));
  description d{summary.stamps.front().compiler, summary.build_id, {}};
  for (auto& one : told.exports) {
    described_export e{std::move(one.symbol), one.is_class, one.concurrency, {}, {}};
    if (one.is_class) {
      auto constructor = decode_signature(one.constructor);
      if (!constructor) return std::move(constructor.error());
      e.constructor = std::move(*constructor);
    }
    for (auto& f : one.functions) {
      auto full = decode_signature(f.signature);
      if (!full) return std::move(full.error());
      e.functions.push_back({std::move(f.name), std::move(*full), f.idempotent});
    }
    d.exports.push_back(std::move(e));
  }
  return d;
}

std::string last_lines(std::string_view output, std::size_t count) {
  auto at = output.size();
  while (count > 0 && at > 0) {
    at = output.rfind('\n', at - 1);
    if (at == std::string_view::npos) return std::string(output);
    --count;
  }
  return std::string(output.substr(at));
}

}  // namespace

result<const described_export*> description::find(const std::string& symbol) const {
  std::string names;
  for (const auto& one : exports) {
    if (one.symbol == symbol || (symbol.empty() && exports.size() == 1)) return &one;
    names += (names.empty() ? "" : ", ") + one.symbol;
  }
  if (symbol.empty())
    return fail(kind::invalid, "which_export",
                "the module exports more than one thing: name one of " + names);
  return fail(kind::missing, "no_such_export",
              "the module exports no " + symbol + "; it exports " + names);
}

result<description> describe(const fs::path& module,
                             const fs::path& worker,
                             const describe_options& how) {
  const auto title = how.title.empty() ? module.filename().string() : how.title;
  auto summary = read_elf_file(module);
  if (!summary) return std::move(summary.error());
  if (summary->program)
    return fail(kind::invalid, "is_program",
                title + " is a program; build it as a shared library (-shared)");
  if (auto ok = check_stamps(*summary, title); !ok) return std::move(ok.error());
  auto ran =
      run({{worker.string(), "--describe", module.string()}, {}, {}}, how.stop, how.patience);
  if (!ran) return std::move(ran.error()).at("while reading the exports of " + title);
  auto told = answer_in(ran->output);
  if (!told)
    return fail(kind::failed, "module_crashed",
                title + " ended the process that loaded it (exit code "
                    + std::to_string(ran->exit_code) + "):" + last_lines(ran->output, 10));
  return described(std::move(*told), *summary);
}

int describe_main(const fs::path& file) {
  auto told = load_and_tell(file);
  if (!told) {
    const auto& why = told.error();
    told = told_module{{}, why.code, why.message, static_cast<std::uint8_t>(why.kind)};
  }
  const auto line = std::string(answer_mark) + hex(codec::encode_inline(*told)) + '\n';
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
  // Static destructors of a stranger's module have nothing to add.
  ::_exit(told->error_message.empty() ? 0 : exit_code(static_cast<kind>(told->error_kind)));
}

}  // namespace berth::module
