#include "runtime/module/assemble.hpp"

#include "runtime/module/file_mapping.hpp"
#include "runtime/module/hosted.hpp"
#include "runtime/module/image.hpp"
#include "runtime/module/saved_value.hpp"
#include "runtime/module/secrets.hpp"

#include <algorithm>
#include <berth/value.hpp>
#include <set>
#include <sys/stat.h>

namespace berth::module {

namespace fs = std::filesystem;

namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

fs::path resolve(const fs::path& folder, std::string_view path) {
  const fs::path given(path);
  return given.is_absolute() || folder.empty() ? given : folder / given;
}

result<std::string> encode_for(const shape& shape, const value& v) {
  auto hot = encode_hot(shape, v, {unknown_members::refuse, true});
  if (!hot) return std::move(hot.error());
  return std::string(text_of(hot->block));
}

result<std::string> block_of_file(const shape& shape, const fs::path& file) {
  auto mapped = file_mapping::of(file);
  if (!mapped) return std::move(mapped.error());
  const auto text = text_of(mapped->bytes());
  if (shape.form() == form::bytes)
    return encode_for(shape, value(bytes(mapped->bytes().begin(), mapped->bytes().end())));
  if (is_saved_value(text)) {
    auto saved = parse_saved(text);
    if (!saved) return std::move(saved.error()).at("while reading " + file.string());
    if (!(saved->shape == shape))
      return fail(kind::invalid, "wrong_shape",
                  file.string() + " holds " + to_string(saved->shape) + ", the parameter takes "
                      + to_string(shape));
    if (auto sound = decode_hot(shape, {std::as_bytes(std::span(saved->block)), {}}); !sound)
      return std::move(sound.error()).at("while reading " + file.string());
    return std::move(saved->block);
  }
  auto json = parse_json(text);
  if (!json) return std::move(json.error()).at("while reading " + file.string());
  auto block = encode_for(shape, *json);
  if (!block) return std::move(block.error()).at("while reading " + file.string());
  return block;
}

struct name_and_text {
  std::string name;
  std::string text;
};

result<name_and_text> split(const std::string& given, const char* what) {
  const auto at = given.find('=');
  if (at == 0 || at == std::string::npos)
    return fail(kind::invalid, "bad_option",
                std::string(what) + " is given as name=value, this is \"" + given + '"');
  return name_and_text{given.substr(0, at), given.substr(at + 1)};
}

/// Puts one version together.
class assembler {
 public:
  explicit assembler(const version_wish& wish) : wish_(wish) {}

  result<assembled> run() {
    for (auto step :
         {&assembler::take_module, &assembler::take_entry, &assembler::take_bound,
          &assembler::take_functions, &assembler::take_libraries, &assembler::take_files,
          &assembler::take_environment, &assembler::take_secrets})
      if (auto ok = (this->*step)(); !ok) return std::move(ok.error());
    auto text = print(m_);
    if (!text) return std::move(text.error());
    made_.manifest = std::move(m_);
    made_.identity = identity(*text);
    made_.text = std::move(*text);
    return std::move(made_);
  }

 private:
  result<void> take_module() {
    auto content = add_file(wish_.module);
    if (!content) return std::move(content.error());
    m_.module = *content;
    m_.build_id = wish_.exports.build_id;
    m_.compiler = wish_.exports.compiler;
    m_.flags = wish_.flags;
    return {};
  }

  result<void> take_entry() {
    auto entry = wish_.exports.find(wish_.symbol);
    if (!entry) return std::move(entry.error());
    entry_ = *entry;
    m_.symbol = entry_->symbol;
    m_.is_class = entry_->is_class;
    m_.concurrency = entry_->concurrency;
    if (m_.is_class) m_.constructor = encode(entry_->constructor);
    return {};
  }

  [[nodiscard]] const signature& bindable() const {
    return entry_->is_class ? entry_->constructor : entry_->functions.front().signature;
  }

  result<void> take_bound() {
    const auto& takes = bindable();
    for (const auto& one : wish_.with) {
      auto given = split(one, "a bound argument");
      if (!given) return std::move(given.error());
      const auto at = std::find_if(takes.params.begin(), takes.params.end(),
                                   [&](const parameter& p) { return p.name == given->name; });
      if (at == takes.params.end())
        return fail(kind::invalid, "no_such_parameter",
                    m_.symbol + " has no parameter " + given->name + ": " + to_string(takes));
      if (at->flow == flow::stream)
        return fail(kind::invalid, "bad_binding", given->name + " is a stream and cannot be bound");
      auto block = bound_block(at->shape, given->text, wish_.folder);
      if (!block)
        return std::move(block.error()).at("while binding " + given->name + " of " + m_.symbol);
      const auto index = static_cast<std::uint32_t>(at - takes.params.begin());
      m_.bound.push_back({index, at->name, add_bytes(std::move(*block))});
    }
    if (!entry_->is_class || m_.bound.size() == takes.params.size()) return {};
    std::string open;
    for (std::uint32_t i = 0; i < takes.params.size(); ++i)
      if (std::none_of(m_.bound.begin(), m_.bound.end(),
                       [i](const auto& b) { return b.parameter == i; }))
        open += (open.empty() ? "" : ", ") + takes.params[i].name;
    return fail(kind::invalid, "unbound_constructor",
                "every parameter of the constructor of " + m_.symbol
                    + " is bound when shipping; missing: --with for " + open);
  }

  result<void> take_functions() {
    for (const auto& one : entry_->functions) {
      auto shown = one.signature;
      if (!entry_->is_class) {
        auto left = without_bound(std::move(shown), m_.bound);
        if (!left) return std::move(left.error());
        shown = std::move(*left);
      }
      m_.functions.push_back({one.name, encode(shown), one.idempotent});
    }
    return {};
  }

  result<void> take_libraries() {
    auto found = find_closure(wish_.module, library_folders::of_this_machine());
    if (!found) return std::move(found.error());
    for (auto& one : found->carried) {
      note({one.library.content, one.file, {}});
      m_.libraries.push_back(std::move(one.library));
    }
    m_.system = std::move(found->system);
    return {};
  }

  result<void> take_files() {
    for (const auto& one : wish_.files) {
      const auto at = one.find('=');
      const auto from = resolve(wish_.folder, std::string_view(one).substr(0, at));
      const auto name = at == std::string::npos
                            ? fs::path(one).is_absolute() ? from.filename().string() : one
                            : one.substr(at + 1);
      auto content = add_file(from);
      if (!content) return std::move(content.error());

      struct stat s {};

      const bool executable = ::stat(from.c_str(), &s) == 0 && (s.st_mode & 0111) != 0;
      m_.files.push_back({name, *content, executable});
    }
    return {};
  }

  result<void> take_environment() {
    for (const auto& one : wish_.environment) {
      auto given = split(one, "a variable");
      if (!given) return std::move(given.error());
      m_.environment.push_back({std::move(given->name), std::move(given->text)});
    }
    return {};
  }

  result<void> take_secrets() {
    if (wish_.secrets.empty()) return {};
    std::vector<variable> all;
    for (const auto& one : wish_.secrets) {
      auto given = split(one, "a variable");
      if (!given) return fail(kind::invalid, "bad_option", "a variable is given as NAME=value");
      all.push_back({std::move(given->name), std::move(given->text)});
    }
    auto text = print_secrets(wish_.salt, std::move(all));
    if (!text) return std::move(text.error());
    m_.secrets = add_bytes(*std::move(text));
    return {};
  }

  result<blob> add_file(const fs::path& file) {
    auto mapped = file_mapping::of(file);
    if (!mapped) return std::move(mapped.error());
    const blob content{store::digest_of(mapped->bytes()), mapped->bytes().size()};
    note({content, file, {}});
    return content;
  }

  blob add_bytes(std::string bytes) {
    const blob content{store::digest_of(bytes), bytes.size()};
    note({content, {}, std::move(bytes)});
    return content;
  }

  void note(blob_origin origin) {
    if (seen_.insert(origin.content.digest).second) made_.blobs.push_back(std::move(origin));
  }

  const version_wish& wish_;
  const described_export* entry_ = nullptr;
  manifest m_;
  assembled made_;
  std::set<store::digest> seen_;
};

}  // namespace

result<assembled> assemble(const version_wish& wish) {
  return assembler(wish).run();
}

result<assembled> assemble_sent(const void* thunk) {
  auto place = place_of(thunk);
  if (!place) return std::move(place.error());
  auto entry = sent_export(place->build_id, place->offset);
  if (!entry) return std::move(entry.error());
  std::error_code why;
  const auto program = fs::read_symlink("/proc/self/exe", why);
  auto bytes = file_mapping::of("/proc/self/exe");
  if (!bytes) return std::move(bytes.error());
  const auto& function = (*entry)->functions[0];
  assembled made;
  auto& m = made.manifest;
  m.module = {store::digest_of(bytes->bytes()), bytes->bytes().size()};
  m.build_id = place->build_id;
  m.program = true;
  m.offset = place->offset;
  m.functions = {{{},
                  {function.signature.data, function.signature.size},
                  (function.flags & berth_flag_idempotent) != 0}};
  m.compiler = abi::own_stamp().compiler;
  auto text = print(m);
  if (!text) return std::move(text.error());
  made.identity = identity(*text);
  made.text = std::move(*text);
  made.blobs.push_back({m.module, program, {}});
  return made;
}

result<std::string> bound_block(const shape& shape, std::string_view text, const fs::path& folder) {
  if (text.starts_with('@')) return block_of_file(shape, resolve(folder, text.substr(1)));
  return encode_for(shape, parse_word(text));
}

}  // namespace berth::module
